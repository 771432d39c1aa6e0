"""From items to results: long rows with intervals, paired comparisons, and the short table.

`evaluate` is the one call of the evaluate stage; `write_evaluation` stores what it returns. Rows
are defined in docs/evaluation.md.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ppt_jax.errors import UserError
from ppt_jax.evaluation import answers as answers_lib
from ppt_jax.evaluation import baselines
from ppt_jax.evaluation.answers import Answers, Targets
from ppt_jax.evaluation.items import Item, ItemError
from ppt_jax.evaluation.posthoc import METHODS, PostHoc
from ppt_jax.evaluation.posthoc import fit as fit_posthoc
from ppt_jax.evaluation.results import ALL, Row, find_row, write_results
from ppt_jax.evaluation.split_tables import split_rows

SPLITS = (
    "seen_motifs",
    "held_out_motifs",
    "held_out_family",
    "held_out_skins",
    "held_out_structures",
)
"""The test splits of a dataset, in order of reporting."""

SUFFIXES = {  # post-hoc method -> what a model's corrected row is called
    "temperature": "+ts",
    "bias_temperature": "+bts",
    "vector": "+vector",
    "platt": "+platt",
    "beta": "+beta",
    "isotonic": "+isotonic",
    "histogram": "+bins",
    "mixing": "+mixing",
}
PAIRS = (
    ("after", "base_rate"),
    ("after", "before"),
    ("after", "before+ts"),
    ("after+ts", "before+ts"),
    *(("after", f"before{suffix}") for name, suffix in SUFFIXES.items() if name != "temperature"),
)


@dataclasses.dataclass(frozen=True)
class EvaluationConfig:
    """Settings of the tables.

    Attributes:
      splits: splits to report, in order; a split without items gives NaN rows. Empty: those of the
        dataset or of the items, in order of appearance.
      replicates: bootstrap replicates and null simulations.
      level: coverage of the intervals.
      seed: of bootstrap and nulls.
      bins: bins of the binned calibration errors.
      smooth_cells: grid cells of the smooth calibration error.
      min_fit_items: a kind with fewer validation items uses the pooled temperature.
      posthoc: corrections fitted on the validation items, of `SUFFIXES`.
      pairs: (a, b) models whose differences a - b are reported.
    """

    splits: tuple[str, ...] = ()
    replicates: int = 1000
    level: float = 0.95
    seed: int = 0
    bins: int = 15
    smooth_cells: int = 256
    min_fit_items: int = 20
    posthoc: tuple[str, ...] = tuple(name for name in SUFFIXES if name != "histogram")
    pairs: tuple[tuple[str, str], ...] = PAIRS

    def __post_init__(self) -> None:
        for field, least in (("replicates", 2), ("bins", 1), ("smooth_cells", 16), ("seed", 0)):
            value = getattr(self, field)
            if not isinstance(value, int) or value < least:
                raise UserError(
                    f"evaluation.{field} is {value!r}, it must be a whole number >= {least}"
                )
        for name in self.posthoc:
            if name not in METHODS:
                raise UserError(
                    f"evaluation.posthoc holds {name!r}, which is none of {', '.join(METHODS)}"
                )
        if not 0 < self.level < 1:
            raise UserError(f"evaluation.level is {self.level!r}, it must lie between 0 and 1")
        if len(set(self.splits)) != len(self.splits):
            raise UserError(f"evaluation.splits is {self.splits!r}, it must name different splits")


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """What `evaluate` found.

    Attributes:
      rows: long rows (docs/evaluation.md), every (model, split, kind, metric) once.
      comparisons: paired differences, one row per pair, split, kind and metric.
      fits: fitted corrections by the name of the corrected row, e.g. ``"after+ts"``.
      targets: the asks, with the order of all arrays.
      answers: model -> answers, baselines and corrected rows included.
      per_item: model -> metric -> value per ask.
      config: the settings.
    """

    rows: list[Row]
    comparisons: list[Row]
    fits: Mapping[str, PostHoc]
    targets: Targets
    answers: Mapping[str, Answers]
    per_item: Mapping[str, Mapping[str, np.ndarray]]
    config: EvaluationConfig

    def row(self, model: str, split: str, metric: str, kind: str = ALL) -> Row | None:
        """The row of these four, or None."""
        return find_row(self.rows, model, split, metric, kind)


def evaluate(
    items: Iterable[Item],
    validation: Iterable[Item] = (),
    training_labels: Iterable[tuple[str, str, Any]] | baselines.BaseRate = (),
    config: EvaluationConfig | None = None,
) -> Evaluation:
    """Scores all models on the same asks.

    The models of the result are ``uniform``, ``base_rate``, and each model of ``items`` in order of
    appearance, followed by its corrected rows (`SUFFIXES`) where it has validation items.

    Args:
      items: test items of all models; every model must have answered the same asks.
      validation: validation items of the same models, disjoint from the test items.
      training_labels: (motif, kind, label probabilities) of the training asks, for ``base_rate``;
        or the base rate fitted on them.
      config: settings.

    Raises:
      ItemError: items that contradict each other or belong to no reported split.
      OverlapError: a validation item is also a test item.

    Example:
      result = evaluate(test_items, validation_items, labels)
      write_evaluation(workdir, result)
    """
    config = config or EvaluationConfig()
    asks, by_model = answers_lib.align(list(items))
    if not config.splits:
        found = tuple(dict.fromkeys(ask.split for ask in asks))
        config = dataclasses.replace(config, splits=found)
    for ask in asks:
        if ask.split not in config.splits:
            raise ItemError(
                f"item {ask.item_id!r}: split {ask.split!r} is none of {', '.join(config.splits)}"
            )
    fit_items: dict[str, list[Item]] = {}
    for item in validation:
        fit_items.setdefault(item.model, []).append(item)
    targets = answers_lib.stack_targets(asks)
    if isinstance(training_labels, baselines.BaseRate):
        rate = training_labels
    else:
        rate = baselines.fit_base_rate(training_labels)
    stacked = {
        "uniform": [baselines.uniform(ask) for ask in asks],
        "base_rate": [rate.predict(ask) for ask in asks],
    }
    answers = {
        name: answers_lib.stack_answers(name, targets, rows) for name, rows in stacked.items()
    }
    fits: dict[str, PostHoc] = {}
    for name, own in by_model.items():
        readouts = sorted({item.readout for item in own})
        same = {
            "valid_mass": [item.valid_mass for item in own],
            "parse_ok": [item.parse_ok for item in own],
            "readout": readouts[0] if len(readouts) == 1 else "",
        }
        probs = [item.probs_K for item in own]
        answers[name] = answers_lib.stack_answers(name, targets, probs, **same)  # type: ignore[arg-type]
        for method in config.posthoc if fit_items.get(name) else ():
            row_name = name + SUFFIXES[method]
            fitted = fit_posthoc(method, fit_items[name], min_items=config.min_fit_items)
            # Step functions give ties, which rounding in the last places must not tear apart.
            corrected = [np.round(p_K, 10) for p_K in fitted.apply(own)]
            answers[row_name] = answers_lib.stack_answers(
                row_name,
                targets,
                corrected,
                posthoc=method,
                **same,  # type: ignore[arg-type]
            )
            fits[row_name] = fitted
    per_item = {name: answers_lib.score_items(targets, own) for name, own in answers.items()}
    rows: list[Row] = []
    comparisons: list[Row] = []
    for split in config.splits:
        own_rows, own_comparisons = split_rows(
            split,
            targets,
            answers,
            per_item,
            level=config.level,
            replicates=config.replicates,
            seed=config.seed,
            bins=config.bins,
            cells=config.smooth_cells,
            pairs=config.pairs,
        )
        rows += own_rows
        comparisons += own_comparisons
    place = {name: k for k, name in enumerate(answers)}
    rows.sort(key=lambda row: place[row["model"]])  # stable: splits, kinds, metrics keep order
    return Evaluation(rows, comparisons, fits, targets, answers, per_item, config)


def write_evaluation(
    folder: str | os.PathLike[str], evaluation: Evaluation, run: Mapping[str, Any] | None = None
) -> None:
    """Writes `results.json`, `results.csv` and `results_lm_eval.json` into a folder.

    Beside the long rows `results.json` holds ``run`` (whatever describes the run), the settings,
    the fitted post-hoc corrections and the paired differences. NaN is written as null.
    """
    write_results(
        folder,
        evaluation.rows,
        run,
        settings=dataclasses.asdict(evaluation.config),
        posthoc={name: fitted.describe() for name, fitted in evaluation.fits.items()},
        comparisons=evaluation.comparisons,
    )


def short_table(rows: Sequence[Row], metric: str = "kl") -> str:
    """A plain-text table for the terminal: one line a model, one column a split.

    Example:
      print(short_table(evaluation.rows))
    """
    models = list(dict.fromkeys(row["model"] for row in rows))
    splits = list(dict.fromkeys(row["split"] for row in rows))
    width = max([len(name) for name in models] + [5])
    lines = [f"{metric:<{width}}" + "".join(f"  {split:>24}" for split in splits)]
    for model in models:
        cells = []
        for split in splits:
            row = find_row(rows, model, split, metric)
            known = row is not None and row["n"] and math.isfinite(row["value"])
            cell = f"{row['value']:.3f}" if known and row else "-"
            if known and row and math.isfinite(row["ci_low"]):
                cell += f" [{row['ci_low']:.3f}, {row['ci_high']:.3f}]"
            cells.append(f"  {cell:>24}")
        lines.append(f"{model:<{width}}" + "".join(cells))
    return "\n".join(lines)
