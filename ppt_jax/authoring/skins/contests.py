"""Contests: people meet, a hidden strength and a little luck decide who wins."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Contest(Skin):
    """Who meets, at what, and how strength is measured.

    Attributes:
      actor: one contestant, singular.
      actors: plural.
      trait: what decides, a noun phrase without article.
      unit: unit of the trait, plural.
      mean: plausible averages of the trait.
      sd: plausible standard deviations.
      meet: one contest, e.g. "race".
      beat: past tense, e.g. "beat", "out-rowed".
      wins: bare verb with object, e.g. "wins the race".
      off: clause for an off day, third person, e.g. "has a bad morning".
      off_past: the same in the past, "had a bad morning".
      more: comparative, e.g. "stronger".
      least: superlative of the low end.
      most: superlative of the high end.
    """

    actor: str
    actors: str
    trait: str
    unit: str
    mean: tuple[float, float]
    sd: tuple[float, float]
    meet: str
    beat: str
    wins: str
    off: str
    off_past: str
    more: str
    least: str
    most: str


def _contest(name: str, domain: str, place: str, who: str, what: str, words: str) -> Contest:
    """An entry from three short lines: people; trait with ranges; event words, "|" between."""
    actor, actors = (part.strip() for part in who.split("|"))
    trait, unit, mean, sd = (part.strip() for part in what.split("|"))
    meet, beat, wins, off, off_past, more, least, most = (p.strip() for p in words.split("|"))
    low, high = (float(number) for number in mean.split("-"))
    narrow, wide = (float(number) for number in sd.split("-"))
    return Contest(
        name, domain, place, actor, actors, trait, unit, (low, high), (narrow, wide),
        meet, beat, wins, off, off_past, more, least, most,
    )  # fmt: skip


SKINS = (
    _contest(
        "rowing", "club rowing", "at the {town} boat club", "rower | rowers",
        "pulling power | points | 40-70 | 8-18",
        "race | beat | wins the race | has a bad morning | had a bad morning"
        " | stronger | weakest | strongest",
    ),
    _contest(
        "tug_rope", "village games", "at the {town} village games", "puller | pullers",
        "pulling strength | kilos | 60-110 | 10-25",
        "pull | out-pulled | wins the pull | slips on the grass | slipped on the grass"
        " | stronger | weakest | strongest",
    ),
    _contest(
        "typing", "typing contest", "in the {town} typing league", "typist | typists",
        "typing speed | words a minute | 55-95 | 8-20",
        "heat | out-typed | wins the heat | gets cold fingers | had cold fingers"
        " | faster | slowest | fastest",
    ),
    _contest(
        "apple_picking", "fruit harvest", "on the {town} orchards", "picker | pickers",
        "picking pace | crates a day | 20-60 | 4-12",
        "harvest round | out-picked | wins the round | has a slow day | had a slow day"
        " | quicker | slowest | quickest",
    ),
    _contest(
        "robots", "hobby robotics", "in the {town} robot workshop", "builder | builders",
        "machine thrust | newtons | 30-80 | 6-18",
        "bout | pushed out | wins the bout | has a flat battery | had a flat battery"
        " | stronger | weakest | strongest",
    ),
    _contest(
        "debate", "school debating", "at the {town} debating society", "speaker | speakers",
        "debating skill | points | 45-75 | 6-16",
        "debate | out-argued | wins the debate | loses the thread | lost the thread"
        " | more skilful | least skilled | most skilled",
    ),
    _contest(
        "sled_dogs", "sled racing", "on the {town} sled trail", "musher | mushers",
        "team drive | points | 50-90 | 8-20",
        "run | outran | wins the run | starts with tired dogs | started with tired dogs"
        " | faster | slowest | fastest",
    ),
    _contest(
        "memory_cards", "memory games", "at the {town} memory club", "player | players",
        "memory span | cards | 20-50 | 4-10",
        "match | beat | wins the match | is distracted | was distracted"
        " | sharper | weakest | sharpest",
    ),
    _contest(
        "hay_loading", "hay making", "on the farms around {town}", "farmhand | farmhands",
        "loading power | bales an hour | 25-60 | 5-14",
        "loading match | out-loaded | wins the match | strains a wrist | strained a wrist"
        " | stronger | weakest | strongest",
    ),
    _contest(
        "kayak", "river kayaking", "on the river at {town}", "paddler | paddlers",
        "paddling speed | points | 40-80 | 7-18",
        "sprint | out-paddled | wins the sprint | catches a bad current | caught a bad current"
        " | faster | slowest | fastest",
    ),
)  # fmt: skip
