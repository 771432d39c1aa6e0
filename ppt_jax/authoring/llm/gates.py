"""Gates on text that a model wrote: length, language, leaked plan words, markup.

They run before any program is looked at. What a story says ends up in training prompts and on
pages, so markup, chat control tokens and control characters are refused here, beside being escaped
there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from ppt_jax.authoring.text_checks import Finding
from ppt_jax.scenario.limits import MAX_STORY_CHARACTERS

_WORD: Final = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
_COMMON_WORDS: Final = """
a an the and or but if of in on at to for from by with as is are was were be been has have had it
its this that these those he she they his her their we our i you who which what when than not no so
only all each one two both more less about over under after before there then once can could will
would may did does do how out up into other another some any every same usual usually while during
until most often very since because where
"""
_COMMON: Final = frozenset(_COMMON_WORDS.split())
_PLAN_WORDS: Final = re.compile(
    r"\b(motif|posterior|likelihood|bayes\w*|latent|random variable\w*|probabilistic program\w*|"
    r"prior (?:distribution|probabilit\w+|belief\w*)|told[- ]level|persona|noisy-or|"
    r"hierarchical model|ground truth|simulat\w+ world)\b",
    re.IGNORECASE,
)
_MARKUP: Final = (
    (re.compile(r"</?[A-Za-z!][^<>\n]{0,200}>"), "a tag"),
    (re.compile(r"```|~~~"), "a code fence"),
    (re.compile(r"<\|[^\n]{0,40}\|>|\[/?INST\]|<</?SYS>>"), "a chat control token"),
    (re.compile(r"https?://|www\.", re.IGNORECASE), "an address"),
    (re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]"),
     "a control character"),
    (re.compile(r"[{}]|\w\[['\"]"), "brackets of a program"),
)  # fmt: skip

MIN_COMMON: Final = 0.2
"""Smallest share of common English words; the offline author's stories have 0.29 and more."""
MAX_FOREIGN: Final = 0.05
"""Largest share of letters beyond ASCII, names with accents included."""


def check_prose(
    text: str, words: tuple[int, int], *, names: Sequence[str] = (), motif: str = ""
) -> list[Finding]:
    """All gates on one text.

    Args:
      text: what a model wrote.
      words: smallest and largest number of words.
      names: names of program nodes; one with an underscore must not stand in the text.
      motif: name of the motif, which must not stand in the text either.

    Returns:
      Findings named ``length``, ``language``, ``leak`` and ``markup``.
    """
    if len(text) > MAX_STORY_CHARACTERS:
        return [Finding("length", f"{len(text)} characters; at most {MAX_STORY_CHARACTERS}")]
    return [
        *_check_length(text, words),
        *_check_language(text),
        *_check_leaks(text, names, motif),
        *_check_markup(text),
    ]


def _check_length(text: str, words: tuple[int, int]) -> Iterator[Finding]:
    count = len(text.split())
    if not words[0] <= count <= words[1]:
        yield Finding("length", f"{count} words; between {words[0]} and {words[1]} are wanted")


def _check_language(text: str) -> Iterator[Finding]:
    found = [word.lower() for word in _WORD.findall(text)]
    if not found:
        yield Finding("language", "no words")
        return
    common = sum(word in _COMMON for word in found) / len(found)
    letters = [character for character in text if character.isalpha()]
    foreign = sum(not character.isascii() for character in letters) / max(len(letters), 1)
    if common < MIN_COMMON or foreign > MAX_FOREIGN:
        yield Finding("language", f"not English prose ({common:.0%} common words)")


def _check_leaks(text: str, names: Sequence[str], motif: str) -> Iterator[Finding]:
    found = {match[0].lower() for match in _PLAN_WORDS.finditer(text)}
    lowered = text.lower()
    found |= {name for name in names if "_" in name and name.lower() in lowered}
    spelled = motif.replace("_", " ").lower()
    if "_" in motif and (motif.lower() in lowered or spelled in lowered):
        found.add(spelled)
    if found:
        yield Finding("leak", f"words that do not belong in the text: {', '.join(sorted(found))}")


def _check_markup(text: str) -> Iterator[Finding]:
    for pattern, what in _MARKUP:
        match = pattern.search(text)
        if match:
            yield Finding("markup", f"{what} in the text: {match[0][:40]!r}")
