"""Programs that people have, read as documents: density, parameterisations, refusals, safety."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import handlers

from ppt_jax.authoring.author import AuthorConfig, make_plan
from ppt_jax.authoring.compose import write_scenario
from ppt_jax.authoring.motif import all_motifs
from ppt_jax.scenario.document import ModelNode, Scenario, parse_scenario
from ppt_jax.scenario.expression import Index, Name, Prev, walk
from ppt_jax.scenario.numpyro_import import ProgramError, documents, words_of
from ppt_jax.scenario.numpyro_source import to_numpyro_source
from tests.scenario.build import WORKED, ask, document, node, worked

HEAD = """
import jax, jax.numpy as jnp, numpyro, pyro, torch
import numpyro.distributions as dist
"""


def read(body: str, **words: Any) -> dict[str, Any]:
    """The one document of a program."""
    [made] = documents(HEAD + body, source="p.py", words=words)
    if isinstance(made, ProgramError):
        raise made
    return made


def density(source: str, name: str, rows: list[dict[str, Any]] | None) -> tuple[Any, list[Any]]:
    """Joint log density of a program at draws of its own latents; tests alone execute such text."""
    namespace: dict[str, Any] = {}
    exec(compile(source, "printed", "exec"), namespace)
    model = namespace[name]
    made, drawn = [], []
    for number in range(3):
        seeded = handlers.seed(model, jax.random.key(number))
        if rows is not None:
            seeded = handlers.substitute(seeded, data=rows[number])
        trace = handlers.trace(seeded).get_trace()
        sites = {n: s for n, s in trace.items() if s["type"] == "sample"}
        made.append(sum(float(jnp.sum(s["fn"].log_prob(s["value"]))) for s in sites.values()))
        drawn.append({n: s["value"] for n, s in sites.items() if not s["is_observed"]})
    return np.array(made), drawn


def round_trip(scenario: Scenario) -> Scenario:
    [made] = documents(to_numpyro_source(scenario), words=words_of(scenario))
    assert not isinstance(made, ProgramError), made
    return parse_scenario(made)


@pytest.mark.parametrize("name", WORKED)
def test_worked_examples_come_back_word_for_word(name: str) -> None:
    scenario = parse_scenario(worked(name))
    back = round_trip(scenario)
    assert [n.formula for n in back.model] == [n.formula for n in scenario.model]
    assert {g.formula for g in back.given} == {g.formula for g in scenario.given}
    assert [a.formula for a in back.ask] == [a.formula for a in scenario.ask]
    assert back.sets == scenario.sets
    assert [(a.id, a.kind, a.low, a.high, a.options, a.text) for a in back.ask] == [
        (a.id, a.kind, a.low, a.high, a.options, a.text) for a in scenario.ask
    ]
    source = to_numpyro_source(scenario)
    first, drawn = density(source, "model", None)
    second, _ = density(to_numpyro_source(back), "model", drawn)
    np.testing.assert_allclose(first, second, rtol=1e-6)


MOTIFS = tuple(all_motifs())


def authored(name: str, number: int) -> Scenario:
    return write_scenario(make_plan(AuthorConfig(), "train", name, number, 0)).scenario


def test_programs_of_every_motif_are_read() -> None:
    for name in MOTIFS:
        scenario = authored(name, 1)
        back = round_trip(scenario)
        assert [(s.members) for s in back.sets if s in scenario.sets] == [
            s.members for s in back.sets
        ]
        assert shapes(back) == shapes(scenario)


def shapes(scenario: Scenario) -> list[tuple[str, int]]:
    """Kinds and numbers of axes of all nodes but formulas of constants, read as values."""
    kept = [n for n in scenario.model if n.kind == "draw" or depends(n)]
    return [(n.kind, len(n.per)) for n in kept]


def depends(node: ModelNode) -> bool:
    """Whether a formula names anything."""
    return any(isinstance(part, Name | Index | Prev) for part in walk(node.formula))


@pytest.mark.parametrize("name", MOTIFS[::6])
def test_authored_programs_keep_their_density(name: str) -> None:
    scenario = authored(name, 2)
    first, drawn = density(to_numpyro_source(scenario), "model", None)
    second, _ = density(to_numpyro_source(round_trip(scenario)), "model", drawn)
    np.testing.assert_allclose(first, second, rtol=1e-5)


FAMILIES = {
    "dist.Normal()": "normal(mean=0, sd=1)",
    "dist.Normal(scale=2.0, loc=-1)": "normal(mean=-1, sd=2)",
    "dist.LogNormal(0.0, 0.5)": "lognormal(median=1, spread=0.5)",
    "dist.LogNormal(jnp.log(x), 0.5)": "lognormal(median=x, spread=0.5)",
    "dist.Gamma(3.0, 0.5)": "gamma(mean=6, shape=3)",
    "dist.Gamma(3.0, rate=3.0 / 6.0)": "gamma(mean=6, shape=3)",
    "dist.Gamma(x, x / 6.0)": "gamma(mean=6, shape=x)",
    "dist.Chi2(4.0)": "gamma(mean=4, shape=2)",
    "dist.Beta(2, 3)": "beta(a=2, b=3)",
    "dist.BetaProportion(0.3, 10)": "share(mean=0.3, strength=10)",
    "dist.Uniform(0, 5)": "uniform(low=0, high=5)",
    "dist.Exponential(4.0)": "wait(mean=0.25)",
    "dist.Exponential(rate=1.0 / x)": "wait(mean=x)",
    "dist.StudentT(4, 1.0, 2.0)": "robust(mean=1, sd=2, df=4)",
    "dist.Cauchy(1.0, 2.0)": "robust(mean=1, sd=2, df=1)",
    "dist.Poisson(7)": "count(rate=7)",
    "dist.Binomial(10, 0.3)": "successes(n=10, p=0.3)",
    "dist.Binomial(10, logits=x)": "successes(n=10, p=sigmoid(x))",
    "dist.Bernoulli(0.4)": "yes(p=0.4)",
    "dist.Bernoulli(logits=x)": "yes(p=sigmoid(x))",
    "dist.Categorical(jnp.array([0.5, 0.5]))": "pick(y_states)",
    "dist.Categorical(probs=jnp.array([0.2, 0.8]))": "pick(y_states, weights=[0.2, 0.8])",
}


@pytest.mark.parametrize("written", FAMILIES)
def test_each_family_keeps_its_parameterisation_and_density(written: str) -> None:
    body = f"""
def model():
    x = numpyro.sample("x", dist.Uniform(0.5, 2.0))
    y = numpyro.sample("y", {written})
"""
    made = read(body)
    assert made["model"][1]["expr"] == FAMILIES[written]
    source = (HEAD + body).replace(", pyro, torch", "")
    first, drawn = density(source, "model", None)
    second, _ = density(to_numpyro_source(parse_scenario(made)), "model", drawn)
    np.testing.assert_allclose(first, second, rtol=1e-5, atol=1e-6)


HANDWRITTEN = '''
TREATED = [0, 1, 1, 0]
SCHOOL = [0, 0, 1, 2]
Y = [2.0, 3.5, 3.0, 1.0]

def model(y=Y):
    """Three schools, four classes."""
    mu = numpyro.sample("mu", dist.Normal(0, 5))
    tau = numpyro.sample("tau", dist.Gamma(2.0, 1.0))
    with numpyro.plate("school", 3):
        theta = numpyro.sample("theta", dist.Normal(mu, tau))
    effect = numpyro.sample("effect", dist.Normal(0, 1))
    with numpyro.plate("classes", 4) as i:
        mean = theta[jnp.array(SCHOOL)] + effect * jnp.array(TREATED)
        numpyro.sample("y", dist.Normal(mean, 1.0), obs=jnp.array(y))
    numpyro.factor("soft", jax.nn.log_sigmoid((theta[0] - theta[1]) / 0.5))
    numpyro.factor("hard", jnp.where(effect > -10, 0.0, -jnp.inf))
    walk = {}
    for t in range(3):
        walk[t] = numpyro.sample(
            f"walk_{t}", dist.Normal(walk[t - 1] if t > 0 else mu, 0.5))
    numpyro.deterministic("ask better", theta[2] > jnp.mean(theta))
    numpyro.deterministic("ask end", walk[2] + sum(walk[k] for k in range(3)))
'''


def test_a_handwritten_model_has_its_own_density() -> None:
    made = read(HANDWRITTEN)
    scenario = parse_scenario(made)
    assert made["story"] == "Three schools, four classes."
    assert [a["id"] for a in made["ask"]] == ["better", "end"]
    text = (HEAD + HANDWRITTEN).replace(", pyro, torch", "")
    text = text.replace("def model(y=Y)", "def model(y=jnp.array(Y))")
    first, drawn = density(text, "model", None)
    rows = []
    for row in drawn:
        theta = {f"theta[{k}]": row["theta"][k] for k in range(3)}
        walk = {f"walk[{k}]": row[f"walk_{k}"] for k in range(3)}
        rows.append({**{k: row[k] for k in ("mu", "tau", "effect")}, **theta, **walk})
    second, _ = density(to_numpyro_source(scenario), "model", rows)
    np.testing.assert_allclose(first, second, rtol=1e-5)


REFUSED = {  # body of the function -> part of the message
    "    numpyro.sample('x', dist.HalfNormal(1.0))": "HalfNormal is not expressible",
    "    numpyro.sample('x', dist.Normal(0, 1).expand([3]))": r"\.expand",
    "    numpyro.sample('y', dist.Poisson(3), obs=0.5)": "nothing is asked",
    "    x = open('secret').read()\n    numpyro.sample('y', dist.Normal(x, 1))": "has no|unk",
    "    x = __import__('os').getcwd()\n    numpyro.sample('y', dist.Normal(x, 1))": "has no|unk",
    "    numpyro.sample('x', dist.Normal(0, 1))\n    while True:\n        pass": "`while`",
    "    numpyro.sample('x', dist.Normal(0, 1))\n    import os\n    os.remove('x')": "does nothing",
    "    x = numpyro.sample('x', dist.Normal(0, 1))\n    if x > 0:\n        pass": "jnp.where",
    "    x = 0.0\n    for t in range(3):\n      x = numpyro.sample(f'x{t}', dist.Normal(x))": "k",
    "    numpyro.sample('x', dist.Categorical(jnp.array([0.5, 0.6])))": "sum to 1",
    "    for i in range(10**9):\n        numpyro.sample(f'x{i}', dist.Normal(0, 1))": "whole",
    "    numpyro.sample('x', dist.Normal(0, 10**10**10))": "counterpart|number",
    "    x = numpyro.sample('x', dist.Normal(0, 1))\n    numpyro.factor('f', x)": "log_sigmoid",
    "    numpyro.sample('x', dist.Normal(0, -1))": "sd",
}


@pytest.mark.parametrize("body", REFUSED)
def test_what_lies_outside_is_refused_with_its_line(body: str) -> None:
    with pytest.raises(ProgramError, match=REFUSED[body]) as caught:
        read(f"\ndef model():\n{body}\n")
    assert str(caught.value).startswith("p.py:")
    assert 5 <= caught.value.line <= 8


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "(" * 5000,
        "import numpyro\n" + "x = " + "+".join("1" * 100_000),
        "import numpyro\n" + "-" * 100_000 + "1",
        "import numpyro\ndef f():\n    x = numpyro.sample('x', numpyro.D("
        + "[" * 150 + "]" * 150 + "))\n",
        "import numpyro\ndef f():\n    numpyro.sample('x', " + "a." * 20_000 + "b)\n",
        "x" * 300_000,
        "\0",
        "",
        "def f(:",
    ],
    ids=["brackets", "sum", "minus", "lists", "attributes", "long", "nul", "empty", "syntax"],
)  # fmt: skip
def test_hostile_texts_are_refused(text: str) -> None:
    with contextlib.suppress(ProgramError):
        assert all(isinstance(made, ProgramError) for made in documents(text))


def test_hostile_words_are_refused() -> None:
    body = "\ndef m(y=None):\n    x = numpyro.sample('x', dist.Normal(0, 1))\n"
    body += "    numpyro.sample('y', dist.Normal(x, 1), obs=y)\n"
    assert read(body, data={"y": 1.5})["given"] == [{"that": "y == 1.5"}]
    for words in (
        {"asks": [{"id": "q", "kind": "rank", "expr": "__import__('os')", "text": "?"}]},
        {"asks": [{"id": "q", "kind": ["rank"], "site": "x", "text": "?"}]},
        {"asks": {"q": 1}},
        {"units": {"x": ["m"]}},
        {"story": {"a": 1}},
        {"data": {"y": {"deep": [1]}}},
        {"nothing": 1},
        {"id": "../../x"},
    ):
        with pytest.raises(ProgramError):
            read(body, **words)


def test_doubling_names_do_not_blow_up() -> None:
    lines = ["    a0 = numpyro.sample('a0', dist.Normal(0, 1))"]
    lines += [f"    a{k + 1} = a{k} + a{k}" for k in range(60)]
    made = read(
        "\ndef model():\n" + "\n".join(lines) + "\n    numpyro.deterministic('ask q', a60)\n"
    )
    assert made["model"][-1]["expr"] == "a59 + a59"


def test_pyro_and_words_beside_the_program() -> None:
    body = """
WEATHER = ("sun", "rain")
def story(wet=None):
    weather = pyro.sample("weather", pyro.distributions.Categorical(torch.tensor([0.7, 0.3])))
    p = torch.where(weather == 1, 0.9, 0.1)
    pyro.sample("grass", pyro.distributions.Bernoulli(p), obs=wet)
"""
    asks = [{"id": "q1", "site": "weather", "kind": "choice", "text": "Which weather?",
             "options": ["sun", "rain"]}]  # fmt: skip
    made = read(body, story="Wet grass.", data={"wet": 1}, asks=asks)
    assert made["sets"] == [{"name": "weather_set", "members": ["sun", "rain"]}]
    assert made["given"] == [{"that": "grass == 1"}]
    assert made["model"][1]["expr"].endswith("== 'rain' else 0.1")
    assert made["story"] == "Wet grass."
    assert made["ask"][0]["kind"] == "choice"


OUTSIDE = {  # what would change the meaning without a word
    "X = [1, 2]\nX.append(3)\ndef m():\n    numpyro.sample('x', dist.Normal(X[0], 1))": "X",
    "def sum(x):\n    return 0\ndef m():\n    x = numpyro.sample('x', dist.Normal(0, 1))\n"
    "    y = sum([x, x])": "function of this file",
    "def m():\n    x = numpyro.sample('x', dist.Normal(0, 1))\n    y = jnp.asarray(x, int)": "type",
    "def m():\n    x = numpyro.sample('x', dist.Normal(0, 1))\n    y = jnp.clip(x, max=1)": "named",
    "def m():\n    jnp = 1\n    numpyro.sample('x', dist.Normal(0, 1))": "imported name",
    "def m():\n    with numpyro.plate('a', 2):\n        x = numpyro.sample('x', dist.Normal())\n"
    "    with numpyro.plate('b', 3):\n        with numpyro.plate('a', 2):\n"
    "            numpyro.sample('y', dist.Normal(x, 1))": "plate",
    "def m():\n    with numpyro.plate('a', 2, dim=-2):\n"
    "        numpyro.sample('x', dist.Normal())": "dim",
}


@pytest.mark.parametrize("body", OUTSIDE)
def test_nothing_changes_its_meaning_silently(body: str) -> None:
    with pytest.raises(ProgramError, match=OUTSIDE[body]):
        read(body)


def test_several_functions_one_refused() -> None:
    body = """
def good():
    numpyro.sample("x", dist.Normal(0, 1))
def bad():
    numpyro.sample("x", dist.HalfNormal(1))
"""
    good, bad = documents(HEAD + body)
    assert isinstance(good, dict)
    assert isinstance(bad, ProgramError)
    assert good["ask"][0]["kind"] == "rank"


def test_every_construct_of_the_printer_is_read() -> None:
    sets: dict[str, Sequence[str]] = {
        "who": ("Ann", "Bo", "C\"x'y\\"),
        "day": ("Mon", "Tue", "Wed", "Thu"),
    }
    rows = [
        node("skill", "normal(mean=50, sd=10)", ["who"]),
        node("ill", "yes(p=0.3)", ["who", "day"]),
        node("best", "pick(who, weights=[1, 2, 3])"),
        node("start", "pick(day)"),
        node("level", "normal(mean=prev(level, first=2), sd=1)", ["day"]),
        node("mood", "pick(who, weights=[1, 1, 2])", ["day"]),
        node("same", "mood[day] == prev(mood, first='Bo')", ["day"]),
        node("form", "skill[who] * (0.5 if ill[who, day] and day < start else 1)", ["who", "day"]),
        node("all", "total(form[who, 'Tue'], who) + average(skill[who], who)"),
        node("top", "skill[best] + ill[best, start] * clip(level[start], 0, 1)"),
        node("z", "max(exp(-abs(level['Mon'])), min(sigmoid(all), 0.2)) ** 2 + round(top)"),
    ]
    given = ["beats(skill['Ann'], top, noise=2)", "not ill['Bo', 'Wed'] or best == 'Ann'"]
    asks = [ask("rank", "z"), ask("choice", "start", id="q2", options=list(sets["day"]))]
    scenario = parse_scenario(document(*rows, sets=sets, given=given, asks=asks))
    back = round_trip(scenario)
    first, drawn = density(to_numpyro_source(scenario), "model", None)
    second, _ = density(to_numpyro_source(back), "model", drawn)
    np.testing.assert_allclose(first, second, rtol=1e-6)


MODEL = "\ndef m():\n    x = numpyro.sample('x', dist.Normal(0, 1))\n"
DOUBLED = "a0 = [1, 2]\n" + "".join(f"a{k + 1} = [a{k}, a{k}]\n" for k in range(60))
DEEP = "__name__" + ".a" * 2000
BOMBS = {
    "string": "a0 = 'xxxxxxxx'\n" + "".join(f"a{k + 1} = f'{{a{k}}}{{a{k}}}'\n" for k in range(60)),
    "list as text": DOUBLED + "b = f'{a60}'\n",
    "list as key": DOUBLED + "b = {a60: 1}\n",
    "list divided": DOUBLED + "b = a60 / 2\n",
    "lists compared": DOUBLED + DOUBLED.replace("a", "b") + "c = [a60].index(b60)\n",
    "wide": "a = [" + "1," * 90_000 + "]\n",
    "many divisions": "a = [1] * 0\nb = jnp.ones(9000)\n" + "c = b / 2\n" * 9000,
    "range": "a = range(10000000000000000000000)\n",
    "if": f"if {DEEP} == 'x':\n    pass\n",
    "before": f"def before(members, member):\n    return {DEEP}\n",
}


@pytest.mark.parametrize("name", BOMBS)
def test_constants_that_unfold_without_end_are_refused(name: str) -> None:
    with pytest.raises(ProgramError):
        list(documents(HEAD + BOMBS[name] + MODEL))


LISTS = "    z0 = [x, x]\n" + "".join(f"    z{k + 1} = [z{k}, z{k}]\n" for k in range(60))
LONG = "    z = [" + "x, " * 5000 + "]\n    w = jnp.maximum(" + "z, " * 5000 + ")\n"
TABLES = (
    "    t = jnp.array(" + str(list(range(60))) + ")\n"
    "    with numpyro.plate('p', 60) as p:\n        w = jnp.maximum(" + "t[p], " * 12_000 + ")\n"
)
INSIDE = {
    "lists of lists": LISTS + "    w = sum(z60)\n",
    "a long list many times": LONG,
    "tables many times": TABLES,
    "sets": "".join(f"    with numpyro.plate('p{k}', {k % 90 + 2}):\n        pass\n"
                    for k in range(5000)),
    "infinite member": "    k = numpyro.sample('k', dist.Categorical(jnp.array([0.5, 0.5])))\n"
                       "    w = jnp.where(k == jnp.inf, 1.0, 2.0)\n",
    "infinite observation": "    numpyro.sample('y', dist.Normal(x, 1), obs=-jnp.inf)\n",
    "giant observation": f"    numpyro.sample('y', dist.Normal(x, 1), obs={'9' * 400})\n",
}  # fmt: skip


@pytest.mark.parametrize("name", INSIDE)
def test_models_that_unfold_without_end_are_refused(name: str) -> None:
    try:
        made = list(documents(HEAD + MODEL + INSIDE[name]))
    except ProgramError as error:
        made = [error]
    assert all(isinstance(one, ProgramError) for one in made), made


def test_giant_data_are_refused() -> None:
    body = "\ndef m(y=None):\n    x = numpyro.sample('x', dist.Normal(0, 1))\n"
    body += "    numpyro.sample('y', dist.Normal(x, 1), obs=y)\n"
    with pytest.raises(ProgramError):
        read(body, data={"y": 10**400})
