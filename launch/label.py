r"""Labels scenarios: Bayesian inference turns every question into a distribution over answers.

Reads WORKDIR/scenarios, writes WORKDIR/labels/<split>-*.jsonl, rejects.jsonl (every refused
scenario with its reason) and summary.json. Killed at any time and started again, it redoes at most
one shard and ends with the same bytes.

  python -m launch.label --config=configs/quickstart.py --workdir=runs/mine
"""

from __future__ import annotations

import ml_collections

from launch import entry, stages


def main(config: ml_collections.ConfigDict, workdir: str) -> None:
    """Runs the stage in its work folder."""
    stages.run_stage("label", config, workdir)


if __name__ == "__main__":
    entry.run(main)
