"""Tallies: something is counted day by day, and its rate may change."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Tally(Skin):
    """What is counted, and what may change its rate.

    Attributes:
      keeper: who counts, with article.
      things: what is counted, plural.
      mean: plausible average per day.
      change: the event that may change the rate, with article, e.g. "the new timetable".
      began: past verb of the change, e.g. "came into force".
      busy: word for a day with many, e.g. "rough" as in "a rough day".
      calm: its opposite.
    """

    keeper: str
    things: str
    mean: tuple[float, float]
    change: str
    began: str
    busy: str
    calm: str


SKINS = (
    Tally(
        "ferry_bells", "harbour ferry", "at the {town} ferry quay", "the harbour keeper",
        "late boardings", (4, 10), "the new timetable", "came into force", "stormy", "calm",
    ),
    Tally(
        "jam_looms", "weaving mill", "in the {town} weaving mill", "the forewoman",
        "jams", (3, 8), "the new yarn", "arrived", "dry", "damp",
    ),
    Tally(
        "kiosk_maps", "tourist kiosk", "at the {town} kiosk", "the clerk", "map sales",
        (5, 14), "the roadworks", "began", "festive", "ordinary",
    ),
    Tally(
        "bird_hide", "bird watching", "in the bird hide at {town}", "the warden",
        "heron visits", (4, 12), "the reed cutting", "began", "windy", "still",
    ),
    Tally(
        "lost_property", "railway station", "at {town} station", "the attendant",
        "lost umbrellas", (3, 9), "the ticket gates", "opened", "wet", "fair",
    ),
    Tally(
        "clinic_sprains", "mountain clinic", "at the {town} mountain clinic", "the nurse",
        "sprained ankles", (3, 8), "the lower trail", "opened", "icy", "mild",
    ),
    Tally(
        "phone_pranks", "fire station", "at the {town} fire station", "the officer",
        "false alarms", (3, 9), "the school holiday", "began", "rowdy", "quiet",
    ),
)  # fmt: skip
