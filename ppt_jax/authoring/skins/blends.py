"""Blends: a lot is mixed from two origins that differ in how often something shows."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Blend(Skin):
    """Two origins in one lot, and a trait that tells them apart only partly.

    Attributes:
      item: singular noun.
      items: plural.
      lot: what is mixed, with article, e.g. "the sack".
      first: adjective of the first origin.
      second: adjective of the second.
      shown: past clause, e.g. "roasted dark".
      shows: present singular clause.
      show: present plural clause.
    """

    item: str
    items: str
    lot: str
    first: str
    second: str
    shown: str
    shows: str
    show: str


SKINS = (
    Blend(
        "coffee_sack", "coffee roasting", "at the {town} coffee roastery", "bean", "beans",
        "the sack", "highland", "lowland", "roasted dark", "roasts dark", "roast dark",
    ),
    Blend(
        "tulip_bulbs", "bulb growing", "in the tulip fields of {town}", "bulb", "bulbs",
        "the crate", "imported", "home-grown", "flowered red", "flowers red", "flower red",
    ),
    Blend(
        "roof_slates", "slate trade", "in the slate yard at {town}", "slate", "slates",
        "the pallet", "mountain", "coastal", "rang clear", "rings clear", "ring clear",
    ),
    Blend(
        "wool_bales", "wool market", "at the {town} wool market", "fleece", "fleeces",
        "the bale", "upland", "valley", "took the dye", "takes the dye", "take the dye",
    ),
    Blend(
        "exam_pile", "language school", "at the {town} language school", "paper", "papers",
        "the pile", "evening-class", "day-class", "reached the pass mark",
        "reaches the pass mark", "reach the pass mark",
    ),
)  # fmt: skip
