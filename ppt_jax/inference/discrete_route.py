"""The exact route of programs whose latents are all finite and discrete.

Few joint states are written out one by one (`routes.exact_route`); otherwise the program becomes a
factor graph and all but the asked variables are summed out. Both give the same labels, error 0.
"""

from __future__ import annotations

import numpy as np

from ppt_jax.inference import exact, factored
from ppt_jax.inference.elimination import MAX_COST, TooWideError
from ppt_jax.inference.labels import SoftLabel
from ppt_jax.inference.routes import Outcome, Prepared, exact_route, nonfinite

ENUMERATE_CELLS = 1 << 14  # nodes times joint states; up to here writing them out is faster


def discrete_route(prepared: Prepared, max_cost: int = MAX_COST) -> Outcome:
    """Exact labels of a discrete program.

    Args:
      prepared: the scenario.
      max_cost: table entries that one elimination, or all tables of the program, may take.

    Returns:
      Labels with error 0, or the reason: ``not_enumerable`` says what stood in the way,
      ``impossible_evidence`` and ``nonfinite_program`` are final.
    """
    program = prepared.program
    reason = factored.obstacle(program)
    if reason:
        return Outcome(reason="not_enumerable", detail=reason, final=True)
    size = exact.joint_size(program)
    if size is not None and size * len(program.nodes) <= min(ENUMERATE_CELLS, max_cost):
        return exact_route(prepared)
    try:
        return elimination_route(prepared, max_cost)
    except (factored.NotEnumerableError, TooWideError) as error:
        return Outcome(reason="not_enumerable", detail=str(error), final=True)


def elimination_route(prepared: Prepared, max_cost: int = MAX_COST) -> Outcome:
    """Exact labels by variable elimination.

    Raises:
      NotEnumerableError, TooWideError: a table would be too large.
    """
    program, scenario = prepared.program, prepared.scenario
    model = factored.factorise(program, max_cells=min(max_cost, factored.MAX_CELLS))
    seen = {v for factor in [*model.givens, *map(_factor, model.asks)] for v in factor.scope}
    place = factored.broken(model, [*model.givens, *factored.upstream(model, seen)])
    if place is not None:
        known = place < len(model.givens)
        return nonfinite(prepared, program.loglik[place] if known else None)
    drawn = {v for value in model.ask_priors for v in value.scope}
    if factored.broken(model, factored.upstream(model, drawn)) is not None:
        return nonfinite(prepared, None)
    posterior = factored.marginals(model, model.asks, model.givens, max_cost)
    if posterior is None:
        return Outcome(reason="impossible_evidence", detail="no joint state fits", final=True)
    prior = factored.marginals(model, model.ask_priors, (), max_cost)
    assert prior is not None
    labels: list[SoftLabel] = []
    for number, ask in enumerate(scenario.ask):
        value, w = model.asks[number].array.reshape(-1), posterior[number].reshape(-1)
        drawn_value, q = model.ask_priors[number].array.reshape(-1), prior[number].reshape(-1)
        if not np.isfinite(value[w > 0]).all():
            return nonfinite(prepared, program.asks[number])
        if ask.kind == "rank" and not np.isfinite(drawn_value[q > 0]).all():
            return nonfinite(prepared, program.ask_priors[number])
        possible = (q > 0) & np.isfinite(drawn_value)
        labels.append(
            exact.state_label(
                scenario,
                number,
                value[w > 0],
                drawn_value[possible],
                w[w > 0],
                q[possible],
                prepared.truths[number],
            )
        )
    return Outcome(labels=tuple(labels))


def _factor(value: factored.Value) -> factored.Factor:
    return factored.Factor(value.scope, value.array)
