"""From a motif's draft to a whole scenario document: order, asides, genre, spans, ids."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from ppt_jax.authoring.asides import pick_asides
from ppt_jax.authoring.draft import Draft, Knobs
from ppt_jax.authoring.genres import Content, tell
from ppt_jax.authoring.language import refers_back
from ppt_jax.authoring.motif import Motif
from ppt_jax.authoring.mutations import mutated_draft
from ppt_jax.authoring.names import pick_people
from ppt_jax.authoring.sketch import Sketch
from ppt_jax.authoring.skins.skin import Skin
from ppt_jax.scenario.document import Scenario, parse_scenario


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is decided before a motif writes: everything but the chance inside it.

    Attributes:
      id: the scenario's id.
      motif: the motif.
      skin: a skin of the motif's kind.
      genre: a key of `GENRES`.
      asides: number of irrelevant sentences.
      knobs: structure, wording and length ranges.
      split: the split it is for.
      key: the integers that seed the scenario's generator, stored as provenance.
      mutations: names of `mutations.MUTATIONS` to apply where the motif has a place for them.
    """

    id: str
    motif: Motif
    skin: Skin
    genre: str
    asides: int
    knobs: Knobs
    split: str
    key: tuple[int, ...]
    mutations: tuple[str, ...] = ()

    def generator(self) -> np.random.Generator:
        """The scenario's own generator, from `key` alone."""
        return np.random.default_rng(np.random.SeedSequence(self.key))


@dataclasses.dataclass(frozen=True)
class Written:
    """A scenario with all its candidate asks, and prior samples of its observed draws."""

    scenario: Scenario
    prior: dict[str, np.ndarray]


def write_scenario(plan: Plan) -> Written:
    """Builds, simulates and tells one scenario.

    Args:
      plan: what to write; the result depends on nothing else.

    Returns:
      The parsed scenario; its asks are candidates, in random order, numbered q1, q2, ...

    Raises:
      ScenarioError: the document is unsound (a bug of the motif; the author counts it).
    """
    rng = plan.generator()
    draft, mutated = _draft(plan, rng)
    content = " ".join((*draft.setting, *draft.rules, *draft.events, plan.skin.domain))
    asides = pick_asides(rng, plan.asides, content)
    story = tell(plan.genre, _arrange(draft, asides, plan.skin.domain, rng), rng)
    asks = [draft.ask[int(i)] for i in rng.permutation(len(draft.ask))]
    document = {
        "schema": "scenario/1",
        "id": plan.id,
        "motif": plan.motif.name,
        "domain": plan.skin.domain,
        "story": story,
        "asides": [*asides, *(_fitted(text, story) for text in draft.declared)],
        "sets": list(draft.sets),
        "model": _with_spans(draft.model, story),
        "given": _with_spans(draft.given, story),
        "ask": [{"id": f"q{number}", **ask} for number, ask in enumerate(asks, start=1)],
        "family": plan.motif.family,
        "skin": plan.skin.name,
        "genre": plan.genre,
        "told": draft.told,
        "split": plan.split,
        "evidence": "simulated",
        "truth": draft.truth,
        "provenance": {
            "author": "offline",
            "key": list(plan.key),
            **({"mutations": list(mutated)} if mutated else {}),
        },
    }
    return Written(parse_scenario(document), draft.prior)


def _draft(plan: Plan, rng: np.random.Generator) -> tuple[Draft, tuple[str, ...]]:
    """What the motif writes, and the names of the mutations that were applied."""
    if plan.mutations:
        own = np.random.default_rng(np.random.SeedSequence((*plan.key, 3)))
        rngs = (rng, plan.generator(), own)
        found = mutated_draft(plan.motif, plan.skin, plan.knobs, rngs, plan.mutations)
        return found.draft, found.applied
    sketch: Sketch[Any] = Sketch(plan.motif.name, plan.skin, plan.knobs, rng)
    plan.motif.build(sketch)
    return sketch.finish(), ()


def _arrange(draft: Draft, asides: Sequence[str], domain: str, rng: np.random.Generator) -> Content:
    """Shuffles exchangeable events and drops the asides between sentences."""
    events = list(draft.events)
    if not draft.in_order:
        events = [events[int(i)] for i in rng.permutation(len(events))]
    rules = list(draft.rules)
    for aside in asides:
        part, after = (rules, events[:1]) if rng.random() < 0.4 else (events, [])
        following = [*part, *after]
        free = [n for n in range(len(part) + 1) if not refers_back("".join(following[n : n + 1]))]
        if free:
            part.insert(free[int(rng.integers(len(free)))], aside)
        else:
            events.append(aside)
    first, second = pick_people(rng, 2, avoid=frozenset(draft.people))
    return Content(draft.setting, tuple(rules), tuple(events), domain, (first, second))


def _with_spans(rows: Sequence[dict[str, Any]], story: str) -> list[dict[str, Any]]:
    """Rows with `says` as it stands in the story."""
    return [{**row, "says": _fitted(row["says"], story)} for row in rows]


def _fitted(says: str, story: str) -> str:
    """Words as they stand in the story, whose sentences may have raised their first letter."""
    raised = says[:1].upper() + says[1:]
    return raised if says not in story and raised in story else says
