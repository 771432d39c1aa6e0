"""Irrelevant sentences: distinct, not about their story, and told apart by their numbers."""

import numpy as np

from ppt_jax.authoring.asides import NUMBERED, PLAIN, content_words, pick_asides
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
