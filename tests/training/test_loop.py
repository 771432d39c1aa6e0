import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import jax
import numpy as np
import pytest

from ppt_jax.errors import UserError
from ppt_jax.training.checkpoint import CheckpointError
from ppt_jax.training.flops import batch_work, step_flops
from ppt_jax.training.loop import TrainConfig, TrainingError, initial_params, load_params, train
from ppt_jax.training.optimizer import OptimizerConfig
from tests.models.packed import MAX_ANSWERS
from tests.training.problem import MODEL, STOP_SV, Batches, BatchIterator, batch_of

pytestmark = pytest.mark.slow

FAST = OptimizerConfig(learning_rate=1e-2, warmup_steps=2)
CONFIG = TrainConfig(
    steps=12,
    lm_steps=6,
    optimizer=FAST,
    lm_optimizer=FAST,
    accumulate=2,
    log_every=2,
    validate_every=5,
    checkpoint_every=3,
)


def go(workdir, config=CONFIG, **changes):
    settings = {
        "data": Batches(),
        "lm_data": Batches(first=500),
        "validation": Batches(first=900, last=2),
        "fingerprint": {"dataset": "d1"},
    } | changes
    return train(
        config,
        MODEL,
        workdir=workdir,
        stop_SV=STOP_SV,
        max_answers=MAX_ANSWERS,
        silent=True,
        **settings,
    )


def leaves(params):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(params)]


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(leaves(a), leaves(b), strict=True))


def rows_of(workdir, **match):
    text = (pathlib.Path(workdir) / "metrics.jsonl").read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    return [row for row in rows if all(row[key] == value for key, value in match.items())]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """One uninterrupted run."""
    workdir = tmp_path_factory.mktemp("whole")
    return workdir, go(workdir)


def test_a_run_leaves_metrics_checkpoints_and_parameters(whole):
    workdir, result = whole
    assert (result.finished, result.phase, result.step) == (True, "ppt", 12)
    assert same(load_params(workdir, MODEL, "last"), result.params)
    assert not same(load_params(workdir, MODEL, "lm"), result.params)
    rows = rows_of(workdir, phase="ppt", split="train")
    assert [row["step"] for row in rows] == [2, 4, 6, 8, 10, 12]
    for row in rows:  # two steps a record: rates and work belong together
        seconds = sum(batch_work(batch_of(row["step"] - n)).tokens for n in (0, 1))
        seconds /= row["tokens_per_second"]
        work = sum(step_flops(MODEL, batch_work(batch_of(row["step"] - n))) for n in (0, 1))
        assert row["model_tflops_per_second"] == pytest.approx(work / seconds / 1e12, abs=1e-6)
    assert "mfu" not in rows[0]  # nobody publishes the peak of this CPU
    validated = rows_of(workdir, phase="ppt", split="validation")
    assert [row["step"] for row in validated] == [0, 5, 10, 12]
    kls = {row["step"]: row["kl"] for row in validated}
    assert result.best_kl == pytest.approx(min(kls.values()), abs=1e-6)
    assert kls[result.best_step] == min(kls.values())
    assert kls[12] < kls[0]
    row = rows_of(workdir, phase="ppt", split="train")[-1]
    assert row["asks_per_second"] > 0
    assert row["skipped"] == 0
    assert row["cross_entropy"] == pytest.approx(row["entropy"] + row["kl"], abs=1e-5)
    assert list((workdir / "tensorboard" / "ppt").glob("events*"))


def test_a_finished_run_returns_at_once(whole):
    workdir, result = whole
    before = (workdir / "metrics.jsonl").read_bytes()
    again = go(workdir)
    assert again.finished
    assert same(again.params, result.params)
    assert (again.best_step, again.best_kl) == (result.best_step, result.best_kl)
    assert (workdir / "metrics.jsonl").read_bytes() == before


class Stopper(Batches):
    """Sends a signal to this process while batch number ``at`` is made."""

    def __init__(self, at, number, **settings):
        super().__init__(**settings)
        self.at, self.number = at, number

    def __iter__(self):
        stopper = self

        class Iterator(BatchIterator):
            def __next__(self):
                batch = super().__next__()
                if self.at == stopper.at:
                    os.kill(os.getpid(), stopper.number)
                    time.sleep(0.01)
                return batch

        return Iterator(self)


def test_ctrl_c_saves_and_the_same_command_goes_on_to_the_same_bits(whole, tmp_path):
    """Once in each phase, at steps that are no checkpoint steps."""
    handler = signal.getsignal(signal.SIGINT)
    first = go(tmp_path, lm_data=Stopper(4, signal.SIGINT, first=500))
    assert (first.finished, first.phase, first.step) == (False, "lm", 4)
    second = go(tmp_path, data=Stopper(8, signal.SIGTERM))
    assert (second.finished, second.phase, second.step) == (False, "ppt", 8)
    last = go(tmp_path)
    assert last.finished
    assert same(last.params, whole[1].params)
    assert (last.best_step, last.best_kl) == (whole[1].best_step, whole[1].best_kl)
    for split in ("train", "validation"):  # nothing twice, nothing missing
        steps = [row["step"] for row in rows_of(tmp_path, phase="ppt", split=split)]
        expected = [row["step"] for row in rows_of(whole[0], phase="ppt", split=split)]
        assert sorted(set(steps)) == steps
        assert set(expected) >= set(steps) >= set(expected) - {8, 10}
    assert signal.getsignal(signal.SIGINT) is handler


KILLED = """
import sys, time
from tests.training import test_loop as t
class Slow(t.Batches):
    def __iter__(self):
        source = self
        class Iterator(t.BatchIterator):
            def __next__(self):
                print("batch", self.at + 1, flush=True)
                time.sleep(0.05)
                return super().__next__()
        return Iterator(source)
t.go(sys.argv[1], lm_data=Slow(first=500), data=Slow())
"""


def test_sigkill_at_a_random_step_and_resume_is_bitwise(whole, tmp_path):
    """Killed twice without warning, wherever that may be, and resumed by the same call."""
    rng = np.random.default_rng(time.time_ns() % 2**32)
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        left = int(rng.integers(2, 9))
        watch = threading.Timer(300, process.kill)  # a child that hangs ends the loop below
        watch.start()
        assert process.stdout is not None
        for line in process.stdout:
            left -= line.startswith("batch")
            if not left:
                time.sleep(float(rng.uniform(0, 0.1)))
                process.kill()
                break
        process.wait(timeout=60)
        watch.cancel()
    result = go(tmp_path)
    assert result.finished
    assert same(result.params, whole[1].params), f"killed with {left} to go"
    assert result.best_kl == whole[1].best_kl


def test_a_resume_that_does_not_match_is_refused_by_name(whole):
    workdir, _ = whole
    other = dataclasses.replace(
        CONFIG, steps=13, optimizer=dataclasses.replace(FAST, learning_rate=0.5)
    )
    with pytest.raises(CheckpointError) as caught:
        go(workdir, config=other, fingerprint={"dataset": "d2"})
    for part in (
        "train.steps: 12 in the checkpoints, 13 now",
        "train.optimizer.learning_rate: 0.01 in the checkpoints, 0.5 now",
        "data.dataset: 'd1' in the checkpoints, 'd2' now",
    ):
        assert part in str(caught.value)
    assert "seed" not in str(caught.value)
    # Fields that cannot change the result may differ, and so may what is accepted by name.
    assert go(workdir, config=dataclasses.replace(CONFIG, log_every=3)).finished
    assert go(workdir, fingerprint={"dataset": "d2"}, accept=["data"]).finished


def test_parameters_of_another_model_are_refused(whole):
    wide = dataclasses.replace(MODEL, mlp_width=64)
    with pytest.raises(CheckpointError, match=r"model\.mlp_width: 48 in the checkpoints, 64 now"):
        load_params(whole[0], wide, "last")
    with pytest.raises(CheckpointError, match="no checkpoint"):
        load_params(whole[0] / "nowhere", MODEL, "last")


def test_divergence_stops_with_the_last_checkpoint_intact(tmp_path):
    class Poisoned(Batches):
        def __iter__(self):
            class Iterator(BatchIterator):
                def __next__(self):
                    batch = super().__next__()
                    if self.at > 4:
                        batch["edge_mass_BE"] = batch["edge_mass_BE"] * np.nan
                    return batch

            return Iterator(self)

    config = dataclasses.replace(CONFIG, lm_steps=0, skipped_limit=2, accumulate=1)
    with pytest.raises(TrainingError, match="2 steps in a row"):
        go(tmp_path, config=config, data=Poisoned())
    assert all(np.isfinite(leaf).all() for leaf in leaves(load_params(tmp_path, MODEL, "last")))


def test_data_that_runs_out_is_named(tmp_path):
    config = dataclasses.replace(CONFIG, lm_steps=0, accumulate=1)
    with pytest.raises(TrainingError, match="ran out after 3 of 12"):
        go(tmp_path, config=config, data=Batches(last=3))


def test_training_starts_from_given_parameters_and_leaves_them_alone(tmp_path):
    config = dataclasses.replace(CONFIG, lm_steps=0, accumulate=1, steps=1)
    given = initial_params(dataclasses.replace(config, seed=3), MODEL)
    copy = leaves(given)
    result = go(tmp_path, config=config, params=given, validation=None)
    assert all(np.array_equal(a, b) for a, b in zip(leaves(given), copy, strict=True))
    change = np.abs(leaves(result.params)[0] - copy[0]).max()
    assert 0 < change < 0.05


def test_the_crps_term_refuses_batches_without_whole_supports(tmp_path):
    objective = dataclasses.replace(CONFIG.objective, crps_weight=1.0)
    config = dataclasses.replace(CONFIG, lm_steps=0, accumulate=1, objective=objective)

    class Pruned(Batches):
        def __iter__(self):
            class Iterator(BatchIterator):
                def __next__(self):
                    batch = super().__next__()
                    batch["edge_answer_BE"] = np.where(batch["edge_answer_BE"] % 6 == 1, -1, 0)
                    return batch

            return Iterator(self)

    with pytest.raises(TrainingError, match="crps_weight"):
        go(tmp_path, config=config, data=Pruned(), validation=None)


def test_a_tiny_set_is_learnt_down_to_its_entropy(tmp_path):
    """One batch again and again: the loss reaches the entropy of the labels, and not below."""

    class Same(Batches):
        def __iter__(self):
            class Iterator(BatchIterator):
                def __next__(self):
                    self.at += 1
                    return batch_of(7)

            return Iterator(self)

    config = TrainConfig(
        steps=250,
        optimizer=OptimizerConfig(learning_rate=1e-2, warmup_steps=10, weight_decay=0.0),
        log_every=50,
        checkpoint_every=250,
    )
    go(tmp_path, config=config, data=Same(), lm_data=None, validation=None)
    kls = [row["kl"] for row in rows_of(tmp_path, split="train")]
    assert kls[0] > 0.1
    assert 0 < kls[-1] < 5e-3


@pytest.mark.parametrize("bad", [{"steps": 0}, {"accumulate": 0}, {"lm_steps": -1}])
def test_bad_fields_are_refused_by_name(bad):
    with pytest.raises(UserError, match=rf"train\.{next(iter(bad))}"):
        TrainConfig(**bad)


def test_what_does_not_fit_is_refused(tmp_path):
    with pytest.raises(UserError, match="multiple of 3"):
        go(tmp_path / "a", config=dataclasses.replace(CONFIG, accumulate=3))
    with pytest.raises(UserError, match="lm_steps"):
        go(tmp_path / "b", lm_data=None)
    with pytest.raises(UserError, match="vocab_size"):
        train(
            CONFIG,
            MODEL,
            workdir=tmp_path / "c",
            stop_SV=STOP_SV[:, :-1],
            max_answers=MAX_ANSWERS,
            data=Batches(),
            lm_data=Batches(),
        )


def test_training_works_outside_the_main_thread(tmp_path):
    results = []
    config = dataclasses.replace(CONFIG, lm_steps=0, steps=1, accumulate=1)
    thread = threading.Thread(
        target=lambda: results.append(go(tmp_path, config=config, validation=None))
    )
    thread.start()
    thread.join()
    assert results[0].finished


def test_a_trace_of_some_steps_is_written(tmp_path, monkeypatch):
    """The checkpoint of step 3 is on disk when the trace ends there: both at once hung a run."""
    written = []
    stop = jax.profiler.stop_trace

    def stop_trace():
        written.append(sorted(path.name for path in (tmp_path / "checkpoints" / "ppt").iterdir()))
        stop()

    monkeypatch.setattr(jax.profiler, "stop_trace", stop_trace)
    config = dataclasses.replace(CONFIG, lm_steps=0, steps=4, profile_first=1, profile_steps=2)
    go(tmp_path, config, validation=None)
    assert written == [["3"]]
    assert list((tmp_path / "profile").rglob("*.xplane.pb"))
    assert "profile" not in (tmp_path / "checkpoints" / "train.json").read_text()
