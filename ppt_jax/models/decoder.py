"""A Llama-type decoder in Flax NNX: stacked layers under one scan, LM head where it is supervised.

Axes: B rows, T tokens, N supervised nodes, V vocabulary, E width, H query heads, K key/value
heads, D head size, F hidden width of the MLP, L layers, X = B * T (linear layers run on two axes).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from ppt_jax.errors import UserError
from ppt_jax.models.attention import ROUTES, attention

Params = dict[str, Any]
"""Parameters as nested plain dicts of arrays, names as in `Decoder`."""

DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


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
      mlp_width: hidden width of SwiGLU.
      rope_base: base of the rotary frequencies.
      norm_epsilon: added to the mean square in RMSNorm.
      tied_embeddings: the LM head is the transposed embedding table.
      dropout: rate on both residual branches; 0 turns it off.
      compute_dtype: ``float32`` or ``bfloat16``; parameters and logits are always float32.
      attention_route: see `ppt_jax.models.attention.ROUTES`.
      attention_block: queries scored together by the ``blocked`` route.
      remat: recompute each layer in the backward pass (less memory, about a third more work).
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
    rope_base: float = 10_000.0
    norm_epsilon: float = 1e-6
    tied_embeddings: bool = True
    dropout: float = 0.0
    compute_dtype: str = "float32"
    attention_route: str = "blocked"
    attention_block: int = 128
    remat: bool = False
    layers_unrolled: int = 1

    def __post_init__(self) -> None:
        positive = (
            "vocab_size width layers heads kv_heads head_size mlp_width rope_base norm_epsilon "
            "attention_block layers_unrolled"
        )
        for name in positive.split():
            if not getattr(self, name) > 0:
                raise UserError(f"model.{name} is {getattr(self, name)}; it must be above 0")
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
        if not 0 <= self.dropout < 1:
            raise UserError(f"model.dropout is {self.dropout}; it must be in [0, 1)")
        if self.compute_dtype not in DTYPES:
            raise UserError(
                f"model.compute_dtype is {self.compute_dtype!r}; known are {', '.join(DTYPES)}"
            )
        if self.attention_route not in ROUTES:
            raise UserError(
                f"model.attention_route is {self.attention_route!r}; known are {', '.join(ROUTES)}"
            )


def rope_table(positions_BT: jax.Array, head_size: int, base: float) -> tuple[jax.Array, jax.Array]:
    """Cosines and sines of the rotary angles ``p * base^(-2i / head_size)``.

    Args:
      positions_BT: int32, position of each token along its own path.
      head_size: D, even.
      base: base of the geometric series of frequencies.

    Returns:
      Two float32 arrays [B, T, D / 2].
    """
    frequencies_P = base ** (-jnp.arange(0, head_size, 2, dtype=jnp.float32) / head_size)
    angles_BTP = positions_BT.astype(jnp.float32)[..., None] * frequencies_P
    return jnp.cos(angles_BTP), jnp.sin(angles_BTP)


def rotate(x_BTHD: jax.Array, table: tuple[jax.Array, jax.Array]) -> jax.Array:
    """Rotates pairs ``(x[i], x[i + D/2])`` by the angles of `rope_table` (Hugging Face layout)."""
    cos_BT1P, sin_BT1P = table[0][:, :, None], table[1][:, :, None]
    low, high = jnp.split(x_BTHD.astype(jnp.float32), 2, axis=-1)
    turned = (low * cos_BT1P - high * sin_BT1P, high * cos_BT1P + low * sin_BT1P)
    return jnp.concatenate(turned, -1).astype(x_BTHD.dtype)


def rms_norm(x_XE: jax.Array, scale_E: jax.Array, epsilon: float) -> jax.Array:
    """``x / sqrt(mean(x^2) + epsilon) * scale`` in float32, back in the dtype of ``x``."""
    wide = x_XE.astype(jnp.float32)
    wide = wide * lax.rsqrt(jnp.mean(wide * wide, -1, keepdims=True) + epsilon)
    return (wide * scale_E).astype(x_XE.dtype)


class Block(nnx.Module):
    """One layer: pre-norm grouped-query attention and pre-norm SwiGLU, both residual."""

    def __init__(self, config: DecoderConfig, rngs: nnx.Rngs) -> None:
        c = config
        self.config = c
        queries, pairs = c.heads * c.head_size, c.kv_heads * c.head_size

        def matrix(fan_in: int, fan_out: int, gain: float = 1.0) -> nnx.Param:
            shape = (fan_in, fan_out)
            return nnx.Param(gain / math.sqrt(fan_in) * jax.random.normal(rngs.params(), shape))

        residual_gain = 1.0 / math.sqrt(2 * c.layers)
        self.attention_norm = nnx.Param(jnp.ones(c.width))
        self.query = matrix(c.width, queries)
        self.key = matrix(c.width, pairs)
        self.value = matrix(c.width, pairs)
        self.output = matrix(queries, c.width, residual_gain)
        self.mlp_norm = nnx.Param(jnp.ones(c.width))
        self.gate = matrix(c.width, c.mlp_width)
        self.up = matrix(c.width, c.mlp_width)
        self.down = matrix(c.mlp_width, c.width, residual_gain)

    def __call__(
        self,
        x_XE: jax.Array,
        end_BT: jax.Array,
        table: tuple[jax.Array, jax.Array],
        dropout_key: jax.Array | None,
    ) -> jax.Array:
        """Maps the residual stream [B * T, E] to the next layer's."""
        c = self.config
        batch, length = end_BT.shape
        keys = (None, None) if dropout_key is None else jax.random.split(dropout_key)

        def heads(x_XO: jax.Array, count: int) -> jax.Array:
            return x_XO.reshape(batch, length, count, c.head_size)

        y_XE = rms_norm(x_XE, self.attention_norm[...], c.norm_epsilon)
        q_BTHD = rotate(heads(_linear(y_XE, self.query), c.heads), table)
        k_BTKD = rotate(heads(_linear(y_XE, self.key), c.kv_heads), table)
        v_BTKD = heads(_linear(y_XE, self.value), c.kv_heads)
        mixed_BTHD = attention(
            q_BTHD, k_BTKD, v_BTKD, end_BT, route=c.attention_route, block=c.attention_block
        )
        mixed_XO = mixed_BTHD.reshape(batch * length, c.heads * c.head_size)
        x_XE = x_XE + _dropout(_linear(mixed_XO, self.output), c.dropout, keys[0])
        y_XE = rms_norm(x_XE, self.mlp_norm[...], c.norm_epsilon)
        hidden_XF = jax.nn.silu(_linear(y_XE, self.gate)) * _linear(y_XE, self.up)
        return x_XE + _dropout(_linear(hidden_XF, self.down), c.dropout, keys[1])


def _linear(x_XI: jax.Array, weight: nnx.Param) -> jax.Array:
    return x_XI @ weight[...].astype(x_XI.dtype)


def _dropout(x_XE: jax.Array, rate: float, key: jax.Array | None) -> jax.Array:
    if key is None or rate == 0:
        return x_XE
    kept = jax.random.bernoulli(key, 1 - rate, x_XE.shape)
    return jnp.where(kept, x_XE / (1 - rate), 0).astype(x_XE.dtype)


class Decoder(nnx.Module):
    """A decoder-only language model for packed prefix trees.

    Args:
      config: its shape.
      rngs: random streams; ``params`` is drawn from.

    Example:
      >>> import jax.numpy as jnp
      >>> model = Decoder(DecoderConfig(vocab_size=11, width=8, heads=2, kv_heads=1, head_size=4,
      ...                               mlp_width=16, layers=2), nnx.Rngs(0))
      >>> tokens = jnp.array([[1, 2, 3]])
      >>> model(tokens, jnp.array([[0, 1, 1]]), jnp.array([[3, 2, 3]]), jnp.array([[2]])).shape
      (1, 1, 11)
    """

    def __init__(self, config: DecoderConfig, rngs: nnx.Rngs) -> None:
        c = config
        self.config = c
        # Rows of length 1 let tokens weigh as much as what the first layers add to them; a table
        # that is also the head starts near zero instead, so that first predictions are flat.
        scale = 0.02 if c.tied_embeddings else 1 / math.sqrt(c.width)
        table = scale * jax.random.normal(rngs.params(), (c.vocab_size, c.width))
        self.embedding = nnx.Param(table)
        keys = jax.random.split(rngs.params(), c.layers)
        stacked = jax.vmap(lambda key: nnx.state(Block(c, nnx.Rngs(params=key))))(keys)
        graph = nnx.graphdef(nnx.eval_shape(lambda: Block(c, nnx.Rngs(0))))
        self.layers = nnx.merge(graph, stacked)
        self.final_norm = nnx.Param(jnp.ones(c.width))
        if not c.tied_embeddings:
            head = 0.02 * jax.random.normal(rngs.params(), (c.width, c.vocab_size))
            self.head = nnx.Param(head)

    def hidden(
        self,
        tokens_BT: jax.Array,
        positions_BT: jax.Array,
        end_BT: jax.Array,
        *,
        dropout_key: jax.Array | None = None,
    ) -> jax.Array:
        """The normalised last layer [B, T, E], in the compute dtype."""
        c = self.config
        batch, length = tokens_BT.shape
        x_XE = self.embedding[...][tokens_BT.reshape(-1)].astype(DTYPES[c.compute_dtype])
        table = rope_table(positions_BT, c.head_size, c.rope_base)
        graph, stacked = nnx.split(self.layers)
        keys_L = None if dropout_key is None else jax.random.split(dropout_key, c.layers)

        def layer(x_XE: jax.Array, now: tuple[Any, jax.Array | None]) -> tuple[jax.Array, None]:
            return nnx.merge(graph, now[0])(x_XE, end_BT, table, now[1]), None

        body = jax.checkpoint(layer) if c.remat else layer
        x_XE, _ = lax.scan(body, x_XE, (stacked, keys_L), unroll=c.layers_unrolled)
        x_XE = rms_norm(x_XE, self.final_norm[...], c.norm_epsilon)
        return x_XE.reshape(batch, length, c.width)

    def logits(self, hidden_BNE: jax.Array) -> jax.Array:
        """The LM head: float32 logits [B, N, V] of hidden states [B, N, E]."""
        batch, nodes, width = hidden_BNE.shape
        tied = self.config.tied_embeddings
        head_EV = self.embedding[...].T if tied else self.head[...]
        flat_XE = hidden_BNE.reshape(batch * nodes, width)
        flat_XV = jnp.dot(
            flat_XE, head_EV.astype(flat_XE.dtype), preferred_element_type=jnp.float32
        )
        return flat_XV.reshape(batch, nodes, -1)

    def __call__(
        self,
        tokens_BT: jax.Array,
        positions_BT: jax.Array,
        end_BT: jax.Array,
        node_BN: jax.Array | None = None,
        *,
        dropout_key: jax.Array | None = None,
    ) -> jax.Array:
        """Next-token logits of packed rows.

        Args:
          tokens_BT: int32 token ids.
          positions_BT: int32 position of each token along its path.
          end_BT: int32, see `ppt_jax.models.attention.visible`.
          node_BN: int32 row indices where logits are wanted; every token when None.
          dropout_key: PRNG key of this pass; None turns dropout off (evaluation).

        Returns:
          float32 logits [B, N, V] ([B, T, V] without ``node_BN``).
        """
        hidden_BTE = self.hidden(tokens_BT, positions_BT, end_BT, dropout_key=dropout_key)
        if node_BN is not None:
            hidden_BTE = jnp.take_along_axis(hidden_BTE, node_BN[..., None], axis=1)
        return self.logits(hidden_BTE)


class Apply(Protocol):
    """A model as a pure function of its parameters (see `make_apply`)."""

    def __call__(
        self, params: Params, batch: Mapping[str, jax.Array], key: jax.Array | None = None
    ) -> jax.Array:
        """Logits [B, N, V] at the supervised nodes of a batch."""
        ...


def init_params(config: DecoderConfig, key: jax.Array) -> Params:
    """Fresh float32 parameters as nested plain dicts; may run under `jax.jit` with shardings.

    Args:
      config: the decoder's shape.
      key: PRNG key.

    Example:
      >>> import jax
      >>> sorted(init_params(DecoderConfig(vocab_size=11), jax.random.key(0)))
      ['embedding', 'final_norm', 'layers']
    """
    return nnx.to_pure_dict(nnx.state(Decoder(config, nnx.Rngs(params=key))))


def make_apply(config: DecoderConfig) -> Apply:
    """The decoder as a pure function ``(params, batch, key) -> logits [B, N, V]``.

    Args:
      config: the decoder's shape.

    Returns:
      A function of plain-dict parameters, a packed batch (`tokens_BT`, `positions_BT`, `end_BT`,
      `node_BN`) and a dropout key (None: no dropout).
    """
    graph, state = nnx.split(nnx.eval_shape(lambda: Decoder(config, nnx.Rngs(0))))

    def apply(
        params: Params, batch: Mapping[str, jax.Array], key: jax.Array | None = None
    ) -> jax.Array:
        filled = jax.tree.unflatten(jax.tree.structure(state), jax.tree.leaves(params))
        model = nnx.merge(graph, filled)
        return model(
            batch["tokens_BT"],
            batch["positions_BT"],
            batch["end_BT"],
            batch["node_BN"],
            dropout_key=key if config.dropout else None,
        )

    return apply


PARAMETER_AXES: Mapping[str, tuple[str, ...]] = {
    "embedding": ("vocab", "embed"),
    "layers/attention_norm": ("layers", "embed"),
    "layers/query": ("layers", "embed", "heads"),
    "layers/key": ("layers", "embed", "kv"),
    "layers/value": ("layers", "embed", "kv"),
    "layers/output": ("layers", "heads", "embed"),
    "layers/mlp_norm": ("layers", "embed"),
    "layers/gate": ("layers", "embed", "mlp"),
    "layers/up": ("layers", "embed", "mlp"),
    "layers/down": ("layers", "mlp", "embed"),
    "final_norm": ("embed",),
    "head": ("embed", "vocab"),
}
"""Logical name of every axis of every parameter; the training room maps them to mesh axes."""


def count_parameters(params: Params) -> int:
    """Number of scalars in a parameter tree."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
