"""The stages of the pipeline, each a function of the config and its work folder.

    author -> label -> dataset -> train -> evaluate

Imports stand inside the functions: authoring needs no JAX, and ``--help`` answers at once.
"""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

import ml_collections

from launch.entry import nearest
from launch.settings import build, resolved
from launch.source import (
    base_params,
    check_source,
    model_config,
    planned_model,
    source_config,
    source_fingerprint,
)
from launch.workdir import SECTIONS, Workdir
from ppt_jax.errors import UserError

if TYPE_CHECKING:
    from ppt_jax.authoring.author import AuthorConfig
    from ppt_jax.authoring.llm.config import LLMAuthorConfig
    from ppt_jax.data.packing import PackConfig

Stage = Callable[[ml_collections.ConfigDict, pathlib.Path], None]


def author(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
    """Writes scenarios/, corpus.json and corpus.html."""
    from launch.corpus_files import write_page
    from ppt_jax.authoring.author import AuthorConfig, author_corpus
    from ppt_jax.authoring.corpus import read_files

    settings = author_settings(config)
    if isinstance(settings, AuthorConfig):
        page = author_corpus(settings, workdir)
    else:
        from launch.writing import author_with_model

        page = author_with_model(config, settings, workdir)
    write_page(workdir, page, read_files(workdir))


def label(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
    """Reads scenarios/, writes labels/."""
    from ppt_jax.inference.job import read_timing, run_label_job
    from ppt_jax.inference.labels import LabelConfig
    from ppt_jax.inference.tally import summary_table

    settings = build(LabelConfig, seeded(config, "label"), "label")
    summary = run_label_job(workdir / "scenarios", workdir / "labels", settings)
    print(summary_table(summary, read_timing(workdir / "labels")))


def dataset(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
    """Reads labels/, writes dataset/ and tokenizer/."""
    from ppt_jax.data.dataset import build_dataset
    from ppt_jax.data.tokenizer import (
        TokenizerConfig,
        load_tokenizer,
        save_tokenizer,
        train_tokenizer,
        training_texts,
    )

    packing_config(config, "packing", "train")  # bad values are refused before the work
    packing_config(config, "evaluation_packing", "full")
    settings = build(TokenizerConfig, config.data.tokenizer, "data.tokenizer")
    built = build_dataset(workdir / "labels", workdir / "dataset")
    source = source_config(config)
    if source.path:
        tokenizer = load_tokenizer(source.path)
    else:
        tokenizer = train_tokenizer(training_texts(built.split("train")), settings)
    save_tokenizer(tokenizer, workdir / "tokenizer")
    counts = ", ".join(f"{name} {size['asks']}" for name, size in built.counts.items())
    print(f"dataset: asks by split: {counts}; vocabulary {len(tokenizer)}")


def train(
    config: ml_collections.ConfigDict, workdir: pathlib.Path, accept: Collection[str] = ()
) -> None:
    """Reads dataset/ and tokenizer/, writes train/; `accept` as of `training.loop.train`."""
    import jax

    from ppt_jax.data.dataset import open_dataset
    from ppt_jax.data.packing import units_of
    from ppt_jax.data.pipeline import StreamConfig, packed_batches
    from ppt_jax.data.tokenizer import load_tokenizer
    from ppt_jax.data.trees import Compiler
    from ppt_jax.storage import content_hash
    from ppt_jax.training.loop import TrainConfig
    from ppt_jax.training.loop import train as run_training

    settings = build(TrainConfig, seeded(config, "train"), "train")
    packing = packing_config(config, "packing", "train")
    data = open_dataset(workdir / "dataset", verify=True)
    tokenizer = load_tokenizer(workdir / "tokenizer")
    model = model_config(config, len(tokenizer))
    compiler = Compiler(tokenizer, model.vocab_size)
    trees = {name: compiler.trees(data.split(name)) for name in ("train", "validation")}
    processes = {"process_index": jax.process_index(), "process_count": jax.process_count()}

    def batches(split: str, mode: str, *, endless: bool) -> Any:
        shapes = packing_config(config, "text_packing" if mode == "text" else "packing", mode)
        units, left_out = units_of(trees[split], shapes)
        if left_out:
            print(f"{split}: left out by the packing: {dict(left_out)}")
        seed = config.seed + (1 if mode == "text" else 0)
        order = StreamConfig(seed=seed, shuffle=endless, epochs=None if endless else 1, **processes)
        return packed_batches(units, shapes, order, pad=compiler.pad)

    result = run_training(
        settings,
        model,
        workdir=workdir / "train",
        stop_SV=compiler.stop_SV,
        max_answers=packing.max_answers,
        data=batches("train", "train", endless=True),
        lm_data=batches("train", "text", endless=True) if settings.lm_steps else None,
        validation=batches("validation", "train", endless=False),
        fingerprint={
            "dataset": data.fingerprint,
            "tokenizer": content_hash(tokenizer.backend_tokenizer.to_str()),
            "packing": resolved(config.data),
            "source": source_fingerprint(config),
        },
        params=base_params(config, model, settings.mesh),
        accept=accept,
    )
    if not result.finished:
        raise KeyboardInterrupt
    if jax.process_index():
        return
    best = "" if result.best_kl is None else f", validation KL {result.best_kl:.4f} nats"
    print(f"train: {result.parameters:,} parameters, {result.step} steps{best}")


def evaluate(config: ml_collections.ConfigDict, workdir: pathlib.Path) -> None:
    """Reads dataset/, tokenizer/ and train/, writes evaluation/, results.json and the report."""
    from launch.evaluation import evaluate_run

    evaluate_run(config, workdir)


DATA_SECTIONS = ("tokenizer", "packing", "text_packing", "evaluation_packing")
STAGES: Mapping[str, Stage] = {
    "author": author,
    "label": label,
    "dataset": dataset,
    "train": train,
    "evaluate": evaluate,
}


def seeded(config: ml_collections.ConfigDict, section: str) -> dict[str, Any]:
    """A section's fields, with the config's seed where the section names none."""
    fields = {"seed": config.seed, **_section(config, section)}
    return fields


def author_settings(config: ml_collections.ConfigDict) -> AuthorConfig | LLMAuthorConfig:
    """The author of a recipe: ``config.author.kind`` is ``motifs`` (the default) or ``llm``.

    Raises:
      UserError: an unknown kind, or a field is wrong.
    """
    from ppt_jax.authoring.author import AuthorConfig
    from ppt_jax.authoring.llm.config import LLMAuthorConfig

    fields = seeded(config, "author")
    kind = fields.pop("kind", "motifs")
    if kind == "motifs":
        return build(AuthorConfig, fields, "author")
    if kind != "llm":
        raise UserError(f"config.author.kind: {kind!r} is neither motifs nor llm")
    return build(LLMAuthorConfig, fields, "author")


def _section(config: ml_collections.ConfigDict, name: str) -> dict[str, Any]:
    if name not in config:
        raise UserError(f"config: section {name!r} is missing; see configs/quickstart.py")
    return config[name].to_dict()


def packing_config(config: ml_collections.ConfigDict, name: str, mode: str) -> PackConfig:
    """The `PackConfig` of ``config.data.<name>``; the mode is the stage's, not the user's.

    Raises:
      UserError: the section is missing or a field is wrong.
    """
    from ppt_jax.data.packing import PackConfig

    section = config.data.get(name)
    if section is None:
        raise UserError(f"config.data.{name} is missing; see configs/quickstart.py")
    return build(PackConfig, {**section.to_dict(), "mode": mode}, f"data.{name}")


def check_config(config: ml_collections.ConfigDict) -> None:
    """Builds every room's settings, so that a bad field is refused before hours of work.

    Raises:
      UserError: names the field.
    """
    from ppt_jax.authoring.author import AuthorConfig
    from ppt_jax.data.tokenizer import TokenizerConfig
    from ppt_jax.evaluation.tables import EvaluationConfig
    from ppt_jax.inference.labels import LabelConfig
    from ppt_jax.training.loop import TrainConfig

    known = {"backend", *(section for names in SECTIONS.values() for section in names)}
    for name in config:
        if name not in known:
            raise UserError(f"config.{name}: no such section; {nearest(name, sorted(known))}")
    if not isinstance(config.get("seed"), int) or config.seed < 0:
        raise UserError("config.seed is missing or no whole number from 0; e.g. config.seed = 0")
    for name in _section(config, "data"):
        if name not in DATA_SECTIONS:
            raise UserError(f"config.data.{name}: no such field; {nearest(name, DATA_SECTIONS)}")
    if "tokenizer" not in config.data:
        raise UserError("config.data.tokenizer is missing; see configs/quickstart.py")
    if not isinstance(author_settings(config), AuthorConfig):
        from launch.writing import backend_settings

        backend_settings(config)
    build(LabelConfig, seeded(config, "label"), "label")
    build(TokenizerConfig, config.data.tokenizer, "data.tokenizer")
    packing_config(config, "packing", "train")
    packing_config(config, "evaluation_packing", "full")
    train_settings = build(TrainConfig, seeded(config, "train"), "train")
    if train_settings.lm_steps:
        packing_config(config, "text_packing", "text")
    planned_model(config)
    build(EvaluationConfig, seeded(config, "evaluate"), "evaluate")


def run_stage(
    stage: str, config: ml_collections.ConfigDict, workdir: str, work: Stage | None = None
) -> None:
    """Runs one stage in a work folder; `train` builds the dataset first when it is missing.

    Args:
      stage: a key of `STAGES`.
      config: the recipe.
      workdir: the folder.
      work: does the stage's work; the entry of `STAGES` when None.

    Raises:
      UserError: a bad config, a folder of another config, or an earlier stage that is missing.
    """
    check_config(config)
    if stage not in ("author", "label"):
        check_source(config)
    names = tuple(SECTIONS)
    with Workdir(workdir, resolved(config)) as folder:
        folder.check(names[: names.index(stage) + 1])
        if stage == "train" and not folder.done("dataset"):
            folder.require("dataset")
            folder.run("dataset", functools.partial(dataset, config, folder.path))
        folder.require(stage)
        if not folder.run(stage, functools.partial(work or STAGES[stage], config, folder.path)):
            print(f"{stage}: finished already in {folder.path}")


def run_pipeline(config: ml_collections.ConfigDict, workdir: str) -> None:
    """Runs every unfinished stage in order, then shows the short table and the report's path.

    Raises:
      UserError: as `run_stage`; what a later stage would refuse in the config or the source is
        refused before the first one starts.
    """
    check_config(config)
    check_source(config)
    with Workdir(workdir, resolved(config)) as folder:
        if folder.foreign_input():
            raise UserError(
                f"{workdir}: the labels here were made from --input={folder.foreign_input()}; run "
                "launch.dataset, launch.train and launch.evaluate on it, not the pipeline, which "
                "authors scenarios of its own"
            )
        folder.check()
        for number, (stage, work) in enumerate(STAGES.items(), start=1):
            print(f"[{number}/{len(STAGES)}] {stage}", flush=True)
            if not folder.run(stage, functools.partial(work, config, folder.path)):
                print(f"{stage}: finished already")
    seconds = folder.seconds()
    times = ", ".join(f"{stage} {value:.0f} s" for stage, value in seconds.items())
    from ppt_jax.evaluation.results import read_results
    from ppt_jax.evaluation.tables import short_table

    print("\n" + short_table(read_results(folder.path).rows))
    print(f"\ntime: {times}, together {sum(seconds.values()) / 60:.1f} min")
    print(f"report: {folder.path / 'report.html'}")
