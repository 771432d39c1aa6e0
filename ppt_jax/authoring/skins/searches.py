"""Searches: a thing is in one of several places, and people look for it."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Search(Skin):
    """What is looked for, and where.

    Attributes:
      thing: with article, e.g. "the spare key".
      places: five places without article, used as labels.
      kind: what the places are, plural noun, e.g. "rooms".
      clue: a sign that it might be there, with article, e.g. "a drop of oil".
      keeper: who put it there, singular noun, e.g. "caretaker".
      stray: whether it can go elsewhere by itself (an animal, somebody's pet).
      preposition: "in" or "on".
    """

    thing: str
    places: tuple[str, ...]
    kind: str
    clue: str
    keeper: str
    stray: bool = False
    preposition: str = "in"


SKINS = (
    Search(
        "spare_key", "guest house", "at the {town} guest house", "the spare key",
        ("hall drawer", "tool box", "letter tray", "tea tin", "coat chest"), "places",
        "a drop of fresh oil", "porter",
    ),
    Search(
        "lost_lamb", "sheep farming", "on the sheep farm at {town}", "the marked lamb",
        ("north fold", "lower barn", "river pen", "stone shed", "orchard pen"), "pens",
        "a tuft of wool", "shepherd", stray=True,
    ),
    Search(
        "town_deed", "town archive", "in the town archive of {town}", "the old deed",
        ("map cabinet", "tax cabinet", "court cabinet", "church cabinet", "guild cabinet"),
        "cabinets", "a crumb of red wax", "archivist",
    ),
    Search(
        "ship_lantern", "sailing ship", "on the sailing ship {town}", "the storm lantern",
        ("fore cabin", "sail locker", "chart room", "galley", "lower hold"), "rooms",
        "a smell of lamp oil", "boatswain",
    ),
    Search(
        "house_cat", "boarding house", "at the {town} boarding house", "the grey cat",
        ("linen room", "attic", "coal cellar", "music room", "pantry"), "rooms",
        "a tuft of grey hair", "landlady", stray=True,
    ),
    Search(
        "stage_violin", "theatre", "in the {town} theatre", "the old violin",
        ("prop room", "organ loft", "green room", "costume room", "paint shop"), "rooms",
        "a grain of rosin", "stage hand",
    ),
    Search(
        "climbing_rope", "mountain hut", "at the mountain hut above {town}", "the long rope",
        ("ski room", "wood shed", "drying loft", "gear chest", "cellar box"), "places",
        "a red fibre", "hut warden",
    ),
    Search(
        "post_goat", "mountain village", "in the mountain village of {town}", "the brown goat",
        ("mill yard", "church yard", "school yard", "smithy yard", "inn yard"), "yards",
        "a hoof print", "goatherd", stray=True,
    ),
)  # fmt: skip
