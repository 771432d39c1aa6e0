"""What a reader computes from the story alone is what the program answers.

The oracles parse the sentences, not the formulas, so they catch a story that tells another model.
"""

import re

import numpy as np
import pytest
from scipy import stats

from ppt_jax.authoring.compose import Plan, write_scenario
from ppt_jax.authoring.draft import Knobs
from ppt_jax.authoring.motif import find_motifs
from ppt_jax.authoring.wording import read_numbers
from ppt_jax.inference.program import lower
from ppt_jax.inference.simulate import node_values
from ppt_jax.scenario.document import Scenario

PARTICLES = 60_000
SEEDS = 12


def _scenario(motif: str, seed: int, entities: tuple[int, int] = (2, 6)) -> Scenario:
    (found,) = find_motifs(motif)
    skins = found.skins()
    plan = Plan(
        id=f"{motif}-{seed}",
        motif=found,
        skin=skins[seed % len(skins)],
        genre="plain",
        asides=0,
        knobs=Knobs(entities=entities),
        split="test",
        key=(seed, 17),
    )
    return write_scenario(plan).scenario


def _mean(scenario: Scenario, expr: str) -> tuple[float, float]:
    """Posterior mean of the ask with that formula and its standard error, by weighting."""
    program = lower(scenario)
    values = node_values(program.nodes, np.random.default_rng(3), PARTICLES)
    size = (PARTICLES,)
    total_P = np.sum([np.broadcast_to(values[i], size) for i in program.loglik], axis=0)
    weights_P = np.exp(total_P - total_P.max())
    weights_P /= weights_P.sum()
    number = next(n for n, ask in enumerate(scenario.ask) if ask.expr == expr)
    ask_P = np.broadcast_to(values[program.asks[number]], size).astype(float)
    mean = float(weights_P @ ask_P)
    error = float(np.sqrt(np.sum(weights_P**2 * (ask_P - mean) ** 2)))
    return mean, error


def _agrees(scenario: Scenario, expr: str, wanted: float) -> None:
    mean, error = _mean(scenario, expr)
    assert mean == pytest.approx(wanted, abs=5 * error + 1e-9), scenario.story


def _numbers(text: str) -> list[float]:
    return [r.value for r in read_numbers(text.replace("one standard deviation", ""))]


def _sentence(story: str, *parts: str) -> str:
    sentences = re.split(r"(?<=[.?])\s+(?=[A-Z0-9])", story)
    return next(text for text in sentences if any(part in text for part in parts))


def _share_grid(sentence: str) -> tuple[np.ndarray, np.ndarray]:
    """Midpoints within (0, 1) and prior weights of a told share."""
    grid = (np.arange(4000) + 0.5) / 4000
    low, high = _numbers(sentence)[:2]
    if "standard deviation" in sentence:
        strength = low * (1 - low) / high**2 - 1
        return grid, stats.beta(low * strength, (1 - low) * strength).pdf(grid)
    return grid, ((grid >= low) & (grid <= high)).astype(float)


def _amount(sentence: str) -> tuple[np.ndarray, np.ndarray]:
    """A grid and prior weights of a told amount above zero."""
    first, second = _numbers(sentence)[:2]
    if "log-normal" in sentence:
        law = stats.lognorm(np.log(second), scale=first)
    else:
        law = stats.gamma((first / second) ** 2, scale=second**2 / first)
    grid = law.ppf((np.arange(6000) + 0.5) / 6000)
    return grid, np.ones_like(grid)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_success_rate_of_one_source(seed: int) -> None:
    scenario = _scenario("success_rate", seed, entities=(1, 1))
    grid, weights = _share_grid(_sentence(scenario.story, "percent"))
    seen = _sentence(scenario.story, "Of ", "were followed")
    tried, worked = _numbers(seen)[:2]
    weights = weights * stats.binom.pmf(worked, tried, grid)
    chance = next(ask for ask in scenario.ask if ask.kind == "chance" and "**" not in ask.expr)
    _agrees(scenario, chance.expr, float(weights @ grid / weights.sum()))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_signal_detection_by_bayes(seed: int) -> None:
    """Base rate, hits and false alarms as told; which way each test came out as told."""
    scenario = _scenario("signal_detection", seed)
    skin = next(s for s in find_motifs("signal_detection")[0].skins() if s.name == scenario.skin)
    rules = re.split(r"(?<=\.)\s+", scenario.story)
    base = next(_numbers(text)[0] for text in rules if f" {skin.items} {skin.bad_are}" in text)
    odds = base / (1 - base)
    told: dict[str, list[float]] = {}
    for test in skin.tests:
        rule = next((t for t in rules if test.fires in t and len(_numbers(t)) == 2), "")
        if not rule:
            continue
        hit, false = told[test.noun] = _numbers(rule)
        fired = f", the {test.noun} {test.fired}." in scenario.story
        assert fired != (f", the {test.noun} {test.silent}." in scenario.story)
        odds *= hit / false if fired else (1 - hit) / (1 - false)
    if f"{skin.scale} averages" in scenario.story:
        rule = next(t for t in rules if f"{skin.scale} averages" in t)
        bad, good, noise = _numbers(rule)
        value = _numbers(
            next(t for t in rules if f"gave a {skin.scale}" in t or f"gave an {skin.scale}" in t)
        )[0]
        odds *= stats.norm.pdf(value, bad, noise) / stats.norm.pdf(value, good, noise)
    bad = odds / (1 + odds)
    _agrees(scenario, skin.bad, bad)
    for ask in scenario.ask:
        if ask.kind == "chance" and "repeated" in ask.text:
            hit, false = told[next(noun for noun in told if f"the {noun} " in ask.text)]
            _agrees(scenario, ask.expr, bad * hit + (1 - bad) * false)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_arrival_rate_from_counts_and_earlier_spells(seed: int) -> None:
    scenario = _scenario("arrival_rate", seed)
    grid, weights = _amount(_sentence(scenario.story, "usual number"))
    for count in _numbers(_sentence(scenario.story, "The count at")):
        weights = weights * stats.poisson.pmf(count, grid)
    if "taken together" in scenario.story:
        spell, count = _numbers(_sentence(scenario.story, "taken together"))
        weights = weights * stats.poisson.pmf(count, spell * grid)
    _agrees(scenario, "rate", float(weights @ grid / weights.sum()))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_serial_numbers_by_enumeration_over_sizes(seed: int) -> None:
    scenario = _scenario("serial_numbers", seed)
    prior = next(
        text
        for text in re.split(r"(?<=\.)\s+", scenario.story)
        if "all sizes" in text or "log-normal" in text or "gamma" in text
    )
    if "all sizes" in prior:
        low, high = _numbers(prior)[:2]
        grid = np.linspace(low, high, 20_001)
        weights = np.ones_like(grid)
    else:
        grid, weights = _amount(prior)
    sizes = np.maximum(1, np.round(grid))
    for seen in re.findall(r"[Nn]umber (\d+) ", scenario.story):
        weights = weights * (sizes >= int(seen)) / sizes
    mean = float(weights @ sizes / weights.sum())
    posterior, error = _mean(scenario, "whole")
    assert posterior == pytest.approx(mean, abs=5 * error + 0.003 * mean), scenario.story


@pytest.mark.parametrize("seed", range(SEEDS))
def test_mark_recapture_from_marked_shares(seed: int) -> None:
    scenario = _scenario("mark_recapture", seed)
    grid, weights = _amount(_sentence(scenario.story, "without a mark"))
    marks = _numbers(_sentence(scenario.story, "exactly"))[0]
    share = marks / (marks + grid)
    for caught, again in re.findall(r"(\d+)(?: were \w+,| \w+, and) (\d+) of them", scenario.story):
        weights = weights * stats.binom.pmf(int(again), int(caught), share)
    _agrees(scenario, "in_all", float(weights @ (marks + grid) / weights.sum()))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_fair_or_trick_by_bayes_over_kinds(seed: int) -> None:
    scenario = _scenario("fair_or_trick", seed)
    kinds = scenario.members("kind")
    shares = _numbers(_sentence(scenario.story, "the rest are"))
    prior = np.array([1 - sum(shares), *shares])
    rates = np.array(_numbers(_sentence(scenario.story, "depends on its kind").split(":")[1]))
    assert len(rates) == len(prior) == len(kinds)
    hits, tried = (int(n) for n in re.findall(r"in (\d+) of (\d+) ", scenario.story)[0])
    posterior = prior * stats.binom.pmf(hits, tried, rates)
    posterior /= posterior.sum()
    _agrees(scenario, "hit_p", float(posterior @ rates))
    _agrees(scenario, "what", float(posterior @ np.arange(len(kinds))))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_copied_witnesses_by_enumeration(seed: int) -> None:
    """Truth by truth: the first speaker errs alone, later ones copy or look for themselves."""
    scenario = _scenario("copied_witnesses", seed)
    options = scenario.members("option")
    prior_rule = _sentence(scenario.story, "equally likely", "as likely as any")
    favourite = next((n for n in _numbers(prior_rule) if n < 1), None)
    prior = np.full(len(options), 1 / len(options))
    if favourite is not None:
        prior = np.full(len(options), (1 - favourite) / (len(options) - 1))
        prior[0] = favourite
    right = _numbers(_sentence(scenario.story, "looks for themselves"))[0]
    copies = _numbers(_sentence(scenario.story, "spoke first"))[0]
    reports = [options.index(given.that.split("'")[1]) for given in scenario.given]
    own = np.full((len(options), len(options)), (1 - right) / (len(options) - 1))
    np.fill_diagonal(own, right)
    likelihood = prior * own[:, reports[0]]
    for report in reports[1:]:
        likelihood = likelihood * (copies * (report == reports[0]) + (1 - copies) * own[:, report])
    posterior = likelihood / likelihood.sum()
    _agrees(scenario, f"truth == {options[reports[0]]!r}", float(posterior[reports[0]]))
    _agrees(scenario, f"own[{options[reports[0]]!r}]", float(posterior @ own[:, reports[0]]))
