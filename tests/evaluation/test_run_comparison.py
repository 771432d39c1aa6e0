import csv
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from ppt_jax.errors import UserError
from ppt_jax.evaluation.item_files import write_items
from ppt_jax.evaluation.items import Item, ItemError, Target
from ppt_jax.evaluation.run_comparison import (
    CompareConfig,
    RunComparison,
    compare_runs,
    comparison_table,
    failures,
    read_side,
    write_comparison,
)

ROOT = pathlib.Path(__file__).parents[2]


def items(
    model: str, sharpen: float, *, noise: float = 0.0, n: int = 120, seed: int = 0
) -> list[Item]:
    """Answers to n choices in n / 3 clusters: the label to a power, with noise in the logits."""
    rng = np.random.default_rng(7)
    own = np.random.default_rng([seed, 1])
    out = []
    for k in range(n):
        q_K = rng.dirichlet([1.5, 1.5])
        target = Target(
            item_id=f"s{k // 3}/a{k % 3}",
            cluster_id=f"s{k // 3}",
            split="seen" if k < n // 2 else "new",
            kind="choice",
            support=("no", "yes"),
            target_K=q_K,
            true_answer=int(rng.random() < q_K[1]),
        )
        p_K = q_K**sharpen * np.exp(noise * own.standard_normal(2))
        out.append(target.answered(model, np.log(p_K / p_K.sum())))
    return out


def stored(folder: pathlib.Path, found: list[Item]) -> str:
    write_items(folder / "evaluation" / "items.jsonl", found)
    return str(folder)


def compared(a: str, b: str, **settings: object) -> RunComparison:
    return compare_runs([read_side(a), read_side(b)], CompareConfig(**settings))  # type: ignore[arg-type]


def test_a_worse_run_is_named_and_fails(tmp_path: pathlib.Path) -> None:
    good = stored(tmp_path / "good", items("m", 1.0, noise=0.1))
    bad = stored(tmp_path / "bad", items("m", 3.0))
    found = compared(good, bad, metrics=("kl", "brier"), replicates=300)
    assert [(r["metric"], r["split"]) for r in found.rows] == [
        *(("kl", "seen"), ("brier", "seen")),
        *(("kl", "new"), ("brier", "new")),
    ]
    kl = found.rows[0]
    p = {i.item_id: i for i in items("m", 1.0, noise=0.1)}
    gaps = []
    for other in items("m", 3.0)[:60]:
        one = p[other.item_id]
        gaps.append(np.sum(one.target_K * (np.log(one.probs_K) - np.log(other.probs_K))))
    assert kl["difference"] == pytest.approx(np.mean(gaps))
    assert (kl["n"], kl["n_clusters"]) == (60, 20)
    assert kl["b_better"] == np.sum(np.array(gaps) < 0)
    assert kl["b_worse"] == np.sum(np.array(gaps) > 0)
    assert kl["verdict"] == "b worse"
    assert kl["p_holm"] >= kl["p_value"]
    assert any("is worse than" in line for line in found.sentences)
    assert failures(found, 0.01)
    assert not failures(found, 10.0)
    assert not failures(compared(bad, good, metrics=("kl",)), 0.0)
    with pytest.raises(UserError, match="fail_if_worse is -1"):
        failures(found, -1)


def test_equal_runs_show_nothing_and_say_so(tmp_path: pathlib.Path) -> None:
    a = stored(tmp_path / "a", items("m", 1.0, noise=0.2, seed=1))
    b = stored(tmp_path / "b", items("m", 1.0, noise=0.2, seed=2))
    found = compared(a, b, metrics=("kl",), splits=("seen",))
    assert found.rows[0]["verdict"] == "no difference shown"
    assert found.sentences == [
        "Every 95% interval covers zero: these items show no difference between the runs. The "
        "column of the minimum detectable difference says what they could have shown."
    ]
    assert found.rows[0]["minimum_detectable"] > 0
    same = compared(a, a)
    assert all(r["difference"] == 0 and r["tied"] == r["n"] for r in same.rows)


def test_missing_items_are_refused_or_counted(tmp_path: pathlib.Path) -> None:
    a = stored(tmp_path / "a", items("m", 1.0))
    b = stored(tmp_path / "b", items("m", 2.0)[3:])
    with pytest.raises(ItemError, match=r"'s0/a0'.*3 items are missing there.*--intersection"):
        compared(a, b)
    found = compared(a, b, intersection=True, metrics=("kl",))
    assert sum(r["n"] for r in found.rows) == 117
    assert found.missing[0]["count"] == 3
    assert "lacks 3 items" in found.sentences[0]
    moved = stored(
        tmp_path / "c", [i for i in items("m", 1.0, n=90) if i.item_id not in ("s0/a0",)]
    )
    with pytest.raises(ItemError, match="differs between"):
        compared(a, moved, intersection=True)  # 45 items of the other corpus are in another split
    other = stored(tmp_path / "d", [])
    with pytest.raises(UserError, match="holds no items"):
        compared(a, other)


def test_seeds_of_both_sides_are_resampled(tmp_path: pathlib.Path) -> None:
    def seeds(name: str, sharpen: float) -> str:
        paths = [
            stored(tmp_path / f"{name}{s}", items("m", sharpen, noise=0.5, seed=10 * s + 1))
            for s in range(3)
        ]
        return f"{name}=" + ",".join(paths)

    a, b = seeds("old", 1.0), seeds("new", 2.0)
    found = compared(a, b, metrics=("kl",), splits=("seen",))
    row = found.rows[0]
    assert (row["a"], row["b"], row["n"]) == ("old", "new", 60)
    singles = [
        compared(x, y, metrics=("kl",), splits=("seen",)).rows[0]["difference"]
        for x, y in zip(a[4:].split(","), b[4:].split(","), strict=True)
    ]
    assert row["difference"] == pytest.approx(np.mean(singles))
    two = "two=" + ",".join(b[4:].split(",")[:2])
    with pytest.raises(UserError, match="old has 3 seeds and two 2"):
        compared(a, two)


def test_models_of_one_file_and_bad_names(tmp_path: pathlib.Path) -> None:
    run = stored(tmp_path / "run", [*items("before", 3.0), *items("after", 1.0)])
    found = compare_runs([read_side(f"{run}#before"), read_side(run)], CompareConfig(("kl",)))
    assert found.rows[0]["verdict"] == "b better"
    with pytest.raises(UserError, match="'late' is not there, it holds before, after"):
        read_side(f"{run}#late")
    several = stored(tmp_path / "several", [*items("x", 3.0), *items("y", 1.0)])
    with pytest.raises(UserError, match=r"several models \(x, y\)"):
        read_side(several)
    with pytest.raises(UserError, match="no items here"):
        read_side(str(tmp_path))
    with pytest.raises(UserError, match="metric 'klx' is none of kl"):
        CompareConfig(metrics=("klx",))
    with pytest.raises(UserError, match="split 'old' has no items"):
        compared(f"{run}#before", run, splits=("old",))


def test_command_writes_files_and_fails_for_ci(tmp_path: pathlib.Path) -> None:
    run = stored(tmp_path / "run", [*items("before", 3.0), *items("after", 1.0)])
    command = [sys.executable, "-m", "launch.compare", f"{run}#after", f"{run}#before"]
    command += ["--metric=kl", "--fail_if_worse=0.01", f"--out={tmp_path / 'out'}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1, done.stderr
    assert "worse: " in done.stderr
    document = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert document["schema_version"] == 1
    with open(tmp_path / "out" / "comparison.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == len(document["rows"]) == 2
    assert "is worse than" in (tmp_path / "out" / "comparison.md").read_text()
    done = subprocess.run([*command[:4], "--metric=kl"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert done.stderr.startswith("error: 2 or more paths are needed, got 1")


def test_table_has_one_line_a_row(tmp_path: pathlib.Path) -> None:
    a = stored(tmp_path / "a", items("m", 1.0))
    b = stored(tmp_path / "b", items("m", 2.0))
    sides = [read_side(a), read_side(b)]
    found = compare_runs(sides, CompareConfig(replicates=50))
    assert len(comparison_table(found).splitlines()) == 2 + len(found.rows)
    write_comparison(tmp_path, found, sides)
    first = (tmp_path / "comparison.json").read_bytes()
    write_comparison(tmp_path, compare_runs(sides, CompareConfig(replicates=50)), sides)
    assert (tmp_path / "comparison.json").read_bytes() == first


def test_one_cluster_has_no_interval_and_fails_nothing(tmp_path: pathlib.Path) -> None:
    a = stored(tmp_path / "a", items("m", 1.0, n=3))
    b = stored(tmp_path / "b", items("m", 9.0, n=3))
    for side in (b, f"{b},{b}"):  # items alone, seeds and items
        found = compared(a, side, metrics=("kl",), splits=("seen",))
        (row,) = found.rows
        assert row["n_clusters"] == 1
        assert row["difference"] > 0.1
        assert np.isnan(row["ci_low"])
        assert np.isnan(row["ci_high"])
        assert failures(found, 0.01) == []
        assert "single cluster" in found.sentences[0]
        assert "nan" not in comparison_table(found)
