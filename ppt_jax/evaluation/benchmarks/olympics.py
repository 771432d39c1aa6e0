"""Model Olympics: what people infer about athletes from a few match results.

Human data (Wong et al. 2025): ``{experiment: {scenario: [{"query1": [numbers], ...}, ...]}}``, one
object a person and scenario, 1 to 5 numbers 0..100 a query. As published, all numbers of all people
are pooled per scenario and query, and a model's mean is compared with the pooled mean: over all
items, by sport, and by kind of query: ``constant`` (1-3, standing), ``temporal`` (4-6, effort) and
``prediction`` (7-8, who wins; 0 is the first team). People's halves set the ceiling.

Texts are optional: ``<scenario>.txt`` below the folder, with the story and then ``Query 1: ...``
lines; only with them can a model be asked.

Axes: N items, H random halves.
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ppt_jax.evaluation import correlation, intervals, results
from ppt_jax.evaluation.benchmarks import humans
from ppt_jax.evaluation.benchmarks.files import expand, read_json, read_text
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
from ppt_jax.evaluation.benchmarks.summaries import plain_table, shown

NAME = "olympics"
QUERY_KINDS = {"constant": (1, 2, 3), "temporal": (4, 5, 6), "prediction": (7, 8)}
_QUERY = re.compile(r"^query[ _]?(\d+)$", re.IGNORECASE)
_TEXT_QUERY = re.compile(r"^\s*quer(?:y|ies)\s*(\d+)\s*[:.)]\s*(.+)$", re.IGNORECASE | re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Response:
    """The numbers of one person for one query of one scenario."""

    experiment: str
    scenario: str
    person: int
    query: int
    numbers: tuple[float, ...]

    @property
    def item(self) -> str:
        """``scenario/query``: what is pooled."""
        return f"{self.scenario}/query{self.query}"


def sport_of(scenario: str) -> str:
    """The sport that a scenario's name begins with.

    Example:
      >>> sport_of("pg-tug-of-war_effort_team-round-robin-20")
      'tug-of-war'
    """
    return scenario.removeprefix("pg-").split("_")[0]


def kind_of(query: int) -> str:
    """``constant``, ``temporal`` or ``prediction``; ``other`` beyond the eighth query."""
    return next((kind for kind, own in QUERY_KINDS.items() if query in own), "other")


def read_responses(path: pathlib.Path) -> tuple[list[Response], list[str]]:
    """Responses of a file, and messages about numbers that cannot be used.

    Raises:
      BenchmarkError: another layout.
    """
    document = read_json(path)
    found: list[Response] = []
    failures: list[str] = []
    if not isinstance(document, dict) or not document:
        raise BenchmarkError(f"{path}: must be an object of experiments")
    if all(isinstance(inner, list) for inner in document.values()):  # one experiment by itself
        document = {path.stem: document}
    for experiment, scenarios in document.items():
        if not isinstance(scenarios, dict):
            raise BenchmarkError(
                f"{path}: experiment {experiment!r} must be an object of scenarios"
            )
        for scenario, people in scenarios.items():
            where = f"{path}: {experiment}/{scenario}"
            if not isinstance(people, list):
                raise BenchmarkError(f"{where} must be a list of people's answers")
            for person, answers in enumerate(people):
                if not isinstance(answers, dict):
                    raise BenchmarkError(f"{where}[{person}] must be an object of queries")
                for name, given in answers.items():
                    match = _QUERY.match(str(name))
                    if match is None:
                        continue  # e.g. a comment or an id
                    numbers = _numbers(given)
                    good = tuple(x for x in numbers if x is not None and 0 <= x <= 100)
                    if len(good) < len(numbers) or not numbers:
                        failures.append(f"{where}[{person}].{name}: {given!r} has no usable number")
                    if good:
                        found.append(
                            Response(experiment, scenario, person, int(match.group(1)), good)
                        )
    return found, failures


def _numbers(given: Any) -> list[float | None]:
    values = given if isinstance(given, list) else [given]
    out: list[float | None] = []
    for value in values:
        try:
            number = float(value)
        except (TypeError, ValueError):
            out.append(None)
            continue
        out.append(number if math.isfinite(number) else None)
    return out


def load(directory: pathlib.Path, *, experiment: str | None = None) -> Benchmark:
    """Loads human data and, where there are any, the texts of the scenarios.

    Args:
      directory: folder with the JSON file (and ``<scenario>.txt`` below it), or the file.
      experiment: only this one.

    Raises:
      BenchmarkError: no such experiment, or broken files.
    """
    responses: list[Response] = []
    for path in expand([directory], (".json",)):
        responses += read_responses(path)[0]
    names = list(dict.fromkeys(r.experiment for r in responses))
    if experiment is not None:
        responses = [r for r in responses if r.experiment == experiment]
        if not responses:
            raise BenchmarkError(
                f"{directory}: no experiment {experiment!r}; there are {', '.join(names)}"
            )
        names = [experiment]
    root = directory if directory.is_dir() else directory.parent
    texts = {path.stem: path for path in sorted(root.rglob("*.txt"))}
    targets: list[Question] = []
    askable: list[Question] = []
    for name in names:
        pooled = _pooled([r for r in responses if r.experiment == name])
        for (scenario, query), numbers in pooled.items():
            story, asked = _text(texts, scenario, query)
            item = f"{scenario}/query{query}"
            question = Question(
                id=item if len(names) == 1 else f"{name}/{item}",
                cluster_id=scenario,
                kind="chance" if kind_of(query) == "prediction" else "rank",
                story=story,
                question=asked or f"Query {query}",
                scale="A number from 0 to 100.",
                truth=Truth(
                    kind="human",
                    probs_K=humans.histogram(numbers),
                    value=float(np.mean(numbers)),
                    n_draws=len(numbers),
                ),
                subset=name,
            )
            targets.append(question)
            if asked:
                askable.append(question)

    def score(paths: Paths, settings: ScoreSettings) -> Scored:
        return _score_models(targets, responses, names, paths, settings)

    return Benchmark(name=NAME, questions=tuple(askable), score_recordings=score)


def _pooled(responses: Sequence[Response]) -> dict[tuple[str, int], list[float]]:
    pooled: dict[tuple[str, int], list[float]] = {}
    for r in responses:
        pooled.setdefault((r.scenario, r.query), []).extend(r.numbers)
    return dict(sorted(pooled.items()))


def _text(texts: Mapping[str, pathlib.Path], scenario: str, query: int) -> tuple[str, str]:
    """Story and query of a scenario; empty where there is no text."""
    path = texts.get(scenario)
    if path is None:
        return "", ""
    text = read_text(path)
    found = {int(n): words.strip() for n, words in _TEXT_QUERY.findall(text)}
    first = _TEXT_QUERY.search(text)
    story = text[: first.start()] if first else text
    story = re.sub(r"\n\s*QUERIES:?\s*$", "", story.rstrip())
    return story.strip(), found.get(query, "")


def split_halves(
    responses: Sequence[Response], settings: ScoreSettings
) -> tuple[correlation.SplitHalf, float]:
    """Agreement of the pooled means of two random halves of the people of every scenario.

    Returns:
      The split-half numbers and the mean absolute difference between the halves.
    """
    people: dict[str, list[int]] = {}
    for r in responses:
        known = people.setdefault(r.scenario, [])
        if r.person not in known:
            known.append(r.person)
    scenarios = sorted(people)
    items = sorted({r.item for r in responses})
    column = {item: k for k, item in enumerate(items)}
    seat: dict[tuple[str, int], int] = {}
    for scenario in scenarios:
        for person in people[scenario]:
            seat[scenario, person] = len(seat)
    sums_SN, counts_SN = (np.zeros((len(seat), len(items))) for _ in range(2))
    for r in responses:
        at = seat[r.scenario, r.person], column[r.item]
        sums_SN[at] += sum(r.numbers)
        counts_SN[at] += len(r.numbers)
    rng = np.random.default_rng(settings.seed)
    first_HS = np.zeros((settings.splits, len(seat)))
    for h in range(settings.splits):
        for scenario in scenarios:
            own = [seat[scenario, person] for person in people[scenario]]
            size = len(own) // 2 + (rng.random() < 0.5) * (len(own) % 2)
            first_HS[h, rng.permutation(own)[:size]] = 1.0
    with np.errstate(invalid="ignore", divide="ignore"):
        x_HN, y_HN = ((f @ sums_SN) / (f @ counts_SN) for f in (first_HS, 1 - first_HS))
    both = np.isfinite(x_HN) & np.isfinite(y_HN)
    r_H, gap_H = [], []
    for x, y, ok in zip(x_HN, y_HN, both):
        if ok.sum() >= 2 and np.ptp(x[ok]) > 0 and np.ptp(y[ok]) > 0:
            r_H.append(np.corrcoef(x[ok], y[ok])[0, 1])
            gap_H.append(np.abs(x[ok] - y[ok]).mean())
    mean_r = float(np.mean(r_H)) if r_H else math.nan
    low, high = intervals.percentile_interval(np.array(r_H), settings.level)
    reliability = correlation.spearman_brown(mean_r)
    ceiling = math.sqrt(reliability) if reliability >= 0 else math.nan
    sizes = (len(seat), len(items), settings.splits)
    found = correlation.SplitHalf(mean_r, low, high, reliability, ceiling, *sizes)
    return found, float(np.mean(gap_H)) if gap_H else math.nan


def score_data(paths: Paths, settings: ScoreSettings) -> Scored:
    """Reliability of the people and pooled means, one split an experiment."""
    rows: list[Row] = []
    tables: list[str] = []
    failures: list[str] = []
    for path in expand(paths, (".json",)):
        responses, bad = read_responses(path)
        failures += bad
        for name in dict.fromkeys(r.experiment for r in responses):
            own = [r for r in responses if r.experiment == name]
            found, table = _people_rows(name, own, settings)
            rows += found
            tables.append(table)
    if not rows:
        rows = [results.row("people", "split_half_r", None, n=0, task=NAME)]
    return Scored(rows=rows, table="\n\n".join(tables), failures=tuple(failures))


def _people_rows(
    name: str, responses: Sequence[Response], settings: ScoreSettings
) -> tuple[list[Row], str]:
    half, gap = split_halves(responses, settings)
    pooled = _pooled(responses)
    n = sum(map(len, pooled.values()))
    common: dict[str, Any] = {"task": NAME, "split": name}
    rows = humans.reliability_rows(half, n=n, people=half.n_subjects, common=common)
    means = np.array([np.mean(numbers) for numbers in pooled.values()])
    references = {
        "half_mae": gap,
        "mae_always_50": float(np.abs(means - 50).mean()),
        "n_numbers": float(n),
        "n_responses": float(half.n_subjects),
        "n_items": float(len(pooled)),
    }
    for metric, value in references.items():
        rows.append(results.row("people", metric, value, n=n, n_clusters=half.n_subjects, **common))
    lines = []
    for (scenario, query), numbers in pooled.items():
        kind = f"{scenario}/query{query}"
        mean = float(np.mean(numbers))
        rows.append(results.row("people", "human_mean", mean, n=len(numbers), kind=kind, **common))
        lines.append([kind, str(len(numbers)), shown(mean, 1)])
    head = (
        f"{NAME}, {name}: {half.n_subjects} responses, {len(pooled)} items, {n:,} numbers\n\n"
        f"split-half r     {shown(half.r, 3)}   MAE between halves {shown(gap)}\n"
        f"Spearman-Brown   {shown(half.reliability, 3)}\n"
        f"noise ceiling    {shown(half.ceiling, 3)}\n"
    )
    return rows, f"{head}\n{plain_table(('item', 'numbers', 'mean'), lines)}"


def _score_models(
    targets: Sequence[Question],
    responses: Sequence[Response],
    names: Sequence[str],
    paths: Paths,
    settings: ScoreSettings,
) -> Scored:
    recordings = read_recordings(paths, targets)
    rows: list[Row] = []
    failures: list[str] = []
    tables: list[str] = []
    for name in names:
        own = [q for q in targets if q.subset == name]
        people = [r for r in responses if r.experiment == name]
        groups = _groups(own)
        lines: list[list[str]] = []
        for model, given in by_model(recordings).items():
            mine = [r for r in given if r.question.subset == name]
            if not mine:
                continue
            answers, failed, _ = humans.mean_answers(mine)
            failures += failed
            for kind, questions in groups.items():
                ids = {q.id for q in questions}
                count = sum(r.question.id in ids for r in mine)
                if not count:
                    continue
                within = [r for r in people if _id(r, names) in ids]
                ceiling = split_halves(within, settings)[0].ceiling
                bad = sum(f"{model}, {q.id}:" in line for q in questions for line in failed)
                common = {"task": NAME, "split": name, "kind": kind, "n_parse_fail": bad}
                found, value = humans.agreement_rows(
                    model, questions, answers, ceiling, settings, n=count, common=common
                )
                rows += found
                lines.append(humans.agreement_cells(f"{model} ({kind})", count, bad, value))
        tables.append(
            f"{NAME}, {name}: {len(own)} items\n\n{plain_table(humans.AGREEMENT_HEAD, lines)}"
        )
    return Scored(rows=rows, table="\n\n".join(tables), failures=tuple(failures))


def _id(r: Response, names: Sequence[str]) -> str:
    return r.item if len(names) == 1 else f"{r.experiment}/{r.item}"


def _groups(questions: Sequence[Question]) -> dict[str, list[Question]]:
    """All items, by kind of query, and by sport."""
    groups: dict[str, list[Question]] = {results.ALL: list(questions)}
    for q in questions:
        query = int(q.id.rsplit("query", 1)[1])
        groups.setdefault(kind_of(query), []).append(q)
    for q in questions:
        groups.setdefault(sport_of(q.cluster_id), []).append(q)
    return groups
