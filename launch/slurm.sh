#!/bin/bash
# Trains over several GPU nodes under Slurm: one process a node, which takes all of its GPUs.
#
#   sbatch --nodes=4 --gpus-per-node=8 launch/slurm.sh
#
#SBATCH --job-name=ppt_jax
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --signal=TERM@120
# SIGTERM comes two minutes before the end or a preemption: the run saves and exits, the requeued
# job resumes.

# Edit these four lines (or set them in the environment), nothing else.
CONFIG=${CONFIG:-configs/llama3_8b_full.py}
WORKDIR=${WORKDIR:-/shared/runs/llama3_8b_full}   # on a file system that all nodes see
SOURCE=${SOURCE:-/shared/models/Meta-Llama-3-8B}  # model directory
EXTRA=${EXTRA:-}                                  # e.g. "--config.train.steps=500"

set -euo pipefail
export XLA_PYTHON_CLIENT_MEM_FRACTION=${XLA_PYTHON_CLIENT_MEM_FRACTION:-0.92}
export JAX_COMPILATION_CACHE_DIR=${JAX_COMPILATION_CACHE_DIR:-$WORKDIR/jax_cache}
# shellcheck disable=SC2086
exec srun --kill-on-bad-exit=1 .venv/bin/python -m launch.train --config="$CONFIG" \
  --workdir="$WORKDIR" --config.source.path="$SOURCE" $EXTRA
