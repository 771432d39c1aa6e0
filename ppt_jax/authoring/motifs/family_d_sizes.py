"""Family D, rates, counts and sizes: how many there are in all, from those that were met."""

from __future__ import annotations

from ppt_jax.authoring.language import count_word, join_words, number, ordinal
from ppt_jax.authoring.motif import Motif
from ppt_jax.authoring.priors import tell_amount
from ppt_jax.authoring.sketch import Sketch
from ppt_jax.authoring.skins.finds import Find
from ppt_jax.authoring.skins.populations import Fleet, Wildlife


def serial_numbers(s: Sketch[Fleet]) -> None:
    """Numbers from 1 to an unknown size; a few were seen."""
    k = s.skin
    s.setting(
        s.choose(
            (
                f"{s.place}, each {k.item} has a number {k.worn}, from 1 up without gaps",
                f"Each {k.item} {s.place} carries a number {k.worn}; the numbers run from 1 up"
                " without gaps",
            )
        )
    )
    if s.maybe(0.4):
        low, high = s.number(k.size[0] * 0.5, k.size[0], 10), s.number(k.size[1], 2 * k.size[1], 50)
        says = s.rule(
            f"The size of {k.whole} is anything from {low} to {high}, all sizes equally likely"
        )
        s.draw("size", f"uniform(low={low.code}, high={high.code})", unit=k.items, says=says)
    else:
        tell_amount(s, "size", f"the size of {k.whole}", k.size, unit=k.items, step=10)
    s.let("whole", "max(1, round(size))", unit=k.items)
    law = s.rule(
        s.choose(
            (
                "Every number is equally likely to turn up, each time anew",
                "Each time, all numbers have the same chance of being the one that is seen",
            )
        )
    )
    count = s.observations(2, 5)
    names = s.set("sight", [f"{ordinal(place)} sighting" for place in range(1, count + 1)])
    expr = "uniform(low=1/(1+1), high=whole+1/(1+1))"
    s.draw("seen", expr, per="sight", says=law)
    s.draw("next_seen", expr)
    s.simulate()
    s.in_order = True
    for place, name in enumerate(names):
        lead = "" if place == 0 else s.choose(("then ", "later ", "after that "))
        s.event(lead + s.see(f"number {{}} {k.met} ({name})", "seen", name))
    top = max(s.value("seen", name, digits=0) for name in names)
    s.ask_value("whole", what=f"the size of {k.whole}", floor=0)
    s.ask_value("next_seen", what=f"the number on the next {k.item} that is seen", floor=0)
    s.ask_chance(f"max(0, 1 - {number(top)}/whole)", f"the next number is above {number(top)}")
    bar = number(5 * round(top * float(s.rng.uniform(1.15, 1.6)) / 5))
    s.ask_yes(f"whole > {bar}", f"Is the size of {k.whole} more than {bar}?")
    s.ask_rank(
        "whole", who="this one", group="such collections", lowest="smallest", highest="largest"
    )


def mark_recapture(s: Sketch[Wildlife]) -> None:
    """Some animals carry marks; the marked share of later catches tells how many there are."""
    k = s.skin
    marks = s.number(20, 80, 5)
    s.setting(
        s.choose(
            (
                f"{s.place}, the number of {k.animals} is to be estimated",
                f"How many {k.animals} live {s.place}? Nobody can count them all",
            )
        )
    )
    tell_amount(
        s, "unmarked", f"the number of {k.animals} without a mark", k.size, unit=k.animals, step=10
    )
    marked = s.rule(f"Besides these, exactly {marks} {k.animals} {k.home} have been {k.marked}")
    s.let("in_all", f"{marks.code} + unmarked", unit=k.animals, says=marked)
    s.let("marked_p", f"{marks.code} / ({marks.code} + unmarked)")
    s.rule(
        f"Each {k.animal} is let go at once, so the next one {k.caught} may again be any of them"
    )
    count = s.observations(1, 3)
    rounds = [f"{ordinal(place)} {k.round}" for place in range(1, count + 1)]
    sizes = [s.number(10, 40, 1) for _ in rounds]
    for place, size in enumerate(sizes):
        s.draw(f"again_{place}", f"successes(n={size.code}, p=marked_p)")
    more = s.number(10, 20, 5)
    plan = s.rule(f"On a last {k.round}, {more} are to be {k.caught}")
    s.draw("later", f"successes(n={more.code}, p=marked_p)", says=plan)
    s.simulate()
    s.in_order = True
    for place, (name, size) in enumerate(zip(rounds, sizes, strict=True)):
        span = s.choose(
            (
                f"on the {name}, {size} were {k.caught}, {{}} of them with a mark",
                f"the {name} brought {size} {k.animals}, and {{}} of them had a mark",
            )
        )
        s.event(s.see(span, f"again_{place}"))
    s.ask_value("in_all", what=f"the number of all {k.animals}, marked or not", floor=0)
    s.ask_chance("marked_p", f"the next {k.animal} {k.caught} has a mark")
    s.ask_value(
        "later", what=f"the number with a mark among the {more} of the last {k.round}",
        low=0, high=more.value,
    )  # fmt: skip
    bar = s.number(marks.value + k.size[0], marks.value + k.size[1], 10)
    s.ask_yes(f"in_all > {bar.code}", f"Are there more than {bar} {k.animals} in all?")
    s.ask_rank(
        "unmarked", who="this one", group="such places",
        lowest="fewest unmarked", highest="most unmarked",
    )  # fmt: skip


def unseen_kinds(s: Sketch[Find]) -> None:
    """How many kinds are still unseen: an urn with innovation, or an unknown number of kinds."""
    k = s.skin
    s.setting(
        s.choose(
            (
                f"{s.place}, {k.items} are sorted by {k.kind} as they come",
                f"{s.place}, someone keeps a list of the {k.kinds} of all {k.items}",
            )
        )
    )
    count, more = s.observations(5, 8), int(s.number(3, 4, 1).value)
    turns = s.set("turn", [ordinal(place) for place in range(1, count + 1)])
    s.set("later", [f"later {place}" for place in range(1, more + 1)])
    urn, counted = s.maybe(0.6), s.maybe()
    chance = _innovation_urn(s, turns) if urn else _equal_kinds(s, count, more)
    if urn and counted:
        s.let("kinds", "total(fresh[turn], turn)")
    s.rule(f"{count_word(more)} more {k.items} are still to come")
    s.simulate()
    flag = (lambda place: ("fresh", turns[place])) if urn else (lambda place: (f"fresh_{place}",))
    if counted:
        seen = int(s.value("kinds"))
        kinds = f"{seen} different {k.kinds} so far" if seen > 1 else f"all of 1 {k.kind} so far"
        s.event(s.fact(f"kinds == {seen}", f"{count} {k.items} {k.found}: {kinds}"))
    else:
        s.event(
            f"{count} {k.items} {k.found}: the first of a new {k.kind}, of course, then "
            + join_words(
                [
                    s.see_yes(f"the {turns[place]} new", f"the {turns[place]} known", *flag(place))
                    for place in range(1, count)
                ]
            )
        )
    s.ask_chance(chance, f"the next {k.item} is of a new {k.kind}")
    s.ask_value(
        "more",
        what=f"the number of new {k.kinds} among the next {count_word(more)} {k.items}",
        low=0, high=more,
    )  # fmt: skip
    s.ask_yes("more > 0", f"Will the next {count_word(more)} {k.items} bring any new {k.kind}?")
    if urn:
        s.ask_value("variety", what=f"the variety v of {k.where}", floor=0)
        s.ask_rank(
            "variety", who="this one", group=k.wheres, lowest="least varied", highest="most varied"
        )
    else:
        s.ask_value("whole", what=f"the number of {k.kinds} in all", floor=0)
        bar = int(s.value("kinds") * 2)
        s.ask_yes(f"whole > {bar}", f"Are there more than {bar} {k.kinds} in all?")


def _innovation_urn(s: Sketch[Find], turns: list[str]) -> str:
    """Declares the Hoppe urn (the Chinese restaurant process); returns the next one's chance."""
    k = s.skin
    law = s.rule(
        s.choose(
            (
                f"After n {k.items}, the next one is of a new {k.kind} with chance v / (v + n),"
                f" where v is the variety of {k.where}",
                f"{k.where} has a variety v: when n {k.items} have come, the chance that the next"
                f" one is of a new {k.kind} is v / (v + n)",
            )
        )
    )
    tell_amount(s, "variety", "the variety v", (2, 8), unit="", scope=f"across {k.wheres}", step=1)
    s.let("before", "prev(before, first=0-1) + 1", per="turn")
    s.draw("fresh", "yes(p=variety / (variety + before[turn]))", per="turn", says=law)
    last = f"before[{turns[-1]!r}]"
    s.let("earlier", f"prev(earlier, first={last}) + 1", per="later")
    s.draw("later_fresh", "yes(p=variety / (variety + earlier[later]))", per="later", says=law)
    s.let("more", "total(later_fresh[later], later)")
    return f"variety / (variety + {len(turns)})"


def _equal_kinds(s: Sketch[Find], count: int, more: int) -> str:
    """Declares an unknown number of equally common kinds; returns the next one's chance."""
    k = s.skin
    low, high = s.number(5, 8, 1), s.number(12, 30, 1)
    size = s.rule(
        f"There are between {low} and {high} {k.kinds} in all, every number being equally likely"
    )
    half = "1/(1+1)"
    s.draw("size", f"uniform(low={low.code}-{half}, high={high.code}+{half})", says=size)
    s.let("whole", "max(1, round(size))")
    law = s.rule(f"Each time, every {k.kind} is equally likely, whatever came before")
    known = "1"
    for place in range(1, count + more):
        s.draw(f"fresh_{place}", f"yes(p=max(0, 1 - {known} / whole))", says=law)
        node = "kinds" if place == count - 1 else f"kinds_{place}"
        s.let(node, f"{known} + fresh_{place}")
        known = node
    s.let("more", f"{known} - kinds")
    return "max(0, 1 - kinds / whole)"


MOTIFS = (
    Motif("serial_numbers", "D", Fleet, serial_numbers),
    Motif("mark_recapture", "D", Wildlife, mark_recapture),
    Motif("unseen_kinds", "D", Find, unseen_kinds),
)
