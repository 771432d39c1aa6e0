"""The loop on the data room's own batches: Grain positions, full tries, two kinds of batches."""

import signal

import jax
import numpy as np
import pytest

from ppt_jax.data.packing import PackConfig, balanced_shapes, units_of
from ppt_jax.data.pipeline import StreamConfig, packed_batches
from ppt_jax.data.trees import Compiler
from ppt_jax.models.answers import StopSets, answer_log_probs
from ppt_jax.models.decoder import DecoderConfig, make_apply
from ppt_jax.training.loop import TrainConfig, load_params, train
from ppt_jax.training.optimizer import OptimizerConfig
from ppt_jax.training.sharding import MeshConfig, make_mesh, put_batch
from tests.data.examples import records, trained


@pytest.fixture(scope="module")
def corpus():
    compiler = Compiler(trained("whole"))
    trees = compiler.trees(records(12, asks=2, words=12))
    return compiler, trees


def batches(corpus, mode, *, endless):
    compiler, trees = corpus
    shape = balanced_shapes(trees, PackConfig(rows=4, tokens=320, mode=mode, max_stop_nodes=4))
    units, _ = units_of(trees, shape)
    stream = StreamConfig(seed=1, shuffle=endless, epochs=None if endless else 1)
    return packed_batches(units, shape, stream, pad=compiler.pad)


class Stopped:
    """The same batches, with Ctrl-C while batch number ``at`` is read."""

    def __init__(self, batches, at):
        self.batches, self.at = batches, at

    def __iter__(self):
        outer, inner = self, iter(self.batches)

        class Iterator:
            count = 0

            def __next__(self):
                self.count += 1
                if self.count == outer.at:
                    signal.raise_signal(signal.SIGINT)
                return next(inner)

            def get_state(self):
                return inner.get_state()

            def set_state(self, state):
                inner.set_state(state)

        return Iterator()


def test_stories_then_posteriors_stopped_and_resumed(corpus, tmp_path):
    """Bitwise resume with Grain's iterator; the KL falls; the saved model answers whole tries."""
    compiler, _ = corpus
    model = DecoderConfig(
        vocab_size=compiler.vocab_size,
        width=32,
        layers=2,
        heads=2,
        kv_heads=1,
        head_size=16,
        mlp_width=64,
    )
    fast = OptimizerConfig(learning_rate=5e-3, warmup_steps=3)
    config = TrainConfig(
        steps=10, lm_steps=3, optimizer=fast, lm_optimizer=fast, validate_every=5, log_every=5
    )

    def go(workdir, data):
        return train(
            config,
            model,
            workdir=workdir,
            stop_SV=compiler.stop_SV,
            max_answers=101,
            data=data,
            lm_data=batches(corpus, "story", endless=True),
            validation=batches(corpus, "full", endless=False),
            silent=True,
        )

    whole = go(tmp_path / "whole", batches(corpus, "train", endless=True))
    stopped = go(tmp_path / "cut", Stopped(batches(corpus, "train", endless=True), 5))
    assert (stopped.finished, stopped.step) == (False, 5)
    resumed = go(tmp_path / "cut", batches(corpus, "train", endless=True))
    assert resumed.finished
    for a, b in zip(jax.tree.leaves(whole.params), jax.tree.leaves(resumed.params), strict=True):
        np.testing.assert_array_equal(a, b)

    params = load_params(tmp_path / "whole", model, "best")
    stops = StopSets.from_mask(compiler.stop_SV)
    apply, mesh = make_apply(model), make_mesh(MeshConfig())
    read = jax.jit(lambda p, b: answer_log_probs(apply(p, b), b, stops, 101))
    kls = {}
    for name, those in (
        ("before", load_params(tmp_path / "whole", model, "lm")),
        ("after", params),
    ):
        total = count = 0.0
        for batch in batches(corpus, "full", endless=False):
            device_batch = put_batch(batch, mesh)
            logp_BAK = np.asarray(read(those, device_batch), np.float64)
            leaves = batch["edge_answer_BE"] >= 0
            for b, e in zip(*np.nonzero(leaves & (batch["edge_mass_BE"] > 0)), strict=True):
                ask, answer = divmod(int(batch["edge_answer_BE"][b, e]), 101)
                p = float(batch["edge_mass_BE"][b, e])
                total += p * (np.log(p) - logp_BAK[b, ask, answer])
            count += float(batch["ask_weight_BA"].sum())
            assert (np.exp(logp_BAK).sum(-1) <= 1 + 1e-5).all()
        kls[name] = total / count
    assert kls["after"] == pytest.approx(whole.best_kl, rel=1e-4)
    assert kls["after"] < kls["before"] - 0.5
