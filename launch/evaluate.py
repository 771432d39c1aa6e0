r"""Evaluates before and after training on every held-out split, and writes the report.

Reads WORKDIR/train and WORKDIR/dataset, writes WORKDIR/evaluation/items.jsonl,
WORKDIR/results.json, WORKDIR/report.html and WORKDIR/report.md.

  python -m launch.evaluate --config=configs/quickstart.py --workdir=runs/mine
"""

from __future__ import annotations

import ml_collections

from launch import entry, stages


def main(config: ml_collections.ConfigDict, workdir: str) -> None:
    """Runs the stage in its work folder."""
    stages.run_stage("evaluate", config, workdir)


if __name__ == "__main__":
    entry.run(main)
