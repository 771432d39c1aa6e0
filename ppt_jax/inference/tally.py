"""Counts and quantiles of labels that add up over shards, and the summary made of them.

A quantity's distribution is kept as counts over bins of one per cent width, so that a shard's tally
has a bounded size, tallies of shards add up in any grouping, and quantiles are right to half a per
cent.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from ppt_jax.inference.cascade import Labelled

_STEP = math.log(1.01)
LEVELS = (0.05, 0.5, 0.95)
QUANTITIES = ("error", "error_101", "ess", "information")


@dataclasses.dataclass
class Spread:
    """The distribution of a quantity from 0 up, as counts.

    Attributes:
      zeros: values that are zero.
      bins: ``floor(log(x) / log(1.01))`` -> count.
      top: greatest value.
    """

    zeros: int = 0
    bins: Counter[int] = dataclasses.field(default_factory=Counter)
    top: float = 0.0

    @property
    def count(self) -> int:
        """Number of values."""
        return self.zeros + sum(self.bins.values())

    def add(self, value: float) -> None:
        """Counts one finite value."""
        if value > 0:
            self.bins[math.floor(math.log(value) / _STEP)] += 1
            self.top = max(self.top, float(f"{value:.6g}"))
        else:
            self.zeros += 1

    def join(self, other: Spread) -> None:
        """Adds another's counts."""
        self.zeros += other.zeros
        self.bins.update(other.bins)
        self.top = max(self.top, other.top)

    def quantile(self, level: float) -> float:
        """The value at a level in (0, 1), to half a per cent."""
        left = math.ceil(level * self.count) - self.zeros
        for key in sorted(self.bins):
            if left <= 0:
                break
            left -= self.bins[key]
            if left <= 0:
                return min(math.exp((key + 0.5) * _STEP), self.top)
        return 0.0

    def quantiles(self) -> dict[str, float]:
        """``q0.05``, ``q0.5``, ``q0.95`` and ``q1``, the greatest; nothing of no values."""
        if not self.count:
            return {}
        found = {f"q{level:g}": float(f"{self.quantile(level):.4g}") for level in LEVELS}
        return {**found, "q1": float(f"{self.top:.4g}")}

    def to_json(self) -> dict[str, Any]:
        """JSON types, the same for the same counts."""
        bins = [[key, self.bins[key]] for key in sorted(self.bins)]
        return {"zeros": self.zeros, "bins": bins, "top": self.top}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Spread:
        """The inverse of `to_json`."""
        bins = Counter({int(key): int(count) for key, count in data["bins"]})
        return Spread(int(data["zeros"]), bins, float(data["top"]))


_COUNTS = ("rejected", "routes", "effort", "kinds", "labels_by_route")


@dataclasses.dataclass
class Tally:
    """What the summary needs of some scenarios.

    Attributes:
      scenarios, labelled: numbers of scenarios.
      rejected, routes, effort, kinds, labels_by_route: counts by name.
      signatures: structures seen.
      spreads: quantity -> its distribution over labels; ``error/<route>`` and ``ess/<route>`` too.
    """

    scenarios: int = 0
    labelled: int = 0
    rejected: Counter[str] = dataclasses.field(default_factory=Counter)
    routes: Counter[str] = dataclasses.field(default_factory=Counter)
    effort: Counter[str] = dataclasses.field(default_factory=Counter)
    kinds: Counter[str] = dataclasses.field(default_factory=Counter)
    labels_by_route: Counter[str] = dataclasses.field(default_factory=Counter)
    signatures: set[str] = dataclasses.field(default_factory=set)
    spreads: dict[str, Spread] = dataclasses.field(default_factory=dict)

    def add(self, labelled: Labelled) -> None:
        """Counts one labelled scenario."""
        self.scenarios += 1
        self.labelled += 1
        self.routes[labelled.labels[0].route] += 1
        self.effort[str(labelled.effort)] += 1
        self.signatures.add(labelled.signature)
        for label in labelled.labels:
            self.kinds[label.kind] += 1
            self.labels_by_route[label.route] += 1
            for name in QUANTITIES:
                self._spread(name, getattr(label, name))
            self._spread(f"error/{label.route}", label.error)
            self._spread(f"ess/{label.route}", label.ess)

    def _spread(self, name: str, value: float) -> None:
        if math.isfinite(value):
            self.spreads.setdefault(name, Spread()).add(value)

    def reject(self, reason: str) -> None:
        """Counts one rejected scenario."""
        self.scenarios += 1
        self.rejected[reason] += 1

    def join(self, other: Tally) -> None:
        """Adds another's counts."""
        self.scenarios += other.scenarios
        self.labelled += other.labelled
        for name in _COUNTS:
            getattr(self, name).update(getattr(other, name))
        self.signatures |= other.signatures
        for name, spread in other.spreads.items():
            self.spreads.setdefault(name, Spread()).join(spread)

    def to_json(self) -> dict[str, Any]:
        """JSON types, keys sorted: the same for the same counts."""
        counts = {name: _sorted(getattr(self, name)) for name in _COUNTS}
        spreads = {name: self.spreads[name].to_json() for name in sorted(self.spreads)}
        return {
            "scenarios": self.scenarios,
            "labelled": self.labelled,
            **counts,
            "signatures": sorted(self.signatures),
            "spreads": spreads,
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Tally:
        """The inverse of `to_json`."""
        return Tally(
            scenarios=int(data["scenarios"]),
            labelled=int(data["labelled"]),
            **{name: Counter(data[name]) for name in _COUNTS},
            signatures=set(data["signatures"]),
            spreads={name: Spread.from_json(one) for name, one in data["spreads"].items()},
        )


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    def key(name: str) -> tuple[int, str]:
        return (int(name), "") if name.isdecimal() else (0, name)

    return {name: counts[name] for name in sorted(counts, key=key)}


def summarise(splits: Mapping[str, Tally], empty: Iterable[str] = ()) -> dict[str, Any]:
    """The summary of a corpus; holds nothing that differs between two runs.

    Args:
      splits: split name -> its tally.
      empty: shards without a document.

    Returns:
      Counts, and quantiles ``q0.05``, ``q0.5``, ``q0.95``, ``q1`` of error, effective sample size
      (of the weighted labels) and information, overall and by route.
    """
    whole = Tally()
    for tally in splits.values():
        whole.join(tally)

    def quantiles(name: str) -> dict[str, float]:
        return whole.spreads.get(name, Spread()).quantiles()

    by_route = {
        route: {
            "scenarios": whole.routes[route],
            "labels": count,
            "error": quantiles(f"error/{route}"),
            "ess": quantiles(f"ess/{route}"),
        }
        for route, count in sorted(whole.labels_by_route.items())
    }
    return {
        "scenarios": whole.scenarios,
        "labelled": whole.labelled,
        "rejected": _sorted(whole.rejected),
        "splits": {
            name: {"scenarios": tally.scenarios, "labelled": tally.labelled}
            for name, tally in sorted(splits.items())
        },
        "routes": _sorted(whole.routes),
        "effort": _sorted(whole.effort),
        "kinds": _sorted(whole.kinds),
        "signatures": len(whole.signatures),
        **{name: quantiles(name) for name in QUANTITIES},
        "by_route": by_route,
        "empty_shards": sorted(empty),
    }


def summary_table(summary: Mapping[str, Any], timing: Mapping[str, Any] | None = None) -> str:
    """A summary as text for the terminal.

    Args:
      summary: from `summarise`.
      timing: seconds of the work, as the job writes them.
    """
    total, labelled = summary["scenarios"], summary["labelled"]
    share = f" ({labelled / total:.1%})" if total else ""
    lines = [
        f"labelled {labelled:,} of {total:,} scenarios{share}, {summary['signatures']:,} structures"
    ]
    spent = (timing or {}).get("by_route", {})
    rows = [("route", "labels", "error median", "95 %", "max", "ESS 5 %", "median", "ms/scenario")]
    everything = {
        "scenarios": labelled,
        "labels": sum(summary["kinds"].values()),
        "error": summary["error"],
        "ess": summary["ess"],
    }
    routes = {**summary["by_route"], **({"all": everything} if labelled else {})}
    for route, found in routes.items():
        seconds = sum(spent.values()) if route == "all" else spent.get(route, 0.0)
        per = f"{1e3 * seconds / max(found['scenarios'], 1):.2f}" if spent else "-"
        error, ess = found["error"], found["ess"]
        rows.append(
            (
                *(route, f"{found['labels']:,}"),
                *(f"{error[key]:.4f}" if error else "-" for key in ("q0.5", "q0.95", "q1")),
                *(f"{ess[key]:,.0f}" if ess else "-" for key in ("q0.05", "q0.5")),
                per,
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows if labelled else ():
        first = row[0].ljust(widths[0])
        lines.append("  ".join([first, *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:]))]))
    tiers = {name: count for name, count in summary["effort"].items() if name != "0"}
    if tiers:
        lines.append(
            "scenarios by points or particles: "
            + ", ".join(f"{k}: {v:,}" for k, v in tiers.items())
        )
    if summary["rejected"]:
        reasons = sorted(summary["rejected"].items(), key=lambda item: -item[1])
        lines.append("rejected: " + ", ".join(f"{name} {count:,}" for name, count in reasons))
    if summary["empty_shards"]:
        lines.append("shards without a document: " + ", ".join(summary["empty_shards"]))
    if timing and timing.get("seconds"):
        rate = total / timing["seconds"]
        lines.append(f"work: {timing['seconds']:.1f} s, {rate:,.1f} scenarios a second and process")
    return "\n".join(lines)
