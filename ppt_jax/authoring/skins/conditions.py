"""Conditions: something hidden about one subject, and several signs that it brings about."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Sign:
    """One sign in the forms that sentences need.

    Attributes:
      key: node name.
      noun: e.g. "spotted leaves".
      yes: past clause, e.g. "the leaves were spotted".
      no: past clause, e.g. "the leaves were clean".
    """

    key: str
    noun: str
    yes: str
    no: str


@dataclasses.dataclass(frozen=True)
class Condition(Skin):
    """A subject, its hidden condition, and four signs that depend on it alone.

    Attributes:
      subject: the one in question, e.g. "the old pear tree".
      subjects: its kind, plural, e.g. "pear trees".
      has: present plural clause, e.g. "have fire blight".
      noun: the condition, e.g. "fire blight".
      signs: four signs.
    """

    subject: str
    subjects: str
    has: str
    noun: str
    signs: tuple[Sign, Sign, Sign, Sign]


SKINS = (
    Condition(
        "pear_tree", "orchard", "in the orchards of {town}", "the old pear tree", "pear trees",
        "have fire blight", "fire blight",
        (
            Sign("leaves", "black leaves", "the leaves were black", "the leaves were green"),
            Sign("ooze", "oozing bark", "the bark was oozing", "the bark was dry"),
            Sign("fruit", "early fruit drop", "fruit dropped early", "fruit stayed on"),
            Sign("tips", "bent tips", "the tips were bent", "the tips were straight"),
        ),
    ),
    Condition(
        "ferry_hull", "shipyard", "in the {town} shipyard", "the grey ferry", "ferries",
        "have a cracked hull", "a cracked hull",
        (
            Sign("bilge", "a wet bilge", "the bilge was wet", "the bilge was dry"),
            Sign("list_", "a list", "she sat with a list", "she sat level"),
            Sign("noise", "a knocking noise", "there was a knocking noise", "there was no noise"),
            Sign("pump", "a busy pump", "the pump ran all night", "the pump rarely ran"),
        ),
    ),
    Condition(
        "sheep", "sheep farming", "on the hills above {town}", "the black ewe", "ewes",
        "carry liver fluke", "liver fluke",
        (
            Sign("thin", "weight loss", "she had lost weight", "her weight was normal"),
            Sign("pale", "pale gums", "her gums were pale", "her gums were pink"),
            Sign("wool", "loose wool", "her wool was loose", "her wool was firm"),
            Sign("slow", "lagging behind", "she lagged behind", "she kept up"),
        ),
    ),
    Condition(
        "old_roof", "house survey", "in the old town of {town}", "the chapel roof", "roofs",
        "have rotten beams", "rotten beams",
        (
            Sign("sag", "a sagging ridge", "the ridge sagged", "the ridge was straight"),
            Sign("stain", "ceiling stains", "the ceiling had stains", "the ceiling had no stains"),
            Sign("smell", "a musty smell", "it smelled musty", "it smelled of nothing"),
            Sign("dust", "wood dust", "there was wood dust", "there was no wood dust"),
        ),
    ),
    Condition(
        "painting", "art dealing", "at the {town} auction house", "the harbour painting",
        "such paintings", "are forged", "a forgery",
        (
            Sign("varnish", "sticky varnish", "the varnish was sticky", "the varnish was hard"),
            Sign("nails", "modern nails", "the nails were modern", "the nails were old"),
            Sign("canvas", "a bleached canvas", "the canvas was bleached", "the canvas was raw"),
            Sign("label", "a missing label", "the label was missing", "the label was there"),
        ),
    ),
    Condition(
        "well_water", "village wells", "in the village of {town}", "the market well", "wells",
        "are polluted", "pollution",
        (
            Sign("taste", "an odd taste", "the water tasted odd", "the water tasted fine"),
            Sign("foam", "foam", "there was foam on it", "there was no foam on it"),
            Sign("snails", "missing snails", "the snails were gone", "snails were there"),
            Sign("cloudy", "cloudy water", "the water was cloudy", "the water was clear"),
        ),
    ),
    Condition(
        "lift_cable", "lift service", "in the {town} office tower", "the east lift", "lifts",
        "have a worn cable", "a worn cable",
        (
            Sign("jerk", "jerky starts", "it started with a jerk", "it started smoothly"),
            Sign("squeak", "squeaking", "it squeaked", "it was quiet"),
            Sign("slow_ride", "slow rides", "rides were slow", "rides were quick"),
            Sign("heat", "a hot motor", "the motor was hot", "the motor was cool"),
        ),
    ),
)  # fmt: skip
