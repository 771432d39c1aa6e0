import json
import re

import numpy as np
import pytest

from ppt_jax.evaluation.benchmarks import recordings
from ppt_jax.evaluation.benchmarks.protocol import BenchmarkError, Question, Truth
from ppt_jax.evaluation.item_files import write_items

QUESTIONS = [
    Question(
        id=f"q{k}",
        cluster_id="c",
        kind="choice",
        question="?",
        options=("A", "B", "C"),
        option_texts=("red", "green", "blue"),
        truth=Truth(kind="outcome", answer=0),
    )
    for k in range(3)
]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("42", 42.0),
        ("<42>", 42.0),
        ("P = 0.125", 0.125),
        ("about 12.5 %", 0.125),
        ("1,250.5", 1250.5),
        ("-3e-2", -0.03),
        (".5", 0.5),
        ("0.5 or so, say 0.5", 0.5),
        ("between 3 and 5", None),
        ("no idea", None),
        ("", None),
        ("1e999", None),
    ],
)
def test_numbers_in_words(text, number):
    assert recordings.parse_number(text) == number


def test_csv_and_jsonl_say_the_same(tmp_path):
    (tmp_path / "gpt_trial2.csv").write_text(
        'item_id,probs,p:A,p:C,answer\nq0,"[0.2, 0.3, 0.5]",,,\nQ1,,0.5,0.25,\nq2,,,,<b>\n'
    )
    rows = [
        {"item_id": "q0", "probs": [0.2, 0.3, 0.5], "model": "gpt", "trial": 2},
        {"id": "q1", "probs": {"a": 0.5, "C": 0.25}, "model": "gpt", "trial": "2"},
        {"item_id": "q2", "answer": "green", "model": "gpt", "trial": 2},
    ]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for path in (tmp_path / "gpt_trial2.csv", tmp_path / "x.jsonl"):
        found = recordings.read_recordings([path], QUESTIONS)
        assert [(r.model, r.trial, r.question.id) for r in found] == [
            ("gpt", "2", "q0"),
            ("gpt", "2", "q1"),
            ("gpt", "2", "q2"),
        ]
        np.testing.assert_allclose(found[0].probs_K, [0.2, 0.3, 0.5])
        np.testing.assert_allclose(found[1].probs_K, [0.5, 0, 0.25])
        assert found[2].option() == 1
    with pytest.raises(BenchmarkError, match="answers 'q0' twice in trial '2'"):
        recordings.read_recordings([tmp_path], QUESTIONS)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"item_id": "q9", "answer": "A"}, "item 'q9' is no question"),
        ({"answer": "A"}, "no item_id"),
        ({"item_id": "q0", "probs": [0.5, 0.5]}, "2 entries, the question has 3"),
        ({"item_id": "q0", "probs": [0.5, -0.1, 0.1]}, "-0.1 at answer 'B'"),
        ({"item_id": "q0", "probs": [0.5, None, 0.1]}, "nan at answer 'B'"),
        ({"item_id": "q0", "probs": [0.9, 0.9, 0.1]}, "sums to 1.9, more than 1"),
        ({"item_id": "q0", "probs": [0, 0, 0]}, "no answer any probability"),
        ({"item_id": "q0", "probs": {"D": 1}}, "probs has the answer 'D'"),
        ({"item_id": "q0", "probs": "much"}, "must hold numbers"),
        ([1], "must be a JSON object"),
    ],
)
def test_bad_rows_are_named(tmp_path, row, words):
    path = tmp_path / "m.jsonl"
    path.write_text(json.dumps({"item_id": "q2", "answer": "A"}) + "\n" + json.dumps(row))
    with pytest.raises(BenchmarkError, match=re.escape(words)) as error:
        recordings.read_recordings([path], QUESTIONS)
    assert "line 2" in str(error.value)


def test_options_by_letter_or_text():
    def option(answer: str) -> int | None:
        return recordings.Recording("m", "0", QUESTIONS[0], answer, None, "").option()

    assert [option(a) for a in ("A", "<c>", "B.", "Green", "D", "A or B", "")] == [
        0,
        2,
        1,
        1,
        None,
        None,
        None,
    ]


def test_lines_of_items_are_recordings(tmp_path):
    logp = np.log([0.2, 0.3, 0.4]).tolist()
    item = QUESTIONS[0].target("s").answered("m", np.array(logp))
    failed = QUESTIONS[1].target("s").answered("m", None, parse_ok=False)
    write_items(tmp_path / "items.jsonl", [item, failed])
    first, second = recordings.read_recordings([tmp_path / "items.jsonl"], QUESTIONS)
    np.testing.assert_allclose(first.probs_K, [0.2, 0.3, 0.4], rtol=1e-6)
    assert (first.model, second.probs_K, second.option()) == ("m", None, None)
