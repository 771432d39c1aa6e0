"""What a motif may vary (`Knobs`) and what it wrote (`Draft`), as frozen data."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ppt_jax.authoring import wording


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
