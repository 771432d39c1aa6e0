r"""Labels of a story with several programs: the average of the programs' labels.

A story may be told by more than one program (`Scenario.alternatives`). Each is labelled by itself,
as a scenario of its own, and the label is ``sum_i w_i p_i``:

- ``equal``: ``w_i = 1 / n``. The label carries the doubt about how the story is to be read.
- ``evidence``: ``w_i`` proportional to the marginal likelihood ``P(given | program i)``, Bayesian
  model averaging with equal prior odds. The weights mean something only where all programs give a
  probability to the *same data*: as many givens, and the same values of continuous readings in the
  same units (a density changes with the unit; probabilities of discrete outcomes and of facts do
  not). Where that does not hold, or an evidence is too uncertain, the weights are equal, and the
  labelled scenario says why.

Errors: total variation is convex, so the average's is at most ``sum_i w_i e_i``; uncertain weights
add ``sum_i se(w_i) TV(p_i, mean) / 2``.

Source: Hoeting, Madigan, Raftery, Volinsky (1999), Bayesian model averaging: a tutorial.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ppt_jax.inference.labels import SoftLabel, information_gain, total_variation
from ppt_jax.inference.posterior import PosteriorError, posterior
from ppt_jax.scenario.document import Scenario, observed_draw
from ppt_jax.scenario.expression import Binary, Draw, Number, Unary

if TYPE_CHECKING:
    from ppt_jax.scenario.expression import Expr

Array = NDArray[np.float64]

MAX_EVIDENCE_ERROR = 0.2  # nats; beyond it an evidence is too uncertain to weigh by
EVIDENCE_DRAWS = 1 << 18
PRIOR_PARTICLES = 8192.0  # behind the priors of labels that are not exact
_DISCRETE = frozenset({"count", "successes", "yes", "pick"})


def programs_of(scenario: Scenario) -> tuple[Scenario, ...]:
    """A scenario's own program and its alternatives, each as a scenario with an id of its own.

    Only the first one keeps the stored truth: it is the one that drew it.

    Example:
      >>> [one.id for one in programs_of(scenario)]  # doctest: +SKIP
      ['kiln-1', 'kiln-1+1', 'kiln-1+2']
    """
    own = dataclasses.replace(scenario, alternatives=())
    others = (
        dataclasses.replace(one, id=f"{scenario.id}+{number}")
        for number, one in enumerate(scenario.alternatives, start=1)
    )
    return (own, *others)


def comparable(programs: Sequence[Scenario]) -> str:
    """Why marginal likelihoods of programs cannot be compared; empty where they can."""
    counts = {len(program.given) for program in programs}
    if len(counts) > 1:
        return f"the programs take between {min(counts)} and {max(counts)} observations"
    if len({_readings(program) for program in programs}) > 1:
        return "the programs read other values, or in other units"
    return ""


def _readings(scenario: Scenario) -> tuple[tuple[float, str], ...]:
    """Values and units of the continuous draws that are observed, in order of size."""
    found = []
    for given in scenario.given:
        seen = observed_draw(scenario, given.formula)
        if seen is None:
            continue
        node, _, value = seen
        if isinstance(node.formula, Draw) and node.formula.family not in _DISCRETE:
            found.append((float(f"{_constant(value):.9g}"), " ".join(node.unit.split())))
    return tuple(sorted(found))


def _constant(value: Expr) -> float:
    match value:
        case Number(value=number):
            return number
        case Unary(op="-", operand=operand):
            return -_constant(operand)
        case Binary(op="+", left=left, right=right):
            return _constant(left) + _constant(right)
        case Binary(op="-", left=left, right=right):
            return _constant(left) - _constant(right)
        case Binary(op="*", left=left, right=right):
            return _constant(left) * _constant(right)
        case Binary(op="/", left=left, right=right) if _constant(right) != 0:
            return _constant(left) / _constant(right)
    return math.nan


@dataclasses.dataclass(frozen=True, eq=False)
class Weights:
    """Weights of the programs of a story.

    Attributes:
      weights_I: one a program, of sum one.
      errors_I: their standard errors.
      by: ``equal`` or ``evidence``.
      why: where evidence was wished for and the weights are equal.
      log_evidence: of each program in nats, where it was computed; ``-inf`` where it rules the
        observations out.
    """

    weights_I: Array
    errors_I: Array
    by: str
    why: str = ""
    log_evidence: tuple[float, ...] = ()


def program_weights(programs: Sequence[Scenario], by: str, seed: int) -> Weights:
    """The weights of programs of one story.

    Args:
      programs: from `programs_of`.
      by: ``equal`` or ``evidence``.
      seed: of the prior draws behind evidences that are not exact.
    """
    count = len(programs)
    equal = np.full(count, 1.0 / count)
    none = np.zeros(count)
    if by == "equal":
        return Weights(equal, none, "equal")
    why = comparable(programs)
    if why:
        return Weights(equal, none, "equal", why)
    logs, errors = np.empty(count), np.zeros(count)
    for place, program in enumerate(programs):
        digest = hashlib.sha256(f"evidence/{seed}/{program.id}".encode()).digest()
        rng = np.random.default_rng(np.frombuffer(digest[:16], np.uint32))
        try:
            found = posterior(program, rng, min_ess=4000.0, most=EVIDENCE_DRAWS)
        except PosteriorError as error:
            if error.reason != "impossible_evidence":
                return Weights(equal, none, "equal", f"{program.id}: {error}")
            logs[place] = -math.inf
            continue
        logs[place], errors[place] = found.log_evidence, found.log_evidence_error
    rounded = tuple(round(float(value), 6) for value in logs)
    if not (logs > -math.inf).any():
        return Weights(equal, none, "equal", "no program allows the observations", rounded)
    if errors.max() > MAX_EVIDENCE_ERROR:
        why = f"an evidence is known to within {errors.max():.2f} nats only"
        return Weights(equal, none, "equal", why, rounded)
    w_I = np.exp(logs - logs.max())
    w_I /= w_I.sum()
    return Weights(w_I, w_I * (1.0 - w_I) * errors, "evidence", "", rounded)


def average_labels(
    programs: Sequence[Scenario], labels: Sequence[Sequence[SoftLabel]], weights: Weights
) -> tuple[SoftLabel, ...]:
    """The labels of a story from those of its programs.

    Args:
      programs: documents with the same asks; options may stand in another order.
      labels: per program one label an ask.
      weights: of the programs.

    Returns:
      One label an ask, route ``average``. `true_answer` is that of the first program; `true_rank`
      is None, since an average is not the posterior of the program that drew the truth and tests no
      inference.
    """
    made = []
    for place, ask in enumerate(programs[0].ask):
        parts = [
            _in_order(of_program[place], ask.options, program.ask[place].options)
            for of_program, program in zip(labels, programs, strict=True)
        ]
        made.append(_average(parts, weights))
    return tuple(made)


def _in_order(label: SoftLabel, wanted: Sequence[str], own: Sequence[str]) -> SoftLabel:
    if tuple(wanted) == tuple(own):
        return label
    order = [own.index(option) for option in wanted]
    return dataclasses.replace(
        label, probs=label.probs[order], prior_probs=label.prior_probs[order]
    )


def _average(parts: Sequence[SoftLabel], weights: Weights) -> SoftLabel:
    w_I = weights.weights_I
    used = [(w, part) for w, part in zip(w_I, parts, strict=True) if w > 0]

    def mean(field: str) -> float:
        return float(sum(w * getattr(part, field) for w, part in used))

    probs = np.asarray(sum(w * part.probs for w, part in used), np.float64)
    prior = np.mean([part.prior_probs for part in parts], axis=0)  # before the evidence
    doubt = 0.5 * sum(
        float(se) * total_variation(part.probs, probs)
        for se, part in zip(weights.errors_I, parts, strict=True)
    )
    exact = all(math.isinf(part.ess) for part in parts)
    return dataclasses.replace(
        parts[0],
        probs=probs,
        prior_probs=prior,
        route="average",
        ess=min(part.ess for _, part in used),
        error=mean("error") + doubt,
        error_101=mean("error_101") + doubt,
        information=information_gain(probs, prior, 1e9 if exact else PRIOR_PARTICLES),
        mass_below=mean("mass_below"),
        mass_above=mean("mass_above"),
        true_rank=None,
        predicted=mean("predicted"),
        disagreement=max(part.disagreement for _, part in used),
        mixing=max(part.mixing for _, part in used),
    )


def weights_row(weights: Weights, refused: Mapping[str, str]) -> dict[str, Any]:
    """What a labelled row says of its programs, as JSON types.

    Args:
      weights: of the programs that were averaged.
      refused: programs that have no label, by id, with the reason.
    """
    evidence = [None if value == -math.inf else value for value in weights.log_evidence]
    return {
        "by": weights.by,
        "why": weights.why,
        "weights": [round(float(w), 8) for w in weights.weights_I],
        "log_evidence": evidence,
        "refused": dict(refused),
    }
