"""Irrelevant sentences: distinct, not about their story, and told apart by their numbers."""

import itertools

import numpy as np
import pytest

from ppt_jax.authoring.asides import NUMBERED, PLAIN, content_words, pick_asides
from ppt_jax.authoring.author import AuthorConfig, make_plan
from ppt_jax.authoring.compose import write_scenario
from ppt_jax.authoring.language import counted, refers_back, split_sentences
from ppt_jax.authoring.wording import read_numbers


def test_there_are_dozens_with_and_without_numbers() -> None:
    assert len(PLAIN) >= 36
    assert len(NUMBERED) >= 20
    assert len({*PLAIN, *NUMBERED}) == len(PLAIN) + len(NUMBERED)
    for text in PLAIN:
        assert read_numbers(text) == [], text
    for text in NUMBERED:
        assert len(read_numbers(text.format(a=7, b=80))) == 1, text


def test_picked_asides_are_distinct_and_share_no_content_word_with_the_story() -> None:
    story = "The bus is late when the roof of the station leaks; a cat sat on the piano."
    taken = content_words(story)
    seen = set()
    for seed in range(300):
        asides = pick_asides(np.random.default_rng(seed), 2, story)
        assert len(set(asides)) == 2
        assert not any(content_words(aside) & taken for aside in asides)
        seen.update(asides)
    assert len(seen) > 60
    numbered = sum(bool(read_numbers(aside)) for aside in seen)
    assert numbered > 20


def test_no_aside_changes_nothing_else() -> None:
    rng, other = np.random.default_rng(3), np.random.default_rng(3)
    assert pick_asides(rng, 0, "story") == []
    assert rng.integers(1 << 40) == other.integers(1 << 40)


def test_an_aside_never_stands_before_a_sentence_that_refers_back() -> None:
    config = AuthorConfig(asides=(2, 2), genres="plain")
    looked = 0
    for motif in ("causal_power", "regression_to_mean", "drift", "waiting_time"):
        for number in range(25):
            plan = make_plan(config, "train", motif, number, 0)
            scenario = write_scenario(plan).scenario
            sentences = split_sentences(scenario.story)
            for aside, text in itertools.pairwise(sentences):
                if aside in scenario.asides and text not in scenario.asides:
                    looked += 1
                    assert not refers_back(text), scenario.story
    assert looked > 50


@pytest.mark.parametrize(
    ("text", "back"),
    [
        ("It showed 12 on Monday.", True),
        ("The two act independently.", True),
        ("At one bay, watches are exponential with that mean.", True),
        ("The water level averages 40 centimetres.", False),
    ],
)
def test_sentences_that_refer_back_are_recognised(text: str, back: bool) -> None:
    assert refers_back(text) is back


def test_one_of_a_unit_is_told_in_the_singular() -> None:
    assert counted("1", "weeks") == "1 week"
    assert counted("1", "beats a minute") == "1 beat a minute"
    assert counted("11", "weeks") == "11 weeks"
    assert counted("1", "") == "1"
