"""The pages of the browser: complete, harmless whatever a story says, paged."""

from __future__ import annotations

import html.parser
import json
import pathlib
import threading
import urllib.error
import urllib.request
from typing import Any

import pytest

from launch.browsing import browse, serve
from launch.program_picture import MOST_NODES, parents, program_svg
from ppt_jax.errors import UserError
from ppt_jax.scenario.document import parse_scenario
from tests.scenario.build import WORKED, document, node, worked

HOSTILE = (
    "</script><script>alert(1)</script> <img src=x onerror=alert(2)> <!-- <script> ]]> "
    "$title ${body} &lt; \" ' javascript:alert(3) \u200f\u2028 \U0001f600 </main>"
)


class Reader(html.parser.HTMLParser):
    """Collects elements, attributes and text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(path: pathlib.Path) -> Reader:
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    return reader


def write(folder: pathlib.Path, *rows: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(row) + "\n" for row in rows)
    (folder / "train-00000-of-00001.jsonl").write_text("".join(lines))


def labelled(row: dict[str, Any]) -> dict[str, Any]:
    labels = []
    for ask in row["ask"]:
        size = len(ask.get("options") or ()) or (2 if ask["kind"] == "choice" else 101)
        probs = [1 / size] * size
        labels.append({"ask_id": ask["id"], "kind": ask["kind"], "probs": probs,
                       "prior_probs": probs, "route": "exact", "error": 0.0125,
                       "information": 0.5, "true_answer": 1})  # fmt: skip
    return {"scenario": row, "labels": labels}


def test_everything_of_a_scenario_is_on_its_page(tmp_path: pathlib.Path) -> None:
    rows = [worked(name) for name in WORKED]
    write(tmp_path / "labels", *map(labelled, rows))
    assert browse(tmp_path, tmp_path / "out", per_page=2) == 3
    pages = sorted((tmp_path / "out").glob("page-*.html"))
    assert len(pages) == 2
    text = " ".join(t for page in pages for t in read(page).text)
    for row in rows:
        told = " ".join(text.split())
        assert " ".join(row["story"].split()) in told
        for part in (*row["model"], *row["ask"]):
            assert part["expr"] in told
        assert all(one["that"] in told for one in row["given"])
        assert all(ask["text"] in told for ask in row["ask"])
    assert "error 0.0125" in text
    assert "exact" in text
    index = read(tmp_path / "out" / "index.html")
    data = json.loads(next(t for t in index.text if t.startswith("[{")))
    assert [row["page"] for row in data] == [
        "page-00000.html#s0", "page-00000.html#s1", "page-00001.html#s2",
    ]  # fmt: skip
    anchors = [attrs.get("id") for tag, attrs in read(pages[1]).tags if tag == "article"]
    assert anchors == ["s2"]


def test_hostile_texts_stay_texts(tmp_path: pathlib.Path) -> None:
    row = worked("kiln-crack-01")
    clean = tmp_path / "clean"
    write(clean / "scenarios", row)
    browse(clean, clean / "out")
    text = HOSTILE
    hostile = json.loads(json.dumps(row)) | {
        "story": text, "domain": HOSTILE[:80], "skin": HOSTILE[:80],
        "genre": "<b>", "split": "</script>", "provenance": {"<i>": HOSTILE},
    }  # fmt: skip
    hostile["ask"][0]["text"] = text
    hostile["model"][0]["says"] = "<script>alert(4)</script>"
    write(tmp_path / "scenarios", hostile)
    browse(tmp_path, tmp_path / "out")
    for name in ("index.html", "page-00000.html"):
        plain, bad = read(clean / "out" / name), read(tmp_path / "out" / name)
        told = [(t, sorted(a)) for t, a in bad.tags if t != "dt"]
        kinds = {tag for tag, _ in told}
        assert kinds <= {t for t, _ in plain.tags} | {"div", "dd"}
        assert not any(key.startswith("on") for _, attrs in bad.tags for key in attrs)
        count = sum(tag == "script" for tag, _ in bad.tags)
        assert count == sum(tag == "script" for tag, _ in plain.tags)
        page = (tmp_path / "out" / name).read_text(encoding="utf-8")
        assert "<script>alert" not in page
        assert "default-src 'none'" in page
        assert "http:" not in page
        assert "https:" not in page


def test_a_huge_story_and_many_nodes(tmp_path: pathlib.Path) -> None:
    rows = [node(f"x{k}", "normal(mean=0, sd=1)") for k in range(MOST_NODES + 1)]
    row = document(*rows, story="word " * 11_000)
    write(tmp_path, row)
    assert browse(tmp_path, tmp_path / "out") == 1
    assert (tmp_path / "out" / "index.html").stat().st_size < 60_000
    assert "too many for a picture" in program_svg(parse_scenario(row))


def test_thousands_are_paged_and_old_pages_go(tmp_path: pathlib.Path) -> None:
    rows = [document(node("x", "normal(mean=0, sd=1)"), id=f"n-{k}") for k in range(1200)]
    write(tmp_path / "scenarios", *rows, {"schema": "scenario/1", "id": "broken"})
    assert browse(tmp_path, tmp_path / "out", per_page=100) == 1200
    assert len(list((tmp_path / "out").glob("page-*.html"))) == 12
    assert "1 unsound left out" in (tmp_path / "out" / "index.html").read_text()
    assert browse(tmp_path, tmp_path / "out", per_page=600) == 1200
    assert len(list((tmp_path / "out").glob("page-*.html"))) == 2


def test_the_graph_has_the_formulas_edges() -> None:
    scenario = parse_scenario(worked("ferry-bells-12"))
    assert parents(scenario)["late"] == ("before", "first", "after")
    picture = program_svg(scenario)
    assert picture.count('class="edge"') == sum(map(len, parents(scenario).values()))
    assert picture.count("<g ") == len(scenario.model)
    assert picture.count('class="seen"') == 1


def test_served_on_loopback_only(tmp_path: pathlib.Path) -> None:
    write(tmp_path / "scenarios", worked("kiln-crack-01"))
    browse(tmp_path, tmp_path / "out")
    with serve(tmp_path / "out", 0) as server:
        assert server.server_address[0] == "127.0.0.1"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{server.server_address[1]}/index.html"
        with urllib.request.urlopen(address, timeout=10) as reply:
            assert b"kiln-crack-01" in reply.read()
        foreign = urllib.request.Request(address, headers={"Host": "rebound.example:80"})
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(foreign, timeout=10)
        server.shutdown()


def test_nothing_to_read(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UserError, match="no scenarios"):
        browse(tmp_path, tmp_path / "out")
    write(tmp_path, {"id": "broken"})
    with pytest.raises(UserError, match=r"none of 1 lines is sound.*line 1: broken: schema"):
        browse(tmp_path, tmp_path / "out")
