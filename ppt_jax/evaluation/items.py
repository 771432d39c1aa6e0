"""Items: one answer distribution of one model beside what it should have been.

`Target` is everything that is known about an ask before a model answers it (label, truth, text); an
`Item` is a target with one model's log-probabilities. Every score is computed from items alone, so
whoever can write `items.jsonl` (`ppt_jax.evaluation.item_files`) can use the scores, whatever made
the answers.

Axes: K answers of the support.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ppt_jax.errors import UserError

SCHEMA_VERSION = 2
KINDS = ("value", "rank", "chance", "choice")
TARGET_KINDS = ("posterior", "outcome", "human")
PERCENT = tuple(str(k) for k in range(101))  # the usual support of value, rank and chance
_SUM_TOLERANCE = 1e-3
_NO_MASS = 1e-300  # total probability that stands for none, so that arithmetic stays finite


class ItemError(UserError):
    """An item that cannot be scored; the message names the item and the field."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Target:
    """One ask with what its answer is compared with: a posterior, an outcome, or people's answers.

    Attributes:
      item_id: unique within a model, e.g. ``"<scenario id>/<ask id>"``.
      cluster_id: what is resampled together in intervals (the scenario, the base variable).
      split: name of the split, e.g. ``"seen_motifs"``.
      kind: ``value``, ``rank``, ``chance`` (numbers) or ``choice`` (named options).
      support: the K answer strings: numbers in increasing order (``"0".."100"``, or another grid),
        or the option names of a ``choice``.
      target_K: posterior or human distribution over the answers, float64, sums to 1; one-hot at
        ``true_answer`` for an outcome (may be left out there).
      target_kind: ``posterior``, ``outcome`` (only what happened is known) or ``human``.
      target_value: mean of the target in the units of the support, where it is known without or
        better than from ``target_K`` (a human mean), or None.
      n_draws: draws or people behind ``target_K``, None when exact or unknown.
      prior_K: the distribution before the evidence, or None.
      label_error: estimated total-variation error of the label over 20 bins, or None.
      label_error_full: the same over all K answers, or None.
      information: KL(posterior || prior) over the answers in nats, or None.
      true_answer: index of the answer that the (simulated) truth gives, or None.
      true_rank: posterior CDF at the truth, mid-ranked, in [0, 1], or None.
      task: benchmark that the ask belongs to.
      motif, family: where the scenario comes from.
      question, story: texts shown in the report (the story may be an excerpt).
      scale: what answers 0 and 100 mean, e.g. ``(0.0, 40.0)``, or None.
      unit: unit of the scale.
      has_label: derived; whether ``target_K`` is a distribution that was given, not one put in
        the place of an outcome or of a bare ``target_value``.
    """

    item_id: str
    cluster_id: str
    split: str
    kind: str
    support: tuple[str, ...]
    target_K: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))
    target_kind: str = "posterior"
    target_value: float | None = None
    n_draws: int | None = None
    prior_K: np.ndarray | None = None
    label_error: float | None = None
    label_error_full: float | None = None
    information: float | None = None
    true_answer: int | None = None
    true_rank: float | None = None
    task: str = "scenarios"
    motif: str = ""
    family: str = ""
    question: str = ""
    story: str = ""
    scale: tuple[float, float] | None = None
    unit: str = ""
    has_label: bool = dataclasses.field(init=False, default=True)

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
        if self.kind != "choice" and support != PERCENT and _numbers_of(support) is None:
            raise ItemError(
                f"item {self.item_id!r}: the support of kind {self.kind!r} must be numbers in "
                f"increasing order, such as 0..100; it is {', '.join(support[:3])}, ..."
            )
        if self.target_kind not in TARGET_KINDS:
            raise ItemError(
                f"item {self.item_id!r}: target kind {self.target_kind!r} is none of "
                f"{', '.join(TARGET_KINDS)}"
            )
        self._set_target()
        if self.prior_K is not None:
            object.__setattr__(self, "prior_K", self._distribution("prior", self.prior_K))
        for field in (
            "label_error",
            "label_error_full",
            "information",
            "true_rank",
            "target_value",
        ):
            value = getattr(self, field)
            if value is not None and not math.isfinite(value):
                raise ItemError(f"item {self.item_id!r}: {field} is {value}, not a finite number")
        if self.true_rank is not None and not 0 <= self.true_rank <= 1:
            raise ItemError(f"item {self.item_id!r}: true_rank {self.true_rank} is outside [0, 1]")

    def _set_target(self) -> None:
        """Fills in what the target leaves open: the outcome's answer, and a distribution."""
        answer, size = self.true_answer, len(self.support)
        given = np.size(self.target_K) > 0
        if answer is not None and not 0 <= answer < size:
            raise ItemError(
                f"item {self.item_id!r}: true_answer {answer} is outside the {size} answers"
            )
        nearest = None
        if self.target_value is not None and self.kind != "choice":
            numbers = _numbers_of(self.support)
            assert numbers is not None
            nearest = int(np.argmin(np.abs(numbers - self.target_value)))
        if self.target_kind == "outcome" and answer is None:
            if given:
                answer = int(np.argmax(self._distribution("target", self.target_K)))
            elif nearest is not None:
                answer = nearest
            else:
                raise ItemError(
                    f"item {self.item_id!r}: an outcome needs the answer that came true: a value "
                    f"among {', '.join(self.support[:4])}"
                )
            object.__setattr__(self, "true_answer", answer)
        label = given and self.target_kind != "outcome"
        if not label:
            place = answer if self.target_kind == "outcome" else nearest
            if place is None:
                raise ItemError(
                    f"item {self.item_id!r}: target has neither probs nor a value to compare with"
                )
            one_hot_K = np.zeros(size)
            one_hot_K[place] = 1.0
            object.__setattr__(self, "target_K", one_hot_K)
        object.__setattr__(self, "has_label", label)
        object.__setattr__(self, "target_K", self._distribution("target", self.target_K))

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

        Other grids of numbers are stretched to 0..100. A choice between two options counts as 0
        and 100, so its mean is the probability of the second option in percent. With more options
        no order is assumed.
        """
        if self.kind != "choice":
            if self.support == PERCENT:
                return np.arange(101.0)
            numbers = _numbers_of(self.support)
            assert numbers is not None
            return 100 * (numbers - numbers[0]) / (numbers[-1] - numbers[0])
        return np.array([0.0, 100.0]) if len(self.support) == 2 else None

    @property
    def mean_position(self) -> float | None:
        """Mean of the target on the 0..100 scale; None without order, or for an outcome alone."""
        positions_K = self.positions_K
        if positions_K is None or self.target_kind == "outcome":
            return None
        if self.target_value is None or self.kind == "choice":
            return float(positions_K @ self.target_K) if self.has_label else None
        numbers = _numbers_of(self.support)
        assert numbers is not None
        return float(100 * (self.target_value - numbers[0]) / (numbers[-1] - numbers[0]))

    def answered(
        self, model: str, logp_K: Sequence[float] | np.ndarray | None, **extra: Any
    ) -> Item:
        """The item of one model's answer (see `Item`); ``extra`` are further fields of it."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(Target) if f.init}
        if not self.has_label:  # a stand-in is made again, not taken for a label
            del fields["target_K"]
        return Item(**fields, model=model, logp_K=logp_K, **extra)  # type: ignore[arg-type]


def _numbers_of(support: Sequence[str]) -> np.ndarray | None:
    """The answers as increasing numbers, or None where they are no such list."""
    try:
        numbers = np.array([float(name) for name in support])
    except ValueError:
        return None
    return numbers if np.isfinite(numbers).all() and (np.diff(numbers) > 0).all() else None


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Item(Target):
    """A target with the answer distribution of one model.

    Attributes:
      model: name of the model, e.g. ``"after"``.
      logp_K: natural log-probability of each answer under the full vocabulary, *not* renormalised
        over the answers (stop mass included); ``-inf`` is allowed. None for an answer that could
        not be parsed: it stays an item, with equal probabilities and no valid mass.
      run_id: the run that gave the answer.
      seed: of sampling, or of the run.
      readout: how the answer was read.
      greedy_text: what the model writes by itself.
      parsed: the answer found in that text.
      parse_ok: False when no answer could be read.
    """

    model: str
    logp_K: np.ndarray
    run_id: str = ""
    seed: int | None = None
    readout: str = "trie"
    greedy_text: str | None = None
    parsed: str | None = None
    parse_ok: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.model, str) or not self.model:
            raise ItemError(f"item {self.item_id!r}: model must be a text that is not empty")
        if not isinstance(self.parse_ok, bool):
            raise ItemError(f"item {self.item_id!r}: parse_ok must be true or false")
        if self.logp_K is None:
            if self.parse_ok:
                raise ItemError(
                    f"item {self.item_id!r}: probs or logp is missing; only an answer with "
                    "parse_ok false may lack it"
                )
            size = len(self.support)
            object.__setattr__(self, "logp_K", np.full(size, np.log(_NO_MASS / size)))
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
        mass = float(np.exp(self.logp_K).sum())
        return min(1.0, mass) if mass > 2 * _NO_MASS else 0.0

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
