import json
import math
import pathlib

import numpy as np
import pytest

from ppt_jax.evaluation.answers import align
from ppt_jax.evaluation.item_files import read_items, write_items
from ppt_jax.evaluation.items import (
    PERCENT,
    Item,
    ItemError,
    Target,
    check_items,
)
from tests.evaluation.synthetic import make_corpus

GOOD = {
    "item_id": "s1/a",
    "cluster_id": "s1",
    "split": "seen_motifs",
    "kind": "choice",
    "support": ("no", "yes"),
    "target_K": [0.25, 0.75],
}


def item(model: str = "after", logp: object = (-1.0, -2.0), **changes: object) -> Item:
    return Item(**(GOOD | changes), model=model, logp_K=np.asarray(logp, float))  # type: ignore[arg-type]


def test_round_trip_keeps_everything(tmp_path: pathlib.Path) -> None:
    items, _, _ = make_corpus(3, question='How "strong"?\nReally', story="a\u2028b <x>")
    items.append(item(logp=(-math.inf, -0.5), prior_K=[0.5, 0.5], scale=(0.0, 40.0), unit="kg"))
    path = tmp_path / "items.jsonl"
    write_items(path, items)
    again = list(read_items(path))
    assert len(again) == len(items)
    for a, b in zip(items, again, strict=True):
        np.testing.assert_allclose(np.exp(b.logp_K), np.exp(a.logp_K), rtol=1e-7)
        np.testing.assert_allclose(b.target_K, a.target_K, rtol=1e-7, atol=1e-12)
        for field in ("item_id", "split", "kind", "support", "true_answer", "question", "story"):
            assert getattr(a, field) == getattr(b, field)
    assert again[-1].logp_K[0] == -math.inf
    assert again[-1].scale == (0.0, 40.0)
    first = path.read_bytes()
    write_items(path, again)
    assert path.read_bytes() == first  # reading and writing again changes no byte


def test_valid_mass_is_what_the_answers_hold() -> None:
    lossy = item(logp=np.log([0.1, 0.3]))
    assert lossy.valid_mass == pytest.approx(0.4)
    np.testing.assert_allclose(lossy.probs_K, [0.25, 0.75])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"target_K": [0.5, math.nan]}, ["s1/a", "target", "NaN", "'yes'"]),
        ({"target_K": [1.2, -0.2]}, ["s1/a", "target", "-0.2", "'yes'"]),
        ({"target_K": [0.5, 0.6]}, ["s1/a", "sums to 1.1"]),
        ({"target_K": [1.0]}, ["s1/a", "1 entries", "support has 2"]),
        ({"prior_K": [0.5, 0.25, 0.25]}, ["s1/a", "prior", "3 entries"]),
        ({"support": ("no", "no")}, ["s1/a", "all different"]),
        ({"kind": "value"}, ["s1/a", "'value'", "0..100"]),
        ({"kind": "value", "support": ("2", "1")}, ["s1/a", "increasing"]),
        ({"target_kind": "guess"}, ["s1/a", "'guess'", "posterior, outcome, human"]),
        ({"target_K": []}, ["s1/a", "neither probs nor a value"]),
        ({"target_K": [], "target_kind": "outcome"}, ["s1/a", "answer that came true"]),
        ({"parse_ok": "no"}, ["s1/a", "parse_ok"]),
        ({"kind": "number"}, ["s1/a", "'number'", "value, rank, chance, choice"]),
        ({"true_answer": 2}, ["s1/a", "true_answer 2"]),
        ({"true_rank": 1.5}, ["s1/a", "true_rank"]),
        ({"label_error": math.nan}, ["s1/a", "label_error"]),
        ({"logp": (math.nan, -1.0)}, ["s1/a", "logp", "NaN", "'no'"]),
        ({"logp": (0.5, -1.0)}, ["s1/a", "logp", "0.5"]),
        ({"logp": (-0.1, -0.1)}, ["s1/a", "more than 1"]),
        ({"logp": (-math.inf, -math.inf)}, ["s1/a", "no answer"]),
        ({"logp": (-1.0, -2.0, -3.0)}, ["s1/a", "logp", "3 entries"]),
        ({"cluster_id": ""}, ["s1/a", "cluster_id"]),
    ],
)
def test_bad_items_are_named(changes: dict[str, object], words: list[str]) -> None:
    with pytest.raises(ItemError) as error:
        item(**changes)
    for word in words:
        assert word in str(error.value)


def test_contradicting_items_are_refused() -> None:
    with pytest.raises(ItemError, match="'s1/a' of model 'after' occurs twice"):
        check_items([item(), item()])
    with pytest.raises(ItemError, match="target differs"):
        check_items([item("a"), item("b", target_K=[0.5, 0.5])])
    with pytest.raises(ItemError, match="support differs"):
        check_items([item("a"), item("b", support=("yes", "no"))])
    with pytest.raises(ItemError, match=r"s1/b.*'b' has no answer"):
        align([item("a"), item("a", item_id="s1/b"), item("b")])


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"logp": [0.0, "x"]}, "logp must be a list of numbers"),
        ({"logp": 3}, "logp must be a list"),
        ({"logp": [-1.0, math.nan]}, "NaN at answer 'yes'"),
        ({"logp": None}, "probs or logp is missing"),
        ({"logp": None, "probs": [0.5, math.nan]}, "probs is nan at entry 1"),
        ({"logp": None, "probs": [1.2, -0.2]}, "probs is -0.2 at entry 1"),
        ({"logp": None, "probs": [0.9, 0.9]}, "sums to 1.8"),
        ({"logp": None, "probs": [0.5, 0.5], "valid_mass": 2}, "valid_mass is 2"),
        ({"logp": None, "probs": [0.5, 0.2, 0.3]}, "3 entries"),
        ({"schema_version": 9}, "schema_version is 9"),
        ({"surprise": 1}, "unknown field 'surprise'"),
        ({"target": None}, "'target' is missing"),
        ({"target": [0.5, 0.5]}, "target must be an object"),
        ({"target": {"kind": "outcome", "value": "maybe"}}, "'maybe' is none of the answers"),
        ({"kind": ["choice"]}, ""),
        ({"true_answer": "yes"}, ""),
    ],
)
def test_bad_rows_are_named_with_their_line(
    tmp_path: pathlib.Path, change: dict[str, object], word: str
) -> None:
    path = tmp_path / "items.jsonl"
    write_items(path, [item(), item(item_id="s1/b")])
    lines = path.read_text().splitlines()
    lines[1] = json.dumps(json.loads(lines[1]) | change)
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(ItemError) as error:
        list(read_items(path))
    assert "line 2" in str(error.value)
    assert word in str(error.value)


def test_a_missing_field_and_a_duplicate_are_named(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "items.jsonl"
    write_items(path, [item()])
    line = json.loads(path.read_text())
    path.write_text(json.dumps(line) + "\n" + json.dumps(line) + "\n")
    with pytest.raises(ItemError, match="line 2: item 's1/a' of model 'after' occurs twice"):
        list(read_items(path))
    del line["split"]
    path.write_text(json.dumps(line) + "\n")
    with pytest.raises(ItemError, match="line 1: item 's1/a': field 'split' is missing"):
        list(read_items(path))


def test_positions_of_choices() -> None:
    assert Target(**GOOD).positions_K.tolist() == [0.0, 100.0]  # type: ignore[union-attr, arg-type]
    three = GOOD | {"support": ("a", "b", "c"), "target_K": [0.2, 0.3, 0.5]}
    assert Target(**three).positions_K is None  # type: ignore[arg-type]
    wide = GOOD | {"kind": "value", "support": PERCENT, "target_K": np.full(101, 1 / 101)}
    assert Target(**wide).positions_K.tolist() == list(range(101))  # type: ignore[union-attr, arg-type]


def test_outcomes_human_means_and_failures_keep_their_meaning(tmp_path: pathlib.Path) -> None:
    base = {"schema_version": 2, "model": "m", "cluster_id": "c", "split": "test"}
    choice = base | {"kind": "choice", "options": ["no", "yes"]}
    number = base | {"kind": "value", "support": [0, 5, 10]}
    rows = [
        choice
        | {"item_id": "a", "probs": [0.2, 0.6], "target": {"kind": "outcome", "value": "yes"}},
        choice
        | {"item_id": "b", "parse_ok": False, "target": {"kind": "human", "probs": [0.5, 0.5]}},
        number | {"item_id": "c", "probs": [1, 0, 0], "target": {"kind": "human", "value": 4}},
        number
        | {"item_id": "d", "probs": [0.5, 0.5, 0], "valid_mass": 0.8}
        | {"target": {"kind": "outcome", "value": 9.0}},
    ]
    path = tmp_path / "items.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    a, b, c, d = read_items(path)
    assert (a.true_answer, a.has_label, a.valid_mass) == (1, False, pytest.approx(0.8))
    assert a.target_K.tolist() == [0.0, 1.0]
    assert a.mean_position is None
    assert (b.parse_ok, b.valid_mass, b.has_label) == (False, 0.0, True)
    np.testing.assert_allclose(b.probs_K, [0.5, 0.5])
    assert (c.has_label, c.mean_position) == (False, 40.0)
    assert c.positions_K is not None
    assert c.positions_K.tolist() == [0.0, 50.0, 100.0]
    assert d.true_answer == 2
    np.testing.assert_allclose(np.exp(d.logp_K), [0.4, 0.4, 0.0])
    write_items(path, [a, b, c, d])
    first = path.read_bytes()
    again = list(read_items(path))
    assert [x.has_label for x in again] == [False, True, False, False]
    write_items(path, again)
    assert path.read_bytes() == first


def test_the_first_form_is_read(tmp_path: pathlib.Path) -> None:
    row = {
        "schema": "items/1",
        "model": "after",
        "item_id": "s1/a",
        "cluster_id": "s1",
        "split": "seen_motifs",
        "kind": "choice",
        "support": ["no", "yes"],
        "target": [0.25, 0.75],
        "prior": None,
        "logp": [-1.0, -2.0],
        "valid_mass": 0.5,
        "true_answer": 1,
    }
    path = tmp_path / "items.jsonl"
    path.write_text(json.dumps(row) + "\n")
    (found,) = read_items(path)
    assert found.target_K.tolist() == [0.25, 0.75]
    assert found.true_answer == 1
    path.write_text(json.dumps(row | {"schema": "items/7"}) + "\n")
    with pytest.raises(ItemError, match="line 1: schema_version is 'items/7'"):
        list(read_items(path))


@pytest.mark.parametrize("field", ["label_error", "logp", "true_rank", "valid_mass", "item_id"])
@pytest.mark.parametrize("value", [10**400, {"a": "\x1b[2J" * 5000}, [[]] * 3000])
def test_a_value_of_another_kind_or_size_is_one_short_line(
    tmp_path: pathlib.Path, field: str, value: object
) -> None:
    path = tmp_path / "items.jsonl"
    write_items(path, [item()])
    row = json.loads(path.read_text())
    row |= {"probs": [0.25, 0.75], "logp": None, "valid_mass": 1.0, field: value}
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(ItemError, match="line 1: ") as error:
        list(read_items(path))
    assert str(error.value).isprintable()
    assert len(str(error.value)) < len(str(path)) + 600
