"""The uniformity test keeps its level at every size, and finds what ranks show when wrong."""

import numpy as np
import pytest
from scipy import stats

from ppt_jax.inference.uniformity import holm, uniformity


@pytest.mark.parametrize("count", [20, 137, 1000])
def test_uniform_samples_leave_the_bands_as_often_as_promised(count: int) -> None:
    rng = np.random.default_rng(count)
    repeats = 1500
    found = [uniformity(rng.random(count), alpha=0.1) for _ in range(repeats)]
    p_values = np.array([one.p_value for one in found])
    outside = np.array(
        [
            bool((one.difference_K < one.low_K - 1e-12).any())
            or bool((one.difference_K > one.high_K + 1e-12).any())
            for one in found
        ]
    )
    # discreteness makes small samples a little careful, never careless
    for rate, level in [(np.mean(p_values <= 0.1), 0.1), (outside.mean(), 0.1)]:
        assert stats.binomtest(int(rate * repeats), repeats, level).pvalue > 1e-3 or rate < level
        assert rate > 0.4 * level
    assert np.mean(p_values <= 0.01) < 0.025


def test_the_band_and_the_p_value_say_the_same() -> None:
    rng = np.random.default_rng(3)
    for _ in range(300):
        one = uniformity(rng.beta(1.0, 1.15, size=200), alpha=0.05)
        left = (one.difference_K < one.low_K - 1e-12) | (one.difference_K > one.high_K + 1e-12)
        if left.any():
            assert one.p_value <= 0.05
        else:
            assert one.p_value > 0.049


def test_both_ways_of_counting_tails_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    from ppt_jax.inference import uniformity as module

    counts = np.array([[3, 10, 31], [0, 12, 40], [9, 20, 28]])
    z = np.array([0.1, 0.5, 0.9])
    table = module._tails(counts, 40, z)
    monkeypatch.setattr(module, "SIMULATIONS", 1)
    assert module._tails(counts, 40, z) == pytest.approx(table)
    exact = [
        2 * min(stats.binom.cdf(c, 40, p), stats.binom.sf(c - 1, 40, p))
        for c, p in zip(counts[0], z)
    ]
    assert table[0] == pytest.approx(min(exact))


@pytest.mark.parametrize(("a", "b"), [(0.7, 0.7), (1.5, 1.5), (1.3, 1.0)])
def test_narrow_wide_and_shifted_posteriors_are_found(a: float, b: float) -> None:
    u = np.random.default_rng(1).beta(a, b, size=1500)
    one = uniformity(u)
    assert one.p_value < 0.001
    assert one.spread == pytest.approx(stats.beta.std(a, b) * 12**0.5, abs=0.03)


def test_values_beyond_the_unit_interval_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        uniformity([0.2, 1.2])
    with pytest.raises(ValueError, match="at least two"):
        uniformity([0.2])


def test_holm_is_the_textbook_procedure() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
