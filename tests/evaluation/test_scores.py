import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.spatial.distance
import scipy.special
import scipy.stats
import scoringrules
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, log_loss, mean_pinball_loss

from ppt_jax.evaluation import scores

K = 101
GRID = np.arange(K, dtype=float)


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def draw(seed: int, n: int = 7, k: int = K, alpha: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(k) * alpha, n) + 0.0, rng.dirichlet(np.ones(k) * alpha, n)


def test_closed_forms() -> None:
    q, p = jnp.array([0.5, 0.5]), jnp.array([0.75, 0.25])
    np.testing.assert_allclose(scores.kl_divergence(q, p), 0.14384103622589, rtol=1e-12)
    np.testing.assert_allclose(scores.jensen_shannon(q, p), 0.03382207556861, rtol=1e-10)
    i, j = scores.outcome_target(jnp.array([13, 90]), K)
    np.testing.assert_allclose(scores.wasserstein(i, j, jnp.asarray(GRID)), 77, rtol=1e-12)
    # CRPS of U(0, 1) at y is (y^3 + (1-y)^3) / 3, here on a fine grid
    n = 20_001
    uniform = jnp.full(n, 1 / n)
    place = jnp.linspace(0, 1, n)
    y = scores.outcome_target(jnp.array(6_000), n)
    np.testing.assert_allclose(scores.crps(uniform, y, place), (0.3**3 + 0.7**3) / 3, rtol=1e-3)
    normal = scipy.stats.norm.pdf(np.linspace(-8, 8, n))
    y0 = scores.outcome_target(jnp.array(n // 2), n)
    np.testing.assert_allclose(
        scores.crps(jnp.asarray(normal / normal.sum()), y0, jnp.linspace(-8, 8, n)),
        0.23369497725511,
        rtol=1e-3,
    )


def test_distances_agree_with_scipy() -> None:
    p, q = draw(0)
    kl = scipy.special.rel_entr(q, np.maximum(p, scores.EPS)).sum(-1)
    np.testing.assert_allclose(scores.kl_divergence(q, p), kl, rtol=1e-10)
    np.testing.assert_allclose(scores.entropy(q), scipy.stats.entropy(q, axis=-1), rtol=1e-10)
    js = [scipy.spatial.distance.jensenshannon(a, b) ** 2 for a, b in zip(p, q, strict=True)]
    np.testing.assert_allclose(scores.jensen_shannon(p, q), js, rtol=1e-8)
    np.testing.assert_allclose(scores.total_variation(p, q), abs(p - q).sum(-1) / 2, rtol=1e-12)
    w1 = [scipy.stats.wasserstein_distance(GRID, GRID, a, b) for a, b in zip(p, q, strict=True)]
    np.testing.assert_allclose(scores.wasserstein(p, q, GRID), w1, rtol=1e-8)
    energy = [
        scipy.stats.energy_distance(GRID, GRID, a, b) ** 2 / 2 for a, b in zip(p, q, strict=True)
    ]
    np.testing.assert_allclose(scores.crps(p, q, GRID), energy, rtol=1e-8)


def test_outcome_scores_agree_with_other_libraries() -> None:
    p, _ = draw(1, n=20)
    y = np.random.default_rng(2).integers(0, K, 20)
    target = scores.outcome_target(jnp.asarray(y), K)
    ensemble = scoringrules.crps_ensemble(
        y.astype(float), np.tile(GRID, (20, 1)), ens_w=p, estimator="nrg"
    )
    np.testing.assert_allclose(scores.crps(p, target, GRID), ensemble, rtol=1e-8)
    small, _ = draw(3, n=20, k=4, alpha=1.0)
    y4 = np.arange(20) % 4
    target4 = scores.outcome_target(jnp.asarray(y4), 4)
    np.testing.assert_allclose(
        scores.ranked_probability_score(small, target4),
        [scoringrules.rps_score(int(a) + 1, b) for a, b in zip(y4, small, strict=True)],
        rtol=1e-8,
    )
    np.testing.assert_allclose(
        scores.ranked_probability_score(small, target4, normalise=True),
        scores.ranked_probability_score(small, target4) / 3,
    )
    np.testing.assert_allclose(
        scores.log_score(small, target4).mean(), log_loss(y4, small, labels=range(4)), rtol=1e-9
    )
    two = small[:, :2] / small[:, :2].sum(-1, keepdims=True)
    y2 = y4 % 2
    half = brier_score_loss(y2, two[:, 1])
    target2 = scores.outcome_target(jnp.asarray(y2), 2)
    np.testing.assert_allclose(scores.brier(two, target2).mean(), 2 * half, rtol=1e-9)


def test_pinball_and_interval_score() -> None:
    rng = np.random.default_rng(4)
    y, guess = rng.normal(size=50), rng.normal(size=50)
    np.testing.assert_allclose(
        scores.pinball(guess, y, 0.9).mean(), mean_pinball_loss(y, guess, alpha=0.9), rtol=1e-9
    )
    low, high = guess - 1, guess + 0.5
    np.testing.assert_allclose(
        scores.interval_score(low, high, y, 0.8),
        scoringrules.interval_score(y, low, high, 0.2),
        rtol=1e-9,
    )
    p, _ = draw(5, n=30)
    level = 0.35
    expected = [GRID[np.searchsorted(np.cumsum(row), level - 1e-6)] for row in p]
    np.testing.assert_array_equal(scores.quantile(p, jnp.asarray(GRID), level), expected)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), k=st.sampled_from([2, 5, 101]), alpha=st.floats(0.05, 5))
def test_score_mode_is_entropy_plus_divergence(seed: int, k: int, alpha: float) -> None:
    with jax.enable_x64(True):
        p, q = draw(seed, n=3, k=k, alpha=alpha)
        grid = np.linspace(0, 100, k)
        for score in (
            lambda a, b, m: scores.crps(a, b, grid, m),
            lambda a, b, m: scores.brier(a, b, m),
            lambda a, b, m: scores.ranked_probability_score(a, b, m),
            lambda a, b, m: scores.log_score(a, b, m, eps=1e-300),
        ):
            gap = score(p, q, "score") - score(q, q, "score")
            np.testing.assert_allclose(gap, score(p, q, "divergence"), rtol=1e-7, atol=1e-9)
            # and the score really is the expectation over outcomes drawn from q
            each = score(p[:, None, :], np.eye(k)[None], "score")
            kept = np.where(q > 0, q * each, 0).sum(-1)
            np.testing.assert_allclose(score(p, q, "score"), kept, rtol=1e-7, atol=1e-9)
            assert np.all(np.asarray(score(p, q, "divergence")) >= -1e-12)


def test_divergences_vanish_only_at_equality() -> None:
    p, q = draw(6, alpha=1.0)
    for distance in (
        scores.kl_divergence,
        scores.jensen_shannon,
        scores.total_variation,
        scores.brier,
        lambda a, b: scores.wasserstein(a, b, GRID),
        lambda a, b: scores.crps(a, b, GRID),
    ):
        np.testing.assert_allclose(distance(p, p), 0, atol=1e-9)
        assert np.all(np.asarray(distance(p, q)) > 1e-6)


def test_answers_of_no_mass_may_be_appended() -> None:
    p, q = draw(7, k=6, alpha=1.0)
    position = np.arange(6.0) * 20
    wide = [np.pad(x, ((0, 0), (0, 5))) for x in (p, q)]
    far = np.pad(position, (0, 5), mode="edge")
    for name in ("kl_divergence", "jensen_shannon", "total_variation", "brier", "cross_entropy"):
        score = getattr(scores, name)
        np.testing.assert_allclose(score(*wide), score(p, q), rtol=1e-12)
    np.testing.assert_allclose(scores.crps(*wide, far), scores.crps(p, q, position), rtol=1e-12)
    np.testing.assert_allclose(
        scores.wasserstein(*wide, far), scores.wasserstein(p, q, position), rtol=1e-12
    )


def test_pit_is_exactly_uniform_when_the_model_is_right() -> None:
    p, _ = draw(8, n=5)
    edges = np.linspace(0, 1, 11)
    y = np.arange(K)
    for row in p:
        share = scores.pit_share(
            jnp.tile(row, (K, 1)), jnp.asarray(y), jnp.asarray(edges[:-1]), jnp.asarray(edges[1:])
        )
        np.testing.assert_allclose(row @ np.asarray(share), 0.1, atol=1e-9)
        levels = jnp.array([0.5, 0.8, 0.9, 0.95])
        cover = scores.coverage(jnp.tile(row, (K, 1)), jnp.asarray(y), levels)
        np.testing.assert_allclose(row @ np.asarray(cover), levels, atol=1e-9)


def test_randomised_pit_matches_its_exact_share() -> None:
    rng = np.random.default_rng(9)
    p = rng.dirichlet(np.ones(5))
    u = rng.random(200_000)
    pit = scores.randomised_pit(jnp.tile(p, (u.size, 1)), jnp.full(u.size, 2), jnp.asarray(u))
    edges = np.linspace(0, 1, 6)
    counts = np.histogram(np.asarray(pit), edges)[0] / u.size
    share = scores.pit_share(p[None], jnp.array([2]), edges[:-1], edges[1:])[0]
    np.testing.assert_allclose(counts, share, atol=5e-3)


def test_pit_of_an_impossible_outcome_is_a_point() -> None:
    p = jnp.array([[0.0, 1.0, 0.0]])
    from_L, to_L = jnp.array([0.0, 0.5]), jnp.array([0.5, 1.0])
    np.testing.assert_array_equal(scores.pit_share(p, jnp.array([0]), from_L, to_L), [[1, 0]])
    np.testing.assert_array_equal(scores.pit_share(p, jnp.array([2]), from_L, to_L), [[0, 1]])


def test_weights_mean_repetition_and_absence() -> None:
    x = jnp.array([1.0, 4.0, jnp.nan, 2.0])
    w = jnp.array([2.0, 1.0, 0.0, 3.0])
    repeated = jnp.array([1.0, 1.0, 4.0, 2.0, 2.0, 2.0])
    np.testing.assert_allclose(scores.weighted_mean(x, w), repeated.mean())
    assert np.isnan(scores.weighted_mean(x, jnp.zeros(4)))
    rng = np.random.default_rng(10)
    a, b, w4 = rng.normal(size=9), rng.normal(size=9), rng.integers(0, 4, 9)
    expected = np.corrcoef(np.repeat(a, w4), np.repeat(b, w4))[0, 1]
    np.testing.assert_allclose(scores.pearson(a, b, jnp.asarray(w4)), expected, rtol=1e-10)
    assert np.isnan(scores.pearson(jnp.ones(9), b, jnp.ones(9)))


def test_gradients_are_finite_at_the_edges() -> None:
    grid = jnp.asarray(GRID)
    q = jnp.zeros(K).at[3].set(1.0)
    truth = scores.outcome_target(jnp.array(3), K)

    def total(logits: jax.Array) -> jax.Array:
        p = jax.nn.softmax(logits)
        return (
            scores.kl_divergence(q, p)
            + scores.cross_entropy(p, q)
            + scores.jensen_shannon(p, q)
            + scores.total_variation(p, q)
            + scores.wasserstein(p, q, grid)
            + scores.crps(p, truth, grid, "score")
            + scores.brier(p, truth)
            + scores.mean(p, grid)
            + scores.spread(p, grid)
        )

    gradient = jax.jit(jax.grad(total))
    for logits in (jnp.zeros(K), jnp.zeros(K).at[3].set(900.0), jnp.zeros(K).at[90].set(900.0)):
        assert np.isfinite(gradient(logits)).all()
    batched = jax.jit(jax.vmap(jax.grad(total)))(jnp.zeros((2, K)))
    np.testing.assert_allclose(batched[0], gradient(jnp.zeros(K)), rtol=1e-9, atol=1e-12)


def test_spread_of_a_wide_distribution_is_its_standard_deviation() -> None:
    uniform = jnp.full(K, 1 / K)
    # a uniform answer over 101 cells of width 1 is uniform on a length of 101
    np.testing.assert_allclose(scores.spread(uniform, jnp.asarray(GRID)), 101 / 12**0.5, rtol=1e-9)


def test_quantile_and_weighted_interval_scores() -> None:
    p, q = draw(11, n=25)
    y = np.random.default_rng(12).integers(0, K, 25)
    target = scores.outcome_target(jnp.asarray(y), K)
    levels = (0.5, 0.8, 0.9, 0.95)
    alpha = 1 - np.array(levels)
    ends = [scores.central_interval(p, GRID, level) for level in levels]
    low, high = (np.stack([np.asarray(e[side]) for e in ends], axis=1) for side in (0, 1))
    middle = np.asarray(scores.quantile(p, GRID, 0.5))
    expected = scoringrules.weighted_interval_score(
        y.astype(float), middle, low, high, alpha, w_median=0.5, w_alpha=alpha / 2
    )
    # scoringrules 0.10 adds the median itself in place of its distance from the outcome
    expected = expected + 0.5 * (abs(y - middle) - middle) / (len(levels) + 0.5)
    for mode in ("score", "divergence"):
        found = scores.weighted_interval_score(p, target, GRID, levels, mode)
        np.testing.assert_allclose(found, expected, rtol=1e-9)
    many = tuple(np.linspace(0.005, 0.995, 200))
    dense = np.asarray(scores.weighted_interval_score(p, target, GRID, many, "score"))
    np.testing.assert_allclose(dense, scores.crps(p, target, GRID), rtol=0.05, atol=0.1)
    # divergence: expectation over the target less the target's own, never negative, 0 at p = q
    each = np.stack(
        [scores.weighted_interval_score(p, e, GRID, levels, "score") for e in np.eye(K)]
    )
    own = np.stack([scores.weighted_interval_score(q, e, GRID, levels, "score") for e in np.eye(K)])
    gap = (q * (each - own).T).sum(-1)
    found = np.asarray(scores.weighted_interval_score(p, q, GRID, levels))
    np.testing.assert_allclose(found, gap, atol=1e-9)
    assert (found >= -1e-9).all()
    np.testing.assert_allclose(scores.quantile_score(q, q, GRID, 0.3), 0, atol=1e-12)
