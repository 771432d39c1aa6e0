r"""Training speed of prefix trees against one row an ask: same asks, same model, one run.

Prints a Markdown table. With --workdir it reads WORKDIR/dataset and WORKDIR/tokenizer of a finished
pipeline; without, it authors and labels a small corpus first (about a minute).

  python scripts/benchmark_packing.py --workdir=runs/quickstart
"""

from __future__ import annotations

import dataclasses
import pathlib
import sys
import tempfile
import time
from collections.abc import Sequence

import jax
import numpy as np
from absl import app, flags

from ppt_jax.data.dataset import build_dataset, open_dataset
from ppt_jax.data.packing import PackConfig, balanced_shapes, size_of, units_of
from ppt_jax.data.pipeline import StreamConfig, packed_batches
from ppt_jax.data.records import ScenarioRecord
from ppt_jax.data.tokenizer import (
    TokenizerConfig,
    load_tokenizer,
    save_tokenizer,
    train_tokenizer,
    training_texts,
)
from ppt_jax.data.trees import Compiler, ScenarioTree
from ppt_jax.models.answers import StopSets
from ppt_jax.models.decoder import DecoderConfig, count_parameters, make_apply
from ppt_jax.training.flops import batch_work
from ppt_jax.training.objectives.soft_label import soft_label
from ppt_jax.training.optimizer import OptimizerConfig, make_optimizer
from ppt_jax.training.sharding import MeshConfig, make_mesh, put_batch
from ppt_jax.training.state import init_state, state_shardings
from ppt_jax.training.step import make_step

WORKDIR = flags.DEFINE_string("workdir", None, "Folder of a finished pipeline; none: a new corpus.")
SCENARIOS = flags.DEFINE_integer("scenarios", 400, "Scenarios used, at most.")
TOKENS = flags.DEFINE_integer("tokens", 512, "Tokens a row of the packed layouts.")
ROWS = flags.DEFINE_integer("rows", 16, "Rows a batch of the packed layouts.")
STOPS = flags.DEFINE_integer("max_stop_nodes", 2, "Stop nodes an ask, in every layout.")
WIDTH = flags.DEFINE_integer("width", 128, "Width of the decoder.")
LAYERS = flags.DEFINE_integer("layers", 4, "Layers of the decoder.")
SECONDS = flags.DEFINE_float("seconds", 3.0, "Seconds that each layout trains in each round.")
ROUNDS = flags.DEFINE_integer("rounds", 5, "Rounds; layouts take turns, the table has medians.")


@dataclasses.dataclass
class Layout:
    """One way to fill rows, with its compiled step and what was measured."""

    name: str
    config: PackConfig
    units: list
    asks_per_second: list[float] = dataclasses.field(default_factory=list)
    tokens_per_second: list[float] = dataclasses.field(default_factory=list)
    used: float = 0.0
    asks: float = 0.0


def make_corpus(folder: pathlib.Path, scenarios: int) -> pathlib.Path:
    from ppt_jax.authoring.author import AuthorConfig, author_corpus
    from ppt_jax.inference.job import run_label_job

    few = {f"{name}_size": 2 for name in ("validation", "seen_motifs", "held_out_motifs")}
    sizes = AuthorConfig(train_size=scenarios, held_out_family_size=2, processes=1, **few)
    author_corpus(sizes, folder)
    run_label_job(folder / "scenarios", folder / "labels")
    data = build_dataset(folder / "labels", folder / "dataset")
    tokenizer = train_tokenizer(training_texts(data.split("train")), TokenizerConfig())
    save_tokenizer(tokenizer, folder / "tokenizer")
    return folder


def rounded(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def layouts(records: Sequence[ScenarioRecord], compiler: Compiler) -> list[Layout]:
    """Prefix trees; packed rows with the story repeated for each ask; one padded row an ask."""
    shape = PackConfig(rows=ROWS.value, tokens=TOKENS.value, max_stop_nodes=STOPS.value)
    trees = compiler.trees(records)
    single = [
        dataclasses.replace(record, id=f"{record.id}/{ask.id}", asks=(ask,))
        for record in records
        for ask in record.asks
    ]
    alone = compiler.trees(single)
    sizes = [size_of(tree, shape) for tree in alone]
    longest = rounded(max(size.tokens for size in sizes), 16)
    padded = dataclasses.replace(
        shape,
        tokens=longest,
        rows=max(ROWS.value * TOKENS.value // longest, 1),
        nodes=rounded(max(size.nodes for size in sizes), 8),
        edges=rounded(max(size.edges for size in sizes), 8),
        asks=1,
    )

    def made(name: str, trees: list[ScenarioTree], config: PackConfig) -> Layout:
        units, left_out = units_of(trees, config)
        if left_out:
            print(f"{name}: left out {dict(left_out)}", file=sys.stderr)
        return Layout(f"{name}, {config.rows} x {config.tokens}", config, units)

    return [
        made("one padded row an ask", alone, padded),
        made("packed rows, one ask a document", alone, balanced_shapes(alone, shape)),
        made("prefix trees", trees, balanced_shapes(trees, shape)),
    ]


def trainer(layout: Layout, compiler: Compiler, model: DecoderConfig):
    mesh = make_mesh(MeshConfig())
    settings = OptimizerConfig(learning_rate=1e-3)
    optimizer = make_optimizer(settings, 10_000)
    state = init_state(model, optimizer, mesh, seed=0)
    objective = soft_label(StopSets.from_mask(compiler.stop_SV), layout.config.max_answers)
    shardings = state_shardings(model, optimizer, mesh)
    step = make_step(make_apply(model), objective, optimizer, shardings, mesh)
    batches = iter(packed_batches(layout.units, layout.config, StreamConfig(), pad=compiler.pad))

    def run(seconds: float) -> None:
        nonlocal state
        asks = tokens = used = steps = 0
        start = time.perf_counter()
        while time.perf_counter() - start < seconds:
            batch = next(batches)
            state, metrics = step(state, put_batch(batch, mesh))
            jax.block_until_ready(metrics)
            asks += int((batch["ask_weight_BA"] > 0).sum())
            used += batch_work(batch).tokens
            tokens += batch["tokens_BT"].size
            steps += 1
        elapsed = time.perf_counter() - start
        layout.asks_per_second.append(asks / elapsed)
        layout.tokens_per_second.append(tokens / elapsed)
        layout.used, layout.asks = used / tokens, asks / steps

    return run, count_parameters(state.params)


def main(_: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        given = WORKDIR.value
        folder = pathlib.Path(given) if given else make_corpus(pathlib.Path(temporary), 200)
        split = open_dataset(folder / "dataset").split("train")
        records = [split[n] for n in range(min(SCENARIOS.value, len(split)))]
        compiler = Compiler(load_tokenizer(folder / "tokenizer"))
        ways = layouts(records, compiler)
    width = WIDTH.value
    model = DecoderConfig(
        vocab_size=compiler.vocab_size,
        width=width,
        layers=LAYERS.value,
        heads=max(width // 64, 1),
        kv_heads=max(width // 64, 1),
        mlp_width=3 * width,
        layers_unrolled=LAYERS.value,
    )
    runs = [trainer(way, compiler, model) for way in ways]
    for run, _ in runs:
        run(0.1)  # compiles
    for way in ways:
        way.asks_per_second.clear()
        way.tokens_per_second.clear()
    for _ in range(ROUNDS.value):
        for run, _ in runs:
            run(SECONDS.value)
    asks = sum(len(record.asks) for record in records)
    print(
        f"{runs[0][1]:,} parameters, float32, {jax.devices()[0].device_kind} x "
        f"{jax.device_count()}; {len(records)} scenarios, {asks} asks; data loading included\n"
    )
    print("| layout, rows x tokens | asks/s | times | asks a step | tokens/s | tokens that count |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    base = float(np.median(ways[0].asks_per_second))
    for way in ways:
        rate = float(np.median(way.asks_per_second))
        tokens = float(np.median(way.tokens_per_second))
        print(
            f"| {way.name} | {rate:.0f} | {rate / base:.1f} | {way.asks:.0f} | {tokens:,.0f} "
            f"| {way.used:.0%} |"
        )


if __name__ == "__main__":
    app.run(main)
