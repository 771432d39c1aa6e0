"""The checks c1-c8 that every scenario passes before it is kept, from any author.

Text checks compare the story with the program; statistics checks weight prior particles in numpy
(`ppt_jax.inference.simulate`), with one log-likelihood a given, so that leaving one out is only a
reweighting. Particles P, asks A, givens G, latents L.

Every check looks at the document (and its data) only, never at the hidden truth: rejecting a
scenario therefore leaves its posterior, and the calibration of labels against truth, intact.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppt_jax.authoring.findings import Finding
from ppt_jax.authoring.program_numbers import constants
from ppt_jax.authoring.text_checks import check_text
from ppt_jax.errors import UserError
from ppt_jax.inference.program import Program, lower
from ppt_jax.inference.simulate import node_values, sample_prior
from ppt_jax.scenario.document import Ask, Scenario, elements, flat_name
from ppt_jax.scenario.expression import Compare, Index, Label, Name

Array = NDArray[Any]


@dataclasses.dataclass(frozen=True)
class CheckConfig:
    """Thresholds of the checks.

    Attributes:
      particles: prior particles behind the statistics.
      min_ess: smallest effective sample size of the weights (c3).
      prior_tail: an observed value must not lie in a tail of its prior predictive this thin (c2).
      min_move: an ask must move by this much, as the largest difference between the cumulative
        distributions before and after the evidence (c4b).
      max_certain: no option of a choice, and no twentieth of a range, may hold more mass (c4).
      max_outside: most posterior mass outside the range of a value ask (c4).
      min_influence: leaving an observation out must change some answer by this much (c8).
      max_words: longest story (length); 0 for no limit.
    """

    particles: int = 4096
    min_ess: float = 100.0
    prior_tail: float = 0.002
    min_move: float = 0.06
    max_certain: float = 0.985
    max_outside: float = 0.02
    min_influence: float = 0.002
    max_words: int = 160

    def __post_init__(self) -> None:
        if self.particles < 256:
            raise UserError(f"checks.particles: {self.particles} is too few, at least 256")
        if self.max_words < 0:
            raise UserError(f"checks.max_words: {self.max_words} is negative; 0 is no limit")
        for field in ("prior_tail", "min_move", "max_certain", "max_outside", "min_influence"):
            value = getattr(self, field)
            if not 0 <= value <= 1:
                raise UserError(f"checks.{field}: {value} is not within 0 and 1")


@dataclasses.dataclass(frozen=True)
class AskStatistics:
    """How evidence changes one ask.

    Attributes:
      move: largest difference between the cumulative distributions of prior and posterior.
      top: mass of the likeliest option (choice) or twentieth of the range.
      outside: posterior mass outside a value ask's range.
      influence_G: the same difference when given g is left out.
      latents: numbers of the draws that it depends on.
      mass, before: posterior and prior mass by bin.
      edges: upper edges of all bins but the last; a value belongs to the first that is not below.
    """

    move: float
    top: float
    outside: float
    influence_G: tuple[float, ...]
    latents: frozenset[int]
    mass: Array = dataclasses.field(repr=False, compare=False)
    before: Array = dataclasses.field(repr=False, compare=False)
    edges: Array = dataclasses.field(repr=False, compare=False)


@dataclasses.dataclass(frozen=True)
class Statistics:
    """Result of the statistics checks.

    Attributes:
      ess: effective sample size.
      asks: one entry an ask.
      latents_G: numbers of the unobserved draws that the likelihood of each given depends on.
    """

    ess: float
    asks: tuple[AskStatistics, ...]
    latents_G: tuple[frozenset[int], ...]


def check_prior(
    scenario: Scenario, prior: Mapping[str, Array], config: CheckConfig
) -> list[Finding]:
    """c2: observed values lie inside their prior predictive.

    Args:
      scenario: the document.
      prior: flat name -> prior samples of (at least) the observed draws.
      config: thresholds.
    """
    findings = []
    for flat, value in observed_values(scenario).items():
        samples = prior[flat]
        below, above = np.mean(samples <= value), np.mean(samples >= value)
        if min(below, above) < config.prior_tail:
            findings.append(
                Finding("c2_prior", f"{flat} = {value:g} is outside its prior predictive")
            )
    return findings


def check_length(scenario: Scenario, config: CheckConfig) -> list[Finding]:
    """The story has at most `max_words` words."""
    words = len(scenario.story.split())
    if config.max_words and words > config.max_words:
        return [Finding("length", f"{words} words, at most {config.max_words}")]
    return []


def observed_values(scenario: Scenario) -> dict[str, float]:
    """Observed draws by flat name; picks as positions, soft and hard facts left out."""
    nodes = {node.name: node for node in scenario.model}
    found = {}
    for given in scenario.given:
        formula = given.formula
        if not isinstance(formula, Compare) or formula.op != "==":
            continue
        target, value = formula.left, formula.right
        if isinstance(target, Name):
            name, labels = target.name, tuple[str, ...]()
        elif isinstance(target, Index):
            name = target.name
            labels = tuple(i.text for i in target.indices if isinstance(i, Label))
        else:
            continue
        node = nodes.get(name)
        if node is None or node.kind != "draw" or len(labels) != len(node.per):
            continue
        if isinstance(value, Label):
            members = next(s.members for s in scenario.sets if value.text in s.members)
            found[flat_name(name, labels)] = float(members.index(value.text))
        else:
            constant = next(constants(value), None)
            if constant is not None:
                found[flat_name(name, labels)] = constant
    return found


def measure(
    scenario: Scenario, config: CheckConfig, rng: np.random.Generator
) -> tuple[Statistics | None, list[Finding]]:
    """c3 (possible, enough effective samples) and what each ask does under the evidence.

    Args:
      scenario: the document with all asks to be measured.
      config: thresholds and number of particles.
      rng: source of the particles.

    Returns:
      Statistics (None when the evidence is impossible) and findings of c3.
    """
    program = lower(scenario)
    values = node_values(program.nodes, rng, config.particles)
    size = (config.particles,)
    loglik_GP = np.array([np.broadcast_to(values[i], size) for i in program.loglik])
    loglik_GP = loglik_GP.reshape(-1, config.particles)
    if np.isnan(loglik_GP).any():
        return None, [Finding("c3_possible", "a log-likelihood is not a number")]
    total_P = loglik_GP.sum(axis=0)
    top = total_P.max(initial=-np.inf)
    if not np.isfinite(top):
        return None, [Finding("c3_possible", "no prior particle can show this evidence")]
    weights_P = _weights(total_P)
    ess = 1.0 / float(np.sum(weights_P**2))
    findings = []
    if ess < config.min_ess:
        findings.append(Finding("c3_ess", f"effective sample size {ess:.0f}"))
    without_GP = [_without(loglik_GP, g) for g in range(len(loglik_GP))]
    above = _latents_above(program)
    asks = []
    for ask, post, prior in zip(scenario.ask, program.asks, program.ask_priors, strict=True):
        post_P = np.broadcast_to(values[post], size)
        prior_P = np.broadcast_to(values[prior], size)
        asks.append(_ask_statistics(ask, post_P, prior_P, weights_P, without_GP, above[post]))
    return Statistics(ess, tuple(asks), tuple(above[i] for i in program.loglik)), findings


def _weights(loglik_P: Array) -> Array:
    weights_P = np.exp(loglik_P - loglik_P.max())
    return weights_P / weights_P.sum()


def _without(loglik_GP: Array, given: int) -> Array:
    rest_P = np.delete(loglik_GP, given, axis=0).sum(axis=0)
    if not np.isfinite(rest_P.max(initial=-np.inf)):
        rest_P = np.zeros(loglik_GP.shape[1])
    return _weights(rest_P)


def _ask_statistics(
    ask: Ask,
    post_P: Array,
    prior_P: Array,
    weights_P: Array,
    without_GP: Sequence[Array],
    latents: frozenset[int],
) -> AskStatistics:
    """Works on 21 bins (20 and one for what lies above; below falls into the first)."""
    if ask.kind == "choice":
        edges = np.arange(len(ask.options) - 1) + 0.5
        outside = 0.0
    else:
        if ask.kind == "rank":
            edges = np.quantile(prior_P, np.linspace(0.05, 0.95, 19))
            outside = 0.0
        else:
            low, high = (ask.low, ask.high) if ask.kind == "value" else (0.0, 1.0)
            edges = np.linspace(low, high, 21)[1:]
            away_P = (post_P < low) | (post_P > high)
            outside = float(weights_P[away_P].sum())
    bins = len(edges) + 1
    bin_P = np.searchsorted(edges, post_P)
    mass = np.bincount(bin_P, weights_P, bins)
    before = np.bincount(np.searchsorted(edges, prior_P), minlength=bins) / len(prior_P)
    influence = [_distance(mass, np.bincount(bin_P, weights, bins)) for weights in without_GP]
    move = _distance(mass, before)
    top = float(mass.max())
    return AskStatistics(move, top, outside, tuple(influence), latents, mass, before, edges)


def _distance(mass: Array, other: Array) -> float:
    return float(np.abs(np.cumsum(mass - other)).max())


def check_ask(statistics: AskStatistics, config: CheckConfig) -> str:
    """Why an ask cannot be kept: "c4_range", "c4_certain", "c4b_moves", or "" when it can."""
    if statistics.outside > config.max_outside:
        return "c4_range"
    if statistics.top > config.max_certain:
        return "c4_certain"
    if statistics.move < config.min_move:
        return "c4b_moves"
    return ""


def check_influence(
    scenario: Scenario,
    statistics: Statistics,
    config: CheckConfig,
    rng: np.random.Generator,
) -> list[Finding]:
    """c8: leaving out any one observation changes some answer, and is linked to an ask at all.

    An observation whose words stand in an aside is declared to bear on nothing, and passed over.

    Reweighting shows it for an observation whose likelihood depends on something hidden. One whose
    own value feeds other nodes (a cause that became known) is measured again without it.

    Args:
      scenario: the document with the asks that are kept.
      statistics: measured on the same asks, in the same order.
      config: thresholds.
      rng: source of particles for the second measurement.
    """
    findings = []
    for number, (given, linked) in enumerate(zip(scenario.given, _linked(statistics), strict=True)):
        if given.says and any(given.says in aside for aside in scenario.asides):
            continue
        influence = max((ask.influence_G[number] for ask in statistics.asks), default=0.0)
        if linked and influence >= config.min_influence:
            continue
        rest = tuple(other for other in scenario.given if other is not given)
        again, _ = measure(dataclasses.replace(scenario, given=rest), config, rng)
        if again is not None:
            change = max(
                (
                    _distance(ask.mass, other.mass)
                    for ask, other in zip(statistics.asks, again.asks, strict=True)
                ),
                default=0.0,
            )
            if change > 2.5 / np.sqrt(min(statistics.ess, again.ess)):
                continue
        findings.append(Finding("c8_influence", f"no answer depends on {given.that}"))
    return findings


def _linked(statistics: Statistics) -> list[bool]:
    """Per given, whether some path of shared unobserved draws leads from it to an ask."""
    groups = statistics.latents_G
    reached = set().union(*(ask.latents for ask in statistics.asks))
    changed = True
    while changed:
        changed = False
        for group in groups:
            if group & reached and not group <= reached:
                reached |= group
                changed = True
    return [bool(group & reached) for group in groups]


def _latents_above(program: Program) -> list[frozenset[int]]:
    above: list[frozenset[int]] = []
    for node in program.nodes:
        if node.op.startswith("draw:"):
            own = frozenset((int(node.value),))
        else:
            own = frozenset()
        above.append(own.union(*(above[arg] for arg in node.args)))
    return above


def check_scenario(
    scenario: Scenario, config: CheckConfig, rng: np.random.Generator
) -> list[Finding]:
    """All checks on a finished document of any author, every ask held to c4.

    Args:
      scenario: a parsed document.
      config: thresholds.
      rng: source of the particles.

    Returns:
      Findings, empty for a sound scenario.
    """
    findings = check_length(scenario, config) + check_text(scenario)
    prior = sample_prior(scenario, rng, config.particles)
    findings += check_prior(scenario, prior, config)
    findings += check_truth(scenario)
    statistics, failed = measure(scenario, config, rng)
    findings += failed
    if statistics is not None:
        for ask, measured in zip(scenario.ask, statistics.asks, strict=True):
            reason = check_ask(measured, config)
            if reason:
                findings.append(Finding(reason, f"{ask.id}: {ask.text}"))
        findings += check_influence(scenario, statistics, config, rng)
    return findings


def check_truth(scenario: Scenario) -> list[Finding]:
    """The stored truth has every scalar draw and agrees with the observed ones."""
    if scenario.evidence != "simulated":
        return []
    wanted = {
        flat_name(node.name, labels)
        for node in scenario.model
        if node.kind == "draw"
        for labels in elements(scenario, node)
    }
    findings = [
        Finding("truth", f"the truth lacks or does not know {name}")
        for name in sorted(wanted ^ set(scenario.truth))
    ]
    for flat, value in observed_values(scenario).items():
        if abs(scenario.truth.get(flat, value) - value) > 1e-9:
            findings.append(Finding("truth", f"{flat} is told as {value:g}, drawn otherwise"))
    return findings
