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
    config.author.train_size = 8000
    config.author.validation_size = 200
    config.author.seen_motifs_size = 300
    config.author.held_out_motifs_size = 150
    config.author.held_out_family_size = 150
    config.author.length = "short"

    # Posterior labels: ppt_jax.inference.labels.LabelConfig.
    config.label = ConfigDict()

    # Data set and packing: ppt_jax.data.
    config.data = ConfigDict()
    config.data.tokenizer = ConfigDict()
    config.data.tokenizer.vocab_size = 2048
    config.data.tokenizer.numbers = "whole"
    config.data.packing = ConfigDict()  # rows of a training batch
    config.data.packing.rows = 16
    config.data.packing.tokens = 512
    config.data.packing.nodes = 96
    config.data.packing.edges = 768
    config.data.packing.asks = 16
    config.data.packing.max_stop_nodes = 2
    config.data.evaluation_packing = ConfigDict()  # whole answer tries
    config.data.evaluation_packing.rows = 8
    config.data.evaluation_packing.tokens = 640
    config.data.evaluation_packing.nodes = 512
    config.data.evaluation_packing.edges = 1024
    config.data.evaluation_packing.asks = 5

    # The decoder: ppt_jax.models.decoder.DecoderConfig; the vocabulary is the tokenizer's.
    config.model = ConfigDict()
    config.model.width = 128
    config.model.layers = 4
    config.model.heads = 4
    config.model.kv_heads = 4
    config.model.head_size = 32
    config.model.mlp_width = 384

    # Training: ppt_jax.training.loop.TrainConfig.
    config.train = ConfigDict()
    config.train.steps = 1500
    config.train.lm_steps = 0
    config.train.log_every = 20
    config.train.validate_every = 250
    config.train.checkpoint_every = 250
    config.train.optimizer = ConfigDict()
    config.train.optimizer.learning_rate = 2e-3
    config.train.optimizer.warmup_steps = 100

    # Evaluation: ppt_jax.evaluation.tables.EvaluationConfig.
    config.evaluate = ConfigDict()
    config.evaluate.replicates = 1000
    return config
