"""Items written as they are done, so that an evaluation that was cut off goes on where it was."""

from __future__ import annotations

import json
import pathlib
import re
from collections.abc import Callable, Iterable

from ppt_jax.errors import UserError
from ppt_jax.evaluation.item_files import read_items, write_items
from ppt_jax.evaluation.items import Item
from ppt_jax.storage import write_atomic

_MANIFEST = "shards.json"


class ItemShards:
    """A folder of item shards of one evaluation.

    What is handed out is always read back from the file, so the items of a run that was cut off
    and resumed are those of one that was not, byte for byte.

    Args:
      folder: made when missing.
      fingerprint: names model, questions and settings; shards of another one are removed.

    Example:
      shards = ItemShards(out / "shards", content_hash([data.fingerprint, settings]))
      items = shards.get("seen_motifs-after", lambda: answer_everything())
    """

    def __init__(self, folder: pathlib.Path, fingerprint: str) -> None:
        self.folder = folder
        manifest = folder / _MANIFEST
        try:
            old = json.loads(manifest.read_text(encoding="utf-8"))["fingerprint"]
        except (OSError, ValueError, KeyError, TypeError):
            old = None
        if old != fingerprint:
            for shard in sorted(folder.glob("*.jsonl")):
                shard.unlink()
            write_atomic(manifest, json.dumps({"fingerprint": fingerprint}) + "\n")

    def path(self, name: str) -> pathlib.Path:
        """File of a shard; the name may hold letters, digits, ``.``, ``_``, ``+`` and ``-``."""
        if not re.fullmatch(r"[\w.+-]+", name):
            raise UserError(f"shard name {name!r}: letters, digits, . _ + - only")
        return self.folder / f"{name}.jsonl"

    def get(self, name: str, make: Callable[[], Iterable[Item]]) -> list[Item]:
        """Items of a shard: made and stored the first time, read afterwards."""
        path = self.path(name)
        if not path.exists():
            write_items(path, make())
        return list(read_items(path))
