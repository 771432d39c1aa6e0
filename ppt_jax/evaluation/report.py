"""The report: one self-contained `report.html` and its Markdown twin.

The page needs no network and no script; figures are inline SVG, each with its data as a CSV link;
it is readable in light and dark, on a phone, and on paper. Parts whose data are not given say so.
"""

from __future__ import annotations

import importlib.resources
import os
import pathlib
import string
from collections.abc import Mapping

from ppt_jax.evaluation import calibration_figures, comparison_figures, figures
from ppt_jax.evaluation.figures import Figure, pretty_split, series_of, table_csv
from ppt_jax.evaluation.findings import (
    ReportInputs,
    header_facts,
    headline_metric,
    picked_asks,
    ranks_of,
    verdict,
)
from ppt_jax.evaluation.markdown import markdown_report
from ppt_jax.evaluation.page import csv_link, describe, html_table, plain
from ppt_jax.evaluation.report_tables import (
    ACCURACY,
    LIKELIHOOD,
    calibration_table,
    comparisons_table,
    corrections_table,
    detail_tables,
    name_cell,
    plain_models,
    scores_table,
    value_cell,
)
from ppt_jax.evaluation.results import results_csv
from ppt_jax.evaluation.svg import escape
from ppt_jax.evaluation.tables import Evaluation
from ppt_jax.storage import write_atomic


def report_figures(inputs: ReportInputs) -> dict[str, Figure]:
    """All figures of the report by name."""
    evaluation = inputs.evaluation
    made = (
        figures.forest(evaluation),
        figures.learning(inputs.history),
        figures.scatter(evaluation),
        calibration_figures.reliability(evaluation),
        calibration_figures.pit(evaluation),
        comparison_figures.pit_differences(evaluation),
        calibration_figures.coverage(evaluation),
        comparison_figures.sharpness(evaluation),
        comparison_figures.risk_coverage(evaluation),
        comparison_figures.differences(evaluation),
        calibration_figures.label_ranks(ranks_of(inputs)),
    )
    return {figure.name: figure for figure in made}


def write_report(folder: str | os.PathLike[str], inputs: ReportInputs) -> tuple[str, str]:
    """Writes `report.html` and `report.md` into a folder and returns their paths.

    Raises:
      UserError: a file cannot be written.
    """
    folder = pathlib.Path(folder)
    write_atomic(folder / "report.html", html_report(inputs))
    write_atomic(folder / "report.md", markdown_report(inputs))
    return str(folder / "report.html"), str(folder / "report.md")


def html_report(inputs: ReportInputs) -> str:
    """The page as text; see the module."""
    made = report_figures(inputs)
    evaluation = inputs.evaluation
    sections = [
        _head(inputs),
        _results(inputs, made),
        _evidence(inputs, made),
        _calibration(inputs, made),
        _labels(inputs, made),
        _corpus(inputs),
        _training(made),
        detail_tables(evaluation),
        "<footer>Made by ppt_jax. Every number is in results.json and results.csv, every answer in "
        "items.jsonl; definitions are in docs/evaluation.md.</footer>",
    ]
    template = importlib.resources.files("ppt_jax.evaluation").joinpath("template.html")
    page = string.Template(template.read_text(encoding="utf-8"))
    return page.substitute(title=escape(inputs.title), body="\n".join(sections))


def _figure(figure: Figure, missing: str) -> str:
    if not figure.panels:
        return f'<p class="none">{escape(figure.title)}: not available ({escape(missing)}).</p>'
    legend = ""
    if figure.legend:
        chips = "".join(f'<span class="{c}">{escape(t)}</span>' for c, t in figure.legend)
        legend = f'<div class="legend">{chips}</div>'
    single = " single" if len(figure.panels) == 1 else ""
    return (
        f"<h3>{escape(figure.title)}</h3><figure>{legend}"
        f'<div class="panels{single}">{"".join(figure.panels)}</div>'
        f"<figcaption>{escape(figure.caption)} {csv_link(figure.name, figure.csv())}</figcaption>"
        "</figure>"
    )


def _head(inputs: ReportInputs) -> str:
    found = verdict(inputs.evaluation)
    points = "".join(f"<li>{escape(text)}</li>" for text in found.sentences)
    card = "".join(
        f"<div><dt>{escape(key)}</dt><dd>{escape(plain(value))}</dd></div>"
        for key, value in header_facts(inputs).items()
    )
    return (
        '<p class="kicker">ppt_jax \u00b7 evaluation report</p>'
        f"<h1>{escape(inputs.title)}</h1>"
        f'<p class="verdict {found.tone}">{escape(found.headline)}</p>'
        f'<ul class="plain">{points}</ul>' + (f'<dl class="card">{card}</dl>' if card else "")
    )


def _results(inputs: ReportInputs, made: Mapping[str, Figure]) -> str:
    evaluation = inputs.evaluation
    splits = evaluation.config.splits
    metric, words = headline_metric(evaluation)
    everything = results_csv(evaluation.rows)
    level = f"{evaluation.config.level:.0%}"
    rows = []
    for model in plain_models(evaluation):
        cells = [value_cell(evaluation.row(model, split, metric)) for split in splits]
        rows.append([name_cell(model), *cells])
    sizes = []
    for split in splits:
        row = evaluation.row("uniform", split, metric) or {"n": 0, "n_clusters": 0}
        sizes.append(
            f"{escape(pretty_split(split))}<br><small>{row['n']} asks, {row['n_clusters']} "
            "scenarios</small>"
        )
    tables = []
    for place, split in enumerate(splits):
        own = scores_table(evaluation, split, LIKELIHOOD, "Likelihood") + scores_table(
            evaluation, split, ACCURACY, "Accuracy"
        )
        if own:
            opened = " open" if place == 0 else ""
            tables.append(
                f"<details{opened}><summary>{escape(pretty_split(split))}: likelihood and "
                f"accuracy</summary>{own}</details>"
            )
    return (
        "<h2>Results</h2>"
        + html_table(
            ["model", *sizes],
            rows,
            f"{words} in nats, lower is better; {level} intervals from "
            f"{evaluation.config.replicates:,} bootstrap replicates over scenarios; +ts is "
            "temperature scaling fitted on validation asks",
        )
        + f"<p>All metrics, splits and kinds: {csv_link('results', everything)}</p>"
        + _figure(made["kl"], "there are no posterior labels")
        + _corrections(evaluation)
        + _figure(made["differences"], "no two models to compare")
        + comparisons_table(evaluation)
        + "".join(tables)
    )


def _corrections(evaluation: Evaluation) -> str:
    parts = []
    for place, split in enumerate(evaluation.config.splits):
        table = corrections_table(evaluation, split)
        if table and place == 0:
            parts.append("<h3>Is the gain more than a correction afterwards?</h3>" + table)
        elif table:
            name = escape(pretty_split(split))
            parts.append(f"<details><summary>The same on {name}</summary>{table}</details>")
    return "".join(parts)


def _legend(inputs: ReportInputs) -> str:
    shown = ["base_rate", *figures.shown_models(inputs.evaluation)]
    chips = [("label", "posterior label"), *((series_of(m), m) for m in shown), ("truth", "truth")]
    body = "".join(f'<span class="{c}">{escape(text)}</span>' for c, text in chips)
    return f'<div class="legend">{body}</div>'


def _evidence(inputs: ReportInputs, made: Mapping[str, Figure]) -> str:
    evaluation = inputs.evaluation
    parts = ["<h2>Answers beside posteriors</h2>", _figure(made["means"], "too few asks")]
    parts.append("<h3>Best, median and worst asks</h3>" + _legend(inputs))
    for place, split in enumerate(evaluation.config.splits):
        cards = [_ask_card(evaluation, word, n) for word, n in picked_asks(evaluation, split)]
        if not cards:
            continue
        opened = " open" if place == 0 else ""
        parts.append(
            f"<details{opened}><summary>{escape(pretty_split(split))}</summary>"
            f'<div class="asks">{"".join(cards)}</div></details>'
        )
    return "".join(parts)


def _ask_card(evaluation: Evaluation, word: str, n: int) -> str:
    target = evaluation.targets.items[n]
    model = figures.trained_model(evaluation) or ""
    kl = float(evaluation.per_item[model]["kl"][n])
    size = len(target.support)
    models = plain_models(evaluation)
    columns = ["answer", "label", *models]
    rows = [
        [target.support[k], float(target.target_K[k])]
        + [float(evaluation.answers[m].p_NK[n, k]) for m in models]
        for k in range(size)
    ]
    scale = ""
    if target.scale is not None:
        low, high = (f"{end:g}" for end in target.scale)
        scale = f" \u00b7 0 is {low}, 100 is {high} {target.unit}".rstrip()
    panel = figures.overlay(evaluation, n, f"{target.kind} ask")
    data = csv_link(target.item_id.replace("/", "_"), table_csv(columns, rows))
    return (
        f'<article class="ask"><p class="tag"><b>{escape(word)}</b> \u00b7 KL {kl:.3f} \u00b7 '
        f"{escape(target.motif or 'motif unknown')}{escape(scale)} \u00b7 {data}</p>"
        f'{panel.svg()}<p class="question">{escape(target.question)}</p>'
        f'<p class="story">{escape(target.story)}</p></article>'
    )


def _calibration(inputs: ReportInputs, made: Mapping[str, Figure]) -> str:
    evaluation = inputs.evaluation
    tables: list[str] = []
    for split in evaluation.config.splits:
        table = calibration_table(evaluation, split)
        if table and tables:  # the first is shown, the others are folded
            name = escape(pretty_split(split))
            table = f"<details><summary>The same on {name}</summary>{table}</details>"
        tables += [table] if table else []
    choices = "".join(tables) or '<p class="none">No choice asks with a stored truth.</p>'
    few = "fewer than 10 numeric asks with a stored truth"
    return (
        "<h2>Calibration against the simulated truth</h2><h3>Choice answers</h3>"
        + choices
        + _figure(made["reliability"], "fewer than 10 choices with a stored truth")
        + _figure(made["risk_coverage"], "fewer than 10 choices with a stored truth")
        + "<h3>Numeric answers</h3>"
        + _figure(made["pit"], few)
        + _figure(made["pit_difference"], few)
        + _figure(made["coverage"], few)
        + _figure(made["sharpness"], "fewer than 10 numeric asks")
    )


def _labels(inputs: ReportInputs, made: Mapping[str, Figure]) -> str:
    items = inputs.evaluation.targets.items
    errors = sorted(item.label_error for item in items if item.label_error is not None)
    words = ""
    if errors:
        words = (
            "<p>Estimated error of the labels (total variation over 20 bins): median "
            f"{errors[len(errors) // 2]:.4f}, largest {errors[-1]:.4f}, over {len(errors):,} "
            "asks.</p>"
        )
    summary = describe(inputs.labels) if inputs.labels else ""
    return (
        "<h2>Labels</h2>"
        + words
        + _figure(made["label_ranks"], "fewer than 20 ranks of simulated truths")
        + (summary or '<p class="none">Summary of the labelling job: not available.</p>')
    )


def _corpus(inputs: ReportInputs) -> str:
    body = describe(inputs.corpus) if inputs.corpus else ""
    missing = '<p class="none">Diversity and rejects of the corpus: not available.</p>'
    return "<h2>Corpus: diversity and rejects</h2>" + (body or missing)


def _training(made: Mapping[str, Figure]) -> str:
    return "<h2>Training</h2>" + _figure(made["learning_curves"], "no metrics.jsonl")
