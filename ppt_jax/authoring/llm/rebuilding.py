"""Stage 5: a second program for the story, by somebody who has read only story and questions.

The same answers also serve as the further programs of `programs_per_story`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ppt_jax.authoring.text_checks import Finding
from ppt_jax.scenario.document import Scenario, ScenarioError, parse_scenario, to_dict


def questions(scenario: Scenario) -> list[dict[str, Any]]:
    """The questions as a reader gets them, with their scales; nothing of the program."""
    rows = []
    for ask in scenario.ask:
        row: dict[str, Any] = {"id": ask.id, "kind": ask.kind, "text": ask.text}
        if ask.kind == "value":
            row |= {"unit": ask.unit, "low": f"{ask.low:g}", "high": f"{ask.high:g}"}
        if ask.kind == "choice":
            row["options"] = list(ask.options)
        rows.append(row)
    return rows


def read_rebuilt(scenario: Scenario, data: Mapping[str, Any]) -> Scenario | list[Finding]:
    """The rebuilt program as a document of the same story and questions.

    Args:
      scenario: the document that was told.
      data: follows `schemas.REBUILD`, which is the form of an alternative in a document.

    Returns:
      A document with the same story, the rebuilt program and evidence, and the same asks with
      rebuilt formulas; or what is wrong with it.
    """
    if not data["given"]:
        return [Finding("c1_parse", "given: what the story reports as seen is missing")]
    rows = to_dict(scenario)
    asked = {ask.id for ask in scenario.ask}
    program = {**data, "ask": [row for row in data["ask"] if row["id"] in asked]}
    try:
        (rebuilt,) = parse_scenario({**rows, "alternatives": [program]}).alternatives
    except ScenarioError as error:
        field = error.field.removeprefix("alternatives[0].")
        at = "" if error.at is None else f", character {error.at + 1}"
        return [Finding("c1_parse", f"{field}{at}: {error.message}")]
    return rebuilt
