"""The author stage with a model of ours in this process: random weights, the real way."""

import collections
import dataclasses
import json
import pathlib
import shutil
import sys
from typing import Any

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from launch import stages
from launch.local_writer import generation_ends, load_writer
from launch.writing import named
from ppt_jax.authoring.backends.journal import Journal
from ppt_jax.authoring.backends.json_answers import json_object, violations
from ppt_jax.authoring.backends.protocol import Message, Response
from ppt_jax.authoring.llm.config import LLMAuthorConfig
from ppt_jax.authoring.llm.offline import OfflineAnswers
from ppt_jax.authoring.llm.plan import plan_split
from ppt_jax.authoring.llm.schemas import FORMALISE
from ppt_jax.authoring.llm.stages import write_story
from ppt_jax.data.tokenizer import TokenizerConfig, save_tokenizer, train_tokenizer
from ppt_jax.data.vocabulary import token_bytes
from ppt_jax.errors import UserError
from ppt_jax.models.architecture import DecoderConfig
from ppt_jax.models.decoder import init_params
from ppt_jax.models.exchange import export_params
from ppt_jax.models.families import hf_from_config
from ppt_jax.storage import read_jsonl
from tests.launch.test_author_llm import recipe

SHARD = "train-00000-of-00001.jsonl"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A directory in the Hugging Face layout with random weights."""
    out = tmp_path_factory.mktemp("local")
    texts = [message.content for message in (*opening("imagine"), *opening("formalise"))]
    tokenizer = train_tokenizer(texts, TokenizerConfig(vocab_size=1200))
    config = DecoderConfig(
        len(tokenizer),
        width=16,
        layers=1,
        heads=2,
        kv_heads=1,
        head_size=8,
        mlp_width=16,
        tied_embeddings=False,
    )
    params = init_params(config, jax.random.key(0))
    # A taste for closing brackets, through a feature that is always on: short answers.
    closing_V = np.array([(piece or b"").count(b"]") for piece in token_bytes(tokenizer)])
    params["embedding"] = params["embedding"].at[:, 0].set(20.0)
    params["head"] = params["head"].at[0].set(closing_V)
    save_tokenizer(tokenizer, out / "tokenizer")
    return export_params(
        params,
        config,
        out / "tiny",
        hf_config=hf_from_config(config, "llama"),
        companions=out / "tokenizer",
        dtype="float32",
    )


def opening(stage: str) -> tuple[Message, ...]:
    """A stage's prompt, about a plan of the recipe."""
    author = stages.author_settings(recipe())
    assert isinstance(author, LLMAuthorConfig)
    plan = plan_split(author, "train")[0]
    work = write_story(plan, dataclasses.replace(author, model="any"))
    request = next(work)
    if stage == "formalise":
        request = work.send(Response(request.key, OfflineAnswers()(request)[0], "stop"))
    return request.messages


def local(folder: pathlib.Path, author: dict[str, Any] | None = None, **backend: Any) -> ConfigDict:
    short = {"attempts": 1, "retries": 2, "repairs": 0, "programs_per_story": 1}
    short |= {"imagine": {"max_tokens": 8}, "formalise": {"max_tokens": 96}}
    told = {"kind": "local", "path": str(folder), "rows": 3, "dtype": "float32"}
    return recipe({**short, **(author or {})}, **(told | backend))


def with_notes(config: ConfigDict, path: pathlib.Path, journal: pathlib.Path) -> str:
    """Puts sound notes for the first two plans into a journal, under the model's name."""
    name = load_writer(str(path), dtype="float32").name
    author = stages.author_settings(config)
    assert isinstance(author, LLMAuthorConfig)
    author = named(author, name)
    answers = OfflineAnswers()
    with Journal(journal) as kept:
        for plan in plan_split(author, "train")[:2]:
            request = next(write_story(plan, author))
            text, finish = answers(request)
            kept.record(request, Response(request.key, text, finish), backend="offline")
    return name


def test_random_weights_go_the_whole_way_to_their_rejects(
    model: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, out = local(model), tmp_path / "out"
    out.mkdir()
    name = with_notes(config, model, out / "answers.jsonl")
    with pytest.raises(UserError, match="max_requests=5 is reached"):
        stages.run_stage("author", local(model, max_requests=5), str(out))
    assert "total: 5 requests" in capsys.readouterr().out
    stages.run_stage("author", config, str(out))
    printed = capsys.readouterr().out
    summary = json.loads((out / "corpus.json").read_text())
    assert "kept 0 of 3 scenarios wanted, 3 rejects" in printed
    assert list(read_jsonl(out / "scenarios" / SHARD)) == []

    # The journal has every request once, and says how each was answered.
    rows = list(Journal(out / "answers.jsonl", readonly=True).rows())[1:]
    assert (
        len({row["key"] for row in rows}) == len(rows) == summary["requests"]["total"]["requests"]
    )
    written = [row for row in rows if row["backend"] == f"local:{name}"]
    assert len(written) == len(rows) - 2
    assert f"total: {len(rows)} requests" in printed
    formalised = [row for row in written if row["request"]["purpose"] == "formalise"]
    assert {row["response"]["enforced"] for row in formalised} == {"grammar"}
    ended = [row["response"] for row in formalised if row["response"]["finish_reason"] == "stop"]
    assert ended
    for response in ended:
        assert violations(json_object(response["text"]), FORMALISE) == []

    # Rejects name the stage that gave up and why: cut answers, or programs that are none.
    rejects = [row for _, row in read_jsonl(out / "rejects" / SHARD)]
    counted = collections.Counter((row["stage"], row["reason"]) for row in rejects)
    assert {stage for stage, _ in counted} == {"imagine", "formalise"}
    assert {reason for _, reason in counted} <= {"length", "c1_parse"}
    assert counted["imagine", "length"] == 1  # no story fits into 8 tokens
    assert counted["formalise", "c1_parse"] >= 1  # sound JSON, no program
    assert summary["rejects"]["by_stage"]["imagine"] == {"length": 1}
    for row in rejects:
        assert {one["request"] for one in row["tried"]} <= {answer["key"] for answer in rows}


def test_what_cannot_be_is_said(
    model: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(words: str, where: pathlib.Path = model, **changes: Any) -> None:
        out = tmp_path / str(len(list(tmp_path.iterdir())))
        out.mkdir()
        with pytest.raises(UserError, match=words):
            stages.run_stage("author", local(where, **changes), str(out))

    refused(r"backend\.path is empty", path="")
    refused("is for kind 'local'; backend.kind is 'openai'", kind="openai")
    refused(r"backend\.which: 'first' is none of", which="first")
    refused(r"backend\.dtype: 'float16' is none of", dtype="float16")
    refused(r"backend\.rows: 0 is below 1", rows=0)
    refused("no model here", tmp_path)
    refused(r"author\.model: 'other'; the local back end has one model", author={"model": "other"})
    refused(r"author\.tell\.model: 'big'", author={"tell": {"model": "big"}})

    bare, larger = tmp_path / "bare", tmp_path / "larger"
    shutil.copytree(model, bare, ignore=shutil.ignore_patterns("tokenizer*"))
    refused("no tokenizer here", bare)
    shutil.copytree(model, larger)
    other = train_tokenizer(["Nothing but the rain."], TokenizerConfig(vocab_size=400))
    other.add_tokens([f"<word {n}>" for n in range(2000)])
    other.save_pretrained(larger)
    refused("its tokenizer does not fit its model .*ids up to", larger)
    monkeypatch.setitem(sys.modules, "llguidance", None)
    refused("needs the llguidance package: pip install 'ppt_jax")


def test_turns_end_as_the_model_directory_says(tmp_path: pathlib.Path) -> None:
    assert generation_ends(str(tmp_path)) == ()
    file = tmp_path / "generation_config.json"
    for stored, ends in ((7, (7,)), ([1, 106], (1, 106)), (None, ())):
        file.write_text(json.dumps({"eos_token_id": stored}))
        assert generation_ends(str(tmp_path)) == ends
    file.write_text(json.dumps({"eos_token_id": "</s>"}))
    with pytest.raises(UserError, match="eos_token_id is '</s>'"):
        generation_ends(str(tmp_path))
