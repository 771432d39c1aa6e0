"""Many requests to one server: some at a time, again after faults, within a budget, none lost.

One thread decides what is sent when; every attempt has a thread of its own, which writes its answer
to the journal before anybody hears of it. So answers that were paid are kept however the run ends,
also when whoever asked stops listening, and a consumer that is slow does not hold up the server.
"""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import queue
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from ppt_jax.authoring.backends.budgets import Ledger
from ppt_jax.authoring.backends.journal import Journal
from ppt_jax.authoring.backends.pacing import AdaptiveLimit, RetryPolicy
from ppt_jax.authoring.backends.protocol import BudgetReached, Request, Response
from ppt_jax.errors import UserError

_WAITING_ANSWERS = 256  # beyond what a slow consumer has not yet taken, nothing more is sent


class Answered(NamedTuple):
    """An attempt that ended a request. ``counts`` is False when asking again next time is right."""

    response: Response
    counts: bool = True


class Again(NamedTuple):
    """An attempt to be repeated.

    Attributes:
      reason: why, in words.
      retry_after: seconds that the server asks to wait.
      overload: the server says that requests are too many.
      at_once: repeat without waiting; the request was changed, so attempts count from 0 again.
      unreachable: nobody listens there.
    """

    reason: str
    retry_after: float | None = None
    overload: bool = False
    at_once: bool = False
    unreachable: bool = False


@dataclasses.dataclass
class Job:
    """A request on its way.

    Attributes:
      request: what is asked.
      attempts: how often it was sent in its present form.
      sends: how often it was sent in all.
      state: whatever the sender wants to remember between attempts.
    """

    request: Request
    attempts: int = 0
    sends: int = 0
    state: Any = None


class Clock:
    """The time, and waiting for events; tests put their own in its place."""

    def now(self) -> float:
        """Seconds that only grow."""
        return time.monotonic()

    def wait(self, events: queue.SimpleQueue[Any], seconds: float, idle: bool) -> Any:
        """The next event, or None after some seconds.

        Args:
          events: where they come from.
          seconds: to wait at most.
          idle: no request is under way, so that no event is to be expected.
        """
        del idle
        try:
            return events.get(timeout=max(seconds, 0.0))
        except queue.Empty:
            return None


class Dispatch:
    """Sends requests and yields their responses.

    Args:
      send: one attempt; runs in a thread. A `UserError` from it ends the run.
      name: of the back end, for the journal.
      limit: how many at once; kept between runs, since it has learnt the server's pace.
      policy: of repeats.
      journal: where answers go, None for nowhere.
      ledger: the budget.
      deadline: seconds after which an attempt is given up from outside.
      give_up: requests in a row without an answer that end the run.
      clock: the time.
      seed: of the jitter.
    """

    def __init__(
        self,
        send: Callable[[Job], Answered | Again],
        *,
        name: str,
        limit: AdaptiveLimit,
        policy: RetryPolicy,
        journal: Journal | None,
        ledger: Ledger,
        deadline: float,
        give_up: int = 5,
        clock: Clock | None = None,
        seed: int | None = None,
    ) -> None:
        self._send, self._name = send, name
        self.limit, self._policy, self._journal, self._ledger = limit, policy, journal, ledger
        self._deadline, self._give_up = deadline, give_up
        self._clock = clock or Clock()
        self._draw = random.Random(seed)
        self.reached = False  # the server has answered something

    def run(self, jobs: Sequence[Job], *, give_up: int | None = None) -> Iterator[Response]:
        """Yields a response for every job; see `Backend.generate` for what it raises.

        Args:
          jobs: requests of different keys.
          give_up: in place of this dispatch's own.
        """
        run = _Run(self, jobs, give_up or self._give_up)
        run.start()
        try:
            while True:
                item = run.out.get()
                if isinstance(item, Response):
                    yield item
                    continue
                if item is not None:
                    raise item
                return
        finally:
            run.stop()


class _Run(threading.Thread):
    """One pass over some jobs, in a thread of its own."""

    def __init__(self, dispatch: Dispatch, jobs: Sequence[Job], give_up: int) -> None:
        super().__init__(name="dispatch", daemon=True)
        self.out: queue.Queue[Response | BaseException | None] = queue.Queue()
        self._d, self._give_up = dispatch, give_up
        self._order = itertools.count()
        self._new = list(reversed(jobs))  # the next one is last
        self._repeats: list[tuple[float, int, Job]] = []  # (ready at, order, job)
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._flying: dict[int, tuple[Job, float]] = {}
        self._hold = float("-inf")
        self._failures = 0
        self._ending: BaseException | None = None
        self._no_new = False  # what was begun is brought to its end, repeats included
        self._halt = False  # nothing more is sent
        self._closed = threading.Event()

    def stop(self) -> None:
        """Sends nothing more and waits for what is under way."""
        self._closed.set()
        self._events.put(None)
        self.join()

    def run(self) -> None:
        """The thread's work."""
        try:
            while self._step():
                pass
        except BaseException as error:  # a defect of ours must reach the caller, not vanish
            self._ending = error
        self.out.put(self._ending)

    def _step(self) -> bool:
        clock = self._d._clock
        if self._closed.is_set():
            self._halt = True
        self._launch(clock.now())
        waiting = not self._halt and (self._repeats or (self._new and not self._no_new))
        if not self._flying and not waiting:
            for _, _, job in self._repeats:
                self._d._ledger.release(job.request)
            return False
        event = clock.wait(self._events, self._patience(clock.now()), not self._flying)
        if event is not None:
            self._take(*event)
        self._abandon(clock.now())
        return True

    def _launch(self, now: float) -> None:
        d = self._d
        if not self._halt and (self._repeats or (self._new and not self._no_new)):
            try:
                d._ledger.check_time()
            except BudgetReached as error:
                self._end(error)
        while not self._halt and len(self._flying) < d.limit.allowed and now >= self._hold:
            try:
                job = self._next(now)
            except BudgetReached as error:
                self._end(error, halt=False)
                continue
            except UserError as error:
                self._end(error)
                return
            if job is None:
                return
            number = next(self._order)
            job.attempts, job.sends = job.attempts + 1, job.sends + 1
            self._flying[number] = (job, now)
            threading.Thread(
                target=self._attempt, args=(number, job), name="attempt", daemon=True
            ).start()

    def _next(self, now: float) -> Job | None:
        """What to send now: repeats that are due come before new requests."""
        ledger = self._d._ledger
        if self._repeats and self._repeats[0][0] <= now:
            return heapq.heappop(self._repeats)[2]
        if not self._new or self._no_new or self._crowded():
            return None
        return self._new.pop() if ledger.admit(self._new[-1].request) else None

    def _crowded(self) -> bool:
        """Whether to begin nothing new: repeats or answers wait already."""
        many = len(self._repeats) >= self._d.limit.allowed
        return many or self.out.qsize() >= _WAITING_ANSWERS

    def _patience(self, now: float) -> float:
        """Seconds until something can be done without an event."""
        times = [sent + self._d._deadline for _, sent in self._flying.values()]
        new = bool(self._new) and not self._no_new
        if not self._halt and (self._repeats or new):
            times.append(now + self._d._ledger.seconds_left())
            if len(self._flying) < self._d.limit.allowed:
                if self._repeats:
                    times.append(max(self._repeats[0][0], self._hold))
                if new and self._hold > now:
                    times.append(self._hold)
                if new and self.out.qsize() >= _WAITING_ANSWERS:
                    times.append(now + 0.05)
        return min(max(min(times, default=now) - now, 0.001), 3600.0)

    def _abandon(self, now: float) -> None:
        """Attempts that do not come back; their threads are left to themselves."""
        for number, (job, sent) in list(self._flying.items()):
            if now - sent >= self._d._deadline:
                del self._flying[number]
                self._again(job, Again(f"nothing came back within {now - sent:.0f} s"), now)

    def _end(self, error: BaseException, *, halt: bool = True) -> None:
        self._ending = self._ending or error
        self._no_new = True
        self._halt |= halt

    def _attempt(self, number: int, job: Job) -> None:
        """Runs in the attempt's thread: sends, and writes the answer down at once."""
        outcome: Answered | Again | BaseException
        try:
            outcome = self._d._send(job)
            if isinstance(outcome, Answered):
                self._keep(job, outcome)
        except BaseException as error:
            outcome = error
        self._events.put((number, outcome))

    def _keep(self, job: Job, done: Answered) -> None:
        d = self._d
        if d._journal is not None:
            d._journal.record(
                job.request,
                done.response,
                backend=d._name,
                attempts=job.sends,
                answered=done.counts,
            )
        d._ledger.settle(job.request, done.response)

    def _take(self, number: int, outcome: Answered | Again | BaseException) -> None:
        """What came of an attempt."""
        d = self._d
        now = d._clock.now()
        flown = self._flying.pop(number, None)
        if flown is None:  # given up already; an answer is in the journal for the next run
            return
        job, sent = flown
        if isinstance(outcome, Answered):
            self._finish(job, outcome)
        elif isinstance(outcome, Again):
            if outcome.overload:
                d.limit.refused(sent, now)
            self._again(job, outcome, now)
        else:
            d._ledger.release(job.request)
            self._end(outcome)

    def _finish(self, job: Job, done: Answered) -> None:
        if done.counts:
            self._d.reached = True
            self._d.limit.answered()
            self._failures = 0
        else:
            self._failures += 1
        self.out.put(done.response)
        if self._failures >= self._give_up and not self._halt:
            self._end(
                UserError(
                    f"{self._d._name}: no answer to {self._failures} requests in a row, to the "
                    f"last one: {done.response.error}; every answer so far is kept, start the same "
                    "command again to go on"
                )
            )

    def _again(self, job: Job, why: Again, now: float) -> None:
        d = self._d
        policy = d._policy
        if why.at_once:
            job.attempts = 0
        elif why.unreachable and not d.reached and job.attempts >= 2:
            self._end(UserError(f"{d._name}: {why.reason}; is the server running?"))
        elif why.retry_after is not None and why.retry_after > policy.patience:
            self._end(
                UserError(
                    f"{d._name}: the server asks to wait {why.retry_after:.0f} s ({why.reason}); "
                    "every answer so far is kept, start the same command again then"
                )
            )
        elif job.attempts >= policy.attempts:
            error = f"no answer after {job.sends} attempts, the last one: {why.reason}"
            failure = Answered(Response(job.request.key, "", "error", error=error), counts=False)
            try:
                self._keep(job, failure)
            except UserError as full:
                self._end(full)
                return
            self._finish(job, failure)
            return
        wait = 0.0 if why.at_once else policy.wait(job.attempts, why.retry_after, d._draw)
        if why.overload and why.retry_after is not None:
            self._hold = max(self._hold, now + why.retry_after)
        heapq.heappush(self._repeats, (now + wait, next(self._order), job))
