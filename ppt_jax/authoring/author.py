"""The offline author: a config -> shards of checked scenarios, rejects, and corpus.json.

Every scenario has its own key, made of the seed, the split, the motif, its number and the attempt,
so the bytes do not depend on the number of processes or on restarts. Shards are written whole; a
finished one is skipped.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import functools
import json
import multiprocessing
import os
import pathlib
import zlib
from collections.abc import Generator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from ppt_jax.authoring.answer_records import statistics_row
from ppt_jax.authoring.checks import CheckConfig, Statistics
from ppt_jax.authoring.compose import Plan, write_scenario
from ppt_jax.authoring.corpus import describe, duplicate_key, read_files
from ppt_jax.authoring.draft import Knobs
from ppt_jax.authoring.genres import find_genres
from ppt_jax.authoring.motif import all_motifs
from ppt_jax.authoring.mutations import MUTATIONS
from ppt_jax.authoring.produce import Rejected, produce
from ppt_jax.authoring.skins import all_skins
from ppt_jax.authoring.splits import SPLITS, SplitPlan, plan_splits
from ppt_jax.authoring.wording import CHANCE_FORMS
from ppt_jax.errors import UserError
from ppt_jax.progress import Progress
from ppt_jax.scenario.document import to_dict
from ppt_jax.storage import read_jsonl, write_atomic, write_jsonl

TOLD = ("full", "verbal", "implicit")
_CHUNK = 24
_ANSWERS = "_answers"  # of a row on its way from a worker, not of a document
_PROBES = 16
_Row: TypeAlias = dict[str, Any]
_Result: TypeAlias = tuple[_Row | None, list[_Row]]


@dataclasses.dataclass(frozen=True)
class AuthorConfig:
    """What to write.

    Attributes:
      seed: everything random follows from it.
      train_size: scenarios of the split "train"; likewise the next six.
      validation_size: for temperature scaling and early stopping, motifs of `validation_motifs`.
      seen_motifs_size: test scenarios of trained motifs.
      held_out_motifs_size: test scenarios of `held_out_motifs`.
      held_out_family_size: test scenarios of `held_out_family`.
      held_out_skins_size: test scenarios of trained motifs with `held_out_skins`.
      held_out_structures_size: test scenarios of trained motifs with structures never trained on.
      motifs: "all", or names of motifs and letters of families; each motif has an equal share of
        its split.
      held_out_motifs: motifs never trained on, of trained families.
      held_out_family: letter of a family never trained on, "" for none.
      held_out_skins: names of skins never trained on, or "one_per_kind".
      held_out_structures: share of structures never trained on, by a hash of program and evidence.
      validation_motifs: whose motifs the validation split has, "train" or "held_out_motifs".
      skins: "all", or names of skins.
      genres: "all", or names of genres.
      told: number wordings, of "full", "verbal" and "implicit"; each equally often.
      chances: forms of exact chances, of "percent", "ratio" and "words".
      length: "short", "medium" or "long" stories.
      asides: smallest and largest number of irrelevant sentences.
      entities: smallest and largest number of people, items, places.
      observations: smallest and largest number of observations.
      asks: smallest and largest number of asks kept per scenario.
      mutations: changes of the structure, names of `mutations.MUTATIONS` or "all"; none by default.
      mutation_rate: chance of each of them, scenario by scenario.
      attempts: tries per scenario before its place stays empty.
      shards: files per split.
      processes: worker processes; 0 for one per CPU core. Does not change the result.
      checks: thresholds of the checks.
    """

    seed: int = 0
    train_size: int = 2000
    validation_size: int = 200
    seen_motifs_size: int = 300
    held_out_motifs_size: int = 200
    held_out_family_size: int = 200
    held_out_skins_size: int = 0
    held_out_structures_size: int = 0
    motifs: str | tuple[str, ...] = "all"
    held_out_motifs: tuple[str, ...] = ("paired_ranking", "explaining_away")
    held_out_family: str = "G"
    held_out_skins: tuple[str, ...] = ()
    held_out_structures: float = 0.0
    validation_motifs: str = "train"
    skins: str | tuple[str, ...] = "all"
    genres: str | tuple[str, ...] = "all"
    told: tuple[str, ...] = ("full",)
    chances: tuple[str, ...] = CHANCE_FORMS
    length: str = "short"
    asides: tuple[int, int] = (0, 2)
    entities: tuple[int, int] = (2, 6)
    observations: tuple[int, int] = (1, 12)
    asks: tuple[int, int] = (2, 4)
    mutations: str | tuple[str, ...] = ()
    mutation_rate: float = 0.25
    attempts: int = 40
    shards: int = 4
    processes: int = 0
    checks: CheckConfig = dataclasses.field(default_factory=CheckConfig)

    def __post_init__(self) -> None:
        for field in ("motifs", "skins", "genres"):
            if tuple(_names(getattr(self, field))) == ("all",):  # as a flag gives it
                object.__setattr__(self, field, "all")
            if getattr(self, field) != "all":
                object.__setattr__(self, field, _names(getattr(self, field)))
        for field in ("held_out_motifs", "held_out_skins", "told", "chances"):
            object.__setattr__(self, field, _names(getattr(self, field)))
        for field, floor in (("asides", 0), ("entities", 1), ("observations", 1), ("asks", 1)):
            pair = tuple(getattr(self, field))
            if len(pair) != 2 or not floor <= pair[0] <= pair[1]:
                raise UserError(f"{field}: {pair} is no range; two numbers from {floor}, in order")
            object.__setattr__(self, field, pair)
        for field in (f"{split}_size" for split in SPLITS):
            if getattr(self, field) < 0:
                raise UserError(f"{field}: {getattr(self, field)} is negative")
        for field in ("attempts", "shards"):
            if getattr(self, field) < 1:
                raise UserError(f"{field}: {getattr(self, field)} is too small, at least 1")
        if self.length not in ("short", "medium", "long"):
            raise UserError(f"length: {self.length!r} is not short, medium or long")
        if not self.told or not set(self.told) <= set(TOLD):
            raise UserError(f"told: {self.told} is not made of {', '.join(TOLD)}")
        if not self.chances or not set(self.chances) <= set(CHANCE_FORMS):
            raise UserError(f"chances: {self.chances} is not made of {', '.join(CHANCE_FORMS)}")
        object.__setattr__(self, "mutations", _mutations(self.mutations))
        if not 0 <= self.mutation_rate <= 1:
            raise UserError(f"mutation_rate: {self.mutation_rate} is not within 0 and 1")
        find_genres(self.genres)
        plan = self.split_plan()
        for split in ("held_out_skins", "held_out_structures"):
            if self.size(split) and not plan.motifs[split]:
                raise UserError(f"{split}_size: {self.size(split)}, but {split} holds nothing out")

    def split_plan(self) -> SplitPlan:
        """What each split draws from."""
        return _split_plan(self)

    def size(self, split: str) -> int:
        """Scenarios wanted of a split."""
        return int(getattr(self, f"{split}_size"))


def _names(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _mutations(value: str | Sequence[str]) -> tuple[str, ...]:
    """Names of mutations in their fixed order; "all" for every one."""
    names = _names(value)
    if names == ("all",):
        return MUTATIONS
    unknown = set(names) - set(MUTATIONS)
    if unknown:
        raise UserError(f"mutations: unknown {sorted(unknown)}; known: {', '.join(MUTATIONS)}")
    return tuple(name for name in MUTATIONS if name in names)


@functools.lru_cache(maxsize=16)
def _split_plan(config: AuthorConfig) -> SplitPlan:
    return plan_splits(
        config.motifs,
        config.held_out_motifs,
        config.held_out_family,
        skins=config.skins,
        held_out_skins=config.held_out_skins,
        held_out_structures=config.held_out_structures,
        validation_motifs=config.validation_motifs,
    )


@dataclasses.dataclass(frozen=True)
class _Slot:
    """One place in a split: the n-th scenario of a motif."""

    split: str
    motif: str
    number: int


@dataclasses.dataclass(frozen=True)
class _Shard:
    name: str
    slots: tuple[_Slot, ...]


def author_corpus(
    config: AuthorConfig, out_dir: str | os.PathLike[str], *, silent: bool = False
) -> dict[str, Any]:
    """Writes a corpus of scenarios.

    Files under `out_dir`: ``scenarios/<split>-00000-of-00004.jsonl`` (documents, engine fields
    included), ``rejects/`` with the same names (what was refused, why, and its story),
    ``statistics/`` with the same names (answers by bin, see `answer_records`), ``author.json``
    (the config) and ``corpus.json`` (see `ppt_jax.authoring.corpus.describe`).

    Args:
      config: what to write.
      out_dir: the folder; shards that are there already are kept.
      silent: no progress bar.

    Returns:
      The content of ``corpus.json``.

    Raises:
      UserError: the folder holds a corpus of another config (the message names the fields), or a
        file cannot be written.

    Example:
      >>> author_corpus(AuthorConfig(train_size=40, shards=1), "corpus")  # doctest: +SKIP
    """
    out = pathlib.Path(out_dir)
    _claim(config, out)
    shards = _shards(config)
    pending = [shard for shard in shards if not (out / "scenarios" / shard.name).exists()]
    chunks = [
        shard.slots[start : start + _CHUNK]
        for shard in pending
        for start in range(0, len(shard.slots), _CHUNK)
    ]
    total = sum(len(shard.slots) for shard in shards)
    with Progress("author", total, "scenario", silent=silent) as progress:
        results = _run(config, chunks)
        try:
            _write(shards, results, out, progress)
        finally:
            results.close()
    return _summary(config, shards, out)


def _claim(config: AuthorConfig, out: pathlib.Path) -> None:
    """Writes author.json, or refuses a folder that holds another config."""
    path = out / "author.json"
    mine: _Row = {
        "config": _config_dict(config),
        "skins": sorted(all_skins()),
        "motifs": [*all_motifs()],
    }
    if path.exists():
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            theirs = {**stored["config"], "(skins)": stored["skins"], "(motifs)": stored["motifs"]}
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: not a record of this author; use another folder") from error
        ours = {**mine["config"], "(skins)": mine["skins"], "(motifs)": mine["motifs"]}
        fields = sorted(key for key in {*ours, *theirs} if ours.get(key) != theirs.get(key))
        if fields:
            raise UserError(
                f"{out}: holds a corpus of another config, it differs in {', '.join(fields)}; "
                "use another folder or the same config"
            )
    write_atomic(path, json.dumps(mine, indent=1) + "\n")


def _config_dict(config: AuthorConfig) -> dict[str, Any]:
    """The config as plain JSON, without what does not change the result."""
    data = dataclasses.asdict(config)
    del data["processes"]
    return dict(json.loads(json.dumps(data)))


def _shards(config: AuthorConfig) -> list[_Shard]:
    """Every shard with its slots; motifs take turns, so each has an equal share."""
    plan = config.split_plan()
    shards = []
    for split in SPLITS:
        size, motifs = config.size(split), plan.motifs[split]
        if size and split == "held_out_structures":
            motifs = tuple(motif for motif in motifs if motif.name in _structured(config))
            if not motifs:
                raise UserError(
                    f"held_out_structures: {config.held_out_structures:g} holds out no structure "
                    "of a motif that has others; raise it, or choose motifs with more structures"
                )
        if not size or not motifs:
            continue
        slots = [_Slot(split, motifs[i % len(motifs)].name, i // len(motifs)) for i in range(size)]
        count = min(config.shards, size)
        bounds = [size * number // count for number in range(count + 1)]
        for number in range(count):
            name = f"{split}-{number:05d}-of-{count:05d}.jsonl"
            shards.append(_Shard(name, tuple(slots[bounds[number] : bounds[number + 1]])))
    return shards


@functools.lru_cache(maxsize=16)
def _structured(config: AuthorConfig) -> frozenset[str]:
    """Trained motifs that structures are held out of: those that keep others to train on.

    A motif has few structures or many, so a few scenarios of each are looked at; the same ones
    whatever the seed.
    """
    plan = config.split_plan()
    if not plan.held_out_structures:
        return frozenset()
    probes = dataclasses.replace(config, seed=0)
    found = []
    for motif in plan.motifs["train"]:
        held_out = 0
        for number in range(_PROBES):
            with contextlib.suppress(UserError):  # an unsound draft, which the corpus counts
                written = write_scenario(make_plan(probes, "train", motif.name, number, 0))
                held_out += plan.admits("held_out_structures", to_dict(written.scenario))
        if 0 < held_out <= _PROBES // 2:
            found.append(motif.name)
    return frozenset(found)


def _run(
    config: AuthorConfig, chunks: Sequence[tuple[_Slot, ...]]
) -> Generator[list[_Result], None, None]:
    """Results of the chunks in order, from worker processes that never import JAX."""
    structured = _structured(config)
    processes = min(config.processes or (os.cpu_count() or 1), len(chunks))
    if processes <= 1:
        for chunk in chunks:
            yield _author_chunk(config, chunk, structured)
        return
    context = multiprocessing.get_context("spawn")
    pool = concurrent.futures.ProcessPoolExecutor(processes, mp_context=context)
    try:
        waiting = []
        upcoming = iter(chunks)
        for chunk in upcoming:
            waiting.append(pool.submit(_author_chunk, config, chunk, structured))
            if len(waiting) >= 4 * processes:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _author_chunk(
    config: AuthorConfig, slots: Sequence[_Slot], structured: frozenset[str]
) -> list[_Result]:
    return [_author_slot(config, slot, slot.motif in structured) for slot in slots]


def _author_slot(config: AuthorConfig, slot: _Slot, filtered: bool) -> _Result:
    """The scenario of a slot (None if no attempt passed) and the rejects on the way.

    Args:
      config: what to write.
      slot: the place.
      filtered: whether structures decide, see `_structured`.
    """
    rejects: list[_Row] = []
    admits = functools.partial(config.split_plan().admits, slot.split) if filtered else None
    for attempt in range(config.attempts):
        sink: list[Statistics] = []
        result = produce(
            make_plan(config, slot.split, slot.motif, slot.number, attempt),
            config.checks,
            config.asks,
            sink,
            admits,
        )
        if not isinstance(result, Rejected):
            answers = statistics_row(result, sink[-1], config.checks.particles)
            return {**to_dict(result), _ANSWERS: answers}, rejects
        rejects.append(_reject_row(result, attempt))
    return None, rejects


def make_plan(config: AuthorConfig, split: str, motif_name: str, number: int, attempt: int) -> Plan:
    """The plan of one attempt at one place, from the config's seed alone.

    Skins take turns within a motif (from a start that depends on seed and motif); genre, wording
    level and number of asides are drawn.
    """
    motif = all_motifs()[motif_name]
    names = (zlib.crc32(split.encode()), zlib.crc32(motif_name.encode()))
    key = (config.seed, *names, number, attempt)
    rng = np.random.default_rng(np.random.SeedSequence((*key, 2)))
    skins = config.split_plan().skins(split, motif)
    genres = find_genres(config.genres)
    start = zlib.crc32(f"{config.seed} {split} {motif_name}".encode())
    changes = np.random.default_rng(np.random.SeedSequence((*key, 4)))
    return Plan(
        id=f"{split}-{motif_name}-{number:05d}",
        motif=motif,
        skin=skins[(start + number) % len(skins)],
        genre=genres[int(rng.integers(len(genres)))],
        asides=int(rng.integers(config.asides[0], config.asides[1] + 1)),
        knobs=Knobs(
            entities=config.entities,
            observations=config.observations,
            told=config.told[int(rng.integers(len(config.told)))],
            chances=config.chances,
            length=config.length,
        ),
        split=split,
        key=key,
        mutations=tuple(
            name for name in config.mutations if changes.random() < config.mutation_rate
        ),
    )


def _reject_row(rejected: Rejected, attempt: int) -> dict[str, Any]:
    plan = rejected.plan
    return {
        "id": plan.id,
        "attempt": attempt,
        "split": plan.split,
        "motif": plan.motif.name,
        "skin": plan.skin.name,
        "genre": plan.genre,
        "reason": rejected.reason,
        "detail": rejected.detail,
        "key": list(plan.key),
        "story": rejected.story,
    }


def _write(
    shards: Sequence[_Shard],
    results: Generator[list[_Result], None, None],
    out: pathlib.Path,
    progress: Progress,
) -> None:
    """Writes shards in order; drops a story that equals an earlier one but for its numbers."""
    seen: set[str] = set()
    refused_before = 0
    for shard in shards:
        path = out / "scenarios" / shard.name
        if path.exists():
            seen.update(duplicate_key(row["story"]) for _, row in read_jsonl(path))
            progress.advance(len(shard.slots))
            continue
        rows: list[_Row] = []
        rejects: list[_Row] = []
        statistics: list[_Row] = []
        for _ in range(0, len(shard.slots), _CHUNK):
            for row, refused in next(results):
                rejects += refused
                answers = row.pop(_ANSWERS) if row else {}
                key = duplicate_key(row["story"]) if row else ""
                if row and key not in seen:
                    seen.add(key)
                    rows.append(row)
                    statistics.append(answers)
                elif row:
                    rejects.append(_duplicate_row(row))
                progress.advance(1, rejects=refused_before + len(rejects))
        write_jsonl(out / "rejects" / shard.name, rejects)
        write_jsonl(out / "statistics" / shard.name, statistics)
        write_jsonl(path, rows)
        refused_before += len(rejects)


def _duplicate_row(row: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: row[key] for key in ("id", "split", "motif", "skin", "genre", "story")}
    return {
        **kept,
        "reason": "duplicate",
        "detail": "differs from an earlier story in numbers only",
    }


def _summary(config: AuthorConfig, shards: Sequence[_Shard], out: pathlib.Path) -> dict[str, Any]:
    names = [shard.name for shard in shards]
    wanted = {split: config.size(split) for split in SPLITS}
    summary = {
        "wanted": wanted,
        **describe(read_files(out, names)),
        "config": _config_dict(config),
    }
    write_atomic(out / "corpus.json", json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
    return summary
