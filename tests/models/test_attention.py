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
    out = attention(q, k, v, end_BT, route=route, block=block)
    np.testing.assert_allclose(out, oracle(q, k, v, end_BT), atol=2e-6)


@pytest.mark.parametrize("route", TREE_ROUTES)
def test_windows_count_along_the_path_and_scores_are_scaled_and_capped(arrays, route):
    (q, k, v), end_BT = arrays
    positions_BT = jnp.asarray(toy_batch()["positions_BT"][:, :50])
    window = Window(positions_BT, jnp.int32(4))
    options = {"scale": 0.7, "softcap": 1.5}
    out = attention(q, k, v, end_BT, route=route, block=16, window=window, **options)
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

    dense = jax.grad(lambda qkv: loss("dense", qkv))((q, k, v))
    blocked = jax.grad(lambda qkv: loss("blocked", qkv))((q, k, v))
    for a, b in zip(dense, blocked, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)


@pytest.mark.parametrize("route", TREE_ROUTES)
def test_bfloat16_stays_near_float32(arrays, route):
    (q, k, v), end_BT = arrays
    low = attention(*(x.astype(jnp.bfloat16) for x in (q, k, v)), end_BT, route=route, block=16)
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


def test_the_table_is_true_cell_by_cell(arrays):
    """Whatever a route says it honours equals the rule written out; everything else is refused."""
    (q, k, v), end_BT = arrays
    q, k, v, end_BT = q[:1, :24], k[:1, :24], v[:1, :24], jnp.minimum(end_BT[:1, :24], 24)
    positions_BT = np.asarray(toy_batch()["positions_BT"][:1, :24])
    lengths_B = jnp.array([17])
    plain_BT = np.where(np.arange(24) < 17, 17, np.arange(24) + 1)[None]
    for name, route in ROUTES.items():
        for trees, window, softcap, dtype in itertools.product(
            (True, False), (0, 4), (0.0, 1.5), ("float32", "bfloat16")
        ):
            given = [x.astype(dtype) for x in (q, k, v)]
            call = functools.partial(
                attention,
                *given,
                end_BT if trees else None,
                lengths_B=None if trees else lengths_B,
                route=name,
                block=16,
                softcap=softcap,
                window=Window(jnp.asarray(positions_BT), jnp.int32(window)) if window else None,
            )
            asked = [
                (trees and not route.trees, "prefix trees"),
                (window and not route.windows, "windows"),
                (softcap and not route.softcaps, "soft caps"),
                (dtype not in route.dtypes, dtype),
                ("cpu" not in route.platforms, "this is cpu"),
            ]
            refused = [words for wrong, words in asked if wrong]
            if refused:
                with pytest.raises(UserError, match=f"route '{name}'.*{refused[0]}"):
                    call()
                continue
            if name == "pallas" and dtype == "float32" and (not window or not trees):
                continue  # a compilation each; the tests above hold these cells
            expected = oracle(
                *given, end_BT if trees else plain_BT, positions_BT, window, softcap=softcap
            )
            seen = slice(None) if trees else slice(0, 17)
            found = np.asarray(call(), np.float32)[:, seen]
            close = 0.06 if dtype == "bfloat16" else 5e-6
            np.testing.assert_allclose(found, expected[:, seen], atol=close, err_msg=name)


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
