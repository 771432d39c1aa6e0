"""Tools that change a scenario document: parts of its formulas, one place of several at random."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np

from ppt_jax.scenario import syntax as sx
from ppt_jax.scenario.expression import parse_expression, print_expression, walk

Data: TypeAlias = dict[str, Any]
Rng: TypeAlias = np.random.Generator
Plant: TypeAlias = Callable[[Data, Rng], Data | None]
Change: TypeAlias = Callable[[sx.Expr], sx.Expr | None]


def formulas(data: Data, *parts: str) -> Iterator[tuple[Data, str, Any]]:
    """Rows of the document with the key and kind of their formula."""
    for part in parts or ("model", "given", "ask"):
        for row in data[part]:
            if part == "model":
                yield row, "expr", row["kind"]
            else:
                yield row, "that" if part == "given" else "expr", part


def rebuilt(expr: sx.Expr, change: Callable[[sx.Expr], sx.Expr]) -> sx.Expr:
    """The same node with changed children."""
    match expr:
        case sx.Unary(operand=a):
            return dataclasses.replace(expr, operand=change(a))
        case sx.Reduce(body=a):
            return dataclasses.replace(expr, body=change(a))
        case sx.Prev(first=a):
            return dataclasses.replace(expr, first=change(a))
        case sx.Binary(left=a, right=b) | sx.Compare(left=a, right=b):
            return dataclasses.replace(expr, left=change(a), right=change(b))
        case sx.IfElse(test=t, then=a, orelse=b):
            return dataclasses.replace(expr, test=change(t), then=change(a), orelse=change(b))
        case sx.Logic(operands=parts):
            return dataclasses.replace(expr, operands=tuple(map(change, parts)))
        case sx.Call(args=parts):
            return dataclasses.replace(expr, args=tuple(map(change, parts)))
        case sx.Index(indices=parts):
            return dataclasses.replace(expr, indices=tuple(map(change, parts)))
        case sx.Listing(items=parts):
            return dataclasses.replace(expr, items=tuple(map(change, parts)))
        case sx.Draw(args=pairs):
            return dataclasses.replace(expr, args=tuple((k, change(v)) for k, v in pairs))
        case sx.Beats(left=a, right=b, noise=c):
            return dataclasses.replace(expr, left=change(a), right=change(b), noise=change(c))
    return expr


def replaced(expr: sx.Expr, target: sx.Expr, new: sx.Expr) -> sx.Expr:
    """The formula with one part of it, known by identity, replaced."""
    if expr is target:
        return new
    return rebuilt(expr, lambda part: replaced(part, target, new))


def in_formula(change: Change, *parts: str) -> Plant:
    """Changes one part of one formula, any at which `change` gives something else."""

    def plant(data: Data, rng: Rng) -> Data | None:
        places = []
        for row, key, kind in formulas(data, *parts):
            formula = parse_expression(row[key], kind=kind)
            for part in walk(formula):
                new = change(part)
                if new is not None and new != part:
                    places.append((row, key, formula, part, new))
        if not places:
            return None
        row, key, formula, part, new = places[int(rng.integers(len(places)))]
        row[key] = print_expression(replaced(formula, part, new))
        return data

    return plant


def number(change: Callable[[float], float]) -> Change:
    def apply(part: sx.Expr) -> sx.Expr | None:
        if isinstance(part, sx.Number) and part.value not in (0.0, 1.0, 2.0):
            return sx.Number(float(f"{change(part.value):.6g}"))
        return None

    return apply


def argument(families: str, name: str, change: Callable[[sx.Expr], sx.Expr | None]) -> Plant:
    """Changes one argument of a draw of these families."""

    def apply(part: sx.Expr) -> sx.Expr | None:
        if not isinstance(part, sx.Draw) or part.family not in families.split():
            return None
        found = dict(part.args)
        new = change(found[name]) if name in found else None
        if new is None:
            return None
        return dataclasses.replace(
            part, args=tuple((k, new if k == name else v) for k, v in part.args)
        )

    return in_formula(apply, "model")


def constant(part: sx.Expr) -> float | None:
    return part.value if isinstance(part, sx.Number) and part.value not in (0.0, 1.0) else None


def swap_digits(value: float) -> float:
    text = f"{value:g}"
    if value >= 10 and value == int(value) and text != text[::-1]:
        turned = float(text[::-1])
        return turned if turned else value
    return float("1" + text) if 0 < value < 10 and value == int(value) else value


def observed(data: Data) -> list[tuple[Data, sx.Compare]]:
    """Observed draws of numbers other than yes and no."""
    kinds = {
        node["name"]: parse_expression(node["expr"], kind=node["kind"]) for node in data["model"]
    }
    found = []
    for row in data["given"]:
        formula = parse_expression(row["that"], kind="given")
        if isinstance(formula, sx.Compare) and formula.op == "==":
            seen = formula.left
            draw = kinds.get(getattr(seen, "name", ""))
            if isinstance(seen, sx.Name | sx.Index) and isinstance(draw, sx.Draw):
                found.append((row, formula))
    return found


def members(data: Data) -> dict[str, list[str]]:
    return {named["name"]: named["members"] for named in data["sets"]}


def choose(rng: Rng, items: list[Any]) -> Any:
    return items[int(rng.integers(len(items)))] if items else None
