"""Splits: what is trained on, and what is held out by motif and by family."""

from __future__ import annotations

import dataclasses

from ppt_jax.authoring.motif import FAMILIES, Motif, find_motifs
from ppt_jax.errors import UserError

SPLITS = ("train", "validation", "seen_motifs", "held_out_motifs", "held_out_family")
"""In order of authoring; ``validation`` and ``seen_motifs`` have the motifs of ``train``."""


@dataclasses.dataclass(frozen=True)
class SplitPlan:
    """Which motifs each split draws from, in a fixed order."""

    motifs: dict[str, tuple[Motif, ...]]


def plan_splits(
    motifs: str | tuple[str, ...], held_out_motifs: tuple[str, ...], held_out_family: str
) -> SplitPlan:
    """Shares motifs out to the splits.

    Args:
      motifs: "all" or names.
      held_out_motifs: motifs that are never trained on.
      held_out_family: a letter of `FAMILIES`, or "" for none; never trained on.

    Returns:
      Motifs by split; the three trained-on splits have the same ones, and no motif of a held-out
      split is among them.

    Raises:
      UserError: an unknown motif or family, a held-out motif that lies in the held-out family, or
        nothing left to train on.
    """
    chosen = find_motifs(motifs)
    held = find_motifs(held_out_motifs, field="held_out_motifs")
    if held_out_family and held_out_family not in FAMILIES:
        known = ", ".join(f"{letter} ({name})" for letter, name in FAMILIES.items())
        raise UserError(f"held_out_family: unknown family {held_out_family!r}; known: {known}")
    for motif in held:
        if motif.family == held_out_family:
            raise UserError(
                f"held_out_motifs: {motif.name!r} is of the held-out family {held_out_family}; "
                "hold out motifs of trained families"
            )
    family = tuple(motif for motif in chosen if motif.family == held_out_family)
    trained = tuple(motif for motif in chosen if motif not in held and motif not in family)
    if not trained:
        raise UserError("motifs: none is left to train on after held_out_motifs, held_out_family")
    kept = tuple(motif for motif in chosen if motif in held)
    return SplitPlan(dict(zip(SPLITS, (trained, trained, trained, kept, family), strict=True)))
