import dataclasses
import functools
import importlib.util
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppt_jax.errors import UserError
from ppt_jax.models.adapters import joined, merged, split
from ppt_jax.models.decoder import DecoderConfig, init_params, make_apply, model_size
from ppt_jax.models.exchange import export_params, load_params, read_config
from ppt_jax.models.families import hf_from_config
from ppt_jax.models.quantised import TILE, is_part, product, quantise, restored
from ppt_jax.training.sharding import MeshConfig, make_mesh
from ppt_jax.training.state import abstract_frozen
from tests.models.packed import VOCAB, toy_batch

qwix = pytest.importorskip("qwix", reason="qwix is not installed: quantised bases were not tested")

PLAIN = DecoderConfig(
    vocab_size=VOCAB, width=64, layers=2, heads=4, kv_heads=2, head_size=32, mlp_width=192
)
BASES = {
    kind: dataclasses.replace(PLAIN, adapter_rank=2, adapter_base=kind)
    for kind in ("plain", "int8", "nf4")
}
WORST = {"int8": 0.04, "nf4": 0.35}  # root mean square error of the logits over their spread


def weight():
    return jax.random.normal(jax.random.key(0), (2 * TILE, 6)) * jnp.arange(1, 7)


@functools.cache
def fresh(config, seed):
    return jax.jit(functools.partial(init_params, config))(jax.random.key(seed))


def logits(params, config):
    batch = {name: jnp.asarray(array) for name, array in toy_batch().items()}
    return np.asarray(jax.jit(make_apply(config))(params, batch))


@pytest.mark.parametrize("kind", ["int8", "nf4"])
def test_what_is_stored_is_what_qwix_says(kind):
    parts = quantise(weight(), kind)
    tiles = {0: TILE} if kind == "nf4" else None
    qtype = jnp.int8 if kind == "int8" else kind
    expected = qwix.dequantize(
        qwix.quantize(weight(), qtype, channelwise_axes=(1,), tiled_axes=tiles)
    )
    found = restored(parts, kind, jnp.float32)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    bits = 8 * sum(part.nbytes for part in parts.values()) / weight().size
    assert bits == {"int8": 8 + 32 / 128, "nf4": 4 + 32 / 64}[kind]
    rounding = np.abs(found - weight()) / np.abs(weight()).max(0)
    assert rounding.max() < {"int8": 0.0041, "nf4": 0.16}[kind]  # half the widest step
    x = jax.random.normal(jax.random.key(1), (3, 2 * TILE))
    np.testing.assert_allclose(product(x, parts, kind), x @ found, atol=1e-4)


@pytest.mark.parametrize("kind", ["int8", "nf4"])
def test_logits_stay_near_those_of_the_base_and_merging_keeps_them(kind):
    config = BASES[kind]
    plain = logits(split(fresh(BASES["plain"], 3), BASES["plain"])[1], PLAIN)
    params = fresh(config, 3)
    found = logits(params, config)  # fresh adapters add nothing
    error = np.sqrt(np.mean((found - plain) ** 2)) / plain.std()
    assert WORST[kind] / 10 < error < WORST[kind], error
    trained, frozen = split(params, config)
    moved = joined(jax.tree.map(lambda leaf: leaf + 0.05, trained), frozen)
    whole, merged_config = merged(moved, config)
    assert merged_config == PLAIN
    apart = logits(moved, config)
    assert np.abs(apart - found).max() > 0.1
    np.testing.assert_allclose(logits(whole, PLAIN), apart, atol=1e-4)


def test_the_frozen_base_is_as_small_as_planned():
    mesh, sizes = make_mesh(MeshConfig()), {}
    for kind, config in BASES.items():
        frozen = split(fresh(config, 3), config)[1]
        shapes = abstract_frozen(config, mesh, "float32")
        assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), frozen) == jax.tree.map(
            lambda leaf: (leaf.shape, leaf.dtype), shapes
        )
        sizes[kind] = sum(leaf.nbytes for leaf in jax.tree.leaves(frozen["layers"]))
        assert model_size(config) == model_size(BASES["plain"])
    norms = PLAIN.layers * 2 * PLAIN.width * 4
    maps = (sizes["plain"] - norms) / 4
    outputs = PLAIN.layers * (128 + 64 + 64 + 64 + 192 + 192 + 64)
    assert sizes["int8"] - norms == maps + 4 * outputs
    assert sizes["nf4"] - norms == maps * (0.5 + 4 / TILE)


@pytest.mark.parametrize("kind", ["int8", "nf4"])
def test_a_directory_is_quantised_as_it_comes_in(kind, tmp_path):
    params = split(fresh(BASES["plain"], 3), BASES["plain"])[1]
    data = hf_from_config(PLAIN, "llama")
    export_params(params, PLAIN, tmp_path, hf_config=data, dtype="float32")
    config = read_config(tmp_path, adapter_rank=2, adapter_base=kind)
    assert json.loads((tmp_path / "config.json").read_text())["hidden_size"] == config.width
    loaded = load_params(tmp_path, config)
    whole = joined(split(fresh(config, 3), config)[0], loaded)
    expected = split(fresh(config, 3), config)[1]
    for name, leaf in expected["layers"].items():
        assert loaded["layers"][name].dtype == leaf.dtype
        np.testing.assert_array_equal(loaded["layers"][name], leaf, err_msg=name)
    assert sum(is_part(name) for name in loaded["layers"]) == 14
    assert jax.tree.structure(whole) == jax.tree.structure(fresh(config, 3))
    if kind == "int8":
        low = load_params(tmp_path, config, dtype="bfloat16")
        assert low["embedding"].dtype == jnp.bfloat16
        assert low["layers"]["query_scale"].dtype == jnp.float32


def test_what_cannot_be_quantised_is_refused(monkeypatch):
    with pytest.raises(UserError, match=r"adapter_base is int8, but model\.adapter_rank is 0"):
        dataclasses.replace(PLAIN, adapter_base="int8")
    with pytest.raises(UserError, match=r"adapter_base is 'int4'; known are plain, int8, nf4"):
        dataclasses.replace(BASES["nf4"], adapter_base="int4")
    with pytest.raises(UserError, match="map 'down' has 100; use int8"):
        dataclasses.replace(BASES["nf4"], mlp_width=100)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"needs qwix: pip install 'ppt_jax\[quant\]'"):
        dataclasses.replace(BASES["int8"])
