"""The verification command: page, results, and the status for CI."""

from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys

from launch.verification_page import verification_page
from ppt_jax.inference.relabelling import Pair, Relabelling
from ppt_jax.inference.verdicts import verify
from ppt_jax.inference.verification import read_corpus
from tests.inference.test_verification import write

ROOT = pathlib.Path(__file__).parents[2]


def command(*flags: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "launch.verify_labels", *flags]
    return subprocess.run(line, capture_output=True, text=True, cwd=ROOT, timeout=800)


def test_an_alarm_ends_with_status_one_when_asked_to(tmp_path: pathlib.Path) -> None:
    labels = write(tmp_path / "labels", lambda mean, sd: (mean, sd / 2), size=150)
    done = command(f"--labels={labels}", "--fail_on_alarm")
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("verify: ALARM in 450 asks of 150 scenarios")
    assert "too narrow" in done.stdout
    data = json.loads((tmp_path / "verification" / "verification.json").read_text())
    assert data["alarm"] is True
    assert data["relabelling"] is None
    assert "too narrow" in (tmp_path / "verification" / "verification.html").read_text()


def test_a_folder_without_labels_is_named(tmp_path: pathlib.Path) -> None:
    (tmp_path / "labels").mkdir()
    done = command(f"--labels={tmp_path}")
    assert done.returncode == 2
    assert "no labelled shards (*.jsonl); run launch.label first" in done.stderr
    assert "did you mean its folder labels/?" in done.stderr


def test_the_page_is_whole_and_needs_no_network(tmp_path: pathlib.Path) -> None:
    labels = write(tmp_path, lambda mean, sd: (mean, sd), size=60)
    result = verify(read_corpus(labels))
    pair = Pair("case-1", "q<1>", "value", "test", "table", "numpyro", 0.3, 0.01, 0.3, 0.02)
    page = verification_page(result, Relabelling("numpyro", 9, {"label_error": 1}, (pair,)), "x")
    assert page.count("<svg") == len(result.curves) + len(result.reliability)
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    assert "$" not in re.sub(r"\s", "", page.split("<body>")[1])
    assert "q&lt;1&gt;" in page
    assert "ALARM: 8 of 9 scenarios labelled again" in page
    assert "Refused by numpyro: label_error 1" in page
