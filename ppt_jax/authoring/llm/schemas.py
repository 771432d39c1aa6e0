"""JSON schemas of structured answers, and the check that every answer goes through.

They are flat, so that every server's schema mode takes them: at most four levels, all keys
required, no others allowed, no recursion, no bounds. What a schema cannot say is checked by the
parser of documents and by the gates. Servers may ignore a schema and still answer 200, so
`problems` looks at every answer, enforced or not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

Schema = dict[str, Any]

TEXT: Final[Schema] = {"type": "string"}
NUMBER: Final[Schema] = {"type": "number"}
WHOLE: Final[Schema] = {"type": "integer"}
TEXTS: Final[Schema] = {"type": "array", "items": TEXT}


def _one_of(*values: str) -> Schema:
    return {"type": "string", "enum": list(values)}


def _object(**fields: Schema) -> Schema:
    return {
        "type": "object",
        "properties": fields,
        "required": list(fields),
        "additionalProperties": False,
    }


def _rows(**fields: Schema) -> Schema:
    return {"type": "array", "items": _object(**fields)}


_SETS: Final = _rows(name=TEXT, members=TEXTS)
_KIND: Final = _one_of("draw", "let")
_MODEL: Final = _rows(name=TEXT, per=TEXTS, kind=_KIND, expr=TEXT, unit=TEXT, means=TEXT)
_ASK: Final = _rows(
    id=TEXT,
    kind=_one_of("value", "rank", "chance", "choice"),
    expr=TEXT,
    unit=TEXT,
    low=NUMBER,
    high=NUMBER,
    options=TEXTS,
    text=TEXT,
)

FORMALISE: Final = _object(
    sets=_SETS,
    model=_MODEL,
    observe=_rows(what=TEXT, means=TEXT, digits=WHOLE, low=NUMBER, high=NUMBER),
    ask=_ASK,
)
"""A program with its observation plan: what is seen, but no values yet."""

FORMALISE_CHOSEN: Final = _object(
    sets=_SETS, model=_MODEL, given=_rows(that=TEXT, means=TEXT), ask=_ASK
)
"""A program whose author fixes the observations too (`evidence: chosen`)."""

TELL: Final = _object(
    story=TEXT,
    nodes=_rows(name=TEXT, says=TEXT),
    given=_rows(number=WHOLE, says=TEXT),
    asides=TEXTS,
)
"""A story with the spans that tell each node and each observation."""

REBUILD: Final = _object(
    sets=_SETS,
    model=_rows(name=TEXT, per=TEXTS, kind=_KIND, expr=TEXT, unit=TEXT),
    given=_rows(that=TEXT),
    ask=_rows(id=TEXT, expr=TEXT),
)
"""A program for a story, by somebody who has read nothing else."""

_TYPES: Final[Mapping[str, type | tuple[type, ...]]] = {
    "string": str,
    "number": (int, float),
    "integer": int,
    "array": list,
    "object": dict,
}


def problems(schema: Mapping[str, Any], data: Any, where: str = "answer") -> Iterator[str]:
    """What in an answer does not follow a schema of this module.

    Args:
      schema: one of the schemas above, or a part of one.
      data: parsed JSON.
      where: path of `data`, for the messages.

    Yields:
      One line for each problem, in reading order.

    Example:
      >>> list(problems(TELL, {"story": "", "nodes": [], "given": 3, "asides": [], "more": 1}))
      ['answer.given: must be of type array, is int', "answer: unknown key 'more'"]
    """
    wanted = schema["type"]
    fits = isinstance(data, _TYPES[wanted]) and not isinstance(data, bool)
    if wanted == "integer" and isinstance(data, float) and data.is_integer():
        fits = True  # 2.0 is a whole number in JSON
    if not fits:
        yield f"{where}: must be of type {wanted}, is {type(data).__name__}"
    elif "enum" in schema and data not in schema["enum"]:
        yield f"{where}: {data[:40]!r} is none of {', '.join(schema['enum'])}"
    elif wanted == "array":
        for number, item in enumerate(data):
            yield from problems(schema["items"], item, f"{where}[{number}]")
    elif wanted == "object":
        for key, part in schema["properties"].items():
            if key in data:
                yield from problems(part, data[key], f"{where}.{key}")
            else:
                yield f"{where}: the key {key!r} is missing"
        for key in data:
            if key not in schema["properties"]:
                yield f"{where}: unknown key {key[:40]!r}"


def depth(schema: Mapping[str, Any]) -> int:
    """Levels of objects and lists that an answer can have."""
    parts = [schema["items"]] if "items" in schema else list(schema.get("properties", {}).values())
    if schema["type"] not in ("array", "object"):
        return 0
    return 1 + max((depth(part) for part in parts), default=0)
