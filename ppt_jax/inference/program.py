"""Scenario document -> flat scalar program.

Sets, ``per``, ``prev`` and indexing by a pick draw are expanded, so that a program is a list of
scalar nodes over standard-normal latents ``z``. Two versions of every value are lowered side by
side: with the observed draws fixed to their values (the posterior's version) and with them drawn
(the version that the prior of an ask is about). Where no observation lies upstream both are the
same node.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

from ppt_jax.errors import UserError
from ppt_jax.inference import distributions
from ppt_jax.inference.graph import Graph, Node, reachable
from ppt_jax.scenario import expression as ex
from ppt_jax.scenario.document import Scenario, flat_name, observed_draw

BINARY = {"+": "add", "-": "sub", "*": "mul", "/": "div", "**": "pow"}
FUNCTIONS = frozenset({"exp", "log", "sqrt", "abs", "sigmoid", "round"})


class LoweringError(UserError):
    """A document that passed its own checks but that no program can be made of."""


@dataclasses.dataclass(frozen=True)
class Program:
    """A scenario as scalar nodes in topological order.

    Attributes:
      nodes: see `Node`; a latent's ``value`` is its column in ``z_LP``.
      latents: flat name of the draw behind each column of ``z``; columns that most asks and
        givens depend on come first.
      loglik: per given, the node that holds its log-likelihood (nats); after `sum_out_private`
        the terms of their sum.
      asks: per ask, the node of its expression, observed draws fixed.
      ask_priors: per ask, the node of its expression with observed draws drawn.
      names: flat name (``power[Juno]``) -> node, for the draws and lets that are alive.
    """

    nodes: tuple[Node, ...]
    latents: tuple[str, ...]
    loglik: tuple[int, ...]
    asks: tuple[int, ...]
    ask_priors: tuple[int, ...]
    names: Mapping[str, int]

    @property
    def families(self) -> tuple[str, ...]:
        """The family of each latent column."""
        found = {int(n.value): n.op[5:] for n in self.nodes if n.op.startswith("draw:")}
        return tuple(found[column] for column in range(len(self.latents)))


def density(graph: Graph, family: str, x: float, parameters: Sequence[int]) -> int:
    """The node of the log density of ``x``; ``yes(sigmoid(t))`` keeps its digits far out."""
    if family == "yes" and x in (0.0, 1.0) and graph.nodes[parameters[0]].op == "sigmoid":
        argument = graph.nodes[parameters[0]].args[0]
        signed = argument if x == 1.0 else graph.add("neg", argument)
        return graph.add("log_sigmoid", signed)
    return graph.add(f"log:{family}", graph.const(x), *parameters)


class _Lowering:
    """One pass over a document; ``values`` maps flat names to nodes, per version."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.graph = Graph()
        self.sets = {s.name: s.members for s in scenario.sets}
        self.model = {node.name: node for node in scenario.model}
        self.columns: dict[str, int] = {}
        self.pick_sets = {
            n.name: n.formula.set
            for n in scenario.model
            if isinstance(n.formula, ex.Draw) and n.formula.family == "pick"
        }
        self.here: dict[str, int] = {}  # position of the element being lowered, in `per` order
        self.observed: dict[str, float] = {}
        self.posterior: dict[str, int] = {}
        self.prior: dict[str, int] = {}
        self.apart = False  # whether an observed draw was lowered, so that the versions differ

    # -- expressions ---------------------------------------------------------------------------

    def value(self, e: ex.Expr, at: Mapping[str, int], values: Mapping[str, int]) -> int:
        """The node of an expression; ``at`` gives the position of each index variable."""
        graph = self.graph
        match e:
            case ex.Number():
                return graph.const(e.value)
            case ex.Name():
                return graph.const(at[e.name]) if e.name in at else values[e.name]
            case ex.Index():
                return self._indexed(e, at, values)
            case ex.Unary():
                return graph.add("neg" if e.op == "-" else "not", self.value(e.operand, at, values))
            case ex.Binary():
                left, right = self.value(e.left, at, values), self.value(e.right, at, values)
                return graph.add(BINARY[e.op], left, right)
            case ex.Compare():
                left, right = self._sides(e, at, values)
                return self._compare(e.op, left, right)
            case ex.Logic():
                parts = [self.value(part, at, values) for part in e.operands]
                result = parts[0]
                for part in parts[1:]:
                    result = graph.add(e.op, result, part)
                return result
            case ex.IfElse():
                return graph.add(
                    "if",
                    self.value(e.test, at, values),
                    self.value(e.then, at, values),
                    self.value(e.orelse, at, values),
                )
            case ex.Call():
                return self._call(e, at, values)
            case ex.Reduce():
                return self._reduce(e, at, values)
            case ex.Prev():
                return self._previous(e, at, values)
        raise LoweringError(f"{self.scenario.id}: {type(e).__name__} cannot stand here")

    def _sides(
        self, e: ex.Compare, at: Mapping[str, int], values: Mapping[str, int]
    ) -> tuple[int, int]:
        """Both sides; a quoted member beside a pick draw or an index variable is its position."""
        sides = []
        for side, other in ((e.left, e.right), (e.right, e.left)):
            if isinstance(side, ex.Label):
                members = self.sets[self._set_of(other)]
                sides.append(self.graph.const(members.index(side.text)))
            else:
                sides.append(self.value(side, at, values))
        return sides[0], sides[1]

    def _set_of(self, e: ex.Expr) -> str:
        name = getattr(e, "name", "")
        return name if name in self.sets else self.pick_sets[name] or ""

    def _compare(self, op: str, left: int, right: int) -> int:
        add = self.graph.add
        if op in (">", ">="):
            return add("lt" if op == ">" else "le", right, left)
        return add({"<": "lt", "<=": "le", "==": "eq", "!=": "ne"}[op], left, right)

    def _call(self, e: ex.Call, at: Mapping[str, int], values: Mapping[str, int]) -> int:
        args = [self.value(arg, at, values) for arg in e.args]
        add = self.graph.add
        if e.function in FUNCTIONS:
            return add(e.function, *args)
        if e.function == "clip":
            return add("min", add("max", args[0], args[1]), args[2])
        result = args[0]
        for arg in args[1:]:
            result = add(e.function, result, arg)
        return result

    def _reduce(self, e: ex.Reduce, at: Mapping[str, int], values: Mapping[str, int]) -> int:
        count = len(self.sets[e.set])
        result = self.graph.const(0.0)
        for position in range(count):
            part = self.value(e.body, {**at, e.set: position}, values)
            result = self.graph.add("add", result, part)
        if e.function == "average":
            result = self.graph.add("div", result, self.graph.const(count))
        return result

    def _previous(self, e: ex.Prev, at: Mapping[str, int], values: Mapping[str, int]) -> int:
        """The element before the current one along the last set of the current node's `per`."""
        along = next(reversed(self.here))
        if self.here[along] == 0:
            if isinstance(e.first, ex.Label):
                return self.graph.const(self.sets[self._set_of(e)].index(e.first.text))
            return self.value(e.first, at, values)
        positions = {**self.here, along: self.here[along] - 1}
        per = self.model[e.name].per
        return values[flat_name(e.name, tuple(self.sets[s][positions[s]] for s in per))]

    def _indexed(self, e: ex.Index, at: Mapping[str, int], values: Mapping[str, int]) -> int:
        """An element; an index that is a pick draw becomes a chain of selects on its position."""
        per = self.model[e.name].per
        return self._select(e.name, e.indices, per, (), at, values)

    def _select(
        self,
        name: str,
        indices: tuple[ex.Expr, ...],
        per: tuple[str, ...],
        chosen: tuple[str, ...],
        at: Mapping[str, int],
        values: Mapping[str, int],
    ) -> int:
        if len(chosen) == len(per):
            return values[flat_name(name, chosen)]
        members = self.sets[per[len(chosen)]]
        index = indices[len(chosen)]
        fixed: str | None = None
        if isinstance(index, ex.Label):
            fixed = index.text
        elif isinstance(index, ex.Name) and index.name in at:
            fixed = members[at[index.name]]
        if fixed is not None:
            return self._select(name, indices, per, (*chosen, fixed), at, values)
        position = self.value(index, at, values)
        known = self.graph.constant(position)
        if known is not None and known == known:
            chosen = (*chosen, members[int(known)])
            return self._select(name, indices, per, chosen, at, values)
        result = self._select(name, indices, per, (*chosen, members[-1]), at, values)
        for k in range(len(members) - 2, -1, -1):
            here = self._select(name, indices, per, (*chosen, members[k]), at, values)
            is_here = self.graph.add("eq", position, self.graph.const(k))
            result = self.graph.add("if", is_here, here, result)
        return result

    # -- model ---------------------------------------------------------------------------------

    def parameters(
        self, draw: ex.Draw, at: Mapping[str, int], values: Mapping[str, int]
    ) -> tuple[str, list[int]]:
        """The family of the graph and its parameter nodes, in the order of `PARAMETERS`."""
        if draw.family == "pick":
            assert draw.set is not None
            if not draw.args:
                return "pick", [self.graph.const(1.0)] * len(self.sets[draw.set])
            listing = draw.argument("weights")
            assert isinstance(listing, ex.Listing)
            return "pick", [self.value(item, at, values) for item in listing.items]
        named = {name: self.value(e, at, values) for name, e in draw.args}
        if draw.family == "share":
            mean, strength = named["mean"], named["strength"]
            rest = self.graph.add("sub", self.graph.const(1.0), mean)
            add = self.graph.add
            return "beta", [add("mul", mean, strength), add("mul", rest, strength)]
        return draw.family, [named[name] for name in distributions.PARAMETERS[draw.family]]

    def run_model(self) -> dict[str, int]:
        """Lowers all nodes in both versions; returns the log density of each observed draw."""
        densities: dict[str, int] = {}
        for node in self.scenario.model:
            for positions in itertools.product(*(range(len(self.sets[s])) for s in node.per)):
                self.here = dict(zip(node.per, positions))
                members = tuple(self.sets[s][p] for s, p in self.here.items())
                flat = flat_name(node.name, members)
                if isinstance(node.formula, ex.Draw):
                    self._draw(flat, node.formula, densities)
                else:
                    number = self.value(node.formula, self.here, self.posterior)
                    self.posterior[flat] = self.prior[flat] = number
                    if self.apart:
                        self.prior[flat] = self.value(node.formula, self.here, self.prior)
        self.here = {}
        return densities

    def _draw(self, flat: str, draw: ex.Draw, densities: dict[str, int]) -> None:
        column = self.columns.setdefault(flat, len(self.columns))
        family, parameters = self.parameters(draw, self.here, self.prior)
        self.prior[flat] = self.graph.latent(family, parameters, column)
        if self.apart:
            family, parameters = self.parameters(draw, self.here, self.posterior)
        if flat in self.observed:
            self.apart = True
            densities[flat] = density(self.graph, family, self.observed[flat], parameters)
            self.posterior[flat] = self.graph.const(self.observed[flat])
        else:
            self.posterior[flat] = self.graph.latent(family, parameters, column)

    # -- givens and asks -----------------------------------------------------------------------

    def observation(self, formula: ex.Expr) -> tuple[str, float] | None:
        """The flat name and value of an observed draw, or None for any other given."""
        found = observed_draw(self.scenario, formula)
        if found is None:
            return None
        node, labels, seen = found
        flat = flat_name(node.name, labels)
        if isinstance(seen, ex.Label):
            members = self.sets[self.pick_sets[node.name] or ""]
            return flat, float(members.index(seen.text))
        value = self.graph.constant(self.value(seen, {}, {}))
        return None if value is None else (flat, value)

    def given(self, formula: ex.Expr) -> int:
        """The log-likelihood node of a soft comparison or a hard fact."""
        add = self.graph.add
        if isinstance(formula, ex.Beats):
            left, right, noise = (
                self.value(e, {}, self.posterior)
                for e in (formula.left, formula.right, formula.noise)
            )
            return add("log_sigmoid", add("div", add("sub", left, right), noise))
        return add("fact", self.value(formula, {}, self.posterior))

    def observe(self) -> list[str | None]:
        """Marks the observed draws; per given the flat name of its draw, or None."""
        names: list[str | None] = []
        for given in self.scenario.given:
            found = self.observation(given.formula)
            if found is None or found[0] in self.observed:
                names.append(None)  # a second look at the same draw is a fact about its value
            else:
                self.observed[found[0]] = found[1]
                names.append(found[0])
        return names


def pruned(
    graph: Graph,
    columns: Mapping[str, int],
    loglik: list[int],
    asks: list[int],
    priors: list[int],
    names: Mapping[str, int],
    *,
    keep_names: bool,
) -> Program:
    """Removes dead nodes and renumbers; latent columns that most roots reach come first."""
    roots = [*loglik, *asks, *priors, *(names.values() if keep_names else ())]
    alive = sorted(reachable(graph.nodes, roots))
    number = {old: new for new, old in enumerate(alive)}
    uses: dict[int, int] = {}
    for root in [] if keep_names else [*loglik, *asks]:
        for old in reachable(graph.nodes, [root]):
            if graph.nodes[old].op.startswith("draw:"):
                column = int(graph.nodes[old].value)
                uses[column] = uses.get(column, 0) + 1
    used = {int(graph.nodes[old].value) for old in alive if graph.nodes[old].op[:5] == "draw:"}
    order = sorted(used, key=lambda column: (-uses.get(column, 0), column))
    renumbered = {old: float(new) for new, old in enumerate(order)}
    flat = {column: name for name, column in columns.items()}
    nodes = []
    for old in alive:
        node = graph.nodes[old]
        value = renumbered[int(node.value)] if node.op[:5] == "draw:" else node.value
        nodes.append(Node(node.op, tuple(number[arg] for arg in node.args), value))
    return Program(
        nodes=tuple(nodes),
        latents=tuple(flat[column] for column in order),
        loglik=tuple(number[i] for i in loglik),
        asks=tuple(number[i] for i in asks),
        ask_priors=tuple(number[i] for i in priors),
        names={name: number[i] for name, i in names.items() if i in number},
    )


def lower(scenario: Scenario) -> Program:
    """Lowers a document to the program of its posterior, dead nodes removed.

    Args:
      scenario: a checked document.

    Returns:
      A program whose `loglik` follows ``scenario.given`` and whose `asks` follow
      ``scenario.ask``. The posterior density over ``z`` is ``N(z; 0, I) * exp(sum loglik)``.

    Example:
      >>> from ppt_jax.scenario.document import parse_scenario
      >>> lower(parse_scenario(document)).latents  # doctest: +SKIP
      ('hot', 'damp')
    """
    lowering = _Lowering(scenario)
    observed = lowering.observe()
    densities = lowering.run_model()
    loglik = [
        lowering.given(given.formula) if name is None else densities[name]
        for given, name in zip(scenario.given, observed)
    ]
    asks = [lowering.value(ask.formula, {}, lowering.posterior) for ask in scenario.ask]
    priors = [lowering.value(ask.formula, {}, lowering.prior) for ask in scenario.ask]
    return pruned(
        lowering.graph, lowering.columns, loglik, asks, priors, lowering.posterior, keep_names=False
    )


def lower_prior(scenario: Scenario) -> Program:
    """Lowers a document with every draw drawn, every node kept and every given left out.

    The program behind prior simulation and replays of a stored truth: `names` holds all draws and
    lets, `loglik` is empty, `asks` and `ask_priors` are the asks' expressions.
    """
    lowering = _Lowering(scenario)
    lowering.run_model()
    asks = [lowering.value(ask.formula, {}, lowering.prior) for ask in scenario.ask]
    return pruned(lowering.graph, lowering.columns, [], asks, asks, lowering.prior, keep_names=True)
