"""The scenario document, schema `scenario/1`: dataclasses, reading, writing.

A document is one flat JSON object with a story, a program (`sets`, `model`), observations
(`given`) and questions (`ask`). `parse_scenario` checks all of it; a `Scenario` that exists is
sound in structure, names, order, types, units and sizes.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias

from ppt_jax.errors import UserError
from ppt_jax.scenario import limits
from ppt_jax.scenario.errors import ScenarioError
from ppt_jax.scenario.expression import Draw, Expr, ExpressionError, Name, parse_expression
from ppt_jax.scenario.fields import Fields, load_json
from ppt_jax.scenario.observed import observed_draw
from ppt_jax.scenario.validate import validate

__all__ = [
    "Ask",
    "AskKind",
    "Given",
    "ModelNode",
    "NamedSet",
    "NodeKind",
    "Scenario",
    "ScenarioError",
    "elements",
    "flat_name",
    "missing_spans",
    "observed_draw",
    "parse_scenario",
    "read_numbered",
    "read_scenarios",
    "to_dict",
]

SCHEMA: Final = "scenario/1"
NodeKind: TypeAlias = Literal["draw", "let"]
AskKind: TypeAlias = Literal["value", "rank", "chance", "choice"]
EVIDENCE: Final = ("", "simulated", "chosen")
TOLD: Final = ("", "full", "verbal", "implicit")


@dataclasses.dataclass(frozen=True)
class NamedSet:
    """A named, ordered set of labels."""

    name: str
    members: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class ModelNode:
    """One random quantity (`draw`) or formula (`let`), one element for each member of `per`."""

    name: str
    per: tuple[str, ...]
    kind: NodeKind
    expr: str
    unit: str
    says: str
    formula: Expr = dataclasses.field(compare=False, repr=False)


@dataclasses.dataclass(frozen=True)
class Given:
    """Evidence: ``draw == constant`` is observed, ``beats`` is soft, anything else a hard fact."""

    that: str
    says: str
    formula: Expr = dataclasses.field(compare=False, repr=False)


@dataclasses.dataclass(frozen=True)
class Ask:
    """One question; `low` and `high` matter to kind `value`, `options` to kind `choice`.

    A `choice` on a yes/no formula has two options, the first for false; on a pick-draw it has the
    set's members in their order.
    """

    id: str
    kind: AskKind
    expr: str
    unit: str
    low: float
    high: float
    options: tuple[str, ...]
    text: str
    formula: Expr = dataclasses.field(compare=False, repr=False)


@dataclasses.dataclass(frozen=True)
class Scenario:
    """A whole document. The last nine fields are written by the engine, not by authors.

    `alternatives` are other programs for the same story and questions, each as a document of its
    own; the label then averages over all programs. `truth` has every scalar draw by flat name (see
    `flat_name`); a pick-draw stores the position of its member, an observed draw the observed
    value.
    """

    schema: str
    id: str
    motif: str
    domain: str
    story: str
    asides: tuple[str, ...]
    sets: tuple[NamedSet, ...]
    model: tuple[ModelNode, ...]
    given: tuple[Given, ...]
    ask: tuple[Ask, ...]
    family: str = ""
    skin: str = ""
    genre: str = ""
    told: str = ""
    split: str = ""
    evidence: str = ""
    truth: Mapping[str, float] = dataclasses.field(default_factory=dict, hash=False)
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)
    alternatives: tuple[Scenario, ...] = ()

    def members(self, set_name: str) -> tuple[str, ...]:
        """The members of a set; raises KeyError where there is no such set."""
        for named in self.sets:
            if named.name == set_name:
                return named.members
        raise KeyError(set_name)

    def node(self, name: str) -> ModelNode:
        """The model node of that name; raises KeyError where there is none."""
        for node in self.model:
            if node.name == name:
                return node
        raise KeyError(name)


def flat_name(name: str, labels: tuple[str, ...] = ()) -> str:
    """The name of one scalar of a node.

    Example:
      >>> flat_name("bad", ("Teo", "Sunday")), flat_name("hot")
      ('bad[Teo,Sunday]', 'hot')
    """
    return f"{name}[{','.join(labels)}]" if labels else name


def elements(scenario: Scenario, node: ModelNode) -> Iterator[tuple[str, ...]]:
    """The index labels of each scalar of a node, the last set running fastest.

    A node without `per` has the one empty tuple.
    """
    return itertools.product(*(scenario.members(name) for name in node.per))


def parse_scenario(data: Mapping[str, Any] | str, *, source: str = "") -> Scenario:
    """Reads and checks one document.

    Args:
      data: the JSON object, or its text.
      source: where it came from (such as a file and a line), for messages.

    Returns:
      The scenario, with every formula parsed.

    Raises:
      ScenarioError: something is wrong; it names the document, the field and the character.

    Example:
      >>> s = parse_scenario({
      ...     "schema": "scenario/1", "id": "coin-1", "motif": "coin_rate", "story": "A coin.",
      ...     "model": [{"name": "p", "kind": "draw", "expr": "beta(a=1, b=1)"},
      ...               {"name": "heads", "kind": "draw", "expr": "successes(n=10, p=p)"}],
      ...     "given": [{"that": "heads == 7"}],
      ...     "ask": [{"id": "q1", "kind": "chance", "expr": "p", "text": "Heads next time?"}]})
      >>> s.ask[0].formula
      Name(name='p')
    """
    document = ""
    try:
        if isinstance(data, str):
            data = load_json(data)
        if not isinstance(data, Mapping):
            raise ScenarioError(f"a scenario is a JSON object, this is {type(data).__name__}")
        name = data.get("id")
        document = name[: limits.MAX_LABEL_CHARACTERS] if isinstance(name, str) else ""
        scenario = validate(_read(Fields(data, "")))
        made = tuple(_checked(one, scenario, i) for i, one in enumerate(scenario.alternatives))
        scenario = dataclasses.replace(scenario, alternatives=made)
    except ScenarioError as error:
        raise error.placed(document=document, source=source) from None
    return scenario


def _read(fields: Fields) -> Scenario:
    schema = fields.text("schema")
    if schema != SCHEMA:
        raise ScenarioError(f"unknown schema {schema[:40]!r}; this is {SCHEMA!r}", field="schema")
    scenario = Scenario(
        schema=schema,
        id=fields.slug("id"),
        motif=fields.slug("motif"),
        domain=fields.line("domain", ""),
        story=fields.text("story", most=limits.MAX_STORY_CHARACTERS, empty=False),
        asides=fields.texts("asides", most=limits.MAX_ASIDES),
        sets=tuple(_set(f) for f in fields.objects("sets", limits.MAX_SETS, optional=True)),
        model=tuple(_node(f) for f in fields.objects("model", limits.MAX_MODEL)),
        given=tuple(_given(f) for f in fields.objects("given", limits.MAX_GIVEN, optional=True)),
        ask=tuple(_ask(f) for f in fields.objects("ask", limits.MAX_ASK)),
        family=fields.line("family", ""),
        skin=fields.line("skin", ""),
        genre=fields.line("genre", ""),
        told=fields.choice("told", TOLD, ""),
        split=fields.line("split", ""),
        evidence=fields.choice("evidence", EVIDENCE, ""),
        truth=fields.numbers("truth"),
        provenance=fields.json("provenance"),
    )
    rows = fields.objects("alternatives", limits.MAX_ALTERNATIVES, optional=True)
    alternatives = tuple(_alternative(row, scenario) for row in rows)
    fields.finish()
    return dataclasses.replace(scenario, alternatives=alternatives)


def _alternative(fields: Fields, scenario: Scenario) -> Scenario:
    """Another program for the story and the questions of a document."""
    program = Scenario(
        schema=scenario.schema,
        id=scenario.id,
        motif=scenario.motif,
        domain=scenario.domain,
        story=scenario.story,
        asides=(),
        sets=tuple(_set(f) for f in fields.objects("sets", limits.MAX_SETS, optional=True)),
        model=tuple(_node(f) for f in fields.objects("model", limits.MAX_MODEL)),
        given=tuple(_given(f) for f in fields.objects("given", limits.MAX_GIVEN, optional=True)),
        ask=(),
    )
    formulas: dict[str, tuple[str, Expr]] = {}
    for row in fields.objects("ask", limits.MAX_ASK):
        expr = row.text("expr")
        formulas[row.slug("id")] = expr, _formula(row, "expr", expr, "ask")
        row.finish()
    fields.finish()
    if set(formulas) != {ask.id for ask in scenario.ask}:
        raise ScenarioError(
            f"has formulas for {', '.join(sorted(formulas))}; one is needed for each of the "
            f"questions {', '.join(sorted(ask.id for ask in scenario.ask))}",
            field=fields.path("ask"),
        )
    picks = {
        node.name
        for node in program.model
        if isinstance(node.formula, Draw) and node.formula.family == "pick"
    }
    asks = []
    for ask in scenario.ask:
        expr, formula = formulas[ask.id]
        of_set = isinstance(formula, Name) and formula.name in picks  # its members are the options
        options = () if of_set else ask.options
        asks.append(dataclasses.replace(ask, expr=expr, formula=formula, options=options))
    return dataclasses.replace(program, ask=tuple(asks))


def _checked(alternative: Scenario, scenario: Scenario, number: int) -> Scenario:
    """Validates an alternative; options may stand in another order, but must be the same."""
    try:
        alternative = validate(alternative)
        for i, (ask, other) in enumerate(zip(scenario.ask, alternative.ask)):
            if set(ask.options) != set(other.options):
                raise ScenarioError(
                    f"has the options {', '.join(other.options)} where the question has "
                    f"{', '.join(ask.options)}",
                    field=f"ask[{i}].expr",
                )
    except ScenarioError as error:
        field = f"alternatives[{number}].{error.field}".removesuffix(".")
        raise ScenarioError(error.message, field=field, at=error.at) from None
    return alternative


def _set(fields: Fields) -> NamedSet:
    members = fields.labels("members", limits.MAX_MEMBERS)
    named = NamedSet(fields.name("name"), members)
    fields.finish()
    return named


def _formula(fields: Fields, key: str, text: str, kind: Any) -> Expr:
    try:
        return parse_expression(text, kind=kind)
    except ExpressionError as error:
        raise ScenarioError(error.message, field=fields.path(key), at=error.at) from None


def _node(fields: Fields) -> ModelNode:
    name = fields.name("name")
    kind: Any = fields.choice("kind", ("draw", "let"))
    expr = fields.text("expr")
    node = ModelNode(
        name=name,
        per=fields.texts("per", most=limits.MAX_PER),
        kind=kind,
        expr=expr,
        unit=fields.line("unit", ""),
        says=fields.text("says", ""),
        formula=_formula(fields, "expr", expr, kind),
    )
    fields.finish()
    return node


def _given(fields: Fields) -> Given:
    that = fields.text("that")
    given = Given(that, fields.text("says", ""), _formula(fields, "that", that, "given"))
    fields.finish()
    return given


def _ask(fields: Fields) -> Ask:
    kind: Any = fields.choice("kind", ("value", "rank", "chance", "choice"))
    expr = fields.text("expr")
    range_default = None if kind == "value" else (0.0, 1.0)
    ask = Ask(
        id=fields.slug("id"),
        kind=kind,
        expr=expr,
        unit=fields.line("unit", ""),
        low=fields.number("low", range_default and range_default[0]),
        high=fields.number("high", range_default and range_default[1]),
        options=fields.labels("options", limits.MAX_OPTIONS, optional=True),
        text=fields.text("text", empty=False),
        formula=_formula(fields, "expr", expr, "ask"),
    )
    fields.finish()
    return ask


def to_dict(scenario: Scenario) -> dict[str, Any]:
    """The document as a JSON-able dict, keys in the schema's order.

    Every author-written key is there; an engine-written one only where it says something.
    ``parse_scenario(to_dict(s)) == s``.
    """
    data: dict[str, Any] = {
        "schema": scenario.schema,
        "id": scenario.id,
        "motif": scenario.motif,
        "domain": scenario.domain,
        "story": scenario.story,
        "asides": list(scenario.asides),
        "sets": [{"name": s.name, "members": list(s.members)} for s in scenario.sets],
        "model": [
            {
                "name": n.name,
                "per": list(n.per),
                "kind": n.kind,
                "expr": n.expr,
                "unit": n.unit,
                "says": n.says,
            }
            for n in scenario.model
        ],
        "given": [{"that": g.that, "says": g.says} for g in scenario.given],
        "ask": [
            {
                "id": a.id,
                "kind": a.kind,
                "expr": a.expr,
                "unit": a.unit,
                "low": a.low,
                "high": a.high,
                "options": list(a.options),
                "text": a.text,
            }
            for a in scenario.ask
        ],
    }
    for key in ("family", "skin", "genre", "told", "split", "evidence"):
        if getattr(scenario, key):
            data[key] = getattr(scenario, key)
    if scenario.truth:
        data["truth"] = dict(scenario.truth)
    if scenario.provenance:
        data["provenance"] = dict(scenario.provenance)
    if scenario.alternatives:
        data["alternatives"] = [
            {
                **{key: to_dict(one)[key] for key in ("sets", "model", "given")},
                "ask": [{"id": ask.id, "expr": ask.expr} for ask in one.ask],
            }
            for one in scenario.alternatives
        ]
    return data


def missing_spans(scenario: Scenario) -> list[tuple[str, str]]:
    """``(field, span)`` of every `says` and aside that does not stand verbatim in the story."""
    spans = [(f"model[{i}].says", node.says) for i, node in enumerate(scenario.model)]
    spans += [(f"given[{i}].says", given.says) for i, given in enumerate(scenario.given)]
    spans += [(f"asides[{i}]", aside) for i, aside in enumerate(scenario.asides)]
    return [(field, span) for field, span in spans if span and span not in scenario.story]


def read_scenarios(path: str | os.PathLike[str]) -> Iterator[Scenario | ScenarioError]:
    """Reads a JSON-lines shard; a bad line gives an error object and does not end the reading.

    Args:
      path: a file with one document a line; empty lines are passed over.

    Yields:
      For each line, in order, the scenario or the `ScenarioError` that names file and line.

    Raises:
      UserError: the file cannot be opened or read.
    """
    return (found for _, found in read_numbered(path))


def read_numbered(
    path: str | os.PathLike[str],
) -> Iterator[tuple[int, Scenario | ScenarioError]]:
    """As `read_scenarios`, each with the number of its line, from 1."""
    try:
        with open(path, "rb") as file:
            for number in itertools.count(1):
                line = file.readline(limits.MAX_DOCUMENT_BYTES + 2)
                if not line:
                    return
                source = f"{os.fspath(path)}, line {number}"
                whole = line.endswith(b"\n")
                if len(line) > limits.MAX_DOCUMENT_BYTES + 1:
                    while not whole:  # pass over the rest of the line, a piece at a time
                        rest = file.readline(1 << 20)
                        whole = not rest or rest.endswith(b"\n")
                    size = f"a document has at most {limits.MAX_DOCUMENT_BYTES} bytes"
                    yield number, ScenarioError(f"the line is too long; {size}", source=source)
                elif line.strip():
                    yield number, _read_line(line, source, whole)
    except OSError as error:
        raise UserError(f"{os.fspath(path)}: cannot read ({error.strerror})") from error


def _read_line(line: bytes, source: str, whole: bool) -> Scenario | ScenarioError:
    try:
        return parse_scenario(line.decode("utf-8-sig"), source=source)
    except UnicodeDecodeError as error:
        return ScenarioError(
            f"not UTF-8 text (byte {error.start + 1} of the line: {error.reason})", source=source
        )
    except ScenarioError as error:
        if whole or error.document or "not JSON" not in error.message:
            return error
        hint = "the file ends inside this line, as after an interrupted copy"
        return ScenarioError(f"{error.message}; {hint}", at=error.at, source=source)
