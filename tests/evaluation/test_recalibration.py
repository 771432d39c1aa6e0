import dataclasses
import itertools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from ppt_jax.errors import UserError
from ppt_jax.evaluation import posthoc, recalibration, scores
from ppt_jax.evaluation import recalibration_fits as fits
from ppt_jax.evaluation.posthoc import METHODS, OverlapError
from tests.evaluation.test_posthoc import items

RNG = np.random.default_rng


def ce(p: np.ndarray, q: np.ndarray) -> float:
    return float(-np.sum(q * np.log(np.maximum(p, scores.EPS)), axis=-1).mean())


def distributions(seed: int, n: int, k: int) -> np.ndarray:
    logits = RNG(seed).normal(size=(n, k)) * 1.5
    return logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)


def events(seed: int, n: int = 600) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = RNG(seed)
    conf = np.round(rng.beta(1.2, 0.8, n), 2).clip(0.01, 0.99)
    y = (rng.random(n) < conf**2).astype(float)
    return conf, y, rng.integers(0, 3, n).astype(float)


def test_bias_corrected_temperature_and_vector_scaling_are_recovered() -> None:
    logp = distributions(0, 120, 4)
    bias, scale = np.array([0.0, 0.7, -0.4, 0.2]), np.array([0.5, 1.4, 0.8, 2.0])
    for vector, true in ((False, np.array(0.4)), (True, scale)):
        q = recalibration.scale_and_bias(logp, true, bias)
        found = fits.fit_scale_bias(logp, q, np.ones(120), vector=vector)
        np.testing.assert_allclose(found.scale, true, rtol=1e-3)
        np.testing.assert_allclose(found.bias, bias, atol=1e-3)
        np.testing.assert_allclose(found.apply(logp), q, atol=1e-4)
        assert (found.n_fit, found.at_bound) == (120, False)


def test_bias_alone_matches_logistic_regression() -> None:
    """Two options: vector scaling on hard outcomes is a logistic regression on both logs."""
    logp = distributions(1, 900, 2)
    y = (RNG(2).random(900) < 0.3 + 0.5 * np.exp(logp[:, 1])).astype(int)
    found = fits.fit_scale_bias(logp, np.eye(2)[y], np.ones(900), vector=True)
    other = LogisticRegression(C=np.inf, tol=1e-10).fit(np.stack([-logp[:, 0], logp[:, 1]], 1), y)
    np.testing.assert_allclose(found.scale, other.coef_[0], rtol=2e-2, atol=2e-2)
    np.testing.assert_allclose(
        found.apply(logp)[:, 1],
        other.predict_proba(np.stack([-logp[:, 0], logp[:, 1]], 1))[:, 1],
        atol=2e-3,
    )


def test_platt_and_beta_match_unpenalised_logistic_regression() -> None:
    conf, y, w = events(3)
    logit = np.log(conf / (1 - conf))
    features = {True: logit[:, None], False: np.stack([np.log(conf), -np.log1p(-conf)], 1)}
    for platt, x in features.items():
        own = fits.fit_logit_curve(conf, y, w, platt=platt)
        other = LogisticRegression(C=np.inf, tol=1e-12, max_iter=2000).fit(x, y, sample_weight=w)
        assert (other.coef_ > 0).all()  # inside the bounds, so the two must agree
        np.testing.assert_allclose([own.a, own.b][: x.shape[1]], other.coef_[0], rtol=1e-3)
        np.testing.assert_allclose(own.m, other.intercept_[0], rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(own.apply(conf), other.predict_proba(x)[:, 1], atol=1e-4)
        assert own.n_fit == int((w > 0).sum())


def test_beta_curve_that_would_fall_stops_at_its_bound() -> None:
    conf, y, w = events(4)
    found = fits.fit_logit_curve(conf, 1 - y, w, platt=False)
    assert found.at_bound
    assert min(found.a, found.b) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("seed", range(12))
def test_no_other_search_finds_a_better_beta_curve(seed: int) -> None:
    """Confidences close together or near 1 make its three parameters nearly exchangeable."""
    rng = RNG(seed + 100)
    size = (45, 300, 2000)[seed % 3]
    narrow = rng.normal(0.5, 0.02, size), rng.beta(30, 2, size), rng.beta(3, 1, size)
    conf = np.clip(narrow[seed // 4], 1e-6, 1 - 1e-6)
    y, w = (rng.random(size) < (0.4 if seed % 2 else conf)).astype(float), np.ones(size)
    found = fits.fit_logit_curve(conf, y, w, platt=False)
    value, _ = fits.event_loss(np.array([found.a, found.b, found.m]), conf, y, w)
    others = [
        scipy.optimize.minimize(
            fits.event_loss,
            start,
            args=(conf, y, w),
            jac=True,
            method="SLSQP",
            bounds=[(0, 20), (0, 20), (-20, 20)],
            options={"ftol": 1e-16, "maxiter": 2000},
        ).fun
        for start in ([1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [found.a, found.b, found.m])
    ]
    assert value <= min(others) + 1e-8


def test_isotonic_matches_scikit_learn() -> None:
    conf, y, w = events(5)
    keep = w > 0
    other = IsotonicRegression(out_of_bounds="clip").fit(conf[keep], y[keep], w[keep])
    at = RNG(6).random(400)
    np.testing.assert_allclose(
        fits.fit_isotonic(conf, y, w).apply(at), other.predict(at), atol=1e-9
    )


def test_histogram_binning_gives_the_mean_of_each_bin() -> None:
    conf, y, _ = events(7)
    found = fits.fit_histogram(conf, y, np.ones(len(y)), bins=8)
    moved = found.apply(conf)
    for value in np.unique(moved):
        assert y[moved == value].mean() == pytest.approx(value)
    assert len(np.unique(moved)) <= 8
    assert all(len(set(moved[conf == c])) == 1 for c in np.unique(conf))


def test_mixing_share_is_recovered_and_a_perfect_model_keeps_its_answers() -> None:
    logp = distributions(8, 60, 5)
    q = 0.7 * np.exp(logp) + 0.3 / 5
    found = fits.fit_uniform_mix(logp, q, np.ones(60))
    assert found.share == pytest.approx(0.3, abs=1e-6)
    np.testing.assert_allclose(found.apply(logp), q, atol=1e-6)
    assert fits.fit_uniform_mix(logp, np.exp(logp), np.ones(60)).share == pytest.approx(0, abs=1e-6)
    flat = fits.fit_uniform_mix(logp, np.full((60, 5), 0.2), np.ones(60))
    assert flat.at_bound


def smooth_histograms(seed: int, n: int) -> np.ndarray:
    rng = RNG(seed)
    grid = np.arange(101)
    p = np.exp(-0.5 * ((grid - rng.uniform(25, 75, (n, 1))) / rng.uniform(5, 12, (n, 1))) ** 2)
    p = p + 1e-6
    return np.log(p / p.sum(1, keepdims=True))


def written_out(kind: str, x: jax.Array, *data: np.ndarray) -> jax.Array:
    """The losses of the fits from the scores' own cross-entropy, to be differentiated by JAX."""
    first, target, weight = data
    if kind == "scale and bias":
        size = first.shape[1]
        scale = x[:-3] if len(x) == 2 * size - 1 else x[0]
        p = jax.nn.softmax(scale * first + jnp.concatenate([jnp.zeros(1), x[-(size - 1) :]]))
    else:
        a, b, m = x if len(x) == 3 else (x[0], x[0], x[1])
        g = jax.nn.sigmoid(a * jnp.log(first) - b * jnp.log(1 - first) + m)
        if kind == "events":
            p, target = jnp.stack([1 - g, g], -1), np.stack([1 - target, target], -1)
        else:
            p = jnp.diff(g, prepend=0.0, append=1.0)
    return scores.weighted_mean(scores.cross_entropy(p, target), weight)


@pytest.mark.parametrize("x", [[0.7, 0.2, -0.3, 0.1], [0.7, 1.3, 0.4, 2.0, 0.2, -0.3, 0.1]])
def test_loss_of_scales_and_biases_has_its_gradient(x: list[float]) -> None:
    weight = RNG(20).integers(0, 3, 30).astype(float)
    data = (distributions(21, 30, 4), RNG(22).dirichlet(np.ones(4), 30), weight)
    _check_gradient("scale and bias", fits.scale_bias_loss, x, *data)


@pytest.mark.parametrize("x", [[0.7, 0.2], [0.7, 1.4, -0.3]])
def test_losses_of_curves_have_their_gradients(x: list[float]) -> None:
    conf, y, w = events(23, 40)
    _check_gradient("events", fits.event_loss, x, conf, y, w)
    below = np.sort(RNG(24).uniform(0.01, 0.99, (40, 6)), axis=1)
    _check_gradient("ordered", fits.ordered_loss, x, below, RNG(25).dirichlet(np.ones(7), 40), w)


def _check_gradient(
    kind: str,
    loss: Callable[..., tuple[float, np.ndarray]],
    x: list[float],
    *data: np.ndarray,
) -> None:
    value, slope = loss(np.array(x), *data)
    with jax.enable_x64(True):
        wanted, wanted_slope = jax.value_and_grad(lambda x: written_out(kind, x, *data))(
            jnp.array(x)
        )
    assert value == pytest.approx(float(wanted), rel=1e-9)
    np.testing.assert_allclose(slope, wanted_slope, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("places", [-3.0, 0.0, 6.4])
def test_shift_and_temperature_are_recovered(places: float) -> None:
    logp = smooth_histograms(9, 40)
    with jax.enable_x64(True):
        tempered = np.asarray(scores.temper(jnp.asarray(logp), jnp.asarray(2.0)))
    q = recalibration.shift(tempered, places)
    np.testing.assert_allclose(q.sum(1), 1, atol=1e-12)
    found = fits.fit_shifted_temperature(logp, q, np.ones(40))
    assert found.shift == pytest.approx(places, abs=0.02)
    assert found.temperature == pytest.approx(2.0, rel=0.01)
    assert not found.at_bound


def test_shift_moves_means_and_stops_at_the_ends() -> None:
    p = np.eye(101)[[40]]
    for places in (-2.5, 0.0, 7.25):
        moved = recalibration.shift(p, places)
        np.testing.assert_allclose(moved @ np.arange(101.0), 40 + places, atol=1e-9)
    np.testing.assert_allclose(recalibration.shift(p, -77.5)[0, 0], 1.0)
    np.testing.assert_allclose(recalibration.shift(p, 99.5)[0, 100], 1.0)


@pytest.mark.parametrize("platt", [True, False])
def test_curve_on_the_distribution_function_is_recovered(platt: bool) -> None:
    logp = smooth_histograms(10, 60)
    true = recalibration.LogitCurve(0.6, 0.6 if platt else 0.9, -0.4, 0, False)
    q = recalibration.CurveOnOrdered(true).apply(logp)
    found = fits.fit_logit_curve_ordered(logp, q, np.ones(60), platt=platt)
    np.testing.assert_allclose([found.a, found.b, found.m], [true.a, true.b, true.m], atol=5e-3)
    np.testing.assert_allclose(recalibration.CurveOnOrdered(found).apply(logp).sum(1), 1)


def test_pit_curve_straightens_the_pit() -> None:
    """After F' = g(F) the mean PIT histogram over the validation targets is flat."""
    logp = smooth_histograms(11, 400)
    with jax.enable_x64(True):
        q = np.asarray(scores.temper(jnp.asarray(logp), jnp.asarray(3.0)))  # overconfident answers
        corrected = recalibration.CurveOnOrdered(fits.fit_pit_curve(logp, q, np.ones(400))).apply(
            logp
        )
        edges = np.linspace(0, 1, 11)

        def pit(p: np.ndarray) -> np.ndarray:
            each = [
                np.asarray(scores.pit_share(p, np.full(400, y), edges[:-1], edges[1:]))
                for y in range(101)
            ]
            return np.einsum("nk,knl->l", q, np.stack(each)) / 400

        assert abs(pit(np.exp(logp)) - 0.1).max() > 0.05
        np.testing.assert_allclose(pit(corrected), 0.1, atol=0.004)


@pytest.mark.parametrize(("method", "kind"), itertools.product(METHODS, ["value", "choice"]))
def test_every_method_helps_on_its_validation_items_and_sums_to_one(method: str, kind: str) -> None:
    own = items(12, 60, 2.5, kind)  # answers too sharp by a temperature of 2.5
    fitted = posthoc.fit(method, own, min_items=10)
    fresh = items(13, 30, 2.5, kind)
    moved = fitted.apply(fresh)
    for p, item in zip(moved, fresh, strict=True):
        assert p.shape == item.target_K.shape
        assert p.sum() == pytest.approx(1)
        assert (p >= 0).all()
    before = np.mean([ce(i.probs_K[None], i.target_K[None]) for i in fresh])
    after = np.mean([ce(p[None], i.target_K[None]) for p, i in zip(moved, fresh)])
    # one vector for 101 answers overfits 60 items of independent noise, and PIT curves know no
    # single answer: those may lose
    if not (kind == "value" and method in ("vector", "isotonic", "histogram", "platt", "beta")):
        assert after < before
    rows = fitted.describe()
    assert all({"method", "group", "n_fit", "at_bound", "parameters"} <= set(r) for r in rows)
    with pytest.raises(OverlapError, match=f"{method} was fitted on 1 of the items"):
        fitted.apply([*fresh, own[0]])


def test_small_groups_take_the_pooled_temperature() -> None:
    own = items(14, 40, 2.0) + items(15, 6, 2.0, "choice")
    fitted = posthoc.fit("vector", own, min_items=20)
    assert set(fitted.by_group) == {"value"}
    fresh = items(16, 4, 2.0, "choice")
    expected = fitted.fallback.apply(fresh)
    for p, q in zip(fitted.apply(fresh), expected, strict=True):
        np.testing.assert_allclose(p, q)


def test_unknown_method_is_refused() -> None:
    with pytest.raises(UserError, match="'magic' is none of temperature"):
        posthoc.fit("magic", items(17, 5, 1.0))


def test_answers_of_probability_zero_stay_finite() -> None:
    own = items(18, 30, 1.0, "choice")
    hard = [
        dataclasses.replace(i, logp_K=np.where(np.arange(len(i.support)) == 0, 0.0, -np.inf))
        for i in own
    ]
    for method in METHODS:
        fitted = posthoc.fit(method, hard, min_items=5)
        fresh = items(19, 5, 1.0, "choice")
        assert all(np.isfinite(p).all() for p in fitted.apply(fresh))
