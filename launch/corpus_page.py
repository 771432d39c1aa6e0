"""The page of a corpus: gates, shares, answers, leakage, rejects, and stories to read.

Made of `corpus.json` and a few scenarios; all text is escaped, nothing is loaded from elsewhere.
"""

from __future__ import annotations

import importlib.resources
import string
from collections.abc import Mapping, Sequence
from typing import Any

from ppt_jax.evaluation.page import html_table
from ppt_jax.evaluation.svg import Panel, escape

FIRST_ROWS = 24
STYLE = """<style>
.gates th{white-space:normal;min-width:8.5rem} .gates thead th:not(:first-child){min-width:0}
.gates thead th{text-align:right}
.gates thead th:first-child{text-align:left} .gates td:nth-child(3){white-space:normal}
td.held{color:var(--good)} td.missed{color:var(--bad);font-weight:650} td.open{color:var(--muted)}
td.note{white-space:normal;color:var(--muted);text-align:left;min-width:9rem}
.told{font-family:var(--serif);white-space:pre-line;overflow-wrap:anywhere;margin:.4rem 0 .8rem}
.stories{display:grid;grid-template-columns:repeat(auto-fill,minmax(300px,1fr));gap:1.2rem}
.stories article{border:1px solid var(--rule);border-radius:6px;padding:.9rem 1rem;
background:var(--card);min-width:0}
.stories ol{margin:.3rem 0 0;padding-left:1.2rem;font-size:.88rem}
@media (max-width:560px){.stories{grid-template-columns:minmax(0,1fr)}}
</style>"""


def corpus_page(page: Mapping[str, Any], examples: Sequence[Mapping[str, Any]], source: str) -> str:
    """A self-contained HTML page.

    Args:
      page: the content of ``corpus.json``, from `ppt_jax.authoring.corpus.describe`.
      examples: scenarios as dicts, to be read.
      source: where the corpus stands.
    """
    template = importlib.resources.files("ppt_jax.evaluation").joinpath("template.html")
    parts = [STYLE, _head(page, source), _gates(page["gates"]), _shares(page)]
    if page["answers"]:
        parts += [_answers(page["answers"]), _calibration(page["answers"]["calibration"])]
    parts += [_leakage(page["leakage"]), _texts(page), _rejects(page["rejects"])]
    parts += [_examples(examples), _reading()]
    text = string.Template(template.read_text(encoding="utf-8"))
    return text.substitute(title="Corpus", body="\n".join(filter(None, parts)))


def _head(page: Mapping[str, Any], source: str) -> str:
    gates = page["gates"]
    held = sum(gate["passed"] is True for gate in gates)
    missed = [gate["name"] for gate in gates if gate["passed"] is False]
    judged = held + len(missed)
    verdict = f"{held} of {judged} gates held"
    if missed:
        verdict += "; missed: " + ", ".join(missed)
    tone = "good" if judged and not missed else "mixed" if held >= len(missed) else "bad"
    counts = page["counts"]
    cards = {
        "Corpus": source,
        "Scenarios": f"{sum(split['scenarios'] for split in counts.values()):,}",
        "Asks": f"{sum(split['asks'] for split in counts.values()):,}",
        "Motifs": str(len(page["shares"]["motif"])),
        "Skins": str(len(page["shares"]["skin"])),
        "Genres": str(len(page["shares"]["genre"])),
        "Structures": f"{page['structure']['signatures']:,}",
        "Rejects": f"{page['rejects']['total']:,}",
        **{
            f"Split {name}": f"{split['scenarios']:,}"
            for name, split in counts.items()
            if split["scenarios"]
        },
    }
    listed = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
        for name, value in cards.items()
    )
    return (
        f'<p class="kicker">Scenarios</p><h1>Corpus</h1><p class="verdict {tone}">'
        f'{escape(verdict)}</p><dl class="card">{listed}</dl>'
    )


def _gates(gates: Sequence[Mapping[str, Any]]) -> str:
    words = {True: ("held", "held"), False: ("missed", "missed"), None: ("open", "not judged")}
    rows = []
    for gate in gates:
        tone, verdict = words[gate["passed"]]
        value = "" if gate["value"] is None else f"{gate['value']:,.4g}"
        rows.append(
            f'<tr><th scope="row">{escape(gate["group"])}: {escape(gate["name"])}</th>'
            f"<td>{value}</td><td>{escape(gate['limit'])}</td>"
            f'<td class="{tone}">{verdict}</td><td class="note">{escape(gate["note"])}</td></tr>'
        )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("measure", "value", "gate", "", ""))
    return (
        "<h2>Gates</h2><p>Start values for a corpus of some ten thousand scenarios that a model is "
        "to be post-trained on. A small recipe with a few motifs misses some of them on purpose."
        f'</p><div class="scroll" tabindex="0"><table class="gates"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _bars(title: str, shares: Mapping[str, float]) -> str:
    """Shares as bars, the largest first; what does not fit is folded away."""
    if not shares:
        return ""
    ordered = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
    top = max(ordered[0][1], 1e-9)
    cells = [
        f'<span>{escape(name or "(none)")}</span><i style="width:{100 * share / top:.1f}%"></i>'
        f"<b>{100 * share:.2f} %</b>"
        for name, share in ordered
    ]
    shown = f'<div class="bars">{"".join(cells[:FIRST_ROWS])}</div>'
    if cells[FIRST_ROWS:]:
        rest = f'<div class="bars">{"".join(cells[FIRST_ROWS:])}</div>'
        more = f"<summary>{len(cells) - FIRST_ROWS} more</summary>"
        shown += f"<details>{more}{rest}</details>"
    return f"<div><h3>{escape(title)}</h3>{shown}</div>"


def _shares(page: Mapping[str, Any]) -> str:
    shares = dict(page["shares"])
    shares["route"] = page["answers"].get("route", {}) if page["answers"] else {}
    titles = {
        "motif": "Motifs",
        "skin": "Skins",
        "family": "Families",
        "genre": "Genres",
        "told": "How numbers are told",
        "kind": "Kinds of asks",
        "mutation": "Structure mutations (share of scenarios with each)",
        "route": "Routes of the labels",
    }
    bars = "".join(_bars(title, shares[key]) for key, title in titles.items())
    return f'<h2>Shares</h2><div class="columns">{bars}</div>'


def _histogram(title: str, shares: Sequence[float], label: str, band: tuple[float, float]) -> str:
    top = 1.15 * max(*shares, band[1])
    edges = [k / 10 for k in range(11)]
    panel = Panel(title, f"Shares of ten equal parts of {label}.", (0, 1), (0, top), label, "share")
    panel.band([0.0, 1.0], [band[0]] * 2, [band[1]] * 2, "null")
    panel.bars(edges, shares, "after")
    return f"<figure>{panel.svg()}</figure>"


def _answers(answers: Mapping[str, Any]) -> str:
    diversity, gain = answers["diversity"], answers["information"]
    figures = ""
    if diversity["probabilities"]:
        figures += _histogram(
            f"Probabilities, {diversity['probabilities']:,} asks",
            diversity["probability_deciles"],
            "probability of the second option, or chance",
            (0.05, 0.20),
        )
    if diversity["values"]:
        figures += _histogram(
            f"Values and ranks, {diversity['values']:,} asks",
            diversity["value_deciles"],
            "expected answer on its scale",
            (0.0, 0.25),
        )
    if gain.get("deciles"):
        panel = Panel(
            f"Information gained, {gain['asks']:,} asks",
            "Deciles of the nats that the evidence adds to the prior.",
            (0, 1),
            (0, 1.1 * max(gain["deciles"])),
            "share of the asks below",
            "nats",
        )
        panel.line([k / 10 for k in range(1, 10)], gain["deciles"], "after")
        panel.line([0.0, 1.0], [0.1, 0.1], "rule", "thin dashed")
        figures += f"<figure>{panel.svg()}</figure>"
    positions = [
        (
            escape(f"{count} options"),
            f"{diversity['best_positions_counts'][count]:,}",
            escape("  ".join(f"{share:.3f}" for share in shares)),
        )
        for count, shares in diversity["best_positions"].items()
    ]
    if diversity["yes_no"]:
        share = diversity["yes_share"]
        both = f"{1 - share:.3f}  {share:.3f}"
        positions.append(("no, yes", f"{diversity['yes_no']:,}", both))
    table = html_table(("likeliest option", "asks", "how often each position holds it"), positions)
    losses = [
        (
            escape(kind),
            f"{row['asks']:,}",
            f"{row['label']:.3f}",
            f"{row['prior']:.3f}<small>+{row['prior_excess']:.3f} ± {row['prior_error']:.3f}"
            "</small>",
            f"{row['constant']:.3f}<small>+{row['constant_excess']:.3f} ± "
            f"{row['constant_error']:.3f}</small>",
        )
        for kind, row in answers["base_rate"].items()
    ]
    scores = ""
    if losses:
        head = ("kind", "asks", "label", "prior alone", "constant answer")
        scores = (
            "<h3>Against cheap guesses</h3><p>Log score of the stored truths in nats, lower is "
            "better: of the labels, of the prior that ignores the evidence, and of one constant "
            "answer, the mean label of all asks of the kind. Below, what is lost to the label, "
            f"with its standard error over scenarios.</p>{html_table(head, losses)}"
        )
    made = "from labels" if answers.get("route") else "from the particles of the author's checks"
    error = answers.get("label_error")
    errors = ""
    if error:
        errors = (
            f" Stated label error (total variation over 20 bins): mean {error['mean']:.4f}, 95th "
            f"percentile {error['p95']:.4f}, greatest {error['p100']:.4f}."
        )
    return (
        f"<h2>Answers</h2><p>{answers['asks']:,} asks, {made}. The shaded bands are the gates."
        f'{errors}</p><div class="panels">{figures}</div>{table}{scores}'
    )


def _calibration(calibration: Mapping[str, Any]) -> str:
    found, text = calibration["groups"], ""
    if "verdict" in calibration:
        tone = "bad" if calibration["alarm"] else "good"
        text = f'<p class="verdict {tone}">{escape(calibration["verdict"])}</p>'
    if not found:
        return ""
    ordered = sorted(found.items(), key=lambda item: (item[0] != "all", item[1]["p"]))
    rows = [
        (
            escape(name),
            f"{row['scenarios']:,}",
            f"{row['p']:.3g}",
            f"{row['adjusted']:.3g}",
            f"{row['spread']:.3f}",
        )
        for name, row in ordered
    ]
    head = ("motif", "scenarios", "p", "p adjusted", "spread")
    table = html_table(head, rows[:FIRST_ROWS])
    if rows[FIRST_ROWS:]:
        more = html_table(head, rows[FIRST_ROWS:])
        table += f"<details><summary>{len(rows) - FIRST_ROWS} more motifs</summary>{more}</details>"
    return (
        "<h2>Truths against answers</h2><p>Where truth and observations were drawn together, the "
        "place of the truth in its posterior is uniform. One ask a scenario; p-values adjusted "
        "over the rows (Holm). A spread above 1 says that answers are too sure, below 1 not sure "
        f"enough.</p>{text}{table}"
    )


def _leakage(leakage: Mapping[str, Any]) -> str:
    rows = []
    for split, row in leakage["splits"].items():
        shared = [
            f"{row[f'shared_{axis}']:,} of {row[f'own_{axis}']:,}"
            for axis in ("motif", "family", "skin", "structure")
        ]
        held = f"{row['holds_out']}: {'disjoint' if row['disjoint'] else 'NOT disjoint'}"
        rows.append(
            (
                escape(split),
                f"{row['scenarios']:,}",
                escape(held if row["holds_out"] else "nothing"),
                *map(escape, shared),
                f"{row['near_copies']:,} of {row['looked_at']:,}",
                f"{100 * row['trained_sentences']:.1f} %",
            )
        )
    if not rows and not leakage["outside"]:
        return ""
    head = (
        *("split", "scenarios", "holds out", "motifs shared", "families", "skins", "structures"),
        *("near copies", "sentences trained on"),
    )
    outside = ""
    if leakage["outside"]:
        found = leakage["outside"]
        worst = "".join(f"<li>{escape(text)}</li>" for text in found["worst"])
        outside = (
            f"<p>Evaluation texts from elsewhere: {found['texts_that_share']:,} of "
            f"{found['texts']:,} share a run of eight words with a training story "
            f"({100 * found['shared_8_grams']:.3f} % of their runs).</p>"
            + (f'<ul class="plain">{worst}</ul>' if worst else "")
        )
    return (
        "<h2>Leakage</h2><p>What each split shares with the training split. A near copy has the "
        "same words but for numbers (Jaccard 0.8 of masked 5-grams). Sentences count as trained on "
        "when they are equal but for numbers and names: genres, asides and priors are told in "
        "shared sentences on purpose, so that share is high for trained motifs and should be lower "
        f"for held-out ones.</p>{html_table(head, rows) if rows else ''}{outside}"
    )


def _texts(page: Mapping[str, Any]) -> str:
    rows = [
        (
            escape(name.replace("_", " ")),
            f"{row['mean']:.1f}",
            *(f"{row[f'p{point}']:g}" for point in (0, 5, 50, 95, 100)),
        )
        for name, row in page["length"].items()
    ]
    lengths = html_table(("length", "mean", "least", "5 %", "median", "95 %", "most"), rows)
    found = page["diversity"]
    distinct = ""
    if found:
        distinct = (
            f"<p>Distinct 4-grams: {100 * found['distinct_4']:.1f} % of all, in "
            f"{found['sampled']:,} stories. Structures that occur once: "
            f"{page['structure']['singletons']:,}.</p>"
        )
    return f"<h2>Texts</h2>{lengths}{distinct}" if rows else ""


def _rejects(rejects: Mapping[str, Any]) -> str:
    total = rejects["total"]
    if not total:
        return "<h2>Rejects</h2><p>None.</p>"
    reasons = {name: count / total for name, count in rejects["by_reason"].items()}
    ordered = sorted(rejects["by_motif"].items(), key=lambda item: -sum(item[1].values()))
    rows = [
        (
            escape(motif),
            f"{sum(found.values()):,}",
            escape(", ".join(f"{reason} {count}" for reason, count in found.items())),
        )
        for motif, found in ordered
    ]
    table = html_table(("motif", "rejects", "reasons"), rows)
    share = 100 * rejects["accepted_share"]
    return (
        f"<h2>Rejects</h2><p>{total:,} attempts were refused; {share:.1f} % of all attempts were "
        f"accepted.</p>{_bars('By reason', reasons)}<details><summary>By motif</summary>{table}"
        "</details>"
    )


def _examples(examples: Sequence[Mapping[str, Any]]) -> str:
    cards = []
    for row in examples:
        tags = " · ".join(
            str(row[key]) for key in ("motif", "skin", "genre", "told", "split") if row.get(key)
        )
        asks = "".join(f"<li>{escape(ask['text'])}</li>" for ask in row["ask"])
        cards.append(
            f'<article><p class="tag">{escape(tags)}</p><p class="told" dir="auto">'
            f"{escape(row['story'])}</p><ol>{asks}</ol></article>"
        )
    return f'<h2>Stories</h2><div class="stories">{"".join(cards)}</div>' if cards else ""


def _reading() -> str:
    return (
        "<footer>python -m launch.author writes this page; python -m launch.corpus makes it again, "
        "with labels and evaluation texts where they are there. docs/motifs.md explains the "
        "measures; launch.browse shows every scenario.</footer>"
    )
