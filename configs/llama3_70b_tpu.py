"""Llama 3 70B, all parameters, on a TPU pod slice of 128 chips.

Check it first: ``python -m launch.plan --config=configs/llama3_70b_tpu.py --devices=N``.
"""

from ml_collections import ConfigDict

from configs.posttrain import recipe


def get_config() -> ConfigDict:
    """The recipe."""
    return recipe(
        "llama3_70b",
        model={},
        mesh={"data": -1, "fsdp": 32, "tensor": 4},
        learning_rate=5e-6,
        rows=64,
        accumulate=2,
    )
