"""JSON schemas of structured answers.

They are flat, so that every server's schema mode takes them: at most four levels, all keys
required, no others allowed, no recursion, no bounds. What a schema cannot say is checked by the
parser of documents and by the gates.
"""

from __future__ import annotations

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
