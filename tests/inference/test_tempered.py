"""Tempered SMC against closed forms, quadrature and order statistics; its parts against numpy."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from ppt_jax.inference import gates, tempered
from ppt_jax.inference import tempered_route as route
from ppt_jax.inference.labels import (
    LabelConfig,
    SoftLabel,
    coarse_answers,
    run_errors,
    total_variation,
)
from ppt_jax.inference.routes import Prepared, prepare, requests_of
from ppt_jax.inference.summary import LINEAR, fit_prior, prior_cdf
from ppt_jax.inference.table import assemble
from ppt_jax.scenario.document import Scenario, parse_scenario
from scripts.label_families import FAMILIES
from tests.inference.corpus import ask, node, random_document, scenario


def distance(label: SoftLabel, gold: np.ndarray) -> float:
    """Total variation over 20 bins (options of a choice)."""
    return total_variation(
        coarse_answers(label), coarse_answers(dataclasses.replace(label, probs=gold))
    )


def labels_of(one: Scenario | Prepared, **settings: object) -> tuple[SoftLabel, ...]:
    config = LabelConfig(**settings)  # type: ignore[arg-type]
    made = one if isinstance(one, Prepared) else prepare(one)
    (outcome,) = route.tempered_route([made], config.particles[0], config)
    assert (outcome.reason, outcome.failed) == ("", ""), outcome
    return outcome.labels


def test_temperatures_keep_the_wanted_effective_sample_size() -> None:
    rng = np.random.default_rng(0)
    for scale in (1.0, 30.0, 1e8):
        energy = jnp.asarray(-scale * rng.chisquare(2, 1024), jnp.float32)
        found = float(
            tempered.next_temperature(jnp.zeros(1024), energy, jnp.float32(0.0), jnp.float32(512))
        )
        w = np.exp(found * (np.asarray(energy, np.float64) - float(energy.max())))
        ess = w.sum() ** 2 / (w * w).sum()
        assert ess == pytest.approx(512, rel=0.01) if found < 1.0 else ess >= 512
    flat = tempered.next_temperature(
        jnp.zeros(64), jnp.zeros(64), jnp.float32(0.3), jnp.float32(32)
    )
    assert float(flat) == 1.0


def test_impossible_particles_take_no_part_in_the_choice_of_a_temperature() -> None:
    start = jnp.where(jnp.arange(1024) % 4 == 0, 0.0, -jnp.inf)
    energy = jnp.where(jnp.arange(1024) % 4 == 0, -1.0 * jnp.arange(1024), -jnp.inf)
    found = float(tempered.next_temperature(start, energy, jnp.float32(0.0), jnp.float32(128)))
    w = np.exp(-found * np.arange(0, 1024, 4.0))
    assert w.sum() ** 2 / (w * w).sum() == pytest.approx(128, rel=0.01)


def test_systematic_resampling_takes_each_particle_its_share_of_times() -> None:
    weights = np.random.default_rng(1).exponential(size=500)
    weights[:100] = 0.0
    for offset in (0.01, 0.5, 0.99):
        chosen = tempered.systematic(jnp.asarray(weights, jnp.float32), jnp.float32(offset), 1000)
        counts = np.bincount(np.asarray(chosen), minlength=500)
        assert np.all(np.abs(counts - 1000 * weights / weights.sum()) < 1.001)


def test_prior_cdf_is_the_mid_rank_of_the_particles() -> None:
    rng = np.random.default_rng(2)
    x = np.concatenate([np.exp(3 * rng.standard_normal(6000)), np.full(2000, 2.0)])
    w = rng.exponential(size=8000)
    scale, at = fit_prior(jnp.asarray(x, jnp.float32), jnp.asarray(w, jnp.float32))
    order = np.argsort(x, kind="stable")
    upto = np.cumsum(w[order]) / w.sum()
    for value in (0.01, 1.0, 2.0, 50.0):
        below = np.searchsorted(x[order], value, side="left")
        until = np.searchsorted(x[order], value, side="right")
        expected = 0.5 * sum(upto[k - 1] if k else 0.0 for k in (below, until))
        assert float(prior_cdf(scale, jnp.float32([value]))[0]) == pytest.approx(expected, abs=2e-3)
    assert float(prior_cdf(scale, jnp.float32([-1.0]))[0]) == 0.0
    assert np.asarray(at).min() >= 0.0
    assert np.asarray(at).max() <= 1.0


@pytest.mark.parametrize("family", ["normal at 1e-8", "rate at 1e-8", "teams", "outlier"])
def test_labels_lie_within_their_stated_error(family: str) -> None:
    """Surprising evidence, several latents, two modes: twenty labels, at most one too far off."""
    far = total = 0
    for number in range(10):
        one, gold = FAMILIES[family](np.random.default_rng([21, number]), number)
        for label, exact in zip(
            labels_of(one, particles=(1024,), moves=(6,), final_moves=(12,)), gold
        ):
            found = distance(label, exact)
            assert found < 2.0 * label.error + 1e-6, label.ask_id
            far += found > label.error
            total += 1
    assert far <= 0.2 * total


def test_log_evidence_is_the_marginal_likelihood() -> None:
    one, _ = FAMILIES["normal at 1e-8"](np.random.default_rng(3), 0)
    made = prepare(one)
    ((_, runs),) = route.run_tempered(requests_of(made), [one.id], 1024, 6, 12, seed=0)
    sd = float(one.model[1].expr.split("sd=")[1][:-1])
    seen = float(one.given[0].that.split("==")[1])
    expected = stats.norm(0, (1 + sd**2) ** 0.5).logpdf(seen)
    assert np.mean([run.log_evidence for run in runs]) == pytest.approx(expected, abs=0.25)
    assert [int(run.stages) > 4 for run in runs] == [True, True]


def test_hard_facts_are_kept_by_every_state_of_a_label() -> None:
    """An order of six normals, 1 in 720: the label is that of an order statistic."""
    rng = np.random.default_rng(4)
    one, gold = next(
        made
        for made in (FAMILIES["order"](rng, i) for i in range(50))
        if len(made[0].sets[0].members) == 6
    )
    settings = {"particles": (2048,), "moves": (15,), "final_moves": (50,)}
    found = labels_of(one, **settings)
    for label, exact in zip(found, gold):
        assert distance(label, exact) < max(label.error, 0.02)
    ((_, runs),) = route.run_tempered(requests_of(prepare(one)), [one.id], 2048, 15, 50, seed=0)
    for run in runs:
        assert float(run.sum_G.sum()) <= float(run.states)
        assert float(run.cells_AGC[0].sum()) == float(run.sum_G.sum())


def test_shapes_that_depend_on_other_draws_keep_their_exact_prior() -> None:
    """Their proposals' density ratio is prior, not likelihood; quadrature over the shape."""
    one = scenario(
        [
            node("k", "uniform(low=0.5, high=6)"),
            node("g", "gamma(mean=3, shape=k)"),
            node("y", "normal(mean=g, sd=0.05)"),
        ],
        ["y == 9"],
        [ask("value", "k", low=0, high=6)],
    )
    label = labels_of(one)[0]
    k = np.linspace(0.5, 6, 5501)
    density = stats.gamma.pdf(9.0, k, scale=3 / k)
    cells = np.floor(k / 6 * 100 + 0.5).astype(int)
    gold = np.bincount(cells, density, minlength=101)
    assert distance(label, gold / gold.sum()) < label.error + 2e-3


def test_discrete_latents_need_no_gradients() -> None:
    """Ten machines, some of them broken, told apart by noisy sums; enumeration is exact."""
    n = 10
    names = [f"m{i}" for i in range(n)]
    pairs = [(i, (i + 1) % n) for i in range(n)]
    model = [node("bad", "yes(p=0.2)", "who")]
    given = []
    seen = np.random.default_rng(5).normal(1.0, 0.8, n).round(2)
    for j, (a, b) in enumerate(pairs):
        model.append(node(f"r{j}", f"normal(mean=bad['m{a}'] + bad['m{b}'], sd=0.5)"))
        given.append(f"r{j} == {seen[j]}" if seen[j] >= 0 else f"r{j} == -{-seen[j]}")
    asks = [ask("choice", f"bad['{name}']") for name in names[:4]]
    one = scenario(model, given, asks, sets={"who": names})
    states = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    logw = (np.log(0.2) * states + np.log(0.8) * (1 - states)).sum(axis=1)
    for j, (a, b) in enumerate(pairs):
        logw = logw + stats.norm.logpdf(seen[j], states[:, a] + states[:, b], 0.5)
    w = np.exp(logw - logw.max())
    gold = (w[:, None] * states).sum(axis=0) / w.sum()
    made = prepare(one)
    made.__dict__["table"] = assemble(made.program)  # nothing summed out
    for place, label in enumerate(labels_of(made)):
        assert label.probs[1] == pytest.approx(gold[place], abs=max(label.error, 0.01))


def test_runs_are_bitwise_the_same_in_any_company_and_order() -> None:
    cases = [parse_scenario(random_document(seed)) for seed in range(4)]
    effort = (1024, 2, 3)

    def rows(chosen: list[Scenario]) -> dict[str, bytes]:
        requests = [requests_of(prepare(one))[0] for one in chosen]
        made = route.run_tempered(requests, [one.id for one in chosen], *effort, seed=0)
        return {
            one.id: b"".join(np.asarray(x).tobytes() for x in jax.tree.leaves(result))
            for one, result in zip(chosen, made)
        }

    together = rows(cases)
    assert rows(cases[::-1]) == together
    assert rows(cases[2:3])[cases[2].id] == together[cases[2].id]
    assert len(set(together.values())) == len(cases)


def test_programs_side_by_side_give_the_labels_of_programs_in_turn() -> None:
    """The form for accelerators (`vmap` over programs) against the form for CPUs."""
    case, _ = FAMILIES["normal at 1e-4"](np.random.default_rng(6), 0)
    request = requests_of(prepare(case))[0]
    arguments = ([request], [case.id], 1024, 2, 3)
    ((_, turn),) = route.run_tempered(*arguments, seed=0)
    ((_, abreast),) = route.run_tempered(*arguments, seed=0, wide=True, batch=1)
    for a, b in zip(turn, abreast):
        # one rounding apart, a move is accepted here and not there; then it is another sample
        np.testing.assert_allclose(a.log_evidence, b.log_evidence, atol=0.1)
        h, g = (run.cells_AGC[0].sum(axis=0) / run.sum_G.sum() for run in (a, b))
        twenty = np.arange(h.size) // 5
        assert total_variation(*(np.bincount(twenty, weights=x) for x in (h, g))) < 0.05


def test_the_spread_of_groups_predicts_the_error() -> None:
    """Independent states: the group estimate is the binomial one."""
    rng = np.random.default_rng(7)
    law = np.diff(stats.norm(50, 12).cdf(np.arange(-0.5, 101.5)))
    law /= law.sum()
    ratios = []
    for _ in range(40):
        counts = np.zeros((2, 16, 1024))
        counts[:, :, 1:102] = rng.multinomial(64, law, size=(2, 16))
        _, predicted, disagreement = run_errors(counts, np.full((2, 16), 64.0), LINEAR, True)
        h = np.bincount(np.minimum(np.arange(101) // 5, 19), weights=law)
        truth = 0.4 * np.sqrt(h * (1 - h) / (2 * 16 * 64)).sum()
        ratios.append((predicted / truth, 0.5 * disagreement / truth))
    assert np.mean(ratios, axis=0) == pytest.approx([1.0, 1.0], rel=0.12)


def test_two_runs_that_agree_and_are_both_wrong_are_refused() -> None:
    """Forty hidden bits, not summed out: the runs agree, only the mixing gate sees the bias."""
    case, gold = FAMILIES["screening"](np.random.default_rng([5, 5]), 5)
    made = prepare(case)
    summed = labels_of(made, particles=(1024,), moves=(6,), final_moves=(12,))
    assert max(distance(label, exact) for label, exact in zip(summed, gold)) < 0.03
    made.__dict__["table"] = assemble(made.program)
    loose = {"max_disagreement": 0.1, "max_error": 0.1}
    effort = {"particles": (4096,), "moves": (6,), "final_moves": (24,)}
    config = LabelConfig(**effort, **loose)  # type: ignore[arg-type]
    (outcome,) = route.tempered_route([made], 4096, config)
    wrong = [distance(label, exact) for label, exact in zip(outcome.labels, gold)]
    assert max(d / label.error for d, label in zip(wrong, outcome.labels)) > 1.5
    blind = dataclasses.replace(config, max_mixing=1.0)
    assert gates.failed_gate(outcome, blind) == ""
    charged = gates.with_shift(outcome.labels, (), config)
    refused = gates.failed_gate(dataclasses.replace(outcome, labels=charged), config)
    assert "correlation" in refused
