"""The whole way on a tiny recipe: what a new user gets, and what a second run does with it."""

import csv
import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
TINY = {
    "author.train_size": 30,
    "author.validation_size": 10,
    "author.seen_motifs_size": 10,
    "author.held_out_motifs_size": 6,
    "author.held_out_family_size": 6,
    "author.shards": 1,
    "data.tokenizer.vocab_size": 700,
    "model.width": 16,
    "model.head_size": 8,
    "model.layers": 1,
    "model.layers_unrolled": 1,
    "model.mlp_width": 32,
    "train.steps": 4,
    "train.lm_steps": 2,
    "evaluate.replicates": 50,
}


def pipeline(workdir: pathlib.Path, **changes: object) -> subprocess.CompletedProcess[str]:
    settings = {**TINY, **{name.replace("__", "."): value for name, value in changes.items()}}
    flags = [f"--config.{name}={value}" for name, value in settings.items()]
    command = [sys.executable, "-m", "launch.pipeline", "--config=configs/quickstart.py"]
    command += [f"--workdir={workdir}", *flags]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=800)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, str]:
    workdir = tmp_path_factory.mktemp("run")
    done = pipeline(workdir)
    assert done.returncode == 0, done.stderr
    return workdir, done.stdout


@pytest.mark.slow
def test_it_leaves_a_table_and_a_report(finished: tuple[pathlib.Path, str]) -> None:
    workdir, shown = finished
    assert shown.rstrip().endswith(f"report: {workdir / 'report.html'}")
    document = json.loads((workdir / "results.json").read_text())
    assert document["schema_version"] == 2
    rows = document["metrics"]
    assert {"model", "split", "kind", "metric", "value", "ci_low", "ci_high", "n"} <= set(rows[0])
    assert {row["model"] for row in rows} >= {
        *("uniform", "base_rate", "before", "before+ts", "after", "after+ts", "before+isotonic"),
    }
    assert {row["split"] for row in rows} == {"seen_motifs", "held_out_motifs", "held_out_family"}
    with open(workdir / "results.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == len(rows)
    items = (workdir / "evaluation" / "items.jsonl").read_text().splitlines()
    scored = {
        (row["split"], row["n"])
        for row in rows
        if (row["model"], row["metric"], row["kind"]) == ("after", "kl", "all")
    }
    assert 2 * sum(n for _, n in scored) == len(items)  # before and after
    page = (workdir / "report.html").read_text()
    assert "held-out family" in page
    assert (workdir / "report.md").read_text().startswith("#")


@pytest.mark.slow
def test_splits_share_no_motif_that_is_held_out(finished: tuple[pathlib.Path, str]) -> None:
    workdir, _ = finished

    def seen(split: str, field: str) -> set[str]:
        rows = (workdir / "scenarios").glob(f"{split}-*.jsonl")
        return {json.loads(line)[field] for path in rows for line in path.read_text().splitlines()}

    assert len(seen("held_out_motifs", "motif")) == 2
    assert not seen("train", "motif") & seen("held_out_motifs", "motif")
    assert seen("held_out_motifs", "family") <= seen("train", "family")
    assert not seen("train", "family") & seen("held_out_family", "family")
    assert seen("seen_motifs", "motif") <= seen("train", "motif")


@pytest.mark.slow
def test_a_second_run_skips_what_is_done_and_refuses_another_config(
    finished: tuple[pathlib.Path, str],
) -> None:
    workdir, _ = finished
    before = (workdir / "results.json").read_bytes()
    again = pipeline(workdir)
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("finished already") == 5
    other = pipeline(workdir, train__steps=5, author__train_size=31)
    assert other.returncode == 2
    assert "config.train.steps: 4 there, 5 now" in other.stderr
    assert "config.author.train_size: 30 there, 31 now" in other.stderr
    assert (workdir / "results.json").read_bytes() == before


@pytest.mark.slow
def test_a_removed_shard_is_named_and_nothing_else_is_lost(
    finished: tuple[pathlib.Path, str],
) -> None:
    workdir, _ = finished
    shard = next((workdir / "dataset").glob("*seen_motifs.array_record*"))
    hidden = shard.with_name("moved")
    record = workdir / "stages" / "evaluate.json"
    kept = record.read_text()
    shard.rename(hidden)
    record.write_text(kept.replace('"done": true', '"done": false'))
    try:
        done = pipeline(workdir)
        assert done.returncode == 2
        assert shard.name in done.stderr
        assert "Traceback" not in done.stderr
    finally:
        hidden.rename(shard)
        record.write_text(kept)
