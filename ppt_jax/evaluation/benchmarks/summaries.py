"""Means, medians and shares with clustered bootstrap intervals, for scores of recordings.

One set of cluster weights (`intervals.bootstrap_weights`) serves every number of a model, and
models of one task share it as far as they have the same clusters, so differences are paired.

Axes: N answers, C clusters, R replicates.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence

import jax
import numpy as np

from ppt_jax.evaluation import intervals
from ppt_jax.evaluation.benchmarks.protocol import ScoreSettings


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A value with its interval; NaN where it is not known.

    Attributes:
      value: on all answers.
      low, high: percentile interval, NaN with fewer than two clusters.
    """

    value: float
    low: float = math.nan
    high: float = math.nan


@functools.lru_cache(maxsize=16)
def _weights(seed: int, clusters: int, replicates: int) -> np.ndarray:
    with jax.enable_x64(True):
        weights_RC = np.asarray(intervals.bootstrap_weights(seed, clusters, replicates))
    return weights_RC


class Resampler:
    """Bootstrap weights of the clusters of one set of answers."""

    def __init__(
        self,
        cluster_ids: Sequence[str],
        settings: ScoreSettings,
        clusters: Sequence[str] | None = None,
    ) -> None:
        """Draws the weights.

        Args:
          cluster_ids: cluster of each of the N answers.
          settings: replicates, level, seed.
          clusters: all clusters of the task in a fixed order; those of the answers, in order of
            appearance, when left out.
        """
        order = list(dict.fromkeys(clusters if clusters is not None else cluster_ids))
        place = {name: at for at, name in enumerate(order)}
        self._index_N = np.array([place[name] for name in cluster_ids], dtype=np.int64)
        self.n_clusters = len(set(cluster_ids))
        self._settings = settings
        self._weights_RC = _weights(settings.seed, max(len(order), 1), settings.replicates)

    @property
    def weights_RN(self) -> np.ndarray:
        """How often each answer is drawn in each replicate."""
        return self._weights_RC[:, self._index_N]

    def _interval(self, draws_R: np.ndarray) -> tuple[float, float]:
        if self.n_clusters < 2:  # nothing varies between replicates
            return math.nan, math.nan
        return intervals.percentile_interval(draws_R, self._settings.level)

    def mean(self, x_N: np.ndarray) -> Estimate:
        """Mean of the answers."""
        return self.ratio(x_N, np.ones(len(x_N)))

    def ratio(self, top_N: np.ndarray, bottom_N: np.ndarray) -> Estimate:
        """``sum(top) / sum(bottom)``: any mean over a subset, with ``bottom`` its indicator."""
        if not len(top_N) or not bottom_N.sum():
            return Estimate(math.nan)
        clusters = self._weights_RC.shape[1]
        sums = np.stack(
            [np.bincount(self._index_N, x, minlength=clusters) for x in (top_N, bottom_N)], 1
        )
        draws = self._weights_RC @ sums
        with np.errstate(invalid="ignore", divide="ignore"):
            return Estimate(
                float(top_N.sum() / bottom_N.sum()), *self._interval(draws[:, 0] / draws[:, 1])
            )

    def median(self, x_N: np.ndarray) -> Estimate:
        """Median of the answers; of the repeated answers in a replicate."""
        if not len(x_N):
            return Estimate(math.nan)
        order = np.argsort(x_N, kind="stable")
        sorted_N, weights_RN = x_N[order], self._weights_RC[:, self._index_N[order]]
        cumulated = np.cumsum(weights_RN, axis=1)
        total = cumulated[:, -1:]
        # the two middle answers of the repeated list
        low = np.argmax(cumulated > (total - 1) // 2, axis=1)
        high = np.argmax(cumulated > total // 2, axis=1)
        draws = np.where(total[:, 0] > 0, (sorted_N[low] + sorted_N[high]) / 2, np.nan)
        return Estimate(float(np.median(x_N)), *self._interval(draws))

    def statistic(self, f: Callable[[np.ndarray], np.ndarray]) -> Estimate:
        """Any statistic of weighted answers.

        Args:
          f: maps weights [R, N] to values [R]; it is called with ones [1, N] for the value.
        """
        if not len(self._index_N):
            return Estimate(math.nan)
        value = float(f(np.ones((1, len(self._index_N))))[0])
        if self.n_clusters < 2:
            return Estimate(value)
        with np.errstate(invalid="ignore", divide="ignore"):
            return Estimate(value, *self._interval(f(self.weights_RN)))


def plain_table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A plain-text table: first column left, the others right.

    Example:
      >>> print(plain_table(["model", "ece"], [["a", "1.0"]]))
      model  ece
      a      1.0
    """
    widths = [max(len(row[k]) for row in (head, *lines)) for k in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        first = f"{cells[0]:<{widths[0]}}"
        return "  ".join([first, *(f"{c:>{w}}" for c, w in zip(cells[1:], widths[1:]))]).rstrip()

    return "\n".join(line(row) for row in (head, *lines))


def shown(value: float | None, digits: int = 2, sign: str = "") -> str:
    """A number for a table, ``-`` where it is not known."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:{sign}.{digits}f}"


def interval_text(estimate: Estimate, digits: int = 2) -> str:
    """``0.37 [0.30, 0.45]``, without the interval where there is none."""
    text = shown(estimate.value, digits)
    if math.isfinite(estimate.low):
        text += f" [{shown(estimate.low, digits)}, {shown(estimate.high, digits)}]"
    return text
