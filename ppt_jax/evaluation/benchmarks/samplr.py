"""Human probability judgments: everyday events, their negations, conjunctions and conditionals.

Layout of the `samplrData` collection (Zhu, Sanborn & Chater 2020; Sundh et al. 2023): one CSV an
experiment, a row a judgment, with a person (``ID``), ``block`` (repetition), ``querydetail`` (which
query), ``query`` (its wording) and ``estimate`` (0..100). Other columns are not needed.

Without a model, the data say how reliable people are: split-half correlation over the queries, of
each person's mean over blocks, Spearman-Brown corrected, and how coherent. With recordings of a
model in the same layout, its means are compared with the people's.

Axes: S people, N queries.
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ppt_jax.evaluation import results
from ppt_jax.evaluation.benchmarks import humans
from ppt_jax.evaluation.benchmarks.files import Cells, expand, read_csv
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

NAME = "samplr"
COLUMNS = ("ID", "querydetail", "estimate")


@dataclasses.dataclass(frozen=True)
class Judgment:
    """One person's estimate in one block."""

    person: str
    block: str
    query: str
    estimate: float


@dataclasses.dataclass(frozen=True, eq=False)
class Experiment:
    """One file.

    Attributes:
      name: the file's name.
      judgments: those with a usable estimate.
      wording: query -> the question as it was asked.
      people, queries, blocks: all that occur, in a fixed order.
      rows: rows of the file, those without an estimate included.
      failures: messages about rows without a usable estimate.
      values_SN: mean over blocks, NaN where a person has none.
    """

    name: str
    judgments: tuple[Judgment, ...]
    wording: Mapping[str, str]
    people: tuple[str, ...]
    queries: tuple[str, ...]
    blocks: tuple[str, ...]
    rows: int
    failures: tuple[str, ...]
    values_SN: np.ndarray


def _label(text: str) -> str:
    """A person or block as text, whatever the number format: ``1.0`` is ``1``."""
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() else text


def read_experiment(path: pathlib.Path) -> Experiment:
    """Reads one file of judgments.

    Raises:
      BenchmarkError: missing columns, a row without person or query, a judgment given twice.
    """
    rows = read_csv(path, required=COLUMNS)
    judgments: list[Judgment] = []
    failures: list[str] = []
    wording: dict[str, str] = {}
    people: list[str] = []
    blocks: list[str] = []
    seen: dict[tuple[str, str, str], str] = {}
    repeated: Counter[tuple[str, str]] = Counter()
    for row in rows:
        person, block, query = _keys(row)
        if not block:  # no such column or cell: repetitions count up
            repeated[person, query] += 1
            block = str(repeated[person, query])
        people.append(person)
        blocks.append(block)
        wording.setdefault(query, row.text("query") or query)
        key = (person, block, query)
        if key in seen:
            raise BenchmarkError(
                f"{row.where}: person {person!r} judges {query!r} twice in block {block!r}, see "
                f"{seen[key]}"
            )
        seen[key] = row.where
        estimate = row.number("estimate")
        if estimate is None or not math.isfinite(estimate) or not 0 <= estimate <= 100:
            said = row.text("estimate")
            why = "no estimate" if estimate is None else f"estimate {said!r} is not in 0..100"
            failures.append(f"{row.where}: person {person}, {query!r}: {why}")
            continue
        judgments.append(Judgment(person, block, query, estimate))
    order = humans.person_order(people)
    queries = sorted(wording)
    place = {name: k for k, name in enumerate(order)}
    column = {name: k for k, name in enumerate(queries)}
    total_SN, count_SN = np.zeros((len(order), len(queries))), np.zeros((len(order), len(queries)))
    for j in judgments:
        total_SN[place[j.person], column[j.query]] += j.estimate
        count_SN[place[j.person], column[j.query]] += 1
    with np.errstate(invalid="ignore"):
        values_SN = total_SN / count_SN
    return Experiment(
        name=path.stem,
        judgments=tuple(judgments),
        wording=wording,
        people=tuple(order),
        queries=tuple(queries),
        blocks=tuple(humans.person_order(blocks)),
        rows=len(rows),
        failures=tuple(failures),
        values_SN=values_SN,
    )


def _keys(row: Cells) -> tuple[str, str, str]:
    person, query = _label(row.text("ID")), " ".join(row.text("querydetail").split())
    for name, value in (("ID", person), ("querydetail", query)):
        if not value:
            raise BenchmarkError(f"{row.where}: {name} is blank")
    return person, _label(row.text("block")), query


def load(directory: pathlib.Path, *, experiment: str | None = None) -> Benchmark:
    """Loads the queries of all experiments in a directory (or of one file).

    Args:
      directory: folder of CSV files, or one file.
      experiment: name of one file in the folder, without ``.csv``.

    Raises:
      BenchmarkError: no such experiment, or broken files.
    """
    files = expand([directory], (".csv",))
    if experiment is not None:
        files = [path for path in files if path.stem == experiment]
        if not files:
            raise BenchmarkError(f"{directory}: no experiment {experiment!r} ({experiment}.csv)")
    experiments = [read_experiment(path) for path in files]
    questions: list[Question] = []
    for one in experiments:
        given: dict[str, list[float]] = {}
        for j in one.judgments:
            given.setdefault(j.query, []).append(j.estimate)
        for query, column in zip(one.queries, one.values_SN.T):
            if query not in given:
                continue
            mean = np.nanmean(column)
            questions.append(
                Question(
                    id=query if len(experiments) == 1 else f"{one.name}/{query}",
                    cluster_id=query,
                    kind="chance",
                    question=_spaced(one.wording[query]),
                    scale="Chance from 0 to 100.",
                    truth=Truth(
                        kind="human",
                        probs_K=humans.histogram(given[query]),
                        value=float(mean),
                        n_draws=len(given[query]),
                    ),
                    subset=one.name,
                )
            )
    return Benchmark(
        name=NAME,
        questions=tuple(questions),
        score_recordings=lambda paths, settings: _score_models(
            experiments, questions, paths, settings
        ),
    )


def _spaced(text: str) -> str:
    """The wording with single spaces and a comma where the files run two words together."""
    text = re.sub(r"(?<=\bday)what\b", ", what", text)
    return " ".join(text.split())


# People alone


def score_data(paths: Paths, settings: ScoreSettings) -> Scored:
    """Reliability, rounding, coherence and means of the people, one split a file."""
    rows: list[Row] = []
    tables: list[str] = []
    failures: list[str] = []
    facts: dict[str, Any] = {}
    for path in expand(paths, (".csv",)):
        experiment = read_experiment(path)
        if experiment.name in facts:
            raise BenchmarkError(f"{path}: another file has the same name")
        found, table = _people_rows(experiment, settings)
        rows += found
        tables.append(table)
        failures += experiment.failures
        facts[experiment.name] = {
            "people": len(experiment.people),
            "queries": len(experiment.queries),
            "blocks": len(experiment.blocks),
            "rows": experiment.rows,
            "splits": settings.splits,
        }
    return Scored(rows=rows, table="\n\n".join(tables), failures=tuple(failures), facts=facts)


def _people_rows(e: Experiment, settings: ScoreSettings) -> tuple[list[Row], str]:
    common = {"task": NAME, "split": e.name, "n_parse_fail": len(e.failures)}
    people = len(e.people)
    reliability = humans.reliability(e.values_SN, settings)
    rows = humans.reliability_rows(reliability, n=e.rows, people=people, common=common)
    clusters = Resampler([j.person for j in e.judgments], settings, e.people)
    fives = np.array([j.estimate % 5 == 0 for j in e.judgments], np.float64)
    estimates = {"multiple_of_5": clusters.mean(fives)}
    estimates |= coherence(e, settings)
    shown_estimates = dict(estimates)
    for name, count in (
        *(("n_people", people), ("n_queries", len(e.queries)), ("n_blocks", len(e.blocks))),
        *(("n_rows", e.rows), ("n_missing", len(e.failures))),
    ):
        estimates[name] = Estimate(float(count) if e.rows else math.nan)
    for metric, estimate in estimates.items():
        rows.append(_row(metric, estimate, e.rows, people, common))
    lines = []
    for column, query in enumerate(e.queries):
        judged = [j for j in e.judgments if j.query == query]
        own = Resampler([j.person for j in judged], settings, e.people)
        mean = own.mean(np.array([j.estimate for j in judged]))
        by_person = e.values_SN[:, column]
        if np.isfinite(by_person).any():  # each person weighs the same
            mean = dataclasses.replace(mean, value=float(np.nanmean(by_person)))
        rows.append(_row("human_mean", mean, len(judged), own.n_clusters, common | {"kind": query}))
        lines.append([query, str(len(judged)), interval_text(mean, 1)])
    found = {row["metric"]: row["value"] for row in rows if row["kind"] == results.ALL}
    head = [
        f"{NAME}, {e.name}: {people} people x {len(e.queries)} queries x {len(e.blocks)} blocks, "
        f"{e.rows:,} rows, {len(e.failures)} without a usable estimate",
        "",
        f"split-half r     {shown(found['split_half_r'], 3)}"
        f"   (mean of {settings.splits} random halves of the people, seed {settings.seed})",
        f"Spearman-Brown   {shown(found['spearman_brown'], 3)}",
        f"noise ceiling    {shown(found['noise_ceiling'], 3)}",
        "",
    ]
    head += [f"{name:<24} {interval_text(value, 3)}" for name, value in shown_estimates.items()]
    table = plain_table(("query", "n", "mean"), lines)
    return rows, "\n".join([*head, "", table])


def _row(metric: str, estimate: Estimate, n: int, clusters: int, common: Mapping[str, Any]) -> Row:
    return results.row(
        "people",
        metric,
        estimate.value,
        n=n,
        n_clusters=clusters,
        ci_low=estimate.low,
        ci_high=estimate.high,
        ci_method="bootstrap over people" if math.isfinite(estimate.low) else "",
        **common,
    )


# Coherence

Literal = tuple[str, bool]  # an event, and whether it happens


def _literal(text: str) -> Literal:
    text = text.strip()
    return (text[4:].strip(), False) if text.startswith("not ") else (text, True)


def parse_query(query: str) -> tuple[str, Literal, Literal | None]:
    """Operator (``is``, ``and``, ``or``, ``given``) and literals of a ``querydetail``.

    Example:
      >>> parse_query("icy and not frosty")
      ('and', ('icy', True), ('frosty', False))
    """
    for operator in ("given", "and", "or"):
        parts = query.split(f" {operator} ")
        if len(parts) == 2:
            return operator, _literal(parts[0]), _literal(parts[1])
    return "is", _literal(query), None


def coherence(e: Experiment, settings: ScoreSettings) -> dict[str, Estimate]:
    """How far judgments keep to the laws of probability, means over people and blocks.

    Deviations in points, 0 for coherent judgments: ``coherence_complement`` P(a) + P(not a) - 100;
    ``coherence_inclusion`` P(a and b) + P(a or b) - P(a) - P(b); ``coherence_marginal``
    P(a and b) + P(a and not b) - P(a); ``coherence_product`` P(a given b) P(b) / 100 - P(a and b).
    Shares: ``conjunction_fallacy`` P(a and b) > min(P(a), P(b)), ``disjunction_fallacy``
    P(a or b) < max(P(a), P(b)). The laws are applied to all pairs of literals that were asked.
    """
    sheets: dict[tuple[str, str], dict[tuple[Any, ...], float]] = {}
    keys: dict[str, tuple[Any, ...]] = {}
    for query in e.queries:
        operator, a, b = parse_query(query)
        both: Any = (a, b) if operator in ("given", "is") else frozenset((a, b))
        keys[query] = (operator, both)
    for j in e.judgments:
        sheets.setdefault((j.person, j.block), {})[keys[j.query]] = j.estimate
    pairs = {
        (a, b)
        for query in e.queries
        for operator, a, b in [parse_query(query)]
        if b is not None and operator != "is" and a[0] != b[0]
    }
    ordered = sorted({pair for a, b in pairs for pair in ((a, b), (b, a))})
    events = sorted({name for query in e.queries for name in [parse_query(query)[1][0]]})
    found: dict[str, list[tuple[str, float]]] = {}
    for (person, _), p in sheets.items():
        for metric, value in _laws(p, ordered, events):
            found.setdefault(metric, []).append((person, value))
    order = (
        *("coherence_complement", "coherence_inclusion", "coherence_marginal"),
        *("coherence_product", "conjunction_fallacy", "disjunction_fallacy"),
    )
    return {
        metric: Resampler([person for person, _ in found[metric]], settings, e.people).mean(
            np.array([value for _, value in found[metric]])
        )
        for metric in order
        if metric in found
    }


def _laws(
    p: Mapping[tuple[Any, ...], float],
    pairs: Sequence[tuple[Literal, Literal]],
    events: Sequence[str],
) -> list[tuple[str, float]]:
    """Deviations of one person in one block."""

    def single(a: Literal) -> float | None:
        return p.get(("is", (a, None)))

    found: list[tuple[str, float]] = []
    for name in events:
        yes, no = single((name, True)), single((name, False))
        if yes is not None and no is not None:
            found.append(("coherence_complement", yes + no - 100))
    for a, b in pairs:
        pa, pb = single(a), single(b)
        conjunction, disjunction = (
            p.get(("and", frozenset((a, b)))),
            p.get(("or", frozenset((a, b)))),
        )
        other = p.get(("and", frozenset((a, (b[0], not b[1])))))
        given = p.get(("given", (a, b)))
        if a < b and pa is not None and pb is not None:  # symmetric laws count once
            if conjunction is not None and disjunction is not None:
                found.append(("coherence_inclusion", conjunction + disjunction - pa - pb))
            if conjunction is not None:
                found.append(("conjunction_fallacy", float(conjunction > min(pa, pb))))
            if disjunction is not None:
                found.append(("disjunction_fallacy", float(disjunction < max(pa, pb))))
        if conjunction is not None and other is not None and pa is not None and b[1]:
            found.append(("coherence_marginal", conjunction + other - pa))
        if given is not None and pb is not None and conjunction is not None:
            found.append(("coherence_product", given * pb / 100 - conjunction))
    return found


# Models


def _score_models(
    experiments: Sequence[Experiment],
    questions: Sequence[Question],
    paths: Paths,
    settings: ScoreSettings,
) -> Scored:
    """Models in the same layout (a sample is a person) against the people's means."""
    recordings = read_recordings(
        paths,
        questions,
        id_columns=("querydetail",),
        answer_columns=("estimate",),
        trial_columns=("id", "block") if len(experiments) == 1 else (),
    )
    rows: list[Row] = []
    failures: list[str] = []
    tables: list[str] = []
    for one in experiments:
        own = [q for q in questions if q.subset == one.name]
        reliability = humans.reliability(one.values_SN, settings)
        ceiling = reliability.ceiling if reliability else math.nan
        lines = []
        for model, given in by_model(recordings).items():
            mine = [r for r in given if r.question.subset == one.name]
            if not mine:
                continue
            answers, failed, _ = humans.mean_answers(mine)
            failures += failed
            common = {"task": NAME, "split": one.name, "n_parse_fail": len(failed)}
            found, value = humans.agreement_rows(
                model, own, answers, ceiling, settings, n=len(mine), common=common
            )
            rows += found
            lines.append(humans.agreement_cells(model, len(mine), len(failed), value))
        title = f"{NAME}, {one.name}: {len(own)} queries, ceiling {shown(ceiling, 3)}"
        if lines:
            tables.append(f"{title}\n\n{plain_table(humans.AGREEMENT_HEAD, lines)}")
    return Scored(rows=rows, table="\n\n".join(tables), failures=tuple(failures))
