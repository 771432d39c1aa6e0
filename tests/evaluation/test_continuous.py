from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import scoringrules
from hypothesis import given, settings
from hypothesis import strategies as st

from ppt_jax.evaluation import continuous
from ppt_jax.evaluation.continuous import Beta, Normal

LEVELS = jnp.array([0.5, 0.8, 0.9, 0.95])


@pytest.fixture(autouse=True)
def _float64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def forecasts(seed: int, n: int = 40) -> tuple[Normal, Beta, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    normal = Normal(jnp.asarray(rng.normal(size=n) * 5), jnp.asarray(rng.gamma(2, 1, n)))
    beta = Beta(jnp.asarray(rng.gamma(2, 2, n) + 0.2), jnp.asarray(rng.gamma(2, 2, n) + 0.2))
    return normal, beta, rng.normal(size=n) * 6, rng.random(n)


def test_known_values() -> None:
    at_zero = continuous.crps(Normal(jnp.array(0.0), jnp.array(1.0)), jnp.array(0.0))
    np.testing.assert_allclose(at_zero, (2**0.5 - 1) / np.pi**0.5, rtol=1e-12)
    y = jnp.linspace(0, 1, 11)
    uniform = Beta(jnp.ones(11), jnp.ones(11))
    np.testing.assert_allclose(continuous.crps(uniform, y), (y**3 + (1 - y) ** 3) / 3, rtol=1e-12)
    # beyond the support the score grows by the distance
    outside = continuous.crps(Beta(jnp.ones(2), jnp.ones(2)), jnp.array([-0.5, 1.5]))
    np.testing.assert_allclose(outside, 1 / 3 + 0.5, rtol=1e-12)


def test_agreement_with_scipy_and_scoringrules() -> None:
    normal, beta, y, u = forecasts(0)
    for own, other, at in (
        (normal, scipy.stats.norm(normal.mean, normal.sd), y),
        (beta, scipy.stats.beta(beta.a, beta.b), u),
    ):
        np.testing.assert_allclose(continuous.pit(own, at), other.cdf(at), rtol=1e-9)
        np.testing.assert_allclose(continuous.log_score(own, at), -other.logpdf(at), rtol=1e-9)
        np.testing.assert_allclose(continuous.mean(own), other.mean(), rtol=1e-9)
        np.testing.assert_allclose(continuous.sd(own), other.std(), rtol=1e-9)
        np.testing.assert_allclose(
            continuous.quantile(own, 0.9), other.ppf(0.9), rtol=1e-9, atol=1e-12
        )
        for place, level in enumerate(LEVELS):
            low, high = other.interval(float(level))
            inside = continuous.coverage(own, at, LEVELS)[:, place]
            np.testing.assert_array_equal(inside, (low <= at) & (at <= high))
            np.testing.assert_allclose(
                continuous.central_interval(own, float(level)), (low, high), atol=1e-9
            )
    np.testing.assert_allclose(
        continuous.crps(normal, y),
        scoringrules.crps_normal(y, np.asarray(normal.mean), np.asarray(normal.sd)),
        rtol=1e-10,
    )
    np.testing.assert_allclose(
        continuous.crps(beta, u),
        scoringrules.crps_beta(u, np.asarray(beta.a), np.asarray(beta.b)),
        rtol=1e-8,
    )


def test_beta_from_mean_and_sd_and_impossible_ones() -> None:
    _, beta, _, _ = forecasts(1)
    again = continuous.beta_from_mean_sd(continuous.mean(beta), continuous.sd(beta))
    np.testing.assert_allclose(again.a, beta.a, rtol=1e-9)
    np.testing.assert_allclose(again.b, beta.b, rtol=1e-9)
    mean, sd = jnp.array([0.5, 1.2, 0.3, jnp.nan]), jnp.array([0.5, 0.1, 0.0, 0.1])
    assert np.isnan(continuous.beta_from_mean_sd(mean, sd).a).all()


def test_impossible_forecasts_are_nan() -> None:
    bad = Normal(jnp.array([0.0, 0.0, jnp.nan]), jnp.array([0.0, -1.0, 1.0]))
    for values in (
        continuous.crps(bad, jnp.zeros(3)),
        continuous.pit(bad, jnp.zeros(3)),
        continuous.coverage(bad, jnp.zeros(3), LEVELS),
        continuous.log_score(bad, jnp.zeros(3)),
        continuous.crps(Beta(jnp.array([0.0, -1.0]), jnp.ones(2)), jnp.full(2, 0.5)),
    ):
        assert np.isnan(values).all()


@settings(max_examples=10, deadline=None)
@given(st.floats(-3, 3), st.floats(0.2, 3), st.floats(-3, 3), st.floats(0.2, 3), st.floats(0.8, 20))
def test_score_is_entropy_plus_divergence(
    m: float, s: float, mean: float, sd: float, shape: float
) -> None:
    with jax.enable_x64(True):
        for q, p, other, ends in (
            (
                Normal(jnp.array(m), jnp.array(s)),
                Normal(jnp.array(mean), jnp.array(sd)),
                scipy.stats.norm(m, s),
                (m - 12 * s, m + 12 * s),
            ),
            (
                Beta(jnp.array(1 + s), jnp.array(shape)),
                Beta(jnp.array(1 + sd), jnp.array(2.0)),
                scipy.stats.beta(1 + s, shape),
                (0.0, 1.0),
            ),
        ):
            y, w = np.polynomial.legendre.leggauss(600)
            y = ends[0] + (ends[1] - ends[0]) * (y + 1) / 2
            mass = other.pdf(y) * w * (ends[1] - ends[0]) / 2
            for score, divergence in (
                (continuous.crps, continuous.cramer),
                (continuous.log_score, continuous.kl_divergence),
            ):
                gap = mass @ np.asarray(score(p, y)) - mass @ np.asarray(score(q, y))
                np.testing.assert_allclose(gap, divergence(q, p), rtol=2e-3, atol=2e-5)
                assert abs(float(divergence(q, q))) < 1e-9


def test_gradients_are_finite_and_right() -> None:
    def loss(parameters: tuple[jax.Array, jax.Array], y: jax.Array) -> jax.Array:
        return continuous.crps(Beta(*parameters), y)

    at = (jnp.array(2.5), jnp.array(4.0))
    own = jax.jit(jax.grad(loss))(at, jnp.array(0.3))
    step = 1e-5
    for place in range(2):
        moved = [
            tuple(x + sign * step * (k == place) for k, x in enumerate(at)) for sign in (1, -1)
        ]
        slope = (loss(moved[0], jnp.array(0.3)) - loss(moved[1], jnp.array(0.3))) / (2 * step)
        np.testing.assert_allclose(own[place], slope, rtol=1e-5)
    for y in (0.0, 1.0, -2.0, 3.0):
        assert np.isfinite(jax.grad(loss)(at, jnp.array(y))).all()

    def bad(sd: jax.Array) -> jax.Array:
        return jnp.nansum(continuous.crps(Normal(jnp.zeros(2), sd), jnp.ones(2)))

    assert np.isfinite(jax.grad(bad)(jnp.array([0.0, 1.0]))).all()


def test_jit_and_vmap_change_nothing() -> None:
    normal, beta, y, u = forecasts(2)
    for own, at in ((normal, y), (beta, u)):
        eager = continuous.crps(own, at)
        np.testing.assert_allclose(jax.jit(continuous.crps)(own, at), eager, rtol=1e-12)
        np.testing.assert_allclose(jax.vmap(continuous.crps)(own, at), eager, rtol=1e-12)
