"""The formula language of scenario documents: syntax tree, parser, printer.

A formula is one line in a small subset of Python's expressions. Python's own `ast` reads it, an
allow-list visitor turns it into the frozen dataclasses below, and everything outside the subset is
refused with the character where it stands. Nothing is ever evaluated or executed here.

    expr   := number | name | name[idx, ...] | expr op expr | -expr | not expr | expr and/or expr
            | expr cmp expr | expr if expr else expr | f(expr, ...)
            | total(expr, set) | average(expr, set) | prev(name, first=expr)
    draw   := family(arg=expr, ...) | pick(set) | pick(set, weights=[expr, ...])
    given  := expr | beats(expr, expr, noise=expr)
    idx    := 'Label' | index variable (the name of a set) | name of a pick-draw
    op     := + - * / **          cmp := < <= > >= == !=
    f      := exp log sqrt abs min max sigmoid clip round
"""

from __future__ import annotations

import ast
import functools
import math
import re
import warnings
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from ppt_jax.errors import UserError
from ppt_jax.scenario import limits
from ppt_jax.scenario.printing import print_expression
from ppt_jax.scenario.suggestions import OTHER_ARGUMENTS, OTHER_NAMES, did_you_mean
from ppt_jax.scenario.syntax import (
    FAMILIES,
    FUNCTIONS,
    REDUCTIONS,
    SPECIAL,
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
    children,
    walk,
)

__all__ = [
    "FAMILIES",
    "FUNCTIONS",
    "REDUCTIONS",
    "SPECIAL",
    "Beats",
    "Binary",
    "Call",
    "Compare",
    "Draw",
    "Expr",
    "ExpressionError",
    "FormulaKind",
    "IfElse",
    "Index",
    "Label",
    "Listing",
    "Logic",
    "Name",
    "Number",
    "Prev",
    "Reduce",
    "Unary",
    "children",
    "parse_expression",
    "print_expression",
    "walk",
]

FormulaKind: TypeAlias = Literal["let", "draw", "given", "ask"]

_OPERATORS: Final[Mapping[type, str]] = MappingProxyType(
    {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**"}
)
_COMPARISONS: Final[Mapping[type, str]] = MappingProxyType(
    {
        ast.Lt: "<",
        ast.LtE: "<=",
        ast.Gt: ">",
        ast.GtE: ">=",
        ast.Eq: "==",
        ast.NotEq: "!=",
    }
)
_REFUSED_OPERATORS: Final[Mapping[type, tuple[str, str]]] = MappingProxyType(
    {
        ast.BitXor: ("^", "write ** for a power"),
        ast.BitAnd: ("&", "write `and`"),
        ast.BitOr: ("|", "write `or`"),
        ast.FloorDiv: ("//", "write / (and round(...) where a whole number is meant)"),
        ast.Mod: ("%", "it has no counterpart in formulas"),
        ast.MatMult: ("@", "write * or total(..., set)"),
        ast.LShift: ("<<", "write * with a number"),
        ast.RShift: (">>", "write / with a number"),
    }
)
_NUMBER: Final = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_LABEL: Final = re.compile(r"""'(?:[^'\\]|\\['"\\])*'|"(?:[^"\\]|\\['"\\])*\"""")
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


class ExpressionError(UserError):
    """A formula is not in the language, or means nothing.

    Attributes:
      message: what is wrong and what would be right.
      at: 0-based character offset in the formula. The printed form counts from 1.
    """

    def __init__(self, message: str, at: int) -> None:
        super().__init__(f"character {at + 1}: {message}")
        self.message = message
        self.at = at


@functools.lru_cache(maxsize=16_384)
def parse_expression(text: str, *, kind: FormulaKind) -> Expr:
    """Parses one formula.

    Args:
      text: the formula, one line.
      kind: where it stands. `draw` wants one whole distribution, `given` also takes `beats`.

    Returns:
      The syntax tree; every node knows the character at which it begins.

    Raises:
      ExpressionError: the text is not a formula of this kind; `at` is the offending character.

    Example:
      >>> parse_expression("2 * level", kind="let")
      Binary(op='*', left=Number(value=2.0), right=Name(name='level'))
    """
    _scan(text)
    start = len(text) - len(text.lstrip(" \t"))
    body = text[start:]
    if not body:
        raise ExpressionError("the formula is empty", 0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(body, mode="eval").body
    except SyntaxError as error:
        # Python's offset counts characters from 1, and is 0 where the text ends too early.
        at = min(error.offset - 1 + start, len(text)) if error.offset else len(text)
        raise ExpressionError(f"this is not a formula ({error.msg})", at) from None
    except (ValueError, MemoryError, RecursionError) as error:
        raise ExpressionError(f"this is not a formula ({error})", 0) from None
    return _Reader(text, start).formula(tree, kind)


def _scan(text: str) -> None:
    """Refuses, before Python's parser sees it, what that parser would quietly accept."""
    if len(text) > limits.MAX_FORMULA_CHARACTERS:
        raise ExpressionError(
            f"the formula has {len(text)} characters, at most {limits.MAX_FORMULA_CHARACTERS} "
            "are allowed; put parts of it into `let` nodes",
            limits.MAX_FORMULA_CHARACTERS,
        )
    quote = ""
    escaped = False
    for at, character in enumerate(text):
        if character in "\n\r\f\v\0" or (ord(character) < 32 and character != "\t"):
            raise ExpressionError("a formula is one line without control characters", at)
        if 0xD800 <= ord(character) <= 0xDFFF:
            raise ExpressionError("half of a surrogate pair is not a character", at)
        if quote:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == quote:
                quote = ""
        elif character in "'\"":
            quote = character
        elif character == "#":
            raise ExpressionError("comments do not belong in formulas; use `says`", at)
        elif character == "\\":
            raise ExpressionError("a backslash is not part of a formula", at)
        elif ord(character) > 126:
            raise ExpressionError(
                f"{character!r} is not plain ASCII; names use letters a-z, digits and '_', and "
                "other letters stand only in quoted labels",
                at,
            )


class _Reader:
    """Turns Python's tree into ours; lives for one formula."""

    def __init__(self, text: str, start: int) -> None:
        self.text = text
        self.start = start
        self.body = text[start:].encode()
        self.count = 0

    def at(self, node: ast.AST) -> int:
        return self.start + len(self.body[: getattr(node, "col_offset", 0)].decode())

    def segment(self, node: ast.expr) -> str:
        return self.body[node.col_offset : node.end_col_offset].decode()

    def formula(self, tree: ast.expr, kind: FormulaKind) -> Expr:
        function = ""
        if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name):
            function = tree.func.id
        if kind == "draw":
            if function in FAMILIES:
                assert isinstance(tree, ast.Call)
                return self.draw(tree, function)
            if isinstance(tree, ast.Call) and function and function not in (*FUNCTIONS, *SPECIAL):
                raise ExpressionError(
                    f"unknown distribution {function[:60]!r}"
                    f"{did_you_mean(function, FAMILIES, OTHER_NAMES)}",
                    self.at(tree),
                )
            raise ExpressionError(
                "a draw node's formula is one distribution such as normal(mean=50, sd=15); "
                f"distributions: {', '.join(FAMILIES)}; for anything else use kind 'let'",
                self.at(tree),
            )
        if kind == "given" and function == "beats":
            assert isinstance(tree, ast.Call)
            return self.beats(tree)
        return self.expression(tree, 1)

    def expression(self, node: ast.expr, depth: int) -> Expr:
        at = self.at(node)
        self.spend(at, depth)
        match node:
            case ast.Constant():
                return self.constant(node, at)
            case ast.Name(id=name):
                return Name(self.name(name, at), at)
            case ast.Subscript():
                return self.index(node, at, depth)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.expression(operand, depth + 1)
            case ast.UnaryOp(op=ast.USub() | ast.Not() as op, operand=operand):
                sign = "-" if isinstance(op, ast.USub) else "not"
                return Unary(sign, self.expression(operand, depth + 1), at)
            case ast.BinOp(op=op):
                return self.binary(node, at, depth)
            case ast.Compare():
                return self.comparison(node, at, depth)
            case ast.BoolOp(op=op, values=values):
                word = "and" if isinstance(op, ast.And) else "or"
                return Logic(word, tuple(self.expression(v, depth + 1) for v in values), at)
            case ast.IfExp(test=test, body=then, orelse=orelse):
                return IfElse(
                    self.expression(test, depth + 1),
                    self.expression(then, depth + 1),
                    self.expression(orelse, depth + 1),
                    at,
                )
            case ast.Call():
                return self.call(node, at, depth)
        if isinstance(node, ast.Attribute):
            at = self.start + len(self.body[: node.value.end_col_offset].decode())
        raise ExpressionError(f"{_WORDS.get(type(node), 'this')} is not part of formulas", at)

    def spend(self, at: int, depth: int) -> None:
        self.count += 1
        if self.count > limits.MAX_FORMULA_NODES:
            raise ExpressionError(
                f"the formula has more than {limits.MAX_FORMULA_NODES} parts; put some of them "
                "into `let` nodes",
                at,
            )
        if depth > limits.MAX_FORMULA_DEPTH:
            raise ExpressionError(
                f"the formula is nested more than {limits.MAX_FORMULA_DEPTH} deep; put inner "
                "parts into `let` nodes",
                at,
            )

    def name(self, name: str, at: int) -> str:
        if not _NAME.fullmatch(name) or "__" in name:
            raise ExpressionError(
                f"{name[:60]!r} is not a name; names begin with a letter and hold letters, "
                "digits and single '_'",
                at,
            )
        return name

    def constant(self, node: ast.Constant, at: int) -> Expr:
        value = node.value
        if isinstance(value, bool):
            raise ExpressionError(f"write {int(value)} in place of {value}", at)
        source = self.segment(node)
        if isinstance(value, str):
            if not _LABEL.fullmatch(source):
                raise ExpressionError(
                    "a label is one string in plain quotes, such as 'Juno'; only \\', \\\" and "
                    "\\\\ may be escaped",
                    at,
                )
            return Label(value, at)
        if not isinstance(value, int | float) or not _NUMBER.fullmatch(source):
            raise ExpressionError(
                f"{source[:40]!r} is not a number here; write decimal numbers such as 12, 0.25 "
                "or 1.5e3",
                at,
            )
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not number <= limits.MAX_NUMBER:
            raise ExpressionError(f"numbers go up to {limits.MAX_NUMBER:g}", at)
        mantissa = re.split("[eE]", source)[0]
        if number < limits.MIN_NUMBER and mantissa.strip("0."):
            raise ExpressionError(
                f"numbers other than 0 go down to {limits.MIN_NUMBER:g}; write 0 for none", at
            )
        return Number(number, at)

    def index(self, node: ast.Subscript, at: int, depth: int) -> Expr:
        if not isinstance(node.value, ast.Name):
            raise ExpressionError("only a node's name takes indices, as in power['Juno']", at)
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if not parts:
            raise ExpressionError("an index is missing between the brackets", self.at(node.slice))
        indices: list[Expr] = []
        for part in parts:
            where = self.at(part)
            self.spend(where, depth + 1)
            match part:
                case ast.Constant(value=str()):
                    indices.append(self.constant(part, where))
                case ast.Name(id=name):
                    indices.append(Name(self.name(name, where), where))
                case _:
                    raise ExpressionError(
                        "an index is a quoted label, the name of a set, or the name of a pick-draw",
                        where,
                    )
        return Index(self.name(node.value.id, at), tuple(indices), at)

    def binary(self, node: ast.BinOp, at: int, depth: int) -> Expr:
        op = _OPERATORS.get(type(node.op))
        if op is None:
            raise self.refused_operator(node)
        left = self.expression(node.left, depth + 1)
        return Binary(op, left, self.expression(node.right, depth + 1), at)

    def refused_operator(self, node: ast.BinOp) -> ExpressionError:
        symbol, hint = _REFUSED_OPERATORS[type(node.op)]
        ends = len(self.body[: node.left.end_col_offset].decode()) + self.start
        at = self.text.find(symbol, ends)
        return ExpressionError(f"{symbol!r} is not an operator of formulas; {hint}", max(at, 0))

    def comparison(self, node: ast.Compare, at: int, depth: int) -> Expr:
        op = _COMPARISONS.get(type(node.ops[0]))
        if op is None:
            raise ExpressionError(
                "`in` and `is` are not part of formulas; compare with < <= > >= == !=", at
            )
        if len(node.ops) > 1:
            raise ExpressionError(
                "comparisons do not chain; write `a < b and b < c`", self.at(node.comparators[1])
            )
        left = self.expression(node.left, depth + 1)
        return Compare(op, left, self.expression(node.comparators[0], depth + 1), at)

    def call(self, node: ast.Call, at: int, depth: int) -> Expr:
        if not isinstance(node.func, ast.Name):
            raise ExpressionError("only functions called by name are part of formulas", at)
        name = node.func.id
        if name in FAMILIES:
            raise ExpressionError(
                f"{name}(...) is a distribution; it is the whole formula of a draw node, and "
                "other formulas use that node's name",
                at,
            )
        if name == "beats":
            raise ExpressionError("beats(...) is only the whole `that` of a `given`", at)
        if name in REDUCTIONS:
            return self.reduction(node, name, at, depth)
        if name == "prev":
            return self.previous(node, at, depth)
        if name not in FUNCTIONS:
            known = (*FUNCTIONS, *SPECIAL, *FAMILIES)
            raise ExpressionError(
                f"unknown function {name[:60]!r}{did_you_mean(name, known, OTHER_NAMES)}", at
            )
        self.keywords(node, name, ())
        least, most = FUNCTIONS[name]
        if not least <= len(node.args) <= most:
            number = f"{least}" if least == most else f"{least} to {most}"
            raise ExpressionError(
                f"{name}(...) takes {number} argument{'s' * (number != '1')}, "
                f"here are {len(node.args)}",
                at,
            )
        return Call(name, tuple(self.expression(a, depth + 1) for a in node.args), at)

    def keywords(
        self, node: ast.Call, name: str, known: tuple[str, ...], optional: bool = False
    ) -> dict[str, ast.expr]:
        """The keyword arguments by name; all of `known` are there, or none when optional."""
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                raise ExpressionError("'*' arguments are not part of formulas", self.at(argument))
        found: dict[str, ast.expr] = {}
        for keyword in node.keywords:
            at = self.at(keyword)
            if keyword.arg is None:
                raise ExpressionError("'**' arguments are not part of formulas", at)
            if keyword.arg not in known:
                takes = ", ".join(f"{k}=" for k in known) or "no named arguments"
                raise ExpressionError(
                    f"{name}(...) has no argument {keyword.arg[:60]!r}"
                    f"{did_you_mean(keyword.arg, known, OTHER_ARGUMENTS)} (it takes {takes})",
                    at,
                )
            if keyword.arg in found:
                raise ExpressionError(f"{name}(...) is given {keyword.arg!r} twice", at)
            found[keyword.arg] = keyword.value
        missing = [k for k in known if k not in found]
        if missing and not optional:
            raise ExpressionError(
                f"{name}(...) needs {', '.join(f'{k}=' for k in missing)}", self.at(node)
            )
        return found

    def set_name(self, node: ast.Call, name: str, place: int) -> str:
        argument = node.args[place]
        if not isinstance(argument, ast.Name):
            raise ExpressionError(
                f"{name}(...) wants the name of a set here, without quotes", self.at(argument)
            )
        return self.name(argument.id, self.at(argument))

    def reduction(self, node: ast.Call, name: str, at: int, depth: int) -> Expr:
        self.keywords(node, name, ())
        if len(node.args) != 2:
            raise ExpressionError(f"write {name}(expression, set), here are {len(node.args)}", at)
        over = self.set_name(node, name, 1)
        return Reduce(name, self.expression(node.args[0], depth + 1), over, at)

    def previous(self, node: ast.Call, at: int, depth: int) -> Expr:
        first = self.keywords(node, "prev", ("first",))["first"]
        if len(node.args) != 1 or not isinstance(node.args[0], ast.Name):
            raise ExpressionError("write prev(name, first=value at the first element)", at)
        name = self.name(node.args[0].id, self.at(node.args[0]))
        return Prev(name, self.expression(first, depth + 1), at)

    def beats(self, node: ast.Call) -> Expr:
        at = self.at(node)
        noise = self.keywords(node, "beats", ("noise",))["noise"]
        if len(node.args) != 2:
            raise ExpressionError("write beats(winner, loser, noise=spread)", at)
        left, right = (self.expression(a, 2) for a in node.args)
        return Beats(left, right, self.expression(noise, 2), at)

    def draw(self, node: ast.Call, family: str) -> Draw:
        at = self.at(node)
        known = FAMILIES[family]
        found = self.keywords(node, family, known, optional=family == "pick")
        if family == "pick":
            if len(node.args) != 1:
                raise ExpressionError("write pick(set) or pick(set, weights=[...])", at)
            over = self.set_name(node, "pick", 0)
            if "weights" not in found:
                return Draw(family, (), over, at)
            weights = found["weights"]
            if not isinstance(weights, ast.List):
                raise ExpressionError(
                    "weights is a list with one number for each member, such as [1, 2, 1]",
                    self.at(weights),
                )
            items = tuple(self.expression(item, 3) for item in weights.elts)
            return Draw(family, (("weights", Listing(items, self.at(weights))),), over, at)
        if node.args:
            raise ExpressionError(
                f"arguments of {family}(...) are named: "
                f"{family}({', '.join(f'{k}=...' for k in known)})",
                self.at(node.args[0]),
            )
        return Draw(family, tuple((k, self.expression(found[k], 2)) for k in known), None, at)


_WORDS: Final[Mapping[type, str]] = MappingProxyType(
    {
        ast.Attribute: "an attribute ('.')",
        ast.Lambda: "lambda",
        ast.ListComp: "a comprehension",
        ast.SetComp: "a comprehension",
        ast.DictComp: "a comprehension",
        ast.GeneratorExp: "a comprehension",
        ast.JoinedStr: "an f-string",
        ast.List: "a list (but as weights=[...])",
        ast.Tuple: "a tuple",
        ast.Dict: "a dictionary",
        ast.Set: "a set in braces",
        ast.Starred: "'*'",
        ast.NamedExpr: "':='",
        ast.Await: "await",
        ast.Yield: "yield",
        ast.YieldFrom: "yield",
        ast.UnaryOp: "'~'",
    }
)
