"""Whether two programs of one story give the same answers.

A program written by a reader who saw only the story (a blind rebuild) should give the answers of
the program that the story was told from. Where it does not, story and program say different things:
the slips that no check of a single document can see, such as swapped branches of a likelihood or an
observation that the program lacks.

Per ask, over 20 bins of five answers (over the options of a `choice`):

    tv    = 0.5 sum_b |p_b - q_b|
    shift = |mean_p - mean_q| / sd of the prior

Axes: B bins, C answer cells.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ppt_jax.errors import UserError
from ppt_jax.inference.posterior import (
    ANSWERS,
    AskPosterior,
    Posterior,
    PosteriorError,
    posterior,
)
from ppt_jax.scenario.document import Ask, Scenario

Array = NDArray[np.float64]
BINS = 20


@dataclasses.dataclass(frozen=True)
class AgreementConfig:
    """When two programs count as one.

    An ask agrees when its total variation is at most `max_tv`, or, for an ordered answer, when its
    means differ by at most `max_shift` prior standard deviations.

    Attributes:
      max_tv: greatest total variation over 20 bins or options.
      max_shift: greatest distance of the means in prior standard deviations; 0 to go by the total
        variation alone.
      min_ess: effective sample size that the comparison asks for.
      least_ess: below this a comparison that does not agree is counted as undecided.
      most_particles: prior draws of one program at most.
    """

    max_tv: float = 0.1
    max_shift: float = 0.25
    min_ess: float = 2000.0
    least_ess: float = 200.0
    most_particles: int = 1 << 18

    def __post_init__(self) -> None:
        if not 0 < self.max_tv <= 1:
            raise UserError(f"agreement.max_tv: {self.max_tv} is not within 0 and 1")
        if not self.max_shift >= 0:
            raise UserError(f"agreement.max_shift: {self.max_shift} is negative")
        if not 0 < self.least_ess <= self.min_ess:
            raise UserError(
                f"agreement.least_ess: {self.least_ess} is not between 0 and min_ess "
                f"({self.min_ess})"
            )
        if self.most_particles < 1 << 13:
            raise UserError(f"agreement.most_particles: {self.most_particles} is below 8192")


@dataclasses.dataclass(frozen=True)
class AskAgreement:
    """How close two programs are in one ask.

    Attributes:
      id: of the first document's ask.
      agrees: by `AgreementConfig`.
      tv: total variation over 20 bins or options.
      shift: distance of the means in prior standard deviations; NaN for a choice among more
        than two.
      noise: what `tv` would be on average between two runs of one program.
      means: of the first and the second program, in the ask's own unit.
    """

    id: str
    agrees: bool
    tv: float
    shift: float
    noise: float
    means: tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Agreement:
    """What comparing two programs found.

    Attributes:
      asks: one entry an ask of the first document that the second has too.
      reason: empty where the programs agree; else ``disagree``, ``unmatched`` (the second lacks an
        ask, or means another kind of answer), ``impossible_evidence``, ``nonfinite_program`` or
        ``undecided`` (the evidence is too rare under one program for a verdict).
      detail: in words, with numbers.
    """

    asks: tuple[AskAgreement, ...]
    reason: str
    detail: str

    @property
    def agree(self) -> bool:
        """Whether every ask of the first document agrees."""
        return not self.reason


def compare_programs(
    first: Scenario, second: Scenario, config: AgreementConfig | None = None, *, seed: int = 0
) -> Agreement:
    """Compares the answers of two programs.

    Args:
      first: the document whose asks count; ranges of `value` asks are taken from it.
      second: another program for the same story. An ask is found by its id, else by its text;
        options by their names.
      config: thresholds.
      seed: of the prior draws, with the first document's id; an exact program needs none.

    Returns:
      The verdict, with every ask's distances.

    Example:
      >>> compare_programs(written, rebuilt).agree  # doctest: +SKIP
      True
    """
    config = config or AgreementConfig()
    pairs, unmatched = _matched(first, second)
    if unmatched:
        return Agreement((), "unmatched", "; ".join(unmatched))
    asks = tuple(other for _, other in pairs)
    found: list[Posterior] = []
    for number, document in enumerate((first, dataclasses.replace(second, ask=asks))):
        digest = hashlib.sha256(f"agreement/{seed}/{number}/{first.id}".encode()).digest()
        rng = np.random.default_rng(np.frombuffer(digest[:16], np.uint32))
        try:
            found.append(
                posterior(document, rng, min_ess=config.min_ess, most=config.most_particles)
            )
        except PosteriorError as error:
            return Agreement((), error.reason, f"{('first', 'second')[number]} program: {error}")
    noise = sum(1.0 / one.ess for one in found)
    compared = tuple(
        _compare(pair, (found[0].asks[place], found[1].asks[place]), noise, config)
        for place, pair in enumerate(pairs)
    )
    apart = [ask for ask in compared if not ask.agrees]
    if not apart:
        return Agreement(compared, "", "")
    detail = "; ".join(_words(ask) for ask in apart)
    least = min(one.ess for one in found)
    if least < config.least_ess:
        return Agreement(compared, "undecided", f"effective sample size {least:.0f}; {detail}")
    return Agreement(compared, "disagree", detail)


def _words(ask: AskAgreement) -> str:
    shift = "" if math.isnan(ask.shift) else f", means {ask.means[0]:.4g} and {ask.means[1]:.4g}"
    return f"ask {ask.id!r}: total variation {ask.tv:.2f}{shift}"


def _matched(first: Scenario, second: Scenario) -> tuple[list[tuple[Ask, Ask]], list[str]]:
    """Pairs of asks, the second's on the first's scale, and what found no partner."""
    by_id = {ask.id: ask for ask in second.ask}
    by_text = {_plain(ask.text): ask for ask in second.ask}
    pairs, unmatched = [], []
    for ask in first.ask:
        other = by_id.get(ask.id) or by_text.get(_plain(ask.text))
        if other is None:
            unmatched.append(f"ask {ask.id!r} has no partner")
        elif other.kind != ask.kind:
            unmatched.append(f"ask {ask.id!r} is a {ask.kind} here and a {other.kind} there")
        elif ask.kind == "choice" and _order(ask, other) is None:
            unmatched.append(f"ask {ask.id!r} has other options there")
        else:
            pairs.append((ask, dataclasses.replace(other, low=ask.low, high=ask.high)))
    return pairs, unmatched


def _plain(text: str) -> str:
    return " ".join("".join(c if c.isalnum() else " " for c in text.casefold()).split())


def _order(ask: Ask, other: Ask) -> list[int] | None:
    """For each option of the first, its place among the second's; None where they differ."""
    names = [_plain(name) for name in ask.options]
    places = {_plain(name): place for place, name in enumerate(other.options)}
    if len(places) != len(names) or set(places) != set(names):
        return None
    return [places[name] for name in names]


def _compare(
    pair: tuple[Ask, Ask],
    answers: tuple[AskPosterior, AskPosterior],
    noise: float,
    config: AgreementConfig,
) -> AskAgreement:
    (ask, other), (mine, theirs) = pair, answers
    p_B, q_B = _bins(ask, mine.mass_C), _bins(other, theirs.mass_C)
    means = (mine.mean, theirs.mean)
    shift = math.nan
    if ask.kind == "choice":
        order = _order(ask, other)
        assert order is not None
        q_B = q_B[order]
        means = (float(p_B[-1]), float(q_B[-1]))
    else:
        sd = mine.prior_sd or theirs.prior_sd
        gap = abs(mine.mean - theirs.mean)
        shift = gap / sd if sd > 0 else (0.0 if gap < 1e-9 else math.inf)
    tv = 0.5 * float(np.abs(p_B - q_B).sum())
    variance_B = 0.5 * (p_B + q_B) * (1.0 - 0.5 * (p_B + q_B))
    expected = 0.4 * float(np.sqrt(variance_B * noise).sum())
    near = config.max_shift > 0 and shift <= config.max_shift
    return AskAgreement(ask.id, tv <= config.max_tv or near, tv, shift, expected, means)


def _bins(ask: Ask, mass_C: Array) -> Array:
    """Answer cells -> 20 bins of five answers, with two more for what lies outside a range."""
    if ask.kind == "choice":
        return mass_C
    inner = mass_C if ask.kind == "rank" else mass_C[1:-1]
    place = np.minimum(np.arange(ANSWERS) // 5, BINS - 1)
    bins = np.bincount(place, weights=inner, minlength=BINS)
    ends = () if ask.kind == "rank" else (mass_C[0], mass_C[-1])
    return np.array([*bins, *ends], np.float64)


def as_json(agreement: Agreement) -> Mapping[str, object]:
    """The comparison as JSON types, numbers to four digits, for provenance and rejects."""
    return {
        "reason": agreement.reason,
        "asks": {
            ask.id: {
                "tv": round(ask.tv, 4),
                "shift": None if not math.isfinite(ask.shift) else round(ask.shift, 4),
            }
            for ask in agreement.asks
        },
    }
