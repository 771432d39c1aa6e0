"""Letters of other scripts that look like Latin ones: whether two labels can be told apart."""

from __future__ import annotations

import unicodedata
from typing import Final

# Upper and lower case of Cyrillic, Greek, Armenian and Cherokee letters, and the Latin letter that
# each is drawn like in common fonts.
_PAIRS: Final = (
    "\u0410A \u0412B \u0421C \u0415E \u041dH \u0406I \u0408J \u041aK \u041cM \u041eO "
    "\u0420P \u0405S \u0422T \u0423Y \u0425X \u051aQ \u051cW \u0430a \u0441c \u0501d "
    "\u0435e \u04bbh \u0456i \u0458j \u043eo \u0440p \u051bq \u0455s \u0475v \u051dw "
    "\u0445x \u0443y \u0391A \u0392B \u0395E \u0396Z \u0397H \u0399I \u039aK \u039cM "
    "\u039dN \u039fO \u03a1P \u03a4T \u03a5Y \u03a7X \u03b1a \u03bfo \u03b9i \u03bdv "
    "\u03c1p \u03c5u \u03baK \u0578n \u057du \u0585o \u0570h \u0561w \u0584f \u054fS "
    "\u13aaA \u13acE \u13a1R \u13a2T \u13deL \u13dfC \u13e2P \u13d9V \u13b3W \u0131i \u0251a "
    "\u0261g \u1d00A \u2010- \u2011- \u2012- \u2013- \u2014- \u2212- \u02bc' \u2019' \u2018' "
    '\u00b4\' \u201c" \u201d" \u00d7x'
)
_LATIN: Final = str.maketrans({pair[0]: pair[1] for pair in _PAIRS.split(" ")})


def look_of(text: str) -> str:
    """What a text looks like; two texts of one look cannot be told apart by reading.

    Example:
      >>> look_of("\u0410nn") == look_of("Ann"), look_of("Ann") == look_of("Anne")
      (True, False)
    """
    plain = unicodedata.normalize("NFKC", text).translate(_LATIN)
    shown = (c for c in plain if unicodedata.category(c) != "Cf")
    return " ".join("".join(shown).split())
