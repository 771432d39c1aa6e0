"""Models that read no evidence: `uniform` and `base_rate`.

`base_rate` answers with the mean training label of the same motif and ask kind, so it knows what
such questions usually come out as, but not this story. A model that learned from evidence must
beat it.

Axes: K answers.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ppt_jax.errors import UserError
from ppt_jax.evaluation.items import KINDS, Target


def uniform(target: Target) -> np.ndarray:
    """Equal probability for every answer, float64 [K]."""
    size = len(target.support)
    return np.full(size, 1.0 / size)


@dataclasses.dataclass(frozen=True)
class BaseRate:
    """Mean training labels by motif and kind, with the kind alone as fallback.

    Attributes:
      by_motif: (motif, kind, number of answers) -> smoothed mean label [K].
      by_kind: (kind, number of answers) -> smoothed mean label [K].
      n_labels: training labels used.
    """

    by_motif: Mapping[tuple[str, str, int], np.ndarray]
    by_kind: Mapping[tuple[str, int], np.ndarray]
    n_labels: int

    def predict(self, target: Target) -> np.ndarray:
        """Answer distribution for an ask, float64 [K].

        A motif that training did not hold gets the mean over its kind; a number of options that
        training did not hold at all gets equal probabilities.
        """
        size = len(target.support)
        mean = self.by_motif.get((target.motif, target.kind, size))
        if mean is None:
            mean = self.by_kind.get((target.kind, size))
        return uniform(target) if mean is None else mean

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types, see `from_json`."""
        motifs = [[m, kind, p_K.tolist()] for (m, kind, _), p_K in self.by_motif.items()]
        kinds = [[kind, p_K.tolist()] for (kind, _), p_K in self.by_kind.items()]
        return {"by_motif": motifs, "by_kind": kinds, "n_labels": self.n_labels}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> BaseRate:
        """The base rate that `to_json` stored."""
        return BaseRate(
            by_motif={(m, kind, len(p)): np.asarray(p) for m, kind, p in data["by_motif"]},
            by_kind={(kind, len(p)): np.asarray(p) for kind, p in data["by_kind"]},
            n_labels=data["n_labels"],
        )


def fit_base_rate(labels: Iterable[tuple[str, str, Sequence[float] | np.ndarray]]) -> BaseRate:
    """Averages training labels, each group with one uniform label added.

    ``rate_k = (sum of labels_k + 1/K) / (n + 1)``. Without the added label an answer that no
    training label gave would be impossible, and one such ask would ruin the base rate's KL; that
    would flatter every model compared with it.

    Options of a `choice` have different names from ask to ask, so choices are averaged by
    position and only among asks with the same number of options.

    Args:
      labels: (motif, kind, label probabilities) of every training ask.

    Raises:
      UserError: a label is no distribution, or its kind is unknown.

    Example:
      >>> rate = fit_base_rate([("chess", "choice", [1.0, 0.0]), ("chess", "choice", [0.5, 0.5])])
      >>> rate.by_motif["chess", "choice", 2].tolist()
      [0.6666666666666666, 0.3333333333333333]
    """
    sums: dict[tuple[str | None, str, int], np.ndarray] = {}  # motif None: the kind alone
    counts: collections.Counter[tuple[str | None, str, int]] = collections.Counter()
    total = 0
    for motif, kind, probs in labels:
        p_K = np.asarray(probs, dtype=np.float64)
        if kind not in KINDS:
            raise UserError(f"training label {total}: kind {kind!r} is none of {', '.join(KINDS)}")
        if p_K.ndim != 1 or not np.isfinite(p_K).all() or (p_K < 0).any() or p_K.sum() <= 0:
            raise UserError(f"training label {total} (motif {motif!r}, {kind}) is no distribution")
        total += 1
        for key in ((motif, kind, p_K.size), (None, kind, p_K.size)):
            sums.setdefault(key, np.zeros(p_K.size))
            sums[key] += p_K / p_K.sum()
            counts[key] += 1
    means = {key: (sum_K + 1 / sum_K.size) / (counts[key] + 1) for key, sum_K in sums.items()}
    return BaseRate(
        by_motif={(m, kind, size): v for (m, kind, size), v in means.items() if m is not None},
        by_kind={(kind, size): v for (m, kind, size), v in means.items() if m is None},
        n_labels=total,
    )
