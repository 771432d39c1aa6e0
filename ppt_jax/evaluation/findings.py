"""What the report shows and says in words; shared by the HTML page and its Markdown twin."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ppt_jax.errors import UserError
from ppt_jax.evaluation.answers import METRICS
from ppt_jax.evaluation.figures import pretty_split, trained_model
from ppt_jax.evaluation.results import ALL, Row
from ppt_jax.evaluation.tables import Evaluation
from ppt_jax.storage import read_jsonl

FAMILIAR = "seen_motifs"
DETAIL_METRICS = (
    *("kl", "ce", "tv", "w1", "crps", "mae", "pearson_means", "log_sd_ratio"),
    *("log_score", "brier", "crps_truth", "wis_truth", "accuracy", "coverage_50", "coverage_90"),
    *("width_90", "entropy_gap", "valid_mass"),
)
KIND_METRICS = ("kl", "tv", "crps", "mae", "pearson_means")
CALIBRATION_METRICS = (
    *("ece_smooth", "ece_mass", "ece_width", "ece_distinct", "ece_debiased_squared", "mce_mass"),
    *("ece_sweep", "top_ece_smooth", "corp_brier_miscalibration", "corp_log_miscalibration"),
    *("brier_reliability", "brier_resolution", "brier_uncertainty", "spiegelhalter_z", "ks"),
    *("calibration_slope", "calibration_bias", "auroc", "aurc", "accuracy_at_80"),
)
MEANING = {metric.name: metric.meaning for metric in METRICS} | {
    "pearson_means": "correlation of model means with posterior means",
    "ece_smooth": "smooth calibration error (no bins)",
    "ece_mass": "calibration error, bins of equal weight",
    "ece_width": "calibration error, bins of equal width",
    "ece_distinct": "calibration error per distinct value (at most 101 values)",
    "ece_debiased_squared": "debiased squared L2 calibration error",
    "mce_mass": "largest gap over bins of equal weight",
    "brier_reliability": "reliability part of the Brier score",
    "brier_resolution": "resolution part of the Brier score (higher is better)",
    "brier_uncertainty": "uncertainty of the outcomes",
    "ece_sweep": "calibration error, as many bins of equal weight as stay monotone",
    "top_ece_smooth": "smooth calibration error of the most probable option",
    "corp_brier_miscalibration": "miscalibration part of the Brier score, isotonic (no bins)",
    "corp_log_miscalibration": "miscalibration part of the log score, isotonic (no bins)",
    "spiegelhalter_z": "Spiegelhalter's test; standard normal when calibrated",
    "ks": "largest cumulative difference of outcomes and confidences",
    "calibration_slope": "slope of outcomes on logits; 1 is right, below is overconfident",
    "calibration_bias": "share true minus mean confidence; 0 is right",
    "aurc": "area under the risk-coverage curve",
    "accuracy_at_80": "accuracy when the least confident fifth is left out (higher is better)",
    "auroc": "discrimination: area under the ROC curve (higher is better)",
}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ReportInputs:
    """Everything the report shows; only the evaluation is required.

    Attributes:
      evaluation: what `tables.evaluate` found.
      title: title of the page.
      header: label -> value for the header card (configuration, versions, sizes, run time).
      history: rows of the training log, with ``step`` and numbers (see `read_history`).
      corpus: what is known about the corpus: diversity, shares, rejects by reason, nested as it is.
      labels: summary of the labelling job, nested as it is.
      label_ranks: posterior ranks of the simulated truths; those of the items when None.
    """

    evaluation: Evaluation
    title: str = "Program-based posterior training: evaluation"
    header: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    history: Sequence[Mapping[str, Any]] = ()
    corpus: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    labels: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    label_ranks: Sequence[float] | None = None


def read_history(path: str | os.PathLike[str]) -> list[Mapping[str, Any]]:
    """Rows of a metrics.jsonl; empty when there is none. A half-written last line is left out."""
    rows: list[Mapping[str, Any]] = []
    if not pathlib.Path(path).exists():
        return rows
    with contextlib.suppress(UserError):  # a log that was cut off still has its earlier rows
        for _, row in read_jsonl(path):
            if isinstance(row, Mapping):
                rows.append(row)
    return rows


def ranks_of(inputs: ReportInputs) -> list[float]:
    """Ranks of the simulated truths, given or taken from the items."""
    if inputs.label_ranks is not None:
        return list(inputs.label_ranks)
    items = inputs.evaluation.targets.items
    return [item.true_rank for item in items if item.true_rank is not None]


def header_facts(inputs: ReportInputs) -> dict[str, Any]:
    """The header card: what the caller gave, then answers, valid mass and parse failures."""
    evaluation = inputs.evaluation
    facts = dict(inputs.header)
    own = {
        name: answers
        for name, answers in evaluation.answers.items()
        if name not in ("uniform", "base_rate") and not answers.posthoc
    }
    n = len(evaluation.targets.items)
    if own and n:
        facts["Asks answered"] = f"{n:,} by each of {', '.join(own)}"
        masses = [f"{name} {float(a.valid_mass_N.mean()):.4f}" for name, a in own.items()]
        facts["Mean valid mass"] = ", ".join(masses)
        failed = [f"{name} {int((~a.parse_ok_N).sum()):,}" for name, a in own.items()]
        facts["Answers not parsed"] = ", ".join(failed)
        readouts = sorted({a.readout for a in own.values() if a.readout})
        facts["Readout"] = ", ".join(readouts)
    return facts


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The report's conclusion.

    Attributes:
      tone: ``good``, ``mixed`` or ``bad``, for the colour of the headline.
      headline: one sentence.
      sentences: the evidence, in plain language.
    """

    tone: str
    headline: str
    sentences: tuple[str, ...]


def number(value: Any, digits: int = 3) -> str:
    """A number for tables; a dash for what was not measured."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "\u2013"
    if isinstance(value, float):
        return f"{value:.{digits}f}".replace("-", "\u2212")
    return str(value)


def with_interval(row: Row | None, digits: int = 3) -> str:
    """``0.123 [0.110, 0.140]``, or a dash when nothing was measured."""
    if not row or not row["n"] or not math.isfinite(row["value"]):
        return "\u2013"
    if row["ci_low"] is None or not math.isfinite(row["ci_low"]):  # a single cluster
        return number(row["value"], digits)
    low, high = number(row["ci_low"], digits), number(row["ci_high"], digits)
    return f"{number(row['value'], digits)} [{low}, {high}]"


def _known(row: Row | None) -> bool:
    return bool(row and row["n"] and math.isfinite(row["value"]))


def headline_metric(evaluation: Evaluation) -> tuple[str, str]:
    """The metric of the first table and its words: KL to labels, or the log score without any."""
    if len(evaluation.targets.items) and not evaluation.targets.label_N.any():
        return "log_score", "Log score of the outcome"
    return "kl", "KL from posterior to answer"


def verdict(evaluation: Evaluation) -> Verdict:
    """Says whether the trained model learned from evidence, and what speaks for and against it."""
    model = trained_model(evaluation)
    if model is None or not evaluation.targets.items:
        return Verdict("bad", "Nothing was evaluated: there are no answers.", ())
    if not evaluation.targets.label_N.any():
        return _verdict_on_outcomes(evaluation)
    familiar = FAMILIAR if FAMILIAR in evaluation.config.splits else evaluation.config.splits[0]
    own = evaluation.row(model, familiar, "kl")
    rate = evaluation.row("base_rate", familiar, "kl")
    sentences: list[str] = []
    tone, headline = "mixed", "There is no evaluation on seen motifs."
    if own and rate and _known(own) and _known(rate):
        tone, headline = _learned(own, rate, _difference(evaluation, model, "base_rate", familiar))
        sentences.append(
            f"On new stories about motifs seen in training, the answers of \u201c{model}\u201d are "
            f"{with_interval(own)} nats from the posterior; the base rate, which reads no story, "
            f"is {with_interval(rate)} ({own['n']} asks of {own['n_clusters']} scenarios)."
        )
    correlation = evaluation.row(model, familiar, "pearson_means")
    if correlation and _known(correlation):
        sentences.append(
            "Across those asks the mean answer correlates with the posterior mean at "
            f"{with_interval(correlation, 2)}."
        )
    scaled = evaluation.row("before+ts", familiar, "kl")
    if scaled and _known(scaled) and own and _known(own):
        gap = _difference(evaluation, model, "before+ts", familiar)
        if gap is not None:
            clear = "clearly better than" if gap["ci_high"] < 0 else "not clearly better than"
            sentences.append(
                "Temperature scaling of the model before training reaches "
                f"{with_interval(scaled)}; the trained model is {clear} that (paired difference "
                f"{number(gap['difference'])} [{number(gap['ci_low'])}, {number(gap['ci_high'])}])."
            )
    if words := subsumed(evaluation, familiar):
        sentences.append(words)
    for split in evaluation.config.splits:
        if split == familiar:
            continue
        sentences += _elsewhere(evaluation, model, split)
    sentences += _calibrated(evaluation, model, familiar)
    return Verdict(tone, headline, tuple(sentences))


def _verdict_on_outcomes(evaluation: Evaluation) -> Verdict:
    """What is said of answers without posterior labels: scores and calibration of every model."""
    sentences: list[str] = []
    splits = evaluation.config.splits
    for model, own in evaluation.answers.items():
        if model in ("uniform", "base_rate") or own.posthoc:
            continue
        for split in splits:
            name = f"\u201c{model}\u201d" + (f", {pretty_split(split)}" if len(splits) > 1 else "")
            row = evaluation.row(model, split, "log_score")
            if row and _known(row):
                sentences.append(
                    f"{name}: log score {with_interval(row)} nats ({row['n']} asks of "
                    f"{row['n_clusters']} clusters)."
                )
            for words in _calibrated(evaluation, model, split, "truth"):
                sentences.append(f"{name}: {words[0].lower()}{words[1:]}")
    if not sentences:
        return Verdict("mixed", "There are neither posterior labels nor known outcomes.", ())
    headline = "Answers are judged by what came true: there are no posterior labels."
    return Verdict("mixed", headline, tuple(sentences))


def _difference(evaluation: Evaluation, a: str, b: str, split: str) -> Row | None:
    for row in evaluation.comparisons:
        if (row["model_a"], row["model_b"], row["split"]) == (a, b, split) and (
            row["kind"] == ALL and row["metric"] == "kl" and row["n"]
        ):
            return row
    return None


def _learned(own: Row, rate: Row, gap: Row | None) -> tuple[str, str]:
    share = own["value"] / rate["value"] if rate["value"] > 0 else math.nan
    if own["ci_high"] < rate["ci_low"]:
        return "good", (
            f"The model learned from evidence: its distance to the posterior is {share:.0%} of the "
            "base rate\u2019s, and the intervals do not overlap."
        )
    if gap is not None and gap["ci_high"] < 0:
        return "mixed", (
            "The model is better than the base rate on the same asks, but the separate intervals "
            "overlap."
        )
    if gap is not None and gap["ci_low"] > 0:
        return "bad", "The model is worse than the base rate: it has not learned from evidence."
    return "bad", (
        "The model cannot be told from the base rate: there is no sign that it uses the evidence."
    )


def _elsewhere(evaluation: Evaluation, model: str, split: str) -> list[str]:
    own = evaluation.row(model, split, "kl")
    rate = evaluation.row("base_rate", split, "kl")
    if not own or not rate or not _known(own) or not _known(rate):
        return [f"On the split \u201c{pretty_split(split)}\u201d nothing was evaluated."]
    gap = _difference(evaluation, model, "base_rate", split)
    if gap is None:
        word = "compared with"
    elif gap["ci_high"] < 0:
        word = "better than"
    elif gap["ci_low"] > 0:
        word = "worse than"
    else:
        word = "not distinguishable from"
    correlation = evaluation.row(model, split, "pearson_means")
    tail = f"; correlation of means {with_interval(correlation, 2)}" if _known(correlation) else ""
    return [
        f"On the split \u201c{pretty_split(split)}\u201d, which training never saw, it is {word} "
        f"the base rate: {with_interval(own)} against {with_interval(rate)} nats{tail}."
    ]


def _calibrated(
    evaluation: Evaluation, model: str, split: str, truth: str = "simulated truth"
) -> list[str]:
    return [
        *_choices_calibrated(evaluation, model, split, truth),
        *_covered(evaluation, model, split, truth),
    ]


def _choices_calibrated(evaluation: Evaluation, model: str, split: str, truth: str) -> list[str]:
    row = evaluation.row(model, split, "ece_smooth", "choice")
    if not row or not _known(row) or row["null_q95"] is None:
        return []
    text = (
        f"On choices its smooth calibration error against the {truth} is "
        f"{number(row['value'])}; a perfectly calibrated model would show up to "
        f"{number(row['null_q95'])} with {row['n']} asks, so this is "
    )
    if row["value"] <= row["null_q95"]:
        return [text + "inside what calibration allows."]
    z = evaluation.row(model, split, "spiegelhalter_z", "choice")
    if z and _known(z) and abs(z["value"]) < 1.96:  # one calibrated model in twenty lies outside
        return [f"{text}outside what calibration allows, with no clear lean to either side."]
    word = "overconfident" if _leans_to_extremes(evaluation, model, split) else "underconfident"
    return [f"{text}outside what calibration allows: its probabilities are {word}."]


def _leans_to_extremes(evaluation: Evaluation, model: str, split: str) -> bool:
    """Whether probabilities above even odds are too high and those below too low, on average."""
    t = evaluation.targets
    places = np.flatnonzero((t.split_N == split) & (t.kind_N == "choice") & (t.answer_N >= 0))
    total = 0.0
    for n in places:
        size = int(t.size_N[n])
        p_K = evaluation.answers[model].p_NK[n, :size]
        y_K = np.arange(size) == t.answer_N[n]
        total += float(np.sum((p_K - 1 / size) * (y_K - p_K))) / size
    return total < 0


def _covered(evaluation: Evaluation, model: str, split: str, truth: str) -> list[str]:
    row = evaluation.row(model, split, "coverage_90")
    if not row or not _known(row) or not math.isfinite(row["ci_low"]):
        return []
    if row["ci_high"] < 0.9:
        word = "they are too narrow: overconfident"
    elif row["ci_low"] > 0.9:
        word = "they are too wide: underconfident"
    else:
        word = "as they should"
    return [
        f"On numeric asks its central 90% intervals hold the {truth} in "
        f"{row['value']:.0%} of cases [{row['ci_low']:.0%}, {row['ci_high']:.0%}]; {word}."
    ]


def subsumed(evaluation: Evaluation, split: str) -> str:
    """Whether any correction of the model before training reaches the trained model, in words."""
    model = trained_model(evaluation)
    gaps = [
        row
        for row in evaluation.comparisons
        if (row["model_a"], row["split"], row["kind"], row["metric"]) == (model, split, ALL, "kl")
        and row["model_b"].startswith("before+")
        and row["n"]
    ]
    if not gaps:
        return ""
    best = max(gaps, key=lambda row: row["difference"])
    name = best["model_b"].removeprefix("before+")
    interval = f"[{number(best['ci_low'])}, {number(best['ci_high'])}]"
    text = (
        f"Of {len(gaps)} post-hoc corrections of the model before training, the best "
        f"(\u201c{name}\u201d) stays {number(-best['difference'])} nats behind the trained model "
        f"(paired difference {number(best['difference'])} {interval})"
    )
    if best["ci_high"] < 0:
        return text + ": the gain is not subsumed by post-hoc correction."
    return (
        f"Of {len(gaps)} post-hoc corrections of the model before training, the best "
        f"(\u201c{name}\u201d) cannot be told from the trained model, or is better (paired "
        f"difference {number(best['difference'])} {interval}): the gain may be no more than that "
        "correction."
    )


def picked_asks(evaluation: Evaluation, split: str) -> list[tuple[str, int]]:
    """Best, median and worst ask of the trained model by KL, as (word, index of the ask)."""
    model = trained_model(evaluation)
    if model is None:
        return []
    places = np.flatnonzero(evaluation.targets.split_N == split)
    if not len(places):
        return []
    order = places[np.argsort(evaluation.per_item[model]["kl"][places], kind="stable")]
    if len(order) < 3:
        return [("ask", int(n)) for n in order]
    return [
        ("best", int(order[0])),
        ("median", int(order[len(order) // 2])),
        ("worst", int(order[-1])),
    ]
