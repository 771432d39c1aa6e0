"""What the recipes for released models share: rows, optimizer, mesh, the offline author's corpus.

Set the model's directory on the command line: ``--config.source.path=/models/Meta-Llama-3-8B``.
"""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

from configs import breadth
from configs.sections import section
from launch.source import SourceConfig
from ppt_jax.data.packing import PackConfig
from ppt_jax.data.tokenizer import TokenizerConfig
from ppt_jax.evaluation.tables import EvaluationConfig
from ppt_jax.inference.labels import LabelConfig
from ppt_jax.models.architecture import CHOICES, DecoderConfig
from ppt_jax.training.loop import TrainConfig


def recipe(
    shape: str,
    *,
    model: dict[str, Any],
    mesh: dict[str, int],
    learning_rate: float,
    rows: int,
    accumulate: int = 1,
    tokens: int = 2048,
    steps: int = 2000,
) -> ConfigDict:
    """A recipe that post-trains a released model.

    Args:
      shape: a key of `models.shapes.SHAPES`, for `launch.plan`; the run itself reads the
        directory in ``source.path``.
      model: values of `models.architecture.CHOICES`.
      mesh: of `MeshConfig`.
      learning_rate: peak.
      rows: rows of the global batch.
      accumulate: microbatches of a step.
      tokens: length of a row.
      steps: steps of posterior training.
    """
    config = ConfigDict()
    config.seed = 0
    config.source = section(SourceConfig, shape=shape)
    config.author = breadth.author(train_size=10_000)
    config.label = section(LabelConfig, without=("seed",))
    config.data = ConfigDict()
    config.data.tokenizer = section(TokenizerConfig)  # for models without a source
    sizes = {"tokens": tokens, "nodes": tokens // 2, "edges": 4 * tokens, "asks": 32}
    config.data.packing = section(PackConfig, without=("mode",), rows=rows, **sizes)
    config.data.text_packing = section(
        PackConfig, without=("mode",), rows=rows, **{**sizes, "nodes": tokens, "edges": tokens}
    )
    config.data.evaluation_packing = section(
        PackConfig, without=("mode",), rows=rows // accumulate, **{**sizes, "nodes": tokens}
    )
    chosen = {
        "compute_dtype": "bfloat16",
        "remat": "full",
        "attention_route": "grouped",
        "attention_block": 512,
        **model,
    }
    plain = DecoderConfig(vocab_size=1, **chosen)
    config.model = ConfigDict({name: getattr(plain, name) for name in CHOICES}, type_safe=True)
    config.train = section(
        TrainConfig,
        without=("seed",),
        steps=steps,
        accumulate=accumulate,
        mesh=mesh,
        optimizer={
            "learning_rate": learning_rate,
            "warmup_steps": 100,
            "weight_decay": 0.0,
            "b2": 0.95,
        },
    )
    config.evaluate = section(EvaluationConfig, without=("seed",))
    return config
