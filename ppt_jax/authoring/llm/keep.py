"""Stage 6: what is kept, seen beside everything kept before. Decided in the order of the plans."""

from __future__ import annotations

import collections
import math
import zlib
from collections.abc import Mapping
from typing import Any

from ppt_jax.authoring import diversity
from ppt_jax.authoring.corpus import duplicate_key
from ppt_jax.authoring.structures import structure_signature
from ppt_jax.authoring.text_checks import Finding

GRAM = 5  # words


class Keeper:
    """Remembers what was kept.

    Args:
      novelty: greatest Jaccard similarity of two stories' word 5-grams, numbers masked.
      max_structure_share: greatest share of a split's size that one program structure may have.
      sizes: scenarios wanted by split.
    """

    def __init__(
        self, novelty: float, max_structure_share: float, sizes: Mapping[str, int]
    ) -> None:
        self._novelty = novelty
        self._most = {
            split: max(1, math.ceil(max_structure_share * size)) for split, size in sizes.items()
        }
        self._keys: dict[str, str] = {}
        self._structures: collections.Counter[tuple[str, str]] = collections.Counter()
        self._sizes: list[int] = []
        self._ids: list[str] = []
        self._places: dict[int, list[int]] = collections.defaultdict(list)

    def objection(self, row: Mapping[str, Any]) -> Finding | None:
        """Why a scenario (as a dict) is not kept, or None."""
        twin = self._keys.get(duplicate_key(row["story"]))
        if twin is not None:
            return Finding("duplicate", f"differs from {twin} in numbers only")
        grams = _grams(row["story"])
        shared = collections.Counter(
            place for gram in grams for place in self._places.get(gram, ())
        )
        for place, count in shared.items():
            if count > self._novelty * (len(grams) + self._sizes[place] - count):
                return Finding("near_duplicate", f"nearly the words of {self._ids[place]}")
        split = str(row.get("split", ""))
        if self._structures[split, structure_signature(row)] >= self._most.get(split, 1 << 30):
            return Finding("structure_quota", "its program structure is there often enough")
        return None

    def keep(self, row: Mapping[str, Any]) -> None:
        """Notes a scenario as kept."""
        place, grams = len(self._ids), _grams(row["story"])
        self._ids.append(str(row["id"]))
        self._sizes.append(len(grams))
        for gram in grams:
            self._places[gram].append(place)
        self._keys[duplicate_key(row["story"])] = str(row["id"])
        self._structures[str(row.get("split", "")), structure_signature(row)] += 1


def _grams(story: str) -> frozenset[int]:
    words = diversity.words(diversity.mask_numbers(story))
    return frozenset(
        zlib.crc32(" ".join(words[start : start + GRAM]).encode())
        for start in range(max(1, len(words) - GRAM + 1))
    )
