"""Faults of evidence, questions and meaning, planted into a document."""

from __future__ import annotations

import dataclasses
import re

from ppt_jax.scenario import syntax as sx
from ppt_jax.scenario.expression import parse_expression, print_expression
from scripts.fault_changes import (
    Data,
    Rng,
    choose,
    in_formula,
    members,
    observed,
)

# -- evidence ------------------------------------------------------------------------------------


def forgotten(data: Data, rng: Rng) -> Data | None:
    if len(data["given"]) < 2:
        return None
    data["given"].pop(int(rng.integers(len(data["given"]))))
    return data


def contradicted(data: Data, rng: Rng) -> Data | None:
    """The contrary of a fact is entered too."""
    for row in data["given"]:
        formula = parse_expression(row["that"], kind="given")
        if isinstance(formula, sx.Compare) and formula.op in "<>":
            turned = dataclasses.replace(formula, op="<" if formula.op == ">" else ">")
            data["given"].append({"that": print_expression(turned), "says": row["says"]})
            return data
    return None


def far_off(data: Data, rng: Rng) -> Data | None:
    """An observation ten times as large, told like that."""
    found = choose(rng, [f for f in observed(data) if isinstance(f[1].right, sx.Number)
                          and f[1].right.value > 2])  # fmt: skip
    if found is None:
        return None
    row, formula = found
    old, new = f"{formula.right.value:g}", f"{formula.right.value * 40:g}"
    if not re.search(rf"(?<![\d.]){re.escape(old)}(?![\d.])", row["says"]):
        return None
    says = re.sub(rf"(?<![\d.]){re.escape(old)}(?![\d.])", new, row["says"], count=1)
    data["story"] = data["story"].replace(row["says"], says, 1)
    row["says"] = says
    row["that"] = print_expression(dataclasses.replace(formula, right=sx.Number(float(new))))
    return data


def inverted_contest(data: Data, rng: Rng) -> Data | None:
    rows = []
    for row in data["given"]:
        formula = parse_expression(row["that"], kind="given")
        if isinstance(formula, sx.Compare) and formula.op in "<>":
            turned: sx.Expr = dataclasses.replace(formula, op="<" if formula.op == ">" else ">")
            rows.append((row, turned))
        elif isinstance(formula, sx.Beats):
            rows.append((row, dataclasses.replace(formula, left=formula.right, right=formula.left)))
    found = choose(rng, rows)
    if found is None:
        return None
    found[0]["that"] = print_expression(found[1])
    return data


def inverted_observation(data: Data, rng: Rng) -> Data | None:
    draws = {node["name"] for node in data["model"] if node["expr"].startswith("yes(")}
    rows = [
        (row, formula)
        for row, formula in observed(data)
        if getattr(formula.left, "name", "") in draws and isinstance(formula.right, sx.Number)
    ]
    found = choose(rng, rows)
    if found is None:
        return None
    row, formula = found
    turned = dataclasses.replace(formula, right=sx.Number(1.0 - formula.right.value))
    row["that"] = print_expression(turned)
    return data


def doubled(data: Data, rng: Rng) -> Data | None:
    """One observation counted as two: a second draw like the first, seen alike."""
    plain = {
        node["name"]: node for node in data["model"] if node["kind"] == "draw" and not node["per"]
    }
    rows = [(r, f) for r, f in observed(data) if getattr(f.left, "name", "") in plain]
    found = choose(rng, rows)
    if found is None:
        return None
    row, formula = found
    node = plain[formula.left.name]  # type: ignore[union-attr]
    data["model"].append({**node, "name": "seen_again", "says": ""})
    data["given"].append({"that": row["that"].replace(node["name"], "seen_again", 1),
                          "says": row["says"]})  # fmt: skip
    return data


def unlinked(data: Data, rng: Rng) -> Data | None:
    """What is observed no longer depends on anything: its parents are replaced by a told number."""
    seen = {getattr(formula.left, "name", "") for _, formula in observed(data)}
    first = parse_expression(data["model"][0]["expr"], kind=data["model"][0]["kind"])
    if not isinstance(first, sx.Draw) or first.family != "normal":
        return None
    mean = dict(first.args)["mean"]
    if not isinstance(mean, sx.Number):
        return None
    for node in data["model"]:
        formula = parse_expression(node["expr"], kind=node["kind"])
        if node["name"] in seen and isinstance(formula, sx.Draw) and formula.family == "normal":
            args = tuple((k, mean if k == "mean" else v) for k, v in formula.args)
            node["expr"] = print_expression(dataclasses.replace(formula, args=args))
            return data
    return None


# -- questions -----------------------------------------------------------------------------------


def range(data: Data, rng: Rng) -> Data | None:
    row = choose(rng, [a for a in data["ask"] if a["kind"] == "value"])
    if row is None:
        return None
    width = row["high"] - row["low"]
    row["low"], row["high"] = row["high"] + width, row["high"] + 2 * width
    return data


def reversed_range(data: Data, rng: Rng) -> Data | None:
    row = choose(rng, [a for a in data["ask"] if a["kind"] == "value"])
    if row is None:
        return None
    row["low"], row["high"] = row["high"], row["low"]
    return data


def asks_elsewhere(data: Data, rng: Rng) -> Data | None:
    """A question about a quantity that has nothing to do with what was seen."""
    row = choose(rng, [a for a in data["ask"] if a["kind"] in ("value", "rank")])
    if row is None:
        return None
    middle, spread = (row["low"] + row["high"]) / 2, (row["high"] - row["low"]) / 8
    expr = f"normal(mean={middle:.6g}, sd={spread:.6g})"
    data["model"].append({"name": "elsewhere", "per": [], "kind": "draw", "expr": expr,
                          "unit": row["unit"], "says": ""})  # fmt: skip
    row["expr"] = "elsewhere"
    return data


def given_away(data: Data, rng: Rng) -> Data | None:
    row = choose(rng, [a for a in data["ask"] if a["kind"] == "choice"])
    fact = choose(rng, [g for g in data["given"] if not g["that"].startswith("beats(")])
    if row is None or fact is None:
        return None
    row.update(expr=fact["that"], options=["no", "yes"])
    try:
        parse_expression(row["expr"], kind="ask")
    except ValueError:
        return None
    return data


def turned_question(data: Data, rng: Rng) -> Data | None:
    for row in data["ask"]:
        formula = parse_expression(row["expr"], kind="ask")
        if (
            row["kind"] == "choice"
            and row["options"] == ["no", "yes"]
            and isinstance(formula, sx.Compare)
            and formula.op in "<>"
        ):
            turned = dataclasses.replace(formula, op="<" if formula.op == ">" else ">")
            row["expr"] = print_expression(turned)
            return data
    return None


def other_threshold(data: Data, rng: Rng) -> Data | None:
    for row in data["ask"]:
        formula = parse_expression(row["expr"], kind="ask")
        if (
            row["kind"] == "choice"
            and isinstance(formula, sx.Compare)
            and isinstance(formula.right, sx.Number)
            and formula.right.value > 2
        ):
            moved = sx.Number(float(f"{formula.right.value * 1.3 + 1:.4g}"))
            row["expr"] = print_expression(dataclasses.replace(formula, right=moved))
            return data
    return None


def options(data: Data, rng: Rng) -> Data | None:
    rows = [a for a in data["ask"] if a["kind"] == "choice" and len(a["options"]) > 1
            and a["options"] != ["no", "yes"]]  # fmt: skip
    row = choose(rng, rows)
    if row is None:
        return None
    row["options"] = row["options"][::-1]
    return data


def no_yes(data: Data, rng: Rng) -> Data | None:
    """The options "yes", "no", in which the first stands for false."""
    row = choose(rng, [a for a in data["ask"] if a["options"] == ["no", "yes"]])
    if row is None:
        return None
    row["options"] = ["yes", "no"]
    return data


def strange_option(data: Data, rng: Rng) -> Data | None:
    rows = [a for a in data["ask"] if a["kind"] == "choice" and len(a["options"]) == 2]
    row = choose(rng, rows)
    if row is None:
        return None
    row["options"] = [row["options"][0], "Zebulon"]
    return data


# -- meaning -------------------------------------------------------------------------------------


def branches(part: sx.Expr) -> sx.Expr | None:
    if isinstance(part, sx.IfElse) and part.then != part.orelse:
        return dataclasses.replace(part, then=part.orelse, orelse=part.then)
    return None


def one_regime(part: sx.Expr) -> sx.Expr | None:
    return part.orelse if isinstance(part, sx.IfElse) else None


def earlier(part: sx.Expr) -> sx.Expr | None:
    if isinstance(part, sx.Compare) and part.op in ("<", ">"):
        return dataclasses.replace(part, op={"<": ">", ">": "<"}[part.op])
    return None


def off_by_one(part: sx.Expr) -> sx.Expr | None:
    if isinstance(part, sx.Compare) and part.op in ("<", "<=") and isinstance(part.right, sx.Name):
        return dataclasses.replace(part, op={"<": "<=", "<=": "<"}[part.op])
    return None


def minus(part: sx.Expr) -> sx.Expr | None:
    if isinstance(part, sx.Binary) and part.op == "+" and not isinstance(part.right, sx.Number):
        return dataclasses.replace(part, op="-")
    return None


def times(part: sx.Expr) -> sx.Expr | None:
    if isinstance(part, sx.Binary) and part.op == "*" and not isinstance(part.right, sx.Number):
        return dataclasses.replace(part, op="/")
    return None


def whole_set(part: sx.Expr) -> sx.Expr | None:
    if isinstance(part, sx.Reduce):
        other = "average" if part.function == "total" else "total"
        return dataclasses.replace(part, function=other)
    return None


def and_or(part: sx.Expr) -> sx.Expr | None:
    if isinstance(part, sx.Logic):
        return dataclasses.replace(part, op="or" if part.op == "and" else "and")
    return None


def same_for_all(data: Data, rng: Rng) -> Data | None:
    """Every element uses the first member's value."""
    sets = members(data)

    def change(part: sx.Expr) -> sx.Expr | None:
        if not isinstance(part, sx.Index):
            return None
        indices = tuple(
            sx.Label(sets[i.name][0]) if isinstance(i, sx.Name) and i.name in sets else i
            for i in part.indices
        )
        return dataclasses.replace(part, indices=indices)

    return in_formula(change, "model")(data, rng)
