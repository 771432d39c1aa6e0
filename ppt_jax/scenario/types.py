"""Static types of formulas: real, yes/no, or member of a set, with a range and a unit.

Ranges come from interval arithmetic, so they hold for every value that the draws can take; they
may be wider than the truth, never narrower. A check that uses them therefore gives no false alarm.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Final, Literal, TypeAlias

INF: Final = math.inf


@dataclasses.dataclass(frozen=True)
class Static:
    """What is known of a formula before any draw.

    Attributes:
      kind: `real`; `boolean` (stored as 1 and 0); `member` of a set; `label`, a quoted member
        whose set the context tells.
      set: of a member, its set; of a label, its text.
      unit: unit of measurement, empty where unknown or none.
      low, high: range of a real or boolean, ends included.
      fact: only 0 or 1 can come out, because booleans and 0/1 constants alone go in.
      smooth: no single value has a positive probability.
    """

    kind: Literal["real", "boolean", "member", "label"]
    set: str = ""
    unit: str = ""
    low: float = -INF
    high: float = INF
    fact: bool = False
    smooth: bool = False

    @property
    def constant(self) -> float | None:
        """The one value that can come out, if there is only one."""
        return self.low if self.kind == "real" and self.low == self.high else None

    @property
    def never_zero(self) -> bool:
        """Whether 0 lies outside the range."""
        return self.low > 0 or self.high < 0

    @property
    def probability(self) -> bool:
        """A real between 0 and 1 that is not just a yes/no fact."""
        return self.kind == "real" and not self.fact and self.low >= 0 and self.high <= 1


def real(low: float, high: float, **known: object) -> Static:
    """A real in a range; ends that are not numbers become open."""
    low = -INF if math.isnan(low) else low
    high = INF if math.isnan(high) else high
    return Static("real", low=low, high=high, **known)  # type: ignore[arg-type]


BOOLEAN: Final = Static("boolean", low=0.0, high=1.0, fact=True)


def number(value: float) -> Static:
    """The type of a constant."""
    return Static("real", low=value, high=value, fact=value in (0.0, 1.0))


def join(a: Static, b: Static) -> Static:
    """What holds whichever of two reals comes out."""
    return real(
        min(a.low, b.low),
        max(a.high, b.high),
        unit=a.unit if a.unit == b.unit or not b.unit else ("" if a.unit else b.unit),
        fact=a.fact and b.fact,
        smooth=a.smooth and b.smooth,
    )


def _times(x: float, y: float) -> float:
    return 0.0 if x == 0 or y == 0 else x * y


def _corners(
    a: Static, b: Static, function: Callable[[float, float], float]
) -> tuple[float, float]:
    values = []
    for x in (a.low, a.high):
        for y in (b.low, b.high):
            try:
                value = function(x, y)
            except (OverflowError, ZeroDivisionError):
                value = math.nan
            values.append(value)
    if any(isinstance(v, complex) or math.isnan(v) for v in values):
        return -INF, INF
    return min(values), max(values)


def add(a: Static, b: Static, sign: int) -> Static:
    """``a + b`` or ``a - b``."""
    low, high = (b.low, b.high) if sign > 0 else (-b.high, -b.low)
    fact = sign < 0 and a.constant == 1 and b.fact
    result = real(a.low + low, a.high + high, fact=fact, smooth=a.smooth or b.smooth)
    return dataclasses.replace(result, unit=a.unit or b.unit)


def multiply(a: Static, b: Static) -> Static:
    """``a * b``."""
    low, high = _corners(a, b, _times)
    smooth = (a.smooth and (b.smooth or b.never_zero)) or (b.smooth and a.never_zero)
    return real(low, high, fact=a.fact and b.fact, smooth=smooth)


def divide(a: Static, b: Static) -> Static:
    """``a / b`` where `b` is not the constant 0."""
    smooth = a.smooth or (b.smooth and a.never_zero)
    if b.low > 0 or b.high < 0:
        low, high = _corners(a, b, lambda x, y: 0.0 if math.isinf(y) else x / y)
        if math.isinf(a.low) or math.isinf(a.high):
            above = (a.low >= 0 and b.low > 0) or (a.high <= 0 and b.high < 0)
            below = (a.high <= 0 and b.low > 0) or (a.low >= 0 and b.high < 0)
            low, high = (0.0 if above else -INF), (0.0 if below else INF)
        return real(low, high, smooth=smooth, fact=a.fact and b.constant == 1)
    if b.low >= 0 and a.low >= 0:
        return real(0.0, INF, smooth=smooth)
    return real(-INF, INF, smooth=smooth)


def power(a: Static, b: Static) -> Static:
    """``a ** b``."""
    smooth = a.smooth and bool(b.constant)
    if a.low > 0 or (a.low >= 0 and b.low >= 0):
        low, high = _corners(a, b, lambda x, y: x**y)
        return real(max(low, 0.0), high, fact=a.fact and b.constant != 0, smooth=smooth)
    even = b.constant is not None and b.constant > 0 and b.constant % 2 == 0
    return real(0.0 if even else -INF, INF, smooth=smooth)


def _monotone(function: Callable[[float], float]) -> Callable[[Static], Static]:
    def apply(x: Static) -> Static:
        return real(function(x.low), function(x.high), smooth=x.smooth)

    return apply


def _exp(x: float) -> float:
    try:
        return math.exp(x)
    except OverflowError:
        return INF


def _sigmoid(x: float) -> float:
    return 1.0 / (1.0 + _exp(-x))


def _absolute(x: Static) -> Static:
    low = 0.0 if x.low <= 0 <= x.high else min(abs(x.low), abs(x.high))
    high = max(abs(x.low), abs(x.high))
    return real(low, high, unit=x.unit, fact=x.fact, smooth=x.smooth)


def _round(x: Static) -> Static:
    low = x.low if math.isinf(x.low) else float(round(x.low))
    high = x.high if math.isinf(x.high) else float(round(x.high))
    return real(low, high, unit=x.unit, fact=low >= 0 and high <= 1)


ONE_ARGUMENT: Final[dict[str, Callable[[Static], Static]]] = {
    "exp": _monotone(_exp),
    "log": _monotone(lambda x: math.log(x) if x > 0 else -INF),
    "sqrt": _monotone(lambda x: math.sqrt(x) if x > 0 else 0.0),
    "sigmoid": _monotone(_sigmoid),
    "abs": _absolute,
    "round": _round,
}


def extreme(a: Static, b: Static, which: Callable[[float, float], float]) -> Static:
    """The lesser (`which` is `min`) or greater of two."""
    joined = join(a, b)
    return dataclasses.replace(joined, low=which(a.low, b.low), high=which(a.high, b.high))


def repeat(x: Static, times: int, average: bool) -> Static:
    """The total or average of `times` values of this type."""
    if average:
        return dataclasses.replace(x, kind="real", set="")
    return real(
        _times(x.low, times),
        _times(x.high, times),
        unit=x.unit,
        fact=x.fact and times == 1,
        smooth=x.smooth,
    )


def family(name: str, arguments: dict[str, Static], unit: str, set_name: str | None) -> Static:
    """The type of a draw, from the types of its arguments."""
    match name:
        case "yes":
            return BOOLEAN
        case "pick":
            return Static("member", set=set_name or "")
        case "lognormal" | "gamma" | "wait":
            return real(0.0, INF, unit=unit, smooth=True)
        case "beta" | "share":
            return real(0.0, 1.0, unit=unit, smooth=True)
        case "uniform":
            low, high = arguments["low"].low, arguments["high"].high
            return real(low, high, unit=unit, smooth=True)
        case "count":
            return real(0.0, INF, unit=unit)
        case "successes":
            return real(0.0, arguments["n"].high, unit=unit)
    return real(-INF, INF, unit=unit, smooth=True)


Domain: TypeAlias = tuple[str, Callable[[Static], bool]]
"""What an argument must be, in words, and whether any value of a range is."""

_ABOVE_0: Final[Domain] = ("above 0", lambda x: x.high > 0)
_AT_LEAST_0: Final[Domain] = ("at least 0", lambda x: x.high >= 0)
_PROBABILITY: Final[Domain] = ("between 0 and 1", lambda x: x.high >= 0 and x.low <= 1)
_INSIDE: Final[Domain] = (
    "greater than 0 and less than 1",
    lambda x: x.high > 0 and x.low < 1,
)

ARGUMENT_DOMAINS: Final[dict[tuple[str, str], Domain]] = {
    ("normal", "sd"): _ABOVE_0,
    ("lognormal", "median"): _ABOVE_0,
    ("lognormal", "spread"): _ABOVE_0,
    ("gamma", "mean"): _ABOVE_0,
    ("gamma", "shape"): _ABOVE_0,
    ("beta", "a"): _ABOVE_0,
    ("beta", "b"): _ABOVE_0,
    ("share", "mean"): _INSIDE,
    ("share", "strength"): _ABOVE_0,
    ("wait", "mean"): _ABOVE_0,
    ("robust", "sd"): _ABOVE_0,
    ("robust", "df"): _ABOVE_0,
    ("count", "rate"): _AT_LEAST_0,
    ("successes", "n"): _AT_LEAST_0,
    ("successes", "p"): _PROBABILITY,
    ("yes", "p"): _PROBABILITY,
}
