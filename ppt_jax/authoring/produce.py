"""One plan -> one accepted scenario, or the reason why not."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ppt_jax.authoring.checks import (
    CheckConfig,
    Statistics,
    check_ask,
    check_influence,
    check_length,
    check_prior,
    check_truth,
    measure,
)
from ppt_jax.authoring.compose import Plan, write_scenario
from ppt_jax.authoring.findings import Finding
from ppt_jax.authoring.sketch import NoWorldError
from ppt_jax.authoring.text_checks import check_text
from ppt_jax.errors import UserError
from ppt_jax.scenario.document import Scenario, to_dict


@dataclasses.dataclass(frozen=True)
class Rejected:
    """A scenario that failed a check; kept with its story, so that rejects can be read."""

    plan: Plan
    reason: str
    detail: str
    story: str


def produce(
    plan: Plan,
    checks: CheckConfig,
    asks: tuple[int, int],
    sink: list[Statistics] | None = None,
    admits: Callable[[Mapping[str, Any]], bool] | None = None,
) -> Scenario | Rejected:
    """Writes a scenario, checks it, and keeps asks that the evidence says something about.

    Args:
      plan: what to write.
      checks: thresholds.
      asks: smallest and largest number of asks to keep.
      sink: gets the statistics of the kept asks of an accepted scenario.
      admits: whether the split takes a scenario (as a dict), see `SplitPlan.admits`.

    Returns:
      The scenario with its kept asks numbered q1, q2, ...; or the reject with its first finding.
    """
    try:
        written = write_scenario(plan)
    except NoWorldError as error:
        return Rejected(plan, "no_world", str(error), "")
    except UserError as error:
        return Rejected(plan, "c1_parse", str(error), "")
    if admits is not None and not admits(to_dict(written.scenario)):
        detail = f"a structure that the split {plan.split} does not take"
        return Rejected(plan, "split_structure", detail, written.scenario.story)
    rng = np.random.default_rng(np.random.SeedSequence((*plan.key, 1)))
    scenario = written.scenario
    findings = check_length(scenario, checks)
    if not findings:
        scenario, findings = keep_asks(scenario, written.prior, checks, asks, rng, sink)
    if not findings:
        findings = check_text(scenario)
    if findings:
        first = findings[0]
        return Rejected(plan, first.check, first.detail, written.scenario.story)
    return scenario


def keep_asks(
    scenario: Scenario,
    prior: Mapping[str, np.ndarray],
    checks: CheckConfig,
    asks: tuple[int, int],
    rng: np.random.Generator,
    sink: list[Statistics] | None = None,
) -> tuple[Scenario, list[Finding]]:
    """The checks of statistics and truth; keeps asks that the evidence says something about.

    Args:
      scenario: with all its candidate asks; its story does not matter.
      prior: flat name -> prior samples of (at least) the observed draws.
      checks: thresholds.
      asks: smallest and largest number of asks to keep.
      rng: source of particles and of the number kept.
      sink: gets the statistics of the kept asks.

    Returns:
      The scenario with its kept asks numbered q1, q2, ..., and findings, empty where it is usable.
    """
    findings = check_prior(scenario, prior, checks) + check_truth(scenario)
    if findings:
        return scenario, findings
    statistics, findings = measure(scenario, checks, rng)
    if findings or statistics is None:
        return scenario, findings
    reasons = [check_ask(measured, checks) for measured in statistics.asks]
    passing = [number for number, reason in enumerate(reasons) if not reason]
    if len(passing) < asks[0]:
        worst = next((reason for reason in reasons if reason), "c4_asks")
        detail = f"{len(passing)} of {len(reasons)} asks are usable"
        unfit = [
            f"{ask.id} {reason}: moved by {found.move:.2f}, likeliest answer {found.top:.2f}, "
            f"outside its range {found.outside:.2f}"
            for ask, found, reason in zip(scenario.ask, statistics.asks, reasons, strict=True)
            if reason
        ]
        return scenario, [Finding(worst, "; ".join([detail, *unfit]))]
    order = _mixed(scenario, passing)
    count = int(rng.integers(asks[0], asks[1] + 1))
    for size in (count, asks[1]):
        kept, kept_statistics = _select(scenario, statistics, sorted(order[:size]))
        findings = check_influence(kept, kept_statistics, checks, rng)
        if not findings or size >= len(order):
            break
    if sink is not None:
        sink.append(kept_statistics)
    return kept, findings


def _mixed(scenario: Scenario, passing: list[int]) -> list[int]:
    """Passing asks so that different kinds come first (their order is random already)."""
    seen: dict[str, int] = {}
    rounds = []
    for number in passing:
        kind = scenario.ask[number].kind
        seen[kind] = seen.get(kind, 0) + 1
        rounds.append((seen[kind], number))
    return [number for _, number in sorted(rounds)]


def _select(
    scenario: Scenario, statistics: Statistics, numbers: list[int]
) -> tuple[Scenario, Statistics]:
    kept = tuple(
        dataclasses.replace(scenario.ask[number], id=f"q{place}")
        for place, number in enumerate(numbers, start=1)
    )
    chosen = tuple(statistics.asks[number] for number in numbers)
    return dataclasses.replace(scenario, ask=kept), dataclasses.replace(statistics, asks=chosen)
