r"""Scores of continuous forecasts, normal and beta, given by mean and sd or by their parameters.

Benchmarks that ask a model for "mean and standard deviation" get a forecast that is a density and
not a histogram. The scores here are closed forms; each proper score S obeys ``E_{y~q} S(p, y) =
E_{y~q} S(q, y) + d_S(p, q)`` with the divergences at the end of the module. All functions are pure
`jnp`, act elementwise on any leading axes, and work under jit, vmap and grad (gradients of the beta
distribution function with respect to its parameters are central differences).

Parameters that describe no distribution (sd <= 0, a <= 0, NaN) give NaN and nothing else.

Axes: N items, L levels.
Source: Jordan, Krueger & Lerch (2019), "Evaluating probabilistic forecasts with scoringRules",
appendix A (CRPS of normal and beta); docs/scores.md has every definition.

Example:
  >>> forecast = Normal(jnp.array(0.0), jnp.array(1.0))
  >>> float(crps(forecast, jnp.array(0.0))).__round__(6)
  0.233695
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.scipy.special as jss
import numpy as np
from jax.scipy import stats as jst

_BISECTIONS = 60
_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(256)


class Normal(NamedTuple):
    """Normal forecasts: mean [N] and standard deviation [N] > 0."""

    mean: jax.Array
    sd: jax.Array


class Beta(NamedTuple):
    """Beta forecasts on [0, 1]: shapes a [N] > 0 and b [N] > 0."""

    a: jax.Array
    b: jax.Array


Forecast = Normal | Beta


def beta_from_mean_sd(mean_N: jax.Array, sd_N: jax.Array) -> Beta:
    """Beta forecast with this mean and sd: ``a + b = mean (1 - mean) / sd^2 - 1``.

    NaN where no beta distribution has them (mean outside (0, 1), or sd^2 >= mean (1 - mean)).
    """
    room = mean_N * (1 - mean_N)
    possible = (mean_N > 0) & (mean_N < 1) & (sd_N > 0) & (sd_N**2 < room)
    total = jnp.where(possible, room / jnp.where(possible, sd_N, 1.0) ** 2 - 1, jnp.nan)
    return Beta(mean_N * total, (1 - mean_N) * total)


def _valid(forecast: Forecast) -> jax.Array:
    if isinstance(forecast, Normal):
        return jnp.isfinite(forecast.mean) & (forecast.sd > 0) & jnp.isfinite(forecast.sd)
    finite = jnp.isfinite(forecast.a) & jnp.isfinite(forecast.b)
    return (forecast.a > 0) & (forecast.b > 0) & finite


def _safe(forecast: Forecast) -> Forecast:
    """The forecast with harmless parameters where it is none, so that gradients stay finite."""
    ok = _valid(forecast)
    if isinstance(forecast, Normal):
        return Normal(jnp.where(ok, forecast.mean, 0.0), jnp.where(ok, forecast.sd, 1.0))
    return Beta(jnp.where(ok, forecast.a, 1.0), jnp.where(ok, forecast.b, 1.0))


def _or_nan(forecast: Forecast, value: jax.Array) -> jax.Array:
    return jnp.where(_valid(forecast), value, jnp.nan)


def _betaln(a: jax.Array, b: jax.Array) -> jax.Array:
    """log B(a, b); `jax.scipy.special.betaln` is only good to about 1e-6."""
    return jss.gammaln(a) + jss.gammaln(b) - jss.gammaln(a + b)


@jax.custom_jvp
def _betainc(a: jax.Array, b: jax.Array, x: jax.Array) -> jax.Array:
    return jss.betainc(a, b, x)


@_betainc.defjvp
def _betainc_jvp(
    primals: tuple[jax.Array, jax.Array, jax.Array], tangents: tuple[jax.Array, ...]
) -> tuple[jax.Array, jax.Array]:
    a, b, x = primals
    value = jss.betainc(a, b, x)
    h = float(np.finfo(value.dtype).eps) ** (1 / 3)
    by_a = (jss.betainc(a * (1 + h), b, x) - jss.betainc(a * (1 - h), b, x)) / (2 * h * a)
    by_b = (jss.betainc(a, b * (1 + h), x) - jss.betainc(a, b * (1 - h), x)) / (2 * h * b)
    inside = jnp.clip(x, 1e-30, 1 - float(np.finfo(value.dtype).eps))
    by_x = jnp.exp((a - 1) * jnp.log(inside) + (b - 1) * jnp.log1p(-inside) - _betaln(a, b))
    by_x = jnp.where((x > 0) & (x < 1), by_x, 0.0)
    return value, by_a * tangents[0] + by_b * tangents[1] + by_x * tangents[2]


def _beta_cdf(a: jax.Array, b: jax.Array, y: jax.Array) -> jax.Array:
    a, b, y = jnp.broadcast_arrays(
        *(jnp.asarray(x, dtype=jnp.result_type(float)) for x in (a, b, y))
    )
    return _betainc(a, b, jnp.clip(y, 0.0, 1.0))


def mean(forecast: Forecast) -> jax.Array:
    """Mean [N]."""
    value = (
        forecast.mean if isinstance(forecast, Normal) else forecast.a / (forecast.a + forecast.b)
    )
    return _or_nan(forecast, value)


def sd(forecast: Forecast) -> jax.Array:
    """Standard deviation [N]: the sharpness of a continuous forecast."""
    if isinstance(forecast, Normal):
        return _or_nan(forecast, forecast.sd)
    a, b = _safe(forecast)
    return _or_nan(forecast, jnp.sqrt(a * b / (a + b + 1)) / (a + b))


def cdf(forecast: Forecast, y_N: jax.Array) -> jax.Array:
    """Distribution function at y: the PIT of a continuous forecast, uniform when y ~ forecast."""
    safe = _safe(forecast)
    if isinstance(safe, Normal):
        return _or_nan(forecast, jss.ndtr((y_N - safe.mean) / safe.sd))
    return _or_nan(forecast, _beta_cdf(safe.a, safe.b, y_N))


pit = cdf


def quantile(forecast: Forecast, level: jax.Array | float) -> jax.Array:
    """Quantile at levels in (0, 1), broadcasting against the forecast (beta: 60 bisections)."""
    safe = _safe(forecast)
    level = jnp.asarray(level, dtype=jnp.result_type(float))
    if isinstance(safe, Normal):
        return _or_nan(forecast, safe.mean + safe.sd * jss.ndtri(level))
    a, b = jax.lax.stop_gradient(safe)
    shape = jnp.broadcast_shapes(jnp.shape(a), level.shape)

    def halve(_: int, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = ends
        middle = 0.5 * (low + high)
        below = _beta_cdf(a, b, middle) < level
        return jnp.where(below, middle, low), jnp.where(below, high, middle)

    ends = (jnp.zeros(shape, level.dtype), jnp.ones(shape, level.dtype))
    low, high = jax.lax.fori_loop(0, _BISECTIONS, halve, ends)
    return _or_nan(forecast, 0.5 * (low + high))


def log_score(forecast: Forecast, y_N: jax.Array) -> jax.Array:
    """``-log density(y)`` in nats: depends on the unit of y; infinite off a beta's support."""
    safe = _safe(forecast)
    if isinstance(safe, Normal):
        z = (y_N - safe.mean) / safe.sd
        return _or_nan(forecast, 0.5 * z**2 + jnp.log(safe.sd) + 0.5 * np.log(2 * np.pi))
    inside = (y_N >= 0) & (y_N <= 1)
    y = jnp.where(inside, y_N, 0.5)
    logpdf = jss.xlogy(safe.a - 1, y) + jss.xlog1py(safe.b - 1, -y) - _betaln(safe.a, safe.b)
    return _or_nan(forecast, jnp.where(inside, -logpdf, jnp.inf))


def crps(forecast: Forecast, y_N: jax.Array) -> jax.Array:
    r"""Continuous ranked probability score ``\int (F(x) - 1{y <= x})^2 dx``, lower is better.

    Normal: ``sd (z (2 Phi(z) - 1) + 2 phi(z) - 1/sqrt(pi))`` with ``z = (y - mean) / sd``.
    Beta: ``y (2 F_{a,b}(y) - 1) + m (1 - 2 F_{a+1,b}(y) - 2 B(2a, 2b) / (a B(a, b)^2))`` with
    ``m = a / (a + b)``; y may lie outside [0, 1].

    Args:
      forecast: normal or beta forecasts [N].
      y_N: outcomes, in the unit of the forecast.

    Returns:
      [N], in that unit.
    """
    safe = _safe(forecast)
    if isinstance(safe, Normal):
        z = (y_N - safe.mean) / safe.sd
        spread = z * (2 * jss.ndtr(z) - 1) + 2 * jst.norm.pdf(z) - 1 / np.sqrt(np.pi)
        return _or_nan(forecast, safe.sd * spread)
    a, b = safe
    mean_N = a / (a + b)
    ratio = jnp.exp(_betaln(2 * a, 2 * b) - 2 * _betaln(a, b)) / a
    below = y_N * (2 * _beta_cdf(a, b, y_N) - 1)
    value = below + mean_N * (1 - 2 * _beta_cdf(a + 1, b, y_N) - 2 * ratio)
    return _or_nan(forecast, value)


def coverage(forecast: Forecast, y_N: jax.Array, level_L: jax.Array) -> jax.Array:
    """1 where the central (equal-tailed) interval of each level holds y, else 0; [N, L]."""
    distance = jnp.abs(cdf(forecast, y_N) - 0.5)[..., None]
    inside = (distance <= level_L / 2).astype(distance.dtype)
    return jnp.where(jnp.isnan(distance), jnp.nan, inside)


def central_interval(forecast: Forecast, level: float) -> tuple[jax.Array, jax.Array]:
    """Ends of the central interval of this coverage; their gap is its width (sharpness)."""
    return quantile(forecast, (1 - level) / 2), quantile(forecast, (1 + level) / 2)


def kl_divergence(target: Forecast, forecast: Forecast) -> jax.Array:
    """``KL(target || forecast)`` in nats: the divergence of the log score.

    Raises:
      TypeError: the two are of different families.
    """
    q, p = _safe(target), _safe(forecast)
    if isinstance(q, Normal) and isinstance(p, Normal):
        ratio = q.sd / p.sd
        value = 0.5 * (ratio**2 - 1 + ((q.mean - p.mean) / p.sd) ** 2) - jnp.log(ratio)
    elif isinstance(q, Beta) and isinstance(p, Beta):
        da, db = q.a - p.a, q.b - p.b
        value = _betaln(p.a, p.b) - _betaln(q.a, q.b) - (da + db) * jss.digamma(q.a + q.b)
        value = value + da * jss.digamma(q.a) + db * jss.digamma(q.b)
    else:
        raise TypeError("KL between a normal and a beta forecast is not supported")
    return _or_nan(target, _or_nan(forecast, value))


def _mean_absolute(mean_N: jax.Array, sd_N: jax.Array) -> jax.Array:
    """``E |X|`` of a normal."""
    z = mean_N / sd_N
    return 2 * sd_N * jst.norm.pdf(z) + mean_N * (2 * jss.ndtr(z) - 1)


def cramer(target: Forecast, forecast: Forecast) -> jax.Array:
    r"""Cramer divergence ``\int (F_p - F_q)^2 dx``: the divergence of the CRPS.

    Two normals: the closed form ``E|X - Y| - E|X - X'|/2 - E|Y - Y'|/2``. Otherwise 256-point
    Gauss-Legendre quadrature on [0, 1] for two betas (about 1e-8; less for shapes below 1).

    Raises:
      TypeError: the two are of different families.
    """
    q, p = _safe(target), _safe(forecast)
    if isinstance(q, Normal) and isinstance(p, Normal):
        cross = _mean_absolute(p.mean - q.mean, jnp.sqrt(p.sd**2 + q.sd**2))
        value = cross - (p.sd + q.sd) / np.sqrt(np.pi)
    elif isinstance(q, Beta) and isinstance(p, Beta):
        x = jnp.asarray(0.5 + 0.5 * _NODES)
        gap = _beta_cdf(p.a[..., None], p.b[..., None], x) - _beta_cdf(
            q.a[..., None], q.b[..., None], x
        )
        value = jnp.sum(gap**2 * jnp.asarray(0.5 * _NODE_WEIGHTS), axis=-1)
    else:
        raise TypeError("the Cramer divergence between a normal and a beta is not supported")
    return _or_nan(target, _or_nan(forecast, value))
