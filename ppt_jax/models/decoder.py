"""A decoder-only transformer in Flax NNX: stacked layers under one scan, LM head where needed.

One code for the shapes of Llama, Qwen, Mistral and Gemma; `architecture.DecoderConfig` says which.

Axes: B rows, T tokens, N supervised nodes, V vocabulary, E width, H query heads, K key/value
heads, D head size, F hidden width of the MLP, L layers, X = B * T (linear layers run on two axes).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax

from ppt_jax.models.architecture import ADAPTABLE, DTYPES, DecoderConfig
from ppt_jax.models.attention import Window, attention
from ppt_jax.models.quantised import part_shapes, product, quantised_layers
from ppt_jax.models.rotary import RopeTable, frequencies, rope_table, rotate

Params = dict[str, Any]
"""Parameters as nested plain dicts of arrays, names as in `Decoder`."""

_EVERYWHERE = 1 << 30  # the window of a global layer: more positions than any row has


def rms_norm(
    x_XE: jax.Array, scale_E: jax.Array, epsilon: float, offset: bool = False
) -> jax.Array:
    """``x / sqrt(mean(x^2) + epsilon) * scale`` in float32, back in the dtype of ``x``.

    With ``offset`` the factor is ``1 + scale``.
    """
    wide = x_XE.astype(jnp.float32)
    wide = wide * lax.rsqrt(jnp.mean(wide * wide, -1, keepdims=True) + epsilon)
    scale_E = scale_E.astype(jnp.float32)
    return (wide * (1 + scale_E if offset else scale_E)).astype(x_XE.dtype)


class Places(NamedTuple):
    """Where the tokens of a batch stand: what every layer needs beside the residual stream.

    Attributes:
      end_BT: see `ppt_jax.models.attention.visible`.
      positions_BT: position of each token along its path.
      table: rotary table of the global layers.
      local_table: of the local layers; None where they share it.
    """

    end_BT: jax.Array
    positions_BT: jax.Array
    table: RopeTable
    local_table: RopeTable | None


class Block(nnx.Module):
    """One layer: pre-norm grouped-query attention and a pre-norm gated MLP, both residual."""

    def __init__(self, config: DecoderConfig, rngs: nnx.Rngs) -> None:
        c = config
        self.config = c
        maps = c.maps()

        def matrix(fan_in: int, fan_out: int, gain: float = 1.0) -> nnx.Param:
            shape = (fan_in, fan_out)
            return nnx.Param(gain / math.sqrt(fan_in) * jax.random.normal(rngs.params(), shape))

        def norm(size: int) -> nnx.Param:
            return nnx.Param(jnp.zeros(size) if c.norm_offset else jnp.ones(size))

        self.attention_norm = norm(c.width)
        self.mlp_norm = norm(c.width)
        for name, sizes in maps.items():
            if c.adapter_base == "plain":
                gain = 1.0 / math.sqrt(2 * c.layers) if name in ("output", "down") else 1.0
                setattr(self, name, matrix(*sizes, gain))
                continue
            for part, (shape, dtype) in part_shapes(c.adapter_base, *sizes).items():
                setattr(self, f"{name}_{part}", nnx.Param(jnp.zeros(shape, dtype)))
        if c.attention_bias:
            for name in ("query", "key", "value"):
                setattr(self, f"{name}_bias", nnx.Param(jnp.zeros(maps[name][1])))
        if c.query_key_norm:
            self.query_norm = norm(c.head_size)
            self.key_norm = norm(c.head_size)
        if c.post_norms:
            self.attention_post_norm = norm(c.width)
            self.mlp_post_norm = norm(c.width)
        for name in c.adapted():
            fan_in, fan_out = maps[name]
            shape, most = (fan_in, c.adapter_rank), 1 / math.sqrt(fan_in)
            drawn = jax.random.uniform(rngs.params(), shape, minval=-most, maxval=most)
            setattr(self, name + "_lora_a", nnx.Param(drawn))
            setattr(self, name + "_lora_b", nnx.Param(jnp.zeros((c.adapter_rank, fan_out))))

    def mapped(self, name: str, x_XI: jax.Array, key: jax.Array | None = None) -> jax.Array:
        """A linear map with its adapter: ``x W + alpha / rank * (dropout(x) A) B``."""
        c = self.config
        if c.adapter_base == "plain":
            out_XO = x_XI @ getattr(self, name)[...].astype(x_XI.dtype)
        else:
            parts = {
                part: getattr(self, f"{name}_{part}")[...]
                for part in part_shapes(c.adapter_base, *c.maps()[name])
            }
            out_XO = product(x_XI, parts, c.adapter_base)
        if name not in c.adapted():
            return out_XO
        if key is not None:
            key = jax.random.fold_in(key, ADAPTABLE.index(name))
        low_XR = _dropout(x_XI, c.adapter_dropout, key) @ self._adapter(name, "a", x_XI.dtype)
        return out_XO + (low_XR @ self._adapter(name, "b", x_XI.dtype)) * (
            c.adapter_alpha / c.adapter_rank
        )

    def _adapter(self, name: str, side: str, dtype: Any) -> jax.Array:
        return getattr(self, f"{name}_lora_{side}")[...].astype(dtype)

    def projected(
        self,
        y_XE: jax.Array,
        places: Places,
        local: jax.Array,
        dropout_key: jax.Array | None = None,
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Rotated queries [B, T, H, D] and keys [B, T, K, D], and values [B, T, K, D]."""
        c = self.config
        batch, length = places.positions_BT.shape
        table = places.table
        if places.local_table is not None:
            table = jax.tree.map(
                lambda wide, near: jnp.where(local, near, wide), table, places.local_table
            )

        def heads(name: str, count: int, normed: bool) -> jax.Array:
            x_XO = self.mapped(name, y_XE, dropout_key)
            if c.attention_bias:
                x_XO = x_XO + getattr(self, name + "_bias")[...].astype(x_XO.dtype)
            x_BTHD = x_XO.reshape(batch, length, count, c.head_size)
            if normed and c.query_key_norm:
                x_BTHD = self._normed(x_BTHD, getattr(self, name + "_norm"))
            return x_BTHD

        return (
            rotate(heads("query", c.heads, True), table),
            rotate(heads("key", c.kv_heads, True), table),
            heads("value", c.kv_heads, False),
        )

    def _normed(self, x_XE: jax.Array, scale: nnx.Param) -> jax.Array:
        return rms_norm(x_XE, scale[...], self.config.norm_epsilon, self.config.norm_offset)

    def __call__(
        self,
        x_XE: jax.Array,
        places: Places,
        local: jax.Array,
        dropout_key: jax.Array | None,
    ) -> jax.Array:
        """Maps the residual stream [B * T, E] to the next layer's.

        Args:
          x_XE: the residual stream.
          places: positions, branches and rotary tables of the tokens.
          local: bool scalar, whether this layer sees its window only.
          dropout_key: of this layer; None turns dropout off.
        """
        c = self.config
        y_XE = self._normed(x_XE, self.attention_norm)
        q_BTHD, k_BTKD, v_BTKD = self.projected(y_XE, places, local, dropout_key)
        window = None
        if c.local_window:
            window = Window(places.positions_BT, jnp.where(local, c.local_window, _EVERYWHERE))
        mixed_BTHD = attention(
            q_BTHD,
            k_BTKD,
            v_BTKD,
            places.end_BT,
            route=c.attention_route,
            block=c.attention_block,
            scale=c.query_scale or None,
            softcap=c.attention_softcap,
            window=window,
        )
        return self.rest(x_XE, mixed_BTHD, dropout_key)

    def rest(
        self, x_XE: jax.Array, mixed_BTHD: jax.Array, dropout_key: jax.Array | None = None
    ) -> jax.Array:
        """Everything of the layer behind the attention's softmax."""
        c = self.config
        keys = (None, None) if dropout_key is None else jax.random.split(dropout_key)
        added_XE = self.mapped("output", mixed_BTHD.reshape(x_XE.shape[0], -1), dropout_key)
        if c.post_norms:
            added_XE = self._normed(added_XE, self.attention_post_norm)
        x_XE = x_XE + _dropout(added_XE, c.dropout, keys[0])
        y_XE = self._normed(x_XE, self.mlp_norm)
        gate_XF = self.mapped("gate", y_XE, dropout_key)
        silu = c.activation == "silu"
        gate_XF = jax.nn.silu(gate_XF) if silu else jax.nn.gelu(gate_XF, approximate=True)
        gated_XF = gate_XF * self.mapped("up", y_XE, dropout_key)
        added_XE = self.mapped("down", gated_XF, dropout_key)
        if c.post_norms:
            added_XE = self._normed(added_XE, self.mlp_post_norm)
        return x_XE + _dropout(added_XE, c.dropout, keys[1])


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
        self.final_norm = nnx.Param(jnp.zeros(c.width) if c.norm_offset else jnp.ones(c.width))
        if not c.tied_embeddings:
            head = 0.02 * jax.random.normal(rngs.params(), (c.width, c.vocab_size))
            self.head = nnx.Param(head)

    def embedded(self, tokens_BT: jax.Array) -> jax.Array:
        """The first residual stream [B * T, E], in the compute dtype."""
        c = self.config
        x_XE = self.embedding[...][tokens_BT.reshape(-1)].astype(DTYPES[c.compute_dtype])
        return x_XE * jnp.asarray(math.sqrt(c.width), x_XE.dtype) if c.scaled_embeddings else x_XE

    def places(self, positions_BT: jax.Array, end_BT: jax.Array) -> Places:
        """Rotary tables and branches, once for all layers."""
        c = self.config
        table = rope_table(positions_BT, frequencies(c.head_size, c.rope_base, c.scaling()))
        local = None
        if c.local_rope_base:
            local = rope_table(positions_BT, frequencies(c.head_size, c.local_rope_base))
        return Places(end_BT, positions_BT, table, local)

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
        places = self.places(positions_BT, end_BT)
        graph, stacked = nnx.split(self.layers)
        keys_L = None if dropout_key is None else jax.random.split(dropout_key, c.layers)
        local_L = jnp.array([c.is_local(n) for n in range(c.layers)])

        def layer(x_XE: jax.Array, now: tuple) -> tuple[jax.Array, None]:
            weights, local, key = now
            return nnx.merge(graph, weights)(x_XE, places, local, key), None

        body: Any = layer
        if c.remat == "full":
            body = jax.checkpoint(layer)
        elif c.remat == "dots":
            kept = jax.checkpoint_policies.dots_with_no_batch_dims_saveable
            body = jax.checkpoint(layer, policy=kept)
        x_XE, _ = lax.scan(
            body, self.embedded(tokens_BT), (stacked, local_L, keys_L), unroll=c.layers_unrolled
        )
        return self.normed(x_XE).reshape(batch, length, c.width)

    def normed(self, x_XE: jax.Array) -> jax.Array:
        """The final norm of the residual stream."""
        return rms_norm(
            x_XE, self.final_norm[...], self.config.norm_epsilon, self.config.norm_offset
        )

    def logits(self, hidden_BNE: jax.Array) -> jax.Array:
        """The LM head: float32 logits [B, N, V] of hidden states [B, N, E]."""
        batch, nodes, width = hidden_BNE.shape
        tied = self.config.tied_embeddings
        head_EV = self.embedding[...].T if tied else self.head[...]
        flat_XE = hidden_BNE.reshape(batch * nodes, width)
        flat_XV = jnp.dot(
            flat_XE, head_EV.astype(flat_XE.dtype), preferred_element_type=jnp.float32
        )
        cap = self.config.logit_softcap
        if cap:
            flat_XV = cap * jnp.tanh(flat_XV / cap)
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
    if config.adapter_base == "plain":
        return nnx.to_pure_dict(nnx.state(Decoder(config, nnx.Rngs(params=key))))
    params = init_params(dataclasses.replace(config, adapter_base="plain"), key)
    layers = quantised_layers(params["layers"], tuple(config.maps()), config.adapter_base)
    return {**params, "layers": layers}


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
            dropout_key=key if config.dropout or config.adapter_dropout else None,
        )

    return apply


_AXES: Mapping[str, tuple[str, ...]] = {
    "embedding": ("vocab", "embed"),
    "layers/attention_norm": ("layers", "embed"),
    "layers/query": ("layers", "embed", "heads"),
    "layers/query_bias": ("layers", "heads"),
    "layers/query_norm": ("layers", "head_size"),
    "layers/key": ("layers", "embed", "kv"),
    "layers/key_bias": ("layers", "kv"),
    "layers/key_norm": ("layers", "head_size"),
    "layers/value": ("layers", "embed", "kv"),
    "layers/value_bias": ("layers", "kv"),
    "layers/output": ("layers", "heads", "embed"),
    "layers/attention_post_norm": ("layers", "embed"),
    "layers/mlp_post_norm": ("layers", "embed"),
    "layers/mlp_norm": ("layers", "embed"),
    "layers/gate": ("layers", "embed", "mlp"),
    "layers/up": ("layers", "embed", "mlp"),
    "layers/down": ("layers", "mlp", "embed"),
    "final_norm": ("embed",),
    "head": ("embed", "vocab"),
}
PARAMETER_AXES: Mapping[str, tuple[str, ...]] = {
    **_AXES,
    **{f"layers/{name}_lora_a": (*_AXES[f"layers/{name}"][:2], "rank") for name in ADAPTABLE},
    **{
        f"layers/{name}_lora_b": ("layers", "rank", _AXES[f"layers/{name}"][2])
        for name in ADAPTABLE
    },
    **{
        f"layers/{name}_{part}": _AXES[f"layers/{name}"]
        for name in ADAPTABLE
        for part in ("codes", "pairs", "tiles")
    },
    **{f"layers/{name}_scale": ("layers", _AXES[f"layers/{name}"][2]) for name in ADAPTABLE},
}
"""Logical name of every axis of every parameter; the training room maps them to mesh axes."""


def count_parameters(params: Params) -> int:
    """Number of scalars in a parameter tree."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))


def model_size(config: DecoderConfig) -> int:
    """Number of weights of a decoder, adapters included, however they are stored."""
    floats = dataclasses.replace(config, adapter_base="plain")
    return count_parameters(jax.eval_shape(lambda: init_params(floats, jax.random.key(0))))
