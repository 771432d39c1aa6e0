"""Ten thousand scenarios of full breadth from the offline author, to post-train a model on.

Every motif, skin, genre and told level, and changes of the structure. The recipes for released
models write this corpus (`configs/posttrain.py`); the quickstart's small decoder could not read it.

  python -m launch.author --config=configs/breadth.py --workdir=runs/breadth
  python -m launch.label  --config=configs/breadth.py --workdir=runs/breadth
"""

from ml_collections import ConfigDict

from configs import quickstart
from configs.sections import section
from ppt_jax.authoring.author import AuthorConfig
from ppt_jax.inference.labels import LabelConfig


def author(train_size: int = 9_000) -> ConfigDict:
    """The author's section: all there is, stories of up to 200 words."""
    return section(
        AuthorConfig,
        without=("seed",),
        train_size=train_size,
        validation_size=200,
        seen_motifs_size=200,
        held_out_motifs_size=200,
        held_out_family_size=200,
        held_out_skins_size=100,
        held_out_structures_size=100,
        held_out_structures=0.05,
        held_out_skins="one_per_kind",
        told=("full", "verbal", "implicit"),
        length="medium",
        mutations="all",
        checks={"max_words": 200},
    )


def get_config() -> ConfigDict:
    """The quickstart's recipe with this corpus and the default accuracy of labels."""
    config = quickstart.get_config()
    config.author = author()
    config.label = section(LabelConfig, without=("seed",))
    return config
