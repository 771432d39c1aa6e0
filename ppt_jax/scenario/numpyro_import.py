"""NumPyro and Pyro programs as scenario documents.

A file is parsed with Python's own `ast` and translated; nothing in it is ever executed or
imported. What lies outside the subset is refused with file, line, column and what would be right.
The words around a program (story, questions, units) come from a JSON file beside it.
"""

from __future__ import annotations

import ast
import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ppt_jax.scenario import limits
from ppt_jax.scenario.document import Scenario, ScenarioError, parse_scenario, to_dict
from ppt_jax.scenario.fields import load_json
from ppt_jax.scenario.printing import print_expression
from ppt_jax.scenario.programs.function import Function
from ppt_jax.scenario.programs.module import MAX_SOURCE_BYTES, Module, ProgramError
from ppt_jax.scenario.syntax import Name

__all__ = ["ProgramError", "documents", "read_documents", "words_of"]

_WORDS = frozenset(
    {"id", "motif", "domain", "story", "asides", "sets", "data", "units", "says", "asks"}
    | {"family", "skin", "genre", "told", "split", "evidence"}
)
_COPIED = ("domain", "asides", "family", "skin", "genre", "told", "split", "evidence")


def read_documents(path: str | pathlib.Path) -> Iterator[dict[str, Any] | ProgramError]:
    """Reads the model functions of a .py file; words come from a .json file of the same name.

    Args:
      path: the program.

    Yields:
      For each function that draws a sample, a checked document or why there is none.

    Raises:
      ProgramError: the file cannot be read at all.
    """
    path = pathlib.Path(path)
    words: Any = {}
    beside = path.with_suffix(".json")
    text = _read(path, MAX_SOURCE_BYTES)
    if beside.exists():
        try:
            words = load_json(_read(beside, limits.MAX_DOCUMENT_BYTES))
        except ScenarioError as error:
            raise ProgramError(str(error), str(beside)) from None
    yield from documents(text, source=str(path), words=words)


def _read(path: pathlib.Path, most: int) -> str:
    try:
        with open(path, "rb") as file:
            data = file.read(most + 1)
        if len(data) > most:
            raise ProgramError(f"longer than {most} bytes", str(path))
        return data.decode("utf-8-sig")
    except OSError as error:
        raise ProgramError(f"cannot be read ({error.strerror})", str(path)) from None
    except UnicodeDecodeError:
        raise ProgramError("no UTF-8 text", str(path)) from None


def documents(
    text: str, *, source: str = "program.py", words: Mapping[str, Any] | None = None
) -> Iterator[dict[str, Any] | ProgramError]:
    """The scenario documents of a program text.

    Args:
      text: Python source with one or more model functions.
      source: its name, for messages and ids.
      words: what the program does not say: ``id``, ``motif``, ``domain``, ``story``, ``asides``,
        ``sets`` (site of a Categorical -> list of labels or name of a tuple in the file), ``data``
        (parameter -> value), ``units`` and ``says`` (site -> text) and ``asks``, a list of
        questions as in a document, where ``site`` may name a site in place of ``expr``. With
        several functions in the file: function name -> such an object.

    Yields:
      Documents that `parse_scenario` accepts, in the order of the functions; a `ProgramError` in
      the place of one that is refused.

    Raises:
      ProgramError: the text is not Python, or has no model.

    Example:
      >>> text = '''
      ... import numpyro, numpyro.distributions as dist
      ... def coin():
      ...     p = numpyro.sample("p", dist.Beta(2, 1))
      ...     numpyro.sample("heads", dist.Binomial(10, p), obs=7)
      ...     numpyro.deterministic("ask next", p)
      ... '''
      >>> [made] = documents(text)
      >>> [row["expr"] for row in made["model"]], made["given"]
      (['beta(a=2, b=1)', 'successes(n=10, p=p)'], [{'that': 'heads == 7'}])
    """
    try:
        module = Module(text, source)
    except RecursionError:
        raise ProgramError("nested too deep", source) from None
    if not module.models:
        raise ProgramError(
            "no function draws with numpyro.sample or pyro.sample (imported as such)", source
        )
    words = {} if words is None else words
    for definition in module.models:
        own = words
        if isinstance(words, Mapping) and isinstance(words.get(definition.name), Mapping):
            own = words[definition.name]
        try:
            if not isinstance(own, Mapping):
                raise ProgramError("the words beside a program are a JSON object", source)
            unknown = set(own) - _WORDS - {m.name for m in module.models}
            if unknown:
                raise ProgramError(
                    f"words: no field {min(unknown)[:40]!r}; "
                    f"fields are {', '.join(sorted(_WORDS))}",
                    source,
                )
            for field in ("sets", "data", "units", "says"):
                if not isinstance(own.get(field, {}), Mapping):
                    raise ProgramError(f"words: {field} is an object", source)
            try:
                yield _document(Function(module, definition, own), own)
            except RecursionError:
                raise module.error("nested too deep", definition) from None
            except OverflowError as error:
                raise module.error(f"a number is too large ({error})", definition) from None
        except ProgramError as error:
            yield error


def _document(function: Function, words: Mapping[str, Any]) -> dict[str, Any]:
    module, definition = function.module, function.definition
    stem = pathlib.PurePath(module.source).stem
    name = definition.name if definition.name == stem else f"{stem}-{definition.name}"
    asks, lines = _asks(function, words)
    units, says = words.get("units", {}), words.get("says", {})
    story = words.get("story") or _docstring(definition.body) or module.doc
    document: dict[str, Any] = {
        "schema": "scenario/1",
        "id": words.get("id", re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:80].strip("-") or "program"),
        "motif": words.get("motif", "imported"),
        "story": story or f"A program, {definition.name}.",
        **{field: words[field] for field in _COPIED if field in words},
        "sets": [
            {"name": group.name, "members": list(group.members)}
            for group in function.groups.values()
        ],
        "model": [
            {**row, "unit": units.get(row["name"], ""), "says": says.get(row["name"], "")}
            for row, _ in function.model
        ],
        "given": [row for row, _ in function.given],
        "ask": asks,
    }
    try:
        parse_scenario(document)
    except ScenarioError as error:
        raise _placed(error, function, lines) from None
    return document


def _docstring(body: list[Any]) -> str:
    match body:
        case [ast.Expr(value=ast.Constant(value=str(text))), *_]:
            return " ".join(text.split())
    return ""


def _placed(error: ScenarioError, function: Function, asks: list[int]) -> ProgramError:
    """A document's error at the line that the part of the document comes from."""
    line, part = function.definition.lineno, ""
    match = re.match(r"(model|given|ask)\[(\d+)\]", error.field)
    if match:
        rows = {"model": [n for _, n in function.model], "given": [n for _, n in function.given]}
        found = {**rows, "ask": asks}[match[1]]
        line = found[int(match[2])] if int(match[2]) < len(found) else line
        if match[1] == "model":
            part = f" (read as {function.model[int(match[2])][0]['expr'][:120]!r})"
    else:
        part = f" ({error.field})" if error.field else ""
    return ProgramError(error.message + part, function.module.source, line or 0)


def _asks(function: Function, words: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[int]]:
    """The questions, and the line of each."""
    written = words.get("asks", [])
    if not isinstance(written, list) or not all(isinstance(row, Mapping) for row in written):
        raise ProgramError("words: asks is a list of objects", function.module.source)
    rows, lines, named = [], [], set()
    for row in written:
        row = dict(row)
        site = row.pop("site", None)
        known = function.asks.get(str(row.get("id", site)))
        if "expr" not in row and known is not None:
            named.add(str(row.get("id", site)))
            row = {"id": site, **row, "expr": function.text(known[0], function.definition)}
            lines.append(known[1])
        else:
            row = {"id": site, "expr": site, **row}
            lines.append(function.definition.lineno)
        rows.append(row)
    for name, (formula, line) in function.asks.items():
        if name not in named:
            rows.append({"id": name, **_asked(function, name, formula)})
            lines.append(line)
    if not rows:  # nobody asks: what is not observed is asked for
        for row, line in function.model:
            if row["kind"] == "draw" and not row["per"] and row["name"] not in function.observed:
                asked = _asked(function, row["name"], Name(row["name"]))
                rows.append({"id": f"q{len(rows) + 1}", **asked})
                lines.append(line)
        del rows[8:], lines[8:]
    if not rows:
        raise function.module.error(
            'nothing is asked; add numpyro.deterministic("ask q1", quantity)', function.definition
        )
    for row, line in zip(rows, lines):
        row["id"] = re.sub(r"[^A-Za-z0-9._-]+", "-", str(row["id"]))[:80].strip("-")
        row.setdefault("text", f"How is {row['id']}?")
        if not row["id"]:
            raise ProgramError("an ask has an id", function.module.source, line)
    return rows, lines


def _asked(function: Function, name: str, formula: Any) -> dict[str, Any]:
    """A question about a formula of which nothing but its type is known."""
    plain = name.replace("_", " ")
    expr = print_expression(formula)
    match function.kind(formula):
        case "boolean":
            options = ["no", "yes"]
            return {"kind": "choice", "expr": expr, "options": options, "text": f"{plain}: yes?"}
        case "member":
            group = function.group_of(formula)
            options = list(group.members) if group else []
            return {"kind": "choice", "expr": expr, "options": options, "text": f"Which {plain}?"}
    text = f"How does {plain} rank among 100 such drawn before anything was seen?"
    return {"kind": "rank", "expr": expr, "text": text}


def words_of(scenario: Scenario) -> dict[str, Any]:
    """What `to_numpyro_source` does not print of a scenario: the words beside its program.

    ``documents(to_numpyro_source(s), words=words_of(s))`` gives an equivalent document.
    """
    data = to_dict(scenario)
    picks = {
        node.name: of
        for node in scenario.model
        if (of := getattr(node.formula, "set", None)) and node.kind == "draw"
    }
    return {
        **{key: data[key] for key in ("id", "motif", "story", *_COPIED) if key in data},
        "sets": picks,
        "units": {node.name: node.unit for node in scenario.model if node.unit},
        "says": {node.name: node.says for node in scenario.model if node.says},
        "asks": [
            {key: value for key, value in row.items() if key != "expr"} for row in data["ask"]
        ],
    }
