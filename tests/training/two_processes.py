"""One of two processes of `test_two_processes`: ``PORT INDEX FOLDER PHASE``.

Phase ``first`` trains a whole run, then a run whose data ends in the middle. Phase ``second`` goes
on with the latter; then process 1 dies without a word, and process 0 must not wait for ever.
"""

import dataclasses
import os
import pathlib
import signal
import sys

import jax
import numpy as np
import pytest

from ppt_jax.errors import UserError
from ppt_jax.models.decoder import init_params
from ppt_jax.training.loop import TrainConfig, train
from ppt_jax.training.optimizer import OptimizerConfig
from ppt_jax.training.sharding import MeshConfig
from tests.models.packed import MAX_ANSWERS
from tests.training.problem import MODEL, STOP_SV, Batches, BatchIterator

LORA = dataclasses.replace(MODEL, adapter_rank=3, adapter_dropout=0.1)
CONFIG = TrainConfig(
    steps=6,
    optimizer=OptimizerConfig(learning_rate=1e-2, warmup_steps=2),
    mesh=MeshConfig(data=-1, fsdp=2),
    accumulate=2,
    log_every=2,
    validate_every=6,
    checkpoint_every=3,
)


class Share(Batches):
    """This process's rows of the global batch."""

    def __iter__(self):
        class Iterator(BatchIterator):
            def __next__(self):
                batch = super().__next__()
                half = len(batch["tokens_BT"]) // 2
                own = slice(half * jax.process_index(), half * (jax.process_index() + 1))
                return {name: array[own] for name, array in batch.items()}

        return Iterator(self)


def go(folder, last=None):
    return train(
        CONFIG,
        LORA,
        workdir=folder,
        stop_SV=STOP_SV,
        max_answers=MAX_ANSWERS,
        data=Share(last=last, rows=16),
        validation=Share(first=900, last=1, rows=16),
        params=init_params(MODEL, jax.random.key(1)),
        silent=True,
    )


def whole(result):
    """All parameters, gathered over the processes."""
    from jax.experimental import multihost_utils

    leaves = jax.tree.leaves(result.params)
    return [np.asarray(multihost_utils.process_allgather(leaf, tiled=True)) for leaf in leaves]


def main(port, index, folder, phase):
    jax.distributed.initialize(
        f"127.0.0.1:{port}", 2, index, initialization_timeout=120, heartbeat_timeout_seconds=10
    )
    assert (jax.process_count(), jax.device_count()) == (2, 4)
    if phase == "first":
        found = whole(go(folder / "whole"))
        with pytest.raises(UserError, match="ran out after 4 of 6"):
            go(folder / "parts", last=4)
    else:
        found = whole(go(folder / "parts"))
    if index == 0:
        np.savez(folder / f"{phase}.npz", *found)
        print("saved", flush=True)
    if phase == "second":
        if index == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        go(folder / "alone")  # its first collective has nobody to talk to
        print("went on alone", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), pathlib.Path(sys.argv[3]), sys.argv[4])
