"""Stage 3: the program draws a world, truth and observations together. No model is asked.

Worlds are drawn from the program's own prior predictive and refused by criteria of the evidence
alone (possible, enough effective samples, the asks move and stay uncertain), never by the truth.
So the labels of what is kept are calibrated against the stored truth.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from ppt_jax.authoring.checks import CheckConfig
from ppt_jax.authoring.language import number
from ppt_jax.authoring.llm.drafts import DISCRETE, Draft, Observation, flat_of
from ppt_jax.authoring.llm.plan import StoryPlan
from ppt_jax.authoring.produce import keep_asks
from ppt_jax.authoring.text_checks import Finding
from ppt_jax.inference.program import Program, lower_prior
from ppt_jax.inference.simulate import node_values, replay, sample_prior
from ppt_jax.scenario.document import (
    Ask,
    Scenario,
    ScenarioError,
    parse_scenario,
    to_dict,
)
from ppt_jax.scenario.expression import (
    Beats,
    Binary,
    Compare,
    Draw,
    Expr,
    Index,
    Name,
    Unary,
    print_expression,
)

_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "=="}
PAIRS = 512  # of draws that differ in one reading only
MAX_DECIMALS = 4


@dataclasses.dataclass(frozen=True)
class World:
    """A program with observations.

    Attributes:
      scenario: its given filled in, its asks chosen; the story is still a placeholder.
      seen: per given, what was seen, in words for the teller.
    """

    scenario: Scenario
    seen: tuple[str, ...]


def draw_world(
    draft: Draft,
    plan: StoryPlan,
    checks: CheckConfig,
    asks: tuple[int, int],
    worlds: int,
) -> World | list[Finding]:
    """Draws worlds until one is informative and not extreme.

    Args:
      draft: the program and what is observed.
      plan: seeds the draws.
      checks: thresholds of the evidence.
      asks: smallest and largest number of asks to keep.
      worlds: how many are tried.

    Returns:
      The first usable world; or one finding that sums up what was wrong with all, to be told to the
      program's author.
    """
    rng = plan.generator("worlds")
    prior = sample_prior(draft.scenario, rng, max(worlds, checks.particles))
    if not draft.observe:  # chosen by the author
        kept, findings = keep_asks(draft.scenario, prior, checks, asks, rng)
        return findings or World(kept, draft.given_means)
    program = lower_prior(_with_events(draft))
    digits = [_decimals(draft.scenario, one, program, rng) for one in draft.observe]
    failed: dict[str, list[str]] = collections.defaultdict(list)
    for world in range(worlds):
        truth = {name: float(prior[name][world]) for name in program.latents}
        found = _observe(draft, program, truth, digits, rng)
        if isinstance(found, str):
            failed["c2_prior"].append(found)
            continue
        kept, findings = keep_asks(found.scenario, prior, checks, asks, rng)
        if not findings:
            return World(kept, found.seen)
        failed[findings[0].check].append(findings[0].detail)
    return [_summary(failed, worlds)]


def _summary(failed: Mapping[str, list[str]], worlds: int) -> Finding:
    """What stood in the way most often, with counts and an example of each."""
    order = sorted(failed, key=lambda check: (-len(failed[check]), check))
    parts = [f"{len(failed[check])} times {check} ({failed[check][0]})" for check in order]
    return Finding(order[0], f"{worlds} sets of observations were drawn, none is usable: "
                   + "; ".join(parts))  # fmt: skip


def _with_events(draft: Draft) -> Scenario:
    """The program asking for what events and contests need to be decided."""
    asks = []
    for place, one in enumerate(draft.observe):
        formula = one.formula
        if isinstance(formula, Beats):
            gap = Binary("-", formula.left, formula.right)
            asks += [_probe(f"gap{place}", gap), _probe(f"noise{place}", formula.noise)]
        elif one.kind == "event":
            asks.append(_probe(f"event{place}", formula))
    return dataclasses.replace(draft.scenario, ask=tuple(asks))


def _probe(name: str, formula: Expr) -> Ask:
    return Ask(name, "rank", "", "", 0.0, 1.0, (), "?", formula)


def _decimals(
    scenario: Scenario, one: Observation, program: Program, rng: np.random.Generator
) -> int:
    """Decimals of a reading: those wished for, or as many as its own noise asks for.

    A value is told as it is rounded, and enters the program so; a step of at most half the standard
    deviation that the reading has when all else is known costs next to nothing.
    """
    if one.kind != "reading":
        return 0
    assert isinstance(one.formula, Name | Index)
    draw = scenario.node(one.formula.name).formula
    assert isinstance(draw, Draw)
    if draw.family in DISCRETE:
        return 0
    column = program.latents.index(flat_of(one.formula))
    z_LP = rng.standard_normal((len(program.latents), PAIRS))
    place = program.names[flat_of(one.formula)]
    first = node_values(program.nodes, z_LP, PAIRS)[place]
    z_LP[column] = rng.standard_normal(PAIRS)
    second = node_values(program.nodes, z_LP, PAIRS)[place]
    sd = math.sqrt(float(np.mean((first - second) ** 2)) / 2)
    if not sd > 0 or not math.isfinite(sd):
        return one.digits
    needed = math.ceil(-math.log10(0.5 * sd))
    return min(max(one.digits, needed, 0), MAX_DECIMALS)


def _observe(
    draft: Draft,
    program: Program,
    truth: dict[str, float],
    digits: list[int],
    rng: np.random.Generator,
) -> World | str:
    """The document with the observations of one world, or why it cannot be told."""
    scenario = draft.scenario
    for one, decimals in zip(draft.observe, digits, strict=True):
        if one.kind == "reading":
            flat = flat_of(one.formula)
            truth[flat] = round(truth[flat], decimals) + 0.0
    _, answers = replay(program, truth)
    values = dict(zip((ask.id for ask in _with_events(draft).ask), answers, strict=True))
    given, seen = [], []
    for place, one in enumerate(draft.observe):
        if one.kind == "reading":
            told, that = _reading(scenario, one, truth[flat_of(one.formula)])
        elif isinstance(one.formula, Beats):
            p = 1.0 / (1.0 + math.exp(-min(max(values[f"gap{place}"] / values[f"noise{place}"],
                                               -700.0), 700.0)))  # fmt: skip
            won = bool(rng.random() < p)
            told, that = _event(one, won)
        else:
            told, that = _event(one, values[f"event{place}"] != 0)
        given.append({"that": that, "says": ""})
        seen.append(told)
    try:
        made = parse_scenario(
            {**to_dict(scenario), "given": given, "truth": truth, "evidence": "simulated"}
        )
    except ScenarioError as error:
        return f"{error.field}: {error.message}"
    return World(made, tuple(seen))


def _reading(scenario: Scenario, one: Observation, value: float) -> tuple[str, str]:
    """A reading in words, and as a given."""
    assert isinstance(one.formula, Name | Index)
    node = scenario.node(one.formula.name)
    draw = node.formula
    assert isinstance(draw, Draw)
    if draw.family == "yes":
        return f"{one.means}: {'yes' if value else 'no'}", f"{one.what} == {int(value)}"
    if draw.family == "pick":
        member = scenario.members(draw.set or "")[int(value)]
        label = "'" + member.replace("\\", "\\\\").replace("'", "\\'") + "'"
        return f"{one.means}: {member}", f"{one.what} == {label}"
    unit = f" {node.unit}" if node.unit else ""
    return f"{one.means}: {number(value)}{unit}", f"{one.what} == {number(value)}"


def _event(one: Observation, holds: bool) -> tuple[str, str]:
    """An event in words, and as a given that is true."""
    if holds:
        return f"{one.means}: this is what happened", one.what
    return f"{one.means}: this did NOT happen, the opposite did", print_expression(
        _negated(one.formula)
    )


def _negated(formula: Expr) -> Expr:
    match formula:
        case Beats(left=left, right=right, noise=noise):
            return Beats(right, left, noise)
        case Compare(op=op, left=left, right=right):
            return Compare(_OPPOSITE[op], left, right)
        case Unary(op="not", operand=operand):
            return operand
    return Unary("not", formula)
