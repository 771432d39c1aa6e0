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
MAX_WORK = 1 << 30  # nodes times particles, some ten seconds of one core
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


def particles(
    program: Program, points: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Evaluates a program of any size on two scrambles of Sobol points, in float64.

    Args:
      program: from `lower`, at most 21,201 latents.
      points: of each scramble, a power of two.
      seed: of the scrambles.

    Returns:
      Ask values [A, P], those of the prior's version [A, P], and log-weights [P]; the scrambles one
      after the other. ``-inf`` (cannot be) wins over NaN (cannot be computed).
    """
    block, size = min(block_size(program), points), points * SCRAMBLES
    values_AP, priors_AP = (np.empty((len(program.asks), size)) for _ in range(2))
    logw_P, impossible_P = np.zeros(size), np.zeros(size, bool)
    latents = len(program.latents)
    for scramble in range(SCRAMBLES):
        rng = np.random.default_rng([seed, 64, scramble])
        source = qmc.Sobol(latents, scramble=True, rng=rng, bits=52) if latents else None
        for start in range(scramble * points, (scramble + 1) * points, block):
            here = slice(start, start + block)
            u_PL = source.random(block) if source is not None else np.zeros((block, 0))
            z_LP = special.ndtri(np.clip(u_PL, 2.0**-52, 1.0 - 2.0**-52)).T
            values = node_values(program.nodes, z_LP, block)
            for a, (number, prior) in enumerate(zip(program.asks, program.ask_priors)):
                values_AP[a, here], priors_AP[a, here] = values[number], values[prior]
            with np.errstate(invalid="ignore"):
                for number in program.loglik:
                    impossible_P[here] |= values[number] == -np.inf
                    logw_P[here] += values[number]
    return values_AP, priors_AP, np.where(impossible_P, -np.inf, logw_P)


def weigh_program(program: Program, asks: AskArrays, points: int, seed: int) -> Summary:
    """Weights a program of any size: `particles`, and their sums over all asks [A]."""
    values_AP, priors_AP, logw_P = particles(program, points, seed)
    finite_P = logw_P[np.isfinite(logw_P)]
    shifted_P = logw_P - (finite_P.max() if len(finite_P) else 0.0)
    with np.errstate(over="ignore"):
        values, priors, logw = (x.astype(np.float32) for x in (values_AP, priors_AP, shifted_P))
    return summed(values, priors, logw, asks)
