"""Qwen3 0.6B, all parameters: a first run on a single GPU.

Check it first: ``python -m launch.plan --config=configs/qwen3_0p6b_full.py --devices=N``.
"""

from ml_collections import ConfigDict

from configs.posttrain import recipe


def get_config() -> ConfigDict:
    """The recipe."""
    return recipe(
        "qwen3_0p6b",
        model={},
        mesh={"data": -1, "fsdp": 1, "tensor": 1},
        learning_rate=2e-5,
        rows=16,
        accumulate=2,
    )
