r"""Verifies labels against the truths that were drawn with the scenarios.

Simulation-based calibration over a labelled corpus: places of the truths in their labels with
simultaneous bands, reliability of choices, scores, and use of the evidence; overall, by kind, by
route and by motif. Writes verification.json and a self-contained page, verification.html, and
prints one line. Scenarios whose evidence was chosen by an author are left out and counted.

  python -m launch.verify_labels --labels=runs/mine/labels
  python -m launch.verify_labels --labels=runs/mine/labels --relabel=50
  python -m launch.verify_labels --labels=runs/mine/labels --fail_on_alarm     # status 1, for CI
"""

from __future__ import annotations

import json
import pathlib
import sys

from absl import flags

from launch import entry
from ppt_jax.errors import UserError
from ppt_jax.storage import write_atomic

LABELS = flags.DEFINE_string("labels", None, "Folder of labelled shards, or one such file.")
OUT = flags.DEFINE_string(
    "out", None, "Folder of the results; a folder verification/ beside the labels else."
)
ALPHA = flags.DEFINE_float("alpha", 0.01, "Chance of any alarm when all labels are right.")
PRIORS = flags.DEFINE_integer(
    "prior_scenarios", 4000, "Scenarios whose priors are simulated to test the use of evidence."
)
SEED = flags.DEFINE_integer(
    "seed", 0, "Of the randomised places, the sample and its second labels."
)
RELABEL = flags.DEFINE_integer("relabel", 0, "Label so many scenarios again by another engine.")
ENGINE = flags.DEFINE_string("engine", "eager", "Engine of --relabel, a value of label.engine.")
FAIL = flags.DEFINE_bool("fail_on_alarm", False, "End with status 1 when there is an alarm.")


def main() -> None:
    """Verifies, writes the results, prints the verdict."""
    if LABELS.value is None:
        raise UserError("--labels=DIR is missing: the folder of labelled shards")
    if not 0 < ALPHA.value < 1:
        raise UserError(f"--alpha={ALPHA.value}: must be above 0 and below 1")
    if PRIORS.value < 0 or RELABEL.value < 0 or SEED.value < 0:
        raise UserError("--prior_scenarios, --relabel and --seed must be at least 0")
    from launch.verification_page import verification_page
    from ppt_jax.inference.verdicts import verify
    from ppt_jax.inference.verification import read_corpus

    labels = pathlib.Path(LABELS.value)
    folder = labels.parent if labels.is_file() else labels
    out = pathlib.Path(OUT.value) if OUT.value else folder.resolve().parent / "verification"
    corpus = read_corpus(labels, seed=SEED.value, prior_scenarios=PRIORS.value, silent=False)
    result = verify(corpus, ALPHA.value)
    again = None
    if RELABEL.value:
        from ppt_jax.inference.relabelling import relabel

        again = relabel(labels, RELABEL.value, ENGINE.value, seed=SEED.value)
    data = {**result.to_json(), "relabelling": again.to_json() if again else None}
    write_atomic(out / "verification.json", json.dumps(data, indent=1, allow_nan=False) + "\n")
    write_atomic(out / "verification.html", verification_page(result, again, str(LABELS.value)))
    print(f"verify: {result.verdict}")
    if again is not None:
        print(f"relabel: {again.verdict}")
    for reason, count in corpus.left_out.items():
        print(f"left out: {count} scenarios, {reason}")
    print(f"page: {out / 'verification.html'}")
    if FAIL.value and (result.alarms or (again is not None and again.gross)):
        sys.exit(1)


if __name__ == "__main__":
    entry.run_alone(main)
