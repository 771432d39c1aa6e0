"""Numbers of formulas, and sets of numbers that know rounding."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator

from ppt_jax.scenario.document import Scenario
from ppt_jax.scenario.expression import (
    Binary,
    Expr,
    Index,
    Name,
    Number,
    Prev,
    Unary,
    children,
    walk,
)

STRUCTURE = (0.0, 1.0, 2.0)  # complements and squares need not be told


def constants(expr: Expr) -> Iterator[float]:
    """Numbers of a formula; a ratio of two whole numbers and a sign count as part of the number.

    Example:
      >>> from ppt_jax.scenario.expression import parse_expression
      >>> list(constants(parse_expression("normal(mean=-3, sd=1/4 * x)", kind="draw")))
      [-3.0, 0.25]
    """
    if isinstance(expr, Number):
        yield expr.value
    elif isinstance(expr, Binary) and expr.op == "/" and _whole(expr.left) and _whole(expr.right):
        yield _whole(expr.left) / _whole(expr.right)
    elif isinstance(expr, Unary) and isinstance(expr.operand, Number):
        yield -expr.operand.value
    else:
        for child in children(expr):
            yield from constants(child)


def used_nodes(scenario: Scenario) -> set[str]:
    """Names of the nodes on which some observation or question depends."""
    above = {node.name: names_in(node.formula) - {node.name} for node in scenario.model}
    roots = [given.formula for given in scenario.given] + [ask.formula for ask in scenario.ask]
    waiting = [name for root in roots for name in names_in(root)]
    used = set[str]()
    while waiting:
        name = waiting.pop()
        if name in above and name not in used:
            used.add(name)
            waiting += above[name]
    return used


def names_in(expr: Expr) -> set[str]:
    """Names of nodes (and index variables) in a formula."""
    return {part.name for part in walk(expr) if isinstance(part, Name | Index | Prev)}


def _whole(expr: Expr) -> float:
    """The value of a positive whole number, else 0."""
    whole = isinstance(expr, Number) and expr.value > 0 and expr.value == int(expr.value)
    return expr.value if whole and isinstance(expr, Number) else 0.0


class Values:
    """A set of numbers; one is in it when it equals another but for rounding.

    Example:
      >>> 0.1 + 0.2 in Values([0.3])
      True
    """

    def __init__(self, values: Iterable[float]) -> None:
        self._sorted = sorted({value for value in values if value == value})

    def __contains__(self, value: float) -> bool:
        place = bisect.bisect_left(self._sorted, value)
        near = self._sorted[max(place - 1, 0) : place + 1]
        return any(abs(value - other) <= 1e-9 * max(1.0, abs(value)) for other in near)

    def __iter__(self) -> Iterator[float]:
        return iter(self._sorted)
