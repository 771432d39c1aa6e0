"""What a decoder is made of: one configuration for Llama, Qwen, Mistral and Gemma shapes."""

from __future__ import annotations

import dataclasses
import re

import jax.numpy as jnp

from ppt_jax.errors import UserError
from ppt_jax.models.attention import TREE_ROUTES
from ppt_jax.models.flash import BLOCKS
from ppt_jax.models.quantised import KINDS, check
from ppt_jax.models.rotary import RopeScaling

REMAT = ("none", "dots", "full")
DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}
ACTIVATIONS = ("silu", "gelu_tanh")
ADAPTABLE = ("query", "key", "value", "output", "gate", "up", "down")
"""Linear maps of a layer that can carry a LoRA adapter."""

CHOICES = (
    "dropout",
    "adapter_rank",
    "adapter_alpha",
    "adapter_dropout",
    "adapter_targets",
    "adapter_base",
    "compute_dtype",
    "attention_route",
    "attention_block",
    "remat",
    "layers_unrolled",
)
"""Fields of `DecoderConfig` that are free for a model whose weights are given."""


@dataclasses.dataclass(frozen=True)
class DecoderConfig:
    """Shape and arithmetic of a decoder.

    Attributes:
      vocab_size: number of token ids.
      width: size of the residual stream.
      layers: number of blocks.
      heads: query heads.
      kv_heads: key/value heads; ``heads`` must be a multiple of it.
      head_size: size of one head, even (rotary pairs).
      mlp_width: hidden width of the gated MLP.
      activation: of the gate: ``silu``, or ``gelu_tanh`` (Gemma).
      rope_base: base of the rotary frequencies.
      rope_scaling: ``none``, ``linear`` or ``llama3``, see `rotary.RopeScaling`; the next four
        fields are its numbers.
      rope_factor: context now over context of the first training.
      rope_low_frequency: see `rotary.RopeScaling`.
      rope_high_frequency: see `rotary.RopeScaling`.
      rope_original_length: see `rotary.RopeScaling`.
      local_window: positions that a local layer looks back; 0: every layer is global.
      global_every: with a window, layers ``n, 2n, ...`` (counted from 1) are global, the rest
        local; 0: every layer is local.
      local_rope_base: base of the local layers, without scaling; 0: the same as the others.
      attention_bias: query, key and value maps have a bias (Qwen2).
      query_key_norm: RMSNorm on each head's query and key before the rotation (Qwen3, Gemma 3).
      query_scale: factor of the attention scores; 0: ``1 / sqrt(head_size)``.
      attention_softcap: scores become ``c tanh(score / c)`` (Gemma 2); 0: off.
      logit_softcap: the same for the logits; 0: off.
      norm_epsilon: added to the mean square in RMSNorm.
      norm_offset: RMSNorm multiplies by ``1 + scale`` (Gemma).
      post_norms: RMSNorm also on what attention and MLP add (Gemma 2 and 3).
      scaled_embeddings: token vectors are multiplied by ``sqrt(width)`` (Gemma).
      tied_embeddings: the LM head is the transposed embedding table.
      dropout: rate on both residual branches; 0 turns it off.
      adapter_rank: rank of the LoRA adapters; 0: none, all parameters are trained.
      adapter_alpha: adapters add ``alpha / rank * (x A) B``.
      adapter_dropout: rate on ``x`` before ``A``.
      adapter_targets: regular expression that names the adapted maps among `ADAPTABLE`.
      adapter_base: how the frozen maps under adapters are stored: ``plain``, ``int8`` or ``nf4``
        (`quantised`).
      compute_dtype: ``float32`` or ``bfloat16``; trained parameters and logits are float32.
      attention_route: one of `ppt_jax.models.attention.TREE_ROUTES`.
      attention_block: queries scored together.
      remat: what the backward pass recomputes: ``none``; ``dots``: all of a layer but the outputs
        of its linear maps; ``full``: each layer (least memory, about a third more work).
      layers_unrolled: layers per iteration of the scan; divides ``layers``. Unrolled is somewhat
        faster to run and slower to compile.
    """

    vocab_size: int
    width: int = 128
    layers: int = 4
    heads: int = 2
    kv_heads: int = 2
    head_size: int = 64
    mlp_width: int = 384
    activation: str = "silu"
    rope_base: float = 10_000.0
    rope_scaling: str = "none"
    rope_factor: float = 1.0
    rope_low_frequency: float = 1.0
    rope_high_frequency: float = 4.0
    rope_original_length: int = 8192
    local_window: int = 0
    global_every: int = 0
    local_rope_base: float = 0.0
    attention_bias: bool = False
    query_key_norm: bool = False
    query_scale: float = 0.0
    attention_softcap: float = 0.0
    logit_softcap: float = 0.0
    norm_epsilon: float = 1e-6
    norm_offset: bool = False
    post_norms: bool = False
    scaled_embeddings: bool = False
    tied_embeddings: bool = True
    dropout: float = 0.0
    adapter_rank: int = 0
    adapter_alpha: float = 16.0
    adapter_dropout: float = 0.0
    adapter_targets: str = "query|key|value|output|gate|up|down"
    adapter_base: str = "plain"
    compute_dtype: str = "float32"
    attention_route: str = "blocked"
    attention_block: int = 128
    remat: str = "none"
    layers_unrolled: int = 1

    def __post_init__(self) -> None:
        positive = (
            "vocab_size width layers heads kv_heads head_size mlp_width rope_base norm_epsilon "
            "attention_block layers_unrolled"
        )
        for name in positive.split():
            if not getattr(self, name) > 0:
                raise UserError(f"model.{name} is {getattr(self, name)}; it must be above 0")
        optional = (
            "local_window global_every local_rope_base query_scale attention_softcap logit_softcap"
        )
        for name in optional.split():
            if not getattr(self, name) >= 0:
                raise UserError(f"model.{name} is {getattr(self, name)}; it must be 0 or more")
        if self.heads % self.kv_heads:
            raise UserError(
                f"model.heads is {self.heads}, not a multiple of model.kv_heads = {self.kv_heads}"
            )
        if self.head_size % 2:
            raise UserError(f"model.head_size is {self.head_size}; rotary pairs need an even size")
        if self.layers % self.layers_unrolled:
            raise UserError(
                f"model.layers_unrolled is {self.layers_unrolled}, which does not divide "
                f"model.layers = {self.layers}"
            )
        for name in ("dropout", "adapter_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise UserError(f"model.{name} is {getattr(self, name)}; it must be in [0, 1)")
        if self.adapter_rank < 0 or not self.adapter_alpha > 0:
            raise UserError(
                f"model.adapter_rank is {self.adapter_rank} and model.adapter_alpha is "
                f"{self.adapter_alpha}; they must be 0 or more, and above 0"
            )
        if not self.local_window and (self.global_every or self.local_rope_base):
            raise UserError(
                "model.global_every and model.local_rope_base speak of local layers, but "
                "model.local_window is 0"
            )
        for name, known in (
            ("activation", ACTIVATIONS),
            ("compute_dtype", tuple(DTYPES)),
            ("attention_route", TREE_ROUTES),
            ("adapter_base", KINDS),
            ("remat", REMAT),
        ):
            if getattr(self, name) not in known:
                raise UserError(
                    f"model.{name} is {getattr(self, name)!r}; known are {', '.join(known)}"
                )
        if self.attention_route == "pallas" and self.attention_block not in BLOCKS:
            raise UserError(
                f"model.attention_block is {self.attention_block}; route pallas takes "
                f"{', '.join(map(str, BLOCKS))}"
            )
        if self.adapter_base != "plain" and not self.adapter_rank:
            raise UserError(
                f"model.adapter_base is {self.adapter_base}, but model.adapter_rank is 0: only a "
                "frozen base can be quantised"
            )
        for name, (inputs, _) in self.maps().items():
            check(self.adapter_base, name, inputs)
        self.scaling()
        self.adapted()

    def maps(self) -> dict[str, tuple[int, int]]:
        """Inputs and outputs of the linear maps of a layer, in the order of `ADAPTABLE`."""
        queries, pairs = self.heads * self.head_size, self.kv_heads * self.head_size
        wide, hidden = self.width, self.mlp_width
        return {
            "query": (wide, queries),
            "key": (wide, pairs),
            "value": (wide, pairs),
            "output": (queries, wide),
            "gate": (wide, hidden),
            "up": (wide, hidden),
            "down": (hidden, wide),
        }

    def plain(self) -> DecoderConfig:
        """The decoder without adapters, every weight a float array."""
        return dataclasses.replace(self, adapter_rank=0, adapter_base="plain")

    def scaling(self) -> RopeScaling:
        """The rotary scaling of the global layers."""
        return RopeScaling(
            self.rope_scaling,
            self.rope_factor,
            self.rope_low_frequency,
            self.rope_high_frequency,
            self.rope_original_length,
        )

    def is_local(self, layer: int) -> bool:
        """Whether a layer (from 0) looks back `local_window` positions only."""
        if not self.local_window:
            return False
        return not self.global_every or (layer + 1) % self.global_every != 0

    def adapted(self) -> tuple[str, ...]:
        """Names of the maps that carry an adapter; empty without adapters."""
        try:
            pattern = re.compile(self.adapter_targets)
        except re.error as error:
            raise UserError(
                f"model.adapter_targets is {self.adapter_targets!r}, no regular expression: {error}"
            ) from None
        names = tuple(name for name in ADAPTABLE if pattern.fullmatch(name))
        if self.adapter_rank and not names:
            raise UserError(
                f"model.adapter_targets is {self.adapter_targets!r}, which matches none of "
                f"{', '.join(ADAPTABLE)}"
            )
        return names if self.adapter_rank else ()
