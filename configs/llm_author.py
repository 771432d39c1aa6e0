"""The quickstart with scenarios that a language model writes: name a server and a model.

    python -m launch.author --config=configs/llm_author.py --workdir=runs/written \
        --config.backend.base_url=http://127.0.0.1:8000/v1 --config.author.model=NAME

``--config.backend.kind=offline`` tries it without a model. docs/llm_author.md says more.
"""

from ml_collections import ConfigDict

from configs import quickstart
from configs.sections import section
from launch.writing import BackendSettings
from ppt_jax.authoring.llm.config import LLMAuthorConfig


def get_config() -> ConfigDict:
    """The quickstart's recipe with another author."""
    config = quickstart.get_config()
    config.author = section(
        LLMAuthorConfig,
        without=("seed",),
        model="default",
        motifs=("all",),  # tuples, so that names can be given on the command line
        domains=("all",),
        personas=("all",),
        genres=("all",),
        train_size=400,
        validation_size=40,
        seen_motifs_size=60,
        held_out_motifs_size=40,
        held_out_family_size=40,
        shards=4,
    )
    config.author.kind = "llm"
    config.backend = section(BackendSettings)
    return config
