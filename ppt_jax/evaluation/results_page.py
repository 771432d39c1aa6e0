"""A page of tables from `results.json` alone: what benchmarks without item distributions leave."""

from __future__ import annotations

import html
import importlib.resources
import os
import pathlib
import string
from collections.abc import Mapping, Sequence
from typing import Any

from ppt_jax.evaluation.findings import number, with_interval
from ppt_jax.evaluation.page import csv_link, html_table, plain
from ppt_jax.evaluation.results import ALL, Results, Row, results_csv
from ppt_jax.evaluation.svg import escape
from ppt_jax.storage import write_atomic

_HEAD = ("metric", "value", "items (clusters)", "not parsed", "null 95%", "floor", "ceiling")


def _groups(rows: Sequence[Row]) -> dict[str, dict[str, list[Row]]]:
    """Rows by what they are about (task, split, kind), then by model."""
    groups: dict[str, dict[str, list[Row]]] = {}
    for row in rows:
        parts = [row["task"], row["split"], "" if row["kind"] == ALL else row["kind"]]
        title = ", ".join(dict.fromkeys(part for part in parts if part)) or "results"
        groups.setdefault(title, {}).setdefault(row["model"], []).append(row)
    return groups


def _name(row: Row) -> str:
    arrow = {True: " \u2191", False: " \u2193"}.get(row["higher_is_better"], "")
    extra = [f"{key} {value}" for key, value in row["params"].items()]
    extra += [row["readout"]] if row["readout"] else []
    return row["metric"] + arrow + (f" ({', '.join(map(str, extra))})" if extra else "")


def _cells(row: Row) -> list[str]:
    items = f"{row['n']} ({row['n_clusters']})"
    return [
        with_interval(row),
        items,
        str(row["n_parse_fail"]),
        number(row["null_q95"]),
        number(row["floor"]),
        number(row["ceiling"]),
    ]


def _facts(run: Mapping[str, Any]) -> dict[str, str]:
    return {str(key): plain(value)[:300] for key, value in run.items() if value not in (None, {})}


def write_results_page(
    folder: str | os.PathLike[str], results: Results, title: str = "Results"
) -> tuple[str, str]:
    """Writes `report.html` and `report.md` with the tables of stored results.

    Args:
      folder: made when missing.
      results: from `results.read_results`.
      title: of the page.

    Returns:
      The two paths.
    """
    folder = pathlib.Path(folder)
    card = "".join(
        f"<div><dt>{escape(key)}</dt><dd>{escape(value)}</dd></div>"
        for key, value in _facts(results.run).items()
    )
    body = [
        '<p class="kicker">ppt_jax \u00b7 results</p>',
        f"<h1>{escape(title)}</h1>",
        f'<dl class="card">{card}</dl>' if card else "",
        f"<p>All rows: {csv_link('results', results_csv(results.rows))}</p>",
    ]
    lines = [f"# {_text(title)}\n"]
    if results.run:
        lines.append(_markdown(("run", ""), [[k, v] for k, v in _facts(results.run).items()]))
    if not results.rows:
        body.append('<p class="none">There are no rows.</p>')
        lines.append("There are no rows.\n")
    for name, models in _groups(results.rows).items():
        body.append(f"<h2>{escape(name)}</h2>")
        lines.append(f"## {_text(name)}\n")
        for model, rows in models.items():
            cells = [[escape(cell) for cell in (_name(row), *_cells(row))] for row in rows]
            body.append(f"<h3>{escape(model)}</h3>" + html_table(_HEAD, cells))
            table = [[_name(row), *_cells(row)] for row in rows]
            lines.append(f"### {_text(model)}\n\n" + _markdown(_HEAD, table))
    body.append("<footer>Definitions are in docs/evaluation.md and docs/benchmarks.md.</footer>")
    template = importlib.resources.files("ppt_jax.evaluation").joinpath("template.html")
    page = string.Template(template.read_text(encoding="utf-8"))
    text = page.substitute(title=escape(title), body="\n".join(body))
    write_atomic(folder / "report.html", text)
    write_atomic(folder / "report.md", "\n".join(lines))
    return str(folder / "report.html"), str(folder / "report.md")


def _text(value: object) -> str:
    return html.escape(" ".join(str(value).split()), quote=False).replace("|", "\\|")


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    lines += ["| " + " | ".join(map(_text, row)) + " |" for row in rows]
    return "\n".join(lines) + "\n"
