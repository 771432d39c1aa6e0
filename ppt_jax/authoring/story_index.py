"""Where labels, numbers, sentences and quoted spans stand in a story, each found in one pass.

A story, its labels and its spans come from anybody, so the work is bounded by their lengths: no
search is repeated for each label or each sentence.
"""

from __future__ import annotations

import bisect
import collections
import dataclasses
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from ppt_jax.authoring.language import split_sentences
from ppt_jax.authoring.wording import Reading, read_numbers
from ppt_jax.scenario.document import Scenario

MOST_PLACES = 20  # places of one span that are looked at


@dataclasses.dataclass(frozen=True)
class Place:
    """A label in a text: its characters from `start` to `end`."""

    start: int
    end: int
    label: str


def find_labels(text: str, labels: Iterable[str]) -> list[Place]:
    """Every place where a label stands as a word of its own, in order; labels may overlap.

    The first letter of a lower-case label may be raised, as at the start of a sentence.

    Args:
      text: a story, or a part of one.
      labels: what to look for.

    Example:
      >>> [place.label for place in find_labels("Ann met Anna on day 12.", ["Ann", "day 1"])]
      ['Ann']
    """
    forms = {form: label for label in labels for form in (label[:1].upper() + label[1:], label)}
    lengths: dict[str, set[int]] = collections.defaultdict(set)
    for form in forms:
        lengths[form[:2]].add(len(form))
        lengths[form[:1]].add(0)
    ordered = {begin: sorted(sizes - {0}, reverse=True) for begin, sizes in lengths.items()}
    inside = [*map(_inside_word, text), False]
    found = []
    for start, first in enumerate(text):
        if first not in ordered or (start and inside[start - 1]):
            continue
        longer = ordered.get(text[start : start + 2], []) if start + 1 < len(text) else []
        for size in (*longer, *ordered[first]):
            end = start + size
            if end > len(text) or inside[end]:
                continue
            label = forms.get(text[start:end])
            if label is not None:
                found.append(Place(start, end, label))
    return found


def _inside_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def masked(text: str, places: Sequence[Place], spans: Iterable[str] = ()) -> str:
    """The text with spans, then labels (the longest first), written as underscores."""
    taken = np.zeros(len(text), dtype=bool)
    for span in spans:
        for start in _starts(text, span):
            taken[start : start + len(span)] = True
    for place in sorted(places, key=lambda place: place.start - place.end):
        if not taken[place.start : place.end].any():
            taken[place.start : place.end] = True
    return "".join("_" if hidden else letter for letter, hidden in zip(text, taken.tolist()))


def _starts(text: str, span: str) -> Iterator[int]:
    start = text.find(span) if span else -1
    while start >= 0:
        yield start
        start = text.find(span, start + len(span))


class StoryIndex:
    """A story with the places of everything that the checks ask about.

    Args:
      scenario: a parsed document.

    Attributes:
      story: the text.
      labels: set members in the story.
      readings: numbers of the story outside labels and asides, in order.
      sentences: ``(start, end)`` of each sentence, in order.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.story = scenario.story
        members = {label for named in scenario.sets for label in named.members}
        self.labels = find_labels(self.story, members)
        self._label_starts = [place.start for place in self.labels]
        self.text = masked(self.story, self.labels, dict.fromkeys(scenario.asides))
        self.readings = read_numbers(self.text)
        self._reading_starts = [reading.start for reading in self.readings]
        self.sentences: list[tuple[int, int]] = []
        position = 0
        for part in split_sentences(self.story):
            start = self.story.index(part, position)
            position = start + len(part)
            self.sentences.append((start, position))
        self._sentence_starts = [start for start, _ in self.sentences]
        self._span_places: dict[str, tuple[int, ...]] = {}

    def places(self, span: str) -> tuple[int, ...]:
        """Where a quoted span begins in the story, the first `MOST_PLACES` of them."""
        if span not in self._span_places:
            starts = _starts(self.story, span)
            self._span_places[span] = tuple(at for at, _ in zip(starts, range(MOST_PLACES)))
        return self._span_places[span]

    def claimed(self, spans: Iterable[str]) -> np.ndarray:
        """Whether each character of the story lies in one of the spans."""
        edges = np.zeros(len(self.story) + 1, dtype=np.int64)
        for span in dict.fromkeys(spans):
            for start in _starts(self.story, span):
                edges[start] += 1
                edges[start + len(span)] -= 1
        return np.cumsum(edges)[:-1] > 0

    def labels_in(self, start: int, end: int) -> list[Place]:
        """Labels that lie wholly between two characters."""
        first = bisect.bisect_left(self._label_starts, start)
        last = bisect.bisect_left(self._label_starts, end)
        return [place for place in self.labels[first:last] if place.end <= end]

    def numbers_in(self, start: int, end: int) -> list[Reading]:
        """Numbers that lie wholly between two characters."""
        first = bisect.bisect_left(self._reading_starts, start)
        last = bisect.bisect_left(self._reading_starts, end)
        return [reading for reading in self.readings[first:last] if reading.end <= end]

    def sentence_of(self, at: int) -> tuple[int, int]:
        """The sentence in which a character lies."""
        number = bisect.bisect_right(self._sentence_starts, at) - 1
        return self.sentences[max(number, 0)] if self.sentences else (0, len(self.story))
