"""Family H, selection: answers, records and survivors, sifted before anybody sees them."""

from __future__ import annotations

from ppt_jax.authoring.language import count_word, join_words
from ppt_jax.authoring.motif import Motif
from ppt_jax.authoring.priors import tell_amount, tell_share
from ppt_jax.authoring.sketch import Sketch, reference
from ppt_jax.authoring.skins.cohorts import Cohort
from ppt_jax.authoring.skins.registers import Register
from ppt_jax.authoring.skins.surveys import Survey
from ppt_jax.authoring.wording import Told, bell


def survey_answers(s: Sketch[Survey]) -> None:
    """Those of one view answer more readily, so answers show another share than there is."""
    k = s.skin
    parts = s.set("part", s.some(k.parts, s.entities(2, 3) - 1))
    many = len(parts) > 1
    s.setting(
        s.choose(
            (
                f"{s.place}, {k.people} drawn by lot were asked {k.means} whether they {k.want}",
                f"{s.place}, {k.people} picked at random were asked {k.means} whether they"
                f" {k.want}, and not all of them answered",
            )
        )
    )
    group = f"a {k.part}" if many else f"the {parts[0]}"
    subject = f"the share of {k.people} of {group} who {k.want}"
    tell_share(s, "in_favour", subject, per="part", each=k.part if many else "")
    pro, con = s.chance(0.5, 0.9), s.chance(0.1, 0.4)
    if s.maybe():
        pro, con = con, pro
    unknown = s.maybe(0.3)
    if unknown:
        says = s.rule(f"When asked, those who {k.want} {k.answer} {pro.times()}, independently")
        tell_share(s, "con_rate", f"the share of the other {k.people} who {k.answer} when asked")
        rate = "con_rate"
    else:
        says = s.rule(
            s.choose(
                (
                    f"Those who {k.want} {k.answer} {pro.times()}, the others {con.times()}, each"
                    " of them independently",
                    f"When asked, {k.people} who {k.want} {k.answer} {pro.times()}, those who do"
                    f" not {con.times()}; each decides alone",
                )
            )
        )
        rate = con.code
    heard = f"in_favour[part] * ({pro.code})", f"(1 - in_favour[part]) * ({rate})"
    quiet = f"in_favour[part] * (1 - {pro.code})", f"(1 - in_favour[part]) * (1 - {rate})"
    s.let("answers", f"{heard[0]} + {heard[1]}", per="part", says=says)
    s.let("heard", f"{heard[0]} / ({heard[0]} + {heard[1]})", per="part")
    s.let("quiet", f"{quiet[0]} / ({quiet[0]} + {quiet[1]})", per="part")
    counted = unknown or s.maybe(0.6)
    asked = [s.number(20, 60, 5) if counted else s.number(8, 20, 1) for _ in parts]
    for place, (part, size) in enumerate(zip(parts, asked, strict=True)):
        back = size.code
        if counted:
            back = f"back_{place}"
            s.draw(back, f"successes(n={size.code}, p={reference('answers', part)})")
        s.draw(f"pro_{place}", f"successes(n={back}, p={reference('heard', part)})")
    part, visited, more = s.choose(parts), s.number(4, 8, 1), s.number(5, 10, 1)
    visit = counted and s.maybe(0.4)
    if visit:
        place = parts.index(part)
        silent = f"min({visited.code}, {asked[place].code} - back_{place})"
        s.draw("visit", f"successes(n={silent}, p={reference('quiet', part)})")
    ahead = not (many or visit or unknown)
    if ahead:
        plan = s.rule(
            f"Soon {more} {k.people} of the {part}, drawn by lot, will be asked at home, where"
            " everybody answers"
        )
        s.draw("later", f"successes(n={more.code}, p={reference('in_favour', part)})", says=plan)
    s.simulate()
    s.in_order = True
    for place, (name, size) in enumerate(zip(parts, asked, strict=True)):
        if counted:
            says = s.see(f"of {size} {k.people} of the {name}, {{}} {k.answered}", f"back_{place}")
            s.event(f"{says}; {s.see('{} of them said yes', f'pro_{place}')}")
        else:
            span = f"of the first {size} {k.people} of the {name} who {k.answered}, {{}} said yes"
            s.event(s.see(span, f"pro_{place}"))
    if visit:
        span = f"up to {visited} of the silent ones of the {part}, drawn by lot, were then visited,"
        s.event(s.see(f"{span} and {{}} said yes", "visit"))
    member = f"a {k.person} of the {part}"
    s.ask_chance(reference("in_favour", part), f"{member} picked at random {k.wants}")
    if not counted or s.value(f"back_{parts.index(part)}") < asked[parts.index(part)].value:
        silent = f"{member} who was asked but did not answer"
        s.ask_chance(reference("quiet", part), f"{silent} {k.wants}")
    s.ask_chance(reference("heard", part), f"the next {k.person} of the {part} to answer {k.wants}")
    s.ask_yes(
        f"{reference('in_favour', part)} > 1/2",
        f"Is it true that more than half of all {k.people} of the {part} {k.want}?",
    )
    if many:
        s.ask_either(
            reference("in_favour", parts[0]), reference("in_favour", parts[1]),
            (parts[0], parts[1]),
            f"Where is the share of all {k.people} who {k.want} larger, {{}}?",
        )  # fmt: skip
    if ahead:
        s.ask_value(
            "later", what=f"the number among the {more} asked at home who {k.want}",
            low=0, high=more.value,
        )  # fmt: skip


def only_big_recorded(s: Sketch[Register]) -> None:
    """Only what exceeds a bar is written down: the recorded sizes are not those of all."""
    k = s.skin
    s.setting(
        s.choose(
            (
                f"{s.place}, {k.items} {k.come} in all sizes",
                f"{s.place}, not all {k.items} find their way into {k.book}",
            )
        )
    )
    if s.maybe():
        _sift_a_known_number(s)
    else:
        _sift_an_unknown_number(s)


def _tell_bar(s: Sketch[Register], middle: Told, noted: str) -> tuple[Told, str]:
    """The size above which things are recorded, and the sentence that tells it."""
    k = s.skin
    bar = s.number(middle.value * 0.6, middle.value * 1.2)
    says = s.choose(
        (
            f"Only {k.items} with a {k.size} above {bar} {k.unit} are entered in {k.book}, {noted};"
            " the others leave no trace",
            f"{k.book} takes in the {k.items} whose {k.size} exceeds {bar} {k.unit}, {noted}; the"
            " others leave no trace",
        )
    )
    return bar, s.rule(says)


def _sift_a_known_number(s: Sketch[Register]) -> None:
    """Numbered items with log-normal sizes: those that are not listed are below the bar."""
    k = s.skin
    names = s.set("case", [f"{k.item} {n}" for n in range(1, s.observations(4, 6) + 1)])
    subject = f"the usual {k.size} of {k.items} (their median)"
    middle = tell_amount(s, "median", subject, k.scale, unit=k.unit, scope=f"across {k.sites}")
    factor = s.number(1.5, 2.5, 0.1)
    law = s.rule(
        f"Single {k.items} are independent and log-normal around that median, a factor of {factor}"
        " being one standard deviation"
    )
    expr = f"lognormal(median=median, spread=log({factor.code}))"
    s.draw("size", expr, per="case", unit=k.unit, says=law)
    s.draw("next_size", expr, unit=k.unit)
    cases = s.event(
        f"last {k.period} {count_word(len(names))} {k.items} {k.came}, numbered from {names[0]} to"
        f" {names[-1]}"
    )
    s.let("average_size", "average(size[case], case)", unit=k.unit, says=cases)
    bar, says = _tell_bar(s, middle, f"with their {k.size}")
    s.let("entered", f"size[case] > {bar.code}", per="case", says=says)
    s.let("next_entered", f"next_size > {bar.code}")
    s.simulate()
    digits = 0 if middle.value >= 100 else 1
    listed = [name for name in names if s.value("size", name) > bar.value]
    missing = [name for name in names if name not in listed]
    s.in_order = True
    if listed:
        spans = [s.see(f"{n} with {{}} {k.unit}", "size", n, digits=digits) for n in listed]
        s.event(f"{k.book} has {join_words(spans)}")
    if missing:
        absent = f"{k.book} has nothing about {join_words(missing)}"
        s.event(absent)
        for name in missing:
            s.fact(f"not {reference('entered', name)}", absent)
    _ask_sifted(s, "median", middle)
    if missing:
        one = s.choose(missing)
        s.ask_value("size", one, what=f"the {k.size} of {one}", unit=k.unit, low=0, high=bar.value)
    s.ask_value("next_size", what=f"the {k.size} of the next {k.item}", unit=k.unit, floor=0)
    s.ask_value("average_size", what=f"the mean {k.size} of these {k.items}", unit=k.unit, floor=0)
    s.ask_yes("next_entered", f"Will the next {k.item} be entered in {k.book}?")


def _ask_sifted(s: Sketch[Register], node: str, middle: Told) -> None:
    k = s.skin
    s.ask_value(node, what=f"the {node} {k.size} of all {k.items}", unit=k.unit, floor=0)
    s.ask_rank(
        node, who="this place", group=k.sites, lowest=f"smallest {node} {k.size}",
        highest=f"largest {node} {k.size}",
    )  # fmt: skip
    bar = s.number(middle.value * 0.7, middle.value * 1.4)
    s.ask_yes(
        f"{node} > {bar.code}", f"Is the {node} {k.size} of all {k.items} above {bar} {k.unit}?"
    )


def _sift_an_unknown_number(s: Sketch[Register]) -> None:
    """Poisson numbers of exponential sizes: recorded and missed numbers are Poisson as well."""
    k = s.skin
    subject = f"the mean {k.size} of all {k.items}"
    middle = tell_amount(s, "mean", subject, k.scale, unit=k.unit, scope=f"across {k.sites}")
    tell_amount(s, "rate", f"the usual number of {k.items} per {k.period}", k.rate, unit="", step=1)
    law = s.rule(
        f"Single {k.items} are independent and exponential with that mean; their number is Poisson"
        " with the usual number as its mean"
    )
    bar, says = _tell_bar(s, middle, "with the excess")
    s.let("listed_p", f"min(1, exp(0 - {bar.code}/mean))", says=says)
    s.draw("listed", "count(rate=rate * listed_p)", says=law)
    s.draw("missed", "count(rate=rate * (1 - listed_p))", says=law)
    s.draw("next_listed", "count(rate=rate * listed_p)")
    entries = [f"excess_{place}" for place in range(s.observations(2, 4))]
    for entry in entries:
        s.draw(entry, "wait(mean=mean)", unit=k.unit, says=law)
    s.simulate()
    s.event(s.see(f"entries in {k.book} last {k.period}: {{}}", "listed"))
    digits = 0 if middle.value >= 100 else 1
    spans = join_words([s.see("{}", entry, digits=digits) for entry in entries])
    s.event(f"earlier entries, picked at random, exceed the {bar} {k.unit} by {spans}")
    _ask_sifted(s, "mean", middle)
    s.ask_value(
        "missed", what=f"the number of {k.items} last {k.period} that were left out", floor=0
    )
    s.ask_value(
        "next_listed", what=f"the number of {k.items} to be entered next {k.period}", floor=0
    )
    s.ask_chance("listed_p", f"the next {k.item} is entered in {k.book}")
    count = s.number(*k.rate, 1)
    s.ask_yes(
        f"missed > {count.code}",
        f"Were more than {count} {k.items} left out last {k.period}?",
    )


def survivors_only(s: Sketch[Cohort]) -> None:
    """The good ones last longer, and only those that last can be judged."""
    k = s.skin
    first = s.choose(("A", "K", "P"))
    names = s.set("piece", [f"{k.item} {chr(ord(first) + n)}" for n in range(s.entities(3, 4))])
    s.setting(
        s.choose(
            (
                f"{s.place}, {join_words(names)} all came from {k.origin} in the same year",
                f"{join_words(names)} {s.place} came from {k.origin} in one year",
            )
        )
    )
    unknown = s.maybe(0.6)
    amount = s.number if unknown else s.typical
    centre, sd = amount(*k.mean, 1), amount(*k.sd, 1)
    if unknown:
        wide = s.number(6, 12, 1)
        says = s.rule(
            s.choose(
                (
                    f"The mean {k.quality} of {k.items} from {k.origin} is not known: normal"
                    f" around {centre} {k.unit} with a standard deviation of {wide}",
                    f"How good {k.origin} was is uncertain: the mean {k.quality} of its {k.items}"
                    f" is normal around {centre} {k.unit}, standard deviation {wide}",
                )
            )
        )
        s.draw("level", f"normal(mean={centre.code}, sd={wide.code})", unit=k.unit, says=says)
        says = s.rule(f"Single {k.items} vary normally around it by {sd} (standard deviation)")
    else:
        subject = f"the {k.quality} of {k.items} from {k.origin}"
        says = s.rule(bell(s.rng, subject, centre, sd, unit=k.unit))
    law = f"normal(mean={'level' if unknown else centre.code}, sd={sd.code})"
    s.draw("quality", law, per="piece", unit=k.unit, says=says)
    s.draw("new_quality", law, unit=k.unit)
    middle, gap = s.number(centre.value - 6, centre.value + 6, 1), s.number(5, 10, 1)
    odds, noise = s.chance(0.65, 0.9), s.number(sd.value * 0.5, sd.value * 0.8, 1)
    lasting = s.rule(
        s.choose(
            (
                f"At a {k.quality} of {middle} {k.unit} a {k.item} had an even chance to {k.last};"
                f" with {gap} more there was {odds.chance()} (logistic curve)",
                f"A {k.item} with a {k.quality} of {middle} {k.unit} had an even chance to"
                f" {k.last}, one with {gap} more had {odds.chance()} (logistic curve)",
            )
        )
    )
    curve = f"sigmoid(({{}} - {middle.code}) * log({odds.code}/(1-{odds.code}))/{gap.code})"
    s.draw("lasted", f"yes(p={curve.format('quality[piece]')})", per="piece", says=lasting)
    s.let("new_p", curve.format("new_quality"), says=lasting)
    error = s.rule(
        f"Only a {k.item} that {k.lasts} can get a {k.test}, whose result is off by {noise}"
        " (standard deviation)"
    )
    s.draw(
        "result", f"normal(mean=quality[piece], sd={noise.code})", per="piece", unit=k.unit,
        says=error,
    )  # fmt: skip
    s.let("average_quality", "average(quality[piece], piece)", unit=k.unit)
    s.simulate()
    for name in names:
        event = s.see_yes(f"{name} {k.lasts}", f"{name} {k.gone}", "lasted", name)
        if s.value("lasted", name):
            event += f", and {s.see(f'its {k.test} gave {{}}', 'result', name)}"
        s.event(event)
    left = [name for name in names if s.value("lasted", name)]
    lost = [name for name in names if name not in left]
    one = s.choose(lost or left)
    s.ask_value("quality", one, what=f"the {k.quality} that {one} had", unit=k.unit)
    s.ask_rank("quality", one, who=one, group=k.items, lowest="poorest", highest="best")
    s.ask_value(
        "average_quality", what=f"the mean {k.quality} of these {count_word(len(names))} {k.items}",
        unit=k.unit,
    )  # fmt: skip
    s.ask_chance("new_p", f"another {k.item} of the same origin and age would {k.last}")
    bar = s.number(centre.value - sd.value / 2, centre.value + sd.value / 2, 1)
    what = f"the mean {k.quality} of all {k.items} from {k.origin}"
    if unknown:
        s.ask_value("level", what=what, unit=k.unit)
        s.ask_yes(f"level > {bar.code}", f"Is {what} above {bar} {k.unit}?")
    if left and lost:
        other = s.choose(left)
        s.ask_either(
            reference("quality", one), reference("quality", other), (one, other),
            f"Which had more {k.quality} when new, {{}}?",
        )  # fmt: skip


MOTIFS = (
    Motif("survey_answers", "H", Survey, survey_answers),
    Motif("only_big_recorded", "H", Register, only_big_recorded),
    Motif("survivors_only", "H", Cohort, survivors_only),
)
