"""A sample labelled again: which scenarios, how far apart, and what is called gross."""

from __future__ import annotations

import json
import pathlib

import numpy as np
import pytest

from ppt_jax.errors import UserError
from ppt_jax.inference.job import run_label_job
from ppt_jax.inference.labels import LabelConfig
from ppt_jax.inference.relabelling import Pair, coarse, relabel, sample, stored_config
from tests.inference.corpus import write_shard
from tests.inference.test_job import coin

CONFIG = LabelConfig(points=(8192,))


def labelled(folder: pathlib.Path, shards: int) -> pathlib.Path:
    rows = [coin(f"coin-{i}", i % 11) for i in range(12)]
    for shard in range(shards):
        path = folder / "in" / f"train-{shard:05d}-of-{shards:05d}.jsonl"
        write_shard(path, rows[shard::shards])
    run_label_job(folder / "in", folder / "out", CONFIG)
    return folder / "out"


def test_the_sample_depends_on_ids_alone(tmp_path: pathlib.Path) -> None:
    whole, parts = labelled(tmp_path / "a", 1), labelled(tmp_path / "b", 3)
    names = [[one.scenario.id for one in sample(folder, 5)] for folder in (whole, parts)]
    assert names[0] == names[1]
    assert len(set(names[0])) == 5
    assert names[0] != [one.scenario.id for one in sample(whole, 5, seed=1)]
    assert len(sample(whole, 99)) == 12
    with pytest.raises(UserError, match="--relabel=0"):
        sample(whole, 0)


def test_right_labels_agree_and_a_bent_one_is_gross_and_first(tmp_path: pathlib.Path) -> None:
    folder = labelled(tmp_path, 1)
    again = relabel(folder, 12, "table", silent=True)
    assert (len(again.pairs), again.gross, again.refused) == (12, [], {})
    assert 0 < max(pair.distance for pair in again.pairs) < 0.03  # other points, near labels
    assert not again.verdict.startswith("ALARM")
    path = folder / "train-00000-of-00001.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[7]["labels"][0]["probs"] = list(np.roll(rows[7]["labels"][0]["probs"], 20))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    bent = relabel(folder, 12, "table", silent=True)
    assert [pair.scenario_id for pair in bent.gross] == ["coin-7"]
    assert bent.pairs[0].scenario_id == "coin-7"
    assert bent.verdict.startswith("ALARM")
    json.dumps(bent.to_json(), allow_nan=False)


def test_by_default_another_implementation_labels_again(tmp_path: pathlib.Path) -> None:
    again = relabel(labelled(tmp_path, 1), 3, silent=True)
    assert {(pair.first, pair.second) for pair in again.pairs} == {("table", "eager")}
    assert (len(again.pairs), again.gross) == (3, [])


def test_what_the_other_engine_cannot_do_is_counted(tmp_path: pathlib.Path) -> None:
    again = relabel(labelled(tmp_path, 1), 3, "exact", silent=True)
    assert sum(again.refused.values()) == 3
    assert again.verdict.startswith("nothing compared: 0 of 3")
    with pytest.raises(UserError, match=r"label\.engine: 'guess' is none of"):
        relabel(tmp_path / "out", 3, "guess", silent=True)


def test_the_settings_are_those_of_the_folder(tmp_path: pathlib.Path) -> None:
    assert stored_config(labelled(tmp_path, 1)) == CONFIG
    assert stored_config(tmp_path) == LabelConfig()


def test_twenty_bins_of_five_answers_with_the_hundredth_in_the_last() -> None:
    probs = np.zeros(101)
    probs[[0, 4, 5, 99, 100]] = 0.2
    assert coarse(probs, "value")[[0, 1, 19]] == pytest.approx([0.4, 0.2, 0.4])
    assert coarse(np.array([0.3, 0.7]), "choice") == pytest.approx([0.3, 0.7])


@pytest.mark.parametrize(
    ("distance", "stated", "gross"), [(0.04, 0.001, False), (0.06, 0.03, False), (0.1, 0.03, True)]
)
def test_gross_needs_both_a_size_and_a_ratio(distance: float, stated: float, gross: bool) -> None:
    assert Pair("s", "q", "value", "m", "a", "b", distance, stated, 0.0, 0.0).gross is gross
