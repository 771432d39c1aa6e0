"""Which labels are good enough, and which effort is worth trying next."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from ppt_jax.inference.labels import LabelConfig, SoftLabel, coarse_answers, total_variation
from ppt_jax.inference.routes import Outcome

EXACT_ROUTES = ("exact", "enumeration")


def failed_gate(outcome: Outcome, config: LabelConfig) -> str:
    """The first gate that an outcome with labels does not pass, or an empty string."""
    if outcome.failed:
        return outcome.failed
    for label in outcome.labels:
        if label.route in EXACT_ROUTES:
            continue
        if label.route == "tempered":
            failed = _tempered(label, config)
        else:
            failed = _weighted(label, outcome.max_weight, config)
        if failed:
            return failed
    return ""


def _weighted(label: SoftLabel, max_weight: float, config: LabelConfig) -> str:
    if not label.ess > config.min_ess:
        return f"effective sample size {label.ess:.0f}"
    if not max_weight < config.max_weight:
        return f"one particle holds {max_weight:.3f} of the weight"
    close = label.ess > config.pair_ess and label.disagreement < config.pair_error
    if not (label.predicted < config.max_error or close) or label.error >= config.max_error:
        return f"ask {label.ask_id!r}: error {label.error:.3f}"
    return ""


def _tempered(label: SoftLabel, config: LabelConfig) -> str:
    if not label.disagreement < config.max_disagreement:
        return f"ask {label.ask_id!r}: runs differ by {label.disagreement:.3f}"
    if math.isinf(label.error):
        return f"ask {label.ask_id!r}: correlation {label.mixing:.2f} over the final moves"
    if not label.error < config.max_error:
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


def with_shift(
    labels: Sequence[SoftLabel], earlier: Sequence[SoftLabel], config: LabelConfig
) -> tuple[SoftLabel, ...]:
    """Labels of tempered runs, charged for poor mixing.

    Two runs may agree and both be wrong when their moves hardly reach from one part of the
    posterior to another. Where an ask still remembers its start after the final moves (correlation
    of `max_mixing` or more) the label is compared with the one of the effort before, which made
    fewer and fewer moves: what both differ by, beyond their noise, is bias that the moves have not
    worked off, and about as much may be left. It joins the stated error; with nothing to compare
    with, the error is infinite.

    Args:
      labels: of this effort.
      earlier: of the effort before, or empty.
      config: `max_mixing`.
    """
    made = []
    for place, label in enumerate(labels):
        if label.route != "tempered" or label.mixing < config.max_mixing:
            made.append(label)
            continue
        excess = excess_101 = math.inf
        if earlier:
            other = earlier[place]
            coarse = total_variation(*(coarse_answers(one) for one in (label, other)))
            noise = label.predicted**2 + other.predicted**2
            excess = math.sqrt(max(coarse**2 - noise, 0.0))
            fine = total_variation(label.probs, other.probs)
            noise = label.error_101**2 + other.error_101**2
            excess_101 = math.sqrt(max(fine**2 - noise, 0.0))
        error = float(np.hypot(label.error, excess))
        error_101 = float(np.hypot(label.error_101, excess_101))
        made.append(dataclasses.replace(label, error=error, error_101=error_101))
    return tuple(made)


def promising(labels: Sequence[SoftLabel], ratio: float, config: LabelConfig) -> bool:
    """Whether weighting ``ratio`` times as many points is likely to pass.

    The effective sample size grows with the points, the predicted error falls with their root.
    """
    for label in labels:
        if not label.ess * ratio > 1.5 * config.min_ess:
            return False
        predicted = label.predicted / math.sqrt(ratio)
        close = label.disagreement / math.sqrt(ratio) < 0.8 * config.pair_error
        close = close and label.ess * ratio > 1.5 * config.pair_ess
        if not (predicted < 0.9 * config.max_error or close):
            return False
    return bool(labels)
