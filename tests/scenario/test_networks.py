"""Readers of networks against hand-made tables, and what they refuse, with its place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ppt_jax.scenario.document import parse_scenario
from ppt_jax.scenario.networks import network as networks
from ppt_jax.scenario.networks.as_scenario import scenario_document
from ppt_jax.scenario.networks.bif import parse_bif
from ppt_jax.scenario.networks.network import (
    Network,
    NetworkError,
    Variable,
    check_network,
    read_text,
)
from ppt_jax.scenario.networks.problog import problog_network, relevant
from ppt_jax.scenario.networks.problog_syntax import Atom, parse_problog


def of_problog(text: str) -> Network:
    return check_network(problog_network(parse_problog(text, "p.pl")).network)


def test_disjunctions_with_exclusive_bodies_are_conditional_tables() -> None:
    made = of_problog(
        """
        % Premise 0
        0.2::age(driver, young); 0.8::age(driver, '60+').   % a comment behind a clause
        0.3::tired(driver).
        /* rows in any order,
           over several lines */
        0.1::skill(driver, low); 0.9::skill(driver, high)
            :- age(driver, '60+'), not tired(driver).
        0.5::skill(driver, low); 0.5::skill(driver, high) :- age(driver, young), \\+ tired(driver).
        1/4::skill(driver, low); 1 - 0.25::skill(driver, high) :- tired(driver), age(driver, young).
        0.6::skill(driver, low); 0.4::skill(driver, high) :- tired(driver), age(driver, '60+').
        """
    )
    age, tired, skill = made.variables
    assert (age.name, age.states, tired.states) == (
        "age(driver)",
        ("young", "'60+'"),
        ("no", "yes"),
    )
    assert (skill.states, skill.parents) == (("low", "high"), (0, 1))
    np.testing.assert_allclose(skill.table[..., 0], [[0.5, 0.25], [0.1, 0.6]])


def test_missing_probability_and_missing_rows_are_a_state_of_their_own() -> None:
    made = of_problog("0.4::a(x); 0.5::a(y). 0.7::b :- a(x). c :- \\+ b.")
    a, b, c = made.variables
    assert a.states == ("(none)", "x", "y")
    np.testing.assert_allclose(a.table, [0.1, 0.4, 0.5])
    np.testing.assert_allclose(b.table[..., 1], [0.0, 0.7, 0.0])
    np.testing.assert_allclose(c.table, [[0.0, 1.0], [1.0, 0.0]])


def test_overlapping_bodies_are_noisy_or_and_two_values_can_be_true_together() -> None:
    made = of_problog(
        "0.5::a. 0.5::b. 0.8::c :- a. 0.4::c :- b. 0.1::c. 0.3::d(x); 0.2::d(y). 0.5::d(x) :- a."
    )
    c = made.variables[made.number("c")]
    np.testing.assert_allclose(
        c.table[..., 1], [[0.1, 1 - 0.9 * 0.6], [1 - 0.9 * 0.2, 1 - 0.9 * 0.2 * 0.6]]
    )
    d = made.variables[made.number("d")]
    shares = dict(zip(d.states, d.table[1]))
    assert shares == pytest.approx({"(none)": 0.25, "x": 0.3 + 0.25, "y": 0.1, "x & y": 0.1})


def test_bodies_hold_and_or_not_and_brackets() -> None:
    made = of_problog("0.5::a. 0.5::b. 0.5::c. 0.6::d :- a, (b ; \\+ c) ; not (a ; b), c.")
    a, b, c = np.indices((2, 2, 2)).astype(bool)
    d = made.variables[made.number("d")]
    np.testing.assert_allclose(d.table[..., 1], 0.6 * ((a & (b | ~c)) | (~(a | b) & c)))


def test_many_causes_become_a_chain_of_small_tables() -> None:
    causes = "".join(f"0.3::c{i}. 0.2::e :- c{i}.\n" for i in range(60))
    made = of_problog(causes)
    assert max(variable.table.size for variable in made.variables) <= 1 << 13
    rules = " ".join(f"0.5::b{i}." for i in range(14))
    exclusive = f"{rules} 0.9::e :- {', '.join(f'b{i}' for i in range(14))}. 0.2::e :- \\+ b0."
    e = problog_network(parse_problog(exclusive))
    assert Atom("e") in e.atoms


def test_an_atom_that_depends_on_another_of_its_disjunction_is_separated() -> None:
    made = problog_network(parse_problog("0.5::a; 0.5::b. 0.3::b :- a."))
    a, b = made.atoms[Atom("a")][0], made.atoms[Atom("b")][0]
    assert a != b
    check_network(made.network)


def test_only_the_heads_that_matter_take_part() -> None:
    statements = parse_problog("0.5::a(x); 0.6::a(y). 0.3::b :- a(x). 0.2::c :- a(y).")
    assert problog_network(statements).excessive
    part = relevant(statements, [Atom("b")])
    assert [len(clause.heads) for clause in part.clauses] == [1, 1]
    assert not problog_network(part).excessive


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("0.3::a.\n0.2::b(X) :- a.", ":2:8", "'X' is a logic variable"),
        ("0.3::a\n0.4::b.", ":2:1", "a full stop is missing before '0.4'"),
        ("1.2::a.", ":1:1", "the probability 1.2 is not in [0, 1]"),
        ("0.3::a.\n  b :- a, c > 2.", ":2:13", "'>' is outside of the ProbLog subset"),
        (":- use_module(library(lists)).", ":1:1", "directives are outside"),
        ("0.3::a([x]).", ":1:8", "lists are outside"),
        ("t(_)::a.", ":1:3", "'_' is a logic variable"),
        ("0.3::a; b.", ":1:1", "every head of a disjunction needs a probability"),
        ("0.3::'a.", ":1:6", "a quotation mark is not closed"),
        ("a. /* b.", ":1:4", "the comment is not closed"),
        ("0.3::a :- b. 0.2::b :- a.", ":1:1", "recursion is outside"),
        ("1/0::a.", ":1:3", "division by zero"),
        ("0.3::a. ?", ":1:9", "a term is missing before '?'"),
        ("0.3::a :- .", ":1:11", "a term is missing before '.'"),
        ("0.3::a :- b", ":1:12", "a full stop is missing before the end"),
        ("0.3::a \u00a7.", ":1:8", "cannot read"),
    ],
)
def test_problog_outside_of_the_subset_is_refused_with_its_place(
    text: str, place: str, what: str
) -> None:
    with pytest.raises(NetworkError) as found:
        problog_network(parse_problog(text, "p.pl"))
    assert str(found.value).startswith(f"p.pl{place}: ")
    assert what in str(found.value)


@pytest.mark.parametrize(
    "text",
    [
        "a :- " + "(" * 100_000,
        "a(" * 100_000,
        "a :- " + "\\+ " * 100_000 + "b.",
        "0." + "9" * 100_000 + "::a.",
        "1" + "+1" * 100_000 + "::a.",
        "-" * 100_000 + "1::a.",
        " ".join(f"0.5::b{i}." for i in range(40))
        + f" c :- {' ; '.join(f'b{i}' for i in range(40))}.",
        "".join(f"0.5::a{i}; 0.5::x{i} :- a{i - 1}, a{i}. " for i in range(1, 200)),
        " ".join(f"0.5::a({i}); 0.2::a({i + 1})." for i in range(40)),
    ],
    ids=lambda text: text[:12],
)
def test_hostile_problog_is_refused(text: str) -> None:
    with pytest.raises(NetworkError):
        problog_network(parse_problog(text))


def test_files_that_cannot_be_read_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NetworkError, match=r"none\.pl: cannot be read \(No such file"):
        read_text(tmp_path / "none.pl")
    (tmp_path / "b.pl").write_bytes(b"a.\n\xff\xfe.")
    with pytest.raises(NetworkError, match=r"b\.pl:2: is no UTF-8 text"):
        read_text(tmp_path / "b.pl")
    monkeypatch.setattr(networks, "MAX_FILE_BYTES", 3)
    with pytest.raises(NetworkError, match="is longer than 3 bytes"):
        read_text(tmp_path / "b.pl")


SPRINKLER = """
network "lawn" { property author me; }
// parents may be declared after children
variable wet { type discrete [ 3 ] { dry, damp, wet }; property position = (1, 2) ; }
variable rain { type discrete[2] { no, yes }; }
variable sprinkler { type discrete [ 2 ] { off, on }; }
probability ( wet | rain, sprinkler ) {
  default 0.1, 0.2, 0.7;
  (no, off) 0.9, 0.1, 0.0;
}
probability ( rain ) { table 0.8, 0.2; }
probability ( sprinkler | rain ) {
  table 0.6, 0.99, 0.4, 0.01; /* own states slowest */
}
"""


def test_bif_blocks_become_tables() -> None:
    made = parse_bif(SPRINKLER, "lawn.bif")
    assert made.name == "lawn"
    assert [variable.name for variable in made.variables] == ["rain", "sprinkler", "wet"]
    np.testing.assert_allclose(made.variables[1].table, [[0.6, 0.4], [0.99, 0.01]])
    wet = made.variables[2]
    assert (wet.parents, wet.states) == ((0, 1), ("dry", "damp", "wet"))
    np.testing.assert_allclose(wet.table[0, 0], [0.9, 0.1, 0.0])
    np.testing.assert_allclose(wet.table[1, 1], [0.1, 0.2, 0.7])


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("(no, off)", "(no, of)", r"lawn\.bif:9:3: 'sprinkler' has no state 'of'"),
        ("0.8, 0.2", "0.8, 0.3", r"11:13: 'rain': a row of the table misses one by 0\.1"),
        ("0.8, 0.2", "0.8", r"11:24: 2 probabilities are needed here, not 1"),
        ("0.8, 0.2", "0.8, x", r"11:35: 'x' is no number"),
        ("0.8, 0.2", "0.8, -0.2", r"11:35: the probability -0\.2 is not in"),
        ("[ 3 ]", "[ 4 ]", r"4:32: variable 'wet' announces 4 states and names 3"),
        ("default 0.1, 0.2, 0.7;", "", "7:13: 'wet': a row of the table is missing"),
        ("( rain ) { table", "( rain | wet ) { table", "6 probabilities are needed here, not 2"),
        ("( rain ) {", "( rain | rain ) {", "a variable stands twice"),
        ("probability ( rain ) { table 0.8, 0.2; }", "", "'rain' has no probability block"),
        ("( rain ) {", "( snow ) {", "no variable is called 'snow'"),
        ("network", "netwerk", "a block is network, variable or probability, not 'netwerk'"),
        ("/* own states slowest */", "/* own", "a comment or a string is not closed|is missing"),
        ("(no, off)", "(no)", "2 parent states are needed here"),
    ],
)
def test_faulty_bif_is_refused_with_its_place(old: str, new: str, what: str) -> None:
    assert old in SPRINKLER
    with pytest.raises(NetworkError, match=what):
        parse_bif(SPRINKLER.replace(old, new), "lawn.bif")


def test_a_bif_cycle_and_a_giant_table_are_refused() -> None:
    two = "variable a { type discrete [2] {n, y}; } variable b { type discrete [2] {n, y}; }"
    row = "{ table 0.5, 0.5, 0.5, 0.5; }"
    with pytest.raises(NetworkError, match="stands on or behind a cycle"):
        parse_bif(f"{two} probability (a | b) {row} probability (b | a) {row}")
    many = "".join(f"variable v{i} {{ type discrete [2] {{n, y}}; }}" for i in range(40))
    parents = ", ".join(f"v{i}" for i in range(1, 40))
    with pytest.raises(NetworkError, match="would need a table of 1099511627776 entries"):
        parse_bif(f"{many} probability (v0 | {parents}) {{ default 0.5, 0.5; }}")


def test_checks_of_a_network_name_the_variable() -> None:
    good = Variable("a", ("n", "y"), (), np.array([0.5, 0.5]))
    for bad, what in (
        (Variable("b", ("n", "y"), (1,), np.full((2, 2), 0.5)), "does not come before it"),
        (Variable("b", ("n", "n"), (), np.array([0.5, 0.5])), "distinct states"),
        (Variable("b", ("n", "y"), (0,), np.array([0.5, 0.5])), "has shape"),
        (Variable("b", ("n", "y"), (), np.array([0.5, 0.6])), "misses one by 0.1"),
        (Variable("b", ("n", "y"), (), np.array([1.5, -0.5])), "negative"),
        (Variable("a", ("n", "y"), (), np.array([0.5, 0.5])), "the name is taken"),
    ):
        with pytest.raises(NetworkError, match=what):
            check_network(Network("n", (good, bad)))


def test_a_scenario_of_a_network_parses_and_says_what_does_not_fit() -> None:
    made = parse_bif(SPRINKLER, "lawn.bif")
    document = scenario_document(made, {"wet": "damp", "sprinkler": "on"}, ["rain", "wet"])
    parsed = parse_scenario(document)
    assert [node.name for node in parsed.model if node.kind == "draw"] == [
        "rain",
        "sprinkler",
        "wet",
    ]
    assert [given.that for given in parsed.given] == ["wet == 'damp'", "sprinkler == 1"]
    assert parsed.ask[0].options == ("no", "yes")
    states = tuple(f"s{i}" for i in range(150))
    wide = Network("wide", (Variable("v", states, (), np.full(150, 1 / 150)),))
    with pytest.raises(NetworkError, match="more than 100 states"):
        scenario_document(wide, {}, ["v"])
    one = Variable("v0", ("n", "y"), (), np.array([0.5, 0.5]))
    many = Network("many", tuple(Variable(f"v{i}", *one_rest(one)) for i in range(300)))
    with pytest.raises(NetworkError, match="more than 200 nodes"):
        scenario_document(many, {}, ["v0"])


def one_rest(one: Variable) -> tuple[tuple[str, ...], tuple[int, ...], np.ndarray]:
    return one.states, one.parents, one.table
