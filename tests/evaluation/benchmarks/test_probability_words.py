import math

import numpy as np
import pytest

from ppt_jax.evaluation.benchmarks import probability_words, protocol
from ppt_jax.evaluation.benchmarks.protocol import BenchmarkError, ScoreSettings

FEW = ScoreSettings(replicates=50, splits=20)


@pytest.fixture
def sheet(tmp_path):
    rng = np.random.default_rng(0)
    level = {"Almost Certainly": 95, "Likely": 70, "About Even": 50, "Little Chance": 12}
    lines = [",".join(f'"{name}"' for name in level)]
    for _ in range(12):
        lines.append(
            ",".join(f"{np.clip(m + rng.normal(0, 4), 0, 100):.1f}" for m in level.values())
        )
    path = tmp_path / "probly.csv"
    path.write_text("\n".join(lines))
    return path


def test_people_alone(sheet):
    scored = probability_words.score_data([sheet], FEW)
    row = {(r["metric"], r["kind"]): r["value"] for r in scored.rows}
    columns = np.loadtxt(sheet, delimiter=",", skiprows=1)
    assert row["human_mean", "likely"] == pytest.approx(columns[:, 1].mean())
    assert row["human_median", "about even"] == pytest.approx(np.median(columns[:, 2]))
    assert row["human_sd", "likely"] == pytest.approx(columns[:, 1].std(ddof=1))
    assert row["split_half_r", "all"] > 0.99


def test_a_model_against_people(sheet, tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("phrase,answer\nAlmost Certainly,95%\nlikely,<70>\nAbout even,50\n")
    scored = protocol.load("probability_words", sheet.parent).score_recordings([path], FEW)
    row = {r["metric"]: r for r in scored.rows}
    means = np.loadtxt(sheet, delimiter=",", skiprows=1).mean(0)[:3]
    assert row["mae"]["value"] == pytest.approx(np.abs(means - [95, 70, 50]).mean())
    assert row["mae"]["n"] == 3


def test_unusable_cells_are_counted(sheet):
    lines = sheet.read_text().splitlines()
    lines[1] = "101,,50,x"
    sheet.write_text("\n".join(lines))
    scored = probability_words.score_data([sheet], FEW)
    assert len(scored.failures) == 3
    assert all(r["n_parse_fail"] == 3 for r in scored.rows)
    assert not any(math.isnan(r["value"]) for r in scored.rows)
    sheet.write_text("Likely\n")
    with pytest.raises(BenchmarkError, match="a row a person"):
        probability_words.score_data([sheet], FEW)
