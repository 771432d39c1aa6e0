import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from ppt_jax.errors import UserError
from ppt_jax.models.adapters import (
    export_adapter,
    is_adapter,
    joined,
    load_adapter,
    merged,
    read_adapter_config,
    split,
    with_adapters,
)
from ppt_jax.models.decoder import init_params, make_apply
from ppt_jax.training.loop import TrainConfig, load_params, train
from ppt_jax.training.optimizer import OptimizerConfig, make_optimizer
from ppt_jax.training.sharding import MeshConfig, make_mesh
from ppt_jax.training.state import init_state
from tests.models.packed import MAX_ANSWERS
from tests.training.problem import MODEL, STOP_SV, Batches, batch_of, on_device

LORA = dataclasses.replace(
    MODEL, adapter_rank=3, adapter_alpha=6.0, adapter_targets="query|value|down"
)
FAST = OptimizerConfig(learning_rate=1e-2, warmup_steps=2)
CONFIG = TrainConfig(
    steps=6, optimizer=FAST, log_every=2, validate_every=6, checkpoint_every=3, accumulate=2
)


@pytest.fixture(scope="module")
def base():
    return init_params(MODEL, jax.random.key(1))


def randomised(params, config):
    """Adapters with a B that is not zero."""
    trained, frozen = split(params, config)
    keys = iter(jax.random.split(jax.random.key(5), 100))
    drawn = jax.tree.map(lambda leaf: 0.3 * jax.random.normal(next(keys), leaf.shape), trained)
    return joined(drawn, frozen)


def logits(params, config):
    return jax.jit(make_apply(config))(params, on_device(batch_of(3, rows=2)))


def test_fresh_adapters_change_nothing_and_merging_is_the_same_model(base):
    fresh = with_adapters(base, LORA, jax.random.key(2))
    assert sum(is_adapter(name) for name in fresh["layers"]) == 6
    plain = logits(base, MODEL)
    np.testing.assert_array_equal(logits(fresh, LORA), plain)
    moved = randomised(fresh, LORA)
    apart = logits(moved, LORA)
    assert np.abs(apart - plain).max() > 0.1
    whole, config = merged(moved, LORA)
    assert config == dataclasses.replace(LORA, adapter_rank=0)
    np.testing.assert_allclose(logits(whole, config), apart, atol=2e-5)


def test_adapter_dropout_hits_the_adapter_alone(base):
    config = dataclasses.replace(LORA, adapter_dropout=0.5)
    batch, apply = on_device(batch_of(3, rows=2)), make_apply(config)
    fresh = with_adapters(base, config, jax.random.key(2))
    key = jax.random.key(0)
    np.testing.assert_array_equal(apply(fresh, batch, key), apply(fresh, batch))
    moved = randomised(fresh, config)
    one, two = (apply(moved, batch, jax.random.key(n)) for n in (0, 1))
    assert np.abs(one - two).max() > 0.01
    np.testing.assert_array_equal(one, apply(moved, batch, key))


def test_only_adapters_have_moments():
    optimizer = make_optimizer(FAST, 10)
    state = init_state(LORA, optimizer, make_mesh(MeshConfig()), 0)
    names = {
        str(path[-1].key)
        for path, leaf in jax.tree_util.tree_leaves_with_path(state.optimizer)
        if leaf.ndim
    }
    assert names == {f"{n}_lora_{s}" for n in ("query", "value", "down") for s in "ab"}
    sizes = [leaf.size for leaf in jax.tree.leaves(state.params)]
    assert sum(sizes) == MODEL.layers * 3 * (2 * 32 + 32 + 16 + 32 + 48)


def go(workdir, config, base, **changes):
    return train(
        config,
        LORA,
        workdir=workdir,
        stop_SV=STOP_SV,
        max_answers=MAX_ANSWERS,
        data=Batches(),
        validation=Batches(first=900, last=1),
        params=base,
        silent=True,
        **changes,
    )


def test_training_moves_adapters_only_and_resumes_to_the_bit(base, tmp_path):
    low = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), base)
    result = go(tmp_path / "whole", CONFIG, low)
    trained, frozen = split(result.params, LORA)
    jax.tree.map(np.testing.assert_array_equal, frozen, low)
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(trained))
    assert {leaf.dtype.name for leaf in jax.tree.leaves(trained)} == {"float32"}
    rows = (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()
    losses = [row["loss"] for row in map(json.loads, rows) if row["split"] == "train"]
    assert losses[-1] < losses[0]

    class Stops(Batches):
        """Data that ends the first run in the middle."""

        def __init__(self):
            super().__init__(last=4)

    with pytest.raises(UserError, match="ran out"):
        train(
            CONFIG,
            LORA,
            workdir=tmp_path / "parts",
            stop_SV=STOP_SV,
            max_answers=MAX_ANSWERS,
            data=Stops(),
            validation=Batches(first=900, last=1),
            params=low,
            silent=True,
        )
    again = go(tmp_path / "parts", CONFIG, low)
    jax.tree.map(np.testing.assert_array_equal, again.params, result.params)
    loaded = load_params(tmp_path / "parts", LORA, "last", base=low)
    jax.tree.map(np.testing.assert_array_equal, loaded, result.params)
    with pytest.raises(UserError, match="needs its base"):
        load_params(tmp_path / "parts", LORA, "last")


def test_peft_directory_round_trip(base, tmp_path):
    params = randomised(with_adapters(base, LORA, jax.random.key(2)), LORA)
    out = export_adapter(params, LORA, tmp_path / "adapter", base="somewhere")
    stored = load_file(out / "adapter_model.safetensors")
    name = "base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight"
    np.testing.assert_array_equal(stored[name], params["layers"]["query_lora_a"][1].T)
    config = read_adapter_config(out, MODEL)
    assert config.adapted() == LORA.adapted()
    assert (config.adapter_rank, config.adapter_alpha) == (3, 6.0)
    loaded = joined(load_adapter(out, config), base)
    np.testing.assert_array_equal(logits(loaded, config), logits(params, LORA))
    with pytest.raises(UserError, match="holds an adapter already"):
        export_adapter(params, LORA, out)
    with pytest.raises(UserError, match="no adapters"):
        export_adapter(base, MODEL, tmp_path / "none")
    stored.pop(name)
    save_file(stored, out / "adapter_model.safetensors")
    with pytest.raises(UserError, match=r"layers\.1.*lora_A.*missing"):
        load_adapter(out, config)
    (out / "adapter_model.safetensors").write_bytes(b"short")
    with pytest.raises(UserError, match="damaged"):
        load_adapter(out, config)
    settings = json.loads((out / "adapter_config.json").read_text())
    for change, word in (
        ({"use_dora": True}, "use_dora"),
        ({"target_modules": ["lm_head"]}, "lm_head"),
        ({"peft_type": "IA3"}, "IA3"),
    ):
        (out / "adapter_config.json").write_text(json.dumps({**settings, **change}))
        with pytest.raises(UserError, match=word):
            read_adapter_config(out, MODEL)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"adapter_rank": -1}, "adapter_rank"),
        ({"adapter_targets": "head"}, "matches none"),
        ({"adapter_targets": "("}, "regular expression"),
        ({"adapter_dropout": 1.0}, "adapter_dropout"),
    ],
)
def test_bad_adapter_settings_are_refused(changes, word):
    with pytest.raises(UserError, match=word):
        dataclasses.replace(LORA, **changes)
