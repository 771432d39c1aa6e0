"""Two or more evaluated runs on the same items: what `launch.compare` computes and writes.

A side is one run or several seeds of it; differences are b - a on each item, averaged over seeds.
The math is in `ppt_jax.evaluation.comparison`. Axes: S seeds, N items.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from ppt_jax.errors import UserError
from ppt_jax.evaluation import comparison, intervals
from ppt_jax.evaluation.answers import METRICS, score_items, stack_answers, stack_targets
from ppt_jax.evaluation.item_files import read_items
from ppt_jax.evaluation.items import Item, ItemError
from ppt_jax.evaluation.results import plain_json
from ppt_jax.storage import write_atomic

SCHEMA_VERSION = 1
METRIC_NAMES = tuple(m.name for m in METRICS if m.higher_is_better is not None)
COLUMNS = (
    *("a", "b", "split", "metric", "mean_a", "mean_b", "difference", "ci_low", "ci_high"),
    *("stderr", "p_value", "p_holm", "b_better", "tied", "b_worse", "minimum_detectable"),
    *("n", "n_clusters", "n_parse_fail_a", "n_parse_fail_b", "higher_is_better", "verdict"),
)
ONE_CLUSTER = "one cluster, no interval"  # verdict
_ITEM_FILES = ("evaluation/items.jsonl", "items.jsonl")


@dataclasses.dataclass(frozen=True, eq=False)
class Side:
    """One side of a comparison.

    Attributes:
      name: as shown.
      seeds: items by id, one mapping a seed.
      sources: where they were read.
    """

    name: str
    seeds: tuple[dict[str, Item], ...]
    sources: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class CompareConfig:
    """Settings of a comparison.

    Attributes:
      metrics: of `METRIC_NAMES`; empty for all that apply.
      splits: empty for all that the first side has.
      intersection: compare what both sides answered; otherwise a missing item is an error.
      replicates, level, seed: of bootstrap and sign flips.
    """

    metrics: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    intersection: bool = False
    replicates: int = 1000
    level: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        for name in self.metrics:
            if name not in METRIC_NAMES:
                raise UserError(f"metric {name!r} is none of {', '.join(METRIC_NAMES)}")
        if not 0 < self.level < 1:
            raise UserError(f"level is {self.level}; it must lie between 0 and 1")
        if self.replicates < 2:
            raise UserError(f"replicates is {self.replicates}; it must be 2 or more")


@dataclasses.dataclass(frozen=True, eq=False)
class RunComparison:
    """What `compare_runs` found: rows (fields as `COLUMNS`), missing items, sentences."""

    rows: list[dict[str, Any]]
    missing: list[dict[str, Any]]
    sentences: list[str]


def items_file(path: str | os.PathLike[str]) -> pathlib.Path:
    """The items file of a run directory, or the file itself.

    Raises:
      UserError: there is none.
    """
    place = pathlib.Path(path)
    if place.is_file():
        return place
    for name in _ITEM_FILES:
        if (place / name).is_file():
            return place / name
    raise UserError(f"{path}: no items here; looked for {' and '.join(_ITEM_FILES)}")


def read_side(text: str, model: str | None = None) -> Side:
    """Reads one side: ``[NAME=]PATH[#MODEL][,PATH...]``, several paths being seeds.

    Args:
      text: run directories or items files; ``#MODEL`` picks a model of a file that holds several.
      model: picked where the text names none; ``after`` or else the only one when None.

    Raises:
      UserError: no such files, or a model that is not there or not the only one.
    """
    name, equals, rest = text.partition("=")
    if not equals:
        name, rest = text, text
    seeds, sources = [], []
    for part in rest.split(","):
        path, _, wanted = part.partition("#")
        file = items_file(path)
        by_model: dict[str, dict[str, Item]] = {}
        for item in read_items(file):
            by_model.setdefault(item.model, {})[item.item_id] = item
        if not by_model:
            raise UserError(f"{file}: holds no items")
        pick = wanted or model or ("after" if "after" in by_model else "")
        if not pick and len(by_model) == 1:
            pick = next(iter(by_model))
        if pick not in by_model:
            held = ", ".join(by_model)
            raise UserError(
                f"{file}: model {pick!r} is not there, it holds {held}"
                if pick
                else f"{file}: holds several models ({held}); name one as {path}#MODEL"
            )
        seeds.append(by_model[pick])
        sources.append(f"{file}#{pick}")
    return Side(name, tuple(seeds), tuple(sources))


def _common_ids(a: Side, b: Side, config: CompareConfig) -> tuple[list[str], list[dict[str, Any]]]:
    """Ids that every seed of both sides answered, in order, and what is missing where."""
    every = [seed.keys() for side in (a, b) for seed in side.seeds]
    shared = set.intersection(*map(set, every))
    union = dict.fromkeys(item_id for keys in every for item_id in keys)
    missing: list[dict[str, Any]] = [
        {"side": side.name, "source": source, "count": len(lacks), "first": lacks[:5]}
        for side in (a, b)
        for seed, source in zip(side.seeds, side.sources, strict=True)
        if (lacks := [item_id for item_id in union if item_id not in seed])
    ]
    if missing and not config.intersection:
        lack = missing[0]
        raise ItemError(
            f"item {lack['first'][0]!r}: {lack['source']} has no answer, the other side has "
            f"({lack['count']} items are missing there); compare what both answered with "
            "--intersection"
        )
    if not shared:
        raise ItemError(f"{a.name} and {b.name} have no item in common")
    return [item_id for item_id in union if item_id in shared], missing


def _scores(side: Side, ids: Sequence[str]) -> tuple[list[dict[str, np.ndarray]], int]:
    """Scores of each seed, and how many answers failed to parse."""
    out, failed = [], 0
    for seed in side.seeds:
        items = [seed[item_id] for item_id in ids]
        targets = stack_targets(items)
        answers = stack_answers(
            side.name, targets, [i.probs_K for i in items], [i.valid_mass for i in items]
        )
        out.append(score_items(targets, answers))
        failed += sum(not item.parse_ok for item in items)
    return out, failed


def _refuse_contradictions(a: Side, b: Side, ids: Sequence[str]) -> None:
    first = a.seeds[0]
    for side in (a, b):
        for seed, source in zip(side.seeds, side.sources, strict=True):
            for item_id in ids:
                one, other = first[item_id], seed[item_id]
                for field in ("support", "split", "kind", "cluster_id", "true_answer"):
                    if getattr(one, field) != getattr(other, field):
                        raise ItemError(
                            f"item {item_id!r}: {field} differs between {a.sources[0]} and "
                            f"{source}; they were not asked the same question"
                        )
                if not np.allclose(one.target_K, other.target_K, atol=1e-6):
                    raise ItemError(
                        f"item {item_id!r}: target differs between {a.sources[0]} and {source}"
                    )


def _pair(a: Side, b: Side, config: CompareConfig) -> tuple[list[dict[str, Any]], list[Any]]:
    ids, missing = _common_ids(a, b, config)
    _refuse_contradictions(a, b, ids)
    seeds_a, seeds_b = len(a.seeds), len(b.seeds)
    if seeds_a != seeds_b and 1 not in (seeds_a, seeds_b):
        raise UserError(
            f"{a.name} has {seeds_a} seeds and {b.name} {seeds_b}; give both as many, or one side 1"
        )
    items = [a.seeds[0][item_id] for item_id in ids]
    targets = stack_targets(items)
    scores_a, _ = _scores(a, ids)
    scores_b, _ = _scores(b, ids)
    splits = config.splits or tuple(dict.fromkeys(item.split for item in items))
    rows = []
    for split in splits:
        chosen_N = targets.split_N == split
        if not chosen_N.any():
            held = ", ".join(dict.fromkeys(item.split for item in items))
            raise UserError(f"split {split!r} has no items in {a.sources[0]}; it holds {held}")
        for metric in METRICS:
            if metric.name not in (config.metrics or METRIC_NAMES):
                continue
            use_N = chosen_N & targets.applies(metric)
            if not use_N.any():
                if config.metrics:
                    raise UserError(f"metric {metric.name!r} applies to no item of split {split!r}")
                continue
            rows.append(
                _row(
                    a,
                    b,
                    split,
                    metric.name,
                    metric.higher_is_better,
                    ids,
                    use_N,
                    targets,
                    scores_a,
                    scores_b,
                    config,
                )
            )
    return rows, missing


def _row(
    a: Side,
    b: Side,
    split: str,
    metric: str,
    higher: bool | None,
    ids: Sequence[str],
    use_N: np.ndarray,
    targets: Any,
    scores_a: Sequence[dict[str, np.ndarray]],
    scores_b: Sequence[dict[str, np.ndarray]],
    config: CompareConfig,
) -> dict[str, Any]:
    a_SN = np.stack([scored[metric][use_N] for scored in scores_a])
    b_SN = np.stack([scored[metric][use_N] for scored in scores_b])
    clusters = targets.cluster_N[use_N].tolist()
    weight_N = np.ones(int(use_N.sum()))
    settings = {"seed": config.seed, "replicates": config.replicates, "level": config.level}
    found = comparison.compare(b_SN.mean(0), a_SN.mean(0), weight_N, clusters, **settings)  # type: ignore[arg-type]
    low, high = found.low, found.high
    if max(len(a_SN), len(b_SN)) > 1:  # both the seeds and the items are a sample
        both = intervals.two_level_bootstrap(b_SN - a_SN, weight_N, clusters, **settings)  # type: ignore[arg-type]
        low, high = both.low, both.high
    better, worse = (found.higher, found.lower) if higher else (found.lower, found.higher)
    if math.isnan(low):
        verdict = ONE_CLUSTER
    elif low <= 0 <= high:
        verdict = "no difference shown"
    else:
        verdict = "b better" if (found.difference > 0) == bool(higher) else "b worse"
    used = [item_id for item_id, use in zip(ids, use_N) if use]

    def failed(side: Side) -> int:
        return sum(not seed[item_id].parse_ok for seed in side.seeds for item_id in used)

    return {
        "a": a.name,
        "b": b.name,
        "split": split,
        "metric": metric,
        "mean_a": float(a_SN.mean()),
        "mean_b": float(b_SN.mean()),
        "difference": found.difference,
        "ci_low": low,
        "ci_high": high,
        "stderr": found.standard_error,
        "p_value": found.p_value,
        "p_holm": math.nan,
        "b_better": better,
        "tied": found.tied,
        "b_worse": worse,
        "minimum_detectable": found.minimum_detectable,
        "n": found.n,
        "n_clusters": found.n_clusters,
        "n_parse_fail_a": failed(a),
        "n_parse_fail_b": failed(b),
        "higher_is_better": higher,
        "verdict": verdict,
    }


def compare_runs(sides: Sequence[Side], config: CompareConfig | None = None) -> RunComparison:
    """Compares every further side with the first, item by item.

    Args:
      sides: two or more; the first is what the others are compared with.
      config: settings.

    Returns:
      One row a side, split and metric. ``difference`` is b - a; ``p_value`` a two-sided sign-flip
      test over clusters, ``p_holm`` the same corrected for all rows.

    Raises:
      ItemError: items that contradict each other, or are missing on one side.
      UserError: fewer than two sides, an empty split, seeds that cannot be paired.
    """
    config = config or CompareConfig()
    if len(sides) < 2:
        raise UserError("a comparison needs two runs or more")
    rows: list[dict[str, Any]] = []
    missing: list[dict[str, Any]] = []
    for other in sides[1:]:
        own, lacks = _pair(sides[0], other, config)
        rows += own
        missing += lacks
    for one, p in zip(rows, comparison.holm([r["p_value"] for r in rows]), strict=True):
        one["p_holm"] = float(p)
    return RunComparison(rows, missing, _sentences(rows, missing, config))


def _sentences(
    rows: Sequence[dict[str, Any]], missing: Sequence[dict[str, Any]], config: CompareConfig
) -> list[str]:
    sentences = [
        f"{lack['source']} lacks {lack['count']} items (first: {lack['first'][0]!r}); they are in "
        "no number below."
        for lack in missing
    ]
    clear = [r for r in rows if r["verdict"] in ("b better", "b worse")]
    alone = [r for r in rows if r["verdict"] == ONE_CLUSTER]
    if alone:
        sentences.append(
            f"{len(alone)} of {len(rows)} rows rest on a single cluster: they have no interval and "
            "show nothing about other clusters."
        )
    level = f"{config.level:.0%}"
    if len(alone) == len(rows):
        return sentences
    if not clear and alone:
        return [*sentences, f"Every other {level} interval covers zero."]
    if not clear:
        return [
            *sentences,
            f"Every {level} interval covers zero: these items show no difference between the runs. "
            "The column of the minimum detectable difference says what they could have shown.",
        ]
    for r in clear:
        word = "better" if r["verdict"] == "b better" else "worse"
        holm = " (also after correction for all rows)" if r["p_holm"] < 0.05 else ""
        sentences.append(
            f"{r['b']} is {word} than {r['a']} in {r['metric']} on {r['split']}: "
            f"{r['difference']:+.4g}, {level} interval {r['ci_low']:+.4g} to {r['ci_high']:+.4g}, "
            f"sign-flip p {r['p_value']:.3g}{holm}."
        )
    return sentences


def failures(found: RunComparison, limit: float) -> list[str]:
    """Rows in which b is worse by more than a limit, the whole interval beyond it.

    Args:
      found: a comparison.
      limit: how much worse is tolerated, in the metric's own units, at least 0.
    """
    if not limit >= 0:
        raise UserError(f"fail_if_worse is {limit}; it must be 0 or more")
    lines = []
    for r in found.rows:
        worst = -r["ci_high"] if r["higher_is_better"] else r["ci_low"]
        if worst > limit:
            lines.append(
                f"{r['b']} is worse than {r['a']} in {r['metric']} on {r['split']}: at least "
                f"{worst:.4g} worse ({r['difference']:+.4g}), more than {limit:g}"
            )
    return lines


def comparison_table(found: RunComparison) -> str:
    """The rows as a Markdown table that also reads well on a terminal."""
    head = (
        *("a", "b", "split", "metric", "mean a", "mean b", "b - a", "interval", "p", "Holm p"),
        *("b better / tied / worse", "min. detectable", "items (clusters)"),
    )
    body = [
        (
            *(r["a"], r["b"], r["split"], r["metric"]),
            *(f"{r['mean_a']:.4f}", f"{r['mean_b']:.4f}", f"{r['difference']:+.4f}"),
            "-" if math.isnan(r["ci_low"]) else f"[{r['ci_low']:+.4f}, {r['ci_high']:+.4f}]",
            *(f"{r['p_value']:.4f}", f"{r['p_holm']:.4f}"),
            f"{r['b_better']:.0f} / {r['tied']:.0f} / {r['b_worse']:.0f}",
            "-" if math.isnan(r["minimum_detectable"]) else f"{r['minimum_detectable']:.4f}",
            f"{r['n']} ({r['n_clusters']})",
        )
        for r in found.rows
    ]
    text = [tuple(str(cell).replace("|", "\\|") for cell in line) for line in (head, *body)]
    width = [max(len(line[c]) for line in text) for c in range(len(head))]
    lines = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(line, width)) + " |" for line in text
    ]
    lines.insert(1, "| " + " | ".join("-" * w for w in width) + " |")
    return "\n".join(lines)


def write_comparison(
    folder: str | os.PathLike[str], found: RunComparison, sides: Sequence[Side]
) -> None:
    """Writes `comparison.json`, `comparison.csv` and `comparison.md` into a folder."""
    folder = pathlib.Path(folder)
    document = {
        "schema_version": SCHEMA_VERSION,
        "sides": [{"name": side.name, "sources": list(side.sources)} for side in sides],
        "missing": found.missing,
        "sentences": found.sentences,
        "rows": found.rows,
    }
    text = json.dumps(plain_json(document), indent=1, allow_nan=False) + "\n"
    write_atomic(folder / "comparison.json", text)
    table = io.StringIO()
    writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(plain_json(found.rows))
    write_atomic(folder / "comparison.csv", table.getvalue())
    sentences = "\n".join(f"- {line}" for line in found.sentences)
    markdown = f"# Comparison\n\n{sentences}\n\n{comparison_table(found)}\n"
    write_atomic(folder / "comparison.md", markdown)
