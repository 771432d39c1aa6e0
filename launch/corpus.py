r"""Makes the page of a corpus: gates, shares, answers, leakage, rejects and example stories.

Writes corpus.json and corpus.html into the work folder. Answers come from labels/ where they are
there (with routes, errors and the verdict of launch.verify_labels), else from the particles of the
author's checks (statistics/); scenarios of another author are weighted anew.

  python -m launch.corpus --workdir=runs/mine
  python -m launch.corpus --workdir=runs/mine --evaluation_texts=benchmark.jsonl,notes.txt
"""

from __future__ import annotations

import pathlib

from absl import flags

from launch import entry
from launch.corpus_files import make_page

TEXTS = flags.DEFINE_list(
    "evaluation_texts",
    [],
    "Files with evaluation texts from elsewhere: .jsonl (its fields story, text, question or "
    "prompt) or plain text, one a line. Shared runs of eight words are reported.",
)


def main(folder: str) -> None:
    """Writes the page and prints its verdict."""
    print(make_page(pathlib.Path(folder), [pathlib.Path(name) for name in TEXTS.value]))


if __name__ == "__main__":
    entry.run_with_workdir(main)
