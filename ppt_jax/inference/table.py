"""Program -> op-code table for the one compiled kernel.

Constants come first (pre-filled rows, no steps), then values, then the chains that accumulate
log-weights. A latent whose shape parameters are constants goes through a quantile table; where
they depend on other nodes it is drawn from a proposal and the exact log density ratio joins the
weights, so that weighting stays exact.
"""

from __future__ import annotations

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
    ask_rows: tuple[int, ...]
    ask_prior_rows: tuple[int, ...]
    latents: int
    value_rows: dict[int, int]

    @property
    def rows(self) -> int:
        """Number of rows of the value matrix."""
        return len(self.constants) + len(self.code)


@functools.lru_cache(maxsize=4096)
def quantile_table(family: str, parameters: tuple[float, ...]) -> NDArray[np.float32]:
    """[TABLE_SIZE] quantiles of a family with constant parameters on an even grid of ``z``."""
    z = np.linspace(-TABLE_REACH, TABLE_REACH, TABLE_SIZE)
    values = distributions.quantile(family, z, *(np.asarray(p) for p in parameters))
    return values.astype(np.float32)


class _Assembly:
    """Collects instructions; references are >= 0 for instructions and < 0 for constants."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.constants: dict[float, int] = {}
        self.code: list[tuple[str, tuple[int, ...], int, int, int, float, float]] = []
        self.tables: list[NDArray[np.float32]] = []
        self.refs: dict[int, int] = {}
        self.proposals: dict[int, list[tuple[int, int]]] = {}  # node -> (shape ref, column)
        self.extra = len(program.latents)
        self.offset = 0.0

    def const(self, value: float) -> int:
        key = value if value == value else math.inf * 0  # one NaN object for all
        for known, number in self.constants.items() if value != value else ():
            if known != known:
                return -1 - number
        return -1 - self.constants.setdefault(key, len(self.constants))

    def known(self, ref: int) -> float | None:
        return list(self.constants)[-1 - ref] if ref < 0 else None

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
        args = [self.refs[arg] for arg in node.args]
        if node.op == "const":
            self.refs[number] = self.const(node.value)
        elif node.op.startswith("draw:"):
            self.refs[number] = self.draw(number, node.op[5:], args, int(node.value))
        else:
            self.refs[number] = self.emit(node.op, *args)

    def table_for(self, family: str, parameters: tuple[float | None, ...]) -> int | None:
        """The number of a quantile table, or None where the shape is no constant or no room."""
        if any(p is None or not p > 0 for p in parameters) or len(self.tables) >= MAX_TABLES:
            return None
        found = quantile_table(family, tuple(float(p) for p in parameters if p is not None))
        if not np.all(np.isfinite(found)):
            return None
        self.tables.append(found)
        return len(self.tables) - 1

    def draw(self, number: int, family: str, args: list[int], column: int) -> int:
        zero, one = self.const(0.0), self.const(1.0)
        known = tuple(self.known(arg) for arg in args)
        match family:
            case "gamma":
                table = self.table_for("gamma", (1.0, known[1]))
                if table is not None:
                    mean = self.checked_positive(args[0])
                    return self.emit("draw_table", zero, mean, z=column, t=table)
                unit = self.emit("exp", self.log_gamma(number, args[1], column))
                return self.emit("div", self.emit("mul", unit, args[0]), args[1])
            case "beta":
                table = self.table_for("beta", known)
                if table is not None:
                    return self.emit("draw_table", zero, one, z=column, t=table)
                first = self.log_gamma(number, args[0], column)
                second = self.log_gamma(number, args[1], self.column())
                return self.emit("sigmoid", self.emit("sub", first, second))
            case "robust":
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
        known = self.known(df)
        at_zero = (0.0, 1.0, known)
        if known is not None and known > 0 and len(self.tables) < MAX_TABLES:
            self.tables.append(quantile_table("robust", (0.0, 1.0, float(at_zero[2] or 1.0))))
            return self.emit("draw_table", mean, sd, z=column, t=len(self.tables) - 1)
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

    def given(self, total: int, number: int) -> int:
        """The sum so far plus the log-likelihood node ``number``."""
        node = self.program.nodes[number]
        if node.op == "const":
            if math.isfinite(node.value):
                self.offset += node.value
                return total
            return self.emit("plus", total, self.const(node.value))
        args = [self.refs[arg] for arg in node.args]
        if node.op == "fact":
            return self.emit("fact", total, args[0])
        if not node.op.startswith("log:"):
            return self.emit("plus", total, self.refs[number])
        x = self.program.nodes[node.args[0]].value
        return self.see(node.op[4:], total, x, args[1:])

    def see(self, family: str, total: int, x: float, args: list[int]) -> int:
        impossible = self.const(-math.inf)
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
            case "successes" if whole:
                return self.see_successes(total, x, *args)
            case "yes" if x in (0.0, 1.0):
                return self.emit("see_chances", total, *args, k=x, m=1.0 - x)
            case "pick" if whole and x < len(args):
                weights = args[0]
                for arg in args[1:]:
                    weights = self.emit("add", weights, arg)
                chance = self.emit("div", args[int(x)], weights)
                return self.emit("see_chances", total, chance, k=1.0, m=0.0)
        return self.emit("plus", total, impossible)

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

    def see_successes(self, total: int, x: float, n: int, p: int) -> int:
        trials = self.known(n)
        if trials is None:
            return self.emit("see_successes", total, n, p, k=x, m=math.lgamma(x + 1.0))
        if not (trials >= x and trials == math.floor(trials)):
            bad = -math.inf if trials >= 0 and trials == math.floor(trials) else math.nan
            return self.emit("plus", total, self.const(bad))
        self.offset += (
            math.lgamma(trials + 1.0) - math.lgamma(x + 1.0) - math.lgamma(trials - x + 1.0)
        )
        return self.emit("see_chances", total, p, k=x, m=trials - x)

    def proposal_weights(self, roots: Sequence[int]) -> int:
        """The sum of log density ratios of the proposals that the roots depend on."""
        total = self.const(0.0)
        for number in sorted(reachable(self.program.nodes, roots) & self.proposals.keys()):
            for shape, column in self.proposals[number]:
                total = self.emit("gamma_weight", total, shape, z=column)
        return total


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
    skip = {
        number for number in program.loglik if program.nodes[number].op.startswith(("log:", "fact"))
    }
    for number, node in enumerate(program.nodes):
        if number not in skip:
            assembly.value(number, node)
    prior = assembly.proposal_weights(program.ask_priors)
    roots = [*program.asks, *program.loglik]
    affected = reachable(program.nodes, roots) & assembly.proposals.keys()
    same = affected == reachable(program.nodes, program.ask_priors) & assembly.proposals.keys()
    total = prior if same else assembly.proposal_weights(roots)
    for number in program.loglik:
        total = assembly.given(total, number)
    if assembly.offset:
        total = assembly.emit("plus", total, assembly.const(assembly.offset))
    return _finished(assembly, total, prior)


def _finished(assembly: _Assembly, total: int, prior: int) -> Table:
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
        constants = np.array(list(assembly.constants), np.float64).astype(np.float32)
    return Table(
        constants=constants,
        code=code,
        immediates=immediates,
        tables=np.array(assembly.tables, np.float32).reshape(-1, TABLE_SIZE),
        weight_row=row(total),
        prior_row=row(prior),
        ask_rows=tuple(row(refs[number]) for number in program.asks),
        ask_prior_rows=tuple(row(refs[number]) for number in program.ask_priors),
        latents=assembly.extra,
        value_rows={number: row(ref) for number, ref in refs.items()},
    )
