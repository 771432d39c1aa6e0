"""What a written corpus is like: `corpus.json` with counts, shares, diversity, answers, gates."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ppt_jax.authoring import diversity, label_diversity
from ppt_jax.authoring.answer_records import AskRecord, ask_records
from ppt_jax.authoring.gates import gates
from ppt_jax.authoring.leakage import leakage
from ppt_jax.authoring.splits import SPLITS
from ppt_jax.authoring.structures import structure_signature
from ppt_jax.storage import read_jsonl

Row = Mapping[str, Any]
SAMPLE = 4000  # stories that distinct-4, self-BLEU and the Vendi score are drawn from


def duplicate_key(story: str) -> str:
    """What two stories share that differ in numbers only."""
    return hashlib.sha256(diversity.mask_numbers(story).encode()).hexdigest()[:24]


@dataclasses.dataclass(frozen=True)
class CorpusFiles:
    """What stands in the folder of a corpus.

    Attributes:
      splits: scenarios as dicts by split.
      rejects: rows with ``motif`` and ``reason``.
      records: answers of the asks, see `answer_records`.
      calibration: of labels against truths, in place of what the records say.
    """

    splits: Mapping[str, Sequence[Row]]
    rejects: Sequence[Row]
    records: Sequence[AskRecord]
    calibration: Mapping[str, Any] | None = None


def read_files(folder: pathlib.Path, names: Sequence[str] | None = None) -> CorpusFiles:
    """Reads ``scenarios/``, ``rejects/`` and ``statistics/`` of a corpus.

    Args:
      folder: the corpus.
      names: shards to read, all that are there if None.

    Raises:
      UserError: a file cannot be read.
    """
    if names is None:
        names = sorted(path.name for path in (folder / "scenarios").glob("*.jsonl"))
    splits: dict[str, list[Row]] = {split: [] for split in SPLITS}
    rejects: list[Row] = []
    statistics: dict[str, Row] = {}
    for name in names:
        split = name.rsplit("-", 3)[0] if name.count("-") >= 3 else ""
        for _, row in read_jsonl(folder / "scenarios" / name):
            splits.setdefault(str(row.get("split") or split), []).append(row)
        if (folder / "rejects" / name).exists():
            rejects += [row for _, row in read_jsonl(folder / "rejects" / name)]
        if (folder / "statistics" / name).exists():
            statistics |= {row["id"]: row for _, row in read_jsonl(folder / "statistics" / name)}
    rows = [row for listed in splits.values() for row in listed]
    return CorpusFiles(splits, rejects, tuple(ask_records(rows, statistics)))


def describe(
    files: CorpusFiles, *, outside: Iterable[str] = (), train: str = "train"
) -> dict[str, Any]:
    """Measures a corpus.

    Args:
      files: the scenarios, rejects and answers.
      outside: texts of evaluation sets from elsewhere, for `leakage`.
      train: the training split.

    Returns:
      A JSON-able dict: ``counts``, ``shares``, ``training_shares``, ``length``, ``structure``,
      ``diversity``, ``answers`` (where there are records), ``leakage``, ``rejects``, ``gates``.
    """
    splits = files.splits
    rows = [row for split in splits.values() for row in split]
    rng = np.random.default_rng(0)
    stories = [str(rows[int(i)]["story"]) for i in rng.permutation(len(rows))]
    structures = {str(row["id"]): structure_signature(row) for row in rows}
    page = {
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
            "mutation": _mutations(rows),
        },
        "training_shares": {
            key: _share(splits.get(train) or rows, key) for key in ("motif", "skin")
        },
        "length": _lengths(rows),
        "structure": _structure(list(structures.values())),
        "diversity": _diversity(stories, rng) if len(stories) > 1 else {},
        "answers": _answers(files.records, files.calibration),
        "leakage": leakage(splits, structures, outside, train=train),
        "rejects": _rejects(files.rejects, len(rows)),
    }
    return {**page, "gates": [dataclasses.asdict(gate) for gate in gates(page)]}


def _answers(records: Sequence[AskRecord], calibration: Mapping[str, Any] | None) -> dict[str, Any]:
    if not records:
        return {}
    found: dict[str, Any] = {
        "asks": len(records),
        "diversity": label_diversity.label_diversity(records),
        "information": label_diversity.information(records),
        "base_rate": label_diversity.base_rate(records),
        "calibration": calibration or label_diversity.calibration(records),
    }
    routes = collections.Counter(record.route for record in records if record.route)
    errors = [record.error for record in records if record.error is not None]
    if routes:
        found["route"] = _normal(routes)
    if errors:
        points = (("p50", 50), ("p95", 95), ("p100", 100))
        found["label_error"] = {
            "mean": round(float(np.mean(errors)), 6),
            **{name: round(float(np.percentile(errors, point)), 6) for name, point in points},
        }
    return found


def _mutations(rows: Sequence[Row]) -> dict[str, float]:
    """Share of scenarios with each structure mutation."""
    counts = collections.Counter(
        str(name) for row in rows for name in (row.get("provenance") or {}).get("mutations", ())
    )
    return {name: round(n / max(len(rows), 1), 5) for name, n in sorted(counts.items())}


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


def _structure(signatures: Sequence[str]) -> dict[str, Any]:
    counts = collections.Counter(signatures)
    top = counts.most_common(1)[0][1] if counts else 0
    return {
        "signatures": len(counts),
        "largest_share": round(top / max(len(signatures), 1), 5),
        "singletons": sum(count == 1 for count in counts.values()),
    }


def _diversity(stories: Sequence[str], rng: np.random.Generator) -> dict[str, float]:
    some = stories[:SAMPLE]
    return {
        "sampled": len(some),
        "near_duplicate_rate": round(diversity.near_duplicate_rate(stories), 5),
        "compression_ratio": round(diversity.compression_ratio(some), 4),
        "self_bleu_4": round(diversity.self_bleu(some, rng), 4),
        "distinct_4": round(diversity.distinct_n(some), 4),
        "vendi_1000": round(diversity.vendi_score(some, rng), 1),
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
