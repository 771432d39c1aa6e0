import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppt_jax.errors import UserError
from ppt_jax.models.answers import answer_log_probs
from ppt_jax.models.decoder import init_params, make_apply
from ppt_jax.training.objectives.soft_label import SoftLabelConfig, label_entropy, soft_label
from tests.models.packed import (
    MAX_ANSWERS,
    ODD_MERGES,
    VOCAB,
    pack_rows,
    random_story,
    stop_mask,
)
from tests.training.problem import MODEL, OBJECTIVE, SHAPE, STOPS, on_device

APPLY = make_apply(MODEL)
RUN = jax.jit(lambda params, batch: OBJECTIVE(APPLY, params, batch, None))
LOGITS = jax.jit(APPLY)
SUPPORTS = [[[10 + k] for k in range(6)], [[20], [21], [21, 20]], ODD_MERGES]


@pytest.fixture(scope="module")
def params():
    params = init_params(MODEL, jax.random.key(0))
    return {**params, "embedding": 10 * params["embedding"]}


@pytest.fixture(scope="module")
def stories():
    rng = np.random.default_rng(5)
    return [[random_story(rng, VOCAB, SUPPORTS)], [random_story(rng, VOCAB, SUPPORTS[:2])]]


@pytest.fixture(scope="module")
def batch(stories):
    return on_device(pack_rows(stories, **SHAPE))


def _paths(rows):
    for stories in rows:
        for story in stories:
            for ask in story.asks:
                for answer, p in zip(ask.answers, ask.label, strict=True):
                    yield story, ask, answer, ask.weight * p


def _padded_paths(rows):
    """Every (story, ask, answer) as one plain causal row of the same length."""
    length, tokens, first, answers, stops, mass = 20, [], [], [], [], []
    for story, ask, answer, m in _paths(rows):
        path = [*story.tokens, *ask.prompt, *answer]
        tokens.append(path + [0] * (length - len(path)))
        first.append(len(path) - len(answer) - 1)
        answers.append(answer)
        stops.append(ask.stop)
        mass.append(m)
    return np.array(tokens), first, answers, stops, np.array(mass)


def loss_alone(params, rows):
    """``-sum_k w p_k log q_k``, each answer by itself in a padded batch: no tree, no packing."""
    tokens, first, answers, stops, mass = _padded_paths(rows)
    count, length = tokens.shape
    place = jnp.tile(jnp.arange(length), (count, 1))
    sequence = {
        "tokens_BT": jnp.asarray(tokens),
        "positions_BT": place,
        "end_BT": jnp.full((count, length), length),
        "node_BN": place,
    }
    logp_BTV = jax.nn.log_softmax(APPLY(params, sequence))
    total = 0.0
    for b, (start, answer, stop, m) in enumerate(zip(first, answers, stops, mass, strict=True)):
        for n, token in enumerate(answer):
            total -= m * logp_BTV[b, start + n, token]
        closing = np.flatnonzero(stop_mask(VOCAB + 1)[stop])
        total -= m * jax.nn.logsumexp(logp_BTV[b, start + len(answer), closing])
    return total


def test_loss_and_gradient_equal_every_answer_alone(params, stories, batch):
    packed = jax.jit(jax.value_and_grad(lambda p: OBJECTIVE(APPLY, p, batch, None)[0]))(params)
    alone = jax.jit(jax.value_and_grad(lambda p: loss_alone(p, stories)))(params)
    assert float(packed[0]) == pytest.approx(float(alone[0]), rel=1e-5)
    for a, b in zip(jax.tree.leaves(packed[1]), jax.tree.leaves(alone[1]), strict=True):
        scale = float(jnp.abs(b).max())
        np.testing.assert_allclose(a / scale, b / scale, atol=1e-5)


def test_gradient_matches_finite_differences_in_every_parameter(params, batch):
    """Fourth-order central differences along the gradient plus noise, each parameter by itself.

    Unit directions, float32: the rounding of the loss (about 30) is 1e-6, over 12 h = 0.12.
    """
    grads = jax.jit(jax.grad(lambda p: OBJECTIVE(APPLY, p, batch, None)[0]))(params)
    rng = np.random.default_rng(0)
    leaves, tree = jax.tree.flatten(params)
    for at, grad in enumerate(tree.flatten_up_to(grads)):
        noise = rng.normal(size=grad.shape)
        direction = np.asarray(grad) / np.linalg.norm(grad) + noise / np.linalg.norm(noise)

        def moved(h, at=at, direction=direction):
            changed = [*leaves[:at], leaves[at] + h * direction, *leaves[at + 1 :]]
            return float(RUN(tree.unflatten(changed), batch)[0])

        h = 1e-2
        slope = (8 * (moved(h) - moved(-h)) - (moved(2 * h) - moved(-2 * h))) / (12 * h)
        assert slope == pytest.approx(float((grad * direction).sum()), rel=2e-3, abs=1e-3)


def test_metrics_against_enumeration(params, stories, batch):
    loss, weight, metrics = RUN(params, batch)
    logp_BAK = np.asarray(answer_log_probs(LOGITS(params, batch), batch, STOPS, MAX_ANSWERS))
    cross, entropy, valid, weights = 0.0, 0.0, [], 0.0
    for b, row in enumerate(stories):
        for a, ask in enumerate(row[0].asks):
            label, logq = np.array(ask.label), logp_BAK[b, a, : len(ask.answers)]
            cross -= ask.weight * label @ logq
            entropy -= ask.weight * label @ np.log(label)
            valid.append(np.exp(logq).sum())
            weights += ask.weight
    assert float(loss) == pytest.approx(cross, rel=1e-5)
    assert float(weight) == weights
    total, count = metrics["valid_mass"]
    assert float(total / count) == pytest.approx(np.mean(valid), rel=1e-4)
    for name, value in (("cross_entropy", cross), ("entropy", entropy), ("kl", cross - entropy)):
        assert float(metrics[name][0]) == pytest.approx(value, rel=1e-4)
        assert float(metrics[name][1]) == weights


def test_the_floor_holds_without_zero_mass_edges_and_with_sampled_stops(stories, batch):
    """A stop edge that is its node's only edge may carry any sampled mass: the floor stays."""
    whole = float(label_entropy(batch))
    mass_BE, node_BE = np.asarray(batch["edge_mass_BE"]).copy(), np.asarray(batch["edge_node_BE"])
    for b in range(2):
        for edge in np.flatnonzero(np.asarray(batch["edge_answer_BE"])[b] >= 0):
            if (node_BE[b][mass_BE[b] > 0] == node_BE[b, edge]).sum() == 1:
                mass_BE[b, edge] *= 3.0
    assert float(label_entropy({**batch, "edge_mass_BE": jnp.asarray(mass_BE)})) == pytest.approx(
        whole, rel=1e-5
    )


def test_a_hard_label_has_no_entropy_and_the_loss_is_its_log_probability(params):
    rng = np.random.default_rng(8)
    story = random_story(rng, VOCAB, [SUPPORTS[1]])
    story.asks[0].label[:] = [0.0, 0.0, 1.0]
    batch = on_device(pack_rows([[story]], **SHAPE))
    loss, _, metrics = RUN(params, batch)
    logp = answer_log_probs(LOGITS(params, batch), batch, STOPS, MAX_ANSWERS)[0, 0, 2]
    assert float(loss) == pytest.approx(-float(logp), rel=1e-5)
    assert float(metrics["entropy"][0]) == 0


def test_crps_against_enumeration_and_only_for_whole_supports(params, stories, batch):
    """Only asks that hold all answers are ordinal: two of them in row 0, one in row 1."""
    objective = soft_label(STOPS, MAX_ANSWERS, SoftLabelConfig(crps_weight=0.7))
    loss, _, metrics = jax.jit(lambda p: objective(APPLY, p, batch, None))(params)
    plain = RUN(params, batch)[0]
    logp_BAK = np.asarray(answer_log_probs(LOGITS(params, batch), batch, STOPS, MAX_ANSWERS))
    crps = weight = 0.0
    for b, row in enumerate(stories):
        for a, ask in enumerate(row[0].asks):
            if len(ask.answers) == MAX_ANSWERS:
                q = np.exp(logp_BAK[b, a])
                gap = np.cumsum(q / q.sum() - np.array(ask.label))
                crps += ask.weight * (gap**2).mean()
                weight += ask.weight
    assert weight == 1 + 3 + 1
    assert float(metrics["crps"][0]) == pytest.approx(crps, rel=1e-4)
    assert float(metrics["crps"][1]) == weight
    assert float(loss - plain) == pytest.approx(0.7 * crps, rel=1e-3)
    grads = jax.jit(jax.grad(lambda p: objective(APPLY, p, batch, None)[0]))(params)
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(grads))


def test_padding_counts_for_nothing(params, stories, batch):
    wider = {**SHAPE, "length": 90, "nodes": 50, "edges": 80, "asks": 6}
    padded = on_device(pack_rows([*stories, []], **wider))
    for a, b in zip(
        jax.tree.leaves(RUN(params, batch)),
        jax.tree.leaves(RUN(params, padded)),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_a_negative_weight_is_refused():
    with pytest.raises(UserError, match="crps_weight"):
        SoftLabelConfig(crps_weight=-1.0)
