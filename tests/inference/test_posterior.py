"""The numpy posterior against closed forms, and against the routes of labels."""

import math
import subprocess
import sys

import numpy as np
import pytest

from ppt_jax.inference.discrete_route import discrete_route
from ppt_jax.inference.labels import LabelConfig, total_variation
from ppt_jax.inference.posterior import PosteriorError, posterior
from ppt_jax.inference.routes import prepare
from ppt_jax.inference.weighting64 import weighting64_route
from ppt_jax.scenario.document import Scenario, parse_scenario


def document(**parts: object) -> Scenario:
    return parse_scenario(
        {"schema": "scenario/1", "id": "case-1", "motif": "case", "story": "A case.", **parts}
    )


LAMP = document(
    model=[
        {"name": "hot", "kind": "draw", "expr": "yes(p=0.1)"},
        {"name": "lamp", "kind": "draw", "expr": "yes(p=0.85 if hot else 0.15)"},
        {"name": "again", "kind": "draw", "expr": "yes(p=0.85 if hot else 0.15)"},
    ],
    given=[{"that": "lamp == 1"}],
    ask=[
        {"id": "q1", "kind": "choice", "expr": "hot", "text": "Hot?"},
        {"id": "q2", "kind": "choice", "expr": "again", "text": "Again?"},
    ],
)
COIN = document(
    model=[
        {"name": "p", "kind": "draw", "expr": "beta(a=1, b=1)"},
        {"name": "heads", "kind": "draw", "expr": "successes(n=10, p=p)"},
    ],
    given=[{"that": "heads == 7"}],
    ask=[
        {"id": "q1", "kind": "chance", "expr": "p", "text": "Heads next?"},
        {"id": "q2", "kind": "rank", "expr": "p", "text": "Rank?"},
        {"id": "q3", "kind": "value", "expr": "p", "low": 0.5, "high": 1, "text": "Bias?"},
    ],
)


def test_a_discrete_program_is_exact() -> None:
    found = posterior(LAMP, np.random.default_rng(0))
    evidence = 0.1 * 0.85 + 0.9 * 0.15
    hot = 0.1 * 0.85 / evidence
    assert found.ess == math.inf
    assert found.log_evidence == pytest.approx(math.log(evidence))
    assert found.log_evidence_error == 0
    assert found.asks[0].mass_C == pytest.approx([1 - hot, hot])
    assert found.asks[0].prior_C == pytest.approx([0.9, 0.1])
    again = hot * 0.85 + (1 - hot) * 0.15
    assert found.asks[1].mass_C == pytest.approx([1 - again, again])


def test_a_continuous_program_has_the_conjugate_answers_and_evidence() -> None:
    found = posterior(COIN, np.random.default_rng(0), min_ess=40_000)
    assert found.ess >= 40_000
    # 7 of 10 under a uniform share: evidence 1 / 11, posterior beta(8, 4)
    assert abs(found.log_evidence - math.log(1 / 11)) < 4 * found.log_evidence_error < 0.03
    chance, rank, value = found.asks
    assert chance.mean == pytest.approx(8 / 12, abs=0.003)
    assert chance.prior_sd == pytest.approx(math.sqrt(1 / 12), abs=0.003)
    assert rank.mean == pytest.approx(100 * 8 / 12, abs=0.3)  # the prior is uniform
    assert len(value.mass_C) == 103
    below = 0.11328  # P(beta(8, 4) < 0.5), 232 / 2048
    assert value.mass_C[0] + value.mass_C[1] / 2 == pytest.approx(below, abs=0.01)


@pytest.mark.parametrize("scenario", [LAMP, COIN], ids=["lamp", "coin"])
def test_labels_say_the_same(scenario: Scenario) -> None:
    found = posterior(scenario, np.random.default_rng(1), min_ess=20_000)
    prepared = prepare(scenario)
    outcome = discrete_route(prepared)
    if not outcome.labels:
        (outcome,) = weighting64_route([prepared], 8192, LabelConfig())
    for mine, label in zip(found.asks[:2], outcome.labels[:2], strict=True):
        inner = mine.mass_C[1:-1] if label.kind == "chance" else mine.mass_C
        bins = np.minimum(np.arange(len(inner)) // 5, 19) if len(inner) > 2 else np.arange(2)
        coarse = [np.bincount(bins, weights=mass) for mass in (inner, label.probs)]
        assert total_variation(*coarse) < 0.03


def test_what_has_no_posterior_says_so() -> None:
    never = document(
        model=[{"name": "x", "kind": "draw", "expr": "normal(mean=0, sd=1)"}],
        given=[{"that": "x > 60"}],
        ask=[{"id": "q1", "kind": "rank", "expr": "x", "text": "?"}],
    )
    with pytest.raises(PosteriorError) as refused:
        posterior(never, np.random.default_rng(0), most=1 << 14)
    assert refused.value.reason == "impossible_evidence"
    broken = document(
        model=[
            {"name": "x", "kind": "draw", "expr": "normal(mean=0, sd=1)"},
            {"name": "y", "kind": "draw", "expr": "normal(mean=log(x), sd=1)"},
        ],
        given=[{"that": "y == 1"}],
        ask=[{"id": "q1", "kind": "rank", "expr": "x", "text": "?"}],
    )
    with pytest.raises(PosteriorError) as refused:
        posterior(broken, np.random.default_rng(0))
    assert refused.value.reason == "nonfinite_program"


def test_jax_is_not_imported() -> None:
    code = (
        "import sys, ppt_jax.authoring.agreement; "
        "sys.exit(any(name in sys.modules for name in ('jax', 'numpyro')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
