import json
from typing import Any

import pytest

from ppt_jax.authoring.backends.json_answers import check_schema
from ppt_jax.authoring.llm import schemas
from ppt_jax.authoring.llm.reading import AnswerError, read_answer

ALL = {
    "formalise": schemas.FORMALISE,
    "formalise_chosen": schemas.FORMALISE_CHOSEN,
    "tell": schemas.TELL,
    "rebuild": schemas.REBUILD,
}
STORY = {"story": "A day.", "nodes": [], "given": [{"number": 1, "says": "x"}], "asides": []}


def depth(schema: dict[str, Any]) -> int:
    """Levels of objects and lists that an answer can have."""
    items = [schema["items"]] if "items" in schema else []
    below = [*schema.get("properties", {}).values(), *items]
    nested = schema["type"] in ("array", "object")
    return nested + max((depth(part) for part in below), default=0)


def parts(schema: dict[str, Any]) -> list[dict[str, Any]]:
    below = list(schema.get("properties", {}).values())
    below += [schema["items"]] if "items" in schema else []
    return [schema, *(part for one in below for part in parts(one))]


@pytest.mark.parametrize("name", ALL)
def test_every_server_takes_them(name: str) -> None:
    schema = ALL[name]
    check_schema(schema)  # all of it is understood on our side
    assert depth(schema) <= 4
    assert len(json.dumps(schema)) < 2500
    for part in parts(schema):
        assert set(part) <= {"type", "enum", "items", "properties", "required",
                             "additionalProperties"}  # fmt: skip
        if part["type"] == "object":
            assert part["required"] == list(part["properties"])
            assert part["additionalProperties"] is False


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(STORY),
        "```json\n" + json.dumps(STORY, indent=1) + "\n```",
        "Here you are: " + json.dumps(STORY) + " I hope that helps.",
    ],
)
def test_an_object_is_found_in_its_wrapping(text: str) -> None:
    assert read_answer(text, schemas.TELL) == STORY


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"story": 3}, r"answer\.story: .*string"),
        ({"more": 1}, r"answer: .*'more'"),
        ({"given": [{"number": "one", "says": ""}]}, r"answer\.given\[0\]\.number"),
        ({"given": [{"number": 1}]}, "'says' is missing"),
        ({"given": [{"number": True, "says": ""}]}, r"number"),
        ({"asides": "none"}, r"answer\.asides"),
    ],
)
def test_what_does_not_follow_the_schema_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(AnswerError, match=message) as refused:
        read_answer(json.dumps(STORY | change), schemas.TELL)
    assert refused.value.reason == "schema"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I cannot do that.",
        "{",
        '{"story": "cut off',
        '{"story": "a", "story": "b", "nodes": [], "given": [], "asides": []}',
        '{"story": NaN, "nodes": [], "given": [], "asides": []}',
        '{"story": 1e999, "nodes": [], "given": [], "asides": []}',
        "{" * 100_000 + "}" * 100_000,
        '{"story": "' + "x" * 3_000_000 + '"}',
        '{"a": ' + "9" * 100_000 + "}",
        '{"a": ' + "[" * 50_000 + "]" * 50_000 + "}",
    ],
    ids=range(11),
)
def test_what_is_no_sound_json_is_refused(text: str) -> None:
    with pytest.raises(AnswerError) as refused:
        read_answer(text, schemas.TELL)
    assert refused.value.reason in ("invalid_json", "schema")
