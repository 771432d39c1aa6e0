"""A plan and a formalised answer for tests."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

from ppt_jax.authoring.llm.config import LLMAuthorConfig
from ppt_jax.authoring.llm.plan import StoryPlan, plan_split

CONFIG = LLMAuthorConfig(model="m", train_size=1, asks=(2, 4))
PLAN: StoryPlan = plan_split(CONFIG, "train")[0]


def plan(number: int = 0, **changes: Any) -> StoryPlan:
    return dataclasses.replace(PLAN, key=(0, 1, number, 0), **changes)


FERRY: dict[str, Any] = {
    "sets": [
        {"name": "day", "members": ["Monday", "Tuesday", "Wednesday"]},
        {"name": "boat", "members": ["Gull", "Tern"]},
    ],
    "model": [
        {"name": "rate", "per": [], "kind": "draw", "expr": "gamma(mean=6, shape=3)",
         "unit": "boardings", "means": "late boardings a day at this quay"},
        {"name": "late", "per": ["day"], "kind": "draw", "expr": "count(rate=rate)",
         "unit": "boardings", "means": "late boardings on a day"},
        {"name": "speed", "per": ["boat"], "kind": "draw", "expr": "normal(mean=50, sd=10)",
         "unit": "points", "means": "how fast a boat is"},
        {"name": "meter", "per": ["boat"], "kind": "draw", "expr": "normal(mean=speed[boat], sd=4)",
         "unit": "points", "means": "what the meter shows"},
        {"name": "fog", "per": [], "kind": "draw", "expr": "yes(p=0.3)", "unit": "",
         "means": "whether there was fog"},
        {"name": "horn", "per": [], "kind": "draw", "expr": "yes(p=0.9 if fog else 0.2)",
         "unit": "", "means": "whether the horn was heard"},
    ],
    "observe": [
        {"what": "late['Monday']", "means": "Late boardings on Monday", "digits": 0,
         "low": 1, "high": 12},
        {"what": "late['Tuesday']", "means": "Late boardings on Tuesday", "digits": 0,
         "low": 1, "high": 12},
        {"what": "meter['Gull']", "means": "The meter of the Gull", "digits": 0,
         "low": 33, "high": 68},
        {"what": "horn", "means": "The horn was heard", "digits": 0, "low": 0, "high": 0},
        {"what": "speed['Gull'] > speed['Tern']", "means": "The Gull is the faster boat",
         "digits": 0, "low": 0, "high": 0},
        {"what": "beats(speed['Tern'], speed['Gull'], noise=8)", "means": "The Tern won",
         "digits": 0, "low": 0, "high": 0},
    ],
    "ask": [
        {"id": "q1", "kind": "value", "expr": "rate", "unit": "boardings", "low": 0, "high": 25,
         "options": [], "text": "How many late boardings a day are usual?"},
        {"id": "q2", "kind": "value", "expr": "speed['Tern']", "unit": "points", "low": 0,
         "high": 100, "options": [], "text": "How fast is the Tern?"},
        {"id": "q3", "kind": "choice", "expr": "fog", "unit": "", "low": 0, "high": 1,
         "options": ["no", "yes"], "text": "Was there fog?"},
        {"id": "q4", "kind": "rank", "expr": "speed['Gull']", "unit": "", "low": 0, "high": 1,
         "options": [], "text": "Where is the Gull among 100 boats from slow (0) to fast (100)?"},
    ],
}  # fmt: skip


def ferry(**changes: Any) -> dict[str, Any]:
    return copy.deepcopy(FERRY) | changes


def edited(part: str, place: int, **fields: Any) -> dict[str, Any]:
    """The formalised answer with one row changed."""
    data = ferry()
    data[part][place] |= fields
    return data
