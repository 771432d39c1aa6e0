"""Any model on any benchmark: ask, score, write; restartable."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import functools
import io
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from launch.loading import Loaded, load_model
from ppt_jax import __version__
from ppt_jax.errors import UserError
from ppt_jax.evaluation.benchmarks.protocol import Benchmark, Question, ScoreSettings, load
from ppt_jax.evaluation.item_files import write_items
from ppt_jax.evaluation.readouts.agreement import agreement_rows
from ppt_jax.evaluation.readouts.asking import CHOICE_ONLY, READOUTS, of_question, read_items_of
from ppt_jax.evaluation.report import write_report
from ppt_jax.evaluation.report_inputs import rebuilt
from ppt_jax.evaluation.results import Row, read_results, write_results
from ppt_jax.evaluation.results_page import write_results_page
from ppt_jax.evaluation.shards import ItemShards
from ppt_jax.evaluation.tables import EvaluationConfig, evaluate, short_table
from ppt_jax.storage import content_hash, write_atomic

if TYPE_CHECKING:
    from ppt_jax.evaluation.items import Item
    from ppt_jax.evaluation.readouts.asking import Posed

_CHUNK = 256  # questions of one shard


@dataclasses.dataclass(frozen=True)
class QuestioningConfig:
    """What to ask whom; the flags of ``launch.evaluate``, see there."""

    models: tuple[str, ...]
    benchmark: str
    data_dir: str | None = None
    options: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    readouts: tuple[str, ...] = ("trie",)
    limit: int = 0
    samples: int = 20
    tokens: int = 16
    which: str = "best"
    replicates: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        for readout in self.readouts:
            if readout not in READOUTS:
                raise UserError(f"--readout={readout}: known are {', '.join(READOUTS)}")
        if not self.readouts or len(set(self.readouts)) != len(self.readouts):
            raise UserError(f"--readout={','.join(self.readouts)}: name different readouts")
        for name, least in (("limit", 0), ("samples", 1), ("tokens", 1), ("replicates", 2)):
            if getattr(self, name) < least:
                raise UserError(f"--{name}={getattr(self, name)}: must be {least} or more")


def chosen_questions(
    questions: Sequence[Question], splits: Sequence[str], limit: int, name: str
) -> list[Question]:
    """The questions of some subsets, the first ``limit`` of each (0: all).

    Raises:
      UserError: a subset without questions, or no questions at all.
    """
    counts: dict[str, int] = {}
    out = []
    for question in questions:
        subset = question.subset or name
        counts[subset] = counts.get(subset, 0) + 1
        if (not splits or subset in splits) and (not limit or counts[subset] <= limit):
            out.append(question)
    for split in splits:
        if split not in counts:
            held = ", ".join(counts) or "no questions"
            raise UserError(f"--splits={split}: benchmark {name!r} has none of it; it has {held}")
    if not out:
        raise UserError(f"benchmark {name!r}: no questions in this data")
    return out


def _options(texts: Iterable[str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UserError(f"--option={text}: must be NAME=VALUE")
        options[name] = value
        with contextlib.suppress(ValueError):
            options[name] = int(value)
    return options


def evaluate_models(settings: QuestioningConfig, out: str) -> None:
    """Asks every model, scores the answers and writes items, results and report into a folder.

    Raises:
      UserError: a model, benchmark, subset or setting that cannot be used.
    """
    folder = pathlib.Path(out)
    benchmark = load(settings.benchmark, settings.data_dir, **_options(settings.options))
    questions = chosen_questions(
        benchmark.questions, settings.splits, settings.limit, benchmark.name
    )
    named = [q for q in questions if q.support is not None]
    free = [q for q in questions if q.support is None]
    posed = [of_question(question, benchmark.name) for question in named]
    if posed and not any(p.texts for p in posed) and set(settings.readouts) <= set(CHOICE_ONLY):
        raise UserError(f"--readout={','.join(settings.readouts)}: no question here has options")
    loaded = _load_all(settings)
    found: dict[str, list[Item]] = {}
    rows: list[Row] = []
    recordings: list[pathlib.Path] = []
    for one in loaded:
        own = _ask(one, posed, settings, folder)
        for readout, items in own.items():
            found.setdefault(readout, []).extend(items)
        rows += agreement_rows(
            one.name,
            own,
            samples=settings.samples,
            seed=settings.seed,
            replicates=settings.replicates,
        )
        if free:
            recordings.append(_write_replies(one, free, benchmark, settings, folder))
    config = EvaluationConfig(splits=(), replicates=settings.replicates, seed=settings.seed)
    first = True
    for readout, items in found.items():
        if not items:
            continue
        result = evaluate(items, config=config)
        keep = {one.name for one in loaded} | ({"uniform"} if first else set())
        scored = [row for row in result.rows if row["model"] in keep and row["n"]]
        rows += scored
        if first:
            print(short_table(scored, "kl" if any(i.has_label for i in items) else "log_score"))
            config_used = result.config
        write_items(folder / ("items.jsonl" if first else f"items_{readout}.jsonl"), items)
        first = False
    native: Mapping[str, Any] = {}
    if recordings:
        scored_native = benchmark.score_recordings(
            recordings, ScoreSettings(replicates=settings.replicates, seed=settings.seed)
        )
        print(scored_native.table)
        rows += scored_native.rows
        native = {"failures": list(scored_native.failures), "facts": dict(scored_native.facts)}
    run = {
        "command": "launch.evaluate",
        "ppt_jax": __version__,
        "models": [one.identity | {"name": one.name} for one in loaded],
        **dataclasses.asdict(settings) | {"models": list(settings.models)},
    }
    extra = {} if first else {"settings": dataclasses.asdict(config_used)}
    write_results(folder, rows, run, **extra, **native)
    labelled = any(item.has_label for item in next(iter(found.values()), []))
    if labelled:
        write_report(folder, rebuilt(folder))
    else:
        write_results_page(folder, read_results(folder), f"{benchmark.name}: results")
    print(f"{folder}/results.json: {len(rows)} rows; report: {folder}/report.html")


def _load_all(settings: QuestioningConfig) -> list[Loaded]:
    loaded = []
    for text in settings.models:
        name, equals, path = text.partition("=")
        loaded.append(
            load_model(path if equals else text, which=settings.which, name=name if equals else "")
        )
    names = [one.name for one in loaded]
    if len(set(names)) != len(names):
        raise UserError(f"models {', '.join(names)}: give them different names, --model=NAME=PATH")
    for name in names:
        if not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
            raise UserError(f"model name {name!r}: letters, digits, - _ . only; --model=NAME=PATH")
    return loaded


def _ask(
    one: Loaded, posed: Sequence[Posed], settings: QuestioningConfig, folder: pathlib.Path
) -> dict[str, list[Item]]:
    """Items of one model by readout, shard by shard."""
    out: dict[str, list[Item]] = {}
    several = len(settings.readouts) > 1
    for readout in settings.readouts:
        made_of = [
            one.identity,
            [p.target.item_id for p in posed],
            content_hash([[p.asked.story, p.asked.question, p.asked.scale] for p in posed]),
            dataclasses.asdict(settings)
            | {"models": None, "readouts": several, "replicates": None},
        ]
        base = folder / "shards" / f"{one.name}-{readout}"
        for start in range(0, len(posed), _CHUNK):
            part = posed[start : start + _CHUNK]
            ask = functools.cache(
                functools.partial(
                    read_items_of,
                    one.model,
                    one.name,
                    tuple(part),
                    readout,
                    greedy=several,
                    samples=settings.samples,
                    seed=settings.seed,
                    tokens=settings.tokens,
                    run_id=one.name,
                )
            )
            forms = ("likelihood", "likelihood_per_token", "likelihood_per_byte")
            for form in forms if readout == "likelihood" else (readout,):
                shards = ItemShards(base, content_hash(made_of))
                items = shards.get(f"{form}-{start:06d}", functools.partial(_one, ask, form))
                out.setdefault(form, []).extend(items)
    return out


def _one(ask: Callable[[], Mapping[str, list[Item]]], form: str) -> list[Item]:
    return ask()[form]


def _write_replies(
    one: Loaded,
    questions: Sequence[Question],
    benchmark: Benchmark,
    settings: QuestioningConfig,
    folder: pathlib.Path,
) -> pathlib.Path:
    """Lets a model write to questions that have no list of answers; stores what it said as CSV."""
    from ppt_jax.evaluation.readouts.language_model import Asked

    if benchmark.record is None:
        raise UserError(f"benchmark {benchmark.name!r}: its questions have no list of answers")
    asks = [Asked(q.id, q.story, q.question, q.scale, ()) for q in questions]
    tokens = max(settings.tokens, 64)  # a sentence with a number
    made_of = [one.identity, tokens, [dataclasses.asdict(ask) for ask in asks]]
    path = folder / "recordings" / content_hash(made_of) / f"{one.name}_trial0.csv"
    if path.exists():
        return path
    replies = one.model.write(asks, samples=1, temperature=0.0, tokens=tokens, seed=settings.seed)
    rows = [dict(benchmark.record(q, reply[0])) for q, reply in zip(questions, replies)]
    table = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(table, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(path, table.getvalue())
    return path
