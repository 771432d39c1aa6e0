"""Registers: things of all sizes happen, and only the large ones are written down."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Register(Skin):
    """What happens, how large it is, and where the large ones are noted.

    Attributes:
      item: singular noun.
      items: plural.
      size: what is measured, noun without article.
      unit: plural unit.
      scale: plausible averages of the size.
      book: the register, with article.
      period: what it is counted by, singular noun.
      rate: plausible numbers per period.
      come: present plural verb, e.g. "come in".
      came: the same in the past.
      sites: plural noun of the places that differ.
    """

    item: str
    items: str
    size: str
    unit: str
    scale: tuple[float, float]
    book: str
    period: str
    rate: tuple[float, float]
    come: str
    came: str
    sites: str


SKINS = (
    Register(
        "boat_claims", "boat insurance", "at the {town} boat insurance", "claim", "claims",
        "damage", "crowns", (150, 500), "the claims book", "month", (6, 14), "arrive", "came in",
        "insurance offices",
    ),
    Register(
        "train_delays", "railway line", "on the railway line to {town}", "delay", "delays",
        "length", "minutes", (8, 20), "the delay list", "week", (6, 15), "occur", "occurred",
        "lines",
    ),
    Register(
        "outages", "power grid", "in the power grid of {town}", "outage", "outages", "duration",
        "minutes", (15, 50), "the grid log", "month", (5, 12), "happen", "happened", "grids",
    ),
    Register(
        "rock_falls", "mountain road", "on the mountain road above {town}", "rock fall",
        "rock falls", "volume", "cubic metres", (10, 40), "the road log", "year", (5, 14),
        "happen", "happened", "mountain roads",
    ),
    Register(
        "chapel_gifts", "chapel fund", "at the chapel fund of {town}", "gift", "gifts", "amount",
        "crowns", (20, 80), "the donors' book", "week", (6, 14), "arrive", "arrived",
        "chapel funds",
    ),
    Register(
        "harbour_spills", "harbour office", "in the harbour of {town}", "oil spill", "oil spills",
        "size", "litres", (20, 80), "the harbour log", "year", (5, 12), "occur", "occurred",
        "harbours",
    ),
    Register(
        "night_showers", "weather watch", "at the {town} weather hut", "shower", "showers",
        "rainfall", "millimetres", (8, 25), "the weather book", "month", (6, 14),
        "pass over", "passed over", "valleys",
    ),
)  # fmt: skip
