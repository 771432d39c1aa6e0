#!/bin/bash
# Trains on every host of a Cloud TPU pod slice; JAX reads from the metadata who is who.
#
#   bash launch/tpu_pod.sh setup    # once: this checkout and its environment on all hosts
#   bash launch/tpu_pod.sh          # start, or resume after a preemption
#
# Edit these lines (or set them in the environment), nothing else.
POD=${POD:-my-pod}
ZONE=${ZONE:-us-central2-b}
CONFIG=${CONFIG:-configs/llama3_70b_tpu.py}
WORKDIR=${WORKDIR:-/mnt/shared/runs/llama3_70b}     # a mount that all hosts see
SOURCE=${SOURCE:-/mnt/shared/models/Meta-Llama-3-70B}
EXTRA=${EXTRA:-}

set -euo pipefail
on_all_hosts() {
  gcloud compute tpus tpu-vm ssh "$POD" --zone="$ZONE" --worker=all --command="$1"
}

if [[ "${1:-}" == setup ]]; then
  git archive --format=tar.gz -o /tmp/ppt_jax.tar.gz HEAD
  gcloud compute tpus tpu-vm scp /tmp/ppt_jax.tar.gz "$POD": --zone="$ZONE" --worker=all
  on_all_hosts "mkdir -p ppt_jax && tar -xzf ppt_jax.tar.gz -C ppt_jax && cd ppt_jax &&
    python3 -m venv .venv && .venv/bin/pip install -c constraints.txt -e '.[tpu]'"
  exit
fi
on_all_hosts "cd ppt_jax && JAX_COMPILATION_CACHE_DIR=$WORKDIR/jax_cache .venv/bin/python \
  -m launch.train --config=$CONFIG --workdir=$WORKDIR --config.source.path=$SOURCE $EXTRA"
