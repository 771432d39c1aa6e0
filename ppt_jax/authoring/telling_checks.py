"""Checks that single spans and questions say what their formulas mean.

Each looks at one place where words and formula can be compared without understanding the story:
the number of an observation, the names in it, two observations told alike, "above 40" against
``> 40``, a standard deviation, a unit. They are silent where they cannot decide.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import re
from collections.abc import Iterator, Sequence

import numpy as np

from ppt_jax.authoring.findings import Finding
from ppt_jax.authoring.program_numbers import (
    STRUCTURE,
    Values,
    constants,
    names_in,
    used_nodes,
)
from ppt_jax.authoring.story_index import Place, StoryIndex, find_labels, masked
from ppt_jax.authoring.units import told_otherwise
from ppt_jax.authoring.wording import read_numbers
from ppt_jax.scenario.document import Ask, Given, ModelNode, Scenario, observed_draw
from ppt_jax.scenario.expression import (
    Binary,
    Compare,
    Draw,
    Expr,
    Index,
    Label,
    Name,
    Number,
    Unary,
    children,
    print_expression,
    walk,
)

_N = r"(-?\d+(?:\.\d+)?|half\b)"
_GAP = r"(?: (?:a|an|the|about|roughly|some|only|just|than|that|of))*? "
_MORE = (
    r"(?:more|greater|higher|longer|larger|bigger|later|older|heavier|warmer|taller|further|"
    r"farther) than|above|over|beyond|exceed(?:s|ed|ing)?"
)
_LESS = (
    r"(?:less|fewer|lower|shorter|smaller|earlier|younger|lighter|colder|cooler|nearer) than|"
    r"below|under|beneath"
)
_BOUNDS = (
    (re.compile(rf"\b(?:no|not) (?:{_MORE}){_GAP}{_N}", re.IGNORECASE), "<="),
    (re.compile(rf"\b(?:no|not) (?:{_LESS}){_GAP}{_N}", re.IGNORECASE), ">="),
    (re.compile(rf"\b(?:{_MORE}){_GAP}{_N}", re.IGNORECASE), ">"),
    (re.compile(rf"\b(?:{_LESS}){_GAP}{_N}", re.IGNORECASE), "<"),
    (re.compile(rf"\bat least{_GAP}{_N}", re.IGNORECASE), ">="),
    (re.compile(rf"\bat most{_GAP}{_N}", re.IGNORECASE), "<="),
    (re.compile(rf"(?<![\w.]){_N}(?: [a-z]+)? or more\b", re.IGNORECASE), ">="),
    (re.compile(rf"(?<![\w.]){_N}(?: [a-z]+)? or (?:less|fewer)\b", re.IGNORECASE), "<="),
)
_PERCENT = re.compile(r" ?%| percent(?:age)?\b")
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_GREATER = re.compile(
    r"\b(?:stronger|higher|larger|greater|bigger|older|taller|heavier|longer|more)\b",
    re.IGNORECASE,
)
_LESSER = re.compile(
    r"\b(?:weaker|slower|lower|worse|smaller|lesser|younger|shorter|lighter|less|fewer|earlier|"
    r"loses?|behind|not)\b",
    re.IGNORECASE,
)
_ALONE = re.compile(
    r"\bindependent(?:ly)? of (?:all|everything)|\bnothing to do with\b|\bby itself\b",
    re.IGNORECASE,
)
_SEVERAL = re.compile(r"\b(?:both|all|each|every|two|three|four|twice|again)\b", re.IGNORECASE)
_SPREAD = re.compile(rf"\bstandard deviation(?: is| was)?(?: of)?{_GAP}{_N}", re.IGNORECASE)
_VARIANCE = re.compile(rf"\bvariance(?: is| was)?(?: of)?{_GAP}{_N}", re.IGNORECASE)


def check_telling(scenario: Scenario, index: StoryIndex) -> Iterator[Finding]:
    """All checks of this module.

    Args:
      scenario: a parsed document.
      index: of its story.

    Yields:
      Findings; none for a span that does not stand in the story (c6 says so).
    """
    members = {label: named.name for named in scenario.sets for label in named.members}
    for node in scenario.model:
        yield from _node(node)
    if scenario.told != "verbal":
        yield from _own_numbers(scenario, index)
    claimed = index.claimed(given.says for given in scenario.given)
    for number, given in enumerate(scenario.given):
        yield from _given(scenario, given, f"given[{number}]", index, members, claimed)
    yield from _parallel(scenario, index)
    yield from _twice(scenario, index)
    told = Values(
        [reading.value for reading in index.readings]
        + [value for node in scenario.model for value in constants(node.formula)]
        + [value for given in scenario.given for value in constants(given.formula)]
    )
    counts = [float(len(named.members)) for named in scenario.sets]
    sizes = [*counts, *(count - 1 for count in counts)]  # all of them, all others
    for ask in scenario.ask:
        places = find_labels(ask.text, members)
        yield from _wrong_member(ask.formula, places, members, f"{ask.id}: the question")
        yield from _ask_numbers(ask, places, told, sizes)
        yield from _ask_direction(scenario, ask)
        yield from _ask_options(ask)
        unit = told_otherwise(ask.unit, ask.text)
        if unit:
            yield Finding("c5_units", f"{ask.id} is in {ask.unit!r}, its text says {unit!r}")
    yield from _unused(scenario)


# -- nodes ---------------------------------------------------------------------------------------


def _own_numbers(scenario: Scenario, index: StoryIndex) -> Iterator[Finding]:
    """Two nodes whose numbers stand in each other's words have them interchanged.

    A number may also stand in the words of another node that has it too, and a single number that
    stands elsewhere proves nothing.
    """
    used = {node.name: Values(constants(node.formula)) for node in scenario.model}
    told = {
        node.name: Values(
            reading.value
            for start in index.places(node.says)
            for reading in index.numbers_in(start, start + len(node.says))
        )
        for node in scenario.model
    }
    shared = Values(v for name, values in used.items() for v in values if v in told[name])
    away = {
        node.name: [
            value
            for value in used[node.name]
            if value not in STRUCTURE and value not in told[node.name] and value not in shared
        ]
        for node in scenario.model
        if index.places(node.says)
    }
    elsewhere = Values(value for name, values in away.items() if values for value in told[name])
    strays = ((n, v) for n, values in away.items() for v in values if v in elsewhere)
    for name, value in itertools.islice(strays, 20):
        for other, others in away.items():
            if other != name and others and value in told[other]:
                yield Finding("c5_numbers", f"{name} has {value:g}, which is told of {other}")


def _node(node: ModelNode) -> Iterator[Finding]:
    unit = told_otherwise(node.unit, node.says)
    if unit:
        yield Finding("c5_units", f"{node.name} is in {node.unit!r}, its words say {unit!r}")
    draw = node.formula
    if not isinstance(draw, Draw) or draw.family not in ("normal", "robust"):
        return
    sd = dict(draw.args)["sd"]
    if not isinstance(sd, Number):
        return
    spread = list(_told(_SPREAD, node.says))
    if len(spread) == 1 and sd.value not in Values(spread):
        yield Finding(
            "c5_numbers",
            f"{node.name} is told with a standard deviation of {spread[0]:g}, has sd={sd.value:g}",
        )
    variance = list(_told(_VARIANCE, node.says))
    if len(variance) == 1 and sd.value in Values(variance) and sd.value not in STRUCTURE:
        yield Finding("c5_numbers", f"{node.name} has its variance {sd.value:g} as sd")


def _told(pattern: re.Pattern[str], text: str) -> Iterator[float]:
    return map(_value, pattern.finditer(text))


def _value(match: re.Match[str]) -> float:
    """The number of a match's first group, "half" and percentages included."""
    value = 0.5 if match[1].lower() == "half" else float(match[1])
    return value / 100 if _PERCENT.match(match.string, match.end(1)) else value


def _unused(scenario: Scenario) -> Iterator[Finding]:
    """A cause that the story tells bears on some question or observation."""
    above = {node.name: names_in(node.formula) - {node.name} for node in scenario.model}
    used = used_nodes(scenario)
    parents = set[str]().union(*above.values())
    for node in scenario.model:
        # what follows from other nodes may be left open, and what only such a node needs
        cause = node.kind == "draw" and not above[node.name] and node.name not in parents
        if cause and node.says and node.name not in used and not _ALONE.search(node.says):
            yield Finding("c8_influence", f"no question or observation depends on {node.name}")


# -- observations ----------------------------------------------------------------------------------


def _given(
    scenario: Scenario,
    given: Given,
    where: str,
    index: StoryIndex,
    members: dict[str, str],
    claimed: np.ndarray,
) -> Iterator[Finding]:
    starts = index.places(given.says)
    if not starts:
        return
    observed = observed_draw(scenario, given.formula)
    if observed is not None:
        value = next(constants(observed[2]), None)
        read = [
            reading.value
            for start in starts
            for reading in index.numbers_in(start, start + len(given.says))
        ]
        if value is not None and value not in STRUCTURE and value not in Values(read):
            yield Finding(
                "c5_numbers", f"{where} observes {value:g}, its words do not: {given.says!r}"
            )
        unit = told_otherwise(observed[0].unit, given.says)
        if unit:
            yield Finding("c5_units", f"{where} is in {observed[0].unit!r}, its words say {unit!r}")
    else:
        yield from _bound(scenario, given.formula, given.says, where)
    found: list[Finding] = []
    for start in starts:
        end = start + len(given.says)
        inside = index.labels_in(start, end)
        # of a set that the span does not name, its sentence may, outside of other observations
        own = {members[place.label] for place in inside}
        inside += [
            place
            for place in index.labels_in(*index.sentence_of(start))
            if members[place.label] not in own and not claimed[place.start]
        ]
        found = list(_wrong_member(given.formula, inside, members, where))
        if not found:
            return
    yield from found


def _wrong_member(
    formula: Expr, places: Sequence[Place], members: dict[str, str], where: str
) -> Iterator[Finding]:
    """Words that name another member of a set than the formula does.

    Of a set, the words may name fewer members than the formula (a pronoun) or more (a comparison
    with someone else), but not lack one and have another.
    """
    used: dict[str, set[str]] = {}
    for part in walk(formula):
        if isinstance(part, Label) and part.text in members:
            used.setdefault(members[part.text], set()).add(part.text)
    for name, wanted in used.items():
        told = {place.label for place in places if members[place.label] == name}
        if wanted - told and told - wanted:
            about, named = _listed(wanted - told), _listed(told - wanted)
            yield Finding("c7_labels", f"{where} is about {about}, the words name {named}")


def _listed(labels: set[str]) -> str:
    return ", ".join(repr(label) for label in sorted(labels)[:5])


@dataclasses.dataclass(frozen=True)
class _Shape:
    """A formula with the labels that its words name numbered, for comparing two tellings."""

    names: tuple[str, ...]
    text: str


def _parallel(scenario: Scenario, index: StoryIndex) -> Iterator[Finding]:
    """Observations of the same quantity told in the same words mean the same.

    Words that tell several observations at once say nothing about each.
    """
    quoted = collections.Counter(given.says for given in scenario.given)
    seen: dict[tuple[str, tuple[str, ...]], tuple[str, str]] = {}
    for given in scenario.given:
        starts = index.places(given.says)
        if not starts or quoted[given.says] > 1:
            continue
        start, end = starts[0], starts[0] + len(given.says)
        places = index.labels_in(start, end)
        order = list(dict.fromkeys(place.label for place in places))
        words = _worded(index, start, end, places, order)
        told = Values(r.value for r in index.numbers_in(start, end))
        shape = _shape(given.formula, order, told)
        key = words.casefold(), shape.names
        if key not in seen:
            seen[key] = shape.text, given.that
        elif seen[key][0] != shape.text:
            yield Finding(
                "c6_parallel", f"{given.that} is told like {seen[key][1]}, but means otherwise"
            )


def _worded(
    index: StoryIndex, start: int, end: int, places: Sequence[Place], order: list[str]
) -> str:
    """A span with its labels numbered in their order and its numbers left out."""
    marks = [(place.start, place.end, f"<{order.index(place.label)}>") for place in places]
    marks += [(r.start, r.end, "#") for r in index.numbers_in(start, end)]
    made, at = [], start
    for first, last, mark in sorted(marks):
        if first >= at:
            made += [index.story[at:first], mark]
            at = last
    return "".join([*made, index.story[at:end]])


def _shape(formula: Expr, order: list[str], told: Values) -> _Shape:
    names: list[str] = []

    def text(part: Expr) -> str:
        if isinstance(part, Name | Index):
            names.append(part.name)
        match part:
            case Label(text=label):
                return f"<{order.index(label)}>" if label in order else "<>"
            case Number(value=value):
                return "#" if value in told else f"{value:g}"
            case Unary(operand=Number(value=value)) if -value in told:
                return "#"
        head = [type(part).__name__, str(getattr(part, "op", "") or getattr(part, "name", ""))]
        return f"{'.'.join(head)}({','.join(map(text, children(part)))})"

    made = text(formula)
    return _Shape(tuple(sorted(names)), made)


def _twice(scenario: Scenario, index: StoryIndex) -> Iterator[Finding]:
    """Evidence is entered as often as the story tells it.

    The same soft comparison, or two draws alike in formula and value, quote the same words, and
    nothing in these speaks of several.
    """
    nodes = {node.name: node for node in scenario.model}
    entered: dict[tuple[str, str], list[str]] = {}
    for given in scenario.given:
        seen = given.formula.left if isinstance(given.formula, Compare) else None
        what = print_expression(given.formula)
        if isinstance(seen, Name) and observed_draw(scenario, given.formula) is not None:
            assert isinstance(given.formula, Compare)
            value = print_expression(given.formula.right)
            what = f"{print_expression(nodes[seen.name].formula)} == {value}"
        if not _SEVERAL.search(given.says):
            entered.setdefault((what, given.says), []).append(given.that)
    for (_, says), those in entered.items():
        if len(those) > max(len(index.places(says)), 1):
            yield Finding("c8_influence", f"{says!r} is entered {len(those)} times: {those[:4]}")


# -- bounds, questions ---------------------------------------------------------------------------


def _bound(scenario: Scenario, formula: Expr, text: str, where: str) -> Iterator[Finding]:
    """ "above 40" is ``> 40``, "at most 3" of a count is ``<= 3``."""
    if not isinstance(formula, Compare) or formula.op not in _TURNED:
        return
    sides = (formula.left, formula.right)
    for quantity, bound, op in ((*sides, formula.op), (*sides[::-1], _TURNED[formula.op])):
        found = list(constants(bound))
        plain = all(isinstance(part, Number | Unary | Binary) for part in walk(bound))
        if len(found) != 1 or not plain or isinstance(quantity, Number):
            continue
        value = found[0]
        said = {sign for number, sign in _bounds(text) if number in Values([value])}
        if len(said) != 1:
            continue
        sign = said.pop()
        whole = _is_whole(scenario, quantity)
        if sign[0] != op[0] or (whole and sign != op):
            yield Finding(
                "c5_direction", f"{where} says {sign} {value:g}, the formula {op} {value:g}"
            )


def _bounds(text: str) -> Iterator[tuple[float, str]]:
    """Numbers that a text bounds, with the sign of the bound; of two readings the first counts."""
    taken: set[int] = set()
    for pattern, sign in _BOUNDS:
        for match in pattern.finditer(text):
            if match.start(1) not in taken:
                taken.add(match.start(1))
                yield _value(match), sign


def _is_whole(scenario: Scenario, quantity: Expr) -> bool:
    """Whether a quantity is a count by itself."""
    if not isinstance(quantity, Name | Index):
        return False
    nodes = {node.name: node for node in scenario.model}
    formula = nodes[quantity.name].formula if quantity.name in nodes else None
    return isinstance(formula, Draw) and formula.family in ("count", "successes")


def _ask_numbers(
    ask: Ask, places: Sequence[Place], told: Values, sizes: Sequence[float]
) -> Iterator[Finding]:
    read = Values(r.value for r in read_numbers(masked(ask.text, places)))
    asked = Values(constants(ask.formula))
    free = Values([*STRUCTURE, 0.5, 100.0, ask.low, ask.high, *sizes])
    for value in asked:
        if abs(value) not in free and not any(
            one in read or one in told for one in (value, -value)
        ):
            yield Finding("c5_numbers", f"{ask.id}: {value:g} is in the formula, told nowhere")
    for value in read:
        if value not in free and not any(one in asked or one in told for one in (value, -value)):
            yield Finding("c5_numbers", f"{ask.id}: {value:g} is in the question, used nowhere")


def _ask_direction(scenario: Scenario, ask: Ask) -> Iterator[Finding]:
    if ask.kind == "choice" and ask.options == ("no", "yes"):
        yield from _bound(scenario, ask.formula, ask.text, ask.id)


def _ask_options(ask: Ask) -> Iterator[Finding]:
    """The second option of ``a > b`` is the one of `a` where "stronger" is asked for."""
    formula = ask.formula
    if tuple(option.casefold() for option in ask.options) == ("yes", "no"):
        yield Finding("c7_labels", f"{ask.id}: the first option stands for false, so it is 'no'")
    if ask.kind != "choice" or not isinstance(formula, Compare) or len(ask.options) != 2:
        return
    if formula.op not in _TURNED or _LESSER.search(ask.text) or not _GREATER.search(ask.text):
        return
    left, right = (
        {part.text for part in walk(side) if isinstance(part, Label)}
        for side in (formula.left, formula.right)
    )
    greater, lesser = (left, right) if formula.op[0] == ">" else (right, left)
    no, yes = ask.options
    if no in greater - lesser and yes in lesser - greater:
        yield Finding("c7_labels", f"{ask.id}: the options {no!r}, {yes!r} are in the wrong order")
