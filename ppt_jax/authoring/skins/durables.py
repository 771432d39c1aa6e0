"""Durables: things that work for a while and then fail, looked at from time to time."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Durable(Skin):
    """What lasts, in which unit of time, and how it is told from one that has failed.

    Attributes:
      item: singular noun.
      items: plural.
      unit: singular unit of time.
      units: plural.
      median: plausible median lives.
      alive: adjective behind "still", e.g. "working".
      fails: present singular, e.g. "burns out".
      fail: present plural, e.g. "burn out".
      failed: past, e.g. "burned out".
      new: past participle for the start of a life, e.g. "put up".
      sorts: what has a median life of its own, plural, e.g. "makes of lamp".
    """

    item: str
    items: str
    unit: str
    units: str
    median: tuple[float, float]
    alive: str
    fails: str
    fail: str
    failed: str
    new: str
    sorts: str


SKINS = (
    Durable(
        "street_lamps", "street lighting", "in the streets of {town}", "lamp", "lamps", "month",
        "months", (12, 36), "working", "burns out", "burn out", "burned out", "put up",
        "makes of lamp",
    ),
    Durable(
        "harp_strings", "harp hire", "at the {town} harp hire", "string", "strings", "week",
        "weeks", (6, 20), "unbroken", "snaps", "snap", "snapped", "drawn on", "sorts of string",
    ),
    Durable(
        "tram_bearings", "town trams", "at the {town} tram depot", "bearing", "bearings",
        "month", "months", (10, 30), "running", "seizes", "seize", "seized", "fitted",
        "makes of bearing",
    ),
    Durable(
        "buoy_batteries", "harbour service", "in the {town} harbour", "battery", "batteries",
        "week", "weeks", (15, 40), "charged", "dies", "die", "died", "switched on",
        "makes of battery",
    ),
    Durable(
        "mill_belts", "corn mill", "at the {town} mill", "belt", "belts", "week", "weeks",
        (8, 25), "whole", "tears", "tear", "tore", "put on", "makes of belt",
    ),
    Durable(
        "hire_skates", "ice rink", "at the {town} ice rink", "strap", "straps", "day", "days",
        (20, 60), "holding", "gives way", "give way", "gave way", "sewn on", "sorts of strap",
    ),
    Durable(
        "rain_gauges", "weather service", "at the {town} weather service", "gauge", "gauges",
        "year", "years", (4, 12), "in service", "fails", "fail", "failed", "set up",
        "makes of gauge",
    ),
    Durable(
        "stage_lights", "theatre", "at the {town} theatre", "spotlight", "spotlights", "night",
        "nights", (30, 90), "shining", "blows", "blow", "blew", "hung", "makes of spotlight",
    ),
)  # fmt: skip
