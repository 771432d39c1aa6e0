"""Items as arrays: the targets of N asks, each model's answers to them, and all scores per item.

Axes: N asks, K answers (the widest support; narrower ones are padded with zero probability).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from ppt_jax.evaluation import scores
from ppt_jax.evaluation.items import Item, ItemError, Target, check_items

LEVELS = (0.5, 0.8, 0.9, 0.95)
PINBALL_LEVELS = (0.05, 0.5, 0.95)
_CHUNK = 1024  # rows per compiled call, so that any number of items compiles once


@dataclasses.dataclass(frozen=True)
class Metric:
    """One per-item score: its name, where it applies, how to read it.

    Attributes:
      name: as in results.json.
      needs: ``""`` applies to every ask, ``"ordered"`` to answers with an order (numbers or two
        options), ``"numeric"`` to numbers, ``"choice"`` to choices.
      against: ``"label"`` (a posterior or human distribution), ``"mean"`` (at least its mean),
        ``"truth"`` (an outcome), or ``""``.
      higher_is_better: None when the best value is neither the highest nor the lowest.
      meaning: one line for tables.
    """

    name: str
    needs: str
    against: str
    higher_is_better: bool | None
    meaning: str


METRICS = (
    Metric("kl", "", "label", False, "KL(label || answer), nats"),
    Metric("kl_reverse", "", "label", False, "KL(answer || label), nats"),
    Metric(
        "kl_full", "", "label", False, "KL with mass off the valid answers counted as lost, nats"
    ),
    Metric("ce", "", "label", False, "cross-entropy with the label, nats; floor: label entropy"),
    Metric("js", "", "label", False, "Jensen-Shannon divergence, nats"),
    Metric("tv", "", "label", False, "total variation; floor: estimated error of the label"),
    Metric("squared_l2", "", "label", False, "squared L2 distance (Brier divergence)"),
    Metric("entropy_gap", "", "label", None, "entropy of the answer minus that of the label, nats"),
    Metric("w1", "ordered", "label", False, "Wasserstein-1 distance, points of the 0-100 scale"),
    Metric("crps", "ordered", "label", False, "Cramer divergence (CRPS against the label), points"),
    Metric("mae", "ordered", "mean", False, "absolute difference of means, points"),
    Metric("log_sd_ratio", "numeric", "label", None, "log of answer sd over label sd; 0 is right"),
    Metric("wis", "numeric", "label", False, "weighted interval score against the label, points"),
    Metric("log_score", "", "truth", False, "minus log-probability of the truth, nats"),
    Metric("brier", "", "truth", False, "Brier score against the truth, summed over answers (0-2)"),
    Metric("crps_truth", "ordered", "truth", False, "CRPS against the truth, points"),
    Metric("wis_truth", "numeric", "truth", False, "weighted interval score, points"),
    Metric("interval_90_truth", "numeric", "truth", False, "interval score of 90%, points"),
    *(
        Metric(f"pinball_{100 * level:.0f}", "numeric", "truth", False, "pinball loss, points")
        for level in PINBALL_LEVELS
    ),
    *(
        Metric(
            f"coverage_{100 * level:.0f}",
            "numeric",
            "truth",
            None,
            f"share of truths inside the central {100 * level:.0f}% interval",
        )
        for level in LEVELS
    ),
    Metric("accuracy", "choice", "truth", True, "most probable option is true (ties shared)"),
    Metric("width_50", "numeric", "", None, "width of the central 50% interval, points"),
    Metric("width_90", "numeric", "", None, "width of the central 90% interval, points"),
    Metric("entropy_answer", "", "", None, "entropy of the answer, nats"),
    Metric("valid_mass", "", "", True, "probability of any valid answer"),
)


@dataclasses.dataclass(frozen=True, eq=False)
class Targets:
    """N asks as arrays; `items` keeps their order.

    Attributes:
      items: the targets.
      q_NK: labels.
      position_NK: place of each answer on 0..100; all 0 where options have no order.
      size_N: number of answers.
      answer_N: index of the true answer, -1 where no truth is stored.
      label_N: whether ``q_NK`` is a distribution to compare with (not a mere outcome).
      mean_N: mean of the target on 0..100, NaN where unknown.
      split_N, kind_N, cluster_N, task_N: as text.
    """

    items: tuple[Target, ...]
    q_NK: np.ndarray
    position_NK: np.ndarray
    size_N: np.ndarray
    answer_N: np.ndarray
    label_N: np.ndarray
    mean_N: np.ndarray
    split_N: np.ndarray
    kind_N: np.ndarray
    cluster_N: np.ndarray
    task_N: np.ndarray

    def applies(self, metric: Metric) -> np.ndarray:
        """Mask [N] of the asks for which a metric is defined."""
        choice = self.kind_N == "choice"
        mask = {
            "": np.ones(len(self.items), bool),
            "ordered": ~choice | (self.size_N == 2),
            "numeric": ~choice,
            "choice": choice,
        }[metric.needs]
        known = {
            "": np.ones(len(self.items), bool),
            "label": self.label_N,
            "mean": ~np.isnan(self.mean_N),
            "truth": self.answer_N >= 0,
        }[metric.against]
        return mask & known


@dataclasses.dataclass(frozen=True, eq=False)
class Answers:
    """One model's answers to N asks.

    Attributes:
      model: name of the row in the tables.
      p_NK: probability of each answer given a valid answer, zero-padded, rows sum to 1.
      valid_mass_N: probability of any valid answer.
      parse_ok_N: False where no answer could be read (its row has equal probabilities).
      readout: how the answers were read.
      posthoc: the correction applied, if any.
    """

    model: str
    p_NK: np.ndarray
    valid_mass_N: np.ndarray
    parse_ok_N: np.ndarray
    readout: str = ""
    posthoc: str = ""


def stack_targets(targets: Iterable[Target]) -> Targets:
    """Arrays of targets, in the order given."""
    items = tuple(targets)
    width = max((len(item.support) for item in items), default=2)
    q_NK, position_NK = np.zeros((len(items), width)), np.zeros((len(items), width))
    for n, item in enumerate(items):
        size = len(item.support)
        q_NK[n, :size] = item.target_K
        positions = item.positions_K
        if positions is not None:
            position_NK[n, :size] = positions
            position_NK[n, size:] = positions[-1]
    return Targets(
        items=items,
        q_NK=q_NK,
        position_NK=position_NK,
        size_N=np.array([len(item.support) for item in items], np.int32),
        answer_N=np.array(
            [-1 if item.true_answer is None else item.true_answer for item in items], np.int32
        ),
        label_N=np.array([item.has_label for item in items], bool),
        mean_N=np.array(
            [math.nan if (m := item.mean_position) is None else m for item in items], float
        ),
        split_N=np.array([item.split for item in items], object),
        kind_N=np.array([item.kind for item in items], object),
        cluster_N=np.array([item.cluster_id for item in items], object),
        task_N=np.array([item.task for item in items], object),
    )


def stack_answers(
    model: str,
    targets: Targets,
    p: Sequence[np.ndarray],
    valid_mass: Sequence[float] | None = None,
    parse_ok: Sequence[bool] | None = None,
    *,
    readout: str = "",
    posthoc: str = "",
) -> Answers:
    """Arrays of one model's answers, one distribution per target."""
    p_NK = np.zeros_like(targets.q_NK)
    for n, row in enumerate(p):
        p_NK[n, : len(row)] = row
    mass_N = np.ones(len(p)) if valid_mass is None else np.asarray(valid_mass, np.float64)
    ok_N = np.ones(len(p), bool) if parse_ok is None else np.asarray(parse_ok, bool)
    return Answers(model, p_NK, mass_N, ok_N, readout, posthoc)


def align(items: Sequence[Item]) -> tuple[list[Target], dict[str, list[Item]]]:
    """Groups items by model, every model in the same order of asks.

    Returns:
      The asks (as items of the first model) and the items of each model.

    Raises:
      ItemError: duplicates, contradicting targets, or an ask that one model has and another has
      not.
    """
    check_items(items)
    by_model: dict[str, dict[str, Item]] = {}
    for item in items:
        by_model.setdefault(item.model, {})[item.item_id] = item
    if not by_model:
        return [], {}
    first_name, first = next(iter(by_model.items()))
    for name, own in by_model.items():
        missing = sorted(first.keys() ^ own.keys())
        if missing:
            lacks = name if missing[0] in first else first_name
            raise ItemError(
                f"item {missing[0]!r}: model {lacks!r} has no answer, another has; models are "
                f"compared on the same asks ({len(missing)} asks differ)"
            )
    order = list(first)
    aligned = {name: [own[item_id] for item_id in order] for name, own in by_model.items()}
    return list(first.values()), aligned


@jax.jit
def _score_rows(
    p_NK: jax.Array, q_NK: jax.Array, position_NK: jax.Array, answer_N: jax.Array, mass_N: jax.Array
) -> dict[str, jax.Array]:
    kl = scores.kl_divergence(q_NK, p_NK)
    truth_NK = scores.outcome_target(answer_N, p_NK.shape[-1])
    truth_N = jnp.maximum(answer_N, 0)
    spread_p, spread_q = scores.spread(p_NK, position_NK), scores.spread(q_NK, position_NK)
    best = jnp.max(p_NK, axis=-1, keepdims=True)
    tied_NK = (p_NK >= best * (1 - 1e-9)).astype(p_NK.dtype)
    cover_NL = scores.coverage(p_NK, truth_N, jnp.asarray(LEVELS, p_NK.dtype))
    mean_p, mean_q = scores.mean(p_NK, position_NK), scores.mean(q_NK, position_NK)
    out = {
        "kl": kl,
        "kl_reverse": scores.kl_divergence(p_NK, q_NK),
        "kl_full": kl - jnp.log(jnp.maximum(mass_N, scores.EPS)),
        "ce": scores.cross_entropy(p_NK, q_NK),
        "js": scores.jensen_shannon(p_NK, q_NK),
        "tv": scores.total_variation(p_NK, q_NK),
        "squared_l2": scores.brier(p_NK, q_NK),
        "w1": scores.wasserstein(p_NK, q_NK, position_NK),
        "crps": scores.crps(p_NK, q_NK, position_NK),
        "mae": jnp.abs(mean_p - mean_q),
        "log_sd_ratio": jnp.log(jnp.where(spread_q > 0, spread_p / spread_q, 1.0)),
        "log_score": scores.cross_entropy(p_NK, truth_NK),
        "brier": scores.brier(p_NK, truth_NK),
        "crps_truth": scores.crps(p_NK, truth_NK, position_NK),
        "accuracy": jnp.sum(tied_NK * truth_NK, axis=-1) / jnp.sum(tied_NK, axis=-1),
        "valid_mass": mass_N,
        "entropy": scores.entropy(q_NK),
        "mean": mean_p,
        "target_mean": mean_q,
    }
    out |= {
        "entropy_answer": scores.entropy(p_NK),
        "entropy_gap": scores.entropy(p_NK) - out["entropy"],
        "wis": scores.weighted_interval_score(p_NK, q_NK, position_NK, LEVELS),
        "wis_truth": scores.weighted_interval_score(p_NK, truth_NK, position_NK, LEVELS),
    }
    true_N = scores.mean(truth_NK, position_NK)
    for level in (0.5, 0.9):
        low, high = scores.central_interval(p_NK, position_NK, level)
        out[f"width_{100 * level:.0f}"] = high - low
    out["interval_90_truth"] = scores.interval_score(low, high, true_N, 0.9)
    for level in PINBALL_LEVELS:
        at = scores.quantile(p_NK, position_NK, level)
        out[f"pinball_{100 * level:.0f}"] = scores.pinball(at, true_N, level)
    for place, level in enumerate(LEVELS):
        out[f"coverage_{100 * level:.0f}"] = cover_NL[:, place]
    return out


def _in_chunks(
    function: Callable[..., dict[str, jax.Array]], columns: Sequence[np.ndarray]
) -> dict[str, np.ndarray]:
    """Runs a jitted function of rows in float64 on chunks of one shape, and joins the results."""
    size = len(columns[0])
    parts: list[dict[str, np.ndarray]] = []
    with jax.enable_x64(True):
        for start in range(0, size, _CHUNK):
            rows = [x[start : start + _CHUNK] for x in columns]
            short = _CHUNK - len(rows[0])
            padded = [np.concatenate([x, np.repeat(x[:1], short, axis=0)]) for x in rows]
            found = jax.device_get(function(*map(jnp.asarray, padded)))
            parts.append({k: np.asarray(v)[: _CHUNK - short] for k, v in found.items()})
    return {k: np.concatenate([part[k] for part in parts]) for k in (parts[0] if parts else {})}


def score_items(targets: Targets, answers: Answers) -> dict[str, np.ndarray]:
    """All scores of `METRICS` per item, with ``entropy``, ``mean`` and ``target_mean``.

    Returns:
      Name -> float64 [N]. Values where `Targets.applies` is false mean nothing.
    """
    columns = (
        answers.p_NK,
        targets.q_NK,
        targets.position_NK,
        targets.answer_N,
        answers.valid_mass_N,
    )
    names = [metric.name for metric in METRICS] + ["entropy", "mean", "target_mean"]
    found = _in_chunks(_score_rows, columns)
    out = {name: found.get(name, np.zeros(0)) for name in names}
    # A mean that is known better than from the label's distribution stands for it.
    out["target_mean"] = np.where(np.isnan(targets.mean_N), out["target_mean"], targets.mean_N)
    out["mae"] = np.abs(out["mean"] - out["target_mean"])
    return out


@jax.jit
def _pit_rows(
    p_NK: jax.Array, answer_N: jax.Array, from_NL: jax.Array, to_NL: jax.Array
) -> dict[str, jax.Array]:
    return {"share": scores.pit_share(p_NK, answer_N, from_NL, to_NL)}


def pit_shares(
    targets: Targets, answers: Answers, use_N: np.ndarray, from_L: np.ndarray, to_L: np.ndarray
) -> np.ndarray:
    """`scores.pit_share` [n, L] of the asks chosen by a mask (all with a stored truth)."""
    n, size_L = int(use_N.sum()), len(from_L)
    ends = (np.broadcast_to(from_L, (n, size_L)), np.broadcast_to(to_L, (n, size_L)))
    found = _in_chunks(_pit_rows, (answers.p_NK[use_N], targets.answer_N[use_N], *ends))
    return found.get("share", np.zeros((0, size_L)))
