"""One training step: accumulated gradients, clipping, update or skip; compiled once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ppt_jax.models.adapters import joined
from ppt_jax.models.decoder import Apply, Params
from ppt_jax.training.objectives import Batch, Objective
from ppt_jax.training.sharding import ROW_AXES, replicated
from ppt_jax.training.state import TrainState

Metrics = dict[str, jax.Array]


class Step(Protocol):
    """A compiled training step (see `make_step`)."""

    def __call__(
        self, state: TrainState, batch: Batch, frozen: Params | None = None
    ) -> tuple[TrainState, Metrics]:
        """The next state and the metrics of this one."""
        ...


def make_step(
    apply: Apply,
    objective: Objective,
    optimizer: optax.GradientTransformation,
    shardings: TrainState,
    mesh: Mesh,
    *,
    accumulate: int = 1,
    clip_norm: float = 1.0,
) -> Step:
    r"""Makes the compiled step; it gives its input state's memory to the output.

    With microbatches :math:`i`, losses :math:`l_i` and weights :math:`w_i` (sums over all devices),

    .. math:: g = \nabla \frac{\sum_i l_i}{\sum_i w_i}
                = \frac{\sum_i \nabla l_i}{\sum_i w_i},

    which is the gradient of the undivided batch whatever the weights are; a mean of microbatch
    means is not. Then ``g`` is scaled to a norm of at most ``clip_norm``, and applied. A step whose
    loss or gradient norm is not finite, or that has no weight, changes no parameter or moment.

    Args:
      apply: the model as a pure function.
      objective: see `ppt_jax.training.objectives`.
      optimizer: Optax transformation.
      shardings: of `state_shardings`; the new state is placed by it.
      mesh: the device mesh.
      accumulate: microbatches; divides the rows of the batch (see `sharding.check_rows`).
      clip_norm: greatest global gradient norm.

    Returns:
      ``(state, batch, frozen) -> (state, metrics)``; ``frozen`` is the untrained half of the
      parameters of a model with adapters (see `adapters.split`) and keeps its memory. Metrics are
      device arrays: ``loss``, ``weight``, ``gradient_norm``, ``skipped``, ``skipped_in_a_row``, and
      the objective's (sum, weight) pairs.
    """

    def gradients(
        params: Params, batch: Batch, key: jax.Array, frozen: Params
    ) -> tuple[Params, jax.Array, jax.Array, Metrics]:
        def loss_sum(params: Params) -> tuple[jax.Array, tuple[jax.Array, Metrics]]:
            loss, weight, metrics = objective(apply, joined(params, frozen), batch, key)
            return loss, (weight, metrics)

        (loss, (weight, metrics)), grads = jax.value_and_grad(loss_sum, has_aux=True)(params)
        return lax.with_sharding_constraint(grads, shardings.params), loss, weight, metrics

    def accumulated(
        params: Params, batch: Batch, key: jax.Array, frozen: Params
    ) -> tuple[Params, jax.Array, jax.Array, Metrics]:
        if accumulate == 1:
            return gradients(params, batch, key, frozen)
        parts = jax.tree.map(lambda array: _interleaved(array, accumulate, mesh), batch)
        keys = jax.random.split(key, accumulate)
        shapes = jax.eval_shape(
            gradients, params, jax.tree.map(lambda array: array[0], parts), keys[0], frozen
        )
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        zeros = (lax.with_sharding_constraint(zeros[0], shardings.params), *zeros[1:])

        def add(total: tuple, part: tuple[Batch, jax.Array]) -> tuple[tuple, None]:
            return jax.tree.map(jnp.add, total, gradients(params, *part, frozen)), None

        return lax.scan(add, zeros, (parts, keys))[0]

    def step(
        state: TrainState, batch: Batch, frozen: Params | None = None
    ) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
        grads, loss, weight, metrics = accumulated(state.params, batch, key, frozen or {})
        norm = optax.tree_utils.tree_norm(grads) / weight
        good = jnp.isfinite(norm) & jnp.isfinite(loss) & (weight > 0)
        scale = jnp.minimum(1.0, clip_norm / jnp.maximum(norm, 1e-12)) / weight
        grads = jax.tree.map(lambda grad: grad * scale, grads)
        updates, moments = optimizer.update(grads, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)

        def kept(new: jax.Array, old: jax.Array) -> jax.Array:
            return jnp.where(good, new, old)

        bad = (~good).astype(jnp.int32)
        new = TrainState(
            step=state.step + 1,
            skipped=state.skipped + bad,
            skipped_in_a_row=(state.skipped_in_a_row + 1) * bad,
            params=jax.tree.map(kept, params, state.params),
            optimizer=jax.tree.map(kept, moments, state.optimizer),
            key=state.key,
        )
        metrics = {
            **metrics,
            "loss": loss / weight,
            "weight": weight,
            "gradient_norm": norm,
            "skipped": new.skipped,
            "skipped_in_a_row": new.skipped_in_a_row,
        }
        return new, metrics

    return jax.jit(step, donate_argnums=0, out_shardings=(shardings, replicated(mesh)))


def _interleaved(array: jax.Array, parts: int, mesh: Mesh) -> jax.Array:
    """[B, ...] -> [parts, B / parts, ...]: every device keeps the rows that it has."""
    rows = array.shape[0]
    split = array.reshape(rows // parts, parts, *array.shape[1:]).swapaxes(0, 1)
    return lax.with_sharding_constraint(split, NamedSharding(mesh, PartitionSpec(None, ROW_AXES)))


def make_evaluation(apply: Apply, objective: Objective, mesh: Mesh) -> Callable:
    """The compiled ``(params, batch) -> (loss_sum, weight_sum, metrics)`` without dropout.

    Args:
      apply: the model as a pure function.
      objective: see `ppt_jax.training.objectives`.
      mesh: the device mesh.
    """

    def evaluate(params: Params, batch: Batch) -> tuple[jax.Array, jax.Array, Metrics]:
        return objective(apply, params, batch, None)

    return jax.jit(evaluate, out_shardings=replicated(mesh))
