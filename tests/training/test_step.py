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
from ppt_jax.models.decoder import PARAMETER_AXES, init_params, make_apply
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
from ppt_jax.training.state import init_frozen, init_state, state_shardings
from ppt_jax.training.step import make_step
from tests.training.problem import MODEL, OBJECTIVE, batch_of

pytestmark = pytest.mark.slow

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


MESHES = ((8, 1, 1), (4, 2, 1), (1, 8, 1), (4, 1, 2), (1, 4, 2), (2, 2, 2))
WIDE = dataclasses.replace(MODEL, width=128, heads=16, kv_heads=4, mlp_width=128)
VARIANTS = {
    "lora": dataclasses.replace(MODEL, adapter_rank=3),
    "int8": dataclasses.replace(MODEL, adapter_rank=3, adapter_base="int8"),
    "nf4": dataclasses.replace(WIDE, adapter_rank=3, adapter_base="nf4"),
    "pallas": dataclasses.replace(MODEL, attention_route="pallas", attention_block=16),
}


def misplaced(tree, mesh):
    """Leaves that do not lie as their axes and the rules say, with what they are."""
    rules, wrong = ShardingRules(), []
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        keys = [str(key.key) for key in path if hasattr(key, "key")]
        name = "/".join(keys)
        axes = PARAMETER_AXES[name] if keys else ()  # counters and keys of PRNGs have no names
        parts = [mesh.shape.get(rules.mesh_axis(axis), 1) for axis in axes]
        shape = tuple(size // part for size, part in zip(leaf.shape, parts)) or leaf.shape
        if {shard.data.shape for shard in leaf.addressable_shards} != {shape}:
            wrong.append(f"{name}: {leaf.shape} over {leaf.sharding.spec}")
    return wrong


def measured(mesh_config, model, steps):
    """A run on the devices that are there, as JSON types."""
    mesh, optimizer, step = compiled(1, mesh_config, model, 20)
    state = init_state(model, optimizer, mesh, seed=0)
    frozen = init_frozen(model, mesh, 0) if model.adapter_rank else {}
    losses, norms = [], []
    for n in range(steps):
        state, metrics = step(state, put_batch(batch_of(n), mesh), frozen)
        losses.append(float(metrics["loss"]))
        norms.append(float(metrics["gradient_norm"]))
    return {
        "losses": losses,
        "norms": norms,
        "params": [np.asarray(leaf).tolist() for leaf in jax.tree.leaves(state.params)],
        "wrong": misplaced(state, mesh) + misplaced(frozen, mesh),
        "leaves": len(jax.tree.leaves((state, frozen))),
        "programs": step._cache_size(),
    }


def eight_devices():
    """Every mesh, and every kind of parameters on the mesh that splits all axes."""
    assert jax.device_count() == 8
    found = {}
    for shape in MESHES:
        route = "grouped" if shape[2] > 1 else "blocked"
        model = dataclasses.replace(MODEL, attention_route=route)
        found[str(shape)] = measured(MeshConfig(*shape), model, 3)
    for name, model in VARIANTS.items():
        if name != "pallas":
            model = dataclasses.replace(model, attention_route="grouped")
        found[name] = measured(MeshConfig(2, 2, 2), model, 2)
    return found


@pytest.fixture(scope="module")
def on_eight():
    code = (
        "import json; from tests.training.test_step import eight_devices; "
        "print('REPORT' + json.dumps(eight_devices()))"
    )
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=800
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.split("REPORT")[1])


@pytest.mark.parametrize("name", [*map(str, MESHES), *VARIANTS])
def test_eight_devices_do_what_one_does(on_eight, name):
    """Losses, gradient norms, parameters; every leaf lies as the rules say; one program."""
    report = on_eight[name]
    model = VARIANTS.get(name, MODEL)
    model = dataclasses.replace(model, attention_route="blocked")
    alone = measured(MeshConfig(), model, len(report["losses"]))
    np.testing.assert_allclose(alone["losses"], report["losses"], rtol=1e-5)
    np.testing.assert_allclose(alone["norms"], report["norms"], rtol=1e-4)
    for a, b in zip(alone["params"], report["params"], strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)
    assert report["wrong"] == []
    assert report["leaves"] > 3 * len(report["params"])  # moments and frozen leaves were looked at
    assert report["programs"] == 1


def test_a_leaf_in_the_wrong_place_is_found(on_eight):
    """The check above can fail: replicated moments on a mesh that should split them."""
    mesh = types.SimpleNamespace(shape={"data": 1, "fsdp": 2, "tensor": 1})
    state = init_state(MODEL, optax.sgd(0.0), make_mesh(MeshConfig()), 0)
    assert any(line.startswith("layers/query: (2, 32, 32)") for line in misplaced(state, mesh))


def test_dimensions_that_do_not_divide_are_refused_by_name():
    mesh = types.SimpleNamespace(shape={"data": 1, "fsdp": 8, "tensor": 1})
    odd = dataclasses.replace(MODEL, width=36)
    shapes = jax.eval_shape(lambda: init_params(odd, jax.random.key(0)))
    with pytest.raises(UserError, match=r"'embed' of size 36.*'fsdp' of size 8"):
        parameter_shardings(shapes, mesh)


def test_bfloat16_arithmetic_moves_float32_masters():
    mesh, state, step = runner(model=dataclasses.replace(MODEL, compute_dtype="bfloat16"))
    before = jax.tree.map(np.array, state.params)
    state, metrics = step(state, put_batch(batch_of(0), mesh))
    leaves = jax.tree.leaves((state.params, state.optimizer))
    assert {leaf.dtype.name for leaf in leaves} == {"float32", "int32"}  # counters of updates
    assert all(metrics[name].dtype == jnp.float32 for name in ("loss", "gradient_norm"))
    moved = np.abs(np.asarray(state.params["embedding"]) - before["embedding"])
    assert 0 < moved.max() < 0.02
    _, exact, _, _ = run(steps=1)
    assert float(metrics["loss"]) == pytest.approx(exact[0], rel=0.02)
    assert float(metrics["loss"]) != pytest.approx(exact[0], rel=1e-6)


def test_numpy_batches_cannot_slip_into_the_step():
    """What the loop's guard is for: a batch that was not placed would be copied at every step."""
    mesh, state, step = runner()
    state, _ = step(state, put_batch(batch_of(0), mesh))
    with (
        jax.transfer_guard("disallow"),
        pytest.raises(Exception, match="Disallowed host-to-device transfer"),
    ):
        step(state, batch_of(1))


def test_saving_more_needs_more_memory():
    sizes = {}
    for remat in ("none", "dots", "full"):
        model = dataclasses.replace(MODEL, layers=6, mlp_width=512, remat=remat)
        mesh, optimizer, step = compiled(1, MeshConfig(), model, 20)
        state, batch = init_state(model, optimizer, mesh, 0), put_batch(batch_of(0), mesh)
        measured_size = step.lower(state, batch, {}).compile().memory_analysis()
        sizes[remat] = measured_size.temp_size_in_bytes
    assert sizes["full"] < 0.8 * sizes["dots"]
    assert sizes["dots"] < 0.9 * sizes["none"]
