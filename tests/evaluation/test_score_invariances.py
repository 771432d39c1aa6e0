"""What no score may depend on: order, padding, batching, the number of hosts, compilation."""

import math
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppt_jax.evaluation import calibration, sampled, scores
from ppt_jax.evaluation.calibration import BinSums

K = 21
GRID = jnp.linspace(0.0, 100.0, K)
LEVELS = jnp.array([0.5, 0.8, 0.9, 0.95])
EDGES = jnp.linspace(0, 1, 6)


@pytest.fixture(autouse=True)
def _float64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def all_scores(p_NK: jax.Array, q_NK: jax.Array, answer_N: jax.Array) -> dict[str, jax.Array]:
    """Every per-item score of the module, [N] each."""
    y_NK = scores.outcome_target(answer_N, K).astype(p_NK.dtype)
    y_N = GRID.astype(p_NK.dtype)[answer_N]
    grid = GRID.astype(p_NK.dtype)
    low, high = scores.central_interval(p_NK, grid, 0.8)
    out = {
        "entropy": scores.entropy(p_NK),
        "js": scores.jensen_shannon(p_NK, q_NK),
        "tv": scores.total_variation(p_NK, q_NK),
        "w1": scores.wasserstein(p_NK, q_NK, grid),
        "kl_reverse": scores.kl_divergence(p_NK, q_NK),
        "mean": scores.mean(p_NK, grid),
        "spread": scores.spread(p_NK, grid),
        "quantile": scores.quantile(p_NK, grid, 0.3),
        "pinball": scores.pinball(scores.quantile(p_NK, grid, 0.3), y_N, 0.3),
        "interval_score": scores.interval_score(low, high, y_N, 0.8),
        "width": high - low,
        "pit": scores.randomised_pit(p_NK, answer_N, jnp.full(answer_N.shape, 0.4, p_NK.dtype)),
        "pit_share": scores.pit_share(p_NK, answer_N, EDGES[:-1], EDGES[1:])[..., 2],
        "coverage": scores.coverage(p_NK, answer_N, LEVELS)[..., 1],
        "temper": scores.temper(jnp.log(p_NK + 1e-9), jnp.asarray(2.0, p_NK.dtype))[..., 3],
        "tv_floor": sampled.total_variation_floor(q_NK, 50.0),
        "w1_floor": sampled.wasserstein_floor(q_NK, grid, 50.0),
        "fair_crps": sampled.fair_crps_divergence(p_NK, q_NK, grid, 50.0),
        "fair_brier": sampled.fair_brier_divergence(p_NK, q_NK, 50.0),
    }
    modes: tuple[scores.Mode, ...] = ("score", "divergence")
    for mode in modes:
        for name, target in (("label", q_NK), ("truth", y_NK)):
            out |= {
                f"crps_{name}_{mode}": scores.crps(p_NK, target, grid, mode),
                f"rps_{name}_{mode}": scores.ranked_probability_score(
                    p_NK, target, mode, normalise=True
                ),
                f"brier_{name}_{mode}": scores.brier(p_NK, target, mode),
                f"log_{name}_{mode}": scores.log_score(p_NK, target, mode),
                f"wis_{name}_{mode}": scores.weighted_interval_score(p_NK, target, grid, mode=mode),
            }
    return out


def sample(seed: int, n: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    rng = np.random.default_rng(seed)
    p, q = rng.dirichlet(np.full(K, 0.5), n), rng.dirichlet(np.full(K, 0.5), n)
    p[0], q[0] = np.eye(K)[3], np.eye(K)[17]  # certain and wrong
    q[1] = np.eye(K)[0]
    return jnp.asarray(p), jnp.asarray(q), jnp.asarray(rng.integers(0, K, n))


jitted: Callable[..., dict[str, jax.Array]] = jax.jit(all_scores)


def test_compiled_batched_and_turned_items_score_the_same() -> None:
    p, q, y = sample(0, 24)
    eager = all_scores(p, q, y)
    compiled = jitted(p, q, y)
    looped = jax.jit(jax.vmap(all_scores))(p, q, y)
    parts = [jitted(p[a : a + 8], q[a : a + 8], y[a : a + 8]) for a in (0, 8, 16)]
    turned = np.random.default_rng(1).permutation(24)
    shuffled = jitted(p[turned], q[turned], y[turned])
    for name, value in eager.items():
        assert value.shape == (24,), name
        assert np.isfinite(value).all(), name
        same = {"rtol": 1e-10, "atol": 1e-10, "err_msg": name}
        np.testing.assert_allclose(compiled[name], value, **same)
        np.testing.assert_allclose(looped[name], value, **same)
        np.testing.assert_allclose(np.concatenate([part[name] for part in parts]), value, **same)
        np.testing.assert_allclose(shuffled[name], value[turned], **same)


def test_single_precision_is_close_to_double() -> None:
    p, q, y = sample(2, 24)
    double = jitted(p, q, y)
    with jax.enable_x64(False):
        half = (jnp.asarray(p, jnp.float32), jnp.asarray(q, jnp.float32), jnp.asarray(y, jnp.int32))
        single = jax.jit(all_scores)(*half)
    for name in double.keys() - {"quantile", "pinball", "interval_score", "width"}:
        np.testing.assert_allclose(single[name], double[name], rtol=2e-4, atol=2e-4, err_msg=name)


def test_means_and_bins_combine_over_hosts() -> None:
    """Sums of parts are the sums of the whole, so a sharded evaluation changes no number."""
    rng = np.random.default_rng(3)
    x, w = rng.normal(size=30), rng.random(30)
    whole = scores.weighted_mean(jnp.asarray(x), jnp.asarray(w))
    halves = [(x[a:b], w[a:b]) for a, b in ((0, 11), (11, 30))]
    means = [float(scores.weighted_mean(jnp.asarray(a), jnp.asarray(b))) for a, b in halves]
    weights = [b.sum() for _, b in halves]
    np.testing.assert_allclose(np.average(means, weights=weights), whole)
    conf, y = rng.random(30), (rng.random(30) < 0.5).astype(float)

    def sums(rows: slice) -> BinSums:
        c, t, v = (jnp.asarray(a[rows]) for a in (conf, y, w))
        return calibration.bin_sums(c, t, v, calibration.bin_index(c, v, "width", 7), 7)

    both = BinSums(*(a + b for a, b in zip(sums(slice(0, 11)), sums(slice(11, 30)), strict=True)))
    together = sums(slice(0, 30))
    for norm in (1, 2, math.inf):
        np.testing.assert_allclose(
            calibration.error_from_sums(both, norm), calibration.error_from_sums(together, norm)
        )
    np.testing.assert_allclose(
        calibration.debiased_from_sums(both), calibration.debiased_from_sums(together)
    )
    np.testing.assert_allclose(
        calibration.decomposition_from_sums(both), calibration.decomposition_from_sums(together)
    )


def test_gradients_of_every_score_are_finite_at_certain_answers() -> None:
    _, q, y = sample(4, 6)

    def total(logits: jax.Array) -> jax.Array:
        found = all_scores(jax.nn.softmax(logits, axis=-1), q, y)
        return jnp.sum(jnp.stack([jnp.sum(v) for v in found.values()]))

    def of_target(q_NK: jax.Array) -> jax.Array:
        found = all_scores(jnp.full_like(q_NK, 1 / K), q_NK, y)
        return jnp.sum(jnp.stack([jnp.sum(v) for v in found.values()]))

    slope = jax.jit(jax.grad(total))
    for logits in (jnp.zeros((6, K)), jnp.zeros((6, K)).at[:, 4].set(900.0)):
        assert np.isfinite(slope(logits)).all()
    assert np.isfinite(jax.jit(jax.grad(of_target))(q)).all()


def test_always_one_half_scores_a_quarter() -> None:
    """ForecastBench: constant 0.5 has Brier .25 (its index 100 (1 - sqrt(.25)) is 50)."""
    half, y = jnp.full((8, 2), 0.5), scores.outcome_target(jnp.arange(8) % 2, 2)
    brier = float(scores.brier(half, y).mean()) / 2  # one-sided form
    assert brier == pytest.approx(0.25)
    assert 100 * (1 - math.sqrt(brier)) == pytest.approx(50)
