"""The recipe of full breadth at a small size: what it promises is there, its page is written."""

import json
import pathlib

from configs import breadth
from launch import stages
from ppt_jax.authoring.mutations import MUTATIONS


def test_recipe_of_full_breadth_holds_every_motif_told_level_and_change(
    tmp_path: pathlib.Path,
) -> None:
    config = breadth.get_config()
    with config.author.unlocked():
        config.author.update(train_size=70, held_out_structures=0.0, held_out_structures_size=0)
    for split in (
        "validation",
        "seen_motifs",
        "held_out_motifs",
        "held_out_family",
        "held_out_skins",
    ):
        config.author[f"{split}_size"] = 2
    stages.run_stage("author", config, str(tmp_path))
    page = json.loads((tmp_path / "corpus.json").read_text())
    assert page["counts"]["train"]["scenarios"] == 70
    assert len(page["training_shares"]["motif"]) == 70
    assert set(page["shares"]["told"]) == {"full", "verbal", "implicit"}
    assert set(page["shares"]["mutation"]) == set(MUTATIONS)
    failed = [gate for gate in page["gates"] if gate["passed"] is False]
    assert not [gate for gate in failed if gate["group"] in ("texts", "leakage")], failed
