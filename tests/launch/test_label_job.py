"""The labelling job through its entry point: tasks, processes, kills, second jobs, bad flags."""

from __future__ import annotations

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

from configs.quickstart import get_config
from launch import labelling
from launch.distributed import Processes
from launch.label import share_of
from launch.stages import run_pipeline
from ppt_jax.errors import UserError
from ppt_jax.inference.job import run_label_job
from ppt_jax.inference.labels import LabelConfig
from tests.inference.corpus import ask, document, node, write_shard

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parents[2]
SHARDS = 5


def coin(name: str, heads: int) -> dict[str, object]:
    model = [node("p", "beta(a=2, b=2)"), node("heads", "successes(n=10, p=p)")]
    truth = {"p": 0.5, "heads": heads}
    return document(model, [f"heads == {heads}"], [ask("chance", "p")], name=name, truth=truth)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Scenario shards, one of them with a broken line."""
    folder = tmp_path_factory.mktemp("corpus") / "scenarios"
    for shard in range(SHARDS):
        rows = [coin(f"coin-{shard}-{i}", (shard + i) % 11) for i in range(4)]
        write_shard(folder / f"train-{shard:05d}-of-{SHARDS:05d}.jsonl", rows)
    with open(folder / "train-00003-of-00005.jsonl", "ab") as file:
        file.write(b'{"schema": "scenario/1", "id": "torn')
    return folder


@pytest.fixture(scope="module")
def expected(corpus: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of one process that does it all."""
    out = tmp_path_factory.mktemp("whole") / "labels"
    run_label_job(corpus, out, LabelConfig(seed=0))
    return outputs(out)


def outputs(labels: pathlib.Path) -> dict[str, bytes]:
    """Every reproducible file of a labels folder."""
    files = [*labels.glob("*.json*"), *(labels / "state").glob("*.json*")]
    files = [path for path in files if path.name != "timing.json"]
    return {str(path.relative_to(labels)): path.read_bytes() for path in files}


def start(
    corpus: pathlib.Path, workdir: pathlib.Path, *flags: str, **variables: str
) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "launch.label", "--config=configs/quickstart.py"]
    command += [f"--input={corpus}", f"--workdir={workdir}", *flags]
    environ = {**os.environ, "JAX_PLATFORMS": "cpu", **variables}
    return subprocess.Popen(
        command, cwd=ROOT, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, error = process.communicate(timeout=800)
    assert "Traceback" not in error, error
    return process.returncode, out, error


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def together(index: int, port: int, count: int = 2) -> list[str]:
    return [
        f"--coordinator_address=127.0.0.1:{port}",
        f"--num_processes={count}",
        f"--process_id={index}",
    ]


def test_two_processes_make_the_files_of_one(
    corpus: pathlib.Path, expected: dict[str, bytes], tmp_path: pathlib.Path
) -> None:
    port = free_port()
    pair = [start(corpus, tmp_path, *together(index, port)) for index in (0, 1)]
    (first, shown, error), (second, quiet, _) = map(finish, pair)
    assert (first, second) == (0, 0), error
    assert outputs(tmp_path / "labels") == expected
    assert "labelled 20 of 21 scenarios" in shown
    assert "rejected: bad_document 1" in shown
    assert quiet == ""
    assert re.search(r"label: \d+/12, .*all tasks \d+|label: 12/12", error)
    stage = json.loads((tmp_path / "stages" / "label.json").read_text())
    assert stage["done"]
    assert stage["input"] == str(corpus)


def slurm(index: int, port: int, count: int = 2) -> dict[str, str]:
    """What Slurm sets for a task of a step on this machine, and JAX's variable for the port."""
    return {
        "SLURM_JOB_ID": "17",
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_NTASKS": str(count),
        "SLURM_PROCID": str(index),
        "SLURM_LOCALID": str(index),
        "JAX_COORDINATOR_PORT": str(port),
    }


def test_under_slurm_an_error_of_one_process_ends_both_with_its_reason(
    tmp_path: pathlib.Path,
) -> None:
    scenarios = tmp_path / "scenarios"
    scenarios.mkdir()
    for name in ("a", "b"):
        (scenarios / f"{name}.jsonl").write_text("")
    (scenarios / "b.jsonl").unlink()
    (scenarios / "b.jsonl").mkdir()  # the second process's share cannot be read
    port = free_port()
    pair = [start(scenarios, tmp_path / "run", **slurm(index, port)) for index in (0, 1)]
    (first, _, told), (second, _, own) = map(finish, pair)
    assert (first, second) == (2, 2)
    assert "process 1: error: 1 shards were left out" in told
    assert "b.jsonl: cannot read" in own
    assert (tmp_path / "run" / "labels" / "a.jsonl").exists()
    assert not (tmp_path / "run" / "labels" / "summary.json").exists()


def test_array_tasks_and_a_second_job_beside_them(
    corpus: pathlib.Path, expected: dict[str, bytes], tmp_path: pathlib.Path
) -> None:
    flags = ["--shard=0/2", "--shard=1/2", "--shard=0/2"]
    tasks = [start(corpus, tmp_path, flag) for flag in flags]
    results = [finish(task) for task in tasks]
    for code, _, error in results:
        assert code == 0 or (code == 2 and "another labelling job" in error), error
    assert [code for code, _, _ in results].count(0) >= 2
    assert outputs(tmp_path / "labels") == expected
    assert any("all are done" in shown for _, shown, _ in results)


def test_a_killed_task_is_taken_over(
    corpus: pathlib.Path, expected: dict[str, bytes], tmp_path: pathlib.Path
) -> None:
    state = tmp_path / "labels" / "state"
    task = start(corpus, tmp_path, "--shard=0/1")
    deadline = time.monotonic() + 120
    while not list(state.glob("leases/train-*.json")) and time.monotonic() < deadline:
        assert task.poll() is None, task.communicate()
        time.sleep(0.005)
    os.kill(task.pid, signal.SIGKILL)
    task.communicate()
    assert list(state.glob("leases/train-*.json"))  # the dead task's lease is still there
    done = {path: path.stat().st_mtime_ns for path in state.glob("train-*[0-9].json")}
    code, shown, error = finish(start(corpus, tmp_path))
    assert code == 0, error
    assert outputs(tmp_path / "labels") == expected
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in done.items())
    assert not list((tmp_path / "labels").rglob("*.part"))
    code, shown, error = finish(start(corpus, tmp_path, "--merge"))
    assert code == 0
    assert "0 shards labelled by this process; all are done" in shown
    assert outputs(tmp_path / "labels") == expected


def test_a_process_that_is_alone_says_so_and_ends(
    corpus: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    lonely = start(corpus, tmp_path, *together(1, free_port()), "--distributed_timeout=2")
    code, _, error = finish(lonely)
    assert code == 2
    assert "did not find each other within 2 s" in error
    assert "process 1 of 2, coordinator 127.0.0.1:" in error


@pytest.mark.parametrize(
    ("shard", "merge", "told", "message"),
    [
        ("2/2", False, False, "counts from 0 and is below"),
        ("x", False, False, "must be INDEX/COUNT"),
        ("0/2", False, True, "exclude each other"),
        ("0/2", True, False, "--merge is one process alone"),
        (None, True, True, "--merge is one process alone"),
    ],
)
def test_flags_that_contradict_are_named(
    shard: str | None, merge: bool, told: bool, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        share_of(shard, merge, told)


def test_a_work_folder_of_other_scenarios_is_refused(
    corpus: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    config = get_config()
    label = json.loads(json.dumps(config.label.to_dict()))
    record = {"settings": {"seed": 0, "label": label}, "done": True, "seconds": 1.0}
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / "label.json").write_text(json.dumps({**record, "input": "/else"}))
    with pytest.raises(UserError, match="were made from /else"):
        labelling.run(config, str(tmp_path), str(corpus), None, Processes())
    with pytest.raises(UserError, match=r"launch\.dataset.*not the pipeline"):
        run_pipeline(config, str(tmp_path))
