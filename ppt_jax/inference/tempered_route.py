"""The route of tempered SMC: two runs a scenario from its own keys -> gated labels.

Axes: S = 2 runs, A asks, G groups of particles, C answer cells, L latents, N starting points.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import hashlib
import math
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.typing import NDArray

from ppt_jax.inference.kernel import MAX_ASKS, Request, interpret, padded
from ppt_jax.inference.labels import LabelConfig, SoftLabel, ask_scale, tempered_label
from ppt_jax.inference.points import BLOCK as SOBOL_BLOCK
from ppt_jax.inference.points import SCRAMBLES, sobol_points
from ppt_jax.inference.routes import Outcome, Prepared, nonfinite, requests_of
from ppt_jax.inference.summary import (
    CELLS,
    FINE_BINS,
    RANK,
    ROUNDS,
    AskArrays,
    PriorScale,
    fit_prior,
    linear_cells,
    prior_cdf,
)
from ppt_jax.inference.table import Table
from ppt_jax.inference.tempered import BLOCK, Run, noise_pool, temper

# (rows, latents) that tables are padded to; a table goes to the first that holds it.
SIZES = ((256, 16), (1024, 64), (8192, 256))
START = 8192  # Sobol points of each scramble that a run starts from
WIDE_BATCH = 64


class Start(NamedTuple):
    """A program on the Sobol points that its runs start from.

    Attributes:
      scale: prior CDF by ask (rank asks only).
      prior_AC: prior weight by answer cell.
      rank_A: prior CDF at the true value.
      log_scale: log-sum of the prior weights.
      broken: points whose log-weight is no number.
      bad_prior_A: points at which the prior's version of the ask has no finite value.
    """

    scale: PriorScale
    prior_AC: Any
    rank_A: Any
    log_scale: Any
    broken: Any
    bad_prior_A: Any


@dataclasses.dataclass(frozen=True)
class Diagnostics:
    """How two runs went; gates are on these (see `failed_runs`).

    Attributes:
      temperature: the lower of the two that were reached.
      evidence_gap: absolute difference of the log evidences.
      acceptance: the lower of the two.
      valid: the lower share of final states that violate no hard fact.
      mixing: the greatest correlation of an ask's score before and after the final moves.
      stages: temperatures of both runs.
    """

    temperature: float
    evidence_gap: float
    acceptance: float
    valid: float
    mixing: float
    stages: int


def size_of(table: Table) -> tuple[int, int] | None:
    """The padded size of a table, or None where it is larger than any."""
    for rows, latents in SIZES:
        if table.rows <= rows and table.latents <= latents:
            return rows, latents
    return None


def run_key(identifier: str, seed: int, run: int) -> NDArray[np.uint32]:
    """Key data of one run: of the scenario's id and the seed, the same on every machine."""
    digest = hashlib.sha256(f"tempered/{seed}/{run}/{identifier}".encode()).digest()
    return np.frombuffer(digest[:8], ">u4").astype(np.uint32)


def _prior_of(program: Any, out_RN: jax.Array) -> Start:
    """The prior's sums from the rows that `_start` reads."""
    asks = AskArrays(program["kind"], program["low"], program["scale"], program["truth"])
    prior_AN, logq_N = out_RN[MAX_ASKS : 2 * MAX_ASKS], out_RN[2 * MAX_ASKS]
    logw_N = out_RN[-2]
    broken = jnp.sum(jnp.isnan(logw_N) | (logw_N == jnp.inf)) + jnp.sum(jnp.isnan(logq_N))
    q_N = jnp.where(jnp.isnan(logq_N), 0.0, jnp.exp(logq_N - jnp.nanmax(logq_N)))

    def one(ask: Any) -> Any:
        p_N, kind, low, width, truth = ask
        ok_N = jnp.isfinite(p_N)
        weight_N = jnp.where(ok_N, q_N, 0.0)

        def rank() -> Any:
            fill = jnp.nanmin(jnp.where(ok_N, p_N, jnp.nan))
            scale, at_N = fit_prior(jnp.where(ok_N, p_N, fill), weight_N)
            cell_N = jnp.clip(at_N * CELLS, 0, CELLS - 1).astype(jnp.int32)
            return cell_N, scale, prior_cdf(scale, jnp.where(jnp.isfinite(truth), truth, fill))

        def linear() -> Any:
            nothing = jnp.float32(0.0)
            flat = PriorScale(nothing, nothing, jnp.zeros((ROUNDS, FINE_BINS + 1)))
            return linear_cells(p_N, low, width), flat, nothing

        cell_N, scale, at_truth = lax.cond(kind == RANK, rank, linear)
        cells = jnp.zeros(CELLS).at[cell_N].add(weight_N)
        return scale, cells, at_truth, jnp.sum((q_N > 0) & ~ok_N)

    scale, prior_AC, rank_A, bad_A = lax.map(
        one, (prior_AN, asks.kind, asks.low, asks.scale, asks.truth)
    )
    log_scale = jnp.nanmax(logq_N) + jnp.log(jnp.sum(q_N))
    return Start(scale, prior_AC, rank_A, log_scale, broken, bad_A)


def _start(program: Any, z_KLP: Any, u_KLP: Any, rows: int) -> tuple[Any, Start]:
    out_RN = interpret(jnp.zeros((rows, z_KLP.shape[-1])), program, z_KLP, u_KLP)[1]
    return jnp.concatenate([out_RN[:MAX_ASKS], out_RN[-3:]]), _prior_of(program, out_RN)


def _run(
    program: Any,
    scale: PriorScale,
    z_LN: Any,
    rows_RN: Any,
    pool: Any,
    key_data: Any,
    moves: Any,
    final_moves: Any,
    rows: int,
    particles: int,
) -> Run:
    key = jax.random.wrap_key_data(key_data)
    sizes = {"rows": rows, "particles": particles}
    return temper(program, scale, z_LN, rows_RN, pool, key, moves, final_moves, **sizes)


@functools.cache
def _compiled_start(rows: int, wide: bool) -> Any:
    run = functools.partial(_start, rows=rows)
    return jax.jit(jax.vmap(run, in_axes=(0, None, None)) if wide else run)


@functools.cache
def _compiled_run(rows: int, particles: int, wide: bool) -> Any:
    run = functools.partial(_run, rows=rows, particles=particles)
    axes = (0, 0, None, 0, None, 0, None, None)
    return jax.jit(jax.vmap(run, in_axes=axes) if wide else run)


@functools.lru_cache(maxsize=4)
def _points(latents: int, seed: int) -> tuple[jax.Array, jax.Array, list[jax.Array]]:
    """``z_KLP`` and ``u_KLP`` of both scrambles, and ``z_LN`` of each, in random order.

    In their own order every eighth Sobol point lies in the same eighth of the space, and
    systematic resampling would take mostly those.
    """
    rng = np.random.default_rng([seed, 2_000_003])
    order = np.concatenate([s * START + rng.permutation(START) for s in range(SCRAMBLES)])

    def shuffled(x_KLP: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.moveaxis(x_KLP, 1, 0).reshape(latents, -1)[:, order]

    z_LN, u_LN = (shuffled(x) for x in sobol_points(START, latents, seed))
    z_KLP, u_KLP = (
        jnp.asarray(np.moveaxis(x.reshape(latents, -1, SOBOL_BLOCK), 1, 0)) for x in (z_LN, u_LN)
    )
    return z_KLP, u_KLP, [jnp.asarray(half) for half in np.split(z_LN, SCRAMBLES, axis=1)]


def _program(request: Request, rows: int) -> dict[str, Any]:
    """The padded table, and the rows that starts and moves read."""
    table, made = request.table, padded(request, rows)
    ends = (table.base_row, table.soft_row, table.violations_row)
    made["read"] = np.array([*made["out"][:MAX_ASKS], *ends], np.int32)
    made["out"] = np.array([*made["out"][: 2 * MAX_ASKS], table.prior_row, *ends], np.int32)
    made["live"] = np.int32(table.latents)
    return made


def run_tempered(
    requests: Sequence[Request],
    identifiers: Sequence[str],
    particles: int,
    moves: int,
    final_moves: int,
    *,
    seed: int,
    wide: bool | None = None,
    batch: int = WIDE_BATCH,
) -> list[tuple[Start, list[Run]]]:
    """Two runs for each program, from two scrambles and two keys.

    Args:
      requests: tables that have a size, in any mix.
      identifiers: of their scenarios; a run's key is made of it and the seed.
      particles: of each run, a multiple of `tempered.BLOCK`.
      moves: MCMC moves at each temperature.
      final_moves: moves whose states enter the sums.
      seed: of points, noise and keys.
      wide: run programs side by side (the default off the CPU).
      batch: programs side by side in one call.

    Returns:
      Per request the prior's sums and both runs (numpy), the same in whatever company.
    """
    wide = jax.default_backend() != "cpu" if wide is None else wide
    pool = noise_pool(seed)
    groups: dict[tuple[int, int], list[int]] = {}
    for i, request in enumerate(requests):
        size = size_of(request.table)
        if size is None:
            raise ValueError(f"request {i}: {request.table.rows} rows are more than any size")
        groups.setdefault(size, []).append(i)
    results: list[tuple[Start, list[Run]] | None] = [None] * len(requests)
    effort = (np.int32(moves), np.int32(final_moves))
    step = batch if wide else 1
    jobs = [
        (size, members[start : start + step])
        for size, members in groups.items()
        for start in range(0, len(members), step)
    ]

    def work(job: tuple[tuple[int, int], list[int]]) -> None:
        (rows, latents), members = job
        z_KLP, u_KLP, z_SLN = _points(latents, seed)
        run = _compiled_run(rows, particles, wide)
        programs = [_program(requests[i], rows) for i in members]
        if wide:
            places = [*range(len(members)), *[0] * (step - len(members))]
            program = {k: np.stack([programs[p][k] for p in places]) for k in programs[0]}
        else:
            program = programs[0]
        rows_RN, start = _compiled_start(rows, wide)(program, z_KLP, u_KLP)
        made = []
        for s in range(SCRAMBLES):
            keys = [run_key(identifiers[i], seed, s) for i in members]
            key = np.stack([keys[p] for p in places]) if wide else keys[0]
            here = rows_RN[..., s * START : (s + 1) * START]
            scale = start.scale
            made.append(run(program, scale, z_SLN[s], here, pool, key, *effort))
        start = start._replace(scale=None)  # stays on the device
        start, made = jax.device_get((start, made))
        for place, i in enumerate(members):
            if wide:
                pick = functools.partial(_row, place=place)
                results[i] = jax.tree.map(pick, start), [jax.tree.map(pick, one) for one in made]
            else:
                results[i] = start, made

    workers = 1 if wide else min(len(jobs), os.cpu_count() or 1)
    for _, latents in groups:
        _points(latents, seed)  # made once, not once a thread
    if workers <= 1:
        for job in jobs:
            work(job)
    else:
        with concurrent.futures.ThreadPoolExecutor(workers) as threads:
            list(threads.map(work, jobs))
    return [result for result in results if result is not None]


def _row(field: Any, place: int) -> Any:
    return field[place]


def diagnose(runs: Sequence[Run], asks: int) -> Diagnostics:
    """Sums up two runs."""
    first, second = runs
    gap = abs(float(first.log_evidence) - float(second.log_evidence))
    return Diagnostics(
        temperature=min(float(run.temperature) for run in runs),
        evidence_gap=gap if math.isfinite(gap) else math.inf,
        acceptance=min(float(run.acceptance) for run in runs),
        valid=min(float(np.sum(run.sum_G)) / max(float(run.states), 1.0) for run in runs),
        mixing=max(float(np.max(run.mixing_A[:asks])) for run in runs),
        stages=sum(int(run.stages) for run in runs),
    )


def failed_runs(found: Diagnostics, config: LabelConfig) -> str:
    """The first gate on a pair of runs that does not open, or an empty string."""
    if found.temperature < 1.0:
        return f"stopped at temperature {found.temperature:.3g}"
    if not found.valid > config.min_valid:
        return f"{found.valid:.3f} of the final states keep all hard facts"
    if not found.acceptance > config.min_acceptance:
        return f"acceptance {found.acceptance:.3f}"
    if not found.evidence_gap < config.max_evidence_gap:
        return f"log evidences differ by {found.evidence_gap:.2f}"
    return ""


def tempered_route(
    prepared: Sequence[Prepared], particles: int, config: LabelConfig
) -> list[Outcome]:
    """Labels by two runs of tempered SMC each, averaged, gated on how the runs went.

    Args:
      prepared: scenarios of any structures.
      particles: one of ``config.particles``; its moves go with it.
      config: efforts, gates, seed.

    Returns:
      Per scenario its labels, or why there are none; a scenario's outcome depends on nothing else.
    """
    place = config.particles.index(particles)
    moves, final_moves = config.moves[place], config.final_moves[place]
    outcomes: list[Outcome | None] = [None] * len(prepared)
    requests: list[Request] = []
    owners: list[int] = []
    for i, one in enumerate(prepared):
        if size_of(one.table) is None:
            detail = f"{one.table.rows} rows and {one.table.latents} latents"
            outcomes[i] = Outcome(reason="not_sampled", detail=detail)
            continue
        for request in requests_of(one):
            requests.append(request)
            owners.append(i)
    names = [prepared[i].scenario.id for i in owners]
    made = run_tempered(requests, names, particles, moves, final_moves, seed=config.seed)
    found: dict[int, list[tuple[Request, Start, list[Run]]]] = {}
    for i, request, (start, runs) in zip(owners, requests, made):
        found.setdefault(i, []).append((request, start, runs))
    for i, parts in found.items():
        outcomes[i] = tempered_outcome(prepared[i], parts, config)
    return [outcome for outcome in outcomes if outcome is not None]


def tempered_outcome(
    prepared: Prepared, parts: Sequence[tuple[Request, Start, list[Run]]], config: LabelConfig
) -> Outcome:
    """The gated outcome of one scenario from the runs of its requests."""
    for _, start, _ in parts:
        if start.broken > 0:
            return nonfinite(prepared, None)
    diagnostics = [diagnose(runs, len(request.asks)) for request, _, runs in parts]
    if any(found.temperature <= 0.0 for found in diagnostics):
        detail = "no starting point fits the givens"
        return Outcome(reason="impossible_evidence", detail=detail)
    labels: list[SoftLabel] = []
    failed = ""
    for found, (request, start, runs) in zip(diagnostics, parts):
        failed = failed or failed_runs(found, config)
        if not found.valid > 0.0:
            return Outcome(reason="label_error", detail=failed)
        made = tempered_labels(prepared, request, start, runs)
        if isinstance(made, Outcome):
            return made
        labels.extend(made)
    return Outcome(labels=tuple(labels), failed=failed)


def tempered_labels(
    prepared: Prepared, request: Request, start: Start, runs: Sequence[Run]
) -> list[SoftLabel] | Outcome:
    """Labels of a request's asks; an outcome where one has no finite value."""
    labels = []
    for slot, place in enumerate(request.asks):
        if any(run.bad_A[slot] > 0 for run in runs):
            return nonfinite(prepared, prepared.program.asks[place])
        rank = ask_scale(prepared.scenario.ask[place])[0] == RANK
        if rank and start.bad_prior_A[slot] > 0:
            return nonfinite(prepared, prepared.program.ask_priors[place])
        truth = prepared.truths[place]
        labels.append(tempered_label(prepared.scenario, place, start, runs, slot, truth))
    return labels


assert START % BLOCK == 0
