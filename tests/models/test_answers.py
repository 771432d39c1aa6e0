import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppt_jax.errors import UserError
from ppt_jax.models.answers import StopSets, answer_log_probs, path_log_probs
from ppt_jax.models.decoder import DecoderConfig, init_params, make_apply
from tests.models.packed import MAX_ANSWERS, VOCAB, stop_mask, toy_batch, toy_rows

SMALL = DecoderConfig(
    vocab_size=VOCAB, width=32, layers=2, heads=4, kv_heads=2, head_size=8, mlp_width=48
)
STOPS = StopSets.from_mask(stop_mask(VOCAB))


def sharp_params():
    """Parameters with a large embedding, so that the distributions are far from uniform."""
    params = init_params(SMALL, jax.random.key(0))
    return {**params, "embedding": 20 * params["embedding"]}


def alone(run, params, story, ask, answer):
    """log p(answer) from one plain causal sequence: story, question, answer, stop."""
    tokens = [*story.tokens, *ask.prompt, *answer]
    length, first = len(tokens), len(story.tokens) + len(ask.prompt) - 1
    padded = jnp.array([tokens + [0] * (20 - length)])  # one shape, so that it compiles once
    everywhere = jnp.arange(20)[None]
    sequence = {
        "tokens_BT": padded,
        "positions_BT": everywhere,
        "end_BT": jnp.full((1, 20), 20),
        "node_BN": everywhere,
    }
    logp_TV = jax.nn.log_softmax(run(params, sequence)[0])
    total = sum(logp_TV[first + n, token] for n, token in enumerate(answer))
    stop = np.flatnonzero(stop_mask(VOCAB)[ask.stop])
    return total + jax.nn.logsumexp(logp_TV[length - 1, stop])


def test_every_answer_packed_equals_every_answer_alone():
    """One token a number, digit by digit, odd merges; several asks, documents and stop sets."""
    apply, params = make_apply(SMALL), sharp_params()
    batch = {name: jnp.asarray(array) for name, array in toy_batch().items()}
    run = jax.jit(apply)
    read = jax.jit(lambda p, b: answer_log_probs(apply(p, b), b, STOPS, MAX_ANSWERS))
    logp_BAK = np.asarray(read(params, batch))
    checked = 0
    for b, stories in enumerate(toy_rows(VOCAB)):
        asks = [(story, ask) for story in stories for ask in story.asks]
        for a, (story, ask) in enumerate(asks):
            for k, answer in enumerate(ask.answers):
                expected = alone(run, params, story, ask, answer)
                assert logp_BAK[b, a, k] == pytest.approx(float(expected), abs=1e-5)
                checked += 1
            assert (logp_BAK[b, a, len(ask.answers) :] == -np.inf).all()
        assert (logp_BAK[b, len(asks) :] == -np.inf).all()
    assert checked == 2 * (5 + 5 + 6) + 5


def test_probabilities_of_all_strings_sum_to_one():
    """Full enumeration: over all strings of up to two tokens, stop or longer, nothing is lost."""
    from tests.models.packed import Ask, Story, pack_rows

    vocab = 5
    config = DecoderConfig(
        vocab_size=vocab, width=16, layers=1, heads=2, kv_heads=1, head_size=8, mlp_width=16
    )
    stop = np.zeros((1, vocab), bool)
    stop[0, [0, 3]] = True
    rest = [1, 2, 4]
    answers = [[], *([x] for x in rest), *([x, y] for x in rest for y in rest)]
    label = [1 / len(answers)] * len(answers)
    story = Story([1, 2, 3], [Ask([4, 4], answers, label)])
    batch = pack_rows([[story]], vocab=vocab, max_answers=13, length=32, nodes=14, edges=30, asks=1)
    params, apply = init_params(config, jax.random.key(3)), make_apply(config)
    params = {**params, "embedding": 30 * params["embedding"]}
    logits = apply(params, batch)
    p_K = np.exp(answer_log_probs(logits, batch, StopSets.from_mask(stop), 13)[0, 0])
    # What is left is the probability of going on after two tokens.
    probs_NV = np.asarray(jax.nn.softmax(logits[0]))
    order = {tuple(answer): k for k, answer in enumerate(answers)}
    stay = {a: p_K[k] / max(_stop_mass(batch, probs_NV, stop, k), 1e-30) for a, k in order.items()}
    longer = sum(
        stay[a] * (1 - _stop_mass(batch, probs_NV, stop, k))
        for a, k in order.items()
        if len(a) == 2
    )
    assert p_K.sum() + longer == pytest.approx(1, abs=1e-5)
    assert longer > 1e-3


def _stop_mass(batch, probs_NV, stop, answer):
    edge = int(np.flatnonzero(batch["edge_answer_BE"][0] == answer)[0])
    return probs_NV[batch["edge_node_BE"][0, edge]][stop[0]].sum()


def test_paths_of_up_to_64_edges():
    logp_BE = jnp.asarray(np.random.default_rng(0).normal(size=(1, 64)), jnp.float32)
    chain_BE = jnp.arange(-1, 63)[None]
    np.testing.assert_allclose(
        path_log_probs(logp_BE, chain_BE), np.cumsum(logp_BE, axis=1), rtol=1e-4, atol=1e-5
    )


def test_an_empty_stop_set_is_refused():
    with pytest.raises(UserError, match="stop set 1"):
        StopSets.from_mask(np.array([[True, False], [False, False]]))
