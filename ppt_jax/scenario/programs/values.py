"""What names of a model function stand for, and small questions about them."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias, TypeGuard

from ppt_jax.scenario import limits
from ppt_jax.scenario.syntax import (
    Beats,
    Binary,
    Call,
    Compare,
    Expr,
    IfElse,
    Index,
    Label,
    Name,
    Number,
    Unary,
)


@dataclasses.dataclass(frozen=True)
class Group:
    """A set of the document; `numbered` where Python counts its members from 0."""

    name: str
    members: tuple[str, ...]
    numbered: bool


@dataclasses.dataclass(frozen=True)
class Node:
    """A node of the document; `kind` is ``real``, ``boolean`` or ``member`` (of set `of`)."""

    name: str
    per: tuple[str, ...]
    kind: str
    of: str = ""


@dataclasses.dataclass(frozen=True)
class Member:
    """A loop variable: the member of a set at hand; `counts` where Python sees its number."""

    group: Group
    counts: bool = False


@dataclasses.dataclass
class Container:
    """A dict or list that a loop fills with the elements of a node."""

    node: Node | None = None


@dataclasses.dataclass(frozen=True)
class Constant:
    """A constant of Python."""

    value: Any


@dataclasses.dataclass(frozen=True)
class Inside:
    """A name assigned inside a loop, which means nothing after it."""


Value: TypeAlias = Expr | Member | Container | Constant | Inside | Group


def are_labels(members: Any) -> TypeGuard[list[str]]:
    """Whether a constant is a set: different strings, one or more."""
    if not isinstance(members, list) or not 0 < len(members) <= limits.MAX_MEMBERS:
        return False
    return all(isinstance(m, str) for m in members) and len(set(members)) == len(members)


def links(definition: ast.FunctionDef) -> Iterator[tuple[str, str]]:
    """Names of draws and the named sets that they are compared with, or that they choose from."""

    def owner(node: ast.expr) -> str:
        node = node.value if isinstance(node, ast.Subscript) else node
        return node.id if isinstance(node, ast.Name) else ""

    def indexed(node: ast.expr) -> str:
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="index")):
                return name
        return ""

    for part in ast.walk(definition):
        pairs: list[tuple[ast.expr, ast.expr]] = []
        if isinstance(part, ast.Compare):
            pairs = [(part.left, part.comparators[0]), (part.comparators[0], part.left)]
        elif isinstance(part, ast.IfExp):
            pairs = [(part.body, part.orelse)]
        elif isinstance(part, ast.Subscript) and isinstance(part.value, ast.Call):
            for comprehension in part.value.args:
                if isinstance(comprehension, ast.ListComp):
                    over = comprehension.generators[0].iter
                    if owner(part.slice) and isinstance(over, ast.Name):
                        yield owner(part.slice), over.id
        for drawn, other in pairs:
            if owner(drawn) and indexed(other):
                yield owner(drawn), indexed(other)


def at_element(expr: Expr, labels: Mapping[str, str]) -> Expr | None:
    """The formula at one element; None where it looks one step back."""
    if not labels:
        return expr
    failed = False

    def put(part: Expr) -> Expr:
        nonlocal failed
        match part:
            case Name(name=name) if name in labels:
                return Label(labels[name])
            case Index(name=name, indices=indices):
                return Index(name, tuple(map(put, indices)))
            case Unary(op=op, operand=operand):
                return Unary(op, put(operand))
            case Binary(op=op, left=left, right=right):
                return Binary(op, put(left), put(right))
            case Compare(op=op, left=left, right=right):
                return Compare(op, put(left), put(right))
            case IfElse(test=test, then=then, orelse=orelse):
                return IfElse(put(test), put(then), put(orelse))
            case Call(function=function, args=args):
                return Call(function, tuple(map(put, args)))
            case Beats(left=left, right=right, noise=noise):
                return Beats(put(left), put(right), put(noise))
            case Number() | Name() | Label():
                return part
        failed = failed or bool(labels)
        return part

    made = put(expr)
    return None if failed else made
