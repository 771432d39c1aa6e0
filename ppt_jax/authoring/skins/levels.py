"""Levels: a quantity that moves from day to day and is read with some error."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Level(Skin):
    """What is read, and how numbers run.

    Attributes:
      quantity: with article, e.g. "the water level".
      unit: plural.
      reader: what reads it, with article, e.g. "the float gauge".
      mean: plausible values.
      step: plausible standard deviations of a day's change.
      rises: present clause for an upward trend behind the quantity, e.g. "is rising".
    """

    quantity: str
    unit: str
    reader: str
    mean: tuple[float, float]
    step: tuple[float, float]
    rises: str


SKINS = (
    Level(
        "reservoir", "waterworks", "at the {town} reservoir", "the water level", "centimetres",
        "the float gauge", (180, 320), (5, 15), "is rising",
    ),
    Level(
        "glacier_melt", "glacier study", "on the glacier above {town}", "the melt flow",
        "litres a second", "the flow meter", (80, 160), (4, 12), "is growing",
    ),
    Level(
        "grain_price", "grain market", "on the {town} grain market", "the fair price of oats",
        "crowns", "the noon quote", (120, 240), (4, 12), "is climbing",
    ),
    Level(
        "bear_weight", "animal park", "in the {town} animal park", "the weight of the bear",
        "kilos", "the platform scale", (150, 300), (3, 8), "is going up",
    ),
    Level(
        "cellar_damp", "cheese cellar", "in the {town} cheese cellar", "the salt in the brine",
        "grams", "the salt probe", (60, 120), (2, 6), "is increasing",
    ),
    Level(
        "pulse_rest", "rowing training", "at the {town} training camp",
        "the resting pulse of the cox", "beats a minute", "the wrist strap", (55, 80), (2, 5),
        "is going up",
    ),
    Level(
        "hive_scale", "bee keeping", "in the {town} apiary", "the weight of the hive",
        "hectograms", "the hive scale", (250, 420), (5, 14), "is increasing",
    ),
)  # fmt: skip
