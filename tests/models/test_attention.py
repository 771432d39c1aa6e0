import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppt_jax.errors import UserError
from ppt_jax.models.attention import (
    ROUTES,
    TREE_ROUTES,
    Window,
    attention,
    cudnn_attention,
    visible,
)
from ppt_jax.models.flash import flash_attention
from tests.models.packed import toy_batch


def oracle(q, k, v, end_BT, positions_BT=None, window=0, softcap=0.0, scale=None):
    """Loops in float64 over rows, heads and queries: the rule itself, written out."""
    scale = q.shape[3] ** -0.5 if scale is None else scale
    q, k, v, end_BT = (np.asarray(x, np.float64) for x in (q, k, v, end_BT))
    out = np.zeros_like(q)
    group = q.shape[2] // k.shape[2]
    for b, h, i in np.ndindex(q.shape[0], q.shape[2], q.shape[1]):
        seen = [j for j in range(i + 1) if i < end_BT[b, j]]
        if window:
            seen = [j for j in seen if positions_BT[b, i] - positions_BT[b, j] < window]
        scores = k[b, seen, h // group] @ q[b, i, h] * scale
        scores = softcap * np.tanh(scores / softcap) if softcap else scores
        weights = np.exp(scores - scores.max())
        out[b, i, h] = weights @ v[b, seen, h // group] / weights.sum()
    return out


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(1)
    end_BT = toy_batch()["end_BT"][:, :50]
    end_BT = np.minimum(end_BT, 50)
    shapes = [(2, 50, 4, 8), (2, 50, 2, 8), (2, 50, 2, 8)]
    return [jnp.asarray(2 * rng.normal(size=s), jnp.float32) for s in shapes], jnp.asarray(end_BT)


@pytest.mark.parametrize(
    ("route", "block"),
    [("dense", 1), ("blocked", 16), ("blocked", 128), ("grouped", 16), ("pallas", 16)],
)
def test_matches_the_rule_written_out(arrays, route, block):
    (q, k, v), end_BT = arrays
    out = jax.jit(functools.partial(attention, route=route, block=block))(q, k, v, end_BT)
    np.testing.assert_allclose(out, oracle(q, k, v, end_BT), atol=2e-6)


@pytest.mark.parametrize("route", TREE_ROUTES)
def test_windows_count_along_the_path_and_scores_are_scaled_and_capped(arrays, route):
    (q, k, v), end_BT = arrays
    positions_BT = jnp.asarray(toy_batch()["positions_BT"][:, :50])
    window = Window(positions_BT, jnp.int32(4))
    options = {"scale": 0.7, "softcap": 1.5}
    call = functools.partial(attention, route=route, block=16, window=window, **options)
    out = jax.jit(call)(q, k, v, end_BT)
    expected = oracle(q, k, v, end_BT, np.asarray(positions_BT), 4, **options)
    np.testing.assert_allclose(out, expected, atol=2e-6)
    assert np.abs(expected - oracle(q, k, v, end_BT, **options)).max() > 0.1


@pytest.mark.parametrize(
    ("route", "block"), [("blocked", 20), ("blocked", 64), ("grouped", 20), ("pallas", 16)]
)
def test_gradient_with_window_and_cap_is_that_of_the_dense_form(arrays, route, block):
    (q, k, v), end_BT = arrays
    weight = jnp.asarray(np.random.default_rng(2).normal(size=q.shape), jnp.float32)
    window = Window(jnp.asarray(toy_batch()["positions_BT"][:, :50]), jnp.int32(5))

    def gradients(route):
        def loss(qkv):
            out = attention(*qkv, end_BT, route=route, block=block, softcap=2.0, window=window)
            return (out * weight).sum()

        return jax.jit(jax.grad(loss))((q, k, v))

    for a, b in zip(gradients("dense"), gradients(route), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)


@pytest.mark.parametrize("block", [20, 64])
def test_blocked_gradient_is_that_of_the_dense_form(arrays, block):
    (q, k, v), end_BT = arrays
    weight = jnp.asarray(np.random.default_rng(2).normal(size=q.shape), jnp.float32)

    def loss(route, qkv):
        return (attention(*qkv, end_BT, route=route, block=block) * weight).sum()

    dense = jax.jit(jax.grad(lambda qkv: loss("dense", qkv)))((q, k, v))
    blocked = jax.jit(jax.grad(lambda qkv: loss("blocked", qkv)))((q, k, v))
    for a, b in zip(dense, blocked, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)


@pytest.mark.parametrize("route", TREE_ROUTES)
def test_bfloat16_stays_near_float32(arrays, route):
    (q, k, v), end_BT = arrays
    given = [x.astype(jnp.bfloat16) for x in (q, k, v)]
    low = jax.jit(functools.partial(attention, route=route, block=16))(*given, end_BT)
    assert low.dtype == jnp.bfloat16
    np.testing.assert_allclose(low.astype(jnp.float32), oracle(q, k, v, end_BT), atol=0.06)


def test_blocks_grow_with_the_row_instead_of_the_program():
    x = jnp.ones((1, 400, 1, 2))
    end_BT = jnp.full((1, 400), 400)
    small = jax.make_jaxpr(lambda x: attention(x, x, x, end_BT, block=1))(x)
    assert str(small).count("dot_general") <= 2 * 32


def test_visible_slices_agree_with_the_whole():
    end_BT = jnp.asarray(toy_batch()["end_BT"])
    whole = visible(end_BT)
    np.testing.assert_array_equal(visible(end_BT, 10, 30), whole[:, 10:30, :30])
    assert whole[:, jnp.arange(96), jnp.arange(96)].all()  # everyone sees itself


def test_every_cell_of_the_table_is_taken_or_refused(arrays):
    """Values of the cells that are taken: the tests above and the next one."""
    (q, k, v), end_BT = arrays
    positions_BT = jnp.zeros_like(end_BT)
    cells = itertools.product(
        ROUTES.items(), (True, False), (0, 4), (0.0, 1.5), ("float32", "bfloat16")
    )
    for (name, route), trees, window, softcap, dtype in cells:
        call = functools.partial(
            attention,
            end_BT=end_BT if trees else None,
            lengths_B=None if trees else jnp.array([17, 3]),
            route=name,
            block=16,
            softcap=softcap,
            window=Window(positions_BT, jnp.int32(window)) if window else None,
        )
        asked = [
            (trees and not route.trees, "prefix trees"),
            (window and not route.windows, "windows"),
            (softcap and not route.softcaps, "soft caps"),
            (dtype not in route.dtypes, dtype),
            ("cpu" not in route.platforms, "this is cpu"),
        ]
        given = [jax.ShapeDtypeStruct(x.shape, dtype) for x in (q, k, v)]
        refused = [words for wrong, words in asked if wrong]
        if refused:
            with pytest.raises(UserError, match=f"route '{name}'.*{refused[0]}"):
                jax.eval_shape(call, *given)
        else:
            assert jax.eval_shape(call, *given).dtype == dtype


@pytest.mark.parametrize("route", TREE_ROUTES)
def test_plain_rows_are_causal_up_to_their_lengths(arrays, route):
    (q, k, v), _ = arrays
    lengths = (17, 50)
    call = functools.partial(attention, lengths_B=jnp.array(lengths), route=route, block=16)
    found = jax.jit(call)(q, k, v)
    expected = oracle(q, k, v, np.full((2, 50), 50))
    for row, length in enumerate(lengths):
        np.testing.assert_allclose(found[row, :length], expected[row, :length], atol=5e-6)


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_the_pallas_kernels_lower_for_devices_that_are_not_here(platform):
    shapes = [(1, 256, 4, 64), (1, 256, 2, 64), (1, 256, 2, 64), (1, 256), (1, 256)]
    types = [jnp.bfloat16] * 3 + [jnp.int32] * 2
    arguments = [jax.ShapeDtypeStruct(s, t) for s, t in zip(shapes, types, strict=True)]

    def loss(q, k, v, end_BT, place_BT):
        out = flash_attention(
            *(q, k, v, end_BT),
            block=128,
            scale=0.1,
            softcap=30.0,
            place_BT=place_BT,
            size=jnp.int32(9),
        )
        return out.astype(jnp.float32).sum()

    gradient = jax.jit(jax.grad(loss, (0, 1, 2)))
    text = gradient.trace(*arguments).lower(lowering_platforms=(platform,)).as_text()
    target = {"tpu": "tpu_custom_call", "cuda": "xla.gpu.triton"}[platform]
    assert text.count(target) == 3  # forward, and two kernels backward


def test_cudnn_is_asked_for_causal_rows_with_lengths(monkeypatch):
    """Lowered for CUDA; only the look for the library, which is not here, is left out."""
    from jax._src.cudnn import fused_attention_stablehlo as fused

    monkeypatch.setattr(fused, "check_cudnn_version", lambda: 91200)
    shapes = [(2, 64, 4, 64), (2, 64, 2, 64), (2, 64, 2, 64)]
    arguments = [jax.ShapeDtypeStruct(shape, jnp.bfloat16) for shape in shapes]
    lengths = jax.ShapeDtypeStruct((2,), jnp.int32)
    call = jax.jit(functools.partial(cudnn_attention, scale=0.1))
    text = call.trace(*arguments, lengths).lower(lowering_platforms=("cuda",)).as_text()
    assert "__cudnn$fmhaSoftmax" in text
    assert "PADDING_CAUSAL" in text


def test_rows_need_a_rule_and_blocks_a_size(arrays):
    (q, k, v), end_BT = arrays
    with pytest.raises(UserError, match="either end_BT or lengths_B"):
        attention(q, k, v)
    with pytest.raises(UserError, match=r"blocks of 16.*not 20"):
        attention(q, k, v, end_BT, route="pallas", block=20)
    x = jnp.ones((1, 4, 1, 32), jnp.bfloat16)
    with pytest.raises(UserError, match=r"route 'cudnn' cannot run here: cuDNN"):
        cudnn_attention(x, x, x, jnp.array([4]), 1.0)


def test_unknown_route_is_refused(arrays):
    (q, k, v), end_BT = arrays
    with pytest.raises(UserError, match="flash"):
        attention(q, k, v, end_BT, route="flash")
