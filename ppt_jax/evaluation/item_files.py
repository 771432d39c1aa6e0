"""`items.jsonl`: items as JSON lines, written by us or by anybody (docs/evaluation.md)."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from ppt_jax.errors import printable
from ppt_jax.evaluation.items import PERCENT, SCHEMA_VERSION, Item, ItemError
from ppt_jax.storage import read_jsonl, write_jsonl

_DIGITS = 9  # significant digits on disk; float32 log-probabilities survive it unchanged
_SUM_TOLERANCE = 1e-3
_FIRST_FORM = "items/1"
_WORDS = 500  # characters of an error
_TARGET_FIELDS = ("kind", "probs", "value", "n_draws")
_ANSWER_FIELDS = (*("run_id", "seed", "readout", "greedy_text", "parsed", "parse_ok"),)
_PLAIN_FIELDS = (
    *("item_id", "cluster_id", "split", "kind", "task", "motif", "family", "question", "story"),
    *("unit", "label_error", "label_error_full", "information", "true_answer", "true_rank"),
)
_KNOWN = {
    *("schema_version", "model", "support", "options", "probs", "logp", "valid_mass", "target"),
    *("prior", "scale", "params"),
    *_ANSWER_FIELDS,
    *_PLAIN_FIELDS,
}


def _numbers(vector: np.ndarray) -> list[float | None]:
    return [float(f"{x:.{_DIGITS}g}") if math.isfinite(x) else None for x in vector.tolist()]


def to_json(item: Item) -> dict[str, Any]:
    """One item as the JSON object of its line."""
    row: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "model": item.model}
    row |= {name: getattr(item, name) for name in _ANSWER_FIELDS}
    row |= {name: getattr(item, name) for name in _PLAIN_FIELDS}
    row["support"] = "0..100" if item.support == PERCENT else list(item.support)
    # A log-probability of minus infinity is null; an answer that failed to parse has none at all.
    row["logp"] = _numbers(item.logp_K) if item.valid_mass > 0 or item.parse_ok else None
    row["valid_mass"] = float(f"{item.valid_mass:.6g}")
    value: Any = item.target_value
    if item.target_kind == "outcome" and item.true_answer is not None and value is None:
        value = item.support[item.true_answer]
    row["target"] = {
        "kind": item.target_kind,
        "probs": _numbers(item.target_K) if item.has_label else None,
        "value": value,
        "n_draws": item.n_draws,
    }
    row["prior"] = None if item.prior_K is None else _numbers(item.prior_K)
    row["scale"] = None if item.scale is None else list(item.scale)
    return row


def _fail(row: Mapping[str, Any], words: str) -> ItemError:
    return ItemError(f"item {row.get('item_id')!r}: {words}")


def _list(row: Mapping[str, Any], field: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _fail(row, f"{field} must be a list")
    return value


def _log_probs(row: Mapping[str, Any]) -> np.ndarray | None:
    """``logp``, or the logarithm of ``probs`` times ``valid_mass``."""
    if row.get("logp") is not None:
        values = [-math.inf if x is None else x for x in _list(row, "logp", row["logp"])]
        try:
            return np.asarray(values, np.float64)
        except (TypeError, ValueError):
            raise _fail(row, "logp must be a list of numbers") from None
    if row.get("probs") is None:
        return None
    try:
        p_K = np.asarray(_list(row, "probs", row["probs"]), np.float64)
    except (TypeError, ValueError):
        raise _fail(row, "probs must be a list of numbers") from None
    bad = np.flatnonzero(~np.isfinite(p_K) | (p_K < 0))
    if bad.size:
        raise _fail(row, f"probs is {p_K[bad[0]]} at entry {bad[0]}; probabilities are in [0, 1]")
    total, mass = float(p_K.sum()), row.get("valid_mass")
    if total > 1 + _SUM_TOLERANCE:
        raise _fail(row, f"probs sums to {total:.6g}, more than 1")
    if mass is not None and abs(total - 1) <= _SUM_TOLERANCE:
        if not isinstance(mass, int | float) or not 0 < mass <= 1 + _SUM_TOLERANCE:
            raise _fail(row, f"valid_mass is {mass!r}, it must lie in (0, 1]")
        p_K = p_K * min(float(mass), 1.0)
    elif mass is not None and abs(total - float(mass)) > _SUM_TOLERANCE:
        raise _fail(row, f"probs sums to {total:.6g}, neither 1 nor valid_mass = {mass}")
    with np.errstate(divide="ignore"):
        return np.log(p_K)


def from_json(row: Any) -> Item:
    """The item of a line's JSON object.

    Raises:
      ItemError: names the item and the field.
    """
    if not isinstance(row, dict):
        raise ItemError("an item must be a JSON object")
    if row.get("schema") == _FIRST_FORM:
        row = _second_form(row)
    if row.get("schema_version") != SCHEMA_VERSION:
        found = row.get("schema_version", row.get("schema"))
        raise ItemError(
            f"schema_version is {found!r}, this version reads {SCHEMA_VERSION} and {_FIRST_FORM!r}"
        )
    for key in row:
        if key not in _KNOWN:
            raise _fail(row, f"unknown field {key!r}; what is special goes into params")
    support = row.get("support", row.get("options"))
    model = row.get("model") or row.get("run_id")
    for name, value in (
        *((name, row.get(name)) for name in ("item_id", "cluster_id", "split", "kind", "target")),
        *(("support", support), ("model", model)),
    ):
        if value is None:
            raise _fail(row, f"field {name!r} is missing")
    if support != "0..100" and not isinstance(support, list):
        raise _fail(row, 'support must be "0..100" or a list of answers')
    target = row["target"]
    if not isinstance(target, dict) or not set(target) <= set(_TARGET_FIELDS):
        raise _fail(row, f"target must be an object with the fields {', '.join(_TARGET_FIELDS)}")
    fields = {name: row[name] for name in _PLAIN_FIELDS if row.get(name) is not None}
    fields |= {name: row[name] for name in _ANSWER_FIELDS if row.get(name) is not None}
    fields["support"] = PERCENT if support == "0..100" else tuple(map(str, support))
    fields["target_kind"] = target.get("kind", "posterior")
    fields["n_draws"] = target.get("n_draws")
    if target.get("probs") is not None:
        fields["target_K"] = _list(row, "target", target["probs"])
    fields |= _target_value(row, fields, target.get("value"))
    if row.get("prior") is not None:
        fields["prior_K"] = _list(row, "prior", row["prior"])
    if row.get("scale") is not None:
        fields["scale"] = tuple(_list(row, "scale", row["scale"]))
    return Item(**fields, model=model, logp_K=_log_probs(row))  # type: ignore[arg-type]


def _target_value(row: Mapping[str, Any], fields: Mapping[str, Any], value: Any) -> dict[str, Any]:
    """A target's value: the text of an answer, or a number on the support's own scale."""
    if value is None:
        return {}
    if fields["target_kind"] == "outcome" and str(value) in fields["support"]:
        return {"true_answer": fields["support"].index(str(value))}
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _fail(row, f"target value {value!r} is none of the answers and no number")
    return {"target_value": float(value)}


def _second_form(row: Mapping[str, Any]) -> dict[str, Any]:
    """A line of the first form, ``items/1``, in the present one."""
    kept = {key: value for key, value in row.items() if key not in ("schema", "target")}
    target = {"kind": "posterior", "probs": row.get("target")}
    return {**kept, "schema_version": SCHEMA_VERSION, "target": target}


def write_items(path: str | os.PathLike[str], items: Iterable[Item]) -> None:
    """Writes `items.jsonl`, one item a line, atomically.

    Numbers keep 9 significant digits, so that reading and writing again changes no byte.

    Raises:
      UserError: the file cannot be written.
    """
    write_jsonl(path, (to_json(item) for item in items))


def _short(error: Exception) -> str:
    """An error's words without most of a value that is a whole page."""
    words = printable(error)
    return words if len(words) <= _WORDS else f"{words[: _WORDS - 120]} ... {words[-100:]}"


def read_items(path: str | os.PathLike[str]) -> Iterator[Item]:
    """Yields the items of an `items.jsonl`.

    Raises:
      ItemError: a line is no valid item, or a model has an item id twice; the message names file,
        line, item and field.
    """
    seen: dict[tuple[str, str], int] = {}
    for line, row in read_jsonl(path):
        try:
            item = from_json(row)
        except ItemError as error:
            raise ItemError(f"{path}, line {line}: {_short(error)}") from None
        except (TypeError, ValueError, ArithmeticError) as error:
            words = f"a field has the wrong type or size ({_short(error)})"
            raise ItemError(f"{path}, line {line}: {words}") from None
        first = seen.setdefault((item.model, item.item_id), line)
        if first != line:
            raise ItemError(
                f"{path}, line {line}: item {item.item_id!r} of model {item.model!r} occurs twice "
                f"(first on line {first})"
            )
        yield item
