"""Families of programs whose posteriors are known by another way than sampling.

Each maker draws a document with a truth from its own prior (or takes chosen, surprising evidence)
and returns the exact answer distributions of its asks, from a closed form, a joint normal, or
quadrature on a fine grid. The difficult ones are here on purpose: dozens of hidden bits, a
mixture with two labellings, chains of hard facts, evidence at 1e-8 under the prior.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from ppt_jax.scenario.document import Scenario, parse_scenario
from ppt_jax.scenario.expression import FAMILIES as DRAWS

Array = NDArray[np.float64]
Made = tuple[Scenario, list[Array]]


def node(name: str, expr: str, *per: str) -> dict[str, Any]:
    """One model node."""
    kind = "draw" if expr.split("(")[0] in DRAWS else "let"
    return {"name": name, "per": list(per), "kind": kind, "expr": expr}


def value(expr: str, low: float, high: float) -> dict[str, Any]:
    """A value ask on a range."""
    return {"kind": "value", "expr": expr, "low": low, "high": high, "text": f"What is {expr}?"}


def choice(expr: str) -> dict[str, Any]:
    """A yes/no ask."""
    return {"kind": "choice", "expr": expr, "text": f"Is {expr}?"}


def chance(expr: str) -> dict[str, Any]:
    """A chance ask."""
    return {"kind": "chance", "expr": expr, "text": f"How likely is {expr}?"}


def made(
    name: str,
    model: list[dict[str, Any]],
    given: list[str],
    asks: list[dict[str, Any]],
    **sets: list[str],
) -> Scenario:
    """A parsed document."""
    return parse_scenario(
        {
            "schema": "scenario/1",
            "id": name,
            "motif": name.rsplit("-", 1)[0],
            "story": "A story.",
            "sets": [{"name": key, "members": members} for key, members in sets.items()],
            "model": model,
            "given": [{"that": that} for that in given],
            "ask": [{"id": f"q{i + 1}", **one} for i, one in enumerate(asks)],
        }
    )


def edges(low: float, high: float) -> Array:
    """[102] bounds of the 101 answers of a range."""
    return low + (high - low) * (np.arange(102) - 0.5) / 100


def normalised(mass: Array) -> Array:
    """Mass within the range, of sum one."""
    return mass / mass.sum()


def of_law(law: Any, low: float, high: float) -> Array:
    """Answers of a value whose law scipy knows."""
    return normalised(np.diff(law.cdf(edges(low, high))))


def of_normals(weights: Array, means: Array, sds: Array, low: float, high: float) -> Array:
    """Answers of a mixture of normals."""
    cdf = special.ndtr((edges(low, high)[:, None] - means.ravel()) / sds.ravel())
    return normalised(np.diff(cdf @ weights.ravel()))


def of_grid(x: Array, w: Array, low: float, high: float) -> Array:
    """Answers of weighted grid points, spread over a cell by finer grids than the answers."""
    place = np.floor((x - low) / (high - low) * 100 + 0.5)
    inside = (place >= 0) & (place <= 100)
    return normalised(np.bincount(place[inside].astype(int), w[inside], minlength=101))


def signed(x: float) -> str:
    """A number as the language writes it."""
    return f"{x:.8g}" if x >= 0 else f"-{-x:.8g}"


def conjugate(rng: np.random.Generator, number: int, surprise: float) -> Made:
    """A normal observed once, at a distance of the given tail probability."""
    sd = rng.uniform(0.05, 0.5)
    z = stats.norm.isf(surprise) if surprise else rng.standard_normal()
    seen = float(f"{z * (1 + sd**2) ** 0.5:.8g}")
    model = [node("x", "normal(mean=0, sd=1)"), node("y", f"normal(mean=x, sd={sd:.6g})")]
    sd = float(f"{sd:.6g}")
    mean, spread = seen / (1 + sd**2), (sd**2 / (1 + sd**2)) ** 0.5
    low, high = round(mean - 5 * spread, 2), round(mean + 4 * spread, 2)
    scenario = made(
        f"normal_{surprise:g}-{number}", model, [f"y == {signed(seen)}"], [value("x", low, high)]
    )
    return scenario, [of_law(stats.norm(mean, spread), low, high)]


def rate(rng: np.random.Generator, number: int, surprise: float) -> Made:
    """A gamma rate and counts; chosen counts lie far above what the prior expects."""
    mean, shape, days = rng.uniform(2, 8), rng.uniform(2, 6), int(rng.integers(2, 9))
    mean, shape = float(f"{mean:.4g}"), float(f"{shape:.4g}")
    law = stats.gamma(shape, scale=mean / shape)
    lam = law.isf(surprise) if surprise else law.rvs(random_state=rng)
    counts = rng.poisson(lam, days)
    names = [f"d{i}" for i in range(days)]
    model = [node("lam", f"gamma(mean={mean}, shape={shape})"), node("n", "count(rate=lam)", "day")]
    post = stats.gamma(shape + counts.sum(), scale=1 / (shape / mean + days))
    low, high = np.floor(post.ppf(1e-4)), np.ceil(post.ppf(1 - 1e-4)) + 1
    given = [f"n['{d}'] == {k}" for d, k in zip(names, counts)]
    asks = [value("lam", low, high), choice(f"lam > {post.median():.6g}")]
    gold = [of_law(post, low, high)]
    cut = float(f"{post.median():.6g}")
    gold.append(np.array([post.cdf(cut), post.sf(cut)]))
    return made(f"rate_{surprise:g}-{number}", model, given, asks, day=names), gold


def teams(rng: np.random.Generator, number: int) -> Made:
    """Strengths of some players from measured margins: a joint normal."""
    n, games = int(rng.integers(3, 7)), int(rng.integers(5, 13))
    names = [f"p{i}" for i in range(n)]
    noise = float(f"{rng.uniform(3, 12):.4g}")
    x = rng.normal(50, 15, n)
    A = np.zeros((games, n))
    pairs = [rng.choice(n, 2, replace=False) for _ in range(games)]
    for row, (i, j) in zip(A, pairs):
        row[i], row[j] = 1.0, -1.0
    seen = np.round(A @ x + rng.normal(0, noise, games), 3)
    model = [node("x", "normal(mean=50, sd=15)", "who")]
    given = []
    for k, (i, j) in enumerate(pairs):
        model.append(node(f"m{k}", f"normal(mean=x['p{i}'] - x['p{j}'], sd={noise})"))
        given.append(f"m{k} == {signed(seen[k])}")
    precision = np.eye(n) / 225 + A.T @ A / noise**2
    cov = np.linalg.inv(precision)
    mean = cov @ (50 / 225 * np.ones(n) + A.T @ seen / noise**2)
    asks = [value("x['p0']", 0, 100), choice("x['p0'] > x['p1']")]
    sd = (cov[0, 0] + cov[1, 1] - 2 * cov[0, 1]) ** 0.5
    p = special.ndtr((mean[0] - mean[1]) / sd)
    gold = [of_law(stats.norm(mean[0], cov[0, 0] ** 0.5), 0, 100), np.array([1 - p, p])]
    return made(f"teams-{number}", model, given, asks, who=names), gold


def groups(rng: np.random.Generator, number: int) -> Made:
    """A hierarchy: group means about an unknown mean with an unknown spread; quadrature in two."""
    n, each = int(rng.integers(3, 7)), int(rng.integers(2, 6))
    names = [f"g{i}" for i in range(n)]
    noise = float(f"{rng.uniform(2, 8):.4g}")
    mu, tau = rng.normal(50, 15), np.exp(rng.normal(np.log(6), 0.6))
    theta = rng.normal(mu, tau, n)
    seen = np.round(rng.normal(theta[:, None], noise, (n, each)), 3)
    obs = [f"o{j}" for j in range(each)]
    model = [
        node("mu", "normal(mean=50, sd=15)"),
        node("tau", "lognormal(median=6, spread=0.6)"),
        node("theta", "normal(mean=mu, sd=tau)", "group"),
        node("y", f"normal(mean=theta[group], sd={noise})", "group", "obs"),
    ]
    given = [
        f"y['{g}', '{o}'] == {signed(seen[i, j])}"
        for i, g in enumerate(names)
        for j, o in enumerate(obs)
    ]
    m = mu_grid = np.linspace(-30, 130, 1201)[:, None]
    log_tau = np.linspace(np.log(6) - 4.5 * 0.6, np.log(6) + 4.5 * 0.6, 401)
    t = np.exp(log_tau)[None, :]
    average, error2 = seen.mean(axis=1), noise**2 / each
    logp = stats.norm.logpdf(mu_grid, 50, 15) + stats.norm.logpdf(log_tau, np.log(6), 0.6)[None]
    for a in average:
        logp = logp + stats.norm.logpdf(a, m, np.sqrt(t**2 + error2))
    w = normalised(np.exp(logp - logp.max()))
    gain = t**2 / (t**2 + error2)
    centre, sd = m + gain * (average[0] - m), np.sqrt(gain * error2) + 0 * m
    asks = [value("mu", 0, 100), value("theta['g0']", 0, 100), value("tau", 0, 30)]
    gold = [
        _of_density(mu_grid[:, 0], w.sum(axis=1), 0, 100),
        of_normals(w[::2, ::2], centre[::2, ::2], sd[::2, ::2], 0, 100),
        _of_density(np.exp(log_tau), w.sum(axis=0), 0, 30),
    ]
    return made(f"groups-{number}", model, given, asks, group=names, obs=obs), gold


def _of_density(x: Array, w: Array, low: float, high: float) -> Array:
    """Answers of an increasing grid, its CDF interpolated."""
    upto = np.concatenate([[0.0], np.cumsum(w)])
    inner = 0.5 * (x[:-1] + x[1:])
    middle = np.concatenate([[2 * x[0] - inner[0]], inner, [2 * x[-1] - inner[-1]]])
    return normalised(np.diff(np.interp(edges(low, high), middle, upto / upto[-1])))


def mixture(rng: np.random.Generator, number: int) -> Made:
    """Two kinds of readings, one bit each for which kind: two labellings of one posterior."""
    n = int(rng.integers(8, 15))
    noise = float(f"{rng.uniform(3, 8):.4g}")
    p, mu = rng.beta(2, 2), rng.normal(50, 20, 2)
    bits = rng.random(n) < p
    seen = np.round(rng.normal(np.where(bits, mu[0], mu[1]), noise), 3)
    names = [f"o{i}" for i in range(n)]
    model = [
        node("p", "beta(a=2, b=2)"),
        node("first", "normal(mean=50, sd=20)"),
        node("second", "normal(mean=50, sd=20)"),
        node("kind", "yes(p=p)", "obs"),
        node("y", f"normal(mean=first if kind[obs] else second, sd={noise})", "obs"),
    ]
    given = [f"y['{o}'] == {signed(v)}" for o, v in zip(names, seen)]
    share = (np.arange(48) + 0.5) / 48
    grid = np.linspace(-30, 130, 321)
    like = stats.norm.pdf(seen[:, None], grid[None], noise)
    prior = stats.norm.pdf(grid, 50, 20)
    joint = np.zeros((len(grid), len(grid)))
    by_share = np.zeros(len(share))
    for k, q in enumerate(share):
        term = np.log(prior)[:, None] + np.log(prior)[None]
        for row in like:
            term = term + np.log(q * row[:, None] + (1 - q) * row[None] + 1e-300)
        mass = np.exp(term + 120.0) * q * (1 - q)
        by_share[k] = mass.sum()
        joint += mass
    first = normalised(joint.sum(axis=1))
    asks = [value("first", 0, 100), chance("p")]
    gold = [_of_density(grid, first, 0, 100), _of_density(share, normalised(by_share), 0, 1)]
    return made(f"mixture-{number}", model, given, asks, obs=names), gold


def screening(rng: np.random.Generator, number: int) -> Made:
    """Forty people with a hidden bit each, two tests of unknown quality, three shares."""
    n = 40
    names = [f"n{i}" for i in range(n)]
    p, hit, false = rng.beta(2, 4), rng.beta(8, 2), rng.beta(2, 8)
    ill = rng.random(n) < p
    seen = rng.random((2, n)) < np.where(ill, hit, false)
    model = [
        node("p", "beta(a=2, b=4)"),
        node("hit", "beta(a=8, b=2)"),
        node("false", "beta(a=2, b=8)"),
        node("ill", "yes(p=p)", "who"),
        node("one", "yes(p=hit if ill[who] else false)", "who"),
        node("two", "yes(p=hit if ill[who] else false)", "who"),
    ]
    given = [
        f"{test}['{w}'] == {int(v)}"
        for test, row in zip(("one", "two"), seen)
        for w, v in zip(names, row)
    ]
    x = (np.arange(90) + 0.5) / 90
    P, H, F = np.meshgrid(x, x, x, indexing="ij")
    logw = stats.beta.logpdf(P, 2, 4) + stats.beta.logpdf(H, 8, 2) + stats.beta.logpdf(F, 2, 8)
    count = np.bincount(seen.sum(axis=0), minlength=3)
    for k in range(3):
        term = P * H**k * (1 - H) ** (2 - k) + (1 - P) * F**k * (1 - F) ** (2 - k)
        logw = logw + count[k] * np.log(term)
    w = normalised(np.exp(logw - logw.max()))
    asks = [chance("p"), chance("hit")]
    gold = [_of_density(x, w.sum(axis=axes), 0, 1) for axes in ((1, 2), (0, 2))]
    return made(f"screening-{number}", model, given, asks, who=names), gold


def order(rng: np.random.Generator, number: int) -> Made:
    """Hard facts only: a full order of some normals, so each is an order statistic."""
    n = int(rng.integers(5, 11))
    names = [f"r{i}" for i in range(n)]
    model = [node("x", "normal(mean=50, sd=15)", "who")]
    given = [f"x['r{i}'] > x['r{i + 1}']" for i in range(n - 1)]
    z = np.linspace(-6, 6, 24001)
    gold = []
    asks = []
    for i in (0, n // 2):
        k = n - 1 - i  # that many lie below
        logp = stats.norm.logpdf(z) + k * special.log_ndtr(z) + (n - 1 - k) * special.log_ndtr(-z)
        gold.append(_of_density(50 + 15 * z, np.exp(logp), 0, 100))
        asks.append(value(f"x['r{i}']", 0, 100))
    return made(f"order-{number}", model, given, asks, who=names), gold


def outlier(rng: np.random.Generator, number: int) -> Made:
    """A heavy-tailed prior against a heavy-tailed reading far away: two modes."""
    seen = float(f"{rng.uniform(8, 16):.4g}")
    model = [
        node("x", "robust(mean=0, sd=1, df=3)"),
        node("y", "robust(mean=x, sd=0.7, df=3)"),
    ]
    grid = np.linspace(-40, 60, 200001)
    w = stats.t.pdf(grid, 3) * stats.t.pdf((seen - grid) / 0.7, 3)
    scenario = made(
        f"outlier-{number}", model, [f"y == {seen}"], [value("x", -5, 20), choice("x > 5")]
    )
    high = normalised(w)[grid > 5].sum()
    return scenario, [of_grid(grid, w, -5, 20), np.array([1 - high, high])]


FAMILIES: dict[str, Callable[[np.random.Generator, int], Made]] = {
    "normal": lambda rng, i: conjugate(rng, i, 0.0),
    "normal at 1e-4": lambda rng, i: conjugate(rng, i, 1e-4),
    "normal at 1e-8": lambda rng, i: conjugate(rng, i, 1e-8),
    "rate": lambda rng, i: rate(rng, i, 0.0),
    "rate at 1e-8": lambda rng, i: rate(rng, i, 1e-8),
    "teams": teams,
    "groups": groups,
    "mixture": mixture,
    "screening": screening,
    "order": order,
    "outlier": outlier,
}
