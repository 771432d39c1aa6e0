"""The formula language on one page, short enough for a prompt.

What may be called is read from the grammar itself (`ppt_jax.scenario.syntax`), so that the page
cannot name what the parser refuses, nor leave out what it takes; its examples are parsed by a test.
"""

from __future__ import annotations

import functools
import re
from typing import Final

from ppt_jax.scenario import limits
from ppt_jax.scenario.syntax import FAMILIES, FUNCTIONS

MEANINGS: Final = {
    "normal": "bell curve; sd is a standard deviation, never a variance",
    "lognormal": "positive, skewed; half the values lie below median; spread is the sd of the log",
    "gamma": "positive amounts and rates; its sd is mean / sqrt(shape)",
    "beta": "a share between 0 and 1, as after a - 1 hits and b - 1 misses",
    "share": "a share between 0 and 1 around mean; the larger strength, the tighter",
    "uniform": "anything between low and high alike",
    "wait": "a waiting time without memory",
    "robust": "like normal with heavier tails; df of 3 to 8",
    "count": "how many events, when rate are expected",
    "successes": "how many of n tries succeed",
    "yes": "yes/no, yes with probability p (0.3, not 30)",
    "pick": "one member of a set",
}
"""What each distribution is for, in the author's words."""

EXAMPLES: Final = (
    ("draw", "normal(mean=50, sd=15)"),
    ("draw", "yes(p=0.85 if leaking else 0.1)"),
    ("draw", "pick(suspect, weights=[0.5, 0.3, 0.2])"),
    ("draw", "count(rate=rate[shop] * 7)"),
    ("draw", "normal(mean=prev(level, first=start), sd=2)"),
    ("let", "power[player] * (0.6 if tired[player, day] else 1)"),
    ("let", "before if day < first_day else after"),
    ("let", "total(weight[crate], crate)"),
    ("ask", "power['Mara'] > power['Ivo']"),
    ("ask", "sigmoid((skill['Mara'] - skill['Ivo']) / 10)"),
    ("given", "beats(skill['Mara'], skill['Ivo'], noise=10)"),
)
"""Formulas of the page, each with the kind of place it stands in."""

_PAGE: Final = """\
FORMULAS are one line each, at most {characters} characters, in this small language:
- numbers, names of earlier nodes, + - * / **, comparisons < <= > >= == != (not chained),
  `and`, `or`, `not`, and `x if condition else y`;
- functions: {functions}; clip(x, low, high); sigmoid(x) = 1 / (1 + exp(-x));
- a node with "per": ["player", "day"] has one value for each player and day. In its own formula the
  names player and day stand for the member at hand: tired[player, day]. Elsewhere name a member in
  quotes: power['Mara']. Or index with a pick: power[winner];
- total(expr, set) and average(expr, set): the set's name is the index inside expr;
- prev(level, first=start): the value one step earlier along the last set of "per"; `start` at the
  first step;
- members are ordered and compare by place: day < first_day, culprit == 'Ivo'. They do no
  arithmetic;
- a yes/no value counts as 1 or 0 where a number is wanted.
A node of kind "let" is such a formula. A node of kind "draw" is exactly one distribution, every
argument written with its name:
{families}
Nothing else exists: no other functions, no attributes, no lists but weights=[...], no text but
quoted members, no % ^ // and no comments. Names are letters, digits and single underscores, start
with a letter, differ from each other and from the words above. A node is used only below its
definition.
Units: quantities that are added or compared have the same unit. Probabilities lie between 0 and 1.
Examples:
{examples}"""


@functools.cache
def language_page() -> str:
    """The page; the same text in every process.

    Example:
      >>> "normal(mean=, sd=)" in language_page()
      True
    """
    families = []
    for name, arguments in FAMILIES.items():
        inside = ", ".join(f"{argument}=" for argument in arguments)
        written = (
            f"pick(set) or pick(set, {inside}[...])" if name == "pick" else f"{name}({inside})"
        )
        families.append(f"  {written}  {MEANINGS[name]}")
    return _PAGE.format(
        characters=limits.MAX_FORMULA_CHARACTERS,
        functions=", ".join(name for name in FUNCTIONS if name not in ("clip", "sigmoid")),
        families="\n".join(families),
        examples="\n".join(f"  {kind}: {formula}" for kind, formula in EXAMPLES),
    )


def words_of_page() -> frozenset[str]:
    """Every word of the page that is called like a function, for the test that holds it true."""
    return frozenset(re.findall(r"\b([a-z]+)\(", language_page()))
