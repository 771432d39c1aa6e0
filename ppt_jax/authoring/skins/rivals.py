"""Rivals: somebody whose attitude is hidden helps or hinders, time after time."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Rival(Skin):
    """Two parties who meet repeatedly.

    Attributes:
      occasion: one meeting, e.g. "shift".
      occasions: plural.
      helped: past clause with {other}, e.g. "lent {other} a hand".
      refused: past clause with {other}, e.g. "left {other} alone with the work".
      helps: present singular, e.g. "lends {other} a hand".
    """

    occasion: str
    occasions: str
    helped: str
    refused: str
    helps: str


SKINS = (
    Rival(
        "kitchen_crew", "restaurant kitchen", "in the kitchen of the {town} inn",
        "shift", "shifts", "lent {other} a hand", "left {other} alone with the work",
        "lends {other} a hand",
    ),
    Rival(
        "market_stalls", "market square", "on the market square of {town}",
        "market day", "market days", "watched the stall for {other}",
        "would not watch the stall for {other}", "watches the stall for {other}",
    ),
    Rival(
        "orchestra", "town orchestra", "in the {town} orchestra",
        "rehearsal day", "rehearsal days", "shared the score with {other}",
        "kept the score from {other}",
        "shares the score with {other}",
    ),
    Rival(
        "fishing_boats", "fishing harbour", "in the fishing harbour of {town}",
        "trip", "trips", "told {other} where the fish were",
        "kept the good spots from {other}", "tells {other} where the fish are",
    ),
    Rival(
        "chess_bus", "travelling team", "on the tours of the {town} team",
        "tour", "tours", "saved a seat for {other}", "saved no seat for {other}",
        "saves a seat for {other}",
    ),
    Rival(
        "allotments", "allotment gardens", "in the allotment gardens of {town}",
        "weekend", "weekends", "watered the beds of {other}", "let the beds of {other} dry out",
        "waters the beds of {other}",
    ),
)  # fmt: skip
