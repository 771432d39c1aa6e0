"""Averages over programs against mixtures worked out by hand, and against one joint program."""

import json
import math
import pathlib
from typing import Any

import numpy as np
import pytest
from scipy import stats

from ppt_jax.errors import UserError
from ppt_jax.inference.averaging import comparable, program_weights, programs_of
from ppt_jax.inference.cascade import Labelled, Reject, label_scenarios
from ppt_jax.inference.job import labelled_row, read_labelled
from ppt_jax.inference.labels import LabelConfig
from ppt_jax.scenario.document import Scenario, parse_scenario
from tests.scenario.test_alternatives import LAMP, OTHER

EQUAL, EVIDENCE = LabelConfig(), LabelConfig(program_weights="evidence")


def two(**changes: Any) -> Scenario:
    return parse_scenario({**LAMP, "alternatives": [OTHER], **changes})


def label(scenario: Scenario, config: LabelConfig) -> Labelled:
    (found,) = label_scenarios([scenario], config)
    assert isinstance(found, Labelled), found
    return found


# P(Heat) and P(lamp) of both programs, by hand
FIRST = 0.25 * 0.9, 0.25 * 0.9 + 0.75 * 0.2
SECOND = (1 / 3) * 0.8, (1 / 3) * 0.8 + (2 / 3) * 0.3


def test_equal_weights_average_the_posteriors() -> None:
    found = label(two(), EQUAL)
    heat = 0.5 * FIRST[0] / FIRST[1] + 0.5 * SECOND[0] / SECOND[1]
    assert found.labels[0].probs == pytest.approx([heat, 1 - heat])  # options Heat, Damp
    assert found.labels[1].probs == pytest.approx([1 - heat, heat])
    prior = 0.5 * 0.25 + 0.5 / 3
    assert found.labels[0].prior_probs == pytest.approx([prior, 1 - prior])
    kl = heat * math.log(heat / prior) + (1 - heat) * math.log((1 - heat) / (1 - prior))
    assert found.labels[0].information == pytest.approx(kl, rel=1e-6)
    assert (found.labels[0].route, found.labels[0].error) == ("average", 0.0)
    assert found.programs is not None
    assert found.programs["weights"] == [0.5, 0.5]


def test_evidence_weights_are_bayesian_model_averaging() -> None:
    found = label(two(), EVIDENCE)
    heat = (FIRST[0] + SECOND[0]) / (FIRST[1] + SECOND[1])
    assert found.labels[0].probs == pytest.approx([heat, 1 - heat])
    assert found.programs is not None
    assert found.programs["by"] == "evidence"
    total = FIRST[1] + SECOND[1]
    assert found.programs["weights"] == pytest.approx([FIRST[1] / total, SECOND[1] / total])
    assert found.programs["log_evidence"] == pytest.approx(
        [math.log(FIRST[1]), math.log(SECOND[1])]
    )


def test_evidence_weights_equal_one_program_that_draws_which_program_holds() -> None:
    joint = parse_scenario(
        {
            **LAMP,
            "model": [
                {"name": "second", "kind": "draw", "expr": "yes(p=0.5)"},
                {"name": "why", "kind": "draw",
                 "expr": "pick(cause, weights=[1/3 if second else 0.25, 2/3 if second else 0.75])"},
                {"name": "hit", "kind": "let", "expr": "0.8 if second else 0.9"},
                {"name": "miss", "kind": "let", "expr": "0.3 if second else 0.2"},
                {"name": "lamp", "kind": "draw", "expr": "yes(p=hit if why == 'Heat' else miss)"},
            ],
        }
    )  # fmt: skip
    for mixed, one in zip(label(two(), EVIDENCE).labels, label(joint, EQUAL).labels, strict=True):
        assert mixed.probs == pytest.approx(one.probs, abs=1e-12)
        assert mixed.prior_probs == pytest.approx(one.prior_probs, abs=1e-12)


COIN: dict[str, Any] = {
    "schema": "scenario/1", "id": "coin-1", "motif": "coin", "story": "A coin.",
    "model": [
        {"name": "p", "kind": "draw", "expr": "beta(a=1, b=1)"},
        {"name": "heads", "kind": "draw", "expr": "successes(n=10, p=p)"},
    ],
    "given": [{"that": "heads == 9"}],
    "ask": [{"id": "q1", "kind": "chance", "expr": "p", "text": "Heads next?"}],
}  # fmt: skip


def fair(strength: int) -> dict[str, Any]:
    return {
        "model": [
            {"name": "bias", "kind": "draw", "expr": f"beta(a={strength}, b={strength})"},
            {"name": "seen", "kind": "draw", "expr": "successes(n=10, p=bias)"},
        ],
        "given": [{"that": "seen == 9"}],
        "ask": [{"id": "q1", "expr": "bias"}],
    }


def test_evidence_of_continuous_programs_is_that_of_the_beta_binomial() -> None:
    programs = programs_of(parse_scenario({**COIN, "alternatives": [fair(20)]}))
    weights = program_weights(programs, "evidence", 0)
    exact = np.array([stats.betabinom(10, a, a).pmf(9) for a in (1, 20)])
    assert weights.by == "evidence"
    assert weights.weights_I == pytest.approx(exact / exact.sum(), abs=4 * weights.errors_I.max())
    assert 0 < weights.errors_I.max() < 0.01


def test_only_the_same_data_are_weighed() -> None:
    def why(**changes: Any) -> str:
        other = {
            "model": [
                {"name": "x", "kind": "draw", "expr": "normal(mean=5, sd=2)", "unit": "h"},
                {"name": "y", "kind": "draw", "expr": "normal(mean=x, sd=1)", "unit": "h"},
            ],
            "given": [{"that": "y == 4.5"}],
            "ask": [{"id": "q1", "expr": "x"}],
        }
        base = {
            **COIN, **other,
            "ask": [{"id": "q1", "kind": "value", "expr": "x", "low": 0, "high": 10, "text": "?"}],
        }  # fmt: skip
        return comparable(programs_of(parse_scenario({**base, "alternatives": [other | changes]})))

    assert why() == ""
    minutes = [
        {"name": "x", "kind": "draw", "expr": "normal(mean=300, sd=120)", "unit": "min"},
        {"name": "y", "kind": "draw", "expr": "normal(mean=x, sd=60)", "unit": "min"},
    ]
    assert "other units" in why(model=minutes, given=[{"that": "y == 270"}])
    assert "other values" in why(given=[{"that": "y == 9/2 + 1"}])
    assert why(given=[{"that": "y == 9/2"}]) == ""
    assert "between 1 and 2 observations" in why(given=[{"that": "y == 4.5"}, {"that": "x > 0"}])


def test_what_cannot_be_weighed_is_averaged_equally_and_says_so() -> None:
    more = {**OTHER, "given": [*OTHER["given"], {"that": "reason != 'Fog' or light == 1"}]}
    more["given"][1]["that"] = "light == 1 or reason == 'Heat'"
    found = label(two(alternatives=[more]), EVIDENCE)
    assert found.programs is not None
    assert (found.programs["by"], found.programs["weights"]) == ("equal", [0.5, 0.5])
    assert "between 1 and 2 observations" in found.programs["why"]


def test_programs_without_labels_are_left_out_and_named() -> None:
    never = {**OTHER, "given": [{"that": "light == 1 and light == 0"}]}
    found = label(two(alternatives=[never, OTHER]), EQUAL)
    assert found.programs is not None
    assert found.programs["refused"] == {"lamp-1+1": "impossible_evidence"}
    assert found.labels[0].probs == pytest.approx(label(two(), EQUAL).labels[0].probs)
    (refused,) = label_scenarios([two(given=[{"that": "lamp == 1 and lamp == 0"}])])
    assert isinstance(refused, Reject)
    assert (refused.scenario_id, refused.reason) == ("lamp-1", "impossible_evidence")


def test_the_truth_counts_for_answers_but_is_no_test_of_inference() -> None:
    found = label(two(truth={"why": 0, "lamp": 1}, evidence="simulated"), EQUAL)
    assert [one.true_answer for one in found.labels] == [0, 1]
    assert [one.true_rank for one in found.labels] == [None, None]
    alone = label(parse_scenario({**LAMP, "truth": {"why": 0, "lamp": 1}}), EQUAL)
    assert alone.labels[1].true_rank is not None


def test_company_and_order_do_not_matter_and_progress_counts_scenarios() -> None:
    plain = parse_scenario({**LAMP, "id": "plain"})
    counted: list[int] = []
    found = label_scenarios(
        [plain, two(), plain], EQUAL, lambda count, rejects: counted.append(count)
    )
    assert sum(counted) == 3
    assert all(isinstance(one, Labelled) for one in found)
    rows = [labelled_row(one) for one in found if isinstance(one, Labelled)]
    assert rows[0] == rows[2] == labelled_row(label(plain, EQUAL))
    assert rows[1] == labelled_row(label(two(), EQUAL))
    assert "programs" not in rows[0]


def test_labelled_rows_read_back(tmp_path: pathlib.Path) -> None:
    row = labelled_row(label(two(), EVIDENCE))
    path = tmp_path / "train-00000-of-00001.jsonl"
    path.write_text(json.dumps(row) + "\n")
    (back,) = read_labelled(path)
    assert labelled_row(back) == row
    assert len(back.scenario.alternatives) == 1


def test_the_kind_of_weights_is_validated() -> None:
    with pytest.raises(UserError, match=r"label\.program_weights: 'best'"):
        LabelConfig(program_weights="best")
