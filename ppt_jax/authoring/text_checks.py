"""Checks of a story against its program: numbers, spans, labels, coverage (c5, c6, c7).

They read the document alone and need no simulation; `ppt_jax.authoring.checks` holds the rest.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence

import numpy as np

from ppt_jax.authoring.language import split_sentences
from ppt_jax.authoring.wording import read_numbers
from ppt_jax.scenario.document import ModelNode, Scenario
from ppt_jax.scenario.expression import Binary, Expr, Label, Number, Unary, children, walk


@dataclasses.dataclass(frozen=True)
class Finding:
    """One failed check: its name, stable for counting, and what was found."""

    check: str
    detail: str


def check_text(scenario: Scenario) -> list[Finding]:
    """c5 numbers, c6 spans, c7 labels and the coverage of sentences.

    Args:
      scenario: a parsed document (c1 is its parsing).

    Returns:
      Findings, empty when text and program agree as far as can be seen.
    """
    return [
        *_check_spans(scenario),
        *_check_numbers(scenario),
        *_check_labels(scenario),
        *_check_coverage(scenario),
    ]


def _spans(scenario: Scenario) -> list[str]:
    told = [node.says for node in scenario.model] + [given.says for given in scenario.given]
    return [span for span in told if span]


def _check_spans(scenario: Scenario) -> Iterator[Finding]:
    for span in (*_spans(scenario), *scenario.asides):
        if span not in scenario.story:
            yield Finding("c6_spans", f"not in the story: {span!r}")
    for number, given in enumerate(scenario.given):
        if not given.says:
            yield Finding("c6_spans", f"given[{number}] has no span: {given.that}")


def _check_numbers(scenario: Scenario) -> Iterator[Finding]:
    """Every number of the program stands in the story, and every number there in the program.

    0, 1 and 2 are structure (complements, squares); sizes of sets and of the evidence may be told.
    At told-level "implicit" the numbers of draws that are told without any number may be untold.
    """
    program = {value for expr in _formulas(scenario) for value in constants(expr)}
    implied = {
        value
        for node in scenario.model
        if scenario.told == "implicit" and told_implicitly(node)
        for value in constants(node.formula)
    }
    story = _mask(scenario.story, (*scenario.asides, *_labels(scenario)))
    told = {reading.value for reading in read_numbers(story)}
    words = {reading.value for reading in read_numbers(story, verbal=True)}
    known = told | (words if scenario.told == "verbal" else set())
    for value in program:
        if value not in (0.0, 1.0, 2.0) and not _holds(known | implied, value):
            yield Finding("c5_numbers", f"{value:g} is in the program, not in the story")
    structure = {0.0, 1.0, 2.0, float(len(scenario.given))}
    structure |= {float(len(named.members)) for named in scenario.sets}
    for value in told:
        if value not in structure and not _holds(program, value):
            yield Finding("c5_numbers", f"{value:g} is in the story, not in the program")


def told_implicitly(node: ModelNode) -> bool:
    """Whether a draw has words, and these words have no number but "one"."""
    numbers = {reading.value for reading in read_numbers(node.says)}
    return node.kind == "draw" and bool(node.says) and numbers <= {1.0}


def _holds(values: set[float], value: float) -> bool:
    return any(abs(value - other) <= 1e-9 * max(1.0, abs(value)) for other in values)


def _formulas(scenario: Scenario) -> Iterator[Expr]:
    for node in scenario.model:
        yield node.formula
    for given in scenario.given:
        yield given.formula


def constants(expr: Expr) -> Iterator[float]:
    """Numbers of a formula; a ratio of two whole numbers and a sign count as part of the number."""
    if isinstance(expr, Number):
        yield expr.value
    elif isinstance(expr, Binary) and expr.op == "/" and _whole(expr.left) and _whole(expr.right):
        yield _whole(expr.left) / _whole(expr.right)
    elif isinstance(expr, Unary) and isinstance(expr.operand, Number):
        yield -expr.operand.value
    else:
        for child in children(expr):
            yield from constants(child)


def _whole(expr: Expr) -> float:
    """The value of a positive whole number, else 0."""
    whole = isinstance(expr, Number) and expr.value > 0 and expr.value == int(expr.value)
    return expr.value if whole and isinstance(expr, Number) else 0.0


def _labels(scenario: Scenario) -> list[str]:
    return [label for named in scenario.sets for label in named.members]


def _mask(text: str, spans: Sequence[str]) -> str:
    for span in sorted(spans, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(span)}(?!\w)", lambda m: "_" * len(m[0]), text)
    return text


def _check_labels(scenario: Scenario) -> Iterator[Finding]:
    used = {
        part.text
        for source in (scenario.given, scenario.ask)
        for item in source
        for part in walk(item.formula)
        if isinstance(part, Label)
    }
    used |= {option for ask in scenario.ask for option in ask.options} - {"yes", "no"}
    for label in sorted(used):
        if not re.search(rf"(?<!\w){re.escape(label)}(?!\w)", scenario.story, re.IGNORECASE):
            yield Finding("c7_labels", f"{label!r} is used, but the story never names it")


def _check_coverage(scenario: Scenario) -> Iterator[Finding]:
    """A sentence with a number, or with two set members, is claimed by a span or an aside.

    A sentence that names members of one set only, before any number, introduces them.
    """
    spans = [*_spans(scenario), *scenario.asides]
    claimed = np.zeros(len(scenario.story) + 1, dtype=bool)
    for span in spans:
        start = scenario.story.find(span)
        while start >= 0:
            claimed[start : start + len(span)] = True
            start = scenario.story.find(span, start + 1)
    counts = {0.0, 1.0, 2.0, *(float(len(named.members)) for named in scenario.sets)}
    position, seen = 0, set[str]()
    for part in split_sentences(scenario.story):
        start = scenario.story.index(part, position)
        position = start + len(part)
        named = [
            label
            for members in scenario.sets
            for label in members.members
            if re.search(rf"(?<!\w){re.escape(label)}(?!\w)", part)
        ]
        new = set(named) - seen
        seen.update(named)
        if claimed[start:position].any():
            continue
        text = _mask(part, _labels(scenario))
        numbers = [r.value for r in read_numbers(text) if r.value not in counts]
        if numbers or (len(named) > 1 and not new):
            yield Finding("coverage", f"no node, observation or aside claims {part!r}")
