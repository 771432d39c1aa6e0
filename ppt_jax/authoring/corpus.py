"""What a written corpus is like: `corpus.json` with counts, shares, diversity and rejects."""

from __future__ import annotations

import collections
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ppt_jax.authoring import diversity

Row = Mapping[str, Any]
_LABEL = re.compile(r"'([^']*)'")
_CONSTANT = re.compile(r"(?<![\w.])\d+(?:\.\d+)?")
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")


def structure_signature(row: Row) -> str:
    """A hash of the program without its constants, labels and node names.

    Args:
      row: a scenario as a dict.

    Returns:
      Sixteen hex digits; equal for scenarios that differ in numbers, names and words only.
    """
    places = {
        label: f"@{number}"
        for named in row["sets"]
        for number, label in enumerate(named["members"])
    }
    nodes = {node["name"]: f"n{number}" for number, node in enumerate(row["model"])}

    def masked(text: str) -> str:
        text = _LABEL.sub(lambda m: places.get(m[1], "@"), text)
        text = _CONSTANT.sub("#", text)
        return _IDENTIFIER.sub(lambda m: nodes.get(m[0], m[0]), text)

    parts = [
        [len(named["members"]) for named in row["sets"]],
        [(node["kind"], node["per"], masked(node["expr"])) for node in row["model"]],
        [masked(given["that"]) for given in row["given"]],
        [(ask["kind"], masked(ask["expr"])) for ask in row["ask"]],
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def duplicate_key(story: str) -> str:
    """What two stories share that differ in numbers only."""
    return hashlib.sha256(diversity.mask_numbers(story).encode()).hexdigest()[:24]


def describe(
    splits: Mapping[str, Sequence[Row]], rejects: Iterable[Row], *, sample: int = 4000
) -> dict[str, Any]:
    """Measures a corpus.

    Args:
      splits: scenarios as dicts by split.
      rejects: rows with ``split``, ``motif`` and ``reason``.
      sample: how many stories the diversity measures look at, of all splits together.

    Returns:
      A JSON-able dict: ``counts``, ``shares``, ``length``, ``structure``, ``diversity``,
      ``rejects``.
    """
    rows = [row for split in splits.values() for row in split]
    rng = np.random.default_rng(0)
    chosen = [rows[int(i)] for i in rng.permutation(len(rows))[:sample]]
    stories = [str(row["story"]) for row in chosen]
    return {
        "counts": {
            split: {
                "scenarios": len(listed),
                "asks": sum(len(row["ask"]) for row in listed),
                "motifs": _count(listed, "motif"),
            }
            for split, listed in splits.items()
        },
        "shares": {
            **{key: _share(rows, key) for key in ("motif", "family", "skin", "genre", "told")},
            "kind": _normal(collections.Counter(a["kind"] for row in rows for a in row["ask"])),
            "kind_by_motif": _kinds_by_motif(rows),
        },
        "length": _lengths(rows),
        "structure": _structure(rows),
        "diversity": _diversity(stories, rng) if len(stories) > 1 else {},
        "rejects": _rejects(rejects, len(rows)),
    }


def _count(rows: Sequence[Row], key: str) -> dict[str, int]:
    return dict(sorted(collections.Counter(str(row.get(key, "")) for row in rows).items()))


def _normal(counts: Mapping[str, int]) -> dict[str, float]:
    total = max(sum(counts.values()), 1)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return {key: round(count / total, 5) for key, count in ordered}


def _share(rows: Sequence[Row], key: str) -> dict[str, float]:
    return _normal(_count(rows, key))


def _kinds_by_motif(rows: Sequence[Row]) -> dict[str, dict[str, int]]:
    table: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for row in rows:
        table[row["motif"]].update(ask["kind"] for ask in row["ask"])
    return {motif: dict(sorted(table[motif].items())) for motif in sorted(table)}


def _lengths(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    measures = {
        "story_words": [len(row["story"].split()) for row in rows],
        "story_characters": [len(row["story"]) for row in rows],
        "ask_words": [len(ask["text"].split()) for row in rows for ask in row["ask"]],
        "asks": [len(row["ask"]) for row in rows],
        "observations": [len(row["given"]) for row in rows],
    }
    return {
        name: {
            "mean": round(float(np.mean(values)), 2),
            **{f"p{point}": float(np.percentile(values, point)) for point in (0, 5, 50, 95, 100)},
        }
        for name, values in measures.items()
        if values
    }


def _structure(rows: Sequence[Row]) -> dict[str, Any]:
    counts = collections.Counter(structure_signature(row) for row in rows)
    top = counts.most_common(1)[0][1] if counts else 0
    return {
        "signatures": len(counts),
        "largest_share": round(top / max(len(rows), 1), 5),
        "singletons": sum(count == 1 for count in counts.values()),
    }


def _diversity(stories: Sequence[str], rng: np.random.Generator) -> dict[str, float]:
    return {
        "sampled": len(stories),
        "near_duplicate_rate": round(diversity.near_duplicate_rate(stories), 5),
        "compression_ratio": round(diversity.compression_ratio(stories), 4),
        "self_bleu_4": round(diversity.self_bleu(stories, rng), 4),
        "distinct_4": round(diversity.distinct_n(stories), 4),
        "vendi_1000": round(diversity.vendi_score(stories, rng), 1),
    }


def _rejects(rejects: Iterable[Row], accepted: int) -> dict[str, Any]:
    listed = list(rejects)
    by_motif: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for row in listed:
        by_motif[row["motif"]][row["reason"]] += 1
    return {
        "total": len(listed),
        "accepted_share": round(accepted / max(accepted + len(listed), 1), 4),
        "by_reason": _count(listed, "reason"),
        "by_motif": {motif: dict(by_motif[motif].most_common()) for motif in sorted(by_motif)},
    }
