r"""Scores where the target, or the forecast, is a finite set of draws: fair versions and floors.

A posterior label made of n draws is not the posterior. Every divergence from it has a positive
*floor*: what the true posterior itself would score. Here are the floors in closed form where one
exists, the unbiased ("fair") versions of the divergences that have one (Cramer/CRPS and Brier,
which are U-statistics; KL, JS, TV and Wasserstein have none), and the CRPS of samples.

Pure `jnp`; jit, vmap and grad work, except `half_split` (host, random integers).

Axes: N items, K answers, S samples.
Sources: Ferro (2014), "Fair scores for ensemble forecasts"; Szekely & Rizzo (2013), "Energy
statistics"; de Moivre (1730) in Diaconis & Zabell (1991) for the mean absolute deviation.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import jax.scipy.special as jss
import numpy as np


def mean_absolute_deviation(q: jax.Array, draws: jax.Array | float) -> jax.Array:
    """``E |K/n - q|`` for ``K ~ Binomial(n, q)``, exactly (de Moivre's formula).

    ``2 q (1 - q) b(m; n - 1, q)`` with ``m = floor(n q)`` and ``b`` the binomial pmf.
    """
    n = jnp.asarray(draws, q.dtype)
    inside = (q > 0) & (q < 1)
    safe = jnp.where(inside, q, 0.5)
    m = jnp.clip(jnp.floor(jax.lax.stop_gradient(n * safe)), 0, n - 1)
    choose = jss.gammaln(n) - jss.gammaln(m + 1) - jss.gammaln(n - m)
    pmf = jnp.exp(choose + m * jnp.log(safe) + (n - 1 - m) * jnp.log1p(-safe))
    return jnp.where(inside, 2 * safe * (1 - safe) * pmf, 0.0)


def total_variation_floor(q_NK: jax.Array, draws_N: jax.Array | float) -> jax.Array:
    """Expected total variation between q and the histogram of n independent draws from it."""
    draws = jnp.asarray(draws_N, q_NK.dtype)[..., None]
    return 0.5 * jnp.sum(mean_absolute_deviation(q_NK, draws), axis=-1)


def _below(q_NK: jax.Array) -> jax.Array:
    return jnp.clip(jnp.cumsum(q_NK, axis=-1)[..., :-1], 0, 1)


def wasserstein_floor(
    q_NK: jax.Array, position_NK: jax.Array, draws_N: jax.Array | float
) -> jax.Array:
    """Expected Wasserstein-1 distance between q and the histogram of n draws from it."""
    draws = jnp.asarray(draws_N, q_NK.dtype)[..., None]
    gaps = mean_absolute_deviation(_below(q_NK), draws)
    return jnp.sum(gaps * jnp.diff(position_NK, axis=-1), axis=-1)


def crps_floor(q_NK: jax.Array, position_NK: jax.Array, draws_N: jax.Array | float) -> jax.Array:
    """Expected Cramer divergence of n draws: ``sum F (1 - F) dx / n``."""
    below = _below(q_NK)
    spread = jnp.sum(below * (1 - below) * jnp.diff(position_NK, axis=-1), axis=-1)
    return spread / jnp.asarray(draws_N, q_NK.dtype)


def brier_floor(q_NK: jax.Array, draws_N: jax.Array | float) -> jax.Array:
    """Expected squared L2 distance of n draws: ``(1 - sum q^2) / n``."""
    return (1 - jnp.sum(q_NK**2, axis=-1)) / jnp.asarray(draws_N, q_NK.dtype)


def fair_crps_divergence(
    p_NK: jax.Array,
    sampled_NK: jax.Array,
    position_NK: jax.Array,
    draws_N: jax.Array | float,
    draws_of_p_N: jax.Array | float = jnp.inf,
) -> jax.Array:
    """Cramer divergence to the distribution that was sampled, without the bias of sampling.

    ``d(p, q^) - sum F^ (1 - F^) dx / (n - 1)``: its expectation over the n draws is ``d(p, q)``
    exactly; single values may be negative.

    Args:
      p_NK: model distribution, exact or itself a histogram of draws (``draws_of_p_N``).
      sampled_NK: histogram of the target's draws, sums to 1.
      position_NK: position of each answer.
      draws_N: draws behind ``sampled_NK``, at least 2.
      draws_of_p_N: draws behind ``p_NK``; infinite for an exact distribution.

    Returns:
      [N], in units of the positions.
    """
    step = jnp.diff(position_NK, axis=-1)
    f_p, f_q = _below(p_NK), _below(sampled_NK)
    n, m = (jnp.asarray(x, p_NK.dtype)[..., None] for x in (draws_N, draws_of_p_N))
    excess = f_q * (1 - f_q) / (n - 1) + f_p * (1 - f_p) / (m - 1)
    return jnp.sum(((f_p - f_q) ** 2 - excess) * step, axis=-1)


def fair_brier_divergence(
    p_NK: jax.Array,
    sampled_NK: jax.Array,
    draws_N: jax.Array | float,
    draws_of_p_N: jax.Array | float = jnp.inf,
) -> jax.Array:
    """Squared L2 distance to the distribution that was sampled, unbiased; may be negative."""
    n, m = (jnp.asarray(x, p_NK.dtype) for x in (draws_N, draws_of_p_N))
    excess = (1 - jnp.sum(sampled_NK**2, axis=-1)) / (n - 1)
    excess = excess + (1 - jnp.sum(p_NK**2, axis=-1)) / (m - 1)
    return jnp.sum((p_NK - sampled_NK) ** 2, axis=-1) - excess


def crps_of_samples(
    x_NS: jax.Array,
    y_N: jax.Array,
    weight_NS: jax.Array | None = None,
    *,
    fair: bool = True,
) -> jax.Array:
    r"""CRPS of a forecast that is known by samples, against an outcome.

    ``sum_i w_i |x_i - y| - 1/2 sum_ij w_i w_j |x_i - x_j|``; the fair version divides the second
    term by ``1 - sum w^2`` (``S (S - 1)`` pairs for equal weights), which makes its expectation
    the CRPS of the distribution that was sampled.

    Args:
      x_NS: samples.
      y_N: outcomes.
      weight_NS: weights of the samples (rescaled to sum to 1), equal when not given; weight 0 is
        padding.
      fair: see above.

    Returns:
      [N]; NaN where nothing weighs, or where the fair version has a single sample.
    """
    weight = jnp.ones_like(x_NS) if weight_NS is None else jnp.broadcast_to(weight_NS, x_NS.shape)
    total = jnp.sum(weight, axis=-1, keepdims=True)
    w = weight / jnp.where(total > 0, total, 1.0)
    x = jnp.where(w > 0, x_NS, y_N[..., None])
    order = jnp.argsort(x, axis=-1)
    x, w = jnp.take_along_axis(x, order, -1), jnp.take_along_axis(w, order, -1)
    above = jnp.cumsum(w, axis=-1)
    # 1/2 sum_ij w_i w_j |x_i - x_j| = integral of F (1 - F)
    spread = jnp.sum((above * (1 - above))[..., :-1] * jnp.diff(x, axis=-1), axis=-1)
    if fair:
        pairs = 1 - jnp.sum(w**2, axis=-1)
        spread = jnp.where(pairs > 1e-12, spread / jnp.where(pairs > 1e-12, pairs, 1.0), jnp.nan)
    value = jnp.sum(w * jnp.abs(x - y_N[..., None]), axis=-1) - spread
    return jnp.where(total[..., 0] > 0, value, jnp.nan)


def simulated_floor(
    score: Callable[[jax.Array, jax.Array], jax.Array],
    q_NK: jax.Array,
    draws: int,
    key: jax.Array,
    replicates: int = 64,
) -> jax.Array:
    """What q itself scores against histograms of n draws from it: for scores without a formula.

    Args:
      score: ``score(p_NK, target_NK) -> [N]``.
      q_NK: the (best estimate of the) true distributions.
      draws: n (static).
      key: JAX random key.
      replicates: simulated labels an item (static).

    Returns:
      [N], the mean over replicates.
    """
    logits = jnp.log(jnp.maximum(q_NK, 1e-300 if q_NK.dtype == jnp.float64 else 1e-37))
    size = q_NK.shape[-1]

    def one(key: jax.Array) -> jax.Array:
        drawn = jax.random.categorical(key, logits, shape=(draws, *q_NK.shape[:-1]))
        histogram = jnp.sum(jax.nn.one_hot(drawn, size, dtype=q_NK.dtype), axis=0) / draws
        return score(q_NK, histogram)

    return jnp.mean(jax.lax.map(one, jax.random.split(key, replicates)), axis=0)


def half_split(counts_NK: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Deals the draws of each item into two halves at random; returns both as distributions.

    The score of one half against the other is an empirical floor (for half the draws). Host
    side; an odd draw goes to the second half. Items without two draws give NaN.
    """
    rng = np.random.default_rng(seed)
    counts = np.asarray(counts_NK, np.int64)
    first = np.stack(
        [rng.multivariate_hypergeometric(row, int(row.sum()) // 2) for row in counts]
        or [np.zeros(counts.shape[-1], np.int64)]
    )[: len(counts)]
    halves = first, counts - first
    with np.errstate(invalid="ignore", divide="ignore"):
        one, two = (half / half.sum(-1, keepdims=True) for half in halves)
    return one, two
