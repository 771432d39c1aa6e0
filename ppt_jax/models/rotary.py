"""Rotary position embedding with the frequency scalings of the supported families.

Axes: B rows, T tokens, H heads, D head size, P = D / 2 pairs.
"""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

from ppt_jax.errors import UserError

SCALINGS = ("none", "linear", "llama3")

RopeTable = tuple[jax.Array, jax.Array]
"""Cosines and sines, float32 [B, T, P]."""


@dataclasses.dataclass(frozen=True)
class RopeScaling:
    """How the frequencies of a longer context differ from those of the first training.

    Attributes:
      kind: ``none``; ``linear``: all frequencies divided by `factor`; ``llama3``: long waves
        divided by `factor`, short ones kept, a smooth passage between.
      factor: context now over context then.
      low_frequency: waves longer than ``original_length / low_frequency`` are divided.
      high_frequency: waves shorter than ``original_length / high_frequency`` are kept.
      original_length: context of the first training, in tokens.
    """

    kind: str = "none"
    factor: float = 1.0
    low_frequency: float = 1.0
    high_frequency: float = 4.0
    original_length: int = 8192

    def __post_init__(self) -> None:
        if self.kind not in SCALINGS:
            raise UserError(f"rope scaling {self.kind!r} is unknown; known: {', '.join(SCALINGS)}")
        if not self.factor >= 1:
            raise UserError(f"rope scaling factor is {self.factor}; it must be at least 1")
        if not 0 < self.low_frequency < self.high_frequency:
            raise UserError(
                f"rope scaling: low_frequency = {self.low_frequency} must be above 0 and below "
                f"high_frequency = {self.high_frequency}"
            )
        if not self.original_length > 0:
            raise UserError(f"rope scaling original_length is {self.original_length}; above 0")


def frequencies(head_size: int, base: float, scaling: RopeScaling = RopeScaling()) -> np.ndarray:
    r"""Angles per position, ``base^(-2i / D)``, scaled.

    For ``llama3`` with wave length :math:`\lambda = 2 \pi / f` and original length :math:`n`, the
    share :math:`s = (n / \lambda - low) / (high - low)`, cut to [0, 1], mixes
    :math:`f' = (1 - s) f / factor + s f`.

    Args:
      head_size: D, even.
      base: base of the geometric series.
      scaling: for longer contexts.

    Returns:
      float64 [P].

    References:
      Su et al. (2021), RoFormer; Grattafiori et al. (2024), The Llama 3 herd of models.

    Example:
      >>> frequencies(4, 100.0).tolist()
      [1.0, 0.1]
    """
    plain_P = base ** (-np.arange(0, head_size, 2) / head_size)
    if scaling.kind == "linear":
        return plain_P / scaling.factor
    if scaling.kind == "llama3":
        waves_P = scaling.original_length * plain_P / (2 * math.pi)
        span = scaling.high_frequency - scaling.low_frequency
        kept_P = np.clip((waves_P - scaling.low_frequency) / span, 0.0, 1.0)
        return plain_P * (kept_P + (1 - kept_P) / scaling.factor)
    return plain_P


def rope_table(positions_BT: jax.Array, frequencies_P: np.ndarray) -> RopeTable:
    """Cosines and sines of the rotary angles ``p * f``.

    Args:
      positions_BT: int32, position of each token along its own path.
      frequencies_P: of `frequencies`.

    Returns:
      Two float32 arrays [B, T, P].
    """
    angles_BTP = positions_BT.astype(jnp.float32)[..., None] * jnp.float32(frequencies_P)
    return jnp.cos(angles_BTP), jnp.sin(angles_BTP)


def rotate(x_BTHD: jax.Array, table: RopeTable) -> jax.Array:
    """Rotates pairs ``(x[i], x[i + D/2])`` by the angles of `rope_table` (Hugging Face layout)."""
    cos_BT1P, sin_BT1P = table[0][:, :, None], table[1][:, :, None]
    low, high = jnp.split(x_BTHD.astype(jnp.float32), 2, axis=-1)
    turned = (low * cos_BT1P - high * sin_BT1P, high * cos_BT1P + low * sin_BT1P)
    return jnp.concatenate(turned, -1).astype(x_BTHD.dtype)
