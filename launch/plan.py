r"""Plans a training run without weights: memory a device, FLOPs and the least time of a step.

Lowers and compiles the recipe's real step for --devices, on shapes alone. What fits is what the
arrays take plus what XLA reserves beside them. Where libtpu (for TPUs) or JAX's CUDA plugin (for
GPUs) is installed, the chip's own compiler says how much that is, and needs no chip for it;
elsewhere the compiler for CPUs stands in.

  python -m launch.plan --config=configs/llama3_8b_lora.py --devices=8 --chip=h200

--smallest plans the same step with two narrow layers, to check mesh and recipe in seconds.
"""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING

import ml_collections
from absl import flags

from launch import entry
from ppt_jax.errors import UserError

if TYPE_CHECKING:
    from ppt_jax.models.decoder import DecoderConfig
    from ppt_jax.training.sharding import MeshConfig

DEVICES = flags.DEFINE_integer("devices", 8, "Devices of the run that is planned.")
CHIP = flags.DEFINE_string("chip", "h200", "a100, h100, h200, v4, v5e, v5p or v6e.")
COMPILER = flags.DEFINE_enum(
    "compiler", "auto", ["auto", "cpu", "tpu", "cuda"], "Whose; auto: the chip's if installed."
)
SMALLEST = flags.DEFINE_bool("smallest", False, "Plan two narrow layers and short rows instead.")


def smallest(model: DecoderConfig, mesh: MeshConfig) -> DecoderConfig:
    """The same decoder with as little in it as its mesh can split."""
    from ppt_jax.models.quantised import TILE

    unit = TILE if model.adapter_base == "nf4" else 8
    width = unit * mesh.fsdp * mesh.tensor
    keys = mesh.tensor
    return dataclasses.replace(
        model,
        vocab_size=512,
        width=width,
        layers=2,
        layers_unrolled=1,
        heads=keys * (model.heads // model.kv_heads),
        kv_heads=keys,
        head_size=unit,
        mlp_width=width,
    )


def main(config: ml_collections.ConfigDict) -> None:
    """Prints the plan."""
    if DEVICES.value < 1:
        raise UserError(f"--devices={DEVICES.value}: must be at least 1")
    made_up = f"--xla_force_host_platform_device_count={DEVICES.value}"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {made_up}".strip()

    import jax

    jax.config.update("jax_platforms", "cpu")  # also where there are other devices
    from launch.settings import build
    from launch.source import planned_model, source_config
    from launch.stages import check_config, packing_config, seeded
    from ppt_jax.training.flops import CHIPS
    from ppt_jax.training.loop import TrainConfig
    from ppt_jax.training.plan import BatchShape, plan_step
    from ppt_jax.training.targets import compiler_of, target_devices

    chips = {chip.name: chip for chip in CHIPS}
    if CHIP.value not in chips:
        raise UserError(f"--chip={CHIP.value}: known are {', '.join(sorted(chips))}")
    chip = chips[CHIP.value]
    compiler = compiler_of(chip) if COMPILER.value == "auto" else COMPILER.value
    check_config(config)
    settings = build(TrainConfig, seeded(config, "train"), "train")
    packing = packing_config(config, "packing", "train")
    model = planned_model(config)
    batch = BatchShape(
        packing.rows,
        packing.tokens,
        packing.nodes,
        packing.edges,
        packing.asks,
        packing.max_answers,
    )
    if SMALLEST.value:
        model = smallest(model, settings.mesh)
        batch = BatchShape(packing.rows, 64, 32, 64, 2, 8)
    plan = plan_step(
        model,
        batch,
        mesh=settings.mesh,
        optimizer=settings.optimizer,
        objective=settings.objective,
        accumulate=settings.accumulate,
        frozen_dtype=source_config(config).dtype,
        devices=target_devices(chip, DEVICES.value, compiler),
    )
    print(plan.table(chip))


if __name__ == "__main__":
    entry.run_config(main)
