r"""Asks trained per second here and in TRL's SFTTrainer, full and with adapters, in one run.

The same stories and asks, the same Llama shape and start weights, AdamW, float32. TRL trains one
padded row an ask on the label's most probable answer (it has no soft labels); here prefix trees
train whole distributions. Both sides take turns `--turns` times, since other work on the machine
comes and goes; the rows are medians, and the ratio is that of the two halves of a turn. Also times
a plain matmul on both sides, and writing and reading the model and a checkpoint.

  python -m scripts.benchmark_trl --torch_python=PATH/TO/python      # with torch and trl
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from ppt_jax.data.dataset import open_dataset
from ppt_jax.data.packing import PackConfig, balanced_shapes, units_of
from ppt_jax.data.pipeline import StreamConfig, packed_batches
from ppt_jax.data.prompts import answer_scale, frame
from ppt_jax.data.supports import support_of
from ppt_jax.data.tokenizer import load_tokenizer
from ppt_jax.data.trees import Compiler
from ppt_jax.models.adapters import split, with_adapters
from ppt_jax.models.answers import StopSets
from ppt_jax.models.decoder import DecoderConfig, count_parameters, init_params, make_apply
from ppt_jax.models.exchange import export_params, load_params, read_config
from ppt_jax.models.families import hf_from_config
from ppt_jax.training.checkpoint import Checkpoints, restore_params
from ppt_jax.training.flops import batch_work, step_flops
from ppt_jax.training.objectives.soft_label import soft_label
from ppt_jax.training.optimizer import OptimizerConfig, make_optimizer
from ppt_jax.training.sharding import MeshConfig, make_mesh, put_batch
from ppt_jax.training.state import abstract_state, init_state, state_shardings
from ppt_jax.training.step import make_step
from scripts.benchmark_packing import make_corpus

TORCH = flags.DEFINE_string("torch_python", None, "A Python with torch, transformers, trl, peft.")
WIDTH = flags.DEFINE_integer("model_width", 384, "Width of the decoder.")
DEPTH = flags.DEFINE_integer("model_layers", 6, "Layers of the decoder.")
RANK = flags.DEFINE_integer("rank", 16, "Rank of the adapters.")
STEPS = flags.DEFINE_integer("steps", 6, "Timed steps on either side, in each turn.")
TURNS = flags.DEFINE_integer("turns", 3, "How often either side is timed.", lower_bound=1)
BATCH = flags.DEFINE_integer("asks_a_batch", 16, "Rows of TRL's batches.")


def matmul_gflops(size: int = 1024, times: int = 20) -> float:
    a_NN = jax.random.normal(jax.random.key(0), (size, size))
    product = jax.jit(lambda a: a @ a)
    product(a_NN).block_until_ready()
    start = time.perf_counter()
    for _ in range(times):
        product(a_NN).block_until_ready()
    return times * 2 * size**3 / (time.perf_counter() - start) / 1e9


def ours(
    model: DecoderConfig, params: Any, compiler: Compiler, records: Any
) -> Callable[[], dict[str, float]]:
    """A compiled step that has run twice; what is returned times it over some batches."""
    shape = PackConfig(rows=4, tokens=1024, max_stop_nodes=2)
    trees = compiler.trees(records)
    config = balanced_shapes(trees, shape)
    units, _ = units_of(trees, config)
    mesh = make_mesh(MeshConfig())
    optimizer = make_optimizer(OptimizerConfig(learning_rate=1e-3), 10_000)
    trained, frozen = split(params, model)
    state = init_state(model, optimizer, mesh, seed=0, params=trained)
    objective = soft_label(StopSets.from_mask(compiler.stop_SV), config.max_answers)
    shardings = state_shardings(model, optimizer, mesh)
    step = make_step(make_apply(model), objective, optimizer, shardings, mesh)
    batches = iter(packed_batches(units, config, StreamConfig(), pad=compiler.pad))

    def advance() -> dict[str, Any]:
        nonlocal state
        batch = next(batches)
        state, metrics = step(state, put_batch(batch, mesh), frozen)
        jax.block_until_ready(metrics)
        return batch

    def measure() -> dict[str, float]:
        start = time.perf_counter()
        seen = [advance() for _ in range(STEPS.value)]
        seconds = time.perf_counter() - start
        work = [batch_work(batch) for batch in seen]
        return {
            "asks": sum(int((batch["ask_weight_BA"] > 0).sum()) for batch in seen) / seconds,
            "tokens": sum(one.tokens for one in work) / seconds,
            "gflops": sum(step_flops(model, one) for one in work) / seconds / 1e9,
        }

    for _ in range(2):
        advance()
    return measure


def theirs(folder: pathlib.Path, rows: pathlib.Path, rank: int) -> dict[str, float]:
    done = subprocess.run(
        [
            *(TORCH.value, "scripts/trl_worker.py", f"--model={folder}", f"--rows={rows}"),
            *(f"--batch={BATCH.value}", f"--steps={STEPS.value}", f"--rank={rank}"),
            f"--out={folder / 'trl'}",
        ],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"the TRL worker failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def columns(turns: list[dict[str, float]]) -> str:
    """Medians of the turns, as the cells of a row."""
    asks, tokens, matmul = (
        float(np.median([one[name] for one in turns])) for name in ("asks", "tokens", "matmul")
    )
    if "gflops" not in turns[0]:
        return f"| {asks:.1f} | {tokens:,.0f} | | of {matmul:.0f} |"
    gflops = float(np.median([one["gflops"] for one in turns]))
    share = float(np.median([one["gflops"] / one["matmul"] for one in turns]))
    return f"| {asks:.1f} | {tokens:,.0f} | {gflops:.1f} | {share:.0%} of {matmul:.0f} |"


def times(here: list[dict[str, float]], there: list[dict[str, float]], name: str) -> str:
    """Median and range of the ratio within a turn."""
    ratios = [ours[name] / theirs[name] for ours, theirs in zip(here, there, strict=True)]
    return f"| {np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def single_rows(records: Any, tokenizer: Any) -> list[dict[str, str]]:
    rows = []
    for record in records:
        for ask in record.asks:
            scale = answer_scale(ask.kind, ask.unit, ask.low, ask.high, ask.options)
            prompt = frame(tokenizer, record.story, ask.text, scale).text
            answers = support_of(ask.kind, ask.options).answers
            rows.append({"prompt": prompt, "completion": f"{answers[np.argmax(ask.target_K)]}>"})
    return rows


def storage(folder: pathlib.Path, model: DecoderConfig, params: Any) -> None:
    """Prints sizes and rates of import, export and checkpoints."""
    size = 4 * count_parameters(params) / 1e9
    start = time.perf_counter()
    jax.block_until_ready(load_params(folder, model))
    read = time.perf_counter() - start
    mesh, optimizer = make_mesh(MeshConfig()), make_optimizer(OptimizerConfig(), 10)
    state = init_state(model, optimizer, mesh, 0, params)
    store = Checkpoints(folder / "checkpoints", 1)
    start = time.perf_counter()
    store.save(1, {"params": state.params, "moments": state.optimizer}, {})
    store.close()
    saved = time.perf_counter() - start
    start = time.perf_counter()
    abstract = abstract_state(model, optimizer, mesh)
    jax.block_until_ready(restore_params(folder / "checkpoints", abstract.params))
    restored = time.perf_counter() - start
    files = sum(path.stat().st_size for path in (folder / "checkpoints").rglob("*"))
    print(
        f"\nimport {size / read:.2f} GB/s of float32 ({size:.3f} GB); checkpoint of parameters and "
        f"moments: {files / 1e9:.3f} GB, saved in {saved:.2f} s, parameters restored in "
        f"{restored:.2f} s"
    )


def main(_: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = make_corpus(pathlib.Path(temporary), 150)
        data = open_dataset(folder / "dataset").split("train")
        records = [data[n] for n in range(len(data))]
        tokenizer = load_tokenizer(folder / "tokenizer")
        model = DecoderConfig(
            vocab_size=len(tokenizer),
            width=WIDTH.value,
            layers=DEPTH.value,
            heads=WIDTH.value // 64,
            kv_heads=WIDTH.value // 64,
            mlp_width=3 * WIDTH.value,
            layers_unrolled=DEPTH.value,
        )
        params = init_params(model, jax.random.key(0))
        out = folder / "exported"
        data_hf = hf_from_config(model, "llama") | {"pad_token_id": tokenizer.pad_token_id}
        start = time.perf_counter()
        export_params(
            params,
            model,
            out,
            hf_config=data_hf,
            companions=folder / "tokenizer",
            dtype="float32",
        )
        wrote = time.perf_counter() - start
        rows = folder / "rows.json"
        rows.write_text(json.dumps(single_rows(records, tokenizer)))
        print(
            f"{count_parameters(params):,} parameters, float32; "
            f"{sum(len(record.asks) for record in records)} asks of {len(records)} stories\n"
        )
        compiler = Compiler(tokenizer, model.vocab_size)
        adapted = dataclasses.replace(model, adapter_rank=RANK.value, adapter_alpha=32.0)
        print("| training | asks/s | tokens/s | model GFLOP/s | share of a plain matmul |")
        print("| --- | ---: | ---: | ---: | ---: |")
        for name, decoder, rank in (("full", model, 0), ("LoRA", adapted, RANK.value)):
            start_params = with_adapters(params, decoder, jax.random.key(1)) if rank else params
            measure = ours(decoder, start_params, compiler, records)
            here, there = [], []
            for _turn in range(TURNS.value):
                here.append({"matmul": matmul_gflops()} | measure())
                if TORCH.value is not None:
                    there.append(theirs(out, rows, rank))
            print(f"| {name}, ppt_jax prefix trees {columns(here)}")
            if there:
                print(f"| {name}, TRL SFTTrainer {columns(there)}")
                print(f"| times {times(here, there, 'asks')} {times(here, there, 'tokens')} | | |")
        if TORCH.value is None:
            print("\nTRL was not run: give --torch_python")
        print(f"\nexport {4 * count_parameters(params) / wrote / 1e9:.2f} GB/s of float32", end="")
        storage(out, read_config(out), jax.tree.map(jnp.copy, params))


if __name__ == "__main__":
    app.run(main)
