"""Faults: cases that may show an effect, hidden causes behind it, a sensor that hints at one."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Cause:
    """One possible cause in the forms that sentences need.

    Attributes:
      key: node name.
      did: past clause without its subject, e.g. "was fired too hot".
      does: present plural clause without its subject, e.g. "are fired too hot".
      noun: what it is called, e.g. "overheating".
    """

    key: str
    did: str
    does: str
    noun: str


@dataclasses.dataclass(frozen=True)
class Fault(Skin):
    """A kind of case, its effect and causes.

    Attributes:
      case: one case, singular noun.
      cases: plural.
      this_case: the case in question, e.g. "this morning's batch".
      next_case: a later one, e.g. "the next batch".
      effect: node name of the effect.
      effect_did: past clause without subject, e.g. "came out cracked".
      effect_does: present singular clause without subject, e.g. "comes out cracked".
      effect_not: past clause for its absence, e.g. "came out sound".
      effect_noun: noun for it, e.g. "cracking".
      causes: at least three possible causes, independent of one another.
      sensor: noun phrase of the instrument that hints at the first cause, without article.
      sensor_yes: past clause, it shows the cause: "was lit".
      sensor_no: past clause for the other way: "stayed dark".
      sensor_fires: present singular, e.g. "lights up".
      guard: what prevents the effect, noun phrase without article, e.g. "protective glaze".
      guard_did: past clause of the case: "had been given protective glaze".
      guard_does: present plural clause: "get a protective glaze".
      follows: a later consequence of the effect: past clause without subject, "was sent back".
      follows_not: for its absence, "was not sent back".
      follows_does: present singular, "is sent back".
    """

    case: str
    cases: str
    this_case: str
    next_case: str
    effect: str
    effect_did: str
    effect_does: str
    effect_not: str
    effect_noun: str
    causes: tuple[Cause, ...]
    sensor: str
    sensor_yes: str
    sensor_no: str
    sensor_fires: str
    guard: str
    guard_did: str
    guard_does: str
    follows: str
    follows_not: str
    follows_does: str


SKINS = (
    Fault(
        "pottery", "pottery workshop", "at the {town} pottery", "batch", "batches",
        "this morning's batch", "the next batch", "cracked", "came out cracked",
        "comes out cracked", "came out sound", "cracking",
        (
            Cause("hot", "was fired too hot", "are fired too hot", "overheating"),
            Cause("damp", "was made from damp clay", "are made from damp clay", "damp clay"),
            Cause("rushed", "was cooled in a rush", "are cooled in a rush", "rushed cooling"),
        ),
        "warning lamp", "was lit", "stayed dark", "lights up",
        "reinforced shelf", "stood on a reinforced shelf", "stand on a reinforced shelf",
        "was sent back by the shop", "was kept by the shop", "is sent back by the shop",
    ),
    Fault(
        "bakery", "bakery", "at the {town} bakery", "dough", "doughs", "today's dough",
        "tomorrow's dough", "flat", "baked flat", "bakes flat", "rose well", "flat baking",
        (
            Cause("yeast_old", "was mixed with old yeast", "are mixed with old yeast", "old yeast"),
            Cause("cold_room", "rested in a cold room", "rest in a cold room", "a cold room"),
            Cause("over_salted", "got too much salt", "get too much salt", "too much salt"),
        ),
        "yeast strip", "turned blue", "stayed white", "turns blue",
        "proofing box", "was kept in the proofing box", "are kept in the proofing box",
        "was left unsold", "was sold out", "is left unsold",
    ),
    Fault(
        "greenhouse", "greenhouse", "in the greenhouses at {town}", "tray", "trays",
        "the tray by the door", "the next tray", "wilted", "wilted", "wilts", "stayed green",
        "wilting",
        (
            Cause("mites", "had mites", "have mites", "mites"),
            Cause("dry", "had dry roots", "have dry roots", "dry roots"),
            Cause("draught", "stood in a draught", "stand in a draught", "a draught"),
        ),
        "sticky card", "showed specks", "showed nothing", "shows specks",
        "mulch layer", "had a mulch layer", "have a mulch layer",
        "was thrown away", "was kept", "is thrown away",
    ),
    Fault(
        "printer", "print shop", "at the {town} print shop", "job", "jobs", "the noon job",
        "the next job", "smeared", "came out smeared", "comes out smeared", "came out clean",
        "smearing",
        (
            Cause("worn", "ran on a worn drum", "run on a worn drum", "a worn drum"),
            Cause("humid", "was fed humid paper", "are fed humid paper", "humid paper"),
            Cause("thin_ink", "was run with thin ink", "are run with thin ink", "thin ink"),
        ),
        "drum alarm", "beeped", "stayed silent", "beeps",
        "drying rack", "went over the drying rack", "go over the drying rack",
        "was printed again", "was delivered as it was", "is printed again",
    ),
    Fault(
        "river_pump", "waterworks", "at the {town} waterworks", "shift", "shifts",
        "last night's shift", "the next shift", "stopped", "saw the pump stop",
        "sees the pump stop", "ran without a stop", "a pump stop",
        (
            Cause("weeds", "had weeds in the intake", "have weeds in the intake", "weeds"),
            Cause("surge", "had a power surge", "have a power surge", "a power surge"),
            Cause("leak", "had a leaking seal", "have a leaking seal", "a leaking seal"),
        ),
        "intake gauge", "dropped", "held steady", "drops",
        "fine screen", "had the fine screen in place", "have the fine screen in place",
        "ended with low tanks", "ended with full tanks", "ends with low tanks",
    ),
    Fault(
        "bees", "bee keeping", "in the apiary at {town}", "hive", "hives", "the hive by the wall",
        "a newly checked hive", "weak", "came through winter weak", "comes through winter weak",
        "came through winter strong", "winter weakness",
        (
            Cause("varroa", "had varroa", "have varroa", "varroa"),
            Cause("starved", "ran out of stores", "run out of stores", "empty stores"),
            Cause("old_queen", "had an ageing queen", "have an ageing queen", "an ageing queen"),
        ),
        "bottom board", "showed dead mites", "was clean", "shows dead mites",
        "straw cover", "had a straw cover", "have a straw cover",
        "gave little honey", "gave plenty of honey", "gives little honey",
    ),
    Fault(
        "parcel", "parcel depot", "at the {town} parcel depot", "parcel", "parcels",
        "the parcel for the school", "the next parcel", "late", "arrived late", "arrives late",
        "arrived on time", "lateness",
        (
            Cause("misread", "had a misread label", "have a misread label", "a misread label"),
            Cause("snowed", "was caught in the snow", "are caught in the snow", "snow"),
            Cause("heavy", "was overweight", "are overweight", "excess weight"),
        ),
        "sorting light", "blinked", "did not blink", "blinks",
        "priority sticker", "carried a priority sticker", "carry a priority sticker",
        "brought a complaint", "brought no complaint", "brings a complaint",
    ),
    Fault(
        "ferry_engine", "harbour ferry", "on the {town} ferry", "crossing", "crossings",
        "the last crossing", "the next crossing", "delayed", "ran late", "runs late",
        "ran on time", "delay",
        (
            Cause("fog", "met fog", "meet fog", "fog"),
            Cause("filter", "had a clogged filter", "have a clogged filter", "a clogged filter"),
            Cause("crowd", "had a crowd at the ramp", "have a crowd at the ramp", "a crowd"),
        ),
        "harbour horn", "sounded", "was silent", "sounds",
        "second deckhand", "had a second deckhand", "have a second deckhand",
        "missed the train link", "caught the train link", "misses the train link",
    ),
    Fault(
        "server", "data centre", "at the {town} data centre", "backup", "backups",
        "last night's backup", "tonight's backup", "failed", "failed", "fails",
        "went through", "failure",
        (
            Cause("full", "hit a full disk", "hit a full disk", "a full disk"),
            Cause("dropped", "lost its connection", "lose their connection", "a lost connection"),
            Cause("updating", "ran into an update", "run into an update", "an update"),
        ),
        "disk monitor", "raised a flag", "raised no flag", "raises a flag",
        "spare line", "used the spare line", "use the spare line",
        "woke the engineer", "let the engineer sleep", "wakes the engineer",
    ),
    Fault(
        "cheese", "cheese dairy", "at the {town} dairy", "wheel", "wheels", "the test wheel",
        "the next wheel", "bitter", "tasted bitter", "tastes bitter", "tasted fine",
        "bitterness",
        (
            Cause("warm_cellar", "ripened too warm", "ripen too warm", "a warm cellar"),
            Cause("wild_mould", "caught wild mould", "catch wild mould", "wild mould"),
            Cause("late_salt", "was salted late", "are salted late", "late salting"),
        ),
        "cellar thermometer", "read high", "read normal", "reads high",
        "wax coat", "wore a wax coat", "wear a wax coat",
        "was sold at a discount", "was sold at full price", "is sold at a discount",
    ),
)  # fmt: skip
