"""Labels against closed forms, enumeration and each other; named rejects; bitwise independence."""

from __future__ import annotations

import math

import jax
import numpy as np
import pytest
from scipy import stats

from ppt_jax.errors import UserError
from ppt_jax.inference import exact, importance, kernel, labels
from ppt_jax.inference.cascade import Labelled, Reject, label_scenarios
from ppt_jax.inference.labels import LabelConfig, SoftLabel, label_from_dict, label_to_dict
from ppt_jax.inference.program import lower
from ppt_jax.inference.routes import ask_arrays, prepare
from ppt_jax.scenario.document import Scenario, parse_scenario
from tests.inference.corpus import ask, node, random_document, scenario, true_asks, worked_example

pytestmark = pytest.mark.slow

WEIGHTED = ("table", "numpyro")


def labels_of(one: Scenario, **settings: object) -> tuple[SoftLabel, ...]:
    result = label_scenarios([one], LabelConfig(**settings))[0]  # type: ignore[arg-type]
    assert isinstance(result, Labelled), result
    return result.labels


def answer_bins(law: object, low: float, high: float) -> np.ndarray:
    """Exact probabilities of the 101 answers on a range."""
    edges = low + (high - low) * (np.arange(102) - 0.5) / 100
    mass = np.diff(law.cdf(edges))  # type: ignore[attr-defined]
    return mass / mass.sum()


def twenty(p: np.ndarray) -> np.ndarray:
    return np.bincount(np.minimum(np.arange(101) // 5, 19), weights=p)


def tv(p: np.ndarray, q: np.ndarray) -> float:
    return 0.5 * float(np.abs(p - q).sum())


BETA = scenario(
    [node("p", "beta(a=2, b=3)"), node("heads", "successes(n=10, p=p)")],
    ["heads == 7"],
    [ask("chance", "p"), ask("rank", "p"), ask("value", "p", low=0, high=1)],
    truth={"p": 0.6, "heads": 7},
)
NORMAL = scenario(
    [node("mu", "normal(mean=50, sd=15)"), node("seen", "normal(mean=mu, sd=10)")],
    ["seen == 70"],
    [ask("value", "mu", low=0, high=100), ask("rank", "mu"), ask("choice", "mu > 60")],
    truth={"mu": 64.0, "seen": 70.0},
)
GAMMA = scenario(
    [node("rate", "gamma(mean=6, shape=3)"), node("day", "count(rate=rate)", "days")],
    ["day['a'] == 9", "day['b'] == 11"],
    [ask("value", "rate", low=0, high=25), ask("rank", "rate")],
    sets={"days": ["a", "b"]},
)
CLOSED = {
    "beta": (BETA, 0, stats.beta(9, 6), 0.0, 1.0, stats.beta(2, 3)),
    "normal": (
        NORMAL,
        0,
        stats.norm((50 / 225 + 70 / 100) / (1 / 225 + 1 / 100), (1 / 225 + 1 / 100) ** -0.5),
        0.0,
        100.0,
        stats.norm(50, 15),
    ),
    "gamma": (GAMMA, 0, stats.gamma(23, scale=1 / 2.5), 0.0, 25.0, stats.gamma(3, scale=2)),
}


@pytest.mark.parametrize("engine", WEIGHTED)
@pytest.mark.parametrize("name", sorted(CLOSED))
def test_closed_forms_lie_within_the_stated_error(name: str, engine: str) -> None:
    one, place, law, low, high, prior_law = CLOSED[name]
    label = labels_of(one, engine=engine)[place]
    expected = answer_bins(law, low, high)
    # a stated error is an expectation: independent draws may exceed it, shared points should not
    slack = 1.0 if engine == "table" else 2.0
    assert tv(twenty(label.probs), twenty(expected)) < slack * label.error
    assert tv(label.probs, expected) < slack * label.error_101
    assert label.error < 0.03
    assert label.probs.sum() == pytest.approx(1.0)
    prior = answer_bins(prior_law, low, high)
    assert tv(twenty(label.prior_probs), twenty(prior)) < 0.02
    gain = float(np.sum(expected * np.log(expected / prior)))
    assert label.information == pytest.approx(gain, abs=0.03)


@pytest.mark.parametrize("engine", WEIGHTED)
@pytest.mark.parametrize("name", sorted(CLOSED))
def test_rank_is_the_number_beaten_of_a_hundred_drawn_from_the_prior(
    name: str, engine: str
) -> None:
    one, _, law, _, _, prior_law = CLOSED[name]
    place = 1
    label = labels_of(one, engine=engine)[place]
    x = law.ppf((np.arange(20000) + 0.5) / 20000)
    expected = stats.binom.pmf(np.arange(101)[:, None], 100, prior_law.cdf(x)).mean(axis=1)
    assert tv(label.probs, expected) < (1.0 if engine == "table" else 2.0) * label.error + 0.003
    assert tv(label.prior_probs, np.full(101, 1 / 101)) < 0.005


def test_true_answers_and_true_ranks() -> None:
    value, rank, choice = labels_of(NORMAL)
    law, prior = CLOSED["normal"][2], CLOSED["normal"][5]
    assert value.true_answer == 64
    assert value.true_rank == pytest.approx(law.cdf(64.0), abs=0.01)
    assert rank.true_answer == round(100 * prior.cdf(64.0))
    assert rank.true_rank == pytest.approx(law.cdf(64.0), abs=0.01)
    assert choice.true_answer == 1
    assert choice.true_rank == pytest.approx(choice.probs[0] + 0.5 * choice.probs[1], abs=1e-4)
    chance = labels_of(BETA)[0]
    assert chance.true_answer == 60


def test_explaining_away_is_exact() -> None:
    label = labels_of(worked_example("kiln-crack-01"))[0]
    assert label.route == "exact"
    assert label.error == 0.0
    assert label.probs[1] == pytest.approx(0.08075 / 0.155, abs=1e-12)
    assert label.prior_probs[1] == pytest.approx(0.10, abs=1e-12)
    for engine in WEIGHTED:
        other = labels_of(worked_example("kiln-crack-01"), engine=engine)[0]
        assert tv(other.probs, label.probs) < 3 * other.error


@pytest.mark.parametrize("engine", WEIGHTED)
def test_rowing_example(engine: str) -> None:
    power, stronger, bad = labels_of(worked_example("rowing-pairs-07"), engine=engine)
    mean = float(power.probs @ np.arange(101))
    assert mean == pytest.approx(60.0, abs=0.6)
    sd = math.sqrt(float(power.probs @ (np.arange(101) - mean) ** 2))
    assert sd == pytest.approx(12.8, abs=0.6)
    assert stronger.probs[1] == pytest.approx(0.644, abs=3 * stronger.error)
    assert bad.probs[1] == pytest.approx(0.377, abs=3 * bad.error)
    assert bad.prior_probs[1] == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("engine", WEIGHTED)
def test_changepoint_example(engine: str) -> None:
    by_id = {
        label.ask_id: label for label in labels_of(worked_example("ferry-bells-12"), engine=engine)
    }
    first = by_id["q1"]
    gold = np.array([0.0, 0.0724, 0.0699, 0.6122, 0.1655, 0.0376, 0.0425])
    assert tv(first.probs, gold) < 2 * first.error + 1e-3
    rate = by_id["q2"]
    assert float(rate.probs @ np.arange(101)) * 0.3 == pytest.approx(9.391, abs=0.15)


def test_enumeration_equals_brute_force_over_the_states() -> None:
    """Every joint state by hand, with a pick that indexes, and against the kernel."""
    one = scenario(
        [
            node("who", "pick(kid, weights=[1, 2, 1])"),
            node("rash", "yes(p=0.3)", "kid"),
            node("score", "successes(n=4, p=0.8 if rash[who] else 0.3)"),
        ],
        ["score == 3", "rash['Bo'] == 0"],
        [ask("choice", "who", options=["Ada", "Bo", "Cy"]), ask("choice", "rash['Ada']")],
        sets={"kid": ["Ada", "Bo", "Cy"]},
    )
    joint = np.zeros((3, 2))
    for who, weight in enumerate((0.25, 0.5, 0.25)):
        for ada in (0, 1):
            for cy in (0, 1):
                hit = (ada, 0, cy)[who]
                like = stats.binom.pmf(3, 4, 0.8 if hit else 0.3)
                prior = weight * (0.3 if ada else 0.7) * (0.3 if cy else 0.7)
                joint[who, ada] += prior * like
    joint /= joint.sum()
    first, second = labels_of(one)
    assert (first.route, second.route) == ("exact", "exact")
    np.testing.assert_allclose(first.probs, joint.sum(axis=1), atol=1e-12)
    np.testing.assert_allclose(second.probs, joint.sum(axis=0), atol=1e-12)
    assert exact.joint_size(lower(one)) == 12
    by_table = labels_of(one, engine="table")
    assert tv(by_table[0].probs, first.probs) < by_table[0].error + 1e-3


def test_exact_ranks_agree_with_the_kernels_ranks() -> None:
    one = scenario(
        [node("hits", "successes(n=30, p=0.5)"), node("report", "yes(p=hits / 30)")],
        ["report == 1"],
        [ask("rank", "hits"), ask("value", "hits", low=0, high=30)],
        truth={"hits": 18, "report": 1},
    )
    by_states, by_points = labels_of(one), labels_of(one, engine="table")
    for a, b in zip(by_states, by_points):
        assert tv(twenty(a.probs), twenty(b.probs)) < b.error + 1e-3
        assert tv(a.probs, b.probs) < b.error_101 + 4e-3  # atoms spread over cells of the CDF
        assert a.true_rank == pytest.approx(b.true_rank, abs=5e-3)
        assert a.true_answer == b.true_answer


def test_an_observed_draw_inside_an_ask_has_its_own_prior() -> None:
    """The prior of `next level` is over drawn levels, not over the one that was seen."""
    one = scenario(
        [
            node("base", "normal(mean=50, sd=10)"),
            node("level", "normal(mean=base, sd=5)"),
            node("later", "normal(mean=level, sd=5)"),
        ],
        ["level == 70"],
        [ask("value", "later", low=0, high=100), ask("rank", "later")],
    )
    for engine in WEIGHTED:
        value, rank = labels_of(one, engine=engine)
        exact_posterior = answer_bins(stats.norm(70, 5), 0, 100)
        exact_prior = answer_bins(stats.norm(50, 150**0.5), 0, 100)
        assert tv(twenty(value.probs), twenty(exact_posterior)) < 2 * value.error
        assert tv(twenty(value.prior_probs), twenty(exact_prior)) < 0.02
        mean = float(rank.probs @ np.arange(101))
        F = stats.norm(50, 150**0.5).cdf(stats.norm(70, 5).ppf((np.arange(5000) + 0.5) / 5000))
        assert mean == pytest.approx(100 * F.mean(), abs=1.0)


@pytest.mark.parametrize("seed", [0, 2, 8])
def test_engines_agree_on_random_programs_within_their_errors(seed: int) -> None:
    one = parse_scenario(random_document(seed))
    loose = {"max_outside": 1.0, "points": (16384,), "max_error": 0.2, "min_ess": 100}
    by_table = label_scenarios([one], LabelConfig(engine="table", **loose))[0]  # type: ignore[arg-type]
    by_numpyro = label_scenarios([one], LabelConfig(engine="numpyro", **loose))[0]  # type: ignore[arg-type]
    assert isinstance(by_table, Labelled), by_table
    assert isinstance(by_numpyro, Labelled), by_numpyro
    for a, b in zip(by_table.labels, by_numpyro.labels):
        coarse = twenty if len(a.probs) == 101 else np.asarray
        distance = tv(coarse(a.probs), coarse(b.probs))
        assert distance < 3 * (a.predicted + b.predicted) + 1e-3, a.ask_id
        assert a.information == pytest.approx(b.information, abs=0.1 + 0.1 * a.information)
        assert a.mass_above == pytest.approx(b.mass_above, abs=0.02)


def test_labels_are_bitwise_the_same_in_any_company_and_order() -> None:
    cases = [parse_scenario(random_document(seed)) for seed in range(6)]
    cases += [BETA, NORMAL, worked_example("kiln-crack-01"), worked_example("rowing-pairs-07")]
    config = LabelConfig(points=(8192,), max_error=1.0, min_ess=0, pair_ess=0, max_weight=1.0)
    together = label_scenarios(cases, config)
    backwards = label_scenarios(cases[::-1], config)[::-1]
    alone = [label_scenarios([case], config)[0] for case in cases]
    for a, b, c in zip(together, backwards, alone):
        assert rows(a) == rows(b) == rows(c)


def test_numpyro_labels_are_bitwise_the_same_in_any_company() -> None:
    other = scenario(
        [node("mu", "normal(mean=40, sd=5)"), node("seen", "normal(mean=mu, sd=3)")],
        ["seen == 44"],
        [ask("value", "mu", low=0, high=100), ask("rank", "mu"), ask("choice", "mu > 41")],
        name="other",
    )
    config = LabelConfig(engine="numpyro", points=(8192,))
    assert prepare(other).structure.signature == prepare(NORMAL).structure.signature
    together = label_scenarios([NORMAL, other] * 9, config)
    assert rows(together[0]) == rows(label_scenarios([NORMAL], config)[0])
    assert rows(together[-1]) == rows(label_scenarios([other], config)[0])
    assert rows(together[0]) != rows(together[1])


def rows(result: Labelled | Reject) -> object:
    if isinstance(result, Reject):
        return (result.reason, result.detail, result.tried)
    return [label_to_dict(label) for label in result.labels]


def test_a_label_survives_json() -> None:
    for label in labels_of(NORMAL) + labels_of(worked_example("kiln-crack-01")):
        back = label_from_dict(label_to_dict(label))
        np.testing.assert_allclose(back.probs, label.probs, atol=1e-10)
        assert label_to_dict(back) == label_to_dict(label)


def test_evidence_at_one_in_ten_thousand_is_labelled_with_more_points() -> None:
    """Weighting alone; the cascade goes on to tempered runs instead (test_cascade)."""
    one = scenario(
        [node("x", "normal(mean=0, sd=1)"), node("y", "normal(mean=x, sd=0.4)")],
        [f"y == {3.72 * (1 + 0.16) ** 0.5:.6g}"],
        [ask("value", "x", low=0, high=6)],
    )
    result = label_scenarios([one], LabelConfig(engine="table"))[0]
    assert isinstance(result, Labelled), result
    assert result.effort > 8192
    law = stats.norm(3.72 * 1.16**0.5 / 1.16, (0.16 / 1.16) ** 0.5)
    expected = answer_bins(law, 0, 6)
    assert tv(twenty(result.labels[0].probs), twenty(expected)) < result.labels[0].error


def test_mass_beyond_the_range_is_reported_without_spikes_at_the_ends() -> None:
    one = scenario(
        [node("x", "normal(mean=0, sd=1)"), node("y", "normal(mean=x, sd=1)")],
        ["y == 1"],
        [ask("value", "x", low=-1, high=1.2)],
    )
    label = labels_of(one, max_outside=0.5)[0]
    law = stats.norm(0.5, 0.5**0.5)
    assert label.mass_below == pytest.approx(law.cdf(-1.011), abs=5e-3)
    assert label.mass_above == pytest.approx(law.sf(1.211), abs=1e-2)
    expected = answer_bins(law, -1, 1.2)
    assert abs(label.probs[100] - expected[100]) < 3e-3
    assert abs(label.probs[0] - expected[0]) < 3e-3


def test_programs_side_by_side_give_the_sums_of_programs_in_turn() -> None:
    """The form for accelerators (`vmap` over programs) against the form for CPUs."""
    cases = [parse_scenario(random_document(seed)) for seed in (1, 4)] + [NORMAL]
    requests = []
    for case in cases:
        made = prepare(case)
        fields = [tuple(np.asarray(field).tolist()) for field in ask_arrays(made)]
        requests.append(kernel.Request(made.table, tuple(range(len(case.ask))), *fields))
    in_turn = kernel.run_tables(requests, 2048, seed=0)
    abreast = kernel.run_tables(requests, 2048, seed=0, wide=True, batch=4)
    for a, b in zip(in_turn, abreast):
        for name, x, y in zip(a._fields, a, b):
            np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-3, err_msg=name)


def test_one_compile_serves_all_programs_of_a_size() -> None:
    kernel._compiled.cache_clear()
    cases = [parse_scenario(random_document(seed)) for seed in range(8)] + [BETA, NORMAL]
    config = LabelConfig(engine="table", points=(8192,))
    label_scenarios(cases, config)
    sizes = {kernel.bucket_of(prepare(case).table) for case in cases}
    compiled = [kernel._compiled(rows_, False) for rows_, _ in sizes if rows_]
    assert sum(run._cache_size() for run in compiled) == len(sizes)


def test_numpyro_weighting_is_chunked_to_flat_memory() -> None:
    """Scratch memory of the compiled run must not grow with the particles."""
    made = prepare(worked_example("rowing-pairs-07"))
    arrays = ask_arrays(made)
    many = jax.tree.map(lambda field: np.stack([field] * importance.GROUP), arrays)
    constants = np.stack([made.structure.constants] * importance.GROUP).astype(np.float32)
    keys = jax.random.key_data(jax.random.split(jax.random.key(0), importance.GROUP))
    wanted = np.arange(importance.GROUP) < 1
    scratch = []
    for particles in (1 << 13, 1 << 17):
        run = importance._make_run(made.scenario, particles, False)
        compiled = run.lower(wanted, keys, constants, many).compile()
        scratch.append(compiled.memory_analysis().temp_size_in_bytes)
    held = 4 * (1 << 17) * (2 * len(made.scenario.ask) + 8)  # ask values and weights themselves
    assert scratch[1] < scratch[0] + 2 * held


def test_more_quantile_tables_than_a_table_holds() -> None:
    """The seventeenth constant shape goes through a proposal; its posterior is the same."""
    model = [node(f"p{i}", f"beta(a={1 + i}, b=3)") for i in range(20)]
    model += [node(f"n{i}", f"successes(n=10, p=p{i})") for i in (0, 19)]
    given = ["n0 == 7", "n19 == 7"]
    first, last = labels_of(scenario(model, given, [ask("chance", "p0"), ask("chance", "p19")]))
    more = [ask("choice", f"p{i} > 0.5") for i in range(20)]
    found = labels_of(scenario(model, given, more), engine="table")
    for i, label in enumerate(found):
        a, b = (1 + i + 7, 3 + 3) if i in (0, 19) else (1 + i, 3)
        assert label.probs[1] == pytest.approx(stats.beta(a, b).sf(0.5), abs=0.01)
    for label, law in ((first, stats.beta(8, 6)), (last, stats.beta(27, 6))):
        assert tv(twenty(label.probs), twenty(answer_bins(law, 0, 1))) < label.error


def test_more_asks_than_a_kernel_call_holds() -> None:
    asks = [ask("choice", f"mu > {40 + i}") for i in range(19)]
    model = [node("mu", "normal(mean=50, sd=15)"), node("seen", "normal(mean=mu, sd=10)")]
    found = labels_of(scenario(model, ["seen == 70"], asks))
    law = CLOSED["normal"][2]
    for i, label in enumerate(found):
        assert label.probs[1] == pytest.approx(law.sf(40 + i), abs=3e-3)


@pytest.mark.parametrize(
    ("field", "value"),
    [("engine", "magic"), ("points", (1000,)), ("points", ()), ("max_error", 0.0), ("seed", -1)],
)
def test_bad_settings_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(UserError, match=f"label.{field}"):
        LabelConfig(**{field: value})  # type: ignore[arg-type]


def test_truths_of_random_documents_replay_to_the_same_asks() -> None:
    for seed in range(5):
        one = parse_scenario(random_document(seed))
        np.testing.assert_allclose(prepare(one).truths, true_asks(one), rtol=1e-9)


def test_predicted_error_matches_the_spread_of_repeated_weightings() -> None:
    """The delta method against the actual distance of many independent weighted histograms."""
    rng = np.random.default_rng(0)
    truth = stats.norm(0.8, 0.6)
    edges = np.linspace(-2, 3, 21)
    exact_h = np.diff(truth.cdf(edges))
    predicted, actual = [], []
    for _ in range(60):
        x = rng.standard_normal(4000)
        w = truth.pdf(x) / stats.norm.pdf(x)
        w /= w.sum()
        which = np.digitize(x, edges) - 1
        inside = (which >= 0) & (which < 20)
        h = np.bincount(which[inside], weights=w[inside], minlength=20)
        squares = np.bincount(which[inside], weights=w[inside] ** 2, minlength=20)
        predicted.append(labels.predicted_error(h, squares))
        actual.append(tv(h, exact_h))
    assert np.mean(predicted) == pytest.approx(np.mean(actual), rel=0.1)


@pytest.mark.parametrize("engine", ["exact", "table", "numpyro"])
def test_a_chain_of_picks_may_start_at_a_named_member(engine: str) -> None:
    """Weather that keeps to itself: P(Wednesday | umbrella on Tuesday), summed by hand."""
    weights = "0.9 if prev(w, first='dry') == 'dry' else 0.3"
    scenario = parse_scenario(
        {
            "schema": "scenario/1",
            "id": "weather",
            "motif": "hidden_regime",
            "story": "It rains or not.",
            "sets": [
                {"name": "sky", "members": ["dry", "wet"]},
                {"name": "day", "members": ["Mon", "Tue", "Wed"]},
            ],
            "model": [
                {
                    "name": "w",
                    "per": ["day"],
                    "kind": "draw",
                    "expr": f"pick(sky, weights=[{weights}, 1 - ({weights})])",
                },
                {
                    "name": "umbrella",
                    "per": ["day"],
                    "kind": "draw",
                    "expr": "yes(p=0.8 if w[day] == 'wet' else 0.2)",
                },
            ],
            "given": [{"that": "umbrella['Tue'] == 1"}],
            "ask": [{"id": "q1", "kind": "choice", "expr": "w['Wed']", "text": "Which?"}],
        }
    )
    move, seen = np.array([[0.9, 0.1], [0.3, 0.7]]), np.array([0.2, 0.8])
    monday = move[0]  # the day before the first counts as dry
    wednesday = ((monday @ move) * seen) @ move
    (result,) = label_scenarios([scenario], LabelConfig(engine=engine))
    assert isinstance(result, Labelled)
    np.testing.assert_allclose(
        result.labels[0].probs,
        wednesday / wednesday.sum(),
        atol=1e-9 if engine == "exact" else 0.01,
    )


@pytest.mark.parametrize("power", ["-rate / 6", "rate / (0 - 6)", "-(rate / 6)"])
def test_the_chance_of_an_event_in_part_of_a_day_is_a_chance(power: str) -> None:
    """1 - exp(-rate / 6) is a probability however the quotient is written."""
    model = [node("rate", "gamma(mean=6, shape=3)"), node("y", "count(rate=rate)")]
    made = scenario(model, ["y == 4"], [ask("chance", f"1 - exp({power})")])
    assert made.ask[0].kind == "chance"
    with pytest.raises(UserError, match="a chance is a probability"):
        scenario(model, ["y == 4"], [ask("chance", f"exp(0 - ({power}))")])
