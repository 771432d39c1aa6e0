r"""All numbers about confidences at once, each with its bootstrap interval and its null.

`measure` is what the tables and benchmarks call for a column of confidences c and outcomes y: it
sorts once, forms cumulative sums of all bootstrap replicates and of all null simulations, and
reads every metric off them. The single metrics are pure functions in `calibration`,
`calibration_tests`, `decomposition` and `discrimination`; tests hold the two together.

*Null*: outcomes are drawn from the confidences themselves (`simulate_outcomes`). A calibration
error below the null's 95% quantile gives no evidence of miscalibration.

Axes: N items, G groups of equal confidence, R replicates, V versions (value, replicates, nulls),
B bins, M smoothing cells.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
from collections.abc import Callable, Collection, Iterator

import numpy as np
import scipy.special

from ppt_jax.evaluation import column_numbers
from ppt_jax.evaluation.columns import MOST_GROUPS, Sorted, Sums, group, item_sums, sort
from ppt_jax.evaluation.intervals import percentile_interval

METRICS = {  # name -> which way is better
    "ece_smooth": "lower",
    "ece_smooth_sigma": "target",
    "ece_auto": "lower",
    "ece_mass": "lower",
    "ece_width": "lower",
    "ece_distinct": "lower",
    "ece_sweep": "lower",
    "ece_l2_mass": "lower",
    "mce_mass": "lower",
    "ece_debiased_squared": "target",
    "brier_reliability": "lower",
    "brier_resolution": "higher",
    "brier_uncertainty": "target",
    "corp_brier_miscalibration": "lower",
    "corp_brier_discrimination": "higher",
    "corp_log_miscalibration": "lower",
    "corp_log_discrimination": "higher",
    "auroc": "higher",
    "auprc": "higher",
    "ks": "lower",
    "kuiper": "lower",
    "spiegelhalter_z": "target",
    "calibration_bias": "target",
    "calibration_intercept": "target",
    "calibration_slope": "target",
}
NULLED = frozenset(  # calibration errors: numbers that mean nothing without their null
    {
        *(name for name in METRICS if name.startswith(("ece_", "mce_"))),
        *("brier_reliability", "corp_brier_miscalibration", "corp_log_miscalibration"),
        *("ks", "kuiper"),
    }
) - {"ece_smooth_sigma"}
SELECTIVE = {"aurc": "lower", "e_aurc": "lower", "rejection_ratio": "higher"} | {
    f"accuracy_at_{share}": "higher" for share in (50, 80, 90)
}
_CHUNK = 2**16  # numbers at a time: versions times items that stay in the processor's cache
_SMALL = 2000  # items; for fewer no thread is worth its while
_THREADS = 2  # numpy lets go of the interpreter inside large operations


@dataclasses.dataclass(frozen=True)
class Measured:
    """One number: value, interval, and what perfect calibration would give."""

    value: float
    ci_low: float
    ci_high: float
    null_mean: float | None = None
    null_q95: float | None = None


def simulate_outcomes(
    conf_N: np.ndarray,
    seed: int,
    replicates: int,
    cluster_N: np.ndarray | None = None,
    correlation: float = 0.0,
) -> np.ndarray:
    """Outcomes [R, N] of a perfectly calibrated world: each is 1 with probability c.

    Args:
      conf_N: confidences.
      seed: non-negative.
      replicates: R.
      cluster_N: index of each item's cluster, for outcomes that depend on each other.
      correlation: of the normal variables behind the outcomes of a cluster (Gaussian copula): 0
        independent, 1 all decided by one number. The chance of each single outcome stays c.
    """
    rng = np.random.default_rng([seed, 1])
    size = (replicates, len(conf_N))
    if cluster_N is None or correlation == 0:
        return (rng.random(size) < conf_N).astype(np.float64)
    shared = rng.standard_normal((replicates, int(np.max(cluster_N, initial=-1)) + 1))
    z = np.sqrt(correlation) * shared[:, cluster_N]
    z += np.sqrt(1 - correlation) * rng.standard_normal(size)
    return (scipy.special.ndtr(z) < conf_N).astype(np.float64)


def measure(
    conf_N: np.ndarray,
    y_N: np.ndarray,
    weight_N: np.ndarray | None = None,
    *,
    weights_RN: np.ndarray | None = None,
    null_RN: np.ndarray | None = None,
    bins: int = 15,
    cells: int = 256,
    level: float = 0.95,
    selective: bool = False,
    metrics: Collection[str] = tuple(METRICS),
) -> dict[str, Measured]:
    """All calibration, ranking and (if asked for) risk-coverage numbers of a column.

    Bins are set once from the sample; bootstrap replicates and null simulations reuse them.

    Args:
      conf_N: confidences in [0, 1].
      y_N: outcomes, 0/1 or soft in [0, 1].
      weight_N: item weights, 1 each when not given; weight 0 is absence.
      weights_RN: bootstrap multiplicities of the items (``weights_RC[:, cluster_N]``); without
        them intervals are NaN.
      null_RN: outcomes under calibration (`simulate_outcomes`); without them nulls are None.
      bins: of ``ece_mass``, ``ece_width``, ``mce_mass`` and the five-term decomposition.
      cells: of the smooth error.
      level: of the intervals.
      metrics: which of `METRICS` are wanted (fewer are faster).
      selective: also `SELECTIVE`, where c is the confidence in an answer and y its correctness.

    Returns:
      Metric name -> value, interval and null. ``ece_distinct`` is missing when there are more
      than 101 distinct confidences. Empty without items that weigh.
    """
    conf, y = np.asarray(conf_N, np.float64), np.asarray(y_N, np.float64)
    weight = np.ones(len(conf)) if weight_N is None else np.asarray(weight_N, np.float64)
    keep = weight > 0
    if not keep.any():
        return {}
    kept_R = None if weights_RN is None else np.asarray(weights_RN)
    null_R = None if null_RN is None else np.asarray(null_RN)
    if not keep.all():
        conf, y, weight = conf[keep], y[keep], weight[keep]
        kept_R = None if kept_R is None else kept_R[:, keep]
        null_R = None if null_R is None else null_R[:, keep]
    replicates = 0 if kept_R is None else len(kept_R)
    s = sort(conf, weight, bins, cells)
    fine = group(s, bins, cells) if len(conf) > MOST_GROUPS and replicates else None

    def one(version: tuple[str, Sums], at: Sorted) -> tuple[str, dict[str, np.ndarray]]:
        kind, sums = version
        found = column_numbers.numbers(at, sums, metrics)
        if kind == "own":
            if {"calibration_slope", "calibration_intercept"} & set(metrics):
                found |= column_numbers.calibration_line(at, sums)
            found |= column_numbers.selective(at, sums, SELECTIVE) if selective else {}
        return kind, found

    column = functools.partial(item_sums, s) if fine is None else fine.sums
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        chunk = int(np.clip(_CHUNK // len((fine.at if fine else s).conf_N), 8, 256))
        jobs = _versions(column, y, kept_R, null_R, chunk)
        each = pool.map if len(conf) > _SMALL else map
        parts = list(each(lambda job: one(job(), fine.at if fine else s), jobs))
    exact = parts[0][1]
    if fine is not None:
        exact = one(("own", item_sums(s, np.ones((1, len(y))), y[None])), s)[1]
    out = {}
    for name in [*(m for m in METRICS if m in metrics), *(SELECTIVE if selective else ())]:
        if name not in parts[0][1]:
            continue
        own = np.concatenate([found[name] for kind, found in parts if kind == "own"])
        value = float(exact[name][0])
        own = own + np.nan_to_num(value - own[0])  # 0, but for what groups cannot tell apart
        low, high = percentile_interval(own[1 : replicates + 1], level)
        mean = q95 = None
        nulls = [f[name] for kind, f in parts if kind == "null"] if name in NULLED else []
        if nulls:
            stack = np.concatenate(nulls)[: len(null_R) if null_R is not None else 0]
            mean, q95 = float(stack.mean()), float(np.quantile(stack, 0.95))
        out[name] = Measured(value, low, high, mean, q95)
    return out


def _versions(
    sums: Callable[[np.ndarray, np.ndarray], Sums],
    y_N: np.ndarray,
    weights_RN: np.ndarray | None,
    null_RN: np.ndarray | None,
    chunk: int,
) -> Iterator[Callable[[], tuple[str, Sums]]]:
    """Chunks of versions to be summed: the sample and its replicates, then the nulls."""
    one = np.ones((1, len(y_N)))
    own = one if weights_RN is None else weights_RN

    def job(kind: str, weights_VN: np.ndarray, y_VN: np.ndarray) -> tuple[str, Sums]:
        return kind, sums(weights_VN.astype(np.float64), y_VN.astype(np.float64))

    for rows in _chunks(own, chunk, None if weights_RN is None else one):
        yield functools.partial(job, "own", rows, y_N[None])
    if null_RN is not None:
        for rows in _chunks(null_RN, chunk):
            yield functools.partial(job, "null", one, rows)


def _chunks(x_RN: np.ndarray, most: int, before: np.ndarray | None = None) -> Iterator[np.ndarray]:
    """Parts of about equal size, at most so many rows each.

    `before` [1, N], where given, is the first row of all.
    """
    ahead = 0 if before is None else 1
    total = len(x_RN) + ahead
    size = -(-total // max(1, -(-total // most)))
    for start in range(0, total, size):
        rows = x_RN[max(start - ahead, 0) : start - ahead + size]
        yield np.concatenate([before, rows]) if before is not None and start == 0 else rows
