"""The op-codes of program tables and their float32 arithmetic.

An instruction reads up to three rows ``a, b, c`` of the value matrix, a standard-normal row ``z``,
a uniform row ``u`` (``Phi`` of a normal row), two immediate numbers ``k, m`` and a quantile table,
and gives one row. Log-likelihoods are accumulated: ``a`` is the sum so far. ``-inf`` (an impossible
particle) absorbs everything, NaN (no number) absorbs everything else, so that the kernel can tell
"cannot be" from "cannot be computed".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy import special

TABLE_SIZE = 513
TABLE_REACH = 9.0  # quantile tables span z in [-TABLE_REACH, TABLE_REACH]
# Means up to which counts are exact by recurrence (which ends there); beyond they come from a
# Cornish-Fisher expansion whose law is within 3e-4 of the right one in total variation.
EXACT_MEAN, EXACT_STEPS = 16.0, 64.0
HALF_LOG_TWO_PI = 0.9189385332046727
LEAST_SLACK = 0.4


class Operands(NamedTuple):
    """What one instruction reads: rows of shape [P], scalars, and a table [TABLE_SIZE]."""

    a: jax.Array
    b: jax.Array
    c: jax.Array
    z: jax.Array
    u: jax.Array
    k: jax.Array
    m: jax.Array
    table: jax.Array


def _number(flag: jax.Array, *inputs: jax.Array) -> jax.Array:
    """A boolean as 0/1, NaN where an input is NaN."""
    bad = jnp.isnan(inputs[0])
    for value in inputs[1:]:
        bad = bad | jnp.isnan(value)
    return jnp.where(bad, jnp.nan, flag.astype(jnp.float32))


def _valid(ok: jax.Array, value: jax.Array) -> jax.Array:
    return jnp.where(ok, value, jnp.nan)


def _plus(total: jax.Array, term: jax.Array) -> jax.Array:
    """``total + term`` in which ``-inf`` wins over NaN."""
    impossible = (total == -jnp.inf) | (term == -jnp.inf)
    return jnp.where(impossible, -jnp.inf, total + term)


def _log_add(o: Operands) -> jax.Array:
    """``log(exp(a + k) + exp(b + m))``; NaN where a branch cannot be computed."""
    a, b = o.a + o.k, o.b + o.m
    high, low = jnp.maximum(a, b), jnp.minimum(a, b)
    return jnp.where(low == -jnp.inf, high, high + jnp.log1p(jnp.exp(low - high)))


def _xlogy(x: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.where(x == 0, 0.0, x * jnp.log(y))


def _xlog1py(x: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.where(x == 0, 0.0, x * jnp.log1p(y))


def _power(o: Operands) -> jax.Array:
    """``a ** b``, squares by multiplication (a float32 power loses digits)."""
    return jnp.where(o.b == 2.0, o.a * o.a, jnp.power(o.a, o.b))


def _from_table(o: Operands) -> jax.Array:
    """``a + b * T(z)``, linear between table points, flat beyond the table's reach."""
    step = 2.0 * TABLE_REACH / (TABLE_SIZE - 1)
    place = jnp.clip((o.z + TABLE_REACH) / step, 0.0, TABLE_SIZE - 1.001)
    index = place.astype(jnp.int32)
    share = place - index
    low, high = o.table[index], o.table[index + 1]
    return o.a + o.b * (low + share * (high - low))


def _count(o: Operands) -> jax.Array:
    """Poisson quantile of ``u``: pmf recurrence, or Cornish-Fisher where the rate is large.

    ``- z / (24 sd)`` is the correction for rounding to whole numbers (Sheppard's).
    """
    small = (o.a >= 0) & (o.a <= EXACT_MEAN)
    rate = jnp.where(small, o.a, 0.0)

    def more(state: Any) -> Any:
        k, _, cdf, _ = state
        return (k < EXACT_STEPS) & jnp.any(cdf < o.u)

    def step(state: Any) -> Any:
        k, pmf, cdf, value = state
        pmf = pmf * rate / (k + 1.0)
        value = value + (cdf < o.u)
        return k + 1.0, pmf, cdf + pmf, value

    pmf = jnp.exp(-rate)
    start = (jnp.float32(0.0), pmf, jnp.where(small, pmf, 2.0), jnp.zeros_like(o.a))
    exact = jax.lax.while_loop(more, step, start)[3]
    root = jnp.sqrt(o.a)
    z2 = o.z * o.z
    wide = o.a + root * o.z + (z2 - 1.0) / 6.0 - (2.0 * o.z + z2 * o.z) / (72.0 * root)
    value = jnp.where(small, exact, jnp.maximum(jnp.floor(wide + 0.5), 0.0))
    return _valid(o.a >= 0, value)


def _successes(o: Operands) -> jax.Array:
    """Binomial quantile of ``u``: ``a`` trials of chance ``b``."""
    n, p = o.a, o.b
    ok = (n >= 0) & (n == jnp.floor(n)) & (p >= 0) & (p <= 1)
    flip = p > 0.5
    q = jnp.where(flip, 1.0 - p, p)
    u = jnp.where(flip, 1.0 - o.u, o.u)
    z = jnp.where(flip, -o.z, o.z)
    small = ok & (n * q <= EXACT_MEAN)
    odds = jnp.where(small, q / (1.0 - q), 0.0)

    def more(state: Any) -> Any:
        k, _, cdf, _ = state
        return (k < EXACT_STEPS) & jnp.any(cdf < u)

    def step(state: Any) -> Any:
        k, pmf, cdf, value = state
        pmf = pmf * jnp.maximum(n - k, 0.0) / (k + 1.0) * odds
        value = value + (cdf < u)
        return k + 1.0, pmf, cdf + pmf, value

    pmf = jnp.exp(n * jnp.log1p(-jnp.where(small, q, 0.0)))
    start = (jnp.float32(0.0), pmf, jnp.where(small, pmf, 2.0), jnp.zeros_like(n))
    exact = jnp.minimum(jax.lax.while_loop(more, step, start)[3], n)
    sd = jnp.sqrt(n * q * (1.0 - q))
    z2 = z * z
    skew = (1.0 - 2.0 * q) * (z2 - 1.0) / 6.0
    kurtosis = (z2 * z - 3.0 * z) * (1.0 - 6.0 * q * (1.0 - q)) / (24.0 * sd)
    bend = (2.0 * z2 * z - 5.0 * z) * (1.0 - 2.0 * q) ** 2 / (36.0 * sd)
    wide = n * q + sd * z + skew + kurtosis - bend - z / (24.0 * sd)
    wide = jnp.clip(jnp.floor(wide + 0.5), 0.0, n)
    value = jnp.where(small, exact, wide)
    return _valid(ok, jnp.where(flip, n - value, value))


def _log_gamma_draw(o: Operands) -> jax.Array:
    """Log of a proposal for Gamma(shape ``a``, 1): Marsaglia-Tsang's map for shape + 1, boosted.

    ``d v u^(1/a)`` with ``d = a + 2/3``, ``v = (1 + z / sqrt(9 d))^3``; `_log_gamma_weight` makes
    it exact. Source: Marsaglia and Tsang (2000), A simple method for generating gamma variables.
    """
    d = o.a + 2.0 / 3.0
    root = jnp.maximum(1.0 + o.z / jnp.sqrt(9.0 * d), 1e-6)
    log_u = jnp.log(jnp.maximum(o.u, 1e-30))
    return _valid(o.a > 0, jnp.log(d) + 3.0 * jnp.log(root) + log_u / o.a)


def _log_gamma_weight(o: Operands) -> jax.Array:
    """Adds to ``a`` the log ratio of Gamma(shape ``b`` + 1) to the proposal of `_log_gamma_draw`.

    The ratio is Marsaglia and Tsang's acceptance probability up to a constant of the shape; the
    constant is kept, since the shape differs between particles:
    ``ratio = Gamma(d v; b + 1) * |dx/dz| / phi(z)``.
    """
    shape = o.b + 1.0
    d = shape - 1.0 / 3.0
    scale = 1.0 / jnp.sqrt(9.0 * d)
    root = 1.0 + o.z * scale
    safe = jnp.maximum(root, 1e-6)
    log_x = jnp.log(d) + 3.0 * jnp.log(safe)
    log_density = (shape - 1.0) * log_x - jnp.exp(log_x) - special.gammaln(shape)
    log_jacobian = jnp.log(3.0 * d * scale) + 2.0 * jnp.log(safe)
    ratio = log_density + log_jacobian + 0.5 * o.z * o.z + HALF_LOG_TWO_PI
    return _plus(o.a, _valid(o.b > 0, jnp.where(root > 0, ratio, -jnp.inf)))


def _see_normal(o: Operands) -> jax.Array:
    t = (o.k - o.b) / o.c
    term = -0.5 * t * t - jnp.log(o.c) - HALF_LOG_TWO_PI
    return _plus(o.a, _valid(o.c > 0, term))


def _see_lognormal(o: Operands) -> jax.Array:
    """``k`` is the log of the observation."""
    t = (o.k - jnp.log(o.b)) / o.c
    term = -0.5 * t * t - jnp.log(o.c) - HALF_LOG_TWO_PI - o.k
    return _plus(o.a, _valid((o.b > 0) & (o.c > 0), term))


def _see_gamma(o: Operands) -> jax.Array:
    """Mean ``b``, shape ``c``, observation ``k`` > 0 with log ``m``."""
    term = (
        (o.c - 1.0) * o.m
        - o.c * o.k / o.b
        + o.c * (jnp.log(o.c) - jnp.log(o.b))
        - special.gammaln(o.c)
    )
    return _plus(o.a, _valid((o.b > 0) & (o.c > 0), term))


def _see_beta(o: Operands) -> jax.Array:
    """``k`` is log x, ``m`` is log(1 - x)."""
    total = special.gammaln(o.b + o.c) - special.gammaln(o.b) - special.gammaln(o.c)
    term = (o.b - 1.0) * o.k + (o.c - 1.0) * o.m + total
    return _plus(o.a, _valid((o.b > 0) & (o.c > 0), term))


def _see_uniform(o: Operands) -> jax.Array:
    inside = (o.k >= o.b) & (o.k <= o.c)
    term = jnp.where(inside, -jnp.log(o.c - o.b), -jnp.inf)
    return _plus(o.a, _valid(o.b < o.c, term))


def _see_robust(o: Operands) -> jax.Array:
    """Standardised residual ``b``, degrees of freedom ``c``; log sd is subtracted apart."""
    half = 0.5 * o.c
    term = (
        special.gammaln(half + 0.5)
        - special.gammaln(half)
        - 0.5 * jnp.log(jnp.pi * o.c)
        - (half + 0.5) * jnp.log1p(o.b * o.b / o.c)
    )
    return _plus(o.a, _valid(o.c > 0, term))


def _see_robust_fixed(o: Operands) -> jax.Array:
    """As `_see_robust` with degrees of freedom ``k`` and normalising constant ``m``."""
    term = o.m - 0.5 * (o.k + 1.0) * jnp.log1p(o.b * o.b / o.k)
    return _plus(o.a, term)


def _see_count(o: Operands) -> jax.Array:
    """Rate ``b``, count ``k``, ``m`` = log k!."""
    term = _xlogy(o.k, o.b) - o.b - o.m
    return _plus(o.a, _valid(o.b >= 0, term))


def _see_successes(o: Operands) -> jax.Array:
    """Trials ``b``, chance ``c``, successes ``k``, ``m`` = log k!."""
    n, p, k = o.b, o.c, o.k
    misses = n - k
    choose = special.gammaln(n + 1.0) - special.gammaln(jnp.maximum(misses, 0.0) + 1.0) - o.m
    term = jnp.where(misses >= 0, choose + _xlogy(k, p) + _xlog1py(misses, -p), -jnp.inf)
    ok = (n >= 0) & (n == jnp.floor(n)) & (p >= 0) & (p <= 1)
    return _plus(o.a, _valid(ok, term))


def _see_chances(o: Operands) -> jax.Array:
    """``k`` log b + ``m`` log(1 - b): yes draws, and successes in a fixed number of trials."""
    term = _xlogy(o.k, o.b) + _xlog1py(o.m, -o.b)
    return _plus(o.a, _valid((o.b >= 0) & (o.b <= 1), term))


def _slack(o: Operands) -> jax.Array:
    """Adds to ``a`` how far a comparison is from holding: 0 where ``b`` holds, else between
    `LEAST_SLACK` and 1, half-way where its sides are ``k`` apart (``c``, of either sign).
    """
    apart = jnp.abs(o.c)
    graded = LEAST_SLACK + (1.0 - LEAST_SLACK) * apart / (apart + o.k)
    term = jnp.where(o.b != 0, 0.0, jnp.where(jnp.isfinite(graded), graded, 1.0))
    return o.a + _valid(~jnp.isnan(o.b), term)


# Name -> arithmetic. The order is the op-code.
BRANCHES: dict[str, Callable[[Operands], jax.Array]] = {
    "add": lambda o: o.a + o.b,
    "sub": lambda o: o.a - o.b,
    "mul": lambda o: o.a * o.b,
    "div": lambda o: o.a / o.b,
    "pow": _power,
    "neg": lambda o: -o.a,
    "not": lambda o: _number(o.a == 0, o.a),
    "and": lambda o: _number((o.a != 0) & (o.b != 0), o.a, o.b),
    "or": lambda o: _number((o.a != 0) | (o.b != 0), o.a, o.b),
    "lt": lambda o: _number(o.a < o.b, o.a, o.b),
    "le": lambda o: _number(o.a <= o.b, o.a, o.b),
    "eq": lambda o: _number(o.a == o.b, o.a, o.b),
    "ne": lambda o: _number(o.a != o.b, o.a, o.b),
    "if": lambda o: _valid(~jnp.isnan(o.a), jnp.where(o.a != 0, o.b, o.c)),
    "exp": lambda o: jnp.exp(o.a),
    "log": lambda o: jnp.log(o.a),
    "sqrt": lambda o: jnp.sqrt(o.a),
    "abs": lambda o: jnp.abs(o.a),
    "sigmoid": lambda o: jax.nn.sigmoid(o.a),
    "log_sigmoid": lambda o: jax.nn.log_sigmoid(o.a),
    "round": lambda o: jnp.round(o.a),
    "min": lambda o: jnp.minimum(o.a, o.b),
    "max": lambda o: jnp.maximum(o.a, o.b),
    # latents
    "draw_normal": lambda o: _valid(o.b >= 0, o.a + o.b * o.z),
    "draw_lognormal": lambda o: _valid((o.a > 0) & (o.b >= 0), o.a * jnp.exp(o.b * o.z)),
    "draw_uniform": lambda o: _valid(o.a <= o.b, o.a + (o.b - o.a) * o.u),
    "draw_wait": lambda o: _valid(o.a > 0, -o.a * special.log_ndtr(-o.z)),
    "draw_table": _from_table,
    "draw_yes": lambda o: _valid((o.a >= 0) & (o.a <= 1), (o.u < o.a).astype(jnp.float32)),
    "draw_count": _count,
    "draw_successes": _successes,
    "pick_equal": lambda o: jnp.minimum(jnp.floor(o.u * o.k), o.k - 1.0),
    "pick_step": lambda o: o.a + (o.u >= o.k),
    "pick_compare": lambda o: o.a + (o.u * o.b >= o.c),
    "draw_log_gamma": _log_gamma_draw,
    "gamma_weight": _log_gamma_weight,
    # log-likelihoods, added to the sum a
    "plus": lambda o: _plus(o.a, o.b),
    "log_add": _log_add,
    "fact": lambda o: _plus(o.a, _valid(~jnp.isnan(o.b), jnp.where(o.b != 0, 0.0, -jnp.inf))),
    "see_normal": _see_normal,
    "see_lognormal": _see_lognormal,
    "see_gamma": _see_gamma,
    "see_beta": _see_beta,
    "see_uniform": _see_uniform,
    "see_wait": lambda o: _plus(o.a, _valid(o.b > 0, -o.k / o.b - jnp.log(o.b))),
    "see_robust": _see_robust,
    "see_robust_fixed": _see_robust_fixed,
    "see_count": _see_count,
    "see_successes": _see_successes,
    "see_chances": _see_chances,
    # hard facts while they are annealed
    "slack": _slack,
}
OPCODES: dict[str, int] = {name: code for code, name in enumerate(BRANCHES)}
