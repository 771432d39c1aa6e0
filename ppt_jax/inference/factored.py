"""A program whose latents are all finite and discrete as a factor graph, and its sums.

Every latent is a variable; its conditional probabilities are a table over the latents that its
parameters reach, and every given is a table over the latents that it reaches. A value that depends
on many latents but has few different results (a count of sixty yes draws, a chain of selections)
becomes a variable of its own, tied to its arguments by a table of zeros and ones; so no table is
over all latents. Counts are cut where their probability falls below `TINY`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ppt_jax.errors import UserError
from ppt_jax.inference import distributions
from ppt_jax.inference.elimination import MAX_COST, Factor, eliminate, plan_order
from ppt_jax.inference.graph import Node, apply_node, reachable
from ppt_jax.inference.program import Program

Array = NDArray[np.float64]

FINITE = frozenset({"yes", "pick", "successes", "count"})
MAX_STATES = 100_000  # of one latent
MAX_TABLE = 1 << 22  # entries of the values of one node
MAX_CELLS = 1 << 25  # entries of the values of all nodes
CUT = 128  # a value over more states than this may become a variable
TINY = -690.0  # log probability at which the support of a count ends
TOGETHER = 1 << 12  # asks whose joint table is no larger share one elimination


class NotEnumerableError(UserError):
    """The program has no exact route; the message says what stands in the way."""


@dataclasses.dataclass(frozen=True, eq=False)
class Value:
    """A node's value for all states of the variables it depends on, one axis a variable."""

    scope: tuple[int, ...]
    array: Array


@dataclasses.dataclass(frozen=True, eq=False)
class Factored:
    """A program as variables and tables.

    Attributes:
      sizes: number of states of each variable.
      owners: each variable's table given the variables before it.
      givens: per given, its log-likelihood.
      asks, ask_priors: per ask, its value with observed draws fixed and drawn.
    """

    sizes: tuple[int, ...]
    owners: tuple[Factor, ...]
    givens: tuple[Factor, ...]
    asks: tuple[Value, ...]
    ask_priors: tuple[Value, ...]


def obstacle(program: Program) -> str:
    """The first latent that no finite table can hold, or an empty string. Takes microseconds."""
    for node in program.nodes:
        if node.op.startswith("draw:") and node.op[5:] not in FINITE:
            name = program.latents[int(node.value)]
            return f"latent {name!r} is continuous ({node.op[5:]})"
    return ""


class _Factoring:
    def __init__(self, program: Program, max_cells: int) -> None:
        self.program = program
        self.max_cells = max_cells
        self.sizes: list[int] = []
        self.owners: list[Factor] = []
        self.values: list[Value | None] = [None] * len(program.nodes)
        self.cells = 0

    def where(self, number: int) -> str:
        """The place in the document that a node belongs to."""
        nodes = self.program.nodes
        for name, node in sorted(self.program.names.items(), key=lambda item: item[1]):
            if node >= number and number in reachable(nodes, [node]):
                return repr(name)
        for place, node in enumerate(self.program.loglik):
            if number in reachable(nodes, [node]):
                return f"given[{place}]"
        return "an ask"

    def grid(self, scope: Iterable[int], number: int) -> list[int]:
        """The sizes of a scope, refused where their product is too large."""
        sizes = [self.sizes[v] for v in scope]
        count = math.prod(sizes)
        self.cells += count
        if count > MAX_TABLE or self.cells > self.max_cells:
            raise NotEnumerableError(
                f"{self.where(number)} depends on {len(sizes)} latents at once, {count} states"
                if count > MAX_TABLE
                else f"its tables take more than {self.max_cells} entries"
            )
        return sizes

    def aligned(self, value: Value, scope: Sequence[int]) -> Array:
        held = dict(zip(value.scope, value.array.shape))
        return value.array.reshape([held.get(v, 1) for v in scope])

    def cut(self, number: int) -> None:
        """Makes a variable of a node's value where it has few different results."""
        value = self.values[number]
        assert value is not None
        if len(value.scope) < 2:
            return
        levels, which = np.unique(value.array, return_inverse=True)
        if 2 * len(levels) > value.array.size or value.array.size * len(levels) > MAX_TABLE:
            return
        variable = len(self.sizes)
        self.sizes.append(len(levels))
        table = np.full((value.array.size, len(levels)), -np.inf)
        table[np.arange(value.array.size), which.reshape(-1)] = 0.0
        shape = (*value.array.shape, len(levels))
        self.owners.append(Factor((*value.scope, variable), table.reshape(shape)))
        self.cells += table.size
        self.values[number] = Value((variable,), levels)

    def arguments(self, args: Sequence[int]) -> tuple[list[Value], tuple[int, ...]]:
        """Values of arguments and the union of their scopes, cut where that union is large."""
        found = [self.values[arg] for arg in args]
        scope = {v for value in found if value is not None for v in value.scope}
        if len(scope) > 1 and math.prod(self.sizes[v] for v in scope) > CUT:
            for arg in args:
                self.cut(arg)
            found = [self.values[arg] for arg in args]
        chosen = [value for value in found if value is not None]
        return chosen, tuple(sorted({v for value in chosen for v in value.scope}))

    def support(self, node: Node, args: Sequence[Array], number: int) -> int:
        """Number of states of a latent, over all states of its parameters."""
        family = node.op[5:]
        name = self.program.latents[int(node.value)]
        if family in ("yes", "pick"):
            return 2 if family == "yes" else len(args)
        usable = args[0][np.isfinite(args[0]) & (args[0] >= 0)]
        greatest = float(usable.max()) if usable.size else 0.0
        if greatest > MAX_STATES:
            raise NotEnumerableError(f"latent {name!r} has more than {MAX_STATES} states")
        if family == "successes":
            return math.floor(greatest) + 1
        k = np.arange(greatest + 50.0 * math.sqrt(greatest + 1.0) + 400.0)
        log_p = distributions.log_density("count", k, np.asarray(greatest))
        inside = np.flatnonzero(log_p > TINY)
        return int(inside[-1]) + 1 if greatest > 0 else 1

    def draw(self, number: int, node: Node) -> None:
        values, scope = self.arguments(node.args)
        plain = [value.array for value in values]
        size = self.support(node, plain, number)
        variable = len(self.sizes)
        self.sizes.append(size)
        whole = (*scope, variable)
        shape = self.grid(whole, number)
        x = np.arange(size, dtype=np.float64)
        args = [self.aligned(value, whole) for value in values]
        log_p = distributions.log_density(node.op[5:], x, *args)
        self.owners.append(Factor(whole, np.array(np.broadcast_to(log_p, shape))))
        self.values[number] = Value((variable,), x)

    def run(self) -> Factored:
        program = self.program
        roots = [*program.loglik, *program.asks, *program.ask_priors]
        needed = reachable(program.nodes, roots)
        with np.errstate(all="ignore"):
            for number, node in enumerate(program.nodes):
                if number not in needed:
                    continue
                if node.op == "const":
                    self.values[number] = Value((), np.asarray(node.value, np.float64))
                elif node.op.startswith("draw:"):
                    self.draw(number, node)
                else:
                    values, scope = self.arguments(node.args)
                    shape = self.grid(scope, number)
                    made = apply_node(node, [self.aligned(value, scope) for value in values])
                    made = np.asarray(made, np.float64)
                    self.values[number] = Value(scope, np.broadcast_to(made, shape))
        for number in {*program.asks, *program.ask_priors}:
            self.cut(number)
        return Factored(
            tuple(self.sizes),
            tuple(self.owners),
            tuple(Factor(v.scope, v.array) for v in map(self.value, program.loglik)),
            tuple(map(self.value, program.asks)),
            tuple(map(self.value, program.ask_priors)),
        )

    def value(self, number: int) -> Value:
        found = self.values[number]
        assert found is not None
        return found


def factorise(program: Program, max_cells: int = MAX_CELLS) -> Factored:
    """The factor graph of a program.

    Args:
      program: from `lower`.
      max_cells: entries that all its tables together may have.

    Returns:
      Its variables and tables; impossible settings have ``-inf``, settings for which a value
      cannot be computed have NaN.

    Raises:
      NotEnumerableError: a latent is continuous, or a table would be too large.

    Example:
      >>> factorise(lower(scenario)).sizes  # doctest: +SKIP
      (2, 2, 31)
    """
    reason = obstacle(program)
    if reason:
        raise NotEnumerableError(reason)
    return _Factoring(program, max_cells).run()


def upstream(model: Factored, variables: Iterable[int]) -> list[Factor]:
    """The tables of variables and of everything that they depend on."""
    found: set[int] = set()
    stack = list(variables)
    while stack:
        v = stack.pop()
        if v not in found:
            found.add(v)
            stack.extend(model.owners[v].scope[:-1])
    return [model.owners[v] for v in sorted(found)]


def broken(model: Factored, factors: Sequence[Factor]) -> int | None:
    """The first factor that has no finite value in a state that is otherwise possible.

    NaN and ``+inf`` mark such values. A state that another factor rules out does not count.
    """
    bad = [np.isnan(f.log_table) | (f.log_table == np.inf) for f in factors]
    if not any(mask.any() for mask in bad):
        return None
    clean = [Factor(f.scope, np.where(m, 0.0, f.log_table)) for f, m in zip(factors, bad)]
    for place, mask in enumerate(bad):
        if mask.any():
            with np.errstate(divide="ignore"):
                marked = Factor(factors[place].scope, np.log(mask.astype(np.float64)))
            others = [*clean[:place], marked, *clean[place + 1 :]]
            if float(eliminate(model.sizes, others)) > -math.inf:
                return place
    return None


def usable(factors: Iterable[Factor]) -> list[Factor]:
    """Factors with the settings that cannot be computed ruled out, once `broken` found none."""
    kept = []
    for factor in factors:
        bad = np.isnan(factor.log_table) | (factor.log_table == np.inf)
        log_table = np.where(bad, -np.inf, factor.log_table) if bad.any() else factor.log_table
        kept.append(Factor(factor.scope, log_table))
    return kept


def marginals(
    model: Factored,
    values: Sequence[Value],
    givens: Sequence[Factor],
    max_cost: int = MAX_COST,
) -> list[Array] | None:
    """The distribution of each value's variables.

    Args:
      model: from `factorise`.
      values: what is asked for.
      givens: log-likelihood tables; none for the prior.
      max_cost: entries of all tables of an elimination.

    Returns:
      Per value its probabilities, shaped as its array; None where the givens are impossible.

    Raises:
      TooWideError: no order was found within the limits.
    """
    groups: list[tuple[set[int], list[int]]] = []
    for place, value in enumerate(values):
        for scope, members in groups:
            union = scope | set(value.scope)
            if math.prod(model.sizes[v] for v in union) <= TOGETHER:
                scope |= union
                members.append(place)
                break
        else:
            groups.append((set(value.scope), [place]))
    seen = {v for factor in givens for v in factor.scope}
    found: dict[int, Array] = {}
    for scope, members in groups:
        keep = sorted(scope)
        factors = [*usable(upstream(model, seen | scope)), *usable(givens)]
        plan = plan_order(model.sizes, [f.scope for f in factors], keep, max_cost=max_cost)
        log_p = eliminate(model.sizes, factors, keep, plan)
        top = float(log_p.max())
        if not top > -math.inf:
            return None
        p = np.exp(log_p - top)
        p /= p.sum()
        for place in members:
            other = tuple(i for i, v in enumerate(keep) if v not in values[place].scope)
            found[place] = np.asarray(p.sum(axis=other))
    return [found[place] for place in range(len(values))]
