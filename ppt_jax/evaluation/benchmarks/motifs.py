"""Held-out motifs: the scenarios of a labelled dataset, posterior labels as targets.

The benchmark of the pipeline itself. ``load`` reads the splits of a dataset folder; recorded
distributions are scored with the same tables as ``launch.evaluate`` (docs/evaluation.md).
"""

from __future__ import annotations

import math
import pathlib
from collections.abc import Sequence

import numpy as np

from ppt_jax.data.dataset import open_dataset
from ppt_jax.data.prompts import answer_scale
from ppt_jax.data.supports import support_of
from ppt_jax.evaluation import results
from ppt_jax.evaluation.benchmarks.protocol import (
    Benchmark,
    BenchmarkError,
    Paths,
    Question,
    Scored,
    ScoreSettings,
    Truth,
)
from ppt_jax.evaluation.benchmarks.recordings import Recording, by_model, read_recordings
from ppt_jax.evaluation.items import Item
from ppt_jax.evaluation.tables import SPLITS, EvaluationConfig, evaluate, short_table

NAME = "motifs"


def load(directory: pathlib.Path, *, split: str | None = None) -> Benchmark:
    """Loads the evaluation splits of a dataset folder.

    Args:
      directory: WORKDIR/dataset.
      split: only this one; else all of `SPLITS` that the dataset has.

    Raises:
      BenchmarkError: the dataset has none of them.
    """
    data = open_dataset(directory)
    wanted = SPLITS if split is None else (split,)
    splits = [name for name in wanted if name in data.counts]
    if not splits:
        raise BenchmarkError(
            f"{directory}: has none of the splits {', '.join(wanted)} ({', '.join(data.counts)})"
        )
    questions = []
    for name in splits:
        for record in data.split(name):
            for ask in record.asks:
                support = support_of(ask.kind, ask.options).answers
                questions.append(
                    Question(
                        id=f"{record.id}/{ask.id}",
                        cluster_id=record.id,
                        kind=ask.kind,
                        story=record.story,
                        question=ask.text,
                        scale=answer_scale(ask.kind, ask.unit, ask.low, ask.high, ask.options),
                        options=support if ask.kind == "choice" else (),
                        truth=Truth(
                            kind="posterior",
                            probs_K=np.asarray(ask.target_K, np.float64),
                            answer=None if ask.true_answer < 0 else int(ask.true_answer),
                        ),
                        subset=name,
                        quantity=(ask.low, ask.high) if ask.kind == "value" else None,
                        unit=ask.unit,
                    )
                )
    return Benchmark(
        name=NAME,
        questions=tuple(questions),
        score_recordings=lambda paths, settings: _score(questions, paths, settings),
    )


def _item(r: Recording) -> Item:
    """A recording as an item; a named answer has all mass, an unreadable one gives none."""
    target = r.question.target(r.question.subset, NAME)
    if r.probs_K is not None:
        with np.errstate(divide="ignore"):
            logp = np.log(r.probs_K / max(r.probs_K.sum(), 1.0))
        return target.answered(r.model, logp, readout="probs")
    at: int | None
    if r.question.kind == "choice":
        at = r.option()
    else:
        value = r.number()
        at = round(value) if value is not None and 0 <= value <= 100 else None
    if at is None:
        return target.answered(r.model, None, readout="text", parse_ok=False)
    logp = np.full(len(target.support), -math.inf)
    logp[at] = 0.0
    return target.answered(r.model, logp, readout="text", parsed=target.support[at])


def _score(questions: Sequence[Question], paths: Paths, settings: ScoreSettings) -> Scored:
    recordings = read_recordings(paths, questions)
    rows, items, failures, tables = [], [], [], []
    for model, own in by_model(recordings).items():
        if len({r.question.id for r in own}) < len(own):
            raise BenchmarkError(f"{own[0].where}: {NAME} takes one trial a question")
        made = [_item(r) for r in own]
        failures += [
            f"{r.where}: {model}, {r.question.id}: {r.answer!r} is no answer"
            for r, item in zip(own, made)
            if not item.parse_ok
        ]
        config = EvaluationConfig(
            splits=(),
            replicates=settings.replicates,
            level=settings.level,
            seed=settings.seed,
            pairs=(),
        )
        found = [row for row in evaluate(made, config=config).rows if row["model"] == model]
        rows += [row | {"task": NAME} for row in found]
        items += made
    if not rows:
        rows = [results.row("none", "kl", None, n=0, task=NAME)]
    for metric in ("kl", "crps", "mae", "log_score"):
        tables.append(short_table(rows, metric))
    return Scored(
        rows=rows, table="\n\n".join(tables), failures=tuple(failures), items=tuple(items)
    )
