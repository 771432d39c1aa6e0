"""Float64 numpy evaluation of programs: prior simulation, replay of a truth, and the oracle.

Everything is vectorised over particles P. Latents L are rows of a standard-normal matrix
``z_LP``, asks are A, givens are G. Nothing here imports JAX.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ppt_jax.inference import distributions
from ppt_jax.inference.graph import Node, apply_node
from ppt_jax.inference.program import Program, lower_prior
from ppt_jax.scenario.document import Scenario

Array = NDArray[np.float64]


def node_values(
    nodes: Sequence[Node],
    draws: Array | np.random.Generator,
    size: int,
    fixed: Mapping[int, Array | float] | None = None,
) -> list[Array]:
    """Values of all nodes of a program.

    Args:
      nodes: in topological order.
      draws: ``z_LP``, a standard-normal row per latent column; or a generator, which draws each
        family by its own method (quicker, not a map of ``z``).
      size: number of particles P.
      fixed: latent column -> value that replaces the draw (states of an enumeration, a truth).

    Returns:
      Per node an array that broadcasts against [P].
    """
    fixed = fixed or {}
    values: list[Array] = []
    with np.errstate(all="ignore"):
        for node in nodes:
            args = [values[arg] for arg in node.args]
            if node.op == "const":
                value = np.asarray(node.value, np.float64)
            elif node.op.startswith("draw:"):
                column = int(node.value)
                if column in fixed:
                    value = np.asarray(fixed[column], np.float64)
                elif isinstance(draws, np.random.Generator):
                    value = distributions.sample(node.op[5:], draws, size, *args)
                else:
                    value = distributions.quantile(node.op[5:], draws[column], *args)
            else:
                value = np.asarray(apply_node(node, args), np.float64)
            values.append(value)
    return values


def evaluate(program: Program, z_LP: Array) -> tuple[Array, Array]:
    """Asks and per-given log-likelihoods of particles drawn from the prior.

    Weighting particle p by ``exp(sum_g loglik[g, p])`` gives the posterior; leaving a given out of
    the sum gives the posterior without it.

    Args:
      program: from `lower`.
      z_LP: [L, P] standard-normal values, row ``l`` for ``program.latents[l]``.

    Returns:
      ``asks_AP`` (booleans as 0/1, pick draws as positions) and ``loglik_GP`` in nats.

    Example:
      >>> z = np.random.default_rng(0).standard_normal((len(program.latents), 2048))
      >>> asks, loglik = evaluate(program, z)  # doctest: +SKIP
    """
    size = z_LP.shape[1]
    values = node_values(program.nodes, z_LP, size)
    asks_AP = np.empty((len(program.asks), size))
    loglik_GP = np.empty((len(program.loglik), size))
    for row, number in zip(asks_AP, program.asks):
        row[:] = values[number]
    for row, number in zip(loglik_GP, program.loglik):
        row[:] = values[number]
    return asks_AP, loglik_GP


def sample_prior(
    scenario: Scenario | Program, rng: np.random.Generator, size: int
) -> dict[str, Array]:
    """Draws of all draw and let nodes from the prior predictive.

    Observed draws are drawn too, and every given is ignored, so one draw is a possible truth
    together with its observations.

    Args:
      scenario: a document, or its program from `lower_prior` when many calls share one.
      rng: source of randomness.
      size: number of joint draws P.

    Returns:
      Flat name (``power[Juno]``) -> [P] float64; pick draws are positions, yes draws 0/1.

    Example:
      >>> draws = sample_prior(scenario, np.random.default_rng(0), 2048)  # doctest: +SKIP
      >>> draws["power[Juno]"].mean()  # doctest: +SKIP
    """
    program = lower_prior(scenario) if isinstance(scenario, Scenario) else scenario
    values = node_values(program.nodes, rng, size)
    return {
        name: np.array(np.broadcast_to(values[number], (size,)))
        for name, number in program.names.items()
    }


def replay(
    scenario: Scenario | Program, truth: Mapping[str, float]
) -> tuple[dict[str, float], tuple[float, ...]]:
    """Values of all nodes and asks when every draw has its stored value.

    Args:
      scenario: a document or its program from `lower_prior`.
      truth: flat name -> value for every draw (`Scenario.truth`).

    Returns:
      All draws and lets by flat name, and the value of each ask.

    Raises:
      KeyError: the truth lacks a draw.
    """
    program = lower_prior(scenario) if isinstance(scenario, Scenario) else scenario
    fixed = {column: truth[name] for column, name in enumerate(program.latents)}
    values = node_values(program.nodes, np.zeros((len(program.latents), 1)), 1, fixed)
    named = {name: float(values[number]) for name, number in program.names.items()}
    return named, tuple(float(values[number]) for number in program.asks)
