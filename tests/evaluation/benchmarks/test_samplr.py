import csv
import io
import math
import pathlib
import random
import re

import numpy as np
import pytest

from ppt_jax.evaluation.benchmarks import protocol, samplr
from ppt_jax.evaluation.benchmarks.protocol import BenchmarkError, Scored, ScoreSettings
from tests.evaluation.benchmarks import real_data

FEW = ScoreSettings(replicates=20, splits=40)
QUERIES = ("icy", "not icy", "cold", "icy and cold", "icy or cold", "icy given cold")


def experiment(people: int = 9, blocks: int = 2, seed: int = 0) -> list[dict[str, str]]:
    rng = np.random.default_rng(seed)
    level = rng.uniform(10, 90, len(QUERIES))
    return [
        {
            "ID": f"{person + 1}.0",
            "block": f"{block + 1}.0",
            "query": f"What is the probability of {query}?",
            "querydetail": query,
            "estimate": str(float(np.clip(np.round(level[k] + rng.normal(0, 15)), 0, 100))),
        }
        for person in range(people)
        for block in range(blocks)
        for k, query in enumerate(QUERIES)
    ]


def as_csv(rows: list[dict[str, str]], columns: list[str] | None = None, **options: int) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns or list(rows[0]), extrasaction="ignore", **options)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def run(path: pathlib.Path, text: str, settings: ScoreSettings = FEW) -> Scored:
    path.write_text(text)
    return samplr.score_data([path], settings)


def value(scored: Scored, metric: str, kind: str = "all") -> float:
    found = [r for r in scored.rows if r["metric"] == metric and r["kind"] == kind]
    assert len(found) == 1, metric
    return found[0]["value"]


def test_split_half_by_hand(tmp_path):
    rows = experiment()
    scored = run(tmp_path / "e.csv", as_csv(rows))
    means = np.zeros((9, len(QUERIES)))
    names = sorted(QUERIES)
    for row in rows:
        place = int(float(row["ID"])) - 1, names.index(row["querydetail"])
        means[place] += float(row["estimate"]) / 2
    rng = np.random.default_rng(0)
    found = []
    for _ in range(40):
        order = rng.permutation(9)
        found.append(np.corrcoef(means[order[:4]].mean(0), means[order[4:]].mean(0))[0, 1])
    r = float(np.mean(found))
    assert value(scored, "split_half_r") == pytest.approx(r, abs=1e-12)
    assert value(scored, "spearman_brown") == pytest.approx(2 * r / (1 + r), abs=1e-12)
    assert value(scored, "noise_ceiling") == pytest.approx(math.sqrt(2 * r / (1 + r)))
    assert value(scored, "human_mean", "icy") == pytest.approx(means[:, names.index("icy")].mean())
    counts = {m: value(scored, m) for m in ("n_people", "n_queries", "n_blocks", "n_rows")}
    assert counts == {"n_people": 9, "n_queries": 6, "n_blocks": 2, "n_rows": 108}
    share = np.mean([float(row["estimate"]) % 5 == 0 for row in rows])
    assert value(scored, "multiple_of_5") == pytest.approx(share)


def test_layouts_that_say_the_same_score_the_same(tmp_path):
    rows = experiment()
    plain = run(tmp_path / "e.csv", as_csv(rows))
    shuffled = [dict(row, RT="1.5", note='said "hm", twice') for row in rows]
    random.Random(0).shuffle(shuffled)
    columns = ["RT", "estimate", "note", "querydetail", "block", "query", "ID"]
    mixed = run(tmp_path / "e.csv", as_csv(shuffled, columns, quoting=csv.QUOTE_ALL))
    for a, b in zip(plain.rows, mixed.rows):
        assert (a["metric"], a["kind"]) == (b["metric"], b["kind"])
        assert a["value"] == pytest.approx(b["value"], abs=1e-9)
    capital = as_csv(rows).replace("ID,", "id,").replace("estimate", "Estimate")
    assert run(tmp_path / "e.csv", capital.replace(".0,", ",")).table == plain.table
    without_block = [row for row in rows if row["block"] == "1.0"]
    one = run(tmp_path / "e.csv", as_csv(without_block, ["ID", "querydetail", "estimate"]))
    assert value(one, "n_blocks") == 1


def test_blocks_are_averaged_within_a_person(tmp_path):
    rows = experiment(people=6, blocks=1)
    doubled = rows + [dict(row, block="2") for row in rows]
    once, twice = (run(tmp_path / "e.csv", as_csv(r)) for r in (rows, doubled))
    assert value(once, "split_half_r") == pytest.approx(value(twice, "split_half_r"))


def test_repetitions_without_a_block_column_are_averaged(tmp_path):
    rows = experiment(people=6, blocks=3)
    bare = run(tmp_path / "e.csv", as_csv(rows, ["ID", "querydetail", "estimate"]))
    told = run(tmp_path / "e.csv", as_csv(rows))
    assert bare.table == told.table


def test_missing_and_impossible_estimates_are_counted(tmp_path):
    rows = experiment()
    for at, bad in ((0, ""), (7, "NA"), (20, "110"), (33, "many"), (40, "nan"), (41, "inf")):
        rows[at] = dict(rows[at], estimate=bad)
    scored = run(tmp_path / "e.csv", as_csv(rows))
    assert value(scored, "n_missing") == 6
    assert value(scored, "n_rows") == 108
    assert all(r["n_parse_fail"] == 6 for r in scored.rows)
    assert "line 2: person 1, 'icy': no estimate" in scored.failures[0]
    assert -1 <= value(scored, "split_half_r") <= 1


def test_nobody_and_one_person_give_no_number(tmp_path):
    nobody = run(tmp_path / "e.csv", "ID,block,querydetail,estimate\n")
    assert all(math.isnan(r["value"]) for r in nobody.rows)
    alone = run(tmp_path / "e.csv", as_csv(experiment(people=1)))
    assert math.isnan(value(alone, "split_half_r"))
    assert value(alone, "n_people") == 1


def test_coherence_of_a_person_by_hand(tmp_path):
    said = {"icy": 30, "not icy": 60, "cold": 50, "icy and cold": 40, "icy or cold": 45}
    said |= {"icy and not cold": 5, "icy given cold": 70}
    rows = [
        {"ID": "a", "querydetail": query, "estimate": str(estimate)}
        for query, estimate in said.items()
    ]
    scored = run(tmp_path / "e.csv", as_csv(rows))
    assert value(scored, "coherence_complement") == 30 + 60 - 100
    assert value(scored, "coherence_inclusion") == 40 + 45 - 30 - 50
    assert value(scored, "coherence_marginal") == 40 + 5 - 30
    assert value(scored, "coherence_product") == 70 * 50 / 100 - 40
    assert value(scored, "conjunction_fallacy") == 1.0  # 40 > 30; "not cold" was not asked
    assert value(scored, "disjunction_fallacy") == 1.0  # 45 < 50


def test_coherent_people_deviate_by_nothing(tmp_path):
    rng = np.random.default_rng(1)
    rows = []
    for person in range(5):
        joint = rng.dirichlet(np.ones(4)).reshape(2, 2) * 100  # icy, cold
        a, b = joint[0].sum(), joint[:, 0].sum()
        said = {"icy": a, "not icy": 100 - a, "cold": b, "not cold": 100 - b}
        for i, left in enumerate(("icy", "not icy")):
            for j, right in enumerate(("cold", "not cold")):
                said[f"{left} and {right}"] = joint[i, j]
                other = joint[i].sum() + joint[:, j].sum() - joint[i, j]
                said[f"{left} or {right}"] = other
                said[f"{left} given {right}"] = 100 * joint[i, j] / joint[:, j].sum()
        rows += [
            {"ID": str(person), "querydetail": q, "estimate": f"{e:.12f}"} for q, e in said.items()
        ]
    scored = run(tmp_path / "e.csv", as_csv(rows))
    for law in ("complement", "inclusion", "marginal", "product"):
        assert value(scored, f"coherence_{law}") == pytest.approx(0, abs=1e-8)
    assert value(scored, "conjunction_fallacy") == value(scored, "disjunction_fallacy") == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ID,querydetail\n1,icy\n", "column 'estimate' is missing"),
        ("ID,block,querydetail,estimate\n1,1,icy,3\n1,1,icy,4\n", "judges 'icy' twice in block"),
        ("ID,block,querydetail,estimate\n1,1,,3\n", "querydetail is blank"),
        ("ID,querydetail,estimate\n1,icy, or so,3\n", "line 2: 4 cells"),
    ],
)
def test_bad_files_are_named(tmp_path, text, words):
    with pytest.raises(BenchmarkError, match=re.escape(words)) as error:
        run(tmp_path / "e.csv", text)
    assert "e.csv" in str(error.value)


def test_models_are_compared_with_the_means(tmp_path):
    human = tmp_path / "human.csv"
    human.write_text(as_csv(experiment(people=30)))
    benchmark = protocol.load("samplr", human)
    means = {q.id: q.truth.value or 0.0 for q in benchmark.questions}
    (tmp_path / "r").mkdir()
    exact = [{"ID": "1", "querydetail": q, "estimate": str(m)} for q, m in means.items()]
    (tmp_path / "r" / "exact.csv").write_text(as_csv(exact))
    turned = [f'{{"item_id": "{q}", "answer": "<{100 - m}>"}}' for q, m in means.items()]
    (tmp_path / "r" / "turned.jsonl").write_text("\n".join([*turned[:-1], turned[-1][:-3] + 'x"}']))
    scored = benchmark.score_recordings([tmp_path / "r"], FEW)
    found = {(r["model"], r["metric"]): r for r in scored.rows}
    assert found["exact", "mae"]["value"] == pytest.approx(0)
    assert found["exact", "pearson"]["value"] == pytest.approx(1)
    ceiling = found["exact", "pearson"]["ceiling"]
    assert found["exact", "pearson_over_ceiling"]["value"] == pytest.approx(1 / ceiling)
    assert found["turned", "slope"]["value"] == pytest.approx(-1)
    assert found["turned", "mae_affine"]["value"] == pytest.approx(0, abs=1e-9)
    assert found["turned", "mae"]["value"] > 5
    assert len(scored.failures) == found["turned", "mae"]["n_parse_fail"]
    (tmp_path / "r" / "odd.csv").write_text("ID,querydetail,estimate\n1,foggy,5\n")
    with pytest.raises(BenchmarkError, match="item 'foggy' is no question"):
        benchmark.score_recordings([tmp_path / "r" / "odd.csv"], FEW)


@pytest.mark.parametrize(
    ("name", "r", "brown", "people", "queries", "rows", "fives"),
    [("e1", 0.977, 0.989, 59, 40, 7080, 0.94), ("e2", 0.984, 0.992, 84, 60, 15120, 0.90)],
)
def test_published_experiments(name, r, brown, people, queries, rows, fives):
    path = real_data.folder("samplr") / f"zhu2020.bayesiansampler.{name}.csv"
    scored = samplr.score_data([path], ScoreSettings(replicates=20))
    assert value(scored, "split_half_r") == pytest.approx(r, abs=0.0005)
    assert value(scored, "spearman_brown") == pytest.approx(brown, abs=0.0005)
    counts = [value(scored, m) for m in ("n_people", "n_queries", "n_blocks", "n_rows")]
    assert counts == [people, queries, 3, rows]
    assert value(scored, "multiple_of_5") == pytest.approx(fives, abs=0.005)
    assert sum(r["metric"] == "human_mean" for r in scored.rows) == queries
