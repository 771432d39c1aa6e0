"""Results: one long row for every number, with all that is needed to judge it, and its files.

`row` makes a row, `write_results` stores rows as `results.json`, `results.csv` and
`results_lm_eval.json`, `read_results` reads them back. Whatever scores something (the pipeline's
tables, a benchmark, a script of yours) writes its numbers through these. docs/evaluation.md has
the fields.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ppt_jax.errors import UserError
from ppt_jax.storage import write_atomic

SCHEMA_VERSION = 2
ALL = "all"  # the kind of rows that pool every kind
COLUMNS = (
    *("model", "task", "split", "kind", "readout", "posthoc", "metric", "params"),
    *("value", "stderr", "ci_low", "ci_high", "ci_method", "n", "n_clusters", "n_parse_fail"),
    *("null_mean", "null_q95", "floor", "ceiling", "higher_is_better"),
)
KEY = ("model", "task", "split", "kind", "readout", "posthoc", "metric", "params")
Row = dict[str, Any]

_FIRST_FORM = {"lower": False, "higher": True, "target": None}


class ResultError(UserError):
    """A results file or row that cannot be used; the message names the file and the row."""


def row(
    model: str,
    metric: str,
    value: float | None,
    *,
    n: int,
    task: str = "",
    split: str = "",
    kind: str = ALL,
    readout: str = "",
    posthoc: str = "",
    params: Mapping[str, Any] | None = None,
    stderr: float | None = None,
    ci_low: float | None = None,
    ci_high: float | None = None,
    ci_method: str = "",
    n_clusters: int | None = None,
    n_parse_fail: int = 0,
    null_mean: float | None = None,
    null_q95: float | None = None,
    floor: float | None = None,
    ceiling: float | None = None,
    higher_is_better: bool | None = None,
) -> Row:
    """One number with everything beside it that a reader needs to judge it.

    Args:
      model: name of the model; a post-hoc variant has its own, e.g. ``"after+ts"``.
      metric: name of the number.
      value: the number; None or NaN when there was nothing to measure.
      n: items behind it, those that failed to parse included.
      task: benchmark or task.
      split: split of the task.
      kind: subset of the split, ``"all"`` for the whole.
      readout: how answers were read, e.g. ``"trie"``.
      posthoc: correction applied afterwards, e.g. ``"temperature"``.
      params: whatever else identifies the number (bins, norm, domain); JSON values.
      stderr: standard error.
      ci_low, ci_high: interval; ``ci_method`` says which.
      n_clusters: groups that were resampled together.
      n_parse_fail: items whose answer could not be parsed.
      null_mean, null_q95: mean and 95% quantile of the number under perfect calibration.
      floor: what a perfect model would score.
      ceiling: the best that the data allow (correlation with noisy human means).
      higher_is_better: None when the best value is neither the highest nor the lowest.

    Returns:
      A dict with `COLUMNS` as keys.

    Raises:
      ResultError: no name, a negative count, or a value although there were no items.

    Example:
      >>> row("base", "brier", 0.25, n=100, split="test", higher_is_better=False)["value"]
      0.25
    """
    where = f"row {model!r}, {task or split!r}, {metric!r}"
    for name, text in (("model", model), ("metric", metric)):
        if not isinstance(text, str) or not text:
            raise ResultError(f"{where}: {name} must be a text that is not empty")
    for name, count in (("n", n), ("n_parse_fail", n_parse_fail)):
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise ResultError(f"{where}: {name} is {count!r}, it must be a whole number >= 0")
    numbers = {
        "value": _number(value, where),
        "ci_low": _number(ci_low, where),
        "ci_high": _number(ci_high, where),
    }
    if n == 0 and not math.isnan(numbers["value"]):
        raise ResultError(f"{where}: value is {value} although there are no items; it must be null")
    return {
        "model": model,
        "task": task,
        "split": split,
        "kind": kind,
        "readout": readout,
        "posthoc": posthoc,
        "metric": metric,
        "params": dict(params or {}),
        **numbers,
        "stderr": _optional(stderr),
        "ci_method": ci_method,
        "n": n,
        "n_clusters": n if n_clusters is None else int(n_clusters),
        "n_parse_fail": n_parse_fail,
        "null_mean": _optional(null_mean),
        "null_q95": _optional(null_q95),
        "floor": _optional(floor),
        "ceiling": _optional(ceiling),
        "higher_is_better": higher_is_better,
    }


def _number(value: Any, where: str) -> float:
    if value is None:
        return math.nan
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ResultError(f"{where}: {value!r} is not a number") from None
    return number if math.isfinite(number) else math.nan


def _optional(value: Any) -> float | None:
    return None if value is None or not math.isfinite(float(value)) else float(value)


def find_row(
    rows: Sequence[Row], model: str, split: str, metric: str, kind: str = ALL
) -> Row | None:
    """The first long row of this model, split, metric and kind, or None."""
    wanted = (model, split, metric, kind)
    for one in rows:
        if (one["model"], one["split"], one["metric"], one["kind"]) == wanted:
            return one
    return None


@dataclasses.dataclass(frozen=True)
class Results:
    """A stored `results.json`.

    Attributes:
      rows: long rows, as `row` makes them.
      run: what the run says about itself.
      extra: further sections (``comparisons``, ``posthoc``, ``settings``, ...).
      schema_version: of the file.
    """

    rows: list[Row]
    run: Mapping[str, Any]
    extra: Mapping[str, Any]
    schema_version: int


def plain_json(value: Any) -> Any:
    """JSON without NaN: what was not measured is null; tuples become lists."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): plain_json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(inner) for inner in value]
    if hasattr(value, "item") and callable(value.item):  # a numpy scalar
        return plain_json(value.item())
    return value


def _key(one: Row) -> tuple[str, ...]:
    return tuple(json.dumps(plain_json(one.get(name)), sort_keys=True) for name in KEY)


def write_results(
    folder: str | os.PathLike[str],
    rows: Iterable[Row],
    run: Mapping[str, Any] | None = None,
    **extra: Any,
) -> None:
    """Writes `results.json`, `results.csv` and `results_lm_eval.json` into a folder, atomically.

    Args:
      folder: made when missing.
      rows: long rows made by `row`; their order is kept.
      run: what describes the run (model, versions, seed, config).
      extra: further JSON sections of `results.json`, e.g. ``comparisons=[...]``.

    Raises:
      ResultError: a row with unknown or missing fields, or two rows of one key.
    """
    folder = pathlib.Path(folder)
    rows = list(rows)
    seen: set[tuple[str, ...]] = set()
    for number, one in enumerate(rows):
        if set(one) != set(COLUMNS):
            odd = sorted(set(one) ^ set(COLUMNS))
            raise ResultError(
                f"{folder}: row {number} ({one.get('model')!r}, {one.get('metric')!r}): field "
                f"{odd[0]!r} is missing or unknown; make rows with results.row, and put what is "
                "special into params"
            )
        if _key(one) in seen:
            raise ResultError(
                f"{folder}: two rows of "
                + ", ".join(f"{name} {one[name]!r}" for name in KEY if one[name])
            )
        seen.add(_key(one))
    head = {"schema_version": SCHEMA_VERSION, "run": run or {}, **extra}
    text = json.dumps(plain_json(head), indent=1, allow_nan=False, default=str)
    lines = [json.dumps(plain_json(one), allow_nan=False) for one in rows]
    body = ",\n".join(lines)
    write_atomic(folder / "results.json", f'{text[:-2]},\n "metrics": [\n{body}\n]\n}}\n')
    write_atomic(folder / "results.csv", results_csv(rows))
    document = json.dumps(plain_json(lm_eval_document(rows)), indent=1, allow_nan=False)
    write_atomic(folder / "results_lm_eval.json", document + "\n")


def results_csv(rows: Iterable[Row]) -> str:
    """The rows as CSV text; what is null is an empty cell, ``params`` is JSON text."""
    table = io.StringIO()
    writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for one in rows:
        cells = plain_json(one)
        cells["params"] = json.dumps(cells["params"], sort_keys=True) if cells["params"] else ""
        writer.writerow(cells)
    return table.getvalue()


def read_results(path: str | os.PathLike[str]) -> Results:
    """Reads a `results.json`, given as a file or as the folder that holds it.

    The first form (a bare list of rows) is read too.

    Raises:
      ResultError: no such file, not JSON, another schema version, or a row without its fields.
    """
    file = pathlib.Path(path)
    file = file / "results.json" if file.is_dir() else file
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ResultError(f"{file}: cannot read ({error.strerror})") from error
    except ValueError as error:
        raise ResultError(f"{file}: not JSON ({error})") from error
    if isinstance(data, list):
        rows = [_from_first_form(one, file, at) for at, one in enumerate(data)]
        return Results(rows, {}, {}, 1)
    version = data.get("schema_version") if isinstance(data, dict) else None
    if version != SCHEMA_VERSION:
        raise ResultError(
            f"{file}: schema_version is {version!r}; this version reads {SCHEMA_VERSION} and the "
            "bare list of rows of version 1"
        )
    stored = data.get("metrics")
    if not isinstance(stored, list):
        raise ResultError(f"{file}: field 'metrics' must be a list of rows")
    rows = [_from_stored(one, file, at) for at, one in enumerate(stored)]
    extra = {
        key: value for key, value in data.items() if key not in ("schema_version", "run", "metrics")
    }
    return Results(rows, data.get("run") or {}, extra, version)


def _from_stored(stored: Any, file: pathlib.Path, at: int) -> Row:
    if not isinstance(stored, dict) or not set(COLUMNS) <= set(stored):
        lacks = sorted(set(COLUMNS) - set(stored)) if isinstance(stored, dict) else ["model"]
        raise ResultError(f"{file}: metrics[{at}]: field {lacks[0]!r} is missing")
    one = {name: stored[name] for name in COLUMNS}
    try:
        return row(one.pop("model"), one.pop("metric"), one.pop("value"), **one)
    except ResultError as error:
        raise ResultError(f"{file}: metrics[{at}]: {error}") from None


def _from_first_form(stored: Any, file: pathlib.Path, at: int) -> Row:
    try:
        return row(
            stored["model"],
            stored["metric"],
            stored["value"],
            n=stored["n"],
            n_clusters=stored["n_clusters"],
            split=stored["split"],
            kind=stored["kind"],
            ci_low=stored["ci_low"],
            ci_high=stored["ci_high"],
            null_mean=stored["null_mean"],
            null_q95=stored["null_q95"],
            floor=stored["floor"],
            higher_is_better=_FIRST_FORM[stored["better"]],
        )
    except (KeyError, TypeError) as error:
        raise ResultError(f"{file}: row {at} (first form): field {error} is missing") from error


def lm_eval_document(rows: Sequence[Row]) -> dict[str, Any]:
    """The rows under the keys that lm-eval's result files use, one entry of ``results`` a task.

    A task is ``<task>_<split>_<kind>`` of what is not empty (``all`` is left out), prefixed by
    ``<model>/`` where rows of several models stand together; metrics are ``"<metric>,<filter>"``
    and ``"<metric>_stderr,<filter>"`` with ``filter`` the readout (``none`` when there is none).
    Rows with ``params`` carry them in the metric's name.
    """
    several = len({one["model"] for one in rows}) > 1
    results: dict[str, dict[str, Any]] = {}
    better: dict[str, dict[str, bool]] = {}
    samples: dict[str, dict[str, int]] = {}
    for one in rows:
        parts = [one["task"], one["split"], "" if one["kind"] == ALL else one["kind"]]
        task = "_".join(part for part in parts if part) or "results"
        if several:
            task = f"{one['model']}/{task}"
        name = one["metric"]
        if one["params"]:
            name += "".join(f"_{key}={one['params'][key]}" for key in sorted(one["params"]))
        filtered = one["readout"] or "none"
        entry = results.setdefault(task, {"alias": task})
        entry[f"{name},{filtered}"] = one["value"]
        entry[f"{name}_stderr,{filtered}"] = "N/A" if one["stderr"] is None else one["stderr"]
        if one["higher_is_better"] is not None:
            better.setdefault(task, {})[name] = one["higher_is_better"]
        most = max(samples.get(task, {"original": 0})["original"], one["n"])
        samples[task] = {"original": most, "effective": most}
    return {
        "results": results,
        "versions": dict.fromkeys(results, SCHEMA_VERSION),
        "n-shot": dict.fromkeys(results, 0),
        "higher_is_better": better,
        "n-samples": samples,
    }
