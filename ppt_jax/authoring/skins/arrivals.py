"""Arrivals: things pass or happen at some rate and are counted per interval."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Arrival(Skin):
    """What is counted, by whom, per which interval.

    Attributes:
      things: plural noun.
      where: what has a rate, with article, e.g. "the lock".
      interval: singular noun.
      intervals: plural.
      rate: plausible averages per interval.
      counter: device that counts, without article.
      come: present plural verb, e.g. "pass".
      least: superlative of the low end.
      most: superlative of the high end.
      sites: plural noun of the places that differ in rate.
    """

    things: str
    where: str
    interval: str
    intervals: str
    rate: tuple[float, float]
    counter: str
    come: str
    least: str
    most: str
    sites: str


SKINS = (
    Arrival(
        "canal_lock", "canal traffic", "on the canal at {town}", "barges", "the lock", "hour",
        "hours", (3, 9), "bell counter", "pass", "quietest", "busiest", "locks",
    ),
    Arrival(
        "owl_calls", "owl watch", "in the forest at {town}", "owl calls", "the clearing", "night",
        "nights", (4, 12), "sound recorder", "come", "quietest", "loudest", "clearings",
    ),
    Arrival(
        "help_calls", "mountain rescue", "in the hills of {town}", "calls for help", "the hut",
        "week", "weeks", (2, 8), "call register", "come in", "quietest", "busiest", "huts",
    ),
    Arrival(
        "meteors", "stargazing", "on the observatory roof at {town}", "meteors", "this shower",
        "hour", "hours", (5, 15), "sky camera", "appear", "weakest", "richest", "showers",
    ),
    Arrival(
        "bakery_door", "village bakery", "at the {town} bakery", "customers", "the shop",
        "hour", "hours", (6, 16), "door counter", "come", "quietest", "busiest", "shops",
    ),
    Arrival(
        "loom_faults", "weaving mill", "in the weaving mill at {town}", "thread breaks",
        "the old loom", "shift", "shifts", (2, 8), "break counter", "occur", "smoothest",
        "most troublesome", "looms",
    ),
)  # fmt: skip
