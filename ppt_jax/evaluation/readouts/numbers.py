"""Answers found in free text: numbers in digits or words, and names of options."""

from __future__ import annotations

import re
from collections.abc import Sequence

_UNITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
    "nineteen",
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
WORDS = (
    {word: value for value, word in enumerate(_UNITS)}
    | {word: 10 * (value + 2) for value, word in enumerate(_TENS)}
    | {"hundred": 100}
)
_NUMBER = re.compile(r"(?<![\w.])([-\u2212]?)(\d[\d,]*(?:\.\d+)?|\.\d+)\s*(%|percent|per cent)?")
_WORD = re.compile(r"[a-z]+")


def spoken_number(text: str) -> float | None:
    """The number that a text gives as its answer, or None when it gives none or several.

    Digits (``42``, ``42.5``, ``1,200``, ``.85``), a percent sign or the word, English words up to
    one hundred (``forty-two``, ``a hundred``). Numbers are taken as they stand: ``0.85`` on a scale
    from 0 to 100 is 0.85. A text with two different numbers, or a range, is not understood rather
    than guessed at: whoever counts parse failures must be able to see it.

    Args:
      text: what the model wrote.

    Example:
      >>> spoken_number("<42>"), spoken_number("about forty-two percent"), spoken_number("1 or 2")
      (42.0, 42.0, None)
    """
    found: list[float] = []
    for sign, digits, _ in _NUMBER.findall(text):
        whole, _, rest = digits.partition(".")
        whole = whole.rstrip(",")
        if "," in whole and not re.fullmatch(r"\d{1,3}(,\d{3})+", whole):
            return None
        value = float(whole.replace(",", "") + "." + (rest or "0") if whole else "0." + rest)
        found.append(-value if sign else value)
    if not found:
        found = _words(text.lower())
    return found[0] if found and len(set(found)) == 1 else None


def _words(text: str) -> list[float]:
    """Numbers written as words, runs of number words joined."""
    found: list[float] = []
    current: float | None = None
    for word in _WORD.findall(text):
        value = WORDS.get(word)
        if value is None:
            if current is not None and word != "and":
                found.append(current)
                current = None
        elif value == 100:
            current = 100 * (current or 1)
        elif current is None:
            current = value
        elif current and (current % 100 == 0 or (current % 10 == 0 and value < 10)):
            current += value
        else:
            found.append(current)
            current = value
    return found if current is None else [*found, current]


def parse_answer(text: str, support: Sequence[str], numeric: bool) -> int | None:
    """Index of the answer that a text gives, or None when it cannot be told.

    Numbers are rounded to the nearest answer; those outside the support are no answer. Options
    are matched by their whole text, then by the only option that stands in the text as a word.

    Args:
      text: what the model wrote, with or without brackets.
      support: the K answers.
      numeric: the answers are numbers.

    Example:
      >>> parse_answer("I say yes.", ("no", "yes"), False)
      1
      >>> parse_answer("87.6%", [str(k) for k in range(101)], True)
      88
    """
    inside = text.strip().removeprefix("<").partition(">")[0].strip()
    if inside in support:
        return list(support).index(inside)
    if numeric:
        value = spoken_number(inside)
        if value is None:
            return None
        grid = [float(name) for name in support]
        if not grid[0] <= value <= grid[-1]:
            return None
        gaps = [abs(value - place) for place in grid]
        return gaps.index(min(gaps))
    plain = inside.casefold().strip(" .,:;!?\"'()*")
    exact = [k for k, name in enumerate(support) if name.casefold() == plain]
    if len(exact) == 1:
        return exact[0]
    named = [
        k
        for k, name in enumerate(support)
        if re.search(rf"(?<!\w){re.escape(name.casefold())}(?!\w)", plain)
    ]
    return named[0] if len(named) == 1 else None
