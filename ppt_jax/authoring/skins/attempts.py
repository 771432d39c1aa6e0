"""Attempts: many tries of one kind, each works out or not, from one or more sources."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Attempt(Skin):
    """What is tried, where it comes from, and when it counts as a success.

    Attributes:
      item: one try, singular, e.g. "seed".
      items: plural.
      source: what a rate belongs to, singular, e.g. "bed".
      sources: plural.
      link: preposition between items and source, "in" or "from" or "by".
      worked: past clause, e.g. "came up".
      works: present singular clause, "comes up".
      work: present plural clause, "come up".
      least: superlative of the sources with a low rate.
      most: superlative of those with a high rate.
    """

    item: str
    items: str
    source: str
    sources: str
    link: str
    worked: str
    works: str
    work: str
    least: str
    most: str


SKINS = (
    Attempt(
        "seed_beds", "market garden", "in the market garden at {town}", "seed", "seeds",
        "bed", "beds", "in", "came up", "comes up", "come up", "poorest", "richest",
    ),
    Attempt(
        "glass_blowers", "glassworks", "at the {town} glassworks", "vase", "vases",
        "furnace", "furnaces", "from", "came out clear", "comes out clear", "come out clear",
        "worst", "best",
    ),
    Attempt(
        "carrier_pigeons", "pigeon racing", "at the {town} pigeon club", "pigeon", "pigeons",
        "loft", "lofts", "from", "came home by dusk", "comes home by dusk", "come home by dusk",
        "least reliable", "most reliable",
    ),
    Attempt(
        "oyster_farm", "oyster farming", "on the oyster farm at {town}", "oyster", "oysters",
        "bank", "banks", "from", "held a pearl", "holds a pearl", "hold a pearl",
        "poorest", "richest",
    ),
    Attempt(
        "print_shop", "print shop", "at the {town} print shop", "sheet", "sheets",
        "press", "presses", "from", "passed the check", "passes the check", "pass the check",
        "worst", "best",
    ),
    Attempt(
        "truffle_woods", "truffle search", "in the woods near {town}", "dig", "digs",
        "grove", "groves", "in", "turned up a truffle", "turns up a truffle", "turn up a truffle",
        "poorest", "richest",
    ),
    Attempt(
        "sourdough", "home baking", "at the {town} baking class", "loaf", "loaves",
        "starter", "starters", "from", "rose well", "rises well", "rise well",
        "weakest", "strongest",
    ),
)  # fmt: skip
