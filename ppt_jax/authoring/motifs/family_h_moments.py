"""Family H, selection by the moment: when somebody comes by, and when somebody stops counting."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from ppt_jax.authoring.language import count_word, join_words, ordinal
from ppt_jax.authoring.motif import Motif
from ppt_jax.authoring.priors import tell_amount, tell_share
from ppt_jax.authoring.sketch import Sketch, reference
from ppt_jax.authoring.skins.attempts import Attempt
from ppt_jax.authoring.skins.gaps import Gap
from ppt_jax.authoring.wording import Told


@dataclasses.dataclass(frozen=True)
class _Gaps:
    """How gaps are distributed: in order (`plain`) and at a random place (`met`).

    The second has density ``x f(x) / mean``: a gamma curve with its shape raised by 1, a
    log-normal curve with its median times ``exp(spread ** 2)``.
    """

    law: str
    usual: str
    middle: Told
    plain: str
    met: str


def _tell_gaps(s: Sketch[Gap]) -> _Gaps:
    """Declares the usual gap of a site and how single gaps vary around it."""
    k = s.skin
    law = s.choose(("gamma", "uneven", "exponential", "log-normal"))
    usual = "median" if law == "log-normal" else "mean"
    subject = f"the {usual} {k.gap}"
    middle = tell_amount(s, "usual", subject, k.mean, unit=k.unit, scope=f"across {k.sites}")
    single = "Single ones are independent and"
    if law == "log-normal":
        factor = s.number(1.5, 2.2, 0.1)
        says = s.rule(
            f"{single} log-normal around that median, a factor of {factor} being one standard"
            " deviation"
        )
        spread = f"log({factor.code})"
        plain = f"lognormal(median=usual, spread={spread})"
        met = f"lognormal(median=usual * exp({spread}**2), spread={spread})"
    elif law == "exponential":
        says = s.rule(f"{single} exponential around that mean")
        plain, met = "wait(mean=usual)", "gamma(mean=2 * usual, shape=2)"
    else:
        part = s.chance(0.6, 0.95, form="percent")
        spread, told = part.code, f"{part} of the mean"
        if law == "uneven":
            even, odds = s.chance(0.1, 0.35, form="percent"), s.chance(0.3, 0.6)
            told += f" if the {k.site} is uneven, {even} if it is even"
            mixed = s.rule(f"There is {odds.chance()} that a {k.site} is uneven")
            s.draw("uneven", f"yes(p={odds.code})", says=mixed)
            spread = f"{part.code} if uneven else {even.code}"
        says = s.rule(f"{single} follow a gamma curve with a standard deviation of {told}")
        plain = f"gamma(mean=usual, shape=1/({spread})**2)"
        met = f"gamma(mean=usual * (1 + ({spread})**2), shape=1 + 1/({spread})**2)"
    s.draw("listed", plain, unit=k.unit, says=says)
    return _Gaps(law, usual, middle, plain, met)


def inspection_paradox(s: Sketch[Gap]) -> None:
    """A random moment falls into long gaps more often, so what one meets is no ordinary gap."""
    k = s.skin
    s.setting(
        s.choose(
            (
                f"{s.place}, {k.gaps} are far from equal",
                f"{k.gaps} {s.place} differ from one another",
            )
        )
    )
    gaps = _tell_gaps(s)
    people = s.people(s.observations(1, 2 if gaps.law == "uneven" else 3))
    says = s.rule(
        s.choose(
            (
                f"Whoever {k.comes} does so at a random {k.moment}, so the chance to get into"
                f" a {k.short} is proportional to its length",
                f"Somebody who {k.comes} does so at a {k.moment} picked at random, all"
                f" {k.moment}s being equally likely",
                f"Whoever {k.comes} does so at a random {k.moment}; a {k.short} twice as long is"
                " met twice as often",
            )
        )
    )
    whole = [s.maybe(0.4) for _ in people]
    for place, all_of_it in enumerate(whole):
        s.draw(f"met_{place}", gaps.met, unit=k.unit, says=says)
        if not all_of_it:
            s.draw(f"rest_{place}", f"uniform(low=0, high=met_{place})", unit=k.unit)
    ordered = s.choose((0, 1, 2)) if len(people) < 2 else s.choose((0, 1))
    for place in range(ordered):
        s.draw(f"plain_{place}", gaps.plain, unit=k.unit)
    s.draw("later", gaps.met, unit=k.unit)
    s.draw("later_rest", "uniform(low=0, high=later)", unit=k.unit)
    s.simulate()
    digits = 0 if gaps.middle.value >= 100 else 1
    for place, (who, all_of_it) in enumerate(zip(people, whole, strict=True)):
        node, span = (f"met_{place}", k.whole) if all_of_it else (f"rest_{place}", k.wait)
        s.event(f"{who} {k.came} and {s.see(span, node, digits=digits)}")
    for place in range(ordered):
        span = k.plain.format(nth=ordinal(place + 1))
        s.event(s.see(span, f"plain_{place}", digits=digits))
    _ask_gaps(s, gaps, people, whole)


def _ask_gaps(s: Sketch[Gap], gaps: _Gaps, people: list[str], whole: list[bool]) -> None:
    k = s.skin
    usual, listed = gaps.usual, f"a {k.gap} picked from a full list, each being equally likely"
    s.ask_value("usual", what=f"the {usual} {k.gap} of this {k.site}", unit=k.unit, floor=0)
    s.ask_value("listed", what=f"the length of {listed}", unit=k.unit, floor=0)
    s.ask_value(
        "later_rest", what=f"the {k.rest}, for somebody else who {k.comes}", unit=k.unit, floor=0
    )
    s.ask_rank(
        "usual", who="this one", group=k.sites, lowest=f"shortest {usual} {k.short}",
        highest=f"longest {usual} {k.short}",
    )  # fmt: skip
    bar = s.number(gaps.middle.value * 0.8, gaps.middle.value * 1.5, 1)
    s.ask_yes(
        f"usual > {bar.code}", f"Is the {usual} {k.gap} of this {k.site} above {bar} {k.unit}?"
    )
    if gaps.law == "exponential":
        s.ask_chance(f"min(1, exp(-{bar.code}/usual))", f"{listed}, exceeds {bar} {k.unit}")
    if gaps.law == "uneven":
        s.ask_yes("uneven", f"Is this {k.site} uneven?")
    if not whole[0]:
        s.ask_value(
            "met_0", what=f"the whole {k.short} that {people[0]} got into", unit=k.unit, floor=0
        )
    if len(people) > 1 and not all(whole[:2]):
        s.ask_either(
            "met_0", "met_1", (people[0], people[1]), f"Who got into the longer {k.short}, {{}}?"
        )


_Teller = Callable[[], None]


def _fixed_number(s: Sketch[Attempt], tag: int, who: str, source: str) -> _Teller:
    k, tried = s.skin, s.number(5, 12, 1)
    s.draw(f"hits_{tag}", f"successes(n={tried.code}, p={reference('rate', source)})")

    def tell() -> None:
        span = f"{who} tried {tried} {k.items} {k.link} {source}, as planned, and {{}} {k.worked}"
        s.event(s.see(span, f"hits_{tag}"))

    return tell


def _until_enough(s: Sketch[Attempt], tag: int, who: str, source: str) -> _Teller:
    """Failures before the r-th success: Poisson with a gamma mean, a negative binomial."""
    k, goal, rate = s.skin, s.number(2, 5, 1), reference("rate", source)
    says = s.rule(
        f"{who} meant to go on with {k.items} {k.link} {source} until {goal} of them {k.worked}"
    )
    s.draw(
        f"pace_{tag}",
        f"gamma(mean={goal.code} * (1 - {rate}) / {rate}, shape={goal.code})",
        says=says,
    )
    s.draw(f"fails_{tag}", f"count(rate=pace_{tag})", says=says)

    def tell() -> None:
        s.event(s.see(f"failures of {who} on the way there: {{}}", f"fails_{tag}"))

    return tell


def _until_streak(s: Sketch[Attempt], tag: int, who: str, source: str) -> _Teller:
    """Tries in order until two alike follow one another; later ones are never made."""
    k = s.skin
    tries = s.set("turn", [ordinal(place) for place in range(1, s.observations(5, 7) + 1)])
    good = s.maybe(0.6)
    says = s.rule(
        f"{who} meant to try {k.items} {k.link} {source} one by one and to stop once two in a row"
        f" {k.worked if good else 'failed'}, or else after {count_word(len(tries))}"
    )
    s.draw("came_out", f"yes(p={reference('rate', source)})", per="turn", says=says)

    def tell() -> None:
        results = [s.value("came_out", turn) == 1 for turn in tries]
        ends = [n for n in range(2, len(tries)) if results[n - 1] == results[n - 2] == good]
        made = tries[: ends[0] if ends else len(tries)]
        spans = [
            s.see_yes(f"the {turn} {k.worked}", f"the {turn} failed", "came_out", turn)
            for turn in made
        ]
        s.event(f"for {who}, {join_words(spans)}; that was the last")

    return tell


def _best_of_several(s: Sketch[Attempt], tag: int, who: str, source: str) -> _Teller:
    """Several series of which only the best is reported, certainly or perhaps."""
    k, size = s.skin, s.number(5, 10, 1)
    series = s.set("series", [f"series {n}" for n in range(1, s.choose((2, 3, 4)) + 1)])
    perhaps = s.chance(0.3, 0.7) if s.maybe() else None
    many = f"{count_word(len(series))} series of {size} {k.items} {k.link} {source}"
    if perhaps:
        says = s.rule(
            f"There is {perhaps.chance()} that {who} made {many} and reports only the best one;"
            f" otherwise {who} made just one such series"
        )
        s.draw("picky", f"yes(p={perhaps.code})", says=says)
    else:
        says = s.rule(f"{who} made {many} and reports only the best one")
    s.draw(
        "hits", f"successes(n={size.code}, p={reference('rate', source)})", per="series", says=says
    )
    best = f"max({', '.join(reference('hits', one) for one in series)})"
    s.let("best", f"{best} if picky else {reference('hits', series[0])}" if perhaps else best)

    def tell() -> None:
        best = s.value("best")
        s.event(
            s.fact(f"best == {best:.0f}", f"{who} reports that {best:.0f} of {size} {k.worked}")
        )
        if perhaps:
            s.ask_yes("picky", f"Did {who} make more than one series?")

    return tell


_COUNTS = (_fixed_number, _until_enough, _until_streak, _best_of_several)


def early_stopping(s: Sketch[Attempt]) -> None:
    """When counting stopped, and what was left out: sometimes it matters, sometimes it does not."""
    k = s.skin
    names = s.set("source", [f"{k.source} {a}" for a in s.some("ABCDEF", s.entities(2, 3) - 1)])
    testers = s.people(max(len(names), s.choose((1, 2))))
    many = len(names) > 1
    s.setting(
        s.choose(
            (
                f"{s.place}, {join_words(testers)} set out to learn how often {k.items} {k.link}"
                f" {join_words(names)} {k.work}",
                f"{s.place}, {k.items} {k.link} {join_words(names)} are tried out by"
                f" {join_words(testers)}",
            )
        )
    )
    what = f"a {k.source}" if many else names[0]
    tell_share(
        s, "rate", f"the share of {k.items} {k.link} {what} that {k.work}", per="source",
        each=k.source if many else "",
    )  # fmt: skip
    counts = s.some(_COUNTS, len(testers))
    if counts == [_fixed_number]:
        counts = [_until_streak]
    tellers = [
        count(s, tag, who, names[tag % len(names)])
        for tag, (count, who) in enumerate(zip(counts, testers, strict=True))
    ]
    chosen, more = s.choose(names), s.number(5, 10, 1)
    plan = s.rule(f"Later {more} more {k.items} {k.link} {chosen} will be tried")
    s.draw("later", f"successes(n={more.code}, p={reference('rate', chosen)})", says=plan)
    s.simulate()
    for tell in tellers:
        tell()
    rate = reference("rate", chosen)
    s.ask_chance(rate, f"the next {k.item} {k.link} {chosen} {k.works}")
    s.ask_chance(f"{rate}**2", f"two further {k.items} {k.link} {chosen} both {k.work}")
    s.ask_value(
        "later", what=f"the number of the {more} later {k.items} that will {k.work}",
        low=0, high=more.value,
    )  # fmt: skip
    s.ask_yes(
        f"{rate} > 1/2",
        f"In the long run, do more than half of the {k.items} {k.link} {chosen} {k.work}?",
    )
    if many:
        s.ask_either(
            reference("rate", names[0]), reference("rate", names[1]), (names[0], names[1]),
            f"Where is the share of {k.items} that {k.work} higher, {{}}?",
        )  # fmt: skip


MOTIFS = (
    Motif("inspection_paradox", "H", Gap, inspection_paradox),
    Motif("early_stopping", "H", Attempt, early_stopping),
)
