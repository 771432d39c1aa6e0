"""Answer supports: the ordered answers that an ask admits, with the number each stands for."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ppt_jax.errors import UserError

OPEN = "<"  # the assistant's turn is prefilled with it: the answer reads "<42>"
CLOSE = ">"
SCALE = 100  # numeric answers are the integers 0..SCALE
NUMERIC_KINDS = ("value", "rank", "chance")
KINDS = (*NUMERIC_KINDS, "choice")


class SupportError(UserError):
    """An ask whose answers cannot be told apart, or cannot be written between brackets."""


@dataclasses.dataclass(frozen=True)
class Support:
    """An ordered list of answers.

    Attributes:
      answers: the text of each answer, as written between ``<`` and ``>``.
      values: the number each answer stands for (its position, for named options).
    """

    answers: tuple[str, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.answers) < 2:
            raise SupportError(f"support {list(self.answers)}: needs two answers or more")
        if len(self.values) != len(self.answers):
            raise SupportError(f"support: {len(self.values)} values, {len(self.answers)} answers")
        seen: set[str] = set()
        for answer in self.answers:
            if answer in seen:
                raise SupportError(f"answer {answer!r} stands twice; answers must differ")
            seen.add(answer)
            if not answer or answer != answer.strip() or not answer.isprintable():
                raise SupportError(
                    f"answer {answer!r}: must be printable text without spaces at its ends"
                )
            if OPEN in answer or CLOSE in answer:
                raise SupportError(
                    f"answer {answer!r}: may not contain {OPEN!r} or {CLOSE!r}, which delimit it"
                )

    def __len__(self) -> int:
        return len(self.answers)


INTEGERS = Support(
    answers=tuple(str(k) for k in range(SCALE + 1)),
    values=tuple(float(k) for k in range(SCALE + 1)),
)


def support_of(kind: str, options: Sequence[str] = ()) -> Support:
    """The support of an ask: ``0..100`` for numeric kinds, the options in order for ``choice``.

    Args:
      kind: ``value``, ``rank``, ``chance`` or ``choice``.
      options: names of the options (``choice`` only).

    Raises:
      SupportError: unknown kind, or options that cannot serve as answers.

    Example:
      >>> support_of("choice", ["no", "yes"]).answers
      ('no', 'yes')
    """
    if kind in NUMERIC_KINDS:
        return INTEGERS
    if kind == "choice":
        return Support(tuple(options), tuple(float(k) for k in range(len(options))))
    raise SupportError(f"ask kind {kind!r}: must be one of {', '.join(KINDS)}")
