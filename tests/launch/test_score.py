"""launch.score: whole runs, and what it says of a user's mistakes."""

import csv
import json
import math
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from launch import score
from ppt_jax.errors import UserError
from ppt_jax.evaluation.item_files import write_items
from ppt_jax.evaluation.items import Item
from ppt_jax.evaluation.results import read_results
from tests.evaluation.benchmarks import real_data


def run(*arguments: str) -> None:
    """The command in this process; a user's mistake is raised instead of printed."""
    with flagsaver.flagsaver():
        flags.FLAGS.unparse_flags()
        flags.FLAGS(["score", *arguments])
        score.main()


def people(path: pathlib.Path, count: int = 8) -> pathlib.Path:
    rng = np.random.default_rng(0)
    lines = ["ID,block,querydetail,estimate"]
    for person in range(count):
        for k, query in enumerate(("icy", "cold", "icy and cold", "warm")):
            lines.append(f"{person},1,{query},{np.clip(20 * k + rng.normal(0, 9), 0, 100):.0f}")
    path.write_text("\n".join(lines))
    return path


def choice(model: str, k: int, p: float, **fields) -> Item:
    return Item(
        item_id=f"i{k}",
        cluster_id=f"c{k // 2}",
        split="test",
        kind="choice",
        support=("no", "yes"),
        target_kind="outcome",
        true_answer=k % 2,
        model=model,
        logp_K=np.log([1 - p, p]),
        **fields,
    )


def test_the_command_prints_a_table_and_writes_results(tmp_path):
    path = people(tmp_path / "e.csv")
    command = [sys.executable, "-m", "launch.score", "--benchmark=samplr", f"--recordings={path}"]
    options = [f"--out={tmp_path / 'out'}", "--replicates=20", "--splits=10"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "split-half r" in done.stdout
    stored = read_results(tmp_path / "out")
    assert {r["metric"] for r in stored.rows} >= {"split_half_r", "spearman_brown", "human_mean"}
    assert stored.run["facts"]["e"]["people"] == 8
    with (tmp_path / "out" / "results.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(stored.rows)
    bad = subprocess.run([*command, "--replicates=1"], capture_output=True, text=True, check=False)
    assert bad.returncode == 2
    assert bad.stderr.strip() == "error: --replicates is 1, it must be at least 2"
    assert not bad.stdout


def test_the_published_command(tmp_path, capsys):
    folder = real_data.folder("openestimate")
    run(
        "--benchmark=openestimate",
        f"--data_dir={folder}",
        f"--recordings={folder / 'recordings' / 'nhanes'}",
        f"--out={tmp_path}",
        "--replicates=20",
    )
    printed = capsys.readouterr().out
    assert re.search(
        r"o3-mini +370 +0 +4\.4 \(1\.5\).* 0\.70 / 1\.19 +0\.47 +0\.44 / 0\.83", printed
    )
    document = json.loads((tmp_path / "results.json").read_text())
    assert document["schema_version"] == 2
    assert len(document["failures"]) == 18
    assert {row["model"] for row in document["metrics"]} >= {"gpt-4o", "o4-mini"}


def test_several_recordings_and_options(tmp_path, capsys):
    one, two = people(tmp_path / "one.csv"), people(tmp_path / "two.csv", 5)
    run("--benchmark=samplr", f"--recordings={one}", f"--recordings={two}", "--splits=5")
    printed = capsys.readouterr().out
    assert "samplr, one: 8 people" in printed
    assert "samplr, two: 5 people" in printed
    assert not list(tmp_path.glob("results*"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "give either --benchmark=NAME"),
        (("--benchmark=samplr", "--items=x"), "give either --benchmark=NAME"),
        (("--benchmark=sampler", "--recordings=x"), "did you mean 'samplr'"),
        (("--benchmark=samplr",), "--recordings=PATH is missing"),
        (("--benchmark=samplr", "--recordings=/nowhere.csv"), "/nowhere.csv: no such file"),
        (("--benchmark=quite", "--recordings=."), "--data_dir=DIR is missing"),
        (("--benchmark=quite", "--recordings=.", "--option=wep"), "must be NAME=VALUE"),
        (("--benchmark=quite", "--recordings=.", "--option=words=wep"), "known: premises"),
        (("--benchmark=quite", "--recordings=.", "--level=1.5"), "--level is 1.5"),
        (("--benchmark=quite", "--recordings=.", "--validation=v"), "goes with --items"),
        (("--items=/nowhere.jsonl",), "/nowhere.jsonl"),
        (("--items=x.jsonl", "--data_dir=d"), "--data_dir does not go with --items"),
    ],
)
def test_mistakes_are_told_in_a_line(arguments, words):
    with pytest.raises(UserError, match=re.escape(words)) as error:
        run(*arguments)
    assert "\n" not in str(error.value)


def test_nothing_is_half_written(tmp_path):
    path = people(tmp_path / "e.csv")
    path.write_text(path.read_text() + "\n3,1,icy,7")
    with pytest.raises(UserError, match="judges 'icy' twice"):
        run("--benchmark=samplr", f"--recordings={path}", f"--out={tmp_path / 'out'}")
    assert not (tmp_path / "out").exists()


def test_stored_items_are_scored_again(tmp_path, capsys):
    rng = np.random.default_rng(0)
    p = {model: rng.uniform(0.05, 0.95, 40) for model in ("a", "b")}
    items = [choice(m, k, p[m][k]) for m in p for k in range(40)]
    items[3] = choice("a", 3, 0.5, parse_ok=False)
    write_items(tmp_path / "items.jsonl", items)
    run(f"--items={tmp_path / 'items.jsonl'}", f"--out={tmp_path}", "--replicates=20")
    assert "80 items, 1 that failed to parse" in capsys.readouterr().out
    rows = {(r["model"], r["metric"]): r for r in read_results(tmp_path).rows if r["kind"] == "all"}
    truth = np.arange(40) % 2
    by_hand = ((p["b"] - truth) ** 2 * 2).mean()
    assert rows["b", "brier"]["value"] == pytest.approx(by_hand, abs=1e-6)
    assert rows["b", "brier"]["n_clusters"] == 20
    assert rows["a", "brier"]["n_parse_fail"] == 1


def test_a_bad_item_is_named_and_an_empty_file_has_no_numbers(tmp_path, capsys):
    path = tmp_path / "items.jsonl"
    write_items(path, [choice("a", k, 0.3) for k in range(3)])
    lines = path.read_text().splitlines()
    row = json.loads(lines[1])
    row["logp"] = [0.0, 0.0]
    path.write_text("\n".join([lines[0], json.dumps(row), lines[2]]))
    with pytest.raises(UserError, match=r"items\.jsonl, line 2: item 'i1'"):
        run(f"--items={path}", f"--out={tmp_path / 'out'}")
    assert not (tmp_path / "out").exists()
    path.write_text("")
    run(f"--items={path}", f"--out={tmp_path / 'out'}", "--replicates=5")
    rows = read_results(tmp_path / "out").rows
    assert rows
    assert all(math.isnan(r["value"]) and r["n"] == 0 for r in rows)


def test_scored_items_are_kept_for_compare_and_report(tmp_path):
    for name in ("test", "other"):
        write_items(tmp_path / f"{name}.jsonl", [choice(name, k, 0.3) for k in range(6)])
    path, out = tmp_path / "test.jsonl", tmp_path / "out"
    run(f"--items={path}", f"--out={out}", "--replicates=5")
    assert (out / "items.jsonl").read_bytes() == path.read_bytes()
    run(f"--items={tmp_path / 'other.jsonl'}", f"--out={out}", "--replicates=5")  # its own: again
    assert (out / "items.jsonl").read_bytes() == (tmp_path / "other.jsonl").read_bytes()
    foreign = tmp_path / "foreign"
    write_items(foreign / "items.jsonl", [choice("theirs", 0, 0.5)])
    before = (foreign / "items.jsonl").read_bytes()
    with pytest.raises(UserError, match=r"holds items\.jsonl, which is not"):
        run(f"--items={path}", f"--out={foreign}", "--replicates=5")
    assert (foreign / "items.jsonl").read_bytes() == before
    assert not (foreign / "results.json").exists()


def test_a_byte_order_mark_and_windows_line_ends_are_no_obstacle(tmp_path, capsys):
    write_items(tmp_path / "plain.jsonl", [choice("a", k, 0.3) for k in range(3)])
    text = (tmp_path / "plain.jsonl").read_bytes()
    (tmp_path / "marked.jsonl").write_bytes(b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n"))
    tables = []
    for name in ("plain", "marked"):
        run(f"--items={tmp_path / name}.jsonl", "--replicates=5")
        tables.append(capsys.readouterr().out.split("\n", 1)[1])
    assert tables[0] == tables[1]
