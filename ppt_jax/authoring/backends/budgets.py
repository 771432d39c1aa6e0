"""What requests may use and what they used: requests, tokens, money, time.

Requests, tokens and money are counted over the whole journal, so that a run that was stopped and
started again does not spend its budget twice; seconds are those of this run. Before a request is
sent, the most that it can use is set aside, so that a budget is kept and not just noticed.
"""

from __future__ import annotations

import dataclasses
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from ppt_jax.authoring.backends.journal import Journal, Totals
from ppt_jax.authoring.backends.protocol import BudgetReached, Request, Response
from ppt_jax.errors import UserError

_BYTES_PER_TOKEN = 3  # English has about 4; estimates must not fall short
_TOKENS_PER_MESSAGE = 8  # what a chat template writes around a message


@dataclasses.dataclass(frozen=True)
class Prices:
    """Money for a million tokens, in any one currency.

    Attributes:
      prompt: for a million tokens read.
      completion: for a million tokens written.
    """

    prompt: float = 0.0
    completion: float = 0.0

    def __post_init__(self) -> None:
        for name in ("prompt", "completion"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UserError(f"price {name}={getattr(self, name)}: must be 0 or above")

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Money for so many tokens."""
        return (self.prompt * prompt_tokens + self.completion * completion_tokens) / 1e6


@dataclasses.dataclass(frozen=True)
class Budget:
    """What may be used at most; None for no limit.

    Attributes:
      max_requests: requests, answered or failed (repeats of one request count once).
      max_tokens: tokens read and written.
      max_cost: money, by the prices given.
      max_seconds: of this run, by the clock.
    """

    max_requests: int | None = None
    max_tokens: int | None = None
    max_cost: float | None = None
    max_seconds: float | None = None

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            limit = getattr(self, field.name)
            if limit is not None and not limit >= 0:
                raise UserError(f"{field.name}={limit}: must be 0 or above")


@dataclasses.dataclass(frozen=True)
class Expense:
    """One row of the accounts.

    Attributes:
      purpose: the stage that asked.
      model: who answered.
      totals: over the journal and this run.
      cached: requests of this run that the journal answered.
      cost: money for the tokens.
    """

    purpose: str
    model: str
    totals: Totals
    cached: int
    cost: float


def estimated_tokens(text: str) -> int:
    """A guess of a text's number of tokens that rarely falls short: a third of its bytes.

    Example:
      >>> estimated_tokens("four words are here")
      7
    """
    return -(-len(text.encode("utf-8", errors="replace")) // _BYTES_PER_TOKEN)


def estimated_prompt_tokens(request: Request) -> int:
    """A guess of the tokens that a request's messages (and its schema, in words) take."""
    tokens = sum(
        estimated_tokens(message.content) + _TOKENS_PER_MESSAGE for message in request.messages
    )
    return tokens + (estimated_tokens(str(request.schema)) if request.schema else 0)


class Ledger:
    """Keeps account of requests and says when a budget is used up. Safe between threads.

    Args:
      budget: limits.
      prices: by model; ``"*"`` for any other.
      journal: what was used before counts too.
      clock: seconds that only grow.
    """

    def __init__(
        self,
        budget: Budget | None = None,
        prices: Mapping[str, Prices] | None = None,
        journal: Journal | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.budget = budget or Budget()
        self._prices = dict(prices or {})
        if self.budget.max_cost is not None and not self._prices:
            raise UserError(
                f"max_cost={self.budget.max_cost:g} needs prices: money for a million tokens read "
                "and written"
            )
        self._clock, self._start = clock, clock()
        self._lock = threading.Lock()
        self._totals = dict(journal.totals()) if journal is not None else {}
        self._cached: dict[tuple[str, str], int] = {}
        self._held: dict[str, tuple[int, float]] = {}
        self._held_tokens, self._held_money = 0, 0.0

    def price(self, model: str) -> Prices:
        """Prices of a model.

        Raises:
          UserError: there is a limit on money and no price of this model.
        """
        found = self._prices.get(model, self._prices.get("*"))
        if found is None and self.budget.max_cost is not None:
            raise UserError(f"max_cost needs the prices of model {model!r}")
        return found or Prices()

    def seconds_left(self) -> float:
        """Seconds until ``max_seconds``; infinite without."""
        if self.budget.max_seconds is None:
            return math.inf
        return self.budget.max_seconds - (self._clock() - self._start)

    def check_time(self) -> None:
        """Raises `BudgetReached` when ``max_seconds`` have passed."""
        limit = self.budget.max_seconds
        if limit is not None and self.seconds_left() <= 0:
            raise BudgetReached("max_seconds", limit, self._clock() - self._start)

    def admit(self, request: Request) -> bool:
        """Sets aside what a request can use at most.

        Returns:
          True when it may be sent; False when that depends on requests under way: ask again after
          one of them is done.

        Raises:
          BudgetReached: it may not be sent, whatever requests under way turn out to use.
        """
        self.check_time()
        price = self.price(request.model)
        prompt = estimated_prompt_tokens(request)
        tokens = prompt + request.max_tokens
        money = price.cost(prompt, request.max_tokens)
        with self._lock:
            spent = self._spent()
            held = len(self._held), self._held_tokens, self._held_money
            limits = self.budget.max_requests, self.budget.max_tokens, self.budget.max_cost
            names = ("max_requests", "max_tokens", "max_cost")
            wait = False
            for name, limit, used, aside, more in zip(
                names, limits, spent, held, (1, tokens, money), strict=True
            ):
                if limit is None:
                    continue
                if used + more > limit:
                    raise BudgetReached(name, limit, used, more)
                wait |= used + aside + more > limit
            if wait:
                return False
            self._held[request.key] = (tokens, money)
            self._held_tokens += tokens
            self._held_money += money
            return True

    def settle(self, request: Request, response: Response) -> None:
        """Books what a request used; a cached answer costs nothing."""
        group = request.purpose, request.model
        with self._lock:
            self._free(request.key)
            if response.cached:
                self._cached[group] = self._cached.get(group, 0) + 1
            else:
                self._totals[group] = self._totals.get(group, Totals()).plus(response)

    def release(self, request: Request) -> None:
        """Takes back what was set aside for a request that is given up."""
        with self._lock:
            self._free(request.key)

    def _free(self, key: str) -> None:
        tokens, money = self._held.pop(key, (0, 0.0))
        self._held_tokens -= tokens
        self._held_money = self._held_money - money if self._held else 0.0  # no drift

    def _spent(self) -> tuple[int, int, float]:
        requests = sum(total.requests for total in self._totals.values())
        tokens = sum(t.prompt_tokens + t.completion_tokens for t in self._totals.values())
        return requests, tokens, math.fsum(self._money(*item) for item in self._totals.items())

    def _money(self, group: tuple[str, str], totals: Totals) -> float:
        price = self._prices.get(group[1], self._prices.get("*")) or Prices()
        return price.cost(totals.prompt_tokens, totals.completion_tokens)

    def expenses(self) -> list[Expense]:
        """The accounts, one row a purpose and model."""
        with self._lock:
            groups = sorted({*self._totals, *self._cached})
            return [
                Expense(
                    *group,
                    totals=(totals := self._totals.get(group, Totals())),
                    cached=self._cached.get(group, 0),
                    cost=self._money(group, totals),
                )
                for group in groups
            ]

    def cost(self) -> float:
        """Money spent, over the journal and this run."""
        with self._lock:
            return self._spent()[2]


def known(
    requests: Sequence[Request],
    journal: Journal | None,
    ledger: Ledger,
    missing: list[Request],
) -> Iterator[Response]:
    """Yields what the journal answers; each other request is put into ``missing``, once."""
    for request in {request.key: request for request in requests}.values():
        found = journal.lookup(request.key) if journal is not None else None
        if found is None:
            missing.append(request)
        else:
            ledger.settle(request, found)
            yield found


def expense_table(expenses: list[Expense], *, accepted: int | None = None) -> str:
    """The accounts as text, with the cost of one accepted scenario.

    Args:
      expenses: rows, see `Ledger.expenses`.
      accepted: scenarios that came of it; left out when None.
    """
    rows: list[tuple[str, ...]] = [
        ("purpose", "model", "requests", "failed", "cached", "read", "written", "cost")
    ]
    for row in expenses:
        t = row.totals
        counts = t.requests, t.failures, row.cached, t.prompt_tokens, t.completion_tokens
        rows.append((row.purpose or "-", row.model, *map(str, counts), f"{row.cost:.4f}"))
    widths = [max(len(cells[at]) for cells in rows) for at in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if at < 2 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ).rstrip()
        for cells in rows
    ]
    cost = math.fsum(row.cost for row in expenses)
    tokens = sum(e.totals.prompt_tokens + e.totals.completion_tokens for e in expenses)
    lines.append(f"total: {sum(e.totals.requests for e in expenses)} requests, {tokens} tokens, ")
    lines[-1] += f"cost {cost:.4f}"
    if accepted is not None:
        each = f"{cost / accepted:.4f} and {tokens / accepted:.0f} tokens" if accepted else "none"
        lines.append(f"for each of {accepted} accepted scenarios: {each}")
    return "\n".join(lines)
