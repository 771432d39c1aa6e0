import itertools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score

from ppt_jax.evaluation import calibration_tests, discrimination
from tests.evaluation.test_calibration import sample


@pytest.fixture(autouse=True)
def _float64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def enumerated(conf: list[float], correct: list[int]) -> tuple[float, float]:
    """AURC averaged over every order that does not contradict the confidences, and the best."""
    n = len(conf)

    def aurc(order: tuple[int, ...]) -> float:
        wrong = np.cumsum([1 - correct[i] for i in order])
        return float(np.mean(wrong / np.arange(1, n + 1)))

    orders = list(itertools.permutations(range(n)))
    falling = [o for o in orders if all(conf[a] >= conf[b] for a, b in itertools.pairwise(o))]
    return float(np.mean([aurc(o) for o in falling])), min(map(aurc, orders))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1)), min_size=1, max_size=6))
def test_risk_coverage_by_enumeration_of_orders(rows: list[tuple[int, int]]) -> None:
    with jax.enable_x64(True):
        conf, correct = [c / 3 for c, _ in rows], [y for _, y in rows]
        mean, best = enumerated(conf, correct)
        one = jnp.ones(len(rows))
        found = discrimination.selective(jnp.asarray(conf), jnp.asarray(correct, float), one)
        np.testing.assert_allclose(found.aurc, mean, atol=1e-9)
        np.testing.assert_allclose(found.excess, mean - best, atol=1e-9)
        np.testing.assert_allclose(found.risk, 1 - np.mean(correct))


def test_eight_items_with_ties_by_enumeration() -> None:
    conf, correct = [0.9, 0.9, 0.9, 0.5, 0.5, 0.3, 0.3, 0.1], [1, 0, 1, 1, 0, 0, 1, 0]
    mean, best = enumerated(conf, correct)
    found = discrimination.selective(jnp.asarray(conf), jnp.asarray(correct, float), jnp.ones(8))
    np.testing.assert_allclose([found.aurc, found.excess], [mean, mean - best], atol=1e-12)
    ideal = discrimination.selective(
        jnp.asarray(correct, float), jnp.asarray(correct, float), jnp.ones(8)
    )
    np.testing.assert_allclose([ideal.excess, ideal.rejection_ratio], [0, 1], atol=1e-12)
    flat = discrimination.selective(jnp.ones(8), jnp.asarray(correct, float), jnp.ones(8))
    np.testing.assert_allclose([flat.aurc, flat.rejection_ratio], [flat.risk, 0], atol=1e-12)


def test_accuracy_at_coverage() -> None:
    conf = jnp.array([0.9, 0.8, 0.8, 0.2])
    right, one = jnp.array([1.0, 1.0, 0.0, 0.0]), jnp.ones(4)
    for coverage, expected in ((0.25, 1.0), (0.5, 0.75), (0.75, 2 / 3), (1.0, 0.5)):
        found = discrimination.accuracy_at_coverage(conf, right, one, coverage)
        np.testing.assert_allclose(found, expected)
    at, risk = discrimination.risk_coverage_curve(conf, right, one)
    np.testing.assert_allclose(np.unique(at[at > 0]), [0.25, 0.75, 1.0])
    np.testing.assert_allclose(risk[at > 0][-1], 0.5)


def test_ranking_agrees_with_scikit_learn_under_ties_and_weights() -> None:
    c, y = sample(0, digits=1)
    w = np.random.default_rng(1).random(len(c))
    arguments = (jnp.asarray(c), jnp.asarray(y), jnp.asarray(w))
    np.testing.assert_allclose(
        discrimination.auroc(*arguments), roc_auc_score(y, c, sample_weight=w), rtol=1e-9
    )
    np.testing.assert_allclose(
        discrimination.average_precision(*arguments),
        average_precision_score(y, c, sample_weight=w),
        rtol=1e-9,
    )


def test_spiegelhalter_by_its_formula_and_its_null() -> None:
    c, y = sample(2)
    z = calibration_tests.spiegelhalter_z(c, y, np.ones(len(c)))
    # the Brier score against its expectation and variance under calibration
    brier, expected = np.mean((y - c) ** 2), np.mean(c * (1 - c))
    variance = np.sum((1 - 2 * c) ** 2 * c * (1 - c)) / len(c) ** 2
    np.testing.assert_allclose(z, (brier - expected) / variance**0.5, rtol=1e-9)
    rng = np.random.default_rng(3)
    draws = (rng.random((3000, len(c))) < c).astype(float)
    many = calibration_tests.spiegelhalter_z(jnp.asarray(c), jnp.asarray(draws), jnp.ones(len(c)))
    assert scipy.stats.kstest(np.asarray(many), "norm").pvalue > 0.001
    np.testing.assert_allclose(
        calibration_tests.normal_p_value(jnp.array(1.959964)), 0.05, rtol=1e-5
    )


def test_cox_agrees_with_unpenalised_logistic_regression() -> None:
    c, y = sample(4, digits=2)
    c = np.clip(c, 0.01, 0.99)
    w = np.random.default_rng(5).integers(0, 3, len(c)).astype(float)
    logit = np.log(c / (1 - c))[:, None]
    other = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000).fit(logit, y, sample_weight=w)
    found = calibration_tests.cox(jnp.asarray(c), jnp.asarray(y), jnp.asarray(w))
    np.testing.assert_allclose(found.slope, other.coef_[0, 0], rtol=1e-5)
    np.testing.assert_allclose(found.intercept, other.intercept_[0], rtol=1e-4, atol=1e-5)
    for bad in (np.ones(len(c)), np.zeros(len(c)), (c > 0.6).astype(float)):
        assert np.isnan(
            calibration_tests.cox(jnp.asarray(c), jnp.asarray(bad), jnp.ones(len(c))).slope
        )
    flat = calibration_tests.cox(jnp.full(4, 0.3), jnp.array([0.0, 1, 0, 1]), jnp.ones(4))
    assert np.isnan(flat.slope)


def test_cox_recovers_a_planted_distortion() -> None:
    rng = np.random.default_rng(6)
    c = rng.beta(1, 1, 20_000)
    logit = np.log(c / (1 - c))
    y = (rng.random(c.size) < 1 / (1 + np.exp(-(0.3 + 0.5 * logit)))).astype(float)
    found = calibration_tests.cox(jnp.asarray(c), jnp.asarray(y), jnp.ones(c.size))
    np.testing.assert_allclose([found.intercept, found.slope], [0.3, 0.5], atol=0.05)


def test_cumulative_differences_by_a_loop() -> None:
    c, y = sample(7, n=120, digits=1)
    walk = [0.0] + [float(np.sum((y - c)[c <= v])) / 120 for v in np.unique(c)]
    found = calibration_tests.cumulative(jnp.asarray(c), jnp.asarray(y), jnp.ones(120))
    np.testing.assert_allclose(found.ks, np.max(np.abs(walk)), rtol=1e-9)
    np.testing.assert_allclose(found.kuiper, max(walk) - min(walk), rtol=1e-9)
    np.testing.assert_allclose(found.sigma, np.sqrt(np.sum(c * (1 - c))) / 120, rtol=1e-9)


def test_cumulative_differences_of_calibrated_confidences_have_their_known_means() -> None:
    """The walk tends to Brownian motion: E max|B| = sqrt(pi/2), E range = 2 sqrt(2/pi)."""
    rng = np.random.default_rng(8)
    c = np.sort(rng.random(3000))
    y = (rng.random((400, 3000)) < c).astype(float)
    found = calibration_tests.cumulative_of_groups(
        jnp.asarray(c), jnp.ones((1, 3000)), jnp.asarray(y)
    )
    assert float((found.ks / found.sigma).mean()) == pytest.approx((np.pi / 2) ** 0.5, abs=0.1)
    assert float((found.kuiper / found.sigma).mean()) == pytest.approx(
        2 * (2 / np.pi) ** 0.5, abs=0.1
    )


def numbers(c: jax.Array, y: jax.Array, w: jax.Array) -> jax.Array:
    return jnp.stack(
        [
            discrimination.auroc(c, y, w),
            discrimination.average_precision(c, y, w),
            *discrimination.selective(c, y, w),
            discrimination.accuracy_at_coverage(c, y, w, 0.7),
            calibration_tests.spiegelhalter_z(c, y, w),
            *calibration_tests.cox(c, y, w),
            *calibration_tests.cumulative(c, y, w),
        ]
    )


def test_order_padding_repetition_and_jit_do_not_matter() -> None:
    rng = np.random.default_rng(9)
    c, y = sample(9, n=80, digits=1)
    c = np.clip(c, 0.05, 0.95)
    w = rng.integers(0, 3, 80).astype(float)
    y[w == 0] = np.nan
    arguments = [jnp.asarray(x) for x in (c, y, w)]
    jitted = jax.jit(numbers)
    expected = np.asarray(numbers(*arguments))  # eager, the others compiled
    assert np.isfinite(expected).all()
    shuffled = rng.permutation(80)
    repeated = [jnp.asarray(np.repeat(x, w.astype(int))) for x in (c, y, np.ones(80))]
    for other in (
        jitted(*arguments),
        jitted(*(x[shuffled] for x in arguments)),
        jitted(*(jnp.pad(x, (0, 17)) for x in arguments)),
        jitted(*repeated),
        jax.jit(jax.vmap(numbers))(*(x[None] for x in arguments))[0],
    ):
        np.testing.assert_allclose(other, expected, rtol=1e-7, atol=1e-9)
    assert np.isnan(jitted(arguments[0], jnp.ones(80), jnp.zeros(80))).all()


def test_gradients_are_finite() -> None:
    c, y = (jnp.asarray(x) for x in sample(10, n=50))
    c = c.at[0].set(0.0).at[1].set(1.0)

    def total(c: jax.Array, y: jax.Array) -> jax.Array:
        return jnp.sum(numbers(c, y, jnp.ones(50)))

    by_c, by_y = jax.jit(jax.grad(total, argnums=(0, 1)))(c, y)
    assert np.isfinite(by_c).all()
    assert np.isfinite(by_y).all()
