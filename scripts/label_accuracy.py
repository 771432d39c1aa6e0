"""Label error against gold standards, by route and cost; and the power of the gates.

    python -m scripts.label_accuracy --families=12 --authored=120

Families with known posteriors (`scripts.label_families`: closed forms, joint normals, quadrature)
and scenarios of the offline author, whose gold is enumeration or weighting with two sets of 2^19
Sobol points of other seeds in float64 (used where that says it is within 0.005). For every route
and effort it prints the true total variation over 20 bins and over all answers, the stated error,
how often the truth lay within it, and the processor time; then how many bad labels (true error
above 0.05) passed the gates, and how many good ones (below 0.02) were refused.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import pathlib
import tempfile
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ppt_jax.authoring.author import AuthorConfig, author_corpus
from ppt_jax.inference import gates
from ppt_jax.inference.cascade import Labelled, label_scenarios, missed_range, tiers_of
from ppt_jax.inference.labels import LabelConfig, SoftLabel, coarse_answers, total_variation
from ppt_jax.inference.routes import Prepared, prepare
from ppt_jax.inference.table import assemble
from ppt_jax.inference.weighting64 import weighting64_route
from ppt_jax.scenario.document import Scenario, read_scenarios
from scripts.label_families import FAMILIES

Array = NDArray[np.float64]
BAD, GOOD = 0.05, 0.02
GOLD_POINTS = 1 << 19
GOLD_ERROR = 0.005
NO_GATES = LabelConfig(max_outside=1.0)


@dataclasses.dataclass(frozen=True)
class Row:
    """One label of one route against its gold."""

    family: str
    step: str
    kind: str
    error: float
    error_101: float
    stated: float
    passed: bool
    cpu_ms: float


Case = tuple[str, Prepared, list[Array | None]]


def distances(label: SoftLabel, gold: Array) -> tuple[float, float]:
    """True total variation over 20 bins and over all answers."""
    exact = dataclasses.replace(label, probs=gold)
    coarse = total_variation(coarse_answers(label), coarse_answers(exact))
    return coarse, total_variation(label.probs, gold)


def family_cases(count: int) -> list[Case]:
    """Families with known posteriors; `screening` again with its hidden bits not summed out."""
    cases: list[Case] = []
    for name, make in FAMILIES.items():
        for i in range(count):
            scenario, gold = make(np.random.default_rng([11, i]), i)
            cases.append((name, prepare(scenario), list(gold)))
            if name == "screening" and i < max(count // 2, 1):
                bare = prepare(scenario)
                bare.__dict__["table"] = assemble(bare.program)
                cases.append(("screening, 43 latents", bare, list(gold)))
    return cases


def authored_cases(count: int) -> list[Case]:
    """Scenarios of all motifs with gold by enumeration or by 2 x 2^19 points in float64."""
    sizes = {f"{name}_size": 8 for name in ("validation", "seen_motifs", "held_out_motifs")}
    config = AuthorConfig(train_size=count, held_out_family_size=8, seed=77, **sizes)
    cases: list[Case] = []
    with tempfile.TemporaryDirectory() as folder:
        author_corpus(config, folder)
        for path in sorted(pathlib.Path(folder, "scenarios").glob("train-*.jsonl")):
            for scenario in read_scenarios(path):
                if isinstance(scenario, Scenario):
                    cases.append((scenario.motif, prepare(scenario), authored_gold(scenario)))
    return cases


def authored_gold(scenario: Scenario) -> list[Array | None]:
    """Exact answers, or weighted ones known to `GOLD_ERROR`; None where neither is to be had."""
    exact = label_scenarios([scenario], LabelConfig(engine="exact", max_outside=1.0))[0]
    if isinstance(exact, Labelled):
        return [label.probs for label in exact.labels]
    config = dataclasses.replace(NO_GATES, seed=4242)
    (outcome,) = weighting64_route([prepare(scenario)], GOLD_POINTS, config)
    if not outcome.labels:
        return [None] * len(scenario.ask)
    return [label.probs if label.predicted < GOLD_ERROR else None for label in outcome.labels]


def run_steps(cases: Sequence[Case], config: LabelConfig) -> list[Row]:
    """Every effort of both sampling engines on every case, whether or not it passes the gates."""
    rows: list[Row] = []
    for engine in ("table", "tempered"):
        earlier: dict[int, tuple[SoftLabel, ...]] = {}
        for tier in tiers_of(dataclasses.replace(config, engine=engine)):
            tier.route([one for _, one, _ in cases[:1]], tier.effort, config)
            for place, (family, prepared, golds) in enumerate(cases):
                start = time.process_time()
                (outcome,) = tier.route([prepared], tier.effort, config)
                spent = 1e3 * (time.process_time() - start)
                labels = gates.with_shift(outcome.labels, earlier.get(place, ()), config)
                earlier[place] = outcome.labels
                outcome = dataclasses.replace(outcome, labels=labels)
                passed = bool(labels) and not gates.failed_gate(outcome, config)
                passed = passed and not missed_range(outcome, config)
                for label, gold in zip(labels, golds):
                    if gold is not None:
                        step = f"{tier.name} {tier.effort}"
                        errors = distances(label, gold)
                        kept = (label.error, passed, spent)
                        rows.append(Row(family, step, label.kind, *errors, *kept))
    return rows


def run_cascade(cases: Sequence[Case], config: LabelConfig) -> list[Row]:
    """What the whole cascade gives (cases whose tables were changed are left out)."""
    rows: list[Row] = []
    for family, prepared, golds in cases:
        if "latents" in family:
            continue
        start = time.process_time()
        (result,) = label_scenarios([prepared.scenario], config)
        spent = 1e3 * (time.process_time() - start)
        if isinstance(result, Labelled):
            for label, gold in zip(result.labels, golds):
                if gold is not None:
                    errors = distances(label, gold)
                    rows.append(
                        Row(family, "cascade", label.kind, *errors, label.error, True, spent)
                    )
        else:
            nothing = (math.nan, math.nan, math.nan, False, spent)
            rows.append(Row(family, "cascade", "", *nothing))
    return rows


def _quantiles(values: Array) -> str:
    if not len(values):
        return "- / - / -"
    return " / ".join(f"{q:.4f}" for q in np.quantile(values, [0.5, 0.95, 1.0]))


def table(rows: Sequence[Row], title: str, by: str) -> None:
    """Prints accepted labels grouped by a field."""
    print(f"\n{title}\n")
    head = f"{by} | labels | passed | true error (20 bins): median / 95 % / max | (all answers)"
    print(f"| {head} | stated: median / 95 % / max | within stated | CPU ms, median |")
    print("| --- | ---: | ---: | --- | --- | --- | ---: | ---: |")
    for key in dict.fromkeys(getattr(row, by) for row in rows):
        group = [row for row in rows if getattr(row, by) == key]
        kept = [row for row in group if row.passed]
        error, fine, stated = (
            np.array([getattr(row, name) for row in kept])
            for name in ("error", "error_101", "stated")
        )
        within = f"{np.mean(error <= stated + 1e-4):.0%}" if len(kept) else "-"
        cost = f"{np.median([row.cpu_ms for row in group]):.1f}"
        cells = [key, str(len(group)), f"{len(kept) / len(group):.0%}", _quantiles(error)]
        cells += [_quantiles(fine), _quantiles(stated), within, cost]
        print(f"| {' | '.join(cells)} |")


def power(rows: Sequence[Row]) -> None:
    """Prints how the gates tell bad labels from good ones."""
    print("\nPower of the gates\n")
    print(f"| step | bad (> {BAD}) | of them passed | good (< {GOOD}) | of them refused |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for step in dict.fromkeys(row.step for row in rows):
        group = [row for row in rows if row.step == step]
        bad = [row for row in group if row.error > BAD]
        good = [row for row in group if row.error < GOOD]
        passed, refused = sum(r.passed for r in bad), sum(not r.passed for r in good)
        print(f"| {step} | {len(bad)} | {passed} | {len(good)} | {refused} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--families", type=int, default=12, help="scenarios of each family")
    parser.add_argument("--authored", type=int, default=120, help="scenarios of the offline author")
    options = parser.parse_args()
    config = NO_GATES
    cases = family_cases(options.families)
    if cases:
        steps = run_steps(cases, config)
        table(steps, "Families with known posteriors, by route and effort", "step")
        power(steps)
        label_scenarios([one.scenario for _, one, _ in cases], config)  # compiles
        table(run_cascade(cases, config), "The cascade, by family", "family")
    authored = authored_cases(options.authored) if options.authored else []
    if authored:
        label_scenarios([one.scenario for _, one, _ in authored], config)
        rows = run_cascade(authored, config)
        table(rows, "The cascade on authored scenarios, by motif", "family")
        table(rows, "The same, by kind of ask", "kind")
        table(rows, "The same, all together", "step")


if __name__ == "__main__":
    main()
