"""Judgings: several judges mark the same pieces of work, each with a personal leniency."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Judging(Skin):
    """Who marks what.

    Attributes:
      judge: one judge, singular.
      judges: plural.
      work: what is marked, singular; labels are "essay A", "essay B".
      works: plural.
      quality: the true worth, noun phrase without article.
      mark: what a judge gives, singular.
      unit: unit, plural.
      mean: plausible averages.
      sd: plausible standard deviations of quality.
      gave: past tense with which a mark is given.
    """

    judge: str
    judges: str
    work: str
    works: str
    quality: str
    mark: str
    unit: str
    mean: tuple[float, float]
    sd: tuple[float, float]
    gave: str


SKINS = (
    Judging(
        "essays", "essay marking", "at the {town} school", "teacher", "teachers",
        "essay", "essays", "true worth", "mark", "points", (50, 70), (7, 15), "gave",
    ),
    Judging(
        "cake_contest", "cake contest", "at the {town} cake contest", "taster", "tasters",
        "cake", "cakes", "true quality", "score", "points", (55, 75), (6, 14), "awarded",
    ),
    Judging(
        "film_festival", "film festival", "at the {town} film festival", "critic", "critics",
        "film", "films", "real merit", "score", "points", (45, 70), (8, 18), "gave",
    ),
    Judging(
        "dog_show", "dog show", "at the {town} dog show", "steward", "stewards",
        "terrier", "terriers", "true form", "score", "points", (60, 80), (5, 12), "gave",
    ),
    Judging(
        "wine_panel", "wine tasting", "in the {town} wine panel", "taster", "tasters",
        "wine", "wines", "real quality", "rating", "points", (70, 88), (4, 9), "gave",
    ),
    Judging(
        "bridge_design", "design review", "at the {town} design office", "reviewer", "reviewers",
        "bridge plan", "bridge plans", "true quality", "grade", "points", (40, 65), (7, 16),
        "gave",
    ),
    Judging(
        "diving", "diving contest", "at the {town} swimming hall", "judge", "judges",
        "dive", "dives", "true quality", "score", "points", (50, 80), (6, 13), "gave",
    ),
)  # fmt: skip
