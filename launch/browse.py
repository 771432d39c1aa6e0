r"""Writes pages to read scenarios, with their programs, labels and model answers.

Reads labels/ (or scenarios/ where nothing is labelled yet) and evaluation/items.jsonl of a work
folder. The pages need no server and load nothing from elsewhere.

  python -m launch.browse --workdir=runs/mine                  # runs/mine/browse/index.html
  python -m launch.browse --workdir=runs/mine --serve          # the same on http://127.0.0.1:8000
"""

from __future__ import annotations

import pathlib

from absl import flags

from launch import entry
from launch.browsing import browse, serve
from ppt_jax.errors import UserError

OUT = flags.DEFINE_string("out", None, "Folder of the pages; browse/ in the work folder else.")
SERVE = flags.DEFINE_bool("serve", False, "Serve the pages on 127.0.0.1 until Ctrl-C.")
PORT = flags.DEFINE_integer("port", 8000, "Port of --serve.")
PER_PAGE = flags.DEFINE_integer("per_page", 20, "Scenarios on one page.")
LIMIT = flags.DEFINE_integer("limit", 0, "At most so many scenarios; 0 for all.")


def main(folder: str) -> None:
    """Writes the pages and, where asked for, serves them."""
    if PER_PAGE.value < 1 or LIMIT.value < 0:
        raise UserError("--per_page must be at least 1 and --limit at least 0")
    workdir = pathlib.Path(folder)
    out = pathlib.Path(OUT.value) if OUT.value else workdir / "browse"
    count = browse(workdir, out, PER_PAGE.value, LIMIT.value)
    print(f"browse: {count} scenarios in {out / 'index.html'}")
    if SERVE.value:
        with serve(out, PORT.value) as server:
            print(f"serving on http://127.0.0.1:{server.server_address[1]}/ until Ctrl-C")
            server.serve_forever()


if __name__ == "__main__":
    entry.run_with_workdir(main)
