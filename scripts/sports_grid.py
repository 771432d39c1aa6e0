"""The published sports programs as scenario documents: 16 motifs (P, C, R), team sizes 1 to 3.

A strength is a mixture of three normals, an effort a mixture of three normals whose weights depend
on the strength, a team's score the average of strength times effort / 100, and a result a soft
comparison, ``sigmoid(difference / temperature)``. Asked are the focal player's rank, one effort,
and the chance that the second team wins a new contest, averaged over fresh efforts. The authored
family S (`ppt_jax.authoring.motifs.family_s`) tells such programs in words and draws the results.

Source: Zhang, Jagadish, Lake and Griffiths (2026), arXiv 2606.09856.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ppt_jax.authoring.motifs.family_s import by_member, form_chances
from ppt_jax.authoring.names import pick_people
from ppt_jax.authoring.schedules import GRID, Cell, meetings, motif_name, players_of, wins
from ppt_jax.scenario.document import Scenario, parse_scenario

MOTIFS = GRID
LEVELS = ("low", "middle", "high")


@dataclasses.dataclass(frozen=True)
class Contests:
    """Who met whom, in numbers of players; player 0 is the focal one.

    Attributes:
      name: of the scenario.
      motif: its motif's name.
      players: names.
      matches: per match the winners and the losers.
      upcoming: the two teams of the new contest.
      temperature: of all comparisons, in points of score.
      reruns: fresh contests that the chance is averaged over.
    """

    name: str
    motif: str
    players: tuple[str, ...]
    matches: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]
    upcoming: tuple[tuple[int, ...], tuple[int, ...]]
    temperature: float
    reruns: int


def contests(
    motif: Cell,
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
    rng = np.random.default_rng([seed, *motif, size])
    odd = int(rng.integers(matches))
    rows = meetings(motif, size, matches)
    won = wins(motif, matches, odd)
    names = tuple(pick_people(rng, players_of(rows)))
    results = tuple((own, other) if win else (other, own) for (own, other), win in zip(rows, won))
    name = "sports-p{}c{}r{}-{}-{}".format(*motif, size, seed)
    return Contests(name, motif_name(motif), names, results, rows[0], temperature, reruns)


def _mood(strength: str) -> str:
    limits = {"strong": "120", "weak": "80"}
    good, bad = form_chances(strength, **limits, often="0.8", seldom="0.05", middle="0.2")
    usual = f"0.15 if {strength} > 120 or {strength} < 80 else 0.6"
    return f"pick(level, weights=[{bad}, {usual}, {good}])"


def _mixture(of: str, means: tuple[int, int, int]) -> str:
    return f"normal(mean={by_member(of, dict(zip(LEVELS, map(str, means))))}, sd=10)"


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
            "motif": spec.motif,
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
