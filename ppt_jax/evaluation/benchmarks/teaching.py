"""Bayesian Teaching: guess a user's next choice among three flights from the choices before.

The rules (Qiu et al., arXiv 2503.17523): a user has one weight in {-1, -1/2, 0, 1/2, 1} for each of
four features (all 624 vectors but zero), and takes the flight with the largest sum of weight x
feature. Features are scaled to 0..1 in steps of 0.1 (stops 0, 1/2, 1). Five rounds of three
flights; the first four are shown with the user's choices. The exact Bayesian answer, with a uniform
prior over the users, is the soft target: every user who would have chosen so far as seen keeps
their weight, and tied flights are equally likely choices.

`load` regenerates flights from these rules; given the authors' files (``flight*.jsonl``), it reads
those instead. Everything is computed in whole numbers, so ties are exact.

Axes: U users, F features, K flights of a round.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from ppt_jax.evaluation.benchmarks.choice_scores import score_choices
from ppt_jax.evaluation.benchmarks.files import expand
from ppt_jax.evaluation.benchmarks.protocol import (
    Benchmark,
    BenchmarkError,
    Paths,
    Question,
    Scored,
    ScoreSettings,
    Truth,
)
from ppt_jax.evaluation.benchmarks.recordings import read_recordings
from ppt_jax.storage import read_jsonl

NAME = "teaching"
WEIGHTS = (-2, -1, 0, 1, 2)  # in halves
ROUNDS, FLIGHTS = 5, 3
_LEVELS = (range(11), range(11), (0, 5, 10), range(11))  # in tenths
_WORDS = {
    -2: "strongly prefers low",
    -1: "somewhat prefers low",
    0: "does not care about",
    1: "somewhat prefers high",
    2: "strongly prefers high",
}


@dataclasses.dataclass(frozen=True, eq=False)
class Session:
    """One user's rounds.

    Attributes:
      id: unique name.
      features_RKF: features of the flights in tenths, whole numbers.
      texts: the flights of every round as told.
      choices: index of the chosen flight in every round.
    """

    id: str
    features_RKF: np.ndarray
    texts: tuple[tuple[str, ...], ...]
    choices: tuple[int, ...]


@functools.cache
def users(features: int = 4) -> np.ndarray:
    """All weight vectors but zero [U, F], in halves, in lexicographic order (624 for four)."""
    rows = [w for w in itertools.product(WEIGHTS, repeat=features) if any(w)]
    found = np.array(rows, dtype=np.int64)
    found.flags.writeable = False
    return found


def choice_shares(weights_UF: np.ndarray, flights_KF: np.ndarray) -> np.ndarray:
    """Probability [U, K] that each user takes each flight: equal shares among the best."""
    utility_UK = weights_UF @ flights_KF.T
    best_UK = utility_UK == utility_UK.max(axis=1, keepdims=True)
    return best_UK / best_UK.sum(axis=1, keepdims=True)


def posterior_choice(
    features_RKF: Sequence[np.ndarray] | np.ndarray,
    choices: Sequence[int],
    flights_KF: np.ndarray,
    weights_UF: np.ndarray | None = None,
) -> np.ndarray:
    """Exact predictive probabilities [K] of the next choice, by enumeration of all users.

    ``P(k | choices) = sum_u P(k | u) prod_r P(choice_r | u) / sum_u prod_r P(choice_r | u)``.

    Args:
      features_RKF: flights of the rounds seen, in tenths.
      choices: chosen flight of each of those rounds.
      flights_KF: the flights on offer now.
      weights_UF: the users; `users` of the same number of features when left out.

    Raises:
      BenchmarkError: no user would have chosen so.
    """
    flights_KF = np.asarray(flights_KF)
    weights = users(flights_KF.shape[1]) if weights_UF is None else weights_UF
    likelihood_U = np.ones(len(weights))
    for seen_KF, choice in zip(features_RKF, choices):
        likelihood_U = likelihood_U * choice_shares(weights, np.asarray(seen_KF))[:, choice]
    total = likelihood_U.sum()
    if total <= 0:
        raise BenchmarkError("no user with linear preferences would have made these choices")
    return likelihood_U @ choice_shares(weights, flights_KF) / total


def flight_text(features_F: Sequence[int]) -> str:
    """A flight in words from its four features in tenths.

    Departure 06:00 AM to 10:00 PM, duration 30 min to 20 hr, 0 to 2 stops, price $100 to $1000.

    Example:
      >>> flight_text([5, 0, 5, 3])
      'departure time: 02:00 PM, duration: 30 min, number of stops: 1, price: $370'
    """
    departure, duration, stops, price = (int(x) for x in features_F)
    clock = 6 * 60 + departure * 96
    hour, minute = divmod(clock, 60)
    half = "AM" if hour < 12 else "PM"
    hours, minutes = divmod(30 + duration * 117, 60)
    length = " ".join(
        part for part, n in ((f"{hours} hr", hours), (f"{minutes} min", minutes)) if n
    )
    return (
        f"departure time: {(hour - 1) % 12 + 1:02d}:{minute:02d} {half}, duration: {length}, "
        f"number of stops: {stops // 5}, price: ${100 + 90 * price}"
    )


def generate(seed: int = 0, rounds: int = ROUNDS) -> list[Session]:
    """One session for each of the 624 users, flights drawn uniformly and all different in a round.

    Args:
      seed: of the flights and of the choices among tied flights.
      rounds: rounds per user.
    """
    rng = np.random.default_rng(seed)
    sessions = []
    for number, weights_F in enumerate(users()):
        rows, texts, choices = [], [], []
        for _ in range(rounds):
            flights: list[tuple[int, ...]] = []
            while len(flights) < FLIGHTS:
                flight = tuple(int(rng.choice(list(levels))) for levels in _LEVELS)
                if flight not in flights:
                    flights.append(flight)
            share_K = choice_shares(weights_F[None], np.array(flights))[0]
            choices.append(int(rng.choice(FLIGHTS, p=share_K)))
            rows.append(flights)
            texts.append(tuple(f"Flight {k + 1}: {flight_text(f)}" for k, f in enumerate(flights)))
        sessions.append(Session(f"user{number}", np.array(rows), tuple(texts), tuple(choices)))
    return sessions


def read_sessions(path: pathlib.Path) -> list[Session]:
    """Sessions of an authors' file: ``rounds`` with ``options`` and ``user_idx``, ``rounds_numpy``.

    Raises:
      BenchmarkError: a line lacks a field, or its features are off the grid.
    """
    sessions = []
    for line, row in read_jsonl(path):
        where = f"{path}, line {line}"
        try:
            tenths = 10 * np.asarray(row["rounds_numpy"], np.float64)
            features = np.rint(tenths).astype(np.int64)
            texts = tuple(tuple(str(o) for o in r["options"]) for r in row["rounds"])
            choices = tuple(int(r["user_idx"]) for r in row["rounds"])
            name = f"{path.stem}-{row['idx']}"
        except (KeyError, TypeError, ValueError) as error:
            raise BenchmarkError(f"{where}: field {error} is missing or odd") from None
        if features.ndim != 3 or np.abs(tenths - features).max(initial=0) > 1e-6:
            raise BenchmarkError(f"{where}: rounds_numpy must hold multiples of 0.1")
        sizes = [len(options) for options in texts]
        if len(texts) != len(features) or any(size != features.shape[1] for size in sizes):
            raise BenchmarkError(f"{where}: rounds and rounds_numpy do not fit each other")
        if any(not 0 <= choice < features.shape[1] for choice in choices):
            raise BenchmarkError(f"{where}: user_idx is none of the options")
        sessions.append(Session(name, features, texts, choices))
    return sessions


def load(
    directory: pathlib.Path | None = None,
    *,
    rounds: str = "last",
    guided: int = 0,
    seed: int = 0,
) -> Benchmark:
    """Loads the authors' files of a directory (or one file), or regenerates flights.

    Args:
      directory: folder of ``*.jsonl`` files or one file; left out: flights made from the rules.
      rounds: ``last`` (predict the last round) or ``all`` (one question a round).
      guided: 1 to list the features and the five levels of preference in the story.
      seed: of regenerated flights.

    Raises:
      BenchmarkError: unknown option, broken files.
    """
    if rounds not in ("last", "all"):
        raise BenchmarkError(f"{NAME}: rounds {rounds!r} is neither 'last' nor 'all'")
    if directory is None:
        sessions = generate(seed)
    else:
        files = expand([directory], (".jsonl",))
        sessions = [session for path in files for session in read_sessions(path)]
    questions: list[Question] = []
    for session in sessions:
        first = len(session.choices) - 1 if rounds == "last" else 0
        for at in range(first, len(session.choices)):
            questions.append(_question(session, at, bool(guided)))
    reference = {q.id: q.truth.probs_K for q in questions if q.truth.probs_K is not None}

    def score(paths: Paths, settings: ScoreSettings) -> Scored:
        recordings = read_recordings(paths, questions)
        return score_choices(NAME, questions, recordings, settings, {"exact posterior": reference})

    return Benchmark(name=NAME, questions=tuple(questions), score_recordings=score)


def _question(session: Session, at: int, guided: bool) -> Question:
    lines = ["A user books flights. In each round they see three flights and choose one."]
    if guided:
        lines += [
            "The user cares about departure time, duration, number of stops and price, and always "
            "chooses the flight that suits them best. For each of the four, a user "
            + ", ".join(_WORDS[w] for w in WEIGHTS[:-1])
            + f", or {_WORDS[WEIGHTS[-1]]} values.",
        ]
    for number in range(at):
        lines += [f"\nRound {number + 1}", *session.texts[number]]
        lines.append(f"The user chose flight {session.choices[number] + 1}.")
    lines += [f"\nRound {at + 1}", *session.texts[at]]
    size = session.features_RKF.shape[1]
    probs_K = posterior_choice(
        session.features_RKF[:at], session.choices[:at], session.features_RKF[at]
    )
    options = tuple(str(k + 1) for k in range(size))
    return Question(
        id=f"{session.id}/round{at + 1}",
        cluster_id=session.id,
        kind="choice",
        story="\n".join(lines),
        question="Which of these flights does the user choose?",
        scale=f"Options: {', '.join(options)}.",
        options=options,
        option_texts=session.texts[at],
        truth=Truth(kind="posterior", probs_K=probs_K, answer=session.choices[at]),
        subset=f"round {at + 1}",
    )


def to_json(session: Session, number: int) -> dict[str, Any]:
    """A session as a line of the authors' layout."""
    return {
        "idx": number,
        "rounds": [
            {"options": list(texts), "user_idx": choice}
            for texts, choice in zip(session.texts, session.choices)
        ],
        "features": ["departure_time", "duration", "number_of_stops", "price"],
        "rounds_numpy": (session.features_RKF / 10).tolist(),
    }


def entropy(probs_K: np.ndarray) -> float:
    """Shannon entropy in nats of an exact predictive distribution."""
    return float(-sum(p * math.log(p) for p in probs_K.tolist() if p > 0))
