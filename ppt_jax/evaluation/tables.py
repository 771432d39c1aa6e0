"""From items to results: long rows with intervals, paired comparisons, and the short table.

`evaluate` is the one call of the evaluate stage; `write_results` stores what it returns. Rows are
defined in docs/evaluation.md.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from ppt_jax.errors import UserError
from ppt_jax.evaluation import answers as answers_lib
from ppt_jax.evaluation import baselines, choices, intervals
from ppt_jax.evaluation.answers import METRICS, Answers, Targets
from ppt_jax.evaluation.items import KINDS, Item, ItemError
from ppt_jax.evaluation.posthoc import TemperatureScaling, fit_temperature_scaling
from ppt_jax.storage import write_atomic

SPLITS = ("seen_motifs", "held_out_motifs", "held_out_family")
ALL = "all"
COLUMNS = (
    *("model", "split", "kind", "metric", "value", "ci_low", "ci_high", "n", "n_clusters"),
    *("null_mean", "null_q95", "floor", "better"),
)
SCHEMA = "results/1"
PAIRS = (
    ("after", "base_rate"),
    ("after", "before"),
    ("after", "before+ts"),
    ("after+ts", "before+ts"),
)
PAIRED_METRICS = ("kl", "tv", "crps", "mae", "log_score")
Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class EvaluationConfig:
    """Settings of the tables.

    Attributes:
      splits: splits to report, in order; a split without items gives NaN rows.
      replicates: bootstrap replicates and null simulations.
      level: coverage of the intervals.
      seed: of bootstrap and nulls.
      bins: bins of the binned calibration errors.
      smooth_cells: grid cells of the smooth calibration error.
      min_fit_items: a kind with fewer validation items uses the pooled temperature.
      pairs: (a, b) models whose differences a - b are reported.
    """

    splits: tuple[str, ...] = SPLITS
    replicates: int = 1000
    level: float = 0.95
    seed: int = 0
    bins: int = 15
    smooth_cells: int = 256
    min_fit_items: int = 20
    pairs: tuple[tuple[str, str], ...] = PAIRS

    def __post_init__(self) -> None:
        for field, least in (("replicates", 2), ("bins", 1), ("smooth_cells", 16), ("seed", 0)):
            value = getattr(self, field)
            if not isinstance(value, int) or value < least:
                raise UserError(
                    f"evaluation.{field} is {value!r}, it must be a whole number >= {least}"
                )
        if not 0 < self.level < 1:
            raise UserError(f"evaluation.level is {self.level!r}, it must lie between 0 and 1")
        if not self.splits or len(set(self.splits)) != len(self.splits):
            raise UserError(f"evaluation.splits is {self.splits!r}, it must name different splits")


@dataclasses.dataclass(frozen=True, eq=False)
class Evaluation:
    """What `evaluate` found.

    Attributes:
      rows: long rows (docs/evaluation.md), every (model, split, kind, metric) once.
      comparisons: paired differences, one row per pair, split, kind and metric.
      scaling: fitted temperatures by model.
      targets: the asks, with the order of all arrays.
      answers: model -> answers, baselines and ``+ts`` rows included.
      per_item: model -> metric -> value per ask.
      config: the settings.
    """

    rows: list[Row]
    comparisons: list[Row]
    scaling: Mapping[str, TemperatureScaling]
    targets: Targets
    answers: Mapping[str, Answers]
    per_item: Mapping[str, Mapping[str, np.ndarray]]
    config: EvaluationConfig

    def row(self, model: str, split: str, metric: str, kind: str = ALL) -> Row | None:
        """The row of these four, or None."""
        return find_row(self.rows, model, split, metric, kind)


def find_row(
    rows: Sequence[Row], model: str, split: str, metric: str, kind: str = ALL
) -> Row | None:
    """The first long row of this model, split, metric and kind, or None."""
    wanted = (model, split, metric, kind)
    for row in rows:
        if (row["model"], row["split"], row["metric"], row["kind"]) == wanted:
            return row
    return None


def evaluate(
    items: Iterable[Item],
    validation: Iterable[Item] = (),
    training_labels: Iterable[tuple[str, str, Any]] = (),
    config: EvaluationConfig | None = None,
) -> Evaluation:
    """Scores all models on the same asks.

    The models of the result are ``uniform``, ``base_rate``, and each model of ``items`` in order of
    appearance, followed by its temperature-scaled row ``<model>+ts`` where it has validation items.

    Args:
      items: test items of all models; every model must have answered the same asks.
      validation: validation items of the same models, disjoint from the test items.
      training_labels: (motif, kind, label probabilities) of the training asks, for ``base_rate``.
      config: settings.

    Raises:
      ItemError: items that contradict each other or belong to no reported split.
      OverlapError: a validation item is also a test item.

    Example:
      result = evaluate(test_items, validation_items, labels)
      write_results(workdir, result)
    """
    config = config or EvaluationConfig()
    asks, by_model = answers_lib.align(list(items))
    for ask in asks:
        if ask.split not in config.splits:
            raise ItemError(
                f"item {ask.item_id!r}: split {ask.split!r} is none of {', '.join(config.splits)}"
            )
    fit_items: dict[str, list[Item]] = {}
    for item in validation:
        fit_items.setdefault(item.model, []).append(item)
    targets = answers_lib.stack_targets(asks)
    rate = baselines.fit_base_rate(training_labels)
    stacked = {
        "uniform": [baselines.uniform(ask) for ask in asks],
        "base_rate": [rate.predict(ask) for ask in asks],
    }
    answers = {
        name: answers_lib.stack_answers(name, targets, rows) for name, rows in stacked.items()
    }
    scaling: dict[str, TemperatureScaling] = {}
    for name, own in by_model.items():
        mass = [item.valid_mass for item in own]
        probs = [item.probs_K for item in own]
        answers[name] = answers_lib.stack_answers(name, targets, probs, mass)
        if fit_items.get(name):
            scaling[name] = fit_temperature_scaling(fit_items[name], min_items=config.min_fit_items)
            scaled = scaling[name].apply(own)
            answers[f"{name}+ts"] = answers_lib.stack_answers(f"{name}+ts", targets, scaled, mass)
    per_item = {name: answers_lib.score_items(targets, own) for name, own in answers.items()}
    rows: list[Row] = []
    comparisons: list[Row] = []
    for split in config.splits:
        split_rows, split_comparisons = _split_rows(split, targets, answers, per_item, config)
        rows += split_rows
        comparisons += split_comparisons
    place = {name: k for k, name in enumerate(answers)}
    rows.sort(key=lambda row: place[row["model"]])  # stable: splits, kinds, metrics keep order
    return Evaluation(rows, comparisons, scaling, targets, answers, per_item, config)


def _split_rows(
    split: str,
    targets: Targets,
    answers: Mapping[str, Answers],
    per_item: Mapping[str, Mapping[str, np.ndarray]],
    config: EvaluationConfig,
) -> tuple[list[Row], list[Row]]:
    """All rows of one split; one set of bootstrap weights serves every model, kind and metric."""
    chosen_N = targets.split_N == split
    cluster_n, clusters = intervals.cluster_index(targets.cluster_N[chosen_N].tolist())
    cluster_N = np.zeros(len(chosen_N), np.int32)
    cluster_N[chosen_N] = cluster_n
    with jax.enable_x64(True):
        weights_RC = np.asarray(
            intervals.bootstrap_weights(config.seed, max(clusters, 1), config.replicates)
        )
    rows: list[Row] = []
    comparisons: list[Row] = []
    for kind in (ALL, *KINDS):
        mask_N = chosen_N if kind == ALL else chosen_N & (targets.kind_N == kind)
        draws: dict[tuple[str, str], np.ndarray] = {}
        values: dict[tuple[str, str], Row] = {}
        for metric in METRICS:
            use_n = (mask_N & targets.applies(metric))[chosen_N].astype(float)
            n_clusters = len(set(cluster_n[use_n > 0].tolist()))
            x_nM = np.stack([per_item[name][metric.name][chosen_N] for name in answers], axis=1)
            x_nM = np.where(use_n[:, None] > 0, x_nM, 0.0)
            columns = (*x_nM.T, use_n)
            sums = [np.bincount(cluster_n, x, minlength=weights_RC.shape[1]) for x in columns]
            draws_RM = weights_RC @ np.stack(sums, axis=1)
            with np.errstate(invalid="ignore"):  # a replicate without such asks is NaN
                means_RM = draws_RM[:, :-1] / draws_RM[:, -1:]
            floor = _floor(metric.name, use_n, chosen_N, targets, per_item)
            for column, name in enumerate(answers):
                n = int(use_n.sum())
                value = float(x_nM[:, column].sum() / n) if n else math.nan
                low, high = intervals.percentile_interval(means_RM[:, column], config.level)
                row = _row(name, split, kind, metric.name, value, low, high, n, n_clusters)
                row |= {"floor": floor, "better": metric.better}
                rows.append(row)
                draws[name, metric.name], values[name, metric.name] = means_RM[:, column], row
        for name in answers:
            rows.append(
                _correlation(
                    name,
                    split,
                    kind,
                    mask_N,
                    targets,
                    per_item[name],
                    cluster_N,
                    weights_RC,
                    config,
                )
            )
        comparisons += _compare(split, kind, values, draws, config)
        if kind == "choice":
            rows += _choice_rows(split, mask_N, targets, answers, cluster_N, weights_RC, config)
    _add_p_values(split, comparisons, chosen_N, targets, per_item, config)
    return rows, comparisons


def _row(
    model: str,
    split: str,
    kind: str,
    metric: str,
    value: float,
    low: float,
    high: float,
    n: int,
    n_clusters: int,
) -> Row:
    row: Row = dict.fromkeys(COLUMNS)
    row |= {"model": model, "split": split, "kind": kind, "metric": metric, "value": value}
    return row | {"ci_low": low, "ci_high": high, "n": n, "n_clusters": n_clusters}


def _floor(
    metric: str,
    use_n: np.ndarray,
    chosen_N: np.ndarray,
    targets: Targets,
    per_item: Mapping[str, Mapping[str, np.ndarray]],
) -> float | None:
    """What a perfect model would score: label entropy for ``ce``, label error for ``tv``."""
    use_n = use_n > 0
    if not use_n.any():
        return None
    if metric == "ce":
        return float(next(iter(per_item.values()))["entropy"][chosen_N][use_n].mean())
    if metric == "tv":
        places = np.flatnonzero(chosen_N)[use_n]
        errors = [
            e
            if (e := targets.items[n].label_error_full) is not None
            else targets.items[n].label_error
            for n in places
        ]
        known = [e for e in errors if e is not None]
        return float(np.mean(known)) if known else None
    return None


def _correlation(
    name: str,
    split: str,
    kind: str,
    mask_N: np.ndarray,
    targets: Targets,
    scored: Mapping[str, np.ndarray],
    cluster_N: np.ndarray,
    weights_RC: np.ndarray,
    config: EvaluationConfig,
) -> Row:
    """Pearson correlation of model means with label means, from weighted moments per cluster."""
    use_N = mask_N & ((targets.kind_N != "choice") | (targets.size_N == 2))
    x, y = scored["mean"][use_N], scored["target_mean"][use_N]
    n_clusters = len(set(cluster_N[use_N].tolist()))
    value = low = high = math.nan
    if len(x) >= 2:
        x, y = (x - x.mean()) / 100, (y - y.mean()) / 100
        moments = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y])
        clusters = weights_RC.shape[1]
        sums = np.stack([np.bincount(cluster_N[use_N], m, minlength=clusters) for m in moments], 1)
        value = float(_pearson(sums.sum(0, keepdims=True))[0])
        low, high = intervals.percentile_interval(_pearson(weights_RC @ sums), config.level)
    row = _row(name, split, kind, "pearson_means", value, low, high, len(x), n_clusters)
    return row | {"better": "higher"}


def _pearson(moments_R6: np.ndarray) -> np.ndarray:
    """Correlations [R] from weighted sums of 1, x, y, xx, yy, xy; NaN where a side is constant."""
    with np.errstate(invalid="ignore", divide="ignore"):
        _, x, y, xx, yy, xy = (moments_R6 / moments_R6[:, :1]).T
        variance = (xx - x * x, yy - y * y)
        spread = np.sqrt(np.clip(variance[0], 0, None) * np.clip(variance[1], 0, None))
        constant = (variance[0] < 1e-12) | (variance[1] < 1e-12)
        return np.where(constant, np.nan, (xy - x * y) / spread)


def _compare(
    split: str,
    kind: str,
    values: Mapping[tuple[str, str], Row],
    draws: Mapping[tuple[str, str], np.ndarray],
    config: EvaluationConfig,
) -> list[Row]:
    """Differences of means on the same asks, with intervals from the same replicates."""
    out: list[Row] = []
    for a, b in config.pairs:
        for metric in PAIRED_METRICS:
            if (a, metric) not in values or (b, metric) not in values:
                continue
            row_a, row_b = values[a, metric], values[b, metric]
            low, high = intervals.percentile_interval(
                draws[a, metric] - draws[b, metric], config.level
            )
            out.append(
                {
                    "model_a": a,
                    "model_b": b,
                    "split": split,
                    "kind": kind,
                    "metric": metric,
                    "difference": row_a["value"] - row_b["value"],
                    "ci_low": low,
                    "ci_high": high,
                    "n": row_a["n"],
                    "n_clusters": row_a["n_clusters"],
                    "p_value": None,
                }
            )
    return out


def _add_p_values(
    split: str,
    comparisons: Sequence[Row],
    chosen_N: np.ndarray,
    targets: Targets,
    per_item: Mapping[str, Mapping[str, np.ndarray]],
    config: EvaluationConfig,
) -> None:
    """Sign-flip p-values of the KL differences over all kinds."""
    for row in comparisons:
        if row["kind"] == ALL and row["metric"] == "kl" and row["n"]:
            gap = per_item[row["model_a"]]["kl"] - per_item[row["model_b"]]["kl"]
            row["p_value"] = intervals.sign_flip_p_value(
                gap[chosen_N],
                np.ones(int(chosen_N.sum())),
                targets.cluster_N[chosen_N].tolist(),
                seed=config.seed,
            )


def _choice_rows(
    split: str,
    mask_N: np.ndarray,
    targets: Targets,
    answers: Mapping[str, Answers],
    cluster_N: np.ndarray,
    weights_RC: np.ndarray,
    config: EvaluationConfig,
) -> list[Row]:
    rows: list[Row] = []
    for name, own in answers.items():
        events = choices.choice_events(targets, own, mask_N, cluster_N)
        found = choices.calibrate(
            events,
            weights_RC,
            bins=config.bins,
            cells=config.smooth_cells,
            seed=config.seed,
            level=config.level,
        )
        n, n_clusters = len(events.p_AK), len(set(events.cluster_A.tolist()))
        for metric, better in choices.METRICS.items():
            got = found.get(metric, choices.Measured(math.nan, math.nan, math.nan))
            row = _row(
                name, split, "choice", metric, got.value, got.ci_low, got.ci_high, n, n_clusters
            )
            row |= {"null_mean": got.null_mean, "null_q95": got.null_q95, "better": better}
            rows.append(row)
    return rows


def _plain(value: Any) -> Any:
    """JSON without NaN: what was not measured is null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


def write_results(
    folder: str | os.PathLike[str], evaluation: Evaluation, run: Mapping[str, Any] | None = None
) -> None:
    """Writes `results.json`, `results.csv` and `comparisons.json` into a folder.

    `results.json` is the list of long rows; `comparisons.json` holds the paired differences, the
    fitted temperatures, the settings and ``run`` (whatever describes the run). NaN is written as
    null.
    """
    folder = pathlib.Path(folder)
    lines = [json.dumps(_plain(row), allow_nan=False) for row in evaluation.rows]
    write_atomic(folder / "results.json", "[\n" + ",\n".join(lines) + "\n]\n")
    table = io.StringIO()
    writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_plain(row) for row in evaluation.rows)
    write_atomic(folder / "results.csv", table.getvalue())
    document = {
        "schema": SCHEMA,
        "run": dict(run or {}),
        "settings": dataclasses.asdict(evaluation.config),
        "temperatures": {
            name: {kind: dataclasses.asdict(t) for kind, t in scaling.by_kind.items()}
            for name, scaling in evaluation.scaling.items()
        },
        "comparisons": evaluation.comparisons,
    }
    write_atomic(
        folder / "comparisons.json",
        json.dumps(_plain(document), indent=1, allow_nan=False, default=str) + "\n",
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
            cell = (
                f"{row['value']:.3f} [{row['ci_low']:.3f}, {row['ci_high']:.3f}]"
                if known and row
                else "-"
            )
            cells.append(f"  {cell:>24}")
        lines.append(f"{model:<{width}}" + "".join(cells))
    return "\n".join(lines)
