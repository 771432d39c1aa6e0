import json
import pathlib
import subprocess
import sys

import pytest

from ppt_jax.authoring.author import AuthorConfig, author_corpus
from ppt_jax.authoring.checks import CheckConfig
from ppt_jax.authoring.motif import all_motifs
from ppt_jax.authoring.splits import SPLITS
from ppt_jax.errors import UserError
from ppt_jax.scenario.document import Scenario, read_scenarios
from ppt_jax.storage import read_jsonl

SMALL = {
    "train_size": 60,
    "validation_size": 20,
    "seen_motifs_size": 20,
    "held_out_motifs_size": 8,
    "held_out_family_size": 9,
    "shards": 2,
}


def _files(folder: pathlib.Path) -> dict[str, bytes]:
    names = sorted(folder.rglob("*.json*"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in names}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    out = tmp_path_factory.mktemp("corpus")
    author_corpus(AuthorConfig(processes=1, **SMALL), out, silent=True)
    return out


def test_bytes_do_not_depend_on_processes(corpus: pathlib.Path, tmp_path: pathlib.Path) -> None:
    author_corpus(AuthorConfig(processes=2, **SMALL), tmp_path, silent=True)
    assert _files(tmp_path) == _files(corpus)


def test_a_removed_shard_is_written_again_alike_and_others_are_kept(
    corpus: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    config = AuthorConfig(processes=1, **SMALL)
    author_corpus(config, tmp_path, silent=True)
    removed = tmp_path / "scenarios" / "train-00001-of-00002.jsonl"
    kept = tmp_path / "scenarios" / "train-00000-of-00002.jsonl"
    removed.unlink()
    before = kept.stat().st_mtime_ns
    author_corpus(config, tmp_path, silent=True)
    assert kept.stat().st_mtime_ns == before
    assert _files(tmp_path) == _files(corpus)


def test_splits_have_their_motifs_sizes_and_quotas(corpus: pathlib.Path) -> None:
    config = AuthorConfig(**SMALL)
    motifs = all_motifs()
    seen: dict[str, set[str]] = {}
    stories: list[str] = []
    for split in SPLITS:
        rows: list[Scenario] = []
        for path in sorted((corpus / "scenarios").glob(f"{split}-*.jsonl")):
            for scenario in read_scenarios(path):
                assert isinstance(scenario, Scenario)
                rows.append(scenario)
        assert len(rows) == config.size(split)
        assert {row.split for row in rows} <= {split}
        assert {row.evidence for row in rows} <= {"simulated"}
        assert all(motifs[row.motif].family == row.family for row in rows)
        counts = [sum(row.motif == name for row in rows) for name in {row.motif for row in rows}]
        assert max(counts, default=0) - min(counts, default=0) <= 1
        seen[split] = {row.motif for row in rows}
        stories += [row.story for row in rows]
    assert len(set(stories)) == len(stories)
    trained = seen["train"] | seen["validation"] | seen["seen_motifs"]
    assert seen["held_out_motifs"] == set(config.held_out_motifs)
    assert seen["held_out_family"] == {
        name for name, motif in motifs.items() if motif.family == config.held_out_family
    }
    assert trained.isdisjoint(seen["held_out_motifs"] | seen["held_out_family"])
    families = {motifs[name].family for name in trained}
    assert config.held_out_family not in families
    assert {motifs[name].family for name in config.held_out_motifs} <= families


def test_corpus_page_counts_everything(corpus: pathlib.Path) -> None:
    page = json.loads((corpus / "corpus.json").read_text())
    assert page["counts"]["train"]["scenarios"] == page["wanted"]["train"] == 60
    rejects = [row for path in (corpus / "rejects").iterdir() for _, row in read_jsonl(path)]
    assert page["rejects"]["total"] == len(rejects)
    assert sum(page["rejects"]["by_reason"].values()) == len(rejects)
    assert all(row["reason"] and row["motif"] and row["key"] for row in rejects)
    assert page["structure"]["signatures"] > 50
    assert 0 <= page["diversity"]["near_duplicate_rate"] < 0.05
    for key in ("motif", "skin", "genre", "kind"):
        assert sum(page["shares"][key].values()) == pytest.approx(1, abs=1e-3)
    assert set(page["shares"]["kind"]) == {"value", "rank", "chance", "choice"}
    assert page["length"]["story_words"]["p50"] < 115


def test_another_config_in_the_same_folder_is_refused_by_field(corpus: pathlib.Path) -> None:
    with pytest.raises(UserError, match=r"another config.*seed, train_size"):
        author_corpus(AuthorConfig(**{**SMALL, "train_size": 61}, seed=1), corpus, silent=True)


def test_the_number_of_processes_is_no_difference(corpus: pathlib.Path) -> None:
    author_corpus(AuthorConfig(processes=7, **SMALL), corpus, silent=True)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"motifs": ("tug_of_wra",)},
            r"motifs: unknown motif 'tug_of_wra'; did you mean tug_of_war",
        ),
        ({"held_out_motifs": ("pairs",)}, "held_out_motifs: unknown motif 'pairs'"),
        ({"held_out_family": "Z"}, "held_out_family: unknown family 'Z'"),
        ({"held_out_motifs": ("preference",)}, "held_out_motifs: 'preference' is of the held-out"),
        ({"motifs": ("preference",)}, "none is left to train on"),
        ({"genres": ("opera",)}, "genres: unknown genre 'opera'"),
        ({"skins": ("moon",)}, "skins: unknown skin 'moon'"),
        ({"told": ("loud",)}, "told: "),
        ({"chances": ("odds",)}, "chances: "),
        ({"length": "huge"}, "length: 'huge'"),
        ({"asks": (4, 2)}, r"asks: \(4, 2\)"),
        ({"train_size": -1}, "train_size: -1"),
        ({"shards": 0}, "shards: 0"),
    ],
)
def test_bad_fields_are_refused_by_name(fields: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        AuthorConfig(**fields)  # type: ignore[arg-type]


def test_check_thresholds_are_validated() -> None:
    with pytest.raises(UserError, match=r"checks\.particles"):
        CheckConfig(particles=10)
    with pytest.raises(UserError, match=r"checks\.max_outside"):
        CheckConfig(max_outside=3)


def test_chosen_motifs_skins_and_genres_only(tmp_path: pathlib.Path) -> None:
    config = AuthorConfig(
        train_size=6, validation_size=0, seen_motifs_size=0, held_out_motifs_size=0,
        held_out_family_size=0, motifs=("tug_of_war",), held_out_motifs=(), held_out_family="",
        skins=("rowing", "kayak"), genres="plain", shards=1, processes=1,
    )  # fmt: skip
    page = author_corpus(config, tmp_path, silent=True)
    assert set(page["shares"]["skin"]) == {"rowing", "kayak"}
    assert set(page["shares"]["genre"]) == {"plain"}
    assert set(page["shares"]["motif"]) == {"tug_of_war"}


def test_authoring_does_not_import_jax() -> None:
    code = (
        "import sys, ppt_jax.authoring.author; "
        "sys.exit(any(name in sys.modules for name in ('jax', 'numpyro', 'tensorflow', 'torch')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
