import json
from typing import Any

import jinja2
import numpy as np
import pytest

from ppt_jax.authoring.backends.protocol import Message
from ppt_jax.authoring.checks import CheckConfig
from ppt_jax.authoring.llm import prompts, schemas, seeds
from ppt_jax.authoring.llm.config import STAGES
from ppt_jax.authoring.llm.drafts import Draft, check_draft, read_draft
from ppt_jax.authoring.llm.language_page import language_page
from ppt_jax.authoring.llm.prompts import first_messages, prompt_version, repair_messages
from ppt_jax.authoring.llm.reading import read_answer
from ppt_jax.authoring.llm.worlds import World, draw_world
from ppt_jax.authoring.text_checks import Finding
from tests.authoring.llm.programs import plan

FACTS: dict[str, Any] = {
    "sets": [{"name": "day", "members": ["Monday", "Tuesday"]}],
    "nodes": [
        {"name": "late", "per": ["day"], "means": "late boats", "formula": "count(rate=6)",
         "unit": "boats"}
    ],
    "seen": [{"number": 1, "formula": "late['Monday'] == 4", "words": "Boats on Monday: 4 boats"}],
    "questions": ["How many are usual?"],
    "anchors": {"rarely": 0.1},
}  # fmt: skip


def values(stage: str, told: str, notes: str = "NOTES OF THE LOCK") -> dict[str, Any]:
    here = plan(told=told, genre="radio", difficulty="hard")
    return {
        "imagine": {"words": (100, 450), "asks": (2, 4), "difficulty": "d", "told": "t"},
        "formalise": {"notes": notes, "chosen": False, "asks": (2, 4),
                      "schema": schemas.FORMALISE},
        "tell": {"notes": notes, "facts": FACTS, "most_words": 160, "genre": "radio",
                 "schema": schemas.TELL},
        "rebuild": {"story": notes, "questions": [
            {"id": "q1", "kind": "value", "text": "How many?",
             "unit": "boats", "low": 0, "high": 9},
            {"id": "q2", "kind": "choice", "text": "Who?", "options": ["Ann", "Bo"]}],
            "anchors": "", "schema": schemas.REBUILD},
    }[stage] | {"plan": here}  # fmt: skip


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("told", seeds.TOLD)
def test_prompts_are_complete(stage: Any, told: str) -> None:
    system, user = first_messages(stage, **values(stage, told))
    assert (system.role, user.role) == ("system", "user")
    assert "{{" not in user.content
    assert "{%" not in user.content
    assert len(user.content) < 12_000
    if stage in ("formalise", "rebuild"):
        assert language_page() in user.content
    if stage != "imagine":
        assert "NOTES OF THE LOCK" in user.content
        schema = values(stage, told)["schema"]
        assert json.dumps(schema) in user.content
        for key in schema["properties"]:
            assert f'- "{key}": ' in user.content  # the words name what the schema asks for


def test_levels_of_telling_change_the_rules() -> None:
    texts = {told: first_messages("tell", **values("tell", told))[1].content for told in seeds.TOLD}
    assert len(set(texts.values())) == 3
    assert 'is "rarely"' in texts["verbal"]
    assert "no number at all" in texts["implicit"]
    program = first_messages("formalise", **values("formalise", "implicit"))[1].content
    assert "uniform(low=..., high=...)" in program


def test_a_blind_reader_sees_the_story_and_the_questions_only() -> None:
    given = values("rebuild", "full")
    text = first_messages("rebuild", **given)[1].content
    for secret in (given["plan"].motif, given["plan"].idea, given["plan"].domain):
        assert secret not in text
    assert "How many?" in text
    assert "In boats, from 0 to 9." in text
    assert "Ann, Bo" in text


def test_what_a_model_wrote_is_never_a_template() -> None:
    hostile = "{{ 7 * 7 }} {% for x in y %} {{ config.__class__ }}"
    text = first_messages("rebuild", **values("rebuild", "full", notes=hostile))[1].content
    assert hostile in text
    assert "49" not in text


def test_a_missing_value_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        first_messages("imagine", plan=plan())


def test_a_repair_is_a_new_conversation_with_the_last_answer_and_its_statistics() -> None:
    opening = first_messages("tell", **values("tell", "full"))
    findings = [Finding("c4b_moves", "moved by 0.02"), Finding("c5_numbers", "19 is missing")]
    once = repair_messages(opening, "first answer", findings)
    assert [message.role for message in once] == ["system", "user", "assistant", "user"]
    assert once[2].content == "first answer"
    assert "moved by 0.02" in once[3].content
    assert prompts.ADVICE["c4b_moves"] in once[3].content
    twice = repair_messages(once, "second answer", findings[:1])
    assert len(twice) == 4  # bounded, whatever came before
    assert "first answer" not in "".join(message.content for message in twice)
    assert opening == first_messages("tell", **values("tell", "full"))


def test_versions_are_those_of_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {stage: prompt_version(stage) for stage in STAGES}
    assert len(set(versions.values())) == len(STAGES)
    changed = {**prompts._sources(), "tell": "Tell it."}
    monkeypatch.setattr(prompts, "_sources", lambda: changed)
    assert prompt_version("tell") != versions["tell"]
    assert prompt_version("imagine") == versions["imagine"]


def test_messages_are_what_the_protocol_takes() -> None:
    assert all(isinstance(m, Message) for m in first_messages("tell", **values("tell", "full")))


def test_the_example_of_the_form_is_sound() -> None:
    text = first_messages("formalise", **values("formalise", "full"))[1].content
    part = text[text.index("An example of the form") :].partition("The JSON schema")[0]
    draft = read_draft(plan(), read_answer(part, schemas.FORMALISE), (2, 4))
    assert isinstance(draft, Draft), draft
    assert check_draft(draft, np.random.default_rng(0), 4000) == []
    assert isinstance(draw_world(draft, plan(), CheckConfig(), (2, 2), 48), World)
