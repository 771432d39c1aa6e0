"""Many scenarios of one structure: the package's engines side by side, as a Markdown table.

Two structures: faults (all discrete: exact by elimination, or NumPyro's enumeration under vmap) and
groups (eight levels around an unknown middle and spread: points, tempered runs, NumPyro weighting
and NUTS). ``first`` is what the first call takes longer: compilation.

    python -m scripts.benchmark_engines --scenarios=256
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Sequence

import numpy as np

from ppt_jax.inference.cascade import label_scenarios
from ppt_jax.inference.enumeration import enumeration_route
from ppt_jax.inference.gates import failed_gate
from ppt_jax.inference.labels import LabelConfig
from ppt_jax.inference.nuts_route import nuts_route
from ppt_jax.inference.routes import Outcome, Prepared, numpyro_route, prepare, table_route
from ppt_jax.inference.tempered_route import tempered_route
from ppt_jax.scenario.document import Scenario, parse_scenario

ITEMS = ["Ada", "Bo", "Cy", "Di", "Ed", "Fay", "Gus", "Hal"]
CONFIG = LabelConfig()


def scenario(
    name: str,
    model: Sequence[tuple[str, str, str]],
    given: list[str],
    asks: Sequence[tuple[str, str]],
) -> Scenario:
    """A document from rows (name, formula, per) and asks (kind, formula)."""
    rows = [
        {"name": n, "kind": kind, "expr": expr, "per": [per] if per else []}
        for n, expr, per in model
        for kind in ["let" if n.startswith("let_") else "draw"]
    ]
    asked = [
        {"id": f"q{i}", "kind": kind, "expr": expr, "text": f"What of {expr}?"}
        | ({"low": -8, "high": 8} if kind == "value" else {})
        for i, (kind, expr) in enumerate(asks)
    ]
    return parse_scenario(
        {
            "schema": "scenario/1", "id": name, "motif": "benchmark", "story": "A story.",
            "sets": [{"name": "item", "members": ITEMS}], "model": rows,
            "given": [{"that": that} for that in given], "ask": asked,
        }
    )  # fmt: skip


def faults(number: int) -> Scenario:
    """Two causes behind eight worn parts, each with a noisy test: eleven discrete latents."""
    rng = np.random.default_rng([1, number])
    p = rng.uniform(0.1, 0.5, 4).round(3)
    model = [
        ("hot", f"yes(p={p[0]})", ""),
        ("damp", f"yes(p={p[1]})", ""),
        ("worn", f"yes(p=(0.7 if hot and damp else 0.4 if hot or damp else {p[2]}))", "item"),
        ("who", "pick(item)", ""),
        ("alarm", f"yes(p=(0.9 if worn[who] else {p[3]}))", ""),
        ("failed", "successes(n=5, p=(0.8 if worn[item] else 0.15))", "item"),
    ]
    given = ["alarm == 1", *(f"failed['{who}'] == {rng.integers(6)}" for who in ITEMS)]
    return scenario(f"faults-{number}", model, given, [("choice", "hot"), ("choice", "worn['Bo']")])


def groups(number: int) -> Scenario:
    """Eight levels around an unknown middle, with an unknown spread, each measured once."""
    rng = np.random.default_rng([2, number])
    level = rng.normal(rng.normal(0, 2), rng.lognormal(0, 0.5), 8)
    model = [
        ("middle", "normal(mean=0, sd=2)", ""),
        ("spread", "lognormal(median=1, spread=0.5)", ""),
        ("level", "normal(mean=middle, sd=spread)", "item"),
        ("reading", "normal(mean=level[item], sd=0.3)", "item"),
    ]
    given = [f"reading['{who}'] == {float(x):.2f}" for who, x in zip(ITEMS, rng.normal(level, 0.3))]
    asks = [("value", "middle"), ("value", "level['Bo']"), ("choice", "spread > 1")]
    return scenario(f"groups-{number}", model, given, asks)


def row(what: str, route: Callable[[list[Prepared]], list[Outcome]], cases: list[Prepared]) -> str:
    """One line: time per scenario, what the first call took longer, how many labels pass."""
    start = time.perf_counter()
    route(cases)
    middle = time.perf_counter()
    outcomes = route(cases)
    seconds = time.perf_counter() - middle
    good = sum(bool(o.labels) and not failed_gate(o, CONFIG) for o in outcomes)
    first = middle - start - seconds
    each = 1e3 * seconds / len(cases)
    return f"| {what} | {len(cases)} | {each:.2f} | {first:.1f} | {good / len(cases):.0%} |"


def cascade_row(what: str, cases: list[Prepared], engine: str) -> str:
    """The same for a whole engine, preparation included."""
    config = LabelConfig(engine=engine)
    scenarios = [one.scenario for one in cases]
    start = time.perf_counter()
    label_scenarios(scenarios, config)
    middle = time.perf_counter()
    results = label_scenarios(scenarios, config)
    seconds = time.perf_counter() - middle
    good = sum(hasattr(one, "labels") for one in results)
    first, each = middle - start - seconds, 1e3 * seconds / len(cases)
    return f"| {what} | {len(cases)} | {each:.2f} | {first:.1f} | {good / len(cases):.0%} |"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--scenarios", type=int, default=256)
    count = parser.parse_args().scenarios
    discrete = [prepare(faults(number)) for number in range(count)]
    nested = [prepare(groups(number)) for number in range(count)]
    few = nested[: max(1, count // 8)]
    print(f"{len(os.sched_getaffinity(0))} core(s), load {os.getloadavg()[0]:.1f}\n")
    print("| structure and engine | scenarios | ms each | first call more, s | pass the gates |")
    print("| --- | ---: | ---: | ---: | ---: |")
    print(cascade_row("faults, exact (with preparation)", discrete, "exact"))
    print(row("faults, NumPyro enumeration", lambda c: enumeration_route(c, CONFIG), discrete))
    print(row("faults, table 2 x 8192", lambda c: table_route(c, 8192, CONFIG), discrete))
    print(row("groups, table 2 x 8192", lambda c: table_route(c, 8192, CONFIG), nested))
    print(row("groups, table 2 x 65536", lambda c: table_route(c, 65536, CONFIG), few))
    print(row("groups, tempered 1024", lambda c: tempered_route(c, 1024, CONFIG), nested))
    print(row("groups, NumPyro weighting 2 x 8192", lambda c: numpyro_route(c, 8192, CONFIG), few))
    print(row("groups, NumPyro NUTS 8 x 500", lambda c: nuts_route(c, 500, CONFIG), few))
    print(row("groups, NumPyro NUTS 8 x 2000", lambda c: nuts_route(c, 2000, CONFIG), few))


if __name__ == "__main__":
    main()
