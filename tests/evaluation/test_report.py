import base64
import html.parser
import pathlib
import re
import xml.etree.ElementTree

import numpy as np
import pytest

from ppt_jax.errors import UserError
from ppt_jax.evaluation.baselines import fit_base_rate
from ppt_jax.evaluation.figures import learning
from ppt_jax.evaluation.findings import ReportInputs, read_history, verdict
from ppt_jax.evaluation.item_files import read_items, write_items
from ppt_jax.evaluation.items import Item, Target
from ppt_jax.evaluation.markdown import sparkline
from ppt_jax.evaluation.report import html_report, write_report
from ppt_jax.evaluation.report_inputs import rebuilt, write_report_inputs
from ppt_jax.evaluation.results import read_results, row, write_results
from ppt_jax.evaluation.results_page import write_results_page
from ppt_jax.evaluation.svg import Panel, escape, nice_ticks
from ppt_jax.evaluation.tables import Evaluation, EvaluationConfig, evaluate, write_evaluation
from tests.evaluation.synthetic import make_corpus, make_target

HOSTILE = "</p></script><img src=x onerror=alert(1)> \"quoted\" & 'more' | ]]> \x07"
FAST = EvaluationConfig(replicates=100)
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(html.parser.HTMLParser):
    """Checks that every element closes in order, and collects what the page would fetch or run."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.outside: list[str] = []
        self.handlers: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name.startswith("on"):
                self.handlers.append(name)
            if name in ("src", "href") and not (value or "").startswith("data:"):
                self.outside.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def found() -> Evaluation:
    test, validation, labels = make_corpus(40, story=HOSTILE, question=HOSTILE)
    return evaluate(test, validation, labels, FAST)


@pytest.fixture(scope="module")
def full(found: Evaluation) -> ReportInputs:
    history = [
        {"phase": phase, "step": s, "loss": 3.0 / (1 + s), "time": 1.0}
        for phase in ("stories", "ppt")
        for s in range(1000)
    ]
    return ReportInputs(
        evaluation=found,
        title=HOSTILE,
        header={"config": HOSTILE, "scenarios": 12345},
        history=history,
        corpus={"rejects": {HOSTILE: 3, "other": 4}, "motifs": 22, "deep": {"a": {"b": 1}}},
        labels={"routes": {"exact": 10, "weighting": 90}},
    )


def test_page_is_well_formed_self_contained_and_harmless(full: ReportInputs) -> None:
    text = html_report(full)
    page = Page(text)
    assert page.outside == []
    assert page.handlers == []
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert "url(" not in text
    assert "@import" not in text
    assert "onerror=alert(1)" in page.text  # the hostile story is shown, as text
    for section in ("Results", "Calibration", "Labels", "Corpus", "Training", "All scores"):
        assert section in page.text


def test_every_picture_is_valid_svg_with_title_and_description(full: ReportInputs) -> None:
    pictures = re.findall(r"<svg.*?</svg>", html_report(full), re.DOTALL)
    assert len(pictures) > 15
    for picture in pictures:
        root = xml.etree.ElementTree.fromstring(picture)
        space = "{http://www.w3.org/2000/svg}"
        assert (root.findtext(f"{space}title") or "").strip()
        assert (root.findtext(f"{space}desc") or "").strip()
        assert root.get("aria-label")
        assert "nan" not in re.sub(r"<(title|desc).*?</\1>", "", picture).lower().split("aria")[0]
        for path in root.iter(f"{space}path"):
            assert "nan" not in path.get("d", "")


def test_data_links_hold_the_numbers(full: ReportInputs) -> None:
    links = re.findall(r'download="([^"]+)" href="data:text/csv;base64,([^"]+)"', html_report(full))
    files = {name: base64.b64decode(data).decode() for name, data in links}
    assert {"results.csv", "kl.csv", "means.csv", "reliability.csv", "learning_curves.csv"} <= set(
        files
    )
    results = files["results.csv"].splitlines()
    assert len(results) == 1 + len(full.evaluation.rows)
    assert len(files["learning_curves.csv"].splitlines()) == 1 + 2000
    row = full.evaluation.row("after", "seen_motifs", "kl")
    assert row is not None
    line = next(x for x in files["kl.csv"].splitlines() if x.startswith("after,seen_motifs"))
    assert float(line.split(",")[2]) == pytest.approx(row["value"], rel=1e-5)


def test_missing_parts_are_said_and_nothing_fails(found: Evaluation) -> None:
    page = Page(html_report(ReportInputs(evaluation=found)))
    assert "Learning curves: not available" in page.text
    assert "Diversity and rejects of the corpus: not available" in page.text
    empty = evaluate([], [], [], FAST)
    page = Page(html_report(ReportInputs(evaluation=empty)))
    assert "Nothing was evaluated" in page.text


def test_twin_has_the_same_numbers_and_no_live_html(
    full: ReportInputs, tmp_path: pathlib.Path
) -> None:
    html_path, md_path = write_report(tmp_path, full)
    text = pathlib.Path(md_path).read_text()
    page = pathlib.Path(html_path).read_text()
    assert "<img" not in text
    assert "</script>" not in text
    for model in full.evaluation.answers:
        row = full.evaluation.row(model, "seen_motifs", "kl")
        assert row is not None
        assert f"{row['value']:.3f} [{row['ci_low']:.3f}, {row['ci_high']:.3f}]" in text
        assert f"{row['value']:.3f}<small>[{row['ci_low']:.3f}, {row['ci_high']:.3f}]" in page
    widths = {
        line.count("|") - line.count("\\|")
        for line in text.split("## All scores")[1].splitlines()
        if line.startswith("|")
    }
    assert len(widths) == 1


def test_verdict_follows_the_numbers(found: Evaluation) -> None:
    good = verdict(found)
    assert good.tone == "good"
    assert "learned from evidence" in good.headline
    test, _, labels = make_corpus(30, seed=3)
    rates = {}
    for motif, kind, q in labels:
        rates.setdefault((motif, kind, len(q)), []).append(q)
    lazy = []
    for item in test:
        rows = rates.get((item.motif, item.kind, len(item.support)))
        p = np.mean(rows, axis=0) if rows else np.full(len(item.support), 1 / len(item.support))
        p = p * np.random.default_rng(0).gamma(4, 0.25, len(p))
        lazy.append(item.answered("after", np.log(p / p.sum())))
    lazy = list({item.item_id: item for item in lazy}.values())
    bad = verdict(evaluate(lazy, [], labels, FAST))
    assert bad.tone == "bad"
    assert "learned from evidence:" not in bad.headline


def planted(sharpen: float, seed: int) -> list[Item]:
    """Truths drawn from q while the model says q^sharpen, renormalised; numbers and choices."""
    rng = np.random.default_rng(seed)
    out = []
    for number in range(150):
        for ask in range(3):
            target = make_target(rng, "seen_motifs", number, ask)
            p_K = target.target_K**sharpen
            out.append(target.answered("after", np.log(p_K / p_K.sum())))
    return out


@pytest.mark.parametrize(
    ("sharpen", "choices", "numbers"),
    [
        (3.0, "overconfident", "too narrow: overconfident"),
        (0.3, "underconfident", "too wide: underconfident"),
        (1.0, "inside what calibration allows", "as they should"),
    ],
)
def test_sentences_tell_planted_predictors_apart(
    sharpen: float, choices: str, numbers: str
) -> None:
    settings = EvaluationConfig(splits=("seen_motifs",), replicates=200)
    found = verdict(evaluate(planted(sharpen, 5), config=settings)).sentences
    (about_choices,) = [line for line in found if line.startswith("On choices")]
    (about_numbers,) = [line for line in found if line.startswith("On numeric asks")]
    assert choices in about_choices
    assert numbers in about_numbers
    for other in {"overconfident", "underconfident"} - {choices}:
        assert f"are {other}" not in about_choices
        assert f": {other}" not in about_numbers


def test_report_is_made_again_from_stored_files(found: Evaluation, tmp_path: pathlib.Path) -> None:
    test, validation, labels = make_corpus(40, story=HOSTILE, question=HOSTILE)
    write_items(tmp_path / "evaluation" / "items.jsonl", test)
    write_items(tmp_path / "evaluation" / "validation_items.jsonl", validation)
    stored = list(read_items(tmp_path / "evaluation" / "items.jsonl"))
    fit = list(read_items(tmp_path / "evaluation" / "validation_items.jsonl"))
    rate = fit_base_rate(labels)
    first = evaluate(stored, fit, rate, FAST)
    write_evaluation(tmp_path, first, {"seed": 0})
    facts = {"header": {"run": "one"}, "corpus": {"motifs": 3}, "labels": {}}
    write_report_inputs(tmp_path / "evaluation", rate=rate, label_ranks=[0.25] * 30, **facts)
    inputs = ReportInputs(evaluation=first, label_ranks=[0.25] * 30, **facts)
    again = rebuilt(tmp_path)
    assert again.evaluation.config == first.config
    assert first.config.splits == ("seen_motifs", "held_out_motifs", "held_out_family")
    assert html_report(again) == html_report(inputs)
    with pytest.raises(UserError, match="no items"):
        rebuilt(tmp_path / "evaluation" / "nothing")


def test_page_of_results_alone(tmp_path: pathlib.Path) -> None:
    rows = [
        row("base", "brier", 0.25, n=100, task=HOSTILE, split="test", n_parse_fail=3),
        row("tuned", "ece", 0.1, n=100, task="quite", params={"bins": 15}, null_q95=0.12),
        row("tuned", "kl", None, n=0, task="quite"),
    ]
    write_results(tmp_path, rows, {"who": HOSTILE})
    page, twin = write_results_page(tmp_path, read_results(tmp_path), HOSTILE)
    parsed = Page(pathlib.Path(page).read_text())
    assert parsed.outside == []
    assert parsed.handlers == []
    assert "script" not in parsed.tags
    assert "0.250" in parsed.text
    text = pathlib.Path(twin).read_text()
    assert "<img" not in text
    assert "ece (bins 15)" in text


def test_history_survives_a_cut_off_line(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert read_history(path) == []
    path.write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "loss": 1.0}\n{"step": 3, "lo')
    rows = read_history(path)
    assert [row["step"] for row in rows] == [1, 2]
    assert len(learning(rows).panels) == 1


def test_small_pieces() -> None:
    assert escape("<a href='x'>&\x00") == "&lt;a href=&#x27;x&#x27;&gt;&amp;"
    assert nice_ticks(0, 1, 4) == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert all(-3.2 <= t <= 17 for t in nice_ticks(-3.2, 17))
    assert sparkline(np.array([0.0, 0.5, 1.0]), 3) == " \u2584\u2588"
    panel = Panel("t", "d", (0, 10), (0, 1))
    assert panel.px(0) < panel.px(5) < panel.px(10)
    assert panel.py(0) > panel.py(1)


def test_planted_predictors_without_labels_are_told_apart_in_words(tmp_path: pathlib.Path) -> None:
    rng = np.random.default_rng(3)
    rows = []
    for k in range(600):
        q_K = rng.dirichlet([1.0, 1.0])
        target = Target(
            item_id=f"i{k}",
            cluster_id=f"c{k}",
            split="test",
            kind="choice",
            support=("no", "yes"),
            target_kind="outcome",
            true_answer=int(rng.random() < q_K[1]),
        )
        for model, power in (("perfect", 1.0), ("over", 3.0), ("under", 0.4)):
            p_K = q_K**power
            rows.append(target.answered(model, np.log(p_K / p_K.sum())))
    write_items(tmp_path / "items.jsonl", rows)
    found = verdict(evaluate(read_items(tmp_path / "items.jsonl"), config=EvaluationConfig(())))
    said = {
        model: " ".join(line for line in found.sentences if line.startswith(f"\u201c{model}\u201d"))
        for model in ("perfect", "over", "under")
    }
    assert "inside what calibration allows" in said["perfect"]
    assert "overconfident" in said["over"]
    assert "underconfident" in said["under"]
    assert "no posterior labels" in found.headline
    _, page = write_report(tmp_path, rebuilt(tmp_path))
    text = pathlib.Path(page).read_text()
    assert "Log score of the outcome" in text
    assert "simulated truth is" not in text


def test_one_cluster_has_values_and_no_interval(tmp_path: pathlib.Path) -> None:
    target = make_target(np.random.default_rng(0), "seen_motifs", 0, 0)
    item = target.answered("after", np.log(np.full(len(target.support), 1 / len(target.support))))
    found = evaluate([item], config=FAST)
    alone = [r for r in found.rows if r["n"] and r["split"] == "seen_motifs"]
    assert any(np.isfinite(r["value"]) for r in alone)
    assert all(np.isnan(r["ci_low"]) and np.isnan(r["ci_high"]) for r in alone)
    page = html_report(ReportInputs(evaluation=found))
    Page(page)
    assert "nan" not in re.sub(r"<[^>]*>", "", page).lower()


def test_an_error_without_a_lean_is_called_neither_over_nor_underconfident() -> None:
    rows = []
    for k in range(800):  # 0.9 comes true in 82%, 0.65 in 80%: too sure there, too unsure here
        p, share = (0.9, 0.82) if k < 400 else (0.65, 0.8)
        target = Target(
            item_id=f"i{k}",
            cluster_id=f"c{k}",
            split="test",
            kind="choice",
            support=("no", "yes"),
            target_kind="outcome",
            true_answer=int(k % 400 < share * 400),
        )
        rows.append(target.answered("m", np.log([1 - p, p])))
    found = evaluate(rows, config=EvaluationConfig((), replicates=100))
    error = found.row("m", "test", "ece_smooth", "choice")
    assert error is not None
    assert error["value"] > error["null_q95"]
    words = " ".join(verdict(found).sentences)
    assert "no clear lean to either side" in words
    assert "confident" not in words
