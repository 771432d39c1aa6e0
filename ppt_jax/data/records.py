"""Labelled records: a scenario's story, its asks and their posterior labels, schema ``labelled/1``.

The labelling job writes one JSON object a line, ``{"scenario": {...}, "labels": [...]}``; this
module turns such a row into a `ScenarioRecord`, checking everything that training relies on.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ppt_jax.data.supports import KINDS, support_of
from ppt_jax.errors import UserError

SCHEMA = "labelled/1"
SPLITS = (
    "train",
    "validation",
    "seen_motifs",
    "held_out_motifs",
    "held_out_family",
    "held_out_skins",
    "held_out_structures",
)


class RecordError(UserError):
    """A labelled row that does not hold what schema ``labelled/1`` asks for."""


@dataclasses.dataclass(frozen=True, eq=False)
class AskRecord:
    """One ask with its label.

    Attributes:
      id: name of the ask within its scenario.
      kind: ``value``, ``rank``, ``chance`` or ``choice``.
      text: the question.
      unit: unit of a ``value``.
      low: quantity that answer 0 means (``value``).
      high: quantity that answer 100 means (``value``).
      options: names of the options (``choice``), else empty.
      target_K: posterior probability of each answer, float32, sums to 1.
      prior_K: prior probability of each answer, float32, sums to 1.
      true_answer: answer index of the stored truth, -1 when unknown.
      true_rank: posterior CDF at the truth (mid-ranked, 0..1), NaN when unknown.
      route: how the label was computed.
      ess: effective sample size; infinite for exact routes (``null`` in the row).
      error: estimated total-variation error of the label over 20 bins.
      information: KL(posterior || prior) over the answers, nats.
    """

    id: str
    kind: str
    text: str
    unit: str
    low: float
    high: float
    options: tuple[str, ...]
    target_K: np.ndarray
    prior_K: np.ndarray
    true_answer: int
    true_rank: float
    route: str
    ess: float
    error: float
    information: float


@dataclasses.dataclass(frozen=True, eq=False)
class ScenarioRecord:
    """One scenario with its labelled asks; ``document`` is the whole scenario as JSON text."""

    id: str
    motif: str
    family: str
    skin: str
    genre: str
    story: str
    document: str
    asks: tuple[AskRecord, ...]


def _float(value: Any, where: str, default: float = math.nan) -> float:
    """A number from JSON; ``null`` and infinities become the default."""
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise RecordError(f"{where}: must be a number, is {_shown(value)}")
    try:
        return float(value) if math.isfinite(value) else default
    except OverflowError:
        raise RecordError(f"{where}: the number is too large") from None


def _shown(value: Any) -> str:
    """A wrong value as a message shows it: whatever it is, in one short piece."""
    if isinstance(value, int) and abs(value) > 10**40:
        return "a number of more than 40 digits"  # Python writes out at most 4,300
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _distribution(value: Any, size: int, where: str) -> np.ndarray:
    """Checks a list of probabilities [K] and normalises it to float32."""
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != size:
        count = len(value) if isinstance(value, Sequence) else type(value).__name__
        raise RecordError(f"{where}: must be {size} probabilities, has {count}")
    try:
        probs_K = np.asarray(value, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise RecordError(f"{where}: must hold numbers ({error})") from error
    if not np.all(np.isfinite(probs_K)) or np.any(probs_K < 0):
        raise RecordError(f"{where}: probabilities must be finite and not negative")
    if not math.isclose(float(probs_K.sum()), 1.0, abs_tol=1e-3):
        raise RecordError(f"{where}: probabilities sum to {probs_K.sum():.6g}, not to 1")
    return (probs_K / probs_K.sum()).astype(np.float32)


def _text(data: Mapping[str, Any], field: str, where: str, required: bool = True) -> str:
    """A text field; absent optional fields are empty."""
    value = data.get(field)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or (required and not value):
        raise RecordError(f"{where}, field {field!r}: must be a text, is {_shown(value)}")
    return value


def _ask(ask: Mapping[str, Any], label: Mapping[str, Any], where: str) -> AskRecord:
    """One ask of a row with its label."""
    kind = _text(ask, "kind", where)
    if kind not in KINDS:
        raise RecordError(f"{where}, field 'kind': {_shown(kind)} is none of {', '.join(KINDS)}")
    options: tuple[str, ...] = ()
    if kind == "choice":
        named = ask.get("options")
        if not isinstance(named, Sequence) or isinstance(named, str) or not named:
            raise RecordError(f"{where}, field 'options': a choice must list its options")
        if not all(isinstance(option, str) for option in named):
            raise RecordError(f"{where}, field 'options': every option is a text")
        options = tuple(named)
    size = len(support_of(kind, options))
    truth = label.get("true_answer")
    if truth is not None and (not isinstance(truth, int) or not -1 <= truth < size):
        raise RecordError(f"{where}, field 'true_answer': {_shown(truth)} is no answer of {size}")
    return AskRecord(
        id=_text(ask, "id", where),
        kind=kind,
        text=_text(ask, "text", where),
        unit=_text(ask, "unit", where, required=False),
        low=_float(ask.get("low"), f"{where}, field 'low'", 0.0),
        high=_float(ask.get("high"), f"{where}, field 'high'", 1.0),
        options=options,
        target_K=_distribution(label.get("probs"), size, f"{where}, field 'probs'"),
        prior_K=_distribution(label.get("prior_probs"), size, f"{where}, field 'prior_probs'"),
        true_answer=-1 if truth is None else truth,
        true_rank=_float(label.get("true_rank"), f"{where}, field 'true_rank'"),
        route=_text(label, "route", where, required=False),
        ess=_float(label.get("ess"), f"{where}, field 'ess'", math.inf),
        error=_float(label.get("error"), f"{where}, field 'error'"),
        information=_float(label.get("information"), f"{where}, field 'information'"),
    )


def record_from_row(row: Any, *, where: str) -> ScenarioRecord:
    """Checks one labelled row and gives it its types.

    Args:
      row: the object of one line, ``{"scenario": {...}, "labels": [...]}``.
      where: file and line, for messages.

    Raises:
      RecordError: a missing or wrong field; the message names file, line, ask and field.
    """
    if not isinstance(row, Mapping):
        raise RecordError(f"{where}: must be a JSON object")
    scenario, labels = row.get("scenario"), row.get("labels")
    if not isinstance(scenario, Mapping):
        raise RecordError(f"{where}, field 'scenario': must be an object")
    asks = scenario.get("ask")
    if not isinstance(asks, Sequence) or isinstance(asks, str) or not asks:
        raise RecordError(f"{where}, field 'scenario.ask': must be a list of asks")
    if not isinstance(labels, Sequence) or isinstance(labels, str):
        raise RecordError(f"{where}, field 'labels': must be a list, one label an ask")
    by_id = {str(label.get("ask_id")): label for label in labels if isinstance(label, Mapping)}
    records = []
    for at, ask in enumerate(asks):
        if not isinstance(ask, Mapping):
            raise RecordError(f"{where}, ask {at}: must be an object")
        place = f"{where}, ask {_shown(ask.get('id'))}"
        label = by_id.pop(str(ask.get("id")), None)
        if label is None:
            raise RecordError(f"{place}: has no label")
        records.append(_ask(ask, label, place))
    if by_id:
        raise RecordError(f"{where}: labels for unknown asks {_shown(sorted(by_id))}")
    try:
        document = json.dumps(scenario, ensure_ascii=False, allow_nan=False)
        document.encode()  # no half of a surrogate pair, which no file holds
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{where}, field 'scenario': cannot be stored ({error})") from None
    return ScenarioRecord(
        id=_text(scenario, "id", where),
        motif=_text(scenario, "motif", where),
        family=_text(scenario, "family", where, required=False),
        skin=_text(scenario, "skin", where, required=False),
        genre=_text(scenario, "genre", where, required=False),
        story=_text(scenario, "story", where),
        document=document,
        asks=tuple(records),
    )
