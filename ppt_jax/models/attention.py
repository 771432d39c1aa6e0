"""Attention over packed prefix trees: one rule, one integer a token, several routes.

Token ``i`` of a row sees token ``j`` iff ``j <= i < end[j]``. That one rule is causal masking,
document packing, asks that share a story, and answer tries that share an ask (rows are laid out in
preorder, ``end[j]`` is the row index at which the branch that token ``j`` opens is closed).
Local layers (Gemma, Mistral) also ask for ``position[i] - position[j] < window``: positions count
along a token's own path, so a window means the same packed and unpacked.

Axes: B rows, T tokens, H query heads, K key/value heads, G = H / K query heads a key head,
D head size, Q queries of one block, S keys of one block, R = B * K or two axes B, K.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from ppt_jax.errors import UserError

ROUTES = ("blocked", "grouped", "dense")
"""All are exact and honour the rule, windows, scales and soft caps.

``blocked``: O(T * block) memory, own backward; rows and heads in one axis, fastest on a CPU.
``grouped``: the same with rows and heads in two axes, so that a mesh can split both of them.
``dense``: T x T, the plain form.
"""

_MASKED = -1e30  # finite, so that a fully masked block gives exp(...) = 0 and no NaN
_MOST_BLOCKS = 32  # blocks are unrolled in the program; longer rows get larger blocks


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Window:
    """How far a local layer looks back.

    Attributes:
      positions_BT: int32 position of each token along its own path.
      size: int32 scalar, may be traced (layers of one scan differ in it): a query at position
        ``p`` sees positions ``p - size + 1`` to ``p``.
    """

    positions_BT: jax.Array
    size: jax.Array


def visible(
    end_BT: jax.Array, first: int = 0, last: int | None = None, window: Window | None = None
) -> jax.Array:
    """The mask of the packing rule for queries ``first:last`` and the keys before ``last``.

    Args:
      end_BT: int32, the row index at which the branch of each token closes; padding has
        ``end[j] = j + 1``, so it sees itself only and nobody sees it.
      first: first query of the slice.
      last: one past the last query; the row's length when None.
      window: keeps only keys less than ``window.size`` positions back.

    Returns:
      bool [B, last - first, last], True where the query may look at the key.

    Example:
      >>> import jax.numpy as jnp
      >>> visible(jnp.array([[3, 2, 3]]))[0].astype(int).tolist()  # a story and two branches
      [[1, 0, 0], [1, 1, 0], [1, 0, 1]]
    """
    last = end_BT.shape[1] if last is None else last
    query_Q1 = jnp.arange(first, last, dtype=end_BT.dtype)[:, None]
    key_1S = jnp.arange(last, dtype=end_BT.dtype)[None, :]
    seen_BQS = (key_1S <= query_Q1)[None] & (query_Q1[None] < end_BT[:, None, :last])
    if window is None:
        return seen_BQS
    here_BQ1 = window.positions_BT[:, first:last, None]
    there_B1S = window.positions_BT[:, None, :last]
    return seen_BQS & (here_BQ1 - there_B1S < window.size)


def attention(
    q_BTHD: jax.Array,
    k_BTKD: jax.Array,
    v_BTKD: jax.Array,
    end_BT: jax.Array,
    *,
    route: str = "blocked",
    block: int = 128,
    scale: float | None = None,
    softcap: float = 0.0,
    window: Window | None = None,
) -> jax.Array:
    """Softmax attention ``softmax(c tanh(q k^T scale / c)) v`` under the rule ``j <= i < end[j]``.

    Scores, softmax and their gradients are float32 whatever the inputs are.

    Args:
      q_BTHD: queries, float32 or bfloat16, rotary already applied.
      k_BTKD: keys; H is a multiple of K, and query head ``h`` reads key head ``h // (H / K)``.
      v_BTKD: values.
      end_BT: int32, see `visible`.
      route: one of `ROUTES`.
      block: queries that one block of the ``blocked`` route scores together.
      scale: factor of the scores, ``1 / sqrt(D)`` when None.
      softcap: ``c``; 0 leaves the scores as they are.
      window: also hides keys further back than its size.

    Returns:
      [B, T, H, D] in the dtype of ``q_BTHD``.

    Raises:
      UserError: an unknown route.

    Example:
      >>> import jax.numpy as jnp
      >>> x = jnp.ones((1, 3, 2, 4)); attention(x, x, x, jnp.array([[3, 2, 3]])).shape
      (1, 3, 2, 4)
    """
    scale = q_BTHD.shape[-1] ** -0.5 if scale is None else scale
    if route == "dense":
        return _dense(q_BTHD, k_BTKD, v_BTKD, visible(end_BT, window=window), scale, softcap)
    if route in ("blocked", "grouped"):
        merge = route == "blocked"
        return _blocked(q_BTHD, k_BTKD, v_BTKD, _Rule(end_BT, window), block, scale, softcap, merge)
    raise UserError(f"attention: unknown route {route!r}; known are {', '.join(ROUTES)}")


def _capped(scores: jax.Array, softcap: float) -> jax.Array:
    return softcap * jnp.tanh(scores / softcap) if softcap else scores


def _dense(
    q_BTHD: jax.Array,
    k_BTKD: jax.Array,
    v_BTKD: jax.Array,
    seen_BTS: jax.Array,
    scale: float,
    softcap: float,
) -> jax.Array:
    batch, length, heads, size = q_BTHD.shape
    keys = k_BTKD.shape[2]
    q_BTKGD = q_BTHD.reshape(batch, length, keys, heads // keys, size)
    scores = jnp.einsum("btkgd,bskd->bkgts", q_BTKGD, k_BTKD, preferred_element_type=jnp.float32)
    scores = _capped(scores * scale, softcap)
    scores = jnp.where(seen_BTS[:, None, None], scores, _MASKED)
    weights = jax.nn.softmax(scores, axis=-1).astype(v_BTKD.dtype)
    out = jnp.einsum("bkgts,bskd->btkgd", weights, v_BTKD)
    return out.reshape(batch, length, heads, size).astype(q_BTHD.dtype)


def _blocked(
    q_BTHD: jax.Array,
    k_BTKD: jax.Array,
    v_BTKD: jax.Array,
    rule: _Rule,
    block: int,
    scale: float,
    softcap: float,
    merge: bool,
) -> jax.Array:
    """Query heads of a group go to the query axis; rows and key heads are the batch (merged)."""
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
        scores_RQS = _capped(_dot(q_RQD, k_RTD[..., :last, :], _ROWS_BY_QUERIES), softcap)
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
        scores_RQS = _capped(_dot(q_RQD, k_RTD[..., :last, :], _ROWS_BY_QUERIES), softcap)
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
