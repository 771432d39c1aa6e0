"""NumPyro's enumeration under ``vmap``: exact labels of all-discrete scenarios of one structure.

All discrete draws are summed out by NumPyro and funsor. The label is a gradient: with a potential
``theta[k]`` added where an ask's answer is ``k``, ``d log Z / d theta[k]`` at 0 is the posterior
probability of ``k``, so one backward pass gives all answers of an ask. Float32 throughout.

Axes: B scenarios, A asks, K answer cells (below, the answers, above).
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
from numpyro.contrib.funsor import config_enumerate, enum, log_density

from ppt_jax.inference.devices import padded, spread
from ppt_jax.inference.exact import support_sizes
from ppt_jax.inference.graph import reachable
from ppt_jax.inference.labels import LabelConfig, SoftLabel, answer_count, information_gain
from ppt_jax.inference.numpyro_model import IMPOSSIBLE, Form, numpyro_model
from ppt_jax.inference.nuts import flat_draws
from ppt_jax.inference.program import Program, lower
from ppt_jax.inference.routes import Outcome, Prepared, ask_arrays
from ppt_jax.inference.summary import ANSWERS

CELLS = ANSWERS + 2
BATCH = 64  # scenarios side by side on each device
MAX_DISCRETE = 24  # draws to sum out; each is an axis to the compiler
MAX_STATES = 1 << 17  # joint states of the draws that one ask or given depends on
ROUNDING = 1e-6  # stated error of a float32 sum
MAX_RUNS = 32

_RUNS: collections.OrderedDict[tuple[Any, ...], Any] = collections.OrderedDict()


@dataclasses.dataclass(frozen=True, eq=False)
class Forms:
    """The draws that matter with and without the observations, and the run they share."""

    posterior: Form
    prior: Form
    key: tuple[Any, ...]


def forms(prepared: Prepared) -> Forms | str:
    """How a scenario is enumerated, or the reason why it is not."""
    scenario = prepared.scenario
    if any(ask.kind == "rank" for ask in scenario.ask):
        return "a rank of a discrete quantity needs its prior's values; route exact has them"
    program = lower(scenario)
    sizes = support_sizes(program)
    if sizes is None:
        return "a latent is not finite and discrete"
    live = reachable(program.nodes, [*program.loglik, *program.asks, *program.ask_priors])
    draws = [n for n in live if program.nodes[n].op.startswith("draw:")]
    for root in [*draws, *program.loglik, *program.asks, *program.ask_priors]:
        if math.prod(sizes[column] for column in _scope(program, root)) > MAX_STATES:
            return "an ask, a given or a draw depends on too many joint states"
    posterior = _form(program, [*program.loglik, *program.asks])
    prior = _form(program, program.ask_priors)
    if max(len(posterior.alive), len(prior.alive)) > MAX_DISCRETE:
        return f"more than {MAX_DISCRETE} discrete draws"
    order = {name: place for place, name in enumerate(flat_draws(scenario))}
    parts = [prepared.structure.signature]
    for form in (posterior, prior):
        kept = tuple(sorted(order[name] for name in form.alive))
        trials = tuple(sorted((order[name], n) for name, n in form.trials.items()))
        parts.append(repr((kept, trials)))
    return Forms(posterior, prior, tuple(parts))


def _scope(program: Program, root: int) -> set[int]:
    """Columns of the draws whose axes a node's factor has: its own, and the nearest above."""
    columns: set[int] = set()
    stack = [root]
    while stack:
        number = stack.pop()
        node = program.nodes[number]
        if node.op.startswith("draw:"):
            columns.add(int(node.value))
        if number == root or not node.op.startswith("draw:"):
            stack.extend(node.args)
    return columns


def _form(program: Program, roots: Sequence[int]) -> Form:
    alive, trials = set(), {}
    for n in reachable(program.nodes, roots):
        node = program.nodes[n]
        if node.op.startswith("draw:"):
            name = program.latents[int(node.value)]
            alive.add(name)
            if node.op == "draw:successes":
                trials[name] = int(program.nodes[node.args[0]].value)
    return Form(frozenset(alive), trials=trials)


def _make_run(prepared: Prepared, made: Forms) -> Any:
    """The compiled run: constants and asks to posterior and prior cells, sides, ``log Z``."""
    asks = len(prepared.scenario.ask)

    def cells(
        form: Form, observe: bool, constants: jax.Array, low_A: Any, scale_A: Any, truth_A: Any
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        document = numpyro_model(prepared.scenario, form)

        def log_z(theta: tuple[jax.Array, jax.Array], place: int) -> jax.Array:
            def tilted() -> None:
                x = document(constants, observe)[place]
                answer = jnp.floor((x - low_A[place]) * scale_A[place] + 0.5)
                cell = jnp.clip(answer, -1.0, float(ANSWERS)).astype(jnp.int32) + 1
                near = 1e-5 * jnp.abs(truth_A[place]) + 1e-30
                side = jnp.where(
                    x < truth_A[place] - near, 0, jnp.where(x > truth_A[place] + near, 2, 1)
                )
                numpyro.factor("tilt", theta[0][cell] + theta[1][side])

            model = enum(config_enumerate(tilted), first_available_dim=-1)
            return log_density(model, (), {}, {})[0]

        zero = (jnp.zeros(CELLS), jnp.zeros(3))
        found = [jax.value_and_grad(log_z)(zero, place) for place in range(asks)]
        cells_AK = jnp.stack([gradient[0] for _, gradient in found])
        return cells_AK, jnp.stack([gradient[1] for _, gradient in found]), found[0][0]

    def one(constants: jax.Array, low_A: Any, scale_A: Any, truth_A: Any) -> Any:
        asked = (constants, low_A, scale_A, truth_A)
        cells_AK, sides_A3, log_evidence = cells(made.posterior, True, *asked)
        prior_AK, _, _ = cells(made.prior, False, *asked)
        return cells_AK, prior_AK, sides_A3, log_evidence

    return spread(jax.vmap(one))


def enumeration_route(prepared: Sequence[Prepared], config: LabelConfig) -> list[Outcome]:
    """Exact labels of all-discrete scenarios, one compiled run a structure.

    Args:
      prepared: scenarios of any structures.
      config: unused but for the shape that routes share.

    Returns:
      Per scenario its labels (route ``numpyro``, error `ROUNDING`), or ``not_enumerable`` with the
      reason, or ``impossible_evidence``.

    Source: Obermeyer et al. (2019), Tensor variable elimination for plated factor graphs.
    """
    del config
    outcomes: dict[int, Outcome] = {}
    groups: dict[tuple[Any, ...], list[int]] = {}
    runs: dict[tuple[Any, ...], Forms] = {}
    for i, one in enumerate(prepared):
        found = forms(one)
        if isinstance(found, str):
            outcomes[i] = Outcome(reason="not_enumerable", detail=found)
        else:
            groups.setdefault(found.key, []).append(i)
            runs.setdefault(found.key, found)
    size = padded(BATCH * len(jax.local_devices()))
    for key, members in groups.items():
        if key not in _RUNS:
            _RUNS[key] = _make_run(prepared[members[0]], runs[key])
            while len(_RUNS) > MAX_RUNS:
                _RUNS.popitem(last=False)
        _RUNS.move_to_end(key)
        for start in range(0, len(members), size):
            part = members[start : start + size]
            rows = [prepared[i] for i in part] + [prepared[part[0]]] * (size - len(part))
            arrays = [ask_arrays(one) for one in rows]
            made = jax.device_get(
                _RUNS[key](
                    np.stack([one.structure.constants for one in rows]).astype(np.float32),
                    *(np.stack([getattr(a, f) for a in arrays]) for f in ("low", "scale", "truth")),
                )
            )
            for place, i in enumerate(part):
                outcomes[i] = _outcome(prepared[i], *(np.float64(field[place]) for field in made))
    return [outcomes[i] for i in range(len(prepared))]


def _outcome(
    prepared: Prepared, cells_AK: Any, prior_AK: Any, sides_A3: Any, log_evidence: Any
) -> Outcome:
    if not float(log_evidence) > 0.5 * IMPOSSIBLE:
        return Outcome(reason="impossible_evidence", detail="no joint state fits", final=True)
    if not (np.isfinite(cells_AK).all() and np.isfinite(prior_AK).all()):
        detail = "an ask or a given has no finite value in some joint state"
        return Outcome(reason="nonfinite_program", detail=detail, final=True)
    labels = []
    for place, ask in enumerate(prepared.scenario.ask):
        count = answer_count(prepared.scenario, ask)
        inner, prior = (rows[place][1 : count + 1] for rows in (cells_AK, prior_AK))
        truth = prepared.truths[place]
        scale = ask_arrays(prepared)
        answer = (truth - float(scale.low[place])) * float(scale.scale[place]) + 0.5
        known = math.isfinite(truth)
        inside = known and 0 <= math.floor(answer) < count
        posterior = np.maximum(inner, 0.0) / max(inner.sum(), 1e-30)
        prior = np.maximum(prior, 0.0) / max(prior.sum(), 1e-30)
        side = sides_A3[place]
        labels.append(
            SoftLabel(
                ask_id=ask.id,
                kind=ask.kind,
                probs=posterior / posterior.sum(),
                prior_probs=prior / prior.sum(),
                route="numpyro",
                ess=math.inf,
                error=ROUNDING,
                error_101=ROUNDING,
                information=information_gain(posterior, prior, 1e9),
                mass_below=float(cells_AK[place][0]),
                mass_above=float(cells_AK[place][count + 1 :].sum()),
                true_answer=math.floor(answer) if inside else None,
                true_rank=float(side[0] + 0.5 * side[1]) if known else None,
                predicted=ROUNDING,
            )
        )
    return Outcome(labels=tuple(labels))
