"""Which givens are observed draws."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ppt_jax.scenario.expression import (
    Binary,
    Compare,
    Expr,
    Index,
    Label,
    Name,
    Number,
    Unary,
    walk,
)

if TYPE_CHECKING:
    from ppt_jax.scenario.document import ModelNode, Scenario

_CONSTANT = (Number, Label, Unary, Binary)


def observed_draw(
    scenario: Scenario, formula: Expr
) -> tuple[ModelNode, tuple[str, ...], Expr] | None:
    """Reads the formula of a `given` as an observed draw.

    Returns:
      The draw node, the labels of the element that was seen, and the formula of its value (a
      `Label`, or constant arithmetic); None where the formula is not ``draw == constant`` with
      one scalar of a draw node on the left.
    """
    if not isinstance(formula, Compare) or formula.op != "==":
        return None
    seen = formula.left
    if not isinstance(seen, Name | Index):
        return None
    node = next((n for n in scenario.model if n.name == seen.name and n.kind == "draw"), None)
    if node is None:
        return None
    indices = seen.indices if isinstance(seen, Index) else ()
    labels = tuple(index.text for index in indices if isinstance(index, Label))
    if len(labels) != len(indices) or len(labels) != len(node.per):
        return None
    if not all(isinstance(part, _CONSTANT) for part in walk(formula.right)):
        return None
    return node, labels, formula.right
