"""Trials: solvers of some ability try tasks of some hardness, and succeed or fail."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Trial(Skin):
    """Who tries what.

    Attributes:
      solver: singular.
      solvers: plural.
      ability: noun phrase without article.
      task: singular noun; labels are "lock A", "lock B".
      tasks: plural.
      hardness: what makes a task hard, noun phrase without article.
      solved: past verb, e.g. "opened".
      failed: past phrase, e.g. "could not open".
      solves: present, e.g. "opens".
      unit: unit of ability and hardness.
    """

    solver: str
    solvers: str
    ability: str
    task: str
    tasks: str
    hardness: str
    solved: str
    failed: str
    solves: str
    unit: str = "points"


SKINS = (
    Trial(
        "locksmiths", "locksmith training", "at the {town} locksmith school",
        "apprentice", "apprentices", "skill", "lock", "locks", "difficulty",
        "opened", "could not open", "opens",
    ),
    Trial(
        "maths_exam", "school exam", "in the {town} maths class",
        "pupil", "pupils", "ability", "problem", "problems", "hardness",
        "solved", "failed", "solves",
    ),
    Trial(
        "climbing", "rock climbing", "on the cliffs of {town}",
        "climber", "climbers", "climbing level", "route", "routes", "grade",
        "climbed", "fell off", "climbs",
    ),
    Trial(
        "riddles", "riddle evening", "at the {town} riddle evening",
        "guest", "guests", "wit", "riddle", "riddles", "trickiness",
        "cracked", "gave up on", "cracks",
    ),
    Trial(
        "horse_jumps", "riding school", "at the {town} riding school",
        "rider", "riders", "riding level", "fence", "fences", "height score",
        "cleared", "knocked down", "clears",
    ),
    Trial(
        "code_bugs", "bug hunting", "in the {town} software class",
        "student", "students", "debugging skill", "bug", "bugs", "depth",
        "found", "missed", "finds",
    ),
)  # fmt: skip
