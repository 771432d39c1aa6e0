"""Program -> op-code table for the one compiled kernel.

Constants come first (pre-filled rows, no steps), then values, then the chains that accumulate
log-weights. A latent whose shape parameters are constants goes through a quantile table; where
they depend on other nodes it is drawn from a proposal and the exact log density ratio joins the
weights, so that weighting stays exact.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ppt_jax.inference import distributions
from ppt_jax.inference.graph import Node, reachable
from ppt_jax.inference.opcodes import OPCODES, TABLE_REACH, TABLE_SIZE
from ppt_jax.inference.program import Program
from ppt_jax.inference.simulate import node_values

MAX_TABLES = 16


@dataclasses.dataclass(frozen=True)
class Table:
    """An assembled program; rows are numbered constants first, then instructions.

    Attributes:
      constants: [C] float32.
      code: [I, 7] int32: op-code, rows a b c, normal column, uniform column, quantile table.
      immediates: [I, 2] float32.
      tables: [T, TABLE_SIZE] float32 quantile tables.
      weight_row: log-weight of a particle under the posterior.
      prior_row: log-weight under the prior (zero but for proposals).
      base_row: the part of `weight_row` that makes the draws the posterior's own prior.
      soft_row: `base_row` plus the log-likelihood of all givens but the hard facts.
      violations_row: 0 where all hard facts hold, else how far they are from it, at most 1 a
        fact; `weight_row` is ``-inf`` unless 0.
      ask_rows, ask_prior_rows: [A] rows of the asks.
      latents: number of latent columns, proposals' extra columns included.
      value_rows: program node -> row, where the node has one.
    """

    constants: NDArray[np.float32]
    code: NDArray[np.int32]
    immediates: NDArray[np.float32]
    tables: NDArray[np.float32]
    weight_row: int
    prior_row: int
    base_row: int
    soft_row: int
    violations_row: int
    ask_rows: tuple[int, ...]
    ask_prior_rows: tuple[int, ...]
    latents: int
    value_rows: dict[int, int]

    @property
    def rows(self) -> int:
        """Number of rows of the value matrix."""
        return len(self.constants) + len(self.code)


# Families with a quantile table -> places of the parameters that the table is made for.
SHAPES = {"gamma": (1,), "beta": (0, 1), "robust": (2,)}
LOG_TERMS = frozenset({"fact", "plus", "log_add"})  # and log:<family>


def shape_of(nodes: Sequence[Node], node: Node) -> tuple[float, ...] | None:
    """What the quantile table of a latent is made for, None where its shape is no constant."""
    shape = []
    for place in SHAPES[node.op[5:]]:
        known = nodes[node.args[place]]
        if known.op != "const" or not known.value > 0:
            return None
        shape.append(known.value)
    found = quantile_table(node.op[5:], tuple(shape))
    return tuple(shape) if np.isfinite(found[[0, -1]]).all() else None


def quantile_tables(nodes: Sequence[Node]) -> tuple[list[NDArray[np.float32]], dict[int, int]]:
    """The quantile tables of a program, and which one each latent node reads.

    A latent of `SHAPES` without one (its shape depends on other nodes, or there are more shapes
    than `MAX_TABLES`) is drawn from a proposal.
    """
    places: dict[tuple[str, tuple[float, ...]], int] = {}
    reads: dict[int, int] = {}
    for number, node in enumerate(nodes):
        if node.op.startswith("draw:") and node.op[5:] in SHAPES:
            shape = shape_of(nodes, node)
            if shape is not None:
                place = places.setdefault((node.op[5:], shape), len(places))
                if place < MAX_TABLES:
                    reads[number] = place
    return [quantile_table(*key) for key in list(places)[:MAX_TABLES]], reads


def proposed_draws(nodes: Sequence[Node]) -> set[int]:
    """The latents that `assemble` draws from a proposal, their density ratio in the weights."""
    shaped = {i for i, node in enumerate(nodes) if node.op[:5] == "draw:" and node.op[5:] in SHAPES}
    return shaped - quantile_tables(nodes)[1].keys() if shaped else shaped


@functools.lru_cache(maxsize=4096)
def quantile_table(family: str, shape: tuple[float, ...]) -> NDArray[np.float32]:
    """[TABLE_SIZE] quantiles of a family of unit mean or scale on an even grid of ``z``."""
    z = np.linspace(-TABLE_REACH, TABLE_REACH, TABLE_SIZE)
    unit = {"gamma": (1.0,), "beta": (), "robust": (0.0, 1.0)}[family]
    values = distributions.quantile(family, z, *(np.asarray(p) for p in (*unit, *shape)))
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


class _Assembly:
    """Collects instructions; references are >= 0 for instructions and < 0 for constants."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.places: dict[str, int] = {}
        self.constants: list[float] = []
        self.code: list[tuple[str, tuple[int, ...], int, int, int, float, float]] = []
        self.tables, self.reads = quantile_tables(program.nodes)
        self.refs: dict[int, int] = {}
        self.shifts: dict[int, float] = {}  # of log-likelihoods: constant to be added to the row
        self.proposals: dict[int, list[tuple[int, int]]] = {}  # node -> (shape ref, column)
        self.extra = len(program.latents)
        self.has_facts = any(node.op == "fact" for node in program.nodes)
        self.uses = collections.Counter(program.loglik)
        for node in program.nodes:
            self.uses.update(node.args)

    def const(self, value: float) -> int:
        place = self.places.setdefault(repr(value), len(self.constants))
        if place == len(self.constants):
            self.constants.append(value)
        return -1 - place

    def known(self, ref: int) -> float | None:
        return self.constants[-1 - ref] if ref < 0 else None

    def emit(
        self, op: str, *args: int, z: int = 0, u: int = 0, t: int = 0, k: float = 0.0, m: float = 0
    ) -> int:
        self.code.append((op, args, z, u, t, k, m))
        return len(self.code) - 1

    def column(self) -> int:
        self.extra += 1
        return self.extra - 1

    # -- values --------------------------------------------------------------------------------

    def value(self, number: int, node: Node) -> None:
        if node.op == "const":
            self.refs[number] = self.const(node.value)
        elif node.op in LOG_TERMS or node.op.startswith("log:"):
            if self.uses[number] > 1 or node.op == "log_add":
                made = self.branch(number) if node.op == "log_add" else self.term(None, number)
                self.refs[number], self.shifts[number] = made
        elif node.op.startswith("draw:"):
            args = [self.refs[arg] for arg in node.args]
            self.refs[number] = self.draw(number, node.op[5:], args, int(node.value))
        else:
            self.refs[number] = self.emit(node.op, *(self.refs[arg] for arg in node.args))

    def draw(self, number: int, family: str, args: list[int], column: int) -> int:
        zero, one = self.const(0.0), self.const(1.0)
        table = self.reads.get(number)
        match family:
            case "gamma":
                if table is not None:
                    mean = self.checked_positive(args[0])
                    return self.emit("draw_table", zero, mean, z=column, t=table)
                unit = self.emit("exp", self.log_gamma(number, args[1], column))
                return self.emit("div", self.emit("mul", unit, args[0]), args[1])
            case "beta":
                if table is not None:
                    return self.emit("draw_table", zero, one, z=column, t=table)
                first = self.log_gamma(number, args[0], column)
                second = self.log_gamma(number, args[1], self.column())
                return self.emit("sigmoid", self.emit("sub", first, second))
            case "robust":
                if table is not None:
                    return self.emit("draw_table", args[0], args[1], z=column, t=table)
                return self.robust(number, args, column)
            case "pick":
                return self.pick(args, column)
        return self.emit(f"draw_{family}", *args, z=column, u=column)

    def checked_positive(self, ref: int) -> int:
        """The value itself where it is positive, else NaN (``exp(log x)`` would lose digits)."""
        value = self.known(ref)
        if value is not None:
            return ref if value > 0 else self.const(math.nan)
        positive = self.emit("lt", self.const(0.0), ref)
        return self.emit("if", positive, ref, self.const(math.nan))

    def log_gamma(self, number: int, shape: int, column: int) -> int:
        self.proposals.setdefault(number, []).append((shape, column))
        return self.emit("draw_log_gamma", shape, z=column, u=self.column())

    def robust(self, number: int, args: list[int], column: int) -> int:
        mean, sd, df = args
        half = self.emit("mul", df, self.const(0.5))
        log_unit = self.log_gamma(number, half, self.column())
        ratio = self.emit("sub", self.emit("log", half), log_unit)
        stretch = self.emit("exp", self.emit("mul", ratio, self.const(0.5)))
        unit = self.emit("draw_normal", self.const(0.0), self.const(1.0), z=column)
        scaled = self.emit("mul", sd, self.emit("mul", unit, stretch))
        return self.emit("add", mean, scaled)

    def pick(self, weights: list[int], column: int) -> int:
        known = [self.known(w) for w in weights]
        if all(w is not None for w in known):
            values = np.array(known, np.float64)
            if not (np.all(values >= 0) and values.sum() > 0):
                return self.const(math.nan)
            if np.all(values == values[0]):
                return self.emit("pick_equal", u=column, k=float(len(values)))
            result = self.const(0.0)
            for edge in (np.cumsum(values) / values.sum())[:-1]:
                result = self.emit("pick_step", result, u=column, k=float(edge))
            return result
        sums = [weights[0]]
        for weight in weights[1:]:
            sums.append(self.emit("add", sums[-1], weight))
        result = self.const(0.0)
        for edge in sums[:-1]:
            result = self.emit("pick_compare", result, sums[-1], edge, u=column)
        return result

    # -- log-likelihoods -----------------------------------------------------------------------

    def term(self, total: int | None, number: int) -> tuple[int, float]:
        """The row of a sum so far plus log-likelihood node ``number``, and a constant to add."""
        shift, stack = 0.0, [number]
        while stack:
            number = stack.pop()
            node = self.program.nodes[number]
            start = self.const(0.0) if total is None else total
            if node.op == "const" and math.isfinite(node.value):
                shift += node.value
            elif number in self.refs:
                shift += self.shifts.get(number, 0.0)
                here = self.refs[number]
                total = here if total is None else self.emit("plus", total, here)
            elif node.op == "fact":
                total = self.emit("fact", start, self.refs[node.args[0]])
            elif node.op == "plus":
                stack.extend(reversed(node.args))
            else:
                x = self.program.nodes[node.args[0]].value
                args = [self.refs[arg] for arg in node.args[1:]]
                total, constant = self.see(node.op[4:], start, x, args)
                shift += constant
        return self.const(0.0) if total is None else total, shift

    def branch(self, number: int) -> tuple[int, float]:
        """The row of a ``log_add`` node, less a constant that its branches share."""
        (a, k), (b, m) = (self.term(None, arg) for arg in self.program.nodes[number].args)
        return self.emit("log_add", a, b, m=m - k), k

    def holds_facts(self, number: int) -> bool:
        """Whether a term is a sum over branches with hard facts in them."""
        nodes = self.program.nodes
        return self.has_facts and any(nodes[n].op == "fact" for n in reachable(nodes, [number]))

    def may_fail(self, number: int) -> tuple[int, int]:
        """A term that may be ``-inf`` as a finite row, 0 where it is, and whether it is not."""
        row, shift = self.term(None, number)
        holds = self.emit("ne", row, self.const(-math.inf))
        finite = self.emit("if", holds, row, self.const(-shift))
        return (self.emit("plus", finite, self.const(shift)) if shift else finite), holds

    def see(self, family: str, total: int, x: float, args: list[int]) -> tuple[int, float]:
        """The row of ``total`` plus the log density of an observation, and a constant to add."""
        if family == "successes" and x >= 0 and x == math.floor(x):
            return self.see_successes(total, x, *args)
        return self.see_one(family, total, x, args), 0.0

    def see_one(self, family: str, total: int, x: float, args: list[int]) -> int:
        whole = x >= 0 and x == math.floor(x)
        match family:
            case "normal":
                return self.emit("see_normal", total, *args, k=x)
            case "lognormal" if x > 0:
                return self.emit("see_lognormal", total, *args, k=math.log(x))
            case "gamma" if x > 0:
                return self.emit("see_gamma", total, *args, k=x, m=math.log(x))
            case "beta" if 0 < x < 1:
                return self.emit("see_beta", total, *args, k=math.log(x), m=math.log1p(-x))
            case "uniform":
                return self.emit("see_uniform", total, *args, k=x)
            case "wait" if x >= 0:
                return self.emit("see_wait", total, *args, k=x)
            case "robust":
                return self.see_robust(total, x, *args)
            case "count" if whole:
                return self.emit("see_count", total, *args, k=x, m=math.lgamma(x + 1.0))
            case "yes" if x in (0.0, 1.0):
                return self.emit("see_chances", total, *args, k=x, m=1.0 - x)
            case "pick" if whole and x < len(args):
                weights = args[0]
                for arg in args[1:]:
                    weights = self.emit("add", weights, arg)
                chance = self.emit("div", args[int(x)], weights)
                return self.emit("see_chances", total, chance, k=1.0, m=0.0)
        return self.emit("plus", total, self.const(-math.inf))

    def see_robust(self, total: int, x: float, mean: int, sd: int, df: int) -> int:
        residual = self.emit("div", self.emit("sub", self.const(x), mean), sd)
        total = self.emit("plus", total, self.emit("neg", self.emit("log", sd)))
        known = self.known(df)
        if known is None or not known > 0:
            return self.emit("see_robust", total, residual, df)
        constant = (
            math.lgamma(0.5 * known + 0.5)
            - math.lgamma(0.5 * known)
            - 0.5 * math.log(math.pi * known)
        )
        return self.emit("see_robust_fixed", total, residual, k=known, m=constant)

    def see_successes(self, total: int, x: float, n: int, p: int) -> tuple[int, float]:
        trials = self.known(n)
        if trials is None:
            return self.emit("see_successes", total, n, p, k=x, m=math.lgamma(x + 1.0)), 0.0
        if not (trials >= x and trials == math.floor(trials)):
            bad = -math.inf if trials >= 0 and trials == math.floor(trials) else math.nan
            return self.emit("plus", total, self.const(bad)), 0.0
        choose = math.lgamma(trials + 1.0) - math.lgamma(x + 1.0) - math.lgamma(trials - x + 1.0)
        return self.emit("see_chances", total, p, k=x, m=trials - x), choose

    def violation(self, total: int, number: int, scale: float | None) -> int:
        """The sum so far plus how far the boolean node ``number`` is from holding, in [0, 1].

        A comparison that does not hold counts for more the further its sides are apart, so that
        particles can find their way to it.
        """
        fact, node = self.refs[number], self.program.nodes[number]
        if scale is None:
            return self.emit("add", total, self.emit("not", fact))
        apart = self.emit("sub", *(self.refs[arg] for arg in node.args))
        return self.emit("slack", total, fact, apart, k=scale)

    def proposal_weights(self, roots: Sequence[int]) -> int:
        """The sum of log density ratios of the proposals that the roots depend on."""
        total = self.const(0.0)
        for number in sorted(reachable(self.program.nodes, roots) & self.proposals.keys()):
            for shape, column in self.proposals[number]:
                total = self.emit("gamma_weight", total, shape, z=column)
        return total


def _fact_scales(program: Program, facts: Sequence[int]) -> list[tuple[int, float | None]]:
    """The booleans that hard facts are made of (joined by "and"), with a scale to grade them by.

    The scale is how far apart the sides of a comparison mostly are under the prior, None where
    there is nothing to grade.
    """
    parts: list[int] = []
    stack = list(reversed(facts))
    while stack:
        number = stack.pop()
        node = program.nodes[number]
        if node.op == "and":
            stack.extend(reversed(node.args))
        else:
            parts.append(number)
    if not any(program.nodes[number].op in ("lt", "le") for number in parts):
        return [(number, None) for number in parts]
    values = node_values(program.nodes, np.random.default_rng(0), 256)
    made: list[tuple[int, float | None]] = []
    for number in parts:
        node, scale = program.nodes[number], 0.0
        if node.op in ("lt", "le"):
            with np.errstate(invalid="ignore"):
                apart = np.abs(values[node.args[0]] - values[node.args[1]])
            scale = float(np.median(apart[np.isfinite(apart)])) if np.isfinite(apart).any() else 0.0
        made.append((number, scale if 1e-30 < scale < 1e30 else None))
    return made


def assemble(program: Program) -> Table:
    """Assembles the table of a program.

    Args:
      program: from `lower`.

    Returns:
      A table in which ``rows[weight_row]`` is the log-weight of each particle; normalised over
      particles, these weights make the posterior.

    Example:
      >>> table = assemble(lower(scenario))  # doctest: +SKIP
      >>> table.rows, table.latents  # doctest: +SKIP
      (31, 4)
    """
    assembly = _Assembly(program)
    for number, node in enumerate(program.nodes):
        assembly.value(number, node)
    prior = assembly.proposal_weights(program.ask_priors)
    roots = [*program.asks, *program.loglik]
    affected = reachable(program.nodes, roots) & assembly.proposals.keys()
    same = affected == reachable(program.nodes, program.ask_priors) & assembly.proposals.keys()
    base = total = prior if same else assembly.proposal_weights(roots)
    violations, shift = assembly.const(0.0), 0.0
    facts: list[int] = []
    graded: list[int] = []
    for number in program.loglik:
        if program.nodes[number].op == "fact":
            graded.append(program.nodes[number].args[0])
        elif assembly.holds_facts(number):
            part, holds = assembly.may_fail(number)
            total = assembly.emit("plus", total, part)
            facts.append(holds)
        else:
            total, constant = assembly.term(total, number)
            shift += constant
    if shift:
        total = assembly.emit("plus", total, assembly.const(shift))
    for holds in facts:
        violations = assembly.emit("add", violations, assembly.emit("not", holds))
    for number, scale in _fact_scales(program, graded):
        violations = assembly.violation(violations, number, scale)
    weight = total
    if facts or graded:
        weight = assembly.emit("fact", total, assembly.emit("not", violations))
    return _finished(assembly, weight, prior, base, total, violations)


def _finished(
    assembly: _Assembly, weight: int, prior: int, base: int, soft: int, violations: int
) -> Table:
    count = len(assembly.constants)

    def row(ref: int) -> int:
        return -1 - ref if ref < 0 else count + ref

    code = np.zeros((len(assembly.code), 7), np.int32)
    immediates = np.zeros((len(assembly.code), 2), np.float32)
    for i, (op, args, z, u, t, k, m) in enumerate(assembly.code):
        rows = [row(arg) for arg in args]
        code[i] = [OPCODES[op], *rows, *[0] * (3 - len(rows)), z, u, t]
        immediates[i] = k, m
    program, refs = assembly.program, assembly.refs
    with np.errstate(over="ignore"):
        constants = np.array(assembly.constants, np.float64).astype(np.float32)
    return Table(
        constants=constants,
        code=code,
        immediates=immediates,
        tables=np.array(assembly.tables, np.float32).reshape(-1, TABLE_SIZE),
        weight_row=row(weight),
        prior_row=row(prior),
        base_row=row(base),
        soft_row=row(soft),
        violations_row=row(violations),
        ask_rows=tuple(row(refs[number]) for number in program.asks),
        ask_prior_rows=tuple(row(refs[number]) for number in program.ask_priors),
        latents=assembly.extra,
        value_rows={number: row(ref) for number, ref in refs.items()},
    )
