"""Hosts: somebody opens one of several closed things, and it matters what that person knows."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Host(Skin):
    """A game with closed things, one of which holds a prize.

    Attributes:
      host: who opens, singular noun, e.g. "quizmaster".
      guest: who chooses, singular noun.
      prize: with article, e.g. "the ring".
      box: the closed things, singular noun.
      boxes: plural.
      colours: five words that tell them apart; labels are "red envelope".
      opens: present singular, e.g. "opens".
      opened: past.
      where: how the prize is with a box, "in" or "under" or "behind".
    """

    host: str
    guest: str
    prize: str
    box: str
    boxes: str
    colours: tuple[str, ...]
    opens: str
    opened: str
    where: str


SKINS = (
    Host(
        "quiz_envelopes", "quiz evening", "at the {town} quiz evening", "quizmaster", "guest",
        "the voucher", "envelope", "envelopes", ("red", "blue", "green", "white", "brown"),
        "opens", "opened", "in",
    ),
    Host(
        "fair_cups", "town fair", "at the {town} fair", "showman", "player", "the pearl", "cup",
        "cups", ("tin", "clay", "horn", "glass", "copper"), "lifts", "lifted", "under",
    ),
    Host(
        "stage_doors", "variety show", "on the variety stage of {town}", "presenter", "guest",
        "the bicycle", "door", "doors", ("pink", "golden", "silver", "purple", "crimson"),
        "opens", "opened", "behind",
    ),
    Host(
        "harvest_baskets", "harvest feast", "at the harvest feast of {town}", "steward",
        "visitor", "the silver plum", "basket", "baskets",
        ("willow", "hazel", "birch", "straw", "reed"), "uncovers", "uncovered", "in",
    ),
    Host(
        "club_lockers", "climbing club", "at the {town} climbing club", "trainer", "newcomer",
        "the free pass", "locker", "lockers", ("grey", "yellow", "black", "orange", "violet"),
        "unlocks", "unlocked", "in",
    ),
    Host(
        "sailor_chests", "harbour museum", "in the harbour museum of {town}", "curator",
        "visitor", "the compass", "chest", "chests", ("oak", "pine", "teak", "cedar", "walnut"),
        "opens", "opened", "in",
    ),
    Host(
        "magic_hats", "magic show", "at the {town} magic show", "magician", "helper",
        "the dove", "hat", "hats", ("silk", "felt", "wool", "velvet", "linen"),
        "raises", "raised", "under",
    ),
)  # fmt: skip
