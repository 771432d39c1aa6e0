"""The routes from a prepared scenario to labels: exact, table, NumPyro. Gates are elsewhere.

A route takes prepared scenarios and gives, per scenario, an `Outcome`: its labels, or the named
reason why there are none. Later routes (tempered SMC, NUTS, variable elimination) join by the same
signature.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np

from ppt_jax.inference import exact, kernel, uncompiled
from ppt_jax.inference.graph import reachable
from ppt_jax.inference.importance import weight_group
from ppt_jax.inference.labels import LabelConfig, SoftLabel, ask_scale, weighted_label
from ppt_jax.inference.private import sum_out_private
from ppt_jax.inference.program import Program, lower
from ppt_jax.inference.signature import Structure, structure_of
from ppt_jax.inference.simulate import node_values
from ppt_jax.inference.summary import RANK, AskArrays, Summary
from ppt_jax.inference.table import Table, assemble
from ppt_jax.scenario.document import Scenario


@dataclasses.dataclass(frozen=True, eq=False)
class Prepared:
    """A scenario with what the routes need: program, structure, table, true ask values.

    `program` is the document's own; `table` is that of the program with its private discrete
    latents summed out, made when it is first read.
    """

    scenario: Scenario
    program: Program
    structure: Structure
    truths: tuple[float, ...]

    @functools.cached_property
    def table(self) -> Table:
        """What the compiled kernel runs."""
        return assemble(sum_out_private(self.program))

    @property
    def own_prior(self) -> bool:
        """Whether some ask depends on an observed draw."""
        return self.program.asks != self.program.ask_priors


@dataclasses.dataclass(frozen=True, eq=False)
class Outcome:
    """What a route made of one scenario.

    Attributes:
      labels: one an ask, or empty.
      max_weight: greatest share of one particle (0 for the exact route).
      reason, detail: why there are no labels; `final` where no other effort can help.
      failed: a gate of the route's own that the labels do not pass, or an empty string.
    """

    labels: tuple[SoftLabel, ...] = ()
    max_weight: float = 0.0
    reason: str = ""
    detail: str = ""
    final: bool = False
    failed: str = ""


def prepare(scenario: Scenario) -> Prepared:
    """Lowers a scenario once for all routes."""
    program = lower(scenario)
    made = Prepared(scenario, program, structure_of(scenario), true_values(scenario, program))
    if exact.support_sizes(program) is None:
        made.table  # noqa: B018  now rather than in the thread that runs the kernel
    return made


def true_values(scenario: Scenario, program: Program) -> tuple[float, ...]:
    """The asks' values at the stored truth; NaN for all where a draw they need is not stored."""
    truth = scenario.truth
    if not truth or any(name not in truth for name in program.latents):
        return (math.nan,) * len(program.asks)
    fixed = {column: float(truth[name]) for column, name in enumerate(program.latents)}
    values = node_values(program.nodes, np.zeros((len(program.latents), 1)), 1, fixed)
    return tuple(float(values[number]) for number in program.asks)


def evidence_reaches_asks(program: Program) -> bool:
    """Whether some given can move some ask: a shared latent, or an observed draw in the ask."""
    if program.asks != program.ask_priors:
        return True

    def columns(number: int) -> frozenset[int]:
        nodes = program.nodes
        return frozenset(
            int(nodes[n].value) for n in reachable(nodes, [number]) if nodes[n].op[:5] == "draw:"
        )

    reached = frozenset[int]().union(*(columns(number) for number in program.asks))
    return any(columns(number) & reached for number in program.loglik) or not reached


def ask_arrays(prepared: Prepared) -> AskArrays:
    """All asks of a scenario as numpy arrays [A]."""
    scales = [ask_scale(ask) for ask in prepared.scenario.ask]
    return AskArrays(
        kind=np.array([kind for kind, _, _ in scales], np.int32),
        low=np.array([low for _, low, _ in scales], np.float32),
        scale=np.array([scale for _, _, scale in scales], np.float32),
        truth=np.array(prepared.truths, np.float32),
    )


def requests_of(prepared: Prepared) -> list[kernel.Request]:
    """The kernel calls that a scenario's asks take, `kernel.MAX_ASKS` asks each."""
    arrays, count = ask_arrays(prepared), len(prepared.truths)
    made = []
    for start in range(0, count, kernel.MAX_ASKS):
        chosen = list(range(start, min(start + kernel.MAX_ASKS, count)))
        fields = [tuple(np.asarray(field)[chosen].tolist()) for field in arrays]
        made.append(kernel.Request(prepared.table, tuple(chosen), *fields))
    return made


def exact_route(prepared: Prepared) -> Outcome:
    """Enumeration of all joint states; see `exact.joint_size` for where it applies."""
    program, scenario = prepared.program, prepared.scenario
    values, posterior, prior = exact.enumerate_states(program)
    broken = next((n for n in program.loglik if np.isnan(values[n]).any()), None)
    if np.isnan(posterior).any() or np.isnan(prior).any():
        return nonfinite(prepared, broken)
    if not (posterior > -np.inf).any():
        return Outcome(reason="impossible_evidence", detail="no joint state fits", final=True)
    w = np.exp(posterior - posterior.max())
    w /= w.sum()
    q = np.exp(prior - prior.max())
    q /= q.sum()
    labels = []
    for place, (number, prior_number) in enumerate(zip(program.asks, program.ask_priors)):
        value = np.broadcast_to(values[number], w.shape)
        prior_value = np.broadcast_to(values[prior_number], w.shape)
        if not np.isfinite(value[w > 0]).all():
            return nonfinite(prepared, number)
        possible = (q > 0) & np.isfinite(prior_value)
        if scenario.ask[place].kind == "rank" and not np.isfinite(prior_value[q > 0]).all():
            return nonfinite(prepared, prior_number)
        seen = w > 0
        prior_w = np.where(possible, q, 0.0)
        labels.append(
            exact.state_label(
                scenario,
                place,
                value[seen],
                prior_value[possible],
                w[seen],
                prior_w[possible],
                prepared.truths[place],
            )
        )
    return Outcome(labels=tuple(labels))


def table_route(prepared: Sequence[Prepared], points: int, config: LabelConfig) -> list[Outcome]:
    """Weighting on two scrambles of shared Sobol points through the compiled kernel.

    Programs that no compiled size holds are weighted the same way by `uncompiled`.
    """
    requests: list[kernel.Request] = []
    owners: list[tuple[int, int]] = []
    outcomes: list[Outcome | None] = [None] * len(prepared)
    for i, one in enumerate(prepared):
        size = kernel.bucket_of(one.table)
        if size is None and uncompiled.work(one.program, points) <= uncompiled.MAX_WORK:
            made = uncompiled.weigh_program(one.program, ask_arrays(one), points, config.seed)
            outcomes[i] = weighted_outcome(one, [(0, made)], "table")
            continue
        if size is None or not kernel.points_fit(points, size[1]):
            detail = f"{one.table.rows} rows and {one.table.latents} latents at {points} points"
            outcomes[i] = Outcome(reason="too_large", detail=detail, final=size is None)
            continue
        for request in requests_of(one):
            requests.append(request)
            owners.append((i, request.asks[0]))
    found: dict[int, list[tuple[int, Summary]]] = {}
    for (i, start), summary in zip(owners, kernel.run_tables(requests, points, seed=config.seed)):
        found.setdefault(i, []).append((start, summary))
    for i, parts in found.items():
        outcomes[i] = weighted_outcome(prepared[i], parts, "table")
    return [outcome for outcome in outcomes if outcome is not None]


def numpyro_route(prepared: Sequence[Prepared], points: int, config: LabelConfig) -> list[Outcome]:
    """Importance weighting by NumPyro, one compiled run per structure signature."""
    groups: dict[tuple[str, bool], list[int]] = {}
    for i, one in enumerate(prepared):
        groups.setdefault((one.structure.signature, one.own_prior), []).append(i)
    outcomes: dict[int, Outcome] = {}
    for (_, own_prior), members in groups.items():
        chosen = [prepared[i] for i in members]
        summaries = weight_group(
            [one.scenario for one in chosen],
            [one.structure for one in chosen],
            [ask_arrays(one) for one in chosen],
            points,
            seed=config.seed,
            own_prior=own_prior,
        )
        for i, summary in zip(members, summaries):
            outcomes[i] = weighted_outcome(prepared[i], [(0, summary)], "numpyro")
    return [outcomes[i] for i in range(len(prepared))]


def weighted_outcome(prepared: Prepared, parts: list[tuple[int, Summary]], route: str) -> Outcome:
    """Labels from the sums of weighted particles; ``parts`` are (first ask, its sums)."""
    summary = parts[0][1]
    if summary.broken > 0:
        return nonfinite(prepared, None)
    if not float(summary.log_max) > -math.inf:
        known = any(prepared.program.nodes[n].value == -math.inf for n in prepared.program.loglik)
        detail = "no particle fits all givens"
        return Outcome(reason="impossible_evidence", detail=detail, final=known)
    labels: list[SoftLabel] = []
    for start, part in parts:
        for place in range(start, min(start + len(part.below_A), len(prepared.truths))):
            slot = place - start
            if part.bad_A[slot] > 0:
                return nonfinite(prepared, prepared.program.asks[place])
            rank = ask_scale(prepared.scenario.ask[place])[0] == RANK
            if rank and part.bad_prior_A[slot] > 0:
                return nonfinite(prepared, prepared.program.ask_priors[place])
            truth = prepared.truths[place]
            labels.append(weighted_label(prepared.scenario, place, part, slot, truth, route))
    total = float(np.sum(summary.sum_S, dtype=np.float64))
    return Outcome(labels=tuple(labels), max_weight=1.0 / total)


def nonfinite(prepared: Prepared, number: int | None) -> Outcome:
    """Names the first node of the document that has no finite value somewhere."""
    program = prepared.program
    rng, size = np.random.default_rng(0), min(4096, uncompiled.block_size(program))
    z_LP = rng.standard_normal((len(program.latents), size))
    values = node_values(program.nodes, z_LP, size)
    names = {node: name for name, node in program.names.items()}
    within = reachable(program.nodes, [number] if number is not None else program.loglik)
    for node in sorted(within):
        if node in names and not np.isfinite(values[node]).all():
            detail = f"{names[node]} has no finite value for some draws"
            return Outcome(reason="nonfinite_program", detail=detail, final=True)
    for place, node in enumerate(program.loglik):
        if np.isnan(values[node]).any() or np.isposinf(values[node]).any():
            that = prepared.scenario.given[place].that
            detail = f"given[{place}] {that!r} cannot be computed for some draws"
            return Outcome(reason="nonfinite_program", detail=detail, final=True)
    for place, node in enumerate(program.asks):
        if number in (node, program.ask_priors[place]):
            detail = f"ask {prepared.scenario.ask[place].id!r} has no finite value for some draws"
            return Outcome(reason="nonfinite_program", detail=detail, final=True)
    detail = "some draws overflow 32-bit floats"
    return Outcome(reason="nonfinite_program", detail=detail, final=True)
