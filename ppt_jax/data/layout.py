"""Rows of a batch: scenario trees with their answer tries, laid out in preorder.

Token ``j`` carries the index ``end[j]`` at which its branch closes, and

    token i sees token j   iff   j <= i < end[j]

is at once causal masking, separation of scenarios, of asks and of answers.

**Training without dead weight.** Edges of zero mass add nothing to a cross-entropy and are left
out, with their tokens. Most tokens of an answer trie are its leaves: nodes with one stop edge
alone, where the model only has to learn to close the bracket. With ``max_stop_nodes = r`` an ask
with more than ``r`` leaves of positive mass ``p_k`` keeps a systematic sample: with
``P = sum_k p_k``, cumulated masses ``c_k = (r/P) * sum_{j<=k} p_j`` and one ``u ~ U[0, 1)``,

    n_k = ceil(c_k - u) - ceil(c_{k-1} - u),       mass of the stop edge = n_k * P / r.

``E[n_k] = c_k - c_{k-1} = r * p_k / P``, so every edge's expected mass is ``p_k`` and the loss
and its gradient stay unbiased; ``sum_k n_k = r``, so the masses sum to ``P`` in every draw. ``u``
depends on (seed, stream position, ask index) alone, so a resumed run draws the same leaves.

Axes: B rows, T tokens, N supervised nodes, E edges, A asks, P prompt tokens, K answers, L leaves.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from ppt_jax.data.packing import Batch, PackConfig, Size, Unit
from ppt_jax.data.trees import AskTree, ScenarioTree
from ppt_jax.errors import UserError


@dataclasses.dataclass(frozen=True, eq=False)
class _Block:
    """The part of an answer trie that is laid out for one ask; node 0 is the ask's root."""

    token_N: np.ndarray
    depth_N: np.ndarray
    end_N: np.ndarray
    edge_node_E: np.ndarray
    edge_token_E: np.ndarray
    edge_parent_E: np.ndarray
    edge_answer_E: np.ndarray
    edge_mass_E: np.ndarray


def uniform_of(seed: int, position: int, ask: int) -> float:
    """A number in [0, 1) that depends on its arguments alone (splitmix64, published 2014).

    Args:
      seed: seed of the run.
      position: position in the stream of units (differs from epoch to epoch).
      ask: index of the ask.
    """
    mask = (1 << 64) - 1
    state = 0
    for part in (seed, position, ask):
        state = ((state ^ (part & mask)) + 0x9E3779B97F4A7C15) & mask
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & mask
        state ^= state >> 31
    return (state >> 11) * 2.0**-53


def sample_leaves(mass_L: np.ndarray, count: int, u: float) -> np.ndarray:
    """Systematic sample of leaves, as reweighted masses (see the module's formula).

    Args:
      mass_L: positive masses [L] of the leaves' stop edges.
      count: how many draws; with L <= count the masses are returned as they are.
      u: one uniform number in [0, 1).

    Returns:
      Masses [L] with the same sum and with expectation ``mass_L`` over ``u``; at most ``count``
      are not zero.

    Example:
      >>> sample_leaves(np.array([0.5, 0.25, 0.25]), 2, 0.3).tolist()
      [0.5, 0.5, 0.0]
    """
    if len(mass_L) <= count:
        return mass_L
    cumulated = np.cumsum(mass_L)
    total = cumulated[-1]
    upper = cumulated * (count / total)
    upper[-1] = count
    draws = np.diff(np.ceil(upper - u), prepend=np.ceil(-u))
    return np.asarray(draws * (total / count))


def _block(ask: AskTree, config: PackConfig, u: float) -> _Block:
    """Chooses edges and nodes of one ask's trie and renumbers them."""
    trie = ask.trie
    mass_E = trie.edge_masses(ask.target_K)
    if config.mode == "full":
        return _Block(
            trie.token_N,
            trie.depth_N,
            trie.end_N,
            trie.edge_node_E,
            trie.edge_token_E,
            trie.edge_parent_E,
            trie.edge_answer_E,
            mass_E,
        )
    if config.max_stop_nodes is not None:
        leaves = trie.leaf_edge_L[mass_E[trie.leaf_edge_L] > 0]
        mass_E[leaves] = sample_leaves(mass_E[leaves], config.max_stop_nodes, u)
    keep_E = np.flatnonzero(mass_E > 0)
    keep_N = np.zeros(len(trie.token_N), bool)
    keep_N[trie.edge_node_E[keep_E]] = True
    before_N = np.concatenate([[0], np.cumsum(keep_N)])
    # One more slot than edges, so that the parent -1 of root edges maps to itself.
    new_E = np.full(len(mass_E) + 1, -1)
    new_E[keep_E] = np.arange(len(keep_E))
    return _Block(
        trie.token_N[keep_N],
        trie.depth_N[keep_N],
        before_N[trie.end_N[keep_N]],
        before_N[trie.edge_node_E[keep_E]],
        trie.edge_token_E[keep_E],
        new_E[trie.edge_parent_E[keep_E]],
        trie.edge_answer_E[keep_E],
        mass_E[keep_E],
    )


def empty_batch(rows: int, config: PackConfig, pad: int) -> Batch:
    """A batch of padding: every token sees itself alone, no edge has mass, no ask has weight."""
    tokens, nodes, edges, asks = config.tokens, config.nodes, config.edges, config.asks
    return {
        "tokens_BT": np.full((rows, tokens), pad, np.int32),
        "positions_BT": np.zeros((rows, tokens), np.int32),
        "end_BT": np.tile(np.arange(1, tokens + 1, dtype=np.int32), (rows, 1)),
        "node_BN": np.zeros((rows, nodes), np.int32),
        "edge_node_BE": np.zeros((rows, edges), np.int32),
        "edge_token_BE": np.zeros((rows, edges), np.int32),
        "edge_mass_BE": np.zeros((rows, edges), np.float32),
        "edge_parent_BE": np.full((rows, edges), -1, np.int32),
        "edge_answer_BE": np.full((rows, edges), -1, np.int32),
        "ask_weight_BA": np.zeros((rows, asks), np.float32),
        "ask_index_BA": np.full((rows, asks), -1, np.int32),
    }


def fill_row(
    batch: Batch,
    row: int,
    units: Sequence[tuple[int, Unit]],
    config: PackConfig,
    seed: int = 0,
) -> None:
    """Writes units one after the other into a row of an empty batch.

    Args:
      batch: from `empty_batch`, changed in place.
      row: which row.
      units: (stream position, unit) pairs; their sizes together must fit.
      config: shapes and mode.
      seed: for the sampled leaves.
    """
    used = Size()
    for position, unit in units:
        if config.mode in ("story", "text"):
            used = _write_text(batch, row, used, unit.tree, config)
        else:
            used = _write_asks(batch, row, used, unit.tree, config, seed, position)


def _write_text(batch: Batch, row: int, used: Size, tree: ScenarioTree, config: PackConfig) -> Size:
    """Next-token supervision: one edge to every token; children of one node share its mass."""
    count = tree.story_tokens if config.mode == "story" else len(tree.token_P)
    span = slice(used.tokens, used.tokens + count)
    batch["tokens_BT"][row, span] = tree.token_P[:count]
    batch["positions_BT"][row, span] = tree.position_P[:count]
    batch["end_BT"][row, span] = used.tokens + np.minimum(tree.end_P[:count], count)
    parents, edge_node, children = np.unique(
        tree.parent_P[1:count], return_inverse=True, return_counts=True
    )
    nodes, edges = len(parents), count - 1
    batch["node_BN"][row, used.nodes : used.nodes + nodes] = used.tokens + parents
    span = slice(used.edges, used.edges + edges)
    batch["edge_node_BE"][row, span] = used.nodes + edge_node
    batch["edge_token_BE"][row, span] = tree.token_P[1:count]
    batch["edge_mass_BE"][row, span] = 1.0 / children[edge_node]
    batch["ask_weight_BA"][row, used.asks] = nodes
    batch["ask_index_BA"][row, used.asks] = tree.asks[0].index
    return used + Size(count, nodes, edges, 1)


def _write_asks(
    batch: Batch,
    row: int,
    used: Size,
    tree: ScenarioTree,
    config: PackConfig,
    seed: int,
    position: int,
) -> Size:
    """Prompts with the answer tries put in after their roots, in preorder."""
    sampled = config.mode == "train" and config.max_stop_nodes is not None
    blocks = [
        _block(ask, config, uniform_of(seed, position, ask.index) if sampled else 0.0)
        for ask in tree.asks
    ]
    count = len(tree.token_P)
    inserted = np.zeros(count + 1, np.int64)
    for ask, block in zip(tree.asks, blocks):
        inserted[ask.root + 1] += len(block.token_N) - 1
    shift = used.tokens + np.cumsum(inserted)  # what stands before prompt token j besides prompts
    index_P = np.arange(count) + shift[:count]
    batch["tokens_BT"][row, index_P] = tree.token_P
    batch["positions_BT"][row, index_P] = tree.position_P
    batch["end_BT"][row, index_P] = tree.end_P + shift[tree.end_P]
    nodes, edges = used.nodes, used.edges
    next_at: dict[int, int] = {}  # where the next block of a root goes
    for slot, (ask, block) in enumerate(zip(tree.asks, blocks), start=used.asks):
        root = int(index_P[ask.root])
        start = next_at.get(root, root + 1)
        size = len(block.token_N)
        next_at[root] = start + size - 1
        span = slice(start, start + size - 1)
        batch["tokens_BT"][row, span] = block.token_N[1:]
        batch["positions_BT"][row, span] = tree.position_P[ask.root] + block.depth_N[1:]
        batch["end_BT"][row, span] = start - 1 + block.end_N[1:]
        batch["node_BN"][row, nodes] = root
        batch["node_BN"][row, nodes + 1 : nodes + size] = np.arange(start, start + size - 1)
        span = slice(edges, edges + len(block.edge_token_E))
        batch["edge_node_BE"][row, span] = nodes + block.edge_node_E
        batch["edge_token_BE"][row, span] = block.edge_token_E
        batch["edge_mass_BE"][row, span] = block.edge_mass_E
        batch["edge_parent_BE"][row, span] = np.where(
            block.edge_parent_E < 0, -1, edges + block.edge_parent_E
        )
        batch["edge_answer_BE"][row, span] = np.where(
            block.edge_answer_E < 0, -1, slot * config.max_answers + block.edge_answer_E
        )
        batch["ask_weight_BA"][row, slot] = 1.0
        batch["ask_index_BA"][row, slot] = ask.index
        nodes, edges = nodes + size, edges + len(block.edge_token_E)
    tokens = count + int(inserted.sum())
    return used + Size(tokens, nodes - used.nodes, edges - used.edges, len(blocks))


def batch_of(units: Sequence[Unit], config: PackConfig, pad: int = 0, seed: int = 0) -> Batch:
    """One batch of given units, first-fit in order; for tests and single forward passes.

    Raises:
      UserError: the units do not fit into ``config.rows`` rows.
    """
    rows: list[list[tuple[int, Unit]]] = []
    sizes: list[Size] = []
    for position, unit in enumerate(units):
        for row, size in enumerate(sizes):
            if (size + unit.size).fits(config):
                rows[row].append((position, unit))
                sizes[row] = size + unit.size
                break
        else:
            rows.append([(position, unit)])
            sizes.append(unit.size)
    if len(rows) > config.rows:
        raise UserError(f"{len(units)} units take {len(rows)} rows, the batch has {config.rows}")
    batch = empty_batch(config.rows, config, pad)
    for at, row_units in enumerate(rows):
        fill_row(batch, at, row_units, config, seed)
    return batch
