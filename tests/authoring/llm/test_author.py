"""Whole corpora: files, restarts after SIGKILL, replay of a recorded journal, hostile answers."""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence

import pytest

from ppt_jax.authoring.agreement import AgreementConfig
from ppt_jax.authoring.backends.budgets import Budget, Ledger
from ppt_jax.authoring.backends.journal import Journal
from ppt_jax.authoring.backends.offline import OfflineBackend
from ppt_jax.authoring.backends.protocol import BudgetReached, Request, Response
from ppt_jax.authoring.backends.replay import ReplayBackend
from ppt_jax.authoring.checks import CheckConfig
from ppt_jax.authoring.llm.author import author_with_llm, summary_lines
from ppt_jax.authoring.llm.config import LLMAuthorConfig
from ppt_jax.authoring.llm.offline import OfflineAnswers
from ppt_jax.errors import UserError
from ppt_jax.scenario.document import Scenario, read_scenarios
from ppt_jax.storage import read_jsonl
from scripts.make_llm_journal import CONFIG as RECORDED
from scripts.make_llm_journal import PATH as RECORDING

CONFIG = LLMAuthorConfig(
    model="m", train_size=5, validation_size=2, shards=2, attempts=2, repairs=1, retries=1,
    motifs=("signal_detection", "fair_or_trick", "common_cause"), held_out_motifs=(),
    held_out_family="", checks=CheckConfig(particles=1024, min_ess=50, max_words=400),
    agreement=AgreementConfig(min_ess=800),
)  # fmt: skip
FLAWS = {"invalid_json": 0.2, "misspelt_name": 0.1, "missing_span": 0.2, "misread": 0.2}


def files(folder: pathlib.Path) -> dict[str, bytes]:
    names = [*folder.rglob("*.jsonl"), *folder.glob("*.json")]
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(names)
        if path.name != "answers.jsonl"
    }


def offline(**more: object) -> OfflineBackend:
    return OfflineBackend(OfflineAnswers(FLAWS), **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    out = tmp_path_factory.mktemp("corpus")
    author_with_llm(CONFIG, offline(), out, silent=True)
    return out


def test_the_files_are_those_of_the_offline_author(corpus: pathlib.Path) -> None:
    assert set(files(corpus)) == {
        "author.json", "corpus.json",
        *(f"{folder}/{split}-{at:05d}-of-00002.jsonl" for folder in ("scenarios", "rejects")
          for split in ("train", "validation") for at in range(2)),
    }  # fmt: skip
    page = json.loads((corpus / "corpus.json").read_text())
    kept: list[Scenario] = []
    for path in sorted((corpus / "scenarios").iterdir()):
        for scenario in read_scenarios(path):
            assert isinstance(scenario, Scenario)
            assert path.name.startswith(scenario.split)
            kept.append(scenario)
    assert len(kept) == sum(split["scenarios"] for split in page["counts"].values()) >= 5
    rejects = [row for path in (corpus / "rejects").iterdir() for _, row in read_jsonl(path)]
    assert page["rejects"]["total"] == len(rejects) > 0
    assert sum(sum(by.values()) for by in page["rejects"]["by_stage"].values()) == len(rejects)
    for row in rejects:
        assert row["detail"]
        assert any(one["found"] for one in row["tried"])
        assert row["stage"] in ("formalise", "tell", "rebuild")
    lines = summary_lines(page)
    assert f"kept {len(kept)} of 7" in lines
    assert "for each scenario kept" in lines


def test_requests_add_up_over_kept_and_rejected(
    corpus: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    with Journal(tmp_path / "answers.jsonl") as journal:
        page = author_with_llm(CONFIG, offline(journal=journal), tmp_path, silent=True)
        totals = journal.totals()
    assert files(tmp_path) == files(corpus)  # a journal changes nothing
    for stage, counts in page["requests"]["by_stage"].items():
        assert counts["requests"] == totals[stage, "m"].requests
        assert counts["prompt_tokens"] == totals[stage, "m"].prompt_tokens
    kept = sum(split["scenarios"] for split in page["counts"].values())
    total = page["requests"]["total"]["requests"]
    assert page["requests"]["per_kept"]["requests"] == round(total / kept, 2)


class Reversed:
    """Another order of arrival."""

    name = "reversed"

    def __init__(self) -> None:
        self.inner = offline()

    def generate(self, requests: Sequence[Request]) -> Iterator[Response]:
        yield from reversed(list(self.inner.generate(requests)))


def test_neither_order_nor_width_shows_in_the_files(
    corpus: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    narrow = dataclasses.replace(CONFIG, in_flight=2)
    author_with_llm(narrow, Reversed(), tmp_path, silent=True)
    assert files(tmp_path) == files(corpus)


def test_a_missing_shard_is_written_again_alike(
    corpus: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    for name, data in files(corpus).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    (tmp_path / "scenarios" / "train-00001-of-00002.jsonl").unlink()
    author_with_llm(CONFIG, offline(), tmp_path, silent=True)
    assert files(tmp_path) == files(corpus)


def test_other_settings_in_the_same_folder_are_refused(corpus: pathlib.Path) -> None:
    with pytest.raises(UserError, match="differs in repairs, seed"):
        author_with_llm(dataclasses.replace(CONFIG, seed=1, repairs=0), offline(), corpus)
    author_with_llm(dataclasses.replace(CONFIG, in_flight=3), offline(), corpus, silent=True)


SLOW = """
import sys, time
from tests.authoring.llm.test_author import CONFIG, FLAWS
from ppt_jax.authoring.backends.journal import Journal
from ppt_jax.authoring.backends.offline import OfflineBackend
from ppt_jax.authoring.llm.author import author_with_llm
from ppt_jax.authoring.llm.offline import OfflineAnswers
out, pause = sys.argv[1], float(sys.argv[2])
plain = OfflineAnswers(FLAWS)
def answer(request):
    time.sleep(pause)
    print(request.key, flush=True)
    return plain(request)
with Journal(out + "/answers.jsonl") as journal:
    author_with_llm(CONFIG, OfflineBackend(answer, journal=journal), out, silent=True)
"""


def test_killed_and_started_again_it_pays_nothing_twice_and_ends_alike(
    corpus: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    run = [sys.executable, "-c", SLOW, str(tmp_path), "0.02"]
    root = pathlib.Path(__file__).parents[3]
    with subprocess.Popen(run, stdout=subprocess.PIPE, text=True, cwd=root) as first:
        assert first.stdout is not None
        asked = [first.stdout.readline().strip() for _ in range(17)]
        os.kill(first.pid, signal.SIGKILL)
        asked += first.stdout.read().split()
    with open(tmp_path / "answers.jsonl", "ab") as journal:
        journal.write(b'{"kind": "answer", "key": "torn')  # as a dying disk write leaves it
    done = subprocess.run([*run[:-1], "0"], capture_output=True, text=True, cwd=root, check=True)
    again = done.stdout.split()
    assert len(asked) >= 17
    assert len(set(asked) & set(again)) <= 1  # the one that was under way
    assert files(tmp_path) == files(corpus)


def test_a_budget_ends_the_work_and_a_higher_one_goes_on(
    corpus: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    with Journal(tmp_path / "answers.jsonl") as journal:
        ledger = Ledger(Budget(max_requests=20), journal=journal)
        with pytest.raises(BudgetReached):
            author_with_llm(CONFIG, offline(journal=journal, ledger=ledger), tmp_path, silent=True)
        assert not (tmp_path / "corpus.json").exists()
        author_with_llm(CONFIG, offline(journal=journal), tmp_path, silent=True)
    assert files(tmp_path) == files(corpus)


def test_what_a_budget_paid_for_can_be_finished(tmp_path: pathlib.Path) -> None:
    finishing = dataclasses.replace(CONFIG, finish=True, in_flight=1)
    backend = offline(ledger=Ledger(Budget(max_requests=16)))
    page = author_with_llm(finishing, backend, tmp_path, silent=True)
    kept = sum(split["scenarios"] for split in page["counts"].values())
    assert 1 <= kept < 7
    assert page["rejects"]["by_reason"]["budget"] >= 1
    assert kept + page["rejects"]["by_reason"]["budget"] <= 7


class Hostile:
    """A server that answers everything with the same text."""

    name = "hostile"

    def __init__(self, text: str) -> None:
        self.text = text

    def generate(self, requests: Sequence[Request]) -> Iterator[Response]:
        for request in requests:
            yield Response(request.key, self.text, "stop")


HOSTILE = {
    "empty": "",
    "huge": "x" * 3_000_000,
    "deep": "[" * 200_000,
    "braces": "{" * 200_000,
    "html": "<script>fetch('http://x')</script>" * 50,
    "control": "\x00\x1b[2J" * 100,
    "surrogates": '{"story": "\\ud800"}',
    "python": "__import__('os').system('touch hacked')",
    "template": "{{ ''.__class__.__mro__ }} {% raw %}" * 20,
    "numbers": '{"sets": ' + "9" * 1_000_000 + "}",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_answers_are_rejects_and_nothing_else(name: str, tmp_path: pathlib.Path) -> None:
    config = dataclasses.replace(CONFIG, train_size=1, validation_size=0, shards=1, attempts=1)
    page = author_with_llm(config, Hostile(HOSTILE[name]), tmp_path, silent=True)
    assert page["rejects"]["total"] == 1
    assert not (tmp_path / "hacked").exists()
    (path,) = (tmp_path / "rejects").iterdir()
    assert path.stat().st_size < 60_000  # excerpts, not whole answers


def test_a_recorded_journal_replays_both_paths(tmp_path: pathlib.Path) -> None:
    with Journal(RECORDING, readonly=True) as journal:
        page = author_with_llm(RECORDED, ReplayBackend(journal), tmp_path, silent=True)
        recorded = {row["key"] for row in journal.rows() if row["kind"] == "answer"}
    kept = [row for path in (tmp_path / "scenarios").iterdir() for _, row in read_jsonl(path)]
    rejects = [row for path in (tmp_path / "rejects").iterdir() for _, row in read_jsonl(path)]
    assert len(kept) >= 4
    reasons = {row["reason"] for row in rejects}
    assert len(reasons) >= 3
    used = {key for row in kept for keys in row["provenance"]["requests"].values() for key in keys}
    used |= {one["request"] for row in rejects for one in row["tried"]}
    assert used == recorded  # every answer in the journal is used, none is missing
    assert page["requests"]["total"]["requests"] == len(recorded)
