"""What a reader computes from the story alone is what the program answers.

The oracles parse the sentences, not the formulas, so they catch a story that tells another model.
"""

import re

import numpy as np
import pytest
from scipy import stats

from ppt_jax.authoring.motif import find_motifs
from tests.authoring.story_reading import (
    agrees,
    amount_grid,
    numbers,
    posterior_means,
    sentence,
    share_grid,
    story_of,
)

SEEDS = 12


@pytest.mark.parametrize("seed", range(SEEDS))
def test_success_rate_of_one_source(seed: int) -> None:
    scenario = story_of("success_rate", seed, entities=(1, 1))
    grid, weights = share_grid(sentence(scenario.story, "percent"))
    seen = sentence(scenario.story, "Of ", "were followed")
    tried, worked = numbers(seen)[:2]
    weights = weights * stats.binom.pmf(worked, tried, grid)
    chance = next(ask for ask in scenario.ask if ask.kind == "chance" and "**" not in ask.expr)
    agrees(scenario, {chance.expr: float(weights @ grid / weights.sum())})


@pytest.mark.parametrize("seed", range(SEEDS))
def test_signal_detection_by_bayes(seed: int) -> None:
    """Base rate, hits and false alarms as told; which way each test came out as told."""
    scenario = story_of("signal_detection", seed)
    skin = next(s for s in find_motifs("signal_detection")[0].skins() if s.name == scenario.skin)
    rules = re.split(r"(?<=\.)\s+", scenario.story)
    base = next(numbers(text)[0] for text in rules if f" {skin.items} {skin.bad_are}" in text)
    odds = base / (1 - base)
    told: dict[str, list[float]] = {}
    for test in skin.tests:
        rule = next((t for t in rules if test.fires in t and len(numbers(t)) == 2), "")
        if not rule:
            continue
        hit, false = told[test.noun] = numbers(rule)
        fired = f", the {test.noun} {test.fired}." in scenario.story
        assert fired != (f", the {test.noun} {test.silent}." in scenario.story)
        odds *= hit / false if fired else (1 - hit) / (1 - false)
    if f"{skin.scale} averages" in scenario.story:
        rule = next(t for t in rules if f"{skin.scale} averages" in t)
        bad, good, noise = numbers(rule)
        value = numbers(
            next(t for t in rules if f"gave a {skin.scale}" in t or f"gave an {skin.scale}" in t)
        )[0]
        odds *= stats.norm.pdf(value, bad, noise) / stats.norm.pdf(value, good, noise)
    bad = odds / (1 + odds)
    agrees(scenario, {skin.bad: bad})
    for ask in scenario.ask:
        if ask.kind == "chance" and "repeated" in ask.text:
            hit, false = told[next(noun for noun in told if f"the {noun} " in ask.text)]
            agrees(scenario, {ask.expr: bad * hit + (1 - bad) * false})


@pytest.mark.parametrize("seed", range(SEEDS))
def test_arrival_rate_from_counts_and_earlier_spells(seed: int) -> None:
    scenario = story_of("arrival_rate", seed)
    grid, weights = amount_grid(sentence(scenario.story, "usual number"))
    for count in numbers(sentence(scenario.story, "The count at")):
        weights = weights * stats.poisson.pmf(count, grid)
    if "taken together" in scenario.story:
        spell, count = numbers(sentence(scenario.story, "taken together"))
        weights = weights * stats.poisson.pmf(count, spell * grid)
    agrees(scenario, {"rate": float(weights @ grid / weights.sum())})


@pytest.mark.parametrize("seed", range(SEEDS))
def test_serial_numbers_by_enumeration_over_sizes(seed: int) -> None:
    scenario = story_of("serial_numbers", seed)
    prior = next(
        text
        for text in re.split(r"(?<=\.)\s+", scenario.story)
        if "all sizes" in text or "log-normal" in text or "gamma" in text
    )
    if "all sizes" in prior:
        low, high = numbers(prior)[:2]
        grid = np.linspace(low, high, 20_001)
        weights = np.ones_like(grid)
    else:
        grid, weights = amount_grid(prior)
    sizes = np.maximum(1, np.round(grid))
    for seen in re.findall(r"[Nn]umber (\d+) ", scenario.story):
        weights = weights * (sizes >= int(seen)) / sizes
    mean = float(weights @ sizes / weights.sum())
    posterior, error = posterior_means(scenario)["whole"]
    assert posterior == pytest.approx(mean, abs=5 * error + 0.003 * mean), scenario.story


@pytest.mark.parametrize("seed", range(SEEDS))
def test_mark_recapture_from_marked_shares(seed: int) -> None:
    scenario = story_of("mark_recapture", seed)
    grid, weights = amount_grid(sentence(scenario.story, "without a mark"))
    marks = numbers(sentence(scenario.story, "exactly"))[0]
    share = marks / (marks + grid)
    for caught, again in re.findall(r"(\d+)(?: were \w+,| \w+, and) (\d+) of them", scenario.story):
        weights = weights * stats.binom.pmf(int(again), int(caught), share)
    agrees(scenario, {"in_all": float(weights @ (marks + grid) / weights.sum())})


@pytest.mark.parametrize("seed", range(SEEDS))
def test_fair_or_trick_by_bayes_over_kinds(seed: int) -> None:
    scenario = story_of("fair_or_trick", seed)
    kinds = scenario.members("kind")
    shares = numbers(sentence(scenario.story, "the rest are"))
    prior = np.array([1 - sum(shares), *shares])
    rates = np.array(numbers(sentence(scenario.story, "depends on its kind").split(":")[1]))
    assert len(rates) == len(prior) == len(kinds)
    hits, tried = (int(n) for n in re.findall(r"in (\d+) of (\d+) ", scenario.story)[0])
    posterior = prior * stats.binom.pmf(hits, tried, rates)
    posterior /= posterior.sum()
    agrees(scenario, {"hit_p": float(posterior @ rates)})
    agrees(scenario, {"what": float(posterior @ np.arange(len(kinds)))})


@pytest.mark.parametrize("seed", range(SEEDS))
def test_copied_witnesses_by_enumeration(seed: int) -> None:
    """Truth by truth: the first speaker errs alone, later ones copy or look for themselves."""
    scenario = story_of("copied_witnesses", seed)
    options = scenario.members("option")
    prior_rule = sentence(scenario.story, "equally likely", "as likely as any")
    favourite = next((n for n in numbers(prior_rule) if n < 1), None)
    prior = np.full(len(options), 1 / len(options))
    if favourite is not None:
        prior = np.full(len(options), (1 - favourite) / (len(options) - 1))
        named = [f"the answer is {option};" in prior_rule for option in options]
        prior[named.index(True)] = favourite
    right = numbers(sentence(scenario.story, "looks for themselves"))[0]
    copies = numbers(sentence(scenario.story, "spoke first"))[0]
    reports = [options.index(given.that.split("'")[1]) for given in scenario.given]
    own = np.full((len(options), len(options)), (1 - right) / (len(options) - 1))
    np.fill_diagonal(own, right)
    likelihood = prior * own[:, reports[0]]
    for report in reports[1:]:
        likelihood = likelihood * (copies * (report == reports[0]) + (1 - copies) * own[:, report])
    posterior = likelihood / likelihood.sum()
    agrees(scenario, {f"truth == {options[reports[0]]!r}": float(posterior[reports[0]])})
    agrees(scenario, {f"own[{options[reports[0]]!r}]": float(posterior @ own[:, reports[0]])})
