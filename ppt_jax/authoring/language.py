"""Small English: articles, lists, counts in words, sentence case, sentence splitting."""

from __future__ import annotations

import re
from collections.abc import Sequence

_WORDS = "zero one two three four five six seven eight nine ten eleven twelve"
COUNT_WORDS = tuple(_WORDS.split())
_AN = re.compile(r"(8|11\b|18\b|[aeio]|un(?!i)|u[^ns]|hour|honest|heir)", re.IGNORECASE)
_ARTICLE = re.compile(r"\b(a|A|an|An) (?!in\b|and\b|or\b|to\b|beats?\b)([\w-]+)")
_BACKWARD = re.compile(
    r"\b(it|its|they|them|their|that|those|these|this|such|the two|the same|faulty one|ones)\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r'[^.!?\n]*(?:\.(?=\d)[^.!?\n]*)*[.!?\n]+["”\')]*|[^.!?\n]+$')


def with_article(phrase: str) -> str:
    """The phrase behind "a" or "an", by the sound of its first letters.

    Example:
      >>> with_article("8-in-10 chance"), with_article("one-in-four chance")
      ('an 8-in-10 chance', 'a one-in-four chance')
    """
    vowel = _AN.match(phrase) and not re.match(r"(one|once|eu|use)", phrase, re.IGNORECASE)
    return ("an " if vowel else "a ") + phrase


def fix_articles(text: str) -> str:
    """Every "a" and "an" of a text as the next word wants it.

    Example:
      >>> fix_articles("A evening with an dog and a 8-in-10 chance")
      'An evening with a dog and an 8-in-10 chance'
    """

    def right(match: re.Match[str]) -> str:
        before = text[: match.start()].rstrip()
        capital = match[1][0].isupper()
        if capital and before and before[-1] not in '.!?:"':
            return match[0]  # a label such as "wine A"
        phrase = with_article(match[2])
        return phrase[0].upper() + phrase[1:] if capital else phrase

    return _ARTICLE.sub(right, text)


def refers_back(text: str) -> bool:
    """Whether a sentence may need the one before it: a pronoun stands near its beginning.

    Example:
      >>> refers_back("A score scatters around it by 3."), refers_back("On Monday Ann beat Bo.")
      (True, False)
    """
    return bool(_BACKWARD.search(" ".join(text.split()[:12])))


def join_words(words: Sequence[str], last: str = "and") -> str:
    """ "Ann", "Ann and Bo", "Ann, Bo and Cy"."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def count_word(count: int) -> str:
    """Zero to twelve in words, else digits."""
    return COUNT_WORDS[count] if 0 <= count < len(COUNT_WORDS) else str(count)


def counted(amount: str, unit: str) -> str:
    """An amount with its plural unit, in the singular for 1.

    Example:
      >>> counted("1", "beats a minute"), counted("12", "weeks")
      ('1 beat a minute', '12 weeks')
    """
    first, *rest = unit.split(" ")
    if amount == "1" and first.endswith("s") and not first.endswith("ss"):
        first = first[:-1]
    return " ".join([amount, first, *rest]).strip()


def ordinal(position: int) -> str:
    """1 -> "first" up to twelve."""
    words = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"
    return words.split()[position - 1]


def sentence(text: str) -> str:
    """First letter upper case, one full stop at the end."""
    text = text.strip()
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?", '"', ":")) else text + "."


def split_sentences(text: str) -> list[str]:
    """Sentences of a story in order; a decimal point does not end one, a line break does."""
    return [part.strip() for part in _SENTENCE.findall(text) if part.strip()]


def number(value: float) -> str:
    """A number as it is printed: no trailing zeros, no exponent.

    Example:
      >>> number(40.0), number(0.35), number(-2.5)
      ('40', '0.35', '-2.5')
    """
    text = f"{value:.6f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
