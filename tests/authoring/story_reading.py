"""Reading a story as a person does: its sentences, its numbers, the priors that it tells.

Shared by the oracle tests, which compute answers from the story and compare the program's.
"""

import re
from collections.abc import Mapping

import numpy as np
import pytest
from scipy import stats

from ppt_jax.authoring.compose import Plan, write_scenario
from ppt_jax.authoring.draft import Knobs
from ppt_jax.authoring.motif import find_motifs
from ppt_jax.authoring.wording import read_numbers
from ppt_jax.inference.program import lower
from ppt_jax.inference.simulate import node_values
from ppt_jax.scenario.document import Scenario

PARTICLES = 60_000


def story_of(motif: str, seed: int, entities: tuple[int, int] = (2, 6)) -> Scenario:
    """A motif's scenario with all its candidate asks, told plainly; skins take turns."""
    (found,) = find_motifs(motif)
    skins = found.skins()
    plan = Plan(
        id=f"{motif}-{seed}",
        motif=found,
        skin=skins[seed % len(skins)],
        genre="plain",
        asides=0,
        knobs=Knobs(entities=entities),
        split="test",
        key=(seed, 17),
    )
    return write_scenario(plan).scenario


def posterior_means(scenario: Scenario) -> dict[str, tuple[float, float]]:
    """Posterior mean and its standard error of every ask by its formula, from prior particles."""
    program = lower(scenario)
    values = node_values(program.nodes, np.random.default_rng(3), PARTICLES)
    size = (PARTICLES,)
    total_P = np.sum([np.broadcast_to(values[i], size) for i in program.loglik], axis=0)
    weights_P = np.exp(total_P - total_P.max())
    weights_P /= weights_P.sum()
    means = {}
    for ask, node in zip(scenario.ask, program.asks, strict=True):
        ask_P = np.broadcast_to(values[node], size).astype(float)
        mean = float(weights_P @ ask_P)
        means[ask.expr] = mean, float(np.sqrt(np.sum(weights_P**2 * (ask_P - mean) ** 2)))
    return means


def agrees(scenario: Scenario, wanted: Mapping[str, float], slack: float = 1e-9) -> None:
    """Fails where the posterior mean of an ask, by its formula, is not what a reader computed.

    Args:
      scenario: with all its candidate asks.
      wanted: ask formula -> mean from the story.
      slack: error of the reader's own computation (a grid), relative for means above 1; that of
        the particles is known.
    """
    means = posterior_means(scenario)
    for expr, value in wanted.items():
        mean, error = means[expr]
        tolerance = 5 * error + slack * max(1.0, abs(value))
        assert mean == pytest.approx(value, abs=tolerance), f"{expr}: {scenario.story}"


def numbers(text: str) -> list[float]:
    """The numbers of a text in order."""
    return [r.value for r in read_numbers(text.replace("one standard deviation", ""))]


def chances(text: str) -> list[float]:
    """The numbers below 1 of a text in order; "one" is mostly a pronoun."""
    return [number for number in numbers(text) if number < 1]


def sentence(story: str, *parts: str) -> str:
    """The first sentence that holds one of the parts."""
    sentences = re.split(r"(?<=[.?])\s+(?=[A-Z0-9])", story)
    return next(text for text in sentences if any(part in text for part in parts))


def share_grid(sentence: str) -> tuple[np.ndarray, np.ndarray]:
    """Midpoints within (0, 1) and prior weights of a told share."""
    grid = (np.arange(4000) + 0.5) / 4000
    low, high = numbers(sentence)[:2]
    if "standard deviation" in sentence:
        strength = low * (1 - low) / high**2 - 1
        return grid, stats.beta(low * strength, (1 - low) * strength).pdf(grid)
    return grid, ((grid >= low) & (grid <= high)).astype(float)


def amount_grid(sentence: str) -> tuple[np.ndarray, np.ndarray]:
    """A grid and prior weights of a told amount above zero."""
    first, second = numbers(sentence)[:2]
    if "log-normal" in sentence:
        law = stats.lognorm(np.log(second), scale=first)
    else:
        law = stats.gamma((first / second) ** 2, scale=second**2 / first)
    grid = law.ppf((np.arange(6000) + 0.5) / 6000)
    return grid, np.ones_like(grid)
