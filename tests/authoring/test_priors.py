"""Sentences of priors: the distribution that they tell is the one that is drawn."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from ppt_jax.authoring.draft import Knobs
from ppt_jax.authoring.priors import tell_amount, tell_share
from ppt_jax.authoring.sketch import Sketch
from ppt_jax.authoring.skins import all_skins
from ppt_jax.authoring.wording import read_numbers

SEEDS = 40


def _sketch(seed: int) -> Sketch[Any]:
    return Sketch("test", all_skins()["seed_beds"], Knobs(), np.random.default_rng(seed))


def _told(sentence: str) -> list[float]:
    sentence = sentence.replace("one standard deviation", "")
    return [reading.value for reading in read_numbers(sentence)]


@pytest.mark.parametrize("rare", [False, True])
def test_a_told_share_has_the_range_or_the_moments_that_its_sentence_says(rare: bool) -> None:
    forms = set()
    for seed in range(SEEDS):
        s = _sketch(seed)
        tell_share(s, "rate", "the share of seeds that come up", rare=rare)
        (sentence,) = s.finish().rules
        s.simulate()
        sample = s.samples("rate")
        told = _told(sentence)
        assert len(told) == 2, sentence
        if "standard deviation" in sentence:
            mean, sd = told[:2]
            strength = mean * (1 - mean) / sd**2 - 1
            wanted = stats.beta(mean * strength, (1 - mean) * strength)
            assert wanted.std() == pytest.approx(sd)
            forms.add("spread")
        else:
            wanted = stats.uniform(told[0], told[1] - told[0])
            forms.add("range")
        assert stats.kstest(sample, wanted.cdf).pvalue > 1e-4, sentence
    assert forms == {"spread", "range"}


def test_a_told_amount_has_the_median_and_factor_or_mean_and_deviation_of_its_sentence() -> None:
    forms = set()
    for seed in range(SEEDS):
        s = _sketch(seed)
        center = tell_amount(s, "wait", "the usual wait", (8, 25), unit="minutes", scope="here")
        (sentence,) = s.finish().rules
        s.simulate()
        told = _told(sentence)
        assert center.value == told[0], sentence
        assert len(told) == 2, sentence
        if "log-normal" in sentence:
            median, factor = told
            wanted = stats.lognorm(np.log(factor), scale=median)
            forms.add("log-normal")
        else:
            mean, sd = told
            wanted = stats.gamma((mean / sd) ** 2, scale=sd**2 / mean)
            forms.add("gamma")
        assert stats.kstest(s.samples("wait"), wanted.cdf).pvalue > 1e-4, sentence
    assert forms == {"log-normal", "gamma"}


def test_each_member_of_a_set_has_a_share_of_its_own_and_the_sentence_says_so() -> None:
    for seed in range(SEEDS):
        s = _sketch(seed)
        s.set("bed", ["bed A", "bed B"])
        tell_share(s, "rate", "the share of seeds that come up", per="bed", each="bed")
        (sentence,) = s.finish().rules
        assert "one bed to another" in sentence or "for each bed" in sentence
        s.simulate()
        first, second = s.samples("rate", "bed A"), s.samples("rate", "bed B")
        assert abs(np.corrcoef(first, second)[0, 1]) < 0.15
