"""The train stage over any number of processes."""

from __future__ import annotations

import functools
from collections.abc import Collection

import ml_collections

from launch import distributed, stages
from launch.distributed import Processes
from launch.settings import resolved
from launch.source import check_source
from launch.workdir import Workdir
from ppt_jax.errors import UserError

DATASET_TIMEOUT = 6 * 3600.0  # seconds that the others wait for process 0 to build the data set


def run(
    config: ml_collections.ConfigDict,
    workdir: str,
    processes: Processes,
    accept: Collection[str] = (),
) -> None:
    """Trains in a work folder; several processes share it, and process 0 keeps its records.

    Args:
      config: the recipe.
      workdir: the folder; the same one, on a shared file system, for all processes.
      processes: this process among those that train together.
      accept: differences between run and checkpoints to overlook.

    Raises:
      UserError: a bad config, a folder of another config, an earlier stage that is missing, or
        an error of another process.
    """
    work = functools.partial(stages.train, accept=accept)
    if processes.count == 1:
        stages.run_stage("train", config, workdir, work)
        return
    stages.check_config(config)
    check_source(config)
    folder = Workdir(workdir, resolved(config), shared=True)
    folder.check(("author", "label", "dataset", "train"))
    problem = ""
    if processes.first and not folder.done("dataset"):
        try:
            folder.require("dataset")
            folder.run("dataset", functools.partial(stages.dataset, config, folder.path))
        except UserError as error:
            problem = str(error)
    problems = distributed.gather("dataset", problem, timeout=DATASET_TIMEOUT)
    if any(problems):
        raise UserError(next(text for text in problems if text))
    folder.require("train")
    finished = folder.done("train")
    distributed.barrier("begin", timeout=600.0)  # nobody writes before all have looked
    if finished:
        if processes.first:
            print(f"train: finished already in {folder.path}")
        return
    if processes.first:
        folder.run("train", functools.partial(work, config, folder.path))
    else:
        work(config, folder.path)
    distributed.barrier("trained", timeout=600.0)
