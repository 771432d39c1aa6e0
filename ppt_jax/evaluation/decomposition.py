r"""What a mean score is made of: miscalibration, discrimination, uncertainty.

Two decompositions of the Brier score and of the log loss of confidences c against outcomes y:

* *five terms*, by bins, exact whatever the bins (`brier_decomposition`, `log_decomposition`):
  ``score = reliability - resolution + uncertainty + within-bin spread - within-bin covariance``;
* *CORP* (`corp`), without bins: with the isotonic regression c* of y on c,
  ``score = (S(c) - S(c*)) - (S(ybar) - S(c*)) + S(ybar)``, miscalibration - discrimination +
  uncertainty, both parts never negative.

Pure `jnp` with item weights. The pool-adjacent-violators algorithm runs as a stack in a
`lax.while_loop`; gradients hold the pools fixed.

Axes: N items, B bins.
Sources: Stephenson, Coelho & Jolliffe (2008) for the five terms; Brocker (2009) for any proper
score; Dimitriadis, Gneiting & Jordan (2021) for CORP.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from ppt_jax.evaluation.calibration import (
    Decomposition,
    Scheme,
    bin_count,
    bin_index,
    brier_decomposition,
    decomposition_from_sums,
    distinct_ranks,
)
from ppt_jax.evaluation.scores import EPS, weighted_mean

__all__ = [
    "Corp",
    "Decomposition",
    "brier_decomposition",
    "corp",
    "decomposition_from_sums",
    "isotonic",
    "log_decomposition",
    "mean_score",
]
Score = Literal["brier", "log"]


class Corp(NamedTuple):
    """``score = miscalibration - discrimination + uncertainty``, exactly."""

    score: jax.Array
    miscalibration: jax.Array
    discrimination: jax.Array
    uncertainty: jax.Array


def _safe(x: jax.Array) -> jax.Array:
    return jnp.where(x > 0, x, 1.0)


def _clip(conf: jax.Array) -> jax.Array:
    tiny = max(EPS, float(jnp.finfo(conf.dtype).eps))
    return jnp.clip(conf, tiny, 1 - tiny)


def mean_score(
    conf_N: jax.Array, y_N: jax.Array, weight_N: jax.Array, score: Score = "brier"
) -> jax.Array:
    """Mean Brier score ``(c - y)^2`` (0..1, the half of the two-class sum) or log loss in nats.

    The log loss floors c and 1 - c at `scores.EPS` (machine precision in float32).
    """
    if score == "brier":
        each = (conf_N - y_N) ** 2
    else:
        c = _clip(conf_N)
        each = -(y_N * jnp.log(c) + (1 - y_N) * jnp.log1p(-c))
    return weighted_mean(each, weight_N)


def log_decomposition(
    conf_N: jax.Array,
    y_N: jax.Array,
    weight_N: jax.Array,
    *,
    scheme: Scheme = "mass",
    bins: int = 15,
) -> Decomposition:
    """Exact five-term decomposition of the log loss by bins (first field: the log loss).

    With bin means ``c_b, y_b`` and the base rate ``y``: reliability is the mean of
    ``kl(y_b, c_b)``, resolution of ``kl(y_b, y)``, uncertainty the entropy of y. Inside bins the
    spread is ``mean of ce(y_b, c_i) - ce(y_b, c_b) >= 0`` and the covariance that of the outcome
    with ``logit c``. With constant confidences in every bin the last two vanish.

    Args:
      conf_N, y_N, weight_N, scheme, bins: as in `calibration.calibration_error`.
    """
    count = bin_count(scheme, bins, conf_N.shape[0])
    index = bin_index(conf_N, weight_N, scheme, bins)
    c = _clip(conf_N)
    total = _safe(jnp.sum(weight_N))

    def per_bin(x_N: jax.Array) -> jax.Array:
        kept = jnp.where(weight_N > 0, weight_N * x_N, 0.0)
        return jnp.zeros(count, c.dtype).at[index].add(kept)

    n = per_bin(jnp.ones_like(c))
    share, safe = n / total, _safe(n)
    c_b, y_b = _clip(per_bin(c) / safe), per_bin(y_N) / safe
    log_c, log_1c = per_bin(jnp.log(c)) / safe, per_bin(jnp.log1p(-c)) / safe
    base = jnp.sum(per_bin(y_N)) / total
    logit = jnp.log(c) - jnp.log1p(-c)
    covariance = per_bin(y_N * logit) / safe - y_b * per_bin(logit) / safe

    def entropy(y: jax.Array) -> jax.Array:
        floor = jnp.finfo(y.dtype).tiny  # 0 log 0 = 0, with a finite slope
        return -(y * jnp.log(jnp.maximum(y, floor)) + (1 - y) * jnp.log(jnp.maximum(1 - y, floor)))

    def cross(y: jax.Array, p: jax.Array) -> jax.Array:
        return -(y * jnp.log(p) + (1 - y) * jnp.log1p(-p))

    base_p = _clip(base)
    used = n > 0
    spread = -(y_b * log_c + (1 - y_b) * log_1c) - cross(y_b, c_b)
    parts = (
        mean_score(conf_N, y_N, weight_N, "log"),
        jnp.sum(jnp.where(used, share * (cross(y_b, c_b) - entropy(y_b)), 0.0)),
        jnp.sum(jnp.where(used, share * (cross(y_b, base_p) - entropy(y_b)), 0.0)),
        cross(base, base_p),
        jnp.sum(jnp.where(used, share * spread, 0.0)),
        jnp.sum(jnp.where(used, share * covariance, 0.0)),
    )
    known = jnp.sum(weight_N) > 0
    return Decomposition(*(jnp.where(known, part, jnp.nan) for part in parts))


def _pools(mean_G: jax.Array, weight_G: jax.Array) -> jax.Array:
    """Pool number of each group: pool-adjacent-violators with a stack; weight 0 joins its left."""
    size = mean_G.shape[0]

    def push(
        g: jax.Array, state: tuple[jax.Array, jax.Array, jax.Array, jax.Array]
    ) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
        value, weight, first, top = state

        def violates(s: tuple[jax.Array, jax.Array, jax.Array, jax.Array]) -> jax.Array:
            value, weight, _, top = s
            left = jnp.maximum(top - 1, 0)
            above = jnp.maximum(top, 0)
            empty = (weight[above] <= 0) | (weight[left] <= 0)
            return (top > 0) & (empty | (value[left] >= value[above]))

        def merge(
            s: tuple[jax.Array, jax.Array, jax.Array, jax.Array],
        ) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
            value, weight, first, top = s
            both = weight[top - 1] + weight[top]
            pooled = weight[top - 1] * value[top - 1] + weight[top] * value[top]
            value = value.at[top - 1].set(jnp.where(both > 0, pooled / _safe(both), 0.0))
            return value, weight.at[top - 1].set(both), first, top - 1

        top = top + 1
        value = value.at[top].set(mean_G[g])
        weight = weight.at[top].set(weight_G[g])
        first = first.at[top].set(g)
        return jax.lax.while_loop(violates, merge, (value, weight, first, top))

    zeros = jnp.zeros(size, mean_G.dtype)
    start = (zeros, zeros, jnp.full(size, size, jnp.int32), jnp.array(-1, jnp.int32))
    _, _, first, top = jax.lax.fori_loop(0, size, push, start)
    opens = jnp.where(jnp.arange(size) <= top, first, size)
    marks = jnp.zeros(size + 1, jnp.int32).at[opens].add(1)[:size]
    return jnp.cumsum(marks) - 1


def isotonic(conf_N: jax.Array, y_N: jax.Array, weight_N: jax.Array) -> jax.Array:
    """Isotonic regression of outcomes on confidences at every item (PAV; equal confidences pooled).

    Returns:
      [N], recalibrated confidences; items of weight 0 get the value of a neighbouring pool.
    """
    size = conf_N.shape[0]
    rank_N = distinct_ranks(jnp.where(weight_N > 0, conf_N, jnp.max(conf_N)))
    zeros = jnp.zeros(size, conf_N.dtype)
    kept = jnp.where(weight_N > 0, weight_N * y_N, 0.0)
    weight_G, sum_G = zeros.at[rank_N].add(weight_N), zeros.at[rank_N].add(kept)
    pool_G = _pools(*jax.lax.stop_gradient((sum_G / _safe(weight_G), weight_G)))
    weight_P, sum_P = zeros.at[pool_G].add(weight_G), zeros.at[pool_G].add(sum_G)
    return (sum_P / _safe(weight_P))[pool_G][rank_N]


def corp(conf_N: jax.Array, y_N: jax.Array, weight_N: jax.Array, score: Score = "brier") -> Corp:
    """CORP decomposition of the mean Brier score or log loss (Dimitriadis et al. 2021).

    Args:
      conf_N: confidences in [0, 1].
      y_N: outcomes, 0/1 or soft.
      weight_N: item weights.
      score: ``"brier"`` or ``"log"``.

    Returns:
      `Corp`; NaN when nothing weighs.
    """
    recalibrated = isotonic(conf_N, y_N, weight_N)
    base = jnp.broadcast_to(weighted_mean(y_N, weight_N), conf_N.shape)
    own, best, flat = (mean_score(c, y_N, weight_N, score) for c in (conf_N, recalibrated, base))
    return Corp(own, own - best, flat - best, flat)
