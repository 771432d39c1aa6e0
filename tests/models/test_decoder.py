import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ppt_jax.errors import UserError
from ppt_jax.models.attention import TREE_ROUTES
from ppt_jax.models.decoder import (
    PARAMETER_AXES,
    Decoder,
    DecoderConfig,
    init_params,
    make_apply,
)
from ppt_jax.models.rotary import frequencies, rope_table, rotate
from tests.models.packed import VOCAB, toy_batch

SMALL = DecoderConfig(
    vocab_size=VOCAB, width=32, layers=2, heads=4, kv_heads=2, head_size=8, mlp_width=48
)


def model_of(config=SMALL, seed=0):
    return Decoder(config, nnx.Rngs(seed))


def reference(model, tokens_T):
    """One plain causal sequence, written with loops over layers and einsum attention, float64."""
    c = model.config
    get = lambda p: np.asarray(p[...], np.float64)  # noqa: E731
    norm = lambda x, s: x / np.sqrt((x * x).mean(-1, keepdims=True) + c.norm_epsilon) * s  # noqa: E731
    x_TE = get(model.embedding)[tokens_T]
    length = len(tokens_T)
    angle = np.arange(length)[:, None] * c.rope_base ** (
        -np.arange(0, c.head_size, 2) / c.head_size
    )
    turn = np.exp(1j * angle)[:, None]

    def rotated(x_THD):
        half = c.head_size // 2
        z = (x_THD[..., :half] + 1j * x_THD[..., half:]) * turn
        return np.concatenate([z.real, z.imag], -1)

    layers = model.layers
    for n in range(c.layers):
        y = norm(x_TE, get(layers.attention_norm)[n])
        q = rotated((y @ get(layers.query)[n]).reshape(length, c.heads, c.head_size))
        k = rotated((y @ get(layers.key)[n]).reshape(length, c.kv_heads, c.head_size))
        v = (y @ get(layers.value)[n]).reshape(length, c.kv_heads, c.head_size)
        k, v = (np.repeat(z, c.heads // c.kv_heads, axis=1) for z in (k, v))
        scores = np.einsum("ihd,jhd->hij", q, k) / np.sqrt(c.head_size)
        scores = np.where(np.tril(np.ones((length, length), bool)), scores, -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        x_TE = (
            x_TE + np.einsum("hij,jhd->ihd", weights, v).reshape(length, -1) @ get(layers.output)[n]
        )
        y = norm(x_TE, get(layers.mlp_norm)[n])
        gate = y @ get(layers.gate)[n]
        x_TE = x_TE + (gate / (1 + np.exp(-gate)) * (y @ get(layers.up)[n])) @ get(layers.down)[n]
    hidden = norm(x_TE, get(model.final_norm))
    return hidden @ (get(model.embedding).T if c.tied_embeddings else get(model.head))


@pytest.mark.parametrize("tied", [True, False])
def test_one_sequence_matches_an_independent_float64_decoder(tied):
    model = model_of(dataclasses.replace(SMALL, tied_embeddings=tied))
    tokens_T = np.random.default_rng(0).integers(0, VOCAB, 20)
    place = jnp.arange(20)[None]
    logits = model(jnp.asarray(tokens_T)[None], place, jnp.full((1, 20), 20))
    assert logits.dtype == jnp.float32
    np.testing.assert_allclose(logits[0], reference(model, tokens_T), atol=2e-5)


@pytest.mark.parametrize("route", ["dense", "blocked"])
def test_packed_logits_equal_each_path_alone(route):
    model = model_of(dataclasses.replace(SMALL, attention_route=route, attention_block=16))
    batch = {name: jnp.asarray(array) for name, array in toy_batch().items()}
    packed = model(batch["tokens_BT"], batch["positions_BT"], batch["end_BT"])
    end_BT, tokens_BT = np.asarray(batch["end_BT"]), np.asarray(batch["tokens_BT"])
    for b, i in np.ndindex(*tokens_BT.shape):
        path = [j for j in range(i + 1) if i < end_BT[b, j]]  # the branch of token i, from its root
        assert np.asarray(batch["positions_BT"])[b, i] in (len(path) - 1, 0)
        if i % 5 == 0 and len(path) > 1:
            np.testing.assert_allclose(
                packed[b, i], reference(model, tokens_BT[b, path])[-1], atol=1e-5
            )


@pytest.mark.parametrize("route", TREE_ROUTES)
def test_no_branch_leaks_into_another(route):
    """Changing any token moves exactly the logits of the tokens that may see it."""
    model = model_of(dataclasses.replace(SMALL, attention_route=route, attention_block=16))
    batch = {name: jnp.asarray(array) for name, array in toy_batch().items()}
    run = nnx.jit(lambda tokens: model(tokens, batch["positions_BT"], batch["end_BT"]))
    before = run(batch["tokens_BT"])
    end_BT = np.asarray(batch["end_BT"])
    for j in range(0, 96, 7):
        changed = batch["tokens_BT"].at[0, j].set((batch["tokens_BT"][0, j] + 1) % VOCAB)
        moved_T = np.abs(np.asarray(run(changed) - before)).max(-1)
        sees_T = (np.arange(96) >= j) & (np.arange(96) < end_BT[0, j])
        assert (moved_T[0][~sees_T] == 0).all()
        assert (moved_T[1] == 0).all()
        assert (moved_T[0][sees_T] > 0).all()


def test_head_at_nodes_is_the_head_everywhere():
    model = model_of()
    batch = {name: jnp.asarray(array) for name, array in toy_batch().items()}
    inputs = batch["tokens_BT"], batch["positions_BT"], batch["end_BT"]
    everywhere = model(*inputs)
    at_nodes = model(*inputs, batch["node_BN"])
    for b in range(2):
        np.testing.assert_allclose(at_nodes[b], everywhere[b, batch["node_BN"][b]], atol=1e-6)


@pytest.mark.parametrize("change", [{"remat": "full"}, {"remat": "dots"}, {"layers_unrolled": 2}])
def test_remat_and_unrolling_change_no_gradient(change):
    batch = {name: jnp.asarray(array) for name, array in toy_batch().items()}
    params = init_params(SMALL, jax.random.key(0))

    def grads(config):
        apply = make_apply(config)
        return jax.grad(lambda p: jnp.sin(apply(p, batch)).sum())(params)

    plain, other = grads(SMALL), grads(dataclasses.replace(SMALL, **change))
    for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_layers_are_drawn_independently_and_from_the_key():
    params = init_params(SMALL, jax.random.key(0))
    query_LEO = params["layers"]["query"]
    assert float(jnp.abs(query_LEO[0] - query_LEO[1]).max()) > 0.1
    again = init_params(SMALL, jax.random.key(0))
    jax.tree.map(np.testing.assert_array_equal, params, again)
    other = init_params(SMALL, jax.random.key(1))
    assert float(jnp.abs(other["embedding"] - params["embedding"]).max()) > 0.01


def test_dropout_needs_a_key_and_keeps_the_mean():
    config = dataclasses.replace(SMALL, dropout=0.5)
    batch = {name: jnp.asarray(array) for name, array in toy_batch().items()}
    params, apply = init_params(config, jax.random.key(0)), make_apply(config)
    clean = make_apply(SMALL)(params, batch, jax.random.key(1))  # rate 0: the key is not used
    np.testing.assert_array_equal(apply(params, batch), clean)
    first, second = (apply(params, batch, jax.random.key(n)) for n in (1, 2))
    assert float(jnp.abs(first - second).max()) > 1e-2
    np.testing.assert_array_equal(first, apply(params, batch, jax.random.key(1)))


def test_bfloat16_compute_keeps_float32_parameters_and_logits():
    config = dataclasses.replace(SMALL, compute_dtype="bfloat16")
    params = init_params(config, jax.random.key(0))
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    batch = {name: jnp.asarray(array) for name, array in toy_batch().items()}
    low, high = (make_apply(c)(params, batch) for c in (config, SMALL))
    assert low.dtype == jnp.float32
    assert 1e-6 < float(jnp.abs(low - high).max()) < 0.05


def test_every_parameter_has_named_axes():
    for tied in (True, False):
        config = dataclasses.replace(SMALL, tied_embeddings=tied)
        leaves = jax.tree_util.tree_leaves_with_path(init_params(config, jax.random.key(0)))
        for path, leaf in leaves:
            name = "/".join(key.key for key in path)
            assert len(PARAMETER_AXES[name]) == leaf.ndim


def test_rotation_depends_on_distance_only():
    rng = np.random.default_rng(3)
    q, k = (jnp.asarray(rng.normal(size=(1, 1, 1, 8)), jnp.float32) for _ in range(2))

    def score(at_q, at_k):
        place = [rope_table(jnp.array([[at]]), frequencies(8, 100.0)) for at in (at_q, at_k)]
        return float((rotate(q, place[0]) * rotate(k, place[1])).sum())

    assert score(5, 2) == pytest.approx(score(105, 102), abs=1e-4)
    assert score(5, 2) != pytest.approx(score(5, 3), abs=1e-3)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kv_heads", 3),
        ("head_size", 7),
        ("layers_unrolled", 3),
        ("dropout", 1.0),
        ("compute_dtype", "float16"),
        ("attention_route", "flash"),
        ("attention_route", "cudnn"),
        ("width", 0),
        ("vocab_size", -1),
    ],
)
def test_bad_fields_are_refused_by_name(field, value):
    with pytest.raises(UserError, match=rf"model\.{field}|model\.heads"):
        dataclasses.replace(SMALL, **{field: value})
