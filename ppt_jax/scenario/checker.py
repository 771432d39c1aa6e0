"""Types one formula: names in scope, index labels, kinds of operands, units, constant faults."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, NoReturn

from ppt_jax.scenario import types
from ppt_jax.scenario.expression import (
    Beats,
    Binary,
    Call,
    Compare,
    Draw,
    Expr,
    ExpressionError,
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
    print_expression,
)
from ppt_jax.scenario.ranges import mixture, share_of_total
from ppt_jax.scenario.suggestions import did_you_mean
from ppt_jax.scenario.types import BOOLEAN, Static

if TYPE_CHECKING:
    from ppt_jax.scenario.document import ModelNode

_UNITED = ("abs", "min", "max", "clip", "round")


@dataclasses.dataclass(frozen=True)
class Checker:
    """The scope of one formula.

    Attributes:
      sets: set name -> members.
      nodes: the nodes that come before, by name.
      typed: their types, and the current node's own where `prev` may ask for it.
      current: the node whose formula this is; None in givens and asks.
      later: names of nodes that come afterwards, for messages.
    """

    sets: Mapping[str, tuple[str, ...]]
    nodes: Mapping[str, ModelNode]
    typed: Mapping[str, Static]
    current: ModelNode | None = None
    later: frozenset[str] = frozenset()
    _memo: dict[tuple[int, tuple[str, ...]], tuple[Expr, Static]] = dataclasses.field(
        default_factory=dict, repr=False, compare=False
    )

    def check(self, expr: Expr, bound: tuple[str, ...]) -> Static:
        """The type of a formula in which the sets `bound` are index variables.

        Raises:
          ExpressionError: it has none, or a constant part is undefined (a division by zero).
        """
        # Ranges of mixtures look at their parts again; without a memo that doubles at each level.
        key = (id(expr), bound)
        if key not in self._memo:
            self._memo[key] = expr, self._check(expr, bound)  # holding `expr` keeps its id its own
        return self._memo[key][1]

    def _check(self, expr: Expr, bound: tuple[str, ...]) -> Static:
        match expr:
            case Number(value=value):
                return types.number(value)
            case Label(text=text):
                return Static("label", set=text)
            case Name():
                return self._name(expr, bound)
            case Index():
                return self._index(expr, bound)
            case Unary(op="-"):
                inner = self.number(expr.operand, bound)
                return types.real(
                    0.0 - inner.high, 0.0 - inner.low, unit=inner.unit, smooth=inner.smooth
                )
            case Unary():
                self.boolean(expr.operand, bound)
                return BOOLEAN
            case Binary():
                return self._binary(expr, bound)
            case Compare():
                return self._compare(expr, bound)
            case Logic():
                for operand in expr.operands:
                    self.boolean(operand, bound)
                return BOOLEAN
            case IfElse():
                return self._if_else(expr, bound)
            case Call():
                return self._call(expr, bound)
            case Reduce():
                return self._reduce(expr, bound)
            case Prev():
                return self._previous(expr, bound)
            case Draw():
                return self._draw(expr, bound)
            case Beats():
                left, right = self.number(expr.left, bound), self.number(expr.right, bound)
                self._same_unit(left, right, "compares", expr.right.at)
                if self.number(expr.noise, bound).high <= 0:
                    _fail("noise must be above 0", expr.noise)
                return BOOLEAN
            case Listing():
                _fail("a list stands only as weights=[...]", expr)

    # -- operands ------------------------------------------------------------------------------

    def number(self, expr: Expr, bound: tuple[str, ...]) -> Static:
        """The type of an operand that must be a number; yes/no counts as 1 and 0."""
        found = self.check(expr, bound)
        if found.kind == "boolean":
            return dataclasses.replace(found, kind="real")
        if found.kind != "real":
            _fail(
                f"wants a number, but {_shown(expr)} is {_kind(found)}; members of sets only "
                "index nodes and are compared",
                expr,
            )
        return found

    def boolean(self, expr: Expr, bound: tuple[str, ...]) -> Static:
        """The type of an operand that must be true or false."""
        found = self.check(expr, bound)
        if found.kind != "boolean":
            _fail(
                f"wants yes or no, but {_shown(expr)} is {_kind(found)}; compare it with "
                "something, as in x > 0",
                expr,
            )
        return found

    def _same_unit(self, a: Static, b: Static, verb: str, at: int) -> None:
        if a.unit and b.unit and a.unit != b.unit:
            raise ExpressionError(f"this {verb} {a.unit!r} with {b.unit!r}", at)

    # -- names ---------------------------------------------------------------------------------

    def _node(self, name: str, at: int) -> ModelNode:
        if name in self.nodes:
            return self.nodes[name]
        if self.current is not None and name == self.current.name:
            raise ExpressionError(
                f"{name!r} uses itself; the element before is prev({name}, first=...)", at
            )
        if name in self.later:
            raise ExpressionError(f"{name!r} is defined only further down; move it up", at)
        if name in self.sets:
            raise ExpressionError(
                f"the set {name!r} is an index only in nodes that are `per` it, and inside "
                f"total(..., {name}) or average(..., {name})",
                at,
            )
        known = (*self.nodes, *self.sets)
        raise ExpressionError(f"unknown name {name!r}{did_you_mean(name, known)}", at)

    def _name(self, expr: Name, bound: tuple[str, ...]) -> Static:
        if expr.name in bound:
            return Static("member", set=expr.name)
        node = self._node(expr.name, expr.at)
        if node.per:
            _fail(
                f"{expr.name!r} has one value per {' and '.join(node.per)}; write "
                f"{expr.name}[{', '.join(node.per)}] or name the members in quotes",
                expr,
            )
        return self.typed[expr.name]

    def _index(self, expr: Index, bound: tuple[str, ...]) -> Static:
        node = self._node(expr.name, expr.at)
        if len(expr.indices) != len(node.per):
            wants = f"{expr.name}[{', '.join(node.per)}]" if node.per else f"{expr.name} alone"
            _fail(f"{expr.name!r} takes {len(node.per)} indices; write {wants}", expr)
        for index, set_name in zip(expr.indices, node.per):
            if isinstance(index, Label):
                self._member(index, set_name)
            elif isinstance(index, Name):
                self._index_name(index, set_name, bound)
        return self.typed[expr.name]

    def _member(self, label: Label, set_name: str) -> None:
        if label.text not in self.sets[set_name]:
            _fail(
                f"{label.text!r} is not in the set {set_name!r}"
                f"{did_you_mean(label.text, self.sets[set_name])}",
                label,
            )

    def _index_name(self, index: Name, set_name: str, bound: tuple[str, ...]) -> None:
        if index.name in bound:
            if index.name != set_name:
                _fail(f"this index is of the set {set_name!r}, not of {index.name!r}", index)
            return
        if index.name in self.sets[set_name] and index.name not in self.nodes:
            _fail(f"write the member {index.name!r} in quotes", index)
        node = self._node(index.name, index.at)
        if node.per or not isinstance(node.formula, Draw) or node.formula.family != "pick":
            _fail(
                f"an index is a quoted member, the set {set_name!r}, or a node drawn by "
                f"pick({set_name}) without `per`",
                index,
            )
        if node.formula.set != set_name:
            _fail(f"{index.name!r} picks from {node.formula.set!r}, not from {set_name!r}", index)

    def _previous(self, expr: Prev, bound: tuple[str, ...]) -> Static:
        if self.current is None or not self.current.per:
            _fail("prev(...) is only for formulas of nodes that are `per` an ordered set", expr)
        along = self.current.per[-1]
        itself = expr.name == self.current.name
        node = self.current if itself else self._node(expr.name, expr.at)
        if along not in node.per or any(name not in self.current.per for name in node.per):
            _fail(
                f"prev(...) steps along {along!r}, the last set of `per`; {expr.name!r} is per "
                f"{list(node.per)}, which does not fit per {list(self.current.per)}",
                expr,
            )
        first = self.check(expr.first, bound)
        if itself and expr.name not in self.typed:
            # A `let` that steps from itself: of its first value's kind, anywhere in range.
            if first.kind not in ("real", "boolean"):
                _fail("the first value is a number or yes/no", expr.first)
            return first if first.kind == "boolean" else types.real(-types.INF, types.INF)
        return self._either(self.typed[expr.name], first, expr.first)

    def _either(self, a: Static, b: Static, blame: Expr) -> Static:
        """The type of a value that is one or the other."""
        if a.kind == b.kind == "member" and a.set == b.set:
            return a
        if a.kind == "member" and b.kind == "label":
            self._member(Label(b.set, blame.at), a.set)
            return a
        if a.kind == b.kind == "boolean":
            return BOOLEAN
        if a.kind == "boolean" and b.constant in (0, 1):
            return BOOLEAN
        if not {a.kind, b.kind} <= {"real", "boolean"}:
            _fail(f"mixes {_kind(a)} with {_kind(b)}", blame)
        self._same_unit(a, b, "mixes", blame.at)
        return types.join(a, b)

    # -- operators -----------------------------------------------------------------------------

    def _binary(self, expr: Binary, bound: tuple[str, ...]) -> Static:
        a, b = self.number(expr.left, bound), self.number(expr.right, bound)
        if expr.op in "+-":
            verb = "adds" if expr.op == "+" else "subtracts"
            self._same_unit(a, b, verb, expr.right.at)
            result = types.add(a, b, 1 if expr.op == "+" else -1)
        elif expr.op == "*":
            result = types.multiply(a, b)
        elif expr.op == "/":
            if b.constant == 0:
                _fail(f"division by zero: {_shown(expr.right)} is 0", expr.right)
            result = types.divide(a, b)
        else:
            if a.constant == 0 and b.high < 0:
                _fail("division by zero: 0 to a negative power", expr)
            if a.high < 0 and b.constant is not None and b.constant % 1:
                _fail("a negative number has no such power", expr)
            result = types.power(a, b)
        _finite(expr, result, a, b)
        return self._narrowed(expr, result, bound)

    def _narrowed(self, expr: Binary, result: Static, bound: tuple[str, ...]) -> Static:
        """Ranges that interval arithmetic alone cannot see: mixtures, shares of a whole."""
        if result.probability or (result.low < -1e-9 and expr.op == "/"):
            return result
        low_high = mixture(expr, lambda part: self.number(part, bound))
        if low_high is None and expr.op == "/" and result.low >= 0:
            inside = share_of_total(expr, lambda part: self.number(part, bound))
            low_high = (0.0, 1.0) if inside else None
        if low_high is None:
            return result
        low, high = max(low_high[0], result.low), min(low_high[1], result.high)
        return dataclasses.replace(result, low=low, high=high)

    def _compare(self, expr: Compare, bound: tuple[str, ...]) -> Static:
        a, b = self.check(expr.left, bound), self.check(expr.right, bound)
        kinds = {a.kind, b.kind}
        if kinds == {"label"}:
            _fail("two quoted labels tell nothing; name a pick-draw or an index", expr)
        if kinds == {"member", "label"}:
            member, label = (a, expr.right) if a.kind == "member" else (b, expr.left)
            assert isinstance(label, Label)
            self._member(label, member.set)
        elif kinds == {"member"}:
            if a.set != b.set:
                _fail(f"compares a member of {a.set!r} with one of {b.set!r}", expr.right)
        elif not kinds <= {"real", "boolean"}:
            _fail(f"compares {_kind(a)} with {_kind(b)}", expr.right)
        else:
            self._same_unit(a, b, "compares", expr.right.at)
            self._yes_no_constant(a, b, expr.right)
            self._yes_no_constant(b, a, expr.left)
            if expr.op in ("==", "!="):
                for x, y in ((a, b), (b, a)):
                    if x.smooth and y.constant is not None:
                        _fail(
                            "a quantity without steps is never exactly one number; only a "
                            "`given` of its own can observe a draw with ==, else compare with "
                            "< or >",
                            expr,
                        )
        return BOOLEAN

    def _yes_no_constant(self, a: Static, b: Static, blame: Expr) -> None:
        if a.kind == "boolean" and b.constant is not None and b.constant not in (0, 1):
            _fail("a yes/no value is 1 or 0", blame)

    def _if_else(self, expr: IfElse, bound: tuple[str, ...]) -> Static:
        self.boolean(expr.test, bound)
        then, orelse = self.check(expr.then, bound), self.check(expr.orelse, bound)
        for found, part in ((then, expr.then), (orelse, expr.orelse)):
            if found.kind in ("member", "label"):
                _fail(
                    f"{_shown(part)} is {_kind(found)}; if/else chooses between numbers or "
                    "yes/no values, members are only picked and compared",
                    part,
                )
        if then.kind == orelse.kind == "boolean":
            return BOOLEAN
        self._same_unit(then, orelse, "mixes", expr.orelse.at)
        return types.join(then, orelse)

    def _call(self, expr: Call, bound: tuple[str, ...]) -> Static:
        args = [self.number(arg, bound) for arg in expr.args]
        if expr.function in _UNITED:
            for arg, part in zip(args[1:], expr.args[1:]):
                self._same_unit(args[0], arg, "compares", part.at)
        if expr.function in types.ONE_ARGUMENT:
            if expr.function == "log" and args[0].high <= 0:
                _fail(f"log wants something above 0, {_shown(expr.args[0])} never is", expr.args[0])
            if expr.function == "sqrt" and args[0].high < 0:
                _fail(f"sqrt wants at least 0, {_shown(expr.args[0])} never is", expr.args[0])
            result = types.ONE_ARGUMENT[expr.function](args[0])
        elif expr.function == "clip":
            if args[1].low > args[2].high:
                _fail("clip(x, low, high) has its low end above its high end", expr.args[1])
            result = types.extreme(types.extreme(args[0], args[1], max), args[2], min)
            result = dataclasses.replace(result, smooth=False)
        else:
            which = min if expr.function == "min" else max
            result = functools.reduce(lambda a, b: types.extreme(a, b, which), args)
        _finite(expr, result, *args)
        return result

    def _reduce(self, expr: Reduce, bound: tuple[str, ...]) -> Static:
        if expr.set not in self.sets:
            _fail(f"{expr.set!r} is not a set{did_you_mean(expr.set, self.sets)}", expr)
        if expr.set in bound:
            _fail(
                f"{expr.set!r} is already an index here; put this {expr.function} into a let of "
                "its own",
                expr,
            )
        body = self.number(expr.body, (*bound, expr.set))
        return types.repeat(body, len(self.sets[expr.set]), expr.function == "average")

    # -- draws ---------------------------------------------------------------------------------

    def _draw(self, expr: Draw, bound: tuple[str, ...]) -> Static:
        if expr.family == "pick":
            return self._pick(expr, bound)
        arguments = {name: self.number(value, bound) for name, value in expr.args}
        for name, value in expr.args:
            rule = types.ARGUMENT_DOMAINS.get((expr.family, name))
            if rule is not None:
                self._in_domain(expr.family, name, rule, value, bound)
        n = arguments.get("n")
        if n is not None and n.constant is not None and n.constant % 1:
            _fail("successes(n=...) wants a whole number n", expr.argument("n"))
        if expr.family == "uniform" and arguments["low"].low >= arguments["high"].high:
            _fail("uniform(low=, high=) wants low below high", expr.argument("low"))
        unit = self.current.unit if self.current is not None else ""
        return types.family(expr.family, arguments, unit, None)

    def _in_domain(
        self, family: str, name: str, rule: types.Domain, value: Expr, bound: tuple[str, ...]
    ) -> None:
        """Checks an argument's range; of an if/else, each branch by itself."""
        if isinstance(value, IfElse):
            self._in_domain(family, name, rule, value.then, bound)
            self._in_domain(family, name, rule, value.orelse, bound)
            return
        words, holds = rule
        found = self.number(value, bound)
        if not holds(found):
            shown = "it is" if found.constant is not None else f"{_shown(value)} is always"
            range_ = (
                f"{found.constant:g}"
                if found.constant is not None
                else f"in {found.low:g} to {found.high:g}"
            )
            _fail(f"{family}({name}=...) must be {words}, here {shown} {range_}", value)

    def _pick(self, expr: Draw, bound: tuple[str, ...]) -> Static:
        set_name = expr.set or ""
        if set_name not in self.sets:
            _fail(f"{set_name!r} is not a set{did_you_mean(set_name, self.sets)}", expr)
        for _, listing in expr.args:
            assert isinstance(listing, Listing)
            size = len(self.sets[set_name])
            if len(listing.items) != size:
                _fail(
                    f"{set_name!r} has {size} members, here are {len(listing.items)} weights",
                    listing,
                )
            weights = [self.number(item, bound) for item in listing.items]
            for item, weight in zip(listing.items, weights):
                if weight.high < 0:
                    _fail("a weight is at least 0", item)
            if all(weight.constant == 0 for weight in weights):
                _fail("at least one weight must be above 0", listing)
        return types.family("pick", {}, "", set_name)


def _finite(expr: Expr, result: Static, *args: Static) -> None:
    if all(arg.constant is not None for arg in args) and not (
        math.isfinite(result.low) and math.isfinite(result.high)
    ):
        _fail(f"{_shown(expr)} is too large a number", expr)


def _fail(message: str, expr: Expr) -> NoReturn:
    raise ExpressionError(message, expr.at)


def _shown(expr: Expr) -> str:
    text = print_expression(expr)
    return text if len(text) <= 40 else text[:37] + "..."


def _kind(found: Static) -> str:
    match found.kind:
        case "real":
            return "a number"
        case "boolean":
            return "a yes/no value"
        case "member":
            return f"a member of {found.set!r}"
    return f"the label {found.set!r}"
