"""What every test shares: the order of the files and the memory of a worker."""

from __future__ import annotations

import gc
import os
import pathlib
import sys
from collections.abc import Iterator

import pytest

KEPT_BYTES = 2 << 30  # of memory that a worker may keep for programs of earlier files


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: no worker is left alone with them at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="module", autouse=True)
def _compiled_programs_are_freed() -> Iterator[None]:
    """Else a worker keeps everything that JAX has compiled for it: 7 GB at the end."""
    yield
    memory = pathlib.Path("/proc/self/statm")
    if "jax" not in sys.modules or not memory.exists():
        return
    if int(memory.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") > KEPT_BYTES:
        import jax

        jax.clear_caches()
        gc.collect()
