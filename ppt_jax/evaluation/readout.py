"""From logits to items: exact log-probabilities of all answers of packed answer tries.

A packed batch holds each ask's answer trie as edges: an edge leaves a supervised node by a token,
or by any token of a stop set. The log-probability of an answer is the sum of full-vocabulary
log-softmax terms along its path, stop included, so nothing is renormalised and lost mass stays
visible.

Axes: B rows, N supervised nodes, E edges, V vocabulary, S stop sets, A asks in a row, K answers.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppt_jax.evaluation.items import Item, ItemError, Target


@functools.partial(jax.jit, static_argnames=("asks", "max_answers"))
def answer_logp(
    logits_BNV: jax.Array,
    edge_node_BE: jax.Array,
    edge_token_BE: jax.Array,
    edge_parent_BE: jax.Array,
    edge_answer_BE: jax.Array,
    stop_SV: jax.Array,
    *,
    asks: int,
    max_answers: int,
) -> jax.Array:
    """Log-probability of every answer of every ask in a packed batch.

    Args:
      logits_BNV: float logits at the supervised nodes.
      edge_node_BE: node that each edge leaves, index into N.
      edge_token_BE: token id of the edge, or V + s for stop set s.
      edge_parent_BE: edge that leads to this edge's node, -1 at the root of an ask.
      edge_answer_BE: ``ask slot * max_answers + answer`` for the last edge of an answer, else -1.
      stop_SV: bool, tokens of each stop set.
      asks: asks per row (static).
      max_answers: answer slots per ask (static).

    Returns:
      float32 [B, A, K], minus infinity in slots without an answer.
    """
    size_V = logits_BNV.shape[-1]
    edges = edge_node_BE.shape[1]
    logits_BNV = logits_BNV.astype(jnp.float32)
    norm_BN = jax.nn.logsumexp(logits_BNV, axis=-1)

    def stop_mass(stop_V: jax.Array) -> jax.Array:
        return jax.nn.logsumexp(jnp.where(stop_V, logits_BNV, -jnp.inf), axis=-1)

    stop_SBN = jax.lax.map(stop_mass, stop_SV)

    def one_row(
        logits_NV: jax.Array,
        norm_N: jax.Array,
        stop_SN: jax.Array,
        node_E: jax.Array,
        token_E: jax.Array,
        parent_E: jax.Array,
        answer_E: jax.Array,
    ) -> jax.Array:
        stops = jnp.clip(token_E - size_V, 0, max(stop_SN.shape[0] - 1, 0))
        single = logits_NV[node_E, jnp.clip(token_E, 0, size_V - 1)]
        merged = stop_SN[stops, node_E] if stop_SN.shape[0] else single
        total_E = jnp.where(token_E >= size_V, merged, single) - norm_N[node_E]
        for _ in range(max(edges.bit_length(), 1)):  # pointer doubling: paths of any length
            at_root = parent_E < 0
            total_E = total_E + jnp.where(at_root, 0.0, total_E[parent_E])
            parent_E = jnp.where(at_root, -1, parent_E[parent_E])
        slots = jnp.full(asks * max_answers, -jnp.inf, total_E.dtype)
        place = jnp.where(answer_E < 0, asks * max_answers, answer_E)
        return slots.at[place].set(total_E, mode="drop").reshape(asks, max_answers)

    return jax.vmap(one_row)(
        logits_BNV,
        norm_BN,
        jnp.moveaxis(stop_SBN, 0, 1),
        edge_node_BE,
        edge_token_BE,
        edge_parent_BE,
        edge_answer_BE,
    )


def read_answers(
    model: str,
    targets: Sequence[Target],
    batches: Iterable[Mapping[str, Any]],
    logp_of: Callable[[Mapping[str, Any]], Any],
) -> list[Item]:
    """Runs a model over packed batches and joins its answers with their targets.

    Args:
      model: name for the tables.
      targets: asks by global index: ``ask_index_BA`` of the batches points into this sequence.
      batches: packed batches with ``ask_index_BA`` (-1 for padding); incomplete last batches are
        padded by whoever packs them.
      logp_of: batch -> [B, A, K] log-probabilities, e.g. a jitted model call and `answer_logp`.

    Returns:
      One item per target, in the order of the targets.

    Raises:
      ItemError: an ask is answered twice or never, or an index points to no target.
    """
    found: dict[int, np.ndarray] = {}
    for batch in batches:
        index_BA = np.asarray(batch["ask_index_BA"])
        logp_BAK = np.asarray(logp_of(batch))
        for row, slot in zip(*np.nonzero(index_BA >= 0), strict=True):
            index = int(index_BA[row, slot])
            if index >= len(targets):
                raise ItemError(
                    f"ask index {index} of a batch points to none of {len(targets)} asks"
                )
            if index in found:
                raise ItemError(f"item {targets[index].item_id!r} was read twice from the batches")
            found[index] = logp_BAK[row, slot, : len(targets[index].support)]
    missing = [target.item_id for k, target in enumerate(targets) if k not in found]
    if missing:
        raise ItemError(
            f"item {missing[0]!r} was not answered ({len(missing)} of {len(targets)} asks are "
            "in no batch); evaluation must pack every ask"
        )
    return [target.answered(model, found[k]) for k, target in enumerate(targets)]
