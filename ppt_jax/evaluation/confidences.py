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

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
import scipy.special

from ppt_jax.evaluation import calibration, calibration_tests
from ppt_jax.evaluation.calibration import BinSums
from ppt_jax.evaluation.columns import MOST_GROUPS, Sorted, Sums, group, item_sums, sort
from ppt_jax.evaluation.intervals import percentile_interval
from ppt_jax.evaluation.scores import EPS

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
_CHUNK = 143  # rows at a time: 1,001 (the sample and 1,000 replicates) in 7 parts
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


_smooth_error = jax.jit(calibration.smooth_error_from_grid)
_sweep = jax.jit(calibration.sweep_from_sums)
_cox = jax.jit(lambda conf, w, p: calibration_tests.cox_of_groups(conf, w, p, steps=10))


@jax.jit
def _of_bins(sums: BinSums) -> dict[str, jax.Array]:
    parts = calibration.decomposition_from_sums(sums)
    return {
        "ece": calibration.error_from_sums(sums),
        "l2": calibration.error_from_sums(sums, 2),
        "mce": calibration.error_from_sums(sums, jnp.inf),
        "debiased": calibration.debiased_from_sums(sums),
        "reliability": parts.reliability,
        "resolution": parts.resolution,
        "uncertainty": parts.uncertainty,
    }


def _running(x_VN: np.ndarray) -> np.ndarray:
    """Cumulative sums [V, N + 1], from 0."""
    out = np.zeros((x_VN.shape[0], x_VN.shape[1] + 1))
    np.cumsum(x_VN, axis=1, out=out[:, 1:])
    return out


def _div(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(b > 0, a / b, np.nan)


def _numbers(s: Sorted, sums: Sums, metrics: Collection[str]) -> dict[str, np.ndarray]:
    """Every metric of `METRICS` [V] for V versions of weights and outcomes of sorted items."""
    weight_VN, wy_VN, wyy_VN = sums.w_VN, sums.wy_VN, sums.wyy_VN
    total = weight_VN.sum(1)
    run_w, run_y = _running(weight_VN), _running(wy_VN)
    run_c = _running(weight_VN * s.conf_N)
    at = np.append(0, s.ends_G)
    w_VG, y_VG = np.diff(run_w[:, at], axis=1), np.diff(run_y[:, at], axis=1)
    conf_G = s.conf_N[s.ends_G - 1]
    out: dict[str, np.ndarray] = {}
    # bins
    for scheme, (bin_N, count) in s.bins.items():
        member = np.zeros((len(bin_N), count))
        member[np.arange(len(bin_N)), bin_N] = 1
        by_c = member * s.conf_N[:, None]
        of_bins = (
            *(weight_VN @ member, weight_VN @ by_c, wy_VN @ member),
            *(weight_VN @ (by_c * s.conf_N[:, None]), wyy_VN @ member, wy_VN @ by_c),
        )
        rows = [jnp.asarray(np.broadcast_to(x, (len(wy_VN), count))) for x in of_bins]
        found = {k: np.asarray(v) for k, v in _of_bins(BinSums(*rows)).items()}
        out[f"ece_{scheme}"] = found["ece"]
        if scheme == "mass":
            out |= {
                "ece_l2_mass": found["l2"],
                "mce_mass": found["mce"],
                "ece_debiased_squared": found["debiased"],
                "brier_reliability": found["reliability"],
                "brier_resolution": found["resolution"],
                "brier_uncertainty": found["uncertainty"],
            }
    out["ece_auto"] = out.get("ece_distinct", out["ece_mass"])
    if "ece_sweep" in metrics:
        out["ece_sweep"] = _swept(s, run_w, run_c, run_y)
    # smooth error: residuals on the grid, split between neighbouring cells
    residual = run_y - run_c
    right = _running((wy_VN - weight_VN * s.conf_N) * s.share_N)
    edges = np.append(s.cell_edges_M, len(s.conf_N))
    both, moved = np.diff(residual[:, edges], axis=1), np.diff(right[:, edges], axis=1)
    grid = both - moved
    grid[:, 1:] += moved[:, :-1]
    smooth, sigma = _smooth_error(jnp.asarray(_div(grid, total[:, None])))
    out["ece_smooth"], out["ece_smooth_sigma"] = np.asarray(smooth), np.asarray(sigma)
    # ranking
    negative = w_VG - y_VG
    run_negative = np.cumsum(negative, axis=1)
    positives, negatives = y_VG.sum(1), negative.sum(1)
    wins = (y_VG * (run_negative - 0.5 * negative)).sum(1)
    out["auroc"] = _div(wins, positives * negatives)
    from_top = run_w[:, -1:] - run_w[:, at[:-1]], run_y[:, -1:] - run_y[:, at[:-1]]
    precision = np.nan_to_num(_div(from_top[1], from_top[0]))
    out["auprc"] = _div((y_VG * precision).sum(1), positives)
    # cumulative differences
    walk = residual[:, at]
    low, high = walk.min(1), walk.max(1)
    out["ks"], out["kuiper"] = _div(np.maximum(high, -low), total), _div(high - low, total)
    out["calibration_bias"] = _div(residual[:, -1], total)
    away = 1 - 2 * s.conf_N
    variance = weight_VN @ (away**2 * s.conf_N * (1 - s.conf_N))
    out["spiegelhalter_z"] = _div((wy_VN - weight_VN * s.conf_N) @ away, np.sqrt(variance))
    if any(name.startswith("corp_") for name in metrics):
        out |= _corp(conf_G, w_VG, y_VG, wyy_VN.sum(1), total)
    return out


def _swept(s: Sorted, *running: np.ndarray) -> np.ndarray:
    """ECE-sweep [V] from running sums of weight, confidence and outcome (the last has V rows)."""
    sums = [np.diff(run[:, s.sweep_edges], axis=-1) for run in running]
    full = [jnp.asarray(np.broadcast_to(x, sums[-1].shape)) for x in sums]
    return np.asarray(_sweep(*full)[0])


def _corp(
    conf_G: np.ndarray,
    w_VG: np.ndarray,
    y_VG: np.ndarray,
    squares_V: np.ndarray,
    total_V: np.ndarray,
) -> dict[str, np.ndarray]:
    """CORP parts [V]: each version's pools by scipy, its scores from the sums of the pools."""
    conf = np.clip(conf_G, EPS, 1 - EPS)
    log_own = -(y_VG @ np.log(conf) + (w_VG - y_VG) @ np.log1p(-conf))
    brier_own = squares_V - 2 * y_VG @ conf_G + w_VG @ conf_G**2

    def scores(w: np.ndarray, y: np.ndarray) -> tuple[float, float]:
        """Explained squares and log loss of forecasts that are the means y / w of their pools."""
        mean = np.clip(y / w, EPS, 1 - EPS)
        return float(y @ (y / w)), float(-(y @ np.log(mean) + (w - y) @ np.log1p(-mean)))

    best, flat = np.full((len(y_VG), 2), np.nan), np.full((len(y_VG), 2), np.nan)
    for v, (w_G, y_G) in enumerate(zip(np.broadcast_to(w_VG, y_VG.shape), y_VG)):
        keep = w_G > 0
        if not keep.any():
            continue
        w, y = w_G[keep], y_G[keep]
        starts = scipy.optimize.isotonic_regression(y / w, weights=w).blocks[:-1]
        best[v] = scores(np.add.reduceat(w, starts), np.add.reduceat(y, starts))
        flat[v] = scores(w.sum(keepdims=True), y.sum(keepdims=True))
    return {
        "corp_brier_miscalibration": _div(brier_own - (squares_V - best[:, 0]), total_V),
        "corp_brier_discrimination": _div(best[:, 0] - flat[:, 0], total_V),
        "corp_log_miscalibration": _div(log_own - best[:, 1], total_V),
        "corp_log_discrimination": _div(flat[:, 1] - best[:, 1], total_V),
    }


def _calibration_line(s: Sorted, sums: Sums) -> dict[str, np.ndarray]:
    room = max(256, 1 << (len(s.conf_N) - 1).bit_length()) - len(s.conf_N)
    conf = np.pad(s.conf_N, (0, room), constant_values=0.5)
    wide = [np.pad(x, ((0, 0), (0, room))) for x in (sums.w_VN, sums.wy_VN)]
    columns = (conf, *wide)
    line = _cox(*map(jnp.asarray, columns))
    return {
        "calibration_intercept": np.asarray(line.intercept),
        "calibration_slope": np.asarray(line.slope),
    }


def _selective(s: Sorted, sums: Sums) -> dict[str, np.ndarray]:
    """Risk-coverage numbers [V]; the same sums as `discrimination.selective_of_groups`."""
    run_w, run_y = _running(sums.w_VN), _running(sums.wy_VN)
    at = np.append(0, s.ends_G)
    w_VG = np.diff(run_w[:, at], axis=1)[:, ::-1]
    wrong = w_VG - np.diff(run_y[:, at], axis=1)[:, ::-1]
    kept, errors = np.cumsum(w_VG, axis=1), np.cumsum(wrong, axis=1) - wrong
    before, total, all_wrong = kept - w_VG, kept[:, -1], wrong.sum(1)
    harmonic = _digamma(kept + 1) - _digamma(before + 1)
    rate = np.nan_to_num(_div(wrong, w_VG))
    aurc = _div((wrong + (errors - rate * before) * harmonic).sum(1), total)
    right = total - all_wrong
    ideal = _div(all_wrong - right * (_digamma(total + 1) - _digamma(right + 1)), total)
    risk = _div(all_wrong, total)
    out = {"aurc": aurc, "e_aurc": aurc - ideal}
    possible = risk - ideal
    out["rejection_ratio"] = _div(risk - aurc, np.where(possible > 1e-12, possible, 0.0))
    for name in SELECTIVE:
        if name.startswith("accuracy_at_"):
            share = int(name.rsplit("_", 1)[1]) / 100
            room = np.clip(share * total[:, None] - before, 0, w_VG)
            out[name] = _div(((1 - rate) * room).sum(1), share * total)
    return out


def _digamma(x: np.ndarray) -> np.ndarray:
    """Digamma; by a table of harmonic numbers where all arguments are whole."""
    whole = np.rint(x)
    if x.size < 10_000 or not np.array_equal(whole, x):
        return scipy.special.digamma(x)
    table = scipy.special.digamma(np.arange(1, int(whole.max(initial=1)) + 1))
    return table[whole.astype(np.int64) - 1]


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
    with jax.enable_x64(True):
        s = sort(conf, weight, bins, cells)
        fine = group(s, bins, cells) if len(conf) > MOST_GROUPS and replicates else None

        def one(version: tuple[str, Sums], at: Sorted) -> tuple[str, dict[str, np.ndarray]]:
            kind, sums = version
            with jax.enable_x64(True):  # a setting of the thread
                found = _numbers(at, sums, metrics)
                if kind == "own":
                    if {"calibration_slope", "calibration_intercept"} & set(metrics):
                        found |= _calibration_line(at, sums)
                    found |= _selective(at, sums) if selective else {}
            return kind, found

        column = functools.partial(item_sums, s) if fine is None else fine.sums
        with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
            jobs = _versions(column, y, kept_R, null_R)
            parts = list(pool.map(lambda job: one(job(), fine.at if fine else s), jobs))
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
) -> Iterator[Callable[[], tuple[str, Sums]]]:
    """Chunks of versions to be summed: the sample and its replicates, then the nulls."""
    one = np.ones((1, len(y_N)))
    own = one if weights_RN is None else weights_RN

    def job(kind: str, weights_VN: np.ndarray, y_VN: np.ndarray) -> tuple[str, Sums]:
        return kind, sums(weights_VN.astype(np.float64), y_VN.astype(np.float64))

    for rows in _chunks(own, None if weights_RN is None else one):
        yield functools.partial(job, "own", rows, y_N[None])
    if null_RN is not None:
        for rows in _chunks(null_RN):
            yield functools.partial(job, "null", one, rows)


def _chunks(x_RN: np.ndarray, before: np.ndarray | None = None) -> Iterator[np.ndarray]:
    """Parts of equal size, the last filled up by repeating its first row (few shapes).

    `before` [1, N], where given, is the first row of all.
    """
    ahead = 0 if before is None else 1
    total = len(x_RN) + ahead
    size = -(-total // max(1, -(-total // _CHUNK)))
    for start in range(0, total, size):
        rows = x_RN[max(start - ahead, 0) : start - ahead + size]
        if before is not None and start == 0:
            rows = np.concatenate([before, rows])
        missing = size - len(rows)
        yield np.concatenate([rows, np.repeat(rows[:1], missing, axis=0)]) if missing else rows
