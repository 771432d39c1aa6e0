"""Bags: containers with two sorts of things in them, alike or mixed by the habit of a maker."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Bag(Skin):
    """Containers and the two sorts.

    Attributes:
      bag: container, singular; labels are "bag A", "bag B".
      bags: plural.
      things: what is in them, plural.
      thing: singular.
      sort: adjective of the sort that is counted.
      other: adjective of the other sort.
      maker: who fills the containers, with article.
    """

    bag: str
    bags: str
    things: str
    thing: str
    sort: str
    other: str
    maker: str


SKINS = (
    Bag(
        "marbles", "toy shop", "in the {town} toy shop", "bag", "bags", "marbles", "marble",
        "blue", "green", "the factory",
    ),
    Bag(
        "tulip_crates", "flower trade", "at the {town} flower market", "crate", "crates",
        "tulips", "tulip", "yellow", "red", "the grower",
    ),
    Bag(
        "candy_tins", "sweet shop", "in the {town} sweet shop", "tin", "tins", "drops", "drop",
        "sour", "sweet", "the candy works",
    ),
    Bag(
        "seed_packets", "seed shop", "in the seed shop of {town}", "packet", "packets", "seeds",
        "seed", "tall", "dwarf", "the breeder",
    ),
    Bag(
        "egg_boxes", "egg market", "on the egg market of {town}", "box", "boxes", "eggs", "egg",
        "brown", "white", "the farm",
    ),
    Bag(
        "fleece_bales", "wool trade", "in the {town} wool store", "bale", "bales", "fleeces",
        "fleece", "dark", "pale", "the shearing station",
    ),
)  # fmt: skip
