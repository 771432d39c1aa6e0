"""Recorded answers in the simple form that most benchmarks share, CSV or JSON lines.

One row a model, question and trial: ``model`` (else the file's name), ``item_id`` (the question's
id), ``trial`` (else 0), and either ``answer`` (text or number) or ``probs`` (probabilities of the
question's answers in order, or by name; they may sum to less than 1, the rest is invalid answers).
In a CSV file ``probs`` is JSON text, or there is one column an answer: ``p:A``, ``p:B``. Lines of
`items.jsonl` (docs/evaluation.md) are recordings too, with ``logp`` for ``probs``.

Axes: K answers of the support.
"""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ppt_jax.evaluation.benchmarks.files import Cells, expand, read_csv
from ppt_jax.evaluation.benchmarks.protocol import BenchmarkError, Paths, Question
from ppt_jax.storage import read_jsonl

_SUM_TOLERANCE = 1e-3
_TRIAL = re.compile(r"^(?P<model>.+)_trial(?P<trial>[^_]+)$")
_NUMBER = re.compile(r"[-+]?(?:\d[\d,]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?\s*%?")


@dataclasses.dataclass(frozen=True, eq=False)
class Recording:
    """One recorded answer.

    Attributes:
      model, trial: who answered, and which repetition.
      question: what was asked.
      answer: the text given, empty when there is none (or probabilities instead).
      probs_K: probabilities of the answers, not renormalised, or None.
      where: file and line, for messages.
    """

    model: str
    trial: str
    question: Question
    answer: str
    probs_K: np.ndarray | None
    where: str

    def number(self) -> float | None:
        """The only number in the answer (``"<42>"``, ``"0.3"``, ``"30%"`` is 0.3), else None."""
        return parse_number(self.answer)

    def option(self) -> int | None:
        """Index of the option that the answer names (``"B"``, ``"<b>"``, ``"B."``), else None."""
        text = self.answer.strip().strip("<>()[].:\"' ").casefold()
        support = self.question.support or ()
        for names in (support, self.question.option_texts):
            found = [k for k, name in enumerate(names) if name.strip().casefold() == text]
            if len(found) == 1:
                return found[0]
        return None


def parse_number(text: str) -> float | None:
    """The number that a text states; None when it states none, or several different ones.

    Example:
      >>> parse_number("P = 12.5 %"), parse_number("between 3 and 5"), parse_number("<42>")
      (0.125, None, 42.0)
    """
    values = set()
    for token in _NUMBER.findall(text):
        percent = token.rstrip().endswith("%")
        value = float(token.rstrip("% \t").replace(",", ""))
        values.add(value / 100 if percent else value)
    if len(values) != 1:
        return None
    value = values.pop()
    return value if math.isfinite(value) else None


def name_of(path: pathlib.Path) -> tuple[str, str]:
    """Model and trial by a file's name: ``gpt_trial3.csv`` is model ``gpt``, trial ``3``."""
    match = _TRIAL.match(path.stem)
    return (match["model"], match["trial"]) if match else (path.stem, "0")


def read_recordings(
    paths: Paths,
    questions: Sequence[Question],
    *,
    id_columns: Sequence[str] = (),
    answer_columns: Sequence[str] = (),
    trial_columns: Sequence[str] = (),
) -> list[Recording]:
    """Reads recordings from files and directories of CSV and JSON-lines files.

    Args:
      paths: files or directories.
      questions: the benchmark's questions, by whose ids answers are matched.
      id_columns: further names of ``item_id``, e.g. ``("querydetail",)``.
      answer_columns: further names of ``answer``, e.g. ``("estimate",)``.
      trial_columns: further columns that, joined, tell repetitions apart, e.g. ``("block",)``.

    Raises:
      BenchmarkError: an unknown question, an answer given twice, probabilities that are none.
    """
    known = {question.id: question for question in questions}
    folded = {question.id.casefold(): question for question in questions}
    found: list[Recording] = []
    seen: dict[tuple[str, str, str], str] = {}
    for path in expand(paths, (".csv", ".jsonl")):
        rows = _jsonl_rows(path) if path.suffix.lower() == ".jsonl" else _csv_rows(path)
        model_name, trial_name = name_of(path)
        for where, row in rows:
            item = _first(row, (*id_columns, "item_id", "question_id", "id"))
            if item == "":
                raise BenchmarkError(f"{where}: no item_id; it names the question")
            question = known.get(item) or folded.get(" ".join(item.split()).casefold())
            if question is None:
                raise BenchmarkError(
                    f"{where}: item {item!r} is no question of this benchmark"
                    f" (e.g. {next(iter(known), 'none')!r})"
                )
            model = _first(row, ("model",)) or model_name
            trial = "/".join(
                part
                for part in (_first(row, ("trial",)), *(_first(row, (c,)) for c in trial_columns))
                if part
            )
            trial = trial or trial_name
            key = (model, question.id, trial)
            if key in seen:
                raise BenchmarkError(
                    f"{where}: model {model!r} answers {question.id!r} twice in trial {trial!r}, "
                    f"see {seen[key]}"
                )
            seen[key] = where
            found.append(
                Recording(
                    model,
                    trial,
                    question,
                    _first(row, ("answer", "reply", *answer_columns)),
                    _probs(row, question, where),
                    where,
                )
            )
    return found


def _first(row: Mapping[str, Any], names: Sequence[str]) -> str:
    """The first of these fields that is there, as text."""
    for name in names:
        value = row.get(name)
        if value is not None and str(value).strip():
            if isinstance(value, float) and value.is_integer():
                value = int(value)
            return str(value).strip()
    return ""


def _csv_rows(path: pathlib.Path) -> list[tuple[str, Mapping[str, Any]]]:
    def row(cells: Cells) -> Mapping[str, Any]:
        values: dict[str, Any] = dict(cells.values)
        if values.get("probs"):
            try:
                values["probs"] = json.loads(values["probs"])
            except ValueError:
                raise BenchmarkError(
                    f"{cells.where}: probs must be a JSON list or object"
                ) from None
        by_name = {k[2:]: v for k, v in values.items() if k.startswith("p:") and v != ""}
        if by_name and not values.get("probs"):
            values["probs"] = {name: cells.number(f"p:{name}") for name in by_name}
        return values

    return [(cells.where, row(cells)) for cells in read_csv(path)]


def _jsonl_rows(path: pathlib.Path) -> list[tuple[str, Mapping[str, Any]]]:
    rows: list[tuple[str, Mapping[str, Any]]] = []
    for line, row in read_jsonl(path):
        if not isinstance(row, dict):
            raise BenchmarkError(f"{path}, line {line}: a recording must be a JSON object")
        rows.append((f"{path}, line {line}", row))
    return rows


def _probs(row: Mapping[str, Any], question: Question, where: str) -> np.ndarray | None:
    given = row.get("probs")
    if given is None and isinstance(row.get("logp"), list):  # a line of items.jsonl
        given = [0.0 if x is None else math.exp(min(float(x), 1.0)) for x in row["logp"]]
    if given is None or given == "":
        return None
    support = question.support
    if support is None:
        raise BenchmarkError(f"{where}: item {question.id!r} is answered by a number, not by probs")
    if isinstance(given, dict):
        lower = {name.casefold(): k for k, name in enumerate(support)}
        vector: list[Any] = [0.0] * len(support)
        for name, value in given.items():
            if str(name).casefold() not in lower:
                raise BenchmarkError(
                    f"{where}: item {question.id!r}: probs has the answer {name!r}, the question "
                    f"has {', '.join(support[:5])}{', ...' if len(support) > 5 else ''}"
                )
            vector[lower[str(name).casefold()]] = value
        given = vector
    try:
        probs_K = np.asarray(given, np.float64)
    except (TypeError, ValueError):
        raise BenchmarkError(f"{where}: item {question.id!r}: probs must hold numbers") from None
    if probs_K.shape != (len(support),):
        raise BenchmarkError(
            f"{where}: item {question.id!r}: probs has {probs_K.size} entries, the question has "
            f"{len(support)} answers"
        )
    bad = np.flatnonzero(~np.isfinite(probs_K) | (probs_K < 0))
    if bad.size:
        raise BenchmarkError(
            f"{where}: item {question.id!r}: probs is {probs_K[bad[0]]} at answer "
            f"{support[bad[0]]!r}; probabilities are in [0, 1]"
        )
    if probs_K.sum() > 1 + _SUM_TOLERANCE:
        raise BenchmarkError(
            f"{where}: item {question.id!r}: probs sums to {probs_K.sum():.6g}, more than 1"
        )
    if probs_K.sum() <= 0:
        raise BenchmarkError(
            f"{where}: item {question.id!r}: probs gives no answer any probability"
        )
    return probs_K


def by_model(recordings: Sequence[Recording]) -> dict[str, list[Recording]]:
    """Recordings of each model, models in order of appearance."""
    found: dict[str, list[Recording]] = {}
    for recording in recordings:
        found.setdefault(recording.model, []).append(recording)
    return found
