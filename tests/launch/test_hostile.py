"""Hostile input through every entrance: refused in one clear line, or kept as harmless text."""

from __future__ import annotations

import contextlib
import json
import pathlib
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from configs.quickstart import get_config
from launch import labelling, stages
from launch.browsing import browse
from launch.distributed import Processes
from launch.importing import import_programs
from ppt_jax.data.dataset import open_dataset
from ppt_jax.errors import UserError
from ppt_jax.scenario.document import Scenario, ScenarioError, read_scenarios, to_dict
from tests.evaluation.test_report_browser import BROWSER, visit
from tests.launch.hostile_documents import (
    GOOD_PROGRAMS,
    LINES,
    MARK,
    ORDERS,
    PROGRAMS,
    SCRIPT,
    WORDS,
    as_line,
    sound,
)

MEMORY_KB = 3 << 20  # of address space that the import of all programs has
FORBIDDEN = ("os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "socket.connect", "exec")
_armed: dict[int, list[str]] = {}  # by thread: what happened while nothing should


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if _armed and event in FORBIDDEN and threading.get_ident() in _armed:
        _armed[threading.get_ident()].append(f"{event} {args!r:.200}")


sys.addaudithook(_hook)


@contextlib.contextmanager
def nothing_executed() -> Iterator[None]:
    """Fails where Python runs code objects, starts a process or opens a connection."""
    seen = _armed.setdefault(threading.get_ident(), [])
    try:
        yield
    finally:
        del _armed[threading.get_ident()]
    assert seen == []
    assert not pathlib.Path(MARK).exists()


def test_what_is_executed_is_seen() -> None:
    for text in ("1", "import os; os.system('')"):
        with pytest.raises(AssertionError, match="exec"), nothing_executed():
            exec(text)


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Every hostile document in one file, a sound one before and after each."""
    lines = [as_line(sound("good-0"))]
    for number, (content, _) in enumerate(LINES.values(), start=1):
        if isinstance(content, dict) and content.get("id") == "good":
            content = {**content, "id": f"bad-{number}"}
        lines += [as_line(content), as_line(sound(f"good-{number}"))]
    path = tmp_path_factory.mktemp("hostile") / "train-00000-of-00001.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


GOOD = {f"good-{number}" for number in range(len(LINES) + 1)}
STRANGE = [name for name, (_, refusal) in LINES.items() if not refusal]
STRANGE_IDS = {f"bad-{list(LINES).index(name) + 1}" for name in STRANGE}


@pytest.mark.parametrize("name", LINES)
def test_a_document_is_refused_in_one_line_or_stays_text(name: str, tmp_path: pathlib.Path) -> None:
    content, refusal = LINES[name]
    path = tmp_path / "x.jsonl"
    path.write_bytes(as_line(content) + b"\n" + as_line(sound("next")) + b"\n")
    list(read_scenarios(path))  # imports are done
    with nothing_executed():
        found, after = read_scenarios(path)
    assert isinstance(after, Scenario)
    if not refusal:
        assert isinstance(content, dict)
        assert isinstance(found, Scenario), found
        assert to_dict(found)["story"] == content["story"]
        return
    assert isinstance(found, ScenarioError)
    message = str(found)
    assert message.startswith(f"{path}, line 1: ")
    assert re.search(refusal, message)
    assert message.isprintable()
    assert len(message) < len(str(path)) + 500


def test_importing_keeps_the_neighbours(shard: pathlib.Path, tmp_path: pathlib.Path) -> None:
    count, rejects = import_programs(shard, tmp_path / "out")
    made = read_scenarios(tmp_path / "out" / "scenarios-00000.jsonl")
    assert {s.id for s in made if isinstance(s, Scenario)} == GOOD | STRANGE_IDS
    assert count == len(GOOD) + len(STRANGE)
    assert len(rejects) == len(LINES) - len(STRANGE)
    stored = (tmp_path / "out" / "rejects.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(stored) == len(rejects)  # no text of a document ends a line


@pytest.fixture(scope="module")
def labelled(shard: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A work folder in which the shard is labelled."""
    workdir = tmp_path_factory.mktemp("labelled")
    labelling.run(get_config(), str(workdir), str(shard), None, Processes())
    return workdir


def test_labelling_keeps_the_neighbours(labelled: pathlib.Path, shard: pathlib.Path) -> None:
    lines = (labelled / "labels" / shard.name).read_text(encoding="utf-8").splitlines()
    rows = {row["scenario"]["id"]: row for row in map(json.loads, lines)}
    assert set(rows) == GOOD | STRANGE_IDS
    for row in rows.values():
        assert row["labels"][0]["probs"][1] == pytest.approx(0.27 / 0.34)
    stored = (labelled / "labels" / "rejects.jsonl").read_text(encoding="utf-8").splitlines()
    numbers = sorted(json.loads(line)["line"] for line in stored)
    refused = [2 * n for n, (_, why) in enumerate(LINES.values(), start=1) if why]
    assert numbers == refused


def test_strange_texts_go_through_the_dataset_as_they_are(labelled: pathlib.Path) -> None:
    config = get_config()
    stages.run_stage("dataset", config, str(labelled))
    records = {record.id: record for record in open_dataset(labelled / "dataset").split("train")}
    assert set(records) == GOOD | STRANGE_IDS
    for name in STRANGE:
        content = LINES[name][0]
        assert isinstance(content, dict)
        record = records[f"bad-{list(LINES).index(name) + 1}"]
        assert record.story == content["story"]
        assert record.asks[0].text == content["ask"][0]["text"]


ROWS = {  # labelled rows -> what the refusal says
    "deep": (b"[" * 100_000, "not a JSON object"),
    "digits": (b'{"a": ' + b"9" * 10_000 + b"}", "not a JSON object"),
    "bytes": (b'{"scenario": "\xff"}', "not UTF-8"),
    "list": (b"[]", "must be a JSON object"),
    "no labels": (json.dumps({"scenario": sound()}).encode(), "'labels': must be a list"),
    "NaN": ({"probs": [float("nan"), 1.0]}, "finite"),
    "negative": ({"probs": [-1.0, 2.0]}, "negative"),
    "texts": ({"probs": ["0.5", {}]}, "numbers"),
    "options": ({"options": [["no"], 7]}, "every option is a text"),
    "half a surrogate": ({"story": "\ud800"}, "cannot be stored"),
    "many": ({"probs": [0.5] * 100_000}, "2 probabilities"),
    "huge": ({"probs": [10**400, 0]}, "must hold numbers"),
    "truth": ({"true_answer": 10**30}, "no answer"),
    "error": ({"error": "0"}, "must be a number"),
    "huge error": ({"error": 10**400}, "the number is too large"),
    "ask id": ({"ask_id": ["q1"]}, "has no label"),
}


@pytest.mark.parametrize("name", ROWS)
def test_the_dataset_names_the_row_that_it_refuses(name: str, tmp_path: pathlib.Path) -> None:
    content, refusal = ROWS[name]
    label = {"ask_id": "q1", "kind": "choice", "probs": [0.2, 0.8], "prior_probs": [0.7, 0.3]}
    label |= {"route": "exact", "ess": None, "error": 0.0, "information": 0.1}
    good = json.dumps({"scenario": sound(), "labels": [label]}).encode()
    if isinstance(content, dict):
        row = {"scenario": sound("bad"), "labels": [{**label, **content}]}
        row["scenario"]["ask"][0].update({k: v for k, v in content.items() if k == "options"})
        row["scenario"].update({k: v for k, v in content.items() if k == "story"})
        content = json.dumps(row).encode()
    (tmp_path / "labels").mkdir()
    path = tmp_path / "labels" / "train-00000-of-00001.jsonl"
    path.write_bytes(good + b"\n" + content + b"\n")
    (tmp_path / "labels" / "summary.json").write_text("{}")
    from ppt_jax.data.dataset import build_dataset

    with pytest.raises(UserError, match=refusal) as error:
        build_dataset(tmp_path / "labels", tmp_path / "dataset", silent=True)
    assert f"{path}, line 2" in str(error.value)
    assert len(str(error.value)) < len(str(path)) + 600
    assert not (tmp_path / "dataset").exists()


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Hostile programs of every format, among sound ones."""
    folder = tmp_path_factory.mktemp("programs")
    for name, (content, _) in PROGRAMS.items():
        data = content if isinstance(content, bytes) else content.encode()
        stem, _, suffix = name.partition(".")
        (folder / f"{stem}_{suffix}.{suffix}").write_bytes(data)
    for name, text in (GOOD_PROGRAMS | WORDS).items():
        stem, _, suffix = name.partition(".")
        kind = "py" if name in WORDS else suffix
        (folder / f"{stem}_{kind}.{suffix}").write_text(text)
    return folder


def test_programs_are_refused_by_name_and_neighbours_kept(
    programs: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    for number, name in enumerate(GOOD_PROGRAMS):  # imports are done
        stem, _, suffix = name.partition(".")
        import_programs(programs / f"{stem}_{suffix}.{suffix}", tmp_path / f"once{number}")
    with nothing_executed():
        count, rejects = import_programs(programs, tmp_path / "out")
    assert count == len(GOOD_PROGRAMS)
    refused = {pathlib.Path(row["file"]).name: row for row in rejects}
    assert len(refused) == len(rejects) == len(PROGRAMS)
    for name, (_, refusal) in PROGRAMS.items():
        stem, _, suffix = name.partition(".")
        message = refused[f"{stem}_{suffix}.{suffix}"]["message"]
        assert re.search(refusal, message), (name, message)
        assert message.isprintable()
        assert len(message) < len(str(programs)) + 500


def test_the_import_command_ends_well_in_little_memory(
    programs: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    limited = ("sh", "-c", f'ulimit -v {MEMORY_KB} && exec "$@"', "sh", sys.executable)
    command = ("-m", "launch.import_programs", f"--input={programs}", f"--out={tmp_path / 'out'}")
    done = subprocess.run([*limited, *command], capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    last = done.stdout.splitlines()[-1]
    assert f"{len(GOOD_PROGRAMS)} scenarios" in last
    assert f"{len(PROGRAMS)} refused" in last


@pytest.fixture(scope="module")
def pages(labelled: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The pages of the labelled documents, with rows among them that are none."""
    workdir = tmp_path_factory.mktemp("browsed")
    (workdir / "labels").mkdir()
    text = next((labelled / "labels").glob("train-*.jsonl")).read_bytes()
    row = json.loads(text.splitlines()[0])
    broken = [
        {**row, "labels": [{"ask_id": "q1", "probs": ["<b>", None], "error": SCRIPT}]},
        {**row, "labels": {"a": SCRIPT}},
        {**row, "scenario": {**row["scenario"], "id": SCRIPT}},
    ]
    more = b"".join(json.dumps(one).encode() + b"\n" for one in broken)
    odd = b"[" * 100_000 + b"\n\xff\n" + b"9" * 10_000 + b"\n"
    (workdir / "labels" / "train-00000-of-00001.jsonl").write_bytes(text + more + odd)
    count = browse(workdir, workdir / "out", per_page=500)
    assert count == len(GOOD) + len(STRANGE) + 2
    return workdir / "out"


def test_the_pages_show_markup_as_text(pages: pathlib.Path) -> None:
    for path in pages.glob("*.html"):
        page = path.read_text(encoding="utf-8")
        assert "<script>document" not in page
        assert not re.search(r"<img|<[^>]*onerror=", page)
        assert "default-src 'none'" in page
    told = (pages / "page-00000.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;document" in told
    assert ORDERS.partition("<")[0].strip() in told
    assert "{{7*7}}" in told


@pytest.mark.skipif(BROWSER is None, reason="no chromium here: the page is not opened")
def test_a_browser_runs_and_fetches_nothing_of_them(
    pages: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    for number, name in enumerate(("index.html", "page-00000.html")):
        dom, console, urls = visit(pages / name, tmp_path, 1000 + number)
        title = re.search(r"<title>(.*?)</title>", dom)
        assert title
        assert title.group(1) != "ran"
        assert console == []
        assert urls == []
