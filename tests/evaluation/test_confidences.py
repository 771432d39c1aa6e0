"""The one call that measures everything, held to the single pure functions, and what it tells."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from ppt_jax.evaluation import (
    calibration,
    calibration_tests,
    columns,
    confidences,
    decomposition,
    discrimination,
)


@pytest.fixture(autouse=True)
def _float64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def column(
    seed: int, n: int, digits: int | None, power: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Confidences that are ``p^power`` odds of the true chance: power 1 is calibrated."""
    rng = np.random.default_rng(seed)
    p = rng.beta(1.5, 1.0, n)
    conf = p**power / (p**power + (1 - p) ** power)
    conf = conf if digits is None else np.round(conf, digits)
    return conf, (rng.random(n) < p).astype(float)


@jax.jit
def single(c: jax.Array, y: jax.Array, w: jax.Array) -> dict[str, jax.Array]:
    """Every metric by its own pure function."""
    smooth, sigma = calibration.smooth_calibration_error(c, y, w, cells=256)
    parts = calibration.brier_decomposition(c, y, w)
    brier, log = decomposition.corp(c, y, w), decomposition.corp(c, y, w, "log")
    walk, line = calibration_tests.cumulative(c, y, w), calibration_tests.cox(c, y, w)
    risk = discrimination.selective(c, y, w)
    return {
        "ece_smooth": smooth,
        "ece_smooth_sigma": sigma,
        "ece_auto": calibration.calibration_error(c, y, w, scheme="auto"),
        "ece_mass": calibration.calibration_error(c, y, w),
        "ece_width": calibration.calibration_error(c, y, w, scheme="width"),
        "ece_distinct": calibration.calibration_error(c, y, w, scheme="distinct"),
        "ece_sweep": calibration.sweep_error(c, y, w)[0],
        "ece_l2_mass": calibration.calibration_error(c, y, w, norm=2),
        "mce_mass": calibration.calibration_error(c, y, w, norm=np.inf),
        "ece_debiased_squared": calibration.debiased_error(c, y, w),
        "brier_reliability": parts.reliability,
        "brier_resolution": parts.resolution,
        "brier_uncertainty": parts.uncertainty,
        "corp_brier_miscalibration": brier.miscalibration,
        "corp_brier_discrimination": brier.discrimination,
        "corp_log_miscalibration": log.miscalibration,
        "corp_log_discrimination": log.discrimination,
        "auroc": discrimination.auroc(c, y, w),
        "auprc": discrimination.average_precision(c, y, w),
        "ks": walk.ks,
        "kuiper": walk.kuiper,
        "spiegelhalter_z": calibration_tests.spiegelhalter_z(c, y, w),
        "calibration_bias": jnp.sum(w * (y - c)) / jnp.sum(w),
        "calibration_intercept": line.intercept,
        "calibration_slope": line.slope,
        "aurc": risk.aurc,
        "e_aurc": risk.excess,
        "rejection_ratio": risk.rejection_ratio,
        "accuracy_at_50": discrimination.accuracy_at_coverage(c, y, w, 0.5),
        "accuracy_at_80": discrimination.accuracy_at_coverage(c, y, w, 0.8),
        "accuracy_at_90": discrimination.accuracy_at_coverage(c, y, w, 0.9),
    }


@pytest.mark.parametrize(("digits", "soft"), [(None, False), (1, False), (2, True)])
def test_measure_equals_the_single_functions(digits: int | None, soft: bool) -> None:
    rng = np.random.default_rng(0)
    c, y = column(1, 150, digits)
    c = np.clip(c, 0.01, 0.99)
    y = rng.random(150) if soft else y
    w = rng.integers(0, 3, 150).astype(float)
    found = confidences.measure(c, y, w, selective=True)
    expected = single(jnp.asarray(c), jnp.asarray(y), jnp.asarray(w))
    names = {*confidences.METRICS, *confidences.SELECTIVE}
    if len(np.unique(c[w > 0])) > 101:
        names.discard("ece_distinct")
    assert set(found) == names
    for name in names:
        np.testing.assert_allclose(
            found[name].value, expected[name], rtol=1e-6, atol=1e-8, err_msg=name
        )


def test_intervals_and_nulls_are_those_of_the_single_functions() -> None:
    """Replicates are the metric with multiplied weights, nulls the metric of drawn outcomes."""
    c, y = column(2, 90, 1)
    c = np.clip(c, 0.1, 0.9)
    rng = np.random.default_rng(3)
    weights = rng.multinomial(90, np.ones(90) / 90, size=160).astype(float)
    null = confidences.simulate_outcomes(c, 0, 150)
    found = confidences.measure(c, y, weights_RN=weights, null_RN=null)
    many = jax.vmap(single, in_axes=(None, None, 0))(
        jnp.asarray(c), jnp.asarray(y), jnp.asarray(weights)
    )
    for name in ("auroc", "ece_distinct", "ks", "corp_log_miscalibration", "ece_smooth"):
        low, high = np.quantile(np.asarray(many[name]), [0.025, 0.975])
        np.testing.assert_allclose(
            (found[name].ci_low, found[name].ci_high), (low, high), atol=2e-4
        )
    flat = jnp.ones(90)
    drawn = jax.vmap(single, in_axes=(None, 0, None))(jnp.asarray(c), jnp.asarray(null), flat)
    for name in confidences.NULLED:
        own = np.asarray(drawn[name])
        np.testing.assert_allclose(
            (found[name].null_mean, found[name].null_q95),
            (own.mean(), np.quantile(own, 0.95)),
            atol=2e-4,
            err_msg=name,
        )
    assert found["auroc"].null_mean is None


def test_overconfident_underconfident_and_perfect_are_told_apart() -> None:
    def look(power: float, seed: int) -> dict[str, confidences.Measured]:
        c, y = column(seed, 2000, None, power)
        null = confidences.simulate_outcomes(c, seed, 300)
        ones = np.random.default_rng(seed).multinomial(2000, np.ones(2000) / 2000, size=200)
        return confidences.measure(c, y, weights_RN=ones.astype(float), null_RN=null)

    over, under, perfect = look(3.0, 0), look(0.3, 1), look(1.0, 2)
    for name in confidences.NULLED - {"ece_distinct"}:
        for planted in (over, under):
            assert planted[name].value > planted[name].null_q95, name  # type: ignore[operator]
    inside = [
        perfect[name].value <= perfect[name].null_q95  # type: ignore[operator]
        for name in confidences.NULLED - {"ece_distinct"}
    ]
    assert np.mean(inside) >= 0.75  # each is inside with probability 0.95, and they move together
    assert perfect["ece_smooth"].value <= perfect["ece_smooth"].null_q95  # type: ignore[operator]
    assert over["calibration_slope"].ci_high < 1 < under["calibration_slope"].ci_low
    assert perfect["calibration_slope"].ci_low < 1 < perfect["calibration_slope"].ci_high
    assert over["spiegelhalter_z"].value > 2
    assert abs(perfect["spiegelhalter_z"].value) < 2.5


def test_null_of_a_constant_confidence_is_that_of_the_binomial() -> None:
    n, c = 60, 0.7
    null = confidences.simulate_outcomes(np.full(n, c), 0, 20_000)
    found = confidences.measure(np.full(n, c), np.ones(n), null_RN=null, metrics=("ece_distinct",))
    k = np.arange(n + 1)
    expected = scipy.stats.binom.pmf(k, n, c) @ abs(k / n - c)
    assert found["ece_distinct"].null_mean == pytest.approx(expected, rel=0.02)
    assert found["ece_distinct"].value == pytest.approx(0.3)


def test_clustered_null_keeps_the_chances_and_widens_the_null() -> None:
    conf = np.tile([0.2, 0.7, 0.9], 100)
    cluster = np.repeat(np.arange(30), 10)
    own, shared = (
        confidences.simulate_outcomes(conf, 0, 4000, cluster, correlation=r) for r in (0.0, 0.8)
    )
    for drawn in (own, shared):
        np.testing.assert_allclose(drawn.mean(0), conf, atol=0.035)
    apart = [np.corrcoef(d[:, 0], d[:, 3])[0, 1] for d in (own, shared)]
    assert abs(apart[0]) < 0.05 < apart[1]
    errors = [
        confidences.measure(conf, conf, null_RN=d, metrics=("ece_distinct",))["ece_distinct"]
        for d in (own, shared)
    ]
    assert errors[1].null_mean > 1.5 * errors[0].null_mean  # type: ignore[operator]
    same = confidences.simulate_outcomes(conf, 0, 50, cluster, correlation=1.0)
    first = same[:, cluster == 0]
    assert set(np.unique(first[:, 0] - first[:, 3])) == {0.0}  # equal confidences, one number


def test_order_of_items_does_not_matter_and_nothing_is_nothing() -> None:
    c, y = column(4, 70, 1)
    turned = np.random.default_rng(5).permutation(70)
    one = confidences.measure(c, y, selective=True)
    other = confidences.measure(c[turned], y[turned], selective=True)
    for name in one:
        np.testing.assert_allclose(other[name].value, one[name].value, atol=1e-10)
    assert confidences.measure(np.zeros(0), np.zeros(0)) == {}
    assert confidences.measure(c, y, np.zeros(70)) == {}


def test_tied_confidences_of_the_notes() -> None:
    """5,000 confidences that are multiples of 0.1: per distinct value there is one answer only."""
    rng = np.random.default_rng(0)
    conf = rng.integers(0, 11, 5000) / 10
    y = (rng.random(5000) < np.clip(conf**1.3, 0, 1)).astype(float)
    truth = sum(np.mean(conf == v) * abs(y[conf == v].mean() - v) for v in np.unique(conf))
    with jax.enable_x64(False):
        half = calibration.calibration_error(
            jnp.asarray(conf, jnp.float32),
            jnp.asarray(y, jnp.float32),
            jnp.ones(5000),
            scheme="auto",
        )
    assert float(half) == pytest.approx(truth, abs=1e-6)
    assert confidences.measure(conf, y)["ece_auto"].value == pytest.approx(truth, abs=1e-12)


@pytest.mark.parametrize("digits", [2, 9])
def test_grouping_changes_no_value_and_hardly_an_interval(monkeypatch, digits):
    """Many confidences are grouped for replicates and nulls; ties alone are grouped exactly."""
    rng = np.random.default_rng(5)
    conf = rng.beta(2, 2, 1500).round(digits)
    y = (rng.random(1500) < conf**1.3).astype(float)
    weights_RN = rng.multinomial(1500, np.full(1500, 1 / 1500), 60)
    null_RN = confidences.simulate_outcomes(conf, 1, 60)
    settings = {"weights_RN": weights_RN, "null_RN": null_RN, "selective": True}
    whole = confidences.measure(conf, y, **settings)
    monkeypatch.setattr(columns, "MOST_GROUPS", 500)
    monkeypatch.setattr(confidences, "MOST_GROUPS", 500)
    grouped = confidences.measure(conf, y, **settings)
    assert whole.keys() == grouped.keys()
    tolerance = 1e-9 if digits == 2 else 0.02
    for name, one in whole.items():
        two = grouped[name]
        assert two.value == pytest.approx(one.value, rel=1e-9, abs=1e-12), name
        width = max(one.ci_high - one.ci_low, 1e-12)
        assert two.ci_low == pytest.approx(one.ci_low, abs=tolerance * width), name
        assert two.ci_high == pytest.approx(one.ci_high, abs=tolerance * width), name
        if one.null_mean is not None:
            assert two.null_mean == pytest.approx(one.null_mean, rel=0.05), name
            assert two.null_q95 == pytest.approx(one.null_q95, rel=0.05), name
