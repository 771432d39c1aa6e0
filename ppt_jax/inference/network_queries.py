"""Posterior probabilities in discrete networks: pruning, evidence, elimination."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ppt_jax.inference.elimination import Factor, eliminate, plan_order
from ppt_jax.scenario.networks.network import Network
from ppt_jax.scenario.networks.problog import problog_network, relevant
from ppt_jax.scenario.networks.problog_syntax import Atom, Literal, Statements

Array = NDArray[np.float64]
Evidence = Mapping[int, Collection[int]]


@dataclasses.dataclass(frozen=True, eq=False)
class QueryNetwork:
    """A network with its tables as logarithms, made once for many queries.

    Attributes:
      network: the network.
      factors: one a variable, over the variable and its parents.
    """

    network: Network
    factors: tuple[Factor, ...]


def query_network(network: Network) -> QueryNetwork:
    """Takes the logarithm of every table, axes in ascending order of their variables."""
    factors = []
    for number, variable in enumerate(network.variables):
        scope = (*variable.parents, number)
        order = sorted(range(len(scope)), key=lambda axis: scope[axis])
        with np.errstate(divide="ignore"):
            log_table = np.log(np.transpose(variable.table, order))
        factors.append(Factor(tuple(scope[axis] for axis in order), log_table))
    return QueryNetwork(network, tuple(factors))


def ancestors(network: Network, numbers: Collection[int]) -> set[int]:
    """The variables and everything above them; all others are barren."""
    found: set[int] = set()
    stack = list(numbers)
    while stack:
        number = stack.pop()
        if number not in found:
            found.add(number)
            stack.extend(network.variables[number].parents)
    return found


def _with_evidence(factor: Factor, evidence: Evidence) -> Factor:
    """Keeps the states that the evidence allows; a variable with one state left is dropped."""
    table = factor.log_table
    scope: list[int] = []
    for v in factor.scope:
        axis = len(scope)
        allowed = evidence.get(v)
        if allowed is None:
            scope.append(v)
        elif len(allowed) == 1:
            table = np.take(table, next(iter(allowed)), axis=axis)
        else:
            table = np.take(table, sorted(allowed), axis=axis)
            scope.append(v)
    return Factor(tuple(scope), table)


def _connected(factors: Sequence[Factor], start: int) -> tuple[list[Factor], list[Factor]]:
    """Factors that reach a variable through shared variables, and the others."""
    by_variable: dict[int, list[int]] = {}
    for place, factor in enumerate(factors):
        for v in factor.scope:
            by_variable.setdefault(v, []).append(place)
    seen, stack, inside = {start}, [start], set[int]()
    while stack:
        for place in by_variable.get(stack.pop(), ()):
            if place not in inside:
                inside.add(place)
                new = set(factors[place].scope) - seen
                seen |= new
                stack.extend(new)
    return (
        [factor for place, factor in enumerate(factors) if place in inside],
        [factor for place, factor in enumerate(factors) if place not in inside],
    )


def posterior(net: QueryNetwork, target: int, evidence: Evidence) -> Array | None:
    """``P(target | evidence)`` exactly.

    Variables that are neither asked, seen, nor above one that is are left out; what the evidence
    separates from the target is only asked whether it is possible.

    Args:
      net: from `query_network`.
      target: number of the variable.
      evidence: variable -> the states it may have (one for hard evidence).

    Returns:
      [states of the target], or None where the evidence has probability zero.

    Raises:
      TooWideError: the network is too densely connected for exact elimination.

    Example:
      >>> posterior(net, 2, {0: (1,)})  # doctest: +SKIP
      array([0.9, 0.1])
    """
    if any(not allowed for allowed in evidence.values()):
        return None
    needed = ancestors(net.network, [target, *evidence])
    sizes = list(net.network.sizes)
    # evidence on the target masks its states instead of dropping them, so that its axis stays
    seen = {v: allowed for v, allowed in evidence.items() if v != target}
    factors = [_with_evidence(net.factors[v], seen) for v in sorted(needed)]
    for v, allowed in seen.items():
        sizes[v] = len(allowed)
    if target in evidence:
        mask = np.full(sizes[target], -np.inf)
        mask[sorted(evidence[target])] = 0.0
        factors.append(Factor((target,), mask))
    inside, outside = _connected(factors, target)
    if outside:
        plan = plan_order(sizes, [factor.scope for factor in outside])
        if not float(eliminate(sizes, outside, plan=plan)) > -math.inf:
            return None
    log_p = eliminate(sizes, inside, [target])
    top = float(log_p.max())
    if not top > -math.inf:
        return None
    p = np.exp(log_p - top)
    return np.asarray(p / p.sum())


@dataclasses.dataclass(frozen=True)
class Answer:
    """The probability of a query, or None with the reason why there is none."""

    probability: float | None
    reason: str = ""


class QuestionError(Exception):
    """A question that the program gives no answer to."""


class ProblogQueries:
    """Answers evidence-query pairs of one ProbLog program; tables are made once.

    Example:
      >>> from ppt_jax.scenario.networks.problog_syntax import parse_problog
      >>> text = "0.3::rain. 0.9::wet :- rain. 0.1::wet :- not rain. evidence(wet). query(rain)."
      >>> read = parse_problog(text)
      >>> answer = ProblogQueries(read).answer(read.evidence, read.queries[0])
      >>> round(answer.probability, 6)
      0.794118
    """

    def __init__(self, statements: Statements) -> None:
        self.statements = statements
        self.program = problog_network(statements)
        self.net = query_network(self.program.network)
        self.firsts: dict[tuple[str, int], set[str]] = {}  # predicate -> its first arguments
        for atom in self.program.atoms:
            self.firsts.setdefault((atom.functor, len(atom.args)), set()).update(atom.args[:1])
        self._restricted: dict[Statements, ProblogQueries] = {}

    def meant(self, literal: Literal) -> Atom | None:
        """The program's atom that a question means, or None where it is never true.

        A question may name another thing than the program does: ``disease(person, pfc)`` means
        ``disease(child, pfc)`` where ``child`` stands first in all atoms of that predicate and of
        another one, and ``person`` stands first in none.

        Raises:
          QuestionError: no clause has an atom of that predicate.
        """
        atom = literal.atom
        if atom in self.program.atoms:
            return atom
        firsts = self.firsts.get((atom.functor, len(atom.args)))
        if firsts is None:
            raise QuestionError(f"line {literal.line}: no clause has {atom}")
        alike = sum(other == firsts for other in self.firsts.values())
        named = any(atom.args[0] in other for other in self.firsts.values()) if atom.args else True
        if len(firsts) != 1 or alike < 2 or named:
            return None
        renamed = Atom(atom.functor, (*firsts, *atom.args[1:]))
        return renamed if renamed in self.program.atoms else None

    def knows(self, literal: Literal) -> bool:
        """Whether some clause has an atom of that predicate."""
        try:
            self.meant(literal)
        except QuestionError:
            return False
        return True

    def answer(self, evidence: Sequence[Literal], query: Literal) -> Answer:
        """The posterior probability of an atom, or of its negation.

        Evidence about a predicate that the program says nothing of is passed over: it is
        independent of everything.

        Args:
          evidence: all that is seen.
          query: what is asked for.

        Returns:
          The probability; None where there is none: evidence of probability zero, a query whose
          predicate has no clauses, or clauses whose probabilities exceed one.

        Raises:
          TooWideError: see `posterior`.
        """
        try:
            target = self.meant(query)
            seen = [(one, self.meant(one)) for one in evidence if self.knows(one)]
            return self._answer(seen, query, target)
        except QuestionError as error:
            return Answer(None, str(error))

    def _answer(
        self, seen: list[tuple[Literal, Atom | None]], query: Literal, target: Atom | None
    ) -> Answer:
        program = self.program
        allowed: dict[int, set[int]] = {}
        for literal, atom in seen:
            if atom is None:
                if literal.value:
                    raise QuestionError(
                        f"line {literal.line}: {literal.atom} is never true, so the evidence is "
                        "impossible"
                    )
                continue
            variable, true = program.atoms[atom]
            states = range(len(program.network.variables[variable].states))
            fits = {state for state in states if (state in true) == literal.value}
            allowed[variable] = allowed.get(variable, set(states)) & fits
        number, true = (None, frozenset[int]()) if target is None else program.atoms[target]
        needed = ancestors(program.network, [*allowed, *([] if number is None else [number])])
        excessive = sorted(needed & set(program.excessive))
        if excessive:
            atoms = [atom for _, atom in seen if atom is not None]
            part = relevant(self.statements, [*atoms, *([] if target is None else [target])])
            if part.clauses == self.statements.clauses:
                raise QuestionError(program.excessive[excessive[0]])
            return self.restricted(part)._answer(seen, query, target)
        if number is None:
            number = next(iter(allowed), 0)  # only whether the evidence is possible
        found = posterior(self.net, number, allowed) if program.network.variables else np.ones(1)
        if found is None:
            raise QuestionError(f"line {query.line}: the evidence is impossible")
        states = range(len(found))
        p = math.fsum(found[state] for state in states if (state in true) == query.value)
        return Answer(min(p, 1.0))

    def restricted(self, part: Statements) -> ProblogQueries:
        """The same for some of the clauses, kept for the next question that needs them."""
        if part not in self._restricted:
            self._restricted[part] = ProblogQueries(part)
        return self._restricted[part]
