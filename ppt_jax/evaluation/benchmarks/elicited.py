"""Forecasts that people or models gave in words: parameters, mean and sd, or quantiles.

`read_forecast` turns the cells of one answer into a normal, beta or log-normal forecast, or says
why it is none. `Forecasts` holds many and scores them with `ppt_jax.evaluation.continuous`.

Axes: N answers, T trials, Q quartiles, R replicates.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from scipy import optimize, special

from ppt_jax.evaluation import continuous

FAMILIES = ("normal", "beta", "lognormal")
_ALIASES = {"gaussian": "normal", "binomial": "beta", "log-normal": "lognormal"}
_SD_COLUMNS = ("std", "sd", "std_dev", "stdev")
_QUANTILE = re.compile(r"^[qp](\d+(?:\.\d+)?)$")

Number = Callable[[str], float | None]  # a column's number: None blank, NaN or inf unreadable


@dataclasses.dataclass(frozen=True)
class Forecast:
    """One forecast.

    Attributes:
      family: ``normal`` (mean, sd), ``beta`` (a, b) or ``lognormal`` (mu, sigma of the logarithm).
      first, second: its two parameters.
    """

    family: str
    first: float
    second: float


@dataclasses.dataclass(frozen=True)
class Unreadable:
    """Why an answer is no forecast.

    Attributes:
      reason: one clause for messages.
      blank: something was left out (as opposed to numbers that describe no distribution).
    """

    reason: str
    blank: bool


def family_of(name: str) -> str:
    """The family that a name stands for, in lower case: ``Gaussian`` is ``normal``."""
    name = name.strip().lower()
    return _ALIASES.get(name, name)


def _positive(values: Sequence[float | None]) -> bool:
    return all(x is not None and math.isfinite(x) and x > 0 for x in values)


def _given(number: Number, columns: Sequence[str]) -> tuple[str, float] | None:
    for column in columns:
        if (value := number(column)) is not None:
            return column, value
    return None


def _quantiles(number: Number, columns: Sequence[str]) -> tuple[list[float], list[float]]:
    """Levels and values of the quantile columns (``q5``, ``p95``) that are not blank."""
    found = []
    for column in columns:
        match = _QUANTILE.match(column)
        value = number(column) if match else None
        if match and value is not None and 0 < float(match.group(1)) < 100:
            found.append((float(match.group(1)) / 100, value))
    found.sort()
    return [level for level, _ in found], [value for _, value in found]


def _fit_quantiles(family: str, levels: Sequence[float], values: Sequence[float]) -> Forecast:
    """The forecast whose quantiles are nearest to the given ones, least squares.

    Normal and log-normal: the regression of the values (their logarithms) on normal quantiles,
    exact. Beta: numerical, over the logarithms of both shapes.
    """
    level, value = np.asarray(levels), np.asarray(values)
    if family in ("normal", "lognormal"):
        y = np.log(value) if family == "lognormal" else value
        slope, intercept = np.polyfit(special.ndtri(level), y, 1)
        return Forecast(family, float(intercept), float(slope))
    centre = float(np.clip(np.interp(0.5, level, value), 1e-3, 1 - 1e-3))
    spread = max(
        (value[-1] - value[0]) / (special.ndtri(level[-1]) - special.ndtri(level[0])), 1e-4
    )
    total = max(centre * (1 - centre) / spread**2 - 1, 2.0)

    def misfit(log_shapes: np.ndarray) -> np.ndarray:
        a, b = np.exp(np.clip(log_shapes, -7, 16))
        return special.betaincinv(a, b, level) - value

    start = np.log([centre * total, (1 - centre) * total])
    found = optimize.least_squares(misfit, start, x_scale=1.0, ftol=1e-12, xtol=1e-12, gtol=1e-12)
    a, b = np.exp(np.clip(found.x, -7, 16))
    return Forecast("beta", float(a), float(b))


def read_forecast(family: str, columns: Sequence[str], number: Number) -> Forecast | Unreadable:
    """The forecast that the cells of one answer give.

    Looked for in this order: the family's own parameters (``mean`` and ``std``, ``a`` and ``b``,
    ``mu`` and ``sigma``), mean with sd or ``variance``, quantiles (``q5``, ``q25``, ...).

    Args:
      family: see `FAMILIES`.
      columns: the columns that exist, lower case.
      number: reads a column.

    Returns:
      A forecast with finite parameters and positive spread, or why there is none.
    """
    if family not in FAMILIES:
        return Unreadable(f"distribution {family!r} is none of {', '.join(FAMILIES)}", blank=False)
    if family != "normal":
        pair = (("a", "alpha"), ("b", "beta")) if family == "beta" else (("mu",), ("sigma",))
        first, second = (_given(number, names) for names in pair)
        if first is not None or second is not None:
            if first is None or second is None:
                lacks = pair[0][0] if first is None else pair[1][0]
                return Unreadable(f"{lacks} is blank", blank=True)
            whole = [second[1]] if family == "lognormal" else [first[1], second[1]]
            if not math.isfinite(first[1]) or not _positive(whole):
                return Unreadable(
                    f"{pair[0][0]} = {first[1]:g}, {pair[1][0]} = {second[1]:g} describe no "
                    f"{family} distribution",
                    blank=False,
                )
            return Forecast(family, first[1], second[1])
    mean, sd = number("mean"), _given(number, _SD_COLUMNS)
    if sd is None and (variance := _given(number, ("variance", "var"))) is not None:
        sd = ("sqrt(variance)", math.sqrt(variance[1]) if variance[1] >= 0 else math.nan)
    if mean is not None and sd is not None:
        if not math.isfinite(mean) or not _positive([sd[1]]):
            return Unreadable(f"mean = {mean:g}, {sd[0]} = {sd[1]:g} describe no forecast", False)
        return _from_moments(family, mean, sd[1])
    levels, values = _quantiles(number, columns)
    if values:
        text = ", ".join(f"{100 * p:g}%: {v:g}" for p, v in zip(levels, values))
        rising = all(a <= b for a, b in itertools.pairwise(values)) and values[0] < values[-1]
        inside = family == "normal" or (values[0] >= 0 and (family != "beta" or values[-1] <= 1))
        inside = inside and not (family == "lognormal" and values[0] <= 0)
        if len(values) < 2 or not all(map(math.isfinite, values)) or not rising or not inside:
            return Unreadable(f"quantiles {text} describe no {family} forecast", blank=False)
        return _fit_quantiles(family, levels, values)
    if mean is not None or sd is not None:
        return Unreadable("std is blank" if sd is None else "mean is blank", blank=True)
    return Unreadable("no parameters given", blank=True)


def _from_moments(family: str, mean: float, sd: float) -> Forecast | Unreadable:
    if family == "normal":
        return Forecast(family, mean, sd)
    if family == "lognormal":
        if mean <= 0:
            return Unreadable(f"mean = {mean:g} of a lognormal must be positive", blank=False)
        variance = math.log1p((sd / mean) ** 2)
        return Forecast(family, math.log(mean) - variance / 2, math.sqrt(variance))
    if not 0 < mean < 1 or sd**2 >= mean * (1 - mean):
        return Unreadable(f"no beta distribution has mean {mean:g} and std {sd:g}", blank=False)
    total = mean * (1 - mean) / sd**2 - 1
    return Forecast(family, mean * total, (1 - mean) * total)


@dataclasses.dataclass(frozen=True, eq=False)
class Scores:
    """Scores of N forecasts against N outcomes, float64.

    Attributes:
      mean_N, sd_N: of the forecasts.
      pit_N: distribution function at the outcome.
      crps_N: in the unit of the outcome.
    """

    mean_N: np.ndarray
    sd_N: np.ndarray
    pit_N: np.ndarray
    crps_N: np.ndarray


def score(forecasts: Sequence[Forecast], outcomes: Sequence[float]) -> Scores:
    """Mean, sd, PIT and CRPS of every forecast; families may be mixed.

    Log-normal CRPS: ``y (2 F(y) - 1) - 2 m (Phi(w - sigma) + Phi(sigma / sqrt 2) - 1)`` with
    ``m`` the mean and ``w = (log y - mu) / sigma`` (Baran & Lerch 2015); y may be 0 or less.
    """
    out = np.full((4, len(forecasts)), np.nan)
    y_all = np.asarray(outcomes, np.float64)
    for family in FAMILIES:
        at = np.array([k for k, f in enumerate(forecasts) if f.family == family], dtype=np.int64)
        if not len(at):
            continue
        first = np.array([forecasts[k].first for k in at])
        second = np.array([forecasts[k].second for k in at])
        y = y_all[at]
        if family == "lognormal":
            out[:, at] = _score_lognormal(first, second, y)
            continue
        spare = (1 << (len(at) - 1).bit_length()) - len(at)  # few sizes, so few compilations
        kind = continuous.Normal if family == "normal" else continuous.Beta
        with jax.enable_x64(True):
            columns = [jnp.asarray(np.pad(x, (0, spare), mode="edge")) for x in (first, second, y)]
            scored = _four_scores(kind(*columns[:2]), columns[2])
            out[:, at] = np.asarray(scored)[:, : len(at)]
    return Scores(*out)


@jax.jit
def _four_scores(forecast: continuous.Forecast, y_N: jax.Array) -> jax.Array:
    return jnp.stack(
        [
            continuous.mean(forecast),
            continuous.sd(forecast),
            continuous.cdf(forecast, y_N),
            continuous.crps(forecast, y_N),
        ]
    )


def _score_lognormal(mu: np.ndarray, sigma: np.ndarray, y: np.ndarray) -> np.ndarray:
    mean = np.exp(mu + sigma**2 / 2)
    sd = mean * np.sqrt(np.expm1(sigma**2))
    w = (np.log(np.where(y > 0, y, 1.0)) - mu) / sigma
    cdf = np.where(y > 0, special.ndtr(w), 0.0)
    shifted = np.where(y > 0, special.ndtr(w - sigma), 0.0)
    crps = y * (2 * cdf - 1) - 2 * mean * (shifted + special.ndtr(sigma / np.sqrt(2)) - 1)
    return np.stack([mean, sd, cdf, crps])


def quartile_error(
    pit_N: np.ndarray, trial_N: np.ndarray, trials: int
) -> Callable[[np.ndarray], np.ndarray]:
    """Function of weights [R, N] that gives per trial the mean |share - 25| in points [R, T]."""
    quartile_N = np.clip((pit_N * 4).astype(np.int64), 0, 3)
    member_NTQ = np.zeros((len(pit_N), trials, 4))
    member_NTQ[np.arange(len(pit_N)), trial_N, quartile_N] = 1.0
    flat = member_NTQ.reshape(len(pit_N), trials * 4)

    def error(weights_RN: np.ndarray) -> np.ndarray:
        counts_RTQ = (weights_RN @ flat).reshape(-1, trials, 4)
        share = counts_RTQ / counts_RTQ.sum(axis=2, keepdims=True)
        return 100 * np.abs(share - 0.25).mean(axis=2)

    return error


def quartile_null(n: int, seed: int) -> tuple[float | None, float | None]:
    """Mean and 95% quantile of the quartile error when n independent PITs are uniform.

    The trials of a model share their questions and mostly their errors; the null draws one PIT a
    question, as if the trials agreed, so its 95% quantile is on the safe side.
    """
    if not n:
        return None, None
    counts = np.random.default_rng([seed, 2]).multinomial(n, [0.25] * 4, 20_000)
    errors = 100 * np.abs(counts / n - 0.25).mean(axis=1)
    return float(errors.mean()), float(np.quantile(errors, 0.95))


def mean_over_trials(errors_RT: np.ndarray) -> np.ndarray:
    """Mean [R] over the trials that a replicate has."""
    known = np.isfinite(errors_RT)
    with np.errstate(invalid="ignore"):
        return np.where(known, errors_RT, 0.0).sum(axis=1) / known.sum(axis=1)


def spread_over_trials(errors_RT: np.ndarray) -> np.ndarray:
    """Standard deviation [R] (n - 1) over the trials that a replicate has; NaN below two."""
    known = np.isfinite(errors_RT)
    gap = np.where(known, errors_RT - mean_over_trials(errors_RT)[:, None], 0.0)
    count = known.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count > 1, np.sqrt((gap**2).sum(axis=1) / (count - 1)), np.nan)
