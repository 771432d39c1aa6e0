"""Selection and minds: what a reader computes from the story alone is what the program answers.

The oracles parse the sentences and use other formulas than the programs do: densities of what a
random moment meets, truncated and censored likelihoods, enumeration of hosts, places and labels.
"""

import itertools
import re
from typing import Any

import numpy as np
import pytest
from scipy import special, stats

from ppt_jax.authoring.motif import find_motifs
from ppt_jax.scenario.document import Scenario
from tests.authoring import story_reading as reading

SEEDS = 6


def _skin(scenario: Scenario) -> Any:
    skins = find_motifs(scenario.motif)[0].skins()
    return next(skin for skin in skins if skin.name == scenario.skin)


def _sentences(story: str) -> list[str]:
    return re.split(r"(?<=[.?])\s+(?=[A-Z0-9])", story)


def _asks(scenario: Scenario) -> set[str]:
    return {ask.expr for ask in scenario.ask}


@pytest.mark.parametrize("seed", range(SEEDS))
def test_survey_answers_on_a_grid(seed: int) -> None:
    scenario = reading.story_of("survey_answers", seed, entities=(2, 2))
    wanted: dict[str, float] = {}
    k, story = _skin(scenario), scenario.story
    (part,) = scenario.members("part")
    share_S, prior_S = (
        row[::10] for row in reading.share_grid(reading.sentence(story, f"{k.people} of the"))
    )
    told = next(
        s for s in _sentences(story) if f"those who {k.want}" in s.lower() or "decides" in s
    )
    rates = reading.numbers(told)
    if len(rates) == 1:
        con_C, weights_C = (
            row[::20]
            for row in reading.share_grid(reading.sentence(story, f"the other {k.people} who"))
        )
    else:
        con_C, weights_C = np.array([rates[1]]), np.ones(1)
    pro = rates[0] * share_S[:, None]
    con = con_C * (1 - share_S[:, None])
    weights = prior_S[:, None] * weights_C
    heard = pro / (pro + con)
    quiet = (share_S[:, None] - pro) / (1 - pro - con)
    if found := re.search(rf"Of (\d+) \D+, (\d+) {k.answered}; (\d+) of them", story):
        asked, back, for_it = map(int, found.groups())
        # three kinds of letter: for and back, against and back, silent
        weights = weights * pro**for_it * con ** (back - for_it) * (1 - pro - con) ** (asked - back)
        if found := re.search(r"Up to (\d+) of the silent.* and (\d+) said", story):
            visited, for_it = map(int, found.groups())
            visited = min(visited, asked - back)
            weights = weights * quiet**for_it * (1 - quiet) ** (visited - for_it)
    else:
        found = re.search(r"Of the first (\d+) \D+, (\d+) said", story)
        assert found
        count, for_it = map(int, found.groups())
        weights = weights * heard**for_it * (1 - heard) ** (count - for_it)
    weights = weights / weights.sum()
    wanted[f"in_favour[{part!r}]"] = float((weights * share_S[:, None]).sum())
    if f"quiet[{part!r}]" in _asks(scenario):
        wanted[f"quiet[{part!r}]"] = float((weights * quiet).sum())
    reading.agrees(scenario, wanted)


def _gap_laws(story: str) -> list[tuple[float, Any]]:
    """Prior chance of each kind of site, and the law of its single gaps as a multiple of usual."""
    law = reading.sentence(story, "Single ")
    numbers = [number for number in reading.numbers(law) if number != 1]  # "of one stop"
    if "log-normal" in law:
        return [(1.0, stats.lognorm(np.log(numbers[0])))]
    if "exponential" in law:
        return [(1.0, stats.expon())]
    spreads = [stats.gamma(1 / sd**2, scale=sd**2) for sd in numbers]
    if len(spreads) == 1:
        return [(1.0, spreads[0])]
    uneven = reading.numbers(reading.sentence(story, "uneven."))[0]
    return list(zip((uneven, 1 - uneven), spreads, strict=True))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_inspection_paradox_from_length_weighted_densities(seed: int) -> None:
    """A random moment meets a gap x with density x f(x) / m; the rest r of it has S(r) / m."""
    scenario = reading.story_of("inspection_paradox", seed)
    wanted: dict[str, float] = {}
    k, story = _skin(scenario), scenario.story
    usual_U, prior_U = reading.amount_grid(reading.sentence(story, "across"))
    number = r"(\d+(?:\.\d+)?)"
    wholes = re.findall(re.escape(k.whole).replace(r"\{\}", number), story)
    rests = re.findall(re.escape(k.wait).replace(r"\{\}", number), story)
    plain = re.escape(k.plain).replace(r"\{nth\}", r"\w+").replace(r"\{\{\}\}", number)
    plains = re.findall(plain, story, re.IGNORECASE)
    assert wholes or rests
    laws = _gap_laws(story)
    weights_LU = np.array([chance * prior_U for chance, _ in laws])
    for row, (_, law) in zip(weights_LU, laws, strict=True):
        mean = law.mean()
        for x in wholes:
            row *= float(x) / usual_U * law.pdf(float(x) / usual_U) / usual_U / mean
        for x in rests:
            row *= law.sf(float(x) / usual_U) / usual_U / mean
        for x in plains:
            row *= law.pdf(float(x) / usual_U) / usual_U
    weights_LU /= weights_LU.sum()
    wanted["usual"] = float(weights_LU.sum(axis=0) @ usual_U)
    later = [
        row @ usual_U * law.moment(2) / law.mean() / 2 for row, (_, law) in zip(weights_LU, laws)
    ]
    wanted["later_rest"] = float(sum(later))
    if len(laws) > 1:
        wanted["uneven"] = float(weights_LU[0].sum())
    reading.agrees(scenario, wanted)


@pytest.mark.parametrize("seed", range(2 * SEEDS))
def test_only_big_recorded_by_censoring_and_thinning(seed: int) -> None:
    scenario = reading.story_of("only_big_recorded", seed)
    wanted: dict[str, float] = {}
    k, story = _skin(scenario), scenario.story
    centre_M, weights_M = reading.amount_grid(reading.sentence(story, "he usual", "he mean"))
    bar = reading.numbers(reading.sentence(story, "leave no trace"))[0]
    if "numbered" in story:
        (factor,) = reading.numbers(reading.sentence(story, "Single "))[:1]
        law = stats.lognorm(np.log(factor), scale=centre_M)
        listed = re.findall(rf"{k.item} \d with (\d+(?:\.\d+)?)", story)
        (count,) = reading.numbers(reading.sentence(story, "numbered").split(f" {k.items} ")[0])
        for size in listed:
            weights_M = weights_M * law.pdf(float(size))
        weights_M = weights_M * law.cdf(bar) ** (int(count) - len(listed))
        weights_M = weights_M / weights_M.sum()
        wanted["median"] = float(weights_M @ centre_M)
        wanted["next_entered"] = float(weights_M @ law.sf(bar))
        reading.agrees(scenario, wanted)
        return
    rate_R, rates_R = (
        row[7::15] for row in reading.amount_grid(reading.sentence(story, "he usual number"))
    )
    count = int(reading.numbers(reading.sentence(story, "Entries in"))[0])
    for size in reading.numbers(reading.sentence(story, "Earlier entries"))[1:]:
        # truncated: the density of a size among those above the bar
        whole = stats.expon(scale=centre_M)
        weights_M = weights_M * whole.pdf(bar + size) / whole.sf(bar)
    seen_M = np.exp(-bar / centre_M)
    weights = weights_M[:, None] * rates_R * stats.poisson.pmf(count, rate_R * seen_M[:, None])
    weights /= weights.sum()
    wanted["mean"] = float(weights.sum(axis=1) @ centre_M)
    wanted["listed_p"] = float(weights.sum(axis=1) @ seen_M)
    wanted["missed"] = float((weights * rate_R * (1 - seen_M[:, None])).sum())
    reading.agrees(scenario, wanted)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_survivors_only_by_quadrature(seed: int) -> None:
    """Given the level, pieces are independent: one integral a piece, then one over the level."""
    scenario = reading.story_of("survivors_only", seed)
    wanted: dict[str, float] = {}
    k, story = _skin(scenario), scenario.story
    middle, gap, odds = (
        n for n in reading.numbers(reading.sentence(story, "even chance")) if n != 1
    )
    noise = reading.numbers(reading.sentence(story, "whose result"))[0]
    if any(node.name == "level" for node in scenario.model):
        centre, wide = reading.numbers(reading.sentence(story, "not known", "uncertain"))
        (sd,) = reading.numbers(reading.sentence(story, "vary normally"))
        level_L = stats.norm(centre, wide).ppf((np.arange(200) + 0.5) / 200)
    else:
        centre, sd = reading.numbers(reading.sentence(story, f"The {k.quality} of"))
        level_L = np.array([centre])
    quality_Q = np.linspace(centre - 120, centre + 120, 2401)
    prior_LQ = stats.norm.pdf(quality_Q, level_L[:, None], sd)
    lasting_Q = special.expit((quality_Q - middle) * special.logit(odds) / gap)
    joint_L, means = np.ones(len(level_L)), {}
    for piece in scenario.members("piece"):
        name = f"{piece[:1].upper()}{piece[1:]} "
        (told,) = [s for s in _sentences(story) if s.startswith((name + k.lasts, name + k.gone))]
        like_Q = 1 - lasting_Q if k.gone in told else lasting_Q
        if found := re.search(r"gave (-?\d+)", told):
            like_Q = like_Q * stats.norm.pdf(int(found[1]), quality_Q, noise)
        weights_LQ = prior_LQ * like_Q
        total_L = weights_LQ.sum(axis=1)
        joint_L = joint_L * total_L
        means[piece] = weights_LQ @ quality_Q / total_L
    joint_L = joint_L / joint_L.sum()
    mean = float(joint_L @ np.mean(list(means.values()), axis=0))
    wanted["average_quality"] = mean
    for piece in means:
        if f"quality[{piece!r}]" in _asks(scenario):
            wanted[f"quality[{piece!r}]"] = float(joint_L @ means[piece])
    reading.agrees(scenario, wanted)


def _opened(way: str, own: str, prize: str, boxes: list[str]) -> dict[str, float]:
    """What a host opens, by the told rules; `boxes` in the order of the list."""
    closed = [box for box in boxes if box != own]
    wrong = [box for box in closed if box != prize]
    allowed = {
        "helpful": wrong,
        "guessing": closed,
        "teasing": [prize] if prize != own else closed,
        "orderly": wrong[:1],
    }[way]
    return {box: 1 / len(allowed) for box in allowed}


def _ways(story: str) -> dict[str, float]:
    told = reading.sentence(story, "knows where it is", "does not know where it is")
    if not told.startswith(("A ", "An ")):
        lone = (
            "guessing"
            if "does not know" in told
            else "orderly"
            if "the list" in told
            else "helpful"
        )
        return {lone: 1.0}
    odds = reading.sentence(story, "otherwise")
    names = re.findall(r"(helpful|guessing|teasing|orderly)", odds)
    chances = reading.numbers(odds)
    return dict(zip(names, [*chances, 1 - sum(chances)], strict=True))


def _place_prior(story: str, places: list[str]) -> dict[str, float]:
    told = reading.sentence(story, "Beforehand")
    chances = [n for n in reading.numbers(told) if 0 < n < 1]
    if not chances:
        return dict.fromkeys(places, 1 / len(places))
    (favourite,) = (place for place in places if f"the {place}, and" in told)
    rest = (1 - chances[0]) / (len(places) - 1)
    return {place: chances[0] if place == favourite else rest for place in places}


@pytest.mark.parametrize("seed", range(3 * SEEDS))
def test_host_knows_by_enumeration(seed: int) -> None:
    scenario = reading.story_of("host_knows", seed)
    wanted: dict[str, float] = {}
    k, story = _skin(scenario), scenario.story
    boxes = list(scenario.members("box"))
    prior, ways = _place_prior(story, boxes), _ways(story)
    joint = {(way, box): p * q for way, p in ways.items() for box, q in prior.items()}
    label = f"((?:{'|'.join(boxes)}))"
    for own, shown, prize in re.findall(
        rf"round the {label} was [^.]*? the {label}, and [^.]*? the {label}", story
    ):
        for way, box in joint:
            joint[way, box] *= _opened(way, own, prize, boxes).get(shown, 0.0)
    last = re.search(
        rf"chose the {label}; \w+ {k.opened} the {label}, and .* was (not )?there", story
    )
    assert last
    own, shown, empty = last.groups()
    for way, box in joint:
        seen = (box == shown) == (not empty)
        joint[way, box] *= seen * _opened(way, own, box, boxes).get(shown, 0.0)
    total = sum(joint.values())
    for box in boxes:
        if f"prize == {box!r}" in _asks(scenario):
            posterior = sum(p for (_, where), p in joint.items() if where == box) / total
            wanted[f"prize == {box!r}"] = posterior
    if len(ways) > 1:
        members = scenario.members("way")
        mean = sum(members.index(way) * p for (way, _), p in joint.items()) / total
        wanted["host_way"] = mean
    reading.agrees(scenario, wanted)


def test_monty_hall_and_his_ignorant_twin() -> None:
    """Three equal boxes: 2 in 3 for the other one if the host knows, 1 in 2 if not."""
    wanted = {"helpful": 2 / 3, "guessing": 1 / 2}
    met = set()
    for seed in range(200):
        scenario = reading.story_of("host_knows", seed)
        boxes, ways = list(scenario.members("box")), _ways(scenario.story)
        fair = len(set(_place_prior(scenario.story, boxes).values())) == 1
        way = next(iter(ways))
        if len(ways) > 1 or way not in wanted or not fair or "was there" in scenario.story:
            continue
        if len(boxes) != 3 or way in met:
            continue
        own = re.findall(r"chose the ((?:" + "|".join(boxes) + "))", scenario.story)[0]
        shown = scenario.given[0].that.split("'")[1]
        other = next(box for box in boxes if box not in (own, shown))
        reading.agrees(scenario, {f"prize == {other!r}": wanted[way]})
        met.add(way)
        if met == set(wanted):
            return
    raise AssertionError(f"only {met} were met")


@pytest.mark.parametrize("seed", range(2 * SEEDS))
def test_search_in_places_by_enumeration(seed: int) -> None:
    scenario = reading.story_of("search_in_places", seed)
    wanted: dict[str, float] = {}
    k, story = _skin(scenario), scenario.story
    places = list(scenario.members("place"))
    prior = _place_prior(story, places)
    label = f"((?:{'|'.join(places)}))"
    if "turns up" in story:
        hit, false = reading.numbers(reading.sentence(story, "turns up"))
        for result, place in re.findall(
            rf"{k.clue} was (found|not found) in the {label}", story, re.I
        ):
            for where in places:
                chance = hit if where == place else false
                prior[where] *= chance if result == "found" else 1 - chance
    if "Overnight" in story:
        stay = reading.numbers(reading.sentence(story, "Overnight"))[0]
        whole = sum(prior.values())
        move = {w: (whole - p) * (1 - stay) / (len(places) - 1) for w, p in prior.items()}
        prior = {where: p * stay + move[where] for where, p in prior.items()}
    if "earlier searches" in story:
        miss_M, weights_M = reading.share_grid(reading.sentence(story, "that overlook"))
        count, record = re.findall(r"In (\d+) of (\d+) earlier", story)[0]
        weights_M = weights_M * stats.binom.pmf(int(count), int(record), miss_M)
    else:
        miss_M, weights_M = (
            np.array(reading.numbers(reading.sentence(story, "overlook"))[:1]),
            np.ones(1),
        )
    joint = {where: p * weights_M for where, p in prior.items()}
    searched = re.findall(rf"searched the {label} and (found|did not find) it", story)
    assert searched
    for place, result in searched:
        for where in places:
            hit_M = (1 - miss_M) * (where == place)
            joint[where] = joint[where] * (hit_M if result == "found" else 1 - hit_M)
    total = sum(row.sum() for row in joint.values())
    now = "now" if "Overnight" in story else "where"
    mean = sum(n * joint[place].sum() for n, place in enumerate(places)) / total
    wanted[now] = float(mean)
    if "earlier searches" in story:
        wanted["miss"] = float(sum(row @ miss_M for row in joint.values()) / total)
    reading.agrees(scenario, wanted)


@pytest.mark.parametrize("seed", range(2 * SEEDS))
def test_swapped_labels_over_all_orders(seed: int) -> None:
    scenario = reading.story_of("swapped_labels", seed)
    wanted: dict[str, float] = {}
    k, story = _skin(scenario), scenario.story
    names = list(scenario.members("content"))
    mix = reading.sentence(story, "How many of the").split(":")[1]
    rates = dict(zip(names, reading.numbers(mix), strict=True))
    same = tuple(names)
    orders = dict.fromkeys(itertools.permutations(names), 0.0)
    rule = reading.sentence(story, "put them back blindly", "swapped one of these")
    chance = next((n for n in reading.numbers(rule) if 0 < n < 1), 1.0)
    if "swapped" in rule:
        pairs = re.findall(rf"({'|'.join(names)}) with ({'|'.join(names)})", rule)
        for one, other in pairs:
            trade = {one: other, other: one}
            orders[tuple(trade.get(name, name) for name in names)] = chance / len(pairs)
    else:
        orders = dict.fromkeys(orders, chance / len(orders))
    orders[same] += 1 - chance
    drawn = re.findall(
        rf"Of (\d+) {k.items} from the {k.jar} labelled ([^,]+), .*? (\d+) {k.showed}", story
    )
    assert drawn
    for order in orders:
        inside = dict(zip(names, order, strict=True))
        for count, label, shown in drawn:
            orders[order] *= stats.binom.pmf(int(shown), int(count), rates[inside[label]])
    total = sum(orders.values())
    for place in range(len(names)):
        if f"rate_{place}" in _asks(scenario):
            mean = sum(p * rates[order[place]] for order, p in orders.items()) / total
            wanted[f"rate_{place}"] = float(mean)
    if "right" in _asks(scenario):
        hits = sum(p * sum(map(str.__eq__, order, same)) for order, p in orders.items())
        wanted["right"] = float(hits / total)
    else:
        wanted["slip != 'no slip'"] = float(1 - orders[same] / total)
    reading.agrees(scenario, wanted)


@pytest.mark.parametrize("seed", range(2 * SEEDS))
def test_early_stopping_does_not_matter_but_silence_does(seed: int) -> None:
    """Where all tries are told, only hits and misses count; of the best of many, more is known."""
    scenario = reading.story_of("early_stopping", seed, entities=(2, 2))
    wanted: dict[str, float] = {}
    k, story = _skin(scenario), scenario.story
    (source,) = scenario.members("source")
    rate_R, weights_R = reading.share_grid(reading.sentence(story, "he share of", "the share of"))
    hits, misses = 0, 0
    if found := re.search(rf"tried (\d+) {k.items} .*, as planned, and (\d+) {k.worked}", story):
        hits, misses = int(found[2]), int(found[1]) - int(found[2])
    if found := re.search(r"until (\d+) of them", story):
        hits += int(found[1])
        misses += int(reading.numbers(reading.sentence(story, "on the way there"))[0])
    if "that was the last" in story:
        told = reading.sentence(story, "that was the last")
        hits += told.count(k.worked)
        misses += told.count("failed")
    weights_R = weights_R * rate_R**hits * (1 - rate_R) ** misses
    if "reports only the best" in story:
        rule = reading.sentence(story, "reports only the best")
        numbers = reading.numbers(rule)
        several = re.search(r"made (two|three|four) series of (\d+)", rule)
        assert several
        series, size = {"two": 2, "three": 3, "four": 4}[several[1]], int(several[2])
        best = int(re.findall(r"reports that (\d+) of", story)[0])
        law = stats.binom(size, rate_R)
        of_many = law.cdf(best) ** series - law.cdf(best - 1) ** series
        picky = numbers[0] if "There is" in rule else 1.0
        one = (1 - picky) * law.pmf(best)
        if "There is" in rule:
            whole = weights_R @ (picky * of_many + one)
            wanted["picky"] = float(weights_R @ of_many * picky / whole)
        weights_R = weights_R * (picky * of_many + one)
    rate = f"rate[{source!r}]"
    wanted[rate] = float(weights_R @ rate_R / weights_R.sum())
    reading.agrees(scenario, wanted)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_goal_from_path_step_by_step(seed: int) -> None:
    scenario = reading.story_of("goal_from_path", seed)
    wanted: dict[str, float] = {}
    k, story = _skin(scenario), scenario.story
    goals = list(scenario.members("goal"))
    moves = {"north": (0, 1), "east": (1, 0), "south": (0, -1), "west": (-1, 0)}
    spots = {}
    seen = reading.sentence(story, "Seen from").split(k.start)[1]
    for goal in goals:
        part = re.split(r"the (?:" + "|".join(goals) + ")", seen.split(f"the {goal}")[1])[0]
        spots[goal] = np.sum(
            [int(n) * np.array(moves[way]) for n, way in re.findall(r"(\d+) \w+ (\w+)", part)],
            axis=0,
        )
    told = reading.sentence(story, "Beforehand these", "that the goal is")
    top = next((n for n in reading.numbers(told) if 0 < n < 1), 1 / len(goals))
    rest = (1 - top) / (len(goals) - 1)
    pulls = {
        pull: 1.0 for pull in reading.numbers(reading.sentence(story, "At every")) if pull != 1
    }
    if len(pulls) == 2:
        keen = reading.numbers(reading.sentence(story, "otherwise"))[0]
        pulls = dict(zip(pulls, (keen, 1 - keen), strict=True))
    path = re.findall(r"north|east|south|west", reading.sentence(story, "The first"))
    joint = {}
    for goal, (pull, chance) in itertools.product(goals, pulls.items()):
        like, here = chance * (top if goal == goals[0] else rest), np.zeros(2)
        for step in path:
            gap = np.abs(spots[goal] - here).sum()
            closer = {w: np.abs(spots[goal] - here - move).sum() < gap for w, move in moves.items()}
            like *= (pull if closer[step] else 1) / sum(
                pull if near else 1 for near in closer.values()
            )
            here = here + moves[step]
        joint[goal, pull] = like
    total = sum(joint.values())
    mean = sum(goals.index(goal) * p for (goal, _), p in joint.items()) / total
    wanted["aim"] = mean
    left = sum(p * np.abs(spots[goal] - here).sum() for (goal, _), p in joint.items()) / total
    wanted["left"] = float(left)
    if len(pulls) == 2:
        first = next(iter(pulls))
        keen = sum(p for (_, pull), p in joint.items() if pull == first) / total
        wanted["keen"] = keen
    reading.agrees(scenario, wanted)


@pytest.mark.parametrize("seed", range(2 * SEEDS))
def test_who_knew_over_everything_that_may_have_happened(seed: int) -> None:
    scenario = reading.story_of("who_knew", seed)
    wanted: dict[str, float] = {}
    story = scenario.story
    people, places = list(scenario.members("person")), list(scenario.members("place"))
    old = re.findall(r"was (?:in|on) the ([\w ]+), not", story)[0]
    new = re.findall(r"moved it to the ([\w ]+?)(?: last night)?\.", story)[0]
    moved_odds = reading.numbers(reading.sentence(story, "moved it to the"))
    moved_chance = moved_odds[0] if moved_odds else 1.0
    there = reading.numbers(reading.sentence(story, "of being there"))[0]
    sure = next(n for n in reading.numbers(reading.sentence(story, "Whoever points")) if n < 1)
    teller, hearer, tells = "", "", 0.0
    if found := re.search(r"If (\w+) was there, (\w+) heard it all from", story):
        teller, hearer = found.groups()
        tells = reading.numbers(reading.sentence(story, "heard it all"))[0]
    acts = re.findall(r"(\w+) (?:wanted [\w ]+ and set off for|pointed to) the ([\w ]+)\.", story)
    assert len(acts) == len(scenario.given)
    total, knowing, was_there = 0.0, dict.fromkeys(people, 0.0), dict.fromkeys(people, 0.0)
    moved_mass = 0.0
    bits = itertools.product((False, True), repeat=len(people))
    for moved, heard, present in itertools.product((False, True), (False, True), bits):
        at = dict(zip(people, present, strict=True))
        like = moved_chance if moved else 1 - moved_chance
        like *= np.prod([there if here else 1 - there for here in present])
        tell = tells if at.get(teller) else 0.0
        like *= tell if heard else 1 - tell
        knows = {who: at[who] or (who == hearer and heard) for who in people}
        for who, place in acts:
            believed = new if knows[who] and moved else old
            like *= sure if place == believed else (1 - sure) / (len(places) - 1)
        total += like
        moved_mass += like * moved
        for who in people:
            knowing[who] += like * knows[who]
            was_there[who] += like * at[who]
    for who in people:
        if f"there[{who!r}]" in _asks(scenario):
            wanted[f"there[{who!r}]"] = was_there[who] / total
        if f"aware[{who!r}]" in _asks(scenario):
            wanted[f"aware[{who!r}]"] = knowing[who] / total
    if "moved" in _asks(scenario):
        wanted["moved"] = moved_mass / total
    reading.agrees(scenario, wanted)
