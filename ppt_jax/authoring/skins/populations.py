"""Populations of unknown size: numbered things that are met, animals that are marked."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Fleet(Skin):
    """Things that carry numbers from 1 up.

    Attributes:
      item: singular noun.
      items: plural.
      size: plausible sizes of the whole.
      met: past clause without subject for one that is met, e.g. "came by".
      whole: noun phrase for the whole, e.g. "the tram fleet".
      worn: where the number is, e.g. "painted on its front".
    """

    item: str
    items: str
    size: tuple[float, float]
    met: str
    whole: str
    worn: str


@dataclasses.dataclass(frozen=True)
class Wildlife(Skin):
    """Animals that are caught, marked and let go.

    Attributes:
      animals: plural noun.
      animal: singular.
      caught: past participle, e.g. "netted".
      marked: past participle, e.g. "ringed".
      size: plausible numbers of unmarked ones.
      home: where they live, e.g. "on the island".
      round: one catch, singular noun, e.g. "night".
    """

    animals: str
    animal: str
    caught: str
    marked: str
    size: tuple[float, float]
    home: str
    round: str


SKINS = (
    Fleet(
        "tram_numbers", "town trams", "in the streets of {town}", "tram", "trams", (60, 300),
        "came by", "the tram fleet", "on its front",
    ),
    Fleet(
        "race_bibs", "town run", "at the {town} town run", "runner", "runners", (100, 600),
        "ran past", "the field of runners", "on the chest",
    ),
    Fleet(
        "boat_licences", "lake fishing", "on the lake at {town}", "boat", "boats", (50, 200),
        "moored at the pier", "the list of licensed boats", "on the bow",
    ),
    Fleet(
        "print_copies", "art prints", "in the print cabinet of {town}", "print", "prints",
        (40, 200), "turned up for sale", "the edition", "in pencil on the margin",
    ),
    Fleet(
        "lockers", "swimming hall", "in the {town} swimming hall", "locker key", "locker keys",
        (80, 400), "was handed out", "the set of locker keys", "on a brass tag",
    ),
    Wildlife(
        "pond_newts", "pond survey", "at the forest pond of {town}", "newts", "newt", "netted",
        "tagged", (60, 200), "in the pond", "night",
    ),
    Wildlife(
        "island_terns", "bird island", "on the bird island off {town}", "terns", "tern", "caught",
        "ringed", (80, 300), "on the island", "morning",
    ),
    Wildlife(
        "barn_mice", "barn survey", "in the great barn at {town}", "mice", "mouse", "trapped",
        "marked", (40, 150), "in the barn", "night",
    ),
    Wildlife(
        "lake_carp", "lake census", "on the carp lake at {town}", "carp", "carp", "landed",
        "tagged", (100, 400), "in the lake", "day",
    ),
    Wildlife(
        "meadow_moths", "moth count", "on the meadows of {town}", "moths", "moth", "caught",
        "dotted", (50, 250), "on the meadow", "evening",
    ),
)  # fmt: skip
