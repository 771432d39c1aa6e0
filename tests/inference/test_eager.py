"""Uncompiled batched NumPyro: draws, weights and labels of the model of record."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from scipy import stats

from ppt_jax.inference.eager import eager_route, particles
from ppt_jax.inference.labels import LabelConfig, total_variation
from ppt_jax.inference.routes import exact_route, prepare, table_route
from ppt_jax.scenario.document import parse_scenario
from tests.inference.corpus import ask, node, random_document, scenario
from tests.inference.test_enumeration import fault_case

CONFIG = LabelConfig()


def test_particles_are_drawn_from_the_prior_and_weighted_by_the_likelihood() -> None:
    model = [node("m", "normal(mean=1, sd=2)"), node("y", "normal(mean=m, sd=3)")]
    case = scenario(model, ["y == 4"], [ask("value", "m", low=-9, high=9)])
    values_AP, logw_P = particles(case, jax.random.key(0), 4000)
    assert values_AP.shape == (1, 4000)
    assert stats.kstest(values_AP[0], stats.norm(1, 2).cdf).pvalue > 1e-3
    np.testing.assert_allclose(logw_P, stats.norm(values_AP[0], 3).logpdf(4), rtol=1e-4)
    assert not particles(case, jax.random.key(0), 100, observe=False)[1].any()


@pytest.mark.parametrize("seed", range(4))
def test_any_structure_gets_the_labels_of_the_tables(seed: int) -> None:
    one = prepare(parse_scenario(random_document(seed)))
    eager, table = (route([one], 16384, CONFIG)[0] for route in (eager_route, table_route))
    for mine, other in zip(eager.labels, table.labels):
        assert mine.route == "eager"
        slack = 3 * (mine.predicted + other.predicted) + 0.01
        bins = np.arange(0, 100, 5) if len(mine.probs) == 101 else np.arange(len(mine.probs))
        distance = total_variation(
            np.add.reduceat(mine.probs, bins), np.add.reduceat(other.probs, bins)
        )
        assert distance < slack, (mine.ask_id, distance)


def test_discrete_programs_against_enumeration() -> None:
    """Picks that choose elements, hard facts, counted trials."""
    one = prepare(fault_case(1))
    for mine, right in zip(eager_route([one], 65536, CONFIG)[0].labels, exact_route(one).labels):
        assert mine.ess > 1000
        assert total_variation(mine.probs, right.probs) < 4 * mine.predicted


def test_evidence_that_no_particle_fits() -> None:
    case = scenario([node("m", "normal(mean=0, sd=1)")], ["m > 90"], [ask("choice", "m > 91")])
    assert eager_route([prepare(case)], 2048, CONFIG)[0].reason == "impossible_evidence"
