"""Pieces of the HTML page: tables, download links, nested summaries. All text is escaped."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from ppt_jax.evaluation.svg import escape


def csv_link(name: str, text: str) -> str:
    """A download link that carries a CSV file in its address."""
    data = base64.b64encode(text.encode()).decode()
    return (
        f'<a class="data" download="{escape(name)}.csv" href="data:text/csv;base64,{data}">'
        "data (CSV)</a>"
    )


def html_table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> str:
    """A table; cells of ``rows`` are HTML already, the first cell of a row is its heading."""
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>'
        + "".join(f"<td>{cell}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    note = f'<p class="caption">{escape(caption)}</p>' if caption else ""
    label = f' aria-label="{escape(caption)}"' if caption else ""
    return (
        f'{note}<div class="scroll" tabindex="0"><table{label}><thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def plain(value: Any) -> str:
    """A value of the header or a summary as text."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {plain(inner)}" for key, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(plain, value))
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def describe(data: Mapping[str, Any], depth: int = 0) -> str:
    """HTML of a nested mapping: single values as a card, mappings of numbers as bars."""
    single, nested = [], []
    for key, value in data.items():
        title = escape(str(key).replace("_", " "))
        if isinstance(value, Mapping) and value:
            numbers = all(
                isinstance(v, int | float) and not isinstance(v, bool) for v in value.values()
            )
            if numbers:
                nested.append(f"<div><h3>{title}</h3>{_bars(value)}</div>")
            elif depth < 3:
                nested.append(f"<div><h3>{title}</h3>{describe(value, depth + 1)}</div>")
        elif not isinstance(value, Mapping) and value is not None:
            text = plain(value)
            text = text if len(text) <= 300 else text[:299] + "\u2026"
            single.append(f"<div><dt>{title}</dt><dd>{escape(text)}</dd></div>")
    card = f'<dl class="card">{"".join(single)}</dl>' if single else ""
    return card + (f'<div class="columns">{"".join(nested)}</div>' if nested else "")


def _bars(values: Mapping[str, float], limit: int = 40) -> str:
    shown = list(values.items())[:limit]
    top = max((abs(float(value)) for _, value in shown), default=0.0) or 1.0
    cells = "".join(
        f"<span>{escape(str(key).replace('_', ' '))}</span>"
        f'<i style="width:{100 * abs(float(value)) / top:.1f}%"></i><b>{escape(plain(value))}</b>'
        for key, value in shown
    )
    more = len(values) - len(shown)
    rest = f'<p class="none">and {more} more</p>' if more > 0 else ""
    return f'<div class="bars">{cells}</div>{rest}'
