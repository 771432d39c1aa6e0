"""The labelling job: scenario shards in, labelled shards out, on any number of processes.

Every task takes its share of the shards (`Share`), holds a lease on the one it works on (`Leases`)
and marks it done (`ShardFiles`). No two tasks write the same file, a shard's bytes depend on its
scenarios and the settings only, and `merge_labels` makes the common files from the records, again
and again if need be. So tasks can run side by side or one after the other, be killed anywhere, and
be started again: at most the shard in hand is redone, and the end is the same, byte for byte.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import pathlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ppt_jax.errors import UserError
from ppt_jax.inference.cascade import Labelled, Reject, label_scenarios
from ppt_jax.inference.labels import LabelConfig, label_from_dict, label_to_dict
from ppt_jax.inference.leases import BEAT_SECONDS, Lease, Leases
from ppt_jax.inference.shards import (
    Scan,
    ShardFiles,
    ShardWriter,
    Share,
    find_shards,
    scan,
    split_of,
)
from ppt_jax.inference.tally import Tally, summarise
from ppt_jax.progress import Progress
from ppt_jax.scenario.document import Scenario, parse_scenario, read_numbered, to_dict
from ppt_jax.storage import content_hash, read_jsonl, write_atomic

FORMAT = 2
PORTION = 1024  # scenarios in memory at a time; has no effect on labels


class UnreadableShard(UserError):
    """A scenario shard cannot be read to its end; the others can still be labelled."""


def labelled_row(labelled: Labelled) -> dict[str, Any]:
    """The JSON row of one labelled scenario; holds nothing that differs between runs."""
    row: dict[str, Any] = {
        "scenario": to_dict(labelled.scenario),
        "labels": [label_to_dict(label) for label in labelled.labels],
        "signature": labelled.signature,
        "effort": labelled.effort,
    }
    if labelled.programs is not None:
        row["programs"] = dict(labelled.programs)
    return row


def read_labelled(path: str | os.PathLike[str]) -> Iterator[Labelled]:
    """Reads back a labelled shard (`seconds` is 0: times are kept apart).

    Raises:
      UserError: the file is missing or broken; the message names file and line.
    """
    for number, row in read_jsonl(path):
        try:
            labels = tuple(label_from_dict(label) for label in row["labels"])
            scenario = parse_scenario(row["scenario"], source=f"{path}, line {number}")
            about = (row["signature"], row["effort"], row.get("programs"))
            yield Labelled(scenario, labels, 0.0, *about)
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path}, line {number}: not a labelled scenario ({error})") from error


class Board:
    """How far all tasks on a folder are, from the records and leases that they leave.

    Args:
      out: the folder of the labels.
      shards: all shards of the job.
    """

    def __init__(self, out: pathlib.Path, shards: Iterable[pathlib.Path]) -> None:
        self._open = {shard.stem: ShardFiles.of(shard, out) for shard in shards}
        self._leases = Leases(out / "state" / "leases")
        self._done = self._rejects = 0

    def read(self, settings: str) -> tuple[int, int]:
        """Scenarios done and rejected so far, by all tasks together."""
        for name, files in list(self._open.items()):
            record = files.read_record(settings)
            if record is not None:
                tally = record["tally"]
                self._done += tally["scenarios"]
                self._rejects += tally["scenarios"] - tally["labelled"]
                del self._open[name]
        held = [one for name, one in self._leases.counts().items() if name in self._open]
        done = sum(int(one.get("done", 0)) for one in held)
        return self._done + done, self._rejects + sum(int(one.get("rejects", 0)) for one in held)


@dataclasses.dataclass(frozen=True, eq=False)
class _Job:
    """What every step of a task needs."""

    out: pathlib.Path
    config: LabelConfig
    shards: list[pathlib.Path]
    leases: Leases

    @property
    def settings(self) -> str:
        """A hash of what decides the labels beside the scenarios."""
        return content_hash(_settings(self.config))

    def files(self, shard: pathlib.Path) -> ShardFiles:
        return ShardFiles.of(shard, self.out)


def _settings(config: LabelConfig) -> dict[str, Any]:
    return {"format": FORMAT, **json.loads(json.dumps(dataclasses.asdict(config)))}


def _open_job(
    source: str | os.PathLike[str], out: str | os.PathLike[str], config: LabelConfig | None
) -> _Job:
    """Checks the folder before any work.

    Raises:
      UserError: no shards; labels of other settings; labelled shards of other scenarios.
    """
    config = config or LabelConfig()
    folder = pathlib.Path(out)
    shards = find_shards(pathlib.Path(source))
    if folder.resolve() in {shard.parent.resolve() for shard in shards}:
        raise UserError(f"{folder}: the labels would replace the scenarios; give another folder")
    path, now = folder / "state" / "config.json", _settings(config)
    if not path.exists():
        write_atomic(path, json.dumps(now, indent=2) + "\n")
    try:
        old = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{path}: cannot read ({error}); remove {folder} to start over") from error
    changed = [
        f"label.{name}: {old.get(name)!r} there, {now.get(name)!r} now"
        for name in sorted({*old, *now})
        if old.get(name) != now.get(name)
    ]
    if changed:
        raise UserError(f"{folder} was labelled with other settings: {'; '.join(changed)}")
    known = {shard.name for shard in shards} | {"rejects.jsonl"}
    strangers = sorted(path.name for path in folder.glob("*.jsonl") if path.name not in known)
    if strangers:
        raise UserError(
            f"{folder / strangers[0]}: there are labels, but no such shard in {source}; remove the "
            f"{'file' if len(strangers) == 1 else f'{len(strangers)} files'} or use another folder"
        )
    return _Job(folder, config, shards, Leases(folder / "state" / "leases"))


def _portions(path: pathlib.Path) -> Iterator[list[tuple[int, Any]]]:
    """The lines of a shard, `PORTION` at a time."""
    lines = iter(read_numbered(path))
    while True:
        try:
            portion = list(itertools.islice(lines, PORTION))
        except UserError as error:
            raise UnreadableShard(str(error)) from error
        if not portion:
            return
        yield portion


def _label_shard(
    job: _Job, shard: pathlib.Path, seen: Scan, lease: Lease, advance: Callable[[int, int], None]
) -> None:
    """Labels one shard and writes its files, the record last."""
    start = time.perf_counter()
    files, tally = job.files(shard), Tally()
    seconds: dict[str, float] = {}
    with ShardWriter(files.labels) as labels, ShardWriter(files.rejects) as rejects:
        for portion in _portions(shard):
            found = [(line, one) for line, one in portion if isinstance(one, Scenario)]
            bad = len(portion) - len(found)

            def report(count: int, rejects: int = 0, *, bad: int = bad) -> None:
                advance(count, sum(tally.rejected.values()) + bad + rejects)

            if bad:
                report(bad)
            results = label_scenarios([one for _, one in found], job.config, report)
            by_line: dict[int, Labelled | Reject] = {
                line: result for (line, _), result in zip(found, results)
            }
            for line, one in portion:
                result = by_line.get(line)
                if result is None:
                    detail = str(one.placed(document=one.document, source=""))
                    result = Reject(one.document, "bad_document", detail)
                if isinstance(result, Labelled):
                    labels.row(labelled_row(result))
                    tally.add(result)
                    route = result.labels[0].route
                    seconds[route] = seconds.get(route, 0.0) + result.seconds
                else:
                    place = {"file": shard.name, "line": line}
                    rejects.row({**place, **dataclasses.asdict(result)})
                    tally.reject(result.reason)
            lease.note(done=tally.scenarios, rejects=sum(tally.rejected.values()))
    if scan(shard) != seen:
        raise UnreadableShard(f"{shard}: changed while it was read; start the same command again")
    timing = {
        "seconds": round(time.perf_counter() - start, 3),
        "by_route": {route: round(value, 4) for route, value in sorted(seconds.items())},
    }
    write_atomic(files.timing, json.dumps(timing) + "\n")
    files.write_record(job.settings, seen, labels, rejects, tally.to_json())


def label_share(
    scenarios: str | os.PathLike[str],
    out_dir: str | os.PathLike[str],
    config: LabelConfig | None = None,
    share: Share | None = None,
    *,
    silent: bool = False,
    whole: bool = False,
) -> int:
    """Labels one task's share of the shards; what is done already is passed over.

    Args:
      scenarios: folder of ``*.jsonl`` scenario shards, or one such file.
      out_dir: folder of the labels; made when missing, continued when half done.
      config: settings; a folder of other settings is refused.
      share: which of the shards; all of them by default.
      silent: no progress.
      whole: show beside this task's progress how far all tasks are.

    Returns:
      Number of shards labelled now.

    Raises:
      UserError: bad input folder or settings; a shard cannot be read (the others are done first);
        the disk is full; or another task holds a shard of this share (the others are done first).
    """
    job = _open_job(scenarios, out_dir, config)
    unreadable: list[str] = []
    todo: list[tuple[pathlib.Path, Scan]] = []
    own = (share or Share()).of(job.shards)
    for shard in own:
        try:
            seen = scan(shard)
        except UserError as error:
            unreadable.append(str(error))
            continue
        if not _finished(job, shard, seen):
            todo.append((shard, seen))
    made = 0
    if todo:
        (job.out / "summary.json").unlink(missing_ok=True)  # it is there when all is done
    board = Board(job.out, job.shards) if whole else None
    rest = len(own) - len(todo) - len(unreadable)
    if rest and todo and not silent:
        print(f"label: {rest} of {len(own)} shards done already", flush=True)
    with Progress(
        "label", sum(seen.lines for _, seen in todo), "scenario", silent=silent or not todo
    ) as bar:
        rejected, looked, told = 0, time.monotonic(), False

        def advance(count: int, rejects: int) -> None:
            nonlocal looked
            extra: dict[str, object] = {"rejects": rejected + rejects}
            if board is not None and time.monotonic() - looked > BEAT_SECONDS:
                looked = time.monotonic()
                done, refused = board.read(job.settings)
                extra["all tasks"] = f"{done} ({refused} rejects)"
            bar.advance(count, **extra)

        while todo:
            busy: list[tuple[pathlib.Path, Scan]] = []
            for shard, seen in todo:
                lease = job.leases.take(shard.stem)
                if lease is None:
                    busy.append((shard, seen))
                    continue
                with lease:
                    if _finished(job, shard, seen):
                        bar.advance(seen.lines)  # by somebody else, meanwhile
                        continue
                    try:
                        _label_shard(job, shard, seen, lease, advance)
                    except UnreadableShard as error:
                        unreadable.append(str(error))
                        continue
                record = job.files(shard).read_record(job.settings)
                counts = record["tally"] if record else {"scenarios": 0, "labelled": 0}
                rejected += counts["scenarios"] - counts["labelled"]
                made += 1
            if len(busy) < len(todo):
                todo = busy
                continue
            if not told:
                told = True
                held = {job.leases.holder(shard.stem) for shard, _ in busy} - {""}
                print(
                    f"label: {len(busy)} shards are held by {', '.join(sorted(held)) or 'others'}; "
                    "waiting for a sign of life, or its absence",
                    file=sys.stderr,
                    flush=True,
                )
            todo = _wait(job, busy)
    if unreadable:
        raise UserError("\n  ".join([f"{len(unreadable)} shards were left out:", *unreadable]))
    return made


def _finished(job: _Job, shard: pathlib.Path, seen: Scan) -> bool:
    files = job.files(shard)
    record = files.read_record(job.settings)
    return record is not None and files.unchanged(record, seen)


def _wait(job: _Job, busy: list[tuple[pathlib.Path, Scan]]) -> list[tuple[pathlib.Path, Scan]]:
    """Waits a moment for shards that others hold: they finish, die, or prove to be at work.

    Raises:
      UserError: all of their holders are at work.
    """
    left = [(shard, seen) for shard, seen in busy if not _finished(job, shard, seen)]
    if left and all(job.leases.alive(shard.stem) for shard, _ in left):
        holders = sorted({job.leases.holder(shard.stem) for shard, _ in left} - {""})
        names = ", ".join(shard.stem for shard, _ in left[:3]) + (", ..." if left[3:] else "")
        if holders:
            raise UserError(
                f"{job.out}: another labelling job ({', '.join(holders)}) is at work on {names}; "
                "everything else of this share is done. Wait for that job, then start this command "
                "again if anything is missing"
            )
    if left:
        time.sleep(0.2)
    return left


def merge_labels(
    scenarios: str | os.PathLike[str],
    out_dir: str | os.PathLike[str],
    config: LabelConfig | None = None,
    *,
    verify: bool = False,
) -> dict[str, Any] | None:
    """Makes ``rejects.jsonl``, ``timing.json`` and ``summary.json`` from the shards' records.

    Any task may do it, several at once too, and again: each file is replaced whole, by the same
    bytes (but for ``timing.json``).

    Args:
      scenarios, out_dir, config: as of `label_share`.
      verify: read every file and compare its hash; otherwise sizes are compared.

    Returns:
      The summary; None while a shard is not done.

    Raises:
      UserError: as `label_share`; with `verify`, the shards that are missing or changed.
    """
    job = _open_job(scenarios, out_dir, config)
    missing: list[str] = []
    splits: dict[str, Tally] = {}
    timing: dict[str, Any] = {"seconds": 0.0, "by_route": {}}
    empty: list[str] = []
    for shard in job.shards:
        files = job.files(shard)
        record = files.read_record(job.settings)
        if record is None or not files.unchanged(record, scan(shard) if verify else None):
            missing.append(shard.stem)
            continue
        tally = Tally.from_json(record["tally"])
        splits.setdefault(split_of(shard.stem), Tally()).join(tally)
        if not tally.scenarios:
            empty.append(shard.stem)
        _add_timing(timing, files.timing)
    if missing:
        if verify:
            names = ", ".join(missing[:5]) + (", ..." if missing[5:] else "")
            raise UserError(
                f"{job.out}: {len(missing)} of {len(job.shards)} shards are not labelled or not "
                f"whole ({names}); run launch.label on them, then merge again"
            )
        return None
    with ShardWriter(job.out / "rejects.jsonl") as rejects:
        for shard in job.shards:
            for _, row in read_jsonl(job.files(shard).rejects):
                rejects.row(row)
    summary = summarise(splits, empty)
    write_atomic(job.out / "timing.json", json.dumps(timing, indent=2) + "\n")
    text = json.dumps(summary, indent=2, allow_nan=False) + "\n"
    write_atomic(job.out / "summary.json", text)
    _tidy(job)
    return summary


def _add_timing(timing: dict[str, Any], path: pathlib.Path) -> None:
    """Adds a shard's seconds; a lost timing file costs only its numbers."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        found = json.loads(path.read_text(encoding="utf-8"))
        timing["seconds"] = round(timing["seconds"] + float(found["seconds"]), 3)
        for route, value in found["by_route"].items():
            timing["by_route"][route] = round(timing["by_route"].get(route, 0.0) + value, 4)


def _tidy(job: _Job) -> None:
    """Removes what killed processes left; all shards are done, so nobody needs it."""
    torn = [*job.out.glob(".*.part"), *(job.out / "state").glob(".*.part")]
    for path in [*torn, *(job.out / "state" / "leases").glob(".*")]:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def read_timing(out_dir: str | os.PathLike[str]) -> dict[str, Any]:
    """The seconds of a finished job, or {} where there are none."""
    try:
        path = pathlib.Path(out_dir) / "timing.json"
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def run_label_job(
    scenario_dir: str | os.PathLike[str],
    out_dir: str | os.PathLike[str],
    config: LabelConfig | None = None,
) -> dict[str, Any]:
    """Labels every shard of a folder in this process, and sums up.

    Writes ``<out_dir>/<shard>.jsonl`` (one row a labelled scenario, see `read_labelled`),
    ``rejects.jsonl``, ``summary.json``, ``timing.json``, and ``state/`` with a record a shard.

    Args:
      scenario_dir: folder of ``*.jsonl`` scenario shards, or one such file.
      out_dir: folder of the labels; made when missing, continued when half done.
      config: settings; a folder of other settings is refused.

    Returns:
      The summary.

    Raises:
      UserError: no or incomplete shards, other settings, another job at work, or a full disk;
        shards finished before stay.

    Example:
      >>> run_label_job("run/scenarios", "run/labels")["labelled"]  # doctest: +SKIP
    """
    label_share(scenario_dir, out_dir, config)
    summary = merge_labels(scenario_dir, out_dir, config)
    if summary is None:
        raise UserError(f"{out_dir}: a shard changed or went away; start the same command again")
    return summary
