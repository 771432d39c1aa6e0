"""Variable elimination against sums over all states, another order, samples, and enumeration."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from ppt_jax.inference.cascade import Labelled, Reject, label_scenarios
from ppt_jax.inference.discrete_route import discrete_route, elimination_route
from ppt_jax.inference.elimination import Factor, Plan, TooWideError, eliminate, plan_order
from ppt_jax.inference.labels import LabelConfig, SoftLabel
from ppt_jax.inference.routes import exact_route, prepare
from ppt_jax.scenario.document import Scenario
from tests.inference.corpus import ask, node, scenario

# -- factor graphs -------------------------------------------------------------------------------


def random_factors(rng: np.random.Generator) -> tuple[list[int], list[Factor]]:
    count = int(rng.integers(1, 8))
    sizes = rng.integers(1, 4, count).tolist()
    factors = []
    for _ in range(int(rng.integers(1, 9))):
        chosen = rng.choice(count, int(rng.integers(0, min(count, 3) + 1)), replace=False)
        scope = tuple(sorted(int(v) for v in chosen))
        table = 5.0 * np.asarray(rng.normal(size=[sizes[v] for v in scope]))
        factors.append(Factor(scope, np.where(rng.random(table.shape) < 0.2, -np.inf, table)))
    return sizes, factors


def by_brute_force(sizes: list[int], factors: list[Factor], keep: list[int]) -> np.ndarray:
    """The sum over every joint state, one at a time; unused variables count once."""
    used = {v for factor in factors for v in factor.scope} | set(keep)
    ranges = [range(size) if v in used else range(1) for v, size in enumerate(sizes)]
    total = np.zeros([sizes[v] for v in keep])
    for state in itertools.product(*ranges):
        log_p = sum(float(f.log_table[tuple(state[v] for v in f.scope)]) for f in factors)
        total[tuple(state[v] for v in keep)] += math.exp(log_p)
    return total


@pytest.mark.parametrize("seed", range(60))
def test_elimination_is_the_sum_over_all_states(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes, factors = random_factors(rng)
    keep = [int(v) for v in rng.permutation(len(sizes))[: rng.integers(0, len(sizes) + 1)]]
    found = eliminate(sizes, factors, keep)
    right = by_brute_force(sizes, factors, keep)
    np.testing.assert_allclose(np.exp(found), right, rtol=1e-11, atol=1e-300)


def random_network(count: int, reach: int, seed: int) -> tuple[list[int], list[Factor]]:
    """Conditional tables; parents are among the ``reach`` variables before, so width is bounded."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 6, count).tolist()
    factors = []
    for v in range(count):
        most = min(v, int(rng.integers(0, 5)))
        above = rng.choice(np.arange(max(0, v - reach), v), min(most, v, reach), replace=False)
        scope = (*sorted(int(p) for p in above), v)
        table = rng.dirichlet(np.ones(sizes[v]), size=[sizes[p] for p in scope[:-1]])
        factors.append(Factor(scope, np.log(table)))
    return sizes, factors


@pytest.mark.parametrize(("count", "reach"), [(40, 7), (70, 6), (100, 6)])
def test_large_networks_agree_between_orders_and_with_samples(count: int, reach: int) -> None:
    sizes, factors = random_network(count, reach, seed=count)
    target, seen = count - 3, count // 2
    evidence = np.full(sizes[seen], -np.inf)
    evidence[0] = 0.0
    given = [*factors, Factor((seen,), evidence)]
    scopes = [factor.scope for factor in given]
    plan = plan_order(sizes, scopes, [target])
    in_order = Plan(tuple(v for v in range(count) if v != target), 0, 0)  # oldest first
    first = eliminate(sizes, given, [target], plan)
    second = eliminate(sizes, given, [target], in_order)
    np.testing.assert_allclose(first, second, rtol=0, atol=1e-10)

    rng = np.random.default_rng(1)
    draws = 40_000
    values = np.zeros((count, draws), int)
    for v, factor in enumerate(factors):
        table = np.exp(factor.log_table)[tuple(values[p] for p in factor.scope[:-1])]
        table = np.broadcast_to(table, (draws, sizes[v]))
        values[v] = (table.cumsum(axis=1) < rng.random((draws, 1))).sum(axis=1)
    fits = values[seen] == 0
    share = np.bincount(values[target][fits], minlength=sizes[target]) / fits.sum()
    posterior = np.exp(first - np.logaddexp.reduce(first))
    assert np.abs(share - posterior).max() < 4.5 * math.sqrt(0.25 / fits.sum())


def test_likelihoods_far_below_the_smallest_float_keep_their_ratio() -> None:
    factors = [Factor((0,), np.array([-5000.0, -5001.0])), Factor((0,), np.array([0.0, -2000.0]))]
    factors += [Factor((0,), np.array([-2000.0, 0.0]))]
    found = eliminate([2], factors, [0])
    np.testing.assert_allclose(found, [-7000.0, -7001.0])


def test_impossible_is_minus_infinity_and_not_nan() -> None:
    never = Factor((0, 1), np.full((2, 2), -np.inf))
    assert eliminate([2, 2], [never]) == -np.inf
    np.testing.assert_array_equal(eliminate([2, 2], [never], [1]), [-np.inf, -np.inf])


def test_a_dense_graph_is_refused_with_its_width() -> None:
    pairs = [(a, b) for a in range(30) for b in range(a)]
    with pytest.raises(TooWideError, match="30 variables cannot be summed out"):
        plan_order([2] * 30, [tuple(sorted(pair)) for pair in pairs], max_table=1 << 20)
    with pytest.raises(TooWideError, match="asked variables has 1073741824"):
        plan_order([2] * 30, [], keep=range(30))


def test_the_order_of_a_chain_is_linear_in_its_length() -> None:
    plan = plan_order([3] * 500, [(v, v + 1) for v in range(499)], [499])
    assert plan.widest == 9
    assert plan.cost <= 9 * 500


# -- programs ------------------------------------------------------------------------------------


def random_discrete(seed: int) -> Scenario:
    """A random program of yes, pick and successes draws whose joint states can be written out."""
    rng = np.random.default_rng(seed)
    sets = {"item": ["Ada", "Bo", "Cy"][: int(rng.integers(2, 4))]}
    model = [node("who", "pick(item)"), node("good", f"yes(p={rng.uniform(0.2, 0.8):.2f})", "item")]
    names = ["good[who]", "(1 if who == 'Ada' else 0)"]
    for place in range(int(rng.integers(1, 4))):
        a, b = rng.choice(names, 2)
        low, step = rng.uniform(0.05, 0.4), rng.uniform(0.1, 0.5)
        kind = int(rng.integers(0, 4))
        name = f"x{place}"
        if kind == 0:
            model.append(node(name, f"yes(p=clip({low:.2f} + {step:.2f} * {a}, 0.01, 0.99))"))
        elif kind == 1:
            model.append(node(name, f"successes(n={int(rng.integers(1, 4))}, p=0.1 + 0.2 * {a})"))
            name = f"{name} / 4"
        elif kind == 2:
            weights = ", ".join(["1", f"2 + {a}", "1"][: len(sets["item"])])
            model.append(node(name, f"pick(item, weights=[{weights}])"))
            name = f"good[{name}]"
        else:
            model.append(node(name, f"total(good[item], item) + {a} * {b}"))
            name = f"{name} / 5"
        names.append(name)
    seen = rng.choice(names)
    model.append(node("report", f"normal(mean={seen} + 0.5 * {names[0]}, sd=0.6)"))
    model.append(node("again", f"yes(p=clip(0.3 + 0.4 * {names[-1]}, 0.01, 0.99))"))
    asks = [
        ask("value", "total(good[item], item)", low=0, high=100, unit="items"),
        ask("chance", "clip(0.1 + 0.5 * " + str(rng.choice(names)) + ", 0, 1)"),
        ask("rank", "good['Ada'] + 2 * " + names[-1]),
        ask("choice", "who", options=sets["item"]),
    ]
    given = [f"report == {rng.normal(0.5, 0.5):.3f}", "again == 1"]
    if rng.random() < 0.5:
        given.append("total(good[item], item) >= 1")
    return scenario(model, given, asks, sets=sets, name=f"discrete-{seed}")


def assert_same(mine: SoftLabel, right: SoftLabel) -> None:
    np.testing.assert_allclose(mine.probs, right.probs, rtol=0, atol=1e-12)
    np.testing.assert_allclose(mine.prior_probs, right.prior_probs, rtol=0, atol=1e-12)
    assert mine.information == pytest.approx(right.information, abs=1e-9)
    assert (mine.error, mine.error_101, mine.route) == (0.0, 0.0, "exact")
    assert mine.mass_below == pytest.approx(right.mass_below, abs=1e-12)
    assert mine.mass_above == pytest.approx(right.mass_above, abs=1e-12)


@pytest.mark.parametrize("seed", range(40))
def test_programs_have_the_labels_of_written_out_states(seed: int) -> None:
    one = prepare(random_discrete(seed))
    mine, right = elimination_route(one), exact_route(one)
    assert mine.reason == right.reason == ""
    for found, enumerated in zip(mine.labels, right.labels, strict=True):
        assert_same(found, enumerated)


def votes(members: int, asks: list[dict[str, object]], seen: int) -> Scenario:
    """Independent yes draws that are only seen through their number (a Poisson-binomial)."""
    names = [f"m{i}" for i in range(members)]
    model = [
        node("fair", "yes(p=0.4)"),
        node("vote", "yes(p=0.7 if fair else 0.35)", "voter"),
        node("told", "yes(p=0.9 if vote[voter] else 0.2)", "voter"),
    ]
    told = [f"told['{name}'] == {int(i < seen)}" for i, name in enumerate(names)]
    return scenario(model, told, asks, sets={"voter": names}, name="votes")


def test_sixty_latents_and_their_number_have_the_closed_form() -> None:
    asks = [
        ask("value", "total(vote[voter], voter)", low=0, high=100, unit="votes"),
        ask("choice", "fair", options=["no", "yes"]),
        ask("rank", "total(vote[voter], voter)"),
    ]
    one = prepare(votes(60, asks, seen=38))
    outcome = discrete_route(one)
    like = {}
    counts = {}
    for fair, p in ((1, 0.7), (0, 0.35)):
        yes, no = p * 0.9 + (1 - p) * 0.2, p * 0.1 + (1 - p) * 0.8
        like[fair] = (0.4 if fair else 0.6) * yes**38 * no**22
        first = stats.binom.pmf(np.arange(39), 38, p * 0.9 / yes)
        rest = stats.binom.pmf(np.arange(23), 22, p * 0.1 / no)
        counts[fair] = np.convolve(first, rest)
    right = (like[1] * counts[1] + like[0] * counts[0]) / (like[0] + like[1])
    np.testing.assert_allclose(outcome.labels[0].probs[:61], right, rtol=0, atol=1e-12)
    np.testing.assert_allclose(outcome.labels[1].probs[1], like[1] / sum(like.values()), atol=1e-12)
    prior = 0.4 * stats.binom.pmf(np.arange(61), 60, 0.7)
    prior += 0.6 * stats.binom.pmf(np.arange(61), 60, 0.35)
    np.testing.assert_allclose(outcome.labels[0].prior_probs[:61], prior, atol=1e-12)
    middle = np.cumsum(prior) - 0.5 * prior
    rank = right @ stats.binom.pmf(np.arange(101), 100, middle[:, None])
    np.testing.assert_allclose(outcome.labels[2].probs, rank, rtol=0, atol=1e-12)


def test_a_hidden_chain_has_the_labels_of_forward_and_backward() -> None:
    days = [f"d{i}" for i in range(50)]
    model = [
        node("wet", "yes(p=0.8 if prev(wet, first=0) else 0.1)", "day"),
        node("seen", "yes(p=0.7 if wet[day] else 0.2)", "day"),
    ]
    told = [int(v) for v in np.random.default_rng(3).random(50) < 0.4]
    given = [f"seen['{day}'] == {v}" for day, v in zip(days, told)]
    asks = [ask("choice", f"wet['{day}']", options=["no", "yes"]) for day in ("d0", "d20", "d49")]
    found = discrete_route(prepare(scenario(model, given, asks, sets={"day": days}))).labels
    step = np.array([[0.9, 0.1], [0.2, 0.8]])
    like = np.array([[0.2, 0.7] if v else [0.8, 0.3] for v in told])
    forward, backward = np.zeros((50, 2)), np.ones((50, 2))
    forward[0] = step[0] * like[0]
    for t in range(1, 50):
        forward[t] = (forward[t - 1] @ step) * like[t]
    for t in range(48, -1, -1):
        backward[t] = step @ (backward[t + 1] * like[t + 1])
    smoothed = forward * backward
    smoothed /= smoothed.sum(axis=1, keepdims=True)
    for label, t in zip(found, (0, 20, 49)):
        np.testing.assert_allclose(label.probs, smoothed[t], rtol=0, atol=1e-12)


def test_counts_whose_number_of_trials_is_itself_drawn() -> None:
    model = [node("people", "count(rate=6)"), node("ill", "successes(n=people, p=0.3)")]
    asks = [ask("value", "people", low=0, high=100, unit="people")]
    found = discrete_route(prepare(scenario(model, ["ill == 4"], asks))).labels[0]
    left = stats.poisson.pmf(np.arange(97), 6 * 0.7)  # thinning: those not ill stay Poisson
    np.testing.assert_allclose(found.probs[4:], left, rtol=0, atol=1e-12)
    far = [node("people", "count(rate=2)"), node("ill", "successes(n=people, p=0.5)")]
    label = discrete_route(prepare(scenario(far, ["ill == 60"], asks))).labels[0]
    np.testing.assert_allclose(label.probs[60:], stats.poisson.pmf(np.arange(41), 1.0), atol=1e-12)


def test_a_pick_among_many_reads_one_element_without_a_table_over_all() -> None:
    people = [f"p{i}" for i in range(40)]
    model = [
        node("thief", "pick(who)"),
        node("tall", "yes(p=0.25)", "who"),
        node("shadow", "yes(p=0.9 if tall[thief] else 0.1)"),
    ]
    given = ["shadow == 1", "tall['p0'] == 1", "tall['p1'] == 0"]
    asks = [ask("choice", "thief", options=people)]
    found = discrete_route(prepare(scenario(model, given, asks, sets={"who": people}))).labels[0]
    weight = np.full(40, 0.25 * 0.9 + 0.75 * 0.1)
    weight[0], weight[1] = 0.9, 0.1
    np.testing.assert_allclose(found.probs, weight / weight.sum(), rtol=0, atol=1e-12)


def only(one: Scenario, **config: object) -> Labelled | Reject:
    return label_scenarios([one], LabelConfig(**config))[0]  # type: ignore[arg-type]


def test_the_cascade_takes_the_exact_route_and_says_what_stands_in_its_way() -> None:
    asks = [ask("choice", "fair", options=["no", "yes"])]
    large = only(votes(60, asks, seen=30))
    assert isinstance(large, Labelled)
    assert (large.labels[0].route, large.labels[0].error) == ("exact", 0.0)
    model = [node("bias", "normal(mean=0, sd=1)"), node("fair", "yes(p=sigmoid(bias))")]
    other = only(scenario(model, ["bias > 0"], asks), engine="exact")
    assert isinstance(other, Reject)
    assert (other.reason, other.detail) == (
        "not_enumerable",
        "latent 'bias' is continuous (normal)",
    )
    names = [f"m{i}" for i in range(40)]
    weighted = " + ".join(f"{3**i % 1009 + i / 7:.3f} * v['{n}']" for i, n in enumerate(names[:12]))
    more = " + ".join(f"{5**i % 997 + i / 9:.3f} * v['{n}']" for i, n in enumerate(names[12:24]))
    model = [
        node("v", "yes(p=0.4)", "who"),
        node("a", weighted),
        node("b", more),
        node("y", "normal(mean=a + b, sd=90)"),
    ]
    wide = scenario(model, ["y == 3000"], [ask("rank", "a")], sets={"who": names})
    found = only(wide, engine="exact")
    assert isinstance(found, Reject)
    assert found.reason == "not_enumerable"
    assert "depends on 24 latents at once" in found.detail
    by_weights = only(wide)
    assert isinstance(by_weights, Labelled)
    assert by_weights.labels[0].route != "exact"


def test_impossible_evidence_and_values_that_do_not_exist_are_named() -> None:
    asks = [ask("choice", "fair", options=["no", "yes"])]
    base = votes(40, asks, seen=20)
    model = [
        node("fair", "yes(p=0.4)"),
        node("v", "yes(p=0.5)", "who"),
        node("ratio", "v['m0'] / total(v[who], who)"),
        node("y", "normal(mean=ratio + fair, sd=1)"),
    ]
    sets = {"who": [f"m{i}" for i in range(30)]}  # 0 / 0 where no v is 1
    never = scenario(
        model[:2], ["total(v[who], who) > 29 + 2 * fair + 2 * (1 - fair)"], asks, sets=sets
    )
    assert discrete_route(prepare(never)).reason == "impossible_evidence"
    broken = scenario(model, ["y == 1"], asks, sets=sets)
    assert elimination_route(prepare(broken)).reason == "nonfinite_program"
    ruled_out = scenario(model, ["y == 1", "v['m1'] == 1"], asks, sets=sets)
    assert elimination_route(prepare(ruled_out)).reason == ""
    assert elimination_route(prepare(base)).reason == ""
