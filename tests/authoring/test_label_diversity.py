"""Measures of answers against closed forms, planted habits, and records of real scenarios."""

import dataclasses
import math

import numpy as np
import pytest

from ppt_jax.authoring.answer_records import AskRecord, information_gain, measured_row
from ppt_jax.authoring.author import AuthorConfig, make_plan
from ppt_jax.authoring.gates import gates
from ppt_jax.authoring.label_diversity import (
    base_rate,
    calibration,
    information,
    label_diversity,
    middles,
    uneven_positions,
)
from ppt_jax.authoring.produce import Rejected, produce
from ppt_jax.scenario.document import to_dict


def _record(number: int, kind: str, posterior: list[float], **fields: object) -> AskRecord:
    posterior_B = np.asarray(posterior, float)
    record = AskRecord(
        scenario=f"s{number}",
        motif=f"m{number % 2}",
        split="train",
        kind=kind,
        options=(),
        posterior_B=posterior_B,
        prior_B=np.full(len(posterior), 1 / len(posterior)),
        true_bin=None,
        ess=math.inf,
        information=0.0,
    )
    return dataclasses.replace(record, **fields)  # type: ignore[arg-type]


def test_information_gain_is_the_divergence_from_the_prior() -> None:
    posterior, prior = np.array([0.9, 0.1]), np.array([0.5, 0.5])
    exact = 0.9 * math.log(1.8) + 0.1 * math.log(0.2)
    assert information_gain(posterior, prior, 1e9) == pytest.approx(exact, abs=1e-6)
    assert information_gain(prior, prior, 1e9) == pytest.approx(0, abs=1e-9)
    assert math.isfinite(information_gain(np.array([0.0, 1.0]), np.array([1.0, 0.0]), 4096))


def test_middles_of_the_bins() -> None:
    assert middles(20)[0] == pytest.approx(0.025)
    assert middles(21)[-1] == 1.0
    assert middles(21)[19] == pytest.approx(0.975)


def test_deciles_positions_and_yes_shares_of_planted_answers() -> None:
    records = [_record(k, "choice", [1 - p, p]) for k, p in enumerate((0.05, 0.15, 0.95, 0.97))]
    named = ("Ann", "Bo", "Cy")
    records += [_record(9, "choice", p, options=named) for p in ([0.2, 0.5, 0.3], [0.1, 0.7, 0.2])]
    records.append(_record(7, "rank", [0.0] * 15 + [1.0] + [0.0] * 4))
    found = label_diversity(records)
    assert found["probability_deciles"] == [0.25, 0.25, 0, 0, 0, 0, 0, 0, 0, 0.5]
    assert found["yes_share"] == 0.5
    assert found["best_positions"] == {"3": [0.0, 1.0, 0.0]}
    assert found["value_deciles"][7] == 1.0


@pytest.mark.parametrize(("favoured", "uneven"), [(0.25, False), (0.6, True)])
def test_a_favoured_position_is_found_and_an_even_one_is_not(favoured: float, uneven: bool) -> None:
    rng = np.random.default_rng(0)
    rest = (1 - favoured) / 3
    records = []
    for number in range(800):
        best = rng.choice(4, p=[favoured, rest, rest, rest])
        posterior = [0.1] * 4
        posterior[best] = 0.7
        records.append(_record(number, "choice", posterior, options=("a", "b", "c", "d")))
    value = uneven_positions(label_diversity(records))
    assert type(value) is float  # written as JSON
    assert (value > 0.05) == uneven


def test_guesses_lose_what_the_label_knows() -> None:
    """The prior loses the mean divergence, in expectation; a useless label loses nothing."""
    rng = np.random.default_rng(1)
    sharp, flat = [], []
    for number in range(3000):
        p = float(rng.choice([0.1, 0.9]))
        true = int(rng.random() < p)
        sharp.append(_record(number, "choice", [1 - p, p], true_bin=true))
        flat.append(_record(number, "choice", [0.5, 0.5], true_bin=true))
    found = base_rate(sharp)["all"]
    exact = 0.9 * math.log(1.8) + 0.1 * math.log(0.2)
    assert found["prior_excess"] == pytest.approx(exact, abs=4 * found["prior_error"])
    assert found["constant_excess"] == pytest.approx(exact, abs=0.05)
    assert base_rate(flat)["all"]["prior_excess"] == pytest.approx(0, abs=1e-9)


def test_calibration_passes_right_posteriors_and_finds_ones_that_are_too_sure() -> None:
    rng = np.random.default_rng(2)
    right, sure = [], []
    for number in range(1500):
        posterior = rng.dirichlet(np.ones(20))
        true = int(rng.choice(20, p=posterior))
        narrow = posterior**3 / np.sum(posterior**3)
        right.append(_record(number, "value", posterior.tolist(), true_bin=true))
        sure.append(_record(number, "value", narrow.tolist(), true_bin=true))
    assert calibration(right)["least_p"] > 0.01
    assert set(calibration(right)["groups"]) == {"all", "m0", "m1"}
    found = calibration(sure)
    assert found["least_p"] < 1e-3
    assert found["groups"]["all"]["spread"] > 1


def test_information_counts_asks_that_learn_nothing() -> None:
    gains = (0.0, 0.2, 0.4, 0.6)
    found = information([_record(k, "rank", [1.0], information=g) for k, g in enumerate(gains)])
    assert found["median"] == pytest.approx(0.3)
    assert found["share_below_0.01"] == 0.25


def test_nothing_is_measured_of_no_answers() -> None:
    assert information([]) == {"asks": 0}
    assert base_rate([]) == {}
    assert calibration([])["least_p"] is None


def test_the_author_and_a_second_measurement_agree_on_a_scenario() -> None:
    config = AuthorConfig()
    sink: list = []
    for number in range(10):
        sink.clear()
        plan = make_plan(config, "train", "signal_detection", number, 0)
        result = produce(plan, config.checks, config.asks, sink)
        if not isinstance(result, Rejected):
            break
    row = measured_row(to_dict(result))  # type: ignore[arg-type]
    assert row is not None
    assert len(row["asks"]) == len(result.ask)  # type: ignore[union-attr]
    for measured, own in zip(row["asks"], sink[-1].asks, strict=True):
        assert sum(measured["posterior"]) == pytest.approx(1, abs=1e-3)
        assert np.abs(np.subtract(measured["posterior"], own.mass)).sum() < 0.2
        assert 0 <= measured["true"] < len(measured["posterior"])


def test_a_document_that_cannot_be_measured_has_no_row() -> None:
    assert measured_row({"schema": "scenario/1", "id": "x"}) is None


def _page(**changes: object) -> dict:
    page = {
        "counts": {"train": {"scenarios": 5000}},
        "training_shares": {"motif": {"a": 0.03, "b": 0.01}, "skin": {"x": 0.01}},
        "structure": {"signatures": 900, "largest_share": 0.002},
        "diversity": {
            "near_duplicate_rate": 0.0,
            "compression_ratio": 4.0,
            "self_bleu_4": 0.7,
            "vendi_1000": 400.0,
        },
        "answers": {},
        "leakage": {"splits": {}, "outside": {}},
    }
    return {**page, **changes}


@pytest.mark.parametrize(
    ("changes", "missed"),
    [
        ({}, set()),
        (
            {"training_shares": {"motif": {"a": 0.2, "b": 0.001}, "skin": {"x": 0.5}}},
            {"motif's share, least", "motif's share, greatest", "skin's share, greatest"},
        ),
        (
            {"structure": {"signatures": 20, "largest_share": 0.3}},
            {"structure signatures", "largest structure's share"},
        ),
        ({"counts": {"train": {"scenarios": 50}}, "structure": {"signatures": 20,
          "largest_share": 0.3}}, set()),
    ],
)  # fmt: skip
def test_gates_are_missed_by_name_and_not_judged_on_small_sets(changes: dict, missed: set) -> None:
    assert {gate.name for gate in gates(_page(**changes)) if gate.passed is False} == missed
