"""The author stage with a model in the recipe: written, labelled, replayed, refused."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import pytest
from ml_collections import ConfigDict

from configs import llm_author
from launch import stages
from launch.writing import BackendSettings
from ppt_jax.data.records import record_from_row
from ppt_jax.errors import UserError
from ppt_jax.inference.job import label_share
from ppt_jax.inference.labels import LabelConfig
from ppt_jax.storage import read_jsonl


def recipe(author: Mapping[str, Any] | None = None, **backend: Any) -> ConfigDict:
    config = llm_author.get_config()
    small = {
        "train_size": 3, "validation_size": 0, "seen_motifs_size": 0, "held_out_motifs_size": 0,
        "held_out_family_size": 0, "shards": 1, "motifs": ("signal_detection",),
        "held_out_motifs": (), "held_out_family": "", "programs_per_story": 2,
    }  # fmt: skip
    config.author.update({**small, **(author or {})})
    config.author.checks.update({"particles": 1024, "min_ess": 50.0, "max_words": 400})
    config.backend.update({"kind": "offline", **backend})
    return config


def test_a_corpus_is_written_labelled_and_replayed(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    stages.run_stage("author", recipe(), str(first))
    printed = capsys.readouterr().out
    assert "kept 3 of 3 scenarios wanted" in printed
    assert "for each of 3 accepted scenarios" in printed
    label_share(first / "scenarios", first / "labels", LabelConfig(), silent=True)
    rows = [row for _, row in read_jsonl(first / "labels" / "train-00000-of-00001.jsonl")]
    assert len(rows) == 3
    for row in rows:
        assert row["programs"]["weights"] == [0.5, 0.5]
        record = record_from_row(row, where="here")
        assert record.skin
        assert {ask.route for ask in record.asks} == {"average"}
    stages.run_stage("author", recipe(), str(first))
    assert "finished already" in capsys.readouterr().out
    replay = recipe(kind="replay", journal=str(first / "answers.jsonl"))
    stages.run_stage("author", replay, str(second))
    for name in ("scenarios/train-00000-of-00001.jsonl", "corpus.json", "author.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_a_budget_stops_with_what_it_took_and_goes_on(
    tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match="max_requests=7 is reached"):
        stages.run_stage("author", recipe(max_requests=7), str(tmp_path))
    assert "total: 7 requests" in capsys.readouterr().out
    stages.run_stage("author", recipe(prices={"*": (1.0, 2.0)}), str(tmp_path))
    assert "cost 0.0" in capsys.readouterr().out
    assert json.loads((tmp_path / "corpus.json").read_text())["counts"]["train"]["scenarios"] == 3


@pytest.mark.parametrize(
    ("author", "backend", "message"),
    [
        ({"kind": "lmm"}, {}, r"config\.author\.kind: 'lmm'"),
        ({"told": ("loud",)}, {}, "told: "),
        ({"trian_size": 3}, {}, r"config\.author\.trian_size"),
        ({}, {"kind": "openia"}, r"backend\.kind: 'openia'; did you mean 'openai'"),
        ({}, {"flaws": {"typo": 1.0}}, "flaws: typo"),
        ({}, {"kind": "replay"}, "no such journal to replay"),
        ({}, {"max_cost": 3.0}, "needs prices"),
        ({}, {"prices": {"m": (1.0,)}}, r"backend\.prices\.m"),
        ({"model": ""}, {}, "model: name one"),
    ],
)
def test_what_is_wrong_in_a_recipe_is_named(
    author: dict[str, Any], backend: dict[str, Any], message: str, tmp_path: pathlib.Path
) -> None:
    with pytest.raises(UserError, match=message):
        stages.run_stage("author", recipe(author, **backend), str(tmp_path))


def test_a_recipe_without_a_back_end_is_refused(tmp_path: pathlib.Path) -> None:
    config = recipe()
    del config.backend
    with pytest.raises(UserError, match="'backend' is missing"):
        stages.run_stage("author", config, str(tmp_path))


def test_limits_of_zero_are_none() -> None:
    assert BackendSettings().budget().max_cost is None
    assert BackendSettings(max_cost=2.0).budget().max_cost == 2.0
