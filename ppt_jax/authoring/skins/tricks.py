"""Tricks: things of two or three kinds that look alike but behave differently."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Trick(Skin):
    """Things that look alike, their kinds, and what one trial shows.

    Attributes:
      item: singular noun.
      items: plural.
      trial: one trial, singular, e.g. "throw".
      trials: plural.
      hit: past clause with "it", e.g. "it showed a six".
      shows: present singular clause without subject, e.g. "shows a six".
      kinds: adjectives with plausible chances of a hit, the ordinary kind first.
    """

    item: str
    items: str
    trial: str
    trials: str
    hit: str
    shows: str
    kinds: tuple[tuple[str, float, float], ...]


SKINS = (
    Trick(
        "loaded_dice", "dice games", "in the {town} games room", "die", "dice", "throw", "throws",
        "it showed a star", "shows a star",
        (("fair", 1 / 6, 1 / 6), ("loaded", 0.45, 0.8), ("shaved", 0.25, 0.4)),
    ),
    Trick(
        "magic_coins", "magic shop", "at the {town} magic shop", "coin", "coins", "toss", "tosses",
        "it came up heads", "comes up heads",
        (("ordinary", 0.5, 0.5), ("bent", 0.65, 0.8), ("weighted", 0.85, 0.95)),
    ),
    Trick(
        "lamp_bulbs", "theatre lighting", "in the {town} theatre store", "lamp", "lamps",
        "switch-on", "switch-ons", "it flickered", "flickers",
        (("sound", 0.05, 0.15), ("worn", 0.35, 0.5), ("damaged", 0.65, 0.85)),
    ),
    Trick(
        "fishing_lures", "angling", "on the lake at {town}", "lure", "lures", "cast", "casts",
        "it brought a bite", "brings a bite",
        (("plain", 0.1, 0.2), ("scented", 0.3, 0.45), ("live", 0.55, 0.75)),
    ),
    Trick(
        "seed_bags", "seed trade", "at the {town} seed merchant", "bag", "bags", "test seed",
        "test seeds", "it gave a sprout", "gives a sprout",
        (("fresh", 0.75, 0.95), ("aged", 0.45, 0.6), ("spoiled", 0.1, 0.25)),
    ),
    Trick(
        "carnival_wheels", "fun fair", "at the {town} fun fair", "wheel", "wheels", "spin", "spins",
        "it stopped on red", "stops on red",
        (("honest", 0.5, 0.5), ("rigged", 0.15, 0.3), ("crooked", 0.7, 0.85)),
    ),
)  # fmt: skip
