"""Small documents for tests."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Sequence
from typing import Any

DOCUMENTS = pathlib.Path(__file__).with_name("documents")
WORKED = ("kiln-crack-01", "rowing-pairs-07", "ferry-bells-12")


def worked(name: str) -> dict[str, Any]:
    """One of the worked examples, as a JSON object of one's own."""
    return json.loads((DOCUMENTS / f"{name}.json").read_text(encoding="utf-8"))


def node(name: str, expr: str, per: Sequence[str] = (), unit: str = "") -> dict[str, Any]:
    """A draw where the formula is a whole distribution, else a let."""
    head = expr.partition("(")[0]
    families = "normal lognormal gamma beta share uniform wait robust count successes yes pick"
    kind = "draw" if head in families.split() else "let"
    return {"name": name, "per": list(per), "kind": kind, "expr": expr, "unit": unit}


def ask(kind: str, expr: str, id: str = "q1", **fields: Any) -> dict[str, Any]:
    row = {"id": id, "kind": kind, "expr": expr, "text": "How is it?"}
    if kind == "value":
        row |= {"low": 0, "high": 100}
    return row | fields


def document(
    *model: dict[str, Any],
    given: Sequence[str] = (),
    asks: Sequence[dict[str, Any]] = (),
    sets: dict[str, Sequence[str]] | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """A whole document; without asks it asks for the first node's rank."""
    first = model[0]["name"] if model else "x"
    return {
        "schema": "scenario/1",
        "id": "test-1",
        "motif": "test",
        "story": "Something happened.",
        "sets": [{"name": n, "members": list(m)} for n, m in (sets or {}).items()],
        "model": list(model),
        "given": [{"that": that} for that in given],
        "ask": list(asks) or [ask("rank", first)],
    } | fields
