"""Family B, causes: which cause is behind an effect, and how strong causes are."""

from __future__ import annotations

from ppt_jax.authoring.language import join_words
from ppt_jax.authoring.motif import Motif
from ppt_jax.authoring.sketch import Sketch
from ppt_jax.authoring.skins.faults import Fault
from ppt_jax.authoring.wording import Told


def _setting(s: Sketch[Fault]) -> None:
    k = s.skin
    s.setting(
        s.choose(
            (
                f"{s.place}, a {k.case} sometimes {k.effect_does}",
                f"Not every {k.case} {s.place} goes well: now and again one {k.effect_does}",
                f"People {s.place} keep track of every {k.case} that {k.effect_does}",
            )
        )
    )


def _lamp(s: Sketch[Fault], cause: str, noun: str) -> tuple[Told, Told]:
    """Declares a sensor for a cause; returns its chances to fire with and without it."""
    k = s.skin
    hit, false = s.chance(0.65, 0.95), s.chance(0.03, 0.3)
    says = s.rule(
        s.choose(
            (
                f"The {k.sensor} {k.sensor_fires} {hit.times()} when there is {noun}"
                f" and {false.times()} when there is not",
                f"With {noun} the {k.sensor} {k.sensor_fires} {hit.times()};"
                f" without it, {false.times()}",
            )
        )
    )
    s.draw("sensor", f"yes(p={hit.code} if {cause} else {false.code})", says=says)
    return hit, false


def _see_lamp(s: Sketch[Fault]) -> None:
    k = s.skin
    s.event(s.see_yes(f"the {k.sensor} {k.sensor_yes}", f"the {k.sensor} {k.sensor_no}", "sensor"))


def _share_sentence(s: Sketch[Fault], share: Told, does: str) -> str:
    k = s.skin
    if share.form == "verbal":
        return s.rule(f"{share} a {k.case} is one of those that {does}")
    return s.rule(f"{share.of(k.cases)} {does}")


def explaining_away(s: Sketch[Fault]) -> None:
    """Independent causes meet in a noisy-or; learning one lowers the other."""
    k = s.skin
    causes = s.some(k.causes, min(3, s.entities(2, 3)))
    _setting(s)
    powers = []
    for cause in causes:
        share, power = s.chance(0.08, 0.4), s.chance(0.4, 0.9)
        s.draw(cause.key, f"yes(p={share.code})", says=_share_sentence(s, share, cause.does))
        powers.append((cause, power))
    for cause, power in powers:
        says = s.rule(f"{cause.noun} alone leads to {k.effect_noun} {power.times()}")
        s.let(f"by_{cause.key}", f"{power.code} if {cause.key} else 0", says=says)
    leak = s.chance(0.01, 0.1)
    leaks = s.rule(f"with none of these, {k.effect_noun} happens {leak.times()}")
    s.rule(s.choose(("The causes act independently", "Each cause acts on its own")))
    factors = " * ".join(f"(1 - by_{cause.key})" for cause in causes)
    s.let("effect_p", f"1 - (1 - {leak.code}) * {factors}", says=leaks)
    s.draw(k.effect, "yes(p=effect_p)")
    lamp = s.maybe(0.6)
    if lamp:
        hit, false = _lamp(s, causes[0].key, causes[0].noun)
    s.simulate()
    s.event(s.see_yes(f"{k.this_case} {k.effect_did}", f"{k.this_case} {k.effect_not}", k.effect))
    if lamp:
        _see_lamp(s)
    told = s.choose(causes[1:]) if s.maybe(0.6) else None
    if told:
        yes, no = f"{k.this_case} {told.did}", f"it is not true that {k.this_case} {told.did}"
        s.event(f"later it became known that {s.see_yes(yes, no, told.key)}")
    unknown = [cause for cause in causes if cause is not told]
    for cause in unknown:
        s.ask_yes(cause.key, f"Is it true that {k.this_case} {cause.did}?")
    if len(unknown) > 1:
        both = " and ".join(cause.key for cause in unknown)
        s.ask_yes(both, f"Did {join_words([c.noun for c in unknown])} come together this time?")
    s.ask_chance("effect_p", f"a {k.case} in exactly the same state {k.effect_does}")
    if lamp:
        key = causes[0].key
        s.ask_chance(
            f"{hit.code} if {key} else {false.code}",
            f"the {k.sensor} {k.sensor_fires} on a second try",
        )


MOTIFS = (Motif("explaining_away", "B", Fault, explaining_away),)
