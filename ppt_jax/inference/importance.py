"""NumPyro importance weighting, one compiled run for all scenarios of a structure."""

from __future__ import annotations

import collections
import hashlib
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jax import lax
from numpyro import handlers

from ppt_jax.inference.devices import spread
from ppt_jax.inference.numpyro_model import numpyro_model
from ppt_jax.inference.points import SCRAMBLES
from ppt_jax.inference.signature import Structure
from ppt_jax.inference.summary import AskArrays, Summary, summarise
from ppt_jax.scenario.document import Scenario

GROUP = 16  # scenarios of one compiled call on each device; short groups skip the rest
CHUNK = 2048  # particles vectorised at once, which bounds memory


def scenario_key(identifier: str, seed: int) -> jax.Array:
    """A key that depends on the scenario's id and the seed alone, the same on every machine."""
    digest = hashlib.sha256(identifier.encode()).digest()
    key = jax.random.key(seed)
    for start in (0, 4):
        key = jax.random.fold_in(key, int.from_bytes(digest[start : start + 4], "big"))
    return key


def log_density(made: dist.Distribution, value: jax.Array) -> jax.Array:
    """``log p(value)`` of a draw, nats.

    NumPyro keeps chances a little inside of (0, 1), so that evidence which a program rules out
    would weigh -16 or -87 nats and, where every particle has it, nothing at all. Here a chance of
    0 or 1 is what it says, and a parameter that is no chance gives NaN.
    """
    found = made.log_prob(value)
    if isinstance(made, dist.BernoulliProbs | dist.BinomialProbs):
        p = jnp.asarray(made.probs)
        most = made.total_count if isinstance(made, dist.BinomialProbs) else 1
        impossible = ((p == 0) & (value > 0)) | ((p == 1) & (value < most))
        sound = (p >= 0) & (p <= 1)
    elif isinstance(made, dist.CategoricalProbs):
        p = jnp.asarray(made.probs)
        impossible = p[..., value] == 0
        sound = jnp.all(p >= 0, axis=-1)
    else:
        return found
    return jnp.where(sound, jnp.where(impossible, -jnp.inf, found), jnp.nan)


def one_particle(scenario: Scenario) -> Any:
    """``(key, constants, observe) -> (ask values [A], log-weight)`` by a NumPyro trace."""
    model = numpyro_model(scenario)
    names = [f"ask:{ask.id}" for ask in scenario.ask]

    def run(key: jax.Array, constants: jax.Array, observe: bool) -> tuple[jax.Array, jax.Array]:
        trace = handlers.trace(handlers.seed(model, key)).get_trace(constants, observe)
        impossible, total = jnp.asarray(False), jnp.float32(0.0)
        for site in trace.values():
            if site["type"] == "sample" and site["is_observed"]:
                term = jnp.sum(log_density(site["fn"], site["value"]))
                impossible = impossible | (term == -jnp.inf)
                total = total + term
        values = jnp.stack([jnp.asarray(trace[name]["value"], jnp.float32) for name in names])
        return values, jnp.where(impossible, -jnp.inf, total)

    return run


_RUNS: collections.OrderedDict[tuple[str, int, bool], Any] = collections.OrderedDict()
MAX_RUNS = 64


def _compiled(signature: str, scenario: Scenario, particles: int, own_prior: bool) -> Any:
    """The run of a signature, made once; ``scenario`` is any document that has it."""
    key = (signature, particles, own_prior)
    if key not in _RUNS:
        _RUNS[key] = _make_run(scenario, particles, own_prior)
        while len(_RUNS) > MAX_RUNS:
            _RUNS.popitem(last=False)
    _RUNS.move_to_end(key)
    return _RUNS[key]


def _make_run(scenario: Scenario, particles: int, own_prior: bool) -> Any:
    run = one_particle(scenario)

    def label(key: jax.Array, constants: jax.Array, asks: AskArrays) -> Summary:
        keys = jax.random.split(key, particles)

        def observed(k: jax.Array) -> Any:
            return run(k, constants, True)

        def drawn(k: jax.Array) -> Any:
            return run(jax.random.fold_in(k, 1), constants, False)[0]

        values_PA, logw_P = lax.map(observed, keys, batch_size=CHUNK)
        priors_PA = lax.map(drawn, keys, batch_size=CHUNK) if own_prior else values_PA
        return summarise(values_PA.T, priors_PA.T, logw_P, jnp.zeros_like(logw_P), asks, SCRAMBLES)

    def group(wanted_B: Any, key_data: Any, constants_BC: Any, asks: AskArrays) -> Summary:
        keys = jax.random.wrap_key_data(key_data)
        shapes = jax.eval_shape(
            label, keys[0], constants_BC[0], jax.tree.map(lambda field: field[0], asks)
        )

        def maybe(job: Any) -> Summary:
            wanted, *rest = job
            empty = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
            return lax.cond(wanted, lambda: label(*rest), lambda: empty)

        return lax.map(maybe, (wanted_B, keys, constants_BC, asks))

    return spread(group)


def weight_group(
    scenarios: Sequence[Scenario],
    structures: Sequence[Structure],
    asks: Sequence[AskArrays],
    particles: int,
    *,
    seed: int,
    own_prior: bool,
) -> list[Summary]:
    """Importance weighting from the prior for scenarios of one signature.

    Args:
      scenarios: documents whose structures have one signature.
      structures: theirs.
      asks: per scenario the ask arrays, all asks of the document.
      particles: draws of each of the two independent halves.
      seed: combined with each scenario's id.
      own_prior: whether some ask depends on an observed draw, so that its prior needs draws in
        which nothing is observed.

    Returns:
      Summaries in order, the same in whatever company.
    """
    run = _compiled(structures[0].signature, scenarios[0], SCRAMBLES * particles, own_prior)
    results: list[Summary] = []
    size = GROUP * len(jax.local_devices())
    for start in range(0, len(scenarios), size):
        part = range(start, min(start + size, len(scenarios)))
        places = [*part, *[start] * (size - len(part))]
        keys = jnp.stack([scenario_key(scenarios[i].id, seed) for i in places])
        constants = np.stack([structures[i].constants for i in places]).astype(np.float32)
        stacked = jax.tree.map(lambda *fields: np.stack(fields), *(asks[i] for i in places))
        wanted = np.arange(size) < len(part)
        made = jax.device_get(run(wanted, jax.random.key_data(keys), constants, stacked))
        for place in range(len(part)):
            results.append(jax.tree.map(lambda field, at=place: np.asarray(field[at]), made))
    return results
