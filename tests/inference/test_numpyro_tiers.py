"""The NumPyro engines through `label_scenarios`: what each tier takes and what a reject says."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ppt_jax.errors import UserError
from ppt_jax.inference.cascade import Labelled, Reject, label_scenarios
from ppt_jax.inference.labels import LabelConfig, total_variation
from ppt_jax.inference.numpyro_tiers import NUMPYRO_ENGINES
from ppt_jax.scenario.document import Scenario
from tests.inference.corpus import ask, node, scenario
from tests.inference.test_enumeration import fault_case


def narrow_case(sharpness: float) -> Scenario:
    """Four quantities measured to a hundredth: too narrow for weighting prior draws."""
    items = ["Ada", "Bo", "Cy", "Di"]
    model = [
        node("m", "normal(mean=0, sd=1)", "item"),
        node("y", f"normal(mean=m[item], sd={sharpness})", "item"),
    ]
    given = [f"y['{who}'] == 0.{i + 1}" for i, who in enumerate(items)]
    asks = [ask("value", "average(m[item], item)", low=0, high=0.5)]
    return scenario(model, given, asks, sets={"item": items})


def label(case: Scenario, engine: str) -> Labelled | Reject:
    return label_scenarios([case], LabelConfig(points=(2048,), max_outside=0.3, engine=engine))[0]


def test_numpyro_enumerates_what_is_discrete() -> None:
    found, exact = (label(fault_case(2), engine) for engine in ("numpyro", "exact"))
    assert isinstance(found, Labelled)
    assert isinstance(exact, Labelled)
    for mine, right in zip(found.labels, exact.labels):
        assert (mine.route, mine.ess) == ("numpyro", np.inf)
        assert total_variation(mine.probs, right.probs) < 1e-5


def test_numpyro_samples_what_weighting_cannot() -> None:
    """The average has posterior N(0.25, 0.01 / 2) up to the prior's pull of one part in 10^4."""
    found = label(narrow_case(0.01), "numpyro")
    assert isinstance(found, Labelled), found.detail
    assert found.labels[0].route == "nuts"
    mean = float(found.labels[0].probs @ np.linspace(0, 0.5, 101))
    assert mean == pytest.approx(0.25, abs=0.001)


def test_a_reject_names_what_failed_and_all_that_was_tried() -> None:
    """Two modes: enumeration does not apply, weighting is too thin, chains do not agree."""
    model = [node("m", "normal(mean=0, sd=6)"), node("y", "normal(mean=abs(m), sd=0.0005)")]
    case = scenario(model, ["y == 8"], [ask("choice", "m > 0")])
    found = label(case, "numpyro")
    assert isinstance(found, Reject)
    assert found.reason == "label_error"
    assert [step.split(":")[0] for step in found.tried] == [
        "enumeration",
        "numpyro 2048",
        "nuts 500",
        "nuts 2000",
    ]


def test_where_nuts_does_not_apply_the_reject_says_so() -> None:
    found = label(fault_case(0), "nuts")
    assert isinstance(found, Reject)
    assert (found.reason, found.detail) == (
        "not_sampled",
        "no continuous latent: enumeration is exact",
    )


def test_every_engine_is_one_of_the_configuration() -> None:
    for engine in NUMPYRO_ENGINES:
        assert LabelConfig(engine=engine).engine == engine


def test_nuts_is_the_last_resort_of_auto_where_asked_for() -> None:
    """With a gate that no tempered run passes, only chains are left; by default it is refused."""
    case = narrow_case(0.03)
    strict = LabelConfig(
        points=(2048,), particles=(1024,), moves=(1,), final_moves=(1,), max_disagreement=1e-9
    )
    refused = label_scenarios([case], strict)[0]
    assert isinstance(refused, Reject)
    found = label_scenarios([case], dataclasses.replace(strict, nuts_draws=(500, 2000)))[0]
    assert isinstance(found, Labelled), found.tried
    assert found.labels[0].route == "nuts"
    with pytest.raises(UserError, match=r"label.nuts_draws: 5 "):
        LabelConfig(nuts_draws=(5,))
