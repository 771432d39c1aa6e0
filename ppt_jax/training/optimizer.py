"""AdamW with warm-up, cosine decay, clipping, and weight decay on matrices only."""

from __future__ import annotations

import dataclasses

import jax
import optax

from ppt_jax.errors import UserError
from ppt_jax.models.decoder import Params


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """Settings of AdamW.

    Attributes:
      learning_rate: peak learning rate.
      warmup_steps: updates of linear warm-up from 0 to the peak.
      final_fraction: learning rate at the last update as a share of the peak (cosine between).
      weight_decay: decoupled decay, on matrices (not on norms and biases).
      b1: decay of the first moment.
      b2: decay of the second moment.
      epsilon: added to the root of the second moment.
      clip_norm: greatest global gradient norm; larger gradients are scaled down to it.
    """

    learning_rate: float = 2e-3
    warmup_steps: int = 50
    final_fraction: float = 0.05
    weight_decay: float = 0.01
    b1: float = 0.9
    b2: float = 0.98
    epsilon: float = 1e-8
    clip_norm: float = 1.0

    def __post_init__(self) -> None:
        for name in ("learning_rate", "epsilon", "clip_norm"):
            if not getattr(self, name) > 0:
                raise UserError(f"optimizer.{name} is {getattr(self, name)}; it must be above 0")
        for name in ("b1", "b2", "final_fraction"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"optimizer.{name} is {getattr(self, name)}; it must be in [0, 1]")
        for name in ("warmup_steps", "weight_decay"):
            if not getattr(self, name) >= 0:
                raise UserError(f"optimizer.{name} is {getattr(self, name)}; it must be 0 or more")


def learning_rate_schedule(config: OptimizerConfig, steps: int) -> optax.Schedule:
    """Learning rate after ``count`` updates: linear warm-up, then cosine down to the last step.

    Args:
      config: settings.
      steps: updates of the whole run; a warm-up longer than half of it is shortened to half.

    Example:
      >>> rate = learning_rate_schedule(OptimizerConfig(learning_rate=1.0, warmup_steps=2), 10)
      >>> [round(float(rate(n)), 3) for n in (0, 1, 2, 10)]
      [0.333, 0.667, 1.0, 0.05]
    """
    warmup = min(config.warmup_steps, steps // 2)
    peak, last = config.learning_rate, config.learning_rate * config.final_fraction
    return optax.join_schedules(
        [
            optax.linear_schedule(peak / (warmup + 1), peak, warmup),
            optax.cosine_decay_schedule(peak, max(steps - warmup, 1), alpha=last / peak),
        ],
        [warmup],
    )


def decay_mask(params: Params) -> Params:
    """True for the parameters that decay: all but norm scales and biases.

    Stacked layers have one axis more than a single one, so names decide, not ranks.
    """

    def decays(path: tuple, leaf: jax.Array) -> bool:
        return not str(path[-1].key).endswith(("norm", "bias"))

    return jax.tree_util.tree_map_with_path(decays, params)


def make_optimizer(config: OptimizerConfig, steps: int) -> optax.GradientTransformation:
    """AdamW under `learning_rate_schedule`; clipping happens in the step, which knows the norm.

    Args:
      config: settings.
      steps: updates of the whole run.

    References:
      Loshchilov and Hutter (2019), Decoupled weight decay regularization.
    """
    return optax.adamw(
        learning_rate_schedule(config, steps),
        b1=config.b1,
        b2=config.b2,
        eps=config.epsilon,
        weight_decay=config.weight_decay,
        mask=decay_mask,
    )
