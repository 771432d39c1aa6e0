r"""How fast models and checkpoints go to disk and come back, and how large they are.

A Llama shape with random weights is exported and imported (float32 and bfloat16 files, also into 8
and 4 bits where qwix is installed), and a training state of it is saved and restored. A plain copy
of the same bytes in the same folder says what the disk can do.

  python -m scripts.benchmark_storage --width=1024 --layers=8
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import pathlib
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from absl import app, flags

from ppt_jax.models.decoder import DecoderConfig, count_parameters, init_params
from ppt_jax.models.exchange import export_params, load_params
from ppt_jax.models.families import hf_from_config
from ppt_jax.training.checkpoint import Checkpoints
from ppt_jax.training.optimizer import OptimizerConfig, make_optimizer
from ppt_jax.training.sharding import MeshConfig, make_mesh
from ppt_jax.training.state import abstract_state, init_state

WIDTH = flags.DEFINE_integer("width", 1024, "Width of the decoder.")
LAYERS = flags.DEFINE_integer("layers", 8, "Layers of the decoder.")
FOLDER = flags.DEFINE_string("folder", None, "Where to write (and remove) it; a temporary one.")


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    jax.block_until_ready(result)
    return time.perf_counter() - start, result


def size_of(folder: pathlib.Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def row(what: str, size: float, seconds: float, more: str = "") -> None:
    print(f"| {what} | {size / 1e9:.3f} | {seconds:.2f} | {size / seconds / 1e9:.2f} | {more} |")


def disk(folder: pathlib.Path, size: int) -> None:
    """What the disk can do."""
    content = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    seconds, _ = timed(functools.partial(content.tofile, folder / "plain"))
    row("write as many bytes", size, seconds, "numpy, no sync")
    seconds, _ = timed(lambda: np.fromfile(folder / "plain", np.uint8).sum())
    row("read them and add them up", size, seconds, "cached by the system")
    (folder / "plain").unlink()


def exchange(folder: pathlib.Path, model: DecoderConfig, params: Any) -> None:
    """Export and import."""
    data = hf_from_config(model, "llama")
    for dtype in ("float32", "bfloat16"):
        out = folder / dtype
        write = functools.partial(export_params, params, model, out, hf_config=data, dtype=dtype)
        seconds, _ = timed(write)
        row(f"export {dtype}", size_of(out), seconds)
    kinds = ["plain", *(["int8", "nf4"] if importlib.util.find_spec("qwix") else [])]
    for dtype, kind in [("float32", "plain"), *(("bfloat16", kind) for kind in kinds)]:
        base = model
        if kind != "plain":
            base = dataclasses.replace(model, adapter_rank=8, adapter_base=kind)
        read = functools.partial(load_params, folder / dtype, base, dtype=dtype)
        seconds, loaded = timed(read)
        held = sum(leaf.nbytes for leaf in jax.tree.leaves(loaded))
        note = f"compilation included; {held / 1e9:.3f} GB in memory"
        row(f"import {dtype}, {kind}", size_of(folder / dtype), seconds, note)


def checkpoints(folder: pathlib.Path, model: DecoderConfig, params: Any) -> None:
    """Save and restore of a training state."""
    mesh, optimizer = make_mesh(MeshConfig()), make_optimizer(OptimizerConfig(), 10)
    state = init_state(model, optimizer, mesh, 0, params)
    store = Checkpoints(folder / "checkpoints", 2)
    trees = {"params": state.params, "rest": dataclasses.replace(state, params={})}
    begun, _ = timed(functools.partial(store.save, 1, trees, {}))
    rest, _ = timed(store.wait)
    note = f"training waits {begun:.2f} s of it"
    row("save parameters and moments", size_of(folder / "checkpoints"), begun + rest, note)
    abstract = abstract_state(model, optimizer, mesh)
    wanted = {"params": abstract.params, "rest": dataclasses.replace(abstract, params={})}
    seconds, _ = timed(lambda: store.restore(wanted)[0])
    row("restore them", size_of(folder / "checkpoints"), seconds)
    store.close()


def main(_: Sequence[str]) -> None:
    model = DecoderConfig(
        vocab_size=32_000,
        width=WIDTH.value,
        layers=LAYERS.value,
        heads=WIDTH.value // 64,
        kv_heads=WIDTH.value // 128,
        mlp_width=4 * WIDTH.value,
        tied_embeddings=False,
    )
    params = jax.jit(lambda: init_params(model, jax.random.key(0)))()
    print(f"{count_parameters(params):,} parameters, {jax.devices()[0].device_kind}\n")
    print("| what | GB | s | GB/s | |")
    print("| --- | ---: | ---: | ---: | --- |")
    with tempfile.TemporaryDirectory(dir=FOLDER.value) as name:
        disk(pathlib.Path(name), 4 * count_parameters(params))
        exchange(pathlib.Path(name), model, params)
        checkpoints(pathlib.Path(name), model, params)


if __name__ == "__main__":
    app.run(main)
