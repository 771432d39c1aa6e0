"""A Python file as a syntax tree: what its names mean, its constants, its model functions."""

from __future__ import annotations

import ast
import itertools
import math
import warnings
from collections.abc import Mapping
from typing import Any, Final

from ppt_jax.errors import UserError, printable
from ppt_jax.scenario import limits

MAX_SOURCE_BYTES: Final = 256 * 1024
MAX_PARTS: Final = 50_000  # nodes of a file's syntax tree
MAX_DEPTH: Final = 60  # of one expression
MAX_ARRAY: Final = 10_000  # elements of one constant, those of lists inside it included
MAX_WORK: Final = 300_000  # steps of reading one file
_CHARACTERS: Final = 8  # of a string that count as one element
# Modules whose names are known; a name from any other module is refused where it is used.
_ROOTS: Final = (
    *("numpyro", "pyro", "jax", "numpy", "torch", "math", "scipy"),
    *("random", "functools", "typing", "__future__"),
)
_LARGEST: Final = 10**300  # of a number in arithmetic
_BEFORE: Final = "def before(members, member):\n    return members[members.index(member) - 1]"
_ARRAYS: Final = frozenset({"array", "asarray", "tensor", "as_tensor", "list", "tuple"})


class ProgramError(UserError):
    """A program is outside the subset that is read, or not sound.

    Printed as ``models.py:12:5: what is wrong and what would be right``.

    Attributes:
      message: what is wrong, without the place.
      source: the file's name.
      line, column: counting from 1; 0 where there is no place.
    """

    def __init__(self, message: str, source: str = "", line: int = 0, column: int = 0) -> None:
        place = ":".join([source or "program", *(str(n) for n in (line, column) if n)])
        super().__init__(printable(f"{place}: {message}"))
        self.message = message
        self.source = source
        self.line = line
        self.column = column

    def __reduce__(self) -> tuple[object, ...]:
        return ProgramError, (self.message, self.source, self.line, self.column)


class NotConstant(Exception):
    """An expression is not a constant."""


class Module:
    """One parsed file.

    Attributes:
      source: its name, for messages.
      constants: module-level names with constant values (numbers, strings, lists, dicts).
      models: functions that draw a sample, in order.
      doc: the module's docstring.
    """

    def __init__(self, text: str, source: str) -> None:
        self.source = source
        self.aliases: dict[str, str] = {}
        self.constants: dict[str, Any] = {}
        self.models: list[ast.FunctionDef] = []
        self._spent = 0
        self._extents: dict[int, tuple[Any, int]] = {}  # by id; holding the value keeps it its own
        tree = _parse(text, source)
        self.doc = ast.get_docstring(tree) or ""
        for statement in ast.walk(tree):  # imports inside functions count too
            self._imports(statement)
        self.functions = {
            statement.name: statement
            for statement in tree.body
            if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        }
        before = self.functions.get("before")
        self.steps_back = before is not None and ast.unparse(before) == _BEFORE
        for statement in tree.body:
            if isinstance(statement, ast.FunctionDef) and self._draws(statement):
                self.models.append(statement)
            target: ast.expr | None = None
            if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
                target, value = statement.targets[0], statement.value
            elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
                target, value = statement.target, statement.value
            plain = isinstance(
                statement, ast.FunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom
            )
            guard = isinstance(statement, ast.If) and "__name__" in ast.unparse(statement.test)
            if not isinstance(target, ast.Name) and not plain and not guard:
                for part in ast.walk(statement):  # what it does to a constant is not followed
                    if isinstance(part, ast.Name):
                        self.constants.pop(part.id, None)
            if isinstance(target, ast.Name):
                try:
                    self.constants[target.id] = self.constant(value, self.constants)
                except NotConstant:
                    self.constants.pop(target.id, None)

    def error(self, message: str, node: ast.AST) -> ProgramError:
        """An error at a part of the file."""
        line = getattr(node, "lineno", 0)
        return ProgramError(message, self.source, line, getattr(node, "col_offset", -1) + 1)

    def spend(self, steps: int, node: ast.AST) -> None:
        """Counts work; names of names can make a short file an endless one.

        Raises:
          ProgramError: the file takes more than `MAX_WORK` steps.
        """
        self._spent += steps
        if self._spent > MAX_WORK:
            raise self.error(f"reading it takes more than {MAX_WORK} steps; shorten the file", node)

    def _extent(self, value: Any) -> int:
        """Elements of a constant; a list that stands twice inside another counts twice."""
        if isinstance(value, str):
            return 1 + len(value) // _CHARACTERS
        if not isinstance(value, list | tuple | dict):
            return 1
        if id(value) not in self._extents:
            parts = [*value, *value.values()] if isinstance(value, dict) else value
            self._extents[id(value)] = value, 1 + sum(map(self._extent, parts))
        return self._extents[id(value)][1]

    def dotted(self, node: ast.expr) -> str:
        """The full dotted name of ``jnp.exp`` and the like, or '' where it is none."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ""
        root = self.aliases.get(node.id)
        if root is None:
            return node.id if not parts else ""
        return ".".join([root, *reversed(parts)])

    def primitive(self, node: ast.expr) -> str:
        """'sample', 'deterministic', 'factor', 'plate', ... of a NumPyro or Pyro call, or ''."""
        if not isinstance(node, ast.Call):
            return ""
        name = self.dotted(node.func)
        root, _, last = name.rpartition(".")
        return last if root in ("numpyro", "pyro", "numpyro.primitives") else ""

    def _imports(self, statement: ast.AST) -> None:
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                if alias.name.split(".")[0] in _ROOTS:
                    bound = alias.asname or alias.name.split(".")[0]
                    self.aliases[bound] = alias.name if alias.asname else bound
        elif (
            isinstance(statement, ast.ImportFrom)
            and statement.module
            and statement.module.split(".")[0] in _ROOTS
            and not statement.level
        ):
            for alias in statement.names:
                self.aliases[alias.asname or alias.name] = f"{statement.module}.{alias.name}"

    def _draws(self, function: ast.FunctionDef) -> bool:
        return any(
            isinstance(part, ast.expr) and self.primitive(part) == "sample"
            for part in ast.walk(function)
        )

    def constant(self, node: ast.expr, names: Mapping[str, Any], depth: int = 0) -> Any:
        """The value of a constant expression.

        Numbers, strings, yes/no, None, lists, tuples and dicts of them, their elements, `len`,
        `range`, `.index`, `.get`, arithmetic of single numbers, f-strings, `jnp.array(...)`.

        Raises:
          NotConstant: it is anything else.
        """
        if depth > MAX_DEPTH:
            raise self.error(f"nested more than {MAX_DEPTH} deep", node)
        self.spend(1, node)
        value = self._constant(node, names, depth)
        if self._extent(value) > MAX_ARRAY:
            raise self.error(f"a constant of more than {MAX_ARRAY} elements", node)
        return value

    def _constant(self, node: ast.expr, names: Mapping[str, Any], depth: int) -> Any:
        def inner(part: ast.expr) -> Any:
            return self.constant(part, names, depth + 1)

        match node:
            case ast.Constant(value=value) if value is None or isinstance(value, int | float | str):
                if isinstance(value, int) and abs(value) > _LARGEST:
                    raise NotConstant
                return value
            case ast.Name(id=name) if name in names:
                return names[name]
            case ast.List(elts=items) | ast.Tuple(elts=items):
                if len(items) > MAX_ARRAY:
                    raise self.error(f"a constant of more than {MAX_ARRAY} elements", node)
                return [inner(item) for item in items]
            case ast.Dict(keys=keys, values=values):
                return {
                    self._key(inner(k), k): inner(v) for k, v in zip(keys, values) if k is not None
                }
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                value = inner(operand)
                return -value if value == math.inf else -_plain(value)
            case ast.BinOp(left=left, op=op, right=right):
                a, b = inner(left), inner(right)
                self.spend(self._extent(a), node)
                return _arithmetic(op, a, b)
            case ast.JoinedStr(values=parts):
                found = [inner(part) for part in parts]
                self.spend(sum(map(self._extent, found)), node)
                return "".join(map(str, found))
            case ast.FormattedValue(value=value, conversion=-1, format_spec=None):
                return inner(value)
            case ast.DictComp(generators=[generator], key=ast.Name(id=k), value=made):
                return self._mapped(generator, k, made, names, depth)
            case ast.Subscript(value=of, slice=at):
                return self._element(inner(of), inner(at), node)
            case ast.Call():
                return self._call(node, names, depth)
            case ast.Attribute():
                name = self.dotted(node)
                if name.endswith((".inf", ".pi")) and name.split(".")[0] in _ROOTS:
                    return math.inf if name.endswith(".inf") else math.pi
        raise NotConstant

    def _mapped(
        self,
        loop: ast.comprehension,
        key: str,
        made: ast.expr,
        names: Mapping[str, Any],
        depth: int,
    ) -> Any:
        """``{k: jnp.asarray(v) for k, v in NAMED.items()}``: the dict itself."""
        match loop.iter, loop.target, made:
            case (
                ast.Call(func=ast.Attribute(value=of, attr="items"), args=[]),
                ast.Tuple(elts=[ast.Name(id=k), ast.Name(id=v)]),
                ast.Call(func=function, args=[ast.Name(id=w)]),
            ) if k == key and v == w and self.dotted(function).rpartition(".")[2] in _ARRAYS:
                return self.constant(of, names, depth + 1)
        raise NotConstant

    def _call(self, node: ast.Call, names: Mapping[str, Any], depth: int) -> Any:
        values = [self.constant(arg, names, depth + 1) for arg in node.args]
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("index", "get"):
            owner = self.constant(node.func.value, names, depth + 1)
            if node.func.attr == "index" and isinstance(owner, list) and len(values) == 1:
                self.spend(self._extent(owner), node)
                if values[0] in owner:
                    return owner.index(values[0])
            if node.func.attr == "get" and isinstance(owner, dict) and len(values) in (1, 2):
                return owner.get(self._key(values[0], node), values[1] if values[1:] else None)
            raise NotConstant
        name = self.dotted(node.func)
        last = name.rpartition(".")[2]
        known = "." in name or name in ("len", "range", "float", "int", "list", "tuple")
        if not known or not values:
            raise NotConstant
        first = values[0]
        if last in _ARRAYS:
            return first
        if name == "len" and isinstance(first, list | dict):
            return len(first)
        if (
            name in ("range", "jax.numpy.arange", "numpy.arange", "torch.arange")
            and all(isinstance(v, int) for v in values)
            and len(values) <= 2
        ):
            made = range(*values)
            if not made or abs(made[-1] - made[0]) < limits.MAX_MEMBERS:
                return list(made)
            raise self.error(f"more than {limits.MAX_MEMBERS} elements", node)
        if name in ("float", "int") and isinstance(first, int | float):
            if not abs(first) <= _LARGEST:
                raise NotConstant
            return float(first) if name == "float" else int(first)
        if last in ("log", "exp", "sqrt") and len(values) == 1 and isinstance(first, int | float):
            try:
                return float(getattr(math, last)(first))
            except (ValueError, OverflowError):
                raise NotConstant from None
        if last in ("ones", "zeros", "full") and isinstance(first, int) and first <= MAX_ARRAY:
            fill = values[1] if last == "full" and values[1:] else float(last == "ones")
            self.spend(max(first, 0), node)
            return [fill] * max(first, 0)
        raise NotConstant

    def _key(self, value: Any, node: ast.AST) -> Any:
        """A constant as the key of a dict."""
        self.spend(self._extent(value), node)
        if isinstance(value, list):
            return tuple(self._key(part, node) for part in value)
        if isinstance(value, str | int | float) or value is None:
            return value
        raise NotConstant

    def _element(self, owner: Any, at: Any, node: ast.AST) -> Any:
        if isinstance(owner, dict):
            key = self._key(at, node)
            if key in owner:
                return owner[key]
        if isinstance(owner, list):
            keys = at if isinstance(at, list) else [at]
            for key in keys:
                if not isinstance(owner, list) or isinstance(key, bool) or not isinstance(key, int):
                    raise NotConstant
                if not -len(owner) <= key < len(owner):
                    raise NotConstant
                owner = owner[key]
            return owner
        raise NotConstant


def _parse(text: str, source: str) -> ast.Module:
    if len(text.encode(errors="surrogatepass")) > MAX_SOURCE_BYTES:
        raise ProgramError(f"longer than {MAX_SOURCE_BYTES} bytes", source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except SyntaxError as error:
        raise ProgramError(
            f"not Python ({error.msg})", source, error.lineno or 0, error.offset or 0
        ) from None
    except (ValueError, MemoryError, RecursionError) as error:
        raise ProgramError(f"not Python that can be read ({error})", source) from None
    if sum(1 for _ in itertools.islice(ast.walk(tree), MAX_PARTS + 1)) > MAX_PARTS:
        raise ProgramError(f"more than {MAX_PARTS} parts of Python", source)
    return tree


def _plain(value: Any) -> float:
    if not isinstance(value, int | float) or abs(value) > _LARGEST:
        raise NotConstant
    return value


def _arithmetic(op: ast.operator, left: Any, right: Any) -> Any:
    if isinstance(left, list) and isinstance(op, ast.Div) and isinstance(right, int | float):
        return [_arithmetic(op, item, right) for item in left]
    a, b = _plain(left), _plain(right)
    try:
        match op:
            case ast.Add():
                return _plain(a + b)
            case ast.Sub():
                return _plain(a - b)
            case ast.Mult():
                return _plain(a * b)
            case ast.Div():
                return a / b
            case ast.Pow():
                value = float(a) ** float(b)
                if isinstance(value, float):
                    return value
    except (OverflowError, ZeroDivisionError):
        pass
    raise NotConstant
