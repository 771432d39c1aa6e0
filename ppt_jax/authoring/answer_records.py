"""What is known of each ask's answers when a scenario is written: prior, posterior, truth by bin.

The checks weight particles anyway; their histograms are kept beside the scenarios, one JSON row a
scenario, so that the corpus page can speak of labels before any exist. Bins B: the options of a
choice, 20 bins of prior mass for a rank, 21 equal bins of the range for a value or a chance (the
last one holds what lies above). With labels, records are made of them instead.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppt_jax.authoring.checks import CheckConfig, Statistics, measure
from ppt_jax.errors import UserError
from ppt_jax.inference.simulate import replay
from ppt_jax.scenario.document import Scenario, parse_scenario

Array = NDArray[np.float64]
DIGITS = 5


@dataclasses.dataclass(frozen=True, eq=False)
class AskRecord:
    """One ask with its answers by bin.

    Attributes:
      scenario, motif, split: of its scenario.
      kind: of the ask.
      options: of a choice.
      posterior_B, prior_B: probabilities by bin.
      true_bin: bin of the stored truth, None where it is unknown.
      ess: effective number of particles behind the posterior; infinite where it is exact.
      information: KL(posterior || prior), nats.
      route, error: of a label; "" and None for a record of the checks.
    """

    scenario: str
    motif: str
    split: str
    kind: str
    options: tuple[str, ...]
    posterior_B: Array
    prior_B: Array
    true_bin: int | None
    ess: float
    information: float
    route: str = ""
    error: float | None = None


def information_gain(posterior_B: Array, prior_B: Array, particles: float) -> float:
    """KL(posterior || prior) in nats, the prior with half a particle added to each bin."""
    smooth_B = (prior_B * particles + 0.5) / (particles + 0.5 * len(prior_B))
    seen = posterior_B > 0
    ratio = np.log(posterior_B[seen] / smooth_B[seen])
    return max(float(np.sum(posterior_B[seen] * ratio)), 0.0)


def statistics_row(scenario: Scenario, statistics: Statistics, particles: int) -> dict[str, Any]:
    """The JSON row of a scenario, from what the checks measured on its asks.

    Args:
      scenario: the document.
      statistics: measured on these asks, in this order.
      particles: how many were used.
    """
    truths: Sequence[float | None] = [None] * len(scenario.ask)
    if scenario.truth:
        with contextlib.suppress(KeyError):  # an author's truth need not be complete
            _, truths = replay(scenario, scenario.truth)
    asks = []
    for measured, truth in zip(statistics.asks, truths, strict=True):
        row: dict[str, Any] = {
            "posterior": [round(float(p), DIGITS) for p in measured.mass],
            "prior": [round(float(p), DIGITS) for p in measured.before],
        }
        if truth is not None:
            row["true"] = int(np.searchsorted(measured.edges, truth))
        asks.append(row)
    return {
        "id": scenario.id,
        "ess": round(statistics.ess, 1),
        "particles": particles,
        "asks": asks,
    }


def measured_row(document: Mapping[str, Any], particles: int = 4096) -> dict[str, Any] | None:
    """The row of a scenario that the offline author did not write; None where it cannot be had.

    Args:
      document: a scenario as a dict.
      particles: prior particles; drawn from the scenario's id.
    """
    try:
        scenario = parse_scenario(document)
        rng = np.random.default_rng(list(scenario.id.encode()))
        statistics, _ = measure(scenario, CheckConfig(particles=particles), rng)
    except UserError:
        return None
    return None if statistics is None else statistics_row(scenario, statistics, particles)


def ask_records(
    documents: Sequence[Mapping[str, Any]], rows: Mapping[str, Mapping[str, Any]]
) -> Iterator[AskRecord]:
    """Records of the asks of all scenarios that have a row.

    Args:
      documents: scenarios as dicts.
      rows: by scenario id.
    """
    for document in documents:
        row = rows.get(str(document["id"]))
        if row is None or len(row["asks"]) != len(document["ask"]):
            continue
        for ask, found in zip(document["ask"], row["asks"], strict=True):
            posterior_B = np.asarray(found["posterior"], np.float64)
            prior_B = np.asarray(found["prior"], np.float64)
            yield AskRecord(
                scenario=str(document["id"]),
                motif=str(document["motif"]),
                split=str(document.get("split", "")),
                kind=str(ask["kind"]),
                options=tuple(ask.get("options") or ()),
                posterior_B=posterior_B,
                prior_B=prior_B,
                true_bin=found.get("true"),
                ess=float(row["ess"]),
                information=information_gain(posterior_B, prior_B, float(row["particles"])),
            )
