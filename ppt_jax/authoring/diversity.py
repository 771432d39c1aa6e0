"""How varied a set of texts is: near-duplicates, compression, self-BLEU, distinct n-grams, Vendi.

Definitions and gates follow the project's notes; every measure works on words with numbers masked
where it says so, and on a sample where it would be quadratic.
"""

from __future__ import annotations

import collections
import math
import re
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ppt_jax.authoring.language import COUNT_WORDS

_NUMBER = re.compile(r"\d+(?:\.\d+)?|\b(?:" + "|".join(COUNT_WORDS) + r")\b", re.IGNORECASE)
_WORD = re.compile(r"[\w#]+")
_PRIME = np.uint64((1 << 61) - 1)


def mask_numbers(text: str) -> str:
    """The text with every number, in digits or in words, replaced by "#"."""
    return _NUMBER.sub("#", text)


def words(text: str) -> list[str]:
    """Lower-case words."""
    return _WORD.findall(text.lower())


def near_duplicate_rate(texts: Sequence[str], *, size: int = 5, threshold: float = 0.8) -> float:
    """Share of texts whose number-masked word n-grams nearly equal those of an earlier one.

    MinHash with 64 permutations in 16 bands finds candidates, exact Jaccard decides.

    Args:
      texts: the stories.
      size: words per n-gram.
      threshold: smallest Jaccard similarity of a near duplicate.
    """
    rng = np.random.default_rng(0)
    factors = rng.integers(1, 1 << 31, size=(64, 1), dtype=np.uint64)
    shifts = rng.integers(0, 1 << 31, size=(64, 1), dtype=np.uint64)
    grams: list[frozenset[int]] = []
    buckets: dict[tuple[int, bytes], list[int]] = collections.defaultdict(list)
    duplicates = 0
    for number, text in enumerate(texts):
        tokens = words(mask_numbers(text))
        hashes = {
            zlib.crc32(" ".join(tokens[i : i + size]).encode())
            for i in range(max(1, len(tokens) - size + 1))
        }
        grams.append(frozenset(hashes))
        row = np.fromiter(hashes, dtype=np.uint64)[None, :]
        signature = ((factors * row + shifts) % _PRIME).min(axis=1).reshape(16, 4)
        candidates = set()
        for band, values in enumerate(signature):
            bucket = buckets[band, values.tobytes()]
            candidates.update(bucket)
            bucket.append(number)
        mine = grams[number]
        duplicates += any(
            len(mine & grams[other]) >= threshold * len(mine | grams[other]) for other in candidates
        )
    return duplicates / max(len(texts), 1)


def compression_ratio(texts: Sequence[str], *, most: int = 1_000_000) -> float:
    """Bytes before over bytes after zlib level 9, on at most `most` bytes; lower is more varied."""
    data = "\n".join(texts).encode()[:most]
    return len(data) / max(len(zlib.compress(data, 9)), 1)


def distinct_n(texts: Sequence[str], size: int = 4) -> float:
    """Distinct word n-grams over all word n-grams."""
    counts: set[tuple[str, ...]] = set()
    total = 0
    for text in texts:
        grams = _grams(words(text), size)
        counts.update(grams)
        total += len(grams)
    return len(counts) / max(total, 1)


def self_bleu(texts: Sequence[str], rng: np.random.Generator, *, size: int = 4) -> float:
    """Mean BLEU-4 of up to 150 texts against up to 300 others; lower is more varied."""
    order = rng.permutation(len(texts))[:450]
    tokens = [words(texts[int(i)]) for i in order]
    cut = max(1, len(tokens) // 3)
    tested, references = tokens[:cut], tokens[cut:]
    if not references:
        return 1.0
    most: dict[tuple[str, ...], int] = {}
    for reference in references:
        for n in range(1, size + 1):
            for gram, count in collections.Counter(_grams(reference, n)).items():
                most[gram] = max(most.get(gram, 0), count)
    lengths = np.array([len(reference) for reference in references])
    scores = []
    for text in tested:
        logs = 0.0
        for n in range(1, size + 1):
            counts = collections.Counter(_grams(text, n))
            hits = sum(min(count, most.get(gram, 0)) for gram, count in counts.items())
            logs += math.log(max(hits, 1e-9) / max(sum(counts.values()), 1)) / size
        nearest = int(lengths[np.argmin(np.abs(lengths - len(text)))])
        scores.append(math.exp(logs + min(0.0, 1 - nearest / max(len(text), 1))))
    return float(np.mean(scores))


def _grams(tokens: Sequence[str], size: int) -> list[tuple[str, ...]]:
    return [tuple(tokens[i : i + size]) for i in range(len(tokens) - size + 1)]


def vendi_score(texts: Sequence[str], rng: np.random.Generator, *, most: int = 1000) -> float:
    """Vendi score, the exponential of the entropy of the similarity matrix's eigenvalues.

    Similarity is the cosine of TF-IDF vectors of masked uni- and bigrams (Friedman and Dieng 2022,
    arXiv 2210.02410); the score is the effective number of different texts, at most `most`.
    """
    chosen = [texts[int(i)] for i in rng.permutation(len(texts))[:most]]
    index: dict[tuple[str, ...], int] = {}
    rows, columns, values = [], [], []
    for row, text in enumerate(chosen):
        tokens = words(mask_numbers(text))
        counts = collections.Counter([*_grams(tokens, 1), *_grams(tokens, 2)])
        for gram, count in counts.items():
            rows.append(row)
            columns.append(index.setdefault(gram, len(index)))
            values.append(float(count))
    shape = (len(chosen), len(index))
    matrix = sparse.csr_matrix((values, (rows, columns)), shape=shape)
    frequency = np.bincount(matrix.indices, minlength=shape[1])
    weighted = matrix @ sparse.diags(np.log((1 + shape[0]) / (1 + frequency)) + 1)
    norms = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
    unit = sparse.diags(1 / np.maximum(norms, 1e-12)) @ weighted
    return effective_number(np.asarray((unit @ unit.T).todense()))


def effective_number(similarity_NN: NDArray[np.float64]) -> float:
    """exp of the entropy of the eigenvalues of K/n; n for the identity, 1 for all ones."""
    values = np.linalg.eigvalsh(similarity_NN / len(similarity_NN))
    values = values[values > 1e-12]
    return float(np.exp(-np.sum(values * np.log(values))))
