"""Scrambled Sobol points shared by all programs: standard normals and their uniforms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special
from scipy.stats import qmc

SCRAMBLES = 2
BLOCK = 2048


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
    blocks = count // BLOCK
    z_KLP = np.empty((SCRAMBLES * blocks, latents, BLOCK), np.float32)
    u_KLP = np.empty_like(z_KLP)
    for scramble in range(SCRAMBLES):
        rng = np.random.default_rng([seed, scramble])
        source = qmc.Sobol(latents, scramble=True, rng=rng)
        for block in range(scramble * blocks, (scramble + 1) * blocks):  # doubles of one at a time
            u_LP = np.clip(source.random(BLOCK).T, 2.0**-33, 1.0 - 2.0**-33)
            z_KLP[block] = special.ndtri(u_LP)
            u_KLP[block] = np.minimum(u_LP.astype(np.float32), np.float32(1.0 - 2.0**-24))
    return z_KLP, u_KLP
