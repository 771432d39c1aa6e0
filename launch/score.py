r"""Scores stored answers without a model: benchmark recordings, human data, or items.jsonl.

Recordings of a benchmark, by its own protocol (docs/benchmarks.md has every benchmark, the layout
of its recordings and where its data come from):

  python -m launch.score --benchmark=openestimate --data_dir=DATA \
      --recordings=DATA/recordings/nhanes --out=runs/openestimate

Human data alone (reliability, ceiling, means):

  python -m launch.score --benchmark=samplr --recordings=experiment.csv

Answers of any model in the documented JSON lines (docs/evaluation.md):

  python -m launch.score --items=items.jsonl --validation=validation_items.jsonl --out=runs/mine

The table is printed; --out also writes results.json, results.csv, results_lm_eval.json and, where
there are items, items.jsonl, so that launch.compare and launch.report work on the folder.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from absl import flags

from launch import entry
from ppt_jax.errors import UserError

if TYPE_CHECKING:
    from ppt_jax.evaluation.benchmarks.protocol import Scored
    from ppt_jax.evaluation.items import Item

BENCHMARK = flags.DEFINE_string("benchmark", None, "Name of a benchmark, see docs/benchmarks.md.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder (or file) with the benchmark's data.")
RECORDINGS = flags.DEFINE_multi_string(
    "recordings", [], "File or folder of recorded answers; may be given several times."
)
ITEMS = flags.DEFINE_string("items", None, "items.jsonl with the answers of one or more models.")
VALIDATION = flags.DEFINE_string(
    "validation", None, "items.jsonl of validation items: post-hoc corrections are fitted on them."
)
OUT = flags.DEFINE_string("out", None, "Folder for results.json and results.csv.")
OPTION = flags.DEFINE_multi_string(
    "option", [], "NAME=VALUE, an option of the benchmark, e.g. premises=wep; repeatable."
)
DOMAIN = flags.DEFINE_string("domain", None, "Short for --option=domain=NAME.")
REPLICATES = flags.DEFINE_integer("replicates", 1000, "Bootstrap replicates.")
LEVEL = flags.DEFINE_float("level", 0.95, "Coverage of the intervals.")
SEED = flags.DEFINE_integer("seed", 0, "Seed of bootstrap, nulls and split halves.")
SPLITS = flags.DEFINE_integer("splits", 200, "Random halves of the people (human data).")
_SHOWN_FAILURES = 20


def main() -> None:
    """Scores what the flags name, writes the results and prints the table."""
    try:
        _main()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of the table has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _main() -> None:
    if (BENCHMARK.value is None) == (ITEMS.value is None):
        raise UserError("give either --benchmark=NAME with --recordings, or --items=FILE")
    _check_settings()
    if ITEMS.value is not None:
        for flag in ("benchmark", "data_dir", "recordings", "option", "domain"):
            if flags.FLAGS[flag].present:
                raise UserError(f"--{flag} does not go with --items")
        _score_items(pathlib.Path(ITEMS.value))
        return
    if VALIDATION.value is not None:
        raise UserError("--validation goes with --items")
    _score_recordings(BENCHMARK.value or "")


def _check_settings() -> None:
    for name, value, least in (
        *(("replicates", REPLICATES.value, 2), ("seed", SEED.value, 0)),
        ("splits", SPLITS.value, 1),
    ):
        if value < least:
            raise UserError(f"--{name} is {value}, it must be at least {least}")
    if not 0 < LEVEL.value < 1:
        raise UserError(f"--level is {LEVEL.value}, it must lie between 0 and 1")
    if OUT.value is not None and pathlib.Path(OUT.value).is_file():
        raise UserError(f"--out={OUT.value}: is a file, a folder was expected")


def _options() -> dict[str, Any]:
    options: dict[str, Any] = {}
    for text in OPTION.value:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UserError(f"--option={text}: must be NAME=VALUE")
        options[name] = value
        with contextlib.suppress(ValueError):
            options[name] = int(value)
    if DOMAIN.value is not None:
        options["domain"] = DOMAIN.value
    return options


def _score_recordings(name: str) -> None:
    from ppt_jax.evaluation.benchmarks import protocol

    module = protocol.module_of(name)
    options = _options()
    protocol.load_options(name, options)
    if not RECORDINGS.value:
        raise UserError(f"--recordings=PATH is missing: the recorded answers of {name!r}")
    paths = [pathlib.Path(path) for path in RECORDINGS.value]
    for path in paths:
        if not path.exists():
            raise UserError(f"--recordings={path}: no such file or directory")
    settings = protocol.ScoreSettings(
        replicates=REPLICATES.value, level=LEVEL.value, seed=SEED.value, splits=SPLITS.value
    )
    own_data = DATA_DIR.value is None or _inside(paths, pathlib.Path(DATA_DIR.value))
    if own_data and hasattr(module, "score_data"):
        if options:
            raise UserError(
                f"--option={next(iter(options))}=...: is for recordings of a model; "
                "--recordings names the human data themselves"
            )
        scored = module.score_data(paths, settings)
    else:
        if DATA_DIR.value is None and protocol.needs_data(name):
            raise UserError(f"--data_dir=DIR is missing: the data of benchmark {name!r}")
        benchmark = protocol.load(name, DATA_DIR.value, **options)
        scored = benchmark.score_recordings(paths, settings)
    _write_scored(name, paths, options, scored)
    _print_scored(scored)


def _inside(paths: Sequence[pathlib.Path], data: pathlib.Path) -> bool:
    """Whether the recordings are the data (human data that stand for themselves)."""
    root = data.resolve()
    return all(root in (path.resolve(), *path.resolve().parents) for path in paths)


def _print_scored(scored: Scored) -> None:
    print(scored.table)
    if scored.failures:
        print(f"\n{len(scored.failures)} answers could not be used (counted, never dropped):")
        for line in scored.failures[:_SHOWN_FAILURES]:
            print(f"  {line}")
        if len(scored.failures) > _SHOWN_FAILURES:
            rest = len(scored.failures) - _SHOWN_FAILURES
            print(f"  ... and {rest} more" + (", all in results.json" if OUT.value else ""))
    if OUT.value is not None:
        print(f"\n{OUT.value}/results.json: {len(scored.rows)} rows")


def _write_scored(
    name: str, paths: Sequence[pathlib.Path], options: Mapping[str, Any], scored: Scored
) -> None:
    if OUT.value is None:
        return
    from ppt_jax.evaluation.item_files import write_items
    from ppt_jax.evaluation.results import write_results

    run = {
        "command": "launch.score",
        "benchmark": name,
        "data_dir": DATA_DIR.value,
        "recordings": [str(path) for path in paths],
        "options": options,
        **_settings_facts(),
        "facts": dict(scored.facts),
    }
    out = pathlib.Path(OUT.value)
    write_results(out, scored.rows, run, failures=list(scored.failures))
    if scored.items:
        write_items(out / "items.jsonl", scored.items)


def _settings_facts() -> dict[str, Any]:
    from ppt_jax import __version__

    return {
        "replicates": REPLICATES.value,
        "level": LEVEL.value,
        "seed": SEED.value,
        "splits": SPLITS.value,
        "ppt_jax": __version__,
    }


def _score_items(path: pathlib.Path) -> None:
    from ppt_jax.evaluation.item_files import read_items
    from ppt_jax.evaluation.tables import EvaluationConfig, evaluate, short_table, write_evaluation

    items = list(read_items(path))
    validation = [] if VALIDATION.value is None else list(read_items(VALIDATION.value))
    config = EvaluationConfig(
        splits=() if items else ("items",),  # an empty file gives rows without values
        replicates=REPLICATES.value,
        level=LEVEL.value,
        seed=SEED.value,
    )
    result = evaluate(items, validation, config=config)
    if OUT.value is not None:
        run = {"command": "launch.score", "items": str(path), "validation": VALIDATION.value}
        _keep_items(pathlib.Path(OUT.value), path, items, validation)
        write_evaluation(OUT.value, result, run | _settings_facts())
    failed = sum(not item.parse_ok for item in items)
    print(f"{path}: {len(items)} items, {failed} that failed to parse")
    for metric in ("kl", "log_score", "brier", "mae", "accuracy", "ece_smooth"):
        rows = [row for row in result.rows if row["metric"] == metric]
        if any(row["n"] and row["value"] == row["value"] for row in rows):
            kinds = [row for row in rows if row["kind"] == ("choice" if "ece" in metric else "all")]
            print("\n" + short_table([{**row, "kind": "all"} for row in kinds], metric))
    if OUT.value is not None:
        print(f"\n{OUT.value}/results.json: {len(result.rows)} rows")


def _keep_items(
    out: pathlib.Path, path: pathlib.Path, items: Sequence[Item], validation: Sequence[Item]
) -> None:
    """Stores what was scored beside the results, for launch.compare and launch.report.

    Raises:
      UserError: the folder holds the items of something else than an earlier launch.score.
    """
    from ppt_jax.evaluation.item_files import write_items
    from ppt_jax.evaluation.results import read_results

    wanted = [(out / "items.jsonl", path, items)]
    if VALIDATION.value is not None:
        wanted.append((out / "validation_items.jsonl", pathlib.Path(VALIDATION.value), validation))
    wanted = [one for one in wanted if one[0].resolve() != one[1].resolve()]
    run = read_results(out).run if (out / "results.json").exists() else {}
    ours = run.get("command") == "launch.score"
    for target, source, _ in wanted:
        if target.exists() and not ours:
            raise UserError(
                f"--out={out}: holds {target.name}, which is not {source} and was not written by "
                "launch.score; choose another folder"
            )
    for target, _, kept in wanted:
        write_items(target, kept)
    fit = out / "validation_items.jsonl"
    earlier = str(run.get("validation") or fit)
    if VALIDATION.value is None and ours and pathlib.Path(earlier).resolve() != fit.resolve():
        fit.unlink(missing_ok=True)  # the copy of an earlier run with --validation


if __name__ == "__main__":
    entry.run_alone(main)
