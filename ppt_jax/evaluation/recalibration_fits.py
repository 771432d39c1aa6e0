r"""How the corrections of `recalibration` are fitted: least cross-entropy with (soft) targets.

All fits run in float64 NumPy with their gradients written out (a run fits dozens of small ones,
each of another shape), take item weights (0 is padding), and say when a parameter stopped at its
bound. Convex ones (biases, scales, mixing, logistic curves on events) find the one minimum; the
shift of a histogram and curves on distribution functions are searched.

Axes: N items, K answers, G distinct confidences.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import scipy.optimize
import scipy.special
import threadpoolctl

from ppt_jax.evaluation import scores
from ppt_jax.evaluation.recalibration import (
    LogitCurve,
    ScaleBias,
    ShiftedTemperature,
    StepCurve,
    UniformMix,
    floored,
    probs,
    shift,
)

BOUNDS = (0.05, 20.0)  # of temperatures, scales and slopes
BIAS_BOUND = 20.0  # of biases and intercepts, in nats
SHIFT_BOUND = 50.0  # of shifts, in answers
_RESTARTS = 20  # at most, of a search that still gains
_PIT_GRID = np.linspace(0, 1, 401)


def _minimise(
    loss: Callable[..., tuple[float, np.ndarray]],
    start: Sequence[float] | np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    *data: np.ndarray,
) -> tuple[np.ndarray, bool]:
    """Minimum within bounds by L-BFGS-B on the exact gradient, and whether a bound stopped it.

    Where parameters are nearly exchangeable its line search gives up early; begun again from there,
    without the memory that misled it, it goes on. Its matrices are tiny: threads of BLAS that wait
    for one another cost more than all the work.
    """
    options = {"maxiter": 1000, "maxfun": 2000, "ftol": 1e-15, "gtol": 1e-9, "maxcor": 20}
    with threadpoolctl.threadpool_limits(1, "blas"):
        x, value = np.asarray(start, np.float64), np.inf
        for _ in range(_RESTARTS):
            found = scipy.optimize.minimize(
                loss,
                x,
                args=data,
                jac=True,
                method="L-BFGS-B",
                bounds=list(zip(low, high)),
                options=options,
            )
            x, gain = found.x, value - found.fun
            value = found.fun
            if gain <= 1e-10:
                break
    near = 1e-6 * (high - low)
    return x, bool(np.any((x <= low + near) | (x >= high - near)))


def scale_bias_loss(
    x: np.ndarray, logp_NK: np.ndarray, q_NK: np.ndarray, weight_N: np.ndarray
) -> tuple[float, np.ndarray]:
    """Mean cross-entropy of ``softmax(scale * logp + bias)`` and its gradient.

    Args:
      x: one scale and K - 1 biases (the first is 0), or K scales and K - 1 biases.
      logp_NK, q_NK, weight_N: of `fit_scale_bias`.
    """
    size = logp_NK.shape[-1]
    scales = len(x) - (size - 1)
    z_NK = x[:scales] * logp_NK + np.concatenate([[0.0], x[scales:]])
    z_NK -= z_NK.max(-1, keepdims=True)
    e_NK = np.exp(z_NK)
    total_N1 = e_NK.sum(-1, keepdims=True)
    w_N1 = (weight_N / weight_N.sum())[:, None]
    mass_NK = w_N1 * q_NK
    mass_N1 = mass_NK.sum(-1, keepdims=True)
    slope_NK = e_NK * (mass_N1 / total_N1) - mass_NK
    per_scale_K = (slope_NK * logp_NK).sum(0)
    per_scale = per_scale_K if scales == size else per_scale_K.sum(keepdims=True)
    slope = np.concatenate([per_scale, slope_NK.sum(0)[1:]])
    return float((mass_N1 * np.log(total_N1)).sum() - (mass_NK * z_NK).sum()), slope


def fit_scale_bias(
    logp_NK: np.ndarray, q_NK: np.ndarray, weight_N: np.ndarray, *, vector: bool
) -> ScaleBias:
    """Bias-corrected temperature (one scale), or vector scaling (a scale for every answer).

    Convex in scales and biases; the first bias is 0. All N items have the same K answers.

    Args:
      logp_NK: log-probabilities of the answers, all real.
      q_NK: targets.
      weight_N: item weights.
      vector: a scale for every answer rather than one.
    """
    size = logp_NK.shape[-1]
    scales = size if vector else 1
    low = np.concatenate([np.full(scales, 1 / BOUNDS[1]), np.full(size - 1, -BIAS_BOUND)])
    high = np.concatenate([np.full(scales, 1 / BOUNDS[0]), np.full(size - 1, BIAS_BOUND)])
    start = np.concatenate([np.ones(scales), np.zeros(size - 1)])
    x, at_bound = _minimise(scale_bias_loss, start, low, high, floored(logp_NK), q_NK, weight_N)
    bias = np.concatenate([[0.0], x[scales:]])
    n = int((weight_N > 0).sum())
    return ScaleBias(x[:scales] if vector else x[0], bias, n, at_bound)


def fit_shifted_temperature(
    logp_NK: np.ndarray, q_NK: np.ndarray, weight_N: np.ndarray, rounds: int = 4
) -> ShiftedTemperature:
    """Temperature and shift of ordered histograms, by turns: whole shifts first, then fine ones.

    Not convex in the shift, so every whole shift within `SHIFT_BOUND` is tried at the best
    temperature before the two are refined.
    """
    log_NK, target_NK = floored(logp_NK), (weight_N / weight_N.sum())[:, None] * q_NK

    def tempered(log_t: float) -> np.ndarray:
        return scipy.special.softmax(log_NK / np.exp(log_t), axis=-1)

    def loss(p_NK: np.ndarray, places: float) -> float:
        return float(-(target_NK * np.log(np.maximum(shift(p_NK, places), scores.EPS))).sum())

    ends = np.log(BOUNDS[0]), np.log(BOUNDS[1])
    precise = {"xatol": 1e-7}
    reach = min(SHIFT_BOUND, logp_NK.shape[-1] - 1)
    log_t, places = 0.0, 0.0
    trials = np.arange(-reach, reach + 1)
    for turn in range(rounds):
        log_t = scipy.optimize.minimize_scalar(
            lambda t: loss(tempered(t), places),  # noqa: B023
            bounds=ends,
            method="bounded",
            options=precise,
        ).x
        p_NK = tempered(log_t)
        if turn == 0:
            places = float(trials[np.argmin([loss(p_NK, s) for s in trials])])
            continue
        places = float(
            scipy.optimize.minimize_scalar(
                lambda s: loss(p_NK, s),  # noqa: B023
                bounds=(max(-reach, places - 1), min(reach, places + 1)),
                method="bounded",
                options=precise,
            ).x
        )
    stuck = min(log_t - ends[0], ends[1] - log_t) < 1e-4 or reach - abs(places) < 1e-4
    return ShiftedTemperature(float(np.exp(log_t)), places, int((weight_N > 0).sum()), bool(stuck))


def fit_uniform_mix(logp_NK: np.ndarray, q_NK: np.ndarray, weight_N: np.ndarray) -> UniformMix:
    """Share of the uniform distribution that minimises the cross-entropy, which is convex in it.

    A share of 0 is no bound that hides a better one, so only a share of 1 counts as at the bound.
    """
    flat, p_NK = 1 / logp_NK.shape[-1], probs(logp_NK)
    pull_NK = weight_N[:, None] * q_NK * (flat - p_NK)

    def slope(share: float) -> float:  # rises with the share: convex
        return -float((pull_NK / np.maximum((1 - share) * p_NK + share * flat, 1e-30)).sum())

    if slope(0.0) >= 0:
        share = 0.0
    elif slope(1.0) <= 0:
        share = 1.0
    else:
        share = scipy.optimize.brentq(slope, 0.0, 1.0, xtol=1e-14)
    return UniformMix(share, int((weight_N > 0).sum()), share > 1 - 1e-9)


def _curve_logit(x: np.ndarray, log: np.ndarray, log1m: np.ndarray) -> np.ndarray:
    a, b = (x[0], x[0]) if len(x) == 2 else (x[0], x[1])
    return a * log - b * log1m + x[-1]


def _curve_slope(
    x: np.ndarray, slope: np.ndarray, log: np.ndarray, log1m: np.ndarray
) -> np.ndarray:
    """Gradient in (a, b, m), or (a = b, m), from that in the logits."""
    a, b, m = (slope * log).sum(), -(slope * log1m).sum(), slope.sum()
    return np.array([a + b, m] if len(x) == 2 else [a, b, m])


def event_loss(
    x: np.ndarray, conf_N: np.ndarray, y_N: np.ndarray, weight_N: np.ndarray
) -> tuple[float, np.ndarray]:
    """Mean cross-entropy of events under the curve ``x = (a, b, m)`` or ``(a, m)``; gradient."""
    log, log1m, w_N = np.log(conf_N), np.log1p(-conf_N), weight_N / weight_N.sum()
    logit = _curve_logit(x, log, log1m)
    loss = (w_N * (np.logaddexp(0, logit) - y_N * logit)).sum()
    return float(loss), _curve_slope(x, w_N * (scipy.special.expit(logit) - y_N), log, log1m)


def ordered_loss(
    x: np.ndarray, below_NK: np.ndarray, q_NK: np.ndarray, weight_N: np.ndarray
) -> tuple[float, np.ndarray]:
    """Mean cross-entropy of histograms whose distribution functions take the curve; gradient.

    Args:
      x: (a, b, m), or (a, m) with b = a.
      below_NK: distribution function at all answers but the last, inside (0, 1).
      q_NK, weight_N: targets over all answers, item weights.
    """
    log, log1m, w_N1 = np.log(below_NK), np.log1p(-below_NK), (weight_N / weight_N.sum())[:, None]
    moved = scipy.special.expit(_curve_logit(x, log, log1m))
    steps = np.diff(moved, axis=-1, prepend=0.0, append=1.0)
    floor = np.maximum(steps, scores.EPS)
    per_step = np.where(steps > scores.EPS, -w_N1 * q_NK / floor, 0.0)
    slope = (per_step[:, :-1] - per_step[:, 1:]) * moved * (1 - moved)
    return float(-(w_N1 * q_NK * np.log(floor)).sum()), _curve_slope(x, slope, log, log1m)


def fit_logit_curve(
    conf_N: np.ndarray, y_N: np.ndarray, weight_N: np.ndarray, *, platt: bool
) -> LogitCurve:
    """Platt scaling (``a = b``) or beta calibration of confidences against (soft) outcomes.

    Slopes are held within [0, 20] so that the curve never falls, the intercept within +-20.
    """
    conf = np.clip(np.asarray(conf_N, np.float64), scores.EPS, 1 - scores.EPS)
    return _logit_curve(event_loss, platt, weight_N, conf, y_N, weight_N)


def fit_logit_curve_ordered(
    logp_NK: np.ndarray, q_NK: np.ndarray, weight_N: np.ndarray, *, platt: bool
) -> LogitCurve:
    """The curve whose ``F' = g(F)`` has the least cross-entropy with target histograms."""
    below = np.clip(np.cumsum(probs(logp_NK), axis=-1)[:, :-1], scores.EPS, 1 - scores.EPS)
    return _logit_curve(ordered_loss, platt, weight_N, below, q_NK, weight_N)


def _logit_curve(
    loss: Callable[..., tuple[float, np.ndarray]],
    platt: bool,
    weight_N: np.ndarray,
    *data: np.ndarray,
) -> LogitCurve:
    slopes = 1 if platt else 2
    low = np.array([0.0] * slopes + [-BIAS_BOUND])
    high = np.array([BOUNDS[1]] * slopes + [BIAS_BOUND])
    x, at_bound = _minimise(loss, [1.0] * slopes + [0.0], low, high, *data)
    a, b = (x[0], x[0]) if platt else (x[0], x[1])
    return LogitCurve(float(a), float(b), float(x[-1]), int((weight_N > 0).sum()), at_bound)


def fit_isotonic(conf_N: np.ndarray, y_N: np.ndarray, weight_N: np.ndarray) -> StepCurve:
    """Isotonic regression of outcomes on confidences (PAV, ties first averaged), linear between."""
    keep = np.asarray(weight_N) > 0
    knots, group = np.unique(np.asarray(conf_N, np.float64)[keep], return_inverse=True)
    weight = np.bincount(group, weight_N[keep])
    mean = np.bincount(group, (weight_N * y_N)[keep]) / weight
    values = scipy.optimize.isotonic_regression(mean, weights=weight).x
    return StepCurve(knots, np.clip(values, 0, 1), True, int(keep.sum()))


def fit_histogram(
    conf_N: np.ndarray, y_N: np.ndarray, weight_N: np.ndarray, bins: int = 15
) -> StepCurve:
    """Histogram binning: the mean outcome of each bin of equal weight (ties never split)."""
    keep = np.asarray(weight_N) > 0
    knots, group = np.unique(np.asarray(conf_N, np.float64)[keep], return_inverse=True)
    weight = np.bincount(group, weight_N[keep])
    middle = (np.cumsum(weight) - weight / 2) / weight.sum()
    index = np.clip(np.floor(middle * bins + 1e-6), 0, bins - 1).astype(int)
    used, index = np.unique(index, return_inverse=True)
    mass = np.bincount(index, weight)
    value = np.bincount(index, np.bincount(group, (weight_N * y_N)[keep])) / mass
    first = np.array([knots[index == b][0] for b in range(len(used))])
    last = np.array([knots[index == b][-1] for b in range(len(used))])
    edges = np.concatenate([[0.0], 0.5 * (last[:-1] + first[1:])])
    return StepCurve(edges, value, False, int(keep.sum()))


def fit_pit_curve(logp_NK: np.ndarray, q_NK: np.ndarray, weight_N: np.ndarray) -> StepCurve:
    """The distribution function of the PIT: g of ``F' = g(F)`` without a parametric form.

    ``g(u) = mean_i P_{y ~ q_i}(PIT_i(y) <= u)``, non-randomised PIT of discrete answers. One
    calibrated item is added (``g(u) = u``), so that no answer becomes impossible.
    """
    p_NK = probs(logp_NK)
    high = np.clip(np.cumsum(p_NK, axis=-1), 0, 1)
    low = high - p_NK
    weight = (weight_N / weight_N.sum())[:, None] * q_NK
    g = np.zeros_like(_PIT_GRID)
    width = np.maximum(p_NK, 1e-12)
    for place, u in enumerate(_PIT_GRID):
        g[place] = np.sum(weight * np.clip((u - low) / width, 0, 1))
    n = weight_N.sum()
    g = (n * g + _PIT_GRID) / (n + 1)
    g[0], g[-1] = 0.0, 1.0
    return StepCurve(_PIT_GRID, np.maximum.accumulate(g), True, int((weight_N > 0).sum()))
