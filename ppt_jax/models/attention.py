"""Attention over packed prefix trees: one function, several routes, a table of what each honours.

Axes: B rows, T tokens, H query heads, K key/value heads, D head size.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from ppt_jax.errors import UserError
from ppt_jax.models.blocked import blocked_attention, capped
from ppt_jax.models.flash import BLOCKS, flash_attention
from ppt_jax.models.visibility import Window, plain_rows, visible

__all__ = ["ROUTES", "TREE_ROUTES", "Route", "Window", "attention", "plain_rows", "visible"]

_MASKED = -1e30


@dataclasses.dataclass(frozen=True)
class Route:
    """What one way of computing attention can honour; all of them are exact where they do.

    Attributes:
      trees: the rule ``j <= i < end[j]``: packed rows and prefix trees. Without it a route takes
        plain causal rows with their lengths only.
      windows: local layers, by position along the path.
      softcaps: ``c tanh(score / c)``.
      dtypes: of queries, keys and values.
      platforms: where it runs, as of `jax.default_backend`.
      memory: of a row of T tokens.
    """

    trees: bool = True
    windows: bool = True
    softcaps: bool = True
    dtypes: tuple[str, ...] = ("float32", "bfloat16")
    platforms: tuple[str, ...] = ("cpu", "gpu", "tpu")
    memory: str = "O(T x block)"


ROUTES = {
    "blocked": Route(),
    "grouped": Route(),
    "dense": Route(memory="O(T^2)"),
    "pallas": Route(memory="O(T)"),
    "cudnn": Route(
        trees=False,
        windows=False,
        softcaps=False,
        dtypes=("bfloat16",),
        platforms=("gpu",),
        memory="O(T)",
    ),
}
"""``blocked``: rows and heads in one axis, fastest on a CPU. ``grouped``: the same with rows and
heads in two axes, which a mesh can split both. ``dense``: the plain form. ``pallas``: kernels of
our own (`flash`), interpreted on a CPU. ``cudnn``: NVIDIA's, through JAX."""

TREE_ROUTES = tuple(name for name, route in ROUTES.items() if route.trees)
"""Routes that can train and score packed prefix trees."""


def attention(
    q_BTHD: jax.Array,
    k_BTKD: jax.Array,
    v_BTKD: jax.Array,
    end_BT: jax.Array | None = None,
    *,
    lengths_B: jax.Array | None = None,
    route: str = "blocked",
    block: int = 128,
    scale: float | None = None,
    softcap: float = 0.0,
    window: Window | None = None,
) -> jax.Array:
    """Softmax attention ``softmax(c tanh(q k^T scale / c)) v`` under the rule ``j <= i < end[j]``.

    Scores, softmax and their gradients are float32 whatever the inputs are.

    Args:
      q_BTHD: queries, float32 or bfloat16, rotary already applied.
      k_BTKD: keys; H is a multiple of K, and query head ``h`` reads key head ``h // (H / K)``.
      v_BTKD: values.
      end_BT: int32, see `visibility.visible`; or, in its place, `lengths_B`.
      lengths_B: int32, says that every row is one plain causal sequence of that many tokens; what
        is returned behind it means nothing.
      route: one of `ROUTES`.
      block: queries that the ``blocked``, ``grouped`` and ``pallas`` routes score together.
      scale: factor of the scores, ``1 / sqrt(D)`` when None.
      softcap: ``c``; 0 leaves the scores as they are.
      window: also hides keys further back than its size.

    Returns:
      [B, T, H, D] in the dtype of ``q_BTHD``.

    Raises:
      UserError: an unknown route, or one that cannot honour what is asked of it.

    Example:
      >>> import jax.numpy as jnp
      >>> x = jnp.ones((1, 3, 2, 4)); attention(x, x, x, jnp.array([[3, 2, 3]])).shape
      (1, 3, 2, 4)
    """
    scale = q_BTHD.shape[-1] ** -0.5 if scale is None else scale
    if (end_BT is None) == (lengths_B is None):
        raise UserError("attention: give either end_BT or lengths_B")
    _check(route, end_BT is not None, window is not None, softcap > 0, q_BTHD.dtype.name)
    if route == "cudnn":
        assert lengths_B is not None
        return cudnn_attention(q_BTHD, k_BTKD, v_BTKD, lengths_B, scale)
    if end_BT is None:
        assert lengths_B is not None
        end_BT = plain_rows(lengths_B, q_BTHD.shape[1])
    if route == "dense":
        seen_BTS = visible(end_BT, window=window)
        return _dense(q_BTHD, k_BTKD, v_BTKD, seen_BTS, scale, softcap)
    if route == "pallas":
        if block not in BLOCKS:
            raise UserError(
                f"attention: route 'pallas' takes blocks of {', '.join(map(str, BLOCKS))} tokens, "
                f"not {block} (model.attention_block); a TPU wants 128 or more"
            )
        place_BT, size = (None, None) if window is None else (window.positions_BT, window.size)
        return flash_attention(
            q_BTHD,
            k_BTKD,
            v_BTKD,
            end_BT,
            block=block,
            scale=scale,
            softcap=softcap,
            place_BT=place_BT,
            size=size,
        )
    return blocked_attention(
        q_BTHD,
        k_BTKD,
        v_BTKD,
        end_BT,
        block=block,
        scale=scale,
        softcap=softcap,
        window=window,
        merge=route == "blocked",
    )


def _check(name: str, trees: bool, window: bool, softcap: bool, dtype: str) -> None:
    """Refuses what a route cannot honour."""
    if name not in ROUTES:
        raise UserError(f"attention: unknown route {name!r}; known are {', '.join(ROUTES)}")
    route = ROUTES[name]
    for asked, honoured, what in (
        (trees, route.trees, "packed rows and prefix trees (plain causal rows with lengths only)"),
        (window, route.windows, "windows along a path"),
        (softcap, route.softcaps, "soft caps"),
        (True, dtype in route.dtypes, f"{dtype} (only {', '.join(route.dtypes)})"),
    ):
        if asked and not honoured:
            raise UserError(f"attention: route {name!r} cannot honour {what}")
    platform = jax.default_backend()
    if platform not in route.platforms:
        raise UserError(
            f"attention: route {name!r} runs on {', '.join(route.platforms)}, this is {platform}"
        )


def cudnn_attention(
    q_BTHD: jax.Array, k_BTKD: jax.Array, v_BTKD: jax.Array, lengths_B: jax.Array, scale: float
) -> jax.Array:
    """NVIDIA's fused attention on plain causal rows, bfloat16; see `attention`."""
    lengths_B = lengths_B.astype(jnp.int32)
    try:
        out_BTHD = jax.nn.dot_product_attention(
            q_BTHD,
            k_BTKD,
            v_BTKD,
            is_causal=True,
            scale=scale,
            query_seq_lengths=lengths_B,
            key_value_seq_lengths=lengths_B,
            implementation="cudnn",
        )
    except (NotImplementedError, ValueError, RuntimeError) as error:
        raise UserError(f"attention: route 'cudnn' cannot run here: {error}") from error
    real_BT = jnp.arange(q_BTHD.shape[1])[None] < lengths_B[:, None]
    return jnp.where(real_BT[..., None, None], out_BTHD, 0)  # padding stays finite


def _dense(
    q_BTHD: jax.Array,
    k_BTKD: jax.Array,
    v_BTKD: jax.Array,
    seen_BTS: jax.Array,
    scale: float,
    softcap: float,
) -> jax.Array:
    batch, length, heads, size = q_BTHD.shape
    keys = k_BTKD.shape[2]
    q_BTKGD = q_BTHD.reshape(batch, length, keys, heads // keys, size)
    scores = jnp.einsum("btkgd,bskd->bkgts", q_BTKGD, k_BTKD, preferred_element_type=jnp.float32)
    scores = capped(scores * scale, softcap)
    scores = jnp.where(seen_BTS[:, None, None], scores, _MASKED)
    weights = jax.nn.softmax(scores, axis=-1).astype(v_BTKD.dtype)
    out = jnp.einsum("bkgts,bskd->btkgd", weights, v_BTKD)
    return out.reshape(batch, length, heads, size).astype(q_BTHD.dtype)
