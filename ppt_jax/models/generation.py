"""Free-running generation with a key/value cache, batched, under one jit.

Prompts of different lengths share a batch: rows are shifted so that real tokens begin at slot 0,
and every row writes its own next slot, so a slot's index is its position and padding is never
looked at. The result equals running the whole sequence anew for every token.

Axes: B rows, T prompt slots, G generated tokens, S = T + G cache slots, V vocabulary, H query
heads, K key/value heads, D head size, L layers, E width, X = B * T.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

from ppt_jax.errors import UserError
from ppt_jax.models.architecture import DecoderConfig
from ppt_jax.models.attention import ROUTES, Window, attention
from ppt_jax.models.decoder import Decoder, Params

_EVERYWHERE = 1 << 30
_MASKED = -1e30


@dataclasses.dataclass(frozen=True)
class SamplingConfig:
    """How tokens are chosen, and when a row ends.

    Attributes:
      max_new_tokens: G, tokens generated at most.
      temperature: divides the logits; 0 takes the most probable token.
      top_p: keeps the fewest most probable tokens whose total reaches it (of the tempered
        distribution); 1 keeps all.
      stop_tokens: a row ends after one of these.
      pad: fills a row behind its end.
      prefill_route: attention over the prompt, one of `attention.ROUTES` (prompts are plain rows,
        which ``cudnn`` can do); empty: the model's.
    """

    max_new_tokens: int = 64
    temperature: float = 0.0
    top_p: float = 1.0
    stop_tokens: tuple[int, ...] = ()
    pad: int = 0
    prefill_route: str = ""

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise UserError(f"max_new_tokens is {self.max_new_tokens}; it must be 1 or more")
        if not self.temperature >= 0:
            raise UserError(f"temperature is {self.temperature}; it must be 0 (greedy) or above")
        if not 0 < self.top_p <= 1:
            raise UserError(f"top_p is {self.top_p}; it must be above 0 and at most 1")
        if self.prefill_route and self.prefill_route not in ROUTES:
            raise UserError(
                f"prefill_route is {self.prefill_route!r}; known are {', '.join(ROUTES)}"
            )


class Generated(NamedTuple):
    """What `make_generate` returns.

    Attributes:
      tokens_BG: int32 generated tokens, ``pad`` behind the end.
      logp_BG: float32 log-probability of each token under the model itself (temperature 1, all
        tokens), 0 behind the end.
      length_B: int32 tokens generated, the stop token included.
      stopped_B: whether a stop token ended the row (not the limit).
    """

    tokens_BG: jax.Array
    logp_BG: jax.Array
    length_B: jax.Array
    stopped_B: jax.Array


class Generate(Protocol):
    """A jitted generator (see `make_generate`)."""

    def __call__(
        self, params: Params, tokens_BT: Any, real_BT: Any, key: jax.Array | None = None
    ) -> Generated:
        """Continues every row of a batch of prompts."""
        ...


class Cache(NamedTuple):
    """Keys and values of every layer; slot s holds position s."""

    keys_LBSKD: jax.Array
    values_LBSKD: jax.Array


def pad_prompts(
    prompts: Sequence[Sequence[int]], *, pad: int = 0, multiple: int = 1, rows: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Stacks prompts of different lengths, padded on the right.

    Args:
      prompts: token ids of each prompt, none empty.
      pad: fills up.
      multiple: the width is rounded up to a multiple, so that few shapes are compiled.
      rows: rows of the batch; further ones repeat the first prompt. As many as prompts when None.

    Returns:
      ``tokens_BT`` int32 and ``real_BT`` bool.

    Raises:
      UserError: an empty prompt, or no prompts.

    Example:
      >>> pad_prompts([[5, 6], [7]])[0].tolist()
      [[5, 6], [7, 0]]
    """
    if not prompts or not all(len(prompt) for prompt in prompts):
        raise UserError("generation needs prompts of one token or more")
    width = -(-max(map(len, prompts)) // multiple) * multiple
    rows = len(prompts) if rows is None else rows
    tokens_BT, real_BT = np.full((rows, width), pad, np.int32), np.zeros((rows, width), bool)
    for row in range(rows):
        prompt = prompts[row] if row < len(prompts) else prompts[0]
        tokens_BT[row, : len(prompt)] = prompt
        real_BT[row, : len(prompt)] = True
    return tokens_BT, real_BT


def make_generate(config: DecoderConfig, sampling: SamplingConfig) -> Generate:
    """A jitted function ``(params, tokens_BT, real_BT, key) -> Generated``.

    Real tokens of a row stand together; padding may be on the left or on the right. It is compiled
    once for each shape of ``tokens_BT``.

    Args:
      config: the decoder's shape.
      sampling: how tokens are chosen.

    Example:
      generate = make_generate(config, SamplingConfig(max_new_tokens=8, stop_tokens=(end,)))
      out = generate(params, *pad_prompts(prompts, pad=0, multiple=64))
    """
    graph, state = nnx.split(nnx.eval_shape(lambda: Decoder(config, nnx.Rngs(0))))
    stop_ids = np.asarray(sampling.stop_tokens, np.int32)
    limit = sampling.max_new_tokens

    def run(params: Params, tokens_BT: jax.Array, real_BT: jax.Array, key: jax.Array) -> Generated:
        filled = jax.tree.unflatten(jax.tree.structure(state), jax.tree.leaves(params))
        model = nnx.merge(graph, filled)
        tokens_BT, length_B = left_aligned(tokens_BT, real_BT)
        batch = tokens_BT.shape[0]
        logits_BV, cache = prefill(model, tokens_BT, length_B, limit, sampling.prefill_route)

        def choose(logits_BV: jax.Array, step: jax.Array) -> tuple[jax.Array, jax.Array]:
            chosen_B = _choose(logits_BV, jax.random.fold_in(key, step), sampling)
            logp_BV = jax.nn.log_softmax(logits_BV)
            return chosen_B, jnp.take_along_axis(logp_BV, chosen_B[:, None], 1)[:, 0]

        def going(carry: tuple) -> jax.Array:
            step, *_, ended_B = carry
            return (step < limit) & ~jnp.all(ended_B)

        def advance(carry: tuple) -> tuple:
            step, logits_BV, cache, out_BG, logp_BG, ended_B = carry
            chosen_B, logp_B = choose(logits_BV, step)
            chosen_B = jnp.where(ended_B, sampling.pad, chosen_B)
            out_BG = out_BG.at[:, step].set(chosen_B)
            logp_BG = logp_BG.at[:, step].set(jnp.where(ended_B, 0.0, logp_B))
            ended_B = ended_B | jnp.isin(chosen_B, stop_ids)
            # The last token needs no successor; running it anyway keeps the loop one program.
            logits_BV, cache = decode_next(model, chosen_B, length_B + step, cache)
            return step + 1, logits_BV, cache, out_BG, logp_BG, ended_B

        start = (
            jnp.int32(0),
            logits_BV,
            cache,
            jnp.full((batch, limit), sampling.pad, jnp.int32),
            jnp.zeros((batch, limit), jnp.float32),
            jnp.zeros(batch, bool),
        )
        _, _, _, out_BG, logp_BG, ended_B = lax.while_loop(going, advance, start)
        if stop_ids.size:
            is_stop_BG = jnp.isin(out_BG, stop_ids)
            first_B = jnp.argmax(is_stop_BG, axis=1).astype(jnp.int32)
            length_new_B = jnp.where(ended_B, first_B + 1, limit)
        else:
            length_new_B = jnp.full(batch, limit, jnp.int32)
        return Generated(out_BG, logp_BG, length_new_B, ended_B)

    compiled = jax.jit(run)

    def generate(
        params: Params, tokens_BT: Any, real_BT: Any, key: jax.Array | None = None
    ) -> Generated:
        if key is None:
            if sampling.temperature > 0:
                raise UserError("generation with a temperature above 0 needs a PRNG key")
            key = jax.random.key(0)
        real = np.asarray(real_BT)
        if not real.any(axis=1).all():
            raise UserError(f"prompt {int(np.argmin(real.any(axis=1)))} holds no token")
        return compiled(params, jnp.asarray(tokens_BT, jnp.int32), jnp.asarray(real_BT), key)

    return generate


def left_aligned(tokens_BT: jax.Array, real_BT: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Rows with their real tokens at the left, and the number of real tokens.

    Example:
      >>> left_aligned(jnp.array([[0, 5, 6]]), jnp.array([[False, True, True]]))[0].tolist()
      [[5, 6, 6]]
    """
    first_B1 = jnp.argmax(real_BT, axis=1)[:, None]
    length_B = real_BT.sum(1).astype(jnp.int32)
    size = tokens_BT.shape[1]
    source_BT = jnp.minimum(jnp.arange(size)[None] + first_B1, size - 1)
    return jnp.take_along_axis(tokens_BT, source_BT, axis=1), length_B


def _choose(logits_BV: jax.Array, key: jax.Array, sampling: SamplingConfig) -> jax.Array:
    if sampling.temperature == 0:
        return jnp.argmax(logits_BV, -1).astype(jnp.int32)
    scaled_BV = logits_BV / sampling.temperature
    if sampling.top_p < 1:
        scaled_BV = nucleus(scaled_BV, sampling.top_p)
    return jax.random.categorical(key, scaled_BV, axis=-1).astype(jnp.int32)


def nucleus(logits_BV: jax.Array, top_p: float) -> jax.Array:
    """Logits with everything outside the top-p nucleus at minus infinity (Holtzman et al. 2020).

    A token is kept when the total probability of the tokens before it, in order of probability, is
    below ``top_p``; tokens of equal probability are kept together.

    Example:
      >>> nucleus(jnp.log(jnp.array([[0.5, 0.3, 0.2]])), 0.6)[0, 2].item()
      -inf
    """
    sorted_BV = jnp.sort(logits_BV, axis=-1)[:, ::-1]
    p_BV = jax.nn.softmax(sorted_BV, axis=-1)
    before_BV = jnp.cumsum(p_BV, axis=-1) - p_BV
    least_B1 = jnp.min(jnp.where(before_BV < top_p, sorted_BV, jnp.inf), -1, keepdims=True)
    return jnp.where(logits_BV >= least_B1, logits_BV, -jnp.inf)


def prefill(
    model: Decoder, tokens_BT: jax.Array, length_B: jax.Array, room: int, route: str = ""
) -> tuple[jax.Array, Cache]:
    """Logits behind the last real token, and the cache with ``room`` free slots at the end."""
    c = model.config
    batch, size = tokens_BT.shape
    positions_BT = jnp.broadcast_to(jnp.arange(size, dtype=jnp.int32), (batch, size))
    places = model.places(positions_BT, jnp.full((batch, size), size, jnp.int32))
    graph, stacked = nnx.split(model.layers)
    local_L = jnp.array([c.is_local(n) for n in range(c.layers)])

    def layer(x_XE: jax.Array, now: tuple) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        weights, local = now
        block = nnx.merge(graph, weights)
        y_XE = block._normed(x_XE, block.attention_norm)
        q_BTHD, k_BTKD, v_BTKD = block.projected(y_XE, places, local)
        window = None
        if c.local_window:
            window = Window(positions_BT, jnp.where(local, c.local_window, _EVERYWHERE))
        mixed_BTHD = attention(
            q_BTHD,
            k_BTKD,
            v_BTKD,
            lengths_B=length_B,
            route=route or c.attention_route,
            block=c.attention_block,
            scale=c.query_scale or None,
            softcap=c.attention_softcap,
            window=window,
        )
        return block.rest(x_XE, mixed_BTHD), (k_BTKD, v_BTKD)

    x_XE, (keys, values) = lax.scan(layer, model.embedded(tokens_BT), (stacked, local_L))
    hidden_BTE = model.normed(x_XE).reshape(batch, size, -1)
    last_B1E = jnp.take_along_axis(hidden_BTE, (length_B - 1)[:, None, None], axis=1)
    free = ((0, 0), (0, 0), (0, room), (0, 0), (0, 0))
    return model.logits(last_B1E)[:, 0], Cache(jnp.pad(keys, free), jnp.pad(values, free))


def decode_next(
    model: Decoder, token_B: jax.Array, position_B: jax.Array, cache: Cache
) -> tuple[jax.Array, Cache]:
    """Logits behind one more token of every row, and the cache that holds it."""
    c = model.config
    batch = token_B.shape[0]
    slots = cache.keys_LBSKD.shape[2]
    places = model.places(position_B[:, None], jnp.zeros((batch, 1), jnp.int32))
    graph, stacked = nnx.split(model.layers)
    local_L = jnp.array([c.is_local(n) for n in range(c.layers)])
    scale = c.query_scale or c.head_size**-0.5
    row_B = jnp.arange(batch)
    back_BS = position_B[:, None] - jnp.arange(slots, dtype=jnp.int32)

    def layer(x_BE: jax.Array, now: tuple) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        weights, local, k_BSKD, v_BSKD = now
        block = nnx.merge(graph, weights)
        y_BE = block._normed(x_BE, block.attention_norm)
        q_B1HD, k_B1KD, v_B1KD = block.projected(y_BE, places, local)
        k_BSKD = k_BSKD.at[row_B, position_B].set(k_B1KD[:, 0])
        v_BSKD = v_BSKD.at[row_B, position_B].set(v_B1KD[:, 0])
        q_BKGD = q_B1HD[:, 0].reshape(batch, c.kv_heads, -1, c.head_size)
        scores_BKGS = jnp.einsum(
            "bkgd,bskd->bkgs", q_BKGD, k_BSKD, preferred_element_type=jnp.float32
        )
        scores_BKGS = scores_BKGS * scale
        if c.attention_softcap:
            scores_BKGS = c.attention_softcap * jnp.tanh(scores_BKGS / c.attention_softcap)
        seen_BS = back_BS >= 0
        if c.local_window:
            seen_BS &= back_BS < jnp.where(local, c.local_window, _EVERYWHERE)
        scores_BKGS = jnp.where(seen_BS[:, None, None], scores_BKGS, _MASKED)
        weight_BKGS = jax.nn.softmax(scores_BKGS, axis=-1).astype(v_BSKD.dtype)
        mixed_BKGD = jnp.einsum("bkgs,bskd->bkgd", weight_BKGS, v_BSKD).astype(q_B1HD.dtype)
        mixed_B1HD = mixed_BKGD.reshape(batch, 1, c.heads, c.head_size)
        return block.rest(x_BE, mixed_B1HD), (k_BSKD, v_BSKD)

    x_BE, caches = lax.scan(
        layer,
        model.embedded(token_B[:, None]),
        (stacked, local_L, cache.keys_LBSKD, cache.values_LBSKD),
    )
    hidden_B1E = model.normed(x_BE).reshape(batch, 1, -1)
    return model.logits(hidden_B1E)[:, 0], Cache(*caches)
