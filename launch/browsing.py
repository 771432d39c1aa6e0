"""Reads a work folder, writes the pages of its scenarios, serves them on loopback."""

from __future__ import annotations

import functools
import http.server
import math
import pathlib
from collections.abc import Iterator
from typing import Any

from ppt_jax.errors import UserError
from ppt_jax.storage import read_jsonl, write_atomic


def _shards(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(path for path in folder.glob("*.jsonl") if path.stem != "rejects")


def read_rows(workdir: pathlib.Path) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Yields documents with their labels; those of scenarios/ that no label has come last."""
    seen: set[str] = set()
    for path in _shards(workdir / "labels"):
        for _, row in read_jsonl(path):
            if isinstance(row, dict) and isinstance(row.get("scenario"), dict):
                seen.add(str(row["scenario"].get("id")))
                yield row["scenario"], row.get("labels") or []
    for folder in (workdir / "scenarios", workdir):
        for path in _shards(folder):
            for _, row in read_jsonl(path):
                if isinstance(row, dict) and "schema" in row and str(row.get("id")) not in seen:
                    yield row, []


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
    from ppt_jax.scenario.document import parse_scenario
    from ppt_jax.scenario.errors import ScenarioError

    answers = read_answers(workdir)
    entries: list[Entry] = []
    refused = 0
    for document, labels in read_rows(workdir):
        if limit and len(entries) >= limit:
            break
        try:
            scenario = parse_scenario(document)
        except ScenarioError:
            refused += 1
            continue
        own = {a.id: answers.get(f"{scenario.id}/{a.id}", {}) for a in scenario.ask}
        entries.append(Entry(scenario, {str(row["ask_id"]): row for row in labels}, own))
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
    note = f"{labelled:,} with labels" + (f", {refused:,} unsound left out" if refused else "")
    write_atomic(out / "index.html", index_page(entries, per_page, note))
    return len(entries)


def serve(folder: pathlib.Path, port: int) -> http.server.ThreadingHTTPServer:
    """A server of a folder on the loopback address; the caller runs and closes it.

    Raises:
      UserError: the port is taken.
    """
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    try:
        return http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    except (OSError, OverflowError) as error:
        raise UserError(f"--port={port}: cannot listen there ({error})") from None
