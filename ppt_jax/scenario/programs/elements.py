"""Names and elements of draws: indices, tables, and one step back."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

from ppt_jax.scenario.programs.module import Module, NotConstant
from ppt_jax.scenario.programs.values import Constant, Container, Group, Member, Node, Value
from ppt_jax.scenario.syntax import (
    Compare,
    Expr,
    IfElse,
    Index,
    Label,
    Listing,
    Logic,
    Name,
    Number,
    Prev,
    Unary,
)


class _Constants(Mapping[str, Any]):
    """The constants among local names, then those of the file that no local name hides."""

    def __init__(self, local: Mapping[str, Value], outer: Mapping[str, Any]) -> None:
        self._local, self._outer = local, outer

    def __getitem__(self, name: str) -> Any:
        if name not in self._local:
            return self._outer[name]
        value = self._local[name]
        if isinstance(value, Constant):
            return value.value
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return (name for name in {**self._outer, **self._local} if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Elements:
    """Names, constants and elements; lives for one model function."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.names: dict[str, Value] = {}
        self.groups: dict[str, Group] = {}
        self.nodes: dict[str, Node] = {}
        self.active: list[Group] = []  # sets of the loops and plates around, outermost first
        self.drawing: tuple[str, Node] | None = None  # container and node being filled
        self.plates: list[Group] = []
        self.counting = False  # inside the number of trials of a Binomial
        self.stepping = False  # inside a branch that the first element never takes
        self.unscaled: Listing | None = None  # weights that the program scales itself

    def refuse(self, message: str, node: ast.AST) -> NoReturn:
        """Raises a `ProgramError` at a part of the file."""
        raise self.module.error(message, node)

    # -- constants and indices -----------------------------------------------------------------

    def constants(self) -> Mapping[str, Any]:
        """Names of Python that are constants here."""
        return _Constants(self.names, self.module.constants)

    def constant(self, node: ast.expr) -> Any:
        """The value of a constant expression; raises `NotConstant`."""
        return self.module.constant(node, self.constants())

    def at(self, node: ast.expr, group: Group) -> Expr:
        """One index into a node: a label, an index variable, or a pick."""
        try:
            return Label(self.label(self.constant(node), group, node))
        except NotConstant:
            pass
        value = self.names.get(node.id) if isinstance(node, ast.Name) else None
        if isinstance(value, Member):
            if value.group != group:
                self.refuse(
                    f"{ast.unparse(node)[:40]!r} runs over {value.group.name!r}, the index is of "
                    f"{group.name!r}",
                    node,
                )
            return Name(group.name)
        found = self.expr(node)
        if isinstance(found, Name) and self.kind(found) == "member":
            return found
        self.refuse(
            "an index is a constant, a loop variable, or a Categorical draw by itself", node
        )

    def label(self, value: Any, group: Group, node: ast.AST) -> str:
        """The member that a constant index means."""
        if isinstance(value, str) and value in group.members:
            return value
        whole = isinstance(value, int) and not isinstance(value, bool)
        if whole and -len(group.members) <= value < len(group.members):
            return group.members[value]
        self.refuse(f"{str(value)[:40]!r} is no element of {group.name!r}", node)

    def kind(self, expr: Expr) -> str:
        """'boolean', 'member' or 'real'."""
        match expr:
            case Compare() | Logic() | Unary(op="not"):
                return "boolean"
            case IfElse(then=then, orelse=orelse):
                both = self.kind(then) == self.kind(orelse) == "boolean"
                return "boolean" if both else "real"
            case Name(name=name) if name in self.groups:
                return "member"
            case Name(name=name) | Index(name=name) | Prev(name=name) if name in self.nodes:
                return self.nodes[name].kind
        return "real"

    def group_of(self, expr: Expr) -> Group | None:
        """The set of a member: a loop variable or a pick."""
        if isinstance(expr, Name) and expr.name in self.groups:
            return self.groups[expr.name]
        if isinstance(expr, Name | Index | Prev) and expr.name in self.nodes:
            return self.groups.get(self.nodes[expr.name].of)
        return None

    # -- elements ------------------------------------------------------------------------------

    def element(self, node: ast.Subscript, depth: int) -> Expr:
        """One element of a node or of a constant table."""
        indices = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        earlier = self.before(node) if self.stepping else None
        if earlier is not None:  # at the first element the branch is not taken
            drawn = self.nodes_of(earlier)
            known = drawn.kind == "member"
            start = Label(self.groups[drawn.of].members[0]) if known else Number(0.0)
            return Prev(earlier, start)
        if isinstance(node.value, ast.Call):
            return self.stacked(node.value, indices, node)
        owner = self.names.get(node.value.id) if isinstance(node.value, ast.Name) else None
        if isinstance(node.value, ast.Name) and owner is None and len(indices) == 1:
            owner = Constant(self.constants().get(node.value.id))
        if isinstance(owner, Constant):
            return self.looked_up(owner.value, indices, node)
        if isinstance(owner, Container):
            filled = owner.node
            if (
                self.drawing is not None
                and isinstance(node.value, ast.Name)
                and self.drawing[0] == node.value.id
            ):
                filled = self.drawing[1]
            if filled is None:
                self.refuse(f"{ast.unparse(node.value)[:60]!r} holds nothing yet", node)
        elif isinstance(owner, Index) and all(isinstance(i, Name) for i in owner.indices):
            filled = self.nodes[owner.name]
        else:
            self.refuse(f"{ast.unparse(node)[:60]!r}: only elements of draws are read", node)
        if len(indices) != len(filled.per):
            self.refuse(f"{filled.name!r} has {len(filled.per)} indices", node)
        found = []
        for index, set_name in zip(indices, filled.per):
            group = self.groups[set_name]
            try:
                table = self.constant(index)
            except NotConstant:
                table = None
            if isinstance(table, list) and len(indices) == 1:
                return self.gathered(filled, group, table, index)
            found.append(self.at(index, group))
        return Index(filled.name, tuple(found))

    def gathered(self, filled: Node, group: Group, table: Sequence[Any], node: ast.expr) -> Expr:
        """``x[groups]`` inside a plate, where `groups` is a constant array."""
        for over in self.plates[:1]:  # an array lies along the outermost plate
            if len(over.members) == len(table):

                def chosen(k: int) -> Expr:
                    return Index(filled.name, (Label(self.label(table[k], group, node)),))

                return self.by_member(over, chosen)
        self.refuse("a constant array of indices stands inside a plate of its length", node)

    def looked_up(self, table: Any, indices: Sequence[ast.expr], node: ast.expr) -> Expr:
        """An element of a constant list or dict at a loop variable or a pick."""
        if len(indices) == 1 and isinstance(table, list | dict):
            found = self.member_or_value(indices[0], 0)
            group = self.group_of(found)
            if group is not None:

                def value(k: int) -> Expr:
                    keys = [group.members[k], k] if isinstance(table, dict) else [k]
                    for key in keys:
                        if isinstance(table, dict) and key in table:
                            return self.literal(table[key], node)
                        if isinstance(table, list) and len(table) == len(group.members):
                            return self.literal(table[k], node)
                    self.refuse(f"no element for {group.members[k]!r}", node)

                made = self.by_member(group, value)
                return made if found == Name(group.name) else _replace_member(made, group, found)
        self.refuse(f"{ast.unparse(node)[:60]!r}: no constant, and no table over a set", node)

    def stacked(self, call: ast.Call, indices: Sequence[ast.expr], node: ast.expr) -> Expr:
        """``jnp.stack([x[i] for i in SET])[pick]``."""
        name = self.module.dotted(call.func).rpartition(".")[2]
        match call.args:
            case [ast.ListComp(elt=body, generators=[loop])] if (
                name in ("stack", "array", "asarray") and len(indices) == 1
            ):
                group = self.group(loop.iter, loop.target)
                chosen = self.at(indices[0], group)
                made = self.bound(loop.target, group, body)
                if isinstance(made, Index):
                    swapped = tuple(
                        chosen if part == Name(group.name) else part for part in made.indices
                    )
                    return Index(made.name, swapped)
        self.refuse("only jnp.stack([x[i] for i in SET])[draw] is read here", node)

    def bound(self, target: ast.expr, group: Group, body: ast.expr) -> Expr:
        """The body of a comprehension, its variable bound to a member of the set."""
        if not isinstance(target, ast.Name):
            self.refuse("one loop variable at a time", target)
        before = self.names.get(target.id)
        self.names[target.id] = Member(group)
        made = self.expr(body)
        del self.names[target.id]
        if before is not None:
            self.names[target.id] = before
        return made

    def group(self, iterable: ast.expr, target: ast.AST) -> Group:
        """The set that a loop, a comprehension or a plate runs over."""
        raise NotImplementedError

    # -- one step back -------------------------------------------------------------------------

    def first_step(self, test: ast.expr) -> bool | None:
        """Whether the test says "first element" (True), "not the first" (False), or neither."""
        if not isinstance(test, ast.Compare) or len(test.ops) > 1 or not self.active:
            return None
        if not isinstance(test.left, ast.Name):
            return None
        value = self.names.get(test.left.id)
        if not isinstance(value, Member) or value.group != self.active[-1]:
            return None
        try:
            limit = self.constant(test.comparators[0])
            if self.label(limit, value.group, test) != value.group.members[0]:
                return None
        except NotConstant:
            return None
        match test.ops[0]:
            case ast.Eq() | ast.LtE():
                return True
            case ast.NotEq() | ast.Gt():
                return False
        return None

    def recursion(self, first: ast.expr, rest: ast.expr, depth: int) -> Expr:
        """`rest` where there is an element before this one, else `first`."""
        group = self.active[-1]
        start = self.expr(first, depth)
        direct = self.before(rest)
        if direct is not None:
            if self.nodes_of(direct).kind == "member":
                start = self.as_label(first, self.nodes_of(direct), start)
            return Prev(direct, start)
        saved = self.stepping
        self.stepping = True
        then = self.expr(rest, depth)
        self.stepping = saved
        return IfElse(Compare("==", Name(group.name), Label(group.members[0])), start, then)

    def nodes_of(self, name: str) -> Node:
        """The node of that name, the one being filled included."""
        if self.drawing is not None and self.drawing[1].name == name:
            return self.drawing[1]
        return self.nodes[name]

    def as_label(self, node: ast.expr, drawn: Node, start: Expr) -> Expr:
        """The start of a recursion of picks, as a label."""
        group = self.groups[drawn.of]
        if isinstance(start, Number):
            return Label(self.label(int(start.value), group, node))
        return start

    def before(self, node: ast.expr) -> str | None:
        """The node whose element before this one the expression is, or None."""
        if not isinstance(node, ast.Subscript) or not isinstance(node.value, ast.Name):
            return None
        owner = self.names.get(node.value.id)
        filled = owner.node if isinstance(owner, Container) else None
        if self.drawing is not None and self.drawing[0] == node.value.id:
            filled = self.drawing[1]
        if filled is None or not self.active:
            return None
        indices = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if len(indices) != len(filled.per):
            return None
        along = self.active[-1]
        stepped = False
        for index, set_name in zip(indices, filled.per):
            if set_name == along.name:
                stepped = self.step_back(index, along)
                if not stepped:
                    return None
            elif self.at(index, self.groups[set_name]) != Name(set_name):
                return None
        return filled.name if stepped else None

    def step_back(self, index: ast.expr, along: Group) -> bool:
        """Whether an index is the loop variable minus one."""
        match index:
            case ast.BinOp(left=ast.Name(id=name), op=ast.Sub(), right=ast.Constant(value=1)):
                pass
            case ast.Call(func=ast.Name(id="before"), args=[_, ast.Name(id=name)]) if (
                self.module.steps_back
            ):
                pass
            case _:
                return False
        value = self.names.get(name)
        return isinstance(value, Member) and value.group == along

    # -- made by `Formulas` ---------------------------------------------------------------------

    def expr(self, node: ast.expr, depth: int = 0) -> Expr:
        """The formula of an expression."""
        raise NotImplementedError

    def literal(self, value: Any, node: ast.AST) -> Expr:
        """A constant as a formula."""
        raise NotImplementedError

    def by_member(self, group: Group, make: Callable[[int], Expr]) -> Expr:
        """One formula for each member, as nested choices."""
        raise NotImplementedError

    def member_or_value(self, node: ast.expr, depth: int) -> Expr:
        """A loop variable itself, or the formula."""
        raise NotImplementedError


def _replace_member(expr: Expr, group: Group, member: Expr) -> Expr:
    """Nested choices over a set, their tests on another member of it."""
    if isinstance(expr, IfElse) and isinstance(expr.test, Compare):
        test = Compare(expr.test.op, member, expr.test.right)
        return IfElse(test, expr.then, _replace_member(expr.orelse, group, member))
    return expr
