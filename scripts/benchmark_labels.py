"""Labelling throughput by route and batch size, as a Markdown table.

Routes on scenarios that all have their own structure (the offline author's motifs), and on many
scenarios of one structure (a change point with other counts). The `naive` row compiles a NumPyro
program for every scenario, as code without tables or signatures would.

    python -m scripts.benchmark_labels --scenarios=48
"""

from __future__ import annotations

import argparse
import pathlib
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ppt_jax.authoring.author import AuthorConfig, author_corpus
from ppt_jax.inference.cascade import Labelled, label_scenarios
from ppt_jax.inference.discrete_route import discrete_route
from ppt_jax.inference.importance import CHUNK, one_particle
from ppt_jax.inference.labels import LabelConfig
from ppt_jax.inference.routes import prepare
from ppt_jax.scenario.document import Scenario, parse_scenario, read_scenarios

POINTS = 8192
DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]


def one_structure(count: int) -> list[Scenario]:
    """Change points that differ in their counts and prior means only."""
    rng = np.random.default_rng(0)
    made = []
    for number in range(count):
        mean = rng.uniform(4, 9)
        late = rng.poisson(mean * np.where(np.arange(7) < rng.integers(1, 7), 1.0, 1.6))
        made.append(
            parse_scenario(
                {
                    "schema": "scenario/1",
                    "id": f"change-{number}",
                    "motif": "change_point",
                    "story": "Counts by day.",
                    "sets": [{"name": "day", "members": DAYS}],
                    "model": [
                        {"name": "first", "kind": "draw", "expr": "pick(day)"},
                        {
                            "name": "before",
                            "kind": "draw",
                            "expr": f"gamma(mean={mean:.3f}, shape=3)",
                        },
                        {
                            "name": "after",
                            "kind": "draw",
                            "expr": f"gamma(mean={mean:.3f}, shape=3)",
                        },
                        {
                            "name": "late",
                            "per": ["day"],
                            "kind": "draw",
                            "expr": "count(rate=before if day < first else after)",
                        },
                    ],
                    "given": [{"that": f"late['{d}'] == {k}"} for d, k in zip(DAYS, late)],
                    "ask": [
                        {
                            "id": "q1",
                            "kind": "value",
                            "expr": "after",
                            "low": 0,
                            "high": 30,
                            "text": "?",
                        },
                        {
                            "id": "q2",
                            "kind": "choice",
                            "expr": "first",
                            "options": DAYS,
                            "text": "?",
                        },
                        {"id": "q3", "kind": "rank", "expr": "after", "text": "?"},
                    ],
                }
            )
        )
    return made


def many_structures(count: int) -> list[Scenario]:
    """Scenarios of the offline author, one of each structure."""
    sizes = {f"{name}_size": 8 for name in ("validation", "seen_motifs", "held_out_motifs")}
    config = AuthorConfig(train_size=4 * count, held_out_family_size=8, **sizes)
    found: dict[str, Scenario] = {}
    with tempfile.TemporaryDirectory() as folder:
        author_corpus(config, folder)
        for path in sorted(pathlib.Path(folder, "scenarios").glob("train-*.jsonl")):
            for scenario in read_scenarios(path):
                if isinstance(scenario, Scenario):
                    found.setdefault(prepare(scenario).structure.signature, scenario)
    return list(found.values())[:count]


def naive(scenarios: Sequence[Scenario]) -> None:
    """One `jit` of its own for each scenario, the constants inside."""
    for scenario in scenarios:
        constants = jnp.asarray(prepare(scenario).structure.constants, jnp.float32)
        run = one_particle(scenario)

        @jax.jit
        def weigh(keys: Any, run: Any = run, constants: Any = constants) -> Any:
            return lax.map(lambda key: run(key, constants, True), keys, batch_size=CHUNK)

        jax.block_until_ready(weigh(jax.random.split(jax.random.key(0), 2 * POINTS)))


def engine(name: str, scenarios: Sequence[Scenario], batch: int) -> tuple[float, float, int]:
    """Seconds, seconds of processor time, and number labelled, in calls of ``batch``."""
    loose = {"max_error": 1.0, "min_ess": 0.0, "max_weight": 1.0, "max_outside": 1.0}
    config = LabelConfig(engine=name, points=(POINTS,), **loose)
    start, cpu, labelled = time.perf_counter(), time.process_time(), 0
    for at in range(0, len(scenarios), batch):
        results = label_scenarios(scenarios[at : at + batch], config)
        labelled += sum(isinstance(result, Labelled) for result in results)
    return time.perf_counter() - start, time.process_time() - cpu, labelled


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenarios", type=int, default=48, help="scenarios of each corpus")
    count = parser.parse_args().scenarios
    corpora = {"one structure": one_structure(count), "own structure": many_structures(count)}
    rows: list[tuple[str, str, int, int, float, float]] = []
    for corpus, scenarios in corpora.items():
        exact = [one for one in scenarios if _is_exact(one)]
        for name, batch in (("table", 1), ("table", 16), ("table", 64)):
            engine(name, scenarios, batch)  # compiles, and fills the caches
            seconds, cpu, done = engine(name, scenarios, batch)
            rows.append((corpus, f"{name}, 2 x {POINTS} points", batch, done, seconds, cpu))
        if exact:
            seconds, cpu, done = engine("exact", exact, 64)
            rows.append((corpus, "exact", 64, done, seconds, cpu))
        if corpus == "one structure":
            engine("numpyro", scenarios, 64)
            for batch in (1, 16, 64):
                seconds, cpu, done = engine("numpyro", scenarios, batch)
                rows.append((corpus, f"numpyro, 2 x {POINTS} draws", batch, done, seconds, cpu))
        few = scenarios[:4]
        start, begin = time.perf_counter(), time.process_time()
        naive(few)
        seconds, cpu = time.perf_counter() - start, time.process_time() - begin
        rows.append((corpus, "naive: one NumPyro jit each", 1, len(few), seconds, cpu))
    print("| corpus | route | batch | scenarios | ms | CPU ms | scenarios per second |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for corpus, route, batch, done, seconds, cpu in rows:
        each, work = seconds / max(done, 1), cpu / max(done, 1)
        numbers = f"{done} | {1e3 * each:.2f} | {1e3 * work:.2f} | {1 / each:.4g}"
        print(f"| {corpus} | {route} | {batch} | {numbers} |")


def _is_exact(scenario: Scenario) -> bool:
    limit = LabelConfig().enumerate_limit
    return discrete_route(prepare(scenario), limit).reason != "not_enumerable"


if __name__ == "__main__":
    main()
