"""Sorts of things that differ on average in one or two measures, and overlap."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Sort(Skin):
    """Sorts that one tells apart by measuring.

    Attributes:
      item: singular noun, e.g. "shell".
      items: plural.
      sort: what the kinds are called, singular, e.g. "species".
      sorts: plural.
      names: four names of sorts, used as labels.
      measure: first measure, noun without article.
      unit: its unit, plural.
      middle: plausible averages of the sort with the smallest ones.
      second: second measure.
      second_unit: its unit, plural.
      second_middle: plausible averages.
      does: present singular clause that some sorts do more often, e.g. "floats".
    """

    item: str
    items: str
    sort: str
    sorts: str
    names: tuple[str, ...]
    measure: str
    unit: str
    middle: tuple[float, float]
    second: str
    second_unit: str
    second_middle: tuple[float, float]
    does: str


SKINS = (
    Sort(
        "beach_shells", "shell collecting", "on the beach of {town}", "shell", "shells",
        "species", "species", ("dove shell", "fan shell", "moon shell", "spindle shell"),
        "width", "millimetres", (20, 40), "weight", "grams", (10, 30), "floats",
    ),
    Sort(
        "beetle_box", "beetle survey", "in the oak wood of {town}", "beetle", "beetles",
        "species", "species", ("bark beetle", "ground beetle", "rove beetle", "stag beetle"),
        "length", "millimetres", (12, 30), "feeler length", "tenths of a millimetre", (20, 60),
        "flies off when touched",
    ),
    Sort(
        "pot_sherds", "excavation", "at the excavation near {town}", "sherd", "sherds",
        "workshop", "workshops", ("Hill workshop", "Ford workshop", "Abbey workshop",
        "Quay workshop"), "thickness", "tenths of a millimetre", (40, 70), "sand content",
        "grains", (30, 90), "bears a stamp",
    ),
    Sort(
        "violin_makers", "instrument trade", "at the {town} instrument fair", "violin", "violins",
        "maker", "makers", ("Aldani", "Bresko", "Corvell", "Dorme"), "body length",
        "millimetres", (340, 355), "varnish depth", "microns", (40, 90), "has a carved scroll",
    ),
    Sort(
        "garden_bulbs", "bulb sorting", "in the bulb shed at {town}", "bulb", "bulbs",
        "variety", "varieties", ("snow crocus", "wood lily", "star tulip", "bell hyacinth"),
        "diameter", "millimetres", (18, 35), "weight", "grams", (8, 25),
        "flowers in the first year",
    ),
    Sort(
        "letter_writers", "archive", "in the town archive of {town}", "letter", "letters",
        "writer", "writers", ("the miller", "the notary", "the curate", "the merchant"),
        "line spacing", "tenths of a millimetre", (60, 90), "words per page", "words", (120, 220),
        "closes with a blessing",
    ),
)  # fmt: skip
