import json

import numpy as np
import pytest
from scipy import special

from ppt_jax.data.dataset import build_dataset
from ppt_jax.evaluation.benchmarks import protocol
from ppt_jax.evaluation.benchmarks.protocol import BenchmarkError, ScoreSettings
from tests.data import examples

FEW = ScoreSettings(replicates=30)


@pytest.fixture
def dataset(tmp_path):
    labels = tmp_path / "labels"
    for split, numbers in (("train", range(3)), ("held_out_motifs", range(10, 16))):
        rows = [examples.row(at, split=split) for at in numbers]
        examples.write_rows(labels / f"{split}-00000-of-00001.jsonl", rows)
    build_dataset(labels, tmp_path / "dataset", silent=True)
    return tmp_path / "dataset"


def test_labels_are_the_targets_and_recordings_go_through_the_tables(dataset, tmp_path):
    benchmark = protocol.load("motifs", dataset)
    assert len(benchmark.questions) == 24
    assert {q.subset for q in benchmark.questions} == {"held_out_motifs"}
    value = next(q for q in benchmark.questions if q.kind == "value")
    assert "Scale from 0 (5 hours) to 100 (40 hours)." in value.prompt
    lines, gaps = [], []
    for q in benchmark.questions:
        target = np.asarray(q.truth.probs_K)
        own = 0.8 * target + 0.2 / len(target)
        gaps.append(special.rel_entr(target, own).sum())
        lines.append({"model": "near", "item_id": q.id, "probs": own.tolist()})
        said = "?" if q.id.endswith("q3") else (q.options or ("17",))[0]
        lines.append({"model": "words", "item_id": q.id, "answer": said})
    path = tmp_path / "r.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    scored = benchmark.score_recordings([path], FEW)
    row = {(r["model"], r["metric"], r["kind"]): r for r in scored.rows}
    assert row["near", "kl", "all"]["value"] == pytest.approx(np.mean(gaps), abs=1e-6)
    assert row["near", "kl", "all"]["n_clusters"] == 6
    assert row["words", "kl", "all"]["n_parse_fail"] == 6
    assert len(scored.failures) == 6
    assert {item.model for item in scored.items} == {"near", "words"}


def test_a_dataset_without_the_split_says_so(dataset):
    with pytest.raises(BenchmarkError, match="none of the splits held_out_family"):
        protocol.load("motifs", dataset, split="held_out_family")
