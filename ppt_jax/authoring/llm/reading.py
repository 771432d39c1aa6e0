"""From the text of an answer to checked data. An answer is untrusted: it is parsed, never run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ppt_jax.authoring.backends.json_answers import NotJson, json_object, violations

MAX_PROBLEMS = 8


class AnswerError(Exception):
    """An answer that holds no usable data; `reason` is ``invalid_json`` or ``schema``."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def read_answer(text: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON object of an answer, held against its schema whether or not a server enforced it.

    Args:
      text: the answer as it came; words and a code fence around the object are passed over.
      schema: one of `ppt_jax.authoring.llm.schemas`.

    Raises:
      AnswerError: there is no sound JSON object, or it does not follow the schema.

    Example:
      >>> text = {"type": "string"}
      >>> read_answer('Here: {"a": "x"}', {"type": "object", "properties": {"a": text}})
      {'a': 'x'}
    """
    try:
        data = json_object(text)
    except NotJson as error:
        raise AnswerError("invalid_json", str(error)) from None
    found = violations(data, schema)
    if found:
        more = [f"and {len(found) - MAX_PROBLEMS} more"] if len(found) > MAX_PROBLEMS else []
        raise AnswerError("schema", "; ".join([*found[:MAX_PROBLEMS], *more]))
    return data
