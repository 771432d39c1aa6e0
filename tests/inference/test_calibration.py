"""Simulation-based calibration of the whole stack: truths are uniform in their posteriors.

Simple random documents whose truth and observations come from their own prior predictive; a
likelihood with half its spread must fail the test that the right one passes.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ppt_jax.inference.cascade import Labelled, label_scenarios
from ppt_jax.inference.labels import LabelConfig
from ppt_jax.scenario.document import Scenario, parse_scenario
from tests.inference.corpus import ask, document, node, one_truth

SIZE = 400


def simple(rng: np.random.Generator, number: int, narrowed: float) -> Scenario:
    """A document of one of four makes; ``narrowed`` scales the spread it claims of its evidence."""
    make = number % 4
    if make == 0:
        spread = rng.uniform(5, 20)
        model = [
            node("x", f"normal(mean={rng.uniform(20, 60):.4g}, sd={rng.uniform(5, 15):.4g})"),
            node("y", "normal(mean=x, sd={:.6g})"),
        ]
        seen, claimed = ["y"], spread
    elif make == 1:
        spread = rng.uniform(0.3, 0.6)
        model = [
            node("x", f"gamma(mean={rng.uniform(2, 8):.4g}, shape={rng.uniform(1, 4):.4g})"),
            node("y", "lognormal(median=x, spread={:.6g})"),
        ]
        seen, claimed = ["y"], spread
    elif make == 2:
        spread = rng.uniform(0.6, 1.5)
        model = [
            node("x", f"robust(mean=0, sd={rng.uniform(0.5, 2):.4g}, df=4)"),
            node("z", "yes(p=0.3)"),
            node("y", "normal(mean=x + (2 if z else 0), sd={:.6g})"),
        ]
        seen, claimed = ["y"], spread
    else:
        spread = rng.uniform(0.5, 2.0)
        model = [
            node("x", f"share(mean={rng.uniform(0.3, 0.7):.4g}, strength=5)"),
            node("w", "normal(mean=4 * x, sd=0.5)"),
            node("y", "normal(mean=w, sd={:.6g})"),
        ]
        seen, claimed = ["y"], spread

    def filled(value: float) -> list[dict[str, object]]:
        return [{**one, "expr": one["expr"].format(value)} for one in model]

    asks = [ask("rank", "x")]
    truth = one_truth(document(filled(claimed), [], asks), rng)
    given = []
    for name in seen:
        truth[name] = float(f"{truth[name]:.8g}")
        given.append(
            f"{name} == {truth[name]:.8g}" if truth[name] >= 0 else f"{name} == -{-truth[name]:.8g}"
        )
    told = document(
        filled(claimed * narrowed),
        given,
        asks,
        name=f"sbc-{number}",
        truth=truth,
        evidence="simulated",
    )
    return parse_scenario(told)


def ranks(narrowed: float) -> np.ndarray:
    rng = np.random.default_rng(11)
    cases = [simple(rng, number, narrowed) for number in range(SIZE)]
    results = label_scenarios(cases, LabelConfig(max_outside=1.0))
    labelled = [result for result in results if isinstance(result, Labelled)]
    assert len(labelled) > 0.98 * SIZE  # a selection would bend the ranks
    return np.array([one.labels[0].true_rank for one in labelled])


@pytest.mark.slow
def test_true_ranks_are_uniform_and_a_broken_likelihood_shows() -> None:
    right, wrong = ranks(1.0), ranks(0.5)
    assert stats.kstest(right, "uniform").pvalue > 0.01
    # narrow posteriors push truths to both ends: the folded ranks, too, must be uniform
    assert stats.kstest(2 * np.abs(right - 0.5), "uniform").pvalue > 0.01
    assert stats.kstest(2 * np.abs(wrong - 0.5), "uniform").pvalue < 1e-6


def peaked(rng: np.random.Generator, number: int, narrowed: float) -> Scenario:
    """A document whose evidence says far more than its prior: three latents, ten sharp readings."""
    spread = rng.uniform(0.1, 0.3)
    model = [
        node("a", "normal(mean=0, sd=10)"),
        node("b", "robust(mean=0, sd=5, df=4)"),
        node("late", "yes(p=0.4)"),
        *(
            node(f"y{i}", f"normal(mean=a + {i} * b / 5 + (2 if late else 0), sd={{:.6g}})")
            for i in range(5)
        ),
        *(node(f"z{i}", f"normal(mean=a - b * {i} / 5, sd={{:.6g}})") for i in range(5)),
    ]

    def filled(value: float) -> list[dict[str, object]]:
        return [{**one, "expr": one["expr"].format(value)} for one in model]

    asks = [ask("rank", "a"), ask("rank", "b")]
    truth = one_truth(document(filled(spread), [], asks), rng)
    given = []
    for name in [one["name"] for one in model if one["name"][0] in "yz"]:
        truth[name] = float(f"{truth[name]:.8g}")
        value = truth[name]
        given.append(f"{name} == {value:.8g}" if value >= 0 else f"{name} == -{-value:.8g}")
    told = document(
        filled(spread * narrowed),
        given,
        asks,
        name=f"peaked-{number}",
        truth=truth,
        evidence="simulated",
    )
    return parse_scenario(told)


@pytest.mark.slow
def test_true_ranks_are_uniform_where_tempered_runs_were_needed() -> None:
    """Labels that weighting could not give; half the spread in the likelihood shows at once."""
    folded = {}
    for narrowed in (1.0, 0.5):
        rng = np.random.default_rng(12)
        cases = [peaked(rng, number, narrowed) for number in range(200)]
        results = label_scenarios(cases, LabelConfig(max_outside=1.0))
        labelled = [result for result in results if isinstance(result, Labelled)]
        assert len(labelled) > 0.97 * len(cases)
        tempered = sum(one.labels[0].route == "tempered" for one in labelled)
        assert tempered > 0.9 * len(labelled)
        found = np.array([label.true_rank for one in labelled for label in one.labels])
        if narrowed == 1.0:
            assert stats.kstest(found, "uniform").pvalue > 0.01
        folded[narrowed] = stats.kstest(2 * np.abs(found - 0.5), "uniform").pvalue
    assert folded[1.0] > 0.01
    assert folded[0.5] < 1e-6
