r"""Trains the decoder on posterior labels: next-token distributions over answers become posteriors.

Reads WORKDIR/dataset and WORKDIR/tokenizer (builds them when missing), writes WORKDIR/train
(checkpoints, metrics.jsonl, TensorBoard logs). Ctrl-C or SIGTERM saves a checkpoint; the same
command resumes, bit for bit.

  python -m launch.train --config=configs/quickstart.py --workdir=runs/mine --config.train.steps=200
"""

from __future__ import annotations

import ml_collections

from launch import entry, stages


def main(config: ml_collections.ConfigDict, workdir: str) -> None:
    """Runs the stage in its work folder."""
    stages.run_stage("train", config, workdir)


if __name__ == "__main__":
    entry.run(main)
