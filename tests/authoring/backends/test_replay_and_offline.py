"""Recorded answers replayed, and a function in a server's place."""

import json
import pathlib

import pytest

from ppt_jax.authoring.backends.budgets import (
    Budget,
    Ledger,
    Prices,
    estimated_tokens,
    expense_table,
)
from ppt_jax.authoring.backends.journal import Journal
from ppt_jax.authoring.backends.offline import OfflineBackend
from ppt_jax.authoring.backends.protocol import BudgetReached, Message, Request
from ppt_jax.authoring.backends.replay import ReplayBackend
from ppt_jax.errors import UserError


def asks(count: int, purpose: str = "tell") -> list[Request]:
    return [
        Request((Message("user", f"Tell story {n}."),), "none", purpose=purpose, context={"n": n})
        for n in range(count)
    ]


def tell(request: Request) -> str:
    return f"story {request.context['n']}"


def test_recorded_run_replays_and_names_what_is_missing(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "j.jsonl"
    with Journal(path) as journal:
        first = list(OfflineBackend(tell, journal=journal).generate(asks(3)))
    assert [response.text for response in first] == ["story 0", "story 1", "story 2"]
    before = path.read_bytes()
    with Journal(path, readonly=True) as journal:
        replay = ReplayBackend(journal)
        again = list(replay.generate(asks(3)))
        assert [(r.text, r.cached) for r in again] == [(r.text, True) for r in first]
        found = []
        with pytest.raises(UserError) as refused:
            found.extend(replay.generate(asks(5)))
    assert asks(5)[3].key[:12] in str(refused.value)
    for words in ("stage 'tell'", "'Tell story 3.'", "sample 0", "and to 1 more", str(path)):
        assert words in str(refused.value)
    assert path.read_bytes() == before


def test_function_is_asked_once_a_request(tmp_path: pathlib.Path) -> None:
    asked = []

    def answer(request: Request) -> str:
        asked.append(request.key)
        return json.dumps({"n": request.context["n"]})

    with Journal(tmp_path / "j.jsonl") as journal:
        for _ in range(2):
            backend = OfflineBackend(answer, journal=journal)
            assert len(list(backend.generate(asks(4) + asks(4)))) == 4
    assert len(asked) == len(set(asked)) == 4


def test_function_keeps_to_a_budget_and_its_errors_come_through(tmp_path: pathlib.Path) -> None:
    with Journal(tmp_path / "j.jsonl") as journal:
        backend = OfflineBackend(tell, journal=journal, ledger=Ledger(Budget(max_requests=2)))
        found = []
        with pytest.raises(BudgetReached, match="max_requests=2"):
            found.extend(r.text for r in backend.generate(asks(4)))
        assert len(journal) == 2

        def broken(request: Request) -> str:
            raise UserError(f"no plan for {request.key[:4]}")

        with pytest.raises(UserError, match="no plan"):
            list(OfflineBackend(broken, journal=journal).generate(asks(4)))
        assert len(journal) == 2


def test_expense_table_sums_purposes_and_shares_by_accepted() -> None:
    ledger = Ledger(prices={"none": Prices(1000, 3000)})
    backend = OfflineBackend(tell, ledger=ledger)
    list(backend.generate(asks(2)))
    list(backend.generate(asks(3, "imagine")))
    table = expense_table(ledger.expenses(), accepted=2)
    lines = table.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["purpose", "imagine", "tell"]
    rows = {row.purpose: row for row in ledger.expenses()}
    assert rows["tell"].totals.completion_tokens == 2 * estimated_tokens("story 0")
    total = sum(row.totals.prompt_tokens for row in rows.values())
    assert total == 5 * (estimated_tokens("Tell story 0.") + 8)
    cost = (1000 * total + 3000 * 5 * estimated_tokens("story 0")) / 1e6
    assert ledger.cost() == pytest.approx(cost)
    assert f"cost {cost:.4f}" in lines[3]
    assert f"{cost / 2:.4f}" in lines[4]
    assert expense_table(ledger.expenses(), accepted=0).endswith("accepted scenarios: none")
