import dataclasses
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ppt_jax.errors import UserError
from ppt_jax.models.architecture import DecoderConfig
from ppt_jax.models.decoder import make_apply
from ppt_jax.models.exchange import load_params, read_config
from ppt_jax.models.families import FAMILIES, config_from_hf, hf_from_config
from ppt_jax.models.rotary import RopeScaling, frequencies

pytestmark = pytest.mark.slow

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(path.name for path in GOLDEN.iterdir() if path.is_dir())
FAR = 9000  # position of the first token in the far logits, see scripts/make_golden_models.py


def plain_batch(tokens_BT, first=0):
    """Whole causal sequences with logits at every token."""
    batch, length = tokens_BT.shape
    row_BT = jnp.broadcast_to(jnp.arange(length), (batch, length))
    return {
        "tokens_BT": jnp.asarray(tokens_BT),
        "positions_BT": first + row_BT,
        "end_BT": jnp.full((batch, length), length),
        "node_BN": row_BT,
    }


def golden(case, **arithmetic):
    config = read_config(GOLDEN / case, attention_block=4, **arithmetic)
    return config, load_params(GOLDEN / case, config), np.load(GOLDEN / case / "expected.npz")


@pytest.mark.parametrize("case", CASES)
def test_logits_are_those_of_transformers_near_and_beyond_8k(case):
    config, params, expected = golden(case)
    apply = jax.jit(make_apply(config))
    for name, first in (("near", 0), ("far", FAR)):
        logits = apply(params, plain_batch(expected["tokens"], first))
        np.testing.assert_allclose(logits, expected[name], rtol=1e-4, atol=1e-4)
    assert np.abs(expected["near"]).max() > 1  # a model that says something


@pytest.mark.parametrize("case", CASES)
def test_five_adamw_steps_follow_torch(case):
    config, params, expected = golden(case)
    apply = make_apply(config)
    tokens_BT = jnp.asarray(expected["tokens"])
    optimizer = optax.adamw(1e-2, b1=0.9, b2=0.98, eps=1e-8, weight_decay=0.0)

    @jax.jit
    def step(params, state):
        def loss_of(params):
            logits = apply(params, plain_batch(tokens_BT))[:, :-1]
            return optax.softmax_cross_entropy_with_integer_labels(logits, tokens_BT[:, 1:]).mean()

        loss, grads = jax.value_and_grad(loss_of)(params)
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state, loss

    state, losses = optimizer.init(params), []
    for _ in expected["losses"]:
        params, state, loss = step(params, state)
        losses.append(float(loss))
    np.testing.assert_allclose(losses, expected["losses"], rtol=2e-3)
    assert losses[-1] < losses[0] - 0.1


@pytest.mark.parametrize("case", CASES)
def test_config_survives_a_round_trip_through_our_own_file(case):
    config = read_config(GOLDEN / case, remat="full")
    kind = json.loads((GOLDEN / case / "config.json").read_text())["model_type"]
    data = hf_from_config(config, kind)
    assert config_from_hf(json.loads(json.dumps(data)), remat="full") == config


def llama(**changes):
    return {**hf_from_config(DecoderConfig(vocab_size=11), "llama"), **changes}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_type": "mamba"}, ["model_type", "mamba", "gemma3_text"]),
        ({"num_experts": 8}, ["num_experts", "reads"]),
        ({"hidden_act": "relu"}, ["hidden_act", "relu", "silu"]),
        ({"mlp_bias": True}, ["mlp_bias", "True"]),
        ({"attention_bias": True}, ["attention_bias"]),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, ["rope_scaling", "yarn"]),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, ["high_freq_factor"]),
        ({"rope_scaling": {"rope_type": "linear", "factor": 2.0, "beta": 1}}, ["beta"]),
        ({"hidden_size": None}, ["hidden_size", "missing"]),
        ({"hidden_size": "64"}, ["hidden_size", "whole"]),
        ({"attention_dropout": 0.1}, ["attention_dropout"]),
        ({"head_dim": 7}, ["head_size", "even"]),
    ],
)
def test_what_nothing_reads_or_computes_is_refused_by_name(changes, words):
    with pytest.raises(UserError) as caught:
        config_from_hf(llama(**changes))
    assert all(word in str(caught.value) for word in words), caught.value


def test_irregular_layers_are_refused():
    config = DecoderConfig(
        vocab_size=11, query_key_norm=True, tied_embeddings=False, local_window=4, global_every=2
    )
    data = hf_from_config(config, "qwen3")
    assert config_from_hf(data) == config
    data["layer_types"] = ["full_attention", "sliding_attention"] * 2
    with pytest.raises(UserError, match="layer_types"):
        config_from_hf(data)


def test_a_family_that_cannot_express_a_decoder_says_which_field():
    base = DecoderConfig(vocab_size=11)
    for kind in FAMILIES:
        with pytest.raises(UserError, match=r"logit_softcap|query_key_norm|attention_bias"):
            hf_from_config(dataclasses.replace(base, logit_softcap=3.0, attention_bias=True), kind)
    with pytest.raises(UserError, match="chosen"):
        config_from_hf(llama(), heads=3)


def test_llama3_frequencies_in_their_three_ranges():
    scaling = RopeScaling("llama3", 8.0, 1.0, 4.0, 8192)
    plain, scaled = frequencies(128, 500_000.0), frequencies(128, 500_000.0, scaling)
    waves = 2 * np.pi / plain
    np.testing.assert_array_equal(scaled[waves < 8192 / 4], plain[waves < 8192 / 4])
    np.testing.assert_allclose(scaled[waves > 8192], plain[waves > 8192] / 8, rtol=1e-15)
    between = (waves > 8192 / 4) & (waves < 8192)
    assert between.any()
    assert (np.diff(scaled) < 0).all()
    with pytest.raises(UserError, match="yarn"):
        RopeScaling("yarn")
