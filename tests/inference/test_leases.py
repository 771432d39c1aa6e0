"""Leases: one holder at a time, dead ones are replaced, live ones never."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import time

import pytest

from ppt_jax.errors import UserError
from ppt_jax.inference import leases as module
from ppt_jax.inference.leases import Leases, born, this_machine


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def foreign(path: pathlib.Path, beats: int, token: str = "t") -> None:
    """A lease that a process on another machine wrote."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": "far", "pid": 1, "token": token, "beats": beats}))


def test_one_holder_at_a_time(tmp_path: pathlib.Path) -> None:
    first, second = Leases(tmp_path), Leases(tmp_path)
    lease = first.take("a")
    assert lease is not None
    assert second.take("a") is None
    assert second.alive("a")
    assert second.holder("a").startswith(f"process {os.getpid()} on ")
    lease.release()
    assert second.holder("a") == ""
    again = second.take("a")
    assert again is not None
    again.release()
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_is_gone_holds_nothing(tmp_path: pathlib.Path) -> None:
    code = (
        "import os, sys, pathlib; from ppt_jax.inference.leases import Leases;"
        f"Leases(pathlib.Path({str(tmp_path)!r})).take('a'); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert json.loads((tmp_path / "a.json").read_text())["pid"] != os.getpid()
    lease = Leases(tmp_path).take("a")
    assert lease is not None
    lease.release()


def test_a_number_that_another_process_has_now_is_no_holder(tmp_path: pathlib.Path) -> None:
    content = {"machine": this_machine(), "pid": os.getpid(), "born": "1", "token": "t"}
    (tmp_path / "a.json").write_text(json.dumps(content))
    assert born(os.getpid()) != "1"
    lease = Leases(tmp_path).take("a")
    assert lease is not None
    lease.release()


def test_a_far_holder_lives_while_its_file_changes(tmp_path: pathlib.Path) -> None:
    clock = Clock()
    watcher = Leases(tmp_path, lease_seconds=60, clock=clock)
    path = tmp_path / "a.json"
    for beat in range(4):
        foreign(path, beat)
        assert watcher.take("a") is None
        assert watcher.alive("a") is (beat > 0)  # known only after a first change
        clock.now += 59
    assert watcher.take("a") is None
    clock.now += 2
    lease = watcher.take("a")
    assert lease is not None
    assert watcher.holder("a").startswith(f"process {os.getpid()}")
    lease.release()


def test_a_half_written_lease_is_left_after_a_while(tmp_path: pathlib.Path) -> None:
    clock = Clock()
    watcher = Leases(tmp_path, lease_seconds=60, clock=clock)
    (tmp_path / "a.json").write_text('{"mach')
    assert watcher.take("a") is None
    clock.now += 61
    lease = watcher.take("a")
    assert lease is not None
    lease.release()


def test_of_two_that_take_over_one_wins(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    slow = Leases(tmp_path, lease_seconds=60, clock=clock)
    path = tmp_path / "a.json"
    foreign(path, 0)
    assert slow.take("a") is None
    clock.now += 61
    rename = os.rename

    def late(source: pathlib.Path, target: pathlib.Path) -> None:
        foreign(path, 0, token="fresh")  # a quicker watcher took the lease over meanwhile
        rename(source, target)

    monkeypatch.setattr(module.os, "rename", late)
    assert slow.take("a") is None
    assert json.loads(path.read_text())["token"] == "fresh"  # and still has it


def test_a_holder_refreshes_and_tells_its_counts(tmp_path: pathlib.Path) -> None:
    lease = Leases(tmp_path, beat_seconds=0.01).take("a")
    assert lease is not None
    with lease:
        lease.note(done=7, rejects=2)
        deadline = time.monotonic() + 200
        while "beats" not in Leases(tmp_path).counts().get("a", {}):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        found = Leases(tmp_path).counts()["a"]
        assert (found["done"], found["rejects"]) == (7, 2)
        foreign(tmp_path / "a.json", 0, token="other")  # taken from it while it was stopped
    assert json.loads((tmp_path / "a.json").read_text())["token"] == "other"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"a\.json: cannot write"):
        Leases(tmp_path / "file").take("a")
