"""Asides: true but irrelevant sentences, some with numbers; no cause words, no names."""

from __future__ import annotations

import numpy as np

_PLAIN = (
    "The door had been painted blue the week before.",
    "Someone had left a radio playing in the corner.",
    "A new clock hangs by the entrance.",
    "The kettle has been mended at last.",
    "There was talk about a new roof.",
    "The old calendar still shows a lighthouse.",
    "A cat sleeps on the window sill most afternoons.",
    "The notice board was moved to the hall.",
    "The curtains were washed in spring.",
    "A visitor left a box of plums.",
    "The floor was swept twice that day.",
    "Fresh tea was served in the green mugs.",
    "The key hangs on a brass hook now.",
    "A brass band practised next door.",
)
_NUMBERED = (
    "The new chairs cost {a} crowns each.",
    "The bus from the station takes {a} minutes.",
    "There are {a} pegs on the coat rack.",
    "The building is {b} years old.",
    "A jar on the shelf holds {b} buttons.",
    "Lunch costs {a} crowns in the canteen.",
    "The attic still holds {a} boxes of old paper.",
    "House number {b} across the street is for sale.",
)


def pick_asides(rng: np.random.Generator, count: int) -> list[str]:
    """Distinct asides, about four in ten with a number."""
    found: list[str] = []
    while len(found) < count:
        if rng.random() < 0.4:
            text = _NUMBERED[int(rng.integers(len(_NUMBERED)))]
            text = text.format(a=int(rng.integers(3, 60)), b=int(rng.integers(14, 140)))
        else:
            text = _PLAIN[int(rng.integers(len(_PLAIN)))]
        if text not in found:
            found.append(text)
    return found
