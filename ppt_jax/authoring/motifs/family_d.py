"""Family D, rates, counts and sizes: how often, how long, how many, from a few observations."""

from __future__ import annotations

from ppt_jax.authoring.language import count_word, join_words, number, ordinal
from ppt_jax.authoring.motif import Motif
from ppt_jax.authoring.priors import tell_amount, tell_share
from ppt_jax.authoring.sketch import Sketch, reference
from ppt_jax.authoring.skins.arrivals import Arrival
from ppt_jax.authoring.skins.attempts import Attempt
from ppt_jax.authoring.skins.blends import Blend
from ppt_jax.authoring.skins.lifetimes import Lifetime
from ppt_jax.authoring.skins.tricks import Trick
from ppt_jax.authoring.skins.waits import Wait
from ppt_jax.authoring.wording import Told


def success_rate(s: Sketch[Attempt]) -> None:
    """Unknown rates of one to three sources, some tries of each counted."""
    k = s.skin
    count = s.entities(1, 3)
    letters = s.some("ABCDEF", count)
    names = s.set("source", [f"{k.source} {letter}" for letter in letters])
    s.setting(
        s.choose(
            (
                f"{s.place}, not all {k.items} {k.work}",
                f"{s.place}, they note which {k.items} {k.work}",
                f"{s.place}, some {k.items} {k.work} and some do not",
            )
        )
    )
    each = k.source if count > 1 else ""
    tell_share(
        s, "rate", f"the share of {k.items} {k.link} a {k.source} that {k.work}",
        per="source", each=each,
    )  # fmt: skip
    tries = [s.number(4, 14 if count < 3 else 9, 1) for _ in names]
    for place, (name, tried) in enumerate(zip(names, tries, strict=True)):
        s.draw(f"seen_{place}", f"successes(n={tried.code}, p={reference('rate', name)})")
    more, chosen = s.number(5, 10, 1), s.choose(names)
    plan = s.rule(
        s.choose(
            (
                f"Another {more} {k.items} {k.link} {chosen} come next",
                f"Next come {more} further {k.items} {k.link} {chosen}",
            )
        )
    )
    s.draw("later", f"successes(n={more.code}, p={reference('rate', chosen)})", says=plan)
    s.simulate()
    for place, (name, tried) in enumerate(zip(names, tries, strict=True)):
        span = s.choose(
            (
                f"of {tried} {k.items} {k.link} {name}, {{}} {k.worked}",
                f"{tried} {k.items} {k.link} {name} were followed, and {{}} {k.worked}",
            )
        )
        s.event(s.see(span, f"seen_{place}"))
    other = s.choose([name for name in names if name != chosen] or [chosen])
    s.ask_value(
        "later",
        what=f"the number of the {more} further {k.items} that will {k.work}",
        low=0,
        high=more.value,
    )
    s.ask_rank("rate", other, who=other, group=k.sources, lowest=k.least, highest=k.most)
    if count == 1:
        rate = reference("rate", chosen)
        s.ask_chance(rate, f"the next {k.item} {k.link} {chosen} {k.works}")
        s.ask_chance(f"{rate}**2", f"two further {k.items} {k.link} {chosen} both {k.work}")
        return
    every = " * ".join(reference("rate", name) for name in names)
    all_of = "both" if count == 2 else "all"
    s.ask_chance(
        every,
        f"with one further {k.item} {k.link} each of {join_words(names)}, {all_of} {k.work}",
    )
    s.ask_either(
        reference("rate", chosen),
        reference("rate", other),
        (chosen, other),
        f"Where is the share of {k.items} that {k.work} higher, {{}}?",
    )


def fair_or_trick(s: Sketch[Trick]) -> None:
    """Kinds that look alike, told apart by what a few trials show."""
    k = s.skin
    kinds = list(k.kinds) if s.entities(2, 3) == 3 else [k.kinds[0], s.choose(k.kinds[1:])]
    names = s.set("kind", [name for name, _, _ in kinds])
    s.setting(
        s.choose(
            (
                f"{s.place}, {k.items} that look alike are {join_words(names, 'or')}",
                f"Some {k.items} {s.place} are not what they seem",
            )
        )
    )
    low, high = (0.25, 0.5) if len(names) == 2 else (0.2, 0.35)
    parts = [s.chance(low, high, form="percent") for _ in names[1:]]
    told = [f"{part.of(k.items)} are {name}" for part, name in zip(parts, names[1:], strict=True)]
    says = s.rule(f"{join_words(told)}, the rest are {names[0]}")
    rest = "1" + "".join(f"-{part.code}" for part in parts)
    weights = ", ".join((rest, *(part.code for part in parts)))
    s.draw("what", f"pick(kind, weights=[{weights}])", says=says)
    rates: list[Told] = [s.chance(low - 0.001, high + 0.001) for _, low, high in kinds]
    words = [f"{name} ones {rate.times()}" for name, rate in zip(names, rates, strict=True)]
    behave = s.rule(
        f"How often a {k.item} {k.shows} on a {k.trial} depends on its kind: {', '.join(words)}"
    )
    formula = rates[-1].code
    for name, rate in reversed(list(zip(names[:-1], rates[:-1], strict=True))):
        formula = f"{rate.code} if what == {name!r} else ({formula})"
    s.let("hit_p", formula, says=behave)
    tried = s.number(3, 6, 1)
    more = s.number(5, 10, 1)
    s.draw("hits", f"successes(n={tried.code}, p=hit_p)")
    plan = s.rule(f"Later {more} more {k.trials} will follow")
    s.draw("later", f"successes(n={more.code}, p=hit_p)", says=plan)
    s.simulate()
    span = s.choose(
        (
            f"one {k.item} was picked at random: {k.hit} in {{}} of {tried} {k.trials}",
            f"a {k.item} taken blindly was tried out, and {k.hit} in {{}} of {tried} {k.trials}",
        )
    )
    s.event(s.see(span, "hits"))
    s.ask_which("what", of="kind", question=f"What kind of {k.item} is it?")
    s.ask_chance("hit_p", f"this {k.item} {k.shows} on its next {k.trial}")
    s.ask_value(
        "later", what=f"the number of times it {k.shows} in the {more} later {k.trials}",
        low=0, high=more.value,
    )  # fmt: skip
    if len(names) > 2:
        s.ask_yes(f"what == {names[0]!r}", f"Is this {k.item} {names[0]}?")


def _declare_counts(s: Sketch[Arrival], count: int, rate: str) -> list[str]:
    """Declares equal intervals with Poisson counts; returns their names."""
    k = s.skin
    names = s.set("interval", [f"{ordinal(place)} {k.interval}" for place in range(1, count + 1)])
    s.draw("counted", f"count(rate={rate})", per="interval", unit=k.things)
    return names


def arrival_rate(s: Sketch[Arrival]) -> None:
    """A Poisson rate with a prior, counts of some intervals, perhaps a longer spell before."""
    k = s.skin
    s.setting(
        s.choose(
            (
                f"{s.place}, {k.things} {k.come} at random moments",
                f"{s.place}, someone counts the {k.things}",
            )
        )
    )
    subject = f"the usual number of {k.things} per {k.interval}"
    middle = tell_amount(s, "rate", subject, k.rate, unit="", scope=f"across {k.sites}", step=1)
    come = s.rule(
        s.choose(
            (
                "Counts at one place are Poisson with that usual number as their mean",
                f"At one place they {k.come} independently (counts are Poisson with that mean)",
            )
        )
    )
    names = _declare_counts(s, s.observations(1, 4), "rate")
    spell = s.number(3, 6, 1) if s.maybe(0.35) else None
    if spell:
        s.draw("before", f"count(rate={spell.code} * rate)", unit=k.things)
    s.draw("next_count", "count(rate=rate)", unit=k.things, says=come)
    s.simulate()
    parts = [s.see(f"{{}} in the {name}", "counted", name) for name in names]
    s.event(f"the count at {k.where} was {join_words(parts)}")
    if spell:
        span = f"{spell} earlier {k.intervals} taken together had brought {{}}"
        s.event(s.see(span, "before"))
    s.ask_value(
        "rate", what=f"the usual number of {k.things} per {k.interval} at {k.where}", floor=0
    )
    s.ask_value(
        "next_count", what=f"the number of {k.things} in the next {k.interval}", floor=0,
    )  # fmt: skip
    s.ask_rank("rate", who=k.where, group=k.sites, lowest=k.least, highest=k.most)
    bar = round(middle.value * 1.1)
    s.ask_yes(
        f"next_count > {bar}", f"Will the next {k.interval} bring more than {bar} {k.things}?"
    )
    if middle.value <= 4:
        s.ask_chance("exp(-rate)", f"a whole {k.interval} passes without any {k.things}")


def broken_counter(s: Sketch[Arrival]) -> None:
    """A low count may mean a quiet time or a counter that has stopped working properly."""
    k = s.skin
    s.setting(
        s.choose(
            (
                f"{s.place}, a {k.counter} keeps track of {k.things}",
                f"{k.things} {s.place} are tallied by a {k.counter}",
            )
        )
    )
    subject = f"the usual number of {k.things} per {k.interval}"
    tell_amount(s, "rate", subject, k.rate, unit="", scope=f"across {k.sites}", step=1)
    faulty, part = s.chance(0.15, 0.4), s.chance(0.1, 0.4, form="percent")
    fault = s.rule(f"There is {faulty.chance()} that the {k.counter} is faulty")
    s.draw("faulty", f"yes(p={faulty.code})", says=fault)
    registers = s.rule(
        f"A faulty one registers each of the {k.things} only {part.times()}, a sound one all of"
        " them; true counts are Poisson"
    )
    s.let("registers", f"{part.code} if faulty else 1", says=registers)
    names = _declare_counts(s, s.observations(1, 3), "rate * registers")
    s.draw("by_hand", "count(rate=rate)", unit=k.things)
    s.draw("next_count", "count(rate=rate)", unit=k.things)
    hand = s.maybe(0.6)
    s.simulate()
    parts = [s.see(f"{{}} in the {name}", "counted", name) for name in names]
    s.event(f"the {k.counter} at {k.where} showed {join_words(parts)}")
    if hand:
        span = f"a careful count by hand in another {k.interval} gave {{}}"
        s.event(s.see(span, "by_hand"))
    s.ask_yes("faulty", f"Is the {k.counter} faulty?")
    s.ask_value(
        "rate", what=f"the usual number of {k.things} per {k.interval} at {k.where}", floor=0
    )
    s.ask_value(
        "next_count", what=f"the true number of {k.things} in the next {k.interval}", floor=0,
    )  # fmt: skip
    s.ask_rank("rate", who=k.where, group=k.sites, lowest=k.least, highest=k.most)
    s.ask_chance("registers", f"the {k.counter} registers the next of the {k.things}")


def waiting_time(s: Sketch[Wait]) -> None:
    """Memoryless waits with an unknown mean; one wait may still be going on."""
    k = s.skin
    s.setting(
        s.choose(
            (
                f"{s.place}, one waits until {k.event} {k.comes}, at no fixed times",
                f"Nobody {s.place} can say when {k.event} {k.comes}",
            )
        )
    )
    subject = f"the usual {k.wait} at a {k.site}"
    middle = tell_amount(s, "mean", subject, k.mean, unit=k.unit, scope=f"across {k.sites}")
    law = s.rule(
        s.choose(
            (
                f"At one {k.site}, {k.waits} are exponential with that mean: having waited long"
                " does not help",
                f"Single {k.waits} at one {k.site} are exponentially distributed with that mean",
            )
        )
    )
    count = s.observations(2, 4)
    names = s.set("turn", [f"{ordinal(place)} {k.wait}" for place in range(1, count + 1)])
    s.draw("waited", "wait(mean=mean)", per="turn", unit=k.unit, says=law)
    s.draw("present", "wait(mean=mean)", unit=k.unit)
    s.draw("next_wait", "wait(mean=mean)", unit=k.unit)
    limit = s.number(middle.value * 0.6, middle.value * 1.6)
    open_end = s.maybe(0.7)
    s.simulate()
    s.in_order = True
    parts = [s.see(f"{{}} for the {name}", "waited", name, digits=1) for name in names]
    s.event(f"the {k.unit} noted down so far are {join_words(parts)}")
    lasting = False
    if open_end:
        lasting = s.value("present") > limit.value
        if lasting:
            says = f"the present {k.wait} has lasted {limit} {k.unit} and goes on"
            s.event(s.fact(f"present > {limit.code}", says))
        else:
            says = f"the {k.wait} after that was over in less than {limit} {k.unit}"
            s.event(s.fact(f"present < {limit.code}", says))
    s.ask_value("mean", what=f"the usual {k.wait} at this {k.site}", unit=k.unit, floor=0)
    s.ask_value("next_wait", what=f"the length of the next {k.wait}", unit=k.unit, floor=0)
    s.ask_rank("mean", who="this one", group=k.sites, lowest="shortest", highest="longest")
    s.ask_chance(
        f"min(1, exp(-{limit.code}/mean))", f"a new {k.wait} lasts longer than {limit} {k.unit}"
    )
    if lasting:
        s.ask_value(
            "present", what=f"the whole length of the present {k.wait}", unit=k.unit, floor=0
        )
        longer = number(limit.value * 2)
        s.ask_yes(f"present > {longer}", f"Will the present {k.wait} exceed {longer} {k.unit}?")


def lifespan(s: Sketch[Lifetime]) -> None:
    """How long in all, when met at a random moment of the life."""
    k = s.skin
    s.setting(
        s.choose(
            (
                f"{s.place}, {k.items} come and go",
                f"Nobody {s.place} knows in advance how long a {k.item} lasts",
            )
        )
    )
    center, factor = s.number(*k.median), s.number(1.5, 2.4, 0.1)
    two = s.maybe(0.4)
    if two:
        share, longer = s.chance(0.3, 0.7), s.number(center.value * 1.8, center.value * 3)
        mixed = s.rule(f"{share.of(k.items)} are of the {k.kinds[1]} kind, the rest {k.kinds[0]}")
        s.draw("longer_kind", f"yes(p={share.code})", says=mixed)
        says = s.rule(
            f"The length of {k.kinds[0]} {k.items} is log-normal with a median of {center}"
            f" {k.unit}, that of {k.kinds[1]} ones has a median of {longer}; in both, one standard"
            f" deviation is a factor of {factor}"
        )
        median = f"{longer.code} if longer_kind else {center.code}"
    else:
        says = s.rule(
            s.choose(
                (
                    f"The length of {k.items} is log-normal with a median of {center} {k.unit},"
                    f" one standard deviation being a factor of {factor}",
                    f"{k.items} last for a log-normal time with a median of {center} {k.unit} and"
                    f" a factor of {factor} as one standard deviation",
                )
            )
        )
        median = center.code
    s.draw(
        "whole_time",
        f"lognormal(median={median}, spread=log({factor.code}))",
        unit=k.unit,
        says=says,
    )
    met = s.rule(f"When {k.moment}, any moment in the life of a {k.item} is equally likely")
    s.draw("so_far", "uniform(low=0, high=whole_time)", unit=k.unit, says=met)
    s.let("left", "whole_time - so_far", unit=k.unit)
    s.simulate()
    s.event(s.see(k.so_far, "so_far"))
    s.ask_value("whole_time", what=k.total, unit=k.unit, floor=0)
    s.ask_value("left", what=k.left, unit=k.unit, floor=0)
    s.ask_rank(
        "whole_time",
        who="this one",
        group=k.items,
        lowest="shortest-lived",
        highest="longest-lived",
    )
    seen = s.value("so_far", digits=0)
    bar = number(max(2 * seen, 2))
    s.ask_yes(f"whole_time > {bar}", f"Will it have lasted more than {bar} {k.unit} when it ends?")
    if two:
        s.ask_yes("longer_kind", f"Is this {k.item} of the {k.kinds[1]} kind?")


def blend_share(s: Sketch[Blend]) -> None:
    """The share of one origin in a mixed lot, seen through a trait that both have."""
    k = s.skin
    s.setting(
        s.choose(
            (
                f"{s.place}, {k.lot} is a mix of {k.first} and {k.second} {k.items}",
                f"{k.first} and {k.second} {k.items} got mixed in {k.lot} {s.place}",
            )
        )
    )
    tell_share(s, "first_share", f"the share of {k.first} {k.items} in {k.lot}")
    often, seldom = s.chance(0.65, 0.95), s.chance(0.05, 0.35)
    if s.maybe():
        often, seldom = seldom, often
    says = s.rule(
        s.choose(
            (
                f"{k.first} {k.items} {k.show} {often.times()}, {k.second} ones {seldom.times()}",
                f"A {k.first} {k.item} {k.shows} {often.times()} and a {k.second} one"
                f" {seldom.times()}",
            )
        )
    )
    s.let("shows", f"first_share * ({often.code}) + (1 - first_share) * ({seldom.code})", says=says)
    tried, more = s.number(6, 20, 1), s.number(5, 10, 1)
    s.draw("seen", f"successes(n={tried.code}, p=shows)")
    plan = s.rule(f"Later {more} more will be taken")
    s.draw("later", f"successes(n={more.code}, p=first_share)", says=plan)
    s.draw("origin", "yes(p=first_share)")
    s.draw("trait", f"yes(p={often.code} if origin else {seldom.code})")
    single = s.maybe(0.5)
    s.simulate()
    s.event(s.see(f"of {tried} {k.items} taken from {k.lot}, {{}} {k.shown}", "seen"))
    if single:
        yes = f"the next {k.item} taken {k.shown}"
        no = f"it is not true that the next {k.item} taken {k.shown}"
        s.event(s.see_yes(yes, no, "trait"))
        s.in_order = True
        s.ask_yes("origin", f"Is the {k.item} that was taken last a {k.first} one?")
    s.ask_chance("first_share", f"a {k.item} taken from {k.lot} is {k.first}")
    s.ask_chance("shows", f"a {k.item} taken from {k.lot} {k.shows}")
    s.ask_value(
        "later", what=f"the number of {k.first} ones among the {count_word(int(more.value))} more",
        low=0, high=more.value,
    )  # fmt: skip
    s.ask_yes("first_share > 1/2", f"Are most {k.items} in {k.lot} {k.first}?")


MOTIFS = (
    Motif("success_rate", "D", Attempt, success_rate),
    Motif("fair_or_trick", "D", Trick, fair_or_trick),
    Motif("arrival_rate", "D", Arrival, arrival_rate),
    Motif("broken_counter", "D", Arrival, broken_counter),
    Motif("waiting_time", "D", Wait, waiting_time),
    Motif("lifespan", "D", Lifetime, lifespan),
    Motif("blend_share", "D", Blend, blend_share),
)
