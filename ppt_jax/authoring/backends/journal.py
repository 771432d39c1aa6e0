"""The journal: every request and what came of it, one JSON line each, appended and never changed.

One file is cache (an answer is looked up by its key before anything is sent), resume (a killed run
finds what it has paid for) and audit (the whole request, the server's answer as it came, tokens,
seconds). Lines are flushed and synchronised to disk one by one. A process that dies in the middle
of a line leaves a torn last line, which readers ignore and the next writer cuts off.

The lines, by ``kind``:

- ``journal``: the first line, says that this file is one;
- ``answer``: a request with its answer; the first one of a key counts;
- ``failure``: a request that got no answer in spite of repeats; it is asked again next time;
- anything else: notes of back ends (batches under way, what a server was found to enforce).
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

from ppt_jax.authoring.backends.protocol import Request, Response
from ppt_jax.errors import UserError

_HEADER = '{"kind": "journal", "form": "journal/1"}\n'
_HIDDEN = "[key]"


@dataclasses.dataclass(frozen=True)
class Totals:
    """What a group of answers took.

    Attributes:
      requests: answers and failures.
      failures: requests without an answer.
      prompt_tokens, completion_tokens: sums; of some servers they are estimates.
      seconds: sum of the waits for answers.
    """

    requests: int = 0
    failures: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0

    def plus(self, response: Response) -> Totals:
        """The totals with one more response that was paid."""
        return Totals(
            self.requests + 1,
            self.failures + (response.finish_reason == "error"),
            self.prompt_tokens + response.prompt_tokens,
            self.completion_tokens + response.completion_tokens,
            self.seconds + response.seconds,
        )


class Journal:
    """A journal file, open for one writer or for any number of readers.

    Args:
      path: the file; made with its folder when missing (not for readers).
      secrets: strings that are replaced by ``[key]`` wherever they would be written, in case a
        server repeats an API key in its answer.
      readonly: only look up; takes no lock and ignores what is written after opening.

    Raises:
      UserError: another process writes this journal; the file is something else or damaged.

    Example:
      with Journal("runs/mine/answers.jsonl") as journal:
          journal.lookup(request.key)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        secrets: Sequence[str] = (),
        readonly: bool = False,
    ) -> None:
        self.path = pathlib.Path(path)
        self.readonly = readonly
        self._secrets = [
            json.dumps(secret, ensure_ascii=False)[1:-1] for secret in secrets if secret
        ]
        self._lock = threading.Lock()
        self._places: dict[str, tuple[int, int]] = {}
        self._totals: dict[tuple[str, str], Totals] = collections.defaultdict(Totals)
        self._notes: list[dict[str, Any]] = []
        self._descriptor = self._opened()
        try:
            self._end = self._read()
        except BaseException:
            os.close(self._descriptor)
            raise

    def _opened(self) -> int:
        try:
            if self.readonly:
                return os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise UserError(f"{self.path}: cannot open the journal ({error.strerror})") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(descriptor)
            raise UserError(
                f"{self.path}: another process is writing this journal; wait for it, or name "
                "another file"
            ) from error
        except OSError as error:
            os.close(descriptor)
            raise UserError(
                f"{self.path}: this file system has no file locks ({error.strerror}); put the "
                "journal on a local disk"
            ) from error
        return descriptor

    def _read(self) -> int:
        """Indexes the whole lines; returns where the next line begins."""
        header = _HEADER.encode()
        place = 0
        try:
            with open(self.path, "rb") as file:
                for number, line in enumerate(file, start=1):
                    if number == 1 and line != header and not header.startswith(line):
                        raise UserError(
                            f"{self.path}: is no journal (its first line is not "
                            f"{_HEADER.strip()}); name another file"
                        )
                    if not line.endswith(b"\n"):
                        break
                    self._take(line, number, place)
                    place += len(line)
        except OSError as error:
            raise UserError(f"{self.path}: cannot read the journal ({error.strerror})") from error
        if self.readonly:
            return place
        if os.fstat(self._descriptor).st_size > place:
            os.ftruncate(self._descriptor, place)
        if place == 0:
            self._write(header, 0, sync=True)
            place = len(header)
            with contextlib.suppress(OSError):  # so that the new name survives a power cut
                folder = os.open(self.path.parent, os.O_RDONLY)
                try:
                    os.fsync(folder)
                finally:
                    os.close(folder)
        return place

    def _take(self, line: bytes, number: int, place: int) -> None:
        try:
            self._index(json.loads(line), place, len(line))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UserError(
                f"{self.path}, line {number}: damaged ({type(error).__name__}: {error}); "
                "delete this line to go on without its answer"
            ) from error

    def _index(self, row: dict[str, Any], place: int, size: int) -> None:
        kind = row["kind"]
        if kind in ("answer", "failure"):
            group = row["request"]["purpose"], row["request"]["model"]
            self._totals[group] = self._totals[group].plus(_response(row))
            if kind == "answer":
                self._places.setdefault(row["key"], (place, size))
        elif kind != "journal":
            self._notes.append(row)

    def lookup(self, key: str) -> Response | None:
        """The answer to the request of this key, marked as cached; None when there is none."""
        with self._lock:
            found = self._places.get(key)
        if found is None:
            return None
        line = os.pread(self._descriptor, found[1], found[0])
        return dataclasses.replace(_response(json.loads(line)), cached=True)

    def record(
        self,
        request: Request,
        response: Response,
        *,
        backend: str,
        attempts: int = 1,
        answered: bool = True,
        sync: bool = True,
    ) -> None:
        """Appends what came of a request.

        Args:
          request: the request.
          response: what came of it.
          backend: name of the back end.
          attempts: how often it was sent.
          answered: the server gave an answer, be it useless, that counts for this key; False when
            it gave none, and asking again is right.
          sync: wait until the line is on the disk.
        """
        self._append(
            {
                "kind": "answer" if answered else "failure",
                "key": response.key,
                "backend": backend,
                "attempts": attempts,
                "at": round(time.time(), 3),
                "request": _request_row(request),
                "response": _response_row(response),
            },
            sync,
        )

    def note(self, kind: str, **fields: Any) -> None:
        """Appends a note of a back end."""
        if kind in ("journal", "answer", "failure"):
            raise ValueError(f"{kind!r} is no kind of note")
        self._append({"kind": kind, "at": round(time.time(), 3), **fields}, True)

    def notes(self, kind: str) -> list[dict[str, Any]]:
        """All notes of a kind, oldest first."""
        with self._lock:
            return [note for note in self._notes if note["kind"] == kind]

    def totals(self) -> dict[tuple[str, str], Totals]:
        """What all lines took, by (purpose, model)."""
        with self._lock:
            return dict(self._totals)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Every line as it was written, for audits."""
        with open(self.path, "rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield json.loads(line)

    def sync(self) -> None:
        """Waits until everything appended is on the disk."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Gives the file and its lock back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __len__(self) -> int:
        """Number of requests with an answer."""
        with self._lock:
            return len(self._places)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _append(self, row: dict[str, Any], sync: bool) -> None:
        if self.readonly:
            raise ValueError(f"{self.path} is open for reading only")
        text = json.dumps(row, ensure_ascii=False)
        for secret in self._secrets:
            text = text.replace(secret, _HIDDEN)
        line = text.encode("utf-8", errors="backslashreplace") + b"\n"
        with self._lock:
            self._write(line, self._end, sync)
            self._index(row, self._end, len(line))
            self._end += len(line)

    def _write(self, line: bytes, place: int, sync: bool) -> None:
        try:
            done = 0
            while done < len(line):
                done += os.pwrite(self._descriptor, line[done:], place + done)
            if sync:
                os.fsync(self._descriptor)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, place)
            raise UserError(
                f"{self.path}: cannot write ({error.strerror}); every earlier answer is kept, "
                "free space and start the same command again"
            ) from error


def _request_row(request: Request) -> dict[str, Any]:
    return {
        "purpose": request.purpose,
        "model": request.model,
        "messages": [[message.role, message.content] for message in request.messages],
        "schema": request.schema,
        "temperature": request.temperature,
        "max_tokens": request.max_tokens,
        "stop": list(request.stop),
        "seed": request.seed,
        "sample": request.sample,
        "options": dict(request.options),
    }


_FIELDS = [
    field.name for field in dataclasses.fields(Response) if field.name not in ("key", "cached")
]


def _response_row(response: Response) -> dict[str, Any]:
    return {name: getattr(response, name) for name in _FIELDS}


def _response(row: Mapping[str, Any]) -> Response:
    kept = row["response"]
    return Response(key=row["key"], **{name: kept[name] for name in _FIELDS if name in kept})
