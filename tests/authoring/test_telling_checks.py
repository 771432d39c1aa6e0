"""Words and formula held against each other, place by place; and the time that this may take."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from ppt_jax.authoring.story_index import StoryIndex, find_labels
from ppt_jax.authoring.text_checks import check_text
from ppt_jax.authoring.units import told_otherwise
from ppt_jax.authoring.wording import read_numbers
from ppt_jax.scenario.document import parse_scenario
from tests.authoring.test_checks import ROWING
from tests.scenario.build import document, node

Plant = Callable[[dict[str, Any]], None]


def _checks(data: dict[str, Any]) -> set[str]:
    return {finding.check for finding in check_text(parse_scenario(data))}


def _set(*path_and_value: Any) -> Plant:
    *path, last, value = path_and_value

    def plant(data: dict[str, Any]) -> None:
        for key in path:
            data = data[key]
        data[last] = value

    return plant


def _tell(old: str, new: str) -> Plant:
    def plant(data: dict[str, Any]) -> None:
        assert old in data["story"]
        data["story"] = data["story"].replace(old, new)
        for row in (*data["model"], *data["given"]):
            row["says"] = row["says"].replace(old, new)

    return plant


def _both(*plants: Plant) -> Plant:
    def plant(data: dict[str, Any]) -> None:
        for one in plants:
            one(data)

    return plant


def _ask(expr: str, text: str, **more: Any) -> Plant:
    row = {"id": "q2", "kind": "choice", "expr": expr, "unit": "", "low": 0, "high": 1}
    return _set("ask", 1, {**row, "options": ["no", "yes"], "text": text, **more})


TEO = "power['Teo'] > 40"
FAULTS: dict[str, tuple[str, Plant]] = {
    "contest told like another, entered the other way": (
        "c6_parallel",
        _set("given", 1, "that", "pull['Juno','Sunday'] < pull['Teo','Sunday']"),
    ),
    "the day of another race": (
        "c7_labels",
        _set("given", 0, "that", "pull['Teo','Sunday'] > pull['Marit','Sunday']"),
    ),
    "another rower": (
        "c7_labels",
        _set("given", 0, "that", "pull['Juno','Saturday'] > pull['Marit','Saturday']"),
    ),
    "a question about another rower": ("c7_labels", _set("ask", 0, "expr", "power['Juno']")),
    "options the wrong way round": ("c7_labels", _set("ask", 1, "options", ["Marit", "Juno"])),
    "above told, below entered": (
        "c5_direction",
        _ask("power['Teo'] < 40", "Is Teo's power above 40 points?"),
    ),
    "below told, above entered": (
        "c5_direction",
        _ask(TEO, "Does Teo's power lie below 40 points?"),
    ),
    "another threshold": ("c5_numbers", _ask(TEO, "Is Teo's power above 45 points?")),
    "a variance as standard deviation": (
        "c5_numbers",
        _tell("a standard deviation of 15", "a variance of 15"),
    ),
    "mean and spread interchanged": (
        "c5_numbers",
        _set("model", 0, "expr", "normal(mean=15, sd=50)"),
    ),
    "chances of two nodes interchanged": (
        "c5_numbers",
        _both(
            _set("model", 1, "expr", "yes(p=0.6)"),
            _set("model", 2, "expr", "power[rower] * (1/4 if bad[rower, race] else 1)"),
        ),
    ),
    "an event that nothing enters": (
        "coverage",
        _tell("A jar holds", "The river rose that night. A jar holds"),
    ),
    "a name that nothing enters": ("coverage", _tell("A jar holds", "Juno limps. A jar holds")),
    "a cause that nothing depends on": (
        "c8_influence",
        _set("model", 2, "expr", "power[rower] * 0.6"),
    ),
    "evidence entered twice": (
        "c8_influence",
        lambda data: data["given"].extend(
            [{"that": "beats(power['Teo'], power['Marit'], noise=15)", "says": "Teo beat Marit"}]
            * 2
        ),
    ),
    "an observation quoted with another number": (
        "c5_numbers",
        _both(
            _tell("A jar holds", "On Sunday it was 44. A jar holds"),
            _set("given", 2, "says", "On Sunday it was 44"),
        ),
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_words_and_formula_that_differ_are_found(name: str) -> None:
    check, plant = FAULTS[name]
    data = copy.deepcopy(ROWING)
    plant(data)
    assert check in _checks(data)


SOUND: dict[str, Plant] = {
    "a pronoun": _both(
        _tell("On Sunday Juno beat Teo", "On Sunday she beat Teo"),
        _set("given", 1, "says", "she beat Teo"),
    ),
    "what was not looked at": _tell("A jar holds", "Nobody timed Marit on Monday. A jar holds"),
    "a question of the story": _tell("A jar holds", "Who was quicker? A jar holds"),
    "the telling itself": _tell("A jar holds", "Here is what I saw. A jar holds"),
    "a rule in the passive": _tell("A jar holds", "All races are rowed upstream. A jar holds"),
    "no more than": _ask("power['Teo'] <= 40", "Is Teo's power no more than 40 points?"),
    "threshold on the left": _ask("40 < power['Teo']", "Is Teo's power above 40 points?"),
    "weaker": _ask(
        "power['Marit'] > power['Juno']",
        "Who is weaker, Marit or Juno?",
        options=["Marit", "Juno"],
    ),
    "the contest told the other way": _both(
        _tell("On Sunday Juno beat Teo", "On Sunday Teo was beaten by Juno"),
        _set("given", 1, "says", "Teo was beaten by Juno"),
    ),
}


@pytest.mark.parametrize("name", SOUND)
def test_other_sound_tellings_pass(name: str) -> None:
    data = copy.deepcopy(ROWING)
    SOUND[name](data)
    assert _checks(data) == set()


@pytest.mark.parametrize(
    ("unit", "text", "other"),
    [
        ("minutes", "the watch took 40 hours", "hours"),
        ("minutes", "the watch took 40 minutes, an hour less than usual", ""),
        ("boardings per day", "6 late boardings an hour", "hour"),
        ("boardings per day", "6 late boardings a day", ""),
        ("beats a minute", "it changes by 2 a week", ""),
        ("kilograms", "a 3-gram sample", "gram"),
        ("points", "40 hours", ""),
        ("", "40 hours", ""),
        ("days", "in the second week", ""),
    ],
)
def test_units_told_otherwise(unit: str, text: str, other: str) -> None:
    assert told_otherwise(unit, text) == other


def test_a_count_distinguishes_more_than_from_at_least() -> None:
    row = {"id": "q1", "kind": "choice", "expr": "n > 10", "text": "Are there at least 10 of them?"}
    data = document(node("n", "count(rate=9)"), story="About 9 come.", asks=[row])
    data["model"][0]["says"] = "About 9 come."
    assert _checks(data) == {"c5_direction"}
    data["ask"][0]["text"] = "Are there more than 10 of them?"
    assert _checks(data) == set()


def test_labels_are_whole_words_and_may_overlap() -> None:
    found = find_labels(
        "North gate, the north gate road, day 12 and day 1.", ["north gate", "day 1"]
    )
    assert [(place.start, place.label) for place in found] == [
        (0, "north gate"),
        (16, "north gate"),
        (44, "day 1"),
    ]

    assert [place.label for place in find_labels("is it A", ["A", "it"])] == ["it", "A"]


def test_numbers_inside_labels_and_asides_are_no_numbers() -> None:
    data = copy.deepcopy(ROWING)
    values = [reading.value for reading in StoryIndex(parse_scenario(data)).readings]
    assert values == [50, 15, 0.25, 0.6, 41]


LETTERS = [f"{'a' * (k % 80 + 1)}{k}"[-80:] for k in range(2000)]
SETS = {f"s{k}": LETTERS[100 * k : 100 * k + 100] for k in range(20)}
SPANS = [{**node(f"x{k}", "normal(mean=0, sd=1)"), "says": "a" * (k + 1)} for k in range(190)]
HOSTILE: dict[str, dict[str, Any]] = {
    "digits": document(node("x", "normal(mean=0, sd=1)"), story="1" * 60_000),
    "numbers": document(node("x", "normal(mean=0, sd=1)"), story="1.5 " * 15_000),
    "sentences": document(node("x", "normal(mean=0, sd=1)"), story="a. " * 20_000),
    "points": document(node("x", "normal(mean=0, sd=1)"), story=".1" * 30_000),
    "labels": document(node("x", "normal(mean=0, sd=1)"), story="a a " * 15_000, sets=SETS),
    "spans": document(*SPANS, story="a" * 60_000),
    "words": document(node("x", "normal(mean=0, sd=1)"), story="one in every " * 4_600),
    "blanks": document(node("x", "normal(mean=0, sd=1)"), story="x" + " " * 59_000),
    "asides": document(node("x", "normal(mean=0, sd=1)"), story="a" * 60_000,
                       asides=["a" * (k + 1) for k in range(50)]),
    "question": document(node("x", "normal(mean=0, sd=1)"), sets=SETS, asks=[
        {"id": f"q{k}", "kind": "rank", "expr": "x", "text": "a a " * 1000} for k in range(32)]),
    "bounds": document(node("x", "normal(mean=0, sd=1)"), asks=[
        {"id": f"q{k}", "kind": "choice", "expr": "x > 3", "text": ("over a " * 571)[:4000]}
        for k in range(32)]),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_any_text_is_checked_to_its_end(name: str) -> None:
    scenario = parse_scenario(HOSTILE[name])
    check_text(scenario)


def test_reading_numbers_is_linear() -> None:  # else this does not come to an end
    for text in ("1" * 600_000, "1." * 300_000, "minus " * 100_000, "-" * 600_000):
        read_numbers(text)
