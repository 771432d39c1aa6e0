"""Labels many scenarios: cheapest sound route first, more points where the gates ask for them."""

from __future__ import annotations

import bisect
import concurrent.futures
import dataclasses
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ppt_jax.errors import UserError
from ppt_jax.inference.averaging import (
    average_labels,
    program_weights,
    programs_of,
    weights_row,
)
from ppt_jax.inference.discrete_route import discrete_route
from ppt_jax.inference.elimination import MAX_COST
from ppt_jax.inference.gates import failed_gate, missed_range, promising, with_shift
from ppt_jax.inference.labels import LabelConfig, SoftLabel
from ppt_jax.inference.numpyro_tiers import (
    INAPPLICABLE,
    NUMPYRO_ENGINES,
    Tier,
    chain_tiers,
    numpyro_tiers,
)
from ppt_jax.inference.routes import (
    Outcome,
    Prepared,
    evidence_reaches_asks,
    prepare,
    table_route,
)
from ppt_jax.inference.tempered_route import tempered_route
from ppt_jax.inference.weighting64 import needs_float64, weighting64_route
from ppt_jax.progress import Progress
from ppt_jax.scenario.document import Scenario

PORTION = 64  # scenarios prepared and tried together; has no effect on labels


@dataclasses.dataclass(frozen=True, eq=False)
class Labelled:
    """A scenario with one label an ask, in the order of its asks.

    Attributes:
      seconds: its share of the time that its batches took; not reproducible.
      signature: of its structure.
      effort: points of each scramble at which its labels passed, 0 for the exact route.
      programs: how the labels of several programs were averaged (`averaging.weights_row`), or None.
    """

    scenario: Scenario
    labels: tuple[SoftLabel, ...]
    seconds: float
    signature: str
    effort: int = 0
    programs: Mapping[str, Any] | None = None


@dataclasses.dataclass(frozen=True)
class Reject:
    """A scenario without labels.

    Attributes:
      scenario_id: its id.
      reason: a short stable string: ``no_evidence``, ``impossible_evidence``,
        ``nonfinite_program``, ``range_misses_posterior``, ``label_error``, ``too_large``,
        ``not_enumerable``, ``not_sampled``, ``unsupported``, ``bad_document``.
      detail: what exactly, with the place.
      tried: every route with what it gave, in order.
    """

    scenario_id: str
    reason: str
    detail: str
    tried: tuple[str, ...] = ()


def tiers_of(config: LabelConfig) -> tuple[Tier, ...]:
    """What an engine tries, in order of cost; ``auto`` skips weighting that promises nothing."""
    if config.engine in NUMPYRO_ENGINES:
        return numpyro_tiers(config)
    weighted = [Tier("table", table_route, points) for points in config.points]
    runs = [Tier("tempered", tempered_route, particles) for particles in config.particles]
    if config.engine == "table":
        return tuple(weighted)
    if config.engine == "tempered":
        return tuple(runs)
    tiers = weighted[:1]
    for place, run in enumerate(runs):
        last = place == len(runs) - 1
        tiers += [*(weighted[1 + place :] if last else weighted[1 + place : 2 + place]), run]
    return (*tiers, *chain_tiers(config.nuts_draws))


@dataclasses.dataclass
class _Case:
    """One scenario on its way through the cascade."""

    prepared: Prepared
    place: int
    tried: list[str] = dataclasses.field(default_factory=list)
    failed: tuple[str, str] | None = None  # reason and detail of the last tier that applied
    seconds: float = 0.0
    needs_float64: str = ""  # why
    weighted: tuple[int, tuple[SoftLabel, ...]] = (0, ())  # last number of points, and its labels
    earlier: tuple[SoftLabel, ...] = ()  # of the last tempered effort

    def wants(self, tier: Tier, config: LabelConfig) -> bool:
        """Whether a tier is worth its cost; impossible evidence asks for more points."""
        points, labels = self.weighted
        if config.engine != "auto" or tier.name != "table" or not points:
            return True
        return not labels or promising(labels, tier.effort / points, config)


class _Cascade:
    def __init__(self, config: LabelConfig) -> None:
        self.config = config
        self.tiers = tiers_of(config)
        self.precise_tiers = tuple(
            Tier("float64", weighting64_route, points) for points in config.points
        )
        self.results: dict[int, Labelled | Reject] = {}

    def begin(self, place: int, scenario: Scenario) -> _Case | None:
        """Prepares a scenario; static reasons and the exact route settle it at once."""
        start = time.perf_counter()
        try:
            prepared = prepare(scenario)
        except UserError as error:
            self.results[place] = Reject(scenario.id, "unsupported", str(error))
            return None
        except (ArithmeticError, LookupError, ValueError, RecursionError, MemoryError) as error:
            detail = f"{type(error).__name__}: {error}"  # one document must not cost the others
            self.results[place] = Reject(scenario.id, "unsupported", detail)
            return None
        case = _Case(prepared, place)
        if not evidence_reaches_asks(prepared.program):
            detail = "no given shares a latent with any ask"
            self.results[place] = Reject(scenario.id, "no_evidence", detail)
            return None
        if self.config.engine in ("auto", "exact"):
            # `auto` takes it where it is no dearer than weighting
            cost = self.config.enumerate_limit if self.config.engine == "auto" else MAX_COST
            outcome = discrete_route(prepared, cost)
            if self.config.engine == "exact" or outcome.reason != "not_enumerable":
                self.settle(case, outcome, "exact", 0, last=True)
                return None
        case.needs_float64 = needs_float64(prepared)
        if case.needs_float64:
            case.tried.append(f"float32: {case.needs_float64}")
            if self.config.engine not in ("auto", "table"):
                detail = f"32-bit floats cannot hold it: {case.needs_float64}; 'auto' may"
                self.reject(case, "unsupported", detail)
                return None
        case.seconds = time.perf_counter() - start
        return case

    def settle(self, case: _Case, outcome: Outcome, route: str, points: int, last: bool) -> bool:
        """Takes an outcome; True when the case is closed."""
        scenario = case.prepared.scenario
        step = f"{route} {points}" if points else route
        if not outcome.labels:
            case.tried.append(f"{step}: {outcome.reason}, {outcome.detail}")
            if route == "table":
                case.weighted = points, ()
            if outcome.reason in INAPPLICABLE:
                if last:
                    self.reject(case, *(case.failed or (outcome.reason, outcome.detail)))
                return last
            case.failed = (outcome.reason, outcome.detail)
            # impossible at more points after labels that only failed a gate cannot happen; the
            # reverse, particles found only at more points, is why an early reason is not final
            if outcome.final or last:
                self.reject(case, outcome.reason, outcome.detail)
                return True
            return False
        if route == "tempered":
            charged = with_shift(outcome.labels, case.earlier, self.config)
            case.earlier = outcome.labels
            outcome = dataclasses.replace(outcome, labels=charged)
        if route == "table":
            case.weighted = points, outcome.labels
        gate = failed_gate(outcome, self.config)
        if gate:
            case.tried.append(f"{step}: {gate}")
            case.failed = ("label_error", gate)
            if last:
                self.reject(case, "label_error", gate)
            return last
        case.tried.append(f"{step}: passed")
        missed = missed_range(outcome, self.config)
        if missed:
            self.reject(case, "range_misses_posterior", missed)
            return True
        self.results[case.place] = Labelled(
            scenario, outcome.labels, case.seconds, case.prepared.structure.signature, points
        )
        return True

    def reject(self, case: _Case, reason: str, detail: str) -> None:
        self.results[case.place] = Reject(
            case.prepared.scenario.id, reason, detail, tuple(case.tried)
        )

    def weigh(self, cases: list[_Case]) -> None:
        """All tiers, for cases that float32 holds and for those that it does not."""
        fine = [case for case in cases if not case.needs_float64]
        self.escalate(fine, self.tiers)
        self.escalate([case for case in cases if case.needs_float64], self.precise_tiers)

    def run(self, tier: Tier, prepared: list[Prepared]) -> list[Outcome]:
        """A tier's outcomes; a scenario on which it breaks must not cost the others."""
        try:
            return tier.route(prepared, tier.effort, self.config)
        except (ArithmeticError, LookupError, ValueError, TypeError, RecursionError) as error:
            if len(prepared) == 1:
                return [Outcome(reason="unsupported", detail=f"{type(error).__name__}: {error}")]
        return [outcome for one in prepared for outcome in self.run(tier, [one])]

    def escalate(self, cases: list[_Case], tiers: tuple[Tier, ...]) -> None:
        """The tiers in order, each with what the ones before left open."""
        for place, tier in enumerate(tiers):
            behind = {later.name for later in tiers[place + 1 :]}
            tried = [case for case in cases if case.wants(tier, self.config)]
            open_cases = [case for case in cases if not case.wants(tier, self.config)]
            if not tried:
                continue
            start = time.perf_counter()
            outcomes = self.run(tier, [case.prepared for case in tried])
            share = (time.perf_counter() - start) / len(tried)
            for case, outcome in zip(tried, outcomes):
                case.seconds += share
                # chains clip chances, so what weighting found impossible is not for them
                last = not behind or (
                    behind == {"nuts"} and outcome.reason == "impossible_evidence"
                )
                if not self.settle(case, outcome, tier.name, tier.effort, last=last):
                    open_cases.append(case)
            cases = open_cases


def label_scenarios(
    scenarios: Sequence[Scenario],
    config: LabelConfig | None = None,
    progress: Progress | Callable[..., None] | None = None,
) -> list[Labelled | Reject]:
    """Labels scenarios by the cheapest sound route; those with several programs by their average.

    Args:
      scenarios: checked documents.
      config: routes, gates and effort.
      progress: a `Progress`, or a function called as ``progress(count, rejects=total)``.

    Returns:
      One `Labelled` or `Reject` a scenario, in order. A scenario's result depends on the scenario
      and the configuration only, not on its company.

    Example:
      >>> results = label_scenarios(scenarios, LabelConfig())  # doctest: +SKIP
      >>> results[0].labels[0].probs  # doctest: +SKIP
    """
    config = config or LabelConfig()
    advance = progress.advance if isinstance(progress, Progress) else progress
    programs = [programs_of(scenario) for scenario in scenarios]
    ends = list(itertools.accumulate(len(one) for one in programs))
    flat = [program for one in programs for program in one]

    done = 0

    def report(upto: int, rejects: int) -> None:
        nonlocal done
        now = bisect.bisect_right(ends, upto)
        if advance is not None and now > done:
            advance(now - done, rejects=rejects)
        done = now

    results = _label_programs(flat, config, report)
    found = []
    for scenario, own, end in zip(scenarios, programs, ends):
        part = results[end - len(own) : end]
        found.append(part[0] if len(own) == 1 else _averaged(scenario, own, part, config))
    return found


def _averaged(
    scenario: Scenario,
    programs: Sequence[Scenario],
    results: Sequence[Labelled | Reject],
    config: LabelConfig,
) -> Labelled | Reject:
    """The average over the programs of a story; without its own program there is none."""
    own = results[0]
    if isinstance(own, Reject):
        return own
    refused = {one.scenario_id: one.reason for one in results if isinstance(one, Reject)}
    found = [(p, one) for p, one in zip(programs, results) if isinstance(one, Labelled)]
    chosen = [program for program, _ in found]
    weights = program_weights(chosen, config.program_weights, config.seed)
    return Labelled(
        scenario,
        average_labels(chosen, [one.labels for _, one in found], weights),
        sum(one.seconds for _, one in found),
        own.signature,
        max(one.effort for _, one in found),
        weights_row(weights, refused),
    )


def _label_programs(
    scenarios: Sequence[Scenario], config: LabelConfig, report: Callable[[int, int], None]
) -> list[Labelled | Reject]:
    """Labels documents of one program each; `report` is told how many are done, and the rejects."""
    cascade = _Cascade(config)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:  # prepares one portion, weighs another
        busy: concurrent.futures.Future[None] | None = None
        for start in range(0, len(scenarios) + PORTION, PORTION):
            part = scenarios[start : start + PORTION]
            cases = [cascade.begin(start + i, scenario) for i, scenario in enumerate(part)]
            if busy is not None:
                busy.result()
                found = [cascade.results[i] for i in range(start) if i in cascade.results]
                report(start, sum(isinstance(one, Reject) for one in found))
            busy = None
            if part:
                busy = pool.submit(cascade.weigh, [case for case in cases if case is not None])
    return [cascade.results[i] for i in range(len(scenarios))]
