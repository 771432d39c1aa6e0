"""Many scenarios, one back end: whatever waits for an answer is asked together, in waves.

Work is generators that yield requests. A wave sends the open requests of all work in flight; while
answers come in, their work goes on and its next requests join the next wave. What comes of a piece
of work depends on its own answers only, so neither order of arrival nor restarts show in the
result.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable, Iterator
from typing import TypeVar

from ppt_jax.authoring.backends.protocol import Backend, Request, Response
from ppt_jax.authoring.llm.conversation import Asking

T = TypeVar("T")


def run_together(
    works: Iterable[Asking[T]], backend: Backend, in_flight: int
) -> Iterator[tuple[int, T]]:
    """Runs work on a back end until all is done.

    Args:
      works: pieces of work; they are begun in order, as many at a time as `in_flight`.
      backend: answers.
      in_flight: pieces of work under way at a time.

    Yields:
      ``(place, result)`` of each piece of work as it ends.

    Raises:
      BudgetReached: from the back end; what had ended was yielded before.
      RuntimeError: the back end left a request without a response.
    """
    upcoming = enumerate(works)
    open_requests: dict[str, Request] = {}
    waiting: dict[str, list[tuple[int, Asking[T]]]] = collections.defaultdict(list)
    under_way = 0
    done: list[tuple[int, T]] = []

    def advance(place: int, work: Asking[T], response: Response | None) -> None:
        nonlocal under_way
        try:
            request = next(work) if response is None else work.send(response)
        except StopIteration as stop:
            under_way -= 1
            done.append((place, stop.value))
            return
        open_requests.setdefault(request.key, request)
        waiting[request.key].append((place, work))

    def begin() -> None:
        nonlocal under_way
        while under_way < in_flight:
            item = next(upcoming, None)
            if item is None:
                return
            under_way += 1
            advance(*item, None)

    begin()
    while waiting:
        yield from _drained(done)
        wave, asked = list(open_requests.values()), dict(waiting)
        open_requests, waiting = {}, collections.defaultdict(list)
        for response in backend.generate(wave):
            for place, work in asked.pop(response.key, ()):
                advance(place, work, response)
            begin()
            yield from _drained(done)
        if asked:
            raise RuntimeError(f"{backend.name}: {len(asked)} requests got no response")
    yield from _drained(done)


def _drained(done: list[tuple[int, T]]) -> Iterator[tuple[int, T]]:
    while done:
        yield done.pop(0)
