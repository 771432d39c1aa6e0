r"""Authors scenarios: stories with their programs, observations, questions and hidden truths.

Writes WORKDIR/scenarios/<split>-*.jsonl, WORKDIR/corpus.json and its page, WORKDIR/corpus.html. A
run that was cut off goes on at the first unfinished shard; a finished one says so and does nothing.

  python -m launch.author --config=configs/quickstart.py --workdir=runs/mine \
      --config.author.train_size=2000 --config.author.processes=4
"""

from __future__ import annotations

import ml_collections

from launch import entry, stages


def main(config: ml_collections.ConfigDict, workdir: str) -> None:
    """Runs the stage in its work folder."""
    stages.run_stage("author", config, workdir)


if __name__ == "__main__":
    entry.run(main)
