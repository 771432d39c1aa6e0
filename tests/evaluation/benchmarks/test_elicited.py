import math

import numpy as np
import pytest
from scipy import integrate, stats

from ppt_jax.evaluation.benchmarks import elicited
from ppt_jax.evaluation.benchmarks.elicited import Forecast, Unreadable


def read(family: str, **cells: float) -> Forecast | Unreadable:
    return elicited.read_forecast(family, tuple(cells), cells.get)


DISTRIBUTIONS = [
    (Forecast("normal", 3.0, 2.0), stats.norm(3, 2)),
    (Forecast("beta", 2.5, 7.0), stats.beta(2.5, 7)),
    (Forecast("beta", 0.7, 0.6), stats.beta(0.7, 0.6)),
    (Forecast("lognormal", 0.5, 0.8), stats.lognorm(0.8, scale=math.exp(0.5))),
]


@pytest.mark.parametrize(("forecast", "oracle"), DISTRIBUTIONS)
@pytest.mark.parametrize("place", [0.02, 0.3, 0.97])
def test_scores_are_scipys(forecast, oracle, place):
    y = float(oracle.ppf(place))
    found = elicited.score([forecast], [y])
    low, high = oracle.ppf(1e-12), oracle.ppf(1 - 1e-12)
    crps = (
        integrate.quad(lambda x: oracle.cdf(x) ** 2, low, y, limit=200)[0]
        + integrate.quad(lambda x: oracle.sf(x) ** 2, y, high, limit=200)[0]
    )
    assert found.mean_N[0] == pytest.approx(oracle.mean(), rel=1e-9)
    assert found.sd_N[0] == pytest.approx(oracle.std(), rel=1e-9)
    assert found.pit_N[0] == pytest.approx(place, abs=1e-9)
    assert found.crps_N[0] == pytest.approx(crps, rel=1e-5)


def test_families_are_scored_together_in_their_order():
    forecasts = [forecast for forecast, _ in DISTRIBUTIONS]
    together = elicited.score(forecasts, [2.0, 0.3, 0.4, 1.5])
    for k, (forecast, y) in enumerate(zip(forecasts, [2.0, 0.3, 0.4, 1.5])):
        assert together.crps_N[k] == pytest.approx(elicited.score([forecast], [y]).crps_N[0])


def test_a_lognormal_scores_an_outcome_below_its_support():
    forecast = Forecast("lognormal", 0.0, 1.0)
    y = -0.7
    sample = stats.lognorm(1.0)
    tail = integrate.quad(lambda x: sample.sf(x) ** 2, 0, sample.ppf(1 - 1e-12), limit=200)[0]
    assert elicited.score([forecast], [y]).crps_N[0] == pytest.approx(-y + tail, rel=1e-5)
    assert elicited.score([forecast], [y]).pit_N[0] == 0


def test_parameters_come_before_moments_and_moments_before_quantiles():
    assert read("beta", a=2, b=3, mean=0.9, std=0.1) == Forecast("beta", 2, 3)
    assert read("beta", alpha=2, beta=3) == Forecast("beta", 2, 3)
    assert read("normal", mean=5, std=2, q5=0, q95=1) == Forecast("normal", 5, 2)
    assert read("normal", mean=5, variance=9) == Forecast("normal", 5, 3)
    assert read("lognormal", mu=1, sigma=0.5) == Forecast("lognormal", 1, 0.5)


def test_beta_moments_give_back_the_moments():
    forecast = read("beta", mean=0.2, std=0.1)
    assert isinstance(forecast, Forecast)
    assert stats.beta(forecast.first, forecast.second).mean() == pytest.approx(0.2)
    assert stats.beta(forecast.first, forecast.second).std() == pytest.approx(0.1)
    lognormal = read("lognormal", mean=4.0, std=3.0)
    assert isinstance(lognormal, Forecast)
    oracle = stats.lognorm(lognormal.second, scale=math.exp(lognormal.first))
    assert (oracle.mean(), oracle.std()) == (pytest.approx(4), pytest.approx(3))


@pytest.mark.parametrize(("forecast", "oracle"), DISTRIBUTIONS[:2] + DISTRIBUTIONS[3:])
def test_quantiles_of_a_distribution_give_it_back(forecast, oracle):
    cells = {f"q{p}": float(oracle.ppf(p / 100)) for p in (5, 25, 50, 75, 95)}
    found = read(forecast.family, **cells)
    assert isinstance(found, Forecast)
    assert found.first == pytest.approx(forecast.first, rel=1e-4)
    assert found.second == pytest.approx(forecast.second, rel=1e-4)


@pytest.mark.parametrize(
    ("family", "cells", "blank", "words"),
    [
        ("normal", {}, True, "no parameters"),
        ("normal", {"mean": 3.0}, True, "std is blank"),
        ("normal", {"mean": 3.0, "std": -1.0}, False, "std = -1"),
        ("normal", {"mean": 3.0, "std": 0.0}, False, "std = 0"),
        ("normal", {"mean": 3.0, "std": math.inf}, False, "inf"),
        ("normal", {"mean": math.nan, "std": 1.0}, False, "nan"),
        ("normal", {"mean": 3.0, "variance": -4.0}, False, "variance"),
        ("beta", {"a": 3.0}, True, "b is blank"),
        ("beta", {"a": 3.0, "b": 0.0}, False, "b = 0"),
        ("beta", {"mean": 0.5, "std": 0.6}, False, "no beta distribution"),
        ("beta", {"mean": 40.0, "std": 5.0}, False, "no beta distribution"),
        ("normal", {"q5": 4.0, "q50": 3.0, "q95": 9.0}, False, "quantiles"),
        ("beta", {"q5": 0.4, "q95": 40.0}, False, "quantiles"),
        ("weibull", {"mean": 1.0, "std": 1.0}, False, "weibull"),
    ],
)
def test_what_is_no_forecast_says_why(family, cells, blank, words):
    found = read(family, **cells)
    assert isinstance(found, Unreadable)
    assert found.blank == blank
    assert words in found.reason


def test_quartile_null_is_the_multinomials():
    n = 30
    k = np.arange(n + 1)
    exact = 100 * float(stats.binom(n, 0.25).pmf(k) @ np.abs(k / n - 0.25))
    mean, q95 = elicited.quartile_null(n, 0)
    assert mean == pytest.approx(exact, rel=0.02)
    assert q95 is not None
    assert q95 > exact
    assert elicited.quartile_null(0, 0) == (None, None)


def test_quartile_error_is_the_mean_deviation_from_a_quarter():
    pit = np.array([0.1, 0.2, 0.3, 1.0, 0.0, 0.6, 0.9, 0.4])
    trial = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    errors = elicited.quartile_error(pit, trial, 2)(np.ones((1, 8)))
    assert errors.tolist() == [[12.5, 0.0]]  # 2, 1, 0, 1 of 4 and one in each quartile
