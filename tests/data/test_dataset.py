import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest

from ppt_jax.data.dataset import DatasetError, build_dataset, find_shards, open_dataset
from ppt_jax.data.records import RecordError, record_from_row
from ppt_jax.errors import UserError
from tests.data import examples


def labelled(folder: pathlib.Path, train: int = 6) -> pathlib.Path:
    """Two train shards, one validation shard, and the job's other files."""
    rows = [examples.row(at) for at in range(train)]
    examples.write_rows(folder / "train-00000-of-00002.jsonl", rows[: train // 2])
    examples.write_rows(folder / "train-00001-of-00002.jsonl", rows[train // 2 :])
    held_out = [examples.row(at, split="validation") for at in range(2)]
    examples.write_rows(folder / "validation-00000-of-00001.jsonl", held_out)
    examples.write_rows(folder / "rejects.jsonl", [])
    (folder / "summary.json").write_text("{}")
    return folder


def contents(folder: pathlib.Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_records_come_back_as_they_were(tmp_path: pathlib.Path) -> None:
    dataset = build_dataset(labelled(tmp_path / "l"), tmp_path / "dataset", silent=True)
    assert dataset.counts == {
        "train": {"scenarios": 6, "asks": 24},
        "validation": {"scenarios": 2, "asks": 8},
    }
    train = dataset.split("train")
    assert len(train) == 6
    for at, record in enumerate(train):
        original = record_from_row(examples.row(at), where="test")
        for field in ("id", "motif", "family", "skin", "genre", "story", "document"):
            assert getattr(record, field) == getattr(original, field)
        assert json.loads(record.document) == examples.row(at)["scenario"]
        for ask, before in zip(record.asks, original.asks, strict=True):
            for field in ("id", "kind", "text", "unit", "options", "true_answer", "route"):
                assert getattr(ask, field) == getattr(before, field)
            np.testing.assert_array_equal(ask.target_K, before.target_K)
            np.testing.assert_array_equal(ask.prior_K, before.prior_K)
            for field in ("low", "high", "true_rank", "ess", "error", "information"):
                np.testing.assert_allclose(
                    getattr(ask, field), getattr(before, field), rtol=1e-6, equal_nan=True
                )
    assert train[-1].id == train[5].id
    assert [record.id for record in train[1:3]] == [train[1].id, train[2].id]
    with pytest.raises(IndexError):
        train[6]


def test_same_rows_give_the_same_bytes(tmp_path: pathlib.Path) -> None:
    source = labelled(tmp_path / "l")
    command = (
        "import sys; from ppt_jax.data.dataset import build_dataset;"
        "build_dataset(sys.argv[1], sys.argv[2], records_per_shard=4, silent=True)"
    )
    for name, seed in (("a", "1"), ("b", "2")):  # other processes, other hash seeds
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        arguments = [sys.executable, "-c", command, str(source), str(tmp_path / name)]
        subprocess.run(arguments, check=True, env=environment)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert "labelled-train.array_record-00001-of-00002" in contents(tmp_path / "a")


def test_rebuild_only_when_rows_change(tmp_path: pathlib.Path) -> None:
    source = labelled(tmp_path / "l")
    first = build_dataset(source, tmp_path / "d", silent=True)
    stamp = (tmp_path / "d" / "manifest.json").stat().st_mtime_ns
    assert build_dataset(source, tmp_path / "d", silent=True) == first
    assert (tmp_path / "d" / "manifest.json").stat().st_mtime_ns == stamp
    examples.write_rows(source / "train-00001-of-00002.jsonl", [examples.row(11)])
    second = build_dataset(source, tmp_path / "d", silent=True)
    assert second.fingerprint != first.fingerprint
    assert [record.id for record in second.split("train")][-1] == "train-0011"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_tfds_reads_it_without_tensorflow(tmp_path: pathlib.Path) -> None:
    build_dataset(labelled(tmp_path / "l"), tmp_path / "d", silent=True)
    script = """
import sys
import tensorflow_datasets as tfds
source = tfds.builder_from_directory(sys.argv[1]).as_data_source(split="train")
record = source[2]
assert len(source) == 6 and record["id"] == b"train-0002", record["id"]
asks = record["asks"]
assert asks["kind"] == [b"value", b"choice", b"rank", b"chance"]
assert asks["options"][1].split(b"\\n") == [b"Juno", b"Teo", b"Marit", b"Ines"]
assert abs(asks["target"][1][: asks["answers"][1]].sum() - 1) < 1e-6
import ppt_jax.data.dataset, ppt_jax.data.pipeline, ppt_jax.data.tokenizer
len(ppt_jax.data.dataset.open_dataset(sys.argv[1]).split("train")[0].asks)
assert "tensorflow" not in sys.modules and "torch" not in sys.modules
print("read")
"""
    arguments = [sys.executable, "-c", script, str(tmp_path / "d")]
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "read"


def test_killed_build_leaves_nothing_that_looks_whole(tmp_path: pathlib.Path) -> None:
    source = tmp_path / "l"
    rows = [examples.row(at) for at in range(400)]
    examples.write_rows(source / "train-00000-of-00001.jsonl", rows)
    command = (
        "import sys; from ppt_jax.data.dataset import build_dataset;"
        "print('go', flush=True); build_dataset(sys.argv[1], sys.argv[2], silent=True)"
    )
    arguments = [sys.executable, "-c", command, str(source), str(tmp_path / "d")]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    part = tmp_path / ".d.part"
    deadline = time.monotonic() + 200
    while not (part.exists() and any(part.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not (tmp_path / "d").exists()
    with pytest.raises(DatasetError, match="no data set here"):
        open_dataset(tmp_path / "d")
    assert build_dataset(source, tmp_path / "d", silent=True).counts["train"]["scenarios"] == 400
    assert not part.exists()


def test_full_disk_leaves_the_old_data_set(tmp_path: pathlib.Path) -> None:
    source = labelled(tmp_path / "l")
    before = build_dataset(source, tmp_path / "d", silent=True)
    rows = [examples.row(at) for at in range(200)]
    examples.write_rows(source / "train-00000-of-00002.jsonl", rows)
    (source / "train-00001-of-00002.jsonl").write_text("")
    script = """
import resource, signal, sys
from ppt_jax.data.dataset import DatasetError, build_dataset
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    build_dataset(sys.argv[1], sys.argv[2], silent=True)
except DatasetError as error:
    print(error)
"""
    arguments = [sys.executable, "-c", script, str(source), str(tmp_path / "d")]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert "cannot write the data set" in done.stdout
    assert open_dataset(tmp_path / "d", verify=True) == before


def test_removed_cut_and_changed_shards_are_named(tmp_path: pathlib.Path) -> None:
    build_dataset(labelled(tmp_path / "l"), tmp_path / "d", silent=True)
    shard = tmp_path / "d" / "labelled-train.array_record-00000-of-00001"
    whole = shard.read_bytes()
    changed = bytearray(whole)
    changed[len(whole) // 2] ^= 1
    shard.write_bytes(bytes(changed))
    with pytest.raises(DatasetError, match=f"{shard.name}: its content has changed"):
        open_dataset(tmp_path / "d", verify=True)
    shard.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DatasetError, match=f"{shard.name}: has .* the file is cut"):
        open_dataset(tmp_path / "d")
    shard.unlink()
    with pytest.raises(DatasetError, match=f"{shard.name}: file of the data set is missing"):
        open_dataset(tmp_path / "d")


def test_other_schema_is_refused(tmp_path: pathlib.Path) -> None:
    build_dataset(labelled(tmp_path / "l"), tmp_path / "d", silent=True)
    manifest = tmp_path / "d" / "manifest.json"
    manifest.write_text(manifest.read_text().replace("labelled/1", "labelled/2"))
    with pytest.raises(DatasetError, match="schema 'labelled/2', this version reads 'labelled/1'"):
        open_dataset(tmp_path / "d")
    manifest.write_text("{")
    with pytest.raises(DatasetError, match=r"manifest\.json: cannot be read"):
        open_dataset(tmp_path / "d")


def test_unknown_split_and_empty_split(tmp_path: pathlib.Path) -> None:
    source = labelled(tmp_path / "l")
    examples.write_rows(source / "held_out_family-00000-of-00001.jsonl", [])
    dataset = build_dataset(source, tmp_path / "d", silent=True)
    with pytest.raises(DatasetError, match="'held_out_family'; there are train, validation"):
        dataset.split("held_out_family")
    examples.write_rows(source / "train-00000-of-00002.jsonl", [])
    examples.write_rows(source / "train-00001-of-00002.jsonl", [])
    with pytest.raises(DatasetError, match="no labelled scenario"):
        build_dataset(source, tmp_path / "d", silent=True)
    assert open_dataset(tmp_path / "d") == dataset  # what was there is still there


def test_missing_and_mixed_input_shards(tmp_path: pathlib.Path) -> None:
    source = labelled(tmp_path / "l")
    (source / "train-00000-of-00002.jsonl").unlink()
    with pytest.raises(DatasetError, match=r"train-00000-of-00002\.jsonl: shard is missing"):
        build_dataset(source, tmp_path / "d", silent=True)
    examples.write_rows(source / "train-00000-of-00003.jsonl", [])
    with pytest.raises(DatasetError, match="remove the shards of one"):
        find_shards(source)
    with pytest.raises(DatasetError, match="no such folder"):
        find_shards(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="no shards named"):
        find_shards(tmp_path / "empty")
    examples.write_rows(tmp_path / "odd" / "tests-00000-of-00001.jsonl", [])
    with pytest.raises(DatasetError, match="unknown split 'tests'"):
        find_shards(tmp_path / "odd")


def test_foreign_folder_is_not_replaced(tmp_path: pathlib.Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "thesis.txt").write_text("mine")
    with pytest.raises(DatasetError, match="no data set"):
        build_dataset(labelled(tmp_path / "l"), tmp_path / "d", silent=True)
    assert (tmp_path / "d" / "thesis.txt").read_text() == "mine"


def test_cut_line_and_repeated_scenario_name_file_and_line(tmp_path: pathlib.Path) -> None:
    source = labelled(tmp_path / "l")
    shard = source / "train-00001-of-00002.jsonl"
    text = shard.read_text()
    shard.write_text(text[:-200])
    with pytest.raises(UserError, match=r"train-00001-of-00002\.jsonl, line 3: not a JSON object"):
        build_dataset(source, tmp_path / "d", silent=True)
    examples.write_rows(shard, [examples.row(0)])
    with pytest.raises(RecordError, match=r"line 1: scenario 'train-0000' stands in .*line 1 too"):
        build_dataset(source, tmp_path / "d", silent=True)
    assert not (tmp_path / "d").exists()


def broken(change: Any) -> dict[str, Any]:
    row = examples.row(0)
    change(row)
    return row


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: r["labels"].pop(), "ask 'q3': has no label"),
        (lambda r: r["labels"].append({"ask_id": "q9"}), "unknown asks"),
        (lambda r: r["labels"][0]["probs"].pop(), "ask 'q0', field 'probs': must be 101"),
        (lambda r: r["labels"][0].update(probs=[0.5] * 101), "sum to 50.5"),
        (lambda r: r["labels"][0].update(probs=[-0.1] + [0.011] * 100), "not negative"),
        (lambda r: r["labels"][0].update(probs=["a"] * 101), "must hold numbers"),
        (lambda r: r["labels"][1].update(true_answer=7), "field 'true_answer': 7"),
        (lambda r: r["labels"][1].update(error="big"), "field 'error': must be a number"),
        (lambda r: r["scenario"].pop("story"), "field 'story'"),
        (lambda r: r["scenario"]["ask"][0].update(kind="guess"), "'guess' is none of"),
        (lambda r: r["scenario"]["ask"][1].update(options=[]), "ask 'q1', field 'options'"),
        (lambda r: r.pop("scenario"), "field 'scenario'"),
        (lambda r: r.pop("labels"), "field 'labels'"),
        (lambda r: r["scenario"].update(ask=[]), r"field 'scenario\.ask'"),
        (lambda r: r["scenario"]["ask"].insert(0, 3), "ask 0: must be an object"),
    ],
)
def test_bad_rows_are_refused_with_their_place(change: Any, words: str) -> None:
    with pytest.raises(RecordError, match=f"^f.jsonl, line 4.*{words}"):
        record_from_row(broken(change), where="f.jsonl, line 4")
    with pytest.raises(RecordError, match="JSON object"):
        record_from_row([1], where="f.jsonl, line 4")
