"""A journal keeps what was paid: torn lines, two processes, secrets, full disks."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys

import pytest

from ppt_jax.authoring.backends.journal import Journal
from ppt_jax.authoring.backends.protocol import Message, Request, Response
from ppt_jax.errors import UserError

ASK = Request((Message("user", "Zoë?"),), "m", {"type": "object"}, purpose="tell")


def reply(request: Request, text: str = "yes", **fields) -> Response:
    return Response(request.key, text, "stop", 7, 3, 0.5, raw={"choices": [text]}, **fields)


def test_answers_come_back_as_they_were(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "deep" / "answers.jsonl"
    given = reply(ASK, "naïve \ud800 \u2028 yes", enforced="json_schema", estimated=True)
    with Journal(path) as journal:
        assert journal.lookup(ASK.key) is None
        journal.record(ASK, given, backend="b", attempts=2)
        assert journal.lookup(ASK.key) == dataclasses.replace(given, cached=True)
    for readonly in (False, True):
        with Journal(path, readonly=readonly) as journal:
            found = journal.lookup(ASK.key)
            assert found == dataclasses.replace(given, cached=True)
            assert found is not None
            assert found.raw == given.raw
            assert len(journal) == 1
    row = list(Journal(path, readonly=True).rows())[1]
    assert row["request"]["messages"] == [["user", "Zoë?"]]
    assert row["request"]["schema"] == {"type": "object"}
    assert (row["attempts"], row["backend"]) == (2, "b")


def test_first_answer_counts_and_failures_do_not(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "answers.jsonl"
    other = dataclasses.replace(ASK, sample=1)
    with Journal(path) as journal:
        failed = Response(ASK.key, "", "error", error="down")
        journal.record(ASK, failed, backend="b", answered=False)
        assert journal.lookup(ASK.key) is None
        journal.record(ASK, reply(ASK, "one"), backend="b")
        journal.record(ASK, reply(ASK, "two"), backend="b")
        journal.record(other, reply(other, "three"), backend="b")
        before = journal.totals()
    with Journal(path) as journal:
        assert [journal.lookup(k).text for k in (ASK.key, other.key)] == ["one", "three"]
        assert journal.totals() == before
        totals = before["tell", "m"]
        assert (totals.requests, totals.failures) == (4, 1)
        assert (totals.prompt_tokens, totals.completion_tokens) == (21, 9)


@pytest.mark.parametrize("kept", [1, 40, -1])
def test_torn_last_line_is_ignored_then_cut_off(tmp_path: pathlib.Path, kept: int) -> None:
    path = tmp_path / "answers.jsonl"
    other = dataclasses.replace(ASK, sample=1)
    with Journal(path) as journal:
        journal.record(ASK, reply(ASK), backend="b")
    whole = path.read_bytes()
    with Journal(path) as journal:
        journal.record(other, reply(other), backend="b")
    torn = whole + path.read_bytes()[len(whole) :][:kept]
    path.write_bytes(torn)
    with Journal(path, readonly=True) as journal:
        assert len(journal) == 1
    assert path.read_bytes() == torn  # readers change nothing
    with Journal(path) as journal:
        assert len(journal) == 1
        journal.record(other, reply(other, "again"), backend="b")
    with Journal(path) as journal:
        assert journal.lookup(other.key).text == "again"
        assert journal.lookup(ASK.key).text == "yes"


def test_torn_first_line(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_bytes(b'{"kind": "jou')
    with Journal(path) as journal:
        journal.record(ASK, reply(ASK), backend="b")
    assert len(Journal(path, readonly=True)) == 1


def test_damaged_line_is_named(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "answers.jsonl"
    with Journal(path) as journal:
        journal.record(ASK, reply(ASK), backend="b")
    path.write_bytes(path.read_bytes().replace(b'"answer"', b'"answer', 1))
    with pytest.raises(UserError, match="line 2: damaged"):
        Journal(path)


def test_other_files_are_left_alone(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "scenarios.jsonl"
    path.write_text('{"id": 1}\n{"id": 2}')
    with pytest.raises(UserError, match="is no journal"):
        Journal(path)
    assert path.read_text() == '{"id": 1}\n{"id": 2}'
    with pytest.raises(UserError, match="cannot open the journal"):
        Journal(tmp_path / "missing.jsonl", readonly=True)


def test_one_writer_at_a_time(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "answers.jsonl"
    child = (
        "import sys\n"
        "from ppt_jax.authoring.backends.journal import Journal\n"
        "from ppt_jax.errors import UserError\n"
        "try: Journal(sys.argv[1])\n"
        "except UserError as error: print(error)\n"
        "else: print('opened')\n"
        "print(len(Journal(sys.argv[1], readonly=True)))\n"
    )
    root = pathlib.Path(__file__).parents[3]
    command = [sys.executable, "-c", child, str(path)]
    environment = {**os.environ, "PYTHONPATH": str(root)}

    def run() -> str:
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True
        ).stdout

    with Journal(path) as journal:
        journal.record(ASK, reply(ASK), backend="b")
        said = run()
        assert "another process is writing" in said
        assert said.endswith("1\n")  # readers may
    assert run().startswith("opened")


def test_secrets_are_not_written(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "answers.jsonl"
    secret = 'sk-"quoted"\\key'
    with Journal(path, secrets=(secret, "")) as journal:
        journal.record(ASK, reply(ASK, f"your key is {secret}!"), backend="b")
        journal.note("batch", said=secret)
        assert journal.lookup(ASK.key).text == "your key is [key]!"
    assert json.dumps(secret)[1:-1] not in path.read_text()
    assert [row["kind"] for row in Journal(path, readonly=True).rows()][1:] == ["answer", "batch"]


def test_full_disk_keeps_what_was_written(tmp_path: pathlib.Path, monkeypatch) -> None:
    path = tmp_path / "answers.jsonl"
    other = dataclasses.replace(ASK, sample=1)
    with Journal(path) as journal:
        journal.record(ASK, reply(ASK), backend="b")
        whole = path.read_bytes()
        real = os.pwrite

        def short(descriptor: int, data: bytes, place: int) -> int:
            if place > len(whole):
                raise OSError(28, "No space left on device")
            return real(descriptor, data[:10], place)

        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", short)
            with pytest.raises(UserError, match="No space left"):
                journal.record(other, reply(other), backend="b")
        assert path.read_bytes() == whole
        journal.record(other, reply(other), backend="b")
    assert len(Journal(path, readonly=True)) == 2
