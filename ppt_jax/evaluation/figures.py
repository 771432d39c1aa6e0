"""The report's figures: each takes an `Evaluation` (or ranks, or history) and gives panels and CSV.

Calibration pictures are in `calibration_figures`. Axes: N asks, K answers.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ppt_jax.evaluation.svg import Panel
from ppt_jax.evaluation.tables import Evaluation

SERIES = {  # model -> CSS class that carries its colour
    "uniform": "uniform",
    "base_rate": "base",
    "before": "before",
    "before+ts": "before-ts",
    "after": "after",
    "after+ts": "after-ts",
}
PRETTY_SPLIT = {
    "seen_motifs": "seen motifs",
    "held_out_motifs": "held-out motifs",
    "held_out_family": "held-out family",
    "held_out_skins": "held-out skins",
    "held_out_structures": "held-out structures",
}


@dataclasses.dataclass(frozen=True)
class Figure:
    """Panels of one figure with its data.

    Attributes:
      name: file name of the data.
      title: heading.
      caption: what it shows and how to read it.
      panels: SVG texts; empty when the data are missing.
      columns, rows: the data as a table.
      legend: (CSS class, label) pairs.
    """

    name: str
    title: str
    caption: str
    panels: tuple[str, ...]
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[object, ...], ...] = ()
    legend: tuple[tuple[str, str], ...] = ()

    def csv(self) -> str:
        """The data as CSV text."""
        return table_csv(self.columns, self.rows)


def table_csv(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """CSV text; numbers keep 6 digits, texts are quoted where needed."""

    def cell(value: object) -> str:
        if isinstance(value, float):
            return f"{value:.6g}" if math.isfinite(value) else ""
        text = "" if value is None else str(value)
        if any(ch in text for ch in ',"\n\r'):
            text = '"' + text.replace('"', '""') + '"'
        return text

    return "\n".join(",".join(map(cell, row)) for row in (columns, *rows)) + "\n"


def series_of(model: str) -> str:
    """CSS class of a model's colour; corrected models share the lighter tone of their own."""
    name, corrected, _ = model.partition("+")
    return SERIES.get(f"{name}+ts" if corrected else name, "other")


def pretty_split(split: str) -> str:
    """Split name for people."""
    return PRETTY_SPLIT.get(split, split.replace("_", " "))


def own_models(evaluation: Evaluation, most: int = 4) -> list[str]:
    """Models that answered themselves (no baselines, no corrected rows): first ones and last."""
    own = [
        name
        for name, answers in evaluation.answers.items()
        if name not in ("uniform", "base_rate") and not answers.posthoc
    ]
    return own if len(own) <= most else own[: most - 1] + own[-1:]


def shown_models(evaluation: Evaluation) -> list[str]:
    """The first and the last of `own_models`, for figures that lay models over each other."""
    return own_models(evaluation, 2)


def trained_model(evaluation: Evaluation) -> str | None:
    """The model that the report is about: ``after``, or else the last one given."""
    shown = shown_models(evaluation)
    return "after" if "after" in shown else (shown[-1] if shown else None)


def forest(evaluation: Evaluation, metric: str = "kl") -> Figure:
    """KL to the label of every model with its interval, one panel a split."""
    models = [m for m, own in evaluation.answers.items() if own.posthoc in ("", "temperature")]
    found = [
        (model, split, row)
        for split in evaluation.config.splits
        for model in models
        if (row := evaluation.row(model, split, metric)) and row["n"]
    ]
    ends = [x for *_, row in found for x in (row["value"], row["ci_high"]) if math.isfinite(x)]
    top = max([*ends, 0.0]) * 1.05
    panels = []
    for split in evaluation.config.splits:
        own = [(model, row) for model, s, row in found if s == split]
        if not own:
            continue
        text = "; ".join(f"{m} {row['value']:.3f}" for m, row in own)
        panel = Panel(
            pretty_split(split),
            f"KL to the label with 95% intervals: {text}",
            (0.0, top or 1.0),
            (0.5, len(models) + 0.5),
            "KL to the label, nats (lower is better)",
            f"{own[0][1]['n']} asks",
            left=78,
            height=62 + 24 * len(models),
            y_ticks=False,
        )
        for model, row in own:
            y = len(models) - models.index(model)
            panel.row_label(y, model)
            low, high = row["ci_low"], row["ci_high"]
            if not math.isfinite(low):  # a single cluster has no interval
                low = high = row["value"]
            panel.whisker(y, low, row["value"], high, series_of(model))
        panels.append(panel.svg())
    return Figure(
        "kl",
        "Distance to the posterior",
        "KL divergence from the posterior label to each model's answer distribution, mean over "
        "asks with 95% intervals from resampling whole scenarios. Zero would be perfect.",
        tuple(panels),
        ("model", "split", "kl", "ci_low", "ci_high", "n"),
        tuple((m, s, r["value"], r["ci_low"], r["ci_high"], r["n"]) for m, s, r in found),
    )


def learning(history: Sequence[Mapping[str, Any]], limit: int = 6) -> Figure:
    """Every loss-like number of the training log against the step."""
    skip = {"step", "time", "seconds", "epoch", "phase", "split"}
    names: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row in history:
        step = row.get("step")
        if not isinstance(step, int | float):
            continue
        for key, value in row.items():
            plain = isinstance(value, int | float) and not isinstance(value, bool)
            if key not in skip and plain and math.isfinite(value):
                phase = str(row.get("phase") or "")
                names.setdefault((phase, key), []).append((float(step), float(value)))
    words = ("loss", "kl", "ce", "mae", "accuracy", "grad", "rate", "lr", "second")

    def rank(name: tuple[str, str]) -> int:
        return next((k for k, word in enumerate(words) if word in name[1].lower()), len(words))

    usable = [name for name in names if len({x for x, _ in names[name]}) > 1]
    panels, rows = [], []
    for phase, key in sorted(usable, key=rank)[:limit]:
        points = sorted(names[phase, key])
        xs, ys = [p[0] for p in points], [p[1] for p in points]
        rows += [(phase, key, x, y) for x, y in points]
        log = min(ys) > 0 and max(ys) / min(ys) > 30
        low, high = min(ys), max(ys)
        pad = 0.0 if log else 0.05 * (high - low)
        panel = Panel(
            f"{phase}: {key}" if phase else key,
            f"from {ys[0]:.4g} at step {xs[0]:.0f} to {ys[-1]:.4g} at step {xs[-1]:.0f}",
            (xs[0], xs[-1]),
            (low - pad, high + pad),
            "step",
            "log scale" if log else "",
            log_y=log,
            height=200,
        )
        if len(ys) > 400:  # draw bucket means, keep all points in the data
            parts = np.array_split(np.arange(len(ys)), 400)
            xs = [float(np.mean(np.take(xs, part))) for part in parts]
            ys = [float(np.mean(np.take(ys, part))) for part in parts]
        panel.line(xs, ys, "after")
        panels.append(panel.svg())
    return Figure(
        "learning_curves",
        "Learning curves",
        "Numbers of the training log over steps.",
        tuple(panels),
        ("phase", "metric", "step", "value"),
        tuple(rows),
    )


def overlay(evaluation: Evaluation, n: int, title: str) -> Panel:
    """One ask: the label as filled area, model answers as lines, the truth as a rule."""
    target = evaluation.targets.items[n]
    shown = shown_models(evaluation)
    size = len(target.support)
    drawn = [m for m in ("base_rate", *shown) if m in evaluation.answers]
    p = {m: evaluation.answers[m].p_NK[n, :size] for m in drawn}
    q = target.target_K
    truth = "" if target.true_answer is None else f"truth {target.support[target.true_answer]}"
    if target.kind == "choice":
        rows = 1 + len(drawn)
        panel = Panel(
            title,
            "; ".join(f"label of {o} {v:.2f}" for o, v in zip(target.support, q, strict=True)),
            (0.0, 1.0),
            (-0.5, size - 0.5),
            "probability",
            truth,
            left=92,
            height=64 + size * (10 * rows + 12),
            y_ticks=False,
        )
        for k, option in enumerate(target.support):
            y = size - 1 - k
            mark = "\u25b8 " if target.true_answer == k else ""
            panel.row_label(y, mark + (option if len(option) <= 12 else option[:11] + "\u2026"))
            spread = 1 / (rows + 1)
            for place, (series, value) in enumerate(
                [("label", q[k]), *((series_of(m), p[m][k]) for m in drawn)]
            ):
                panel.bar_row(y + ((rows - 1) / 2 - place) * spread, float(value), 9, series)
        return panel
    grid = np.arange(size)
    top = max(float(q.max()), *(float(p[m].max()) for m in drawn))
    top = min(top, 3 * float(q.max()))
    mean = float(q @ grid)
    panel = Panel(
        title,
        f"label mean {mean:.1f}; "
        + "; ".join(f"{m} mean {float(p[m] @ grid):.1f}" for m in drawn)
        + (f"; {truth}" if truth else ""),
        (0, size - 1),
        (0.0, top * 1.05),
        "answer",
        "probability",
        height=210,
    )
    panel.band(grid.tolist(), np.zeros(size).tolist(), q.tolist(), "label")
    panel.line(grid.tolist(), q.tolist(), "label", "thin")
    for model in drawn:
        extra = "dashed thin" if model == "base_rate" else ("" if model == shown[-1] else "thin")
        panel.line(grid.tolist(), p[model].tolist(), series_of(model), extra)
    if target.true_answer is not None:
        panel.rule(float(target.true_answer), "truth", "truth")
    return panel


def scatter(evaluation: Evaluation) -> Figure:
    """Mean answer of the trained model against the mean of the label."""
    model = trained_model(evaluation)
    panels, rows = [], []
    for split in evaluation.config.splits:
        if model is None:
            break
        t, scored = evaluation.targets, evaluation.per_item[model]
        ordered = (t.kind_N != "choice") | (t.size_N == 2)
        use = (t.split_N == split) & ordered & ~np.isnan(t.mean_N)
        if use.sum() < 2:
            continue
        people = all(t.items[n].target_kind == "human" for n in np.flatnonzero(use))
        row = evaluation.row(model, split, "pearson_means")
        r = row["value"] if row else math.nan
        panel = Panel(
            pretty_split(split),
            f"{int(use.sum())} asks, Pearson correlation {r:.2f}",
            (0, 100),
            (0, 100),
            "mean of people's answers" if people else "posterior mean",
            f"mean of {model}",
            height=300,
        )
        panel.line([0, 100], [0, 100], "rule", "thin")
        for kind in ("value", "rank", "chance", "choice"):
            places = np.flatnonzero(use & (t.kind_N == kind))
            x, y = scored["target_mean"][places], scored["mean"][places]
            rows += [
                (split, t.items[n].item_id, kind, float(a), float(b))
                for n, a, b in zip(places, x, y, strict=True)
            ]
            step = max(1, len(places) // 400)  # the picture stays light; the data hold all
            panel.dots(x[::step].tolist(), y[::step].tolist(), f"kind-{kind}")
        ceiling = (row or {}).get("ceiling")
        best = f", ceiling {ceiling:.2f}" if ceiling is not None else ""
        panel.note("r undefined" if math.isnan(r) else f"r = {r:.2f}{best}")
        panels.append(panel.svg())
    kinds = [(f"kind-{k}", k) for k in ("value", "rank", "chance", "choice")]
    return Figure(
        "means",
        "Does the answer move with the evidence?",
        "One dot an ask: the mean of the model's answer against the posterior mean, both on the "
        "0-100 scale (for two options, the probability of the second in percent). A model that "
        "knows only what such questions usually come out as gives flat clouds; the diagonal "
        "is perfect.",
        tuple(panels),
        ("split", "item_id", "kind", "posterior_mean", "model_mean"),
        tuple(rows),
        tuple(kinds),
    )
