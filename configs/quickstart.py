"""The embedded defaults: the whole way on two CPU cores in less than ten minutes.

Everything is real and small: the offline author with a part of its breadth, exact and weighted
posteriors, a decoder of under a million parameters trained from scratch, the full evaluation. What
was tried to get here stands in docs/quickstart.md.
"""

from ml_collections import ConfigDict

from configs.sections import section
from ppt_jax.authoring.author import AuthorConfig
from ppt_jax.data.packing import PackConfig
from ppt_jax.data.tokenizer import TokenizerConfig
from ppt_jax.evaluation.tables import EvaluationConfig
from ppt_jax.inference.labels import LabelConfig
from ppt_jax.models.decoder import DecoderConfig
from ppt_jax.training.loop import TrainConfig


def get_config() -> ConfigDict:
    """The quickstart's recipe."""
    config = ConfigDict()
    config.seed = 0

    # Scenarios: five trained motifs of families A and D, two held out, two of held-out family F.
    config.author = section(
        AuthorConfig,
        without=("seed",),
        train_size=7000,
        validation_size=150,
        seen_motifs_size=300,
        held_out_motifs_size=120,
        held_out_family_size=120,
        motifs=(
            *("regression_to_mean", "success_rate", "blend_share", "fair_or_trick", "arrival_rate"),
            *("winners_curse", "waiting_time"),
            *("changepoint", "hidden_regime"),
        ),
        held_out_motifs=("winners_curse", "waiting_time"),
        held_out_family="F",
        skins=(
            *("archery", "chess_puzzles", "batteries"),
            *("seed_beds", "glass_blowers", "oyster_farm"),
            *("coffee_sack", "tulip_bulbs", "exam_pile"),
            *("loaded_dice", "lamp_bulbs", "seed_bags"),
            *("canal_lock", "owl_calls", "help_calls"),
            *("tram_stop", "taxi_rank"),
            *("ferry_bells", "kiosk_maps", "clinic_sprains"),
        ),
        genres=("plain", "notes"),
        chances=("percent",),
        asides=(0, 0),
        entities=(1, 1),
        observations=(1, 3),
        asks=(3, 4),
    )

    config.label = section(LabelConfig, without=("seed",))

    # The data set, and the rows of a batch: of posterior training, of next-token training (every
    # token is a node), and of evaluation (whole answer tries).
    config.data = ConfigDict()
    config.data.tokenizer = section(TokenizerConfig, vocab_size=4096, numbers="whole")
    config.data.packing = section(
        PackConfig,
        without=("mode",),
        rows=4,
        tokens=512,
        nodes=96,
        edges=768,
        asks=16,
        max_stop_nodes=2,
    )
    config.data.text_packing = section(
        PackConfig, without=("mode",), rows=4, tokens=512, nodes=512, edges=512, asks=16
    )
    config.data.evaluation_packing = section(
        PackConfig, without=("mode",), rows=8, tokens=640, nodes=512, edges=1024, asks=5
    )

    # The decoder; its vocabulary is the tokenizer's.
    config.model = section(
        DecoderConfig,
        width=96,
        layers=3,
        layers_unrolled=3,
        heads=2,
        kv_heads=2,
        head_size=48,
        mlp_width=288,
        tied_embeddings=False,
    )

    # Next tokens of stories and questions first, the stand-in for a pretrained model.
    rate = {"learning_rate": 3e-3, "warmup_steps": 100}
    config.train = section(
        TrainConfig,
        without=("seed",),
        lm_steps=300,
        steps=3800,
        log_every=50,
        validate_every=600,
        checkpoint_every=600,
        optimizer=rate,
        lm_optimizer=rate,
    )

    # Three of the corrections after the fact; the default is all of them, and takes longer.
    config.evaluate = section(
        EvaluationConfig, without=("seed",), posthoc=("temperature", "isotonic", "mixing")
    )
    return config
