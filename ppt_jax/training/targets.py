"""Devices of chips that are not here, for compiling a step with the chip's own compiler.

XLA compiles ahead of time for TPU slices where libtpu is installed (``pip install 'ppt_jax[tpu]'``)
and for NVIDIA GPUs where JAX's CUDA plugin is (``'ppt_jax[cuda]'``); neither needs the chip.
Elsewhere CPUs stand in, as many as the run would have devices.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence

import jax

from ppt_jax.errors import UserError
from ppt_jax.training.flops import Chip

_CUBES = {4: "2x2x1", 8: "2x2x2", 16: "2x2x4", 32: "2x4x4", 64: "4x4x4", 128: "4x4x8"}
_CUBES |= {256: "4x8x8", 512: "8x8x8", 1024: "8x8x16"}
_SQUARES = {1: "1x1", 4: "2x2", 8: "2x4", 16: "4x4", 32: "4x8", 64: "8x8", 128: "8x16"}
_SQUARES |= {256: "16x16"}
SLICES = {"v4": _CUBES, "v5p": _CUBES, "v5e": _SQUARES, "v6e": _SQUARES}
"""Topology of a slice, by its number of chips."""

_HOPPER = {"major": 9, "cores": 132, "shared": 233472, "optin": 232448, "cache": 52428800}
_AMPERE = {"major": 8, "cores": 108, "shared": 167936, "optin": 166912, "cache": 41943040}
GPUS = {
    "h200": {**_HOPPER, "name": "NVIDIA H200", "bandwidth": 4_800_000_000_000},
    "h100": {**_HOPPER, "name": "NVIDIA H100 80GB HBM3", "bandwidth": 3_350_000_000_000},
    "a100": {**_AMPERE, "name": "NVIDIA A100-SXM4-80GB", "bandwidth": 2_039_000_000_000},
}
"""What XLA asks about a GPU that is not here, from the makers' data sheets."""


def compiler_of(chip: Chip) -> str:
    """``tpu`` or ``cuda`` where that compiler is installed, else ``cpu``."""
    if chip.name in SLICES:
        return "tpu" if importlib.util.find_spec("libtpu") else "cpu"
    plugins = importlib.util.find_spec("jax_plugins")
    for name in ("xla_cuda13", "xla_cuda12") if plugins else ():
        if importlib.util.find_spec(f"jax_plugins.{name}"):
            return "cuda"
    return "cpu"


def target_devices(chip: Chip, count: int, compiler: str) -> Sequence[jax.Device]:
    """Devices to compile for.

    Args:
      chip: the chip of the run.
      count: how many of it.
      compiler: ``tpu``, ``cuda``, or ``cpu`` for stand-ins (as many as JAX was told to make up).

    Raises:
      UserError: the compiler is not the chip's or not installed, or there is no such slice.
    """
    from jax.experimental import topologies

    if compiler == "cpu":
        return jax.devices("cpu")
    if compiler != ("tpu" if chip.name in SLICES else "cuda"):
        raise UserError(f"--compiler={compiler} does not compile for --chip={chip.name}")
    if compiler_of(chip) != compiler:
        raise UserError(
            f"--compiler={compiler} is not installed: pip install 'ppt_jax[{compiler}]'; "
            "--compiler=cpu needs nothing"
        )
    if compiler == "cuda":
        return topologies.get_topology_desc(
            platform="cuda", topology=f"1x{count}x1", target_config=_gpu(chip)
        ).devices
    if count not in SLICES[chip.name]:
        raise UserError(
            f"--devices={count}: slices of {chip.name} have "
            f"{', '.join(map(str, SLICES[chip.name]))} chips"
        )
    for name, value in (
        ("TPU_SKIP_MDS_QUERY", "1"),
        ("TPU_WORKER_HOSTNAMES", "localhost"),
        ("TPU_ACCELERATOR_TYPE", f"{chip.name}-{count}"),
    ):
        os.environ.setdefault(name, value)
    name = f"{chip.name}:{SLICES[chip.name][count]}"
    return topologies.get_topology_desc(platform="tpu", topology_name=name).devices


def _gpu(chip: Chip) -> str:
    """The description of a GPU that XLA reads (a ``GpuTargetConfigProto`` as text)."""
    known = GPUS[chip.name]
    fields = {
        "threads_per_block_limit": 1024,
        "threads_per_warp": 32,
        "shared_memory_per_block": 49152,
        "shared_memory_per_core": known["shared"],
        "threads_per_core_limit": 2048,
        "core_count": known["cores"],
        "fpus_per_core": 128 if known["major"] == 9 else 64,
        "block_dim_limit_x": 2147483647,
        "block_dim_limit_y": 65535,
        "block_dim_limit_z": 65535,
        "memory_bandwidth": known["bandwidth"],
        "l2_cache_size": known["cache"],
        "clock_rate_ghz": 1.98 if known["major"] == 9 else 1.41,
        "device_memory_size": int(chip.memory),
        "shared_memory_per_block_optin": known["optin"],
        "registers_per_core_limit": 65536,
        "registers_per_block_limit": 65536,
    }
    lines = [f"  {name}: {value}" for name, value in fields.items()]
    lines.append(f"  cuda_compute_capability {{ major: {known['major']} minor: 0 }}")
    return "\n".join(
        [
            "gpu_device_info {",
            *lines,
            "}",
            'platform_name: "CUDA"',
            "dnn_version_info { major: 9 minor: 12 patch: 0 }",
            f'device_description_str: "{known["name"]}"',
        ]
    )
