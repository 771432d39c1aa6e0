"""Pages to read scenarios: an index with search, and pages of whole scenarios.

Every text of a scenario is untrusted. On the server side it goes through `escape`; the index gets
it as JSON in which no ``<`` is left, and its script writes text nodes only. The pages' content
security policy allows no network, and no script but the index's own, by its hash.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import importlib.resources
import json
import re
import string
from collections.abc import Mapping, Sequence
from typing import Any

from launch.program_picture import program_svg
from ppt_jax.evaluation.page import html_table
from ppt_jax.evaluation.svg import Panel, escape
from ppt_jax.scenario.document import Scenario, missing_spans

MOST_OPTIONS = 12
SERIES = ("before", "after", "base", "other")
STYLE = """<style>
svg.program{max-width:none;height:auto} svg.program text{text-anchor:middle}
.edge{fill:none;stroke:var(--muted);stroke-width:1.2}
.draw rect{fill:var(--card);stroke:var(--after);stroke-width:1.6}
.seen rect{fill:var(--label-fill);stroke:var(--label);stroke-width:1.6}
.let rect{fill:none;stroke:var(--muted);stroke-dasharray:3 3}
.told{font-family:var(--serif);white-space:pre-line;overflow-wrap:anywhere;max-width:46rem}
article{border-top:1px solid var(--rule);padding-top:1rem;margin-top:2.4rem}
article h2{border:0;margin:0;padding:0;overflow-wrap:anywhere}
article td,article th{white-space:normal;overflow-wrap:anywhere;text-align:left;min-width:5rem}
code{font-size:.86rem;overflow-wrap:anywhere}
form{display:flex;flex-wrap:wrap;gap:.6rem;margin:1rem 0}
input,select,button{font:inherit;font-size:.9rem;padding:.35rem .5rem;color:var(--ink);
  background:var(--card);border:1px solid var(--rule);border-radius:5px;max-width:100%}
#list li{margin:.5rem 0;overflow-wrap:anywhere} #list{padding-left:1.1rem}
.bars i.uniform{opacity:.45}
#list small{color:var(--muted);display:block}
nav{display:flex;gap:1rem;flex-wrap:wrap}
</style>"""
SCRIPT = """
const rows=JSON.parse(document.getElementById("rows").textContent), size=50;
const form=document.querySelector("form"), list=document.getElementById("list");
let page=0;
for(const name of ["motif","skin","split"]){
  const box=form.elements[name];
  for(const value of [...new Set(rows.map(r=>r[name]))].filter(Boolean).sort()){
    const option=document.createElement("option"); option.textContent=value; option.value=value;
    box.append(option);
  }
}
function show(){
  const words=form.elements.text.value.toLowerCase().split(/\\s+/).filter(Boolean);
  const least=parseFloat(form.elements.error.value)||0;
  let found=rows.filter(r=>["motif","skin","split"].every(n=>!form.elements[n].value
    ||r[n]===form.elements[n].value)&&(r.error||0)>=least&&words.every(w=>r.find.includes(w)));
  if(form.elements.order.value==="error") found=[...found].sort((a,b)=>(b.error||0)-(a.error||0));
  const pages=Math.max(1,Math.ceil(found.length/size)); page=Math.min(Math.max(page,0),pages-1);
  list.replaceChildren();
  for(const r of found.slice(page*size,(page+1)*size)){
    const item=document.createElement("li"), link=document.createElement("a");
    link.textContent=r.id; link.href=r.page; item.append(link);
    const note=document.createElement("small");
    note.textContent=[r.motif,r.skin,r.split,r.error===null?"":"error "+r.error.toFixed(4)]
      .filter(Boolean).join(" \\u00b7 ")+" \\u2014 "+r.start;
    item.append(note); list.append(item);
  }
  document.getElementById("count").textContent=
    found.length+" of "+rows.length+" scenarios, page "+(page+1)+" of "+pages;
}
form.addEventListener("input",()=>{page=0;show()});
form.addEventListener("submit",e=>e.preventDefault());
document.getElementById("back").addEventListener("click",()=>{page--;show()});
document.getElementById("on").addEventListener("click",()=>{page++;show()});
show();
"""


@dataclasses.dataclass(frozen=True)
class Entry:
    """One scenario with what is known about it.

    Attributes:
      scenario: the document.
      labels: ask id -> its label as stored (``probs``, ``prior_probs``, ``route``, ``error``, ...).
      answers: ask id -> model -> probabilities over the answers.
    """

    scenario: Scenario
    labels: Mapping[str, Mapping[str, Any]]
    answers: Mapping[str, Mapping[str, Sequence[float]]]

    @property
    def error(self) -> float | None:
        """The largest estimated error of its labels."""
        errors = [float(label["error"]) for label in self.labels.values() if "error" in label]
        return max(errors, default=None)


def _page(title: str, body: str, script: str = "") -> str:
    template = importlib.resources.files("ppt_jax.evaluation").joinpath("template.html")
    page = string.Template(template.read_text(encoding="utf-8"))
    text = page.substitute(title=escape(title), body=body)
    allowed = "'none'"
    if script:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        allowed = f"'sha256-{digest}'"
        text = text.replace("</main>", f"</main>\n<script>{script}</script>", 1)
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src {allowed}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    head = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    text = text.replace('<meta charset="utf-8">', f'<meta charset="utf-8">\n{head}', 1)
    return text.replace("</head>", f"{STYLE}\n</head>", 1)


def index_page(entries: Sequence[Entry], per_page: int, note: str) -> str:
    """The index: every scenario with its page, filtered and searched by a small script.

    Args:
      entries: all scenarios.
      per_page: of the pages that `scenarios_page` makes.
      note: a line below the title.
    """
    rows = []
    for number, entry in enumerate(entries):
        scenario = entry.scenario
        start = " ".join(scenario.story[:1000].split())[:400]
        asked = " ".join(ask.text for ask in scenario.ask)[:300]
        find = f"{scenario.id} {scenario.motif} {scenario.skin} {scenario.genre} {start} {asked}"
        rows.append(
            {
                "id": scenario.id,
                "motif": scenario.motif,
                "skin": scenario.skin[:100],
                "split": scenario.split[:100],
                "error": entry.error,
                "start": start[:160] + "\u2026" * (len(start) > 160),
                "find": find.lower(),
                "page": f"page-{number // per_page:05d}.html#s{number}",
            }
        )
    data = json.dumps(rows, ensure_ascii=True, allow_nan=False)
    data = data.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    selects = "".join(
        f'<select name="{name}" aria-label="{name}"><option value="">any {name}</option></select>'
        for name in ("motif", "skin", "split")
    )
    body = (
        f'<p class="kicker">Scenarios</p><h1>{len(entries):,} scenarios</h1><p>{escape(note)}</p>'
        '<form><input name="text" placeholder="words of text, id, question" '
        f'aria-label="text">{selects}<input name="error" type="number" min="0" step="0.001" '
        'placeholder="label error from" aria-label="least label error">'
        '<select name="order" aria-label="order"><option value="">in order</option>'
        '<option value="error">largest error first</option></select></form>'
        '<p id="count"></p><ul id="list"></ul><nav><button id="back">previous</button>'
        '<button id="on">next</button></nav>'
        f'<script type="application/json" id="rows">{data}</script>'
    )
    return _page("Scenarios", body, SCRIPT)


def scenarios_page(entries: Sequence[Entry], first: int, number: int, pages: int) -> str:
    """One page of whole scenarios.

    Args:
      entries: the scenarios of this page.
      first: number of the first of them.
      number: of this page, from 0.
      pages: how many there are.
    """
    links = ['<a href="index.html">index</a>']
    if number:
        links.append(f'<a href="page-{number - 1:05d}.html">previous</a>')
    if number + 1 < pages:
        links.append(f'<a href="page-{number + 1:05d}.html">next</a>')
    nav = f"<nav>{''.join(links)}</nav>"
    articles = "".join(_article(entry, first + k) for k, entry in enumerate(entries))
    title = f"Scenarios, page {number + 1} of {pages}"
    return _page(title, f'<p class="kicker">{escape(title)}</p>{nav}{articles}{nav}')


def _article(entry: Entry, number: int) -> str:
    scenario = entry.scenario
    cards = {
        name: getattr(scenario, name)
        for name in ("motif", "domain", "skin", "genre", "told", "split", "family", "evidence")
    }
    listed = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
        for name, value in cards.items()
        if value
    )
    missing = missing_spans(scenario)
    checks = ["quoted spans stand in the story" if not missing else ""]
    checks += [f"{field}: not in the story: {span[:120]}" for field, span in missing]
    checks += ["a truth is stored" if scenario.truth else "no truth is stored"]
    program = [
        (
            f"<code>{escape(node.name)}{escape(list(node.per)) if node.per else ''}</code>",
            f"<code>{escape(node.expr)}</code>",
            escape(node.unit),
            escape(node.says),
        )
        for node in scenario.model
    ]
    given = [(f"<code>{escape(one.that)}</code>", escape(one.says)) for one in scenario.given]
    sets = "".join(
        f"<li><code>{escape(named.name)}</code>: {escape(', '.join(named.members))}</li>"
        for named in scenario.sets
    )
    asks = "".join(_ask(entry, place) for place in range(len(scenario.ask)))
    origin = json.dumps(dict(scenario.provenance), ensure_ascii=False)[:2000]
    truth = ", ".join(f"{name} = {value:g}" for name, value in list(scenario.truth.items())[:60])
    return (
        f'<article id="s{number}"><h2>{escape(scenario.id)}</h2><dl class="card">{listed}</dl>'
        f'<p class="told" dir="auto">{escape(scenario.story)}</p>'
        f'<h3>Asks</h3><div class="asks">{asks}</div><h3>Program</h3>{program_svg(scenario)}'
        f"<details><summary>Formulas</summary>{f'<ul>{sets}</ul>' if sets else ''}"
        f"{html_table(('quantity', 'formula', 'unit', 'told as'), program)}</details>"
        + (f"<h3>Observations</h3>{html_table(('given', 'told as'), given)}" if given else "")
        + "<details><summary>Checks, truth, provenance</summary><ul>"
        + "".join(f"<li>{escape(line)}</li>" for line in checks if line)
        + f"</ul><p><code>{escape(truth)}</code></p><p><code>{escape(origin)}</code></p></details>"
        "</article>"
    )


def _ask(entry: Entry, place: int) -> str:
    ask = entry.scenario.ask[place]
    label = entry.labels.get(ask.id, {})
    known: list[str] = [ask.kind]
    known += [f"{label['route']}" if "route" in label else "no label"]
    known += [f"error {label['error']:.4f}" if isinstance(label.get("error"), float) else ""]
    told = label.get("information")
    known += [f"{told:.3f} nat" if isinstance(told, float) else ""]
    curves: list[tuple[str, str, Sequence[float]]] = []
    if "prior_probs" in label:
        curves.append(("prior", "uniform", label["prior_probs"]))
    if "probs" in label:
        curves.append(("posterior", "label", label["probs"]))
    for at, (model, probs) in enumerate(entry.answers.get(ask.id, {}).items()):
        series = model if model in SERIES else SERIES[at % len(SERIES)]
        curves.append((model, series, probs))
    true = label.get("true_answer")
    picture = ""
    if curves and ask.kind == "choice":
        picture = _options(ask.options or ("no", "yes"), curves, true)
    elif curves:
        picture = _histogram(ask, curves, true)
    legend = "".join(f'<span class="{s}">{escape(name)}</span>' for name, s, _ in curves)
    return (
        f'<section class="ask"><p class="tag"><b>{escape(ask.id)}</b> '
        f"{escape(' · '.join(filter(None, known)))}</p>"
        f'<p class="question" dir="auto">{escape(ask.text)}</p>'
        f'<p><code>{escape(ask.expr)}</code></p><div class="legend">{legend}</div>{picture}'
        "</section>"
    )


def _options(
    options: Sequence[str], curves: Sequence[tuple[str, str, Sequence[float]]], true: Any
) -> str:
    cells = []
    for k, option in enumerate(options[:MOST_OPTIONS]):
        mark = " (true)" if true == k else ""
        for at, (_, series, probs) in enumerate(curves):
            share = float(probs[k]) if k < len(probs) else 0.0
            cells.append(
                f"<span>{escape(option + mark) if not at else ''}</span>"
                f'<i class="{series}" style="width:{100 * share:.1f}%;background:var(--c)"></i>'
                f"<b>{share:.2f}</b>"
            )
    more = len(options) - MOST_OPTIONS
    rest = f'<p class="none">and {more} more</p>' if more > 0 else ""
    return f'<div class="bars">{"".join(cells)}</div>{rest}'


def _histogram(ask: Any, curves: Sequence[tuple[str, str, Sequence[float]]], true: Any) -> str:
    """Twenty bins of the 101 answers, on the ask's own scale where it has one."""
    low, high = (ask.low, ask.high) if ask.kind == "value" else (0.0, 100.0)
    edges = [low + (high - low) * k / 20 for k in range(21)]
    binned = []
    for _, series, probs in curves:
        heights = [0.0] * 20
        for k, p in enumerate(probs[:101]):
            heights[min(k // 5, 19)] += float(p)
        binned.append((series, heights))
    top = 1.1 * max(max(heights) for _, heights in binned) or 1.0
    unit = re.sub(r"\s+", " ", ask.unit)[:30]
    panel = Panel("", "Posterior against prior", (low, high), (0.0, top), unit, "share of 20 bins")
    for series, heights in binned:
        if series == "label":
            panel.bars(edges, heights, "label-bar")
    for series, heights in binned:
        if series != "label":
            panel.steps(edges, heights, series)
    if isinstance(true, int):
        at = low + (high - low) * true / 100
        panel.line([at, at], [0.0, top], "truth", "thin dashed")
    return panel.svg()
