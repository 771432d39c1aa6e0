r"""Compares evaluated runs item by item: differences, intervals, tests, what was detectable.

A run is a work folder, a folder with items.jsonl, or an items file; PATH#MODEL picks one model of a
file that holds several. Several paths of one side are seeds: NAME=run1,run2,run3.

  python -m launch.compare runs/a runs/b --out=runs/compare
  python -m launch.compare runs/mine#before runs/mine#after --metric=kl --split=seen_motifs
  python -m launch.compare old=runs/o1,runs/o2 new=runs/n1,runs/n2 --metric=kl --fail_if_worse=0.01

Differences are b - a; the first run is a. With --fail_if_worse the exit status is 1 when b is worse
than a by more than that and the whole interval lies beyond it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from absl import flags

from launch import entry

METRIC = flags.DEFINE_list("metric", [], "Metrics, e.g. kl,brier; all that apply when empty.")
SPLIT = flags.DEFINE_list("split", [], "Splits; all of the first run when empty.")
MODEL = flags.DEFINE_string("model", None, "Model of each items file where the path names none.")
INTERSECTION = flags.DEFINE_bool(
    "intersection",
    False,
    "Compare the items that all runs answered; else a missing one is refused.",
)
FAIL_IF_WORSE = flags.DEFINE_float("fail_if_worse", None, "Tolerated worsening; see above.")
REPLICATES = flags.DEFINE_integer("replicates", 1000, "Bootstrap replicates.")
LEVEL = flags.DEFINE_float("level", 0.95, "Coverage of the intervals.")
SEED = flags.DEFINE_integer("seed", 0, "Seed of bootstrap and sign flips.")
OUT = flags.DEFINE_string("out", None, "Folder for comparison.json, comparison.csv, comparison.md.")


def main(paths: Sequence[str]) -> None:
    """Compares the runs that the arguments name."""
    from ppt_jax.evaluation.run_comparison import (
        CompareConfig,
        compare_runs,
        comparison_table,
        failures,
        read_side,
        write_comparison,
    )

    config = CompareConfig(
        metrics=tuple(METRIC.value),
        splits=tuple(SPLIT.value),
        intersection=INTERSECTION.value,
        replicates=REPLICATES.value,
        level=LEVEL.value,
        seed=SEED.value,
    )
    sides = [read_side(path, MODEL.value) for path in paths]
    found = compare_runs(sides, config)
    print(comparison_table(found))
    print()
    for line in found.sentences:
        print(line)
    if OUT.value is not None:
        write_comparison(OUT.value, found, sides)
        print(f"\n{OUT.value}/comparison.md")
    if FAIL_IF_WORSE.value is not None:
        lines = failures(found, FAIL_IF_WORSE.value)
        for line in lines:
            print(f"worse: {line}", file=sys.stderr)
        if lines:
            sys.exit(1)


if __name__ == "__main__":
    entry.run_with_paths(main, least=2)
