"""From the folder of a corpus to its corpus.json and corpus.html."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from launch.corpus_page import corpus_page
from ppt_jax.authoring.answer_records import AskRecord, ask_records, measured_row
from ppt_jax.authoring.corpus import CorpusFiles, describe, read_files
from ppt_jax.errors import UserError
from ppt_jax.progress import Progress
from ppt_jax.storage import read_jsonl, write_atomic

EXAMPLES = 12
TEXT_FIELDS = ("story", "text", "question", "prompt")


def write_page(folder: pathlib.Path, page: Mapping[str, Any], files: CorpusFiles) -> None:
    """Writes corpus.html beside the corpus.json that it shows."""
    rows = [row for listed in files.splits.values() for row in listed]
    write_atomic(folder / "corpus.html", corpus_page(page, pick_examples(rows), folder.name))


def pick_examples(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """A few scenarios of different motifs, genres and told-levels, the same ones every time."""
    rng = np.random.default_rng(0)
    chosen: list[Mapping[str, Any]] = []
    seen: dict[tuple[str, str], int] = {}
    for place in rng.permutation(len(rows))[:2000]:
        row = rows[int(place)]
        keys = [(axis, str(row.get(axis))) for axis in ("motif", "genre")]
        if any(seen.get(key) for key in keys) and len(rows) > EXAMPLES:
            continue
        for key in keys:
            seen[key] = 1
        chosen.append(row)
        if len(chosen) == EXAMPLES:
            break
    return chosen


def make_page(folder: pathlib.Path, texts: Sequence[pathlib.Path] = ()) -> str:
    """Measures a corpus with what there is by now, and writes its page.

    Args:
      folder: with scenarios/ (and labels/, statistics/, rejects/ where they are there), or with
        labels/ alone.
      texts: files of evaluation texts from elsewhere.

    Returns:
      One line: the verdict and where the page is.

    Raises:
      UserError: no scenarios, or a file that cannot be read.
    """
    outside = [text for path in texts for text in read_texts(path)]
    files = read_files(folder) if (folder / "scenarios").is_dir() else CorpusFiles({}, (), ())
    labelled = sorted((folder / "labels").glob("*-of-*.jsonl"))
    if labelled:
        files = _with_labels(files, folder / "labels")
    rows = [row for listed in files.splits.values() for row in listed]
    if not rows:
        raise UserError(f"{folder}: no scenarios in scenarios/ or labels/; run launch.author first")
    if not files.records:
        files = dataclasses.replace(files, records=_measured(rows))
    page = describe(files, outside=outside)
    kept = _kept(folder / "corpus.json")
    rejects = {**kept.get("rejects", {}), **page["rejects"]}
    text = json.dumps({**kept, **page, "rejects": rejects}, indent=1, ensure_ascii=False)
    write_atomic(folder / "corpus.json", text + "\n")
    write_page(folder, page, files)
    held = sum(gate["passed"] is True for gate in page["gates"])
    missed = [gate["name"] for gate in page["gates"] if gate["passed"] is False]
    line = f"corpus: {held} of {held + len(missed)} gates held"
    line += f"; missed: {', '.join(missed)}" if missed else ""
    return f"{line}\npage: {folder / 'corpus.html'}"


def _kept(path: pathlib.Path) -> dict[str, Any]:
    """What an author wrote into corpus.json; its own fields are kept beside the measurements."""
    if not path.exists():
        return {}
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error
    if not isinstance(stored, dict):
        raise UserError(f"{path}: not a record of a corpus; move it away")
    return stored


def read_texts(path: pathlib.Path) -> Iterator[str]:
    """Texts of a file: fields of a .jsonl file, else its lines.

    Raises:
      UserError: the file cannot be read, or a row has none of `TEXT_FIELDS`.
    """
    if path.suffix == ".jsonl":
        for number, row in read_jsonl(path):
            found = [row[key] for key in TEXT_FIELDS if isinstance(row.get(key), str)]
            if not found:
                raise UserError(
                    f"{path}, line {number}: none of the fields {', '.join(TEXT_FIELDS)}"
                )
            yield " ".join(found)
        return
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"--evaluation_texts: {path} cannot be read ({error})") from error
    yield from (line for line in lines if line.strip())


def _measured(rows: Sequence[Mapping[str, Any]]) -> tuple[AskRecord, ...]:
    """Records of scenarios that came without statistics."""
    found = {}
    with Progress("measure", len(rows), "scenario") as progress:
        for row in rows:
            measured = measured_row(row)
            if measured is not None:
                found[str(row["id"])] = measured
            progress.advance(1)
    return tuple(ask_records(rows, found))


def _with_labels(files: CorpusFiles, folder: pathlib.Path) -> CorpusFiles:
    """The same with records from labels, and their calibration from `verify`."""
    from ppt_jax.inference.job import read_labelled
    from ppt_jax.inference.labels import coarse_answers
    from ppt_jax.inference.verification import label_files
    from ppt_jax.scenario.document import to_dict

    records: list[AskRecord] = []
    splits: dict[str, list[Mapping[str, Any]]] = {}
    for path in label_files(folder):
        for labelled in read_labelled(path):
            scenario = labelled.scenario
            splits.setdefault(scenario.split, []).append(to_dict(scenario))
            for ask, label in zip(scenario.ask, labelled.labels, strict=True):
                true = label.true_answer
                prior = dataclasses.replace(label, probs=label.prior_probs)
                if true is not None and label.kind != "choice":
                    true = min(true // 5, 19)
                records.append(
                    AskRecord(
                        scenario=scenario.id,
                        motif=scenario.motif,
                        split=scenario.split,
                        kind=ask.kind,
                        options=ask.options,
                        posterior_B=coarse_answers(label),
                        prior_B=coarse_answers(prior),
                        true_bin=true,
                        ess=label.ess,
                        information=label.information,
                        route=label.route,
                        error=label.error,
                    )
                )
    if not any(files.splits.values()):
        files = dataclasses.replace(files, splits=splits)
    return dataclasses.replace(files, records=tuple(records), calibration=_verified(folder))


def _verified(folder: pathlib.Path) -> dict[str, Any]:
    """Calibration of labels as `label_diversity.calibration` has it, with the verdict."""
    from ppt_jax.inference.verdicts import verify
    from ppt_jax.inference.verification import VerificationError, read_corpus

    try:
        result = verify(read_corpus(folder, prior_scenarios=1000), 0.01)
    except VerificationError as error:  # nothing to verify, such as chosen evidence only
        return {"groups": {}, "least_p": None, "verdict": str(error), "alarm": False}
    groups = {
        test.group: {
            "scenarios": test.count,
            "p": round(test.p_value, 6),
            "adjusted": round(test.adjusted, 6),
            "spread": round(result.curves["answers", test.group].spread, 4),
        }
        for test in result.tests
        if test.test == "answers"
    }
    least = min((test.adjusted for test in result.tests), default=None)
    return {
        "groups": groups,
        "least_p": None if least is None else round(least, 6),
        "verdict": result.verdict,
        "alarm": bool(result.alarms),
    }
