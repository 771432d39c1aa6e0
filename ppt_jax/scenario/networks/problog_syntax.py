"""ProbLog text -> clauses: the propositional subset, with places for messages. Nothing runs.

Read are probabilistic facts ``0.3::a(x).``, annotated disjunctions ``0.2::a(x); 0.8::a(y) :- b.``,
rules with ``,``, ``;``, ``\\+`` and ``not`` in their bodies, deterministic facts and rules,
``evidence(a)``, ``evidence(a, false)``, ``evidence(\\+a)`` and ``query(a)``. Terms are ground:
names, quoted names, strings, numbers, compounds and arithmetic-looking terms. Probabilities are
numbers or constant arithmetic (``1/3``). Outside of it, each refused with its place: logic
variables, lists, comparisons, directives, learnable ``t(_)`` probabilities.

Source of the language: https://problog.readthedocs.io/en/latest/modeling_basic.html
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import NamedTuple

from ppt_jax.scenario.networks.network import NetworkError

MAX_DEPTH = 60  # nesting of terms and of bodies
MAX_TOKENS = 8_000_000
MAX_TERM = 2_000  # characters of one arithmetic-looking term
MAX_ARGUMENTS = 1_000  # of one compound term

_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<comment>%[^\n]*)
  | (?P<block>/\*)
  | (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
  | (?P<quoted>'(?:[^'\\\n]|''|\\.)*')
  | (?P<string>"(?:[^"\\\n]|""|\\.)*")
  | (?P<word>[^\W\d_]\w*|_\w*)
  | (?P<end>\.(?=\s|%|$))
  | (?P<symbol>::|:-|<-|\\\+|=\\=|\\==|=:=|=<|>=|\\=|==|[-+*/(),;\[\]|<>=:!^&{}~@\#$?.\\])
    """,
    re.VERBOSE,
)
_HEADING = re.compile(r"%+\s*ID\b", re.IGNORECASE)


class Token(NamedTuple):
    """A token: its kind, its text and its offset in the file."""

    kind: str
    text: str
    at: int


@dataclasses.dataclass(frozen=True)
class Atom:
    """A ground atom: functor and arguments, each a canonical text; ``a`` and ``'a'`` are one."""

    functor: str
    args: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.functor}({', '.join(self.args)})" if self.args else self.functor


@dataclasses.dataclass(frozen=True)
class Formula:
    """A body: ``op`` is ``atom``, ``not``, ``and``, ``or``, ``true`` or ``false``."""

    op: str
    atom: Atom | None = None
    parts: tuple[Formula, ...] = ()


@dataclasses.dataclass(frozen=True)
class Clause:
    """``p1::head1; p2::head2 :- body``; the line and column of its start."""

    heads: tuple[tuple[float, Atom], ...]
    body: Formula
    line: int
    column: int


@dataclasses.dataclass(frozen=True)
class Literal:
    """An atom that is seen or asked for, true or false; ``block`` counts ``% ID`` headings."""

    atom: Atom
    value: bool
    line: int
    column: int
    block: int


@dataclasses.dataclass(frozen=True)
class Statements:
    """A file: its clauses, and its evidence and queries in their order."""

    source: str
    clauses: tuple[Clause, ...]
    evidence: tuple[Literal, ...]
    queries: tuple[Literal, ...]


TRUE = Formula("true")


class _Places:
    def __init__(self, text: str, source: str) -> None:
        self.source = source
        self.starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def of(self, at: int) -> tuple[int, int]:
        low, high = 0, len(self.starts)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.starts[middle] <= at else (low, middle)
        return low + 1, at - self.starts[low] + 1

    def error(self, message: str, at: int) -> NetworkError:
        return NetworkError(message, self.source, *self.of(at))


def _tokens(text: str, places: _Places) -> tuple[list[Token], list[int]]:
    """All tokens, an ``eof`` last, and the offsets of the ``% ID`` headings."""
    tokens: list[Token] = []
    headings: list[int] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            shown = text[at : at + 10].split("\n")[0]
            what = (
                "a quotation mark is not closed" if text[at] in "'\"" else f"cannot read {shown!r}"
            )
            raise places.error(what, at)
        kind = match.lastgroup or ""
        if kind == "block":
            end = text.find("*/", at)
            if end < 0:
                raise places.error("the comment is not closed", at)
            at = end + 2
            continue
        if kind == "comment":
            if _HEADING.match(match.group()):
                headings.append(at)
        elif kind != "space":
            tokens.append(Token(kind, match.group(), at))
            if len(tokens) > MAX_TOKENS:
                raise places.error(f"more than {MAX_TOKENS} tokens", at)
        at = match.end()
    tokens.append(Token("eof", "", len(text)))
    return tokens, headings


@dataclasses.dataclass(frozen=True)
class _Term:
    """A parsed term; ``number`` where it is constant arithmetic."""

    text: str
    at: int
    functor: str = ""
    args: tuple[_Term, ...] = ()
    number: float | None = None
    plain: bool = False  # can be an atom of the language: a name, with or without arguments

    def atom(self) -> Atom:
        return Atom(self.functor, tuple(arg.text for arg in self.args))


def _unquoted(token: Token) -> str:
    mark = token.text[0]
    inner = token.text[1:-1].replace(mark * 2, mark)
    return re.sub(r"\\(.)", lambda m: {"n": "\n", "t": "\t"}.get(m.group(1), m.group(1)), inner)


def _name_text(name: str) -> str:
    """A name as ProbLog prints it: quoted where it has to be."""
    return name if re.fullmatch(r"[^\W\d_A-Z]\w*", name) else "'" + name.replace("'", "''") + "'"


class _Parser:
    def __init__(self, text: str, source: str) -> None:
        self.places = _Places(text, source)
        self.tokens, self.headings = _tokens(text, self.places)
        self.next = 0
        self.depth = 0

    # -- tokens --------------------------------------------------------------------------------

    @property
    def here(self) -> Token:
        return self.tokens[self.next]

    def error(self, message: str, at: int | None = None) -> NetworkError:
        return self.places.error(message, self.here.at if at is None else at)

    def is_symbol(self, *texts: str) -> bool:
        return self.here.kind == "symbol" and self.here.text in texts

    def take(self, text: str) -> None:
        if not self.is_symbol(text):
            raise self.error(f"{text!r} is missing before {self.shown()}")
        self.next += 1

    def shown(self) -> str:
        return "the end of the file" if self.here.kind == "eof" else repr(self.here.text[:40])

    def deeper(self, by: int) -> None:
        self.depth += by
        if self.depth > MAX_DEPTH:
            raise self.error(f"nested more than {MAX_DEPTH} deep")

    # -- terms ---------------------------------------------------------------------------------

    def term(self) -> _Term:
        """A term with ``+``, ``-``, ``*`` and ``/``, left to right with the usual precedence."""
        self.deeper(1)
        left = self.product()
        while self.is_symbol("+", "-"):
            left = self.infix(left)
        self.deeper(-1)
        return left

    def product(self) -> _Term:
        left = self.primary()
        while self.is_symbol("*", "/"):
            left = self.infix(left)
        return left

    def infix(self, left: _Term) -> _Term:
        op = self.here.text
        if len(left.text) > MAX_TERM:
            raise self.error(f"a term of more than {MAX_TERM} characters", left.at)
        self.next += 1
        right = self.primary() if op in "*/" else self.product()
        number = None
        if left.number is not None and right.number is not None:
            a, b = left.number, right.number
            if op == "/" and b == 0:
                raise self.error("division by zero", right.at)
            number = {"+": a + b, "-": a - b, "*": a * b, "/": a / b if b else 0.0}[op]
        return _Term(f"{left.text}{op}{right.text}", left.at, number=number)

    def primary(self) -> _Term:
        token = self.here
        if token.kind == "number":
            self.next += 1
            whole = token.text.isdigit()
            if len(token.text) > 40:
                raise self.error("a number of more than 40 characters", token.at)
            value = float(token.text)
            return _Term(str(int(token.text)) if whole else repr(value), token.at, number=value)
        if token.kind == "string":
            self.next += 1
            return _Term('"' + _unquoted(token) + '"', token.at)
        if token.kind in ("word", "quoted"):
            return self.named(token)
        if self.is_symbol("-", "+"):
            self.next += 1
            self.deeper(1)
            inner = self.primary()
            self.deeper(-1)
            number = inner.number
            if number is not None and token.text == "-":
                number = -number
            text = inner.text if token.text == "+" else f"-{inner.text}"
            return _Term(text, token.at, number=number)
        if self.is_symbol("("):
            self.next += 1
            inner = self.term()
            self.take(")")
            return inner
        if self.is_symbol("["):
            raise self.error("lists are outside of the ProbLog subset that is read")
        raise self.error(f"a term is missing before {self.shown()}")

    def named(self, token: Token) -> _Term:
        if token.kind == "word" and (token.text[0].isupper() or token.text[0] == "_"):
            raise self.error(
                f"{token.text!r} is a logic variable; only ground programs are read "
                "(write a name in lower case, or quote it)"
            )
        name = token.text if token.kind == "word" else _unquoted(token)
        self.next += 1
        args: list[_Term] = []
        if self.is_symbol("(") and self.here.at == token.at + len(token.text):
            self.next += 1
            args.append(self.term())
            while self.is_symbol(","):
                self.next += 1
                args.append(self.term())
                if len(args) > MAX_ARGUMENTS:
                    raise self.error(f"more than {MAX_ARGUMENTS} arguments", token.at)
            self.take(")")
        shown = _name_text(name)
        text = f"{shown}({', '.join(arg.text for arg in args)})" if args else shown
        return _Term(text, token.at, shown, tuple(args), None, True)

    def as_atom(self, term: _Term) -> Atom:
        if not term.plain:
            raise self.error(f"an atom is needed, not {term.text!r}", term.at)
        return term.atom()

    # -- bodies --------------------------------------------------------------------------------

    def body(self) -> Formula:
        return self.joined(";", "or", lambda: self.joined(",", "and", self.literal))

    def joined(self, symbol: str, op: str, part: Callable[[], Formula]) -> Formula:
        self.deeper(1)
        parts = [part()]
        while self.is_symbol(symbol):
            self.next += 1
            parts.append(part())
        self.deeper(-1)
        return parts[0] if len(parts) == 1 else Formula(op, parts=tuple(parts))

    def literal(self) -> Formula:
        token = self.here
        if self.is_symbol("\\+") or (token.kind == "word" and token.text == "not"):
            self.next += 1
            self.deeper(1)
            inner = self.literal()
            self.deeper(-1)
            return Formula("not", parts=(inner,))
        if self.is_symbol("("):
            self.next += 1
            self.deeper(1)
            inner = self.body()
            self.deeper(-1)
            self.take(")")
            return inner
        term = self.term()
        if self.here.kind == "symbol" and self.here.text not in (",", ";", ")"):
            raise self.error(
                f"{self.here.text!r} is outside of the ProbLog subset that is read: "
                "a body holds atoms, 'not', ',' and ';'"
            )
        atom = self.as_atom(term)
        if not atom.args and atom.functor in ("true", "fail", "false"):
            return Formula("true" if atom.functor == "true" else "false")
        return Formula("atom", atom)

    # -- statements ----------------------------------------------------------------------------

    def end(self) -> None:
        if self.here.kind != "end":
            raise self.error(f"a full stop is missing before {self.shown()}")
        self.next += 1

    def probability(self, term: _Term) -> float:
        if term.number is None:
            raise self.error(f"a probability must be a number, not {term.text!r}", term.at)
        if not 0.0 <= term.number <= 1.0:
            raise self.error(f"the probability {term.text} is not in [0, 1]", term.at)
        return term.number

    def heads(self) -> tuple[tuple[float, Atom], ...]:
        found: list[tuple[float, Atom]] = []
        start = self.here.at
        bare = False
        while True:
            term = self.term()
            if self.is_symbol("::"):
                self.next += 1
                found.append((self.probability(term), self.as_atom(self.term())))
            else:
                bare = True
                found.append((1.0, self.as_atom(term)))
            if not self.is_symbol(";"):
                break
            self.next += 1
        if bare and len(found) > 1:
            raise self.error("every head of a disjunction needs a probability", start)
        return tuple(found)

    def seen(self, formula: Formula, value: bool, at: int) -> list[tuple[Atom, bool]]:
        """The literals that an evidence or a query names."""
        if formula.op == "not":
            return self.seen(formula.parts[0], not value, at)
        if formula.op == "atom" and formula.atom is not None:
            return [(formula.atom, value)]
        if formula.op == ("and" if value else "or"):
            return [pair for part in formula.parts for pair in self.seen(part, value, at)]
        raise self.error("evidence and queries name atoms, or atoms that are not so", at)

    def special(self, name: str) -> list[tuple[Atom, bool]]:
        """``evidence(...)`` or ``query(...)`` after its name."""
        at = self.here.at
        self.take("(")
        formula = self.literal()
        value = True
        if self.is_symbol(","):
            self.next += 1
            term = self.term()
            if term.text not in ("true", "false"):
                raise self.error(f"{name} is true or false, not {term.text!r}", term.at)
            value = term.text == "true"
        self.take(")")
        self.end()
        found = self.seen(formula, value, at)
        if name == "query" and len(found) != 1:
            raise self.error("a query names one atom", at)
        return found

    def statements(self) -> Statements:
        clauses: list[Clause] = []
        kept: dict[str, list[Literal]] = {"evidence": [], "query": []}
        block = 0
        while self.here.kind != "eof":
            token, after = self.here, self.tokens[self.next + 1]
            while block < len(self.headings) and self.headings[block] < token.at:
                block += 1
            if token.kind == "word" and token.text in kept and after.text == "(":
                self.next += 1
                for atom, value in self.special(token.text):
                    place = self.places.of(token.at)
                    kept[token.text].append(Literal(atom, value, *place, block))
                continue
            if self.is_symbol(":-"):
                raise self.error("directives are outside of the ProbLog subset that is read")
            heads = self.heads()
            body = TRUE
            if self.is_symbol(":-", "<-"):
                self.next += 1
                body = self.body()
            self.end()
            clauses.append(Clause(heads, body, *self.places.of(token.at)))
        return Statements(
            self.places.source, tuple(clauses), tuple(kept["evidence"]), tuple(kept["query"])
        )


def parse_problog(text: str, source: str = "problog") -> Statements:
    """The clauses, evidence and queries of a ProbLog text.

    Args:
      text: the whole file.
      source: its name, for messages.

    Raises:
      NetworkError: the text is outside of the subset, with line and column.

    Example:
      >>> found = parse_problog("0.3::rain. 0.9::wet :- rain. query(wet).")
      >>> [str(clause.heads[0][1]) for clause in found.clauses]
      ['rain', 'wet']
    """
    return _Parser(text, source).statements()
