r"""Labels scenarios: Bayesian inference turns every question into a distribution over answers.

Reads WORKDIR/scenarios, or the folder or file of --input. Writes WORKDIR/labels/<shard>.jsonl,
rejects.jsonl (every refused scenario with file, line and reason), summary.json and timing.json.
Killed at any time and started again, it redoes at most one shard and ends with the same bytes.

  python -m launch.label --config=configs/quickstart.py --workdir=runs/mine
  python -m launch.label --config=configs/quickstart.py --workdir=runs/mine --input=my_scenarios/

Any number of processes on any number of machines that share the folder, in one of two ways.
Independent tasks, each with its share of the shards, the first number counting from 0; the last
one to finish merges, and --merge does it again:

  python -m launch.label --config=... --workdir=... --shard=3/64
  python -m launch.label --config=... --workdir=... --merge

Or one job of several processes, found by themselves under Slurm, on TPU pods and in GKE, or told:

  python -m launch.label --config=... --workdir=... \
      --coordinator_address=10.0.0.1:8476 --num_processes=4 --process_id=0
"""

from __future__ import annotations

import ml_collections
from absl import flags

from launch import distributed, entry
from ppt_jax.errors import UserError
from ppt_jax.inference.shards import Share

INPUT = flags.DEFINE_string(
    "input", None, "Folder of scenario shards (*.jsonl), or one such file; WORKDIR/scenarios else."
)
SHARD = flags.DEFINE_string(
    "shard", None, "INDEX/COUNT: label every COUNT-th shard from INDEX (from 0), e.g. 3/64."
)
MERGE = flags.DEFINE_bool(
    "merge", False, "Label nothing; check every shard and write the common files again."
)


def share_of(shard: str | None, merge: bool, told: bool) -> Share | None:
    """An independent task's share, or None for a process that is alone or one of several.

    Args:
      shard: ``--shard``.
      merge: ``--merge``.
      told: whether flags name other processes to join.

    Raises:
      UserError: the share makes no sense, or the flags exclude each other.
    """
    share = None if shard is None else Share.parse(shard)
    if share is not None and told:
        raise UserError(
            "--shard and --coordinator_address exclude each other: tasks with --shard are "
            "independent, processes with a coordinator deal the shards out among themselves"
        )
    if merge and (share is not None or told):
        raise UserError("--merge is one process alone; leave --shard and --coordinator_address out")
    return share


def main(config: ml_collections.ConfigDict, workdir: str) -> None:
    """Labels this process's share, and merges when all is done."""
    told = distributed.COORDINATOR.value is not None or distributed.NUM_PROCESSES.value is not None
    share = share_of(SHARD.value, MERGE.value, told)
    processes = distributed.Processes() if share or MERGE.value else distributed.start()
    try:
        from launch import labelling  # after the start: it brings JAX in

        labelling.run(config, workdir, INPUT.value, share, processes, merge_only=MERGE.value)
    finally:
        distributed.stop()


if __name__ == "__main__":
    entry.run(main)
