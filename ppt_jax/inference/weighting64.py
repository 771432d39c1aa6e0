"""Weighting in float64 on the host, for programs that 32-bit floats cannot hold.

The compiled kernel works in float32: seven digits. That is enough where numbers of one size are
compared (the tests hold it to float64), and not where a small difference hangs on large numbers: a
level near 1e8 known to within one, ten thousand counts in one observation, a range of a hundredth
about a thousand. `needs_float64` finds these by their constants, before anything runs, and the
cascade sends them here: the same weighting on the same kind of points, some twenty times slower.

Axes: S scrambles, P points of both, A asks, C answer cells.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppt_jax.inference.exact import prior_cdf
from ppt_jax.inference.graph import Node
from ppt_jax.inference.labels import LabelConfig, ask_scale
from ppt_jax.inference.points import SCRAMBLES
from ppt_jax.inference.private import sum_out_private
from ppt_jax.inference.program import Program
from ppt_jax.inference.routes import Outcome, Prepared, weighted_outcome
from ppt_jax.inference.summary import ANSWERS, CELLS, RANK, Summary
from ppt_jax.inference.uncompiled import MAX_WORK, particles, work

Array = NDArray[np.float64]
# Relative precision of float32 is 6e-8; beyond these an answer or a nat of log-weight is at stake.
LARGE_RATIO = 1e5  # of a location to a spread
LARGE_COUNT = 1e4  # counts, trials, shapes: their log-likelihood cancels terms of their size
LARGE_CONSTANT = 1e7
WIDE_RANGE = 2e3  # of a range's ends to its width


def needs_float64(prepared: Prepared) -> str:
    """What in a scenario 32-bit floats cannot hold, or an empty string."""
    for ask in prepared.scenario.ask:
        if ask.kind == "value":
            ends = max(abs(ask.low), abs(ask.high))
            if ends > WIDE_RANGE * (ask.high - ask.low):
                return f"ask {ask.id!r}: a range of {ask.high - ask.low:g} about {ends:g}"
    nodes = prepared.program.nodes
    for node in nodes:
        found = _large(node, nodes)
        if found:
            return found
    return ""


def _large(node: Node, nodes: Sequence[Node]) -> str:
    known = [nodes[arg].value if nodes[arg].op == "const" else None for arg in node.args]
    sizes = [abs(value) for value in known if value is not None and math.isfinite(value)]
    if not sizes:
        return ""
    family = node.op.split(":")[1] if ":" in node.op else ""
    if family in ("normal", "robust"):
        # log densities have the observation first; draws have mean and spread alone
        place = 2 if node.op.startswith("log:") else 1
        spread = known[place]
        if spread is not None and 0 < spread < max(sizes) / LARGE_RATIO:
            return f"{family}: {max(sizes):g} known to within {spread:g}"
    if node.op == "log:count" and known[0] is not None and known[0] > LARGE_COUNT:
        return f"count: {known[0]:g} seen"
    if node.op == "log:successes" and max(sizes[:2]) > LARGE_COUNT:
        return f"successes: {max(sizes[:2]):g} trials"
    if node.op in ("log:beta", "log:gamma") and max(sizes) > LARGE_COUNT:
        return f"{family}: a parameter of {max(sizes):g}"
    compared = node.op in ("add", "sub", "lt", "le", "eq", "ne", "fact", "if")
    if (compared or family in ("normal", "robust")) and max(sizes) > LARGE_CONSTANT:
        return f"a constant of {max(sizes):g} beside smaller numbers"
    return ""


def _cells(
    value_P: Array, prior_P: Array, kind: int, low: float, scale: float
) -> tuple[Array, ...]:
    """Answer cells of the posterior's and the prior's values, as in `summary.summarise`."""
    if kind == RANK:
        good = np.isfinite(prior_P)
        ones = np.ones(int(good.sum()))
        found = (prior_cdf(prior_P[good], ones, np.nan_to_num(x)) for x in (value_P, prior_P))
        return tuple(np.clip(F * CELLS, 0, CELLS - 1).astype(int) for F in found)

    def cell(x_P: Array) -> Array:
        place = np.floor((x_P - low) * scale + 0.5)
        return np.clip(np.nan_to_num(place, nan=-1.0), -1, ANSWERS).astype(int) + 1

    return cell(value_P), cell(prior_P)


def _summary(prepared: Prepared, program: Program, points: int, seed: int) -> Summary:
    asks_AP, priors_AP, logw_P = particles(program, points, seed)
    size = len(logw_P)
    broken_P = np.isnan(logw_P) | (logw_P == np.inf)
    logw_P = np.where(broken_P, -np.inf, logw_P)
    log_max = logw_P.max()
    w_P = np.exp(logw_P - log_max) if log_max > -np.inf else np.zeros(size)
    part_P = np.arange(size) // (size // SCRAMBLES)
    fields: dict[str, list[NDArray[Any]]] = {name: [] for name in Summary._fields}
    for place, ask in enumerate(prepared.scenario.ask):
        kind, low, scale = ask_scale(ask)
        value_P, prior_P, truth = asks_AP[place], priors_AP[place], prepared.truths[place]
        good_P = np.isfinite(value_P)
        cell_P, prior_cell_P = _cells(value_P, prior_P, kind, low, scale)
        kept_P = np.where(good_P, w_P, 0.0)
        sums = np.bincount(part_P * CELLS + cell_P, kept_P, minlength=SCRAMBLES * CELLS)
        near = 1e-9 * abs(truth) + 1e-30
        possible = np.isfinite(prior_P)
        rank = prior_cdf(prior_P[possible], np.ones(int(possible.sum())), np.array([truth]))
        fields["cells_ASC"].append(sums.reshape(SCRAMBLES, CELLS))
        fields["squares_AC"].append(np.bincount(cell_P, kept_P**2, minlength=CELLS))
        fields["prior_AC"].append(
            np.bincount(prior_cell_P, possible.astype(float), minlength=CELLS)
        )
        fields["below_A"].append(np.asarray(w_P[value_P < truth - near].sum()))
        fields["at_A"].append(np.asarray(w_P[np.abs(value_P - truth) <= near].sum()))
        fields["rank_A"].append(rank[0])
        fields["bad_A"].append(np.asarray(((w_P > 0) & ~good_P).sum()))
        fields["bad_prior_A"].append(np.asarray((~possible).sum()))
    arrays = {name: np.asarray(found) for name, found in fields.items() if found}
    return Summary(
        **{
            "log_max": log_max,
            "sum_S": np.bincount(part_P, w_P, minlength=SCRAMBLES),
            "square": (w_P * w_P).sum(),
            "log_scale": np.log(size),
            "broken": broken_P.sum(),
            **arrays,
        }
    )


def weighting64_route(
    prepared: Sequence[Prepared], points: int, config: LabelConfig
) -> list[Outcome]:
    """Weighting on two scrambles of Sobol points in float64.

    Args:
      prepared: scenarios of any structures.
      points: of each scramble.
      config: the seed.

    Returns:
      Per scenario its labels (route ``float64``), or why there are none.
    """
    outcomes = []
    for one in prepared:
        program = sum_out_private(one.program)
        if work(program, points) > MAX_WORK:
            detail = f"{len(program.nodes)} nodes in float64 at {points} points"
            outcomes.append(Outcome(reason="too_large", detail=detail))
            continue
        summary = _summary(one, program, points, config.seed)
        outcomes.append(weighted_outcome(one, [(0, summary)], "float64"))
    return outcomes
