"""Faults of telling and of single formulas, planted into a document."""

from __future__ import annotations

import dataclasses
import re

from ppt_jax.authoring.language import split_sentences
from ppt_jax.authoring.wording import read_numbers
from ppt_jax.scenario import syntax as sx
from ppt_jax.scenario.expression import parse_expression, print_expression, walk
from scripts.fault_changes import (
    Data,
    Plant,
    Rng,
    choose,
    constant,
    formulas,
    in_formula,
    members,
    observed,
    replaced,
)

# -- program -------------------------------------------------------------------------------------


def misspell(data: Data, rng: Rng) -> Data | None:
    names = {node["name"] for node in data["model"] if len(node["name"]) > 2}
    places = [
        (row, key, name)
        for row, key, _ in formulas(data)
        for name in sorted(names)
        if re.search(rf"\b{name}\b", row[key])
    ]
    place = choose(rng, places)
    if place is None:
        return None
    row, key, name = place
    row[key] = re.sub(rf"\b{name}\b", name[:-2] + name[-1], row[key], count=1)
    return data


def later(data: Data, rng: Rng) -> Data | None:
    first, rest = data["model"][0], data["model"][1:]
    if not any(re.search(rf"\b{first['name']}\b", node["expr"]) for node in rest):
        return None
    data["model"] = [*rest, first]
    return data


def label(part: sx.Expr) -> sx.Expr | None:
    return sx.Label("Zebulon") if isinstance(part, sx.Label) else None


def percent(part: sx.Expr) -> sx.Expr | None:
    value = constant(part)
    return sx.Number(100 * value) if value is not None and 0.01 < value < 1 else None


def unit(data: Data, rng: Rng) -> Data | None:
    row = choose(rng, [a for a in data["ask"] if a["kind"] == "value" and a["unit"]])
    if row is None:
        return None
    row["unit"] = "furlongs"
    return data


def chance_of_fact(data: Data, rng: Rng) -> Data | None:
    row = choose(rng, [a for a in data["ask"] if a["kind"] == "choice"])
    if row is None:
        return None
    row.update(kind="chance", options=[])
    return data


def seen_twice(data: Data, rng: Rng) -> Data | None:
    found = choose(rng, observed(data))
    if found is None:
        return None
    data["given"].append(dict(found[0]))
    return data


# -- telling -------------------------------------------------------------------------------------


def parameters(left: str, right: str, family: str) -> Plant:
    """Two arguments of a draw interchanged."""

    def apply(part: sx.Expr) -> sx.Expr | None:
        if not isinstance(part, sx.Draw) or part.family != family:
            return None
        found = dict(part.args)
        a, b = found[left], found[right]
        if constant(a) is None or constant(b) is None or a == b:
            return None
        return dataclasses.replace(part, args=((left, b), (right, a), *part.args[2:]))

    return in_formula(apply, "model")


def observations_swapped(data: Data, rng: Rng) -> Data | None:
    found = observed(data)
    pairs = [
        (a, b)
        for i, (a, x) in enumerate(found)
        for b, y in found[i + 1 :]
        if getattr(x.left, "name", 0) == getattr(y.left, "name", 1) and x.right != y.right
        and isinstance(x.right, sx.Number) and isinstance(y.right, sx.Number)
    ]  # fmt: skip
    pair = choose(rng, pairs)
    if pair is None:
        return None
    a, b = pair
    (left_a, right_a), (left_b, right_b) = (row["that"].split("==") for row in pair)
    a["that"], b["that"] = f"{left_a}=={right_b}", f"{left_b}=={right_a}"
    return data


def nodes_swapped(data: Data, rng: Rng) -> Data | None:
    """A told number of one node against one of another."""
    places = []
    for row, key, kind in formulas(data, "model"):
        formula = parse_expression(row[key], kind=kind)
        told = {r.value for r in read_numbers(row["says"])}
        for part in walk(formula):
            value = constant(part)
            if value is not None and value != 2 and value in told:
                places.append((row, key, formula, part, value < 1))
    pairs = [
        (p, q)
        for i, p in enumerate(places)
        for q in places[i + 1 :]
        if p[0] is not q[0] and p[4] == q[4] and p[3] != q[3] and p[0]["says"] != q[0]["says"]
    ]
    pair = choose(rng, pairs)
    if pair is None:
        return None
    (a, key, fa, pa, _), (b, _, fb, pb, _) = pair
    a[key] = print_expression(replaced(fa, pa, dataclasses.replace(pb)))
    b[key] = print_expression(replaced(fb, pb, dataclasses.replace(pa)))
    return data


def story_number(data: Data, rng: Rng) -> Data | None:
    """One number of the story, and of the spans that quote it, is another."""
    numbers = [r for r in read_numbers(data["story"]) if data["story"][r.start].isdigit()]
    found = choose(rng, [r for r in numbers if r.value > 2])
    if found is None:
        return None
    old = data["story"][found.start : found.end]
    digits = re.match(r"\d+", old)
    if digits is None:
        return None
    new = str(int(digits[0]) + 7) + old[digits.end() :]
    before = data["story"]
    data["story"] = before[: found.start] + new + before[found.end :]
    for row in (*data["model"], *data["given"]):
        at = before.find(row["says"]) if row["says"] else -1
        if 0 <= at <= found.start < at + len(row["says"]):
            row["says"] = data["story"][at : at + len(row["says"]) + len(new) - len(old)]
    return data


def told_again(data: Data, rng: Rng) -> Data | None:
    """A number is told a second time, differently, in the same words' sentence."""
    found = choose(rng, observed(data))
    if found is None or not isinstance(found[1].right, sx.Number):
        return None
    row, formula = found
    value = formula.right.value
    if value < 3 or row["says"] not in data["story"]:
        return None
    says = f"{row['says']} (or {value + 13:g}, as someone noted)"
    data["story"] = data["story"].replace(row["says"], says, 1)
    row["says"] = says
    return data


def paraphrase(data: Data, rng: Rng) -> Data | None:
    row = choose(rng, [r for r in (*data["model"], *data["given"]) if len(r["says"].split()) > 3])
    if row is None:
        return None
    words = row["says"].split(" ")
    place = int(rng.integers(len(words) - 1))
    words[place], words[place + 1] = words[place + 1], words[place]
    row["says"] = " ".join(words)
    return data


def sentence_lost(data: Data, rng: Rng) -> Data | None:
    row = choose(rng, [r for r in data["given"] if r["says"]])
    if row is None:
        return None
    for part in split_sentences(data["story"]):
        if row["says"] in part:
            data["story"] = data["story"].replace(part, "", 1)
            return data
    return None


def no_words(data: Data, rng: Rng) -> Data | None:
    row = choose(rng, data["given"])
    if row is None:
        return None
    row["says"] = ""
    return data


def aside(data: Data, rng: Rng) -> Data | None:
    if not data["asides"]:
        return None
    data["asides"][0] = data["asides"][0].replace(" the ", " that ").replace("There ", "Here ")
    return data


def renamed(data: Data, rng: Rng) -> Data | None:
    used = {
        part.text
        for row, key, kind in formulas(data, "given", "ask")
        for part in walk(parse_expression(row[key], kind=kind))
        if isinstance(part, sx.Label)
    }
    label = choose(rng, sorted(label for label in used if label.isalpha()))
    if label is None:
        return None
    swap = re.compile(rf"\b{label}\b", re.IGNORECASE)
    data["story"] = swap.sub("Zebulon", data["story"])
    for row in (*data["model"], *data["given"]):
        row["says"] = swap.sub("Zebulon", row["says"])
    return data


def next_member(*parts: str) -> Plant:
    """A label stands for the next member of its set."""

    def plant(data: Data, rng: Rng) -> Data | None:
        following: dict[str, str] = {}
        for labels in members(data).values():
            following |= {a: b for a, b in zip(labels, [*labels[1:], labels[0]]) if a != b}

        def change(part: sx.Expr) -> sx.Expr | None:
            if isinstance(part, sx.Index) and any(
                isinstance(i, sx.Label) and i.text in following for i in part.indices
            ):
                place = max(k for k, i in enumerate(part.indices) if isinstance(i, sx.Label))
                old = part.indices[place]
                assert isinstance(old, sx.Label)
                if old.text not in following:
                    return None
                indices = list(part.indices)
                indices[place] = sx.Label(following[old.text])
                return dataclasses.replace(part, indices=tuple(indices))
            return None

        return in_formula(change, *parts)(data, rng)

    return plant


def told_unit(data: Data, rng: Rng) -> Data | None:
    """The words of a quantity tell it in another unit."""
    other = {"minutes": "hours", "hours": "minutes", "days": "weeks", "weeks": "days",
             "metres": "kilometres", "centimetres": "metres", "grams": "kilograms",
             "kilograms": "grams", "seconds": "minutes", "years": "months", "months": "years",
             "litres": "millilitres", "kilometres": "metres"}  # fmt: skip
    rows = [r for r in data["model"] if r["unit"] in other and f" {r['unit']}" in r["says"]]
    row = choose(rng, rows)
    if row is None:
        return None
    says = row["says"].replace(row["unit"], other[row["unit"]])
    data["story"] = data["story"].replace(row["says"], says)
    for one in (*data["model"], *data["given"]):
        if one is not row and one["says"] == row["says"]:
            one["says"] = says
    row["says"] = says
    return data


def words_dropped(data: Data, rng: Rng) -> Data | None:
    """A rule with numbers that no node claims."""
    row = choose(rng, [r for r in data["model"] if r["says"] and read_numbers(r["says"])])
    if row is None:
        return None
    says = row["says"]
    for one in data["model"]:
        if one["says"] == says:
            one["says"] = ""
    return data


def added(sentence: str) -> Plant:
    """A sentence more, near the end of the story, that nothing claims."""

    def plant(data: Data, rng: Rng) -> Data | None:
        parts = split_sentences(data["story"])
        last = next((p for p in reversed(parts) if any(g["says"] and g["says"] in p
                                                       for g in data["given"])), None)  # fmt: skip
        if last is None:
            return None
        at = data["story"].rindex(last) + len(last)
        data["story"] = data["story"][:at] + " " + sentence + data["story"][at:]
        return data

    return plant
