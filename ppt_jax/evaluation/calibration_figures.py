"""The report's calibration figures: reliability, PIT, coverage, and ranks of the labels.

Axes: N asks, E events, K answers, B bins, M smoothing cells, R replicates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ppt_jax.evaluation import choices, intervals
from ppt_jax.evaluation.answers import pit_shares
from ppt_jax.evaluation.figures import Figure, own_models, pretty_split, series_of, shown_models
from ppt_jax.evaluation.svg import Panel
from ppt_jax.evaluation.tables import Evaluation

_CELLS = 256


def reliability(evaluation: Evaluation, *, replicates: int = 300) -> Figure:
    """Reliability of choice answers: curve, binned points, and the null band."""
    centres = (np.arange(_CELLS) + 0.5) / _CELLS
    panels, rows = [], []
    t = evaluation.targets
    for model in own_models(evaluation):
        for split in evaluation.config.splits:
            chosen = t.split_N == split
            cluster_N = intervals.cluster_index(t.cluster_N.tolist())[0]
            events = choices.choice_events(t, evaluation.answers[model], chosen, cluster_N)
            if len(events.p_AK) < 10:
                continue
            null_RE = choices.simulate_outcomes(events, evaluation.config.seed, replicates)
            curve, low, high, density = _curves(events, null_RE)
            row = evaluation.row(model, split, "ece_smooth", "choice") or {}
            panel = Panel(
                f"{model}, {pretty_split(split)}",
                f"{len(events.p_AK)} choices; smooth ECE {row.get('value', math.nan):.3f}, "
                f"95% under calibration {row.get('null_q95') or math.nan:.3f}",
                (0, 1),
                (0, 1),
                "stated probability",
                "share true",
                height=300,
            )
            panel.band(centres.tolist(), low.tolist(), high.tolist(), "null")
            panel.line([0, 1], [0, 1], "rule", "thin")
            foot = np.minimum(density / max(density.max(), 1e-9), 1) * 0.12
            panel.band(centres.tolist(), np.zeros(_CELLS).tolist(), foot.tolist(), "density")
            panel.line(centres.tolist(), curve.tolist(), series_of(model))
            x, y, n = choices.binned_points(events)
            panel.dots(
                x.tolist(),
                y.tolist(),
                series_of(model),
                (2 + 3 * np.sqrt(n / n.max())).tolist(),
                "solid",
            )
            if row.get("value") is not None and row.get("null_q95") is not None:
                panel.note(f"ECE {row['value']:.3f} (calibrated: < {row['null_q95']:.3f})")
            panels.append(panel.svg())
            pick = slice(2, None, 5)
            rows += [
                (model, split, *(float(v) for v in values))
                for values in zip(
                    *(a[pick] for a in (centres, curve, low, high, density)), strict=True
                )
            ]
    return Figure(
        "reliability",
        "Are probabilities of choice answers true?",
        "When the model says 70%, is it so 70% of the time? Line: smoothed share of true outcomes; "
        "dots: ten bins of equal weight; grey band: where 95% of such lines lie when the model is "
        "perfectly calibrated, with as many asks; along the foot: how often each is said.",
        tuple(panels),
        ("model", "split", "confidence", "share_true", "null_low", "null_high", "density"),
        tuple(rows),
    )


def _curves(
    events: choices.Events, null_RE: np.ndarray, sigma: float = 0.06
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Observed curve, 95% null band and density; NaN where next to nothing was said."""
    y = np.vstack([events.y_E[None], null_RE])
    curves, density = choices.smooth_curves(events, y, _CELLS, sigma)
    curves = np.where(density > 0.05, curves, math.nan)
    known = ~np.isnan(curves[0])
    low, high = np.full(_CELLS, math.nan), np.full(_CELLS, math.nan)
    if known.any():
        low[known], high[known] = np.quantile(curves[1:, known], [0.025, 0.975], axis=0)
    return curves[0], low, high, density


def pit(evaluation: Evaluation, *, bins: int = 10) -> Figure:
    """PIT histograms of numeric answers against the simulated truth."""
    edges = np.linspace(0, 1, bins + 1)
    panels, rows = [], []
    t = evaluation.targets
    shown = shown_models(evaluation)
    for split in evaluation.config.splits:
        use = (t.split_N == split) & (t.kind_N != "choice") & (t.answer_N >= 0)
        shares = {
            m: pit_shares(t, evaluation.answers[m], use, edges[:-1], edges[1:]) for m in shown
        }
        n = len(shares[shown[0]]) if shown else 0
        if n < 10:
            continue
        heights = {m: share.mean(0) * bins for m, share in shares.items()}
        half = 1.96 * math.sqrt((1 / bins) * (1 - 1 / bins) / n) * bins
        top = max(float(h.max()) for h in heights.values())
        panel = Panel(
            pretty_split(split),
            "; ".join(
                f"{m}: {h[0] + h[-1]:.2f} in the outer two bins (2 is calibrated)"
                for m, h in heights.items()
            ),
            (0, 1),
            (0, max(top * 1.08, 1.6)),
            "place of the truth in the answer (PIT)",
            f"density, {n} asks",
        )
        panel.band([0, 1], [1 - half] * 2, [1 + half] * 2, "null")
        panel.line([0, 1], [1, 1], "rule", "thin")
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
        "pit",
        "Where does the truth fall in the answer?",
        "Numeric asks (value, rank, chance). Flat is calibrated; high ends mean overconfident "
        "answers, a hump in the middle underconfident ones. Grey: 95% band of a calibrated model "
        "(asks taken as independent).",
        tuple(panels),
        ("split", "model", "from", "to", "density"),
        tuple(rows),
        tuple((series_of(m), m) for m in shown),
    )


def coverage(evaluation: Evaluation) -> Figure:
    """Empirical against nominal coverage of central intervals."""
    levels = np.linspace(0.05, 0.95, 19)
    panels, rows = [], []
    t = evaluation.targets
    shown = shown_models(evaluation)
    for split in evaluation.config.splits:
        use = (t.split_N == split) & (t.kind_N != "choice") & (t.answer_N >= 0)
        if use.sum() < 10:
            continue
        n = int(use.sum())
        curves = {}
        for model in shown:
            share = pit_shares(
                t, evaluation.answers[model], use, (1 - levels) / 2, (1 + levels) / 2
            )
            curves[model] = share.mean(0)
        panel = Panel(
            pretty_split(split),
            "; ".join(f"{m}: the 90% interval covers {c[17]:.0%}" for m, c in curves.items()),
            (0, 1),
            (0, 1),
            "stated coverage of the central interval",
            "share covered",
        )
        half = 1.96 * np.sqrt(levels * (1 - levels) / n)
        panel.band(levels.tolist(), (levels - half).tolist(), (levels + half).tolist(), "null")
        panel.line([0, 1], [0, 1], "rule", "thin")
        for model, curve in curves.items():
            panel.line(levels.tolist(), curve.tolist(), series_of(model))
            rows += [(split, model, float(a), float(b)) for a, b in zip(levels, curve, strict=True)]
        panels.append(panel.svg())
    return Figure(
        "coverage",
        "Coverage of central intervals",
        "Share of simulated truths inside the central interval of each stated coverage. Below the "
        "diagonal: overconfident. Grey: 95% band of a calibrated model.",
        tuple(panels),
        ("split", "model", "level", "covered"),
        tuple(rows),
        tuple((series_of(m), m) for m in shown),
    )


def label_ranks(ranks: Sequence[float], *, bins: int = 20) -> Figure:
    """Simulation-based calibration of the labels: ranks of the truth must be uniform."""
    u = np.sort(np.asarray([r for r in ranks if r is not None and math.isfinite(r)], float))
    title = "Are the labels themselves calibrated?"
    caption = (
        "Each scenario's truth was drawn from its own program before its evidence, so its rank in "
        "a correct posterior is uniform. Left: histogram of the ranks. Right: their distribution "
        "function minus the diagonal. Grey: 95% bands under uniform ranks."
    )
    if len(u) < 20:
        return Figure("label_ranks", title, caption, ())
    n = len(u)
    counts = np.histogram(u, bins, (0, 1))[0]
    half = 1.96 * math.sqrt((1 / bins) * (1 - 1 / bins) / n) * bins
    heights = counts / n * bins
    edges = np.linspace(0, 1, bins + 1)
    ks = float(np.max(np.maximum(np.arange(1, n + 1) / n - u, u - np.arange(n) / n)))
    limit = 1.358 / (math.sqrt(n) + 0.12 + 0.11 / math.sqrt(n))
    words = "inside" if ks < limit else "outside"
    left = Panel(
        "ranks of the truth",
        f"{n} ranks in {bins} bins; densities from {heights.min():.2f} to {heights.max():.2f}",
        (0, 1),
        (0, max(1.6, float(heights.max()) * 1.08)),
        "rank of the truth in the label",
        f"density, {n} asks",
    )
    left.band([0, 1], [1 - half] * 2, [1 + half] * 2, "null")
    left.bars(edges.tolist(), heights.tolist(), "label-bar")
    left.line([0, 1], [1, 1], "rule", "thin")
    grid = np.linspace(0, 1, 201)
    gap = np.searchsorted(u, grid, side="right") / n - grid
    reach = max(float(np.abs(gap).max()), limit) * 1.25
    right = Panel(
        "distribution function minus diagonal",
        f"largest gap {ks:.3f}, {words} the 95% limit {limit:.3f}",
        (0, 1),
        (-reach, reach),
        "rank of the truth in the label",
        "",
        left=56,
    )
    right.band([0, 1], [-limit] * 2, [limit] * 2, "null")
    right.line([0, 1], [0, 0], "rule", "thin")
    right.line(grid.tolist(), gap.tolist(), "label")
    right.note(f"largest gap {ks:.3f}, 95% limit {limit:.3f}")
    return Figure(
        "label_ranks",
        title,
        caption + f" The largest gap is {ks:.3f}, {words} the 95% limit {limit:.3f} for {n} ranks "
        "taken as independent.",
        (left.svg(), right.svg()),
        ("from", "to", "count"),
        tuple((float(edges[b]), float(edges[b + 1]), int(counts[b])) for b in range(bins)),
    )
