"""Attention under the packing rule as Pallas kernels, for TPUs (Mosaic) and NVIDIA GPUs (Triton).

The softmax is taken block by block as in FlashAttention: a row of T tokens needs memory O(T).
Blocks of keys and queries that do not touch are skipped: a block of keys is out of reach of every
query at or behind its greatest ``end``, and of queries whose positions lie a window ahead. On a CPU
the same kernels run interpreted, which is exact and slow; that is how the tests run them.

Axes: B rows, T tokens, H query heads, K key heads, G = H / K, D head size, Q queries and S keys of
one block, N blocks.

References:
  Dao et al. (2022), FlashAttention; Dao (2023), FlashAttention-2.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.custom_partitioning import custom_partitioning
from jax.experimental.pallas import tpu as pltpu
from jax.experimental.pallas import triton as pltriton
from jax.sharding import NamedSharding, PartitionSpec

BLOCKS = (16, 32, 64, 128, 256, 512)
"""Tokens of a block."""

_MASKED = -1e30  # finite: a block that hides everything from a query gives no NaN
_NT = (((1,), (1,)), ((), ()))  # [M,D] x [N,D] -> [M,N]
_NN = (((1,), (0,)), ((), ()))  # [M,N] x [N,D] -> [M,D]


@dataclasses.dataclass(frozen=True)
class Arithmetic:
    """What is fixed when a kernel is compiled.

    Attributes:
      scale: factor of the scores.
      softcap: scores become ``c tanh(score / c)``; 0: off.
      windowed: whether positions matter.
      block: queries, and keys, of one block.
    """

    scale: float
    softcap: float
    windowed: bool
    block: int


class Layout(NamedTuple):
    """What a query may look at, and bounds of it over blocks of tokens.

    Attributes:
      end_BT: see `ppt_jax.models.visibility.visible`.
      place_BT: position of each token along its own path.
      size_11: int32, positions that a query looks back.
      reach_BN: greatest ``end`` of a block.
      high_BN: greatest position of a block.
      low_BN: least position of a block.
    """

    end_BT: jax.Array
    place_BT: jax.Array
    size_11: jax.Array
    reach_BN: jax.Array
    high_BN: jax.Array
    low_BN: jax.Array


def layout_of(end_BT: jax.Array, place_BT: jax.Array, size: jax.Array, block: int) -> Layout:
    """The layout of rows whose length is a multiple of ``block``."""
    end_BNS, place_BNS = (x.reshape(x.shape[0], -1, block) for x in (end_BT, place_BT))
    size_11 = jnp.asarray(size, jnp.int32).reshape(1, 1)
    return Layout(end_BT, place_BT, size_11, end_BNS.max(-1), place_BNS.max(-1), place_BNS.min(-1))


def flash_attention(
    q_BTHD: jax.Array,
    k_BTKD: jax.Array,
    v_BTKD: jax.Array,
    end_BT: jax.Array,
    *,
    block: int,
    scale: float,
    softcap: float = 0.0,
    place_BT: jax.Array | None = None,
    size: jax.Array | None = None,
) -> jax.Array:
    """Attention under the rule ``j <= i < end[j]``; see `ppt_jax.models.attention.attention`.

    Args:
      q_BTHD: queries, float32 or bfloat16.
      k_BTKD: keys.
      v_BTKD: values.
      end_BT: int32.
      block: one of `BLOCKS`; 128 or more on a TPU.
      scale: factor of the scores.
      softcap: 0 leaves the scores as they are.
      place_BT: int32 positions, with `size`: keys ``size`` or more positions back are hidden.
      size: int32 scalar, may be traced.

    Returns:
      [B, T, H, D] in the dtype of ``q_BTHD``.
    """
    batch, length, _, wide = q_BTHD.shape
    how = Arithmetic(scale, softcap, size is not None, block)
    more = -length % block
    # Kernels of GPUs want sizes that are powers of two; zeros change no score and no sum.
    head = max(16, 1 << (wide - 1).bit_length())

    def laid_out(x_BTHD: jax.Array) -> jax.Array:
        x_BTHD = jnp.pad(x_BTHD, ((0, 0), (0, more), (0, 0), (0, head - wide)))
        return x_BTHD.transpose(0, 2, 1, 3)

    row_M = jnp.arange(length + 1, length + more + 1, dtype=jnp.int32)
    lonely_BM = jnp.broadcast_to(row_M, (batch, more))
    end_BT = jnp.concatenate([end_BT.astype(jnp.int32), lonely_BM], 1)
    if place_BT is None or size is None:
        place_BT, size = jnp.zeros_like(end_BT), jnp.int32(1)
    else:
        place_BT = jnp.pad(place_BT.astype(jnp.int32), ((0, 0), (0, more)))
    layout = layout_of(end_BT, place_BT, size, block)
    q_BHTD, k_BKTD, v_BKTD = map(laid_out, (q_BTHD, k_BTKD, v_BTKD))
    q_BKGTD = q_BHTD.reshape(batch, k_BKTD.shape[1], -1, *q_BHTD.shape[2:])
    out_BHTD = _core(how, q_BKGTD, k_BKTD, v_BKTD, layout).reshape(q_BHTD.shape)
    return out_BHTD.transpose(0, 2, 1, 3)[:, :length, :, :wide]


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _core(
    how: Arithmetic, q_BKGTD: jax.Array, k_BKTD: jax.Array, v_BKTD: jax.Array, layout: Layout
) -> jax.Array:
    return _forward(how, q_BKGTD, k_BKTD, v_BKTD, layout)[0]


def _forward(
    how: Arithmetic, q_BKGTD: jax.Array, k_BKTD: jax.Array, v_BKTD: jax.Array, layout: Layout
) -> tuple[jax.Array, tuple]:
    out_BKGTD, norm_BKG1T = _forward_run(how, *layout, q_BKGTD, k_BKTD, v_BKTD)
    return out_BKGTD, (q_BKGTD, k_BKTD, v_BKTD, layout, out_BKGTD, norm_BKG1T)


def _backward(
    how: Arithmetic, saved: tuple, grad_BKGTD: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array, None]:
    q_BKGTD, k_BKTD, v_BKTD, layout, out_BKGTD, norm_BKG1T = saved
    grad_BKGTD = grad_BKGTD.astype(q_BKGTD.dtype)
    inner_BKGT = (grad_BKGTD.astype(jnp.float32) * out_BKGTD.astype(jnp.float32)).sum(-1)
    given = (*layout, q_BKGTD, k_BKTD, v_BKTD, grad_BKGTD, norm_BKG1T, inner_BKGT[..., None, :])
    dq_BKGTD = _query_run(how, *given)
    dk_BKGTD, dv_BKGTD = _key_run(how, *given)
    return (
        dq_BKGTD,
        dk_BKGTD.sum(2).astype(k_BKTD.dtype),
        dv_BKGTD.sum(2).astype(v_BKTD.dtype),
        None,
    )


_core.defvjp(_forward, _backward)


# ---- kernels: one row, one query head, one block of queries (or keys) ----


def _dot(a: jax.Array, b: jax.Array, numbers: Any) -> jax.Array:
    exact = lax.Precision.HIGHEST if a.dtype == jnp.float32 else None
    return lax.dot_general(a, b, numbers, precision=exact, preferred_element_type=jnp.float32)


def _along(block: int, axis: int) -> jax.Array:
    return lax.broadcasted_iota(jnp.int32, (block, 1) if axis == 0 else (1, block), axis)


def _capped(how: Arithmetic, scores: jax.Array) -> jax.Array:
    scores = scores * how.scale
    return how.softcap * jnp.tanh(scores / how.softcap) if how.softcap else scores


def _uncapped(how: Arithmetic, grads: jax.Array, scores: jax.Array) -> jax.Array:
    """Gradient of the scores before the soft cap."""
    return grads * (1 - (scores / how.softcap) ** 2) if how.softcap else grads


def _touch(how: Arithmetic, bounds: tuple, row: Any, queries: Any, keys: Any) -> Any:
    """Whether any query of one block may see any key of another, from bounds alone."""
    size, reach, high, low = bounds
    near = reach[row, keys] > queries * how.block
    if how.windowed:
        near &= low[row, queries] - high[row, keys] < size[0, 0]
    return near


def _part(ref: Any, block: int, n: Any) -> jax.Array:
    """Tokens of block n of [1, 1, T, D]."""
    return ref[0, 0, pl.ds(pl.multiple_of(n * block, block), block), :]


def _strip(ref: Any, block: int, n: Any) -> jax.Array:
    """Numbers of block n of [1, 1, T] or [1, 1, 1, T], as a row."""
    at = pl.ds(pl.multiple_of(n * block, block), block)
    return ref[0, 0, :, at] if len(ref.shape) == 4 else ref[0, :, at]


def _forward_kernel(
    size: Any,
    reach: Any,
    high: Any,
    low: Any,
    end: Any,
    place: Any,
    own_place: Any,
    q: Any,
    k: Any,
    v: Any,
    out: Any,
    norm: Any,
    *,
    how: Arithmetic,
) -> None:
    row, own, block = pl.program_id(0), pl.program_id(2), how.block
    q_QD = q[0, 0]
    query_Q1 = own * block + _along(block, 0)

    def add(n: Any, carry: tuple) -> tuple:
        sum_QD, top_Q1, total_Q1 = carry
        scores_QS = _capped(how, _dot(q_QD, _part(k, block, n), _NT))
        key_1S = n * block + _along(block, 1)
        seen_QS = (key_1S <= query_Q1) & (query_Q1 < _strip(end, block, n))
        if how.windowed:
            seen_QS &= own_place[0] - _strip(place, block, n) < size[0, 0]
        scores_QS = jnp.where(seen_QS, scores_QS, _MASKED)
        higher_Q1 = jnp.maximum(top_Q1, scores_QS.max(1, keepdims=True))
        kept_Q1 = jnp.exp(top_Q1 - higher_Q1)
        weight_QS = jnp.exp(scores_QS - higher_Q1)
        value_SD = _part(v, block, n)
        sum_QD = sum_QD * kept_Q1 + _dot(weight_QS.astype(value_SD.dtype), value_SD, _NN)
        return sum_QD, higher_Q1, total_Q1 * kept_Q1 + weight_QS.sum(1, keepdims=True)

    def step(n: Any, carry: tuple) -> tuple:
        near = _touch(how, (size, reach, high, low), row, own, n)
        return lax.cond(near, functools.partial(add, n), lambda carry: carry, carry)

    start = (
        jnp.zeros(q_QD.shape, jnp.float32),
        jnp.full((block, 1), _MASKED, jnp.float32),
        jnp.zeros((block, 1), jnp.float32),
    )
    sum_QD, top_Q1, total_Q1 = lax.fori_loop(0, own + 1, step, start)
    out[0, 0] = (sum_QD / total_Q1).astype(out.dtype)
    norm[0, 0] = (top_Q1 + jnp.log(total_Q1)).T


def _query_kernel(
    size: Any,
    reach: Any,
    high: Any,
    low: Any,
    end: Any,
    place: Any,
    own_place: Any,
    q: Any,
    k: Any,
    v: Any,
    grad: Any,
    norm: Any,
    inner: Any,
    dq: Any,
    *,
    how: Arithmetic,
) -> None:
    row, own, block = pl.program_id(0), pl.program_id(2), how.block
    q_QD, grad_QD = q[0, 0], grad[0, 0]
    norm_Q1, inner_Q1 = norm[0, 0].T, inner[0, 0].T
    query_Q1 = own * block + _along(block, 0)

    def add(n: Any, dq_QD: jax.Array) -> jax.Array:
        key_SD = _part(k, block, n)
        scores_QS = _capped(how, _dot(q_QD, key_SD, _NT))
        key_1S = n * block + _along(block, 1)
        seen_QS = (key_1S <= query_Q1) & (query_Q1 < _strip(end, block, n))
        if how.windowed:
            seen_QS &= own_place[0] - _strip(place, block, n) < size[0, 0]
        weight_QS = jnp.where(seen_QS, jnp.exp(scores_QS - norm_Q1), 0.0)
        ds_QS = weight_QS * (_dot(grad_QD, _part(v, block, n), _NT) - inner_Q1)
        ds_QS = _uncapped(how, ds_QS, scores_QS)
        return dq_QD + _dot(ds_QS.astype(key_SD.dtype), key_SD, _NN)

    def step(n: Any, dq_QD: jax.Array) -> jax.Array:
        near = _touch(how, (size, reach, high, low), row, own, n)
        return lax.cond(near, functools.partial(add, n), lambda dq_QD: dq_QD, dq_QD)

    dq_QD = lax.fori_loop(0, own + 1, step, jnp.zeros(q_QD.shape, jnp.float32))
    dq[0, 0] = (dq_QD * how.scale).astype(dq.dtype)


def _key_kernel(
    size: Any,
    reach: Any,
    high: Any,
    low: Any,
    own_end: Any,
    place: Any,
    own_place: Any,
    q: Any,
    k: Any,
    v: Any,
    grad: Any,
    norm: Any,
    inner: Any,
    dk: Any,
    dv: Any,
    *,
    how: Arithmetic,
    blocks: int,
) -> None:
    """Scores stand turned here, keys by queries, so that every product is a plain one."""
    row, own, block = pl.program_id(0), pl.program_id(2), how.block
    key_SD, value_SD = k[0, 0], v[0, 0]
    key_S1 = own * block + _along(block, 0)
    end_S1 = own_end[0]

    def add(n: Any, carry: tuple) -> tuple:
        dk_SD, dv_SD = carry
        q_QD, grad_QD = _part(q, block, n), _part(grad, block, n)
        scores_SQ = _capped(how, _dot(key_SD, q_QD, _NT))
        query_1Q = n * block + _along(block, 1)
        seen_SQ = (key_S1 <= query_1Q) & (query_1Q < end_S1)
        if how.windowed:
            seen_SQ &= _strip(place, block, n) - own_place[0] < size[0, 0]
        weight_SQ = jnp.where(seen_SQ, jnp.exp(scores_SQ - _strip(norm, block, n)), 0.0)
        dv_SD = dv_SD + _dot(weight_SQ.astype(grad_QD.dtype), grad_QD, _NN)
        ds_SQ = weight_SQ * (_dot(value_SD, grad_QD, _NT) - _strip(inner, block, n))
        ds_SQ = _uncapped(how, ds_SQ, scores_SQ)
        return dk_SD + _dot(ds_SQ.astype(q_QD.dtype), q_QD, _NN), dv_SD

    def step(n: Any, carry: tuple) -> tuple:
        near = _touch(how, (size, reach, high, low), row, n, own)
        return lax.cond(near, functools.partial(add, n), lambda carry: carry, carry)

    zeros_SD = jnp.zeros(key_SD.shape, jnp.float32)
    dk_SD, dv_SD = lax.fori_loop(own, blocks, step, (zeros_SD, zeros_SD))
    dk[0, 0], dv[0, 0] = dk_SD * how.scale, dv_SD


# ---- calls: which part of which array a kernel gets ----


class _Parts:
    """Blocks by name: ``whole`` rows or the ``own`` block, of heads of queries or of keys."""

    def __init__(self, how: Arithmetic, backend: str, q_BKGTD: jax.Array) -> None:
        batch, keys, group, length, wide = q_BKGTD.shape
        block = how.block
        self.heads = (batch, keys * group, length, wide)
        self.grid = (batch, keys * group, length // block)
        # A TPU reads single numbers from its scalar memory.
        bound = pl.BlockSpec(memory_space=pltpu.SMEM) if backend == "tpu" else pl.BlockSpec()
        self.bounds = [bound] * 4
        self.strip = pl.BlockSpec((1, 1, length), lambda b, h, n: (b, 0, 0))
        self.own_column = pl.BlockSpec((1, block, 1), lambda b, h, n: (b, n, 0))
        self.own = pl.BlockSpec((1, 1, block, wide), lambda b, h, n: (b, h, n, 0))
        self.whole = pl.BlockSpec((1, 1, length, wide), lambda b, h, n: (b, h, 0, 0))
        self.own_key = pl.BlockSpec(
            (1, 1, block, wide), lambda b, h, n: (b, lax.div(h, group), n, 0)
        )
        self.whole_key = pl.BlockSpec(
            (1, 1, length, wide), lambda b, h, n: (b, lax.div(h, group), 0, 0)
        )
        self.own_number = pl.BlockSpec((1, 1, 1, block), lambda b, h, n: (b, h, 0, n))
        self.whole_number = pl.BlockSpec((1, 1, 1, length), lambda b, h, n: (b, h, 0, 0))

    def flat(self, x_BKGTD: jax.Array) -> jax.Array:
        """Key heads and their groups in one axis."""
        return x_BKGTD.reshape(*self.heads[:2], *x_BKGTD.shape[3:])


def _call(
    kernel: Callable, name: str, backend: str, parts: _Parts, ins: list, outs: Any, shapes: Any
) -> Callable:
    compiler: Any = None
    if backend == "tpu":
        compiler = pltpu.CompilerParams(dimension_semantics=("parallel", "parallel", "arbitrary"))
    elif backend == "cuda":
        compiler = pltriton.CompilerParams(num_warps=4, num_stages=2)
    return pl.pallas_call(
        kernel,
        grid=parts.grid,
        in_specs=ins,
        out_specs=outs,
        out_shape=shapes,
        compiler_params=compiler,
        interpret=backend == "cpu",
        name=name,
    )


def _bounds(layout: Layout) -> tuple[jax.Array, ...]:
    return layout.size_11, layout.reach_BN, layout.high_BN, layout.low_BN


def _forward_call(how: Arithmetic, backend: str, *arrays: jax.Array) -> tuple[jax.Array, jax.Array]:
    layout, (q_BKGTD, k_BKTD, v_BKTD) = Layout(*arrays[:6]), arrays[6:]
    at = _Parts(how, backend, q_BKGTD)
    batch, heads, length, _ = at.heads
    shapes = (
        jax.ShapeDtypeStruct(at.heads, q_BKGTD.dtype),
        jax.ShapeDtypeStruct((batch, heads, 1, length), jnp.float32),
    )
    ins = [*at.bounds, at.strip, at.strip, at.own_column, at.own, at.whole_key, at.whole_key]
    kernel = functools.partial(_forward_kernel, how=how)
    run = _call(kernel, "attention", backend, at, ins, (at.own, at.own_number), shapes)
    places = (layout.end_BT[:, None], layout.place_BT[:, None], layout.place_BT[:, :, None])
    out_BHTD, norm_BH1T = run(*_bounds(layout), *places, at.flat(q_BKGTD), k_BKTD, v_BKTD)
    return out_BHTD.reshape(q_BKGTD.shape), norm_BH1T.reshape(*q_BKGTD.shape[:3], 1, length)


def _query_call(how: Arithmetic, backend: str, *arrays: jax.Array) -> jax.Array:
    layout, (q_BKGTD, k_BKTD, v_BKTD, *rest) = Layout(*arrays[:6]), arrays[6:]
    at = _Parts(how, backend, q_BKGTD)
    ins = [*at.bounds, at.strip, at.strip, at.own_column, at.own, at.whole_key, at.whole_key]
    ins += [at.own, at.own_number, at.own_number]
    shape = jax.ShapeDtypeStruct(at.heads, q_BKGTD.dtype)
    kernel = functools.partial(_query_kernel, how=how)
    run = _call(kernel, "attention_queries", backend, at, ins, at.own, shape)
    places = (layout.end_BT[:, None], layout.place_BT[:, None], layout.place_BT[:, :, None])
    given = (at.flat(q_BKGTD), k_BKTD, v_BKTD, *map(at.flat, rest))
    return run(*_bounds(layout), *places, *given).reshape(q_BKGTD.shape)


def _key_call(how: Arithmetic, backend: str, *arrays: jax.Array) -> tuple[jax.Array, jax.Array]:
    layout, (q_BKGTD, k_BKTD, v_BKTD, *rest) = Layout(*arrays[:6]), arrays[6:]
    at = _Parts(how, backend, q_BKGTD)
    ins = [*at.bounds, at.own_column, at.strip, at.own_column, at.whole, at.own_key, at.own_key]
    ins += [at.whole, at.whole_number, at.whole_number]
    shape = jax.ShapeDtypeStruct(at.heads, jnp.float32)
    kernel = functools.partial(_key_kernel, how=how, blocks=at.grid[2])
    run = _call(kernel, "attention_keys", backend, at, ins, (at.own, at.own), (shape, shape))
    places = (layout.end_BT[:, :, None], layout.place_BT[:, None], layout.place_BT[:, :, None])
    given = (at.flat(q_BKGTD), k_BKTD, v_BKTD, *map(at.flat, rest))
    dk_BHTD, dv_BHTD = run(*_bounds(layout), *places, *given)
    return dk_BHTD.reshape(q_BKGTD.shape), dv_BHTD.reshape(q_BKGTD.shape)


# ---- meshes: rows and key heads may be split, nothing else ----

_AXES_OF_LAYOUT = ("b t", "b t", "i j", "b n", "b n", "b n")
_AXES = {"q": "b k g t d", "k": "b k t d", "number": "b k g o t"}


def _on_mesh(call: Callable, takes: str, gives: str) -> Callable:
    """A call that every device makes on its own rows and key heads.

    Args:
      call: one of the calls above.
      takes: names in `_AXES` of its arrays behind the layout.
      gives: of its results.
    """

    def on_backend(how: Arithmetic, *arrays: jax.Array) -> Any:
        return lax.platform_dependent(
            *arrays,
            tpu=functools.partial(call, how, "tpu"),
            cuda=functools.partial(call, how, "cuda"),
            cpu=functools.partial(call, how, "cpu"),
        )

    names_in = [*_AXES_OF_LAYOUT, *(_AXES[name] for name in takes.split())]
    names_out = [_AXES[name] for name in gives.split()]

    def partition(how: Arithmetic, mesh: Any, given: Any, results: Any) -> tuple:
        split = dict(zip("bk", [*given[6].sharding.spec, None, None]))

        def placed(axes: str) -> NamedSharding:
            return NamedSharding(mesh, PartitionSpec(*(split.get(name) for name in axes.split())))

        outs = tuple(placed(axes) for axes in names_out)
        ins = tuple(placed(axes) for axes in names_in)
        own = functools.partial(on_backend, how)
        return mesh, own, outs if len(outs) > 1 else outs[0], ins

    seen = dict.fromkeys(" ".join(names_in + names_out).split())  # in order: so it must be given
    run = custom_partitioning(on_backend, static_argnums=(0,))
    run.def_partition(
        partition=partition,
        sharding_rule=f"{', '.join(names_in)} -> {', '.join(names_out)}",
        need_replication_factors=tuple(name for name in seen if name not in "bk"),
    )
    return run


_forward_run = _on_mesh(_forward_call, "q k k", "q number")
_query_run = _on_mesh(_query_call, "q k k q number number", "q")
_key_run = _on_mesh(_key_call, "q k k q number number", "q q")
