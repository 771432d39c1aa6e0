"""The report's tables as HTML: results, accuracy, likelihood, calibration, all scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ppt_jax.evaluation.figures import pretty_split, series_of
from ppt_jax.evaluation.findings import (
    CALIBRATION_METRICS,
    DETAIL_METRICS,
    KIND_METRICS,
    MEANING,
    number,
    with_interval,
)
from ppt_jax.evaluation.items import KINDS
from ppt_jax.evaluation.page import html_table
from ppt_jax.evaluation.results import ALL, find_row
from ppt_jax.evaluation.svg import escape
from ppt_jax.evaluation.tables import Evaluation

ACCURACY = (("mae", 2), ("pearson_means", 2), ("w1", 2), ("accuracy", 2))
LIKELIHOOD = (("kl", 3), ("ce", 3), ("crps", 2), ("log_score", 3), ("crps_truth", 2), ("brier", 3))
BASELINES = ("uniform", "base_rate")
HEADS = {
    "mae": "mean absolute error of means, points",
    "pearson_means": "correlation of means",
    "w1": "Wasserstein-1, points",
    "accuracy": "accuracy of choices",
    "kl": "KL",
    "ce": "cross-entropy",
    "crps": "CRPS vs label",
    "log_score": "log score of the truth",
    "crps_truth": "CRPS of the truth",
    "brier": "Brier (0\u20132)",
}


def name_cell(model: str) -> str:
    """A model's name with its colour."""
    return f'<span class="chip {series_of(model)}"></span>{escape(model)}'


def value_cell(row: Mapping[str, Any] | None, digits: int = 3) -> str:
    """A value with its interval underneath."""
    text = with_interval(dict(row) if row else None, digits)
    value, _, interval = text.partition(" [")
    return f"{escape(value)}<small>[{escape(interval)}</small>" if interval else escape(text)


def plain_models(evaluation: Evaluation) -> list[str]:
    """Models without corrections, and the temperature-scaled ones."""
    return [m for m, own in evaluation.answers.items() if own.posthoc in ("", "temperature")]


def scores_table(
    evaluation: Evaluation, split: str, metrics: Sequence[tuple[str, int]], title: str
) -> str:
    """One row a model (corrected ones too), one column a metric, with the floor where known."""
    used = [
        (metric, digits)
        for metric, digits in metrics
        if any((r := evaluation.row(m, split, metric)) and r["n"] for m in evaluation.answers)
    ]
    if not used:
        return ""
    rows = [
        [
            name_cell(model),
            *(value_cell(evaluation.row(model, split, metric), digits) for metric, digits in used),
        ]
        for model in evaluation.answers
    ]
    first = next(iter(evaluation.answers))
    floors = [(evaluation.row(first, split, metric) or {}).get("floor") for metric, _ in used]
    if any(floor is not None for floor in floors):
        rows.append(["perfect model (floor)", *(number(floor) for floor in floors)])
    heads = []
    for metric, _ in used:
        row = evaluation.row(first, split, metric) or {"n": 0, "higher_is_better": None}
        arrow = {True: "\u2191", False: "\u2193"}.get(row["higher_is_better"], "")
        heads.append(f"{HEADS[metric]} {arrow}<br><small>{row['n']} asks</small>")
    return html_table(["model", *heads], rows, f"{title}, {pretty_split(split)}")


def corrections_table(evaluation: Evaluation, split: str) -> str:
    """Is the gain more than a correction afterwards? One row a correction, KL before and after."""
    own = [m for m, a in evaluation.answers.items() if m not in BASELINES and not a.posthoc]
    if len(own) < 2:
        return ""
    first, last = own[0], own[-1]
    methods = [
        (m.removeprefix(first), a.posthoc)
        for m, a in evaluation.answers.items()
        if m == first or (a.posthoc and m.startswith(f"{first}+"))
    ]
    if len(methods) < 2:
        return ""
    gaps = {
        row["model_b"]: row
        for row in evaluation.comparisons
        if (row["model_a"], row["split"], row["kind"], row["metric"]) == (last, split, ALL, "kl")
        and row["n"]
    }
    rows = []
    for suffix, method in methods:
        gap = gaps.get(first + suffix)
        cell = "\u2013"
        if gap is not None:
            low, high = number(gap["ci_low"]), number(gap["ci_high"])
            cell = f"{number(gap['difference'])}<small>[{low}, {high}]</small>"
            cell = f"<b>{cell}</b>" if gap["ci_high"] < 0 else cell
        rows.append(
            [
                escape(method.replace("_", " ") or "none"),
                value_cell(evaluation.row(first + suffix, split, "kl")),
                value_cell(evaluation.row(last + suffix, split, "kl")),
                cell,
            ]
        )
    return html_table(
        [
            "correction",
            f"{escape(first)}, corrected",
            f"{escape(last)}, corrected",
            f"{escape(last)}, as it is \u2212 {escape(first)}, corrected",
        ],
        rows,
        f"{pretty_split(split)}: KL in nats. Corrections are fitted on validation asks only; bold "
        "where the model as trained is better than the corrected model before training, interval "
        "below zero",
    )


def calibration_table(evaluation: Evaluation, split: str) -> str:
    """Calibration errors of choices beside their nulls, one row a model."""
    rows = []
    for model in evaluation.answers:
        row = evaluation.row(model, split, "ece_smooth", "choice")
        if not row or not row["n"]:
            continue
        mass = evaluation.row(model, split, "ece_mass", "choice")
        distinct = evaluation.row(model, split, "ece_distinct", "choice")
        rows.append(
            [
                name_cell(model),
                value_cell(row),
                null_cell(row),
                value_cell(mass),
                null_cell(mass),
                value_cell(distinct),
                value_cell(evaluation.row(model, split, "brier", "choice")),
                value_cell(evaluation.row(model, split, "auroc", "choice"), 2),
                value_cell(evaluation.row(model, split, "coverage_90"), 2),
            ]
        )
    if not rows:
        return ""
    first = evaluation.row(next(iter(evaluation.answers)), split, "ece_smooth", "choice")
    n = first["n"] if first else 0
    head = ["model", "smooth ECE \u2193", "null", "ECE, equal mass \u2193", "null"]
    head += ["ECE, distinct values \u2193", "Brier (0\u20132) \u2193", "AUROC \u2191"]
    return html_table(
        [*head, "90% covers"],
        rows,
        f"{pretty_split(split)}: {n} choices. Null: mean of the same error under perfect "
        "calibration, below it its 95% quantile; only values above that quantile are evidence of "
        "miscalibration. Last column: share of truths in the central 90% interval of numeric "
        "answers",
    )


def null_cell(row: Mapping[str, Any] | None) -> str:
    """Null mean with its 95% quantile underneath."""
    if not row or row["null_mean"] is None:
        return "\u2013"
    return f"{number(row['null_mean'])}<small>95%: {number(row['null_q95'])}</small>"


def detail_tables(evaluation: Evaluation) -> str:
    """All scores, folded by split."""
    parts = ["<h2>All scores</h2>"]
    models = plain_models(evaluation)
    for split in evaluation.config.splits:
        rows = [
            [
                f"{escape(metric)}<small>{escape(MEANING[metric])}</small>",
                *(value_cell(evaluation.row(model, split, metric)) for model in models),
                _floor(evaluation, split, metric),
            ]
            for metric in DETAIL_METRICS
        ]
        parts.append(
            f"<details><summary>{escape(pretty_split(split))}</summary>"
            + html_table(["metric", *map(name_cell, models), "floor"], rows)
            + _by_kind(evaluation, split, models)
            + _calibration_details(evaluation, split, models)
            + "</details>"
        )
    return "".join(parts)


def _floor(evaluation: Evaluation, split: str, metric: str) -> str:
    row = find_row(evaluation.rows, next(iter(evaluation.answers)), split, metric)
    return number(row["floor"]) if row else "\u2013"


def _by_kind(evaluation: Evaluation, split: str, models: Sequence[str]) -> str:
    rows = []
    shown = [m for m in models if m != "uniform"]
    for kind in KINDS:
        for metric in KIND_METRICS:
            row = evaluation.row(shown[0], split, metric, kind) if shown else None
            if row and row["n"]:
                cells = [value_cell(evaluation.row(m, split, metric, kind)) for m in shown]
                rows.append([f"{kind}: {escape(metric)}", str(row["n"]), *cells])
    return html_table(["kind and metric", "asks", *map(name_cell, shown)], rows, "By kind of ask")


def _calibration_details(evaluation: Evaluation, split: str, models: Sequence[str]) -> str:
    rows = []
    for metric in CALIBRATION_METRICS:
        cells = []
        for model in models:
            row = evaluation.row(model, split, metric, "choice")
            null = ""
            if row and row["null_mean"] is not None:
                null = (
                    f"<small>null {number(row['null_mean'])}, 95% {number(row['null_q95'])}</small>"
                )
            cells.append(value_cell(row) + null)
        rows.append([f"{escape(metric)}<small>{escape(MEANING[metric])}</small>", *cells])
    return html_table(["choice calibration", *map(name_cell, models)], rows)


def comparisons_table(evaluation: Evaluation) -> str:
    """Paired differences in KL over all kinds."""
    rows = []
    for row in evaluation.comparisons:
        if row["kind"] != ALL or row["metric"] != "kl" or not row["n"]:
            continue
        clear = row["ci_high"] < 0 or row["ci_low"] > 0
        low, high = number(row["ci_low"]), number(row["ci_high"])
        rows.append(
            [
                f"{escape(row['model_a'])} \u2212 {escape(row['model_b'])}",
                escape(pretty_split(row["split"])),
                ("<b>" if clear else "")
                + f"{number(row['difference'])}<small>[{low}, {high}]</small>"
                + ("</b>" if clear else ""),
                number(row["p_value"], 4),
                str(row["n"]),
            ]
        )
    if not rows:
        return ""
    return (
        "<details><summary>Paired differences as a table</summary>"
        + html_table(
            ["a \u2212 b", "split", "difference in KL", "sign-flip p", "asks"],
            rows,
            "Differences on the same asks; below zero the first is better; bold where the interval "
            "excludes zero",
        )
        + "</details>"
    )
