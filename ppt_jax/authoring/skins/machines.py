"""Machines: objects are put on a detector, which answers to some hidden kind of object."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Machine(Skin):
    """Objects, the detector and the hidden kind.

    Attributes:
      items: object labels, singular without article, at least five.
      thing: what they are called, plural.
      machine: the detector, noun without article.
      on: how they are put there, past, e.g. "were put on the plate".
      fires: present singular, "lights up".
      fired: past, "lit up".
      silent: past, "stayed dark".
      kind: adjective of the hidden kind, e.g. "charged".
    """

    items: tuple[str, ...]
    thing: str
    machine: str
    on: str
    fires: str
    fired: str
    silent: str
    kind: str


SKINS = (
    Machine(
        "toy_museum", "toy museum", "in the {town} toy museum",
        ("red cube", "blue ring", "green disc", "black cone", "white star"), "toys",
        "glow box", "on the glow box", "lights up", "lit up", "stayed dark", "charged",
    ),
    Machine(
        "beach_metal", "beach searching", "on the beach at {town}",
        ("flat pebble", "round shell", "long bone", "dark lump", "thin chip"), "finds",
        "metal detector", "under the metal detector", "beeps", "beeped", "kept quiet",
        "metallic",
    ),
    Machine(
        "spice_nose", "spice trade", "in the spice store at {town}",
        ("paper bag", "tin box", "clay jar", "cloth sack", "glass tube"), "containers",
        "scent sensor", "at the scent sensor", "blinks", "blinked", "did not blink", "tainted",
    ),
    Machine(
        "lab_vials", "school laboratory", "in the school laboratory at {town}",
        ("amber vial", "blue vial", "clear vial", "green vial", "rose vial"), "vials",
        "test strip", "on the test strip", "turns purple", "turned purple",
        "kept its colour", "acidic",
    ),
    Machine(
        "parcel_xray", "customs office", "at the {town} customs office",
        ("grey parcel", "brown crate", "steel case", "wicker basket", "leather trunk"),
        "pieces of luggage", "fruit scanner", "in the fruit scanner", "rings", "rang",
        "did not ring", "fruit-bearing",
    ),
    Machine(
        "magnet_gate", "recycling yard", "at the {town} recycling yard",
        ("bent pipe", "old kettle", "broken lamp", "small wheel", "door hinge"), "scraps",
        "magnet gate", "in the magnet gate", "clicks shut", "clicked shut", "stayed open",
        "magnetic",
    ),
)  # fmt: skip
