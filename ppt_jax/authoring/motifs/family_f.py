"""Family F, time: what changed and when, where a hidden level is now, and what comes next."""

from __future__ import annotations

from ppt_jax.authoring.language import join_words
from ppt_jax.authoring.motif import Motif
from ppt_jax.authoring.sketch import Sketch, reference
from ppt_jax.authoring.skins.levels import Level
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
    s.event(f"it showed, to the nearest whole number, {join_words(seen)}")
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
    s.ask_yes(f"change > {bar.code}", f"Does it gain more than {bar} {k.unit} a week?")


MOTIFS = (
    Motif("changepoint", "F", Tally, changepoint),
    Motif("hidden_regime", "F", Tally, hidden_regime),
    Motif("drift", "F", Level, drift),
    Motif("trend_or_noise", "F", Level, trend_or_noise),
)
