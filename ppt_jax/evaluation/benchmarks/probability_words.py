"""Words of probability: which number people give to "likely", "little chance", and the like.

Layout of `perceptions` (46 people x 17 phrases, ``probly.csv``): one column a phrase, one row
a person, cells 0..100. Without a model the data say how reliable people are; with recordings (item
id: the phrase) a model's numbers are compared with the people's means.

Axes: S people, N phrases.
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
from typing import Any

import numpy as np

from ppt_jax.evaluation import results
from ppt_jax.evaluation.benchmarks import humans
from ppt_jax.evaluation.benchmarks.files import expand, read_csv
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
from ppt_jax.evaluation.benchmarks.recordings import by_model, read_recordings
from ppt_jax.evaluation.benchmarks.summaries import (
    Estimate,
    Resampler,
    interval_text,
    plain_table,
    shown,
)

NAME = "probability_words"


@dataclasses.dataclass(frozen=True, eq=False)
class Sheet:
    """One file: phrases, numbers [S, N] (NaN where there is none), and what was unusable."""

    name: str
    phrases: tuple[str, ...]
    values_SN: np.ndarray
    failures: tuple[str, ...]


def read_sheet(path: pathlib.Path) -> Sheet:
    """Reads a file of numbers by phrase.

    Raises:
      BenchmarkError: no column, or no row.
    """
    rows = read_csv(path)
    phrases = tuple(name for name in (rows[0].values if rows else ()) if name)
    if not phrases:
        raise BenchmarkError(f"{path}: needs a header of phrases and a row a person")
    values_SN = np.full((len(rows), len(phrases)), np.nan)
    failures: list[str] = []
    for s, row in enumerate(rows):
        for n, phrase in enumerate(phrases):
            value = row.number(phrase)
            if value is None or not math.isfinite(value) or not 0 <= value <= 100:
                failures.append(f"{row.where}: {phrase!r}: {row.text(phrase)!r} is not in 0..100")
            else:
                values_SN[s, n] = value
    return Sheet(path.stem, phrases, values_SN, tuple(failures))


def load(directory: pathlib.Path, *, file: str = "probly.csv") -> Benchmark:
    """Loads the phrases.

    Args:
      directory: the folder of ``probly.csv``, or such a file itself.
      file: name of the file in the folder.

    Raises:
      BenchmarkError: the file is missing or broken.
    """
    path = directory / file if directory.is_dir() else directory
    sheet = read_sheet(path)
    questions = []
    for n, phrase in enumerate(sheet.phrases):
        given = sheet.values_SN[:, n]
        given = given[np.isfinite(given)]
        if not len(given):
            continue
        questions.append(
            Question(
                id=phrase,
                cluster_id=phrase,
                kind="chance",
                story=f'Someone says that an event is "{phrase}".',
                question="What chance do they mean?",
                scale="Chance from 0 to 100.",
                truth=Truth(
                    kind="human",
                    probs_K=humans.histogram(given.tolist()),
                    value=float(given.mean()),
                    n_draws=len(given),
                ),
                subset=sheet.name,
            )
        )

    def score(paths: Paths, settings: ScoreSettings) -> Scored:
        recordings = read_recordings(paths, questions, id_columns=("phrase",))
        found = humans.reliability(sheet.values_SN, settings)
        ceiling = found.ceiling if found else math.nan
        rows: list[Row] = []
        failures: list[str] = []
        lines: list[list[str]] = []
        for model, own in by_model(recordings).items():
            answers, failed, _ = humans.mean_answers(own)
            failures += failed
            common = {"task": NAME, "split": sheet.name, "n_parse_fail": len(failed)}
            made, value = humans.agreement_rows(
                model, questions, answers, ceiling, settings, n=len(own), common=common
            )
            rows += made
            lines.append(humans.agreement_cells(model, len(own), len(failed), value))
        title = f"{NAME}, {sheet.name}: {len(questions)} phrases, ceiling {shown(ceiling, 3)}"
        return Scored(
            rows=rows,
            table=f"{title}\n\n{plain_table(humans.AGREEMENT_HEAD, lines)}",
            failures=tuple(failures),
        )

    return Benchmark(name=NAME, questions=tuple(questions), score_recordings=score)


def score_data(paths: Paths, settings: ScoreSettings) -> Scored:
    """Reliability of the people and their mean number for every phrase."""
    rows: list[Row] = []
    tables: list[str] = []
    failures: list[str] = []
    for path in expand(paths, (".csv",)):
        sheet = read_sheet(path)
        failures += sheet.failures
        people, cells = len(sheet.values_SN), sheet.values_SN.size
        common: dict[str, Any] = {
            "task": NAME,
            "split": sheet.name,
            "n_parse_fail": len(sheet.failures),
        }
        found = humans.reliability(sheet.values_SN, settings)
        rows += humans.reliability_rows(found, n=cells, people=people, common=common)
        lines = []
        for n, phrase in enumerate(sheet.phrases):
            known = np.flatnonzero(np.isfinite(sheet.values_SN[:, n]))
            resampler = Resampler([str(s) for s in known], settings)
            given = sheet.values_SN[known, n]
            for metric, estimate in (
                ("human_mean", resampler.mean(given)),
                ("human_median", resampler.median(given)),
                ("human_sd", Estimate(float(given.std(ddof=1)) if len(given) > 1 else math.nan)),
            ):
                rows.append(
                    results.row(
                        "people",
                        metric,
                        estimate.value,
                        n=len(known),
                        kind=phrase,
                        ci_low=estimate.low,
                        ci_high=estimate.high,
                        ci_method="bootstrap over people" if math.isfinite(estimate.low) else "",
                        **common,
                    )
                )
            mean, median = resampler.mean(given), resampler.median(given)
            lines.append([phrase, str(len(known)), interval_text(mean, 1), shown(median.value, 1)])
        r = found.r if found else math.nan
        brown = found.reliability if found else math.nan
        tables.append(
            f"{NAME}, {sheet.name}: {people} people x {len(sheet.phrases)} phrases\n\n"
            f"split-half r     {shown(r, 3)}\nSpearman-Brown   {shown(brown, 3)}\n\n"
            + plain_table(("phrase", "n", "mean", "median"), lines)
        )
    return Scored(rows=rows, table="\n\n".join(tables), failures=tuple(failures))
