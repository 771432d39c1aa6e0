"""Quantile functions and log densities of the scenario language's families, float64 numpy.

Every latent is a map of a standard normal ``z``: ``x = F^-1(Phi(z))``. These are the exact forms
(scipy); the compiled kernel holds its own float32 versions and is tested against these.
Parameters outside their domain (a negative spread, a probability above one) give NaN, so that
nothing downstream can mistake them for a value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

Array = NDArray[np.float64]

HALF_LOG_TWO_PI = 0.5 * float(np.log(2.0 * np.pi))

# Argument order of each family in the graph; `share` is lowered to `beta`.
PARAMETERS: dict[str, tuple[str, ...]] = {
    "normal": ("mean", "sd"),
    "lognormal": ("median", "spread"),
    "gamma": ("mean", "shape"),
    "beta": ("a", "b"),
    "uniform": ("low", "high"),
    "wait": ("mean",),
    "robust": ("mean", "sd", "df"),
    "count": ("rate",),
    "successes": ("n", "p"),
    "yes": ("p",),
    "pick": (),
}
DISCRETE = frozenset({"count", "successes", "yes", "pick"})


def _valid(condition: Any, value: Any) -> Array:
    return np.where(condition, value, np.nan)


def _positive(*values: Array) -> Array:
    result = np.asarray(True)
    for value in values:
        result = result & (value > 0)
    return result


def _lower_and_upper(
    lower: Callable[[Array], Array], upper: Callable[[Array], Array], z: Array
) -> Array:
    """The quantile from whichever tail is smaller, so that neither tail loses digits."""
    tail = special.ndtr(-np.abs(z))
    return np.where(z < 0, lower(tail), upper(tail))


def _normal(z: Array, mean: Array, sd: Array) -> Array:
    return _valid(sd >= 0, mean + sd * z)


def _lognormal(z: Array, median: Array, spread: Array) -> Array:
    return _valid((median > 0) & (spread >= 0), median * np.exp(spread * z))


def _gamma(z: Array, mean: Array, shape: Array) -> Array:
    unit = _lower_and_upper(
        lambda tail: special.gammaincinv(shape, tail),
        lambda tail: special.gammainccinv(shape, tail),
        z,
    )
    return _valid(_positive(mean, shape), unit * mean / shape)


def _beta(z: Array, a: Array, b: Array) -> Array:
    value = _lower_and_upper(
        lambda tail: special.betaincinv(a, b, tail),
        lambda tail: 1.0 - special.betaincinv(b, a, tail),
        z,
    )
    return _valid(_positive(a, b), value)


def _uniform(z: Array, low: Array, high: Array) -> Array:
    return _valid(low <= high, low + (high - low) * special.ndtr(z))


def _wait(z: Array, mean: Array) -> Array:
    return _valid(mean > 0, -mean * special.log_ndtr(-z))


def _robust(z: Array, mean: Array, sd: Array, df: Array) -> Array:
    size = -special.stdtrit(df, special.ndtr(-np.abs(z)))
    return _valid((sd >= 0) & (df > 0), mean + sd * np.sign(z) * size)


def _count(z: Array, rate: Array) -> Array:
    u = special.ndtr(z)
    upper = np.maximum(np.ceil(special.pdtrik(u, rate)), 0.0)
    lower = np.maximum(upper - 1.0, 0.0)
    value = np.where(special.pdtr(lower, rate) >= u, lower, upper)
    return _valid(rate >= 0, np.where(rate == 0, 0.0, value))


def _successes(z: Array, n: Array, p: Array) -> Array:
    u = special.ndtr(z)
    inside = np.clip(p, 1e-300, 1.0 - 1e-16)
    upper = np.clip(np.ceil(special.bdtrik(u, n, inside)), 0.0, n)
    upper = np.where(np.isnan(upper), 0.0, upper)  # scipy answers NaN below the first mass point
    lower = np.maximum(upper - 1.0, 0.0)
    value = np.where(special.bdtr(lower, n.astype(int), inside) >= u, lower, upper)
    value = np.where(p <= 0, 0.0, np.where(p >= 1, n, value))
    return _valid((n >= 0) & (n == np.floor(n)) & (p >= 0) & (p <= 1), value)


def _yes(z: Array, p: Array) -> Array:
    return _valid((p >= 0) & (p <= 1), (special.ndtr(z) < p).astype(np.float64))


def _pick(z: Array, *weights: Array) -> Array:
    total, least = sum(weights), np.minimum.reduce(np.broadcast_arrays(*weights))
    u = special.ndtr(z) * total
    position, cumulative = np.zeros_like(u), np.asarray(0.0)
    for weight in weights[:-1]:
        cumulative = cumulative + weight
        position = position + (u >= cumulative)
    return _valid((least >= 0) & (np.asarray(total) > 0), position)


QUANTILES: dict[str, Callable[..., Array]] = {
    "normal": _normal,
    "lognormal": _lognormal,
    "gamma": _gamma,
    "beta": _beta,
    "uniform": _uniform,
    "wait": _wait,
    "robust": _robust,
    "count": _count,
    "successes": _successes,
    "yes": _yes,
    "pick": _pick,
}


def quantile(family: str, z: Array, *parameters: Array) -> Array:
    """The draw of ``family`` that belongs to standard normal ``z``: ``F^-1(Phi(z))``.

    Args:
      family: a key of `PARAMETERS`.
      z: standard normal values, any shape, float64.
      *parameters: in the order of `PARAMETERS`, broadcastable against ``z``; for ``pick`` one
        weight per member.

    Returns:
      Values with the broadcast shape; NaN where a parameter lies outside its domain.

    Example:
      >>> float(quantile("normal", np.array(1.0), np.array(50.0), np.array(15.0)))
      65.0
    """
    with np.errstate(all="ignore"):
        return np.asarray(
            QUANTILES[family](np.asarray(z), *(np.asarray(p, np.float64) for p in parameters)),
            np.float64,
        )


def _ok(family: str, parameters: list[Array]) -> Array:
    """Where all parameters lie in their domain, for the families whose generators insist on it."""
    ok = np.asarray(True)
    for parameter in parameters:
        ok = ok & np.isfinite(parameter)
    if family in ("gamma", "beta", "robust"):
        ok = ok & (parameters[-1] > 0) & (parameters[0 if family != "robust" else 2] > 0)
    elif family == "count":
        ok = ok & (parameters[0] >= 0) & (parameters[0] < 1e18)
    elif family == "successes":
        n, p = parameters
        ok = ok & (n >= 0) & (n == np.floor(n)) & (n < 1e18) & (p >= 0) & (p <= 1)
    return ok


def sample(family: str, rng: np.random.Generator, size: int, *parameters: Array) -> Array:
    """Independent draws of a family: the same law as `quantile` of standard normals, but quick.

    Args:
      family: a key of `PARAMETERS`.
      rng: source of randomness.
      size: number of draws P.
      *parameters: as in `quantile`, each scalar or [P].

    Returns:
      [P] float64; NaN where a parameter lies outside its domain.
    """
    params = [np.asarray(p, np.float64) for p in parameters]
    if family not in ("gamma", "beta", "robust", "count", "successes"):
        return np.broadcast_to(quantile(family, rng.standard_normal(size), *params), (size,))
    ok = _ok(family, params)
    safe = [np.where(ok, p, 1.0) for p in params]
    with np.errstate(all="ignore"):
        match family:
            case "gamma":
                value = rng.standard_gamma(safe[1], size) * safe[0] / safe[1]
            case "beta":
                value = rng.beta(safe[0], safe[1], size)
            case "robust":
                value = safe[0] + safe[1] * rng.standard_t(safe[2], size)
            case "count":
                value = rng.poisson(safe[0], size).astype(np.float64)
            case _:
                n = safe[0].astype(np.int64)
                value = rng.binomial(n, safe[1], size).astype(np.float64)
    return np.where(ok, value, np.nan)


def _log_normal(x: Array, mean: Array, sd: Array) -> Array:
    return _valid(sd > 0, -0.5 * ((x - mean) / sd) ** 2 - np.log(sd) - HALF_LOG_TWO_PI)


def _log_lognormal(x: Array, median: Array, spread: Array) -> Array:
    t = (np.log(x) - np.log(median)) / spread
    value = -0.5 * t * t - np.log(spread) - HALF_LOG_TWO_PI - np.log(x)
    return _valid((median > 0) & (spread > 0), np.where(x > 0, value, -np.inf))


def _log_gamma(x: Array, mean: Array, shape: Array) -> Array:
    rate = shape / mean
    value = special.xlogy(shape - 1.0, x) - rate * x + shape * np.log(rate) - special.gammaln(shape)
    return _valid(_positive(mean, shape), np.where(x >= 0, value, -np.inf))


def _log_beta(x: Array, a: Array, b: Array) -> Array:
    value = special.xlogy(a - 1.0, x) + special.xlog1py(b - 1.0, -x) - special.betaln(a, b)
    return _valid(_positive(a, b), np.where((x >= 0) & (x <= 1), value, -np.inf))


def _log_uniform(x: Array, low: Array, high: Array) -> Array:
    inside = (x >= low) & (x <= high)
    return _valid(low < high, np.where(inside, -np.log(high - low), -np.inf))


def _log_wait(x: Array, mean: Array) -> Array:
    return _valid(mean > 0, np.where(x >= 0, -x / mean - np.log(mean), -np.inf))


def _log_robust(x: Array, mean: Array, sd: Array, df: Array) -> Array:
    t = (x - mean) / sd
    value = (
        special.gammaln(0.5 * (df + 1.0))
        - special.gammaln(0.5 * df)
        - 0.5 * np.log(np.pi * df)
        - np.log(sd)
        - 0.5 * (df + 1.0) * np.log1p(t * t / df)
    )
    return _valid((sd > 0) & (df > 0), value)


def _log_count(x: Array, rate: Array) -> Array:
    value = special.xlogy(x, rate) - rate - special.gammaln(x + 1.0)
    return _valid(rate >= 0, np.where((x >= 0) & (x == np.floor(x)), value, -np.inf))


def _log_successes(x: Array, n: Array, p: Array) -> Array:
    choose = special.gammaln(n + 1.0) - special.gammaln(x + 1.0) - special.gammaln(n - x + 1.0)
    value = choose + special.xlogy(x, p) + special.xlog1py(n - x, -p)
    ok = (n >= 0) & (n == np.floor(n)) & (p >= 0) & (p <= 1)
    inside = (x >= 0) & (x <= n) & (x == np.floor(x))
    return _valid(ok, np.where(inside, value, -np.inf))


def _log_yes(x: Array, p: Array) -> Array:
    value = np.where(x == 1, np.log(p), np.where(x == 0, np.log1p(-p), -np.inf))
    return _valid((p >= 0) & (p <= 1), value)


def _log_pick(x: Array, *weights: Array) -> Array:
    total, least = sum(weights), np.minimum.reduce(np.broadcast_arrays(*weights))
    chosen = np.asarray(0.0)
    for position, weight in enumerate(weights):
        chosen = np.where(x == position, weight, chosen)
    return _valid((least >= 0) & (np.asarray(total) > 0), np.log(chosen) - np.log(total))


LOG_DENSITIES: dict[str, Callable[..., Array]] = {
    "normal": _log_normal,
    "lognormal": _log_lognormal,
    "gamma": _log_gamma,
    "beta": _log_beta,
    "uniform": _log_uniform,
    "wait": _log_wait,
    "robust": _log_robust,
    "count": _log_count,
    "successes": _log_successes,
    "yes": _log_yes,
    "pick": _log_pick,
}


def log_density(family: str, x: Array, *parameters: Array) -> Array:
    """The log density (or log probability) of an observed draw, in nats.

    Args:
      family: a key of `PARAMETERS`.
      x: observed value, broadcastable against the parameters; a position for ``pick``.
      *parameters: as in `quantile`.

    Returns:
      Log density; ``-inf`` outside the support, NaN for parameters outside their domain.

    Example:
      >>> round(float(log_density("count", np.array(2.0), np.array(3.0))), 6)
      -1.495923
    """
    with np.errstate(all="ignore"):
        arrays = [np.asarray(p, np.float64) for p in parameters]
        value = LOG_DENSITIES[family](np.asarray(x, np.float64), *arrays)
        return np.asarray(value, np.float64)
