"""Any scenario as a readable NumPyro program.

The text is for people and for audits. Nothing that a document says can become code in it: names
are identifiers by the document's own rules and are kept apart from Python's, labels and observed
values are printed as literals, and free text stands only in comments, without line breaks.
"""

from __future__ import annotations

import builtins
import keyword
import textwrap
from collections.abc import Iterable

from ppt_jax.scenario.checker import Checker
from ppt_jax.scenario.document import ModelNode, Scenario, flat_name
from ppt_jax.scenario.expression import (
    Beats,
    Binary,
    Call,
    Compare,
    Draw,
    Expr,
    IfElse,
    Index,
    Label,
    Listing,
    Logic,
    Name,
    Number,
    Prev,
    Reduce,
    Unary,
    walk,
)
from ppt_jax.scenario.observed import observed_draw
from ppt_jax.scenario.validate import static_types

_WIDTH = 96
_TAKEN = frozenset(
    {*dir(builtins), *keyword.kwlist, *keyword.softkwlist}
    | {"jax", "jnp", "numpyro", "dist", "model", "before", "OBSERVED"}
)
# How tightly generated Python binds, from an argument by itself to a name or call.
_ARGUMENT, _COMPARE, _SUM, _PRODUCT, _MINUS, _POWER, _ATOM = range(7)
_LEVELS = {"+": _SUM, "-": _SUM, "*": _PRODUCT, "/": _PRODUCT, "**": _POWER}
_FUNCTIONS = {
    "exp": "jnp.exp",
    "log": "jnp.log",
    "sqrt": "jnp.sqrt",
    "abs": "jnp.abs",
    "sigmoid": "jax.nn.sigmoid",
    "clip": "jnp.clip",
    "round": "jnp.round",
}
_WHOLE = frozenset({"yes", "pick", "count", "successes"})
# NumPyro's own parameterisation of each family; {x} is the formula of argument x,
# {x_tight} the same, fit to stand beside a division sign.
_DISTRIBUTIONS = {
    "normal": "dist.Normal(loc={mean}, scale={sd})",
    "lognormal": "dist.LogNormal(loc=jnp.log({median}), scale={spread})",
    "gamma": "dist.Gamma(concentration={shape}, rate={shape_tight} / {mean_tight})",
    "beta": "dist.Beta(concentration1={a}, concentration0={b})",
    "share": "dist.BetaProportion(mean={mean}, concentration={strength})",
    "uniform": "dist.Uniform(low={low}, high={high})",
    "wait": "dist.Exponential(rate=1.0 / {mean_tight})",
    "robust": "dist.StudentT(df={df}, loc={mean}, scale={sd})",
    "count": "dist.Poisson(rate={rate})",
    "successes": "dist.Binomial(total_count={n}, probs={p})",
    "yes": "dist.Bernoulli(probs={p})",
}


def to_numpyro_source(scenario: Scenario) -> str:
    """Prints a scenario as a Python module with one NumPyro model, `model()`.

    Sites are named as everywhere: draws and lets by flat name (``power[Juno]``), givens that are
    not observed draws as factors ``given 0``, asks as deterministic ``ask <id>``. Yes/no sites are
    Bernoulli (0 or 1), picks are Categorical over the members' positions. A violated hard fact is
    a factor of minus infinity, so such a model is for weighting, not for gradients.

    Args:
      scenario: a checked document.

    Returns:
      The source text; it needs only `jax` and `numpyro`.

    Example:
      >>> from ppt_jax.scenario.document import parse_scenario
      >>> s = parse_scenario({
      ...     "schema": "scenario/1", "id": "coin-1", "motif": "coin_rate", "story": "A coin.",
      ...     "model": [{"name": "p", "kind": "draw", "expr": "beta(a=2, b=1)"}],
      ...     "ask": [{"id": "q1", "kind": "chance", "expr": "p", "text": "Heads?"}]})
      >>> print(to_numpyro_source(s).partition("def model():")[2])
      <BLANKLINE>
          # p: beta(a=2, b=1)
          p = numpyro.sample("p", dist.Beta(concentration1=2.0, concentration0=1.0))
      <BLANKLINE>
          # Heads?
          numpyro.deterministic("ask q1", p)
      <BLANKLINE>
    """
    return _Writer(scenario).module()


def _comment(text: str, indent: str = "") -> list[str]:
    """Free text as comment lines: whatever could end a line becomes a blank."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return [f"{indent}# {line}" for line in textwrap.wrap(flat, _WIDTH - len(indent) - 2)]


def _quoted(text: str) -> str:
    """A string literal, in double quotes where that needs no escapes."""
    literal = repr(text)
    return f'"{text}"' if literal[1:-1] == text and '"' not in text else literal


class _Writer:
    """Prints one scenario."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.sets = {named.name: named.members for named in scenario.sets}
        self.nodes = {node.name: node for node in scenario.model}
        self.typed = static_types(scenario)
        taken = set(_TAKEN)
        self.constants = {name: _free(name.upper(), taken) for name in self.sets}
        self.names = {name: _free(name, taken) for name in (*self.sets, *self.nodes)}
        self.taken = frozenset(taken)
        self.observed = self._observations()
        self.checker = Checker(self.sets, self.nodes, self.typed)

    def _observations(self) -> dict[str, tuple[str, str, str]]:
        """Flat name -> (node name, value as Python, what the document says of it)."""
        found = {}
        checker = Checker(self.sets, self.nodes, self.typed)
        for given in self.scenario.given:
            seen = observed_draw(self.scenario, given.formula)
            if seen is None:
                continue
            node, labels, value = seen
            assert isinstance(node.formula, Draw)
            if isinstance(value, Label):
                number = float(self.sets[node.formula.set or ""].index(value.text))
            else:
                number = checker.number(value, ()).low
            whole = node.formula.family in _WHOLE
            text = str(int(number)) if whole else repr(number)
            says = f"{given.that}: {given.says}" if given.says else given.that
            found[flat_name(node.name, labels)] = (node.name, text, says)
        return found

    # -- layout --------------------------------------------------------------------------------

    def module(self) -> str:
        scenario = self.scenario
        body: list[str] = []
        for node in scenario.model:
            body += ["", *self.node(node)]
        for i, given in enumerate(scenario.given):
            if observed_draw(scenario, given.formula) is None:
                body += ["", *self.given(i, given.formula, f"{given.that}: {given.says}")]
        for ask in scenario.ask:
            value = self.text(ask.formula)
            body += ["", *_comment(ask.text, "    ")]
            body += [f'    numpyro.deterministic("ask {ask.id}", {value})']
        uses = "\n".join(line for line in body if not line.lstrip().startswith("#"))
        title = f"{scenario.id} ({scenario.motif.replace('_', ' ')})"
        head = [*_comment(title), "#", *_comment(scenario.story), ""]
        head += ["import jax"] * ("jax.nn" in uses) + ["import jax.numpy as jnp"]
        head += ["import numpyro", "import numpyro.distributions as dist", ""]
        for name, members in self.sets.items():
            inside = ", ".join(map(_quoted, members))
            head.append(f"{self.constants[name]} = ({inside}{',' * (len(members) == 1)})")
        if self.observed:
            head.append("OBSERVED = {")
            for flat, (_, value, says) in self.observed.items():
                head += [*_comment(says, "    "), f"    {_quoted(flat)}: {value},"]
            head.append("}")
            head.append("OBSERVED = {site: jnp.asarray(value) for site, value in OBSERVED.items()}")
        if "before(" in uses:
            head += ["", "", "def before(members, member):"]
            head += ["    return members[members.index(member) - 1]"]
        return "\n".join([*head, "", "", "def model():", *body[1:], ""])

    def node(self, node: ModelNode) -> list[str]:
        unit = f" [{node.unit}]" if node.unit else ""
        per = f", per {' and '.join(node.per)}" if node.per else ""
        lines = _comment(f"{node.name}{per}{unit}: {node.expr}", "    ")
        lines += _comment(f'"{node.says}"', "    ") if node.says else []
        self.checker = Checker(self.sets, self.nodes, self.typed, node)
        name, indent = self.names[node.name], "    "
        target = name
        if node.per:
            lines.append(f"{indent}{name} = {{}}")
            for set_name in node.per:
                lines.append(f"{indent}for {self.names[set_name]} in {self.constants[set_name]}:")
                indent += "    "
            target = f"{name}[{', '.join(self.names[s] for s in node.per)}]"
        labels = ",".join(f"{{{self.names[s]}}}" for s in node.per)
        site = f'f"{node.name}[{labels}]"' if node.per else f'"{node.name}"'
        if isinstance(node.formula, Draw):
            setup, distribution = self.distribution(node.formula, node.per, f"{name}_weights")
            lines += [indent + line for line in setup]
            arguments = [site, distribution]
            if any(owner == node.name for owner, _, _ in self.observed.values()):
                arguments.append(f"obs=OBSERVED.get({site})")
            lines += _call(indent, f"{target} = numpyro.sample", arguments)
        else:
            value = self.array(node.formula, node.per)
            lines += _call(indent, f"{target} = numpyro.deterministic", [site, value])
        self.checker = Checker(self.sets, self.nodes, self.typed)
        return lines

    def given(self, place: int, formula: Expr, says: str) -> list[str]:
        lines = _comment(says.removesuffix(": "), "    ")
        if isinstance(formula, Beats):
            left, right = self.number(formula.left, _SUM), self.number(formula.right, _PRODUCT)
            difference = f"({left} - {right}) / {self.number(formula.noise, _MINUS)}"
            value = f"jax.nn.log_sigmoid({difference})"
        else:
            value = f"jnp.where({self.text(formula)}, 0.0, -jnp.inf)"
        return [*lines, *_call("    ", "numpyro.factor", [f'"given {place}"', value])]

    # -- distributions -------------------------------------------------------------------------

    def distribution(
        self, draw: Draw, bound: tuple[str, ...], weights_name: str
    ) -> tuple[list[str], str]:
        """Lines that come before, and the distribution itself."""
        if draw.family != "pick":
            arguments = {name: self.number(e, _ARGUMENT, bound) for name, e in draw.args}
            if draw.family == "successes":  # NumPyro indexes a table by it
                arguments["n"] = self.whole(draw.argument("n"), bound)
            arguments |= {f"{name}_tight": self.number(e, _MINUS, bound) for name, e in draw.args}
            return [], _DISTRIBUTIONS[draw.family].format(**arguments)
        size = len(self.sets[draw.set or ""])
        if not draw.args:
            return [], f"dist.Categorical(probs=jnp.full({size}, 1 / {size}))"
        listing = draw.argument("weights")
        assert isinstance(listing, Listing)
        items = ", ".join(self.number(item, _ARGUMENT, bound) for item in listing.items)
        weights = _free(weights_name, self.taken)
        if all(isinstance(item, Number) for item in listing.items):
            setup = f"{weights} = jnp.array([{items}])"
        else:
            setup = f"{weights} = jnp.stack(jnp.broadcast_arrays({items}), axis=-1)"
        share = f"{weights} / jnp.sum({weights}, axis=-1, keepdims=True)"
        return [setup], f"dist.Categorical(probs={share})"

    # -- formulas ------------------------------------------------------------------------------

    def text(self, expr: Expr, bound: tuple[str, ...] = (), least: int = _ARGUMENT) -> str:
        """The formula as Python, in parentheses where it binds less tightly than `least`."""
        text, level = self.expression(expr, bound)
        return text if level >= least else f"({text})"

    def array(self, expr: Expr, bound: tuple[str, ...]) -> str:
        """The formula, made an array where nothing in it is one (Python divides differently)."""
        text = self.text(expr, bound)
        return f"jnp.asarray({text})" if self.constant(expr, bound) else text

    def constant(self, expr: Expr, bound: tuple[str, ...]) -> bool:
        """Whether no draw or let is in it, so that Python itself would compute it."""
        inner = {*bound, *(part.set for part in walk(expr) if isinstance(part, Reduce))}
        return not any(
            isinstance(part, Index | Prev) or (isinstance(part, Name) and part.name not in inner)
            for part in walk(expr)
        )

    def number(self, expr: Expr, least: int, bound: tuple[str, ...] = ()) -> str:
        """The formula where a number is wanted: yes/no becomes 1.0 or 0.0."""
        if self.checker.check(expr, bound).kind == "boolean":
            text = f"1.0 * {self.text(expr, bound, _MINUS)}"
            return text if least <= _PRODUCT else f"({text})"
        return self.text(expr, bound, least)

    def real(self, expr: Expr, least: int, bound: tuple[str, ...]) -> str:
        """As `number`; a whole-number draw becomes a float, which does not overflow at 2**31."""
        node = self.nodes.get(expr.name) if isinstance(expr, Name | Index | Prev) else None
        if node is not None and isinstance(node.formula, Draw) and node.formula.family in _WHOLE:
            text = f"1.0 * {self.text(expr, bound, _MINUS)}"
            return text if least <= _PRODUCT else f"({text})"
        return self.number(expr, least, bound)

    def whole(self, expr: Expr, bound: tuple[str, ...]) -> str:
        """The formula as a whole number."""
        constant = self.checker.check(expr, bound).constant
        if constant is not None:
            return str(int(constant))
        text = self.number(expr, _ARGUMENT, bound)
        node = self.nodes.get(expr.name) if isinstance(expr, Name | Index) else None
        drawn = node is not None and isinstance(node.formula, Draw)
        return text if drawn else f"jnp.asarray({text}, int)"

    def expression(self, expr: Expr, bound: tuple[str, ...]) -> tuple[str, int]:
        """The formula as Python and how tightly it binds."""
        match expr:
            case Number(value=value):
                return repr(value), _ATOM if value >= 0 else _MINUS
            case Name(name=name) if name in bound:
                return f"{self.constants[name]}.index({self.names[name]})", _ATOM
            case Name(name=name):
                return self.names[name], _ATOM
            case Index(name=name, indices=indices):
                return self.element(self.nodes[name], indices, bound), _ATOM
            case Unary(op="-", operand=operand):
                return f"-{self.number(operand, _MINUS, bound)}", _MINUS
            case Unary(operand=operand):
                return f"jnp.logical_not({self.text(operand, bound)})", _ATOM
            case Binary():
                return self.binary(expr, bound)
            case Compare(op=op, left=left, right=right):
                sides = (self.side(left, right, bound), self.side(right, left, bound))
                text = f"{sides[0]} {op} {sides[1]}"
                if self.constant(expr, bound):
                    return f"jnp.asarray({text})", _ATOM
                return text, _COMPARE
            case Logic(op=op, operands=operands):
                parts = [self.text(part, bound) for part in operands]
                return _nested(f"jnp.logical_{op}", parts), _ATOM
            case IfElse(test=test, then=then, orelse=orelse):
                kinds = {self.checker.check(part, bound).kind for part in (then, orelse)}
                branches = [
                    self.text(part, bound)
                    if kinds == {"boolean"}
                    else self.number(part, _ARGUMENT, bound)
                    for part in (then, orelse)
                ]
                return f"jnp.where({self.text(test, bound)}, {branches[0]}, {branches[1]})", _ATOM
            case Call(function=function, args=args):
                parts = [self.number(arg, _ARGUMENT, bound) for arg in args]
                if function in ("min", "max"):
                    return _nested(f"jnp.{function}imum", parts), _ATOM
                return f"{_FUNCTIONS[function]}({', '.join(parts)})", _ATOM
            case Reduce(function=function, body=body, set=over):
                return self.reduction(function, body, over, bound)
            case Prev(name=name, first=first):
                return self.previous(name, first, bound), _ATOM
        raise AssertionError(f"{type(expr).__name__} is not an expression")

    def binary(self, expr: Binary, bound: tuple[str, ...]) -> tuple[str, int]:
        level = _LEVELS[expr.op]
        left_least, right_least = level, level + 1
        if expr.op == "**":
            left_least, right_least = _ATOM, _MINUS
        left = self.real(expr.left, left_least, bound)
        return f"{left} {expr.op} {self.real(expr.right, right_least, bound)}", level

    def side(self, expr: Expr, other: Expr, bound: tuple[str, ...]) -> str:
        """One side of a comparison; members are compared by position."""
        if isinstance(expr, Label):
            return self.position(expr.text, self.checker.check(other, bound).set)
        return self.text(expr, bound, _SUM)

    def position(self, label: str, set_name: str) -> str:
        return f"{self.constants[set_name]}.index({_quoted(label)})"

    def element(self, node: ModelNode, indices: tuple[Expr, ...], bound: tuple[str, ...]) -> str:
        """One element of a node; an index that is drawn selects from the stacked elements."""
        keys: list[str] = []
        picks: list[tuple[str, str, str]] = []
        for index, set_name in zip(indices, node.per):
            if isinstance(index, Label):
                keys.append(_quoted(index.text))
            elif isinstance(index, Name) and index.name in bound:
                keys.append(self.names[index.name])
            else:
                assert isinstance(index, Name)
                variable = _free(f"{set_name}_", self.taken)
                keys.append(variable)
                picks.append((variable, self.constants[set_name], self.names[index.name]))
        text = f"{self.names[node.name]}[{', '.join(keys)}]"
        for variable, members, drawn in reversed(picks):
            text = f"jnp.stack([{text} for {variable} in {members}])[{drawn}]"
        return text

    def reduction(
        self, function: str, body: Expr, over: str, bound: tuple[str, ...]
    ) -> tuple[str, int]:
        inner = self.number(body, _ARGUMENT, (*bound, over))
        total = f"sum({inner} for {self.names[over]} in {self.constants[over]})"
        if function == "total":
            return total, _ATOM
        return f"{total} / {len(self.sets[over])}", _PRODUCT

    def previous(self, name: str, first: Expr, bound: tuple[str, ...]) -> str:
        current = self.checker.current
        assert current is not None
        along = current.per[-1]
        members, variable = self.constants[along], self.names[along]
        node = self.nodes[name]
        keys = [
            f"before({members}, {variable})" if set_name == along else self.names[set_name]
            for set_name in node.per
        ]
        if isinstance(first, Label):
            assert isinstance(node.formula, Draw)
            start = self.position(first.text, node.formula.set or "")
        else:
            start = self.array(first, bound)
        element = f"{self.names[name]}[{', '.join(keys)}]"
        return f"({element} if {variable} != {members}[0] else {start})"


def _free(name: str, taken: set[str] | frozenset[str]) -> str:
    """The name, with as many '_' behind it as it takes to be free; marked as taken."""
    while name in taken:
        name += "_"
    if isinstance(taken, set):
        taken.add(name)
    return name


def _nested(function: str, parts: Iterable[str]) -> str:
    """A function of two arguments applied to many, from the left."""
    first, *rest = parts
    for part in rest:
        first = f"{function}({first}, {part})"
    return first


def _call(indent: str, function: str, arguments: list[str]) -> list[str]:
    line = f"{indent}{function}({', '.join(arguments)})"
    if len(line) <= _WIDTH:
        return [line]
    return [f"{indent}{function}(", *(f"{indent}    {a}," for a in arguments), f"{indent})"]
