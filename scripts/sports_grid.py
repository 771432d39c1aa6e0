"""The published sports programs as scenario documents: 16 motifs (P, C, R), team sizes 1 to 3.

A strength is a mixture of three normals, an effort a mixture of three normals whose weights depend
on the strength, a team's score the average of strength times effort / 100, and a result a soft
comparison, ``sigmoid(difference / temperature)``. Asked are the focal player's rank, one effort,
and the chance that the second team wins a new contest, averaged over fresh efforts.

- P: the focal player always wins (0) or loses (1), wins (2) or loses (3) all but one match.
- C: the same partners (0) or different ones (1).
- R: teams rotate (0) or stay (1; with C = 1 all but the focal player).

Source: Zhang, Jagadish, Lake and Griffiths (2026), arXiv 2606.09856.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np

from ppt_jax.authoring.names import pick_people
from ppt_jax.scenario.document import Scenario, parse_scenario

MOTIFS = tuple(itertools.product(range(4), range(2), range(2)))
LEVELS = ("low", "middle", "high")


@dataclasses.dataclass(frozen=True)
class Contests:
    """Who met whom, in numbers of players; player 0 is the focal one.

    Attributes:
      name: of the scenario.
      players: names.
      matches: per match the winners and the losers.
      upcoming: the two teams of the new contest.
      temperature: of all comparisons, in points of score.
      reruns: fresh contests that the chance is averaged over.
    """

    name: str
    players: tuple[str, ...]
    matches: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]
    upcoming: tuple[tuple[int, ...], tuple[int, ...]]
    temperature: float
    reruns: int


def contests(
    motif: tuple[int, int, int],
    size: int,
    seed: int,
    *,
    matches: int = 4,
    temperature: float = 5.0,
    reruns: int = 8,
) -> Contests:
    """Teams and results of one motif.

    Args:
      motif: (P, C, R).
      size: players of a team.
      seed: of the names and of the match that comes out differently.
      matches: number of results.
      temperature, reruns: see `Contests`.
    """
    pattern, partners, rotation = motif
    rng = np.random.default_rng([seed, *motif, size])
    mates = [tuple(range(1 + g * (size - 1), 1 + (g + 1) * (size - 1))) for g in range(2)]
    first = 1 + 2 * (size - 1)
    rivals = [tuple(range(first + g * size, first + (g + 1) * size)) for g in range(2)]
    odd = int(rng.integers(matches))
    rows = []
    for m in range(matches):
        with_focal = (0, *mates[m % 2 if partners else 0])
        moving = rotation == 0 or (partners == 1 and size == 1)
        against = rivals[m % 2 if moving else 0]
        wins = (pattern in (0, 2)) != (pattern in (2, 3) and m == odd)
        rows.append((with_focal, against) if wins else (against, with_focal))
    used = sorted({p for row in rows for team in row for p in team})
    number = {old: new for new, old in enumerate(used)}
    renumbered = tuple(tuple(tuple(number[p] for p in team) for team in row) for row in rows)
    names = tuple(pick_people(rng, len(used)))
    upcoming = (
        tuple(number[p] for p in (0, *mates[0])),
        tuple(number[p] for p in rivals[0]),
    )
    name = f"sports-p{pattern}c{partners}r{rotation}-{size}-{seed}"
    return Contests(name, names, renumbered, upcoming, temperature, reruns)


def _mood(strength: str) -> str:
    strong, weak = f"{strength} > 120", f"{strength} < 80"
    weights = (
        f"0.05 if {strong} else (0.8 if {weak} else 0.2)",
        f"0.15 if {strong} or {weak} else 0.6",
        f"0.8 if {strong} else (0.05 if {weak} else 0.2)",
    )
    return f"pick(level, weights=[{', '.join(weights)}])"


def _mixture(of: str, means: tuple[int, int, int]) -> str:
    low, middle, high = means
    mean = f"{low} if {of} == 'low' else {middle} if {of} == 'middle' else {high}"
    return f"normal(mean=({mean}), sd=10)"


def document(spec: Contests) -> Scenario:
    """The scenario document of a spec, its results chosen (not simulated)."""
    names = spec.players
    model: list[dict[str, Any]] = []

    def node(kind: str, name: str, expr: str, *per: str) -> None:
        model.append({"name": name, "kind": kind, "expr": expr, "per": list(per)})

    node("draw", "sort", "pick(level, weights=[0.33, 0.33, 0.34])", "player")
    node("draw", "strength", _mixture("sort[player]", (80, 100, 140)), "player")

    def effort(tag: str, player: int, *per: str) -> str:
        """Declares a player's effort on one occasion; returns the performance's formula."""
        index = f"[{per[0]}]" if per else ""
        strength = f"strength['{names[player]}']"
        node("draw", f"mood_{tag}", _mood(strength), *per)
        node("draw", f"raw_{tag}", _mixture(f"mood_{tag}{index}", (30, 60, 90)), *per)
        node("let", f"effort_{tag}", f"clip(raw_{tag}{index}, 0, 100)", *per)
        return f"{strength} * effort_{tag}{index} / 100"

    def score(tag: str, team: tuple[int, ...], *per: str) -> str:
        parts = [effort(f"{tag}_{place}", player, *per) for place, player in enumerate(team)]
        return f"({' + '.join(parts)}) / {len(parts)}"

    given, told, asked = [], [], ""
    for m, (winners, losers) in enumerate(spec.matches, start=1):
        node("let", f"won_{m}", score(f"w{m}", winners))
        node("let", f"lost_{m}", score(f"l{m}", losers))
        span = f"{_team(names, winners)} beat {_team(names, losers)} in match {m}"
        given.append(
            {"that": f"beats(won_{m}, lost_{m}, noise={spec.temperature:g})", "says": span}
        )
        told.append(f"{span}.")
        if m == 1:
            side, team = ("w", winners) if 0 in winners else ("l", losers)
            asked = f"effort_{side}1_{team.index(0)}"
    for side, team in enumerate(spec.upcoming, start=1):
        node("let", f"next_{side}", score(f"n{side}", team, "rerun"), "rerun")
    node(
        "let",
        "second_wins",
        f"sigmoid((next_2[rerun] - next_1[rerun]) / {spec.temperature:g})",
        "rerun",
    )
    focal, second = names[0], _team(names, spec.upcoming[1])
    asks = [
        {"id": "q1", "kind": "rank", "expr": f"strength['{focal}']",
         "text": f"Of 100 random players, how many are weaker than {focal}?"},
        {"id": "q2", "kind": "value", "expr": asked, "low": 0, "high": 100, "unit": "percent",
         "text": f"How much of full effort did {focal} put into match 1?"},
        {"id": "q3", "kind": "chance", "expr": "average(second_wins[rerun], rerun)",
         "text": f"How likely is it that {second} win a new contest?"},
    ]  # fmt: skip
    return parse_scenario(
        {
            "schema": "scenario/1",
            "id": spec.name,
            "motif": "sports_" + spec.name.split("-")[1],
            "story": f"Players meet in teams. {' '.join(told)}",
            "evidence": "chosen",
            "sets": [
                {"name": "player", "members": list(names)},
                {"name": "level", "members": list(LEVELS)},
                {"name": "rerun", "members": [f"contest {r + 1}" for r in range(spec.reruns)]},
            ],
            "model": model,
            "given": given,
            "ask": asks,
        }
    )


def _team(names: tuple[str, ...], team: tuple[int, ...]) -> str:
    return " and ".join(names[p] for p in team)
