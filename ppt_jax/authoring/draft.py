"""What a motif may vary (`Knobs`) and what it wrote (`Draft`), as frozen data."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from ppt_jax.authoring import wording
from ppt_jax.scenario.document import ModelNode, NamedSet, Scenario
from ppt_jax.scenario.expression import parse_expression


@dataclasses.dataclass(frozen=True)
class Knobs:
    """What the author config lets a motif do.

    Attributes:
      entities: smallest and largest number of people, items, places.
      observations: smallest and largest number of observations.
      told: "full", "verbal" or "implicit" number wording.
      chances: forms in which exact chances are worded, of `wording.CHANCE_FORMS`.
      length: "short", "medium" or "long"; moves sizes within their ranges.
    """

    entities: tuple[int, int] = (2, 6)
    observations: tuple[int, int] = (1, 12)
    told: str = "full"
    chances: tuple[str, ...] = wording.CHANCE_FORMS
    length: str = "short"


@dataclasses.dataclass(frozen=True)
class Quantity:
    """A quantity that a motif asks about: node, set members, its noun phrase, its unit."""

    node: str
    index: tuple[str, ...]
    what: str
    unit: str


@dataclasses.dataclass(frozen=True)
class Draft:
    """What a motif wrote, before genre, asides and checks.

    Attributes:
      sets, model, given, ask: rows of the document, as `parse_scenario` reads them (asks have no
        id yet; there may be more than a scenario keeps).
      setting, rules, events: sentences that introduce, tell the program, tell what was seen.
      in_order: the events must keep their order (time series).
      truth: every scalar draw by flat name, observed ones as observed.
      prior: prior samples of the observed draws by flat name.
      people: names used, so that the frame uses others.
      told: the told-level that came about: "full" where no number was told otherwise.
      declared: words of events that bear on nothing that is asked, and are declared as asides.
    """

    sets: tuple[dict[str, Any], ...]
    model: tuple[dict[str, Any], ...]
    given: tuple[dict[str, Any], ...]
    ask: tuple[dict[str, Any], ...]
    setting: tuple[str, ...]
    rules: tuple[str, ...]
    events: tuple[str, ...]
    in_order: bool
    truth: dict[str, float]
    prior: dict[str, np.ndarray]
    people: tuple[str, ...]
    told: str
    declared: tuple[str, ...] = ()


def as_program(
    motif: str, domain: str, sets: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]]
) -> Scenario:
    """The program of a draft, without evidence and questions, to be simulated.

    Args:
      motif: its name.
      domain: what the domain is called.
      sets: rows of the document's sets.
      rows: rows of its model.
    """
    return Scenario(
        schema="scenario/1",
        id="draft",
        motif=motif,
        domain=domain,
        story="",
        asides=(),
        sets=tuple(NamedSet(row["name"], tuple(row["members"])) for row in sets),
        model=tuple(
            ModelNode(
                row["name"],
                tuple(row["per"]),
                row["kind"],
                row["expr"],
                row["unit"],
                row["says"],
                parse_expression(row["expr"], kind=row["kind"]),
            )
            for row in rows
        ),
        given=(),
        ask=(),
    )
