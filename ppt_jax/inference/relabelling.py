"""Labels a sample of a corpus again by another engine, and compares the two labels of each ask."""

from __future__ import annotations

import dataclasses
import hashlib
import heapq
import json
import os
import pathlib
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppt_jax.errors import UserError
from ppt_jax.inference.cascade import Labelled, label_scenarios
from ppt_jax.inference.job import read_labelled
from ppt_jax.inference.labels import COARSE_BINS, LabelConfig, total_variation
from ppt_jax.inference.verification import check_labels, label_files
from ppt_jax.progress import Progress

Array = NDArray[np.float64]
GROSS_FACTOR, GROSS_LEAST = 3.0, 0.05
WORST = 10


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two labels of one ask.

    Attributes:
      scenario_id, ask_id, kind, motif: of the ask.
      first, second: routes.
      distance: total variation over 20 bins (options of a `choice`).
      stated: sum of the two stated errors over the same bins.
      fine, fine_stated: the same over all answers.
    """

    scenario_id: str
    ask_id: str
    kind: str
    motif: str
    first: str
    second: str
    distance: float
    stated: float
    fine: float
    fine_stated: float

    @property
    def gross(self) -> bool:
        """Too far apart for two labels whose errors are as stated."""
        return self.distance > max(GROSS_FACTOR * self.stated, GROSS_LEAST)


@dataclasses.dataclass(frozen=True, eq=False)
class Relabelling:
    """What labelling a sample again found.

    Attributes:
      engine: of the second labels.
      scenarios: in the sample.
      refused: reason -> scenarios that the second engine gave no label.
      pairs: every ask with two labels, furthest apart (against what is stated) first.
    """

    engine: str
    scenarios: int
    refused: dict[str, int]
    pairs: tuple[Pair, ...]

    @property
    def gross(self) -> list[Pair]:
        """The pairs that no stated error explains."""
        return [pair for pair in self.pairs if pair.gross]

    @property
    def beyond(self) -> float:
        """Share of the asks whose labels lie further apart than both errors together."""
        if not self.pairs:
            return 0.0
        return float(np.mean([pair.distance > pair.stated + 1e-6 for pair in self.pairs]))

    @property
    def verdict(self) -> str:
        """One line."""
        refused = sum(self.refused.values())
        done = f"{self.scenarios - refused} of {self.scenarios} scenarios labelled again"
        if not self.pairs:
            return f"nothing compared: {done} by {self.engine}"
        apart = np.quantile([pair.distance for pair in self.pairs], [0.5, 0.95, 1.0])
        return (
            f"{'ALARM: ' if self.gross else ''}{done} by {self.engine}: total variation median "
            f"{apart[0]:.4f}, 95 % {apart[1]:.4f}, greatest {apart[2]:.4f}; {self.beyond:.1%} of "
            f"{len(self.pairs)} asks beyond both stated errors, {len(self.gross)} grossly"
        )

    def to_json(self) -> dict[str, Any]:
        """Results as JSON types."""
        return {
            "engine": self.engine,
            "scenarios": self.scenarios,
            "refused": self.refused,
            "asks": len(self.pairs),
            "verdict": self.verdict,
            "beyond": self.beyond,
            "gross": len(self.gross),
            "worst": [dataclasses.asdict(pair) for pair in self.pairs[:WORST]],
        }


def coarse(probs: Array, kind: str) -> Array:
    """A label over 20 bins of five answers (the last holds six); a `choice` stays as it is.

    Example:
      >>> coarse(np.full(101, 1 / 101), "value").shape
      (20,)
    """
    if kind == "choice":
        return probs
    bins = np.minimum(np.arange(len(probs)) // 5, COARSE_BINS - 1)
    return np.bincount(bins, weights=probs, minlength=COARSE_BINS).astype(np.float64)


def stored_config(folder: str | os.PathLike[str]) -> LabelConfig:
    """The settings that a folder was labelled with, as far as this version knows them."""
    path = pathlib.Path(folder) / "state" / "config.json"
    if not path.exists():
        return LabelConfig()
    known = {field.name for field in dataclasses.fields(LabelConfig)}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return LabelConfig(**{name: value for name, value in found.items() if name in known})
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: cannot read ({error})") from error


def sample(folder: str | os.PathLike[str], count: int, seed: int = 0) -> list[Labelled]:
    """A sample of a labelled corpus that depends on ids only, not on shards or order."""
    if count < 1:
        raise UserError(f"--relabel={count}: must be at least 1")
    kept: list[tuple[int, str, Labelled]] = []  # a heap, the greatest key on top
    for path in label_files(folder):
        for labelled in read_labelled(path):
            check_labels(labelled, str(path))
            name = labelled.scenario.id
            key = -int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8], "big")
            if len(kept) < count:
                heapq.heappush(kept, (key, name, labelled))
            elif key > kept[0][0]:
                heapq.heapreplace(kept, (key, name, labelled))
    return [labelled for _, _, labelled in sorted(kept, key=lambda one: (-one[0], one[1]))]


def relabel(
    folder: str | os.PathLike[str],
    count: int,
    engine: str = "eager",
    *,
    seed: int = 0,
    silent: bool = False,
) -> Relabelling:
    """Labels a sample again by another engine, with the settings of the folder otherwise.

    Args:
      folder: labelled shards.
      count: scenarios in the sample.
      engine: a value of `LabelConfig.engine`.
      seed: of the sample, and of the second labels' points and draws.
      silent: no progress.

    Returns:
      The pairs of labels.

    Raises:
      UserError: an unknown engine, or labels that cannot be read.
    """
    # another seed, so that an engine compared with itself uses other points
    config = dataclasses.replace(stored_config(folder), engine=engine)
    config = dataclasses.replace(config, seed=(config.seed + 1 + seed) % 2**31)
    first = sample(folder, count, seed)
    with Progress(f"relabel by {engine}", len(first), "scenario", silent=silent) as bar:
        second = label_scenarios([one.scenario for one in first], config, bar)
    refused: Counter[str] = Counter()
    pairs: list[Pair] = []
    for one, other in zip(first, second):
        if not isinstance(other, Labelled):
            refused[other.reason] += 1
            continue
        for a, b in zip(one.labels, other.labels):
            near, far = coarse(a.probs, a.kind), coarse(b.probs, b.kind)
            pairs.append(
                Pair(
                    scenario_id=one.scenario.id,
                    ask_id=a.ask_id,
                    kind=a.kind,
                    motif=one.scenario.motif,
                    first=a.route,
                    second=b.route,
                    distance=round(total_variation(near, far), 6),
                    stated=round(a.error + b.error, 6),
                    fine=round(total_variation(a.probs, b.probs), 6),
                    fine_stated=round(a.error_101 + b.error_101, 6),
                )
            )
    pairs.sort(key=lambda pair: (pair.stated - pair.distance, pair.scenario_id, pair.ask_id))
    return Relabelling(engine, len(first), dict(sorted(refused.items())), tuple(pairs))
