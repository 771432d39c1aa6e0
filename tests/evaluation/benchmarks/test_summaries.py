import math

import numpy as np
import pytest

from ppt_jax.evaluation.benchmarks.protocol import ScoreSettings
from ppt_jax.evaluation.benchmarks.summaries import Resampler, interval_text, plain_table

SETTINGS = ScoreSettings(replicates=4000)


def test_intervals_are_those_of_resampled_clusters_by_hand():
    rng = np.random.default_rng(0)
    clusters = [str(k // 3) for k in range(30)]
    x = rng.normal(size=30) + np.repeat(rng.normal(size=10), 3)
    resampler = Resampler(clusters, SETTINGS)
    draws = np.array(
        [
            np.concatenate([x[3 * c : 3 * c + 3] for c in rng.integers(0, 10, 10)])
            for _ in range(4000)
        ]
    )
    for found, oracle in (
        (resampler.mean(x), draws.mean(1)),
        (resampler.median(x), np.median(draws, axis=1)),
    ):
        low, high = np.quantile(oracle, [0.025, 0.975])
        assert found.low == pytest.approx(low, abs=0.06)
        assert found.high == pytest.approx(high, abs=0.06)
    assert resampler.mean(x).value == pytest.approx(x.mean())
    assert resampler.median(x).value == pytest.approx(np.median(x))
    same = resampler.statistic(lambda w: (w @ x) / w.sum(1))
    assert (same.low, same.high) == (
        pytest.approx(resampler.mean(x).low),
        pytest.approx(resampler.mean(x).high),
    )


def test_medians_of_repeated_answers_are_numpys():
    x = np.array([4.0, 1.0, 3.0, 2.0])
    resampler = Resampler(["a", "b", "c", "d"], ScoreSettings(replicates=300))
    weights = resampler._weights_RC.astype(int)
    by_hand = [np.median(np.repeat(x, w)) for w in weights]
    found = resampler.median(x)
    assert (found.low, found.high) == tuple(np.quantile(by_hand, [0.025, 0.975]))


def test_one_cluster_has_no_interval_and_nothing_no_value():
    alone = Resampler(["a", "a"], SETTINGS).mean(np.array([1.0, 2.0]))
    assert alone.value == 1.5
    assert math.isnan(alone.low)
    nothing = Resampler([], SETTINGS)
    assert math.isnan(nothing.mean(np.zeros(0)).value)
    assert math.isnan(nothing.median(np.zeros(0)).value)
    assert nothing.n_clusters == 0


def test_models_with_the_same_clusters_share_replicates():
    order = ["a", "b", "c"]
    whole = Resampler(["a", "b", "c"], SETTINGS, order).mean(np.array([1.0, 2.0, 9.0]))
    turned = Resampler(["c", "a", "b"], SETTINGS, order).mean(np.array([9.0, 1.0, 2.0]))
    assert (whole.low, whole.high) == (turned.low, turned.high)


def test_tables_are_plain():
    assert plain_table(("a", "n"), [["long name", "5"]]) == "a          n\nlong name  5"
    found = Resampler(["a", "a"], SETTINGS).mean(np.array([1.0, 2.0]))
    assert interval_text(found) == "1.50"
