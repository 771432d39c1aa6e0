"""What is held out is never trained on: motifs, a family, skins, structures."""

import json
import pathlib

import numpy as np
import pytest

from ppt_jax.authoring.author import AuthorConfig, author_corpus
from ppt_jax.authoring.motif import all_motifs, find_motifs
from ppt_jax.authoring.skins import all_skins
from ppt_jax.authoring.splits import SPLITS, plan_splits
from ppt_jax.authoring.structures import is_held_out, program_signature
from ppt_jax.data import records
from ppt_jax.errors import UserError
from ppt_jax.evaluation import tables
from ppt_jax.storage import read_jsonl

MOTIFS = ("tug_of_war", "finishing_orders", "arrival_rate", "waiting_time", "paired_ranking", "F")
HELD_OUT = {
    "held_out_motifs": ("paired_ranking",),
    "held_out_family": "F",
    "held_out_skins": ("one_per_kind",),
    "held_out_structures": 0.3,
}
Rows = dict[str, list[dict[str, object]]]


def read(folder: pathlib.Path) -> Rows:
    """Scenarios by split."""
    found: Rows = {}
    for path in sorted((folder / "scenarios").iterdir()):
        split = path.name.split("-")[0]
        found.setdefault(split, []).extend(row for _, row in read_jsonl(path))
    return found


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    out = tmp_path_factory.mktemp("corpus")
    sizes = {f"{split}_size": 8 for split in SPLITS} | {"train_size": 32}
    author_corpus(
        AuthorConfig(motifs=MOTIFS, **HELD_OUT, **sizes, shards=1, processes=1), out, silent=True
    )
    return read(out)


def seen(rows: Rows, split: str, field: str) -> set[object]:
    return {row[field] for row in rows[split]}


def structures(rows: Rows, split: str) -> set[tuple[object, str]]:
    return {(row["motif"], program_signature(row)) for row in rows[split]}


def test_every_room_knows_the_same_splits() -> None:
    assert records.SPLITS == SPLITS
    assert SPLITS[2:] == tables.SPLITS
    assert {f"{split}_size" for split in SPLITS} <= set(AuthorConfig.__dataclass_fields__)


def test_nothing_held_out_is_trained_on(corpus: Rows) -> None:
    assert set(corpus) == set(SPLITS)
    for split in ("train", "validation", "seen_motifs"):
        assert not seen(corpus, split, "motif") & seen(corpus, "held_out_motifs", "motif")
        assert not seen(corpus, split, "family") & seen(corpus, "held_out_family", "family")
        assert not seen(corpus, split, "skin") & seen(corpus, "held_out_skins", "skin")
        assert not structures(corpus, split) & structures(corpus, "held_out_structures")
    everything = [row["story"] for rows in corpus.values() for row in rows]
    assert len(set(everything)) == len(everything)


def test_each_split_holds_one_thing_out(corpus: Rows) -> None:
    trained = {"tug_of_war", "finishing_orders", "arrival_rate", "waiting_time"}
    for split in ("train", "validation", "seen_motifs", "held_out_skins"):
        assert seen(corpus, split, "motif") == trained
    assert seen(corpus, "held_out_structures", "motif") <= trained
    assert seen(corpus, "held_out_motifs", "motif") == {"paired_ranking"}
    assert seen(corpus, "held_out_family", "family") == {"F"}
    ordinary = [split for split in SPLITS if split != "held_out_skins"]
    assert not set().union(*(seen(corpus, split, "skin") for split in ordinary)) & seen(
        corpus, "held_out_skins", "skin"
    )
    assert not structures(corpus, "held_out_skins") & structures(corpus, "held_out_structures")


def test_one_skin_of_each_kind_whatever_else_there_is() -> None:
    plan = plan_splits("all", (), "", held_out_skins=("one_per_kind",))
    kinds = [type(all_skins()[name]) for name in plan.held_out_skins]
    assert len(set(kinds)) == len(kinds) >= 15
    fewer = plan_splits(
        ("tug_of_war",), (), "", skins=("rowing", "kayak", "robots"), held_out_skins=("rowing",)
    )
    motif = all_motifs()["tug_of_war"]
    assert [skin.name for skin in fewer.skins("train", motif)] == ["robots", "kayak"]
    assert [skin.name for skin in fewer.skins("held_out_skins", motif)] == ["rowing"]


def test_signatures_tell_structures_and_not_numbers_names_or_order() -> None:
    def row(power: str, *given: str) -> dict[str, object]:
        model = [{"name": "p", "per": ["a"], "kind": "draw", "expr": power}]
        sets = [{"name": "a", "members": ["Ann", "Bo"]}]
        listed = [{"that": that, "says": ""} for that in given]
        return {"sets": sets, "model": model, "given": listed, "ask": [{"expr": "p", "kind": "x"}]}

    plain = program_signature(row("normal(mean=1/3, sd=2)", "p['Ann'] == 3", "p['Bo'] > 1"))
    same = row("normal(mean=-0.4, sd = 7)".replace(" = ", "="), "p['Ann'] > 2", "p['Bo'] == -1")
    same["ask"] = []
    assert program_signature(same) == plain
    assert program_signature(row("normal(mean=1, sd=2)", "p['Ann'] == 3")) != plain
    assert program_signature(row("robust(mean=1, sd=2, df=4)", "p['Ann'] == 3")) != plain


def test_the_share_of_structures_is_kept_and_grows() -> None:
    digits = np.random.default_rng(0).integers(0, 16, (4000, 16))
    signatures = ["".join(f"{digit:x}" for digit in row) for row in digits]
    few, many = ({s for s in signatures if is_held_out(s, share)} for share in (0.1, 0.3))
    assert few < many
    assert abs(len(few) / 4000 - 0.1) < 0.02
    assert abs(len(many) / 4000 - 0.3) < 0.03


def test_letters_stand_for_families() -> None:
    names = [motif.name for motif in find_motifs(("drift", "A", "tug_of_war"))]
    assert names[:2] == ["drift", "tug_of_war"]
    assert len(set(names)) == len(names) == 1 + len(find_motifs("A"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"held_out_skins": ("roving",)}, r"held_out_skins: unknown skin 'roving'; did you mean"),
        ({"held_out_skins_size": 5}, "held_out_skins_size: 5, but held_out_skins holds nothing"),
        ({"held_out_structures_size": 5}, "held_out_structures_size: 5, but held_out_structures"),
        ({"held_out_structures": 1.0}, "held_out_structures: 1.0 is no share"),
        ({"validation_motifs": "test"}, "validation_motifs: 'test' is neither"),
        (
            {"validation_motifs": "held_out_motifs", "held_out_motifs": ()},
            "validation_motifs: held_out_motifs names none",
        ),
        (
            {"motifs": ("tug_of_war",), "skins": ("rowing",), "held_out_skins": ("rowing",)},
            "skins: none is left for the motif 'tug_of_war'",
        ),
    ],
)
def test_a_plan_that_cannot_be_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        AuthorConfig(**fields)  # type: ignore[arg-type]


def test_a_motif_of_one_structure_is_not_held_out(tmp_path: pathlib.Path) -> None:
    sizes = {f"{split}_size": 0 for split in SPLITS} | {"held_out_structures_size": 4}
    config = AuthorConfig(motifs=("causal_power",), held_out_motifs=(), held_out_family="",
                          held_out_structures=0.9, **sizes)  # fmt: skip
    with pytest.raises(UserError, match="holds out no structure of a motif that has others"):
        author_corpus(config, tmp_path, silent=True)


def test_rejects_name_the_split(tmp_path: pathlib.Path) -> None:
    sizes = {f"{split}_size": 0 for split in SPLITS} | {"train_size": 12}
    config = AuthorConfig(motifs=("arrival_rate",), held_out_motifs=(), held_out_family="",
                          held_out_structures=0.5, shards=1, processes=1, **sizes)  # fmt: skip
    page = author_corpus(config, tmp_path, silent=True)
    assert page["counts"]["train"]["scenarios"] == 12
    assert page["rejects"]["by_reason"]["split_structure"] > 0
    stored = json.loads((tmp_path / "author.json").read_text())["config"]
    assert stored["held_out_structures"] == 0.5
