"""NumPyro's enumeration under vmap against enumeration in float64."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from ppt_jax.inference.enumeration import enumeration_route
from ppt_jax.inference.labels import LabelConfig
from ppt_jax.inference.routes import exact_route, prepare
from ppt_jax.scenario.document import Scenario
from tests.inference.corpus import ask, node, scenario

CONFIG = LabelConfig()
ITEMS = ["Ada", "Bo", "Cy"]


def fault_case(number: int) -> Scenario:
    """Causes, a culprit, symptoms, a hard fact; numbers differ, structure does not."""
    rng = np.random.default_rng([11, number])
    p = rng.uniform(0.1, 0.6, 4)
    model = [
        node("hot", f"yes(p={p[0]:.3f})"),
        node("damp", f"yes(p={p[1]:.3f})"),
        node("who", f"pick(item, weights=[1, {1 + p[2]:.3f}, 2])"),
        node("worn", f"yes(p={p[3]:.3f})", "item"),
        node("trips", f"successes(n=4, p=(0.7 if hot else {p[2]:.3f}))"),
        node("load", "trips + 2 * damp + worn[who]"),
        node("alarm", "yes(p=sigmoid(load - 2))"),
        node("seen", "successes(n=6, p=(0.8 if worn[item] else 0.2))", "item"),
    ]
    given = [
        "alarm == 1",
        "hot or damp",
        f"seen['Ada'] == {rng.integers(7)}",
        f"seen['Cy'] == {rng.integers(7)}",
    ]
    asks = [
        ask("choice", "hot"),
        ask("choice", "who", options=ITEMS),
        ask("value", "load", low=0, high=5),
        ask("chance", "(0.9 if worn['Ada'] and damp else 0.15)"),
    ]
    truth = {"hot": 1.0, "damp": 0.0, "who": 1.0, "trips": 3.0, "alarm": 1.0}
    truth |= {f"{name}[{who}]": 1.0 for name in ("worn", "seen") for who in ITEMS}
    return scenario(model, given, asks, sets={"item": ITEMS}, name=f"fault-{number}", truth=truth)


def test_every_label_is_the_enumerated_one() -> None:
    prepared = [prepare(fault_case(number)) for number in range(5)]
    for one, outcome in zip(prepared, enumeration_route(prepared, CONFIG)):
        exact = exact_route(one)
        assert outcome.labels, outcome.detail
        for mine, right in zip(outcome.labels, exact.labels):
            np.testing.assert_allclose(mine.probs, right.probs, atol=2e-6)
            np.testing.assert_allclose(mine.prior_probs, right.prior_probs, atol=2e-6)
            assert mine.true_answer == right.true_answer
            assert mine.true_rank == pytest.approx(right.true_rank, abs=1e-5)
            assert mine.mass_above == pytest.approx(right.mass_above, abs=1e-6)
            assert mine.information == pytest.approx(right.information, abs=1e-5)


REFUSED = {
    "not finite and discrete": (
        [node("k", "yes(p=0.5)"), node("m", "normal(mean=k, sd=1)")],
        ["beats(m, 2, noise=1)"],
        [ask("choice", "k")],
    ),
    "route exact": (
        [node("k", "successes(n=5, p=0.5)"), node("y", "normal(mean=k, sd=1)")],
        ["y == 2"],
        [ask("rank", "k")],
    ),
    "joint states": (
        [
            node("k", "successes(n=30, p=0.5)", "item"),
            node("y", "normal(mean=total(k[item], item), sd=1)"),
        ],
        ["y == 40"],
        [ask("choice", "k['Ada'] > 12")],
    ),
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_refused_by_name(name: str) -> None:
    model, given, asks = REFUSED[name]
    sets = {"item": [*ITEMS, "Di", "Ed"]}
    outcome = enumeration_route([prepare(scenario(model, given, asks, sets=sets))], CONFIG)[0]
    assert outcome.reason == "not_enumerable"
    assert name in outcome.detail


def test_evidence_that_no_state_fits() -> None:
    model = [node("a", "yes(p=0.3)"), node("b", "yes(p=0.3)")]
    case = scenario(model, ["a and not a and b"], [ask("choice", "b")])
    assert enumeration_route([prepare(case)], CONFIG)[0].reason == "impossible_evidence"


SPREAD = """
import jax, numpy as np
from ppt_jax.inference import enumeration
from tests.inference.test_enumeration import CONFIG, fault_case
from ppt_jax.inference.routes import prepare

assert len(jax.local_devices()) == 8
prepared = [prepare(fault_case(number)) for number in range(9)]
spread = enumeration.enumeration_route(prepared, CONFIG)
devices = jax.local_devices()
jax.local_devices = lambda *args, **kwargs: devices[:1]
enumeration._RUNS.clear()
alone = enumeration.enumeration_route(prepared, CONFIG)
for a, b in zip(spread, alone):
    assert len(a.labels) == len(b.labels) == 4
    for x, y in zip(a.labels, b.labels):
        np.testing.assert_allclose(x.probs, y.probs, atol=2e-6)
"""


def test_eight_devices_give_the_labels_of_one() -> None:
    root = pathlib.Path(__file__).parents[2]
    flags = "--xla_force_host_platform_device_count=8"
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", SPREAD]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
