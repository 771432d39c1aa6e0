"""The page of a verification: verdict, curves with bands, reliability, every test, relabelling."""

from __future__ import annotations

import importlib.resources
import string

import numpy as np

from ppt_jax.evaluation.page import html_table
from ppt_jax.evaluation.svg import Panel, escape
from ppt_jax.inference.relabelling import Relabelling
from ppt_jax.inference.uniformity import Uniformity
from ppt_jax.inference.verdicts import Finding, Reliability, Verification

MOST_PANELS = 40
FIRST_ROWS = 16


def verification_page(result: Verification, again: Relabelling | None, source: str) -> str:
    """A self-contained HTML page.

    Args:
      result: from `verify`.
      again: from `relabel`, where it was asked for.
      source: where the labels stand.
    """
    template = importlib.resources.files("ppt_jax.evaluation").joinpath("template.html")
    page = string.Template(template.read_text(encoding="utf-8"))
    parts = [_head(result, again, source), _curves(result, "answers"), _reliability(result)]
    parts += [_curves(result, "ranks"), _table(result)]
    if again is not None:
        parts.append(_relabelling(again))
    parts.append(_reading(result))
    return page.substitute(title="Verification of labels", body="\n".join(filter(None, parts)))


def _head(result: Verification, again: Relabelling | None, source: str) -> str:
    tone = "bad" if result.alarms else "good" if result.tests else "mixed"
    corpus = result.corpus
    cards = {
        "Labels": source,
        "Scenarios": f"{corpus.scenarios:,}",
        "Asks": f"{len(corpus.asks):,}",
        "Priors simulated": f"{corpus.simulated:,}",
        "Tests": str(len(result.tests)),
        "Family-wise level": f"{result.alpha:g}",
    }
    for reason, count in corpus.left_out.items():
        cards[f"Left out: {reason}"] = f"{count:,}"
    listed = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"
        for name, value in cards.items()
    )
    second = ""
    if again is not None:
        other = "bad" if again.gross else "good"
        second = f'<p class="verdict {other}">{escape(again.verdict)}</p>'
    return (
        '<p class="kicker">Simulation-based calibration</p><h1>Verification of labels</h1>'
        f'<p class="verdict {tone}">{escape(result.verdict)}</p>{second}'
        f'<dl class="card">{listed}</dl>'
    )


def _curve(title: str, curve: Uniformity, finding: Finding | None) -> str:
    edge = max(
        np.abs(curve.low_K).max(), np.abs(curve.high_K).max(), np.abs(curve.difference_K).max()
    )
    size = 1.4 * float(edge)  # room for the note above the band
    alarm = finding is not None and finding.p_value < 0.01
    panel = Panel(
        title,
        f"ECDF of {curve.count} places minus the diagonal, with its simultaneous band.",
        (0.0, 1.0),
        (-size, size),
        "place of the truth in its label",
        "ECDF difference",
        left=52,
    )
    ends = np.concatenate([[0.0], curve.z_K, [1.0]])
    panel.band(
        ends.tolist(),
        np.concatenate([[0.0], curve.low_K, [0.0]]).tolist(),
        np.concatenate([[0.0], curve.high_K, [0.0]]).tolist(),
        "null",
    )
    panel.line([0.0, 1.0], [0.0, 0.0], "rule", "thin")
    difference = np.concatenate([[0.0], curve.difference_K, [0.0]])
    panel.line(ends.tolist(), difference.tolist(), "truth" if alarm else "after")
    panel.note(f"n {curve.count:,}" + (f", p {finding.p_value:.2g}" if finding else ""))
    return f"<figure>{panel.svg()}</figure>"


def _curves(result: Verification, test: str) -> str:
    groups = [group for name, group in result.curves if name == test]
    if not groups:
        return ""
    findings = {one.group: one for one in result.tests if one.test == test}
    worst = sorted(
        (group for group in groups if group.startswith("motif")),
        key=lambda group: findings[group].p_value,
    )
    first = [group for group in groups if not group.startswith("motif")]
    shown = first + worst[: MOST_PANELS - len(first)]
    panels = "".join(
        _curve(group, result.curves[test, group], findings.get(group)) for group in shown
    )
    hidden = len(groups) - len(shown)
    more = f" {hidden} more groups are in the table." if hidden else ""
    heading, told = {
        "answers": (
            "Where the truths lie in their labels",
            "The place of each true answer in its label, one ask a scenario. Right labels keep the "
            f"line inside the band: all of it, in {1 - result.alpha:.0%} of cases. A line that "
            "rises early and falls back says that truths lie low in the labels; an S that starts "
            "above zero says labels too narrow, one that starts below zero too wide.",
        ),
        "ranks": (
            "The same in the posterior itself",
            "Stored posterior CDF at the truth, for quantities without ties: finer than the "
            "answers, and about the posterior before it was cut into answers.",
        ),
    }[test]
    return (
        f"<h2>{heading}</h2><p>{told}{more} Motifs come in order of their p-value.</p>"
        f'<div class="panels">{panels}</div>'
    )


def _reliability(result: Verification) -> str:
    if not result.reliability:
        return ""
    groups = sorted(result.reliability.items(), key=lambda item: (item[0] != "all", item[0]))
    panels = "".join(_diagram(group, found) for group, found in groups[:12])
    return (
        "<h2>Choices: expected against observed</h2><p>Options by the probability that their label "
        "gave them, and how many of them were true. The bars are where right labels would lie, "
        f"simultaneously over the bins, in {1 - result.alpha:.0%} of cases.</p>"
        f'<div class="panels">{panels}</div>'
    )


def _diagram(group: str, found: Reliability) -> str:
    panel = Panel(
        group,
        f"Reliability of {found.asks} choice asks in ten bins, with bands under right labels.",
        (0.0, 1.0),
        (0.0, 1.0),
        "expected frequency",
        "observed",
        left=52,
    )
    panel.line([0.0, 1.0], [0.0, 1.0], "rule", "thin dashed")
    outside = (found.observed_B < found.low_B - 1e-9) | (found.observed_B > found.high_B + 1e-9)
    for at, x in enumerate(found.expected_B):
        if np.isfinite(x):
            band = [x - 0.012, x + 0.012]
            panel.band(band, [found.low_B[at]] * 2, [found.high_B[at]] * 2, "null")
    largest = max(int(found.count_B.max()), 1)
    for flag, series in ((False, "after"), (True, "truth")):
        pick = np.isfinite(found.expected_B) & (outside == flag)
        panel.dots(
            found.expected_B[pick].tolist(),
            found.observed_B[pick].tolist(),
            series,
            radius=(2.0 + 3.0 * np.sqrt(found.count_B[pick] / largest)).tolist(),
            extra="solid",
        )
    panel.note(f"{found.asks:,} asks, p {found.p_value:.2g}")
    return f"<figure>{panel.svg()}</figure>"


def _table(result: Verification) -> str:
    if not result.tests:
        return ""
    ordered = sorted(result.tests, key=lambda one: (one.adjusted, one.p_value))
    rows = [
        (
            escape(f"{one.test}: {one.group}"),
            f"{one.count:,}",
            f"{one.effect:+.4f}",
            f"{one.p_value:.2g}",
            f"<b>{one.adjusted:.2g}</b>" if one.adjusted <= result.alpha else f"{one.adjusted:.2g}",
            escape(one.reads) if one.p_value < 0.05 else "",
        )
        for one in ordered
    ]
    head = ("test: group", "scenarios", "effect", "p", "p adjusted", "if it is real")
    rest = small = ""
    if rows[FIRST_ROWS:]:
        more = html_table(head, rows[FIRST_ROWS:])
        rest = f"<details><summary>{len(rows) - FIRST_ROWS} more tests</summary>{more}</details>"
    if result.small:
        small = f"<p>Too few scenarios to be tested: {escape(', '.join(result.small))}.</p>"
    return (
        "<h2>Every test</h2><p>An alarm is an adjusted p-value (Holm, over all rows) at or below "
        f"{result.alpha:g}. With right labels {result.alpha:.0%} of corpora show one. Effects: "
        "greatest distance of the ECDF; nats of score; correlation with the evidence; greatest "
        f"distance of a frequency.</p>{html_table(head, rows[:FIRST_ROWS])}{rest}{small}"
    )


def _relabelling(again: Relabelling) -> str:
    rows = [
        (
            escape(f"{pair.scenario_id} {pair.ask_id}"),
            escape(pair.kind),
            escape(pair.motif),
            escape(f"{pair.first} / {pair.second}"),
            f"<b>{pair.distance:.4f}</b>" if pair.gross else f"{pair.distance:.4f}",
            f"{pair.stated:.4f}",
            f"{pair.fine:.4f}",
            f"{pair.fine_stated:.4f}",
        )
        for pair in again.pairs[:10]
    ]
    head = ("ask", "kind", "motif", "routes", "TV, 20 bins", "stated", "TV, answers", "stated")
    refused = ", ".join(f"{reason} {count}" for reason, count in again.refused.items())
    note = f"<p>Refused by {escape(again.engine)}: {escape(refused)}.</p>" if refused else ""
    table = html_table(head, rows) if rows else ""
    return (
        f"<h2>A sample labelled again by {escape(again.engine)}</h2><p>Total variation between the "
        "two labels against the sum of their stated errors (estimates of the expected distance, "
        "not bounds). Gross is more than three times that and more than 0.05. The pairs furthest "
        f"beyond what is stated:</p>{table}{note}"
    )


def _reading(result: Verification) -> str:
    return (
        "<h2>What this sees, and what not</h2>"
        '<ul class="plain">'
        "<li><b>answers, ranks</b>: a wrong spread or a shift, in any group large enough. Labels "
        "that ignore their evidence pass: truths are draws from the prior too.</li>"
        "<li><b>evidence</b>: just that; whether the data, read by a regression on simulated data, "
        "still tell something that the label does not know. Hard facts and comparisons are not "
        "read.</li>"
        "<li><b>score</b>: labels more or less sure than they deserve, whatever their shape.</li>"
        "<li><b>not seen</b>: a program that does not fit its story; errors that cancel within "
        "every group; a mistake that the simulation of the truths shares with the labels. A sample "
        "labelled again by another engine helps with the last.</li></ul>"
        "<footer>python -m launch.verify_labels; docs/labelling.md explains how to read it."
        "</footer>"
    )
