"""Do-calculus, Simpson's paradox and counterfactuals by hand, from the story alone."""

import itertools
import re

import numpy as np
import pytest
from scipy import stats

from ppt_jax.authoring.skins import all_skins
from ppt_jax.authoring.skins.faults import Fault
from ppt_jax.authoring.skins.remedies import Remedy
from ppt_jax.scenario.document import Scenario
from tests.authoring.story_reading import agrees, chances, numbers, sentence, share_grid, story_of

SEEDS = range(14)


def _remedy(scenario: Scenario) -> Remedy:
    skin = all_skins()[scenario.skin]
    assert isinstance(skin, Remedy)
    return skin


def _network(scenario: Scenario) -> tuple[list[float], np.ndarray]:
    """P(chosen | hard), P(chosen | easy); P(success | with or without it, hard or easy)."""
    chosen = chances(sentence(scenario.story, "Left to choose", "looks first"))
    told = chances(sentence(scenario.story, "by itself changes nothing", "; without it, "))
    success = np.array(told if len(told) == 4 else told * 2).reshape(2, 2)
    assert len(chosen) == 2
    return chosen, success


def _of_kind(prior: np.ndarray, likelihood: np.ndarray) -> np.ndarray:
    return prior * likelihood / (prior @ likelihood)


@pytest.mark.parametrize("seed", SEEDS)
def test_seeing_vs_doing(seed: int) -> None:
    """A choice weighs the hidden kind, a lot does not; either outcome is told or predicted."""
    scenario = story_of("seeing_vs_doing", seed)
    (chosen, success), story = _network(scenario), scenario.story
    if "For a trial" in story:
        _check_records(scenario, np.array(chosen), success)
        return
    skin = _remedy(scenario)
    share = chances(sentence(story, f"{skin.cases} are {skin.hard}, the others"))[0]
    prior = np.array([share, 1 - share])
    hard, wanted = [], {}
    for name in scenario.members("item"):
        kind = prior
        lot = re.search(
            rf"For {name},.* fell (for|against)|decided (\w+) [\w ]* for {name}\.", story
        )
        decision = re.search(rf"In the case of {name}, [\w ]* decided (for|against)", story)
        assert (lot is None) != (decision is None)
        if decision is not None:
            row = 0 if decision[1] == "for" else 1
            kind = _of_kind(kind, np.array(chosen) if row == 0 else 1 - np.array(chosen))
        else:
            row = 0 if (lot[1] or lot[2]) == "for" else 1
        worked = re.search(rf"{name} ({skin.worked}|{skin.failed})", story, re.IGNORECASE)
        if worked is not None:
            kind = _of_kind(kind, success[row] if worked[1] == skin.worked else 1 - success[row])
        else:
            wanted[f"{('with_it', 'without')[row]}[{name!r}]"] = float(kind @ success[row])
            wanted[f"{('without', 'with_it')[row]}[{name!r}]"] = float(kind @ success[1 - row])
            wanted[f"hard[{name!r}]"] = float(kind[0])
        hard.append(kind[0])
    agrees(scenario, {**wanted, "hard_count": float(np.sum(hard))})


def _check_records(scenario: Scenario, chosen: np.ndarray, success: np.ndarray) -> None:
    """P(y | do(x)) averages over all cases, P(y | x) over those that the chooser picks."""
    skin, story = _remedy(scenario), scenario.story
    grid, weights = share_grid(sentence(story, " ones among "))
    kinds = np.stack([grid, 1 - grid], axis=1)
    picked = [kinds * chosen, kinds * (1 - chosen)]
    seen = [(part @ success[row]) / part.sum(axis=1) for row, part in enumerate(picked)]
    done = [kinds @ success[row] for row in (0, 1)]
    if "earlier cases" in story:
        took, tried = numbers(sentence(story, "earlier cases"))
        weights = weights * stats.binom.pmf(took, tried, picked[0].sum(axis=1))
    for row, words in enumerate((f"chosen for {skin.agent}", "not chosen for it")):
        found = re.search(rf"Of (\d+) {skin.cases} {words}[a-z ]*, (\d+) {skin.worked}", story)
        if found is not None:
            weights = weights * stats.binom.pmf(int(found[2]), int(found[1]), seen[row])
    weights = weights / weights.sum()
    row = 0 if f"down for {skin.agent}" in story else 1
    way = ("with", "without")[row]
    agrees(
        scenario,
        {
            f"done_{way}": float(weights @ done[row]),
            f"seen_{way}": float(weights @ seen[row]),
            "hard_share": float(weights @ grid),
            "seen_with > seen_without": float(weights @ (seen[0] > seen[1])),
        },
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_hidden_subgroup(seed: int) -> None:
    """Rates of both kinds and the common shift on a grid; arms apart or mixed as told."""
    scenario = story_of("hidden_subgroup", seed)
    skin, story = _remedy(scenario), scenario.story
    low, high, low_easy, high_easy = chances(sentence(story, "all values equally likely"))
    unit = (np.arange(40) + 0.5) / 40
    shift = sentence(story, "shifts both chances alike")
    size = chances(shift)[0]
    if "anything from" in shift:
        gains, prior = size * (2 * unit - 1), np.ones(40)
    else:
        up = chances(shift)[1]
        gains, prior = np.array([size, -size]), np.array([up, 1 - up])
    hard, easy, gain = np.meshgrid(
        low + (high - low) * unit, low_easy + (high_easy - low_easy) * unit, gains, indexing="ij"
    )
    weights = np.broadcast_to(prior, hard.shape).copy()
    mixed = []
    for arm, rates in (("with", (hard + gain, easy + gain)), ("without", (hard, easy))):
        cases = rf"{skin.cases} {arm} {skin.agent}"
        told = rf"Of (\d+) {{kind}}{cases}, (\d+) {skin.worked}"
        for kind, rate in zip((skin.hard, skin.easy), rates, strict=True):
            found = re.search(told.format(kind=f"{kind} "), story)
            if found is not None:
                weights *= stats.binom.pmf(int(found[2]), int(found[1]), rate)
        found = re.search(told.format(kind=""), story)
        if found is None:
            continue
        one = rf"{skin.case} {arm} {skin.agent}"
        share = chances(sentence(story, f"{cases} are {skin.hard}", f"{one} is {skin.hard}"))[0]
        mixed.append(share * rates[0] + (1 - share) * rates[1])
        weights *= stats.binom.pmf(int(found[2]), int(found[1]), mixed[-1])
        further = re.search(rf"further {one} ({skin.worked}|{skin.failed})", story)
        if further is not None:
            sign = further[1] == skin.worked
            both = [rate if sign else 1 - rate for rate in rates]
            weights *= share * both[0] + (1 - share) * both[1]
            was_hard = share * both[0] / (share * both[0] + (1 - share) * both[1])
            hidden = {"one_hard": was_hard}
    weights /= weights.sum()
    wanted = {"gain > 0": gain > 0, "hard_with": hard + gain, "plain_easy": easy, "gain": gain}
    if len(mixed) == 2:
        wanted["with_p > without_p"] = mixed[0] > mixed[1]
    if "further" in story:
        wanted |= hidden
    means = {expr: float(np.sum(weights * value)) for expr, value in wanted.items()}
    agrees(scenario, means, slack=0.004)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_if_by_abduction_action_prediction(seed: int) -> None:
    """Worlds that fit what was seen keep their hidden parts when one cause is changed."""
    scenario = story_of("what_if", seed)
    skin, story = all_skins()[scenario.skin], scenario.story
    assert isinstance(skin, Fault)
    causes = [cause for cause in skin.causes if f"{cause.noun} alone would" in story.lower()]
    present = [chances(sentence(story, f"{skin.cases} {cause.does}."))[0] for cause in causes]
    prone = [chances(sentence(story, f"{cause.noun} alone would"))[0] for cause in causes]
    other = chances(sentence(story, "something else brings it about"))[0]
    known = {
        place: f"certain that {skin.this_case} {cause.did}." in story
        for place, cause in enumerate(causes)
        if f"that {skin.this_case} {cause.did}." in story
    }
    happened = re.search(rf"{skin.this_case} {skin.effect_did}\.", story, re.IGNORECASE) is not None
    n = len(causes)
    worlds, weights = [], []
    for bits in itertools.product((0, 1), repeat=2 * n + 1):
        on, able, else_ = bits[:n], bits[n : 2 * n], bits[-1]
        effect = else_ or any(a and b for a, b in zip(on, able, strict=True))
        if bool(effect) != happened or any(on[place] != state for place, state in known.items()):
            continue
        told = (*present, *prone, other)
        weights.append(np.prod([p if bit else 1 - p for p, bit in zip(told, bits, strict=True)]))
        worlds.append((on, able, else_))
    weights = np.array(weights) / np.sum(weights)
    wanted = {
        "prone": float(weights @ [sum(able) for _, able, _ in worlds]),
    }
    for ask in scenario.ask:
        changed = re.search(r" (without|with) (.*), all else being as it was", ask.text)
        if changed is None:
            continue
        place = next(p for p, cause in enumerate(causes) if cause.noun == changed[2])
        after = []
        for on, able, else_ in worlds:
            acted = [*on]
            acted[place] = int(changed[1] == "with")
            after.append(bool(else_ or any(a and b for a, b in zip(acted, able, strict=True))))
        wanted[ask.expr] = float(weights @ after)
    assert len(wanted) >= 3
    agrees(scenario, wanted)
