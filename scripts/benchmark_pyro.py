"""The published sports programs: Pyro as published, Pyro by hand, and every engine of this package.

All 16 motifs (P, C, R) with teams of one to three (`scripts.sports_grid`). Error is the total
variation of a label to a long gold run, over 20 bins, averaged over all asks of all scenarios.
Pyro runs in another Python that has torch and pyro-ppl; without one only this package is timed.

    python -m venv pyro-venv && pyro-venv/bin/pip install torch pyro-ppl
    python -m scripts.benchmark_pyro --pyro_python=pyro-venv/bin/python
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pathlib
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppt_jax.errors import UserError
from ppt_jax.inference.cascade import Labelled, label_scenarios
from ppt_jax.inference.eager import eager_route
from ppt_jax.inference.labels import LabelConfig, total_variation
from ppt_jax.inference.nuts_route import nuts_route
from ppt_jax.inference.routes import Outcome, Prepared, numpyro_route, prepare, table_route
from ppt_jax.inference.tempered_route import tempered_route
from scripts.sports_grid import MOTIFS, Contests, contests, document

Array = NDArray[np.float64]
Route = Callable[[Sequence[Prepared], int, LabelConfig], list[Outcome]]
WORKER = pathlib.Path(__file__).with_name("pyro_worker.py")
GOLD_POINTS, GOLD_SEEDS = 65536, range(101, 109)
MOST_PARTICLES = 1 << 20


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table: seconds and errors are means over scenarios."""

    who: str
    effort: str
    scenarios: int
    seconds: float
    first: float | None
    error: float | None
    note: str = ""

    def line(self) -> str:
        """The row in Markdown."""
        first = "" if self.first is None else f"{self.first:.1f}"
        error = "" if self.error is None else f"{self.error:.4f}"
        cells = (
            self.who,
            self.effort,
            self.scenarios,
            f"{self.seconds:.4g}",
            first,
            error,
            self.note,
        )
        return f"| {' | '.join(map(str, cells))} |"


def coarse(probs: Array) -> Array:
    """20 bins of five answers, the last of six."""
    return np.add.reduceat(np.asarray(probs, np.float64), np.arange(0, 100, 5))


def mean_error(labels: Sequence[Sequence[Array]], gold: Sequence[Sequence[Array]]) -> float:
    """Mean total variation over 20 bins."""
    pairs = [(a, b) for one, right in zip(labels, gold) for a, b in zip(one, right)]
    return float(np.mean([total_variation(coarse(a), coarse(b)) for a, b in pairs]))


def probs_of(outcome: Outcome) -> list[Array]:
    """The labels of an outcome."""
    return [label.probs for label in outcome.labels]


def gold_labels(prepared: Sequence[Prepared]) -> list[list[Array]]:
    """Weighting on over a million points, other points than any run that is measured."""
    runs = [table_route(prepared, GOLD_POINTS, LabelConfig(seed=seed)) for seed in GOLD_SEEDS]
    return [
        [np.mean(probs, axis=0) for probs in zip(*(probs_of(run[i]) for run in runs))]
        for i in range(len(prepared))
    ]


def timed(
    who: str,
    effort: str,
    route: Route,
    points: int,
    prepared: Sequence[Prepared],
    gold: Sequence[Sequence[Array]],
) -> Row:
    """A route once to compile and once for the clock, with its error where it made labels."""
    config = LabelConfig()
    start = time.perf_counter()
    route(prepared, points, config)
    middle = time.perf_counter()
    outcomes = route(prepared, points, config)
    end = time.perf_counter()
    made = [i for i, outcome in enumerate(outcomes) if outcome.labels]
    refused = len(prepared) - len(made)
    error = (
        mean_error([probs_of(outcomes[i]) for i in made], [gold[i] for i in made]) if made else None
    )
    note = (
        f"{refused} refused: {next(o.detail for o in outcomes if not o.labels)}" if refused else ""
    )
    seconds = (end - middle) / len(prepared)
    return Row(who, effort, len(prepared), seconds, middle - start - (end - middle), error, note)


def engines(prepared: list[Prepared], gold: list[list[Array]], compiled: int) -> list[Row]:
    """Every engine; those that compile each structure on the first few single-player scenarios."""
    rows = [
        timed("ppt_jax table", "2 x 2048 points", table_route, 2048, prepared, gold),
        timed("ppt_jax table", "2 x 8192 points", table_route, 8192, prepared, gold),
        timed("ppt_jax table", "2 x 65536 points", table_route, 65536, prepared, gold),
        timed("ppt_jax eager NumPyro", "2 x 8192 draws", eager_route, 8192, prepared, gold),
        timed("ppt_jax tempered", "1024 particles", tempered_route, 1024, prepared[:16], gold[:16]),
    ]
    few, right = prepared[:compiled], gold[:compiled]
    rows.append(
        timed("ppt_jax NumPyro weighting", "2 x 8192 draws", numpyro_route, 8192, few, right)
    )
    rows.append(timed("ppt_jax NumPyro NUTS", "8 x 500 draws", nuts_route, 500, few[:1], right[:1]))
    start = time.perf_counter()
    results = label_scenarios([one.scenario for one in prepared], LabelConfig())
    label_scenarios([prepared[0].scenario], LabelConfig())
    first = time.perf_counter() - start
    start = time.perf_counter()
    results = label_scenarios([one.scenario for one in prepared], LabelConfig())
    seconds = (time.perf_counter() - start) / len(prepared)
    kept = [(r, gold[i]) for i, r in enumerate(results) if isinstance(r, Labelled)]
    error = mean_error([[label.probs for label in r.labels] for r, _ in kept], [g for _, g in kept])
    note = f"{len(results) - len(kept)} refused" if len(kept) < len(results) else "all gates passed"
    first -= seconds * len(prepared)
    rows.append(Row("ppt_jax cascade", "error < 0.03", len(prepared), seconds, first, error, note))
    return rows


def as_request(spec: Contests) -> dict[str, Any]:
    """A spec as the worker reads it."""
    row = dataclasses.asdict(spec)
    return {"id": row.pop("name"), **row}


def ask_worker(python: str, request: dict[str, Any]) -> dict[str, Any]:
    """Runs the worker in the other Python.

    Raises:
      UserError: it cannot be started, or fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths = [pathlib.Path(folder) / name for name in ("request.json", "result.json")]
        paths[0].write_text(json.dumps(request), encoding="utf-8")
        command = [python, str(WORKER), *map(str, paths)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            raise UserError(f"--pyro_python={python}: {error.strerror}") from None
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:] or ["no message"]
            raise UserError(f"--pyro_python={python}: the worker failed: {last[0]}")
        made: dict[str, Any] = json.loads(paths[1].read_text(encoding="utf-8"))
    return made


def pyro_rows(
    python: str, specs: list[Contests], gold: list[list[Array]], target: float, limit: float
) -> tuple[list[Row], str]:
    """Pyro by traces (projected to 1,000 accepted draws) and by hand at the same error."""
    request = {
        "specs": [as_request(spec) for spec in specs],
        "threads": len(os.sched_getaffinity(0)),
        "seed": 0,
    }
    accepted = {"accepted": 1000, "seconds": limit}
    made = ask_worker(python, {**request, "rejection": accepted, "particles": [16384]})
    projected = [r["seconds"] * 1000 / max(r["accepted"], 1) for r in made["rejection"]]
    tries = sum(r["tries"] for r in made["rejection"])
    spent = sum(r["seconds"] for r in made["rejection"])
    got = sum(r["accepted"] for r in made["rejection"])
    note = f"projected from {limit:g} s a program: {1e3 * spent / tries:.2f} ms a trace, "
    note += f"{got / tries:.2f} of them kept"
    rows = [
        Row("Pyro rejection, one trace at a time", "1,000 accepted", len(specs),
            float(np.mean(projected)), None, mean_error(made["thousand"], gold), note)
    ]  # fmt: skip

    def by_hand(result: dict[str, Any], count: int, note: str = "") -> Row:
        runs = result["vectorised"][str(count)]
        seconds = float(np.mean([run["seconds"] for run in runs]))
        error = mean_error([run["labels"] for run in runs], gold)
        return Row("Pyro by hand, all particles at once", f"{count} particles", len(specs), seconds,
                   None, error, note)  # fmt: skip

    rows.append(by_hand(made, 16384))
    needed = round(16384 * (float(rows[-1].error or target) / target) ** 2)
    needed = min(max(needed, 1024), MOST_PARTICLES)
    again = ask_worker(python, {**request, "particles": [needed]})
    rows.append(by_hand(again, needed, "the error of the table at 2 x 8192"))
    return rows, f"Pyro {made['pyro']} on torch {made['torch']}"


def main() -> None:
    """Prints the table and the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--pyro_python", default="", help="a Python with torch and pyro-ppl")
    parser.add_argument("--sizes", default="1,2,3", help="players of a team")
    parser.add_argument("--limit", type=float, default=2.0, help="seconds of traces a program")
    parser.add_argument("--compiled", type=int, default=4, help="scenarios for compiling engines")
    options = parser.parse_args()
    sizes = [int(size) for size in options.sizes.split(",")]
    specs = [contests(motif, size, 0) for size in sizes for motif in MOTIFS]
    prepared = [prepare(document(spec)) for spec in specs]
    gold = gold_labels(prepared)
    rows = engines(prepared, gold, options.compiled)
    table = next(row for row in rows if row.effort == "2 x 8192 points")
    cores = len(os.sched_getaffinity(0))
    about = f"{len(specs)} scenarios, {cores} core(s), load {os.getloadavg()[0]:.1f}"
    pyro: list[Row] = []
    if options.pyro_python:
        try:
            pyro, version = pyro_rows(
                options.pyro_python, specs, gold, table.error or 0.01, options.limit
            )
        except UserError as error:
            print(error)
            raise SystemExit(2) from None
        about += f"; {version}"
    print(f"{about}\n")
    print("| engine | effort | scenarios | s per scenario | first run more, s | error | note |")
    print("| --- | --- | ---: | ---: | ---: | ---: | --- |")
    for row in [*pyro, *rows]:
        print(row.line())
    if not pyro:
        print("\nPyro was not timed: give a Python that has torch and pyro-ppl as --pyro_python.")
        return
    traces, equal = pyro[0], pyro[-1]
    print(
        f"\nOne trace at a time takes {traces.seconds / table.seconds:.0f} times the table's time"
    )
    print(f"(its error {traces.error:.4f} to {table.error:.4f}); ", end="")
    print(f"by hand at equal error {equal.seconds / table.seconds:.1f} times.")


if __name__ == "__main__":
    main()
