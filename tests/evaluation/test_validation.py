import numpy as np
import pytest

from ppt_jax.errors import UserError
from ppt_jax.evaluation import validation

GOOD = [[0.25, 0.75], [1.0, 0.0]]
IDS = ["s1/a", "s2/b"]


def test_good_input_passes_as_float64() -> None:
    p = validation.check_distributions(GOOD, IDS)
    assert p.dtype == np.float64
    np.testing.assert_array_equal(p, GOOD)
    assert validation.check_distributions(np.zeros((0, 5))).shape == (0, 5)
    np.testing.assert_array_equal(validation.check_unit_interval([0, 1, 0.5]), [0, 1, 0.5])
    np.testing.assert_array_equal(validation.check_weights([0, 2.5]), [0, 2.5])
    validation.check_same_support(["no", "yes"], ["no", "yes"], "s1/a")
    validation.check_same_items(["a", "b"], ["b", "a"])


@pytest.mark.parametrize(
    ("second", "error", "message"),
    [
        ([np.nan, 1.0], validation.NotANumberError, r"item 's2/b': probs is nan at entry 0"),
        ([np.inf, 1.0], validation.NotANumberError, r"item 's2/b': probs is inf at entry 0"),
        ([1.5, -0.5], validation.NegativeProbabilityError, r"'s2/b': probs is -0\.5 at entry 1"),
        ([0.5, 0.4], validation.ProbabilitySumError, r"item 's2/b': probs sums to 0\.9"),
    ],
)
def test_bad_distributions_are_named(
    second: list[float], error: type[UserError], message: str
) -> None:
    with pytest.raises(error, match=message):
        validation.check_distributions([GOOD[0], second], IDS)
    with pytest.raises(error, match="item 1: target"):
        validation.check_distributions([GOOD[0], second], what="target")


def test_shapes_are_checked() -> None:
    with pytest.raises(validation.ScoreError, match="1 axes, it must have 2"):
        validation.check_distributions([0.5, 0.5])
    with pytest.raises(validation.ScoreError, match="2 rows for 1 items"):
        validation.check_distributions(GOOD, ["a"])
    with pytest.raises(validation.ScoreError, match="array of numbers"):
        validation.check_distributions([["x", "y"]])
    with pytest.raises(validation.ScoreError, match="1 values for 2 items"):
        validation.check_unit_interval([0.5], IDS)


def test_confidences_outcomes_and_weights_are_named() -> None:
    with pytest.raises(validation.NotANumberError, match="item 's2/b': confidence is nan"):
        validation.check_unit_interval([0.1, np.nan], IDS)
    with pytest.raises(validation.RangeError, match=r"item 's1/a': outcome is 85\.0"):
        validation.check_unit_interval([85, 0.1], IDS, what="outcome")
    with pytest.raises(validation.RangeError, match=r"item 1: weight is -1\.0"):
        validation.check_weights([1, -1])
    with pytest.raises(validation.NotANumberError):
        validation.check_weights([np.inf])


def test_supports_and_items_that_differ_are_named() -> None:
    with pytest.raises(validation.SupportError, match="'s1/a': probs is over 2 answers, target"):
        validation.check_same_support(["a", "b"], ["a", "b", "c"], "s1/a")
    with pytest.raises(validation.SupportError, match="answer 0 is 'yes' in probs and 'no'"):
        validation.check_same_support(["yes", "no"], ["no", "yes"], "s1/a")
    with pytest.raises(validation.DuplicateItemError, match="'a' occurs twice in b"):
        validation.check_same_items(["a", "c"], ["a", "a"])
    with pytest.raises(validation.MissingItemError, match=r"'c' is missing in new \(1 items are\)"):
        validation.check_same_items(["a", "c"], ["a"], names=("old", "new"))
