"""Answers do not depend on how many devices share the rows."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np

from ppt_jax.evaluation.readouts.language_model import Asked
from tests.evaluation.readouts.toy import ASK, toy_model

ROOT = pathlib.Path(__file__).parents[3]
ASKS = [ASK, *(Asked(f"q{k}", "A" * k, "B.2", "0.3", ("A", "B", "10")) for k in range(1, 7))]
SCRIPT = """
import json
from tests.evaluation.readouts.test_devices import ASKS
from tests.evaluation.readouts.toy import toy_model
import jax
assert jax.device_count() == 4
model = toy_model()
found = [logp.tolist() for logp in model.answer_log_probs(ASKS)]
likely = model.likelihoods([("1.2", "A")], [["A", "B.1", "10"]])[0]
texts = model.write(ASKS, samples=1, temperature=0.0, tokens=4, seed=0)
print(json.dumps([found, [one.logp for one in likely], texts]))
"""


def test_four_devices_answer_like_one() -> None:
    flags = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        timeout=800,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found, likely, texts = json.loads(done.stdout.splitlines()[-1])
    model = toy_model()
    for one, other in zip(model.answer_log_probs(ASKS), found, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    ours = [one.logp for one in model.likelihoods([("1.2", "A")], [["A", "B.1", "10"]])[0]]
    np.testing.assert_allclose(ours, likely, atol=1e-5)
    assert model.write(ASKS, samples=1, temperature=0.0, tokens=4, seed=0) == texts
