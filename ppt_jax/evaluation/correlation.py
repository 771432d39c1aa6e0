r"""Agreement with people: correlations with item bootstrap, and the ceiling that people set.

A model cannot agree with the mean of a few people better than another group of people does. The
split-half reliability says how well two halves of the subjects agree; the Spearman-Brown formula
``2 r / (1 + r)`` carries it to the full group, and ``sqrt(reliability)`` is the largest
correlation that a perfect predictor of the population mean can expect (Spearman 1910, Brown 1910;
Nunnally & Bernstein 1994, chapter 6).

Correlations are pure `jnp` and take item weights; bootstrap and split-half run on the host.

Axes: N items, S subjects, H random halves, R replicates, C clusters.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from ppt_jax.errors import UserError
from ppt_jax.evaluation import intervals, scores
from ppt_jax.evaluation.intervals import Interval

_CHUNK = 64  # replicates per compiled call


@dataclasses.dataclass(frozen=True)
class SplitHalf:
    """How well two halves of the subjects agree.

    Attributes:
      r: mean over random halves of the Pearson correlation of their item means.
      low, high: central 95% of that correlation over the random halves.
      reliability: Spearman-Brown ``2 r / (1 + r)``, of the mean over all subjects.
      ceiling: ``sqrt(reliability)``; NaN when the reliability is negative.
      n_subjects, n_items: what went in.
      splits: random halves drawn.
    """

    r: float
    low: float
    high: float
    reliability: float
    ceiling: float
    n_subjects: int
    n_items: int
    splits: int


@dataclasses.dataclass(frozen=True)
class Agreement:
    """A model's agreement with people (or any reference), each with its bootstrap interval.

    Attributes:
      pearson, spearman, rmse: over items.
      n, n_clusters: items that weigh, and their clusters.
    """

    pearson: Interval
    spearman: Interval
    rmse: Interval
    n: int
    n_clusters: int


def weighted_ranks(x_N: jax.Array, weight_N: jax.Array) -> jax.Array:
    """Mid-ranks of a weighted sample: weight below plus half of the weight at the same value.

    With integer weights these are the mid-ranks (minus 1/2) of the repeated sample.
    """
    order = jnp.argsort(x_N)
    ordered, weight = x_N[order], weight_N[order]
    above = jnp.cumsum(weight)
    # first and last place of each run of equal values
    first = jnp.searchsorted(ordered, ordered, side="left")
    last = jnp.searchsorted(ordered, ordered, side="right") - 1
    below = jnp.where(first > 0, above[jnp.maximum(first - 1, 0)], 0.0)
    return jnp.zeros_like(above).at[order].set(0.5 * (below + above[last]))


def spearman(x_N: jax.Array, y_N: jax.Array, weight_N: jax.Array) -> jax.Array:
    """Weighted Spearman correlation with mid-rank ties; NaN when a side is constant."""
    keep = weight_N > 0
    x, y = jnp.where(keep, x_N, jnp.inf), jnp.where(keep, y_N, jnp.inf)
    return scores.pearson(weighted_ranks(x, weight_N), weighted_ranks(y, weight_N), weight_N)


def rmse(x_N: jax.Array, y_N: jax.Array, weight_N: jax.Array) -> jax.Array:
    """Root of the weighted mean squared difference; NaN when nothing weighs."""
    square = scores.weighted_mean((x_N - y_N) ** 2, weight_N)
    return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1.0)), square)


@jax.jit
def _three(x_N: jax.Array, y_N: jax.Array, weights_RN: jax.Array) -> jax.Array:
    def one(weight_N: jax.Array) -> jax.Array:
        return jnp.stack([f(x_N, y_N, weight_N) for f in (scores.pearson, spearman, rmse)])

    return jax.vmap(one)(weights_RN)


def agreement(
    x_N: np.ndarray,
    y_N: np.ndarray,
    weight_N: np.ndarray | None = None,
    cluster_ids: Sequence[str] | None = None,
    *,
    seed: int = 0,
    replicates: int = 1000,
    level: float = 0.95,
) -> Agreement:
    """Pearson, Spearman and RMSE of two columns, with (clustered) item-bootstrap intervals.

    Args:
      x_N: predictions, e.g. the model's means; NaN where there is none (left out).
      y_N: reference, e.g. the means over people, in the same unit; NaN likewise.
      weight_N: item weights, 1 each when not given.
      cluster_ids: what is resampled together; each item by itself when not given.
      seed, replicates, level: of the bootstrap.

    Returns:
      `Agreement`; every number is NaN without items, correlations with fewer than two.
    """
    x, y = np.asarray(x_N, np.float64), np.asarray(y_N, np.float64)
    weight = np.ones(len(x)) if weight_N is None else np.asarray(weight_N, np.float64)
    names = [str(n) for n in range(len(x))] if cluster_ids is None else list(cluster_ids)
    keep = (weight > 0) & np.isfinite(x) & np.isfinite(y)
    x, y, weight = x[keep], y[keep], weight[keep]
    cluster_N, clusters = intervals.cluster_index([n for n, k in zip(names, keep) if k])
    if not len(x):
        nothing = Interval(float("nan"), float("nan"), float("nan"))
        return Agreement(nothing, nothing, nothing, 0, 0)
    with jax.enable_x64(True):
        drawn = np.asarray(intervals.bootstrap_weights(seed, clusters, replicates))
        weights = np.concatenate([weight[None], drawn[:, cluster_N] * weight])
        short = -len(weights) % _CHUNK
        weights = np.concatenate([weights, np.repeat(weight[None], short, axis=0)])
        columns = jnp.asarray(x), jnp.asarray(y)
        found = np.concatenate(
            [
                np.asarray(_three(*columns, jnp.asarray(weights[start : start + _CHUNK])))
                for start in range(0, len(weights), _CHUNK)
            ]
        )[: replicates + 1]
    three = [Interval(float(c[0]), *intervals.percentile_interval(c[1:], level)) for c in found.T]
    return Agreement(three[0], three[1], three[2], len(x), clusters)


def spearman_brown(r: float, factor: float = 2.0) -> float:
    """Reliability of a mean over ``factor`` times as many subjects: ``f r / (1 + (f - 1) r)``."""
    return factor * r / (1 + (factor - 1) * r)


def split_half(
    values_SN: np.ndarray,
    *,
    seed: int = 0,
    splits: int = 10_000,
    first_HS: np.ndarray | None = None,
) -> SplitHalf:
    """Split-half reliability of item means over subjects, and the noise ceiling it sets.

    Each split deals the subjects at random into two halves (sizes differ by at most 1); items that
    one half did not judge at all are left out of that split's correlation.

    Args:
      values_SN: judgement of subject s on item n, NaN where missing. Average repeated judgements
        of a subject (blocks) first.
      seed: of the random halves.
      splits: random halves.
      first_HS: halves drawn elsewhere, 1 for the subjects of the first half; ``seed`` and
        ``splits`` are ignored then.

    Raises:
      UserError: fewer than two subjects or items.

    Example:
      >>> rng = np.random.default_rng(0)
      >>> judged = rng.normal(size=30) + rng.normal(size=(20, 30))
      >>> split_half(judged).n_subjects
      20
    """
    values = np.asarray(values_SN, np.float64)
    if values.ndim != 2 or min(values.shape) < 2:
        raise UserError(
            f"split-half needs at least two subjects and two items, got an array of {values.shape}"
        )
    subjects = len(values)
    if first_HS is None:
        rng = np.random.default_rng(seed)
        place = np.argsort(rng.random((splits, subjects)), axis=1)
        first_HS = place < subjects // 2
    first_HS = np.asarray(first_HS, np.float64)
    splits = len(first_HS)
    known = np.isfinite(values).astype(np.float64)
    filled = np.where(known > 0, values, 0.0)
    centre = filled.sum() / known.sum()
    filled = np.where(known > 0, values - centre, 0.0)  # less cancellation
    with np.errstate(invalid="ignore", divide="ignore"):
        means = [(half @ filled) / (half @ known) for half in (first_HS, 1 - first_HS)]
    both = np.isfinite(means[0]) & np.isfinite(means[1])
    x, y = (np.where(both, m, 0.0) for m in means)
    n = both.sum(1, keepdims=True)
    dx = np.where(both, x - x.sum(1, keepdims=True) / n, 0.0)
    dy = np.where(both, y - y.sum(1, keepdims=True) / n, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        r_H = (dx * dy).sum(1) / np.sqrt((dx**2).sum(1) * (dy**2).sum(1))
    r_H = r_H[np.isfinite(r_H)]
    r = float(r_H.mean()) if len(r_H) else float("nan")
    low, high = intervals.percentile_interval(r_H)
    reliability = spearman_brown(r)
    ceiling = float(np.sqrt(reliability)) if reliability >= 0 else float("nan")
    return SplitHalf(r, low, high, reliability, ceiling, subjects, values.shape[1], splits)
