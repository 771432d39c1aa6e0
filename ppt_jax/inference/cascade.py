"""Labels many scenarios: cheapest sound route first, more points where the gates ask for them."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import time
from collections.abc import Callable, Sequence

from ppt_jax.errors import UserError
from ppt_jax.inference import exact
from ppt_jax.inference.labels import LabelConfig, SoftLabel
from ppt_jax.inference.numpyro_tiers import (
    INAPPLICABLE,
    NUMPYRO_ENGINES,
    Tier,
    numpyro_tiers,
)
from ppt_jax.inference.routes import (
    Outcome,
    Prepared,
    evidence_reaches_asks,
    exact_route,
    prepare,
    table_route,
)
from ppt_jax.progress import Progress
from ppt_jax.scenario.document import Scenario

MAX_CELLS = 1 << 25  # nodes times joint states of an enumeration, about 256 MB
PORTION = 64  # scenarios prepared and tried together; has no effect on labels


@dataclasses.dataclass(frozen=True, eq=False)
class Labelled:
    """A scenario with one label an ask, in the order of its asks.

    Attributes:
      seconds: its share of the time that its batches took; not reproducible.
      signature: of its structure.
      effort: points of each scramble at which its labels passed, 0 for the exact route.
    """

    scenario: Scenario
    labels: tuple[SoftLabel, ...]
    seconds: float
    signature: str
    effort: int = 0


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


def failed_gate(outcome: Outcome, config: LabelConfig) -> str:
    """The first gate that a weighted outcome does not pass, or an empty string."""
    for label in outcome.labels:
        if label.route == "exact":
            continue
        if not label.ess > config.min_ess:
            return f"effective sample size {label.ess:.0f}"
        if not outcome.max_weight < config.max_weight:
            return f"one particle holds {outcome.max_weight:.3f} of the weight"
        close = label.ess > config.pair_ess and label.disagreement < config.pair_error
        if not (label.predicted < config.max_error or close) or label.error >= config.max_error:
            return f"ask {label.ask_id!r}: error {label.error:.3f}"
    return ""


def missed_range(outcome: Outcome, config: LabelConfig) -> str:
    """The first ask whose range misses too much of its posterior, or an empty string."""
    for label in outcome.labels:
        outside = label.mass_below + label.mass_above
        if outside > config.max_outside:
            return (
                f"ask {label.ask_id!r}: {label.mass_below:.3f} of the posterior lies below its "
                f"range and {label.mass_above:.3f} above"
            )
    return ""


@dataclasses.dataclass
class _Case:
    """One scenario on its way through the cascade."""

    prepared: Prepared
    place: int
    tried: list[str] = dataclasses.field(default_factory=list)
    failed: tuple[str, str] | None = None  # reason and detail of the last tier that applied
    seconds: float = 0.0


class _Cascade:
    def __init__(self, config: LabelConfig) -> None:
        self.config = config
        self.tiers = (
            numpyro_tiers(config)
            if config.engine in NUMPYRO_ENGINES
            else tuple(Tier("table", table_route, points) for points in config.points)
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
            size = exact.joint_size(prepared.program)
            cells = (size or 0) * len(prepared.program.nodes)
            if size is not None and size <= self.config.enumerate_limit and cells <= MAX_CELLS:
                self.settle(case, exact_route(prepared), "exact", 0, last=True)
                return None
            if self.config.engine == "exact":
                detail = (
                    "a latent is not finite and discrete"
                    if size is None
                    else f"{size} joint states of {len(prepared.program.nodes)} nodes"
                )
                self.results[place] = Reject(scenario.id, "not_enumerable", detail)
                return None
        case.seconds = time.perf_counter() - start
        return case

    def settle(self, case: _Case, outcome: Outcome, route: str, points: int, last: bool) -> bool:
        """Takes an outcome; True when the case is closed."""
        scenario = case.prepared.scenario
        step = f"{route} {points}" if points else route
        if not outcome.labels:
            case.tried.append(f"{step}: {outcome.reason}, {outcome.detail}")
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
        """The tiers in order, each with what the ones before left open."""
        for tier in self.tiers:
            if not cases:
                return
            start = time.perf_counter()
            outcomes = tier.route([case.prepared for case in cases], tier.effort, self.config)
            share = (time.perf_counter() - start) / len(cases)
            open_cases = []
            for case, outcome in zip(cases, outcomes):
                case.seconds += share
                last = tier is self.tiers[-1]
                if not self.settle(case, outcome, tier.name, tier.effort, last=last):
                    open_cases.append(case)
            cases = open_cases


def label_scenarios(
    scenarios: Sequence[Scenario],
    config: LabelConfig | None = None,
    progress: Progress | Callable[..., None] | None = None,
) -> list[Labelled | Reject]:
    """Labels scenarios by the cheapest sound route.

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
    cascade = _Cascade(config or LabelConfig())
    advance = progress.advance if isinstance(progress, Progress) else progress
    with concurrent.futures.ThreadPoolExecutor(1) as pool:  # prepares one portion, weighs another
        busy: concurrent.futures.Future[None] | None = None
        size = 0
        for start in range(0, len(scenarios) + PORTION, PORTION):
            part = scenarios[start : start + PORTION]
            cases = [cascade.begin(start + i, scenario) for i, scenario in enumerate(part)]
            if busy is not None:
                busy.result()
                if advance is not None:
                    found = [cascade.results[i] for i in range(start) if i in cascade.results]
                    advance(size, rejects=sum(isinstance(one, Reject) for one in found))
            busy, size = None, len(part)
            if part:
                busy = pool.submit(cascade.weigh, [case for case in cases if case is not None])
    return [cascade.results[i] for i in range(len(scenarios))]
