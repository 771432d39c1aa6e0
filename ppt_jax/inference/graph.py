"""A scalar expression graph in single static assignment, built bottom up with sharing.

Nodes are appended in topological order. Equal nodes are shared, nodes whose arguments are all
constants are folded, and a few identities (``x * 1``, ``x if True else y``) are removed on the
way, so that the graph that leaves this module is as short as static knowledge makes it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import special

from ppt_jax.inference import distributions


class Node(NamedTuple):
    """One scalar of a program.

    Attributes:
      op: ``const``; a key of `OPERATIONS`; ``draw:<family>`` (a latent); ``log:<family>`` (the
        log density of an observed value, which is its first argument).
      args: node numbers, all smaller than this node's own.
      value: the constant; for a latent its column in the standard-normal matrix.
    """

    op: str
    args: tuple[int, ...] = ()
    value: float = 0.0


def _sigmoid(x: Any) -> Any:
    return special.expit(x)


def _logical(value: Any) -> Any:
    return np.asarray(value, np.float64)


# NaN marks a value that is no number; comparisons hand it on instead of answering "false".
def _comparison(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def apply(a: Any, b: Any) -> Any:
        return np.where(np.isnan(a) | np.isnan(b), np.nan, _logical(compare(a, b)))

    return apply


def _if(test: Any, then: Any, orelse: Any) -> Any:
    return np.where(np.isnan(test), np.nan, np.where(test != 0, then, orelse))


def _fact(x: Any) -> Any:
    return np.where(np.isnan(x), np.nan, np.where(x != 0, 0.0, -np.inf))


def _plus(a: Any, b: Any) -> Any:
    impossible = (np.asarray(a) == -np.inf) | (np.asarray(b) == -np.inf)
    return np.where(impossible, -np.inf, np.add(a, b))


# Deterministic operations on float64 arrays. Booleans are 0 and 1.
OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "pow": np.power,
    "neg": np.negative,
    "not": lambda x: np.where(np.isnan(x), np.nan, _logical(x == 0)),
    "and": _comparison(lambda a, b: (a != 0) & (b != 0)),
    "or": _comparison(lambda a, b: (a != 0) | (b != 0)),
    "lt": _comparison(np.less),
    "le": _comparison(np.less_equal),
    "eq": _comparison(np.equal),
    "ne": _comparison(np.not_equal),
    "if": _if,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "sigmoid": _sigmoid,
    "log_sigmoid": lambda x: -np.logaddexp(0.0, -np.asarray(x, np.float64)),
    "round": np.round,
    "min": np.minimum,
    "max": np.maximum,
    # of log-probabilities: -inf, which cannot be, wins over NaN, which cannot be computed
    "fact": _fact,
    "plus": _plus,
    "log_add": np.logaddexp,
}
COMMUTATIVE = frozenset({"add", "mul", "and", "or", "eq", "ne", "min", "max", "plus", "log_add"})
# What an argument may be so that the result is the other one.
NEUTRAL = {"add": 0.0, "mul": 1.0, "plus": 0.0, "log_add": -math.inf}


def apply_node(node: Node, args: Sequence[Any]) -> Any:
    """The value of a node that is neither a constant nor a latent, from its arguments' values."""
    if node.op.startswith("log:"):
        return distributions.log_density(node.op[4:], *args)
    return OPERATIONS[node.op](*args)


def _key(node: Node) -> tuple[object, ...]:
    return node.op, node.args, repr(float(node.value))  # repr keeps -0.0 and NaN apart


class Graph:
    """Collects nodes, sharing equal ones and folding constants.

    Example:
      >>> graph = Graph()
      >>> two = graph.add("add", graph.const(1.0), graph.const(1.0))
      >>> graph.nodes[two]
      Node(op='const', args=(), value=2.0)
    """

    def __init__(self, nodes: Iterable[Node] = ()) -> None:
        self.nodes: list[Node] = []
        self._known: dict[tuple[object, ...], int] = {}
        for node in nodes:  # of another graph; they keep their numbers
            self._known[_key(node)] = len(self.nodes)
            self.nodes.append(node)

    def _append(self, node: Node) -> int:
        key = _key(node)
        number = self._known.get(key)
        if number is None:
            number = len(self.nodes)
            self.nodes.append(node)
            self._known[key] = number
        return number

    def const(self, value: float) -> int:
        """The number of the node that holds a constant."""
        return self._append(Node("const", (), float(value)))

    def latent(self, family: str, args: Sequence[int], column: int) -> int:
        """The number of a latent node: a draw of ``family`` from normal column ``column``."""
        return self._append(Node(f"draw:{family}", tuple(args), float(column)))

    def constant(self, number: int) -> float | None:
        """The value of a node known now, else None."""
        node = self.nodes[number]
        return node.value if node.op == "const" else None

    def add(self, op: str, *args: int) -> int:
        """The number of the node ``op(*args)``, simplified where that is exact."""
        known = [self.constant(arg) for arg in args]
        short = self._shorter(op, args, known)
        if short is not None:
            return short
        node = Node(op, tuple(sorted(args)) if op in COMMUTATIVE else args)
        if all(value is not None for value in known):
            with np.errstate(all="ignore"):
                values = [np.float64(self.nodes[arg].value) for arg in node.args]
                return self.const(float(apply_node(node, values)))
        return self._append(node)

    def _shorter(self, op: str, args: tuple[int, ...], known: list[float | None]) -> int | None:
        if op == "if":
            if known[0] is not None and known[0] == known[0]:
                return args[1] if known[0] != 0 else args[2]
        elif op in NEUTRAL:
            for at, value in enumerate(known):
                if value == NEUTRAL[op]:
                    return args[1 - at]
                if op == "plus" and value == -math.inf:
                    return args[at]
        elif (op == "sub" and known[1] == 0.0) or (op in ("div", "pow") and known[1] == 1.0):
            return args[0]
        return None


def reachable(nodes: Sequence[Node], roots: Iterable[int]) -> set[int]:
    """The numbers of all nodes that some root depends on, the roots included."""
    seen: set[int] = set()
    stack = list(roots)
    while stack:
        number = stack.pop()
        if number not in seen:
            seen.add(number)
            stack.extend(nodes[number].args)
    return seen
