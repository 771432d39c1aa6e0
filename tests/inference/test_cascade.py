"""The cascade: cheapest sound route first, gates, surprising evidence, named rejects."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

from ppt_jax.inference import gates
from ppt_jax.inference import tempered_route as runs
from ppt_jax.inference.cascade import Labelled, Reject, label_scenarios, tiers_of
from ppt_jax.inference.labels import LabelConfig, SoftLabel, coarse_answers, total_variation
from ppt_jax.inference.routes import Outcome
from ppt_jax.scenario.document import Scenario
from scripts.label_families import FAMILIES
from tests.inference.corpus import ask, node, scenario

pytestmark = pytest.mark.slow

LABEL = SoftLabel(
    ask_id="q1",
    kind="value",
    probs=np.full(101, 1 / 101),
    prior_probs=np.full(101, 1 / 101),
    route="tempered",
    ess=5000.0,
    error=0.01,
    error_101=0.02,
    information=0.0,
    mass_below=0.0,
    mass_above=0.0,
    true_answer=None,
    true_rank=None,
    predicted=0.008,
    disagreement=0.016,
    mixing=0.1,
)


def reject_of(one: Scenario, **settings: object) -> Reject:
    (result,) = label_scenarios([one], LabelConfig(**settings))  # type: ignore[arg-type]
    assert isinstance(result, Reject), result.labels
    return result


def test_every_engine_tries_its_tiers_in_order_of_effort() -> None:
    def steps(engine: str) -> list[tuple[str, int]]:
        return [(tier.name, tier.effort) for tier in tiers_of(LabelConfig(engine=engine))]

    assert steps("table") == [("table", 8192), ("table", 65536), ("table", 262144)]
    assert steps("tempered") == [("tempered", 1024), ("tempered", 2048), ("tempered", 4096)]
    auto = steps("auto")
    assert auto[0] == ("table", 8192)
    assert auto[-1] == ("tempered", 4096)
    assert sorted(auto) == sorted(steps("table") + steps("tempered"))


@pytest.mark.parametrize("family", ["normal at 1e-4", "normal at 1e-8", "rate at 1e-8"])
def test_surprising_evidence_is_labelled_within_its_error(family: str) -> None:
    made = [FAMILIES[family](np.random.default_rng([31, i]), i) for i in range(8)]
    results = label_scenarios([one for one, _ in made])
    outside = 0
    for result, (_, gold) in zip(results, made):
        assert isinstance(result, Labelled), result
        for label, exact in zip(result.labels, gold):
            assert label.error < 0.03
            other = dataclasses.replace(label, probs=exact)
            distance = total_variation(coarse_answers(label), coarse_answers(other))
            assert distance < 0.03
            outside += distance > label.error
    assert outside <= 1
    routes = {one.labels[0].route for one in results if isinstance(one, Labelled)}
    assert routes <= {"tempered", "table"}


def test_easy_scenarios_stay_with_the_first_weighting() -> None:
    made = [FAMILIES["rate"](np.random.default_rng([32, i]), i)[0] for i in range(6)]
    for result in label_scenarios(made):
        assert isinstance(result, Labelled)
        assert (result.labels[0].route, result.effort) == ("table", 8192)


def test_more_points_are_tried_only_where_they_promise_to_pass() -> None:
    config = LabelConfig()
    weighted = dataclasses.replace(
        LABEL, route="table", ess=60.0, predicted=0.06, disagreement=0.05
    )
    assert gates.promising([weighted], 8.0, config)
    for change in ({"ess": 30.0}, {"predicted": 0.2, "disagreement": 0.1}):
        worse = dataclasses.replace(weighted, **change)  # type: ignore[arg-type]
        assert not gates.promising([worse], 8.0, config)
    assert not gates.promising([], 8.0, config)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, ""),
        ({"temperature": 0.3}, "temperature"),
        ({"evidence_gap": 1.5}, "evidences differ"),
        ({"evidence_gap": math.inf}, "evidences differ"),
        ({"acceptance": 0.02}, "acceptance"),
        ({"valid": 0.2}, "hard facts"),
    ],
)
def test_gates_on_runs(change: dict[str, float], message: str) -> None:
    found = runs.Diagnostics(
        temperature=1.0, evidence_gap=0.1, acceptance=0.4, valid=1.0, mixing=0.1, stages=8
    )
    changed = dataclasses.replace(found, **change)  # type: ignore[arg-type]
    failed = runs.failed_runs(changed, LabelConfig())
    assert message in failed
    assert bool(failed) == bool(message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, ""),
        ({"disagreement": 0.05}, "runs differ"),
        ({"error": 0.031}, "error"),
        ({"error": math.nan}, "error"),
        ({"mixing": 0.5}, "correlation"),
    ],
)
def test_gates_on_tempered_labels(change: dict[str, float], message: str) -> None:
    config = LabelConfig()
    changed = dataclasses.replace(LABEL, **change)  # type: ignore[arg-type]
    labels = gates.with_shift([changed], (), config)
    failed = gates.failed_gate(Outcome(labels=labels), config)
    assert message in failed
    assert bool(failed) == bool(message)


def test_poor_mixing_is_charged_with_what_more_moves_changed() -> None:
    config = LabelConfig()
    slow = dataclasses.replace(LABEL, mixing=0.6)
    assert math.isinf(gates.with_shift([slow], (), config)[0].error)
    assert gates.with_shift([slow], [LABEL], config)[0].error == pytest.approx(LABEL.error)
    moved = LABEL.probs.copy()
    moved[:50] *= 1.2
    moved /= moved.sum()
    before = dataclasses.replace(LABEL, probs=moved)
    charged = gates.with_shift([slow], [before], config)[0]
    shift = total_variation(coarse_answers(slow), coarse_answers(before))
    excess = math.sqrt(shift**2 - 2 * LABEL.predicted**2)
    assert charged.error == pytest.approx(math.hypot(LABEL.error, excess))
    assert gates.with_shift([LABEL], [before], config)[0] is LABEL


SEEN = node("y", "normal(mean=x, sd=1)")
WIDE = ask("value", "x", low=-5, high=5)
BAD = {
    # name: model, given, asks, reasons that say so
    "infinite variance of the prior": (
        [node("x", "lognormal(median=1, spread=90)"), SEEN],
        ["y == 1"],
        [ask("rank", "x")],
        {"nonfinite_program"},
    ),
    "overflow": (
        [node("x", "normal(mean=0, sd=1)"), SEEN],
        ["y == 1"],
        [ask("value", "exp(90 * x)", low=0, high=10)],
        {"nonfinite_program"},
    ),
    "division by zero": (
        [node("x", "count(rate=1)"), SEEN],
        ["y == 1"],
        [ask("value", "1 / x", low=0, high=10)],
        {"nonfinite_program"},
    ),
    "negative spread": (
        [node("x", "normal(mean=0, sd=1)"), node("y", "normal(mean=0, sd=x)")],
        ["y == 1"],
        [WIDE],
        {"nonfinite_program"},
    ),
    "facts that contradict each other": (
        [node("x", "normal(mean=0, sd=1)"), node("z", "normal(mean=x, sd=1)")],
        ["z > x + 1", "z < x"],
        [WIDE],
        {"impossible_evidence", "label_error"},
    ),
    "a range beside the posterior": (
        [node("x", "normal(mean=0, sd=1)"), SEEN],
        ["y == 2"],
        [ask("value", "x", low=8, high=9)],
        {"range_misses_posterior"},
    ),
    "a range beside the posterior of surprising evidence": (
        [node("x", "normal(mean=0, sd=1)"), node("y", "normal(mean=x, sd=0.1)")],
        ["y == 5"],
        [ask("value", "x", low=-2, high=4)],
        {"range_misses_posterior"},
    ),
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_bad_scenarios_are_named_rejects(name: str) -> None:
    model, given, asks, reasons = BAD[name]
    found = reject_of(scenario(model, given, asks))
    assert found.reason in reasons, found
    assert found.detail


def test_sets_of_the_maximum_size_get_a_sound_label_or_a_named_reject() -> None:
    """A hundred members with a latent and an observation each: the mean's law is normal."""
    n = 100
    names = [f"m{i}" for i in range(n)]
    model = [
        node("mu", "normal(mean=0, sd=2)"),
        node("x", "normal(mean=mu, sd=1)", "who"),
        node("y", "normal(mean=x[who], sd=2)", "who"),
    ]
    seen = np.random.default_rng(8).normal(1.5, 5**0.5, n).round(2)
    given = [f"y['{m}'] == {v}" if v >= 0 else f"y['{m}'] == -{-v}" for m, v in zip(names, seen)]
    one = scenario(model, given, [ask("value", "mu", low=-2, high=5)], sets={"who": names})
    (result,) = label_scenarios([one])
    if isinstance(result, Reject):
        assert result.reason == "label_error"
        return
    precision = 1 / 4 + n / 5
    law = stats.norm(seen.sum() / 5 / precision, precision**-0.5)
    gold = np.diff(law.cdf(-2 + 7 * (np.arange(102) - 0.5) / 100))
    label = result.labels[0]
    other = dataclasses.replace(label, probs=gold / gold.sum())
    distance = total_variation(coarse_answers(label), coarse_answers(other))
    assert distance < max(label.error, 0.01)


def test_a_reject_tells_everything_that_was_tried() -> None:
    """Eleven normals in order is 1 in 40 million: too little for the smallest efforts."""
    one, _ = FAMILIES["order"](np.random.default_rng([33, 8]), 8)
    effort = {"particles": (1024,), "moves": (1,), "final_moves": (2,)}
    found = reject_of(one, points=(8192,), **effort)
    assert found.reason in ("label_error", "impossible_evidence")
    assert [step.split(":")[0] for step in found.tried] == ["table 8192", "tempered 1024"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("particles", (1000,)),
        ("particles", (2048, 1024, 4096)),
        ("particles", ()),
        ("moves", (6, 15)),
        ("final_moves", (12, 0, 5)),
        ("max_mixing", 0.0),
        ("min_valid", 1.0),
        ("max_evidence_gap", -1.0),
    ],
)
def test_bad_settings_of_runs_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(Exception, match=f"label.{field}"):
        LabelConfig(**{field: value})  # type: ignore[arg-type]
