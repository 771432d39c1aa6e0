import dataclasses
import functools
import json
import os
import subprocess
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ppt_jax.errors import UserError
from ppt_jax.models.decoder import make_apply
from ppt_jax.training.optimizer import (
    OptimizerConfig,
    decay_mask,
    learning_rate_schedule,
    make_optimizer,
)
from ppt_jax.training.sharding import (
    MeshConfig,
    ShardingRules,
    check_heads,
    check_rows,
    make_mesh,
    parameter_shardings,
    put_batch,
)
from ppt_jax.training.state import init_state, state_shardings
from ppt_jax.training.step import make_step
from tests.training.problem import MODEL, OBJECTIVE, batch_of

CONFIG = OptimizerConfig(learning_rate=1e-2, warmup_steps=2, clip_norm=0.5)


@functools.cache
def compiled(accumulate, mesh_config, model, steps):
    """Mesh, optimizer and step; tests with the same settings share the program."""
    mesh = make_mesh(mesh_config)
    optimizer = make_optimizer(CONFIG, steps)
    shardings = state_shardings(model, optimizer, mesh)
    step = make_step(
        make_apply(model),
        OBJECTIVE,
        optimizer,
        shardings,
        mesh,
        accumulate=accumulate,
        clip_norm=CONFIG.clip_norm,
    )
    return mesh, optimizer, step


def runner(accumulate=1, mesh=None, model=MODEL, steps=20):
    """The mesh, a fresh state and the compiled step."""
    mesh, optimizer, step = compiled(accumulate, mesh or MeshConfig(), model, steps)
    return mesh, init_state(model, optimizer, mesh, seed=0), step


def run(steps=4, **settings):
    mesh, state, step = runner(**settings)
    losses, norms = [], []
    for n in range(steps):
        state, metrics = step(state, put_batch(batch_of(n), mesh))
        losses.append(float(metrics["loss"]))
        norms.append(float(metrics["gradient_norm"]))
    return state, losses, norms, step


def test_four_microbatches_of_unequal_weight_equal_one_batch():
    whole, losses, norms, _ = run()
    split, split_losses, split_norms, step = run(accumulate=4)
    np.testing.assert_allclose(losses, split_losses, rtol=1e-5)
    np.testing.assert_allclose(norms, split_norms, rtol=1e-4)
    for a, b in zip(jax.tree.leaves(whole.params), jax.tree.leaves(split.params), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)
    assert step._cache_size() == 1


def test_the_step_compiles_once_and_gives_its_state_away():
    mesh, state, step = runner()
    first = state
    for n in range(3):
        state, _ = step(state, put_batch(batch_of(n), mesh))
    assert step._cache_size() == 1
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(first.params))
    assert int(state.step) == 3


def test_one_step_is_the_textbook_adamw_step():
    """Against optax composed by hand on the gradient of the mean loss."""
    mesh, state, step = runner()
    batch = put_batch(batch_of(0), mesh)
    params = jax.tree.map(jnp.copy, state.params)

    def mean(params):
        loss, weight, _ = OBJECTIVE(make_apply(MODEL), params, batch, None)
        return loss / weight

    loss, grads = jax.jit(jax.value_and_grad(mean))(params)
    rate = CONFIG.learning_rate / 3  # first of two warm-up steps
    by_hand = optax.chain(
        optax.clip_by_global_norm(0.5),
        optax.scale_by_adam(b1=CONFIG.b1, b2=CONFIG.b2, eps=CONFIG.epsilon),
        optax.add_decayed_weights(CONFIG.weight_decay, decay_mask),
        optax.scale(-rate),
    )
    updates, _ = by_hand.update(grads, by_hand.init(params), params)
    expected = optax.apply_updates(params, updates)
    after, metrics = step(state, batch)
    assert float(metrics["loss"]) == pytest.approx(float(loss), rel=1e-5)
    assert float(metrics["gradient_norm"]) > CONFIG.clip_norm  # so that clipping is tested
    for a, b in zip(jax.tree.leaves(expected), jax.tree.leaves(after.params), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize("poison", ["edge_mass_BE", "ask_weight_BA"])
def test_a_step_that_is_not_finite_changes_nothing_and_is_counted(poison):
    mesh, state, step = runner()
    state, _ = step(state, put_batch(batch_of(0), mesh))
    before = jax.tree.map(np.array, (state.params, state.optimizer))
    bad = batch_of(1)
    bad[poison] = np.full_like(bad[poison], np.nan)
    for count in (1, 2):
        state, metrics = step(state, put_batch(bad, mesh))
        assert (int(metrics["skipped"]), int(metrics["skipped_in_a_row"])) == (count, count)
    jax.tree.map(np.testing.assert_array_equal, before, (state.params, state.optimizer))
    state, metrics = step(state, put_batch(batch_of(2), mesh))
    assert (int(metrics["skipped"]), int(metrics["skipped_in_a_row"])) == (2, 0)
    assert int(state.step) == 4
    moved = np.abs(np.asarray(state.params["embedding"]) - before[0]["embedding"]).max()
    assert 0 < moved < 1


def test_dropout_keys_differ_between_steps_and_microbatches():
    """With a learning rate of almost 0, losses of the same batch differ through dropout alone."""
    model = dataclasses.replace(MODEL, dropout=0.3)
    mesh, state, step = runner(model=model, steps=10**9)
    losses = []
    for _ in range(2):
        state = dataclasses.replace(state, params=init_state(model, optax.sgd(0.0), mesh, 0).params)
        state, metrics = step(state, put_batch(batch_of(0), mesh))
        losses.append(float(metrics["loss"]))
    assert abs(losses[0] - losses[1]) > 1e-4


def test_schedule_warms_up_and_ends_where_it_says():
    config = OptimizerConfig(learning_rate=0.4, warmup_steps=3, final_fraction=0.1)
    rates = [float(learning_rate_schedule(config, 13)(n)) for n in range(14)]
    np.testing.assert_allclose(rates[:4], [0.1, 0.2, 0.3, 0.4], rtol=1e-6)
    half = 0.4 * (0.1 + 0.9 * 0.5 * (1 + np.cos(np.pi * 5 / 10)))
    assert rates[8] == pytest.approx(half, rel=1e-5)
    assert rates[13] == pytest.approx(0.04, rel=1e-5)
    assert np.isfinite([float(learning_rate_schedule(config, 1)(n)) for n in range(2)]).all()


def test_norms_do_not_decay_and_matrices_do():
    _, state, _ = runner()
    mask = decay_mask(state.params)
    kept = {
        jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(mask)
    }
    assert {name for name, decays in kept.items() if not decays} == {
        "['final_norm']",
        "['layers']['attention_norm']",
        "['layers']['mlp_norm']",
    }


@pytest.mark.parametrize(
    "bad", [{"learning_rate": 0.0}, {"b2": 1.5}, {"clip_norm": -1.0}, {"warmup_steps": -1}]
)
def test_bad_optimizer_fields_are_refused_by_name(bad):
    with pytest.raises(UserError, match=f"optimizer.{next(iter(bad))}"):
        OptimizerConfig(**bad)


def test_meshes_and_batches_that_do_not_fit_are_refused():
    check_heads(MODEL, types.SimpleNamespace(shape={"tensor": 2}))
    with pytest.raises(UserError, match=r"tensor is 4.*kv_heads = 2"):
        check_heads(MODEL, types.SimpleNamespace(shape={"tensor": 4}))
    with pytest.raises(UserError, match="do not fill"):
        make_mesh(MeshConfig(data=3, fsdp=1), jax.devices()[:1])
    with pytest.raises(UserError, match=r"mesh\.fsdp"):
        MeshConfig(fsdp=0)
    with pytest.raises(UserError, match="multiple of 3"):
        check_rows(8, 3, make_mesh(MeshConfig()))
    with pytest.raises(UserError, match="bogus"):
        ShardingRules().mesh_axis("bogus")


def eight_devices(data, fsdp, tensor):
    """Everything that the eight-device process reports about itself, as JSON types."""
    assert jax.device_count() == 8
    model = dataclasses.replace(MODEL, attention_route="grouped" if tensor > 1 else "blocked")
    state, losses, norms, step = run(mesh=MeshConfig(data, fsdp, tensor), model=model)
    moments = state.optimizer[0]
    wrong = [
        jax.tree_util.keystr(path)
        for tree in (moments.mu, moments.nu)
        for (path, leaf), param in zip(
            jax.tree_util.tree_leaves_with_path(tree), jax.tree.leaves(state.params), strict=True
        )
        if leaf.sharding != param.sharding
    ]
    query = state.params["layers"]["query"]
    refused = ""
    try:
        mesh = make_mesh(MeshConfig(1, 8))
        odd = dataclasses.replace(MODEL, width=36)
        shapes = jax.eval_shape(
            lambda: init_state(odd, optax.sgd(0.0), make_mesh(MeshConfig(8, 1)), 0)
        )
        parameter_shardings(shapes.params, mesh)
    except UserError as error:
        refused = str(error)
    return {
        "losses": losses,
        "norms": norms,
        "params": [np.asarray(leaf).tolist() for leaf in jax.tree.leaves(state.params)],
        "wrong": wrong,
        "shard": list(query.addressable_shards[0].data.shape),
        "programs": step._cache_size(),
        "refused": refused,
    }


@pytest.mark.parametrize(("data", "fsdp", "tensor"), [(8, 1, 1), (2, 4, 1), (2, 2, 2)])
def test_eight_devices_do_what_one_does(data, fsdp, tensor):
    """Losses, gradient norms and parameters; moments lie where their parameters do."""
    code = (
        "import json; from tests.training.test_step import eight_devices; "
        f"print('REPORT' + json.dumps(eight_devices({data}, {fsdp}, {tensor})))"
    )
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout.split("REPORT")[1])
    state, losses, norms, _ = run()
    np.testing.assert_allclose(losses, report["losses"], rtol=1e-5)
    np.testing.assert_allclose(norms, report["norms"], rtol=1e-4)
    for a, b in zip(jax.tree.leaves(state.params), report["params"], strict=True):
        np.testing.assert_allclose(a, np.array(b), atol=2e-5)
    assert report["wrong"] == []
    assert report["shard"] == [2, 32 // fsdp, 32 // tensor]
    assert report["programs"] == 1
    assert "'embed' of size 36" in report["refused"]
    assert "'fsdp' of size 8" in report["refused"]
