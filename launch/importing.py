"""Reads programs and networks that people already have into shards of scenarios."""

from __future__ import annotations

import collections
import pathlib
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from ppt_jax.errors import UserError
from ppt_jax.storage import write_jsonl

FORMATS = ("auto", "numpyro", "bif", "problog", "json")
SUFFIXES = {
    "numpyro": (".py",),
    "bif": (".bif",),
    "problog": (".pl", ".problog"),
    "json": (".json", ".jsonl"),
}
_Found: TypeAlias = Iterator[dict[str, Any] | UserError]


def _python(path: pathlib.Path) -> _Found:
    from ppt_jax.scenario.numpyro_import import read_documents

    yield from read_documents(path)


def _json(path: pathlib.Path) -> _Found:
    from ppt_jax.scenario import limits
    from ppt_jax.scenario.document import Scenario, parse_scenario, read_scenarios, to_dict
    from ppt_jax.scenario.errors import ScenarioError

    if path.suffix == ".json":
        if path.stat().st_size > limits.MAX_DOCUMENT_BYTES:
            yield ScenarioError(f"longer than {limits.MAX_DOCUMENT_BYTES} bytes", source=str(path))
            return
        try:
            text = path.read_text(encoding="utf-8-sig")
            yield to_dict(parse_scenario(text, source=str(path)))
        except UnicodeDecodeError:
            yield ScenarioError("not UTF-8 text", source=str(path))
        except ScenarioError as error:
            yield error
        return
    for found in read_scenarios(path):
        yield to_dict(found) if isinstance(found, Scenario) else found


def _bif(path: pathlib.Path) -> _Found:
    from ppt_jax.scenario.networks.bif import parse_bif
    from ppt_jax.scenario.networks.network import SCENARIO, read_text
    from ppt_jax.scenario.networks.questions import bif_document

    text = read_text(path, SCENARIO.file_bytes)
    yield bif_document(parse_bif(text, str(path), SCENARIO), _words(path), path.stem)


def _problog(path: pathlib.Path) -> _Found:
    from ppt_jax.scenario.networks.network import SCENARIO, read_text
    from ppt_jax.scenario.networks.problog_syntax import parse_problog
    from ppt_jax.scenario.networks.questions import problog_documents

    statements = parse_problog(read_text(path, SCENARIO.file_bytes), str(path))
    yield from problog_documents(statements, _words(path), path.stem)


READERS: dict[str, Callable[[pathlib.Path], _Found]] = {
    "numpyro": _python,
    "bif": _bif,
    "problog": _problog,
    "json": _json,
}


def _words(path: pathlib.Path) -> dict[str, Any]:
    """The JSON object beside a network: story, evidence, asks."""
    beside = path.with_suffix(".json")
    if not beside.exists():
        return {}
    from ppt_jax.scenario import limits
    from ppt_jax.scenario.fields import load_json

    try:
        with open(beside, "rb") as file:
            words = load_json(file.read(limits.MAX_DOCUMENT_BYTES + 1).decode("utf-8-sig"))
    except (OSError, ValueError, UserError) as error:
        raise UserError(f"{beside}: cannot be read as JSON ({error})") from None
    known = {"story", "evidence", "asks"}
    if not isinstance(words, dict) or set(words) - known:
        raise UserError(f"{beside}: an object with {', '.join(sorted(known))} is wanted")
    return words


def _format(path: pathlib.Path) -> str:
    return next((name for name, ends in SUFFIXES.items() if path.suffix.lower() in ends), "")


def _files(source: pathlib.Path, wanted: str) -> list[tuple[pathlib.Path, str]]:
    """The files to read, each with its format; JSON beside a program is not one of them."""
    if source.is_file():
        kind = _format(source) if wanted == "auto" else wanted
        if not kind:
            raise UserError(f"{source}: the suffix tells no format; give --format")
        return [(source, kind)]
    if not source.is_dir():
        raise UserError(f"--input={source}: no such file or folder")
    paths = sorted(path for path in source.rglob("*") if path.is_file())
    programs = {path.with_suffix("") for path in paths if _format(path) not in ("", "json")}
    return [
        (path, _format(path))
        for path in paths
        if _format(path) in ((wanted,) if wanted != "auto" else SUFFIXES)
        and not (path.suffix == ".json" and path.with_suffix("") in programs)
    ]


def import_programs(
    source: pathlib.Path, out: pathlib.Path, wanted: str = "auto", shard_size: int = 1000
) -> tuple[int, list[dict[str, Any]]]:
    """Reads files, writes shards and rejects.

    Returns:
      How many scenarios were written, and the rows of rejects.jsonl.

    Raises:
      UserError: nothing to read.
    """
    from ppt_jax.scenario.document import parse_scenario, to_dict

    files = _files(source, wanted)
    if not files:
        raise UserError(f"--input={source}: no file with {'a known suffix' if wanted else wanted}")
    rows: list[dict[str, Any]] = []
    rejects: list[dict[str, Any]] = []
    taken: collections.Counter[str] = collections.Counter()
    for path, kind in files:
        found = READERS[kind](path)
        while True:
            try:
                one = next(found, None)
                if one is None:
                    break
                if isinstance(one, UserError):
                    rejects.append(_reject(path, kind, one))
                    continue
                taken[str(one["id"])] += 1
                if taken[str(one["id"])] > 1:
                    one = {**one, "id": f"{str(one['id'])[:70]}-{taken[str(one['id'])]}"}
                rows.append(to_dict(parse_scenario(one, source=str(path))))
            except (UserError, OSError) as error:  # an error ends its generator
                rejects.append(_reject(path, kind, error))
            except (ArithmeticError, LookupError, TypeError, ValueError, RecursionError) as error:
                # a file that trips the reader must not cost the others
                place = UserError(f"{path}: cannot be read ({type(error).__name__}: {error})")
                rejects.append(_reject(path, kind, place))
    shards = range(0, len(rows), shard_size)
    for old in out.glob("scenarios-*.jsonl"):
        raise UserError(f"{old}: there already; take a new --out")
    for number, first in enumerate(shards):
        write_jsonl(out / f"scenarios-{number:05d}.jsonl", rows[first : first + shard_size])
    write_jsonl(out / "rejects.jsonl", rejects)
    return len(rows), rejects


def _reject(path: pathlib.Path, kind: str, error: Exception) -> dict[str, Any]:
    line = getattr(error, "line", 0) or 0
    reason = str(getattr(error, "message", "") or error)
    return {
        "file": str(path),
        "line": line,
        "format": kind,
        "reason": reason[:2000],
        "message": str(error)[:2000],
    }
