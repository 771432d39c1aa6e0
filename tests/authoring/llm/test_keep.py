from typing import Any

from ppt_jax.authoring.llm.keep import Keeper

STORY = (
    "At the lock of Wessel the keeper counts boats. On Monday there were 14 boats, on Tuesday 9. "
    "Nobody knows how many come on a usual day, and the keeper has stopped guessing long ago."
)


def row(number: int, story: str, expr: str = "gamma(mean=6, shape=3)") -> dict[str, Any]:
    return {
        "id": f"s{number}", "split": "train", "story": story, "sets": [],
        "model": [{"name": "rate", "per": [], "kind": "draw", "expr": expr}],
        "given": [], "ask": [{"kind": "value", "expr": "rate"}],
    }  # fmt: skip


def test_twins_and_near_twins_are_dropped() -> None:
    keeper = Keeper(0.8, 1.0, {"train": 10})
    assert keeper.objection(row(1, STORY)) is None
    keeper.keep(row(1, STORY))
    twin = keeper.objection(row(2, STORY.replace("14", "23")))
    assert twin is not None
    assert (twin.check, "s1" in twin.detail) == ("duplicate", True)
    near = keeper.objection(row(3, STORY.replace("long ago", "years ago")))
    assert near is not None
    assert near.check == "near_duplicate"
    other = STORY.replace("the keeper counts boats", "a clerk tallies carts").replace(
        "Nobody knows how many come on a usual day", "What is usual there is anybody's guess"
    )
    assert keeper.objection(row(4, other)) is None


def test_a_structure_has_its_quota() -> None:
    keeper = Keeper(1.0, 0.2, {"train": 10})
    stories = [
        " ".join(f"{word}{n}" for word in ["a", "b", "c", "d", "e", "f", "g", "h"]) for n in "xyz"
    ]
    for number, story in enumerate(stories[:2]):
        assert keeper.objection(row(number, story)) is None
        keeper.keep(row(number, story))
    third = keeper.objection(row(3, stories[2], "gamma(mean=8, shape=2)"))  # other numbers only
    assert third is not None
    assert third.check == "structure_quota"
    assert keeper.objection(row(3, stories[2], "wait(mean=8)")) is None
    assert keeper.objection(row(3, stories[2]) | {"split": "validation"}) is None
