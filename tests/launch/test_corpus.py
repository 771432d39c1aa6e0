"""The corpus page: of the author's own corpus, of labels, of a foreign corpus, of hostile text."""

import json
import pathlib
import subprocess
import sys

import pytest

from launch.corpus_files import make_page, read_texts
from launch.corpus_page import corpus_page
from ppt_jax.authoring.author import AuthorConfig, author_corpus
from ppt_jax.errors import UserError
from ppt_jax.storage import read_jsonl, write_jsonl

CONFIG = AuthorConfig(
    train_size=40, validation_size=0, seen_motifs_size=8, held_out_motifs_size=6,
    held_out_family_size=0, held_out_family="",
    motifs=("success_rate", "signal_detection", "drift"), held_out_motifs=("drift",),
    told=("full", "implicit"), mutations="all", shards=1, processes=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("corpus")
    author_corpus(CONFIG, folder, silent=True)
    return folder


def test_the_page_shows_every_gate_share_reject_and_some_stories(corpus: pathlib.Path) -> None:
    line = make_page(corpus)
    page = json.loads((corpus / "corpus.json").read_text())
    html = (corpus / "corpus.html").read_text()
    assert line.startswith("corpus: ")
    assert page["wanted"]["train"] == 40
    assert page["config"]["mutations"] == list(CONFIG.mutations)
    assert page["answers"]["asks"] > 100
    for gate in page["gates"]:
        assert gate["name"].replace("'", "&#x27;") in html
    for heading in (
        "Gates",
        "Shares",
        "Answers",
        "Truths against",
        "Leakage",
        "Rejects",
        "Stories",
    ):
        assert f"<h2>{heading}" in html
    assert "held_out_motifs" in html
    assert html.count("<article>") >= 3
    assert "<script" not in html
    assert "http://" not in html.replace('xmlns="http://www.w3.org/2000/svg"', "")


def test_a_second_page_has_the_same_bytes(corpus: pathlib.Path) -> None:
    make_page(corpus)
    first = (corpus / "corpus.html").read_bytes(), (corpus / "corpus.json").read_bytes()
    make_page(corpus)
    assert first == ((corpus / "corpus.html").read_bytes(), (corpus / "corpus.json").read_bytes())


def test_a_foreign_corpus_is_weighted_anew_and_its_text_is_escaped(
    corpus: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    attack = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    rows = []
    for _, row in read_jsonl(next((corpus / "scenarios").glob("train-*.jsonl"))):
        row = {**row, "story": row["story"] + attack, "domain": attack, "genre": attack}
        rows.append({**row, "motif": row["motif"], "skin": attack, "told": "full"})
    write_jsonl(tmp_path / "scenarios" / "mine.jsonl", rows[:12])
    rejects = [{"motif": attack, "reason": attack}]
    write_jsonl(tmp_path / "rejects" / "mine.jsonl", rejects)
    make_page(tmp_path)
    html = (tmp_path / "corpus.html").read_text()
    page = json.loads((tmp_path / "corpus.json").read_text())
    assert page["counts"]["train"]["scenarios"] == 12
    assert page["answers"]["asks"] == sum(len(row["ask"]) for row in rows[:12])
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;alert(1)" in html


def test_labels_bring_routes_errors_and_their_verification(
    corpus: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    from ppt_jax.inference.job import run_label_job
    from ppt_jax.inference.labels import LabelConfig

    (tmp_path / "scenarios").mkdir()
    source = next((corpus / "scenarios").glob("train-*.jsonl"))
    chosen = [row for _, row in read_jsonl(source) if row["motif"] == "success_rate"][:8]
    write_jsonl(tmp_path / "scenarios" / source.name, chosen)
    settings = LabelConfig(engine="table", points=(8192,))
    run_label_job(tmp_path / "scenarios", tmp_path / "labels", settings)
    make_page(tmp_path)
    page = json.loads((tmp_path / "corpus.json").read_text())
    answers = page["answers"]
    assert answers["route"] == {"table": 1.0}
    assert 0 < answers["label_error"]["mean"] < 0.03
    assert "no verdict" in answers["calibration"]["verdict"]
    assert answers["base_rate"]["all"]["label"] < answers["base_rate"]["all"]["constant"]
    assert "Routes of the labels" in (tmp_path / "corpus.html").read_text()


def test_evaluation_texts_of_both_kinds_and_bad_ones(
    corpus: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    story = next(read_jsonl(next((corpus / "scenarios").glob("train-*.jsonl"))))[1]["story"]
    copied, own = tmp_path / "copied.jsonl", tmp_path / "own.txt"
    write_jsonl(copied, [{"prompt": f"Read: {story}"}])
    own.write_text("A text of its own that shares no run of eight words.\n\n", encoding="utf-8")
    line = make_page(corpus, [copied, own])
    found = json.loads((corpus / "corpus.json").read_text())["leakage"]["outside"]
    assert (found["texts"], found["texts_that_share"]) == (2, 1)
    assert "outside texts with a shared 8-gram" in line
    bad = tmp_path / "bad.jsonl"
    write_jsonl(bad, [{"body": "x"}])
    with pytest.raises(UserError, match=r"bad\.jsonl, line 1: none of the fields story, text"):
        list(read_texts(bad))
    with pytest.raises(UserError, match=r"gone\.txt cannot be read"):
        list(read_texts(tmp_path / "gone.txt"))


def test_a_folder_without_scenarios_says_what_to_run(tmp_path: pathlib.Path) -> None:
    command = [sys.executable, "-m", "launch.corpus", f"--workdir={tmp_path}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no scenarios in scenarios/ or labels/; run launch.author first" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_empty_corpus_has_a_page() -> None:
    from ppt_jax.authoring.corpus import CorpusFiles, describe

    page = describe(CorpusFiles({"train": []}, [], []))
    assert "<h1>Corpus</h1>" in corpus_page(page, [], "nothing")
