"""Sizes that a scenario document may have; every check of size reads its number here."""

from __future__ import annotations

from typing import Final

# One formula.
MAX_FORMULA_CHARACTERS: Final = 400
MAX_FORMULA_NODES: Final = 200
MAX_FORMULA_DEPTH: Final = 40
MAX_NUMBER: Final = 1e15
MIN_NUMBER: Final = 1e-30  # of a number that is not zero: float32 has room below it

# One document.
MAX_DOCUMENT_BYTES: Final = 512 * 1024
MAX_JSON_DEPTH: Final = 16
MAX_STORY_CHARACTERS: Final = 60_000
MAX_TEXT_CHARACTERS: Final = 4_000  # of any other text field
MAX_LINE_CHARACTERS: Final = 200  # of a unit, a domain, a skin
MAX_NAME_CHARACTERS: Final = 40
MAX_LABEL_CHARACTERS: Final = 80
MAX_SETS: Final = 20
MAX_MEMBERS: Final = 100
MAX_PER: Final = 3
MAX_MODEL: Final = 200
MAX_GIVEN: Final = 400
MAX_ASK: Final = 32
MAX_FORMULAS_CHARACTERS: Final = 40_000  # all formulas together
MAX_OPTIONS: Final = MAX_MEMBERS
MAX_ASIDES: Final = 50
MAX_ALTERNATIVES: Final = 15

# After writing every element of every set out.
MAX_SCALARS: Final = 4_096  # scalar draws and lets
MAX_OPERATIONS: Final = 200_000  # formula nodes, `total` and `average` written out
