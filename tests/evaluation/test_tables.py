import csv
import dataclasses
import json
import math
import pathlib

import numpy as np
import pytest

from ppt_jax.errors import UserError
from ppt_jax.evaluation.answers import METRICS
from ppt_jax.evaluation.item_files import read_items, write_items
from ppt_jax.evaluation.items import KINDS, Item, ItemError
from ppt_jax.evaluation.posthoc import OverlapError
from ppt_jax.evaluation.results import COLUMNS, read_results
from ppt_jax.evaluation.tables import (
    SPLITS,
    Evaluation,
    EvaluationConfig,
    evaluate,
    short_table,
    write_evaluation,
)
from tests.evaluation.synthetic import make_corpus

FAST = EvaluationConfig(replicates=200)
CORRECTED = ["+ts", "+bts", "+vector", "+platt", "+beta", "+isotonic", "+mixing"]
MODELS = [
    *("uniform", "base_rate"),
    *(model + suffix for model in ("before", "after") for suffix in ("", *CORRECTED)),
]


@pytest.fixture(scope="module")
def corpus() -> tuple[list[Item], list[Item], list[tuple[str, str, np.ndarray]]]:
    return make_corpus(60)


@pytest.fixture(scope="module")
def found(corpus: tuple[list[Item], list[Item], list[tuple[str, str, np.ndarray]]]) -> Evaluation:
    return evaluate(*corpus, FAST)


def test_every_model_split_kind_and_metric_has_one_row(found: Evaluation) -> None:
    keys = [(r["model"], r["split"], r["kind"], r["metric"]) for r in found.rows]
    assert len(set(keys)) == len(keys)
    assert list(dict.fromkeys(r["model"] for r in found.rows)) == MODELS
    metrics = [m.name for m in METRICS] + ["pearson_means"]
    wanted = {
        (m, s, k, x)
        for m in MODELS
        for s in SPLITS[:3]
        for k in (("all", *KINDS) if "+" not in m or m.endswith("+ts") else ("all", "choice"))
        for x in metrics
    }
    assert wanted <= set(keys)
    assert all(set(COLUMNS) == set(r) for r in found.rows)


def test_values_are_plain_means_over_items(
    found: Evaluation, corpus: tuple[list[Item], ...]
) -> None:
    after = [i for i in corpus[0] if i.model == "after" and i.split == "seen_motifs"]
    for kind in ("all", "choice", "rank"):
        own = [i for i in after if kind in ("all", i.kind)]
        kl = [float(np.sum(i.target_K * np.log(i.target_K / i.probs_K))) for i in own]
        row = found.row("after", "seen_motifs", "kl", kind)
        assert row is not None
        assert row["value"] == pytest.approx(np.mean(kl))
        assert row["n"] == len(own)
        assert row["n_clusters"] == len({i.cluster_id for i in own})
        assert row["ci_low"] < row["value"] < row["ci_high"]
        full = found.row("after", "seen_motifs", "kl_full", kind)
        assert full is not None
        assert full["value"] == pytest.approx(np.mean(kl) - math.log(0.99))
    ce, entropy = (
        found.row("after", "seen_motifs", "ce"),
        np.mean([-np.sum(i.target_K * np.log(i.target_K)) for i in after]),
    )
    assert ce is not None
    assert ce["floor"] == pytest.approx(entropy)
    kl_row = found.row("after", "seen_motifs", "kl")
    assert kl_row is not None
    assert ce["value"] - ce["floor"] == pytest.approx(kl_row["value"], abs=1e-9)
    mean = [float(i.probs_K @ i.positions_K) for i in after if i.positions_K is not None]
    label = [float(i.target_K @ i.positions_K) for i in after if i.positions_K is not None]
    pearson = found.row("after", "seen_motifs", "pearson_means")
    assert pearson is not None
    assert pearson["value"] == pytest.approx(np.corrcoef(mean, label)[0, 1])


def test_learned_is_told_from_not_learned(found: Evaluation) -> None:
    def kl(model: str) -> tuple[float, float]:
        row = found.row(model, "seen_motifs", "kl")
        assert row is not None
        return row["ci_low"], row["ci_high"]

    assert kl("after")[1] < kl("base_rate")[0]
    assert kl("after")[1] < kl("before+ts")[0]
    gap = next(
        r
        for r in found.comparisons
        if (r["model_a"], r["model_b"], r["split"], r["kind"], r["metric"])
        == ("after", "base_rate", "seen_motifs", "all", "kl")
    )
    assert gap["ci_high"] < 0
    assert gap["p_value"] < 0.01
    assert "0." in short_table(found.rows)


def test_order_of_items_changes_no_value(corpus: tuple[list[Item], ...], found: Evaluation) -> None:
    test, validation, labels = corpus
    flipped = evaluate(test[::-1], validation[::-1], labels[::-1], FAST)  # type: ignore[arg-type]
    for row in found.rows:
        other = flipped.row(row["model"], row["split"], row["metric"], row["kind"])
        assert other is not None
        if row["posthoc"] == "vector":
            continue  # 202 parameters from 45 items have no best value to agree on
        fitted = row["posthoc"] not in ("", "temperature")  # an optimiser's last digits
        rtol = 1e-3 if fitted else 1e-7
        message = f"{row['model']} {row['kind']} {row['metric']}"
        np.testing.assert_allclose(other["value"], row["value"], rtol, 1e-9, err_msg=message)


def test_stored_items_score_the_same(
    corpus: tuple[list[Item], ...], found: Evaluation, tmp_path: pathlib.Path
) -> None:
    write_items(tmp_path / "items.jsonl", corpus[0])
    again = evaluate(read_items(tmp_path / "items.jsonl"), corpus[1], corpus[2], FAST)
    for row, other in zip(found.rows, again.rows, strict=True):
        np.testing.assert_allclose(other["value"], row["value"], rtol=1e-5, atol=1e-6)


def test_empty_splits_and_kinds_are_nan_and_never_zero(tmp_path: pathlib.Path) -> None:
    test, validation, labels = make_corpus(6, seed=1)
    kept = [i for i in test if i.split == "seen_motifs" and i.kind != "choice"]
    found = evaluate(kept, validation, labels, FAST)
    for row in found.rows:
        if row["split"] != "seen_motifs" or row["kind"] == "choice":
            assert math.isnan(row["value"]), row
            assert row["n"] == 0
    write_evaluation(tmp_path, found, {"seed": 0})
    rows = json.loads((tmp_path / "results.json").read_text())["metrics"]
    assert [r["value"] for r in rows if r["kind"] == "choice"] == [None] * sum(
        r["kind"] == "choice" for r in rows
    )
    assert not evaluate([], [], [], FAST).rows
    none = evaluate([], [], [], dataclasses.replace(FAST, splits=("seen_motifs",)))
    assert {r["model"] for r in none.rows} == {"uniform", "base_rate"}
    assert all(math.isnan(r["value"]) and r["n"] == 0 for r in none.rows)


def test_files_hold_the_rows(found: Evaluation, tmp_path: pathlib.Path) -> None:
    write_evaluation(tmp_path, found, {"config": "x"})
    document = json.loads((tmp_path / "results.json").read_text())
    rows = document["metrics"]
    assert len(rows) == len(found.rows)
    with open(tmp_path / "results.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == len(rows)
    for row, line in zip(rows, table, strict=True):
        assert {k: "" if v in (None, {}) else str(v) for k, v in row.items()} == line
    assert document["run"] == {"config": "x"}
    pooled = next(f for f in document["posthoc"]["after+ts"] if f["group"] == "all")
    assert pooled["n_fit"] == 180
    assert set(document["posthoc"]) == {m for m in MODELS if "+" in m}
    assert document["comparisons"]
    again = read_results(tmp_path)
    assert again.run == {"config": "x"}
    for row, other in zip(found.rows, again.rows, strict=True):
        np.testing.assert_equal(row, other)
    first = (tmp_path / "results.json").read_bytes()
    write_evaluation(tmp_path, found, {"config": "x"})
    assert (tmp_path / "results.json").read_bytes() == first


def test_overlap_unknown_split_and_bad_settings_are_refused() -> None:
    test, validation, labels = make_corpus(4, seed=2)
    with pytest.raises(OverlapError):
        evaluate(test, [*validation, test[0]], labels, FAST)
    with pytest.raises(ItemError, match="split 'validation' is none of"):
        evaluate(validation, [], labels, dataclasses.replace(FAST, splits=("seen_motifs",)))
    with pytest.raises(UserError, match=r"evaluation\.replicates"):
        EvaluationConfig(replicates=0)
    with pytest.raises(UserError, match=r"evaluation\.level"):
        EvaluationConfig(level=95)


def planted(sharpen: float, seed: int, n: int = 450) -> list[Item]:
    """Choices whose truth is drawn from q while the model says q^sharpen, renormalised."""
    rng = np.random.default_rng(seed)
    items = []
    for k in range(n):
        size = 2 if k % 3 else 3
        q_K = rng.dirichlet(np.full(size, 1.5))
        p_K = q_K**sharpen / (q_K**sharpen).sum()
        items.append(
            Item(
                item_id=f"s{k}/a",
                cluster_id=f"s{k}",
                split="seen_motifs",
                kind="choice",
                support=tuple("xyz"[:size]),
                target_K=q_K,
                true_answer=int(rng.choice(size, p=q_K)),
                model="after",
                logp_K=np.log(p_K),
            )
        )
    return items


def test_overconfident_underconfident_and_perfect_are_told_apart() -> None:
    settings = EvaluationConfig(splits=("seen_motifs",), replicates=200)

    def errors(sharpen: float, seed: int) -> dict[str, tuple[float, float, float]]:
        found = evaluate(planted(sharpen, seed), config=settings)
        rows = (
            found.row("after", "seen_motifs", name, "choice")
            for name in ("ece_smooth", "ece_mass", "brier_reliability", "ece_debiased_squared")
        )
        return {r["metric"]: (r["value"], r["null_mean"], r["null_q95"]) for r in rows if r}

    for value, _, high in errors(3.0, 0).values():
        assert value > 1.5 * high
    for value, _, high in errors(0.2, 1).values():
        assert value > 1.5 * high
    for value, mean, high in errors(1.0, 2).values():
        assert value < high * 1.1
        assert mean < high


def test_null_covers_the_perfect_predictor_in_95_percent() -> None:
    """Over many perfect predictors about one in twenty lies above its null's 95% quantile."""
    from ppt_jax.evaluation import choices
    from ppt_jax.evaluation.answers import stack_answers, stack_targets

    above = 0
    for seed in range(40):
        items = planted(1.0, 100 + seed, n=150)
        targets = stack_targets(items)
        answers = stack_answers("after", targets, [i.probs_K for i in items])
        events = choices.choice_events(
            targets, answers, np.ones(150, bool), np.arange(150, dtype=np.int32)
        )
        got = choices.calibrate(events, np.ones((100, 150)), seed=seed)["ece_smooth"]
        assert got.null_q95 is not None
        above += got.value > got.null_q95
    assert above <= 7  # binomial(40, 0.05) exceeds 7 with probability 0.0007
