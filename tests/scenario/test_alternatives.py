"""A document with further programs for its story: read, checked, written back."""

import json
from typing import Any

import pytest

from ppt_jax.scenario.document import ScenarioError, parse_scenario, to_dict

LAMP: dict[str, Any] = {
    "schema": "scenario/1", "id": "lamp-1", "motif": "lamp", "story": "A lamp was lit.",
    "sets": [{"name": "cause", "members": ["Heat", "Damp"]}],
    "model": [
        {"name": "why", "kind": "draw", "expr": "pick(cause, weights=[1, 3])"},
        {"name": "lamp", "kind": "draw", "expr": "yes(p=0.9 if why == 'Heat' else 0.2)"},
    ],
    "given": [{"that": "lamp == 1"}],
    "ask": [
        {"id": "q1", "kind": "choice", "expr": "why", "text": "Why?"},
        {"id": "q2", "kind": "choice", "expr": "why == 'Heat'", "options": ["cold", "hot"],
         "text": "Hot?"},
    ],
}  # fmt: skip
OTHER: dict[str, Any] = {
    "sets": [{"name": "source", "members": ["Damp", "Heat"]}],
    "model": [
        {"name": "reason", "kind": "draw", "expr": "pick(source, weights=[2, 1])"},
        {"name": "light", "kind": "draw", "expr": "yes(p=0.8 if reason == 'Heat' else 0.3)"},
    ],
    "given": [{"that": "light == 1"}],
    "ask": [{"id": "q2", "expr": "reason == 'Heat'"}, {"id": "q1", "expr": "reason"}],
}


def test_alternatives_are_whole_programs_of_the_same_questions() -> None:
    scenario = parse_scenario({**LAMP, "alternatives": [OTHER, OTHER]})
    first, _ = scenario.alternatives
    assert [ask.id for ask in first.ask] == ["q1", "q2"]
    assert [ask.text for ask in first.ask] == ["Why?", "Hot?"]
    assert first.ask[0].options == ("Damp", "Heat")  # the order of its own set
    assert first.ask[1].options == ("cold", "hot")
    assert (first.story, first.id) == (scenario.story, scenario.id)
    written = to_dict(scenario)
    assert parse_scenario(json.dumps(written)) == scenario
    assert to_dict(parse_scenario(written)) == written
    assert "alternatives" not in to_dict(parse_scenario(LAMP))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": [{"name": "a", "kind": "draw", "expr": "yes(p=2)"}]},
         r"lamp-1: alternatives\[0\]\.model\[0\]\.expr"),
        ({"model": [{"name": "a", "kind": "draw", "expr": "os.system('x')"}]},
         r"alternatives\[0\]\.model\[0\]\.expr"),
        ({"given": [{"that": "lihgt == 1"}]}, r"alternatives\[0\]\.given\[0\].*mean 'light'"),
        ({"ask": OTHER["ask"][:1]}, r"alternatives\[0\]\.ask: .*q1, q2"),
        ({"ask": [*OTHER["ask"], {"id": "q9", "expr": "reason"}]}, r"q1, q2, q9"),
        ({"ask": [{"id": "q1", "expr": "light"}, {"id": "q2", "expr": "light"}]},
         r"alternatives\[0\]\.ask\[0\]"),
        ({"sets": [{"name": "source", "members": ["Damp", "Heat", "Fog"]}],
          "model": [{**OTHER["model"][0], "expr": "pick(source)"}, OTHER["model"][1]]},
         r"alternatives\[0\]\.ask\[0\].*options"),
        ({"story": "Another story."}, r"alternatives\[0\]\.story: unknown key"),
        ({"alternatives": [OTHER]}, r"unknown key"),
    ],
)  # fmt: skip
def test_an_unsound_alternative_is_refused_with_its_place(
    change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ScenarioError, match=message):
        parse_scenario({**LAMP, "alternatives": [{**OTHER, **change}]})


def test_there_are_not_too_many() -> None:
    with pytest.raises(ScenarioError, match="at most 15"):
        parse_scenario({**LAMP, "alternatives": [OTHER] * 16})
