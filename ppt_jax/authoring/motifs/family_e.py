"""Family E, generalisation: from few examples to the group, the rule, the next one."""

from __future__ import annotations

from ppt_jax.authoring.language import join_words
from ppt_jax.authoring.motif import Motif
from ppt_jax.authoring.sketch import Sketch, reference
from ppt_jax.authoring.skins.bags import Bag
from ppt_jax.authoring.skins.rules import Rule
from ppt_jax.authoring.skins.scorings import Scoring
from ppt_jax.authoring.wording import bell


def partial_pooling(s: Sketch[Scoring]) -> None:
    """Group members share a hidden average: one with few readings borrows from the others."""
    k = s.skin
    count = s.entities(2, 4)
    names = s.people(count) if k.person else [f"{k.actor} {letter}" for letter in "BCDFG"[:count]]
    members = s.set("member", names)
    s.setting(
        s.choose(
            (
                f"{s.place}, {join_words(members)} belong to one new group",
                f"{join_words(members)} form a new group {s.place}",
            )
        )
    )
    centre = s.number(*k.mean)
    wide = s.number(k.sd[0], max(k.sd[0], min(k.sd[1], centre.value / 5)), 1)
    common = s.rule(
        bell(s.rng, f"the typical {k.trait} of such a group", centre, wide, unit=k.unit)
    )
    apart = s.number(max(1, wide.value * 0.3), wide.value * 0.9, 1)
    own = s.rule(f"within it, members differ from that by {apart} (standard deviation)")
    noise = s.number(max(1, wide.value * 0.5), wide.value * 1.2, 1)
    luck = s.rule(
        s.choose(
            (
                f"A single {k.score} scatters around the member's own {k.trait}, standard deviation {noise}",
                f"On top, chance moves each {k.score} by {noise} (standard deviation as well)",
            )
        )
    )
    s.draw("group", f"normal(mean={centre.code}, sd={wide.code})", unit=k.unit, says=common)
    s.draw("level", f"normal(mean=group, sd={apart.code})", per="member", unit=k.unit, says=own)
    s.draw("newcomer", f"normal(mean=group, sd={apart.code})", unit=k.unit)
    readings = [1 if s.maybe(0.65) else 2 for _ in members]
    for place, (who, several) in enumerate(zip(members, readings, strict=True), start=1):
        for turn in range(1, several + 1):
            expr = f"normal(mean={reference('level', who)}, sd={noise.code})"
            s.draw(f"score_{place}_{turn}", expr, unit=k.unit, says=luck)
    s.simulate()
    for place, (who, several) in enumerate(zip(members, readings, strict=True), start=1):
        nodes = [f"score_{place}_{turn}" for turn in range(1, several + 1)]
        first = s.see(f"{who} had {{}}", nodes[0])
        rest = [s.see("then {}", node) for node in nodes[1:]]
        s.event(", ".join([first, *rest]))
    a, b = s.some(members, 2)
    s.ask_value("level", a, what=f"the {k.trait} of {a}", unit=k.unit, floor=0)
    s.ask_value("group", what=f"the typical {k.trait} of the group", unit=k.unit, floor=0)
    s.ask_value("newcomer", what=f"the {k.trait} of one more, unseen member", unit=k.unit, floor=0)
    s.ask_rank("group", who="this one", group="such groups", lowest=k.least, highest=k.most)
    s.ask_either(
        reference("level", a), reference("level", b), (a, b),
        f"{'Who' if k.person else 'Which'} is truly {k.more}, {{}}?",
    )  # fmt: skip


def alike_or_mixed(s: Sketch[Bag]) -> None:
    """Overhypothesis: containers are each of one sort or all mixed; one draw may say it all."""
    k = s.skin
    bags = s.set("bag", [f"{k.bag} {letter}" for letter in "ABCD"[: s.entities(2, 4)]])
    style = s.set("style", s.shuffled(["alike", "mixed"]))
    s.setting(
        s.choose(
            (
                f"{s.place} there are {k.bags} of {k.things}, some {k.sort}, some {k.other}",
                f"{k.sort} and {k.other} {k.things} are sold {s.place} in {k.bags}",
            )
        )
    )
    prior = s.chance(0.3, 0.7)
    weight = {"alike": prior.code, "mixed": f"1-{prior.code}"}
    told = s.rule(
        f"there is {prior.chance()} that {k.maker} fills each {k.bag} nearly all alike;"
        f" otherwise every {k.bag} is mixed"
    )
    s.draw(
        "habit", f"pick(style, weights=[{', '.join(weight[name] for name in style)}])", says=told
    )
    main = s.chance(0.8, 0.95, form="percent")
    alike = s.rule(
        f"an alike {k.bag} is either {main} {k.sort} or {main} {k.other}, both equally likely"
    )
    s.draw("lean", "yes(p=0.5)", per="bag", says="both equally likely")
    half = s.rule(f"in a mixed {k.bag} half are {k.sort}")
    s.let(
        "part",
        f"({main.code} if lean[bag] else 1 - {main.code}) if habit == 'alike' else 0.5",
        per="bag",
        says=alike,
    )
    sizes = [int(s.number(2, 6, 1).value) for _ in bags[:-1]] + [1]
    for place, (bag, size) in enumerate(zip(bags, sizes, strict=True), start=1):
        expr = f"successes(n={size}, p={reference('part', bag)})"
        s.draw(f"drawn_{place}", expr, says=half if place == 1 else "")
    s.simulate()
    for place, (bag, size) in enumerate(zip(bags, sizes, strict=True), start=1):
        s.event(
            s.see(f"of {size} {k.things} from {bag}, {{}} came out {k.sort}", f"drawn_{place}")
            if size > 1
            else s.see_yes(
                f"a single {k.thing} from {bag} was {k.sort}",
                f"a single {k.thing} from {bag} was {k.other}",
                f"drawn_{place}",
            )
        )
    last, first = bags[-1], bags[0]
    s.ask_chance(reference("part", last), f"the next {k.thing} from {last} is {k.sort}")
    s.ask_chance(reference("part", first), f"the next {k.thing} from {first} is {k.sort}")
    s.ask_which("habit", of="style", question=f"Are the {k.bags} each alike, or mixed?")
    s.ask_yes(f"{reference('part', last)} > 0.5", f"Are most {k.things} in {last} {k.sort}?")
    s.ask_value(
        "part", last, what=f"the {k.sort} part of {last}, from 0 (none) to 1 (all)", low=0, high=1
    )


def rule_with_exceptions(s: Sketch[Rule]) -> None:
    """One trait decides, with slips; examples narrow down which."""
    k = s.skin
    names = [pair[0] for pair in k.traits]
    traits = s.set("trait", s.shuffled(names))
    s.setting(
        s.choose(
            (
                f"{s.place}, {k.noun} seem to follow one trait: {join_words(traits, 'or')}",
                f"One trait decides about {k.noun} {s.place}: {join_words(traits, 'or')}",
            )
        )
    )
    equal = s.rule("beforehand each of the three is equally likely")
    s.draw("rule", "pick(trait)", says=equal)
    slip = s.chance(0.05, 0.25)
    slips = s.rule(
        f"as a rule, a {k.thing} with the trait {k.gets}, one without it {k.gets_not},"
        f" but {slip.times()} it went the other way round"
    )

    def chance(flags: dict[str, bool]) -> str:
        code = f"(1 - {slip.code})"
        fitting = [f"rule == '{trait}'" for trait in names if flags[trait]]
        if len(fitting) == len(names):
            return code
        return f"{code} if {' or '.join(fitting)} else {slip.code}" if fitting else slip.code

    def phrase(flags: dict[str, bool]) -> str:
        return ", ".join(pair[0] if flags[pair[0]] else pair[1] for pair in k.traits)

    examples = []
    for number in range(1, s.observations(2, 5) + 1):
        flags = {trait: s.maybe() for trait in names}
        if len(set(flags.values())) == 1:
            flags[s.choose(names)] ^= True
        s.draw(f"example_{number}", f"yes(p={chance(flags)})", says=slips)
        examples.append(flags)
    target = dict.fromkeys(names, False)
    target[s.choose(names)] = True
    s.draw("next_one", f"yes(p={chance(target)})")
    s.simulate()
    for number, flags in enumerate(examples, start=1):
        what = f"a {phrase(flags)} {k.thing}"
        s.event(s.see_yes(f"{what} {k.gets}", f"{what} {k.gets_not}", f"example_{number}"))
    s.ask_which("rule", of="trait", question="Which trait decides?")
    s.ask_chance(chance(target), f"a {phrase(target)} {k.thing} will {k.would}")
    s.ask_yes("next_one", f"Will the next one, a {phrase(target)} {k.thing}, {k.would}?")
    trait = s.choose(traits)
    s.ask_yes(f"rule == '{trait}'", f"Is {trait} the trait that decides?")


MOTIFS = (
    Motif("partial_pooling", "E", Scoring, partial_pooling),
    Motif("alike_or_mixed", "E", Bag, alike_or_mixed),
    Motif("rule_with_exceptions", "E", Rule, rule_with_exceptions),
)
