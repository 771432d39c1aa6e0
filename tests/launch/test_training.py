"""Training over two processes: the same run as in one, and a clean stop of both."""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest

from tests.launch.test_pipeline import ROOT, TINY

SETTINGS = {
    **TINY,
    "data.packing.rows": 8,
    "data.text_packing.rows": 8,
    "train.lm_steps": 0,
    "train.steps": 6,
    "train.log_every": 1,
    "train.checkpoint_every": 3,
    "train.mesh.fsdp": 2,
}


def command(module: str, workdir: pathlib.Path, *more: str, **changes: object) -> list[str]:
    settings = {**SETTINGS, **{name.replace("__", "."): value for name, value in changes.items()}}
    flags = [f"--config.{name}={value}" for name, value in settings.items()]
    start = [sys.executable, "-m", module, "--config=configs/quickstart.py"]
    return [*start, f"--workdir={workdir}", *flags, *more]


def devices(count: int) -> dict[str, str]:
    flags = f"--xla_force_host_platform_device_count={count}"
    return {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}


@contextlib.contextmanager
def two_processes(
    workdir: pathlib.Path, **changes: object
) -> Iterator[list[subprocess.Popen[str]]]:
    """Two processes that train together; whatever happens, none of them is left behind."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    both = [
        subprocess.Popen(
            command(
                "launch.train",
                workdir,
                f"--coordinator_address=127.0.0.1:{port}",
                "--num_processes=2",
                f"--process_id={index}",
                **changes,
            ),
            env=devices(4),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]
    try:
        yield both
    finally:
        for one in both:
            one.kill()
            one.communicate(timeout=60)


def finished(both: list[subprocess.Popen[str]]) -> list[tuple[str, str]]:
    """What both have printed, read at the same time: neither waits for a full pipe."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda one: one.communicate(timeout=800), both))


def losses(workdir: pathlib.Path) -> list[float]:
    rows = map(json.loads, (workdir / "train" / "metrics.jsonl").read_text().splitlines())
    return [row["loss"] for row in rows if row["split"] == "train"]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A work folder with everything that training needs."""
    workdir = tmp_path_factory.mktemp("prepared")
    for stage in ("author", "label", "dataset"):
        done = subprocess.run(
            command(f"launch.{stage}", workdir),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=800,
        )
        assert done.returncode == 0, done.stderr
    return workdir


@pytest.fixture(scope="module")
def alone(prepared: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The run in one process with eight devices."""
    workdir = tmp_path_factory.mktemp("alone") / "run"
    shutil.copytree(prepared, workdir)
    done = subprocess.run(
        command("launch.train", workdir),
        env=devices(8),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=800,
    )
    assert done.returncode == 0, done.stderr
    return workdir


@pytest.mark.slow
def test_two_processes_train_like_one_stop_together_and_go_on_alone(
    prepared: pathlib.Path, alone: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    workdir = tmp_path / "run"
    shutil.copytree(prepared, workdir)
    # one of two processes is told to stop: both save the same step and say how to go on
    metrics = workdir / "train" / "metrics.jsonl"
    with two_processes(workdir, train__steps=6) as both:
        deadline = time.monotonic() + 800
        while time.monotonic() < deadline and (not metrics.exists() or not losses(workdir)):
            time.sleep(0.05)
            assert all(one.poll() is None for one in both), finished(both)
        both[1].send_signal(signal.SIGTERM)
        shown = finished(both)
        codes = [one.returncode for one in both]
    assert codes in ([130, 130], [0, 0]), shown
    if codes == [130, 130]:  # else it had finished before the signal came
        assert "start the same command again" in shown[0][1]
        with two_processes(workdir) as again:
            shown = finished(again)
            assert [one.returncode for one in again] == [0, 0], shown
    np.testing.assert_allclose(losses(workdir), losses(alone), rtol=1e-4)
    # the run of two processes belongs to two; one goes on only when told that it may
    longer = tmp_path / "longer"
    shutil.copytree(workdir, longer)
    (longer / "stages" / "train.json").unlink()
    shutil.rmtree(longer / "train" / "checkpoints" / "ppt" / "6")
    refused = subprocess.run(
        command("launch.train", longer),
        env=devices(8),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=800,
    )
    assert refused.returncode == 2, refused.stderr
    assert "hardware.processes: 2 in the checkpoints, 1 now" in refused.stderr
    accepted = subprocess.run(
        command("launch.train", longer, "--accept=hardware"),
        env=devices(8),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=800,
    )
    assert accepted.returncode == 0, accepted.stderr
    np.testing.assert_allclose(losses(longer), losses(alone), rtol=1e-4)
