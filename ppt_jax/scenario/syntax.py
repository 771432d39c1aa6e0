"""The syntax tree of formulas: frozen dataclasses, and the tables of what may be called.

`at` is the 0-based character offset of a part in its formula; it does not count in comparisons.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

FAMILIES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "normal": ("mean", "sd"),
        "lognormal": ("median", "spread"),
        "gamma": ("mean", "shape"),
        "beta": ("a", "b"),
        "share": ("mean", "strength"),
        "uniform": ("low", "high"),
        "wait": ("mean",),
        "robust": ("mean", "sd", "df"),
        "count": ("rate",),
        "successes": ("n", "p"),
        "yes": ("p",),
        "pick": ("weights",),
    }
)
"""Distribution families and their keyword arguments, in canonical order."""

FUNCTIONS: Final[Mapping[str, tuple[int, int]]] = MappingProxyType(
    {
        "exp": (1, 1),
        "log": (1, 1),
        "sqrt": (1, 1),
        "abs": (1, 1),
        "min": (2, 16),
        "max": (2, 16),
        "sigmoid": (1, 1),
        "clip": (3, 3),
        "round": (1, 1),
    }
)
"""Functions and the least and greatest number of arguments they take."""

REDUCTIONS: Final = ("total", "average")
SPECIAL: Final = (*REDUCTIONS, "prev", "beats")


def _offset() -> int:
    return dataclasses.field(default=0, compare=False, repr=False)


@dataclasses.dataclass(frozen=True)
class Number:
    """A literal; the parser makes only non-negative ones (a minus is a `Unary`)."""

    value: float
    at: int = _offset()


@dataclasses.dataclass(frozen=True)
class Name:
    """A scalar node, or an index variable (the name of a set, which stands for a member of it)."""

    name: str
    at: int = _offset()


@dataclasses.dataclass(frozen=True)
class Label:
    """A member of a set, in quotes."""

    text: str
    at: int = _offset()


@dataclasses.dataclass(frozen=True)
class Index:
    """One element of a node with `per`; an index is a `Label` or a `Name`."""

    name: str
    indices: tuple[Expr, ...]
    at: int = _offset()


@dataclasses.dataclass(frozen=True)
class Unary:
    """``-operand`` or ``not operand``."""

    op: str
    operand: Expr
    at: int = _offset()


@dataclasses.dataclass(frozen=True)
class Binary:
    """``left op right`` with one of ``+ - * / **``."""

    op: str
    left: Expr
    right: Expr
    at: int = _offset()


@dataclasses.dataclass(frozen=True)
class Compare:
    """``left op right`` with one of ``< <= > >= == !=``; members compare by position."""

    op: str
    left: Expr
    right: Expr
    at: int = _offset()


@dataclasses.dataclass(frozen=True)
class Logic:
    """Two or more operands joined by ``and`` or by ``or``."""

    op: str
    operands: tuple[Expr, ...]
    at: int = _offset()


@dataclasses.dataclass(frozen=True)
class IfElse:
    """``then if test else orelse``."""

    test: Expr
    then: Expr
    orelse: Expr
    at: int = _offset()


@dataclasses.dataclass(frozen=True)
class Call:
    """A function of `FUNCTIONS`; ``round`` rounds halves to even."""

    function: str
    args: tuple[Expr, ...]
    at: int = _offset()


@dataclasses.dataclass(frozen=True)
class Reduce:
    """``total(body, set)`` or ``average(body, set)``: the set's name is an index in the body."""

    function: str
    body: Expr
    set: str
    at: int = _offset()


@dataclasses.dataclass(frozen=True)
class Prev:
    """``prev(name, first=expr)``: the node at the element before this one.

    The step goes along the last set of the `per` of the node whose formula this is; at that set's
    first member the value is `first`.
    """

    name: str
    first: Expr
    at: int = _offset()


@dataclasses.dataclass(frozen=True)
class Listing:
    """``[expr, ...]``, which stands only as the `weights` of a pick."""

    items: tuple[Expr, ...]
    at: int = _offset()


@dataclasses.dataclass(frozen=True)
class Draw:
    """A whole draw formula; `args` are in the order of `FAMILIES`, `set` is that of a pick.

    The `weights` of a pick, when given, are one argument that is a `Listing`.
    """

    family: str
    args: tuple[tuple[str, Expr], ...]
    set: str | None = None
    at: int = _offset()

    def argument(self, name: str) -> Expr:
        """The argument of that name; raises KeyError where the formula does not give it."""
        return dict(self.args)[name]


@dataclasses.dataclass(frozen=True)
class Beats:
    """A soft comparison, log-likelihood ``log sigmoid((left - right) / noise)``."""

    left: Expr
    right: Expr
    noise: Expr
    at: int = _offset()


Expr: TypeAlias = (
    Number
    | Name
    | Label
    | Index
    | Unary
    | Binary
    | Compare
    | Logic
    | IfElse
    | Call
    | Reduce
    | Prev
    | Listing
    | Draw
    | Beats
)


def children(expr: Expr) -> tuple[Expr, ...]:
    """The direct parts of an expression, in reading order."""
    match expr:
        case Number() | Name() | Label():
            return ()
        case Index(indices=parts) | Logic(operands=parts) | Call(args=parts) | Listing(items=parts):
            return parts
        case Unary(operand=part) | Reduce(body=part) | Prev(first=part):
            return (part,)
        case Binary(left=left, right=right) | Compare(left=left, right=right):
            return (left, right)
        case IfElse(test=test, then=then, orelse=orelse):
            return (then, test, orelse)
        case Draw(args=args):
            return tuple(value for _, value in args)
        case Beats(left=left, right=right, noise=noise):
            return (left, right, noise)


def walk(expr: Expr) -> Iterator[Expr]:
    """The expression and all its parts, a parent before its children."""
    yield expr
    for part in children(expr):
        yield from walk(part)
