"""Attention by causal blocks of queries, in plain JAX: O(T * block) memory, its own backward.

Every block of queries scores all keys before its end. Rows and heads are merged to one axis (fast
on a CPU) or kept as two (a mesh can split both of them).

Axes: B rows, T tokens, H query heads, K key/value heads, G = H / K query heads a key head,
D head size, Q queries of one block, S keys of one block, R = B * K or two axes B, K.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from ppt_jax.models.visibility import Window, visible

_MASKED = -1e30  # finite, so that a fully masked block gives exp(...) = 0 and no NaN
_MOST_BLOCKS = 32  # blocks are unrolled in the program; longer rows get larger blocks


def capped(scores: jax.Array, softcap: float) -> jax.Array:
    """``c tanh(scores / c)``; the scores themselves for c = 0."""
    return softcap * jnp.tanh(scores / softcap) if softcap else scores


def blocked_attention(
    q_BTHD: jax.Array,
    k_BTKD: jax.Array,
    v_BTKD: jax.Array,
    end_BT: jax.Array,
    *,
    block: int,
    scale: float,
    softcap: float = 0.0,
    window: Window | None = None,
    merge: bool = True,
) -> jax.Array:
    """Attention under the rule; see `ppt_jax.models.attention.attention`.

    Args:
      q_BTHD: queries; those of a group go to the query axis.
      k_BTKD: keys.
      v_BTKD: values.
      end_BT: see `visibility.visible`.
      block: queries scored together.
      scale: factor of the scores.
      softcap: 0 leaves the scores as they are.
      window: of a local layer.
      merge: rows and key heads in one batch axis.
    """
    rule = _Rule(end_BT, window)
    batch, length, heads, size = q_BTHD.shape
    keys = k_BTKD.shape[2]
    block = max(block, -(-length // _MOST_BLOCKS))
    rows = (batch * keys,) if merge else (batch, keys)

    def turned(x_BTKD: jax.Array) -> jax.Array:
        return x_BTKD.transpose(0, 2, 1, 3).reshape(*rows, length, size)

    q_BTKGD = (q_BTHD * scale).reshape(batch, length, keys, heads // keys, size)
    q_RGTD = q_BTKGD.transpose(0, 2, 3, 1, 4).reshape(*rows, heads // keys, length, size)
    out_RGTD = _softmax_core(q_RGTD, turned(k_BTKD), turned(v_BTKD), rule, block, softcap)
    out_BKGTD = out_RGTD.reshape(batch, keys, heads // keys, length, size)
    return out_BKGTD.transpose(0, 3, 1, 2, 4).reshape(batch, length, heads, size)


class _Rule(NamedTuple):
    """What a query may look at: the arguments of `visible` that are arrays."""

    end_BT: jax.Array
    window: Window | None


def _spans(length: int, block: int) -> Iterator[tuple[int, int]]:
    for first in range(0, length, block):
        yield first, min(first + block, length)


_ROWS_BY_QUERIES = (1, 1)  # [R,Q,D] x [R,S,D] -> [R,Q,S]: which axis behind R is summed over
_WEIGHTED_SUM = (1, 0)  # [R,Q,S] x [R,S,D] -> [R,Q,D]
_OVER_QUERIES = (0, 0)  # [R,Q,S] x [R,Q,D] -> [R,S,D]


def _dot(a: jax.Array, b: jax.Array, summed: tuple[int, int]) -> jax.Array:
    rows = a.ndim - 2
    batch = tuple(range(rows))
    numbers = (((rows + summed[0],), (rows + summed[1],)), (batch, batch))
    return lax.dot_general(a, b, numbers, preferred_element_type=jnp.float32)


def _hidden(rule: _Rule, first: int, last: int, rows: tuple[int, ...], group: int) -> jax.Array:
    """The additive mask [R, G * Q, S] of one block of queries."""
    seen_BQS = visible(rule.end_BT, first, last, rule.window)
    bias_BQS = jnp.where(seen_BQS, 0.0, _MASKED)
    batch, queries, span = bias_BQS.shape
    shape = (batch, math.prod(rows) // batch, group, queries, span)
    bias = jnp.broadcast_to(bias_BQS[:, None, None], shape)
    return bias.reshape(*rows, group * queries, span)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def _softmax_core(
    q_RGTD: jax.Array,
    k_RTD: jax.Array,
    v_RTD: jax.Array,
    rule: _Rule,
    block: int,
    softcap: float,
) -> jax.Array:
    return _softmax_forward(q_RGTD, k_RTD, v_RTD, rule, block, softcap)[0]


def _softmax_forward(
    q_RGTD: jax.Array,
    k_RTD: jax.Array,
    v_RTD: jax.Array,
    rule: _Rule,
    block: int,
    softcap: float,
) -> tuple[jax.Array, tuple]:
    *rows, group, length, size = q_RGTD.shape
    axis = len(rows) + 1
    outs, norms = [], []
    for first, last in _spans(length, block):
        q_RQD = q_RGTD[..., first:last, :].reshape(*rows, group * (last - first), size)
        scores_RQS = capped(_dot(q_RQD, k_RTD[..., :last, :], _ROWS_BY_QUERIES), softcap)
        scores_RQS += _hidden(rule, first, last, tuple(rows), group)
        top_RQ1 = scores_RQS.max(-1, keepdims=True)
        weights_RQS = jnp.exp(scores_RQS - top_RQ1)
        total_RQ1 = weights_RQS.sum(-1, keepdims=True)
        out_RQD = (
            _dot(weights_RQS.astype(v_RTD.dtype), v_RTD[..., :last, :], _WEIGHTED_SUM) / total_RQ1
        )
        outs.append(out_RQD.astype(q_RGTD.dtype).reshape(*rows, group, last - first, size))
        norms.append((top_RQ1 + jnp.log(total_RQ1)).reshape(*rows, group, last - first))
    out_RGTD, norm_RGT = jnp.concatenate(outs, axis), jnp.concatenate(norms, axis)
    return out_RGTD, (q_RGTD, k_RTD, v_RTD, rule, out_RGTD, norm_RGT)


def _softmax_backward(
    block: int, softcap: float, saved: tuple, grad_RGTD: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array, None]:
    """Weights are recomputed from the saved log-normaliser; ``ds = w * (dw - sum(do * o))``.

    A soft cap ``y = c tanh(s / c)`` multiplies ``ds`` by ``1 - (y / c)^2``.
    """
    q_RGTD, k_RTD, v_RTD, rule, out_RGTD, norm_RGT = saved
    *rows, group, length, size = q_RGTD.shape
    inner_RGT = (grad_RGTD.astype(jnp.float32) * out_RGTD.astype(jnp.float32)).sum(-1)
    dk_RTD = jnp.zeros(k_RTD.shape, jnp.float32)
    dv_RTD = jnp.zeros(v_RTD.shape, jnp.float32)
    dq = []
    for first, last in _spans(length, block):
        flat = (*rows, group * (last - first), -1)
        q_RQD = q_RGTD[..., first:last, :].reshape(flat)
        grad_RQD = grad_RGTD[..., first:last, :].reshape(flat)
        scores_RQS = capped(_dot(q_RQD, k_RTD[..., :last, :], _ROWS_BY_QUERIES), softcap)
        masked_RQS = scores_RQS + _hidden(rule, first, last, tuple(rows), group)
        weights_RQS = jnp.exp(masked_RQS - norm_RGT[..., first:last].reshape(flat))
        dw_RQS = _dot(grad_RQD, v_RTD[..., :last, :], _ROWS_BY_QUERIES)
        ds_RQS = weights_RQS * (dw_RQS - inner_RGT[..., first:last].reshape(flat))
        if softcap:
            ds_RQS = ds_RQS * (1 - (scores_RQS / softcap) ** 2)
        ds_RQS = ds_RQS.astype(q_RGTD.dtype)
        weights_RQS = weights_RQS.astype(q_RGTD.dtype)
        dq_RQD = _dot(ds_RQS, k_RTD[..., :last, :], _WEIGHTED_SUM)
        dq.append(dq_RQD.astype(q_RGTD.dtype).reshape(*rows, group, last - first, size))
        dk_RTD = dk_RTD.at[..., :last, :].add(_dot(ds_RQS, q_RQD, _OVER_QUERIES))
        dv_RTD = dv_RTD.at[..., :last, :].add(_dot(weights_RQS, grad_RQD, _OVER_QUERIES))
    return (
        jnp.concatenate(dq, len(rows) + 1),
        dk_RTD.astype(k_RTD.dtype),
        dv_RTD.astype(v_RTD.dtype),
        None,
    )


_softmax_core.defvjp(_softmax_forward, _softmax_backward)
