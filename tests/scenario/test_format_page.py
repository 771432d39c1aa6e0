"""The page of the document format says what the code does."""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys

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


def test_the_room_needs_neither_jax_nor_numpy() -> None:
    code = (
        "import sys, ppt_jax.scenario.document, ppt_jax.scenario.numpyro_source as s; "
        "print([m for m in ('jax', 'numpyro', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
