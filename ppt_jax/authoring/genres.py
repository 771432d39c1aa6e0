"""Genres: the same sentences as a plain story, a log, a letter, minutes, a dialogue and so on.

A genre only arranges and frames sentences; it never changes one, so every `says` span stays
verbatim. Frames hold no numbers and no names of the program.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from ppt_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Content:
    """Sentences in the order in which they are told, by part, and names for the frame.

    Attributes:
      setting: introduces place and people.
      rules: tells how things usually go (the program).
      events: tells what was seen.
      domain: what the domain is called.
      speakers: two names that are not in the program.
    """

    setting: tuple[str, ...]
    rules: tuple[str, ...]
    events: tuple[str, ...]
    domain: str
    speakers: tuple[str, str]


def _any(rng: np.random.Generator, items: Sequence[str]) -> str:
    return items[int(rng.integers(len(items)))]


def _plain(content: Content, rng: np.random.Generator) -> str:
    parts = (content.setting + content.rules, content.events)
    break_ = _any(rng, (" ", " ", "\n"))
    return break_.join(" ".join(part) for part in parts)


def _log(content: Content, rng: np.random.Generator) -> str:
    head = _any(rng, ("Log", "Shift log", "Duty book", "Station log"))
    lines = [*content.setting, *content.rules, *content.events]
    mark = _any(rng, ("- ", "> ", ""))
    return "\n".join((f"{head}, {content.domain}", *(mark + line for line in lines)))


def _letter(content: Content, rng: np.random.Generator) -> str:
    first, second = content.speakers
    opening = _any(
        rng,
        (
            "You asked how things stand.",
            "Here is the news you wanted.",
            "I promised to write it all down.",
            "A short note before the post goes.",
        ),
    )
    closing = _any(rng, ("Yours", "Best wishes", "Until soon", "Warmly"))
    body = " ".join((*content.setting, *content.rules, *content.events))
    return f"{_any(rng, ('Dear', 'Hello'))} {first},\n{opening} {body}\n{closing}, {second}"


def _minutes(content: Content, rng: np.random.Generator) -> str:
    first, second = content.speakers
    head = _any(rng, (f"Minutes, {content.domain}", f"Meeting notes, {content.domain}"))
    known, seen = _any(
        rng, ("Background|Reported", "Known|New", "From the files|From the floor")
    ).split("|")
    return (
        f"{head}. Chair: {first}. Notes: {second}.\n{' '.join(content.setting)}\n"
        f"{known}: {' '.join(content.rules)}\n{seen}: {' '.join(content.events)}"
    )


def _dialogue(content: Content, rng: np.random.Generator) -> str:
    first, second = content.speakers
    ask_rules = _any(
        rng, ("How does it usually go?", "What is known about it?", "Tell me how it works.")
    )
    ask_events = _any(rng, ("And what happened?", "What have you seen?", "So what did you find?"))
    turns = [(first, " ".join(content.setting)), (second, ask_rules)]
    turns += [
        (first, " ".join(content.rules)),
        (second, ask_events),
        (first, " ".join(content.events)),
    ]
    return "\n".join(f"{who}: {text}" for who, text in turns if text)


def _forum(content: Content, rng: np.random.Generator) -> str:
    first, _ = content.speakers
    title = _any(
        rng,
        (
            "What would you conclude?",
            "Need a second opinion",
            "How sure can I be?",
            "Help me think",
        ),
    )
    end = _any(
        rng, ("Any thoughts?", "Thanks in advance!", "What do you make of it?", "Opinions welcome.")
    )
    body = " ".join((*content.setting, *content.rules, *content.events))
    return f"[{content.domain}] {title}\n{body}\n{end} /{first}"


def _notes(content: Content, rng: np.random.Generator) -> str:
    mark = _any(rng, ("* ", "- ", "+ "))
    known, seen = _any(rng, ("Known|Seen", "Rules|Results", "Background|Observed")).split("|")
    lines = [*content.setting, f"{known}:", *(mark + line for line in content.rules)]
    return "\n".join([*lines, f"{seen}:", *(mark + line for line in content.events)])


def _exam(content: Content, rng: np.random.Generator) -> str:
    head = _any(rng, ("Exercise.", "Problem.", "Read carefully.", "Case for discussion."))
    end = _any(rng, ("Judge from this alone.", "Use only what is stated.", ""))
    body = " ".join((*content.setting, *content.rules, *content.events))
    return f"{head} {body} {end}".strip()


GENRES: dict[str, Callable[[Content, np.random.Generator], str]] = {
    "plain": _plain,
    "log": _log,
    "letter": _letter,
    "minutes": _minutes,
    "dialogue": _dialogue,
    "forum": _forum,
    "notes": _notes,
    "exam": _exam,
}


def find_genres(names: str | Sequence[str]) -> tuple[str, ...]:
    """Genre names, ``"all"`` for every one.

    Raises:
      UserError: a name is unknown.
    """
    if names == "all":
        return tuple(GENRES)
    listed = [names] if isinstance(names, str) else list(names)
    for name in listed:
        if name not in GENRES:
            raise UserError(f"genres: unknown genre {name!r}; known genres: {', '.join(GENRES)}")
    return tuple(listed)


def tell(genre: str, content: Content, rng: np.random.Generator) -> str:
    """The story in a genre.

    Args:
      genre: a key of `GENRES`.
      content: the sentences.
      rng: the scenario's generator.
    """
    return GENRES[genre](content, rng)
