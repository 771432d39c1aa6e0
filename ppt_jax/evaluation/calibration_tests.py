r"""Tests and regressions of calibration: Spiegelhalter's Z, Cox slope and intercept, KS, Kuiper.

None of them needs bins. Weights are frequencies (an integer weight is a repetition); where items
of a cluster depend on each other, judge by a clustered null (`confidences.simulate_outcomes`)
rather than by the normal tables. Pure `jnp`.

Axes: N items, G groups of equal confidence, ascending; leading axes are replicates.
Sources: Spiegelhalter (1986); Cox (1958); Arrieta-Ibarra et al. (2022), "Metrics of calibration for
probabilistic predictions".
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.scipy.special as jss

from ppt_jax.evaluation.calibration import distinct_ranks
from ppt_jax.evaluation.scores import EPS


class Cox(NamedTuple):
    """``logit P(y = 1) = intercept + slope logit c``; calibrated confidences have 0 and 1.

    A slope below 1 is overconfidence (confidences too extreme), above 1 underconfidence.
    """

    intercept: jax.Array
    slope: jax.Array


class Cumulative(NamedTuple):
    """Largest deviations of the cumulative differences of outcomes and confidences.

    Attributes:
      ks: largest absolute cumulative difference (Kolmogorov-Smirnov, ECCE-MAD).
      kuiper: largest less smallest (Kuiper, ECCE-R): the largest over all intervals of confidence.
      sigma: standard deviation of the full sum under calibration; ``ks / sigma`` and
        ``kuiper / sigma`` have means of about 1.25 and 1.6 under calibration.
    """

    ks: jax.Array
    kuiper: jax.Array
    sigma: jax.Array


def _safe(x: jax.Array) -> jax.Array:
    return jnp.where(x > 0, x, 1.0)


def spiegelhalter_z(conf_N: jax.Array, y_N: jax.Array, weight_N: jax.Array) -> jax.Array:
    """Spiegelhalter's Z; standard normal for calibrated confidences of independent items.

    ``Z = sum w (y - c)(1 - 2c) / sqrt(sum w (1 - 2c)^2 c (1 - c))``: the Brier score against its
    expectation. Positive means a worse Brier score than promised (overconfident). Acts on the
    last axis; NaN when nothing weighs or every confidence is 0, 1/2 or 1.
    """
    away = 1 - 2 * conf_N
    top = jnp.sum(weight_N * jnp.where(weight_N > 0, (y_N - conf_N) * away, 0.0), axis=-1)
    variance = jnp.sum(weight_N * away**2 * conf_N * (1 - conf_N), axis=-1)
    return jnp.where(variance > 0, top / jnp.sqrt(_safe(variance)), jnp.nan)


def normal_p_value(z: jax.Array) -> jax.Array:
    """Two-sided p-value of a standard normal statistic."""
    return 2 * jss.ndtr(-jnp.abs(z))


def cox_of_groups(
    conf_G: jax.Array, weight_G: jax.Array, positive_G: jax.Array, steps: int = 25
) -> Cox:
    """Cox calibration regression on groups of equal confidence, see `cox`."""
    tiny = max(EPS, float(jnp.finfo(conf_G.dtype).eps))
    c = jnp.clip(conf_G, tiny, 1 - tiny)
    x = jnp.log(c) - jnp.log1p(-c)
    shape = jnp.broadcast_shapes(weight_G.shape, positive_G.shape)[:-1]
    # from 0, where the likelihood has its widest curvature: from slope 1 extreme logits overshoot
    start = jnp.zeros(shape, x.dtype), jnp.zeros(shape, x.dtype)

    def gradients(a: jax.Array, b: jax.Array) -> tuple[jax.Array, ...]:
        p = jax.nn.sigmoid(a[..., None] + b[..., None] * x)
        residual, curve = positive_G - weight_G * p, weight_G * p * (1 - p)
        g0, g1 = jnp.sum(residual, -1), jnp.sum(residual * x, -1)
        h0, h1, h2 = (jnp.sum(curve * x**k, -1) for k in range(3))
        return g0, g1, h0, h1, h2

    def newton(_: int, at: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        g0, g1, h0, h1, h2 = gradients(*at)
        det = h0 * h2 - h1**2
        ok = det > 1e-12 * jnp.maximum(h0 * h2, 1e-30)
        safe = jnp.where(ok, det, 1.0)
        da, db = (h2 * g0 - h1 * g1) / safe, (h0 * g1 - h1 * g0) / safe
        # long steps are cut: far from the optimum the likelihood is flat, not quadratic
        cut = jnp.minimum(1.0, 5.0 / jnp.maximum(jnp.abs(da) + jnp.abs(db), 1e-30))
        return (
            jnp.where(ok, at[0] + cut * da, jnp.nan),
            jnp.where(ok, at[1] + cut * db, jnp.nan),
        )

    a, b = jax.lax.fori_loop(0, steps, newton, start)
    g0, g1, h0, _, h2 = gradients(a, b)
    total = jnp.sum(weight_G, axis=-1)
    flat = jnp.abs(g0) + jnp.abs(g1) <= 1e-4 * _safe(jnp.sqrt(h0 + h2)) + 1e-9 * total
    settled = flat & (h0 > 1e-6 * total) & (jnp.abs(b) < 1e3)
    return Cox(jnp.where(settled, a, jnp.nan), jnp.where(settled, b, jnp.nan))


def cox(conf_N: jax.Array, y_N: jax.Array, weight_N: jax.Array) -> Cox:
    """Cox calibration slope and intercept: unpenalised logistic regression of y on logit c.

    Confidences are held within [eps, 1 - eps] (`scores.EPS`, machine precision in float32), by
    Newton steps. NaN where there is no finite optimum: one class only, separated classes, or
    equal confidences.

    Args:
      conf_N, y_N, weight_N: confidences, outcomes (soft allowed) and item weights.
    """
    positive = jnp.where(weight_N > 0, weight_N * y_N, 0.0)
    return cox_of_groups(jnp.where(weight_N > 0, conf_N, 0.5), weight_N, positive)


def cumulative_of_groups(
    conf_G: jax.Array, weight_G: jax.Array, positive_G: jax.Array
) -> Cumulative:
    """KS and Kuiper of groups of equal confidence in ascending order, see `cumulative`."""
    total = jnp.sum(weight_G, axis=-1)
    walk = jnp.cumsum(positive_G - weight_G * conf_G, axis=-1) / _safe(total)[..., None]
    low = jnp.minimum(jnp.min(walk, axis=-1), 0.0)
    high = jnp.maximum(jnp.max(walk, axis=-1), 0.0)
    variance = jnp.sum(weight_G * conf_G * (1 - conf_G), axis=-1)
    sigma = jnp.sqrt(jnp.where(variance > 0, variance, 1.0)) / _safe(total)
    parts = jnp.maximum(high, -low), high - low, jnp.where(variance > 0, sigma, 0.0)
    return Cumulative(*(jnp.where(total > 0, x, jnp.nan) for x in parts))


def cumulative(conf_N: jax.Array, y_N: jax.Array, weight_N: jax.Array) -> Cumulative:
    """Largest cumulative difference of outcomes and confidences, in order of confidence.

    ``ks = max_k |sum_{c_i <= c_(k)} w_i (y_i - c_i)| / sum w`` and ``kuiper`` the range of that
    walk (0 included). Equal confidences enter together, so order within ties does not matter.

    Returns:
      `Cumulative`; NaN when nothing weighs.
    """
    rank_N = distinct_ranks(jnp.where(weight_N > 0, conf_N, jnp.max(conf_N)))
    zeros = jnp.zeros(conf_N.shape[0], conf_N.dtype)
    keep = weight_N > 0
    weight_G = zeros.at[rank_N].add(weight_N)
    positive_G = zeros.at[rank_N].add(jnp.where(keep, weight_N * y_N, 0.0))
    conf_G = zeros.at[rank_N].max(jnp.where(keep, conf_N, 0.0))
    return cumulative_of_groups(conf_G, weight_G, positive_G)
