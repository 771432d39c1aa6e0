r"""Makes report.html and report.md again from stored results, without a model.

DIR is a work folder, or any folder with items.jsonl (as launch.evaluate and launch.score leave
it); a folder that holds only results.json gets a page of its tables.

  python -m launch.report runs/mine
  python -m launch.report runs/mine --out=elsewhere
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from absl import flags

from launch import entry
from ppt_jax.errors import UserError

OUT = flags.DEFINE_string("out", None, "Folder for the report; DIR itself when not given.")


def main(paths: Sequence[str]) -> None:
    """Writes the report of the one folder that the argument names."""
    from ppt_jax.evaluation.report import write_report
    from ppt_jax.evaluation.report_inputs import rebuilt
    from ppt_jax.evaluation.results import read_results
    from ppt_jax.evaluation.results_page import write_results_page

    if len(paths) != 1:
        raise UserError(f"one folder is needed, got {len(paths)}")
    folder = pathlib.Path(paths[0])
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder")
    out = pathlib.Path(OUT.value or folder)
    held = [
        place for place in ("items.jsonl", "evaluation/items.jsonl") if (folder / place).exists()
    ]
    if held:
        page, twin = write_report(out, rebuilt(folder))
    elif (folder / "results.json").exists():
        page, twin = write_results_page(out, read_results(folder))
    else:
        raise UserError(f"{folder}: holds neither items.jsonl nor results.json")
    print(f"report: {page}, {twin}")


if __name__ == "__main__":
    entry.run_with_paths(main)
