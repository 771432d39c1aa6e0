"""The TRL side of benchmark_trl.py; runs under a Python that has torch, transformers, trl, peft.

Reads a model directory and a JSON list of {"prompt", "completion"}, trains for some seconds with
SFTTrainer (one padded row an ask, full-vocabulary logits) and prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--rows", required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--rank", type=int, default=0)
    parser.add_argument("--out", required=True)
    options = parser.parse_args(arguments)

    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    with open(options.rows) as file:
        rows = json.load(file)
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    adapters = None
    if options.rank:
        from peft import LoraConfig

        adapters = LoraConfig(
            r=options.rank, lora_alpha=2 * options.rank, target_modules="all-linear"
        )
    ends: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            ends.append(time.perf_counter())

    settings = SFTConfig(
        output_dir=options.out,
        per_device_train_batch_size=options.batch,
        max_steps=options.steps + 2,
        learning_rate=1e-3,
        lr_scheduler_type="constant",
        completion_only_loss=True,
        packing=False,
        max_length=None,
        bf16=False,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        logging_steps=10**6,
        disable_tqdm=True,
    )
    trainer = SFTTrainer(
        model=model,
        args=settings,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=adapters,
        callbacks=[Clock()],
    )
    lengths = [len(tokenizer(row["prompt"] + row["completion"])["input_ids"]) for row in rows]
    trainer.train()
    seconds = ends[-1] - ends[1]  # the first two steps warm up
    asks = options.batch * options.steps
    size = 1024
    a, b = torch.randn(size, size), torch.randn(size, size)
    torch.mm(a, b)
    start = time.perf_counter()
    for _ in range(20):
        torch.mm(a, b)
    rate = 20 * 2 * size**3 / (time.perf_counter() - start)
    print(
        json.dumps(
            {
                "asks": asks / seconds,
                "tokens": asks * sum(lengths) / len(lengths) / seconds,
                "matmul": rate / 1e9,
                "torch": torch.__version__,
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1:])
