import collections
import csv
import json
import math
import pathlib
import re
import statistics

import numpy as np
import pytest
from scipy import stats

from ppt_jax.evaluation.benchmarks import openestimate, protocol
from ppt_jax.evaluation.benchmarks.protocol import BenchmarkError, Scored, ScoreSettings
from tests.evaluation.benchmarks import real_data

FEW = ScoreSettings(replicates=50)


def variable(text, mean, kind="normal", base="Base", conditions=()):
    return {
        "mean": mean,
        "std": 10.0 if kind == "normal" else 0.3,
        "se": 1.0,
        "variable": text,
        "base_variable": base,
        "conditions": list(conditions),
        "ground_truth_distribution_type": kind,
    }


VARIABLES = {
    "Height": variable("average height", 170.0, base="Height"),
    "easy_0": variable("average height of the old", 165.0, base="Height", conditions=[1]),
    "Smoker": variable("share of smokers", 0.2, "beta", base="Smoker"),
    "easy_1": variable("share of smokers among the old", 0.1, "beta", "Smoker", [1]),
}


@pytest.fixture
def data(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "health_variables.json").write_text(json.dumps(VARIABLES))
    baselines = {
        name: {"5": [{"mu": v["mean"] + d, "sigma": 1.0} for d in (-2.0, 4.0)]}
        for name, v in VARIABLES.items()
        if v["ground_truth_distribution_type"] == "normal"
    }
    baselines["Smoker"] = {"5": [{"alpha": 1, "beta": 3}, {"alpha": 1, "beta": 9}]}
    baselines["easy_1"] = {"5": [{"alpha": 1, "beta": 4}]}
    (folder / "health_baselines.json").write_text(json.dumps(baselines))
    return folder


def write(path: pathlib.Path, text: str) -> pathlib.Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def run(data: pathlib.Path, *paths: pathlib.Path, **options: object) -> Scored:
    benchmark = protocol.load("openestimate", data, **options)
    return benchmark.score_recordings(list(paths), FEW)


def value(scored: Scored, metric: str, model: str = "m", split: str = "health") -> float:
    rows = [
        r
        for r in scored.rows
        if (r["metric"], r["model"], r["split"]) == (metric, model, split) and r["kind"] == "all"
    ]
    assert len(rows) == 1, metric
    return rows[0]["value"]


GOOD = "variable,mean,std,a,b\nHeight,172,4,,\neasy_0,160,4,,\nSmoker,,,2,8\neasy_1,,,1,4\n"


def test_a_recording_scored_by_hand(data, tmp_path):
    scored = run(data, write(tmp_path / "r" / "m_trial0.csv", GOOD))
    pit = [stats.norm(172, 4).cdf(170), stats.norm(160, 4).cdf(165)]
    pit += [stats.beta(2, 8).cdf(0.2), stats.beta(1, 4).cdf(0.1)]
    share = np.histogram(pit, [0, 0.25, 0.5, 0.75, 1])[0] / 4
    assert value(scored, "ece_quartile") == pytest.approx(100 * np.abs(share - 0.25).mean())
    assert math.isnan(value(scored, "ece_quartile_sd"))  # one trial has no spread
    ratios = [2 / 3, 5 / 3, 0.0, 0.1 / 0.1]
    assert value(scored, "error_ratio_mean") == pytest.approx(np.mean(ratios))
    assert value(scored, "error_ratio_median") == pytest.approx(np.median(ratios))
    inside = [abs(u - 0.5) <= 0.45 for u in pit]
    assert value(scored, "coverage_90") == pytest.approx(np.mean(inside))
    row = next(r for r in scored.rows if r["metric"] == "error_ratio_mean")
    assert (row["n"], row["n_clusters"], row["n_parse_fail"]) == (4, 2, 0)
    assert row["ci_low"] <= row["value"] <= row["ci_high"]


@pytest.mark.parametrize(
    "text",
    [
        "b,a,std,mean,note,variable\n,,4,172,x,Height\n,,4,160,,easy_0\n8,2,,,,Smoker\n4,1,,,,easy_1",
        'Variable,Mean,STD,A,B\n"Height",172,4,,\r\neasy_0,160,4\r\nSmoker,,,2,8\r\neasy_1,,,1,4\r\n',
        "\ufeff" + GOOD,
        "variable,fitted_distribution_type,a,b,mean,std\nHeight,gaussian,,,172,4\n"
        "easy_0,normal,,,160,4\nSmoker,beta,2,8,.2,.12\neasy_1,Beta,1,4,,\n",
    ],
    ids=["any column order", "capitals, quotes, short rows, old line ends", "bom", "fitted type"],
)
def test_the_same_answers_in_other_clothes_score_the_same(data, tmp_path, text):
    plain = run(data, write(tmp_path / "a" / "m_trial0.csv", GOOD))
    other = run(data, write(tmp_path / "b" / "m_trial0.csv", text))
    assert json.dumps(plain.rows) == json.dumps(other.rows)


def test_failures_are_counted_and_named(data, tmp_path):
    text = "variable,mean,std,a,b\nHeight,172,-4,,\neasy_0,,,,\nSmoker,,,inf,8\neasy_1,,,1,4\n"
    scored = run(data, write(tmp_path / "m_trial0.csv", text))
    assert value(scored, "n_missing") == 1
    assert value(scored, "n_invalid") == 2
    assert all(r["n"] == 4 and r["n_parse_fail"] == 3 for r in scored.rows)
    assert len(scored.failures) == 3
    assert "line 2" in scored.failures[0]
    assert "health/Height" in scored.failures[0]
    assert value(scored, "error_ratio_mean") == pytest.approx(1.0)  # of easy_1 alone


def test_all_failed_gives_no_number_and_an_empty_file_no_count(data, tmp_path):
    blank = run(data, write(tmp_path / "m_trial0.csv", "variable,mean,std\nHeight,,\n"))
    assert math.isnan(value(blank, "ece_quartile"))
    assert math.isnan(value(blank, "coverage_50"))
    assert value(blank, "n_missing") == 1
    assert value(blank, "n_not_recorded") == 3
    empty = run(data, write(tmp_path / "e" / "m_trial0.csv", "variable,mean,std\n"))
    assert all(math.isnan(r["value"]) and r["n"] == 0 for r in empty.rows)
    assert len(empty.rows) == len(blank.rows)


def test_trials_models_and_folders(data, tmp_path):
    one = write(tmp_path / "x" / "m_trial0.csv", GOOD).parent
    write(one / "m_trial7.csv", GOOD.replace("172", "150"))
    write(one / "other-model.v2_trialb.csv", GOOD)
    single = write(tmp_path / "y" / "alone.csv", GOOD)
    scored = run(data, one, single)
    assert [r["model"] for r in scored.rows if r["metric"] == "n_trials"] == [
        "m",
        "other-model.v2",
        "alone",
    ]
    assert value(scored, "n_trials") == 2
    eces = []
    for trial in ("m_trial0", "m_trial7"):
        eces.append(value(run(data, one / f"{trial}.csv"), "ece_quartile"))
    assert value(scored, "ece_quartile") == pytest.approx(statistics.mean(eces))
    assert value(scored, "ece_quartile_sd") == pytest.approx(statistics.stdev(eces))


def test_the_folders_of_the_release_are_read_as_they_are(data, tmp_path):
    for trial in (0, 1):
        run_folder = tmp_path / "r" / f"trial_{trial}_results" / "EXPERTS-health_m_base-TEMP-0.5"
        write(run_folder / "processed_results.csv", GOOD)
    scored = run(data, tmp_path / "r")
    assert {r["model"] for r in scored.rows} == {"health_m_base-TEMP-0.5"}
    assert value(scored, "n_trials", "health_m_base-TEMP-0.5") == 2


def test_other_elicitations(data, tmp_path):
    quantiles = {f"q{p}": [] for p in (5, 25, 50, 75, 95)}
    oracles = [stats.norm(172, 4), stats.norm(160, 4), stats.beta(2, 8), stats.beta(1.5, 6)]
    for name, own in quantiles.items():
        own += [float(o.ppf(int(name[1:]) / 100)) for o in oracles]
    lines = [",".join(["variable", *quantiles])]
    lines += [
        ",".join([key, *(f"{quantiles[name][k]!r}" for name in quantiles)])
        for k, key in enumerate(VARIABLES)
    ]
    found = run(data, write(tmp_path / "m_trial0.csv", "\n".join(lines)))
    direct = GOOD.replace("easy_1,,,1,4", "easy_1,,,1.5,6")
    same = run(data, write(tmp_path / "d" / "m_trial0.csv", direct))
    for metric in ("crps_ratio_mean", "ece_quartile", "error_ratio_median"):
        assert value(found, metric) == pytest.approx(value(same, metric), rel=1e-3)
    moments = "variable,mean,variance\nHeight,172,16\neasy_0,160,16\nSmoker,.2,.0145454545454545\n"
    variance = run(data, write(tmp_path / "v" / "m_trial0.csv", moments))
    assert value(variance, "n_missing") == 0
    assert value(variance, "n_not_recorded") == 1


def test_a_beta_question_answered_by_a_normal(data, tmp_path):
    text = "variable,fitted_distribution_type,mean,std\nSmoker,gaussian,0.25,0.1\n"
    scored = run(data, write(tmp_path / "m_trial0.csv", text))
    assert value(scored, "coverage_50") == float(abs(stats.norm(0.25, 0.1).cdf(0.2) - 0.5) <= 0.25)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("variable,mean,std\nHeigth,1,1\nHeight,1,1\n", "line 2: variable 'Heigth'"),
        ("variable,mean,std\nHeight,1,1\nHeight,2,1\n", "line 3: variable 'Height' occurs twice"),
        ("name,mean,std\nHeight,1,1\n", "column 'variable' is missing"),
        ("variable,mean,mean\nHeight,1,1\n", "column 'mean' occurs twice"),
        ("variable,mean,std\nHeight,1,1,9,9\n", "line 2: 5 cells"),
        ("variable,mean,std,ground_truth\nHeight,1,1,99.0\n", "different versions"),
        ("variable,variable_name,mean,std\nHeight,average weight,1,1\n", "different versions"),
        ("variable,mean,std\nWeight,1,1\n", "none of the domains"),
        ("", "is empty"),
    ],
)
def test_bad_recordings_are_named(data, tmp_path, text, words):
    path = write(tmp_path / "m_trial0.csv", text)
    with pytest.raises(BenchmarkError, match=re.escape(words)) as error:
        run(data, path)
    assert str(path) in str(error.value)


def test_bad_data_are_named(data, tmp_path):
    path = write(tmp_path / "m_trial0.csv", GOOD)
    with pytest.raises(BenchmarkError, match=r"no sky_variables\.json; there are health"):
        run(data, path, domain="sky")
    with pytest.raises(BenchmarkError, match="unknown option 'domian'"):
        run(data, path, domian="health")
    with pytest.raises(BenchmarkError, match="no such file or directory"):
        run(data, tmp_path / "nowhere")
    with pytest.raises(BenchmarkError, match="no such file or directory"):
        run(tmp_path / "nowhere", path)
    with pytest.raises(BenchmarkError, match="already read from"):
        run(data, path, write(tmp_path / "z" / "m_trial0.csv", GOOD))
    broken = dict(VARIABLES, Bad={"mean": 1.0})
    (data / "health_variables.json").write_text(json.dumps(broken))
    with pytest.raises(BenchmarkError, match="variable 'Bad'"):
        run(data, path)


def test_without_baselines_only_the_ratios_are_unknown(data, tmp_path):
    path = write(tmp_path / "m_trial0.csv", GOOD)
    (data / "health_baselines.json").unlink()
    scored = run(data, path)
    assert math.isnan(value(scored, "error_ratio_median"))
    assert math.isnan(value(scored, "crps_ratio_mean"))
    assert value(scored, "coverage_90") > 0


def test_domains_with_the_same_keys_are_told_apart(data, tmp_path):
    other = {"easy_0": variable("average salary of the old", 5e4, base="Salary", conditions=[1])}
    (data / "money_variables.json").write_text(json.dumps(other))
    row = "variable,variable_name,mean,std\neasy_0,average salary of the old,4e4,1e4\n"
    assert value(run(data, write(tmp_path / "m_trial0.csv", row)), "n_trials", split="money") == 1
    bare = "variable,mean,std\neasy_0,4e4,1e4\n"
    with pytest.raises(BenchmarkError, match="--domain=NAME"):
        run(data, write(tmp_path / "b" / "m_trial0.csv", bare))
    named = run(data, write(tmp_path / "money" / "m_trial0.csv", bare))
    assert value(named, "n_trials", split="money") == 1


def test_a_planted_model_is_calibrated_and_an_overconfident_one_is_not(tmp_path):
    rng = np.random.default_rng(0)
    truth = rng.normal(size=400) * 10
    names = [f"v{k}" for k in range(400)]
    entries = {n: variable(n, float(t), base=n) for n, t in zip(names, truth)}
    (tmp_path / "d_variables.json").write_text(json.dumps(entries))
    for model, sd in (("calm", 3.0), ("sure", 0.6)):
        lines = [f"{n},{t + 3 * e:.6f},{sd}" for n, t, e in zip(names, truth, rng.normal(size=400))]
        write(tmp_path / "r" / f"{model}_trial0.csv", "\n".join(["variable,mean,std", *lines]))
    scored = run(tmp_path, tmp_path / "r")
    calm, sure = (
        next(r for r in scored.rows if (r["model"], r["metric"]) == (m, "ece_quartile"))
        for m in ("calm", "sure")
    )
    assert calm["value"] < calm["null_q95"] < sure["value"]
    assert value(scored, "coverage_90", "calm", "d") == pytest.approx(0.9, abs=0.06)
    assert value(scored, "coverage_90", "sure", "d") < 0.4


def test_replies_are_recorded_as_rows(data):
    benchmark = protocol.load("openestimate", data)
    assert benchmark.record is not None
    height, _, smoker, _ = benchmark.questions
    row = benchmark.record(height, "mean = 1, std = 9? No.\nmean = 1,720.5, std: 4")
    assert (row["variable"], float(row["mean"]), float(row["std"])) == ("Height", 1720.5, 4.0)
    row = benchmark.record(smoker, "I say alpha = 2 and beta = 8.")
    assert (float(row["a"]), float(row["b"])) == (2.0, 8.0)
    assert benchmark.record(height, "I cannot know")["mean"] == ""


def test_scale_variant_maps_to_the_unconditional_ends(data):
    questions = protocol.load("openestimate", data, variant="scale").questions
    assert questions[1].quantity == (140.0, 200.0)
    assert questions[1].truth.value == pytest.approx(100 * 25 / 60)
    probs = questions[1].truth.probs_K
    assert probs is not None
    sd = 100 * 1 / 60
    edges = np.arange(-0.5, 101)
    oracle = np.diff(stats.norm(100 * 25 / 60, sd).cdf(edges))
    np.testing.assert_allclose(probs, oracle / oracle.sum(), atol=1e-9)
    assert questions[2].truth.value == pytest.approx(20.0)
    assert questions[1].target("health").true_answer == 42


# Published recordings: ECE, sd, error ratio median, mean, CRPS ratio, coverage, failed.
TABLE = {
    ("glassdoor", "gpt-4o"): "12.4 1.2 1.02 1.45 .66 .37 .78 .82 0",
    ("glassdoor", "meta-llama-3-70b"): "12.0 2.9 1.42 2.05 .93 .37 .73 .79 0",
    ("glassdoor", "meta-llama-3-8b"): "11.0 2.8 2.43 3.34 1.56 .32 .62 .73 0",
    ("glassdoor", "o3-mini"): "5.5 1.9 1.15 1.67 .85 .51 .89 .91 0",
    ("glassdoor", "o4-mini"): "10.3 1.4 1.28 1.59 .90 .47 .88 .92 0",
    ("glassdoor", "qwen3-235b-a22b-fp8-tput"): "7.8 2.9 1.08 1.46 .73 .35 .65 .70 0",
    ("nhanes", "gpt-4o"): "13.0 1.8 1.10 1.85 .69 .25 .57 .65 0",
    ("nhanes", "meta-llama-3-70b"): "13.0 1.9 1.40 2.17 .94 .28 .62 .71 0",
    ("nhanes", "meta-llama-3-8b"): "20.2 2.0 3.08 7.25 2.21 .18 .46 .54 1",
    ("nhanes", "o3-mini"): "4.4 1.5 .70 1.19 .47 .44 .83 .89 0",
    ("nhanes", "o4-mini"): "7.3 1.6 .57 .99 .38 .40 .75 .80 9",
    ("nhanes", "qwen3-235b-a22b-fp8-tput"): "8.8 1.7 .62 1.27 .40 .32 .70 .78 8",
}
METRICS = {
    "ece_quartile": 1,
    "ece_quartile_sd": 1,
    "error_ratio_median": 2,
    "error_ratio_mean": 2,
    "crps_ratio_median": 2,
    "coverage_50": 2,
    "coverage_90": 2,
    "coverage_95": 2,
    "n_missing": 0,
}


def test_the_published_table_to_the_printed_precision():
    folder = real_data.folder("openestimate")
    benchmark = protocol.load("openestimate", folder)
    assert len(benchmark.questions) == 181
    scored = benchmark.score_recordings(
        [folder / "recordings" / "nhanes", folder / "recordings" / "glassdoor"], FEW
    )
    rows = {(r["split"], r["model"], r["metric"]): r for r in scored.rows}
    for (domain, model), line in TABLE.items():
        for (metric, digits), printed in zip(METRICS.items(), line.split()):
            found = rows[domain, model, metric]
            assert found["value"] == pytest.approx(float(printed), abs=0.5000001 * 10**-digits), (
                domain,
                model,
                metric,
            )
            assert found["n"] == (370 if domain == "nhanes" else 230)
            assert found["n_clusters"] == (14 if domain == "nhanes" else 1)
            assert math.isnan(found["ci_low"]) == (domain == "glassdoor" or digits == 0)
    assert len(scored.failures) == 18


def test_published_questions_in_numbers():
    folder = real_data.folder("openestimate")
    questions = protocol.load("openestimate", folder, variant="scale").questions
    truth = np.array([q.truth.value for q in questions])
    assert np.abs(truth - 50).mean() == pytest.approx(24.52, abs=0.005)
    assert np.abs(truth - 26.1).mean() == pytest.approx(20.18, abs=0.01)
    clusters = collections.Counter(q.subset for q in questions)
    assert clusters == {"glassdoor": 46, "nhanes": 74, "pitchbook": 61}
    assert len({q.cluster_id for q in questions}) == 19


def test_recordings_of_the_third_domain_are_scored_unseen(tmp_path):
    folder = real_data.folder("openestimate")
    entries = json.loads((folder / "pitchbook_variables.json").read_text())
    path = tmp_path / "new-model_trial0.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["variable", "variable_name", "mean", "std", "a", "b"])
        for key, entry in entries.items():
            if entry["ground_truth_distribution_type"] == "beta":
                writer.writerow([key, entry["variable"], "", "", 4, 6])
            else:
                writer.writerow([key, entry["variable"], entry["mean"], entry["std"], "", ""])
    scored = protocol.load("openestimate", folder).score_recordings([path], FEW)
    assert {r["split"] for r in scored.rows} == {"pitchbook"}
    assert value(scored, "n_missing", "new-model", "pitchbook") == 0
    assert scored.rows[0]["n_clusters"] == 4
    assert openestimate.LEVELS == (0.5, 0.9, 0.95)
