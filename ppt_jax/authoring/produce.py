"""One plan -> one accepted scenario, or the reason why not."""

from __future__ import annotations

import dataclasses

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
from ppt_jax.authoring.compose import Plan, Written, write_scenario
from ppt_jax.authoring.text_checks import Finding, check_text
from ppt_jax.errors import UserError
from ppt_jax.scenario.document import Scenario


@dataclasses.dataclass(frozen=True)
class Rejected:
    """A scenario that failed a check; kept with its story, so that rejects can be read."""

    plan: Plan
    reason: str
    detail: str
    story: str


def produce(plan: Plan, checks: CheckConfig, asks: tuple[int, int]) -> Scenario | Rejected:
    """Writes a scenario, checks it, and keeps asks that the evidence says something about.

    Args:
      plan: what to write.
      checks: thresholds.
      asks: smallest and largest number of asks to keep.

    Returns:
      The scenario with its kept asks numbered q1, q2, ...; or the reject with its first finding.
    """
    try:
        written = write_scenario(plan)
    except UserError as error:
        return Rejected(plan, "c1_parse", str(error), "")
    rng = np.random.default_rng(np.random.SeedSequence((*plan.key, 1)))
    kept, findings = _keep(written, checks, asks, rng)
    if findings:
        first = findings[0]
        return Rejected(plan, first.check, first.detail, written.scenario.story)
    return kept


def _keep(
    written: Written, checks: CheckConfig, asks: tuple[int, int], rng: np.random.Generator
) -> tuple[Scenario, list[Finding]]:
    scenario = written.scenario
    findings = check_length(scenario, checks) + check_prior(scenario, written.prior, checks)
    findings += check_truth(scenario)
    if findings:
        return scenario, findings
    statistics, findings = measure(scenario, checks, rng)
    if findings or statistics is None:
        return scenario, findings
    reasons = [check_ask(measured, checks) for measured in statistics.asks]
    passing = [number for number, reason in enumerate(reasons) if not reason]
    if len(passing) < asks[0]:
        worst = next((reason for reason in reasons if reason), "c4_asks")
        return scenario, [Finding(worst, f"{len(passing)} of {len(reasons)} asks are usable")]
    order = _mixed(scenario, passing)
    count = int(rng.integers(asks[0], asks[1] + 1))
    for size in (count, asks[1]):
        kept, kept_statistics = _select(scenario, statistics, sorted(order[:size]))
        findings = check_influence(kept, kept_statistics, checks, rng)
        if not findings or size >= len(order):
            break
    return kept, findings or check_text(kept)


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
    return dataclasses.replace(scenario, ask=kept), Statistics(statistics.ess, chosen)
