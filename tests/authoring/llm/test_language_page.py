"""The page that teaches the language is held to the real grammar."""

import re

import pytest

from ppt_jax.authoring.llm.language_page import EXAMPLES, MEANINGS, language_page, words_of_page
from ppt_jax.scenario import limits
from ppt_jax.scenario.expression import ExpressionError, parse_expression
from ppt_jax.scenario.syntax import FAMILIES, FUNCTIONS, REDUCTIONS, SPECIAL


def test_everything_called_on_the_page_exists_and_everything_that_exists_is_there() -> None:
    known = {*FAMILIES, *FUNCTIONS, *SPECIAL}
    assert words_of_page() <= known
    page = language_page()
    for name in known:
        assert re.search(rf"\b{name}\b", page), name
    assert set(MEANINGS) == set(FAMILIES)
    assert set(REDUCTIONS) <= words_of_page()


def test_every_argument_is_named_on_the_page() -> None:
    page = language_page()
    for family, arguments in FAMILIES.items():
        line = next(line for line in page.splitlines() if line.startswith(f"  {family}("))
        assert all(f"{argument}=" in line for argument in arguments)
    assert str(limits.MAX_FORMULA_CHARACTERS) in page


@pytest.mark.parametrize(("kind", "formula"), EXAMPLES)
def test_examples_parse(kind: str, formula: str) -> None:
    parse_expression(formula, kind=kind)  # type: ignore[arg-type]
    assert f"  {kind}: {formula}" in language_page()


@pytest.mark.parametrize("refused", ["a % b", "a ^ b", "a // b", "x.y", "[1, 2]", "a < b < c"])
def test_what_the_page_says_does_not_exist_is_refused(refused: str) -> None:
    with pytest.raises(ExpressionError):
        parse_expression(refused, kind="let")


def test_it_fits_a_prompt() -> None:
    assert len(language_page()) < 3500
