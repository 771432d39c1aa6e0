r"""Writes the trained model of a work folder in the layout that transformers and vLLM load.

A model that started from a directory goes out as it came in (config, tokenizer, dtype) with its new
weights; one that was trained from scratch goes out as --family. Adapters go out as a PEFT
directory, or merged into their base with --merge.

  python -m launch.export --config=configs/quickstart.py --workdir=runs/mine --out=exported/mine
"""

from __future__ import annotations

import pathlib

import ml_collections
from absl import flags

from launch import entry
from launch.source import base_params, model_config, source_config
from ppt_jax.errors import UserError

OUT = flags.DEFINE_string("out", None, "Empty or new folder to write.")
WHICH = flags.DEFINE_enum(
    "which", "best", ["best", "last", "lm"], "Checkpoint: least validation KL, or end of a phase."
)
MERGE = flags.DEFINE_bool("merge", False, "Add the adapters to their base and write one model.")
FAMILY = flags.DEFINE_string("family", "llama", "Family of a model that was trained from scratch.")
DTYPE = flags.DEFINE_enum(
    "dtype", None, ["float32", "bfloat16", "float16"], "Stored dtype; the source's when not given."
)
SHARD_GB = flags.DEFINE_float("shard_gb", 5.0, "Greatest size of one weights file, in GB.")


def main(config: ml_collections.ConfigDict, workdir: str) -> None:
    """Reads tokenizer/ and train/ of a work folder, writes --out."""
    from launch.settings import build
    from launch.stages import check_config, seeded
    from ppt_jax.data.tokenizer import load_tokenizer
    from ppt_jax.models.adapters import export_adapter, merged
    from ppt_jax.models.exchange import export_params, read_json
    from ppt_jax.models.families import hf_from_config
    from ppt_jax.training.loop import TrainConfig, load_params

    if OUT.value is None:
        raise UserError("--out=DIR is missing: the folder to write the model to")
    if SHARD_GB.value <= 0:
        raise UserError(f"--shard_gb={SHARD_GB.value}: must be above 0")
    check_config(config)
    folder, out = pathlib.Path(workdir), pathlib.Path(OUT.value)
    settings = build(TrainConfig, seeded(config, "train"), "train")
    tokenizer = load_tokenizer(folder / "tokenizer")
    decoder = model_config(config, len(tokenizer))
    source = source_config(config)
    base = base_params(config, decoder, settings.mesh)
    if decoder.adapter_rank and base is None:
        raise UserError("config.model.adapter_rank: adapters need a base; set config.source.path")
    params = load_params(folder / "train", decoder, WHICH.value, settings.mesh, base)
    if decoder.adapter_rank and not MERGE.value:
        export_adapter(params, decoder, out, base=source.path)
        print(f"export: adapter of rank {decoder.adapter_rank} in {out}")
        return
    if source.path:
        hf_config = read_json(pathlib.Path(source.path) / "config.json")
        stored = hf_config.get("torch_dtype") or hf_config.get("dtype") or "float32"
        companions = pathlib.Path(source.path)
    else:
        hf_config, stored = hf_from_config(decoder, FAMILY.value), "float32"
        hf_config |= {
            f"{name}_token_id": getattr(tokenizer, f"{name}_token_id")
            for name in ("bos", "eos", "pad")
        }
        companions = folder / "tokenizer"
    if MERGE.value:
        params, decoder = merged(params, decoder)
    export_params(
        params,
        decoder,
        out,
        hf_config=hf_config,
        companions=companions,
        dtype=DTYPE.value or stored,
        shard_bytes=int(SHARD_GB.value * 1e9),
    )
    print(f"export: {hf_config['architectures'][0]} in {out}")


if __name__ == "__main__":
    entry.run(main)
