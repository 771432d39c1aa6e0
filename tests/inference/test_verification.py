"""Verification finds wrong labels and leaves right ones alone, on corpora with known posteriors."""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from ppt_jax.inference.cascade import Labelled
from ppt_jax.inference.job import labelled_row
from ppt_jax.inference.labels import SoftLabel, rank_answers
from ppt_jax.inference.verdicts import Verification, reliability_of, score_test, verify
from ppt_jax.inference.verification import AskRow, VerificationError, leanings, read_corpus
from ppt_jax.scenario.document import parse_scenario
from tests.inference.corpus import ask, document, node, scenario

SIZE = 350
Change = Callable[[float, float], tuple[float, float]]


def histogram(mean: float, sd: float) -> np.ndarray:
    """A normal distribution on the answers 0..100 of the range 0..100, ends cut off."""
    edges = np.concatenate([np.arange(-0.5, 101.0)])
    mass = np.diff(stats.norm.cdf(edges, mean, sd))
    return mass / mass.sum()


def ranks_of(mean: float, sd: float) -> np.ndarray:
    """The rank label of a normal posterior under the prior N(50, 10)."""
    cells = np.linspace(0, 1, len(rank_answers()) + 1)
    mass = np.diff(stats.norm.cdf(stats.norm.ppf(cells, 50, 10), mean, sd))
    return mass @ rank_answers()


def label(kind: str, ask_id: str, probs: np.ndarray, answer: int, rank: float) -> SoftLabel:
    return SoftLabel(
        ask_id=ask_id,
        kind=kind,
        probs=probs,
        prior_probs=np.full(len(probs), 1 / len(probs)),
        route="table",
        ess=1000.0,
        error=0.01,
        error_101=0.02,
        information=0.5,
        mass_below=0.0,
        mass_above=0.0,
        true_answer=answer,
        true_rank=rank,
    )


def case(number: int, change: Change) -> Labelled:
    """x ~ N(50, 10), seen twice with noise 6; the posterior is N(mean, sd) before the change."""
    rng = np.random.default_rng([5, number])
    x = rng.normal(50, 10)
    seen = np.round(rng.normal(x, 6, size=2), 6)
    precision = 1 / 10**2 + 2 / 6**2
    mean, sd = change((50 / 10**2 + seen.sum() / 6**2) / precision, precision**-0.5)
    truth = {"x": float(x), "a": float(seen[0]), "b": float(seen[1])}
    parsed = parse_scenario(
        document(
            [
                node("x", "normal(mean=50, sd=10)"),
                node("a", "normal(mean=x, sd=6)"),
                node("b", "normal(mean=x, sd=6)"),
            ],
            [f"a == {seen[0]:.8g}", f"b == {seen[1]:.8g}"],
            [
                ask("value", "x", low=0, high=100),
                ask("rank", "x"),
                ask("choice", "x > 52"),
            ],
            name=f"case-{number}",
            truth=truth,
            evidence="simulated",
        )
    )
    rank = float(stats.norm.cdf(x, mean, sd))
    yes = float(stats.norm.sf(52, mean, sd))
    standing = round(100 * float(stats.norm.cdf(x, 50, 10)))
    high = int(x > 52)
    labels = (
        label("value", "q1", histogram(mean, sd), math.floor(x + 0.5), rank),
        label("rank", "q2", ranks_of(mean, sd), standing, rank),
        label("choice", "q3", np.array([1 - yes, yes]), high, 0.5 * yes if high else 1 - yes / 2),
    )
    return Labelled(parsed, labels, 0.0, "s", 8192)


def write(folder: pathlib.Path, change: Change, size: int = SIZE) -> pathlib.Path:
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "train-00000-of-00001.jsonl", "w") as file:
        for number in range(size):
            file.write(json.dumps(labelled_row(case(number, change))) + "\n")
    return folder


def found(tmp_path: pathlib.Path, change: Change) -> Verification:
    return verify(read_corpus(write(tmp_path, change)), alpha=0.01)


def test_right_labels_pass_every_test(tmp_path: pathlib.Path) -> None:
    result = found(tmp_path, lambda mean, sd: (mean, sd))
    assert result.alarms == [], result.verdict
    assert {one.test for one in result.tests} == {
        *("answers", "ranks", "score", "evidence", "reliability")
    }
    assert {one.group for one in result.tests} == {
        *("all", "kind value", "kind rank", "kind choice", "route table", "motif test")
    }
    assert result.corpus.scenarios == SIZE
    assert result.verdict.startswith(f"no sign of miscalibration in {3 * SIZE:,} asks")
    json.dumps(result.to_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("change", "tests", "reads"),
    [
        (lambda mean, sd: (mean, sd / 2), {"answers", "ranks", "score"}, "too narrow"),
        (lambda mean, sd: (mean, sd * 2), {"answers", "ranks", "score"}, "too wide"),
        (lambda mean, sd: (mean + 0.6 * sd, sd), {"answers", "ranks"}, "truths lie too low"),
    ],
    ids=["half the spread", "double the spread", "shifted"],
)
def test_wrong_labels_are_found_and_described(
    change: Change, tests: set[str], reads: str, tmp_path: pathlib.Path
) -> None:
    result = found(tmp_path, change)
    assert tests <= {one.test for one in result.alarms}
    assert any(reads in one.reads for one in result.alarms if one.group == "kind value")
    assert result.verdict.startswith("ALARM")


def test_the_prior_as_label_is_found_by_its_evidence_alone(tmp_path: pathlib.Path) -> None:
    result = found(tmp_path, lambda mean, sd: (50.0, 10.0))
    assert {one.test for one in result.alarms} == {"evidence"}
    assert "too little of their evidence" in result.alarms[0].reads


def test_labels_that_trust_one_observation_too_much_are_found(tmp_path: pathlib.Path) -> None:
    result = found(tmp_path, lambda mean, sd: (50 + 1.35 * (mean - 50), sd))
    assert "evidence" in {one.test for one in result.alarms}
    assert any("too much of their evidence" in one.reads for one in result.alarms)


def rows(rng: np.random.Generator, size: int) -> list[AskRow]:
    """Rows of right labels, several dependent ones a scenario, with skewed scores and options."""
    made = []
    for number in range(size):
        shared = rng.random()
        for at in range(3):
            probs = rng.dirichlet(np.full(4, 0.4))
            answer = int(rng.choice(4, p=probs))
            scores = np.log(np.maximum(probs, 1e-3))
            apart = scores - probs @ scores
            made.append(
                AskRow(
                    scenario=number,
                    motif=f"m{number % 3}",
                    kind="choice",
                    route="exact",
                    order=rng.random(),
                    place=shared,
                    rank=shared,
                    surprise=(apart[answer], probs @ apart**2, probs @ apart**3),
                    leaning=float((shared + 0.37 + rng.random()) % 1.0) if at else None,
                    options=tuple(probs),
                    answer=answer,
                )
            )
    return made


def test_false_alarms_come_as_often_as_promised() -> None:
    rng = np.random.default_rng(8)
    from ppt_jax.inference.verification import Corpus

    repeats, level = 60, 0.1
    alarms = sum(
        bool(verify(Corpus(tuple(rows(rng, 99)), 99, {}, 99), level).alarms) for _ in range(repeats)
    )
    assert stats.binom.sf(alarms - 1, repeats, level) > 1e-3, alarms


def test_score_and_reliability_keep_their_level_one_by_one() -> None:
    rng = np.random.default_rng(4)
    scores, tables = [], []
    for _ in range(150):
        some = rows(rng, 40)[::3]
        scores.append(score_test(some)[0])
        tables.append(reliability_of(some, 0.05).p_value)
    for p_values in (np.array(scores), np.array(tables)):
        assert stats.binomtest(int((p_values < 0.1).sum()), 150, 0.1).pvalue > 1e-3


def test_reliability_counts_by_hand_and_finds_wrong_frequencies() -> None:
    rng = np.random.default_rng(2)
    base = rows(rng, 1)[0]
    told = rng.uniform(0.05, 0.95, size=800)
    right = (rng.random(800) < told).astype(int)
    bent = (rng.random(800) < 0.5 + 0.6 * (told - 0.5)).astype(int)

    def of(answers: np.ndarray) -> list[AskRow]:
        return [
            dataclasses.replace(base, scenario=i, options=(1 - p, p), answer=int(a))
            for i, (p, a) in enumerate(zip(told, answers))
        ]

    table = reliability_of(of(right), 0.01)
    inside = (told >= 0.3) & (told < 0.4)
    assert table.count_B[3] == inside.sum()
    assert table.expected_B[3] == pytest.approx(told[inside].mean())
    assert table.observed_B[3] == pytest.approx(right[inside].mean())
    assert table.p_value > 0.01
    assert ((table.low_B <= table.observed_B) & (table.observed_B <= table.high_B)).all()
    assert reliability_of(of(bent), 0.01).p_value < 1e-4


def test_leaning_follows_the_evidence_and_knows_ties() -> None:
    model = [
        node("x", "normal(mean=0, sd=1)"),
        node("n", "successes(n=3, p=sigmoid(x))"),
        node("y", "normal(mean=-2 * x, sd=0.5)"),
    ]
    asks = [ask("rank", "x"), ask("value", "n", low=0, high=3), ask("chance", "sigmoid(x)")]
    high, low = (
        leanings(
            scenario(model, [f"y == {y}"], asks, truth={"x": 0.3, "n": 2, "y": float(y)}),
            np.random.default_rng(0),
        )
        for y in ("-3", "3")
    )
    assert high[0][0] > 0.9
    assert low[0][0] < 0.1
    assert high[1] == [False, True, False]
    assert high[2] == pytest.approx([0.3, 2, 1 / (1 + math.exp(-0.3))])
    beats = scenario(model, ["beats(x, 0, noise=1)"], asks, truth={"x": 1.0, "n": 1, "y": 0.0})
    assert leanings(beats, np.random.default_rng(0))[0] == [None, None, None]


def broken(row: dict, what: str) -> None:
    labels = row["labels"]
    if what == "missing":
        del labels[1]
    elif what == "other id":
        labels[0]["ask_id"] = "q9"
    elif what == "length":
        labels[0]["probs"] = labels[0]["probs"][:-1]
    elif what == "sum":
        labels[0]["probs"][50] += 0.5
    elif what == "nan":
        labels[0]["probs"][50] = float("nan")
    elif what == "kind":
        labels[0]["kind"] = "chance"
    elif what == "truth":
        labels[0]["true_answer"] = (labels[0]["true_answer"] + 20) % 100
    elif what == "twice":
        row["scenario"]["id"] = "case-1"


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("missing", r"case-0: labels of \['q1', 'q3'\], but the scenario asks"),
        ("other id", r"labels of \['q9', 'q2', 'q3'\]"),
        ("length", r"ask 'q1': 100 probabilities, answers: 101"),
        ("sum", r"ask 'q1': the probabilities sum to 1\.5"),
        ("nan", r"ask 'q1': a probability is negative or not a number"),
        ("kind", r"ask 'q1': a label of kind chance, the ask is value"),
        ("truth", r"ask 'q1': true answer \d+, but the stored truth gives"),
        ("twice", r"case-1 comes twice"),
    ],
)
def test_contradictions_are_named(what: str, message: str, tmp_path: pathlib.Path) -> None:
    folder = write(tmp_path, lambda mean, sd: (mean, sd), size=2)
    path = folder / "train-00000-of-00001.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    broken(lines[0], what)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(VerificationError, match=message):
        read_corpus(folder)


def test_chosen_evidence_is_left_out_and_counted(tmp_path: pathlib.Path) -> None:
    folder = write(tmp_path, lambda mean, sd: (mean, sd), size=3)
    path = folder / "train-00000-of-00001.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[0]["scenario"]["evidence"] = "chosen"
    del lines[1]["scenario"]["evidence"]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    corpus = read_corpus(folder)
    assert corpus.scenarios == 1
    assert sorted(corpus.left_out.values()) == [1, 1]
    assert "too few for any test" in verify(corpus).verdict
    (tmp_path / "none").mkdir()
    with pytest.raises(VerificationError, match="no labelled shards"):
        read_corpus(tmp_path / "none")
