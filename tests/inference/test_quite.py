"""Evidence-query pairs of ProbLog networks: the QUITE corpus, and larger networks in its style.

The corpus is read from a ``shared/data/quite`` folder beside the repository, or from the folder
that ``QUITE_DIR`` names; without it those tests are skipped.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ppt_jax.inference.discrete_route import discrete_route
from ppt_jax.inference.network_queries import ProblogQueries, posterior, query_network
from ppt_jax.inference.routes import prepare
from ppt_jax.scenario.document import parse_scenario
from ppt_jax.scenario.networks.as_scenario import scenario_document
from ppt_jax.scenario.networks.network import Network, Variable
from ppt_jax.scenario.networks.problog_syntax import parse_problog
from scripts.quite_exact import answers, main

ROOT = Path(__file__).parents[2]
CORPUS = Path(os.environ.get("QUITE_DIR", ROOT.parent / "shared" / "data" / "quite"))
NETWORKS = sorted(path.stem for path in (CORPUS / "problog" / "premises").glob("*.pl"))

# Pairs whose stored answer is not what their own program says -> what the program says.
CONTRADICTED = {
    ("insurance1", 2): 0.000003,  # the row gives stolen 0.000003; stored 0
    ("insurance2", 15): 0.000015,  # accident mild: 0.00001 and 0.00002 a million; stored 0
    ("insurance2", 18): 0.000001,  # accident mild: 0.000001 a hundred thousand; stored 0
    ("insurance2", 22): 0.000035,  # accident moderate: 0.00003 and 0.00005; stored 0
    ("sachs1", 8): 0.3439,  # 0.3439::p38(average) :- pka(low), pkc(average); stored 0.3493
}


@pytest.mark.skipif(not NETWORKS, reason=f"no QUITE corpus at {CORPUS}")
@pytest.mark.parametrize("name", NETWORKS)
def test_stored_answers_of_the_corpus_are_reproduced(name: str) -> None:
    premises, queries = (
        str(CORPUS / "problog" / folder / f"{name}.pl")
        for folder in ("premises", "evidence_query_pairs")
    )
    pairs = json.loads((CORPUS / f"{name}.json").read_text(encoding="utf-8"))
    stored = [float(pair["answer"]) for pair in pairs["evidence_query_pairs"]]
    found = [-1.0 if a.probability is None else a.probability for a in answers(premises, queries)]
    assert len(found) == len(stored)
    for place, (mine, theirs) in enumerate(zip(found, stored)):
        assert mine == pytest.approx(CONTRADICTED.get((name, place), theirs), rel=0, abs=1e-6), (
            place
        )


# -- networks in the style of the corpus ---------------------------------------------------------


def random_network(count: int, reach: int, seed: int) -> Network:
    """Named as in the corpus: yes/no variables, and variables with two to five values."""
    rng = np.random.default_rng(seed)
    variables: list[Variable] = []
    for v in range(count):
        most = min(v, reach, int(rng.integers(0, 5)))
        chosen = rng.choice(np.arange(max(0, v - reach), v), most, replace=False)
        parents = tuple(sorted(int(p) for p in chosen))
        size = int(rng.integers(2, 6))
        binary = size == 2 and rng.random() < 0.8
        styles = (
            ["low", "high", "'<20\u00b0C'", "'13.0-14.9'", "'>= 5'"],
            ["1000", "0.5", "2", "-3", "x"],
        )
        states = ("no", "yes") if binary else tuple(styles[int(rng.integers(0, 2))][:size])
        shape = [len(variables[p].states) for p in parents]
        table = np.round(rng.dirichlet(np.ones(size), size=shape), 4)
        table[..., -1] = 1.0 - table[..., :-1].sum(axis=-1)
        table = np.maximum(table, 0.0) / np.maximum(table, 0.0).sum(axis=-1, keepdims=True)
        variables.append(Variable(f"node_{v}", states, parents, table))
    return Network("random", tuple(variables))


def atom(network: Network, v: int, state: int, negation: str) -> str:
    variable = network.variables[v]
    if variable.states == ("no", "yes"):
        return f"{variable.name}(patient)" if state else f"{negation}{variable.name}(patient)"
    return f"{variable.name}(patient, {variable.states[state]})"


def as_problog(network: Network, rng: np.random.Generator) -> str:
    """Every clause of a network, with the corpus' variants of writing and of order."""
    clauses: list[str] = []
    for v, variable in enumerate(network.variables):
        rows = list(np.ndindex(*variable.table.shape[:-1]))
        for row in rng.permutation(len(rows)):
            at = rows[row]
            heads = [
                f"{p!r}::{atom(network, v, s, '')}"
                for s, p in enumerate(variable.table[at].tolist())
                if variable.states != ("no", "yes") or s == 1
            ]
            negation = ("not ", "\\+ ", "\\+")[int(rng.integers(0, 3))]
            body = [atom(network, p, s, negation) for p, s in zip(variable.parents, at)]
            space = ("\n    ", " ")[int(rng.integers(0, 2))]
            tail = f" :-{space}{', '.join(rng.permutation(body))}" if body else ""
            clauses.append(f"% Premise {len(clauses)}\n{(';' + space).join(heads)}{tail}.\n")
    return "\n".join(clauses[i] for i in rng.permutation(len(clauses)))


def written(network: Network, seed: int, tmp_path: Path) -> tuple[Path, Path, list[float]]:
    """Both files of a network with random pairs, and the answers from its tables."""
    rng = np.random.default_rng(seed)
    net = query_network(network)
    blocks, right = [], []
    for number in range(12):
        target, *seen = (int(v) for v in rng.choice(len(network.variables), 5, replace=False))
        seen = seen[: int(rng.integers(0, 5))]
        evidence = {v: (int(rng.integers(0, len(network.variables[v].states))),) for v in seen}
        state = int(rng.integers(0, len(network.variables[target].states)))
        lines = [f"% ID {number}", "% Evidences"]
        for place, (v, (s,)) in enumerate(evidence.items()):
            told = atom(network, v, s, "not ")
            form = (f"evidence({told}, true).", f"evidence(({told}),true).", f"evidence({told}).")
            lines += [f"% Evidence {place}", form[int(rng.integers(0, 3))]]
        asked = atom(network, target, state, ("not ", "\\+ ")[int(rng.integers(0, 2))])
        lines += [
            "% Query",
            (f"query({asked}).", f"query({asked}, true).")[int(rng.integers(0, 2))],
        ]
        blocks.append("\n".join(lines))
        found = posterior(net, target, evidence)
        right.append(-1.0 if found is None else float(found[state]))
    premises, queries = tmp_path / "net.pl", tmp_path / "pairs.pl"
    premises.write_text(as_problog(network, rng), encoding="utf-8")
    queries.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")
    return premises, queries, right


@pytest.mark.parametrize(("count", "reach"), [(5, 3), (8, 3), (37, 5), (60, 5)])
def test_unseen_networks_in_the_corpus_style(count: int, reach: int, tmp_path: Path) -> None:
    network = random_network(count, reach, seed=count)
    premises, queries, right = written(network, 1, tmp_path)
    found = [
        -1.0 if a.probability is None else a.probability
        for a in answers(str(premises), str(queries))
    ]
    np.testing.assert_allclose(found, right, rtol=0, atol=1e-9)


def test_posteriors_of_small_networks_are_sums_over_all_states() -> None:
    for seed in range(10):
        network = random_network(6, 4, seed)
        net = query_network(network)
        sizes = network.sizes
        joint = np.ones(sizes)
        for v, variable in enumerate(network.variables):
            for state in itertools.product(*map(range, sizes)):
                joint[state] *= variable.table[tuple(state[p] for p in (*variable.parents, v))]
        several = tuple(range(min(2, sizes[4])))
        for target, evidence in (
            (5, {0: (0,)}),
            (0, {5: (1,), 2: (0,)}),
            (3, {4: several}),
            (1, {1: (0,)}),
        ):
            part = joint.copy()
            for v, allowed in evidence.items():
                part *= np.isin(np.arange(sizes[v]), allowed).reshape(
                    [-1 if i == v else 1 for i in range(6)]
                )
            right = part.sum(axis=tuple(i for i in range(6) if i != target)) / part.sum()
            found = posterior(net, target, evidence)
            assert found is not None
            np.testing.assert_allclose(found, right, rtol=0, atol=1e-12)


def test_a_network_and_its_scenario_have_the_same_posterior() -> None:
    checked = 0
    for seed in range(6):
        network = random_network(7, 3, seed)
        plain = Network(
            "n",
            tuple(
                Variable(v.name, tuple(f"s {i}" for i in range(len(v.states))), v.parents, v.table)
                for v in network.variables
            ),
        )
        evidence = {"node_6": "s 0", "node_3": "s 1"}
        document = scenario_document(plain, evidence, ["node_0", "node_5"])
        outcome = discrete_route(prepare(parse_scenario(document)))
        seen = {6: (0,), 3: (1,)}
        for label, target in zip(outcome.labels, (0, 5)):
            right = posterior(query_network(plain), target, seen)
            assert right is not None
            np.testing.assert_allclose(label.probs, right, rtol=0, atol=1e-9)
            checked += 1
    assert checked == 12


# -- questions -----------------------------------------------------------------------------------


def ask(program: str, question: str) -> float | None:
    queries = ProblogQueries(parse_problog(program))
    read = parse_problog(question)
    return queries.answer(read.evidence, read.queries[0]).probability


def test_questions_without_an_answer_and_questions_about_another_name() -> None:
    program = "0.2::ill(child, flu); 0.3::ill(child, cold). 0.9::cough(child) :- ill(child, flu)."
    assert ask(program, "evidence(cough(child)). query(ill(child, flu)).") == 1.0
    assert ask(program, "evidence(not cough(person)). query(ill(person, flu)).") == pytest.approx(
        0.02 / 0.82
    )
    assert ask(program, "query(ill(child, measles)).") == 0.0
    assert ask(program, "query(not ill(child, measles)).") == 1.0
    assert ask(program, "evidence(ill(child, measles)). query(cough(child)).") is None
    assert (
        ask(program, "evidence(ill(child, flu)). evidence(ill(child, cold)). query(cough(child)).")
        is None
    )
    assert ask(
        program, "evidence(ill(child, flu), false). query(ill(child, cold))."
    ) == pytest.approx(0.3 / 0.8)
    assert ask(program, "query(fever(child)).") is None
    values = "0.3::pressure(high). 0.9::faint(high) :- pressure(high). 0.4::age(child, old)."
    assert ask(values, "query(age(child, young)).") == 0.0
    assert ask(values, "query(age(person, old)).") == 0.0
    assert ask(program, "evidence(fever(child)). query(cough(child)).") == pytest.approx(0.18)


def test_probabilities_above_one_matter_only_where_they_are_asked_for() -> None:
    program = "0.5::a(x); 0.6::a(y). 0.3::b :- a(x). 0.4::c :- a(x). 0.4::c :- a(y)."
    assert ask(program, "query(b).") == pytest.approx(0.15)
    assert ask(program, "query(a(y)).") == pytest.approx(0.6)
    assert ask(program, "query(c).") is None


def test_the_command_prints_answers_and_one_line_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "n.pl").write_text("0.3::rain. 0.9::wet :- rain. 0.1::wet :- not rain.\n")
    (tmp_path / "q.pl").write_text(
        "evidence(wet).\nquery(rain).\nevidence(not wet).\nquery(rain).\nquery(not rain).\n"
        "evidence(rain). evidence(rain, false). query(wet)."
    )
    done = subprocess.run(
        [sys.executable, "-m", "scripts.quite_exact", "--premises=n.pl", "--queries=q.pl"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rain, dry, not_dry, never = json.loads(done.stdout)
    assert rain == pytest.approx(0.27 / 0.34)
    assert dry == pytest.approx(0.03 / 0.66)
    assert math.isclose(dry + not_dry, 1.0)
    assert never == -1
    assert done.stderr == "q.pl: line 6: the evidence is impossible\n"

    (tmp_path / "bad.pl").write_text("0.3::rain.\n0.9::wet :- rain, X.\n")
    (tmp_path / "alone.pl").write_text("query(wet).\nevidence(rain).\n")
    for premises, queries, message in (
        ("bad.pl", "q.pl", "bad.pl:2:19: 'X' is a logic variable"),
        ("n.pl", "none.pl", "none.pl: cannot be read"),
        ("n.pl", "n.pl", "n.pl:1:1: a query file holds evidence(...) and query(...) only"),
        ("q.pl", "q.pl", "q.pl:2:1: queries belong into the query file"),
        ("n.pl", "alone.pl", "alone.pl:2:1: no query goes with this evidence"),
    ):
        code = main([f"--premises={tmp_path / premises}", f"--queries={tmp_path / queries}"])
        printed = capsys.readouterr()
        assert (code, printed.out) == (2, "")
        assert printed.err.count("\n") == 1
        assert message in printed.err
