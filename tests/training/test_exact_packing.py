"""One packed pass against every answer run alone: the same log-probabilities, the same gradient.

The rows of "alone" are plain causal sequences without any packing, one for each answer of each ask,
from the data room's own enumeration of paths; the tokenizers write numbers as one token, as digits,
and with merges over every boundary.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppt_jax.data.layout import batch_of
from ppt_jax.data.packing import PackConfig, units_of
from ppt_jax.data.trees import Compiler, ScenarioTree, answer_paths
from ppt_jax.models.answers import StopSets, answer_log_probs
from ppt_jax.models.decoder import DecoderConfig, init_params, make_apply
from ppt_jax.training.objectives.soft_label import soft_label
from tests.data import examples

pytestmark = pytest.mark.slow

FULL = PackConfig(rows=2, tokens=1000, nodes=640, edges=1400, asks=8, mode="full")


def alone_batch(trees: list[ScenarioTree]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Every answer as a row of its own, and the label's probability of each answer."""
    targets = {ask.index: ask.target_K for tree in trees for ask in tree.asks}
    paths = [path for tree in trees for path in answer_paths(tree)]
    length = max(len(path.tokens) for path in paths)
    depth = max(len(path.edges) for path in paths)
    rows = len(paths)
    batch = {
        "tokens_BT": np.zeros((rows, length), np.int32),
        "positions_BT": np.zeros((rows, length), np.int32),
        "end_BT": np.tile(np.arange(1, length + 1, dtype=np.int32), (rows, 1)),
        "node_BN": np.zeros((rows, depth), np.int32),
        "edge_token_BN": np.zeros((rows, depth), np.int32),
        "real_BN": np.zeros((rows, depth), bool),
    }
    mass_B = np.zeros(rows)
    for row, path in enumerate(paths):
        size, steps = len(path.tokens), len(path.edges)
        batch["tokens_BT"][row, :size] = path.tokens
        batch["positions_BT"][row, :size] = np.arange(size)
        batch["end_BT"][row, :size] = size
        batch["node_BN"][row, :steps] = path.nodes
        batch["edge_token_BN"][row, :steps] = path.edges
        batch["real_BN"][row, :steps] = True
        mass_B[row] = targets[path.ask][path.answer]
    return batch, mass_B


@pytest.mark.parametrize("kind", ["glued", "llama3", "qwen", "gpt2", "closers"])
def test_one_packed_pass_is_every_path_alone(kind: str) -> None:
    compiler = Compiler(examples.tokenizer_of(kind))
    trees = compiler.trees(examples.records(2, words=8))
    units, left_out = units_of(trees, FULL)
    assert not left_out
    packed = {name: jnp.asarray(array) for name, array in batch_of(units, FULL).items()}
    stop_SV = compiler.stop_SV
    stops = StopSets.from_mask(stop_SV)
    config = DecoderConfig(
        vocab_size=compiler.vocab_size,
        width=16,
        layers=2,
        heads=2,
        kv_heads=1,
        head_size=8,
        mlp_width=32,
    )
    params = init_params(config, jax.random.key(1))
    apply = make_apply(config)
    alone, mass_B = alone_batch(trees)

    def path_logp(params: dict) -> jax.Array:
        """Log-probability of each path, computed without any code of the packed readout."""
        logp_BNV = jax.nn.log_softmax(apply(params, alone, None), axis=-1)
        stop_BNS = jnp.log(jnp.einsum("bnv,sv->bns", jnp.exp(logp_BNV), jnp.asarray(stop_SV)))
        both = jnp.concatenate([logp_BNV, stop_BNS], axis=-1)
        edge_BN = jnp.take_along_axis(both, alone["edge_token_BN"][..., None], axis=-1)[..., 0]
        return jnp.where(alone["real_BN"], edge_BN, 0).sum(axis=1)

    expected_B = np.asarray(jax.jit(path_logp)(params))
    logp_BAK = answer_log_probs(apply(params, packed, None), packed, stops, FULL.max_answers)
    found = {}
    index_BA = np.asarray(packed["ask_index_BA"])
    for row, slot in zip(*np.nonzero(index_BA >= 0)):
        found[int(index_BA[row, slot])] = np.asarray(logp_BAK[row, slot])
    got_B = [found[p.ask][p.answer] for tree in trees for p in answer_paths(tree)]
    np.testing.assert_allclose(got_B, expected_B, rtol=1e-5, atol=1e-5)

    objective = soft_label(stops, FULL.max_answers)
    packed_gradient = jax.grad(lambda p: objective(apply, p, packed, None)[0])(params)
    alone_gradient = jax.grad(lambda p: -jnp.sum(jnp.asarray(mass_B) * path_logp(p)))(params)
    for got, expected in zip(jax.tree.leaves(packed_gradient), jax.tree.leaves(alone_gradient)):
        scale = float(jnp.abs(expected).max())
        assert scale > 0
        np.testing.assert_allclose(got, expected, rtol=2e-4, atol=1e-5 * max(scale, 1.0))
