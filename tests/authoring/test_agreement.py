"""Two programs of one story: the same one in other words agrees, a planted slip does not."""

import copy
from typing import Any

import pytest

from ppt_jax.authoring.agreement import AgreementConfig, as_json, compare_programs
from ppt_jax.errors import UserError
from ppt_jax.scenario.document import Scenario, parse_scenario

KILN: dict[str, Any] = {
    "schema": "scenario/1", "id": "kiln-1", "motif": "explaining_away",
    "story": "A kiln with a lamp.",
    "sets": [{"name": "cause", "members": ["Heat", "Damp", "Neither"]}],
    "model": [
        {"name": "hot", "kind": "draw", "expr": "yes(p=0.1)"},
        {"name": "why", "kind": "draw", "expr": "pick(cause, weights=[1, 2, 3])"},
        {"name": "lamp", "kind": "draw", "expr": "yes(p=0.85 if hot else 0.15)"},
        {"name": "crack", "kind": "draw", "expr": "yes(p=0.7 if why == 'Heat' else 0.2)"},
        {"name": "width", "kind": "draw", "expr": "normal(mean=30, sd=8)"},
        {"name": "reading", "kind": "draw", "expr": "normal(mean=width, sd=4)"},
    ],
    "given": [{"that": "lamp == 1"}, {"that": "crack == 1"}, {"that": "reading == 38"}],
    "ask": [
        {"id": "q1", "kind": "choice", "expr": "hot", "text": "Was it fired too hot?"},
        {"id": "q2", "kind": "choice", "expr": "why", "text": "What was the cause?"},
        {"id": "q3", "kind": "value", "expr": "width", "unit": "mm", "low": 0, "high": 60,
         "text": "How wide is it?"},
    ],
}  # fmt: skip


def changed(*edits: tuple[str, str], **parts: Any) -> Scenario:
    data = {**copy.deepcopy(KILN), **parts}
    text = __import__("json").dumps(data)
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    return parse_scenario(text)


def reader() -> Scenario:
    """The same program as another writer puts it: names, order of nodes and of members."""
    return changed(
        sets=[{"name": "source", "members": ["neither", "heat", "damp"]}],
        model=[
            {"name": "size", "kind": "draw", "expr": "normal(mean=30, sd=8)"},
            {"name": "gauge", "kind": "draw", "expr": "normal(mean=size, sd=4)"},
            {"name": "reason", "kind": "draw", "expr": "pick(source, weights=[3, 1, 2])"},
            {"name": "overfired", "kind": "draw", "expr": "yes(p=1/10)"},
            {"name": "light", "kind": "let", "expr": "0.85 if overfired else 0.15"},
            {"name": "lit", "kind": "draw", "expr": "yes(p=light)"},
            {
                "name": "broke",
                "kind": "draw",
                "expr": "yes(p=0.2 if reason != 'heat' else 0.7)",
            },
        ],
        given=[{"that": "gauge == 38"}, {"that": "lit == 1"}, {"that": "broke == 1"}],
        ask=[
            {"id": "a", "kind": "choice", "expr": "reason", "text": "what was the cause"},
            {"id": "q3", "kind": "value", "expr": "size", "low": 20, "high": 55, "text": "Width?"},
            {"id": "b", "kind": "choice", "expr": "overfired", "text": "Was it fired too hot?"},
        ],
    )


def test_the_same_program_in_other_words_agrees() -> None:
    found = compare_programs(parse_scenario(KILN), reader())
    assert found.agree
    assert [ask.id for ask in found.asks] == ["q1", "q2", "q3"]
    assert found.asks[0].tv < 1.5 * found.asks[0].noise + 0.01
    assert found.asks[1].tv < 1.5 * found.asks[1].noise + 0.01
    assert found.asks[2].shift < 0.05


@pytest.mark.parametrize(
    ("edit", "at_fault"),
    [
        (("0.85 if hot else 0.15", "0.15 if hot else 0.85"), {"q1"}),  # swapped branches
        (("lamp == 1", "lamp == 0"), {"q1"}),  # inverted observation
        (("yes(p=0.1)", "yes(p=0.4)"), {"q1"}),  # another base rate
        (("0.7 if why == 'Heat'", "0.7 if why == 'Damp'"), {"q2"}),  # wrong member
        (("normal(mean=width, sd=4)", "normal(mean=width, sd=16)"), {"q3"}),  # variance as sd
        (("reading == 38", "reading == 28"), {"q3"}),
    ],
)
def test_a_planted_slip_is_found_in_the_ask_that_it_touches(
    edit: tuple[str, str], at_fault: set[str]
) -> None:
    found = compare_programs(parse_scenario(KILN), changed(edit))
    assert found.reason == "disagree"
    assert {ask.id for ask in found.asks if not ask.agrees} == at_fault
    assert all(ask in found.detail for ask in at_fault)


def test_a_missing_observation_is_found() -> None:
    lost = changed(given=KILN["given"][:2])
    assert {a.id for a in compare_programs(parse_scenario(KILN), lost).asks if not a.agrees} == {
        "q3"
    }


def test_what_cannot_be_compared_says_why() -> None:
    first = parse_scenario(KILN)
    fewer = changed(ask=KILN["ask"][:2])
    assert compare_programs(first, fewer).reason == "unmatched"
    assert "'q3'" in compare_programs(first, fewer).detail
    other_kind = changed(
        ask=[*KILN["ask"][:2], {"id": "q3", "kind": "rank", "expr": "width", "text": "Rank?"}]
    )
    assert "is a value here and a rank there" in compare_programs(first, other_kind).detail
    other_options = changed(('"Neither"', '"Both"'))
    assert "other options" in compare_programs(first, other_options).detail
    never = changed(given=[*KILN["given"], {"that": "width > 300"}])
    found = compare_programs(first, never)
    assert (found.reason, "second program" in found.detail) == ("impossible_evidence", True)


def test_rare_evidence_gives_no_verdict_but_agreement_counts() -> None:
    config = AgreementConfig(least_ess=1000, min_ess=1000, most_particles=1 << 13)
    rare = (("reading == 38", "reading == 62"), ("sd=4)", "sd=1)"))
    first, other = changed(*rare), changed(*rare, ("yes(p=0.1)", "yes(p=0.5)"))
    assert compare_programs(first, other, config).reason == "undecided"


def test_thresholds_are_validated_and_results_are_json() -> None:
    for fields, name in (({"max_tv": 0}, "max_tv"), ({"least_ess": 9e9}, "least_ess")):
        with pytest.raises(UserError, match=rf"agreement\.{name}"):
            AgreementConfig(**fields)
    first = parse_scenario(KILN)
    row = as_json(compare_programs(first, first))
    assert row["reason"] == ""
    assert set(row["asks"]) == {"q1", "q2", "q3"}  # type: ignore[call-overload]
    assert row == as_json(compare_programs(first, first))  # the same every time
