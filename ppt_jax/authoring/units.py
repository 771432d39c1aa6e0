"""Units of measurement in words: whether a text names another unit of the same kind."""

from __future__ import annotations

import re

# Kind -> unit -> the words for it. Words that mean other things as well are left out.
_WORDS = {
    "time": {
        "second": "second seconds",
        "minute": "minute minutes min mins",
        "hour": "hour hours hourly",
        "day": "day days daily",
        "week": "week weeks weekly",
        "month": "month months monthly",
        "year": "year years yearly",
    },
    "length": {
        "millimetre": "millimetre millimetres millimeter millimeters mm",
        "centimetre": "centimetre centimetres centimeter centimeters cm",
        "metre": "metre metres meter meters",
        "kilometre": "kilometre kilometres kilometer kilometers km",
        "mile": "mile miles",
    },
    "mass": {
        "gram": "gram grams",
        "kilogram": "kilogram kilograms kg kilo kilos",
        "tonne": "tonne tonnes",
    },
    "volume": {
        "millilitre": "millilitre millilitres milliliter milliliters ml",
        "litre": "litre litres liter liters",
    },
    "money": {"cent": "cent cents", "dollar": "dollar dollars", "euro": "euro euros"},
}
_UNIT_OF = {
    word: (kind, unit)
    for kind, units in _WORDS.items()
    for unit, words in units.items()
    for word in words.split()
}
_WORD = re.compile(r"[a-z]+")
_COUNT = r"(?:\d|\b(?:an?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve))"
_NUMBERED = re.compile(rf"{_COUNT}[ -]([a-z]+)")  # 40 minutes, a 3-hour walk
_RATE = re.compile(r"\b(?:an?|per|each|every) ([a-z]+)")  # 6 boardings a day


def told_otherwise(unit: str, text: str) -> str:
    """The unit that a text tells in place of a quantity's own, or "".

    Args:
      unit: of the quantity, such as "boardings per day"; "" where it has none.
      text: the words about it.

    Returns:
      A word of the same kind of unit as one of `unit`, where the text has none of its own words.

    Example:
      >>> told_otherwise("minutes", "it takes 40 hours"), told_otherwise("days", "40 days")
      ('hours', '')
    """
    own = {_UNIT_OF[word] for word in _WORD.findall(unit.lower()) if word in _UNIT_OF}
    if not own:
        return ""
    lowered = text.lower()
    words = _WORD.findall(lowered)
    if own & {_UNIT_OF[word] for word in words if word in _UNIT_OF}:
        return ""
    rate = _RATE.search(unit.lower())
    if rate and _WORD.findall(unit.lower())[0] not in words:
        return ""  # another rate than that of the quantity may be told
    kinds = {kind for kind, _ in own}
    for match in (_RATE if rate else _NUMBERED).finditer(lowered):
        if match[1] in _UNIT_OF and _UNIT_OF[match[1]][0] in kinds:
            return match[1]
    return ""
