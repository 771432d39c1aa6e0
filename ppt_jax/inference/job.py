"""The labelling job: scenario shards in, labelled shards out, restartable at any moment.

A shard is done when its record in ``state/`` names the hash of its input and of its labels. Files
appear whole or not at all, and a shard's bytes depend on its scenarios and the configuration only,
so a job killed anywhere and started again redoes at most one shard and ends with the same files.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import pathlib
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ppt_jax.errors import UserError
from ppt_jax.inference.cascade import Labelled, Reject, label_scenarios
from ppt_jax.inference.labels import LabelConfig, label_from_dict, label_to_dict
from ppt_jax.progress import Progress
from ppt_jax.scenario.document import Scenario, parse_scenario, read_scenarios, to_dict
from ppt_jax.storage import read_jsonl, write_atomic, write_jsonl

FORMAT = 1
_SHARD = re.compile(r"(?P<name>.+)-(?P<index>\d{5})-of-(?P<count>\d{5})$")


def labelled_row(labelled: Labelled) -> dict[str, Any]:
    """The JSON row of one labelled scenario; holds nothing that differs between runs."""
    return {
        "scenario": to_dict(labelled.scenario),
        "labels": [label_to_dict(label) for label in labelled.labels],
        "signature": labelled.signature,
        "effort": labelled.effort,
    }


def read_labelled(path: str | os.PathLike[str]) -> Iterator[Labelled]:
    """Reads back a labelled shard (`seconds` is 0: times are kept apart).

    Raises:
      UserError: the file is missing or broken; the message names file and line.
    """
    for number, row in read_jsonl(path):
        try:
            labels = tuple(label_from_dict(label) for label in row["labels"])
            scenario = parse_scenario(row["scenario"], source=f"{path}, line {number}")
            yield Labelled(scenario, labels, 0.0, row["signature"], row["effort"])
        except (KeyError, TypeError) as error:
            raise UserError(f"{path}, line {number}: not a labelled scenario ({error})") from error


def find_shards(folder: pathlib.Path) -> list[pathlib.Path]:
    """The scenario shards of a folder in name order.

    Raises:
      UserError: there are none, or one of a numbered set (``-00001-of-00004``) is missing.
    """
    shards = sorted(folder.glob("*.jsonl"))
    if not shards:
        raise UserError(f"{folder}: no scenario shards (*.jsonl); run the author stage first")
    names = {shard.stem for shard in shards}
    for shard in shards:
        match = _SHARD.fullmatch(shard.stem)
        if match is None:
            continue
        for index in range(int(match["count"])):
            wanted = f"{match['name']}-{index:05d}-of-{match['count']}"
            if wanted not in names:
                raise UserError(
                    f"{folder / wanted}.jsonl is missing, though {shard.name} is there; bring it "
                    "back, or author the scenarios again"
                )
    return shards


@contextlib.contextmanager
def _locked(folder: pathlib.Path) -> Iterator[None]:
    """Holds a folder for one job; the lock goes with the process, however it ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise UserError(f"{folder}: cannot write ({error.strerror})") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise UserError(
            f"{folder}: another labelling job is at work here; wait for it, or give another folder"
        ) from None
    try:
        yield
    finally:
        os.close(handle)


def _hash(path: pathlib.Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot read ({error.strerror})") from error


def _check_config(out: pathlib.Path, config: LabelConfig) -> None:
    """Refuses a folder that holds labels made with other settings."""
    now = {"format": FORMAT, **json.loads(json.dumps(dataclasses.asdict(config)))}
    path = out / "state" / "config.json"
    if path.exists():
        try:
            old = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: cannot read ({error}); remove {out} to start over") from error
        changed = [
            f"label.{name}: {old.get(name)!r} there, {now.get(name)!r} now"
            for name in sorted({*old, *now})
            if old.get(name) != now.get(name)
        ]
        if changed:
            raise UserError(f"{out} was labelled with other settings: {'; '.join(changed)}")
    else:
        write_atomic(path, json.dumps(now, indent=2) + "\n")


def _statistics(labelled: list[Labelled]) -> dict[str, Any]:
    """What the summary needs of a shard's labels."""
    labels = [label for one in labelled for label in one.labels]
    return {
        "route": [one.labels[0].route for one in labelled],
        "effort": [one.effort for one in labelled],
        "signature": sorted({one.signature for one in labelled}),
        "kind": [label.kind for label in labels],
        "error": [float(f"{label.error:.6g}") for label in labels],
        "error_101": [float(f"{label.error_101:.6g}") for label in labels],
        "ess": [float(f"{label.ess:.6g}") for label in labels if np.isfinite(label.ess)],
        "information": [float(f"{label.information:.6g}") for label in labels],
    }


def _label_shard(
    shard: pathlib.Path, out: pathlib.Path, config: LabelConfig, bar: Progress, rejected: int
) -> dict[str, Any]:
    """Labels one shard, writes its labels, and returns its record."""
    start = time.perf_counter()
    digest = _hash(shard)
    good: list[tuple[int, Scenario]] = []
    rejects: list[dict[str, Any]] = []
    for place, found in enumerate(read_scenarios(shard)):
        if isinstance(found, Scenario):
            good.append((place, found))
            continue
        reject = Reject(found.document, "bad_document", str(found))
        rejects.append({"shard": shard.stem, "place": place, **dataclasses.asdict(reject)})
    bar.advance(len(rejects), rejects=rejected + len(rejects))

    def advance(count: int, rejects: int = 0) -> None:
        bar.advance(count, rejects=rejected + bad + rejects)

    bad = len(rejects)
    results = label_scenarios([scenario for _, scenario in good], config, advance)
    labelled: list[Labelled] = []
    for (place, _), result in zip(good, results):
        if isinstance(result, Labelled):
            labelled.append(result)
        else:
            row = dataclasses.asdict(result)
            rejects.append({"shard": shard.stem, "place": place, **row})
    rejects.sort(key=lambda row: row["place"])
    target = out / shard.name
    write_jsonl(target, (labelled_row(one) for one in labelled))
    record = {
        "input": digest,
        "output": _hash(target),
        "scenarios": len(labelled) + len(rejects),
        "labelled": len(labelled),
        "rejects": rejects,
        "statistics": _statistics(labelled),
    }
    write_atomic(out / "state" / f"{shard.stem}.json", json.dumps(record, allow_nan=False) + "\n")
    seconds = {"seconds": round(time.perf_counter() - start, 3)}
    write_atomic(out / "state" / f"{shard.stem}.seconds", json.dumps(seconds) + "\n")
    return record


def _finished(shard: pathlib.Path, out: pathlib.Path) -> dict[str, Any] | None:
    """The record of a shard that is done and whole, else None."""
    try:
        text = (out / "state" / f"{shard.stem}.json").read_text(encoding="utf-8")
        record = json.loads(text)
        whole = record["input"] == _hash(shard) and record["output"] == _hash(out / shard.name)
    except (OSError, ValueError, KeyError, TypeError, UserError):
        return None
    return record if whole else None


def _quantiles(values: list[float]) -> dict[str, float]:
    if not values:
        return {}
    levels = (0.05, 0.5, 0.95, 1.0)
    found = np.quantile(np.asarray(values), levels)
    return {f"q{level:g}": float(f"{value:.4g}") for level, value in zip(levels, found)}


def summarise_records(records: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Counts and quantiles over shard records, by shard name."""

    def all_of(name: str) -> list[Any]:
        return [value for r in records.values() for value in r["statistics"][name]]

    def counted(values: list[Any]) -> dict[str, int]:
        return {str(key): count for key, count in sorted(Counter(values).items())}

    by_split: dict[str, dict[str, int]] = {}
    for name, record in records.items():
        match = _SHARD.fullmatch(name)
        split = by_split.setdefault(match["name"] if match else name, Counter())
        split["scenarios"] += record["scenarios"]
        split["labelled"] += record["labelled"]
    reasons = [reject["reason"] for r in records.values() for reject in r["rejects"]]
    return {
        "scenarios": sum(r["scenarios"] for r in records.values()),
        "labelled": sum(r["labelled"] for r in records.values()),
        "rejected": counted(reasons),
        "splits": {name: dict(counts) for name, counts in sorted(by_split.items())},
        "routes": counted(all_of("route")),
        "effort": counted(all_of("effort")),
        "kinds": counted(all_of("kind")),
        "signatures": len(set(all_of("signature"))),
        "error": _quantiles(all_of("error")),
        "error_101": _quantiles(all_of("error_101")),
        "ess": _quantiles(all_of("ess")),
        "information": _quantiles(all_of("information")),
    }


def run_label_job(
    scenario_dir: str | os.PathLike[str],
    out_dir: str | os.PathLike[str],
    config: LabelConfig | None = None,
) -> dict[str, Any]:
    """Labels every shard of a folder.

    Writes ``<out_dir>/<shard>.jsonl`` (one row a labelled scenario, see `read_labelled`),
    ``rejects.jsonl``, ``summary.json``, and ``state/`` with a record and the seconds of each shard.

    Args:
      scenario_dir: folder of ``*.jsonl`` scenario shards.
      out_dir: folder of the labels; made when missing, continued when half done.
      config: settings; a folder of other settings is refused.

    Returns:
      The summary.

    Raises:
      UserError: no or incomplete shards, other settings, another job at work, or a full disk;
        shards finished before stay.

    Example:
      >>> run_label_job("run/scenarios", "run/labels")["labelled"]  # doctest: +SKIP
    """
    config = config or LabelConfig()
    folder, out = pathlib.Path(scenario_dir), pathlib.Path(out_dir)
    shards = find_shards(folder)
    with _locked(out):
        _check_config(out, config)
        sizes = {shard.stem: _count_lines(shard) for shard in shards}
        records: dict[str, dict[str, Any]] = {}
        rejected = 0
        with Progress("label", sum(sizes.values()), "scenario") as bar:
            for shard in shards:
                record = _finished(shard, out)
                if record is not None:
                    bar.advance(sizes[shard.stem], rejects=rejected + len(record["rejects"]))
                else:
                    record = _label_shard(shard, out, config, bar, rejected)
                records[shard.stem] = record
                rejected += len(record["rejects"])
        write_jsonl(out / "rejects.jsonl", (row for r in records.values() for row in r["rejects"]))
        summary = summarise_records(records)
        write_atomic(out / "summary.json", json.dumps(summary, indent=2, allow_nan=False) + "\n")
    return summary


def _count_lines(path: pathlib.Path) -> int:
    try:
        with open(path, "rb") as file:
            return sum(1 for line in file if line.strip())
    except OSError as error:
        raise UserError(f"{path}: cannot read ({error.strerror})") from error
