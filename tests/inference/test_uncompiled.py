"""Programs beyond every compiled size are labelled, or refused by name, in bounded memory."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ppt_jax.inference import kernel, uncompiled
from ppt_jax.inference.cascade import Labelled, Reject, label_scenarios
from ppt_jax.inference.labels import LabelConfig, weighted_label
from ppt_jax.inference.program import lower
from ppt_jax.inference.routes import ask_arrays, prepare
from ppt_jax.scenario import limits
from ppt_jax.scenario.document import Scenario, parse_scenario, to_dict
from tests.inference.corpus import ask, node, random_document, scenario

CONFIG = LabelConfig(engine="table", points=(8192,))


def wide(members: int) -> Scenario:
    """The sum of ``members`` squared normal draws, seen with an error."""
    sets = {key: [f"{key}{i}" for i in range(members)] for key in ("a", "b")}
    model = [
        node("x", "normal(mean=0, sd=1)", "a", "b"),
        node("all", "total(total(x[a, b], b), a)"),
        node("seen", f"normal(mean=all, sd={members})"),
    ]
    asks = [ask("value", "all", low=-5 * members, high=5 * members), ask("rank", "all")]
    asks += [ask("choice", f"x['a{i % members}', 'b0'] > 0") for i in range(limits.MAX_ASK - 2)]
    return scenario(model, [f"seen == {members}"], asks, sets=sets)


@pytest.mark.parametrize("members", [20, 62])
def test_hundreds_and_thousands_of_latents_are_labelled(members: int) -> None:
    """With the largest number of asks too; posterior of the sum in closed form."""
    one = wide(members)
    assert kernel.bucket_of(prepare(one).table) is None
    result = label_scenarios([one], CONFIG)[0]
    assert isinstance(result, Labelled)
    law = stats.norm(members / 2, members / np.sqrt(2))
    edges = -5 * members + 10 * members * (np.arange(102) - 0.5) / 100
    expected = np.diff(law.cdf(edges))
    label = result.labels[0]
    coarse = [np.add.reduceat(p[:100], np.arange(0, 100, 5)) for p in (label.probs, expected)]
    assert label.error < 0.03
    assert 0.5 * np.abs(coarse[0] - coarse[1]).sum() < 2 * label.error  # stated is what to expect
    posterior = law.ppf((np.arange(999) + 0.5) / 999)
    beaten = float(np.mean(stats.norm(0, members).cdf(posterior)))
    mean_rank = float(result.labels[1].probs @ np.arange(101))
    assert mean_rank == pytest.approx(100 * beaten, abs=1.5)
    assert len(result.labels) == limits.MAX_ASK


@pytest.mark.parametrize("seed", [3, 8])
def test_the_same_labels_as_the_compiled_kernels(seed: int) -> None:
    one = parse_scenario(random_document(seed))
    made = prepare(one)
    summary = uncompiled.weigh_program(made.program, ask_arrays(made), 8192, 0)
    table = label_scenarios([one], LabelConfig(engine="table"))[0]
    assert isinstance(table, Labelled)
    for place, expected in enumerate(table.labels):
        found = weighted_label(one, place, summary, place, made.truths[place], "table")
        distance = 0.5 * np.abs(found.probs - expected.probs).sum()
        assert distance < 2 * (found.error_101 + expected.error_101) + 0.005
        assert np.abs(found.prior_probs - expected.prior_probs).sum() < 0.1


def test_the_largest_programs_take_bounded_memory_and_end_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = lower(wide(62))
    assert len(program.latents) == 62 * 62
    held = uncompiled.block_size(program) * (len(program.nodes) + len(program.latents))
    assert held <= uncompiled.BLOCK_VALUES
    monkeypatch.setattr(uncompiled, "MAX_WORK", 1000)
    result = label_scenarios([wide(20)], CONFIG)[0]
    assert isinstance(result, Reject)
    assert result.reason == "too_large"
    assert "400 latents" in result.detail


def test_evidence_that_no_particle_fits_is_a_named_reject() -> None:
    one = wide(20)
    given = [{"that": "seen == 20"}, {"that": "all > 10000"}]
    impossible = parse_scenario({**to_dict(one), "given": given})
    result = label_scenarios([impossible], CONFIG)[0]
    assert isinstance(result, Reject)
    assert result.reason == "impossible_evidence"
