"""Planted leaks are found, shared templates are told apart from copies."""

from typing import Any

from ppt_jax.authoring.diversity import near_copies
from ppt_jax.authoring.gates import gates
from ppt_jax.authoring.leakage import leakage, masked_sentences, word_grams

WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron", "inlet", "juniper")


def _row(number: int, motif: str, story: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"r{number}",
        "motif": motif,
        "family": "A",
        "skin": "s",
        "story": story,
        **fields,
    }


def _story(number: int) -> str:
    picked = [WORDS[(number * step + step) % len(WORDS)] for step in (1, 3, 5, 7, 2, 9, 4, 6, 11)]
    return f"At the {' '.join(picked)} stand {number} people. Teo is {number} years old."


def test_sentences_are_masked_by_numbers_and_names_only() -> None:
    first = masked_sentences("Teo beat Ann in 3 rounds. Ann lost. The rain fell.")
    other = masked_sentences("Bo beat Mia in seven rounds. Mia lost. The snow fell.")
    assert first == {"Teo beat @ in # rounds.", "@ lost.", "The rain fell."}
    assert len(first & other) == 1


def test_word_grams_keep_numbers_and_ignore_case() -> None:
    text = "One two three four five six seven 8 nine."
    assert len(word_grams(text)) == 2
    assert word_grams(text) == word_grams(text.upper())
    assert word_grams(text) != word_grams(text.replace("8", "9"))


def test_near_copies_differ_in_numbers_only() -> None:
    trained = [_story(number) for number in range(20)]
    assert (
        near_copies(trained, [_story(3).replace("3", "71"), "A story of its own, not seen."]) == 1
    )


def test_held_out_axes_and_copies_are_counted_and_gated() -> None:
    train = [_row(number, "m1" if number % 2 else "m2", _story(number)) for number in range(20)]
    sound = [_row(100, "m3", "Quite another tale about lanterns, told once, without any twin.")]
    leaky = [
        _row(101, "m1", "Yet another tale about kites that nobody has ever written down before."),
        _row(102, "m3", _story(4)),
    ]
    structures = {row["id"]: row["id"] for row in (*train, *sound, *leaky)}
    good = leakage({"train": train, "held_out_motifs": sound}, structures)["splits"]
    assert good["held_out_motifs"]["disjoint"]
    assert good["held_out_motifs"]["near_copies"] == 0
    bad = leakage({"train": train, "held_out_motifs": leaky}, structures)
    row = bad["splits"]["held_out_motifs"]
    assert not row["disjoint"]
    assert row["shared_motif"] == 1
    assert row["near_copies"] == 1
    assert 0 < row["trained_sentences"] < 1
    page = {
        "counts": {"train": {"scenarios": 20}},
        "training_shares": {"motif": {}, "skin": {}},
        "structure": {"signatures": 1, "largest_share": 1.0},
        "diversity": {},
        "answers": {},
        "leakage": bad,
    }
    missed = {gate.name for gate in gates(page) if gate.passed is False}
    assert missed == {
        "held_out_motifs: shared motif names",
        "held_out_motifs: near copies of training",
    }


def test_outside_texts_share_no_run_of_eight_words_unless_they_were_copied() -> None:
    train = [_row(number, "m", _story(number)) for number in range(5)]
    structures = {row["id"]: row["id"] for row in train}
    texts = ["Nothing in here was ever written by the author of stories.", f"Quoted: {_story(2)}"]
    found = leakage({"train": train}, structures, texts)["outside"]
    assert found["texts"] == 2
    assert found["texts_that_share"] == 1
    assert found["worst"] == [texts[1]]
    assert leakage({"train": train}, structures)["outside"] == {}
