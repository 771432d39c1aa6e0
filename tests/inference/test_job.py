"""The job: killed and started again it ends with the same bytes; bad input is named."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from ppt_jax.errors import UserError
from ppt_jax.inference import job as job_module
from ppt_jax.inference.job import read_labelled, run_label_job
from ppt_jax.inference.labels import LabelConfig
from tests.inference.corpus import ask, document, node, random_document, write_shard

CONFIG = LabelConfig(points=(8192,), max_outside=1.0, max_error=0.2, min_ess=50, pair_ess=50)
ROOT = pathlib.Path(__file__).parent.parent.parent


def coin(name: str, heads: int) -> dict[str, object]:
    model = [node("p", "beta(a=2, b=2)"), node("heads", "successes(n=10, p=p)")]
    truth = {"p": 0.5, "heads": heads}
    return document(model, [f"heads == {heads}"], [ask("chance", "p")], name=name, truth=truth)


def corpus(folder: pathlib.Path, shards: int = 3, size: int = 6) -> None:
    for shard in range(shards):
        rows = [coin(f"coin-{shard}-{i}", i % 11) for i in range(size)]
        rows += [random_document(100 * shard + i) for i in range(2)]
        write_shard(folder / f"train-{shard:05d}-of-{shards:05d}.jsonl", rows)


def outputs(out: pathlib.Path) -> dict[str, bytes]:
    files = [*out.glob("*.json*"), *(out / "state").glob("*.json")]
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


def test_a_job_labels_every_shard_and_sums_up(tmp_path: pathlib.Path) -> None:
    corpus(tmp_path / "in")
    with open(tmp_path / "in" / "train-00001-of-00003.jsonl", "a", encoding="utf-8") as file:
        file.write('{"schema": "scenario/1", "id": "broken"\n')
        bad = coin("unknown", 3)
        bad["model"][0]["expr"] = "bates(a=2, b=2)"  # type: ignore[index]
        file.write(json.dumps(bad) + "\n")
    summary = run_label_job(tmp_path / "in", tmp_path / "out", CONFIG)
    assert summary["scenarios"] == 26
    assert summary["labelled"] + sum(summary["rejected"].values()) == 26
    assert summary["rejected"]["bad_document"] == 2
    assert summary["splits"]["train"]["scenarios"] == 26
    rejects = [json.loads(line) for line in (tmp_path / "out" / "rejects.jsonl").open()]
    named = {row["scenario_id"]: row for row in rejects if row["reason"] == "bad_document"}
    assert "bates" in named["unknown"]["detail"]
    assert "line 9" in " ".join(row["detail"] for row in named.values())
    rows = list(read_labelled(tmp_path / "out" / "train-00000-of-00003.jsonl"))
    assert rows[3].scenario.id == "coin-0-3"
    assert rows[3].labels[0].probs.sum() == pytest.approx(1.0)
    assert rows[3].labels[0].true_answer == 50


WORKER = """
import sys
from ppt_jax.inference.job import run_label_job
from tests.inference.test_job import CONFIG
run_label_job(sys.argv[1], sys.argv[2], CONFIG)
"""


def start(source: pathlib.Path, out: pathlib.Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(source), str(out)], cwd=ROOT, env=dict(os.environ)
    )


def test_killed_and_started_again_it_ends_with_the_same_bytes(tmp_path: pathlib.Path) -> None:
    corpus(tmp_path / "in", shards=4)
    run_label_job(tmp_path / "in", tmp_path / "whole", CONFIG)
    out = tmp_path / "killed"
    process = start(tmp_path / "in", out)
    deadline = time.monotonic() + 120
    while not list(out.glob("state/train-*.json")) and time.monotonic() < deadline:
        assert process.poll() is None or process.returncode == 0
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = {path: path.stat().st_mtime_ns for path in out.glob("state/train-*.json")}
    assert kept
    run_label_job(tmp_path / "in", out, CONFIG)
    assert outputs(out) == outputs(tmp_path / "whole")
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in kept.items())


def test_a_torn_or_changed_shard_is_done_again_alone(tmp_path: pathlib.Path) -> None:
    corpus(tmp_path / "in")
    run_label_job(tmp_path / "in", tmp_path / "out", CONFIG)
    before = outputs(tmp_path / "out")
    torn = tmp_path / "out" / "train-00001-of-00003.jsonl"
    torn.write_bytes(torn.read_bytes()[:100])
    untouched = tmp_path / "out" / "train-00000-of-00003.jsonl"
    stamp = untouched.stat().st_mtime_ns
    run_label_job(tmp_path / "in", tmp_path / "out", CONFIG)
    assert outputs(tmp_path / "out") == before
    assert untouched.stat().st_mtime_ns == stamp


def test_two_jobs_on_one_folder_do_not_mix(tmp_path: pathlib.Path) -> None:
    corpus(tmp_path / "in", shards=1)
    refused = pytest.raises(UserError, match="another labelling job")
    with job_module._locked(tmp_path / "out"), refused:
        run_label_job(tmp_path / "in", tmp_path / "out", CONFIG)
    assert run_label_job(tmp_path / "in", tmp_path / "out", CONFIG)["labelled"] > 0


def test_other_settings_are_refused_with_the_field(tmp_path: pathlib.Path) -> None:
    corpus(tmp_path / "in", shards=1, size=1)
    run_label_job(tmp_path / "in", tmp_path / "out", CONFIG)
    other = LabelConfig(**{**vars(CONFIG), "seed": 5})
    with pytest.raises(UserError, match=r"label\.seed: 0 there, 5 now"):
        run_label_job(tmp_path / "in", tmp_path / "out", other)


def test_a_missing_shard_and_an_empty_folder_are_named(tmp_path: pathlib.Path) -> None:
    corpus(tmp_path / "in")
    (tmp_path / "in" / "train-00001-of-00003.jsonl").unlink()
    with pytest.raises(UserError, match=r"train-00001-of-00003\.jsonl is missing"):
        run_label_job(tmp_path / "in", tmp_path / "out", CONFIG)
    with pytest.raises(UserError, match="no scenario shards"):
        run_label_job(tmp_path / "none", tmp_path / "out", CONFIG)


def test_a_full_disk_loses_nothing_made_before(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus(tmp_path / "in")
    run_label_job(tmp_path / "in", tmp_path / "whole", CONFIG)
    write = job_module.write_jsonl

    def full(path: pathlib.Path, rows: object) -> None:
        if path.name.startswith("train-00001"):
            raise UserError(f"{path}: cannot write (No space left on device)")
        write(path, rows)  # type: ignore[arg-type]

    monkeypatch.setattr(job_module, "write_jsonl", full)
    with pytest.raises(UserError, match="No space left"):
        run_label_job(tmp_path / "in", tmp_path / "out", CONFIG)
    monkeypatch.undo()
    first = tmp_path / "out" / "train-00000-of-00003.jsonl"
    stamp = first.stat().st_mtime_ns
    run_label_job(tmp_path / "in", tmp_path / "out", CONFIG)
    assert first.stat().st_mtime_ns == stamp
    assert outputs(tmp_path / "out") == outputs(tmp_path / "whole")
