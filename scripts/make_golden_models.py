"""Writes tests/models/golden: tiny random models of every family with the logits of transformers.

Needs torch and transformers (``pip install torch==2.13.0 transformers``); the tests that read the
files need neither.

    python -m scripts.make_golden_models [--out=tests/models/golden]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

SHAPE = {
    "vocab_size": 40,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 6,
    "max_position_embeddings": 32768,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
CASES = {
    "llama": {"model_type": "llama", "tie_word_embeddings": False, "rope_theta": 500000.0},
    "llama3_scaled": {
        "model_type": "llama",
        "tie_word_embeddings": True,
        "rope_theta": 500000.0,
        "rope_scaling": LLAMA3_ROPE,
    },
    "mistral": {
        "model_type": "mistral",
        "tie_word_embeddings": False,
        "sliding_window": 5,
        "rope_theta": 10000.0,
    },
    "qwen2": {"model_type": "qwen2", "tie_word_embeddings": True, "rope_theta": 1000000.0},
    "qwen3": {"model_type": "qwen3", "tie_word_embeddings": False, "rope_theta": 1000000.0},
    "gemma2": {
        "model_type": "gemma2",
        "sliding_window": 5,
        "query_pre_attn_scalar": 9,
        "attn_logit_softcapping": 2.0,
        "final_logit_softcapping": 3.0,
        "rope_theta": 10000.0,
    },
    "gemma3": {
        "model_type": "gemma3_text",
        "num_hidden_layers": 4,
        "sliding_window": 5,
        "sliding_window_pattern": 3,
        "layer_types": [
            "sliding_attention",
            "sliding_attention",
            "full_attention",
            "sliding_attention",
        ],
        "query_pre_attn_scalar": 6,
        "rope_theta": 1000000.0,
        "rope_local_base_freq": 10000.0,
        "rope_scaling": {"rope_type": "linear", "factor": 8.0},
    },
}
LENGTH, FAR, STEPS, RATE = 12, 9000, 5, 1e-2


def build(settings: dict):
    """A random model of one family, weights spread widely enough that every part matters."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    config = AutoConfig.for_model(**{**SHAPE, **settings})
    config._attn_implementation = "eager"
    model = AutoModelForCausalLM.from_config(config).float().eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if value.ndim == 1:
                value.add_(0.3 * torch.randn_like(value))
            else:
                value.copy_(torch.randn_like(value) * (1.0 if "embed" in name else 0.4))
    model.tie_weights()
    return model


def train(model, tokens) -> list[float]:
    """Losses of five AdamW steps of next-token prediction, one before each update."""
    import torch

    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0, betas=(0.9, 0.98))
    losses = []
    for _ in range(STEPS):
        logits = model(tokens).logits[:, :-1]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path("tests/models/golden"))
    options = parser.parse_args(arguments)
    try:
        import torch
        import transformers
    except ImportError as error:
        print(f"golden files were not made: {error}", file=sys.stderr)
        return 1
    tokens = torch.from_numpy(np.random.default_rng(3).integers(3, 40, (2, LENGTH)))
    for name, settings in CASES.items():
        folder = options.out / name
        model = build(settings)
        model.save_pretrained(folder)
        (folder / "generation_config.json").unlink(missing_ok=True)
        with torch.no_grad():
            near = model(tokens).logits
            positions = torch.arange(LENGTH)[None].expand(2, -1) + FAR
            far = model(tokens, position_ids=positions).logits
        np.savez(
            folder / "expected.npz",
            tokens=tokens.numpy().astype(np.int32),
            near=near.numpy(),
            far=far.numpy(),
            losses=np.array(train(model, tokens)),
        )
        print(f"{name}: {sum(p.numel() for p in model.parameters())} parameters")
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    (options.out / "versions.json").write_text(json.dumps(versions, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
