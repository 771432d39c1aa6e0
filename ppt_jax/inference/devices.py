"""Spreads a batch of scenarios over the devices of this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

AXIS = "lane"


def local_mesh() -> Mesh:
    """One axis over all devices that this process holds."""
    return Mesh(np.array(jax.local_devices()), (AXIS,))


def spread(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles a function of batched arrays so that each device runs its own part of the batch.

    Args:
      function: pure; every argument and result has the batch as its leading axis, whose length is
        a multiple of the number of local devices, and rows do not depend on one another.

    Returns:
      The jitted function. Arguments may be numpy arrays; they go to the devices that need them.
    """
    mesh = local_mesh()
    part = PartitionSpec(AXIS)
    sharding = NamedSharding(mesh, part)
    if mesh.size == 1:
        return jax.jit(function)
    mapped = jax.shard_map(function, mesh=mesh, in_specs=part, out_specs=part, check_vma=False)
    return jax.jit(mapped, in_shardings=sharding, out_shardings=sharding)


def padded(count: int, least: int = 1) -> int:
    """The smallest batch of at least ``count`` rows that the devices, and ``least``, divide."""
    whole = least * len(jax.local_devices())
    return -(-count // whole) * whole
