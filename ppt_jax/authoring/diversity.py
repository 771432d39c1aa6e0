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


class _Sketches:
    """Number-masked word n-grams of texts, and MinHash buckets that find similar ones.

    64 permutations in 16 bands find candidates, exact Jaccard similarity decides.
    """

    def __init__(self, size: int, threshold: float) -> None:
        self.size, self.threshold = size, threshold
        rng = np.random.default_rng(0)
        self._factors = rng.integers(1, 1 << 31, size=(64, 1), dtype=np.uint64)
        self._shifts = rng.integers(0, 1 << 31, size=(64, 1), dtype=np.uint64)
        self._grams: list[frozenset[int]] = []
        self._buckets: dict[tuple[int, bytes], list[int]] = collections.defaultdict(list)

    def find(self, text: str, *, add: bool) -> bool:
        """Whether an added text is nearly this one; adds it then, where asked."""
        tokens = words(mask_numbers(text))
        mine = frozenset(
            zlib.crc32(" ".join(tokens[i : i + self.size]).encode())
            for i in range(max(1, len(tokens) - self.size + 1))
        )
        row = np.fromiter(mine, dtype=np.uint64)[None, :]
        signature = ((self._factors * row + self._shifts) % _PRIME).min(axis=1).reshape(16, 4)
        keys = [(band, values.tobytes()) for band, values in enumerate(signature)]
        candidates = {number for key in keys for number in self._buckets.get(key, ())}
        near = any(
            len(mine & self._grams[other]) >= self.threshold * len(mine | self._grams[other])
            for other in candidates
        )
        if add:
            for key in keys:
                self._buckets[key].append(len(self._grams))
            self._grams.append(mine)
        return near


def near_duplicate_rate(texts: Sequence[str], *, size: int = 5, threshold: float = 0.8) -> float:
    """Share of texts whose number-masked word n-grams nearly equal those of an earlier one.

    Args:
      texts: the stories.
      size: words per n-gram.
      threshold: smallest Jaccard similarity of a near duplicate.
    """
    sketches = _Sketches(size, threshold)
    return sum(sketches.find(text, add=True) for text in texts) / max(len(texts), 1)


def near_copies(
    originals: Sequence[str], texts: Sequence[str], *, size: int = 5, threshold: float = 0.8
) -> int:
    """How many texts are near duplicates of an original; see `near_duplicate_rate`."""
    sketches = _Sketches(size, threshold)
    for text in originals:
        sketches.find(text, add=True)
    return sum(sketches.find(text, add=False) for text in texts)


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
