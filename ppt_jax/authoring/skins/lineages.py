"""Lineages: things that descend from a common source and may have kept or changed a feature."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Lineage(Skin):
    """A family tree of two or three branches.

    Attributes:
      item: one end of the tree, singular noun.
      items: plural.
      root: the common source, noun phrase with article.
      branches: three names of branches, with article.
      names: nine names of ends, used as labels; the first three are of the first branch.
      has: present singular clause of the feature, e.g. "has a crest".
      hasnt: its absence, "has no crest".
      had: the same in the past for the source, "had a crest".
      have: present plural, "have a crest".
      the: "the " when the names of ends need an article, else "".
    """

    item: str
    items: str
    root: str
    branches: tuple[str, str, str]
    names: tuple[str, ...]
    has: str
    hasnt: str
    had: str
    have: str
    the: str


SKINS = (
    Lineage(
        "island_finches", "bird biology", "on the islands off {town}", "finch", "finches",
        "the first finch", ("the shore line", "the crater line", "the forest line"),
        ("dune finch", "reef finch", "cliff finch", "ash finch", "lava finch", "cinder finch",
         "fern finch", "moss finch", "palm finch"),
        "has a crest", "has no crest", "had a crest", "have a crest", "the ",
    ),
    Lineage(
        "manuscripts", "old manuscripts", "in the abbey library of {town}", "manuscript",
        "manuscripts", "the lost original",
        ("the northern copy", "the southern copy", "the royal copy"),
        ("codex Alba", "codex Brun", "codex Cado", "codex Dorn", "codex Elmo", "codex Fenn",
         "codex Gall", "codex Holm", "codex Iden"),
        "has the extra verse", "lacks the extra verse", "had the extra verse",
        "have the extra verse", "",
    ),
    Lineage(
        "folk_tunes", "folk music", "in the song archive of {town}", "tune", "tunes",
        "the oldest tune", ("the harbour version", "the mountain version", "the dance version"),
        ("Sailor Jig", "Anchor Jig", "Rope Jig", "Goat Reel", "Stone Reel", "Snow Reel",
         "Broom Waltz", "Lamp Waltz", "Clog Waltz"),
        "ends on a long note", "ends on a short note", "ended on a long note",
        "end on a long note", "",
    ),
    Lineage(
        "village_dialects", "dialect survey", "in the valleys around {town}", "dialect",
        "dialects", "the old speech", ("the upper speech", "the lower speech", "the river speech"),
        ("Ombrin", "Ostrel", "Ovain", "Ulten", "Ubrax", "Urmol", "Ithan", "Iskel", "Ivorn"),
        "keeps the rolled sound", "has lost the rolled sound", "had the rolled sound",
        "keep the rolled sound", "",
    ),
    Lineage(
        "sourdough_lines", "yeast cultures", "at the {town} baking school", "culture", "cultures",
        "the mother culture", ("the rye branch", "the wheat branch", "the spelt branch"),
        ("jar Anton", "jar Berta", "jar Cesar", "jar Dora", "jar Emil", "jar Frieda",
         "jar Gustel", "jar Hedwig", "jar Igor"),
        "smells of apples", "smells of vinegar", "smelled of apples", "smell of apples", "",
    ),
)  # fmt: skip
