"""Family S, the published contests: sixteen motifs from one builder over the grid P x C x R.

Teams meet; what each member brings is a lasting strength times the form of the day, and a lead
decides softly. The motif fixes who plays with whom and the pattern of the results. Worlds are drawn
until one shows that pattern: a choice by what is observed in full, which tells nothing more about
what is hidden, so every posterior stays as it is and the drawn truth can be kept.

Source: Zhang, Jagadish, Lake and Griffiths (2026), arXiv 2606.09856.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from ppt_jax.authoring.language import count_word, join_words, ordinal
from ppt_jax.authoring.motif import Motif
from ppt_jax.authoring.priors import points
from ppt_jax.authoring.schedules import (
    GRID,
    Cell,
    Match,
    Team,
    meetings,
    motif_name,
    players_of,
    shows,
    shuffled_meetings,
)
from ppt_jax.authoring.sketch import Sketch, reference
from ppt_jax.authoring.skins.team_contests import TeamContest
from ppt_jax.authoring.wording import Told, bell

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
COLOURS = ("Blues", "Reds", "Greens", "Whites")
SIZES = (2, 9)
"""Smallest and largest team, as published; the config's number of entities limits the players."""
RERUNS = 8
"""Fresh forms of everybody that the chance of a new contest is averaged over."""
WORLDS = 256
"""Worlds drawn at once; the rarest pattern, six losses in a row, is seen in about one of 25."""


@dataclasses.dataclass(frozen=True)
class Fixture:
    """Who meets whom, with names.

    Attributes:
      people: names by player number; the first is the focal player.
      days: labels of the matches.
      matches: teams of each match, the focal player's first.
      crews: a name for each group of players that stays together, where teams are large.
    """

    people: tuple[str, ...]
    days: tuple[str, ...]
    matches: tuple[Match, ...]
    crews: Mapping[Team, str]

    def names(self, team: Team) -> tuple[str, ...]:
        """Names of a team's players."""
        return tuple(self.people[player] for player in team)

    def told(self, team: Team) -> str:
        """A team in words: its names, or the names of its groups."""
        if team in self.crews:
            return f"the {self.crews[team]}"
        if team[0] == 0 and team[1:] in self.crews:
            return f"{self.people[0]} with the {self.crews[team[1:]]}"
        return join_words(self.names(team))


def _sports(s: Sketch[TeamContest], cell: Cell) -> None:
    """Strength, form of the day and team results in the pattern of the motif."""
    k = s.skin
    fixture = _fixture(s, cell)
    size = len(fixture.matches[0][0])
    s.set("player", fixture.people)
    s.set("day", fixture.days)
    s.set("rerun", [f"new {k.meet} {number + 1}" for number in range(RERUNS)])
    scene = _set_the_scene(s, fixture)
    levels = _strength(s)
    base, whole = "strength[player]", f"the {k.trait}"
    room = s.knobs.length != "short" or levels.sorts == 1
    if room and s.maybe(0.3):
        base, whole = _second(s, levels), "the sum"
    _form(s, levels, whole)
    for day, prefix in (("day", ""), ("rerun", "next_")):
        expr = f"{base} * {prefix}effort[player, {day}]"
        s.let(f"{prefix}brought", expr, per=("player", day), unit=k.unit)
    scale = levels.middle.value * (size if k.joint == "total" else 1)
    slope, curve = _curve(s, scale)
    luck = room and whole != "the sum" and s.maybe(0.4)
    if luck:
        _luck(s, scale)
    contests = _contests(s, fixture)
    for tag, teams in zip(("team", "duel"), contests):
        for place, team in enumerate(teams, start=1):
            parts = [f"next_brought['{name}', rerun]" for name in fixture.names(team)]
            s.let(f"{tag}_{place}", _joint(parts, k.joint), per="rerun", unit=k.unit)
        lead = f"{tag}_2[rerun] - {tag}_1[rerun]" + (" + next_luck[rerun]" if luck else "")
        s.let(f"{tag}_chance", f"sigmoid(({lead}) * {slope})", per="rerun")
    for number, (day, teams) in enumerate(zip(fixture.days, fixture.matches), start=1):
        for side, team in zip(("own", "other"), teams):
            parts = [reference("brought", name, day) for name in fixture.names(team)]
            s.let(f"{side}_{number}", _joint(parts, k.joint), unit=k.unit, says=scene)
        lead = f"own_{number} - other_{number}" + (f" + luck['{day}']" if luck else "")
        s.draw(f"match_{number}", f"yes(p=sigmoid(({lead}) * {slope}))", says=curve)
    numbers = range(1, len(fixture.matches) + 1)
    s.simulate(
        lambda prior: shows(cell, np.array([prior[f"match_{n}"] for n in numbers])), draws=WORLDS
    )
    _tell(s, fixture)
    _ask(s, fixture, contests, luck)


# ------------------------------------------------------------------------------- who meets whom


def _fixture(s: Sketch[TeamContest], cell: Cell) -> Fixture:
    """Teams as large as the config's number of entities allows, in fixed groups or shuffled."""
    _, partners, stay = cell
    count = s.observations(3, {"short": 4, "medium": 6, "long": len(DAYS)}[s.knobs.length])
    shuffled = stay == 0 and s.maybe(0.6)

    def players(size: int) -> int:
        if shuffled:
            return 2 * size + (1 - partners)
        return players_of(meetings(cell, size, count))

    wanted = s.entities(players(SIZES[0]), players(SIZES[1]))
    size = max(n for n in range(SIZES[0], SIZES[1] + 1) if players(n) <= wanted)
    if shuffled:
        matches = shuffled_meetings(cell, size, count, s.rng)
    else:
        matches = meetings(cell, size, count)
    people = s.people(players_of(matches))
    days = DAYS[:count] if s.maybe() else [ordinal(place) for place in range(1, count + 1)]
    crews: dict[Team, str] = {}
    if size >= 3 and not shuffled:
        groups = dict.fromkeys(
            group for own, other in matches for group in (own[1:] if partners else own, other)
        )
        crews = dict(zip(groups, s.shuffled(COLOURS)))
    return Fixture(tuple(people), tuple(days), matches, crews)


def _set_the_scene(s: Sketch[TeamContest], fixture: Fixture) -> str:
    """Place, size of teams and, where teams have names, who belongs to them."""
    k, size = s.skin, len(fixture.matches[0][0])
    # A number that is told is one of the program: an average divides by it.
    told = f" of {count_word(size)}" if size == 2 or k.joint == "average" else ""
    says = s.setting(
        s.choose(
            (
                f"{s.place}, {k.actors} meet in {k.side}s{told}",
                f"a {k.meet} {s.place} is between two {k.side}s{told or ' of'} {k.actors}",
            )
        )
    )
    if fixture.crews:
        crews = [f"the {c} are {join_words(fixture.names(t))}" for t, c in fixture.crews.items()]
        s.setting("; ".join(crews))
    return says


def _contests(s: Sketch[TeamContest], fixture: Fixture) -> tuple[tuple[Team, Team], ...]:
    """Two new contests: of whole teams, and of one player against another; sides in any order."""
    own, _ = s.choose(fixture.matches)
    _, other = s.choose(fixture.matches)
    if set(own) & set(other):  # teams were shuffled
        pool = s.shuffled(range(1, len(fixture.people)))
        own, other = (0, *sorted(pool[: len(own) - 1])), tuple(sorted(pool[len(own) - 1 :]))
    first, second = s.some(range(len(fixture.people)), 2)
    if s.maybe():
        first, second = 0, s.choose(other)
    sides: list[list[Team]] = [[own, other], [(first,), (second,)]]
    return tuple((one, two) for one, two in (s.shuffled(pair) for pair in sides))


def _joint(parts: Sequence[str], joint: str) -> str:
    """Formula of what a side brings together."""
    if len(parts) == 1:
        return parts[0]
    if joint == "least":
        return f"min({', '.join(parts)})"
    total = " + ".join(parts)
    return total if joint == "total" else f"({total}) / {len(parts)}"


# ------------------------------------------------------------------------------------- program


def by_member(of: str, codes: Mapping[str, str]) -> str:
    """A formula that depends on which member a pick took.

    Example:
      >>> by_member("kind[player]", {"novices": "80", "veterans": "140"})
      "80 if kind[player] == 'novices' else 140"
    """
    *first, (_, last) = codes.items()
    return " else ".join([*(f"{code} if {of} == '{name}'" for name, code in first), last])


def form_chances(
    level: str, *, strong: str, weak: str, often: str, seldom: str, middle: str
) -> tuple[str, str]:
    """Chances of a good and of a bad day, which depend on the strength as published.

    Args:
      level: formula of the strength.
      strong, weak: above and below these the chances differ.
      often: of a good day of the strong and a bad day of the weak.
      seldom: the other way round.
      middle: of either in between.

    Example:
      >>> form_chances("x", strong="120", weak="80", often="0.8", seldom="0.05", middle="0.2")[0]
      '0.8 if x > 120 else 0.05 if x < 80 else 0.2'
    """
    good = f"{often} if {level} > {strong} else {seldom} if {level} < {weak} else {middle}"
    bad = f"{seldom} if {level} > {strong} else {often} if {level} < {weak} else {middle}"
    return good, bad


@dataclasses.dataclass(frozen=True)
class Levels:
    """What strengths are like.

    Attributes:
      weak, strong: limits below and above which form is another.
      middle: an average strength.
      sorts: kinds of players.
    """

    weak: Told
    strong: Told
    middle: Told
    sorts: int


def _strength(s: Sketch[TeamContest]) -> Levels:
    """Declares the lasting strength: a mixture of three or two sorts, or a bell."""
    k = s.skin
    style = s.choose(("three", "three", "two", "one"))
    if style == "three" and k.middle[0] <= 100 <= k.middle[1] and s.maybe(0.3):
        low, middle, high, sd = (s.number(x, x, 1) for x in (80, 100, 140, 10))  # as published
    else:
        middle = s.number(*k.middle, step=5)
        low = s.number(0.7 * middle.value, 0.9 * middle.value, 1)
        high = s.number(1.2 * middle.value, 1.5 * middle.value, 1)
        sd = s.number(0.08 * middle.value, (0.2 if style == "one" else 0.13) * middle.value, 1)
    weak = s.number(low.value, (low.value + middle.value) / 2, 1)
    strong = s.number(1.1 * middle.value, (middle.value + high.value) / 2, 1)
    if style == "one":
        says = s.rule(bell(s.rng, k.trait, middle, sd, unit=k.unit))
        expr = f"normal(mean={middle.code}, sd={sd.code})"
        s.draw("strength", expr, per="player", unit=k.unit, says=says)
        return Levels(weak, strong, middle, 1)
    lower, usual, upper = k.sorts
    if style == "three":
        means = {lower: low, usual: middle, upper: high}
        pick = "pick(sort)"
        says = s.rule(
            s.choose(
                (
                    f"{k.trait} averages {low} {k.unit} among {lower}, {middle} among {usual} and"
                    f" {high} among {upper} (standard deviation {sd}), all equally common",
                    f"{lower}, {usual} and {upper} are equally common, with an average {k.trait}"
                    f" of {low}, {middle} and {high} {k.unit} (standard deviation {sd} in each)",
                )
            )
        )
    else:
        means = {lower: low, upper: high}
        share = s.chance(0.25, 0.6)
        pick = f"pick(sort, weights=[1-{share.code}, {share.code}])"
        says = s.rule(
            f"a {k.actor} is among the {upper} with {share.chance()}, else among the {lower};"
            f" {k.trait} averages {high} and {low} {k.unit} there (standard deviation {sd})"
        )
    s.set("sort", list(means))
    s.draw("kind", pick, per="player", says=says)
    mean = by_member("kind[player]", {sort: told.code for sort, told in means.items()})
    expr = f"normal(mean={mean}, sd={sd.code})"
    s.draw("strength", expr, per="player", unit=k.unit, says=says)
    return Levels(weak, strong, middle, len(means))


def _second(s: Sketch[TeamContest], levels: Levels) -> str:
    """Declares a second lasting trait that adds to the strength; returns the formula of both."""
    k, middle = s.skin, levels.middle.value
    mean, sd = s.number(0.2 * middle, 0.4 * middle, 1), s.number(0.05 * middle, 0.12 * middle, 1)
    says = s.rule(f"{k.second} adds {mean} {k.unit} on average, standard deviation {sd}")
    expr = f"normal(mean={mean.code}, sd={sd.code})"
    s.draw("second", expr, per="player", unit=k.unit, says=says)
    return "(strength[player] + second[player])"


def _form(s: Sketch[TeamContest], levels: Levels, whole: str) -> None:
    """Declares the form of every player on every day, and in every rerun of a new contest."""
    bad, usual, good = s.skin.forms
    three = s.maybe(0.7)
    shine, flop, often = _form_rule(s, levels, three)
    s.let("shine", shine, per="player", says=often)
    chances = {bad: "1-shine[player]", good: "shine[player]"}
    if three:
        s.let("flop", flop, per="player", says=often)
        middle = "1-flop[player]-shine[player]"
        chances = {bad: "flop[player]", usual: middle, good: "shine[player]"}
    effort, brings = _effort(s, list(chances), whole)
    # In any order, so that the place of an option says nothing about its chance.
    weights = [chances[form] for form in s.set("form", s.shuffled(list(chances)))]
    for day, prefix in (("day", ""), ("rerun", "next_")):
        state, per = f"{prefix}state", ("player", day)
        s.draw(state, f"pick(form, weights=[{', '.join(weights)}])", per=per, says=often)
        expr = effort.format(state=f"{state}[player, {day}]")
        s.draw(f"{prefix}effort", expr, per=per, says=brings)


def _form_rule(s: Sketch[TeamContest], levels: Levels, three: bool) -> tuple[str, str, str]:
    """Chances of a good and of a bad day, with their words: for all, by a limit, as published."""
    k, weak, strong = s.skin, levels.weak, levels.strong
    bad, _, good = k.forms
    if three and s.maybe():
        often, seldom = s.chance(0.55, 0.8), s.chance(0.03, 0.15)
        between = s.chance(0.15, 0.3)
        says = s.rule(
            s.choose(
                (
                    f"above {strong} {k.unit} a {k.actor} is {good} {often.times()} and {bad}"
                    f" {seldom.times()}, below {weak} the reverse, in between either"
                    f" {between.times()}",
                    f"{k.actors} above {strong} {k.unit} are {good} {often.times()}, {bad}"
                    f" {seldom.times()}; below {weak} conversely; in between either"
                    f" {between.times()}",
                )
            )
        )
        codes = {"often": often.code, "seldom": seldom.code, "middle": between.code}
        limits = {"strong": strong.code, "weak": weak.code}
        return *form_chances("strength[player]", **limits, **codes), says
    often, bads = s.chance(0.4, 0.75), s.chance(0.05, 0.2)
    if s.maybe():
        seldom = s.chance(0.1, 0.35)
        shine = f"{often.code} if strength[player] > {strong.code} else {seldom.code}"
        tail = f"; anyone is {bad} {bads.times()}" if three else ""
        says = s.rule(
            f"{k.actors} above {strong} {k.unit} are {good} {often.times()}, the others"
            f" {seldom.times()}{tail}"
        )
    else:
        shine = often.code
        tail = f" and {bad} {bads.times()}" if three else ""
        says = s.rule(f"on any occasion a {k.actor} is {good} {often.times()}{tail}")
    return shine, bads.code, says


def _effort(s: Sketch[TeamContest], forms: Sequence[str], whole: str) -> tuple[str, str]:
    """What comes out of the strength in each form: a bell or a range; formula and words.

    Neither piles up at an end, as a clipped bell would.
    """
    three, forms_told = len(forms) == 3, join_words(forms, "or")

    def percent(low: float, high: float) -> Told:
        return s.chance(low, high, form="percent")

    if s.maybe(0.6):
        means = [percent(0.25, 0.4), percent(0.55, 0.65), percent(0.8, 0.95)]
        means = means if three else [percent(0.4, 0.6), means[2]]
        sd = points(s, 5, 10)
        says = s.rule(
            f"{forms_told}, a {s.skin.actor} brings {join_words([str(m) for m in means], 'or')} of"
            f" {whole}, standard deviation {sd}"
        )
        mean = by_member("{state}", dict(zip(forms, (m.code for m in means))))
        return f"normal(mean={mean}, sd={sd.code})", says
    cuts = [percent(0.15, 0.25), percent(0.4, 0.5), percent(0.65, 0.75), percent(0.95, 0.95)]
    cuts = cuts if three else [cuts[0], cuts[2], cuts[3]]
    ranges = [f"{low} to {high}" for low, high in itertools.pairwise(cuts)]
    says = s.rule(
        f"{forms_told}, a {s.skin.actor} brings {join_words(ranges, 'or')} of {whole}, any value"
        " within equally likely"
    )
    low = by_member("{state}", dict(zip(forms, (cut.code for cut in cuts))))
    high = by_member("{state}", dict(zip(forms, (cut.code for cut in cuts[1:]))))
    return f"uniform(low={low}, high={high})", says


def _curve(s: Sketch[TeamContest], scale: float) -> tuple[str, str]:
    """How a lead decides: the slope of the logistic curve, and its words."""
    k = s.skin
    gap, odds = s.number(0.08 * scale, 0.2 * scale, 1), s.chance(0.75, 0.95)
    counts = f"the {k.side} {'minimum' if k.joint == 'least' else k.joint} counts"
    says = s.rule(
        s.choose(
            (
                f"{counts}, and a lead of {gap} {k.unit} is enough {odds.times()} (logistic curve)",
                f"{counts}; {gap} {k.unit} more give {odds.chance()} (logistic curve)",
            )
        )
    )
    return f"log({odds.code}/(1-{odds.code}))/{gap.code}", says


def _luck(s: Sketch[TeamContest], scale: float) -> None:
    """Declares what shifts the lead by chance, once a contest."""
    k = s.skin
    sd = s.number(0.05 * scale, 0.15 * scale, 1)
    says = s.rule(f"{k.luck} shifts the lead by chance, standard deviation {sd} {k.unit}")
    s.draw("luck", f"normal(mean=0, sd={sd.code})", per="day", unit=k.unit, says=says)
    s.draw("next_luck", f"normal(mean=0, sd={sd.code})", per="rerun", unit=k.unit)


# ---------------------------------------------------------------------------- results and asks


def _when(s: Sketch[TeamContest], days: Sequence[str]) -> str:
    return (
        f"on {join_words(days)}" if days[0] in DAYS else f"in the {join_words(days)} {s.skin.meet}"
    )


def _tell(s: Sketch[TeamContest], fixture: Fixture) -> None:
    """The results, one or two a sentence, seen from either side; equal ones are told together."""
    k = s.skin
    together: dict[tuple[Match, float], list[int]] = {}
    for number, match in enumerate(fixture.matches, start=1):
        outcome = s.value(f"match_{number}") if s.maybe(0.8) else -float(number)
        together.setdefault((match, outcome), []).append(number)
    spans = []
    for (own, other), numbers in ((match, found) for (match, _), found in together.items()):
        us, them = fixture.told(own), fixture.told(other)
        won = s.choose((f"{us} {k.won} {them}", f"{them} {k.lost} {us}"))
        lost = s.choose((f"{them} {k.won} {us}", f"{us} {k.lost} {them}"))
        when = _when(s, [fixture.days[number - 1] for number in numbers])
        told = [s.see_yes(f"{when} {won}", f"{when} {lost}", f"match_{n}") for n in numbers]
        spans.append(told[0])
    s.in_order = s.maybe(0.7)
    step = s.choose((1, 2))
    for start in range(0, len(spans), step):
        s.event(", and ".join(spans[start : start + step]))


def _ask(
    s: Sketch[TeamContest], fixture: Fixture, contests: tuple[tuple[Team, Team], ...], luck: bool
) -> None:
    """The published questions (rank, form, two new contests), and some more."""
    k, people = s.skin, fixture.people
    focal, other = people[0], s.choose(people[1:])
    s.ask_rank("strength", focal, who=focal, group=k.actors, lowest=k.least, highest=k.most)
    day = s.choose(fixture.days)
    what = f"the share of full strength that {focal} brought {_when(s, [day])} (1 is all)"
    s.ask_value("effort", focal, day, what=what, floor=0)
    for tag, teams in zip(("team", "duel"), contests):
        one, two = (fixture.told(team) for team in teams)
        clause = s.choose(
            (
                f"{two} will {k.win} {one} in a new {k.meet}",
                f"in a new {k.meet} of {one} against {two}, {two} will {k.win} {one}",
            )
        )
        s.ask_chance(f"average({tag}_chance[rerun], rerun)", clause)
    s.ask_value("strength", focal, what=f"{focal}'s {k.trait}", unit=k.unit, floor=0)
    s.ask_either(
        reference("strength", focal), reference("strength", other), (focal, other),
        f"Who has the higher {k.trait}, {{}}?",
    )  # fmt: skip
    who = s.choose((focal, other))
    matches = list(zip(fixture.days, fixture.matches))
    day = s.choose([d for d, teams in matches if any(who in fixture.names(t) for t in teams)])
    s.ask_which("state", who, day, of="form", question=f"How was {who} {_when(s, [day])}?")
    if luck:
        day, (own, _) = s.choose(matches)
        question = f"Did {k.luck} help {fixture.told(own)} {_when(s, [day])}?"
        s.ask_yes(f"luck['{day}'] > 0", question)


MOTIFS = tuple(
    Motif(motif_name(cell), "S", TeamContest, functools.partial(_sports, cell=cell))
    for cell in GRID
)
