"""Labels a corpus in which every scenario has a structure of its own, and says what it took.

Half of the scenarios come from the offline author (all motifs, wide knobs), half are free-form
random programs (`scripts.random_programs`); both carry the truth that their observations were
drawn with, so the labels of the whole corpus are checked for calibration. Documents are made first,
kept in a folder, and not part of the measured time.

    python -m scripts.benchmark_corpus --scenarios=10000 --structures=10000
    python -m scripts.benchmark_corpus --scenarios=10000 --structures=50
"""

from __future__ import annotations

import argparse
import collections
import itertools
import json
import math
import multiprocessing
import os
import pathlib
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
from scipy import stats

from ppt_jax.authoring.author import AuthorConfig, author_corpus
from ppt_jax.inference.cascade import Labelled, Reject, label_scenarios
from ppt_jax.inference.labels import ENGINES, LabelConfig
from ppt_jax.inference.signature import structure_of
from ppt_jax.progress import Progress
from ppt_jax.scenario.document import Scenario, parse_scenario, read_scenarios, to_dict
from scripts.random_programs import random_document

PORTION = 512  # documents in memory at once
SMOOTH = 0.15  # calibration of ranks looks at labels whose greatest probability is below


def authored(folder: pathlib.Path, size: int, seed: int) -> Iterator[Scenario]:
    """Scenarios of the offline author with wide structure knobs, made at the first call."""
    config = AuthorConfig(
        seed=seed,
        train_size=size,
        validation_size=0,
        seen_motifs_size=0,
        held_out_motifs_size=0,
        held_out_family_size=0,
        held_out_motifs=(),
        held_out_family="",
        entities=(2, 8),
        observations=(1, 14),
        asks=(2, 4),
        shards=8,
    )
    author_corpus(config, folder)
    for path in sorted((folder / "scenarios").glob("train-*.jsonl")):
        for scenario in read_scenarios(path):
            if isinstance(scenario, Scenario):
                yield scenario


def free_form(variants: bool) -> Iterator[Scenario]:
    """Random programs of ever new structures, or of one structure after the other (`variants`)."""
    for seed in itertools.count():
        for variant in itertools.count() if variants else (0,):
            yield parse_scenario(random_document(seed, variant))


def distinct(source: Iterator[Scenario], count: int) -> list[Scenario]:
    """Up to ``count`` scenarios of different structures."""
    found: dict[str, Scenario] = {}
    with Progress("structures", count, "structure") as progress:
        for scenario in source:
            signature = structure_of(scenario).signature
            if signature not in found:
                found[signature] = scenario
                progress.advance(1)
            if len(found) == count:
                break
    return list(found.values())


def repeated(structures: int, count: int) -> list[Scenario]:
    """``count`` free-form scenarios over ``structures`` structures, in turn.

    Other constants turn comparisons and signs of observations round, which makes another structure;
    seeds are taken where that is rare.
    """
    each = -(-count // structures)
    made: list[list[Scenario]] = []
    with Progress("structures", structures, "structure") as progress:
        for seed in itertools.count():
            groups: dict[str, list[Scenario]] = collections.defaultdict(list)
            for variant in itertools.count():
                scenario = parse_scenario(random_document(seed, variant))
                groups[structure_of(scenario).signature].append(scenario)
                most = max(groups.values(), key=len)
                if len(most) == each or (variant >= 8 and len(most) < 0.7 * variant):
                    break
            if len(most) == each:
                made.append(most)
                progress.advance(1)
            if len(made) == structures:
                return [one for turn in zip(*made) for one in turn][:count]
    raise AssertionError("seeds have no end")


def make_corpus(path: pathlib.Path, scenarios: int, structures: int, share: float) -> None:
    """Writes the corpus, its scenarios mixed; skipped where it is there already."""
    if path.exists():
        return
    if structures < scenarios:
        chosen = repeated(structures, scenarios)
    else:
        wanted = round(scenarios * share)
        size = max(2 * wanted, 64)
        chosen = distinct(authored(path.parent / f"authored-{size}", size, 0), wanted)
        print(f"the author made {len(chosen)} structures in {size} scenarios", file=sys.stderr)
        chosen += distinct(free_form(False), scenarios - len(chosen))
    order = np.random.default_rng(0).permutation(len(chosen))
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [json.dumps(to_dict(chosen[i])) for i in order]
    part = path.with_suffix(".part")
    part.write_text("\n".join(rows) + "\n", encoding="utf-8")
    os.replace(part, path)


def percent(part: float, whole: float) -> str:
    return f"{100 * part / max(whole, 1):.1f} %"


class Tally:
    """What is kept of the results; labels themselves are let go."""

    def __init__(self) -> None:
        self.routes: collections.Counter[str] = collections.Counter()
        self.reasons: collections.Counter[str] = collections.Counter()
        self.seconds: dict[str, float] = collections.defaultdict(float)
        self.errors: list[float] = []
        self.ranks: dict[str, list[float]] = collections.defaultdict(list)
        self.options: list[tuple[float, bool]] = []
        self.asks = self.bad = 0

    def add(self, result: Labelled | Reject) -> None:
        if isinstance(result, Reject):
            self.reasons[result.reason] += 1
            return
        route = result.labels[0].route + (f" {result.effort}" if result.effort else "")
        self.routes[route] += 1
        self.seconds[route] += result.seconds
        seen = set()
        for label in result.labels:
            self.asks += 1
            self.errors.append(label.error)
            self.bad += int(not np.all(np.isfinite(label.probs)))
            if label.kind in seen:  # one ask of a kind a scenario: others are not independent
                continue
            seen.add(label.kind)
            if label.kind == "choice" and label.true_answer is not None:
                self.options += [(p, k == label.true_answer) for k, p in enumerate(label.probs)][1:]
            elif label.true_rank is not None and label.probs.max() < SMOOTH:
                self.ranks[label.kind].append(label.true_rank)

    def calibration(self) -> dict[str, Any]:
        """Uniformity of the truth's rank by kind; whether options come true as often as told."""
        rows: dict[str, Any] = {}
        for kind, ranks in sorted(self.ranks.items()):
            test = stats.kstest(ranks, "uniform")
            rows[kind] = {"labels": len(ranks), "ks": test.statistic, "p": test.pvalue}
        p, hit = np.array([[p, hit] for p, hit in self.options]).reshape(-1, 2).T
        spread = math.sqrt(max(float(np.sum(p * (1 - p))), 1e-12))
        rows["choice"] = {"labels": len(p), "z": float(np.sum(hit - p)) / spread}
        bins = np.clip((p * 10).astype(int), 0, 9)
        table = [(float(p[bins == b].mean()), float(hit[bins == b].mean())) for b in set(bins)]
        rows["choice"]["told_and_seen"] = sorted(table)
        return rows


def measure(path: pathlib.Path, config: LabelConfig) -> dict[str, Any]:
    """Labels a corpus portion by portion and sums up."""
    compiled: list[float] = []

    def heard(event: str, duration_secs: float, **_: str | int) -> None:
        if event.endswith("backend_compile_duration"):
            compiled.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(heard)
    tally, reading = Tally(), 0.0
    start, cpu = time.perf_counter(), time.process_time()
    count = sum(1 for _ in path.open())
    source = read_scenarios(path)
    with Progress("label", count, "scenario") as progress:
        while True:
            begin = time.perf_counter()
            part = [one for one in itertools.islice(source, PORTION) if isinstance(one, Scenario)]
            reading += time.perf_counter() - begin
            if not part:
                break
            for result in label_scenarios(part, config):
                tally.add(result)
            progress.advance(len(part), rejects=sum(tally.reasons.values()))
    seconds = time.perf_counter() - start
    errors = np.array(tally.errors) if tally.errors else np.zeros(1)
    return {
        "scenarios": count,
        "labelled": sum(tally.routes.values()),
        "asks": tally.asks,
        "seconds": seconds,
        "cpu_seconds": time.process_time() - cpu,
        "scenarios_per_second": count / seconds,
        "reading_seconds": reading,
        "compile_seconds": sum(compiled),
        "compilations": len(compiled),
        "peak_rss_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "cores": len(os.sched_getaffinity(0)),
        "routes": dict(tally.routes.most_common()),
        "route_seconds": dict(tally.seconds),
        "rejects": dict(tally.reasons.most_common()),
        "labels_with_no_number": tally.bad,
        "error": {f"{q}%": float(np.percentile(errors, q)) for q in (50, 95, 100)},
        "calibration": tally.calibration(),
    }


def show(found: dict[str, Any]) -> None:
    """Prints the result as Markdown."""
    count = found["scenarios"]
    print(
        f"{count} scenarios, {found['asks']} asks: {found['seconds']:.1f} s "
        f"({found['cpu_seconds']:.1f} s of processor time on {found['cores']} cores), "
        f"{found['scenarios_per_second']:.1f} a second, "
        f"peak memory {found['peak_rss_gib']:.2f} GiB; "
        f"{found['compilations']} compilations in {found['compile_seconds']:.1f} s, "
        f"{found['reading_seconds']:.1f} s reading documents\n"
    )
    print("| route, points | scenarios | | seconds |\n| --- | ---: | ---: | ---: |")
    for route, number in found["routes"].items():
        seconds = found["route_seconds"][route]
        print(f"| {route} | {number} | {percent(number, count)} | {seconds:.1f} |")
    for reason, number in found["rejects"].items():
        print(f"| reject: {reason} | {number} | {percent(number, count)} | |")
    errors = ", ".join(f"{q} {error:.4f}" for q, error in found["error"].items())
    print(f"\nstated error by percentile: {errors}\n")
    for kind, row in found["calibration"].items():
        told = ", ".join(f"{a:.2f}/{b:.2f}" for a, b in row.pop("told_and_seen", []))
        text = ", ".join(f"{key} {number:.4g}" for key, number in row.items())
        print(f"calibration of {kind}: {text}{', told/seen ' + told if told else ''}")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scenarios", type=int, default=1000, help="size of the corpus")
    parser.add_argument("--structures", type=int, default=0, help="different ones; 0 for all")
    parser.add_argument("--authored", type=float, default=0.5, help="share of the offline author")
    parser.add_argument("--engine", choices=ENGINES, default="auto")
    parser.add_argument("--max-error", type=float, default=0.03)
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("runs/corpora"))
    parser.add_argument("--out", type=pathlib.Path, help="JSON file for the result")
    chosen = parser.parse_args(arguments)
    structures = chosen.structures or chosen.scenarios
    name = f"{chosen.scenarios}-{structures}-{chosen.authored:g}.jsonl"
    path = chosen.folder / name
    # In a process of its own, so that it takes no part in the memory that is measured.
    context = multiprocessing.get_context("spawn")
    maker = context.Process(
        target=make_corpus, args=(path, chosen.scenarios, structures, chosen.authored)
    )
    maker.start()
    maker.join()
    if maker.exitcode:
        raise SystemExit("the corpus could not be made")
    found = measure(path, LabelConfig(engine=chosen.engine, max_error=chosen.max_error))
    if chosen.out:
        chosen.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    show(found)


if __name__ == "__main__":
    main()
