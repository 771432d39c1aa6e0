from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from ppt_jax.errors import UserError
from ppt_jax.evaluation import correlation


@pytest.fixture(autouse=True)
def _float64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def test_correlations_agree_with_scipy_under_ties() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 6, 60).astype(float)
    y = x + rng.integers(0, 5, 60)
    one = jnp.ones(60)
    found = correlation.spearman(jnp.asarray(x), jnp.asarray(y), one)
    np.testing.assert_allclose(found, scipy.stats.spearmanr(x, y).statistic, rtol=1e-12)
    np.testing.assert_allclose(
        correlation.weighted_ranks(jnp.asarray(x), one) + 0.5, scipy.stats.rankdata(x), rtol=1e-12
    )
    np.testing.assert_allclose(
        correlation.rmse(jnp.asarray(x), jnp.asarray(y), one), np.sqrt(np.mean((x - y) ** 2))
    )


def test_weights_are_repetitions_and_padding() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.integers(0, 9, 40).astype(float), rng.normal(size=40)
    w = rng.integers(0, 4, 40)
    x[w == 0] = np.nan
    long = np.repeat(x, w), np.repeat(y, w)
    found = [
        float(f(jnp.asarray(x), jnp.asarray(y), jnp.asarray(w, float)))
        for f in (correlation.scores.pearson, correlation.spearman, correlation.rmse)
    ]
    expected = [
        scipy.stats.pearsonr(*long).statistic,
        scipy.stats.spearmanr(*long).statistic,
        np.sqrt(np.mean((long[0] - long[1]) ** 2)),
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    assert np.isnan(correlation.spearman(jnp.ones(4), jnp.arange(4.0), jnp.ones(4)))


def test_interval_of_the_correlation_agrees_with_scipy() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=150)
    y = 0.7 * x + rng.normal(size=150)
    own = correlation.agreement(x, y)
    other = scipy.stats.bootstrap(
        (x, y),
        lambda a, b: scipy.stats.pearsonr(a, b).statistic,
        paired=True,
        vectorized=False,
        n_resamples=1000,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    assert own.pearson.value == pytest.approx(scipy.stats.pearsonr(x, y).statistic)
    assert own.spearman.value == pytest.approx(scipy.stats.spearmanr(x, y).statistic)
    assert own.pearson.low == pytest.approx(other.low, abs=0.03)
    assert own.pearson.high == pytest.approx(other.high, abs=0.03)
    with_gap = correlation.agreement(np.append(x, np.nan), np.append(y, 1.0))
    assert with_gap.n == 150
    assert with_gap.rmse.value == pytest.approx(own.rmse.value)
    doubled = correlation.agreement(np.tile(x, 2), np.tile(y, 2), cluster_ids=list("ab") * 150)
    assert doubled.n_clusters == 2


def test_spearman_brown_and_ceiling_by_simulation() -> None:
    """Two full groups correlate as Spearman-Brown says; the truth with one group as the ceiling."""
    rng = np.random.default_rng(3)
    subjects, items, noise = 12, 4000, 2.0
    truth = rng.normal(size=items)
    first, second = (truth + noise * rng.normal(size=(subjects, items)) for _ in range(2))
    found = correlation.split_half(first, splits=60)
    expected = 1 / (1 + noise**2 / subjects)
    assert found.reliability == pytest.approx(expected, abs=0.02)
    groups = np.corrcoef(first.mean(0), second.mean(0))[0, 1]
    assert found.reliability == pytest.approx(groups, abs=0.02)
    assert found.ceiling == pytest.approx(np.corrcoef(truth, first.mean(0))[0, 1], abs=0.02)
    assert found.low <= found.r <= found.high


def test_split_half_by_enumeration_of_halves_with_gaps() -> None:
    values = np.random.default_rng(4).normal(size=(4, 7)) + np.arange(7)
    values[0, 3] = np.nan
    found = correlation.split_half(values, splits=4000)
    rs = []
    for a, b in (((0, 1), (2, 3)), ((0, 2), (1, 3)), ((0, 3), (1, 2))):
        means = [np.nanmean(values[list(half)], axis=0) for half in (a, b)]
        rs.append(np.corrcoef(*means)[0, 1])
    assert found.r == pytest.approx(np.mean(rs), abs=0.01)
    with pytest.raises(UserError, match="at least two subjects"):
        correlation.split_half(values[:1])


def test_nothing_is_nan() -> None:
    found = correlation.agreement(np.zeros(0), np.zeros(0))
    assert np.isnan([found.pearson.value, found.spearman.value, found.rmse.value]).all()
    assert found.n == 0
