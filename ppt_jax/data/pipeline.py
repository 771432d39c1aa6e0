"""Batches of packed rows as a Grain dataset with an exactly resumable position.

    units -> MapDataset (seeded shuffle, repeat) -> PackedBatches -> [prefetch] -> training step

Rows are planned from sizes alone, so every process plans the same global batches and fills only
its own rows: the global batch does not depend on the number of processes, and a checkpoint's
position is valid for any number. The position is a handful of integers: the stream position, and
for each open or waiting row the stream positions of its units.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import grain

from ppt_jax.data.layout import empty_batch, fill_row
from ppt_jax.data.packing import Batch, PackConfig, Size, Unit
from ppt_jax.errors import UserError
from ppt_jax.storage import content_hash


@dataclasses.dataclass(frozen=True)
class StreamConfig:
    """Order of the units and which rows of each batch this process fills.

    Attributes:
      seed: seed of the shuffle and of the sampled stop nodes.
      shuffle: shuffle anew in every epoch; without it the order of the split.
      epochs: passes over the data; None repeats without end.
      process_index: number of this process.
      process_count: number of processes; divides the rows.
    """

    seed: int = 0
    shuffle: bool = True
    epochs: int | None = None
    process_index: int = 0
    process_count: int = 1

    def __post_init__(self) -> None:
        if self.epochs is not None and self.epochs < 1:
            raise UserError(f"StreamConfig.epochs={self.epochs}: must be 1 or more, or None")
        if not 0 <= self.process_index < self.process_count:
            raise UserError(
                f"StreamConfig.process_index={self.process_index}: must be in "
                f"0..{self.process_count - 1} (process_count={self.process_count})"
            )


class PackedBatches(grain.IterDataset):
    """First-fit packing of a stream of units into batches of fixed shape.

    A unit goes into the first open row that still has room for it. When none has and
    ``open_rows`` rows are open, the one with the fewest free tokens is closed. Closed rows are
    handed out in order of closing, ``rows`` at a time. A finite stream ends with the open rows
    and, when needed, with empty rows, so that no ask is lost.

    Args:
      parent: random-access stream of `Unit`.
      config: shapes and mode.
      pad: token that fills up rows.
      stream: seed, and which rows to fill.
      fingerprint: names data and shapes; a saved position of another one is refused.
    """

    def __init__(
        self,
        parent: grain.MapDataset,
        config: PackConfig,
        pad: int,
        stream: StreamConfig,
        fingerprint: str = "",
    ) -> None:
        super().__init__(parent)
        self._units, self._config, self._pad = parent, config, pad
        self._stream, self._fingerprint = stream, fingerprint

    def __str__(self) -> str:
        return f"PackedBatches({self._config})"

    def __iter__(self) -> _PackedIterator:
        return _PackedIterator(
            self._units, self._config, self._pad, self._stream, self._fingerprint
        )


@dataclasses.dataclass
class _Row:
    """One row while it fills: its units with their stream positions, and the room they take."""

    units: list[tuple[int, Unit]]
    size: Size

    @property
    def positions(self) -> list[int]:
        return [position for position, _ in self.units]


class _PackedIterator(grain.DatasetIterator):
    """The packing loop; all of its state is in `get_state`."""

    def __init__(
        self,
        units: grain.MapDataset,
        config: PackConfig,
        pad: int,
        stream: StreamConfig,
        fingerprint: str,
    ) -> None:
        super().__init__()
        self._units, self._config, self._pad, self._stream = units, config, pad, stream
        self._fingerprint = fingerprint
        self._next = 0
        self._open: list[_Row] = []
        self._closed: list[_Row] = []

    def _unit(self, position: int) -> Unit:
        unit = self._units[position]
        assert isinstance(unit, Unit)
        return unit

    def _place(self, position: int) -> None:
        """Puts one unit into the first open row that has room."""
        unit = self._unit(position)
        for row in self._open:
            size = row.size + unit.size
            if size.fits(self._config):
                row.units.append((position, unit))
                row.size = size
                return
        if len(self._open) == self._config.open_rows:
            fullest = max(range(len(self._open)), key=lambda at: self._open[at].size.tokens)
            self._closed.append(self._open.pop(fullest))
        self._open.append(_Row([(position, unit)], unit.size))

    def __next__(self) -> Batch:
        rows = self._config.rows
        while len(self._closed) < rows and self._next < len(self._units):
            self._place(self._next)
            self._next += 1
        if len(self._closed) < rows:  # the stream has ended
            self._closed += self._open
            self._open = []
        if not self._closed:
            raise StopIteration
        batch_rows, self._closed = self._closed[:rows], self._closed[rows:]
        own = rows // self._stream.process_count
        first = own * self._stream.process_index
        batch = empty_batch(own, self._config, self._pad)
        for at, row in enumerate(batch_rows[first : first + own]):
            fill_row(batch, at, row.units, self._config, self._stream.seed)
        return batch

    def get_state(self) -> dict[str, Any]:
        """Everything that decides the following batches, as JSON-able integers."""
        return {
            "fingerprint": self._fingerprint,
            "next": self._next,
            "open": [row.positions for row in self._open],
            "closed": [row.positions for row in self._closed],
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continues where `get_state` was called.

        Raises:
          UserError: the position belongs to other data, shapes or seed.
        """
        if state["fingerprint"] != self._fingerprint:
            raise UserError(
                f"data position of {state['fingerprint']}, this run's data is "
                f"{self._fingerprint}: data set, tokenizer, shapes or seed have changed since "
                "the checkpoint; resume with what it was made with"
            )
        self._next = state["next"]
        self._open = [self._row(positions) for positions in state["open"]]
        self._closed = [self._row(positions) for positions in state["closed"]]

    def _row(self, positions: Sequence[int]) -> _Row:
        units = [(position, self._unit(position)) for position in positions]
        return _Row(units, sum((unit.size for _, unit in units), Size()))


def units_fingerprint(units: Sequence[Unit], config: PackConfig, stream: StreamConfig) -> str:
    """16 hex digits that change with units, shapes, mode, seed or order (not with processes)."""
    order = dataclasses.asdict(stream)
    del order["process_index"], order["process_count"]
    content = [
        [unit.tree.id, *dataclasses.astuple(unit.size), int(unit.tree.token_P.sum())]
        for unit in units
    ]
    return content_hash([content, dataclasses.asdict(config), order])


def packed_batches(
    units: Sequence[Unit], config: PackConfig, stream: StreamConfig, *, pad: int
) -> PackedBatches:
    """A Grain dataset of batches (dicts of numpy arrays, see `docs/data.md`).

    Args:
      units: from `ppt_jax.data.packing.units_of`.
      config: shapes of the global batch.
      stream: order, seed, epochs, processes.
      pad: padding token, `ppt_jax.data.trees.Compiler.pad`.

    Returns:
      An `IterDataset`: iterate it, save the iterator's ``get_state()``, and compose it with
      Grain's own transformations (``.map``, ``ThreadPrefetchIterDataset``).

    Raises:
      UserError: no units, or rows that do not divide by the processes.

    Example:
      >>> batches = packed_batches(units, config, StreamConfig(seed=1), pad=0)  # doctest: +SKIP
      >>> next(iter(batches))["tokens_BT"].shape  # doctest: +SKIP
      (8, 1024)
    """
    if not units:
        raise UserError("no asks to pack: the split is empty or nothing fits the rows")
    if config.rows % stream.process_count:
        raise UserError(
            f"PackConfig.rows={config.rows} does not divide by {stream.process_count} processes"
        )
    dataset = grain.MapDataset.source(_InMemory(units)).seed(stream.seed & 0xFFFFFFFF)
    if stream.shuffle:
        dataset = dataset.shuffle()
    if stream.epochs != 1:
        dataset = dataset.repeat(stream.epochs)
    fingerprint = units_fingerprint(units, config, stream)
    return PackedBatches(dataset, config, pad, stream, fingerprint)


class _InMemory:
    """The units as a Grain source, with a short name for Grain's messages."""

    def __init__(self, units: Sequence[Unit]) -> None:
        self._units = units

    def __len__(self) -> int:
        return len(self._units)

    def __getitem__(self, index: int) -> Unit:
        return self._units[index]

    def __repr__(self) -> str:
        return f"units({len(self._units)})"
