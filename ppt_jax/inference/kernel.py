"""The one compiled kernel that interprets any program table on shared points.

On a CPU the op-code is a scalar (`lax.scan` over programs, `lax.switch` really branches) and the
value matrix is one buffer that all programs reuse; on a GPU or TPU `vmap` runs programs side by
side. Tables are padded to few sizes, batches to one size, so that a corpus of any make compiles a
handful of times. A program's result does not depend on what else is in its batch.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import os
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.special import ndtr
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ppt_jax.inference.opcodes import BRANCHES, TABLE_SIZE, Operands
from ppt_jax.inference.points import BLOCK, SCRAMBLES, sobol_points
from ppt_jax.inference.summary import AskArrays, Summary, summarise
from ppt_jax.inference.table import MAX_TABLES, Table

# (rows, latents) that tables are padded to; a table goes to the first that holds it.
BUCKETS = ((128, 32), (512, 64), (2048, 256), (8192, 256))
MAX_ASKS = 8
BATCH = 16
WIDE_BATCH = 256
WIDE_BYTES = 1 << 32  # of scratch on one device, programs side by side
POINT_BYTES = 1 << 28
UNIFORM_POINTS = 8192  # of a scramble, up to which uniforms are kept beside the normals


@dataclasses.dataclass(frozen=True)
class Request:
    """One table with up to `MAX_ASKS` of its asks; the fields are [A] as in `AskArrays`."""

    table: Table
    asks: tuple[int, ...]
    kind: tuple[int, ...]
    low: tuple[float, ...]
    scale: tuple[float, ...]
    truth: tuple[float, ...]


def bucket_of(table: Table) -> tuple[int, int] | None:
    """The padded size of a table, or None where it is larger than any."""
    for rows, latents in BUCKETS:
        if table.rows <= rows and table.latents <= latents:
            return rows, latents
    return None


def _uniforms(z_LP: Any, column: Any) -> Any:
    """``Phi`` of one row, below 1; read inside a branch, only where the branch needs it."""
    return jnp.minimum(ndtr(z_LP[column]), 1.0 - 2.0**-24)


def _wrapped(name: str) -> Any:
    arithmetic = BRANCHES[name]

    def branch(V: Any, z_LP: Any, u_LP: Any, tables: Any, ins: Any, imm: Any) -> Any:
        operands = Operands(
            V[ins[1]],
            V[ins[2]],
            V[ins[3]],
            z_LP[ins[4]],
            _uniforms(z_LP, ins[5]) if u_LP is None else u_LP[ins[5]],
            imm[0],
            imm[1],
            tables[ins[6]],
        )
        return arithmetic(operands)

    return branch


_WRAPPED = [_wrapped(name) for name in BRANCHES]


def run_block(V: Any, program: Any, z_LP: Any, u_LP: Any = None) -> Any:
    """Runs one table on one block of points.

    Args:
      V: [rows, P] scratch whose first rows hold the constants.
      program: from `padded`.
      z_LP: [L, P] standard normals.
      u_LP: their uniforms, by default computed where they are read.

    Returns:
      V with all rows of the table filled.
    """

    def step(i: Any, V: Any) -> Any:
        ins, imm = program["code"][i], program["immediates"][i]
        row = lax.switch(ins[0], _WRAPPED, V, z_LP, u_LP, program["tables"], ins, imm)
        return lax.dynamic_update_slice(V, row[None], (i, 0))

    return lax.fori_loop(program["first"], program["last"], step, V)


def with_constants(V: Any, program: Any) -> Any:
    """``V`` [rows, P] with the table's constants in its first rows."""

    def fill(i: Any, V: Any) -> Any:
        row = jnp.broadcast_to(program["constants"][i], (1, V.shape[1]))
        return lax.dynamic_update_slice(V, row, (i, 0))

    return lax.fori_loop(0, program["first"], fill, V)


def interpret(V: Any, program: Any, z_KLP: Any, u_KLP: Any) -> Any:
    """Runs one table on all blocks: ``V`` [rows, BLOCK] is scratch; gives rows [R, K * BLOCK]."""
    V = with_constants(V, program)

    def one_block(V: Any, points: Any) -> Any:
        V = run_block(V, program, *points)
        return V, V[program["out"]]

    V, out_KRP = lax.scan(one_block, V, (z_KLP, u_KLP))
    return V, jnp.moveaxis(out_KRP, 0, 1).reshape(out_KRP.shape[1], -1)


def _labels(program: Any, out_RP: Any) -> Any:
    asks = AskArrays(program["kind"], program["low"], program["scale"], program["truth"])
    values, priors = out_RP[:MAX_ASKS], out_RP[MAX_ASKS : 2 * MAX_ASKS]
    return summarise(values, priors, out_RP[-2], out_RP[-1], asks, SCRAMBLES)


@functools.cache
def _compiled(rows: int, wide: bool) -> Any:
    def scanned(programs: Any, z_KLP: Any, u_KLP: Any, count: Any) -> Any:
        def one(V: Any, program: Any) -> Any:
            V, out_RP = interpret(V, program, z_KLP, u_KLP)
            return V, _labels(program, out_RP)

        V = jnp.zeros((rows, z_KLP.shape[-1]))
        shapes = jax.eval_shape(one, V, jax.tree.map(lambda field: field[0], programs))[1]
        size = len(programs["first"])
        made = jax.tree.map(lambda s: jnp.zeros((size, *s.shape), s.dtype), shapes)

        def body(i: Any, state: Any) -> Any:
            V, made = state
            V, summary = one(V, jax.tree.map(lambda field: field[i], programs))
            return V, jax.tree.map(lambda field, row: field.at[i].set(row), made, summary)

        return lax.fori_loop(0, count, body, (V, made))[1]

    def side_by_side(programs: Any, z_KLP: Any, u_KLP: Any, count: Any) -> Any:
        def one(program: Any) -> Any:
            V = jnp.zeros((rows, z_KLP.shape[-1]))
            return _labels(program, interpret(V, program, z_KLP, u_KLP)[1])

        return jax.vmap(one)(programs)

    return jax.jit(side_by_side if wide else scanned)


@functools.cache
def _interpreter(rows: int) -> Any:
    @jax.jit
    def run(program: Any, z_KLP: Any, u_KLP: Any) -> Any:
        return interpret(jnp.zeros((rows, z_KLP.shape[-1])), program, z_KLP, u_KLP)[1]

    return run


def padded(request: Request, rows: int) -> dict[str, Any]:
    """The arrays of one request, its table padded to ``rows``."""
    table = request.table
    first, last = len(table.constants), table.rows
    constants = np.zeros(rows, np.float32)
    constants[:first] = table.constants
    code = np.zeros((rows, 7), np.int32)
    code[first:last] = table.code
    immediates = np.zeros((rows, 2), np.float32)
    immediates[first:last] = table.immediates
    tables = np.zeros((MAX_TABLES, TABLE_SIZE), np.float32)
    tables[: len(table.tables)] = table.tables
    out = np.zeros(2 * MAX_ASKS + 2, np.int32)
    for slot, ask in enumerate(request.asks):
        out[slot] = table.ask_rows[ask]
        out[MAX_ASKS + slot] = table.ask_prior_rows[ask]
    out[-2:] = table.weight_row, table.prior_row
    pad = MAX_ASKS - len(request.asks)
    return {
        "constants": constants,
        "code": code,
        "immediates": immediates,
        "tables": tables,
        "out": out,
        "first": np.int32(first),
        "last": np.int32(last),
        "kind": np.array([*request.kind, *[0] * pad], np.int32),
        "low": np.array([*request.low, *[0.0] * pad], np.float32),
        "scale": np.array([*request.scale, *[1.0] * pad], np.float32),
        "truth": np.array([*request.truth, *[np.nan] * pad], np.float32),
    }


def _empty(like: dict[str, Any]) -> dict[str, Any]:
    return jax.tree.map(np.zeros_like, like)


@functools.lru_cache(maxsize=8)
def _device_points(count: int, latents: int, seed: int) -> tuple[jax.Array, jax.Array | None]:
    """Points on the device; many take their uniforms where they are read, to halve the memory."""
    z_KLP, u_KLP = sobol_points(count, latents, seed)
    return jnp.asarray(z_KLP), jnp.asarray(u_KLP) if count <= UNIFORM_POINTS else None


def wide_batch(rows: int, count: int, devices: int) -> int:
    """Programs side by side on that many devices, so that scratch stays within `WIDE_BYTES` each.

    Args:
      rows: padded rows of a table.
      count: points of each scramble.
      devices: devices that share the batch evenly.
    """
    kept = count * SCRAMBLES * (2 * MAX_ASKS + 2) * 2  # outputs, and their transposed copy
    return devices * max(1, min(WIDE_BATCH, WIDE_BYTES // (4 * (rows * BLOCK + kept))))


@functools.cache
def _shardings(devices: tuple[jax.Device, ...]) -> tuple[NamedSharding, NamedSharding]:
    """Programs split over devices, points on every device."""
    mesh = Mesh(np.array(devices), ("programs",))
    return NamedSharding(mesh, PartitionSpec("programs")), NamedSharding(mesh, PartitionSpec())


@functools.lru_cache(maxsize=8)
def _spread_points(
    count: int, latents: int, seed: int, devices: tuple[jax.Device, ...]
) -> tuple[jax.Array, jax.Array | None]:
    return jax.device_put(_device_points(count, latents, seed), _shardings(devices)[1])


def points_fit(count: int, latents: int) -> bool:
    """Whether that many points in that many dimensions stay within the memory set aside."""
    return count * SCRAMBLES * latents * 4 <= POINT_BYTES


def run_tables(
    requests: Sequence[Request],
    count: int,
    *,
    seed: int,
    batch: int | None = None,
    wide: bool | None = None,
) -> list[Summary]:
    """Weights each program on two scrambles of ``count`` Sobol points.

    Args:
      requests: tables that have a bucket, in any mix of sizes.
      count: points of each scramble, a power of two, at least `BLOCK`.
      seed: of the scrambles.
      batch: programs handed over at once; has no effect on results. By default few on a CPU,
        where they run one after the other, and as many as `wide_batch` gives elsewhere.
      wide: run programs side by side, split over all devices of this process (the default off
        the CPU).

    Returns:
      One summary (numpy arrays) a request, in order; bitwise the same in whatever company.
    """
    results: list[Summary | None] = [None] * len(requests)
    wide = jax.default_backend() != "cpu" if wide is None else wide
    groups: dict[tuple[int, int], list[int]] = {}
    for i, request in enumerate(requests):
        size = bucket_of(request.table)
        if size is None:
            raise ValueError(f"request {i}: {request.table.rows} rows are more than any bucket")
        groups.setdefault(size, []).append(i)
    devices = tuple(jax.local_devices()) if wide else ()
    jobs = []
    for (rows, latents), members in sorted(groups.items()):
        step = batch or (wide_batch(rows, count, len(devices)) if wide else BATCH)
        step = -(-step // len(devices)) * len(devices) if wide else step
        for start in range(0, len(members), step):
            jobs.append((rows, latents, step, members[start : start + step]))

    def run(job: tuple[int, int, int, list[int]]) -> None:
        rows, latents, step, members = job
        filled = [padded(requests[i], rows) for i in members]
        filled += [_empty(filled[0])] * (step - len(filled))
        programs = {key: np.stack([p[key] for p in filled]) for key in filled[0]}
        if len(devices) > 1:
            programs = jax.device_put(programs, _shardings(devices)[0])
            z_KLP, u_KLP = _spread_points(count, latents, seed, devices)
        else:
            z_KLP, u_KLP = _device_points(count, latents, seed)
        made = jax.device_get(_compiled(rows, wide)(programs, z_KLP, u_KLP, np.int32(len(members))))
        for place, i in enumerate(members):
            results[i] = jax.tree.map(lambda field, at=place: np.asarray(field[at]), made)

    workers = 1 if wide else min(len(jobs), os.cpu_count() or 1)
    if workers <= 1:
        for job in jobs:
            run(job)
    else:
        for _, latents in groups:  # made once, not once a thread
            _device_points(count, latents, seed)
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            list(pool.map(run, jobs))
    return [result for result in results if result is not None]


def evaluate_table(table: Table, z_LP: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Runs the interpreter alone, for tests and audits.

    Args:
      table: any table that has a bucket.
      z_LP: [table.latents, P] standard normals, P a multiple of `BLOCK`.

    Returns:
      Float32 ask values [A, P], log-weights [P] and prior log-weights [P].
    """
    size = bucket_of(table)
    if size is None:
        raise ValueError(f"{table.rows} rows are more than any bucket")
    rows, latents = size
    z = np.zeros((latents, z_LP.shape[1]), np.float32)
    z[: table.latents] = z_LP
    z_KLP = np.ascontiguousarray(z.reshape(latents, -1, BLOCK).transpose(1, 0, 2))
    u_KLP = np.asarray(jax.scipy.special.ndtr(z_KLP))
    values = []
    for start in range(0, len(table.ask_rows), MAX_ASKS):
        chosen = tuple(range(start, min(start + MAX_ASKS, len(table.ask_rows))))
        n = len(chosen)
        request = Request(table, chosen, (0,) * n, (0.0,) * n, (1.0,) * n, (0.0,) * n)
        out = np.asarray(_interpreter(rows)(padded(request, rows), z_KLP, u_KLP))
        values.append(out[:n])
    return np.concatenate(values), out[-2], out[-1]
