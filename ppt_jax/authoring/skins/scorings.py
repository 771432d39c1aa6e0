"""Scorings: a person, team or product has a true level, and each occasion shows it with noise."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Scoring(Skin):
    """Who is scored, on what occasion, and how numbers run.

    Attributes:
      actor: one of those scored, singular.
      actors: plural.
      person: whether they carry people's names (else letters as labels, e.g. "plot A").
      trait: the hidden level, noun phrase without article.
      score: what is seen on one occasion, singular noun.
      unit: unit of both, plural.
      occasion: one occasion, singular noun.
      occasions: plural.
      mean: plausible averages of the trait.
      sd: plausible standard deviations between actors.
      least: superlative of the low end.
      most: superlative of the high end.
      more: comparative.
    """

    actor: str
    actors: str
    person: bool
    trait: str
    score: str
    unit: str
    occasion: str
    occasions: str
    mean: tuple[float, float]
    sd: tuple[float, float]
    least: str
    most: str
    more: str


SKINS = (
    Scoring(
        "archery", "archery club", "at the {town} archery range", "archer", "archers", True,
        "true level", "round score", "points", "round", "rounds", (40, 75), (6, 14),
        "weakest", "strongest", "better",
    ),
    Scoring(
        "wheat_plots", "field trials", "on the trial farm at {town}", "plot", "plots", False,
        "true yield", "measured yield", "sacks", "harvest", "harvests", (30, 70), (5, 12),
        "poorest", "richest", "richer",
    ),
    Scoring(
        "call_centre", "telephone support", "at the {town} help desk", "agent", "agents", True,
        "usual pace", "daily tally", "calls a day", "day", "days", (35, 80), (5, 15),
        "slowest", "fastest", "faster",
    ),
    Scoring(
        "singing", "singing contest", "at the {town} singing contest", "singer", "singers", True,
        "real ability", "evening score", "points", "evening", "evenings", (50, 80), (5, 12),
        "weakest", "strongest", "better",
    ),
    Scoring(
        "hens", "poultry keeping", "in the hen houses at {town}", "flock", "flocks", False,
        "laying rate", "week's count", "eggs a week", "week", "weeks", (60, 140), (10, 25),
        "poorest", "best", "better",
    ),
    Scoring(
        "chess_puzzles", "chess training", "at the {town} chess school", "pupil", "pupils", True,
        "puzzle strength", "test result", "points", "test", "tests", (40, 70), (6, 15),
        "weakest", "strongest", "stronger",
    ),
    Scoring(
        "runners", "distance running", "on the {town} running track", "runner", "runners", True,
        "stamina", "trial result", "points", "trial", "trials", (45, 85), (6, 16),
        "least fit", "fittest", "fitter",
    ),
    Scoring(
        "batteries", "battery testing", "in the test room at {town}", "battery design",
        "battery designs", False, "true capacity", "test reading", "hours", "test", "tests",
        (20, 60), (3, 10), "weakest", "strongest", "stronger",
    ),
)  # fmt: skip
