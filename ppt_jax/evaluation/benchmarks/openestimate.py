"""OpenEstimate: beliefs about population quantities, elicited as mean and sd or beta parameters.

Native protocol (Renda, Ross, Cafarella & Andreas 2025): a model states a distribution for each of
181 quantities of three domains, in several trials. Scores: how evenly the truths fall into the
quartiles of the stated distributions, and errors relative to what 5 real samples would give.
Published variant of PPT (arXiv 2606.09856): every quantity on a scale from 0 to 100 whose ends
stand in the question; `load(..., variant="scale")`.

Files: ``<domain>_variables.json`` and ``<domain>_baselines.json``; docs/benchmarks.md says where
from. Recordings: one CSV a model and trial, ``<model>_trial<k>.csv``.

Axes: N answers of a model (all trials), T trials.
"""

from __future__ import annotations

import dataclasses
import math
import pathlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import special

from ppt_jax.evaluation import results
from ppt_jax.evaluation.benchmarks import elicited
from ppt_jax.evaluation.benchmarks.files import Cells, expand, read_csv, read_json
from ppt_jax.evaluation.benchmarks.protocol import (
    Benchmark,
    BenchmarkError,
    Paths,
    Question,
    Row,
    Scored,
    ScoreSettings,
    Truth,
)
from ppt_jax.evaluation.benchmarks.recordings import name_of
from ppt_jax.evaluation.benchmarks.summaries import Estimate, Resampler, plain_table, shown

NAME = "openestimate"
SAMPLES = "5"  # errors are relative to posteriors from this many real samples
LEVELS = (0.5, 0.9, 0.95)
_TRIAL_FOLDER = re.compile(r"^trial_([^_]+)_results$")
_TRUTH_TOLERANCE = 1e-3  # relative; recorded truths are the file's, perhaps rounded
_LEAST_SD = 0.5  # of target bins on the 0..100 scale, as published


@dataclasses.dataclass(frozen=True)
class Variable:
    """One quantity.

    Attributes:
      domain, key: ``"nhanes"``, ``"easy_3"``.
      text: what is asked about.
      cluster: the quantity without its conditions.
      family: ``normal`` or ``beta``, of the distribution that is elicited.
      mean, std, se: truth, population spread, standard error of the truth.
      conditioned: whether it is about a part of the population.
      baseline_error: mean |posterior mean - truth| over posteriors from 5 samples; NaN without
        baselines.
    """

    domain: str
    key: str
    text: str
    cluster: str
    family: str
    mean: float
    std: float
    se: float
    conditioned: bool
    baseline_error: float


def load(
    directory: pathlib.Path, *, domain: str | None = None, variant: str = "native"
) -> Benchmark:
    """Loads the questions of all domains in a directory, or of one.

    Args:
      directory: holds ``<domain>_variables.json`` and, for the ratios, ``<domain>_baselines.json``.
      domain: only this one.
      variant: ``native`` (the model states a distribution) or ``scale`` (an integer 0..100 between
        ends that the question states, target: normal with the truth's standard error).

    Raises:
      BenchmarkError: no such domain or variant, files that cannot be used.
    """
    if variant not in ("native", "scale"):
        raise BenchmarkError(f"{NAME}: variant {variant!r} is neither 'native' nor 'scale'")
    variables = _read_variables(directory, domain)
    make = _native_question if variant == "native" else _scale_questions(variables)
    questions = tuple(make(v) for v in variables)
    return Benchmark(
        name=NAME,
        questions=questions,
        score_recordings=lambda paths, settings: _score(variables, paths, settings),
        record=_record if variant == "native" else None,
    )


def _read_variables(directory: pathlib.Path, domain: str | None) -> list[Variable]:
    found = sorted(directory.glob("*_variables.json")) if directory.is_dir() else []
    domains = [path.name.removesuffix("_variables.json") for path in found]
    if not found:
        raise BenchmarkError(f"{directory}: no *_variables.json in this directory")
    if domain is not None and domain not in domains:
        raise BenchmarkError(
            f"{directory}: no {domain}_variables.json; there are {', '.join(domains)}"
        )
    variables: list[Variable] = []
    for name, path in zip(domains, found):
        if domain in (None, name):
            variables += _read_domain(name, path)
    return variables


def _read_domain(domain: str, path: pathlib.Path) -> list[Variable]:
    entries = read_json(path)
    if not isinstance(entries, dict) or not entries:
        raise BenchmarkError(f"{path}: must be an object of variables by name")
    baselines_path = path.with_name(f"{domain}_baselines.json")
    baselines = read_json(baselines_path) if baselines_path.exists() else {}
    variables = []
    for key, entry in entries.items():
        try:
            family = elicited.family_of(entry["ground_truth_distribution_type"])
            mean = float(entry["mean"])
            std, se = (float(entry.get(field, math.nan)) for field in ("std", "se"))
            text, cluster = str(entry["variable"]), str(entry["base_variable"])
        except (KeyError, TypeError, ValueError) as error:
            raise BenchmarkError(
                f"{path}: variable {key!r}: field {error} is missing or odd"
            ) from None
        if family not in ("normal", "beta"):
            raise BenchmarkError(
                f"{path}: variable {key!r}: distribution {family!r}, not normal or beta"
            )
        error_of = math.nan
        if baselines:
            error_of = _baseline_error(baselines, baselines_path, key, mean)
        conditioned = bool(entry.get("conditions"))
        variables.append(
            Variable(domain, key, text, cluster, family, mean, std, se, conditioned, error_of)
        )
    return variables


def _baseline_error(baselines: Any, path: pathlib.Path, key: str, truth: float) -> float:
    """Mean absolute error of the posterior means from 5 samples."""
    try:
        posteriors = baselines[key][SAMPLES]
        means = [
            p["mu"] if "mu" in p else p["alpha"] / (p["alpha"] + p["beta"]) for p in posteriors
        ]
        error = float(np.mean(np.abs(np.asarray(means, np.float64) - truth)))
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as problem:
        raise BenchmarkError(
            f"{path}: variable {key!r}: no usable posteriors from {SAMPLES} samples ({problem!r})"
        ) from None
    if not math.isfinite(error) or error <= 0:
        raise BenchmarkError(f"{path}: variable {key!r}: error of the posteriors is {error}")
    return error


# Questions


def _native_question(v: Variable) -> Question:
    if v.family == "normal":
        ask = (
            "Give your belief about the true value as a normal distribution: its mean and its "
            "standard deviation, which says how unsure you are of that value (not how much "
            "individuals differ)."
        )
        form = "Write exactly one line: mean = NUMBER, std = NUMBER"
    else:
        ask = (
            "The value lies between 0 and 1. Give your belief about the true value as a beta "
            "distribution with parameters a and b (its mean is a / (a + b), and the larger a + b, "
            "the surer you are)."
        )
        form = "Write exactly one line: a = NUMBER, b = NUMBER"
    return Question(
        id=f"{v.domain}/{v.key}",
        cluster_id=f"{v.domain}/{v.cluster}",
        kind="number",
        story=f"Quantity: {v.text}",
        question=ask,
        scale=form,
        truth=Truth(kind="outcome", value=v.mean),
        subset=v.domain,
    )


def _scale_questions(variables: Sequence[Variable]) -> Any:
    """The published 0..100 mapping: ends are 3 sd around the unconditional mean, not below 0."""
    whole = {(v.domain, v.cluster): v for v in variables if not v.conditioned}

    def make(v: Variable) -> Question:
        if v.family == "beta":
            low, high, unit = 0.0, 1.0, ""
        else:
            ends = whole.get((v.domain, v.cluster), v)
            low, high = max(0.0, ends.mean - 3 * ends.std), ends.mean + 3 * ends.std
            unit = ""
        mean, se = (100 * x / (high - low) for x in (v.mean - low, v.se))
        if not (math.isfinite(low) and math.isfinite(high) and se >= 0):
            raise BenchmarkError(
                f"{v.domain}_variables.json: variable {v.key!r}: the scale needs std and se"
            )
        edges = np.concatenate([[-np.inf], np.arange(100) + 0.5, [np.inf]])
        probs = np.diff(special.ndtr((edges - mean) / max(se, _LEAST_SD)))
        return Question(
            id=f"{v.domain}/{v.key}",
            cluster_id=f"{v.domain}/{v.cluster}",
            kind="value",
            story=f"Quantity: {v.text}",
            question="What is your estimate of the true value?",
            scale=f"Scale from 0 ({low:.6g}) to 100 ({high:.6g}).",
            truth=Truth(
                kind="posterior",
                probs_K=probs / probs.sum(),
                value=mean,
                answer=int(np.clip(round(mean), 0, 100)),
            ),
            subset=v.domain,
            quantity=(low, high),
            unit=unit,
        )

    return make


_NUMBER = r"[-+]?\$?\s*(\d[\d,]*\.?\d*(?:[eE][-+]?\d+)?|\.\d+)\s*(%?)"
_FIELDS = {
    "mean": r"(?:mean|mu)",
    "std": r"(?:std|sd|standard deviation|std_dev|sigma)",
    "a": r"(?:a|alpha)",
    "b": r"(?:b|beta)",
}


def _record(question: Question, reply: str) -> Mapping[str, Any]:
    """The recording's row of a reply: the last stated value of each parameter, else blank."""
    domain, key = question.id.split("/", 1)
    row: dict[str, Any] = {"variable": key, "domain": domain}
    for field, pattern in _FIELDS.items():
        found = re.findall(rf"(?i)(?<![\w.]){pattern}\s*(?:=|:|>)\s*{_NUMBER}", reply)
        row[field] = ""
        if found:
            text, percent = found[-1]
            value = float(text.replace(",", "")) / (100 if percent else 1)
            negative = re.search(rf"(?i)(?<![\w.]){pattern}\s*(?:=|:|>)\s*-", reply) is not None
            row[field] = repr(-value if negative else value)
    return row


# Recordings


@dataclasses.dataclass(frozen=True)
class _Answer:
    variable: Variable
    trial: str
    forecast: elicited.Forecast | elicited.Unreadable
    where: str


def _matches(row: Cells, variable: Variable) -> bool | None:
    """Whether a row is about this variable; None when it says nothing but the key."""
    truth = row.number("ground_truth")
    if truth is not None:
        return abs(truth - variable.mean) <= _TRUTH_TOLERANCE * max(abs(variable.mean), 1e-12)
    text = row.text("variable_name")
    return None if not text else text == variable.text


def _domain_of(
    path: pathlib.Path, rows: Sequence[Cells], domains: Mapping[str, Mapping[str, Variable]]
) -> str:
    """The domain whose variables a recording is about.

    Keys such as ``easy_3`` occur in several domains, so recorded truths and texts decide; the
    names of the file's folders decide where the rows cannot.
    """
    names = {row.text("domain") for row in rows} - {""}
    if len(names) == 1 and names <= set(domains):
        return names.pop()
    fit = {
        domain: (
            sum(
                row.text("variable") in known and _matches(row, known[row.text("variable")]) is True
                for row in rows
            ),
            sum(row.text("variable") in known for row in rows),
        )
        for domain, known in domains.items()
    }
    best = max(fit.values())
    tied = [domain for domain, score in fit.items() if score == best]
    if len(tied) > 1:
        parts = {part.lower() for part in path.resolve().parts} | set(path.stem.lower().split("_"))
        named = [domain for domain in tied if domain.lower() in parts]
        tied = named or tied
    if rows and best[1] == 0:
        raise BenchmarkError(
            f"{rows[0].where}: variable {rows[0].text('variable')!r} is in none of the domains "
            f"{', '.join(domains)}"
        )
    if len(tied) > 1:
        raise BenchmarkError(
            f"{path}: belongs to {' or '.join(tied)}; say which with --domain=NAME"
        )
    return tied[0]


def _read_recording(
    path: pathlib.Path, domains: Mapping[str, Mapping[str, Variable]]
) -> tuple[str, str, str, list[_Answer]]:
    """Model, domain, trial and answers of one file."""
    rows = read_csv(path, required=("variable",))
    model, trial = name_of(path)
    if path.stem == "processed_results":  # as the authors store them, a folder a run
        model = path.parent.name.removeprefix("EXPERTS-")
        trials = [m[1] for part in path.parts if (m := _TRIAL_FOLDER.match(part))]
        trial = trials[-1] if trials else "0"
    domain = _domain_of(path, rows, domains)
    answers: list[_Answer] = []
    seen: dict[str, str] = {}
    for row in rows:
        key = row.text("variable")
        variable = domains[domain].get(key)
        if variable is None:
            raise BenchmarkError(f"{row.where}: variable {key!r} is not in {domain}_variables.json")
        if key in seen:
            raise BenchmarkError(f"{row.where}: variable {key!r} occurs twice, see {seen[key]}")
        seen[key] = row.where
        if _matches(row, variable) is False:
            said = row.text("ground_truth") or row.text("variable_name")
            ours = f"{variable.mean!r}" if row.text("ground_truth") else f"{variable.text!r}"
            raise BenchmarkError(
                f"{row.where}: variable {key!r}: the recording is about {said!r}, "
                f"{domain}_variables.json about {ours}; they belong to different versions"
            )
        family = row.text("fitted_distribution_type")
        forecast = elicited.read_forecast(
            elicited.family_of(family) if family else variable.family,
            tuple(row.values),
            row.number,
        )
        answers.append(_Answer(variable, trial, forecast, row.where))
    return model, domain, trial, answers


def _score(variables: Sequence[Variable], paths: Paths, settings: ScoreSettings) -> Scored:
    domains: dict[str, dict[str, Variable]] = {}
    for v in variables:
        domains.setdefault(v.domain, {})[v.key] = v
    by_model: dict[tuple[str, str], list[_Answer]] = {}
    trials: dict[tuple[str, str, str], pathlib.Path] = {}
    for path in expand(paths, (".csv",)):
        model, domain, trial, answers = _read_recording(path, domains)
        key = (domain, model, trial)
        if key in trials:
            raise BenchmarkError(
                f"{path}: trial {key[2]!r} of model {model!r} ({domain}) was already read from "
                f"{trials[key]}"
            )
        trials[key] = path
        by_model.setdefault((domain, model), []).extend(answers)
    rows: list[Row] = []
    failures: list[str] = []
    tables: list[str] = []
    for domain in domains:
        lines = []
        for (where, model), answers in by_model.items():
            if where != domain:
                continue
            scored = _score_model(model, list(domains[domain].values()), answers, settings)
            rows += scored.rows
            lines.append(scored.cells)
            failures += [
                f"{a.where}: {model}, {domain}/{a.variable.key}: {a.forecast.reason}"
                for a in answers
                if isinstance(a.forecast, elicited.Unreadable)
            ]
        if lines:
            tables.append(_table(domain, list(domains[domain].values()), lines, settings))
    facts = {"domains": sorted({d for d, _ in by_model}), "files": len(trials)}
    return Scored(rows=rows, table="\n\n".join(tables), failures=tuple(failures), facts=facts)


@dataclasses.dataclass(frozen=True)
class _ModelScore:
    rows: list[Row]
    cells: list[str]


def _score_model(
    model: str, variables: Sequence[Variable], answers: Sequence[_Answer], settings: ScoreSettings
) -> _ModelScore:
    good = [a for a in answers if isinstance(a.forecast, elicited.Forecast)]
    failed = [a.forecast for a in answers if isinstance(a.forecast, elicited.Unreadable)]
    names = list(dict.fromkeys(a.trial for a in answers))
    used = list(dict.fromkeys(a.trial for a in good))
    scores = elicited.score(
        [a.forecast for a in good if isinstance(a.forecast, elicited.Forecast)],
        [a.variable.mean for a in good],
    )
    truth_N = np.array([a.variable.mean for a in good])
    unit_N = np.array([a.variable.baseline_error for a in good])
    trial_N = np.array([used.index(a.trial) for a in good], dtype=np.int64)
    error_N, crps_N = np.abs(scores.mean_N - truth_N) / unit_N, scores.crps_N / unit_N
    clusters = Resampler(
        [a.variable.cluster for a in good], settings, [v.cluster for v in variables]
    )
    with_ratio = bool(len(good)) and bool(np.isfinite(unit_N).all())
    nothing = Estimate(math.nan)
    found: dict[str, tuple[Estimate, bool | None, dict[str, Any]]] = {}
    by_trial = elicited.quartile_error(scores.pit_N, trial_N, len(used))
    ece = clusters.statistic(lambda w: elicited.mean_over_trials(by_trial(w))) if good else nothing
    spread = (
        clusters.statistic(lambda w: elicited.spread_over_trials(by_trial(w)))
        if len(used) > 1
        else nothing
    )
    per_trial = round(len(good) / len(used)) if used else 0
    null_mean, null_q95 = elicited.quartile_null(per_trial, settings.seed)
    found["ece_quartile"] = (ece, False, {"null_mean": null_mean, "null_q95": null_q95})
    found["ece_quartile_sd"] = (spread, None, {})
    for name, x_N in (("error_ratio", error_N), ("crps_ratio", crps_N)):
        found[f"{name}_median"] = (clusters.median(x_N) if with_ratio else nothing, False, {})
        found[f"{name}_mean"] = (clusters.mean(x_N) if with_ratio else nothing, False, {})
    for level in LEVELS:
        inside_N = (np.abs(scores.pit_N - 0.5) <= level / 2).astype(np.float64)
        found[f"coverage_{100 * level:.0f}"] = (clusters.mean(inside_N), None, {})
    counts = {
        "n_missing": sum(f.blank for f in failed),
        "n_invalid": sum(not f.blank for f in failed),
        "n_not_recorded": len(variables) * len(names) - len(answers),
        "n_trials": len(names),
    }
    for name, count in counts.items():
        better = None if name == "n_trials" else False
        found[name] = (Estimate(float(count)) if answers else nothing, better, {})
    rows = [
        results.row(
            model,
            metric,
            estimate.value,
            task=NAME,
            split=variables[0].domain,
            readout="stated distribution",
            ci_low=estimate.low,
            ci_high=estimate.high,
            ci_method="cluster bootstrap" if math.isfinite(estimate.low) else "",
            n=len(answers),
            n_clusters=clusters.n_clusters,
            n_parse_fail=len(failed),
            higher_is_better=better,
            **extra,
        )
        for metric, (estimate, better, extra) in found.items()
    ]
    value = {metric: estimate.value for metric, (estimate, _, _) in found.items()}
    cells = [
        model,
        str(len(answers)),
        str(len(failed)),
        f"{shown(value['ece_quartile'], 1)} ({shown(value['ece_quartile_sd'], 1)})",
        f"[{shown(ece.low, 1)}, {shown(ece.high, 1)}]" if math.isfinite(ece.low) else "-",
        f"{shown(value['error_ratio_median'])} / {shown(value['error_ratio_mean'])}",
        shown(value["crps_ratio_median"]),
        " / ".join(shown(value[f"coverage_{100 * level:.0f}"]) for level in LEVELS),
    ]
    return _ModelScore(rows, cells)


def _table(
    domain: str,
    variables: Sequence[Variable],
    lines: Sequence[Sequence[str]],
    settings: ScoreSettings,
) -> str:
    clusters = Counter(v.cluster for v in variables)
    null_mean, null_q95 = elicited.quartile_null(len(variables), settings.seed)
    head = (
        *("model", "answers", "failed", "ECE (sd)", f"ECE {100 * settings.level:.0f}% CI"),
        *("error ratio median / mean", "CRPS ratio median", "coverage 50 / 90 / 95"),
    )
    title = f"{NAME}, {domain}: {len(variables)} questions about {len(clusters)} base variables"
    notes = [
        f"ECE of a perfectly calibrated model on {len(variables)} questions: mean "
        f"{shown(null_mean, 1)}, 95% quantile {shown(null_q95, 1)}; "
        "ratios: 1 is a posterior mean from 5 real samples.",
    ]
    if len(clusters) < 2:
        notes.append("One base variable: no interval can be given by resampling it.")
    if all(not math.isfinite(v.baseline_error) for v in variables):
        notes.append(f"No {domain}_baselines.json: ratios are not known.")
    return "\n".join([title, "", plain_table(head, lines), "", *notes])
