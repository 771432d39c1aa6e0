import json
import pathlib
import re

import numpy as np
import pytest
from sklearn import metrics

from ppt_jax.evaluation.benchmarks import protocol
from ppt_jax.evaluation.benchmarks.protocol import BenchmarkError, ScoreSettings

FEW = ScoreSettings(replicates=50)
ROWS = {
    "mmlu": {"question": "2 + 2?", "choices": ["3", "4", "5", "6"], "answer": 1, "subject": "x"},
    "mmlu_letter": {"question": "2 + 2?", "choices": ["3", "4", "5", "6"], "answer": "B"},
    "truthfulqa": {
        "question": "Do pigs fly?",
        "mc1_targets": {"choices": ["No", "Yes", "Often"], "labels": [1, 0, 0]},
    },
    "truthfulqa_old": {"question": "Do pigs fly?", "mc1_targets": {"No": 1, "Yes": 0, "Often": 0}},
    "hellaswag": {
        "activity_label": "Cooking",
        "ctx": "He cuts",
        "endings": ["the rain.", "the bread.", "a song.", "off."],
        "label": "1",
    },
    "arc": {
        "id": "A7",
        "question": "Which?",
        "choices": {"text": ["x", "y", "z"], "label": ["1", "2", "3"]},
        "answerKey": "3",
    },
    "arc_old": {
        "id": "A7",
        "question": {
            "stem": "Which?",
            "choices": [{"text": "x", "label": "A"}, {"text": "z", "label": "B"}],
        },
        "answerKey": "B",
    },
    "winogrande": {"sentence": "The _ ran.", "option1": "cat", "option2": "sea", "answer": "1"},
}
RIGHT = {
    "mmlu": "4",
    "truthfulqa": "No",
    "hellaswag": "the bread.",
    "arc": "z",
    "winogrande": "cat",
}


def write(path: pathlib.Path, rows: list) -> pathlib.Path:
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return path


@pytest.mark.parametrize("layout", ROWS)
def test_layouts(tmp_path, layout):
    write(tmp_path / "set.jsonl", [ROWS[layout]])
    (question,) = protocol.load("choice_sets", tmp_path).questions
    truth = question.truth.answer
    assert truth is not None
    assert question.option_texts[truth] == RIGHT[layout.split("_")[0]]
    assert question.options == tuple("ABCD"[: len(question.option_texts)])
    for letter, text in zip(question.options, question.option_texts):
        assert f"\n{letter}. {text}\n" in question.prompt


def test_the_right_answer_of_truthfulqa_moves_about(tmp_path):
    rows = [dict(ROWS["truthfulqa"], question=f"Question {k}?") for k in range(60)]
    write(tmp_path / "set.jsonl", rows)
    places = [q.truth.answer for q in protocol.load("choice_sets", tmp_path).questions]
    assert np.bincount(places, minlength=3).min() > 8
    again = [q.truth.answer for q in protocol.load("choice_sets", tmp_path).questions]
    assert places == again


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"text": "?"}, "in none of the layouts"),
        (dict(ROWS["mmlu"], answer=7), "right answer is none of the options"),
        (dict(ROWS["mmlu"], answer="E"), "right answer is none of the options"),
        (dict(ROWS["hellaswag"], label=""), "hellaswag: a field is missing or odd"),
        (dict(ROWS["winogrande"], answer=""), "winogrande: a field is missing or odd"),
        (
            dict(ROWS["truthfulqa"], mc1_targets={"choices": ["a", "b"], "labels": [1, 1]}),
            "exactly one right answer",
        ),
        (dict(ROWS["mmlu"], choices=["only"], answer=0), "1 options"),
    ],
)
def test_bad_lines_are_named(tmp_path, row, words):
    path = write(tmp_path / "set.jsonl", [ROWS["mmlu"], row])
    with pytest.raises(BenchmarkError, match=re.escape(words)) as error:
        protocol.load("choice_sets", tmp_path)
    assert f"{path}, line 2" in str(error.value)


def test_scores_against_scikit_learn(tmp_path):
    rng = np.random.default_rng(0)
    answers = rng.integers(0, 4, 90)
    write(tmp_path / "a.jsonl", [dict(ROWS["mmlu"], answer=int(k)) for k in answers])
    write(tmp_path / "b.jsonl", [ROWS["winogrande"]])
    benchmark = protocol.load("choice_sets", tmp_path)
    probs = rng.dirichlet(np.ones(4), 90)
    rows = [
        {"model": "m", "item_id": q.id, "probs": (0.9 * p).tolist(), "answer": "A"}
        for q, p in zip(benchmark.questions, probs)
    ]
    path = write(tmp_path / "r.jsonl.txt", rows).rename(tmp_path.parent / "r.jsonl")
    scored = benchmark.score_recordings([path], FEW)
    found = {
        (r["metric"], r["readout"]): r
        for r in scored.rows
        if r["kind"] in ("all", "choice") and r["split"] == "a" and r["value"] == r["value"]
    }
    one_hot = np.eye(4)[answers]
    assert found["accuracy", "probs"]["value"] == pytest.approx(
        metrics.accuracy_score(answers, probs.argmax(1))
    )
    assert found["log_score", "probs"]["value"] == pytest.approx(
        metrics.log_loss(answers, probs, labels=range(4)), abs=1e-6
    )
    assert found["brier", "probs"]["value"] == pytest.approx(
        ((probs - one_hot) ** 2).sum(1).mean(), abs=1e-6
    )
    top, right = probs.max(1), probs.argmax(1) == answers
    bins = np.minimum((top * 15).astype(int), 14)
    by_hand = sum(abs((right - top)[bins == b].sum()) for b in range(15)) / 90
    assert found["top_ece_width", "probs"]["value"] == pytest.approx(by_hand)
    assert (
        found["top_ece_width", "probs"]["null_q95"] > found["top_ece_width", "probs"]["null_mean"]
    )
    assert found["accuracy", "text"]["value"] == pytest.approx((answers == 0).mean())
    assert found["agreement_readouts", "text"]["value"] == pytest.approx(
        (probs.argmax(1) == 0).mean()
    )
    assert found["valid_mass", "probs"]["value"] == pytest.approx(0.9, abs=1e-6)


def test_no_answers_are_no_number(tmp_path):
    write(tmp_path / "a.jsonl", [ROWS["mmlu"]])
    empty = tmp_path.parent / "empty.jsonl"
    empty.write_text("")
    scored = protocol.load("choice_sets", tmp_path).score_recordings([empty], FEW)
    assert [(r["n"], r["value"] == r["value"]) for r in scored.rows] == [(0, False)]
