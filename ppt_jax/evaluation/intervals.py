"""Uncertainty of results: clustered standard errors and bootstrap, sign-flip permutation.

Asks about one story share its evidence, so whole scenarios (clusters) are resampled, not asks. A
replicate is a vector of cluster weights; a score that is linear in weights (any mean, any binned
sum) then needs only its sums per cluster, and all replicates are one matrix product. The same
weights are used for every model, which makes differences paired.

Percentile intervals are the default; BCa corrects bias and skewness (Efron 1987). Comparisons of
two models are in `ppt_jax.evaluation.comparison`.

Axes: N items, C clusters, R replicates, M metrics, S seeds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

from ppt_jax.errors import UserError

Method = Literal["percentile", "bca"]


@dataclasses.dataclass(frozen=True)
class Interval:
    """A value with its percentile interval; NaN everywhere when there was nothing to measure."""

    value: float
    low: float
    high: float


def cluster_index(cluster_ids: Sequence[str]) -> tuple[np.ndarray, int]:
    """Index [N] of each item's cluster, by first appearance, and the number of clusters."""
    index: dict[str, int] = {}
    places = [index.setdefault(name, len(index)) for name in cluster_ids]
    return np.array(places, dtype=np.int32), len(index)


def bootstrap_weights(seed: int, clusters: int, replicates: int) -> jax.Array:
    """Cluster weights [R, C]: how often each cluster is drawn in C draws with replacement.

    Args:
      seed: non-negative seed; equal seeds give equal weights, whatever is scored with them.
      clusters: C, at least 1.
      replicates: R.
    """
    dtype = jnp.zeros(()).dtype

    def one(key: jax.Array) -> jax.Array:
        drawn = jax.random.randint(key, (clusters,), 0, clusters)
        return jnp.zeros(clusters, dtype).at[drawn].add(1.0)

    return jax.vmap(one)(jax.random.split(jax.random.key(seed), replicates))


def cluster_sums(x_NM: jax.Array, cluster_N: jax.Array, clusters: int) -> jax.Array:
    """Sums over the items of each cluster, [C, M]."""
    return jax.ops.segment_sum(x_NM, cluster_N, clusters)


def bootstrap_means(weights_RC: jax.Array, total_CM: jax.Array, count_CM: jax.Array) -> jax.Array:
    """Weighted means [R, M] of all replicates; NaN in a replicate without any item."""
    count = weights_RC @ count_CM
    return jnp.where(count > 0, (weights_RC @ total_CM) / jnp.where(count > 0, count, 1), jnp.nan)


def percentile_interval(draws_R: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Central percentile interval over replicates; those that are NaN are left out."""
    draws = np.asarray(draws_R, dtype=np.float64)
    draws = draws[~np.isnan(draws)]
    if draws.size == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def percentile_intervals(draws_RM: np.ndarray, level: float = 0.95) -> list[tuple[float, float]]:
    """`percentile_interval` of every column."""
    draws = np.asarray(draws_RM, dtype=np.float64)
    whole_M = ~np.isnan(draws).any(0) & (len(draws) > 0)
    out = np.full((draws.shape[1], 2), np.nan)
    if whole_M.any():
        levels = [(1 - level) / 2, (1 + level) / 2]
        out[whole_M] = np.quantile(draws[:, whole_M], levels, axis=0).T
    for m in np.flatnonzero(~whole_M):
        out[m] = percentile_interval(draws[:, m], level)
    return [(low, high) for low, high in out.tolist()]


def bca_interval(
    value: float, draws_R: np.ndarray, jackknife_C: np.ndarray, level: float = 0.95
) -> tuple[float, float]:
    """Bias-corrected and accelerated bootstrap interval (Efron 1987).

    Args:
      value: the statistic of the sample.
      draws_R: its bootstrap replicates; NaN ones are left out.
      jackknife_C: the statistic with each cluster left out in turn.
      level: coverage.

    Returns:
      Ends; NaN without usable replicates, the percentile interval where all jackknife values agree.
    """
    draws = np.asarray(draws_R, np.float64)
    draws = np.sort(draws[~np.isnan(draws)])
    if not draws.size or np.isnan(value):
        return float("nan"), float("nan")
    below = np.mean(draws < value) + 0.5 * np.mean(draws == value)
    bias = scipy.stats.norm.ppf(np.clip(below, 1e-12, 1 - 1e-12))
    away = np.nanmean(jackknife_C) - jackknife_C[~np.isnan(jackknife_C)]
    square = float(np.sum(away**2))
    skew = float(np.sum(away**3)) / (6 * square**1.5) if square > 0 else 0.0
    z = bias + scipy.stats.norm.ppf([(1 - level) / 2, (1 + level) / 2])
    levels = scipy.stats.norm.cdf(bias + z / (1 - skew * z))
    low, high = np.quantile(draws, levels)
    return float(low), float(high)


def jackknife_means(total_C: np.ndarray, count_C: np.ndarray) -> np.ndarray:
    """The weighted mean with each cluster left out; NaN where nothing remains."""
    count = count_C.sum() - count_C
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count > 0, (total_C.sum() - total_C) / count, np.nan)


def clustered_standard_error(
    x_N: np.ndarray, weight_N: np.ndarray, cluster_ids: Sequence[str]
) -> float:
    """Standard error of a weighted mean whose items are correlated within clusters.

    ``sqrt(C / (C - 1) sum_c (sum_{i in c} w_i (x_i - mean))^2) / sum w`` (Miller 2024, section 2.2,
    with the small-sample factor); one item a cluster gives the usual ``sd / sqrt(n)``. NaN with
    fewer than two clusters.
    """
    weight = np.asarray(weight_N, np.float64)
    keep = weight > 0
    names = [name for name, k in zip(cluster_ids, keep) if k]
    weight, x = weight[keep], np.asarray(x_N, np.float64)[keep]
    cluster_N, clusters = cluster_index(names)
    if clusters < 2:
        return float("nan")
    mean = np.average(x, weights=weight)
    sums_C = np.bincount(cluster_N, weight * (x - mean), minlength=clusters)
    return float(np.sqrt(clusters / (clusters - 1) * np.sum(sums_C**2)) / weight.sum())


def bootstrap_mean(
    x_N: np.ndarray,
    weight_N: np.ndarray,
    cluster_ids: Sequence[str],
    *,
    seed: int = 0,
    replicates: int = 1000,
    level: float = 0.95,
    method: Method = "percentile",
) -> Interval:
    """Weighted mean with its clustered bootstrap interval.

    Args:
      x_N: scores; items of weight 0 may be NaN.
      weight_N: item weights.
      cluster_ids: cluster of each item.
      seed, replicates, level: of the bootstrap.
      method: ``"percentile"`` or ``"bca"``.

    Returns:
      The mean; both ends NaN when there are fewer than two clusters, since one says nothing about
      how clusters differ.
    """
    weight = np.asarray(weight_N, dtype=np.float64)
    if len(weight) == 0 or weight.sum() <= 0:
        return Interval(float("nan"), float("nan"), float("nan"))
    keep = weight > 0
    weight, x = weight[keep], np.asarray(x_N, np.float64)[keep]
    cluster_N, clusters = cluster_index([name for name, k in zip(cluster_ids, keep) if k])
    total_C = np.bincount(cluster_N, weight * x, minlength=clusters)
    count_C = np.bincount(cluster_N, weight, minlength=clusters)
    if clusters < 2:
        return Interval(float(total_C.sum() / count_C.sum()), float("nan"), float("nan"))
    with jax.enable_x64(True):
        weights = np.asarray(bootstrap_weights(seed, clusters, replicates))
    draws = (weights @ total_C) / (weights @ count_C)
    value = float(total_C.sum() / count_C.sum())
    if method == "bca":
        low, high = bca_interval(value, draws, jackknife_means(total_C, count_C), level)
    else:
        low, high = percentile_interval(draws, level)
    return Interval(value, low, high)


def two_level_bootstrap(
    x_SN: np.ndarray,
    weight_N: np.ndarray,
    cluster_ids: Sequence[str],
    *,
    seed: int = 0,
    replicates: int = 1000,
    level: float = 0.95,
) -> Interval:
    """Mean over seeds and items with both resampled: runs with replacement, clusters likewise.

    The spread over training seeds alone ignores that other items could have been asked, the item
    bootstrap alone that another seed could have been trained; this interval holds both.

    Args:
      x_SN: score of the run with seed s on item n, the same items for every seed.
      weight_N: item weights.
      cluster_ids: cluster of each item.
      seed, replicates, level: of the bootstrap.

    Raises:
      UserError: the scores are no table of seeds by items.
    """
    x = np.asarray(x_SN, np.float64)
    if x.ndim != 2 or x.shape[1] != len(cluster_ids):
        raise UserError(
            f"scores of shape {x.shape} do not fit {len(cluster_ids)} items: one row for each seed"
        )
    weight = np.asarray(weight_N, np.float64)
    if not x.size or weight.sum() <= 0:
        return Interval(float("nan"), float("nan"), float("nan"))
    keep = weight > 0
    x, weight = x[:, keep], weight[keep]
    cluster_N, clusters = cluster_index([name for name, k in zip(cluster_ids, keep) if k])
    total_SC = np.stack([np.bincount(cluster_N, weight * row, minlength=clusters) for row in x])
    count_C = np.bincount(cluster_N, weight, minlength=clusters)
    if clusters < 2:
        value = float(total_SC.mean(0).sum() / count_C.sum())
        return Interval(value, float("nan"), float("nan"))
    with jax.enable_x64(True):
        items_RC = np.asarray(bootstrap_weights(seed, clusters, replicates))
        seeds_RS = np.asarray(bootstrap_weights(seed + 1, len(x), replicates))
    total_R = np.einsum("rs,sc,rc->r", seeds_RS, total_SC, items_RC, optimize=True)
    low, high = percentile_interval(total_R / (len(x) * (items_RC @ count_C)), level)
    return Interval(float(total_SC.mean(0).sum() / count_C.sum()), low, high)


def sign_flip_p_value(
    difference_N: np.ndarray,
    weight_N: np.ndarray,
    cluster_ids: Sequence[str],
    *,
    seed: int = 0,
    permutations: int = 4999,
) -> float:
    """Two-sided p-value that the mean difference is 0, by flipping the signs of whole clusters.

    Exact enumeration when there are at most 12 clusters, else random flips with the observed one
    counted in. NaN without items.
    """
    weight = np.asarray(weight_N, dtype=np.float64)
    if weight.sum() <= 0:
        return float("nan")
    cluster_N, clusters = cluster_index(cluster_ids)
    weighted = np.where(weight > 0, weight * np.nan_to_num(np.asarray(difference_N, np.float64)), 0)
    sums_C = np.bincount(cluster_N, weighted, minlength=clusters)
    observed = abs(sums_C.sum()) - 1e-12
    if clusters <= 12:
        bits = (np.arange(2**clusters)[:, None] >> np.arange(clusters)) & 1
        return float(np.mean(np.abs((2 * bits - 1) @ sums_C) >= observed))
    rng = np.random.default_rng(seed)
    hits = 0
    for start in range(0, permutations, 500):
        size = min(500, permutations - start)
        signs = 2.0 * rng.integers(0, 2, (size, clusters)) - 1
        hits += int(np.sum(np.abs(signs @ sums_C) >= observed))
    return (hits + 1) / (permutations + 1)
