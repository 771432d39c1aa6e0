"""What a failed check says."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Finding:
    """One failed check: its name, stable for counting, and what was found."""

    check: str
    detail: str
