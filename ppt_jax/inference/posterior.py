"""Posterior answers of one document in float64 numpy: no compilation, and no JAX is imported.

Exact where every latent is discrete and the tables are small, else weighted draws from the prior,
as many as the effective sample size asks for. This is what authoring compares programs with; labels
come from the cascade, which has more routes and gates.

Axes: P particles, A asks, C answer cells.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ppt_jax.errors import UserError
from ppt_jax.inference import elimination, factored
from ppt_jax.inference.program import Program, lower
from ppt_jax.inference.simulate import node_values
from ppt_jax.scenario.document import Ask, Scenario

Array = NDArray[np.float64]

ANSWERS = 101
MAX_CELLS = 1 << 20  # table entries up to which a discrete program is summed exactly
BATCH_VALUES = 1 << 22  # float64 values of a batch of particles, 32 MB
Reason = Literal["impossible_evidence", "nonfinite_program"]


class PosteriorError(UserError):
    """A document without a posterior; `reason` is a short stable string for counting."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclasses.dataclass(frozen=True, eq=False)
class AskPosterior:
    """What a document says of one ask.

    Attributes:
      mass_C: posterior by answer cell, sum one. A `choice` has a cell an option; a `rank` 101; a
        `value` or `chance` 103: below the range, the answers 0..100, above it.
      prior_C: the prior in the same cells.
      mean, prior_mean, prior_sd: of the ask's own value (rank: 0 to 100; choice: the option's
        position; yes/no: 0 or 1).
    """

    mass_C: Array
    prior_C: Array
    mean: float
    prior_mean: float
    prior_sd: float


@dataclasses.dataclass(frozen=True, eq=False)
class Posterior:
    """Posterior answers of a document.

    Attributes:
      asks: in the document's order.
      ess: effective sample size of the weights; infinite where exact.
      log_evidence: log of the probability (density) of everything given, nats.
      log_evidence_error: its standard error, 0 where exact.
    """

    asks: tuple[AskPosterior, ...]
    ess: float
    log_evidence: float
    log_evidence_error: float


def posterior(
    scenario: Scenario,
    rng: np.random.Generator,
    *,
    min_ess: float = 2000.0,
    least: int = 1 << 13,
    most: int = 1 << 18,
) -> Posterior:
    """Posterior answers of a document.

    Args:
      scenario: a checked document.
      rng: source of particles, where any are needed.
      min_ess: particles are added until the effective sample size is this large.
      least, most: prior draws at least and at most.

    Returns:
      The answers; look at `ess` for how far to trust them.

    Raises:
      PosteriorError: no draw fits the evidence, or a value cannot be computed.

    Example:
      >>> posterior(scenario, np.random.default_rng(0)).asks[0].mean  # doctest: +SKIP
    """
    program = lower(scenario)
    if not factored.obstacle(program):
        try:
            return _exact(scenario, program)
        except (factored.NotEnumerableError, elimination.TooWideError):
            pass
    return _weighted(scenario, program, rng, min_ess, least, most)


def _exact(scenario: Scenario, program: Program) -> Posterior:
    model = factored.factorise(program, max_cells=MAX_CELLS)
    reached = {v for part in model.givens for v in part.scope}
    reached |= {v for value in (*model.asks, *model.ask_priors) for v in value.scope}
    if factored.broken(model, [*model.givens, *factored.upstream(model, reached)]) is not None:
        raise PosteriorError("nonfinite_program", "a value cannot be computed for some draws")
    known = factored.marginals(model, model.asks, model.givens, MAX_CELLS)
    if known is None:
        raise PosteriorError("impossible_evidence", "no joint state fits the evidence")
    prior = factored.marginals(model, model.ask_priors, (), MAX_CELLS)
    assert prior is not None
    asks = []
    for number, ask in enumerate(scenario.ask):
        x, w = model.asks[number].array.reshape(-1), known[number].reshape(-1)
        y, q = model.ask_priors[number].array.reshape(-1), prior[number].reshape(-1)
        asks.append(_ask_posterior(ask, x, w, y, q))
    seen = {v for part in model.givens for v in part.scope}
    parts = [*factored.usable(factored.upstream(model, seen)), *factored.usable(model.givens)]
    plan = elimination.plan_order(model.sizes, [f.scope for f in parts], max_cost=MAX_CELLS)
    evidence = float(elimination.eliminate(model.sizes, parts, (), plan))
    return Posterior(tuple(asks), math.inf, evidence, 0.0)


def _weighted(
    scenario: Scenario,
    program: Program,
    rng: np.random.Generator,
    min_ess: float,
    least: int,
    most: int,
) -> Posterior:
    batch = max(256, min(least, BATCH_VALUES // max(len(program.nodes), 1)))
    logs: list[Array] = []
    found: list[tuple[list[Array], list[Array]]] = []
    done, ess = 0, 0.0
    while done < least or (done < most and ess < min_ess):
        values = node_values(program.nodes, rng, batch)
        log_P = np.zeros(batch)
        impossible_P = np.zeros(batch, bool)
        with np.errstate(invalid="ignore"):
            for number in program.loglik:
                impossible_P |= values[number] == -np.inf
                log_P = log_P + values[number]
        log_P = np.where(impossible_P, -np.inf, log_P)
        if np.isnan(log_P).any() or np.isposinf(log_P).any():
            raise PosteriorError("nonfinite_program", "a likelihood cannot be computed")
        sides = (program.asks, program.ask_priors)
        after, before = ([_spread(values[n], batch) for n in side] for side in sides)
        logs.append(log_P)
        found.append((after, before))
        done += batch
        w_P, _ = _normalised(np.concatenate(logs))
        ess = 1.0 / float(np.sum(w_P**2)) if w_P.any() else 0.0
    w_P, log_evidence = _normalised(np.concatenate(logs))
    if not w_P.any():
        raise PosteriorError("impossible_evidence", f"none of {done} prior draws fits the evidence")
    even_P = np.full(done, 1.0 / done)
    asks = []
    for place, ask in enumerate(scenario.ask):
        x_P, y_P = (np.concatenate([part[side][place] for part in found]) for side in (0, 1))
        if not np.isfinite(x_P[w_P > 0]).all() or not np.isfinite(y_P).all():
            raise PosteriorError("nonfinite_program", f"ask {ask.id!r} cannot be computed")
        asks.append(_ask_posterior(ask, x_P, w_P, y_P, even_P))
    error = math.sqrt(max(1.0 / ess - 1.0 / done, 0.0))
    return Posterior(tuple(asks), ess, log_evidence, error)


def _spread(value: Array, size: int) -> Array:
    return np.array(np.broadcast_to(value, (size,)), np.float64)


def _normalised(log_P: Array) -> tuple[Array, float]:
    """Weights of sum one and the log of their mean before; zeros where all is impossible."""
    top = float(log_P.max())
    if top == -math.inf:
        return np.zeros(len(log_P)), -math.inf
    w_P = np.exp(log_P - top)
    total = float(w_P.sum())
    return w_P / total, top + math.log(total / len(log_P))


def _ask_posterior(ask: Ask, x: Array, w: Array, y: Array, q: Array) -> AskPosterior:
    """One ask from weighted values, posterior `x` with `w` and prior `y` with `q`."""
    x, w, y, q = x[w > 0], w[w > 0], y[q > 0], q[q > 0]
    if ask.kind == "rank":
        x, y = (100.0 * _prior_cdf(y, q, values) for values in (x, y))
        cells = _cells(ANSWERS, x, w, 0.0, 1.0), _cells(ANSWERS, y, q, 0.0, 1.0)
    elif ask.kind == "choice":
        count = len(ask.options)
        cells = _cells(count, x, w, 0.0, 1.0), _cells(count, y, q, 0.0, 1.0)
    else:
        low, high = (ask.low, ask.high) if ask.kind == "value" else (0.0, 1.0)
        scale = 100.0 / (high - low)
        first = low - 1.0 / scale  # one cell more at each end takes what lies outside
        cells = _cells(ANSWERS + 2, x, w, first, scale), _cells(ANSWERS + 2, y, q, first, scale)
    mean, prior_mean = float(w @ x), float(q @ y)
    prior_sd = math.sqrt(max(float(q @ (y - prior_mean) ** 2), 0.0))
    return AskPosterior(cells[0], cells[1], mean, prior_mean, prior_sd)


def _cells(count: int, x: Array, w: Array, low: float, scale: float) -> Array:
    place = np.clip(np.floor((x - low) * scale + 0.5), 0, count - 1).astype(np.int64)
    mass: NDArray[Any] = np.bincount(place, weights=w, minlength=count)
    return np.asarray(mass / mass.sum(), np.float64)


def _prior_cdf(y: Array, q: Array, x: Array) -> Array:
    """Mid-rank CDF of weighted prior values at ``x``."""
    order = np.argsort(y)
    points, upto = y[order], np.concatenate([[0.0], np.cumsum(q[order])])
    below = upto[np.searchsorted(points, x, side="left")]
    through = upto[np.searchsorted(points, x, side="right")]
    return np.asarray(np.clip(0.5 * (below + through) / upto[-1], 0.0, 1.0), np.float64)
