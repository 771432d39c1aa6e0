import dataclasses

import jax
import numpy as np
import pytest
import scipy.optimize

from ppt_jax.errors import UserError
from ppt_jax.evaluation import posthoc
from ppt_jax.evaluation.items import PERCENT, Item
from ppt_jax.evaluation.posthoc import OverlapError, fit_temperature_scaling


def items(seed: int, n: int, temperature: float, kind: str = "value") -> list[Item]:
    """Answers that are right after dividing their logits by ``temperature``."""
    rng = np.random.default_rng(seed)
    made = []
    for k in range(n):
        size = 101 if kind != "choice" else 2 + k % 3
        logits = rng.normal(size=size) * 2
        q = np.exp(logits / temperature)
        made.append(
            Item(
                item_id=f"s{seed}-{k}/{kind}",
                cluster_id=f"s{seed}-{k}",
                split="validation",
                kind=kind,
                support=PERCENT if kind != "choice" else tuple("abcd"[:size]),
                target_K=q / q.sum(),
                model="m",
                logp_K=logits - np.logaddexp.reduce(logits) + np.log(0.8),
            )
        )
    return made


@pytest.mark.parametrize("true", [0.3, 1.0, 2.5])
def test_temperature_is_recovered_for_each_kind(true: float) -> None:
    own = items(0, 40, true) + items(1, 40, 2 * true, "choice")
    scaling = fit_temperature_scaling(own)
    assert scaling.temperature("value").value == pytest.approx(true, rel=1e-6)
    assert scaling.temperature("choice").value == pytest.approx(2 * true, rel=1e-6)
    assert not scaling.temperature("value").at_bound
    assert scaling.temperature("value").n_fit == 40
    test = items(2, 5, true)
    for p, item in zip(scaling.apply(test), test, strict=True):
        np.testing.assert_allclose(p, item.target_K, rtol=1e-4)


def test_fit_is_the_minimum_that_scipy_finds() -> None:
    rng = np.random.default_rng(3)
    own = items(3, 30, 1.5)
    noisy = [
        dataclasses.replace(i, target_K=(q := i.target_K * rng.gamma(1, 1, 101)) / q.sum())
        for i in own
    ]

    def loss(log_t: float) -> float:
        total = 0.0
        for item in noisy:
            total -= float(item.target_K @ np.log(posthoc.temper(item.logp_K, np.exp(log_t))))
        return total

    best = scipy.optimize.minimize_scalar(loss, bounds=(-3, 3), method="bounded")
    found = fit_temperature_scaling(noisy).temperature("value").value
    assert found == pytest.approx(np.exp(best.x), rel=1e-3)


def test_a_temperature_beyond_the_bounds_is_flagged() -> None:
    flat = [dataclasses.replace(i, target_K=np.full(101, 1 / 101)) for i in items(4, 25, 1.0)]
    found = fit_temperature_scaling(flat).temperature("value")
    assert found.at_bound
    assert found.value == pytest.approx(posthoc.BOUNDS[1], rel=1e-3)


def test_a_uniform_model_keeps_temperature_one() -> None:
    uniform = [dataclasses.replace(i, logp_K=np.full(101, -np.log(101))) for i in items(5, 25, 1.0)]
    found = fit_temperature_scaling(uniform).temperature("value")
    assert (found.value, found.at_bound) == (1.0, False)


def test_few_items_use_the_pooled_temperature() -> None:
    scaling = fit_temperature_scaling(items(6, 50, 2.0) + items(7, 3, 2.0, "choice"))
    assert "choice" not in scaling.by_kind
    assert scaling.temperature("choice") == scaling.by_kind["all"]


def test_overlap_is_refused_by_name() -> None:
    own = items(8, 30, 1.0)
    scaling = fit_temperature_scaling(own)
    with pytest.raises(OverlapError, match=r"1 of the items.*'s8-4/value'"):
        scaling.apply([*items(9, 3, 1.0), own[4]])


def test_nothing_to_fit_on_and_mixed_models_are_refused() -> None:
    with pytest.raises(UserError, match="none"):
        fit_temperature_scaling([])
    one, two = items(10, 2, 1.0)
    other = dataclasses.replace(two, model="other")
    with pytest.raises(UserError, match="per model"):
        fit_temperature_scaling([one, other])


def test_gradient_through_tempering_is_finite_with_padding() -> None:
    logp = np.array([[-1.0, -0.5, -np.inf]])
    grad = jax.grad(lambda t: posthoc.scores.temper(logp, t)[0, 0])(1.3)
    assert np.isfinite(grad)
