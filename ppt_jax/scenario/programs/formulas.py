"""Python expressions of a model function as formulas of the scenario language."""

from __future__ import annotations

import ast
import collections
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn

from ppt_jax.scenario.programs.elements import Elements
from ppt_jax.scenario.programs.module import MAX_DEPTH, NotConstant
from ppt_jax.scenario.programs.values import Constant, Container, Group, Inside, Member
from ppt_jax.scenario.syntax import (
    Binary,
    Call,
    Compare,
    Expr,
    IfElse,
    Index,
    Label,
    Listing,
    Logic,
    Name,
    Number,
    Reduce,
    Unary,
    walk,
)

_OPERATORS: Final = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**"}
_COMPARISONS: Final = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
}
_ONE: Final = {
    **{name: name for name in ("exp", "log", "sqrt", "abs", "round", "sigmoid")},
    "fabs": "abs",
    "absolute": "abs",
    "expit": "sigmoid",
}
_PASS: Final = frozenset({"asarray", "array", "tensor", "as_tensor", "float"})
_BUILTINS: Final = frozenset({"abs", "min", "max", "sum", "round", "float"})
_INSTEAD: Final = {
    "dot": "sum(a[i] * b[i] for i in SET)",
    "matmul": "sum(a[i] * b[i] for i in SET)",
    "cumsum": "a loop with x[t - 1] if t > 0 else start",
    "tanh": "2 * jax.nn.sigmoid(2 * x) - 1",
    "log1p": "jnp.log(1 + x)",
    "expm1": "jnp.exp(x) - 1",
}


class Formulas(Elements):
    """Reads expressions; lives for one model function."""

    # -- expressions ---------------------------------------------------------------------------

    def expr(self, node: ast.expr, depth: int = 0) -> Expr:
        """The formula of an expression.

        Raises:
          ProgramError: it has no counterpart in the language.
        """
        if depth > MAX_DEPTH:
            self.refuse(f"nested more than {MAX_DEPTH} deep", node)
        try:
            return self.literal(self.constant(node), node)
        except NotConstant:
            pass
        deeper = depth + 1
        match node:
            case ast.Name(id=name):
                return self.variable(name, node)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return Unary("-", self.expr(operand, deeper))
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.expr(operand, deeper)
            case ast.UnaryOp(op=ast.Not() | ast.Invert(), operand=operand):
                return Unary("not", self.expr(operand, deeper))
            case ast.BinOp(op=ast.BitAnd() | ast.BitOr() as op, left=left, right=right):
                word = "and" if isinstance(op, ast.BitAnd) else "or"
                return Logic(word, (self.expr(left, deeper), self.expr(right, deeper)))
            case ast.BinOp(op=op, left=left, right=right) if type(op) in _OPERATORS:
                symbol = _OPERATORS[type(op)]
                return Binary(symbol, self.expr(left, deeper), self.expr(right, deeper))
            case ast.BoolOp(op=op, values=values):
                word = "and" if isinstance(op, ast.And) else "or"
                return Logic(word, tuple(self.expr(value, deeper) for value in values))
            case ast.Compare():
                return self.comparison(node, deeper)
            case ast.IfExp(test=test, body=then, orelse=orelse):
                start = self.first_step(test)
                if start is not None:
                    first, rest = (then, orelse) if start else (orelse, then)
                    return self.recursion(first, rest, deeper)
                return self.choice(test, then, orelse, deeper)
            case ast.Subscript():
                return self.element(node, deeper)
            case ast.Call():
                return self.call(node, deeper)
            case ast.List() | ast.Tuple():
                return self.listing(node.elts, deeper)
        self.refuse(f"{ast.unparse(node)[:60]!r} has no counterpart in the scenario language", node)

    def listing(self, items: Sequence[ast.expr], depth: int) -> Listing:
        """A list of formulas, none of them a list."""
        made = tuple(self.expr(item, depth) for item in items)
        for item, found in zip(items, made):
            if isinstance(found, Listing):
                self.refuse("a list of lists has no counterpart in the scenario language", item)
        return Listing(made)

    def literal(self, value: Any, node: ast.AST) -> Expr:
        """A constant as a formula; a list inside a plate is a table over its members."""
        if isinstance(value, bool):
            return Number(float(value))
        if isinstance(value, int | float):
            if not abs(value) <= 1e15:
                self.refuse("numbers go up to 1e15", node)
            number = Number(abs(float(value)))
            return number if value >= 0 else Unary("-", number)
        if isinstance(value, list) and all(isinstance(item, int | float) for item in value):
            self.module.spend(len(value), node)
            for group in self.plates[:1]:  # an array lies along the outermost plate
                if len(group.members) == len(value):
                    return self.by_member(group, lambda k: self.literal(value[k], node))
            return Listing(tuple(self.literal(item, node) for item in value))
        self.refuse("a number is wanted here", node)

    def by_member(self, group: Group, make: Callable[[int], Expr]) -> Expr:
        """One formula for each member, as nested choices; equal ones are written once."""
        if len(group.members) > 60:
            self.refuse_long(group)
        self.module.spend(len(group.members), ast.Pass())
        made = [make(k) for k in range(len(group.members))]
        last = collections.Counter(made).most_common(1)[0][0]
        written = last
        for k in reversed(range(len(made))):
            if made[k] != last:
                test = Compare("==", Name(group.name), Label(group.members[k]))
                written = IfElse(test, made[k], written)
        return written

    def refuse_long(self, group: Group) -> NoReturn:
        """Raises: a table over too many members."""
        raise self.module.error(
            f"a table over {len(group.members)} members makes too long a formula; at most 60",
            ast.Pass(),
        )

    def variable(self, name: str, node: ast.expr) -> Expr:
        """What a name stands for."""
        value = self.names.get(name)
        match value:
            case None:
                self.refuse(f"unknown name {name[:60]!r}", node)
            case Member(group=group):
                return Name(group.name)
            case Inside():
                self.refuse(
                    f"{name!r} changes inside a loop; keep its elements: {name} = {{}} before it, "
                    f"{name}[i] = ... inside, and {name}[i - 1] if i > 0 else start for the last",
                    node,
                )
            case Container(node=None) | Group() | Constant():
                self.refuse(f"{name!r} stands for no single quantity here", node)
            case Container(node=filled):
                assert filled is not None
                return Index(filled.name, tuple(Name(part) for part in filled.per))
        if isinstance(value, Index) and len(self.plates) > 1:
            order = tuple(plate.name for plate in self.plates)
            own = tuple(part.name for part in value.indices if isinstance(part, Name))
            if own != order[: len(own)] and set(own) <= set(order):
                self.refuse(f"{name!r} was drawn in other plates: enter its plate first", node)
        return value

    def comparison(self, node: ast.Compare, depth: int) -> Expr:
        """A comparison; members are compared with labels."""
        if len(node.ops) > 1 or type(node.ops[0]) not in _COMPARISONS:
            self.refuse("one comparison at a time, with < <= > >= == !=", node)
        op = _COMPARISONS[type(node.ops[0])]
        sides = (node.left, node.comparators[0])
        found: list[Expr | None] = []
        for side in sides:
            try:
                self.constant(side)
                found.append(None)
            except NotConstant:
                found.append(self.member_or_value(side, depth))
        made: list[Expr] = []
        for k in (0, 1):
            own, other = found[k], found[1 - k]
            if own is not None:
                made.append(own)
                continue
            group = self.group_of(other) if other is not None else None
            value = self.constant(sides[k])
            if group is not None:
                if isinstance(value, float) and value.is_integer():
                    value = int(value)
                made.append(Label(self.label(value, group, sides[k])))
            else:
                made.append(self.literal(value, sides[k]))
        return Compare(op, made[0], made[1])

    def member_or_value(self, node: ast.expr, depth: int) -> Expr:
        """`SET.index(day)` of a loop variable is the member itself."""
        match node:
            case ast.Call(func=ast.Attribute(attr="index"), args=[ast.Name(id=name)]):
                value = self.names.get(name)
                if isinstance(value, Member):
                    return Name(value.group.name)
        return self.expr(node, depth)

    def choice(self, test: ast.expr, then: ast.expr, orelse: ast.expr, depth: int) -> Expr:
        """`then` where the test holds, else `orelse`."""
        return IfElse(self.expr(test, depth), self.expr(then, depth), self.expr(orelse, depth))

    # -- calls ---------------------------------------------------------------------------------

    def call(self, node: ast.Call, depth: int) -> Expr:
        """A function of the language."""
        dotted = self.module.dotted(node.func)
        root, _, name = dotted.rpartition(".")
        if not root and name not in _BUILTINS:
            self.refuse(
                f"unknown function {ast.unparse(node.func)[:60]!r}; write its formula here", node
            )
        if any(isinstance(arg, ast.Starred) for arg in node.args):
            self.refuse("'*' arguments are not read", node)
        if node.keywords and name != "stack":  # its axis is that of the weights
            self.refuse(f"named arguments of {dotted[:60]} are not read", node)
        if name in self.module.functions and not root:
            self.refuse(f"{name} is a function of this file; write its formula here", node)
        if name in _PASS and len(node.args) > 1 and not self.counting:
            self.refuse(f"{dotted[:60]} with a type may cut decimals off; leave the type out", node)
        args = node.args
        if name in ("sum", "mean") and len(args) == 1:
            return self.reduction(name, args[0], node, depth)
        if name in _PASS and args:
            return self.expr(args[0], depth)
        if name in _ONE and len(args) == 1:
            return Call(_ONE[name], (self.expr(args[0], depth),))
        if name in ("maximum", "minimum", "max", "min") and len(args) >= 2:
            parts = tuple(self.expr(arg, depth) for arg in args)
            return Call(name[:3], parts)
        if name in ("clip", "clamp") and len(args) == 3:
            return Call("clip", tuple(self.expr(arg, depth) for arg in args))
        if name == "where" and len(args) == 3:
            return self.choice(args[0], args[1], args[2], depth)
        if name in ("logical_and", "logical_or") and len(args) == 2:
            return Logic(name[8:], tuple(self.expr(arg, depth) for arg in args))
        if name == "logical_not" and len(args) == 1:
            return Unary("not", self.expr(args[0], depth))
        if name == "square" and len(args) == 1:
            return Binary("**", self.expr(args[0], depth), Number(2.0))
        if name in ("power", "pow") and len(args) == 2:
            return Binary("**", self.expr(args[0], depth), self.expr(args[1], depth))
        if name == "stack" and args:
            return self.weights(args[0], depth)
        instead = f"; write {_INSTEAD[name]}" if name in _INSTEAD else ""
        self.refuse(
            f"{dotted[:60]}(...) with {len(args)} arguments has no counterpart{instead}", node
        )

    def weights(self, node: ast.expr, depth: int) -> Expr:
        """The argument of ``jnp.stack``: a list, or ``jnp.broadcast_arrays(...)``."""
        if isinstance(node, ast.Call) and self.module.dotted(node.func).endswith(
            ".broadcast_arrays"
        ):
            return self.listing(node.args, depth)
        if isinstance(node, ast.List | ast.Tuple):
            return self.listing(node.elts, depth)
        self.refuse("only a list of formulas is read here", node)

    def reduction(self, name: str, over: ast.expr, node: ast.expr, depth: int) -> Expr:
        """A sum or mean over a set."""
        function = "total" if name == "sum" else "average"
        match over:
            case (
                ast.GeneratorExp(elt=body, generators=[loop])
                | ast.ListComp(elt=body, generators=[loop])
            ):
                if loop.ifs:
                    self.refuse("a condition inside sum(...): write x * (condition)", over)
                part = self.some(loop.iter)
                if part is not None and isinstance(loop.target, ast.Name):
                    return self.unrolled(function, loop.target.id, part, body)
                group = self.group(loop.iter, loop.target)
                return Reduce(function, self.bound(loop.target, group, body), group.name)
            case ast.Call(func=ast.Attribute(value=ast.Name(), attr="values")):
                over = over.func.value  # type: ignore[attr-defined]
            case ast.List(elts=items) | ast.Tuple(elts=items) if items:
                parts = [self.expr(item, depth) for item in items]
                return _summed(function, parts)
        value = self.expr(over, depth)
        free = [
            part.name for part in walk(value) if isinstance(part, Name) and part.name in self.groups
        ]
        sets = [s for s in dict.fromkeys(free) if s not in {g.name for g in self.active}]
        if len(sets) != 1:
            self.refuse("sum and mean run over one set: sum(x[i] for i in SET)", node)
        return Reduce(function, value, sets[0])

    def some(self, iterable: ast.expr) -> list[Any] | None:
        """Some members by name, where the iterable is no whole set."""
        if not isinstance(iterable, ast.List | ast.Tuple):
            return None
        try:
            found = self.constant(iterable)
        except NotConstant:
            return None
        whole = any(list(group.members) == found for group in self.groups.values())
        return None if whole or not found or len(found) > 100 else found

    def unrolled(self, function: str, variable: str, part: list[Any], body: ast.expr) -> Expr:
        """A sum or mean over some members by name."""
        before = self.names.get(variable)
        made = []
        for value in part:
            self.names[variable] = Constant(value)
            made.append(self.expr(body))
        del self.names[variable]
        if before is not None:
            self.names[variable] = before
        return _summed(function, made)


def _summed(function: str, parts: Sequence[Expr]) -> Expr:
    total = parts[0]
    for part in parts[1:]:
        total = Binary("+", total, part)
    return total if function == "total" else Binary("/", total, Number(float(len(parts))))
