r"""A frozen base in 8 or 4 bits under LoRA adapters.

The linear maps of all layers are stored as codes and scales; embeddings, norms, biases and head
keep their dtype. qwix chooses the codes; products and storage are ours, so that meshes and scans
see plain arrays.

* ``int8``: per output, :math:`W_{io} \approx c_{io} s_o`; the scale multiplies the product.
* ``nf4``: per 64 inputs of an output, :math:`W_{io} \approx b[c_{io}] s_{\lfloor i / 64 \rfloor o}`
  with the 16 levels :math:`b` of NormalFloat 4; two codes a byte.

Axes: L layers, I inputs, O outputs, X tokens, C = I / 2 bytes, S = I / 64 tiles.

References:
  Dettmers et al. (2023), QLoRA, section 3 and appendix E (the levels).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppt_jax.errors import UserError

KINDS = ("plain", "int8", "nf4")
TILE = 64
"""Inputs that share a scale in ``nf4``."""

_LEVELS = np.array(
    [
        *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453),
        *(-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0),
        *(0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
        *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
    ],
    np.float32,
)

Parts = dict[str, jax.Array]


def is_part(name: str) -> bool:
    """Whether a parameter is one of the arrays that store a quantised map, by its name."""
    return name.endswith(("_codes", "_scale", "_pairs", "_tiles"))


def check(kind: str, name: str, inputs: int) -> None:
    """Refuses a map that a kind cannot store.

    Args:
      kind: one of `KINDS`.
      name: of the map, for the message.
      inputs: I.

    Raises:
      UserError: its inputs do not fill tiles, or qwix is not installed.
    """
    if kind == "nf4" and inputs % TILE:
        raise UserError(
            f"model.adapter_base is nf4, which shares a scale between {TILE} inputs, but map "
            f"{name!r} has {inputs}; use int8 or plain"
        )
    if kind != "plain" and importlib.util.find_spec("qwix") is None:
        raise UserError(
            f"model.adapter_base is {kind}, which needs qwix: pip install 'ppt_jax[quant]'"
        )


def part_shapes(kind: str, inputs: int, outputs: int) -> dict[str, tuple[tuple[int, ...], Any]]:
    """Shape and dtype of the arrays that store one map, by their names' endings.

    Example:
      >>> part_shapes("int8", 128, 3)["codes"][0], part_shapes("nf4", 128, 3)["tiles"][0]
      ((128, 3), (2, 3))
    """
    if kind == "int8":
        return {"codes": ((inputs, outputs), jnp.int8), "scale": ((outputs,), jnp.float32)}
    return {
        "pairs": ((inputs // 2, outputs), jnp.uint8),
        "tiles": ((inputs // TILE, outputs), jnp.float32),
    }


def quantise(weight_IO: jax.Array, kind: str) -> Parts:
    """Codes and scales of one map.

    Args:
      weight_IO: float, [inputs, outputs].
      kind: ``int8`` or ``nf4``.

    Returns:
      The arrays of `part_shapes`.
    """
    import qwix

    wide_IO = weight_IO.astype(jnp.float32)
    if kind == "int8":
        found = qwix.quantize(wide_IO, jnp.int8, channelwise_axes=(1,))
        return {"codes": found.qvalue, "scale": found.scale[0]}
    found = qwix.quantize(wide_IO, "nf4", channelwise_axes=(1,), tiled_axes={0: TILE})
    code_C2O = found.qvalue.astype(jnp.uint8).reshape(-1, 2, weight_IO.shape[1])
    return {"pairs": code_C2O[:, 0] | (code_C2O[:, 1] << 4), "tiles": found.scale}


def restored(parts: Mapping[str, jax.Array], kind: str, dtype: Any) -> jax.Array:
    """The map [inputs, outputs] that codes and scales stand for."""
    if kind == "int8":
        return (parts["codes"].astype(jnp.float32) * parts["scale"]).astype(dtype)
    pairs_CO, tiles_SO = parts["pairs"], parts["tiles"]
    code_C2O = jnp.stack([pairs_CO & 15, pairs_CO >> 4], axis=1)
    level_STO = jnp.asarray(_LEVELS)[code_C2O].reshape(tiles_SO.shape[0], TILE, -1)
    return (level_STO * tiles_SO[:, None]).reshape(-1, tiles_SO.shape[1]).astype(dtype)


def product(x_XI: jax.Array, parts: Mapping[str, jax.Array], kind: str) -> jax.Array:
    """``x W`` in the dtype of ``x``."""
    if kind == "int8":
        out_XO = x_XI @ parts["codes"].astype(x_XI.dtype)
        return out_XO * parts["scale"].astype(x_XI.dtype)
    return x_XI @ restored(parts, kind, x_XI.dtype)


def quantised_layers(layers: Mapping[str, Any], names: tuple[str, ...], kind: str) -> Parts:
    """Stacked layers with the named maps [L, I, O] stored as codes and scales."""
    out = {name: value for name, value in layers.items() if name not in names}
    for name in names:
        parts = jax.lax.map(lambda weight_IO: quantise(weight_IO, kind), layers[name])
        out |= {f"{name}_{part}": value for part, value in parts.items()}
    return out


def restored_layers(
    layers: Mapping[str, Any], names: tuple[str, ...], kind: str, dtype: Any
) -> Parts:
    """The reverse of `quantised_layers`, up to rounding."""
    endings = tuple(part_shapes(kind, TILE, 1))
    stored = {f"{name}_{part}" for name in names for part in endings}
    out = {name: value for name, value in layers.items() if name not in stored}
    for name in names:
        parts = {part: layers[f"{name}_{part}"] for part in endings}
        out[name] = jax.lax.map(lambda parts: restored(parts, kind, dtype), parts)
    return out
