"""Reading what users hand over: CSV and JSON files, with errors that name file, line and column."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from ppt_jax.evaluation.benchmarks.protocol import BenchmarkError

_BLANK = {"", "na", "n/a", "none", "null", "nan"}


@dataclasses.dataclass(frozen=True)
class Cells:
    """One row of a CSV file.

    Attributes:
      path: the file.
      line: line where the row ends, from 1.
      values: column name (lower case) -> text without spaces at its ends.
    """

    path: pathlib.Path
    line: int
    values: Mapping[str, str]

    @property
    def where(self) -> str:
        """``"file, line 3"``, for messages."""
        return f"{self.path}, line {self.line}"

    def text(self, column: str) -> str:
        """The cell as text; empty when the column or the cell is missing."""
        return self.values.get(column.lower(), "")

    def number(self, column: str) -> float | None:
        """The cell as a number; None when it is blank or the column is missing.

        A cell that is no number, or not finite, is NaN or infinite: the caller decides whether
        that is a failed answer or a broken file.
        """
        text = self.text(column)
        if text.lower() in _BLANK:
            return None
        try:
            return float(text)
        except ValueError:
            return math.nan


def read_text(path: pathlib.Path) -> str:
    """The text of a file (UTF-8, with or without a byte-order mark).

    Raises:
      BenchmarkError: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise BenchmarkError(f"{path}: cannot read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise BenchmarkError(f"{path}: not UTF-8 text ({error.reason})") from error


def read_csv(path: pathlib.Path, required: Sequence[str] = ()) -> list[Cells]:
    """Rows of a CSV file with a header; column names are matched without regard to case.

    Columns may come in any order and further columns are kept. A row may be short (missing cells
    are blank) but not longer than the header. Empty lines are skipped; old line ends are fine.

    Args:
      path: the file.
      required: columns that must exist.

    Raises:
      BenchmarkError: no header, a missing or repeated column, a row that is too long.
    """
    reader = csv.reader(io.StringIO(read_text(path).replace("\r\n", "\n").replace("\r", "\n")))
    try:
        header = [name.strip().lower() for name in next(reader)]
    except StopIteration:
        raise BenchmarkError(f"{path}: is empty, a header line was expected") from None
    except csv.Error as error:
        raise BenchmarkError(f"{path}, line {reader.line_num}: not CSV ({error})") from error
    names = [name for name in header if name]
    for name in names:
        if names.count(name) > 1:
            raise BenchmarkError(f"{path}: column {name!r} occurs twice in the header")
    for name in required:
        if name.lower() not in names:
            known = ", ".join(names) or "nothing"
            raise BenchmarkError(f"{path}: column {name!r} is missing; the header has {known}")
    rows: list[Cells] = []
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) > len(header) and any(cell.strip() for cell in cells[len(header) :]):
                raise BenchmarkError(
                    f"{path}, line {reader.line_num}: {len(cells)} cells, the header has "
                    f"{len(header)}; a text with a comma must stand in quotes"
                )
            values = dict(zip(header, (cell.strip() for cell in cells)))
            rows.append(Cells(path, reader.line_num, values))
    except csv.Error as error:
        raise BenchmarkError(f"{path}, line {reader.line_num}: not CSV ({error})") from error
    return rows


def read_json(path: pathlib.Path) -> Any:
    """A JSON document.

    Raises:
      BenchmarkError: it cannot be read or is not JSON.
    """
    try:
        return json.loads(read_text(path))
    except ValueError as error:
        raise BenchmarkError(f"{path}: not JSON ({error})") from error


def expand(paths: Sequence[pathlib.Path], suffixes: Sequence[str]) -> list[pathlib.Path]:
    """The files that were named: files as they are, directories as their files in name order.

    Args:
      paths: files and directories.
      suffixes: endings that count inside directories, e.g. ``(".csv",)``.

    Raises:
      BenchmarkError: a path does not exist, a directory has no such file, or a file is named
        twice.
    """
    found: list[pathlib.Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in suffixes)
            inside = inside or sorted(p for p in path.rglob("*") if p.suffix.lower() in suffixes)
            if not inside:
                raise BenchmarkError(f"{path}: has no file ending in {' or '.join(suffixes)}")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise BenchmarkError(f"{path}: no such file or directory (recordings)")
    seen: set[pathlib.Path] = set()
    for path in found:
        if path.resolve() in seen:
            raise BenchmarkError(f"{path}: is named twice")
        seen.add(path.resolve())
    return found
