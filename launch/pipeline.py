r"""Runs the whole way: author -> label -> dataset -> train -> evaluate -> report.

Finished stages are skipped, a half-done one goes on where it was, and a work folder made with
another config is refused with the fields that differ.

  python -m launch.pipeline --config=configs/quickstart.py --workdir=runs/quickstart
"""

from __future__ import annotations

import ml_collections

from launch import entry, stages


def main(config: ml_collections.ConfigDict, workdir: str) -> None:
    """Runs every stage that is not finished yet, then prints the result table."""
    stages.run_pipeline(config, workdir)


if __name__ == "__main__":
    entry.run(main)
