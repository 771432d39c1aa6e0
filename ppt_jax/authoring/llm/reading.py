"""From the text of an answer to checked data. An answer is untrusted: it is parsed, never run."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from ppt_jax.authoring.llm.schemas import problems
from ppt_jax.scenario.errors import ScenarioError
from ppt_jax.scenario.fields import load_json

MAX_PROBLEMS = 8


class AnswerError(Exception):
    """An answer that holds no usable data; `reason` is ``invalid_json`` or ``schema``."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def read_answer(text: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON object of an answer, checked against its schema.

    Words before and after the object, such as a code fence, are passed over: servers that only ask
    for a schema in words get them.

    Args:
      text: the answer as it came.
      schema: one of `ppt_jax.authoring.llm.schemas`.

    Raises:
      AnswerError: there is no JSON object, it is not sound (keys twice, too deep, too long, NaN),
        or it does not follow the schema.

    Example:
      >>> text = {"type": "string"}
      >>> read_answer('Here: {"a": "x"}', {"type": "object", "properties": {"a": text}})
      {'a': 'x'}
    """
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or end < start:
        raise AnswerError("invalid_json", "the answer holds no JSON object")
    try:
        data = load_json(text[start : end + 1])
    except ScenarioError as error:
        place = "" if error.at is None else f" (character {error.at + 1})"
        raise AnswerError("invalid_json", f"{error.message}{place}") from None
    found = list(itertools.islice(problems(schema, data), MAX_PROBLEMS))
    if found:
        raise AnswerError("schema", "; ".join(found))
    return dict(data)
