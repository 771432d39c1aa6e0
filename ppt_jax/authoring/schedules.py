"""Who meets whom, and how it ends: the sixteen (P, C, R) motifs of the published contests.

- P: the focal player always wins (0) or loses (1), wins (2) or loses (3) all but one match.
- C: the same partners (0) or different ones (1).
- R: teams rotate (0) or stay (1; with C = 1 all but the focal player).

Source: Zhang, Jagadish, Lake and Griffiths (2026), arXiv 2606.09856.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Cell: TypeAlias = tuple[int, int, int]
Team: TypeAlias = tuple[int, ...]
Match: TypeAlias = tuple[Team, Team]

GRID: tuple[Cell, ...] = tuple(itertools.product(range(4), range(2), range(2)))
"""All (P, C, R)."""

PUBLISHED_HOLD_OUT: tuple[Cell, ...] = ((1, 1, 0), (2, 1, 0))
"""The motifs that the published work never trains on: half of them validation, half test."""


def motif_name(cell: Cell) -> str:
    """``sports_p1c1r0``."""
    return "sports_p{}c{}r{}".format(*cell)


def meetings(cell: Cell, size: int, count: int) -> tuple[Match, ...]:
    """Teams of each match, the focal player's first; player 0 is the focal one.

    Fixed groups take turns: two groups of partners where C = 1, two teams of rivals where teams
    rotate.

    Args:
      cell: (P, C, R).
      size: players of a team.
      count: matches.

    Returns:
      Players are numbered without gaps in order of groups: partners, then rivals.

    Example:
      >>> meetings((0, 0, 0), 2, 2)
      (((0, 1), (2, 3)), ((0, 1), (4, 5)))
    """
    _, partners, stay = cell
    moving = stay == 0 or (partners == 1 and size == 1)
    mates = [tuple(range(1 + g * (size - 1), 1 + (g + 1) * (size - 1))) for g in range(2)]
    first = 1 + 2 * (size - 1)
    rivals = [tuple(range(first + g * size, first + (g + 1) * size)) for g in range(2)]
    rows = [
        ((0, *mates[m % 2 if partners else 0]), rivals[m % 2 if moving else 0])
        for m in range(count)
    ]
    return _renumbered(rows)


def shuffled_meetings(
    cell: Cell, size: int, count: int, rng: np.random.Generator
) -> tuple[Match, ...]:
    """The same for motifs whose teams rotate, by shuffling a small pool before each match.

    With different partners (C = 1) twice `size` players are shuffled, so partners become rivals;
    with the same ones a pool of ``size + 1`` rivals sends a team each time.

    Args:
      cell: (P, C, R) with R = 0.
      size: players of a team; at least 2 where C = 1.
      count: matches.
      rng: source of the shuffles.

    Returns:
      As of `meetings`; two matches in a row never have the same teams.
    """
    _, partners, stay = cell
    if stay or (partners and size < 2):
        raise ValueError(f"{cell} with teams of {size} has nothing to shuffle")
    pool = np.arange(1, 2 * size) if partners else np.arange(size, 2 * size + 1)
    rows: list[Match] = []
    while len(rows) < count:
        order = [int(player) for player in rng.permutation(pool)]
        if partners:
            own, other = sorted(order[: size - 1]), sorted(order[size - 1 :])
        else:
            own, other = list(range(1, size)), sorted(order[:size])
        row = ((0, *own), tuple(other))
        if not rows or row != rows[-1]:
            rows.append(row)
    return _renumbered(rows)


def _renumbered(rows: Sequence[Match]) -> tuple[Match, ...]:
    used = sorted({player for row in rows for team in row for player in team})
    number = {old: new for new, old in enumerate(used)}
    return tuple(
        (tuple(number[p] for p in own), tuple(number[p] for p in other)) for own, other in rows
    )


def players_of(matches: Sequence[Match]) -> int:
    """How many players take part."""
    return 1 + max(player for match in matches for team in match for player in team)


def wins(cell: Cell, count: int, odd: int) -> tuple[bool, ...]:
    """Whether the focal player's team wins each match.

    Args:
      cell: (P, C, R).
      count: matches.
      odd: the match that comes out differently where P is 2 or 3.
    """
    pattern = cell[0]
    return tuple((pattern in (0, 2)) != (pattern in (2, 3) and m == odd) for m in range(count))


def shows(cell: Cell, won_MP: NDArray[Any]) -> NDArray[np.bool_]:
    """Which worlds show the outcomes of a motif.

    Args:
      cell: (P, C, R).
      won_MP: [matches, worlds], 1 where the focal player's team wins.

    Returns:
      [worlds]
    """
    count = len(won_MP)
    wanted = {0: count, 1: 0, 2: count - 1, 3: 1}[cell[0]]
    return np.asarray(np.asarray(won_MP).sum(axis=0) == wanted)
