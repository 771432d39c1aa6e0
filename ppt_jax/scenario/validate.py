"""What a document must be beyond its shape: names, order, types, units, observations, sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ppt_jax.scenario.document import Scenario


def validate(scenario: Scenario) -> None:
    """Checks a document whose fields and formulas are already read.

    Raises:
      ScenarioError: something is wrong; it names the field and the character.
    """
