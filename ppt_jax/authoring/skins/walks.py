"""Walks: somebody moves step by step on a square grid towards a goal that others can only guess."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Walk(Skin):
    """Who moves, where from, and where to.

    Attributes:
      walker: with article, e.g. "the courier".
      start: with article, e.g. "the town well".
      goals: five goals without article, used as labels.
      step: one step, singular noun, e.g. "block".
      steps: plural.
      cross: where the next direction is chosen, singular noun, e.g. "corner".
      calm: adjective for one who chooses with little care, e.g. "strolling".
      keen: adjective for one who chooses with much care, e.g. "hurried".
    """

    walker: str
    start: str
    goals: tuple[str, ...]
    step: str
    steps: str
    cross: str
    calm: str
    keen: str


SKINS = (
    Walk(
        "courier", "town streets", "in the square streets of {town}", "the courier",
        "the town well", ("mill", "chapel", "market hall", "bank", "school"), "block", "blocks",
        "corner", "strolling", "hurried",
    ),
    Walk(
        "floor_robot", "warehouse", "on the floor of the {town} warehouse", "the robot",
        "the charging post", ("loading gate", "cold room", "label desk", "paint store",
        "glass rack"), "tile", "tiles", "tile edge", "roaming", "purposeful",
    ),
    Walk(
        "garden_fox", "city park", "in the city park of {town}", "the fox", "the old oak",
        ("duck pond", "rose hut", "hay shed", "bee stand", "fern bank"), "bed", "beds",
        "path crossing", "playful", "hungry",
    ),
    Walk(
        "survey_boat", "lake survey", "on the lake at {town}", "the survey boat", "the pier",
        ("reed bay", "gull rock", "swan bay", "beacon", "deep hole"), "square", "squares",
        "buoy", "drifting", "steady",
    ),
    Walk(
        "night_guard", "museum", "in the {town} museum", "the guard", "the front desk",
        ("coin room", "armour hall", "map room", "glass hall", "clock room"), "room", "rooms",
        "doorway", "idle", "alert",
    ),
    Walk(
        "truffle_pig", "truffle wood", "in the planted oak wood at {town}", "the pig",
        "the fence post", ("hollow stump", "clay pit", "spring", "twin oaks", "stone cross"),
        "row", "rows", "clearing", "lazy", "eager",
    ),
    Walk(
        "snow_sledge", "snow plain", "on the snow plain of {town}", "the sledge", "the base tent",
        ("fuel depot", "weather mast", "ice hut", "seal camp", "radio hut"), "mile", "miles",
        "marker flag", "tired", "rested",
    ),
)  # fmt: skip
