"""The published sports contests (family S) with the published hold-out.

Two of the sixteen motifs, (P, C, R) = (1, 1, 0) and (2, 1, 0), are never trained on; half of their
scenarios are the validation split, half the test split ``held_out_motifs``. Sizes are those that
the published numbers of items imply: 316 scenarios a motif.

``--config=configs/sports_published.py`` trains the quickstart's small decoder from scratch;
``--config=configs/sports_published.py:llama3_8b`` adapts Llama 3 8B with the published settings
(rank 8 on query, value, output and MLP maps, constant rate), for which
``--config.source.path=DIRECTORY`` names the weights.
"""

from ml_collections import ConfigDict

from configs import quickstart
from configs.posttrain import recipe
from configs.sections import section
from ppt_jax.authoring.author import AuthorConfig
from ppt_jax.authoring.schedules import GRID, PUBLISHED_HOLD_OUT, motif_name
from ppt_jax.errors import UserError

PER_MOTIF = 316
MODELS = ("small", "llama3_8b")


def get_config(model: str = "small") -> ConfigDict:
    """The recipe.

    Args:
      model: of `MODELS`, behind a colon on the command line.
    """
    if model not in MODELS:
        raise UserError(f"sports_published.py:{model}: the model is none of {', '.join(MODELS)}")
    if model == "small":
        config = quickstart.get_config()
        config.data.packing.update(rows=2, tokens=1024, nodes=192, edges=1536)
        config.data.text_packing.update(rows=2, tokens=1024, nodes=1024, edges=1024)
        config.data.evaluation_packing.update(rows=4, tokens=1280, nodes=1024, edges=2048)
    else:
        config = recipe(
            "llama3_8b",
            model={
                "adapter_rank": 8,
                "adapter_alpha": 16.0,
                "adapter_targets": "query|value|output|gate|up|down",
            },
            mesh={"data": -1, "fsdp": 1, "tensor": 1},
            learning_rate=5e-5,
            rows=2,
        )
        config.train.optimizer.update(warmup_steps=0, final_fraction=1.0)  # constant
    held_out = tuple(map(motif_name, PUBLISHED_HOLD_OUT))
    config.author = section(
        AuthorConfig,
        without=("seed",),
        train_size=PER_MOTIF * (len(GRID) - len(held_out)),
        validation_size=PER_MOTIF,
        held_out_motifs_size=PER_MOTIF,
        held_out_family_size=0,
        motifs=("S",),
        held_out_motifs=held_out,
        held_out_family="",
        validation_motifs="held_out_motifs",
        entities=(4, 12),
        asks=(3, 4),
        checks={"max_words": 240},
    )
    return config
