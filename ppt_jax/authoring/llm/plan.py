"""Stage 0: plans. A quota table crosses motif, knobs, domain, voice, genre and level of telling.

No model is asked. Every column of the table has each of its values equally often, give or take
one, in an order of its own; so the corpus is varied by construction, whatever a model would fall
back on.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from ppt_jax.authoring.genres import find_genres
from ppt_jax.authoring.llm import seeds
from ppt_jax.authoring.llm.config import LLMAuthorConfig
from ppt_jax.authoring.motif import Motif
from ppt_jax.authoring.splits import SPLITS

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class StoryPlan:
    """What is decided before a model is asked.

    Attributes:
      id: of the scenario.
      split: the split it is for.
      motif, family: name and family of the generative structure.
      idea: the structure in a sentence.
      domain, persona, genre, twist, told, difficulty: see `ppt_jax.authoring.llm.seeds`.
      entities, observations, asides: how many of each.
      key: integers that seed everything random about it.
      number: its place in the split.
      attempt: how many plans were tried for that place before.
    """

    id: str
    split: str
    motif: str
    family: str
    idea: str
    domain: str
    persona: str
    genre: str
    twist: str
    told: str
    difficulty: str
    entities: int
    observations: int
    asides: int
    key: tuple[int, ...]
    number: int
    attempt: int = 0

    @property
    def sample(self) -> int:
        """A sample index that no other plan of the corpus has, with room for retries behind it."""
        place = SPLITS.index(self.split) * 1_000_000 + self.number
        return (place * 100 + self.attempt) * 1000

    def generator(self, purpose: str) -> np.random.Generator:
        """The plan's own randomness for one purpose."""
        return np.random.default_rng([*self.key, zlib.crc32(purpose.encode())])

    def as_json(self) -> dict[str, Any]:
        """What provenance says of the plan."""
        names = ("domain", "persona", "genre", "twist", "told", "difficulty")
        counts = ("entities", "observations", "asides", "attempt")
        return {name: getattr(self, name) for name in (*names, *counts)}


def even_column(values: Sequence[T], rows: int, rng: np.random.Generator) -> list[T]:
    """Each value equally often (give or take one), shuffled within rounds.

    Example:
      >>> sorted(even_column(["a", "b"], 5, np.random.default_rng(0))).count("a") in (2, 3)
      True
    """
    column: list[T] = []
    while len(column) < rows:
        column += [values[int(i)] for i in rng.permutation(len(values))]
    return column[:rows]


def plan_split(config: LLMAuthorConfig, split: str) -> list[StoryPlan]:
    """The quota table of a split, a plan a row.

    Args:
      config: sizes and what to cross.
      split: one of `ppt_jax.authoring.splits.SPLITS`.

    Returns:
      First attempts, in the order of their numbers; empty where the split has no motifs.
    """
    motifs = config.split_plan().motifs[split]
    rows = config.size(split) if motifs else 0
    if not rows:
        return []
    code = zlib.crc32(split.encode())

    def column(name: str, values: Sequence[T]) -> list[T]:
        seed = [config.seed, code, zlib.crc32(name.encode())]
        return even_column(values, rows, np.random.default_rng(seed))

    def counts(name: str) -> list[int]:
        low, high = getattr(config, name)
        return column(name, range(low, high + 1))

    columns = zip(
        column("motif", motifs),
        column("domain", _chosen(config.domains, seeds.DOMAINS)),
        column("persona", _chosen(config.personas, seeds.PERSONAS)),
        column("genre", find_genres(config.genres)),
        column("twist", seeds.TWISTS),
        column("told", config.told),
        column("difficulty", config.difficulties),
        counts("entities"),
        counts("observations"),
        counts("asides"),
        strict=True,
    )
    plans = []
    for number, (motif, domain, persona, genre, twist, told, difficulty, *numbers) in enumerate(
        columns
    ):
        entities, observations, asides = numbers
        plans.append(
            StoryPlan(
                id=f"{split}-llm-{number:05d}",
                split=split,
                motif=motif.name,
                family=motif.family,
                idea=idea_of(motif),
                domain=domain,
                persona=persona,
                genre=genre,
                twist=twist,
                told=told,
                difficulty=difficulty,
                entities=entities,
                observations=observations,
                asides=asides,
                key=(config.seed, code, number, 0),
                number=number,
            )
        )
    return plans


def _chosen(names: str | tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    return known if isinstance(names, str) else names


def idea_of(motif: Motif) -> str:
    """The motif in a sentence: the first line of its builder's docstring."""
    text = (motif.build.__doc__ or motif.name.replace("_", " ")).strip()
    return text.splitlines()[0]


def next_attempt(plan: StoryPlan, config: LLMAuthorConfig) -> StoryPlan:
    """The plan to try when this one led nowhere: the same quotas, another place and voice.

    Args:
      plan: the one that failed.
      config: where domains and personas come from.
    """
    attempt = plan.attempt + 1
    key = (*plan.key[:-1], attempt)
    rng = np.random.default_rng([*key, 1])
    domains = _chosen(config.domains, seeds.DOMAINS)
    personas = _chosen(config.personas, seeds.PERSONAS)
    return dataclasses.replace(
        plan,
        domain=domains[int(rng.integers(len(domains)))],
        persona=personas[int(rng.integers(len(personas)))],
        key=key,
        attempt=attempt,
    )
