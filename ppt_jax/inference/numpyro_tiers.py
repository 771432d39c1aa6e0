"""What the engines ``numpyro``, ``nuts`` and ``eager`` try, cheapest first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ppt_jax.inference.eager import eager_route
from ppt_jax.inference.enumeration import enumeration_route
from ppt_jax.inference.labels import LabelConfig
from ppt_jax.inference.nuts_route import nuts_route
from ppt_jax.inference.routes import Outcome, Prepared, numpyro_route

NUMPYRO_ENGINES = ("numpyro", "nuts", "eager")
DRAWS = (500, 2000)  # of each chain where the configuration does not say
INAPPLICABLE = frozenset({"not_enumerable", "not_sampled"})  # say nothing about the scenario


class Tier(NamedTuple):
    """One attempt: a route at an effort (points of a scramble, draws of a chain, 0 for none)."""

    name: str
    route: Callable[[Sequence[Prepared], int, LabelConfig], list[Outcome]]
    effort: int


def _enumerated(prepared: Sequence[Prepared], _: int, config: LabelConfig) -> list[Outcome]:
    return enumeration_route(prepared, config)


def chain_tiers(draws: Sequence[int]) -> tuple[Tier, ...]:
    """NUTS with so many draws of each chain, in the order they are tried."""
    return tuple(Tier("nuts", nuts_route, count) for count in draws)


def numpyro_tiers(config: LabelConfig) -> tuple[Tier, ...]:
    """The attempts of a NumPyro engine.

    ``numpyro`` enumerates what is all discrete, then weights prior draws, then samples by NUTS;
    ``nuts`` samples only; ``eager`` weights without compilation.

    Raises:
      KeyError: the engine is none of these.
    """
    chains = chain_tiers(config.nuts_draws or DRAWS)
    weighted = tuple(Tier("numpyro", numpyro_route, points) for points in config.points)
    return {
        "numpyro": (Tier("enumeration", _enumerated, 0), *weighted, *chains),
        "nuts": chains,
        "eager": tuple(Tier("eager", eager_route, points) for points in config.points),
    }[config.engine]
