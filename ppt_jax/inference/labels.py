"""Soft labels: an answer distribution with its error, from the sums of a route.

The error is the estimated total-variation distance between the label and the exact posterior, over
20 bins of five answers (and over all answers). Per bin the delta method on the weights gives a
standard error; ``0.4 sum_b se_b`` estimates the distance for independent particles. Sobol points do
better, and the two scrambles show by how much: the stated error is
``min(predicted, TV(scramble 1, scramble 2) + predicted / 10)``.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ppt_jax.errors import UserError
from ppt_jax.inference.points import BLOCK
from ppt_jax.inference.summary import ANSWERS, CELLS, LINEAR, RANK, Summary
from ppt_jax.scenario.document import Ask, Scenario

Array = NDArray[np.float64]
ENGINES = ("auto", "table", "tempered", "exact", "numpyro", "nuts", "eager")
COARSE_BINS = 20
RUN_BLOCK = 1024  # particles of a tempered run that are evaluated at once
# What the stated error of two tempered runs exceeds their expected error by, so that it covers the
# true one about 95 times in 100; a choice has one degree of freedom and needs more.
COVER, COVER_CHOICE = 1.25, 1.6
# The same for weighted draws that are random and not Sobol points: the 95 % point of a total
# variation over its mean, about 1.6 for histograms and 1.96 / 0.8 for one degree of freedom.
RANDOM_DRAWS = ("numpyro", "eager")
COVER_DRAWS, COVER_DRAWS_CHOICE = 1.6, 2.45
DRAWN = 100  # a rank is the number beaten of this many fresh draws from the prior


@dataclasses.dataclass(frozen=True)
class LabelConfig:
    """How scenarios are labelled, and which labels are good enough.

    A weighted label passes when its effective sample size is above `min_ess`, no particle holds
    more than `max_weight` of the weight, its stated error is below `max_error`, and either its
    predicted error is so too, or the effective sample size is above `pair_ess` and the two
    scrambles differ by less than `pair_error`. A label of two tempered runs passes when both
    reached temperature 1, kept their hard facts, moved, agree in their evidence and in the label,
    when the final moves forgot their start (or the effort before gave the same label), and the
    stated error is below `max_error`. A scenario whose labels do not all pass is tried with the
    next effort.

    Attributes:
      points: particles of each of the two scrambles, in the order they are tried. ``auto`` tries
        the first, and the others only where they promise to pass.
      max_error: total variation over 20 bins (over the options of a choice).
      min_ess, pair_ess: effective sample sizes of both scrambles or runs together.
      max_weight: greatest share of one particle.
      pair_error: total variation between the scrambles, 20 bins.
      max_outside: posterior mass that a `value` range may miss before the scenario is refused.
      engine: ``auto`` (exact where that is cheap, else weighting, else tempered runs), ``exact``,
        ``table`` (weighting only), ``tempered`` (runs only), or NumPyro's: ``numpyro``
        (enumeration, weighting, NUTS), ``nuts``, ``eager`` (weighting, not compiled).
      enumerate_limit: table entries up to which `auto` sums a discrete program exactly; beyond,
        weighting is quicker. ``engine="exact"`` has its own, larger limit.
      seed: of the points and, with the scenario's id, of the keys of runs and of NumPyro.
      particles, moves, final_moves: of each of two tempered runs: particles, moves a temperature,
        and moves at the end whose states all enter the label; one entry an effort, in the order
        they are tried.
      max_disagreement: total variation between two runs, 20 bins.
      max_evidence_gap: difference of two runs' log evidence.
      max_mixing: correlation of an ask before and after the final moves from which on a label
        must agree with the effort before.
      min_acceptance: of the final moves.
      min_valid: share of final states that keep all hard facts.
      nuts_draws: of each NUTS chain, in the order they are tried, on what every other route of
        ``auto`` refuses; empty for none, since each structure costs seconds of compilation.
        The engines ``numpyro`` and ``nuts`` take (500, 2000) where it is empty.
      program_weights: how labels of a story with several programs are averaged, ``equal`` or by
        marginal likelihood (``evidence``, see `ppt_jax.inference.averaging`).
    """

    points: tuple[int, ...] = (8192, 65536, 262144)
    max_error: float = 0.03
    min_ess: float = 200.0
    max_weight: float = 0.02
    pair_ess: float = 400.0
    pair_error: float = 0.02
    max_outside: float = 0.02
    engine: str = "auto"
    enumerate_limit: int = 1 << 20
    seed: int = 0
    particles: tuple[int, ...] = (1024, 2048, 4096)
    moves: tuple[int, ...] = (6, 15, 30)
    final_moves: tuple[int, ...] = (12, 50, 100)
    max_disagreement: float = 0.04
    max_evidence_gap: float = 1.0
    max_mixing: float = 0.3
    min_acceptance: float = 0.05
    min_valid: float = 0.5
    nuts_draws: tuple[int, ...] = ()
    program_weights: str = "equal"

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", tuple(self.points))
        if self.engine not in ENGINES:
            raise UserError(f"label.engine: {self.engine!r} is none of {', '.join(ENGINES)}")
        if self.program_weights not in ("equal", "evidence"):
            raise UserError(
                f"label.program_weights: {self.program_weights!r} is neither equal nor evidence"
            )
        if not self.points:
            raise UserError("label.points: at least one number of points is needed")
        for count in self.points:
            if not isinstance(count, int) or count < BLOCK or count & (count - 1):
                raise UserError(f"label.points: {count!r} is no power of two of at least {BLOCK}")
        self._check_runs()
        object.__setattr__(self, "nuts_draws", tuple(self.nuts_draws))
        for count in self.nuts_draws:
            if not isinstance(count, int) or count < 100:
                raise UserError(f"label.nuts_draws: {count!r} is no whole number of at least 100")
        shares = ("max_error", "max_weight", "pair_error", "max_outside", "max_disagreement")
        for name in (*shares, "max_mixing"):
            if not 0 < getattr(self, name) <= 1:
                raise UserError(f"label.{name}: {getattr(self, name)!r} is not in (0, 1]")
        for name in ("min_acceptance", "min_valid"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"label.{name}: {getattr(self, name)!r} is not in [0, 1)")
        for name in ("min_ess", "pair_ess", "enumerate_limit", "max_evidence_gap"):
            if not getattr(self, name) >= 0:
                raise UserError(f"label.{name}: {getattr(self, name)!r} is below 0")
        if not (isinstance(self.seed, int) and 0 <= self.seed < 2**31):
            raise UserError(f"label.seed: {self.seed!r} is no whole number in [0, 2**31)")

    def _check_runs(self) -> None:
        for name in ("particles", "moves", "final_moves"):
            found = tuple(getattr(self, name))
            object.__setattr__(self, name, found)
            if not found or not all(isinstance(count, int) and count > 0 for count in found):
                raise UserError(f"label.{name}: {found!r} holds no positive whole numbers")
            if len(found) != len(self.particles):
                entries = f"{len(found)} entries where label.particles has {len(self.particles)}"
                raise UserError(f"label.{name}: {entries}")
        for count in self.particles:
            if count % RUN_BLOCK:
                raise UserError(f"label.particles: {count} is no multiple of {RUN_BLOCK}")
        if sorted(set(self.particles)) != list(self.particles):
            raise UserError(f"label.particles: {self.particles!r} does not increase")


@dataclasses.dataclass(frozen=True, eq=False)
class SoftLabel:
    """The posterior of one ask over its answers.

    Attributes:
      ask_id, kind: of the ask.
      probs, prior_probs: [K] float64 that sum to one; K is 101, or the number of options.
      route: ``exact``, ``table``, ``tempered``, ``numpyro``, ``nuts``, ...
      ess: effective sample size of the weights; infinite for ``exact``.
      error: estimated total variation to the exact label over 20 bins (options for `choice`).
      error_101: the same over all answers.
      information: KL(posterior || prior) over the answers, nats.
      mass_below, mass_above: posterior mass beyond the asked range, not part of `probs`.
      true_answer: the answer of the stored truth, None where unknown or beyond the range.
      true_rank: mid-ranked posterior CDF at the stored truth, None where unknown.
      predicted, disagreement: the two parts of the error, for the gates.
      mixing: of tempered runs, correlation of the ask before and after the final moves.
    """

    ask_id: str
    kind: str
    probs: Array
    prior_probs: Array
    route: str
    ess: float
    error: float
    error_101: float
    information: float
    mass_below: float
    mass_above: float
    true_answer: int | None
    true_rank: float | None
    predicted: float = 0.0
    disagreement: float = 0.0
    mixing: float = 0.0


def label_to_dict(label: SoftLabel) -> dict[str, Any]:
    """A JSON-able row; probabilities to ten decimals, an infinite `ess` as null."""
    row = dataclasses.asdict(label)
    for key, value in row.items():
        if isinstance(value, np.ndarray):
            row[key] = [round(float(p), 10) for p in value]
        elif isinstance(value, float):
            row[key] = float(f"{value:.8g}") if math.isfinite(value) else None
    return row


def label_from_dict(row: Mapping[str, Any]) -> SoftLabel:
    """The inverse of `label_to_dict`."""
    data = dict(row)
    for key in ("probs", "prior_probs"):
        data[key] = np.asarray(data[key], np.float64)
    if data["ess"] is None:
        data["ess"] = math.inf
    return SoftLabel(**data)


@functools.cache
def rank_answers(cells: int = CELLS) -> Array:
    """[cells, 101]: probability of each rank when the prior CDF lies uniformly in a cell.

    Of 100 fresh draws from the prior, ``Binomial(100, F)`` lie below a value whose prior CDF is
    ``F``; this averages it over a cell with three Gauss points.
    """
    nodes, weights = np.polynomial.legendre.leggauss(3)
    F = (np.arange(cells)[:, None] + 0.5 + 0.5 * nodes) / cells
    pmf = stats.binom.pmf(np.arange(DRAWN + 1), DRAWN, F[..., None])
    return np.einsum("j,cjk->ck", weights / 2.0, pmf)


def ask_scale(ask: Ask) -> tuple[int, float, float]:
    """``(kind, low, scale)`` of `summary.AskArrays` for an ask."""
    if ask.kind == "rank":
        return RANK, 0.0, 1.0
    if ask.kind == "value":
        return LINEAR, ask.low, 100.0 / (ask.high - ask.low)
    return LINEAR, 0.0, (100.0 if ask.kind == "chance" else 1.0)


def answer_count(scenario: Scenario, ask: Ask) -> int:
    """Number of answers K of an ask."""
    if ask.kind != "choice":
        return ANSWERS
    if ask.options:
        return len(ask.options)
    name = getattr(ask.formula, "name", None)
    node = next((n for n in scenario.model if n.name == name), None)
    over = getattr(node.formula, "set", None) if node is not None else None
    return len(scenario.members(over)) if over else 2


def coarse_answers(label: SoftLabel) -> Array:
    """A label's probabilities over 20 bins of five answers (a choice's options as they are)."""
    if label.kind == "choice":
        return label.probs
    place = np.minimum(np.arange(ANSWERS) // 5, COARSE_BINS - 1)
    return np.bincount(place, weights=label.probs).astype(np.float64)


def total_variation(p: Array, q: Array) -> float:
    """``0.5 sum |p - q|``."""
    return 0.5 * float(np.abs(p - q).sum())


def information_gain(posterior: Array, prior: Array, particles: float) -> float:
    """KL(posterior || prior) in nats, the prior with half a particle added to each answer."""
    smooth = (prior * particles + 0.5) / (particles + 0.5 * len(prior))
    seen = posterior > 0
    return max(float(np.sum(posterior[seen] * np.log(posterior[seen] / smooth[seen]))), 0.0)


def predicted_error(h: Array, squares: Array) -> float:
    """Delta-method estimate of the expected total variation of a weighted histogram.

    Args:
      h: [B] weights by bin, of sum one.
      squares: [B] squared normalised weights by bin.
    """
    variance = squares * (1.0 - 2.0 * h) + h * h * squares.sum()
    return 0.4 * float(np.sqrt(np.maximum(variance, 0.0)).sum())


@functools.cache
def _groups(kind: int, coarse: bool) -> NDArray[np.int64]:
    """Cell -> bin of the error estimate."""
    cells = np.arange(CELLS)
    bins = COARSE_BINS if coarse else ANSWERS
    if kind == RANK:
        return cells * bins // CELLS
    if not coarse:
        return np.minimum(cells, ANSWERS + 1)
    inner = 1 + np.minimum((cells - 1) // 5, COARSE_BINS - 1)
    return np.where(cells == 0, 0, np.where(cells > ANSWERS, COARSE_BINS + 1, inner))


def _grouped(values: Array, kind: int, coarse: bool) -> Array:
    return np.bincount(_groups(kind, coarse), weights=values).astype(np.float64)


def _errors(
    parts_SC: Array, squares_C: Array, kind: int, coarse: bool, cover: float
) -> tuple[float, float, float]:
    """``(stated, predicted, disagreement)``; parts are each scramble's normalised cells.

    Sobol points do better than predicted, and two scrambles show by how much. Random draws do as
    predicted on average (`cover` 0 means Sobol points): their stated error is `cover` times that.
    """
    pooled = _grouped(parts_SC.mean(axis=0), kind, coarse)
    predicted = predicted_error(pooled, _grouped(squares_C, kind, coarse))
    smooth = parts_SC
    if kind == RANK:  # the answers of a rank are smoother than its cells
        smooth = np.zeros_like(parts_SC)
        smooth[:, 1 : ANSWERS + 1] = parts_SC @ rank_answers()
        kind = LINEAR
    first, second = (_grouped(part, kind, coarse) for part in smooth)
    disagreement = total_variation(first, second)
    stated = cover * predicted if cover else min(predicted, disagreement + 0.1 * predicted)
    return stated, predicted, disagreement


def weighted_label(
    scenario: Scenario, place: int, summary: Summary, slot: int, truth: float, route: str
) -> SoftLabel:
    """The label of one ask from a summary with positive weights.

    Args:
      scenario: the document.
      place: index of the ask in the document.
      summary: numpy arrays of one program.
      slot: index of the ask in the summary.
      truth: the ask's true value, NaN where unknown.
      route: name of the route.

    Returns:
      The label; mass beyond the range is reported and the rest renormalised.
    """
    ask = scenario.ask[place]
    kind = ask_scale(ask)[0]
    sums_S = np.asarray(summary.sum_S, np.float64)
    total = sums_S.sum()
    cells_SC = np.asarray(summary.cells_ASC[slot], np.float64)
    parts_SC = cells_SC / np.where(sums_S > 0, sums_S, 1.0)[:, None]
    squares_C = np.asarray(summary.squares_AC[slot], np.float64) / total**2
    coarse = ask.kind != "choice"
    cover = (COVER_DRAWS if coarse else COVER_DRAWS_CHOICE) if route in RANDOM_DRAWS else 0.0
    error, predicted, disagreement = _errors(parts_SC, squares_C, kind, coarse, cover)
    return _label(
        scenario,
        place,
        cells_SC.sum(axis=0) / total,
        np.asarray(summary.prior_AC[slot], np.float64),
        truth,
        float(summary.below_A[slot] + 0.5 * summary.at_A[slot]) / total,
        float(summary.rank_A[slot]),
        math.exp(min(float(summary.log_scale), 30.0)),
        route=route,
        ess=total**2 / float(summary.square),
        error=error,
        error_101=_errors(parts_SC, squares_C, kind, False, cover)[0],
        predicted=predicted,
        disagreement=disagreement,
    )


def _label(
    scenario: Scenario,
    place: int,
    cells_C: Array,
    prior_C: Array,
    truth: float,
    truth_cdf: float,
    truth_prior_cdf: float,
    prior_particles: float,
    **rest: Any,
) -> SoftLabel:
    """A label from normalised answer cells; mass beyond the range is reported, not kept."""
    ask = scenario.ask[place]
    kind, low, scale = ask_scale(ask)
    prior_C = prior_C / max(prior_C.sum(), 1e-300)
    known = math.isfinite(truth)
    reached = (truth - low) * scale + 0.5
    true_answer = math.floor(reached) if math.isfinite(reached) else None
    below = above = 0.0
    if kind == RANK:
        matrix = rank_answers()
        posterior, prior = cells_C @ matrix, prior_C @ matrix
        true_answer = round(DRAWN * truth_prior_cdf) if known else None
    else:
        count = answer_count(scenario, ask)
        posterior, prior = cells_C[1 : count + 1], prior_C[1 : count + 1]
        below, above = float(cells_C[0]), float(cells_C[count + 1 :].sum())
        if true_answer is not None and not 0 <= true_answer < count:
            true_answer = None
    posterior = posterior / max(posterior.sum(), 1e-300)
    prior = prior / max(prior.sum(), 1e-300) if prior.sum() > 0 else np.full_like(prior, np.nan)
    prior = np.where(np.isnan(prior), 1.0 / len(prior), prior)
    return SoftLabel(
        ask_id=ask.id,
        kind=ask.kind,
        probs=posterior,
        prior_probs=prior,
        information=information_gain(posterior, prior, prior_particles),
        mass_below=below,
        mass_above=above,
        true_answer=true_answer,
        true_rank=min(max(truth_cdf, 0.0), 1.0) if known else None,
        **rest,
    )


def _binned(cells_XC: Array, kind: int, coarse: bool) -> Array:
    """[X, bins]: cells as the bins of the error estimate, ranks smoothed into answers first."""
    if kind == RANK:
        smooth = np.zeros_like(cells_XC)
        smooth[:, 1 : ANSWERS + 1] = cells_XC @ rank_answers()
        cells_XC = smooth
    return np.stack([_grouped(row, LINEAR, coarse) for row in cells_XC])


def run_errors(
    cells_SGC: Array, totals_SG: Array, kind: int, coarse: bool, choice: bool = False
) -> tuple[float, float, float]:
    """``(stated, predicted, disagreement)`` of the average of two runs.

    Groups of neighbouring particles share no ancestor but for a few at their edges, so the spread
    of the groups' histograms holds both what the particles share by descent and what their states
    share along the final moves: per bin ``var = sum_g (n_g / n)^2 (h_g - h)^2 G / (G - 1)``.

    Args:
      cells_SGC: states by run, group and answer cell.
      totals_SG: all states of a group.
      kind: LINEAR or RANK.
      coarse: 20 bins of five answers, else all answers.
      choice: whether the answers are a choice's options.

    Returns:
      The stated error is ``cover sqrt(predicted^2 + (disagreement / 2)^2)``: half the distance of
      two runs estimates the error of their average as the groups do, and sees what all groups of
      a run share.
    """
    runs, groups, cells = cells_SGC.shape
    flat = _binned(cells_SGC.reshape(runs * groups, cells), kind, coarse)
    h_SGB = flat.reshape(runs, groups, -1)
    share_SG = totals_SG / np.maximum(totals_SG.sum(axis=1, keepdims=True), 1.0)
    h_SB = h_SGB.sum(axis=1) / np.maximum(totals_SG.sum(axis=1), 1.0)[:, None]
    own_SGB = h_SGB / np.maximum(totals_SG, 1.0)[:, :, None]
    spread_SGB = (share_SG[:, :, None] * (own_SGB - h_SB[:, None])) ** 2
    variance_B = spread_SGB.sum(axis=(0, 1)) * groups / (groups - 1) / runs**2
    # where no state lies elsewhere, as many may have been missed as one a group
    least = groups / max(float(totals_SG.sum()), 1.0)
    predicted = max(0.4 * float(np.sqrt(variance_B).sum()), least)
    disagreement = total_variation(h_SB[0], h_SB[1])
    cover = COVER_CHOICE if choice else COVER
    return cover * math.hypot(predicted, 0.5 * disagreement), predicted, disagreement


def _equivalent_draws(independent: float, predicted: float, states: float) -> float:
    """Number of independent draws with the same predicted error; at most all states."""
    return min((independent / predicted) ** 2, states) if independent > 0.0 else states


def tempered_label(
    scenario: Scenario, place: int, start: Any, runs: Sequence[Any], slot: int, truth: float
) -> SoftLabel:
    """The label of one ask: the average of two runs of tempered SMC.

    Args:
      scenario: the document.
      place: index of the ask in the document.
      start: the prior's sums (`tempered_route.Start`, numpy).
      runs: both runs (`tempered.Run`, numpy) with some valid states.
      slot: index of the ask in them.
      truth: the ask's true value, NaN where unknown.
    """
    ask = scenario.ask[place]
    kind = ask_scale(ask)[0]
    totals_SG = np.stack([np.asarray(run.sum_G, np.float64) for run in runs])
    cells_SGC = np.stack([np.asarray(run.cells_AGC[slot], np.float64) for run in runs])
    totals_S = np.maximum(totals_SG.sum(axis=1), 1.0)
    coarse = ask.kind != "choice"
    error, predicted, disagreement = run_errors(
        cells_SGC, totals_SG, kind, coarse, ask.kind == "choice"
    )
    pooled_C = (cells_SGC.sum(axis=1) / totals_S[:, None]).mean(axis=0)
    below, at = (
        float(np.mean([getattr(run, name)[slot] / n for run, n in zip(runs, totals_S)]))
        for name in ("below_A", "at_A")
    )
    h_B = _binned(pooled_C[None], kind, coarse)[0]
    independent = 0.4 * float(np.sqrt(np.maximum(h_B * (1.0 - h_B), 0.0)).sum())
    return _label(
        scenario,
        place,
        pooled_C,
        np.asarray(start.prior_AC[slot], np.float64),
        truth,
        below + 0.5 * at,
        float(start.rank_A[slot]),
        math.exp(min(float(start.log_scale), 30.0)),
        route="tempered",
        ess=_equivalent_draws(independent, predicted, float(totals_S.sum())),
        error=error,
        error_101=run_errors(cells_SGC, totals_SG, kind, False, ask.kind == "choice")[0],
        predicted=predicted,
        disagreement=disagreement,
        mixing=max(float(run.mixing_A[slot]) for run in runs),
    )
