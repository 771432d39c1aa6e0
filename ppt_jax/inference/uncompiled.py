"""Weighting of programs that no table holds: float64 numpy, every node for a few particles at once.

The points are two scrambles of Sobol points, made block by block; the memory that a block takes is
bounded, however large the program.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from scipy import special
from scipy.stats import qmc

from ppt_jax.inference.points import SCRAMBLES
from ppt_jax.inference.program import Program
from ppt_jax.inference.simulate import node_values
from ppt_jax.inference.summary import NO_ASK, AskArrays, Summary, summarise

BLOCK_VALUES = 1 << 25  # float64 values of one block, 256 MB
MAX_BLOCK = 4096
MAX_WORK = 1 << 31  # nodes times particles, about 20 seconds of one core
ASK_STEP = 4  # asks are padded to a multiple of it, so that few sums are compiled

_SUMMARISE = jax.jit(summarise, static_argnums=5)


def summed(
    values_AP: jax.Array | NDArray[np.float32],
    priors_AP: jax.Array | NDArray[np.float32],
    logw_P: jax.Array | NDArray[np.float32],
    asks: AskArrays,
) -> Summary:
    """The sums over any number of asks and particles, the scrambles one after the other.

    Args:
      values_AP, priors_AP: ask values, observed draws fixed and drawn.
      logw_P: log-weights.
      asks: [A] numpy arrays.

    Returns:
      A summary of numpy arrays with A asks.
    """
    count = len(asks.kind)
    missing = -count % ASK_STEP
    padded = AskArrays(*(np.pad(np.asarray(field), (0, missing)) for field in asks))
    padded = padded._replace(kind=np.pad(asks.kind, (0, missing), constant_values=NO_ASK))
    rows = ((0, missing), (0, 0))
    values, priors = jnp.pad(jnp.asarray(values_AP), rows), jnp.pad(jnp.asarray(priors_AP), rows)
    weights = jnp.asarray(logw_P)
    made = _SUMMARISE(values, priors, weights, jnp.zeros_like(weights), padded, SCRAMBLES)
    made = jax.device_get(made)
    return made._replace(**{n: getattr(made, n)[:count] for n in made._fields if "_A" in n})


def work(program: Program, points: int) -> int:
    """Nodes times particles of a run."""
    return len(program.nodes) * points * SCRAMBLES


def block_size(program: Program) -> int:
    """Particles of a block: a power of two whose values fit the memory set aside."""
    most = BLOCK_VALUES // (len(program.nodes) + 3 * len(program.latents) + 1)
    return max(1, min(MAX_BLOCK, 1 << max(most.bit_length() - 1, 0)))


def weigh_program(program: Program, asks: AskArrays, points: int, seed: int) -> Summary:
    """Weights a program of any size on two scrambles of Sobol points.

    Args:
      program: from `lower`, at most 21,201 latents.
      asks: [A] numpy arrays of all its asks.
      points: of each scramble, a power of two.
      seed: of the scrambles.

    Returns:
      The sums; float64 up to the ask values and the normalised log-weights.
    """
    block = min(block_size(program), points)
    size = points * SCRAMBLES
    values_AP = np.empty((len(program.asks), size), np.float32)
    priors_AP = np.empty((len(program.asks), size), np.float32)
    logw_P = np.zeros(size)
    impossible_P = np.zeros(size, bool)
    for scramble in range(SCRAMBLES):
        rng = np.random.default_rng([seed, scramble])
        latents = len(program.latents)
        source = qmc.Sobol(latents, scramble=True, rng=rng) if latents else None
        for start in range(scramble * points, (scramble + 1) * points, block):
            here = slice(start, start + block)
            u_PL = source.random(block) if source is not None else np.zeros((block, 0))
            z_LP = special.ndtri(np.clip(u_PL, 2.0**-33, 1.0 - 2.0**-33)).T
            values = node_values(program.nodes, z_LP, block)
            with np.errstate(over="ignore", invalid="ignore"):
                for a, (number, prior) in enumerate(zip(program.asks, program.ask_priors)):
                    values_AP[a, here] = values[number]
                    priors_AP[a, here] = values[prior]
                for number in program.loglik:
                    impossible_P[here] |= values[number] == -np.inf
                    logw_P[here] += values[number]
    logw_P = np.where(impossible_P, -np.inf, logw_P)
    finite = logw_P[np.isfinite(logw_P)]
    shifted = logw_P - (finite.max() if len(finite) else 0.0)
    return summed(values_AP, priors_AP, shifted.astype(np.float32), asks)
