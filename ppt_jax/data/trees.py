"""A scenario as a tree of tokens: the prompts of its asks, merged where they agree.

Every ask is a full token sequence (story, question, scale, prefilled ``<``); the sequences of a
scenario are merged into a prefix tree, so the story is stored once whatever the template puts
around it. Each ask ends at one node of the tree, its root, where its answer trie is attached.

Axes: P prompt tokens in preorder, K answers.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np

from ppt_jax.data.prompts import Prompt, answer_scale, frame
from ppt_jax.data.records import ScenarioRecord
from ppt_jax.data.supports import CLOSE, Support, support_of
from ppt_jax.data.tries import AnswerTries, Trie, TrieError
from ppt_jax.data.vocabulary import encoder_of
from ppt_jax.errors import UserError
from ppt_jax.progress import Progress


@dataclasses.dataclass(frozen=True, eq=False)
class AskTree:
    """One ask: where its answers start, their trie, and the label.

    Attributes:
      root: preorder index of the prompt token after which the answers follow.
      trie: the answer trie.
      target_K: posterior probability of each answer.
      index: number of the ask within its split, counted over all scenarios in order.
      id: ``scenario id/ask id``.
    """

    root: int
    trie: Trie
    target_K: np.ndarray
    index: int
    id: str


@dataclasses.dataclass(frozen=True, eq=False)
class ScenarioTree:
    """The merged prompts of some asks of one scenario, in preorder.

    Attributes:
      id: the scenario's id.
      token_P: token ids.
      position_P: tokens from the start along the path.
      end_P: preorder index at which the token's subtree closes.
      parent_P: preorder index of the token before, -1 for the first.
      story_tokens: how many first tokens hold template head and story.
      asks: the asks, in the order of the document.
    """

    id: str
    token_P: np.ndarray
    position_P: np.ndarray
    end_P: np.ndarray
    parent_P: np.ndarray
    story_tokens: int
    asks: tuple[AskTree, ...]

    def subset(self, asks: Sequence[int]) -> ScenarioTree:
        """The same scenario with only some of its asks; prompt tokens of the others are dropped.

        Args:
          asks: positions in ``self.asks``, in order.
        """
        roots = np.asarray([self.asks[at].root for at in asks])
        index_P = np.arange(len(self.token_P))
        on_path = (index_P[:, None] <= roots) & (roots < self.end_P[:, None])
        keep_P = on_path.any(axis=1)
        before = np.concatenate([[0], np.cumsum(keep_P)])
        parent = self.parent_P[keep_P]
        return dataclasses.replace(
            self,
            token_P=self.token_P[keep_P],
            position_P=self.position_P[keep_P],
            end_P=before[self.end_P[keep_P]].astype(np.int32),
            parent_P=np.where(parent < 0, -1, before[parent]).astype(np.int32),
            asks=tuple(
                dataclasses.replace(self.asks[at], root=int(before[self.asks[at].root]))
                for at in asks
            ),
        )


@dataclasses.dataclass(frozen=True)
class Merged:
    """A prefix tree of token sequences in preorder, see `merge`."""

    token_P: np.ndarray
    position_P: np.ndarray
    end_P: np.ndarray
    parent_P: np.ndarray
    roots: tuple[int, ...]


def merge(paths: Sequence[Sequence[int]]) -> Merged:
    """Merges token sequences into a prefix tree laid out in preorder.

    Args:
      paths: token sequences with a common first token.

    Returns:
      The tree; ``roots[i]`` is where path ``i`` ends.

    Raises:
      UserError: the sequences have no first token in common, so they are no one tree.

    Example:
      >>> merged = merge([[7, 1, 2], [7, 1, 3]])
      >>> merged.token_P.tolist(), merged.end_P.tolist(), merged.roots
      ([7, 1, 2, 3], [4, 4, 3, 4], (2, 3))
    """
    if len({path[0] if path else None for path in paths}) != 1 or not paths[0]:
        raise UserError("prompts of one scenario must begin with the same token")
    tokens, parents = [paths[0][0]], [-1]
    children: list[dict[int, int]] = [{}]
    ends: list[int] = []
    for path in paths:
        node = 0
        for token in path[1:]:
            child = children[node].get(token)
            if child is None:
                child = len(tokens)
                children[node][token] = child
                tokens.append(token)
                parents.append(node)
                children.append({})
            node = child
        ends.append(node)
    count = len(tokens)
    order, position, size = [0] * count, [0] * count, [1] * count
    for node in range(count - 1, 0, -1):  # children stand after parents in insertion order
        size[parents[node]] += size[node]
    for node in range(count):
        at = order[node] + 1
        for child in children[node].values():
            order[child], position[child] = at, position[node] + 1
            at += size[child]
    token_P, position_P, end_P, parent_P = np.zeros((4, count), np.int32)
    order_P = np.asarray(order)
    token_P[order_P] = tokens
    position_P[order_P] = position
    end_P[order_P] = order_P + np.asarray(size)
    parent_P[order_P] = [-1 if parent < 0 else order[parent] for parent in parents]
    return Merged(token_P, position_P, end_P, parent_P, tuple(order[node] for node in ends))


class Compiler:
    """Turns records into trees for one tokenizer; tries and checks are shared by all splits.

    Args:
      tokenizer: a fast `transformers` tokenizer.
      vocab_size: width of the model's logits, see `AnswerTries`.

    Attributes:
      tries: the answer tries and stop sets made so far.
      pad: token id that fills up rows (the tokenizer's padding token, else 0).
    """

    def __init__(self, tokenizer: Any, vocab_size: int | None = None) -> None:
        self.tokenizer = tokenizer
        self.tries = AnswerTries(tokenizer, vocab_size)
        pad = getattr(tokenizer, "pad_token_id", None)
        self.pad = 0 if pad is None else int(pad)
        self._encoder = encoder_of(tokenizer)
        self._special = tuple(getattr(tokenizer, "all_special_tokens", ()))
        self._checked: set[tuple[tuple[str, ...], str]] = set()

    @property
    def stop_SV(self) -> np.ndarray:
        """Membership [S, V] of tokens in stop sets; read it after all splits are compiled."""
        return self.tries.stop_SV

    @property
    def vocab_size(self) -> int:
        """Edge tokens from here on are stop sets."""
        return self.tries.vocab_size

    def tree(self, record: ScenarioRecord, first_index: int = 0) -> ScenarioTree:
        """The token tree of one record.

        Args:
          record: a labelled scenario.
          first_index: index of its first ask within the split.

        Raises:
          UserError: text that holds special tokens of the tokenizer.
          TrieError: answers that this tokenizer cannot write exactly.
        """
        supports = [support_of(ask.kind, ask.options) for ask in record.asks]
        prompts = []
        for ask in record.asks:
            scale = answer_scale(ask.kind, ask.unit, ask.low, ask.high, ask.options)
            place = f"scenario {record.id}, ask {ask.id}"
            self.refuse_special(place, record.story, ask.text, scale)
            prompts.append(frame(self.tokenizer, record.story, ask.text, scale))
        targets = [ask.target_K for ask in record.asks]
        names = [ask.id for ask in record.asks]
        return self.from_prompts(record.id, names, prompts, supports, targets, first_index)

    def refuse_special(self, place: str, *texts: str) -> None:
        """Raises `UserError` when a text holds a special token of the tokenizer."""
        for token in self._special:
            if token and any(token in text for text in texts):
                raise UserError(
                    f"{place}: the text holds {token!r}, which is a special token of this tokenizer"
                )

    def from_prompts(
        self,
        name: str,
        ask_names: Sequence[str],
        prompts: Sequence[Prompt],
        supports: Sequence[Support],
        targets: Sequence[np.ndarray],
        first_index: int = 0,
    ) -> ScenarioTree:
        """The token tree of prompts that begin alike, each with the answers of its support.

        Args:
          name: id of the tree, for messages.
          ask_names: one a prompt.
          prompts: texts up to the prefilled ``<``.
          supports: the answers of each.
          targets: their probabilities.
          first_index: index of the first ask.

        Raises:
          TrieError: answers that this tokenizer cannot write exactly.
        """
        firsts = [
            prompt.text + support.answers[0] + CLOSE
            for prompt, support in zip(prompts, supports, strict=True)
        ]
        encodings = self._encoder.encode_batch(firsts, add_special_tokens=False)
        paths: list[list[int]] = []
        tries: list[Trie] = []
        for at, (prompt, support, encoding) in enumerate(
            zip(prompts, supports, encodings, strict=True)
        ):
            try:
                path, trie = self._ask(prompt, support, list(encoding.ids))
            except TrieError as error:
                raise TrieError(f"scenario {name}, ask {ask_names[at]}: {error}") from error
            paths.append(path)
            tries.append(trie)
        merged = merge(paths)
        starts = np.asarray([start for start, _ in encodings[0].offsets])
        story_tokens = int(np.searchsorted(starts, prompts[0].story_end))
        asks = tuple(
            AskTree(root, trie, target_K, first_index + at, f"{name}/{ask_name}")
            for at, (ask_name, target_K, root, trie) in enumerate(
                zip(ask_names, targets, merged.roots, tries, strict=True)
            )
        )
        return ScenarioTree(
            id=name,
            token_P=merged.token_P,
            position_P=merged.position_P,
            end_P=merged.end_P,
            parent_P=merged.parent_P,
            story_tokens=min(story_tokens, min(len(path) for path in paths)),
            asks=asks,
        )

    def _ask(self, prompt: Prompt, support: Support, first: list[int]) -> tuple[list[int], Trie]:
        """Prompt tokens and trie of one ask; ``first`` are the tokens with the first answer.

        The tail's trie is shared by all asks with that tail. It is right when tokenising the tail
        alone gives the end of the tokens of the whole text. That is compared for the first answer
        of every ask, and for every answer when a trie is new; where it fails (a tokenizer that
        merges over the tail's start), all answers are tokenised with the whole prompt instead.
        """
        tail = prompt.text[prompt.tail :]
        trie = self.tries.trie(support, tail)
        inner = len(trie.first) - len(trie.lead)
        shared = tuple(first[-len(trie.first) :]) == trie.first
        key = (support.answers, tail)
        if shared and key not in self._checked:
            head = first[: len(first) - len(trie.first)]
            texts = [prompt.text + answer + CLOSE for answer in support.answers]
            tails = [tail + answer + CLOSE for answer in support.answers]
            whole = self._encoder.encode_batch(texts, add_special_tokens=False)
            alone = self._encoder.encode_batch(tails, add_special_tokens=False)
            shared = all(
                left.ids == head + right.ids for left, right in zip(whole, alone, strict=True)
            )
            if shared:
                self._checked.add(key)
        if not shared:
            texts = [prompt.text + answer + CLOSE for answer in support.answers]
            whole = self._encoder.encode_batch(texts, add_special_tokens=False)
            trie = self.tries.from_paths(support, prompt.text, [list(e.ids) for e in whole])
            inner = len(trie.first) - len(trie.lead)
        return first[: len(first) - inner], trie

    def trees(
        self, records: Collection[ScenarioRecord], *, silent: bool = True
    ) -> list[ScenarioTree]:
        """The trees of a split in order; asks are numbered through.

        Args:
          records: the split, e.g. a `RecordSource`.
          silent: no progress bar.
        """
        counter = 0
        trees = []
        with Progress("tokenise", len(records), "scenario", silent=silent) as bar:
            for record in records:
                trees.append(self.tree(record, counter))
                counter += len(record.asks)
                bar.advance()
        return trees


def ask_ids(trees: Iterable[ScenarioTree]) -> dict[int, str]:
    """``scenario id/ask id`` of every ask index, to join results to records."""
    return {ask.index: ask.id for tree in trees for ask in tree.asks}


def token_counts(trees: Iterable[ScenarioTree]) -> collections.Counter[str]:
    """Prompt tokens stored once per scenario, and what they would be with one row an ask."""
    counts: collections.Counter[str] = collections.Counter()
    for tree in trees:
        counts["merged"] += len(tree.token_P)
        counts["separate"] += sum(int(tree.position_P[ask.root]) + 1 for ask in tree.asks)
        counts["asks"] += len(tree.asks)
    return counts


@dataclasses.dataclass(frozen=True)
class AnswerPath:
    """One answer of one ask as a plain sequence: the oracle that packing must equal.

    Attributes:
      ask: index of the ask.
      answer: index of the answer.
      tokens: prompt and answer tokens up to, not including, the closing edge.
      nodes: positions in ``tokens`` at which the answer's edges are read.
      edges: the edges' tokens (``vocab_size + s`` for a stop set), one per node.
    """

    ask: int
    answer: int
    tokens: tuple[int, ...]
    nodes: tuple[int, ...]
    edges: tuple[int, ...]


def answer_paths(tree: ScenarioTree) -> list[AnswerPath]:
    """Every answer of every ask of a tree as its own sequence."""
    paths = []
    index_P = np.arange(len(tree.token_P))
    for ask in tree.asks:
        prompt = tree.token_P[(index_P <= ask.root) & (ask.root < tree.end_P)].tolist()
        trie = ask.trie
        for edge in np.flatnonzero(trie.edge_answer_E >= 0):
            chain = [int(edge)]
            while trie.edge_parent_E[chain[-1]] >= 0:
                chain.append(int(trie.edge_parent_E[chain[-1]]))
            edges = [int(trie.edge_token_E[step]) for step in reversed(chain)]
            tokens = [*prompt, *edges[:-1]]
            nodes = range(len(prompt) - 1, len(tokens))
            paths.append(
                AnswerPath(
                    ask.index,
                    int(trie.edge_answer_E[edge]),
                    tuple(tokens),
                    tuple(nodes),
                    tuple(edges),
                )
            )
    return sorted(paths, key=lambda path: (path.ask, path.answer))
