"""Cohorts: things of one origin, of which only some have lasted and can be judged today."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Cohort(Skin):
    """What was made together, what kept it going, and who judges what is left.

    Attributes:
      item: singular noun; labels are "clock A", "clock B".
      items: plural.
      origin: where all come from, with article, e.g. "the old workshop".
      quality: the hidden trait, noun phrase without article.
      lasts: present singular clause, e.g. "still runs".
      gone: its opposite, e.g. "has stopped for good".
      last: infinitive, e.g. "run until today".
      test: how the quality is judged, singular noun, e.g. "inspection".
      mean: plausible averages of the trait.
      sd: plausible standard deviations.
      unit: unit of the trait.
    """

    item: str
    items: str
    origin: str
    quality: str
    lasts: str
    gone: str
    last: str
    test: str
    mean: tuple[float, float] = (40, 60)
    sd: tuple[float, float] = (8, 14)
    unit: str = "points"


SKINS = (
    Cohort(
        "tower_clocks", "tower clocks", "in the county of {town}", "clock", "clocks",
        "the old workshop", "build quality", "still runs",
        "has stopped for good", "run until today", "inspection",
    ),
    Cohort(
        "wooden_bridges", "wooden bridges", "on the rivers around {town}", "bridge", "bridges",
        "the carpenters' yard", "soundness", "still stands",
        "has collapsed", "stand until today", "survey",
    ),
    Cohort(
        "church_organs", "church organs", "in the churches near {town}", "organ", "organs",
        "the cathedral works", "craftsmanship", "still plays", "has fallen silent",
        "play until today", "hearing",
    ),
    Cohort(
        "sloops", "coastal shipping", "in the roads off {town}", "sloop", "sloops",
        "the north yard", "seaworthiness", "is still afloat",
        "was lost at sea", "stay afloat until today", "dock check",
    ),
    Cohort(
        "pear_trees", "old orchards", "in the old orchards of {town}", "pear tree", "pear trees",
        "the abbey nursery", "vigour", "is still alive",
        "has died", "live until today", "test cut",
    ),
    Cohort(
        "stage_plays", "town theatre", "at the {town} theatre", "play", "plays",
        "the prize competition", "craft",
        "is still on the bill", "was taken off the bill", "stay on the bill until today",
        "review",
    ),
    Cohort(
        "radio_masts", "radio network", "on the hills round {town}", "mast", "masts",
        "the foundry", "strength score", "is still upright",
        "was blown down", "stay upright until today", "sound test",
    ),
)  # fmt: skip
