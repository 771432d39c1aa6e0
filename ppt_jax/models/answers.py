"""Exact log-probabilities of answers, read from the logits of one packed pass.

The probability of an answer is the product of full-vocabulary softmax terms along its path in the
answer trie. The last step of a path is a *stop edge*: the total probability of a set of tokens (all
tokens whose text begins with what closes the answer), so nothing depends on which of them a
tokenizer would choose.

Axes: B rows, N supervised nodes, V vocabulary, E edges, S stop sets, C tokens of the largest stop
set, A asks, K answers of the largest support.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from ppt_jax.errors import UserError

_DEEPEST = 6  # parents are followed by doubling: tries of up to 2**6 edges


@dataclasses.dataclass(frozen=True)
class StopSets:
    """The stop sets of a tokenizer, as padded lists of token ids (static in compiled code).

    Attributes:
      ids_SC: token ids of each set, padded with the set's first id.
      real_SC: False where ``ids_SC`` is padding.
    """

    ids_SC: np.ndarray
    real_SC: np.ndarray

    @staticmethod
    def from_mask(stop_SV: np.ndarray) -> StopSets:
        """Lists the tokens of each set.

        Args:
          stop_SV: bool [S, V], True where token v is in stop set s.

        Raises:
          UserError: a set without a token.

        Example:
          >>> StopSets.from_mask(np.array([[False, True, True], [True, False, False]])).ids_SC
          array([[1, 2],
                 [0, 0]], dtype=int32)
        """
        stop_SV = np.asarray(stop_SV, bool)
        sizes_S = stop_SV.sum(1)
        if (sizes_S == 0).any():
            raise UserError(f"stop set {int(np.argmin(sizes_S))} is empty: no token closes answers")
        largest = int(sizes_S.max(initial=0))
        ids_SC = np.zeros((len(stop_SV), largest), np.int32)
        for row, mask_V in zip(ids_SC, stop_SV):
            found = np.flatnonzero(mask_V)
            row[:] = found[0]
            row[: len(found)] = found
        return StopSets(ids_SC, np.arange(largest)[None, :] < sizes_S[:, None])


def edge_log_probs(
    logits_BNV: jax.Array, batch: Mapping[str, jax.Array], stops: StopSets
) -> jax.Array:
    """Log-probability of every edge under the full-vocabulary softmax of its node.

    For an edge with token ``v`` at node ``n``: ``z[n, v] - logsumexp_u z[n, u]``; for a stop edge
    with set ``s``: ``logsumexp_{v in s} z[n, v] - logsumexp_u z[n, u]``.

    Args:
      logits_BNV: float32 logits at the supervised nodes.
      batch: `edge_node_BE` (index into N) and `edge_token_BE` (token id, or V + s for stop set s).
      stops: the stop sets.

    Returns:
      float32 [B, E]; padding edges hold some finite value.
    """
    vocab = logits_BNV.shape[-1]
    node_BE, token_BE = batch["edge_node_BE"], batch["edge_token_BE"]
    norm_BN = jax.nn.logsumexp(logits_BNV, axis=-1)
    pick = jax.vmap(lambda table_NV, node_E, column_E: table_NV[node_E, column_E])
    chosen_BE = pick(logits_BNV, node_BE, jnp.minimum(token_BE, vocab - 1))
    if stops.ids_SC.size:
        stop_BNSC = jnp.where(stops.real_SC, logits_BNV[:, :, stops.ids_SC], -jnp.inf)
        stop_BNS = jax.nn.logsumexp(stop_BNSC, axis=-1)
        stop_BE = pick(stop_BNS, node_BE, jnp.maximum(token_BE - vocab, 0))
        chosen_BE = jnp.where(token_BE < vocab, chosen_BE, stop_BE)
    return chosen_BE - jnp.take_along_axis(norm_BN, node_BE, axis=1)


def path_log_probs(edge_logp_BE: jax.Array, edge_parent_BE: jax.Array) -> jax.Array:
    """Sums edge log-probabilities from each edge up to its ask's root (parents by doubling).

    Args:
      edge_logp_BE: float32 log-probability of each edge.
      edge_parent_BE: int32, the edge that leads to this edge's node, -1 at the root; paths hold at
        most 64 edges.

    Returns:
      float32 [B, E].

    Example:
      >>> path_log_probs(jnp.array([[-1.0, -2.0, -4.0]]), jnp.array([[-1, 0, 1]])).tolist()
      [[-1.0, -3.0, -7.0]]
    """
    edges = edge_logp_BE.shape[1]
    total_BE = jnp.pad(edge_logp_BE, ((0, 0), (0, 1)))  # the last column is "above the root"
    up_BE = jnp.where(edge_parent_BE < 0, edges, edge_parent_BE)
    up_BE = jnp.pad(up_BE, ((0, 0), (0, 1)), constant_values=edges)
    for _ in range(_DEEPEST):
        total_BE = total_BE + jnp.take_along_axis(total_BE, up_BE, axis=1)
        up_BE = jnp.take_along_axis(up_BE, up_BE, axis=1)
    return total_BE[:, :edges]


def answer_log_probs(
    logits_BNV: jax.Array,
    batch: Mapping[str, jax.Array],
    stops: StopSets,
    max_answers: int,
) -> jax.Array:
    """Exact log-probability of every answer of every ask; jit-able.

    ``log p(answer) = sum of log-softmax along its path, stop included``. Not normalised over the
    answers: what is missing to 1 is the probability of saying something that is no answer.

    Args:
      logits_BNV: float32 logits at the supervised nodes.
      batch: a packed batch with full tries.
      stops: the stop sets.
      max_answers: K, the stride of `edge_answer_BE`.

    Returns:
      float32 [B, A, K]; -inf for answers that have no leaf edge in the batch.
    """
    logp_BE = edge_log_probs(logits_BNV, batch, stops)
    return scatter_answers(logp_BE, batch, max_answers)


def scatter_answers(
    edge_logp_BE: jax.Array, batch: Mapping[str, jax.Array], max_answers: int
) -> jax.Array:
    """Path sums at the leaf edges, laid out as [B, A, K]; -inf where the batch has no leaf."""
    path_BE = path_log_probs(edge_logp_BE, batch["edge_parent_BE"])
    rows, asks = batch["ask_weight_BA"].shape
    answer_BE = batch["edge_answer_BE"]
    slot_BE = jnp.where(answer_BE < 0, asks * max_answers, answer_BE)
    empty_X = jnp.full(asks * max_answers, -jnp.inf, path_BE.dtype)
    fill = jax.vmap(lambda slot_E, path_E: empty_X.at[slot_E].set(path_E, mode="drop"))
    return fill(slot_BE, path_BE).reshape(rows, asks, max_answers)
