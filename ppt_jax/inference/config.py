"""Settings of labelling."""

from __future__ import annotations

import dataclasses

from ppt_jax.errors import UserError
from ppt_jax.inference.points import BLOCK

ENGINES = ("auto", "table", "numpyro", "exact")


@dataclasses.dataclass(frozen=True)
class LabelConfig:
    """How scenarios are labelled, and which labels are good enough.

    A label passes when its effective sample size is above `min_ess`, no particle holds more than
    `max_weight` of the weight, and either its predicted error is below `max_error`, or the
    effective sample size is above `pair_ess` and the two scrambles differ by less than
    `pair_error`. A scenario whose labels do not all pass gets the next number of points.

    Attributes:
      points: particles of each of the two scrambles, in the order they are tried.
      max_error: total variation over 20 bins.
      min_ess, pair_ess: effective sample sizes of both scrambles together.
      max_weight: greatest share of one particle.
      pair_error: total variation between the scrambles, 20 bins.
      max_outside: posterior mass that a `value` range may miss before the scenario is refused.
      engine: ``auto`` (exact where possible, else table), ``exact``, ``table`` or ``numpyro``.
      enumerate_limit: joint states up to which a discrete program is enumerated.
      seed: of the points and, with the scenario's id, of NumPyro's keys.
    """

    points: tuple[int, ...] = (8192, 65536, 262144)
    max_error: float = 0.03
    min_ess: float = 200.0
    max_weight: float = 0.02
    pair_ess: float = 400.0
    pair_error: float = 0.02
    max_outside: float = 0.02
    engine: str = "auto"
    enumerate_limit: int = 100_000
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", tuple(self.points))
        if self.engine not in ENGINES:
            raise UserError(f"label.engine: {self.engine!r} is none of {', '.join(ENGINES)}")
        if not self.points:
            raise UserError("label.points: at least one number of points is needed")
        for count in self.points:
            if not isinstance(count, int) or count < BLOCK or count & (count - 1):
                raise UserError(f"label.points: {count!r} is no power of two of at least {BLOCK}")
        for name in ("max_error", "max_weight", "pair_error", "max_outside"):
            if not 0 < getattr(self, name) <= 1:
                raise UserError(f"label.{name}: {getattr(self, name)!r} is not in (0, 1]")
        for name in ("min_ess", "pair_ess", "enumerate_limit"):
            if not getattr(self, name) >= 0:
                raise UserError(f"label.{name}: {getattr(self, name)!r} is below 0")
        if not (isinstance(self.seed, int) and 0 <= self.seed < 2**31):
            raise UserError(f"label.seed: {self.seed!r} is no whole number in [0, 2**31)")
