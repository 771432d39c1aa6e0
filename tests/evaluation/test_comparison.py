import itertools
from collections.abc import Iterator

import jax
import numpy as np
import pytest
import scipy.stats

from ppt_jax.errors import UserError
from ppt_jax.evaluation import comparison, intervals


@pytest.fixture(autouse=True)
def _float64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def names(n: int) -> list[str]:
    return [f"s{k}" for k in range(n)]


def test_holm_and_benjamini_hochberg() -> None:
    p = np.random.default_rng(0).random(12) ** 3
    np.testing.assert_allclose(
        comparison.benjamini_hochberg(p), scipy.stats.false_discovery_control(p), rtol=1e-12
    )
    # Holm by its definition: reject in order while p_(j) <= alpha / (T - j)
    adjusted = comparison.holm(p)
    for alpha in np.linspace(0.001, 0.999, 300):
        rejected = np.zeros(12, bool)
        for j, place in enumerate(np.argsort(p)):
            if p[place] > alpha / (12 - j):
                break
            rejected[place] = True
        np.testing.assert_array_equal(adjusted <= alpha, rejected)
    with_gap = comparison.holm([0.01, float("nan"), 0.5])
    np.testing.assert_allclose(with_gap, [0.02, np.nan, 0.5])
    assert comparison.holm([]).shape == (0,)
    with pytest.raises(UserError, match=r"\[0, 1\]"):
        comparison.holm([1.2])


def test_mcnemar_is_the_exact_binomial_test() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.random(30) < 0.7, rng.random(30) < 0.4
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    n = only_a + only_b
    pmf = scipy.stats.binom.pmf(np.arange(n + 1), n, 0.5)
    expected = pmf[pmf <= pmf[only_a] * (1 + 1e-9)].sum()
    assert comparison.mcnemar(a, b) == pytest.approx(expected)
    assert comparison.mcnemar(a, a) == 1.0
    assert np.isnan(comparison.mcnemar([], []))


def test_standard_error_of_single_item_clusters_is_the_usual_one() -> None:
    x = np.random.default_rng(2).normal(size=40)
    found = intervals.clustered_standard_error(x, np.ones(40), names(40))
    assert found == pytest.approx(scipy.stats.sem(x))
    # items repeated within clusters carry no news
    again = intervals.clustered_standard_error(
        np.repeat(x, 3), np.ones(120), np.repeat(names(40), 3).tolist()
    )
    assert again == pytest.approx(found)
    weighted = intervals.clustered_standard_error(x, np.full(40, 2.5), names(40))
    assert weighted == pytest.approx(found)
    assert np.isnan(intervals.clustered_standard_error(x, np.ones(40), ["a"] * 40))


def test_standard_error_covers_under_clustering() -> None:
    rng = np.random.default_rng(3)
    cluster = np.repeat(np.arange(50), 4)
    ids = [f"c{c}" for c in cluster]
    hits = 0
    for _ in range(400):
        x = rng.normal(size=50)[cluster] + 0.5 * rng.normal(size=200)
        error = intervals.clustered_standard_error(x, np.ones(200), ids)
        hits += abs(x.mean()) <= 1.96 * error
    assert 0.91 <= hits / 400 <= 0.98


def test_bca_agrees_with_scipy() -> None:
    x = np.random.default_rng(4).lognormal(size=60)
    own = intervals.bootstrap_mean(x, np.ones(60), names(60), replicates=8000, method="bca")
    other = scipy.stats.bootstrap(
        (x,), np.mean, n_resamples=8000, method="BCa", rng=np.random.default_rng(0)
    ).confidence_interval
    assert own.low == pytest.approx(other.low, abs=0.04)
    assert own.high == pytest.approx(other.high, abs=0.06)
    plain = intervals.bootstrap_mean(x, np.ones(60), names(60), replicates=8000)
    assert own.high > plain.high  # skewed to the right, so BCa reaches further up
    constant = intervals.bootstrap_mean(np.ones(5), np.ones(5), names(5), method="bca")
    assert (constant.low, constant.high) == (1.0, 1.0)
    assert np.isnan(intervals.bca_interval(float("nan"), np.ones(3), np.ones(3))[0])


def test_jackknife_leaves_each_cluster_out() -> None:
    total, count = np.array([1.0, 5.0, 4.0]), np.array([1.0, 2.0, 2.0])
    np.testing.assert_allclose(intervals.jackknife_means(total, count), [9 / 4, 5 / 3, 6 / 3])


def test_two_level_interval_holds_seeds_and_items() -> None:
    """The variance of the interval is that of both levels (two-way random effects)."""
    rng = np.random.default_rng(5)
    seeds, items = 12, 60
    seed_effect, item_effect = rng.normal(size=(seeds, 1)), 3 * rng.normal(size=(1, items))
    x = seed_effect + item_effect + 0.1 * rng.normal(size=(seeds, items))
    found = intervals.two_level_bootstrap(x, np.ones(items), names(items), replicates=4000)
    variance = seed_effect.var() / seeds + item_effect.var() / items
    assert found.value == pytest.approx(x.mean())
    assert (found.high - found.low) / (2 * 1.96) == pytest.approx(variance**0.5, rel=0.1)
    one = intervals.two_level_bootstrap(x[:1], np.ones(items), names(items), replicates=500)
    plain = intervals.bootstrap_mean(x[0], np.ones(items), names(items), replicates=500)
    assert (one.low, one.high) == pytest.approx((plain.low, plain.high))
    with pytest.raises(UserError, match="one row for each seed"):
        intervals.two_level_bootstrap(x[0], np.ones(items), names(items))
    empty = intervals.two_level_bootstrap(x, np.zeros(items), names(items))
    assert np.isnan(empty.value)


def test_comparison_counts_and_agrees_with_its_parts() -> None:
    rng = np.random.default_rng(6)
    cluster = [f"c{k // 2}" for k in range(60)]
    b = rng.gamma(2, 1, 60)
    a = b - 0.3 + 0.2 * rng.normal(size=60)
    a[:4] = b[:4]
    weight = np.ones(60)
    weight[5], a[5] = 0, np.nan
    found = comparison.compare(a, b, weight, cluster)
    gap = (a - b)[weight > 0]
    assert found.difference == pytest.approx(gap.mean())
    assert (found.n, found.n_clusters) == (59, 30)
    assert (found.lower, found.tied, found.higher) == ((gap < 0).sum(), 4, (gap > 0).sum())
    assert found.high < 0
    assert found.p_value < 0.01
    assert found.minimum_detectable == pytest.approx(2.8016 * found.standard_error, rel=1e-3)
    reverse = comparison.compare(b, a, weight, cluster)
    assert (reverse.low, reverse.high) == pytest.approx((-found.high, -found.low))
    assert reverse.p_value == found.p_value
    empty = comparison.compare(a, b, np.zeros(60), cluster)
    assert np.isnan([empty.difference, empty.low, empty.p_value, empty.minimum_detectable]).all()


def test_comparison_refuses_what_does_not_pair() -> None:
    with pytest.raises(UserError, match="item 1"):
        comparison.compare([1.0, np.nan], [1.0, 1.0], np.ones(2), ["a", "b"])
    with pytest.raises(UserError, match="2 and 1 scores"):
        comparison.compare([1.0, 2.0], [1.0], np.ones(2), ["a", "b"])


def test_minimum_detectable_effect_has_its_power() -> None:
    """A true difference of that size is found in 80% of simulated comparisons."""
    error = 0.1
    effect = comparison.minimum_detectable_effect(error)
    power = 1 - scipy.stats.norm.cdf(1.959964 - effect / error)
    assert power == pytest.approx(0.8, abs=1e-3)
    assert comparison.items_needed(effect / 2, error, 100) == pytest.approx(400)
    assert comparison.items_needed(0.0, error, 100) == float("inf")


def test_sign_flip_of_a_null_is_uniform() -> None:
    """Exact p-values under the null: P(p <= alpha) <= alpha at every alpha, by enumeration."""
    size = np.random.default_rng(7).normal(size=7)
    values = []
    for signs in itertools.product([-1, 1], repeat=7):
        values.append(intervals.sign_flip_p_value(size * signs, np.ones(7), names(7)))
    for alpha in (0.05, 0.1, 0.3):
        assert np.mean(np.array(values) <= alpha) <= alpha
