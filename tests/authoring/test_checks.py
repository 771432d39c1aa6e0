"""Planted faults: each is caught by the check that is there for it; the sound document passes."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ppt_jax.authoring.checks import CheckConfig, check_scenario
from ppt_jax.scenario.document import ScenarioError, parse_scenario

ROWING: dict[str, Any] = {
    "schema": "scenario/1",
    "id": "rowing-1",
    "motif": "tug_of_war",
    "domain": "club rowing",
    "story": "Teo, Marit and Juno row. Pulling power averages 50 points with a standard "
    "deviation of 15. In 1 in 4 races, each of them has a bad morning and pulls at 60 percent of "
    "the usual. On Saturday Teo beat Marit. On Sunday Juno beat Teo. On Monday a watch showed 41 "
    "points for Juno. A jar holds 47 buttons.",
    "asides": ["A jar holds 47 buttons."],
    "sets": [
        {"name": "rower", "members": ["Teo", "Marit", "Juno"]},
        {"name": "race", "members": ["Saturday", "Sunday", "Monday"]},
    ],
    "model": [
        {
            "name": "power",
            "per": ["rower"],
            "kind": "draw",
            "expr": "normal(mean=50, sd=15)",
            "unit": "points",
            "says": "Pulling power averages 50 points with a standard deviation of 15",
        },
        {
            "name": "bad",
            "per": ["rower", "race"],
            "kind": "draw",
            "expr": "yes(p=1/4)",
            "unit": "",
            "says": "In 1 in 4 races, each of them has a bad morning",
        },
        {
            "name": "pull",
            "per": ["rower", "race"],
            "kind": "let",
            "expr": "power[rower] * (0.6 if bad[rower, race] else 1)",
            "unit": "points",
            "says": "pulls at 60 percent of the usual",
        },
        {
            "name": "watch",
            "per": [],
            "kind": "draw",
            "expr": "normal(mean=pull['Juno', 'Monday'], sd=15)",
            "unit": "points",
            "says": "a watch showed",
        },
    ],
    "given": [
        {"that": "pull['Teo','Saturday'] > pull['Marit','Saturday']", "says": "Teo beat Marit"},
        {"that": "pull['Juno','Sunday'] > pull['Teo','Sunday']", "says": "Juno beat Teo"},
        {"that": "watch == 41", "says": "a watch showed 41 points for Juno"},
    ],
    "ask": [
        {
            "id": "q1",
            "kind": "value",
            "expr": "power['Teo']",
            "unit": "points",
            "low": 0,
            "high": 100,
            "options": [],
            "text": "What is Teo's usual pulling power?",
        },
        {
            "id": "q2",
            "kind": "choice",
            "expr": "power['Marit'] > power['Juno']",
            "unit": "",
            "low": 0,
            "high": 1,
            "options": ["Juno", "Marit"],
            "text": "Who is stronger, Juno or Marit?",
        },
    ],
}


def _failed(document: dict[str, Any]) -> set[str]:
    scenario = parse_scenario(document)
    findings = check_scenario(scenario, CheckConfig(), np.random.default_rng(0))
    return {finding.check for finding in findings}


def test_the_sound_document_passes() -> None:
    assert _failed(ROWING) == set()


def _wrong_story(old: str, new: str) -> Callable[[dict[str, Any]], None]:
    def plant(document: dict[str, Any]) -> None:
        assert old in document["story"]
        document["story"] = document["story"].replace(old, new)

    return plant


def _wrong_field(place: tuple[Any, ...], value: Any) -> Callable[[dict[str, Any]], None]:
    def plant(document: dict[str, Any]) -> None:
        target: Any = document
        for key in place[:-1]:
            target = target[key]
        target[place[-1]] = value

    return plant


FAULTS: dict[str, tuple[str, Callable[[dict[str, Any]], None]]] = {
    "observed value far outside its prior": (
        "c2_prior",
        _wrong_field(("given", 2, "that"), "watch == 410"),
    ),
    "copied 14 for 41": ("c5_numbers", _wrong_field(("given", 2, "that"), "watch == 14")),
    "variance for sd": (
        "c5_numbers",
        _wrong_field(("model", 0, "expr"), "normal(mean=50, sd=15**3)"),
    ),
    "changed chance": ("c5_numbers", _wrong_field(("model", 1, "expr"), "yes(p=1/3)")),
    "story number not in the program": ("c5_numbers", _wrong_story("averages 50", "averages 55")),
    "told rarely, entered otherwise": (
        "c6_spans",
        _wrong_story("each of them has", "everyone has"),
    ),
    "paraphrased aside": ("c6_spans", _wrong_field(("asides", 0), "A jar with 47 buttons.")),
    "observation without words": ("c6_spans", _wrong_field(("given", 0, "says"), "")),
    "unknown person": ("c7_labels", _wrong_story("Marit", "Mira")),
    "option that no one has heard of": (
        "c7_labels",
        _wrong_field(("ask", 1, "options", 0), "Ines"),
    ),
    "untold observation in the story": (
        "coverage",
        _wrong_story("A jar holds", "On Monday Juno beat Marit too. A jar holds"),
    ),
    "range without the posterior": ("c4_range", _wrong_field(("ask", 0, "high"), 45)),
    "answer given away": ("c4_certain", _wrong_field(("ask", 1, "expr"), "power['Juno'] > -200")),
    "ask that nothing bears on": (
        "c4b_moves",
        _wrong_field(("ask", 1, "expr"), "bad['Marit','Monday'] > 0"),
    ),
    "contradicting facts": (
        "c3_possible",
        _wrong_field(("given", 1, "that"), "pull['Teo','Saturday'] < pull['Marit','Saturday']"),
    ),
    "evidence that no prior particle comes near": (
        "c3_ess",
        _wrong_field(("model", 3, "expr"), "normal(mean=pull['Juno', 'Monday'], sd=15/1000)"),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_fault_is_caught_by_its_check(fault: str) -> None:
    check, plant = FAULTS[fault]
    document = copy.deepcopy(ROWING)
    plant(document)
    assert check in _failed(document)


def test_an_observation_that_no_answer_depends_on_is_found() -> None:
    document = copy.deepcopy(ROWING)
    document["model"][3]["expr"] = "normal(mean=50, sd=15)"  # the watch has lost its link to Juno
    assert "c8_influence" in _failed(document)


def test_a_cause_that_became_known_counts_as_influential() -> None:
    """Its own likelihood is constant; it matters through what its value does to other nodes."""
    scenario = parse_scenario(
        {
            "schema": "scenario/1",
            "id": "kiln",
            "motif": "explaining_away",
            "story": "1 in 10 firings are too hot, 1 in 5 damp. Hot ones crack 70 percent of the "
            "time, damp ones 60 percent, else 4 percent. It cracked. It was damp.",
            "model": [
                {"name": "hot", "kind": "draw", "expr": "yes(p=1/10)", "says": "1 in 10 firings"},
                {"name": "damp", "kind": "draw", "expr": "yes(p=1/5)", "says": "1 in 5 damp"},
                {
                    "name": "cracked",
                    "kind": "draw",
                    "expr": "yes(p=1-(1-0.04)*(1-0.7 if hot else 1)*(1-0.6 if damp else 1))",
                    "says": "Hot ones crack 70 percent of the time",
                },
            ],
            "given": [
                {"that": "cracked == 1", "says": "It cracked."},
                {"that": "damp == 1", "says": "It was damp."},
            ],
            "ask": [{"id": "q1", "kind": "choice", "expr": "hot", "text": "Was it too hot?"}],
        }
    )
    findings = check_scenario(scenario, CheckConfig(), np.random.default_rng(0))
    assert [finding for finding in findings if finding.check == "c8_influence"] == []


def test_unsound_documents_are_refused_before_any_check() -> None:
    document = copy.deepcopy(ROWING)
    document["given"][0]["that"] = "pull['Teo','Friday'] > 0"
    with pytest.raises(ScenarioError, match="Friday"):
        parse_scenario(document)


def test_truth_must_be_complete_and_agree_with_what_was_told() -> None:
    document = copy.deepcopy(ROWING)
    document["evidence"] = "simulated"
    names = ["Teo", "Marit", "Juno"]
    truth = {f"power[{name}]": 50.0 for name in names}
    truth |= {
        f"bad[{name},{day}]": 0.0 for name in names for day in ("Saturday", "Sunday", "Monday")
    }
    document["truth"] = {**truth, "watch": 41.0}
    assert _failed(document) == set()
    document["truth"] = {**truth, "watch": 40.0}
    assert _failed(document) == {"truth"}
    document["truth"] = truth
    with pytest.raises(ScenarioError, match=r"truth\.watch"):
        parse_scenario(document)
