"""Where a run's model comes from: a shape to train from scratch, or a directory of weights."""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
from typing import TYPE_CHECKING, Any

import ml_collections

from launch.settings import build
from ppt_jax.errors import UserError

if TYPE_CHECKING:
    from ppt_jax.models.decoder import DecoderConfig, Params
    from ppt_jax.training.sharding import MeshConfig


@dataclasses.dataclass(frozen=True)
class SourceConfig:
    """The section ``config.source``.

    Attributes:
      path: a model directory in the Hugging Face layout (``config.json``, safetensors, tokenizer);
        empty: the shape in ``config.model``, from random weights, with a tokenizer of our own.
      shape: a released model by name (`models.shapes`), to plan a run before its weights are there;
        a run itself needs `path`.
      dtype: of a frozen base in memory, ``bfloat16`` or ``float32`` (``model.adapter_base`` can
        store its maps in 8 or 4 bits); what is trained is float32.
    """

    path: str = ""
    shape: str = ""
    dtype: str = "bfloat16"

    def __post_init__(self) -> None:
        if self.dtype not in ("bfloat16", "float32"):
            raise UserError(
                f"source.dtype is {self.dtype!r}; it must be bfloat16 or float32 (8 or 4 bits: "
                "model.adapter_base)"
            )


def source_config(config: ml_collections.ConfigDict) -> SourceConfig:
    """The section ``config.source``; from scratch where the recipe has none."""
    section = config.get("source")
    return SourceConfig() if section is None else build(SourceConfig, section.to_dict(), "source")


def check_source(config: ml_collections.ConfigDict) -> None:
    """Refuses to run a recipe for a released model whose weights were not given.

    Raises:
      UserError: ``source.shape`` is there, ``source.path`` is not; or the directory holds no
        model that can be read.
    """
    source = source_config(config)
    if source.shape and not source.path:
        raise UserError(
            f"config.source.path is empty: the directory with the weights of {source.shape}; "
            "python -m launch.plan needs none"
        )
    if source.path:
        from ppt_jax.models.exchange import read_config

        read_config(source.path)


def model_config(config: ml_collections.ConfigDict, vocab_size: int) -> DecoderConfig:
    """The decoder of a recipe.

    Args:
      config: the recipe. With a source, ``config.model`` may hold `architecture.CHOICES` only.
      vocab_size: ids of the tokenizer.

    Raises:
      UserError: a bad field, or a model directory whose vocabulary is smaller than the tokenizer's.
    """
    from ppt_jax.models.architecture import CHOICES, DecoderConfig
    from ppt_jax.models.exchange import read_config

    if "model" not in config:
        raise UserError("config: section 'model' is missing; see configs/quickstart.py")
    section = config.model.to_dict()
    source = source_config(config)
    if not source.path:
        return build(DecoderConfig, {"vocab_size": vocab_size, **section}, "model")
    for name in section:
        if name not in CHOICES:
            raise UserError(
                f"config.model.{name}: settled by {source.path}/config.json; "
                f"free to choose are {', '.join(CHOICES)}"
            )
    build(DecoderConfig, {"vocab_size": vocab_size, **section}, "model")  # types and values
    decoder = read_config(source.path, **section)
    if decoder.vocab_size < vocab_size:
        raise UserError(
            f"{source.path}: config.json says vocab_size = {decoder.vocab_size}, "
            f"the tokenizer has {vocab_size} ids"
        )
    return decoder


def planned_model(config: ml_collections.ConfigDict) -> DecoderConfig:
    """The decoder of a recipe as far as it is known without weights and tokenizer."""
    from ppt_jax.models.shapes import published

    source = source_config(config)
    if source.shape and not source.path:
        return published(source.shape, **config.model.to_dict())
    return model_config(config, 1 if source.path else config.data.tokenizer.vocab_size)


def base_params(
    config: ml_collections.ConfigDict, decoder: DecoderConfig, mesh: MeshConfig
) -> Params | None:
    """The weights of a recipe's source on their devices, without adapters; None from scratch.

    Args:
      config: the recipe.
      decoder: of `model_config`.
      mesh: where they live.
    """
    import jax

    from ppt_jax.models.adapters import split
    from ppt_jax.models.decoder import init_params
    from ppt_jax.models.exchange import load_params
    from ppt_jax.training.sharding import make_mesh, parameter_shardings

    source = source_config(config)
    if not source.path:
        return None
    shapes = jax.eval_shape(lambda: init_params(decoder, jax.random.key(0)))
    if decoder.adapter_rank:
        shapes = split(shapes, decoder)[1]
    placed = parameter_shardings(shapes, make_mesh(mesh))
    dtype = source.dtype if decoder.adapter_rank else "float32"
    return load_params(source.path, decoder, shardings=placed, dtype=dtype)


def source_fingerprint(config: ml_collections.ConfigDict) -> dict[str, Any]:
    """What tells one source from another: hashes of settings and weights; empty from scratch."""
    from ppt_jax.models.exchange import read_json
    from ppt_jax.storage import content_hash

    source = source_config(config)
    if not source.path:
        return {}
    folder = pathlib.Path(source.path)
    return {
        "config": content_hash(read_json(folder / "config.json")),
        "weights": {path.name: sampled_hash(path) for path in sorted(folder.glob("*.safetensors"))},
    }


def sampled_hash(path: pathlib.Path, pieces: int = 256, size: int = 4096) -> str:
    """A hash of a file's size, of its beginning and end, and of pieces spread evenly between.

    Fine-tuned weights differ everywhere, so some megabytes tell them apart without reading all.

    Args:
      path: the file.
      pieces: how many.
      size: bytes of each.
    """
    total = path.stat().st_size
    digest = hashlib.blake2b(str(total).encode(), digest_size=16)
    with path.open("rb") as file:
        for number in range(pieces):
            file.seek(max(total - size, 0) * number // (pieces - 1))
            digest.update(file.read(size))
    return digest.hexdigest()
