r"""Trains the decoder on posterior labels: next-token distributions over answers become posteriors.

Reads WORKDIR/dataset and WORKDIR/tokenizer (builds them when missing), writes WORKDIR/train
(checkpoints, metrics.jsonl, TensorBoard logs). Ctrl-C or SIGTERM saves a checkpoint; the same
command resumes, bit for bit.

  python -m launch.train --config=configs/quickstart.py --workdir=runs/mine --config.train.steps=200

Several processes, each with its own devices, train together on one shared WORKDIR. Slurm, TPU pods
and Kubernetes tell them who they are; elsewhere three flags do (see docs/training.md):

  python -m launch.train --config=... --workdir=... --coordinator_address=HOST:8476 \
      --num_processes=2 --process_id=0

Other devices than those of the checkpoints are refused; --accept=hardware goes on with them, at the
same place in the data, but not to the bit. --profile writes a trace of five steps.
"""

from __future__ import annotations

import ml_collections
from absl import flags

from launch import distributed, entry, training

ACCEPT = flags.DEFINE_list(
    "accept", [], "Differences from the checkpoints to overlook: hardware, versions, data."
)
PROFILE = flags.DEFINE_bool("profile", False, "Write a trace of five steps to WORKDIR/train.")


def main(config: ml_collections.ConfigDict, workdir: str) -> None:
    """Runs the stage in its work folder."""
    if PROFILE.value and "train" in config and not config.train.get("profile_steps"):
        config.train.profile_steps = 5
    processes = distributed.start()
    try:
        training.run(config, workdir, processes, ACCEPT.value)
    finally:
        distributed.stop()


if __name__ == "__main__":
    entry.run(main)
