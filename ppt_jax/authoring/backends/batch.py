"""The back end for batch files: many requests in one file, answered within hours, at a lower price.

A file holds one request a line, named by its key. The batch is written into the journal before it
is started and again with its id, so that a run that dies at any point finds it again: an id that
never reached the journal is found on the server by the token in the batch's metadata. Nothing is
sent twice, and what a batch that expired or was cancelled has answered is kept.
"""

from __future__ import annotations

import dataclasses
import json
import queue
import random
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from ppt_jax.authoring.backends.budgets import Ledger, known
from ppt_jax.authoring.backends.completions import (
    LIMIT_FIELDS,
    SCHEMA_MODES,
    body_of,
    read_completion,
)
from ppt_jax.authoring.backends.dispatch import Clock
from ppt_jax.authoring.backends.journal import Journal
from ppt_jax.authoring.backends.pacing import RetryPolicy
from ppt_jax.authoring.backends.protocol import BudgetReached, Request, Response
from ppt_jax.authoring.backends.server import BatchServer, ServerFault
from ppt_jax.errors import UserError

_ENDED = ("completed", "failed", "expired", "cancelled")
_T = TypeVar("_T")


@dataclasses.dataclass(frozen=True)
class BatchConfig:
    """How batches are used.

    Attributes:
      schema_mode: how schemas are asked for; see `ChatConfig`, but nothing is probed.
      most_requests: requests in one file at most.
      most_bytes: size of one file at most.
      poll: seconds between looks at a batch.
      rounds: how often a request goes into a batch at most, when the batch does not answer it.
      retries: waits and repeats of the calls that start and watch batches.
    """

    schema_mode: str = "json_schema"
    most_requests: int = 50_000
    most_bytes: int = 200_000_000
    poll: float = 60.0
    rounds: int = 3
    retries: RetryPolicy = dataclasses.field(default_factory=RetryPolicy)

    def __post_init__(self) -> None:
        if self.schema_mode not in SCHEMA_MODES:
            raise UserError(
                f"schema_mode={self.schema_mode!r}: a batch needs one of {', '.join(SCHEMA_MODES)}"
            )
        if not 1 <= self.most_requests <= 50_000:
            raise UserError(f"most_requests={self.most_requests}: must be 1 to 50000")
        for name, least in (("most_bytes", 1), ("poll", 0), ("rounds", 1)):
            if not getattr(self, name) >= least:
                raise UserError(f"{name}={getattr(self, name)}: must be {least} or more")


@dataclasses.dataclass
class _Batch:
    """A batch that was begun.

    Attributes:
      token: our own name of it.
      keys: of its requests.
      id: the server's name of it; None when it is not known whether the server has it.
    """

    token: str
    keys: list[str]
    id: str | None = None


class BatchBackend:
    """Answers requests by batch files.

    Args:
      server: who answers.
      journal: answers and batches of earlier runs; needed, since a batch outlives the process.
      config: how batches are used.
      ledger: the budget.
      clock: the time.
      seed: of the jitter.
    """

    def __init__(
        self,
        server: BatchServer,
        journal: Journal,
        config: BatchConfig | None = None,
        *,
        ledger: Ledger | None = None,
        clock: Clock | None = None,
        seed: int | None = None,
    ) -> None:
        self.config = config or BatchConfig()
        self.name = f"batch:{server.name}"
        self.journal, self.ledger = journal, ledger or Ledger(journal=journal)
        self._server, self._clock = server, clock or Clock()
        self._draw = random.Random(seed)
        self._limit_field: dict[str, str] = {}

    def generate(self, requests: Sequence[Request]) -> Iterator[Response]:
        """See `Backend`. It waits for the server as long as that takes, or ``max_seconds``.

        Raises:
          UserError: also when the server refuses a whole file.
        """
        missing: list[Request] = []
        yield from known(requests, self.journal, self.ledger, missing)
        wanted = {request.key: request for request in missing}
        rounds = dict.fromkeys(wanted, 0)
        running = [batch for batch in self._begun() if wanted.keys() & set(batch.keys)]
        stopped: BudgetReached | None = None
        while wanted:
            under_way = {key for batch in running for key in batch.keys}
            ready = [request for key, request in wanted.items() if key not in under_way]
            if ready and stopped is None:
                admitted, stopped = self._admitted(ready)
                running += self._started(admitted)
            if not running:
                break  # the budget lets nothing more through
            for batch in list(running):
                elsewhere = {key for one in running if one is not batch for key in one.keys}
                for response in self._looked(batch, wanted, rounds, elsewhere):
                    del wanted[response.key]
                    yield response
                if batch.id is None:  # ended
                    running.remove(batch)
            if running:
                self.ledger.check_time()
                self._pause(min(self.config.poll, self.ledger.seconds_left()))
        if stopped is not None:
            raise stopped

    # -------------------------------------------------------------- what the journal knows

    def _note(self, batch: _Batch, state: str, **fields: Any) -> None:
        self.journal.note(
            "batch", token=batch.token, state=state, server=self._server.name, id=batch.id, **fields
        )

    def _begun(self) -> list[_Batch]:
        """Batches that an earlier run left behind, found on the server if need be."""
        found: dict[str, _Batch] = {}
        for note in self.journal.notes("batch"):
            if note["server"] != self._server.name:
                continue
            if note["state"] == "intended":
                found[note["token"]] = _Batch(note["token"], note["keys"])
            elif note["state"] == "started":
                found[note["token"]].id = note["id"]
            else:
                found.pop(note["token"], None)
        lost = [batch for batch in found.values() if batch.id is None]
        if lost:
            states = self._insist(lambda: _tokens(self._server.batches()))
            for batch in lost:
                batch.id = states.get(batch.token)
                self._note(batch, "ended" if batch.id is None else "started")
        return [batch for batch in found.values() if batch.id is not None]

    # ------------------------------------------------------------------------- sending

    def _admitted(self, ready: Sequence[Request]) -> tuple[list[Request], BudgetReached | None]:
        """The requests that the budget lets through now, and what stopped the others for good."""
        admitted: list[Request] = []
        try:
            for request in ready:
                if not self.ledger.admit(request):
                    break  # what is under way decides
                admitted.append(request)
        except BudgetReached as stopped:
            return admitted, stopped
        return admitted, None

    def _started(self, requests: Sequence[Request]) -> Iterator[_Batch]:
        """Starts batches over all requests; a file holds one model."""
        for model in dict.fromkeys(request.model for request in requests):
            lines: list[bytes] = []
            keys: list[str] = []
            size = 0
            for request in requests:
                if request.model != model:
                    continue
                line = self._line(request)
                full = size + len(line) > self.config.most_bytes
                if keys and (full or len(keys) == self.config.most_requests):
                    yield self._start(keys, b"".join(lines))
                    lines, keys, size = [], [], 0
                lines.append(line)
                keys.append(request.key)
                size += len(line)
            if keys:
                yield self._start(keys, b"".join(lines))

    def _line(self, request: Request) -> bytes:
        field = self._limit_field.get(request.model, LIMIT_FIELDS[0])
        body = body_of(request, self.config.schema_mode, limit_field=field)
        row = {
            "custom_id": request.key,
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": body,
        }
        return json.dumps(row, ensure_ascii=True).encode() + b"\n"

    def _start(self, keys: list[str], content: bytes) -> _Batch:
        batch = _Batch(uuid.uuid4().hex, keys)
        file_id = self._insist(lambda: self._server.upload(f"{batch.token}.jsonl", content))
        self._note(batch, "intended", keys=keys)
        sent = False

        def start() -> str:
            nonlocal sent
            if sent:  # the call before may have got through
                found = _tokens(self._server.batches()).get(batch.token)
                if found is not None:
                    return found
            sent = True
            return str(self._server.start_batch(file_id, batch.token)["id"])

        batch.id = self._insist(start)
        self._note(batch, "started")
        return batch

    # ------------------------------------------------------------------------- receiving

    def _looked(
        self,
        batch: _Batch,
        wanted: dict[str, Request],
        rounds: dict[str, int],
        elsewhere: set[str],
    ) -> Iterator[Response]:
        """What a batch has answered, once it has ended; its id is None then."""
        state = self._insist(lambda: self._server.batch(str(batch.id)), gone={"status": "expired"})
        if state.get("status") not in _ENDED:
            return
        if state["status"] == "failed":
            reason = _file_errors(state)
            self._release(batch, wanted)
            self._note(batch, "ended", status="failed", reason=reason)
            raise UserError(
                f"{self.name}: the server refused the file of batch {batch.id} ({reason}); every "
                "answer so far is kept"
            )
        foreign = set(batch.keys) - wanted.keys()
        answered: set[str] = set()
        reasons: dict[str, str] = {}
        for name in ("output_file_id", "error_file_id"):
            if not state.get(name):
                continue
            for key, found in self._read(str(state[name]), wanted):
                if isinstance(found, str):
                    reasons[key] = found
                elif key not in answered:
                    answered.add(key)
                    self._keep(wanted[key], found, rounds)
                    yield found
        for key in (set(batch.keys) & wanted.keys()) - answered - elsewhere:
            rounds[key] += 1
            self.ledger.release(wanted[key])
            if rounds[key] >= self.config.rounds:
                reason = reasons.get(key, f"batch {state['status']} without it")
                error = f"no answer after {rounds[key]} batches, the last one: {reason}"
                failed = Response(key, "", "error", error=error)
                self._keep(wanted[key], failed, rounds, answered=False)
                yield failed
        self.journal.sync()
        if all(self.journal.lookup(key) is not None for key in foreign):
            self._note(batch, "ended", status=state["status"])
        batch.id = None

    def _read(
        self, file_id: str, wanted: dict[str, Request]
    ) -> Iterator[tuple[str, Response | str]]:
        """Answers in a result file, or the reason why a request has none, by key."""
        for line in self._lines(file_id):
            try:
                row = json.loads(line)
                key, response = str(row["custom_id"]), row.get("response") or {}
                status, body = int(response.get("status_code") or 0), response.get("body") or {}
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                continue  # not a result; its request counts as unanswered
            request = wanted.get(key)
            if request is None:
                continue
            if status == 200 and isinstance(body, dict):
                mode = self.config.schema_mode
                yield key, read_completion(request, body, seconds=0.0, enforced=mode)
                continue
            reason = json.dumps(row.get("error") or body, ensure_ascii=False)[:500]
            renamed = status == 400 and LIMIT_FIELDS[1] in reason
            if renamed:
                self._limit_field[request.model] = LIMIT_FIELDS[1]
            if 400 <= status < 500 and status not in (408, 409, 429) and not renamed:
                refused = f"the server refused the request ({status}: {reason})"
                yield key, Response(key, "", "error", error=refused)
            else:
                yield key, reason

    def _lines(self, file_id: str) -> list[str]:
        return self._insist(
            lambda: [line for line in self._server.lines(file_id) if line.strip()], gone=[]
        )

    def _keep(
        self,
        request: Request,
        response: Response,
        rounds: dict[str, int],
        *,
        answered: bool | None = None,
    ) -> None:
        counts = bool(response.raw) if answered is None else answered
        self.journal.record(
            request,
            response,
            backend=self.name,
            attempts=rounds[request.key] + 1,
            answered=counts,
            sync=False,
        )
        self.ledger.settle(request, response)

    def _release(self, batch: _Batch, wanted: dict[str, Request]) -> None:
        for key in batch.keys:
            if key in wanted:
                self.ledger.release(wanted[key])

    # ------------------------------------------------------------------------- patience

    def _insist(self, call: Callable[[], _T], *, gone: _T | None = None) -> _T:
        """A call repeated through passing faults; ``gone`` is for what the server has deleted."""
        policy = self.config.retries
        attempts = 0
        while True:
            attempts += 1
            try:
                return call()
            except ServerFault as fault:
                if fault.status == 404 and gone is not None:
                    return gone
                if not fault.passing or attempts >= policy.attempts:
                    raise UserError(
                        f"{self.name}: {fault.reason}; batches that were started go on, start the "
                        "same command again to collect them"
                    ) from fault
                self._pause(policy.wait(attempts, fault.retry_after, self._draw))

    def _pause(self, seconds: float) -> None:
        self._clock.wait(queue.SimpleQueue(), seconds, True)


def _tokens(states: Iterator[dict[str, Any]]) -> dict[str, str]:
    """Ids of the batches that carry a token of ours."""
    found = {}
    for state in states:
        token = (state.get("metadata") or {}).get("ppt_jax")
        if token:
            found[str(token)] = str(state["id"])
    return found


def _file_errors(state: dict[str, Any]) -> str:
    errors = (state.get("errors") or {}).get("data") or []
    words = [str(one.get("message") or one.get("code")) for one in errors if isinstance(one, dict)]
    return "; ".join(words[:3]) or "no reason given"
