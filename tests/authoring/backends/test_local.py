"""A random decoder that is kept on its schema: nonsense in form."""

import dataclasses
import json
import pathlib

import jax
import pytest

from launch.local_writer import DecoderWriter, fingerprint
from ppt_jax.authoring.backends.budgets import Budget, Ledger
from ppt_jax.authoring.backends.grammars import Grammars
from ppt_jax.authoring.backends.journal import Journal
from ppt_jax.authoring.backends.json_answers import json_object, violations
from ppt_jax.authoring.backends.local import LocalBackend
from ppt_jax.authoring.backends.protocol import BudgetReached, Message, Request, Response
from ppt_jax.data.tokenizer import TokenizerConfig, train_tokenizer
from ppt_jax.errors import UserError
from ppt_jax.models.architecture import DecoderConfig
from ppt_jax.models.decoder import init_params

CORPUS = ['The kiln {"mood": "calm", "count": 42} cracked 4 pots in the rain of Oriel.'] * 3
SCHEMA = {
    "type": "object",
    "properties": {
        "mood": {"enum": ["calm", "wild", "naïve"]},
        "rain": {"type": "boolean"},
        "count": {"type": "integer", "minimum": 0, "maximum": 99},
        "names": {
            "type": "array",
            "items": {"type": "string", "maxLength": 6},
            "minItems": 2,
            "maxItems": 3,
        },
        "inner": {
            "type": "object",
            "properties": {"unit": {"type": ["string", "null"], "maxLength": 4}},
            "required": ["unit"],
            "additionalProperties": False,
        },
    },
    "required": ["mood", "rain", "count", "names", "inner"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def writer() -> DecoderWriter:
    tokenizer = train_tokenizer(CORPUS, TokenizerConfig(vocab_size=400))
    config = DecoderConfig(
        vocab_size=448,  # more than the tokenizer knows, as published models have it
        width=16,
        layers=1,
        heads=2,
        kv_heads=1,
        head_size=8,
        mlp_width=16,
    )
    assert len(tokenizer) < 448
    return DecoderWriter(
        config, init_params(config, jax.random.key(0)), tokenizer, label="tiny", rows=4
    )


def asks(writer: DecoderWriter, count: int, **fields) -> list[Request]:
    messages = Message("system", "Answer."), Message("user", "How is it?")
    return [
        Request(messages, writer.name, **({"max_tokens": 128, "sample": n} | fields))
        for n in range(count)
    ]


def test_random_weights_keep_to_the_schema(writer: DecoderWriter) -> None:
    requests = [
        *asks(writer, 4, schema=SCHEMA, temperature=1.0),
        *asks(writer, 2, schema=SCHEMA, temperature=0.0),
    ]
    found = {r.key: r for r in LocalBackend(writer).generate(requests)}
    for request in requests:
        response = found[request.key]
        assert (response.finish_reason, response.error) == ("stop", "")
        assert violations(json_object(response.text), SCHEMA) == []
        assert response.enforced == "grammar"
        assert 0 < response.completion_tokens < 128
        assert response.prompt_tokens > 100  # the schema also stands in the prompt
    texts = [found[request.key].text for request in requests]
    assert len(set(texts[:4])) == 4
    assert texts[4] == texts[5]  # greedy


def test_free_text_stops_and_lengths(writer: DecoderWriter) -> None:
    requests = [
        asks(writer, 1, max_tokens=9)[0],
        asks(writer, 1, stop=("e",), max_tokens=128, sample=5)[0],
        asks(writer, 1, schema=SCHEMA, max_tokens=10)[0],
    ]
    found = {r.key: r for r in LocalBackend(writer).generate(requests)}
    short, stopped, cut = (found[request.key] for request in requests)
    assert short.completion_tokens <= 9
    if short.finish_reason == "length":
        assert "max_tokens=9" in short.error
    assert stopped.finish_reason == "stop"
    assert "e" not in stopped.text
    assert stopped.completion_tokens < 128
    assert (cut.finish_reason, cut.completion_tokens) == ("length", 10)
    assert "max_tokens=10" in cut.error
    assert cut.text.startswith('{"mood": ')


def test_an_answer_does_not_depend_on_its_company(writer: DecoderWriter) -> None:
    requests = asks(writer, 6, schema=SCHEMA)
    together = {r.key: r.text for r in LocalBackend(writer).generate(requests)}
    alone = list(LocalBackend(writer).generate([requests[5]]))
    assert alone[0].text == together[requests[5].key]


def test_journal_budget_and_resume(writer: DecoderWriter, tmp_path: pathlib.Path) -> None:
    requests = asks(writer, 6, max_tokens=8)
    with Journal(tmp_path / "j.jsonl") as journal:
        ledger = Ledger(Budget(max_requests=5), journal=journal)
        backend = LocalBackend(writer, journal=journal, ledger=ledger)
        found: list[Response] = []
        with pytest.raises(BudgetReached):
            found.extend(backend.generate(requests))
        assert len(journal) == 5
        again = list(LocalBackend(writer, journal=journal).generate(requests))
        assert sum(response.cached for response in again) == 5
    row = list(Journal(tmp_path / "j.jsonl", readonly=True).rows())[1]
    assert row["backend"] == f"local:{writer.name}"


def test_names_tell_weights_apart(writer: DecoderWriter) -> None:
    config = DecoderConfig(448, 16, 1, 2, 1, 8, 16)
    params = init_params(config, jax.random.key(0))
    assert writer.name == f"tiny@{fingerprint(params)}"
    trained = jax.tree.map(lambda leaf: leaf + 1e-4, params)
    assert fingerprint(trained) != fingerprint(params)


def test_what_cannot_be_is_refused(writer: DecoderWriter) -> None:
    backend = LocalBackend(writer)
    request = asks(writer, 1)[0]
    for change, words in [
        ({"model": "other"}, "must name 'tiny@"),
        ({"options": {"top_p": 0.5}}, "no further options, and a request has top_p"),
        (
            {"schema": {"type": "object", "properties": {"a": {"$ref": "#/x"}}}},
            "cannot be enforced",
        ),
    ]:
        with pytest.raises(UserError, match=words):
            list(backend.generate([dataclasses.replace(request, **change)]))
    assert len(list(backend.generate([request]))) == 1  # nothing is left set aside
    with pytest.raises(UserError, match="names no token"):
        Grammars(writer.tokenizer_json, 448, ())
    with pytest.raises(UserError, match="cannot be used for schemas"):
        Grammars(writer.tokenizer_json, 300, (2,))


def test_chat_templates_without_a_system_role(writer: DecoderWriter) -> None:
    tokenizer = train_tokenizer(CORPUS, TokenizerConfig(vocab_size=400))
    config = DecoderConfig(448, 16, 1, 2, 1, 8, 16)
    params = init_params(config, jax.random.key(1))
    system, user = Message("system", "Be brief."), Message("user", "Who?")
    tokenizer.chat_template = (
        "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('none') }}"
        "{% endif %}[{{ m['role'] }}]{{ m['content'] }}{% endfor %}"
    )
    strict = DecoderWriter(config, params, tokenizer)
    assert strict.text(strict.prompt([system, user])) == "[user]Be brief.\n\nWho?"
    with pytest.raises(UserError, match="refuses these messages"):
        strict.prompt([system])
    tokenizer.chat_template = None
    plain = DecoderWriter(config, params, tokenizer)
    assert plain.text(plain.prompt([system, user])) == "Be brief.\n\nWho?\n\n"
    assert json.loads(plain.tokenizer_json)["model"]["type"] == "BPE"
