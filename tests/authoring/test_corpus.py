import copy

import numpy as np
import pytest

from ppt_jax.authoring import diversity
from ppt_jax.authoring.author import AuthorConfig, make_plan
from ppt_jax.authoring.compose import write_scenario
from ppt_jax.authoring.corpus import CorpusFiles, describe, duplicate_key
from ppt_jax.authoring.structures import structure_signature
from ppt_jax.scenario.document import to_dict

WORDS = [f"w{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(400)]


def _random_texts(count: int, length: int = 40) -> list[str]:
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(WORDS, length)) for _ in range(count)]


def test_near_duplicates_differ_in_numbers_only() -> None:
    texts = _random_texts(50)
    assert diversity.near_duplicate_rate(texts) == 0
    copies = [f"{text} {number} {text[::2]}" for number, text in enumerate(texts)]
    changed = [f"{text} {number + 500} {text[::2]}" for number, text in enumerate(texts)]
    assert diversity.near_duplicate_rate(copies + changed) == pytest.approx(0.5)


def test_near_duplicates_agree_with_exact_jaccard() -> None:
    rng = np.random.default_rng(1)
    texts = _random_texts(30, 60)
    for text in list(texts):
        tokens = text.split()
        for place in rng.choice(60, int(rng.integers(0, 4)), replace=False):
            tokens[int(place)] = str(rng.choice(WORDS))
        texts.append(" ".join(tokens))

    def grams(text: str) -> set[tuple[str, ...]]:
        tokens = diversity.words(text)
        return {tuple(tokens[i : i + 5]) for i in range(len(tokens) - 4)}

    exact = 0
    for number, text in enumerate(texts):
        mine = grams(text)
        exact += any(
            len(mine & grams(other)) >= 0.8 * len(mine | grams(other)) for other in texts[:number]
        )
    assert diversity.near_duplicate_rate(texts) == pytest.approx(exact / len(texts), abs=0.02)


def test_effective_number_closed_forms() -> None:
    assert diversity.effective_number(np.eye(7)) == pytest.approx(7)
    assert diversity.effective_number(np.ones((7, 7))) == pytest.approx(1)
    blocks = np.kron(np.eye(3), np.ones((4, 4)))
    assert diversity.effective_number(blocks) == pytest.approx(3)


def test_measures_order_varied_before_repetitive() -> None:
    rng = np.random.default_rng(0)
    varied, same = _random_texts(90), [_random_texts(1)[0]] * 90
    assert diversity.self_bleu(same, rng) == pytest.approx(1)
    assert diversity.self_bleu(varied, rng) < 0.1
    assert diversity.distinct_n(varied) > 0.99
    assert diversity.distinct_n(same) == pytest.approx(1 / 90)
    assert diversity.compression_ratio(same) > 10 * diversity.compression_ratio(varied)
    assert diversity.vendi_score(same, rng) == pytest.approx(1, abs=1e-6)
    assert diversity.vendi_score(varied, rng) > 60


def test_signature_ignores_numbers_and_names_but_not_structure() -> None:
    plan = make_plan(AuthorConfig(), "train", "tug_of_war", 0, 0)
    row = to_dict(write_scenario(plan).scenario)
    text = repr(row)
    names = row["sets"][0]["members"]
    for name in names:
        text = text.replace(name, f"X{name[::-1].lower()}")
    renamed = eval(text, {"__builtins__": {}})
    assert structure_signature(renamed) == structure_signature(row)
    other = copy.deepcopy(row)
    other["model"][0]["expr"] = other["model"][0]["expr"].replace("normal(", "robust(df=4, ")
    assert structure_signature(other) != structure_signature(row)
    fewer = {**row, "given": row["given"][:-1]}
    assert structure_signature(fewer) != structure_signature(row)


def test_duplicate_key_masks_numbers_in_digits_and_words() -> None:
    assert duplicate_key("It rang 3 times.") == duplicate_key("It rang seven times.")
    assert duplicate_key("It rang 3 times.") != duplicate_key("It rang 3 days.")


def test_empty_corpus_is_described() -> None:
    page = describe(CorpusFiles({"train": []}, [], []))
    assert page["counts"]["train"]["scenarios"] == 0
    assert page["rejects"]["total"] == 0
