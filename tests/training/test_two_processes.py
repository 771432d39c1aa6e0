"""Two processes with LoRA, accumulation and packed rows: resumed to the bit; no orphan waits."""

import concurrent.futures
import os
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[2]


def together(folder, phase):
    """Exit codes and outputs of both processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = "--xla_force_host_platform_device_count=2"
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    both = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.training.two_processes"),
                *(str(port), str(index), str(folder), phase),
            ],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]
    try:
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            shown = list(pool.map(lambda one: one.communicate(timeout=800), both))
        return [one.returncode for one in both], shown
    finally:
        for one in both:
            one.kill()
            one.wait(timeout=60)


@pytest.mark.slow
def test_two_processes_resume_to_the_bit_and_a_lone_one_ends(tmp_path):
    codes, shown = together(tmp_path, "first")
    assert codes == [0, 0], shown
    codes, shown = together(tmp_path, "second")
    assert "saved" in shown[0][0], shown
    first, second = (np.load(tmp_path / f"{name}.npz") for name in ("first", "second"))
    assert len(first.files) == len(second.files) > 20
    for name in first.files:
        np.testing.assert_array_equal(first[name], second[name])
    # the peer was killed: the one that is left ends by itself, with an error
    assert codes[1] == -9, shown
    assert codes[0] not in (0, None), shown
    assert "went on alone" not in shown[0][0]
