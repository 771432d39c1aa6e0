"""The back end without a server: a model in this process, kept on its schema token by token."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Protocol

from ppt_jax.authoring.backends.budgets import Ledger, known
from ppt_jax.authoring.backends.completions import in_words
from ppt_jax.authoring.backends.grammars import Grammars, RowPlan, SchemaGuide
from ppt_jax.authoring.backends.journal import Journal
from ppt_jax.authoring.backends.protocol import BudgetReached, Message, Request, Response
from ppt_jax.errors import UserError


class Writer(Protocol):
    """A model with its tokenizer, handed in from outside.

    Attributes:
      name: of the model, told apart from any other weights; requests must name it as their model.
      tokenizer_json: the content of its ``tokenizer.json``.
      vocab_size: tokens that the model knows.
      end_tokens: tokens that end an answer.
      rows: answers written at once.
    """

    name: str
    tokenizer_json: str
    vocab_size: int
    end_tokens: tuple[int, ...]
    rows: int

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Tokens of a conversation, up to where the answer begins."""
        ...

    def write(
        self,
        prompts: Sequence[Sequence[int]],
        guide: SchemaGuide,
        *,
        limit: int,
        temperatures: Sequence[float],
        seeds: Sequence[int],
    ) -> list[list[int]]:
        """Continues ``rows`` prompts at most; the guide has a row for each, and ends them.

        Args:
          prompts: tokens.
          guide: which tokens may come next, see `SchemaGuide`.
          limit: tokens at most, of any row.
          temperatures: by row.
          seeds: by row, 0 to 2**32 - 1; an answer follows from its prompt and its seed alone.
        """
        ...

    def text(self, tokens: Sequence[int]) -> str:
        """What tokens write; special tokens write nothing."""
        ...


class LocalBackend:
    """Answers requests by a model in this process.

    A schema is enforced exactly: the answer follows it whenever it ends within ``max_tokens``.

    Args:
      writer: the model.
      journal: answers of earlier runs, and where new ones go.
      ledger: the budget.

    Attributes:
      model: the name that requests must give.

    Raises:
      UserError: llguidance is missing, or the tokenizer cannot be used.
    """

    def __init__(
        self, writer: Writer, *, journal: Journal | None = None, ledger: Ledger | None = None
    ) -> None:
        self.name, self.model = f"local:{writer.name}", writer.name
        self.journal, self.ledger = journal, ledger or Ledger(journal=journal)
        self._writer = writer
        self._grammars = Grammars(writer.tokenizer_json, writer.vocab_size, writer.end_tokens)

    def generate(self, requests: Sequence[Request]) -> Iterator[Response]:
        """See `Backend`."""
        missing: list[Request] = []
        yield from known(requests, self.journal, self.ledger, missing)
        for request in missing:
            self._check(request)
        # Answers of about one length together, so that no row waits long for another.
        missing.sort(key=lambda r: (r.max_tokens, sum(len(m.content) for m in r.messages)))
        while missing:
            group, stopped = self._group(missing)
            if group:
                yield from self._answered(group)
            if stopped is not None:
                raise stopped

    def _check(self, request: Request) -> None:
        if request.model != self._writer.name:
            raise UserError(
                f"{self.name}: a request names model {request.model!r}; it must name "
                f"{self._writer.name!r}"
            )
        if request.options:
            raise UserError(
                f"{self.name}: knows no further options, and a request has "
                f"{', '.join(request.options)}"
            )

    def _group(self, missing: list[Request]) -> tuple[list[Request], BudgetReached | None]:
        """Takes off the next batch of requests that the budget lets through."""
        group: list[Request] = []
        try:
            while missing and len(group) < self._writer.rows and self.ledger.admit(missing[0]):
                group.append(missing.pop(0))
        except BudgetReached as stopped:
            return group, stopped
        return group, None

    def _answered(self, group: Sequence[Request]) -> list[Response]:
        start = time.monotonic()
        try:
            prompts = [self._writer.prompt(in_words(r.messages, r.schema)) for r in group]
            guide = self._grammars.guide([RowPlan(r.schema, r.max_tokens, r.stop) for r in group])
            rows = self._writer.write(
                prompts,
                guide,
                limit=max(r.max_tokens for r in group),
                temperatures=[r.temperature for r in group],
                seeds=[int(r.key[:8], 16) for r in group],
            )
        except BaseException:
            for request in group:
                self.ledger.release(request)
            raise
        seconds = round((time.monotonic() - start) / len(group), 3)
        responses = []
        for row, (request, tokens) in enumerate(zip(group, rows, strict=True)):
            text = self._writer.text(tokens)
            for end in request.stop:
                text = text.partition(end)[0]
            response = Response(
                request.key,
                text,
                guide.finish[row],
                len(prompts[row]),
                len(tokens),
                seconds,
                guide.errors[row],
                enforced="grammar" if request.schema is not None else "",
            )
            if self.journal is not None:
                self.journal.record(request, response, backend=self.name)
            self.ledger.settle(request, response)
            responses.append(response)
        return responses
