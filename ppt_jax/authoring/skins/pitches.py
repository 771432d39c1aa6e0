"""Pitches: which of several things is best, said by people who may gain from the answer."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Pitch(Skin):
    """A question with several answers, and speakers who may have a stake in one of them.

    Attributes:
      matter: present clause that says what is asked, e.g. "a buyer asks which horse is soundest".
      question: e.g. "Which horse is the soundest?".
      best: present clause behind an option, e.g. "is the soundest".
      kind: what the options are, plural, e.g. "horses".
      options: five options as they are said, without article where they are names.
      speaker: singular noun for someone who speaks.
      speakers: plural.
      stake: singular clause of a speaker with a stake, before the option: "has money on".
      no_stake: the same for a speaker without any: "has no money on any of them".
      named: past clause with {} for an option, e.g. "praised {}".
      names: present singular, e.g. "praises".
    """

    matter: str
    question: str
    best: str
    kind: str
    options: tuple[str, ...]
    speaker: str
    speakers: str
    stake: str
    no_stake: str
    named: str
    names: str


SKINS = (
    Pitch(
        "horse_fair", "horse fair", "at the {town} horse fair",
        "a buyer asks which horse is the soundest", "Which horse is the soundest?",
        "is the soundest", "horses",
        ("the grey mare", "the bay cob", "the roan", "the chestnut", "the black colt"),
        "groom", "grooms", "has money on", "has no money on any of them", "praised {}", "praises",
    ),
    Pitch(
        "quarry_stone", "building stone", "at the {town} stone yard",
        "a mason's client asks which stone stands frost best", "Which stone stands frost best?",
        "stands frost best", "stones",
        ("the red sandstone", "the green slate", "the white tuff", "the blue granite",
         "the yellow limestone"),
        "agent", "agents", "gets a bonus for", "gets no bonus at all", "named {}", "names",
    ),
    Pitch(
        "mountain_huts", "mountain guiding", "at the {town} guides' office",
        "a party asks which pass is free of snow", "Which pass is free of snow?",
        "is free of snow", "passes",
        ("the goat pass", "the mill pass", "the chapel pass", "the twin pass", "the eagle pass"),
        "guide", "guides", "runs a hut on", "runs no hut", "spoke for {}", "speaks for",
    ),
    Pitch(
        "seed_oats", "seed trade", "on the {town} seed exchange",
        "a farmer asks which oat yields most", "Which oat yields most?", "yields most", "oats",
        ("the winter oat", "the hill oat", "the black oat", "the dwarf oat", "the marsh oat"),
        "dealer", "dealers", "has a full store of", "has nothing left to sell",
        "recommended {}", "recommends",
    ),
    Pitch(
        "choir_solo", "choir", "at the {town} choir",
        "the new director asks who has the surest voice", "Who has the surest voice?",
        "has the surest voice", "singers",
        ("the first alto", "the young tenor", "the second bass", "the tall soprano",
         "the deputy organist"),
        "member", "members", "owes a favour to", "owes nobody a favour", "put forward {}",
        "puts forward",
    ),
    Pitch(
        "well_digging", "well digging", "in the dry fields of {town}",
        "the council asks which field has water closest to the surface",
        "Which field has water closest to the surface?", "has water closest to the surface",
        "fields",
        ("the long field", "the stony field", "the church field", "the corner field",
         "the upper field"),
        "dowser", "dowsers", "owns a share in", "owns no land", "pointed to {}", "points to",
    ),
    Pitch(
        "map_dealers", "map collecting", "at the {town} map auction",
        "a museum asks which map is the oldest", "Which map is the oldest?", "is the oldest",
        "maps",
        ("the coast map", "the star map", "the island map", "the river map", "the abbey map"),
        "expert", "experts", "has secretly bid on", "has made no bid", "chose {}", "chooses",
    ),
    Pitch(
        "ferry_routes", "ferry line", "at the {town} harbour office",
        "the board asks which route would pay best", "Which route would pay best?",
        "would pay best", "routes",
        ("the island route", "the bay route", "the cape route", "the sound route",
         "the lake route"),
        "skipper", "skippers", "has family on", "has no family on any of them", "argued for {}",
        "argues for",
    ),
)  # fmt: skip
