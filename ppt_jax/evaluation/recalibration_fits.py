r"""How the corrections of `recalibration` are fitted: least cross-entropy with (soft) targets.

All fits run in float64 on the host's choice of device, take item weights (0 is padding), and say
when a parameter stopped at its bound. Convex ones (temperature, biases, scales, mixing, logistic
curves on events) find the one minimum; the shift of a histogram and curves on distribution
functions are searched.

Axes: N items, K answers, G distinct confidences.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize

from ppt_jax.evaluation import scores
from ppt_jax.evaluation.recalibration import (
    LogitCurve,
    ScaleBias,
    ShiftedTemperature,
    StepCurve,
    UniformMix,
    floored,
    probs,
    scale_and_bias,
    shift,
)

BOUNDS = (0.05, 20.0)  # of temperatures, scales and slopes
BIAS_BOUND = 20.0  # of biases and intercepts, in nats
SHIFT_BOUND = 50.0  # of shifts, in answers
_PIT_GRID = np.linspace(0, 1, 401)


def _cross_entropy(p_NK: jax.Array, q_NK: jax.Array, weight_N: jax.Array) -> jax.Array:
    return scores.weighted_mean(scores.cross_entropy(p_NK, q_NK), weight_N)


def _minimise(
    loss: Callable[..., jax.Array],
    start: Sequence[float] | np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    *data: np.ndarray,
) -> tuple[np.ndarray, bool]:
    """Minimum within bounds by L-BFGS-B on the exact gradient, and whether a bound stopped it."""
    arrays = [jnp.asarray(x) for x in data]

    def both(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = loss(jnp.asarray(x), *arrays)
        return float(value), np.asarray(slope, np.float64)

    found = scipy.optimize.minimize(
        both,
        np.asarray(start, np.float64),
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(low, high)),
        options={"maxiter": 1000, "maxfun": 2000, "ftol": 1e-15, "gtol": 1e-9, "maxcor": 30},
    )
    near = 1e-6 * (high - low)
    return found.x, bool(np.any((found.x <= low + near) | (found.x >= high - near)))


@jax.jit
@jax.value_and_grad
def _scale_bias_loss(
    x: jax.Array, logp_NK: jax.Array, q_NK: jax.Array, weight_N: jax.Array
) -> jax.Array:
    # one scale and K - 1 biases (the first is 0), or K scales and K - 1 biases
    size = logp_NK.shape[-1]
    scale = x[0] if x.shape[0] == size else x[:size]
    bias = jnp.concatenate([jnp.zeros(1, x.dtype), x[-(size - 1) :]])
    return _cross_entropy(scale_and_bias(logp_NK, scale, bias), q_NK, weight_N)


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
    with jax.enable_x64(True):
        x, at_bound = _minimise(
            _scale_bias_loss, start, low, high, floored(logp_NK), q_NK, weight_N
        )
    bias = np.concatenate([[0.0], x[scales:]])
    n = int((weight_N > 0).sum())
    return ScaleBias(x[:scales] if vector else x[0], bias, n, at_bound)


@jax.jit
def _shift_loss(
    temperature: jax.Array,
    places: jax.Array,
    logp_NK: jax.Array,
    q_NK: jax.Array,
    weight_N: jax.Array,
) -> jax.Array:
    p_NK = scores.temper(logp_NK, temperature)
    return _cross_entropy(shift(p_NK, places), q_NK, weight_N)


def fit_shifted_temperature(
    logp_NK: np.ndarray, q_NK: np.ndarray, weight_N: np.ndarray, rounds: int = 4
) -> ShiftedTemperature:
    """Temperature and shift of ordered histograms, by turns: whole shifts first, then fine ones.

    Not convex in the shift, so every whole shift within `SHIFT_BOUND` is tried at the best
    temperature before the two are refined.
    """
    with jax.enable_x64(True):
        data = tuple(jnp.asarray(x) for x in (floored(logp_NK), q_NK, weight_N))

        def loss(log_t: float, places: float) -> float:
            return float(_shift_loss(jnp.asarray(np.exp(log_t)), jnp.asarray(places), *data))

        ends = np.log(BOUNDS[0]), np.log(BOUNDS[1])
        precise = {"xatol": 1e-7}
        reach = min(SHIFT_BOUND, logp_NK.shape[-1] - 1)
        log_t, places = 0.0, 0.0
        trials = np.arange(-reach, reach + 1)
        for turn in range(rounds):
            log_t = scipy.optimize.minimize_scalar(
                lambda t: loss(t, places),  # noqa: B023
                bounds=ends,
                method="bounded",
                options=precise,
            ).x
            if turn == 0:
                places = float(trials[np.argmin([loss(log_t, s) for s in trials])])
                continue
            places = float(
                scipy.optimize.minimize_scalar(
                    lambda s: loss(log_t, s),  # noqa: B023
                    bounds=(max(-reach, places - 1), min(reach, places + 1)),
                    method="bounded",
                    options=precise,
                ).x
            )
    stuck = min(log_t - ends[0], ends[1] - log_t) < 1e-4 or reach - abs(places) < 1e-4
    return ShiftedTemperature(float(np.exp(log_t)), places, int((weight_N > 0).sum()), bool(stuck))


@functools.partial(jax.jit, static_argnames="steps")
def _mixing_share(
    p_NK: jax.Array, q_NK: jax.Array, weight_N: jax.Array, steps: int = 60
) -> jax.Array:
    flat = 1 / p_NK.shape[-1]

    def slope(share: jax.Array) -> jax.Array:
        mixed = (1 - share) * p_NK + share * flat
        each = q_NK * (flat - p_NK) / jnp.maximum(mixed, 1e-30)
        return -jnp.sum(weight_N * jnp.sum(each, axis=-1))  # rises with the share: convex

    def halve(_: int, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = ends
        middle = 0.5 * (low + high)
        rising = slope(middle) > 0
        return jnp.where(rising, low, middle), jnp.where(rising, middle, high)

    one = jnp.ones((), p_NK.dtype)
    low, high = jax.lax.fori_loop(0, steps, halve, (0 * one, one))
    return 0.5 * (low + high)


def fit_uniform_mix(logp_NK: np.ndarray, q_NK: np.ndarray, weight_N: np.ndarray) -> UniformMix:
    """Share of the uniform distribution that minimises the cross-entropy (convex, bisection).

    A share of 0 is no bound that hides a better one, so only a share of 1 counts as at the bound.
    """
    with jax.enable_x64(True):
        columns = (probs(logp_NK), q_NK, weight_N)
        share = float(_mixing_share(*(jnp.asarray(x) for x in columns)))
    share = 0.0 if share < 1e-12 else share
    return UniformMix(share, int((weight_N > 0).sum()), share > 1 - 1e-9)


def _curve_logit(x: jax.Array, conf: jax.Array) -> jax.Array:
    return x[0] * jnp.log(conf) - x[1] * jnp.log1p(-conf) + x[2]


@jax.jit
@jax.value_and_grad
def _event_loss(x: jax.Array, conf_N: jax.Array, y_N: jax.Array, weight_N: jax.Array) -> jax.Array:
    x = x if x.shape[0] == 3 else x[jnp.array([0, 0, 1])]
    logit = _curve_logit(x, conf_N)
    return scores.weighted_mean(jax.nn.softplus(logit) - y_N * logit, weight_N)


@jax.jit
@jax.value_and_grad
def _ordered_loss(
    x: jax.Array, below_NK: jax.Array, q_NK: jax.Array, weight_N: jax.Array
) -> jax.Array:
    x = x if x.shape[0] == 3 else x[jnp.array([0, 0, 1])]
    moved = jax.nn.sigmoid(_curve_logit(x, below_NK))
    ends = [(0, 0)] * (moved.ndim - 1)
    steps = jnp.diff(jnp.pad(jnp.pad(moved, [*ends, (1, 0)]), [*ends, (0, 1)], constant_values=1.0))
    return _cross_entropy(steps, q_NK, weight_N)


def fit_logit_curve(
    conf_N: np.ndarray, y_N: np.ndarray, weight_N: np.ndarray, *, platt: bool
) -> LogitCurve:
    """Platt scaling (``a = b``) or beta calibration of confidences against (soft) outcomes.

    Slopes are held within [0, 20] so that the curve never falls, the intercept within +-20.
    """
    conf = np.clip(np.asarray(conf_N, np.float64), scores.EPS, 1 - scores.EPS)
    return _logit_curve(_event_loss, platt, weight_N, conf, y_N, weight_N)


def fit_logit_curve_ordered(
    logp_NK: np.ndarray, q_NK: np.ndarray, weight_N: np.ndarray, *, platt: bool
) -> LogitCurve:
    """The curve whose ``F' = g(F)`` has the least cross-entropy with target histograms."""
    below = np.clip(np.cumsum(probs(logp_NK), axis=-1)[:, :-1], scores.EPS, 1 - scores.EPS)
    return _logit_curve(_ordered_loss, platt, weight_N, below, q_NK, weight_N)


def _logit_curve(
    loss: Callable[..., jax.Array], platt: bool, weight_N: np.ndarray, *data: np.ndarray
) -> LogitCurve:
    slopes = 1 if platt else 2
    low = np.array([0.0] * slopes + [-BIAS_BOUND])
    high = np.array([BOUNDS[1]] * slopes + [BIAS_BOUND])
    with jax.enable_x64(True):
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
