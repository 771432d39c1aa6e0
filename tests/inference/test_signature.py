"""Which documents are one structure, and that a shared run reads each one's own numbers."""

from __future__ import annotations

import jax
import numpy as np

from ppt_jax.inference.importance import one_particle
from ppt_jax.inference.signature import structure_of
from ppt_jax.scenario.document import Scenario
from tests.inference.corpus import ask, node, scenario


def levels(seen: str, offset: str, name: str = "Ada", function: str = "exp") -> Scenario:
    items = [name, "Bo"]
    model = [
        node("m", f"normal(mean={offset}, sd=2)", "item"),
        node("y", f"normal(mean=m['{name}'] + {function}({offset}), sd=1)"),
    ]
    asks = [ask("value", "m['Bo']", low=-9, high=9)]
    return scenario(model, [f"y == {seen}"], asks, sets={"item": items})


def test_numbers_signs_and_names_are_no_structure() -> None:
    first = structure_of(levels("1.5", "0.5")).signature
    assert structure_of(levels("-1.5", "-0.5")).signature == first
    assert structure_of(levels("1.5", "-2", name="Zoe")).signature == first
    assert structure_of(levels("1.5", "0.5", function="abs")).signature != first


def test_a_run_of_one_sign_serves_the_other() -> None:
    """The trace is made with one document's signs and fed with the other's numbers."""
    key = jax.random.key(3)
    plus, minus = levels("1.5", "0.5"), levels("-1.5", "-0.5")
    constants = structure_of(minus).constants.astype(np.float32)
    for traced in (plus, minus):
        values, logw = one_particle(traced)(key, constants, True)
        own_values, own_logw = one_particle(minus)(key, constants, True)
        np.testing.assert_allclose(values, own_values, rtol=1e-6)
        np.testing.assert_allclose(logw, own_logw, rtol=1e-6)
    other = structure_of(plus).constants.astype(np.float32)
    assert one_particle(plus)(key, other, True)[1] != logw
