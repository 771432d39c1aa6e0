import json
import math
import pathlib

import numpy as np
import pytest

from ppt_jax.evaluation.benchmarks import protocol
from ppt_jax.evaluation.benchmarks.protocol import BenchmarkError, ScoreSettings
from tests.evaluation.benchmarks import real_data

FEW = ScoreSettings(replicates=50)


def network(*answers: float) -> dict:
    return {
        "nodes": [],
        "numeric_premises": [{"id": 0, "content": "It rains on 30% of days. "}],
        "wep_based_premises": [{"id": 0, "content": "It rarely rains."}],
        "evidence_query_pairs": [
            {
                "id": k,
                "evidences": ["The street is wet."],
                "query": "What is the likelihood of rain?",
                "answer": answer,
                "reasoning_types": ["causal"] if k else ["evidential"],
            }
            for k, answer in enumerate(answers)
        ],
    }


@pytest.fixture
def data(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "quite"
    folder.mkdir()
    (folder / "rain0.json").write_text(json.dumps(network(0.25, 0.5, -1)))
    (folder / "rain1.json").write_text(json.dumps(network(1.0)))
    (folder / "Metadata.csv").write_text("id,filename,split\n1,rain0,train\n2,rain1,test\n")
    return folder


def test_scores_by_hand(data, tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("item_id,answer\nrain0/0,25.001 %\nrain0/1,dunno\nrain0/2,-1\nrain1/0,0.9\n")
    scored = protocol.load("quite", data).score_recordings([path], FEW)
    row = {(r["split"], r["kind"], r["metric"]): r for r in scored.rows}
    assert row["all", "all", "accuracy"]["value"] == pytest.approx(2 / 4)
    gaps = np.array([0.25001 - 0.25, 0.5 - 0.5, 0.9 - 1.0])
    assert row["all", "all", "rmse"]["value"] == pytest.approx(math.sqrt((gaps**2).mean()))
    assert row["all", "all", "mae"]["value"] == pytest.approx(np.abs(gaps).mean())
    assert row["all", "all", "accuracy"]["n_parse_fail"] == 1
    assert row["all", "all", "accuracy"]["n_clusters"] == 2
    assert row["test", "all", "rmse"]["value"] == pytest.approx(0.1)
    assert row["all", "evidential", "accuracy"]["value"] == pytest.approx(0.5)
    assert "rain0/1: 'dunno' states no probability" in scored.failures[0]


@pytest.mark.parametrize(
    ("answer", "right"),
    [("0.25", 1), ("0.25002", 1), ("0.25003", 0), ("25%", 1), ("25", 0), ("-1", 0), ("", 0)],
)
def test_right_means_within_the_relative_tolerance(data, tmp_path, answer, right):
    path = tmp_path / "m.csv"
    path.write_text(f"item_id,answer\nrain0/0,{answer}\n")
    scored = protocol.load("quite", data).score_recordings([path], FEW)
    found = next(r for r in scored.rows if r["metric"] == "accuracy")
    assert found["value"] == right


def test_questions_and_options(data):
    wep = protocol.load("quite", data, premises="wep", split="test")
    assert [q.id for q in wep.questions] == ["rain1/0"]
    assert wep.questions[0].prompt.startswith("It rarely rains.\n\nObserved:\nThe street is wet.")
    scale = protocol.load("quite", data, answer="scale").questions
    assert [q.id for q in scale] == ["rain0/0", "rain0/1", "rain1/0"]  # no integer says impossible
    assert scale[0].target("x").target_value == 25.0
    native = protocol.load("quite", data)
    assert native.record is not None
    reply = "First 0.3 * 0.5, then P = 0.1. No: P = 0.19148936."
    row = native.record(native.questions[0], reply)
    assert float(row["answer"]) == 0.19148936
    assert native.record(native.questions[0], "P = -1")["answer"] == "-1.0"
    assert native.record(native.questions[0], "hard to say")["answer"] == ""


def test_bad_data_are_named(data):
    with pytest.raises(BenchmarkError, match="neither 'numeric' nor 'wep'"):
        protocol.load("quite", data, premises="both")
    with pytest.raises(BenchmarkError, match="no network of split 'dev'"):
        protocol.load("quite", data, split="dev")
    (data / "odd.json").write_text(json.dumps(network(1.5)))
    with pytest.raises(BenchmarkError, match=r"odd\.json: pair 0: answer 1\.5"):
        protocol.load("quite", data)


def test_published_corpus(tmp_path):
    folder = real_data.folder("quite")
    benchmark = protocol.load("quite", folder)
    assert len(benchmark.questions) == 321
    assert len({q.cluster_id for q in benchmark.questions}) == 19
    first = next(q for q in benchmark.questions if q.id == "cancer0/0")
    by_hand = 0.05 * 0.9 / (0.05 * 0.9 + 0.95 * 0.2)
    assert first.truth.value == pytest.approx(by_hand, abs=1e-8)
    lines = [json.dumps({"item_id": q.id, "answer": q.truth.value}) for q in benchmark.questions]
    path = tmp_path / "exact.jsonl"
    path.write_text("\n".join(lines))
    scored = benchmark.score_recordings([path], FEW)
    assert all(
        r["value"] == (1.0 if r["metric"] == "accuracy" else pytest.approx(0)) for r in scored.rows
    )
