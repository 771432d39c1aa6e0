r"""Evaluates a pipeline's run on its held-out splits, or any model on any benchmark.

Before and after training on every held-out split, with the report; reads WORKDIR/train and
WORKDIR/dataset, writes WORKDIR/evaluation/, WORKDIR/results.json and WORKDIR/report.html:

  python -m launch.evaluate --config=configs/quickstart.py --workdir=runs/mine

Any model (a work folder, or a directory with config.json and safetensors) on benchmarks
(docs/benchmarks.md), by one or more readouts (docs/evaluation.md). It goes on where it was when it
was cut off:

  python -m launch.evaluate --model=runs/mine --benchmark=motifs --data_dir=runs/mine/dataset \
      --splits=seen_motifs --readout=trie,sampling --limit=200 --out=runs/mine-motifs
  python -m launch.evaluate --model=base=models/base --model=tuned=exported/mine \
      --benchmark=quite --data_dir=data/quite --out=runs/quite
"""

from __future__ import annotations

import ml_collections
from absl import flags

from launch import entry, stages
from ppt_jax.errors import UserError

MODEL = flags.DEFINE_multi_string("model", [], "[NAME=]PATH of a model to question; repeatable.")
BENCHMARK = flags.DEFINE_string("benchmark", None, "Name of a benchmark, see docs/benchmarks.md.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder (or file) with the benchmark's data.")
OPTION = flags.DEFINE_multi_string("option", [], "NAME=VALUE, an option of the benchmark.")
SPLITS = flags.DEFINE_list("splits", [], "Subsets of the benchmark; all when empty.")
READOUT = flags.DEFINE_list(
    "readout", ["trie"], "trie, letters, likelihood, sampling, verbalised; the first is scored."
)
LIMIT = flags.DEFINE_integer("limit", 0, "First questions only, so many of each subset; 0 for all.")
SAMPLES = flags.DEFINE_integer("samples", 20, "Texts a question of the readout sampling.")
TOKENS = flags.DEFINE_integer("tokens", 16, "Tokens written at most, by readouts that write.")
WHICH = flags.DEFINE_enum("which", "best", ["best", "last", "lm"], "Checkpoint of a work folder.")
REPLICATES = flags.DEFINE_integer("replicates", 1000, "Bootstrap replicates.")
SEED = flags.DEFINE_integer("seed", 0, "Seed of sampling, bootstrap and nulls.")
OUT = flags.DEFINE_string("out", None, "Folder for items, results and report.")


def main(config: ml_collections.ConfigDict, workdir: str) -> None:
    """Runs the stage in its work folder."""
    for name in ("benchmark", "data_dir", "option", "splits", "readout", "limit", "out"):
        if flags.FLAGS[name].present:
            raise UserError(f"--{name} goes with --model=PATH")
    stages.run_stage("evaluate", config, workdir)


def question_models() -> None:
    """Puts a benchmark's questions to the models that the flags name."""
    from launch.questioning import QuestioningConfig, evaluate_models

    if BENCHMARK.value is None:
        raise UserError("--benchmark=NAME is missing: what to ask, see docs/benchmarks.md")
    if OUT.value is None:
        raise UserError("--out=DIR is missing: the folder for items, results and report")
    settings = QuestioningConfig(
        models=tuple(MODEL.value),
        benchmark=BENCHMARK.value,
        data_dir=DATA_DIR.value,
        options=tuple(OPTION.value),
        splits=tuple(SPLITS.value),
        readouts=tuple(READOUT.value),
        limit=LIMIT.value,
        samples=SAMPLES.value,
        tokens=TOKENS.value,
        which=WHICH.value,
        replicates=REPLICATES.value,
        seed=SEED.value,
    )
    evaluate_models(settings, OUT.value)


if __name__ == "__main__":
    entry.run_either(main, question_models, "model")
