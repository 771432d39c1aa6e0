"""A clean end: Ctrl-C and SIGTERM are noted, and all processes stop at the same step."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils


class StopSignal:
    """Notes Ctrl-C and SIGTERM, so that the loop can save; a second one ends at once.

    Outside the main thread, where handlers cannot be set, nothing is caught.
    """

    def __init__(self) -> None:
        self.seen = False
        self._before: dict[int, Any] = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.seen:
            raise KeyboardInterrupt
        self.seen = True

    def __enter__(self) -> StopSignal:
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._note)
        except ValueError:  # not in the main thread
            self._before = {}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def agreed(self, step: int, every: int) -> bool:
        """Whether all processes stop before the step that comes next.

        One process decides for itself. Several must stop at the same step, or the others would wait
        for it for ever: every `every` steps they ask each other, and one that was told to stop
        takes the rest along.

        Args:
          step: steps done.
          every: steps between two such questions.
        """
        if jax.process_count() == 1:
            return self.seen
        if step % every:
            return False
        return bool(multihost_utils.process_allgather(np.array(self.seen)).any())
