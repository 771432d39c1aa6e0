"""The back end for servers that speak the OpenAI form: vLLM, SGLang, llama.cpp, Ollama, hosted.

Servers differ in what they make of a schema: some enforce it, some say so and do not, some break.
So the first schema of a run is preceded by a probe, a question whose schema plain text would not
meet; the best way that was seen to work is used, and recorded. A schema that breaks the server
nevertheless is asked for in the next way, down to words alone. Whatever way: the schema also stands
in the message, and authors validate every answer.
"""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence

from ppt_jax.authoring.backends.budgets import Ledger, known
from ppt_jax.authoring.backends.completions import (
    LIMIT_FIELDS,
    SCHEMA_MODES,
    body_of,
    read_completion,
)
from ppt_jax.authoring.backends.dispatch import Again, Answered, Clock, Dispatch, Job
from ppt_jax.authoring.backends.journal import Journal
from ppt_jax.authoring.backends.json_answers import NotJson, json_object, violations
from ppt_jax.authoring.backends.pacing import AdaptiveLimit, RetryPolicy
from ppt_jax.authoring.backends.protocol import Message, Request, Response
from ppt_jax.authoring.backends.server import ChatServer, ServerFault
from ppt_jax.errors import UserError

_PROBE_SCHEMA = {
    "type": "object",
    "properties": {"tag": {"type": "string", "enum": ["vexo-17", "quill-4"]}},
    "required": ["tag"],
    "additionalProperties": False,
}
_PROBE = "Describe the sea in one short sentence of plain English."


@dataclasses.dataclass(frozen=True)
class ChatConfig:
    """How a server is used.

    Attributes:
      schema_mode: ``auto`` probes; or one of ``json_schema`` (OpenAI, vLLM),
        ``json_object`` (llama-cpp-python), ``structured_outputs`` (vLLM), ``format`` (Ollama) and
        ``prompt``, which then is trusted.
      concurrency: requests at once, at the beginning.
      most_concurrency: requests at once at most.
      timeout: seconds for one answer.
      retries: waits and repeats.
      give_up: requests in a row without an answer that end the run.
    """

    schema_mode: str = "auto"
    concurrency: int = 8
    most_concurrency: int = 64
    timeout: float = 300.0
    retries: RetryPolicy = dataclasses.field(default_factory=RetryPolicy)
    give_up: int = 5

    def __post_init__(self) -> None:
        if self.schema_mode not in ("auto", *SCHEMA_MODES):
            raise UserError(
                f"schema_mode={self.schema_mode!r}: must be auto or one of "
                f"{', '.join(SCHEMA_MODES)}"
            )
        if not self.timeout > 0:
            raise UserError(f"timeout={self.timeout}: must be above 0 seconds")
        if self.give_up < 1:
            raise UserError(f"give_up={self.give_up}: must be 1 or more")


@dataclasses.dataclass(frozen=True)
class Capability:
    """What a server makes of schemas.

    Attributes:
      mode: the best way that was seen to be enforced, ``prompt`` when none was.
      seen: what came of each way that was tried.
    """

    mode: str
    seen: Mapping[str, str]


@dataclasses.dataclass
class _Modes:
    """Ways that are left for one request, the present one first."""

    left: list[str]
    broken: int = 0  # answers with status 500 in the present way
    stepped: bool = False  # the best way broke the server
    probe: bool = False


class ChatBackend:
    """Answers requests by a chat server.

    Args:
      server: who answers.
      config: how it is used.
      journal: answers of earlier runs, and where new ones go.
      ledger: the budget.
      clock: the time.
      seed: of the jitter.
    """

    def __init__(
        self,
        server: ChatServer,
        config: ChatConfig | None = None,
        *,
        journal: Journal | None = None,
        ledger: Ledger | None = None,
        clock: Clock | None = None,
        seed: int | None = None,
    ) -> None:
        self.config = config or ChatConfig()
        self.name = f"openai:{server.name}"
        self.journal, self.ledger = journal, ledger or Ledger(journal=journal)
        self._server = server
        self._lock = threading.Lock()
        self._limit_field: dict[str, str] = {}
        self._found: dict[str, Capability] = {}
        self._lowered: dict[tuple[str, str], str] = {}
        self._dispatch = Dispatch(
            self._attempt,
            name=self.name,
            limit=AdaptiveLimit(
                self.config.concurrency,
                max(self.config.most_concurrency, self.config.concurrency),
            ),
            policy=self.config.retries,
            journal=journal,
            ledger=self.ledger,
            deadline=1.2 * self.config.timeout + 5.0,
            give_up=self.config.give_up,
            clock=clock,
            seed=seed,
        )

    @property
    def concurrency(self) -> int:
        """Requests that may be under way now."""
        return self._dispatch.limit.allowed

    def generate(self, requests: Sequence[Request]) -> Iterator[Response]:
        """See `Backend`."""
        missing: list[Request] = []
        yield from known(requests, self.journal, self.ledger, missing)
        for model in {request.model for request in missing if request.schema is not None}:
            self.capability(model)
        if missing:
            yield from self._dispatch.run([Job(request) for request in missing])

    def capability(self, model: str) -> Capability:
        """What the server makes of schemas with this model, probed once.

        Raises:
          UserError, BudgetReached: as `generate`.
        """
        if model not in self._found:
            if self.config.schema_mode != "auto":
                mode = self.config.schema_mode
                self._found[model] = Capability(mode, {mode: "as configured"})
            else:
                self._found[model] = self._probed(model)
        return self._found[model]

    def _probed(self, model: str) -> Capability:
        seen: dict[str, str] = {}
        best = "prompt"
        for at, mode in enumerate(SCHEMA_MODES[:-1]):
            probe = Request(
                (Message("user", _PROBE),),
                model,
                _PROBE_SCHEMA,
                max_tokens=512,
                sample=at,
                purpose="probe",
            )
            job = Job(probe, state=_Modes([mode], probe=True))
            answers = list(self._dispatch.run([job], give_up=1))
            seen[mode] = _verdict(answers[0])
            if seen[mode] == "enforced":
                best = mode
                break
        if self.journal is not None:
            self.journal.note("probe", server=self._server.name, model=model, mode=best, seen=seen)
        return Capability(best, seen)

    def _attempt(self, job: Job) -> Answered | Again:
        """One request sent once; runs in a thread."""
        request = job.request
        if job.state is None:
            job.state = _Modes(self._ways(request))
        modes: _Modes = job.state
        field = self._limit_field.get(request.model, LIMIT_FIELDS[0])
        body = body_of(request, modes.left[0], limit_field=field, words=not modes.probe)
        start = time.monotonic()
        try:
            raw = self._server.complete(body)
        except ServerFault as fault:
            return self._fault(job, fault, field)
        seconds = time.monotonic() - start
        if modes.stepped:
            with self._lock:
                self._lowered[_place(request)] = modes.left[0]
        return Answered(
            read_completion(request, raw, seconds=seconds, enforced=self._enforced(request, modes))
        )

    def _ways(self, request: Request) -> list[str]:
        if request.schema is None:
            return ["prompt"]
        with self._lock:
            lowered = self._lowered.get(_place(request))
        start = lowered or self.capability(request.model).mode
        return list(SCHEMA_MODES[SCHEMA_MODES.index(start) :])

    def _enforced(self, request: Request, modes: _Modes) -> str:
        """The way of asking, if it is known to be enforced; else words are all there was."""
        mode = modes.left[0]
        found = self._found.get(request.model)
        return mode if found is None or mode == found.mode else "prompt"

    def _fault(self, job: Job, fault: ServerFault, field: str) -> Answered | Again:
        request, modes = job.request, job.state
        if fault.final:
            raise UserError(f"{self.name}, model {request.model!r}: {fault.reason}{_advice(fault)}")
        if fault.status == 400 and field == LIMIT_FIELDS[0] and LIMIT_FIELDS[1] in fault.reason:
            with self._lock:
                self._limit_field[request.model] = LIMIT_FIELDS[1]
            return Again(fault.reason, at_once=True)
        modes.broken += fault.status == 500
        refused = not fault.passing
        if len(modes.left) > 1 and (refused or modes.broken >= 2):
            modes.left, modes.broken, modes.stepped = modes.left[1:], 0, True
            return Again(fault.reason, at_once=True)
        if refused or (modes.broken >= 2 and modes.probe):
            reason = f"the server refused the request ({fault.reason})"
            return Answered(Response(request.key, "", "error", error=reason), counts=modes.probe)
        return Again(
            fault.reason,
            retry_after=fault.retry_after,
            overload=fault.overload,
            unreachable=fault.unreachable,
        )


def _place(request: Request) -> tuple[str, str]:
    return request.model, json.dumps(request.schema, ensure_ascii=False)


def _verdict(response: Response) -> str:
    if response.finish_reason == "error":
        return response.error
    try:
        wrong = violations(json_object(response.text), _PROBE_SCHEMA)
    except NotJson:
        wrong = ["no JSON"]
    return f"answered, not enforced ({wrong[0]})" if wrong else "enforced"


def _advice(fault: ServerFault) -> str:
    if fault.status in (401, 403):
        return "; check the API key and what it may do"
    if fault.status == 404:
        return "; check the model's name and that base_url ends in the version, e.g. /v1"
    return ""
