"""Every readout of one toy decoder against enumeration of all its strings."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest

from ppt_jax.data.prompts import frame
from ppt_jax.errors import UserError
from ppt_jax.evaluation.items import Target
from ppt_jax.evaluation.readouts.agreement import agreement_rows
from ppt_jax.evaluation.readouts.language_model import Asked, Likelihood
from ppt_jax.evaluation.readouts.letters import orders, read_letters
from ppt_jax.evaluation.readouts.likelihood import read_likelihoods
from ppt_jax.evaluation.readouts.numbers import parse_answer, spoken_number
from ppt_jax.evaluation.readouts.writing import read_greedy, read_samples, sampling_floor
from tests.evaluation.readouts.toy import (
    ASK,
    SYMBOLS,
    all_strings,
    next_token_log_probs,
    tokenizer,
    toy_model,
)


def prompt_ids(ask: Asked) -> list[int]:
    text = frame(tokenizer(), ask.story, ask.question, ask.scale).text
    return tokenizer()(text, add_special_tokens=False)["input_ids"]


def test_trie_equals_the_enumeration_of_all_strings() -> None:
    model = toy_model()
    (logp_K,) = model.answer_log_probs([ASK])
    strings = all_strings(model, prompt_ids(ASK), 3)
    assert len(strings) > 100
    # The tokenizer writes "10" as one token: its spelling as "1", "0" is another string of tokens.
    two = next_token_log_probs(model, [prompt_ids(ASK)])[0][SYMBOLS.index("1")]
    spelled = [*prompt_ids(ASK), SYMBOLS.index("1")]
    two += next_token_log_probs(model, [spelled])[0][SYMBOLS.index("0")]
    spelled = [*spelled, SYMBOLS.index("0")]
    two += next_token_log_probs(model, [spelled])[0][SYMBOLS.index(">")]
    expected = np.array([strings[a + ">"] for a in ASK.answers])
    expected[ASK.answers.index("10")] -= np.exp(two)
    np.testing.assert_allclose(np.exp(logp_K), expected, rtol=2e-5)
    assert sum(strings.values()) == pytest.approx(1)
    assert 0 < np.exp(logp_K).sum() < 1


def test_asks_of_one_story_and_of_many_read_the_same() -> None:
    model = toy_model()
    others = [
        Asked("q2", "1.2", "B.2", "0.3", ("A", "B")),
        Asked("q3", "C\nC", "A.1", "0.3", ASK.answers),
    ]
    together = model.answer_log_probs([ASK, *others, ASK])
    for ask, logp_K in zip([ASK, *others, ASK], together, strict=True):
        np.testing.assert_allclose(model.answer_log_probs([ask])[0], logp_K, atol=1e-5)


def test_samples_converge_to_the_trie_and_to_what_their_texts_mean() -> None:
    """Texts are exactly an answer as often as the trie says; parsing also accepts others."""
    model, samples = toy_model(3), 4000
    strings = all_strings(model, prompt_ids(ASK), 3)
    (texts,) = model.write([ASK], samples=samples, temperature=1.0, tokens=3, seed=1)
    p_K = np.exp(model.answer_log_probs([ASK])[0])
    for answer, p in zip(ASK.answers, p_K, strict=True):
        if answer != "10":  # a text may also spell it "1", "0", which the trie does not count
            share = texts.count(answer + ">") / samples
            assert abs(share - p) < 5 * np.sqrt(p * (1 - p) / samples)
    (found,) = read_samples(model, [ASK], [False], samples=samples, tokens=3, seed=1)
    assert found.logp_K is not None
    law_K = np.zeros(len(ASK.answers))
    for text, p in strings.items():
        answer = parse_answer(text.removeprefix("<"), ASK.answers, False)
        if answer is not None:
            law_K[answer] += p
    shares = np.exp(found.logp_K)
    assert (np.abs(shares - law_K) < 5 * np.sqrt(law_K * (1 - law_K) / samples)).all()
    assert found.failures == round(samples * (1 - shares.sum()))
    assert found.text == texts[0]


def test_sampling_floor_is_the_mean_over_all_outcomes() -> None:
    p_K = np.array([0.5, 0.2, 0.1])  # and 0.2 on no answer
    total = 0.0
    for draws in itertools.product(range(4), repeat=4):
        counts = np.bincount(draws, minlength=4)
        full = np.append(p_K, 0.2)
        total += np.prod(full[list(draws)]) * 0.5 * np.abs(counts / 4 - full).sum()
    assert sampling_floor(p_K, 4) == pytest.approx(total)


def test_greedy_text_is_the_enumerated_path() -> None:
    model = toy_model(1)
    (found,) = read_greedy(model, [ASK], [True], tokens=5)
    row, text = prompt_ids(ASK), ""
    for _ in range(5):
        token = int(np.argmax(next_token_log_probs(model, [row])[0]))
        row, text = [*row, token], text + SYMBOLS[token]
        if token == SYMBOLS.index(">"):
            break
    assert found.text == text.removeprefix("<")
    expected = parse_answer(found.text, ASK.answers, True)
    assert found.parsed == (None if expected is None else ASK.answers[expected])
    assert (found.logp_K is None) == (found.parsed is None)


def test_likelihood_is_the_sum_over_its_tokens() -> None:
    model = toy_model()
    texts = [["A", "B.1", "10"]]
    ask = Asked("q", "1.2", "A\n3", "", ("A", "B", "C"))
    found = model.likelihoods([(ask.story, ask.question)], texts)[0]
    head = tokenizer()("1.2\n\nA\n3\n", add_special_tokens=False)["input_ids"]
    for text, one in zip(texts[0], found, strict=True):
        tokens = tokenizer()(text, add_special_tokens=False)["input_ids"]
        total = sum(
            next_token_log_probs(model, [[*head, *tokens[:n]]])[0][token]
            for n, token in enumerate(tokens)
        )
        assert one == (pytest.approx(total, abs=1e-4), len(tokens), len(text))
    forms = read_likelihoods(model, [ask], texts)
    for form, sizes in (("raw", [1, 1, 1]), ("per_token", [1, 3, 1]), ("per_byte", [1, 3, 2])):
        scaled = np.exp([one.logp / size for one, size in zip(found, sizes, strict=True)])
        p_K = np.exp(forms[form][0])
        np.testing.assert_allclose(p_K / p_K.sum(), scaled / scaled.sum(), rtol=1e-5)


class PlaceLover:
    """Prefers the option "good" by 3 to 1, and the first place by 2 to 1, with half its mass."""

    def answer_log_probs(self, asks: Sequence[Asked]) -> list[np.ndarray]:
        out = []
        for ask in asks:
            lines = ask.question.splitlines()[1:]
            weight = np.array([3.0 if line.endswith("good") else 1.0 for line in lines])
            weight[0] *= 2
            out.append(np.log(0.5 * weight / weight.sum()))
        return out

    def likelihoods(
        self, contexts: Sequence[tuple[str, str]], texts: Sequence[Sequence[str]]
    ) -> list[list[Likelihood]]:
        raise NotImplementedError

    def write(
        self, asks: Sequence[Asked], *, samples: int, temperature: float, tokens: int, seed: int
    ) -> list[list[str]]:
        raise NotImplementedError


@pytest.mark.parametrize("size", [2, 3, 4, 6])
def test_letters_do_not_depend_on_the_order_of_the_options(size: int) -> None:
    texts = ["good", *(f"bad {k}" for k in range(size - 1))]
    ask = Asked("q", "", "Which?", "", tuple("abcdef"[:size]))
    straight = np.exp(read_letters(PlaceLover(), [ask], [texts])[0])
    assert straight.sum() == pytest.approx(0.5)
    assert straight[0] > 2 * straight[1:].max()
    if size <= 4:
        np.testing.assert_allclose(straight[1:], straight[1])  # equal options stay equal
        for order in itertools.permutations(range(size)):
            shuffled = np.exp(read_letters(PlaceLover(), [ask], [[texts[k] for k in order]])[0])
            np.testing.assert_allclose(shuffled, straight[list(order)])
    one_order = np.exp(
        PlaceLover().answer_log_probs([Asked("", "", "Which?\nA. bad\nB. bad", "", ())])[0]
    )
    assert one_order[0] == pytest.approx(2 * one_order[1])  # the model is biased, the readout not


def test_orders_show_every_option_at_both_ends() -> None:
    assert len(orders(4)) == 24
    for size in (5, 6, 10):
        found = orders(size)
        assert len(found) == 4
        for order in found:
            assert sorted(order) == list(range(size))
            assert order[::-1] in found
    with pytest.raises(UserError, match="27 options"):
        read_letters(PlaceLover(), [Asked("q", "", "", "", ())], [[str(k) for k in range(27)]])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("42", 42),
        ("<42>", 42),
        ("42%", 42),
        ("about 42.5 percent", 42.5),
        (".85", 0.85),
        ("1,200 hours", 1200),
        ("-3", -3),
        ("forty-two", 42),
        ("Forty two percent.", 42),
        ("one hundred", 100),
        ("a hundred", 100),
        ("zero", 0),
        ("nineteen", 19),
        ("42, I am sure: 42", 42),
        ("40 to 60", None),
        ("20-30", None),
        ("ten or twelve", None),
        ("no idea", None),
        ("", None),
        ("1,20,0", None),
    ],
)
def test_numbers_in_words_and_digits(text: str, value: float | None) -> None:
    assert spoken_number(text) == value


def test_answers_in_text() -> None:
    percent = tuple(str(k) for k in range(101))
    assert parse_answer("42>\n", percent, True) == 42
    assert parse_answer("forty-two", percent, True) == 42
    assert parse_answer("101", percent, True) is None
    assert parse_answer("Answer: Yes!", ("no", "yes"), False) == 1
    assert parse_answer("yes or no", ("no", "yes"), False) is None
    assert parse_answer("not known", ("no", "yes"), False) is None


def test_agreement_rows() -> None:
    def item(readout: str, n: int, p: list[float], greedy: str | None = None) -> object:
        target = Target(
            item_id=f"i{n}",
            cluster_id=f"c{n % 2}",
            split="test",
            kind="choice",
            support=("no", "yes"),
            target_K=np.array([0.5, 0.5]),
        )
        extra = {"readout": readout, "greedy_text": greedy, "parsed": greedy}
        return target.answered("m", np.log(np.maximum(p, 1e-30)), **extra)

    trie = [item("trie", n, [0.2, 0.8], "yes" if n else "no") for n in range(4)]
    sampled = [item("sampling", n, [0.4, 0.6] if n else [1.0, 0.0]) for n in range(4)]
    rows = agreement_rows("m", {"trie": trie, "sampling": sampled}, samples=10)  # type: ignore[dict-item]
    by_metric = {r["metric"]: r for r in rows}
    assert by_metric["readout_tv"]["value"] == pytest.approx((3 * 0.2 + 0.8) / 4)
    assert by_metric["readout_tv"]["floor"] == pytest.approx(
        sampling_floor(np.array([0.2, 0.8]), 10)
    )
    assert by_metric["readout_same_mode"]["value"] == pytest.approx(0.75)
    assert by_metric["greedy_agreement"]["value"] == pytest.approx(0.75)
    assert by_metric["readout_tv"]["n"] == 4
    assert by_metric["readout_tv"]["n_clusters"] == 2
