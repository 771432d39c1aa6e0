"""Llama 3 8B with LoRA adapters, on one GPU node or one large GPU (mesh over whatever there is).

Check it first: ``python -m launch.plan --config=configs/llama3_8b_lora.py --devices=N``.
"""

from ml_collections import ConfigDict

from configs.posttrain import recipe


def get_config() -> ConfigDict:
    """The recipe."""
    return recipe(
        "llama3_8b",
        model={"adapter_rank": 16, "adapter_alpha": 32.0},
        mesh={"data": -1, "fsdp": 1, "tensor": 1},
        learning_rate=1e-4,
        rows=16,
        accumulate=2,
    )
