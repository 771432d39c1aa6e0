"""What evaluation splits share with the training split, and with evaluation texts from elsewhere.

Splits of one author share templates on purpose, so word n-grams between them say little by
themselves. Asked instead: is what a split holds out (motifs, a family, skins, structures) really
absent from training; is any of its stories a near copy of a training story; and what share of its
sentences, names and numbers masked, was trained on. Against outside texts the question is plain:
no 8-gram of words may be shared.
"""

from __future__ import annotations

import collections
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ppt_jax.authoring.diversity import mask_numbers, near_copies, words
from ppt_jax.authoring.language import split_sentences

Row = Mapping[str, Any]
HELD_OUT = {
    "held_out_motifs": "motif",
    "held_out_family": "family",
    "held_out_skins": "skin",
    "held_out_structures": "structure",
}
"""Split -> what it holds out."""
SIZE = 8
_CAPITAL = re.compile(r"(?<![.!?:\n] )(?<!^)\b[A-Z][a-z]+\b", re.MULTILINE)


def masked_sentences(story: str) -> set[str]:
    """Sentences with "#" for numbers and "@" for names (capitalised words inside a sentence).

    A name that also begins a sentence is masked there too.

    Example:
      >>> sorted(masked_sentences("Teo beat Ann in 3 rounds. Ann lost."))
      ['@ beat @ in # rounds.', '@ lost.']
    """
    names = set(_CAPITAL.findall(story))
    found = set()
    for sentence in split_sentences(mask_numbers(story)):
        text = _CAPITAL.sub("@", sentence)
        first = re.match(r"\W*([A-Z][a-z]+)\b", text)
        if first and first[1] in names:
            text = text.replace(first[1], "@", 1)
        found.add(text)
    return found


def word_grams(text: str, size: int = SIZE) -> set[int]:
    """Hashes of the text's word n-grams, lower case, numbers as they are."""
    tokens = words(text)
    return {hash(tuple(tokens[i : i + size])) for i in range(len(tokens) - size + 1)}


def leakage(
    splits: Mapping[str, Sequence[Row]],
    structures: Mapping[str, str],
    outside: Iterable[str] = (),
    *,
    train: str = "train",
    sample: int = 2000,
) -> dict[str, Any]:
    """Compares every other split, and outside texts, with the training split.

    Args:
      splits: scenarios as dicts by split.
      structures: scenario id -> structure signature.
      outside: texts of evaluation sets from elsewhere.
      train: name of the training split.
      sample: stories of a split whose sentences and copies are looked at.

    Returns:
      ``splits``: per split the number of scenarios, how many of its motifs, families, skins and
      structures are trained on, what it holds out and whether that is disjoint, near copies of
      training stories and the share of trained sentences; ``outside``: texts, texts that share an
      8-gram with a training story, the share of their 8-grams, and a few of the texts.
    """
    trained = splits.get(train, ())
    if not trained:
        return {"splits": {}, "outside": {}}
    stories = [str(row["story"]) for row in trained]
    sentences = set().union(*(masked_sentences(story) for story in stories))
    own = {axis: {_axis(row, axis, structures) for row in trained} for axis in HELD_OUT.values()}
    found: dict[str, Any] = {}
    for split, rows in splits.items():
        if split == train or not rows:
            continue
        chosen = rows[:: max(1, len(rows) // sample)][:sample]
        parts = [masked_sentences(str(row["story"])) for row in chosen]
        known = sum(len(part & sentences) for part in parts)
        shared = {
            axis: (len(values & own[axis]), len(values))
            for axis in HELD_OUT.values()
            for values in [{_axis(row, axis, structures) for row in rows}]
        }
        held_out = HELD_OUT.get(split, "")
        found[split] = {
            "scenarios": len(rows),
            **{f"shared_{axis}": count for axis, (count, _) in shared.items()},
            **{f"own_{axis}": total for axis, (_, total) in shared.items()},
            "holds_out": held_out,
            "disjoint": not shared[held_out][0] if held_out else None,
            "near_copies": near_copies(stories, [str(row["story"]) for row in chosen]),
            "looked_at": len(chosen),
            "trained_sentences": round(known / max(sum(map(len, parts)), 1), 5),
        }
    return {"splits": found, "outside": _outside(stories, outside)}


def _axis(row: Row, axis: str, structures: Mapping[str, str]) -> str:
    return structures[str(row["id"])] if axis == "structure" else str(row.get(axis, ""))


def _outside(stories: Sequence[str], texts: Iterable[str]) -> dict[str, Any]:
    listed = list(texts)
    if not listed:
        return {}
    trained = set[int]()
    for story in stories:
        trained |= word_grams(story)
    hits = collections.Counter[int]()
    total = shared = 0
    for number, text in enumerate(listed):
        grams = word_grams(text)
        total += len(grams)
        shared += len(grams & trained)
        hits[number] = len(grams & trained)
    worst = [listed[number][:300] for number, count in hits.most_common(5) if count]
    return {
        "texts": len(listed),
        "texts_that_share": sum(count > 0 for count in hits.values()),
        "shared_8_grams": round(shared / max(total, 1), 6),
        "worst": worst,
    }
