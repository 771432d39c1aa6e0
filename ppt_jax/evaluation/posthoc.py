"""Post-hoc corrections of items: the cheapest ways to better uncertainty, and so the rows to beat.

`fit` fits one of `METHODS` on validation items of one model; the result corrects other items and
refuses those it was fitted on. Items are corrected in groups: one for each ordered kind, one for
each number of options of a ``choice``; a group with few validation items takes the temperature
pooled over all kinds. Everything is fitted by the (soft-label) cross-entropy with the targets and
acts on the histogram over the valid answers.

| method | options | 0..100 histograms |
| --- | --- | --- |
| ``temperature`` | ``p^(1/T)`` | the same |
| ``bias_temperature`` | ``p^(1/T)`` and a bias for every option | ``p^(1/T)`` moved by a shift |
| ``vector`` | a scale and a bias for every option | the same for every answer |
| ``platt`` | ``sigmoid(a logit c + m)`` | that curve on the distribution function |
| ``beta`` | ``sigmoid(a log c - b log(1 - c) + m)`` | that curve on the distribution function |
| ``isotonic`` | isotonic regression of the events | distribution function of the PIT |
| ``histogram`` | histogram binning of the events | distribution function of the PIT |
| ``mixing`` | mixing with the uniform distribution | the same |

Axes: N items, K answers.

Example:
  correction = fit("beta", validation_items)
  p_K = correction.apply(test_items)[0]
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppt_jax.errors import UserError
from ppt_jax.evaluation import recalibration, scores
from ppt_jax.evaluation import recalibration_fits as fits
from ppt_jax.evaluation.items import KINDS, Item
from ppt_jax.evaluation.recalibration import DistributionMap
from ppt_jax.evaluation.recalibration_fits import BOUNDS

METHODS = (
    *("temperature", "bias_temperature", "vector", "platt", "beta", "isotonic"),
    *("histogram", "mixing"),
)
POOLED = "all"


class OverlapError(UserError):
    """Items to be corrected were also used for fitting the correction."""


def _refuse_overlap(what: str, fitted_on: frozenset[str], item_ids: Collection[str]) -> None:
    shared = sorted(fitted_on.intersection(item_ids))
    if shared:
        raise OverlapError(
            f"{what} was fitted on {len(shared)} of the items that it should "
            f"correct (first: {shared[0]!r}); fit it on a validation split"
        )


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
        _refuse_overlap("temperature scaling", self.fitted_on, item_ids)

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


@dataclasses.dataclass(frozen=True)
class PostHoc:
    """One method fitted on the validation items of one model.

    Attributes:
      method: one of `METHODS`.
      by_group: group (``"value"``, ``"choice/3"``) -> fitted map; a group that is missing takes
        the temperature of `fallback`.
      fallback: temperature scaling on the same items (all there is for ``"temperature"``).
      fitted_on: ids of the items used.
    """

    method: str
    by_group: Mapping[str, DistributionMap]
    fallback: TemperatureScaling
    fitted_on: frozenset[str]

    def apply(self, items: Sequence[Item]) -> list[np.ndarray]:
        """Corrected answer distributions [K] of items, renormalised over the valid answers.

        Raises:
          OverlapError: an item was used for fitting.
        """
        _refuse_overlap(self.method, self.fitted_on, [item.item_id for item in items])
        out: dict[int, np.ndarray] = {}
        places: dict[str, list[int]] = {}
        for place, item in enumerate(items):
            places.setdefault(group_of(item), []).append(place)
        for group, own in places.items():
            fitted = self.by_group.get(group)
            if fitted is None:
                scaled = self.fallback.apply([items[n] for n in own])
            else:
                scaled = list(fitted.apply(np.stack([items[n].logp_K for n in own])))
            out |= dict(zip(own, scaled))
        return [out[place] for place in range(len(items))]

    def describe(self) -> list[dict[str, Any]]:
        """One row a group: method, group, ``n_fit``, ``at_bound`` and parameters, for tables."""
        rows = [
            {"method": self.method, "group": group, "n_fit": m.n_fit, "at_bound": m.at_bound}
            | {"parameters": m.parameters()}
            for group, m in self.by_group.items()
        ]
        for kind, t in self.fallback.by_kind.items():
            name = "temperature"
            row = {"method": name, "group": kind, "n_fit": t.n_fit, "at_bound": t.at_bound}
            rows.append(row | {"parameters": {"T": t.value}})
        return rows


def group_of(item: Item) -> str:
    """Items of one group are corrected alike: the kind, and for choices the number of options."""
    plain = item.kind != "choice" and len(item.support) == 101
    return item.kind if plain else f"{item.kind}/{len(item.support)}"


def fit(method: str, items: Iterable[Item], *, min_items: int = 20) -> PostHoc:
    """Fits one post-hoc correction on the validation items of one model.

    Args:
      method: one of `METHODS`.
      items: validation items of one model; their targets may be posteriors or outcomes.
      min_items: a group with fewer items takes the pooled temperature instead.

    Raises:
      UserError: no items, items of several models, or an unknown method.
    """
    if method not in METHODS:
        raise UserError(f"post-hoc method {method!r} is none of {', '.join(METHODS)}")
    items = list(items)
    scaling = fit_temperature_scaling(items, min_items=min_items)
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(group_of(item), []).append(item)
    fitted: dict[str, DistributionMap] = {}
    for group, own in sorted(groups.items()):
        if method != "temperature" and len(own) >= min_items:
            logp_NK = recalibration.floored(np.stack([item.logp_K for item in own]))
            q_NK = np.stack([item.target_K for item in own])
            fitted[group] = fit_group(method, logp_NK, q_NK, ordered=not group.startswith("choice"))
    return PostHoc(method, fitted, scaling, scaling.fitted_on)


def fit_group(
    method: str,
    logp_NK: np.ndarray,
    q_NK: np.ndarray,
    weight_N: np.ndarray | None = None,
    *,
    ordered: bool,
) -> DistributionMap:
    """Fits a method other than ``temperature`` on arrays; see the table of the module.

    Args:
      method: one of `METHODS`.
      logp_NK: log-probabilities of the K answers.
      q_NK: targets, sums 1.
      weight_N: item weights, 1 each when not given.
      ordered: whether the answers are a histogram on an ordered scale.

    Raises:
      UserError: an unknown method.
    """
    weight_N = np.ones(len(q_NK)) if weight_N is None else np.asarray(weight_N, np.float64)
    if method == "mixing":
        return fits.fit_uniform_mix(logp_NK, q_NK, weight_N)
    if method == "vector" or (method == "bias_temperature" and not ordered):
        return fits.fit_scale_bias(logp_NK, q_NK, weight_N, vector=method == "vector")
    if method == "bias_temperature":
        return fits.fit_shifted_temperature(logp_NK, q_NK, weight_N)
    if method in ("platt", "beta") and ordered:
        curve = fits.fit_logit_curve_ordered(logp_NK, q_NK, weight_N, platt=method == "platt")
        return recalibration.CurveOnOrdered(curve)
    if method in ("isotonic", "histogram") and ordered:
        return recalibration.CurveOnOrdered(fits.fit_pit_curve(logp_NK, q_NK, weight_N))
    # options: two are one event, more are one event each, of weight 1/K
    p_NK = recalibration.probs(logp_NK)
    size = p_NK.shape[1]
    chosen = slice(1, 2) if size == 2 else slice(None)
    conf_E, y_E = p_NK[:, chosen].ravel(), q_NK[:, chosen].ravel()
    weight_E = np.repeat(weight_N, 1 if size == 2 else size) / (1 if size == 2 else size)
    if method in ("platt", "beta"):
        curve_E = fits.fit_logit_curve(conf_E, y_E, weight_E, platt=method == "platt")
        return recalibration.CurveOnOptions(dataclasses.replace(curve_E, n_fit=len(q_NK)))
    if method not in ("isotonic", "histogram"):
        raise UserError(f"post-hoc method {method!r} is fitted by kind, or unknown")
    make = fits.fit_isotonic if method == "isotonic" else fits.fit_histogram
    steps = make(conf_E, y_E, weight_E)
    return recalibration.CurveOnOptions(dataclasses.replace(steps, n_fit=len(q_NK)))
