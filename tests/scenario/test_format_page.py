"""The page of the document format says what the code does."""

from __future__ import annotations

import pathlib
import re

from ppt_jax.scenario.document import missing_spans, parse_scenario
from ppt_jax.scenario.expression import FAMILIES, FUNCTIONS

PAGE = (pathlib.Path(__file__).parents[2] / "docs" / "scenario_format.md").read_text()


def test_its_example_is_a_sound_document() -> None:
    (block,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    scenario = parse_scenario(block)
    assert missing_spans(scenario) == []
    assert {ask.kind for ask in scenario.ask} == {"value", "rank", "chance", "choice"}


def test_it_lists_every_distribution_and_function() -> None:
    for family, arguments in FAMILIES.items():
        if family != "pick":
            assert f"| `{family}({', '.join(f'{a}=' for a in arguments)})` |" in PAGE
    assert f"f      := {' '.join(FUNCTIONS)}" in PAGE
