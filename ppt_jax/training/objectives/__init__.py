"""Objectives: pure functions of parameters and a batch, one file each.

An objective is ``(apply, params, batch, key) -> (loss_sum, weight_sum, metrics)``. The step divides
the global sum of losses by the global sum of weights, over devices and accumulation steps alike.
``metrics`` maps a name to a float32 pair (sum, weight), which is added up and divided in the same
way. ``key`` is a PRNG key (dropout, sampling) or None in evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import jax

from ppt_jax.models.decoder import Apply, Params

Batch = Mapping[str, jax.Array]
Sums = tuple[jax.Array, jax.Array, dict[str, jax.Array]]


class Objective(Protocol):
    """See the module's text."""

    def __call__(self, apply: Apply, params: Params, batch: Batch, key: jax.Array | None) -> Sums:
        """Sum of losses, sum of weights, and metrics as (sum, weight) pairs."""
        ...
