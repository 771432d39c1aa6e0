"""Family G, minds: goals, likings and attitudes, read from what somebody does."""

from __future__ import annotations

from ppt_jax.authoring.language import count_word, join_words, ordinal
from ppt_jax.authoring.motif import Motif
from ppt_jax.authoring.sketch import Sketch, reference
from ppt_jax.authoring.skins.auctions import Auction
from ppt_jax.authoring.skins.rivals import Rival
from ppt_jax.authoring.skins.searches import Search
from ppt_jax.authoring.skins.tastes import Taste
from ppt_jax.authoring.skins.walks import Walk
from ppt_jax.authoring.wording import bell

BEARINGS = ("north", "east", "south", "west")


def preference(s: Sketch[Taste]) -> None:
    """Choices between pairs follow a logistic curve in the difference of hidden likings."""
    k = s.skin
    who = s.people(1)[0]
    options = s.set("option", s.some(k.options, s.entities(3, 4)))
    listed = join_words([f"the {option}" for option in options])
    s.setting(
        s.choose(
            (
                f"{s.place}, {who} keeps choosing between {listed}",
                f"{who} is a regular {s.place} and knows {listed}",
            )
        )
    )
    mean, sd = s.typical(40, 60, 5), s.typical(8, 14, 1)
    liking = s.rule(
        bell(
            s.rng,
            f"liking for {k.things}",
            mean,
            sd,
            unit="points",
            scope=f"from {k.thing} to {k.thing}",
        )
    )
    s.draw(
        "liking",
        f"normal(mean={mean.code}, sd={sd.code})",
        per="option",
        unit="points",
        says=liking,
    )
    gap, odds = s.number(5, 15, 5), s.chance(0.7, 0.9)
    slope = f"log({odds.code}/(1-{odds.code}))/{gap.code}"
    curve = s.rule(
        s.choose(
            (
                f"A {k.thing} liked by {gap} points more wins {odds.times()}, on a logistic curve",
                f"Each choice is a little random: {gap} points more give {odds.chance()}"
                " of being chosen (logistic curve)",
            )
        )
    )
    pairs = [s.some(options, 2) for _ in range(s.observations(2, 5))]
    for place, (a, b) in enumerate(pairs, start=1):
        chance = f"sigmoid((liking['{a}'] - liking['{b}']) * {slope})"
        s.draw(f"choice_{place}", f"yes(p={chance})", says=curve)
    s.simulate()
    for place, (a, b) in enumerate(pairs, start=1):
        yes = f"{who} {k.chose} the {a} {k.over} the {b}"
        s.event(s.see_yes(yes, f"{who} {k.chose} the {b} {k.over} the {a}", f"choice_{place}"))
    used = [option for option in options if any(option in pair for pair in pairs)]
    a, b = s.some(used, 2)
    s.ask_value("liking", a, what=f"{who}'s liking for the {a}", unit="points", floor=0)
    s.ask_rank(
        "liking", b, who=f"the {b}", group=k.things, lowest="least liked", highest="best liked"
    )
    s.ask_either(
        reference("liking", a),
        reference("liking", b),
        (a, b),
        f"Which does {who} like more: {{}}?",
    )
    s.ask_chance(
        f"sigmoid((liking['{a}'] - liking['{b}']) * {slope})",
        f"{who} {k.chooses} the {a} when offered only it and the {b}",
    )


def friend_or_rival(s: Sketch[Rival]) -> None:
    """A hidden attitude sets the chance to help; repeated play reveals it."""
    k = s.skin
    who, other = s.people(2)
    kinds = s.set(
        "attitude", s.shuffled(["friend", "rival", "stranger"][: 2 if s.maybe(0.5) else 3])
    )
    s.setting(
        s.choose(
            (
                f"{s.place}, {other} cannot tell what {who} is: a {' or a '.join(kinds)}",
                f"{who} and {other} meet {s.place}; {who} may be a {' or a '.join(kinds)}",
            )
        )
    )
    prior = s.chance(0.3, 0.6) if len(kinds) == 2 else s.chance(0.2, 0.4)
    weights = {"friend": prior.code}
    if len(kinds) == 2:
        weights["rival"] = f"1-{prior.code}"
        says = s.rule(f"beforehand there is {prior.chance()} of a friend, otherwise it is a rival")
    else:
        weights["rival"] = weights["stranger"] = f"(1-{prior.code})/2"
        says = s.rule(
            f"beforehand there is {prior.chance()} of a friend, and what is left is shared equally"
            " by rival and stranger"
        )
    listed = ", ".join(weights[kind] for kind in kinds)
    s.draw("attitude_now", f"pick(attitude, weights=[{listed}])", says=says)
    chances = {
        "friend": s.chance(0.7, 0.95),
        "rival": s.chance(0.05, 0.3),
        "stranger": s.chance(0.35, 0.6),
    }
    parts = [f"{chances[kind].times()} if a {kind}" for kind in kinds]
    helps = k.helps.format(other=other)
    rule = s.rule(f"On any {k.occasion}, independently, {who} {helps} {join_words(parts)}")
    last, middle = chances[kinds[-1]].code, kinds[:-1]
    formula = last
    for kind in reversed(middle):
        formula = f"{chances[kind].code} if attitude_now == '{kind}' else ({formula})"
    s.let("helpful", formula, says=rule)
    times = s.set("time", [ordinal(place) for place in range(1, s.observations(1, 5) + 1)])
    s.draw("helped", "yes(p=helpful)", per="time")
    s.simulate()
    s.in_order = True
    for time in times:
        yes, no = (text.format(other=other) for text in (k.helped, k.refused))
        where = f"on the {time} {k.occasion} {who}"
        s.event(s.see_yes(f"{where} {yes}", f"{where} {no}", "helped", time))
    s.ask_which("attitude_now", of="attitude", question=f"What is {who} to {other}?")
    s.ask_chance("helpful", f"{who} {helps} on the next {k.occasion}")
    s.ask_yes("attitude_now == 'friend'", f"Is {who} a friend of {other}?")
    s.ask_yes("attitude_now == 'rival'", f"Is {who} a rival of {other}?")


def bid_and_worth(s: Sketch[Auction]) -> None:
    """A bid is a hidden part of a hidden worth."""
    k = s.skin
    people = s.set("bidder", s.people(s.entities(1, 3)))
    plural = len(people) > 1
    s.setting(
        s.choose(
            (
                f"{s.place}, {k.item} is on offer and {join_words(people)}"
                f" {'look' if plural else 'looks'} at it",
                f"{join_words(people)} want{'' if plural else 's'} {k.item} {s.place}",
            )
        )
    )
    step = 10 if k.worth[0] < 200 else 50
    median, factor = s.number(*k.worth, step), s.choose(("1.3", "1.4", "1.5", "1.7"))
    worth = s.rule(
        s.choose(
            (
                f"What it is worth to someone is around {median} {k.unit} (the median), give or"
                f" take a factor of {factor} (one standard deviation of the logarithm)",
                f"Personal worth follows a log-normal curve with median {median} {k.unit};"
                f" one standard deviation is a factor of {factor}",
            )
        )
    )
    s.draw(
        "worth",
        f"lognormal(median={median.code}, spread=log({factor}))",
        per="bidder",
        unit=k.unit,
        says=worth,
    )
    low = s.number(0.4, 0.7, 0.05)
    high = s.number(low.value + 0.15, min(0.95, low.value + 0.35), 0.05)
    ends = [f"{round(told.value * 100)} percent" for told in (low, high)]
    shade = s.rule(
        f"{k.bid}s are a fixed part of worth, the same for all here: from {ends[0]} to {ends[1]},"
        " each equally likely"
    )
    s.draw("part", f"uniform(low={low.code}, high={high.code})", says=shade)
    noise = s.choose(("1.2", "1.25", "1.3"))
    rounding = s.rule(f"small change and moods blur it by a factor of {noise} (one such deviation)")
    s.draw(
        "bid", f"lognormal(median=worth[bidder] * part, spread=log({noise}))", per="bidder",
        unit=k.unit, says=rounding,
    )  # fmt: skip
    s.simulate()
    for who in people:
        s.event(
            s.see(
                f"{who} made {'an' if k.bid == 'offer' else 'a'} {k.bid} of {{}} {k.unit}",
                "bid",
                who,
            )
        )
    who = s.choose(people)
    s.ask_value("worth", who, what=f"the worth of {k.item} to {who}", unit=k.unit, floor=0)
    s.ask_rank("worth", who, who=who, group="bidders", lowest="least keen", highest="keenest")
    price = s.number(median.value * 0.8, median.value * 1.6, step)
    s.ask_yes(
        f"worth['{who}'] > {price.code}", f"Is {k.item} worth more than {price} {k.unit} to {who}?"
    )
    if plural:
        a, b = s.some(people, 2)
        s.ask_either(
            reference("worth", a),
            reference("worth", b),
            (a, b),
            f"To whom is {k.item} worth more, {{}}?",
        )


def _by_goal(goals: list[str], values: list[int]) -> str:
    """A formula that looks a coordinate up by the goal; below 0 as a difference from it."""
    codes = [str(value) if value >= 0 else f"(0 - {-value})" for value in values]
    formula = codes[-1]
    for goal, code in reversed(list(zip(goals[:-1], codes[:-1], strict=True))):
        formula = f"{code} if aim == {goal!r} else ({formula})"
    return formula


def _tell_goals(s: Sketch[Walk], steps: int) -> tuple[list[str], int]:
    """Declares the goal and where it lies, out of reach of `steps` steps; goals, farthest way."""
    k = s.skin
    goals = s.set("goal", s.some(k.goals, s.entities(2, 4)))
    lattice = [(x, y) for x in range(-4, 5) for y in range(-4, 5)]
    spots: list[tuple[int, int]] = []
    for x, y in s.shuffled(lattice):
        apart = all(abs(x - a) + abs(y - b) > 3 for a, b in spots)
        if steps < abs(x) + abs(y) < steps + 4 and apart and len(spots) < len(goals):
            spots.append((x, y))
    told: list[str] = []
    for goal, (x, y) in zip(goals, spots, strict=True):
        ways = ((x, "east" if x > 0 else "west"), (y, "north" if y > 0 else "south"))
        parts = [
            f"{abs(by)} {k.step if by in (1, -1) else k.steps} {way}" for by, way in ways if by
        ]
        told.append(f"the {goal}{'' if told else ' lies'} {' and '.join(parts)}")
    says = s.rule(f"Seen from {k.start}, {join_words(told)}")
    if s.maybe(0.6):
        prior = s.rule(f"Beforehand these {count_word(len(goals))} goals are equally likely")
        s.draw("aim", "pick(goal)", says=prior)
    else:
        top, rest = s.chance(0.4, 0.7), len(goals) - 1
        other = (
            f"the {goals[1]}"
            if rest == 1
            else f"one of the other {count_word(rest)}, equally likely"
        )
        prior = s.rule(
            f"There is {top.chance()} that the goal is the {goals[0]}, else it is {other}"
        )
        weights = ", ".join([top.code] + [f"(1-{top.code})/{rest}"] * rest)
        s.draw("aim", f"pick(goal, weights=[{weights}])", says=prior)
    s.let("goal_x", _by_goal(goals, [x for x, _ in spots]), says=says)
    s.let("goal_y", _by_goal(goals, [y for _, y in spots]), says=says)
    return goals, max(abs(x) + abs(y) for x, y in spots)


def _tell_pull(s: Sketch[Walk]) -> bool:
    """Declares how much likelier a step towards the goal is; whether that is uncertain."""
    k = s.skin
    law = (
        f"At every {k.cross}, any of the directions {join_words(BEARINGS)} that leads closer to the"
        " goal is {} times as likely as any that leads away"
    )
    if s.maybe(0.6):
        pull = s.number(2, 8, 1)
        s.let("pull", pull.code, says=s.rule(law.format(pull)))
        return False
    calm, keen, odds = s.number(1.5, 2.5, 0.5), s.number(5, 12, 1), s.chance(0.3, 0.7)
    says = s.rule(f"There is {odds.chance()} that {k.walker} is {k.keen}, otherwise {k.calm}")
    s.draw("keen", f"yes(p={odds.code})", says=says)
    says = s.rule(law.format(f"{keen} times (if {k.keen}) or {calm}"))
    s.let("pull", f"{keen.code} if keen else {calm.code}", says=says)
    return True


def _lures(x: str, y: str) -> list[str]:
    """Weights of the four bearings at a place: `pull` where one leads closer to the goal."""
    closer = (f"{y} < goal_y", f"{x} < goal_x", f"{y} > goal_y", f"{x} > goal_x")
    return [f"(pull if {test} else 1)" for test in closer]


def goal_from_path(s: Sketch[Walk]) -> None:
    """Steps that mostly lead closer to a hidden goal: what the first ones tell about it."""
    k = s.skin
    turns = [ordinal(n) for n in range(1, s.observations(2, 3) + 1)]
    s.setting(
        s.choose(
            (
                f"{s.place}, {k.walker} sets out from {k.start}, {k.step} by {k.step}, and nobody"
                " else knows where to",
                f"{s.place}, {k.walker} moves {k.step} by {k.step} from {k.start} to a goal that"
                " others can only guess",
            )
        )
    )
    goals, far = _tell_goals(s, len(turns))
    s.set("bearing", BEARINGS)
    uncertain = _tell_pull(s)
    x, y = "0", "0"
    for number in range(len(turns)):
        step = f"step_{number}"
        s.draw(step, f"pick(bearing, weights=[{', '.join(_lures(x, y))}])")
        s.let(f"x_{number}", f"{x} + ({step} == 'east') - ({step} == 'west')")
        s.let(f"y_{number}", f"{y} + ({step} == 'north') - ({step} == 'south')")
        x, y = f"x_{number}", f"y_{number}"
    lures, whither = _lures(x, y), s.maybe()
    if whither:
        s.draw("next_step", f"pick(bearing, weights=[{', '.join(lures)}])")
    s.let("left", f"abs(goal_x - {x}) + abs(goal_y - {y})")
    s.simulate()
    s.in_order = True
    spans = [
        s.see_pick(
            f"the {turn} move led {{}}" if number == 0 else f"the {turn} {{}}",
            f"step_{number}",
            "bearing",
        )
        for number, turn in enumerate(turns)
    ]
    s.event(join_words(spans))
    goal = s.choose(goals)
    s.ask_which("aim", of="goal", question=f"Where is {k.walker} going?")
    s.ask_yes(f"aim == {goal!r}", f"Is the {goal} the goal?")
    if whither:
        s.ask_which("next_step", of="bearing", question="Which way does the next move lead?")
    else:
        lure, way = s.choose(list(zip(lures, BEARINGS, strict=True)))
        s.ask_chance(f"{lure} / ({' + '.join(lures)})", f"the next move leads {way}")
    s.ask_value(
        "left", what=f"the length of the shortest way from here to the goal, in {k.steps}",
        low=0, high=far + len(turns),
    )  # fmt: skip
    if uncertain:
        s.ask_yes("keen", f"Is {k.walker} {k.keen}?")


def who_knew(s: Sketch[Search]) -> None:
    """People act on what they believe: who points to the old place has not seen the move."""
    k = s.skin
    places = s.set("place", s.some(k.places, s.entities(2, 3)))
    old, new = s.some(places, 2)
    people = s.set("person", s.people(s.observations(1, 3)))
    rest = join_words([f"the {place}" for place in places if place != old], "or")
    s.setting(
        f"{s.place}, all knew that {k.thing} was {k.preposition} the {old}, not {k.preposition}"
        f" {rest}"
    )
    unsure = s.maybe(0.4)
    moved = ""
    if unsure:
        odds = s.chance(0.4, 0.8)
        says = s.rule(
            f"There is {odds.chance()} that the {k.keeper} moved it to the {new} last night"
        )
        s.draw("moved", f"yes(p={odds.code})", says=says)
        moved = " and moved"
    else:
        s.rule(f"Last night the {k.keeper} moved it to the {new}")
    there = s.chance(0.25, 0.7)
    each = f"Each of {join_words(people)}, independently," if len(people) > 1 else people[0]
    says = s.rule(
        f"{each} had {there.chance()} of being there last night; those who were there know what was"
        " done, the others think that it was left alone"
    )
    s.draw("there", f"yes(p={there.code})", per="person", says=says)
    aware = "there[person]"
    if len(people) > 1 and s.maybe():
        teller, hearer = s.some(people, 2)
        tells = s.chance(0.3, 0.8)
        says = s.rule(f"If {teller} was there, {hearer} heard it all from {teller} {tells.times()}")
        s.draw("heard", f"yes(p={tells.code} if {reference('there', teller)} else 0)", says=says)
        aware = f"there[person] or person == {hearer!r} and heard"
    s.let("aware", aware, per="person")
    sure, others = s.chance(0.7, 0.95), len(places) - 1
    rest = (
        "the other" if others == 1 else f"one of the other {count_word(others)}, all equally likely"
    )
    law = s.rule(
        "Whoever points to it, or sets off for it, picks the place where they think it is"
        f" {sure.times()}, otherwise {rest}"
    )
    wrong = f"(1-{sure.code})/{others}"
    at = {place: f"({sure.code} if place == {place!r} else {wrong})" for place in (old, new)}
    belief = f"{at[new]} if aware[person]{moved} else {at[old]}"
    s.let("points", belief, per=("person", "place"), says=law)
    asked = [*people, *(who for who in people if s.maybe(0.25))]
    if len(people) > 1 and s.maybe(0.4):
        asked.remove(people[-1])
    chosen = s.choose(people)
    for number, who in enumerate((*asked, chosen)):
        weights = ", ".join(reference("points", who, place) for place in places)
        s.draw(f"pointed_{number}", f"pick(place, weights=[{weights}])")
    s.let("knowing", "total(aware[person], person)")
    s.simulate()
    for number, who in enumerate(asked):
        span = f"{who} wanted {k.thing} and set off for the {{}}"
        if who in asked[:number]:
            span = f"asked in passing, {who} pointed to the {{}}"
        s.event(s.see_pick(span, f"pointed_{number}", "place"))
    s.ask_yes(reference("there", chosen), f"Was {chosen} there last night?")
    s.ask_which(
        f"pointed_{len(asked)}", of="place", question=f"Where will {chosen} point if asked now?"
    )
    s.ask_chance(reference("points", chosen, new), f"{chosen} points to the {new} if asked now")
    if unsure:
        s.ask_yes("moved", f"Was {k.thing} moved to the {new} last night?")
    if len(people) > 1:
        s.ask_yes(reference("aware", chosen), f"Does {chosen} know what was done last night?")
        s.ask_value(
            "knowing", what=f"the number among {join_words(people)} who know what was done",
            low=0, high=len(people),
        )  # fmt: skip


MOTIFS = (
    Motif("goal_from_path", "G", Walk, goal_from_path),
    Motif("preference", "G", Taste, preference),
    Motif("who_knew", "G", Search, who_knew),
    Motif("friend_or_rival", "G", Rival, friend_or_rival),
    Motif("bid_and_worth", "G", Auction, bid_and_worth),
)
