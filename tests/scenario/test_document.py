from __future__ import annotations

import json
import multiprocessing
import pathlib
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppt_jax.errors import UserError
from ppt_jax.scenario import limits
from ppt_jax.scenario.document import (
    Scenario,
    ScenarioError,
    elements,
    flat_name,
    missing_spans,
    parse_scenario,
    read_scenarios,
    to_dict,
)
from ppt_jax.scenario.expression import Draw, Number
from tests.scenario.build import WORKED, ask, document, node, worked

KILN = "kiln-crack-01"


def refused(data: Any, **where: Any) -> ScenarioError:
    """The error of a faulty document, checked against the place where it must be."""
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(data)
    found = {key: getattr(caught.value, key) for key in where}
    assert found == where, str(caught.value)
    return caught.value


@pytest.mark.parametrize("name", WORKED)
def test_worked_examples_round_trip(name: str) -> None:
    data = worked(name)
    scenario = parse_scenario(data)
    assert to_dict(scenario) == data
    assert parse_scenario(to_dict(scenario)) == scenario
    assert parse_scenario(json.dumps(data)) == scenario
    assert missing_spans(scenario) == []


def test_formulas_are_parsed() -> None:
    scenario = parse_scenario(worked(KILN))
    assert scenario.model[0].formula == Draw("yes", (("p", Number(0.1)),))
    assert scenario.node("lamp").kind == "draw"
    with pytest.raises(KeyError):
        scenario.node("lamps")


def test_optional_keys_have_defaults() -> None:
    scenario = parse_scenario(document(node("x", "normal(mean=0, sd=1)")))
    assert (scenario.domain, scenario.asides, scenario.given, scenario.sets) == ("", (), (), ())
    assert (scenario.model[0].per, scenario.model[0].says) == ((), "")
    assert (scenario.ask[0].low, scenario.ask[0].high, scenario.ask[0].options) == (0, 1, ())
    assert (scenario.truth, scenario.evidence, scenario.provenance) == ({}, "", {})


def test_engine_fields_round_trip() -> None:
    truth = {"hot": 0, "damp": 1, "cracked": 1, "lamp": 1}
    extra = {"family": "causes", "skin": "pottery", "genre": "letter", "told": "full"}
    extra |= {"split": "train", "evidence": "simulated", "truth": truth}
    extra |= {"provenance": {"seed": 3, "stages": [{"model": None, "ok": True}]}}
    scenario = parse_scenario(worked(KILN) | extra)
    assert to_dict(scenario) == worked(KILN) | extra
    assert scenario.truth["damp"] == 1.0


def test_flat_names_and_elements() -> None:
    scenario = parse_scenario(worked("rowing-pairs-07"))
    names = [flat_name("bad", labels) for labels in elements(scenario, scenario.node("bad"))]
    assert names[0] == "bad[Ines,Saturday]"
    assert names[1] == "bad[Ines,Sunday]"
    assert len(names) == 12
    assert list(elements(scenario, parse_scenario(worked(KILN)).model[0])) == [()]


def test_missing_spans_name_their_field() -> None:
    data = worked(KILN)
    data["given"][1]["says"] = "The lamp was dark"
    data["asides"] = ["The shelf had been repainted red"]
    assert missing_spans(parse_scenario(data)) == [
        ("given[1].says", "The lamp was dark"),
        ("asides[0]", "The shelf had been repainted red"),
    ]


def test_the_error_names_document_field_and_character() -> None:
    data = worked(KILN)
    data["model"][2]["expr"] = "0.95 if hot and dmp else 0.04"
    error = refused(data, document=KILN, field="model[2].expr", at=16)
    assert str(error) == (
        "kiln-crack-01: model[2].expr, character 17: unknown name 'dmp'; did you mean 'damp'?"
    )
    assert isinstance(error, UserError)


def test_the_error_survives_a_process_boundary() -> None:
    error = refused(worked(KILN) | {"schema": "scenario/9"}, field="schema")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.field, copy.document) == (str(error), "schema", KILN)
    with multiprocessing.get_context("fork").Pool(1) as pool, pytest.raises(ScenarioError):
        pool.apply(parse_scenario, ({"id": "x"},))


@pytest.mark.parametrize(
    ("path", "value", "field", "message"),
    [
        (["schema"], "scenario/2", "schema", "unknown schema"),
        (["schema"], None, "schema", "wants text, this is null"),
        (["id"], "", "id", "not such a name"),
        (["id"], "a b", "id", "not such a name"),
        (["id"], 7, "id", "wants text, this is a number"),
        (["story"], "  ", "story", "is empty"),
        (["story"], "x" * (limits.MAX_STORY_CHARACTERS + 1), "story", "characters, at most"),
        (["story"], "a\x00b", "story", "control character"),
        (["story"], "a\ud800b", "story", "surrogate"),
        (["model"], [], "model", "at least one"),
        (["model"], {}, "model", "wants a list, this is an object"),
        (["model", 1], "damp", "model[1]", "wants an object, this is text"),
        (["model", 1, "kind"], "drew", "model[1].kind", "did you mean 'draw'"),
        (["model", 1, "per"], "rower", "model[1].per", "wants a list, this is text"),
        (["model", 1, "per"], [3], "model[1].per[0]", "wants text, this is a number"),
        (["model", 1, "expr"], None, "model[1].expr", "wants text, this is null"),
        (["model", 1, "name"], "damp clay", "model[1].name", "not such a name"),
        (["model", 1, "name"], "a__b", "model[1].name", "not such a name"),
        (["model", 1, "name"], "x" * 41, "model[1].name", "41 characters"),
        (["model", 1, "exprs"], "1", "model[1].exprs", "unknown key; did you mean 'expr'"),
        (["notes"], "", "notes", "unknown key"),
        (["given", 0, "that"], True, "given[0].that", "this is true or false"),
        (["ask", 0, "kind"], "probability", "ask[0].kind", "not one of 'value', 'rank'"),
        (["ask", 0, "low"], "0", "ask[0].low", "wants a number, this is text"),
        (["ask", 0, "low"], False, "ask[0].low", "wants a number"),
        (["ask", 0, "high"], float("nan"), "ask[0].high", "finite"),
        (["ask", 0, "high"], 10**400, "ask[0].high", "finite"),
        (["ask", 0, "text"], "", "ask[0].text", "is empty"),
        (["ask", 0, "options"], ["a", "a"], "ask[0].options[1]", "stands twice"),
        (["sets"], [{"name": "s"}], "sets[0].members", "missing"),
        (["sets"], [{"name": "s", "members": []}], "sets[0].members", "at least one"),
        (["sets"], [{"name": "s", "members": ["a,b"]}], "sets[0].members[0]", "no ','"),
        (["sets"], [{"name": "s", "members": ["a\n"]}], "sets[0].members[0]", "no '\\n'"),
        (["sets"], [{"name": "s", "members": [" a"]}], "sets[0].members[0]", "blanks"),
        (["sets"], [{"name": "s", "members": list("ab") * 60}], "sets[0].members", "at most 100"),
        (["asides"], ["x"] * 51, "asides", "at most 50"),
        (["told"], "loud", "told", "not one of 'full', 'verbal', 'implicit'"),
        (["evidence"], "guessed", "evidence", "not one of 'simulated', 'chosen'"),
        (["truth"], [1], "truth", "wants an object"),
        (["truth"], {"hot": "yes"}, "truth.hot", "wants a number"),
        (["provenance"], {"a": {1, 2}}, "provenance", "JSON cannot hold"),
        (["provenance"], {"a": float("inf")}, "provenance", "finite"),
    ],
)
def test_faults_of_structure(path: list[Any], value: Any, field: str, message: str) -> None:
    data = worked(KILN)
    place: Any = data
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert message in refused(data, field=field).message


@pytest.mark.parametrize(
    ("path", "field"),
    [
        (["id"], "id"),
        (["story"], "story"),
        (["ask"], "ask"),
        (["model", 0, "kind"], "model[0].kind"),
        (["given", 2, "that"], "given[2].that"),
        (["ask", 0, "text"], "ask[0].text"),
    ],
)
def test_missing_keys(path: list[Any], field: str) -> None:
    data = worked(KILN)
    place: Any = data
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    assert "missing" in refused(data, field=field).message


def test_a_value_ask_needs_its_range() -> None:
    row = ask("value", "x")
    del row["high"]
    refused(document(node("x", "normal(mean=0, sd=1)"), asks=[row]), field="ask[0].high")


@pytest.mark.parametrize(
    ("text", "at", "message"),
    [
        ("", 0, "not JSON"),
        ('{"id": "a"', 10, "not JSON"),
        ("[1, 2]", None, "a scenario is a JSON object, this is list"),
        ('{"id": "a", "id": "b"}', None, "'id' stands twice"),
        ('{"a": {"b": 1, "b": 2}}', None, "'b' stands twice"),
        ('{"a": NaN}', None, "NaN is not a number"),
        ('{"a": -Infinity}', None, "-Infinity is not"),
        ('{"a": 1e999}', None, "too large"),
        ('{"a": ' + "9" * 5000 + "}", None, "too large"),
        ("[" * 100_000, 16, "nested more than 16"),
        ('{"a":' * 50_000, 80, "nested more than 16"),
        (" " * (limits.MAX_DOCUMENT_BYTES + 1), None, "too long"),
        ('"' + "ß" * (limits.MAX_DOCUMENT_BYTES // 2) + '"', None, "too long"),
    ],
)
def test_text_that_is_no_document(text: str, at: int | None, message: str) -> None:
    assert message in refused(text, at=at).message


def test_brackets_in_strings_are_no_nesting() -> None:
    data = worked(KILN)
    data["story"] += ' "' + "[{" * 50 + '\\"'
    assert parse_scenario(json.dumps(data)).story == data["story"]


def test_reading_a_shard_survives_bad_lines(tmp_path: pathlib.Path) -> None:
    good = json.dumps(worked(KILN), ensure_ascii=False)
    other = json.dumps(worked("ferry-bells-12"))
    broken = json.dumps(worked(KILN) | {"model": []})
    shard = tmp_path / "train.jsonl"
    lines = [good.encode(), b"", b"{not json", b'{"id": "\xff"}', broken.encode(), b"[]"]
    lines += [
        b" " * 10 + b"x" * (2 * limits.MAX_DOCUMENT_BYTES),
        other.encode(),
        good.encode()[:90],
    ]
    shard.write_bytes(b"\n".join(lines))
    rows = list(read_scenarios(shard))
    kinds = [row.id if isinstance(row, Scenario) else row.source for row in rows]
    places = [f"{shard}, line {number}" for number in (3, 4, 5, 6, 7)]
    assert kinds == [KILN, *places, "ferry-bells-12", f"{shard}, line 9"]
    messages = [row.message for row in rows if isinstance(row, ScenarioError)]
    for message, part in zip(
        messages,
        [
            "not JSON",
            "not UTF-8",
            "at least one",
            "JSON object",
            "too long",
            "ends inside this line",
        ],
    ):
        assert part in message
    assert str(rows[3]).startswith(f"{shard}, line 5: kiln-crack-01: model: ")


def test_a_missing_shard_is_a_user_error(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UserError, match=r"none\.jsonl: cannot read"):
        list(read_scenarios(tmp_path / "none.jsonl"))


# -- fuzz ----------------------------------------------------------------------------------------

JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=8),
        st.sampled_from(["x", "day", "power", "normal(mean=0, sd=1)", "power['Juno']", "draw"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def _mutate(data: Any, draw: st.DataObject) -> Any:
    """The document with one part of it replaced, removed, doubled or renamed."""
    if isinstance(data, dict) and data and draw.draw(st.integers(0, 9)):
        key = draw.draw(st.sampled_from(sorted(data)))
        how = draw.draw(st.integers(0, 9))
        if how == 0:
            return {k: v for k, v in data.items() if k != key}
        if how == 1:
            return {(k + "s" if k == key else k): v for k, v in data.items()}
        return data | {key: _mutate(data[key], draw)}
    if isinstance(data, list) and data and draw.draw(st.integers(0, 9)):
        i = draw.draw(st.integers(0, len(data) - 1))
        how = draw.draw(st.integers(0, 9))
        if how == 0:
            return data[:i] + data[i + 1 :]
        if how == 1:
            return [*data, data[i]]
        if how == 2:
            return [*data[i:], *data[:i]]
        return [*data[:i], _mutate(data[i], draw), *data[i + 1 :]]
    if isinstance(data, str) and data and draw.draw(st.booleans()):
        i = draw.draw(st.integers(0, len(data)))
        j = draw.draw(st.integers(i, min(len(data), i + 4)))
        return data[:i] + draw.draw(st.text(max_size=3)) + data[j:]
    return draw.draw(JSON)


@settings(deadline=1000, max_examples=250)
@given(st.sampled_from(WORKED), st.data())
def test_no_mutated_document_crashes(name: str, draw: st.DataObject) -> None:
    data = worked(name)
    for _ in range(draw.draw(st.integers(1, 3))):
        data = _mutate(data, draw)
    try:
        scenario = parse_scenario(data)
    except ScenarioError as error:
        assert error.message  # noqa: PT017
        return
    assert parse_scenario(to_dict(scenario)) == scenario
    assert parse_scenario(json.dumps(to_dict(scenario))) == scenario


@settings(deadline=1000, max_examples=150)
@given(JSON)
def test_no_json_crashes(data: Any) -> None:
    for form in (data, json.dumps(data)):
        with pytest.raises(ScenarioError):
            parse_scenario(form)


@settings(deadline=1000, max_examples=100)
@given(st.binary(max_size=60), st.integers(0, 3000))
def test_no_bytes_crash_the_reader(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, cut: int
) -> None:
    good = json.dumps(worked(KILN)).encode()
    shard = tmp_path_factory.mktemp("shard") / "s.jsonl"
    shard.write_bytes(good[:cut] + junk + good[cut:] + b"\n" + good + b"\n")
    rows = list(read_scenarios(shard))
    assert isinstance(rows[-1], Scenario)
