"""Scrambled Sobol points shared by all programs: standard normals and their uniforms."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray
from scipy import special
from scipy.stats import qmc

SCRAMBLES = 2
BLOCK = 2048


@functools.lru_cache(maxsize=8)
def sobol_points(
    count: int, latents: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Two independently scrambled Sobol sets as normals and uniforms, cut into blocks.

    Args:
      count: points of each scramble, a power of two and a multiple of `BLOCK`.
      latents: dimensions L.
      seed: keys the scrambles; the same seed gives the same points everywhere.

    Returns:
      ``z_KLP`` and ``u_KLP`` float32 with K blocks of P = `BLOCK` points, the first K/2 blocks
      from the first scramble; ``u = Phi(z)``.

    Source: Owen (1998), Scrambling Sobol' and Niederreiter-Xing points; scipy.stats.qmc.Sobol.
    """
    sets = []
    for scramble in range(SCRAMBLES):
        rng = np.random.default_rng([seed, scramble])
        sets.append(qmc.Sobol(latents, scramble=True, rng=rng).random(count))
    u_PL = np.clip(np.concatenate(sets), 2.0**-33, 1.0 - 2.0**-33)
    z_KLP = special.ndtri(u_PL).reshape(-1, BLOCK, latents).transpose(0, 2, 1)
    u_KLP = u_PL.reshape(-1, BLOCK, latents).transpose(0, 2, 1)
    z = np.ascontiguousarray(z_KLP, np.float32)
    u = np.ascontiguousarray(u_KLP, np.float32)
    return z, np.minimum(u, np.float32(1.0 - 2.0**-24))
