"""Weights in the Hugging Face layout: streamed in from safetensors, shard by shard, and out again.

Import reads, for every device, only the slices that the device keeps, one tensor at a time; export
writes one tensor at a time. So the host never holds more than one tensor beside the sharded model.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import shutil
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec, SingleDeviceSharding
from safetensors import SafetensorError, safe_open

from ppt_jax.errors import UserError
from ppt_jax.models.architecture import CHOICES, DecoderConfig
from ppt_jax.models.decoder import Params, init_params
from ppt_jax.models.families import config_from_hf
from ppt_jax.models.quantised import quantise
from ppt_jax.storage import write_atomic

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
COMPANIONS = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "chat_template.jinja",
    "generation_config.json",
)
"""Files that travel with a model unchanged."""

DTYPE_NAMES = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}
_IGNORED = ("rotary_emb.inv_freq", "masked_bias")


@dataclasses.dataclass(frozen=True)
class TensorName:
    """Where a parameter of ours lives in the other layout.

    Attributes:
      template: its name there, with ``{n}`` for the layer.
      transposed: linear maps are stored [out, in] there and [in, out] here.
    """

    template: str
    transposed: bool = False


def tensor_names(config: DecoderConfig) -> dict[str, TensorName]:
    """The tensor of every parameter of a decoder, by our name (``layers/query``)."""
    c, layer = config, "model.layers.{n}."
    names = {
        "embedding": TensorName("model.embed_tokens.weight"),
        "final_norm": TensorName("model.norm.weight"),
        "layers/attention_norm": TensorName(layer + "input_layernorm.weight"),
    }
    for ours, theirs in (("query", "q"), ("key", "k"), ("value", "v"), ("output", "o")):
        module = f"{layer}self_attn.{theirs}_proj."
        names[f"layers/{ours}"] = TensorName(module + "weight", True)
        if c.attention_bias and ours != "output":
            names[f"layers/{ours}_bias"] = TensorName(module + "bias")
        if c.query_key_norm and ours in ("query", "key"):
            names[f"layers/{ours}_norm"] = TensorName(f"{layer}self_attn.{theirs}_norm.weight")
    for ours in ("gate", "up", "down"):
        names[f"layers/{ours}"] = TensorName(f"{layer}mlp.{ours}_proj.weight", True)
    before_mlp = "pre_feedforward" if c.post_norms else "post_attention"
    names["layers/mlp_norm"] = TensorName(f"{layer}{before_mlp}_layernorm.weight")
    if c.post_norms:
        names["layers/attention_post_norm"] = TensorName(layer + "post_attention_layernorm.weight")
        names["layers/mlp_post_norm"] = TensorName(layer + "post_feedforward_layernorm.weight")
    if not c.tied_embeddings:
        names["head"] = TensorName("lm_head.weight", True)
    return names


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file of a model directory, or a `UserError` that names it."""
    try:
        data = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; a model directory holds it") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({error})") from None
    if not isinstance(data, dict):
        raise UserError(f"{path}: holds no JSON object")
    return data


def read_config(directory: str | Path, **choices: Any) -> DecoderConfig:
    """The decoder of a model directory; see `families.config_from_hf`."""
    path = Path(directory) / "config.json"
    return config_from_hf(read_json(path), source=str(path), **choices)


class Tensors:
    """The tensors of a model directory: names, shapes, dtypes, slices; nothing is held.

    Args:
      directory: with ``model.safetensors``, or an index and its shards.

    Raises:
      UserError: no weights, an index without one of its shards, a truncated or damaged file, a
        tensor that the index promises and its shard lacks.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self._open: tuple[Path, Any] | None = None
        index = self.directory / INDEX
        if index.exists():
            files = read_json(index).get("weight_map")
            if not isinstance(files, dict):
                raise UserError(f"{index}: field 'weight_map' is missing")
            self.files = {name: self.directory / Path(file).name for name, file in files.items()}
        elif (self.directory / SINGLE).exists():
            path = self.directory / SINGLE
            self.files = dict.fromkeys(self._names(path), path)
        else:
            raise UserError(f"{self.directory}: holds neither {SINGLE} nor {INDEX}")
        for path in sorted(set(self.files.values())):
            if not path.exists():
                raise UserError(f"{path}: shard is missing; {INDEX} names it")
            promised = {name for name, file in self.files.items() if file == path}
            lacking = sorted(promised - set(self._names(path)))
            if lacking:
                raise UserError(f"{path}: lacks tensor {lacking[0]!r}, which {INDEX} places there")

    def _names(self, path: Path) -> list[str]:
        return list(self._file(path).keys())

    def _file(self, path: Path) -> Any:
        if self._open is None or self._open[0] != path:
            try:
                self._open = (path, safe_open(path, "numpy"))
            except (SafetensorError, OSError) as error:
                raise UserError(
                    f"{path}: damaged or truncated, or no safetensors file ({error})"
                ) from None
        return self._open[1]

    def slice(self, name: str) -> Any:
        """A lazy view of a tensor: ``get_shape()``, ``get_dtype()``, ``[...]``."""
        return self._file(self.files[name]).get_slice(name)


def _check_names(tensors: Tensors, config: DecoderConfig) -> None:
    names = tensor_names(config)
    expected = {
        name.template.format(n=n)
        for name in names.values()
        for n in range(config.layers if "{n}" in name.template else 1)
    }
    missing = sorted(expected - set(tensors.files))
    if missing:
        raise UserError(f"{tensors.directory}: tensor {missing[0]!r} is missing")
    rest = sorted(set(tensors.files) - expected)
    if config.tied_embeddings:
        rest = [name for name in rest if name != "lm_head.weight"]
    rest = [name for name in rest if not name.endswith(_IGNORED)]
    if rest:
        raise UserError(
            f"{tensors.directory}: tensor {rest[0]!r} belongs to no parameter of this model"
        )


def load_params(
    directory: str | Path,
    config: DecoderConfig,
    *,
    shardings: Any = None,
    dtype: str = "float32",
) -> Params:
    """Parameters of a model directory, placed on their devices.

    Args:
      directory: safetensors in the Hugging Face layout.
      config: of `read_config`; adapters in it are left out, see `adapters.with_adapters`. Maps of
        a quantised base are quantised as they come in, one layer's at a time.
      shardings: a tree like the result (see `training.sharding.parameter_shardings`); the
        first device when None. The axis of layers must not be split.
      dtype: of the parameters in memory: ``float32`` to train them, ``bfloat16`` for a frozen
        base.

    Returns:
      The parameters, as of `init_params`, without adapters.

    Raises:
      UserError: a missing or unknown tensor, a wrong shape or dtype, a damaged file.
    """
    kind, config = config.adapter_base, config.plain()
    tensors = Tensors(directory)
    _check_names(tensors, config)
    shapes = jax.eval_shape(lambda: init_params(config, jax.random.key(0)))
    names = tensor_names(config)
    single = SingleDeviceSharding(jax.devices()[0])

    def where(*path: str) -> Any:
        sharding = shardings
        for key in path if shardings is not None else ():
            sharding = sharding[key]
        return single if sharding is None else sharding

    def read(name: TensorName, n: int, shape: tuple[int, ...], sharding: Any) -> jax.Array:
        stored = name.template.format(n=n)
        return _read(tensors, stored, shape, name.transposed, sharding, dtype)

    params: Params = {"layers": {}}
    for name, leaf in shapes.items():
        if name != "layers":
            params[name] = read(names[name], 0, leaf.shape, where(name))
    for name, leaf in shapes["layers"].items():
        stored_as = kind if name in config.maps() else "plain"
        parts = jax.eval_shape(
            functools.partial(_encoded, stored_as), jax.ShapeDtypeStruct(leaf.shape[1:], dtype)
        )
        ours = {part: f"{name}_{part}" if part else name for part in parts}
        placed = {part: where("layers", ours[part]) for part in parts}
        stacked = {
            part: jnp.zeros((config.layers, *one.shape), one.dtype, device=placed[part])
            for part, one in parts.items()
        }
        fill = _filler(stored_as, tuple(placed.items()))
        inner = _without_layers(next(iter(placed.values())))
        for n in range(config.layers):
            one = read(names[f"layers/{name}"], n, leaf.shape[1:], inner)
            stacked = jax.block_until_ready(fill(stacked, one, n))  # before the next is read
            del one
        params["layers"] |= {ours[part]: value for part, value in stacked.items()}
    return params


def _encoded(kind: str, weight_IO: jax.Array) -> dict[str, jax.Array]:
    """The arrays that store one layer's parameter, by the ending of their names."""
    return {"": weight_IO} if kind == "plain" else quantise(weight_IO, kind)


@functools.cache
def _filler(kind: str, placed: tuple[tuple[str, Any], ...]) -> Callable:
    """Puts one layer's parameter into the stacked arrays that store it, in place."""

    def fill(whole: dict[str, jax.Array], one: jax.Array, n: int) -> dict[str, jax.Array]:
        return jax.tree.map(lambda old, new: old.at[n].set(new), whole, _encoded(kind, one))

    return jax.jit(fill, donate_argnums=0, out_shardings=dict(placed))


def _without_layers(sharding: Any) -> Any:
    if not isinstance(sharding, NamedSharding):
        return sharding
    if sharding.spec and sharding.spec[0] is not None:
        raise UserError("import: the axis of layers must not be split over devices")
    return NamedSharding(sharding.mesh, PartitionSpec(*sharding.spec[1:]))


def _read(
    tensors: Tensors,
    name: str,
    shape: tuple[int, ...],
    transposed: bool,
    sharding: Any,
    dtype: str,
) -> jax.Array:
    view = tensors.slice(name)
    stored = tuple(view.get_shape())
    path = tensors.files[name]
    if stored != (shape[::-1] if transposed else shape):
        wanted = shape[::-1] if transposed else shape
        raise UserError(f"{path}: tensor {name!r} has shape {stored}, the config says {wanted}")
    if view.get_dtype() not in DTYPE_NAMES:
        raise UserError(
            f"{path}: tensor {name!r} has dtype {view.get_dtype()}; "
            f"supported are {', '.join(DTYPE_NAMES)}"
        )

    taken: dict[tuple, np.ndarray] = {}  # devices that keep the same slice share one reading

    def part(index: tuple[slice, ...] | None) -> np.ndarray:
        slices = index or (slice(None),) * len(shape)
        ranges = tuple(one.indices(size) for one, size in zip(slices, shape))
        if ranges not in taken:
            whole = tuple(slice(*one) for one in ranges)
            found = view[whole[::-1]].T if transposed else view[whole]
            taken[ranges] = np.asarray(found).astype(jnp.dtype(dtype))
        return taken[ranges]

    return jax.make_array_from_callback(shape, sharding, part)


def export_params(
    params: Params,
    config: DecoderConfig,
    directory: str | Path,
    *,
    hf_config: Mapping[str, Any],
    companions: str | Path | None = None,
    dtype: str = "bfloat16",
    shard_bytes: int = 5_000_000_000,
) -> Path:
    """Writes a model directory that other libraries load.

    Args:
      params: the parameters, possibly sharded.
      config: their decoder.
      directory: an empty or new directory; in a run of several processes the first one writes.
      hf_config: the ``config.json`` to write: the one that was imported, or of
        `families.hf_from_config`.
      companions: directory from which tokenizer and generation settings are copied.
      dtype: of the stored tensors: ``float32``, ``bfloat16`` or ``float16``.
      shard_bytes: greatest size of one file, unless a single tensor is larger.

    Returns:
      The directory.

    Raises:
      UserError: the directory holds another model, or `hf_config` describes another decoder.
    """
    directory = Path(directory)
    if dtype not in DTYPE_NAMES.values():
        raise UserError(f"export dtype {dtype!r}: known are {', '.join(DTYPE_NAMES.values())}")
    told = config_from_hf(hf_config, source="config to export")
    if config.adapter_rank:
        raise UserError("export: merge the adapters first, or export them as adapters")
    for field in dataclasses.fields(DecoderConfig):
        if field.name not in CHOICES and getattr(told, field.name) != getattr(config, field.name):
            raise UserError(
                f"export: config.json would say {field.name} = {getattr(told, field.name)!r}, "
                f"the parameters have {getattr(config, field.name)!r}"
            )
    writes = jax.process_index() == 0
    if writes:
        directory.mkdir(parents=True, exist_ok=True)
        if (directory / INDEX).exists() or (directory / SINGLE).exists():
            raise UserError(f"{directory}: holds a model already; choose an empty directory")
        saved = {**hf_config, "torch_dtype": dtype}
        write_atomic(directory / "config.json", json.dumps(saved, indent=2) + "\n")
        if companions is not None:
            for name in COMPANIONS:
                if (Path(companions) / name).exists():
                    shutil.copyfile(Path(companions) / name, directory / name)
    leaves = {
        "/".join(str(key.key) for key in path): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(params)
    }
    _write_shards(directory, _planned(leaves, config), dtype, shard_bytes, writes)
    return directory


@dataclasses.dataclass(frozen=True)
class _Outgoing:
    """One tensor to write: its name and shape there, and how to fetch it (on every process)."""

    name: str
    shape: tuple[int, ...]
    fetch: Callable[[], np.ndarray]


def _planned(leaves: Mapping[str, jax.Array], config: DecoderConfig) -> Iterator[_Outgoing]:
    for ours, name in tensor_names(config).items():
        leaf = leaves[ours]
        stacked = "{n}" in name.template
        for n in range(config.layers if stacked else 1):
            shape = leaf.shape[1:] if stacked else leaf.shape

            def fetch(leaf: jax.Array = leaf, n: int = n, stacked: bool = stacked) -> np.ndarray:
                return host_copy(leaf[n] if stacked else leaf)

            def turned(fetch: Callable[[], np.ndarray] = fetch) -> np.ndarray:
                return fetch().T

            yield _Outgoing(
                name.template.format(n=n),
                shape[::-1] if name.transposed else shape,
                turned if name.transposed else fetch,
            )


def host_copy(array: jax.Array) -> np.ndarray:
    """A whole array on the host, also where no process has all of it; all processes must call."""
    sharding = array.sharding
    if not array.is_fully_addressable and isinstance(sharding, NamedSharding):
        whole = NamedSharding(sharding.mesh, PartitionSpec())
        array = jax.jit(lambda x: x, out_shardings=whole)(array)
        return np.asarray(array.addressable_data(0))
    return np.asarray(array)


def _write_shards(
    directory: Path,
    tensors: Iterator[_Outgoing],
    dtype: str,
    shard_bytes: int,
    writes: bool,
) -> None:
    size = jnp.dtype(dtype).itemsize
    shards: list[list[_Outgoing]] = []
    room = 0
    for tensor in tensors:
        need = size * math.prod(tensor.shape)
        if not shards or need > room:
            shards.append([])
            room = shard_bytes
        shards[-1].append(tensor)
        room -= need
    files: dict[str, str] = {}
    for number, shard in enumerate(shards):
        file = SINGLE
        if len(shards) > 1:
            file = f"model-{number + 1:05d}-of-{len(shards):05d}.safetensors"
        write_safetensors(
            directory / file,
            {tensor.name: (tensor.shape, tensor.fetch) for tensor in shard},
            dtype,
            writes=writes,
        )
        files |= {tensor.name: file for tensor in shard}
    if len(shards) > 1 and writes:
        total = sum(size * math.prod(tensor.shape) for shard in shards for tensor in shard)
        index = {"metadata": {"total_size": total}, "weight_map": files}
        write_atomic(directory / INDEX, json.dumps(index, indent=2, sort_keys=True) + "\n")


def write_safetensors(
    path: Path,
    tensors: Mapping[str, tuple[tuple[int, ...], Callable[[], np.ndarray]]],
    dtype: str,
    *,
    writes: bool = True,
) -> None:
    """Writes a safetensors file, fetching one tensor at a time.

    The format is a length (8 bytes, little endian), a JSON header with dtype, shape and byte range
    of every tensor, padded with spaces to 8 bytes, and the tensors. The file appears under its name
    when it is whole.

    Args:
      path: the file.
      tensors: shape of every tensor, and the function that fetches it.
      dtype: stored dtype of all of them.
      writes: False: fetch (all processes must take part), but write nothing.
    """
    code = {name: code for code, name in DTYPE_NAMES.items()}[dtype]
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, (shape, _) in tensors.items():
        end = offset + jnp.dtype(dtype).itemsize * math.prod(shape)
        header[name] = {"dtype": code, "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if not writes:
        for _, fetch in tensors.values():
            fetch()
        return
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, fetch in tensors.values():
            file.write(np.ascontiguousarray(fetch().astype(jnp.dtype(dtype))).tobytes())
        file.flush()
    partial.replace(path)
