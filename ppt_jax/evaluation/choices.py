"""Calibration of `choice` answers against the stored truth, with intervals and nulls.

A choice between two options is one event (the second option is true) with the model's probability
as confidence; a choice between K > 2 options is K events of weight 1/K, so that every ask weighs
1.

Axes: E events, A asks, K answers, C clusters, R replicates, B bins, M smoothing cells.
"""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from ppt_jax.evaluation import calibration, discrimination
from ppt_jax.evaluation.answers import Answers, Targets
from ppt_jax.evaluation.calibration import BinSums
from ppt_jax.evaluation.intervals import percentile_interval

MAX_DISTINCT = 101
METRICS = {  # name -> which way is better
    "ece_smooth": "lower",
    "ece_mass": "lower",
    "ece_width": "lower",
    "ece_distinct": "lower",
    "ece_debiased_squared": "target",
    "mce_mass": "lower",
    "brier_reliability": "lower",
    "brier_resolution": "higher",
    "brier_uncertainty": "target",
    "auroc": "higher",
}


@dataclasses.dataclass(frozen=True, eq=False)
class Events:
    """Choice answers as yes/no events with confidences; see the module.

    Attributes:
      conf_E: probability that the model gives the event.
      y_E: 1 when it is true.
      weight_E: 1 for two options, 1/K for more.
      ask_E: index of the ask among the asks used.
      option_E: answer index that the event is about.
      p_AK: answer distributions of the asks used.
      cluster_A: cluster index of each ask.
    """

    conf_E: np.ndarray
    y_E: np.ndarray
    weight_E: np.ndarray
    ask_E: np.ndarray
    option_E: np.ndarray
    p_AK: np.ndarray
    cluster_A: np.ndarray


@dataclasses.dataclass(frozen=True)
class Measured:
    """One calibration number: value, interval, and what perfect calibration would give."""

    value: float
    ci_low: float
    ci_high: float
    null_mean: float | None = None
    null_q95: float | None = None


def choice_events(
    targets: Targets, answers: Answers, chosen_N: np.ndarray, cluster_N: np.ndarray
) -> Events:
    """Events of the chosen asks that are choices with a stored truth.

    Args:
      targets, answers: N asks and one model's answers.
      chosen_N: mask of asks, e.g. those of one split.
      cluster_N: cluster index of each ask.
    """
    asks = np.flatnonzero(chosen_N & (targets.kind_N == "choice") & (targets.answer_N >= 0))
    ask_E, option_E, weight_E = [], [], []
    for place, n in enumerate(asks):
        size = int(targets.size_N[n])
        options = [1] if size == 2 else list(range(size))
        ask_E += [place] * len(options)
        option_E += options
        weight_E += [1 / len(options)] * len(options)
    ask, option = np.array(ask_E, np.int32), np.array(option_E, np.int32)
    width = int(targets.size_N[asks].max(initial=2))
    p_AK = answers.p_NK[asks][:, :width]
    return Events(
        conf_E=p_AK[ask, option] if len(ask) else np.zeros(0),
        y_E=(targets.answer_N[asks][ask] == option).astype(float) if len(ask) else np.zeros(0),
        weight_E=np.array(weight_E, float),
        ask_E=ask,
        option_E=option,
        p_AK=p_AK,
        cluster_A=cluster_N[asks],
    )


def simulate_outcomes(events: Events, seed: int, replicates: int) -> np.ndarray:
    """Outcomes [R, E] drawn from the model's own distributions: a perfectly calibrated world.

    One answer is drawn per ask, so the events of an ask stay mutually exclusive. Asks are drawn
    independently of each other.
    """
    rng = np.random.default_rng([seed, 1])
    u_RA = rng.random((replicates, len(events.p_AK)))
    last = events.p_AK.shape[1] - 1
    edges_AK = np.cumsum(events.p_AK, axis=1)[:, :-1]
    answer_RA = np.zeros(u_RA.shape, np.int32)
    for k in range(last):
        answer_RA += u_RA >= edges_AK[:, k]
    return (answer_RA[:, events.ask_E] == events.option_E).astype(np.float64)


@functools.partial(jax.jit, static_argnames="cells")
def _deposits(conf_E: jax.Array, cells: int) -> jax.Array:
    """Matrix [E, M] whose rows put unit mass at each confidence."""
    one = jnp.ones((), conf_E.dtype)
    return jax.vmap(lambda c: calibration.deposit(c[None], one[None], cells))(conf_E)


_smooth_error = jax.jit(lambda grid_RM: calibration.smooth_error_from_grid(grid_RM)[0])
_auroc = jax.jit(jax.vmap(discrimination.auroc, in_axes=(None, None, 0)))
_bin_index = jax.jit(calibration.bin_index, static_argnames=("scheme", "bins"))


@jax.jit
def _binned(sums: BinSums) -> dict[str, jax.Array]:
    parts = calibration.decomposition_from_sums(sums)
    return {
        "ece": calibration.error_from_sums(sums),
        "mce": calibration.error_from_sums(sums, jnp.inf),
        "debiased": calibration.debiased_from_sums(sums),
        "reliability": parts.reliability,
        "resolution": parts.resolution,
        "uncertainty": parts.uncertainty,
    }


def _padded(events: Events) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Confidence, outcome and weight with weightless events up to a power of two (few shapes)."""
    size = len(events.conf_E)
    room = (0, max(256, 1 << (size - 1).bit_length()) - size)
    return np.pad(events.conf_E, room), np.pad(events.y_E, room), np.pad(events.weight_E, room)


def _bins_of(events: Events, bins: int) -> dict[str, tuple[np.ndarray, int]]:
    """Bin of each event and number of bins, for each scheme that applies."""
    conf, _, weight = (jnp.asarray(x) for x in _padded(events))
    size = len(events.conf_E)
    schemes: tuple[calibration.Scheme, ...] = ("mass", "width")
    found: dict[str, tuple[np.ndarray, int]] = {}
    found |= {s: (np.asarray(_bin_index(conf, weight, s, bins))[:size], bins) for s in schemes}
    rank = np.unique(events.conf_E, return_inverse=True)[1]
    if rank.max() < MAX_DISTINCT:
        found["distinct"] = (rank, MAX_DISTINCT)
    return found


def _sums(
    events: Events, weights_RE: np.ndarray, y_RE: np.ndarray, bin_E: np.ndarray, bins: int
) -> list[np.ndarray]:
    """The six `BinSums` per bin [R, B] of R versions of the events; either R may be 1."""
    member_EB = np.eye(bins)[bin_E] * events.weight_E[:, None]
    c = events.conf_E
    columns = (np.ones_like(c), c, y_RE, c**2, y_RE**2, c * y_RE)
    rows = max(len(weights_RE), len(y_RE))
    sums = ((weights_RE * x) @ member_EB for x in columns)
    return [np.broadcast_to(x, (rows, bins)) for x in sums]


def calibrate(
    events: Events,
    weights_RC: np.ndarray,
    *,
    bins: int = 15,
    cells: int = 256,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Measured]:
    """All calibration numbers of one model on one set of choice asks.

    Bins are set once from the sample; bootstrap replicates and null simulations reuse them.

    Args:
      events: see `choice_events`.
      weights_RC: bootstrap weights of the clusters.
      bins: bins of ``ece_mass``, ``ece_width``, ``mce_mass`` and the decomposition.
      cells: cells of the smooth ECE.
      seed: of the null simulation.
      level: of the intervals.

    Returns:
      Metric name -> value, interval and null. Empty when there are no events.
    """
    if not len(events.conf_E):
        return {}
    weights_RE = np.asarray(weights_RC)[:, events.cluster_A[events.ask_E]]
    replicates = len(weights_RC)
    null_RE = simulate_outcomes(events, seed, replicates)
    own_1E, flat_1E = events.y_E[None], np.ones((1, len(events.y_E)))
    out: dict[str, Measured] = {}

    def measured(all_S: object, *, null: bool = True) -> Measured:
        """Splits a stack of the value, R bootstrap draws and R null draws."""
        stack = np.asarray(all_S)
        low, high = percentile_interval(stack[1 : 1 + replicates], level)
        if not null:
            return Measured(float(stack[0]), low, high)
        nulls = stack[1 + replicates :]
        null_q95 = float(np.quantile(nulls, 0.95))
        return Measured(float(stack[0]), low, high, float(nulls.mean()), null_q95)

    with jax.enable_x64(True):
        for scheme, (bin_E, count) in _bins_of(events, bins).items():
            versions = ((flat_1E, own_1E), (weights_RE, own_1E), (flat_1E, null_RE))
            sums = [_sums(events, w, y, bin_E, count) for w, y in versions]
            stacked = BinSums(*(jnp.asarray(np.concatenate(parts)) for parts in zip(*sums)))
            found = jax.device_get(_binned(stacked))
            out[f"ece_{scheme}"] = measured(found["ece"])
            if scheme != "mass":
                continue
            out["mce_mass"] = measured(found["mce"])
            out["ece_debiased_squared"] = measured(found["debiased"])
            out["brier_reliability"] = measured(found["reliability"])
            out["brier_resolution"] = measured(found["resolution"], null=False)
            out["brier_uncertainty"] = measured(found["uncertainty"], null=False)
        conf, y, weight = _padded(events)
        grid_EM = np.asarray(deposits(events, cells))
        residual_E = events.weight_E * (events.y_E - events.conf_E)
        total = events.weight_E.sum()
        draw_total = np.maximum(weights_RE @ events.weight_E, 1e-30)[:, None]
        grids = (
            (residual_E @ grid_EM / total)[None],
            (weights_RE * residual_E) @ grid_EM / draw_total,
            (events.weight_E * (null_RE - events.conf_E)) @ grid_EM / total,
        )
        out["ece_smooth"] = measured(_smooth_error(jnp.asarray(np.concatenate(grids))))
        drawn = np.pad(weights_RE, ((0, 0), (0, len(conf) - weights_RE.shape[1]))) * weight
        weights = jnp.asarray(np.concatenate([weight[None], drawn]))
        out["auroc"] = measured(_auroc(jnp.asarray(conf), jnp.asarray(y), weights), null=False)
    return out


def smooth_curves(
    events: Events, y_RE: np.ndarray, cells: int, sigma: float
) -> tuple[np.ndarray, np.ndarray]:
    """Reliability curves [R, M] for R versions of the outcomes, and density of confidences [M]."""
    with jax.enable_x64(True):
        unit_EM = np.asarray(deposits(events, cells))
        weight_M = jnp.asarray(events.weight_E @ unit_EM)
        hits_RM = jnp.asarray((events.weight_E * y_RE) @ unit_EM)
        curve, density = jax.device_get(_curves(weight_M, hits_RM, jnp.asarray(sigma)))
    return curve, density


_curves = jax.jit(calibration.reliability_curve)


def binned_points(events: Events, bins: int = 10) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean confidence, share true and weight of each bin of equal weight that holds anything."""
    with jax.enable_x64(True):
        bin_E, _ = _bins_of(events, bins)["mass"]
    rows = (events.weight_E, events.weight_E * events.conf_E, events.weight_E * events.y_E)
    weight, conf, true = (np.bincount(bin_E, row, minlength=bins) for row in rows)
    keep = weight > 0
    return conf[keep] / weight[keep], true[keep] / weight[keep], weight[keep]


def deposits(events: Events, cells: int) -> jax.Array:
    """Matrix [E, M] that puts unit mass at each event's confidence on the smoothing grid."""
    return _deposits(jnp.asarray(_padded(events)[0]), cells)[: len(events.conf_E)]
