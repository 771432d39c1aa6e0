"""Weighted particles -> the sums that labels are made of, inside jit.

Axes: S scrambles, P points of a scramble, A asks, C answer cells.

An ask's answers lie in cells. `value`, `chance` and `choice` use cell 0 for mass below, 1..101 for
the answers and 102 for mass above; `rank` uses all cells, of the prior CDF.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

CELLS = 1024
ANSWERS = 101
FINE_BINS = 4096
ROUNDS = 3
NO_ASK, LINEAR, RANK = 0, 1, 2


class AskArrays(NamedTuple):
    """What the kernel must know of each ask: [A] arrays.

    Attributes:
      kind: NO_ASK (padding), LINEAR or RANK, int32.
      low, scale: a LINEAR ask's answer is ``floor((x - low) * scale + 1/2)``.
      truth: the ask's true value, NaN where unknown.
    """

    kind: Any
    low: Any
    scale: Any
    truth: Any


class Summary(NamedTuple):
    """Sums over the particles of one program; weights are relative to the greatest one.

    Attributes:
      log_max: greatest log-weight; ``-inf`` where every particle is impossible.
      sum_S: sum of weights of each scramble.
      square: sum of squared weights.
      log_scale: log-sum of the prior weights (``log P`` but for proposals).
      broken: particles whose log-weight is no number.
      cells_ASC: weights by answer cell; squares_AC: squared weights; prior_AC: prior weights.
      below_A, at_A: weight below, and at, the true value.
      rank_A: prior CDF at the true value (RANK only).
      bad_A: particles of positive weight at which the ask has no finite value.
      bad_prior_A: the same for the prior's version of the ask.
    """

    log_max: jax.Array
    sum_S: jax.Array
    square: jax.Array
    log_scale: jax.Array
    broken: jax.Array
    cells_ASC: jax.Array
    squares_AC: jax.Array
    prior_AC: jax.Array
    below_A: jax.Array
    at_A: jax.Array
    rank_A: jax.Array
    bad_A: jax.Array
    bad_prior_A: jax.Array


class PriorScale(NamedTuple):
    """A prior's mid-rank CDF, as rounds of histogram equalisation (`fit_prior`).

    Attributes:
      low, high: ends of the prior's particles.
      before_KF: per round the mass before each bin, and 1.
    """

    low: jax.Array
    high: jax.Array
    before_KF: jax.Array


def _place(x_X: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Bin and place within it of values that mostly lie in [0, 1]."""
    place_X = x_X * FINE_BINS
    bin_X = jnp.clip(place_X, 0, FINE_BINS - 1).astype(jnp.int32)
    return bin_X, jnp.clip(place_X - bin_X, 0.0, 1.0)


def fit_prior(prior_P: jax.Array, weight_P: jax.Array) -> tuple[PriorScale, jax.Array]:
    """The prior's CDF without a sort, and its values at the prior's own particles.

    Rounds of histogram equalisation: each round bins what the last one made nearly uniform, so
    that the final bins hold about 1/FINE_BINS of the mass wherever the prior has no atoms; ties
    share a bin and get its middle.

    Args:
      prior_P: finite values.
      weight_P: their weights.
    """
    total = jnp.sum(weight_P)
    low, high = jnp.min(prior_P), jnp.max(prior_P)
    x_P = (prior_P - low) / jnp.where(high > low, high - low, 1.0)
    rounds = []
    for _ in range(ROUNDS):
        bin_P, within_P = _place(x_P)
        upto = jnp.cumsum(jnp.zeros(FINE_BINS).at[bin_P].add(weight_P) / total)
        before = jnp.concatenate([jnp.zeros(1), upto])
        x_P = before[bin_P] + (before[bin_P + 1] - before[bin_P]) * within_P
        rounds.append(before)
    at_P = 0.5 * (before[bin_P] + before[bin_P + 1])
    return PriorScale(low, high, jnp.stack(rounds)), jnp.clip(at_P, 0.0, 1.0)


def prior_cdf(scale: PriorScale, values_X: jax.Array) -> jax.Array:
    """Mid-rank prior CDF at finite ``values``."""
    low, high = scale.low, scale.high
    x_X = (values_X - low) / jnp.where(high > low, high - low, 1.0)
    for before in scale.before_KF:
        bin_X, within_X = _place(x_X)
        x_X = before[bin_X] + (before[bin_X + 1] - before[bin_X]) * within_X
    at_X = 0.5 * (before[bin_X] + before[bin_X + 1])
    outside = jnp.where(values_X < low, 0.0, jnp.where(values_X > high, 1.0, at_X))
    return jnp.clip(outside, 0.0, 1.0)


def linear_cells(x_P: jax.Array, low: jax.Array, scale: jax.Array) -> jax.Array:
    """Cells of the values of a LINEAR ask: 0 below, 1..101 the answers, 102 above."""
    place = jnp.floor((x_P - low) * scale + 0.5)
    place = jnp.where(jnp.isnan(place), -1.0, jnp.clip(place, -1.0, float(ANSWERS)))
    return place.astype(jnp.int32) + 1


def summarise(
    values_AP: jax.Array,
    priors_AP: jax.Array,
    logw_P: jax.Array,
    prior_logw_P: jax.Array,
    asks: AskArrays,
    scrambles: int,
) -> Summary:
    """Sums up weighted particles.

    Args:
      values_AP: ask values, observed draws fixed, float32.
      priors_AP: ask values, observed draws drawn.
      logw_P: log-weights under the posterior; the scrambles lie one after the other.
      prior_logw_P: log-weights under the prior.
      asks: [A] arrays.
      scrambles: number of scrambles S that P divides into.

    Returns:
      The sums; every field is finite or says why not (`broken`, `bad_A`, `log_max`).
    """
    size = logw_P.shape[0]
    broken_P = jnp.isnan(logw_P) | (logw_P == jnp.inf)
    logw_P = jnp.where(broken_P, -jnp.inf, logw_P)
    log_max = jnp.max(logw_P)
    w_P = jnp.where(logw_P > -jnp.inf, jnp.exp(logw_P - log_max), 0.0)
    prior_bad = jnp.isnan(prior_logw_P)
    prior_logw_P = jnp.where(prior_bad, -jnp.inf, prior_logw_P)
    prior_max = jnp.max(prior_logw_P)
    q_P = jnp.where(prior_logw_P > -jnp.inf, jnp.exp(prior_logw_P - prior_max), 0.0)
    part_P = jnp.arange(size) // (size // scrambles)

    def cells(cell_P: jax.Array, prior_cell_P: jax.Array, v_P: jax.Array, ok_P: jax.Array) -> Any:
        good_P = jnp.isfinite(v_P)
        weight_P = jnp.where(good_P, w_P, 0.0)
        by_part = jnp.zeros((scrambles * CELLS,)).at[part_P * CELLS + cell_P].add(weight_P)
        squares = jnp.zeros((CELLS,)).at[cell_P].add(weight_P * weight_P)
        prior = jnp.zeros((CELLS,)).at[prior_cell_P].add(jnp.where(ok_P, q_P, 0.0))
        return by_part.reshape(scrambles, CELLS), squares, prior

    def checks(a: Any) -> Any:
        v_P, p_P, _, _, truth = a
        near = 1e-5 * jnp.abs(truth) + 1e-30
        below = jnp.sum(jnp.where(v_P < truth - near, w_P, 0.0))
        at = jnp.sum(jnp.where(jnp.abs(v_P - truth) <= near, w_P, 0.0))
        bad = jnp.sum((w_P > 0) & ~jnp.isfinite(v_P))
        return below, at, bad, jnp.sum((q_P > 0) & ~jnp.isfinite(p_P))

    def linear(a: Any) -> Any:
        v_P, p_P, low, scale, _ = a

        v_cell, p_cell = (linear_cells(x, low, scale) for x in (v_P, p_P))
        return *cells(v_cell, p_cell, v_P, jnp.isfinite(p_P)), jnp.float32(0.0), *checks(a)

    def rank(a: Any) -> Any:
        v_P, p_P, _, _, truth = a
        ok_P = jnp.isfinite(p_P)
        fill = jnp.nanmin(jnp.where(ok_P, p_P, jnp.nan))
        safe_P, weight_P = jnp.where(ok_P, p_P, fill), jnp.where(ok_P, q_P, 0.0)
        wanted = jnp.concatenate([v_P, truth[None]])
        wanted = jnp.where(jnp.isfinite(wanted), wanted, fill)
        scale, at_P = fit_prior(safe_P, weight_P)
        cdf = prior_cdf(scale, wanted)

        def cell(x: jax.Array) -> jax.Array:
            return jnp.clip(x * CELLS, 0, CELLS - 1).astype(jnp.int32)

        return *cells(cell(cdf[:size]), cell(at_P), v_P, ok_P), cdf[-1], *checks(a)

    def none(a: Any) -> Any:
        empty = jnp.zeros((CELLS,))
        nothing, no_one = jnp.float32(0.0), jnp.int32(0)
        parts = jnp.zeros((scrambles, CELLS))
        return parts, empty, empty, nothing, nothing, nothing, no_one, no_one

    def one(a: Any) -> Any:
        v_P, p_P, kind, low, scale, truth = a
        return lax.switch(kind, (none, linear, rank), (v_P, p_P, low, scale, truth))

    by_part, squares, prior, at_truth, below, at, bad, bad_prior = lax.map(
        one, (values_AP, priors_AP, asks.kind, asks.low, asks.scale, asks.truth)
    )
    return Summary(
        log_max=log_max,
        sum_S=jnp.sum(w_P.reshape(scrambles, -1), axis=1),
        square=jnp.sum(w_P * w_P),
        log_scale=prior_max + jnp.log(jnp.sum(q_P)),
        broken=jnp.sum(broken_P) + jnp.sum(prior_bad),
        cells_ASC=by_part,
        squares_AC=squares,
        prior_AC=prior,
        below_A=below,
        at_A=at,
        rank_A=at_truth,
        bad_A=bad,
        bad_prior_A=bad_prior,
    )
