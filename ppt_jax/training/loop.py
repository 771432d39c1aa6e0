"""The training loop: phases, validation, checkpoints, a clean stop, an exact resume."""

from __future__ import annotations

import dataclasses
import math
import os
import pathlib
import time
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import jax
import numpy as np
import optax
from jax.sharding import Mesh

from ppt_jax.errors import UserError
from ppt_jax.models.adapters import joined, split
from ppt_jax.models.answers import StopSets
from ppt_jax.models.decoder import DecoderConfig, Params, make_apply, model_size
from ppt_jax.progress import Progress
from ppt_jax.training.checkpoint import (
    Checkpoints,
    check_identity,
    identity,
    restore_params,
)
from ppt_jax.training.flops import Work, batch_work, step_flops
from ppt_jax.training.metrics import MetricLog, Window, rates
from ppt_jax.training.objectives import Objective
from ppt_jax.training.objectives.soft_label import SoftLabelConfig, soft_label
from ppt_jax.training.optimizer import OptimizerConfig, learning_rate_schedule, make_optimizer
from ppt_jax.training.sharding import (
    MeshConfig,
    check_rows,
    make_mesh,
    parameter_shardings,
    put_batch,
)
from ppt_jax.training.state import (
    TrainState,
    abstract_state,
    init_frozen,
    init_state,
    state_shardings,
)
from ppt_jax.training.step import make_evaluation, make_step
from ppt_jax.training.stop import StopSignal

HostBatch = Mapping[str, np.ndarray]
Dataset = Iterable[HostBatch]
"""Batches whose iterator has ``get_state`` and ``set_state``, e.g. a Grain `IterDataset`."""

_HARMLESS = (
    "log_every",
    "checkpoint_every",
    "keep_checkpoints",
    "profile_first",
    "profile_steps",
)


class TrainingError(UserError):
    """Training cannot go on: it diverged, or its data does not fit."""


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Settings of a run.

    Attributes:
      seed: seed of parameters and of the run's PRNG key (data order has its own).
      steps: steps of posterior training.
      lm_steps: steps of next-token training that come first; 0 leaves that phase out.
      optimizer: AdamW of posterior training.
      lm_optimizer: AdamW of next-token training.
      objective: options of the soft-label objective.
      mesh: device mesh.
      accumulate: microbatches of a step.
      skipped_limit: steps in a row that are not finite, after which training stops.
      log_every: steps between records of training metrics.
      validate_every: steps between validations; the last step is validated too.
      checkpoint_every: steps between checkpoints; the last step is saved too.
      keep_checkpoints: how many of the latest checkpoints stay.
      profile_first: step after which a trace begins (of this process's steps, compilation over).
      profile_steps: steps that the trace holds; 0: none. It lies under ``workdir/profile``.
    """

    seed: int = 0
    steps: int = 1000
    lm_steps: int = 0
    optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)
    lm_optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)
    objective: SoftLabelConfig = dataclasses.field(default_factory=SoftLabelConfig)
    mesh: MeshConfig = dataclasses.field(default_factory=MeshConfig)
    accumulate: int = 1
    skipped_limit: int = 10
    log_every: int = 20
    validate_every: int = 200
    checkpoint_every: int = 200
    keep_checkpoints: int = 2
    profile_first: int = 10
    profile_steps: int = 0

    def __post_init__(self) -> None:
        positive = "steps accumulate skipped_limit log_every validate_every checkpoint_every"
        for name in [*positive.split(), "keep_checkpoints"]:
            if getattr(self, name) < 1:
                raise UserError(f"train.{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("lm_steps", "seed", "profile_first", "profile_steps"):
            if getattr(self, name) < 0:
                raise UserError(f"train.{name} is {getattr(self, name)}; it must be 0 or more")


@dataclasses.dataclass(frozen=True)
class TrainResult:
    """How a run ended.

    Attributes:
      finished: False when it was stopped by a signal; the same command goes on.
      phase: ``lm`` or ``ppt``, the last one worked on.
      step: steps done in that phase.
      params: its parameters, on device.
      best_step: step of the least validation KL, None without validation.
      best_kl: that KL, nats an ask.
      parameters: number of scalars.
    """

    finished: bool
    phase: str
    step: int
    params: Params
    best_step: int | None
    best_kl: float | None
    parameters: int


@dataclasses.dataclass(frozen=True)
class _Phase:
    name: str
    steps: int
    optimizer: OptimizerConfig
    objective: Objective
    data: Dataset
    validation: Dataset | None


def train(
    config: TrainConfig,
    model: DecoderConfig,
    *,
    workdir: str | os.PathLike[str],
    stop_SV: np.ndarray,
    max_answers: int,
    data: Dataset,
    lm_data: Dataset | None = None,
    validation: Dataset | None = None,
    fingerprint: Mapping[str, Any] | None = None,
    params: Params | None = None,
    accept: Collection[str] = (),
    silent: bool = False,
) -> TrainResult:
    """Trains a decoder: next-token training first where asked for, then posterior training.

    Everything is under ``workdir``: ``checkpoints/lm``, ``checkpoints/ppt`` (latest states),
    ``checkpoints/ppt_best`` (parameters of least validation KL), ``checkpoints/train.json`` (what
    a resume must match), ``metrics.jsonl`` and ``tensorboard/``. Called again with the same
    arguments it goes on from the newest checkpoint, to the same bits; a finished run returns at
    once.

    Args:
      config: settings.
      model: the decoder's shape; its vocabulary is the tokenizer's.
      workdir: the run's folder.
      stop_SV: bool [S, V], tokens of each stop set.
      max_answers: stride of `edge_answer_BE` in the batches.
      data: endless packed batches of asks; its iterator can save its position.
      lm_data: endless packed batches of text; needed when ``config.lm_steps`` > 0.
      validation: packed batches of held-out asks, finite, in the same order every time.
      fingerprint: JSON object that names data and tokenizer.
      params: parameters to start from; fresh ones from the seed when None. A model with adapters
        takes a base with or without them; the base may be bfloat16, is never written, and must be
        given again to resume.
      accept: names of differences between run and checkpoints to overlook: ``versions``, or
        ``hardware`` (other devices or another number of processes; not to the bit).
      silent: show no progress.

    Returns:
      How it ended.

    Raises:
      CheckpointError: the checkpoints in ``workdir`` are of another run.
      TrainingError: too many steps in a row were not finite, or the data ran out.
    """
    workdir = pathlib.Path(workdir)
    stops = StopSets.from_mask(stop_SV)
    if stop_SV.shape[1] != model.vocab_size:
        raise UserError(
            f"model.vocab_size is {model.vocab_size}, but the tokenizer has {stop_SV.shape[1]} ids"
        )
    if config.lm_steps and lm_data is None:
        raise UserError("train.lm_steps is above 0, but no text data was given")
    mesh = make_mesh(config.mesh)
    settings = {k: v for k, v in dataclasses.asdict(config).items() if k not in _HARMLESS}
    layout = settings.pop("mesh")
    now = identity({"train": settings, "model": dataclasses.asdict(model)}, fingerprint)
    now["hardware"]["mesh"] = layout
    check_identity(workdir / "checkpoints" / "train.json", now, accept)
    objective = soft_label(stops, max_answers, config.objective)
    phases = [_Phase("ppt", config.steps, config.optimizer, objective, data, validation)]
    if config.lm_steps:
        assert lm_data is not None
        plain = soft_label(stops, max_answers)
        phases.insert(0, _Phase("lm", config.lm_steps, config.lm_optimizer, plain, lm_data, None))
    frozen: Params = {}
    if model.adapter_rank:
        params, frozen = _with_base(params, config, model, mesh)
    log = MetricLog(workdir, writes=jax.process_index() == 0)
    try:
        with StopSignal() as stop:
            for phase in phases:
                run = _Run(config, model, phase, mesh, workdir, log, stop, silent, frozen, accept)
                result = run(params)
                if not result.finished:
                    break
                params = split(result.params, model)[0]
    finally:
        log.close()
    return result


def _with_base(
    params: Params | None, config: TrainConfig, model: DecoderConfig, mesh: Mesh
) -> tuple[Params | None, Params]:
    """Adapters to start from (None: fresh ones), and the frozen base on its devices."""
    if params is None:
        return None, init_frozen(model, mesh, config.seed)
    trained, frozen = split(params, model)
    placed = parameter_shardings(frozen, mesh)
    return trained or None, jax.device_put(frozen, placed)


class _Run:
    """One phase while it runs."""

    def __init__(
        self,
        config: TrainConfig,
        model: DecoderConfig,
        phase: _Phase,
        mesh: Mesh,
        workdir: pathlib.Path,
        log: MetricLog,
        stop: StopSignal,
        silent: bool,
        frozen: Params,
        accept: Collection[str],
    ) -> None:
        self._frozen = frozen
        self._any_count = "hardware" in accept
        self._config, self._model, self._phase, self._mesh = config, model, phase, mesh
        self._log, self._stop = log, stop
        self._silent = silent or jax.process_index() > 0
        self._folder = workdir / "checkpoints"
        self._profile = workdir / "profile"
        apply = make_apply(model)
        self._optimizer = make_optimizer(phase.optimizer, phase.steps)
        self._rate = learning_rate_schedule(phase.optimizer, phase.steps)
        shardings = state_shardings(model, self._optimizer, mesh)
        self._step = make_step(
            apply,
            phase.objective,
            self._optimizer,
            shardings,
            mesh,
            accumulate=config.accumulate,
            clip_norm=phase.optimizer.clip_norm,
        )
        self._evaluate = make_evaluation(apply, phase.objective, mesh)
        self._store = Checkpoints(self._folder / phase.name, config.keep_checkpoints)
        self._best: Checkpoints | None = None
        self._best_step: int | None = None
        self._best_kl: float | None = None
        self._window = Window()
        self._last_log = time.perf_counter()
        self._tokens, self._flops = 0, 0.0

    def __call__(self, params: Params | None) -> TrainResult:
        """Runs the phase from where its checkpoints stand."""
        try:
            if self._phase.validation is not None:
                self._best = Checkpoints(self._folder / f"{self._phase.name}_best", keep=1)
            return self._train(params)
        finally:
            try:
                if self._best is not None:
                    self._best.close()
            finally:
                self._store.close()

    def _start(self, params: Params | None) -> tuple[TrainState, dict[str, Any] | None, int]:
        """The state to go on with, the saved data position, and the step."""
        if self._store.latest is None:
            state = init_state(self._model, self._optimizer, self._mesh, self._config.seed, params)
            return state, None, 0
        abstract = abstract_state(self._model, self._optimizer, self._mesh)
        trees, progress = self._store.restore(_trees(abstract), self._any_count)
        state = dataclasses.replace(trees["rest"], params=trees["params"])
        self._best_step, self._best_kl = progress["best_step"], progress["best_kl"]
        return state, progress["data"], int(state.step)

    def _train(self, params: Params | None) -> TrainResult:
        phase, config = self._phase, self._config
        state, position, start = self._start(params)
        count = model_size(self._model)
        if start >= phase.steps:
            if self._best is not None and self._best.latest is None:
                # the best parameters were removed: the last ones, judged anew, take their place
                self._log.start(phase.name, start)
                self._best_step = self._best_kl = None
                self._validate(start, state)
            return self._result(True, start, state, count)
        self._log.start(phase.name, start)
        iterator: Any = iter(phase.data)
        if position is not None:
            iterator.set_state(position)
        if start == 0:
            self._validate(0, state)
        pending: tuple[int, Any, Work] | None = None
        self._last_log = time.perf_counter()
        done = start
        with Progress(
            f"train {phase.name}", phase.steps - start, "step", silent=self._silent
        ) as bar:
            while done < phase.steps and not self._stop.agreed(done, config.log_every):
                self._trace(done - start)
                batch = self._next(iterator, done)
                device_batch = put_batch(batch, self._mesh)
                with jax.transfer_guard("disallow"):
                    state, metrics = self._step(state, device_batch, self._frozen)
                done += 1
                if pending is not None:  # one step late: the device already works on the next
                    self._read(*pending, bar=bar)
                pending = (done, metrics, batch_work(batch))
                last = done == phase.steps
                if last or done % config.validate_every == 0 or done % config.log_every == 0:
                    self._read(*pending, bar=bar)
                    pending = None
                if last or done % config.validate_every == 0:
                    self._validate(done, state)
                if last or done % config.checkpoint_every == 0:
                    self._save(done, state, iterator)
                bar.advance()
        self._trace(done - start, ended=True)
        if pending is not None:
            self._read(*pending, bar=bar)
        if done < phase.steps and self._store.latest != done:
            self._save(done, state, iterator)
        return self._result(done == phase.steps, done, state, count)

    def _result(self, finished: bool, step: int, state: TrainState, count: int) -> TrainResult:
        best = (self._best_step, self._best_kl)
        params = joined(state.params, self._frozen)
        return TrainResult(finished, self._phase.name, step, params, *best, count)

    def _next(self, iterator: Any, done: int) -> HostBatch:
        try:
            batch = next(iterator)
        except StopIteration:
            raise TrainingError(
                f"the data of phase {self._phase.name!r} ran out after {done} of "
                f"{self._phase.steps} steps; it must repeat (epochs = None)"
            ) from None
        rows = batch["tokens_BT"].shape[0] * jax.process_count()
        check_rows(rows, self._config.accumulate, self._mesh)
        return batch

    def _trace(self, steps: int, ended: bool = False) -> None:
        """Starts or ends the trace that was asked for, `steps` steps after this process began."""
        first, count = self._config.profile_first, self._config.profile_steps
        begins = count > 0 and steps == first and not ended
        ends = count > 0 and (steps == first + count or (ended and first < steps < first + count))
        if begins or ends:
            # The end of tracing Python's calls once hung a checkpoint that was being written.
            self._store.wait()
        if begins:
            options = jax.profiler.ProfileOptions()
            options.python_tracer_level = 0
            jax.profiler.start_trace(self._profile, profiler_options=options)
        elif ends:
            jax.profiler.stop_trace()

    def _read(self, step: int, metrics: Any, work: Work, bar: Progress) -> None:
        """Brings the metrics of one step to the host, checks and logs them."""
        values = jax.device_get(metrics)
        in_a_row = int(values.pop("skipped_in_a_row"))
        if in_a_row >= self._config.skipped_limit:
            raise TrainingError(
                f"phase {self._phase.name!r}, step {step}: loss or gradient was not finite in "
                f"{in_a_row} steps in a row (gradient norm {float(values['gradient_norm'])}); the "
                "last checkpoint is intact: lower the learning rate or look for bad labels"
            )
        weight, loss = float(values.pop("weight")), float(values.pop("loss"))
        if math.isfinite(loss):
            pairs = {name: value for name, value in values.items() if np.ndim(value)}
            self._window.add({**pairs, "loss": np.array([loss * weight, weight])})
        self._window.add({name: value for name, value in values.items() if not np.ndim(value)})
        self._window.add({"asks": np.array([weight, 1.0])})
        self._tokens += work.tokens
        self._flops += step_flops(self._model, work)
        if step % self._config.log_every and step != self._phase.steps:
            return
        means, seconds = self._window.means(), time.perf_counter() - self._last_log
        steps = (step - 1) % self._config.log_every + 1
        if self._config.objective.crps_weight and means.get("ordinal_asks") == 0:
            raise TrainingError(
                "train.objective.crps_weight is above 0, but no ask in the batches has all its "
                "answers; pack whole tries (mode 'full') for this term"
            )
        asks = means.pop("asks")
        means["learning_rate"] = float(self._rate(step - 1 - int(means["skipped"])))
        means["asks_per_second"] = asks * steps / seconds
        means |= rates(self._tokens, self._flops, seconds, self._mesh.size)
        self._log.record(self._phase.name, step, "train", means)
        bar.advance(0, **{name: f"{means[name]:.4g}" for name in ("loss", "kl") if name in means})
        self._tokens, self._flops, self._last_log = 0, 0.0, time.perf_counter()

    def _validate(self, step: int, state: TrainState) -> None:
        if self._phase.validation is None or self._best is None:
            return
        began = time.perf_counter()
        window, params = Window(), joined(state.params, self._frozen)
        for batch in self._phase.validation:
            loss, weight, metrics = self._evaluate(params, put_batch(batch, self._mesh))
            window.add(jax.device_get({**metrics, "loss": np.array([loss, weight])}))
        values = window.means()
        if not values:
            raise TrainingError("the validation data has no batch")
        self._log.record(self._phase.name, step, "validation", values)
        kl = values.get("kl", values["loss"])
        if math.isfinite(kl) and (self._best_kl is None or kl < self._best_kl):
            self._best_step, self._best_kl = step, kl
            self._best.save(step, {"params": state.params}, {"step": step, "kl": kl})
        self._last_log += time.perf_counter() - began  # not counted in steps per second

    def _save(self, step: int, state: TrainState, iterator: Any) -> None:
        began = time.perf_counter()
        if self._best is not None:
            self._best.wait()  # what this checkpoint calls the best must be on disk before it
        progress = {
            "data": iterator.get_state(),
            "best_step": self._best_step,
            "best_kl": self._best_kl,
        }
        self._store.save(step, _trees(state), progress)
        self._last_log += time.perf_counter() - began


def _trees(state: TrainState) -> dict[str, Any]:
    """The state as it is saved: parameters apart, so that they can be read alone."""
    return {"params": state.params, "rest": dataclasses.replace(state, params={})}


def load_params(
    workdir: str | os.PathLike[str],
    model: DecoderConfig,
    which: str = "best",
    mesh: MeshConfig | None = None,
    base: Params | None = None,
) -> Params:
    """Parameters that a run left behind.

    Args:
      workdir: the run's folder.
      model: the decoder's shape.
      which: ``best`` (least validation KL), ``last`` (end of posterior training) or ``lm`` (end of
        next-token training).
      mesh: where to place them; all devices along ``data`` when None.
      base: the frozen parameters of a model with adapters: only the adapters are in checkpoints.

    Raises:
      CheckpointError: there is none, or it is of another model.
    """
    folders = {"best": "ppt_best", "last": "ppt", "lm": "lm"}
    if which not in folders:
        raise UserError(f"load_params: unknown {which!r}; known are {', '.join(folders)}")
    folder = pathlib.Path(workdir) / "checkpoints"
    check_identity(folder / "train.json", {"model": dataclasses.asdict(model)}, only="model")
    if model.adapter_rank and base is None:
        raise UserError("load_params: a model with adapters needs its base beside the checkpoint")
    abstract = abstract_state(model, optax.sgd(0.0), make_mesh(mesh or MeshConfig())).params
    return joined(restore_params(folder / folders[which], abstract), base or {})


def initial_params(config: TrainConfig, model: DecoderConfig) -> Params:
    """The parameters that a run with this seed starts from (where none are given)."""
    mesh = make_mesh(config.mesh)
    trained = init_state(model, optax.sgd(0.0), mesh, config.seed).params
    return joined(trained, init_frozen(model, mesh, config.seed)) if model.adapter_rank else trained
