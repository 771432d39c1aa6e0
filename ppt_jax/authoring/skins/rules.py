"""Rules: things with a few plain traits are sorted by one hidden trait, with slips."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Rule(Skin):
    """What is sorted by what.

    Attributes:
      thing: singular noun.
      things: plural.
      traits: three adjectives, each paired with its opposite, in the order they are said.
      gets: past verb phrase of the sorting, e.g. "got a stamp".
      gets_not: its negation, e.g. "got no stamp".
      would: bare verb phrase, e.g. "get a stamp".
      noun: plural noun of the outcome, e.g. "stamps".
    """

    thing: str
    things: str
    traits: tuple[tuple[str, str], tuple[str, str], tuple[str, str]]
    gets: str
    gets_not: str
    would: str
    noun: str


SKINS = (
    Rule(
        "parcel_stamps", "post office", "at the {town} post office", "parcel", "parcels",
        (("large", "small"), ("heavy", "light"), ("tied", "taped")),
        "got a stamp", "got no stamp", "get a stamp", "stamps",
    ),
    Rule(
        "fish_buyers", "fish market", "at the {town} fish market", "fish", "fish",
        (("long", "short"), ("dark", "pale"), ("spotted", "plain")),
        "was bought", "was left", "be bought", "sales",
    ),
    Rule(
        "toll_gate", "toll road", "at the {town} toll gate", "cart", "carts",
        (("wide", "narrow"), ("covered", "open"), ("loaded", "empty")),
        "was stopped", "was waved on", "be stopped", "stops",
    ),
    Rule(
        "museum_guard", "museum", "at the {town} museum", "visitor bag", "visitor bags",
        (("big", "little"), ("hard", "soft"), ("striped", "plain")),
        "was checked", "was let in", "be checked", "checks",
    ),
    Rule(
        "apple_sorter", "apple sorting", "in the {town} apple store", "apple", "apples",
        (("big", "little"), ("red", "green"), ("shiny", "dull")),
        "was kept for show", "was sent to the press", "be kept for show", "show picks",
    ),
    Rule(
        "goat_gate", "goat keeping", "on the {town} goat farm", "goat", "goats",
        (("old", "young"), ("brown", "white"), ("horned", "hornless")),
        "was let through", "was held back", "be let through", "passes",
    ),
)  # fmt: skip
