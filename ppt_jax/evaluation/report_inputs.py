"""What a report needs beside the items, stored so that it can be made again without a model.

`launch.evaluate` writes ``report_inputs.json`` beside the items; `launch.report` reads it.
"""

from __future__ import annotations

import json
import math
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from ppt_jax.errors import UserError
from ppt_jax.evaluation.baselines import BaseRate, fit_base_rate
from ppt_jax.evaluation.findings import ReportInputs, read_history
from ppt_jax.evaluation.item_files import read_items
from ppt_jax.evaluation.results import plain_json, read_results
from ppt_jax.evaluation.tables import EvaluationConfig, evaluate
from ppt_jax.storage import write_atomic

SCHEMA_VERSION = 1
FILE = "report_inputs.json"
_FOLDERS = ("evaluation", ".")


def write_report_inputs(
    folder: str | os.PathLike[str],
    *,
    header: Mapping[str, Any],
    rate: BaseRate,
    corpus: Mapping[str, Any],
    labels: Mapping[str, Any],
    label_ranks: Sequence[float],
    title: str = "",
) -> None:
    """Stores what `rebuilt` needs, beside ``items.jsonl``."""
    document = {
        "schema_version": SCHEMA_VERSION,
        "title": title,
        "header": dict(header),
        "base_rate": rate.to_json(),
        "corpus": dict(corpus),
        "labels": dict(labels),
        "label_ranks": [float(rank) for rank in label_ranks if math.isfinite(rank)],
    }
    text = json.dumps(plain_json(document), allow_nan=False, default=str)
    write_atomic(pathlib.Path(folder) / FILE, text + "\n")


def rebuilt(folder: str | os.PathLike[str]) -> ReportInputs:
    """Everything the report shows, from the stored files of an evaluated run.

    Reads ``items.jsonl`` (in the folder or its ``evaluation/``), and where they exist
    ``validation_items.jsonl``, ``report_inputs.json``, ``results.json`` (settings and run) and
    ``train/metrics.jsonl``.

    Raises:
      UserError: there are no items, or a file cannot be used.
    """
    folder = pathlib.Path(folder)
    for name in _FOLDERS:
        place = folder / name
        if (place / "items.jsonl").exists():
            break
    else:
        raise UserError(f"{folder}: no items.jsonl here or in evaluation/; nothing was evaluated")
    items = list(read_items(place / "items.jsonl"))
    fit_file = place / "validation_items.jsonl"
    validation = list(read_items(fit_file)) if fit_file.exists() else []
    stored = _read_inputs(place / FILE)
    run: Mapping[str, Any] = {}
    settings: Mapping[str, Any] = {}
    if (folder / "results.json").exists():
        results = read_results(folder)
        run, settings = results.run, results.extra.get("settings") or {}
    config = _config(settings, folder / "results.json") if settings else EvaluationConfig(splits=())
    rate = BaseRate.from_json(stored["base_rate"]) if stored else fit_base_rate([])
    header = stored.get("header") or {k: v for k, v in run.items() if k != "config"}
    ranks = stored.get("label_ranks")
    title = stored.get("title") or ReportInputs.__dataclass_fields__["title"].default
    return ReportInputs(
        evaluation=evaluate(items, validation, rate, config),
        title=str(title),
        header=header,
        history=read_history(folder / "train" / "metrics.jsonl"),
        corpus=stored.get("corpus") or {},
        labels=stored.get("labels") or {},
        label_ranks=ranks,
    )


def _read_inputs(path: pathlib.Path) -> Mapping[str, Any]:
    if not path.exists():
        return {}
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); remove it to go on without") from error
    if not isinstance(stored, dict) or stored.get("schema_version") != SCHEMA_VERSION:
        raise UserError(f"{path}: schema_version is not {SCHEMA_VERSION}")
    return stored


def _config(settings: Mapping[str, Any], path: pathlib.Path) -> EvaluationConfig:
    fields = EvaluationConfig.__dataclass_fields__
    values = {name: value for name, value in settings.items() if name in fields}
    for name in ("splits", "posthoc"):
        if name in values:
            values[name] = tuple(values[name])
    if "pairs" in values:
        values["pairs"] = tuple((a, b) for a, b in values["pairs"])
    try:
        return EvaluationConfig(**values)
    except TypeError as error:
        raise UserError(f"{path}: settings cannot be used ({error})") from error
