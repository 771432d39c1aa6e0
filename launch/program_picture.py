"""The program of a scenario as a graph: inline SVG, parents above children."""

from __future__ import annotations

from ppt_jax.evaluation.svg import escape
from ppt_jax.scenario.document import Scenario, observed_draw
from ppt_jax.scenario.expression import Draw, Index, Name, Prev, walk

MOST_NODES = 60
_ROW, _GAP, _HEIGHT, _LETTER = 4, 16, 38, 7.2


def parents(scenario: Scenario) -> dict[str, tuple[str, ...]]:
    """The nodes that each node's formula names, in order; a step back to itself is left out.

    Example:
      >>> from ppt_jax.scenario.document import parse_scenario
      >>> s = parse_scenario({
      ...     "schema": "scenario/1", "id": "coin-1", "motif": "coin", "story": "A coin.",
      ...     "model": [{"name": "p", "kind": "draw", "expr": "beta(a=1, b=1)"},
      ...               {"name": "heads", "kind": "draw", "expr": "successes(n=10, p=p)"}],
      ...     "ask": [{"id": "q1", "kind": "chance", "expr": "p", "text": "Heads next?"}]})
      >>> parents(s)
      {'p': (), 'heads': ('p',)}
    """
    names = {node.name for node in scenario.model}
    found: dict[str, tuple[str, ...]] = {}
    for node in scenario.model:
        used: dict[str, None] = {}
        for part in walk(node.formula):
            if isinstance(part, Name | Index | Prev) and part.name in names - {node.name}:
                used[part.name] = None
        found[node.name] = tuple(used)
    return found


def program_svg(scenario: Scenario) -> str:
    """The graph: draws round, lets square, observed draws filled; a note where it is too large."""
    if len(scenario.model) > MOST_NODES:
        return f'<p class="none">{len(scenario.model)} quantities: too many for a picture.</p>'
    above = parents(scenario)
    seen = set()
    for given in scenario.given:
        observed = observed_draw(scenario, given.formula)
        if observed is not None:
            seen.add(observed[0].name)
    depth: dict[str, int] = {}
    for node in scenario.model:
        depth[node.name] = 1 + max((depth[name] for name in above[node.name]), default=-1)
    rows: list[list[str]] = []
    for level in range(max(depth.values()) + 1):
        layer = [name for name in depth if depth[name] == level]
        rows += [layer[k : k + _ROW] for k in range(0, len(layer), _ROW)]
    words: dict[str, tuple[str, str]] = {}
    for node in scenario.model:
        family = node.formula.family if isinstance(node.formula, Draw) else "let"
        per = f" / {', '.join(node.per)}" if node.per else ""
        words[node.name] = (node.name, family + per)
    wide = {name: _LETTER * max(map(len, text)) + 22 for name, text in words.items()}
    widths = [sum(wide[name] for name in row) + _GAP * (len(row) - 1) for row in rows]
    width, height = max(widths) + 8, len(rows) * (_HEIGHT + 34) - 26
    place: dict[str, tuple[float, float]] = {}
    for number, row in enumerate(rows):
        x = (width - widths[number]) / 2
        for name in row:
            place[name] = (x + wide[name] / 2, 4 + number * (_HEIGHT + 34))
            x += wide[name] + _GAP
    marks = []
    for name, sources in above.items():
        for source in sources:
            (x1, y1), (x2, y2) = place[source], place[name]
            y1, y2 = y1 + _HEIGHT, y2 - 2
            bend = (y1 + y2) / 2
            path = f"M{x1:.1f} {y1:.1f}C{x1:.1f} {bend:.1f} {x2:.1f} {bend:.1f} {x2:.1f} {y2:.1f}"
            marks.append(f'<path class="edge" d="{path}"/>')
    for node in scenario.model:
        (x, y), size = place[node.name], wide[node.name]
        name, below = words[node.name]
        role = "let" if node.kind == "let" else "seen" if node.name in seen else "draw"
        radius = 4 if role == "let" else _HEIGHT / 2
        marks.append(
            f'<g class="{role}"><title>{escape(f"{name} = {node.expr}")}</title>'
            f'<rect x="{x - size / 2:.1f}" y="{y}" width="{size:.1f}" height="{_HEIGHT}" '
            f'rx="{radius}"/><text x="{x:.1f}" y="{y + 16}" class="row">{escape(name)}</text>'
            f'<text x="{x:.1f}" y="{y + 30}" class="tick">{escape(below)}</text></g>'
        )
    return (
        f'<div class="scroll"><svg class="program" role="img" viewBox="0 0 {width:.0f} {height}" '
        f'style="width:{width:.0f}px"><title>Program of {escape(scenario.id)}</title>'
        f"{''.join(marks)}</svg></div>"
    )
