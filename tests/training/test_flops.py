import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ppt_jax.models.adapters import joined, split
from ppt_jax.models.attention import visible
from ppt_jax.models.decoder import DecoderConfig, init_params, make_apply
from ppt_jax.training.flops import Work, batch_work, chip_of, forward_flops, step_flops, utilisation
from tests.models.packed import toy_batch

FULL = DecoderConfig(
    vocab_size=400,
    width=128,
    layers=3,
    heads=4,
    kv_heads=2,
    head_size=32,
    mlp_width=256,
    attention_route="dense",
    layers_unrolled=3,
)
LORA = dataclasses.replace(FULL, adapter_rank=8)


def counted(function, *arguments):
    """XLA's own count of a compiled program."""
    return jax.jit(function).lower(*arguments).compile().cost_analysis()["flops"]


def whole_rows(rows=4, length=128, nodes=32):
    """Every token sees every other, so that the dense form computes nothing but what is counted."""
    row_BT = jnp.broadcast_to(jnp.arange(length), (rows, length))
    return {
        "tokens_BT": row_BT,
        "positions_BT": row_BT,
        "end_BT": jnp.full((rows, length), length),
        "node_BN": row_BT[:, :nodes],
    }, Work(rows * length, rows * nodes, rows * length * length)


@pytest.mark.parametrize("config", [FULL, LORA])
def test_a_forward_pass_is_what_xla_counts(config):
    batch, work = whole_rows()
    params = init_params(config, jax.random.key(0))
    found = counted(make_apply(config), params, batch)
    assert sum(forward_flops(config, work)) == pytest.approx(found, rel=0.05)


@pytest.mark.parametrize("config", [FULL, LORA])
def test_a_step_is_what_xla_counts(config):
    batch, work = whole_rows()
    apply = make_apply(config)
    trained, frozen = split(init_params(config, jax.random.key(0)), config)

    def gradient(trained, frozen):
        return jax.grad(lambda part: (apply(joined(part, frozen), batch) ** 2).sum())(trained)

    assert step_flops(config, work) == pytest.approx(counted(gradient, trained, frozen), rel=0.05)
    assert step_flops(LORA, work) < 0.9 * step_flops(FULL, work)


def test_a_packed_batch_is_counted_by_the_rule_itself():
    batch = toy_batch()
    padding_BT = batch["positions_BT"] == 0
    padding_BT &= batch["end_BT"] == np.arange(batch["end_BT"].shape[1]) + 1
    seen = np.array(visible(jnp.asarray(batch["end_BT"])))
    seen[np.broadcast_to(padding_BT[:, :, None], seen.shape)] = False
    nodes = {
        (row, int(node))
        for row in range(len(padding_BT))
        for node, mass in zip(batch["edge_node_BE"][row], batch["edge_mass_BE"][row])
        if mass > 0
    }
    assert batch_work(batch) == Work(int((~padding_BT).sum()), len(nodes), int(seen.sum()))


def test_chips_are_told_apart_and_a_cpu_has_no_peak():
    assert chip_of("NVIDIA H200").name == "h200"
    assert chip_of("NVIDIA H100 80GB HBM3").name == "h100"
    assert chip_of("TPU v5 lite").name == "v5e"
    assert chip_of("TPU v5p").name == chip_of("TPU v5").name == "v5p"
    assert chip_of("TPU v6 lite").name == "v6e"
    assert chip_of("cpu") is None
    assert utilisation(989e12, 2.0, 1, "NVIDIA H200") == 0.5
    assert utilisation(1.0, 1.0, 1, "cpu") is None
