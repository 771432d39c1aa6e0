"""QUITE: Bayesian networks told in prose, and a probability to be worked out exactly.

Native protocol (Schrader et al. 2024): premises as numbers or as words of estimative probability,
some evidence, a query; the reply is a probability, right when it is within a relative tolerance of
1e-4, and the root mean squared error counts a reply without a number as 0.5. The exact posterior is
the target. Questions about one network share its premises, so intervals resample networks.

Where the evidence is impossible the files give -1 as the answer: a reply of -1 is right there, and
such questions have no error (RMSE and MAE leave them out).

Files: ``<network>.json`` and ``Metadata.csv`` (for the splits).
"""

from __future__ import annotations

import math
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ppt_jax.evaluation import results
from ppt_jax.evaluation.benchmarks.files import read_csv, read_json
from ppt_jax.evaluation.benchmarks.protocol import (
    Benchmark,
    BenchmarkError,
    Paths,
    Question,
    Row,
    Scored,
    ScoreSettings,
    Truth,
)
from ppt_jax.evaluation.benchmarks.recordings import (
    Recording,
    by_model,
    parse_number,
    read_recordings,
)
from ppt_jax.evaluation.benchmarks.summaries import Estimate, Resampler, plain_table, shown

NAME = "quite"
PREMISES = {"numeric": "numeric_premises", "wep": "wep_based_premises"}
RELATIVE_TOLERANCE = 1e-4
UNPARSED = 0.5
IMPOSSIBLE = -1.0
_HOW = (
    "Work it out exactly. End with one line: P = NUMBER (between 0 and 1; -1 if what was observed "
    "cannot happen)"
)
_STATED = re.compile(r"(?i)\bp(?:robability)?\s*(?:=|:|is)\s*([-+]?[\d.,]+(?:e[-+]?\d+)?\s*%?)")


def load(
    directory: pathlib.Path,
    *,
    premises: str = "numeric",
    split: str | None = None,
    answer: str = "number",
) -> Benchmark:
    """Loads the networks of a directory.

    Args:
      directory: holds ``<network>.json``, or a folder ``data`` with them.
      premises: ``numeric`` or ``wep`` (words of estimative probability).
      split: only networks of this split of Metadata.csv.
      answer: ``number`` (a probability in words of the model's own) or ``scale`` (an integer
        0..100, for readouts that need a list of answers).

    Raises:
      BenchmarkError: unknown option, broken files.
    """
    if premises not in PREMISES:
        raise BenchmarkError(f"{NAME}: premises {premises!r} is neither 'numeric' nor 'wep'")
    if answer not in ("number", "scale"):
        raise BenchmarkError(f"{NAME}: answer {answer!r} is neither 'number' nor 'scale'")
    splits = _splits(directory)
    files = sorted(directory.glob("*.json")) or sorted(directory.glob("data/*.json"))
    if not files:
        raise BenchmarkError(f"{directory}: no <network>.json in this directory")
    questions: list[Question] = []
    types: dict[str, tuple[str, ...]] = {}
    for path in files:
        own = splits.get(path.stem, "")
        if split is not None and own != split:
            continue
        questions += _network(path, premises, own, answer, types)
    if not questions:
        known = ", ".join(sorted(set(splits.values()))) or "no Metadata.csv"
        raise BenchmarkError(f"{directory}: no network of split {split!r} (splits: {known})")

    def score(paths: Paths, settings: ScoreSettings) -> Scored:
        return _score(questions, types, premises, paths, settings)

    return Benchmark(
        name=NAME,
        questions=tuple(questions),
        score_recordings=score,
        record=_record if answer == "number" else None,
    )


def _splits(directory: pathlib.Path) -> dict[str, str]:
    for path in (directory / "Metadata.csv", directory.parent / "Metadata.csv"):
        if path.exists():
            rows = read_csv(path, required=("filename", "split"))
            return {row.text("filename"): row.text("split") for row in rows}
    return {}


def _network(
    path: pathlib.Path,
    premises: str,
    split: str,
    answer: str,
    types: dict[str, tuple[str, ...]],
) -> list[Question]:
    document = read_json(path)
    try:
        told = [str(premise["content"]).strip() for premise in document[PREMISES[premises]]]
        pairs = list(document["evidence_query_pairs"])
    except (KeyError, TypeError) as error:
        raise BenchmarkError(f"{path}: field {error} is missing or odd") from None
    questions = []
    for pair in pairs:
        try:
            name, exact = f"{path.stem}/{pair['id']}", float(pair["answer"])
            evidence, query = [str(e).strip() for e in pair["evidences"]], str(pair["query"])
        except (KeyError, TypeError, ValueError) as error:
            raise BenchmarkError(
                f"{path}: pair {pair.get('id') if isinstance(pair, dict) else pair!r}: field "
                f"{error} is missing or odd"
            ) from None
        if exact == IMPOSSIBLE and answer == "scale":
            continue  # no integer 0..100 says so
        if not 0 <= exact <= 1 and exact != IMPOSSIBLE:
            raise BenchmarkError(f"{path}: pair {pair['id']}: answer {exact} is not in [0, 1]")
        story = "\n".join(told)
        if evidence:
            story += "\n\nObserved:\n" + "\n".join(evidence)
        types[name] = tuple(map(str, pair.get("reasoning_types", ())))
        number = answer == "number"
        questions.append(
            Question(
                id=name,
                cluster_id=path.stem,
                kind="number" if number else "chance",
                story=story,
                question=query.strip(),
                scale=_HOW if number else "Chance from 0 to 100.",
                truth=Truth(
                    kind="posterior",
                    value=exact if number else 100 * exact,
                    answer=None if number else round(100 * exact),
                ),
                subset=split,
            )
        )
    return questions


def _record(question: Question, reply: str) -> Mapping[str, Any]:
    """The recording of a reply: the last ``P = NUMBER``, else its only number, else blank."""
    stated = _STATED.findall(reply)
    value = parse_number(stated[-1].rstrip(".,")) if stated else parse_number(reply)
    return {"item_id": question.id, "answer": "" if value is None else repr(value)}


def _score(
    questions: Sequence[Question],
    types: Mapping[str, tuple[str, ...]],
    premises: str,
    paths: Paths,
    settings: ScoreSettings,
) -> Scored:
    recordings = read_recordings(paths, questions)
    rows: list[Row] = []
    failures: list[str] = []
    lines: list[list[str]] = []
    for model, given in by_model(recordings).items():
        values = [_value(r) for r in given]
        failures += [
            f"{r.where}: {model}, {r.question.id}: {r.answer!r} states no probability"
            for r, value in zip(given, values)
            if value is None
        ]
        groups: dict[tuple[str, str], list[int]] = {("all", results.ALL): list(range(len(given)))}
        for at, r in enumerate(given):
            if r.question.subset:
                groups.setdefault((r.question.subset, results.ALL), []).append(at)
            for kind in types.get(r.question.id, ()):
                groups.setdefault(("all", kind), []).append(at)
        for (split, kind), places in groups.items():
            own, value = _rows(
                model,
                [given[at] for at in places],
                [values[at] for at in places],
                settings,
                {"task": NAME, "split": split, "kind": kind, "params": {"premises": premises}},
            )
            rows += own
            if kind == results.ALL:
                lines.append([model, split, *value])
    head = ("model", "split", "answers", "networks", "failed", "accuracy", "RMSE", "MAE")
    table = f"{NAME}, {premises} premises: {len(questions)} questions\n\n{plain_table(head, lines)}"
    if not recordings:
        rows = [results.row("none", "accuracy", None, n=0, task=NAME, higher_is_better=True)]
    return Scored(rows=rows, table=table, failures=tuple(failures))


def _value(r: Recording) -> float | None:
    """The probability that a recording states, in [0, 1], or -1; None when it states none."""
    if r.probs_K is not None:
        return float(r.probs_K @ np.arange(len(r.probs_K)) / r.probs_K.sum()) / 100
    value = r.number()
    if value == IMPOSSIBLE and r.question.kind == "number":
        return value
    if value is not None and r.question.kind == "chance" and "%" not in r.answer:
        value /= 100
    return value if value is not None and 0 <= value <= 1 else None


def _rows(
    model: str,
    given: Sequence[Recording],
    values: Sequence[float | None],
    settings: ScoreSettings,
    common: Mapping[str, Any],
) -> tuple[list[Row], list[str]]:
    scale = [100.0 if r.question.kind == "chance" else 1.0 for r in given]
    exact_N = np.array([(r.question.truth.value or 0.0) / s for r, s in zip(given, scale)])
    stated_N = np.array([UNPARSED if v is None else v for v in values])
    right_N = np.array(
        [
            v is not None and math.isclose(v, truth, rel_tol=RELATIVE_TOLERANCE, abs_tol=1e-12)
            for v, truth in zip(values, exact_N.tolist())
        ],
        np.float64,
    )
    resampler = Resampler([r.question.cluster_id for r in given], settings)
    possible_N = (exact_N != IMPOSSIBLE).astype(np.float64)
    stated_N = np.where(stated_N == IMPOSSIBLE, UNPARSED, stated_N)  # no probability either
    gap_N = np.where(possible_N > 0, stated_N - exact_N, 0.0)
    square = resampler.ratio(gap_N**2, possible_N)
    estimates = {
        "accuracy": (resampler.mean(right_N), True),
        "rmse": (Estimate(*(math.sqrt(x) for x in (square.value, square.low, square.high))), False),
        "mae": (resampler.ratio(np.abs(gap_N), possible_N), False),
    }
    failed = sum(value is None for value in values)
    rows = [
        results.row(
            model,
            metric,
            estimate.value,
            n=len(given),
            n_clusters=resampler.n_clusters,
            n_parse_fail=failed,
            ci_low=estimate.low,
            ci_high=estimate.high,
            ci_method="bootstrap over networks" if math.isfinite(estimate.low) else "",
            higher_is_better=better,
            **common,
        )
        for metric, (estimate, better) in estimates.items()
    ]
    cells = [str(len(given)), str(resampler.n_clusters), str(failed)]
    return rows, [*cells, *(shown(e.value, 3) for e, _ in estimates.values())]
