"""People's answers on a 0..100 scale: their reliability, and how near models come to them.

Axes: S people, N items, H random halves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ppt_jax.evaluation import correlation, results
from ppt_jax.evaluation.benchmarks.protocol import Question, Row, ScoreSettings
from ppt_jax.evaluation.benchmarks.recordings import Recording
from ppt_jax.evaluation.benchmarks.summaries import Estimate, Resampler, shown
from ppt_jax.evaluation.correlation import SplitHalf


def person_order(names: Sequence[str]) -> list[str]:
    """People in an order that does not depend on the order of rows: by number, else by name."""

    def place(name: str) -> tuple[int, float, str]:
        try:
            return (0, float(name), name)
        except ValueError:
            return (1, 0.0, name)

    return sorted(set(names), key=place)


def reliability(values_SN: np.ndarray, settings: ScoreSettings) -> SplitHalf | None:
    """Split-half reliability over people; None with fewer than two people or items.

    The halves are random permutations of the people, cut in the middle.
    """
    people = len(values_SN)
    if values_SN.ndim != 2 or min(values_SN.shape) < 2:
        return None
    rng = np.random.default_rng(settings.seed)
    first_HS = np.zeros((settings.splits, people))
    for h in range(settings.splits):
        first_HS[h, rng.permutation(people)[: people // 2]] = 1.0
    return correlation.split_half(values_SN, first_HS=first_HS)


def reliability_rows(
    found: SplitHalf | None, *, n: int, people: int, common: Mapping[str, Any]
) -> list[Row]:
    """Rows ``split_half_r``, ``spearman_brown`` and ``noise_ceiling``.

    Args:
      found: see `reliability`.
      n: judgments behind it.
      people: how many people.
      common: fields that all rows share (task, split, kind, n_parse_fail).
    """
    nan = math.nan
    if found is None:
        found = SplitHalf(nan, nan, nan, nan, nan, people, 0, 0)

    def row(metric: str, value: float, low: float = nan, high: float = nan) -> Row:
        method = f"central range of {found.splits} random halves" if math.isfinite(low) else ""
        return results.row(
            "people",
            metric,
            value,
            n=n,
            n_clusters=people,
            ci_low=low,
            ci_high=high,
            ci_method=method,
            higher_is_better=True,
            **common,
        )

    brown = [correlation.spearman_brown(r) for r in (found.low, found.high)]
    return [
        row("split_half_r", found.r, found.low, found.high),
        row("spearman_brown", found.reliability, *brown),
        row("noise_ceiling", found.ceiling),
    ]


def histogram(values: Sequence[float]) -> np.ndarray:
    """Shares of the 101 answers 0..100 among numbers, rounded to whole ones."""
    counts = np.bincount(
        np.clip(np.floor(np.asarray(values, np.float64) + 0.5), 0, 100).astype(np.int64),
        minlength=101,
    )
    return counts / counts.sum()


def mean_answers(
    recordings: Sequence[Recording],
) -> tuple[dict[str, list[float]], list[str], dict[str, int]]:
    """Mean answers on the 0..100 scale by question, one entry a readable trial.

    A distribution counts with its mean over the valid answers; a number must lie in 0..100 (a
    percentage such as ``30%`` is 30).

    Returns:
      Answers by question id, messages about those that cannot be used, and how many that are by
      question id.
    """
    answers: dict[str, list[float]] = {}
    failures: list[str] = []
    failed: dict[str, int] = {}
    for r in recordings:
        value: float | None
        if r.probs_K is not None:
            value = float(r.probs_K @ np.arange(len(r.probs_K)) / r.probs_K.sum())
        else:
            value = r.number()
            if value is not None and "%" in r.answer:
                value *= 100
        if value is None or not 0 <= value <= 100:
            why = "no number" if value is None else f"{value:g} is not in 0..100"
            failures.append(f"{r.where}: {r.model}, {r.question.id}: {r.answer!r}: {why}")
            failed[r.question.id] = failed.get(r.question.id, 0) + 1
        else:
            answers.setdefault(r.question.id, []).append(value)
    return answers, failures, failed


def agreement_rows(
    model: str,
    questions: Sequence[Question],
    answers: Mapping[str, Sequence[float]],
    ceiling: float,
    settings: ScoreSettings,
    *,
    n: int,
    common: Mapping[str, Any],
) -> tuple[list[Row], dict[str, float]]:
    """Agreement of one model's mean answers with the human means of some questions.

    ``mae``, ``rmse``, ``bias`` (model minus people), ``pearson`` and ``spearman`` with the ceiling
    that the people's own reliability sets, ``pearson_over_ceiling``, ``slope`` of the least-squares
    line from model to people, and ``mae_affine``, the error left after that line (a model that is
    right up to scale and direction has a small one).

    Args:
      model: name.
      questions: with human means in ``truth.value``.
      answers: see `mean_answers`; questions without an answer are left out.
      ceiling: see `reliability_rows`.
      settings: of the bootstrap over clusters of questions.
      n: answers behind the rows, unreadable ones included.
      common: fields that all rows share.

    Returns:
      Rows, and metric -> value.
    """
    used = [q for q in questions if answers.get(q.id) and q.truth.value is not None]
    x = np.array([float(np.mean(answers[q.id])) for q in used])
    y = np.array([float(q.truth.value or 0.0) for q in used])
    clusters = [q.cluster_id for q in used]
    resampler = Resampler(clusters, settings)
    few = len(set(clusters)) < 2
    found = correlation.agreement(
        x,
        y,
        None,
        clusters,
        seed=settings.seed,
        replicates=settings.replicates,
        level=settings.level,
    )

    def interval(part: correlation.Interval) -> Estimate:
        return Estimate(part.value) if few else Estimate(part.value, part.low, part.high)

    line = resampler.statistic(lambda w: _affine(x, y, w)[0]) if len(x) > 1 else Estimate(math.nan)
    left = resampler.statistic(lambda w: _affine(x, y, w)[1]) if len(x) > 1 else Estimate(math.nan)
    pearson = interval(found.pearson)
    share = [v / ceiling for v in (pearson.value, pearson.low, pearson.high)]
    estimates: dict[str, tuple[Estimate, bool | None, float | None]] = {
        "mae": (resampler.mean(np.abs(x - y)), False, None),
        "rmse": (interval(found.rmse), False, None),
        "bias": (resampler.mean(x - y), None, None),
        "pearson": (pearson, True, ceiling),
        "spearman": (interval(found.spearman), True, None),
        "pearson_over_ceiling": (Estimate(*share), True, None),
        "slope": (line, None, None),
        "mae_affine": (left, False, None),
    }
    rows = [
        results.row(
            model,
            metric,
            estimate.value,
            n=n,
            n_clusters=resampler.n_clusters,
            ci_low=estimate.low,
            ci_high=estimate.high,
            ci_method="cluster bootstrap" if math.isfinite(estimate.low) else "",
            ceiling=top,
            higher_is_better=better,
            **common,
        )
        for metric, (estimate, better, top) in estimates.items()
    ]
    return rows, {metric: estimate.value for metric, (estimate, _, _) in estimates.items()}


def _affine(x: np.ndarray, y: np.ndarray, w_RN: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slope of the weighted least-squares line of y on x, and the mean absolute error left."""
    total = w_RN.sum(1, keepdims=True)
    mx, my = (w_RN @ x)[:, None] / total, (w_RN @ y)[:, None] / total
    dx, dy = x - mx, y - my
    variance = (w_RN * dx**2).sum(1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        slope = (w_RN * dx * dy).sum(1, keepdims=True) / variance
        left = (w_RN * np.abs(dy - slope * dx)).sum(1) / total[:, 0]
    flat = variance[:, 0] <= 1e-12
    return np.where(flat, np.nan, slope[:, 0]), np.where(flat, np.nan, left)


AGREEMENT_HEAD = ("model", "answers", "failed", "MAE", "RMSE", "r", "r/ceiling", "rho", "slope")


def agreement_cells(name: str, n: int, failed: int, value: Mapping[str, float]) -> list[str]:
    """A line of the readable table, see `AGREEMENT_HEAD`."""
    return [
        name,
        str(n),
        str(failed),
        shown(value["mae"]),
        shown(value["rmse"]),
        shown(value["pearson"], 3),
        shown(value["pearson_over_ceiling"], 3),
        shown(value["spearman"], 3),
        shown(value["slope"]),
    ]
