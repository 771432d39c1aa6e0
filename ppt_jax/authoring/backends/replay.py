"""The back end that only repeats what a journal holds: deterministic, free, without a server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ppt_jax.authoring.backends.budgets import Ledger, known
from ppt_jax.authoring.backends.journal import Journal
from ppt_jax.authoring.backends.protocol import Request, Response
from ppt_jax.errors import UserError


class ReplayBackend:
    """Answers from a journal and refuses what is not in it.

    Args:
      journal: the answers.
      ledger: counts what was looked up.
    """

    def __init__(self, journal: Journal, *, ledger: Ledger | None = None) -> None:
        self.name = f"replay:{journal.path.name}"
        self.journal, self.ledger = journal, ledger or Ledger()

    def generate(self, requests: Sequence[Request]) -> Iterator[Response]:
        """See `Backend`.

        Raises:
          UserError: an answer is missing; the message names its request. Answers that are there
            were yielded first.
        """
        missing: list[Request] = []
        yield from known(requests, self.journal, self.ledger, missing)
        if missing:
            raise UserError(
                f"{self.journal.path}: holds no answer to {_named(missing[0])}"
                + (f" and to {len(missing) - 1} more" if missing[1:] else "")
                + "; it was recorded with other prompts, settings or seeds, or not to the end"
            )


def _named(request: Request) -> str:
    words = " ".join(request.messages[-1].content.split())
    told = words if len(words) <= 60 else words[:60] + "..."
    stage = f" of stage {request.purpose!r}" if request.purpose else ""
    return (
        f"request {request.key[:12]}{stage} (model {request.model!r}, sample {request.sample}, "
        f"{told!r})"
    )
