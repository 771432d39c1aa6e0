"""The work folder: which stages are done, with which settings, and who is at work in it."""

from __future__ import annotations

import errno
import fcntl
import json
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import IO, Any

from launch.settings import differences
from ppt_jax import __version__
from ppt_jax.errors import UserError
from ppt_jax.storage import write_atomic

# The stages in order, each with the config sections that decide what it makes.
SECTIONS: dict[str, tuple[str, ...]] = {
    "author": ("seed", "author"),
    "label": ("seed", "label"),
    "dataset": ("seed", "data", "source"),
    "train": ("seed", "model", "train"),
    "evaluate": ("seed", "evaluate"),
}
# Fields that say how the work is done, not what comes out: they may differ between two runs.
EXECUTION_FIELDS = {
    ("author", "processes"),
    ("author", "in_flight"),
    ("author", "finish"),
    ("label", "processes"),
    ("train", "mesh"),
    ("train", "log_every"),
    ("train", "checkpoint_every"),
    ("train", "keep_checkpoints"),
    ("train", "profile_first"),
    ("train", "profile_steps"),
}


# What a finished stage leaves, beside the shards.
_OUTPUTS = {
    "author": ("corpus.json",),
    "label": ("labels/summary.json",),
    "dataset": ("dataset/manifest.json", "tokenizer/tokenizer.json"),
    "train": ("train/checkpoints/train.json", "train/checkpoints/ppt_best"),
    "evaluate": ("results.json", "report.html", "report.md"),
}


class Workdir:
    """A work folder opened by one process at a time, or by several labelling tasks.

    Layout: ``stages/<stage>.json`` (settings and state of each stage), ``scenarios/``, ``labels/``,
    ``dataset/``, ``tokenizer/``, ``train/``, ``evaluation/``, ``report.html``, ``report.md`` and
    ``results.json``.

    Args:
      path: the folder; made when missing.
      config: the resolved config of this run, JSON types only.
      shared: let others in that say so too; tasks that never write the same file.

    Raises:
      UserError: another process is at work in the folder, or the path is no folder.
    """

    def __init__(self, path: str, config: Mapping[str, Any], *, shared: bool = False) -> None:
        self.path = pathlib.Path(path)
        self.config = dict(config)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock: IO[str] = open(self.path / ".lock", "a+")
        except OSError as error:
            raise UserError(
                f"--workdir={path}: cannot use this folder ({error.strerror})"
            ) from error
        try:
            kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
            fcntl.flock(self._lock, kind | fcntl.LOCK_NB)
        except OSError as error:
            if shared and error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                return  # a file system without locks: tasks do not need this one
            raise UserError(
                f"--workdir={path}: another process is at work in this folder; wait for it, or use "
                "another folder"
            ) from error

    def close(self) -> None:
        """Lets others into the folder."""
        self._lock.close()

    def __enter__(self) -> Workdir:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _settings(self, stage: str) -> dict[str, Any]:
        settings: dict[str, Any] = {}
        for name in SECTIONS[stage]:
            value = self.config.get(name)
            if isinstance(value, dict):
                value = {k: v for k, v in value.items() if (name, k) not in EXECUTION_FIELDS}
            settings[name] = value
        return settings

    def _record(self, stage: str) -> dict[str, Any] | None:
        return _read_record(self.path, stage)

    def check(self, stages: tuple[str, ...] = tuple(SECTIONS)) -> None:
        """Refuses a folder whose stages were made with other settings, naming every field.

        Raises:
          UserError: lists ``config.section.field: old there, new now`` for each stage.
        """
        problems: list[str] = []
        for stage in stages:
            record = self._record(stage)
            if record is not None:
                for line in differences(record["settings"], self._settings(stage)):
                    if line not in problems:
                        problems.append(line)
        if problems:
            raise UserError(
                f"{self.path} was made with another config:\n  "
                + "\n  ".join(problems)
                + "\nUse the old values, or another --workdir."
            )

    def done(self, stage: str) -> bool:
        """Whether the stage has finished in this folder."""
        record = self._record(stage)
        return record is not None and bool(record["done"])

    def seconds(self) -> dict[str, float]:
        """Wall-clock seconds spent in each stage so far."""
        return read_seconds(self.path)

    def require(self, stage: str) -> None:
        """Refuses to go on before every earlier stage has finished.

        Raises:
          UserError: names the first unfinished stage and the command that runs it.
        """
        names = list(SECTIONS)
        before = names[: names.index(stage)]
        if self.foreign_input() and stage != "label":
            before.remove("author")  # these labels were made of scenarios from elsewhere
        for earlier in before:
            if not self.done(earlier):
                raise UserError(
                    f"{self.path}: stage `{earlier}` is not finished; run python -m "
                    f"launch.{earlier} with the same --config and --workdir first, or "
                    "python -m launch.pipeline for all stages"
                )

    def lost(self, stage: str) -> str:
        """The first file that a finished stage should have left and that is not there, or ""."""
        names = [str(self.path / name) for name in _OUTPUTS.get(stage, ())]
        author = {} if self.foreign_input() else self.config.get("author") or {}
        folder = {"author": "scenarios", "label": "labels"}.get(stage)
        if folder and "shards" in author:
            for field, size in author.items():
                if field.endswith("_size") and size:
                    count = min(author["shards"], size)  # no shard is empty
                    split = field[: -len("_size")]
                    names += [
                        str(self.path / folder / f"{split}-{at:05d}-of-{count:05d}.jsonl")
                        for at in range(count)
                    ]
        return next((name for name in names if not pathlib.Path(name).exists()), "")

    def run(self, stage: str, work: Callable[[], None]) -> bool:
        """Runs one stage, unless it is done; a stage that was cut off goes on where it was.

        Args:
          stage: a key of `SECTIONS`.
          work: does the stage's work; restartable.

        Returns:
          True when the stage ran, False when it was done already.
        """
        if self.done(stage):
            lost = self.lost(stage)
            if not lost:
                return False
            print(f"{stage}: {lost} is gone, making it again", flush=True)
        earlier = self._record(stage)
        spent = 0.0 if earlier is None else float(earlier["seconds"])
        self.mark(stage, done=False, seconds=spent)
        start = time.monotonic()
        done = False
        try:
            work()
            done = True
        finally:
            self.mark(stage, done=done, seconds=spent + time.monotonic() - start)
        return True

    def mark(self, stage: str, *, done: bool, seconds: float, source: str = "") -> None:
        """Writes a stage's record.

        Args:
          stage: a key of `SECTIONS`.
          done: whether it has finished.
          seconds: wall-clock seconds spent in it so far.
          source: where its input stands when that is not this folder.
        """
        row: dict[str, Any] = {
            "stage": stage,
            "version": __version__,
            "settings": self._settings(stage),
            "done": done,
            "seconds": round(seconds, 1),
        }
        if source:
            row["input"] = source
        write_atomic(self.path / "stages" / f"{stage}.json", json.dumps(row, indent=1))

    def foreign_input(self) -> str:
        """Where the labelled scenarios came from when that was not this folder, or ""."""
        record = self._record("label")
        return "" if record is None else str(record["input"])


def _read_record(path: pathlib.Path, stage: str) -> dict[str, Any] | None:
    file = path / "stages" / f"{stage}.json"
    if not file.exists():
        return None
    try:
        row = json.loads(file.read_text(encoding="utf-8"))
        found = {name: row[name] for name in ("settings", "done", "seconds")}
        return {**found, "input": row.get("input", "")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file}: cannot be read ({error!r}); use a new --workdir") from error


def read_seconds(path: pathlib.Path) -> dict[str, float]:
    """Wall-clock seconds spent in each stage that a work folder has begun.

    Args:
      path: the work folder.
    """
    records = {stage: _read_record(path, stage) for stage in SECTIONS}
    return {stage: row["seconds"] for stage, row in records.items() if row}
