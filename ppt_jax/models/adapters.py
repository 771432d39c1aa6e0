"""LoRA adapters: what is trained and what is frozen, merging, and the PEFT directory layout.

An adapted map is ``x W + alpha / rank * (x A) B``; ``A`` [in, rank] starts uniform, ``B``
[rank, out] at zero, so that training starts from the base model itself.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from ppt_jax.errors import UserError
from ppt_jax.models.architecture import DecoderConfig
from ppt_jax.models.decoder import Params, init_params
from ppt_jax.models.exchange import host_copy, read_json, tensor_names, write_safetensors
from ppt_jax.models.quantised import restored_layers
from ppt_jax.storage import write_atomic

SETTINGS, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_SIDES = {"a": "lora_A", "b": "lora_B"}
_IGNORABLE = frozenset(
    [
        "peft_type",
        "r",
        "lora_alpha",
        "lora_dropout",
        "target_modules",
        "base_model_name_or_path",
        "task_type",
        "inference_mode",
        "init_lora_weights",
        "revision",
        "peft_version",
        "auto_mapping",
        "megatron_core",
    ]
)


def is_adapter(name: str) -> bool:
    """Whether a parameter belongs to an adapter, by its name."""
    return name.endswith(("_lora_a", "_lora_b"))


def split(params: Params, config: DecoderConfig) -> tuple[Params, Params]:
    """Parameters that are trained, and those that are frozen.

    Args:
      params: all of them, or their shapes or shardings.
      config: their decoder; without adapters everything is trained.

    Returns:
      ``(trained, frozen)``, two trees whose union is ``params`` (see `joined`).
    """
    if not config.adapter_rank:
        return params, {}

    def keep(tree: Params, adapters: bool) -> Params:
        out: Params = {}
        for name, value in tree.items():
            if isinstance(value, dict):
                inner = keep(value, adapters)
                out |= {name: inner} if inner else {}
            elif is_adapter(name) == adapters:
                out[name] = value
        return out

    return keep(params, True), keep(params, False)


def joined(trained: Params, frozen: Params) -> Params:
    """The whole tree again."""
    out = dict(frozen)
    for name, value in trained.items():
        both = isinstance(value, dict) and name in out
        out[name] = joined(value, out[name]) if both else value
    return out


def with_adapters(base: Params, config: DecoderConfig, key: jax.Array) -> Params:
    """A base model with fresh adapters.

    Args:
      base: parameters without adapters, stored as the decoder says.
      config: a decoder with ``adapter_rank`` above 0.
      key: PRNG key of the adapters.
    """
    return joined(jax.jit(lambda key: split(init_params(config, key), config)[0])(key), base)


def merged(params: Params, config: DecoderConfig) -> tuple[Params, DecoderConfig]:
    """The model without adapters that computes the same: ``W + alpha / rank * A B``.

    A quantised base is taken as it was trained on, that is, as what its codes stand for.

    Args:
      params: parameters with adapters.
      config: their decoder.

    Returns:
      Its parameters (float32 sums in the dtype of ``W``, float32 over a quantised base) and its
      decoder.
    """
    scale = config.adapter_alpha / config.adapter_rank if config.adapter_rank else 0.0
    trained, base = split(params, config)
    layers = dict(base["layers"])
    if config.adapter_base != "plain":
        names = tuple(config.maps())
        layers = restored_layers(layers, names, config.adapter_base, jnp.float32)
    for name in config.adapted():
        a_LIR, b_LRO = (trained["layers"][f"{name}_lora_{side}"] for side in "ab")
        weight = layers[name]
        added = jnp.einsum("lir,lro->lio", a_LIR.astype(jnp.float32), b_LRO.astype(jnp.float32))
        layers[name] = (weight.astype(jnp.float32) + scale * added).astype(weight.dtype)
    return {**base, "layers": layers}, config.plain()


def _stored_name(config: DecoderConfig, name: str, side: str, layer: int) -> tuple[str, str]:
    """The tensor of one side of an adapter in one layer, and its module (``q_proj``)."""
    module = tensor_names(config)[f"layers/{name}"].template.format(n=layer)
    module = module.removesuffix(".weight")
    return f"base_model.model.{module}.{_SIDES[side]}.weight", module.rsplit(".", 1)[1]


def export_adapter(
    params: Params, config: DecoderConfig, directory: str | Path, *, base: str = ""
) -> Path:
    """Writes the adapters as a directory that PEFT and vLLM load.

    Args:
      params: parameters with adapters (the base may be left out).
      config: their decoder.
      directory: an empty or new directory.
      base: name or path of the base model, for the settings file.

    Raises:
      UserError: the decoder has no adapters, or the directory holds some already.
    """
    directory = Path(directory)
    if not config.adapter_rank:
        raise UserError("export: this model has no adapters (model.adapter_rank is 0)")
    if (directory / WEIGHTS).exists():
        raise UserError(f"{directory}: holds an adapter already; choose an empty directory")
    tensors: dict[str, tuple[tuple[int, ...], Callable[[], np.ndarray]]] = {}
    modules = []
    for name in config.adapted():
        modules.append(_stored_name(config, name, "a", 0)[1])
        for side in "ab":
            leaf = params["layers"][f"{name}_lora_{side}"]
            for n in range(config.layers):

                def fetch(leaf: jax.Array = leaf, n: int = n) -> np.ndarray:
                    return host_copy(leaf[n]).T

                shape = leaf.shape[:0:-1]
                tensors[_stored_name(config, name, side, n)[0]] = (shape, fetch)
    settings = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": config.adapter_rank,
        "lora_alpha": config.adapter_alpha,
        "lora_dropout": config.adapter_dropout,
        "target_modules": modules,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
    }
    writes = jax.process_index() == 0
    if writes:
        directory.mkdir(parents=True, exist_ok=True)
        write_atomic(directory / SETTINGS, json.dumps(settings, indent=2) + "\n")
    write_safetensors(directory / WEIGHTS, tensors, "float32", writes=writes)
    return directory


def read_adapter_config(directory: str | Path, config: DecoderConfig) -> DecoderConfig:
    """The decoder with the adapters that a PEFT directory describes.

    Args:
      directory: with ``adapter_config.json``.
      config: the base's decoder.

    Raises:
      UserError: no LoRA, or a setting that this code does not compute (named).
    """
    path = Path(directory) / SETTINGS
    data = read_json(path)
    if data.get("peft_type") != "LORA":
        raise UserError(f"{path}: field 'peft_type' is {data.get('peft_type')!r}; only LORA")
    for field, value in data.items():
        if field not in _IGNORABLE and value not in (None, False, "none", [], {}, 0):
            raise UserError(f"{path}: field {field!r} is {value!r}; nothing here computes it")
    names = tensor_names(config)
    modules = data.get("target_modules")
    known = {
        names[f"layers/{name}"].template.removesuffix(".weight").rsplit(".", 1)[1]: name
        for name in ("query", "key", "value", "output", "gate", "up", "down")
    }
    if not isinstance(modules, list) or set(modules) - set(known) or not modules:
        raise UserError(
            f"{path}: field 'target_modules' is {modules!r}; it must list some of "
            f"{', '.join(known)}"
        )
    return dataclasses.replace(
        config,
        adapter_rank=int(data["r"]),
        adapter_alpha=float(data["lora_alpha"]),
        adapter_dropout=float(data.get("lora_dropout", 0.0)),
        adapter_targets="|".join(sorted(known[module] for module in modules)),
    )


def load_adapter(directory: str | Path, config: DecoderConfig) -> Params:
    """The adapters of a PEFT directory, as the trained half of `split`.

    Args:
      directory: with ``adapter_model.safetensors``.
      config: of `read_adapter_config`.

    Raises:
      UserError: a missing, unknown or misshapen tensor, or a damaged file.
    """
    path = Path(directory) / WEIGHTS
    try:
        stored: Mapping[str, np.ndarray] = load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path}: damaged, truncated or missing ({error})") from None
    shapes = jax.eval_shape(lambda: split(init_params(config, jax.random.key(0)), config)[0])
    layers: dict[str, Any] = {}
    used = set()
    for name in config.adapted():
        for side in "ab":
            shape = shapes["layers"][f"{name}_lora_{side}"].shape
            parts = []
            for n in range(config.layers):
                wanted = _stored_name(config, name, side, n)[0]
                if wanted not in stored:
                    raise UserError(f"{path}: tensor {wanted!r} is missing")
                if stored[wanted].shape != shape[:0:-1]:
                    raise UserError(
                        f"{path}: tensor {wanted!r} has shape {stored[wanted].shape}, "
                        f"the settings say {shape[:0:-1]}"
                    )
                used.add(wanted)
                parts.append(stored[wanted].T.astype(np.float32))
            layers[f"{name}_lora_{side}"] = jnp.asarray(np.stack(parts))
    rest = sorted(set(stored) - used)
    if rest:
        raise UserError(f"{path}: tensor {rest[0]!r} belongs to no adapter of this model")
    return {"layers": layers}
