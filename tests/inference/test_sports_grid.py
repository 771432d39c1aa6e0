"""The sports programs of the Pyro benchmark: what each motif says, and what its document means."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from ppt_jax.inference.eager import eager_route
from ppt_jax.inference.labels import LabelConfig, total_variation
from ppt_jax.inference.routes import prepare
from scripts.sports_grid import MOTIFS, Contests, contests, document


@pytest.mark.parametrize("size", [1, 2, 3])
def test_teams_and_results_follow_the_motif(size: int) -> None:
    for pattern, partners, rotation in MOTIFS:
        spec = contests((pattern, partners, rotation), size, 3)
        wins = sum(0 in winners for winners, _ in spec.matches)
        assert wins == {0: 4, 1: 0, 2: 3, 3: 1}[pattern]
        sides = [(w, loser) if 0 in w else (loser, w) for w, loser in spec.matches]
        assert all(len(side) == size for pair in sides for side in pair)
        assert all(not set(a) & set(b) for a, b in sides)
        own, other = ({pair[i] for pair in sides} for i in (0, 1))
        assert (len(own) > 1) == (partners == 1 and size > 1)
        assert (len(other) > 1) == (rotation == 0 or (partners == 1 and size == 1))
        assert {p for pair in sides for side in pair for p in side} == set(range(len(spec.players)))


def simulated(spec: Contests, count: int) -> list[np.ndarray]:
    """The three labels by weighting, straight from the published description, in numpy."""
    rng = np.random.default_rng(5)

    def mixture(means: list[float], which: np.ndarray) -> np.ndarray:
        return rng.normal(np.array(means)[which], 10.0)

    sort = rng.choice(3, size=(len(spec.players), count), p=[0.33, 0.33, 0.34])
    strength = mixture([80, 100, 140], sort)

    def effort(player: int) -> np.ndarray:
        s = strength[player][:, None]
        strong, weak, usual = [0.05, 0.15, 0.8], [0.8, 0.15, 0.05], [0.2, 0.6, 0.2]
        edges = np.cumsum(np.where(s > 120, strong, np.where(s < 80, weak, usual)), axis=1)
        which = (rng.random((count, 1)) > edges[:, :2]).sum(axis=1)
        return np.clip(mixture([30, 60, 90], which), 0, 100)

    def score(team: tuple[int, ...], efforts: list[np.ndarray]) -> np.ndarray:
        parts = [strength[p] * e / 100 for p, e in zip(team, efforts, strict=True)]
        return np.mean(parts, axis=0)

    logw, asked = np.zeros(count), np.zeros(count)
    for number, (winners, losers) in enumerate(spec.matches):
        drawn = [[effort(p) for p in team] for team in (winners, losers)]
        gap = score(winners, drawn[0]) - score(losers, drawn[1])
        logw += np.log(special.expit(gap / spec.temperature))
        if number == 0:
            side = 0 if 0 in winners else 1
            asked = drawn[side][(winners, losers)[side].index(0)]
    chance = np.zeros(count)
    for _ in range(spec.reruns):
        first, second = (score(team, [effort(p) for p in team]) for team in spec.upcoming)
        chance += 100 * special.expit((second - first) / spec.temperature) / spec.reruns
    below = stats.norm.cdf(strength[0][:, None], [80, 100, 140], 10) @ [0.33, 0.33, 0.34]
    w = np.exp(logw)
    answers = [rng.binomial(100, below), asked, chance]
    return [
        np.bincount(np.floor(x + 0.5).astype(int), weights=w, minlength=101) / w.sum()
        for x in answers
    ]


@pytest.mark.parametrize("motif", [(0, 0, 1), (3, 1, 0)])
def test_documents_mean_the_published_model(motif: tuple[int, int, int]) -> None:
    """Rank, effort and contest of the document against a simulation that shares no code with it."""
    spec = contests(motif, 2, 0)
    outcome = eager_route([prepare(document(spec))], 32768, LabelConfig())[0]
    for label, expected in zip(outcome.labels, simulated(spec, 1 << 17), strict=True):
        bins = np.arange(0, 100, 5)
        mine, right = (np.add.reduceat(p, bins) for p in (label.probs, expected))
        assert total_variation(mine, right) < 0.04
    mean = float(outcome.labels[2].probs @ np.arange(101))
    assert (mean < 50) == (motif[0] == 0)  # the chance is the second team's
