import json
import pathlib

import numpy as np
import pytest

from ppt_jax.evaluation.benchmarks import olympics, protocol
from ppt_jax.evaluation.benchmarks.protocol import BenchmarkError, ScoreSettings

FEW = ScoreSettings(replicates=50, splits=30)
SCENARIOS = ("pg-canoe-race_a-1", "pg-canoe-race_b-2", "pg-tug-of-war_c-3")


@pytest.fixture
def human(tmp_path: pathlib.Path) -> pathlib.Path:
    rng = np.random.default_rng(0)
    document: dict = {"experiment2": {}}
    for scenario in SCENARIOS:
        level = rng.uniform(10, 90, 8)
        document["experiment2"][scenario] = [
            {
                f"query{q + 1}": [
                    float(x) for x in np.clip(rng.normal(level[q], 8, 1 + q % 2), 0, 100)
                ]
                for q in range(8)
            }
            for _ in range(11)
        ]
    path = tmp_path / "human.json"
    path.write_text(json.dumps(document))
    return path


def pooled(path: pathlib.Path) -> dict[str, float]:
    document = json.loads(path.read_text())["experiment2"]
    return {
        f"{s}/query{q}": float(np.mean(np.concatenate([p[f"query{q}"] for p in people])))
        for s, people in document.items()
        for q in range(1, 9)
    }


def test_numbers_are_pooled_and_halves_agree(human):
    scored = olympics.score_data([human], FEW)
    row = {(r["metric"], r["kind"]): r["value"] for r in scored.rows}
    for item, mean in pooled(human).items():
        assert row["human_mean", item] == pytest.approx(mean)
    assert row["n_numbers", "all"] == 3 * 11 * 12
    assert row["n_responses", "all"] == 33
    assert 0.9 < row["split_half_r", "all"] < row["spearman_brown", "all"] < 1
    assert row["half_mae", "all"] < row["mae_always_50", "all"]
    again = olympics.score_data([human], FEW)
    assert again.table == scored.table


def test_models_by_sport_and_kind_of_query(human, tmp_path):
    means = pooled(human)
    lines = ["item_id,answer"]
    for item, mean in means.items():
        query = int(item[-1])
        said = 100 - mean if query >= 7 else mean  # reads the who-wins scale backwards
        lines.append(f"{item},{said}")
    path = tmp_path / "m.csv"
    path.write_text("\n".join(lines))
    scored = protocol.load("olympics", human).score_recordings([path], FEW)
    row = {(r["kind"], r["metric"]): r for r in scored.rows}
    kinds = {"all", "constant", "temporal", "prediction", "canoe-race", "tug-of-war"}
    assert {kind for kind, _ in row} == kinds
    assert row["constant", "mae"]["value"] == pytest.approx(0, abs=1e-9)
    assert row["prediction", "pearson"]["value"] == pytest.approx(-1)
    assert row["prediction", "mae_affine"]["value"] == pytest.approx(0, abs=1e-9)
    gaps = [abs(100 - 2 * m) for item, m in means.items() if int(item[-1]) >= 7]
    assert row["prediction", "mae"]["value"] == pytest.approx(np.mean(gaps))
    assert row["all", "mae"]["value"] == pytest.approx(np.sum(gaps) / 24)
    assert (row["canoe-race", "mae"]["n"], row["tug-of-war", "mae"]["n"]) == (16, 8)
    assert row["constant", "pearson"]["ceiling"] <= 1


def test_texts_make_questions_askable(human):
    assert protocol.load("olympics", human).questions == ()
    (human.parent / "stimuli").mkdir()
    (human.parent / "stimuli" / f"{SCENARIOS[0]}.txt").write_text(
        "BACKGROUND\nCanoes raced.\n\nQUERIES\nQuery 1: How strong is Kay?\nQuery 7: Who wins?\n"
    )
    questions = protocol.load("olympics", human.parent).questions
    assert [q.id for q in questions] == [f"{SCENARIOS[0]}/query1", f"{SCENARIOS[0]}/query7"]
    assert questions[0].prompt.startswith("BACKGROUND\nCanoes raced.\n\nAnswer in angle")
    assert questions[0].kind == "rank"
    assert questions[1].kind == "chance"


def test_bad_numbers_are_counted_and_bad_files_named(human, tmp_path):
    document = json.loads(human.read_text())
    people = document["experiment2"][SCENARIOS[0]]
    people[0]["query1"] = ["lots"]
    people[1]["query1"] = [140]
    human.write_text(json.dumps(document))
    scored = olympics.score_data([human], FEW)
    assert len(scored.failures) == 2
    assert f"{SCENARIOS[0]}[0].query1" in scored.failures[0]
    with pytest.raises(BenchmarkError, match="no experiment 'x'; there are experiment2"):
        protocol.load("olympics", human, experiment="x")
    human.write_text(json.dumps({"experiment2": {"s": {"query1": [3]}}}))
    with pytest.raises(BenchmarkError, match="must be a list of people"):
        olympics.score_data([human], FEW)
    human.write_text("{")
    with pytest.raises(BenchmarkError, match="not JSON"):
        olympics.score_data([human], FEW)
