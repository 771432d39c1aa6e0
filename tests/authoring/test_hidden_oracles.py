"""Stakes, silence, unseen kinds, teachers, ageing and stocks, computed from the story alone."""

import itertools
import re
from math import comb

import numpy as np
import pytest
from scipy import stats

from ppt_jax.authoring.language import COUNT_WORDS
from ppt_jax.authoring.skins import all_skins
from ppt_jax.authoring.skins.durables import Durable
from ppt_jax.authoring.skins.finds import Find
from ppt_jax.authoring.skins.pitches import Pitch
from ppt_jax.authoring.skins.stocks import Stock
from ppt_jax.authoring.skins.trays import Tray
from ppt_jax.authoring.skins.watches import Watch
from tests.authoring.story_reading import (
    agrees,
    amount_grid,
    chances,
    numbers,
    sentence,
    story_of,
)

SEEDS = range(10)


@pytest.mark.parametrize("seed", SEEDS)
def test_interested_speaker(seed: int) -> None:
    """Truths times stakes; what is said has weight 1, times honesty, times greed."""
    scenario = story_of("interested_speaker", seed)
    skin, story = all_skins()[scenario.skin], scenario.story
    assert isinstance(skin, Pitch)
    options, people = scenario.members("option"), scenario.members("speaker")
    n = len(options)
    favourite = chances(sentence(story, "Beforehand"))
    prior = np.full(n, (1 - favourite[0]) / (n - 1) if favourite else 1 / n)
    prior[0] = favourite[0] if favourite else 1 / n
    rule = sentence(story, "the same one of them, all", f"a given {skin.speaker}")
    biased, shared = chances(rule)[0], "the same one of them" in rule
    honest, greedy = [x for x in numbers(sentence(story, "multipl")) if x > 1]
    said = []
    for who in people:
        name = re.search(rf"{who} {skin.named.format('(.*?)')}\.", story)
        said.append(options.index(name[1]))
    stakes = [(None, 1 - biased), *((option, biased / n) for option in range(n))]

    def speaks(truth: int, stake: int | None, says: int) -> float:
        weights = [
            (honest if option == truth else 1) * (greedy if option == stake else 1)
            for option in range(n)
        ]
        return weights[says] / sum(weights)

    truth_weight = np.zeros(n)
    interest = np.zeros(len(people))
    for truth in range(n):
        for held in itertools.product(stakes, repeat=1 if shared else len(people)):
            each = held * len(people) if shared else held
            weight = prior[truth] * np.prod([p for _, p in held])
            for who, says, (stake, _) in zip(people, said, each, strict=True):
                weight *= speaks(truth, stake, says)
                if f"{who} is known to have no interest" in story:
                    weight *= stake is None
                if f"{who} is known to have an interest" in story:
                    known = re.search(rf"interest: {who} {skin.stake} (.*?)\.", story)
                    weight *= stake is not None and options[stake] == known[1]
            truth_weight[truth] += weight
            interest += weight * np.array([stake is not None for stake, _ in each])
    interest /= truth_weight.sum()
    truth_weight /= truth_weight.sum()
    wanted = {"truth": float(truth_weight @ np.arange(n))}
    if not shared:
        wanted["interested"] = float(interest.sum())
    for ask in scenario.ask:
        if ask.text.startswith("Is it true that") and "one of them?" in ask.text:
            place = next(p for p, who in enumerate(people) if f"{who} " in ask.text)
            wanted[ask.expr] = float(interest[place])
    assert len(wanted) >= 2
    agrees(scenario, wanted)


@pytest.mark.parametrize("seed", SEEDS)
def test_silence(seed: int) -> None:
    """A report is heard if sent, in time and not cut off; silence weighs all ways to it."""
    scenario = story_of("silence", seed)
    skin, story = all_skins()[scenario.skin], scenario.story
    assert isinstance(skin, Watch)
    watchers = scenario.members("watcher")
    base = chances(sentence(story, f"{skin.nights} {skin.bring}"))[0]
    hits = chances(sentence(story, f"If there is {skin.noun}"))
    hits = hits * len(watchers) if len(hits) == 1 else hits
    without = sentence(story, f"Without {skin.noun}")
    false = 0.0 if "none of them" in without else chances(without)[0]
    prompt, cut = 1.0, 0.0
    if "exponential" in story:
        first, second = numbers(sentence(story, "exponential"))
        mean, passed = (first, second) if "on average" in story else (second, first)
        prompt = 1 - np.exp(-passed / mean)
    if "can get through" in story:
        cut = chances(sentence(story, "can get through"))[0]
    heard = [f"a {skin.report} has come from {who}" in _plain(story) for who in watchers]
    total, happened, down, senders = 0.0, 0.0, 0.0, 0.0
    for event, closed in itertools.product((True, False), repeat=2):
        weight = (base if event else 1 - base) * (cut if closed else 1 - cut)
        sent = []
        for hit, came in zip(hits, heard, strict=True):
            send = hit if event else false
            reach = send * prompt * (not closed)
            weight *= reach if came else 1 - reach
            sent.append(1.0 if came else (send - reach) / (1 - reach))
        total += weight
        happened += weight * event
        down += weight * closed
        senders += weight * sum(sent)
    wanted = {"happened": happened, "senders": senders}
    if cut:
        wanted["cut"] = down
    agrees(scenario, {expr: value / total for expr, value in wanted.items()})


def _plain(story: str) -> str:
    return story.replace("An ", "A ").replace(" an ", " a ").replace("A ", "a ")


@pytest.mark.parametrize("seed", range(14))
def test_unseen_kinds(seed: int) -> None:
    """Ewens' law of the number of kinds in an urn with innovation; occupancy of equal kinds."""
    scenario = story_of("unseen_kinds", seed)
    skin, story = all_skins()[scenario.skin], scenario.story
    assert isinstance(skin, Find)
    told = sentence(story, f"{skin.items} {skin.found}")
    n = int(numbers(told)[0])
    flags = re.findall(r"the \w+ (new|known)", told)
    kinds = 1 + flags.count("new") if flags else int(numbers(told)[1])
    more = COUNT_WORDS.index(sentence(story, "are still to come").split()[0].lower())
    if "v / (v + n)" in story:
        grid, weights = amount_grid(sentence(story, "across"))
        # Either way of telling has a likelihood in proportion to v^kinds / (v (v+1) ... (v+n-1)).
        weights = weights * grid**kinds / np.prod([grid + i for i in range(n)], axis=0)
        weights /= weights.sum()
        fresh = sum(grid / (grid + n + i) for i in range(more))
        wanted = {f"variety / (variety + {n})": grid / (grid + n), "variety": grid, "more": fresh}
    else:
        low, high = (int(x) for x in numbers(sentence(story, "in all, every number")))
        sizes = np.arange(low, high + 1)
        weights = np.array([comb(size, kinds) for size in sizes]) / sizes.astype(float) ** n
        weights = weights / weights.sum()
        unseen = np.maximum(0, sizes - kinds)
        fresh = unseen * (1 - (1 - 1 / sizes) ** more)
        wanted = {"max(0, 1 - kinds / whole)": unseen / sizes, "whole": sizes, "more": fresh}
    agrees(scenario, {expr: float(weights @ value) for expr, value in wanted.items()}, slack=1e-3)


@pytest.mark.parametrize("seed", SEEDS)
def test_taught_or_found(seed: int) -> None:
    """A teacher's example has likelihood 1 / size of the rule, a stranger's 1 / number of all."""
    scenario = story_of("taught_or_found", seed)
    skin, story = all_skins()[scenario.skin], scenario.story
    assert isinstance(skin, Tray)
    things, rules = scenario.members("thing"), scenario.members("rules")
    law = sentence(story, "one fixed rule")
    top = chances(law)
    prior = np.full(len(rules), (1 - top[0]) / (len(rules) - 1) if top else 1 / len(rules))
    if top:
        prior[rules.index(law.split(" it is ")[1].split(";")[0])] = top[0]
    taught = chances(sentence(story, "a teacher"))[0]
    singular = dict(zip((*skin.plurals, skin.things), (*skin.seconds, ""), strict=True))

    def fits(rule: str, thing: str) -> bool:
        if rule.startswith("all "):
            return True
        words = rule.removeprefix("only ")
        noun = next(plural for plural in singular if words.endswith(plural))
        adjective = words.removesuffix(noun).strip()
        return thing.startswith(adjective) and thing.endswith(singular[noun])

    shown = re.findall(r"turn the ([\w ]+?) was shown, and the ([\w ]+)\.", story)
    total, by_teacher, size = 0.0, 0.0, 0.0
    rule_mass = np.zeros(len(rules))
    for place, rule in enumerate(rules):
        allowed = [thing for thing in things if fits(rule, thing)]
        for teacher in (True, False):
            weight = prior[place] * (taught if teacher else 1 - taught)
            for thing, came in shown:
                weight *= (thing in allowed) == (not came.endswith("left it alone"))
                pool = allowed if teacher else things
                weight *= (thing in pool) / len(pool)
            total += weight
            by_teacher += weight * teacher
            size += weight * len(allowed)
            rule_mass[place] += weight
    wanted = {"taught": by_teacher, "allowed": size, "rule": rule_mass @ np.arange(len(rules))}
    agrees(scenario, {expr: float(value / total) for expr, value in wanted.items()})


@pytest.mark.parametrize("seed", range(14))
def test_ageing_by_weibull_survival(seed: int) -> None:
    """Interval-censored lives: scipy's Weibull law on a grid of median and shape."""
    scenario = story_of("ageing", seed)
    skin, story = all_skins()[scenario.skin], scenario.story
    assert isinstance(skin, Durable)
    median, weights = amount_grid(sentence(story, "This m"))
    median, weights = median[::20], weights[::20]
    named = "The pattern is" in story
    told = numbers(sentence(story, "The pattern is", "Here k is"))
    if named:
        shapes = np.array([told[0], 1.0, max(told)])
    else:
        shapes = told[0] + (told[1] - told[0]) * (np.arange(200) + 0.5) / 200
    scale_MK = median[:, None] / np.log(2) ** (1 / shapes)
    weights_MK = np.repeat(weights[:, None], len(shapes), axis=1).astype(float)

    def lasts(age: float, since: float = 0.0) -> np.ndarray:
        law = stats.weibull_min(shapes, scale=scale_MK)
        return np.exp(law.logsf(age) - law.logsf(since))

    if "together" in story:
        left, before = int(numbers(sentence(story, "together"))[0]), 0.0
        pattern = rf"(\d+) {skin.failed} (?:within|from there until) (\d+) {skin.units}"
        for failed, age in re.findall(pattern, story):
            weights_MK *= stats.binom.pmf(int(failed), left, 1 - lasts(float(age), before))
            left, before = left - int(failed), float(age)
    else:
        pattern = rf"Of (\d+) {skin.items} {skin.new} (\d+) {skin.units} ago, (\d+) proved"
        for size, age, alive in re.findall(pattern, story):
            weights_MK *= stats.binom.pmf(int(alive), int(size), lasts(int(age)))
    weights_MK /= weights_MK.sum()
    wanted = {"median": np.sum(weights_MK * median[:, None])}
    if not named:
        wanted["ageing > 1"] = np.sum(weights_MK * (shapes > 1))
    for ask in scenario.ask:
        if ask.kind == "chance":
            ages = [int(age) for age in re.findall(rf"after (\d+) {skin.units}", ask.text)]
            last = lasts(ages[-1], ages[0] if len(ages) == 2 else 0.0)
            wanted[ask.expr] = np.sum(weights_MK * last)
    agrees(scenario, {expr: float(value) for expr, value in wanted.items()}, slack=0.004)


@pytest.mark.parametrize("seed", range(6))
def test_stock_by_enumeration(seed: int) -> None:
    """Every number wanted on an unnoted day, every pattern of deliveries, any rate."""
    scenario = story_of("stock", seed)
    skin, story = all_skins()[scenario.skin], scenario.story
    assert isinstance(skin, Stock)
    days = scenario.members("day")
    grid, weights = amount_grid(sentence(story, "usual number"))
    grid, weights = grid[::10], weights[::10]
    begin = numbers(sentence(story, f"Before {days[0]}"))[0]
    fill = sentence(story, "brings", "leaves")
    comes, load = chances(fill)[0], max(numbers(fill))
    clear = chances(sentence(story, "at a glance,", "At a glance,"))[0]
    looks = {
        day: int(count) for day, count in re.findall(r"glance on (\w+) night found (\d+)", story)
    }
    noted = sentence(story, "The number wanted")
    wanted = {day: int(count) for count, day in re.findall(r"(\d+) on (\w+)", noted)}
    for count in wanted.values():
        weights = weights * stats.poisson.pmf(count, grid)
    missing = [day for day in days if day not in wanted]
    most = 45
    guess = np.arange(most)
    pmf_RD = stats.poisson.pmf(guess[None, :], grid[:, None])
    shape = (most,) * len(missing)
    if len(missing) == 1:
        mass = weights @ pmf_RD
    else:
        mass = np.einsum("r,ra,rb->ab", weights, pmf_RD, pmf_RD)
    axes = np.meshgrid(*[guess] * len(missing), indexing="ij")
    demand = {day: np.full(shape, wanted[day]) for day in wanted}
    demand |= dict(zip(missing, axes, strict=True))
    total, left_mean, came = 0.0, 0.0, 0.0
    for filled in itertools.product((0, 1), repeat=len(days)):
        stock, weight = np.full(shape, begin), mass.copy()
        for day, fills in zip(days, filled, strict=True):
            stock = np.maximum(0, stock - demand[day]) + load * fills
            weight = weight * (comes if fills else 1 - comes)
            if day in looks:
                weight = weight * stats.binom.pmf(looks[day], stock, clear)
        total += weight.sum()
        left_mean += (weight * stock).sum()
        came += weight.sum() * any(filled)
    wanted_means = {"loads > 0": came / total, f"left[{days[-1]!r}]": left_mean / total}
    agrees(scenario, wanted_means, slack=2e-3)
