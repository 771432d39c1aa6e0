"""Checks of arrays before they are scored: named errors that say which item is wrong.

The scores themselves are pure `jnp` and cannot raise, so whoever has arrays rather than items
(which check themselves) calls these first. Everything runs on the host.

Axes: N items, K answers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ppt_jax.errors import UserError

TOLERANCE = 1e-3  # of sums of probabilities


class ScoreError(UserError):
    """Arrays that cannot be scored; the message names the item and the entry."""


class NotANumberError(ScoreError):
    """A value is NaN or infinite."""


class NegativeProbabilityError(ScoreError):
    """A probability is below 0."""


class ProbabilitySumError(ScoreError):
    """Probabilities of an item do not sum to 1."""


class RangeError(ScoreError):
    """A value lies outside its range."""


class SupportError(ScoreError):
    """Two distributions are over different answers."""


class DuplicateItemError(ScoreError):
    """An item id occurs twice."""


class MissingItemError(ScoreError):
    """An item that one side has is missing on the other."""


def _name(n: int, item_ids: Sequence[str] | None) -> str:
    return f"item {item_ids[n]!r}" if item_ids is not None else f"item {n}"


def _matrix(values: object, what: str, ndim: int) -> np.ndarray:
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ScoreError(f"{what} must be an array of numbers") from None
    if array.ndim != ndim:
        raise ScoreError(f"{what} has {array.ndim} axes, it must have {ndim}")
    return array


def check_distributions(
    p_NK: object,
    item_ids: Sequence[str] | None = None,
    *,
    what: str = "probs",
    tolerance: float = TOLERANCE,
) -> np.ndarray:
    """Returns distributions as float64 [N, K], or says which item is none.

    Args:
      p_NK: probabilities.
      item_ids: names for messages.
      what: name of the field for messages.
      tolerance: how far a sum may be from 1.

    Raises:
      NotANumberError, NegativeProbabilityError, ProbabilitySumError: with item, entry and value.
      ScoreError: not a table of numbers, or as many ids as rows are missing.
    """
    p = _matrix(p_NK, what, 2)
    if item_ids is not None and len(item_ids) != len(p):
        raise ScoreError(f"{what} has {len(p)} rows for {len(item_ids)} items")
    for wrong, error, rule in (
        (~np.isfinite(p), NotANumberError, "every probability must be a finite number"),
        (p < 0, NegativeProbabilityError, "probabilities are at least 0"),
    ):
        if wrong.any():
            n, k = (int(x) for x in np.argwhere(wrong)[0])
            raise error(f"{_name(n, item_ids)}: {what} is {p[n, k]} at entry {k}; {rule}")
    total = p.sum(axis=1)
    if (np.abs(total - 1) > tolerance).any():
        n = int(np.flatnonzero(np.abs(total - 1) > tolerance)[0])
        raise ProbabilitySumError(
            f"{_name(n, item_ids)}: {what} sums to {total[n]:.6g}, it must sum to 1"
        )
    return p


def check_unit_interval(
    values_N: object, item_ids: Sequence[str] | None = None, *, what: str = "confidence"
) -> np.ndarray:
    """Returns confidences or (soft) outcomes as float64 [N] in [0, 1], or names the item.

    Raises:
      NotANumberError, RangeError: with item and value.
      ScoreError: not a column of numbers, or of another length than the ids.
    """
    values = _matrix(values_N, what, 1)
    if item_ids is not None and len(item_ids) != len(values):
        raise ScoreError(f"{what} has {len(values)} values for {len(item_ids)} items")
    for wrong, error in (
        (~np.isfinite(values), NotANumberError),
        ((values < 0) | (values > 1), RangeError),
    ):
        if wrong.any():
            n = int(np.flatnonzero(wrong)[0])
            raise error(f"{_name(n, item_ids)}: {what} is {values[n]}, it must lie in [0, 1]")
    return values


def check_weights(weight_N: object, item_ids: Sequence[str] | None = None) -> np.ndarray:
    """Returns item weights as float64 [N], finite and not negative.

    Raises:
      NotANumberError, RangeError: with item and value.
    """
    weight = _matrix(weight_N, "weight", 1)
    for wrong, error in ((~np.isfinite(weight), NotANumberError), (weight < 0, RangeError)):
        if wrong.any():
            n = int(np.flatnonzero(wrong)[0])
            raise error(f"{_name(n, item_ids)}: weight is {weight[n]}, it must be at least 0")
    return weight


def check_same_support(
    support_a: Sequence[object],
    support_b: Sequence[object],
    item_id: str,
    *,
    names: tuple[str, str] = ("probs", "target"),
) -> None:
    """Refuses two distributions over different answers (or the same in another order).

    Raises:
      SupportError: names the item, the first place that differs and both answers there.
    """
    a, b = list(support_a), list(support_b)
    if a == b:
        return
    if len(a) != len(b):
        raise SupportError(
            f"item {item_id!r}: {names[0]} is over {len(a)} answers, {names[1]} over {len(b)}"
        )
    k = next(k for k in range(len(a)) if a[k] != b[k])
    raise SupportError(
        f"item {item_id!r}: answer {k} is {a[k]!r} in {names[0]} and {b[k]!r} in {names[1]}; the "
        "supports must be equal and in the same order"
    )


def check_same_items(
    ids_a: Sequence[str], ids_b: Sequence[str], *, names: tuple[str, str] = ("a", "b")
) -> None:
    """Refuses two sets of answers that are not about the same items, or that repeat one.

    Raises:
      DuplicateItemError: an id occurs twice on one side.
      MissingItemError: an id that one side has and the other has not.
    """
    for ids, name in ((ids_a, names[0]), (ids_b, names[1])):
        seen: set[str] = set()
        for item_id in ids:
            if item_id in seen:
                raise DuplicateItemError(f"item {item_id!r} occurs twice in {name}")
            seen.add(item_id)
    for one, other, name in ((ids_a, ids_b, names[1]), (ids_b, ids_a, names[0])):
        missing = sorted(set(one) - set(other))
        if missing:
            raise MissingItemError(
                f"item {missing[0]!r} is missing in {name} ({len(missing)} items are)"
            )
