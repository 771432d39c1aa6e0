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

from ppt_jax.evaluation import calibration
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
_auroc = jax.jit(jax.vmap(calibration.auroc, in_axes=(None, None, 0)))


def _columns(events: Events, y_E: np.ndarray) -> np.ndarray:
    """The six summands of `BinSums` per event, [..., 6, E]; ``y_E`` may have leading axes."""
    c, w = events.conf_E, events.weight_E
    ones = np.ones_like(y_E)
    return np.stack([w * ones, w * c * ones, w * y_E, w * c**2 * ones, w * y_E**2, w * c * y_E], -2)


def _bin_sums(columns: np.ndarray, member_EB: np.ndarray) -> BinSums:
    """Sums per bin of columns [..., 6, E]."""
    sums = columns @ member_EB
    return BinSums(*(jnp.asarray(sums[..., k, :]) for k in range(6)))


def _schemes(events: Events, bins: int) -> dict[str, np.ndarray]:
    """Bin membership [E, B] of each scheme that applies."""
    conf, weight = jnp.asarray(events.conf_E), jnp.asarray(events.weight_E)
    found: dict[str, np.ndarray] = {}
    schemes: tuple[calibration.Scheme, ...] = ("mass", "width")
    for scheme in schemes:
        index = np.asarray(calibration.bin_index(conf, weight, scheme, bins))
        found[scheme] = np.eye(bins)[index]
    rank = np.unique(events.conf_E, return_inverse=True)[1]
    if rank.max() < MAX_DISTINCT:
        found["distinct"] = np.eye(int(rank.max()) + 1)[rank]
    return found


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
    replicates = len(weights_RC)
    weights_RE = np.asarray(weights_RC)[:, events.cluster_A[events.ask_E]]
    null_RE = simulate_outcomes(events, seed, replicates)
    out: dict[str, Measured] = {}

    def measured(value: object, draws: object, null: object = None) -> Measured:
        low, high = percentile_interval(np.asarray(draws), level)
        if null is None:
            return Measured(float(np.asarray(value)), low, high)
        null_R = np.asarray(null)
        mean, high_null = float(null_R.mean()), float(np.quantile(null_R, 0.95))
        return Measured(float(np.asarray(value)), low, high, mean, high_null)

    with jax.enable_x64(True):
        own = _columns(events, events.y_E)
        nulls = _columns(events, null_RE)
        for scheme, member_EB in _schemes(events, bins).items():
            sums = _bin_sums(own, member_EB)
            draw_columns = [_bin_columns(weights_RE, own[k], member_EB) for k in range(6)]
            draws = BinSums(*map(jnp.asarray, draw_columns))
            null = _bin_sums(nulls, member_EB)
            error = calibration.error_from_sums
            out[f"ece_{scheme}"] = measured(error(sums), error(draws), error(null))
            if scheme == "mass":
                out["mce_mass"] = measured(
                    error(sums, np.inf), error(draws, np.inf), error(null, np.inf)
                )
                debiased = calibration.debiased_from_sums
                out["ece_debiased_squared"] = measured(
                    debiased(sums), debiased(draws), debiased(null)
                )
                parts = calibration.decomposition_from_sums(sums)
                part_draws = calibration.decomposition_from_sums(draws)
                part_nulls = calibration.decomposition_from_sums(null)
                for name in ("reliability", "resolution", "uncertainty"):
                    null_part = getattr(part_nulls, name) if name == "reliability" else None
                    out[f"brier_{name}"] = measured(
                        getattr(parts, name), getattr(part_draws, name), null_part
                    )
        grid_EM = np.asarray(_deposits(jnp.asarray(events.conf_E), cells))
        residual_E = events.weight_E * (events.y_E - events.conf_E)
        total = events.weight_E.sum()
        draw_total = np.maximum(weights_RE @ events.weight_E, 1e-30)[:, None]
        draw_grid = (weights_RE * residual_E) @ grid_EM / draw_total
        null_grid = (events.weight_E * (null_RE - events.conf_E)) @ grid_EM / total
        out["ece_smooth"] = measured(
            _smooth_error(jnp.asarray(residual_E @ grid_EM / total)[None])[0],
            _smooth_error(jnp.asarray(draw_grid)),
            _smooth_error(jnp.asarray(null_grid)),
        )
        conf, y = jnp.asarray(events.conf_E), jnp.asarray(events.y_E)
        out["auroc"] = measured(
            calibration.auroc(conf, y, jnp.asarray(events.weight_E)),
            _auroc(conf, y, jnp.asarray(weights_RE * events.weight_E)),
        )
    return out


def _bin_columns(weights_RE: np.ndarray, column_E: np.ndarray, member_EB: np.ndarray) -> np.ndarray:
    return weights_RE @ (column_E[:, None] * member_EB)
