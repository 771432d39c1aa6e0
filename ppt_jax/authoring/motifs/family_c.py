"""Family C, reports and sensors: what is so, when all one has is tests, witnesses, gauges."""

from __future__ import annotations

from ppt_jax.authoring.language import count_word, join_words
from ppt_jax.authoring.motif import Motif
from ppt_jax.authoring.priors import tell_share
from ppt_jax.authoring.sketch import Sketch, reference
from ppt_jax.authoring.skins.accounts import Account
from ppt_jax.authoring.skins.critics import Critic
from ppt_jax.authoring.skins.gauges import Gauge
from ppt_jax.authoring.skins.screenings import Screening, Test
from ppt_jax.authoring.wording import bell


def _declare_test(s: Sketch[Screening], test: Test, node: str, state: str, per: str) -> str:
    """Declares a test of a hidden state; returns its chance to fire as a formula."""
    k = s.skin
    hit, false = s.chance(0.6, 0.9), s.chance(0.08, 0.35)
    says = s.rule(
        s.choose(
            (
                f"If a {k.item} {k.bad_is}, the {test.noun} {test.fires} {hit.times()};"
                f" if not, {false.times()}",
                f"The {test.noun} {test.fires} {hit.times()} for {k.items} that {k.bad_are}"
                f" and {false.times()} for the others",
                f"For a {k.item} that {k.bad_is} the {test.noun} {test.fires} {hit.times()},"
                f" for any other {k.item} {false.times()}",
            )
        )
    )
    chance = f"({hit.code} if {state} else {false.code})"
    s.draw(node, f"yes(p={chance})", per=per or (), says=says)
    return chance


def signal_detection(s: Sketch[Screening]) -> None:
    """Base rate against hit and false-alarm rates, for one item and up to three tests."""
    k = s.skin
    tests = s.some(k.tests, s.observations(1, 3))
    s.setting(
        s.choose(
            (
                f"{s.place}, every {k.item} is checked before it is passed on",
                f"{s.place}, a {k.item} may look fine from outside and still be bad",
                f"{s.place}, checks of {k.items} are quick but not perfect",
            )
        )
    )
    base = s.chance(max(0.15, k.base[0]), k.base[1] + 0.15)
    says = s.rule(
        base.of(k.items) + f" {k.bad_are}"
        if base.form != "verbal"
        else f"There is {base.chance()} that a {k.item} {k.bad_is}"
    )
    s.draw(k.bad, f"yes(p={base.code})", says=says)
    again = [_declare_test(s, test, f"test_{place}", k.bad, "") for place, test in enumerate(tests)]
    if len(tests) > 1:
        s.rule(
            s.choose(
                (
                    "The tests err independently of one another",
                    "One test going wrong says nothing about another",
                )
            )
        )
    scale = len(tests) < 3 and s.maybe(0.4)
    if scale:
        good = s.number(*k.normal, 1)
        bad = s.number(good.value * 1.15, good.value * 1.4, 1)
        noise = s.number((bad.value - good.value) * 0.6, (bad.value - good.value), 1)
        level = s.rule(
            f"The {k.scale} averages {bad} {k.unit} for {k.items} that {k.bad_are} and {good}"
            f" for the others, with a standard deviation of {noise} in both"
        )
        mean = f"{bad.code} if {k.bad} else {good.code}"
        s.draw("reading", f"normal(mean={mean}, sd={noise.code})", unit=k.unit, says=level)
    sources = len(tests) + scale
    if sources < 3:
        hit, other = s.chance(0.6, 0.95), s.chance(0.03, 0.2)
        later = s.rule(
            f"A {k.item} that {k.bad_is} {k.follow} {hit.times()}, any other {other.times()}"
        )
        s.let("later_p", f"{hit.code} if {k.bad} else {other.code}", says=later)
    test, chance = tests[0], again[0]
    more = s.number(4, 8, 1) if sources != 2 and s.maybe(0.7) else None
    if more:
        plan = s.rule(f"Afterwards the {test.noun} will be done another {more} times")
        s.draw("repeats", f"successes(n={more.code}, p={chance})", says=plan)
    s.simulate()
    thing = s.choose((f"this {k.item}", f"the {k.item} on the table", f"today's first {k.item}"))
    for place, done in enumerate(tests):
        yes, no = f"the {done.noun} {done.fired}", f"the {done.noun} {done.silent}"
        s.event(f"For {thing}, {s.see_yes(yes, no, f'test_{place}')}")
    if scale:
        span = s.see(f"a {k.scale} of {{}} {k.unit}", "reading")
        s.event(f"{thing} gave {span}, rounded")
    s.ask_yes(k.bad, f"Is it true that {thing} {k.bad_is}?")
    if more:
        s.ask_value(
            "repeats",
            what=f"the number of those {more} times that the {test.noun} {test.fires}",
            low=0,
            high=more.value,
        )
    s.ask_chance(chance, f"the {test.noun} {test.fires} when it is repeated on {thing}")
    if sources < 3:
        s.ask_chance("later_p", f"{thing} {k.follow}")


def screened_batch(s: Sketch[Screening]) -> None:
    """Several items, one test each, a base rate that is itself unknown."""
    k = s.skin
    label = s.choose(("A", "K", "P"))
    count = s.entities(3, 6)
    names = [f"{k.item} {chr(ord(label) + place)}" for place in range(count)]
    items = s.set("item", names)
    test = s.choose(k.tests)
    s.setting(
        s.choose(
            (
                f"{s.place}, a delivery of {k.items} has come from a new supplier",
                f"A new supplier sent {k.items} that are now tested {s.place}",
            )
        )
    )
    tell_share(s, "base", f"the share of the supplier's {k.items} that {k.bad_are}", rare=True)
    s.draw(k.bad, "yes(p=base)", per="item")
    chance = _declare_test(s, test, "fired", f"{k.bad}[item]", "item")
    s.draw("next_bad", "yes(p=base)")
    s.let("next_fire", chance.replace(f"{k.bad}[item]", "next_bad"))
    s.let("bad_count", f"total({k.bad}[item], item)")
    s.simulate()
    for name in items:
        s.event(
            s.see_yes(
                f"with {name} the {test.noun} {test.fired}",
                f"with {name} the {test.noun} {test.silent}",
                "fired",
                name,
            )
        )
    one = s.choose(items)
    s.ask_yes(reference(k.bad, one), f"Is it true that {one} {k.bad_is}?")
    s.ask_value(
        "bad_count",
        what=f"the number of these {count_word(count)} {k.items} that {k.bad_are}",
        low=0,
        high=count,
    )
    s.ask_chance("base", f"a further {k.item} from the supplier {k.bad_is}")
    s.ask_chance("next_fire", f"the {test.noun} {test.fires} for a further {k.item}")


def _options(s: Sketch[Account], low: int, high: int) -> list[str]:
    k = s.skin
    options = s.set("option", s.some(k.options, min(s.entities(low, high), len(k.options))))
    s.setting(
        s.choose(
            (
                f"{s.place}, {k.matter}: {join_words(options, 'or')}",
                f"It happened {s.place}: {k.matter} ({join_words(options, 'or')})",
            )
        )
    )
    return options


def _truth_prior(s: Sketch[Account], options: list[str]) -> None:
    """Declares where the truth lies beforehand: evenly, or with one favourite."""
    k = s.skin
    if s.maybe(0.55):
        says = s.rule(
            s.choose(
                (
                    f"Beforehand the {count_word(len(options))} {k.kind} are equally likely",
                    f"Each of the {count_word(len(options))} {k.kind} is as likely as any"
                    " other at the start",
                )
            )
        )
        s.draw("truth", "pick(option)", says=says)
        return
    favourite, likely = s.chance(0.4, 0.65), s.choose(options)
    says = s.rule(
        f"Beforehand there is {favourite.chance()} that the answer is {likely}; the other"
        f" {count_word(len(options) - 1)} are equally likely"
    )
    rest = f"(1-{favourite.code})/{len(options) - 1}"
    weights = ", ".join(favourite.code if option == likely else rest for option in options)
    s.draw("truth", f"pick(option, weights=[{weights}])", says=says)


def _weights(node: str, options: list[str]) -> str:
    return ", ".join(reference(node, option) for option in options)


def witness_reliability(s: Sketch[Account]) -> None:
    """Reports of people whose reliability is itself unknown, some with a record."""
    k = s.skin
    options = _options(s, 3, 4)
    people = s.set("witness", s.people(s.observations(2, 3)))
    _truth_prior(s, options)
    tell_share(
        s,
        "care",
        f"the share of {k.cases} in which a {k.witness} is right",
        per="witness",
        each=k.witness,
    )
    wrong = s.rule(
        f"A {k.witness} who is wrong names one of the other {count_word(len(options) - 1)}"
        " at random, and nobody listens to the others"
    )
    s.let(
        "said",
        f"care[witness] if truth == option else (1-care[witness])/{len(options) - 1}",
        per=("witness", "option"),
        says=wrong,
    )
    weights = ", ".join(f"said[witness, {option!r}]" for option in options)
    s.draw("report", f"pick(option, weights=[{weights}])", per="witness")
    tried = {who: s.number(4, 10, 1) for who in people if s.maybe(0.55)}
    for number, (who, past) in enumerate(tried.items()):
        s.draw(f"record_{number}", f"successes(n={past.code}, p={reference('care', who)})")
    s.simulate()
    for who in people:
        s.event(s.see_pick(f"{who} {k.named}", "report", "option", who))
    for number, (who, past) in enumerate(tried.items()):
        span = f"{who} was right about {{}} of {past} earlier {k.cases}"
        s.event(s.see(span, f"record_{number}"))
    s.ask_which("truth", of="option", question=k.question)
    one, other = s.some(people, 2)
    s.ask_chance(reference("care", one), f"{one} is right about the next {k.case}")
    s.ask_yes(f"truth == {options[0]!r}", f"Is it true that the answer is {options[0]}?")
    s.ask_either(
        reference("care", one),
        reference("care", other),
        (one, other),
        "Who is right more often, {}?",
    )
    s.ask_chance(
        f"{reference('care', one)} * {reference('care', other)}",
        f"{one} and {other} are both right about the next {k.case}",
    )


def copied_witnesses(s: Sketch[Account]) -> None:
    """Later reports may only repeat the first one, and then add nothing."""
    k = s.skin
    options = _options(s, 3, 4)
    people = s.people(s.observations(2, 4))
    _truth_prior(s, options)
    right, copies = s.chance(0.45, 0.8), s.chance(0.25, 0.7)
    own = s.rule(
        f"A {k.witness} who looks for themselves is right {right.times()} and otherwise names"
        f" one of the other {count_word(len(options) - 1)} at random"
    )
    wrong = f"(1-{right.code})/{len(options) - 1}"
    s.let("own", f"{right.code} if truth == option else {wrong}", per="option", says=own)
    s.draw("report_0", f"pick(option, weights=[{_weights('own', options)}])")
    first = people[0]
    copied = s.rule(
        s.choose(
            (
                f"{first} spoke first; there is {copies.chance()} that a later speaker merely"
                f" repeats {first}, independently for each",
                f"{first} spoke first, and each later speaker, independently, has"
                f" {copies.chance()} of just repeating what {first} said",
            )
        )
    )
    for place in range(1, len(people)):
        s.draw(f"copied_{place}", f"yes(p={copies.code})", says=copied if place == 1 else "")
        s.let(
            f"said_{place}",
            f"(1 if report_0 == option else 0) if copied_{place} else own[option]",
            per="option",
        )
        s.draw(f"report_{place}", f"pick(option, weights=[{_weights(f'said_{place}', options)}])")
    s.draw("fresh", f"pick(option, weights=[{_weights('own', options)}])")
    if len(people) > 2:
        s.let("copies", " + ".join(f"copied_{place}" for place in range(1, len(people))))
    s.simulate()
    s.in_order = True
    for place, who in enumerate(people):
        lead = "" if place == 0 else s.choose(("Then ", "Later ", "After that "))
        s.event(lead + s.see_pick(f"{who} {k.named}", f"report_{place}", "option"))
    s.ask_which("truth", of="option", question=k.question)
    said = s.member("report_0", "option")
    s.ask_yes(f"truth == {said!r}", f"Was {first} right?")
    place = int(s.rng.integers(1, len(people)))
    s.ask_yes(f"copied_{place}", f"Did {people[place]} merely repeat {first}?")
    if len(people) > 2:
        s.ask_value(
            "copies",
            what=f"the number of later speakers who merely repeated {first}",
            low=0,
            high=len(people) - 1,
        )
    s.ask_which(
        "fresh", of="option", question=f"What would a new {k.witness} who looks alone name?"
    )
    s.ask_chance(f"own[{said!r}]", f"a new {k.witness} who looks alone agrees with {first}")


def instrument_offset(s: Sketch[Gauge]) -> None:
    """Instruments with fixed offsets read one quantity; a known standard may reveal an offset."""
    k = s.skin
    tools = s.set("tool", s.some(k.instruments, min(3, s.entities(2, 3))))
    named = [f"the {tool}" for tool in tools]
    s.setting(
        s.choose(
            (
                f"{s.place}, {k.quantity} is read with {join_words(named)}",
                f"{k.quantity} {s.place} is known only from {join_words(named)}",
            )
        )
    )
    mean, sd = s.typical(*k.mean), s.typical(*k.sd, 1)
    says = s.rule(bell(s.rng, f"the {k.bare}", mean, sd, unit=k.unit, scope=f"over all {k.cases}"))
    s.draw("level", f"normal(mean={mean.code}, sd={sd.code})", unit=k.unit, says=says)
    off = s.number(sd.value * 0.3, sd.value * 0.8, 1)
    noise = s.number(sd.value * 0.4, sd.value * 0.7, 1)
    offset = s.rule(
        s.choose(
            (
                f"Every instrument has a fixed offset of its own, normal around 0 with a"
                f" standard deviation of {off}",
                f"Each instrument is off by a constant of its own; these constants are normal"
                f" with mean 0 and standard deviation {off}",
            )
        )
    )
    s.draw("offset", f"normal(mean=0, sd={off.code})", per="tool", unit=k.unit, says=offset)
    scatter = s.rule(
        s.choose(
            (
                f"A single reading scatters by another {noise} (one standard deviation)",
                f"On top of that, single readings have random errors with a standard"
                f" deviation of {noise}",
            )
        )
    )
    expr = f"normal(mean=level + offset[tool], sd={noise.code})"
    s.draw("reading", expr, per="tool", unit=k.unit, says=scatter)
    s.draw("next_reading", expr, per="tool", unit=k.unit)
    checked = s.choose(tools) if s.maybe(0.6) else ""
    if checked:
        known = s.number(mean.value - sd.value, mean.value + sd.value)
        true = reference("offset", checked)
        s.draw("check", f"normal(mean={known.code} + {true}, sd={noise.code})", unit=k.unit)
    s.simulate()
    for tool in tools:
        s.event(s.see(f"{k.when} the {tool} showed {{}} {k.unit}", "reading", tool))
    if checked:
        span = f"on a {k.standard} of exactly {known} {k.unit} the {checked} showed {{}}"
        s.event(s.see(span, "check"))
    s.rule("All readings are rounded to whole numbers")
    one, other = s.some(tools, 2)
    s.ask_value("level", what=f"{k.quantity} {k.when}", unit=k.unit)
    s.ask_value("offset", one, what=f"the offset of the {one}", unit=k.unit)
    s.ask_value("next_reading", one, what=f"the next reading of the {one}", unit=k.unit)
    s.ask_rank("level", who=f"the one read {k.when}", group=k.cases, lowest=k.least, highest=k.most)
    s.ask_either(
        reference("offset", one),
        reference("offset", other),
        (f"the {one}", f"the {other}"),
        "Which one reads higher than the other on the same thing, {}?",
    )
    bar = s.number(mean.value - 0.5 * sd.value, mean.value + 0.5 * sd.value)
    s.ask_yes(f"level > {bar.code}", f"Is {k.quantity} {k.when} above {bar} {k.unit}?")


def reviews(s: Sketch[Critic]) -> None:
    """Marks add the quality of a work and the leaning of its reviewer."""
    k = s.skin
    works = s.set("work", s.some(k.titles, s.entities(2, 3)))
    people = s.set("reviewer", s.people(s.entities(2, 3)))
    s.setting(
        f"{s.place}, the {k.reviewers} {join_words(people)} have judged the {k.works}"
        f" {join_words(works)}"
    )
    mean = s.typical(*k.mean, 1)
    sd = s.typical(k.sd[0], max(k.sd[0], min(k.sd[1], mean.value / 6)), 1)
    says = s.rule(bell(s.rng, f"the true quality of {k.works}", mean, sd, unit=k.unit))
    s.draw("quality", f"normal(mean={mean.code}, sd={sd.code})", per="work", unit=k.unit, says=says)
    lean, noise = (s.number(sd.value * low, sd.value, 1) for low in (0.5, 0.7))
    leaning = s.rule(
        s.choose(
            (
                f"A {k.reviewer} may be kind or harsh: such leanings are normal around"
                f" 0 with a standard deviation of {lean}",
                f"Each {k.reviewer} adds a leaning of their own to all marks, normal with mean 0"
                f" and standard deviation {lean}",
            )
        )
    )
    s.draw("lean", f"normal(mean=0, sd={lean.code})", per="reviewer", unit=k.unit, says=leaning)
    scatter = s.rule(
        f"A mark is quality plus leaning plus chance, and chance has a standard deviation"
        f" of {noise}"
    )
    expr = f"normal(mean=quality[work] + lean[reviewer], sd={noise.code})"
    s.draw("mark", expr, per=("work", "reviewer"), unit=k.unit, says=scatter)
    pairs = [(work, who) for work in works for who in people]
    seen = s.some(pairs, min(len(pairs) - 1, s.observations(2, 4)))
    s.simulate()
    for work, who in seen:
        s.event(s.see(f"{who} {k.gave} {work} {{}} {k.unit}", "mark", work, who))
    s.rule("Marks are rounded to whole numbers")
    work = s.choose(seen)[0]
    rival = s.choose([other for other in works if other != work])
    open_work, open_who = s.choose([pair for pair in pairs if pair not in seen])
    s.ask_value("quality", work, what=f"the true quality of {work}", unit=k.unit)
    s.ask_value(
        "mark", open_work, open_who, what=f"the mark {open_who} will give {open_work}", unit=k.unit
    )
    s.ask_rank("quality", work, who=work, group=k.works, lowest="poorest", highest="best")
    s.ask_either(
        reference("quality", work),
        reference("quality", rival),
        (work, rival),
        "Which is truly better, {}?",
    )
    one, other = s.some(people, 2)
    s.ask_either(
        reference("lean", one),
        reference("lean", other),
        (one, other),
        f"Who is the kinder {k.reviewer}, {{}}?",
    )


MOTIFS = (
    Motif("signal_detection", "C", Screening, signal_detection),
    Motif("screened_batch", "C", Screening, screened_batch),
    Motif("witness_reliability", "C", Account, witness_reliability),
    Motif("copied_witnesses", "C", Account, copied_witnesses),
    Motif("instrument_offset", "C", Gauge, instrument_offset),
    Motif("reviews", "C", Critic, reviews),
)
