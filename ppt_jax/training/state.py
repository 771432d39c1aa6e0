"""Everything a training run carries from step to step, as one pytree."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from ppt_jax.models.decoder import DecoderConfig, Params, init_params
from ppt_jax.training.sharding import optimizer_shardings, parameter_shardings, replicated


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """State of a run; every leaf is an array.

    Attributes:
      step: int32, batches consumed.
      skipped: int32, steps that changed nothing because loss or gradient was not finite.
      skipped_in_a_row: int32, such steps since the last good one.
      params: float32 parameters.
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


def state_shardings(
    model: DecoderConfig, optimizer: optax.GradientTransformation, mesh: Mesh
) -> TrainState:
    """The sharding of every leaf of the state, as a `TrainState` of shardings."""
    params = jax.eval_shape(lambda: init_params(model, jax.random.key(0)))
    placed = parameter_shardings(params, mesh)
    whole: Any = replicated(mesh)
    moments = optimizer_shardings(optimizer, params, placed, mesh)
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
      params: parameters to start from (copied); fresh ones when None.
    """
    shardings = state_shardings(model, optimizer, mesh)

    def make(params: Params | None) -> TrainState:
        first, second = jax.random.split(jax.random.key(seed))
        # The copy keeps the caller's arrays from being given away with the state's memory.
        own = init_params(model, first) if params is None else jax.tree.map(jnp.copy, params)
        return _fresh(own, optimizer, second)

    return jax.jit(make, out_shardings=shardings)(params)


def abstract_state(
    model: DecoderConfig, optimizer: optax.GradientTransformation, mesh: Mesh
) -> TrainState:
    """Shapes, dtypes and shardings of the state, without any array (for restoring)."""
    shapes = jax.eval_shape(
        lambda: _fresh(init_params(model, jax.random.key(0)), optimizer, jax.random.key(0))
    )
    return jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        shapes,
        state_shardings(model, optimizer, mesh),
    )
