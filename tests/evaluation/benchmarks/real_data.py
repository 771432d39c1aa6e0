"""Where the public benchmark data lie, if somebody put them there."""

import os
import pathlib

import pytest

ROOT = pathlib.Path(
    os.environ.get(
        "PPT_JAX_BENCHMARK_DATA",
        pathlib.Path(__file__).parents[4] / "shared" / "data",
    )
)


def folder(name: str) -> pathlib.Path:
    """The folder of one benchmark; skips the test, saying so, when it is not there."""
    path = ROOT / name
    if not path.exists():
        pytest.skip(f"no benchmark data in {path}; set PPT_JAX_BENCHMARK_DATA to their folder")
    return path
