"""The data set on disk: labelled records as ArrayRecord shards in a TFDS folder.

    <labelled>/train-00000-of-00004.jsonl ...   ->   dataset/
                                                       labelled-train.array_record-00000-of-00001
                                                       features.json dataset_info.json
                                                       metadata.json   schema, for readers
                                                       manifest.json   sizes and hashes of files

``tfds.builder_from_directory("dataset").as_data_source(split="train")`` reads it, without
TensorFlow. The same rows give the same bytes; the folder appears whole or not at all.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import pathlib
import re
import shutil
from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np
import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordWriter
from tensorflow_datasets.core import dataset_info as tfds_info
from tensorflow_datasets.core import example_serializer
from tensorflow_datasets.core import splits as tfds_splits

from ppt_jax.data.records import (
    SCHEMA,
    SPLITS,
    AskRecord,
    RecordError,
    ScenarioRecord,
    record_from_row,
)
from ppt_jax.errors import UserError
from ppt_jax.progress import Progress
from ppt_jax.storage import content_hash, read_jsonl, write_atomic

NAME = "labelled"
VERSION = "1.0.0"
MAX_ANSWERS = 101
_SHARD = re.compile(r"(?P<split>[a-z_]+)-(?P<at>\d{5})-of-(?P<count>\d{5})\.jsonl")


class DatasetError(UserError):
    """A data set folder, or the labelled shards it is built from, that cannot be used."""


@functools.cache
def features() -> tfds.features.FeaturesDict:
    """The TFDS features of a record, schema ``labelled/1`` (tabled in ``docs/data.md``)."""
    kinds = tfds.features
    answers = functools.partial(kinds.Tensor, shape=(MAX_ANSWERS,), dtype=np.float32)
    ask = {
        **{name: kinds.Text() for name in ("id", "kind", "text", "unit", "options", "route")},
        **{
            name: kinds.Scalar(np.float32)
            for name in ("low", "high", "true_rank", "ess", "error", "information")
        },
        "answers": kinds.Scalar(np.int32),
        "target": answers(),
        "prior": answers(),
        "true_answer": kinds.Scalar(np.int32),
    }
    texts = ("id", "motif", "family", "skin", "genre", "story", "document")
    return kinds.FeaturesDict(
        {**{name: kinds.Text() for name in texts}, "asks": kinds.Sequence(ask)}
    )


def _example(record: ScenarioRecord) -> dict[str, Any]:
    """A record as TFDS takes it: options joined by new lines, distributions padded with zeros."""
    asks = []
    for ask in record.asks:
        count = len(ask.target_K)
        if count > MAX_ANSWERS:
            raise RecordError(
                f"scenario {record.id}, ask {ask.id}: {count} options, at most {MAX_ANSWERS}"
            )
        padding = (0, MAX_ANSWERS - count)
        fields = {field.name: getattr(ask, field.name) for field in dataclasses.fields(ask)}
        del fields["target_K"], fields["prior_K"]
        asks.append(
            {
                **fields,
                "options": "\n".join(ask.options),
                "answers": count,
                "target": np.pad(ask.target_K, padding),
                "prior": np.pad(ask.prior_K, padding),
            }
        )
    fields = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    return {**fields, "asks": asks}


def _record(example: dict[str, Any]) -> ScenarioRecord:
    """The inverse of `_example` on what TFDS reads."""
    asks = []
    columns = example["asks"]
    for at in range(len(columns["id"])):
        ask = {name: column[at] for name, column in columns.items()}
        count = int(ask.pop("answers"))
        options = ask.pop("options").decode()
        asks.append(
            AskRecord(
                id=ask["id"].decode(),
                kind=ask["kind"].decode(),
                text=ask["text"].decode(),
                unit=ask["unit"].decode(),
                low=float(ask["low"]),
                high=float(ask["high"]),
                options=tuple(options.split("\n")) if options else (),
                target_K=np.array(ask["target"][:count]),
                prior_K=np.array(ask["prior"][:count]),
                true_answer=int(ask["true_answer"]),
                true_rank=float(ask["true_rank"]),
                route=ask["route"].decode(),
                ess=float(ask["ess"]),
                error=float(ask["error"]),
                information=float(ask["information"]),
            )
        )
    texts = {
        name: example[name].decode()
        for name in ("id", "motif", "family", "skin", "genre", "story", "document")
    }
    return ScenarioRecord(**texts, asks=tuple(asks))


def find_shards(labelled_dir: str | os.PathLike[str]) -> dict[str, list[pathlib.Path]]:
    """The labelled shards of every split, in order.

    Raises:
      DatasetError: a shard is missing (the message names the file), shards of two runs are mixed,
        a split is unknown, or there are none.
    """
    folder = pathlib.Path(labelled_dir)
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder; label the scenarios first")
    counts: dict[str, int] = {}
    for path in sorted(folder.iterdir()):
        match = _SHARD.fullmatch(path.name)
        if not match:
            continue
        split, count = match["split"], int(match["count"])
        if split not in SPLITS:
            raise DatasetError(f"{path}: unknown split {split!r}, must be one of {SPLITS}")
        if counts.setdefault(split, count) != count:
            raise DatasetError(
                f"{path}: shard of {count}, others of this split are of {counts[split]}; "
                "remove the shards of one of the two runs"
            )
    if not counts:
        raise DatasetError(f"{folder}: no shards named like train-00000-of-00004.jsonl")
    shards: dict[str, list[pathlib.Path]] = {}
    for split in SPLITS:
        if split not in counts:
            continue
        count = counts[split]
        shards[split] = [folder / f"{split}-{at:05d}-of-{count:05d}.jsonl" for at in range(count)]
        for path in shards[split]:
            if not path.exists():
                raise DatasetError(f"{path}: shard is missing; run the labelling again")
    if "train" not in shards:
        raise DatasetError(f"{folder}: no train shards; splits found: {', '.join(shards)}")
    return shards


def _sha256(path: pathlib.Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def build_dataset(
    labelled_dir: str | os.PathLike[str],
    out_dir: str | os.PathLike[str],
    *,
    records_per_shard: int = 10_000,
    silent: bool = False,
) -> Dataset:
    """Builds the data set folder from labelled JSONL shards.

    The folder is made beside its place under a hidden name and moved there when it is complete:
    killed at any point, a half data set never looks whole, and the next start builds it anew. A
    folder that was built from the same rows already is left as it is; one of other rows is
    replaced.

    Args:
      labelled_dir: the labelling job's output, ``<split>-00000-of-00004.jsonl``.
      out_dir: the data set's folder.
      records_per_shard: scenarios in one ArrayRecord file.
      silent: no progress bar.

    Returns:
      The opened data set.

    Raises:
      UserError: missing shards, malformed rows (file, line, ask and field are named), two
        scenarios of one id, or a folder that cannot be written.
    """
    out = pathlib.Path(out_dir)
    shards = find_shards(labelled_dir)
    source = content_hash(
        [
            [SCHEMA, records_per_shard],
            [[path.name, _sha256(path)] for paths in shards.values() for path in paths],
        ]
    )
    if (out / "manifest.json").exists() and _manifest(out).get("source") == source:
        return open_dataset(out)
    if out.exists() and not (out / "manifest.json").exists() and any(out.iterdir()):
        raise DatasetError(f"{out}: holds files that are no data set; name another folder")
    part = out.with_name(f".{out.name}.part")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        _write(part, shards, source, records_per_shard, silent)
        _swap(part, out)
    except (OSError, RuntimeError) as error:  # ArrayRecord reports a full disk as RuntimeError
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise DatasetError(
            f"{out}: cannot write the data set ({reason}); nothing was replaced, free space or "
            "fix the permission and start again"
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return open_dataset(out)


def _swap(part: pathlib.Path, out: pathlib.Path) -> None:
    """Moves a complete folder to its place; an older one goes away after that."""
    old = out.with_name(f".{out.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        os.replace(out, old)
    os.replace(part, out)
    shutil.rmtree(old, ignore_errors=True)


def _write(
    folder: pathlib.Path,
    shards: dict[str, list[pathlib.Path]],
    source: str,
    records_per_shard: int,
    silent: bool,
) -> None:
    """Writes shards, TFDS metadata and manifest into an empty folder."""
    serializer = example_serializer.ExampleSerializer(features().get_serialized_info())
    seen: dict[str, str] = {}
    counts: dict[str, dict[str, int]] = {}
    infos: list[tfds_splits.SplitInfo] = []
    for split, paths in shards.items():
        lengths: list[int] = []
        size, asks = 0, 0
        writer: Any = None
        with Progress(f"dataset {split}", len(paths), "shard", silent=silent) as bar:
            for path in paths:
                for line, row in read_jsonl(path):
                    where = f"{path}, line {line}"
                    record = record_from_row(row, where=where)
                    if record.id in seen:
                        raise RecordError(
                            f"{where}: scenario {record.id!r} stands in {seen[record.id]} too"
                        )
                    seen[record.id] = where
                    if writer is None or lengths[-1] == records_per_shard:
                        if writer is not None:
                            writer.close()
                        name = str(folder / f"{split}.{len(lengths)}")
                        writer = ArrayRecordWriter(name, "group_size:1")
                        lengths.append(0)
                    example = serializer.get_tf_example(features().encode_example(_example(record)))
                    data = example.SerializeToString(deterministic=True)
                    writer.write(data)
                    lengths[-1] += 1
                    size, asks = size + len(data), asks + len(record.asks)
                bar.advance()
        if writer is None:
            continue  # every scenario of the split was a reject: the split is left out
        writer.close()
        template = tfds.core.ShardedFileTemplate(
            dataset_name=NAME, data_dir=str(folder), split=split, filetype_suffix="array_record"
        )
        for at in range(len(lengths)):
            name = f"{NAME}-{split}.array_record-{at:05d}-of-{len(lengths):05d}"
            os.replace(folder / f"{split}.{at}", folder / name)
        infos.append(
            tfds_splits.SplitInfo(
                name=split, shard_lengths=lengths, num_bytes=size, filename_template=template
            )
        )
        counts[split] = {"scenarios": sum(lengths), "asks": asks}
    if "train" not in counts:
        raise DatasetError("the train split has no labelled scenario; see rejects.jsonl for why")
    _write_info(folder, infos)
    files = {
        path.name: {"bytes": path.stat().st_size, "sha256": _sha256(path)}
        for path in sorted(folder.iterdir())
    }
    manifest = {
        "schema": SCHEMA,
        "source": source,
        "fingerprint": content_hash(files),
        "splits": counts,
        "files": files,
    }
    write_atomic(folder / "manifest.json", json.dumps(manifest, indent=1) + "\n")


def _write_info(folder: pathlib.Path, infos: list[tfds_splits.SplitInfo]) -> None:
    """Writes what TFDS needs to find splits and features."""
    identity = tfds_info.DatasetIdentity(
        name=NAME,
        version=tfds.core.Version(VERSION),
        data_dir=str(folder),
        module_name="ppt_jax.data.dataset",
    )
    info = tfds.core.DatasetInfo(
        builder=identity,
        description="Scenarios with posterior labels, one record a scenario.",
        features=features(),
        disable_shuffling=True,
        metadata=tfds.core.MetadataDict(schema=SCHEMA),
    )
    info.set_file_format("array_record")
    info.set_splits(tfds_splits.SplitDict(infos))
    info.write_to_directory(str(folder))


def _manifest(folder: pathlib.Path) -> dict[str, Any]:
    """Reads the manifest and checks the schema."""
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DatasetError(
            f"{folder}: no data set here ({path.name} is missing); build it first"
        ) from error
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: cannot be read ({error})") from error
    schema = manifest.get("schema") if isinstance(manifest, dict) else None
    if schema != SCHEMA:
        raise DatasetError(
            f"{path}: schema {schema!r}, this version reads {SCHEMA!r}; build the data set again"
        )
    return dict(manifest)


class RecordSource(Sequence[ScenarioRecord]):
    """The records of one split, read when asked for (a Grain random-access source)."""

    def __init__(self, source: Any, name: str) -> None:
        self._source, self._name = source, name

    def __len__(self) -> int:
        return len(self._source)

    @overload
    def __getitem__(self, index: int) -> ScenarioRecord: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[ScenarioRecord]: ...

    def __getitem__(self, index: int | slice) -> ScenarioRecord | Sequence[ScenarioRecord]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        at = index + len(self) if index < 0 else index
        if not 0 <= at < len(self):
            raise IndexError(f"{self._name}: record {index} of {len(self)}")
        try:
            return _record(self._source[at])
        except (RuntimeError, ValueError, IndexError) as error:
            raise DatasetError(
                f"{self._name}, record {at}: cannot be read ({str(error).splitlines()[0][:200]}); "
                "a file of the data set is damaged, remove the folder and build it again"
            ) from error

    def __iter__(self) -> Iterator[ScenarioRecord]:
        for at in range(len(self)):
            yield self[at]

    def __repr__(self) -> str:
        return f"RecordSource({self._name!r}, {len(self)} scenarios)"


@dataclasses.dataclass(frozen=True)
class Dataset:
    """An opened data set.

    Attributes:
      directory: where it lies.
      fingerprint: changes with any byte of any file.
      counts: scenarios and asks of every split.
    """

    directory: pathlib.Path
    fingerprint: str
    counts: dict[str, dict[str, int]]

    def split(self, name: str) -> RecordSource:
        """The records of one split.

        Raises:
          DatasetError: there is no such split.
        """
        if name not in self.counts:
            raise DatasetError(
                f"{self.directory}: no split {name!r}; there are {', '.join(self.counts)}"
            )
        builder = tfds.builder_from_directory(str(self.directory))
        return RecordSource(builder.as_data_source(split=name), name)


def open_dataset(directory: str | os.PathLike[str], *, verify: bool = False) -> Dataset:
    """Opens a data set folder and checks that it is whole.

    Args:
      directory: from `build_dataset`.
      verify: compare the hash of every file too, not only presence and size.

    Raises:
      DatasetError: no data set, another schema version, or a missing, cut or changed file; the
        message names it.

    Example:
      >>> open_dataset("runs/quickstart/dataset").split("train")[0].story  # doctest: +SKIP
      'At the lake club ...'
    """
    folder = pathlib.Path(directory)
    manifest = _manifest(folder)
    for name, expected in manifest["files"].items():
        path = folder / name
        if not path.exists():
            raise DatasetError(
                f"{path}: file of the data set is missing; remove the folder and build it again"
            )
        size = path.stat().st_size
        if size != expected["bytes"]:
            raise DatasetError(
                f"{path}: has {size} bytes, was written with {expected['bytes']}; the file is cut "
                "or changed, remove the folder and build the data set again"
            )
        if verify and _sha256(path) != expected["sha256"]:
            raise DatasetError(
                f"{path}: its content has changed; remove the folder and build the data set again"
            )
    return Dataset(folder, manifest["fingerprint"], manifest["splits"])
