"""Exact sums over discrete variables: variable elimination on a factor graph, float64.

A factor is a table over a few variables. Summing the product of all factors over all variables but
the kept ones is done one variable at a time: the factors that mention it are multiplied, it is
summed out, and the result is a new factor. Tables hold natural logarithms, so that no product
underflows; ``-inf`` is impossible.

The cost is set by the order. Two greedy orders are tried (least new edges, smallest table), then,
where the tables are still too large, a number of perturbed ones.

Source: Koller and Friedman (2009), Probabilistic Graphical Models, chapter 9 (algorithms 9.1, 9.4).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ppt_jax.errors import UserError

Array = NDArray[np.float64]

MAX_TABLE = 1 << 23  # entries of one table, 64 MB
MAX_COST = 1 << 27  # entries of all tables of one elimination
RESTARTS = 24  # perturbed orders tried where the greedy ones are too wide


class TooWideError(UserError):
    """No elimination order was found whose tables stay below the limit."""


@dataclasses.dataclass(frozen=True, eq=False)
class Factor:
    """A function of a few variables.

    Attributes:
      scope: numbers of the variables, ascending.
      log_table: one axis a variable of the scope, natural logarithms.
    """

    scope: tuple[int, ...]
    log_table: Array


@dataclasses.dataclass(frozen=True)
class Plan:
    """An elimination order with what it costs.

    Attributes:
      order: variables in the order in which they are summed out.
      widest: entries of the greatest table.
      cost: entries of all tables together.
    """

    order: tuple[int, ...]
    widest: int
    cost: int


def _bits(mask: int) -> list[int]:
    found = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return found


def _greedy(
    log_sizes: Sequence[float],
    neighbours: Sequence[int],
    free: set[int],
    fill: bool,
    rng: np.random.Generator | None,
    log_bound: float,
) -> tuple[list[int], list[float]] | None:
    """One greedy order and the log size of each table; None once one is above the bound."""
    near = list(neighbours)
    shake = {v: 1.0 if rng is None else float(rng.uniform(0.7, 1.3)) for v in free}

    def score(v: int) -> tuple[float, float]:
        around = near[v]
        weight = log_sizes[v] + sum(log_sizes[n] for n in _bits(around))
        if not fill:
            return weight * shake[v], 0.0
        missing = sum((around & ~near[n] & ~(1 << n)).bit_count() for n in _bits(around))
        return missing * shake[v], weight

    scores = {v: score(v) for v in free}
    order: list[int] = []
    tables: list[float] = []
    while scores:
        v = min(scores, key=lambda one: (scores[one], one))
        del scores[v]
        around = near[v]
        order.append(v)
        members = _bits(around)
        tables.append(log_sizes[v] + sum(log_sizes[n] for n in members))
        if tables[-1] > log_bound:
            return None
        changed = around
        for n in members:
            added = around & ~near[n] & ~(1 << n)
            near[n] = (near[n] | around) & ~(1 << n) & ~(1 << v)
            if fill and added:
                changed |= near[n]  # pairs among their neighbours may have closed
        for n in _bits(changed):
            if n in scores:
                scores[n] = score(n)
    return order, tables


def plan_order(
    sizes: Sequence[int],
    scopes: Sequence[Sequence[int]],
    keep: Sequence[int] = (),
    *,
    max_table: int = MAX_TABLE,
    max_cost: int = MAX_COST,
) -> Plan:
    """An order in which to sum out all variables of the scopes but the kept ones.

    Args:
      sizes: number of states of each variable.
      scopes: variables of each factor.
      keep: variables that stay.
      max_table, max_cost: greatest table and sum of all tables, in entries.

    Raises:
      TooWideError: no order that was tried stays within the limits.

    Example:
      >>> plan_order([2, 2, 2], [(0, 1), (1, 2)], keep=[2]).order
      (0, 1)
    """
    neighbours = [0] * len(sizes)
    used: set[int] = set()
    for scope in scopes:
        mask = sum(1 << v for v in set(scope))
        used.update(scope)
        for v in scope:
            neighbours[v] |= mask & ~(1 << v)
    free = used - set(keep)
    kept = math.prod(sizes[v] for v in set(keep))
    if kept > max_table:
        raise TooWideError(
            f"the table of the asked variables has {kept} entries; at most {max_table}"
        )
    log_sizes = [math.log(size) for size in sizes]
    bound = math.log(max_table) + 1e-9
    best: tuple[float, list[int], list[float]] | None = None
    tries: list[tuple[bool, int | None]] = [(True, None), (False, None)]
    tries += [(bool(seed % 2), seed) for seed in range(RESTARTS)]
    for fill, seed in tries:
        if best is not None and (seed is not None or best[0] < 4096):
            break
        rng = None if seed is None else np.random.default_rng(seed)
        found = _greedy(log_sizes, neighbours, free, fill, rng, bound)
        if found is None:
            continue
        cost = math.fsum(math.exp(table) for table in found[1])
        if cost <= max_cost and (best is None or cost < best[0]):
            best = cost, *found
    if best is None:
        raise TooWideError(
            f"{len(free)} variables cannot be summed out with tables of at most {max_table} "
            f"entries ({max_cost} together)"
        )
    widest = round(math.exp(max(best[2], default=0.0)))
    return Plan(tuple(best[1]), max(widest, kept), round(best[0]) + kept)


def _product(factors: Sequence[Factor]) -> Factor:
    """The product of factors, smallest first."""
    scope = tuple(sorted(set().union(*(factor.scope for factor in factors))))
    total: Array = np.zeros((1,) * len(scope))
    for factor in sorted(factors, key=lambda one: one.log_table.size):
        sizes = dict(zip(factor.scope, factor.log_table.shape))
        total = total + factor.log_table.reshape([sizes.get(v, 1) for v in scope])
    return Factor(scope, total)


def _log_sum(log_table: Array, axis: int) -> Array:
    """``log sum exp`` along one axis, ``-inf`` where all is impossible."""
    top = log_table.max(axis=axis, keepdims=True)
    safe = np.where(top > -np.inf, top, 0.0)
    with np.errstate(divide="ignore"):
        total = np.log(np.exp(log_table - safe).sum(axis=axis))
    return np.asarray(total + safe.squeeze(axis), np.float64)


def eliminate(
    sizes: Sequence[int],
    factors: Sequence[Factor],
    keep: Sequence[int] = (),
    plan: Plan | None = None,
) -> Array:
    """The log of the product of all factors, summed over all variables but the kept ones.

    ``out[keep] = log sum_{others} prod_f f``.

    Args:
      sizes: number of states of each variable.
      factors: tables; together they need not mention every variable.
      keep: variables of the result, in the order of its axes.
      plan: an order from `plan_order`, where one is at hand.

    Returns:
      [sizes of keep] float64, unnormalised.

    Raises:
      TooWideError: from `plan_order`.

    Example:
      >>> half = Factor((0,), np.log([0.5, 0.5]))
      >>> wet = Factor((0, 1), np.log([[0.9, 0.1], [0.2, 0.8]]))
      >>> np.exp(eliminate([2, 2], [half, wet], keep=[1])).round(3)
      array([0.55, 0.45])
    """
    scopes = [factor.scope for factor in factors]
    if plan is None:
        plan = plan_order(sizes, scopes, keep)
    alive: dict[int, Factor] = dict(enumerate(factors))
    uses: dict[int, set[int]] = {}
    for number, scope in enumerate(scopes):
        for v in scope:
            uses.setdefault(v, set()).add(number)
    for v in plan.order:
        numbers = sorted(uses.pop(v))
        product = _product([alive.pop(number) for number in numbers])
        axis = product.scope.index(v)
        left = tuple(other for other in product.scope if other != v)
        new = len(scopes)
        scopes.append(left)
        alive[new] = Factor(left, _log_sum(product.log_table, axis))
        for other in left:
            uses[other].difference_update(numbers)
            uses[other].add(new)
    ordered = tuple(sorted(set(keep)))
    zero = Factor(ordered, np.zeros([sizes[v] for v in ordered]))
    total = _product([zero, *alive.values()])
    return np.transpose(total.log_table, [total.scope.index(v) for v in keep])
