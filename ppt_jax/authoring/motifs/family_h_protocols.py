"""Family H, selection by protocol: who opens what, who looks where, who relabels what."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

from ppt_jax.authoring.language import count_word, join_words
from ppt_jax.authoring.motif import Motif
from ppt_jax.authoring.priors import tell_share
from ppt_jax.authoring.sketch import Sketch, reference
from ppt_jax.authoring.skins.hosts import Host
from ppt_jax.authoring.skins.jars import Jar
from ppt_jax.authoring.skins.searches import Search


def _by_member(node: str, codes: dict[str, str]) -> str:
    """A formula that looks a number up by the member that a pick-draw took."""
    *names, last = codes
    formula = codes[last]
    for name in reversed(names):
        formula = f"{codes[name]} if {node} == {name!r} else ({formula})"
    return formula


@dataclasses.dataclass(frozen=True)
class _Prior:
    """Where a thing is beforehand: the sentence, the draw formula, and the odds it tells."""

    says: str
    expr: str
    odds: tuple[float, ...]


def _tell_place(
    s: Sketch[Any], of: str, labels: list[str], kind: str, at: str, *, even: bool
) -> _Prior:
    """Tells where a thing is beforehand, evenly or with one label as a favourite."""
    rest = len(labels) - 1
    if even:
        says = s.choose(
            (
                f"Beforehand it is equally likely to be {at} any of the {kind}",
                f"Beforehand the {kind} are all equally likely",
            )
        )
        return _Prior(s.rule(says), f"pick({of})", (1 / len(labels),) * len(labels))
    top, favourite = s.chance(0.35, 0.6), s.choose(labels)
    says = s.rule(
        f"Beforehand there is {top.chance()} that it is {at} the {favourite}, and the other"
        f" {count_word(rest)} {kind} are equally likely"
    )
    codes = [top.code if one == favourite else f"(1-{top.code})/{rest}" for one in labels]
    odds = tuple(top.value if one == favourite else (1 - top.value) / rest for one in labels)
    return _Prior(says, f"pick({of}, weights=[{', '.join(codes)}])", odds)


_WAYS = {
    "helpful": "knows where it is and {opens} a wrong one that is not chosen",
    "guessing": "does not know where it is and {opens} any one that is not chosen",
    "teasing": "knows where it is and {opens} the right one, unless it is chosen, else any other",
    "orderly": "knows where it is and {opens} the first wrong one on the list that is not chosen",
}
"""What a host may do once a guest has chosen."""

_MIXES = (
    ("helpful", "guessing"),
    ("guessing", "helpful"),
    ("orderly", "guessing"),
    ("guessing", "teasing"),
    ("helpful", "orderly"),
    ("helpful", "teasing"),
    ("orderly", "teasing"),
    ("helpful", "guessing", "teasing"),
    ("orderly", "helpful", "guessing"),
)
"""Ways between which a guest may have to decide; the first is also met alone."""


def _tell_ways(s: Sketch[Host], host: str, ways: Sequence[str]) -> str:
    """Declares how the host goes about it; returns the sentence that tells the ways."""
    k = s.skin
    told = {way: text.format(opens=k.opens) for way, text in _WAYS.items()}
    ties = "where several would do, all are equally likely"
    if len(ways) == 1:
        tail = "" if ways[0] == "orderly" else f"; {ties}"
        return s.rule(f"{host}, the {k.host}, {told[ways[0]]}{tail}")
    s.set("way", ways)
    if len(ways) == 2:
        parts = [s.chance(0.3, 0.7, form="percent")]
        odds = f"{parts[0].chance()} that {host}, the {k.host}, is {ways[0]}"
    else:
        parts = [s.chance(0.25, 0.4, form="percent") for _ in range(2)]
        odds = f"{parts[0].chance()} that {host}, the {k.host}, is {ways[0]} and"
        odds += f" {parts[1].chance()} of being {ways[1]}"
    says = s.rule(f"There is {odds}; otherwise {host} is {ways[-1]}")
    codes = [part.code for part in parts]
    weights = ", ".join([*codes, "-".join(("1", *codes))])
    s.draw("host_way", f"pick(way, weights=[{weights}])", says=says)
    return s.rule("; ".join([*(f"a {way} {k.host} {told[way]}" for way in ways), ties]))


def _play(
    s: Sketch[Host], tag: str, own: str, boxes: list[str], prior: _Prior,
    ways: Sequence[str], manner: str,
) -> None:  # fmt: skip
    """Declares one round: where the prize is, and what is opened once `own` was chosen."""
    prize = f"prize{tag}"
    first, second, *_ = [box for box in boxes if box != own]
    open_it = {
        "helpful": f"0 if box == {own!r} or box == {prize} else 1",
        "guessing": f"0 if box == {own!r} else 1",
        "teasing": f"0 if box == {own!r} else (1 if box == {prize} or {prize} == {own!r} else 0)",
        "orderly": f"(0 if {prize} == {first!r} else 1) if box == {first!r} else"
        f" (1 if {prize} == {first!r} and box == {second!r} else 0)",
    }
    s.draw(prize, prior.expr, says=prior.says)
    may = _by_member("host_way", {way: f"({open_it[way]})" for way in ways})
    s.let(f"may{tag}", may, per="box", says=manner)
    weights = ", ".join(reference(f"may{tag}", box) for box in boxes)
    s.draw(f"opened{tag}", f"pick(box, weights=[{weights}])")


def host_knows(s: Sketch[Host]) -> None:
    """Monty Hall and his kin: what an opened box says depends on how it was picked."""
    k = s.skin
    boxes = s.set("box", [f"{colour} {k.box}" for colour in s.some(k.colours, s.entities(3, 4))])
    host, guest = s.people(2)
    listed = join_words([f"the {box}" for box in boxes], "or")
    s.setting(
        s.choose(
            (
                f"{s.place}, {k.prize} is {k.where} {listed}; a {k.guest} chooses one, then the"
                f" {k.host} {k.opens} another",
                f"{s.place}, a {k.guest} seeks {k.prize} and may choose {listed}; then the"
                f" {k.host} {k.opens} another",
            )
        )
    )
    ways = s.choose(_MIXES)[: 3 if s.maybe(0.6) else 1]
    even = len(ways) > 1 or s.maybe()
    prior = _tell_place(s, "box", boxes, k.boxes, k.where, even=even)
    manner = _tell_ways(s, host, ways)
    earlier = int(len(ways) == 2 and len(boxes) == 3 and s.maybe(0.3))
    if earlier:
        s.rule(f"It is hidden anew in every round, and {host} never changes")
    picks = [s.choose(boxes) for _ in range(earlier + 1)]
    for number, own in enumerate(picks[1:], start=1):
        _play(s, f"_{number}", own, boxes, prior, ways, manner)
    own = picks[0]
    _play(s, "", own, boxes, prior, ways, manner)
    s.simulate()
    s.in_order = True
    for number, chosen in enumerate(picks[1:], start=1):
        opened = s.see_pick(f"{host} {k.opened} the {{}}", f"opened_{number}", "box")
        proved = s.see_pick(f"{k.prize} proved to be {k.where} the {{}}", f"prize_{number}", "box")
        s.event(f"In an earlier round the {chosen} was chosen; {opened}, and {proved}")
    shown = s.member("opened", "box")
    is_there = s.value("prize") == s.value("opened")
    was = f"{k.prize} was {'there' if is_there else 'not there'}"
    seen = s.fact(
        f"opened == {shown!r} and prize {'==' if is_there else '!='} {shown!r}",
        f"{host} {k.opened} the {shown}, and {was}",
    )
    s.event(f"{guest} chose the {own}; {seen}")
    s.ask_which("prize", of="box", question=f"Where is {k.prize}?")
    s.ask_yes(f"prize == {own!r}", f"Is {k.prize} {k.where} the {own} that {guest} chose?")
    other = s.choose([box for box in boxes if box not in (own, shown)])
    s.ask_yes(f"prize == {other!r}", f"Is {k.prize} {k.where} the {other}?")
    if len(ways) > 1:
        s.ask_which("host_way", of="way", question=f"What kind of {k.host} is {host}?")
    if "guessing" in ways and len(ways) > 1 and len(boxes) == 3:
        chance = {"helpful": "0", "guessing": "1/2", "teasing": "1", "orderly": "0"}
        s.ask_chance(
            _by_member("host_way", {way: chance[way] for way in ways}),
            f"{host} {k.opens} the right {k.box} in a new round in which a wrong one was chosen",
        )


def _search_plan(s: Sketch[Search], odds: dict[str, float], overlook: float) -> list[str]:
    """Places to search one after the other, so that most plans end without a find."""
    plan: list[str] = []
    found = 0.0
    for place in s.shuffled([*odds, *odds]):
        hit = odds[place] * (1 - overlook) * overlook ** plan.count(place)
        if found + hit < 0.2 and len(plan) < min(4, s.knobs.observations[1]):
            plan.append(place)
            found += hit
    return plan or [min(odds, key=lambda place: odds[place])]


def search_in_places(s: Sketch[Search]) -> None:
    """Looks that may overlook, signs that may mislead: where is it now, where to look next."""
    k = s.skin
    places = s.set("place", s.some(k.places, s.entities(3, 4)))
    listed = join_words([f"the {place}" for place in places], "or")
    s.setting(
        s.choose(
            (
                f"{s.place}, {k.thing} is missing; it can only be {k.preposition} {listed}",
                f"{s.place}, everybody looks for {k.thing}; it must be {k.preposition} {listed}",
            )
        )
    )
    prior = _tell_place(s, "place", places, k.kind, k.preposition, even=s.maybe(0.6))
    s.draw("where", prior.expr, says=prior.says)
    odds = dict(zip(places, prior.odds, strict=True))
    roams = k.stray and s.maybe(0.7)
    signs = s.some(places, 1 + s.maybe(0.3) if roams or s.maybe(0.4) else 0)
    if signs:
        hit, false = s.chance(0.55, 0.9), s.chance(0.05, 0.3)
        says = s.rule(
            f"{k.clue} turns up {hit.times()} in the right place and {false.times()} in any other,"
            " independently"
        )
        for number, place in enumerate(signs):
            expr = f"yes(p={hit.code} if where == {place!r} else {false.code})"
            s.draw(f"sign_{number}", expr, says=says)
    now, rest = "where", len(places) - 1
    if roams:
        now, stay = "now", s.chance(0.4, 0.8)
        odds = {at: p * stay.value + (1 - p) * (1 - stay.value) / rest for at, p in odds.items()}
        says = s.rule(
            f"Overnight it stays where it is {stay.times()} and otherwise moves to one of the other"
            f" {count_word(rest)}, all equally likely"
        )
        moved = [
            f"{stay.code} if where == {place!r} else (1-{stay.code})/{rest}" for place in places
        ]
        s.draw("now", f"pick(place, weights=[{', '.join(moved)}])", says=says)
    overlook = s.chance(0.35, 0.7)
    record = s.number(5, 12, 1) if not signs and s.maybe(0.4) else None
    if record:
        miss, level = "miss", 0.5
        tell_share(s, "miss", f"the share of searches of the right place that overlook {k.thing}")
        s.draw("overlooked", f"successes(n={record.code}, p=miss)")
    else:
        miss, level = overlook.code, overlook.value
        says = s.rule(
            s.choose(
                (
                    f"Even a search of the right place overlooks it {overlook.times()}, each time"
                    " independently",
                    f"Whoever searches the right place has {overlook.chance()} of overlooking it,"
                    " each time anew",
                )
            )
        )
    found = {place: f"(1 - {miss}) if {now} == {place!r} else 0" for place in places}
    plan = _search_plan(s, odds, level)
    for number, place in enumerate(plan):
        s.draw(f"found_{number}", f"yes(p={found[place]})", says="" if record else says)
    s.simulate()
    s.in_order = True
    if record:
        span = f"in {{}} of {record} earlier searches of the right place, {k.thing} was overlooked"
        s.event(s.see(span, "overlooked"))
    for number, place in enumerate(signs):
        yes, no = (f"{k.clue} was {how} in the {place}" for how in ("found", "not found"))
        s.event(f"{'In the evening' if roams else 'Before any search'} "
                f"{s.see_yes(yes, no, f'sign_{number}')}")  # fmt: skip
    people = s.people(2)
    for number, place in enumerate(plan):
        lead = "" if len(plan) == 1 else "First " if number == 0 else "Then "
        if roams and number == 0:
            lead = "The next day "
        span = f"{people[number % 2]} searched the {place}"
        yes, no = f"{span} and found it", f"{span} and did not find it"
        s.event(lead + s.see_yes(yes, no, f"found_{number}"))
        if s.value(f"found_{number}"):
            break
    s.ask_which(now, of="place", question=f"Where is {k.thing} now?")
    one, other = s.some([place for place in places if place != plan[0]], 2)
    s.ask_yes(f"{now} == {plan[0]!r}", f"Is {k.thing} {k.preposition} the {plan[0]} after all?")
    s.ask_yes(f"{now} == {one!r}", f"Is {k.thing} {k.preposition} the {one}?")
    s.ask_chance(found[one], f"one further search of the {one} finds {k.thing}")
    s.ask_chance(
        f"(1 - {miss}) if {now} == {one!r} or {now} == {other!r} else 0",
        f"one further search each of the {one} and the {other} finds {k.thing}",
    )
    if record:
        s.ask_chance("miss", f"a search of the right place overlooks {k.thing}")


def swapped_labels(s: Sketch[Jar]) -> None:
    """Labels may be on the wrong containers; a few pieces from each tell which is which."""
    k = s.skin
    names = s.set("content", s.some(k.contents, s.entities(2, 4)))
    jars = [f"{k.jar} labelled {name}" for name in names]
    listed = join_words(names)
    s.setting(
        s.choose(
            (
                f"{s.place}, {count_word(len(names))} {k.jars} are labelled {listed}",
                f"{s.place}, the labels on {count_word(len(names))} {k.jars} say {listed}",
            )
        )
    )
    width = 0.9 / len(names)
    bands = s.shuffled([0.05 + width * place for place in range(len(names))])
    rates = {n: s.chance(low, low + width * 0.6, form="percent") for n, low in zip(names, bands)}
    mix = s.rule(
        f"How many of the {k.items} {k.show}: "
        + join_words([f"{rate} of the {name}" for name, rate in rates.items()])
    )
    codes = {name: rate.code for name, rate in rates.items()}
    swap = len(names) > 2 and s.maybe()
    slips = _tell_swap(s, codes, mix) if swap else _tell_torn_labels(s, codes, mix)
    shown = s.some(range(len(names)), s.observations(1, max(2, len(names) - 1)))
    tried = [s.number(2, 5, 1) for _ in shown]
    for place, count in zip(shown, tried, strict=True):
        s.draw(f"seen_{place}", f"successes(n={count.code}, p=rate_{place})")
    asked, more = s.choose(range(len(names))), s.number(5, 10, 1)
    if slips or len(names) < 3:
        plan = s.rule(f"Next, {more} {k.items} will be taken from the {jars[asked]}")
        s.draw("later", f"successes(n={more.code}, p=rate_{asked})", says=plan)
    s.simulate()
    for place, count in zip(shown, tried, strict=True):
        span = f"of {count} {k.items} from the {jars[place]}, taken one by one and put back,"
        s.event(s.see(f"{span} {{}} {k.showed}", f"seen_{place}"))
    one = s.choose(range(len(names)))
    if slips:
        s.ask_which("slip", of="slips", question="Which labels were swapped?")
        s.ask_yes(f"slip != {slips[0]!r}", "Were any labels swapped?")
    else:
        what = f"What is in the {jars[one]}?"
        s.ask_which(f"inside_{one}", of="content", question=what)
        s.ask_value(
            "right", what=f"the number of {k.jars} with the right label", low=0, high=len(names)
        )
    wrong = [slip for slip in slips[1:] if names[one] in slip.split(" with ")]
    is_right = (
        " and ".join(f"slip != {slip!r}" for slip in wrong) or f"inside_{one} == {names[one]!r}"
    )
    if len(names) > 2:
        s.ask_yes(is_right, f"Is the label {names[one]} on the right {k.jar}?")
    s.ask_chance(f"rate_{one}", f"the next {k.item} from the {jars[one]} {k.shows}")
    if slips or len(names) < 3:
        what = f"the number of the {more} {k.items} from the {jars[asked]} that {k.show}"
        s.ask_value("later", what=what, low=0, high=more.value)


def _tell_swap(s: Sketch[Jar], codes: dict[str, str], mix: str) -> list[str]:
    """Perhaps two labels were swapped: declares which, and the rate behind every label."""
    k, names = s.skin, list(codes)
    if len(names) > 3:
        pairs = list(itertools.pairwise(names))
    else:
        pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    slips = ["no slip", *(f"{a} with {b}" for a, b in pairs)]
    chance = s.chance(0.4, 0.8, form="percent")
    says = s.rule(
        f"With {chance.chance()} {k.helper} swapped one of these {count_word(len(pairs))} pairs of"
        f" labels, all equally likely: {join_words(slips[1:], 'or')}; otherwise there was no slip"
    )
    members = s.set("slips", s.shuffled(slips))
    even = f"{chance.code}/{len(pairs)}"
    weights = [f"1-{chance.code}" if slip == slips[0] else even for slip in members]
    s.draw("slip", f"pick(slips, weights=[{', '.join(weights)}])", says=says)
    for place, name in enumerate(names):
        parts = {
            slip: codes[a if name == b else b]
            for slip, (a, b) in zip(slips[1:], pairs)
            if name in (a, b)
        }
        formula = codes[name]
        for slip, code in parts.items():
            formula = f"{code} if slip == {slip!r} else ({formula})"
        s.let(f"rate_{place}", formula, says=mix)
    return slips


def _tell_torn_labels(s: Sketch[Jar], codes: dict[str, str], mix: str) -> list[str]:
    """Labels put back blindly, or perhaps blindly: contents are drawn without replacement."""
    k, names = s.skin, list(codes)
    blind = s.chance(0.4, 0.8, form="percent") if s.maybe() else None
    if blind:
        says = s.rule(
            f"All labels had come off; with {blind.chance()} {k.helper} put them back blindly, all"
            " orders being equally likely, and otherwise correctly"
        )
        s.draw("blind", f"yes(p={blind.code})", says=says)
    else:
        says = s.rule(
            f"All labels had come off, and {k.helper} put them back blindly, one on each {k.jar},"
            " so all orders are equally likely"
        )
    for place, name in enumerate(names):
        taken = [f"inside_{before} == content" for before in range(place)]
        free = f"0 if {' or '.join(taken)} else 1" if taken else "1"
        if blind:
            free = f"({free}) if blind else (1 if content == {name!r} else 0)"
        s.let(f"free_{place}", free, per="content")
        weights = ", ".join(reference(f"free_{place}", content) for content in names)
        s.draw(f"inside_{place}", f"pick(content, weights=[{weights}])", says=says)
        s.let(f"rate_{place}", _by_member(f"inside_{place}", codes), says=mix)
    hits = [f"(1 if inside_{place} == {name!r} else 0)" for place, name in enumerate(names)]
    s.let("right", " + ".join(hits))
    return []


MOTIFS = (
    Motif("host_knows", "H", Host, host_knows),
    Motif("search_in_places", "H", Search, search_in_places),
    Motif("swapped_labels", "H", Jar, swapped_labels),
)
