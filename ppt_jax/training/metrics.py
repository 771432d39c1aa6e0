"""Where numbers of a run go: one JSON line a record, and TensorBoard, consistent over resumes."""

from __future__ import annotations

import json
import math
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import tensorboardX

from ppt_jax.storage import read_jsonl, write_jsonl
from ppt_jax.training.flops import utilisation


class MetricLog:
    """Appends records to ``metrics.jsonl`` and to TensorBoard event files.

    A record is ``{"phase", "step", "split", name: number, ...}``; numbers that are not finite are
    written as null, so that every line is JSON.

    Args:
      workdir: the run's folder; gets ``metrics.jsonl`` and ``tensorboard/<phase>/``.
      writes: False on processes other than the first: nothing is written.
    """

    def __init__(self, workdir: str | os.PathLike[str], writes: bool = True) -> None:
        self._folder, self._writes = pathlib.Path(workdir), writes
        self._path = self._folder / "metrics.jsonl"
        self._board: tensorboardX.SummaryWriter | None = None

    def start(self, phase: str, step: int) -> None:
        """Opens a phase at a step; records of it that a killed run wrote beyond are dropped."""
        if not self._writes:
            return
        self.close()
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._path.exists():
            with open(self._path, "rb+") as file:  # a line cut off by a kill is dropped
                content = file.read()
                file.truncate(content.rfind(b"\n") + 1)
            rows = [row for _, row in read_jsonl(self._path)]
            kept = [row for row in rows if row["phase"] != phase or row["step"] <= step]
            if len(kept) < len(rows):
                write_jsonl(self._path, kept)
        folder = str(self._folder / "tensorboard" / phase)
        self._board = tensorboardX.SummaryWriter(folder, purge_step=step + 1 if step else None)

    def record(self, phase: str, step: int, split: str, values: Mapping[str, float]) -> None:
        """Writes one record and flushes it."""
        if not self._writes:
            return
        row: dict[str, Any] = {"phase": phase, "step": step, "split": split}
        for name, value in values.items():
            row[name] = round(float(value), 7) if math.isfinite(value) else None
            if self._board is not None:
                self._board.add_scalar(f"{split}/{name}", float(value), step)
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps(row, allow_nan=False) + "\n")
        if self._board is not None:
            self._board.flush()

    def close(self) -> None:
        """Closes the event file."""
        if self._board is not None:
            self._board.close()
            self._board = None


class Window:
    """Sums (sum, weight) pairs over several steps and divides once."""

    def __init__(self) -> None:
        self._pairs: dict[str, np.ndarray] = {}
        self._latest: dict[str, float] = {}

    def add(self, metrics: Mapping[str, np.ndarray]) -> None:
        """Adds the metrics of one step; scalars (gradient norm, counts) keep their latest value."""
        for name, value in metrics.items():
            if np.ndim(value) == 1:
                self._pairs[name] = self._pairs.get(name, 0) + np.asarray(value, np.float64)
            else:
                self._latest[name] = float(value)

    def means(self) -> dict[str, float]:
        """Means since the last call, and the latest scalars; starts a new window."""
        means = {name: float(s / w) if w else math.nan for name, (s, w) in self._pairs.items()}
        result = {**means, **self._latest}
        self._pairs, self._latest = {}, {}
        return result


def rates(tokens: int, flops: float, seconds: float, devices: int) -> dict[str, float]:
    """Speed and memory of some steps; every process has an equal share of the rows.

    Args:
      tokens: tokens of this process's rows that are no padding.
      flops: operations that they took, see `flops.step_flops`.
      seconds: wall time.
      devices: of all processes.

    Returns:
      ``tokens_per_second`` and ``model_tflops_per_second`` over all processes; ``mfu`` on chips
      with a published peak; ``peak_memory_gb`` of the first device where it reports it.
    """
    count, device = jax.process_count(), jax.local_devices()[0]
    found = {
        "tokens_per_second": count * tokens / seconds,
        "model_tflops_per_second": count * flops / seconds / 1e12,
    }
    share = utilisation(count * flops, seconds, devices, device.device_kind)
    memory = (device.memory_stats() or {}).get("peak_bytes_in_use")
    if share is not None:
        found["mfu"] = share
    if memory is not None:
        found["peak_memory_gb"] = memory / 1e9
    return found
