"""The long rows and paired differences of one split.

One set of bootstrap weights serves every model, kind and metric of a split, so that differences are
paired. Axes: N asks, n asks of the split, C clusters, R replicates, M models.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from ppt_jax.evaluation import choices, intervals
from ppt_jax.evaluation.answers import METRICS, Answers, Targets
from ppt_jax.evaluation.intervals import percentile_intervals
from ppt_jax.evaluation.items import KINDS
from ppt_jax.evaluation.results import ALL, Row, row

PAIRED_METRICS = ("kl", "tv", "crps", "mae", "log_score", "brier")
CI_METHOD = "percentile bootstrap over clusters"
_INTERVAL = ("ci_low", "ci_high", "stderr", "ci_method")
_FEWER_REPLICATES = 200  # of the calibration of further corrections: there are many of them
Scores = Mapping[str, Mapping[str, np.ndarray]]  # model -> metric -> value per ask


@dataclasses.dataclass(frozen=True, eq=False)
class Resampling:
    """How the asks of a split are resampled, and how results are measured.

    Attributes:
      weights_RC: how often each cluster is drawn in each replicate.
      level: coverage of intervals.
      bins, cells: of the calibration errors.
      seed: of nulls and sign flips.
      pairs: (a, b) models whose differences a - b are reported.
    """

    weights_RC: np.ndarray
    level: float
    bins: int
    cells: int
    seed: int
    pairs: tuple[tuple[str, str], ...]

    def intervals(self, draws_RM: np.ndarray) -> list[dict[str, float | str | None]]:
        """Fields of M rows: percentile interval and standard error of the replicates."""
        out: list[dict[str, float | str | None]] = []
        for draws_R, (low, high) in zip(draws_RM.T, percentile_intervals(draws_RM, self.level)):
            known = draws_R[~np.isnan(draws_R)]
            stderr = float(np.std(known, ddof=1)) if len(known) > 1 else None
            one = {"ci_low": low, "ci_high": high, "stderr": stderr, "ci_method": CI_METHOD}
            out.append(one if len(known) else {})
        return out


@functools.lru_cache(maxsize=8)
def cluster_weights(seed: int, clusters: int, replicates: int) -> np.ndarray:
    """Bootstrap weights [R, C] as float64, made once per size."""
    with jax.enable_x64(True):
        return np.asarray(intervals.bootstrap_weights(seed, max(clusters, 1), replicates))


def split_rows(
    split: str,
    targets: Targets,
    answers: Mapping[str, Answers],
    per_item: Scores,
    *,
    level: float,
    replicates: int,
    seed: int,
    bins: int,
    cells: int,
    pairs: Sequence[tuple[str, str]],
) -> tuple[list[Row], list[Row]]:
    """All rows of one split and its paired differences.

    Corrected models other than the temperature-scaled ones have rows of the kinds ``all`` and
    ``choice`` only.

    Args:
      split: its name; a split without asks gives rows of NaN.
      targets, answers, per_item: everything that was scored, all splits.
      level, replicates, seed, bins, cells, pairs: see `tables.EvaluationConfig`.
    """
    chosen_N = targets.split_N == split
    cluster_n, clusters = intervals.cluster_index(targets.cluster_N[chosen_N].tolist())
    cluster_N = np.zeros(len(chosen_N), np.int32)
    cluster_N[chosen_N] = cluster_n
    plan = Resampling(
        cluster_weights(seed, clusters, replicates), level, bins, cells, seed, tuple(pairs)
    )
    rows: list[Row] = []
    comparisons: list[Row] = []
    plain = {name: own for name, own in answers.items() if own.posthoc in ("", "temperature")}
    for kind in (ALL, *KINDS):
        mask_N = chosen_N if kind == ALL else chosen_N & (targets.kind_N == kind)
        # Further corrections are there to be compared as a whole and in calibration.
        shown = answers if kind in (ALL, "choice") else plain
        scored = _Scored(split, kind, mask_N, targets, shown, per_item, cluster_N, plan)
        rows += scored.means()
        rows += [scored.correlation(name) for name in shown]
        comparisons += scored.differences()
        if kind == "choice":
            rows += scored.calibration()
    _add_p_values(comparisons, chosen_N, targets, per_item, seed)
    return rows, comparisons


class _Scored:
    """The asks of one split and kind, with their scores; replicates of means are kept for pairs."""

    def __init__(
        self,
        split: str,
        kind: str,
        mask_N: np.ndarray,
        targets: Targets,
        answers: Mapping[str, Answers],
        per_item: Scores,
        cluster_N: np.ndarray,
        plan: Resampling,
    ) -> None:
        self.split, self.kind, self.plan = split, kind, plan
        self.mask_N, self.cluster_N = mask_N, cluster_N
        self.targets, self.answers, self.per_item = targets, answers, per_item
        self.draws: dict[tuple[str, str], np.ndarray] = {}
        self.values: dict[tuple[str, str], Row] = {}

    def _row(self, model: str, metric: str, value: float, use_N: np.ndarray, **more: object) -> Row:
        own, tasks = self.answers[model], sorted(set(self.targets.task_N[use_N].tolist()))
        n, clusters = int(use_N.sum()), len(set(self.cluster_N[use_N].tolist()))
        if clusters < 2:  # one cluster says nothing about how clusters differ
            more = {name: x for name, x in more.items() if name not in _INTERVAL}
        return row(
            model,
            metric,
            value if n else math.nan,
            n=n,
            task=tasks[0] if len(tasks) == 1 else "",
            split=self.split,
            kind=self.kind,
            readout=own.readout,
            posthoc=own.posthoc,
            n_clusters=clusters,
            n_parse_fail=int((~own.parse_ok_N[use_N]).sum()),
            **more,  # type: ignore[arg-type]
        )

    def means(self) -> list[Row]:
        """Rows of all metrics that are means over asks."""
        rows = []
        clusters = self.plan.weights_RC.shape[1]
        for metric in METRICS:
            use_N = self.mask_N & self.targets.applies(metric)
            n, place_n = int(use_N.sum()), self.cluster_N[use_N]
            x_nM = np.stack([self.per_item[m][metric.name][use_N] for m in self.answers], axis=1)
            columns = (*x_nM.T, np.ones(n))
            sums = [np.bincount(place_n, x, minlength=clusters) for x in columns]
            draws_RM = self.plan.weights_RC @ np.stack(sums, axis=1)
            with np.errstate(invalid="ignore", divide="ignore"):
                means_RM = draws_RM[:, :-1] / draws_RM[:, -1:]  # NaN in a replicate without asks
            floor = self._floor(metric.name, use_N)
            intervals_M = self.plan.intervals(means_RM)
            for column, name in enumerate(self.answers):
                value = float(x_nM[:, column].mean()) if n else math.nan
                one = self._row(
                    name,
                    metric.name,
                    value,
                    use_N,
                    floor=floor,
                    higher_is_better=metric.higher_is_better,
                    **intervals_M[column],
                )
                rows.append(one)
                self.draws[name, metric.name] = means_RM[:, column]
                self.values[name, metric.name] = one
        return rows

    def _floor(self, metric: str, use_N: np.ndarray) -> float | None:
        """What a perfect model would score: label entropy for `ce`, label error for `tv`."""
        if not use_N.any():
            return None
        if metric == "ce":
            return float(next(iter(self.per_item.values()))["entropy"][use_N].mean())
        if metric == "tv":
            items = [self.targets.items[n] for n in np.flatnonzero(use_N)]
            errors = [
                item.label_error if item.label_error_full is None else item.label_error_full
                for item in items
            ]
            known = [e for e in errors if e is not None]
            return float(np.mean(known)) if known else None
        return None

    def correlation(self, name: str) -> Row:
        """Pearson correlation of model means with target means, from moments per cluster."""
        targets, scored, plan = self.targets, self.per_item[name], self.plan
        ordered = (targets.kind_N != "choice") | (targets.size_N == 2)
        use_N = self.mask_N & ordered & ~np.isnan(targets.mean_N)
        x, y = scored["mean"][use_N], scored["target_mean"][use_N]
        value, interval = math.nan, {}
        if len(x) >= 2:
            x, y = (x - x.mean()) / 100, (y - y.mean()) / 100
            moments = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y])
            clusters = plan.weights_RC.shape[1]
            place = self.cluster_N[use_N]
            sums = np.stack([np.bincount(place, m, minlength=clusters) for m in moments], 1)
            value = float(_pearson(sums.sum(0, keepdims=True))[0])
            interval = plan.intervals(_pearson(plan.weights_RC @ sums)[:, None])[0]
        return self._row(name, "pearson_means", value, use_N, higher_is_better=True, **interval)

    def differences(self) -> list[Row]:
        """Differences of means on the same asks, with intervals from the same replicates."""
        out: list[Row] = []
        for a, b in self.plan.pairs:
            known = [x for x in PAIRED_METRICS if {(a, x), (b, x)} <= self.values.keys()]
            if not known:
                continue
            gaps_RM = np.stack([self.draws[a, x] - self.draws[b, x] for x in known], axis=1)
            ends = percentile_intervals(gaps_RM, self.plan.level)
            for metric, (low, high) in zip(known, ends):
                row_a, row_b = self.values[a, metric], self.values[b, metric]
                if row_a["n_clusters"] < 2:
                    low = high = math.nan
                out.append(
                    {
                        "model_a": a,
                        "model_b": b,
                        "split": self.split,
                        "kind": self.kind,
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

    def calibration(self) -> list[Row]:
        """Rows of the calibration errors of choices, with their nulls."""
        rows: list[Row] = []
        targets, plan = self.targets, self.plan
        use_N = self.mask_N & (targets.kind_N == "choice") & (targets.answer_N >= 0)
        for name, own in self.answers.items():
            events = choices.choice_events(targets, own, self.mask_N, self.cluster_N)
            full = own.posthoc in ("", "temperature")
            weights_RC = plan.weights_RC if full else plan.weights_RC[:_FEWER_REPLICATES]
            method = CI_METHOD if full else f"{CI_METHOD}, {len(weights_RC)} replicates"
            found = choices.calibrate(
                events,
                weights_RC,
                bins=plan.bins,
                cells=plan.cells,
                seed=plan.seed,
                level=plan.level,
            )
            for metric, better in choices.METRICS.items():
                got = found.get(metric, choices.Measured(math.nan, math.nan, math.nan))
                rows.append(
                    self._row(
                        name,
                        metric,
                        got.value,
                        use_N,
                        ci_low=got.ci_low,
                        ci_high=got.ci_high,
                        ci_method=method if metric in found else "",
                        null_mean=got.null_mean,
                        null_q95=got.null_q95,
                        higher_is_better={"lower": False, "higher": True}.get(better),
                    )
                )
        return rows


def _pearson(moments_R6: np.ndarray) -> np.ndarray:
    """Correlations [R] from weighted sums of 1, x, y, xx, yy, xy; NaN where a side is constant."""
    with np.errstate(invalid="ignore", divide="ignore"):
        _, x, y, xx, yy, xy = (moments_R6 / moments_R6[:, :1]).T
        variance = (xx - x * x, yy - y * y)
        spread = np.sqrt(np.clip(variance[0], 0, None) * np.clip(variance[1], 0, None))
        constant = (variance[0] < 1e-12) | (variance[1] < 1e-12)
        return np.where(constant, np.nan, (xy - x * y) / spread)


def _add_p_values(
    comparisons: Sequence[Row],
    chosen_N: np.ndarray,
    targets: Targets,
    per_item: Scores,
    seed: int,
) -> None:
    """Sign-flip p-values of the KL differences over all kinds."""
    use_N = chosen_N & targets.label_N
    for one in comparisons:
        if one["kind"] == ALL and one["metric"] == "kl" and one["n"]:
            gap = per_item[one["model_a"]]["kl"] - per_item[one["model_b"]]["kl"]
            one["p_value"] = intervals.sign_flip_p_value(
                gap[use_N],
                np.ones(int(use_N.sum())),
                targets.cluster_N[use_N].tolist(),
                seed=seed,
            )
