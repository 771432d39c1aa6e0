"""Stage 2: a formalised answer becomes a draft: a program, what will be observed, what is asked.

A draft has no values yet. Its gates are c1 (it parses: names, order, types, units, sizes), a prior
that can be drawn from everywhere, and c2 (readings lie where the author said that they would).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from ppt_jax.authoring.llm.plan import StoryPlan
from ppt_jax.authoring.text_checks import Finding
from ppt_jax.errors import UserError
from ppt_jax.inference.simulate import sample_prior
from ppt_jax.scenario.document import Scenario, ScenarioError, parse_scenario
from ppt_jax.scenario.expression import (
    Beats,
    Draw,
    Expr,
    ExpressionError,
    Index,
    Label,
    Name,
    parse_expression,
)

UNTOLD = "(not told yet)"
WIDTH_RATIO = 4.0  # the author's range of a reading against its prior's
DISCRETE = frozenset({"count", "successes", "yes", "pick"})


@dataclasses.dataclass(frozen=True)
class Observation:
    """One planned observation.

    Attributes:
      what: a draw, a yes/no formula, or ``beats(...)``.
      means: in words.
      kind: ``reading`` (a draw's value is seen), ``event`` (whether a formula holds is seen) or
        ``contest`` (who wins a soft comparison is seen).
      digits: decimals that a reading is told with.
      low, high: the author's guess of where nine in ten readings lie; equal where there is none.
      formula: of `what`.
    """

    what: str
    means: str
    kind: Literal["reading", "event", "contest"]
    digits: int
    low: float
    high: float
    formula: Expr = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True)
class Draft:
    """A program that is sound by itself, with its observation plan.

    Attributes:
      scenario: without observations (with them where the author chose their values), its story a
        placeholder.
      observe: what will be seen; empty where the author chose the values.
      means: node -> what it is, in words.
      given_means: per given, what was seen, in words (chosen evidence only).
    """

    scenario: Scenario
    observe: tuple[Observation, ...]
    means: Mapping[str, str]
    given_means: tuple[str, ...] = ()


def read_draft(
    plan: StoryPlan, data: Mapping[str, Any], asks: tuple[int, int]
) -> Draft | list[Finding]:
    """A draft from an answer that follows the schema.

    Args:
      plan: gives id, motif and domain.
      data: of `schemas.FORMALISE` or `schemas.FORMALISE_CHOSEN`.
      asks: smallest and largest number of asks that the scenario will have.

    Returns:
      The draft, or why there is none.
    """
    document = {
        "schema": "scenario/1",
        "id": plan.id,
        "motif": plan.motif,
        "domain": plan.domain,
        "story": UNTOLD,
        "sets": data["sets"],
        "model": [
            {key: value for key, value in node.items() if key != "means"} for node in data["model"]
        ],
        "given": [{"that": row["that"]} for row in data.get("given", ())],
        "ask": data["ask"],
    }
    try:
        scenario = parse_scenario(document)
        observe = tuple(
            _observation(scenario, row, f"observe[{number}]")
            for number, row in enumerate(data.get("observe", ()))
        )
    except ScenarioError as error:
        return [Finding("c1_parse", _placed(error))]
    findings = _structure(scenario, observe, asks)
    if findings:
        return findings
    means = {str(node["name"]): str(node["means"]) for node in data["model"]}
    return Draft(
        scenario, observe, means, tuple(str(row["means"]) for row in data.get("given", ()))
    )


def _placed(error: ScenarioError) -> str:
    """The message with its field, without the document's id."""
    at = "" if error.at is None else f", character {error.at + 1}"
    return f"{error.field}{at}: {error.message}" if error.field else error.message


def _structure(
    scenario: Scenario, observe: Sequence[Observation], asks: tuple[int, int]
) -> list[Finding]:
    findings = []
    if not observe and not scenario.given:
        findings.append(Finding("c1_parse", "observe: at least one observation is needed"))
    if len(scenario.ask) < asks[0]:
        findings.append(
            Finding(
                "c1_parse", f"ask: {len(scenario.ask)} questions; at least {asks[0]} are wanted"
            )
        )
    seen = [one.what.replace(" ", "") for one in observe if one.kind == "reading"]
    for what in sorted({what for what in seen if seen.count(what) > 1}):
        findings.append(Finding("c1_parse", f"observe: {what} is observed twice"))
    for ask in scenario.ask:
        if not ask.text.strip().endswith("?"):
            findings.append(Finding("c1_parse", f"ask {ask.id!r}: the text is no question"))
    return findings


def _observation(scenario: Scenario, row: Mapping[str, Any], where: str) -> Observation:
    """Reads one planned observation.

    Raises:
      ScenarioError: it is no draw, yes/no formula or comparison of this program.
    """
    what = str(row["what"])
    try:
        formula = parse_expression(what, kind="given")
    except ExpressionError as error:
        raise ScenarioError(error.message, field=f"{where}.what", at=error.at) from None
    kind: Literal["reading", "event", "contest"] = "event"
    if isinstance(formula, Beats):
        kind = "contest"
    elif isinstance(formula, Name | Index) and _is_draw(scenario, formula):
        kind = "reading"
    if kind == "reading":
        _check_element(scenario, formula, where)
    else:
        _check_formula(scenario, what, where)
    low, high = float(row["low"]), float(row["high"])
    digits = min(max(int(row["digits"]), 0), 6)
    return Observation(what, str(row["means"]), kind, digits, low, high, formula)


def _is_draw(scenario: Scenario, formula: Name | Index) -> bool:
    return any(node.name == formula.name and node.kind == "draw" for node in scenario.model)


def _check_element(scenario: Scenario, formula: Expr, where: str) -> None:
    assert isinstance(formula, Name | Index)
    node = scenario.node(formula.name)
    indices = formula.indices if isinstance(formula, Index) else ()
    if len(indices) != len(node.per):
        wanted = f"{node.name}[{', '.join(f'a {name}' for name in node.per)}]"
        raise ScenarioError(
            f"one element is observed at a time, written {wanted if node.per else node.name}",
            field=f"{where}.what",
        )
    for index, over in zip(indices, node.per, strict=True):
        members = scenario.members(over)
        if not isinstance(index, Label) or index.text not in members:
            raise ScenarioError(
                f"name a member of {over!r} in quotes: {', '.join(map(repr, members[:8]))}",
                field=f"{where}.what",
                at=index.at,
            )


def _check_formula(scenario: Scenario, what: str, where: str) -> None:
    """Types, names and units of a formula, by the document's own checks."""
    from ppt_jax.scenario.document import to_dict

    try:
        parse_scenario({**to_dict(scenario), "given": [{"that": what}]})
    except ScenarioError as error:
        if not error.field.startswith("given"):
            raise
        raise ScenarioError(error.message, field=f"{where}.what", at=error.at) from None


def check_draft(draft: Draft, rng: np.random.Generator, particles: int) -> list[Finding]:
    """Draws from the prior: every value is a number, and readings lie where they were expected.

    Args:
      draft: the program.
      rng: source of draws.
      particles: number of draws.
    """
    try:
        prior = sample_prior(draft.scenario, rng, particles)
    except (UserError, ArithmeticError, ValueError) as error:
        return [Finding("c1_parse", f"the program cannot be drawn from: {error}")]
    findings = []
    for name, samples in prior.items():
        broken = float(np.mean(~np.isfinite(samples)))
        if broken > 0:
            findings.append(
                Finding("c2_prior", f"{name} is no finite number in {broken:.1%} of prior draws")
            )
    return findings or [
        found for one in draft.observe for found in _check_expected(draft.scenario, one, prior)
    ]


def _check_expected(
    scenario: Scenario, one: Observation, prior: Mapping[str, np.ndarray]
) -> list[Finding]:
    """c2: the program's prior of a reading against the range that its author expected."""
    if one.kind != "reading" or not one.low < one.high:
        return []
    assert isinstance(one.formula, Name | Index)
    draw = scenario.node(one.formula.name).formula
    if not isinstance(draw, Draw) or draw.family in ("yes", "pick"):
        return []
    samples = prior[flat_of(one.formula)]
    low, middle, high = np.quantile(samples, [0.05, 0.5, 0.95])
    wanted = one.high - one.low
    width = max(float(high - low), 1e-12)
    inside = one.low - wanted <= middle <= one.high + wanted
    if inside and 1 / WIDTH_RATIO <= width / wanted <= WIDTH_RATIO:
        return []
    return [
        Finding(
            "c2_expected",
            f"{one.what}: you expect nine in ten between {one.low:g} and {one.high:g}; in the "
            f"program they lie between {low:.3g} and {high:.3g}, half below {middle:.3g}",
        )
    ]


def flat_of(formula: Expr) -> str:
    """The flat name of an observed element, ``late[Monday]``."""
    assert isinstance(formula, Name | Index)
    indices = formula.indices if isinstance(formula, Index) else ()
    labels = [index.text for index in indices if isinstance(index, Label)]
    return f"{formula.name}[{','.join(labels)}]" if labels else formula.name
