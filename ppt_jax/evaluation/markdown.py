"""The report as Markdown: the same numbers, with small block-character pictures of answers."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ppt_jax.evaluation import figures
from ppt_jax.evaluation.figures import pretty_split
from ppt_jax.evaluation.findings import (
    DETAIL_METRICS,
    KIND_METRICS,
    MEANING,
    ReportInputs,
    header_facts,
    headline_metric,
    number,
    picked_asks,
    ranks_of,
    verdict,
    with_interval,
)
from ppt_jax.evaluation.items import KINDS
from ppt_jax.evaluation.page import plain
from ppt_jax.evaluation.results import ALL
from ppt_jax.evaluation.tables import Evaluation

_BLOCKS = " \u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"


def sparkline(p_K: np.ndarray, cells: int = 34) -> str:
    """A distribution over 0..100 as a line of block characters.

    Example:
      >>> sparkline(np.array([0.0, 1.0]), cells=2)
      ' \u2588'
    """
    parts = [float(part.mean()) for part in np.array_split(p_K, min(cells, len(p_K)))]
    top = max(parts) or 1.0
    return "".join(_BLOCKS[math.ceil(8 * part / top - 1e-9)] for part in parts)


def _text(value: Any) -> str:
    """Text that cannot act as HTML or break a table."""
    return html.escape(" ".join(str(value).split()), quote=False).replace("|", "\\|")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def markdown_report(inputs: ReportInputs) -> str:
    """The twin of the HTML page as text."""
    evaluation = inputs.evaluation
    found = verdict(evaluation)
    parts = [f"# {_text(inputs.title)}\n", f"**{_text(found.headline)}**\n"]
    parts.append("\n".join(f"- {_text(line)}" for line in found.sentences) + "\n")
    facts = header_facts(inputs)
    if facts:
        rows = [[_text(key), _text(plain(value))] for key, value in facts.items()]
        parts.append(_table(["run", ""], rows))
    parts += [_results(evaluation), _calibration(evaluation), _asks(evaluation)]
    ranks = _ranks(inputs)
    parts.append("## Labels\n\n" + ranks + "\n" + _tree(inputs.labels))
    parts.append("## Corpus: diversity and rejects\n\n" + _tree(inputs.corpus))
    parts.append("## Training\n\n" + _history(inputs.history))
    parts.append(_details(evaluation))
    parts.append("Definitions: docs/evaluation.md. All numbers: results.json, results.csv.\n")
    return "\n".join(parts)


def _results(evaluation: Evaluation) -> str:
    splits, (metric, words) = evaluation.config.splits, headline_metric(evaluation)
    rows = [
        [f"`{m}`", *(with_interval(evaluation.row(m, split, metric)) for split in splits)]
        for m, own in evaluation.answers.items()
        if not own.posthoc
    ]
    text = f"## Results\n\n{words}, nats, with "
    text += f"{evaluation.config.level:.0%} intervals over scenarios; lower is better.\n\n"
    text += _table(["model", *map(pretty_split, splits)], rows)
    corrected = [m for m, own in evaluation.answers.items() if own.posthoc]
    if corrected:
        text += "\nPost-hoc corrections, fitted on validation asks only:\n\n"
        rows = [
            [f"`{m}`", *(with_interval(evaluation.row(m, split, metric)) for split in splits)]
            for m in corrected
        ]
        text += _table(["corrected model", *map(pretty_split, splits)], rows)
    pairs = [
        [
            f"`{row['model_a']}` \u2212 `{row['model_b']}`",
            pretty_split(row["split"]),
            with_interval(row | {"value": row["difference"]}),
            number(row["p_value"], 4),
        ]
        for row in evaluation.comparisons
        if row["kind"] == ALL and row["metric"] == "kl" and row["n"]
    ]
    if pairs:
        text += "\nPaired differences in KL on the same asks:\n\n"
        text += _table(["a \u2212 b", "split", "difference", "sign-flip p"], pairs)
    return text


def _calibration(evaluation: Evaluation) -> str:
    rows = []
    for split in evaluation.config.splits:
        for model in evaluation.answers:
            row = evaluation.row(model, split, "ece_smooth", "choice")
            if row and row["n"]:
                rows.append(
                    [
                        f"`{model}`",
                        pretty_split(split),
                        str(row["n"]),
                        with_interval(row),
                        number(row["null_mean"]),
                        number(row["null_q95"]),
                        with_interval(evaluation.row(model, split, "brier", "choice")),
                    ]
                )
    text = "## Calibration of choices against the simulated truth\n\n"
    if not rows:
        return text + "Not available: no choice asks with a stored truth.\n"
    head = ["model", "split", "asks", "smooth ECE", "null mean", "null 95%", "Brier"]
    return text + _table(head, rows)


def _asks(evaluation: Evaluation) -> str:
    model = figures.trained_model(evaluation)
    lines = ["## Best, median and worst asks\n"]
    for split in evaluation.config.splits:
        for word, n in picked_asks(evaluation, split):
            target = evaluation.targets.items[n]
            kl = float(evaluation.per_item[model or ""]["kl"][n])
            lines.append(
                f"### {pretty_split(split)}: {word} (KL {kl:.3f}, {_text(target.motif)})\n"
            )
            lines.append("> " + _text(target.story) + "\n")
            lines.append(f"**{_text(target.question)}**\n")
            size = len(target.support)
            drawn = [("label", target.target_K)]
            drawn += [
                (m, evaluation.answers[m].p_NK[n, :size]) for m in figures.shown_models(evaluation)
            ]
            if target.kind == "choice":
                rows = [
                    [_text(option), *(f"{p[k]:.2f}" for _, p in drawn)]
                    for k, option in enumerate(target.support)
                ]
                lines.append(_table(["option", *(name for name, _ in drawn)], rows))
            else:
                width = max(len(name) for name, _ in drawn)
                picture = "\n".join(f"{name:<{width}} |{sparkline(p)}|" for name, p in drawn)
                lines.append(f"```\n{picture}\n```\n")
            if target.true_answer is not None:
                lines.append(f"Truth: {_text(target.support[target.true_answer])}\n")
    return "\n".join(lines)


def _ranks(inputs: ReportInputs) -> str:
    """The ranks of the simulated truths in the labels, as one line."""
    ranks = [r for r in ranks_of(inputs) if math.isfinite(r)]
    if len(ranks) < 20:
        return "Ranks of the simulated truths: not available.\n"
    counts = np.histogram(ranks, 20, (0, 1))[0]
    return (
        f"Ranks of {len(ranks)} simulated truths in their labels, 20 bins (uniform is calibrated): "
        f"`{sparkline(counts.astype(float), 20)}`\n"
    )


def _tree(data: Mapping[str, Any], depth: int = 0) -> str:
    if not data:
        return "Not available.\n" if depth == 0 else ""
    lines = []
    for key, value in data.items():
        name = "  " * depth + f"- {_text(str(key).replace('_', ' '))}"
        if isinstance(value, Mapping):
            lines.append(name)
            lines.append(_tree(value, depth + 1).rstrip("\n"))
        elif value is not None:
            lines.append(f"{name}: {_text(plain(value))[:300]}")
    return "\n".join(line for line in lines if line) + "\n"


def _history(history: Sequence[Mapping[str, Any]]) -> str:
    figure = figures.learning(history)
    series: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for phase, key, step, value in figure.rows:
        series.setdefault((str(phase), str(key)), []).append((float(str(step)), float(str(value))))
    if not series:
        return "Not available: no metrics.jsonl.\n"
    rows = []
    for (phase, key), points in series.items():
        name = f"{phase}: {key}" if phase else key
        rows.append(
            [_text(name), f"{points[0][1]:.4g}", f"{points[-1][1]:.4g}", f"{points[-1][0]:.0f}"]
        )
    return _table(["metric", "first", "last", "last step"], rows)


def _details(evaluation: Evaluation) -> str:
    models = [m for m, own in evaluation.answers.items() if own.posthoc in ("", "temperature")]
    text = "## All scores\n"
    for split in evaluation.config.splits:

        def cells(metric: str, split: str = split, kind: str = ALL) -> list[str]:
            return [with_interval(evaluation.row(m, split, metric, kind)) for m in models]

        rows = [
            [_text(f"{metric}: {MEANING[metric]}"), *cells(metric)] for metric in DETAIL_METRICS
        ]
        rows += [
            [f"{kind} only, {metric}", *cells(metric, kind=kind)]
            for kind in KINDS
            for metric in KIND_METRICS
        ]
        text += f"\n### {pretty_split(split)}\n\n" + _table(["metric", *models], rows)
    return text
