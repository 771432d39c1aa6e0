"""Exported directories in transformers and peft; runs where torch, transformers and peft are."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from ppt_jax.models.adapters import export_adapter, joined, merged, split, with_adapters
from ppt_jax.models.architecture import DecoderConfig
from ppt_jax.models.decoder import init_params, make_apply
from ppt_jax.models.exchange import export_params, load_params, read_config
from ppt_jax.models.families import hf_from_config
from tests.models.test_families import FAR, plain_batch

torch = pytest.importorskip("torch", reason="torch is not installed: parity was not run")
transformers = pytest.importorskip("transformers")

BASE = DecoderConfig(
    vocab_size=40, width=16, layers=3, heads=4, kv_heads=2, head_size=6, mlp_width=24
)
GEMMA = {
    "activation": "gelu_tanh",
    "norm_offset": True,
    "post_norms": True,
    "scaled_embeddings": True,
    "local_window": 5,
}
MADE_HERE = {
    "llama": {"rope_scaling": "llama3", "rope_factor": 4.0, "rope_base": 5e5},
    "mistral": {"local_window": 5, "tied_embeddings": False},
    "qwen2": {"attention_bias": True, "rope_base": 1e6},
    "qwen3": {"query_key_norm": True, "tied_embeddings": False, "local_window": 5},
    "gemma2": {**GEMMA, "global_every": 2, "attention_softcap": 2.0, "logit_softcap": 3.0},
    "gemma3_text": {
        **GEMMA,
        "global_every": 3,
        "query_key_norm": True,
        "local_rope_base": 1e4,
        "rope_base": 1e6,
        "rope_scaling": "linear",
        "rope_factor": 8.0,
    },
}
TOKENS = np.random.default_rng(4).integers(3, 40, (2, 12)).astype(np.int32)


def wide(params, seed=7):
    """Parameters spread widely enough that every part of the model matters."""
    keys = iter(jax.random.split(jax.random.key(seed), 100))
    return jax.tree.map(lambda leaf: leaf + 0.3 * jax.random.normal(next(keys), leaf.shape), params)


def torch_logits(model, first=0):
    tokens = torch.from_numpy(TOKENS).long()
    positions = first + torch.arange(tokens.shape[1])[None].expand(2, -1)
    with torch.no_grad():
        return model(tokens, position_ids=positions).logits.float().numpy()


def ours(params, config, first=0):
    return jax.jit(make_apply(config))(params, plain_batch(TOKENS, first))


@pytest.mark.parametrize("kind", sorted(MADE_HERE))
def test_an_exported_directory_loads_in_transformers_with_the_same_logits(kind, tmp_path):
    config = dataclasses.replace(BASE, **MADE_HERE[kind])
    params = wide(init_params(config, jax.random.key(0)))
    data = hf_from_config(config, kind)
    out = export_params(
        params, config, tmp_path / "out", hf_config=data, dtype="float32", shard_bytes=9000
    )
    assert len(list(out.glob("model-*.safetensors"))) > 1
    model = transformers.AutoModelForCausalLM.from_pretrained(
        out, attn_implementation="eager", dtype=torch.float32
    ).eval()
    for first in (0, FAR):
        np.testing.assert_allclose(
            ours(params, config, first), torch_logits(model, first), rtol=1e-4, atol=1e-4
        )
    model.save_pretrained(tmp_path / "back")
    back = read_config(tmp_path / "back")
    assert back == config
    jax.tree.map(np.testing.assert_array_equal, load_params(tmp_path / "back", back), params)


def test_an_exported_adapter_loads_in_peft_with_the_same_logits(tmp_path):
    peft = pytest.importorskip("peft", reason="peft is not installed: adapter parity was not run")
    config = dataclasses.replace(
        BASE, adapter_rank=3, adapter_alpha=5.0, adapter_targets="query|value|gate|down"
    )
    base = wide(init_params(BASE, jax.random.key(0)))
    trained, frozen = split(with_adapters(base, config, jax.random.key(1)), config)
    params = joined(wide(trained), frozen)
    data = hf_from_config(BASE, "llama")
    export_params(base, BASE, tmp_path / "base", hf_config=data, dtype="float32")
    export_adapter(params, config, tmp_path / "adapter", base=str(tmp_path / "base"))
    model = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "base", attn_implementation="eager", dtype=torch.float32
    )
    adapted = peft.PeftModel.from_pretrained(model, tmp_path / "adapter").eval()
    expected = torch_logits(adapted)
    np.testing.assert_allclose(ours(params, config), expected, rtol=1e-4, atol=1e-4)
    assert np.abs(expected - ours(base, BASE)).max() > 0.5
    whole, plain = merged(params, config)
    out = export_params(whole, plain, tmp_path / "merged", hf_config=data, dtype="float32")
    again = transformers.AutoModelForCausalLM.from_pretrained(
        out, attn_implementation="eager", dtype=torch.float32
    ).eval()
    np.testing.assert_allclose(torch_logits(again), expected, rtol=1e-4, atol=1e-4)
    assert json.loads((out / "config.json").read_text())["torch_dtype"] == "float32"
