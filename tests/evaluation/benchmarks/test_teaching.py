import itertools
import json
import re

import numpy as np
import pytest

from ppt_jax.evaluation.benchmarks import teaching
from ppt_jax.evaluation.benchmarks.protocol import BenchmarkError, ScoreSettings


def test_there_are_624_users_and_the_texts_of_the_release():
    assert teaching.users().shape == (624, 4)
    assert teaching.users(2).shape == (24, 2)
    assert teaching.flight_text([5, 0, 5, 3]) == (
        "departure time: 02:00 PM, duration: 30 min, number of stops: 1, price: $370"
    )
    assert teaching.flight_text([10, 10, 10, 10]) == (
        "departure time: 10:00 PM, duration: 20 hr, number of stops: 2, price: $1000"
    )
    assert teaching.flight_text([0, 2, 0, 0]) == (
        "departure time: 06:00 AM, duration: 4 hr 24 min, number of stops: 0, price: $100"
    )
    assert teaching.flight_text([4, 1, 0, 0]).startswith("departure time: 12:24 PM, duration: 2 hr")


def test_the_predictive_is_the_enumeration_over_users():
    rng = np.random.default_rng(0)
    rounds = rng.integers(0, 11, (3, 3, 4))
    weights = [w for w in itertools.product((-1, -0.5, 0, 0.5, 1), repeat=4) if any(w)]
    choices = (1, 0)
    total = np.zeros(3)
    for w in weights:
        likelihood = 1.0
        shares = []
        for flights in rounds:
            utility = [round(sum(a * b / 10 for a, b in zip(w, f)), 9) for f in flights]
            best = [u == max(utility) for u in utility]
            shares.append([b / sum(best) for b in best])
        for own, choice in zip(shares, choices):
            likelihood *= own[choice]
        total += likelihood * np.array(shares[2])
    found = teaching.posterior_choice(rounds[:2], choices, rounds[2])
    np.testing.assert_allclose(found, total / total.sum(), atol=1e-12)


def test_ties_are_shared_and_impossible_choices_refused():
    same = np.array([[1, 1, 0, 1], [1, 1, 0, 1], [9, 1, 0, 1]])
    shares = teaching.choice_shares(np.array([[-2, 0, 0, 0], [2, 0, 0, 0], [0, 1, 0, 0]]), same)
    np.testing.assert_allclose(shares, [[0.5, 0.5, 0], [0, 0, 1], [1 / 3, 1 / 3, 1 / 3]])
    middle = np.array([[0, 5, 0, 5], [5, 5, 0, 5], [10, 5, 0, 5]])  # nobody wants the middle alone
    twice = [middle, middle]
    # users indifferent to departure may take the middle one
    only = teaching.posterior_choice(twice, (1, 1), middle)
    np.testing.assert_allclose(only, 1 / 3)
    departure_only = np.array([[2, 0, 0, 0], [-2, 0, 0, 0]])
    with pytest.raises(BenchmarkError, match="no user"):
        teaching.posterior_choice(twice, (1, 1), middle, departure_only)


def test_generated_sessions_keep_the_rules():
    sessions = teaching.generate(seed=3)
    assert len(sessions) == 624
    for weights, session in zip(teaching.users(), sessions):
        assert session.features_RKF.shape == (5, 3, 4)
        for flights, choice in zip(session.features_RKF, session.choices):
            utility = flights @ weights
            assert utility[choice] == utility.max()
            assert len({tuple(f) for f in flights.tolist()}) == 3
            assert set(flights[:, 2]) <= {0, 5, 10}
    again = teaching.generate(seed=3)
    assert all(a.choices == b.choices and a.texts == b.texts for a, b in zip(sessions, again))


def test_the_exact_answer_is_calibrated_and_learns_with_rounds():
    questions = teaching.load(rounds="all").questions
    entropies, accuracies = [], []
    for number in range(5):
        own = [q for q in questions if q.subset == f"round {number + 1}"]
        probs = np.array([q.truth.probs_K for q in own])
        truth = np.array([q.truth.answer for q in own])
        np.testing.assert_allclose(probs.sum(1), 1, atol=1e-9)
        assert len(own) == 624
        entropies.append(np.mean([teaching.entropy(p) for p in probs]))
        accuracies.append(np.mean(probs.argmax(1) == truth))
        # the promised accuracy and log score come true, to four standard errors
        top, right = probs.max(1), probs.argmax(1) == truth
        assert abs(np.mean(right - top)) < 4 * np.sqrt(np.sum(top * (1 - top))) / 624
        log_score = -np.log(probs[np.arange(624), truth])
        assert abs(log_score.mean() - entropies[-1]) < 4 * log_score.std() / np.sqrt(624)
    assert all(a > b for a, b in itertools.pairwise(entropies))
    assert accuracies[4] > 0.72
    assert accuracies[0] < 0.48


def test_the_released_layout_is_read(tmp_path):
    sessions = teaching.generate()[:4]
    path = tmp_path / "flight.jsonl"
    lines = [json.dumps(teaching.to_json(s, k) | {"seed": 0}) for k, s in enumerate(sessions)]
    path.write_text("\n".join(lines) + "\n")
    made, read = teaching.load().questions[:4], teaching.load(tmp_path).questions
    assert [q.id for q in read] == [f"flight-{k}/round5" for k in range(4)]
    for a, b in zip(made, read):
        assert a.prompt == b.prompt
        np.testing.assert_allclose(a.truth.probs_K, b.truth.probs_K)
    assert read[0].prompt.count("The user chose flight") == 4
    assert "strongly prefers high" in teaching.load(tmp_path, guided=1).questions[0].prompt
    for field, bad, words in (
        ("rounds_numpy", [[[0.55, 0, 0, 0]] * 3] * 5, "multiples of 0.1"),
        ("rounds", [{"options": ["a"], "user_idx": 0}] * 5, "do not fit"),
        ("rounds", [{"options": ["a", "b", "c"], "user_idx": 3}] * 5, "user_idx"),
        ("rounds", None, "missing or odd"),
    ):
        path.write_text(json.dumps(teaching.to_json(sessions[0], 0) | {field: bad}))
        with pytest.raises(BenchmarkError, match=re.escape(words)) as error:
            teaching.load(tmp_path)
        assert "line 1" in str(error.value)


def test_models_against_users_and_posterior(tmp_path):
    benchmark = teaching.load()
    lines = []
    for q in benchmark.questions[:200]:
        probs = np.asarray(q.truth.probs_K)
        flat = (probs**0.5 / (probs**0.5).sum()).tolist()
        lines.append({"model": "shy", "item_id": q.id, "probs": flat})
        said = q.options[int(probs.argmax())] if len(lines) % 25 else "flights"
        lines.append({"model": "words", "item_id": q.id, "answer": f"<{said}>"})
    path = tmp_path / "r.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    scored = benchmark.score_recordings([path], ScoreSettings(replicates=50))
    row = {(r["model"], r["metric"], r["kind"], r["readout"]): r for r in scored.rows}
    asked = benchmark.questions[:200]
    probs = np.array([q.truth.probs_K for q in asked])
    truth = np.array([q.truth.answer for q in asked])
    exact = row["exact posterior", "log_score", "all", "probs"]
    assert exact["value"] == pytest.approx(-np.log(probs[np.arange(200), truth]).mean(), abs=1e-6)
    assert row["exact posterior", "kl", "all", "probs"]["value"] == pytest.approx(0, abs=1e-6)
    assert row["shy", "log_score", "all", "probs"]["value"] > exact["value"]
    assert row["shy", "agreement_posterior", "all", "probs"]["value"] == pytest.approx(1)
    words = row["words", "accuracy", "all", "text"]
    failed = sum("names no option" in line for line in scored.failures)
    assert words["n_parse_fail"] == failed > 0
    best = (probs.argmax(1) == truth).mean()
    assert best - failed / 200 - 1e-9 <= words["value"] <= best + 1e-9
    assert len(scored.items) == 400
