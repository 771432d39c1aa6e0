import itertools

import jax
import numpy as np
import pytest
import scipy.stats

from ppt_jax.evaluation import intervals


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def names(cluster: np.ndarray) -> list[str]:
    return [f"s{c}" for c in cluster]


def test_weights_are_draws_with_replacement() -> None:
    weights = np.asarray(intervals.bootstrap_weights(0, 30, 2000))
    assert weights.shape == (2000, 30)
    np.testing.assert_array_equal(weights.sum(1), 30)
    assert weights.mean() == pytest.approx(1)
    assert weights.var() == pytest.approx(1 - 1 / 30, rel=0.05)
    np.testing.assert_array_equal(weights, intervals.bootstrap_weights(0, 30, 2000))
    assert (weights != np.asarray(intervals.bootstrap_weights(1, 30, 2000))).any()


def test_matrix_product_equals_resampling_clusters_by_hand() -> None:
    rng = np.random.default_rng(0)
    cluster = rng.integers(0, 6, 25)
    x, w = rng.normal(size=25), rng.random(25)
    index, count = intervals.cluster_index(names(cluster))
    weights = np.asarray(intervals.bootstrap_weights(1, count, 50))
    sums = intervals.cluster_sums(np.stack([x * w, w], 1), index, count)
    found = intervals.bootstrap_means(weights, sums[:, :1], sums[:, 1:])[:, 0]
    for row, mean in zip(weights, np.asarray(found), strict=True):
        picked = np.concatenate(
            [np.flatnonzero(index == c).repeat(int(row[c])) for c in range(count)]
        )
        assert mean == pytest.approx(np.average(x[picked], weights=w[picked]))


def test_single_item_clusters_agree_with_scipy() -> None:
    x = np.random.default_rng(2).gamma(2, 1, 80)
    own = intervals.bootstrap_mean(x, np.ones(80), names(np.arange(80)), replicates=4000)
    other = scipy.stats.bootstrap(
        (x,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    assert own.value == pytest.approx(x.mean())
    assert own.low == pytest.approx(other.low, abs=0.03)
    assert own.high == pytest.approx(other.high, abs=0.03)


def test_intervals_cover_where_items_of_a_cluster_agree() -> None:
    """Ignoring clusters would cover far too rarely; resampling them covers about 95%."""
    rng = np.random.default_rng(3)
    cluster = np.repeat(np.arange(40), 5)
    weights = np.asarray(intervals.bootstrap_weights(0, 40, 400))
    item_weights = np.asarray(intervals.bootstrap_weights(0, 200, 400))
    clustered = naive = 0
    for _ in range(300):
        x = rng.normal(size=40)[cluster] + 0.3 * rng.normal(size=200)
        sums = np.bincount(cluster, x)
        low, high = intervals.percentile_interval(weights @ sums / 200)
        clustered += low <= 0 <= high
        low, high = intervals.percentile_interval(item_weights @ x / 200)
        naive += low <= 0 <= high
    assert 0.90 <= clustered / 300 <= 0.985
    assert naive / 300 < 0.75


def test_pairing_narrows_the_interval() -> None:
    rng = np.random.default_rng(4)
    shared = rng.normal(size=200) * 5
    a, b = shared + 0.1 * rng.normal(size=200) - 0.2, shared + 0.1 * rng.normal(size=200)
    ids = names(np.arange(200))
    found = intervals.bootstrap_mean(a - b, np.ones(200), ids)
    assert found.value == pytest.approx((a - b).mean())
    assert found.high < 0
    alone = intervals.bootstrap_mean(a, np.ones(200), ids)
    assert found.high - found.low < 0.1 * (alone.high - alone.low)


def test_weight_zero_is_absence_and_nothing_is_nan() -> None:
    x = np.array([1.0, np.nan, 3.0])
    ids = ["a", "b", "c"]
    found = intervals.bootstrap_mean(x, np.array([1.0, 0.0, 1.0]), ids)
    assert found.value == 2.0
    assert np.isfinite([found.low, found.high]).all()
    for empty in (
        intervals.bootstrap_mean(x, np.zeros(3), ids),
        intervals.bootstrap_mean(np.zeros(0), np.zeros(0), []),
    ):
        assert np.isnan([empty.value, empty.low, empty.high]).all()
    assert np.isnan(intervals.sign_flip_p_value(x, np.zeros(3), ids))


def test_sign_flip_agrees_with_enumeration_and_scipy() -> None:
    rng = np.random.default_rng(5)
    cluster = np.repeat(np.arange(8), 3)
    d = rng.normal(size=24) + 0.4
    sums = np.bincount(cluster, d)
    flips = np.array(list(itertools.product([-1, 1], repeat=8)))
    expected = np.mean(np.abs(flips @ sums) >= abs(sums.sum()) - 1e-12)
    assert intervals.sign_flip_p_value(d, np.ones(24), names(cluster)) == expected
    x = rng.normal(size=60) + 0.25
    own = intervals.sign_flip_p_value(x, np.ones(60), names(np.arange(60)))
    other = scipy.stats.permutation_test(
        (x,), np.mean, permutation_type="samples", n_resamples=4999, rng=rng
    ).pvalue
    assert own == pytest.approx(other, abs=0.04)


def test_columns_of_replicates_have_the_intervals_of_each() -> None:
    draws = np.random.default_rng(0).normal(size=(50, 4))
    draws[3:9, 1], draws[:, 2] = np.nan, np.nan
    found = intervals.percentile_intervals(draws, 0.9)
    alone = [intervals.percentile_interval(column, 0.9) for column in draws.T]
    np.testing.assert_array_equal(found, alone)
    assert np.isnan(found[2]).all()
    assert found[0][0] < found[0][1]
