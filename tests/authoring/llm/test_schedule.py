"""Scheduling: many pieces of work, one back end, a result that no order of arrival can change."""

from collections.abc import Iterator, Sequence

import pytest

from ppt_jax.authoring.backends.protocol import Message, Request, Response
from ppt_jax.authoring.llm.conversation import Asking
from ppt_jax.authoring.llm.schedule import run_together


class Shuffled:
    """Answers with the request's own words, in an order of its own."""

    name = "shuffled"

    def __init__(self, reverse: bool = False, lose: int = 0) -> None:
        self.waves: list[int] = []
        self.reverse, self.lose = reverse, lose
        self.seen: list[str] = []

    def generate(self, requests: Sequence[Request]) -> Iterator[Response]:
        self.waves.append(len(requests))
        ordered = list(requests)[:: -1 if self.reverse else 1]
        for request in ordered[self.lose :]:
            self.seen.append(request.key)
            yield Response(request.key, request.messages[-1].content.upper(), "stop")


def work(name: str, steps: int) -> Asking[str]:
    text = name
    for _ in range(steps):
        response = yield Request((Message("user", text),), "m")
        text = response.text + "."
    return text


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("in_flight", [1, 3, 100])
def test_results_do_not_depend_on_order_or_width(reverse: bool, in_flight: int) -> None:
    backend = Shuffled(reverse)
    works = (work(f"w{n}", n % 4) for n in range(20))
    found = dict(run_together(works, backend, in_flight))
    assert found == {n: (f"W{n}" if n % 4 else f"w{n}") + "." * (n % 4) for n in range(20)}
    assert max(backend.waves) <= in_flight


def test_the_back_end_is_kept_busy() -> None:
    backend = Shuffled()
    list(run_together((work(f"w{n}", 3) for n in range(40)), backend, 10))
    assert backend.waves[0] == 10
    assert sum(backend.waves) == 120
    assert len(backend.waves) <= 14  # 12 full waves would do


def test_equal_requests_are_asked_once_at_a_time() -> None:
    backend = Shuffled()
    found = dict(run_together((work("same", 2) for _ in range(5)), backend, 5))
    assert set(found.values()) == {"SAME.."}
    assert len(backend.seen) == 2


def test_a_lost_request_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="1 requests got no response"):
        list(run_together((work(f"w{n}", 1) for n in range(3)), Shuffled(lose=1), 5))


def test_work_is_begun_as_late_as_possible() -> None:
    begun: list[int] = []

    def noted(n: int) -> Asking[str]:
        begun.append(n)
        return (yield from work(f"w{n}", 1))

    results = run_together((noted(n) for n in range(100)), Shuffled(), 4)
    next(results)
    assert len(begun) <= 8
