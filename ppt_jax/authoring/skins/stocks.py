"""Stocks: a store is used up day by day and now and then filled again."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Stock(Skin):
    """What is stored, how fast it goes, and what fills it up.

    Attributes:
      goods: plural noun, e.g. "hay bales".
      store: where they lie, with article, e.g. "the loft".
      stores: plural of what has a demand of its own, e.g. "stables".
      rate: plausible averages wanted per day.
      source: who brings more, with article, e.g. "the farm cart".
      keeper: who takes a rough look, with article.
    """

    goods: str
    store: str
    stores: str
    rate: tuple[float, float]
    source: str
    keeper: str


SKINS = (
    Stock(
        "hay_loft", "riding stable", "at the {town} riding stable", "hay bales", "the loft",
        "stables", (4, 9), "the farm cart", "the groom",
    ),
    Stock(
        "flour_store", "bakery", "at the {town} bakery", "flour sacks", "the pantry",
        "bakeries", (3, 8), "the miller's van", "the baker",
    ),
    Stock(
        "clinic_doses", "village clinic", "at the {town} clinic", "doses", "the cold box",
        "clinics", (3, 9), "the courier", "the nurse",
    ),
    Stock(
        "candle_cupboard", "chapel", "in the chapel of {town}", "candles", "the cupboard",
        "chapels", (5, 12), "the chandler", "the sexton",
    ),
    Stock(
        "salt_shed", "road service", "at the {town} road depot", "salt bags", "the shed",
        "depots", (4, 10), "the lorry", "the foreman",
    ),
    Stock(
        "repair_tubes", "bicycle repair", "at the {town} bicycle workshop", "inner tubes",
        "the drawer", "workshops", (3, 8), "the wholesaler", "the mechanic",
    ),
    Stock(
        "feed_buckets", "animal park", "in the {town} animal park", "buckets of fish",
        "the ice room", "animal parks", (5, 11), "the trawler", "the warden",
    ),
    Stock(
        "kiln_logs", "pottery", "at the {town} pottery", "bundles of logs", "the lean-to",
        "potteries", (4, 10), "the forester", "the stoker",
    ),
)  # fmt: skip
