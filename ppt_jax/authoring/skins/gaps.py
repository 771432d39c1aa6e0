"""Gaps: uneven stretches of time or way, met at a random moment or spot."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Gap(Skin):
    """What lies between two events of a kind, and how one gets into it.

    Attributes:
      gap: singular noun phrase, e.g. "gap between trams".
      gaps: plural.
      short: the bare noun, e.g. "gap".
      unit: plural unit.
      mean: plausible averages.
      site: what has an average of its own, singular, e.g. "stop".
      sites: plural.
      moment: "moment" or "spot": what is random.
      comes: present singular clause, e.g. "comes to the stop".
      came: the same in the past.
      whole: past clause for the whole gap with {} for the number, without subject.
      wait: past clause for the part until its end with {} for the number, without subject.
      rest: noun phrase for that part without article, e.g. "wait for the next tram".
      plain: clause for a gap found in order, with {nth} and {{}} for the number.
    """

    gap: str
    gaps: str
    short: str
    unit: str
    mean: tuple[float, float]
    site: str
    sites: str
    moment: str
    comes: str
    came: str
    whole: str
    wait: str
    rest: str
    plain: str


SKINS = (
    Gap(
        "tram_gaps", "town trams", "at the {town} tram stop", "gap between trams",
        "gaps between trams", "gap", "minutes", (8, 20), "stop", "stops", "moment",
        "comes to the stop", "came to the stop",
        "learned that the tram before and the tram after were {} minutes apart",
        "waited {} minutes for the next tram", "wait for the next tram",
        "the {nth} gap of the morning lasted {{}} minutes",
    ),
    Gap(
        "geyser_pauses", "geyser field", "in the geyser field of {town}",
        "pause between spouts", "pauses between spouts", "pause", "minutes", (20, 60),
        "geyser", "geysers", "moment", "walks up to the geyser", "walked up to the geyser",
        "read in the log that the spouts before and after were {} minutes apart",
        "saw it spout after another {} minutes", "wait for the next spout",
        "the {nth} pause of the month lasted {{}} minutes",
    ),
    Gap(
        "hedge_gates", "hill walking", "along the long hedge at {town}",
        "stretch between gates", "stretches between gates", "stretch", "metres", (60, 200),
        "hedge", "hedges", "spot", "comes upon the hedge", "came upon the hedge",
        "measured {} metres from the gate on one side to the gate on the other",
        "found the next gate {} metres to the north",
        "way north to the next gate",
        "the {nth} stretch from the mill on measured {{}} metres",
    ),
    Gap(
        "power_cuts", "power supply", "in the village of {town}", "spell between power cuts",
        "spells between power cuts", "spell", "days", (15, 50), "village", "villages", "moment",
        "moves into the village", "moved into the village",
        "was told that the cuts before and after lay {} days apart",
        "saw the next cut {} days later", "time until the next cut",
        "the {nth} spell on record lasted {{}} days",
    ),
    Gap(
        "freight_trains", "level crossing", "at the {town} level crossing",
        "break between trains", "breaks between trains", "break", "minutes", (15, 45),
        "crossing", "crossings", "moment", "reaches the crossing", "reached the crossing",
        "heard that the trains before and after were {} minutes apart",
        "saw the next train {} minutes later", "time until the next train",
        "the {nth} break of the day lasted {{}} minutes",
    ),
    Gap(
        "cable_joints", "sea cables", "on the sea cable off {town}",
        "section between joints", "sections between joints", "section", "metres", (80, 300),
        "cable", "cables", "spot", "lifts the cable", "lifted the cable",
        "measured {} metres from joint to joint there",
        "found the next joint {} metres further out", "way out to the next joint",
        "the {nth} section from the shore on measured {{}} metres",
    ),
    Gap(
        "rain_breaks", "garden weather", "in the gardens of {town}",
        "dry spell between showers", "dry spells between showers", "dry spell", "hours",
        (12, 40), "valley", "valleys", "moment", "arrives in the gardens",
        "arrived in the gardens", "was told that the showers before and after lay {} hours apart",
        "felt the next shower {} hours later", "time until the next shower",
        "the {nth} dry spell of the season lasted {{}} hours",
    ),
)  # fmt: skip
