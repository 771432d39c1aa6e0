"""Tests over the rows of a labelled corpus, corrected for their number, and one verdict.

Asks of one scenario share a posterior and are not independent, so each test takes one ask a
scenario, chosen at random, and its p-value holds at any size. Holm's procedure over all tests keeps
the chance of any false alarm below `alpha`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ppt_jax.inference.uniformity import Uniformity, holm, uniformity
from ppt_jax.inference.verification import AskRow, Corpus

Array = NDArray[np.float64]
SMALLEST = 30  # scenarios of a group that is tested
FLAT = 1e-4  # variance of a label's score, square nats, below which there is nothing to test
BINS = 10
RELIABILITY_DRAWS = 2000
RELIABILITY_ASKS = 20_000


@dataclasses.dataclass(frozen=True)
class Finding:
    """One test of one group.

    Attributes:
      test: ``answers``, ``ranks``, ``score``, ``evidence`` or ``reliability``.
      group: ``all``, ``kind value``, ``motif ...`` or ``route ...``.
      count: scenarios in it.
      p_value, adjusted: by itself, and after Holm over all tests.
      effect: what the test measures: greatest distance of the ECDF; nats of score; correlation;
        greatest distance of an observed frequency.
      reads: the finding in words.
    """

    test: str
    group: str
    count: int
    p_value: float
    adjusted: float
    effect: float
    reads: str


@dataclasses.dataclass(frozen=True, eq=False)
class Reliability:
    """Expected against observed frequency of options, by the probability that the label gave.

    Attributes:
      expected_B, observed_B: means by bin; NaN in empty bins.
      low_B, high_B: band of the observed frequency under right labels, simultaneous over the bins.
      count_B: options by bin.
    """

    expected_B: Array
    observed_B: Array
    low_B: Array
    high_B: Array
    count_B: NDArray[np.int64]
    p_value: float
    asks: int


@dataclasses.dataclass(frozen=True, eq=False)
class Verification:
    """All that a verification found.

    Attributes:
      corpus: what was tested.
      alpha: family-wise level.
      tests: every test with its adjusted p-value.
      curves: ``(test, group)`` -> curve with bands, for `answers` and `ranks`.
      reliability: group -> of the `choice` asks.
      small: groups with too few scenarios to be tested.
    """

    corpus: Corpus
    alpha: float
    tests: tuple[Finding, ...]
    curves: dict[tuple[str, str], Uniformity]
    reliability: dict[str, Reliability]
    small: tuple[str, ...]

    @property
    def alarms(self) -> list[Finding]:
        """The tests that fail at the family-wise level, worst first."""
        found = [test for test in self.tests if test.adjusted <= self.alpha]
        return sorted(found, key=lambda test: test.adjusted)

    @property
    def verdict(self) -> str:
        """One line."""
        size = f"{len(self.corpus.asks):,} asks of {self.corpus.scenarios:,} scenarios"
        if not self.tests:
            return f"no verdict: {size} are too few for any test (each needs {SMALLEST} scenarios)"
        alarms = self.alarms
        if not alarms:
            least = min(test.adjusted for test in self.tests)
            return (
                f"no sign of miscalibration in {size}: {len(self.tests)} tests, least adjusted p "
                f"{least:.2g}"
            )
        shown: dict[str, Finding] = {}
        for one in alarms:
            shown.setdefault(one.test, one)  # the worst of each test
        worst = "; ".join(
            f"{one.test} of {one.group}: {one.reads} (p {one.adjusted:.2g})"
            for one in shown.values()
        )
        more = f"; and {len(alarms) - len(shown)} more" if len(alarms) > len(shown) else ""
        return f"ALARM in {size}: {worst}{more}"

    def to_json(self) -> dict[str, Any]:
        """Results as JSON types."""
        return {
            "schema_version": 1,
            "verdict": self.verdict,
            "alarm": bool(self.alarms),
            "alpha": self.alpha,
            "scenarios": self.corpus.scenarios,
            "asks": len(self.corpus.asks),
            "simulated": self.corpus.simulated,
            "left_out": self.corpus.left_out,
            "small_groups": list(self.small),
            "tests": [dataclasses.asdict(test) for test in self.tests],
            "curves": [
                {"test": test, "group": group, **_columns(curve)}
                for (test, group), curve in self.curves.items()
            ],
            "reliability": [
                {"group": group, **_columns(found)} for group, found in self.reliability.items()
            ],
        }


def _columns(data: Any) -> dict[str, Any]:
    row = dataclasses.asdict(data)
    for key, value in row.items():
        if isinstance(value, np.ndarray):
            row[key] = [None if not np.isfinite(x) else round(float(x), 6) for x in value]
    return row


def one_a_scenario(rows: Sequence[AskRow]) -> list[AskRow]:
    """One row of each scenario, the one with the least `order`."""
    chosen: dict[int, AskRow] = {}
    for row in rows:
        kept = chosen.get(row.scenario)
        if kept is None or row.order < kept.order:
            chosen[row.scenario] = row
    return list(chosen.values())


def groups_of(rows: Sequence[AskRow]) -> dict[str, list[AskRow]]:
    """Rows by ``all``, ``kind ...``, ``route ...`` and ``motif ...``."""
    found: dict[str, list[AskRow]] = {"all": list(rows)}
    for field in ("kind", "route", "motif"):
        for value in sorted({getattr(row, field) for row in rows}):
            found[f"{field} {value}"] = [row for row in rows if getattr(row, field) == value]
    return found


def _shape(curve: Uniformity) -> str:
    spread, mean = curve.spread, curve.mean
    noise = 1.0 / math.sqrt(12.0 * curve.count)
    if abs(mean - 0.5) > 3 * noise and abs(mean - 0.5) > 0.2 * abs(spread - 1.0):
        return f"truths lie too {'high' if mean > 0.5 else 'low'} (mean place {mean:.3f})"
    if spread > 1:
        return f"labels too narrow (spread of places {spread:.3f})"
    return f"labels too wide (spread of places {spread:.3f})"


def score_test(rows: Sequence[AskRow]) -> tuple[float, float]:
    """p-value and mean of the surprise; the null's skewness is known from the labels.

    The sum of independent terms with known variance and third moment is taken as Pearson's type
    III, which is the normal distribution where the skewness is zero.
    """
    values = np.array([row.surprise for row in rows])
    variance = float(values[:, 1].sum())
    if variance <= 0:
        return 1.0, 0.0
    z, skew = values[:, 0].sum() / math.sqrt(variance), values[:, 2].sum() / variance**1.5
    below = float(stats.pearson3.cdf(z, skew))
    above = float(stats.pearson3.sf(z, skew))
    return min(2.0 * min(below, above), 1.0), float(values[:, 0].mean())


def evidence_test(rows: Sequence[AskRow]) -> tuple[float, float]:
    """p-value and correlation of the true answer's place with what the data say."""
    place = np.array([row.place for row in rows]) - 0.5
    lean = np.array([row.leaning for row in rows], np.float64) - 0.5
    size = float(lean @ lean)
    if size <= 0:
        return 1.0, 0.0
    z = float(place @ lean) / math.sqrt(size / 12.0)
    return float(2.0 * stats.norm.sf(abs(z))), 12.0 * float(np.mean(place * lean))


def reliability_of(rows: Sequence[AskRow], alpha: float, seed: int = 0) -> Reliability:
    """Expected against observed frequencies of the options of `choice` asks.

    Of two options the second counts (the first is its complement), of more all do. The null draws
    each true option from its label, so dependent options and rare ones are no trouble.

    Args:
      rows: independent `choice` asks.
      alpha: 1 minus the simultaneous coverage of the band.
      seed: of the simulation.
    """
    rows = rows[:RELIABILITY_ASKS]
    most = max(len(row.options) for row in rows)
    probs_NK = np.zeros((len(rows), most))
    counted_NK = np.zeros((len(rows), most), bool)
    for at, row in enumerate(rows):
        probs_NK[at, : len(row.options)] = row.options
        counted_NK[at, (1 if len(row.options) == 2 else 0) : len(row.options)] = True
    bins_NK = np.where(counted_NK, np.minimum((probs_NK * BINS).astype(int), BINS - 1), BINS)
    share_NB = np.zeros((len(rows), BINS + 1))
    np.add.at(share_NB, (np.arange(len(rows))[:, None], bins_NK), probs_NK)
    share_NB = share_NB[:, :BINS]
    mean_B = share_NB.sum(axis=0)
    sd_B = np.sqrt((share_NB * (1.0 - share_NB)).clip(0).sum(axis=0))
    count_B = np.bincount(bins_NK.ravel(), minlength=BINS + 1)[:BINS]
    used_B = (sd_B > 0.5) & (count_B > 0)
    scale_B = np.where(used_B, sd_B, np.inf)
    upto_NK = np.cumsum(probs_NK, axis=1)
    rng = np.random.default_rng([seed, len(rows)])

    def counts(answers: NDArray[np.int64]) -> Array:
        chosen = bins_NK[np.arange(len(rows)), answers]
        return np.bincount(chosen, minlength=BINS + 1)[:BINS].astype(np.float64)

    last_N = np.array([len(row.options) - 1 for row in rows])
    null = np.empty(RELIABILITY_DRAWS)
    for draw in range(RELIABILITY_DRAWS):
        answers = (upto_NK < rng.random(len(rows))[:, None]).sum(axis=1)
        null[draw] = (np.abs(counts(np.minimum(answers, last_N)) - mean_B) / scale_B).max()
    seen_B = counts(np.array([row.answer for row in rows]))
    worst = float((np.abs(seen_B - mean_B) / scale_B).max())
    p_value = float((1 + (null >= worst).sum()) / (RELIABILITY_DRAWS + 1))
    if worst > null.max():  # further out than any simulation: the union bound of normal tails
        p_value = min(p_value, float(2 * BINS * stats.norm.sf(worst)))
    width_B = float(np.quantile(null, 1.0 - alpha)) * sd_B
    size_B = np.where(used_B, count_B, np.nan)
    return Reliability(
        expected_B=mean_B / size_B,
        observed_B=seen_B / size_B,
        low_B=np.maximum(mean_B - width_B, 0.0) / size_B,
        high_B=np.minimum(mean_B + width_B, count_B) / size_B,
        count_B=count_B,
        p_value=p_value,
        asks=len(rows),
    )


def verify(corpus: Corpus, alpha: float = 0.01) -> Verification:
    """Runs every test on every group.

    Args:
      corpus: from `read_corpus`.
      alpha: chance of any alarm when all labels are right.

    Returns:
      Tests, curves and the verdict.
    """
    found: list[Finding] = []
    curves: dict[tuple[str, str], Uniformity] = {}
    reliability: dict[str, Reliability] = {}
    small: set[str] = set()

    def chosen(rows: list[AskRow], keep: Callable[[AskRow], bool]) -> list[AskRow]:
        return one_a_scenario([row for row in rows if keep(row)])

    for group, members in groups_of(corpus.asks).items():
        one = chosen(members, lambda row: True)
        if len(one) < SMALLEST:
            small.add(group)
            continue
        curve = curves["answers", group] = uniformity([row.place for row in one], alpha)
        reads = _shape(curve)
        found.append(
            Finding("answers", group, len(one), curve.p_value, 1.0, curve.deviation, reads)
        )
        told = chosen(members, lambda row: row.surprise[1] > FLAT)
        if len(told) >= SMALLEST:
            p_value, nats = score_test(told)
            reads = (
                f"truths {'less' if nats < 0 else 'more'} likely than told by {abs(nats):.3f} nats"
            )
            found.append(Finding("score", group, len(told), p_value, 1.0, nats, reads))
        ranked = chosen(members, lambda row: row.rank is not None)
        if len(ranked) >= SMALLEST:
            curve = uniformity([row.rank or 0.0 for row in ranked], alpha)
            curves["ranks", group] = curve
            reads = _shape(curve)
            found.append(
                Finding("ranks", group, len(ranked), curve.p_value, 1.0, curve.deviation, reads)
            )
        moved = chosen(members, lambda row: row.leaning is not None)
        if len(moved) >= SMALLEST:
            p_value, correlation = evidence_test(moved)
            use = "too little" if correlation > 0 else "too much"
            reads = f"labels use {use} of their evidence (correlation {correlation:+.3f})"
            found.append(Finding("evidence", group, len(moved), p_value, 1.0, correlation, reads))
        options = chosen(members, lambda row: bool(row.options))
        if len(options) >= SMALLEST and not group.startswith("kind"):
            table = reliability[group] = reliability_of(options, alpha)
            gaps = np.abs(table.observed_B - table.expected_B)
            gap = float(np.nanmax(gaps)) if np.isfinite(gaps).any() else 0.0
            reads = f"an observed frequency is {gap:.3f} off"
            found.append(
                Finding("reliability", group, len(options), table.p_value, 1.0, gap, reads)
            )
    adjusted = holm([test.p_value for test in found])
    tests = tuple(dataclasses.replace(test, adjusted=value) for test, value in zip(found, adjusted))
    return Verification(corpus, alpha, tests, curves, reliability, tuple(sorted(small)))
