"""Tastes: people choose between options again and again, by how much they like them."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Taste(Skin):
    """What is chosen from.

    Attributes:
      options: at least five nouns with their article, e.g. "the plum cake".
      thing: singular noun for an option.
      things: plural.
      chose: past verb, e.g. "took".
      chooses: present, e.g. "takes".
      over: how the other one is named, e.g. "over", "rather than".
    """

    options: tuple[str, ...]
    thing: str
    things: str
    chose: str
    chooses: str
    over: str


SKINS = (
    Taste(
        "cake_counter", "cake shop", "at the {town} cake shop",
        ("plum cake", "nut roll", "lemon tart", "oat bar", "pear pie"),
        "cake", "cakes", "took", "takes", "over",
    ),
    Taste(
        "library", "library", "in the {town} library",
        ("sea novel", "train mystery", "garden guide", "city atlas", "fable book"),
        "book", "books", "borrowed", "borrows", "rather than",
    ),
    Taste(
        "bus_seats", "commuting", "on the bus to {town}",
        ("window seat", "rear bench", "aisle seat", "front seat", "folding seat"),
        "seat", "seats", "picked", "picks", "over",
    ),
    Taste(
        "parrot", "animal keeping", "in the {town} aviary",
        ("red grape", "dried fig", "corn kernel", "pine nut", "apple slice"),
        "treat", "treats", "took", "takes", "over",
    ),
    Taste(
        "holiday", "travel office", "at the {town} travel office",
        ("lake trip", "mountain hut", "island tour", "city break", "canal ride"),
        "trip", "trips", "booked", "books", "rather than",
    ),
    Taste(
        "tea_house", "tea house", "in the {town} tea house",
        ("smoky tea", "mint tea", "white tea", "ginger tea", "apple tea"),
        "tea", "teas", "ordered", "orders", "rather than",
    ),
)  # fmt: skip
