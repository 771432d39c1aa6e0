import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import brier_score_loss, roc_auc_score

from ppt_jax.evaluation import calibration, discrimination


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def sample(seed: int, n: int = 400, digits: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    c = rng.beta(2, 1, n)
    c = c if digits is None else np.round(c, digits)
    return c, (rng.random(n) < c).astype(float)


def ece(c: object, y: object, **how: object) -> float:
    c, y = jnp.asarray(c, float), jnp.asarray(y, float)
    return float(calibration.calibration_error(c, y, jnp.ones(len(c)), **how))


def test_known_values() -> None:
    c, y = [1.0] * 50 + [0.95] * 50, [1] * 25 + [0] * 25 + [1] * 50
    assert ece(c, y, scheme="width", bins=10) == pytest.approx(0.225)
    assert ece(c, y, scheme="distinct") == pytest.approx(0.275)
    c, y = [1.0] * 50 + [0.9] * 50, [1] * 25 + [0] * 25 + [1] * 45 + [0] * 5
    assert ece(c, y, scheme="distinct") == pytest.approx(0.25)
    for scheme in ("distinct", "width", "mass"):
        assert ece([0.0], [1.0], scheme=scheme) == pytest.approx(1.0)
        assert ece([1.0], [0.0], scheme=scheme) == pytest.approx(1.0)


def test_binned_errors_agree_with_a_plain_loop() -> None:
    c, y = sample(0)
    for bins in (7, 15):
        index = np.minimum((c * bins).astype(int), bins - 1)
        gaps = np.array(
            [abs((y - c)[index == b].mean()) if (index == b).any() else 0 for b in range(bins)]
        )
        share = np.bincount(index, minlength=bins) / len(c)
        assert ece(c, y, scheme="width", bins=bins) == pytest.approx((share * gaps).sum())
        assert ece(c, y, scheme="width", bins=bins, norm=2) == pytest.approx(
            np.sqrt((share * gaps**2).sum())
        )
        assert ece(c, y, scheme="width", bins=bins, norm=np.inf) == pytest.approx(gaps.max())
    order = np.argsort(c)
    parts = np.array_split(order, 8)  # 400 items without ties: equal mass is equal counts
    mass = sum(len(p) / len(c) * abs((y - c)[p].mean()) for p in parts)
    assert ece(c, y, scheme="mass", bins=8) == pytest.approx(mass)


def test_multiples_of_a_tenth_fall_into_their_own_bins_in_any_precision() -> None:
    c, y = sample(1, n=3000, digits=1)
    exact = ece(c, y, scheme="distinct")
    assert ece(np.float32(c), y, scheme="distinct") == pytest.approx(exact, abs=1e-6)
    # eleven values, ten bins: only 1.0 shares a bin, with 0.9
    merged = np.where(c >= 0.95, 0.9, c)
    by_hand = sum(
        (merged == v).mean() * abs((y - c)[merged == v].mean()) for v in np.unique(merged)
    )
    assert ece(c, y, scheme="width", bins=10) == pytest.approx(by_hand)
    assert ece(np.float32(c), y, scheme="width", bins=10) == pytest.approx(by_hand, abs=1e-6)


def test_mass_bins_never_split_ties() -> None:
    c, _ = sample(2, n=500, digits=1)
    index = np.asarray(calibration.bin_index(jnp.asarray(c), jnp.ones(500), "mass", 15))
    for value in np.unique(c):
        assert len(set(index[c == value])) == 1


@pytest.mark.parametrize("scheme", ["distinct", "width", "mass"])
def test_order_padding_and_repetition_do_not_matter(scheme: calibration.Scheme) -> None:
    rng = np.random.default_rng(3)
    c, y = sample(3, n=120, digits=2)
    w = rng.integers(0, 3, 120).astype(float)
    arguments = [jnp.asarray(x) for x in (c, y, w)]

    def both(c: jax.Array, y: jax.Array, w: jax.Array) -> np.ndarray:
        first = calibration.calibration_error(c, y, w, scheme=scheme, bins=5)
        parts = calibration.brier_decomposition(c, y, w, scheme=scheme, bins=5)
        smooth = calibration.smooth_calibration_error(c, y, w)[0]
        return np.array([first, *parts, smooth, discrimination.auroc(c, y, w)])

    expected = both(*arguments)
    shuffled = rng.permutation(120)
    np.testing.assert_allclose(
        both(*(x[shuffled] for x in arguments)), expected, rtol=1e-9, atol=1e-12
    )
    padded = [jnp.pad(x, (0, 30)) for x in arguments]
    np.testing.assert_allclose(both(*padded), expected, rtol=1e-9, atol=1e-12)
    repeated = [jnp.asarray(np.repeat(x, w.astype(int))) for x in (c, y, np.ones(120))]
    np.testing.assert_allclose(both(*repeated), expected, rtol=1e-9, atol=1e-12)


def test_decomposition_adds_up_for_hard_and_soft_outcomes() -> None:
    rng = np.random.default_rng(4)
    c, y = sample(4)
    for target in (y, rng.random(len(c))):
        for scheme in ("distinct", "width", "mass"):
            parts = calibration.brier_decomposition(
                jnp.asarray(c), jnp.asarray(target), jnp.ones(len(c)), scheme=scheme, bins=9
            )
            total = (
                parts.reliability
                - parts.resolution
                + parts.uncertainty
                + parts.within_bin_variance
                - parts.within_bin_covariance
            )
            np.testing.assert_allclose(total, ((c - target) ** 2).mean(), atol=1e-12)
            np.testing.assert_allclose(parts.brier, ((c - target) ** 2).mean(), atol=1e-12)
    assert float(parts.brier) != brier_score_loss(y, c)  # the last target was soft
    hard = calibration.brier_decomposition(jnp.asarray(c), jnp.asarray(y), jnp.ones(len(c)))
    np.testing.assert_allclose(hard.brier, brier_score_loss(y, c), rtol=1e-12)


def test_debiased_error_subtracts_the_sampling_variance() -> None:
    c, y = np.repeat([0.2, 0.7], [10, 20]), np.tile([1.0, 0.0, 0.0, 1.0, 1.0, 0.0], 5)
    expected = 0.0
    for value in (0.2, 0.7):
        own = y[c == value]
        gap = (own.mean() - value) ** 2 - own.var(ddof=1) / len(own)
        expected += len(own) / 30 * gap
    found = calibration.debiased_error(
        jnp.asarray(c), jnp.asarray(y), jnp.ones(30), scheme="distinct"
    )
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def brute_smooth_error(c: np.ndarray, y: np.ndarray, sigma: float) -> float:
    t = np.linspace(0, 1, 4001)
    images = [c + 2 * k for k in range(-2, 3)] + [-c + 2 * k for k in range(-2, 3)]
    kernel = sum(scipy.stats.norm.pdf(t[:, None], image, sigma) for image in images)
    return float(np.trapezoid(np.abs(kernel @ (y - c)) / len(c), t))


def test_smooth_error_agrees_with_brute_force() -> None:
    c, y = sample(5, n=300)
    y[: len(y) // 3] = 0  # far from calibrated
    residual = calibration.deposit(jnp.asarray(c), jnp.asarray((y - c) / len(c)), 1024)
    for sigma in (0.02, 0.05, 0.1):
        smoothed = calibration.smooth_grid(residual, jnp.asarray(sigma))
        found = float(jnp.abs(smoothed).sum())
        assert found == pytest.approx(brute_smooth_error(c, y, sigma), abs=5e-6)
    value, sigma = calibration.smooth_calibration_error(
        jnp.asarray(c), jnp.asarray(y), jnp.ones(len(c))
    )
    assert float(value) == pytest.approx(float(sigma), abs=2e-4)  # the fixed point
    assert float(value) == pytest.approx(brute_smooth_error(c, y, float(sigma)), abs=5e-6)


def test_coarser_grid_of_the_tables_is_close_enough() -> None:
    c, y = sample(6, n=300)
    arguments = (jnp.asarray(c), jnp.asarray(y), jnp.ones(300))
    fine = calibration.smooth_calibration_error(*arguments, cells=1024)[0]
    coarse = calibration.smooth_calibration_error(*arguments, cells=256)[0]
    assert float(coarse) == pytest.approx(float(fine), abs=3e-4)


def test_null_of_calibrated_confidences_matches_the_published_table() -> None:
    # notes: Beta(2,1) confidences, n = 300: ECE-10 .055, ECE-15 .068, equal mass .071, smooth .045
    def errors(key: jax.Array) -> jax.Array:
        first, second = jax.random.split(key)
        c = jax.random.beta(first, 2.0, 1.0, (300,))
        y = (jax.random.uniform(second, (300,)) < c).astype(c.dtype)
        w = jnp.ones(300)
        return jnp.stack(
            [
                calibration.calibration_error(c, y, w, scheme="width", bins=10),
                calibration.calibration_error(c, y, w, scheme="width", bins=15),
                calibration.calibration_error(c, y, w, scheme="mass", bins=15),
                calibration.smooth_calibration_error(c, y, w, cells=256)[0],
                calibration.debiased_error(c, y, w, scheme="width", bins=15),
            ]
        )

    found = jax.jit(jax.vmap(errors))(jax.random.split(jax.random.key(0), 200)).mean(0)
    np.testing.assert_allclose(found[:4], [0.055, 0.068, 0.071, 0.045], atol=0.004)
    assert abs(float(found[4])) < 1e-3


def test_auroc_agrees_with_scikit_learn_under_heavy_ties() -> None:
    c, y = sample(7, digits=1)
    w = np.random.default_rng(8).random(len(c))
    found = discrimination.auroc(jnp.asarray(c), jnp.asarray(y), jnp.asarray(w))
    np.testing.assert_allclose(found, roc_auc_score(y, c, sample_weight=w), rtol=1e-9)
    assert np.isnan(discrimination.auroc(jnp.asarray(c), jnp.ones(len(c)), jnp.asarray(w)))


def test_empty_input_is_nan_and_never_zero() -> None:
    c, y, w = jnp.array([0.3, 0.6]), jnp.array([0.0, 1.0]), jnp.zeros(2)
    assert np.isnan(calibration.calibration_error(c, y, w))
    assert np.isnan(calibration.debiased_error(c, y, w))
    assert np.isnan(calibration.smooth_calibration_error(c, y, w)[0])
    assert all(np.isnan(part) for part in calibration.brier_decomposition(c, y, w))


def test_gradients_are_finite() -> None:
    c, y = (jnp.asarray(x) for x in sample(9, n=64))
    c = c.at[0].set(0.0).at[1].set(1.0)
    w = jnp.ones(64)

    def total(c: jax.Array) -> jax.Array:
        binned = calibration.calibration_error(c, y, w) + calibration.debiased_error(c, y, w)
        return binned + calibration.smooth_calibration_error(c, y, w)[0]

    assert np.isfinite(jax.jit(jax.grad(total))(c)).all()


def test_reliability_curve_is_the_kernel_regression() -> None:
    c, y = sample(10, n=200)
    weight = calibration.deposit(jnp.asarray(c), jnp.ones(200), 512)
    hits = calibration.deposit(jnp.asarray(c), jnp.asarray(y), 512)
    curve, density = calibration.reliability_curve(weight, hits, jnp.asarray(0.1))
    t = (np.arange(512) + 0.5) / 512
    images = [c + 2 * k for k in (-1, 0, 1)] + [-c + 2 * k for k in (-1, 0, 1)]
    kernel = sum(scipy.stats.norm.pdf(t[:, None], image, 0.1) for image in images)
    np.testing.assert_allclose(curve, kernel @ y / kernel.sum(1), atol=1e-3)
    np.testing.assert_allclose(density, kernel.sum(1) / 200, atol=1e-2)
