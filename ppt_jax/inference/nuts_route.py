"""The route of NumPyro's NUTS: chains for all scenarios of a structure -> gated labels.

Axes: A asks, C chains, N draws of a chain, L continuous latents, S = C N draws, Q prior draws.
"""

from __future__ import annotations

import collections
import concurrent.futures
import dataclasses
import functools
import hashlib
import os
import threading
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.typing import NDArray

from ppt_jax.inference.convergence import bulk_ess, split_rhat
from ppt_jax.inference.devices import padded, spread
from ppt_jax.inference.importance import scenario_key
from ppt_jax.inference.labels import LabelConfig, SoftLabel, predicted_error, weighted_label
from ppt_jax.inference.nuts import Chain, NutsConfig, Plan, plan
from ppt_jax.inference.points import SCRAMBLES
from ppt_jax.inference.routes import Outcome, Prepared, ask_arrays
from ppt_jax.inference.simulate import node_values
from ppt_jax.inference.summary import AskArrays, Summary, summarise

Array = NDArray[np.float64]
GROUP = 4  # scenarios of one compiled call on a CPU, where chains run one after the other
WIDE_GROUP = 64  # and on a GPU or TPU, where they run side by side
PRIOR_DRAWS = 4096
MAX_RUNS = 32

_RUNS: collections.OrderedDict[tuple[Any, ...], Any] = collections.OrderedDict()
_TRACING = threading.Lock()  # NumPyro's stack of handlers is one for all threads


def nuts_route(
    prepared: Sequence[Prepared],
    draws: int,
    config: LabelConfig,
    nuts: NutsConfig | None = None,
) -> list[Outcome]:
    """Labels by NUTS, several chains a scenario, one compiled run a structure.

    Args:
      prepared: scenarios of any structures.
      draws: of each chain after its warm-up.
      config: seed; the gates on error and effective sample size are the caller's.
      nuts: chains, adaptation and the gates on convergence.

    Returns:
      Per scenario its labels, or why it has none: ``not_sampled`` where NUTS does not apply (the
      detail says why), ``label_error`` where the chains did not converge, ``nonfinite_program``.
      A scenario's outcome does not depend on the others.

    Source: Hoffman and Gelman (2014), The No-U-Turn Sampler, JMLR 15; NumPyro's `hmc`.
    """
    nuts = nuts or NutsConfig()
    outcomes: dict[int, Outcome] = {}
    groups: dict[tuple[Any, ...], list[tuple[int, Plan]]] = {}
    for i, one in enumerate(prepared):
        found = plan(one.scenario, one.structure, nuts)
        if isinstance(found, str):
            outcomes[i] = Outcome(reason="not_sampled", detail=found)
        else:
            groups.setdefault(found.key, []).append((i, found))
    wide = jax.default_backend() != "cpu"
    size = WIDE_GROUP if wide else GROUP * len(jax.local_devices())
    jobs = []
    for key, members in groups.items():
        run = _compiled(key, prepared[members[0][0]], members[0][1], draws, nuts, wide)
        for start in range(0, len(members), size):
            jobs.append((run, members[start : start + size]))

    def work(job: tuple[Any, list[tuple[int, Plan]]]) -> None:
        run, members = job
        made = _call(run, [prepared[i] for i, _ in members], size, config.seed, nuts)
        for (i, planned), result in zip(members, made):
            outcomes[i] = outcome(prepared[i], planned, result, config, nuts)

    # XLA releases the interpreter while it runs; on a CPU a chain keeps one core busy
    threads = 1 if wide or len(jax.local_devices()) > 1 else os.cpu_count() or 1
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, jobs))
    return [outcomes[i] for i in range(len(prepared))]


def _compiled(
    key: tuple[Any, ...], one: Prepared, planned: Plan, draws: int, nuts: NutsConfig, wide: bool
) -> Any:
    """``(keys, constants, wanted)``, a row a lane, to the results of `Chain.sample`."""
    full = (*key, draws, nuts, wide)
    if full not in _RUNS:
        chain = Chain(one.scenario, one.structure, planned)

        def sample(lane: Any) -> dict[str, jax.Array]:
            with _TRACING:  # Python runs here while JAX traces, never while the chains run
                return chain.sample(lane[0], lane[1], draws, nuts)

        def lanes(key_data: jax.Array, constants: jax.Array, wanted: jax.Array) -> Any:
            keys = jax.random.wrap_key_data(key_data)
            if wide:
                return jax.vmap(lambda k, c: sample((k, c)))(keys, constants)
            shapes = jax.eval_shape(sample, (keys[0], constants[0]))

            def maybe(lane: Any) -> Any:
                empty = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
                return lax.cond(lane[2], lambda: sample(lane[:2]), lambda: empty)

            return lax.map(maybe, (keys, constants, wanted))

        _RUNS[full] = spread(lanes)
        while len(_RUNS) > MAX_RUNS:
            _RUNS.popitem(last=False)
    _RUNS.move_to_end(full)
    return _RUNS[full]


def _call(
    run: Any, members: Sequence[Prepared], size: int, seed: int, nuts: NutsConfig
) -> list[dict[str, Array]]:
    """Runs the chains of up to ``size`` scenarios; per scenario arrays [C, N, ...]."""
    lanes = padded(size * nuts.chains)
    keys = [jax.random.split(scenario_key(one.scenario.id, seed), nuts.chains) for one in members]
    key_data = np.concatenate([np.asarray(jax.random.key_data(k)) for k in keys])
    constants = np.repeat(
        np.stack([one.structure.constants for one in members]).astype(np.float32),
        nuts.chains,
        axis=0,
    )
    rest = lanes - len(key_data)
    made = jax.device_get(
        run(
            np.concatenate([key_data, np.repeat(key_data[:1], rest, axis=0)]),
            np.concatenate([constants, np.repeat(constants[:1], rest, axis=0)]),
            np.arange(lanes) < len(key_data),
        )
    )
    return [
        {
            name: np.asarray(field[i * nuts.chains : (i + 1) * nuts.chains], np.float64)
            for name, field in made.items()
        }
        for i in range(len(members))
    ]


def outcome(
    prepared: Prepared,
    planned: Plan,
    made: dict[str, Array],
    config: LabelConfig,
    nuts: NutsConfig,
) -> Outcome:
    """Convergence gates, then the labels of one scenario's chains."""
    divergent = float(made["divergent"].mean())
    if not np.isfinite(made["u"]).all():
        return Outcome(reason="label_error", detail="a chain left the finite numbers")
    if divergent > nuts.max_divergent:
        return Outcome(reason="label_error", detail=f"{divergent:.2%} of the draws diverged")
    asks_ACN = np.moveaxis(made["asks"], -1, 0)
    for ask, values in zip(prepared.scenario.ask, asks_ACN):
        if not np.isfinite(values).all():
            detail = f"ask {ask.id!r} has no finite value for some draws"
            return Outcome(reason="nonfinite_program", detail=detail, final=True)
    watched = np.concatenate([np.moveaxis(made["u"], -1, 0), asks_ACN])
    names = [*planned.latents, *(f"ask {ask.id!r}" for ask in prepared.scenario.ask)]
    rhat = split_rhat(watched)
    worst = int(np.argmax(rhat))
    if not rhat[worst] < nuts.max_rhat:
        detail = f"R-hat {rhat[worst]:.3f} of {names[worst]}"
        return Outcome(reason="label_error", detail=detail)
    prior = _prior_draws(prepared, config.seed)
    if prior is None:
        detail = "an ask has no finite value for some draws from the prior"
        return Outcome(reason="nonfinite_program", detail=detail, final=True)
    ess_A = np.minimum(bulk_ess(asks_ACN), asks_ACN[0].size)
    arrays = ask_arrays(prepared)
    summary = _summarised(asks_ACN.reshape(len(asks_ACN), -1), prior, arrays)
    labels = tuple(_label(prepared, place, summary, float(ess)) for place, ess in enumerate(ess_A))
    return Outcome(labels=labels, max_weight=1.0 / asks_ACN[0].size)


def _prior_draws(prepared: Prepared, seed: int) -> Array | None:
    """The asks' prior draws [A, Q], or None where one is not finite."""
    program = prepared.program
    digest = hashlib.sha256(prepared.scenario.id.encode()).digest()
    rng = np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])
    values = node_values(program.nodes, rng, PRIOR_DRAWS)
    rows = [np.broadcast_to(values[n], (PRIOR_DRAWS,)) for n in program.ask_priors]
    return np.stack(rows) if np.isfinite(rows).all() else None


_SUMMARISE = jax.jit(functools.partial(summarise, scrambles=SCRAMBLES))


def _summarised(asks_AS: Array, prior_AQ: Array, arrays: AskArrays) -> Summary:
    """Sums of unweighted draws; the two halves of the chains stand in for two scrambles."""
    made = _SUMMARISE(
        asks_AS.astype(np.float32),
        prior_AQ.astype(np.float32),
        np.zeros(asks_AS.shape[1], np.float32),
        np.zeros(prior_AQ.shape[1], np.float32),
        arrays,
    )
    return jax.tree.map(np.asarray, jax.device_get(made))


def _label(prepared: Prepared, place: int, summary: Summary, ess: float) -> SoftLabel:
    """One label; its error is that of ``ess`` independent draws."""
    total = float(np.sum(summary.sum_S, dtype=np.float64))
    counted = summary._replace(
        square=jnp.float32(total**2 / ess),
        squares_AC=jnp.asarray(np.sum(summary.cells_ASC, axis=1) * total / ess),
    )
    label = weighted_label(prepared.scenario, place, counted, place, prepared.truths[place], "nuts")
    error_101 = predicted_error(label.probs, label.probs / ess)
    return dataclasses.replace(label, error=label.predicted, error_101=error_101)
