"""Trays: a few things that combine two features, so that rules can be about either."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Tray(Skin):
    """Things with two features, and someone who follows a rule.

    Attributes:
      firsts: three adjectives, e.g. colours.
      seconds: three nouns, singular.
      plurals: the same nouns, plural.
      thing: general singular noun for them.
      things: plural.
      ruler: who follows the rule, without article, e.g. "machine".
      takes: present singular verb of the ruler with an object to follow, e.g. "accepts".
      took: past.
    """

    firsts: tuple[str, str, str]
    seconds: tuple[str, str, str]
    plurals: tuple[str, str, str]
    thing: str
    things: str
    ruler: str
    takes: str
    took: str


SKINS = (
    Tray(
        "sorting_robot", "toy factory", "in the {town} toy factory", ("red", "blue", "green"),
        ("cube", "ball", "cone"), ("cubes", "balls", "cones"), "block", "blocks",
        "sorting robot", "picks", "picked",
    ),
    Tray(
        "jackdaw", "bird behaviour", "in the {town} aviary", ("shiny", "dull", "striped"),
        ("button", "coin", "ring"), ("buttons", "coins", "rings"), "object", "objects",
        "tame jackdaw", "steals", "stole",
    ),
    Tray(
        "tea_room", "tea room", "in the {town} tea room", ("white", "brown", "yellow"),
        ("mug", "bowl", "plate"), ("mugs", "bowls", "plates"), "piece of crockery",
        "pieces of crockery",
        "collector", "buys", "bought",
    ),
    Tray(
        "gate_keeper", "puzzle park", "in the puzzle park of {town}", ("round", "square", "oval"),
        ("token", "badge", "key"), ("tokens", "badges", "keys"), "pass", "passes",
        "gate keeper", "admits", "admitted",
    ),
    Tray(
        "choir_library", "choir library", "in the choir library of {town}",
        ("old", "modern", "folk"), ("carol", "hymn", "canon"), ("carols", "hymns", "canons"),
        "song", "songs", "choir leader", "chooses", "chose",
    ),
    Tray(
        "flower_bees", "bee watching", "in the flower meadow of {town}",
        ("tall", "low", "creeping"), ("clover", "thistle", "vetch"),
        ("clovers", "thistles", "vetches"), "plant", "plants", "bumblebee", "visits", "visited",
    ),
)  # fmt: skip
