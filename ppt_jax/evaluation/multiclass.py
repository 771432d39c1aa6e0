"""Calibration of distributions over several options: classwise, top-label, adaptive.

A distribution over K options makes several claims at once; which of them a number is about must be
said. *Top-label*: the probability of the most probable option against whether it is true.
*Classwise*: every option as an event of its own. Pure `jnp`; options of no probability may be
appended as padding for top-label numbers.

Axes: N items, K options.
Sources: Guo et al. (2017) top-label; Kull et al. (2019) classwise; Nixon et al. (2019) adaptive.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from ppt_jax.evaluation import calibration
from ppt_jax.evaluation.calibration import Scheme


def top_label(p_NK: jax.Array, y_NK: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Confidence of the most probable option [N] and whether it is true [N].

    k options tied at the top (within 1e-9) share the credit: the outcome is their mean.

    Args:
      p_NK: distributions.
      y_NK: outcomes, one-hot, or soft (posterior probabilities).
    """
    best = jnp.max(p_NK, axis=-1, keepdims=True)
    tied = (p_NK >= best * (1 - 1e-9)).astype(p_NK.dtype)
    return best[..., 0], jnp.sum(tied * y_NK, axis=-1) / jnp.sum(tied, axis=-1)


def top_label_error(
    p_NK: jax.Array,
    y_NK: jax.Array,
    weight_N: jax.Array,
    *,
    scheme: Scheme = "mass",
    bins: int = 15,
    norm: float = 1,
) -> jax.Array:
    """Calibration error of the most probable option (the ECE of the classification papers)."""
    conf, correct = top_label(p_NK, y_NK)
    return calibration.calibration_error(
        conf, correct, weight_N, scheme=scheme, bins=bins, norm=norm
    )


def classwise_error(
    p_NK: jax.Array,
    y_NK: jax.Array,
    weight_N: jax.Array,
    *,
    scheme: Scheme = "mass",
    bins: int = 15,
    norm: float = 1,
) -> jax.Array:
    """Mean over options of the calibration error of "this option is true"."""

    def one(p_N: jax.Array, y_N: jax.Array) -> jax.Array:
        return calibration.calibration_error(
            p_N, y_N, weight_N, scheme=scheme, bins=bins, norm=norm
        )

    return jnp.mean(jax.vmap(one, in_axes=1)(p_NK, y_NK))


def adaptive_error(
    p_NK: jax.Array, y_NK: jax.Array, weight_N: jax.Array, *, bins: int = 15
) -> jax.Array:
    """Adaptive calibration error (ACE): options and equal-weight bins averaged with equal weight.

    ``1/K sum_k 1/R sum_r |mean outcome - mean confidence|`` over the R bins that hold anything;
    ties are never split, so R may be below ``bins``.
    """

    def one(p_N: jax.Array, y_N: jax.Array) -> jax.Array:
        index = calibration.bin_index(p_N, weight_N, "mass", bins)
        kept = jnp.where(weight_N > 0, y_N, 0.0)
        sums = calibration.bin_sums(p_N, kept, weight_N, index, bins)
        used = sums.weight > 0
        gap = jnp.abs(sums.outcome - sums.conf) / jnp.where(used, sums.weight, 1.0)
        count = jnp.sum(used)
        mean = jnp.sum(jnp.where(used, gap, 0.0)) / jnp.maximum(count, 1)
        return jnp.where(count > 0, mean, jnp.nan)

    return jnp.mean(jax.vmap(one, in_axes=1)(p_NK, y_NK))
