"""Files that are either whole or absent: atomic writes, JSON lines, content hashes."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import pathlib
import uuid
from collections.abc import Iterable, Iterator
from typing import Any, Final

from ppt_jax.errors import UserError

MAX_LINE: Final = 1 << 26  # bytes of one row


def write_atomic(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Writes a file so that a reader sees the old content or the new, never a part.

    Args:
      path: the file; its folder is made when missing.
      content: text (stored as UTF-8) or bytes.

    Raises:
      UserError: the file cannot be written (no space left, no permission); the old file stays.

    Example:
      >>> import tempfile, pathlib
      >>> file = pathlib.Path(tempfile.mkdtemp()) / "a.txt"
      >>> write_atomic(file, "x"); file.read_text()
      'x'
    """
    path = pathlib.Path(path)
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")  # machines share numbers
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UserError(
            f"{path}: cannot write ({error.strerror}); nothing was replaced, free space or fix "
            "the permission and start the same command again"
        ) from error


def write_jsonl(path: str | os.PathLike[str], rows: Iterable[Any]) -> None:
    """Writes one JSON object a line, atomically (see `write_atomic`), keys in the order given."""
    lines = [json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows]
    write_atomic(path, "".join(lines))


def read_jsonl(path: str | os.PathLike[str]) -> Iterator[tuple[int, Any]]:
    """Yields ``(line number from 1, object)`` of a JSON-lines file.

    Raises:
      UserError: the file is missing, a line is not JSON or longer than `MAX_LINE` bytes (the
        message names file and line).
    """
    try:
        file = open(path, "rb")
    except OSError as error:
        raise UserError(f"{path}: cannot read ({error.strerror})") from error
    with file:
        for number in itertools.count(1):
            line = file.readline(MAX_LINE + 1)
            if not line:
                return
            if len(line) > MAX_LINE:
                raise UserError(
                    f"{path}, line {number}: longer than {MAX_LINE} bytes, no row of ours"
                )
            if not line.strip():
                continue
            try:
                # a byte-order mark, as some editors write, is fine
                row = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            except UnicodeDecodeError as error:
                raise UserError(
                    f"{path}, line {number}: not UTF-8 text ({error.reason})"
                ) from error
            except (ValueError, RecursionError) as error:  # too deep, or 5,000 digits
                raise UserError(f"{path}, line {number}: not a JSON object ({error})") from error
            yield number, row


def content_hash(data: object) -> str:
    """The first 16 hex digits of the SHA-256 of a JSON-able object; equal across machines.

    Example:
      >>> content_hash({"b": 1, "a": 2}) == content_hash({"a": 2, "b": 1})
      True
    """
    text = json.dumps(data, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
