"""Is a sample uniform on (0, 1)? Simultaneous bands for its ECDF, exact at any sample size.

Säilynoja, Bürkner and Vehtari, "Graphical test for discrete uniformity and its applications in
goodness-of-fit evaluation and multiple sample comparison", Statistics and Computing 32 (2022),
section 2: the number of values up to ``z_k`` is binomial, so each point has an interval of coverage
``1 - gamma``; ``gamma`` is chosen by simulation so that a uniform sample lies within *all* of them
with probability ``1 - alpha``. The same simulation gives a p-value.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

Array = NDArray[np.float64]
POINTS = 100
SIMULATIONS = 4999
_SEED = 20220801  # of the simulations: the same sample always gets the same p-value


@dataclasses.dataclass(frozen=True, eq=False)
class Uniformity:
    """What a sample says about being uniform.

    Attributes:
      count: sample size N.
      p_value: probability that a uniform sample strays at least as far at its worst point; by
        simulation down to 0.01, below that proportional to the binomial tail (about right).
      z_K: points in (0, 1).
      difference_K: ECDF minus ``z_K``.
      low_K, high_K: band of the difference, simultaneous coverage ``1 - alpha``.
      mean: sample mean; 0.5 if uniform.
      spread: standard deviation times sqrt(12); 1 if uniform, above 1 where values crowd at the
        ends (posteriors too narrow), below 1 where they crowd in the middle (too wide).
    """

    count: int
    p_value: float
    z_K: Array
    difference_K: Array
    low_K: Array
    high_K: Array
    mean: float
    spread: float

    @property
    def deviation(self) -> float:
        """Greatest distance of the ECDF from the diagonal at the points."""
        return float(np.abs(self.difference_K).max())


def _points(count: int) -> Array:
    cells = min(count, POINTS)
    return np.arange(1, cells) / cells


def _tails(counts: NDArray[np.int64], count: int, z_K: Array) -> Array:
    """Least two-sided binomial tail probability over the points; counts are [..., K]."""
    if count <= 2 * SIMULATIONS:  # a table of all counts is the smaller work
        c = np.arange(count + 1)
        choose = (
            special.gammaln(count + 1) - special.gammaln(c + 1) - special.gammaln(count - c + 1)
        )
        logs_KC = choose + np.outer(np.log(z_K), c) + np.outer(np.log1p(-z_K), count - c)
        pmf_KC = np.exp(logs_KC)
        below_KC = np.cumsum(pmf_KC, axis=1)
        above_KC = np.cumsum(pmf_KC[:, ::-1], axis=1)[:, ::-1]
        table_KC = 2.0 * np.minimum(below_KC, above_KC)
        found = table_KC[np.arange(len(z_K)), counts]
    else:
        below = special.bdtr(counts, count, z_K)
        above = np.where(counts > 0, special.bdtrc(np.maximum(counts - 1, 0), count, z_K), 1.0)
        found = 2.0 * np.minimum(below, above)
    return np.asarray(found.min(axis=-1), np.float64)


@functools.lru_cache(maxsize=256)
def _null(count: int) -> Array:
    """Sorted least tails of `SIMULATIONS` uniform samples."""
    z_K = _points(count)
    cells = len(z_K) + 1
    rng = np.random.default_rng([_SEED, count])
    cells_SK = rng.multinomial(count, np.full(cells, 1.0 / cells), size=SIMULATIONS)
    return np.sort(_tails(np.cumsum(cells_SK, axis=1)[:, :-1], count, z_K))


def uniformity(u_N: Sequence[float] | Array, alpha: float = 0.05) -> Uniformity:
    """Tests a sample for uniformity.

    Args:
      u_N: at least two values in [0, 1], independent.
      alpha: 1 minus the simultaneous coverage of the bands.

    Returns:
      The p-value and the curve with its bands.

    Raises:
      ValueError: fewer than two values, or values outside [0, 1].

    Example:
      >>> uniformity(np.random.default_rng(0).random(500)).p_value > 0.01
      True
    """
    values = np.asarray(u_N, np.float64)
    count = len(values)
    if count < 2 or not ((values >= 0) & (values <= 1)).all():
        raise ValueError("a sample of at least two values in [0, 1] is needed")
    z_K = _points(count)
    counts_K = np.searchsorted(np.sort(values), z_K, side="right")
    null = _null(count)
    worst = float(_tails(counts_K, count, z_K))
    # equal tails are computed twice over: compare with a grain of tolerance
    further = int(np.searchsorted(null, worst * (1 + 1e-9), side="right"))
    p_value = (1 + further) / (SIMULATIONS + 1)
    edge = SIMULATIONS // 100
    if worst < null[edge]:  # too far out to count simulations: proportional to the tail from there
        p_value = 0.01 * worst / float(null[edge])
    gamma = float(null[max(int(alpha * (SIMULATIONS + 1)) - 1, 0)])
    low_K = stats.binom.ppf(gamma / 2, count, z_K) / count - z_K
    high_K = stats.binom.isf(gamma / 2, count, z_K) / count - z_K
    return Uniformity(
        count=count,
        p_value=p_value,
        z_K=z_K,
        difference_K=counts_K / count - z_K,
        low_K=low_K,
        high_K=high_K,
        mean=float(values.mean()),
        spread=float(values.std() * np.sqrt(12.0)),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values: all below alpha are findings at family-wise error alpha.

    Example:
      >>> holm([0.01, 0.04, 0.03])
      [0.03, 0.06, 0.06]
    """
    count = len(p_values)
    adjusted, highest = [0.0] * count, 0.0
    for step, place in enumerate(np.argsort(p_values, kind="stable")):
        highest = max(highest, min((count - step) * p_values[place], 1.0))
        adjusted[place] = highest
    return adjusted
