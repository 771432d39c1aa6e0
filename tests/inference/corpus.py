"""Documents for the tests of this room: short makers, and a seeded generator over the language."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np

from ppt_jax.inference.simulate import replay, sample_prior
from ppt_jax.scenario.document import Scenario, parse_scenario
from ppt_jax.scenario.expression import FAMILIES

DOCUMENTS = pathlib.Path(__file__).parent.parent / "scenario" / "documents"


def worked_example(name: str) -> Scenario:
    """One of the three worked examples that the scenario room keeps."""
    return parse_scenario((DOCUMENTS / f"{name}.json").read_text(encoding="utf-8"))


def node(name: str, expr: str, *per: str) -> dict[str, Any]:
    kind = "draw" if expr.split("(")[0] in FAMILIES else "let"
    return {"name": name, "per": list(per), "kind": kind, "expr": expr}


def ask(kind: str, expr: str, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "expr": expr, "text": f"What of {expr}?", **more}


def document(
    model: list[dict[str, Any]],
    given: list[str],
    asks: list[dict[str, Any]],
    *,
    sets: dict[str, list[str]] | None = None,
    name: str = "test-1",
    **more: Any,
) -> dict[str, Any]:
    return {
        "schema": "scenario/1",
        "id": name,
        "motif": "test",
        "story": "A story.",
        "sets": [{"name": key, "members": members} for key, members in (sets or {}).items()],
        "model": model,
        "given": [{"that": that} for that in given],
        "ask": [{"id": f"q{i + 1}", **one} for i, one in enumerate(asks)],
        **more,
    }


def scenario(*args: Any, **kwargs: Any) -> Scenario:
    return parse_scenario(document(*args, **kwargs))


class _Writer:
    """Writes one random document; expressions are kept inside the domains they are used in."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.model: list[dict[str, Any]] = []
        self.reals: list[str] = []  # scalar expressions of moderate size
        self.flags: list[str] = []
        self.shares: list[str] = []
        self.counts: list[str] = []

    def choose(self, options: list[str]) -> str:
        return options[self.rng.integers(len(options))]

    def number(self, low: float, high: float) -> str:
        return f"{self.rng.uniform(low, high):.3g}"

    def real(self) -> str:
        if not self.reals or self.rng.random() < 0.2:
            return self.number(0.5, 3.0)
        one = self.choose(self.reals)
        if self.rng.random() < 0.4:
            return one
        other = self.choose(self.reals)
        forms = [
            f"{one} + {other}",
            f"{one} - 0.5 * {other}",
            f"min({one}, {other}, 2)",
            f"max({one}, {other})",
            f"clip({one}, -2, 2) ** 2",
            f"abs({one})",
            f"exp(clip({one}, -2, 1))",
            f"log(1 + abs({one}))",
            f"sqrt(abs({one}) + 0.1)",
            f"{one} / (1 + abs({other}))",
            f"-round({one})",
            f"({one} if {other} > 0.7 else {other})",
            f"sigmoid({one})",
        ]
        if self.flags:
            forms.append(f"(1.5 if {self.choose(self.flags)} and not {one} > 2 else {other})")
            forms.append(f"(2 if {self.choose(self.flags)} or {one} <= 0.1 else 0.25)")
        return self.choose(forms)

    def positive(self) -> str:
        if not self.reals or self.rng.random() < 0.5:
            return self.number(0.6, 4.0)
        return f"0.4 + exp(clip({self.choose(self.reals)}, -1, 1))"

    def chance(self) -> str:
        if self.shares and self.rng.random() < 0.4:
            return self.choose(self.shares)
        if not self.reals or self.rng.random() < 0.4:
            return self.number(0.15, 0.85)
        return f"sigmoid({self.choose(self.reals)})"

    def draw(self) -> str:
        """A random draw formula; every family comes up with constant and dependent arguments."""
        forms = [
            f"normal(mean={self.real()}, sd={self.positive()})",
            f"lognormal(median={self.positive()}, spread={self.number(0.2, 0.8)})",
            f"gamma(mean={self.positive()}, shape={self.positive()})",
            f"beta(a={self.positive()}, b={self.positive()})",
            f"share(mean=clip({self.chance()}, 0.05, 0.95), strength={self.positive()} + 2)",
            f"uniform(low=0, high={self.positive()})",
            f"wait(mean={self.positive()})",
            f"robust(mean={self.real()}, sd={self.positive()}, df={self.positive()} + 1)",
            f"count(rate={self.positive()})",
            f"successes(n={self.rng.integers(2, 12)}, p={self.chance()})",
            f"yes(p={self.chance()})",
        ]
        return self.choose(forms)

    def remember(self, name: str, expr: str) -> None:
        family = expr.split("(")[0]
        if family == "yes":
            self.flags.append(name)
        elif family in ("beta", "share"):
            self.shares.append(name)
            self.reals.append(name)
        else:
            self.reals.append(name)


def random_document(seed: int) -> dict[str, Any]:
    """A random document whose observations come from its own prior predictive."""
    rng = np.random.default_rng([7, seed])
    writer = _Writer(rng)
    sets = {"item": ["Ada", "Bo", "Cy"], "day": ["Mon", "Tue", "Wed"]}
    writer.model.append(node("level", "normal(mean=1, sd=0.8)", "item"))
    writer.model.append(
        node("spot", writer.choose(["pick(item)", "pick(item, weights=[1, 2, 3])"]))
    )
    writer.reals += ["level['Ada']", "level[spot]", "total(level[item], item)"]
    for i in range(rng.integers(2, 5)):
        expr = writer.draw()
        writer.model.append(node(f"x{i}", expr))
        writer.remember(f"x{i}", expr)
    writer.model.append(node("mid", writer.real()))
    writer.reals.append("mid")
    walk = "normal(mean=prev(walk, first=mid), sd=0.5)"
    writer.model.append(node("walk", walk, "day"))
    writer.reals += ["walk['Wed']", "average(walk[day], day)"]
    seen = []
    for i in range(rng.integers(1, 4)):
        writer.model.append(node(f"y{i}", writer.draw()))
        seen.append(f"y{i}")
    given: list[str] = []
    asks = [
        ask("value", writer.real(), low=-4, high=8),
        ask("rank", writer.choose(["level['Bo']", "mid", "walk['Tue']"])),
        ask("choice", f"{writer.choose(writer.reals)} > {writer.choose(writer.reals)}"),
        ask("choice", "spot", options=sets["item"]),
        ask("chance", f"sigmoid({writer.choose(writer.reals)})"),
    ]
    base = document(writer.model, given, asks, sets=sets, name=f"random-{seed}")
    truth = one_truth(base, rng)
    for name in seen:
        value = truth[name]
        given.append(f"{name} == {value:.10g}" if value >= 0 else f"{name} == -{-value:.10g}")
        truth[name] = float(f"{value:.10g}")
    if rng.random() < 0.5:
        left, right = "level['Ada']", "level['Cy']"
        if rng.random() < 0.5:
            given.append(f"beats({left}, {right}, noise=0.7)")
        else:
            wins = truth["level[Ada]"] > truth["level[Cy]"]
            given.append(f"{left} > {right}" if wins else f"{right} >= {left}")
    base["given"] = [{"that": that} for that in given]
    base["truth"] = truth
    base["evidence"] = "simulated"
    return base


def one_truth(base: dict[str, Any], rng: np.random.Generator) -> dict[str, float]:
    """One joint draw of all draw nodes of a document."""
    parsed = parse_scenario({**base, "given": []})
    drawn = sample_prior(parsed, rng, 1)
    kinds = {one["name"]: one["kind"] for one in base["model"]}
    return {
        name: float(values[0])
        for name, values in drawn.items()
        if kinds[name.split("[")[0]] == "draw"
    }


def write_shard(path: pathlib.Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def true_asks(one: Scenario) -> tuple[float, ...]:
    return replay(one, one.truth)[1]
