"""Checks of a story against its program: numbers, spans, labels, coverage (c5, c6, c7).

They read the document alone and need no simulation. `telling_checks` compares what single nodes,
observations and questions say with what their formulas mean; `ppt_jax.authoring.checks` holds the
checks by simulation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ppt_jax.authoring.findings import Finding
from ppt_jax.authoring.program_numbers import STRUCTURE, Values, constants, used_nodes
from ppt_jax.authoring.story_index import StoryIndex, find_labels
from ppt_jax.authoring.telling_checks import check_telling
from ppt_jax.authoring.wording import NUMBER, number_value, read_numbers
from ppt_jax.scenario.document import ModelNode, Scenario
from ppt_jax.scenario.expression import Expr, Label, walk

__all__ = ["Finding", "check_text", "constants"]

# Simple pasts without -ed that events are told in; "set", "cut" and the like are left out.
_IRREGULAR = (
    r"was|were|had|did|came|went|saw|found|gave|took|rang|beat|won|lost|told|"
    r"said|left|made|got|ran|began|fell|rose|kept|sent|sold|bought|heard|knew|"
    r"stood|broke|held|met|paid|grew|blew|threw|drew|flew|ate|drank|sang|swam|"
    r"spoke|woke|wrote|chose|felt|slept|led|sat|spent|brought|thought|caught|built|"
    r"lit"
)
_NO_VERB = (
    r"(?!(?:hundred|kindred|hatred|sacred|naked|wicked|rugged|sled|shed|shred)\b)"  # nor speed
)
_PAST = re.compile(rf"\b(?:{_NO_VERB}[a-z]+[a-df-z]ed|agreed|freed|{_IRREGULAR})\b")
# After these an -ed word is no past tense; with a modal the sentence is a rule.
_PASSIVE = re.compile(
    r"\b(?:is|are|be|been|being|gets?|has|have)\s+(?:not\s+|never\s+|always\s+|all\s+|both\s+)?"
    r"[a-z]+\b"
)
_RULE = re.compile(
    r"\b(?:may|might|can|could|will|would|must|should|if|unless|whenever)\b", re.IGNORECASE
)
_CLAUSE = re.compile(  # "here is what came in", "one that was not chosen"
    r"\b(?:what|which|who|that (?:i|you|we|they|he|she|it|was|were|had|did))\b[^,.;:]*",
    re.IGNORECASE,
)
_SHARE = re.compile(
    rf"\b({NUMBER})(?: [a-z]+)? (?:of(?: the)?|in|out of)(?: every)? ({NUMBER})\b",
    re.IGNORECASE,
)
_UNSEEN = re.compile(  # says what is missing, so it needs no claim
    r"\W*(?:[^:\n]{0,40}: )?(?:(?:nobody|no one)\s+[a-z]+ed|"
    r"there (?:is|was) no (?:reading|count|measurement|record|entry|note|figure)|"
    r"one (?:reading|count|measurement|record|entry|note|figure|line|page) "
    r"(?:cannot be read|is lost|is missing|was lost|was left blank|was torn))\b",
    re.IGNORECASE,
)


def check_text(scenario: Scenario) -> list[Finding]:
    """c5 numbers, c6 spans, c7 labels, coverage of sentences, and what `telling_checks` holds.

    Args:
      scenario: a parsed document (c1 is its parsing).

    Returns:
      Findings, empty when text and program agree as far as can be seen.
    """
    index = StoryIndex(scenario)
    return [
        *_check_spans(scenario),
        *_check_numbers(scenario, index),
        *_check_labels(scenario),
        *_check_coverage(scenario, index),
        *check_telling(scenario, index),
    ]


def _spans(scenario: Scenario) -> list[str]:
    told = [node.says for node in scenario.model] + [given.says for given in scenario.given]
    return [span for span in told if span]


def _check_spans(scenario: Scenario) -> Iterator[Finding]:
    for span in dict.fromkeys((*_spans(scenario), *scenario.asides)):
        if span not in scenario.story:
            yield Finding("c6_spans", f"not in the story: {span[:200]!r}")
    for number, given in enumerate(scenario.given):
        if not given.says.strip():
            yield Finding("c6_spans", f"given[{number}] has no span: {given.that}")


def _check_numbers(scenario: Scenario, index: StoryIndex) -> Iterator[Finding]:
    """Every number of the program stands in the story, and every number there in the program.

    0, 1 and 2 are structure (complements, squares); sizes of sets and of the evidence may be told.
    At told-level "implicit" the numbers of draws that are told without any number may be untold;
    those of nodes that nothing depends on may stand in an aside.
    """
    implied = Values(
        value
        for node in scenario.model
        if scenario.told == "implicit" and told_implicitly(node)
        for value in constants(node.formula)
    )
    program = Values(value for expr in _formulas(scenario) for value in constants(expr))
    read = [reading.value for reading in index.readings]
    shares, parts = _shares(index.text, program)
    told = Values(value for value in read if value not in parts)
    known = Values([*read, *shares])
    if scenario.told == "verbal":
        words = read_numbers(index.text, verbal=True)
        known = Values([*known, *(reading.value for reading in words)])
    used = used_nodes(scenario)
    unused = [node.formula for node in scenario.model if node.name not in used]
    beside = Values(r.value for aside in scenario.asides for r in read_numbers(aside))
    aside = Values(v for expr in unused for v in constants(expr) if v in beside)
    for value in program:
        if value not in STRUCTURE and not any(value in one for one in (known, implied, aside)):
            yield Finding("c5_numbers", f"{value:g} is in the program, not in the story")
    structure = {*STRUCTURE, float(len(scenario.given))}
    structure |= {float(len(named.members)) for named in scenario.sets}
    for value in told:
        taken_off = value < 0 and -value in program  # told as -0.2, entered as 0 - 0.2
        if value not in structure and value not in program and not taken_off:
            yield Finding("c5_numbers", f"{value:g} is in the story, not in the program")


def _shares(text: str, program: Values) -> tuple[list[float], Values]:
    """Shares of the program that the text tells with a noun or "of", and the numbers they use up.

    "1 batch in 10" or "85 of 100" may be a share as well as two counts; which, the program says.
    """
    shares, parts = list[float](), list[float]()
    for match in _SHARE.finditer(text):
        top, bottom = (number_value(match[group]) for group in (1, 2))
        if 0 < top <= bottom and top / bottom in program:
            shares.append(top / bottom)
            parts += [value for value in (top, bottom) if value not in program]
    return shares, Values(parts)


def told_implicitly(node: ModelNode) -> bool:
    """Whether a draw has words, and these words have no number but "one"."""
    numbers = {reading.value for reading in read_numbers(node.says)}
    return node.kind == "draw" and bool(node.says) and numbers <= {1.0}


def _formulas(scenario: Scenario) -> Iterator[Expr]:
    for node in scenario.model:
        yield node.formula
    for given in scenario.given:
        yield given.formula


def _check_labels(scenario: Scenario) -> Iterator[Finding]:
    used = {
        part.text
        for source in (scenario.given, scenario.ask)
        for item in source
        for part in walk(item.formula)
        if isinstance(part, Label)
    }
    used |= {option for ask in scenario.ask for option in ask.options} - {"yes", "no"}
    folded = {label.casefold() for label in used}
    named = {place.label for place in find_labels(scenario.story.casefold(), folded)}
    for label in sorted(used):
        if label.casefold() not in named:
            yield Finding("c7_labels", f"{label!r} is used, but the story never names it")


def _check_coverage(scenario: Scenario, index: StoryIndex) -> Iterator[Finding]:
    """Each sentence that says something is claimed by a node, observation, question or aside.

    It says something when it has a number, when it names members who were introduced before, or
    when it tells an event (a past tense once the telling has begun). A sentence that names members
    for the first time introduces them; one that says that something was not looked at is free.
    """
    asked = [ask.text for ask in scenario.ask]
    claimed = index.claimed([*_spans(scenario), *scenario.asides, *asked])
    counts = {*STRUCTURE, *(float(len(named.members)) for named in scenario.sets)}
    seen = set[str]()
    begun = False
    for start, end in index.sentences:
        named = {place.label for place in index.labels_in(start, end)}
        new = named - seen
        seen |= named
        if claimed[start:end].any():
            begun = True
            continue
        part = scenario.story[start:end]
        numbers = [r for r in index.numbers_in(start, end) if r.value not in counts]
        proper = begun and any(label[:1].isupper() for label in named)
        again = not new and (len(named) > 1 or proper)
        event = begun and not new and _is_event(part)
        if numbers or ((again or event) and not _UNSEEN.match(part)):
            yield Finding("coverage", f"no node, observation or aside claims {part[:200]!r}")


def _is_event(sentence: str) -> bool:
    """Whether a sentence tells, in the past tense, that something happened."""
    if sentence.rstrip().endswith(("?", ":")) or _RULE.search(sentence):
        return False
    return bool(_PAST.search(_PASSIVE.sub("", _CLAUSE.sub("", sentence))))
