"""Waits: one waits for something that comes at random, on average after some time."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Wait(Skin):
    """What one waits for and how long it takes.

    Attributes:
      event: what comes, with article, e.g. "the tram".
      wait: singular noun for one wait, e.g. "wait".
      waits: plural.
      unit: plural unit of time.
      mean: plausible average waits.
      site: what has an average of its own, singular, e.g. "stop".
      sites: plural.
      comes: present singular clause for the end of the wait, e.g. "comes".
    """

    event: str
    wait: str
    waits: str
    unit: str
    mean: tuple[float, float]
    site: str
    sites: str
    comes: str


SKINS = (
    Wait(
        "tram_stop", "town trams", "at the {town} tram stop", "a tram", "wait", "waits", "minutes",
        (8, 25), "stop", "stops", "comes",
    ),
    Wait(
        "whale_watch", "whale watching", "off the coast of {town}", "a whale", "watch", "watches",
        "minutes", (20, 70), "bay", "bays", "shows up",
    ),
    Wait(
        "geyser", "geyser field", "in the geyser field of {town}", "the spring", "pause", "pauses",
        "minutes", (15, 60), "spring", "springs", "spouts",
    ),
    Wait(
        "anglers_bite", "angling", "on the pond at {town}", "a fish", "wait", "waits", "minutes",
        (10, 40), "pond", "ponds", "bites",
    ),
    Wait(
        "job_offers", "odd jobs", "in the port of {town}", "an offer of work", "wait", "waits",
        "days", (10, 40), "trade", "trades", "comes in",
    ),
    Wait(
        "taxi_rank", "taxi service", "at the {town} taxi rank", "a taxi", "wait", "waits",
        "minutes", (6, 20), "rank", "ranks", "pulls up",
    ),
)  # fmt: skip
