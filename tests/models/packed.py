"""Packed batches made by brute force, independent of the data room: the oracle of these tests."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Ask:
    """A question: its tokens, answers as token paths without the stop, and label probabilities."""

    prompt: list[int]
    answers: list[list[int]]
    label: list[float]
    stop: int = 0
    weight: float = 1.0


@dataclasses.dataclass(frozen=True)
class Story:
    tokens: list[int]
    asks: list[Ask]


def pack_rows(
    rows: list[list[Story]],
    *,
    vocab: int,
    max_answers: int,
    length: int,
    nodes: int,
    edges: int,
    asks: int,
) -> dict[str, np.ndarray]:
    """Lays every row out in preorder; every prefix of every answer becomes a trie node."""
    shape = len(rows), length
    batch = {
        "tokens_BT": np.zeros(shape, np.int32),
        "positions_BT": np.zeros(shape, np.int32),
        "end_BT": np.tile(np.arange(1, length + 1, dtype=np.int32), (len(rows), 1)),
        "node_BN": np.zeros((len(rows), nodes), np.int32),
        "edge_node_BE": np.zeros((len(rows), edges), np.int32),
        "edge_token_BE": np.zeros((len(rows), edges), np.int32),
        "edge_mass_BE": np.zeros((len(rows), edges), np.float32),
        "edge_parent_BE": np.full((len(rows), edges), -1, np.int32),
        "edge_answer_BE": np.full((len(rows), edges), -1, np.int32),
        "ask_weight_BA": np.zeros((len(rows), asks), np.float32),
        "ask_index_BA": np.full((len(rows), asks), -1, np.int32),
    }
    for b, stories in enumerate(rows):
        _pack_row(batch, b, stories, vocab, max_answers)
    return batch


def _pack_row(
    batch: dict[str, np.ndarray], b: int, stories: list[Story], vocab: int, max_answers: int
) -> None:
    cursor, node_count, edge_count, slot = 0, 0, 0, 0

    def emit(token: int, position: int) -> int:
        nonlocal cursor
        batch["tokens_BT"][b, cursor] = token
        batch["positions_BT"][b, cursor] = position
        cursor += 1
        return cursor - 1

    def grow(ask: Ask, prefix: tuple, at: int, position: int, parent: int) -> None:
        nonlocal node_count, edge_count
        node = node_count
        batch["node_BN"][b, node] = at
        node_count += 1
        following = sorted(
            {answer[len(prefix)] for answer in ask.answers if _longer(answer, prefix)}
        )
        for step in [*following, None]:
            stopping = step is None
            if stopping and list(prefix) not in ask.answers:
                continue
            longer = prefix if stopping else (*prefix, step)
            through = [
                p
                for answer, p in zip(ask.answers, ask.label, strict=True)
                if (answer == list(prefix) if stopping else tuple(answer[: len(longer)]) == longer)
            ]
            edge = edge_count
            edge_count += 1
            batch["edge_node_BE"][b, edge] = node
            batch["edge_token_BE"][b, edge] = vocab + ask.stop if stopping else step
            batch["edge_mass_BE"][b, edge] = ask.weight * sum(through)
            batch["edge_parent_BE"][b, edge] = parent
            if stopping:
                answer = ask.answers.index(list(prefix))
                batch["edge_answer_BE"][b, edge] = slot * max_answers + answer
            else:
                token_at = emit(step, position)
                grow(ask, longer, token_at, position + 1, edge)
                batch["end_BT"][b, token_at] = cursor

    for story in stories:
        first = cursor
        for i, token in enumerate(story.tokens):
            emit(token, i)
        for ask in story.asks:
            start = cursor
            for i, token in enumerate(ask.prompt):
                emit(token, len(story.tokens) + i)
            stop = cursor
            grow(ask, (), cursor - 1, len(story.tokens) + len(ask.prompt), -1)
            batch["end_BT"][b, start:stop] = cursor
            batch["ask_weight_BA"][b, slot] = ask.weight
            batch["ask_index_BA"][b, slot] = slot
            slot += 1
        batch["end_BT"][b, first : first + len(story.tokens)] = cursor


def _longer(answer: list[int], prefix: tuple) -> bool:
    return len(answer) > len(prefix) and tuple(answer[: len(prefix)]) == prefix


def random_story(
    rng: np.random.Generator, vocab: int, supports: list[list[list[int]]], words: int = 7
) -> Story:
    """A story of random tokens with one ask a support; labels from a flat Dirichlet."""
    asks = [
        Ask(
            prompt=rng.integers(0, vocab, 3).tolist(),
            answers=answers,
            label=rng.dirichlet(np.ones(len(answers))).tolist(),
            stop=i % 2,
            weight=float(1 + i),
        )
        for i, answers in enumerate(supports)
    ]
    return Story(rng.integers(0, vocab, words).tolist(), asks)


ONE_TOKEN = [[10 + k] for k in range(5)]
"""Each answer is one token."""
DIGITS = [[20], [21], [21, 20], [21, 21], [21, 22]]
"""0, 1, 10, 11, 12 digit by digit: one answer begins another."""
ODD_MERGES = [[3], [4, 5], [6, 7, 8], [6, 9], [6, 7], [1, 1, 1, 1]]
"""Options that a tokenizer has cut at odd places."""


def toy_rows(vocab: int, seed: int = 0) -> list[list[Story]]:
    """Two rows: two documents with three asks each, and one document with one ask."""
    rng = np.random.default_rng(seed)
    both = [random_story(rng, vocab, [ONE_TOKEN, DIGITS, ODD_MERGES], w) for w in (7, 5)]
    return [both, [random_story(rng, vocab, [DIGITS], 6)]]


def stop_mask(vocab: int) -> np.ndarray:
    """Two stop sets: one token, and three tokens."""
    mask = np.zeros((2, vocab), bool)
    mask[0, 2] = True
    mask[1, [2, 15, 29]] = True
    return mask


VOCAB, MAX_ANSWERS = 31, 6
SHAPE = {
    "vocab": VOCAB,
    "max_answers": MAX_ANSWERS,
    "length": 96,
    "nodes": 60,
    "edges": 90,
    "asks": 7,
}


def toy_batch(seed: int = 0) -> dict[str, np.ndarray]:
    """The toy rows, packed with room to spare (so that there is padding of every kind)."""
    return pack_rows(toy_rows(VOCAB, seed), **SHAPE)
