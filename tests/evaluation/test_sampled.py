import itertools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
import scoringrules

from ppt_jax.evaluation import sampled, scores

GRID = jnp.arange(4.0) * 3


@pytest.fixture(autouse=True)
def _float64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def histograms(q: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Every histogram of n draws with its multinomial probability: exact expectations."""
    rows = [c for c in itertools.product(range(n + 1), repeat=len(q)) if sum(c) == n]
    counts = np.array(rows)
    return counts / n, scipy.stats.multinomial(n, q).pmf(counts)


Q = np.array([0.1, 0.25, 0.6, 0.05])
P = np.array([0.3, 0.3, 0.2, 0.2])


@pytest.mark.parametrize("n", [2, 5, 9])
def test_floors_and_fair_scores_by_enumeration_of_all_labels(n: int) -> None:
    rows, mass = histograms(Q, n)
    q, label = jnp.asarray(Q), jnp.asarray(rows)
    for floor, score in (
        (sampled.total_variation_floor(q, n), scores.total_variation(q, label)),
        (sampled.wasserstein_floor(q, GRID, n), scores.wasserstein(q, label, GRID)),
        (sampled.crps_floor(q, GRID, n), scores.crps(q, label, GRID)),
        (sampled.brier_floor(q, n), scores.brier(q, label)),
    ):
        np.testing.assert_allclose(floor, mass @ np.asarray(score), rtol=1e-10)
    fair = sampled.fair_crps_divergence(jnp.asarray(P), label, GRID, n)
    np.testing.assert_allclose(
        mass @ np.asarray(fair), scores.crps(jnp.asarray(P), q, GRID), rtol=1e-10
    )
    fair = sampled.fair_brier_divergence(jnp.asarray(P), label, n)
    np.testing.assert_allclose(mass @ np.asarray(fair), scores.brier(jnp.asarray(P), q), rtol=1e-10)


def test_fair_scores_of_two_sampled_sides() -> None:
    rows_p, mass_p = histograms(P, 4)
    rows_q, mass_q = histograms(Q, 3)
    both = jnp.asarray(rows_p)[:, None], jnp.asarray(rows_q)[None]
    for found, exact in (
        (sampled.fair_crps_divergence(*both, GRID, 3, 4), scores.crps(P, Q, GRID)),
        (sampled.fair_brier_divergence(*both, 3, 4), scores.brier(P, Q)),
    ):
        np.testing.assert_allclose(mass_p @ np.asarray(found) @ mass_q, exact, rtol=1e-10)


def test_mean_absolute_deviation_against_the_binomial() -> None:
    for n, q in itertools.product((1, 2, 7, 100, 1000), (0.0, 0.003, 0.2, 0.5, 0.97, 1.0)):
        k = np.arange(n + 1)
        expected = scipy.stats.binom.pmf(k, n, q) @ abs(k / n - q)
        found = sampled.mean_absolute_deviation(jnp.asarray(q), n)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-15)
    gradient = jax.grad(lambda q: sampled.total_variation_floor(q, 50))
    assert np.isfinite(gradient(jnp.array([0.0, 1.0, 0.0]))).all()


def test_crps_of_samples_agrees_with_scoringrules() -> None:
    rng = np.random.default_rng(0)
    x, y, w = rng.normal(size=(20, 9)), rng.normal(size=20), rng.random((20, 9))
    np.testing.assert_allclose(
        sampled.crps_of_samples(x, y), scoringrules.crps_ensemble(y, x, estimator="fair"), rtol=1e-9
    )
    np.testing.assert_allclose(
        sampled.crps_of_samples(x, y, w, fair=False),
        scoringrules.crps_ensemble(y, x, ens_w=w, estimator="nrg"),
        rtol=1e-9,
    )
    padded = jnp.pad(jnp.asarray(x), ((0, 0), (0, 3)), constant_values=jnp.nan)
    weight = jnp.pad(jnp.ones((20, 9)), ((0, 0), (0, 3)))
    np.testing.assert_allclose(
        sampled.crps_of_samples(padded, y, weight), sampled.crps_of_samples(x, y), rtol=1e-9
    )
    assert np.isnan(sampled.crps_of_samples(x[:, :1], y)).all()
    assert np.isnan(sampled.crps_of_samples(x, y, np.zeros((20, 9)))).all()


def test_fair_crps_of_samples_is_unbiased() -> None:
    mean = np.mean(
        [
            scipy.stats.norm.rvs(size=(4000, 3), random_state=1),
        ],
        axis=0,
    )
    found = np.asarray(sampled.crps_of_samples(mean, np.zeros(4000)))
    assert found.mean() == pytest.approx(0.23369497725511, abs=4 * found.std() / 4000**0.5)


def test_simulated_floor_and_half_split() -> None:
    q_NK = np.random.default_rng(2).dirichlet(np.ones(11), 3)
    found = sampled.simulated_floor(
        scores.total_variation, jnp.asarray(q_NK), 40, jax.random.key(0), 2000
    )
    np.testing.assert_allclose(found, sampled.total_variation_floor(q_NK, 40), rtol=0.03)
    counts = np.random.default_rng(3).multinomial(200, Q, size=2000)
    one, two = sampled.half_split(counts)
    np.testing.assert_allclose((one + two) / 2, counts / 200, atol=1e-12)
    # two halves of 100 draws differ by twice the floor of one half
    found = float(np.asarray(scores.crps(one, two, GRID)).mean())
    assert found == pytest.approx(2 * float(sampled.crps_floor(Q, GRID, 100)), rel=0.06)
