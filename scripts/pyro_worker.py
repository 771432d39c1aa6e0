"""The published sports programs in Pyro; run by `scripts.benchmark_pyro` with another Python.

Two ways of the same programs: idiomatic (scalar sample statements, one trace at a time, rejection
from the prior) and by hand with all particles in one tensor (importance weighting).

    python scripts/pyro_worker.py specs.json results.json

Needs torch and pyro-ppl, and nothing of ppt_jax.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from typing import Any

import pyro
import pyro.distributions as dist
import torch

STRENGTHS = torch.tensor([80.0, 100.0, 140.0])
SORTS = torch.tensor([0.33, 0.33, 0.34])
EFFORTS = torch.tensor([30.0, 60.0, 90.0])
STRONG = torch.tensor([0.05, 0.15, 0.80])
WEAK = torch.tensor([0.80, 0.15, 0.05])
USUAL = torch.tensor([0.20, 0.60, 0.20])
SD = torch.tensor(10.0)
DRAWN = 100
ANSWERS = 101


class Trace:
    """One execution of a program by scalar sample statements, as an author would write it."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        self.strengths: dict[Any, torch.Tensor] = {}
        self.efforts: dict[tuple[Any, int], torch.Tensor] = {}

    def strength(self, player: Any) -> torch.Tensor:
        if player not in self.strengths:
            sort = pyro.sample(f"sort_{player}", dist.Categorical(SORTS))
            self.strengths[player] = pyro.sample(
                f"strength_{player}", dist.Normal(STRENGTHS[sort], SD)
            )
        return self.strengths[player]

    def effort(self, match: Any, player: int) -> torch.Tensor:
        key = (match, player)
        if key not in self.efforts:
            s = self.strength(player)
            weights = STRONG if s > 120 else WEAK if s < 80 else USUAL
            mood = pyro.sample(f"mood_{match}_{player}", dist.Categorical(weights))
            raw = pyro.sample(f"raw_{match}_{player}", dist.Normal(EFFORTS[mood], SD))
            self.efforts[key] = raw.clamp(0.0, 100.0)
        return self.efforts[key]

    def score(self, match: Any, team: list[int]) -> torch.Tensor:
        parts = [self.strength(p) * self.effort(match, p) / 100 for p in team]
        return torch.stack(parts).mean()

    def log_likelihood(self) -> torch.Tensor:
        total = torch.zeros(())
        for match, (winners, losers) in enumerate(self.spec["matches"]):
            gap = self.score(match, winners) - self.score(match, losers)
            total = total + torch.nn.functional.logsigmoid(gap / self.spec["temperature"])
        return total

    def answers(self) -> tuple[int, int, int]:
        """Rank among fresh players, effort in the first match, chance of the second team."""
        focal = self.strength(0)
        fresh = [self.strength(("fresh", i)) for i in range(DRAWN)]
        rank = int(sum(bool(s < focal) for s in fresh))
        first, second = self.spec["upcoming"]
        chances = []
        for rerun in range(self.spec["reruns"]):
            gap = self.score(("next", rerun), second) - self.score(("next", rerun), first)
            chances.append(torch.sigmoid(gap / self.spec["temperature"]))
        chance = 100 * torch.stack(chances).mean()
        return rank, answer(self.effort(0, 0)), answer(chance)


def answer(x: torch.Tensor) -> int:
    return int(torch.floor(x + 0.5).clamp(0, 100))


def reject(spec: dict[str, Any], wanted: int, limit: float) -> dict[str, Any]:
    """Rejection from the prior until enough draws are accepted or the time is over."""
    start, tries, accepted = time.perf_counter(), 0, 0
    histogram = torch.zeros(3, ANSWERS)
    while accepted < wanted and time.perf_counter() - start < limit:
        trace = Trace(spec)
        tries += 1
        if torch.rand(()).log() < trace.log_likelihood():
            accepted += 1
            for place, k in enumerate(trace.answers()):
                histogram[place, k] += 1
    seconds = time.perf_counter() - start
    return {"id": spec["id"], "tries": tries, "accepted": accepted, "seconds": seconds}


def vectorised(spec: dict[str, Any], count: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Log-weights [N] and answers [N] of all particles at once, as written by hand."""
    with pyro.plate("particles", count):
        players = len(spec["players"])

        def strength(name: str, *shape: int) -> torch.Tensor:
            sort = pyro.sample(f"sort_{name}", dist.Categorical(SORTS).expand((*shape, count)))
            return pyro.sample(f"strength_{name}", dist.Normal(STRENGTHS[sort], SD))

        with pyro.plate("players", players, dim=-2):
            strengths = strength("players", players)

        def performance(match: str, team: list[int], *times: int) -> Any:
            s = strengths[team].expand(*times, len(team), count)
            weights = torch.where(
                (s > 120)[..., None], STRONG, torch.where((s < 80)[..., None], WEAK, USUAL)
            )
            with contextlib.ExitStack() as plates:
                plates.enter_context(pyro.plate(f"team_{match}", len(team), dim=-2))
                for reruns in times:
                    plates.enter_context(pyro.plate(f"reruns_{match}", reruns, dim=-3))
                mood = pyro.sample(f"mood_{match}", dist.Categorical(weights))
                raw = pyro.sample(f"raw_{match}", dist.Normal(EFFORTS[mood], SD))
            effort = raw.clamp(0.0, 100.0)
            return (s * effort / 100).mean(-2), effort

        logw = torch.zeros(count)
        asked = torch.zeros(count)
        for m, (winners, losers) in enumerate(spec["matches"]):
            won, won_effort = performance(f"w{m}", winners)
            lost, lost_effort = performance(f"l{m}", losers)
            logw = logw + torch.nn.functional.logsigmoid((won - lost) / spec["temperature"])
            if m == 0:
                team, effort = (winners, won_effort) if 0 in winners else (losers, lost_effort)
                asked = effort[team.index(0)]
        first, _ = performance("first", spec["upcoming"][0], spec["reruns"])
        second, _ = performance("second", spec["upcoming"][1], spec["reruns"])
        chance = torch.sigmoid((second - first) / spec["temperature"]).mean(0)
        below = (SORTS[:, None] * dist.Normal(STRENGTHS[:, None], SD).cdf(strengths[0])).sum(0)
        rank = dist.Binomial(DRAWN, below.clamp(0, 1)).sample()
    return logw, [rank, asked, 100 * chance]


def weighted(spec: dict[str, Any], count: int) -> torch.Tensor:
    """The three labels [3, 101] by importance weighting."""
    with torch.no_grad():
        logw, values = vectorised(spec, count)
        w = torch.exp(logw - logw.max())
        w = w / w.sum()
        labels = torch.zeros(3, ANSWERS)
        for row, x in zip(labels, values):
            row.index_add_(0, torch.floor(x + 0.5).clamp(0, 100).long(), w)
    return labels


def thousand(spec: dict[str, Any], wanted: int) -> torch.Tensor:
    """Labels of that many accepted draws, drawn quickly: what rejection would have given."""
    kept: list[list[torch.Tensor]] = [[], [], []]
    count = 0
    with torch.no_grad():
        while count < wanted:
            logw, values = vectorised(spec, 1 << 15)
            chosen = torch.rand(len(logw)).log() < logw
            count += int(chosen.sum())
            for rows, x in zip(kept, values):
                rows.append(x[chosen])
    labels = torch.zeros(3, ANSWERS)
    for row, parts in zip(labels, kept):
        answers = torch.floor(torch.cat(parts)[:wanted] + 0.5).clamp(0, 100).long()
        row += torch.bincount(answers, minlength=ANSWERS) / wanted
    return labels


def main(request_path: str, result_path: str) -> None:
    """Does what the request asks for and writes times and labels."""
    with open(request_path, encoding="utf-8") as file:
        request = json.load(file)
    torch.set_num_threads(request["threads"])
    torch.manual_seed(request["seed"])
    pyro.enable_validation(False)  # checks of arguments take time that no answer needs
    result: dict[str, Any] = {"torch": torch.__version__, "pyro": pyro.__version__}
    specs = request["specs"]
    if "rejection" in request:
        wanted, limit = request["rejection"]["accepted"], request["rejection"]["seconds"]
        result["rejection"] = [reject(spec, wanted, limit) for spec in specs]
        result["thousand"] = [thousand(spec, wanted).tolist() for spec in specs]
    for count in request["particles"]:
        weighted(specs[0], count)
        rows = []
        for spec in specs:
            start = time.perf_counter()
            labels = weighted(spec, count)
            rows.append({"seconds": time.perf_counter() - start, "labels": labels.tolist()})
        result.setdefault("vectorised", {})[str(count)] = rows
    with open(result_path, "w", encoding="utf-8") as file:
        json.dump(result, file)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
