"""One stage's talk with a model: samples until an answer is usable, repairs until it is right.

Two kinds of failure, both bounded. An answer that cannot be used (no JSON, a refusal, cut off) asks
for a new sample of the same words. An answer whose content fails a check is told what was found, in
a new conversation. Everything asked is noted, so that a reject shows all that was tried.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, TypeVar

from ppt_jax.authoring.backends.protocol import Message, Request, Response
from ppt_jax.authoring.llm.config import LLMAuthorConfig, Stage
from ppt_jax.authoring.llm.prompts import repair_messages
from ppt_jax.authoring.llm.reading import AnswerError, read_answer
from ppt_jax.authoring.text_checks import Finding

T = TypeVar("T")
Asking = Generator[Request, Response, T]
"""Yields requests, is sent their responses, returns a result: how work waits for a back end."""

UNUSABLE = {"length": "cut off", "refusal": "refused", "error": "no answer"}
EXCERPT = 600  # characters of a failed answer that a reject shows; the journal has all of it


@dataclasses.dataclass(frozen=True)
class Tried:
    """One request and what came of it.

    Attributes:
      stage: that asked.
      key: of the request, as in the journal.
      sample: its sample index.
      finish_reason: of the response.
      prompt_tokens, completion_tokens: that it took.
      found: why the answer was not taken, empty where it was.
      excerpt: the beginning of an answer that was not taken.
    """

    stage: Stage
    key: str
    sample: int
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    found: str = ""
    excerpt: str = ""


class StageFailed(Exception):
    """A stage gave up; `reason` is a short stable string for counting."""

    def __init__(self, stage: str, reason: str, detail: str) -> None:
        super().__init__(f"{stage}: {reason}: {detail}")
        self.stage, self.reason, self.detail = stage, reason, detail


class Conversation:
    """A stage of one scenario, with what is left of its repairs and retries.

    Args:
      config: models, bounds.
      stage: which one.
      messages: its opening.
      schema: of the answer; None for text.
      sample: first sample index.
      tried: where requests are noted.
      context: for back ends that are no language model.
    """

    def __init__(
        self,
        config: LLMAuthorConfig,
        stage: Stage,
        messages: tuple[Message, ...],
        schema: Mapping[str, Any] | None,
        sample: int,
        tried: list[Tried],
        context: Mapping[str, Any],
    ) -> None:
        self.stage: Stage = stage
        self.repairs, self.retries = config.repairs, config.retries
        self._settings = config.stage(stage)
        self._messages, self._schema, self._sample = messages, schema, sample
        self._tried, self._context = tried, context
        self._answer, self._last = "", -1

    def ask(self, read: Callable[[Any], T | list[Finding]]) -> Asking[T]:
        """Asks until `read` takes an answer.

        Args:
          read: makes the result of an answer (parsed where there is a schema), or says what is
            wrong with it.

        Raises:
          StageFailed: the bounds are used up.
        """
        while True:
            value = yield from self._usable()
            found = read(value)
            if not isinstance(found, list):
                return found
            self.reject(found)

    def reject(self, findings: Sequence[Finding], stage: str = "") -> None:
        """Notes what was wrong with the last answer and turns the conversation to its repair.

        Args:
          findings: what was wrong, the gravest first.
          stage: that found it, where it was a later one.

        Raises:
          StageFailed: no repair is left.
        """
        self._note("; ".join(f"{one.check}: {one.detail}" for one in findings))
        if not self.repairs:
            raise StageFailed(stage or self.stage, findings[0].check, findings[0].detail)
        self.repairs -= 1
        self._messages = repair_messages(self._messages, self._answer, findings)

    def _usable(self) -> Asking[Any]:
        """The next answer that is not cut, refused or without its JSON."""
        while True:
            request = Request(
                messages=self._messages,
                model=self._settings.model,
                schema=self._schema,
                temperature=self._settings.temperature,
                max_tokens=self._settings.max_tokens,
                sample=self._sample,
                purpose=self.stage,
                context=self._context,
            )
            response = yield request
            self._answer = response.text
            self._tried.append(
                Tried(
                    stage=self.stage,
                    key=request.key,
                    sample=request.sample,
                    finish_reason=response.finish_reason,
                    prompt_tokens=response.prompt_tokens,
                    completion_tokens=response.completion_tokens,
                )
            )
            self._last = len(self._tried) - 1
            self._sample += 1
            reason: str = response.finish_reason
            detail = response.error or UNUSABLE.get(reason, "")
            if reason == "stop":
                if self._schema is None:
                    return response.text
                try:
                    return read_answer(response.text, self._schema)
                except AnswerError as error:
                    reason, detail = error.reason, str(error)
            self._note(f"{reason}: {detail}")
            if not self.retries:
                raise StageFailed(self.stage, reason, detail)
            self.retries -= 1

    def _note(self, found: str) -> None:
        self._tried[self._last] = dataclasses.replace(
            self._tried[self._last], found=found[: 4 * EXCERPT], excerpt=self._answer[:EXCERPT]
        )
