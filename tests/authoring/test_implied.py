"""Told-level "implicit": no number where the domain speaks, a hidden draw in the program."""

from typing import Any

import numpy as np
import pytest

from ppt_jax.authoring.draft import Knobs
from ppt_jax.authoring.implied import implied_chance
from ppt_jax.authoring.priors import tell_amount, tell_share
from ppt_jax.authoring.sketch import Sketch
from ppt_jax.authoring.skins import all_skins
from ppt_jax.authoring.text_checks import check_text
from ppt_jax.authoring.wording import bell, read_numbers
from ppt_jax.scenario.document import parse_scenario


def _sketch(seed: int, told: str = "implicit") -> Sketch[Any]:
    skin = all_skins()["seed_beds"]
    return Sketch("test", skin, Knobs(told=told), np.random.default_rng(seed))


def test_words_rise_with_the_middle_of_the_range_and_hold_no_number() -> None:
    ranges = [(0.0, 0.1), (0.05, 0.3), (0.1, 0.6), (0.3, 0.7), (0.55, 0.9), (0.8, 1.0)]
    words = [implied_chance(low, high, "c") for low, high in ranges]
    assert len({told.text for told in words}) == len(ranges)
    for told in words:
        for phrase in (told.of("pots"), told.times(), told.chance(), str(told)):
            assert read_numbers(phrase) == []
            assert phrase in told.spoken


def test_chances_levels_shares_and_amounts_become_hidden_draws_over_their_range() -> None:
    s = _sketch(0)
    chance = s.chance(0.2, 0.4)
    s.draw("late", f"yes(p={chance.code})", says=s.rule(f"{chance.of('trains')} are late"))
    mean, sd = s.typical(40, 60), s.typical(5, 9)
    says = s.rule(bell(s.rng, "the speed", mean, sd))
    s.draw("speed", f"normal(mean={mean.code}, sd={sd.code})", says=says)
    tell_share(s, "share", "the share of red ones", rare=True)
    amount = tell_amount(s, "wait", "the usual wait", (10, 20), unit="minutes")
    assert 10 < amount.value < 20
    s.simulate()
    draft = s.finish()
    assert draft.told == "implicit"
    assert {r.value for rule in draft.rules for r in read_numbers(rule)} <= {1.0}  # "one"
    for node, low, high in ((chance.code, 0.2, 0.4), (mean.code, 40, 60), (sd.code, 5, 9)):
        values = s.samples(node)
        assert values.min() >= low
        assert values.max() <= high
        assert values.std() > (high - low) / 5
    assert np.quantile(s.samples("share"), 0.99) < 0.5
    story = " ".join(draft.rules)
    spoken = [row["says"] for row in draft.model]
    assert all(spoken)
    assert all(says.lower() in story.lower() for says in spoken)


def test_exact_forms_and_what_comes_after_the_world_stay_exact() -> None:
    s = _sketch(1)
    exact = s.chance(0.4, 0.6, form="percent")
    s.draw("late", f"yes(p={exact.code})", says=s.rule(f"{exact.of('trains')} are late"))
    s.simulate()
    later = s.chance(0.2, 0.4)
    assert later.form in ("percent", "ratio", "words")
    assert s.finish().told == "full"


def test_a_hidden_draw_that_nothing_uses_is_dropped() -> None:
    s = _sketch(2)
    s.chance(0.1, 0.3)
    s.draw("late", "yes(p=1/2)")
    s.simulate()
    draft = s.finish()
    assert [row["name"] for row in draft.model] == ["late"]
    assert set(draft.truth) == {"late"}
    assert draft.told == "full"


@pytest.mark.parametrize(("told", "findings"), [("implicit", 0), ("full", 2)])
def test_untold_numbers_pass_only_where_the_level_is_implicit(told: str, findings: int) -> None:
    document = {
        "schema": "scenario/1",
        "id": "trains",
        "motif": "test",
        "story": "Not many trains are late. A late train is 12 minutes behind. The train was late.",
        "told": told,
        "model": [
            {
                "name": "lateness",
                "kind": "draw",
                "expr": "uniform(low=0.05, high=0.3)",
                "says": "Not many trains are late",
            },
            {"name": "late", "kind": "draw", "expr": "yes(p=lateness)"},
            {
                "name": "delay",
                "kind": "let",
                "expr": "12 if late else 0",
                "says": "A late train is 12 minutes behind",
            },
        ],
        "given": [{"that": "late == 1", "says": "The train was late."}],
        "ask": [{"id": "q1", "kind": "chance", "expr": "lateness", "text": "Late next time?"}],
    }
    assert len(check_text(parse_scenario(document))) == findings
    document["model"][2]["expr"] = "13 if late else 0"  # type: ignore[index]
    assert len(check_text(parse_scenario(document))) == findings + 2
