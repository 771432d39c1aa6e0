"""Multiple-choice sets in JSON lines, to see what training keeps: accuracy, NLL, Brier, ECE.

Layouts of MMLU, TruthfulQA (MC1), HellaSwag, ARC and WinoGrande as their public files have them,
told apart by their fields. Options are asked as letters. Published variant of PPT: zero-shot,
softmax over the letters, 15-bin ECE of the top probability (``top_ece_width``). Retention is the
paired difference of two models on the same questions: ``launch.compare``.

TruthfulQA lists its right answer first, so its options are shuffled (a fixed order per question).
"""

from __future__ import annotations

import hashlib
import pathlib
import string
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ppt_jax.evaluation.benchmarks.choice_scores import score_choices
from ppt_jax.evaluation.benchmarks.files import expand
from ppt_jax.evaluation.benchmarks.protocol import (
    Benchmark,
    BenchmarkError,
    Paths,
    Question,
    Scored,
    ScoreSettings,
    Truth,
)
from ppt_jax.evaluation.benchmarks.recordings import read_recordings
from ppt_jax.storage import read_jsonl

NAME = "choice_sets"
LAYOUTS = ("mmlu", "truthfulqa", "hellaswag", "arc", "winogrande")


def load(directory: pathlib.Path, *, set: str | None = None) -> Benchmark:
    """Loads every ``*.jsonl`` of a directory, or one file; each file is a subset by its name.

    Args:
      directory: folder or file.
      set: only the file of this name, without ``.jsonl``.

    Raises:
      BenchmarkError: a line in none of the layouts, without a right answer, or an id twice.
    """
    files = expand([directory], (".jsonl",))
    if set is not None:
        known = [path.stem for path in files]
        files = [path for path in files if path.stem == set]
        if not files:
            raise BenchmarkError(f"{directory}: no set {set!r}; there are {', '.join(known)}")
    questions: list[Question] = []
    for path in files:
        lines = list(read_jsonl(path))
        if not lines:
            raise BenchmarkError(f"{path}: has no questions")
        for line, row in lines:
            questions.append(_question(path, line, row))

    def score(paths: Paths, settings: ScoreSettings) -> Scored:
        return score_choices(NAME, questions, read_recordings(paths, questions), settings)

    return Benchmark(name=NAME, questions=tuple(questions), score_recordings=score)


def layout_of(row: Mapping[str, Any]) -> str | None:
    """The layout that a line is in, by its fields."""
    if "mc1_targets" in row:
        return "truthfulqa"
    if "endings" in row:
        return "hellaswag"
    if "option1" in row and "option2" in row:
        return "winogrande"
    if "answerKey" in row:
        return "arc"
    if "choices" in row and "answer" in row:
        return "mmlu"
    return None


def _question(path: pathlib.Path, line: int, row: Any) -> Question:
    where = f"{path}, line {line}"
    layout = layout_of(row) if isinstance(row, dict) else None
    if layout is None:
        raise BenchmarkError(f"{where}: is in none of the layouts {', '.join(LAYOUTS)}")
    try:
        text, options, right = _READERS[layout](row)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise BenchmarkError(f"{where}: {layout}: a field is missing or odd ({error!r})") from None
    if not 2 <= len(options) <= len(string.ascii_uppercase):
        raise BenchmarkError(f"{where}: {layout}: {len(options)} options, 2 to 26 expected")
    if not 0 <= right < len(options):
        raise BenchmarkError(f"{where}: {layout}: the right answer is none of the options")
    name = f"{path.stem}/{row.get('id', row.get('qID', line))}"
    order = list(range(len(options)))
    if layout == "truthfulqa":
        digest = hashlib.sha256(text.encode()).digest()
        order = np.random.default_rng(list(digest[:8])).permutation(len(options)).tolist()
    options = [str(options[k]).strip() for k in order]
    letters = tuple(string.ascii_uppercase[: len(options)])
    told = "\n".join(f"{letter}. {option}" for letter, option in zip(letters, options))
    return Question(
        id=name,
        cluster_id=name,
        kind="choice",
        story=f"{text.strip()}\n{told}",
        question=_ASKS.get(layout, "Which answer is right?"),
        scale=f"Options: {', '.join(letters)}.",
        options=letters,
        option_texts=tuple(options),
        truth=Truth(kind="outcome", answer=order.index(right)),
        subset=path.stem,
    )


Parsed = tuple[str, Sequence[str], int]


def _index(label: Any, names: Sequence[str]) -> int:
    """Place of a right answer given as a name (``B``, ``2``) or as a 0-based number."""
    if isinstance(label, bool) or label is None or label == "":
        raise ValueError("no right answer")
    if isinstance(label, int):
        return label
    return list(names).index(str(label).strip())


def _mmlu(row: Mapping[str, Any]) -> Parsed:
    answer = row["answer"]
    if isinstance(answer, str) and answer.strip().isdigit():
        answer = int(answer)
    return str(row["question"]), row["choices"], _index(answer, string.ascii_uppercase)


def _truthfulqa(row: Mapping[str, Any]) -> Parsed:
    targets = row["mc1_targets"]
    if "labels" in targets:
        options, labels = list(targets["choices"]), list(targets["labels"])
    else:  # the original file maps option to label
        options, labels = list(targets), list(targets.values())
    if len(options) != len(labels) or sorted(labels) != [0] * (len(labels) - 1) + [1]:
        raise ValueError("mc1_targets needs exactly one right answer")
    return str(row["question"]), options, labels.index(1)


def _hellaswag(row: Mapping[str, Any]) -> Parsed:
    text = row.get("ctx") or f"{row['ctx_a']} {row.get('ctx_b', '')}".strip()
    label = row["label"]
    if isinstance(label, str):
        label = int(label)
    activity = row.get("activity_label")
    return (f"{activity}: {text}" if activity else str(text)), row["endings"], _index(label, ())


def _arc(row: Mapping[str, Any]) -> Parsed:
    question, choices = row["question"], row.get("choices")
    if isinstance(question, dict):  # the original files
        question, choices = question["stem"], question["choices"]
    if isinstance(choices, dict):
        texts, labels = list(choices["text"]), [str(x) for x in choices["label"]]
    else:
        texts, labels = [c["text"] for c in choices or ()], [str(c["label"]) for c in choices or ()]
    return str(question), texts, _index(str(row["answerKey"]), labels)


def _winogrande(row: Mapping[str, Any]) -> Parsed:
    options = [row["option1"], row["option2"]]
    return str(row["sentence"]), options, _index(str(row["answer"]), ("1", "2"))


_READERS = {
    "mmlu": _mmlu,
    "truthfulqa": _truthfulqa,
    "hellaswag": _hellaswag,
    "arc": _arc,
    "winogrande": _winogrande,
}
_ASKS = {
    "hellaswag": "Which ending is the most plausible?",
    "winogrande": "Which option fills the blank _ best?",
}
