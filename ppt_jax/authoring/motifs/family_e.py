"""Family E, generalisation: from a few cases to kinds, rules, groups and relatives."""

from __future__ import annotations

from ppt_jax.authoring.language import count_word, join_words, ordinal
from ppt_jax.authoring.motif import Motif
from ppt_jax.authoring.sketch import Sketch, reference
from ppt_jax.authoring.skins.attempts import Attempt
from ppt_jax.authoring.skins.lineages import Lineage
from ppt_jax.authoring.skins.scorings import Scoring
from ppt_jax.authoring.skins.species import Sort
from ppt_jax.authoring.skins.trays import Tray
from ppt_jax.authoring.wording import Told, bell


def _by_sort(names: list[str], codes: list[str]) -> str:
    """A formula that looks a number up by the sort."""
    formula = codes[-1]
    for name, code in reversed(list(zip(names[:-1], codes[:-1], strict=True))):
        formula = f"{code} if sort == {name!r} else ({formula})"
    return formula


def _measure(
    s: Sketch[Sort], node: str, measure: str, unit: str, middle: tuple[float, float],
    names: list[str],
) -> str:  # fmt: skip
    """Declares a measure of the found item, with an average by sort; returns its formula."""
    k = s.skin
    start = s.number(*middle, 1)
    gap = max(4.0, round(min((middle[1] - middle[0]) * 0.4, start.value * 0.3)))
    means = [start] + [
        s.number(start.value + gap * place - gap / 3, start.value + gap * place + gap / 3, 1)
        for place in range(1, len(names))
    ]
    means = s.shuffled(means)
    sd = s.number(min(gap * 0.6, start.value * 0.2), min(gap, start.value * 0.25), 1)
    listed = ", ".join(f"{mean} for {name}" for mean, name in zip(means, names, strict=True))
    says = s.rule(
        s.choose(
            (
                f"Average {measure} in {unit}: {listed}; single {k.items} spread normally around"
                f" it with a standard deviation of {sd}",
                f"The {measure} of {k.items} is normal with a standard deviation of {sd} {unit}"
                f" around an average that depends on the {k.sort}: {listed}",
            )
        )
    )
    mean = _by_sort(names, [told.code for told in means])
    s.let(f"{node}_mean", mean, unit=unit, says=says)
    law = f"normal(mean={node}_mean, sd={sd.code})"
    s.draw(node, law, unit=unit, says=says)
    return law


def cluster_membership(s: Sketch[Sort]) -> None:
    """Which group an item belongs to, from measures that overlap; what its group implies."""
    k = s.skin
    names = s.set("sorts", s.some(k.names, s.entities(2, 4)))
    s.setting(
        s.choose(
            (
                f"{s.place}, {k.items} of {count_word(len(names))} {k.sorts} turn up:"
                f" {join_words(names)}",
                f"{k.items} {s.place} belong to one of {count_word(len(names))} {k.sorts},"
                f" {join_words(names)}",
            )
        )
    )
    if len(names) == 2 or s.maybe(0.4):
        low, high = {2: (0.25, 0.7), 3: (0.15, 0.4), 4: (0.1, 0.3)}[len(names)]
        shares = [s.chance(low, high, form="percent") for _ in names[1:]]
        told = join_words(
            [
                f"{share.chance()} that the {k.sort} is {name}"
                for share, name in zip(shares, names[1:], strict=True)
            ]
        )
        says = s.rule(f"For any {k.item} there is {told}; otherwise it is {names[0]}")
        rest = "1" + "".join(f"-{share.code}" for share in shares)
        weights = ", ".join((rest, *(share.code for share in shares)))
        s.draw("sort", f"pick(sorts, weights=[{weights}])", says=says)
    else:
        s.draw("sort", "pick(sorts)", says=s.rule(f"The {k.sorts} are equally common"))
    law = _measure(s, "size", k.measure, k.unit, k.middle, names)
    both = s.observations(1, 3) > 1 and len(names) < 3 + s.maybe(0.4)
    if both:
        _measure(s, "trait", k.second, k.second_unit, k.second_middle, names)
        s.rule(f"Within a {k.sort} these are independent")
    rates: list[Told] = [s.chance(0.05, 0.95, form="percent") for _ in names]
    listed = ", ".join(f"{rate} for {name}" for rate, name in zip(rates, names, strict=True))
    does = s.rule(f"How often a {k.item} {k.does}: {listed}")
    s.let("does_p", _by_sort(names, [rate.code for rate in rates]), says=does)
    s.draw("does", "yes(p=does_p)")
    s.draw("sibling", law, unit=k.unit)
    tried = s.maybe(0.35)
    s.simulate()
    event = s.see(f"a {k.measure} of {{}} {k.unit}", "size")
    if both:
        second = s.see(f"a {k.second} of {{}} {k.second_unit}", "trait")
        s.event(f"one {k.item} was found with {event} and {second}, both rounded")
    else:
        s.event(f"one {k.item} was found with {event}, rounded")
    if tried:
        yes, no = f"this {k.item} {k.does}", f"it is not true that this {k.item} {k.does}"
        s.event(s.see_yes(yes, no, "does"))
        s.in_order = True
    s.ask_which("sort", of="sorts", question=f"To which {k.sort} does this {k.item} belong?")
    s.ask_value(
        "sibling", what=f"the {k.measure} of another {k.item} of the same {k.sort}", unit=k.unit
    )
    s.ask_chance("does_p", f"another {k.item} of the same {k.sort} {k.does}")
    if len(names) > 2:
        s.ask_yes(f"sort == {names[0]!r}", f"Is the {k.sort} {names[0]}?")


def _declare_rule(s: Sketch[Tray]) -> tuple[list[str], list[list[str]]]:
    """Declares things, candidate rules and `fits`; returns things, and what each rule allows."""
    k = s.skin
    firsts = list(zip(k.firsts, range(3), strict=True))[: 3 if s.entities(2, 5) > 3 else 2]
    seconds = s.some(range(3), 3 if s.maybe(0.6) else 2)
    things = [f"{first} {k.seconds[second]}" for first, _ in firsts for second in seconds]
    s.set("thing", things)
    one = s.choose(firsts)[0]
    other = s.choose([first for first, _ in firsts if first != one])
    two = s.choose(seconds)
    rules = {
        f"only {one} {k.things}": [t for t in things if t.startswith(f"{one} ")],
        f"only {k.plurals[two]}": [t for t in things if t.endswith(f" {k.seconds[two]}")],
        f"only {one} {k.plurals[two]}": [f"{one} {k.seconds[two]}"],
        f"all {k.things}": things,
        f"only {other} {k.things}": [t for t in things if t.startswith(f"{other} ")],
    }
    names = s.some(list(rules), s.entities(3, 5))
    if not any(len(rules[name]) >= 3 for name in names):
        names[0] = f"all {k.things}"
    members = s.set("rules", s.shuffled(names))
    s.setting(
        s.choose(
            (
                f"{s.place}, there is exactly one each of these: {join_words(things)}",
                f"These are found {s.place}, one of each: {join_words(things)}",
            )
        )
    )
    if s.maybe():
        says = s.rule(
            f"The {k.ruler} follows one fixed rule, and these are equally likely beforehand:"
            f" {join_words(names, 'or')}"
        )
        s.draw("rule", "pick(rules)", says=says)
    else:
        top = s.chance(0.35, 0.6, form="percent")
        rest = "" if len(names) == 2 else f" {count_word(len(names) - 1)}"
        says = s.rule(
            f"The {k.ruler} follows one fixed rule: with {top.chance()} it is {names[0]}; the"
            f" other{rest} are equally likely: {join_words(names[1:], 'or')}"
        )
        other = f"(1-{top.code})/{len(names) - 1}"
        weights = ", ".join(top.code if name == names[0] else other for name in members)
        s.draw("rule", f"pick(rules, weights=[{weights}])", says=says)
    for place, name in enumerate(names):
        tests = " or ".join(f"thing == {thing!r}" for thing in rules[name])
        whole = len(rules[name]) == len(things)
        s.let(f"in_{place}", "1" if whole else f"1 if {tests} else 0", per="thing")
    formula = f"in_{len(names) - 1}[thing]"
    for place in reversed(range(len(names) - 1)):
        formula = f"in_{place}[thing] if rule == {names[place]!r} else ({formula})"
    s.let("fits", formula, per="thing")
    return things, [rules[name] for name in names]


def rule_game(s: Sketch[Tray]) -> None:
    """Size principle: examples drawn from a hidden rule favour the narrow rules that fit."""
    k = s.skin
    things, _ = _declare_rule(s)
    law = s.rule(
        s.choose(
            (
                f"Each time, the {k.ruler} {k.takes} one at random among those the rule allows,"
                " and the same may come again",
                f"Each time, all that the rule allows are equally likely to be the one that the"
                f" {k.ruler} {k.takes}",
            )
        )
    )
    weights = ", ".join(f"fits[{thing!r}]" for thing in things)
    turns = [ordinal(place) for place in range(1, s.observations(1, 3) + 1)]
    s.set("turn", turns)
    s.draw("example", f"pick(thing, weights=[{weights}])", per="turn", says=law)
    s.draw("next_one", f"pick(thing, weights=[{weights}])")
    s.let("allowed", "total(fits[thing], thing)")
    s.simulate()
    for turn in turns:
        s.event(
            s.see_pick(f"the {turn} time the {k.ruler} {k.took} the {{}}", "example", "thing", turn)
        )
    s.in_order = True
    seen = [s.member("example", "thing", turn) for turn in turns]
    _ask_rule_about(s, things, seen)
    s.ask_which("next_one", of="thing", question=f"Which one will the {k.ruler} take next?")
    s.ask_chance(
        f"fits[{seen[0]!r}] / max(1, allowed)", f"the {k.ruler} {k.takes} the {seen[0]} next time"
    )


def _ask_rule_about(s: Sketch[Tray], things: list[str], seen: list[str]) -> None:
    """Asks about the rule, what it allows, and how much; things not seen come first."""
    k = s.skin
    s.ask_which("rule", of="rules", question=f"Which rule does the {k.ruler} follow?")
    new = [thing for thing in things if thing not in seen] or things
    thing = s.choose(new)
    s.ask_yes(f"fits[{thing!r}] > 0", f"Does the rule allow the {thing}?")
    s.ask_value(
        "allowed",
        what=f"the number of these {len(things)} {k.things} that the rule allows",
        low=0,
        high=len(things),
    )


def taught_or_found(s: Sketch[Tray]) -> None:
    """Chosen by someone who knows the rule, or met by chance: strong against weak sampling."""
    k = s.skin
    things, allows = _declare_rule(s)
    knows = s.chance(0.5, 0.8)
    says = s.rule(
        s.choose(
            (
                f"With {knows.chance()} the {k.things} are shown by a teacher who draws only from"
                f" what the rule allows, otherwise by a stranger who draws from all {len(things)},"
                " each time with equal chances",
                "One and the same person draws and shows them, each time with equal chances: with"
                f" {knows.chance()} a teacher, who draws only from what the rule allows, otherwise"
                f" a stranger, who draws from all {len(things)}",
            )
        )
    )
    s.draw("taught", f"yes(p={knows.code})", says=says)
    s.let("offer", "fits[thing] if taught else 1", per="thing", says=says)
    weights = ", ".join(f"offer[{thing!r}]" for thing in things)
    turns = s.set("turn", [ordinal(place) for place in range(1, s.observations(1, 2) + 1)])
    s.draw("shown", f"pick(thing, weights=[{weights}])", per="turn")
    s.let("allowed", "total(fits[thing], thing)")
    s.simulate()
    s.in_order = True
    seen: list[str] = []
    for turn in turns:
        span = s.see_pick(f"in the {turn} turn the {{}} was shown", "shown", "thing", turn)
        thing = s.member("shown", "thing", turn)
        fits = int(s.value("fits", thing))
        what = f"the {k.ruler} {k.took} it" if fits else f"the {k.ruler} left it alone"
        if thing not in seen and 0 < sum(thing in allowed for allowed in allows) < len(allows):
            what = s.fact(f"{reference('fits', thing)} == {fits}", what)
        s.event(f"{span}, and {what}")
        seen.append(thing)
    _ask_rule_about(s, things, seen)
    s.ask_yes("taught", f"Are the {k.things} shown by the teacher?")
    s.ask_chance(
        f"1 if taught else allowed / {len(things)}", f"the {k.ruler} {k.takes} what is shown next"
    )


def rule_with_exceptions(s: Sketch[Tray]) -> None:
    """A hidden rule that is now and then broken: what is offered, taken and left."""
    k = s.skin
    things, allows = _declare_rule(s)
    slip = s.chance(0.05, 0.2)
    breaks = s.rule(
        s.choose(
            (
                f"Whatever is offered, the {k.ruler} acts against the rule {slip.times()}, each"
                " time independently",
                f"There is {slip.chance()} each time that the {k.ruler} does the opposite of what"
                " the rule says",
            )
        )
    )
    s.let("goes", f"1-{slip.code} if fits[thing] == 1 else {slip.code}", per="thing", says=breaks)
    telling = [t for t in things if 0 < sum(t in allowed for allowed in allows) < len(allows)]
    offered = s.some(telling, min(len(things) - 1, s.observations(2, 5)))
    for place, thing in enumerate(offered):
        s.draw(f"taken_{place}", f"yes(p=goes[{thing!r}])")
    s.let("allowed", "total(fits[thing], thing)")
    s.simulate()
    for place, thing in enumerate(offered):
        yes = f"offered the {thing}, the {k.ruler} {k.took} it"
        no = f"offered the {thing}, the {k.ruler} left it alone"
        s.event(s.see_yes(yes, no, f"taken_{place}"))
    _ask_rule_about(s, things, offered)
    thing = s.choose(things)
    s.ask_chance(f"goes[{thing!r}]", f"the {k.ruler} {k.takes} the {thing} when it is offered next")
    s.ask_chance(
        "average(goes[thing], thing)",
        f"the {k.ruler} {k.takes} a {k.thing} that is picked blindly from these and offered",
    )


def overhypothesis(s: Sketch[Attempt]) -> None:
    """Are all groups alike, or each its own? What is learned from some carries over, or not."""
    k = s.skin
    count = s.entities(2, 4)
    names = s.set("source", [f"{k.source} {letter}" for letter in s.some("ABCDEF", count)])
    s.setting(
        s.choose(
            (
                f"{s.place}, some {k.items} {k.work} and some do not",
                f"{s.place}, it is not yet known what decides whether a {k.item} {k.works}",
            )
        )
    )
    alike = s.chance(0.3, 0.7)
    either = s.rule(
        f"There is {alike.chance()} that one common rate holds for all {k.sources}; otherwise each"
        f" {k.source} has a rate of its own, independent of the others"
    )
    s.draw("alike", f"yes(p={alike.code})", says=either)
    low, high = s.chance(0.05, 0.2, form="percent"), s.chance(0.8, 0.95, form="percent")
    spread = s.rule(
        f"Any such rate, the share of {k.items} that {k.work}, is between {low} and {high},"
        " all values equally likely"
    )
    law = f"uniform(low={low.code}, high={high.code})"
    s.draw("common", law, says=spread)
    s.draw("own", law, per="source")
    s.let("rate", "common if alike else own[source]", per="source")
    s.draw("own_new", law)
    s.let("new_rate", "common if alike else own_new")
    tries = [s.number(4, 10 if count == 2 else 8, 1) for _ in names]
    for place, (name, tried) in enumerate(zip(names, tries, strict=True)):
        s.draw(f"seen_{place}", f"successes(n={tried.code}, p={reference('rate', name)})")
    more = s.number(5, 10, 1)
    plan = s.rule(f"A new {k.source}, never used so far, will soon give {more} {k.items}")
    s.draw("later", f"successes(n={more.code}, p=new_rate)", says=plan)
    s.simulate()
    for place, (name, tried) in enumerate(zip(names, tries, strict=True)):
        span = f"of {tried} {k.items} {k.link} {name}, {{}} {k.worked}"
        s.event(s.see(span, f"seen_{place}"))
    s.ask_yes("alike", f"Do all {k.sources} have one common rate?")
    s.ask_chance("new_rate", f"the first {k.item} {k.link} the new {k.source} {k.works}")
    s.ask_value(
        "later",
        what=f"the number of the {more} {k.items} {k.link} the new {k.source} that will {k.work}",
        low=0, high=more.value,
    )  # fmt: skip
    one = s.choose(names)
    s.ask_chance(reference("rate", one), f"the next {k.item} {k.link} {one} {k.works}")


def partial_pooling(s: Sketch[Scoring]) -> None:
    """Actors of one group with few scores each: they inform each other through the group."""
    k = s.skin
    count = s.entities(2, 4)
    names = s.people(count) if k.person else [f"{k.actor} {letter}" for letter in "BCDF"[:count]]
    actors = s.set("actor", names)
    s.setting(
        s.choose(
            (
                f"{s.place}, a new group of {k.actors} is tested, {join_words(actors)} among them",
                f"{join_words(actors)} belong to a new group of {k.actors} {s.place}",
            )
        )
    )
    mean = s.typical(*k.mean)
    sd = s.typical(k.sd[0], max(k.sd[0], min(k.sd[1], mean.value / 5)), step=1)
    groups = s.rule(
        bell(s.rng, f"the average {k.trait} of a group", mean, sd, unit=k.unit, scope="over groups")
    )
    s.draw("group", f"normal(mean={mean.code}, sd={sd.code})", unit=k.unit, says=groups)
    within = s.number(sd.value * 0.5, sd.value * 0.9, 1)
    inside = s.rule(
        f"Within a group, the {k.trait} of single {k.actors} is normal around the group's average"
        f" with a standard deviation of {within}"
    )
    law = f"normal(mean=group, sd={within.code})"
    s.draw("level", law, per="actor", unit=k.unit, says=inside)
    s.draw("newcomer", law, unit=k.unit)
    noise = s.number(sd.value * 0.7, sd.value * 1.1, 1)
    scatter = s.rule(
        f"A single {k.score} is normal around the {k.trait} of that {k.actor} with a standard"
        f" deviation of {noise}"
    )
    seen = {name: s.observations(1, 2) if count < 4 else 1 for name in actors}
    if count > 2:
        seen[s.choose(actors)] = 0
    for place, name in enumerate(actors):
        for time in range(seen[name]):
            s.draw(
                f"score_{place}_{time}",
                f"normal(mean={reference('level', name)}, sd={noise.code})",
                unit=k.unit,
                says=scatter,
            )
    s.simulate()
    for place, name in enumerate(actors):
        if not seen[name]:
            continue
        parts = [s.see("{}", f"score_{place}_{time}") for time in range(seen[name])]
        s.event(f"{name} got {join_words(parts)} {k.unit}, rounded")
    unseen = [name for name in actors if not seen[name]]
    known = s.choose([name for name in actors if seen[name]])
    other = unseen[0] if unseen else s.choose([name for name in actors if name != known])
    s.ask_value("level", known, what=f"the {k.trait} of {known}", unit=k.unit)
    s.ask_value("group", what=f"the average {k.trait} of this group", unit=k.unit)
    s.ask_value("newcomer", what=f"the {k.trait} of a newcomer to this group", unit=k.unit)
    s.ask_rank(
        "level", other, who=other, group=f"{k.actors} of all groups", lowest=k.least, highest=k.most
    )
    s.ask_either(
        reference("level", known), reference("level", other), (known, other),
        f"Whose {k.trait} is higher, that of {{}}?",
    )  # fmt: skip


def inherited_feature(s: Sketch[Lineage]) -> None:
    """A feature passes down a family tree with rare changes; relatives tell about relatives."""
    k = s.skin
    branches = list(k.branches[: s.entities(2, 3)])
    size = 3 if len(branches) == 2 or s.maybe(0.4) else 2
    members = {
        branch: s.some(k.names[3 * place : 3 * place + 3], size)
        for place, branch in enumerate(branches)
    }
    s.setting(
        f"{s.place}, all {k.items} go back to {k.root} through "
        + join_words([f"{branch} ({join_words(members[branch])})" for branch in branches])
    )
    source, change = s.chance(0.3, 0.7), s.chance(0.08, 0.3)
    first = s.rule(f"There is {source.chance()} that {k.root} {k.had}")
    step = s.rule(
        s.choose(
            (
                f"At each step, from {k.root} to a branch and from a branch to a {k.item}, there is"
                f" {change.chance()} that this feature switches",
                f"There is {change.chance()} at each step (source to branch, branch to {k.item})"
                " that the feature is lost or, if absent, gained",
            )
        )
    )
    s.draw("source", f"yes(p={source.code})", says=first)
    keep = f"1-{change.code}"
    for place, branch in enumerate(branches):
        s.draw(f"branch_{place}", f"yes(p=({keep}) if source else {change.code})", says=step)
        s.set(f"end_{place}", members[branch])
        s.draw(
            f"has_{place}",
            f"yes(p=({keep}) if branch_{place} else {change.code})",
            per=f"end_{place}",
        )
    ends = [(place, name) for place, branch in enumerate(branches) for name in members[branch]]
    seen = s.some(ends, min(len(ends) - 2, s.observations(2, 5)))
    rest = [end for end in ends if end not in seen]
    s.let("further", " + ".join(f"has_{place}[{name!r}]" for place, name in rest))
    s.simulate()
    for place, name in seen:
        s.event(
            s.see_yes(f"{k.the}{name} {k.has}", f"{k.the}{name} {k.hasnt}", f"has_{place}", name)
        )
    for place, name in s.some(rest, 2):
        s.ask_yes(f"has_{place}[{name!r}] == 1", f"Is it true that {k.the}{name} {k.has}?")
    s.ask_yes("source", f"Is it true that {k.root} {k.had}?")
    s.ask_value(
        "further",
        what=f"the number of {k.items} that {k.have}, among {join_words([n for _, n in rest])}",
        low=0,
        high=len(rest),
    )
    place = int(s.rng.integers(len(branches)))
    s.ask_chance(
        f"({keep}) if branch_{place} else {change.code}",
        f"a newly found {k.item} of {branches[place]} {k.has}",
    )


MOTIFS = (
    Motif("cluster_membership", "E", Sort, cluster_membership),
    Motif("rule_game", "E", Tray, rule_game),
    Motif("rule_with_exceptions", "E", Tray, rule_with_exceptions),
    Motif("taught_or_found", "E", Tray, taught_or_found),
    Motif("overhypothesis", "E", Attempt, overhypothesis),
    Motif("partial_pooling", "E", Scoring, partial_pooling),
    Motif("inherited_feature", "E", Lineage, inherited_feature),
)
