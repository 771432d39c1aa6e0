"""Exact answer tries: the probability of every answer under any tokenizer.

An answer ``a`` is written after the prefilled ``<`` and closed by ``>``. With ``c(x)`` the
tokenizer's own (canonical) tokens of a text ``x``, every answer has the path
``c(tail + a + ">")``; the longest prefix that all paths share belongs to the prompt, and the rest
of the paths form a trie. The last token of a path is not one token but a class: every token of
the vocabulary whose text begins with what is still to be written (``>``, ``>\\n``, ``>.``). So

    log p(a) = sum over the edges of the path of log softmax(logits at the edge's node)[edge]

where a stop edge takes the logsumexp over its class. Classes never overlap with one another or
with other edges of the same node, because ``>`` stands in no answer: probabilities of answers
sum to at most one, and what is missing is the mass on no valid answer.

Axes: K answers, N trie nodes (0 = root), E edges, V vocabulary, S stop sets.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ppt_jax.data.supports import CLOSE, Support
from ppt_jax.data.vocabulary import encoder_of, token_bytes
from ppt_jax.errors import UserError


class TrieError(UserError):
    """A tokenizer for which the answers of a support cannot be scored exactly."""


@dataclasses.dataclass(frozen=True, eq=False)
class Trie:
    """The answer trie of one support behind one prompt tail.

    Nodes are in preorder, node 0 is the root (the state after ``lead``) and has no token of its
    own; every other node is one token to be laid out in the row. An edge stands after the edge that
    leads to its node.

    Attributes:
      lead: token ids that every answer's path starts with, from the tail on.
      first: the whole path of the first answer, from the tail on.
      token_N: token that enters each node (-1 at the root).
      depth_N: tokens from the root.
      end_N: preorder index at which the node's subtree closes.
      edge_node_E: node that an edge leaves.
      edge_token_E: token id, or ``vocab_size + s`` for stop set ``s``.
      edge_parent_E: the edge that enters the edge's node, -1 at the root.
      edge_answer_E: index of the answer that a stop edge completes, else -1.
      under_EK: whether answer ``k`` passes edge ``e`` (float64 0/1).
      leaf_edge_L: stop edges of nodes that have nothing but one stop edge.
    """

    lead: tuple[int, ...]
    first: tuple[int, ...]
    token_N: np.ndarray
    depth_N: np.ndarray
    end_N: np.ndarray
    edge_node_E: np.ndarray
    edge_token_E: np.ndarray
    edge_parent_E: np.ndarray
    edge_answer_E: np.ndarray
    under_EK: np.ndarray
    leaf_edge_L: np.ndarray

    def edge_masses(self, probs_K: np.ndarray) -> np.ndarray:
        """Mass [E] of a distribution over answers that passes each edge."""
        return np.asarray(self.under_EK @ np.asarray(probs_K, np.float64))


class AnswerTries:
    """Tries of one tokenizer, made once per (support, tail), and the stop sets they refer to.

    Args:
      tokenizer: a fast `transformers` tokenizer or a `tokenizers.Tokenizer`.
      vocab_size: width of the model's logits; the tokenizer's own size when None (a model's
        table is often padded beyond it).

    Raises:
      TrieError: ``vocab_size`` is smaller than the tokenizer's.

    Attributes:
      vocab_size: edge tokens from here on are stop sets.
    """

    def __init__(self, tokenizer: Any, vocab_size: int | None = None) -> None:
        self._encoder = encoder_of(tokenizer)
        self._bytes = token_bytes(tokenizer)
        self.vocab_size = len(self._bytes) if vocab_size is None else vocab_size
        if self.vocab_size < len(self._bytes):
            raise TrieError(
                f"vocab_size={vocab_size}: the tokenizer has ids up to {len(self._bytes) - 1}"
            )
        self._tries: dict[tuple[tuple[str, ...], str], Trie] = {}
        self._stops: dict[bytes, int] = {}
        self._stop_rows: list[np.ndarray] = []
        self._stop(CLOSE.encode())

    @property
    def stop_SV(self) -> np.ndarray:
        """Membership [S, V] (bool) of tokens in stop sets; row 0 is everything that starts ``>``.

        Rows are added as tries are made: read it after all data has been compiled.
        """
        return np.stack(self._stop_rows)

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, special tokens read as such, none added."""
        return list(self._encoder.encode(text, add_special_tokens=False).ids)

    def _stop(self, rest: bytes) -> int:
        """Index of the stop set of all tokens that begin with ``rest``."""
        if rest not in self._stops:
            row_V = np.zeros(self.vocab_size, bool)
            for index, text in enumerate(self._bytes):
                row_V[index] = text is not None and text.startswith(rest)
            if not row_V.any():
                raise TrieError(
                    f"tokenizer: no token begins with {rest.decode(errors='replace')!r}, "
                    "so an answer cannot be closed"
                )
            self._stops[rest] = len(self._stop_rows)
            self._stop_rows.append(row_V)
        return self._stops[rest]

    def trie(self, support: Support, tail: str) -> Trie:
        """The trie of a support whose answers follow ``tail`` (which ends in ``<``).

        Args:
          support: the answers.
          tail: the prompt's last line or turn, see `ppt_jax.data.prompts.Prompt`.

        Returns:
          The trie, from a cache when it was asked for before.

        Raises:
          TrieError: some answer cannot be written, or two answers have one path.
        """
        key = (support.answers, tail)
        if key not in self._tries:
            paths = [self.encode(tail + answer + CLOSE) for answer in support.answers]
            self._tries[key] = self.from_paths(support, tail, paths)
        return self._tries[key]

    def from_paths(self, support: Support, tail: str, paths: list[list[int]]) -> Trie:
        """The trie of given token paths, one an answer, each the tokens of tail + answer + ``>``.

        Raises:
          TrieError: a path does not spell its text byte by byte, or two paths are equal.
        """
        rests: list[bytes] = []  # what the last token of each path must begin with
        for answer, path in zip(support.answers, paths, strict=True):
            rests.append(self._check(tail, answer, path))
        lead = _common_prefix(paths)
        if any(len(path) == len(lead) for path in paths):
            raise TrieError(
                f"answers {list(support.answers)[:4]}...: two have the same tokens, or one is a "
                "beginning of another; the tokenizer lacks characters that tell them apart"
            )
        at = len(lead)
        builder = _Builder()
        for k, (path, rest) in enumerate(zip(paths, rests, strict=True)):
            stop = self.vocab_size + self._stop(rest)
            builder.add(k, path[at:-1], stop, support)
        return builder.freeze(tuple(lead), tuple(paths[0]), len(support))

    def _check(self, tail: str, answer: str, path: list[int]) -> bytes:
        """Compares a path with its text; returns the bytes that are left for the last token."""
        text = (tail + answer + CLOSE).encode()
        pieces = [self._bytes[token] for token in path]
        special = [at for at, piece in enumerate(pieces) if piece is None]
        start = special[-1] + 1 if special else 0
        spelled = b"".join(piece for piece in pieces[start:] if piece is not None)
        tolerated = (text, b" " + text)  # SentencePiece puts a space before the first word
        if spelled not in tolerated and not (special and text.endswith(spelled)):
            raise TrieError(
                f"answer {answer!r}: the tokenizer writes it as {spelled!r}, not as the text "
                f"{text.decode()!r}; it lacks characters or rewrites text, so it cannot be scored"
            )
        last = pieces[-1]
        need = (answer + CLOSE).encode()
        if last is None or not spelled.endswith(need) or not last.endswith(CLOSE.encode()):
            raise TrieError(
                f"answer {answer!r}: its last token does not hold the closing {CLOSE!r}; "
                "the tokenizer treats the bracket as something else than text"
            )
        return last


class _Builder:
    """Grows a trie of token paths; children stand in the order of their first answer."""

    def __init__(self) -> None:
        self.children: list[dict[int, int]] = [{}]  # per node: token -> child node
        self.stops: list[dict[int, int]] = [{}]  # per node: stop id -> answer

    def add(self, k: int, inner: list[int], stop: int, support: Support) -> None:
        node = 0
        for token in inner:
            if token not in self.children[node]:
                self.children[node][token] = len(self.children)
                self.children.append({})
                self.stops.append({})
            node = self.children[node][token]
        if stop in self.stops[node]:
            other = support.answers[self.stops[node][stop]]
            raise TrieError(
                f"answers {other!r} and {support.answers[k]!r} have the same tokens; the "
                "tokenizer lacks characters that tell them apart"
            )
        self.stops[node][stop] = k

    def freeze(self, lead: tuple[int, ...], first: tuple[int, ...], answers: int) -> Trie:
        token, depth, end = [-1], [0], [0]
        edges: list[tuple[int, int, int, int]] = []  # node, token, parent edge, answer
        leaves: list[int] = []

        def visit(node: int, index: int, parent_edge: int) -> list[int]:
            """Lays out one node's edges and subtree; returns the answers below it."""
            below: list[int] = []
            for stop, k in self.stops[node].items():
                if not self.children[node] and len(self.stops[node]) == 1 and index > 0:
                    leaves.append(len(edges))
                passes.append([k])
                edges.append((index, stop, parent_edge, k))
                below.append(k)
            for entry, child in self.children[node].items():
                edge = len(edges)
                edges.append((index, entry, parent_edge, -1))
                passes.append([])
                position = len(token)
                token.append(entry)
                depth.append(depth[index] + 1)
                end.append(0)
                passes[edge] = visit(child, position, edge)
                below += passes[edge]
            end[index] = len(token)
            return below

        passes: list[list[int]] = []
        visit(0, 0, -1)
        under = np.zeros((len(edges), answers))
        for edge, below in enumerate(passes):
            under[edge, below] = 1.0
        columns = np.asarray(edges, np.int32).T
        return Trie(
            lead=lead,
            first=first,
            token_N=np.asarray(token, np.int32),
            depth_N=np.asarray(depth, np.int32),
            end_N=np.asarray(end, np.int32),
            edge_node_E=columns[0],
            edge_token_E=columns[1],
            edge_parent_E=columns[2],
            edge_answer_E=columns[3],
            under_EK=under,
            leaf_edge_L=np.asarray(leaves, np.int32),
        )


def _common_prefix(paths: list[list[int]]) -> list[int]:
    """The longest list of tokens that all paths begin with."""
    first, last = min(paths), max(paths)
    for at, (left, right) in enumerate(zip(first, last)):
        if left != right:
            return first[:at]
    return first[: min(len(first), len(last))]
