import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppt_jax.evaluation.items import ItemError, Target
from ppt_jax.evaluation.readout import read_answers
from ppt_jax.models.answers import StopSets, answer_log_probs

VOCAB = 7
STOP = np.zeros((2, VOCAB), bool)
STOP[0, [4, 5]] = True
STOP[1, [6]] = True
# Trie of the answers "1", "12", "123", "3": node, token (VOCAB + s is stop set s), parent, answer.
EDGES = [
    (0, 1, -1, -1),
    (1, VOCAB, 0, 0),
    (1, 2, 0, -1),
    (2, VOCAB, 2, 1),
    (2, 3, 2, -1),
    (3, VOCAB + 1, 4, 2),
    (0, 3, -1, -1),
    (4, VOCAB, 6, 3),
]


def plain_answers(logits: np.ndarray) -> list[float]:
    log_p = np.asarray(jax.nn.log_softmax(jnp.asarray(logits), axis=-1))

    def stop(node: int, which: int) -> float:
        return float(np.log(np.exp(log_p[node])[STOP[which]].sum()))

    return [
        log_p[0, 1] + stop(1, 0),
        log_p[0, 1] + log_p[1, 2] + stop(2, 0),
        log_p[0, 1] + log_p[1, 2] + log_p[2, 3] + stop(3, 1),
        log_p[0, 3] + stop(4, 0),
    ]


def batch() -> dict[str, np.ndarray]:
    """Row 0: the trie in slot 1 behind a padded slot; row 1: two asks, the second of two edges."""
    first = [(n, t, p, -1 if a < 0 else 4 + a) for n, t, p, a in EDGES] + [(0, 0, -1, -1)] * 2
    second = [(n, t, p, a) for n, t, p, a in EDGES] + [(5, VOCAB, -1, 4), (5, VOCAB + 1, -1, 5)]
    node, token, parent, answer = np.moveaxis(np.array([first, second], np.int32), -1, 0)
    return {
        "edge_node_BE": node,
        "edge_token_BE": token,
        "edge_parent_BE": parent,
        "edge_answer_BE": answer,
        "ask_index_BA": np.array([[-1, 0], [2, 1]], np.int32),
    }


def logp_of(logits: np.ndarray, given: dict[str, np.ndarray]) -> np.ndarray:
    batch = {name: jnp.asarray(array) for name, array in given.items()}
    batch["ask_weight_BA"] = (batch["ask_index_BA"] >= 0).astype(jnp.float32)
    return np.asarray(answer_log_probs(jnp.asarray(logits), batch, StopSets.from_mask(STOP), 4))


def test_answers_equal_the_product_along_their_paths() -> None:
    logits = np.random.default_rng(0).normal(size=(2, 6, VOCAB)).astype(np.float32) * 3
    found = logp_of(logits, batch())
    np.testing.assert_allclose(found[0, 1], plain_answers(logits[0]), rtol=1e-5)
    np.testing.assert_allclose(found[1, 0], plain_answers(logits[1]), rtol=1e-5)
    last = np.asarray(jax.nn.softmax(logits[1, 5]))
    np.testing.assert_allclose(np.exp(found[1, 1, :2]), [last[4] + last[5], last[6]], rtol=1e-5)
    assert (found[0, 0] == -np.inf).all()
    assert (found[1, 1, 2:] == -np.inf).all()
    assert (np.exp(found).sum(-1) <= 1 + 1e-6).all()


def targets() -> list[Target]:
    def one(name: str, size: int) -> Target:
        return Target(
            item_id=f"{name}/a",
            cluster_id=name,
            split="seen_motifs",
            kind="choice",
            support=tuple("wxyz"[:size]),
            target_K=np.full(size, 1 / size),
        )

    return [one("s0", 4), one("s1", 2), one("s2", 4)]


def test_items_are_joined_by_ask_index() -> None:
    logits = np.random.default_rng(1).normal(size=(2, 6, VOCAB)).astype(np.float32)
    items = read_answers("after", targets(), [batch()], lambda b: logp_of(logits, dict(b)))
    assert [item.item_id for item in items] == ["s0/a", "s1/a", "s2/a"]
    np.testing.assert_allclose(items[0].logp_K, plain_answers(logits[0]), rtol=1e-5)
    np.testing.assert_allclose(items[2].logp_K, plain_answers(logits[1]), rtol=1e-5)
    assert items[1].logp_K.shape == (2,)


def test_lost_and_doubled_asks_are_named() -> None:
    logits = np.zeros((2, 6, VOCAB), np.float32)

    def run(*batches: dict[str, np.ndarray]) -> None:
        read_answers("m", targets(), batches, lambda b: logp_of(logits, dict(b)))

    with pytest.raises(ItemError, match=r"'s0/a' was read twice"):
        run(batch(), batch())
    lost = batch() | {"ask_index_BA": np.array([[-1, 0], [-1, 1]], np.int32)}
    with pytest.raises(ItemError, match=r"'s2/a' was not answered \(1 of 3"):
        run(lost)
    beyond = batch() | {"ask_index_BA": np.array([[-1, 0], [9, 1]], np.int32)}
    with pytest.raises(ItemError, match="ask index 9"):
        run(beyond)
