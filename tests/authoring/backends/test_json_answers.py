"""JSON found in what models write around it, and held against its schema."""

import pytest

from ppt_jax.authoring.backends.json_answers import (
    NotJson,
    check_schema,
    json_object,
    violations,
)
from ppt_jax.errors import UserError


@pytest.mark.parametrize(
    "text",
    [
        '{"a": [1, {"b": "}"}]}',
        ' \n {"a": [1, {"b": "}"}]} \n',
        '```json\n{"a": [1, {"b": "}"}]}\n```',
        'Sure, {here} it is:\n```\n{"a": [1, {"b": "}"}]}\n```\nAnything else?',
        '<think>Maybe {"a": 2}?</think>\n{"a": [1, {"b": "}"}]}',
        'The answer is {"a": [1, {"b": "}"}]} as you asked.',
    ],
)
def test_object_is_found(text: str) -> None:
    assert json_object(text) == {"a": [1, {"b": "}"}]}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no JSON object"),
        ("[1]", "no JSON object"),
        ('{"a": 1', "line 1, column"),
        ('{"a": 1,\n "b": tru}', "line 2, column 7"),
        ('{"a": NaN}', "NaN"),
        ('{"a": -Infinity}', "Infinity"),
        ('{"a": 1, "a": 2}', "'a' twice"),
        ('{"a": ' + "[" * 100_000, "nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "not valid JSON"),
        ('{"a": "' + "x" * (1 << 20) + '"}', "characters"),
    ],
)
def test_what_is_no_object_is_refused_with_a_reason(text: str, words: str) -> None:
    with pytest.raises(NotJson, match=words):
        json_object(text)


@pytest.mark.parametrize("piece", ["```\n", "{", "<think>", "```json", "\n", '{"a":', "[", "`"])
def test_hostile_repetition_is_read_to_its_end(piece: str) -> None:
    with pytest.raises(NotJson):
        json_object("```" + piece * ((1 << 20) // len(piece) - 3))


SCHEMA = {
    "type": "object",
    "properties": {
        "kind": {"enum": ["a", "b"]},
        "count": {"type": "integer", "minimum": 0, "maximum": 9},
        "names": {"type": "array", "items": {"type": "string", "minLength": 1}, "maxItems": 2},
        "low": {"type": ["number", "null"]},
        "fixed": {"const": 1},
        "either": {"anyOf": [{"type": "string"}, {"type": "boolean"}]},
    },
    "required": ["kind"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, None),
        ({"count": 3.0, "low": None, "names": ["x"], "fixed": 1, "either": True}, None),
        ({"kind": "c"}, 'answer.kind: must be one of "a", "b"'),
        ({"count": True}, "answer.count: must be integer, is boolean"),
        ({"count": 2.5}, "answer.count: must be integer, is number"),
        ({"count": -1}, "answer.count: is below 0"),
        ({"count": 10}, "answer.count: is above 9"),
        ({"names": ["x", ""]}, "answer.names[1]: has 0 characters, at least 1"),
        ({"names": ["x"] * 3}, "answer.names: has 3 items, at most 2"),
        ({"low": "1"}, "answer.low: must be number or null, is string"),
        ({"fixed": True}, "answer.fixed: must be 1"),
        ({"either": 3}, "answer.either: follows none of the 2 forms"),
        ({"extra": 1}, "answer: member 'extra' is not allowed"),
    ],
)
def test_violations_are_named_with_their_place(change: dict, words: str | None) -> None:
    found = violations({"kind": "a"} | change, SCHEMA)
    assert len(found) == (words is not None)
    assert words is None or words in found[0]


def test_missing_members_and_wrong_types() -> None:
    assert violations({}, SCHEMA) == ["answer: member 'kind' is missing"]
    assert violations([], SCHEMA) == ["answer: must be object, is array"]


def test_schemas_that_are_not_understood_are_refused() -> None:
    check_schema(SCHEMA)
    for part, words in [
        ({"pattern": "a"}, "schema.kind: keyword 'pattern'"),
        ({"type": "text"}, "schema.kind: type 'text'"),
        ({"items": {"$ref": "#"}}, r"schema.kind\[\]: keyword"),
        ({"additionalProperties": {}}, "additionalProperties must be"),
        (True, "must be an object"),
    ]:
        with pytest.raises(UserError, match=words):
            check_schema({"type": "object", "properties": {"kind": part}})
