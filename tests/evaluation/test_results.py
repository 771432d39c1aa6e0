import csv
import json
import math
import pathlib

import numpy as np
import pytest

from ppt_jax.evaluation.results import (
    COLUMNS,
    ResultError,
    find_row,
    lm_eval_document,
    read_results,
    row,
    write_results,
)


def rows() -> list[dict[str, object]]:
    return [
        row(
            "base",
            "brier",
            np.float64(0.25),
            n=100,
            task="quite",
            split="test",
            readout="trie",
            stderr=0.01,
            ci_low=0.2,
            ci_high=0.3,
            n_clusters=20,
            n_parse_fail=3,
            higher_is_better=False,
        ),
        row("base", "ece", 0.1, n=100, task="quite", params={"bins": 15}, null_q95=0.12),
        row("base", "ece", 0.2, n=100, task="quite", params={"bins": 10}, floor=math.nan),
        row("base", "kl", None, n=0, task="quite", split="hard"),
    ]


def test_round_trip(tmp_path: pathlib.Path) -> None:
    write_results(tmp_path, rows(), {"seed": 1, "loss": math.nan}, comparisons=[{"p": math.inf}])
    text = (tmp_path / "results.json").read_text()
    assert "NaN" not in text
    assert "Infinity" not in text
    again = read_results(tmp_path)
    assert again.schema_version == 2
    assert again.run == {"seed": 1, "loss": None}
    assert again.extra == {"comparisons": [{"p": None}]}
    for one, other in zip(rows(), again.rows, strict=True):
        np.testing.assert_equal(one, other)
    first = (tmp_path / "results.json").read_bytes()
    write_results(tmp_path, again.rows, again.run, **again.extra)
    assert (tmp_path / "results.json").read_bytes() == first
    with open(tmp_path / "results.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert tuple(table[0]) == COLUMNS
    assert (table[1]["params"], table[3]["value"], table[3]["n"]) == ('{"bins": 15}', "", "0")


def test_nothing_measured_is_never_zero() -> None:
    assert math.isnan(row("m", "kl", None, n=0)["value"])
    assert math.isnan(row("m", "kl", math.nan, n=4)["value"])
    with pytest.raises(ResultError, match="no items; it must be null"):
        row("m", "kl", 0.0, n=0)


def test_bad_rows_are_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ResultError, match="n is -1"):
        row("m", "kl", 0.0, n=-1)
    with pytest.raises(ResultError, match="'x' is not a number"):
        row("m", "kl", "x", n=1)  # type: ignore[arg-type]
    with pytest.raises(ResultError, match="model must be"):
        row("", "kl", 1.0, n=1)
    with pytest.raises(ResultError, match="two rows of model 'm', kind 'all', metric 'kl'"):
        write_results(tmp_path, [row("m", "kl", 1.0, n=1)] * 2)
    with pytest.raises(ResultError, match=r"row 0 .*'extra' is missing or unknown"):
        write_results(tmp_path, [row("m", "kl", 1.0, n=1) | {"extra": 1}])
    assert not (tmp_path / "results.json").exists()


def test_files_of_the_first_form_are_read_and_others_refused(tmp_path: pathlib.Path) -> None:
    old = {
        "model": "after",
        "split": "seen",
        "kind": "all",
        "metric": "kl",
        "value": None,
        "ci_low": None,
        "ci_high": None,
        "n": 0,
        "n_clusters": 0,
        "null_mean": None,
        "null_q95": None,
        "floor": None,
        "better": "lower",
    }
    path = tmp_path / "results.json"
    path.write_text(json.dumps([old]))
    found = read_results(path)
    assert found.schema_version == 1
    one = find_row(found.rows, "after", "seen", "kl")
    assert one is not None
    assert one["higher_is_better"] is False
    del old["n"]
    path.write_text(json.dumps([old]))
    with pytest.raises(ResultError, match=r"row 0 .*'n' is missing"):
        read_results(path)
    path.write_text(json.dumps({"schema_version": 3, "metrics": []}))
    with pytest.raises(ResultError, match="schema_version is 3; this version reads 2"):
        read_results(tmp_path)
    path.write_text(json.dumps({"schema_version": 2, "metrics": [{"model": "m"}]}))
    with pytest.raises(ResultError, match=r"metrics\[0\]: field 'ceiling' is missing"):
        read_results(tmp_path)
    with pytest.raises(ResultError, match="cannot read"):
        read_results(tmp_path / "nowhere.json")


def test_lm_eval_keys() -> None:
    document = lm_eval_document(rows())
    assert document["results"]["quite_test"]["brier,trie"] == 0.25
    assert document["results"]["quite_test"]["brier_stderr,trie"] == 0.01
    assert document["results"]["quite"]["ece_bins=15,none"] == 0.1
    assert document["results"]["quite"]["ece_bins=15_stderr,none"] == "N/A"
    assert document["higher_is_better"] == {"quite_test": {"brier": False}}
    assert document["n-samples"]["quite_test"] == {"original": 100, "effective": 100}
    both = lm_eval_document([*rows(), row("tuned", "brier", 0.2, n=100, task="quite")])
    assert "tuned/quite" in both["results"]
