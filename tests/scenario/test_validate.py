from __future__ import annotations

import cProfile
from typing import Any

import pytest

from ppt_jax.scenario.document import ScenarioError, parse_scenario
from ppt_jax.scenario.validate import static_types
from tests.scenario.build import ask, document, node, worked

SETS = {"who": ("Ann", "Bo"), "day": ("Mon", "Tue", "Wed")}
SKILL = node("skill", "normal(mean=0, sd=1)", ["who"], "points")
LATE = node("late", "count(rate=3)", ["day"], "trains")
BEST = node("best", "pick(who)")
P = node("p", "beta(a=1, b=1)")
HOT = node("hot", "yes(p=0.5)")
HEIGHT = node("height", "normal(mean=170, sd=9)", unit="cm")
MASS = node("mass", "gamma(mean=70, shape=9)", unit="kg")
MODEL = (SKILL, LATE, BEST, P, HOT, HEIGHT, MASS)


def refused(data: Any, field: str, at: int | None, message: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        parse_scenario(data)
    assert message in caught.value.message
    assert (caught.value.field, caught.value.at) == (field, at), str(caught.value)


def with_node(extra: dict[str, Any]) -> dict[str, Any]:
    return document(*MODEL, extra, sets=SETS, asks=[ask("value", "p")])


@pytest.mark.parametrize(
    ("expr", "per", "at", "message"),
    [
        # names and order
        ("1 + heigth", (), 4, "unknown name 'heigth'; did you mean 'height'"),
        ("z + 1", (), 0, "'z' uses itself; the element before is prev(z"),
        ("skill + 1", ("who",), 0, "one value per who; write skill[who]"),
        ("skill[day]", ("day",), 6, "of the set 'who', not of 'day'"),
        ("skill[who]", (), 6, "the set 'who' is an index only"),
        ("skill['An']", (), 6, "'An' is not in the set 'who'; did you mean 'Ann'"),
        ("skill[Ann]", (), 6, "write the member 'Ann' in quotes"),
        ("skill['Ann', 'Mon']", (), 0, "takes 1 indices; write skill[who]"),
        ("p['Ann']", (), 0, "takes 0 indices; write p alone"),
        ("late[best]", (), 5, "'best' picks from 'who', not from 'day'"),
        ("late[hot]", (), 5, "an index is a quoted member"),
        ("skil[best]", (), 0, "did you mean 'skill'"),
        # prev
        ("prev(z, first=0) + 1", (), 0, "only for formulas of nodes that are `per`"),
        ("prev(late, first=0)", ("who",), 0, "does not fit per ['who']"),
        ("prev(skill, first=0)", ("day",), 0, "does not fit"),
        ("prev(late, first='Mon')", ("day",), 17, "mixes a number with the label"),
        ("prev(z, first=hot) + p", ("day",), 14, "both numbers or both yes/no"),
        ("prev(best, first='Ann')", ("day",), 0, "does not fit"),
        # sets
        ("total(late[day], dya)", (), 0, "'dya' is not a set; did you mean 'day'"),
        ("total(late[day], day)", ("day",), 0, "already an index here"),
        ("total(total(late[day], day), day)", (), 6, "already an index here"),
        ("total(late[day], late)", (), 0, "'late' is not a set"),
        # types
        ("best + 1", (), 0, "wants a number, but best is a member of 'who'"),
        ("who * 2", ("who",), 0, "wants a number, but who is a member"),
        ("'Ann'", (), 0, "a let is a number or yes/no"),
        ("best", (), 0, "a let is a number or yes/no"),
        ("1 if p else 2", (), 5, "wants yes or no, but p is a number"),
        ("hot and p", (), 8, "wants yes or no"),
        ("not p", (), 4, "wants yes or no"),
        ("best if hot else best", (), 0, "if/else chooses between numbers"),
        ("1 if best == 'Cy' else 2", (), 13, "'Cy' is not in the set 'who'"),
        ("1 if best == day else 2", ("day",), 13, "a member of 'who' with one of 'day'"),
        ("1 if best == 0 else 2", (), 13, "compares a member of 'who' with a number"),
        ("1 if 'Ann' == 'Bo' else 2", (), 5, "two quoted labels"),
        ("1 if hot == 2 else 2", (), 12, "a yes/no value is 1 or 0"),
        ("1 if height == 170 else 2", (), 5, "never exactly one number"),
        ("hot and 2 * height != 3", (), 8, "never exactly one number"),
        # units
        ("height + mass", (), 9, "adds 'cm' with 'kg'"),
        ("1 if height < mass else 2", (), 14, "compares 'cm' with 'kg'"),
        ("max(height, mass)", (), 12, "compares 'cm' with 'kg'"),
        ("height if hot else mass", (), 19, "mixes 'cm' with 'kg'"),
        # constants
        ("1 / 0", (), 4, "division by zero: 0 is 0"),
        ("p / (3 - 2 - 1)", (), 5, "division by zero"),
        ("p / (0 * height)", (), 5, "division by zero: 0 * height is 0"),
        ("0 ** -1", (), 0, "division by zero"),
        ("log(0)", (), 4, "log wants something above 0"),
        ("p + log(-p)", (), 8, "-p never is"),
        ("sqrt(-1)", (), 5, "sqrt wants at least 0"),
        ("(-8) ** 0.5", (), 0, "no such power"),
        ("exp(1000)", (), 0, "too large a number"),
        ("1e15 ** 30", (), 0, "too large a number"),
        ("clip(p, 1, 0)", (), 8, "low end above its high end"),
        # arguments of draws
        ("normal(mean=0, sd=0)", (), 18, "normal(sd=...) must be above 0, here it is 0"),
        ("normal(mean=0, sd=-p)", (), 18, "here -p is always in -1 to 0"),
        ("yes(p=10)", (), 6, "yes(p=...) must be between 0 and 1, here it is 10"),
        ("yes(p=10 if hot else 0.5)", (), 6, "must be between 0 and 1, here it is 10"),
        ("share(mean=1, strength=4)", (), 11, "greater than 0 and less than 1"),
        ("gamma(mean=0, shape=2)", (), 11, "gamma(mean=...) must be above 0"),
        ("count(rate=-1)", (), 11, "count(rate=...) must be at least 0"),
        ("successes(n=2.5, p=p)", (), 12, "whole number n"),
        ("uniform(low=3, high=3)", (), 12, "low below high"),
        ("pick(whom)", (), 0, "'whom' is not a set; did you mean 'who'"),
        ("pick(who, weights=[1, 2, 3])", (), 18, "has 2 members, here are 3 weights"),
        ("pick(who, weights=[1, -2])", (), 22, "a weight is at least 0"),
        ("pick(who, weights=[0, 0])", (), 18, "at least one weight"),
        ("normal(mean=best, sd=1)", (), 12, "wants a number"),
        ("normal(mean=z, sd=1)", (), 12, "'z' uses itself"),
    ],
)
def test_faults_of_formulas(expr: str, per: tuple[str, ...], at: int, message: str) -> None:
    refused(with_node(node("z", expr, per)), "model[7].expr", at, message)


@pytest.mark.parametrize(
    ("expr", "per"),
    [
        ("total(skill[who], who) / average(late[day], day)", ()),
        ("prev(late, first=p) + p * total(skill[who], who)", ("day",)),
        ("prev(late, first=p) * skill[who]", ("who", "day")),
        ("prev(z, first=0) + late[day]", ("day",)),
        ("1 if prev(z, first=0) > 3 else 2", ("day",)),
        ("prev(z, first=hot) and late[day] > 2", ("day",)),
        ("hot + (best == 'Ann') * 2", ()),
        ("skill[best] + skill[who]", ("who",)),
        ("day < 'Wed' and who == best", ("who", "day")),
        ("height * mass + height / mass", ()),
        ("60 * height + 3", ()),
        ("1 / (hot + p)", ()),
        ("log(p) + sqrt(height) + height ** 0.5", ()),
        ("normal(mean=0, sd=height)", ()),
        ("normal(mean=prev(z, first=0), sd=1)", ("day",)),
        ("yes(p=0.9 if prev(z, first=hot) else 0.1)", ("day",)),
        ("yes(p=0.9 if prev(z, first=0) else 0.1)", ("day",)),
        ("pick(who, weights=[3, 1] )", ("day",)),
        ("pick(who, weights=[1 if prev(z, first='Bo') == 'Bo' else 2, p])", ("day",)),
        ("successes(n=late['Mon'], p=p)", ()),
        ("max(late['Mon'], late['Tue']) == late['Tue']", ()),
        ("clip(height, 0, 100) == 100", ()),
    ],
)
def test_sound_formulas_raise_no_alarm(expr: str, per: tuple[str, ...]) -> None:
    parse_scenario(with_node(node("z", expr, per)))


def test_a_node_uses_only_what_comes_before() -> None:
    data = document(node("a", "b + 1"), node("b", "normal(mean=0, sd=1)"))
    refused(data, "model[0].expr", 0, "'b' is defined only further down; move it up")


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        ({"model": [node("normal", "2")]}, "model[0].name", "a word of the formula language"),
        ({"model": [node("lambda", "2")]}, "model[0].name", "a word of the formula language"),
        ({"model": [P, P]}, "model[1].name", "taken by model[0].name"),
        ({"model": [node("day", "2")]}, "model[0].name", "taken by sets[1].name"),
        ({"model": [node("z", "2", ["dya"])]}, "model[0].per[0]", "did you mean 'day'"),
        ({"model": [node("z", "2", ["day", "day"])]}, "model[0].per[1]", "stands twice"),
        ({"ask": [ask("value", "p"), ask("rank", "p")]}, "ask[1].id", "stands twice"),
    ],
)
def test_faults_of_names(change: dict[str, Any], field: str, message: str) -> None:
    refused(document(P, sets=SETS) | change, field, None, message)


@pytest.mark.parametrize(
    ("that", "at", "message"),
    [
        ("late['Mon'] == 2.5", 15, "a whole number from 0, this is 2.5"),
        ("late['Mon'] == -1", 15, "impossible observation"),
        ("won == 11", 7, "a whole number from 0 to 10"),
        ("mass == 0", 8, "above 0"),
        ("p == 1", 5, "greater than 0 and less than 1"),
        ("u == 7", 5, "from 2 to 6"),
        ("hot == 0.5", 7, "its values are 1 or 0"),
        ("hot == 'yes'", 7, "seen as a number"),
        ("best == 1", 8, "name it in quotes"),
        ("best == 'Cy'", 8, "not in the set 'who'"),
        ("skill['Cy'] == 1", 6, "not in the set 'who'"),
        ("3 == late['Mon']", 5, "draw on the left"),
        ("late['Mon'] == 1 / 0", 19, "division by zero"),
        ("skill[best] == 1", 0, "never exactly one number"),
        ("late == 3", 0, "one value per day"),
        ("height", 0, "a given is an observed draw"),
        ("p > 1.5", 0, "can never be true"),
        ("mass < 0 - 1", 0, "can never be true"),
        ("beats(height, mass, noise=1)", 14, "compares 'cm' with 'kg'"),
        ("beats(height, 3, noise=0)", 23, "noise must be above 0"),
        ("beats(best, 3, noise=1)", 6, "wants a number"),
        ("prev(late, first=1) == 2", 0, "only for formulas of nodes"),
    ],
)
def test_faults_of_givens(that: str, at: int, message: str) -> None:
    more = (node("won", "successes(n=10, p=p)"), node("u", "uniform(low=2, high=6)"))
    data = document(*MODEL, *more, sets=SETS, given=["hot", that], asks=[ask("value", "p")])
    refused(data, "given[1].that", at, message)


@pytest.mark.parametrize(
    "that",
    [
        "late['Mon'] == 4",
        "late['Mon'] == 2 * 2",
        "height == -3.5",
        "hot == 0",
        "not hot",
        "best == 'Bo'",
        "late[picked] == 3",
        "beats(height, 3, noise=p)",
        "skill['Ann'] > skill['Bo'] and hot",
        "max(skill['Ann'], skill['Bo']) == skill['Ann']",
    ],
)
def test_sound_givens(that: str) -> None:
    parse_scenario(
        document(
            *MODEL, node("picked", "pick(day)"), sets=SETS, given=[that], asks=[ask("value", "p")]
        )
    )


def test_a_draw_is_observed_once() -> None:
    given = ["late['Mon'] == 4", "late['Tue'] == 4", "late['Mon'] == 5"]
    refused(
        document(LATE, sets=SETS, given=given, asks=[ask("value", "late['Wed']")]),
        "given[2].that",
        0,
        "already observed in given[0]",
    )


CHANCES = [
    ("p", True),
    ("s", True),
    ("sigmoid(height)", True),
    ("u", True),
    ("w", False),
    ("0.3", True),
    ("p * s * 0.5", True),
    ("1 - p", True),
    ("1 - (1 - p) ** 3", True),
    ("1 - exp(-mass)", True),
    ("average(each[who], who)", True),
    ("p if hot else 0.2", True),
    ("min(p, s)", True),
    ("max(p, height)", False),
    ("clip(height, 0, 1)", True),
    ("p + s", False),
    ("p * height", False),
    ("p * s + (1 - p) * 0.3", True),
    ("s + (1 - s) * p", True),
    ("p + s - p * s", True),
    ("p * s + (1 - p) * height", False),
    ("mass / (mass + 3)", True),
    ("mass / (mass - 3)", False),
    ("each['Ann'] / total(each[who], who)", True),
    ("exp(skill['Ann']) / total(exp(skill[who]), who)", True),
    ("exp(skill['Ann']) / total(exp(2 * skill[who]), who)", False),
    ("skill['Ann'] / total(skill[who], who)", False),
    ("0.9 * hot + 0.05", True),
    ("hot", False),
    ("p > 0.5", False),
    ("1", False),
    ("1 if hot else 0", False),
    ("average(late[day] > 2, day)", False),
    ("round(p)", False),
    ("best", False),
    ("height", False),
]


@pytest.mark.parametrize(("expr", "sound"), CHANCES)
def test_a_chance_is_a_probability(expr: str, sound: bool) -> None:
    more = (
        node("s", "share(mean=0.3, strength=5)"),
        node("u", "uniform(low=0.1, high=0.4)"),
        node("w", "uniform(low=0.1, high=1.4)"),
        node("each", "beta(a=1, b=2)", ["who"]),
    )
    data = document(*MODEL, *more, sets=SETS, asks=[ask("chance", expr)])
    if sound:
        parse_scenario(data)
    else:
        with pytest.raises(ScenarioError) as caught:
            parse_scenario(data)
        assert (caught.value.field, caught.value.at) == ("ask[0].expr", 0)


@pytest.mark.parametrize(
    ("row", "field", "at", "message"),
    [
        (ask("value", "hot"), "ask[0].expr", 0, "use kind 'choice'"),
        (ask("rank", "height > 3"), "ask[0].expr", 0, "use kind 'choice'"),
        (ask("value", "best"), "ask[0].expr", 0, "asked for with kind 'choice'"),
        (ask("choice", "height"), "ask[0].expr", 0, "ask for a number with kind 'value'"),
        (ask("value", "height", low=9, high=9), "ask[0].high", None, "from 9 to 9"),
        (ask("value", "height", unit="m"), "ask[0].unit", None, "asks in 'm', but 'height'"),
        (ask("rank", "height", options=["a"]), "ask[0].options", None, "for kind 'choice'"),
        (ask("choice", "hot", options=["a", "b", "c"]), "ask[0].options", None, "two options"),
        (ask("choice", "best", options=["Bo", "Ann"]), "ask[0].options", None, "Ann, Bo"),
        (ask("value", "heigth"), "ask[0].expr", 0, "did you mean 'height'"),
        (ask("value", "skill[who]"), "ask[0].expr", 6, "an index only"),
    ],
)
def test_faults_of_asks(row: dict[str, Any], field: str, at: int | None, message: str) -> None:
    refused(document(*MODEL, sets=SETS, asks=[row]), field, at, message)


def test_options_of_choices_are_filled_in() -> None:
    rows = [ask("choice", "hot", "a"), ask("choice", "best", "b"), ask("choice", "p > 0.5", "c")]
    rows.append(ask("choice", "hot", "d", options=["cold", "hot"]))
    asks = parse_scenario(document(*MODEL, sets=SETS, asks=rows)).ask
    assert [a.options for a in asks] == [
        ("no", "yes"),
        ("Ann", "Bo"),
        ("no", "yes"),
        ("cold", "hot"),
    ]


@pytest.mark.parametrize(
    ("truth", "field", "message"),
    [
        ({"hot": 1, "best": 1, "hto": 0}, "truth.hto", "did you mean 'hot'"),
        ({"hot": 1}, "truth.best", "is missing"),
        ({"hot": 0.5, "best": 1}, "truth.hot", "a whole number from 0 to 1"),
        ({"hot": 1, "best": 2}, "truth.best", "a whole number from 0 to 1"),
    ],
)
def test_faults_of_a_stored_truth(truth: dict[str, float], field: str, message: str) -> None:
    data = document(HOT, BEST, sets=SETS, asks=[ask("choice", "hot")], truth=truth)
    refused(data, field, None, message)


def test_sizes_are_limited() -> None:
    many = [f"m{i}" for i in range(100)]
    sets = {"a": many, "b": many, "c": many}
    wide = [node(f"x{i}", "normal(mean=0, sd=1)", ["a"]) for i in range(41)]
    refused(
        document(*wide, sets=sets, asks=[ask("value", "x0['m1']")]),
        "model[40].per",
        None,
        "more than 4096 scalars",
    )
    deep = node("z", "total(total(total(x0[a] * x0[a], c), b), a)")
    rows = [ask("value", "z")]
    refused(document(wide[0], deep, sets=sets, asks=rows), "model[1].expr", None, "operations")
    long = [node(f"x{i}", "+".join(["1"] * 30)) for i in range(200)]
    long = [row | {"expr": " " * 300 + row["expr"]} for row in long]
    refused(document(*long), "model[111].expr", None, "all formulas together")


def calls_to_check(levels: int) -> int:
    """Python calls made to check one of the largest documents, with a mixture `levels` deep."""
    mixed = "u"
    for _ in range(levels):  # each level looks at the one below again
        mixed = f"(u*{mixed}+(1-u)*u)"
    rows = [node("u", "beta(a=1, b=1)"), node("z", mixed)]
    rows += [node(f"z{i}", "+".join(["u*u"] * 38)) for i in range(198)]
    data = document(*rows, given=["u > 0"] * 400)
    profile = cProfile.Profile(builtins=False)
    profile.runcall(parse_scenario, data)
    return sum(row.callcount for row in profile.getstats())


def test_the_work_of_the_largest_documents_does_not_explode() -> None:
    """A walk without memory doubles its work with each level."""
    shallow, deep = calls_to_check(6), calls_to_check(18)
    assert shallow < deep < 1.1 * shallow
    assert deep < 8_000_000


def test_types_of_the_worked_examples() -> None:
    types = static_types(parse_scenario(worked("rowing-pairs-07")))
    assert types["bad"].kind == "boolean"
    assert (types["pull"].kind, types["pull"].unit, types["pull"].smooth) == (
        "real",
        "points",
        True,
    )
    crack = static_types(parse_scenario(worked("kiln-crack-01")))["crack_p"]
    assert (crack.low, crack.high, crack.probability) == (0.04, 0.95, True)
    first = static_types(parse_scenario(worked("ferry-bells-12")))["first"]
    assert (first.kind, first.set) == ("member", "day")
