"""NUTS labels against closed forms, quadrature and enumeration; what the gates refuse."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from scipy import special, stats

from ppt_jax.inference.labels import LabelConfig
from ppt_jax.inference.nuts import NutsConfig, plan
from ppt_jax.inference.nuts_route import nuts_route
from ppt_jax.inference.routes import Outcome, exact_route, prepare
from ppt_jax.inference.signature import structure_of
from ppt_jax.scenario.document import Scenario
from tests.inference.corpus import ask, node, scenario

pytestmark = pytest.mark.slow

DRAWS = 500
CONFIG = LabelConfig()


def route(*cases: Scenario, draws: int = DRAWS) -> list[Outcome]:
    return nuts_route([prepare(case) for case in cases], draws, CONFIG)


def coarse(probs: np.ndarray) -> np.ndarray:
    """20 bins of five answers, the last of six."""
    return np.add.reduceat(probs, np.arange(0, 100, 5))


def value_label(cdf: object, low: float, high: float) -> np.ndarray:
    """Exact answers of a value ask from its posterior's CDF."""
    edges = low + (high - low) * (np.arange(102) - 0.5) / 100
    mass = np.diff(cdf(edges))  # type: ignore[operator]
    return mass / mass.sum()


def check(outcome: Outcome, place: int, exact: np.ndarray) -> None:
    """Within three times the stated error over 20 bins, and the error a useful one."""
    assert outcome.labels, outcome.detail
    label = outcome.labels[place]
    assert label.route == "nuts"
    assert label.ess > 400
    bins = coarse if len(exact) == 101 else np.asarray
    distance = 0.5 * np.abs(bins(label.probs) - bins(exact)).sum()
    assert distance < 3 * label.error < 0.15, (distance, label.error)


def normal_case(seen: float, name: str = "normal-1") -> Scenario:
    model = [node("m", "normal(mean=1, sd=2)"), node("y", "normal(mean=m, sd=1)")]
    asks = [ask("value", "m", low=-4, high=6), ask("rank", "m"), ask("choice", "m > 2")]
    return scenario(model, [f"y == {seen}"], asks, name=name)


def test_normal_normal() -> None:
    """Posterior N(0.2 + 0.8 y, 0.8); the prior of the rank is flat; two documents, one run."""
    for seen, outcome in zip((1.5, 3.0), route(normal_case(1.5), normal_case(3.0, "normal-2"))):
        law = stats.norm(0.2 + 0.8 * seen, np.sqrt(0.8))
        check(outcome, 0, value_label(law.cdf, -4, 6))
        grid = np.linspace(-6, 6, 4001)
        F = stats.norm(1, 2).cdf(grid)[:, None]
        rank = law.pdf(grid) @ stats.binom.pmf(np.arange(101), 100, F)
        check(outcome, 1, rank / rank.sum())
        check(outcome, 2, np.array([law.cdf(2.0), law.sf(2.0)]))
        prior = outcome.labels[2].prior_probs[1]
        assert prior == pytest.approx(stats.norm(1, 2).sf(2.0), abs=0.03)


def test_a_scenario_is_labelled_alike_in_any_company() -> None:
    alone = route(normal_case(3.0, "normal-2"))[0]
    beside = route(
        *(normal_case(0.3 * i, f"other-{i}") for i in range(5)), normal_case(3.0, "normal-2")
    )
    for a, b in zip(alone.labels, beside[-1].labels):
        np.testing.assert_array_equal(a.probs, b.probs)
        assert (a.ess, a.error) == (b.ess, b.error)


def test_beta_binomial() -> None:
    """Beta(2, 3) and 7 of 10: Beta(9, 6); draws that nothing depends on are left out."""
    model = [
        node("p", "beta(a=2, b=3)"),
        node("idle", "count(rate=3)"),
        node("y", "successes(n=10, p=p)"),
    ]
    case = scenario(model, ["y == 7"], [ask("chance", "p"), ask("value", "10 * p", low=0, high=10)])
    outcome = route(case)[0]
    check(outcome, 0, value_label(stats.beta(9, 6).cdf, 0, 1))
    check(outcome, 1, value_label(stats.beta(9, 6, scale=10).cdf, 0, 10))


def test_hierarchy_against_quadrature() -> None:
    """Four groups with an unknown spread, the shape that funnels; group levels integrate out."""
    seen = {"Ada": 1.2, "Bo": 3.1, "Cy": -0.4, "Di": 2.0}
    model = [
        node("mid", "normal(mean=0, sd=2)"),
        node("spread", "lognormal(median=1, spread=0.7)"),
        node("level", "normal(mean=mid, sd=spread)", "item"),
        node("y", "normal(mean=level[item], sd=0.8)", "item"),
    ]
    asks = [ask("value", "mid", low=-4, high=6), ask("value", "log(spread)", low=-2.5, high=2.5)]
    given = [f"y['{who}'] == {value}" for who, value in seen.items()]
    case = scenario(model, given, asks, sets={"item": list(seen)})
    mid, log_spread = np.linspace(-8, 8, 801)[:, None], np.linspace(-4, 4, 801)[None, :]
    total = stats.norm(0, 2).logpdf(mid) + stats.norm(0, 0.7).logpdf(log_spread)
    sd = np.sqrt(np.exp(2 * log_spread) + 0.64)
    for value in seen.values():
        total = total + stats.norm.logpdf(value, mid, sd)
    density = np.exp(total - special.logsumexp(total))
    outcome = route(case, draws=1500)[0]
    for place, (grid, mass, low, high) in enumerate(
        [(mid[:, 0], density.sum(1), -4, 6), (log_spread[0], density.sum(0), -2.5, 2.5)]
    ):
        half = (grid[1] - grid[0]) / 2

        def cdf(x: np.ndarray, grid=grid, mass=mass, half=half) -> np.ndarray:  # type: ignore[no-untyped-def]
            return np.interp(x, grid + half, np.cumsum(mass))

        check(outcome, place, value_label(cdf, low, high))


def test_discrete_draws_are_summed_out_and_asked_for() -> None:
    """A mixture over a yes, a pick and counted trials, against enumeration and quadrature.

    The two levels of ``m`` overlap, so that chains cross; the asks need the summed-out draws.
    """
    model = [
        node("fast", "yes(p=0.3)"),
        node("who", "pick(item, weights=[1, 2, 1])"),
        node("hits", "successes(n=3, p=0.4)"),
        node("m", "normal(mean=(2 if fast else 0), sd=1.5)"),
        node("base", "normal(mean=0, sd=0.5)", "item"),
        node("y", "normal(mean=m + 0.5 * hits, sd=1)"),
        node("seen", "normal(mean=base[who] + hits, sd=0.7)"),
    ]
    asks = [
        ask("choice", "fast"),
        ask("choice", "who", options=["Ada", "Bo", "Cy"]),
        ask("value", "m", low=-6, high=8),
        ask("choice", "hits > 1"),
    ]
    given = ["y == 2.5", "seen == 1.8"]
    case = scenario(model, given, asks, sets={"item": ["Ada", "Bo", "Cy"]})
    outcome = route(case, draws=2000)[0]
    fast, hits = np.arange(2)[:, None], np.arange(4)[None, :]
    m = np.linspace(-10, 12, 2201)[:, None, None]
    joint = (
        np.where(fast, 0.3, 0.7)
        * stats.binom.pmf(hits, 3, 0.4)
        * stats.norm.pdf(m, 2.0 * fast, 1.5)
        * stats.norm.pdf(2.5, m + 0.5 * hits, 1.0)
        * stats.norm.pdf(1.8, hits, np.sqrt(0.25 + 0.49))
    )
    joint /= joint.sum()
    check(outcome, 0, joint.sum((0, 2)))
    check(outcome, 1, np.array([0.25, 0.5, 0.25]))
    mass, half = joint.sum((1, 2)), 0.005

    def cdf(x: np.ndarray) -> np.ndarray:
        return np.interp(x, m[:, 0, 0] + half, np.cumsum(mass))

    check(outcome, 2, value_label(cdf, -6, 8))
    above = joint[:, :, 2:].sum()
    check(outcome, 3, np.array([1 - above, above]))


def test_what_only_asks_depend_on_is_drawn_forward() -> None:
    """A count and a reading to come; neither is summed out or sampled by gradients."""
    model = [
        node("m", "normal(mean=1, sd=2)"),
        node("y", "normal(mean=m, sd=1)"),
        node("later", "normal(mean=m, sd=1.5)"),
        node("calls", "count(rate=(2 if later > 2 else 5))"),
    ]
    asks = [ask("value", "later", low=-7, high=9), ask("choice", "calls > 3")]
    case = scenario(model, ["y == 1.5"], asks)
    found = plan(case, structure_of(case), NutsConfig())
    assert not isinstance(found, str)
    assert found.latents == ("m",)
    outcome = route(case, draws=1500)[0]
    law = stats.norm(1.4, np.sqrt(0.8 + 1.5**2))
    check(outcome, 0, value_label(law.cdf, -7, 9))
    above = law.sf(2) * stats.poisson(2).sf(3) + law.cdf(2) * stats.poisson(5).sf(3)
    check(outcome, 1, np.array([1 - above, above]))


def test_two_modes_that_no_chain_crosses_are_refused() -> None:
    model = [node("m", "normal(mean=0, sd=6)"), node("y", "normal(mean=abs(m), sd=0.2)")]
    case = scenario(model, ["y == 8"], [ask("choice", "m > 0")])
    outcome = route(case)[0]
    assert not outcome.labels
    assert outcome.reason == "label_error"
    assert "R-hat" in outcome.detail


REFUSED = {
    "no continuous latent": (
        [node("k", "yes(p=0.3)"), node("y", "normal(mean=k, sd=1)")],
        ["y == 1"],
        "choice",
    ),
    "k is a count": (
        [node("k", "count(rate=3)"), node("m", "normal(mean=k, sd=1)")],
        ["beats(m, 2, noise=1)"],
        "value",
    ),
    "hard fact": ([node("k", "normal(mean=0, sd=1)")], ["k > 0.5"], "value"),
    "k has no fixed number of trials": (
        [
            node("n", "successes(n=4, p=0.5)"),
            node("k", "successes(n=n, p=0.5)"),
            node("m", "normal(mean=k, sd=1)"),
        ],
        ["beats(m, 2, noise=1)"],
        "value",
    ),
}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_nuts_cannot_do_is_refused_by_name(name: str) -> None:
    model, given, kind = REFUSED[name]
    case = scenario(
        model, given, [ask(kind, "k", **({"low": 0, "high": 9} if kind == "value" else {}))]
    )
    found = plan(case, structure_of(case), NutsConfig())
    assert isinstance(found, str)
    assert name in found
    outcome = route(case)[0]
    assert outcome.reason == "not_sampled"


def test_hard_facts_about_summed_out_draws_are_allowed() -> None:
    """``a or b`` and a reading that speaks for both: eight joint states by hand."""
    model = [
        node("a", "yes(p=0.2)"),
        node("b", "yes(p=0.3)"),
        node("bias", "normal(mean=0, sd=0.5)"),
        node("y", "normal(mean=a + b + bias, sd=0.5)"),
    ]
    asks = [ask("choice", "a"), ask("value", "bias", low=-3, high=3)]
    outcome = route(scenario(model, ["a or b", "y == 1.4"], asks))[0]
    p = {
        (a, b): (0.2 if a else 0.8)
        * (0.3 if b else 0.7)
        * (a or b)
        * stats.norm.pdf(1.4, a + b, np.sqrt(0.5))
        for a in (0, 1)
        for b in (0, 1)
    }
    yes = (p[1, 0] + p[1, 1]) / sum(p.values())
    check(outcome, 0, np.array([1 - yes, yes]))


def test_fewer_than_four_chains_are_refused() -> None:
    with pytest.raises(ValueError, match="1 chains"):
        NutsConfig(chains=1)


SPREAD = """
import jax, numpy as np
from ppt_jax.inference import importance, nuts_route
from ppt_jax.inference.routes import numpyro_route, prepare
from tests.inference.test_nuts import CONFIG, normal_case

assert len(jax.local_devices()) == 8
prepared = [prepare(normal_case(0.3 * i, f"case-{i}")) for i in range(9)]

def label():
    importance._RUNS.clear()
    nuts_route._RUNS.clear()
    return [*nuts_route.nuts_route(prepared, 300, CONFIG), *numpyro_route(prepared, 2048, CONFIG)]

spread = label()
devices = jax.local_devices()
jax.local_devices = lambda *args, **kwargs: devices[:1]
alone = label()
for a, b in zip(spread, alone):
    assert (a.reason, a.detail) == (b.reason, b.detail)
    for x, y in zip(a.labels, b.labels):
        np.testing.assert_allclose(x.probs, y.probs, atol=1e-6)
assert sum(bool(one.labels) for one in spread[:9]) > 3
assert all(one.labels for one in spread[9:])
"""


def test_chains_and_weighting_over_eight_devices_give_the_labels_of_one() -> None:
    root = pathlib.Path(__file__).parents[2]
    flags = "--xla_force_host_platform_device_count=8"
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", SPREAD], cwd=root, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_exact_and_nuts_agree_on_what_both_can_do() -> None:
    """The same evidence about a yes, once with its noise as a latent, once summed by hand."""
    with_noise = [
        node("k", "yes(p=0.4)"),
        node("drift", "normal(mean=0, sd=0.6)"),
        node("y", "normal(mean=k + drift, sd=0.8)"),
    ]
    without = [node("k", "yes(p=0.4)"), node("y", "normal(mean=k, sd=1)")]
    asks = [ask("choice", "k")]
    sampled = route(scenario(with_noise, ["y == 0.9"], asks))[0]
    exact = exact_route(prepare(scenario(without, ["y == 0.9"], asks)))
    check(sampled, 0, exact.labels[0].probs)


def test_several_structures_are_traced_by_several_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each structure gets the labels that it gets alone; NumPyro's handlers are no thread's own."""
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    cases = [
        scenario(
            [node("m", "normal(mean=1, sd=2)")]
            + [node(f"y{i}", f"normal(mean=m, sd={i + 1})") for i in range(size)],
            [f"y{i} == {i}" for i in range(size)],
            [ask("value", "m", low=-4, high=6)],
            name=f"threads-{size}",
        )
        for size in (1, 2, 3, 4)
    ]
    short = NutsConfig(warmup=50, max_rhat=2.0)
    outcomes = nuts_route([prepare(case) for case in cases], 100, CONFIG, short)
    for case, outcome in zip(cases, outcomes):
        alone = nuts_route([prepare(case)], 100, CONFIG, short)[0]
        np.testing.assert_array_equal(outcome.labels[0].probs, alone.labels[0].probs)
