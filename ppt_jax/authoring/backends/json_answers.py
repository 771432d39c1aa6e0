"""JSON in what a language model wrote: found, read within limits, and held against its schema.

Servers promise schemas and do not always keep the promise, so every answer is validated here. The
part of JSON Schema understood is what flat, closed answer schemas need; a schema that uses more is
refused rather than half checked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ppt_jax.errors import UserError

MOST_CHARACTERS = 1 << 20

_THOUGHT = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}
_SIZES = {
    "minLength": (str, "characters", False),
    "maxLength": (str, "characters", True),
    "minItems": (list, "items", False),
    "maxItems": (list, "items", True),
}
_REMARKS = {"title", "description", "default", "examples", "$schema", "$id", "$comment"}
_KNOWN = {
    *("type", "enum", "const", "anyOf", "properties", "required", "additionalProperties"),
    *("items", "minimum", "maximum"),
}


class NotJson(ValueError):
    """A text that holds no readable JSON object; the message says why, for a repair."""


def json_object(text: str) -> dict[str, Any]:
    """The JSON object in an answer.

    Models wrap objects: a leading ``<think>`` part, a code fence, or words around are left out.
    Numbers that JSON does not know (``NaN``, ``Infinity``), repeated members and anything beyond
    `MOST_CHARACTERS` are refused.

    Raises:
      NotJson: there is none.

    Example:
      >>> json_object('Here it is: ```json\\n{"a": 1}\\n```')
      {'a': 1}
    """
    if len(text) > MOST_CHARACTERS:
        raise NotJson(f"the answer has {len(text)} characters; {MOST_CHARACTERS} are read at most")
    body = _THOUGHT.sub("", text).strip()
    fence = body.find("```")
    start = body.find("{", max(fence, 0)) if not body.startswith("{") else 0
    start = body.find("{") if start < 0 else start
    if start < 0:
        raise NotJson("the answer holds no JSON object")
    decoder = json.JSONDecoder(object_pairs_hook=_no_repeats, parse_constant=_no_constant)
    try:
        found, _ = decoder.raw_decode(body, start)
    except RecursionError as error:
        raise NotJson("the answer's JSON is nested too deeply") from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise NotJson(f"the answer is not valid JSON: {error.msg} ({place})") from error
    except NotJson:
        raise
    except ValueError as error:  # an integer of thousands of digits
        raise NotJson(f"the answer is not valid JSON: {error}") from error
    return found  # begins with a brace


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise NotJson(f"the answer's JSON gives {twice[:60]!r} twice in one object")
    return found


def _no_constant(name: str) -> Any:
    raise NotJson(f"the answer's JSON holds {name}, which is no JSON number")


def check_schema(schema: Mapping[str, Any], path: str = "schema") -> None:
    """Refuses a schema that `violations` could not hold an answer against.

    Raises:
      UserError: a keyword or type that is not understood; the message says where.
    """
    if not isinstance(schema, Mapping):
        raise UserError(f"{path}: must be an object, is {type(schema).__name__}")
    for name in schema:
        if name not in _KNOWN and name not in _REMARKS and name not in _SIZES:
            raise UserError(
                f"{path}: keyword {name!r} is not understood; known are "
                f"{', '.join(sorted({*_KNOWN, *_SIZES}))}"
            )
    kinds = schema.get("type", [])
    for kind in [kinds] if isinstance(kinds, str) else kinds:
        if kind not in _TYPES:
            raise UserError(f"{path}: type {kind!r} is none of {', '.join(_TYPES)}")
    if not isinstance(schema.get("additionalProperties", True), bool):
        raise UserError(f"{path}: additionalProperties must be true or false")
    for name, part in schema.get("properties", {}).items():
        check_schema(part, f"{path}.{name}")
    if "items" in schema:
        check_schema(schema["items"], f"{path}[]")
    for at, part in enumerate(schema.get("anyOf", [])):
        check_schema(part, f"{path}.anyOf[{at}]")


def violations(value: Any, schema: Mapping[str, Any], path: str = "answer") -> list[str]:
    """Every way in which a JSON value does not follow a schema; empty when it does.

    Args:
      value: what was read.
      schema: see `check_schema` for what is understood.
      path: how messages call the value.

    Example:
      >>> violations({"a": "x"}, {"type": "object", "properties": {"a": {"type": "integer"}}})
      ['answer.a: must be integer, is string']
    """
    kinds = schema.get("type")
    names = [kinds] if isinstance(kinds, str) else list(kinds or [])
    if names and not any(_is(value, name) for name in names):
        return [f"{path}: must be {' or '.join(names)}, is {_kind(value)}"]
    found = []
    if "enum" in schema and not any(_same(value, one) for one in schema["enum"]):
        allowed = ", ".join(json.dumps(one, ensure_ascii=False) for one in schema["enum"])
        found.append(f"{path}: must be one of {allowed}")
    if "const" in schema and not _same(value, schema["const"]):
        found.append(f"{path}: must be {json.dumps(schema['const'], ensure_ascii=False)}")
    for name, (kind, unit, most) in _SIZES.items():
        if name in schema and isinstance(value, kind):
            size, limit = len(value), schema[name]
            if size > limit if most else size < limit:
                found.append(
                    f"{path}: has {size} {unit}, {'at most' if most else 'at least'} {limit}"
                )
    if isinstance(value, int | float) and not isinstance(value, bool):
        if value < schema.get("minimum", value):
            found.append(f"{path}: is below {schema['minimum']}")
        if value > schema.get("maximum", value):
            found.append(f"{path}: is above {schema['maximum']}")
    if "anyOf" in schema and all(violations(value, part) for part in schema["anyOf"]):
        found.append(f"{path}: follows none of the {len(schema['anyOf'])} forms allowed")
    if isinstance(value, dict):
        found += _members(value, schema, path)
    if isinstance(value, list) and "items" in schema:
        for at, item in enumerate(value):
            found += violations(item, schema["items"], f"{path}[{at}]")
    return found


def _members(value: dict[str, Any], schema: Mapping[str, Any], path: str) -> list[str]:
    known = schema.get("properties", {})
    found = [
        f"{path}: member {name!r} is missing"
        for name in schema.get("required", [])
        if name not in value
    ]
    if schema.get("additionalProperties", True) is False:
        found += [
            f"{path}: member {name[:60]!r} is not allowed" for name in value if name not in known
        ]
    for name, part in known.items():
        if name in value:
            found += violations(value[name], part, f"{path}.{name}")
    return found


def _is(value: Any, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    if name == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[name])


def _kind(value: Any) -> str:
    return next(
        name
        for name in ("boolean", "integer", "number", "string", "object", "array", "null")
        if _is(value, name)
    )


def _same(value: Any, other: Any) -> bool:
    """Equal as JSON: true is not 1."""
    return value == other and isinstance(value, bool) == isinstance(other, bool)
