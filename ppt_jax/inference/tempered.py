"""Tempered sequential Monte Carlo on program tables: one compiled kernel for any program.

Every latent is a map of a standard normal, so every program has the prior ``N(z; 0, I)`` and moves
need no gradients: discrete latents, hard facts and any structure go one way. The path of targets is

    log p_b(z) = -|z|^2 / 2 + base(z) + b (loglik(z) - PENALTY violations(z)),   b from 0 to 1

with ``base`` the log density ratio of drawn proposals (part of the prior, never tempered),
``loglik`` of everything observed but hard facts, and ``violations`` how far the hard facts are from
holding (0 where all hold, at most 1 each). States that still violate one at the end have weight
zero. The first population comes from weighted Sobol points; temperatures follow by bisection on the
effective sample size.

Moves preserve the target: autoregressive (pCN) about the population's fitted normal, pCN about the
prior with a random step, and fresh prior draws of a random subset of the latents, in turn.

Source: Del Moral, Doucet and Jasra (2006), Sequential Monte Carlo samplers; Cotter, Roberts, Stuart
and White (2013), MCMC methods for functions.

Axes: L latents, P particles, N starting points, A asks, G groups of neighbouring particles, C
answer cells, R rows read from the value matrix.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.special import ndtri

from ppt_jax.inference.kernel import MAX_ASKS, run_block, with_constants
from ppt_jax.inference.labels import RUN_BLOCK as BLOCK
from ppt_jax.inference.summary import CELLS, RANK, PriorScale, linear_cells, prior_cdf

PENALTY = 25.0  # nats of one hard fact that is far from holding
GROUPS = 16
MAX_STAGES = 120
TARGET_ACCEPTANCE = 0.35
POOL = 1 << 22


class Run(NamedTuple):
    """What one run leaves behind; sums are over the states of all final moves.

    Attributes:
      log_evidence: log of the marginal likelihood of everything given, hard facts as penalties.
      temperature: that was reached, 1 for a finished run.
      stages: number of temperatures.
      acceptance: of the fitted moves among the final ones.
      sum_G: number of final states without violations, by group.
      states: number of all final states.
      cells_AGC: the same by answer cell.
      below_A, at_A: valid states below, and at, the true value.
      bad_A: valid states at which the ask has no finite value.
      mixing_A: correlation of the ask's score before and after the final moves.
    """

    log_evidence: Any
    temperature: Any
    stages: Any
    acceptance: Any
    sum_G: Any
    states: Any
    cells_AGC: Any
    below_A: Any
    at_A: Any
    bad_A: Any
    mixing_A: Any


class _Fit(NamedTuple):
    """The normal fitted to a population: ``z = mean + factor y``."""

    mean_L: Any
    factor_LL: Any
    inverse_LL: Any


class _State(NamedTuple):
    """A population; ``energy`` is the tempered part of the log target."""

    z_LP: Any
    y_LP: Any
    values_AP: Any
    base_P: Any
    energy_P: Any
    broken_P: Any


class _Sums(NamedTuple):
    cells_AGC: Any
    sum_G: Any
    below_A: Any
    at_A: Any
    bad_A: Any
    accepted: Any


@functools.cache
def noise_pool(seed: int) -> jax.Array:
    """[POOL] standard normals that all runs take their noise from (see `_noise`)."""
    rng = np.random.default_rng([seed, 1_000_003])
    return jnp.asarray(rng.standard_normal(POOL, np.float32))


def _noise(pool: jax.Array, key: jax.Array, latents: int, particles: int) -> jax.Array:
    """[L, P] standard normals: the sum of two random stretches of the pool over sqrt(2).

    Ten times quicker on a CPU than fresh ones, and no two moves see the same pair of stretches.
    """
    size = latents * particles
    first, second = jax.random.randint(key, (2,), 0, POOL - size)
    both = lax.dynamic_slice(pool, (first,), (size,)) + lax.dynamic_slice(pool, (second,), (size,))
    return (both * jnp.float32(0.5**0.5)).reshape(latents, particles)


def read_rows(rows_RP: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """``(values_AP, base_P, energy_P, broken_P)`` of rows read as asks, base, soft, violations.

    An energy of ``-inf`` marks a state that cannot be, or that cannot be computed.
    """
    base_P, soft_P, broken_P = rows_RP[-3], rows_RP[-2], rows_RP[-1]
    fine = jnp.isfinite(base_P) & jnp.isfinite(soft_P) & jnp.isfinite(broken_P)
    energy_P = jnp.where(fine, soft_P - base_P - PENALTY * broken_P, -jnp.inf)
    return rows_RP[:MAX_ASKS], jnp.where(fine, base_P, 0.0), energy_P, broken_P


def _ess(logw_P: jax.Array) -> jax.Array:
    w_P = jnp.exp(logw_P - jnp.max(logw_P))
    return jnp.sum(w_P) ** 2 / jnp.sum(w_P * w_P)


def next_temperature(
    start_P: jax.Array, energy_P: jax.Array, temperature: jax.Array, target: jax.Array
) -> jax.Array:
    """The highest temperature whose incremental weights keep an effective sample size.

    Args:
      start_P: log-weights before the increment, ``-inf`` for impossible particles.
      energy_P: tempered log-likelihoods, ``-inf`` for impossible particles.
      temperature: the current one, below 1.
      target: effective sample size to keep.

    Returns:
      The next temperature, by bisection on the log of the increment; at most 1.
    """
    safe_P = jnp.where(start_P > -jnp.inf, energy_P, 0.0)
    left = 1.0 - temperature

    def keeps(log_step: jax.Array) -> jax.Array:
        return _ess(start_P + jnp.exp(log_step) * safe_P) >= target

    def halve(_: Any, ends: Any) -> Any:
        low, high = ends
        middle = 0.5 * (low + high)
        enough = keeps(middle)
        return jnp.where(enough, middle, low), jnp.where(enough, high, middle)

    top = jnp.log(left)
    low, _ = lax.fori_loop(0, 30, halve, (top - 40.0, top))
    return jnp.where(keeps(top), 1.0, jnp.minimum(temperature + jnp.exp(low), 1.0))


def systematic(weights_P: jax.Array, offset: jax.Array, count: int) -> jax.Array:
    """Indices [count] of a systematic resampling; neighbours in the result are kin.

    Source: Kitagawa (1996), Monte Carlo filter and smoother.
    """
    upto_P = jnp.cumsum(weights_P)
    wanted = (jnp.arange(count) + offset) / count * upto_P[-1]
    return jnp.minimum(jnp.searchsorted(upto_P, wanted), len(weights_P) - 1)


def _fit(z_LP: jax.Array, mask_L: jax.Array) -> _Fit:
    """Mean and lightly shrunk covariance of a population, factored."""
    latents, particles = z_LP.shape
    mean_L = jnp.mean(z_LP, axis=1) * mask_L
    centred = (z_LP - mean_L[:, None]) * mask_L[:, None]
    covariance = centred @ centred.T / particles
    spread_L = jnp.where(mask_L > 0, jnp.sqrt(jnp.diag(covariance)) + 1e-9, 1.0)
    shrink = jnp.minimum(0.5 * jnp.sum(mask_L) / particles, 0.3)
    correlation = covariance / (spread_L[:, None] * spread_L[None, :])
    eye = jnp.eye(latents)
    factor = jnp.linalg.cholesky((1.0 - shrink) * correlation * (1.0 - eye) + (1.0 + 1e-5) * eye)
    factor = jnp.where(jnp.all(jnp.isfinite(factor)), factor, eye)
    inverse = jax.scipy.linalg.solve_triangular(factor, eye, lower=True)
    return _Fit(mean_L, spread_L[:, None] * factor, inverse / spread_L[None, :])


def _whiten(fit: _Fit, z_LP: jax.Array) -> jax.Array:
    return fit.inverse_LL @ (z_LP - fit.mean_L[:, None])


def _propose(
    kind: jax.Array,
    state: _State,
    fit: _Fit,
    step: jax.Array,
    pool: jax.Array,
    key: jax.Array,
    mask_L: jax.Array,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Proposed ``(z_LP, y_LP)`` and the log ratio of proposal densities [P]."""
    latents, particles = state.z_LP.shape
    noise_key, scale_key, subset_key = jax.random.split(key, 3)
    noise_LP = _noise(pool, noise_key, latents, particles) * mask_L[:, None]
    z_LP, y_LP = state.z_LP, state.y_LP

    def fitted() -> Any:
        new_y = jnp.sqrt(1.0 - step * step) * y_LP + step * noise_LP
        new_z = (fit.mean_L[:, None] + fit.factor_LL @ new_y) * mask_L[:, None]
        before = jnp.sum(y_LP * y_LP - z_LP * z_LP, axis=0)
        after = jnp.sum(new_y * new_y - new_z * new_z, axis=0)
        return new_z, new_y, 0.5 * (after - before)

    def prior() -> Any:
        size_P = jnp.exp(jnp.log(0.02) * jax.random.uniform(scale_key, (particles,)))
        new_z = jnp.sqrt(1.0 - size_P**2) * z_LP + size_P * noise_LP
        return new_z, _whiten(fit, new_z), jnp.zeros(particles)

    def subset() -> Any:
        live = jnp.maximum(jnp.sum(mask_L), 1.0)
        share_P = jnp.exp(-jnp.log(live) * jax.random.uniform(scale_key, (particles,)))
        edge_P = ndtri(jnp.clip(share_P, 1e-6, 1.0 - 1e-6))
        chosen = _noise(pool, subset_key, latents, particles) < edge_P
        new_z = jnp.where(chosen, noise_LP, z_LP)
        return new_z, _whiten(fit, new_z), jnp.zeros(particles)

    return lax.switch(kind, (fitted, prior, subset))


def temper(
    program: Any,
    scale: PriorScale,
    z_LN: jax.Array,
    rows_RN: jax.Array,
    pool: jax.Array,
    key: jax.Array,
    moves: jax.Array,
    final_moves: jax.Array,
    *,
    rows: int,
    particles: int,
) -> Run:
    """One run of tempered sequential Monte Carlo on one program.

    Args:
      program: a padded table (`kernel.padded`), with ``read``: the rows of its asks, base, soft
        log-likelihood and violations, and ``live``: its number of latents.
      scale: prior CDF of each ask.
      z_LN: starting points, standard normal.
      rows_RN: their ``read`` rows.
      pool: from `noise_pool`.
      key: of this run.
      moves: MCMC moves at each temperature.
      final_moves: moves after those of the last temperature whose states all enter the sums.
      rows: padded rows of the table.
      particles: P, a multiple of `BLOCK`.

    Returns:
      The sums; a run without any possible starting point has temperature 0 and empty sums.
    """
    latents = z_LN.shape[0]
    mask_L = (jnp.arange(latents) < program["live"]).astype(jnp.float32)
    group_P = jnp.arange(particles) * GROUPS // particles
    asks = jnp.sum(program["kind"] > 0)
    start_key, loop_key = jax.random.split(key)

    def evaluate(V: Any, z_LP: jax.Array) -> Any:
        z_KLP = jnp.moveaxis(z_LP.reshape(latents, -1, BLOCK), 1, 0)

        def one(V: Any, z_LP: jax.Array) -> Any:
            V = run_block(V, program, z_LP)
            return V, V[program["read"]]

        V, rows_KRP = lax.scan(one, V, z_KLP)
        rows_RP = jnp.moveaxis(rows_KRP, 0, 1).reshape(rows_KRP.shape[1], particles)
        return V, read_rows(rows_RP)

    def score(a: Any, x_P: jax.Array) -> jax.Array:
        """Place of a value among the ask's cells, a float."""
        low, width = program["low"][a], program["scale"][a]

        def linear() -> jax.Array:
            return linear_cells(x_P, low, width).astype(jnp.float32)

        def rank() -> jax.Array:
            one = jax.tree.map(lambda field: field[a], scale)
            return jnp.clip(prior_cdf(one, jnp.nan_to_num(x_P)) * CELLS, 0, CELLS - 1)

        return lax.cond(program["kind"][a] == RANK, rank, linear)

    def record(state: _State, sums: _Sums) -> _Sums:
        w_P = (state.broken_P == 0).astype(jnp.float32)

        def one(a: Any, sums: _Sums) -> _Sums:
            x_P = state.values_AP[a]
            truth = program["truth"][a]
            near = 1e-5 * jnp.abs(truth) + 1e-30
            good_P = jnp.where(jnp.isfinite(x_P), w_P, 0.0)
            cell_P = score(a, x_P).astype(jnp.int32)
            at_P = jnp.abs(x_P - truth) <= near
            return sums._replace(
                cells_AGC=sums.cells_AGC.at[a, group_P, cell_P].add(good_P),
                below_A=sums.below_A.at[a].add(jnp.sum(w_P * (x_P < truth - near))),
                at_A=sums.at_A.at[a].add(jnp.sum(w_P * at_P)),
                bad_A=sums.bad_A.at[a].add(jnp.sum(w_P - good_P)),
            )

        sums = lax.fori_loop(0, asks, one, sums)
        return sums._replace(sum_G=sums.sum_G + jnp.sum(w_P.reshape(GROUPS, -1), axis=1))

    def resample(key: jax.Array, state: Any, logw: jax.Array) -> Any:
        w = jnp.exp(logw - jnp.max(logw))
        chosen = systematic(w, jax.random.uniform(key), particles)
        return jax.tree.map(lambda field: field[..., chosen], state)

    # The first population: Sobol points, weighted as far as they carry.
    values_AN, base_N, energy_N, broken_N = read_rows(rows_RN)
    possible_N = energy_N > -jnp.inf
    start_N = jnp.where(possible_N, base_N, -jnp.inf)
    alive = jnp.any(possible_N)
    start_N = jnp.where(alive, start_N, 0.0)
    safe_N = jnp.where(possible_N, energy_N, 0.0)
    target = jnp.minimum(particles * 1.0, 0.5 * _ess(start_N))
    first = next_temperature(start_N, safe_N, jnp.float32(0.0), target)
    logw_N = start_N + first * safe_N
    log_evidence = jax.nn.logsumexp(logw_N) - jnp.log(jnp.float32(z_LN.shape[1]))
    z_LN = z_LN * mask_L[:, None]
    population = _State(z_LN, z_LN, values_AN, base_N, energy_N, broken_N)
    population = resample(start_key, population, logw_N)

    def stage(carry: Any) -> Any:
        V, state, temperature, step, log_evidence, number, _, sums, before_AP = carry
        stage_key = jax.random.fold_in(loop_key, number)
        last = temperature >= 1.0
        fit = _fit(state.z_LP, mask_L)
        state = state._replace(y_LP=_whiten(fit, state.z_LP))

        def move(i: Any, carry: Any) -> Any:
            V, state, step, sums, before_AP = carry
            propose_key, accept_key = jax.random.split(jax.random.fold_in(stage_key, i))
            kind = jnp.where(i % 3 < 2, 0, jnp.where(i % 6 == 2, 1, 2))
            new_z, new_y, ratio_P = _propose(kind, state, fit, step, pool, propose_key, mask_L)
            V, read = evaluate(V, new_z)
            new = _State(new_z, new_y, *read)
            log_ratio = ratio_P + new.base_P - state.base_P
            log_ratio = log_ratio + temperature * (new.energy_P - state.energy_P)
            log_u = jnp.log(jax.random.uniform(accept_key, (particles,), minval=1e-12))
            accepted = log_u < log_ratio  # false where there is no number
            state = jax.tree.map(lambda x, y: jnp.where(accepted, x, y), new, state)
            rate = jnp.mean(accepted.astype(jnp.float32))
            final = last & (i >= moves)
            adapted = jnp.clip(step * jnp.exp(rate - TARGET_ACCEPTANCE), 0.005, 1.0)
            step = jnp.where((kind == 0) & ~final, adapted, step)
            fitted = final & (kind == 0)
            tried = jnp.stack([jnp.where(fitted, rate, 0.0), fitted.astype(jnp.float32)])
            sums = sums._replace(accepted=sums.accepted + tried)
            times = jnp.where(final, 1, 0)
            sums = lax.fori_loop(0, times, lambda _, s: record(state, s), sums)
            before_AP = jnp.where(last & (i == moves - 1), state.values_AP, before_AP)
            return V, state, step, sums, before_AP

        count = jnp.where(last, moves + final_moves, moves)
        V, state, step, sums, before_AP = lax.fori_loop(
            0, count, move, (V, state, step, sums, before_AP)
        )
        target = jnp.float32(0.5 * particles)
        nothing = jnp.zeros(particles)
        left = jnp.where(last, 0.0, temperature)  # a finished run takes no further step
        following = next_temperature(nothing, state.energy_P, left, target)
        following = jnp.where(last, 1.0, following)
        logw_P = (following - temperature) * state.energy_P
        gained = jax.nn.logsumexp(logw_P) - jnp.log(jnp.float32(particles))
        resampled = resample(jax.random.fold_in(stage_key, 1 << 20), state, logw_P)
        state = jax.tree.map(lambda x, y: jnp.where(last, y, x), resampled, state)
        log_evidence = log_evidence + jnp.where(last, 0.0, gained)
        number = number + 1
        return V, state, following, step, log_evidence, number, last, sums, before_AP

    def unfinished(carry: Any) -> Any:
        return alive & ~carry[6] & (carry[5] < MAX_STAGES)

    sums = _Sums(
        jnp.zeros((MAX_ASKS, GROUPS, CELLS)),
        jnp.zeros(GROUPS),
        jnp.zeros(MAX_ASKS),
        jnp.zeros(MAX_ASKS),
        jnp.zeros(MAX_ASKS),
        jnp.zeros(2),
    )
    carry = (
        with_constants(jnp.zeros((rows, BLOCK)), program),
        population,
        first,
        jnp.float32(0.5),
        log_evidence,
        jnp.int32(0),
        jnp.asarray(False),
        sums,
        population.values_AP,
    )
    _, state, temperature, _, log_evidence, stages, done, sums, before_AP = lax.while_loop(
        unfinished, stage, carry
    )

    def mixing(a: Any) -> jax.Array:
        x, y = score(a, before_AP[a]), score(a, state.values_AP[a])
        x, y = x - jnp.mean(x), y - jnp.mean(y)
        spread = jnp.sqrt(jnp.sum(x * x) * jnp.sum(y * y))
        return jnp.where(spread > 0, jnp.sum(x * y) / jnp.maximum(spread, 1e-30), 0.0)

    return Run(
        log_evidence=log_evidence,
        temperature=jnp.where(done, temperature, jnp.minimum(temperature, 0.999)),
        stages=stages,
        acceptance=sums.accepted[0] / jnp.maximum(sums.accepted[1], 1.0),
        sum_G=sums.sum_G,
        states=jnp.where(done, final_moves * particles, 0).astype(jnp.float32),
        cells_AGC=sums.cells_AGC,
        below_A=sums.below_A,
        at_A=sums.at_A,
        bad_A=sums.bad_A,
        mixing_A=lax.map(mixing, jnp.arange(MAX_ASKS)),
    )
