"""Items: one answer distribution of one model beside what it should have been, and `items.jsonl`.

`Target` is everything that is known about an ask before a model answers it (label, truth, text); an
`Item` is a target with one model's log-probabilities. Every score is computed from items alone, so
whoever can write `items.jsonl` can use the scores, whatever made the answers.

Axes: K answers of the support.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ppt_jax.errors import UserError
from ppt_jax.storage import read_jsonl, write_jsonl

SCHEMA = "items/1"
KINDS = ("value", "rank", "chance", "choice")
PERCENT = tuple(str(k) for k in range(101))  # the support of value, rank and chance
_SUM_TOLERANCE = 1e-3
_DIGITS = 9  # significant digits on disk; float32 log-probabilities survive it unchanged


class ItemError(UserError):
    """An item that cannot be scored; the message names the item and the field."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Target:
    """One ask with its label: what an answer is compared with.

    Attributes:
      item_id: ``"<scenario id>/<ask id>"``, unique within a model.
      cluster_id: what is resampled together in intervals (the scenario id).
      split: name of the split, e.g. ``"seen_motifs"``.
      kind: ``value``, ``rank``, ``chance`` or ``choice``.
      support: the K answer strings; ``"0".."100"``, or the option names of a ``choice``.
      target_K: label, posterior probability of each answer, float64, sums to 1.
      prior_K: the same before the evidence, or None.
      label_error: estimated total-variation error of the label over 20 bins, or None.
      label_error_full: the same over all K answers, or None.
      information: KL(posterior || prior) over the answers in nats, or None.
      true_answer: index of the answer that the simulated truth gives, or None (no truth stored).
      true_rank: posterior CDF at the truth, mid-ranked, in [0, 1], or None.
      motif, family: where the scenario comes from.
      question, story: texts shown in the report (the story may be an excerpt).
      scale: what answers 0 and 100 mean, e.g. ``(0.0, 40.0)``, or None.
      unit: unit of the scale.
    """

    item_id: str
    cluster_id: str
    split: str
    kind: str
    support: tuple[str, ...]
    target_K: np.ndarray
    prior_K: np.ndarray | None = None
    label_error: float | None = None
    label_error_full: float | None = None
    information: float | None = None
    true_answer: int | None = None
    true_rank: float | None = None
    motif: str = ""
    family: str = ""
    question: str = ""
    story: str = ""
    scale: tuple[float, float] | None = None
    unit: str = ""

    def __post_init__(self) -> None:
        for field in ("item_id", "cluster_id", "split"):
            value = getattr(self, field)
            if not isinstance(value, str) or not value:
                raise ItemError(f"item {self.item_id!r}: {field} must be a text that is not empty")
        if self.kind not in KINDS:
            raise ItemError(
                f"item {self.item_id!r}: kind {self.kind!r} is none of {', '.join(KINDS)}"
            )
        support = tuple(str(name) for name in self.support)
        object.__setattr__(self, "support", support)
        if len(set(support)) != len(support) or len(support) < 2:
            raise ItemError(
                f"item {self.item_id!r}: support must hold at least two answers, all different"
            )
        if self.kind != "choice" and support != PERCENT:
            raise ItemError(
                f"item {self.item_id!r}: the support of kind {self.kind!r} must be the 101 answers "
                f"0..100, it has {len(support)} ({', '.join(support[:3])}, ...)"
            )
        object.__setattr__(self, "target_K", self._distribution("target", self.target_K))
        if self.prior_K is not None:
            object.__setattr__(self, "prior_K", self._distribution("prior", self.prior_K))
        if self.true_answer is not None and not 0 <= self.true_answer < len(support):
            raise ItemError(
                f"item {self.item_id!r}: true_answer {self.true_answer} is outside the "
                f"{len(support)} answers"
            )
        for field in ("label_error", "label_error_full", "information", "true_rank"):
            value = getattr(self, field)
            if value is not None and not math.isfinite(value):
                raise ItemError(f"item {self.item_id!r}: {field} is {value}, not a finite number")
        if self.true_rank is not None and not 0 <= self.true_rank <= 1:
            raise ItemError(f"item {self.item_id!r}: true_rank {self.true_rank} is outside [0, 1]")

    def _vector(self, field: str, given: Any) -> np.ndarray:
        try:
            vector = np.array(given, dtype=np.float64)
        except (TypeError, ValueError):
            raise ItemError(f"item {self.item_id!r}: {field} must be a list of numbers") from None
        if vector.shape != (len(self.support),):
            raise ItemError(
                f"item {self.item_id!r}: {field} has {vector.size} entries, the support has "
                f"{len(self.support)}"
            )
        if np.isnan(vector).any():
            k = int(np.flatnonzero(np.isnan(vector))[0])
            raise ItemError(
                f"item {self.item_id!r}: {field} is NaN at answer {self.support[k]!r} (entry {k})"
            )
        return vector

    def _distribution(self, field: str, given: Any) -> np.ndarray:
        vector = self._vector(field, given)
        if (vector < 0).any() or not np.isfinite(vector).all():
            k = int(np.flatnonzero((vector < 0) | ~np.isfinite(vector))[0])
            raise ItemError(
                f"item {self.item_id!r}: {field} is {vector[k]} at answer {self.support[k]!r} "
                f"(entry {k}); probabilities are in [0, 1]"
            )
        if abs(vector.sum() - 1) > _SUM_TOLERANCE:
            raise ItemError(
                f"item {self.item_id!r}: {field} sums to {vector.sum():.6g}, it must sum to 1"
            )
        if abs(vector.sum() - 1) > 1e-6:  # closer sums stay as read, so files are stable
            vector /= vector.sum()
        vector.flags.writeable = False
        return vector

    @property
    def positions_K(self) -> np.ndarray | None:
        """Place of each answer on the 0..100 scale; None where the options have no order.

        A choice between two options counts as 0 and 100, so its mean is the probability of the
        second option in percent. With more options no order is assumed.
        """
        if self.kind != "choice":
            return np.arange(101.0)
        return np.array([0.0, 100.0]) if len(self.support) == 2 else None

    def answered(self, model: str, logp_K: Sequence[float] | np.ndarray) -> Item:
        """The item of one model's answer (see `Item`)."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(Target)}
        return Item(**fields, model=model, logp_K=np.asarray(logp_K))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Item(Target):
    """A target with the answer distribution of one model.

    Attributes:
      model: name of the model, e.g. ``"after"``.
      logp_K: natural log-probability of each answer under the full vocabulary, *not* renormalised
        over the answers (stop mass included); ``-inf`` is allowed.
    """

    model: str
    logp_K: np.ndarray

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.model, str) or not self.model:
            raise ItemError(f"item {self.item_id!r}: model must be a text that is not empty")
        vector = self._vector("logp", self.logp_K)
        if (vector > _SUM_TOLERANCE).any():
            k = int(np.argmax(vector))
            raise ItemError(
                f"item {self.item_id!r}: logp is {vector[k]:.6g} at answer {self.support[k]!r}; "
                "log-probabilities are at most 0"
            )
        mass = float(np.exp(vector).sum())
        if mass > 1 + _SUM_TOLERANCE:
            raise ItemError(
                f"item {self.item_id!r}: the answers have total probability {mass:.6g}, more than 1"
            )
        if mass == 0:
            raise ItemError(f"item {self.item_id!r}: logp gives no answer any probability")
        vector.flags.writeable = False
        object.__setattr__(self, "logp_K", vector)

    @property
    def valid_mass(self) -> float:
        """Probability that the model gives any valid answer at all."""
        return min(1.0, float(np.exp(self.logp_K).sum()))

    @property
    def probs_K(self) -> np.ndarray:
        """Answer distribution given that the answer is valid: sums to 1."""
        p_K = np.exp(self.logp_K - self.logp_K.max())
        return p_K / p_K.sum()


def check_items(items: Iterable[Item]) -> None:
    """Refuses items that cannot be scored together.

    Raises:
      ItemError: an item id occurs twice for a model, or one item id has different supports,
        targets or splits for different models.
    """
    seen: set[tuple[str, str]] = set()
    first: dict[str, Item] = {}
    for item in items:
        key = (item.model, item.item_id)
        if key in seen:
            raise ItemError(f"item {item.item_id!r} of model {item.model!r} occurs twice")
        seen.add(key)
        other = first.setdefault(item.item_id, item)
        if other is item:
            continue
        for field in ("support", "split", "kind", "cluster_id", "true_answer"):
            if getattr(other, field) != getattr(item, field):
                raise ItemError(
                    f"item {item.item_id!r}: {field} differs between models {other.model!r} and "
                    f"{item.model!r}; they were not asked the same question"
                )
        if not np.allclose(other.target_K, item.target_K, atol=1e-6):
            raise ItemError(
                f"item {item.item_id!r}: target differs between models {other.model!r} and "
                f"{item.model!r}"
            )


def _numbers(vector: np.ndarray) -> list[float | None]:
    return [float(f"{x:.{_DIGITS}g}") if math.isfinite(x) else None for x in vector.tolist()]


def _to_row(item: Item) -> dict[str, Any]:
    row: dict[str, Any] = {"schema": SCHEMA, "model": item.model}
    for field in dataclasses.fields(Target):
        value = getattr(item, field.name)
        name = field.name.removesuffix("_K")
        if isinstance(value, np.ndarray):
            value = _numbers(value)
        elif name == "support":
            value = "0..100" if value == PERCENT else list(value)
        row[name] = value
    row["logp"] = _numbers(item.logp_K)  # null stands for minus infinity
    row["valid_mass"] = float(f"{item.valid_mass:.6g}")
    return row


def _from_row(row: Any) -> Item:
    if not isinstance(row, dict):
        raise ItemError("an item must be a JSON object")
    if row.get("schema") != SCHEMA:
        raise ItemError(f"schema is {row.get('schema')!r}, this version reads {SCHEMA!r}")
    names = {field.name.removesuffix("_K"): field.name for field in dataclasses.fields(Item)}
    fields: dict[str, Any] = {}
    for key, value in row.items():
        if key in ("schema", "valid_mass"):
            continue
        if key not in names:
            raise ItemError(f"item {row.get('item_id')!r}: unknown field {key!r}")
        fields[names[key]] = value
    required = [f.name for f in dataclasses.fields(Item) if f.default is dataclasses.MISSING]
    for name in required:
        if name not in fields:
            raise ItemError(
                f"item {row.get('item_id')!r}: field {name.removesuffix('_K')!r} is missing"
            )
    fields["support"] = PERCENT if fields["support"] == "0..100" else fields["support"]
    if not isinstance(fields["support"], list | tuple) or not isinstance(fields["logp_K"], list):
        raise ItemError(f"item {row.get('item_id')!r}: support and logp must be lists")
    fields["logp_K"] = [-math.inf if x is None else x for x in fields["logp_K"]]
    if fields.get("scale") is not None:
        fields["scale"] = tuple(fields["scale"])
    return Item(**fields)


def write_items(path: str | os.PathLike[str], items: Iterable[Item]) -> None:
    """Writes `items.jsonl` (schema ``items/1``), one item a line, atomically.

    Numbers keep 9 significant digits; a log-probability of minus infinity is ``null``; the derived
    ``valid_mass`` is written for readers and ignored when read.

    Raises:
      UserError: the file cannot be written.
    """
    write_jsonl(path, (_to_row(item) for item in items))


def read_items(path: str | os.PathLike[str]) -> Iterator[Item]:
    """Yields the items of an `items.jsonl`.

    Raises:
      ItemError: a line is no valid item, or a model has an item id twice; the message names file,
        line, item and field.
    """
    seen: set[tuple[str, str]] = set()
    for line, row in read_jsonl(path):
        try:
            item = _from_row(row)
        except ItemError as error:
            raise ItemError(f"{path}, line {line}: {error}") from None
        except TypeError as error:
            raise ItemError(f"{path}, line {line}: a field has the wrong type ({error})") from None
        if (item.model, item.item_id) in seen:
            raise ItemError(
                f"{path}, line {line}: item {item.item_id!r} of model {item.model!r} occurs twice"
            )
        seen.add((item.model, item.item_id))
        yield item
