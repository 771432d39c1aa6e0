"""Networks with their evidence and questions as scenario documents."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ppt_jax.scenario.networks.as_scenario import scenario_document
from ppt_jax.scenario.networks.network import SCENARIO, Network, NetworkError
from ppt_jax.scenario.networks.problog import AtomNetwork, problog_network
from ppt_jax.scenario.networks.problog_syntax import Literal, Statements

MAX_ASKED = 8  # variables asked for where nobody says which


def bif_document(network: Network, words: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A document of a BIF network.

    Args:
      network: the network.
      words: ``story``, ``evidence`` (variable -> state) and ``asks`` (list of variables); without
        asks, the variables without children that are not observed, eight at most.
      name: becomes the id.

    Raises:
      NetworkError: what does not fit into a scenario.
    """
    evidence = words.get("evidence", {})
    if not isinstance(evidence, Mapping):
        raise NetworkError("evidence is an object: variable -> state", network.name)
    asks = words.get("asks")
    if asks is None:
        parents = {p for variable in network.variables for p in variable.parents}
        ends = [v.name for i, v in enumerate(network.variables) if i not in parents]
        asks = [v for v in ends if v not in evidence][:MAX_ASKED]
        asks = asks or [v.name for v in network.variables if v.name not in evidence][:MAX_ASKED]
    if not isinstance(asks, list) or not asks:
        raise NetworkError("asks is a list of variables, one or more", network.name)
    story = str(words.get("story") or f"A Bayesian network, {name}.")
    return scenario_document(network, evidence, asks, name=_slug(name), story=story)


def problog_documents(
    statements: Statements, words: Mapping[str, Any], name: str
) -> Iterator[dict[str, Any] | NetworkError]:
    """A document for each block of evidence and queries of a ProbLog program.

    Args:
      statements: the parsed program.
      words: ``story``.
      name: becomes the id, with the block's number where there are several.

    Raises:
      NetworkError: the program is no network.
    """
    made = problog_network(statements, SCENARIO)
    if made.excessive:
        raise NetworkError(next(iter(made.excessive.values())), statements.source)
    blocks = sorted({query.block for query in statements.queries})
    if not blocks:
        raise NetworkError("nothing is asked: add query(atom).", statements.source)
    for block in blocks:
        try:
            evidence: dict[str, str] = {}
            for seen in statements.evidence:
                if seen.block == block:
                    variable, state = _seen(made, seen, statements.source)
                    if evidence.setdefault(variable, state) != state:
                        message = f"evidence on {seen.atom} contradicts what stands before it"
                        raise NetworkError(message, statements.source, seen.line, seen.column)
            asks = [
                made.network.variables[_place(made, query, statements.source)[0]].name
                for query in statements.queries
                if query.block == block
            ]
            own = f"{name}-{block}" if len(blocks) > 1 else name
            yield scenario_document(
                made.network,
                evidence,
                list(dict.fromkeys(asks)),
                name=_slug(own),
                story=str(words.get("story") or f"A ProbLog program, {own}."),
            )
        except NetworkError as error:
            yield error


def _place(made: AtomNetwork, literal: Literal, source: str) -> tuple[int, frozenset[int]]:
    if literal.atom not in made.atoms:
        message = f"{literal.atom} stands in no head"
        raise NetworkError(message, source, literal.line, literal.column)
    return made.atoms[literal.atom]


def _seen(made: AtomNetwork, seen: Literal, source: str) -> tuple[str, str]:
    """Variable and state of one piece of evidence."""
    number, states = _place(made, seen, source)
    variable = made.network.variables[number]
    true = states if seen.value else frozenset(range(len(variable.states))) - states
    if len(true) != 1:
        raise NetworkError(
            f"evidence on {seen.atom} leaves {len(true)} states of one choice open; only evidence "
            "that settles it is read",
            source,
            seen.line,
            seen.column,
        )
    return variable.name, variable.states[min(true)]


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:80].strip("-") or "network"
