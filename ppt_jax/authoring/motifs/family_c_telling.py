"""Family C, reports and sensors: what people say with a stake in it, and what silence says."""

from __future__ import annotations

from ppt_jax.authoring.language import count_word, join_words
from ppt_jax.authoring.motif import Motif
from ppt_jax.authoring.sketch import Sketch, reference
from ppt_jax.authoring.skins.pitches import Pitch
from ppt_jax.authoring.skins.watches import Watch


def _best_prior(s: Sketch[Pitch], options: list[str]) -> None:
    """Declares which option is best: evenly, or with one favourite."""
    k = s.skin
    if s.maybe(0.6):
        says = s.rule(f"Beforehand the {count_word(len(options))} {k.kind} are equally likely")
        s.draw("truth", "pick(option)", says=says)
        return
    favourite = s.chance(0.4, 0.6)
    says = s.rule(
        f"Beforehand there is {favourite.chance()} that it is {options[0]}; the other"
        f" {count_word(len(options) - 1)} are equally likely"
    )
    rest = f"(1-{favourite.code})/{len(options) - 1}"
    weights = ", ".join([favourite.code] + [rest] * (len(options) - 1))
    s.draw("truth", f"pick(option, weights=[{weights}])", says=says)


def interested_speaker(s: Sketch[Pitch]) -> None:
    """What is said weighs truth against a hidden stake of the speaker (a softmax of both)."""
    k = s.skin
    options = s.set("option", s.some(k.options, min(4, s.entities(3, 4))))
    people = s.set("speaker", s.people(s.observations(2, 3)))
    s.setting(f"{s.place}, {k.matter}: {join_words(options, 'or')}")
    _best_prior(s, options)
    biased, shared = s.chance(0.25, 0.7), s.maybe(0.35)
    if shared:
        stakes = s.rule(
            f"There is {biased.chance()} that every {k.speaker} {k.stake} the same one of them,"
            f" all being equally likely; otherwise no {k.speaker} has any such interest"
        )
        own, index = "", ""
    else:
        stakes = s.rule(
            f"There is {biased.chance()} that a given {k.speaker} {k.stake} one of them, all"
            f" being equally likely, independently of the other {k.speakers}"
        )
        own, index = "speaker", "[speaker]"
    s.draw("stake", f"yes(p={biased.code})", per=own or (), says=stakes)
    s.draw("favours", "pick(option)", per=own or (), says=stakes)
    honest, greedy = s.number(2, 8, 1), s.number(2, 9, 1)
    weigh = s.rule(
        s.choose(
            (
                f"A {k.speaker} draws an answer by weight: being true multiplies the weight of an"
                f" answer by {honest}, and serving the speaker's interest multiplies it by"
                f" {greedy}",
                f"Each {k.speaker} names one at random, but the right one counts {honest} times"
                f" and one that serves the speaker's interest {greedy} times as much as it would"
                " otherwise (both factors multiply)",
            )
        )
    )
    s.let(
        "weight",
        f"({honest.code} if truth == option else 1)"
        f" * ({greedy.code} if stake{index} and favours{index} == option else 1)",
        per=("speaker", "option"),
        says=weigh,
    )
    if not shared:
        s.let("interested", "total(stake[speaker], speaker)")
    weights = ", ".join(f"weight[speaker, {option!r}]" for option in options)
    s.draw("said", f"pick(option, weights=[{weights}])", per="speaker")
    s.simulate()
    for who in people:
        s.event(s.see_pick(f"{who} {k.named}", "said", "option", who))
    one = s.choose(people)
    known = "" if shared or s.maybe(0.6) else s.choose([who for who in people if who != one])
    if known:
        if s.value("stake", known):
            yes = s.see_yes(f"{known} is known to have an interest", "", "stake", known)
            which = s.see_pick(f"{known} {k.stake} {{}}", "favours", "option", known)
            s.event(f"{yes}: {which}")
        else:
            s.event(s.see_yes("", f"{known} is known to have no interest", "stake", known))
    said = s.member("said", "option", one)
    whose = () if shared else (one,)
    stake, favours = reference("stake", *whose), reference("favours", *whose)
    s.ask_which("truth", of="option", question=k.question)
    s.ask_yes(f"truth == {said!r}", f"Is it {said} that {k.best}?")
    s.ask_yes(stake, f"Is it true that {one} {k.stake} one of them?")
    s.ask_yes(f"{stake} and {favours} == {said!r}", f"Is it true that {one} {k.stake} {said}?")
    s.ask_chance(
        f"({honest.code} if truth == {said!r} else 1) / ({honest.code} + {len(options) - 1})",
        f"a {k.speaker} who {k.no_stake} {k.names} {said}",
    )
    s.ask_chance(
        f"weight[{one!r}, {said!r}] / total(weight[{one!r}, option], option)",
        f"{one} {k.names} {said} again when asked afresh",
    )
    if not shared:
        s.ask_value(
            "interested",
            what=f"the number of these {count_word(len(people))} {k.speakers} with an interest",
            low=0, high=len(people),
        )  # fmt: skip


def silence(s: Sketch[Watch]) -> None:
    """No report has come: because nothing happened, or because reports are late or kept back."""
    k = s.skin
    watchers = s.set("watcher", s.some(k.watchers, min(4, s.entities(2, 4))))
    s.setting(
        s.choose(
            (
                f"{s.place}, nobody knows yet whether {k.event}",
                f"{s.place}, the question is whether {k.event}",
            )
        )
    )
    base = s.chance(0.2, 0.6)
    s.draw("happened", f"yes(p={base.code})", says=s.rule(f"{base.of(k.nights)} {k.bring}"))
    hit = _reports(s, watchers)
    late, kept = s.choose(((True, False), (False, True), (True, True)))
    conditions = ["sends[watcher]"]
    if late:
        mean = s.number(*k.delay, 1)
        passed = s.number(mean.value * 0.4, mean.value * 1.8, 1)
        says = s.rule(
            s.choose(
                (
                    f"A {k.report} takes {mean} {k.unit} on average to come (exponential times),"
                    f" and {passed} {k.unit} have passed since the moment in question",
                    f"{passed} {k.unit} have passed since the moment in question; a {k.report}"
                    f" that is to come needs an exponential time with a mean of {mean} {k.unit}",
                )
            )
        )
        s.draw(
            "in_time", f"yes(p=1 - exp((0-{passed.code})/{mean.code}))", per="watcher", says=says
        )
        conditions.append("in_time[watcher]")
    if kept:
        down = s.chance(0.1, 0.4)
        says = s.rule(
            f"There is {down.chance()} that {k.cut}; in that case no {k.report} can get through"
        )
        s.draw("cut", f"yes(p={down.code})", says=says)
        conditions.append("not cut")
    s.let("heard", " and ".join(conditions), per="watcher")
    s.let("senders", "total(sends[watcher], watcher)")
    s.simulate()
    silent = [who for who in watchers if not s.value("heard", who)]
    parts = []
    for who in [who for who in watchers if who not in silent] + silent:
        first = who == silent[0] if silent else False
        none = f"no {k.report} has come from {who}" if first else f"none from {who}"
        words = none if who in silent else f"a {k.report} has come from {who}"
        parts.append(s.fact(f"{reference('heard', who)} == {int(who not in silent)}", words))
    s.event(join_words(parts))
    s.ask_yes("happened", f"Is it true that {k.event}?")
    if kept:
        s.ask_yes("cut", f"Is it true that {k.cut}?")
    if silent:
        who = s.choose(silent)
        question = {
            (True, False): f"Will a {k.report} still come from {who}?",
            (False, True): f"Has a {k.report} from {who} been lost?",
            (True, True): f"Is a {k.report} from {who} lost or still to come?",
        }
        s.ask_yes(f"{reference('sends', who)} == 1", question[late, kept])
    number = f"the number of these {count_word(len(watchers))} from which a {k.report} has come"
    rest = {(True, False): "or will still come", (False, True): "or got lost"}
    s.ask_value(
        "senders",
        what=f"{number} {rest.get((late, kept), 'or got lost or will still come')}",
        low=0, high=len(watchers),
    )  # fmt: skip
    s.ask_chance(hit, f"another {k.watcher}, just like {watchers[0]}, {k.reports}")


def _reports(s: Sketch[Watch], watchers: list[str]) -> str:
    """Declares who reports how often; returns the chance of the first one as a formula."""
    k = s.skin
    if len(watchers) > 2 or s.maybe(0.4):
        hits = [s.chance(0.5, 0.95)] * len(watchers)
        told = f"each of {join_words(watchers)} {k.reports} {hits[0].times()}"
        formula = hits[0].code
    else:
        hits = [s.chance(0.5, 0.95) for _ in watchers]
        told = join_words(
            [f"{who} {k.reports} {hit.times()}" for who, hit in zip(watchers, hits, strict=True)]
        )
        formula = f"({hits[0].code} if watcher == {watchers[0]!r} else {hits[1].code})"
    law = s.rule(f"If there is {k.noun}, {told}, independently")
    other = "0"
    if s.maybe(0.6):
        false = s.chance(0.02, 0.12)
        other = false.code
        never = s.rule(f"Without {k.noun}, each still {k.reports} {false.times()}")
    else:
        never = s.rule(f"Without {k.noun}, none of them {k.reports}")
    s.let("report_p", f"{formula} if happened else {other}", per="watcher", says=law)
    s.draw("sends", "yes(p=report_p[watcher])", per="watcher", says=never)
    return f"{hits[0].code} if happened else {other}"


MOTIFS = (
    Motif("interested_speaker", "C", Pitch, interested_speaker),
    Motif("silence", "C", Watch, silence),
)
