"""Family B, causes: what doing shows and seeing hides, and what would have been otherwise."""

from __future__ import annotations

from ppt_jax.authoring.language import count_word
from ppt_jax.authoring.motif import Motif
from ppt_jax.authoring.priors import points, tell_share
from ppt_jax.authoring.sketch import Sketch, reference
from ppt_jax.authoring.skins.faults import Fault
from ppt_jax.authoring.skins.remedies import Remedy
from ppt_jax.authoring.wording import Told


def _remedy_setting(s: Sketch[Remedy]) -> None:
    k = s.skin
    s.setting(
        s.choose(
            (
                f"{s.place}, some {k.cases} get {k.agent} and some do not",
                f"{s.place}, people ask what {k.agent} does for {k.cases}",
                f"{s.place}, there are {k.hard} {k.cases} and {k.easy} ones",
            )
        )
    )


def _choice(s: Sketch[Remedy]) -> tuple[Told, Told, str]:
    """How often the remedy is chosen for either kind, and the words."""
    k = s.skin
    hard, easy = s.chance(0.6, 0.9), s.chance(0.1, 0.4)
    if s.maybe(0.3):
        hard, easy = easy, hard
    says = s.rule(
        s.choose(
            (
                f"Left to choose, {k.chooser} wants {k.agent} {hard.times()} for a {k.hard}"
                f" {k.case} and {easy.times()} for a {k.easy} one",
                f"{k.chooser} looks first and chooses {k.agent} {hard.times()} for a {k.hard}"
                f" {k.case}, {easy.times()} for a {k.easy} one",
            )
        )
    )
    return hard, easy, says


def _outcomes(s: Sketch[Remedy]) -> tuple[list[str], str]:
    """Chances of success: with it hard and easy, without it hard and easy; and the words."""
    k = s.skin
    plain = [s.chance(0.2, 0.45), s.chance(0.55, 0.8)]
    if s.maybe(0.3):
        says = s.rule(
            f"{k.agent} by itself changes nothing: with or without it, a {k.hard} {k.case}"
            f" {k.works} {plain[0].times()}, a {k.easy} one {plain[1].times()}"
        )
        return [told.code for told in (*plain, *plain)], says
    better = [s.chance(told.value + 0.1, min(0.95, told.value + 0.35)) for told in plain]
    with_it, without = (better, plain) if s.maybe(0.75) else (plain, better)
    says = s.rule(
        f"With {k.agent}, a {k.hard} {k.case} {k.works} {with_it[0].times()} and a {k.easy} one"
        f" {with_it[1].times()}; without it, {without[0].times()} and {without[1].times()}"
    )
    return [told.code for told in (*with_it, *without)], says


def seeing_vs_doing(s: Sketch[Remedy]) -> None:
    """What a choice reveals and a draw of lots does not: P(y | x) against P(y | do(x))."""
    _remedy_setting(s)
    if s.maybe():
        _cases_seen_and_done(s)
    else:
        _records_seen_and_done(s)


def _cases_seen_and_done(s: Sketch[Remedy]) -> None:
    """Single cases: a decision tells about the hidden kind, a lot cuts that arrow."""
    k = s.skin
    letters = s.some("BCDFGHK", 2 if s.knobs.length == "short" else s.entities(2, 3))
    names = s.set("item", [f"{k.case} {letter}" for letter in letters])
    by_lot = s.some(names[1:], 1)
    chosen = [name for name in names if name not in by_lot]
    share = s.chance(0.25, 0.7)
    kinds = s.rule(f"{share.of(k.cases)} are {k.hard}, the others {k.easy}")
    s.draw("hard", f"yes(p={share.code})", per="item", says=kinds)
    hard, easy, decides = _choice(s)
    chances, law = _outcomes(s)
    s.let("with_it", f"{chances[0]} if hard[item] else {chances[1]}", per="item", says=law)
    s.let("without", f"{chances[2]} if hard[item] else {chances[3]}", per="item", says=law)
    for place, name in enumerate(chosen):
        p = f"{hard.code} if {reference('hard', name)} else {easy.code}"
        s.draw(f"decided_{place}", f"yes(p={p})", says=decides)
        if place:
            formula = f"{reference('with_it', name)} if decided_{place} else"
            s.draw(f"ended_{place}", f"yes(p={formula} {reference('without', name)})", says=law)
    for place, name in enumerate(by_lot):
        got = s.maybe(0.6)
        cut = s.rule(
            s.choose(
                (
                    f"For {name}, {k.chooser} did not choose: lots were drawn, and they fell"
                    f" {'for' if got else 'against'} {k.agent}",
                    f"A throw of dice, not {k.chooser}, decided {'for' if got else 'against'}"
                    f" {k.agent} for {name}",
                )
            )
        )
        formula = reference("with_it" if got else "without", name)
        s.draw(f"lot_ended_{place}", f"yes(p={formula})", says=cut)
    s.let("hard_count", "total(hard[item], item)")
    s.simulate()
    for place, name in enumerate(chosen):
        decision = s.see_yes(
            f"in the case of {name}, {k.chooser} decided for {k.agent}",
            f"in the case of {name}, {k.chooser} decided against {k.agent}",
            f"decided_{place}",
        )
        end = ""
        if place:
            end = s.see_yes(f"{name} {k.worked}", f"{name} {k.failed}", f"ended_{place}")
        s.event(f"{decision}, and {end}" if end else decision)
    for place, name in enumerate(by_lot):
        s.event(s.see_yes(f"{name} {k.worked}", f"{name} {k.failed}", f"lot_ended_{place}"))
    first, lot = chosen[0], by_lot[0]
    chose = bool(s.value("decided_0"))
    own, other = ("with_it", "without") if chose else ("without", "with_it")
    s.ask_yes(reference("hard", first), f"Is {first} {k.hard}?")
    s.ask_yes(reference("hard", lot), f"Is {lot} {k.hard}?")
    s.ask_chance(reference(own, first), f"{first} {k.works} if the decision is carried out")
    s.ask_chance(
        reference(other, first), f"{first} {k.works} if a mix-up turns the decision around"
    )
    s.ask_value(
        "hard_count",
        what=f"the number of {k.hard} ones among these {count_word(len(names))} {k.cases}",
        low=0,
        high=len(names),
    )


def _records_seen_and_done(s: Sketch[Remedy]) -> None:
    """Records of a chooser who looks at the kind: what they say about a draw of lots."""
    k = s.skin
    subject = f"the share of {k.hard} (not {k.easy}) ones among {k.cases}"
    tell_share(s, "hard_share", subject)
    hard, easy, decides = _choice(s)
    chances, law = _outcomes(s)
    s.let(
        "decided_p", f"hard_share * ({hard.code}) + (1 - hard_share) * ({easy.code})", says=decides
    )
    picked, left = f"hard_share * ({hard.code})", f"hard_share * (1 - {hard.code})"
    s.let("hard_with", f"{picked} / ({picked} + (1 - hard_share) * ({easy.code}))")
    s.let("hard_without", f"{left} / ({left} + (1 - hard_share) * (1 - {easy.code}))")
    for way, (one, two) in (("with", chances[:2]), ("without", chances[2:])):
        s.let(
            f"seen_{way}", f"hard_{way} * ({one}) + (1 - hard_{way}) * ({two})", says=law,
        )  # fmt: skip
    most = {"short": 16, "medium": 24, "long": 40}[s.knobs.length]
    sizes = [s.number(8, most, 1) for _ in range(3)]
    shown = sorted(s.some(range(3), 2 if s.knobs.length == "short" else s.observations(2, 3)))
    since = " since then" if 0 in shown else ""
    spans = (
        ("decided_p", f"in {{}} of {sizes[0]} earlier cases, {k.chooser} decided for {k.agent}"),
        ("seen_with", f"of {sizes[1]} {k.cases} chosen for {k.agent}{since}, {{}} {k.worked}"),
        ("seen_without", f"of {sizes[2]} {k.cases} not chosen for it{since}, {{}} {k.worked}"),
    )
    for place in shown:
        s.draw(f"record_{place}", f"successes(n={sizes[place].code}, p={spans[place][0]})")
    more = s.number(5, 12, 1)
    way = s.choose(("with", "without"))
    one, two = chances[:2] if way == "with" else chances[2:]
    s.let(f"done_{way}", f"hard_share * ({one}) + (1 - hard_share) * ({two})", says=law)
    s.draw(
        "trial", f"successes(n={more.code}, p=done_{way})",
        says=s.rule(
            f"For a trial, lots alone will put {more} {k.cases} down for {k.agent}"
            if way == "with"
            else f"For a trial, lots alone will leave {more} {k.cases} without {k.agent}"
        ),
    )  # fmt: skip
    s.simulate()
    s.in_order = True
    for place in shown:
        s.event(s.see(spans[place][1], f"record_{place}"))
    s.ask_chance(f"done_{way}", f"a {k.case} {way} {k.agent} by a draw of lots {k.works}")
    s.ask_chance(f"seen_{way}", f"a {k.case} {way} {k.agent} by choice of {k.chooser} {k.works}")
    s.ask_value(
        "trial", what=f"the number of the {more} {k.cases} of the trial with {k.goal}",
        low=0, high=more.value,
    )  # fmt: skip
    s.ask_chance("hard_share", f"a {k.case} taken at random is {k.hard}")
    s.ask_yes(
        "seen_with > seen_without",
        f"In the long run, is {k.goal} more frequent among {k.cases} that {k.chooser} chooses for"
        f" {k.agent} than among the rest?",
    )


def _declare_arm(s: Sketch[Remedy], arm: str, gain: str, further: bool) -> list[tuple[str, str]]:
    """Counts of one arm, apart by kind or together; returns the node and span of each.

    Args:
      s: the sketch.
      arm: "with" or "without" the remedy.
      gain: what is added to the chances in this arm, as a formula.
      further: with counts of all together, one further case comes in.
    """
    k = s.skin
    most = {"short": 12, "medium": 18, "long": 30}[s.knobs.length]
    parts = [f"plain_hard{gain}", f"plain_easy{gain}"]
    sizes = [s.number(6, most, 1) for _ in parts]
    if s.maybe(0.35):
        found: list[tuple[str, str]] = []
        for kind, part, size in zip((k.hard, k.easy), parts, sizes, strict=True):
            node = f"{arm}_{len(found)}"
            s.draw(node, f"successes(n={size.code}, p={part})")
            found.append((node, f"of {size} {kind} {k.cases} {arm} {k.agent}, {{}} {k.worked}"))
        return found
    share = s.chance(0.65, 0.9) if gain else s.chance(0.1, 0.35)
    says = s.rule(
        s.choose(
            (
                f"{share.of(f'{k.cases} {arm} {k.agent}')} are {k.hard}, the others {k.easy}",
                f"There is {share.chance()} that a {k.case} {arm} {k.agent} is {k.hard} and not"
                f" {k.easy}",
            )
        )
    )
    mixed = f"{share.code} * ({parts[0]}) + (1 - {share.code}) * ({parts[1]})"
    s.let(f"{arm}_p", mixed, says=says)
    size = s.number(sizes[0].value + 4, sizes[0].value + 12, 1)
    s.draw(f"{arm}_all", f"successes(n={size.code}, p={arm}_p)")
    if further:
        s.draw("one_hard", f"yes(p={share.code})")
        s.draw("one_ended", f"yes(p={parts[0]} if one_hard else {parts[1]})")
    return [(f"{arm}_all", f"of {size} {k.cases} {arm} {k.agent}, {{}} {k.worked}")]


def hidden_subgroup(s: Sketch[Remedy]) -> None:
    """Simpson: the remedy goes to hard cases, so those who get it fare worse than it deserves."""
    k = s.skin
    _remedy_setting(s)
    hard = s.chance(0.25, 0.35, form="percent"), s.chance(0.4, 0.5, form="percent")
    easy = s.chance(0.5, 0.6, form="percent"), s.chance(0.7, 0.8, form="percent")
    base = s.rule(
        f"Without {k.agent}, a {k.hard} {k.case} {k.works} with a chance of {hard[0]} to {hard[1]}"
        f" and a {k.easy} one of {easy[0]} to {easy[1]}, all values equally likely"
    )
    s.draw("plain_hard", f"uniform(low={hard[0].code}, high={hard[1].code})", says=base)
    s.draw("plain_easy", f"uniform(low={easy[0].code}, high={easy[1].code})", says=base)
    size = points(s, 10, 20)
    if s.maybe():
        change = s.rule(
            f"{k.agent} shifts both chances alike, by anything from {size} down to {size} up, all"
            " values equally likely"
        )
        s.draw("gain", f"uniform(low=0-{size.code}, high={size.code})", says=change)
    else:
        helps = s.chance(0.3, 0.7)
        change = s.rule(
            f"{k.agent} shifts both chances alike by {size}, up with {helps.chance()} and down"
            " otherwise"
        )
        s.draw("helps", f"yes(p={helps.code})", says=change)
        s.let("gain", f"{size.code} if helps else 0-{size.code}")
    one = s.choose(("with", "without", ""))
    arms = {
        arm: _declare_arm(s, arm, gain, arm == one)
        for arm, gain in (("with", " + gain"), ("without", ""))
    }
    s.let("hard_with", "plain_hard + gain")
    s.let("easy_with", "plain_easy + gain")
    s.simulate()
    for node, span in (*arms["with"], *arms["without"]):
        s.event(s.see(span, node))
    pooled = [arm for arm, counts in arms.items() if len(counts) == 1]
    if one in pooled:
        more = f"one further {k.case} {one} {k.agent}"
        end = s.see_yes(f"{more} {k.worked}", f"{more} {k.failed}", "one_ended")
        s.event(f"{end}; the kind was not noted")
        s.ask_yes("one_hard", f"Is that further {k.case} {one} {k.agent} {k.hard}?")
    s.ask_yes("gain > 0", f"Does {k.agent} raise the chance of {k.goal}?")
    s.ask_value(
        "gain",
        what=f"the change that {k.agent} makes to the chance of {k.goal}, as a number from"
        f" -{size.code} to {size.code} (0 for no change)",
        low=-size.value, high=size.value,
    )  # fmt: skip
    s.ask_chance("hard_with", f"the next {k.hard} {k.case} {k.works} with {k.agent}")
    s.ask_chance("easy_with", f"the next {k.easy} {k.case} {k.works} with {k.agent}")
    s.ask_chance("plain_easy", f"the next {k.easy} {k.case} {k.works} without {k.agent}")
    if len(pooled) == 2:
        s.ask_yes(
            "with_p > without_p",
            f"Both kinds together and in the long run, is {k.goal} more frequent among {k.cases}"
            f" with {k.agent} than among those without it?",
        )


def what_if(s: Sketch[Fault]) -> None:
    """Counterfactual: infer what is hidden, change one cause, and let the same case run again."""
    k = s.skin
    causes = s.some(k.causes, 2 if s.knobs.length == "short" else min(3, s.entities(2, 3)))
    s.setting(
        s.choose(
            (
                f"{s.place}, a {k.case} sometimes {k.effect_does}",
                f"{s.place}, people like to ask how a {k.case} would have gone otherwise",
            )
        )
    )
    fresh = []
    for cause in causes:
        share, power = s.chance(0.3, 0.7), s.chance(0.4, 0.85)
        s.draw(cause.key, f"yes(p={share.code})", says=s.rule(f"{share.of(k.cases)} {cause.does}"))
        says = s.rule(
            s.choose(
                (
                    f"{power.of(k.cases)} are such that {cause.noun} alone would be enough for"
                    f" {k.effect_noun}",
                    f"There is {power.chance()} that a {k.case} is such that {cause.noun} alone"
                    f" would be enough for {k.effect_noun}",
                )
            )
        )
        s.draw(f"prone_{cause.key}", f"yes(p={power.code})", says=says)
        fresh.append(f"(1 - {power.code} if {cause.key} else 1)")
    leak = s.chance(0.03, 0.15)
    apart = s.rule(f"Besides, there is {leak.chance()} that something else brings it about")
    s.draw("other", f"yes(p={leak.code})", says=apart)
    s.rule(
        s.choose(
            (
                f"All this is settled for each {k.case} beforehand, each thing independently",
                f"Each of these things is fixed for a {k.case} in advance, independently of the"
                " rest",
            )
        )
    )
    ways = {cause.key: f"({cause.key} and prone_{cause.key})" for cause in causes}
    s.let("effect", " or ".join(("other", *ways.values())))
    s.let("prone", " + ".join(f"prone_{cause.key}" for cause in causes))
    s.simulate()
    happened = bool(s.value("effect"))
    did = k.effect_did if happened else k.effect_not
    s.event(s.fact(f"effect == {int(happened)}", f"{k.this_case} {did}"))
    known = s.some(causes, 1 if s.maybe(0.6) else 2)
    for cause in known:
        yes = f"it is certain that {k.this_case} {cause.did}"
        no = f"it is ruled out that {k.this_case} {cause.did}"
        s.event(s.see_yes(yes, no, cause.key))
    for cause in causes:
        rest = " or ".join(("other", *(way for key, way in ways.items() if key != cause.key)))
        if cause not in known:
            s.ask_yes(cause.key, f"Is it true that {k.this_case} {cause.did}?")
        if cause not in known or s.value(cause.key):
            s.ask_yes(
                rest,
                f"Would there have been {k.effect_noun} in {k.this_case} without {cause.noun},"
                " all else being as it was?",
            )
        if cause not in known or not s.value(cause.key):
            s.ask_yes(
                f"{rest} or prone_{cause.key}",
                f"Would there have been {k.effect_noun} in {k.this_case} with {cause.noun}, all"
                " else being as it was?",
            )
    s.ask_value(
        "prone",
        what=f"the number of these {count_word(len(causes))} causes that would each alone be"
        f" enough in {k.this_case}",
        low=0, high=len(causes),
    )  # fmt: skip
    s.ask_chance(
        f"1 - (1 - {leak.code}) * {' * '.join(fresh)}",
        f"another {k.case} with just the same causes {k.effect_does}",
    )


MOTIFS = (
    Motif("seeing_vs_doing", "B", Remedy, seeing_vs_doing),
    Motif("hidden_subgroup", "B", Remedy, hidden_subgroup),
    Motif("what_if", "B", Fault, what_if),
)
