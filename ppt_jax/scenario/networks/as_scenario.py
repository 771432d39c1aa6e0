"""A network as a scenario document: two states become a yes draw, more become a pick.

A conditional table is written as nested choices over the parents; where a formula would grow too
long, parts of it become `let` nodes. What the limits of the language do not allow is said.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ppt_jax.scenario import limits
from ppt_jax.scenario.expression import FAMILIES
from ppt_jax.scenario.networks.network import Array, Network, NetworkError, Variable

LONGEST = 300  # characters of a part of a formula; longer parts become nodes
FUNCTIONS = ("exp", "log", "sqrt", "abs", "min", "max", "sigmoid", "clip", "round")
WORDS = frozenset({*keyword.kwlist, *FUNCTIONS, "total", "average", "prev", "beats"})


class _Writer:
    def __init__(self, network: Network) -> None:
        self.network = network
        self.model: list[dict[str, Any]] = []
        self.taken = set(FAMILIES) | {"yes", "normal", "pick"} | WORDS
        self.names: list[str] = []
        self.sets: dict[tuple[str, ...], str] = {}

    def name(self, wanted: str) -> str:
        """A name of the language that is still free."""
        plain = re.sub(r"[^a-zA-Z0-9]+", "_", wanted).strip("_").lower()
        plain = plain if plain[:1].isalpha() else f"v_{plain}".strip("_")
        plain = plain[: limits.MAX_NAME_CHARACTERS - 6].strip("_")
        made, count = plain, 2
        while made in self.taken:
            made, count = f"{plain}_{count}", count + 1
        self.taken.add(made)
        return made

    def labels(self, variable: Variable) -> tuple[str, ...]:
        """States as labels, refused where two would be alike."""
        made = tuple(map(_plain_label, variable.states))
        if len(set(made)) < len(made) or not all(made):
            raise self.refused(variable, "its states have no distinct plain names")
        if len(made) > limits.MAX_MEMBERS:
            raise self.refused(variable, f"it has more than {limits.MAX_MEMBERS} states")
        return made

    def refused(self, variable: Variable, why: str) -> NetworkError:
        return NetworkError(
            f"variable {variable.name!r} does not fit into a scenario: {why}", self.network.name
        )

    def test(self, parent: int, state: int) -> str:
        variable = self.network.variables[parent]
        if len(variable.states) == 2:
            return self.names[parent] if state == 1 else f"not {self.names[parent]}"
        return f"{self.names[parent]} == '{self.labels(variable)[state]}'"

    def formula(self, table: Array, parents: Sequence[int], owner: str) -> str:
        """``table`` [parents' states] as nested choices; equal branches are written once."""
        if table.size == 0 or not parents:
            return f"{float(table):.12g}"
        parts: dict[bytes, tuple[Array, list[int]]] = {}
        for state in range(table.shape[0]):
            part = np.asarray(table[state])
            parts.setdefault(part.tobytes(), (part, []))[1].append(state)
        ordered = sorted(parts.values(), key=lambda part: len(part[1]))
        *tested, last = ordered
        written = self.formula(last[0], parents[1:], owner)
        for part, states in tested:
            then = self.formula(part, parents[1:], owner)
            test = " or ".join(self.test(parents[0], state) for state in states)
            written = f"({then} if {test} else {self.short(written, owner)})"
            written = self.short(written, owner)
        return written

    def room(self) -> None:
        """Refuses a document of more nodes than it may have, before all of them are written."""
        if len(self.model) >= limits.MAX_MODEL:
            message = f"does not fit into a scenario: more than {limits.MAX_MODEL} nodes"
            raise NetworkError(message, self.network.name)

    def short(self, formula: str, owner: str) -> str:
        """The formula, or the name of a new node that holds it where it is long."""
        if len(formula) <= LONGEST // 2:
            return formula
        if len(formula) > limits.MAX_FORMULA_CHARACTERS:
            raise NetworkError(
                f"variable {owner!r} does not fit into a scenario: one choice takes more than "
                f"{limits.MAX_FORMULA_CHARACTERS} characters",
                self.network.name,
            )
        self.room()
        name = self.name(f"{owner}_part")
        self.model.append({"name": name, "kind": "let", "expr": formula})
        return name

    def add(self, variable: Variable) -> None:
        table = variable.table
        if len(variable.states) == 1:
            raise self.refused(variable, "it has one state only")
        if len(variable.states) == 2:
            p = self.formula(np.asarray(table[..., 1]), variable.parents, variable.name)
            expr = f"yes(p={p})"
        else:
            members = self.labels(variable)
            if members not in self.sets:
                self.sets[members] = self.name(f"{variable.name}_states")
            weights = [
                self.formula(np.asarray(table[..., i]), variable.parents, variable.name)
                for i in range(len(members))
            ]
            expr = f"pick({self.sets[members]}, weights=[{', '.join(weights)}])"
            if len(expr) > limits.MAX_FORMULA_CHARACTERS:
                weights = [self.node(weight, variable.name) for weight in weights]
                expr = f"pick({self.sets[members]}, weights=[{', '.join(weights)}])"
            if len(expr) > limits.MAX_FORMULA_CHARACTERS:
                raise self.refused(variable, f"{len(members)} weights make too long a formula")
        self.room()
        name = self.name(variable.name)
        self.names.append(name)
        self.model.append({"name": name, "kind": "draw", "expr": expr})

    def node(self, formula: str, owner: str) -> str:
        if re.fullmatch(r"[\w.+-]+", formula):
            return formula
        self.room()
        name = self.name(f"{owner[:12]}_w")
        self.model.append({"name": name, "kind": "let", "expr": formula})
        return name


def _plain_label(state: str) -> str:
    """A state's name without what a label may not hold."""
    for sign, words in (("<=", "at most "), (">=", "at least "), ("<", "below "), (">", "above ")):
        state = state.replace(sign, words)
    kept = "".join(c if c.isprintable() else " " for c in state)
    return re.sub(r"[\[\](){},\"'\\\s]+", " ", kept).strip()[: limits.MAX_LABEL_CHARACTERS].strip()


def scenario_document(
    network: Network,
    evidence: Mapping[str, str],
    asks: Sequence[str],
    *,
    name: str = "network-1",
    story: str = "A network.",
) -> dict[str, Any]:
    """A scenario whose latents are the variables of a network.

    Args:
      network: the network; every variable needs two states or more.
      evidence: variable -> the state that is seen.
      asks: variables that are asked for, each a `choice` among its states.
      name, story: of the document.

    Returns:
      A document of schema ``scenario/1`` for `parse_scenario`.

    Raises:
      NetworkError: what does not fit into the limits of the language.

    Example:
      >>> from ppt_jax.scenario.networks.bif import parse_bif
      >>> net = parse_bif('''variable rain { type discrete [ 2 ] { no, yes }; }
      ... probability ( rain ) { table 0.8, 0.2; }''')
      >>> scenario_document(net, {}, ["rain"])["model"]
      [{'name': 'rain', 'kind': 'draw', 'expr': 'yes(p=0.2)'}]
    """
    writer = _Writer(network)
    for variable in network.variables:
        writer.add(variable)
    for what, count, most in (
        ("sets of states", len(writer.sets), limits.MAX_SETS),
        ("nodes", len(writer.model), limits.MAX_MODEL),
        ("questions", len(asks), limits.MAX_ASK),
    ):
        if count > most:
            message = f"does not fit into a scenario: {count} {what}, at most {most} are allowed"
            raise NetworkError(message, network.name)
    given = []
    for wanted, state in evidence.items():
        number = network.number(wanted)
        variable = network.variables[number]
        if state not in variable.states:
            raise NetworkError(f"variable {wanted!r} has no state {state!r}", network.name)
        place = variable.states.index(state)
        shown = str(place) if len(variable.states) == 2 else f"'{writer.labels(variable)[place]}'"
        given.append({"that": f"{writer.names[number]} == {shown}"})
    questions = []
    for place, wanted in enumerate(asks):
        number = network.number(wanted)
        options = writer.labels(network.variables[number])
        questions.append(
            {
                "id": f"q{place + 1}",
                "kind": "choice",
                "expr": writer.names[number],
                "options": list(options),
                "text": f"Which state has {wanted}?",
            }
        )
    return {
        "schema": "scenario/1",
        "id": name,
        "motif": "network",
        "story": story,
        "sets": [
            {"name": set_name, "members": list(members)}
            for members, set_name in writer.sets.items()
        ],
        "model": writer.model,
        "given": given,
        "ask": questions,
    }
