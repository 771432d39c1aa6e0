"""Gauges: several instruments read the same quantity, each perhaps off by a fixed amount."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.skins.skin import Skin


@dataclasses.dataclass(frozen=True)
class Gauge(Skin):
    """What is measured and with what.

    Attributes:
      quantity: noun phrase with article, e.g. "the water level".
      bare: the same without article.
      unit: plural unit.
      mean: plausible averages.
      sd: plausible standard deviations.
      instruments: three instruments, without article.
      standard: what a known value is checked on, without article, e.g. "test mark".
      when: when readings are taken, e.g. "this morning".
      cases: plural noun of the situations that vary, e.g. "mornings".
      least: superlative of the low end.
      most: superlative of the high end.
    """

    quantity: str
    bare: str
    unit: str
    mean: tuple[float, float]
    sd: tuple[float, float]
    instruments: tuple[str, ...]
    standard: str
    when: str
    cases: str
    least: str
    most: str


SKINS = (
    Gauge(
        "river_level", "river gauging", "on the river at {town}", "the water level",
        "water level", "centimetres", (120, 260), (15, 35),
        ("staff gauge", "float gauge", "echo gauge"), "bench mark", "this morning", "mornings",
        "lowest", "highest",
    ),
    Gauge(
        "kiln_heat", "pottery kiln", "at the {town} pottery", "the kiln temperature",
        "kiln temperature", "degrees", (900, 1150), (30, 60),
        ("old pyrometer", "new pyrometer", "ring gauge"), "test oven", "at noon", "firings",
        "coolest", "hottest",
    ),
    Gauge(
        "hay_weight", "cattle feed", "at the {town} hay scales", "the weight of the load",
        "weight of a load", "kilograms", (300, 600), (30, 70),
        ("yard scale", "bridge scale", "spring scale"), "test block", "today", "loads",
        "lightest", "heaviest",
    ),
    Gauge(
        "cave_air", "cave survey", "in the {town} caves", "the carbon dioxide level",
        "carbon dioxide level", "units", (80, 160), (12, 30),
        ("hand meter", "wall meter", "tube meter"), "test bottle", "this evening", "evenings",
        "lowest", "highest",
    ),
    Gauge(
        "grain_moisture", "grain mill", "in the {town} grain mill", "the moisture of the batch",
        "moisture of a batch", "grams per kilogram", (110, 170), (10, 22),
        ("probe meter", "oven method", "flow meter"), "reference sample", "today", "batches",
        "driest", "dampest",
    ),
)  # fmt: skip
