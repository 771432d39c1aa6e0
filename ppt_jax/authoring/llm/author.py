"""The LLM author: plans -> shards of checked scenarios, rejects and corpus.json.

The files are those of the offline author. State is the back end's journal and the shards that are
written: killed anywhere and started again, answers that were paid for are found by their keys, and
the files come out byte for byte the same.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ppt_jax.authoring.backends.protocol import Backend, BudgetReached
from ppt_jax.authoring.corpus import describe, read_files
from ppt_jax.authoring.llm.config import STAGES, WRITTEN_SPLITS, LLMAuthorConfig
from ppt_jax.authoring.llm.conversation import Asking, Tried
from ppt_jax.authoring.llm.keep import Keeper
from ppt_jax.authoring.llm.plan import StoryPlan, next_attempt, plan_split
from ppt_jax.authoring.llm.prompts import prompt_version
from ppt_jax.authoring.llm.schedule import run_together
from ppt_jax.authoring.llm.stages import Refused, Written, usage, write_story
from ppt_jax.errors import UserError
from ppt_jax.progress import Progress
from ppt_jax.scenario.document import to_dict
from ppt_jax.storage import read_jsonl, write_atomic, write_jsonl

EXECUTION_FIELDS = ("in_flight", "finish")  # how the work is done, not what comes out
Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class _Shard:
    name: str
    plans: tuple[StoryPlan, ...]


@dataclasses.dataclass
class _Place:
    """One row of the quota table: its scenario, once there is one, and what led nowhere."""

    written: Written | None
    refused: list[Refused]


def author_with_llm(
    config: LLMAuthorConfig,
    backend: Backend,
    out_dir: str | os.PathLike[str],
    *,
    silent: bool = False,
) -> Row:
    """Writes a corpus of scenarios with a language model.

    Files under `out_dir`: ``scenarios/<split>-00000-of-00004.jsonl`` (whole documents),
    ``rejects/`` with the same names (why, at which stage, and everything tried), ``author.json``
    (the settings) and ``corpus.json`` (see `ppt_jax.authoring.corpus.describe`, with requests and
    tokens by stage, and per kept scenario).

    Args:
      config: what to write.
      backend: who answers; its journal is what a restart goes on from.
      out_dir: the folder; shards that are there already are kept.
      silent: no progress bar.

    Returns:
      The content of ``corpus.json``.

    Raises:
      UserError: the folder holds a corpus of other settings, or cannot be written.
      BudgetReached: a budget ended the work (unless `finish`); finished shards are there, and the
        same call with a higher budget goes on.

    Example:
      >>> author_with_llm(LLMAuthorConfig(model="any", train_size=8), backend, "corpus")
      ... # doctest: +SKIP
    """
    out = pathlib.Path(out_dir)
    for stage in STAGES:
        config.stage(stage)  # refuses a missing model before anything is asked
    _claim(config, out)
    shards = _shards(config)
    pending = [shard for shard in shards if not (out / "scenarios" / shard.name).exists()]
    total = sum(len(shard.plans) for shard in shards)
    with Progress("author", total, "scenario", silent=silent) as progress:
        progress.advance(total - sum(len(shard.plans) for shard in pending))
        _write(config, shards, _run(config, backend, pending, progress), out)
    return _summary(config, shards, out)


def _claim(config: LLMAuthorConfig, out: pathlib.Path) -> None:
    """Writes author.json, or refuses a folder of other settings or prompts."""
    path = out / "author.json"
    mine: Row = {"author": "llm", **_settings(config)}
    mine["prompts"] = {stage: prompt_version(stage) for stage in STAGES}
    if path.exists():
        try:
            theirs = dict(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise UserError(f"{path}: not a record of an author; use another folder") from error
        fields = sorted(key for key in {*mine, *theirs} if mine.get(key) != theirs.get(key))
        if fields:
            raise UserError(
                f"{out}: holds a corpus of other settings, it differs in {', '.join(fields)}; "
                "use another folder or the same settings"
            )
    write_atomic(path, json.dumps(mine, indent=1) + "\n")


def _settings(config: LLMAuthorConfig) -> Row:
    data = dataclasses.asdict(config)
    for field in EXECUTION_FIELDS:
        del data[field]
    return dict(json.loads(json.dumps(data)))


def _shards(config: LLMAuthorConfig) -> list[_Shard]:
    shards = []
    for split in WRITTEN_SPLITS:
        plans = plan_split(config, split)
        count = min(config.shards, len(plans))
        bounds = [len(plans) * number // max(count, 1) for number in range(count + 1)]
        for number in range(count):
            name = f"{split}-{number:05d}-of-{count:05d}.jsonl"
            shards.append(_Shard(name, tuple(plans[bounds[number] : bounds[number + 1]])))
    return shards


def _fill(plan: StoryPlan, config: LLMAuthorConfig) -> Asking[_Place]:
    """Tries plans for one row of the quota table until one gives a scenario."""
    place = _Place(None, [])
    for attempt in range(config.attempts):
        if attempt:
            plan = next_attempt(plan, config)
        result = yield from write_story(plan, config)
        if isinstance(result, Written):
            place.written = result
            return place
        place.refused.append(result)
    return place


def _run(
    config: LLMAuthorConfig, backend: Backend, shards: Sequence[_Shard], progress: Progress
) -> Iterator[list[_Place]]:
    """The places of each shard, shard by shard."""
    plans = [plan for shard in shards for plan in shard.plans]
    found: dict[int, _Place] = {}
    results = run_together((_fill(plan, config) for plan in plans), backend, config.in_flight)
    refused = 0
    first = 0
    for shard in shards:
        wanted = range(first, first + len(shard.plans))
        while not all(number in found for number in wanted):
            try:
                number, place = next(results)
            except BudgetReached as reached:
                if not config.finish:
                    raise
                for number in wanted:
                    found.setdefault(number, _unfinished(plans[number], reached))
                results = iter(())
                continue
            except StopIteration:
                for number in wanted:
                    found.setdefault(number, _unfinished(plans[number], None))
                continue
            found[number] = place
            refused += len(place.refused)
            progress.advance(1, rejects=refused)
        yield [found.pop(number) for number in wanted]
        first += len(shard.plans)


def _unfinished(plan: StoryPlan, reached: BudgetReached | None) -> _Place:
    detail = str(reached) if reached else "a budget ended the work before"
    return _Place(None, [Refused(plan, "plan", "budget", detail, "", ())])


def _write(
    config: LLMAuthorConfig,
    shards: Sequence[_Shard],
    results: Iterator[list[_Place]],
    out: pathlib.Path,
) -> None:
    """Writes shards in order; what is kept is decided in the order of the plans."""
    sizes = {split: config.size(split) for split in WRITTEN_SPLITS}
    keeper = Keeper(config.novelty, config.max_structure_share, sizes)
    for shard in shards:
        path = out / "scenarios" / shard.name
        if path.exists():
            for _, row in read_jsonl(path):
                keeper.keep(row)
            continue
        rows: list[Row] = []
        rejects: list[Row] = []
        for place in next(results):
            rejects += [_reject_row(one) for one in place.refused]
            if place.written is None:
                continue
            row = to_dict(place.written.scenario)
            objection = keeper.objection(row)
            if objection is None:
                keeper.keep(row)
                rows.append(row)
                continue
            plan, tried = place.written.plan, place.written.tried
            refused = Refused(plan, "keep", objection.check, objection.detail, row["story"], tried)
            rejects.append(_reject_row(refused))
        write_jsonl(out / "rejects" / shard.name, rejects)
        write_jsonl(path, rows)


def _reject_row(refused: Refused) -> Row:
    plan = refused.plan
    return {
        "id": plan.id,
        "attempt": plan.attempt,
        "split": plan.split,
        "motif": plan.motif,
        "skin": plan.domain,
        "genre": plan.genre,
        "stage": refused.stage,
        "reason": refused.reason,
        "detail": refused.detail,
        "key": list(plan.key),
        "plan": plan.as_json(),
        "usage": usage(refused.tried),
        "tried": [_tried_row(one) for one in refused.tried],
        "story": refused.story,
    }


def _tried_row(one: Tried) -> Row:
    return {
        "stage": one.stage,
        "request": one.key,
        "sample": one.sample,
        "finish_reason": one.finish_reason,
        "found": one.found,
        "answer": one.excerpt,
    }


def _summary(config: LLMAuthorConfig, shards: Sequence[_Shard], out: pathlib.Path) -> Row:
    files = read_files(out, [shard.name for shard in shards])
    rejects = files.rejects
    kept = [row for rows in files.splits.values() for row in rows]
    summary = {
        "author": "llm",
        "wanted": {split: config.size(split) for split in WRITTEN_SPLITS},
        **describe(files),
        "requests": _requests(kept, rejects),
        "agreement": _agreement(kept),
        "config": _settings(config),
    }
    summary["rejects"]["by_stage"] = _by_stage(rejects)
    write_atomic(out / "corpus.json", json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
    return summary


def _requests(kept: Sequence[Mapping[str, Any]], rejects: Sequence[Mapping[str, Any]]) -> Row:
    """Requests and tokens by stage, and of all together for each scenario kept."""
    names = ("requests", "prompt_tokens", "completion_tokens")
    stages: dict[str, list[int]] = {stage: [0, 0, 0] for stage in STAGES}
    for used in [row["provenance"]["usage"] for row in kept] + [row["usage"] for row in rejects]:
        for stage, counts in used.items():
            stages[stage] = [a + b for a, b in zip(stages[stage], counts, strict=True)]
    total = [sum(counts[place] for counts in stages.values()) for place in range(3)]
    each = [round(value / len(kept), 2) if kept else None for value in total]
    return {
        "by_stage": {
            stage: dict(zip(names, counts, strict=True)) for stage, counts in stages.items()
        },
        "total": dict(zip(names, total, strict=True)),
        "per_kept": dict(zip(names, each, strict=True)),
    }


def _by_stage(rejects: Sequence[Mapping[str, Any]]) -> Row:
    table: dict[str, dict[str, int]] = {}
    for row in rejects:
        reasons = table.setdefault(row["stage"], {})
        reasons[row["reason"]] = reasons.get(row["reason"], 0) + 1
    return {stage: dict(sorted(table[stage].items())) for stage in sorted(table)}


def _agreement(kept: Sequence[Mapping[str, Any]]) -> Row:
    """How close the first blind rebuild came, over all asks of what was kept."""
    asks = [
        ask for row in kept for ask in row["provenance"]["agreement"][0].get("asks", {}).values()
    ]
    distances = sorted(ask["tv"] for ask in asks)
    if not distances:
        return {}
    return {
        "asks": len(distances),
        "median_tv": distances[len(distances) // 2],
        "greatest_tv": distances[-1],
    }


def summary_lines(summary: Mapping[str, Any]) -> str:
    """A corpus's outcome in a few lines: kept, rejected by stage and reason, requests, tokens."""
    kept = sum(split["scenarios"] for split in summary["counts"].values())
    wanted = sum(summary["wanted"].values())
    lines = [f"kept {kept} of {wanted} scenarios wanted, {summary['rejects']['total']} rejects"]
    for stage, reasons in summary["rejects"]["by_stage"].items():
        listed = ", ".join(f"{reason} {count}" for reason, count in reasons.items())
        lines.append(f"  {stage}: {listed}")
    total, each = summary["requests"]["total"], summary["requests"]["per_kept"]
    lines.append(
        f"{total['requests']} requests, {total['prompt_tokens']} tokens read, "
        f"{total['completion_tokens']} written"
    )
    if kept:
        lines.append(
            f"for each scenario kept: {each['requests']:.1f} requests, "
            f"{each['prompt_tokens']:.0f} tokens read, {each['completion_tokens']:.0f} written"
        )
    return "\n".join(lines)
