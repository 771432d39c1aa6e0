"""Family A, latent traits from performance: who is how good, seen through noisy results."""

from __future__ import annotations

from typing import Any

from ppt_jax.authoring.language import join_words, ordinal, with_article
from ppt_jax.authoring.motif import Motif
from ppt_jax.authoring.sketch import Sketch, reference
from ppt_jax.authoring.skins.contests import Contest
from ppt_jax.authoring.skins.judgings import Judging
from ppt_jax.authoring.skins.scorings import Scoring
from ppt_jax.authoring.skins.trials import Trial
from ppt_jax.authoring.wording import Told, bell

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _introduce(s: Sketch[Contest], people: list[str]) -> None:
    names, k = join_words(people), s.skin
    s.setting(
        s.choose(
            (
                f"{names} are {k.actors} {s.place}",
                f"{s.place}, {names} meet as {k.actors}",
                f"The {k.actors} {s.place} include {names}",
            )
        )
    )


def _level(s: Sketch[Any], mean: tuple[float, float], sd: tuple[float, float]) -> tuple[Told, Told]:
    """A mean and a standard deviation of at most a quarter of it, so amounts stay positive."""
    centre = s.typical(*mean)
    return centre, s.typical(sd[0], max(sd[0], min(sd[1], centre.value / 4)), 1)


def _strength(s: Sketch[Contest], node: str, per: str) -> tuple[Told, Told]:
    """Declares the normal trait of every contestant with its sentence."""
    k = s.skin
    mean, sd = _level(s, k.mean, k.sd)
    scope = s.choose((f"across all {k.actors}", f"from one {k.actor} to another", "in this field"))
    says = s.rule(bell(s.rng, k.trait, mean, sd, unit=k.unit, scope=scope))
    s.draw(node, f"normal(mean={mean.code}, sd={sd.code})", per=per, unit=k.unit, says=says)
    return mean, sd


def _ask_strength(s: Sketch[Contest], node: str, people: list[str]) -> None:
    """Value, rank and comparison of two contestants."""
    k = s.skin
    a, b = s.some(people, 2)
    s.ask_value(node, a, what=f"{a}'s {k.trait}", unit=k.unit, floor=0)
    s.ask_rank(node, b, who=b, group=k.actors, lowest=k.least, highest=k.most)
    s.ask_either(
        reference(node, a), reference(node, b), (a, b), f"Who has the higher {k.trait}, {{}}?"
    )


def tug_of_war(s: Sketch[Contest]) -> None:
    """Strength and effort: normal strengths, off days, the larger sum wins."""
    k = s.skin
    people = s.set("player", s.people(s.entities(2, 5)))
    days = s.set("day", DAYS[: s.observations(2, 4)])
    _introduce(s, people)
    _strength(s, "power", "player")
    off, rest = s.chance(0.1, 0.35), s.chance(0.4, 0.7, form="percent")
    off_says = s.rule(
        s.choose(
            (
                f"On a given day each of them, independently, {k.off} {off.times()}"
                f" and then reaches only {rest.of('the usual')}",
                f"Whether a {k.actor} {k.off} is pure chance: {off.times()} on any day, for each"
                f" separately; it leaves {rest.of('the usual')}",
            )
        )
    )
    s.rule(s.choose(("The higher total that day wins", "Whoever has more in all that day wins")))
    s.draw("off", f"yes(p={off.code})", per=("player", "day"), says=off_says)
    s.let(
        "pull",
        f"power[player] * ({rest.code} if off[player, day] else 1)",
        per=("player", "day"),
        unit=k.unit,
        says=str(rest),
    )
    s.simulate()
    s.in_order = True
    pairs = len(people) >= 4
    last = ""
    for day in days:
        size = 2 if pairs and s.maybe(0.4) else 1
        crew = s.some(people, 2 * size)
        sides = [crew[:size], crew[size:]]
        totals = [sum(s.value("pull", who, day) for who in side) for side in sides]
        won, lost = sides if totals[0] > totals[1] else sides[::-1]
        sums = [" + ".join(reference("pull", who, day) for who in side) for side in (won, lost)]
        together = " together" if size == 2 else ""
        says = f"{join_words(won)}{together} {k.beat} {join_words(lost)}"
        s.fact(f"{sums[0]} > {sums[1]}", f"On {day} {says}")
        s.event(f"On {day} {says}")
        last = day if size == 1 else last
        loser = lost[0]
    _ask_strength(s, "power", people)
    s.ask_yes(reference("off", loser, day), f"Was {loser} having an off day on {day}?")


def paired_ranking(s: Sketch[Contest]) -> None:
    """Bradley-Terry: the chance to win is a logistic function of the gap in strength."""
    k = s.skin
    people = s.set("player", s.people(s.entities(2, 5)))
    _introduce(s, people)
    _, sd = _strength(s, "skill", "player")
    gap = s.number(sd.value * 0.5, sd.value * 1.5, 1)
    odds = s.chance(0.65, 0.9)
    slope = f"log({odds.code}/(1-{odds.code}))/{gap.code}"
    slope_says = s.rule(
        s.choose(
            (
                f"Someone {gap} {k.unit} ahead {k.wins} {odds.times()}, on a logistic curve",
                f"A lead of {gap} {k.unit} gives {odds.chance()} to win, on a logistic curve",
            )
        )
    )
    games = [tuple(s.some(people, 2)) for _ in range(s.observations(2, 6))]
    for game, (a, b) in enumerate(games, start=1):
        s.draw(
            f"game_{game}",
            f"yes(p=sigmoid((skill['{a}'] - skill['{b}']) * {slope}))",
            says=slope_says if game == 1 else "",
        )
    s.simulate()
    spans = [
        s.see_yes(f"{a} {k.beat} {b}", f"{b} {k.beat} {a}", f"game_{game}")
        for game, (a, b) in enumerate(games, start=1)
    ]
    _tell_results(s, spans)
    _ask_strength(s, "skill", people)
    a, b = s.some(people, 2)
    s.ask_chance(f"sigmoid((skill['{a}'] - skill['{b}']) * {slope})", f"{a} beats {b} next time")


def _tell_results(s: Sketch[Contest], spans: list[str]) -> None:
    """Puts results into sentences, one or two results each."""
    s.in_order = True
    lead = ["So far", "Then", "After that", "Later"]
    for start in range(0, len(spans), 2):
        part = spans[start : start + 2]
        text = " and ".join(part)
        s.event(f"{lead[min(start // 2, 3)]}, {text}" if s.maybe(0.6) else text)


def regression_to_mean(s: Sketch[Scoring]) -> None:
    """A noisy score of one actor against the spread of all: part of it is luck."""
    k = s.skin
    who = s.people(1)[0] if k.person else f"{k.actor} {s.choose('BCDFGH')}"
    count = s.observations(1, 4)
    runs = s.set("run", [ordinal(place) for place in range(1, count + 1)])
    s.setting(
        s.choose(
            (
                f"{s.place}, each {k.actor} has a {k.trait} that no single {k.occasion} shows",
                f"Every {k.actor} {s.place} has a {k.trait}; a {k.occasion} shows it roughly",
            )
        )
    )
    mean, sd = _level(s, k.mean, k.sd)
    scope = f"from {k.actor} to {k.actor}"
    prior = s.rule(bell(s.rng, f"the {k.trait}", mean, sd, unit=k.unit, scope=scope))
    noise = s.number(sd.value * 0.5, sd.value * 1.6, 1)
    luck = s.rule(
        s.choose(
            (
                f"A {k.score} scatters around it with a standard deviation of {noise}",
                f"Luck moves a {k.score} up or down by {noise} (one standard deviation)",
            )
        )
    )
    s.draw("level", f"normal(mean={mean.code}, sd={sd.code})", unit=k.unit, says=prior)
    expr = f"normal(mean=level, sd={noise.code})"
    s.draw("score", expr, per="run", unit=k.unit, says=luck)
    s.draw("next_score", expr, unit=k.unit)
    s.simulate()
    parts = [s.see(f"{{}} in the {run}", "score", run) for run in runs]
    if count == 1:
        s.event(f"{who} got {parts[0]} {k.occasion}, to the nearest whole number")
    else:
        s.event(f"{who}'s {k.occasions} gave {join_words(parts)}, to the nearest whole number")
    s.ask_value("level", what=f"the {k.trait} of {who}", unit=k.unit, floor=0)
    s.ask_value("next_score", what=f"the next {k.score} of {who}", unit=k.unit, floor=0)
    s.ask_rank("level", who=who, group=k.actors, lowest=k.least, highest=k.most)
    bar = s.number(mean.value + 0.3 * sd.value, mean.value + 0.8 * sd.value, 1)
    s.ask_yes(f"level > {bar.code}", f"Is the {k.trait} of {who} above {bar} {k.unit}?")


def finishing_orders(s: Sketch[Contest]) -> None:
    """Thurstone: strength plus fresh form in each contest; only the order is seen."""
    k = s.skin
    people = s.set("player", s.people(s.entities(3, 5)))
    days = s.set("day", DAYS[: s.observations(1, 3)])
    _introduce(s, people)
    _, sd = _strength(s, "skill", "player")
    noise = s.number(sd.value * 0.4, sd.value * 1.2, 1)
    form = s.rule(
        s.choose(
            (
                f"Form on the day adds or takes some, standard deviation {noise} {k.unit}",
                f"Form on the day scatters around that with a standard deviation of {noise}",
            )
        )
    )
    s.rule(f"places in {with_article(k.meet)} follow form on the day")
    expr = f"normal(mean=skill[player], sd={noise.code})"
    s.draw("form", expr, per=("player", "day"), unit=k.unit, says=form)
    s.draw("next_form", expr, per="player", unit=k.unit)
    s.simulate()
    s.in_order = True
    for day in days:
        order = sorted(people, key=lambda who: -s.value("form", who, day))
        forms = [reference("form", who, day) for who in order]
        if len(people) == 3:
            told = s.choose(("the order was {}", "they finished {}", "places went {}"))
            says = f"On {day} {told.format(', '.join(order))}"
            s.event(s.fact(f"{forms[0]} > {forms[1]} and {forms[1]} > {forms[2]}", says))
        else:
            says = f"On {day} {order[0]} came first"
            s.event(s.fact(f"{forms[0]} > max({', '.join(forms[1:])})", says))
    _ask_strength(s, "skill", people)
    a, b = s.some(people, 2)
    forms = [reference("next_form", who) for who in (a, b)]
    question = f"In the next {k.meet}, who finishes ahead, {{}}?"
    s.ask_either(forms[0], forms[1], (a, b), question)


def exam_response(s: Sketch[Trial]) -> None:
    """Item response: success depends on ability minus hardness, both hidden."""
    k = s.skin
    people = s.set("solver", s.people(s.entities(2, 4)))
    tasks = s.set("task", [f"{k.task} {letter}" for letter in "ABCD"[: s.observations(2, 3)]])
    s.setting(f"{s.place}, {join_words(people)} each tried {join_words(tasks)}")
    mean, sd = s.typical(40, 60, 5), s.typical(6, 15, 1)
    able = s.rule(bell(s.rng, k.ability, mean, sd, unit=k.unit, scope=f"across {k.solvers}"))
    spread = s.typical(6, 15, 1)
    hard = s.rule(bell(s.rng, f"a {k.task}'s {k.hardness}", mean, spread, unit=k.unit))
    gap, odds = s.number(5, 15, 5), s.chance(0.7, 0.9)
    slope = f"log({odds.code}/(1-{odds.code}))/{gap.code}"
    curve = s.rule(
        f"With {k.ability} equal to {k.hardness} the odds are even; {gap} {k.unit} more bring"
        f" success {odds.times()} (logistic curve)"
    )
    s.draw(
        "ability", f"normal(mean={mean.code}, sd={sd.code})", per="solver", unit=k.unit, says=able
    )
    s.draw(
        "hardness",
        f"normal(mean={mean.code}, sd={spread.code})",
        per="task",
        unit=k.unit,
        says=hard,
    )
    s.draw(
        "right",
        f"yes(p=sigmoid((ability[solver] - hardness[task]) * {slope}))",
        per=("solver", "task"),
        says=curve,
    )
    s.simulate()
    for who in people:
        parts = [s.see_yes(f"{k.solved} {t}", f"{k.failed} {t}", "right", who, t) for t in tasks]
        s.event(f"{who} {join_words(parts)}")
    a, b = s.some(people, 2)
    t, u = s.some(tasks, 2)
    s.ask_value("ability", a, what=f"{a}'s {k.ability}", unit=k.unit, floor=0)
    s.ask_rank("ability", b, who=b, group=k.solvers, lowest="lowest", highest="highest")
    s.ask_value("hardness", t, what=f"the {k.hardness} of {t}", unit=k.unit)
    s.ask_either(reference("hardness", t), reference("hardness", u), (t, u), "Which is harder, {}?")
    chance = f"sigmoid((ability['{a}'] - hardness['{t}']) * {slope})"
    s.ask_chance(chance, f"{a} {k.solves} {t} on another try")


def winners_curse(s: Sketch[Scoring]) -> None:
    """The best of several noisy scores was picked: its true level is lower than it looks."""
    k = s.skin
    count = s.entities(3, 6)
    names = s.people(count) if k.person else [f"{k.actor} {letter}" for letter in "ABCDEF"[:count]]
    who = s.set("entry", s.shuffled(names))
    s.setting(
        s.choose(
            (
                f"{s.place}, {join_words(who)} went through one {k.occasion} each",
                f"{join_words(who)} were compared {s.place} by a single {k.occasion} each",
            )
        )
    )
    mean, sd = _level(s, k.mean, k.sd)
    prior = s.rule(
        bell(s.rng, f"the {k.trait}", mean, sd, unit=k.unit, scope=f"from {k.actor} to {k.actor}")
    )
    noise = s.number(sd.value * 0.5, sd.value * 1.6, 1)
    luck = s.rule(f"a {k.score} misses the {k.trait} by chance, standard deviation {noise}")
    s.draw("level", f"normal(mean={mean.code}, sd={sd.code})", per="entry", unit=k.unit, says=prior)
    expr = f"normal(mean=level[entry], sd={noise.code})"
    s.draw("score", expr, per="entry", unit=k.unit, says=luck)
    s.draw("next_score", expr, per="entry", unit=k.unit)
    s.simulate()
    s.in_order = True
    order = sorted(who, key=lambda name: -s.value("score", name))
    best = order[0]
    close = s.value("score", order[1]) >= s.value("score", best, digits=0)
    digits = 1 if close else 0
    top = s.value("score", best, digits=digits)
    seen = s.see(f"{best} came out on top with {{}} {k.unit}", "score", best, digits=digits)
    rest = ", ".join(reference("score", name) for name in order[1:])
    lower = s.fact(f"max({rest}) < {top:g}", "all the others were lower")
    s.event(f"{seen}; {lower}")
    s.ask_value("level", best, what=f"the {k.trait} of {best}", unit=k.unit, floor=0)
    s.ask_value("next_score", best, what=f"the next {k.score} of {best}", unit=k.unit, floor=0)
    s.ask_rank("level", best, who=best, group=k.actors, lowest=k.least, highest=k.most)
    other = s.choose([name for name in who if name != best])
    s.ask_either(
        reference("level", best), reference("level", other), (best, other),
        f"{'Who' if k.person else 'Which'} is truly {k.more}, {{}}?",
    )  # fmt: skip
    s.ask_value("level", other, what=f"the {k.trait} of {other}", unit=k.unit, floor=0)


def grader_leniency(s: Sketch[Judging]) -> None:
    """Marks are quality plus the judge's leniency plus noise."""
    k = s.skin
    judges = s.set("judge", s.people(2))
    works = s.set("work", [f"{k.work} {letter}" for letter in "ABC"[: s.entities(2, 3)]])
    s.setting(f"{s.place}, {join_words(judges)} are {k.judges} and look at {k.works}")
    mean, sd = _level(s, k.mean, k.sd)
    quality = s.rule(bell(s.rng, f"the {k.quality} of {k.works}", mean, sd, unit=k.unit))
    shift = s.number(sd.value * 0.5, sd.value * 1.1, 1)
    lenient = s.rule(
        s.choose(
            (
                f"Each {k.judge} is lenient or strict by a personal amount,"
                f" on average 0, standard deviation {shift}",
                f"A personal leniency shifts all of one {k.judge}'s {k.mark}s"
                f" (mean 0, standard deviation {shift})",
            )
        )
    )
    noise = s.number(sd.value * 0.5, sd.value * 1.1, 1)
    scatter = s.rule(f"Beyond that a {k.mark} varies by {noise} (standard deviation)")
    s.draw(
        "quality", f"normal(mean={mean.code}, sd={sd.code})", per="work", unit=k.unit, says=quality
    )
    s.draw("lenient", f"normal(mean=0, sd={shift.code})", per="judge", unit=k.unit, says=lenient)
    s.draw(
        "mark",
        f"normal(mean=quality[work] + lenient[judge], sd={noise.code})",
        per=("judge", "work"),
        unit=k.unit,
        says=scatter,
    )
    s.simulate()
    left_out = s.choose([(j, w) for j in judges for w in works[1:]]) if s.maybe(0.5) else None
    for judge in judges:
        seen = [w for w in works if (judge, w) != left_out]
        parts = [s.see(f"{w} {{}}", "mark", judge, w) for w in seen]
        s.event(f"{judge} {k.gave} {join_words(parts)}")
    a, b = s.some(works, 2)
    judge, other = s.some(judges, 2)
    s.ask_value("quality", a, what=f"the {k.quality} of {a}", unit=k.unit, floor=0)
    s.ask_rank("quality", b, who=b, group=k.works, lowest="worst", highest="best")
    s.ask_either(
        reference("lenient", judge), reference("lenient", other), (judge, other),
        "Who is the more lenient, {}?",
    )  # fmt: skip
    s.ask_yes(f"lenient['{judge}'] > 0", f"Is {judge} more lenient than the average {k.judge}?")
    if left_out:
        what = f"the {k.mark} {left_out[0]} would give {left_out[1]}"
        s.ask_value("mark", *left_out, what=what, unit=k.unit)


MOTIFS = (
    Motif("tug_of_war", "A", Contest, tug_of_war),
    Motif("paired_ranking", "A", Contest, paired_ranking),
    Motif("finishing_orders", "A", Contest, finishing_orders),
    Motif("exam_response", "A", Trial, exam_response),
    Motif("regression_to_mean", "A", Scoring, regression_to_mean),
    Motif("winners_curse", "A", Scoring, winners_curse),
    Motif("grader_leniency", "A", Judging, grader_leniency),
)
