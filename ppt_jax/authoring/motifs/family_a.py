"""Family A, latent traits from performance: who is how good, seen through noisy results."""

from __future__ import annotations

from ppt_jax.authoring.language import join_words, ordinal
from ppt_jax.authoring.motif import Motif
from ppt_jax.authoring.sketch import Sketch, reference
from ppt_jax.authoring.skins.contests import Contest
from ppt_jax.authoring.skins.scorings import Scoring
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


def _strength(s: Sketch[Contest], node: str, per: str) -> tuple[Told, Told]:
    """Declares the normal trait of every contestant with its sentence."""
    k = s.skin
    mean, sd = s.number(*k.mean), s.number(*k.sd, step=1)
    scope = s.choose((f"across all {k.actors}", f"from one {k.actor} to another", "in this field"))
    says = s.rule(bell(s.rng, k.trait, mean, sd, unit=k.unit, scope=scope))
    s.draw(node, f"normal(mean={mean.code}, sd={sd.code})", per=per, unit=k.unit, says=says)
    return mean, sd


def _ask_strength(s: Sketch[Contest], node: str, people: list[str]) -> None:
    """Value, rank and comparison of two contestants."""
    k = s.skin
    a, b = s.some(people, 2)
    s.ask_value(node, a, what=f"{a}'s {k.trait}", unit=k.unit)
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
                f"{off.times()} someone {k.off} and reaches only {rest.of('the usual')}",
                f"On any day each has {off.chance()} of being the one who {k.off},"
                f" which leaves {rest.of('the usual')}",
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
    for number, (a, b) in enumerate(games, start=1):
        s.draw(
            f"game_{number}",
            f"yes(p=sigmoid((skill['{a}'] - skill['{b}']) * {slope}))",
            says=slope_says if number == 1 else "",
        )
    s.simulate()
    spans = [
        s.see_yes(f"{a} {k.beat} {b}", f"{b} {k.beat} {a}", f"game_{number}")
        for number, (a, b) in enumerate(games, start=1)
    ]
    _tell_results(s, spans)
    _ask_strength(s, "skill", people)
    a, b = s.some(people, 2)
    s.ask_chance(f"sigmoid((skill['{a}'] - skill['{b}']) * {slope})", f"{a} beats {b} next time")


def _tell_results(s: Sketch[Contest], spans: list[str]) -> None:
    """Puts results into sentences, one or two results each."""
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
    mean, sd = s.number(*k.mean), s.number(*k.sd, step=1)
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
    s.ask_value("level", what=f"the {k.trait} of {who}", unit=k.unit)
    s.ask_value("next_score", what=f"the next {k.score} of {who}", unit=k.unit)
    s.ask_rank("level", who=who, group=k.actors, lowest=k.least, highest=k.most)
    bar = s.number(mean.value + 0.3 * sd.value, mean.value + 0.8 * sd.value, 1)
    s.ask_yes(f"level > {bar.code}", f"Is the {k.trait} of {who} above {bar} {k.unit}?")


MOTIFS = (
    Motif("tug_of_war", "A", Contest, tug_of_war),
    Motif("paired_ranking", "A", Contest, paired_ranking),
    Motif("regression_to_mean", "A", Scoring, regression_to_mean),
)
