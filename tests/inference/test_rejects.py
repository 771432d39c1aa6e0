"""Programs that get no label: each a reject with a stable name, never a NaN."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from ppt_jax.inference import cascade
from ppt_jax.inference.cascade import Labelled, Reject, label_scenarios
from ppt_jax.inference.eager import eager_route
from ppt_jax.inference.labels import LabelConfig
from ppt_jax.inference.routes import Outcome, Prepared, numpyro_route, prepare
from tests.inference.corpus import ask, node, scenario

REJECTS = {
    "impossible_evidence": (
        [node("x", "uniform(low=0, high=1)"), node("y", "uniform(low=x, high=1)")],
        ["x > 0.5", "y < 0.4"],
        [ask("value", "x", low=0, high=1)],
    ),
    "nonfinite_program": (
        [node("k", "count(rate=2)"), node("ratio", "1 / k"), node("s", "normal(mean=k, sd=1)")],
        ["s == 1.5"],
        [ask("value", "ratio", low=0, high=5)],
    ),
    "range_misses_posterior": (
        [node("x", "normal(mean=0, sd=1)"), node("y", "normal(mean=x, sd=1)")],
        ["y == 2"],
        [ask("value", "x", low=0.9, high=1)],
    ),
    "no_evidence": (
        [node("x", "normal(mean=0, sd=1)"), node("y", "normal(mean=0, sd=1)")],
        ["y > 0"],
        [ask("value", "x", low=-3, high=3)],
    ),
    "label_error": (
        [node("x", "normal(mean=0, sd=100)"), node("y", "normal(mean=x, sd=0.0001)")],
        ["y == 3"],
        [ask("value", "x", low=-300, high=300)],
    ),
}


@pytest.mark.parametrize(
    ("engine", "reason"),
    [("table", reason) for reason in sorted(REJECTS)]
    + [("numpyro", "nonfinite_program"), ("numpyro", "impossible_evidence")],
)
def test_bad_programs_are_named_rejects(reason: str, engine: str) -> None:
    model, given, asks = REJECTS[reason]
    config = LabelConfig(engine=engine, points=(8192, 16384))
    result = label_scenarios([scenario(model, given, asks)], config)[0]
    assert isinstance(result, Reject)
    assert result.reason == reason
    assert result.detail
    if reason == "nonfinite_program":
        assert "ratio" in result.detail


def test_an_impossible_discrete_observation_is_a_named_reject() -> None:
    model = [node("a", "yes(p=0.5)"), node("b", "yes(p=0.2)")]
    given = ["a == 1", "not a or b", "not b"]
    result = label_scenarios([scenario(model, given, [ask("choice", "b")])])[0]
    assert isinstance(result, Reject)
    assert result.reason in ("impossible_evidence", "no_evidence")


@pytest.mark.parametrize("engine", ["eager", "numpyro"])
@pytest.mark.parametrize("seen", ["normal(mean=0, sd=x)", "normal(mean=sqrt(x), sd=1)"])
def test_parameters_outside_their_domain_are_named_rejects(seen: str, engine: str) -> None:
    """NumPyro would raise where it is not compiled; a good scenario beside keeps its label."""
    model = [node("x", "normal(mean=0, sd=1)"), node("y", seen)]
    asks = [ask("value", "x", low=-3, high=3)]
    bad = scenario(model, ["y == 1"], asks, name="bad")
    good = scenario([model[0], node("y", "normal(mean=x, sd=1)")], ["y == 1"], asks, name="good")
    first, second = label_scenarios([bad, good], LabelConfig(engine=engine, points=(4096,)))
    assert isinstance(first, Reject)
    assert first.reason == "nonfinite_program"
    assert isinstance(second, Labelled)


@pytest.mark.parametrize("route", [eager_route, numpyro_route])
def test_a_chance_of_0_or_1_is_what_it_says(
    route: Callable[[Sequence[Prepared], int, LabelConfig], list[Outcome]],
) -> None:
    """NumPyro clips chances: ruled-out evidence would give the prior as the label."""
    x = node("x", "uniform(low=0, high=1)")
    picked = node("y", "pick(side, weights=[0 if x < 0.2 else 0.0000001, 1])")
    sides = {"side": ["left", "right"]}
    asks = [ask("choice", "x < 0.6")]
    cases = {
        "never": ([x, node("y", "yes(p=0 * x)")], "y == 1", None),
        "always": ([x, node("y", "successes(n=3, p=1 + 0 * x)")], "y == 2", None),
        "above": ([x, node("y", "yes(p=2 * x)")], "y == 1", None),
        "some": ([x, picked], "y == 'left'", sides),
        "rare": ([x, node("y", "yes(p=0 if x < 0.2 else 1e-30)")], "y == 1", None),
    }
    made = [
        scenario(model, [given], asks, sets=sets, name=name)
        for name, (model, given, sets) in cases.items()
    ]
    outcomes = dict(zip(cases, route([prepare(one) for one in made], 8192, LabelConfig())))
    assert {name: one.reason for name, one in outcomes.items() if one.reason} == {
        "never": "impossible_evidence",
        "always": "impossible_evidence",
        "above": "nonfinite_program",
    }
    for name in ("some", "rare"):
        assert outcomes[name].labels[0].probs[1] == pytest.approx(0.5, abs=0.02)


def test_what_weighting_found_impossible_is_not_left_to_chains() -> None:
    """NUTS would take clipped chances at their word."""
    model = [node("x", "uniform(low=0, high=1)"), node("y", "yes(p=0 * x)")]
    case = scenario(model, ["y == 1"], [ask("choice", "x < 0.6")])
    (result,) = label_scenarios([case], LabelConfig(engine="numpyro", points=(8192,)))
    assert isinstance(result, Reject)
    assert result.reason == "impossible_evidence"
    assert not any(step.startswith("nuts") for step in result.tried)


def test_a_scenario_that_breaks_its_route_costs_only_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asks = [ask("value", "x", low=-3, high=3)]
    model = [node("x", "normal(mean=0, sd=1)"), node("y", "normal(mean=x, sd=1)")]
    cases = [scenario(model, ["y == 1"], asks, name=name) for name in ("a", "broken", "c")]
    route = cascade.table_route

    def breaking(prepared: list[Prepared], points: int, config: LabelConfig) -> list[Outcome]:
        if any(one.scenario.id == "broken" for one in prepared):
            raise ValueError("no such shape")
        return route(prepared, points, config)

    config = LabelConfig(engine="table", points=(8192,))
    alone = label_scenarios(cases[:1], config)[0]
    monkeypatch.setattr(cascade, "table_route", breaking)
    first, second, third = label_scenarios(cases, config)
    assert isinstance(first, Labelled)
    assert isinstance(third, Labelled)
    assert isinstance(alone, Labelled)
    assert (first.labels[0].probs == alone.labels[0].probs).all()
    assert isinstance(second, Reject)
    assert second.reason == "unsupported"
    assert "no such shape" in second.detail
