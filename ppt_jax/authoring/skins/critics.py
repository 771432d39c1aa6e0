"""Critics: works have a quality, each reviewer leans high or low, marks scatter."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Critic(Skin):
    """What is reviewed, by whom, in which marks.

    Attributes:
      work: singular noun.
      works: plural.
      titles: at least four titles, used as labels.
      reviewer: singular noun.
      reviewers: plural.
      unit: unit of marks, plural.
      mean: plausible average quality.
      sd: plausible standard deviation of quality.
      gave: past verb, e.g. "gave".
    """

    work: str
    works: str
    titles: tuple[str, ...]
    reviewer: str
    reviewers: str
    unit: str
    mean: tuple[float, float]
    sd: tuple[float, float]
    gave: str


SKINS = (
    Critic(
        "small_theatre", "theatre reviews", "at the {town} playhouse", "play", "plays",
        ("The Glass Heron", "A Late Ferry", "Salt and Straw", "The Quiet Mill"),
        "critic", "critics", "points", (50, 70), (8, 14), "gave",
    ),
    Critic(
        "cheese_fair", "cheese fair", "at the {town} cheese fair", "cheese", "cheeses",
        ("Old Tolmar", "Blue Hedda", "White Sorrel", "Red Bannock"),
        "judge", "judges", "points", (55, 75), (6, 12), "gave",
    ),
    Critic(
        "guest_houses", "guest house ratings", "in the guest houses of {town}", "guest house",
        "guest houses", ("Linden House", "Harbour Rest", "Fox Lodge", "Mill Inn"),
        "inspector", "inspectors", "points", (50, 75), (8, 15), "awarded",
    ),
    Critic(
        "rose_show", "rose growing", "at the {town} rose show", "rose", "roses",
        ("Morning Lantern", "Velvet Anna", "Silver Dove", "Proud Corin"),
        "assessor", "assessors", "points", (45, 70), (7, 13), "awarded",
    ),
    Critic(
        "radio_plays", "radio drama", "at the {town} radio prize", "radio play", "radio plays",
        ("Fog Signal", "The Tin Orchard", "Bridges Home", "Wolf Hour"),
        "juror", "jurors", "points", (50, 72), (8, 14), "gave",
    ),
)  # fmt: skip
