"""Exact labels of programs whose latents are all discrete and few: joint enumeration, float64."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ppt_jax.inference import distributions
from ppt_jax.inference.graph import reachable
from ppt_jax.inference.labels import DRAWN, SoftLabel, answer_count, ask_scale, information_gain
from ppt_jax.inference.program import Program
from ppt_jax.inference.simulate import node_values
from ppt_jax.inference.summary import RANK
from ppt_jax.scenario.document import Scenario

Array = NDArray[np.float64]


def support_sizes(program: Program) -> tuple[int, ...] | None:
    """Number of states of each latent column, or None where one is not finite and discrete."""
    sizes = [0] * len(program.latents)
    for node in program.nodes:
        if not node.op.startswith("draw:"):
            continue
        family, column = node.op[5:], int(node.value)
        if family == "yes":
            size = 2
        elif family == "pick":
            size = len(node.args)
        elif family == "successes" and program.nodes[node.args[0]].op == "const":
            n = program.nodes[node.args[0]].value
            if not (0 <= n <= 1e6 and n == math.floor(n)):
                return None
            size = int(n) + 1
        else:
            return None
        sizes[column] = max(sizes[column], size)
    return tuple(sizes)


def joint_size(program: Program) -> int | None:
    """Number of joint states, or None where the program cannot be enumerated."""
    sizes = support_sizes(program)
    return None if sizes is None else math.prod(sizes)


def enumerate_states(program: Program) -> tuple[list[Array], Array, Array]:
    """Values of all nodes in every joint state.

    Args:
      program: one whose `joint_size` is not None.

    Returns:
      Per node its value by state [S] (or a scalar), and the log-weight [S] of each state under
      the posterior and under the prior (unnormalised, ``-inf`` where impossible).
    """
    sizes = support_sizes(program)
    assert sizes is not None
    count = math.prod(sizes)
    grid = np.unravel_index(np.arange(count), sizes) if sizes else ()
    fixed = {column: states.astype(np.float64) for column, states in enumerate(grid)}
    values = node_values(program.nodes, np.zeros((len(sizes), 1)), count, fixed)
    posterior = np.zeros(count)
    prior = np.zeros(count)
    in_posterior = reachable(program.nodes, [*program.asks, *program.loglik])
    in_prior = reachable(program.nodes, program.ask_priors)
    for number, node in enumerate(program.nodes):
        if node.op.startswith("draw:"):
            args = [values[arg] for arg in node.args]
            x = fixed[int(node.value)]
            term = distributions.log_density(node.op[5:], x, *args)
            if number in in_posterior:
                posterior = _plus(posterior, term)
            if number in in_prior:
                prior = _plus(prior, term)
    for number in program.loglik:
        posterior = _plus(posterior, values[number])
    return values, posterior, prior


def _plus(total: Array, term: Array) -> Array:
    impossible = (total == -np.inf) | (term == -np.inf)
    with np.errstate(invalid="ignore"):
        return np.where(impossible, -np.inf, total + term)


def prior_cdf(prior_x: Array, prior_w: Array, x: Array) -> Array:
    """Mid-rank CDF of weighted points at ``x``: P(X < x) + P(X = x) / 2."""
    order = np.argsort(prior_x)
    points, mass = prior_x[order], np.concatenate([[0.0], np.cumsum(prior_w[order])])
    below = mass[np.searchsorted(points, x, side="left")]
    upto = mass[np.searchsorted(points, x, side="right")]
    return np.clip(0.5 * (below + upto) / mass[-1], 0.0, 1.0)


def state_label(
    scenario: Scenario,
    place: int,
    value: Array,
    prior_value: Array,
    w: Array,
    prior_w: Array,
    truth: float,
) -> SoftLabel:
    """The label of one ask from all states.

    Args:
      scenario: the document.
      place: index of the ask.
      value, prior_value: [S] the ask's value, observed draws fixed and drawn.
      w, prior_w: [S] normalised weights.
      truth: the ask's true value, NaN where unknown.
    """
    ask = scenario.ask[place]
    kind, low, scale = ask_scale(ask)
    known = math.isfinite(truth)
    below = above = 0.0
    true_answer: int | None = None
    if kind == RANK:
        F = prior_cdf(prior_value, prior_w, value)
        answers = np.arange(DRAWN + 1)
        levels, which = np.unique(F, return_inverse=True)
        mass = np.bincount(which, weights=w)
        posterior = mass @ stats.binom.pmf(answers, DRAWN, levels[:, None])
        prior_F = prior_cdf(prior_value, prior_w, prior_value)
        levels, which = np.unique(prior_F, return_inverse=True)
        mass = np.bincount(which, weights=prior_w)
        prior = mass @ stats.binom.pmf(answers, DRAWN, levels[:, None])
        if known:
            here = prior_cdf(prior_value, prior_w, np.array([truth]))
            true_answer = round(DRAWN * float(here[0]))
    else:
        count = answer_count(scenario, ask)

        def histogram(x: Array, weight: Array) -> Array:
            cell = np.clip(np.floor((x - low) * scale + 0.5), -1, count).astype(int) + 1
            made = np.bincount(cell, weights=weight, minlength=count + 2)
            return made.astype(np.float64)

        cells, prior_cells = histogram(value, w), histogram(prior_value, prior_w)
        below, above = float(cells[0]), float(cells[-1])
        posterior, prior = cells[1:-1], prior_cells[1:-1]
        if known and 0 <= math.floor((truth - low) * scale + 0.5) < count:
            true_answer = math.floor((truth - low) * scale + 0.5)
    posterior = posterior / max(posterior.sum(), 1e-300)
    prior = prior / prior.sum() if prior.sum() > 0 else np.full_like(prior, 1.0 / len(prior))
    near = 1e-9 * abs(truth) + 1e-30 if known else 0.0
    at = float(w[np.abs(value - truth) <= near].sum()) if known else 0.0
    rank = float(w[value < truth - near].sum()) + 0.5 * at if known else None
    return SoftLabel(
        ask_id=ask.id,
        kind=ask.kind,
        probs=posterior,
        prior_probs=prior,
        route="exact",
        ess=math.inf,
        error=0.0,
        error_101=0.0,
        information=information_gain(posterior, prior, 1e9),
        mass_below=below,
        mass_above=above,
        true_answer=true_answer,
        true_rank=rank,
    )
