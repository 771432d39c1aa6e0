"""The command that imports programs: every format, rejects with places, nothing executed."""

from __future__ import annotations

import json
import pathlib

import pytest

from launch.importing import import_programs
from ppt_jax.errors import UserError
from ppt_jax.scenario.document import Scenario, read_scenarios
from tests.scenario.build import worked

PROGRAM = """
import numpyro, numpyro.distributions as dist
open({mark!r}, "w").write("executed")
def coin():
    p = numpyro.sample("p", dist.Beta(2, 1))
    numpyro.sample("heads", dist.Binomial(10, p), obs=7)
def other():
    numpyro.sample("x", dist.HalfNormal(1))
"""
BIF = """network lawn {}
variable rain { type discrete [ 2 ] { no, yes }; }
variable wet { type discrete [ 3 ] { dry, damp, soaked }; }
probability ( rain ) { table 0.8, 0.2; }
probability ( wet | rain ) { (no) 0.9, 0.08, 0.02; (yes) 0.1, 0.3, 0.6; }
"""
PROBLOG = "0.3::rain. 0.9::wet :- rain. 0.1::wet :- \\+rain. evidence(wet). query(rain).\n"


def test_a_folder_of_everything(tmp_path: pathlib.Path) -> None:
    source, out, mark = tmp_path / "in", tmp_path / "out", tmp_path / "mark"
    source.mkdir()
    (source / "models.py").write_text(PROGRAM.format(mark=str(mark)))
    (source / "lawn.bif").write_text(BIF)
    words = {"evidence": {"wet": "soaked"}, "asks": ["rain"], "story": "A lawn."}
    (source / "lawn.json").write_text(json.dumps(words))
    (source / "rain.pl").write_text(PROBLOG)
    (source / "own.jsonl").write_text(json.dumps(worked("kiln-crack-01")) + '\n{"id": "broken"}\n')
    (source / "bad.bif").write_text(BIF.replace("0.8", "0.7"))
    count, rejects = import_programs(source, out, shard_size=2)
    made = [s for path in sorted(out.glob("scenarios-*")) for s in read_scenarios(path)]
    assert count == 4
    assert all(isinstance(s, Scenario) for s in made)
    byid = {s.id: s for s in made if isinstance(s, Scenario)}
    assert set(byid) == {"lawn", "models-coin", "kiln-crack-01", "rain"}
    assert [g.that for g in byid["lawn"].given] == ["wet == 'soaked'"]
    assert byid["lawn"].ask[0].options == ("no", "yes")
    assert [g.that for g in byid["rain"].given] == ["wet == 1"]
    stored = [json.loads(line) for line in (out / "rejects.jsonl").read_text().splitlines()]
    assert stored == rejects
    assert sorted(pathlib.Path(row["file"]).name for row in rejects) == [
        "bad.bif",
        "models.py",
        "own.jsonl",
    ]
    refused = next(row for row in rejects if row["file"].endswith("models.py"))
    assert refused["line"] == 8
    assert "HalfNormal" in refused["reason"]
    assert not mark.exists(), "the program was executed"


def test_users_mistakes(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        import_programs(tmp_path / "nothing", tmp_path / "out")
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(UserError, match="--format"):
        import_programs(tmp_path / "a.txt", tmp_path / "out")
    with pytest.raises(UserError, match="known suffix"):
        import_programs(tmp_path, tmp_path / "out")
