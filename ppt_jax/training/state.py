"""Everything a training run carries from step to step, as one pytree."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from ppt_jax.models.adapters import split
from ppt_jax.models.decoder import DecoderConfig, Params, init_params
from ppt_jax.models.quantised import is_part
from ppt_jax.training.sharding import (
    check_heads,
    optimizer_shardings,
    parameter_shardings,
    replicated,
)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """State of a run; every leaf is an array.

    Attributes:
      step: int32, batches consumed.
      skipped: int32, steps that changed nothing because loss or gradient was not finite.
      skipped_in_a_row: int32, such steps since the last good one.
      params: float32 parameters that are trained (the adapters of a model that has some).
      optimizer: Optax state.
      key: data of the run's PRNG key (uint32; a typed key would get another sharding from the step
        than from the start, hence a second program); each step folds its number in.
    """

    step: jax.Array
    skipped: jax.Array
    skipped_in_a_row: jax.Array
    params: Params
    optimizer: Any
    key: jax.Array


def _fresh(params: Params, optimizer: optax.GradientTransformation, key: jax.Array) -> TrainState:
    def zero() -> jax.Array:
        return jnp.zeros((), jnp.int32)

    return TrainState(
        zero(), zero(), zero(), params, optimizer.init(params), jax.random.key_data(key)
    )


def _shapes(model: DecoderConfig) -> Params:
    return jax.eval_shape(lambda: init_params(model, jax.random.key(0)))


def state_shardings(
    model: DecoderConfig, optimizer: optax.GradientTransformation, mesh: Mesh
) -> TrainState:
    """The sharding of every leaf of the state, as a `TrainState` of shardings."""
    check_heads(model, mesh)
    trained = split(_shapes(model), model)[0]
    placed = parameter_shardings(trained, mesh)
    whole: Any = replicated(mesh)
    moments = optimizer_shardings(optimizer, trained, placed, mesh)
    return TrainState(whole, whole, whole, placed, moments, whole)


def init_state(
    model: DecoderConfig,
    optimizer: optax.GradientTransformation,
    mesh: Mesh,
    seed: int,
    params: Params | None = None,
) -> TrainState:
    """A fresh state, made in place: no device ever holds more than its share.

    Args:
      model: the decoder's shape.
      optimizer: Optax transformation.
      mesh: the device mesh.
      seed: seed of parameters and of the run's PRNG key.
      params: trained parameters to start from (copied); fresh ones when None.
    """
    shardings = state_shardings(model, optimizer, mesh)

    def make(params: Params | None) -> TrainState:
        first, second = jax.random.split(jax.random.key(seed))
        # The copy keeps the caller's arrays from being given away with the state's memory.
        if params is None:
            own = split(init_params(model, first), model)[0]
        else:
            own = jax.tree.map(jnp.copy, params)
        return _fresh(own, optimizer, second)

    return jax.jit(make, out_shardings=shardings)(params)


def init_frozen(model: DecoderConfig, mesh: Mesh, seed: int) -> Params:
    """The frozen half of a fresh model with adapters: its base, drawn from the run's seed."""
    placed = parameter_shardings(split(_shapes(model), model)[1], mesh)

    def make() -> Params:
        first, _ = jax.random.split(jax.random.key(seed))
        return split(init_params(model, first), model)[1]

    return jax.jit(make, out_shardings=placed)()


def abstract_state(
    model: DecoderConfig, optimizer: optax.GradientTransformation, mesh: Mesh
) -> TrainState:
    """Shapes, dtypes and shardings of the state, without any array (for restoring)."""
    shapes = jax.eval_shape(
        lambda: _fresh(
            split(init_params(model, jax.random.key(0)), model)[0], optimizer, jax.random.key(0)
        )
    )
    return with_shardings(shapes, state_shardings(model, optimizer, mesh))


def abstract_frozen(model: DecoderConfig, mesh: Mesh, dtype: str = "float32") -> Params:
    """Shapes and shardings of the frozen half of a model; codes and scales keep their dtype."""
    frozen = split(_shapes(model), model)[1]

    def stored(path: tuple, leaf: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
        own = leaf.dtype if is_part(str(path[-1].key)) else dtype
        return jax.ShapeDtypeStruct(leaf.shape, own)

    shapes = jax.tree_util.tree_map_with_path(stored, frozen)
    return with_shardings(shapes, parameter_shardings(frozen, mesh))


def with_shardings(shapes: Any, shardings: Any) -> Any:
    """A tree of shapes that also know where they live."""
    return jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        shapes,
        shardings,
    )
