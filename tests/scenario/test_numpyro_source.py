"""The printed program against closed forms, enumeration, and the engine at the same draws."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given as hypothesis_given
from hypothesis import settings
from hypothesis import strategies as st
from numpyro import handlers
from scipy import stats

from ppt_jax.inference.program import lower
from ppt_jax.inference.simulate import node_values, sample_prior
from ppt_jax.scenario import fields, limits
from ppt_jax.scenario.document import (
    Scenario,
    ScenarioError,
    elements,
    flat_name,
    observed_draw,
    parse_scenario,
)
from ppt_jax.scenario.expression import Draw
from ppt_jax.scenario.look_alikes import look_of
from ppt_jax.scenario.numpyro_source import to_numpyro_source
from tests.scenario.build import WORKED, ask, document, node, worked

SETS = {"who": ("Ann", "Bo", "C\"x'y\\"), "day": ("Mon", "Tue", "Wed", "Thu")}


def load(source: str) -> Callable[[], None]:
    """The model of a printed program; tests alone execute such text."""
    namespace: dict[str, Any] = {}
    exec(compile(source, "printed", "exec"), namespace)
    return namespace["model"]


def replay(
    scenario: Scenario, draws: dict[str, np.ndarray], density: bool = False
) -> dict[str, dict[str, np.ndarray]]:
    """Runs the printed model at given draws of its latents, one row a particle.

    Returns `value` of draws, lets and asks, `loglik` of evidence, `density` of the latents.
    """
    model = load(to_numpyro_source(scenario))

    def one(row: dict[str, jax.Array]) -> dict[str, dict[str, jax.Array]]:
        trace = handlers.trace(handlers.substitute(model, data=row)).get_trace()
        drawn = {n: s for n, s in trace.items() if s["type"] == "sample"}
        logs = {n: jnp.sum(s["fn"].log_prob(s["value"])) for n, s in drawn.items()}
        values = {n: s["value"] for n, s in trace.items() if not n.startswith("given ")}
        return {
            "value": {n: jnp.asarray(value, float) for n, value in values.items()},
            "loglik": {n: logs[n] for n, s in drawn.items() if s["is_observed"]},
            "density": {n: logs[n] for n in drawn if density and n in row},
        }

    return jax.tree.map(np.asarray, jax.jit(jax.vmap(one))(draws))


def weighted(found: dict[str, dict[str, np.ndarray]]) -> np.ndarray:
    total = np.sum(list(found["loglik"].values()), axis=0, dtype=np.float64)
    weights = np.exp(total - total.max())
    return weights / weights.sum()


# -- worked examples against their closed forms --------------------------------------------------


def test_explaining_away_matches_enumeration() -> None:
    found = replay(parse_scenario(worked("kiln-crack-01")), {"hot": np.array([0, 1])}, density=True)
    joint = np.exp(sum(found["loglik"].values()) + sum(found["density"].values()))
    assert joint == pytest.approx([0.9 * 0.2 * 0.55 * 0.15, 0.1 * 0.2 * 0.95 * 0.85], rel=1e-5)
    assert joint[1] / joint.sum() == pytest.approx(0.5210, abs=1e-4)


def test_strength_and_effort_matches_a_sampler_by_numpyro_itself() -> None:
    scenario = parse_scenario(worked("rowing-pairs-07"))
    model = load(to_numpyro_source(scenario))

    def one(key: jax.Array) -> dict[str, jax.Array]:
        trace = handlers.trace(handlers.seed(model, key)).get_trace()
        return {
            n: s["value"]
            for n, s in trace.items()
            if s["type"] == "sample" and not n.startswith("given ")
        }

    draws = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), 100_000))
    found = replay(scenario, draws)
    weights, value = weighted(found), found["value"]
    mean = weights @ value["ask q1"]
    spread = np.sqrt(weights @ (value["ask q1"] - mean) ** 2)
    assert mean == pytest.approx(60.0, abs=0.4)
    assert spread == pytest.approx(12.8, abs=0.3)
    assert weights @ value["ask q2"] == pytest.approx(0.644, abs=0.015)
    assert weights @ value["ask q3"] == pytest.approx(0.377, abs=0.015)


def _gamma_counts(counts: list[int], shape: float, rate: float) -> float:
    """Log marginal of Poisson counts under a gamma(shape, rate), factorials left out."""
    n, total = len(counts), sum(counts)
    prior = float(stats.gamma.logpdf(1.0, shape, scale=1 / rate))
    return prior - n - float(stats.gamma.logpdf(1.0, shape + total, scale=1 / (rate + n)))


def test_changepoint_matches_the_conjugate_sums() -> None:
    counts = [4, 6, 3, 9, 11, 8, 12]
    logs = [
        _gamma_counts(counts[:k], 3, 0.5) + _gamma_counts(counts[k:], 3, 0.5) for k in range(1, 7)
    ]
    first = np.exp(np.array(logs) - max(logs))
    first /= first.sum()
    assert first == pytest.approx([0.0724, 0.0699, 0.6122, 0.1655, 0.0376, 0.0425], abs=1e-4)
    tails = [(3 + sum(counts[k:]), 0.5 + 7 - k) for k in range(1, 7)]
    after = sum(p * a / b for p, (a, b) in zip(first, tails))
    more = sum(p * stats.nbinom.sf(10, a, b / (b + 1)) for p, (a, b) in zip(first, tails))

    rng, size = np.random.default_rng(0), 100_000
    draws = {"first": rng.integers(1, 7, size)}
    draws |= {name: rng.gamma(3, 2, size).astype(np.float32) for name in ("before", "after")}
    draws["next_monday"] = rng.poisson(draws["after"])
    found = replay(parse_scenario(worked("ferry-bells-12")), draws)
    weights, value = weighted(found), found["value"]
    day = [weights @ (value["ask q1"] == k) for k in range(7)]
    assert day == pytest.approx([0.0, *first], abs=0.02)
    assert weights @ value["ask q2"] == pytest.approx(after, abs=0.1)
    assert weights @ value["ask q3"] == pytest.approx(more, abs=0.02)


# -- each family against scipy -------------------------------------------------------------------

WEIGHTS = np.array([0, 1, 3, 4]) / 8
REALS, POSITIVE, SHARES = (
    np.array([-0.5, 0.3, 2.0, 3.9]),
    np.array([0.1, 1, 4, 9.0]),
    [0.05, 0.3, 0.5, 0.9],
)
WHOLE = np.array([0, 1, 3, 8])
FAMILY: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    "normal(mean=2, sd=3)": (REALS, stats.norm(2, 3).logpdf),
    "lognormal(median=4, spread=0.5)": (POSITIVE, stats.lognorm(0.5, scale=4).logpdf),
    "gamma(mean=6, shape=3)": (POSITIVE, stats.gamma(3, scale=2).logpdf),
    "beta(a=2, b=5)": (np.array(SHARES), stats.beta(2, 5).logpdf),
    "share(mean=0.3, strength=10)": (np.array(SHARES), stats.beta(3, 7).logpdf),
    "uniform(low=-1, high=4)": (REALS, stats.uniform(-1, 5).logpdf),
    "wait(mean=5)": (POSITIVE, stats.expon(scale=5).logpdf),
    "robust(mean=1, sd=2, df=3)": (REALS, stats.t(3, 1, 2).logpdf),
    "count(rate=4.5)": (WHOLE, stats.poisson(4.5).logpmf),
    "successes(n=12, p=0.3)": (WHOLE, stats.binom(12, 0.3).logpmf),
    "yes(p=0.35)": (np.array([0, 1, 1, 0]), stats.bernoulli(0.35).logpmf),
    "pick(day)": (np.array([0, 1, 2, 3]), lambda x: np.log(0.25) + 0 * x),
    "pick(day, weights=[0, 1, 3, 4])": (np.array([1, 2, 3, 1]), lambda x: np.log(WEIGHTS[x])),
}


def test_each_family_has_its_density() -> None:
    rows = [node(f"x{i}", expr) for i, expr in enumerate(FAMILY)]
    scenario = parse_scenario(document(*rows, sets=SETS, asks=[ask("value", "x0")]))
    draws = {f"x{i}": points for i, (points, _) in enumerate(FAMILY.values())}
    density = replay(scenario, draws, density=True)["density"]
    for i, (expr, (points, exact)) in enumerate(FAMILY.items()):
        np.testing.assert_allclose(
            density[f"x{i}"], exact(points), rtol=1e-4, atol=1e-5, err_msg=expr
        )


def test_each_family_can_be_sampled() -> None:
    rows = [node(f"x{i}", expr) for i, expr in enumerate(FAMILY)]
    scenario = parse_scenario(document(*rows, sets=SETS, asks=[ask("value", "x0")]))
    model = handlers.seed(load(to_numpyro_source(scenario)), jax.random.key(0))
    trace = handlers.trace(model).get_trace()
    assert all(np.isfinite(trace[f"x{i}"]["value"]) for i in range(len(FAMILY)))


# -- every construct against the engine, draw by draw --------------------------------------------

BASE = (
    node("skill", "normal(mean=50, sd=10)", ["who"]),
    node("hot", "yes(p=0.4)"),
    node("ill", "yes(p=0.3)", ["who", "day"]),
    node("best", "pick(who, weights=[1, 2, 3])"),
    node("start", "pick(day)"),
    node("rate", "gamma(mean=5, shape=4)"),
    node("p", "beta(a=2, b=3)"),
    node("n", "count(rate=8)"),
)
LETS = {
    "arithmetic": [node("z", "-rate ** 2 + rate ** -1 - (p - (n - 2)) / (1 + n) * 3")],
    "big whole numbers": [node("z", "n * n * n * n * n * n * n * n * n * n * n * n * n")],
    "yes/no as numbers": [node("z", "hot + (p > 0.5) * rate - (not hot) / 2 - (hot and p > 0.3)")],
    "yes/no lets": [node("z", "hot or not (p > 0.4 and rate < 5 and n != 3)")],
    "yes/no compared": [node("z", "(hot == (p > 0.5)) + (hot == 1) + (hot != 0)")],
    "functions": [
        node(
            "z",
            "exp(p) + log(rate) * sqrt(n) - abs(p - rate) + min(p, rate, 0.3) + max(n, rate) "
            "+ sigmoid(skill['Bo'] / 10) + clip(rate, 2, 6) + round(rate)",
        )
    ],
    "if/else": [node("z", "(1 if hot else p) if rate > n else (hot if p < 0.5 else rate)")],
    "per": [node("z", "skill[who] * (0.6 if ill[who, day] else 1)", ["who", "day"])],
    "total and average": [
        node("z", "total(skill[who] * average(1 - ill[who, day], day), who) + total(1, day)")
    ],
    "total of comparisons": [node("z", "total(skill[who] > 50, who) / average(hot, who)")],
    "picked index": [node("z", "skill[best] + ill[best, start] - ill['Ann', start]")],
    "picked index in a total": [node("z", "total(ill[who, start] * skill[who], who)")],
    "positions": [
        node(
            "z",
            "(1 if day < start else 2) + (day == 'Tue') + (start >= 'Wed') + ('Ann' != best) "
            "+ (who == best) + 1 / (1 + (day < 'Wed')) ",
            ["who", "day"],
        )
    ],
    "prev of another node": [
        node("z", "prev(ill, first=1) + prev(skill2, first=rate)", ["who", "day"])
    ],
    "prev of a let itself": [node("z", "prev(z, first=0) * 0.5 + ill['Bo', day]", ["day"])],
    "prev of a yes/no let itself": [
        node("z", "prev(z, first=hot) or ill['Bo', day]", ["day"]),
        node("z2", "1 / (1 + prev(one, first=0))", ["day"]),
    ],
}


WHOLE_FAMILIES = ("yes", "pick", "count", "successes")


def check_against_engine(scenario: Scenario, size: int = 100, spare: float = 0.0) -> None:
    """Asks and log-likelihoods of both, at the same draws from the prior.

    A share `spare` of the particles may differ: float32 may round or compare the other way.
    """
    sampled = sample_prior(scenario, np.random.default_rng(1), size)
    program = lower(scenario)
    fixed = {i: sampled[name] for i, name in enumerate(program.latents)}
    values = node_values(program.nodes, np.zeros((len(program.latents), size)), size, fixed)
    seen = {
        flat_name(found[0].name, found[1])
        for found in (observed_draw(scenario, given.formula) for given in scenario.given)
        if found is not None
    }
    draws = {}
    for row in scenario.model:
        if isinstance(row.formula, Draw):
            kind = np.int32 if row.formula.family in WHOLE_FAMILIES else np.float32
            names = {flat_name(row.name, labels) for labels in elements(scenario, row)} - seen
            draws |= {name: sampled[name].astype(kind) for name in names}
    found = replay(scenario, draws)
    for row, number in zip(scenario.ask, program.asks):
        want = np.broadcast_to(values[number], size)
        got = found["value"][f"ask {row.id}"]
        same = np.isclose(got, want, rtol=2e-4, atol=2e-4, equal_nan=True)
        assert np.mean(~same) <= spare, (row.expr, got[~same], want[~same])
    engine = np.sum([np.broadcast_to(values[i], size) for i in program.loglik], axis=0)
    printed = np.sum(list(found["loglik"].values()), axis=0)
    np.testing.assert_allclose(printed, engine, rtol=5e-4, atol=1e-3)


@pytest.mark.parametrize("name", LETS)
def test_formulas_agree_with_the_engine(name: str) -> None:
    extra = []
    if "prev of another" in name:
        extra = [node("skill2", "normal(mean=prev(skill2, first=3), sd=1)", ["day"])]
    if "yes/no let itself" in name:
        extra = [node("one", "1", ["day"])]
    rows = [*extra, *LETS[name]]
    sets = SETS
    asks = []
    for row in LETS[name]:
        for i, labels in enumerate(itertools.product(*(sets[s] for s in row["per"]))):
            quoted = ", ".join(repr(label) for label in labels)
            expr = f"{row['name']}[{quoted}]" if labels else row["name"]
            yes_no = "yes/no let" in name and row["name"] == "z"
            asks.append(ask("choice" if yes_no else "value", expr, f"{row['name']}-{i}"))
    check_against_engine(parse_scenario(document(*BASE, *rows, sets=sets, asks=asks)))


GIVENS = {
    "soft": ["beats(skill['Ann'], skill['Bo'] - rate, noise=4 + p)"],
    "hard": ["skill['Ann'] > skill['Bo'] or hot", "not ill['Bo', start]", "n == 8"],
    "observed": ["hot == 0", "skill['Bo'] == 61.5", "n == 4 + 3", "best == 'Bo'"],
    "observed per": ["ill['Ann', 'Mon'] == 1", "ill['Bo', 'Thu'] == 0", "start == 'Wed'"],
}
LATE = (
    node("level", "normal(mean=prev(level, first=rate) + 0.5, sd=1 + p)", ["day"]),
    node("wet", "yes(p=0.8 if prev(wet, first=hot) else 0.1)", ["day"]),
    node(
        "where", "pick(who, weights=[1 if prev(where, first=best) == 'Bo' else 2, 1, p])", ["day"]
    ),
    node("late", "count(rate=rate if day < start else n + 1)", ["day"]),
    node("won", "successes(n=n, p=p)"),
    node("delay", "wait(mean=1 + rate if hot else 3)"),
    node("mass", "gamma(mean=rate, shape=2 + n)"),
    node("size", "lognormal(median=rate, spread=0.2 + p)"),
    node("part", "share(mean=0.2 + p / 2, strength=n + 1)"),
    node("spot", "uniform(low=p - 1, high=rate)"),
    node("odd", "robust(mean=skill[best], sd=rate, df=n + 1)"),
)
SEEN = (
    ["level['Mon'] == 5", "level['Wed'] == 7.25", "wet['Tue'] == 1", "wet['Thu'] == 0"],
    ["where['Mon'] == 'Ann'", "late['Mon'] == 3", "late['Thu'] == 9", "won == 3"],
    ["delay == 2.5", "mass == 4", "size == 6", "part == 0.4", "spot == 0.25", "odd == 55"],
)


@pytest.mark.parametrize("name", GIVENS)
def test_evidence_agrees_with_the_engine(name: str) -> None:
    asks = [
        ask("value", "skill['Ann']", "a"),
        ask("choice", "best", "b"),
        ask("choice", "hot", "c"),
    ]
    asks.append(ask("value", "skill[best] + n", "d"))
    data = document(*BASE, sets=SETS, given=GIVENS[name], asks=asks)
    check_against_engine(parse_scenario(data))


@pytest.mark.parametrize("seen", SEEN)
def test_observed_draws_of_each_family_agree_with_the_engine(seen: list[str]) -> None:
    used = {that.partition("[")[0].partition(" ")[0] for that in seen}
    rows = [row for row in LATE if row["name"] in used]
    asks = [ask("value", "rate", "a"), ask("choice", "start", "b"), ask("chance", "p", "c")]
    data = document(*BASE, *rows, sets=SETS, given=seen, asks=asks)
    check_against_engine(parse_scenario(data))


def test_a_known_start_of_picks() -> None:
    rows = [
        node(
            "where",
            "pick(who, weights=[1, 3 if prev(where, first='Bo') == 'Bo' else 1, 0])",
            ["day"],
        )
    ]
    asks = [ask("choice", "where['Mon']")]
    draws = {f"where[{day}]": np.array([0, 1, 1]) for day in SETS["day"]}
    density = replay(parse_scenario(document(*rows, sets=SETS, asks=asks)), draws, True)["density"]
    np.testing.assert_allclose(np.exp(density["where[Mon]"]), [0.25, 0.75, 0.75], rtol=1e-5)
    np.testing.assert_allclose(np.exp(density["where[Tue]"]), [0.5, 0.75, 0.75], rtol=1e-5)


@pytest.mark.parametrize("name", WORKED)
def test_worked_examples_agree_with_the_engine(name: str) -> None:
    check_against_engine(parse_scenario(worked(name)))


class _Random:
    """Random well-typed formulas over `BASE`."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def one_of(self, *parts: str) -> str:
        return parts[self.rng.integers(len(parts))]

    def number(self, depth: int) -> str:
        if depth == 0:
            literal = f"{self.rng.uniform(0.5, 4):.2f}"
            return self.one_of(
                "rate", "p", "n", "skill['Bo']", "skill[best]", literal, literal, "3"
            )
        a, b = self.number(depth - 1), self.number(depth - 1)
        yes = self.yes_no(depth - 1)
        if self.rng.random() < 0.4:
            return f"({a} {self.one_of('+', '-', '*')} {b})"
        return self.one_of(
            f"{self.number(0)} - ({a} - {b})",
            f"({a}) / (2 / (1 + abs({b})))",
            f"({yes}) - ({self.yes_no(0)}) + {a}",
            f"(1 + abs({a})) ** {self.one_of('-1', '0.5', '2', 'p')}",
            f"-({a})",
            f"({a} if {yes} else {b})",
            f"{self.one_of('min', 'max')}({a}, {b}, {self.number(0)})",
            f"clip({a}, -20, {self.number(0)} + 30)",
            f"{self.one_of('sigmoid', 'abs', 'round')}(({a}) / 7)",
            f"log(1 + abs({a})) + sqrt(abs({b}))",
            f"{self.one_of('total', 'average')}(skill[who] - {a}, who)",
            f"({yes}) * {a} + ({yes})",
        )

    def yes_no(self, depth: int) -> str:
        if depth == 0:
            return self.one_of("hot", "ill['Ann', 'Tue']", "ill['Bo', start]", "start < 'Wed'")
        a, b = self.yes_no(depth - 1), self.yes_no(depth - 1)
        compared = self.one_of("<", "<=", ">", ">=")
        return self.one_of(
            f"not ({a})",
            f"({a} {self.one_of('and', 'or')} {b} or {self.yes_no(0)})",
            f"({a}) == ({b})",
            f"({self.number(depth - 1)}) {compared} {self.number(0)}",
            f"(best != 'Bo' if {a} else {b})",
        )


@pytest.mark.parametrize("seed", range(3))
def test_random_formulas_agree_with_the_engine(seed: int) -> None:
    random = _Random(seed)
    formulas: list[str] = []
    while len(formulas) < 32:
        formula = random.number(3)
        try:
            parse_scenario(document(*BASE, sets=SETS, asks=[ask("value", formula)]))
        except ScenarioError as error:  # too long, or constant where it may not be
            assert error.field == "ask[0].expr", formula  # noqa: PT017
        else:
            formulas.append(formula)
    asks = [ask("value", formula, f"a{i}") for i, formula in enumerate(formulas)]
    check_against_engine(parse_scenario(document(*BASE, sets=SETS, asks=asks)), spare=0.02)


# -- safety --------------------------------------------------------------------------------------

EVIL = "x\n    import os\r\u2028raise SystemExit # \"\"\" ''' \\ {boom} \x85 \u202e"


def _statements(source: str) -> list[str]:
    """The program without labels and comments: the shape of its syntax tree."""
    tree = ast.parse(source)
    for part in ast.walk(tree):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            part.value = "label"
    return ast.dump(tree).splitlines()


def _with_text(text: str, label: str) -> dict[str, Any]:
    text = text.replace("\x85", "")
    unit = " ".join(text.split())[: limits.MAX_LINE_CHARACTERS]
    row = node("x", "normal(mean=0, sd=1)", ["who"], unit=unit)
    row["says"] = text
    asks = [ask("value", "total(x[who], who)", text=text if text.strip() else "?")]
    data = document(row, sets={"who": [label, "Bo"]}, given=["x['Bo'] == 1"], asks=asks)
    data["story"] = data["given"][0]["says"] = text + "."
    return data


def test_text_of_a_document_stays_text() -> None:
    plain = _statements(to_numpyro_source(parse_scenario(_with_text("fine", "Ann"))))
    for label in ("'", '"', "\\", "{x}", '"""', "'); raise SystemExit #", "Zoë", "a#b", "%s"):
        text = fields._INVISIBLE.sub("", EVIL.replace("\r", " "))
        source = to_numpyro_source(parse_scenario(_with_text(text, label)))
        assert _statements(source) == plain
        assert "import os" not in [line.strip() for line in source.splitlines()]
        site = handlers.trace(handlers.seed(load(source), jax.random.key(0))).get_trace()
        assert f"x[{label}]" in site


@settings(deadline=1000, max_examples=100)
@hypothesis_given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40).map(
        lambda t: fields._INVISIBLE.sub("", t)
    ),
    st.text(
        st.characters(exclude_categories=["C", "Z"], exclude_characters="[],<>"),
        min_size=1,
        max_size=8,
    ).filter(lambda t: look_of(t) != "Bo" and t == t.strip() and not fields._INVISIBLE.search(t)),
)
def test_no_text_changes_the_program(text: str, label: str) -> None:
    plain = _statements(to_numpyro_source(parse_scenario(_with_text("fine", "Ann"))))
    source = to_numpyro_source(parse_scenario(_with_text(text, label)))
    assert _statements(source) == plain
    assert source.split("\n")[:-1] == source.splitlines()


def test_names_of_a_document_do_not_hide_names_of_the_program() -> None:
    names = [
        "jnp",
        "dist",
        "numpyro",
        "model",
        "range",
        "sum",
        "before",
        "OBSERVED",
        "WHO",
        "match",
    ]
    rows = [node(name, "normal(mean=0, sd=1)") for name in names]
    rows += [node("who_", "pick(who)"), node("who_weights", "beta(a=1, b=1)")]
    rows += [
        node("z", "pick(who, weights=[2, 1, 1])"),
        node("skill", "total(1 + jnp, who)", ["day"]),
    ]
    rows += [node("a", "prev(a, first=sum) + skill[day]", ["day"])]
    rows += [node("tall", "wait(mean=3)", ["who"]), node("y", "tall[who_] + tall[z]")]
    asks = [ask("value", "a['Thu'] + match + OBSERVED", "a"), ask("value", "y + before", "b")]
    data = document(*rows, sets=SETS, given=["jnp == 1", "WHO == 2", "dist > model"], asks=asks)
    check_against_engine(parse_scenario(data))
