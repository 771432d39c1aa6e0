"""Tallies add up in any grouping, and their quantiles are those of the values."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ppt_jax.inference.cascade import Labelled
from ppt_jax.inference.tally import Spread, Tally, summarise, summary_table
from tests.inference.test_verification import case


@pytest.mark.parametrize("zeros", [0, 30, 400])
def test_quantiles_are_right_to_half_a_per_cent(zeros: int) -> None:
    values = np.random.default_rng(zeros).lognormal(-4, 2, size=301)
    spread = Spread()
    for value in [*values, *np.zeros(zeros)]:
        spread.add(float(value))
    ordered = np.sort(np.concatenate([values, np.zeros(zeros)]))
    for level in (0.05, 0.5, 0.95):
        exact = ordered[int(np.ceil(level * len(ordered))) - 1]
        assert spread.quantile(level) == pytest.approx(exact, rel=0.0051)
    assert spread.quantiles()["q1"] == pytest.approx(values.max(), rel=1e-3)
    assert Spread().quantiles() == {}


def tally(cases: list[Labelled], rejects: int) -> Tally:
    made = Tally()
    for one in cases:
        made.add(one)
    for _ in range(rejects):
        made.reject("label_error")
    return made


def test_parts_add_up_to_the_whole_in_any_order() -> None:
    cases = [case(number, lambda mean, sd: (mean, sd)) for number in range(9)]
    whole = tally(cases, 3)
    parts = [tally(cases[:2], 1), tally(cases[2:7], 0), tally(cases[7:], 2)]
    for order in ((0, 1, 2), (2, 0, 1)):
        joined = Tally()
        for place in order:
            stored = json.loads(json.dumps(parts[place].to_json()))
            joined.join(Tally.from_json(stored))
        assert json.dumps(joined.to_json()) == json.dumps(whole.to_json())
    summary = summarise({"train": parts[0], "test": parts[1], "hard": parts[2]}, ["void"])
    assert summary["scenarios"] == 12
    assert summary["rejected"] == {"label_error": 3}
    assert summary["splits"]["test"] == {"scenarios": 5, "labelled": 5}
    assert summary["by_route"]["table"]["labels"] == 27
    assert summary["error"]["q0.5"] == pytest.approx(0.01, rel=0.006)
    shown = summary_table(summary, {"seconds": 2.0, "by_route": {"table": 0.9}})
    assert "labelled 9 of 12 scenarios (75.0%)" in shown
    assert "label_error 3" in shown
    assert "100.00" in shown  # milliseconds a scenario
    assert "shards without a document: void" in shown
    assert summary_table(summarise({})).startswith("labelled 0 of 0 scenarios")
