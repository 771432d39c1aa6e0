"""Generation against full recomputation: every token by a fresh pass over the whole sequence."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppt_jax.errors import UserError
from ppt_jax.models.architecture import DecoderConfig
from ppt_jax.models.decoder import init_params, make_apply
from ppt_jax.models.generation import (
    SamplingConfig,
    make_generate,
    nucleus,
    pad_prompts,
)

SMALL = DecoderConfig(
    vocab_size=23, width=32, layers=3, heads=4, kv_heads=2, head_size=8, mlp_width=48
)
GEMMA = dataclasses.replace(
    SMALL,
    local_window=3,
    global_every=3,
    query_key_norm=True,
    post_norms=True,
    norm_offset=True,
    scaled_embeddings=True,
    attention_softcap=5.0,
    logit_softcap=8.0,
    local_rope_base=100.0,
)
PROMPTS = [[3, 1, 4, 1, 5, 9, 2], [6], [5, 3, 5]]


def sharp_params(config, seed=0):
    """Fresh parameters made larger, so that predictions are not flat."""
    return jax.tree.map(
        lambda x: 3 * x if x.ndim > 1 else x, init_params(config, jax.random.key(seed))
    )


def recomputed(config, params, prompt, tokens):
    """Logits behind the prompt and behind each of the tokens, one plain pass."""
    row = np.asarray([*prompt, *tokens], np.int32)[None]
    size = row.shape[1]
    batch = {
        "tokens_BT": row,
        "positions_BT": np.arange(size, dtype=np.int32)[None],
        "end_BT": np.full((1, size), size, np.int32),
        "node_BN": np.arange(len(prompt) - 1, size, dtype=np.int32)[None],
    }
    return np.asarray(jax.jit(make_apply(config))(params, batch))[0]


@pytest.mark.parametrize("config", [SMALL, GEMMA], ids=["llama", "gemma"])
def test_greedy_equals_full_recomputation(config):
    params = sharp_params(config)
    out = make_generate(config, SamplingConfig(max_new_tokens=9))(params, *pad_prompts(PROMPTS))
    assert len(set(np.asarray(out.tokens_BG).ravel().tolist())) > 3  # not one token for ever
    for row, prompt in enumerate(PROMPTS):
        tokens = np.asarray(out.tokens_BG[row]).tolist()
        logits_NV = recomputed(config, params, prompt, tokens)
        assert np.argmax(logits_NV, -1)[:-1].tolist() == tokens
        logp = jax.nn.log_softmax(logits_NV)[np.arange(9), tokens]
        np.testing.assert_allclose(out.logp_BG[row], logp, atol=1e-5)


def test_padding_side_width_and_company_change_nothing():
    params = sharp_params(SMALL)
    generate = make_generate(SMALL, SamplingConfig(max_new_tokens=6))
    right = generate(params, *pad_prompts(PROMPTS))
    tokens_BT, real_BT = pad_prompts(PROMPTS, pad=7, multiple=16)
    shift = [16 - len(p) for p in PROMPTS]
    left_tokens = np.stack([np.roll(t, s) for t, s in zip(tokens_BT, shift)])
    left_real = np.stack([np.roll(r, s) for r, s in zip(real_BT, shift)])
    for other in (generate(params, tokens_BT, real_BT), generate(params, left_tokens, left_real)):
        assert (other.tokens_BG == right.tokens_BG).all()
        np.testing.assert_allclose(other.logp_BG, right.logp_BG, atol=1e-5)
    alone = generate(params, *pad_prompts(PROMPTS[1:2]))
    assert (alone.tokens_BG[0] == right.tokens_BG[1]).all()
    np.testing.assert_allclose(alone.logp_BG[0], right.logp_BG[1], atol=1e-5)


def test_stop_tokens_end_a_row_and_only_that_row():
    params = sharp_params(SMALL)
    free = make_generate(SMALL, SamplingConfig(max_new_tokens=8))(params, *pad_prompts(PROMPTS))
    rows = np.asarray(free.tokens_BG)
    stop = int(rows[0, 2])
    out = make_generate(SMALL, SamplingConfig(max_new_tokens=8, stop_tokens=(stop,), pad=22))(
        params, *pad_prompts(PROMPTS)
    )
    for row in range(3):
        found = np.flatnonzero(rows[row] == stop)
        end = int(found[0]) + 1 if found.size else 8
        assert int(out.length_B[row]) == end
        assert bool(out.stopped_B[row]) == bool(found.size)
        assert np.asarray(out.tokens_BG[row, :end]).tolist() == rows[row, :end].tolist()
        assert (np.asarray(out.tokens_BG[row, end:]) == 22).all()
        assert (np.asarray(out.logp_BG[row, end:]) == 0).all()


def test_samples_follow_the_model_at_any_temperature_and_nucleus():
    """Two sampled tokens: frequencies of all pairs against their exact probabilities."""
    config = dataclasses.replace(SMALL, vocab_size=5, layers=1)
    params = sharp_params(config, 2)
    prompt, draws = [1, 2, 0], 20_000
    first_V = recomputed(config, params, prompt, [])[0]
    second_VV = np.stack([recomputed(config, params, prompt, [v])[1] for v in range(5)])
    for temperature, top_p in ((1.0, 1.0), (0.6, 1.0), (1.3, 0.7)):

        def law(logits, temperature=temperature, top_p=top_p):
            p = np.exp((logits - logits.max()) / temperature)
            p /= p.sum()
            order = np.argsort(-p)
            before = np.cumsum(p[order]) - p[order]
            kept = order[before < top_p]
            out = np.zeros_like(p)
            out[kept] = p[kept] / p[kept].sum()
            return out

        exact = law(first_V)[:, None] * np.stack([law(row) for row in second_VV])
        sampling = SamplingConfig(max_new_tokens=2, temperature=temperature, top_p=top_p)
        out = make_generate(config, sampling)(
            params, *pad_prompts([prompt] * draws), jax.random.key(4)
        )
        pairs = np.asarray(out.tokens_BG)
        counts = np.zeros((5, 5))
        np.add.at(counts, (pairs[:, 0], pairs[:, 1]), 1)
        assert (counts[exact == 0] == 0).all()
        spread = np.sqrt(exact * (1 - exact) / draws)
        assert (np.abs(counts / draws - exact) <= 5 * spread + 1e-12).all()
        logp = jax.nn.log_softmax(first_V)[pairs[:, 0]]
        np.testing.assert_allclose(
            out.logp_BG[:, 0], logp, atol=1e-5
        )  # the model's own, untempered


def test_nucleus_keeps_ties_together():
    kept = jnp.isfinite(nucleus(jnp.log(jnp.array([[0.25, 0.25, 0.25, 0.25]])), 0.3))
    assert kept.all()
    kept = jnp.isfinite(nucleus(jnp.log(jnp.array([[0.1, 0.6, 0.3]])), 0.6))
    assert kept[0].tolist() == [False, True, False]


def test_bad_input_is_named():
    for changes, word in (
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"temperature": -1.0}, "temperature"),
        ({"top_p": 0.0}, "top_p"),
    ):
        with pytest.raises(UserError, match=word):
            SamplingConfig(**changes)
    with pytest.raises(UserError, match="one token or more"):
        pad_prompts([[1], []])
    params = init_params(SMALL, jax.random.key(0))
    hot = make_generate(SMALL, SamplingConfig(max_new_tokens=2, temperature=1.0))
    with pytest.raises(UserError, match="PRNG key"):
        hot(params, *pad_prompts([[1]]))
    with pytest.raises(UserError, match="prompt 1 holds no token"):
        hot(
            params, np.zeros((2, 3), int), np.array([[1, 1, 1], [0, 0, 0]], bool), jax.random.key(0)
        )
