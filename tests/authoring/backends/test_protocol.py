"""Keys tell apart what can change an answer, and nothing else."""

import dataclasses

import pytest

from ppt_jax.authoring.backends.protocol import Message, Request
from ppt_jax.errors import UserError

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "number"}}}
ASK = Request((Message("system", "Be brief."), Message("user", "Zoë?")), "m", SCHEMA, seed=3)


@pytest.mark.parametrize(
    "change",
    [
        {"messages": (Message("user", "Be brief."), Message("user", "Zoë?"))},
        {"messages": (Message("system", "Be brief.Zoë?"),)},
        {"model": "n"},
        {"schema": None},
        {"schema": {**SCHEMA, "properties": dict(reversed(SCHEMA["properties"].items()))}},
        {"temperature": 0.5},
        {"max_tokens": 7},
        {"stop": ("\n",)},
        {"seed": 4},
        {"seed": None},
        {"sample": 1},
        {"options": {"top_p": 0.9}},
    ],
)
def test_key_changes_with_whatever_changes_the_answer(change: dict) -> None:
    assert dataclasses.replace(ASK, **change).key != ASK.key


@pytest.mark.parametrize(
    "change", [{"purpose": "tell"}, {"context": {"plan": 1}}, {"temperature": 1}]
)
def test_key_ignores_accounting(change: dict) -> None:
    assert dataclasses.replace(ASK, **change).key == ASK.key


def test_key_stays_the_same_between_versions() -> None:
    """Journals outlive the program: a changed canonical form would silently pay everything anew."""
    assert ASK.key == "58aa80426825595595c347596d6121161812a299a12b53f71b754cac619885e0"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"messages": ()}, "no message"),
        ({"temperature": float("nan")}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"sample": -1}, "sample"),
    ],
)
def test_impossible_requests_are_refused(change: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        dataclasses.replace(ASK, **change)


def test_unknown_role() -> None:
    with pytest.raises(UserError, match="robot"):
        Message("robot", "x")
