"""Programs that 32-bit floats cannot hold: found, sent to float64, and right there."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats

from ppt_jax.inference.cascade import Labelled, Reject, label_scenarios
from ppt_jax.inference.labels import LabelConfig, coarse_answers, total_variation
from ppt_jax.inference.routes import prepare, table_route
from ppt_jax.inference.weighting64 import needs_float64, weighting64_route
from ppt_jax.scenario.document import parse_scenario
from tests.inference.corpus import ask, node, random_document, scenario

OFFSET = scenario(
    [
        node("x", "normal(mean=100000000, sd=5)"),
        node("y", "normal(mean=x, sd=2)"),
    ],
    ["y == 100000003"],
    [ask("value", "x", low=99999980, high=100000020), ask("rank", "x")],
)
COUNT = scenario(
    [node("rate", "gamma(mean=1000000, shape=250000)"), node("n", "count(rate=rate)")],
    ["n == 1003000"],
    [ask("value", "rate", low=990000, high=1010000)],
)
SIGNALS = scenario(
    [
        node("drift", "normal(mean=0, sd=1)"),
        node("clock", "20000000 + drift"),
        node("tick", "normal(mean=clock, sd=0.5)"),
    ],
    ["tick == 20000001"],
    [ask("value", "drift", low=-3, high=4)],
)


def answers(law: object, low: float, high: float) -> np.ndarray:
    edges = low + (high - low) * (np.arange(102) - 0.5) / 100
    mass = np.diff(law.cdf(edges))  # type: ignore[attr-defined]
    return mass / mass.sum()


def posterior(mean: float, sd: float, seen: float, noise: float) -> object:
    precision = sd**-2 + noise**-2
    return stats.norm((mean / sd**2 + seen / noise**2) / precision, precision**-0.5)


CASES = {
    "offset": (OFFSET, answers(posterior(1e8, 5, 1e8 + 3, 2), 99999980, 100000020)),
    "count": (COUNT, answers(stats.gamma(250000 + 1003000, scale=1 / 1.25), 990000, 1010000)),
    "signals": (SIGNALS, answers(posterior(0, 1, 1, 0.5), -3, 4)),
}


def distance(label: object, gold: np.ndarray) -> float:
    exact = dataclasses.replace(label, probs=gold)  # type: ignore[type-var]
    return total_variation(coarse_answers(label), coarse_answers(exact))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", sorted(CASES))
def test_float64_labels_what_float32_gets_wrong(name: str) -> None:
    one, gold = CASES[name]
    assert needs_float64(prepare(one))
    (result,) = label_scenarios([one])
    assert isinstance(result, Labelled), result
    label = result.labels[0]
    assert label.route == "float64"
    assert distance(label, gold) < max(label.error, 2e-3)
    assert total_variation(label.probs, gold) < max(label.error_101, 5e-3)
    (rough,) = table_route([prepare(one)], 65536, LabelConfig())
    if rough.labels:  # the reason for all this: float32 gives a label, and a wrong one
        apart = total_variation(rough.labels[0].probs, gold)
        assert apart > max(2 * total_variation(label.probs, gold), 5e-3)


@pytest.mark.parametrize("seed", [0, 3, 5])
def test_float64_agrees_with_the_kernel_where_float32_is_enough(seed: int) -> None:
    one = prepare(parse_scenario(random_document(seed)))
    assert needs_float64(one) == ""
    (a,), (b,) = (route([one], 8192, LabelConfig()) for route in (table_route, weighting64_route))
    assert len(a.labels) == len(b.labels) == len(one.scenario.ask)
    for x, y in zip(a.labels, b.labels):
        apart = total_variation(coarse_answers(x), coarse_answers(y))
        assert apart < 2 * (x.error + y.error) + 1e-3
        assert x.mass_above == pytest.approx(y.mass_above, abs=0.01)


@pytest.mark.parametrize(
    ("model", "given", "asks", "word"),
    [
        (["normal(mean=0, sd=1)"], ["x0 > 0.1"], ask("value", "x0", low=5000, high=5001), "range"),
        (["robust(mean=300000, sd=0.001, df=4)"], ["x0 > 2"], ask("rank", "x0"), "robust"),
        (
            ["beta(a=2, b=2)", "successes(n=50000, p=x0)"],
            ["x1 == 25010"],
            ask("rank", "x0"),
            "successes",
        ),
    ],
)
def test_the_reason_is_named(
    model: list[str], given: list[str], asks: dict[str, object], word: str
) -> None:
    one = scenario([node(f"x{i}", expr) for i, expr in enumerate(model)], given, [asks])
    assert word in needs_float64(prepare(one))


@pytest.mark.parametrize("engine", ["tempered", "eager", "numpyro", "nuts"])
def test_engines_of_32_bits_refuse_what_they_cannot_hold(engine: str) -> None:
    """They would give labels off by .5 and more that pass their own gates."""
    for one, _ in CASES.values():
        (result,) = label_scenarios([one], LabelConfig(engine=engine))
        assert isinstance(result, Reject)
        assert result.reason == "unsupported"
        assert "32-bit" in result.detail
