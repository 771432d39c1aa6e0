"""Probabilities that interval arithmetic does not recognise: mixtures and shares of a whole.

x * a + (1 - x) * b        lies between the lesser and the greater of a and b
x + y - x * y              is a probability where x and y are
a / (a + b + ...)          lies in 0..1 where no term is negative
w['Juno'] / total(w[r], r) likewise
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from ppt_jax.scenario import types
from ppt_jax.scenario.expression import (
    Binary,
    Call,
    Compare,
    Expr,
    Index,
    Label,
    Logic,
    Name,
    Number,
    Prev,
    Reduce,
    Unary,
    children,
)
from ppt_jax.scenario.types import Static

_Typer = Callable[[Expr], Static]


def mixture(expr: Binary, typed: _Typer) -> tuple[float, float] | None:
    """The range of ``x * a + (1 - x) * b`` or ``x + y - x * y``, or None for anything else."""
    if expr.op == "+":
        for one, two in ((expr.left, expr.right), (expr.right, expr.left)):
            found = _mixed(_factors(one), _factors(two), typed)
            if found is not None:
                return found
    if expr.op == "-" and isinstance(expr.left, Binary) and expr.left.op == "+":
        x, y = expr.left.left, expr.left.right
        if expr.right in (Binary("*", x, y), Binary("*", y, x)) and all(
            typed(part).low >= 0 and typed(part).high <= 1 for part in (x, y)
        ):
            return 0.0, 1.0
    return None


def _mixed(one: list[Expr], two: list[Expr], typed: _Typer) -> tuple[float, float] | None:
    for i, x in enumerate(one):
        rest = Binary("-", Number(1.0), x)
        if rest in two and typed(x).low >= 0 and typed(x).high <= 1:
            j = two.index(rest)
            a = _product([*one[:i], *one[i + 1 :]], typed)
            b = _product([*two[:j], *two[j + 1 :]], typed)
            return min(a.low, b.low), max(a.high, b.high)
    return None


def _factors(expr: Expr) -> list[Expr]:
    if isinstance(expr, Binary) and expr.op == "*":
        return [*_factors(expr.left), *_factors(expr.right)]
    return [expr]


def _product(parts: list[Expr], typed: _Typer) -> Static:
    return functools.reduce(types.multiply, map(typed, parts), types.number(1.0))


def share_of_total(expr: Binary, typed: _Typer) -> bool:
    """Whether ``a / b`` is one term of a sum of terms that are never negative."""
    part, whole = expr.left, expr.right
    if isinstance(whole, Reduce) and whole.function == "total":
        return typed(whole).low >= 0 and _instance(whole.body, part, whole.set, {})
    terms = _terms(whole)
    return len(terms) > 1 and part in terms and all(typed(term).low >= 0 for term in terms)


def _terms(expr: Expr) -> list[Expr]:
    if isinstance(expr, Binary) and expr.op == "+":
        return [*_terms(expr.left), *_terms(expr.right)]
    return [expr]


def _instance(body: Expr, part: Expr, set_name: str, found: dict[str, str]) -> bool:
    """Whether `part` is `body` with one and the same member in place of the index variable."""
    if isinstance(body, Name) and body.name == set_name:
        return isinstance(part, Label) and found.setdefault(set_name, part.text) == part.text
    inner, other = children(body), children(part)
    return (
        type(body) is type(part)
        and len(inner) == len(other)
        and _head(body) == _head(part)
        and all(_instance(a, b, set_name, found) for a, b in zip(inner, other))
    )


def _head(expr: Expr) -> tuple[object, ...]:
    """What a node of the tree is, its children left out."""
    match expr:
        case Number(value=value):
            return (value,)
        case Label(text=text):
            return (text,)
        case Name(name=name) | Index(name=name) | Prev(name=name):
            return (name,)
        case Unary(op=op) | Binary(op=op) | Compare(op=op) | Logic(op=op):
            return (op,)
        case Call(function=function):
            return (function,)
        case Reduce(function=function, set=over):
            return (function, over)
    return ()
