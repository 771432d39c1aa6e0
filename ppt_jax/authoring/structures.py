"""Structures of scenarios: what is left of a program without its numbers, names and words."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

_LABEL = re.compile(r"'[^']*'")
_CONSTANT = re.compile(r"(?<![\w.])\d+(?:\.\d+)?")
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
_RATIO = re.compile(r"#\s*/\s*#")
_SIGN = re.compile(r"(^|[=(,<>]\s*)-\s*#")


def structure_signature(row: Mapping[str, Any]) -> str:
    """A hash of the program without its constants, labels and node names.

    Args:
      row: a scenario as a dict.

    Returns:
      Sixteen hex digits; equal for scenarios that differ in numbers, names and words only.
    """
    masked = _mask(row)
    return _digest(
        [
            *_program(row, masked),
            [masked(given["that"]) for given in row["given"]],
            [(ask["kind"], masked(ask["expr"])) for ask in row["ask"]],
        ]
    )


def program_signature(row: Mapping[str, Any]) -> str:
    """A hash of program and evidence, by which structures are held out.

    Coarser than `structure_signature`, so that another signature is another structure: what is
    asked plays no part, nor does how a number is written ("1/3" or "0.35"), nor the order in which
    observations are told.

    Args:
      row: a scenario as a dict.

    Returns:
      Sixteen hex digits.

    Example:
      >>> rows = [{"sets": [], "given": [], "model": [
      ...     {"name": "hot", "per": [], "kind": "draw", "expr": f"yes(p={chance})"}]}
      ...     for chance in ("1/3", "0.2")]
      >>> program_signature(rows[0]) == program_signature(rows[1])
      True
    """
    masked = _mask(row)

    def plain(text: str) -> str:
        return _SIGN.sub(r"\1#", _RATIO.sub("#", masked(text)))

    return _digest([*_program(row, plain), sorted(plain(given["that"]) for given in row["given"])])


def is_held_out(signature: str, share: float) -> bool:
    """Whether a structure belongs to the share that is never trained on.

    The signature alone decides, so processes, seeds and corpora agree without speaking.

    Args:
      signature: of `program_signature`.
      share: how many of all structures are held out, 0 to 1.
    """
    return int(signature, 16) < share * 16 ** len(signature)


def _mask(row: Mapping[str, Any]) -> Callable[[str], str]:
    """Replaces labels by ``@``, constants by ``#`` and node names by their order."""
    nodes = {node["name"]: f"n{number}" for number, node in enumerate(row["model"])}

    def masked(text: str) -> str:
        text = _CONSTANT.sub("#", _LABEL.sub("@", text))
        return _IDENTIFIER.sub(lambda m: nodes.get(m[0], m[0]), text)

    return masked


def _program(row: Mapping[str, Any], masked: Callable[[str], str]) -> list[Any]:
    return [
        [len(named["members"]) for named in row["sets"]],
        [(node["kind"], node["per"], masked(node["expr"])) for node in row["model"]],
    ]


def _digest(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
