"""Llama 3 8B, all parameters, sharded over eight GPUs.

Check it first: ``python -m launch.plan --config=configs/llama3_8b_full.py --devices=N``.
"""

from ml_collections import ConfigDict

from configs.posttrain import recipe


def get_config() -> ConfigDict:
    """The recipe."""
    return recipe(
        "llama3_8b",
        model={},
        mesh={"data": 1, "fsdp": 8, "tensor": 1},
        learning_rate=1e-5,
        rows=16,
        accumulate=2,
    )
