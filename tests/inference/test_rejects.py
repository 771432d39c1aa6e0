"""Programs that get no label: each a reject with a stable name, never a NaN."""

from __future__ import annotations

import pytest

from ppt_jax.inference.cascade import Reject, label_scenarios
from ppt_jax.inference.labels import LabelConfig
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
