r"""Builds the dataset: ArrayRecord files readable as a TFDS dataset, and the tokenizer.

Reads WORKDIR/labels, writes WORKDIR/dataset and WORKDIR/tokenizer. `launch.train` runs this stage
by itself when it is missing.

  python -m launch.dataset --config=configs/quickstart.py --workdir=runs/mine
"""

from __future__ import annotations

import ml_collections

from launch import entry, stages


def main(config: ml_collections.ConfigDict, workdir: str) -> None:
    """Runs the stage in its work folder."""
    stages.run_stage("dataset", config, workdir)


if __name__ == "__main__":
    entry.run(main)
