"""The report's figures that set models against each other or against their own confidence.

Axes: N asks, K answers, G groups of equal confidence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from ppt_jax.evaluation import discrimination
from ppt_jax.evaluation.answers import pit_shares
from ppt_jax.evaluation.figures import Figure, pretty_split, series_of, shown_models
from ppt_jax.evaluation.results import ALL
from ppt_jax.evaluation.svg import Panel
from ppt_jax.evaluation.tables import Evaluation

FOREST_METRICS = ("kl", "log_score")


def differences(evaluation: Evaluation) -> Figure:
    """Paired differences a - b with their intervals, one panel a split and metric."""
    panels, rows = [], []
    for split in evaluation.config.splits:
        for metric in FOREST_METRICS:
            found = [
                row
                for row in evaluation.comparisons
                if (row["split"], row["kind"], row["metric"]) == (split, ALL, metric)
                and row["n"]
                and math.isfinite(row["ci_low"])
            ]
            if not found:
                continue
            reach = max(max(abs(r["ci_low"]), abs(r["ci_high"])) for r in found) * 1.08 or 1.0
            names = [f"{r['model_a']} \u2212 {r['model_b']}" for r in found]
            panel = Panel(
                f"{pretty_split(split)}: {metric.replace('_', ' ')}",
                "; ".join(
                    f"{name} {r['difference']:.3f} [{r['ci_low']:.3f}, {r['ci_high']:.3f}]"
                    for name, r in zip(names, found)
                ),
                (-reach, reach),
                (0.5, len(found) + 0.5),
                "difference, nats (left of zero: the first is better)",
                f"{found[0]['n']} asks",
                left=138,
                width=360,
                height=62 + 24 * len(found),
                y_ticks=False,
            )
            panel.rule(0.0, "rule")
            for place, (name, r) in enumerate(zip(names, found)):
                y = len(found) - place
                panel.row_label(y, name)
                clear = r["ci_high"] < 0 or r["ci_low"] > 0
                series = series_of(r["model_a"]) if clear else "uniform"
                panel.whisker(y, r["ci_low"], r["difference"], r["ci_high"], series)
                rows.append(
                    (
                        *(r["model_a"], r["model_b"], split, metric, r["difference"]),
                        *(r["ci_low"], r["ci_high"], r["n"], r["n_clusters"]),
                    )
                )
            panels.append(panel.svg())
    return Figure(
        "differences",
        "Paired differences on the same asks",
        "Mean difference a \u2212 b over the same asks with 95% intervals from the same resampled "
        "scenarios. Grey where the interval holds zero: these asks do not tell the two apart.",
        tuple(panels),
        ("a", "b", "split", "metric", "difference", "ci_low", "ci_high", "n", "n_clusters"),
        tuple(rows),
    )


def pit_differences(evaluation: Evaluation, *, cells: int = 100) -> Figure:
    """Distribution function of the PIT minus the diagonal: finer than the histogram."""
    grid = np.linspace(0, 1, cells + 1)
    panels, rows = [], []
    t = evaluation.targets
    shown = shown_models(evaluation)
    for split in evaluation.config.splits:
        use = (t.split_N == split) & (t.kind_N != "choice") & (t.answer_N >= 0)
        n = int(use.sum())
        if n < 10 or not shown:
            continue
        gaps = {}
        for model in shown:
            below_NL = pit_shares(t, evaluation.answers[model], use, np.zeros(cells), grid[1:])
            gaps[model] = np.concatenate([[0.0], below_NL.mean(0)]) - grid
        # Limit of the largest gap of n independent uniform numbers (Stephens 1970).
        limit = 1.358 / (math.sqrt(n) + 0.12 + 0.11 / math.sqrt(n))
        reach = 1.15 * max(limit, *(float(np.abs(gap).max()) for gap in gaps.values()))
        panel = Panel(
            pretty_split(split),
            "; ".join(f"{m}: largest gap {np.abs(g).max():.3f}" for m, g in gaps.items())
            + f"; 95% limit {limit:.3f}",
            (0, 1),
            (-reach, reach),
            "place of the truth in the answer (PIT)",
            f"{n} asks",
            left=54,
        )
        panel.band([0, 1], [-limit] * 2, [limit] * 2, "null")
        panel.line([0, 1], [0, 0], "rule", "thin")
        for model, gap in gaps.items():
            panel.line(grid.tolist(), gap.tolist(), series_of(model))
            rows += [(split, model, float(a), float(b)) for a, b in zip(grid, gap)]
        panels.append(panel.svg())
    return Figure(
        "pit_difference",
        "Distribution of the PIT minus uniform",
        "An S that rises first and falls under zero: overconfident; the mirror image: "
        "underconfident; a bow to one side: answers too low or too high. Grey: 95% band of the "
        "largest gap of a calibrated model (asks taken as independent).",
        tuple(panels),
        ("split", "model", "pit", "difference"),
        tuple(rows),
        tuple((series_of(m), m) for m in shown),
    )


def sharpness(evaluation: Evaluation, *, bins: int = 20) -> Figure:
    """Widths of the central 90% intervals: how much the answers commit to."""
    edges = np.linspace(0, 100, bins + 1)
    panels, rows = [], []
    t = evaluation.targets
    shown = shown_models(evaluation)
    for split in evaluation.config.splits:
        use = (t.split_N == split) & (t.kind_N != "choice")
        if use.sum() < 10 or not shown:
            continue
        widths = {m: evaluation.per_item[m]["width_90"][use] for m in shown}
        heights = {m: np.histogram(w, edges)[0] / len(w) for m, w in widths.items()}
        top = max(float(h.max()) for h in heights.values())
        panel = Panel(
            pretty_split(split),
            "; ".join(f"{m}: median {np.median(w):.0f} points" for m, w in widths.items()),
            (0, 100),
            (0, top * 1.1),
            "width of the central 90% interval, points",
            "share of asks",
        )
        panel.bars(edges.tolist(), heights[shown[-1]].tolist(), series_of(shown[-1]))
        for model in shown[:-1]:
            panel.steps(edges.tolist(), heights[model].tolist(), series_of(model))
        panels.append(panel.svg())
        rows += [
            (split, m, float(edges[b]), float(edges[b + 1]), float(h[b]))
            for m, h in heights.items()
            for b in range(bins)
        ]
    return Figure(
        "sharpness",
        "How much do the answers commit to?",
        "Widths of the central 90% intervals of numeric answers. Narrow is good only where "
        "coverage is right: read it with the figure above.",
        tuple(panels),
        ("split", "model", "from", "to", "share"),
        tuple(rows),
        tuple((series_of(m), m) for m in shown),
    )


def risk_coverage(evaluation: Evaluation) -> Figure:
    """Error rate among the choices answered with most confidence, against their share."""
    panels, rows = [], []
    t = evaluation.targets
    shown = shown_models(evaluation)
    for split in evaluation.config.splits:
        use = (t.split_N == split) & (t.kind_N == "choice") & (t.answer_N >= 0)
        if use.sum() < 10 or not shown:
            continue
        curves = {m: _risk_curve(evaluation, m, np.flatnonzero(use)) for m in shown}
        top = max(float(np.nanmax(risk)) for _, risk, _ in curves.values()) or 0.1
        panel = Panel(
            pretty_split(split),
            "; ".join(f"{m}: area under the curve {a:.3f}" for m, (_, _, a) in curves.items()),
            (0, 1),
            (0, min(1.0, top * 1.15)),
            "share answered, most confident first",
            "share wrong",
        )
        for model, (covered, risk, area) in curves.items():
            panel.line(covered.tolist(), risk.tolist(), series_of(model))
            rows += [(split, model, float(a), float(b), area) for a, b in zip(covered, risk)]
        panels.append(panel.svg())
    return Figure(
        "risk_coverage",
        "If it may decline to answer",
        "Choices: share of wrong answers among the most confident ones, against the share that is "
        "answered. It should rise from left to right: the model knows what it does not know. "
        "Equal confidences are averaged, never ordered by chance.",
        tuple(panels),
        ("split", "model", "coverage", "risk", "aurc"),
        tuple(rows),
        tuple((series_of(m), m) for m in shown),
    )


def _risk_curve(
    evaluation: Evaluation, model: str, places: Sequence[int] | np.ndarray
) -> tuple[np.ndarray, np.ndarray, float]:
    p_NK = evaluation.answers[model].p_NK[places]
    conf_N = p_NK.max(1)
    correct_N = evaluation.per_item[model]["accuracy"][places]
    arrays = [jnp.asarray(x) for x in (conf_N, correct_N, np.ones(len(conf_N)))]
    covered, risk = (np.asarray(x) for x in discrimination.risk_coverage_curve(*arrays))
    area = float(discrimination.selective(*arrays).aurc)
    keep = np.unique(covered, return_index=True)[1]
    return covered[keep], risk[keep], area
