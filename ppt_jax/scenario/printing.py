"""Formulas back into text: one canonical spelling for each syntax tree."""

from __future__ import annotations

from ppt_jax.scenario.syntax import (
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
)

_LEVELS = {"+": 6, "-": 6, "*": 7, "/": 7}
_IF, _OR, _AND, _NOT, _COMPARE, _SUM, _MINUS, _POWER, _ATOM = 1, 2, 3, 4, 5, 6, 8, 9, 10


def print_expression(expr: Expr) -> str:
    """The canonical text of a formula, with no more parentheses than needed.

    Parsing the text gives the same tree, but for the character offsets.

    Example:
      >>> from ppt_jax.scenario.expression import parse_expression
      >>> print_expression(parse_expression("((a)*b) + -(c)", kind="let"))
      'a * b + -c'
    """
    return _text(expr)[0]


def print_number(value: float) -> str:
    """A number as formulas and programs write it: 12, 0.25, 1e-05."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))


def print_label(text: str) -> str:
    """A label in the plainest quotes that hold it."""
    if "'" in text and '"' not in text:
        return '"' + text.replace("\\", "\\\\") + '"'
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _inside(expr: Expr, least: int) -> str:
    text, level = _text(expr)
    return text if level >= least else f"({text})"


def _text(expr: Expr) -> tuple[str, int]:
    """The text and how tightly its outermost operator binds."""
    match expr:
        case Number(value=value):
            return print_number(value), _ATOM if value >= 0 else _MINUS
        case Name(name=name):
            return name, _ATOM
        case Label(text=text):
            return print_label(text), _ATOM
        case Index(name=name, indices=indices):
            return f"{name}[{', '.join(map(print_expression, indices))}]", _ATOM
        case Unary(op="-", operand=operand):
            return f"-{_inside(operand, _MINUS)}", _MINUS
        case Unary(operand=operand):
            return f"not {_inside(operand, _NOT)}", _NOT
        case Binary(op="**", left=left, right=right):
            return f"{_inside(left, _ATOM)} ** {_inside(right, _MINUS)}", _POWER
        case Binary(op=op, left=left, right=right):
            level = _LEVELS[op]
            return f"{_inside(left, level)} {op} {_inside(right, level + 1)}", level
        case Compare(op=op, left=left, right=right):
            return f"{_inside(left, _SUM)} {op} {_inside(right, _SUM)}", _COMPARE
        case Logic(op=op, operands=operands):
            level = _AND if op == "and" else _OR
            return f" {op} ".join(_inside(part, level + 1) for part in operands), level
        case IfElse(test=test, then=then, orelse=orelse):
            parts = _inside(then, _OR), _inside(test, _OR), _inside(orelse, _IF)
            return f"{parts[0]} if {parts[1]} else {parts[2]}", _IF
        case Call(function=function, args=args):
            return f"{function}({', '.join(map(print_expression, args))})", _ATOM
        case Reduce(function=function, body=body, set=over):
            return f"{function}({print_expression(body)}, {over})", _ATOM
        case Prev(name=name, first=first):
            return f"prev({name}, first={print_expression(first)})", _ATOM
        case Listing(items=items):
            return f"[{', '.join(map(print_expression, items))}]", _ATOM
        case Draw(family=family, args=args, set=over):
            parts_ = [over] if over is not None else []
            parts_ += [f"{name}={print_expression(value)}" for name, value in args]
            return f"{family}({', '.join(parts_)})", _ATOM
        case Beats(left=left, right=right, noise=noise):
            sides = f"{print_expression(left)}, {print_expression(right)}"
            return f"beats({sides}, noise={print_expression(noise)})", _ATOM
