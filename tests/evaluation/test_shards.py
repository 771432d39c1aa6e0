import pathlib

import pytest

from ppt_jax.errors import UserError
from ppt_jax.evaluation.items import Item
from ppt_jax.evaluation.shards import ItemShards
from tests.evaluation.synthetic import make_corpus


def test_what_is_done_is_read_and_another_fingerprint_starts_anew(tmp_path: pathlib.Path) -> None:
    items = make_corpus(2)[0]
    calls = []

    def make() -> list[Item]:
        calls.append(1)
        return items

    first = ItemShards(tmp_path, "one").get("seen-after", make)
    data = (tmp_path / "seen-after.jsonl").read_bytes()
    again = ItemShards(tmp_path, "one").get("seen-after", make)
    assert len(calls) == 1
    assert [i.logp_K.tolist() for i in first] == [i.logp_K.tolist() for i in again]
    ItemShards(tmp_path, "two")
    assert not (tmp_path / "seen-after.jsonl").exists()
    ItemShards(tmp_path, "two").get("seen-after", make)
    assert len(calls) == 2
    assert (tmp_path / "seen-after.jsonl").read_bytes() == data
    with pytest.raises(UserError, match="shard name"):
        ItemShards(tmp_path, "two").path("../outside")
