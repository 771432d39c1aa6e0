"""How much of a row a scenario takes, and which asks go together into a row.

A row holds several scenarios one after the other. No scenario is split over rows, except one that
is longer than a row: its asks move to further rows, with the story repeated. Sizes do not depend
on which leaves are sampled (`ppt_jax.data.layout`), so rows can be planned from them alone.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Iterable, Sequence

import numpy as np

from ppt_jax.data.trees import ScenarioTree
from ppt_jax.data.tries import Trie
from ppt_jax.errors import UserError

MODES = ("train", "full", "story", "text")
Batch = dict[str, np.ndarray]  # the arrays of `ppt_jax.data.layout.empty_batch`


@dataclasses.dataclass(frozen=True)
class PackConfig:
    """Shapes of a batch and what is supervised.

    Attributes:
      rows: rows of the global batch (B).
      tokens: tokens a row (T).
      nodes: supervised nodes a row (N).
      edges: trie edges a row (E).
      asks: asks a row (A); 1 gives the one-ask-a-row layout.
      max_answers: stride of ``edge_answer_BE``; no support may be larger.
      mode: ``full`` (whole tries, evaluation), ``train`` (zero-mass edges left out), ``story``
        (next token on stories) or ``text`` (next token on whole prompts).
      max_stop_nodes: leaves an ask in ``train``; None keeps all of positive mass.
      open_rows: rows that first-fit keeps open at a time.
    """

    rows: int = 8
    tokens: int = 1024
    nodes: int = 512
    edges: int = 2048
    asks: int = 16
    max_answers: int = 101
    mode: str = "train"
    max_stop_nodes: int | None = 8
    open_rows: int = 16

    def __post_init__(self) -> None:
        for name in ("rows", "tokens", "nodes", "edges", "asks", "max_answers", "open_rows"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise UserError(f"PackConfig.{name}={value!r}: must be a positive integer")
        if self.mode not in MODES:
            raise UserError(f"PackConfig.mode={self.mode!r}: must be one of {', '.join(MODES)}")
        if self.max_stop_nodes is not None and self.max_stop_nodes < 1:
            raise UserError(
                f"PackConfig.max_stop_nodes={self.max_stop_nodes!r}: must be 1 or more, or None "
                "for all; with none at all the model would never learn to close an answer"
            )


@dataclasses.dataclass(frozen=True)
class Size:
    """What a tree takes of a row, at most."""

    tokens: int = 0
    nodes: int = 0
    edges: int = 0
    asks: int = 0

    def __add__(self, other: Size) -> Size:
        return Size(
            self.tokens + other.tokens,
            self.nodes + other.nodes,
            self.edges + other.edges,
            self.asks + other.asks,
        )

    def fits(self, config: PackConfig) -> bool:
        """Whether one row of this configuration holds it."""
        return (
            self.tokens <= config.tokens
            and self.nodes <= config.nodes
            and self.edges <= config.edges
            and self.asks <= config.asks
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Unit:
    """A tree that goes into one row, with the room it takes."""

    tree: ScenarioTree
    size: Size


def _ask_size(trie: Trie, target_K: np.ndarray, config: PackConfig) -> Size:
    """The most that one ask's trie takes in any draw of leaves; its root's token is not counted."""
    nodes, edges = len(trie.token_N), len(trie.edge_token_E)
    if config.mode == "train":
        positive_E = trie.edge_masses(target_K) > 0
        nodes = len(np.unique(trie.edge_node_E[positive_E]))
        edges = int(positive_E.sum())
        if config.max_stop_nodes is not None:
            leaves = int(positive_E[trie.leaf_edge_L].sum())
            dropped = max(leaves - config.max_stop_nodes, 0)
            nodes, edges = nodes - dropped, edges - dropped
    return Size(tokens=nodes - 1, nodes=nodes, edges=edges, asks=1)


def size_of(tree: ScenarioTree, config: PackConfig) -> Size:
    """What a tree takes of a row, at most; the same for every draw of leaves."""
    if config.mode == "story":
        return Size(tree.story_tokens, tree.story_tokens - 1, tree.story_tokens - 1, 1)
    count = len(tree.token_P)
    if config.mode == "text":
        return Size(count, count - 1, count - 1, 1)
    size = Size(tokens=count)
    for ask in tree.asks:
        size = size + _ask_size(ask.trie, ask.target_K, config)
    return size


def units_of(
    trees: Iterable[ScenarioTree], config: PackConfig
) -> tuple[list[Unit], collections.Counter[str]]:
    """Cuts trees that are longer than a row into units that fit; nothing is lost unnamed.

    Args:
      trees: the trees of a split.
      config: shapes and mode.

    Returns:
      The units in order, and the number of asks (documents, in the next-token modes) left out by
      reason: ``too_long`` (does not fit a row even alone), ``too_many_answers``.
    """
    units: list[Unit] = []
    rejects: collections.Counter[str] = collections.Counter()
    for tree in trees:
        if config.mode in ("story", "text"):
            size = size_of(tree, config)
            if size.fits(config) and size.nodes > 0:
                units.append(Unit(tree, size))
            else:
                rejects["too_long"] += 1
            continue
        accepted = []
        for at, ask in enumerate(tree.asks):
            if len(ask.target_K) > config.max_answers:
                rejects["too_many_answers"] += 1
            else:
                accepted.append(at)
        units += _cut(tree, accepted, config, rejects)
    return units, rejects


def balanced_shapes(
    trees: Iterable[ScenarioTree], config: PackConfig, slack: float = 1.15
) -> PackConfig:
    """The same configuration with nodes, edges and asks chosen so that tokens fill up first.

    Args:
      trees: the trees of the training split.
      config: ``tokens``, ``mode`` and ``max_stop_nodes`` are used; nodes, edges, asks replaced.
      slack: room over the corpus mean of each per token, rounded up to multiples of 64 (8 asks),
        and at least what the largest single scenario that fits the tokens needs.

    Raises:
      UserError: no scenario fits ``config.tokens``.
    """
    sizes = [size_of(tree, config) for tree in trees]
    fitting = [size for size in sizes if size.tokens <= config.tokens]
    if not fitting:
        raise UserError(
            f"PackConfig.tokens={config.tokens}: no scenario fits; the shortest takes "
            f"{min((size.tokens for size in sizes), default=0)}"
        )
    total = sum(size.tokens for size in fitting)

    def shape(name: str, multiple: int) -> int:
        values = [getattr(size, name) for size in fitting]
        need = max(sum(values) / total * config.tokens * slack, max(values))
        return math.ceil(need / multiple) * multiple

    return dataclasses.replace(
        config, nodes=shape("nodes", 64), edges=shape("edges", 64), asks=shape("asks", 8)
    )


def _cut(
    tree: ScenarioTree,
    asks: Sequence[int],
    config: PackConfig,
    rejects: collections.Counter[str],
) -> list[Unit]:
    """The fewest consecutive parts of a tree that fit a row each."""
    if not asks:
        return []
    whole = tree if len(asks) == len(tree.asks) else tree.subset(asks)
    size = size_of(whole, config)
    if size.fits(config):
        return [Unit(whole, size)]
    units: list[Unit] = []
    part: list[int] = []
    last: Unit | None = None
    for at in asks:
        candidate = tree.subset([*part, at])
        size = size_of(candidate, config)
        if size.fits(config):
            part, last = [*part, at], Unit(candidate, size)
            continue
        if last is not None:
            units.append(last)
        part, last = [], None
        alone = tree.subset([at])
        size = size_of(alone, config)
        if size.fits(config):
            part, last = [at], Unit(alone, size)
        else:
            rejects["too_long"] += 1
    if last is not None:
        units.append(last)
    return units
