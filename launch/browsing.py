"""Reads a work folder, writes the pages of its scenarios, serves them on loopback."""

from __future__ import annotations

import functools
import http.server
import json
import math
import pathlib
from collections.abc import Iterator
from typing import Any

from ppt_jax.errors import UserError
from ppt_jax.scenario.document import Scenario, parse_scenario, read_scenarios
from ppt_jax.scenario.errors import ScenarioError
from ppt_jax.storage import MAX_LINE, write_atomic

MOST_ANSWERS = 101


def _shards(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(path for path in folder.glob("*.jsonl") if path.stem != "rejects")


def read_rows(
    workdir: pathlib.Path,
) -> Iterator[tuple[Scenario | ScenarioError, dict[str, dict[str, Any]]]]:
    """Yields scenarios with their labels by ask; those of scenarios/ that no label has come last.

    A line that is no sound scenario yields its error.
    """
    seen: set[str] = set()
    for path in _shards(workdir / "labels"):
        for row in _objects(path):
            try:
                if not isinstance(row, dict) or not isinstance(row.get("scenario"), dict):
                    raise ScenarioError("not a labelled scenario", source=str(path))
                scenario = parse_scenario(row["scenario"], source=str(path))
            except ScenarioError as error:
                yield error, {}
                continue
            seen.add(scenario.id)
            yield scenario, _labels(row.get("labels"))
    for folder in (workdir / "scenarios", workdir):
        for path in _shards(folder):
            for found in read_scenarios(path):
                if isinstance(found, ScenarioError) or found.id not in seen:
                    yield found, {}


def _objects(path: pathlib.Path) -> Iterator[Any]:
    """The rows of a file, None for one that is not JSON."""
    try:
        with open(path, "rb") as file:
            while line := file.readline(MAX_LINE + 1):
                try:
                    yield json.loads(line) if len(line) <= MAX_LINE else None
                except (ValueError, RecursionError):
                    yield None
    except OSError as error:
        raise UserError(f"{path}: cannot read ({error.strerror})") from error


def _labels(rows: Any) -> dict[str, dict[str, Any]]:
    """What pages show of labels, by ask, each value of the type that they need or left out."""
    found = {}
    for row in rows if isinstance(rows, list) else []:
        if not isinstance(row, dict) or not isinstance(row.get("ask_id"), str):
            continue
        kept: dict[str, Any] = {}
        for key in ("probs", "prior_probs"):
            values = row.get(key)
            if isinstance(values, list) and all(map(_share, values)):
                kept[key] = values[:MOST_ANSWERS]
        for key in ("error", "information"):
            if _finite(row.get(key)):
                kept[key] = float(row[key])
        if isinstance(row.get("route"), str):
            kept["route"] = row["route"][:40]
        if isinstance(row.get("true_answer"), int) and abs(row["true_answer"]) < MOST_ANSWERS:
            kept["true_answer"] = row["true_answer"]
        found[row["ask_id"]] = kept
    return found


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15


def _share(value: Any) -> bool:
    return _finite(value) and 0 <= value <= 1.0001


def read_answers(workdir: pathlib.Path) -> dict[str, dict[str, list[float]]]:
    """Item id -> model -> probabilities, of evaluation/items.jsonl where it is there."""
    path = workdir / "evaluation" / "items.jsonl"
    found: dict[str, dict[str, list[float]]] = {}
    if not path.exists():
        return found
    from ppt_jax.evaluation.item_files import read_items

    for item in read_items(path):
        weights = [math.exp(x) if math.isfinite(x) else 0.0 for x in item.logp_K.tolist()]
        total = sum(weights) or 1.0
        found.setdefault(item.item_id, {})[item.model] = [w / total for w in weights]
    return found


def browse(workdir: pathlib.Path, out: pathlib.Path, per_page: int = 20, limit: int = 0) -> int:
    """Writes the pages.

    Args:
      workdir: with labels/ or scenarios/, or itself a folder of scenario shards.
      out: folder of the pages.
      per_page: scenarios on one page.
      limit: at most so many scenarios, 0 for all.

    Returns:
      How many scenarios are on the pages.

    Raises:
      UserError: no scenarios, or files that cannot be read.
    """
    from launch.scenario_page import Entry, index_page, scenarios_page

    answers = read_answers(workdir)
    entries: list[Entry] = []
    refused: list[ScenarioError] = []
    for scenario, labels in read_rows(workdir):
        if limit and len(entries) >= limit:
            break
        if isinstance(scenario, ScenarioError):
            refused.append(scenario)
            continue
        own = {a.id: answers.get(f"{scenario.id}/{a.id}", {}) for a in scenario.ask}
        entries.append(Entry(scenario, labels, own))
    if not entries and refused:
        raise UserError(f"{workdir}: none of {len(refused):,} lines is sound; first {refused[0]}")
    if not entries:
        raise UserError(f"{workdir}: no scenarios in labels/, scenarios/ or the folder itself")
    pages = math.ceil(len(entries) / per_page)
    for number in range(pages):
        part = entries[number * per_page : (number + 1) * per_page]
        text = scenarios_page(part, number * per_page, number, pages)
        write_atomic(out / f"page-{number:05d}.html", text)
    for path in out.glob("page-*.html"):
        if path.stem[5:].isdigit() and int(path.stem[5:]) >= pages:
            path.unlink()
    labelled = sum(bool(one.labels) for one in entries)
    note = f"{labelled:,} with labels" + (f", {len(refused):,} unsound left out" if refused else "")
    write_atomic(out / "index.html", index_page(entries, per_page, note))
    return len(entries)


class _Pages(http.server.SimpleHTTPRequestHandler):
    """Serves a folder to this machine's own browser only.

    A page from elsewhere that has its own name point to 127.0.0.1 asks under that name.
    """

    def send_head(self) -> Any:
        host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        if host not in ("127.0.0.1", "localhost", "[::1]"):
            self.send_error(403, "asked under a foreign name")
            return None
        return super().send_head()


def serve(folder: pathlib.Path, port: int) -> http.server.ThreadingHTTPServer:
    """A server of a folder on the loopback address; the caller runs and closes it.

    Raises:
      UserError: the port is taken.
    """
    handler = functools.partial(_Pages, directory=str(folder))
    try:
        return http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    except (OSError, OverflowError) as error:
        raise UserError(f"--port={port}: cannot listen there ({error})") from None
