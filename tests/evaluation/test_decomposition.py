import itertools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import log_loss

from ppt_jax.evaluation import calibration, decomposition, multiclass
from tests.evaluation.test_calibration import sample


@pytest.fixture(autouse=True)
def _float64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


jitted_isotonic = jax.jit(decomposition.isotonic)


def min_max(c: np.ndarray, y: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Isotonic regression by its min-max formula: max over starts of min over ends of means."""
    out = np.empty(len(c))
    values = np.unique(c)
    for g, v in enumerate(values):
        best = -np.inf
        for low in values[: g + 1]:
            means = []
            for high in values[g:]:
                inside = (c >= low) & (c <= high)
                means.append(np.average(y[inside], weights=w[inside]))
            best = max(best, min(means))
        out[c == v] = best
    return out


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 30), st.sampled_from([1, 2, 6]), st.booleans())
def test_isotonic_regression_three_ways(seed: int, n: int, digits: int, soft: bool) -> None:
    with jax.enable_x64(True):
        rng = np.random.default_rng(seed)
        c = np.round(rng.random(n), digits)
        y = rng.random(n) if soft else rng.integers(0, 2, n).astype(float)
        w = rng.integers(1, 4, n).astype(float)
        padded = [jnp.asarray(np.pad(x, (0, 30 - n))) for x in (c, y, w)]
        found = np.asarray(jitted_isotonic(*padded))[:n]
        np.testing.assert_allclose(found, min_max(c, y, w), atol=1e-10)
        other = IsotonicRegression().fit(c, y, w).predict(c)
        np.testing.assert_allclose(found, other, atol=1e-10)
        _, group = np.unique(c, return_inverse=True)
        mass = np.bincount(group, w)
        mean = np.bincount(group, w * y) / mass
        scipys = scipy.optimize.isotonic_regression(mean, weights=mass).x[group]
        np.testing.assert_allclose(found, scipys, atol=1e-10)


@pytest.mark.parametrize("score", ["brier", "log"])
def test_corp_adds_up_and_its_parts_are_never_negative(score: decomposition.Score) -> None:
    for seed in range(5):
        c, y = sample(seed, digits=None if seed % 2 else 1)
        found = decomposition.corp(jnp.asarray(c), jnp.asarray(y), jnp.ones(len(c)), score)
        total = found.miscalibration - found.discrimination + found.uncertainty
        np.testing.assert_allclose(total, found.score, atol=1e-12)
        assert found.miscalibration >= -1e-12
        assert found.discrimination >= -1e-12
        expected = (
            np.mean((c - y) ** 2) if score == "brier" else log_loss(y, np.clip(c, 1e-9, 1 - 1e-9))
        )
        np.testing.assert_allclose(found.score, expected, rtol=1e-9)
        perfect = decomposition.isotonic(jnp.asarray(c), jnp.asarray(y), jnp.ones(len(c)))
        again = decomposition.corp(perfect, jnp.asarray(y), jnp.ones(len(c)), score)
        np.testing.assert_allclose(again.miscalibration, 0, atol=1e-8)


def test_five_terms_of_the_log_loss_add_up() -> None:
    rng = np.random.default_rng(1)
    c, y = sample(1)
    c[:2] = 0.0, 1.0
    for target in (y, rng.random(len(c))):
        for scheme in ("distinct", "width", "mass"):
            parts = decomposition.log_decomposition(
                jnp.asarray(c), jnp.asarray(target), jnp.ones(len(c)), scheme=scheme, bins=9
            )
            total = parts.reliability - parts.resolution + parts.uncertainty
            total = total + parts.within_bin_variance - parts.within_bin_covariance
            np.testing.assert_allclose(total, parts.brier, atol=1e-9)
            assert min(map(float, parts)) >= -1e-9 or parts.within_bin_covariance < 0
    whole = np.clip(c, 1e-9, 1 - 1e-9)
    expected = -np.mean(target * np.log(whole) + (1 - target) * np.log1p(-whole))
    np.testing.assert_allclose(parts.brier, expected, rtol=1e-9)


def test_constant_confidence_in_a_bin_leaves_three_terms() -> None:
    c, y = sample(2, digits=1)
    c = np.clip(c, 0.1, 0.9)
    arguments = (jnp.asarray(c), jnp.asarray(y), jnp.ones(len(c)))
    for parts in (
        decomposition.log_decomposition(*arguments, scheme="distinct"),
        decomposition.brier_decomposition(*arguments, scheme="distinct"),
    ):
        np.testing.assert_allclose(parts.within_bin_variance, 0, atol=1e-12)
        np.testing.assert_allclose(parts.within_bin_covariance, 0, atol=1e-12)


def test_order_padding_and_repetition_do_not_matter() -> None:
    rng = np.random.default_rng(3)
    c, y = sample(3, n=90, digits=2)
    w = rng.integers(0, 3, 90).astype(float)
    y[w == 0] = np.nan

    def both(c: jax.Array, y: jax.Array, w: jax.Array) -> jax.Array:
        sweep, bins = calibration.sweep_error(c, y, w)
        return jnp.stack(
            [
                *decomposition.corp(c, y, w),
                *decomposition.corp(c, y, w, "log"),
                *decomposition.log_decomposition(c, y, w, bins=6),
                sweep,
                bins.astype(c.dtype),
            ]
        )

    both = jax.jit(both)
    arguments = [jnp.asarray(x) for x in (c, y, w)]
    expected = np.asarray(both(*arguments))
    assert np.isfinite(expected).all()
    shuffled = rng.permutation(90)
    repeated = [jnp.asarray(np.repeat(x, w.astype(int))) for x in (c, y, np.ones(90))]
    for other in (
        both(*(x[shuffled] for x in arguments)),
        both(*(jnp.pad(x, (0, 17)) for x in arguments)),
        both(*repeated),
    ):
        np.testing.assert_allclose(other, expected, rtol=1e-9, atol=1e-10)
    empty = np.asarray(both(arguments[0], jnp.ones(90), jnp.zeros(90)))
    assert np.isnan(empty[:-1]).all()


def test_gradients_are_finite_at_zero_and_one() -> None:
    c, y = (jnp.asarray(x) for x in sample(4, n=40))
    c = c.at[0].set(0.0).at[1].set(1.0)

    def total(c: jax.Array, y: jax.Array) -> jax.Array:
        one = jnp.ones(40)
        parts = [*decomposition.corp(c, y, one), *decomposition.corp(c, y, one, "log")]
        parts += [
            *decomposition.log_decomposition(c, y, one),
            calibration.sweep_error(c, y, one)[0],
        ]
        return jnp.sum(jnp.stack(parts))

    for slope in jax.jit(jax.grad(total, argnums=(0, 1)))(c, y):
        assert np.isfinite(slope).all()


def plain_sweep(c: np.ndarray, y: np.ndarray) -> tuple[float, int]:
    order = np.argsort(c)
    c, y = c[order], y[order]
    kept = abs(y.mean() - c.mean()), 1
    for bins in range(2, 33):
        place = np.floor((np.arange(len(c)) + 0.5) / len(c) * bins + 1e-6).astype(int)
        means = [y[place == b].mean() for b in range(bins) if (place == b).any()]
        if any(b < a for a, b in itertools.pairwise(means)):
            break
        gaps = [abs((y - c)[place == b].sum()) for b in range(bins)]
        kept = sum(gaps) / len(c), bins
    return kept


@pytest.mark.parametrize("n", [1, 7, 150, 900])
def test_sweep_agrees_with_a_plain_loop(n: int) -> None:
    sweep = jax.jit(calibration.sweep_error)
    for seed in range(4):
        c, y = sample(seed, n=n)
        value, bins = sweep(jnp.asarray(c), jnp.asarray(y), jnp.ones(n))
        expected, count = plain_sweep(c, y)
        assert (float(value), int(bins)) == (pytest.approx(expected, abs=1e-9), count)


def test_classwise_top_label_and_adaptive_errors_by_loops() -> None:
    rng = np.random.default_rng(5)
    p = rng.dirichlet(np.ones(4), 300)
    answer = np.array([rng.choice(4, p=row) for row in p])
    y, one = np.eye(4)[answer], jnp.ones(300)

    def ece(c: np.ndarray, t: np.ndarray, bins: int = 10) -> tuple[float, list[float]]:
        place = np.minimum(np.floor(np.argsort(np.argsort(c)) / len(c) * bins), bins - 1)
        gaps = [abs((t - c)[place == b].mean()) for b in range(bins)]
        return float(np.mean(gaps)), gaps  # 300 items in 10 bins of 30: all of equal weight

    by_class = [ece(p[:, k], y[:, k])[0] for k in range(4)]
    found = multiclass.classwise_error(jnp.asarray(p), jnp.asarray(y), one, bins=10)
    np.testing.assert_allclose(found, np.mean(by_class), rtol=1e-9)
    found = multiclass.adaptive_error(jnp.asarray(p), jnp.asarray(y), one, bins=10)
    np.testing.assert_allclose(found, np.mean(by_class), rtol=1e-9)
    top = ece(p.max(1), (p.argmax(1) == answer).astype(float))[0]
    found = multiclass.top_label_error(jnp.asarray(p), jnp.asarray(y), one, bins=10)
    np.testing.assert_allclose(found, top, rtol=1e-9)
    tied = multiclass.top_label(jnp.array([[0.4, 0.4, 0.2]]), jnp.array([[0.0, 1.0, 0.0]]))
    np.testing.assert_allclose(tied, [[0.4], [0.5]])
