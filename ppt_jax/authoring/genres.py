"""Genres: the same sentences as a plain story, a log, a letter, minutes, a radio script and so on.

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


def _bulletin(content: Content, rng: np.random.Generator) -> str:
    head = _any(rng, ("Bulletin", "Notice to all", "News sheet", "Weekly circular"))
    known, seen = _any(
        rng, ("How things stand|Latest", "In short|New since then", "To remember|Just in")
    ).split("|")
    end = _any(rng, ("End of bulletin.", "Please pass this on.", "More when there is more.", ""))
    lines = (
        f"{head}: {content.domain}",
        " ".join(content.setting),
        f"{known}. {' '.join(content.rules)}",
        f"{seen}. {' '.join(content.events)}",
        end,
    )
    return "\n".join(line for line in lines if line)


def _email(content: Content, rng: np.random.Generator) -> str:
    first, second = content.speakers
    subject = _any(rng, ("Your question", "What we know so far", "Before we decide", "Update"))
    thanks = _any(
        rng,
        (
            "Thanks, that helps. Here is what came in on our side.",
            "Good to know. For your records, this is what was seen.",
            "Understood. Below is the part that you did not have yet.",
        ),
    )
    bye = _any(rng, ("Regards,", "Cheers,", "All the best,"))
    return (
        f"Subject: {subject} ({content.domain})\nFrom: {first}\nTo: {second}\n"
        f"{' '.join((*content.setting, *content.rules))}\n{bye} {first}\n\n"
        f"Subject: Re: {subject}\nFrom: {second}\nTo: {first}\n"
        f"{thanks} {' '.join(content.events)}\n{bye} {second}"
    )


def _questions(content: Content, rng: np.random.Generator) -> str:
    about = _any(rng, ("What is this about?", "Where are we?", "What is the matter at hand?"))
    usual = _any(
        rng, ("What is known beforehand?", "How does it work?", "What can one rely on in general?")
    )
    seen = _any(rng, ("What has been seen?", "What is new?", "What do the records show?"))
    q, a = _any(rng, ("Q:|A:", "Question:|Answer:", "?|-")).split("|")
    parts = ((about, content.setting), (usual, content.rules), (seen, content.events))
    return "\n".join(f"{q} {ask}\n{a} {' '.join(told)}" for ask, told in parts if told)


def _field_notes(content: Content, rng: np.random.Generator) -> str:
    first, _ = content.speakers
    head = _any(rng, ("Field notes", "Notebook", "Observation sheet"))
    known = _any(rng, ("From earlier visits:", "Noted beforehand:", "Written inside the cover:"))
    seen = _any(rng, ("On the spot:", "This visit:", "Written down as it happened:"))
    lines = [f"{head} ({first}), {content.domain}", *content.setting]
    return "\n".join([*lines, f"{known} {' '.join(content.rules)}", seen, *content.events])


def _radio(content: Content, rng: np.random.Generator) -> str:
    host, guest = content.speakers
    hello = _any(
        rng,
        (
            "Good evening and welcome back.",
            "You are listening to the local hour.",
            "And now to a story from the neighbourhood.",
        ),
    )
    ask = _any(
        rng,
        (
            f"With me is {guest}. How should we picture it?",
            f"{guest} knows more. What do we have to know?",
            f"Over to {guest}. What is usual there?",
        ),
    )
    turn = _any(
        rng, ("And what came of it?", "What have people seen there?", "So, what is the news?")
    )
    end = _any(rng, ("Make of it what you will.", "Call us with your guess.", "Stay with us."))
    return (
        f"{host.upper()}: {hello} {' '.join(content.setting)} {ask}\n"
        f"{guest.upper()}: {' '.join(content.rules)}\n{host.upper()}: {turn}\n"
        f"{guest.upper()}: {' '.join(content.events)}\n{host.upper()}: {end}"
    )


def _diary(content: Content, rng: np.random.Generator) -> str:
    head = _any(rng, ("Dear diary!", "Evening, at the desk.", "Before I forget it.", "Bedtime."))
    known = _any(
        rng,
        (
            "For later, this is how it goes.",
            "I keep having to look it up, so here it is.",
            "What one has to know about it:",
        ),
    )
    seen = _any(rng, ("Now to what I saw or heard.", "As for the news.", "And then there is this."))
    end = _any(
        rng, ("Enough for tonight.", "I wonder what to think.", "The candle is nearly out.", "")
    )
    text = (
        f"{head} {' '.join(content.setting)}\n{known} {' '.join(content.rules)}\n"
        f"{seen} {' '.join(content.events)} {end}"
    )
    return text.strip()


def _editor(content: Content, rng: np.random.Generator) -> str:
    first, _ = content.speakers
    opening = _any(
        rng,
        (
            "allow me to add some facts to a debate that has had few.",
            "your paper has been silent on a matter that occupies many of us.",
            "as a faithful reader I should like to set something straight.",
        ),
    )
    closing = _any(
        rng,
        (
            "Let your readers draw their own conclusion.",
            "I leave the verdict to others.",
            "Opinions are cheap; I have given what there is to go by.",
        ),
    )
    body = " ".join((*content.setting, *content.rules, *content.events))
    place = _any(rng, ("To the editor", "Letters page"))
    return f"{place}: {content.domain}\nDear editor, {opening} {body} {closing}\n{first}, a reader"


def _handover(content: Content, rng: np.random.Generator) -> str:
    first, second = content.speakers
    head = _any(rng, ("Handover", "Change of duty", "For whoever takes over"))
    known, seen = _any(
        rng, ("Standing facts|Since last time", "You will need|What I saw", "Rules|Record")
    ).split("|")
    end = _any(rng, ("The rest is yours.", "Ask me if anything is unclear.", ""))
    lines = (
        f"{head}, {content.domain}: {first} to {second}",
        " ".join(content.setting),
        f"{known}:",
        *content.rules,
        f"{seen}:",
        *content.events,
        end,
    )
    return "\n".join(line for line in lines if line)


GENRES: dict[str, Callable[[Content, np.random.Generator], str]] = {
    "plain": _plain,
    "log": _log,
    "letter": _letter,
    "minutes": _minutes,
    "dialogue": _dialogue,
    "forum": _forum,
    "notes": _notes,
    "exam": _exam,
    "bulletin": _bulletin,
    "email": _email,
    "questions": _questions,
    "field_notes": _field_notes,
    "radio": _radio,
    "diary": _diary,
    "editor": _editor,
    "handover": _handover,
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
