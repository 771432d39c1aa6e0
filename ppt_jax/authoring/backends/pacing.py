"""When to send again, and how many requests at once."""

from __future__ import annotations

import dataclasses
import datetime
import email.utils
import random
from collections.abc import Mapping

from ppt_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class RetryPolicy:
    """Repeats of a request that a busy or broken server did not answer.

    The wait before repeat n is uniform in ``[0, min(longest, first * 2**(n - 1))]`` (full jitter),
    so that many clients do not come back together; after a Retry-After header it is never shorter
    than that.

    Source: AWS Architecture Blog, "Exponential Backoff And Jitter" (2015).

    Attributes:
      attempts: how often a request is sent at most.
      first: seconds, bound of the first wait.
      longest: seconds, bound of any wait that the server did not ask for.
      patience: seconds; a server that asks for more ends the run, cleanly.
    """

    attempts: int = 6
    first: float = 1.0
    longest: float = 60.0
    patience: float = 900.0

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise UserError(f"attempts={self.attempts}: must be 1 or more")
        for name in ("first", "longest", "patience"):
            if not getattr(self, name) >= 0:
                raise UserError(f"{name}={getattr(self, name)}: must be 0 or above")

    def wait(self, attempts: int, retry_after: float | None, draw: random.Random) -> float:
        """Seconds before the next repeat.

        Args:
          attempts: how often the request was sent, from 1.
          retry_after: seconds that the server asked for, if it did.
          draw: randomness.
        """
        if retry_after is not None:
            return retry_after + draw.uniform(0, min(self.first, self.longest))
        return draw.uniform(0, min(self.longest, self.first * 2.0 ** (attempts - 1)))


def retry_after(headers: Mapping[str, str], now: datetime.datetime | None = None) -> float | None:
    """Seconds that a server asks to wait; None when it does not, or not in a readable way.

    Args:
      headers: of the answer, by lower-case name.
      now: the time, for headers that hold a date.

    Example:
      >>> retry_after({"retry-after": "7"})
      7.0
    """
    milliseconds = headers.get("retry-after-ms")
    if milliseconds is not None and (seconds := _number(milliseconds)) is not None:
        return seconds / 1000
    value = headers.get("retry-after")
    if value is None:
        return None
    if (seconds := _number(value)) is not None:
        return seconds
    try:
        when = email.utils.parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=datetime.UTC)
    return max(0.0, (when - (now or datetime.datetime.now(datetime.UTC))).total_seconds())


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < 1e9 else None


class AdaptiveLimit:
    """How many requests may be under way: halved when the server says "too many", then up again.

    Additive increase, multiplicative decrease, as TCP does: ``limit`` answers in a row raise the
    limit by one. Refusals of requests that were sent before the last cut are its own echo and do
    not cut again.

    Args:
      start: requests at the beginning.
      most: requests at most.

    Example:
      >>> limit = AdaptiveLimit(8, 64)
      >>> limit.refused(sent=0.0, now=1.0); limit.allowed
      4
    """

    def __init__(self, start: int = 8, most: int = 64) -> None:
        if not 1 <= start <= most:
            raise UserError(f"concurrency={start}: must be 1 or more, and at most {most}")
        self._value, self._most, self._cut = float(start), most, float("-inf")

    @property
    def allowed(self) -> int:
        """Requests that may be under way now."""
        return int(self._value)

    def answered(self) -> None:
        """A request was answered."""
        self._value = min(self._most, self._value + 1 / self._value)

    def refused(self, sent: float, now: float) -> None:
        """A request was refused as one too many.

        Args:
          sent: when it was sent, seconds.
          now: seconds.
        """
        if sent >= self._cut:
            self._value, self._cut = max(1.0, self._value / 2), now
