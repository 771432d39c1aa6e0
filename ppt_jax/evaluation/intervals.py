"""Uncertainty of results: clustered bootstrap, paired differences, nulls by simulation.

Asks about one story share its evidence, so whole scenarios (clusters) are resampled, not asks. A
replicate is a vector of cluster weights; a score that is linear in weights (any mean, any binned
sum) then needs only its sums per cluster, and all replicates are one matrix product. The same
weights are used for every model, which makes differences paired.

Axes: N items, C clusters, R replicates, M metrics.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np


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


def bootstrap_mean(
    x_N: np.ndarray,
    weight_N: np.ndarray,
    cluster_ids: Sequence[str],
    *,
    seed: int = 0,
    replicates: int = 1000,
    level: float = 0.95,
) -> Interval:
    """Weighted mean with its clustered percentile interval.

    Args:
      x_N: scores; items of weight 0 may be NaN.
      weight_N: item weights.
      cluster_ids: cluster of each item.
      seed, replicates, level: of the bootstrap.
    """
    weight = np.asarray(weight_N, dtype=np.float64)
    if len(weight) == 0 or weight.sum() <= 0:
        return Interval(float("nan"), float("nan"), float("nan"))
    cluster_N, clusters = cluster_index(cluster_ids)
    weighted = np.where(weight > 0, weight * np.nan_to_num(np.asarray(x_N, np.float64)), 0.0)
    columns = jnp.asarray(np.stack([weighted, weight], axis=1))
    sums = cluster_sums(columns, jnp.asarray(cluster_N), clusters)
    weights = bootstrap_weights(seed, clusters, replicates)
    draws = bootstrap_means(weights, sums[:, :1], sums[:, 1:])[:, 0]
    low, high = percentile_interval(np.asarray(draws), level)
    return Interval(float(weighted.sum() / weight.sum()), low, high)


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
