"""What an author asks of a language model, what comes back, and what a back end promises.

A request is plain data with a key: the hash of everything that can change the answer. Answers are
kept under that key, so asking twice is paid once; a new answer to the same words is asked for by a
new ``sample`` index. Whatever a model may write is a `Response`, useful or not: an author decides
what to do with a refusal or a cut answer. Only what ends the work raises.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

from ppt_jax.errors import UserError

FinishReason = Literal["stop", "length", "refusal", "error"]
ROLES = ("system", "user", "assistant")

_FORM = "request/1"  # changes when the canonical form does, so that old answers are not misread


class BudgetReached(UserError):
    """A budget is used up: everything answered is kept, the same command goes on where it stopped.

    Attributes:
      budget: the budget's name, e.g. ``"max_cost"``.
      limit: what was allowed.
      used: what was used when no further request was sent.
      more: what the next request could have used.
    """

    def __init__(self, budget: str, limit: float, used: float, more: float = 0.0) -> None:
        self.budget, self.limit, self.used, self.more = budget, limit, used, more
        would = f", and the next request can take {more:g}" if more else ""
        super().__init__(
            f"{budget}={limit:g} is reached ({used:g} used{would}); every answer so far is kept, "
            f"start the same command with a higher {budget} to go on"
        )


@dataclasses.dataclass(frozen=True)
class Message:
    """One turn of a conversation: ``role`` is system, user or assistant."""

    role: str
    content: str

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise UserError(f"message role {self.role!r}; it must be one of {', '.join(ROLES)}")


@dataclasses.dataclass(frozen=True)
class Request:
    """One question to a language model.

    Attributes:
      messages: the conversation so far; the answer is the next assistant turn.
      model: the model's name, as the server knows it.
      schema: JSON schema that the answer should follow; None for free text. Back ends enforce it
        where they can; the author validates every answer all the same.
      temperature: of sampling; 0 is greedy.
      max_tokens: tokens of the answer at most.
      stop: the answer ends before any of these strings.
      seed: for servers that take one; a wish, no promise.
      sample: index of the answer among independent answers to the same words; a new index asks
        anew.
      options: further fields of the request, as the server knows them, e.g. ``{"top_p": 0.9}``.
      purpose: the stage that asks, for the accounting; not part of the key.
      context: what the words were made from, for back ends that are no language model (the offline
        author answers from it); never sent to a server, not part of the key.
    """

    messages: tuple[Message, ...]
    model: str
    schema: Mapping[str, Any] | None = None
    temperature: float = 1.0
    max_tokens: int = 2048
    stop: tuple[str, ...] = ()
    seed: int | None = None
    sample: int = 0
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    purpose: str = ""
    context: Mapping[str, Any] = dataclasses.field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        where = f"request of stage {self.purpose!r}"
        if not self.messages:
            raise UserError(f"{where} holds no message")
        if not self.temperature >= 0:
            raise UserError(f"{where}: temperature is {self.temperature}; it must be 0 or above")
        if self.max_tokens < 1:
            raise UserError(f"{where}: max_tokens is {self.max_tokens}; it must be 1 or more")
        if self.sample < 0:
            raise UserError(f"{where}: sample is {self.sample}; it must be 0 or more")

    @functools.cached_property
    def key(self) -> str:
        """SHA-256 (64 hex digits) of what can change the answer.

        The order of a schema's members counts: servers write an object's members in that order.

        Example:
          >>> ask = Request((Message("user", "Hello"),), "any-model")
          >>> ask.key == dataclasses.replace(ask, purpose="imagine").key
          True
          >>> ask.key == dataclasses.replace(ask, sample=1).key
          False
        """
        canonical: dict[str, Any] = {
            "form": _FORM,
            "model": self.model,
            "messages": [[message.role, message.content] for message in self.messages],
            "schema": None if self.schema is None else _json(self.schema, sort=False),
            "temperature": float(self.temperature),
            "max_tokens": self.max_tokens,
            "stop": list(self.stop),
            "seed": self.seed,
            "sample": self.sample,
        }
        if self.options:
            canonical["options"] = dict(self.options)
        return hashlib.sha256(_json(canonical, sort=True).encode()).hexdigest()


@dataclasses.dataclass(frozen=True)
class Response:
    """What came back for one request.

    Attributes:
      key: the request's key.
      text: the answer; possibly cut (``length``), a refusal's words, or empty.
      finish_reason: ``stop`` ended by itself, ``length`` cut by ``max_tokens``, ``refusal`` the
        model or a filter declined, ``error`` no answer in spite of repeats (``error`` says why).
      prompt_tokens: tokens read.
      completion_tokens: tokens written.
      seconds: from sending the last attempt to its answer.
      error: why there is no useful text; empty when there is.
      cached: found in the journal, not paid now.
      enforced: how the schema was enforced, e.g. ``"json_schema"``; ``"prompt"`` when it was only
        asked for in words; empty without a schema.
      estimated: the server did not report token counts; they are estimated from the text.
      raw: the server's answer as it came.
    """

    key: str
    text: str
    finish_reason: FinishReason
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    error: str = ""
    cached: bool = False
    enforced: str = ""
    estimated: bool = False
    raw: Mapping[str, Any] = dataclasses.field(default_factory=dict, compare=False, repr=False)


class Backend(Protocol):
    """Answers requests; how, is its own affair."""

    @property
    def name(self) -> str:
        """What answers, for provenance: e.g. ``"openai:http://127.0.0.1:8000/v1"``."""
        ...

    def generate(self, requests: Sequence[Request]) -> Iterator[Response]:
        """Yields one response for every request, in any order, as they arrive.

        Requests of equal key are one request with one response. Stopping the iteration early
        loses nothing that was paid: answers under way are still written to the journal.

        Raises:
          BudgetReached: a budget is used up; answers under way were yielded first.
          UserError: no request can succeed: wrong key, unknown model, server unreachable.
        """
        ...


def _json(data: object, *, sort: bool) -> str:
    return json.dumps(
        data, sort_keys=sort, ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )
