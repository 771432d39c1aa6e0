"""Published shapes by name, for planning a run before its weights are there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ppt_jax.errors import UserError
from ppt_jax.models.architecture import DecoderConfig

SHAPES: Mapping[str, Mapping[str, Any]] = {
    "llama3_8b": {
        "vocab_size": 128_256,
        "width": 4096,
        "layers": 32,
        "heads": 32,
        "kv_heads": 8,
        "head_size": 128,
        "mlp_width": 14_336,
        "rope_base": 500_000.0,
        "norm_epsilon": 1e-5,
        "tied_embeddings": False,
    },
    "llama3_70b": {
        "vocab_size": 128_256,
        "width": 8192,
        "layers": 80,
        "heads": 64,
        "kv_heads": 8,
        "head_size": 128,
        "mlp_width": 28_672,
        "rope_base": 500_000.0,
        "norm_epsilon": 1e-5,
        "tied_embeddings": False,
    },
    "qwen2_7b": {
        "vocab_size": 152_064,
        "width": 3584,
        "layers": 28,
        "heads": 28,
        "kv_heads": 4,
        "head_size": 128,
        "mlp_width": 18_944,
        "rope_base": 1_000_000.0,
        "attention_bias": True,
        "tied_embeddings": False,
    },
    "qwen3_0p6b": {
        "vocab_size": 151_936,
        "width": 1024,
        "layers": 28,
        "heads": 16,
        "kv_heads": 8,
        "head_size": 128,
        "mlp_width": 3072,
        "rope_base": 1_000_000.0,
        "query_key_norm": True,
    },
}
"""From the ``config.json`` of the released models."""


def published(name: str, **choices: Any) -> DecoderConfig:
    """The decoder of a released model.

    Args:
      name: a key of `SHAPES`.
      **choices: values of `architecture.CHOICES`.

    Raises:
      UserError: an unknown name.

    Example:
      >>> published("qwen3_0p6b").layers
      28
    """
    if name not in SHAPES:
        raise UserError(f"shape {name!r} is unknown; known are {', '.join(SHAPES)}")
    return DecoderConfig(**{**SHAPES[name], **choices})
