"""R-hat and effective sample size against closed forms and NumPyro's own."""

from __future__ import annotations

import numpy as np
import pytest
from numpyro.diagnostics import effective_sample_size, split_gelman_rubin

from ppt_jax.inference.convergence import bulk_ess, split_rhat


def autoregressive(phi: float, seed: int = 0, quantities: int = 12) -> np.ndarray:
    """[V, 4, 1000] stationary chains, each step ``phi`` times the last plus noise."""
    noise = np.random.default_rng(seed).standard_normal((quantities, 4, 1000))
    chains = np.empty_like(noise)
    chains[..., 0] = noise[..., 0] / np.sqrt(1 - phi**2)
    for t in range(1, 1000):
        chains[..., t] = phi * chains[..., t - 1] + noise[..., t]
    return chains


@pytest.mark.parametrize("phi", [-0.4, 0.0, 0.3, 0.7, 0.9])
def test_effective_sample_size_of_an_autoregression(phi: float) -> None:
    """``S (1 - phi) / (1 + phi)``; ranks of a normal chain lose little."""
    found = bulk_ess(autoregressive(phi))
    expected = 4000 * (1 - phi) / (1 + phi)
    assert found.mean() == pytest.approx(expected, rel=0.12)
    numpyros = np.mean([effective_sample_size(one) for one in autoregressive(phi)])
    assert found.mean() == pytest.approx(numpyros, rel=0.1)


def test_rhat_is_numpyros_on_normal_chains() -> None:
    chains = autoregressive(0.5)
    numpyros = np.array([split_gelman_rubin(one) for one in chains])
    assert np.all(split_rhat(chains) >= numpyros - 3e-3)
    np.testing.assert_allclose(split_rhat(chains), numpyros, atol=0.01)


def test_rhat_sees_what_the_mean_does_not() -> None:
    """Chains of one mean and different spread, or with heavy tails at different places."""
    chains = np.random.default_rng(1).standard_normal((1, 4, 500))
    assert split_rhat(chains)[0] < 1.01
    wider = chains * np.array([1.0, 1.0, 1.0, 3.0])[:, None]
    assert split_gelman_rubin(wider[0]) < 1.01 < split_rhat(wider)[0]
    cauchy = np.random.default_rng(2).standard_cauchy((1, 4, 500))
    cauchy[:, 0] += 5.0
    assert split_rhat(cauchy)[0] > 1.1


def test_constant_chains() -> None:
    same = np.ones((1, 4, 100))
    assert split_rhat(same)[0] == 1.0
    assert bulk_ess(same)[0] == 400
    stuck = same * np.arange(4.0)[:, None]
    assert split_rhat(stuck)[0] > 1e6
    assert bulk_ess(stuck)[0] < 5
