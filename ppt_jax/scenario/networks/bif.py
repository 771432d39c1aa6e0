"""BIF files (the Bayesian Interchange Format of the bnlearn repository) -> a network.

Read are ``network``, ``variable`` (discrete) and ``probability`` blocks with ``table`` and
``default`` rows and rows for named states of the parents; properties and comments are skipped.
Everything is parsed by hand, nothing runs, and every refusal names line and column.

Source: http://www.cs.washington.edu/dm/vfml/appendixes/bif.htm (BIF 0.15).
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ppt_jax.scenario.networks.network import (
    Array,
    Network,
    NetworkError,
    Sizes,
    Variable,
    check_network,
    check_size,
    topological_order,
)

MAX_STATES = 100_000
ROW_TOLERANCE = 0.01  # rows that are printed with few digits are scaled to one
_TOKEN = re.compile(
    r"""
    (?P<space>\s+|//[^\n]*|/\*.*?\*/)
  | (?P<string>"[^"\n]*")
  | (?P<symbol>[{}()\[\];,|])
  | (?P<word>[^\s{}()\[\];,|"]+)
    """,
    re.VERBOSE | re.DOTALL,
)


class _Token(NamedTuple):
    text: str
    at: int


@dataclasses.dataclass(frozen=True)
class _Block:
    """A ``probability`` block: child, parents, rows by parent states (None: default or table)."""

    child: str
    parents: tuple[str, ...]
    rows: tuple[tuple[tuple[str, ...] | None, tuple[float, ...], bool, int], ...]
    at: int


class _Reader:
    def __init__(self, text: str, source: str) -> None:
        self.text = text
        self.source = source
        self.tokens: list[_Token] = []
        at = 0
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise self.error("a comment or a string is not closed", at)
            if match.lastgroup == "string":
                self.tokens.append(_Token(match.group()[1:-1], at))
            elif match.lastgroup != "space":
                self.tokens.append(_Token(match.group(), at))
            at = match.end()
        self.tokens.append(_Token("", len(text)))
        self.next = 0

    def error(self, message: str, at: int) -> NetworkError:
        line = self.text.count("\n", 0, at) + 1
        column = at - (self.text.rfind("\n", 0, at) + 1) + 1
        return NetworkError(message, self.source, line, column)

    @property
    def here(self) -> _Token:
        return self.tokens[self.next]

    def wrong(self, wanted: str) -> NetworkError:
        shown = repr(self.here.text[:40]) if self.here.text else "the end of the file"
        return self.error(f"{wanted} is missing before {shown}", self.here.at)

    def take(self, text: str) -> None:
        if self.here.text != text:
            raise self.wrong(repr(text))
        self.next += 1

    def word(self, what: str) -> str:
        text = self.here.text
        if not text or text in "{}()[];,|":
            raise self.wrong(what)
        self.next += 1
        return text

    def skip_statement(self) -> None:
        while self.here.text not in (";", "}", ""):
            self.next += 1
        self.take(";")

    def words(self, end: str) -> list[str]:
        """Names with commas between, up to and with ``end``."""
        found: list[str] = []
        while self.here.text != end:
            if found and self.here.text == ",":
                self.next += 1
            found.append(self.word("a name"))
        self.next += 1
        return found

    def numbers(self) -> tuple[float, ...]:
        """Probabilities up to and with the semicolon."""
        found: list[float] = []
        while self.here.text != ";":
            if self.here.text == "," and found:
                self.next += 1
            at = self.here.at
            text = self.word("a probability")
            try:
                value = float(text)
            except ValueError:
                raise self.error(f"{text[:40]!r} is no number", at) from None
            if not 0.0 <= value <= 1.0 or math.isnan(value):
                raise self.error(f"the probability {text[:40]} is not in [0, 1]", at)
            found.append(value)
        self.next += 1
        return tuple(found)

    # -- blocks --------------------------------------------------------------------------------

    def network(self) -> str:
        name = self.word("the network's name") if self.here.text != "{" else self.source
        self.take("{")
        while self.here.text != "}":
            if not self.here.text:
                raise self.wrong("'}'")
            self.skip_statement()
        self.next += 1
        return name

    def variable(self) -> tuple[str, tuple[str, ...]]:
        at = self.here.at
        name = self.word("the variable's name")
        self.take("{")
        states: list[str] = []
        while self.here.text != "}":
            if self.here.text != "type":
                if not self.here.text:
                    raise self.wrong("'}'")
                self.skip_statement()
                continue
            self.next += 1
            if self.word("the type") != "discrete":
                raise self.error(f"variable {name!r} is not discrete", at)
            self.take("[")
            count_at = self.here.at
            count = self.word("the number of states")
            self.take("]")
            self.take("{")
            states = self.words("}")
            self.take(";")
            if count != str(len(states)):
                message = f"variable {name!r} announces {count[:20]} states and names {len(states)}"
                raise self.error(message, count_at)
        self.next += 1
        if not states or len(set(states)) < len(states) or len(states) > MAX_STATES:
            raise self.error(f"variable {name!r} needs distinct states", at)
        return name, tuple(states)

    def probability(self) -> _Block:
        at = self.here.at
        self.take("(")
        child = self.word("the variable's name")
        parents: list[str] = []
        if self.here.text == "|":
            self.next += 1
            parents = self.words(")")
        else:
            self.take(")")
        self.take("{")
        rows: list[tuple[tuple[str, ...] | None, tuple[float, ...], bool, int]] = []
        known: set[object] = set()
        while self.here.text != "}":
            row_at = self.here.at
            if self.here.text in ("table", "default"):
                whole = self.here.text == "table"
                self.next += 1
                rows.append((None, self.numbers(), whole, row_at))
            elif self.here.text == "(":
                self.next += 1
                states = tuple(self.words(")"))
                rows.append((states, self.numbers(), False, row_at))
            elif self.here.text == "property":
                self.skip_statement()
            else:
                raise self.wrong("'table', 'default', '(' or '}'")
            if rows and rows[-1][3] == row_at:
                key = rows[-1][0] if rows[-1][0] is not None else rows[-1][2]
                if key in known:
                    raise self.error(f"{child!r}: this row stands twice", row_at)
                known.add(key)
        self.next += 1
        return _Block(child, tuple(parents), tuple(rows), at)

    def entries(self, block: _Block, states: dict[str, tuple[str, ...]]) -> int:
        """How many entries the table of a block has."""
        for name in (block.child, *block.parents):
            if name not in states:
                raise self.error(f"no variable is called {name[:40]!r}", block.at)
        if len({block.child, *block.parents}) < 1 + len(block.parents):
            raise self.error(f"{block.child!r}: a variable stands twice", block.at)
        shape = [len(states[name]) for name in (*block.parents, block.child)]
        line = self.text.count("\n", 0, block.at) + 1
        return check_size(shape, f"variable {block.child!r}", self.source, line)

    def table(self, block: _Block, states: dict[str, tuple[str, ...]]) -> Array:
        """The conditional table [parents' states, own states] of a block, rows scaled to one."""
        shape = [len(states[name]) for name in (*block.parents, block.child)]
        table = np.full(shape, np.nan)
        places = [{state: i for i, state in enumerate(states[name])} for name in block.parents]
        for key, values, whole, at in sorted(block.rows, key=lambda row: row[0] is not None):
            wanted = table.size if whole else shape[-1]
            if len(values) != wanted:
                raise self.error(f"{wanted} probabilities are needed here, not {len(values)}", at)
            if key is None:
                # a whole table has the child's states slowest, the last parent's fastest
                table[...] = (
                    np.moveaxis(np.reshape(values, (shape[-1], *shape[:-1])), 0, -1)
                    if whole
                    else np.asarray(values)
                )
                continue
            if len(key) != len(block.parents):
                raise self.error(f"{len(block.parents)} parent states are needed here", at)
            index = [place.get(state) for place, state in zip(places, key)]
            for state, found, name in zip(key, index, block.parents):
                if found is None:
                    raise self.error(f"{name!r} has no state {state[:40]!r}", at)
            table[tuple(i for i in index if i is not None)] = values
        if np.isnan(table).any():
            raise self.error(f"{block.child!r}: a row of the table is missing", block.at)
        total = table.sum(axis=-1, keepdims=True)
        off = float(np.abs(total - 1.0).max())
        if off > ROW_TOLERANCE:
            raise self.error(
                f"{block.child!r}: a row of the table misses one by {off:.3g}", block.at
            )
        return np.asarray(table / total)


def _ordered(blocks: Sequence[_Block], reader: _Reader) -> list[int]:
    number = {block.child: i for i, block in enumerate(blocks)}
    order, cyclic = topological_order([[number[p] for p in block.parents] for block in blocks])
    if cyclic:
        block = blocks[cyclic[0]]
        raise reader.error(f"{block.child!r} stands on or behind a cycle", block.at)
    return order


def parse_bif(text: str, source: str = "bif", sizes: Sizes | None = None) -> Network:
    """The network of a BIF text.

    Args:
      text: the whole file.
      source: its name, for messages.
      sizes: how large it may be.

    Returns:
      The network, parents before children.

    Raises:
      NetworkError: the text is no sound BIF, with line and column.

    Example:
      >>> text = '''network n {} variable rain { type discrete [ 2 ] { no, yes }; }
      ... probability ( rain ) { table 0.8, 0.2; }'''
      >>> parse_bif(text).variables[0].states
      ('no', 'yes')
    """
    sizes = sizes or Sizes()
    reader = _Reader(text, source)
    states: dict[str, tuple[str, ...]] = {}
    blocks: list[_Block] = []
    name = source
    while reader.here.text:
        at = reader.here.at
        kind = reader.word("a block")
        if kind == "network":
            name = reader.network()
        elif kind == "variable":
            found, own = reader.variable()
            if found in states:
                raise reader.error(f"variable {found!r} stands twice", at)
            states[found] = own
            if len(states) > sizes.variables:
                raise reader.error(f"at most {sizes.variables} variables are read", at)
        elif kind == "probability":
            blocks.append(reader.probability())
        else:
            raise reader.error(
                f"a block is network, variable or probability, not {kind[:40]!r}", at
            )
    tables, entries = {}, 0
    for block in blocks:
        if block.child in tables:
            raise reader.error(f"{block.child!r} has two probability blocks", block.at)
        entries += reader.entries(block, states)
        if entries > sizes.entries:
            raise reader.error(f"at most {sizes.entries} table entries are read", block.at)
        tables[block.child] = reader.table(block, states)
    for missing in states.keys() - tables.keys():
        raise NetworkError(f"variable {missing!r} has no probability block", source)
    order = _ordered(blocks, reader)
    number = {blocks[i].child: place for place, i in enumerate(order)}
    variables = [
        Variable(
            blocks[i].child,
            states[blocks[i].child],
            tuple(number[parent] for parent in blocks[i].parents),
            tables[blocks[i].child],
        )
        for i in order
    ]
    return check_network(Network(name, tuple(variables)))
