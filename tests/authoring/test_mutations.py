"""Structure mutations: told, applied across motifs, calibrated, and what the story implies."""

import collections
import dataclasses
import functools
import re

import numpy as np
import pytest
from scipy import stats

from ppt_jax.authoring.author import AuthorConfig, make_plan
from ppt_jax.authoring.checks import check_truth
from ppt_jax.authoring.compose import write_scenario
from ppt_jax.authoring.motif import all_motifs
from ppt_jax.authoring.mutations import MUTATIONS
from ppt_jax.authoring.produce import Rejected, produce
from ppt_jax.authoring.text_checks import check_text
from ppt_jax.authoring.wording import read_numbers
from ppt_jax.errors import UserError
from ppt_jax.inference.program import lower
from ppt_jax.inference.simulate import node_values, replay
from ppt_jax.scenario.document import Scenario, to_dict

CONFIG = AuthorConfig(
    asides=(0, 1), told=("full", "verbal", "implicit"), mutations="all", mutation_rate=0.4
)
PARTICLES = 20_000


def _only(mutation: str, motif: str, number: int, **fields: object) -> Scenario:
    """One scenario with one mutation, all candidate asks kept."""
    plan = make_plan(CONFIG, "train", motif, number, 0)
    knobs = dataclasses.replace(plan.knobs, told="full", observations=(2, 4))
    plan = dataclasses.replace(
        plan, mutations=(mutation,), genre="plain", asides=0, knobs=knobs, **fields
    )
    return write_scenario(plan).scenario


@functools.cache
def _accepted() -> tuple[tuple[Scenario, ...], int]:
    kept, refused = [], 0
    for motif in all_motifs():
        for number in range(6):
            result = produce(
                make_plan(CONFIG, "train", motif, number, 0), CONFIG.checks, CONFIG.asks
            )
            if isinstance(result, Rejected):
                refused += 1
                assert result.reason in (
                    *("c2_prior", "c3_ess", "c4_certain", "c4b_moves", "c4_range"),
                    *("c8_influence", "length"),
                ), f"{result.reason} {result.detail} {result.story}"
            else:
                kept.append(result)
    return tuple(kept), refused


def test_mutated_stories_agree_with_their_programs_and_most_are_accepted() -> None:
    kept, refused = _accepted()
    assert refused < 0.4 * (refused + len(kept))
    applied = collections.Counter(
        name for scenario in kept for name in scenario.provenance.get("mutations", ())
    )
    assert set(applied) == set(MUTATIONS)
    assert min(applied.values()) >= 8, applied
    for scenario in kept:
        assert check_text(scenario) == []
        assert check_truth(scenario) == []


def test_each_mutation_reaches_many_motifs() -> None:
    kept, _ = _accepted()
    reached = collections.defaultdict(set)
    for scenario in kept:
        for name in scenario.provenance.get("mutations", ()):
            reached[name].add(scenario.motif)
    assert all(len(reached[name]) >= 5 for name in MUTATIONS), reached


def test_labels_of_mutated_scenarios_are_calibrated() -> None:
    rng = np.random.default_rng(5)
    ranks: dict[str, list[float]] = collections.defaultdict(list)
    for scenario in _accepted()[0]:
        program = lower(scenario)
        values = node_values(program.nodes, rng, 4096)
        total_P = np.sum([np.broadcast_to(values[i], (4096,)) for i in program.loglik], axis=0)
        weights_P = np.exp(total_P - np.max(total_P))
        weights_P /= weights_P.sum()
        _, truths = replay(scenario, scenario.truth)
        ask_P = np.broadcast_to(values[program.asks[0]], (4096,))
        tied = np.isclose(ask_P, truths[0], rtol=1e-9, atol=1e-9)
        below = weights_P[(ask_P < truths[0]) & ~tied].sum()
        rank = float(below + rng.random() * weights_P[tied].sum())
        for name in (*scenario.provenance.get("mutations", ()), f"told {scenario.told}", "all"):
            ranks[name].append(rank)
    assert {"told implicit", "told verbal", *MUTATIONS} <= set(ranks)
    for name, places in ranks.items():
        assert stats.kstest(places, "uniform").pvalue > 1e-3, name
        spread = [abs(2 * place - 1) for place in places]
        assert stats.kstest(spread, "uniform").pvalue > 1e-3, name


def _posterior(scenario: Scenario, node: str) -> tuple[float, float, float]:
    """Mean and standard deviation of a node given the evidence, and the mean's standard error."""
    program = lower(dataclasses.replace(scenario, ask=(_ask(scenario, node),)))
    values = node_values(program.nodes, np.random.default_rng(3), PARTICLES)
    total_P = np.sum([np.broadcast_to(values[i], (PARTICLES,)) for i in program.loglik], axis=0)
    weights_P = np.exp(total_P - total_P.max())
    weights_P /= weights_P.sum()
    ask_P = np.broadcast_to(values[program.asks[0]], (PARTICLES,))
    mean = float(weights_P @ ask_P)
    square = (ask_P - mean) ** 2
    error = float(np.sqrt(np.sum(weights_P**2 * square)))
    return mean, float(np.sqrt(weights_P @ square)), error


def _ask(scenario: Scenario, node: str):  # type: ignore[no-untyped-def]
    return next(ask for ask in scenario.ask if ask.kind == "value" and ask.expr == node)


def _numbers(story: str, pattern: str) -> list[float]:
    """Numbers of the first sentence that holds the pattern."""
    sentences = re.split(r"(?<=[.?])\s+(?=[A-Z])", story)
    text = next(s for s in sentences if re.search(pattern, s))
    text = re.sub(r"one standard\s+deviation|one and the same|one unknown|the true one", "", text)
    return [reading.value for reading in read_numbers(text)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("mutation", ["hyperprior", "confounder", "missing", "sensor"])
def test_regression_to_the_mean_in_closed_form_from_the_story(mutation: str, seed: int) -> None:
    """All is normal and linear, so the story's own numbers give the posterior of the level."""
    scenario = _only(mutation, "regression_to_mean", seed)
    story = scenario.story
    applied = scenario.provenance.get("mutations", [])
    mean, sd = _numbers(story, r"averages|centres|around a mean|bell curve around \d")[:2]
    noise = _numbers(story, "scatters around it|Luck moves")[0]
    told = re.split(r"(?<=[.?])\s+(?=[A-Z])", story)
    seen = next(s for s in told if "to the nearest whole number" in s)
    readings = re.findall(r"(-?\d+) in the", seen) or re.findall(r"got (-?\d+) in", seen)
    assert (mutation in applied) == {
        "hyperprior": "average of" in story,
        "confounder": "share one unknown" in story or "one and the same" in story,
        "missing": "[" in story,
        "sensor": "is right on average" in story,
    }[mutation]
    count = len(readings)
    shared, width = 0.0, sd**2
    if "confounder" in applied:
        shared = _numbers(story, "share one unknown|one and the same")[-1]
    if "hyperprior" in applied:
        width += _numbers(story, "average of")[-1] ** 2
    precision = 1 / width
    total = mean * precision
    if count:
        weight = 1 / (noise**2 / count + shared**2)
        precision += weight
        total += weight * sum(map(float, readings)) / count
    if "sensor" in applied:
        miss = _numbers(story, "is right on average")[0]
        value = _numbers(story, r" put the .* at -?\d")[-1]
        precision += 1 / miss**2
        total += value / miss**2
    got, spread, error = _posterior(scenario, "level")
    assert got == pytest.approx(total / precision, abs=5 * error), story
    assert spread == pytest.approx(precision**-0.5, rel=0.1), story


def test_an_irrelevant_fact_changes_no_answer() -> None:
    found = 0
    for motif in ("regression_to_mean", "drift", "trend_or_noise"):
        for number in range(6):
            scenario = _only("irrelevant", motif, number)
            if "detail" not in {node.name for node in scenario.model}:
                continue
            found += 1
            rest = dataclasses.replace(
                scenario,
                model=tuple(node for node in scenario.model if node.name != "detail"),
                given=tuple(g for g in scenario.given if "detail" not in g.that),
            )
            node = next(ask.expr for ask in scenario.ask if ask.kind == "value")
            mean, _, error = _posterior(scenario, node)
            other, _, other_error = _posterior(rest, node)
            assert mean == pytest.approx(other, abs=5 * (error + other_error))
    assert found == 18


def test_a_declared_observation_that_changes_nothing_is_no_fault_but_an_undeclared_one_is() -> None:
    from ppt_jax.authoring.checks import check_scenario

    for number in range(20):
        plan = dataclasses.replace(
            make_plan(CONFIG, "train", "regression_to_mean", number, 0), mutations=("irrelevant",)
        )
        result = produce(plan, CONFIG.checks, CONFIG.asks)
        if not isinstance(result, Rejected) and any("detail" in g.that for g in result.given):
            break
    assert isinstance(result, Scenario)
    rng = np.random.default_rng(0)
    checks = {finding.check for finding in check_scenario(result, CONFIG.checks, rng)}
    assert "c8_influence" not in checks
    undeclared = dataclasses.replace(result, asides=())
    checks = {finding.check for finding in check_scenario(undeclared, CONFIG.checks, rng)}
    assert "c8_influence" in checks


def test_no_mutation_by_default_and_the_same_plan_gives_the_same_document() -> None:
    plain = make_plan(AuthorConfig(), "train", "drift", 3, 0)
    assert plain.mutations == ()
    mutated = dataclasses.replace(plain, mutations=MUTATIONS)
    first, second = (to_dict(write_scenario(mutated).scenario) for _ in range(2))
    assert first == second
    assert first["provenance"]["mutations"]
    assert "mutations" not in write_scenario(plain).scenario.provenance


def test_unknown_mutations_and_rates_are_refused() -> None:
    with pytest.raises(UserError, match=r"mutations: unknown .*explosion.*known: hyperprior"):
        AuthorConfig(mutations=("explosion",))
    with pytest.raises(UserError, match="mutation_rate: 3"):
        AuthorConfig(mutations="all", mutation_rate=3)
