"""Scores of recorded choices: distributions over options, and options named in text.

Distributions become items and go through `ppt_jax.evaluation.tables.evaluate`, the same scores as
everywhere; the published confidence calibration (15 bins of equal width over the top probability)
and the agreement with an exact posterior are added.

Axes: N questions, K options, R replicates.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from ppt_jax.evaluation import confidences, results
from ppt_jax.evaluation.benchmarks.protocol import Question, Row, Scored, ScoreSettings
from ppt_jax.evaluation.benchmarks.recordings import Recording, by_model
from ppt_jax.evaluation.benchmarks.summaries import Estimate, Resampler, plain_table, shown
from ppt_jax.evaluation.items import Item
from ppt_jax.evaluation.tables import EvaluationConfig, evaluate

TOP_BINS = 15
_LEAST = 1e-300  # of a recorded probability of 0, so that its logarithm can be stored
HEAD = ("model", "questions", "failed", "accuracy", "NLL", "Brier", "ECE-15 top (null 95%)")


@dataclasses.dataclass(frozen=True, eq=False)
class _Answered:
    """One model's answers to one question, all trials."""

    question: Question
    probs_K: np.ndarray | None  # mean over trials, not renormalised
    named: list[int | None]  # options named in text, None where none was found

    @property
    def given_K(self) -> np.ndarray:
        """The probabilities, where they are known to exist."""
        assert self.probs_K is not None
        return self.probs_K


def score_choices(
    task: str,
    questions: Sequence[Question],
    recordings: Sequence[Recording],
    settings: ScoreSettings,
    references: Mapping[str, Mapping[str, np.ndarray]] | None = None,
) -> Scored:
    """Scores all models of the recordings, one split a subset of the questions.

    Args:
      task: name of the benchmark.
      questions: choices with a true answer, or a posterior, or both.
      recordings: answers; trials of a question are averaged.
      settings: of the bootstrap.
      references: further models given as question id -> probabilities, e.g. the exact posterior;
        they are scored on the questions that any recording answers.

    Returns:
      Rows with readout ``probs`` (distributions) and ``text`` (options named in words), a table
      and the items. A named option that cannot be read counts as wrong.
    """
    rows: list[Row] = []
    items: list[Item] = []
    failures: list[str] = []
    tables: list[str] = []
    by_subset: dict[str, list[list[str]]] = {}
    answered = {name: _combine(own) for name, own in by_model(recordings).items()}
    failures += [
        f"{r.where}: {r.model}, {r.question.id}: {r.answer!r} names no option"
        for r in recordings
        if r.probs_K is None and r.option() is None
    ]
    asked = {a.question.id for own in answered.values() for a in own}
    for name, probs in (references or {}).items():
        answered[name] = [
            _Answered(q, probs[q.id], []) for q in questions if q.id in asked and q.id in probs
        ]
    subsets = list(dict.fromkeys(q.subset for q in questions if q.id in asked))
    for name, own in answered.items():
        for subset in subsets:
            mine = [a for a in own if a.question.subset == subset]
            if mine:
                found, made = _subset_rows(task, name, subset or task, mine, settings)
                rows += found
                items += made
                by_subset.setdefault(subset or task, []).append(_cells(name, found, len(mine)))
    for subset, lines in by_subset.items():
        tables.append(f"{task}, {subset}\n\n{plain_table(HEAD, lines)}")
    if not rows:
        tables.append(f"{task}: no answers")
        rows.append(results.row("none", "accuracy", None, n=0, task=task, higher_is_better=True))
    return Scored(
        rows=rows, table="\n\n".join(tables), failures=tuple(failures), items=tuple(items)
    )


def _combine(recordings: Sequence[Recording]) -> list[_Answered]:
    by_question: dict[str, list[Recording]] = {}
    for r in recordings:
        by_question.setdefault(r.question.id, []).append(r)
    found = []
    for own in by_question.values():
        vectors = [r.probs_K / max(r.probs_K.sum(), 1.0) for r in own if r.probs_K is not None]
        probs_K = np.mean(vectors, axis=0) if vectors else None
        named = [r.option() for r in own if r.answer or r.probs_K is None]
        found.append(_Answered(own[0].question, probs_K, named))
    return found


def _subset_rows(
    task: str, model: str, split: str, answers: Sequence[_Answered], settings: ScoreSettings
) -> tuple[list[Row], list[Item]]:
    rows: list[Row] = []
    items: list[Item] = []
    with_probs = [a for a in answers if a.probs_K is not None]
    in_words = [a for a in answers if a.named]
    if with_probs:
        for a in with_probs:
            logp = np.log(np.maximum(a.given_K, _LEAST))
            target = a.question.target(split, task)
            items.append(target.answered(model, logp, readout="probs"))
        config = EvaluationConfig(
            splits=(split,),
            replicates=settings.replicates,
            level=settings.level,
            seed=settings.seed,
            bins=TOP_BINS,
            pairs=(),
        )
        result = evaluate(items, config=config)
        rows += [
            row | {"task": task, "readout": "probs"} for row in result.rows if row["model"] == model
        ]
        rows += _extra_rows(task, model, split, with_probs, settings)
    if in_words:
        rows += _text_rows(task, model, split, in_words, settings)
    return rows, items


def _row(
    model: str,
    metric: str,
    estimate: Estimate,
    n: int,
    resampler: Resampler,
    *,
    task: str,
    split: str,
    readout: str,
    better: bool | None,
    failed: int = 0,
    null: tuple[float | None, float | None] = (None, None),
) -> Row:
    return results.row(
        model,
        metric,
        estimate.value,
        n=n,
        task=task,
        split=split,
        readout=readout,
        ci_low=estimate.low,
        ci_high=estimate.high,
        ci_method="cluster bootstrap" if math.isfinite(estimate.low) else "",
        n_clusters=resampler.n_clusters,
        n_parse_fail=failed,
        null_mean=null[0],
        null_q95=null[1],
        higher_is_better=better,
    )


def _extra_rows(
    task: str, model: str, split: str, answers: Sequence[_Answered], settings: ScoreSettings
) -> list[Row]:
    """Top-probability ECE as published, and agreement of the best option with the posterior's."""
    rows: list[Row] = []
    known = [a for a in answers if a.question.truth.answer is not None]
    if known:
        top_N = np.array([a.given_K.max() / a.given_K.sum() for a in known])
        right_N = np.array([_share(a.probs_K, [a.question.truth.answer]) for a in known])
        resampler = Resampler([a.question.cluster_id for a in known], settings)
        rng = np.random.default_rng([settings.seed, 3])
        measured = confidences.measure(
            top_N,
            right_N,
            weights_RN=resampler.weights_RN,
            null_RN=(rng.random((settings.replicates, len(top_N))) < top_N).astype(np.float64),
            bins=TOP_BINS,
            level=settings.level,
            metrics=("ece_width",),
        )["ece_width"]
        few = resampler.n_clusters < 2
        ends = () if few else (measured.ci_low, measured.ci_high)
        for metric, estimate, better, own_null in (
            (
                "top_ece_width",
                Estimate(measured.value, *ends),
                False,
                (measured.null_mean, measured.null_q95),
            ),
            ("confidence", resampler.mean(top_N), None, (None, None)),
        ):
            rows.append(
                _row(
                    model,
                    metric,
                    estimate,
                    len(known),
                    resampler,
                    task=task,
                    split=split,
                    readout="probs",
                    better=better,
                    null=own_null,
                )
            )
    exact = [a for a in answers if a.question.truth.kind == "posterior"]
    if exact:
        best = [_share(a.probs_K, np.flatnonzero(_is_top(a.question.truth.probs_K))) for a in exact]
        resampler = Resampler([a.question.cluster_id for a in exact], settings)
        rows.append(
            _row(
                model,
                "agreement_posterior",
                resampler.mean(np.array(best)),
                len(exact),
                resampler,
                task=task,
                split=split,
                readout="probs",
                better=True,
            )
        )
    return rows


def _is_top(probs_K: np.ndarray | None) -> np.ndarray:
    assert probs_K is not None
    return probs_K >= probs_K.max() - 1e-9


def _share(probs_K: np.ndarray | None, right: Sequence[int | None] | np.ndarray) -> float:
    """Share of the model's most probable options that are right; ties count as a fair draw."""
    top = np.flatnonzero(_is_top(probs_K))
    return float(np.isin(top, np.array(right)).mean())


def _text_rows(
    task: str, model: str, split: str, answers: Sequence[_Answered], settings: ScoreSettings
) -> list[Row]:
    """Accuracy (and agreement with the posterior) of options named in words; unread is wrong."""
    resampler = Resampler([a.question.cluster_id for a in answers], settings)
    failed = sum(option is None for a in answers for option in a.named)
    shares: dict[str, list[tuple[_Answered, float]]] = {}
    for a in answers:
        truth = a.question.truth
        if truth.answer is not None:
            shares.setdefault("accuracy", []).append(
                (a, float(np.mean([option == truth.answer for option in a.named])))
            )
        if truth.kind == "posterior":
            best = set(np.flatnonzero(_is_top(truth.probs_K)).tolist())
            shares.setdefault("agreement_posterior", []).append(
                (a, float(np.mean([option in best for option in a.named])))
            )
        if a.probs_K is not None:
            top = set(np.flatnonzero(_is_top(a.probs_K)).tolist())
            shares.setdefault("agreement_readouts", []).append(
                (a, float(np.mean([option in top for option in a.named])))
            )
    rows = []
    for metric, pairs in shares.items():
        resampler = Resampler([a.question.cluster_id for a, _ in pairs], settings)
        estimate = resampler.mean(np.array([x for _, x in pairs]))
        rows.append(
            _row(
                model,
                metric,
                estimate,
                len(pairs),
                resampler,
                task=task,
                split=split,
                readout="text",
                better=True,
                failed=failed,
            )
        )
    return rows


def _cells(name: str, rows: Sequence[Row], questions: int) -> list[str]:
    found = {(row["metric"], row["kind"], row["readout"]): row for row in rows}

    def value(metric: str, kind: str = results.ALL, readout: str = "probs") -> float | None:
        row = found.get((metric, kind, readout))
        return row["value"] if row else None

    accuracy = value("accuracy", results.ALL)
    if accuracy is None or not math.isfinite(accuracy):
        accuracy = value("accuracy", "choice")
    if accuracy is None or not math.isfinite(accuracy):
        accuracy = value("accuracy", results.ALL, "text")
    top = found.get(("top_ece_width", results.ALL, "probs"))
    ece = f"{shown(top['value'], 3)} ({shown(top['null_q95'], 3)})" if top else "-"
    failed = max((row["n_parse_fail"] for row in rows), default=0)
    return [
        name,
        str(questions),
        str(failed),
        shown(accuracy, 3),
        shown(value("log_score"), 3),
        shown(value("brier"), 3),
        ece,
    ]
