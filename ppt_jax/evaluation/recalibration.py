r"""Corrections of finished answers: what a fitted correction is and how it is applied.

Every map is a frozen dataclass with ``n_fit``, ``at_bound``, ``parameters()`` and ``apply``. There
are two families: maps of distributions ``[N, K] -> [N, K]`` and maps of confidences ``[N] -> [N]``
(`Curve`). A curve also corrects distributions: an option is corrected like an event and the
options are rescaled to sum to 1; an ordered histogram has its distribution function corrected,
``F'(x) = g(F(x))``.

`ppt_jax.evaluation.recalibration_fits` fits them, `ppt_jax.evaluation.posthoc` applies them to
items and refuses items that were fitted on. All K answers of an array are real (no padding).

Axes: N items, K answers, G knots.
Sources: Guo et al. (2017) temperature and vector scaling; Alexandari et al. (2020) bias-corrected
temperature; Platt (1999); Kull, Silva Filho & Flach (2017) beta calibration; Zadrozny & Elkan
(2001, 2002) histogram binning and isotonic; Kuleshov, Fenner & Ermon (2018) for F' = g(F).
"""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

import numpy as np
import scipy.special

from ppt_jax.evaluation import scores


class DistributionMap(Protocol):
    """A fitted correction of answer distributions."""

    @property
    def n_fit(self) -> int:
        """Items it was fitted on."""

    @property
    def at_bound(self) -> bool:
        """Whether a parameter stopped at its bound, so the best one lies outside."""

    def parameters(self) -> dict[str, Any]:
        """Fitted numbers, for tables."""

    def apply(self, logp_NK: np.ndarray) -> np.ndarray:
        """Corrected distributions [N, K], rows sum to 1."""


class Curve(Protocol):
    """A fitted correction of confidences, a map of [0, 1] into itself."""

    @property
    def n_fit(self) -> int:
        """Items it was fitted on."""

    @property
    def at_bound(self) -> bool:
        """Whether a parameter stopped at its bound."""

    def parameters(self) -> dict[str, Any]:
        """Fitted numbers, for tables."""

    def apply(self, conf_N: np.ndarray) -> np.ndarray:
        """Corrected confidences [N]."""


def floored(logp_NK: np.ndarray) -> np.ndarray:
    """Log-probabilities renormalised over the answers and floored at `scores.EPS`."""
    total = np.logaddexp.reduce(logp_NK, axis=-1, keepdims=True)
    return np.maximum(logp_NK - total, np.log(scores.EPS))


def probs(logp_NK: np.ndarray) -> np.ndarray:
    """Probabilities of `floored` log-probabilities, rows sum to 1."""
    p_NK = np.exp(floored(logp_NK))
    return p_NK / p_NK.sum(-1, keepdims=True)


def scale_and_bias(logp_NK: np.ndarray, scale: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """``softmax(scale * logp + bias)``: temperature, vector and bias scaling in one formula."""
    return scipy.special.softmax(scale * logp_NK + bias, axis=-1)


def shift(p_NK: np.ndarray, places: float) -> np.ndarray:
    """Moves a histogram by a number of answers, split between neighbours, stopped at the ends."""
    size = p_NK.shape[-1]
    whole = int(np.floor(places))
    part = places - whole
    source = np.arange(size)
    moves_KK = np.zeros((size, size))  # from, to
    np.add.at(moves_KK, (source, np.clip(source + whole, 0, size - 1)), 1 - part)
    np.add.at(moves_KK, (source, np.clip(source + whole + 1, 0, size - 1)), part)
    return p_NK @ moves_KK


@dataclasses.dataclass(frozen=True, eq=False)
class ScaleBias:
    """``softmax(scale * logp + bias)``.

    Temperature scaling has one scale ``1/T`` and no bias, bias-corrected temperature one scale and
    a bias for every answer, vector scaling a scale and a bias for every answer.
    """

    scale: np.ndarray
    bias: np.ndarray
    n_fit: int
    at_bound: bool

    def parameters(self) -> dict[str, Any]:
        """``T`` (or the scales), and the biases where there are any."""
        one = self.scale.size == 1
        out: dict[str, Any] = (
            {"T": 1 / float(self.scale)} if one else {"scale": self.scale.tolist()}
        )
        return out | ({"bias": self.bias.tolist()} if self.bias.size > 1 else {})

    def apply(self, logp_NK: np.ndarray) -> np.ndarray:
        """Corrected distributions [N, K]."""
        return scale_and_bias(floored(logp_NK), self.scale, self.bias)


@dataclasses.dataclass(frozen=True)
class ShiftedTemperature:
    """``p^(1/T)`` renormalised, then moved by ``shift`` answers: bias correction of a histogram."""

    temperature: float
    shift: float
    n_fit: int
    at_bound: bool

    def parameters(self) -> dict[str, Any]:
        """``T`` and ``shift``."""
        return {"T": self.temperature, "shift": self.shift}

    def apply(self, logp_NK: np.ndarray) -> np.ndarray:
        """Corrected distributions [N, K]."""
        p_NK = scipy.special.softmax(floored(logp_NK) / self.temperature, axis=-1)
        return shift(p_NK, self.shift)


@dataclasses.dataclass(frozen=True)
class UniformMix:
    """``(1 - share) p + share / K``."""

    share: float
    n_fit: int
    at_bound: bool

    def parameters(self) -> dict[str, Any]:
        """``share`` of the uniform distribution."""
        return {"share": self.share}

    def apply(self, logp_NK: np.ndarray) -> np.ndarray:
        """Corrected distributions [N, K]."""
        return (1 - self.share) * probs(logp_NK) + self.share / logp_NK.shape[-1]


@dataclasses.dataclass(frozen=True)
class LogitCurve:
    """``sigmoid(a log c - b log(1 - c) + m)``: beta calibration; Platt scaling has a = b."""

    a: float
    b: float
    m: float
    n_fit: int
    at_bound: bool

    def parameters(self) -> dict[str, Any]:
        """``a``, ``b``, ``m``."""
        return {"a": self.a, "b": self.b, "m": self.m}

    def apply(self, conf_N: np.ndarray) -> np.ndarray:
        """Corrected confidences [N]."""
        conf = np.clip(np.asarray(conf_N, np.float64), scores.EPS, 1 - scores.EPS)
        return 1 / (1 + np.exp(-(self.a * np.log(conf) - self.b * np.log1p(-conf) + self.m)))


@dataclasses.dataclass(frozen=True, eq=False)
class StepCurve:
    """Values at knots: isotonic regression and PIT curves (linear between), or bins (constant).

    Attributes:
      knots_G: ascending confidences.
      values_G: corrected confidence at each knot.
      linear: interpolate linearly; else the value of the nearest knot below.
      n_fit, at_bound: see `Curve`.
    """

    knots_G: np.ndarray
    values_G: np.ndarray
    linear: bool
    n_fit: int
    at_bound: bool = False

    def parameters(self) -> dict[str, Any]:
        """Number of different values."""
        return {"values": len(np.unique(self.values_G))}

    def apply(self, conf_N: np.ndarray) -> np.ndarray:
        """Corrected confidences [N]; beyond the knots the outermost values hold."""
        conf = np.asarray(conf_N, np.float64)
        if self.linear:
            return np.interp(conf, self.knots_G, self.values_G)
        place = np.searchsorted(self.knots_G, conf, side="right") - 1
        return self.values_G[np.clip(place, 0, len(self.values_G) - 1)]


@dataclasses.dataclass(frozen=True)
class CurveOnOptions:
    """A confidence curve applied to options, which are then rescaled to sum to 1.

    With two options the curve acts on the second, and the first gets the rest.
    """

    curve: Curve

    @property
    def n_fit(self) -> int:
        """Items the curve was fitted on."""
        return self.curve.n_fit

    @property
    def at_bound(self) -> bool:
        """Whether a parameter of the curve stopped at its bound."""
        return self.curve.at_bound

    def parameters(self) -> dict[str, Any]:
        """Those of the curve."""
        return self.curve.parameters()

    def apply(self, logp_NK: np.ndarray) -> np.ndarray:
        """Corrected distributions [N, K]."""
        p_NK = probs(logp_NK)
        if p_NK.shape[-1] == 2:
            second = self.curve.apply(p_NK[:, 1])
            return np.stack([1 - second, second], axis=1)
        moved = self.curve.apply(p_NK)
        total = moved.sum(-1, keepdims=True)
        return np.where(total > 0, moved / np.where(total > 0, total, 1), p_NK)


@dataclasses.dataclass(frozen=True)
class CurveOnOrdered:
    """A curve g applied to the distribution function of an ordered histogram, ``F' = g(F)``."""

    curve: Curve

    @property
    def n_fit(self) -> int:
        """Items the curve was fitted on."""
        return self.curve.n_fit

    @property
    def at_bound(self) -> bool:
        """Whether a parameter of the curve stopped at its bound."""
        return self.curve.at_bound

    def parameters(self) -> dict[str, Any]:
        """Those of the curve."""
        return self.curve.parameters()

    def apply(self, logp_NK: np.ndarray) -> np.ndarray:
        """Corrected distributions [N, K]."""
        below = np.clip(np.cumsum(probs(logp_NK), axis=-1)[:, :-1], 0, 1)
        moved = self.curve.apply(below)
        return np.diff(moved, axis=-1, prepend=0.0, append=1.0).clip(0, None)
