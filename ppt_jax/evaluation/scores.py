r"""Scores of an answer distribution against a posterior or an outcome.

Everything is pure `jnp`, works under jit, vmap and grad, and acts on the last axis, so any leading
axes are items. `p` is the model's distribution, `q` the target; an *outcome* is the target that
puts all mass on one answer (`outcome_target`). Answers of zero mass in both may be appended
freely (their position repeated), which is how supports of different sizes share one array. Scores
are averaged by `weighted_mean`; weight 0 is padding, integer weights are repetitions.

Every proper score S here obeys ``E_{Y~q} S(p, Y) = H_S(q) + d_S(p, q)``; ``mode="score"`` gives
the left side, ``mode="divergence"`` gives ``d_S``. For an outcome both are the same number.

Axes: N items, K answers, L levels, B bins.
Definitions, conventions and oracles: docs/scores.md. Gneiting & Raftery (2007) for proper scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import jax
import jax.numpy as jnp

Mode = Literal["score", "divergence"]
EPS = 1e-9  # probabilities inside logarithms are floored here, declared in every results table


def _xlogy(x: jax.Array, y: jax.Array) -> jax.Array:
    """``x log y`` with 0 where x is 0, and finite gradients there."""
    return jnp.where(x > 0, x * jnp.log(jnp.where(x > 0, y, 1.0)), 0.0)


def weighted_mean(x_N: jax.Array, weight_N: jax.Array) -> jax.Array:
    """Weighted mean over items; NaN when all weights are 0.

    Items of weight 0 do not count whatever their value, NaN included.
    """
    total = jnp.sum(weight_N)
    kept = jnp.where(weight_N > 0, x_N, 0.0)
    return jnp.where(
        total > 0, jnp.sum(weight_N * kept) / jnp.where(total > 0, total, 1.0), jnp.nan
    )


def outcome_target(answer_N: jax.Array, size: int) -> jax.Array:
    """One-hot targets [N, K] of outcomes given as answer indices."""
    return jax.nn.one_hot(answer_N, size)


def entropy(q_NK: jax.Array) -> jax.Array:
    """Shannon entropy in nats: the floor of the cross-entropy."""
    return -jnp.sum(_xlogy(q_NK, q_NK), axis=-1)


def cross_entropy(p_NK: jax.Array, q_NK: jax.Array, eps: float = EPS) -> jax.Array:
    """``-sum_k q_k log max(p_k, eps)`` in nats; equals ``entropy(q) + kl(q || p)``.

    Example:
      >>> float(cross_entropy(jnp.array([0.5, 0.5]), jnp.array([0.0, 1.0]))).__round__(4)
      0.6931
    """
    return -jnp.sum(_xlogy(q_NK, jnp.maximum(p_NK, eps)), axis=-1)


def kl_divergence(q_NK: jax.Array, p_NK: jax.Array, eps: float = EPS) -> jax.Array:
    """``KL(q || p) = sum_k q_k log(q_k / max(p_k, eps))`` in nats; only p is floored."""
    return jnp.sum(_xlogy(q_NK, q_NK) - _xlogy(q_NK, jnp.maximum(p_NK, eps)), axis=-1)


def jensen_shannon(p_NK: jax.Array, q_NK: jax.Array) -> jax.Array:
    """Jensen-Shannon divergence in nats, weights 1/2 (not its square root); at most log 2."""
    m_NK = 0.5 * (p_NK + q_NK)
    return entropy(m_NK) - 0.5 * (entropy(p_NK) + entropy(q_NK))


def total_variation(p_NK: jax.Array, q_NK: jax.Array) -> jax.Array:
    """``1/2 sum_k |p_k - q_k|``, in [0, 1]."""
    return 0.5 * jnp.sum(jnp.abs(p_NK - q_NK), axis=-1)


def _steps(position_NK: jax.Array) -> jax.Array:
    return jnp.diff(position_NK, axis=-1)


def wasserstein(p_NK: jax.Array, q_NK: jax.Array, position_NK: jax.Array) -> jax.Array:
    """Wasserstein-1 distance ``integral |F_p - F_q| dx`` in units of the positions."""
    gap = jnp.cumsum(p_NK - q_NK, axis=-1)[..., :-1]
    return jnp.sum(jnp.abs(gap) * _steps(position_NK), axis=-1)


def crps(
    p_NK: jax.Array, q_NK: jax.Array, position_NK: jax.Array, mode: Mode = "divergence"
) -> jax.Array:
    """Continuous ranked probability score of a distribution on ordered positions.

    Divergence mode is the Cramer divergence ``integral (F_p - F_q)^2 dx``; score mode is
    ``E_{y~q} integral (F_p(x) - 1{y <= x})^2 dx``. Against an outcome both are the usual CRPS.

    Args:
      p_NK: model distribution.
      q_NK: target distribution (one-hot for an outcome).
      position_NK: position of each answer, not decreasing; broadcasts.
      mode: ``"divergence"`` or ``"score"``.

    Returns:
      [N], in units of the positions.
    """
    f_p = jnp.cumsum(p_NK, axis=-1)[..., :-1]
    f_q = jnp.cumsum(q_NK, axis=-1)[..., :-1]
    if mode == "divergence":
        inside = (f_p - f_q) ** 2
    else:
        inside = f_p**2 * (1 - f_q) + (1 - f_p) ** 2 * f_q
    return jnp.sum(inside * _steps(position_NK), axis=-1)


def ranked_probability_score(
    p_NK: jax.Array, q_NK: jax.Array, mode: Mode = "divergence", *, normalise: bool = False
) -> jax.Array:
    """RPS: `crps` with unit steps; divided by K - 1 when ``normalise``.

    ``normalise`` uses the array's K, so it is for supports that are not padded.
    """
    size = p_NK.shape[-1]
    value = crps(p_NK, q_NK, jnp.arange(size, dtype=p_NK.dtype), mode)
    return value / (size - 1) if normalise else value


def brier(p_NK: jax.Array, q_NK: jax.Array, mode: Mode = "divergence") -> jax.Array:
    """Brier score, summed over answers (0..2 against an outcome; no factor 1/2).

    Divergence mode is ``sum_k (p_k - q_k)^2``, score mode ``E_{y~q} sum_k (p_k - 1{k=y})^2``.
    """
    if mode == "divergence":
        return jnp.sum((p_NK - q_NK) ** 2, axis=-1)
    return jnp.sum(p_NK**2, axis=-1) - 2 * jnp.sum(p_NK * q_NK, axis=-1) + jnp.sum(q_NK, axis=-1)


def log_score(
    p_NK: jax.Array, q_NK: jax.Array, mode: Mode = "divergence", eps: float = EPS
) -> jax.Array:
    """Logarithmic score in nats: cross-entropy (score mode) or KL(q || p) (divergence mode)."""
    return cross_entropy(p_NK, q_NK, eps) if mode == "score" else kl_divergence(q_NK, p_NK, eps)


def mean(p_NK: jax.Array, position_NK: jax.Array) -> jax.Array:
    """Mean position of a distribution."""
    return jnp.sum(p_NK * position_NK, axis=-1)


def spread(p_NK: jax.Array, position_NK: jax.Array) -> jax.Array:
    """Standard deviation on the positions, with Sheppard's 1/12 of a squared step added.

    An answer stands for a cell one step wide, so a distribution on one answer has the spread of
    that cell rather than 0, and ratios of spreads stay finite. For evenly spaced positions.
    """
    centre = mean(p_NK, position_NK)[..., None]
    variance = jnp.sum(p_NK * (position_NK - centre) ** 2, axis=-1)
    step = position_NK[..., 1] - position_NK[..., 0]
    return jnp.sqrt(variance + step**2 / 12)


def quantile(p_NK: jax.Array, position_NK: jax.Array, level: float) -> jax.Array:
    """Smallest position whose cumulative probability reaches ``level``."""
    reached = jnp.cumsum(p_NK, axis=-1) >= level - 1e-6
    first = jnp.argmax(reached.at[..., -1].set(True), axis=-1)
    position_NK = jnp.broadcast_to(position_NK, p_NK.shape)
    return jnp.take_along_axis(position_NK, first[..., None], axis=-1)[..., 0]


def pinball(quantile_N: jax.Array, y_N: jax.Array, level: float) -> jax.Array:
    """Pinball loss ``max(level (y - x), (level - 1)(y - x))`` of a quantile forecast."""
    gap = y_N - quantile_N
    return jnp.maximum(level * gap, (level - 1) * gap)


def interval_score(low_N: jax.Array, high_N: jax.Array, y_N: jax.Array, level: float) -> jax.Array:
    """Interval score of a central interval of the given coverage (Winkler 1972)."""
    alpha = 1 - level
    below, above = jnp.maximum(low_N - y_N, 0), jnp.maximum(y_N - high_N, 0)
    return (high_N - low_N) + (2 / alpha) * (below + above)


def _expected_pinball(
    quantile_N: jax.Array, q_NK: jax.Array, position_NK: jax.Array, level: float
) -> jax.Array:
    return jnp.sum(q_NK * pinball(quantile_N[..., None], position_NK, level), axis=-1)


def quantile_score(
    p_NK: jax.Array,
    q_NK: jax.Array,
    position_NK: jax.Array,
    level: float,
    mode: Mode = "divergence",
) -> jax.Array:
    """Pinball loss of the distribution's own quantile, expected under the target.

    Divergence mode subtracts what the target's own quantile would score, so it is 0 at p = q
    (and wherever both have the same quantile: the score is proper, not strictly). For an outcome
    both modes are `pinball` of the quantile.

    Args:
      p_NK, q_NK, position_NK: see `crps`.
      level: in (0, 1).
      mode: ``"divergence"`` or ``"score"``.
    """
    value = _expected_pinball(quantile(p_NK, position_NK, level), q_NK, position_NK, level)
    if mode == "score":
        return value
    return value - _expected_pinball(quantile(q_NK, position_NK, level), q_NK, position_NK, level)


def central_interval(
    p_NK: jax.Array, position_NK: jax.Array, level: float
) -> tuple[jax.Array, jax.Array]:
    """Ends of the equal-tailed interval of this coverage; their gap is its width (sharpness).

    With discrete answers it covers at least ``level``; `coverage` says how a calibrated model
    covers exactly.
    """
    tail = (1 - level) / 2
    return quantile(p_NK, position_NK, tail), quantile(p_NK, position_NK, 1 - tail)


def weighted_interval_score(
    p_NK: jax.Array,
    q_NK: jax.Array,
    position_NK: jax.Array,
    levels: Sequence[float] = (0.5, 0.8, 0.9, 0.95),
    mode: Mode = "divergence",
) -> jax.Array:
    """Weighted interval score (Bracher et al. 2021) of the median and central intervals.

    ``(|y - median|/2 + sum_l (1 - l)/2 IS_l(y)) / (L + 1/2)``, which is the mean pinball loss of
    all ends and the median times ``(2L + 1) / (L + 1/2) = 2``; it tends to the CRPS with many
    levels. Modes as in `quantile_score`.

    Args:
      p_NK, q_NK, position_NK: see `crps`.
      levels: coverages of the central intervals.
      mode: ``"divergence"`` or ``"score"``.

    Returns:
      [N], in units of the positions.
    """
    ends = [0.5, *((1 - x) / 2 for x in levels), *((1 + x) / 2 for x in levels)]
    total = sum(quantile_score(p_NK, q_NK, position_NK, end, mode) for end in ends)
    return jnp.asarray(total) / (len(levels) + 0.5)


def pit_interval(p_NK: jax.Array, answer_N: jax.Array) -> tuple[jax.Array, jax.Array]:
    """``F(y-)`` and ``F(y)`` of each outcome: the randomised PIT is uniform between them."""
    high = jnp.take_along_axis(jnp.cumsum(p_NK, axis=-1), answer_N[..., None], axis=-1)[..., 0]
    low = high - jnp.take_along_axis(p_NK, answer_N[..., None], axis=-1)[..., 0]
    return jnp.clip(low, 0, 1), jnp.clip(high, 0, 1)


def randomised_pit(p_NK: jax.Array, answer_N: jax.Array, u_N: jax.Array) -> jax.Array:
    """``F(y-) + u (F(y) - F(y-))``; exactly uniform when y ~ p and u ~ U(0, 1)."""
    low, high = pit_interval(p_NK, answer_N)
    return low + u_N * (high - low)


def pit_share(
    p_NK: jax.Array, answer_N: jax.Array, from_L: jax.Array, to_L: jax.Array
) -> jax.Array:
    """Probability that the randomised PIT falls into each of the intervals (no randomness left).

    The non-randomised PIT of Czado, Gneiting & Held (2009): its mean over items is the PIT
    histogram.

    Args:
      p_NK: model distribution.
      answer_N: outcome, answer index.
      from_L: left ends, closed.
      to_L: right ends, open except at 1.

    Returns:
      [N, L] in [0, 1].
    """
    low, high = (x[..., None] for x in pit_interval(p_NK, answer_N))
    width = high - low
    overlap = jnp.minimum(high, to_L) - jnp.maximum(low, from_L)
    share = jnp.clip(overlap, 0) / jnp.where(width > 1e-12, width, 1.0)
    inside = (low >= from_L) & ((low < to_L) | ((to_L >= 1) & (low >= 1)))
    return jnp.where(width > 1e-12, jnp.clip(share, 0, 1), inside.astype(p_NK.dtype))


def coverage(p_NK: jax.Array, answer_N: jax.Array, level_L: jax.Array) -> jax.Array:
    """Probability [N, L] that the central interval of each level covers the outcome.

    Discrete answers are handled by `pit_share`, so a calibrated model has expected coverage exactly
    equal to the level.
    """
    return pit_share(p_NK, answer_N, (1 - level_L) / 2, (1 + level_L) / 2)


def temper(logp_NK: jax.Array, temperature: jax.Array) -> jax.Array:
    """``p^(1/T)`` renormalised: temperature scaling of an answer histogram.

    Args:
      logp_NK: log-probabilities, finite for real answers and ``-inf`` for padding.
      temperature: T > 0; scalar, or broadcasting against ``logp_NK``.
    """
    real = jnp.isfinite(logp_NK)
    scaled = jnp.where(real, logp_NK, 0.0) / temperature
    return jax.nn.softmax(jnp.where(real, scaled, -jnp.inf), axis=-1)


def pearson(x_N: jax.Array, y_N: jax.Array, weight_N: jax.Array) -> jax.Array:
    """Weighted Pearson correlation; NaN when a side is constant or fewer than two items weigh."""
    w = weight_N / jnp.sum(weight_N)
    x, y = jnp.where(w > 0, x_N, 0.0), jnp.where(w > 0, y_N, 0.0)
    dx, dy = x - jnp.sum(w * x), y - jnp.sum(w * y)
    variance_x, variance_y = jnp.sum(w * dx**2), jnp.sum(w * dy**2)
    # a variance within rounding of the mean square is a constant
    varies = (variance_x > 1e-12 * jnp.sum(w * x**2)) & (variance_y > 1e-12 * jnp.sum(w * y**2))
    value = jnp.sum(w * dx * dy) / jnp.sqrt(jnp.where(varies, variance_x * variance_y, 1.0))
    return jnp.where(varies, value, jnp.nan)
