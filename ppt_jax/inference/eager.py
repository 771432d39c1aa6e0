"""Batched NumPyro without compilation: the model of record, all particles at once, op by op.

It takes any structure in tens of milliseconds where a compiled run first costs seconds, shares no
code with the program tables, and so checks their labels (`launch.verify_labels`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpyro
from numpyro import handlers
from numpyro.primitives import Messenger

from ppt_jax.inference.importance import log_density, scenario_key
from ppt_jax.inference.labels import LabelConfig
from ppt_jax.inference.numpyro_model import numpyro_model
from ppt_jax.inference.points import SCRAMBLES
from ppt_jax.inference.routes import Outcome, Prepared, ask_arrays, weighted_outcome
from ppt_jax.inference.summary import Summary
from ppt_jax.inference.uncompiled import summed
from ppt_jax.scenario.document import Scenario

CHUNK = 1 << 16  # particles at once, which bounds memory


class _Batched(Messenger):
    """Gives every scalar latent the axis of the particles."""

    def __init__(self, model: Any, particles: int) -> None:
        super().__init__(model)
        self.particles = particles

    def process_message(self, msg: dict[str, Any]) -> None:
        scalar = msg["type"] == "sample" and not msg["is_observed"] and msg["fn"].batch_shape == ()
        if scalar:
            msg["kwargs"]["sample_shape"] = (self.particles,)


def particles(
    scenario: Scenario, key: jax.Array, count: int, observe: bool = True
) -> tuple[jax.Array, jax.Array]:
    """Ask values [A, P] and log-weights [P] of draws from a document's prior, not compiled.

    Args:
      scenario: a checked document.
      key: of the draws.
      count: particles P.
      observe: as in `numpyro_model`; without it all log-weights are 0.
    """
    model = handlers.seed(_Batched(numpyro_model(scenario), count), key)
    # as in a compiled run bad parameters give NaN; the densities below still check their supports
    with numpyro.validation_enabled(False):
        trace = handlers.trace(model).get_trace(None, observe)
    impossible, total = jnp.zeros(count, bool), jnp.zeros(count, jnp.float32)
    for site in trace.values():
        if site["type"] == "sample" and site["is_observed"]:
            term = log_density(site["fn"], site["value"])
            impossible = impossible | (term == -jnp.inf)
            total = total + term
    asks = [jnp.broadcast_to(trace[f"ask:{ask.id}"]["value"], (count,)) for ask in scenario.ask]
    return jnp.stack(asks).astype(jnp.float32), jnp.where(impossible, -jnp.inf, total)


def eager_route(prepared: Sequence[Prepared], points: int, config: LabelConfig) -> list[Outcome]:
    """Importance weighting from the prior by uncompiled NumPyro, each scenario by itself.

    Args:
      prepared: scenarios of any structures.
      points: draws of each of the two independent halves.
      config: for the seed.
    """
    return [
        weighted_outcome(one, [(0, weigh(one, SCRAMBLES * points, config.seed))], "eager")
        for one in prepared
    ]


def weigh(prepared: Prepared, count: int, seed: int) -> Summary:
    """Sums over ``count`` weighted particles of a scenario; two independent halves."""
    scenario, arrays = prepared.scenario, ask_arrays(prepared)
    keys = jax.random.split(scenario_key(scenario.id, seed), math.ceil(count / CHUNK))
    chunk = min(count, CHUNK)
    parts = [particles(scenario, key, chunk) for key in keys]
    values_AP = jnp.concatenate([values for values, _ in parts], axis=1)
    logw_P = jnp.concatenate([logw for _, logw in parts])
    prior_AP = values_AP
    if prepared.own_prior:
        drawn = [particles(scenario, jax.random.fold_in(k, 1), chunk, False)[0] for k in keys]
        prior_AP = jnp.concatenate(drawn, axis=1)
    return summed(values_AP, prior_AP, logw_P, arrays)
