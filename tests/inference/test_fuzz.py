"""Free-form programs, sound and broken, through all of labelling: numbers or named reasons."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from ppt_jax.inference.cascade import Labelled, Reject, label_scenarios
from ppt_jax.inference.labels import LabelConfig
from ppt_jax.inference.signature import structure_of
from ppt_jax.inference.simulate import replay
from ppt_jax.scenario.document import Scenario, parse_scenario
from ppt_jax.scenario.errors import ScenarioError
from scripts.random_programs import Size, random_document

REASONS = {
    "no_evidence",
    "impossible_evidence",
    "nonfinite_program",
    "range_misses_posterior",
    "label_error",
}
# Gates wide open, so that every label that a route makes is looked at.
OPEN = LabelConfig(
    points=(2048,),
    particles=(1024,),
    moves=(1,),
    final_moves=(1,),
    max_error=1.0,
    min_ess=0.0,
    max_weight=1.0,
    pair_ess=0.0,
    pair_error=1.0,
)
NUMBER = re.compile(r"(?<![\w.])\d+(\.\d+)?(e-?\d+)?(?![\w.])")


def broken(seed: int) -> Scenario | None:
    """A document with one constant replaced by a bad one; None where its checks refuse it."""
    rng = np.random.default_rng([4, seed])
    document: dict[str, Any] = random_document(seed)
    node = document["model"][int(rng.integers(len(document["model"])))]
    found = list(NUMBER.finditer(node["expr"]))
    if not found:
        return None
    at = found[int(rng.integers(len(found)))]
    bad = str(rng.choice(["0", "1e15", "(0 - 1)", "1e-30", "(1 / (1 - 1.0000001))", "300"]))
    node["expr"] = node["expr"][: at.start()] + bad + node["expr"][at.end() :]
    try:
        return parse_scenario(document)
    except ScenarioError:
        return None


def check(results: list[Labelled | Reject]) -> int:
    labelled = 0
    for result in results:
        if isinstance(result, Reject):
            assert result.reason in REASONS, (result.scenario_id, result.reason, result.detail)
            assert result.detail
            continue
        labelled += 1
        assert len(result.labels) == len(result.scenario.ask)
        for label in result.labels:
            for probs in (label.probs, label.prior_probs):
                assert np.isfinite(probs).all(), result.scenario.id
                assert (probs >= 0).all()
                assert abs(probs.sum() - 1.0) < 1e-6
            assert np.isfinite([label.error, label.information, label.mass_below]).all()
            assert label.true_rank is None or 0.0 <= label.true_rank <= 1.0
    return labelled


def test_sound_programs_are_labelled() -> None:
    cases = [parse_scenario(random_document(seed)) for seed in range(2000, 2120)]
    assert check(label_scenarios(cases, OPEN)) > 100


def test_broken_programs_are_labelled_or_refused_by_name() -> None:
    cases = [case for seed in range(3000, 3160) if (case := broken(seed)) is not None]
    assert len(cases) > 80
    check(label_scenarios(cases, OPEN))


@pytest.mark.parametrize("seed", range(3))
def test_large_free_form_programs_are_labelled(seed: int) -> None:
    size = Size(members=7, latents=(6, 9), lets=8, seen=(3, 5), asks=(4, 6))
    case = parse_scenario(random_document(seed, size=size))
    assert check(label_scenarios([case], OPEN)) <= 1


def test_every_seed_is_a_structure_of_its_own_and_variants_share_it() -> None:
    signatures = [structure_of(parse_scenario(random_document(s))).signature for s in range(150)]
    assert len(set(signatures)) == 150
    again = [structure_of(parse_scenario(random_document(s, 1))).signature for s in range(60)]
    same = np.mean([a == b for a, b in zip(again, signatures)])
    assert same > 0.3  # signs of observations and comparisons may turn round


def test_documents_are_reproducible_and_their_truth_replays() -> None:
    for seed in range(20):
        document = random_document(seed)
        assert document == random_document(seed)
        case = parse_scenario(document)
        values, asks = replay(case, case.truth)
        assert np.isfinite(asks).all()
        for given in document["given"]:
            name, equals, value = given["that"].partition(" == ")
            flat = name.replace("'", "").replace(", ", ",")
            if equals and flat in case.truth and not value.startswith("'"):
                assert values[flat] == pytest.approx(float(value))
