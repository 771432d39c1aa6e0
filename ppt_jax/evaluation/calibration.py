r"""Calibration of confidences c in [0, 1] against outcomes y (0/1, or soft in [0, 1]).

A predictor is calibrated when ``E[y | c] = c``. Every error here is biased upward on finite
samples, so it means nothing without its null: the same error when outcomes are drawn from the
confidences themselves (the tables print its mean and 95% quantile beside each value).

Binned errors come in two steps, bin index per item and sums per bin, because sums are linear in
the item weights: one matrix product then gives all bootstrap replicates (`error_from_sums` takes
leading axes). Ties are compared as integer ranks and never split between bins, bins include 0 and
1, and the order of items does not matter. All functions are pure `jnp` and take item weights; those
of bin sums work on numpy arrays as they do on JAX ones.

Axes: N items, B bins, M cells of the smoothing grid.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import jax.scipy as jsp
import numpy as np

Array = jax.Array | np.ndarray
Scheme = Literal["auto", "distinct", "width", "mass"]
MAX_DISTINCT = 101  # up to so many distinct confidences, "auto" gives each its own bin
_EDGE_TOLERANCE = 1e-6  # a confidence this close below a bin edge counts as on the edge


class BinSums(NamedTuple):
    """Weighted sums per bin; every field is [..., B]. Linear in the item weights."""

    weight: Array
    conf: Array
    outcome: Array
    conf_squared: Array
    outcome_squared: Array
    product: Array


class Decomposition(NamedTuple):
    """Brier score and its five exact parts, see `decomposition_from_sums`."""

    brier: Array
    reliability: Array
    resolution: Array
    uncertainty: Array
    within_bin_variance: Array
    within_bin_covariance: Array


def distinct_ranks(conf_N: jax.Array) -> jax.Array:
    """Dense rank of each confidence: equal values share a rank, ranks run from 0 without gaps."""
    order = jnp.argsort(conf_N)
    ordered = conf_N[order]
    new = jnp.concatenate([jnp.zeros(1, bool), ordered[1:] != ordered[:-1]])
    return jnp.zeros(conf_N.shape[0], jnp.int32).at[order].set(jnp.cumsum(new).astype(jnp.int32))


def bin_index(
    conf_N: jax.Array, weight_N: jax.Array, scheme: Scheme = "mass", bins: int = 15
) -> jax.Array:
    """Bin of each item.

    ``distinct`` gives every distinct confidence its own bin. ``auto`` does so when there are at
    most 101 of them (verbal percentages should be compared as they are), else it is ``mass``.
    ``width`` cuts [0, 1] into equal parts, each closed on the left, the last on both sides.
    ``mass`` gives bins equal weight as far as ties allow: a group of ties goes where the middle of
    its cumulative weight lies.

    Args:
      conf_N: confidences in [0, 1].
      weight_N: item weights (used by ``mass``).
      scheme: see above.
      bins: number of bins (static; ``distinct`` ignores it and may use up to N).

    Returns:
      int32 [N].
    """
    if scheme == "width":
        return jnp.clip(jnp.floor(conf_N * bins + _EDGE_TOLERANCE), 0, bins - 1).astype(jnp.int32)
    rank_N = distinct_ranks(conf_N)
    if scheme == "distinct":
        return rank_N
    if scheme == "auto":
        # ranks of what weighs: padding must not count as a value of its own
        own_N = distinct_ranks(jnp.where(weight_N > 0, conf_N, jnp.max(conf_N)))
        few = jnp.max(own_N, initial=0) < MAX_DISTINCT
        return jnp.where(few, own_N, bin_index(conf_N, weight_N, "mass", bins))
    size = conf_N.shape[0]
    group = jnp.zeros(size, conf_N.dtype).at[rank_N].add(weight_N)
    middle = (jnp.cumsum(group) - group / 2) / jnp.maximum(jnp.sum(group), 1e-30)
    index = jnp.clip(jnp.floor(middle * bins + _EDGE_TOLERANCE), 0, bins - 1).astype(jnp.int32)
    return index[rank_N]


def bin_count(scheme: Scheme, bins: int, size: int) -> int:
    """How many bins `bin_index` may use for ``size`` items."""
    return {"distinct": size, "auto": max(bins, MAX_DISTINCT)}.get(scheme, bins)


def bin_sums(
    conf_N: jax.Array, y_N: jax.Array, weight_N: jax.Array, index_N: jax.Array, bins: int
) -> BinSums:
    """Weighted sums of confidence, outcome and their squares per bin (see `BinSums`)."""
    rows = [jnp.ones_like(conf_N), conf_N, y_N, conf_N**2, y_N**2, conf_N * y_N]
    return BinSums(*(jnp.zeros(bins, conf_N.dtype).at[index_N].add(weight_N * x) for x in rows))


def _safe(x: Array) -> Any:
    xp = x.__array_namespace__()
    return xp.where(x > 0, x, 1.0)


def _nan_if_empty(value: Array, sums: BinSums) -> Any:
    xp = sums.weight.__array_namespace__()
    return xp.where(xp.sum(sums.weight, axis=-1) > 0, value, xp.nan)


def error_from_sums(sums: BinSums, norm: float = 1) -> Any:
    """Binned calibration error from bin sums.

    Args:
      sums: sums per bin, leading axes are replicates.
      norm: 1 for the weighted mean of |mean outcome - mean confidence|, 2 for the root of the
        weighted mean square, ``inf`` for the largest (MCE).

    Returns:
      [...]; NaN where nothing weighs.
    """
    xp = sums.weight.__array_namespace__()
    gap = xp.abs(sums.outcome - sums.conf) / _safe(sums.weight)
    share = sums.weight / _safe(xp.sum(sums.weight, axis=-1, keepdims=True))
    if norm == 1:
        value = xp.sum(share * gap, axis=-1)
    elif norm == 2:
        value = xp.sqrt(xp.sum(share * gap**2, axis=-1))
    else:
        value = xp.max(xp.where(sums.weight > 0, gap, 0.0), axis=-1)
    return _nan_if_empty(value, sums)


def debiased_from_sums(sums: BinSums) -> Any:
    """Debiased squared L2 calibration error; may be negative, has mean near 0 under calibration.

    From each bin's squared gap the sampling variance of its mean outcome, the sample variance
    over n, is subtracted (Kumar, Liang & Ma 2019, with the sample variance so that soft outcomes
    are right too); bins with one item or less are left out of the correction.
    """
    n, xp = sums.weight, sums.weight.__array_namespace__()
    gap = (sums.outcome - sums.conf) / _safe(n)
    variance = xp.maximum(sums.outcome_squared / _safe(n) - (sums.outcome / _safe(n)) ** 2, 0)
    correction = xp.where(n > 1, variance / _safe(n - 1), 0.0)
    share = n / _safe(xp.sum(n, axis=-1, keepdims=True))
    return _nan_if_empty(xp.sum(share * (gap**2 - correction), axis=-1), sums)


def decomposition_from_sums(sums: BinSums) -> Decomposition:
    """Exact Brier decomposition from bin sums (Stephenson, Coelho & Jolliffe 2008).

    Unlike the three-term form it adds up whatever the bins: ``brier = reliability - resolution +
    uncertainty + within_bin_variance - within_bin_covariance`` (the last is twice the covariance).
    """
    xp = sums.weight.__array_namespace__()
    n, total = sums.weight, _safe(xp.sum(sums.weight, axis=-1))
    share = n / total[..., None]
    conf, outcome = sums.conf / _safe(n), sums.outcome / _safe(n)
    base = xp.sum(sums.outcome, axis=-1) / total
    variance = sums.conf_squared / _safe(n) - conf**2
    covariance = sums.product / _safe(n) - conf * outcome
    brier = xp.sum(sums.conf_squared + sums.outcome_squared - 2 * sums.product, axis=-1) / total
    parts = (
        brier,
        xp.sum(share * (conf - outcome) ** 2, axis=-1),
        xp.sum(share * (outcome - base[..., None]) ** 2, axis=-1),
        xp.sum(sums.outcome_squared, axis=-1) / total - base**2,
        xp.sum(share * variance, axis=-1),
        2 * xp.sum(share * covariance, axis=-1),
    )
    return Decomposition(*(_nan_if_empty(part, sums) for part in parts))


def _sums(
    conf_N: jax.Array, y_N: jax.Array, weight_N: jax.Array, scheme: Scheme, bins: int
) -> BinSums:
    count = bin_count(scheme, bins, conf_N.shape[0])
    return bin_sums(conf_N, y_N, weight_N, bin_index(conf_N, weight_N, scheme, bins), count)


def calibration_error(
    conf_N: jax.Array,
    y_N: jax.Array,
    weight_N: jax.Array,
    *,
    scheme: Scheme = "mass",
    bins: int = 15,
    norm: float = 1,
) -> jax.Array:
    """Binned calibration error (ECE for ``norm=1``, MCE for ``norm=inf``).

    Args:
      conf_N: confidences in [0, 1].
      y_N: outcomes, 0/1 or soft.
      weight_N: item weights.
      scheme: ``auto``, ``distinct``, ``width`` or ``mass`` (see `bin_index`).
      bins: number of bins for ``width`` and ``mass``.
      norm: 1, 2 or ``inf``.

    Returns:
      Scalar; NaN when nothing weighs.

    Example:
      >>> c = jnp.array([1.0] * 50 + [0.95] * 50)
      >>> y = jnp.array([1.0] * 25 + [0.0] * 25 + [1.0] * 50)
      >>> float(calibration_error(c, y, jnp.ones(100), scheme="distinct")).__round__(4)
      0.275
    """
    return error_from_sums(_sums(conf_N, y_N, weight_N, scheme, bins), norm)


def debiased_error(
    conf_N: jax.Array,
    y_N: jax.Array,
    weight_N: jax.Array,
    *,
    scheme: Scheme = "mass",
    bins: int = 15,
) -> jax.Array:
    """Debiased squared L2 calibration error, see `debiased_from_sums`."""
    return debiased_from_sums(_sums(conf_N, y_N, weight_N, scheme, bins))


def brier_decomposition(
    conf_N: jax.Array,
    y_N: jax.Array,
    weight_N: jax.Array,
    *,
    scheme: Scheme = "mass",
    bins: int = 15,
) -> Decomposition:
    """Brier score of P(event) with its five exact parts, see `decomposition_from_sums`."""
    return decomposition_from_sums(_sums(conf_N, y_N, weight_N, scheme, bins))


def deposit(conf_N: jax.Array, mass_N: jax.Array, cells: int) -> jax.Array:
    """Puts masses at confidences onto M cell centres, split linearly between neighbours.

    Linear in ``mass_N``; near 0 and 1 all mass goes to the outermost cell (reflection).

    Returns:
      [M], of the same sum as ``mass_N``.
    """
    place = jnp.clip(conf_N * cells - 0.5, 0, cells - 1)
    left = jnp.clip(jnp.floor(place), 0, cells - 2).astype(jnp.int32)
    right_share = place - left
    grid = jnp.zeros(cells, mass_N.dtype)
    return grid.at[left].add(mass_N * (1 - right_share)).at[left + 1].add(mass_N * right_share)


def smooth_grid(grid_M: jax.Array, sigma: jax.Array) -> jax.Array:
    """Gaussian smoothing with reflection at 0 and 1, exact in the cosine basis (DCT-II).

    Args:
      grid_M: [..., M] masses on cell centres.
      sigma: [...] bandwidth, in units of the confidence.
    """
    cells = grid_M.shape[-1]
    frequency = jnp.arange(cells, dtype=grid_M.dtype) * jnp.pi
    damping = jnp.exp(-0.5 * (jnp.asarray(sigma)[..., None] * frequency) ** 2)
    return jsp.fft.idct(jsp.fft.dct(grid_M, norm="ortho") * damping, norm="ortho")


def smooth_error_from_grid(residual_M: jax.Array, steps: int = 14) -> tuple[jax.Array, jax.Array]:
    """Smooth ECE of gridded residuals, see `smooth_calibration_error`; leading axes are replicates.

    Args:
      residual_M: [..., M], ``deposit(conf, weight * (y - conf) / sum(weight))``.
      steps: bisection steps for the bandwidth.

    Returns:
      smECE [...] and its bandwidth [...].
    """
    spectrum = jsp.fft.dct(residual_M, norm="ortho")
    frequency = jnp.arange(residual_M.shape[-1], dtype=residual_M.dtype) * jnp.pi

    def error(sigma: jax.Array) -> jax.Array:
        damped = spectrum * jnp.exp(-0.5 * (sigma[..., None] * frequency) ** 2)
        return jnp.sum(jnp.abs(jsp.fft.idct(damped, norm="ortho")), axis=-1)

    def halve(_: int, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = ends
        middle = 0.5 * (low + high)
        above = error(middle) > middle  # the error falls with sigma, so the fixed point is higher
        return jnp.where(above, middle, low), jnp.where(above, high, middle)

    shape, dtype = residual_M.shape[:-1], residual_M.dtype
    ends = (jnp.zeros(shape, dtype), jnp.ones(shape, dtype))
    low, high = jax.lax.fori_loop(0, steps, halve, jax.lax.stop_gradient(ends))
    sigma = jax.lax.stop_gradient(0.5 * (low + high))
    return error(sigma), sigma


def smooth_calibration_error(
    conf_N: jax.Array, y_N: jax.Array, weight_N: jax.Array, *, cells: int = 1024
) -> tuple[jax.Array, jax.Array]:
    r"""Smooth ECE: bin-free, with no parameter to choose (Blasiok & Nakkiran 2023).

    ``smECE_sigma = \int_0^1 |mean_i (y_i - c_i) K_sigma(t, c_i)| dt`` with a Gaussian kernel
    reflected at 0 and 1, at the bandwidth where ``smECE_sigma = sigma``. The gradient holds the
    bandwidth fixed.

    Args:
      conf_N: confidences in [0, 1].
      y_N: outcomes, 0/1 or soft.
      weight_N: item weights.
      cells: cells of the grid (static); the error is below 1e-5 for 1,024 cells and sigma > 0.02.

    Returns:
      smECE and the bandwidth sigma; NaN when nothing weighs.
    """
    total = jnp.sum(weight_N)
    residual = deposit(conf_N, weight_N * (y_N - conf_N) / _safe(total), cells)
    value, sigma = smooth_error_from_grid(residual)
    return jnp.where(total > 0, value, jnp.nan), jnp.where(total > 0, sigma, jnp.nan)


def reliability_curve(
    weight_M: jax.Array, outcome_M: jax.Array, sigma: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Kernel-smoothed mean outcome at every cell centre: the line of a reliability diagram.

    Args:
      weight_M: [..., M] gridded weights (``deposit(conf, weight)``).
      outcome_M: [..., M] gridded weighted outcomes (``deposit(conf, weight * y)``).
      sigma: bandwidth.

    Returns:
      Mean outcome [..., M] (NaN where there is next to no weight) and density of confidences
      [..., M].
    """
    mass, hits = smooth_grid(weight_M, sigma), smooth_grid(outcome_M, sigma)
    cells = weight_M.shape[-1]
    density = mass * cells / _safe(jnp.sum(weight_M, axis=-1, keepdims=True))
    curve = jnp.where(density > 1e-3, hits / jnp.where(mass > 0, mass, 1.0), jnp.nan)
    return curve, density


def sweep_edges(weight_G: jax.Array, max_bins: int = 32) -> jax.Array:
    """Bins of equal weight for every number of bins 1..max_bins, over sorted groups of ties.

    Args:
      weight_G: weight of each distinct confidence, ascending.
      max_bins: largest number of bins that is tried (static).

    Returns:
      int32 [max_bins, max_bins + 1]: row b - 1 holds the first group of each of its b bins, then G.
    """
    middle = (jnp.cumsum(weight_G) - weight_G / 2) / _safe(jnp.sum(weight_G))

    def one(count: jax.Array) -> jax.Array:
        index = jnp.clip(jnp.floor(middle * count + _EDGE_TOLERANCE), 0, count - 1)
        starts = jnp.searchsorted(index, jnp.arange(max_bins + 1, dtype=index.dtype))
        return starts.at[max_bins].set(weight_G.shape[0]).astype(jnp.int32)

    return jax.vmap(one)(jnp.arange(1, max_bins + 1, dtype=weight_G.dtype))


def sums_between(x_G: jax.Array, edges: jax.Array) -> jax.Array:
    """Sums of sorted groups [..., G] between consecutive edges, whatever the shape of `edges`."""
    below = jnp.concatenate([jnp.zeros_like(x_G[..., :1]), jnp.cumsum(x_G, axis=-1)], axis=-1)
    at = jnp.take(below, edges, axis=-1)
    return at[..., 1:] - at[..., :-1]


def sweep_from_groups(
    weight_G: jax.Array, conf_G: jax.Array, outcome_G: jax.Array, edges: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """ECE-sweep of sorted groups and its number of bins, see `sweep_error`.

    Args:
      weight_G, conf_G, outcome_G: [..., G] weight, weight times confidence, weight times outcome of
        each distinct confidence; leading axes are replicates.
      edges: of `sweep_edges`.
    """
    return sweep_from_sums(*(sums_between(x, edges) for x in (weight_G, conf_G, outcome_G)))


def sweep_from_sums(
    weight: jax.Array, conf: jax.Array, outcome: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """ECE-sweep from weighted sums [..., b, bin] of 1, 2, ... bins, see `sweep_error`."""
    mean = jnp.where(weight > 0, outcome / _safe(weight), -jnp.inf)
    highest = jax.lax.cummax(mean, axis=mean.ndim - 1)
    before = jnp.concatenate([jnp.full_like(mean[..., :1], -jnp.inf), highest[..., :-1]], axis=-1)
    rises = jnp.all((weight <= 0) | (mean >= before - 1e-9), axis=-1)
    count = jnp.sum(jnp.cumprod(rises, axis=-1), axis=-1)  # one bin always rises
    total = jnp.sum(weight[..., 0, :], axis=-1, keepdims=True)
    errors = jnp.sum(jnp.abs(outcome - conf), axis=-1) / _safe(total)
    value = jnp.take_along_axis(errors, jnp.maximum(count - 1, 0)[..., None], axis=-1)[..., 0]
    empty = total[..., 0] <= 0
    return jnp.where(empty, jnp.nan, value), jnp.where(empty, 0, count)


def sweep_error(
    conf_N: jax.Array, y_N: jax.Array, weight_N: jax.Array, *, max_bins: int = 32
) -> tuple[jax.Array, jax.Array]:
    """ECE-sweep: equal-weight bins, as many as keep the bin means of the outcome rising.

    Bins are added one by one until a bin's mean outcome falls below that of the bin before it
    (Roelofs, Cain, Shlens & Mozer 2022); the error is that of the last number before. Ties are
    never split.

    Args:
      conf_N, y_N, weight_N: as in `calibration_error`.
      max_bins: where the search ends (static).

    Returns:
      The error and the number of bins; NaN and 0 when nothing weighs.
    """
    rank_N = distinct_ranks(jnp.where(weight_N > 0, conf_N, jnp.max(conf_N)))
    zeros = jnp.zeros(conf_N.shape[0], conf_N.dtype)
    columns = (jnp.ones_like(conf_N), conf_N, y_N)
    kept = (jnp.where(weight_N > 0, weight_N * x, 0.0) for x in columns)
    weight_G, conf_G, outcome_G = (zeros.at[rank_N].add(x) for x in kept)
    edges = sweep_edges(weight_G, max_bins)
    return sweep_from_groups(weight_G, conf_G, outcome_G, edges)
