import numpy as np
import pytest

from ppt_jax.evaluation.benchmarks import protocol
from ppt_jax.evaluation.benchmarks.protocol import Benchmark, BenchmarkError, Question, Truth


def question(**fields) -> Question:
    given = {"id": "q", "cluster_id": "c", "kind": "chance", "question": "How likely?"}
    given |= {"truth": Truth(kind="outcome", answer=3)}
    return Question(**(given | fields))


def test_every_benchmark_is_found_and_has_what_it_needs():
    assert protocol.names() == (
        "choice_sets",
        "motifs",
        "olympics",
        "openestimate",
        "probability_words",
        "quite",
        "samplr",
        "teaching",
    )
    for name in protocol.names():
        assert callable(protocol.module_of(name).load)
        assert protocol.needs_data(name) == (name != "teaching")


def test_unknown_names_and_options_say_what_there_is(tmp_path):
    with pytest.raises(BenchmarkError, match="did you mean 'openestimate'"):
        protocol.load("openestimat", tmp_path)
    with pytest.raises(BenchmarkError, match="known: choice_sets"):
        protocol.load("zzz", tmp_path)
    with pytest.raises(BenchmarkError, match="unknown option 'directory'; known: premises"):
        protocol.load_options("quite", {"directory": "x"})
    with pytest.raises(BenchmarkError, match="needs the directory"):
        protocol.load("quite")


def test_questions_become_items():
    probs = np.full(101, 1 / 101)
    truth = Truth(kind="human", probs_K=probs, value=50.5, n_draws=20)
    target = question(truth=truth, story="A story.").target("part", "words")
    assert (target.split, target.task, target.target_kind) == ("part", "words", "human")
    assert (target.target_value, target.n_draws) == (50.5, 20)
    outcome = question().target("part")
    assert outcome.true_answer == 3
    assert outcome.support == tuple(str(k) for k in range(101))
    choice = question(kind="choice", options=("A", "B"), truth=Truth(kind="outcome", answer=1))
    item = choice.target("part").answered("m", np.log([0.25, 0.75]))
    assert item.probs_K[item.true_answer] == pytest.approx(0.75)


def test_questions_that_fit_nothing_are_refused():
    with pytest.raises(BenchmarkError, match="kind 'guess'"):
        question(kind="guess")
    with pytest.raises(BenchmarkError, match="3 probabilities for 101"):
        question(truth=Truth(kind="posterior", probs_K=np.full(3, 1 / 3)))
    with pytest.raises(BenchmarkError, match="'number' has no list"):
        question(kind="number").target("part")
    with pytest.raises(BenchmarkError, match="neither answer nor"):
        question(truth=Truth(kind="outcome")).target("part")
    with pytest.raises(BenchmarkError, match="occurs twice"):
        Benchmark(name="x", questions=(question(), question()), score_recordings=None)


def test_prompts_read_as_one_text():
    assert question(scale="Chance from 0 to 100.").prompt.startswith("Answer in angle brackets.")
    free = question(kind="number", story="Facts.", scale="P = NUMBER")
    assert free.prompt == "Facts.\nHow likely?\nP = NUMBER"


def test_a_number_for_a_text_option_is_the_text(tmp_path):
    (tmp_path / "2.csv").write_text("ID,querydetail,estimate\n1,icy,5\n2,icy,7\n")
    assert len(protocol.load("samplr", tmp_path, experiment=2).questions) == 1
