from __future__ import annotations

import os
from collections.abc import Iterator

import jax
import pytest


@pytest.fixture(scope="session", autouse=True)
def _shared_programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests of this folder, and the processes they start, compile equal programs once."""
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: getattr(jax.config, name) for name in names}
    if before[names[0]] is None:
        folder = str(tmp_path_factory.mktemp("programs"))
        for name, value in zip(names, (folder, 0.2), strict=True):
            jax.config.update(name, value)
            os.environ[name.upper()] = str(value)
    yield
    for name, value in before.items():
        if getattr(jax.config, name) != value:
            jax.config.update(name, value)
            os.environ.pop(name.upper(), None)
