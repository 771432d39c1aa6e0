"""Worlds are drawn from the program itself: values as told, truth kept, labels calibrated."""

import re
from typing import Any

import numpy as np
import pytest
from scipy import stats

from ppt_jax.authoring.checks import CheckConfig, check_truth, observed_values
from ppt_jax.authoring.llm.drafts import Draft, read_draft
from ppt_jax.authoring.llm.worlds import World, draw_world
from ppt_jax.inference.program import lower_prior
from ppt_jax.inference.simulate import replay
from ppt_jax.scenario.document import parse_scenario, to_dict
from tests.authoring.llm.programs import PLAN, edited, ferry, plan

CHECKS = CheckConfig(particles=512, min_ess=20)


def world(data: dict[str, Any], number: int = 0, worlds: int = 48) -> World:
    draft = read_draft(PLAN, data, (2, 4))
    assert isinstance(draft, Draft), draft
    found = draw_world(draft, plan(number), CHECKS, (2, 4), worlds)
    assert isinstance(found, World), found
    return found


def test_observations_are_true_of_the_stored_world() -> None:
    for number in range(12):
        scenario = world(ferry(), number).scenario
        assert scenario.evidence == "simulated"
        assert check_truth(scenario) == []
        facts = [given for given in scenario.given if " > " in given.that or "<=" in given.that]
        assert len(facts) == 1
        probe = {"id": "q9", "kind": "choice", "expr": facts[0].that, "text": "?"}
        asking = parse_scenario({**to_dict(scenario), "ask": [probe]})
        _, (holds,) = replay(lower_prior(asking), scenario.truth)
        assert holds == 1


def test_values_are_told_as_they_enter_the_program() -> None:
    made = world(ferry(), 3)
    told = dict(zip((given.that for given in made.scenario.given), made.seen, strict=True))
    for that, words in told.items():
        found = re.search(r"== ([\d.]+)$", that)
        if found and "horn" not in that:
            assert f": {found[1]} " in words  # with its unit behind
    assert any(
        words in ("The horn was heard: yes", "The horn was heard: no") for words in told.values()
    )
    values = observed_values(made.scenario)
    assert values["meter[Gull]"] == round(values["meter[Gull]"])


def test_both_outcomes_of_events_and_contests_occur_as_often_as_the_program_says() -> None:
    faster, won = [], []
    for number in range(60):
        thats = [given.that for given in world(ferry(), number).scenario.given]
        faster.append(any(re.fullmatch(r"speed\['Gull'\] > speed\['Tern'\]", t) for t in thats))
        won.append("beats(speed['Tern'], speed['Gull'], noise=8)" in thats)
        assert sum(t.startswith("beats(") for t in thats) == 1
    assert 0.25 < np.mean(faster) < 0.75
    assert 0.25 < np.mean(won) < 0.75
    # the faster boat mostly wins
    assert np.mean([f == w for f, w in zip(faster, won, strict=True)]) < 0.45


def test_decimals_follow_the_noise_where_more_are_needed() -> None:
    data = edited("model", 3, expr="normal(mean=speed[boat], sd=0.4)")
    data["model"][2]["expr"] = "normal(mean=50, sd=2)"
    data["observe"] = data["observe"][:3]
    values = [observed_values(world(data, n).scenario)["meter[Gull]"] for n in range(5)]
    assert any(value != round(value) for value in values)
    assert all(round(value, 1) == value for value in values)


def test_the_truth_is_calibrated_under_the_posterior() -> None:
    """Counts under a gamma rate: the posterior is a gamma, in closed form."""
    data = ferry(
        sets=[ferry()["sets"][0]],
        model=ferry()["model"][:2],
        observe=ferry()["observe"][:2],
        ask=[ferry()["ask"][0], {**ferry()["ask"][3], "expr": "rate", "id": "q2"}],
    )
    ranks = []
    for number in range(70):
        scenario = world(data, number).scenario
        seen = [value for name, value in observed_values(scenario).items()]
        assert len(seen) == 2
        posterior = stats.gamma(3 + sum(seen), scale=1 / (3 / 6 + len(seen)))
        ranks.append(float(posterior.cdf(scenario.truth["rate"])))
    assert stats.kstest(ranks, "uniform").pvalue > 0.005


def test_no_usable_world_is_summed_up_with_its_statistics() -> None:
    # the only question is about a boat that nothing was seen of
    data = ferry(
        observe=[ferry()["observe"][0]],
        ask=[{**ferry()["ask"][1], "id": f"q{n}", "text": f"How fast is it, {n}?"} for n in (1, 2)],
    )
    draft = read_draft(PLAN, data, (2, 4))
    assert isinstance(draft, Draft)
    findings = draw_world(draft, plan(0), CHECKS, (2, 4), 7)
    assert isinstance(findings, list)
    assert findings[0].check == "c4b_moves"
    assert "7 sets of observations were drawn" in findings[0].detail
    assert re.search(r"moved by 0\.0\d", findings[0].detail)


def test_chosen_observations_are_checked_and_have_no_truth() -> None:
    data = ferry()
    del data["observe"]
    data["given"] = [
        {"that": "late['Monday'] == 4", "means": "Four on Monday"},
        {"that": "horn == 1", "means": "The horn was heard"},
        {"that": "meter['Gull'] == 61", "means": "The meter shows 61"},
    ]
    made = world(data)
    assert made.scenario.truth == {}
    assert made.scenario.evidence != "simulated"
    assert made.seen == ("Four on Monday", "The horn was heard", "The meter shows 61")
    data["given"][0]["that"] = "late['Monday'] == 90"
    draft = read_draft(PLAN, data, (2, 4))
    assert isinstance(draft, Draft)
    findings = draw_world(draft, plan(0), CHECKS, (2, 4), 5)
    assert isinstance(findings, list)
    assert findings[0].check == "c2_prior"


@pytest.mark.parametrize("number", [0, 1])
def test_a_world_follows_from_its_plan(number: int) -> None:
    assert world(ferry(), number) == world(ferry(), number)
