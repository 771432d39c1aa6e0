import itertools
import math

import numpy as np
import pytest

from ppt_jax.data.supports import INTEGERS, Support, SupportError, support_of
from ppt_jax.data.tries import AnswerTries, TrieError
from tests.data import examples

TAIL = "Answer: <"


def answer_log_probs(tries: AnswerTries, support: Support, tail: str) -> list[float]:
    """Log-probability of every answer after the tail's lead, walked over the trie."""
    trie = tries.trie(support, tail)
    states: list[tuple[int, ...]] = [trie.lead]
    for node in range(1, len(trie.token_N)):
        parent = max(
            before
            for before in range(node)
            if node < trie.end_N[before] and trie.depth_N[before] == trie.depth_N[node] - 1
        )
        states.append((*states[parent], int(trie.token_N[node])))
    scores = []
    for edge, answer in enumerate(trie.edge_answer_E):
        if answer < 0:
            continue
        total, step = 0.0, edge
        while step >= 0:
            log_probs_V = examples.toy_log_probs(states[trie.edge_node_E[step]], tries.vocab_size)
            token = int(trie.edge_token_E[step])
            total += examples.edge_log_prob(log_probs_V, token, tries.stop_SV)
            step = int(trie.edge_parent_E[step])
        scores.append((int(answer), total))
    return [score for _, score in sorted(scores)]


@pytest.mark.parametrize("kind", examples.KINDS)
def test_every_answer_is_a_path_and_masses_sum_to_one(kind: str) -> None:
    tries = AnswerTries(examples.tokenizer_of(kind))
    trie = tries.trie(INTEGERS, TAIL)
    assert sorted(trie.edge_answer_E[trie.edge_answer_E >= 0]) == list(range(101))
    probs_K = np.random.default_rng(0).dirichlet(np.ones(101))
    mass_E = trie.edge_masses(probs_K)
    for node in range(len(trie.token_N)):
        edges = np.flatnonzero(trie.edge_node_E == node)
        parents = set(trie.edge_parent_E[edges].tolist())
        assert len(parents) == 1  # all edges of a node have one way in
        parent = parents.pop()
        inflow = 1.0 if parent < 0 else mass_E[parent]
        assert math.isclose(mass_E[edges].sum(), inflow, rel_tol=1e-9)
    leaf_edges = np.flatnonzero(trie.edge_answer_E >= 0)
    order = np.argsort(trie.edge_answer_E[leaf_edges])
    np.testing.assert_allclose(mass_E[leaf_edges][order], probs_K)


@pytest.mark.parametrize(
    ("kind", "nodes"),
    # root + 101 numbers; root + 10 digits + 90 pairs + "100" (the notes' 102 prefixes)
    [("whole", 102), ("digits", 102)],
)
def test_number_of_nodes(kind: str, nodes: int) -> None:
    tries = AnswerTries(examples.tokenizer_of(kind))
    assert len(tries.trie(INTEGERS, "<").token_N) == nodes
    assert len(tries.stop_SV) == 1


@pytest.mark.parametrize("kind", examples.KINDS)
def test_stop_mass_is_all_that_can_close_an_answer(kind: str) -> None:
    """A stop edge's set against the texts of all tokens, decoded one by one."""
    tokenizer = examples.tokenizer_of(kind)
    tries = AnswerTries(tokenizer)
    trie = tries.trie(INTEGERS, TAIL)
    texts = [tokenizer.decode([v]) for v in range(tries.vocab_size)]
    if kind == "sentencepiece":
        texts = [tokenizer.convert_ids_to_tokens(v) for v in range(tries.vocab_size)]
        texts[tokenizer.convert_tokens_to_ids("<0x3E>")] = ">"  # the byte of the bracket
    for edge in np.flatnonzero(trie.edge_answer_E >= 0):
        path, step = [], int(trie.edge_parent_E[edge])
        while step >= 0:
            path.append(int(trie.edge_token_E[step]))
            step = int(trie.edge_parent_E[step])
        written = tokenizer.decode([*trie.lead, *reversed(path)]).lstrip()
        rest = f"{TAIL}{trie.edge_answer_E[edge]}>".removeprefix(written)
        members = {v for v, text in enumerate(texts) if text.startswith(rest)}
        stop = int(trie.edge_token_E[edge]) - tries.vocab_size
        assert rest.endswith(">")
        assert set(np.flatnonzero(tries.stop_SV[stop]).tolist()) == members
    closing = sum(text.startswith(">") for text in texts)
    assert closing >= {"closers": 40, "llama3": 3, "glued": 3}.get(kind, 1)


def test_digits_are_what_the_published_rules_make_of_them() -> None:
    """The same answer is one token, its digits, or an odd piece with its space."""
    text = "Answer: 42 <42>"
    assert examples.llama3().tokenize(text)[-3:] == ["Ġ<", "42", ">"]
    assert examples.qwen().tokenize(text)[-4:] == ["Ġ<", "4", "2", ">"]
    assert examples.gpt2().tokenize(text)[-4:] == ["Ġ42", "Ġ<", "42", ">"]
    assert examples.closers().tokenize("<42>/>")[-1] == ">/>"


def test_glued_bracket_moves_the_root_before_it() -> None:
    tokenizer = examples.glued()
    tries = AnswerTries(tokenizer)
    trie = tries.trie(INTEGERS, TAIL)
    assert tokenizer.decode(list(trie.lead)) == "Answer:"
    first = {tokenizer.decode([int(t)]) for t in trie.edge_token_E[trie.edge_node_E == 0]}
    assert {" <", " <4"} == first
    # "2>" closes 2, 12, ...; "2>." belongs to the same class, ">" closes the others.
    members = [
        {tokenizer.decode([int(v)]) for v in np.flatnonzero(row_V)} for row_V in tries.stop_SV
    ]
    assert {">", ">.", ">\n"} in members
    assert {"2>", "2>."} in members


def tiny() -> AnswerTries:
    """A vocabulary small enough to enumerate: digits 0-2, brackets and three merges."""
    import tokenizers
    from tokenizers import decoders, models, pre_tokenizers

    merges = [("1", "0"), (">", "."), ("2", ">")]
    tokens = ["<", ">", "0", "1", "2", ".", "10", ">.", "2>"]
    encoder = tokenizers.Tokenizer(
        models.BPE(vocab={token: at for at, token in enumerate(tokens)}, merges=merges)
    )
    encoder.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    encoder.decoder = decoders.ByteLevel()
    return AnswerTries(encoder)


def test_probabilities_equal_full_enumeration() -> None:
    tries = tiny()
    support = Support(("0", "1", "2", "10", "12", "21"), (0, 1, 2, 10, 12, 21))
    scores = answer_log_probs(tries, support, "<")
    texts = ["<", ">", "0", "1", "2", ".", "10", ">.", "2>"]
    lead = (0,)
    totals = dict.fromkeys(support.answers, 0.0)
    grand = 0.0
    for length in (1, 2, 3):
        for tokens in itertools.product(range(len(texts)), repeat=length):
            written = "".join(texts[token] for token in tokens)
            answer = written.split(">")[0]
            if ">" not in written or answer not in totals:
                continue
            if ">" in "".join(texts[token] for token in tokens[:-1]):
                continue  # closed already: a longer sequence of a prefix that was counted
            canonical = tries.encode(f"<{answer}>")[1:]
            # The last token may write more than the bracket, the others are the canonical ones.
            begins = texts[tokens[-1]].startswith(texts[canonical[-1]])
            if list(tokens[:-1]) != canonical[:-1] or not begins:
                continue
            log_prob = sum(
                examples.toy_log_probs((*lead, *tokens[:at]), len(texts))[token]
                for at, token in enumerate(tokens)
            )
            totals[answer] += math.exp(log_prob)
            grand += math.exp(log_prob)
    for score, answer in zip(scores, support.answers):
        assert math.isclose(math.exp(score), totals[answer], rel_tol=1e-12), answer
    assert 0 < grand < 1
    assert math.isclose(sum(map(math.exp, scores)), grand, rel_tol=1e-12)


@pytest.mark.parametrize("kind", examples.KINDS)
def test_answers_are_disjoint_events(kind: str) -> None:
    tries = AnswerTries(examples.tokenizer_of(kind))
    for support in (INTEGERS, support_of("choice", ["Teo", "Te", "T", "Marit"])):
        trie = tries.trie(support, TAIL)
        stop_SV = tries.stop_SV
        for node in range(len(trie.token_N)):
            claimed = np.zeros(tries.vocab_size, int)
            for edge in np.flatnonzero(trie.edge_node_E == node):
                token = int(trie.edge_token_E[edge])
                if token < tries.vocab_size:
                    claimed[token] += 1
                else:
                    claimed += stop_SV[token - tries.vocab_size]
            assert claimed.max() == 1  # so probabilities of answers can be added


def test_answer_without_characters_is_refused() -> None:
    tries = tiny()
    with pytest.raises(TrieError, match="'7'"):
        tries.trie(Support(("1", "7"), (1, 7)), "<")
    sentence = examples.sentencepiece()
    fallback = AnswerTries(sentence).trie(support_of("choice", ["Zoë", "Zoé"]), "<")
    assert len(fallback.token_N) > 2  # bytes are fine, they spell the text


def test_rewriting_tokenizer_is_refused() -> None:
    from tokenizers import normalizers

    tokenizer = examples.glued()
    tokenizer.backend_tokenizer.normalizer = normalizers.Lowercase()
    with pytest.raises(TrieError, match="rewrites text"):
        AnswerTries(tokenizer).trie(support_of("choice", ["Teo", "teo"]), "<")


def test_vocabulary_without_closing_bracket_is_refused() -> None:
    import tokenizers
    from tokenizers import models, pre_tokenizers

    encoder = tokenizers.Tokenizer(models.BPE(vocab={"<": 0, "1": 1, "2": 2}, merges=[]))
    encoder.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    with pytest.raises(TrieError, match="no token begins with '>'"):
        AnswerTries(encoder)


def test_padded_vocabulary() -> None:
    tokenizer = examples.glued()
    tries = AnswerTries(tokenizer, vocab_size=1024)
    trie = tries.trie(INTEGERS, "<")
    assert tries.stop_SV.shape[1] == 1024
    assert trie.edge_token_E[trie.edge_answer_E >= 0].min() >= 1024
    with pytest.raises(TrieError, match="vocab_size=10"):
        AnswerTries(tokenizer, vocab_size=10)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["yes"], "two answers"),
        (["a", "a"], "twice"),
        (["a", "b>c"], "may not contain"),
        (["a", " b"], "spaces"),
        (["a", "b\n"], "printable"),
    ],
)
def test_bad_options(options: list[str], words: str) -> None:
    with pytest.raises(SupportError, match=words):
        support_of("choice", options)


def test_unknown_kind() -> None:
    with pytest.raises(SupportError, match="'probability'"):
        support_of("probability")
