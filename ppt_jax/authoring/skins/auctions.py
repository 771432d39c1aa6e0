"""Auctions: bidders offer a part of what a thing is worth to them."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Auction(Skin):
    """What is bid on, and in which range of money.

    Attributes:
      item: the thing, with article, e.g. "the walnut desk".
      bid: noun, e.g. "bid".
      unit: money unit, plural.
      worth: plausible medians of what it is worth to people.
    """

    item: str
    bid: str
    unit: str
    worth: tuple[float, float]


SKINS = (
    Auction(
        "furniture", "furniture auction", "at the {town} auction", "the walnut desk", "bid",
        "crowns", (200, 600),
    ),
    Auction(
        "horses", "horse fair", "at the {town} horse fair", "the grey mare", "offer",
        "crowns", (1000, 4000),
    ),
    Auction(
        "stamp_sale", "stamp exchange", "at the {town} stamp exchange", "the blue stamp", "bid",
        "crowns", (40, 160),
    ),
    Auction(
        "flat_rent", "housing", "in the town of {town}", "a month in the attic flat", "offer",
        "crowns", (300, 900),
    ),
    Auction(
        "timber", "timber trade", "at the {town} timber yard", "the stack of oak", "bid",
        "crowns", (500, 1500),
    ),
    Auction(
        "used_boats", "boat sale", "at the {town} boat sale", "the old sloop", "offer",
        "crowns", (800, 3000),
    ),
)  # fmt: skip
