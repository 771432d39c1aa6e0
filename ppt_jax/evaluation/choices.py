"""Calibration of `choice` answers against the stored truth, with intervals and nulls.

A choice between two options is one event (the second option is true) with the model's probability
as confidence; a choice between K > 2 options is K events of weight 1/K, so that every ask weighs
1.

Axes: E events, A asks, K answers, C clusters, R replicates, B bins, M smoothing cells.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ppt_jax.evaluation import calibration, confidences
from ppt_jax.evaluation.answers import Answers, Targets
from ppt_jax.evaluation.confidences import Measured

__all__ = [
    "METRICS",
    "Events",
    "Measured",
    "binned_points",
    "calibrate",
    "choice_events",
    "deposits",
    "simulate_outcomes",
    "smooth_curves",
]
_TOP = ("ece_smooth", "ece_auto", "ece_mass")
# name -> which way is better: the events, then the most probable option ("top") and its correctness
METRICS = (
    confidences.METRICS
    | {f"top_{name}": confidences.METRICS[name] for name in _TOP}
    | confidences.SELECTIVE
)


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


def _simulate_answers(events: Events, seed: int, replicates: int) -> np.ndarray:
    """Answers [R, A] drawn from the model's own distributions, asks independent of each other."""
    rng = np.random.default_rng([seed, 1])
    u_RA = rng.random((replicates, len(events.p_AK)))
    answer_RA = np.zeros(u_RA.shape, np.int32)
    for edge_A in np.cumsum(events.p_AK, axis=1)[:, :-1].T:
        answer_RA += u_RA >= edge_A
    return answer_RA


def simulate_outcomes(events: Events, seed: int, replicates: int) -> np.ndarray:
    """Outcomes [R, E] drawn from the model's own distributions: a perfectly calibrated world.

    One answer is drawn per ask, so the events of an ask stay mutually exclusive. Asks are drawn
    independently of each other.
    """
    answer_RA = _simulate_answers(events, seed, replicates)
    return (answer_RA[:, events.ask_E] == events.option_E).astype(np.float64)


def _top_options(events: Events) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Top probability [A], credit for each option [A, K] (ties share), and correctness [A]."""
    y_AK = np.zeros_like(events.p_AK)
    y_AK[events.ask_E, events.option_E] = events.y_E
    alone = np.bincount(events.ask_E, minlength=len(y_AK)) == 1  # two options are one event
    y_AK[alone, 0] = 1 - y_AK[alone, 1]
    top_A = events.p_AK.max(axis=1)
    credit_AK = (events.p_AK >= top_A[:, None] * (1 - 1e-9)).astype(np.float64)
    credit_AK /= credit_AK.sum(axis=1, keepdims=True)
    return top_A, credit_AK, (credit_AK * y_AK).sum(axis=1)


@functools.partial(jax.jit, static_argnames="cells")
def _deposits(conf_E: jax.Array, cells: int) -> jax.Array:
    """Matrix [E, M] whose rows put unit mass at each confidence."""
    one = jnp.ones((), conf_E.dtype)
    return jax.vmap(lambda c: calibration.deposit(c[None], one[None], cells))(conf_E)


_bin_index = jax.jit(calibration.bin_index, static_argnames=("scheme", "bins"))


def _padded(events: Events) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Confidence, outcome and weight with weightless events up to a power of two (few shapes)."""
    size = len(events.conf_E)
    room = (0, max(256, 1 << (size - 1).bit_length()) - size)
    return np.pad(events.conf_E, room), np.pad(events.y_E, room), np.pad(events.weight_E, room)


def calibrate(
    events: Events,
    weights_RC: np.ndarray,
    *,
    bins: int = 15,
    cells: int = 256,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, Measured]:
    """All numbers of `METRICS` of one model on one set of choice asks.

    Bins are set once from the sample; bootstrap replicates and null simulations reuse them. The
    numbers of events treat every option as a claim; ``top_*`` and the risk-coverage numbers are
    about the most probable option (ties share the credit).

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
    weights_RA = np.asarray(weights_RC)[:, events.cluster_A]
    answer_RA = _simulate_answers(events, seed, len(weights_RA))
    settings: dict[str, Any] = {"bins": bins, "cells": cells, "level": level}
    out = confidences.measure(
        events.conf_E,
        events.y_E,
        events.weight_E,
        weights_RN=weights_RA[:, events.ask_E],
        null_RN=(answer_RA[:, events.ask_E] == events.option_E).astype(np.float64),
        **settings,
    )
    top_A, credit_AK, correct_A = _top_options(events)
    top = confidences.measure(
        top_A,
        correct_A,
        weights_RN=weights_RA,
        null_RN=credit_AK[np.arange(len(top_A)), answer_RA],
        selective=True,
        metrics=_TOP,
        **settings,
    )
    return out | {f"top_{name}" if name in _TOP else name: got for name, got in top.items()}


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
        padded, _, mass = (jnp.asarray(x) for x in _padded(events))
        bin_E = np.asarray(_bin_index(padded, mass, "mass", bins))[: len(events.conf_E)]
    rows = (events.weight_E, events.weight_E * events.conf_E, events.weight_E * events.y_E)
    weight, conf, true = (np.bincount(bin_E, row, minlength=bins) for row in rows)
    keep = weight > 0
    return conf[keep] / weight[keep], true[keep] / weight[keep], weight[keep]


def deposits(events: Events, cells: int) -> jax.Array:
    """Matrix [E, M] that puts unit mass at each event's confidence on the smoothing grid."""
    return _deposits(jnp.asarray(_padded(events)[0]), cells)[: len(events.conf_E)]
