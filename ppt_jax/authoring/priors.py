"""Sentences that tell a prior: a share, an amount; the draw is declared with the words."""

from __future__ import annotations

from typing import Any

from ppt_jax.authoring.sketch import Sketch
from ppt_jax.authoring.wording import Told, pick_chance

_OPEN = (
    "{subject} has never been counted; it could be low or high{own}",
    "nobody knows {subject}, and any value but the extremes would be no surprise{own}",
    "as for {subject}, no figure exists; it may be anything from small to large{own}",
)
_SMALL = (
    "{subject} has never been counted, but it is seldom large{own}",
    "nobody knows {subject}; as a rule it is small{own}",
)
_USUAL = (
    "no record exists of {subject}; it will be about what is usual",
    "{subject} is not on file, but there is little unusual about it",
    "as for {subject}, one can only go by what is common",
)
_USUAL_SPREAD = 0.5  # of the logarithm, about the spread of amounts that are told


def points(s: Sketch[Any], low: int, high: int) -> Told:
    """A spread of a share in percentage points, a multiple of five within [low, high]."""
    value = 5 * int(s.rng.integers(-(-low // 5), high // 5 + 1))
    return Told(f"{value} percentage points", value / 100, f"{value / 100:g}", "percent")


def tell_share(
    s: Sketch[Any], node: str, subject: str, *, per: str = "", each: str = "", rare: bool = False
) -> None:
    """Declares an unknown share with the sentence that tells its prior.

    Args:
      s: the sketch.
      node: node name; a probability.
      subject: singular noun phrase, e.g. "the share of seeds that come up".
      per: set that indexes it.
      each: what has a share of its own, singular, e.g. "bed"; may be empty.
      rare: small shares (mean 10 to 35 percent) instead of any.
    """
    tail = f" from one {each} to another" if each else ""
    own = f", independently for each {each}" if each else ""
    if s.implicit:
        s.implies()
        says = s.rule(s.choose(_SMALL if rare else _OPEN).format(subject=subject, own=own))
        ends = "low=0.03, high=0.5" if rare else "low=0.05, high=0.95"
        s.draw(node, f"uniform({ends})", per=per or (), says=says)
        return
    form = s.choose(("all", "range", "range", "spread", "spread"))
    if form == "all" and not rare:
        says = s.rule(
            s.choose(
                (
                    f"{subject} may be anything from 0 to 100 percent, all values equally"
                    f" likely beforehand{own}",
                    f"Nothing is known of {subject} beforehand: every value from 0 to"
                    f" 100 percent is equally likely{own}",
                )
            )
        )
        expr = "uniform(low=0, high=1)"
    elif form == "range":
        low = pick_chance(s.rng, 0.05, 0.15 if rare else 0.35, form="percent")
        high = pick_chance(s.rng, 0.4 if rare else 0.65, 0.6 if rare else 0.95, form="percent")
        says = s.rule(
            s.choose(
                (
                    f"{subject} lies somewhere between {low} and {high},"
                    f" all values equally likely{own}",
                    f"{subject} may be anything from {low} to {high}, with no value"
                    f" likelier than another{own}",
                )
            )
        )
        expr = f"uniform(low={low.code}, high={high.code})"
    else:
        mean = pick_chance(s.rng, 0.15 if rare else 0.3, 0.35 if rare else 0.7, form="percent")
        sd = points(s, 10, 10 if rare else 20)
        says = s.rule(
            s.choose(
                (
                    f"{subject} averages {mean}{tail}, with a standard deviation of {sd}"
                    " (a beta curve)",
                    f"{subject} varies{tail} around {mean}, give or take {sd}"
                    " (one standard deviation of a beta curve)",
                )
            )
        )
        strength = f"{mean.code}*(1-{mean.code})/{sd.code}**2-1"
        expr = f"share(mean={mean.code}, strength={strength})"
    s.draw(node, expr, per=per or (), says=says)


def tell_amount(
    s: Sketch[Any],
    node: str,
    subject: str,
    middle: tuple[float, float],
    *,
    unit: str,
    per: str = "",
    scope: str = "",
    step: float = 0.0,
) -> Told:
    """Declares an unknown amount above zero with the sentence that tells its prior.

    Args:
      s: the sketch.
      node: node name.
      subject: singular noun phrase, e.g. "the usual wait".
      middle: plausible means or medians.
      unit: plural unit, may be empty.
      per: set that indexes it.
      scope: what the spread runs over; may be empty.
      step: the middle is told as a multiple of this (chosen by magnitude if 0).

    Returns:
      The told middle.
    """
    tail = f" {scope}" if scope else ""
    if s.implicit:
        return _implied_amount(s, node, f"{subject}{tail}", middle, unit=unit, per=per)
    center = s.number(*middle, step)
    of = f" {unit}" if unit else ""
    if s.maybe():
        factor = s.number(1.4, 2.2, 0.1)
        says = s.rule(
            s.choose(
                (
                    f"{subject} has a median of {center}{of}{tail} and is log-normal:"
                    f" one standard deviation is a factor of {factor} up or down",
                    f"{subject} is log-normal{tail} with a median of {center}{of}, a factor of"
                    f" {factor} being one standard deviation",
                )
            )
        )
        expr = f"lognormal(median={center.code}, spread=log({factor.code}))"
    else:
        sd = s.number(center.value * 0.35, center.value * 0.65, step)
        says = s.rule(
            s.choose(
                (
                    f"{subject} averages {center}{of}{tail}, with a standard deviation of"
                    f" {sd}, and is gamma distributed",
                    f"{subject} follows a gamma curve{tail} with a mean of {center}{of} and"
                    f" a standard deviation of {sd}",
                )
            )
        )
        expr = f"gamma(mean={center.code}, shape={center.code}**2/{sd.code}**2)"
    s.draw(node, expr, per=per or (), unit=unit, says=says)
    return center


def _implied_amount(
    s: Sketch[Any], node: str, subject: str, middle: tuple[float, float], *, unit: str, per: str
) -> Told:
    """An amount whose middle is a hidden draw over what is plausible in the domain."""
    says = s.rule(s.choose(_USUAL).format(subject=subject))
    center = s.typical(*middle)
    center.say(says)
    expr = f"lognormal(median={center.code}, spread={_USUAL_SPREAD})"
    s.draw(node, expr, per=per or (), unit=unit, says=says)
    return center
