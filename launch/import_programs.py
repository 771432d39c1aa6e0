r"""Turns programs and networks that people already have into scenarios.

Python files with NumPyro or Pyro models, Bayesian networks in BIF, ProbLog programs, and our own
JSON. Everything is parsed, nothing is executed. Writes scenarios-00000.jsonl, ... and, for what
cannot be expressed, rejects.jsonl with file, line and reason. docs/importing.md has the subset.

  python -m launch.import_programs --input=models.py --out=scenarios
  python -m launch.import_programs --input=networks/ --out=scenarios --format=bif
"""

from __future__ import annotations

import pathlib

from absl import flags

from launch import entry
from launch.importing import FORMATS, import_programs
from ppt_jax.errors import UserError, printable

INPUT = flags.DEFINE_string("input", None, "A file, or a folder whose files are read, sorted.")
OUT = flags.DEFINE_string("out", None, "Folder of the shards and of rejects.jsonl.")
FORMAT = flags.DEFINE_enum("format", "auto", FORMATS, "auto goes by the file's suffix.")
SHARD = flags.DEFINE_integer("shard_size", 1000, "Scenarios in one shard.")


def main() -> None:
    """Imports and prints a summary."""
    if INPUT.value is None or OUT.value is None:
        raise UserError("--input=FILE_or_DIR and --out=DIR are both needed")
    if SHARD.value < 1:
        raise UserError("--shard_size must be at least 1")
    out = pathlib.Path(OUT.value)
    count, rejects = import_programs(pathlib.Path(INPUT.value), out, FORMAT.value, SHARD.value)
    for row in rejects[:20]:
        print(f"refused: {printable(row['message'])}")
    if len(rejects) > 20:
        print(f"... and {len(rejects) - 20} more in {out / 'rejects.jsonl'}")
    print(f"import: {count} scenarios in {out}, {len(rejects)} refused")


if __name__ == "__main__":
    entry.run_alone(main)
