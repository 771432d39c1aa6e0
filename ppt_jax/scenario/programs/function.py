"""One model function, statement by statement, as the parts of a scenario document."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from ppt_jax.scenario.programs.module import Module, NotConstant
from ppt_jax.scenario.programs.sites import Sites
from ppt_jax.scenario.programs.values import (
    Constant,
    Container,
    Group,
    Inside,
    Member,
    Value,
    are_labels,
    links,
)
from ppt_jax.scenario.syntax import (
    Expr,
    Index,
    Name,
)

Row = tuple[dict[str, Any], int]


class Function(Sites):
    """Reads one model function.

    Attributes:
      model, given: rows of the document, each with the line that it comes from.
      asks: ask id -> formula and line.
    """

    def __init__(self, module: Module, definition: ast.FunctionDef, notes: Mapping[str, Any]):
        super().__init__(module, notes.get("sets", {}))
        self.definition = definition
        for decorator in definition.decorator_list:
            if not ast.unparse(decorator).endswith("config_enumerate"):
                self.refuse("decorators other than config_enumerate are not read", decorator)
        self.parameters(notes.get("data", {}))
        for part in ast.walk(definition):
            if isinstance(part, ast.Call) and self.module.primitive(part) and part.args:
                for text in ast.walk(part.args[0]):
                    if isinstance(text, ast.Constant):
                        self.reserved.add(str(text.value).rstrip("[_(- "))
        self.links = dict(links(definition))
        self.block(definition.body)

    def parameters(self, data: Mapping[str, Any]) -> None:
        """Parameters take their values from the words beside the program, or their defaults."""
        arguments = self.definition.args
        plain = [*arguments.posonlyargs, *arguments.args]
        pairs: list[tuple[ast.arg, ast.expr | None]] = list(
            zip(plain, [None] * (len(plain) - len(arguments.defaults)) + [*arguments.defaults])
        )
        pairs += list(zip(arguments.kwonlyargs, arguments.kw_defaults))
        if arguments.vararg or arguments.kwarg:
            self.refuse("'*' parameters are not read", self.definition)
        for argument, default in pairs:
            if argument.arg in data:
                self.names[argument.arg] = Constant(data[argument.arg])
                continue
            if default is None:
                self.refuse(
                    f"parameter {argument.arg!r} has no value; give it a default, or "
                    f'"data": {{"{argument.arg}": ...}} in the JSON file beside the program',
                    argument,
                )
            try:
                self.names[argument.arg] = Constant(self.constant(default))
            except NotConstant:
                self.refuse("a default is a constant", default)

    # -- statements ----------------------------------------------------------------------------

    def block(self, statements: Sequence[ast.stmt]) -> None:
        """Reads statements in order."""
        for statement in statements:
            self.statement(statement)

    def statement(self, statement: ast.stmt) -> None:
        """Reads one statement."""
        match statement:
            case ast.Pass() | ast.Return() | ast.Import() | ast.ImportFrom():
                if (
                    isinstance(statement, ast.Return)
                    and statement.value is not None
                    and any(
                        isinstance(part, ast.expr) and self.module.primitive(part)
                        for part in ast.walk(statement.value)
                    )
                ):
                    self.refuse("draw first, return afterwards", statement)
            case ast.Expr(value=ast.Constant(value=str())):
                pass
            case ast.Expr(
                value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append")) as call
            ) if isinstance(self.names.get(name), Container) and len(call.args) == 1:
                self.fill(name, [Name(group.name) for group in self.loops], call.args[0])
            case ast.Expr(value=value):
                self.value(value, "")
            case ast.Assign(targets=[target], value=value):
                self.assign(target, value)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                self.assign(target, value)
            case ast.For(target=target, iter=iterable, body=body, orelse=[]):
                self.loop(target, iterable, body)
            case ast.With(items=items, body=body):
                self.plate(items, body)
            case ast.If():
                self.refuse("write jnp.where(condition, a, b) in place of `if`", statement)
            case ast.AugAssign(target=target):
                self.refuse(
                    f"{ast.unparse(target)[:40]!r} is added to; write sum(x[i] for i in SET)",
                    statement,
                )
            case _:
                word = type(statement).__name__.lower()
                self.refuse(f"`{word}` statements are not read in a model", statement)

    def assign(self, target: ast.expr, value: ast.expr) -> None:
        """Reads an assignment to a name or an element."""
        if isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
            indices = target.slice.elts if isinstance(target.slice, ast.Tuple) else [target.slice]
            found: list[Expr] = []
            for index in indices:
                held = self.names.get(index.id) if isinstance(index, ast.Name) else None
                if not isinstance(held, Member):
                    self.refuse("elements are filled at loop variables: x[i] = ...", target)
                found.append(Name(held.group.name))
            self.fill(target.value.id, found, value)
            return
        if not isinstance(target, ast.Name):
            self.refuse("one name is assigned at a time", target)
        if target.id in self.module.aliases:
            self.refuse(f"{target.id!r} is an imported name; take another", target)
        empty = isinstance(value, ast.Dict | ast.List) and ast.unparse(value) in ("{}", "[]")
        if empty or ast.unparse(value) in ("dict()", "list()"):
            self.names[target.id] = Container()
            return
        self.names[target.id] = self.value(value, target.id)

    def fill(self, container: str, indices: Sequence[Expr], value: ast.expr) -> None:
        """Fills a dict or list with the elements of a node."""
        held = self.names.get(container)
        if not isinstance(held, Container) or held.node is not None:
            self.refuse(
                f"{container!r} is not an empty dict or list here: {container} = {{}}", value
            )
        per = tuple(index.name for index in indices if isinstance(index, Name))
        if sorted(per) != sorted(group.name for group in self.loops):
            self.refuse(f"{container!r} is filled at every loop variable around it", value)
        made = self.value(value, container, per, container)
        if not isinstance(made, Index) or made.name not in self.nodes:
            formula = self.expr(value) if isinstance(made, Constant) else made
            assert not isinstance(formula, Member | Container | Inside | Group | Constant)
            made = self.let(container, formula, value, per)
        assert isinstance(made, Index)
        held.node = self.nodes[made.name]

    def value(
        self, node: ast.expr, name: str, per: tuple[str, ...] | None = None, container: str = ""
    ) -> Value:
        """What a right-hand side is; adds the nodes that it draws or computes."""
        match self.module.primitive(node):
            case "sample":
                assert isinstance(node, ast.Call)
                return self.sample(node, name, per, container)
            case "deterministic":
                assert isinstance(node, ast.Call)
                return self.deterministic(node, name, per, container)
            case "factor":
                assert isinstance(node, ast.Call)
                self.factor(node)
                return Constant(None)
            case "":
                pass
            case other:
                self.refuse(f"{other[:40]}(...) is not read here", node)
        if not name:
            self.refuse(f"{ast.unparse(node)[:60]!r} does nothing that is read", node)
        if not container:
            try:
                return Constant(self.constant(node))
            except NotConstant:
                pass
        else:
            self.drawing = (container, self.pending(container, per or ()))
        found = self.expr(node)
        self.drawing = None
        return self.let(name, found, node, per)

    # -- sets, loops, plates -------------------------------------------------------------------

    def group(self, iterable: ast.expr, target: ast.AST) -> Group:
        """The set that a loop, a comprehension or a plate runs over."""
        wanted = target.id if isinstance(target, ast.Name) else "item"
        plate = self.module.primitive(iterable) in ("plate", "markov")
        if plate and isinstance(iterable, ast.Call) and iterable.args:
            site = iterable.args[0]
            text = site.value if isinstance(site, ast.Constant) else None
            wanted = text if isinstance(text, str) else wanted
            size = iterable.args[1] if len(iterable.args) > 1 else None
            size = next((k.value for k in iterable.keywords if k.arg == "size"), size)
            extra = {k.arg for k in iterable.keywords} - {"size"}
            if extra or len(iterable.args) > 2 or size is None:
                self.refuse(
                    "a plate has a name and a size; dim and subsamples are not read", iterable
                )
            return self.sized(size, wanted, iterable)
        if isinstance(iterable, ast.Name):
            members = self.constants().get(iterable.id)
            if are_labels(members):
                return self.made(members, iterable.id)
        if (
            isinstance(iterable, ast.Call)
            and len(iterable.args) == 1
            and self.module.dotted(iterable.func).rpartition(".")[2] in ("range", "arange")
        ):
            return self.sized(iterable.args[0], wanted, iterable)
        try:
            members = self.constant(iterable)
        except NotConstant:
            self.refuse("loops run over names, ranges from 0 and plates", iterable)
        if are_labels(members):
            for group in self.groups.values():
                if list(group.members) == list(members):
                    return group
            return self.made(members, wanted)
        self.refuse("loops run over different names, ranges from 0 and plates", iterable)

    def sized(self, size: ast.expr, wanted: str, node: ast.AST) -> Group:
        """The set of a plate or range of that size."""
        if (
            isinstance(size, ast.Call)
            and len(size.args) == 1
            and isinstance(size.args[0], ast.Name)
        ):
            members = self.constants().get(size.args[0].id)
            if self.module.dotted(size.func) == "len" and are_labels(members):
                return self.made(members, size.args[0].id)
        try:
            count = self.constant(size)
        except NotConstant:
            count = None
        if isinstance(count, bool) or not isinstance(count, int):
            self.refuse("the size of a plate or range is a constant whole number", node)
        return self.numbered(count, wanted, node)

    def loop(self, target: ast.expr, iterable: ast.expr, body: Sequence[ast.stmt]) -> None:
        """Reads a `for` statement once, its variable standing for any member."""
        counter: ast.expr | None = None
        if isinstance(iterable, ast.Call) and self.module.dotted(iterable.func) == "enumerate":
            if (
                not isinstance(target, ast.Tuple)
                or len(target.elts) != 2
                or len(iterable.args) != 1
            ):
                self.refuse("write for i, name in enumerate(NAMES)", target)
            counter, target = target.elts
            iterable = iterable.args[0]
        group = self.group(iterable, target)
        if group in self.active:
            self.refuse(
                f"two loops over one set ({group.name!r}) inside each other; give the second a "
                "set of its own",
                iterable,
            )
        variables = [v for v in (target, counter) if v is not None]
        changed = {
            part.id
            for statement in body
            for part in ast.walk(statement)
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)
        }
        for name in changed & self.names.keys():
            self.names[name] = Inside()
        for variable in variables:
            if not isinstance(variable, ast.Name):
                self.refuse("one loop variable at a time", variable)
            counts = group.numbered or variable is counter
            self.names[variable.id] = Member(group, counts)
            changed.add(variable.id)
        self.loops.append(group)
        self.active.append(group)
        self.block(body)
        self.loops.pop()
        self.active.pop()
        for name in changed:
            self.names[name] = Inside()

    def plate(self, items: Sequence[ast.withitem], body: Sequence[ast.stmt]) -> None:
        """Reads a `with` statement of plates."""
        entered = 0
        for item in items:
            held = item.context_expr
            known = self.names.get(held.id) if isinstance(held, ast.Name) else None
            if isinstance(known, Group):
                group = known
            elif self.module.primitive(held) == "plate":
                group = self.group(held, ast.Pass())
            else:
                self.refuse("`with` is read for plates only", held)
            if group in self.active:
                self.refuse(f"two plates over one set ({group.name!r})", held)
            if isinstance(item.optional_vars, ast.Name):
                self.names[item.optional_vars.id] = Member(group, True)
            self.plates.append(group)
            self.active.append(group)
            entered += 1
        self.block(body)
        for _ in range(entered):
            self.plates.pop()
            self.active.pop()
