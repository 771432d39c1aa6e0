r"""How well confidences rank: AUROC, average precision, risk-coverage; ties are averaged.

Calibration says nothing about telling right from wrong; these do. Each metric needs only the
weight and the weight of positives at every distinct score, in ascending order (`Groups`), so the
order within ties cannot matter, weights are repetitions, and leading axes are replicates. All
functions are pure `jnp`.

Axes: N items, G groups of equal score (padded with weight 0 up to N).
Sources: Fawcett (2006) for ROC; Geifman & El-Yaniv (2017) and Geifman, Uziel & El-Yaniv (2019) for
risk-coverage, AURC and E-AURC; Malinin & Gales (2021) for the rejection ratio.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.scipy.special as jss

from ppt_jax.evaluation.calibration import distinct_ranks


class Groups(NamedTuple):
    """Items of equal score together, ascending; every field is [..., G].

    Attributes:
      weight: weight of the group.
      positive: weight times outcome, summed over the group.
    """

    weight: jax.Array
    positive: jax.Array


class Selective(NamedTuple):
    """Risk-coverage numbers; risk is the share of wrong answers among those kept.

    Attributes:
      risk: risk at full coverage, ``1 - accuracy``.
      aurc: mean risk over coverages, most confident first; lower is better.
      excess: ``aurc`` less that of the best possible order (E-AURC), at least 0.
      rejection_ratio: share of the possible gain over a random order that the confidences reach
        (PRR): 1 best, 0 random; NaN when all answers are right or all wrong.
    """

    risk: jax.Array
    aurc: jax.Array
    excess: jax.Array
    rejection_ratio: jax.Array


def _safe(x: jax.Array) -> jax.Array:
    return jnp.where(x > 0, x, 1.0)


def groups(score_N: jax.Array, y_N: jax.Array, weight_N: jax.Array) -> Groups:
    """Groups of equal score; `y_N` may be soft in [0, 1]."""
    rank_N = distinct_ranks(score_N)
    zeros = jnp.zeros(score_N.shape[0], weight_N.dtype)
    kept_y = jnp.where(weight_N > 0, y_N, 0.0)
    return Groups(zeros.at[rank_N].add(weight_N), zeros.at[rank_N].add(weight_N * kept_y))


def auroc_of_groups(g: Groups) -> jax.Array:
    """Area under the ROC curve with mid-rank ties; NaN when one class is empty."""
    negative = g.weight - g.positive
    below = jnp.cumsum(negative, axis=-1) - negative
    pairs = jnp.sum(g.positive, axis=-1) * jnp.sum(negative, axis=-1)
    wins = jnp.sum(g.positive * (below + 0.5 * negative), axis=-1)
    return jnp.where(pairs > 0, wins / _safe(pairs), jnp.nan)


def auroc(score_N: jax.Array, y_N: jax.Array, weight_N: jax.Array) -> jax.Array:
    """Area under the ROC curve with mid-rank ties and weights; NaN when one class is empty."""
    return auroc_of_groups(groups(score_N, y_N, weight_N))


def average_precision_of_groups(g: Groups) -> jax.Array:
    """Average precision, see `average_precision`."""
    positive, weight = g.positive[..., ::-1], g.weight[..., ::-1]
    precision = jnp.cumsum(positive, axis=-1) / _safe(jnp.cumsum(weight, axis=-1))
    total = jnp.sum(positive, axis=-1)
    area = jnp.sum(positive * precision, axis=-1) / _safe(total)
    return jnp.where(total > 0, area, jnp.nan)


def average_precision(score_N: jax.Array, y_N: jax.Array, weight_N: jax.Array) -> jax.Array:
    """Area under the precision-recall curve as average precision (step-wise, ties together).

    ``sum_g (recall_g - recall_{g-1}) precision_g`` over thresholds from high to low, as
    scikit-learn's ``average_precision_score``. A random order has the share of positives. NaN
    without positives.
    """
    return average_precision_of_groups(groups(score_N, y_N, weight_N))


def selective_of_groups(g: Groups) -> Selective:
    """Risk-coverage numbers of groups of equal confidence, see `selective`."""
    weight = g.weight[..., ::-1]
    wrong = jnp.clip(weight - g.positive[..., ::-1], 0, None)
    kept = jnp.cumsum(weight, axis=-1)
    before, errors = kept - weight, jnp.cumsum(wrong, axis=-1) - wrong
    total = kept[..., -1]
    # sum_{j=1..m} (errors + wrong j / m) / (before + j), in closed form by the digamma function
    rate = wrong / _safe(weight)
    harmonic = jss.digamma(kept + 1) - jss.digamma(before + 1)
    aurc = jnp.sum(wrong + (errors - rate * before) * harmonic, axis=-1) / _safe(total)
    all_wrong = jnp.sum(wrong, axis=-1)
    right = total - all_wrong
    ideal = all_wrong - right * (jss.digamma(total + 1) - jss.digamma(right + 1))
    ideal = ideal / _safe(total)
    risk = all_wrong / _safe(total)
    excess = aurc - ideal
    possible = risk - ideal
    ratio = jnp.where(possible > 1e-12, (risk - aurc) / _safe(possible), jnp.nan)
    empty = total <= 0
    return Selective(*(jnp.where(empty, jnp.nan, x) for x in (risk, aurc, excess, ratio)))


def selective(conf_N: jax.Array, correct_N: jax.Array, weight_N: jax.Array) -> Selective:
    """Risk-coverage numbers of answers that may be withheld by confidence.

    ``AURC = 1/n sum_{i=1..n} risk of the i most confident answers``. Within a group of equal
    confidence every order is equally likely and the mean over orders is taken, so no arbitrary
    sorting enters. Weights are repetitions (they need not be whole).

    Args:
      conf_N: confidence in the answer.
      correct_N: 1 where the answer is right; soft values allowed.
      weight_N: item weights.

    Returns:
      `Selective`, NaN when nothing weighs.
    """
    return selective_of_groups(groups(conf_N, correct_N, weight_N))


def accuracy_at_coverage_of_groups(g: Groups, coverage: float) -> jax.Array:
    """Accuracy of the most confident share, see `accuracy_at_coverage`."""
    weight, right = g.weight[..., ::-1], g.positive[..., ::-1]
    kept = jnp.cumsum(weight, axis=-1)
    total = kept[..., -1:]
    room = jnp.clip(coverage * total - (kept - weight), 0, weight)
    accuracy = jnp.sum(right * room / _safe(weight), axis=-1) / _safe(coverage * total[..., 0])
    return jnp.where(total[..., 0] > 0, accuracy, jnp.nan)


def accuracy_at_coverage(
    conf_N: jax.Array, correct_N: jax.Array, weight_N: jax.Array, coverage: float
) -> jax.Array:
    """Accuracy of the most confident share of answers; the group at the border counts in part.

    Args:
      conf_N, correct_N, weight_N: see `selective`.
      coverage: share that is answered, in (0, 1].
    """
    return accuracy_at_coverage_of_groups(groups(conf_N, correct_N, weight_N), coverage)


def risk_coverage_curve(
    conf_N: jax.Array, correct_N: jax.Array, weight_N: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Coverage [G] and risk [G] after each distinct confidence, most confident first.

    Groups of weight 0 repeat the point before them; risk is NaN where nothing is kept yet.
    """
    g = groups(conf_N, correct_N, weight_N)
    kept = jnp.cumsum(g.weight[..., ::-1], axis=-1)
    wrong = jnp.cumsum((g.weight - g.positive)[..., ::-1], axis=-1)
    risk = jnp.where(kept > 0, wrong / _safe(kept), jnp.nan)
    return kept / _safe(kept[..., -1:]), risk
