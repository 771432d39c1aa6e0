"""Comparing two models on the same items: paired differences, tests, and many tests at once.

A paired difference has the item difficulty removed, so it needs far fewer items than two separate
means. Everything resamples or flips whole clusters (all asks about one story together).

Axes: N items, C clusters, T tests.
Sources: Miller (2024), "Adding Error Bars to Evals"; Holm (1979); Benjamini & Hochberg (1995);
McNemar (1947) in the exact binomial form.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
import scipy.stats

from ppt_jax.errors import UserError
from ppt_jax.evaluation import intervals
from ppt_jax.evaluation.intervals import Method


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Mean difference a - b on the same items, and how far it can be trusted.

    Attributes:
      difference: weighted mean of a - b; lower scores are better for losses.
      low, high: clustered paired bootstrap interval.
      standard_error: clustered, see `intervals.clustered_standard_error`.
      p_value: two-sided sign-flip permutation over clusters.
      minimum_detectable: difference that this many items would find with 80% power.
      lower, tied, higher: weight of items where a is below, equal to, above b (differences within
        ``1e-12`` of the larger magnitude are ties).
      n, n_clusters: items that weigh, and their clusters.
    """

    difference: float
    low: float
    high: float
    standard_error: float
    p_value: float
    minimum_detectable: float
    lower: float
    tied: float
    higher: float
    n: int
    n_clusters: int


def compare(
    a_N: np.ndarray,
    b_N: np.ndarray,
    weight_N: np.ndarray,
    cluster_ids: Sequence[str],
    *,
    seed: int = 0,
    replicates: int = 1000,
    level: float = 0.95,
    permutations: int = 4999,
    method: Method = "percentile",
) -> Comparison:
    """Paired comparison of two models' scores on the same items.

    Args:
      a_N, b_N: scores of the two models; items of weight 0 may be NaN.
      weight_N: item weights.
      cluster_ids: cluster of each item.
      seed, replicates, level, method: of the bootstrap.
      permutations: random sign flips when there are more than 12 clusters.

    Returns:
      `Comparison`, NaN throughout when nothing weighs.

    Raises:
      UserError: a score of an item that weighs is NaN, or the lengths differ.
    """
    a, b, weight = (np.asarray(x, np.float64) for x in (a_N, b_N, weight_N))
    if not len(a) == len(b) == len(weight) == len(cluster_ids):
        raise UserError(
            f"a paired comparison needs one score of each model an item, got {len(a)} and {len(b)} "
            f"scores, {len(weight)} weights and {len(cluster_ids)} clusters"
        )
    gap = np.where(weight > 0, a - b, 0.0)
    if np.isnan(gap).any():
        place = int(np.flatnonzero(np.isnan(gap))[0])
        raise UserError(
            f"item {place} (cluster {cluster_ids[place]!r}) has no score of one of the models; "
            "give it weight 0 or score it"
        )
    found = intervals.bootstrap_mean(
        gap, weight, cluster_ids, seed=seed, replicates=replicates, level=level, method=method
    )
    error = intervals.clustered_standard_error(gap, weight, cluster_ids)
    p_value = intervals.sign_flip_p_value(
        gap, weight, cluster_ids, seed=seed, permutations=permutations
    )
    near = np.abs(gap) <= 1e-12 * np.maximum(np.abs(np.where(weight > 0, a, 0.0)), 1e-300)
    kept = [name for name, w in zip(cluster_ids, weight) if w > 0]
    return Comparison(
        difference=found.value,
        low=found.low,
        high=found.high,
        standard_error=error,
        p_value=p_value,
        minimum_detectable=minimum_detectable_effect(error),
        lower=float(weight[(gap < 0) & ~near].sum()),
        tied=float(weight[near].sum()),
        higher=float(weight[(gap > 0) & ~near].sum()),
        n=len(kept),
        n_clusters=len(set(kept)),
    )


def minimum_detectable_effect(
    standard_error: float, *, alpha: float = 0.05, power: float = 0.8
) -> float:
    """Smallest true difference that a two-sided z-test finds with this power: ``(z + z') SE``."""
    z = scipy.stats.norm.ppf(1 - alpha / 2) + scipy.stats.norm.ppf(power)
    return float(z * standard_error)


def items_needed(
    effect: float, standard_error: float, n: int, *, alpha: float = 0.05, power: float = 0.8
) -> float:
    """Items (of the same clustering) at which ``effect`` would be the minimum detectable one."""
    if effect == 0 or math.isnan(effect):
        return math.inf
    detectable = minimum_detectable_effect(standard_error, alpha=alpha, power=power)
    return float(n * (detectable / effect) ** 2)


def holm(p_T: Sequence[float] | np.ndarray) -> np.ndarray:
    """Holm's adjusted p-values: the chance of any false finding is at most each value.

    ``max_{j <= i} min(1, (T - j) p_(j))`` in ascending order. NaN stays NaN and does not count.
    """
    return _adjust(p_T, lambda p: np.maximum.accumulate(p * np.arange(len(p), 0, -1)))


def benjamini_hochberg(p_T: Sequence[float] | np.ndarray) -> np.ndarray:
    """Benjamini-Hochberg adjusted p-values: the expected share of false findings below each.

    ``min_{j >= i} min(1, T p_(j) / j)`` in ascending order. NaN stays NaN and does not count.
    """

    def step_up(p: np.ndarray) -> np.ndarray:
        scaled = p * len(p) / np.arange(1, len(p) + 1)
        return np.minimum.accumulate(scaled[::-1])[::-1]

    return _adjust(p_T, step_up)


def _adjust(
    p_T: Sequence[float] | np.ndarray, of_sorted: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    p = np.asarray(p_T, np.float64)
    out = np.full(p.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    if ((p[known] < 0) | (p[known] > 1)).any():
        raise UserError("p-values must lie in [0, 1]")
    order = known[np.argsort(p[known], kind="stable")]
    out[order] = np.clip(of_sorted(p[order]), 0, 1)
    return out


def mcnemar(correct_a_N: np.ndarray, correct_b_N: np.ndarray) -> float:
    """Exact two-sided McNemar p-value for accuracy: binomial test on the items that disagree.

    For independent items; clustered ones belong to `intervals.sign_flip_p_value`. 1 when the two
    agree on every item, NaN without items.
    """
    a, b = np.asarray(correct_a_N, bool), np.asarray(correct_b_N, bool)
    if not len(a):
        return float("nan")
    only_a, only_b = int(np.sum(a & ~b)), int(np.sum(b & ~a))
    if only_a + only_b == 0:
        return 1.0
    return float(scipy.stats.binomtest(only_a, only_a + only_b, 0.5).pvalue)
