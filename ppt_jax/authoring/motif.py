"""Motifs: domain-independent generative structures, one builder function each.

A motif file of `ppt_jax.authoring.motifs` holds one family and ends in ``MOTIFS``, a tuple of
`Motif`. The builder writes a `Sketch`: program first, then ``simulate()``, then what was seen and
what is asked. See docs/motifs.md.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import importlib
import pkgutil
from collections.abc import Callable, Sequence
from typing import Any

from ppt_jax.authoring import motifs as motifs_package
from ppt_jax.authoring.sketch import Sketch
from ppt_jax.authoring.skins import skins_of
from ppt_jax.authoring.skins.skin import Skin
from ppt_jax.errors import UserError

FAMILIES = {
    "A": "latent traits from performance",
    "B": "causes",
    "C": "reports and sensors",
    "D": "rates, counts, sizes",
    "E": "generalisation",
    "F": "time",
    "G": "minds",
    "H": "selection",
    "S": "published contests",
}


@dataclasses.dataclass(frozen=True)
class Motif:
    """A generative structure with a typical conclusion.

    Attributes:
      name: snake_case, unique.
      family: a letter of `FAMILIES`.
      skin: the kind of skin it is told with.
      build: writes the scenario into a `Sketch` of that kind of skin.
    """

    name: str
    family: str
    skin: type[Skin]
    build: Callable[[Sketch[Any]], None]

    def skins(self) -> tuple[Skin, ...]:
        """The skins that fit."""
        return tuple(skin for skin in skins_of(self.skin) if self.name not in skin.leave_out)


@functools.cache
def all_motifs() -> dict[str, Motif]:
    """Every motif by name, in a fixed order (by family, then as listed in its file).

    Raises:
      ValueError: two motifs share a name, or a family letter is unknown.
    """
    found: list[Motif] = []
    for module in sorted(info.name for info in pkgutil.iter_modules(motifs_package.__path__)):
        listed = getattr(
            importlib.import_module(f"{motifs_package.__name__}.{module}"), "MOTIFS", ()
        )
        found.extend(listed)
    motifs: dict[str, Motif] = {}
    for motif in sorted(found, key=lambda motif: motif.family):
        if motif.name in motifs or motif.family not in FAMILIES:
            raise ValueError(f"motif {motif.name!r}: name taken or family {motif.family!r} unknown")
        motifs[motif.name] = motif
    return motifs


def find_motifs(names: str | Sequence[str], *, field: str = "motifs") -> tuple[Motif, ...]:
    """Motifs by name or letter of a family, ``"all"`` for every one.

    Args:
      names: "all", one name or letter, or several.
      field: the config field to name in the error.

    Raises:
      UserError: a name is unknown; the message lists the nearest ones.

    Example:
      >>> [motif.family for motif in find_motifs(["tug_of_war"])]
      ['A']
    """
    motifs = all_motifs()
    if names == "all":
        return tuple(motifs.values())
    found: dict[str, Motif] = {}
    for name in [names] if isinstance(names, str) else names:
        if name in FAMILIES:
            found |= {motif.name: motif for motif in motifs.values() if motif.family == name}
            continue
        if name not in motifs:
            near = difflib.get_close_matches(name, motifs, n=3, cutoff=0.4)
            hint = f"; did you mean {', '.join(near)}?" if near else ""
            raise UserError(
                f"{field}: unknown motif {name!r}{hint} Known motifs: {', '.join(motifs)}; "
                f"families: {', '.join(FAMILIES)}."
            )
        found[name] = motifs[name]
    return tuple(found.values())
