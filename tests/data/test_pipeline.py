import collections
import json
import pathlib
import random
from typing import Any

import grain
import numpy as np
import pytest
from orbax.checkpoint import v1 as ocp

from ppt_jax.data.packing import Batch, PackConfig, Unit, units_of
from ppt_jax.data.pipeline import PackedBatches, StreamConfig, packed_batches
from ppt_jax.data.trees import Compiler, ask_ids
from ppt_jax.errors import UserError
from tests.data import examples

CONFIG = PackConfig(rows=2, tokens=420, nodes=200, edges=700, asks=12, max_stop_nodes=3)


def compiled(config: PackConfig = CONFIG, count: int = 24) -> tuple[Compiler, list[Unit]]:
    compiler = Compiler(examples.tokenizer_of("whole"))
    trees = [
        tree
        for at, record in enumerate(examples.records(count, words=20))
        for tree in [compiler.tree(record, 4 * at)]
    ]
    return compiler, units_of(trees, config)[0]


def batches(stream: StreamConfig, config: PackConfig = CONFIG) -> PackedBatches:
    compiler, units = compiled(config)
    return packed_batches(units, config, stream, pad=compiler.pad)


def assert_same(left: Batch, right: Batch) -> None:
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


def seen_asks(rows: list[Batch]) -> collections.Counter[int]:
    found: collections.Counter[int] = collections.Counter()
    for batch in rows:
        index_BA, weight_BA = batch["ask_index_BA"], batch["ask_weight_BA"]
        assert ((index_BA >= 0) == (weight_BA == 1)).all()
        found.update(index_BA[index_BA >= 0].tolist())
    return found


@pytest.mark.parametrize("mode", ["train", "full"])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("open_rows", [1, 3, 16])
def test_first_fit_never_loses_or_repeats_an_ask(mode: str, shuffle: bool, open_rows: int) -> None:
    config = PackConfig(
        rows=2, tokens=700, nodes=450, edges=900, asks=12, mode=mode, open_rows=open_rows
    )
    once = list(batches(StreamConfig(shuffle=shuffle, epochs=1), config))
    assert seen_asks(once) == dict.fromkeys(range(96), 1)
    thrice = list(batches(StreamConfig(shuffle=shuffle, epochs=3), config))
    assert seen_asks(thrice) == dict.fromkeys(range(96), 3)
    assert len({name: batch.shape for batch in once for name, batch in batch.items()}) == 11


def test_shapes_and_types_are_fixed() -> None:
    shapes = {
        tuple((name, array.shape, array.dtype.name) for name, array in batch.items())
        for batch in batches(StreamConfig(epochs=2))
    }
    assert len(shapes) == 1
    kinds = {name: dtype for name, _, dtype in shapes.pop()}
    assert {name for name, dtype in kinds.items() if dtype == "float32"} == {
        "edge_mass_BE",
        "ask_weight_BA",
    }
    assert set(kinds.values()) == {"float32", "int32"}


def test_packing_fills_rows() -> None:
    config = PackConfig(rows=2, tokens=1200, nodes=400, edges=1600, asks=24, max_stop_nodes=3)
    rows = list(batches(StreamConfig(epochs=4), config))
    filled = np.concatenate([(batch["positions_BT"] > 0).mean(axis=1) for batch in rows])
    assert np.median(filled) > 0.8


@pytest.mark.parametrize("at", random.Random(5).sample(range(1, 40), 4))
def test_resume_gives_exactly_the_following_batches(at: int) -> None:
    stream = StreamConfig(seed=3)
    original = iter(batches(stream))
    for _ in range(at):
        next(original)
    state = json.loads(json.dumps(original.get_state()))  # as a checkpoint stores it
    expected = [next(original) for _ in range(15)]
    fresh = iter(batches(stream))
    fresh.set_state(state)
    for batch in expected:
        assert_same(batch, next(fresh))
    original.set_state(state)  # backwards, on the iterator that has moved on
    assert_same(expected[0], next(original))


def test_resume_behind_prefetch() -> None:
    """Prefetch runs ahead; the saved position is that of the batch handed out."""

    def stream() -> Any:
        return grain.experimental.ThreadPrefetchIterDataset(
            batches(StreamConfig(seed=4)), prefetch_buffer_size=5
        )

    original = iter(stream())
    for _ in range(7):
        next(original)
    state = original.get_state()
    expected = [next(original) for _ in range(8)]
    fresh = iter(stream())
    fresh.set_state(state)
    for batch in expected:
        assert_same(batch, next(fresh))


def test_position_travels_in_an_orbax_checkpoint(tmp_path: pathlib.Path) -> None:
    original = iter(batches(StreamConfig(seed=5)))
    for _ in range(5):
        next(original)
    ocp.save_checkpointables(tmp_path / "step", {"data": original})
    expected = next(original)
    fresh = iter(batches(StreamConfig(seed=5)))
    ocp.load_checkpointables(tmp_path / "step", {"data": fresh})
    assert_same(expected, next(fresh))


def test_position_of_other_data_is_refused() -> None:
    state = iter(batches(StreamConfig(seed=1))).get_state()
    other = PackConfig(rows=2, tokens=430, nodes=200, edges=700, asks=12, max_stop_nodes=3)
    for changed in (batches(StreamConfig(seed=2)), batches(StreamConfig(seed=1), other)):
        with pytest.raises(UserError, match="have changed"):
            iter(changed).set_state(state)


def test_processes_share_one_global_batch() -> None:
    config = PackConfig(rows=4, tokens=420, nodes=200, edges=700, asks=12, max_stop_nodes=3)
    whole = iter(batches(StreamConfig(seed=2), config))
    parts = [
        iter(batches(StreamConfig(seed=2, process_index=at, process_count=2), config))
        for at in range(2)
    ]
    for _ in range(6):
        batch = next(whole)
        pieces = [next(part) for part in parts]
        joined = {name: np.concatenate([piece[name] for piece in pieces]) for name in batch}
        assert_same(batch, joined)
    # A position saved by one process serves any number of them.
    expected = next(whole)
    single = iter(batches(StreamConfig(seed=2), config))
    single.set_state(parts[1].get_state())
    assert_same(expected, next(single))


def test_epochs_are_shuffled_and_sampled_anew() -> None:
    first, second = (next(iter(batches(StreamConfig(seed=seed))))["tokens_BT"] for seed in (1, 2))
    assert not np.array_equal(first, second)
    single = PackConfig(rows=1, tokens=420, nodes=200, edges=700, asks=4, max_stop_nodes=1)
    compiler, units = compiled(single, count=1)
    passes = list(packed_batches(units, single, StreamConfig(epochs=2), pad=compiler.pad))
    assert len(passes) == 2
    assert not np.array_equal(passes[0]["edge_mass_BE"], passes[1]["edge_mass_BE"])


def test_ask_indices_join_to_records() -> None:
    compiler = Compiler(examples.tokenizer_of("whole"))
    records = examples.records(3)
    names = ask_ids(compiler.trees(records))
    assert names == {
        4 * at + position: f"{record.id}/{ask.id}"
        for at, record in enumerate(records)
        for position, ask in enumerate(record.asks)
    }


def test_bad_streams() -> None:
    compiler, units = compiled()
    with pytest.raises(UserError, match="no asks to pack"):
        packed_batches([], CONFIG, StreamConfig(), pad=0)
    with pytest.raises(UserError, match="does not divide by 3"):
        packed_batches(units, CONFIG, StreamConfig(process_count=3), pad=compiler.pad)
    with pytest.raises(UserError, match="process_index"):
        StreamConfig(process_index=2, process_count=2)
    with pytest.raises(UserError, match="epochs"):
        StreamConfig(epochs=0)
