"""Finds: things come one by one, each of some kind, and new kinds keep turning up."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Find(Skin):
    """What is found, and the kinds it comes in.

    Attributes:
      item: singular noun.
      items: plural.
      kind: singular noun for what items share or not, e.g. "species".
      kinds: plural.
      found: past clause for one or several, e.g. "came to the lamp".
      where: what has a variety of its own, with article, e.g. "the heath".
      wheres: plural, e.g. "heaths".
    """

    item: str
    items: str
    kind: str
    kinds: str
    found: str
    where: str
    wheres: str


SKINS = (
    Find(
        "heath_moths", "moth survey", "on the heath near {town}", "moth", "moths", "species",
        "species", "came to the lamp", "the heath", "heaths",
    ),
    Find(
        "forest_mushrooms", "mushroom walk", "in the woods above {town}", "mushroom",
        "mushrooms", "species", "species", "went into the basket", "the wood", "woods",
    ),
    Find(
        "button_jar", "button collecting", "at the {town} flea market", "button", "buttons",
        "pattern", "patterns", "were drawn from the jar", "the jar", "jars",
    ),
    Find(
        "parish_names", "parish records", "in the parish of {town}", "entry", "entries",
        "first name", "first names", "were read out", "the register", "registers",
    ),
    Find(
        "harbour_flags", "harbour watch", "on the pier of {town}", "ship", "ships", "flag",
        "flags", "sailed in", "the harbour", "harbours",
    ),
    Find(
        "session_tunes", "folk music", "at the {town} folk night", "request", "requests",
        "tune", "tunes", "were made", "the company", "companies",
    ),
    Find(
        "tile_stamps", "excavation", "at the excavation near {town}", "tile", "tiles",
        "maker's stamp", "maker's stamps", "were lifted", "the site", "sites",
    ),
    Find(
        "river_pebbles", "geology class", "by the river at {town}", "pebble", "pebbles",
        "rock", "rocks", "were picked up", "the bank", "banks",
    ),
    Find(
        "spam_traps", "mail security", "in the {town} mail office", "letter", "letters",
        "false sender", "false senders", "were caught", "the mailbag", "mailbags",
    ),
)  # fmt: skip
