"""Generation under a mask of allowed tokens that the host makes anew for every token.

What comes next is decided outside of the model: a grammar, a schema, a trie. The host works on the
next mask while the device runs the model on the token just chosen; a mask travels as bits.

Axes: B rows, T prompt slots, G generated tokens, V vocabulary, W = ceil(V / 32) words of 32 bits.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from ppt_jax.errors import UserError
from ppt_jax.models.architecture import DecoderConfig
from ppt_jax.models.decoder import Decoder, Params
from ppt_jax.models.generation import Cache, decode_next, left_aligned, prefill

_BITS = 32


class Guide(Protocol):
    """Decides which tokens may come next, row by row."""

    def allowed(self) -> np.ndarray:
        """Allowed tokens, uint32 ``[B, W]``: bit ``v % 32`` of word ``v // 32`` is token v."""
        ...

    def take(self, tokens_B: np.ndarray) -> np.ndarray:
        """Goes on by one token a row; returns which rows have ended, bool ``[B]``.

        Tokens of rows that had ended before mean nothing.
        """
        ...


class GuidedText(NamedTuple):
    """What `GuidedGenerate` returns.

    Attributes:
      tokens_BG: int32 tokens, 0 behind the end of a row.
      length_B: int32 tokens of each row, the one that ended it included.
      ended_B: whether the guide ended the row (not the limit).
    """

    tokens_BG: np.ndarray
    length_B: np.ndarray
    ended_B: np.ndarray


class GuidedGenerate:
    """Continues prompts with tokens that a guide allows.

    A row's tokens follow from its prompt, its seed, its temperature and its guide alone, not from
    the rows beside it.

    Args:
      config: the decoder's shape. Compiled once for each shape of ``tokens_BT`` and each ``limit``.

    Example:
      generate = GuidedGenerate(config)
      text = generate(params, *pad_prompts(prompts, multiple=64), guide, limit=256)
    """

    def __init__(self, config: DecoderConfig) -> None:
        self.config = config
        graph, state = nnx.split(nnx.eval_shape(lambda: Decoder(config, nnx.Rngs(0))))

        def model_of(params: Params) -> Decoder:
            filled = jax.tree.unflatten(jax.tree.structure(state), jax.tree.leaves(params))
            return nnx.merge(graph, filled)

        def begin(
            params: Params, tokens_BT: jax.Array, real_BT: jax.Array, limit: int
        ) -> tuple[jax.Array, Cache, jax.Array]:
            tokens_BT, length_B = left_aligned(tokens_BT, real_BT)
            return *prefill(model_of(params), tokens_BT, length_B, limit), length_B

        def go_on(
            params: Params, chosen_B: jax.Array, position_B: jax.Array, cache: Cache
        ) -> tuple[jax.Array, Cache]:
            return decode_next(model_of(params), chosen_B, position_B, cache)

        self._begin = jax.jit(begin, static_argnums=3)
        self._go_on = jax.jit(go_on, donate_argnums=3)
        self._choose = jax.jit(choose_allowed)

    def __call__(
        self,
        params: Params,
        tokens_BT: Any,
        real_BT: Any,
        guide: Guide,
        *,
        limit: int,
        temperature_B: np.ndarray | None = None,
        seed_B: np.ndarray | None = None,
    ) -> GuidedText:
        """Generates until the guide has ended every row, or ``limit`` tokens.

        Args:
          params: of the decoder.
          tokens_BT: prompts, see `generation.pad_prompts`.
          real_BT: which slots hold a token.
          guide: of this batch; used up.
          limit: G.
          temperature_B: divides the logits, row by row; 0 takes the most probable allowed token.
            All 0 when None.
          seed_B: uint32 seeds of the sampling, row by row; needed where a temperature is above 0.
        """
        rows = len(tokens_BT)
        if limit < 1:
            raise UserError(f"limit is {limit}; it must be 1 or more")
        warm = temperature_B is not None and bool(np.any(np.asarray(temperature_B) > 0))
        if warm and seed_B is None:
            raise UserError("generation with a temperature above 0 needs seeds")
        heat_B = jnp.asarray(np.zeros(rows) if temperature_B is None else temperature_B, "float32")
        key_B = jax.vmap(jax.random.key)(
            jnp.asarray(np.zeros(rows) if seed_B is None else seed_B, "uint32")
        )
        logits_BV, cache, length_B = self._begin(
            params, jnp.asarray(tokens_BT, jnp.int32), jnp.asarray(real_BT), limit
        )
        out_BG = np.zeros((rows, limit), np.int32)
        count_B, ended_B = np.zeros(rows, np.int32), np.zeros(rows, bool)
        allowed_BW = guide.allowed()
        for step in range(limit):
            chosen_B = self._choose(logits_BV, jnp.asarray(allowed_BW), key_B, step, heat_B)
            if step + 1 < limit:  # under way on the device while the host makes the next mask
                logits_BV, cache = self._go_on(params, chosen_B, length_B + step, cache)
            tokens_B = np.asarray(chosen_B)
            out_BG[~ended_B, step] = tokens_B[~ended_B]
            count_B += ~ended_B
            ended_B = ended_B | guide.take(tokens_B)
            if ended_B.all():
                break
            allowed_BW = guide.allowed()
        return GuidedText(out_BG, count_B, ended_B)


def choose_allowed(
    logits_BV: jax.Array,
    allowed_BW: jax.Array,
    key_B: jax.Array,
    step: jax.Array | int,
    temperature_B: jax.Array,
) -> jax.Array:
    """Chooses a token a row, in proportion to ``exp(logit / temperature)`` among allowed tokens.

    Args:
      logits_BV: logits.
      allowed_BW: uint32 bits of allowed tokens.
      key_B: PRNG keys of the rows.
      step: number of the token, folded into the keys.
      temperature_B: float32; 0 takes the most probable.
    """
    token_V = jnp.arange(logits_BV.shape[-1], dtype=jnp.uint32)
    bits_BV = allowed_BW[:, token_V // _BITS] >> (token_V % _BITS)
    masked_BV = jnp.where(bits_BV & 1 > 0, logits_BV.astype(jnp.float32), -jnp.inf)
    warm_B1 = jnp.where(temperature_B > 0, temperature_B, 1.0)[:, None]
    keys = jax.vmap(lambda key: jax.random.fold_in(key, step))(key_B)
    drawn_B = jax.vmap(jax.random.categorical)(keys, masked_BV / warm_B1)
    top_B = jnp.argmax(masked_BV, axis=-1)
    return jnp.where(temperature_B > 0, drawn_B, top_B).astype(jnp.int32)
