"""Family B, causes: which cause is behind an effect, and how strong causes are."""

from __future__ import annotations

from ppt_jax.authoring.language import join_words
from ppt_jax.authoring.motif import Motif
from ppt_jax.authoring.sketch import Sketch
from ppt_jax.authoring.skins.conditions import Condition
from ppt_jax.authoring.skins.faults import Fault
from ppt_jax.authoring.skins.machines import Machine
from ppt_jax.authoring.skins.treatments import Treatment
from ppt_jax.authoring.wording import Told


def _setting(s: Sketch[Fault]) -> None:
    k = s.skin
    s.setting(
        s.choose(
            (
                f"{s.place}, a {k.case} sometimes {k.effect_does}",
                f"Not every {k.case} {s.place} goes well: now and again one {k.effect_does}",
                f"People {s.place} keep track of every {k.case} that {k.effect_does}",
            )
        )
    )


def _lamp(s: Sketch[Fault], cause: str, noun: str) -> tuple[Told, Told]:
    """Declares a sensor for a cause; returns its chances to fire with and without it."""
    k = s.skin
    hit, false = s.chance(0.65, 0.95), s.chance(0.03, 0.3)
    says = s.rule(
        s.choose(
            (
                f"The {k.sensor} {k.sensor_fires} {hit.times()} when there is {noun}"
                f" and {false.times()} when there is not",
                f"With {noun} the {k.sensor} {k.sensor_fires} {hit.times()};"
                f" without it, {false.times()}",
            )
        )
    )
    s.draw("sensor", f"yes(p={hit.code} if {cause} else {false.code})", says=says)
    return hit, false


def _see_lamp(s: Sketch[Fault]) -> None:
    k = s.skin
    s.event(s.see_yes(f"the {k.sensor} {k.sensor_yes}", f"the {k.sensor} {k.sensor_no}", "sensor"))


def _share_sentence(s: Sketch[Fault], share: Told, does: str) -> str:
    k = s.skin
    if share.form == "verbal":
        return s.rule(f"{share} a {k.case} is one of those that {does}")
    return s.rule(f"{share.of(k.cases)} {does}")


def explaining_away(s: Sketch[Fault]) -> None:
    """Independent causes meet in a noisy-or; learning one lowers the other."""
    k = s.skin
    causes = s.some(k.causes, 2 if s.knobs.length == "short" else min(3, s.entities(2, 3)))
    _setting(s)
    powers = []
    for cause in causes:
        share, power = s.chance(0.08, 0.4), s.chance(0.4, 0.9)
        s.draw(cause.key, f"yes(p={share.code})", says=_share_sentence(s, share, cause.does))
        powers.append((cause, power))
    for cause, power in powers:
        says = s.rule(f"{cause.noun} alone will lead to {k.effect_noun} {power.times()}")
        s.let(f"by_{cause.key}", f"{power.code} if {cause.key} else 0", says=says)
    leak = s.chance(0.01, 0.1)
    leaks = s.rule(f"with none of these, {k.effect_noun} happens {leak.times()}")
    s.rule(s.choose(("The causes act independently", "Each cause acts on its own")))
    factors = " * ".join(f"(1 - by_{cause.key})" for cause in causes)
    s.let("effect_p", f"1 - (1 - {leak.code}) * {factors}", says=leaks)
    s.draw(k.effect, "yes(p=effect_p)")
    lamp = s.maybe(0.45)
    if lamp:
        hit, false = _lamp(s, causes[0].key, causes[0].noun)
    s.simulate()
    s.event(s.see_yes(f"{k.this_case} {k.effect_did}", f"{k.this_case} {k.effect_not}", k.effect))
    if lamp:
        _see_lamp(s)
    told = s.choose(causes[1:]) if s.maybe(0.6) else None
    if told:
        yes, no = f"{k.this_case} {told.did}", f"it is not true that {k.this_case} {told.did}"
        s.event(f"later it became known that {s.see_yes(yes, no, told.key)}")
    unknown = [cause for cause in causes if cause is not told]
    for cause in unknown:
        s.ask_yes(cause.key, f"Is it true that {k.this_case} {cause.did}?")
    if len(unknown) > 1:
        both = " and ".join(cause.key for cause in unknown)
        s.ask_yes(both, f"Did {join_words([c.noun for c in unknown])} come together this time?")
    s.ask_chance("effect_p", f"a {k.case} in exactly the same state {k.effect_does}")
    if lamp:
        key = causes[0].key
        s.ask_chance(
            f"{hit.code} if {key} else {false.code}",
            f"the {k.sensor} {k.sensor_fires} on a second try",
        )


def common_cause(s: Sketch[Condition]) -> None:
    """One hidden condition behind several signs; each sign is independent given it."""
    k = s.skin
    signs = s.some(k.signs, min(4, s.entities(2, 4)))
    s.setting(
        s.choose(
            (
                f"{s.place}, people worry about {k.subject}",
                f"{s.place}, someone had a look at {k.subject}",
                f"A question came up {s.place} about {k.subject}",
            )
        )
    )
    base = s.chance(0.1, 0.5)
    s.draw("hidden", f"yes(p={base.code})", says=s.rule(f"{base.of(k.subjects)} {k.has}"))
    chances = []
    for number, sign in enumerate(signs):
        hit, false = s.chance(0.5, 0.9), s.chance(0.05, 0.35)
        if number == 0:
            text = f"with {k.noun}, one sees {sign.noun} {hit.times()}; without, {false.times()}"
        else:
            text = f"{sign.noun}: {hit.times()} with it, {false.times()} without"
        s.draw(sign.key, f"yes(p={hit.code} if hidden else {false.code})", says=s.rule(text))
        chances.append(f"{hit.code} if hidden else {false.code}")
    s.rule("Apart from that the signs have nothing to do with one another")
    seen = signs[: max(1, len(signs) - 1)]
    s.simulate()
    for sign in seen:
        s.event(s.see_yes(sign.yes, sign.no, sign.key))
    s.ask_yes("hidden", f"Does this come from {k.noun}?")
    if len(seen) < len(signs):
        last = signs[-1]
        s.ask_chance(chances[-1], f"a check for {last.noun} comes out positive")
        s.ask_yes(last.key, f"Would one find {last.noun} on {k.subject}?")
    s.ask_chance(chances[0], f"a later, separate look shows {signs[0].noun}")


def chain(s: Sketch[Fault]) -> None:
    """Cause, effect, consequence: the effect screens the cause off from the consequence."""
    k = s.skin
    cause = s.choose(k.causes)
    _setting(s)
    share = s.chance(0.1, 0.45)
    s.draw(cause.key, f"yes(p={share.code})", says=_share_sentence(s, share, cause.does))
    hit, miss = s.chance(0.55, 0.9), s.chance(0.05, 0.25)
    first = s.rule(
        f"{cause.noun} will lead to {k.effect_noun} {hit.times()}, otherwise {miss.times()}"
    )
    s.draw(k.effect, f"yes(p={hit.code} if {cause.key} else {miss.code})", says=first)
    after, plain = s.chance(0.55, 0.95), s.chance(0.03, 0.3)
    second = s.rule(
        f"a {k.case} that {k.effect_does} {k.follows_does} {after.times()},"
        f" any other {plain.times()}"
    )
    s.draw("follow", f"yes(p={after.code} if {k.effect} else {plain.code})", says=second)
    lamp = s.maybe(0.5)
    if lamp:
        hit_lamp, false_lamp = _lamp(s, cause.key, cause.noun)
    s.simulate()
    s.event(s.see_yes(f"{k.this_case} {k.follows}", f"{k.this_case} {k.follows_not}", "follow"))
    if lamp:
        _see_lamp(s)
    s.ask_yes(cause.key, f"Is it true that {k.this_case} {cause.did}?")
    s.ask_yes(k.effect, f"Is it true that {k.this_case} {k.effect_did}?")
    s.ask_chance(
        f"{hit.code} if {cause.key} else {miss.code}",
        f"a {k.case} in exactly the same state {k.effect_does}",
    )
    s.ask_yes(f"{cause.key} and {k.effect}", f"Were {cause.noun} and {k.effect_noun} both there?")
    if lamp:
        s.ask_chance(
            f"{hit_lamp.code} if {cause.key} else {false_lamp.code}",
            f"the {k.sensor} {k.sensor_fires} on a second try",
        )


def preventive(s: Sketch[Fault]) -> None:
    """A cause that a hidden guard may block: no effect speaks for the guard."""
    k = s.skin
    cause = s.choose(k.causes)
    _setting(s)
    share, guarded = s.chance(0.3, 0.7), s.chance(0.25, 0.65)
    s.draw(cause.key, f"yes(p={share.code})", says=_share_sentence(s, share, cause.does))
    s.draw("guard", f"yes(p={guarded.code})", says=_share_sentence(s, guarded, k.guard_does))
    power, leak, block = s.chance(0.6, 0.95), s.chance(0.02, 0.15), s.chance(0.6, 0.95)
    says = s.rule(
        f"{cause.noun} will lead to {k.effect_noun} {power.times()}; without it, {leak.times()}"
    )
    stops = s.rule(f"{_the(k.guard)} prevents such trouble {block.times()}")
    s.let("risk", f"{power.code} if {cause.key} else {leak.code}", says=says)
    s.let("chance_of_it", f"risk * (1 - {block.code} if guard else 1)", says=stops)
    s.draw(k.effect, "yes(p=chance_of_it)")
    sure = s.maybe(0.5)
    if not sure:
        hit, false = _lamp(s, cause.key, cause.noun)
    s.simulate()
    s.event(s.see_yes(f"{k.this_case} {k.effect_did}", f"{k.this_case} {k.effect_not}", k.effect))
    if sure:
        yes, no = f"{k.this_case} {cause.did}", f"it is not true that {k.this_case} {cause.did}"
        s.event(f"it is certain: {s.see_yes(yes, no, cause.key)}")
    else:
        _see_lamp(s)
        s.ask_yes(cause.key, f"Is it true that {k.this_case} {cause.did}?")
        s.ask_yes(f"guard and {cause.key}", f"Did {cause.noun} and {_the(k.guard)} come together?")
        s.ask_chance(
            f"{hit.code} if {cause.key} else {false.code}",
            f"the {k.sensor} {k.sensor_fires} on a second try",
        )
    s.ask_yes("guard", f"Is it true that {k.this_case} {k.guard_did}?")
    s.ask_chance("chance_of_it", f"a {k.case} in exactly the same state {k.effect_does}")


def _the(noun: str) -> str:
    return noun if noun.startswith(("a ", "an ", "the ")) else f"the {noun}"


def _counts(s: Sketch[Treatment], with_p: str, without_p: str) -> tuple[int, int]:
    """Declares both counts of outcomes; returns how many cases there are with and without."""
    most = {"short": 16, "medium": 24, "long": 40}[s.knobs.length]
    many, few = (int(s.number(6, most, 2).value) for _ in range(2))
    s.draw("hits_with", f"successes(n={many}, p={with_p})", says=f"{many} {s.skin.cases}")
    s.draw("hits_without", f"successes(n={few}, p={without_p})", says=f"{few} {s.skin.cases}")
    return many, few


def _see_counts(s: Sketch[Treatment], many: int, few: int) -> None:
    k = s.skin
    s.event(s.see(f"of {many} {k.cases} {k.with_it}, {{}} {k.outcome}", "hits_with"))
    s.event(s.see(f"of {few} {k.cases} {k.without_it}, {{}} {k.outcome}", "hits_without"))


def causal_power(s: Sketch[Treatment]) -> None:
    """A background rate and the power of one cause in a noisy-or, from counts (Cheng 1997)."""
    k = s.skin
    s.setting(
        s.choose(
            (
                f"{s.place}, people wonder how much {k.agent} has to do with {k.outcome_noun}",
                f"How strongly does {k.agent} bring about {k.outcome_noun} {s.place}?",
            )
        )
    )
    base = s.rule(
        s.choose(
            (
                f"A {k.case} {k.without_it} has some unknown chance of {k.outcome_noun};"
                f" before looking, every value from 0 to 100 percent is equally likely",
                f"The background chance of {k.outcome_noun} may be anything from 0 to 1,"
                f" all values equally likely",
            )
        )
    )
    power = s.rule(
        f"the power of {k.agent}, its chance to bring it about by itself, may as well be anything"
        " from 0 to 1"
    )
    s.draw("background", "uniform(low=0, high=1)", says=base)
    s.draw("power", "uniform(low=0, high=1)", says=power)
    joined = s.rule("The two act independently")
    s.let("with_p", "1 - (1 - background) * (1 - power)", says=joined)
    many, few = _counts(s, "with_p", "background")
    s.simulate()
    _see_counts(s, many, few)
    s.ask_chance("with_p", f"the next {k.case} {k.with_it} {k.outcome_does}")
    s.ask_chance("background", f"the next {k.case} {k.without_it} {k.outcome_does}")
    s.ask_chance("power", f"{k.agent} alone brings about {k.outcome_noun}")
    s.ask_value("power", what=f"the power of {k.agent}, from 0 (none) to 1 (always)", low=0, high=1)
    s.ask_yes("power > background", f"Is the power of {k.agent} above the background chance?")
    s.ask_rank(
        "power", who=k.agent, group="possible causes", lowest="weakest", highest="most powerful"
    )


def causal_link(s: Sketch[Treatment]) -> None:
    """Is there a link at all: two structures, one with the cause and one without."""
    k = s.skin
    s.setting(
        f"{s.place}, nobody is sure whether {k.agent} has anything to do with {k.outcome_noun}"
    )
    prior = s.chance(0.3, 0.7)
    says = s.rule(
        s.choose(
            (
                f"Experience gives {prior.chance()} that it has",
                f"In like questions there was an effect {prior.times()}",
            )
        )
    )
    s.draw("link", f"yes(p={prior.code})", says=says)
    lower = s.number(0.05, 0.3, 0.05)
    upper = s.number(lower.value + 0.2, lower.value + 0.4, 0.05)
    low, high = (f"{round(t.value * 100)} percent" for t in (lower, upper))
    base = s.rule(
        f"without it, the chance of {k.outcome_noun} lies somewhere between {low} and {high},"
        " all values equally likely"
    )
    s.draw("background", f"uniform(low={lower.code}, high={upper.code})", says=base)
    weak = s.chance(0.3, 0.8)
    effect = s.rule(
        f"if there is an effect, {k.agent} by itself brings about {k.outcome_noun}"
        f" {weak.times()}, independently"
    )
    s.let("with_p", f"1 - (1 - background) * (1 - {weak.code} if link else 1)", says=effect)
    many, few = _counts(s, "with_p", "background")
    s.simulate()
    _see_counts(s, many, few)
    s.ask_yes("link", f"Does {k.agent} matter for {k.outcome_noun}?")
    s.ask_chance("with_p", f"the next {k.case} {k.with_it} {k.outcome_does}")
    s.ask_chance("background", f"the next {k.case} {k.without_it} {k.outcome_does}")
    s.ask_yes("with_p > 0.5", f"Do more than half of all {k.cases} {k.with_it} end up this way?")


def detector(s: Sketch[Machine]) -> None:
    """Blickets: objects of a hidden kind set off a detector, seen for some combinations."""
    k = s.skin
    items = s.set("item", s.some(k.items, s.entities(2, 5)))
    listed = join_words([f"the {item}" for item in items])
    s.setting(
        s.choose(
            (
                f"{s.place}, {listed} are to be sorted by the {k.machine}",
                f"The {k.thing} {s.place}: {listed}",
            )
        )
    )
    base = s.chance(0.2, 0.6)
    s.draw(
        "special",
        f"yes(p={base.code})",
        per="item",
        says=s.rule(f"{base.of(k.thing)} are {k.kind}"),
    )
    hit, false = s.chance(0.7, 0.97), s.chance(0.01, 0.12)
    says = s.rule(
        f"each {k.kind} one sets off the {k.machine} {hit.times()}, independently of the others;"
        f" with nothing {k.kind} there it still {k.fires} {false.times()}"
    )
    tries = []
    for number in range(1, s.observations(2, 4) + 1):
        placed = s.some(items, 1 if s.maybe(0.45) else 2)
        misses = " * ".join(f"(1 - {hit.code} if special['{item}'] else 1)" for item in placed)
        s.draw(f"test_{number}", f"yes(p=1 - (1 - {false.code}) * {misses})", says=says)
        tries.append(placed)
    s.simulate()
    for number, placed in enumerate(tries, start=1):
        what = join_words([f"the {item}" for item in placed])
        with_ = f"with {what} {k.on} it"
        s.event(s.see_yes(f"{with_} {k.fired}", f"{with_} {k.silent}", f"test_{number}"))
    used = [item for item in items if any(item in placed for placed in tries)]
    for item in s.some(used, min(3, len(used))):
        s.ask_yes(f"special['{item}']", f"Is the {item} {k.kind}?")
    first = used[0]
    s.ask_chance(
        f"1 - (1 - {false.code}) * (1 - {hit.code} if special['{first}'] else 1)",
        f"the {k.machine} {k.fires} with just the {first}",
    )
    if len(used) > 1:
        a, b = used[:2]
        s.ask_yes(
            f"special['{a}'] or special['{b}']", f"Is at least one of the {a} and the {b} {k.kind}?"
        )
        s.ask_chance(
            f"1 - (1 - {false.code}) * (1 - {hit.code} if special['{a}'] else 1)"
            f" * (1 - {hit.code} if special['{b}'] else 1)",
            f"the {k.machine} {k.fires} with the {a} and the {b} together",
        )


MOTIFS = (
    Motif("explaining_away", "B", Fault, explaining_away),
    Motif("common_cause", "B", Condition, common_cause),
    Motif("chain", "B", Fault, chain),
    Motif("preventive", "B", Fault, preventive),
    Motif("causal_power", "B", Treatment, causal_power),
    Motif("causal_link", "B", Treatment, causal_link),
    Motif("detector", "B", Machine, detector),
)
