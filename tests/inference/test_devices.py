"""The kernel over several devices, and its memory."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest

from ppt_jax.inference import kernel
from ppt_jax.inference.points import BLOCK, SCRAMBLES
from ppt_jax.inference.routes import prepare, requests_of
from ppt_jax.inference.summary import CELLS
from ppt_jax.scenario.document import parse_scenario
from tests.inference.corpus import random_document

SPREAD = """
import jax, numpy as np
from ppt_jax.inference import kernel
from ppt_jax.inference.routes import ask_arrays, prepare
from ppt_jax.scenario.document import parse_scenario
from tests.inference.corpus import random_document

assert len(jax.local_devices()) == 8
requests = []
for seed in range(9):
    case = parse_scenario(random_document(seed))
    made = prepare(case)
    fields = [tuple(np.asarray(field).tolist()) for field in ask_arrays(made)]
    requests.append(kernel.Request(made.table, tuple(range(len(case.ask))), *fields))
spread = kernel.run_tables(requests, 2048, seed=0, wide=True, batch=8)
devices = jax.local_devices()
jax.local_devices = lambda *args, **kwargs: devices[:1]
alone = kernel.run_tables(requests, 2048, seed=0, wide=True, batch=8)
assert len(spread) == len(alone) == 9
for a, b in zip(spread, alone):
    for name, x, y in zip(a._fields, a, b):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5, err_msg=name)
"""


def test_programs_spread_over_eight_devices_give_the_sums_of_one() -> None:
    root = pathlib.Path(__file__).parents[2]
    flags = "--xla_force_host_platform_device_count=8"
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", SPREAD]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("devices", [1, 8])
@pytest.mark.parametrize("count", [2048, 8192, 65536, 262144])
def test_a_batch_stays_within_the_memory_set_aside(count: int, devices: int) -> None:
    """However many scenarios there are: a batch's scratch is bounded on each device."""
    for rows, _ in kernel.BUCKETS:
        batch = kernel.wide_batch(rows, count, devices)
        assert batch % devices == 0
        outputs = 2 * count * SCRAMBLES * (2 * kernel.MAX_ASKS + 2)
        assert 4 * batch // devices * (rows * BLOCK + outputs) <= kernel.WIDE_BYTES
        assert batch // devices <= kernel.WIDE_BATCH


def scratch(wide: bool, batch: int, count: int) -> int:
    """Bytes of scratch of the compiled kernel for a batch of the smallest size."""
    rows, latents = kernel.BUCKETS[0]
    made = prepare(parse_scenario(random_document(1)))
    fields = kernel.padded(requests_of(made)[0], rows)
    programs = {key: np.stack([field] * batch) for key, field in fields.items()}
    shape = (SCRAMBLES * count // BLOCK, latents, BLOCK)
    points = jax.ShapeDtypeStruct(shape, np.float32)
    run = kernel._compiled(rows, wide).lower(programs, points, points, np.int32(batch))
    return int(run.compile().memory_analysis().temp_size_in_bytes)


def test_programs_in_turn_share_their_scratch() -> None:
    """The form for CPUs: one value matrix however many programs are handed over."""
    few, many = scratch(False, 2, 2048), scratch(False, 32, 2048)
    summaries = 30 * 4 * (SCRAMBLES + 2) * kernel.MAX_ASKS * CELLS
    assert many < few + 2 * summaries


def test_scratch_of_programs_side_by_side_is_what_the_batch_is_made_for() -> None:
    rows, _ = kernel.BUCKETS[0]
    few, many = scratch(True, 2, 4096), scratch(True, 6, 4096)
    each = (many - few) / 4
    outputs = 2 * 4096 * SCRAMBLES * (2 * kernel.MAX_ASKS + 2)
    assert each < 1.5 * 4 * (rows * BLOCK + outputs)
