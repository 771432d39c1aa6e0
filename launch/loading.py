"""One seam for models: a work folder of ours, or a directory in the Hugging Face layout."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from typing import TYPE_CHECKING, Any

from ppt_jax.errors import UserError

if TYPE_CHECKING:
    from ppt_jax.evaluation.readouts.language_model import DecoderModel


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A model with its name for tables and what identifies it."""

    name: str
    model: DecoderModel
    identity: dict[str, Any]


def load_model(
    path: str, *, which: str = "best", name: str = "", silent: bool = False, dtype: str = ""
) -> Loaded:
    """Loads a model and its tokenizer.

    Args:
      path: a work folder with ``train/`` and ``tokenizer/``, or a directory with ``config.json``,
        safetensors and a tokenizer (a published checkpoint, or what ``launch.export`` wrote).
      which: checkpoint of a work folder: ``best``, ``last`` or ``lm``.
      name: for tables; the folder's name when empty.
      silent: no progress bars while it answers.
      dtype: of weights and arithmetic, ``bfloat16`` or ``float32``; empty: float32 weights, and the
        arithmetic that the model was trained with.

    Raises:
      UserError: neither of the two, or files that do not belong together.
    """
    from ppt_jax.data.tokenizer import load_tokenizer
    from ppt_jax.evaluation.readouts.language_model import DecoderModel

    folder = pathlib.Path(path)
    trained = folder / "train" / "checkpoints" / "train.json"
    if (folder / "config.json").exists():
        from ppt_jax.models.exchange import load_params, read_config

        config = read_config(folder)
        params = load_params(folder, config, dtype=dtype or "float32")
        tokenizer = load_tokenizer(folder)
        which = ""
    elif trained.exists():
        from ppt_jax.models.architecture import DecoderConfig
        from ppt_jax.training.loop import load_params as load_trained

        try:
            config = DecoderConfig(**json.loads(trained.read_text(encoding="utf-8"))["model"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{trained}: cannot be read ({error})") from error
        if config.adapter_rank:
            raise UserError(
                f"{folder}: holds adapters; write one model with python -m launch.export --merge, "
                "and name that directory"
            )
        params = load_trained(folder / "train", config, which)
        tokenizer = load_tokenizer(folder / "tokenizer")
    else:
        raise UserError(
            f"{path}: no model here; a work folder has train/checkpoints/, a model directory "
            "config.json and safetensors"
        )
    if dtype:
        import jax

        params = jax.tree.map(lambda leaf: leaf.astype(dtype), params)
        config = dataclasses.replace(config, compute_dtype=dtype)
    from ppt_jax.models.decoder import count_parameters

    label = name or folder.resolve().name
    identity = {
        "path": str(folder),
        "which": which,
        "parameters": count_parameters(params),
        "layers": config.layers,
        "width": config.width,
        "vocabulary": config.vocab_size,
    }
    try:
        model = DecoderModel(config, params, tokenizer, silent=silent)
    except UserError as error:
        raise UserError(f"{folder}: its tokenizer does not fit its model ({error})") from error
    return Loaded(label, model, identity)
