"""What a back end needs of a server, and how a server fails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol


class ServerFault(Exception):
    """One request that a server did not answer.

    Attributes:
      status: HTTP status; None when there was no whole answer (timeout, reset, no connection).
      reason: what happened, in words, without keys.
      retry_after: seconds that the server asks to wait, if it does.
      code: the server's own name of the error, if it gave one.
      unreachable: nobody listens there.
    """

    def __init__(
        self,
        reason: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        code: str = "",
        unreachable: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason, self.status, self.code = reason, status, code
        self.retry_after, self.unreachable = retry_after, unreachable

    @property
    def passing(self) -> bool:
        """Whether asking again can help: overload, a broken server, a broken connection."""
        status = self.status
        if self.code == "insufficient_quota":
            return False
        return status is None or status in (408, 409, 429) or status >= 500

    @property
    def overload(self) -> bool:
        """Whether the server says that requests are too many."""
        return self.passing and self.status in (429, 503, 529)

    @property
    def final(self) -> bool:
        """Whether no other request can succeed either: wrong key, no such model, no money left."""
        return self.status in (401, 402, 403, 404) or self.code == "insufficient_quota"


class ChatServer(Protocol):
    """A server that completes chats."""

    @property
    def name(self) -> str:
        """Its address, without credentials."""
        ...

    def complete(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Sends one chat completion and returns the answer's JSON object.

        Raises:
          ServerFault: there is none.
        """
        ...


class BatchServer(ChatServer, Protocol):
    """A server that also takes files of many requests, and answers them within hours."""

    def upload(self, name: str, content: bytes) -> str:
        """Stores a file of requests; returns its id."""
        ...

    def start_batch(self, file_id: str, token: str) -> dict[str, Any]:
        """Starts a batch over a file; ``token`` is kept in its metadata. Returns its state."""
        ...

    def batch(self, batch_id: str) -> dict[str, Any]:
        """State of a batch."""
        ...

    def batches(self) -> Iterator[dict[str, Any]]:
        """States of all batches, newest first."""
        ...

    def lines(self, file_id: str) -> Iterator[str]:
        """Lines of a stored file."""
        ...
