"""Splits: what is trained on, and what is held out by motif, family, skin and structure."""

from __future__ import annotations

import collections
import dataclasses
import difflib
import functools
import hashlib
from collections.abc import Mapping
from typing import Any

from ppt_jax.authoring.motif import FAMILIES, Motif, find_motifs
from ppt_jax.authoring.skins import all_skins
from ppt_jax.authoring.skins.skin import Skin
from ppt_jax.authoring.structures import is_held_out, program_signature
from ppt_jax.errors import UserError

SPLITS = (
    "train",
    "validation",
    "seen_motifs",
    "held_out_motifs",
    "held_out_family",
    "held_out_skins",
    "held_out_structures",
)
"""In order of authoring. Each of the last four holds one thing out; all else is as in ``train``."""

ONE_PER_KIND = "one_per_kind"


@dataclasses.dataclass(frozen=True)
class SplitPlan:
    """What each split draws from.

    Attributes:
      motifs: motifs by split, in a fixed order; empty where nothing is held out.
      chosen_skins: names of the skins that are used at all.
      held_out_skins: names of skins that only the split "held_out_skins" has.
      held_out_structures: share of structures that, of the splits of trained motifs, only
        "held_out_structures" has.
    """

    motifs: Mapping[str, tuple[Motif, ...]]
    chosen_skins: frozenset[str]
    held_out_skins: frozenset[str]
    held_out_structures: float

    def skins(self, split: str, motif: Motif) -> tuple[Skin, ...]:
        """The skins that a motif may have in a split, in a fixed order."""
        only_held_out = split == "held_out_skins"
        return tuple(
            skin
            for skin in motif.skins()
            if skin.name in self.chosen_skins
            and (skin.name in self.held_out_skins) == only_held_out
        )

    def admits(self, split: str, row: Mapping[str, Any]) -> bool:
        """Whether a split takes the structure of a scenario (as a dict) of a trained motif."""
        held_out = is_held_out(program_signature(row), self.held_out_structures)
        return held_out == (split == "held_out_structures")


def plan_splits(
    motifs: str | tuple[str, ...],
    held_out_motifs: tuple[str, ...],
    held_out_family: str,
    *,
    skins: str | tuple[str, ...] = "all",
    held_out_skins: tuple[str, ...] = (),
    held_out_structures: float = 0.0,
    validation_motifs: str = "train",
) -> SplitPlan:
    """Shares motifs, skins and structures out to the splits.

    Args:
      motifs: "all", or names of motifs and letters of families.
      held_out_motifs: motifs that are never trained on.
      held_out_family: a letter of `FAMILIES`, or "" for none; never trained on.
      skins: "all", or names.
      held_out_skins: names of skins that are never trained on; ``("one_per_kind",)`` for one of
        each kind that has at least three.
      held_out_structures: share of structures that are never trained on.
      validation_motifs: "train", or "held_out_motifs": whose motifs the validation split has.

    Returns:
      The plan; no motif of a held-out split is among those of ``train``.

    Raises:
      UserError: an unknown motif, family or skin, a held-out motif that lies in the held-out
        family, nothing left to train on, or a motif without a skin.
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
    if validation_motifs not in ("train", "held_out_motifs"):
        raise UserError(
            f"validation_motifs: {validation_motifs!r} is neither train nor held_out_motifs"
        )
    if validation_motifs == "held_out_motifs" and not kept:
        raise UserError("validation_motifs: held_out_motifs names none of the motifs")
    if not 0 <= held_out_structures < 1:
        raise UserError(f"held_out_structures: {held_out_structures} is no share from 0 to below 1")
    chosen_skins = _known_skins("skins", skins)
    plan = SplitPlan(
        motifs={},
        chosen_skins=chosen_skins,
        held_out_skins=_held_out_skins(held_out_skins, chosen_skins),
        held_out_structures=held_out_structures,
    )
    by_split = {
        "train": trained,
        "validation": trained if validation_motifs == "train" else kept,
        "seen_motifs": trained,
        "held_out_motifs": kept,
        "held_out_family": family,
        "held_out_skins": tuple(m for m in trained if plan.skins("held_out_skins", m)),
        "held_out_structures": trained if held_out_structures else (),
    }
    for motif in (*trained, *kept, *family):
        if not plan.skins("train", motif):
            raise UserError(
                f"skins: none is left for the motif {motif.name!r} of those chosen and not held out"
            )
    return dataclasses.replace(plan, motifs=by_split)


def _known_skins(field: str, names: str | tuple[str, ...]) -> frozenset[str]:
    """Names of skins, "all" for every one."""
    known = all_skins()
    if names == "all":
        return frozenset(known)
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
            hint = f"; did you mean {', '.join(near)}?" if near else ""
            raise UserError(f"{field}: unknown skin {name!r}{hint} Known: {', '.join(known)}")
    return frozenset(names)


def _held_out_skins(names: tuple[str, ...], chosen: frozenset[str]) -> frozenset[str]:
    if names != (ONE_PER_KIND,):
        return _known_skins("held_out_skins", names) & chosen
    kinds: dict[str, list[str]] = collections.defaultdict(list)
    for skin in all_skins().values():
        if skin.name in chosen:
            kinds[type(skin).__name__].append(skin.name)
    return frozenset(min(kind, key=_order) for kind in kinds.values() if len(kind) >= 3)


@functools.cache
def _order(name: str) -> str:
    """Decides which skin of a kind is held out; stays as it is when other skins come."""
    return hashlib.sha256(name.encode()).hexdigest()
