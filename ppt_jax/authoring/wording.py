"""Numbers told in words: the wording is picked first, the parameter is derived from it exactly.

A `Told` carries the words and `code`, the text that enters a formula, so that the number in the
story *is* the number in the program ("one in three" enters as ``1/3``). `read_numbers` is the
inverse: it reads every number of a story back, and the checks compare both ways.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence

import numpy as np

from ppt_jax.authoring.language import COUNT_WORDS, count_word, number, with_article


@dataclasses.dataclass(frozen=True)
class Told:
    """A quantity with its words.

    Attributes:
      text: the words of the bare quantity, e.g. "3 in 10", "35 percent", "50".
      value: the number that the words mean.
      code: the formula text that evaluates to `value`, e.g. "3/10", "0.35", "50".
      form: which wording it is ("percent", "ratio", "words", "verbal", "plain").
    """

    text: str
    value: float
    code: str
    form: str = "plain"

    def of(self, things: str) -> str:
        """As a share of things: "35 percent of batches", "3 in 10 batches"."""
        if self.form == "percent":
            return f"{self.text} of {things}"
        if self.form == "verbal":
            return f"{_VERBAL_SHARE[self.text]} {things}"
        if self.text == "half":
            return f"half of {things}"
        return f"{self.text} {things}"

    def times(self) -> str:
        """As a frequency: "35 percent of the time", "3 times in 10", "one time in four"."""
        if self.form == "percent":
            return f"{self.text} of the time"
        if self.form == "verbal":
            return self.text
        if self.text == "half":
            return "half of the time"
        top, rest = self.text.split(" ", 1)
        return f"{top} {'time' if top in ('1', 'one') else 'times'} {rest}"

    def chance(self) -> str:
        """As a chance with its article: "a 35 percent chance", "a 3-in-10 chance"."""
        if self.form == "verbal":
            return _VERBAL_CHANCE[self.text]
        if self.text == "half":
            return "an even chance (half)"
        if self.form == "percent":
            return with_article(f"{self.text} chance")
        if self.form == "ratio" and " out of " not in self.text:
            return with_article(f"{self.text.replace(' ', '-')} chance")
        return f"a chance of {self.text}"

    def say(self, words: str) -> str:
        """Takes note of words that tell it (`Implied` needs them) and returns them."""
        return words

    def __str__(self) -> str:
        return self.text


# Told-level "verbal": fixed anchors, the same words for the same number everywhere.
VERBAL = {
    "almost never": 0.03,
    "rarely": 0.1,
    "now and then": 0.2,
    "fairly often": 0.4,
    "more often than not": 0.6,
    "usually": 0.75,
    "nearly always": 0.92,
}
_VERBAL_SHARE = {
    "almost never": "almost no",
    "rarely": "a few",
    "now and then": "some",
    "fairly often": "a good many",
    "more often than not": "the larger part of the",
    "usually": "most",
    "nearly always": "nearly all",
}
_VERBAL_CHANCE = {
    "almost never": "almost no chance",
    "rarely": "a small chance",
    "now and then": "a modest chance",
    "fairly often": "a fair chance",
    "more often than not": "a better than even chance",
    "usually": "a good chance",
    "nearly always": "a very good chance",
}


def _chance_table() -> tuple[Told, ...]:
    told = []
    for percent in (1, 2, 3, 4, *range(5, 100, 5), 96, 97, 98, 99):
        told.append(Told(f"{percent} percent", percent / 100, number(percent / 100), "percent"))
    for whole in (3, 4, 5, 6, 8, 10, 12, 20, 25, 50, 100):
        for part in range(1, whole):
            if math.gcd(part, whole) != 1 and whole not in (10, 20, 100):
                continue
            if whole >= 25 and part > 4:
                continue
            code = f"{part}/{whole}"
            told.append(Told(f"{part} in {whole}", part / whole, code, "ratio"))
            told.append(Told(f"{part} out of {whole}", part / whole, code, "ratio"))
            if whole <= 12 and part <= 9:
                words = f"{count_word(part)} in {count_word(whole)}"
                told.append(Told(words, part / whole, code, "words"))
    told.append(Told("half", 0.5, "0.5", "words"))
    return tuple(told)


_CHANCES = _chance_table()
_VERBAL_CHANCES = tuple(
    Told(text, value, number(value), "verbal") for text, value in VERBAL.items()
)


CHANCE_FORMS = ("percent", "ratio", "words")
"""How an exact chance may be worded: "35 percent", "7 in 20", "one in four"."""


def pick_chance(
    rng: np.random.Generator,
    low: float,
    high: float,
    told: str = "full",
    *,
    form: str = "",
    forms: Sequence[str] = CHANCE_FORMS,
) -> Told:
    """A probability within [low, high] in one of the exact wordings.

    Picks a numeric value first (each value equally likely), then one of its wordings, so that
    values with many wordings ("one in four") are not favoured.

    Args:
      rng: the scenario's generator.
      low: smallest probability allowed.
      high: largest probability allowed.
      told: "full" numbers, or "verbal" anchors where one lies in the range.
      form: only this form of `CHANCE_FORMS`, e.g. to keep two chances alike.
      forms: the forms allowed where `form` names none.

    Returns:
      The told probability.
    """
    if told == "verbal" and not form:
        anchors = [item for item in _VERBAL_CHANCES if low <= item.value <= high]
        if anchors:
            return anchors[int(rng.integers(len(anchors)))]
    fitting = [
        item
        for item in _CHANCES
        if low - 1e-9 <= item.value <= high + 1e-9 and item.form in ((form,) if form else forms)
    ]
    if not fitting and form:
        return pick_chance(rng, low, high, told, forms=forms)
    if not fitting and set(forms) != set(CHANCE_FORMS):
        return pick_chance(rng, low, high, told)
    values = sorted({round(item.value, 9) for item in fitting})
    value = values[int(rng.integers(len(values)))]
    same = [item for item in fitting if round(item.value, 9) == value]
    return same[int(rng.integers(len(same)))]


def pick_number(rng: np.random.Generator, low: float, high: float, step: float = 0.0) -> Told:
    """A plain number within [low, high], a multiple of `step` (chosen by magnitude if 0)."""
    if step == 0.0:
        width = max(high - low, 1e-9)
        step = next((s for s in (50, 10, 5, 2, 1, 0.5, 0.1, 0.05, 0.01) if width / s >= 6), 0.01)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    value = round(int(rng.integers(first, max(first, last) + 1)) * step, 6)
    return Told(number(value), value, number(value))


_BELL = (
    "{subject} {average} {mean}{unit}, with a standard deviation of {sd}{scope}",
    "{subject} {centre} {mean}{unit}{scope}, give or take {sd} (one standard deviation)",
    "{subject} {follow} a bell curve around {mean}{unit}{scope} with a standard deviation of {sd}",
    "{subject} {vary}{scope} around a mean of {mean}{unit}, standard deviation {sd}",
)
_BELL_IMPLIED = (
    "{subject} {differ}{scope} as one would expect, though no average is on record",
    "{subject} {vary}{scope} within what is usual, along a bell curve",
    "as to {subject}, it is what one finds elsewhere too, some more and some less{scope}",
    "no figures have been kept for {subject}{scope}; the usual differences are to be expected",
)


def bell(
    rng: np.random.Generator,
    subject: str,
    mean: Told,
    sd: Told,
    *,
    unit: str = "",
    scope: str = "",
    plural: bool = False,
) -> str:
    """A clause that tells ``normal(mean, sd)`` (or another family by its mean and sd).

    Args:
      rng: the scenario's generator.
      subject: noun phrase, e.g. "pulling power".
      mean: told mean, or implied (`Sketch.typical`); then the clause has no numbers.
      sd: told standard deviation, same unit as the mean; implied where the mean is.
      unit: unit behind the mean, may be empty.
      scope: what the spread runs over, e.g. "across the club"; may be empty.
      plural: whether the subject is plural.
    """
    end = "" if plural else "s"
    verbs = {"average": f"average{end}", "centre": f"centre{end} on", "follow": f"follow{end}"}
    verbs["vary"] = "vary" if plural else "varies"
    verbs["differ"] = f"differ{end}"
    implied = mean.form == "implied"
    forms = _BELL_IMPLIED if implied else _BELL
    clause = forms[int(rng.integers(len(forms)))].format(
        subject=subject,
        mean="" if implied else mean,
        sd="" if implied else sd,
        unit=f" {unit}" if unit else "",
        scope=f" {scope}" if scope else "",
        **verbs,
    )
    for told in (mean, sd):
        told.say(clause)
    return clause


# ---------------------------------------------------------------------------- reading back


@dataclasses.dataclass(frozen=True)
class Reading:
    """One number found in a text: its value and its character range."""

    value: float
    start: int
    end: int


_WORD_VALUES = {word: float(index) for index, word in enumerate(COUNT_WORDS)}
NUMBER = r"(?:\d++(?:\.\d++)?+|" + "|".join(COUNT_WORDS) + ")"
"""A number in digits, or in words up to twelve, as a regular expression; see `number_value`."""
_RATIO = re.compile(
    rf"\b({NUMBER})(?:-in-| (?:times? )?(?:in|out of)(?: every)? )({NUMBER})\b", re.IGNORECASE
)
_PERCENT = re.compile(r"(?<!\d)(\d++(?:\.\d++)?+)(?: percent(?:age points?)?\b|%)", re.IGNORECASE)
_MINUS = re.compile(r"(?:(?<![\w.])-|\bminus )(\d+(?:\.\d+)?)", re.IGNORECASE)
_PLAIN = re.compile(r"(?<![\w.])\d+(?:\.\d+)?")
_FACTORS = {
    "half": 0.5,
    "twice": 2.0,
    "double": 2.0,
    "triple": 3.0,
    "dozen": 12.0,
    "even odds": 0.5,
}
_FACTOR = re.compile(r"\b(half|twice|double|triple|dozen)\b", re.IGNORECASE)
# "one", "no one", "one of" are mostly pronouns: alone they are read as 1, which checks ignore.
_WORD = re.compile(r"\b(" + "|".join(COUNT_WORDS) + r")\b", re.IGNORECASE)
_VERBAL_WORDS = {
    words: VERBAL[key]
    for table in ({key: key for key in VERBAL}, _VERBAL_SHARE, _VERBAL_CHANCE)
    for key, words in table.items()
}


def number_value(text: str) -> float:
    """The value of a match of `NUMBER`."""
    return _WORD_VALUES.get(text.lower(), float("nan")) if text[0].isalpha() else float(text)


def read_numbers(text: str, *, verbal: bool = False) -> list[Reading]:
    """Reads every number of a text back, the inverse of the wordings above.

    Args:
      text: a story or a part of one.
      verbal: read the verbal anchors too ("rarely" is 0.1).

    Returns:
      Readings in order of their place; ranges do not overlap.

    Example:
      >>> [r.value for r in read_numbers("3 in 10 fail; 20 percent of 15 leak, one time in four")]
      [0.3, 0.2, 15.0, 0.25]
    """
    found: list[Reading] = []
    taken = [False] * len(text)

    def claim(match: re.Match[str], value: float) -> None:
        if not any(taken[match.start() : match.end()]):
            taken[match.start() : match.end()] = [True] * (match.end() - match.start())
            found.append(Reading(value, match.start(), match.end()))

    if verbal:
        lowered = text.lower()
        for words, value in _VERBAL_WORDS.items():
            for match in re.finditer(rf"\b{re.escape(words)}\b", lowered):
                claim(match, value)
    for match in _RATIO.finditer(text):
        top, bottom = number_value(match[1]), number_value(match[2])
        if bottom and top <= bottom:
            claim(match, top / bottom)
    for match in _PERCENT.finditer(text):
        claim(match, float(match[1]) / 100)
    for match in _MINUS.finditer(text):
        claim(match, -float(match[1]))
    for match in _PLAIN.finditer(text):
        claim(match, float(match[0]))
    for match in _FACTOR.finditer(text):
        claim(match, _FACTORS[match[0].lower()])
    for match in _WORD.finditer(text):
        claim(match, number_value(match[0]))
    return sorted(found, key=lambda reading: reading.start)


def round_range(
    samples: Sequence[float] | np.ndarray,
    *,
    floor: float | None = None,
    ceiling: float | None = None,
) -> tuple[float, float]:
    """Round ends that hold nearly all of a prior: the 0.2-99.8% quantiles, widened to steps.

    Args:
      samples: draws of the quantity from the prior.
      floor: hard lower end of the quantity, if it has one (0 for a count).
      ceiling: hard upper end, if it has one.

    Returns:
      ``(low, high)`` with ``low < high``.
    """
    low, high = np.quantile(np.asarray(samples, dtype=np.float64), [0.002, 0.998])
    width = max(float(high - low), 1e-6)
    magnitude = 10.0 ** math.floor(math.log10(width))
    step = next(s * magnitude for s in (0.1, 0.2, 0.5, 1.0, 2.0) if width / (s * magnitude) <= 12)
    bottom = math.floor(float(low) / step) * step
    top = math.ceil(float(high) / step) * step
    if floor is not None:
        bottom = floor if floor > bottom or floor > low - width / 4 else bottom
    if ceiling is not None:
        top = ceiling if ceiling < top or ceiling < high + width / 4 else top
    return round(bottom, 9), round(top if top > bottom else bottom + step, 9)
