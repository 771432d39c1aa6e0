r"""Every number about a column of confidences at once, for many versions of weights and outcomes.

The single metrics are pure `jnp` functions in `calibration`, `calibration_tests`, `decomposition`
and `discrimination`. Here the same numbers are read off shared sums of one sorted column, for a
sample, its replicates and its nulls together, by numpy on the host: no gradient is wanted, and
every column has a size of its own, which would be one more compilation. Tests hold the two
together.

Axes: N items, G groups of equal confidence, V versions (value, replicates, nulls), B bins,
M smoothing cells.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import scipy.fft
import scipy.optimize
import scipy.special

from ppt_jax.evaluation import calibration
from ppt_jax.evaluation.calibration import BinSums
from ppt_jax.evaluation.columns import Sorted, Sums
from ppt_jax.evaluation.scores import EPS

_SMOOTH_STEPS = 14  # halvings of the bandwidth, as `calibration.smooth_error_from_grid`
_NEWTON_STEPS = 10
_OF_GROUPS = frozenset({"auroc", "auprc", "ks", "kuiper", "calibration_bias", "spiegelhalter_z"})


def _running(x_VN: np.ndarray) -> np.ndarray:
    """Cumulative sums [V, N + 1], from 0."""
    out = np.zeros((x_VN.shape[0], x_VN.shape[1] + 1))
    np.cumsum(x_VN, axis=1, out=out[:, 1:])
    return out


def _div(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(b > 0, a / b, np.nan)


def numbers(s: Sorted, sums: Sums, metrics: Collection[str]) -> dict[str, np.ndarray]:
    """The metrics [V] of `confidences.METRICS` that are wanted, and what falls off beside them.

    Args:
      s: the sorted column.
      sums: V versions of it.
      metrics: names; ``calibration_slope`` and ``calibration_intercept`` are not made here.
    """
    weight_VN, wy_VN = sums.w_VN, sums.wy_VN
    total = weight_VN.sum(1)
    run_w, run_y = _running(weight_VN), _running(wy_VN)
    run_c = _running(weight_VN * s.conf_N)
    at = np.append(0, s.ends_G)
    out = _of_bins(s, sums)
    if "ece_sweep" in metrics:
        out["ece_sweep"] = _swept(s, run_w, run_c, run_y)
    # smooth error: residuals on the grid, split between neighbouring cells
    residual = run_y - run_c
    if {"ece_smooth", "ece_smooth_sigma"} & set(metrics):
        right = _running((wy_VN - weight_VN * s.conf_N) * s.share_N)
        edges = np.append(s.cell_edges_M, len(s.conf_N))
        both, moved = np.diff(residual[:, edges], axis=1), np.diff(right[:, edges], axis=1)
        grid = both - moved
        grid[:, 1:] += moved[:, :-1]
        out["ece_smooth"], out["ece_smooth_sigma"] = smooth_error(_div(grid, total[:, None]))
    corp = any(name.startswith("corp_") for name in metrics)
    if not corp and not _OF_GROUPS & set(metrics):
        return out
    # ranking
    w_VG, y_VG = np.diff(run_w[:, at], axis=1), np.diff(run_y[:, at], axis=1)
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
    if corp:
        out |= _corp(s.conf_N[s.ends_G - 1], w_VG, y_VG, sums.wyy_VN.sum(1), total)
    return out


def _of_bins(s: Sorted, sums: Sums) -> dict[str, np.ndarray]:
    """Binned errors [V] of every scheme; those of ``mass`` with their decomposition."""
    out: dict[str, Any] = {}
    wc_VN = sums.w_VN * s.conf_N
    for scheme, bin_N in s.bins.items():
        starts = np.flatnonzero(np.diff(bin_N, prepend=-1))  # items are sorted, and so are bins

        def per_bin(x_VN: np.ndarray, starts: np.ndarray = starts) -> np.ndarray:
            return np.add.reduceat(x_VN, starts, axis=1)

        first = (per_bin(sums.w_VN), per_bin(wc_VN), per_bin(sums.wy_VN))
        if scheme != "mass":
            out[f"ece_{scheme}"] = calibration.error_from_sums(BinSums(*first, *first))
            continue
        second = wc_VN * s.conf_N, sums.wyy_VN, sums.wy_VN * s.conf_N
        mass = BinSums(*first, *map(per_bin, second))
        parts = calibration.decomposition_from_sums(mass)
        out |= {
            "ece_mass": calibration.error_from_sums(mass),
            "ece_l2_mass": calibration.error_from_sums(mass, 2),
            "mce_mass": calibration.error_from_sums(mass, np.inf),
            "ece_debiased_squared": calibration.debiased_from_sums(mass),
            "brier_reliability": parts.reliability,
            "brier_resolution": parts.resolution,
            "brier_uncertainty": parts.uncertainty,
        }
    out["ece_auto"] = out.get("ece_distinct", out["ece_mass"])
    return out


def _swept(s: Sorted, *running: np.ndarray) -> np.ndarray:
    """ECE-sweep [V] from running sums of weight, confidence and outcome; see `calibration`.

    Bins are added one by one for the versions whose bin means still rise.
    """
    run_w, run_c, run_y = running
    value = np.abs(run_y[:, -1] - run_c[:, -1])
    rows = np.arange(len(value))
    for count in range(2, len(s.sweep_edges) + 1):
        edges = s.sweep_edges[count - 1, : count + 1]
        weight, conf, outcome = (
            np.diff(run[rows if len(run) > 1 else slice(None)][:, edges], axis=1) for run in running
        )
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(weight > 0, outcome / weight, -np.inf)
        highest = np.maximum.accumulate(mean, axis=1)[:, :-1]
        falls = (weight[:, 1:] > 0) & (mean[:, 1:] < highest - 1e-9)
        rises = ~falls.any(1)
        rows = rows[rises]
        if not rows.size:
            break
        value[rows] = np.abs(outcome - conf).sum(1)[rises]
    return _div(value, run_w[:, -1])


def smooth_error(residual_VM: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Smooth ECE [V] and its bandwidth [V], see `calibration.smooth_error_from_grid`.

    The bandwidth is that of the bisection, the middle of the interval of width 2^-14 in which the
    error meets it; the error falls with the bandwidth, so secants find the interval sooner.

    Args:
      residual_VM: residuals on the smoothing grid.
    """
    size, grid = residual_VM.shape
    spectrum = scipy.fft.dct(residual_VM, axis=-1, norm="ortho")
    frequency = -0.5 * (np.arange(grid) * np.pi) ** 2

    def error(rows: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        low = float(sigma.min(initial=1.0))
        used = min(grid, int(3 / low) + 1)  # the others are damped below exp(-44)
        damped = np.exp(sigma[:, None] ** 2 * frequency[:used]) * spectrum[rows, :used]
        back = scipy.fft.idct(damped, n=grid, axis=-1, norm="ortho", overwrite_x=True)
        return np.abs(back, out=back).sum(-1)

    cells = 2**_SMOOTH_STEPS
    # ends of the interval in cells, and by how much the error lies above the bandwidth there
    low, high = np.zeros(size, np.int64), np.full(size, cells)
    above, below = np.abs(residual_VM).sum(-1), np.abs(residual_VM.sum(-1)) - 1
    rows = np.flatnonzero(~np.isnan(above))
    turn = 0
    while rows.size:
        lo, hi = low[rows], high[rows]
        share = above[rows] / np.maximum(above[rows] - below[rows], 1e-300)
        if turn % 4 == 3:  # halves where secants are slow
            share = np.full(len(rows), 0.5)
        root = lo + share * (hi - lo)
        # just beside the root, in turn on both of its sides, so that both ends close in
        place = np.floor(root) + turn % 2
        place = np.clip(place, lo + 1, hi - 1).astype(np.int64)
        gap = error(rows, place / cells) - place / cells
        rising = gap > 0
        low[rows[rising]], above[rows[rising]] = place[rising], gap[rising]
        high[rows[~rising]], below[rows[~rising]] = place[~rising], gap[~rising]
        rows = rows[high[rows] - low[rows] > 1]
        turn += 1
    sigma = (low + 0.5) / cells
    sigma[np.isnan(residual_VM).any(-1)] = 0.5 / cells  # as by bisection; the error is NaN
    return error(np.arange(size), sigma), sigma


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
    w_VG = np.broadcast_to(w_VG, y_VG.shape)
    keep_VG = w_VG > 0
    version = np.repeat(np.arange(len(keep_VG)), keep_VG.sum(1))
    w, y = w_VG[keep_VG], y_VG[keep_VG]

    def scores(w: np.ndarray, y: np.ndarray, version: np.ndarray) -> np.ndarray:
        """Explained squares and log loss [2, V] of forecasts that are the means y / w of pools."""
        mean = np.clip(y / w, EPS, 1 - EPS)
        each = y * (y / w), -(y * np.log(mean) + (w - y) * np.log1p(-mean))
        found = np.stack([np.bincount(version, x, minlength=len(y_VG)) for x in each])
        return np.where(keep_VG.any(1), found, np.nan)

    best = flat = np.full((2, len(y_VG)), np.nan)
    if len(w):
        # all versions in one call: steps of 2 between their means keep their pools apart
        raised = scipy.optimize.isotonic_regression(y / w + 2.0 * version, weights=w)
        starts = raised.blocks[:-1]
        pools = np.add.reduceat(w, starts), np.add.reduceat(y, starts)
        best = scores(*pools, version[starts])
        whole = np.flatnonzero(np.diff(version, prepend=-1))
        flat = scores(np.add.reduceat(w, whole), np.add.reduceat(y, whole), version[whole])
    return {
        "corp_brier_miscalibration": _div(brier_own - (squares_V - best[0]), total_V),
        "corp_brier_discrimination": _div(best[0] - flat[0], total_V),
        "corp_log_miscalibration": _div(log_own - best[1], total_V),
        "corp_log_discrimination": _div(flat[1] - best[1], total_V),
    }


def calibration_line(s: Sorted, sums: Sums) -> dict[str, np.ndarray]:
    """Intercept and slope [V] of the Cox regression, as `calibration_tests.cox_of_groups`."""
    conf = np.clip(s.conf_N, EPS, 1 - EPS)
    x_N = np.log(conf) - np.log1p(-conf)
    powers_N3 = np.stack([np.ones_like(x_N), x_N, x_N**2], axis=1)
    w_VN = sums.w_VN
    hits_V2 = sums.wy_VN @ powers_N3[:, :2]
    a, b = np.zeros(len(w_VN)), np.zeros(len(w_VN))

    def moments() -> tuple[np.ndarray, ...]:
        odds_VN = np.multiply.outer(-b, x_N)
        odds_VN -= a[:, None]
        with np.errstate(over="ignore"):
            np.exp(odds_VN, out=odds_VN)
        odds_VN += 1
        mean_VN = w_VN / odds_VN
        gradient = hits_V2 - mean_VN @ powers_N3[:, :2]
        mean_VN -= np.divide(mean_VN, odds_VN, out=odds_VN)
        return *gradient.T, *(mean_VN @ powers_N3).T

    for _ in range(_NEWTON_STEPS):
        g0, g1, h0, h1, h2 = moments()
        det = h0 * h2 - h1**2
        ok = det > 1e-12 * np.maximum(h0 * h2, 1e-30)
        safe = np.where(ok, det, 1.0)
        da, db = (h2 * g0 - h1 * g1) / safe, (h0 * g1 - h1 * g0) / safe
        # long steps are cut: far from the optimum the likelihood is flat, not quadratic
        cut = np.minimum(1.0, 5.0 / np.maximum(np.abs(da) + np.abs(db), 1e-30))
        a, b = np.where(ok, a + cut * da, np.nan), np.where(ok, b + cut * db, np.nan)
        moved = np.abs(da) + np.abs(db) > 1e-13 * (1 + np.abs(a) + np.abs(b))
        if not np.any(moved & ok):
            break
    g0, g1, h0, _, h2 = moments()
    total = w_VN.sum(1)
    spread = np.sqrt(h0 + h2)
    spread = np.where(spread > 0, spread, 1.0)
    flat = np.abs(g0) + np.abs(g1) <= 1e-4 * spread + 1e-9 * total
    settled = flat & (h0 > 1e-6 * total) & (np.abs(b) < 1e3)
    line = {"calibration_intercept": a, "calibration_slope": b}
    return {name: np.where(settled, x, np.nan) for name, x in line.items()}


def selective(s: Sorted, sums: Sums, names: Collection[str]) -> dict[str, np.ndarray]:
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
    for name in names:
        if name.startswith("accuracy_at_"):
            share = int(name.rsplit("_", 1)[1]) / 100
            room = np.clip(share * total[:, None] - before, 0, w_VG)
            out[name] = _div(((1 - rate) * room).sum(1), share * total)
    return out


def _digamma(x: np.ndarray) -> np.ndarray:
    """Digamma; by a table of harmonic numbers where all arguments are whole."""
    whole = np.rint(x)
    if x.size < 1000 or not np.array_equal(whole, x):
        return scipy.special.digamma(x)
    table = scipy.special.digamma(np.arange(1, int(whole.max(initial=1)) + 1))
    return table[whole.astype(np.int64) - 1]
