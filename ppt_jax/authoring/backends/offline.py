"""The back end without a language model: a function answers, e.g. the offline author."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from ppt_jax.authoring.backends.budgets import (
    Ledger,
    estimated_prompt_tokens,
    estimated_tokens,
    known,
)
from ppt_jax.authoring.backends.journal import Journal
from ppt_jax.authoring.backends.protocol import FinishReason, Request, Response


class OfflineBackend:
    """Answers every request by a function of it.

    The whole of an author's stages, its checks, its journal and its budgets run with it as they
    run with a server, in seconds and without one. What the function needs beyond the words stands
    in `Request.context`.

    Args:
      answer: the text for a request, or text and finish reason; deterministic, or the journal will
        hold one of its answers.
      name: what answers, for provenance.
      journal: answers of earlier runs, and where new ones go.
      ledger: the budget; tokens are estimated from the texts.

    Example:
      >>> from ppt_jax.authoring.backends.protocol import Message
      >>> backend = OfflineBackend(lambda request: request.context["story"])
      >>> ask = Request((Message("user", "Tell it."),), "none", context={"story": "Once."})
      >>> [response.text for response in backend.generate([ask])]
      ['Once.']
    """

    def __init__(
        self,
        answer: Callable[[Request], str | tuple[str, FinishReason]],
        *,
        name: str = "offline",
        journal: Journal | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        self.name, self._answer = name, answer
        self.journal, self.ledger = journal, ledger or Ledger(journal=journal)

    def generate(self, requests: Sequence[Request]) -> Iterator[Response]:
        """See `Backend`. What the function raises comes through."""
        missing: list[Request] = []
        yield from known(requests, self.journal, self.ledger, missing)
        for request in missing:
            self.ledger.admit(request)  # nothing else is under way: it is granted, or it raises
            start = time.monotonic()
            try:
                made = self._answer(request)
            except BaseException:
                self.ledger.release(request)
                raise
            finish_reason: FinishReason = "stop"
            if isinstance(made, str):
                text = made
            else:
                text, finish_reason = made
            response = Response(
                request.key,
                text,
                finish_reason,
                estimated_prompt_tokens(request),
                estimated_tokens(text),
                round(time.monotonic() - start, 3),
                enforced="" if request.schema is None else "function",
                estimated=True,
            )
            if self.journal is not None:
                self.journal.record(request, response, backend=self.name)
            self.ledger.settle(request, response)
            yield response
