"""Structure signatures: which scenarios are the same program with other numbers.

The signature is a hash of the document's program in which every number, and every observed label,
is a typed hole, and names and labels are replaced by their places. Scenarios of one signature share
one compiled NumPyro run; their constants are an argument of it.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from ppt_jax.scenario import expression as ex
from ppt_jax.scenario.document import Scenario, observed_draw


@dataclasses.dataclass(frozen=True)
class Structure:
    """A document split into its structure and its constants.

    Attributes:
      signature: 16 hex digits, equal for documents that differ in numbers and names only.
      slots: ``(formula, character)`` of each hole -> its place in the vector of constants.
        Formulas count through the model nodes, then the givens, then the asks.
      constants: [C] float64, the holes' values in this document.
    """

    signature: str
    slots: Mapping[tuple[int, int], int]
    constants: NDArray[np.float64]


def formulas(scenario: Scenario) -> Iterator[ex.Expr]:
    """All formulas of a document in the order that `Structure.slots` counts them."""
    for node in scenario.model:
        yield node.formula
    for given in scenario.given:
        yield given.formula
    for ask in scenario.ask:
        yield ask.formula


class _Canonical:
    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.names = {node.name: f"n{i}" for i, node in enumerate(scenario.model)}
        self.names |= {named.name: f"s{i}" for i, named in enumerate(scenario.sets)}
        self.per = {node.name: node.per for node in scenario.model}
        self.members = {named.name: named.members for named in scenario.sets}
        self.slots: dict[tuple[int, int], int] = {}
        self.constants: list[float] = []

    def hole(self, formula: int, at: int, value: float) -> str:
        self.slots[formula, at] = len(self.constants)
        self.constants.append(value)
        return "#"

    def position(self, label: str, beside: ex.Expr | None) -> str:
        """A label compared with a member of a set, as its place there."""
        name = getattr(beside, "name", "")
        over = name
        if name in self.per:
            formula = self.scenario.node(name).formula
            over = getattr(formula, "set", None) or ""
        if over in self.members:
            return f"@{self.members[over].index(label)}"
        return f"@{label}"

    def text(self, e: ex.Expr, formula: int, beside: ex.Expr | None = None) -> str:
        def of(part: ex.Expr) -> str:
            return self.text(part, formula)

        match e:
            case ex.Number():
                return self.hole(formula, e.at, e.value)
            case ex.Unary(op="-", operand=ex.Number(value=value)):  # the sign is no structure
                return self.hole(formula, e.at, -value)
            case ex.Name():
                return self.names[e.name]
            case ex.Label():
                return self.position(e.text, beside)
            case ex.Index():
                parts = []
                for index, over in zip(e.indices, self.per[e.name]):
                    if isinstance(index, ex.Label):
                        parts.append(f"@{self.members[over].index(index.text)}")
                    else:
                        parts.append(of(index))
                return f"{self.names[e.name]}[{','.join(parts)}]"
            case ex.Compare():
                left = self.text(e.left, formula, e.right)
                return f"({left}{e.op}{self.text(e.right, formula, e.left)})"
            case ex.Prev():
                return f"prev({self.names[e.name]},{of(e.first)})"
            case ex.Reduce():
                return f"{e.function}({of(e.body)},{self.names[e.set]})"
            case ex.Draw():
                over = self.names[e.set] if e.set else ""
                return f"{e.family}({over};{','.join(n + '=' + of(a) for n, a in e.args)})"
        label = getattr(e, "op", "") or getattr(e, "function", "")
        return f"{type(e).__name__}{label}({','.join(of(part) for part in ex.children(e))})"

    def given(self, e: ex.Expr, formula: int) -> str:
        """A given; the label of an observed pick is a hole too."""
        found = observed_draw(self.scenario, e)
        if found is None or not isinstance(e, ex.Compare):
            return self.text(e, formula)
        node, _, label = found
        if not isinstance(label, ex.Label):
            return self.text(e, formula)
        over = getattr(node.formula, "set", None) or ""
        self.hole(formula, label.at, float(self.members[over].index(label.text)))
        return f"({self.text(e.left, formula)}==#)"


def structure_of(scenario: Scenario) -> Structure:
    """Splits a document into structure and constants.

    Example:
      >>> structure_of(a).signature == structure_of(b).signature  # doctest: +SKIP
      True
    """
    canonical = _Canonical(scenario)
    parts = [",".join(f"s{len(named.members)}" for named in scenario.sets)]
    givens = range(len(scenario.model), len(scenario.model) + len(scenario.given))
    for number, formula in enumerate(formulas(scenario)):
        if number in givens:
            parts.append("given " + canonical.given(formula, number))
        else:
            parts.append(canonical.text(formula, number))
    for node in scenario.model:
        parts.append(f"{node.kind}[{','.join(canonical.names[s] for s in node.per)}]")
    parts.append(",".join(ask.kind for ask in scenario.ask))
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    return Structure(digest, canonical.slots, np.array(canonical.constants, np.float64))
