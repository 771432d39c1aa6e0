"""Surveys: people of two views are asked, and those of one view answer more readily."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Survey(Skin):
    """Who is asked what, and what it takes to answer.

    Attributes:
      person: one of those who are asked, singular.
      people: plural.
      want: the view, present plural clause, e.g. "want a later boat".
      wants: the same in the singular.
      means: how they are asked, e.g. "by card".
      answer: present plural clause for answering, e.g. "send the card back".
      answered: the same in the past.
      part: what they are grouped by, singular.
      parts: three groups, used as labels.
    """

    person: str
    people: str
    want: str
    wants: str
    means: str
    answer: str
    answered: str
    part: str
    parts: tuple[str, str, str]


SKINS = (
    Survey(
        "ferry_cards", "ferry line", "on the ferries of {town}", "passenger", "passengers",
        "want a later last boat", "wants a later last boat", "by card", "send the card back",
        "sent the card back", "line", ("north line", "east line", "island line"),
    ),
    Survey(
        "club_letter", "sports club", "at the {town} sports club", "member", "members",
        "want the hall open on Sundays", "wants the hall open on Sundays", "by letter",
        "reply", "replied", "section", ("rowing section", "judo section", "fencing section"),
    ),
    Survey(
        "tenants", "housing association", "at the {town} housing association", "tenant",
        "tenants", "sleep badly for noise", "sleeps badly for noise", "by letter",
        "write back", "wrote back", "block", ("river block", "park block", "tower block"),
    ),
    Survey(
        "newspaper_readers", "town newspaper", "at the {town} newspaper", "reader", "readers",
        "like the new front page", "likes the new front page", "by postcard",
        "return the postcard", "returned the postcard", "edition",
        ("city edition", "county edition", "coast edition"),
    ),
    Survey(
        "canteen_slips", "school canteen", "at the {town} school", "pupil", "pupils",
        "want a meatless day", "wants a meatless day", "on a slip of paper",
        "hand the slip in", "handed the slip in", "year group",
        ("junior classes", "middle classes", "senior classes"),
    ),
    Survey(
        "farm_union", "farm cooperative", "at the farm cooperative of {town}", "farmer",
        "farmers", "plan to change the mill", "plans to change the mill", "by voice message",
        "call back", "called back", "district",
        ("valley district", "hill district", "lake district"),
    ),
    Survey(
        "hospital_stay", "hospital", "at the {town} hospital", "patient", "patients",
        "find the nights too loud", "finds the nights too loud", "by text message",
        "answer it", "answered it", "ward", ("eye ward", "knee ward", "heart ward"),
    ),
)  # fmt: skip
