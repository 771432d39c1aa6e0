"""A discrete Bayesian network as data: variables, states, parents, conditional tables."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ppt_jax.errors import UserError, printable
from ppt_jax.scenario import limits

Array = NDArray[np.float64]

MAX_FILE_BYTES = 32 * 1024 * 1024
MAX_TABLE = 1 << 22  # entries of one conditional table
MAX_ENTRIES = 1 << 25  # entries of all tables of a network
MAX_VARIABLES = 20_000


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How large a network may be read.

    Attributes:
      file_bytes: of its file.
      variables: how many.
      entries: of all tables.
      steps: of turning ProbLog clauses into tables, one for each clause and state.
    """

    file_bytes: int = MAX_FILE_BYTES
    variables: int = MAX_VARIABLES
    entries: int = MAX_ENTRIES
    steps: int = 1 << 40


SCENARIO = Sizes(256 * 1024, limits.MAX_MODEL, 1 << 22, 50_000)
"""Of a network that becomes a scenario; larger ones do not fit into its limits anyway."""


class NetworkError(UserError):
    """A network file, or a network, is not sound.

    Printed as ``alarm.pl:12:7: what is wrong and what would be right``.

    Attributes:
      message: what is wrong, without the place.
      source: the file's name, or empty.
      line, column: counting from 1; 0 where there is no place.
    """

    def __init__(self, message: str, source: str = "", line: int = 0, column: int = 0) -> None:
        place = ":".join([source or "network", *(str(n) for n in (line, column) if n)])
        super().__init__(printable(f"{place}: {message}"))
        self.message = message
        self.source = source
        self.line = line
        self.column = column

    def __reduce__(self) -> tuple[object, ...]:
        return NetworkError, (self.message, self.source, self.line, self.column)


@dataclasses.dataclass(frozen=True, eq=False)
class Variable:
    """One node of a network.

    Attributes:
      name: unique in its network.
      states: names of the states, distinct.
      parents: numbers of the parents in the network, all smaller than the variable's own.
      table: [states of parent 1, ..., states of parent n, own states], probabilities of the own
        states given the parents'; rows sum to one.
    """

    name: str
    states: tuple[str, ...]
    parents: tuple[int, ...]
    table: Array


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
    """A Bayesian network, parents before children.

    Attributes:
      name: of the network or of its file.
      variables: in topological order.

    Example:
      >>> rain = Variable("rain", ("no", "yes"), (), np.array([0.8, 0.2]))
      >>> wet = Variable("wet", ("no", "yes"), (0,), np.array([[0.9, 0.1], [0.2, 0.8]]))
      >>> Network("lawn", (rain, wet)).number("wet")
      1
    """

    name: str
    variables: tuple[Variable, ...]

    def number(self, name: str) -> int:
        """The number of the variable of that name.

        Raises:
          NetworkError: there is none.
        """
        for number, variable in enumerate(self.variables):
            if variable.name == name:
                return number
        raise NetworkError(f"no variable is called {name!r}", self.name)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of states of each variable."""
        return tuple(len(variable.states) for variable in self.variables)


def check_network(network: Network, tolerance: float = 1e-6) -> Network:
    """Checks shapes, order, names and rows, and gives the network back.

    Raises:
      NetworkError: the first thing that is wrong, with the variable.
    """
    sizes = network.sizes
    names: set[str] = set()
    for number, variable in enumerate(network.variables):

        def wrong(what: str, name: str = variable.name) -> NetworkError:
            return NetworkError(f"variable {name!r}: {what}", network.name)

        if variable.name in names:
            raise wrong("the name is taken")
        names.add(variable.name)
        if not variable.states or len(set(variable.states)) < len(variable.states):
            raise wrong("needs one or more distinct states")
        if any(not 0 <= parent < number for parent in variable.parents):
            raise wrong("a parent does not come before it")
        if len(set(variable.parents)) < len(variable.parents):
            raise wrong("a parent stands twice")
        shape = (*(sizes[parent] for parent in variable.parents), sizes[number])
        if variable.table.shape != shape:
            raise wrong(f"the table has shape {variable.table.shape}, not {shape}")
        if not (variable.table >= 0).all() or not np.isfinite(variable.table).all():
            raise wrong("a probability is negative or no number")
        off = np.abs(variable.table.sum(axis=-1) - 1.0)
        if off.max() > tolerance:
            raise wrong(f"a row of its table misses one by {off.max():.3g}")
    return network


def check_size(sizes: Sequence[int], what: str, source: str, line: int, column: int = 0) -> int:
    """The product of sizes, refused above `MAX_TABLE`."""
    entries = math.prod(sizes)
    if entries > MAX_TABLE:
        raise NetworkError(
            f"{what} would need a table of {entries} entries; at most {MAX_TABLE} are read",
            source,
            line,
            column,
        )
    return entries


def topological_order(parents: Sequence[Sequence[int]]) -> tuple[list[int], list[int]]:
    """Kahn's algorithm: an order with parents first, and the numbers left on or behind cycles."""
    children: list[list[int]] = [[] for _ in parents]
    waiting = [0] * len(parents)
    for number, above in enumerate(parents):
        for parent in set(above):
            children[parent].append(number)
            waiting[number] += 1
    order = [number for number, count in enumerate(waiting) if not count]
    for number in order:
        for child in children[number]:
            waiting[child] -= 1
            if not waiting[child]:
                order.append(child)
    return order, [number for number, count in enumerate(waiting) if count]


def read_text(path: str | Path, most: int | None = None) -> str:
    """The text of a network file, of `most` bytes (`MAX_FILE_BYTES` else) and UTF-8.

    Raises:
      NetworkError: it cannot be read, is too long, or is no UTF-8 text.
    """
    most = MAX_FILE_BYTES if most is None else most
    try:
        with open(path, "rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise NetworkError(f"cannot be read ({error.strerror})", str(path)) from error
    if len(data) > most:
        raise NetworkError(f"is longer than {most} bytes", str(path))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise NetworkError("is no UTF-8 text", str(path), line) from error
