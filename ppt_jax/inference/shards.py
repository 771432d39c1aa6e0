"""Shards on disk: finding them, dealing them out, writing them line by line, and their records.

A shard is done when its record in ``state/`` names the hashes of its input, of the settings, and of
the two files made of it. Files appear whole or not at all.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import re
import uuid
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from ppt_jax.errors import UserError
from ppt_jax.storage import write_atomic

NUMBERED = re.compile(r"(?P<name>.+)-(?P<index>\d{5})-of-(?P<count>\d{5})$")
RESERVED = ("rejects",)  # names of the job's own files in the folder of the labels


@dataclasses.dataclass(frozen=True)
class Share:
    """The part of the shards that one task does: every ``count``-th from ``index``.

    Args:
      index: 0-based number of the task.
      count: number of tasks.

    Raises:
      UserError: the index is not below the count.

    Example:
      >>> Share.parse("1/3").of(["a", "b", "c", "d", "e"])
      ['b', 'e']
    """

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not (self.count >= 1 and 0 <= self.index < self.count):
            raise UserError(
                f"--shard={self.index}/{self.count}: the first number counts from 0 and is below "
                f"the second, e.g. --shard=0/{max(self.count, 1)}"
            )

    @staticmethod
    def parse(text: str) -> Share:
        """Reads ``INDEX/COUNT``.

        Raises:
          UserError: it is not of that form.
        """
        match = re.fullmatch(r"(\d+)/(\d+)", text.strip())
        if match is None:
            raise UserError(f"--shard={text}: must be INDEX/COUNT, the index from 0, e.g. 3/64")
        return Share(int(match[1]), int(match[2]))

    def of(self, shards: Sequence[Any]) -> list[Any]:
        """This share of a list."""
        return list(shards[self.index :: self.count])


def find_shards(source: pathlib.Path) -> list[pathlib.Path]:
    """The scenario shards of a folder in name order, or the one file that is given.

    Raises:
      UserError: there are none, one of a numbered set (``-00001-of-00004``) is missing, or a name
        is one of the job's own.
    """
    if source.is_file():
        if source.suffix != ".jsonl":
            raise UserError(f"{source}: a scenario shard is a .jsonl file")
        return [source]
    shards = sorted(source.glob("*.jsonl"))
    if not shards:
        what = "no such file or folder" if not source.exists() else "no scenario shards (*.jsonl)"
        raise UserError(f"{source}: {what}; run the author stage first, or name a folder of shards")
    names = {shard.stem for shard in shards}
    for shard in shards:
        if shard.stem in RESERVED:
            raise UserError(
                f"{shard}: the job writes a file of that name; call the shard otherwise"
            )
        match = NUMBERED.fullmatch(shard.stem)
        if match is None:
            continue
        for index in range(int(match["count"])):
            wanted = f"{match['name']}-{index:05d}-of-{match['count']}"
            if wanted not in names:
                raise UserError(
                    f"{source / wanted}.jsonl is missing, though {shard.name} is there; bring it "
                    "back, or author the scenarios again"
                )
    return shards


def split_of(name: str) -> str:
    """The split of a shard's name: ``train`` of ``train-00001-of-00004``, else the name."""
    match = NUMBERED.fullmatch(name)
    return match["name"] if match else name


@dataclasses.dataclass(frozen=True)
class Scan:
    """One reading of a file: hash, bytes, and lines that are not empty."""

    digest: str
    size: int
    lines: int


def scan(path: pathlib.Path) -> Scan:
    """Reads a file once, a piece at a time.

    Raises:
      UserError: it cannot be read.
    """
    digest, size, lines, blank = hashlib.sha256(), 0, 0, True
    try:
        with open(path, "rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
                size += len(piece)
                first, *rest = piece.split(b"\n")
                blank = blank and not first.strip()
                for part in rest:
                    lines += not blank
                    blank = not part.strip()
    except OSError as error:
        raise UserError(f"{path}: cannot read ({error.strerror})") from error
    return Scan(digest.hexdigest(), size, lines + (not blank))


class ShardWriter:
    """Writes a file line by line under a hidden name; it takes its place when it is complete.

    Use as a context manager; leaving it by an error drops the hidden file and keeps the old one.

    Args:
      path: the file.

    Raises:
      UserError: no space, no permission; what was there before stays.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.size = 0
        self._digest = hashlib.sha256()
        self._part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")

    @property
    def digest(self) -> str:
        """SHA-256 of what was written so far."""
        return self._digest.hexdigest()

    def _failed(self, error: OSError) -> UserError:
        return UserError(
            f"{self.path}: cannot write ({error.strerror}); what was finished before is kept: free "
            "space or fix the permission and start the same command again"
        )

    def __enter__(self) -> ShardWriter:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = open(self._part, "wb")
        except OSError as error:
            raise self._failed(error) from error
        return self

    def row(self, row: Any) -> None:
        """Writes one JSON line."""
        line = (json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n").encode()
        try:
            self._file.write(line)
        except OSError as error:
            raise self._failed(error) from error
        self._digest.update(line)
        self.size += len(line)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._file.flush()
                os.fsync(self._file.fileno())
                self._file.close()
                os.replace(self._part, self.path)
        except OSError as failure:
            raise self._failed(failure) from failure
        finally:
            with contextlib.suppress(OSError):
                self._file.close()
            self._part.unlink(missing_ok=True)


@dataclasses.dataclass(frozen=True)
class ShardFiles:
    """Where one shard's files stand.

    Attributes:
      source: its scenarios.
      labels: its labels.
      rejects: its rejects.
      record: what the job knows of it; written last.
      timing: its seconds, which differ from run to run.
    """

    source: pathlib.Path
    labels: pathlib.Path
    rejects: pathlib.Path
    record: pathlib.Path
    timing: pathlib.Path

    @property
    def name(self) -> str:
        """The shard's name, without suffix."""
        return self.source.stem

    @staticmethod
    def of(source: pathlib.Path, out: pathlib.Path) -> ShardFiles:
        """The files of a shard in the folder of the labels."""
        state, name = out / "state", source.stem
        return ShardFiles(
            source=source,
            labels=out / source.name,
            rejects=state / f"{name}.rejects.jsonl",
            record=state / f"{name}.json",
            timing=state / f"{name}.seconds",
        )

    def read_record(self, settings: str) -> dict[str, Any] | None:
        """The shard's record where there is a whole one made with these settings, else None."""
        try:
            record = json.loads(self.record.read_text(encoding="utf-8"))
            made = [record[key] for key in ("settings", "input", "labels", "rejects", "tally")]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return record if made[0] == settings else None

    def unchanged(self, record: dict[str, Any], seen: Scan | None) -> bool:
        """Whether the three files are those of the record: by size, or by hash.

        Args:
          record: from `read_record`.
          seen: what the source holds now; None compares sizes only, which is quick.
        """
        files = (("input", self.source), ("labels", self.labels), ("rejects", self.rejects))
        try:
            if any(path.stat().st_size != record[key]["size"] for key, path in files):
                return False
            if seen is None:
                return True
            if seen.digest != record["input"]["sha256"]:
                return False
            return all(scan(path).digest == record[key]["sha256"] for key, path in files[1:])
        except (OSError, KeyError, TypeError, UserError):
            return False

    def write_record(
        self,
        settings: str,
        source: Scan,
        labels: ShardWriter,
        rejects: ShardWriter,
        tally: dict[str, Any],
    ) -> None:
        """Marks the shard as done; the two writers are closed."""
        record = {
            "settings": settings,
            "input": {"size": source.size, "sha256": source.digest},
            "labels": {"size": labels.size, "sha256": labels.digest},
            "rejects": {"size": rejects.size, "sha256": rejects.digest},
            "tally": tally,
        }
        write_atomic(self.record, json.dumps(record, allow_nan=False) + "\n")
