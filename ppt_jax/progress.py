"""Progress of long work: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

import tqdm


class Progress:
    """Counts items of one piece of work; a tqdm bar on a terminal, a line every few seconds else.

    Args:
      what: what is being done, as shown to the user, e.g. ``"label"``.
      total: number of items, or None when unknown.
      unit: name of one item, e.g. ``"scenario"``.
      every: seconds between plain lines when standard error is no terminal.
      silent: show nothing (processes other than the first, tests).

    Example:
      >>> with Progress("label", total=2, silent=True) as bar:
      ...     bar.advance(2, rejects=0)
    """

    def __init__(
        self,
        what: str,
        total: int | None,
        unit: str = "it",
        *,
        every: float = 10.0,
        silent: bool = False,
    ) -> None:
        self._what, self._total, self._unit, self._every = what, total, unit, every
        self._done, self._start = 0, time.monotonic()
        self._last = self._start
        self._silent = silent
        terminal = sys.stderr.isatty() and not silent
        self._bar = tqdm.tqdm(total=total, desc=what, unit=unit) if terminal else None
        self._extra: dict[str, object] = {}

    def advance(self, count: int = 1, **extra: object) -> None:
        """Marks ``count`` more items as done; ``extra`` is shown beside the count."""
        self._done += count
        self._extra.update(extra)
        if self._bar is not None:
            if extra:
                self._bar.set_postfix(self._extra, refresh=False)
            self._bar.update(count)
        elif not self._silent and time.monotonic() - self._last >= self._every:
            self._line()

    def _line(self) -> None:
        now = time.monotonic()
        self._last = now
        seconds = max(now - self._start, 1e-9)
        rate = self._done / seconds
        parts = [f"{self._what}: {self._done}" + (f"/{self._total}" if self._total else "")]
        parts.append(f"{rate:.3g} {self._unit}/s")
        if self._total and rate > 0:
            parts.append(f"about {max(self._total - self._done, 0) / rate:.0f} s left")
        parts += [f"{key} {value}" for key, value in self._extra.items()]
        print(", ".join(parts), file=sys.stderr, flush=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        elif not self._silent:
            self._line()
