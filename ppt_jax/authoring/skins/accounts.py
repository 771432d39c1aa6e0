"""Accounts: people say which of several things happened, and may be wrong."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Account(Skin):
    """A question of fact, its possible answers, and who speaks.

    Attributes:
      witness: singular noun for someone who speaks.
      witnesses: plural.
      matter: what happened, past clause, e.g. "one of the gates was left open last night".
      question: e.g. "Which gate was left open?".
      options: four or five possible answers, as they are said.
      named: past verb with {} for an option, e.g. "says it was the {}".
      kind: what the options are, plural noun, e.g. "gates".
      truth: noun phrase for the right answer, e.g. "the open gate".
      case: one such question, singular, e.g. "night".
      cases: plural.
    """

    witness: str
    witnesses: str
    matter: str
    question: str
    options: tuple[str, ...]
    named: str
    kind: str
    truth: str
    case: str
    cases: str


SKINS = (
    Account(
        "night_gate", "night watch", "in the walled gardens of {town}", "watchman", "watchmen",
        "one of the gates was left open last night", "Which gate was left open?",
        ("north gate", "mill gate", "garden gate", "river gate", "chapel gate"),
        "says it was the {}", "gates", "the open gate", "case", "cases",
    ),
    Account(
        "stray_cart", "village court", "at the {town} village court", "villager", "villagers",
        "a cart of one colour broke the fence", "What colour was the cart?",
        ("red", "green", "blue", "yellow", "white"),
        "says the cart was {}", "colours", "the right colour", "case", "cases",
    ),
    Account(
        "bird_ringing", "bird watching", "at the {town} bird station", "observer", "observers",
        "a single rare bird was heard from the reeds", "Which bird was in the reeds?",
        ("bittern", "crake", "warbler", "bunting", "pipit"),
        "reports a {}", "birds", "the right bird", "sighting", "sightings",
    ),
    Account(
        "lost_parcel", "parcel service", "at the {town} parcel depot", "clerk", "clerks",
        "a parcel was put on a wrong shelf", "On which shelf is the parcel?",
        ("top shelf", "corner shelf", "window shelf", "cellar shelf", "side shelf"),
        "says it went to the {}", "shelves", "the right shelf", "parcel", "parcels",
    ),
    Account(
        "wine_cellar", "wine tasting", "in the {town} wine cellar", "taster", "tasters",
        "a bottle has lost its label", "Which grape is in the bottle?",
        ("riesling", "silvaner", "merlot", "syrah", "malbec"),
        "tastes {}", "grapes", "the right grape", "bottle", "bottles",
    ),
    Account(
        "ice_road", "harbour pilots", "in the winter harbour of {town}", "pilot", "pilots",
        "just one channel is free of ice", "Which channel is free?",
        ("east channel", "west channel", "lock channel", "reed channel", "deep channel"),
        "says the {} is free", "channels", "the free channel", "winter day", "winter days",
    ),
)  # fmt: skip
