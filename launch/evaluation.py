"""The evaluate stage: answers of the models before and after, tables, report."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib.metadata
import json
import math
import pathlib
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import ml_collections
import numpy as np

from launch.settings import build, resolved
from launch.source import base_params, model_config
from launch.stages import packing_config, seeded
from launch.workdir import read_seconds
from ppt_jax import __version__
from ppt_jax.data.dataset import Dataset, open_dataset
from ppt_jax.data.packing import Batch, units_of
from ppt_jax.data.pipeline import StreamConfig, packed_batches
from ppt_jax.data.records import AskRecord, ScenarioRecord
from ppt_jax.data.supports import support_of
from ppt_jax.data.tokenizer import load_tokenizer
from ppt_jax.data.trees import Compiler
from ppt_jax.errors import UserError
from ppt_jax.evaluation.baselines import fit_base_rate
from ppt_jax.evaluation.findings import ReportInputs, read_history
from ppt_jax.evaluation.item_files import write_items
from ppt_jax.evaluation.items import Item, Target
from ppt_jax.evaluation.readout import read_answers
from ppt_jax.evaluation.report import write_report
from ppt_jax.evaluation.report_inputs import write_report_inputs
from ppt_jax.evaluation.shards import ItemShards
from ppt_jax.evaluation.tables import SPLITS, EvaluationConfig, evaluate, write_evaluation
from ppt_jax.models.adapters import with_adapters
from ppt_jax.models.answers import StopSets, answer_log_probs
from ppt_jax.models.decoder import DecoderConfig, Params, count_parameters, make_apply
from ppt_jax.progress import Progress
from ppt_jax.storage import content_hash
from ppt_jax.training.loop import TrainConfig, initial_params, load_params


def targets_of(records: Sequence[ScenarioRecord], split: str) -> list[Target]:
    """The asks of a split as evaluation targets, in the order in which trees number them.

    Args:
      records: the split's scenarios.
      split: its name.
    """
    return [_target(record, ask, split) for record in records for ask in record.asks]


def _target(record: ScenarioRecord, ask: AskRecord, split: str) -> Target:
    def known(value: float) -> float | None:
        return None if math.isnan(value) else value

    return Target(
        item_id=f"{record.id}/{ask.id}",
        cluster_id=record.id,
        split=split,
        kind=ask.kind,
        support=support_of(ask.kind, ask.options).answers,
        target_K=ask.target_K,
        prior_K=ask.prior_K,
        label_error=known(ask.error),
        information=known(ask.information),
        true_answer=None if ask.true_answer < 0 else ask.true_answer,
        true_rank=known(ask.true_rank),
        motif=record.motif,
        family=record.family,
        question=ask.text,
        story=record.story,
        scale=(ask.low, ask.high) if ask.kind == "value" else None,
        unit=ask.unit,
    )


def evaluate_run(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
    """Evaluates the run in a work folder and writes items, results and report.

    Args:
      config: the recipe.
      workdir: folder with dataset/, tokenizer/ and train/.

    Raises:
      UserError: something is missing, or does not belong together.
    """
    settings = build(EvaluationConfig, seeded(config, "evaluate"), "evaluate")
    data = open_dataset(workdir / "dataset", verify=True)
    if not settings.splits:
        tested = tuple(split for split in SPLITS if split in data.counts)
        settings = dataclasses.replace(settings, splits=tested)
    corpus = _corpus(workdir / "corpus.json")
    summary = _read(workdir / "labels" / "summary.json")
    decoder, models, answers = _models(config, workdir)
    trained = (workdir / "train" / "checkpoints" / "train.json").read_bytes()
    made_of = [data.fingerprint, hashlib.sha256(trained).hexdigest(), resolved(config)]
    shards = ItemShards(workdir / "evaluation" / "shards", content_hash(made_of))
    items: list[Item] = []
    fit: list[Item] = []
    for split in ("validation", *settings.splits):
        if split not in data.counts:
            continue
        for name, params in models.items():
            make = functools.partial(answers, data, split, {name: params})
            found = shards.get(f"{split}-{name}", make)
            (fit if split == "validation" else items).extend(found)
    if not items:
        wanted = ", ".join(settings.splits or SPLITS)
        raise UserError(f"{workdir}: the dataset has none of {wanted}")
    write_items(workdir / "evaluation" / "items.jsonl", items)
    write_items(workdir / "evaluation" / "validation_items.jsonl", fit)
    training = data.split("train")
    labels = [(record.motif, ask.kind, ask.target_K) for record in training for ask in record.asks]
    ranks = [ask.true_rank for record in training for ask in record.asks]
    rate = fit_base_rate(labels)
    result = evaluate(items, fit, rate, settings)
    header = _header(config, decoder, workdir, data, models)
    write_evaluation(workdir, result, {**header, "config": resolved(config)})
    known = [rank for rank in ranks if not math.isnan(rank)]
    write_report_inputs(
        workdir / "evaluation",
        header=header,
        rate=rate,
        corpus=corpus,
        labels=summary,
        label_ranks=known,
    )
    inputs = ReportInputs(
        evaluation=result,
        header=header,
        history=read_history(workdir / "train" / "metrics.jsonl"),
        corpus=corpus,
        labels=summary,
        label_ranks=known,
    )
    write_report(workdir, inputs)


def _models(
    config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> tuple[
    DecoderConfig,
    dict[str, Params],
    Callable[[Dataset, str, Mapping[str, Params]], Iterator[Item]],
]:
    """The decoder, its parameters before and after, and how they answer a split."""
    tokenizer = load_tokenizer(workdir / "tokenizer")
    decoder = model_config(config, len(tokenizer))
    compiler = Compiler(tokenizer, decoder.vocab_size)
    shapes = packing_config(config, "evaluation_packing", "full")
    train_settings = build(TrainConfig, seeded(config, "train"), "train")
    folder = workdir / "train"
    base = base_params(config, decoder, train_settings.mesh)
    if base is None:
        base = initial_params(train_settings, decoder)
    elif decoder.adapter_rank:
        base = with_adapters(base, decoder, jax.random.key(config.seed))
    before = load_params(folder, decoder, "lm", base=base) if train_settings.lm_steps else base
    models = {"before": before, "after": load_params(folder, decoder, "best", base=base)}
    apply = make_apply(decoder)

    @functools.cache
    def forward(stops_key: bytes) -> Any:
        stops = StopSets.from_mask(compiler.stop_SV)
        return jax.jit(
            lambda params, batch: answer_log_probs(
                apply(params, batch, None), batch, stops, shapes.max_answers
            )
        )

    def answers(data: Dataset, split: str, models: Mapping[str, Params]) -> Iterator[Item]:
        records = list(data.split(split))
        targets = targets_of(records, split)
        units, left_out = units_of(compiler.trees(records), shapes)
        if left_out:
            raise UserError(
                f"{split}: {dict(left_out)} asks do not fit the rows of "
                "config.data.evaluation_packing; raise its tokens, nodes or edges"
            )
        stream = StreamConfig(shuffle=False, epochs=1)
        batches: list[Batch] = list(packed_batches(units, shapes, stream, pad=compiler.pad))
        run = forward(np.packbits(compiler.stop_SV).tobytes())
        with Progress(f"evaluate {split}", len(models) * len(batches), "batch") as bar:
            for name, params in models.items():

                def logp_of(batch: Mapping[str, Any], params: Params = params) -> np.ndarray:
                    logp_BAK = np.asarray(run(params, dict(batch)))
                    bar.advance()
                    return logp_BAK

                yield from read_answers(name, targets, batches, logp_of)

    return decoder, models, answers


def _header(
    config: ml_collections.ConfigDict,
    model: DecoderConfig,
    workdir: pathlib.Path,
    data: Dataset,
    models: Mapping[str, Params],
) -> dict[str, str]:
    """What the report's header card shows."""
    steps = config.train.steps
    asks = ", ".join(f"{name} {size['asks']:,}" for name, size in data.counts.items())
    scenarios = sum(size["scenarios"] for size in data.counts.values())
    seconds = read_seconds(workdir)
    earlier = {stage: value for stage, value in seconds.items() if stage != "evaluate"}
    times = ", ".join(f"{stage} {value:.0f} s" for stage, value in earlier.items())
    versions = ", ".join(
        f"{name} {importlib.metadata.version(name)}" for name in ("jax", "flax", "numpyro", "grain")
    )
    device = jax.devices()[0]
    return {
        "Model": f"decoder, {count_parameters(models['after']):,} parameters, "
        f"{model.layers} layers of width {model.width}, {steps:,} steps",
        "Scenarios": f"{scenarios:,}",
        "Asks by split": asks,
        "Time by stage": times,
        "Versions": f"ppt_jax {__version__}, {versions}, Python {platform.python_version()}",
        "Device": f"{jax.device_count()} x {device.device_kind}",
        "Seed": str(config.seed),
    }


def _corpus(path: pathlib.Path) -> dict[str, Any]:
    """What the report shows of a corpus; the rest stands on the corpus's own page."""
    own = ("gates", "answers", "leakage", "training_shares")
    return {key: value for key, value in _read(path).items() if key not in own}


def _read(path: pathlib.Path) -> dict[str, Any]:
    """A JSON object, or nothing where the file is missing (the report says so)."""
    if not path.exists():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); remove it to go on without") from error
