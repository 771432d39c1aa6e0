"""The job: killed and started again it ends with the same bytes; bad input is named."""

from __future__ import annotations

import errno
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
from ppt_jax.inference import shards as shards_module
from ppt_jax.inference.job import label_share, merge_labels, read_labelled, run_label_job
from ppt_jax.inference.labels import LabelConfig
from ppt_jax.inference.leases import Leases
from ppt_jax.inference.shards import Share
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
    files = [*out.glob("*.json*"), *(out / "state").glob("*.json*")]
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in files
        if path.name != "timing.json"
    }


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
    assert [(row["file"], row["line"]) for row in rejects if row["reason"] == "bad_document"] == [
        ("train-00001-of-00003.jsonl", 9),
        ("train-00001-of-00003.jsonl", 10),
    ]
    assert str(tmp_path) not in named["unknown"]["detail"]  # the same bytes wherever it ran
    assert json.loads((tmp_path / "out" / "timing.json").read_text())["seconds"] > 0
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
    deadline = time.monotonic() + 600
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


def test_a_shard_in_other_hands_is_left_alone_and_named(tmp_path: pathlib.Path) -> None:
    corpus(tmp_path / "in", shards=2, size=2)
    lease = Leases(tmp_path / "out" / "state" / "leases").take("train-00000-of-00002")
    assert lease is not None
    with lease, pytest.raises(UserError, match=rf"process {os.getpid()} on .*train-00000-of-00002"):
        run_label_job(tmp_path / "in", tmp_path / "out", CONFIG)
    assert not (tmp_path / "out" / "train-00000-of-00002.jsonl").exists()
    assert (tmp_path / "out" / "train-00001-of-00002.jsonl").exists()
    assert run_label_job(tmp_path / "in", tmp_path / "out", CONFIG)["labelled"] > 0


def test_tasks_in_any_order_and_number_make_the_same_bytes(tmp_path: pathlib.Path) -> None:
    corpus(tmp_path / "in", shards=3, size=2)
    (tmp_path / "in" / "hard-00000-of-00001.jsonl").write_text("")
    whole = run_label_job(tmp_path / "in", tmp_path / "whole", CONFIG)
    assert whole["empty_shards"] == ["hard-00000-of-00001"]
    out = tmp_path / "tasks"
    for index in (1, 0):
        assert merge_labels(tmp_path / "in", out, CONFIG) is None
        made = label_share(tmp_path / "in", out, CONFIG, Share(index, 2), silent=True)
        assert made == 2
        assert label_share(tmp_path / "in", out, CONFIG, Share(index, 2), silent=True) == 0
    assert merge_labels(tmp_path / "in", out, CONFIG, verify=True) == whole
    assert outputs(out) == outputs(tmp_path / "whole")
    merge_labels(tmp_path / "in", out, CONFIG)
    assert outputs(out) == outputs(tmp_path / "whole")
    labels = out / "train-00001-of-00003.jsonl"
    labels.write_bytes(labels.read_bytes().replace(b"table", b"tabla", 1))
    with pytest.raises(UserError, match=r"1 of 4 shards .*train-00001-of-00003"):
        merge_labels(tmp_path / "in", out, CONFIG, verify=True)


def test_portions_of_a_shard_leave_no_trace(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus(tmp_path / "in", shards=1, size=8)
    with open(tmp_path / "in" / "train-00000-of-00001.jsonl", "a") as file:
        file.write("\n{}\n")
    whole = run_label_job(tmp_path / "in", tmp_path / "whole", CONFIG)
    monkeypatch.setattr(job_module, "PORTION", 3)
    assert run_label_job(tmp_path / "in", tmp_path / "out", CONFIG) == whole
    assert outputs(tmp_path / "out") == outputs(tmp_path / "whole")


def test_an_unreadable_shard_does_not_cost_the_others(tmp_path: pathlib.Path) -> None:
    corpus(tmp_path / "in", shards=2, size=1)
    bad = tmp_path / "in" / "train-00000-of-00002.jsonl"
    kept = bad.read_bytes()
    bad.unlink()
    bad.mkdir()  # cannot be read, even by root
    with pytest.raises(UserError, match=r"1 shards were left out:\n.*00000-of-00002"):
        run_label_job(tmp_path / "in", tmp_path / "out", CONFIG)
    assert (tmp_path / "out" / "train-00001-of-00002.jsonl").exists()
    bad.rmdir()
    bad.write_bytes(kept[:-40] + b"\n\xff\xfe\n")  # torn, and a line that is not UTF-8
    summary = run_label_job(tmp_path / "in", tmp_path / "out", CONFIG)
    assert summary["rejected"]["bad_document"] == 2
    rejects = (tmp_path / "out" / "rejects.jsonl").read_text()
    assert "not UTF-8" in rejects
    assert '"line": 4' in rejects


def test_a_single_file_and_the_input_as_output(tmp_path: pathlib.Path) -> None:
    corpus(tmp_path / "in", shards=1, size=1)
    shard = tmp_path / "in" / "train-00000-of-00001.jsonl"
    assert run_label_job(shard, tmp_path / "out", CONFIG)["scenarios"] == 3
    with pytest.raises(UserError, match="would replace the scenarios"):
        run_label_job(shard, tmp_path / "in", CONFIG)
    (tmp_path / "out" / "old.jsonl").write_text("")
    with pytest.raises(UserError, match=r"old\.jsonl: there are labels, but no such shard"):
        run_label_job(shard, tmp_path / "out", CONFIG)


@pytest.mark.parametrize("text", ["3", "a/b", "4/4", "0/0", "1/-2"])
def test_a_share_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="--shard="):
        Share.parse(text)


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
    with pytest.raises(UserError, match="no such file or folder"):
        run_label_job(tmp_path / "none", tmp_path / "out", CONFIG)


def test_a_full_disk_loses_nothing_made_before(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus(tmp_path / "in")
    run_label_job(tmp_path / "in", tmp_path / "whole", CONFIG)
    flush = os.fsync

    def full(handle: int) -> None:
        if "train-00001" in os.readlink(f"/proc/self/fd/{handle}"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(handle)

    monkeypatch.setattr(shards_module.os, "fsync", full)
    with pytest.raises(UserError, match="No space left"):
        run_label_job(tmp_path / "in", tmp_path / "out", CONFIG)
    monkeypatch.undo()
    assert not list((tmp_path / "out").rglob("*.part"))
    assert not (tmp_path / "out" / "summary.json").exists()
    first = tmp_path / "out" / "train-00000-of-00003.jsonl"
    stamp = first.stat().st_mtime_ns
    run_label_job(tmp_path / "in", tmp_path / "out", CONFIG)
    assert first.stat().st_mtime_ns == stamp
    assert outputs(tmp_path / "out") == outputs(tmp_path / "whole")
