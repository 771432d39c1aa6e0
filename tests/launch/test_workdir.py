"""The work folder knows what is done, refuses other settings, and lets one process in."""

import json
import pathlib
import subprocess
import sys

import pytest

from launch.workdir import Workdir
from ppt_jax.errors import UserError

CONFIG = {
    "seed": 0,
    "author": {"train_size": 5, "processes": 1},
    "label": {"max_error": 0.03},
    "data": {},
    "model": {"width": 8},
    "train": {"steps": 2},
    "evaluate": {},
}


def test_a_stage_runs_once_and_its_time_is_kept(tmp_path: pathlib.Path) -> None:
    calls = []
    folder = Workdir(str(tmp_path / "new" / "run"), CONFIG)

    def work() -> None:
        calls.append(1)
        (folder.path / "corpus.json").write_text("{}")

    assert folder.run("author", work)
    assert not folder.run("author", work)
    assert calls == [1]
    assert folder.done("author")
    assert set(folder.seconds()) == {"author"}


def test_a_stage_that_fails_is_not_done_and_can_be_run_again(tmp_path: pathlib.Path) -> None:
    folder = Workdir(str(tmp_path), CONFIG)

    def fail() -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        folder.run("author", fail)
    assert not folder.done("author")
    assert folder.run("author", lambda: None)


def test_another_config_is_refused_and_every_field_named(tmp_path: pathlib.Path) -> None:
    folder = Workdir(str(tmp_path), CONFIG)
    folder.run("author", lambda: None)
    folder.run("label", lambda: None)
    del folder
    changed = json.loads(json.dumps(CONFIG))
    changed["author"]["train_size"] = 6
    changed["label"]["max_error"] = 0.5
    changed["train"]["steps"] = 9  # its stage has not begun: free to change
    with pytest.raises(UserError) as refusal:
        Workdir(str(tmp_path), changed).check()
    assert "config.author.train_size: 5 there, 6 now" in str(refusal.value)
    assert "config.label.max_error: 0.03 there, 0.5 now" in str(refusal.value)
    assert "steps" not in str(refusal.value)


def test_the_number_of_processes_may_change(tmp_path: pathlib.Path) -> None:
    Workdir(str(tmp_path), CONFIG).run("author", lambda: None)
    changed = json.loads(json.dumps(CONFIG))
    changed["author"]["processes"] = 4
    Workdir(str(tmp_path), changed).check()


def test_a_stage_before_its_input_names_the_command(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UserError, match=r"stage `author` is not finished.*launch\.author"):
        Workdir(str(tmp_path), CONFIG).require("label")


def test_two_processes_cannot_share_a_folder(tmp_path: pathlib.Path) -> None:
    holder = Workdir(str(tmp_path), CONFIG)
    code = f"from launch.workdir import Workdir; Workdir({str(tmp_path)!r}, {{}})"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert other.returncode != 0
    assert "another process is at work in this folder" in other.stderr
    del holder


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="cannot use this folder"):
        Workdir(str(tmp_path / "file"), CONFIG)


def test_a_finished_stage_whose_files_are_gone_is_run_again(tmp_path: pathlib.Path) -> None:
    config = json.loads(json.dumps(CONFIG)) | {"author": {"train_size": 5, "shards": 2}}
    folder = Workdir(str(tmp_path), config)
    shard = tmp_path / "scenarios" / "train-00001-of-00002.jsonl"

    def work() -> None:
        shard.parent.mkdir(exist_ok=True)
        for name in ("train-00000-of-00002.jsonl", "train-00001-of-00002.jsonl"):
            (shard.parent / name).write_text("")
        (tmp_path / "corpus.json").write_text("{}")

    assert folder.run("author", work)
    assert not folder.run("author", work)
    shard.unlink()
    assert folder.lost("author") == str(shard)
    assert folder.run("author", work)
    assert shard.exists()


def test_fewer_scenarios_than_shards_are_no_loss(tmp_path: pathlib.Path) -> None:
    config = json.loads(json.dumps(CONFIG)) | {"author": {"train_size": 1, "shards": 4}}
    folder = Workdir(str(tmp_path), config)

    def work() -> None:
        (tmp_path / "scenarios").mkdir()
        (tmp_path / "scenarios" / "train-00000-of-00001.jsonl").write_text("")
        (tmp_path / "corpus.json").write_text("{}")

    assert folder.run("author", work)
    assert not folder.run("author", work)


def test_a_failed_stage_lets_go_of_its_folder(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UserError) as held, Workdir(str(tmp_path), CONFIG):
        raise UserError("no")
    Workdir(str(tmp_path), CONFIG).close()  # though the error still holds the folder's frame
    assert held.value.args == ("no",)


def test_a_damaged_stage_record_is_named(tmp_path: pathlib.Path) -> None:
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / "author.json").write_text("{}")
    with pytest.raises(UserError, match=r"author\.json: cannot be read"):
        Workdir(str(tmp_path), CONFIG).check()
