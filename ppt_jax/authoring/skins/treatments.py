"""Treatments: cases with and without something that may make an outcome more frequent."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Treatment(Skin):
    """What is tried on what, and the outcome that is counted.

    Attributes:
      case: singular noun.
      cases: plural.
      with_it: phrase behind "cases", e.g. "with compost".
      without_it: e.g. "without compost".
      agent: what is tried, noun phrase, e.g. "compost".
      outcome: past verb phrase, e.g. "flowered early".
      outcome_does: present singular, e.g. "flowers early".
      outcome_noun: e.g. "early flowering".
    """

    case: str
    cases: str
    with_it: str
    without_it: str
    agent: str
    outcome: str
    outcome_does: str
    outcome_noun: str


SKINS = (
    Treatment(
        "roses", "rose growing", "in the rose gardens of {town}", "rose", "roses",
        "with compost", "without compost", "compost", "flowered early", "flowers early",
        "early flowering",
    ),
    Treatment(
        "calves", "calf rearing", "on the farms of {town}", "calf", "calves",
        "with a barn mate", "without a barn mate", "a barn mate", "slept through",
        "sleeps through", "sleeping through",
    ),
    Treatment(
        "parking_tickets", "town traffic", "in the streets of {town}", "van", "vans",
        "with a school nearby", "without a school nearby", "a school nearby",
        "got a ticket", "gets a ticket", "a ticket",
    ),
    Treatment(
        "letters", "charity letters", "at the {town} charity", "letter", "letters",
        "with a photo", "without a photo", "a photo", "brought a reply", "brings a reply",
        "a reply",
    ),
    Treatment(
        "violins", "violin making", "in the {town} violin workshop", "violin", "violins",
        "with hard varnish", "without hard varnish", "hard varnish", "sounded harsh",
        "sounds harsh", "a harsh sound",
    ),
    Treatment(
        "sea_birds", "bird watching", "on the cliffs near {town}", "nest", "nests",
        "with shelter", "without shelter", "shelter", "kept the eggs", "keeps the eggs",
        "keeping the eggs",
    ),
    Treatment(
        "bread_tins", "bread baking", "in the {town} bakehouse", "loaf", "loaves",
        "with steam", "without steam", "steam", "split on top", "splits on top",
        "splitting on top",
    ),
    Treatment(
        "night_trains", "railway", "on the {town} line", "train", "trains",
        "with a trailer", "without a trailer", "a trailer", "came in late", "comes in late",
        "coming in late",
    ),
)  # fmt: skip
