import numpy as np
import pytest

from ppt_jax.authoring import wording
from ppt_jax.authoring.language import (
    fix_articles,
    join_words,
    number,
    sentence,
    split_sentences,
    with_article,
)
from ppt_jax.scenario.expression import Binary, Number, parse_expression


def _evaluate(code: str) -> float:
    formula = parse_expression(code, kind="let")
    if isinstance(formula, Number):
        return formula.value
    assert isinstance(formula, Binary)
    assert formula.op == "/"
    assert isinstance(formula.left, Number)
    assert isinstance(formula.right, Number)
    return formula.left.value / formula.right.value


@pytest.mark.parametrize("told", ["full", "verbal"])
def test_every_chance_wording_reads_back_as_the_number_that_enters_the_program(told: str) -> None:
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(3000):
        chance = wording.pick_chance(rng, 0.01, 0.99, told)
        seen.add((chance.form, chance.text))
        assert _evaluate(chance.code) == pytest.approx(chance.value, abs=1e-12)
        for phrase in (chance.of("small jars"), f"it fails {chance.times()}", chance.chance()):
            read = [r.value for r in wording.read_numbers(phrase, verbal=told == "verbal")]
            assert read == [pytest.approx(chance.value, abs=1e-12)], phrase
    assert len(seen) > (100 if told == "full" else 5)


def test_numbers_with_units_and_signs_read_back() -> None:
    text = "-3 to 4.5 litres, minus 2 at night; 12 of them, twice; half of 8 percent, 1 time in 6."
    values = [reading.value for reading in wording.read_numbers(text)]
    assert values == [-3, 4.5, -2, 12, 2, 0.5, 0.08, pytest.approx(1 / 6)]


def test_picked_numbers_are_multiples_of_the_step_within_the_range() -> None:
    rng = np.random.default_rng(1)
    for _ in range(500):
        told = wording.pick_number(rng, 3.2, 9.9, 0.5)
        assert 3.2 <= told.value <= 9.9
        assert (told.value / 0.5) == round(told.value / 0.5)
        assert float(told.code) == told.value == float(told.text)


def test_bell_tells_mean_and_spread_and_nothing_else() -> None:
    rng = np.random.default_rng(2)
    mean, sd = wording.pick_number(rng, 40, 60, 1), wording.pick_number(rng, 5, 9, 1)
    forms = set()
    for _ in range(60):
        text = wording.bell(rng, "pulling power", mean, sd, unit="points", scope="in the club")
        forms.add(text)
        values = {reading.value for reading in wording.read_numbers(text)}
        assert values - {1.0} == {mean.value, sd.value}
        assert "standard deviation" in text
    assert len(forms) == 4


def test_round_range_holds_the_samples_and_has_round_ends() -> None:
    samples = np.random.default_rng(3).normal(50, 15, 20_000)
    low, high = wording.round_range(samples)
    assert np.mean((samples < low) | (samples > high)) < 0.005
    assert low % 5 == 0
    assert high % 5 == 0
    assert wording.round_range(np.abs(samples - 50), floor=0)[0] == 0


@pytest.mark.parametrize(
    ("phrase", "article"),
    [
        ("apple", "an"),
        ("8-in-10 chance", "an"),
        ("80 percent chance", "an"),
        ("11 percent chance", "an"),
        ("one-in-four chance", "a"),
        ("uniform coat", "a"),
        ("unknown coat", "an"),
        ("hour", "an"),
        ("batch", "a"),
        ("18-day trip", "an"),
        ("1 percent chance", "a"),
    ],
)
def test_articles_follow_the_sound(phrase: str, article: str) -> None:
    assert with_article(phrase) == f"{article} {phrase}"


def test_articles_are_put_right_but_labels_stay() -> None:
    text = "A evening with an dog. A hour later wine A and wine B stood there."
    assert (
        fix_articles(text) == "An evening with a dog. An hour later wine A and wine B stood there."
    )


def test_small_language() -> None:
    assert join_words(["a", "b", "c"]) == "a, b and c"
    assert sentence("the end") == "The end."
    assert sentence("The end.") == "The end."
    assert number(-0.0) == "0"
    assert number(12.50) == "12.5"
    assert split_sentences("It is 2.5 long. Next!\n- third") == [
        "It is 2.5 long.",
        "Next!",
        "- third",
    ]


@pytest.mark.parametrize("forms", [("percent",), ("ratio", "words")])
def test_chances_keep_to_the_forms_that_the_config_allows(forms: tuple[str, ...]) -> None:
    rng = np.random.default_rng(1)
    told = [wording.pick_chance(rng, 0.05, 0.95, forms=forms) for _ in range(500)]
    assert {chance.form for chance in told} == set(forms)
    # one form asked for by the motif wins over the config's
    assert wording.pick_chance(rng, 0.1, 0.9, form="percent", forms=forms).form == "percent"
    # a range without such a wording is told in another form rather than not at all
    assert wording.pick_chance(rng, 0.081, 0.084, forms=("percent",)).form != "percent"
