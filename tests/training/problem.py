"""A tiny problem for the tests of the step and the loop, with data whose position can be saved."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np

from ppt_jax.models.answers import StopSets
from ppt_jax.models.decoder import DecoderConfig
from ppt_jax.training.objectives.soft_label import soft_label
from tests.models.packed import (
    DIGITS,
    MAX_ANSWERS,
    ODD_MERGES,
    ONE_TOKEN,
    VOCAB,
    pack_rows,
    random_story,
    stop_mask,
)

MODEL = DecoderConfig(
    vocab_size=VOCAB + 1, width=32, layers=2, heads=4, kv_heads=2, head_size=8, mlp_width=48
)
STOP_SV = stop_mask(VOCAB + 1)
STOPS = StopSets.from_mask(STOP_SV)
OBJECTIVE = soft_label(STOPS, MAX_ANSWERS)
SHAPE = {
    "vocab": VOCAB + 1,
    "max_answers": MAX_ANSWERS,
    "length": 72,
    "nodes": 36,
    "edges": 56,
    "asks": 4,
}


def batch_of(seed: int, rows: int = 8) -> dict[str, np.ndarray]:
    """Rows with one to three asks of unequal weights, so that a mean of means would be wrong."""
    rng = np.random.default_rng(seed)
    supports = [ONE_TOKEN, DIGITS, ODD_MERGES]
    packed = [[random_story(rng, VOCAB, supports[: 1 + row % 3])] for row in range(rows)]
    return pack_rows(packed, **SHAPE)


def on_device(batch: dict[str, np.ndarray]) -> dict[str, Any]:
    return {name: jnp.asarray(array) for name, array in batch.items()}


class Batches:
    """An endless data set: batch n is made from seed n."""

    def __init__(self, first: int = 0, rows: int = 8, last: int | None = None) -> None:
        self.first, self.rows, self.last = first, rows, last

    def __iter__(self) -> BatchIterator:
        return BatchIterator(self)


class BatchIterator(Iterator):
    def __init__(self, source: Batches) -> None:
        self.source, self.at = source, 0

    def __next__(self) -> dict[str, np.ndarray]:
        if self.source.last is not None and self.at >= self.source.last:
            raise StopIteration
        self.at += 1
        return batch_of(self.source.first + self.at, self.source.rows)

    def get_state(self) -> dict[str, Any]:
        return {"at": self.at}

    def set_state(self, state: dict[str, Any]) -> None:
        self.at = state["at"]
