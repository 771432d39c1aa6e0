"""The published contests: schedules and patterns, what is told and asked, calibration."""

import dataclasses
import functools
import itertools
import re

import numpy as np
import pytest
from scipy import stats

from ppt_jax.authoring.author import AuthorConfig, make_plan
from ppt_jax.authoring.checks import CheckConfig
from ppt_jax.authoring.compose import write_scenario
from ppt_jax.authoring.motif import all_motifs
from ppt_jax.authoring.produce import Rejected, produce
from ppt_jax.authoring.schedules import (
    GRID,
    PUBLISHED_HOLD_OUT,
    Cell,
    motif_name,
    players_of,
    shows,
    shuffled_meetings,
    wins,
)
from ppt_jax.authoring.sketch import Sketch
from ppt_jax.authoring.skins import all_skins
from ppt_jax.authoring.skins.team_contests import TeamContest
from ppt_jax.authoring.text_checks import check_text
from ppt_jax.inference.program import lower
from ppt_jax.inference.simulate import node_values, replay
from ppt_jax.scenario.document import Scenario
from ppt_jax.scenario.expression import Label, walk

CONFIG = AuthorConfig(told=("full", "verbal"))
TRIES = 5


@functools.cache
def written(cell: Cell, number: int) -> Scenario:
    return write_scenario(make_plan(CONFIG, "train", motif_name(cell), number, 0)).scenario


@functools.cache
def accepted() -> tuple[list[Scenario], int]:
    """Accepted scenarios of all sixteen motifs, and how many were refused."""
    config = AuthorConfig()
    kept, refused = [], 0
    for cell in GRID:
        for number in range(TRIES):
            plan = make_plan(config, "train", motif_name(cell), number, 0)
            result = produce(plan, config.checks, config.asks)
            if isinstance(result, Rejected):
                refused += 1
                assert result.reason in ("length", "c4b_moves", "c3_ess", "c2_prior"), result
            else:
                kept.append(result)
    return kept, refused


def skin_of(scenario: Scenario) -> TeamContest:
    skin = all_skins()[scenario.skin]
    assert isinstance(skin, TeamContest)
    return skin


def teams_of(scenario: Scenario) -> list[tuple[set[str], set[str]]]:
    """Own and other players of each match, from the program."""
    people = next(named.members for named in scenario.sets if named.name == "player")
    lets = {node.name: node for node in scenario.model if node.kind == "let"}
    teams = []
    for number in range(1, len(scenario.given) + 1):
        labels = [
            {
                part.text
                for part in walk(lets[f"{side}_{number}"].formula)
                if isinstance(part, Label)
            }
            for side in ("own", "other")
        ]
        teams.append((labels[0] & set(people), labels[1] & set(people)))
    return teams


@pytest.mark.parametrize("size", [2, 3, 5])
def test_shuffled_teams_follow_the_motif(size: int) -> None:
    rng = np.random.default_rng(0)
    for cell in GRID:
        if cell[2]:
            with pytest.raises(ValueError, match="nothing to shuffle"):
                shuffled_meetings(cell, size, 4, rng)
            continue
        for _ in range(10):
            rows = shuffled_meetings(cell, size, 5, rng)
            assert all(len(own) == len(other) == size and own[0] == 0 for own, other in rows)
            assert all(not set(own) & set(other) for own, other in rows)
            assert all(one != two for one, two in itertools.pairwise(rows))
            assert (len({own for own, _ in rows}) > 1) == (cell[1] == 1)
            assert players_of(rows) <= 2 * size + (1 - cell[1])


def test_patterns_select_what_they_say() -> None:
    for cell in GRID:
        for odd in range(4):
            won_MP = np.array([wins(cell, 4, odd)]).T
            for other in GRID:
                assert shows(other, won_MP)[0] == (other[0] == cell[0])


def test_the_published_hold_out_is_part_of_the_grid() -> None:
    names = [motif.name for motif in all_motifs().values() if motif.family == "S"]
    assert names == [motif_name(cell) for cell in GRID]
    assert {motif_name(cell) for cell in PUBLISHED_HOLD_OUT} == {"sports_p1c1r0", "sports_p2c1r0"}


@pytest.mark.parametrize("cell", GRID, ids=motif_name)
def test_results_partners_and_rivals_are_those_of_the_motif(cell: Cell) -> None:
    pattern, partners, stay = cell
    for number in range(2):
        scenario = written(cell, number)
        assert check_text(scenario) == [], scenario.story
        teams, count = teams_of(scenario), len(scenario.given)
        won = [scenario.truth[f"match_{m}"] for m in range(1, count + 1)]
        assert sum(won) == {0: count, 1: 0, 2: count - 1, 3: 1}[pattern]
        focal = set.intersection(*(own for own, _ in teams))
        assert focal
        assert (len({frozenset(own) for own, _ in teams}) > 1) == (partners == 1)
        assert (len({frozenset(other) for _, other in teams}) > 1) == (stay == 0)


@pytest.mark.parametrize("cell", GRID, ids=motif_name)
def test_the_words_of_a_result_name_winners_and_losers(cell: Cell) -> None:
    scenario = written(cell, 0)
    skin = skin_of(scenario)
    for given in scenario.given:
        own, other = teams_of(scenario)[int(re.findall(r"match_(\d+)", given.that)[0]) - 1]
        ahead, behind = (own, other) if given.that.endswith("== 1") else (other, own)
        if f" {skin.lost} " in given.says:
            behind, ahead = ahead, behind
        first, second = re.split(f" (?:{skin.won}|{skin.lost}) ", given.says)
        for names, text in ((ahead, first), (behind, second)):
            told = set(re.findall(r"\w+", text)) & (own | other)
            assert told == names or "the " in text.lower()


def test_a_chance_is_that_of_the_side_that_will_win() -> None:
    """With its players at their strongest and all others at their weakest it is near one."""
    seen = 0
    for cell in GRID[::3]:
        scenario = written(cell, 1)
        people = next(named.members for named in scenario.sets if named.name == "player")
        for place, ask in enumerate(scenario.ask):
            if ask.kind != "chance":
                continue
            winners = re.split(rf" will {skin_of(scenario).win} ", ask.text)[0]
            winners = winners.split(", ")[-1].removeprefix("In 100 such cases, ")
            named = set(re.findall(r"\w+", winners)) & set(people)
            if not named:
                continue  # teams with names of their own
            high, low = ({**scenario.truth} for _ in range(2))
            for name in people:
                high[f"strength[{name}]"] = 1000.0 if name in named else 1.0
                low[f"strength[{name}]"] = 1.0 if name in named else 1000.0
            assert replay(scenario, high)[1][place] > 0.95, ask.text
            assert replay(scenario, low)[1][place] < 0.05, ask.text
            seen += 1
    assert seen >= 8


def test_most_are_accepted_and_ask_what_the_published_work_asks() -> None:
    kept, refused = accepted()
    assert refused < 0.6 * TRIES * len(GRID)
    kinds = {ask.kind for scenario in kept for ask in scenario.ask}
    assert kinds == {"rank", "value", "chance", "choice"}
    asked = " ".join(ask.expr for scenario in kept for ask in scenario.ask)
    for part in ("strength[", "effort[", "team_chance[", "duel_chance[", "state["):
        assert part in asked
    assert len({scenario.skin for scenario in kept}) > 10


def _ranks(scenario: Scenario, rng: np.random.Generator) -> list[float]:
    """Where each true answer falls in its posterior, by weighting; ties broken at random."""
    program, size = lower(scenario), CheckConfig().particles
    values = node_values(program.nodes, rng, size)
    total_P = np.sum([np.broadcast_to(values[i], (size,)) for i in program.loglik], axis=0)
    weights_P = np.exp(total_P - np.max(total_P))
    weights_P /= weights_P.sum()
    ranks = []
    for node, truth in zip(program.asks, replay(scenario, scenario.truth)[1], strict=True):
        ask_P = np.broadcast_to(values[node], (size,))
        tie = weights_P[ask_P == truth].sum()
        ranks.append(float(weights_P[ask_P < truth].sum() + rng.random() * tie))
    return ranks


def test_choosing_worlds_by_their_results_leaves_labels_calibrated() -> None:
    rng = np.random.default_rng(5)
    ranks = [_ranks(scenario, rng) for scenario in accepted()[0]]
    for place in range(2):
        assert stats.kstest([row[place] for row in ranks], "uniform").pvalue > 1e-3


@pytest.mark.parametrize("cell", [(0, 0, 1), (2, 1, 0), (3, 1, 1)], ids=motif_name)
def test_teams_grow_to_nine_with_the_number_of_entities(cell: Cell) -> None:
    config = AuthorConfig(entities=(40, 40), genres=("plain",), asides=(0, 0))
    scenario = write_scenario(make_plan(config, "train", motif_name(cell), 0, 0)).scenario
    assert all(len(team) == 9 for teams in teams_of(scenario) for team in teams)
    assert check_text(scenario) == []


def test_a_pattern_that_no_world_shows_is_a_reject_of_its_own() -> None:
    def build(s: Sketch[TeamContest]) -> None:
        s.draw("luck", "normal(mean=0, sd=1)", says=s.rule("luck is standard normal"))
        s.simulate(lambda prior: prior["luck"] > 100)

    plan = make_plan(CONFIG, "train", motif_name(GRID[0]), 0, 0)
    motif = dataclasses.replace(plan.motif, build=build)
    refused = produce(dataclasses.replace(plan, motif=motif), CONFIG.checks, CONFIG.asks)
    assert isinstance(refused, Rejected)
    assert refused.reason == "no_world"


def test_the_world_is_the_first_that_shows_what_is_wanted() -> None:
    plan = make_plan(CONFIG, "train", motif_name(GRID[0]), 0, 0)
    worlds = []
    for wanted in (None, lambda prior: prior["luck"] > 1.5):
        sketch = Sketch("test", plan.skin, plan.knobs, np.random.default_rng(0))
        sketch.draw("luck", "normal(mean=0, sd=1)")
        sketch.simulate(wanted)
        worlds.append(sketch.samples("luck"))
    assert worlds[1][0] == worlds[0][np.argmax(worlds[0] > 1.5)]
    assert sorted(worlds[0]) == sorted(worlds[1])
