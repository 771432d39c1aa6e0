"""What a benchmark is: questions with what is known about their answers, and a native score.

A benchmark is one module of this package with one function, ``load(directory, **options)``, that
returns a `Benchmark`. Whoever runs a model needs only its `questions`; whoever has recorded answers
needs only `score_recordings`. `load` and `names` of this module find benchmarks by module name, so
adding one is adding one file.

Axes: K answers of the support.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import inspect
import os
import pathlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from ppt_jax.data.prompts import message
from ppt_jax.errors import UserError
from ppt_jax.evaluation.items import PERCENT, Item, Target

PACKAGE = "ppt_jax.evaluation.benchmarks"
SHARED_MODULES = (
    *("protocol", "choice_scores", "elicited", "files", "humans", "recordings", "summaries"),
)
KINDS = ("value", "rank", "chance", "choice", "number")
TruthKind = Literal["posterior", "outcome", "human"]
Row = dict[str, Any]


class BenchmarkError(UserError):
    """Benchmark data or recordings that cannot be used; the message names file, line and field."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Truth:
    """What is known about the answer of a question.

    Attributes:
      kind: ``posterior`` (exact or sampled posterior), ``outcome`` (what is the case), ``human``
        (what people answered).
      probs_K: probability of each answer of the support, float64, or None where the question has
        no support (kind ``number``).
      value: the number (kind ``number``), the mean on the 0..100 scale, or None.
      answer: index of the true answer in the support, or None.
      n_draws: how many draws or people are behind ``probs_K``; None when exact.
    """

    kind: TruthKind
    probs_K: np.ndarray | None = None
    value: float | None = None
    answer: int | None = None
    n_draws: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Question:
    """One question of a benchmark.

    Attributes:
      id: unique within the benchmark.
      cluster_id: questions that share evidence share it; intervals resample whole clusters.
      kind: ``choice`` (one of ``options``), ``chance``, ``value`` or ``rank`` (an integer 0..100,
        see `ppt_jax.data.supports`), or ``number`` (any number, in words of the model's own; it has
        no support, the reply is text that `Benchmark.record` reads).
      story: context, may be empty.
      question: what is asked.
      scale: one sentence that says how to answer, may be empty.
      options: answers of a ``choice``, as written between ``<`` and ``>`` (short: ``A``, ``2``,
        ``no``).
      option_texts: what each option stands for where ``options`` are letters or numbers; for
        readouts by likelihood of the text. Empty when the options speak for themselves.
      truth: what is known about the answer.
      subset: part of the benchmark, e.g. the domain or the subject; rows are split by it.
      quantity: what 0 and 100 stand for (kind ``value``), or None.
      unit: unit of the quantity.
    """

    id: str
    cluster_id: str
    kind: str
    question: str
    truth: Truth
    story: str = ""
    scale: str = ""
    options: tuple[str, ...] = ()
    option_texts: tuple[str, ...] = ()
    subset: str = ""
    quantity: tuple[float, float] | None = None
    unit: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise BenchmarkError(
                f"question {self.id!r}: kind {self.kind!r} is none of {', '.join(KINDS)}"
            )
        support, probs = self.support, self.truth.probs_K
        if probs is not None and support is not None and np.asarray(probs).shape != (len(support),):
            raise BenchmarkError(
                f"question {self.id!r}: {np.size(probs)} probabilities for {len(support)} answers"
            )

    @property
    def support(self) -> tuple[str, ...] | None:
        """The answers: ``0``..``100``, the options, or None for a free number."""
        if self.kind == "number":
            return None
        return tuple(self.options) if self.kind == "choice" else PERCENT

    @property
    def prompt(self) -> str:
        """The whole text that a model reads, without chat template and prefill."""
        if self.kind == "number":
            return "\n".join(part for part in (self.story, self.question, self.scale) if part)
        return message(self.story, self.question, self.scale).lstrip("\n")

    def target(self, split: str, task: str = "scenarios") -> Target:
        """The question as an item without an answer: ``question.target("nhanes").answered(...)``.

        Args:
          split: name of the split in the tables, e.g. the subset.
          task: name of the benchmark.

        Raises:
          BenchmarkError: the question has no support, or nothing is known about its answer.
        """
        support = self.support
        if support is None:
            raise BenchmarkError(
                f"question {self.id!r}: kind 'number' has no list of answers; let the model write "
                "and score the text as a recording"
            )
        probs = self.truth.probs_K
        if probs is None and self.truth.answer is None and self.truth.value is None:
            raise BenchmarkError(f"question {self.id!r}: neither answer nor probabilities known")
        known: dict[str, Any] = {} if probs is None else {"target_K": probs}
        return Target(
            item_id=self.id,
            cluster_id=self.cluster_id,
            split=split,
            task=task,
            kind=self.kind,
            support=support,
            **known,
            target_kind=self.truth.kind,
            target_value=self.truth.value,
            n_draws=self.truth.n_draws,
            true_answer=self.truth.answer,
            question=self.question,
            story=self.story,
            scale=self.quantity,
            unit=self.unit,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoreSettings:
    """Settings of scoring.

    Attributes:
      replicates: bootstrap replicates.
      level: coverage of the intervals.
      seed: of bootstrap and splits.
      splits: random split halves of the people (human data).
    """

    replicates: int = 1000
    level: float = 0.95
    seed: int = 0
    splits: int = 200


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Scored:
    """What scoring found.

    Attributes:
      rows: long rows as in results.json (docs/evaluation.md).
      table: the readable table, plain text.
      failures: one line for each answer that could not be read or used: where, which item, why.
        They are counted in ``n_parse_fail`` and never dropped silently.
      facts: counts and settings that belong to the run, e.g. numbers of people and rows.
      items: the answers in the common form, where they are distributions over named answers.
    """

    rows: list[Row]
    table: str
    failures: tuple[str, ...] = ()
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    items: tuple[Item, ...] = ()


Paths = Sequence[pathlib.Path]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Benchmark:
    """A loaded benchmark.

    Attributes:
      name: module name, e.g. ``"openestimate"``.
      questions: all questions, in the order of the files.
      score_recordings: ``(paths, settings) -> Scored``: scores recorded answers (files or
        directories) by the benchmark's own protocol.
      record: ``(question, reply) -> row``: what a recording holds for a reply in words, as a CSV
        row (the answer is blank when the reply cannot be read, which scoring counts). None when
        all questions have a support.
    """

    name: str
    questions: tuple[Question, ...]
    score_recordings: Callable[[Paths, ScoreSettings], Scored]
    record: Callable[[Question, str], Mapping[str, Any]] | None = None

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for question in self.questions:
            if question.id in seen:
                raise BenchmarkError(f"{self.name}: question id {question.id!r} occurs twice")
            seen.add(question.id)


def names() -> tuple[str, ...]:
    """Names of all benchmarks: the modules of this package, in alphabetical order."""
    package = importlib.import_module(PACKAGE)
    found = (module.name for module in pkgutil.iter_modules(package.__path__))
    return tuple(sorted(name for name in found if name not in SHARED_MODULES))


def module_of(name: str) -> Any:
    """The module of a benchmark.

    Raises:
      BenchmarkError: no benchmark has this name.
    """
    known = names()
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
        raise BenchmarkError(f"benchmark {name!r}: there is none of this name; {hint}")
    return importlib.import_module(f"{PACKAGE}.{name}")


def load_options(name: str, options: Mapping[str, Any]) -> None:
    """Refuses options that a benchmark's ``load`` does not have.

    Raises:
      BenchmarkError: names the option and those that exist.
    """
    parameters = [p for p in inspect.signature(module_of(name).load).parameters if p != "directory"]
    for option in options:
        if option not in parameters:
            known = ", ".join(parameters) or "none"
            raise BenchmarkError(f"{name}: unknown option {option!r}; known: {known}")


def needs_data(name: str) -> bool:
    """Whether a benchmark cannot be loaded without a directory."""
    parameter = inspect.signature(module_of(name).load).parameters["directory"]
    return parameter.default is inspect.Parameter.empty


def load(name: str, directory: str | os.PathLike[str] | None = None, **options: Any) -> Benchmark:
    """Loads a benchmark from a directory (or file) that the user names.

    Args:
      name: see `names`.
      directory: where its files are; docs/benchmarks.md says how to obtain them. May be left out
        for benchmarks that make their questions (`needs_data`).
      **options: options of that benchmark's ``load``, e.g. ``domain="nhanes"``.

    Raises:
      BenchmarkError: unknown name or option, missing or broken files.

    Example:
      quite = load("quite", "data/quite", premises="wep")
      for question in quite.questions:
          print(question.prompt, question.truth.value)
    """
    module = module_of(name)
    load_options(name, options)
    parameters = inspect.signature(module.load).parameters
    for option, value in options.items():  # "2" may have become 2 on a command line
        if isinstance(value, int) and "str" in str(parameters[option].annotation):
            options[option] = str(value)
    if directory is None:
        if needs_data(name):
            raise BenchmarkError(f"benchmark {name!r} needs the directory of its data")
        made: Benchmark = module.load(**options)
        return made
    path = pathlib.Path(directory)
    if not path.exists():
        raise BenchmarkError(f"{path}: no such file or directory (data of benchmark {name!r})")
    benchmark: Benchmark = module.load(path, **options)
    return benchmark
