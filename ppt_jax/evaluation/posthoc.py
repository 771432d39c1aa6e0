"""Post-hoc temperature scaling: the cheapest way to better uncertainty, and so the row to beat.

One temperature per ask kind is fitted on validation items by the soft-label cross-entropy, which is
convex in 1/T, and applied to the histogram over the valid answers. A kind with few validation items
takes the temperature pooled over all kinds.

Axes: N items, K answers.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Collection, Iterable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from ppt_jax.errors import UserError
from ppt_jax.evaluation import scores
from ppt_jax.evaluation.items import KINDS, Item

BOUNDS = (0.05, 20.0)
POOLED = "all"


class OverlapError(UserError):
    """Items to be corrected were also used for fitting the correction."""


@dataclasses.dataclass(frozen=True)
class Temperature:
    """A fitted temperature; ``at_bound`` says that the best one lies outside `BOUNDS`."""

    value: float
    n_fit: int
    at_bound: bool


@dataclasses.dataclass(frozen=True)
class TemperatureScaling:
    """Temperatures of one model by kind (and ``"all"``), with the ids they were fitted on."""

    by_kind: Mapping[str, Temperature]
    fitted_on: frozenset[str]

    def temperature(self, kind: str) -> Temperature:
        """Temperature of a kind, the pooled one where the kind had too few items."""
        return self.by_kind.get(kind, self.by_kind[POOLED])

    def refuse_overlap(self, item_ids: Collection[str]) -> None:
        """Raises `OverlapError` when any of these items was used for fitting."""
        shared = sorted(self.fitted_on.intersection(item_ids))
        if shared:
            raise OverlapError(
                f"temperature scaling was fitted on {len(shared)} of the items that it should "
                f"correct (first: {shared[0]!r}); fit it on a validation split"
            )

    def apply(self, items: Sequence[Item]) -> list[np.ndarray]:
        """Scaled answer distributions [K] of items (renormalised over the valid answers).

        Raises:
          OverlapError: an item was used for fitting.
        """
        self.refuse_overlap([item.item_id for item in items])
        return [temper(item.logp_K, self.temperature(item.kind).value) for item in items]


def temper(logp_K: np.ndarray, temperature: float) -> np.ndarray:
    """``p^(1/T)`` renormalised, on the host; probabilities are floored at ``scores.EPS`` first."""
    logits = np.maximum(logp_K - np.logaddexp.reduce(logp_K), np.log(scores.EPS)) / temperature
    p_K = np.exp(logits - logits.max())
    return p_K / p_K.sum()


@functools.partial(jax.jit, static_argnames="steps")
def fit_temperature(
    logp_NK: jax.Array, q_NK: jax.Array, weight_N: jax.Array, steps: int = 50
) -> tuple[jax.Array, jax.Array]:
    """Temperature that minimises the mean soft-label cross-entropy.

    With ``beta = 1/T`` the loss ``-sum q log softmax(beta logp)`` is convex, and its slope is the
    mean of logp under the tempered model minus the mean under the target: bisection on ``log
    beta``.

    Args:
      logp_NK: log-probabilities, finite for answers and ``-inf`` for padding.
      q_NK: targets.
      weight_N: item weights.
      steps: bisection steps (static).

    Returns:
      Temperature within `BOUNDS`, and whether it lies at a bound.
    """
    top = jnp.max(logp_NK, axis=-1, keepdims=True)  # any shift of a row leaves the slope as it is
    finite = jnp.where(jnp.isfinite(logp_NK), logp_NK - top, 0.0)

    def slope(beta: jax.Array) -> jax.Array:
        p_NK = scores.temper(logp_NK, 1 / beta)
        return jnp.sum(weight_N * jnp.sum((p_NK - q_NK) * finite, axis=-1))

    def halve(_: int, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = ends
        middle = 0.5 * (low + high)
        rising = slope(jnp.exp(middle)) > 0
        return jnp.where(rising, low, middle), jnp.where(rising, middle, high)

    low = jnp.log(jnp.asarray(1 / BOUNDS[1], logp_NK.dtype))
    high = jnp.log(jnp.asarray(1 / BOUNDS[0], logp_NK.dtype))
    # A slope of exactly 0 everywhere (all answers equal) keeps T = 1: nothing to scale.
    flat = jnp.abs(slope(jnp.asarray(1.0, logp_NK.dtype))) <= 0
    at_bound = ((slope(jnp.exp(low)) > 0) | (slope(jnp.exp(high)) < 0)) & ~flat
    ends = jax.lax.fori_loop(0, steps, halve, (low, high))
    temperature = jnp.exp(-0.5 * (ends[0] + ends[1]))
    return jnp.where(flat, 1.0, temperature), at_bound


def _stack(items: Sequence[Item], rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    width = max(len(item.support) for item in items)
    logp_NK, q_NK = np.full((rows, width), -np.inf), np.zeros((rows, width))
    logp_NK[len(items) :, 0] = 0.0  # padding rows weigh 0 and stay finite
    weight_N = np.zeros(rows)
    for n, item in enumerate(items):
        size = len(item.support)
        logp = item.logp_K - np.logaddexp.reduce(item.logp_K)
        logp_NK[n, :size] = np.maximum(logp, np.log(scores.EPS))
        q_NK[n, :size] = item.target_K
        weight_N[n] = 1.0
    return logp_NK, q_NK, weight_N


def fit_temperature_scaling(items: Iterable[Item], *, min_items: int = 20) -> TemperatureScaling:
    """Fits one temperature per ask kind, and one over all kinds, on validation items of one model.

    Args:
      items: validation items of one model.
      min_items: a kind with fewer items uses the pooled temperature.

    Raises:
      UserError: no items, or items of several models.
    """
    items = list(items)
    if not items:
        raise UserError("temperature scaling needs validation items, there are none")
    names = {item.model for item in items}
    if len(names) > 1:
        raise UserError(f"temperature scaling is fitted per model, got items of {sorted(names)}")
    fitted: dict[str, Temperature] = {}
    for kind in (POOLED, *KINDS):
        chosen = [item for item in items if kind in (POOLED, item.kind)]
        if not chosen or (kind != POOLED and len(chosen) < min_items):
            continue
        rows = 1 << (len(chosen) - 1).bit_length()  # few shapes, few compilations
        with jax.enable_x64(True):
            value, at_bound = fit_temperature(*map(jnp.asarray, _stack(chosen, rows)))
            fitted[kind] = Temperature(float(value), len(chosen), bool(at_bound))
    return TemperatureScaling(fitted, frozenset(item.item_id for item in items))
