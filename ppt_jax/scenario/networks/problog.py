"""ProbLog clauses -> a Bayesian network with the distribution semantics.

Every clause makes one random choice of its own: head ``i`` with probability ``p_i``, none with the
rest; the chosen head is true where the body is. Atoms that stand in one annotated disjunction
become one variable whose states are the sets of atoms that can be true together. For the usual
network style (one disjunction for each setting of the parents) these are the values of the
variable and nothing else; bodies that overlap give noisy-or, and probabilities that do not reach
one leave the state in which none is true.

Source: Sato (1995), the distribution semantics; De Raedt and Kimmig (2015), Probabilistic
programming concepts, sections 2 and 3.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ppt_jax.scenario.networks.network import (
    MAX_TABLE,
    Array,
    Network,
    NetworkError,
    Sizes,
    Variable,
    check_size,
    topological_order,
)
from ppt_jax.scenario.networks.problog_syntax import Atom, Clause, Formula, Statements

MAX_STATES = 512  # sets of atoms that one variable can take
BLOCK_ENTRIES = 1 << 10  # clauses that do not fit into it together become a chain of tables
SUM_TOLERANCE = 1e-8
Mask = NDArray[np.bool_]
State = frozenset[Atom]
NONE: State = frozenset()


@dataclasses.dataclass(frozen=True, eq=False)
class AtomNetwork:
    """A ProbLog program as a network.

    Attributes:
      network: its variables; some are steps of a chain that no atom is read from.
      atoms: each atom that stands in a head -> its variable, and the states in which it is true.
      excessive: variables of clauses whose probabilities exceed one -> the message; their tables
        are scaled down to one here, see `relevant` for what ProbLog does.
    """

    network: Network
    atoms: Mapping[Atom, tuple[int, frozenset[int]]]
    excessive: Mapping[int, str]


def body_atoms(formula: Formula) -> set[Atom]:
    """All atoms of a body."""
    found: set[Atom] = set()
    stack = [formula]
    while stack:
        one = stack.pop()
        if one.atom is not None:
            found.add(one.atom)
        stack.extend(one.parts)
    return found


def relevant(statements: Statements, atoms: Iterable[Atom]) -> Statements:
    """The clauses and heads that some of the atoms depend on.

    An annotated disjunction keeps the heads that matter and no others, so that what its other heads
    would have taken falls to "none of these". ProbLog grounds a question in this way, and
    probabilities that exceed one are an error only where the heads that matter do.
    """
    bodies: dict[Atom, set[Atom]] = {}
    for clause in statements.clauses:
        inside = body_atoms(clause.body)
        for _, head in clause.heads:
            bodies.setdefault(head, set()).update(inside)
    found: set[Atom] = set()
    stack = list(atoms)
    while stack:
        atom = stack.pop()
        if atom not in found:
            found.add(atom)
            stack.extend(bodies.get(atom, ()))
    kept = []
    for clause in statements.clauses:
        heads = tuple(head for head in clause.heads if head[1] in found)
        if heads:
            kept.append(dataclasses.replace(clause, heads=heads))
    return dataclasses.replace(statements, clauses=tuple(kept))


def _groups(clauses: Sequence[Clause]) -> dict[Atom, Atom]:
    """Atom -> the representative of the atoms that share a disjunction with it."""
    above: dict[Atom, Atom] = {}

    def root(atom: Atom) -> Atom:
        while above[atom] != atom:
            above[atom] = above[above[atom]]
            atom = above[atom]
        return atom

    for clause in clauses:
        for _, atom in clause.heads:
            above.setdefault(atom, atom)
        first = root(clause.heads[0][1])
        for _, atom in clause.heads[1:]:
            above[root(atom)] = first
    return {atom: root(atom) for atom in above}


def _separated(clauses: Sequence[Clause], broken: set[Atom]) -> list[Clause]:
    """Disjunctions over atoms in ``broken`` written as a choice and one rule a head."""
    made: list[Clause] = []
    for number, clause in enumerate(clauses):
        if len(clause.heads) < 2 or not any(atom in broken for _, atom in clause.heads):
            made.append(clause)
            continue
        choices = [
            (p, Atom("choice of clause", (str(number), str(i))))
            for i, (p, _) in enumerate(clause.heads)
        ]
        place = (clause.line, clause.column)
        made.append(Clause(tuple(choices), Formula("true"), *place))
        for (_, choice), (_, atom) in zip(choices, clause.heads):
            body = Formula("and", parts=(Formula("atom", choice), clause.body))
            made.append(Clause(((1.0, atom),), body, *place))
    return made


def _ordered(clauses: Sequence[Clause], source: str) -> list[list[Clause]]:
    """Clauses by group of their heads, groups of body atoms first."""
    group = _groups(clauses)
    roots = list(dict.fromkeys(group[atom] for clause in clauses for _, atom in clause.heads))
    number = {root: i for i, root in enumerate(roots)}
    members: list[list[Clause]] = [[] for _ in roots]
    parents: list[set[int]] = [set() for _ in roots]
    for clause in clauses:
        own = number[group[clause.heads[0][1]]]
        members[own].append(clause)
        parents[own] |= {number[group[a]] for a in body_atoms(clause.body) if a in group}
    order, cyclic = topological_order([sorted(above) for above in parents])
    if cyclic:
        broken = {atom for atom, root in group.items() if number[root] in set(cyclic)}
        again = _separated(clauses, broken)
        if len(again) > len(clauses):
            return _ordered(again, source)
        clause = members[cyclic[0]][0]
        raise NetworkError(
            f"{clause.heads[0][1]} depends on itself or on atoms that do; recursion is outside of "
            "the ProbLog subset that is read",
            source,
            clause.line,
            clause.column,
        )
    return [members[i] for i in order]


class _Builder:
    """Adds variables one by one; sees bodies as masks over the states of parent variables."""

    def __init__(self, source: str, sizes: Sizes) -> None:
        self.source = source
        self.sizes = sizes
        self.steps = 0
        self.variables: list[Variable] = []
        self.states: list[tuple[State, ...]] = []
        self.atoms: dict[Atom, tuple[int, frozenset[int]]] = {}
        self.excessive: dict[int, str] = {}
        self.names: set[str] = set()
        self.entries = 0

    # -- bodies --------------------------------------------------------------------------------

    def parents_of(self, clause: Clause) -> set[int]:
        """Variables that the body depends on; those with one state only are left out."""
        found = {self.atoms[a][0] for a in body_atoms(clause.body) if a in self.atoms}
        return {p for p in found if len(self.states[p]) > 1}

    def grid(self, parents: Sequence[int]) -> int:
        return math.prod(len(self.states[p]) for p in parents)

    def holds(self, atom: Atom) -> Mask:
        """[states] of the atom's variable: whether it is true."""
        variable, true = self.atoms[atom]
        mask = np.zeros(len(self.states[variable]), bool)
        mask[list(true)] = True
        return mask

    def conjunction(self, formula: Formula) -> dict[int, Mask] | None:
        """Per variable the states that a conjunction of literals allows; None for other bodies."""
        allowed: dict[int, Mask] = {}
        stack = [formula]
        while stack:
            one = stack.pop()
            if one.op == "and":
                stack.extend(one.parts)
                continue
            negated = one.op == "not"
            if negated:
                one = one.parts[0]
            if one.op != "atom" or one.atom is None:
                return None
            if one.atom not in self.atoms:  # never true
                if negated:
                    continue
                return {-1: np.zeros(1, bool)}
            variable = self.atoms[one.atom][0]
            mask = self.holds(one.atom)
            mask = ~mask if negated else mask
            allowed[variable] = allowed[variable] & mask if variable in allowed else mask
        return allowed

    def mask(self, formula: Formula, axes: Mapping[int, int]) -> Mask:
        """The truth of any body, one axis a variable (length one where it does not matter)."""
        shape = [1] * len(axes)
        if formula.op == "atom" and formula.atom is not None:
            if formula.atom not in self.atoms:
                return np.zeros(shape, bool)
            held = self.holds(formula.atom)
            if len(held) == 1:
                return np.full(shape, held[0])
            shape[axes[self.atoms[formula.atom][0]]] = len(held)
            return held.reshape(shape)
        if formula.op in ("true", "false"):
            return np.full(shape, formula.op == "true")
        result = self.mask(formula.parts[0], axes)
        if formula.op == "not":
            return ~result
        for part in formula.parts[1:]:
            other = self.mask(part, axes)
            result = result & other if formula.op == "and" else result | other
        return result

    def where(self, clause: Clause, parents: Sequence[int]) -> tuple[NDArray[np.intp], ...] | Mask:
        """An index of the settings of ``parents`` in which the body is true."""
        sizes = [len(self.states[p]) for p in parents]
        allowed = {} if clause.body.op == "true" else self.conjunction(clause.body)
        if allowed is not None:
            if not all(mask.any() for mask in allowed.values()):
                return np.zeros(sizes, bool)
            chosen = [
                np.flatnonzero(allowed[p]) if p in allowed else np.arange(size)
                for p, size in zip(parents, sizes)
            ]
            return np.ix_(*chosen)
        axes = {p: axis for axis, p in enumerate(parents)}
        return np.broadcast_to(self.mask(clause.body, axes), sizes)

    # -- variables -----------------------------------------------------------------------------

    def add(self, clauses: Sequence[Clause]) -> None:
        """The variable of one group of clauses, as a chain where its table would be too large."""
        blocks: list[tuple[list[int], list[Clause]]] = []
        for clause in clauses:
            parents = self.parents_of(clause)
            if blocks:
                union = sorted(parents.union(blocks[-1][0]))
                if self.grid(union) <= max(BLOCK_ENTRIES, 4 * self.grid(sorted(parents))):
                    blocks[-1] = (union, blocks[-1][1])
                    blocks[-1][1].append(clause)
                    continue
            blocks.append((sorted(parents), [clause]))
        before: int | None = None
        for place, (above, members) in enumerate(blocks):
            before = self.step(members, above, before, final=place == len(blocks) - 1)

    def step(
        self, clauses: Sequence[Clause], parents: list[int], before: int | None, *, final: bool
    ) -> int:
        """One variable: the atoms of ``before`` together with what the clauses make true."""
        first = clauses[0]
        above = parents if before is None else [*parents, before]
        sizes = tuple(len(self.states[p]) for p in above)
        check_size(sizes, f"{first.heads[0][1]}", self.source, first.line, first.column)
        masses: dict[State, Array] = {}
        if before is None:
            masses[NONE] = np.ones(sizes)
        else:
            for i, state in enumerate(self.states[before]):
                masses[state] = np.zeros(sizes)
                masses[state][..., i] = 1.0
        message = ""
        for clause in clauses:
            total = math.fsum(p for p, _ in clause.heads)
            scale = 1.0
            if total > 1.0 + SUM_TOLERANCE:
                message = f"the probabilities of line {clause.line} add up to {total:.6g}"
                scale = 1.0 / total
            index = self.where(clause, above)
            self.steps += len(masses)
            if self.steps > self.sizes.steps:
                raise NetworkError(
                    f"its clauses take more than {self.sizes.steps} steps to read",
                    self.source,
                    clause.line,
                    clause.column,
                )
            before_it = [(state, np.array(mass[index])) for state, mass in masses.items()]
            for state, held in before_it:
                if not held.any():
                    continue
                masses[state][index] -= held * min(total * scale, 1.0)
                for p, atom in clause.heads:
                    if p == 0.0:
                        continue
                    after = state | {atom}
                    if after not in masses:
                        if len(masses) >= MAX_STATES or len(masses) * math.prod(sizes) > MAX_TABLE:
                            raise NetworkError(
                                f"more than {len(masses)} sets of atoms can be true together with "
                                f"{atom}",
                                self.source,
                                clause.line,
                                clause.column,
                            )
                        masses[after] = np.zeros(sizes)
                    masses[after][index] += held * (p * scale)
        return self.finish(clauses, above, masses, message, final=final)

    def finish(
        self,
        clauses: Sequence[Clause],
        above: list[int],
        masses: dict[State, Array],
        message: str,
        *,
        final: bool,
    ) -> int:
        """Files a variable with its states that can happen (and ``none`` where nothing can)."""
        heads = list(dict.fromkeys(atom for clause in clauses for _, atom in clause.heads))
        states = [state for state, mass in masses.items() if mass.any()] or [NONE]
        table = np.stack([masses[state] for state in states], axis=-1)
        table /= table.sum(axis=-1, keepdims=True)
        self.entries += table.size
        number = len(self.variables)
        if self.entries > self.sizes.entries or number >= self.sizes.variables:
            clause = clauses[0]
            raise NetworkError(
                f"at most {self.sizes.variables} variables and {self.sizes.entries} table entries "
                "are read",
                self.source,
                clause.line,
                clause.column,
            )
        every = list(dict.fromkeys([*heads, *(atom for state in states for atom in state)]))
        name, labels = _labels(every, states)
        if not final or name in self.names:
            name = f"{name} #{number}"
        self.names.add(name)
        self.variables.append(Variable(name, labels, tuple(above), table))
        self.states.append(tuple(states))
        if message:
            self.excessive[number] = message
        if final:
            for atom in every:
                true = frozenset(i for i, state in enumerate(states) if atom in state)
                self.atoms[atom] = (number, true)
        return number


def _labels(atoms: Sequence[Atom], states: Sequence[State]) -> tuple[str, tuple[str, ...]]:
    """Name of a variable and of its states: ``disease(child)`` with ``pfc``, ``tga``, ..."""
    if len(atoms) == 1:
        labels = ["yes" if state else "no" for state in states]
        return str(atoms[0]), tuple(labels)
    first = atoms[0]
    alike = {(atom.functor, len(atom.args)) for atom in atoms} == {(first.functor, len(first.args))}
    differ = [i for i in range(len(first.args)) if len({atom.args[i] for atom in atoms}) > 1]
    if alike and len(differ) == 1:
        place = differ[0]
        shown = {atom: atom.args[place] for atom in atoms}
        rest = tuple(arg for i, arg in enumerate(first.args) if i != place)
        name = str(Atom(first.functor, rest))
    else:
        shown = {atom: str(atom) for atom in atoms}
        name = " | ".join(str(atom) for atom in atoms[:4]) + (" | ..." if len(atoms) > 4 else "")
    labels = [
        " & ".join(shown[atom] for atom in atoms if atom in state) or "(none)" for state in states
    ]
    return name, tuple(labels)


def problog_network(statements: Statements, sizes: Sizes | None = None) -> AtomNetwork:
    """The Bayesian network of parsed ProbLog clauses.

    Args:
      statements: from `parse_problog`; evidence and queries are not looked at.
      sizes: how large the network may be.

    Returns:
      The network with its atoms. An atom that only stands in bodies is never true, as in ProbLog
      where its predicate has other clauses.

    Raises:
      NetworkError: recursion, or a table above `MAX_TABLE` entries, with the place.

    Example:
      >>> from ppt_jax.scenario.networks.problog_syntax import parse_problog
      >>> made = problog_network(parse_problog("0.3::rain. 0.9::wet :- rain."))
      >>> [variable.name for variable in made.network.variables]
      ['rain', 'wet']
    """
    builder = _Builder(statements.source, sizes or Sizes())
    for clauses in _ordered(statements.clauses, statements.source):
        builder.add(clauses)
    network = Network(statements.source, tuple(builder.variables))
    return AtomNetwork(network, builder.atoms, builder.excessive)
