"""The report in a real browser: nothing in the console, nothing fetched, nothing cut off."""

import json
import pathlib
import re
import shutil
import subprocess
import urllib.parse

import pytest

from ppt_jax.evaluation.findings import ReportInputs
from ppt_jax.evaluation.report import html_report
from ppt_jax.evaluation.tables import EvaluationConfig, evaluate
from tests.evaluation.synthetic import make_corpus

BROWSER = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--hide-scrollbars", "--enable-logging=stderr", "--v=0"),
)
HOSTILE = '</p><script>console.error("ran")</script><img src=http://127.0.0.1:9/x onerror=alert(1)>'
MEASURE = (
    "<script>document.title = [document.documentElement.scrollWidth - innerWidth, "
    "document.querySelectorAll('svg').length, "
    "[...document.querySelectorAll('svg')].filter(s => !s.getBoundingClientRect().width && "
    "!s.closest('details:not([open])')).length].join(' ')</script>"
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no chromium here: the page is not opened"),
]


def visit(
    page: pathlib.Path, folder: pathlib.Path, width: int, *more: str
) -> tuple[str, list[str], list[str]]:
    """DOM after loading, console lines, and addresses that were asked for over a network."""
    log = folder / f"net{width}.json"
    command = [
        *(str(BROWSER), *FLAGS, f"--user-data-dir={folder / f'profile{width}'}"),
        *(f"--window-size={width},900", f"--log-net-log={log}", *more, "--dump-dom"),
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stderr[-2000:]
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    text = log.read_text()
    events = json.loads(text if text.rstrip().endswith("}") else text.rstrip().rstrip(",") + "]}")
    own = ("google.com", "googleapis.com", "gvt1.com")  # the browser's, whatever page is shown
    urls = [
        url
        for event in events["events"]
        if re.match(r"https?:", url := str((event.get("params") or {}).get("url", "")))
        and not (urllib.parse.urlsplit(url).hostname or "").endswith(own)
    ]
    return done.stdout, console, urls


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    test, validation, labels = make_corpus(40, story=HOSTILE, question=HOSTILE)
    found = evaluate(test, validation, labels, EvaluationConfig(replicates=100))
    history = [{"phase": "ppt", "step": s, "loss": 3.0 / (1 + s)} for s in range(200)]
    inputs = ReportInputs(evaluation=found, title=HOSTILE, header={"run": HOSTILE}, history=history)
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(html_report(inputs).replace("</body>", MEASURE + "</body>"))
    return path


def title_of(dom: str) -> list[int]:
    found = re.search(r"<title>(-?\d+) (\d+) (\d+)</title>", dom)
    assert found, dom[:500]
    return [int(number) for number in found.groups()]


@pytest.mark.parametrize("width", [1200, 500])
def test_page_is_quiet_and_fits(page: pathlib.Path, tmp_path: pathlib.Path, width: int) -> None:
    dom, console, urls = visit(page, tmp_path, width)
    overflow, pictures, invisible = title_of(dom)
    assert console == []
    assert urls == []
    assert overflow <= 0  # nothing wider than the window, on a phone either
    assert pictures > 20
    assert invisible == 0


def test_the_check_itself_sees_errors_and_requests(tmp_path: pathlib.Path) -> None:
    bad = tmp_path / "bad.html"
    live = HOSTILE.replace("alert(1)", "0")  # a dialog would wait for somebody to close it
    bad.write_text(f"<html><body><p>{live}</p>{MEASURE}</body></html>")
    _, console, urls = visit(bad, tmp_path, 700)
    assert any("ran" in line for line in console)
    assert any("127.0.0.1:9" in url for url in urls)
