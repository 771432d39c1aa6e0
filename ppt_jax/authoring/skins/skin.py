"""What every skin has; each kind of skin derives from it and adds its own words."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Skin:
    """One domain.

    Attributes:
      name: unique, snake_case.
      domain: what the domain is called, e.g. "club rowing".
      place: where it happens, behind a preposition, e.g. "at the {town} boat club"; "{town}" is
        replaced by a made-up name.
      leave_out: motifs that this skin does not suit although its kind fits.
    """

    name: str
    domain: str
    place: str
    leave_out: frozenset[str] = dataclasses.field(default=frozenset(), kw_only=True)
