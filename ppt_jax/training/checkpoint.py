"""Checkpoints that resume to the bit, and refuse to resume what they do not fit.

A checkpoint holds the whole state (parameters apart, so that they can be read alone; moments,
counters, PRNG key) and the position of the data iterator, one small JSON file a process. Beside all
checkpoints of a run stands one ``train.json``: resolved configs, package versions, devices and the
fingerprint of the data.
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
import os
import pathlib
import warnings
from collections.abc import Awaitable, Collection, Mapping
from typing import Any, Protocol

import jax
from orbax.checkpoint import v1 as ocp

from ppt_jax.errors import UserError
from ppt_jax.models.decoder import Params
from ppt_jax.storage import read_jsonl, write_atomic

PACKAGES = ("jax", "jaxlib", "flax", "optax", "grain", "numpy", "orbax-checkpoint", "ppt_jax")

logging.getLogger("absl").addFilter(
    lambda record: record.levelno >= logging.WARNING or "orbax" not in record.pathname
)


class CheckpointError(UserError):
    """A checkpoint cannot be written or read, or does not fit the run."""


class PositionedIterator(Protocol):
    """A data iterator whose position can be saved (every Grain iterator)."""

    def __next__(self) -> Mapping[str, Any]:
        """The next batch."""
        ...

    def get_state(self) -> dict[str, Any]:
        """Its position, as JSON types."""
        ...

    def set_state(self, state: dict[str, Any]) -> None:
        """Goes to a saved position."""
        ...


class _Progress:
    """A JSON object a process, saved inside an Orbax checkpoint (`ocp.StatefulCheckpointable`).

    The position of the data is one of the global stream, the same in every process; with
    `any_count` another number of processes than saved it may go on from there.
    """

    def __init__(self, content: dict[str, Any] | None = None, any_count: bool = False) -> None:
        self.content, self.any_count = content, any_count

    def _name(self) -> str:
        return f"process_{jax.process_index()}-of-{jax.process_count()}.json"

    async def save(self, directory: Any) -> Awaitable[None]:
        text = json.dumps(self.content)

        async def write() -> None:
            folder = await directory.await_creation()
            (folder / self._name()).write_text(text)

        return write()

    async def load(self, directory: Any) -> Awaitable[None]:
        async def read() -> None:
            path = directory / self._name()
            if not path.exists() and self.any_count:
                path = min(directory.glob("process_*.json"), default=path)
            self.content = json.loads(path.read_text())

        return read()


class Checkpoints:
    """The checkpoints of one phase of a run.

    Args:
      folder: where they live, one sub-folder a step.
      keep: how many of the latest are kept.
    """

    def __init__(self, folder: str | os.PathLike[str], keep: int) -> None:
        self._folder = pathlib.Path(folder).absolute()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._orbax = ocp.training.Checkpointer(
            self._folder,
            save_decision_policy=ocp.training.save_decision_policies.FixedIntervalPolicy(1),
            preservation_policy=ocp.training.preservation_policies.LatestN(keep),
            cleanup_tmp_directories=True,
        )

    @property
    def latest(self) -> int | None:
        """Step of the newest whole checkpoint, or None."""
        newest = self._orbax.latest
        return None if newest is None else int(newest.step)

    def save(self, step: int, trees: Mapping[str, Any], progress: dict[str, Any]) -> None:
        """Starts to write a checkpoint in the background; a step already there is replaced.

        Args:
          step: its number.
          trees: named pytrees of arrays; they may be donated as soon as this returns.
          progress: JSON object with the data position and whatever the loop must remember.
        """
        content = {**trees, "progress": _Progress(progress)}
        try:
            self._orbax.wait()
            there = step in {int(found.step) for found in self._orbax.checkpoints}
            self._orbax.save_checkpointables_async(step, content, force=True, overwrite=there)
        except (OSError, ValueError) as error:
            raise self._cannot_write(error) from error

    def restore(
        self, abstract: Mapping[str, Any], any_count: bool = False
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Reads the newest checkpoint.

        Args:
          abstract: the named pytrees wanted, as shapes, dtypes and shardings.
          any_count: also one that another number of processes saved.

        Returns:
          The named pytrees, and the progress object.

        Raises:
          CheckpointError: none there, damaged, or of other shapes.
        """
        step = self.latest
        if step is None:
            raise CheckpointError(f"{self._folder}: no checkpoint here; train first")
        progress = _Progress(any_count=any_count)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                loaded = self._orbax.load_checkpointables(step, {**abstract, "progress": progress})
        except FileNotFoundError as error:
            raise CheckpointError(
                f"{self._folder}/{step}: incomplete ({error}); a run continues only with as many "
                f"processes as saved it (now {jax.process_count()}), unless `hardware` is accepted"
            ) from error
        except (OSError, ValueError, KeyError) as error:
            raise CheckpointError(
                f"{self._folder}/{step}: cannot be read ({str(error)[:300]}); remove that folder "
                "to go on from the one before"
            ) from error
        loaded.pop("progress")
        return loaded, progress.content or {}

    def wait(self) -> None:
        """Waits until what was saved is on disk; the folder stays open."""
        try:
            self._orbax.wait()
        except (OSError, ValueError) as error:
            raise self._cannot_write(error) from error

    def close(self) -> None:
        """Waits until everything is on disk."""
        try:
            self._orbax.close()
        except (OSError, ValueError) as error:
            raise self._cannot_write(error) from error

    def _cannot_write(self, error: Exception) -> CheckpointError:
        return CheckpointError(
            f"{self._folder}: cannot write a checkpoint ({str(error)[:300]}); earlier ones are "
            "untouched: free space and start the same command again"
        )


def restore_params(folder: str | os.PathLike[str], abstract: Params) -> Params:
    """Parameters of the newest checkpoint in a folder.

    Args:
      folder: e.g. ``workdir/checkpoints/ppt``.
      abstract: tree of `jax.ShapeDtypeStruct` with shardings.

    Raises:
      CheckpointError: no checkpoint, or of another model.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no checkpoint here; train first")
    store = Checkpoints(folder, keep=1_000_000)
    try:
        return store.restore({"params": abstract}, any_count=True)[0]["params"]
    finally:
        store.close()


def identity(
    configs: Mapping[str, Any], fingerprint: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What a run must have in common with its checkpoints, as JSON types.

    Args:
      configs: resolved configs by name; fields that cannot change the result are left out.
      fingerprint: of data and tokenizer, from the data room.
    """
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    devices = jax.devices()
    place = {
        "platform": devices[0].platform,
        "kind": devices[0].device_kind,
        "devices": len(devices),
        "processes": jax.process_count(),
    }
    content = {**configs, "data": dict(fingerprint or {}), "versions": versions, "hardware": place}
    return json.loads(json.dumps(content))


def check_identity(
    path: str | os.PathLike[str],
    now: dict[str, Any],
    accept: Collection[str] = (),
    only: str | None = None,
) -> None:
    """Compares a run with the one that wrote the checkpoints beside it; a first run writes it down.

    Args:
      path: the ``train.json``.
      now: of `identity`.
      accept: names, or beginnings of names ("versions"), that may differ.
      only: compare this part alone, and write nothing.

    Raises:
      CheckpointError: something differs; the message names each field with both values.
    """
    path = pathlib.Path(path)
    if path.exists():
        (_, before), *_ = list(read_jsonl(path)) or [(0, {})]
        if only is not None:
            before, now = ({only: part.get(only)} for part in (before, json.loads(json.dumps(now))))
        lines = [
            line
            for name, line in _differences(before, now, "")
            if not any(name == known or name.startswith(known + ".") for known in accept)
        ]
        if lines:
            raise CheckpointError(
                f"{path}: this run does not fit the checkpoints beside it:\n  "
                + "\n  ".join(lines)
                + "\nUse another workdir, or the same settings, versions, data and devices."
            )
    elif only is None:
        write_atomic(path, json.dumps(now) + "\n")


def _differences(old: Any, new: Any, name: str) -> list[tuple[str, str]]:
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for key in sorted(old.keys() | new.keys()):
            inner = f"{name}.{key}" if name else key
            found += _differences(old.get(key, "(absent)"), new.get(key, "(absent)"), inner)
        return found
    return [] if old == new else [(name, f"{name}: {old!r} in the checkpoints, {new!r} now")]
