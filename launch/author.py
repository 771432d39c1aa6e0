r"""Authors scenarios: stories with their programs, observations, questions and hidden truths.

Writes WORKDIR/scenarios/<split>-*.jsonl, WORKDIR/corpus.json and its page, WORKDIR/corpus.html. A
run that was cut off goes on at the first unfinished shard; a finished one says so and does nothing.
With config.author.kind = "llm" a language model writes (docs/llm_author.md).

  python -m launch.author --config=configs/quickstart.py --workdir=runs/mine \
      --config.author.train_size=2000 --config.author.processes=4
  python -m launch.author --config=configs/llm_author.py --workdir=runs/written \
      --config.backend.base_url=http://127.0.0.1:8000/v1 --config.author.model=NAME
"""

from __future__ import annotations

import ml_collections

from launch import entry, stages


def main(config: ml_collections.ConfigDict, workdir: str) -> None:
    """Runs the stage in its work folder."""
    stages.run_stage("author", config, workdir)


if __name__ == "__main__":
    entry.run(main)
