"""The chat-completions form: what is sent for a request, and what a server's answer means."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ppt_jax.authoring.backends.budgets import estimated_prompt_tokens, estimated_tokens
from ppt_jax.authoring.backends.protocol import FinishReason, Message, Request, Response

# How a schema can be enforced, best first; "prompt" only asks in words.
SCHEMA_MODES = ("json_schema", "json_object", "structured_outputs", "format", "prompt")
LIMIT_FIELDS = ("max_tokens", "max_completion_tokens")

_ASK_FOR_JSON = (
    "\n\nAnswer with one JSON object and nothing else: no explanation, no code fence. "
    "It must follow this JSON schema:\n"
)
_OWN_FIELDS = {"messages", "model", "stream", "n", *LIMIT_FIELDS, "temperature", "stop", "seed"}


def in_words(messages: Sequence[Message], schema: Mapping[str, Any] | None) -> tuple[Message, ...]:
    """A conversation whose last message also tells the schema, unless a message does already."""
    if schema is None:
        return tuple(messages)
    text = json.dumps(dict(schema), ensure_ascii=False, separators=(",", ":"))
    if any(text in message.content for message in messages):
        return tuple(messages)
    last = messages[-1]
    return *messages[:-1], Message(last.role, last.content + _ASK_FOR_JSON + text)


def body_of(
    request: Request, mode: str = "prompt", *, limit_field: str = "max_tokens", words: bool = True
) -> dict[str, Any]:
    """The JSON body of a chat completion.

    Args:
      request: what to ask.
      mode: of `SCHEMA_MODES`; without a schema it says nothing.
      limit_field: how the server calls the limit of tokens, of `LIMIT_FIELDS`.
      words: the schema also stands in the last message, for servers that take it and ignore it.
    """
    told = in_words(request.messages, request.schema) if words else request.messages
    messages = [{"role": m.role, "content": m.content} for m in told]
    body: dict[str, Any] = {
        "model": request.model,
        "messages": messages,
        "temperature": request.temperature,
        limit_field: request.max_tokens,
    }
    if request.stop:
        body["stop"] = list(request.stop)
    if request.seed is not None:
        body["seed"] = request.seed
    body |= {name: value for name, value in request.options.items() if name not in _OWN_FIELDS}
    if request.schema is None:
        return body
    schema = dict(request.schema)
    if mode == "json_schema":
        form = {"name": "answer", "strict": True, "schema": schema}
        body["response_format"] = {"type": "json_schema", "json_schema": form}
    elif mode == "json_object":
        body["response_format"] = {"type": "json_object", "schema": schema}
    elif mode == "structured_outputs":
        body["structured_outputs"] = {"json": schema}
    elif mode == "format":
        body["format"] = schema
    return body


def read_completion(
    request: Request, raw: Mapping[str, Any], *, seconds: float, enforced: str
) -> Response:
    """The response in a server's answer, whatever is missing in it.

    No choices, no text, odd token counts: servers do all of it with status 200. What is missing is
    said in ``error`` or estimated; nothing raises.

    Args:
      request: what was asked.
      raw: the server's JSON object.
      seconds: it took.
      enforced: see `Response`.
    """
    choices = raw.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, Mapping) else None
    reason: FinishReason = "stop"
    error = ""
    text = ""
    if not isinstance(choice, Mapping) or not isinstance(message, Mapping):
        reason, error = "error", "the server answered without a choice"
    else:
        text = _text(message.get("content"))
        refusal = message.get("refusal")
        said = choice.get("finish_reason")
        if isinstance(refusal, str) and refusal:
            reason, error, text = "refusal", "the model refused", text or refusal
        elif said == "content_filter":
            reason, error = "refusal", "a content filter stopped the answer"
        elif said == "length":
            reason, error = "length", f"cut after max_tokens={request.max_tokens} tokens"
        elif not text:
            reason, error = "error", f"the server answered without text (finish_reason {said!r})"
    for end in request.stop:
        text = text.partition(end)[0]  # servers that ignore `stop` write on
    prompt, completion, estimated = _usage(request, raw, text)
    return Response(
        request.key,
        text,
        reason,
        prompt,
        completion,
        round(seconds, 3),
        error,
        enforced=enforced if request.schema is not None else "",
        estimated=estimated,
        raw=dict(raw),
    )


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):  # parts
        texts = [part.get("text") for part in content if isinstance(part, Mapping)]
        return "".join(text for text in texts if isinstance(text, str))
    return ""


def _usage(request: Request, raw: Mapping[str, Any], text: str) -> tuple[int, int, bool]:
    usage = raw.get("usage")
    counts = [
        usage.get(name) if isinstance(usage, Mapping) else None
        for name in ("prompt_tokens", "completion_tokens")
    ]
    known = [isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 1 << 40 for n in counts]
    guesses = (estimated_prompt_tokens(request), estimated_tokens(text))
    prompt, completion = (
        int(count) if sure and count is not None else guess
        for count, sure, guess in zip(counts, known, guesses, strict=True)
    )
    return prompt, completion, not all(known)
