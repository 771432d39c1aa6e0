"""Where every array lives: a named mesh, a table from logical to mesh axes, checked placements."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import optax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from ppt_jax.errors import UserError
from ppt_jax.models.decoder import PARAMETER_AXES, DecoderConfig, Params


@dataclasses.dataclass(frozen=True)
class MeshConfig:
    """Shape of the device mesh.

    Attributes:
      data: devices along ``data`` (rows are split, parameters repeated); -1: all that are left.
      fsdp: devices along ``fsdp`` (rows are split, and parameters and moments too).
      tensor: devices along ``tensor`` (heads and MLP widths are split, rows repeated).
    """

    data: int = -1
    fsdp: int = 1
    tensor: int = 1

    def __post_init__(self) -> None:
        if self.data != -1 and self.data < 1:
            raise UserError(f"mesh.data is {self.data}; it must be at least 1, or -1 for the rest")
        for name in ("fsdp", "tensor"):
            if getattr(self, name) < 1:
                raise UserError(f"mesh.{name} is {getattr(self, name)}; it must be at least 1")


@dataclasses.dataclass(frozen=True)
class ShardingRules:
    """Mesh axis of each logical axis; None: not split."""

    layers: str | None = None
    vocab: str | None = None
    embed: str | None = "fsdp"
    heads: str | None = "tensor"
    kv: str | None = "tensor"
    head_size: str | None = None
    rank: str | None = None
    mlp: str | None = "tensor"

    def mesh_axis(self, logical: str) -> str | None:
        """The mesh axis of a logical axis; an unknown name is refused."""
        if logical not in {field.name for field in dataclasses.fields(self)}:
            raise UserError(f"sharding: no rule for the logical axis {logical!r}")
        return getattr(self, logical)


ROW_AXES = ("data", "fsdp")
"""Mesh axes over which the rows of a batch are split."""


def make_mesh(config: MeshConfig, devices: list[jax.Device] | None = None) -> Mesh:
    """A mesh with axes ``data``, ``fsdp`` and ``tensor`` (automatic partitioning).

    Args:
      config: its shape.
      devices: devices to use; all of them when None.

    Raises:
      UserError: the devices do not fill the mesh.
    """
    devices = jax.devices() if devices is None else devices
    inner = config.fsdp * config.tensor
    data = max(len(devices) // inner, 1) if config.data == -1 else config.data
    if data * inner != len(devices):
        raise UserError(
            f"mesh: data = {data}, fsdp = {config.fsdp} and tensor = {config.tensor} do not fill "
            f"{len(devices)} devices; their product must be the number of devices"
        )
    shape, names = (data, config.fsdp, config.tensor), ("data", "fsdp", "tensor")
    return jax.make_mesh(shape, names, (AxisType.Auto,) * 3, devices=devices)


def check_heads(model: DecoderConfig, mesh: Mesh) -> None:
    """Refuses a mesh that would split inside a head.

    Raises:
      UserError: the ``tensor`` axis does not divide the key/value heads.
    """
    if model.kv_heads % mesh.shape["tensor"]:
        raise UserError(
            f"mesh.tensor is {mesh.shape['tensor']}, which does not divide model.kv_heads = "
            f"{model.kv_heads}; whole heads are split over devices"
        )


def parameter_shardings(params: Params, mesh: Mesh, rules: ShardingRules = ShardingRules()) -> Any:
    """The sharding of every parameter, as a tree like ``params``.

    Args:
      params: parameters, or their shapes.
      mesh: the device mesh.
      rules: logical axis -> mesh axis.

    Raises:
      UserError: a parameter without named axes, or a dimension that its mesh axis does not divide;
        the message names parameter, dimension and mesh axis.
    """

    def place(path: tuple, leaf: jax.Array) -> NamedSharding:
        name = "/".join(str(key.key) for key in path)
        if name not in PARAMETER_AXES:
            raise UserError(f"sharding: parameter {name!r} has no named axes in PARAMETER_AXES")
        axes = PARAMETER_AXES[name]
        spec = []
        for size, logical in zip(leaf.shape, axes, strict=True):
            axis = rules.mesh_axis(logical)
            if axis is not None and size % mesh.shape[axis]:
                raise UserError(
                    f"sharding: parameter {name!r}, dimension {logical!r} of size {size} does not "
                    f"divide over mesh axis {axis!r} of size {mesh.shape[axis]}"
                )
            spec.append(axis)
        return NamedSharding(mesh, PartitionSpec(*spec))

    return jax.tree_util.tree_map_with_path(place, params)


def optimizer_shardings(
    optimizer: optax.GradientTransformation, params: Params, shardings: Any, mesh: Mesh
) -> Any:
    """The sharding of every optimizer leaf: its parameter's, or replicated for counters.

    Args:
      optimizer: the transformation whose state is to be placed.
      params: parameters, or their shapes.
      shardings: tree like ``params``, of `parameter_shardings`.
      mesh: the device mesh.
    """
    state = jax.eval_shape(optimizer.init, params)
    return optax.tree_utils.tree_map_params(
        optimizer,
        lambda leaf, sharding: sharding,
        state,
        shardings,
        transform_non_params=lambda leaf: replicated(mesh),
    )


def replicated(mesh: Mesh) -> NamedSharding:
    """The sharding of an array that every device holds whole."""
    return NamedSharding(mesh, PartitionSpec())


def row_sharding(mesh: Mesh) -> NamedSharding:
    """The sharding of batch arrays: rows over all devices."""
    return NamedSharding(mesh, PartitionSpec(ROW_AXES))


def check_rows(rows: int, accumulate: int, mesh: Mesh) -> None:
    """Refuses a global batch that does not split evenly over accumulation steps and devices.

    Args:
      rows: rows of the global batch.
      accumulate: microbatches of a step.
      mesh: the device mesh.

    Raises:
      UserError: rows is not a multiple of accumulate times the devices.
    """
    devices = math.prod(mesh.shape[axis] for axis in ROW_AXES)
    if rows % (accumulate * devices):
        raise UserError(
            f"batch of {rows} rows does not split into train.accumulate = {accumulate} "
            f"microbatches over {devices} devices; it must be a multiple of {accumulate * devices}"
        )


def put_batch(batch: Mapping[str, np.ndarray], mesh: Mesh) -> dict[str, jax.Array]:
    """Places this process's rows of a batch on the mesh, rows split over all devices."""
    sharding = row_sharding(mesh)
    return {
        name: jax.make_array_from_process_local_data(sharding, np.asarray(array))
        for name, array in batch.items()
    }
