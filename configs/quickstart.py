"""The embedded defaults: the whole way on two CPU cores in about ten minutes.

Everything is real and small: the offline author with a part of its breadth, exact and weighted
posteriors, a decoder of about a million parameters trained from scratch, the full evaluation.
"""

import ml_collections
from ml_collections import ConfigDict


def get_config() -> ml_collections.ConfigDict:
    """The quickstart's recipe."""
    config = ConfigDict()
    config.seed = 0

    # Scenarios: the offline author. Field by field: ppt_jax.authoring.author.AuthorConfig.
    config.author = ConfigDict()
    config.author.train_size = 7000
    config.author.validation_size = 150
    config.author.seen_motifs_size = 300
    config.author.held_out_motifs_size = 120
    config.author.held_out_family_size = 120
    config.author.motifs = (
        *("regression_to_mean", "success_rate", "blend_share", "fair_or_trick", "arrival_rate"),
        *("winners_curse", "waiting_time"),
        *("changepoint", "hidden_regime"),
    )
    config.author.held_out_motifs = ("winners_curse", "waiting_time")
    config.author.held_out_family = "F"
    config.author.skins = (
        *("archery", "chess_puzzles", "batteries"),
        *("seed_beds", "glass_blowers", "oyster_farm"),
        *("coffee_sack", "tulip_bulbs", "exam_pile"),
        *("loaded_dice", "lamp_bulbs", "seed_bags"),
        *("canal_lock", "owl_calls", "help_calls"),
        *("tram_stop", "taxi_rank"),
        *("ferry_bells", "kiosk_maps", "clinic_sprains"),
    )
    config.author.genres = ("plain", "notes")
    config.author.chances = ("percent",)
    config.author.asides = (0, 0)
    config.author.entities = (1, 1)
    config.author.observations = (1, 3)
    config.author.asks = (3, 4)

    # Posterior labels: ppt_jax.inference.labels.LabelConfig.
    config.label = ConfigDict()

    # Data set and packing: ppt_jax.data.tokenizer.TokenizerConfig, ppt_jax.data.packing.PackConfig.
    config.data = ConfigDict()
    config.data.tokenizer = ConfigDict()
    config.data.tokenizer.vocab_size = 4096
    config.data.tokenizer.numbers = "whole"
    config.data.packing = ConfigDict()  # rows of a posterior-training batch
    config.data.packing.rows = 4
    config.data.packing.tokens = 512
    config.data.packing.nodes = 96
    config.data.packing.edges = 768
    config.data.packing.asks = 16
    config.data.packing.max_stop_nodes = 2
    config.data.text_packing = ConfigDict()  # rows of a next-token batch: every token is a node
    config.data.text_packing.rows = 4
    config.data.text_packing.tokens = 512
    config.data.text_packing.nodes = 512
    config.data.text_packing.edges = 512
    config.data.evaluation_packing = ConfigDict()  # whole answer tries
    config.data.evaluation_packing.rows = 8
    config.data.evaluation_packing.tokens = 640
    config.data.evaluation_packing.nodes = 512
    config.data.evaluation_packing.edges = 1024
    config.data.evaluation_packing.asks = 5

    # The decoder: ppt_jax.models.decoder.DecoderConfig; the vocabulary is the tokenizer's.
    config.model = ConfigDict()
    config.model.width = 96
    config.model.layers = 3
    config.model.heads = 2
    config.model.kv_heads = 2
    config.model.head_size = 48
    config.model.mlp_width = 288
    config.model.layers_unrolled = 3
    config.model.tied_embeddings = False

    # Training: ppt_jax.training.loop.TrainConfig.
    config.train = ConfigDict()
    config.train.lm_steps = (
        300  # next tokens of stories and questions: the stand-in for pretraining
    )
    config.train.steps = 4000
    config.train.log_every = 50
    config.train.validate_every = 600
    config.train.checkpoint_every = 600
    for name in ("optimizer", "lm_optimizer"):
        config.train[name] = ConfigDict()
        config.train[name].learning_rate = 3e-3
        config.train[name].warmup_steps = 100

    # Evaluation: ppt_jax.evaluation.tables.EvaluationConfig.
    config.evaluate = ConfigDict()
    config.evaluate.replicates = 1000
    return config
