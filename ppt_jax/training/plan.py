"""What a training step needs on a mesh, found by compiling it without any array."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from ppt_jax.models.answers import StopSets
from ppt_jax.models.decoder import DecoderConfig, count_parameters, make_apply, model_size
from ppt_jax.training.flops import Chip, Work, step_flops
from ppt_jax.training.objectives.soft_label import SoftLabelConfig, soft_label
from ppt_jax.training.optimizer import OptimizerConfig, make_optimizer
from ppt_jax.training.sharding import MeshConfig, check_rows, make_mesh, row_sharding
from ppt_jax.training.state import abstract_frozen, abstract_state, state_shardings
from ppt_jax.training.step import make_step


@dataclasses.dataclass(frozen=True)
class BatchShape:
    """Sizes of a packed batch, see `ppt_jax.data.packing.PackConfig`."""

    rows: int
    tokens: int
    nodes: int
    edges: int
    asks: int
    max_answers: int

    def abstract(self, mesh: jax.sharding.Mesh) -> dict[str, jax.ShapeDtypeStruct]:
        """The batch as shapes, rows split over the mesh."""
        lengths = {"T": self.tokens, "N": self.nodes, "E": self.edges, "A": self.asks}
        names = (
            "tokens_BT positions_BT end_BT node_BN edge_node_BE edge_token_BE edge_mass_BE "
            "edge_parent_BE edge_answer_BE ask_weight_BA ask_index_BA"
        )
        return {
            name: jax.ShapeDtypeStruct(
                (self.rows, lengths[name[-1]]),
                np.float32 if "mass" in name or "weight" in name else np.int32,
                sharding=row_sharding(mesh),
            )
            for name in names.split()
        }


@dataclasses.dataclass(frozen=True)
class Plan:
    """A step on a mesh.

    Attributes:
      parameters: scalars of the model, and those of them that are trained.
      trained: see `parameters`.
      memory: bytes a device, by kind; ``temporary`` is what the compiler reserves for gradients,
        activations and communication.
      compiler: ``tpu`` or ``cuda``, or ``cpu``, whose ``temporary`` is an estimate for other chips.
      flops: useful operations of a full batch, over all devices.
      devices: devices of the mesh.
      mesh: its axes.
      rows, tokens: of the global batch.
    """

    parameters: int
    trained: int
    memory: dict[str, int]
    compiler: str
    flops: float
    devices: int
    mesh: dict[str, int]
    rows: int
    tokens: int

    @property
    def bytes_per_device(self) -> int:
        """All kinds together."""
        return sum(self.memory.values())

    def seconds(self, chip: Chip) -> float:
        """Least time of a step at the chip's peak rate."""
        return self.flops / (self.devices * chip.flops)

    def table(self, chip: Chip) -> str:
        """The plan as text."""
        whole = self.bytes_per_device
        axes = " x ".join(f"{name} {size}" for name, size in self.mesh.items())
        lines = [
            f"mesh              {axes} = {self.devices} devices",
            f"parameters        {self.parameters:,}, trained {self.trained:,}",
            f"global batch      {self.rows} rows of {self.tokens} tokens",
            "memory a device",
            *(
                f"  {kind:<16}{size / 1e9:9.3f} GB{self._note(kind)}"
                for kind, size in self.memory.items()
            ),
            f"  {'together':<16}{whole / 1e9:9.3f} GB, {chip.name} has {chip.memory / 1e9:.0f} GB: "
            + ("fits" if whole <= chip.memory else "DOES NOT FIT"),
            f"work              {self.flops:.4g} FLOP a step",
            f"time floor        {self.seconds(chip):.4g} s a step on {self.devices} {chip.name}, "
            f"{self.rows * self.tokens / self.seconds(chip):,.0f} tokens/s at 100 % of peak",
        ]
        return "\n".join(lines)

    def _note(self, kind: str) -> str:
        if kind != "temporary":
            return ""
        rough = " (a rough figure for other chips)" if self.compiler == "cpu" else ""
        return f", says XLA's compiler for {self.compiler}{rough}"


def _bytes_per_device(tree: Any) -> int:
    return sum(
        math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(tree)
    )


def plan_step(
    model: DecoderConfig,
    batch: BatchShape,
    *,
    mesh: MeshConfig,
    optimizer: OptimizerConfig,
    objective: SoftLabelConfig,
    accumulate: int = 1,
    frozen_dtype: str = "bfloat16",
    devices: Sequence[jax.Device] | None = None,
) -> Plan:
    """Lowers and compiles the real training step on shapes alone.

    Args:
      model: the decoder.
      batch: sizes of the packed batch.
      mesh: shape of the mesh over all devices of this process.
      optimizer: its settings.
      objective: its settings.
      accumulate: microbatches of a step.
      frozen_dtype: of the base under adapters.
      devices: to compile for, see `targets.target_devices`; this process's when None.

    Raises:
      UserError: the mesh does not fit devices, parameters or rows.
    """
    placed = make_mesh(mesh, None if devices is None else list(devices))
    check_rows(batch.rows, accumulate, placed)
    transform = make_optimizer(optimizer, 1000)
    stops = StopSets(np.zeros((2, 1), np.int32), np.ones((2, 1), bool))
    step: Any = make_step(
        make_apply(model),
        soft_label(stops, batch.max_answers, objective),
        transform,
        state_shardings(model, transform, placed),
        placed,
        accumulate=accumulate,
        clip_norm=optimizer.clip_norm,
    )
    state = abstract_state(model, transform, placed)
    frozen = abstract_frozen(model, placed, frozen_dtype) if model.adapter_rank else {}
    shapes = batch.abstract(placed)
    measured = step.lower(state, shapes, frozen).compile().memory_analysis()
    memory = {
        "trained": _bytes_per_device(state.params),
        "frozen": _bytes_per_device(frozen),
        "moments": _bytes_per_device(state.optimizer),
        "batch": _bytes_per_device(shapes),
        "temporary": int(measured.temp_size_in_bytes),
    }
    pairs = batch.rows * batch.tokens * (batch.tokens + 1) // 2
    work = Work(batch.rows * batch.tokens, batch.rows * batch.nodes, pairs)
    return Plan(
        parameters=model_size(model),
        trained=count_parameters(state.params),
        memory=memory,
        compiler=placed.devices.flat[0].platform.replace("gpu", "cuda"),
        flops=step_flops(model, work),
        devices=placed.size,
        mesh=dict(placed.shape),
        rows=batch.rows,
        tokens=batch.tokens,
    )
