"""Screenings: items that are sound or not, and imperfect tests that hint at it."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Test:
    """One imperfect test.

    Attributes:
      noun: without article, e.g. "dye test".
      fires: present singular when it points to trouble, e.g. "turns blue".
      fired: the same in the past.
      silent: past clause for the other way, e.g. "stayed clear".
    """

    noun: str
    fires: str
    fired: str
    silent: str


@dataclasses.dataclass(frozen=True)
class Screening(Skin):
    """What is screened, for what, by which tests.

    Attributes:
      item: singular noun.
      items: plural.
      bad: node name of the hidden state.
      bad_is: present singular clause, e.g. "carries the rot".
      bad_are: present plural clause, e.g. "carry the rot".
      bad_adjective: short, e.g. "rotten", behind "is" and "are".
      follow: what happens later more often to bad ones, present singular.
      follow_did: the same in the past.
      follow_not: past clause for its absence.
      scale: noun of a continuous reading that is higher for bad ones.
      unit: its unit, plural.
      normal: plausible averages of the reading for good items.
      base: plausible shares of bad items.
      tests: two or more tests.
    """

    item: str
    items: str
    bad: str
    bad_is: str
    bad_are: str
    bad_adjective: str
    follow: str
    follow_did: str
    follow_not: str
    scale: str
    unit: str
    normal: tuple[float, float]
    base: tuple[float, float]
    tests: tuple[Test, ...]


SKINS = (
    Screening(
        "apple_store", "fruit storage", "in the apple store at {town}", "crate", "crates",
        "rotten", "carries hidden rot", "carry hidden rot", "rotten",
        "spoils within the month", "spoiled within the month", "kept for the month",
        "ethylene reading", "units", (20, 40), (0.05, 0.35),
        (
            Test("dye strip", "turns blue", "turned blue", "stayed clear"),
            Test("sniffer dog", "barks", "barked", "kept quiet"),
            Test("sugar test", "comes out low", "came out low", "came out normal"),
        ),
    ),
    Screening(
        "bell_foundry", "bell casting", "at the {town} bell foundry", "bell", "bells",
        "cracked", "has a hidden crack", "have a hidden crack", "cracked",
        "sounds dull in its first winter", "sounded dull in its first winter",
        "rang true through its first winter",
        "echo time", "milliseconds", (60, 120), (0.05, 0.3),
        (
            Test("hammer test", "gives a dull tone", "gave a dull tone", "gave a clear tone"),
            Test("oil test", "leaves a line", "left a line", "left no line"),
            Test("echo sounder", "beeps", "beeped", "stayed silent"),
        ),
    ),
    Screening(
        "honey", "honey trade", "at the {town} honey market", "jar", "jars",
        "stretched", "is stretched with syrup", "are stretched with syrup", "stretched",
        "stays liquid all winter", "stayed liquid all winter", "set in winter",
        "water content", "grams", (60, 90), (0.1, 0.45),
        (
            Test("paper test", "leaves a wet ring", "left a wet ring", "left no ring"),
            Test("flame test", "sputters", "sputtered", "burned evenly"),
            Test("pollen count", "comes out too low", "came out too low", "came out as it should"),
        ),
    ),
    Screening(
        "stamp_fair", "stamp collecting", "at the {town} stamp fair", "stamp", "stamps",
        "forged", "is a forgery", "are forgeries", "forged",
        "is turned down by the auction house", "was turned down by the auction house",
        "was accepted by the auction house",
        "paper thickness", "microns", (70, 110), (0.05, 0.4),
        (
            Test("lamp test", "shows a glow", "showed a glow", "showed no glow"),
            Test("perforation gauge", "does not fit", "did not fit", "fitted"),
            Test("watermark bath", "shows nothing", "showed nothing", "showed the crown"),
        ),
    ),
    Screening(
        "seed_potatoes", "potato growing", "in the potato sheds at {town}", "sack", "sacks",
        "infected", "is infected with leaf virus", "are infected with leaf virus", "infected",
        "gives a poor harvest", "gave a poor harvest", "gave a full harvest",
        "protein reading", "points", (30, 60), (0.08, 0.4),
        (
            Test("leaf test", "shows spots", "showed spots", "showed no spots"),
            Test("drop test", "turns cloudy", "turned cloudy", "remained clear"),
            Test("sprout check", "looks weak", "looked weak", "looked strong"),
        ),
    ),
    Screening(
        "lifeboats", "boat inspection", "in the {town} boatyard", "hull", "hulls",
        "leaky", "has a hidden leak", "have a hidden leak", "leaky",
        "takes water on its next trip", "took water on its next trip",
        "stayed dry on its next trip",
        "moisture reading", "points", (15, 35), (0.06, 0.35),
        (
            Test("damp meter", "beeps", "beeped", "stayed quiet"),
            Test("chalk test", "leaves a dark streak", "left a dark streak", "left no streak"),
            Test("knock test", "sounds hollow", "sounded hollow", "sounded solid"),
        ),
    ),
)  # fmt: skip
