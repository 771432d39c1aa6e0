"""Summing private latents out leaves the posterior as it was, for every value of the others."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest
from scipy import special

from ppt_jax.inference import distributions
from ppt_jax.inference.graph import reachable
from ppt_jax.inference.kernel import evaluate_table
from ppt_jax.inference.private import state_count, sum_out_private
from ppt_jax.inference.program import Program, lower
from ppt_jax.inference.simulate import evaluate, node_values
from ppt_jax.inference.table import Table, assemble
from ppt_jax.scenario.document import Scenario, parse_scenario
from scripts.random_programs import random_document
from tests.inference.corpus import ask, node, scenario

POINTS = 64
DAYS = ["Mon", "Tue", "Wed", "Thu"]


def columns(program: Program, roots: list[int]) -> set[str]:
    found = reachable(program.nodes, roots)
    return {
        program.latents[int(program.nodes[n].value)]
        for n in found
        if program.nodes[n].op.startswith("draw:")
    }


def check_identity(program: Program, reduced: Program, seed: int = 0) -> int:
    """Brute force over the removed latents gives the new likelihood; how many were removed."""
    before = columns(program, [*program.loglik, *program.asks])
    after = columns(reduced, [*reduced.loglik, *reduced.asks])
    assert after <= before
    posterior = reachable(program.nodes, [*program.loglik, *program.asks])
    site = {
        program.latents[int(program.nodes[n].value)]: n
        for n in posterior
        if program.nodes[n].op.startswith("draw:")
    }
    counts = {name: state_count(program, program.nodes[site[name]]) for name in before - after}
    gone = sorted(name for name, count in counts.items() if count)  # others have lost their use
    states = [counts[name] or 0 for name in gone]
    if not gone or math.prod(states) > 3000:
        return 0
    rng = np.random.default_rng(seed)
    z = {name: rng.standard_normal(POINTS) for name in {*program.latents, *reduced.latents}}
    grid = np.array(list(itertools.product(*map(range, states))), np.float64)  # [S, gone]
    z_LP = np.array([np.tile(z[name], len(grid)) for name in program.latents])
    places = {name: column for column, name in enumerate(program.latents)}
    fixed = {places[name]: np.repeat(grid[:, i], POINTS) for i, name in enumerate(gone)}
    size = len(grid) * POINTS
    values = node_values(program.nodes, z_LP, size, fixed)
    total = np.zeros(size)

    def plus(total: np.ndarray, term: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return np.where((total == -np.inf) | (term == -np.inf), -np.inf, total + term)

    for name in gone:
        args = [values[arg] for arg in program.nodes[site[name]].args]
        family = program.nodes[site[name]].op[5:]
        chance = distributions.log_density(family, fixed[places[name]], *args)
        total = plus(total, chance)
    for term in program.loglik:
        total = plus(total, values[term])
    expected = special.logsumexp(total.reshape(len(grid), POINTS), axis=0)
    z_new = np.array([z[name] for name in reduced.latents]).reshape(-1, POINTS)
    asks, loglik = evaluate(reduced, z_new)
    found = np.zeros(POINTS)
    for row in loglik:
        found = plus(found, row)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)
    old = node_values(program.nodes, z_LP[:, :POINTS], POINTS)
    for row, number in zip(asks, program.asks):
        np.testing.assert_allclose(row, np.broadcast_to(old[number], (POINTS,)), rtol=1e-12)
    return len(gone)


CASES: dict[str, tuple[Scenario, set[str]]] = {
    "one bit an observation": (
        scenario(
            [
                node("m", "normal(mean=0, sd=2)"),
                node("odd", "yes(p=0.2)", "day"),
                node("y", "normal(mean=m, sd=5 if odd[day] else 1)", "day"),
            ],
            [f"y['{d}'] == {v}" for d, v in zip(DAYS, (1.0, 2.5, -8, 0.3))],
            [ask("value", "m", low=-8, high=8)],
            sets={"day": DAYS},
        ),
        {"m"},
    ),
    "two bits that meet, and one behind three": (
        scenario(
            [
                node("m", "normal(mean=0, sd=2)"),
                node("p", "beta(a=2, b=5)"),
                node("a", "yes(p=p)", "day"),
                node("b", "yes(p=sigmoid(m))", "day"),
                node("c", "yes(p=0.4)"),
                node("y", "normal(mean=m + a[day] - 2 * b[day] + (3 if c else 0), sd=0.7)", "day"),
            ],
            [f"y['{d}'] == {v}" for d, v in zip(DAYS, (1.0, 2.5, -1))],
            [ask("value", "m", low=-8, high=8), ask("chance", "p")],
            sets={"day": DAYS},
        ),
        {"m", "p"},
    ),
    "a chain of hidden states": (
        scenario(
            [
                node("level", "normal(mean=0, sd=2)", "day"),
                node("where", "pick(day, weights=[1, 2, 3, 0])"),
                node("on", "yes(p=0.8 if prev(on, first=where == 'Tue') else 0.1)", "day"),
                node("y", "count(rate=exp(level[where]) * (3 if on[day] else 1))", "day"),
            ],
            [f"y['{d}'] == {v}" for d, v in zip(DAYS, (1, 4, 3, 0))],
            [ask("value", "level['Mon']", low=-8, high=8)],
            sets={"day": DAYS},
        ),
        {"level[Mon]", "level[Tue]", "level[Wed]"},
    ),
    "a continuous child, a count of trials, a hard fact and comparisons": (
        scenario(
            [
                node("m", "normal(mean=0, sd=2)"),
                node("k", "successes(n=3, p=sigmoid(m))"),
                node("w", "gamma(mean=1 + k, shape=2.5)"),
                node("n", "count(rate=w)"),
                node("sort", "pick(day)"),
                node("v", "lognormal(median=1, spread=0.2 if sort == 'Tue' else 1)"),
                node("u", "normal(mean=v * m, sd=1)"),
                node("lazy", "yes(p=0.3)"),
                node("bit", "yes(p=0.5)"),
            ],
            [
                "n == 4",
                "u == 1.2",
                "beats(m, lazy, noise=0.5)",
                "beats(m, lazy, noise=0.5)",
                "bit or lazy",
                "w > 0.5",
                "m + bit > -3",
            ],
            [ask("rank", "m")],
            sets={"day": DAYS},
        ),
        {"m", "w", "v"},
    ),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_sum_over_removed_latents_is_exact_for_every_value_of_the_rest(name: str) -> None:
    one, left = CASES[name]
    program = lower(one)
    reduced = sum_out_private(program)
    assert set(reduced.latents) == left
    assert check_identity(program, reduced) > 0


def test_the_sum_is_exact_on_random_programs() -> None:
    removed = 0
    for seed in range(150):
        program = lower(parse_scenario(random_document(seed)))
        removed += check_identity(program, sum_out_private(program), seed)
    assert removed > 60  # the test has seen many


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_kernel_computes_the_same_sums(name: str) -> None:
    reduced = sum_out_private(lower(CASES[name][0]))
    z_LP = np.random.default_rng(1).standard_normal((len(reduced.latents), 2048)).clip(-4.5, 4.5)
    asks, loglik = evaluate(reduced, z_LP)
    found, logw, _ = evaluate_table(assemble(reduced), z_LP)
    np.testing.assert_allclose(found, asks, rtol=2e-4, atol=2e-4)
    expected = np.sum(loglik, axis=0)
    np.testing.assert_array_equal(np.isinf(logw), np.isinf(expected))
    apart = ~np.isclose(logw, expected, rtol=2e-3, atol=2e-3)
    assert apart.mean() < 2e-3  # a hard fact's edge may lie between float32 and float64


def test_a_program_that_would_grow_too_large_keeps_its_latents() -> None:
    program = lower(CASES["two bits that meet, and one behind three"][0])
    for limit in (10, 40, 60, 100, 200):
        reduced = sum_out_private(program, limit)
        assert len(reduced.nodes) <= max(limit, len(program.nodes))
        check_identity(program, reduced)
    assert sum_out_private(program, 10) is program


def test_latents_of_asks_and_draws_by_proposal_stay() -> None:
    one = scenario(
        [
            node("asked", "yes(p=0.3)"),
            node("shape", "yes(p=0.5)"),
            node("w", "gamma(mean=2, shape=2 if shape else 4)"),
            node("y", "normal(mean=w + asked, sd=1)"),
        ],
        ["y == 2"],
        [ask("choice", "asked")],
    )
    assert set(sum_out_private(lower(one)).latents) == {"asked", "shape", "w"}


def test_a_hard_fact_becomes_its_chance_and_fails_by_count() -> None:
    """Who pulls harder, when either may be lazy: smooth where some laziness explains it."""
    one = scenario(
        [
            node("strength", "normal(mean=5, sd=1)", "who"),
            node("lazy", "yes(p=0.3)", "who"),
            node("pull", "strength[who] * (0.5 if lazy[who] else 1)", "who"),
        ],
        ["pull['Ann'] > pull['Bob']", "strength['Ann'] < strength['Bob']"],
        [ask("value", "strength['Ann']", low=0, high=10)],
        sets={"who": ["Ann", "Bob"]},
    )
    reduced = sum_out_private(lower(one))
    assert set(reduced.latents) == {"strength[Ann]", "strength[Bob]"}
    table = assemble(reduced)
    size = 2048
    z_LP = np.zeros((2, size))
    ann, bob = (reduced.latents.index(f"strength[{who}]") for who in ("Ann", "Bob"))
    z_LP[ann, :4], z_LP[bob, :4] = [-4, -0.5, 2, -4.4], [4, 0.5, -2, 0]
    out = np.array(rows_of(table, z_LP))[:, :4]
    weight, soft, violations = out
    np.testing.assert_array_equal(violations > 0, [True, False, True, True])
    np.testing.assert_allclose(soft[1:3], np.log([0.3 * 0.7, 1.0]), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(np.isinf(weight), violations > 0)
    assert np.isfinite(soft).all()


def rows_of(table: Table, z_LP: np.ndarray) -> list[np.ndarray]:
    """The weight, soft and violations rows of a table's run."""
    places = (table.weight_row, table.soft_row, table.violations_row)
    return list(
        evaluate_table(dataclasses.replace(table, ask_rows=places, ask_prior_rows=places), z_LP)[0]
    )


def test_a_state_that_cannot_be_needs_no_value() -> None:
    """Under `bit` the observation has no density, but `bit` has no chance."""
    one = scenario(
        [
            node("m", "normal(mean=0, sd=1)"),
            node("bit", "yes(p=0)"),
            node("y", "normal(mean=m, sd=sqrt(m - 50) if bit else 1)"),
        ],
        ["y == 2"],
        [ask("value", "m", low=-4, high=4)],
    )
    reduced = sum_out_private(lower(one))
    assert reduced.latents == ("m",)
    assert np.isfinite(evaluate(reduced, np.zeros((1, 3)))[1]).all()


def test_forty_hidden_bits_become_a_program_of_three_latents() -> None:
    """The warning of the notes: two samplers that agree and are both wrong without the sum."""
    members = [f"r{i}" for i in range(40)]
    one = scenario(
        [
            node("base", "beta(a=2, b=5)"),
            node("good", "beta(a=8, b=2)"),
            node("bad", "beta(a=2, b=8)"),
            node("hit", "yes(p=base)", "run"),
            node("seen", "yes(p=good if hit[run] else bad)", "run"),
        ],
        [f"seen['{r}'] == {int(i % 3 == 0)}" for i, r in enumerate(members)],
        [ask("chance", "base")],
        sets={"run": members},
    )
    program = lower(one)
    reduced = sum_out_private(program)
    assert len(program.latents) == 43
    assert set(reduced.latents) == {"base", "good", "bad"}
    assert len(reduced.nodes) < 200


def test_four_hundred_observations_with_a_bit_each_become_two_dimensions() -> None:
    sets = {"row": [f"r{i}" for i in range(100)], "column": ["a", "b", "c", "d"]}
    one = scenario(
        [
            node("p", "beta(a=2, b=2)"),
            node("x", "yes(p=p)", "row", "column"),
            node("q", "normal(mean=0, sd=1)"),
            node("seen", "normal(mean=q + x[row, column], sd=0.5)", "row", "column"),
        ],
        [f"seen['{r}', '{c}'] == {i % 3 / 2}" for i, r in enumerate(sets["row"]) for c in "abcd"],
        [ask("chance", "p"), ask("value", "q", low=-3, high=3)],
        sets=sets,
    )
    program = lower(one)
    reduced = sum_out_private(program)
    assert set(reduced.latents) == {"p", "q"}
    assert len(reduced.nodes) <= 2 * len(program.nodes)
