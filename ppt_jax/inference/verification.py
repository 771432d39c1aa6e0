"""Simulation-based calibration of a labelled corpus from its stored truths.

Where truth and observations were drawn together, the truth is one more draw from the posterior, so
a right label is a *calibrated forecast of its own truth*, whatever program and evidence it is of.
Four consequences are tested (Talts et al., arXiv 1804.06788; Modrak et al., arXiv 2211.02383):

- **answers**: the randomised place of the true answer in the label, ``F(t-) + V p(t)`` with
  ``V ~ U(0, 1)``, is uniform. Holds with atoms, lumps and ends of the range. A `rank` label is
  about the number beaten of 100 fresh draws, so that number is drawn at the true standing first.
- **ranks**: the stored mid-ranked posterior CDF at the truth is uniform where the asked quantity
  has no ties; finer than the answers.
- **score**: ``g(p(t))`` with ``g = log max(p, 0.001)`` has the expectation ``sum p g(p)`` that the
  label itself states.
- **evidence**: the place of the true answer in the label does not depend on the data. A label that
  is the *prior* passes every test above; here it fails, for where the data say "high" the truths
  lie high in it. What the data say comes from draws of the program alone, without any density: a
  regression of the asked quantity on the observed draws.

For `choice` there is also **reliability**: of options told 30 % likely, 30 % are true.

What none of this sees: an error of the program against the story; errors that cancel over the
scenarios of every group; an engine and a simulation that share a mistake (the truths come from the
same `simulate` module as the authors use); hard facts and `beats`, in the evidence test.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import os
import pathlib
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ppt_jax.errors import UserError
from ppt_jax.inference.cascade import Labelled
from ppt_jax.inference.job import read_labelled
from ppt_jax.inference.labels import DRAWN, SoftLabel, answer_count
from ppt_jax.inference.program import LoweringError, lower_prior
from ppt_jax.inference.shards import scan
from ppt_jax.inference.simulate import node_values
from ppt_jax.progress import Progress
from ppt_jax.scenario.document import Scenario, flat_name, observed_draw

Array = NDArray[np.float64]
SCORE_FLOOR = 1e-3
PRIOR_DRAWS = 512
OWN_FILES = ("rejects.jsonl",)


class VerificationError(UserError):
    """Labels and scenarios contradict each other."""


@dataclasses.dataclass(frozen=True)
class AskRow:
    """What the tests need of one ask.

    Attributes:
      scenario: index of its scenario; asks of one scenario are not independent.
      motif, kind, route: its groups.
      order: random number that decides which ask stands for its scenario.
      place: randomised place of the true answer in the label.
      rank: stored posterior CDF at the truth; None where it is unknown or the quantity has ties.
      surprise: score at the truth minus the label's expectation of it, and the variance and third
        central moment that the label gives it.
      leaning: what the data say, from 0 (low) to 1 (high); None where it was not simulated.
      options, answer: of a `choice`, the label and the true option.
    """

    scenario: int
    motif: str
    kind: str
    route: str
    order: float
    place: float
    rank: float | None
    surprise: tuple[float, float, float]
    leaning: float | None
    options: tuple[float, ...] = ()
    answer: int = 0


@dataclasses.dataclass(frozen=True, eq=False)
class Corpus:
    """The asks of a labelled corpus that can be tested, and what was left out.

    Attributes:
      asks: rows in the order of the shards.
      scenarios: scenarios that take part.
      left_out: reason -> scenarios.
      simulated: scenarios whose evidence was looked at.
    """

    asks: tuple[AskRow, ...]
    scenarios: int
    left_out: dict[str, int]
    simulated: int


def label_files(folder: str | os.PathLike[str]) -> list[pathlib.Path]:
    """The labelled shards of a folder, or the one file given.

    Raises:
      VerificationError: there are none.
    """
    path = pathlib.Path(folder)
    if path.is_file():
        return [path]
    found = sorted(one for one in path.glob("*.jsonl") if one.name not in OWN_FILES)
    if not found:
        what = "no such folder" if not path.exists() else "no labelled shards (*.jsonl)"
        hint = "; did you mean its folder labels/?" if (path / "labels").is_dir() else ""
        raise VerificationError(f"{path}: {what}; run launch.label first{hint}")
    return found


def check_labels(labelled: Labelled, source: str) -> None:
    """Refuses labels that do not belong to their scenario.

    Args:
      labelled: a scenario with its labels.
      source: the file, for the message.

    Raises:
      VerificationError: names file, scenario, ask and what is wrong.
    """
    scenario, labels = labelled.scenario, labelled.labels
    where = f"{source}: {scenario.id}"
    asks, found = [ask.id for ask in scenario.ask], [label.ask_id for label in labels]
    if asks != found:
        raise VerificationError(f"{where}: labels of {found}, but the scenario asks {asks}")
    for ask, label in zip(scenario.ask, labels):
        place = f"{where}, ask {ask.id!r}"
        if ask.kind != label.kind:
            raise VerificationError(f"{place}: a label of kind {label.kind}, the ask is {ask.kind}")
        count = answer_count(scenario, ask)
        if label.probs.shape != (count,):
            raise VerificationError(f"{place}: {len(label.probs)} probabilities, answers: {count}")
        total = float(label.probs.sum())
        if not (np.isfinite(label.probs).all() and (label.probs >= 0).all()):
            raise VerificationError(f"{place}: a probability is negative or not a number")
        if abs(total - 1.0) > 1e-6:
            raise VerificationError(f"{place}: the probabilities sum to {total:.8g}, not to 1")
        answer, rank = label.true_answer, label.true_rank
        if answer is not None and not 0 <= answer < count:
            raise VerificationError(f"{place}: true answer {answer}, answers: 0 to {count - 1}")
        if rank is not None and not 0 <= rank <= 1:
            raise VerificationError(f"{place}: true rank {rank} is not in [0, 1]")


def _place(label: SoftLabel, rng: np.random.Generator) -> tuple[float, int | None]:
    """The randomised place of the true answer, and that answer (None beyond the range)."""
    v, answer = float(rng.random()), label.true_answer
    inside = 1.0 - label.mass_below - label.mass_above
    if answer is None:
        below = label.true_rank is not None and label.true_rank <= 0.5
        return (v * label.mass_below if below else 1.0 - v * label.mass_above), None
    if label.kind == "rank":  # the stored answer is rounded: anywhere within half a step
        standing = min(max((answer + rng.random() - 0.5) / DRAWN, 0.0), 1.0)
        answer = int(rng.binomial(DRAWN, standing))
    before = float(label.probs[:answer].sum())
    place = label.mass_below + inside * (before + v * float(label.probs[answer]))
    return min(max(place, 0.0), 1.0), answer


def _surprise(probs: Array, answer: int | None) -> tuple[float, float, float]:
    """Score at the answer minus its expectation under the label, and that one's moments."""
    if answer is None:
        return 0.0, 0.0, 0.0
    scores = np.log(np.maximum(probs, SCORE_FLOOR))
    expected = float(probs @ scores)
    apart = scores - expected
    return float(apart[answer]), float(probs @ apart**2), float(probs @ apart**3)


def _ranked(values: Array, points: Array) -> Array:
    """Mid-ranks in (0, 1) of points among values."""
    values = np.sort(values)
    below = np.searchsorted(values, points, side="left")
    upto = np.searchsorted(values, points, side="right")
    return np.asarray((below + upto + 1.0) / (2.0 * len(values) + 2.0), np.float64)


def leanings(
    scenario: Scenario, rng: np.random.Generator
) -> tuple[list[float | None], list[bool], list[float]]:
    """What the observed draws say of each ask, by simulation of the program alone.

    Draws the program's prior predictive, regresses the ranks of each asked quantity on the ranks of
    the observed draws (ridge), and ranks the prediction at the real observations among the
    predictions at the simulated ones. Any function of the data would do for the test; this one is
    strong because it points the way the posterior moves.

    Args:
      scenario: a document with simulated evidence.
      rng: source of randomness.

    Returns:
      Per ask the leaning in (0, 1), None where nothing observed moves it; whether the quantity has
      ties; and its value at the stored truth.
    """
    program = lower_prior(scenario)
    values = node_values(program.nodes, rng, PRIOR_DRAWS)
    seen, actual = [], []
    for given in scenario.given:
        found = observed_draw(scenario, given.formula)
        if found is None:
            continue
        name = flat_name(found[0].name, found[1])
        drawn = np.broadcast_to(values[program.names[name]], (PRIOR_DRAWS,))
        if np.isfinite(drawn).all() and np.ptp(drawn) > 0:
            seen.append(drawn)
            actual.append(float(scenario.truth[name]))
    fixed = {column: scenario.truth[name] for column, name in enumerate(program.latents)}
    at_truth = node_values(program.nodes, np.zeros((len(program.latents), 1)), 1, fixed)
    tied: list[bool] = []
    lean: list[float | None] = []
    features_PF = np.stack([_ranked(y, y) for y in seen], axis=1) - 0.5 if seen else None
    point_F = np.array([_ranked(y, np.array([c]))[0] for y, c in zip(seen, actual)]) - 0.5
    for number in program.asks:
        drawn = np.broadcast_to(np.asarray(values[number], np.float64), (PRIOR_DRAWS,))
        tied.append(len(np.unique(drawn)) < 0.98 * PRIOR_DRAWS)
        if features_PF is None or not np.isfinite(drawn).all() or np.ptp(drawn) == 0:
            lean.append(None)
            continue
        goal_P = _ranked(drawn, drawn) - 0.5
        gram = features_PF.T @ features_PF + np.eye(features_PF.shape[1])
        weight_F = np.linalg.solve(gram, features_PF.T @ goal_P)
        told_P = features_PF @ weight_F
        flat = np.ptp(told_P) < 1e-9
        lean.append(None if flat else float(_ranked(told_P, np.array([point_F @ weight_F]))[0]))
    truths = [float(np.broadcast_to(at_truth[number], (1,))[0]) for number in program.asks]
    return lean, tied, truths


def _check_truths(labelled: Labelled, truths: Sequence[float], source: str) -> None:
    """Refuses a stored true answer that the stored truth does not give."""
    for ask, label, truth in zip(labelled.scenario.ask, labelled.labels, truths):
        if ask.kind == "rank" or label.true_answer is None or not math.isfinite(truth):
            continue
        scale = {"value": 100.0 / (ask.high - ask.low), "chance": 100.0}.get(ask.kind, 1.0)
        low = ask.low if ask.kind == "value" else 0.0
        told = (truth - low) * scale
        slack = 0.5 if ask.kind == "choice" else 0.51 + 1e-4 * abs(told)
        if abs(told - label.true_answer) > slack:
            raise VerificationError(
                f"{source}: {labelled.scenario.id}, ask {ask.id!r}: true answer "
                f"{label.true_answer}, but the stored truth gives {told:.4g}"
            )


def _scenario_rng(scenario_id: str, seed: int) -> np.random.Generator:
    digest = hashlib.sha256(scenario_id.encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])


def _left_out(labelled: Labelled) -> str:
    scenario = labelled.scenario
    if scenario.evidence == "chosen":
        return "evidence was chosen, not simulated"
    if scenario.evidence != "simulated":
        return "evidence is not said to be simulated"
    if not scenario.truth or any(label.true_rank is None for label in labelled.labels):
        return "no stored truth"
    return ""


def read_corpus(
    folder: str | os.PathLike[str],
    *,
    seed: int = 0,
    prior_scenarios: int = 4000,
    silent: bool = True,
) -> Corpus:
    """Reads a labelled corpus and reduces each ask to what the tests need.

    Args:
      folder: the labelled shards, or one file.
      seed: of the randomised places; with the scenario's id it decides them.
      prior_scenarios: greatest number of scenarios whose priors are simulated for the tests of
        ranks and evidence; they are spread over the corpus.
      silent: no progress.

    Returns:
      The rows.

    Raises:
      VerificationError: labels contradict their scenario; a scenario comes twice.
      UserError: a file cannot be read.
    """
    files = label_files(folder)
    total = sum(scan(path).lines for path in files)
    share = min(prior_scenarios / max(total, 1), 1.0)
    rows: list[AskRow] = []
    left: Counter[str] = Counter()
    seen: dict[str, str] = {}
    count = simulated = 0
    with Progress("verify", total, "scenario", silent=silent) as bar:
        for source, labelled in _rows(files):
            bar.advance()
            scenario = labelled.scenario
            if scenario.id in seen:
                first = seen[scenario.id]
                raise VerificationError(f"{source}: {scenario.id} comes twice, first in {first}")
            seen[scenario.id] = source
            check_labels(labelled, source)
            why = _left_out(labelled)
            if why:
                left[why] += 1
                continue
            rng = _scenario_rng(scenario.id, seed)
            asks = len(scenario.ask)
            order, looked = rng.random(asks), float(rng.random()) < share
            places = [_place(label, rng) for label in labelled.labels]
            lean: Sequence[float | None] = [None] * asks
            tied: Sequence[bool] = [True] * asks
            if looked:
                try:
                    lean, tied, truths = leanings(scenario, rng)
                except (LoweringError, KeyError) as error:
                    raise VerificationError(f"{source}: {scenario.id}: {error}") from error
                _check_truths(labelled, truths, source)
                simulated += 1
            for at, (label, (place, answer)) in enumerate(zip(labelled.labels, places)):
                choice = label.kind == "choice" and answer is not None
                rows.append(
                    AskRow(
                        scenario=count,
                        motif=scenario.motif,
                        kind=label.kind,
                        route=label.route,
                        order=float(order[at]),
                        place=place,
                        rank=None if tied[at] or label.kind == "choice" else label.true_rank,
                        surprise=_surprise(label.probs, answer),
                        leaning=lean[at],
                        options=tuple(map(float, label.probs)) if choice else (),
                        answer=answer if choice and answer is not None else 0,
                    )
                )
            count += 1
    if not rows:
        reasons = "; ".join(f"{n} scenarios: {reason}" for reason, n in left.items()) or "no labels"
        raise VerificationError(f"{folder}: nothing to verify ({reasons})")
    return Corpus(tuple(rows), count, dict(sorted(left.items())), simulated)


def _rows(files: Sequence[pathlib.Path]) -> Iterator[tuple[str, Labelled]]:
    for path in files:
        for labelled in read_labelled(path):
            yield str(path), labelled
