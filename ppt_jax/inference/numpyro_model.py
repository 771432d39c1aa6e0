"""Scenario document -> NumPyro model: the model of record.

The model is interpreted from the document itself, site by site and by the names people know
(``power[Juno]``), not from the flat program, so that the two lowerings check each other.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from ppt_jax.inference.signature import Structure, structure_of
from ppt_jax.scenario import expression as ex
from ppt_jax.scenario.document import Scenario, flat_name, observed_draw

Value = Any  # a scalar jax.Array or a Python number

_BINARY: dict[str, Callable[[Value, Value], Value]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: jnp.divide(a, b),
    "**": lambda a, b: jnp.power(jnp.asarray(a, float), b),
}
_COMPARE: dict[str, Callable[[Value, Value], Value]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}
_CALL: dict[str, Callable[..., Value]] = {
    "exp": jnp.exp,
    "log": jnp.log,
    "sqrt": jnp.sqrt,
    "abs": jnp.abs,
    "sigmoid": jax.nn.sigmoid,
    "round": jnp.round,
    "clip": lambda x, low, high: jnp.minimum(jnp.maximum(x, low), high),
}


def distribution(family: str, args: Mapping[str, Value], members: int) -> dist.Distribution:
    """The NumPyro distribution of a draw; `members` is the size of a pick's set."""
    match family:
        case "normal":
            return dist.Normal(args["mean"], args["sd"])
        case "lognormal":
            return dist.LogNormal(jnp.log(args["median"]), args["spread"])
        case "gamma":
            return dist.Gamma(args["shape"], rate=args["shape"] / args["mean"])
        case "beta":
            return dist.Beta(args["a"], args["b"])
        case "share":
            mean, strength = args["mean"], args["strength"]
            return dist.Beta(mean * strength, (1.0 - mean) * strength)
        case "uniform":
            return dist.Uniform(args["low"], args["high"])
        case "wait":
            return dist.Exponential(1.0 / args["mean"])
        case "robust":
            return dist.StudentT(args["df"], args["mean"], args["sd"])
        case "count":
            return dist.Poisson(args["rate"])
        case "successes":
            n = args["n"] if isinstance(args["n"], int) else jnp.asarray(args["n"], jnp.int32)
            return dist.Binomial(n, probs=args["p"])
        case "yes":
            return dist.Bernoulli(probs=args["p"])
        case "pick":
            weights = jnp.asarray(args.get("weights", jnp.ones(members)), float)
            return dist.Categorical(probs=weights / weights.sum(axis=-1, keepdims=True))
    raise ValueError(f"unknown family {family!r}")


IMPOSSIBLE = -1e30  # log of a violated hard fact in a `Form`: finite, for gradients of sums


@dataclasses.dataclass(frozen=True)
class Form:
    """How a gradient-based sampler wants a model's draws; the distribution is the same.

    Attributes:
      alive: flat names of the draws that some given or ask depends on; the others are left out.
      standard: flat names of the draws that are sampled as their family's standard variate and
        mapped (``mean + sd * b``): without the funnels of hierarchical programs, and with a
        support that does not move. The site then holds the standard variate.
      trials: flat name -> number of trials of the latent ``successes``, which has to be known
        before the run for their states to be listed.
    """

    alive: frozenset[str]
    standard: frozenset[str] = frozenset()
    trials: Mapping[str, int] = dataclasses.field(default_factory=dict)


def standardised(
    family: str, args: Mapping[str, Value]
) -> tuple[dist.Distribution, Callable[[Value], Value]] | None:
    """A family as a map of a variate whose place, spread and support do not depend on others."""
    match family:
        case "normal":
            return dist.Normal(0.0, 1.0), lambda b: args["mean"] + args["sd"] * b
        case "lognormal":
            return dist.Normal(0.0, 1.0), lambda b: args["median"] * jnp.exp(args["spread"] * b)
        case "gamma":
            shape = args["shape"]
            return dist.Gamma(shape, 1.0), lambda b: args["mean"] / shape * b
        case "uniform":
            low, high = args["low"], args["high"]
            return dist.Uniform(0.0, 1.0), lambda b: low + (high - low) * b
        case "wait":
            return dist.Exponential(1.0), lambda b: args["mean"] * b
        case "robust":
            return dist.StudentT(args["df"], 0.0, 1.0), lambda b: args["mean"] + args["sd"] * b
    return None


class _Run:
    """One execution of a document's model.

    Every operation broadcasts, so that values may carry the axes of enumerated draws.
    """

    def __init__(
        self,
        scenario: Scenario,
        structure: Structure,
        constants: Value | None,
        form: Form | None = None,
    ) -> None:
        self.form = form
        self.scenario = scenario
        self.structure = structure
        known = structure.constants if constants is None else constants
        dtype = jnp.result_type(float)
        known_now = isinstance(known, np.ndarray)  # then no operation is spent on reading one
        self.constants = known.astype(dtype) if known_now else jnp.asarray(known, dtype)
        self.members = {named.name: named.members for named in scenario.sets}
        self.nodes = {node.name: node for node in scenario.model}
        self.values: dict[str, Value] = {}
        self.formula = 0
        self.here: dict[str, int] = {}

    def hole(self, at: int) -> Value:
        return self.constants[self.structure.slots[self.formula, at]]

    def value(self, e: ex.Expr, at: Mapping[str, int], beside: ex.Expr | None = None) -> Value:
        def of(part: ex.Expr) -> Value:
            return self.value(part, at)

        match e:
            case ex.Number():
                return self.hole(e.at)
            case ex.Name():
                return float(at[e.name]) if e.name in at else self.values[e.name]
            case ex.Label():
                return float(self.members[self.set_of(beside)].index(e.text))
            case ex.Index():
                return self.element(e, at)
            case ex.Unary(op="-", operand=ex.Number()):
                return self.hole(e.at)
            case ex.Unary():
                return -of(e.operand) if e.op == "-" else 1.0 - self.flag(of(e.operand))
            case ex.Binary():
                return _BINARY[e.op](of(e.left), of(e.right))
            case ex.Compare():
                left, right = self.value(e.left, at, e.right), self.value(e.right, at, e.left)
                return self.flag(_COMPARE[e.op](left, right))
            case ex.Logic():
                flags = [self.flag(of(part)) for part in e.operands]
                return functools.reduce(jnp.minimum if e.op == "and" else jnp.maximum, flags)
            case ex.IfElse():
                return jnp.where(self.flag(of(e.test)) != 0, of(e.then), of(e.orelse))
            case ex.Call(function="min"):
                return functools.reduce(jnp.minimum, [jnp.asarray(of(a), float) for a in e.args])
            case ex.Call(function="max"):
                return functools.reduce(jnp.maximum, [jnp.asarray(of(a), float) for a in e.args])
            case ex.Call():
                return _CALL[e.function](*(jnp.asarray(of(a), float) for a in e.args))
            case ex.Reduce():
                count = len(self.members[e.set])
                parts = [self.value(e.body, {**at, e.set: k}) for k in range(count)]
                total = sum(parts)
                return total / count if e.function == "average" else total
            case ex.Prev():
                return self.previous(e, at)
        raise ValueError(f"{type(e).__name__} cannot stand here")

    def flag(self, x: Value) -> Value:
        return jnp.where(jnp.asarray(x) != 0, 1.0, 0.0)

    def set_of(self, e: ex.Expr | None) -> str:
        name = getattr(e, "name", "")
        if name in self.members:
            return str(name)
        return str(getattr(self.nodes[name].formula, "set", ""))

    def previous(self, e: ex.Prev, at: Mapping[str, int]) -> Value:
        along = list(self.here)[-1]
        if self.here[along] == 0:
            return self.value(e.first, at, e)
        place = {**self.here, along: self.here[along] - 1}
        per = self.nodes[e.name].per
        return self.values[flat_name(e.name, tuple(self.members[s][place[s]] for s in per))]

    def element(self, e: ex.Index, at: Mapping[str, int]) -> Value:
        """An element; an index that is a pick draw chooses among the elements it may mean."""
        axes: list[list[tuple[str, Value | None]]] = []
        for index, over in zip(e.indices, self.nodes[e.name].per):
            members = self.members[over]
            if isinstance(index, ex.Label):
                axes.append([(index.text, None)])
            elif isinstance(index, ex.Name) and index.name in at:
                axes.append([(members[at[index.name]], None)])
            else:
                drawn = self.value(index, at)
                axes.append([(name, jnp.asarray(drawn == k)) for k, name in enumerate(members)])
        chosen: Value = None
        for places in itertools.product(*axes):
            found = self.values[flat_name(e.name, tuple(name for name, _ in places))]
            tests = [test for _, test in places if test is not None]
            if chosen is None:
                chosen = found
            else:
                chosen = jnp.where(functools.reduce(jnp.logical_and, tests), found, chosen)
        return chosen

    def draw(self, flat: str, draw: ex.Draw, observed: Mapping[str, Value]) -> Value:
        form, seen = self.form, observed.get(flat)
        if form is not None and seen is None and flat not in form.alive:
            return 1.0  # nothing that counts depends on it
        args: dict[str, Value] = {}
        for name, e in draw.args:
            if isinstance(e, ex.Listing):
                parts = [jnp.asarray(self.value(item, self.here), float) for item in e.items]
                args[name] = jnp.stack(jnp.broadcast_arrays(*parts), axis=-1)
            else:
                args[name] = self.value(e, self.here)
        if form is not None and seen is None:
            if flat in form.trials:
                args["n"] = form.trials[flat]
            mapped = standardised(draw.family, args) if flat in form.standard else None
            if mapped is not None:
                return mapped[1](numpyro.sample(flat, mapped[0]))
        made = distribution(draw.family, args, len(self.members.get(draw.set or "", ())))
        if seen is not None:  # a jax array even where known: NumPyro compares it with traced bounds
            seen = jnp.asarray(seen, jnp.int32 if made.is_discrete else float)
        drawn = numpyro.sample(flat, made, obs=seen)
        return jnp.asarray(drawn, float)

    def observed(self) -> dict[str, Value]:
        """Flat name -> seen value of each observed draw; the first given of a draw counts."""
        seen: dict[str, Value] = {}
        for number, given in enumerate(self.scenario.given):
            self.formula = len(self.scenario.model) + number
            found = observed_draw(self.scenario, given.formula)
            if found is None:
                continue
            node, labels, e = found
            flat = flat_name(node.name, labels)
            value = self.hole(e.at) if isinstance(e, ex.Label) else self.value(e, {})
            if flat not in seen:
                seen[flat] = value
                self.told.add(number)
        return seen

    told: set[int]

    def run(self, observe: bool) -> list[Value]:
        """Executes the model's sites, the givens (when observing) and the asks."""
        self.told = set()
        seen = self.observed() if observe else {}
        for number, node in enumerate(self.scenario.model):
            self.formula = number
            for places in itertools.product(*(range(len(self.members[s])) for s in node.per)):
                self.here = dict(zip(node.per, places))
                labels = tuple(self.members[s][p] for s, p in self.here.items())
                flat = flat_name(node.name, labels)
                if isinstance(node.formula, ex.Draw):
                    self.values[flat] = self.draw(flat, node.formula, seen)
                else:
                    value = self.value(node.formula, self.here)
                    self.values[flat] = numpyro.deterministic(flat, jnp.asarray(value, float))
        if observe:
            self.givens()
        asked = []
        for number, ask in enumerate(self.scenario.ask):
            self.formula = len(self.scenario.model) + len(self.scenario.given) + number
            value = jnp.asarray(self.value(ask.formula, {}), float)
            asked.append(numpyro.deterministic(f"ask:{ask.id}", value))
        return asked

    def givens(self) -> None:
        for number, given in enumerate(self.scenario.given):
            self.formula = len(self.scenario.model) + number
            e = given.formula
            if number in self.told:
                continue
            if isinstance(e, ex.Beats):
                left, right, noise = (self.value(part, {}) for part in ex.children(e))
                loglik = jax.nn.log_sigmoid(jnp.asarray((left - right) / noise, float))
            else:
                no = -jnp.inf if self.form is None else IMPOSSIBLE
                loglik = jnp.where(self.flag(self.value(e, {})) != 0, 0.0, no)
            numpyro.factor(f"given:{number}", loglik)


def numpyro_model(scenario: Scenario, form: Form | None = None) -> Callable[..., list[Value]]:
    """The NumPyro model of a document.

    Args:
      scenario: a checked document.
      form: how a sampler wants the draws; None for the model of record as it is read.

    Returns:
      ``model(constants=None, observe=True)``: sample sites are the draws by flat name, observed
      where a given says so; lets and ``ask:<id>`` are deterministic sites; soft comparisons and
      hard facts are factors ``given:<index>``. ``constants`` ([C], see `Structure`) replaces the
      document's numbers, which makes one traced model serve all scenarios of a signature. With
      ``observe=False`` every draw is drawn and no given counts. It returns the asks' values.

    Example:
      >>> from numpyro.infer import Predictive
      >>> Predictive(numpyro_model(scenario), num_samples=10)(key)  # doctest: +SKIP
    """
    structure = structure_of(scenario)

    def model(constants: Value | None = None, observe: bool = True) -> list[Value]:
        return _Run(scenario, structure, constants, form).run(observe)

    return model
