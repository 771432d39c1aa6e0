"""What a document must be beyond its shape: names, order, types, units, observations, sizes."""

from __future__ import annotations

import dataclasses
import keyword
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ppt_jax.scenario import limits, types
from ppt_jax.scenario.checker import Checker
from ppt_jax.scenario.errors import ScenarioError
from ppt_jax.scenario.expression import (
    FAMILIES,
    FUNCTIONS,
    SPECIAL,
    Compare,
    Draw,
    Expr,
    ExpressionError,
    Index,
    Label,
    Name,
    Prev,
    Reduce,
    children,
    walk,
)
from ppt_jax.scenario.observed import observed_draw
from ppt_jax.scenario.suggestions import did_you_mean
from ppt_jax.scenario.types import Static

if TYPE_CHECKING:
    from ppt_jax.scenario.document import Ask, ModelNode, Scenario

RESERVED = frozenset({*keyword.kwlist, *FUNCTIONS, *FAMILIES, *SPECIAL})


def validate(scenario: Scenario) -> Scenario:
    """Checks a document whose fields and formulas are already read.

    Returns:
      The scenario, with the options of choices filled in where the document leaves them out.

    Raises:
      ScenarioError: something is wrong; it names the field and the character.
    """
    _names(scenario)
    _sizes(scenario)
    typed = static_types(scenario)
    checker = Checker(_sets(scenario), {n.name: n for n in scenario.model}, typed)
    _givens(scenario, checker)
    asks = tuple(_ask(checker, ask, f"ask[{i}]") for i, ask in enumerate(scenario.ask))
    _operations(scenario)
    scenario = dataclasses.replace(scenario, ask=asks)
    _truth(scenario)
    return scenario


def _sets(scenario: Scenario) -> dict[str, tuple[str, ...]]:
    return {named.name: named.members for named in scenario.sets}


# -- names and sizes ---------------------------------------------------------------------------


def _names(scenario: Scenario) -> None:
    taken: dict[str, str] = {}
    named = [(f"sets[{i}].name", s.name) for i, s in enumerate(scenario.sets)]
    named += [(f"model[{i}].name", n.name) for i, n in enumerate(scenario.model)]
    for field, name in named:
        if name in RESERVED:
            raise ScenarioError(
                f"{name!r} is a word of the formula language; choose another name", field=field
            )
        if name in taken:
            raise ScenarioError(f"the name {name!r} is taken by {taken[name]}", field=field)
        taken[name] = field
    sets = _sets(scenario)
    for i, node in enumerate(scenario.model):
        for j, name in enumerate(node.per):
            field = f"model[{i}].per[{j}]"
            if name not in sets:
                raise ScenarioError(
                    f"{name[:60]!r} is not a set{did_you_mean(name, sets)}", field=field
                )
            if name in node.per[:j]:
                raise ScenarioError(
                    f"the set {name!r} stands twice; define a second set with the same members",
                    field=field,
                )
    ids: set[str] = set()
    for i, ask in enumerate(scenario.ask):
        if ask.id in ids:
            raise ScenarioError(f"the id {ask.id!r} stands twice", field=f"ask[{i}].id")
        ids.add(ask.id)


def _sizes(scenario: Scenario) -> None:
    sets = _sets(scenario)
    characters = 0
    formulas = [(f"model[{i}].expr", n.expr) for i, n in enumerate(scenario.model)]
    formulas += [(f"given[{i}].that", g.that) for i, g in enumerate(scenario.given)]
    formulas += [(f"ask[{i}].expr", a.expr) for i, a in enumerate(scenario.ask)]
    for field, text in formulas:
        characters += len(text)
        if characters > limits.MAX_FORMULAS_CHARACTERS:
            raise ScenarioError(
                f"all formulas together have more than {limits.MAX_FORMULAS_CHARACTERS} "
                "characters; use sets and `per` for what repeats",
                field=field,
            )
    scalars = 0
    for i, node in enumerate(scenario.model):
        scalars += math.prod(len(sets[name]) for name in node.per)
        if scalars > limits.MAX_SCALARS:
            raise ScenarioError(
                f"written out, the model has more than {limits.MAX_SCALARS} scalars; use smaller "
                "sets or fewer sets in `per`",
                field=f"model[{i}].per",
            )


def _cost(expr: Expr, nodes: Mapping[str, ModelNode], sets: Mapping[str, tuple[str, ...]]) -> int:
    """Operations of a formula with `total`, `average` and picked indices written out."""
    cost = 1 + sum(_cost(part, nodes, sets) for part in children(expr))
    if isinstance(expr, Reduce):
        return cost * len(sets[expr.set])
    if isinstance(expr, Index):
        per = nodes[expr.name].per
        picked = (s for s, i in zip(per, expr.indices) if isinstance(i, Name) and i.name != s)
        return cost * math.prod(len(sets[s]) for s in picked)
    return cost


def _operations(scenario: Scenario) -> None:
    sets = _sets(scenario)
    formulas = [
        (f"model[{i}].expr", n.formula, math.prod(len(sets[s]) for s in n.per))
        for i, n in enumerate(scenario.model)
    ]
    formulas += [(f"given[{i}].that", g.formula, 1) for i, g in enumerate(scenario.given)]
    formulas += [(f"ask[{i}].expr", a.formula, 1) for i, a in enumerate(scenario.ask)]
    nodes = {node.name: node for node in scenario.model}
    total = 0
    for field, formula, times in formulas:
        total += times * _cost(formula, nodes, sets)
        if total > limits.MAX_OPERATIONS:
            raise ScenarioError(
                f"written out, the formulas have more than {limits.MAX_OPERATIONS} operations; "
                "use smaller sets, or put totals into `let` nodes",
                field=field,
            )


# -- model -------------------------------------------------------------------------------------


def static_types(scenario: Scenario) -> dict[str, Static]:
    """The static type of every model node, by name.

    Raises:
      ScenarioError: a formula has none; it names the field and the character.
    """
    sets = _sets(scenario)
    nodes: dict[str, ModelNode] = {}
    typed: dict[str, Static] = {}
    names = [node.name for node in scenario.model]
    for i, node in enumerate(scenario.model):
        own = dict(typed)
        if isinstance(node.formula, Draw):
            # `prev` of the draw itself needs its type before its arguments have theirs.
            own[node.name] = _own_type(node, node.formula)
        checker = Checker(sets, nodes, own, node, frozenset(names[i + 1 :]))
        try:
            found = checker.check(node.formula, node.per)
            _settled(checker, node, found)
        except ExpressionError as error:
            raise _in(error, f"model[{i}].expr") from None
        nodes[node.name] = node
        unit = node.unit or found.unit
        typed[node.name] = dataclasses.replace(found, unit=unit if found.kind == "real" else "")
    return typed


def _own_type(node: ModelNode, draw: Draw) -> Static:
    anything = {name: types.real(-types.INF, types.INF) for name in FAMILIES[draw.family]}
    return types.family(draw.family, anything, node.unit, draw.set)


def _settled(checker: Checker, node: ModelNode, found: Static) -> None:
    """Checks what is wanted of a `let` as a whole."""
    if node.kind != "let":
        return
    if found.kind in ("member", "label"):
        raise ExpressionError(
            "a let is a number or yes/no; use the pick-draw or the index itself where a member "
            "is wanted",
            node.formula.at,
        )
    bound = (*node.per, *(p.set for p in walk(node.formula) if isinstance(p, Reduce)))
    for part in walk(node.formula):
        if isinstance(part, Prev) and part.name == node.name:
            first = checker.check(part.first, bound)
            if first.kind != found.kind:
                raise ExpressionError(
                    f"the first value and the formula are both numbers or both yes/no; "
                    f"{node.name!r} steps from one to the other",
                    part.first.at,
                )


def _in(error: ExpressionError, field: str) -> ScenarioError:
    return ScenarioError(error.message, field=field, at=error.at)


# -- given -------------------------------------------------------------------------------------


def _givens(scenario: Scenario, checker: Checker) -> None:
    seen: dict[tuple[str, tuple[str, ...]], int] = {}
    for i, given in enumerate(scenario.given):
        field = f"given[{i}].that"
        try:
            found = observed_draw(scenario, given.formula)
            if found is None:
                _fact(scenario, checker, given.formula)
                continue
            node, labels, value = found
            assert isinstance(given.formula, Compare)
            checker.check(given.formula.left, ())
            _observed_value(checker, node, value)
            if (node.name, labels) in seen:
                raise ExpressionError(
                    f"this draw is already observed in given[{seen[node.name, labels]}]", 0
                )
            seen[node.name, labels] = i
        except ExpressionError as error:
            raise _in(error, field) from None


def _fact(scenario: Scenario, checker: Checker, formula: Expr) -> None:
    if isinstance(formula, Compare) and formula.op == "==":
        turned = dataclasses.replace(formula, left=formula.right, right=formula.left)
        if observed_draw(scenario, turned) is not None:
            raise ExpressionError(
                "an observation has the draw on the left: draw == value", formula.right.at
            )
    found = checker.check(formula, ())
    if found.kind != "boolean":
        raise ExpressionError(
            "a given is an observed draw (draw == value), a comparison, beats(...) or another "
            "yes/no formula",
            formula.at,
        )
    if isinstance(formula, Compare):
        a, b = checker.check(formula.left, ()), checker.check(formula.right, ())
        never = {
            "<": a.low >= b.high,
            "<=": a.low > b.high,
            ">": a.high <= b.low,
            ">=": a.high < b.low,
            "==": a.low > b.high or a.high < b.low,
            "!=": a.constant is not None and a.constant == b.constant,
        }
        if {a.kind, b.kind} <= {"real", "boolean"} and never[formula.op]:
            raise ExpressionError("this can never be true, whatever the draws", formula.at)


def _observed_value(checker: Checker, node: ModelNode, value: Expr) -> None:
    """Checks that a draw can take the value that was seen."""
    assert isinstance(node.formula, Draw)
    family = node.formula.family
    if isinstance(value, Label):
        if family != "pick":
            raise ExpressionError(
                f"{node.name!r} is drawn by {family}(...), so it is seen as a number", value.at
            )
        if value.text not in checker.sets[node.formula.set or ""]:
            hint = did_you_mean(value.text, checker.sets[node.formula.set or ""])
            raise ExpressionError(
                f"{value.text!r} is not in the set {node.formula.set!r}{hint}", value.at
            )
        return
    if family == "pick":
        raise ExpressionError(
            f"{node.name!r} picks a member of {node.formula.set!r}; name it in quotes", value.at
        )
    number = checker.number(value, ()).constant
    if number is None:
        raise ExpressionError("an observed value is a constant", value.at)
    whole = family in ("count", "successes")
    own = checker.typed[node.name]
    if family == "yes":
        fits, wants = number in (0, 1), "1 or 0"
    elif whole:
        fits = number >= 0 and number % 1 == 0 and number <= own.high
        wants = "a whole number from 0" + (f" to {own.high:g}" if own.high < types.INF else "")
    elif family in ("lognormal", "gamma"):
        fits, wants = number > 0, "above 0"
    elif family in ("beta", "share"):
        fits, wants = 0 < number < 1, "greater than 0 and less than 1"
    else:
        fits, wants = own.low <= number <= own.high, f"from {own.low:g} to {own.high:g}"
    if not fits:
        raise ExpressionError(
            f"impossible observation: {node.name!r} is drawn by {family}(...), its values are "
            f"{wants}, this is {number:g}",
            value.at,
        )


# -- ask ---------------------------------------------------------------------------------------


def _ask(checker: Checker, ask: Ask, field: str) -> Ask:
    try:
        found = checker.check(ask.formula, ())
        _ask_type(ask, found)
    except ExpressionError as error:
        raise _in(error, f"{field}.expr") from None
    if ask.kind == "value":
        if not ask.low < ask.high:
            raise ScenarioError(
                f"the range goes from low to high, here from {ask.low:g} to {ask.high:g}",
                field=f"{field}.high",
            )
        if ask.high - ask.low < 1e-30 or max(abs(ask.low), abs(ask.high)) > 1e30:
            raise ScenarioError(
                f"the range {ask.low:g} to {ask.high:g} is too narrow or too far from 0; its width "
                "must be at least 1e-30 and its ends within 1e30",
                field=f"{field}.high",
            )
        if ask.unit and found.unit and ask.unit != found.unit:
            raise ScenarioError(
                f"asks in {ask.unit!r}, but {ask.expr!r} is in {found.unit!r}",
                field=f"{field}.unit",
            )
    if ask.kind != "choice":
        if ask.options:
            raise ScenarioError(
                f"options are for kind 'choice', this is {ask.kind!r}", field=f"{field}.options"
            )
        return ask
    if found.kind == "boolean":
        options = ask.options or ("no", "yes")
        if len(options) != 2:
            raise ScenarioError(
                "a yes/no formula has two options, the first for false, the second for true",
                field=f"{field}.options",
            )
        return dataclasses.replace(ask, options=options)
    options = ask.options or checker.sets[found.set]
    if len(checker.sets[found.set]) < 2:
        raise ScenarioError(
            f"a choice is among two or more, {found.set!r} has one member", field=f"{field}.expr"
        )
    if options != checker.sets[found.set]:
        raise ScenarioError(
            f"the options are the members of {found.set!r} in their order: "
            f"{', '.join(checker.sets[found.set])}",
            field=f"{field}.options",
        )
    return dataclasses.replace(ask, options=options)


def _ask_type(ask: Ask, found: Static) -> None:
    if ask.kind == "choice":
        if found.kind not in ("boolean", "member"):
            raise ExpressionError(
                "a choice is about a yes/no formula or a pick-draw; ask for a number with kind "
                "'value'",
                ask.formula.at,
            )
    elif found.kind in ("member", "label"):
        raise ExpressionError(
            f"kind {ask.kind!r} wants a number; a pick is asked for with kind 'choice'",
            ask.formula.at,
        )
    elif ask.kind == "chance":
        if found.kind == "boolean" or found.fact:
            raise ExpressionError(
                "a chance is a probability such as sigmoid(...) or a draw of beta(...), this is "
                "yes or no; ask for a fact with kind 'choice'",
                ask.formula.at,
            )
        if not found.probability:
            raise ExpressionError(
                "a chance is a probability; this may go outside 0 to 1 (its range is "
                f"{found.low:g} to {found.high:g}); use sigmoid(...) or clip(..., 0, 1)",
                ask.formula.at,
            )
    elif found.kind == "boolean":
        raise ExpressionError(
            f"kind {ask.kind!r} wants a number, this is yes or no; use kind 'choice'",
            ask.formula.at,
        )


# -- truth -------------------------------------------------------------------------------------


def _truth(scenario: Scenario) -> None:
    """Checks that a stored truth has every scalar draw, with values it can have."""
    from ppt_jax.scenario.document import elements, flat_name

    if not scenario.truth:
        return
    wanted = {
        flat_name(node.name, labels): node
        for node in scenario.model
        if node.kind == "draw"
        for labels in elements(scenario, node)
    }
    for name in scenario.truth:
        if name not in wanted:
            raise ScenarioError(
                f"there is no such draw{did_you_mean(name, wanted)}", field=f"truth.{name[:80]}"
            )
    for name, node in wanted.items():
        if name not in scenario.truth:
            raise ScenarioError(
                "is missing; a stored truth has every scalar draw", field=f"truth.{name}"
            )
        value = scenario.truth[name]
        assert isinstance(node.formula, Draw)
        if node.formula.family == "yes":
            choices = 2
        elif node.formula.family == "pick":
            choices = len(scenario.members(node.formula.set or ""))
        else:
            continue
        if not (value % 1 == 0 and 0 <= value < choices):
            raise ScenarioError(
                f"is a whole number from 0 to {choices - 1}, here {value:g}", field=f"truth.{name}"
            )
