"""The label stage over any number of processes."""

from __future__ import annotations

import dataclasses
import pathlib
import sys
import time
from typing import Any

import ml_collections

from launch import distributed
from launch.distributed import Processes
from launch.settings import build, resolved
from launch.stages import check_config, seeded
from launch.workdir import Workdir
from ppt_jax.errors import UserError
from ppt_jax.inference.job import label_share, merge_labels, read_timing
from ppt_jax.inference.labels import LabelConfig
from ppt_jax.inference.shards import Share
from ppt_jax.inference.tally import summary_table

WEEK = 7 * 24 * 3600.0  # processes wait for the slowest; a dead one is noticed by JAX's heartbeat


def run(
    config: ml_collections.ConfigDict,
    workdir: str,
    source: str | None,
    share: Share | None,
    processes: Processes,
    *,
    merge_only: bool = False,
) -> None:
    """Labels a share of the shards; whoever sees all of them done merges.

    Args:
      config: the recipe; with `source` only its seed and section `label` matter.
      workdir: the work folder.
      source: folder or file of scenarios; the work folder's own when None.
      share: an independent task's share.
      processes: this process among those that work together.
      merge_only: label nothing, merge.

    Raises:
      UserError: bad config or input, shards in other hands, a full disk.
    """
    made, problem = 0, ""
    task = None
    try:
        task = _open_task(config, workdir, source)
        if not merge_only:
            mine = share or Share(processes.index, processes.count)
            together = processes.count > 1
            made = label_share(
                task.scenarios,
                task.labels,
                task.settings,
                mine,
                silent=not processes.first,
                whole=together,
            )
    except UserError as error:
        if processes.count == 1:
            raise
        problem = str(error)  # the others must not wait for this one in vain
    problems = distributed.gather("labelled", problem, timeout=WEEK)
    summary = None
    if processes.first and task is not None and not any(problems):
        summary = task.merge(verify=merge_only, made=made)
    for index, text in enumerate(problems):
        if text and processes.first and index:
            print(f"process {index}: error: {text}", file=sys.stderr, flush=True)
    distributed.barrier("merged", timeout=600.0)
    if any(problems):
        raise UserError(problem or "another process of this job stopped with an error")
    if task is not None and summary is not None:
        print(f"label: {made} shards labelled by this process; all are done")
        print(summary_table(summary, read_timing(task.labels)))
    elif processes.first:
        print(f"label: {made} shards labelled by this task; others are not done yet")


@dataclasses.dataclass(frozen=True, eq=False)
class _Task:
    """A work folder opened for labelling."""

    folder: Workdir
    scenarios: pathlib.Path
    settings: LabelConfig
    source: str
    begun: float

    @property
    def labels(self) -> pathlib.Path:
        return self.folder.path / "labels"

    def merge(self, *, verify: bool, made: int) -> dict[str, Any] | None:
        """Merges when every shard is done, and marks the stage."""
        summary = merge_labels(self.scenarios, self.labels, self.settings, verify=verify)
        if summary is not None:
            seconds = self.folder.seconds().get("label", 0.0)
            if made or not self.folder.done("label"):
                seconds += time.monotonic() - self.begun
            self.folder.mark("label", done=True, seconds=seconds, source=self.source)
        return summary


def _open_task(config: ml_collections.ConfigDict, workdir: str, source: str | None) -> _Task:
    """Opens the work folder beside other tasks, and refuses one of other settings or input."""
    begun = time.monotonic()
    if source is None:
        check_config(config)
    settings = build(LabelConfig, seeded(config, "label"), "label")
    folder = Workdir(workdir, resolved(config), shared=True)
    folder.check(("label",) if source else ("author", "label"))
    own = folder.path / "scenarios"
    if source is None:
        folder.require("label")
    here = str(pathlib.Path(source).resolve()) if source else ""
    if "label" in folder.seconds() and folder.foreign_input() != here:
        raise UserError(
            f"{workdir}: the labels here were made from {folder.foreign_input() or own}, this is "
            f"{here or own}; give another --workdir"
        )
    if not folder.done("label"):
        folder.mark("label", done=False, seconds=folder.seconds().get("label", 0.0), source=here)
    return _Task(folder, pathlib.Path(source) if source else own, settings, here, begun)
