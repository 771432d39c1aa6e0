"""NumPyro's NUTS for all scenarios of one structure: one compiled run, discrete draws summed out.

Each scenario gets several chains, which start at prior draws. A lane is one chain of one scenario;
lanes run one after the other on a CPU (side by side the slowest would set the pace of all) and side
by side on a GPU or TPU, spread over all local devices. Draws whose parameters no enumerated draw
moves are sampled as standard variates (`numpyro_model.Form`); the others keep their own density,
so that an enumerated draw touches as few factors as possible.

Axes: A asks, N draws of a chain, L continuous latents.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpyro import handlers
from numpyro.contrib.funsor import config_enumerate, enum, infer_discrete
from numpyro.contrib.funsor import log_density as enumerated_log_density
from numpyro.distributions import biject_to
from numpyro.infer.hmc import hmc
from numpyro.infer.util import log_density

from ppt_jax.inference.graph import reachable
from ppt_jax.inference.numpyro_model import IMPOSSIBLE, Form, numpyro_model
from ppt_jax.inference.program import lower
from ppt_jax.inference.signature import Structure
from ppt_jax.scenario.document import Scenario, flat_name

DISCRETE = ("yes", "pick", "successes", "count")
STARTS = 16  # prior draws of which a chain starts at the first possible one


@dataclasses.dataclass(frozen=True)
class NutsConfig:
    """How chains run, and which chains are believed.

    Attributes:
      chains: of each scenario; a label of fewer than four is never made.
      warmup: iterations that adapt the step size and the (dense) mass matrix.
      max_tree_depth: at most ``2**depth - 1`` leapfrog steps an iteration.
      target_accept: acceptance that the step size aims at.
      max_rhat: greatest rank-normalised split R-hat of any continuous latent and any ask.
      max_divergent: greatest share of divergent draws.
      max_discrete: discrete draws that are summed out at most; each is an axis of its own to the
        compiler, whose time grows with them.
    """

    chains: int = 8
    warmup: int = 400
    max_tree_depth: int = 7
    target_accept: float = 0.85
    max_rhat: float = 1.01
    max_divergent: float = 0.002
    max_discrete: int = 24

    def __post_init__(self) -> None:
        if self.chains < 4:
            raise ValueError(f"{self.chains} chains cannot show whether they agree; take 4 or more")


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """What a scenario needs for NUTS.

    Attributes:
      form: the draws that the givens depend on, and how they are sampled.
      full: these and the draws that only asks depend on, which are drawn forward afterwards.
      key: of the compiled run that scenarios share: structure, live draws, numbers of trials.
      latents: flat names of the sampled (continuous) draws in the order of the document.
      discrete_asks: whether some ask depends on a draw that is summed out.
    """

    form: Form
    full: Form
    key: tuple[Any, ...]
    latents: tuple[str, ...]
    discrete_asks: bool


def plan(scenario: Scenario, structure: Structure, config: NutsConfig) -> Plan | str:
    """Reads off a document whether NUTS can sample it and how.

    Returns:
      The plan, or the reason why not: no continuous latent, a hard fact about one, a discrete
      latent without a finite list of states.
    """
    program = lower(scenario)
    nodes = program.nodes
    live = reachable(nodes, [*program.asks, *program.loglik])
    drawn = {n: program.latents[int(nodes[n].value)] for n in live if nodes[n].op[:5] == "draw:"}
    informed = reachable(nodes, program.loglik)
    flat = {n: name for n, name in drawn.items() if n in informed}
    family = {n: nodes[n].op[5:] for n in drawn}
    discrete = [n for n in flat if family[n] in DISCRETE]
    if len(discrete) == len(flat):
        return "no continuous latent: enumeration is exact"
    if len(discrete) > config.max_discrete:
        return f"{len(discrete)} discrete draws to sum out, at most {config.max_discrete}"
    trials: dict[str, int] = {}
    for n in discrete:
        if family[n] == "count":
            return f"{flat[n]} is a count without a greatest value, which cannot be summed out"
        if family[n] == "successes":
            count = nodes[nodes[n].args[0]]
            if count.op != "const" or not 0 <= count.value <= 1000:
                return f"{flat[n]} has no fixed number of trials to sum over"
            trials[flat[n]] = int(count.value)
    # axes: which nodes change with an enumerated draw; a continuous draw whose parameters do is
    # sampled by its own density, and so keeps these axes to itself
    axes: dict[int, bool] = {}
    standard: set[str] = set()
    for n in sorted(live):
        moved = any(axes[arg] for arg in nodes[n].args)
        if n not in flat:  # no draw, or one that is drawn forward
            axes[n] = moved
        elif family[n] in DISCRETE:
            axes[n] = True
        else:
            axes[n] = moved and family[n] == "uniform"  # its support may not move
            if not moved or family[n] == "uniform":
                standard.add(flat[n])
    continuous = {n for n in flat if family[n] not in DISCRETE}
    for given, root in enumerate(program.loglik):
        if nodes[root].op == "fact" and reachable(nodes, [root]) & continuous:
            that = scenario.given[given].that
            return f"given[{given}] {that!r} is a hard fact about a continuous draw"
    order = {name: place for place, name in enumerate(flat_draws(scenario))}
    key = (
        structure.signature,
        tuple(sorted(order[name] for name in flat.values())),
        tuple(sorted(order[name] for name in drawn.values())),
        tuple(sorted(order[name] for name in standard)),
        tuple(sorted((order[name], count) for name, count in trials.items())),
    )
    latents = tuple(sorted((flat[n] for n in continuous), key=lambda name: order[name]))
    form = Form(frozenset(flat.values()), frozenset(standard), trials)
    full = dataclasses.replace(form, alive=frozenset(drawn.values()))
    return Plan(form, full, key, latents, any(axes[n] for n in program.asks))


def flat_draws(scenario: Scenario) -> list[str]:
    """Flat names of all draws in the order in which the model runs them."""
    return [
        flat_name(node.name, labels)
        for node in scenario.model
        if node.kind == "draw"
        for labels in itertools.product(*(scenario.members(over) for over in node.per))
    ]


class Chain:
    """The pure functions of one structure's run; ``scenario`` is any document that has it."""

    def __init__(self, scenario: Scenario, structure: Structure, plan: Plan) -> None:
        self.plan = plan
        self.model = numpyro_model(scenario, plan.form)
        self.full = numpyro_model(scenario, plan.full)
        self.asks = [f"ask:{ask.id}" for ask in scenario.ask]
        seeded = handlers.seed(self.model, jax.random.key(0))
        trace = handlers.trace(seeded).get_trace(np.asarray(structure.constants, np.float32))
        free = {
            name: site["fn"]
            for name, site in trace.items()
            if site["type"] == "sample" and not site["is_observed"]
        }
        self.sites = plan.latents
        self.transforms = [biject_to(free[name].support) for name in self.sites]
        self.enumerates = len(self.sites) < len(free)

    def constrained(self, u_L: jax.Array) -> tuple[dict[str, jax.Array], jax.Array]:
        """Site values of an unconstrained position, and the log-Jacobian."""
        values, log_jacobian = {}, jnp.float32(0.0)
        for name, transform, u in zip(self.sites, self.transforms, u_L):
            values[name] = transform(u)
            log_jacobian += transform.log_abs_det_jacobian(u, values[name])
        return values, log_jacobian

    def potential(self, u_L: jax.Array, constants: jax.Array) -> jax.Array:
        """``-log p(u, givens)``, nats, enumerated draws summed out."""
        values, log_jacobian = self.constrained(u_L)
        if self.enumerates:
            model = enum(config_enumerate(self.model), first_available_dim=-1)
            total, _ = enumerated_log_density(model, (constants,), {}, values)
        else:
            total, _ = log_density(self.model, (constants,), {}, values)
        return -(total + log_jacobian)

    def start(self, key: jax.Array, constants: jax.Array) -> jax.Array:
        """The first of some prior draws at which the posterior is positive, unconstrained."""

        def one(k: jax.Array) -> tuple[jax.Array, jax.Array]:
            trace = handlers.trace(handlers.seed(self.model, k)).get_trace(constants)
            u_L = jnp.stack(
                [t.inv(trace[name]["value"]) for name, t in zip(self.sites, self.transforms)]
            ).astype(jnp.float32)
            u_L = jnp.clip(u_L, -20.0, 20.0)
            return u_L, self.potential(u_L, constants) < -0.5 * IMPOSSIBLE

        u_KL, possible_K = jax.vmap(one)(jax.random.split(key, STARTS))
        return u_KL[jnp.argmax(possible_K)]

    def sample(
        self, key: jax.Array, constants: jax.Array, draws: int, config: NutsConfig
    ) -> dict[str, jax.Array]:
        """One chain: positions [N, L], ask values [N, A], divergences and leapfrog steps [N]."""
        begin, run, discrete = jax.random.split(key, 3)
        init, step = hmc(functools.partial(self.potential, constants=constants), algo="NUTS")
        state = init(
            self.start(begin, constants),
            config.warmup,
            step_size=0.5,
            dense_mass=True,
            target_accept_prob=config.target_accept,
            trajectory_length=None,
            max_tree_depth=config.max_tree_depth,
            rng_key=run,
        )

        def advance(state: Any, _: None) -> tuple[Any, Any]:
            state = step(state)
            return state, (state.z, state.diverging, state.num_steps)

        _, (u_NL, divergent_N, steps_N) = lax.scan(
            advance, state, None, length=config.warmup + draws
        )
        u_NL = u_NL[config.warmup :]
        keys_N = jax.random.split(discrete, draws)
        asks_NA = jax.vmap(self.ask_values, in_axes=(0, 0, None))(u_NL, keys_N, constants)
        return {
            "u": u_NL,
            "asks": asks_NA,
            "divergent": divergent_N[config.warmup :],
            "steps": steps_N,
        }

    def ask_values(self, u_L: jax.Array, key: jax.Array, constants: jax.Array) -> jax.Array:
        """Values of the asks [A] at a position.

        Enumerated draws that an ask needs are drawn given the position, and then forward what
        only asks depend on.
        """
        values, _ = self.constrained(u_L)
        first, second = jax.random.split(key)
        if self.plan.discrete_asks:
            marked = handlers.substitute(config_enumerate(self.model), data=values)
            chosen = infer_discrete(marked, first_available_dim=-1, temperature=1, rng_key=first)
            trace = handlers.trace(handlers.seed(chosen, first)).get_trace(constants)
            values = values | {
                name: site["value"]
                for name, site in trace.items()
                if site["type"] == "sample" and not site["is_observed"]
            }
        forward = handlers.substitute(self.full, data=values)
        trace = handlers.trace(handlers.seed(forward, second)).get_trace(constants)
        return jnp.stack(
            [jnp.asarray(trace[n]["value"], jnp.float32).reshape(()) for n in self.asks]
        )
