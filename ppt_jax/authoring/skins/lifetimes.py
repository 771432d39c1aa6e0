"""Lifetimes: things that last for a while, met at a random moment of their life."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Lifetime(Skin):
    """What lasts, and how long.

    Attributes:
      item: singular noun.
      items: plural.
      unit: plural unit of time.
      median: plausible typical lengths.
      so_far: past clause, e.g. "has been open for {} years" with {} for the number.
      total: noun phrase for the whole length, e.g. "the whole life of the shop".
      left: noun phrase for what remains.
      kinds: two adjectives for kinds that last unequally long, the shorter-lived first.
      moment: when one comes upon it, clause, e.g. "a visitor comes by".
    """

    item: str
    items: str
    unit: str
    median: tuple[float, float]
    so_far: str
    total: str
    left: str
    kinds: tuple[str, str]
    moment: str


SKINS = (
    Lifetime(
        "street_shops", "street shops", "in the old streets of {town}", "shop", "shops", "years",
        (10, 30), "this shop has been open for {} years", "the whole life of this shop",
        "the time this shop has left", ("fashion", "hardware"), "a visitor walks in",
    ),
    Lifetime(
        "council_meetings", "town council", "in the {town} town hall", "meeting", "meetings",
        "minutes", (40, 120), "this meeting has been running for {} minutes",
        "the whole length of this meeting", "the time this meeting still takes",
        ("committee", "budget"), "a guest comes in",
    ),
    Lifetime(
        "radio_series", "radio series", "at {town} radio", "series", "series", "weeks", (20, 60),
        "this series has been on air for {} weeks", "the whole run of this series",
        "the time this series will still be on air", ("quiz", "crime"), "a listener tunes in",
    ),
    Lifetime(
        "monsoon_storms", "weather watch", "in the weather station at {town}", "storm", "storms",
        "hours", (8, 30), "this storm has lasted {} hours", "the whole length of this storm",
        "the time this storm still lasts", ("summer", "winter"), "a watchman looks out",
    ),
    Lifetime(
        "theatre_runs", "theatre", "in the theatres of {town}", "show", "shows", "nights",
        (25, 80), "this show has been playing for {} nights", "the whole run of this show",
        "the time this show still has", ("drama", "comedy"), "a tourist comes to town",
    ),
)  # fmt: skip
