"""Convergence of Markov chains: rank-normalised split R-hat and bulk effective sample size.

Axes: V quantities, C chains, N draws of a chain. Source: Vehtari, Gelman, Simpson, Carpenter and
Bürkner (2021), Rank-normalization, folding, and localization: an improved R-hat, Bayesian Analysis
16(2); the autocorrelation sum is Geyer's initial monotone sequence (1992).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

Array = NDArray[np.float64]


def rank_normalised(draws_VCN: Array) -> Array:
    """Normal scores of the pooled ranks, ``Phi^-1((r - 3/8) / (S + 1/4))``, ties averaged."""
    count = draws_VCN.shape[1] * draws_VCN.shape[2]
    ranks = stats.rankdata(draws_VCN.reshape(len(draws_VCN), -1), axis=1)
    return special.ndtri((ranks - 0.375) / (count + 0.25)).reshape(draws_VCN.shape)


def _split(draws_VCN: Array) -> Array:
    """Each chain as two of half its length."""
    half = draws_VCN.shape[2] // 2
    return np.concatenate([draws_VCN[..., :half], draws_VCN[..., -half:]], axis=1)


def _plain_rhat(draws_VCN: Array) -> Array:
    draws = draws_VCN.shape[2]
    within = draws_VCN.var(axis=2, ddof=1).mean(axis=1)
    between = draws_VCN.mean(axis=2).var(axis=1, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.sqrt((draws - 1) / draws + between / within)
    return np.where(within > 0, ratio, np.where(between > 0, np.inf, 1.0))


def split_rhat(draws_VCN: Array) -> Array:
    """Rank-normalised split R-hat: the greater one of bulk (ranks) and tails (folded ranks).

    Args:
      draws_VCN: [V, C, N] draws, N >= 4.

    Returns:
      [V]; near 1 where the chains agree, huge where each stays at its own constant, 1 where
      all are the same constant.

    Example:
      >>> chains = np.random.default_rng(0).standard_normal((1, 4, 500))
      >>> bool(split_rhat(chains)[0] < 1.01)
      True
      >>> bool(split_rhat(chains + [[[0], [0], [0], [3]]])[0] > 1.5)
      True
    """
    parts = _split(draws_VCN)
    middle = np.median(parts.reshape(len(parts), -1), axis=1)[:, None, None]
    bulk = _plain_rhat(rank_normalised(parts))
    return np.maximum(bulk, _plain_rhat(rank_normalised(np.abs(parts - middle))))


def bulk_ess(draws_VCN: Array) -> Array:
    """Effective sample size of the rank-normalised split chains.

    ``S / (1 + 2 sum_t rho_t)`` with the autocorrelations ``rho_t`` combined over chains, summed in
    pairs while these are positive and falling.

    Args:
      draws_VCN: [V, C, N] draws, N >= 8.

    Returns:
      [V], at most ``S log10 S``; S where all draws are equal.

    Example:
      >>> chains = np.random.default_rng(0).standard_normal((1, 4, 500))
      >>> bool(1500 < bulk_ess(chains)[0] < 2800)
      True
    """
    parts = rank_normalised(_split(draws_VCN))
    chains, draws = parts.shape[1:]
    total = chains * draws
    centred = parts - parts.mean(axis=2, keepdims=True)
    spectrum = np.fft.rfft(centred, n=2 * draws, axis=2)
    covariance = np.fft.irfft(np.abs(spectrum) ** 2, axis=2)[..., :draws] / draws
    mean_VN = covariance.mean(axis=1)
    within = mean_VN[:, 0] * draws / (draws - 1.0)
    spread = parts.mean(axis=2).var(axis=1, ddof=1) if chains > 1 else np.zeros(len(parts))
    variance = within * (draws - 1.0) / draws + spread
    with np.errstate(divide="ignore", invalid="ignore"):
        rho_VN = 1.0 - (within[:, None] - mean_VN) / variance[:, None]
    rho_VN[:, 0] = 1.0
    pairs = rho_VN[:, : draws // 2 * 2].reshape(len(parts), -1, 2).sum(axis=2)
    alive = np.logical_and.accumulate(pairs > 0, axis=1)
    falling = np.minimum.accumulate(np.where(alive, pairs, 0.0), axis=1)
    tau = np.maximum(-1.0 + 2.0 * falling.sum(axis=1), 1.0 / np.log10(total))
    return np.where(variance > 0, total / np.where(variance > 0, tau, 1.0), float(total))
