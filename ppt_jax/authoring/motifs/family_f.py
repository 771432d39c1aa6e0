"""Family F, time: what changed and when, where a hidden level is now, and what comes next."""

from __future__ import annotations

from ppt_jax.authoring.language import counted, join_words, number
from ppt_jax.authoring.motif import Motif
from ppt_jax.authoring.priors import tell_amount
from ppt_jax.authoring.sketch import Sketch, reference
from ppt_jax.authoring.skins.durables import Durable
from ppt_jax.authoring.skins.levels import Level
from ppt_jax.authoring.skins.stocks import Stock
from ppt_jax.authoring.skins.tallies import Tally
from ppt_jax.authoring.wording import Told

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _spread_rate(s: Sketch[Tally], mean: Told) -> tuple[str, str]:
    """A gamma prior told by its mean and standard deviation: words and formula."""
    sd = s.number(max(1, mean.value * 0.35), max(2, mean.value * 0.7), 1)
    words = f"{mean} a day, standard deviation {sd}"
    return words, f"gamma(mean={mean.code}, shape={mean.code}**2/{sd.code}**2)"


def _tell_series(s: Sketch[Tally], node: str, days: list[str]) -> None:
    lead = s.choose(("The counts", "So far", "The tally", "Counted"))
    s.event(f"{lead}: {', '.join(s.see(f'{day} {{}}', node, day) for day in days)}")


def changepoint(s: Sketch[Tally]) -> None:
    """A rate before and another after an unknown day, seen through counts."""
    k = s.skin
    days = s.set("day", DAYS[: s.observations(4, 7)])
    s.setting(
        s.choose(
            (
                f"{s.place}, {k.keeper} counts {k.things} day by day",
                f"{k.keeper} {s.place} keeps a tally of {k.things}",
            )
        )
    )
    mean = s.number(*k.mean, step=1)
    words, prior = _spread_rate(s, mean)
    when = s.rule(
        f"{k.change} {k.began} on one of the days from {days[1]} to {days[-1]}, each equally likely"
    )
    s.draw("first", f"pick(day, weights=[0{', 1' * (len(days) - 1)}])", says=when)
    rates = s.rule(
        s.choose(
            (
                f"The true rate before it and the one since then are unrelated, and of each"
                f" all one knows is: about {words} (gamma curve)",
                f"Rates before and after have nothing to do with each other; places like this"
                f" have {words}, on a gamma curve",
            )
        )
    )
    s.draw("before", prior, unit=f"{k.things} a day", says=rates)
    s.draw("after", prior, unit=f"{k.things} a day", says=rates)
    poisson = s.rule("Counts vary around the rate as chance has it (Poisson)")
    s.draw("seen", "count(rate=before if day < first else after)", per="day", says=poisson)
    s.draw("tomorrow", "count(rate=after)")
    s.simulate()
    s.in_order = True
    _tell_series(s, "seen", days)
    middle = days[len(days) // 2]
    s.ask_which("first", of="day", question=f"Which was the first day with {k.change}?")
    s.ask_yes(f"first <= '{middle}'", f"Had the change come by {middle}?")
    s.ask_value("after", what=f"the daily rate of {k.things} since the change", floor=0)
    s.ask_rank(
        "after", who="the present rate", group="such rates", lowest="lowest", highest="highest"
    )
    s.ask_yes("after > before", "Is the rate higher since the change than before it?")
    bar = s.number(mean.value, mean.value * 1.5, 1)
    s.ask_yes(f"tomorrow > {bar.code}", f"Will the next day bring more than {bar} {k.things}?")


def hidden_regime(s: Sketch[Tally]) -> None:
    """Days of two kinds follow one another with some persistence; counts hint at the kind."""
    k = s.skin
    days = s.set("day", DAYS[: s.observations(3, 6)])
    s.setting(f"{s.place}, {k.keeper} knows two kinds of days, {k.busy} and {k.calm} ones")
    stay, turn = s.chance(0.6, 0.9), s.chance(0.1, 0.4)
    chain = s.rule(
        s.choose(
            (
                f"A {k.busy} day is followed by another {stay.times()},"
                f" a {k.calm} day by a {k.busy} one {turn.times()}",
                f"After a {k.busy} day the next is {k.busy} {stay.times()},"
                f" after a {k.calm} day {turn.times()}",
            )
        )
    )
    start = s.rule(f"The day before {days[0]} was {k.calm}")
    low = s.number(1, 4, 1)
    high = s.number(low.value + 3, low.value + 7, 1)
    expr = f"yes(p={stay.code} if prev(busy, first=0) == 1 else {turn.code})"
    s.draw("busy", expr, per="day", says=chain)
    rates = s.rule(
        f"{k.things} average {high} on {k.busy} days and {low} on {k.calm} ones (Poisson counts)"
    )
    s.draw(
        "seen", f"count(rate={high.code} if busy[day] == 1 else {low.code})", per="day", says=rates
    )
    last = days[-1]
    s.let("next_chance", f"{stay.code} if busy['{last}'] == 1 else {turn.code}", says=start)
    s.draw("next_busy", "yes(p=next_chance)")
    s.let("busy_days", "total(busy[day], day)")
    s.simulate()
    s.in_order = True
    shown = [day for day in days if day == last or not s.maybe(0.15)]
    _tell_series(s, "seen", shown)
    if len(shown) < len(days):
        missing = [day for day in days if day not in shown]
        s.event(f"nobody counted on {join_words(missing)}")
    for day in s.some(days, min(2, len(days))):
        s.ask_yes(f"busy['{day}'] == 1", f"Was {day} a {k.busy} day?")
    s.ask_chance("next_chance", f"the day after {last} is {k.busy}")
    s.ask_yes("next_busy == 1", f"Will the day after {last} be {k.busy}?")
    s.ask_value(
        "busy_days",
        what=f"the number of {k.busy} days from {days[0]} to {last}",
        low=0,
        high=len(days),
    )


def drift(s: Sketch[Level]) -> None:
    """A random walk read with error, some days missing: where is it now, and tomorrow."""
    k = s.skin
    days = s.set("day", DAYS[: s.observations(3, 6)])
    s.setting(f"{s.place}, {k.reader} is read every morning to follow {k.quantity}")
    begin = s.number(*k.mean, step=5)
    step = s.number(*k.step, step=1)
    known = s.rule(f"The day before {days[0]} it was {begin} {k.unit}, known exactly")
    walk = s.rule(
        s.choose(
            (
                f"From one day to the next it wanders up or down, standard deviation {step}",
                f"Each day adds a random change with mean 0 and standard deviation {step}",
            )
        )
    )
    noise = s.number(step.value * 0.6, step.value * 1.8, 1)
    error = s.rule(f"{k.reader} errs by {noise} (standard deviation)")
    s.draw(
        "level", f"normal(mean=prev(level, first={begin.code}), sd={step.code})", per="day",
        unit=k.unit, says=walk,
    )  # fmt: skip
    s.draw(
        "reading", f"normal(mean=level[day], sd={noise.code})", per="day", unit=k.unit, says=error
    )
    last = days[-1]
    s.draw(
        "tomorrow",
        f"normal(mean={reference('level', last)}, sd={step.code})",
        unit=k.unit,
        says=known,
    )
    s.simulate()
    s.in_order = True
    shown = [day for day in days if day == days[0] or not s.maybe(0.2)]
    seen = [s.see(f"{{}} on {day}", "reading", day) for day in shown]
    s.event(f"{k.reader} showed, to the nearest whole number, {join_words(seen)}")
    if last not in shown:
        s.event(f"there is no reading for {last}")
    s.ask_value("level", last, what=f"{k.quantity} on {last}", unit=k.unit)
    s.ask_value("tomorrow", what=f"{k.quantity} the day after {last}", unit=k.unit)
    s.ask_rank(
        "level", last, who=last, group="such days with the same start", lowest="lowest",
        highest="highest",
    )  # fmt: skip
    bar = s.number(begin.value - step.value, begin.value + 2 * step.value, 1)
    s.ask_yes(f"tomorrow > {bar.code}", f"Will it be above {bar} {k.unit} the day after {last}?")
    first = days[0]
    s.ask_either(
        reference("level", last), reference("level", first), (last, first),
        f"When was {k.quantity} higher, on {{}}?",
    )  # fmt: skip


def trend_or_noise(s: Sketch[Level]) -> None:
    """A straight line with unknown slope under noisy readings: is it rising at all."""
    k = s.skin
    days = s.set("week", [f"week {n}" for n in range(1, s.observations(3, 6) + 1)])
    s.setting(f"{s.place}, someone asks whether {k.quantity} {k.rises}")
    begin, wide = s.number(*k.mean, step=5), s.number(k.step[1], k.step[1] * 2, 1)
    start = s.rule(
        f"Before the first week {k.quantity} is around {begin} {k.unit}, standard deviation {wide}"
    )
    s.draw("start", f"normal(mean={begin.code}, sd={wide.code})", unit=k.unit, says=start)
    slope = s.number(k.step[0] * 0.5, k.step[1] * 0.6, 1)
    steady = s.rule(
        s.choose(
            (
                f"The weekly change is steady but unknown: mean 0, standard deviation {slope}",
                f"Each week it gains or loses the same amount, thought to be 0 give or take"
                f" {slope} (one standard deviation)",
            )
        )
    )
    s.draw("change", f"normal(mean=0, sd={slope.code})", unit=k.unit, says=steady)
    noise = s.number(slope.value * 0.8, slope.value * 3, 1)
    error = s.rule(f"Single readings are off by {noise} (standard deviation)")
    s.let("line", "prev(line, first=start) + change", per="week", unit=k.unit)
    s.draw(
        "reading", f"normal(mean=line[week], sd={noise.code})", per="week", unit=k.unit, says=error
    )
    last = days[-1]
    s.let("next_line", f"{reference('line', last)} + change", unit=k.unit)
    s.draw("next_reading", f"normal(mean=next_line, sd={noise.code})", unit=k.unit)
    s.simulate()
    s.in_order = True
    seen = [s.see(f"{{}} in {day}", "reading", day) for day in days]
    s.event(f"the readings, in whole {k.unit}: {', '.join(seen)}")
    s.ask_yes("change > 0", f"Is it true that {k.quantity} {k.rises}?")
    s.ask_value("change", what="the steady change per week", unit=k.unit)
    s.ask_value("next_reading", what="the next weekly reading", unit=k.unit)
    s.ask_rank(
        "change", who="this change", group="such changes", lowest="most falling",
        highest="most rising",
    )  # fmt: skip
    bar = s.number(1, max(1, slope.value), 1)
    s.ask_yes(f"change > {bar.code}", f"Does it gain more than {counted(str(bar), k.unit)} a week?")


PATTERNS = ("early faults", "pure chance", "wear")


def _lasting(age: str, since: str = "") -> str:
    """The chance of a Weibull life beyond an age, given that it reached an earlier one."""
    if not since:
        return f"exp(-log(2) * ({age}/median)**ageing)"
    return f"exp(min(0, log(2) * (({since}/median)**ageing - ({age}/median)**ageing)))"


def _declare_life(s: Sketch[Durable]) -> tuple[Told, bool, str]:
    """Declares median and shape; returns a middle life, whether shapes have names, the law."""
    k = s.skin
    says = s.rule(
        s.choose(
            (
                f"The chance that a {k.item} is still {k.alive} after t {k.units} is 2 to the power"
                " -(t/m)^k, where m is the median life and k says how age matters",
                f"Of such {k.items}, a share of 2 to the power -(t/m)^k is still {k.alive} after"
                f" t {k.units}; m is the median life and k the way they age",
            )
        )
    )
    middle = tell_amount(
        s, "median", "this m", k.median, unit=k.units, scope=f"over {k.sorts}", step=1
    )
    early, late = s.number(0.4, 0.7, 0.1), s.number(2, 4, 0.5)
    named = s.maybe()
    if named:
        s.set("patterns", s.shuffled(PATTERNS))
        ages = s.rule(
            f"The pattern is early faults (k = {early}), pure chance (k = 1) or wear (k = {late}),"
            " all equally likely"
        )
        s.draw("pattern", "pick(patterns)", says=ages)
        rest = f"(1 if pattern == 'pure chance' else {late.code})"
        s.let("ageing", f"{early.code} if pattern == 'early faults' else {rest}", says=ages)
    else:
        ages = s.rule(
            f"Here k is anything from {early} to {late}, all values equally likely; below 1 mostly"
            f" young ones {k.fail}, above 1 mostly old ones"
        )
        s.draw("ageing", f"uniform(low={early.code}, high={late.code})", says=ages)
    return middle, named, says


def ageing(s: Sketch[Durable]) -> None:
    """Weibull lives seen at inspections only, many of them unfinished: do they age at all."""
    k = s.skin
    s.setting(
        s.choose(
            (
                f"{s.place}, {k.items} are looked at from time to time, and some {k.fail}",
                f"{s.place}, people ask how long a {k.item} lasts and whether its age matters",
            )
        )
    )
    middle, named, law = _declare_life(s)
    looks, step = s.observations(2, 3), round(middle.value * float(s.rng.uniform(0.3, 0.6)))
    ages = [number(max(1, step) * place) for place in range(1, looks + 2)]
    spans = []
    if s.maybe():
        whole = s.number(10, {"short": 24, "medium": 40, "long": 60}[s.knobs.length], 1)
        start = s.rule(f"{whole} {k.items} were {k.new} together")
        due = s.rule(f"the next look is due after {ages[-1]} {k.units}")
        left = whole.code
        for place, age in enumerate(ages):
            lasts = _lasting(age, ages[place - 1] if place else "")
            says = start if place == 0 else law if place < looks else due
            s.draw(f"failed_{place}", f"successes(n={left}, p=1 - {lasts})", says=says)
            if place < looks:
                s.let(f"left_{place}", f"{left} - failed_{place}")
                left = f"left_{place}"
            when = f"from there until {age} {k.units}" if place else f"within {age} {k.units}"
            spans.append((f"failed_{place}", f"{{}} {k.failed} {when}"))
        spans.pop()
    else:
        for place, age in enumerate(ages[:-1]):
            size = s.number(4, 12, 1)
            s.draw(f"lasted_{place}", f"successes(n={size.code}, p={_lasting(age)})", says=law)
            spans.append(
                (f"lasted_{place}", f"of {size} {k.items} {k.new} {age} {k.units} ago, {{}} proved"
                 f" to be still {k.alive}")
            )  # fmt: skip
    s.simulate()
    followed = spans[0][0].startswith("failed")
    seen = [s.see(span, node) for node, span in spans]
    if followed:
        s.event(join_words(seen))
        open_ = int(s.value(f"left_{looks - 1}"))
        s.ask_value(
            f"failed_{looks}",
            what=f"the number of the remaining {open_} {k.items} that {k.fail} before {ages[-1]}"
            f" {k.units}",
            low=0, high=max(open_, 1),
        )  # fmt: skip
    else:
        for span in seen:
            s.event(span)
    s.ask_chance(_lasting(ages[0]), f"a new {k.item} is still {k.alive} after {ages[0]} {k.units}")
    s.ask_chance(
        _lasting(ages[-1], ages[-2]),
        f"a {k.item} still {k.alive} after {ages[-2]} {k.units} is still {k.alive} after"
        f" {ages[-1]} {k.units}",
    )
    s.ask_value("median", what=f"the median life m of these {k.items}", unit=k.units, floor=0)
    s.ask_rank(
        "median", who="this one", group=k.sorts, lowest="shortest-lived", highest="longest-lived"
    )
    if named:
        s.ask_which("pattern", of="patterns", question=f"Which pattern do these {k.items} follow?")
    else:
        s.ask_yes("ageing > 1", f"Is a {k.item} the likelier to fail the older it is (k above 1)?")


def stock(s: Sketch[Stock]) -> None:
    """A store less what is wanted each day, now and then filled up unseen: what is left of it."""
    k = s.skin
    most = 4 if s.knobs.length == "short" else 5
    days = s.set("day", DAYS[: s.observations(3, most)])
    last = days[-1]
    s.setting(
        s.choose(
            (
                f"{s.place}, {k.goods} are taken from {k.store} every day",
                f"{s.place}, {k.keeper} wonders how long the {k.goods} in {k.store} will last",
            )
        )
    )
    middle = tell_amount(
        s, "rate", f"the usual number of {k.goods} wanted per day", k.rate, unit="",
        scope=f"across {k.stores}", step=1,
    )  # fmt: skip
    law = s.rule("single days are Poisson around the usual number")
    s.draw("wanted", "count(rate=rate)", per="day", says=law)
    begin = s.number(middle.value * len(days), middle.value * len(days) * 1.6, 5)
    start = s.rule(f"Before {days[0]} there were {begin} {k.goods} in {k.store}")
    comes, load = s.chance(0.08, 0.25), s.number(middle.value * 2, middle.value * 4, 5)
    fill = s.rule(
        s.choose(
            (
                f"On any evening there is {comes.chance()} that {k.source} brings {load} more,"
                " without a note",
                f"of an evening, {k.source} comes by {comes.times()} and leaves {load} more,"
                " without a note",
            )
        )
    )
    s.draw("filled", f"yes(p={comes.code})", per="day", says=fill)
    rest = f"max(0, prev(left, first={begin.code}) - wanted[day])"
    s.let("left", f"{rest} + ({load.code} if filled[day] else 0)", per="day", says=start)
    clear = s.chance(0.4, 0.8)
    glance = s.rule(f"at a glance, {k.keeper} notices each of them {clear.times()}")
    looks = s.some(days[-2:], 1 if s.maybe(0.75) else 2)
    for place, day in enumerate(looks):
        expr = f"successes(n={reference('left', day)}, p={clear.code})"
        s.draw(f"noticed_{place}", expr, says=glance)
    later = s.set("later", [f"day {place}" for place in range(1, 4)])
    s.draw("wanted_later", "count(rate=rate)", per="later")
    s.let("rest", f"prev(rest, first={reference('left', last)}) - wanted_later[later]", per="later")
    s.let("served", "total(1 if rest[later] >= 0 else 0, later)")
    s.let("loads", "total(filled[day], day)")
    s.simulate()
    missing = s.some(days, 2 if len(days) > 3 and s.maybe(0.4) else 1)
    parts = [s.see(f"{{}} on {day}", "wanted", day) for day in days if day not in missing]
    gap = join_words([day for day in days if day in missing])
    s.event(f"the number wanted was {join_words(parts)}; nothing was noted on {gap}")
    for place, day in enumerate(looks):
        s.event(s.see(f"a glance on {day} night found {{}}", f"noticed_{place}"))
    s.ask_value("left", last, what=f"the number of {k.goods} in {k.store} on {last} night", floor=0)
    s.ask_yes("loads > 0", f"Has {k.source} come by on any evening from {days[0]} to {last}?")
    s.ask_yes("served > 0", f"Will there be enough {k.goods} for the day after {last}?")
    s.ask_value(
        "served",
        what=f"the number of the {len(later)} days after {last} that can be served in full if"
        f" {k.source} stays away",
        low=0, high=len(later),
    )  # fmt: skip
    s.ask_value("rate", what=f"the usual number of {k.goods} wanted per day", floor=0)
    s.ask_rank("rate", who="this one", group=k.stores, lowest="least busy", highest="busiest")


MOTIFS = (
    Motif("changepoint", "F", Tally, changepoint),
    Motif("hidden_regime", "F", Tally, hidden_regime),
    Motif("drift", "F", Level, drift),
    Motif("trend_or_noise", "F", Level, trend_or_noise),
    Motif("ageing", "F", Durable, ageing),
    Motif("stock", "F", Stock, stock),
)
