"""Domain skins: the words and plausible ranges that dress a motif as a situation.

Each module of this package holds one kind of skin: a frozen dataclass derived from `Skin` with the
words that motifs of that kind need, and a tuple ``SKINS`` of entries. Modules are found by
themselves; adding a skin is adding one entry, adding a kind is adding one file.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from typing import TypeVar

from ppt_jax.authoring.skins.skin import Skin

SkinT = TypeVar("SkinT", bound=Skin)


@functools.cache
def all_skins() -> dict[str, Skin]:
    """Every skin by name, in a fixed order.

    Raises:
      ValueError: two skins share a name (a mistake in a skins file).
    """
    skins: dict[str, Skin] = {}
    for module in sorted(info.name for info in pkgutil.iter_modules(__path__)):
        for skin in getattr(importlib.import_module(f"{__name__}.{module}"), "SKINS", ()):
            if skin.name in skins:
                raise ValueError(f"skins/{module}.py: a skin named {skin.name!r} is there already")
            skins[skin.name] = skin
    return skins


def skins_of(kind: type[SkinT]) -> tuple[SkinT, ...]:
    """The skins of one kind, e.g. ``skins_of(Contest)``."""
    return tuple(skin for skin in all_skins().values() if isinstance(skin, kind))
