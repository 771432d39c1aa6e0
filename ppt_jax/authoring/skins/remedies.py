"""Remedies: something is done to some cases, by choice or by lot; weak cases do worse."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Remedy(Skin):
    """Cases of two kinds, who decides what is done to them, and what it is meant to bring about.

    Attributes:
      case: singular noun.
      cases: plural.
      hard: adjective of the kind that does worse, e.g. "weak".
      easy: adjective of the other kind.
      chooser: who decides, with article.
      agent: what a case gets or not, singular with article, e.g. "the tonic".
      works: present singular clause for success, e.g. "recovers".
      worked: past, fit for one and for several.
      failed: past clause for its absence, fit for one and for several.
      goal: noun for success, e.g. "recovery".
    """

    case: str
    cases: str
    hard: str
    easy: str
    chooser: str
    agent: str
    works: str
    worked: str
    failed: str
    goal: str


SKINS = (
    Remedy(
        "calf_tonic", "cattle care", "on the farms around {town}", "calf", "calves", "weak",
        "strong", "the vet", "the tonic", "recovers", "recovered", "stayed ill", "recovery",
    ),
    Remedy(
        "hull_paint", "boat care", "in the {town} boatyard", "boat", "boats", "wooden", "steel",
        "the foreman", "the copper paint", "stays clean", "stayed clean", "got overgrown",
        "a clean hull",
    ),
    Remedy(
        "orchard_pruning", "orchard care", "in the orchards of {town}", "tree", "trees", "old",
        "young", "the gardener", "the deep pruning", "bears well", "bore well", "bore little",
        "a good crop",
    ),
    Remedy(
        "parcel_padding", "parcel service", "at the {town} parcel depot", "parcel", "parcels",
        "fragile", "sturdy", "the packer", "the extra padding", "arrives whole",
        "arrived whole", "arrived broken", "a safe arrival",
    ),
    Remedy(
        "night_class", "evening school", "at the {town} evening school", "learner", "learners",
        "new", "advanced", "the teacher", "the extra hour", "passes", "passed", "did not pass",
        "a pass",
    ),
    Remedy(
        "land_disputes", "arbitration", "at the {town} court of arbitration", "dispute",
        "disputes", "bitter", "mild", "the clerk", "the mediator", "ends in peace",
        "ended in peace", "dragged on", "a peaceful end",
    ),
    Remedy(
        "frost_fleece", "market garden", "in the market garden at {town}", "seedling",
        "seedlings", "tender", "hardy", "the head gardener", "the fleece",
        "comes through the frost", "came through the frost", "froze", "survival",
    ),
    Remedy(
        "canvas_wax", "art restoration", "in the {town} restoration workshop", "canvas",
        "canvases", "cracked", "smooth", "the restorer", "the wax", "stays bright",
        "stayed bright", "went dull", "lasting brightness",
    ),
    Remedy(
        "homing_feed", "pigeon racing", "at the {town} pigeon club", "pigeon", "pigeons",
        "untried", "seasoned", "the keeper", "the hemp feed", "comes home by dusk",
        "came home by dusk", "came home late", "a return by dusk",
    ),
    Remedy(
        "telescope_nights", "star watching", "at the {town} observatory", "plate", "plates",
        "dim", "bright", "the night assistant", "the long exposure", "turns out sharp",
        "turned out sharp", "turned out blurred", "a sharp picture",
    ),
)  # fmt: skip
