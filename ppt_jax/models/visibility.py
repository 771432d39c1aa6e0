"""Which token sees which: the packing rule, and the window of local layers.

Token ``i`` of a row sees token ``j`` iff ``j <= i < end[j]``. That one rule is causal masking,
document packing, asks that share a story, and answer tries that share an ask (rows are laid out in
preorder, ``end[j]`` is the row index at which the branch that token ``j`` opens is closed).
Local layers (Gemma, Mistral) also ask for ``position[i] - position[j] < window``: positions count
along a token's own path, so a window means the same packed and unpacked.

Axes: B rows, T tokens, Q queries and S keys of a slice.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp


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


def plain_rows(lengths_B: jax.Array, length: int) -> jax.Array:
    """The ``end`` of rows that each hold one plain causal sequence, then padding.

    Args:
      lengths_B: int32 tokens of each sequence.
      length: T.

    Returns:
      int32 [B, T].

    Example:
      >>> import jax.numpy as jnp
      >>> plain_rows(jnp.array([2]), 3).tolist()
      [[2, 2, 3]]
    """
    row_T = jnp.arange(length, dtype=jnp.int32)
    lengths_B1 = lengths_B.astype(jnp.int32)[:, None]
    return jnp.where(row_T[None] < lengths_B1, lengths_B1, row_T[None] + 1)
