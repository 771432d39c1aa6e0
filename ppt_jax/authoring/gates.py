"""The gates of a corpus: what some ten thousand scenarios should hold, and whether they do.

Thresholds are start values, chosen on template corpora (see docs/motifs.md). A gate whose measure
needs more scenarios than there are is not judged. Small recipes with few motifs miss some of them
on purpose; the gates are for corpora to post-train a model with.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ppt_jax.authoring.label_diversity import uneven_positions

LEAST_P = 0.01
_ENOUGH = {"vendi": 1000, "structure": 1000, "share": 500, "labels": 500}


@dataclasses.dataclass(frozen=True)
class Gate:
    """One measure against its limit.

    Attributes:
      group: part of the page it belongs to.
      name: what is measured.
      value: the measurement, None where there is none.
      limit: the gate in words.
      passed: None where it is not judged.
      note: why it is not judged, or what the value is of.
    """

    group: str
    name: str
    value: float | None
    limit: str
    passed: bool | None
    note: str = ""


def _most(group: str, name: str, value: float | None, limit: float, note: str = "") -> Gate:
    passed = None if value is None else value <= limit
    return Gate(group, name, value, f"at most {limit:g}", passed, note)


def _least(group: str, name: str, value: float | None, limit: float, note: str = "") -> Gate:
    passed = None if value is None else value >= limit
    return Gate(group, name, value, f"at least {limit:g}", passed, note)


def _within(group: str, name: str, value: float | None, ends: tuple[float, float]) -> Gate:
    passed = None if value is None else ends[0] <= value <= ends[1]
    return Gate(group, name, value, f"{ends[0]:g} to {ends[1]:g}", passed)


def _between(
    group: str, name: str, values: Sequence[float], low: float, high: float, note: str = ""
) -> list[Gate]:
    if not values:
        return [Gate(group, name, None, f"{low:g} to {high:g}", None, note or "none to measure")]
    return [
        _least(group, f"{name}, least", min(values), low, note),
        _most(group, f"{name}, greatest", max(values), high, note),
    ]


def gates(page: Mapping[str, Any]) -> list[Gate]:
    """All gates of a described corpus.

    Args:
      page: from `corpus.describe`, without its gates.
    """
    total = sum(split["scenarios"] for split in page["counts"].values())
    found = _texts(page, total) + _shares(page, total) + _answers(page, total) + _leaks(page)
    return found


def _judged(gate: Gate, have: int, need: int) -> Gate:
    if have >= need or gate.value is None:
        return gate
    return dataclasses.replace(gate, passed=None, note=f"judged from {need:,} scenarios on")


def _texts(page: Mapping[str, Any], total: int) -> list[Gate]:
    texts, structure = page["diversity"], page["structure"]
    enough = _ENOUGH["vendi"]
    found = [
        _most("texts", "near-duplicate rate", texts.get("near_duplicate_rate"), 0.01),
        _most("texts", "compression ratio", texts.get("compression_ratio"), 7.0, "zlib, 1 MB"),
        _most("texts", "self-BLEU-4", texts.get("self_bleu_4"), 0.85, "150 against 300"),
        _judged(
            _least("texts", "Vendi score", texts.get("vendi_1000"), 300, "of 1,000"), total, enough
        ),
    ]
    enough = _ENOUGH["structure"]
    structures = (
        _least("structure", "structure signatures", float(structure["signatures"]), 500),
        _most("structure", "largest structure's share", structure["largest_share"], 0.01),
    )
    return found + [_judged(gate, total, enough) for gate in structures]


def _shares(page: Mapping[str, Any], total: int) -> list[Gate]:
    shares = page["training_shares"]
    motifs, skins = list(shares["motif"].values()), list(shares["skin"].values())
    found = [
        *_between("shares", "motif's share", motifs, 0.005, 0.04),
        _most("shares", "skin's share, greatest", max(skins, default=None), 0.02),
    ]
    return [_judged(gate, total, _ENOUGH["share"]) for gate in found]


def _answers(page: Mapping[str, Any], total: int) -> list[Gate]:
    answers = page.get("answers") or {}
    if not answers:
        none = "no answers to measure"
        return [Gate("labels", "label diversity", None, "", None, none)]
    diversity, gain = answers["diversity"], answers["information"]
    deciles = diversity["probability_deciles"] if diversity["probabilities"] else []
    uneven = uneven_positions(diversity)
    found = [
        *_between("labels", "probability decile's share", deciles, 0.05, 0.20),
        _most(
            "labels", "best option's position, beyond chance", uneven, 0.05, "from an even share"
        ),
        _within(
            "labels",
            "yes among likelier answers to yes/no",
            diversity["yes_share"] if diversity["yes_no"] else None,
            (0.3, 0.7),
        ),
        _most(
            "labels",
            "value decile's share, greatest",
            max(diversity["value_deciles"]) if diversity["values"] else None,
            0.25,
        ),
        _least("labels", "information gain, median (nats)", gain.get("median"), 0.1),
        _most("labels", "asks below 0.01 nats", gain.get("share_below_0.01"), 0.05),
    ]
    found = [_judged(gate, total, _ENOUGH["labels"]) for gate in found]
    base = answers["base_rate"].get("all")
    for name, words in (("prior", "prior alone"), ("constant", "constant answer")):
        value = low = None
        if base:
            value = base[f"{name}_excess"]
            low = value - 2 * base[f"{name}_error"]
        found.append(
            Gate(
                "labels",
                f"log score lost by a {words} (nats)",
                value,
                "above 0 by two standard errors",
                None if low is None else low > 0,
                f"± {base[f'{name}_error']:.3f}" if base else "no stored truths",
            )
        )
    least = answers["calibration"]["least_p"]
    found.append(
        Gate(
            "calibration",
            "least adjusted p-value of truths against labels",
            least,
            f"at least {LEAST_P:g}",
            None if least is None else least >= LEAST_P,
            "per motif" if least is not None else "no motif has 30 scenarios with truths",
        )
    )
    return found


def _leaks(page: Mapping[str, Any]) -> list[Gate]:
    found = []
    for split, row in page["leakage"]["splits"].items():
        if row["holds_out"]:
            axis = row["holds_out"]
            found.append(
                _most("leakage", f"{split}: shared {axis} names", float(row[f"shared_{axis}"]), 0)
            )
        limit = 0.0 if row["holds_out"] else round(0.01 * row["looked_at"], 1)
        found.append(
            _most("leakage", f"{split}: near copies of training", float(row["near_copies"]), limit)
        )
    outside = page["leakage"]["outside"]
    if outside:
        value = float(outside["texts_that_share"])
        note = f"of {outside['texts']:,} texts"
        found.append(_most("leakage", "outside texts with a shared 8-gram", value, 0, note))
    return found
