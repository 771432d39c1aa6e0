"""Family G, minds: goals, likings and attitudes, read from what somebody does."""

from __future__ import annotations

from ppt_jax.authoring.language import join_words, ordinal
from ppt_jax.authoring.motif import Motif
from ppt_jax.authoring.sketch import Sketch, reference
from ppt_jax.authoring.skins.auctions import Auction
from ppt_jax.authoring.skins.rivals import Rival
from ppt_jax.authoring.skins.tastes import Taste
from ppt_jax.authoring.wording import bell


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


MOTIFS = (
    Motif("preference", "G", Taste, preference),
    Motif("friend_or_rival", "G", Rival, friend_or_rival),
    Motif("bid_and_worth", "G", Auction, bid_and_worth),
)
