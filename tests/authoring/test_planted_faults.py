"""The catalogue of planted faults: what the checks and a rebuild find must not become less."""

from __future__ import annotations

import collections
from typing import Any

import pytest

from scripts.fault_catalogue import FAULTS
from scripts.planted_faults import (
    Row,
    as_handed_in,
    judge,
    measure,
    offline_scenarios,
    worked_examples,
)


@pytest.fixture(scope="module")
def sound() -> list[tuple[Any, list[str]]]:
    """Offline scenarios of every motif and telling, with what the text checks say."""
    more = {"told": ("full", "full", "verbal", "implicit"), "mutations": "all", "asides": (0, 2)}
    return list(offline_scenarios(110, seed=1, **more))


@pytest.fixture(scope="module")
def rows(sound: list[tuple[Any, list[str]]]) -> dict[str, Row]:
    """Every fault in two scenarios."""
    handed = [as_handed_in(scenario) for scenario, _ in sound if scenario.told == "full"]
    pool = [data for data in handed if not judge({}, data)[0]]
    return measure(FAULTS, [*worked_examples(), *pool], places=2)


def test_no_sound_scenario_is_refused(sound: list[tuple[Any, list[str]]]) -> None:
    assert [(scenario.id, found) for scenario, found in sound if found] == []
    assert [judge({}, data)[0] for data in worked_examples()] == [[], [], []]


def test_the_catalogue_has_a_place_for_each_of_its_faults(rows: dict[str, Row]) -> None:
    assert len(rows) == len(FAULTS) >= 55
    assert [name for name, row in rows.items() if row.planted < 2] == []


def test_checks_find_what_can_be_seen_without_understanding(rows: dict[str, Row]) -> None:
    planted: collections.Counter[str] = collections.Counter()
    caught: collections.Counter[str] = collections.Counter()
    for fault in FAULTS:
        planted[fault.kind] += rows[fault.name].planted
        caught[fault.kind] += rows[fault.name].caught
    assert caught["program"] == planted["program"]
    assert caught["telling"] >= 0.9 * planted["telling"]
    assert caught["evidence"] >= 0.7 * planted["evidence"]
    assert caught["question"] >= 0.85 * planted["question"]


ALWAYS = {  # fault -> a check that finds it wherever it is planted
    "span not verbatim": "c6_spans",
    "evidence missing in the story": "c6_spans",
    "someone renamed in the story": "c7_labels",
    "option nobody has heard of": "c7_labels",
    "no and yes in the wrong order": "c7_labels",
    "words in another unit": "c5_units",
    "variance as standard deviation": "c5_numbers",
    "two observations interchanged": "c5_numbers",
    "another threshold": "c5_numbers",
    "unclaimed number": "coverage",
    "unclaimed event": "coverage",
    "rule that no node claims": "coverage",
    "contradictory condition": "c3_possible",
    "range misses the posterior": "c4_range",
    "asks for what nothing bears on": "c4b_moves",
    "observation counted twice": "c8_influence",
    "observation not linked": "c8_influence",
}


@pytest.mark.parametrize("name", ALWAYS)
def test_the_check_that_is_there_for_it_finds_it(rows: dict[str, Row], name: str) -> None:
    assert rows[name].found[ALWAYS[name]] == rows[name].planted


def test_a_rebuild_finds_disagreements_that_no_check_sees(rows: dict[str, Row]) -> None:
    left = {name: row for name, row in rows.items() if row.caught < row.planted}
    assert sum(row.rebuilt for row in left.values()) >= 4
    assert len([name for name, row in left.items() if row.rebuilt]) >= 3
    for row in left.values():  # nothing is lost in counting
        assert row.caught + row.rebuilt + row.harmless == row.planted
