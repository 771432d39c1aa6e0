"""Are the answers of a corpus worth learning: varied, informative, better than any cheap guess?

Works on `AskRecord`: on the checks' particles when a corpus is written, on labels once they exist.
"""

from __future__ import annotations

import collections
import math
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppt_jax.authoring.answer_records import AskRecord
from ppt_jax.inference.uniformity import holm, uniformity

Array = NDArray[np.float64]
YES_NO = ("no", "yes")
SMALLEST_GROUP = 30  # scenarios of a motif that is tested against its truths
SMALLEST_POSITIONS = 100  # asks of a number of options whose best positions are judged


def middles(bins: int) -> Array:
    """Middles of the bins of a value, a chance or a rank, from 0 to 1; 21 bins: the last is 1."""
    whole = bins - 1 if bins == 21 else bins
    return np.minimum((np.arange(bins) + 0.5) / whole, 1.0)


def _deciles(values: Sequence[float]) -> list[float]:
    counts = np.histogram(np.clip(values, 0, 1), bins=10, range=(0.0, 1.0))[0]
    return [round(float(c), 5) for c in counts / max(len(values), 1)]


def label_diversity(records: Sequence[AskRecord]) -> dict[str, Any]:
    """Shares that a corpus without a habit spreads out.

    Returns:
      ``probability_deciles``: of the probability of the second of two options, and of the expected
      chance; ``best_positions``: number of options -> how often each position holds the likeliest
      one (named options); ``yes_share``: of yes/no questions whose likelier answer is yes;
      ``value_deciles``: where on their scale the expected values and ranks lie; with the numbers of
      asks behind each.
    """
    probabilities: list[float] = []
    values: list[float] = []
    positions: dict[int, collections.Counter[int]] = collections.defaultdict(collections.Counter)
    yes = collections.Counter[bool]()
    for record in records:
        best = int(np.argmax(record.posterior_B))
        if record.kind == "choice":
            if len(record.posterior_B) == 2:
                probabilities.append(float(record.posterior_B[1]))
            if record.options in (YES_NO, ()):
                yes[best == 1] += 1
            else:
                positions[len(record.posterior_B)][best] += 1
        else:
            middle = float(record.posterior_B @ middles(len(record.posterior_B)))
            (probabilities if record.kind == "chance" else values).append(middle)
    best_positions = {
        str(count): [round(found[place] / sum(found.values()), 5) for place in range(count)]
        for count, found in sorted(positions.items())
    }
    return {
        "probability_deciles": _deciles(probabilities),
        "probabilities": len(probabilities),
        "best_positions": best_positions,
        "best_positions_counts": {str(k): sum(v.values()) for k, v in sorted(positions.items())},
        "yes_share": round(yes[True] / max(sum(yes.values()), 1), 5),
        "yes_no": sum(yes.values()),
        "value_deciles": _deciles(values),
        "values": len(values),
    }


def uneven_positions(diversity: dict[str, Any]) -> float | None:
    """Greatest distance of a position's share from an even one, beyond what chance explains.

    Per number of options the share of each position is compared with 1 / options; two standard
    errors of that share are taken off. None where too few asks have named options.
    """
    found = []
    for count, shares in diversity["best_positions"].items():
        asks = diversity["best_positions_counts"][count]
        if asks >= SMALLEST_POSITIONS:
            even = 1 / int(count)
            noise = 2 * math.sqrt(even * (1 - even) / asks)
            found.append(max(abs(share - even) - noise for share in shares))
    return round(max(0.0, *found), 5) if found else None


def information(records: Sequence[AskRecord]) -> dict[str, Any]:
    """Nats that the evidence adds to the prior: quantiles, and the share of asks near none."""
    gains = np.array([record.information for record in records])
    if not len(gains):
        return {"asks": 0}
    return {
        "asks": len(gains),
        "median": round(float(np.median(gains)), 5),
        "mean": round(float(gains.mean()), 5),
        "share_below_0.01": round(float(np.mean(gains < 0.01)), 5),
        "deciles": [round(float(q), 5) for q in np.quantile(gains, np.linspace(0.1, 0.9, 9))],
    }


def _smooth(probabilities_B: Array, ess: float) -> Array:
    """With half a particle in each bin, since a finite sample may have missed the truth's bin."""
    if not np.isfinite(ess):
        return probabilities_B
    return (probabilities_B * ess + 0.5) / (ess + 0.5 * len(probabilities_B))


def base_rate(records: Sequence[AskRecord]) -> dict[str, Any]:
    """Log scores of the stored truths (nats): the label, the prior alone, and one constant answer.

    The constant is the mean label of all asks of the same kind and number of bins: what a model
    says that has learned the answers' base rates and nothing else. Standard errors are over
    scenarios, since asks of one scenario share their truth.

    Returns:
      By kind and for all: ``asks``, the mean loss of each, and of prior and constant the excess
      over the label with its standard error.
    """
    known = [record for record in records if record.true_bin is not None]
    sums: dict[tuple[str, int], Array] = {}
    counts = collections.Counter[tuple[str, int]]()
    for record in known:
        key = (record.kind, len(record.posterior_B))
        sums[key] = sums.get(key, np.zeros(key[1])) + record.posterior_B
        counts[key] += 1
    losses: dict[str, list[tuple[str, float, float, float]]] = collections.defaultdict(list)
    for record in known:
        key = (record.kind, len(record.posterior_B))
        place = record.true_bin or 0
        row = (
            record.scenario,
            -float(np.log(max(_smooth(record.posterior_B, record.ess)[place], 1e-6))),
            -float(np.log(max(_smooth(record.prior_B, 4096)[place], 1e-6))),
            -float(np.log(max((sums[key] / counts[key])[place], 1e-6))),
        )
        losses[record.kind].append(row)
        losses["all"].append(row)
    return {kind: _compared(rows) for kind, rows in sorted(losses.items())}


def _compared(rows: Sequence[tuple[str, float, float, float]]) -> dict[str, float]:
    label, prior, constant = (np.array([row[k] for row in rows]) for k in (1, 2, 3))
    names = np.unique([row[0] for row in rows], return_inverse=True)[1]
    found = {
        "asks": len(rows),
        "label": float(label.mean()),
        "prior": float(prior.mean()),
        "constant": float(constant.mean()),
    }
    for name, other in (("prior", prior), ("constant", constant)):
        excess = other - label
        by_scenario = np.bincount(names, excess - excess.mean())
        found[f"{name}_excess"] = float(excess.mean())
        found[f"{name}_error"] = float(np.sqrt(np.sum(by_scenario**2))) / len(rows)
    return {key: round(value, 5) if isinstance(value, float) else value
            for key, value in found.items()}  # fmt: skip


def calibration(records: Sequence[AskRecord]) -> dict[str, Any]:
    """Do the stored truths fall into the posteriors as often as these say, motif by motif?

    The randomised place of the truth in its posterior, one ask a scenario, is uniform under right
    posteriors; p-values are adjusted over the groups (Holm).

    Returns:
      ``groups``: name -> scenarios, p-value, adjusted p-value, spread (above 1: too narrow);
      ``least_p``: the least adjusted one, None where no group is large enough.
    """
    places: dict[str, list[float]] = collections.defaultdict(list)
    for record in _one_a_scenario(records):
        below = float(record.posterior_B[: record.true_bin].sum())
        at = float(record.posterior_B[record.true_bin or 0])
        share = zlib.crc32(f"place {record.scenario}".encode()) / 2**32
        place = min(max(below + share * at, 0.0), 1.0)
        places["all"].append(place)
        places[record.motif].append(place)
    tested = {name: uniformity(u) for name, u in places.items() if len(u) >= SMALLEST_GROUP}
    adjusted = holm([found.p_value for found in tested.values()])
    groups = {
        name: {
            "scenarios": found.count,
            "p": round(found.p_value, 6),
            "adjusted": round(p, 6),
            "spread": round(found.spread, 4),
        }
        for (name, found), p in zip(tested.items(), adjusted, strict=True)
    }
    least = min(adjusted, default=None)
    return {"groups": groups, "least_p": None if least is None else round(least, 6)}


def _one_a_scenario(records: Sequence[AskRecord]) -> list[AskRecord]:
    """One record of each scenario with a known truth, chosen by a hash of its id."""
    by_scenario: dict[str, list[AskRecord]] = collections.defaultdict(list)
    for record in records:
        if record.true_bin is not None:
            by_scenario[record.scenario].append(record)
    return [
        found[zlib.crc32(f"ask {name}".encode()) % len(found)]
        for name, found in by_scenario.items()
    ]
