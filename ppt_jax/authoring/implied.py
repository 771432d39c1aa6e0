"""Told-level "implicit": words give the direction, the domain gives the size, the program draws it.

A number that the story only implies cannot stand in the program as one value, since no reader could
find it there. It is a hidden draw, uniform over the plausible range that the motif or the skin
states, and the label averages over it. `Implied` carries the words; its `code` is the name of that
draw.
"""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.wording import Told

# Up to this middle of the range: adverb, share ("... batches"), chance ("there is ...").
_WORDS = (
    (0.06, "on very rare occasions", "hardly any", "next to no chance"),
    (0.2, "in few cases", "not many", "a slim chance"),
    (0.42, "in some cases", "some", "some chance"),
    (0.58, "in as many cases as not", "a fair number of", "a middling chance"),
    (0.8, "in most cases", "most", "a strong chance"),
    (1.01, "in nearly all cases", "nearly all", "a very strong chance"),
)


@dataclasses.dataclass(frozen=True)
class Implied(Told):
    """A quantity told without its number; see the module's docstring.

    `value` is the middle of the plausible range, for choosing other numbers by it. `form` is
    "verbal" for chances, as for the anchors of the told-level "verbal", so that motifs word both
    alike, and "implied" for amounts.

    Attributes:
      share_words: as a share of things.
      chance_words: as a chance.
      spoken: the words that were printed, from which the span of the hidden draw is taken.
    """

    share_words: str = ""
    chance_words: str = ""
    spoken: list[str] = dataclasses.field(default_factory=list, compare=False, repr=False)

    def say(self, words: str) -> str:
        """Notes words as printed and returns them."""
        self.spoken.append(words)
        return words

    def of(self, things: str) -> str:
        """As a share of things: "not many batches"."""
        return self.say(f"{self.share_words} {things}")

    def times(self) -> str:
        """As a frequency: "in few cases"."""
        return self.say(self.text)

    def chance(self) -> str:
        """As a chance: "a slim chance"."""
        return self.say(self.chance_words)

    def __str__(self) -> str:
        return self.say(self.text)


def implied_chance(low: float, high: float, code: str) -> Implied:
    """A chance somewhere in [low, high], worded by the middle of the range.

    Args:
      low: smallest plausible value.
      high: largest.
      code: name of the hidden draw.

    Example:
      >>> implied_chance(0.1, 0.25, "implied_1").of("batches")
      'not many batches'
    """
    middle = (low + high) / 2
    _, adverb, share, chance = next(row for row in _WORDS if middle <= row[0])
    return Implied(adverb, middle, code, "verbal", share, chance)


def implied_amount(low: float, high: float, code: str) -> Implied:
    """A level or spread somewhere in [low, high]; only `wording.bell` can print it."""
    return Implied("the usual figure", (low + high) / 2, code, "implied")
