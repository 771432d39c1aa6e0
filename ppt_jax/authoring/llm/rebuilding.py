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
      data: follows `schemas.REBUILD`.

    Returns:
      A document with the same story, the rebuilt program and evidence, and the same asks with
      rebuilt formulas; or what is wrong with it.
    """
    rows = to_dict(scenario)
    formulas = {str(row["id"]): str(row["expr"]) for row in data["ask"]}
    missing = [ask["id"] for ask in rows["ask"] if ask["id"] not in formulas]
    if missing:
        return [Finding("c1_parse", f"ask: the questions {', '.join(missing)} have no formula")]
    if not data["given"]:
        return [Finding("c1_parse", "given: what the story reports as seen is missing")]
    document = {
        "schema": rows["schema"],
        "id": rows["id"],
        "motif": rows["motif"],
        "story": rows["story"],
        "sets": data["sets"],
        "model": data["model"],
        "given": data["given"],
    }
    # a pick has its members for options, in an order of its own; a yes/no formula takes the names
    picks = {
        str(node["name"]) for node in data["model"] if str(node["expr"]).lstrip().startswith("pick")
    }
    asks = []
    for ask in rows["ask"]:
        formula = formulas[ask["id"]]
        options = [] if formula.strip() in picks else ask["options"]
        asks.append({**ask, "expr": formula, "options": options})
    try:
        return parse_scenario({**document, "ask": asks})
    except ScenarioError as error:
        at = "" if error.at is None else f", character {error.at + 1}"
        return [Finding("c1_parse", f"{error.field}{at}: {error.message}")]
