"""Stage 4: what the teller is given, and the answer as a finished document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ppt_jax.authoring.checks import CheckConfig, check_length
from ppt_jax.authoring.llm.drafts import Draft
from ppt_jax.authoring.llm.gates import check_prose
from ppt_jax.authoring.llm.plan import StoryPlan
from ppt_jax.authoring.llm.worlds import World
from ppt_jax.authoring.text_checks import Finding, check_text
from ppt_jax.authoring.wording import VERBAL
from ppt_jax.scenario.document import Scenario, ScenarioError, parse_scenario, to_dict

MIN_WORDS = 30
MAX_WORDS = 100_000  # the checks have their own limit


def facts(draft: Draft, world: World) -> dict[str, Any]:
    """What the prompt shows of a program with its observations, as plain lists for the template."""
    scenario = world.scenario
    return {
        "sets": [{"name": one.name, "members": list(one.members)} for one in scenario.sets],
        "nodes": [
            {
                "name": node.name,
                "per": list(node.per),
                "means": draft.means.get(node.name, ""),
                "formula": node.expr,
                "unit": node.unit,
            }
            for node in scenario.model
        ],
        "seen": [
            {"number": place, "formula": given.that, "words": words}
            for place, (given, words) in enumerate(zip(scenario.given, world.seen, strict=True), 1)
        ],
        "questions": [ask.text for ask in scenario.ask],
        "anchors": VERBAL,
    }


def read_story(
    plan: StoryPlan, world: World, data: Mapping[str, Any], checks: CheckConfig
) -> Scenario | list[Finding]:
    """A finished document from the teller's answer, or what is wrong with the telling.

    Args:
      plan: gives genre, level of telling and split.
      world: the program with its observations.
      data: follows `schemas.TELL`.
      checks: the longest story.
    """
    scenario, story = world.scenario, str(data["story"]).strip()
    findings = check_prose(
        story,
        (MIN_WORDS, checks.max_words or MAX_WORDS),
        names=[node.name for node in scenario.model],
        motif=plan.motif,
    )
    says = {str(row["name"]): str(row["says"]) for row in data["nodes"]}
    known = {node.name for node in scenario.model}
    strangers = [name[:40] for name in says if name not in known]
    findings += [Finding("c6_spans", f"nodes: there is no node {name!r}") for name in strangers]
    spans: dict[int, str] = {}
    for row in data["given"]:
        place = int(row["number"])
        if not 1 <= place <= len(scenario.given) or place in spans:
            findings.append(
                Finding("c6_spans", f"given: number {place} is no observation, or is there twice")
            )
        spans[place] = str(row["says"])
    if findings:
        return findings
    document = to_dict(scenario) | {
        "story": story,
        "asides": [text for text in data["asides"] if text.strip()],
        "model": [
            {**node, "says": says.get(node["name"], "")} for node in to_dict(scenario)["model"]
        ],
        "given": [
            {"that": given.that, "says": spans.get(place, "")}
            for place, given in enumerate(scenario.given, 1)
        ],
        "family": plan.family,
        "skin": plan.domain,
        "genre": plan.genre,
        "told": plan.told,
        "split": plan.split,
    }
    try:
        told = parse_scenario(document)
    except ScenarioError as error:
        return [Finding("c1_parse", f"{error.field}: {error.message}")]
    return check_length(told, checks) + check_text(told) + _repeated(told) or told


def _repeated(scenario: Scenario) -> list[Finding]:
    """A story must not ask its own questions: they are put after it."""
    return [
        Finding("leak", f"the story repeats question {ask.id}: {ask.text}")
        for ask in scenario.ask
        if ask.text.strip() in scenario.story
    ]
